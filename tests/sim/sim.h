/* sim.h - the simulated world: all actors of one to five nodes, each on a driver_sim of its own in
 * one virtual time, over one memory store; links between the nodes; clients that retry; checkers
 * that share no ledger code.
 *
 * One node has an embedded store, several share theirs: requests to it and frames between nodes are
 * events of the world (sim_events.c), so that they go on while a node sleeps, and land late. A seed
 * draws everything: sizes, delays, fault rates, crashes. Phase 1 has faults; phase 2 heals and
 * demands that every request gets its final answer. One thread; no clock, no socket. */
#ifndef HOLDFAST_SIM_H
#define HOLDFAST_SIM_H

#include <stdio.h>

#include "actors/actors.h"
#include "actors/catalog/catalog.h"
#include "actors/metrics.h"
#include "actors/peer/link.h"
#include "actors/store/messages.h"
#include "actors/user/op.h"
#include "adapters/store/pool_port.h"
#include "adapters/store_memory/store_memory.h"
#include "holdfast/driver.h"

#define SIM_ASSETS 2u
#define SIM_USERS_MAX 64u
#define SIM_NODES_MAX 5u
#define SIM_SCALE 2u

/* ---- the store between the actors and the memory engine -------------------------------------- */

struct sim_faults {        /* per thousand; all 0 in phase 2 */
  unsigned commit_refused; /* UNAVAILABLE: surely not done */
  unsigned commit_unknown; /* UNKNOWN: some were done, on a shared store some will be, later */
  unsigned read_refused;
  unsigned open_refused;  /* on a shared store half of them were done */
  unsigned lease_refused; /* likewise */
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
  uint8_t group; /* members of the atomic batch that begins here; 1: alone; 0: a later one */
  uint8_t state; /* enum sim_request_state */
  uint8_t type;
  uint8_t bucket;
  bool final_capture;
  uint16_t asset;       /* 1.. */
  unsigned user, payee; /* indexes */
  int64_t amount;       /* base units; 0: not given */
  hf_id ref;
  uint32_t timeout_s;
  struct hf_digest key, request;
  unsigned sends, answers;
  /* the final outcome, once there */
  enum hf_error error;
  hf_id op_id;
  struct hf_op *op;      /* in flight */
  struct sim_node *node; /* whose client asked */
  uint64_t retry_at_us;
};

struct sim_user {
  hf_id id;
  bool created, asked;
  struct sim_node *node; /* whose client asked */
  struct hf_create *create;
  char external_id[24];
  uint64_t shown; /* a version that some client has seen: whoever asks from now on sees no older */
};

/* ---- nodes and what is between them ---------------------------------------------------------- */

enum sim_node_state {
  SIM_UP,
  SIM_ASLEEP,  /* stopped in the middle of what it does: nothing of it runs */
  SIM_LEAVING, /* stops in good order */
  SIM_DOWN,
};

struct sim_node {
  struct sim_world *world;
  unsigned index;
  uint64_t life; /* grows with each start: what is meant for an older one is dropped */
  enum sim_node_state state;
  uint64_t folder; /* its id but for the life */
  uint64_t cut_us; /* until then the store does not answer it */
  struct rt_driver *driver;
  rt *runtime; /* NULL: down */
  struct store_port *port;
  struct hf_setup setup;
  struct store_port shared_port;
  struct link_port link_port;
  struct hf_view *view; /* that its client waits for */
  unsigned view_user;
  uint64_t view_floor; /* what it must show at least */
};

struct sim_event {
  uint64_t at_us;
  uint64_t number; /* breaks ties */
  void (*run)(struct sim_world *world, void *arg);
  void *arg;
};

struct sim_world {
  uint64_t seed;
  uint64_t rng;       /* the clients' own stream */
  uint64_t chaos_rng; /* of faults, delays and links */
  struct sim_node nodes[SIM_NODES_MAX];
  unsigned nodes_count;
  uint64_t now_us;
  struct sim_event *events; /* a heap */
  size_t events_count, events_room;
  uint64_t events_number;
  struct sim_link *links;
  uint64_t links_opened;
  uint64_t cut_us[SIM_NODES_MAX][SIM_NODES_MAX]; /* until then no link between the two */
  uint64_t lease_us;
  uint64_t incarnation; /* of a shared store; moves when that starts anew */
  unsigned stuck;       /* per thousand requests to a shared store: they arrive much later */
  unsigned partition_bits;
  struct sim_store store;
  unsigned loops;
  unsigned live_actors_max;
  unsigned overflow_max; /* of rt_config: small, so that asks are refused within the actors too */
  unsigned users_base, users_max; /* those that are there from the start; all that will be */
  unsigned users_count;           /* that requests are made for: created, one after the other */
  unsigned requests_max, inflight_max;
  unsigned pace; /* per thousand ticks of a client: new requests are made */
  bool healing;  /* phase 2 */
  bool ending;   /* the nodes stop: no client asks any more */
  bool verbose;
  unsigned assets_created;
  struct hf_catalog_change *change;
  struct sim_node *change_node; /* whose client asked */
  struct sim_user users[SIM_USERS_MAX];
  struct sim_request *requests;
  unsigned requests_count, requests_final, inflight;
  hf_id holds[256]; /* ids the clients know of, newest overwrites oldest */
  unsigned hold_users[256];
  unsigned holds_count;
  hf_id ops[256]; /* applied ops, to be reversed */
  unsigned op_users[256];
  unsigned ops_count;
  unsigned views_checked, forwarded;
  uint64_t crashes, sleeps, leaves, links_broken;
  char failure[512]; /* "" while all is well */
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
void sim_client_forget(struct sim_node *node); /* the process crashed: answers will not come */

/* sim_events.c: the world's time. */
uint64_t sim_chaos(struct sim_world *world);
static inline bool sim_strikes(struct sim_world *world, unsigned per_thousand)
{
  return sim_chaos(world) % 1000u < per_thousand;
}
void sim_at(struct sim_world *world, uint64_t at_us,
            void (*run)(struct sim_world *world, void *arg), void *arg);
/* Runs what is next, of any node or between them; false when nothing is left before `until_us`. */
bool sim_step(struct sim_world *world, uint64_t until_us);
void sim_events_deinit(struct sim_world *world); /* runs what is left; it frees what it carries */
/* A message of the outside to an actor of the node, if it still lives that life. False: no room. */
bool sim_post(struct sim_node *node, rt_id to, uint16_t op, const void *payload, size_t size);

/* sim_node.c: starting, stopping, crashing. */
void sim_node_init(struct sim_world *world, unsigned index);
void sim_node_deinit(struct sim_node *node);
void sim_node_up(struct sim_node *node);
void sim_node_crash(struct sim_node *node);
/* Everything is up again and nothing is cut. */
void sim_nodes_heal(struct sim_world *world);
/* All nodes stop in good order. */
void sim_nodes_end(struct sim_world *world);
/* Begins to do harm to nodes and links, until phase 2. */
void sim_chaos_begin(struct sim_world *world);

/* sim_port.c: the shared store as the nodes reach it. */
void sim_port_init(struct sim_node *node);

/* sim_link.c */
void sim_link_init(struct sim_node *node);
/* All links of the node end; the others are told. */
void sim_links_end(struct sim_node *node);
/* One of all links breaks. */
void sim_links_break(struct sim_world *world);
void sim_links_deinit(struct sim_world *world);

/* sim_check.c: reads the memory engine's journal and checks it. `end`: nothing is under way. */
void sim_check(struct sim_world *world, bool end);

#endif
