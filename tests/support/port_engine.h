/* port_engine.h - a store port behind the interface of an engine, so that what is written for
 * engines tests ports too: real loops, and one actor for each that submits and is answered.
 *
 * Owner: a test; execute and commit_many from any of its threads. */
#ifndef HOLDFAST_TESTS_PORT_ENGINE_H
#define HOLDFAST_TESTS_PORT_ENGINE_H

#include "actors/store/port.h"

struct port_engine_config {
  struct store_port *port;
  unsigned partition_bits;
  unsigned loops;
  void (*loop_begin)(struct store_port *port, rt_ctx *ctx); /* may be NULL */
  void (*loop_end)(struct store_port *port, rt_ctx *ctx);   /* may be NULL */
  void (*port_free)(struct store_port *port);
};

/* One at a time in a process. Its close stops the loops and frees the port. */
struct store_engine *port_engine_new(const struct port_engine_config *config);
/* Submits a request without waiting; it goes to loop `loop`. */
void port_engine_submit(struct store_engine *base, unsigned loop, struct store_request *request);
/* Waits for the answer of one that was submitted. */
void port_engine_await(struct store_engine *base, struct store_request *request);

#endif
