/* serve.h - the runtime of a process: actors over a store, on libuv loops. For serve and import. */
#ifndef HOLDFAST_SERVE_H
#define HOLDFAST_SERVE_H

#include "actors/actors.h"
#include "holdfast/driver.h"
#include "server/options.h"

struct node { /* everything that runs in this process, in the order in which it is made */
  struct store_engine *engine;
  struct store_port *port; /* owns the engine from then on */
  struct hf_setup setup;
  struct rt_driver *driver;
  rt *runtime;
  struct rt_metric *metrics;
  struct rt_config config;
};

/* Prepares all but the runtime itself: the caller may still change node->config (front class,
 * hooks), then calls node_start. Takes the engine. `front` may be NULL. */
void node_init(struct node *node, const struct options *options, struct store_engine *engine,
               const rt_class *front, const struct rt_metric *metrics, unsigned metrics_count);
/* False with errno set when threads or descriptors are short. */
MUST_CHECK bool node_start(struct node *node);
/* Drains within `grace_us`, joins, frees everything; true when the drain was complete. */
bool node_stop(struct node *node, uint64_t grace_us);
unsigned node_loops(const struct options *options);

#endif
