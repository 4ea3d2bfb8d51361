/* serve.h - the runtime of a process: actors over a store, on libuv loops. For serve and import. */
#ifndef HOLDFAST_SERVE_H
#define HOLDFAST_SERVE_H

#include "actors/actors.h"
#include "adapters/store_postgres/store_postgres.h"
#include "holdfast/driver.h"
#include "server/identity.h"
#include "server/options.h"

/* What a process adds to its loops. Every call but escalate is on a loop's thread. */
struct node_use {
  const rt_class *front;           /* NULL: none */
  const struct rt_metric *metrics; /* beside the actors' */
  unsigned metrics_count;
  void (*loop_start)(void *arg, rt_ctx *ctx); /* the actors' own things are there */
  void (*loop_stop)(void *arg, rt_ctx *ctx);
  void (*ingress)(void *arg, rt_ctx *ctx); /* NULL: nothing comes from outside */
  void (*escalate)(void *arg, const char *why);
  void *arg;
};

struct node { /* everything that runs in this process, in the order in which it is made */
  struct store_engine *engine;
  struct store_port *port;  /* owns the engine from then on */
  struct identity identity; /* a shared store only, as are the next three */
  struct store_postgres_config postgres;
  struct link_port *link;
  char address[STORE_ADDRESS_MAX + 1];
  struct hf_setup setup;
  struct rt_driver *driver;
  rt *runtime;
  struct rt_metric *metrics;
  struct rt_config config;
  struct node_use use;
};

/* Prepares all but the runtime itself; the caller may still change node->setup. Takes the engine,
 * also on failure, which is told on stderr. */
MUST_CHECK bool node_init(struct node *node, const struct options *options,
                          struct store_engine *engine, const struct node_use *use);
/* False with errno set when threads or descriptors are short. */
MUST_CHECK bool node_start(struct node *node);
/* Drains within `grace_us`, joins, gives the partitions of a shared store up, frees everything;
 * true when the drain was complete. */
bool node_stop(struct node *node, uint64_t grace_us);
unsigned node_loops(const struct options *options);
/* The pool whose one thread makes proofs. */
unsigned node_proof_pool(const struct options *options);

#endif
