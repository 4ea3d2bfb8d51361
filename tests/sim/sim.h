/* sim.h - the simulated world: user actors, transit, sweep, names, catalog and store actors on
 * driver_sim over the memory store, clients that retry, and checkers that share no ledger code.
 *
 * A seed draws everything: sizes, delays, fault rates, crashes. Phase 1 has faults; phase 2 heals
 * and demands that every request gets its final answer. One thread; no clock, no socket. */
#ifndef HOLDFAST_SIM_H
#define HOLDFAST_SIM_H

#include <stdio.h>

#include "actors/actors.h"
#include "actors/catalog/catalog.h"
#include "actors/metrics.h"
#include "actors/store/messages.h"
#include "actors/user/op.h"
#include "adapters/store/pool_port.h"
#include "adapters/store_memory/store_memory.h"
#include "holdfast/driver.h"

#define SIM_ASSETS 2u
#define SIM_USERS_MAX 64u
#define SIM_SCALE 2u

/* ---- the store between the actors and the memory engine -------------------------------------- */

struct sim_faults {        /* per thousand; all 0 in phase 2 */
  unsigned commit_refused; /* UNAVAILABLE: surely not done */
  unsigned commit_unknown; /* UNKNOWN: half of them were done */
  unsigned read_refused;
  unsigned open_refused;
};
struct sim_store {
  struct store_engine engine; /* what the port gets; first */
  struct store_engine *inner; /* survives crashes */
  struct rt_driver *driver;   /* for its seeded stream */
  struct sim_faults faults;
  uint64_t commits, injected;
};
void sim_store_init(struct sim_store *store, unsigned partition_bits);
void sim_store_deinit(struct sim_store *store);

/* ---- requests of the clients ----------------------------------------------------------------- */

enum sim_request_state { SIM_IDLE, SIM_ASKED, SIM_RETRY, SIM_FINAL };

struct sim_request { /* one idempotency key, from its first send to its final outcome */
  uint32_t number;
  uint8_t group;       /* members of the atomic batch that begins here; 1: alone; 0: a later one */
  uint8_t state; /* enum sim_request_state */
  uint8_t type;
  uint8_t bucket;
  bool final_capture;
  uint16_t asset;      /* 1.. */
  unsigned user, payee; /* indexes */
  int64_t amount;      /* base units; 0: not given */
  hf_id ref;
  uint32_t timeout_s;
  struct hf_digest key, request;
  unsigned sends, answers;
  /* the final outcome, once there */
  enum hf_error error;
  hf_id op_id;
  struct hf_op *op;    /* in flight */
  uint64_t retry_at_us;
};

struct sim_user {
  hf_id id;
  bool created, asked;
  struct hf_create *create;
  char external_id[24];
};

struct sim_world {
  uint64_t seed;
  uint64_t rng; /* the client's own stream */
  struct rt_driver *driver;
  rt *runtime;
  struct store_port *port;
  struct hf_setup setup;
  struct sim_store store;
  unsigned loops;
  unsigned live_actors_max;
  unsigned overflow_max; /* of rt_config: small, so that asks are refused within the actors too */
  unsigned users_count, requests_max, inflight_max;
  bool healing;        /* phase 2 */
  bool verbose;
  unsigned assets_created;
  struct hf_catalog_change *change;
  struct sim_user users[SIM_USERS_MAX];
  struct sim_request *requests;
  unsigned requests_count, requests_final, inflight;
  hf_id holds[256];    /* ids the clients know of, newest overwrites oldest */
  unsigned hold_users[256];
  unsigned holds_count;
  hf_id ops[256];      /* applied ops, to be reversed */
  unsigned op_users[256];
  unsigned ops_count;
  struct hf_view *view;
  unsigned views_checked;
  uint64_t crashes;
  char failure[512];   /* "" while all is well */
};

uint64_t sim_rand(struct sim_world *world);
static inline bool sim_chance(struct sim_world *world, unsigned per_thousand)
{
  return sim_rand(world) % 1000u < per_thousand;
}
/* Notes the first failure. */
void sim_fail(struct sim_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* sim_client.c: the front actor. */
extern const rt_class sim_client_class;
void sim_client_forget(struct sim_world *world); /* the process crashed: answers will not come */

/* sim_check.c: reads the memory engine's journal and checks it. `end`: nothing is under way. */
void sim_check(struct sim_world *world, bool end);

#endif
