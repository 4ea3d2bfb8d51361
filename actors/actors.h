/* actors.h - the actor classes and what the composition root tells them at start. */
#ifndef HOLDFAST_ACTORS_H
#define HOLDFAST_ACTORS_H

#include <stdbool.h>

#include "actors/store/port.h"
#include "holdfast/rt.h"

/* Slots of rt_set_local. */
enum {
  HF_LOCAL_SETUP = 0,
  HF_LOCAL_CATALOG = 1,
  HF_LOCAL_FRONT = 2,
  HF_LOCAL_SCRATCH = 3,
  HF_LOCAL_CLUSTER = 4 /* struct cluster: made by hf_loop_begin, kept by the loop's keeper */
};

#define HF_GROUP_MAX 8192u /* ops of an atomic batch */

/* Node ids that differ in these low bits only are lives of one data folder, which one process
 * holds: a later life buries the earlier ones at once, and with them what they may still have on
 * its way to the database. */
#define HF_NODE_LIFE_BITS 16u

struct link_port;

/* One for the process, read-only after start; every loop's HF_LOCAL_SETUP points to it. */
struct hf_setup {
  unsigned partition_bits;
  struct store_port *port;
  unsigned batch_units_max;  /* ops in one commit request; default 8192 */
  unsigned queue_units_max;  /* waiting in a store actor: more are refused OVERLOADED; 65536 */
  uint64_t op_timeout_us;    /* default deadline of an op; 10 s */
  uint64_t sweep_every_us;   /* expired holds; 1 s */
  uint64_t project_every_us; /* lazily written projections; 0: never */
  /* By partition: the newest sequence number that this process has committed, or has found when it
   * opened the partition. Written by the store actor of the partition's loop, read by any, relaxed:
   * a hint that something new can be read. NULL: nobody wants to know. */
  _Atomic uint64_t *tails;
  /* A shared store only (port->shared): this node among the others. */
  uint64_t node;            /* struct store_node's id; see HF_NODE_LIFE_BITS */
  const char *node_address; /* where the others reach it */
  bool node_takes;          /* false: a stateless node that owns no partition */
  uint64_t lease_us;        /* a silent node's partitions are taken over within this time; 5 s */
  struct link_port *link;   /* to the other nodes; NULL: alone */
  unsigned metric_base;     /* id of the first HF_M_* cell in the process's metric table */
  /* One line for the operator; level as in syslog (3 error, 4 warning, 6 info). Any loop. */
  void (*log)(void *arg, int level, const char *component, const char *text);
  void *log_arg;
};

extern const rt_class hf_store_class, hf_catalog_class, hf_user_class, hf_names_class,
  hf_transit_class, hf_sweep_class, hf_peer_class, hf_keeper_class;

/* Correlation of an ask whose payload is this pointer: replies are matched by it. */
static inline uint32_t hf_corr(const void *payload)
{
  return (uint32_t)((uintptr_t)payload >> 4);
}

/* From rt_config's loop_start and loop_stop. */
void hf_loop_begin(rt_ctx *ctx, const struct hf_setup *setup);
void hf_loop_end(rt_ctx *ctx);
const struct hf_setup *hf_setup_of(const rt_ctx *ctx);
/* Requests may come: the catalog is loaded, and every partition of this loop was open once or, on a
 * shared store, every partition has a node and this loop's share is open. Once ready, always. */
bool hf_loop_ready(const rt_ctx *ctx);
/* False: the store keeps failing (its breaker is open). */
bool hf_store_open(const rt_ctx *ctx);

#endif
