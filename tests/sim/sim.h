/* sim.h - the simulated world: all actors of one to five nodes, each on a driver_sim of its own in
 * one virtual time, over one memory store; links between the nodes; clients that retry; checkers
 * that share no ledger code.
 *
 * One node has an embedded store, several share theirs: requests to it and frames between nodes are
 * events of the world (sim_events.c), so that they go on while a node sleeps, and land late. A seed
 * draws everything: sizes, delays, fault rates, crashes. Phase 1 has faults; phase 2 heals and
 * demands that every request gets its final answer. One thread; no clock, no socket.
 *
 * Clients ask actors themselves (sim_client.c), or send the same questions to the front door as
 * HTTP (sim_ask.c, sim_body.c). Its handlers run over a transport without sockets (sim_http.c; the
 * clients' end of it is sim_door.c), and its JSON becomes the answer of an actor (sim_read.c). */
#ifndef HOLDFAST_SIM_H
#define HOLDFAST_SIM_H

#include <stdatomic.h>
#include <stdio.h>

#include "actors/actors.h"
#include "actors/catalog/catalog.h"
#include "actors/metrics.h"
#include "actors/peer/link.h"
#include "actors/store/messages.h"
#include "actors/user/op.h"
#include "adapters/store/pool_port.h"
#include "adapters/store_memory/store_memory.h"
#include "adapters/http/front.h"
#include "holdfast/bytes.h"
#include "holdfast/driver.h"

#define SIM_ASSETS 2u
#define SIM_USERS_MAX 64u
#define SIM_NODES_MAX 5u
#define SIM_PARTITIONS_MAX 8u
#define SIM_SCALE 2u
#define SIM_KEYS 24u /* service keys that are made and revoked */
#define SIM_LOOPS_MAX 3u
#define SIM_MAKERS 2u
#define SIM_FOLLOWERS 3u
#define SIM_TEXT_MAX 128u
#define SIM_LOCAL_NODE 5u   /* slot of rt_set_local, behind those of actors.h */
#define SIM_KIND_CLIENT 32u /* behind enum hf_kind */
#define SIM_DOOR_ID "simadmin"
#define SIM_DOOR_SECRET "0123456789abcdefghijABCDEFGHIJ0123456789"
#define SIM_DOOR_KEY "hfk_" SIM_DOOR_ID "_" SIM_DOOR_SECRET
#define SIM_DRIFT_MAX 60000u /* microseconds that a clock gains or loses in a second */

/* Some users are almost as rich as an amount can say: what is given to them bounces. Sums over all
 * that was ever given are known modulo 2^128. */
__extension__ typedef __int128 sim_amount;
__extension__ typedef unsigned __int128 sim_uamount;
static inline sim_amount sim_sum(sim_amount a, sim_amount b)
{
  return (sim_amount)((sim_uamount)a + (sim_uamount)b);
}

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
  struct sim_world *world;
  struct rt_driver *driver; /* for its seeded stream */
  struct sim_faults faults;
  uint64_t commits, injected;
};
void sim_store_init(struct sim_world *world, unsigned partition_bits);
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
  sim_amount amount;    /* base units; 0: not given */
  hf_id ref;
  uint32_t timeout_s;
  int64_t if_version;   /* -1: any */
  int64_t effective_us; /* unix; 0: now */
  bool has_metadata;
  uint32_t key_number; /* its own, or that of a request of another user */
  struct hf_digest key;
  struct hf_digest bodies[2]; /* what it asks for, and the other thing that its key is taken for */
  uint8_t body;               /* 1: it asks for the other one, because the store took that */
  uint8_t taken_body;         /* that the store took */
  bool has_words;             /* it was answered by the front door, as applied: */
  struct hf_digest words;     /* the reply's bytes */
  hf_id taken;                /* op that the store has under its key */
  struct hf_op *twin;         /* in flight beside `op`, with the other body */
  struct sim_node *twin_node;
  bool by_actor, by_door; /* it was sent to an actor, to the front door, at least once */
  unsigned sends, answers;
  uint64_t asked_us; /* when it was sent first */
  /* what the store took under its key, as the world saw it */
  unsigned applied, refused; /* times */
  size_t record;             /* of its user */
  /* the final outcome, once there */
  enum hf_error error;
  hf_id op_id;
  uint64_t told;         /* what the entries of the answer said: sim_entry_mix */
  struct hf_op *op;      /* in flight */
  struct sim_node *node; /* whose client asked */
  uint64_t retry_at_us;
};

struct sim_ids {
  hf_id *at;
  size_t count, room;
};

enum sim_record_kind { SIM_APPLIED, SIM_REFUSED, SIM_STATUS };

struct sim_record { /* what the store took of a user, in the order in which it did */
  uint8_t kind;     /* enum sim_record_kind */
  uint8_t status;   /* of the user from now on: SIM_STATUS */
  uint8_t entries;
  bool by_actor, by_door; /* of its request: how it had been sent by then */
  uint16_t error;         /* SIM_REFUSED */
  uint32_t request;       /* its number; SIM_NOBODY: the server's own */
  uint64_t version;       /* of the user before it */
  uint64_t judged;        /* SIM_REFUSED: the version that it says it was judged on */
  int64_t recorded_us;
  uint64_t at_us;    /* the world's */
  uint64_t known_us; /* when somebody was told, or shown what is only since it; 0: nobody was */
};
#define SIM_NOBODY UINT32_MAX

struct sim_seen { /* balances that some client was shown; claimed by the first who was */
  bool seen;
  sim_amount bucket[SIM_ASSETS][LEDGER_BUCKET_COUNT];
};

struct sim_maker { /* who wants to make a user, under a key of his own */
  struct sim_user *user;
  struct hf_create *create; /* in flight */
  struct sim_node *node;    /* whose client asked */
  bool won, lost;           /* as he was told, for ever */
};

struct sim_user {
  hf_id id;
  bool created;
  struct sim_maker makers[SIM_MAKERS]; /* of whom one at the most can succeed */
  unsigned makers_count;
  char external_id[24];
  uint64_t shown; /* a version that some client has seen: whoever asks from now on sees no older */
  uint64_t version; /* that the store has */
  struct sim_record *records;
  size_t records_count, records_room;
  struct sim_seen *seen; /* by version */
  size_t seen_room;
  /* SET_STATUS and PEEK, one at a time */
  struct hf_peek *peek;
  struct sim_node *peek_node; /* whose client asked */
  bool peek_sets;
  uint8_t peek_status;   /* that was asked for */
  uint64_t peek_us;      /* when */
  size_t peek_floor;     /* `records_shown` at that time */
  uint64_t peek_version; /* `shown` at that time */
  size_t records_shown;  /* some client knows that these were taken */
};

/* A service key, from ADD to REVOKE. What a client knows: */
enum sim_key_state { SIM_KEY_NONE, SIM_KEY_ADDED, SIM_KEY_REVOKED };
struct sim_key {
  uint8_t asked, acknowledged; /* enum sim_key_state */
  unsigned adds;               /* times that it was asked for */
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
  uint32_t job_us_max; /* of its own store, if it has one */
  rt *runtime;         /* NULL: down */
  struct store_port *port;
  struct hf_setup setup;
  struct store_port shared_port;
  struct link_port link_port;
  struct front *front;
  _Atomic uint64_t tails[SIM_PARTITIONS_MAX];
  struct http_loop *doors[SIM_LOOPS_MAX]; /* NULL: nobody listens there */
  struct hf_view *view;                   /* that its client waits for */
  unsigned view_user;
  uint64_t view_floor; /* what it must show at least */
  int32_t drift;       /* its clock gains so many microseconds in a second */
  rt_ctx *loops[SIM_LOOPS_MAX];
  uint8_t keys[SIM_LOOPS_MAX][SIM_KEYS]; /* enum sim_key_state, as the loop told last */
};

/* ---- the front door -------------------------------------------------------------------------- */

struct sim_reply {
  unsigned status;     /* 0: none will come */
  enum hf_error error; /* of a problem */
  unsigned retry_after_s;
  bool replayed;     /* said so by a header */
  uint64_t next_seq; /* said so by a header */
  struct hf_bytes body;
};

struct sim_journal { /* of a partition, in its order */
  struct sim_taken {
    uint64_t mix;     /* of what can be seen of an entry */
    uint32_t request; /* SIM_NOBODY: the server's own */
  } * taken;
  size_t count, room;
};

struct sim_call { /* an HTTP request of a client */
  struct sim_world *world;
  struct sim_node *node;
  uint64_t life; /* of the node */
  unsigned loop;
  unsigned holds;      /* events that have it, and the exchange */
  bool over;           /* its client was told, or has hung up */
  uint64_t timeout_us; /* op_timeout_us from when it is served until the next one is */
  unsigned key;        /* 1 + number of the service key that it has; 0: the environment's */
  unsigned key_known;  /* enum sim_key_state, to the loop that was asked, when it was */
  struct http_exchange *exchange; /* at the server */
  struct hf_bytes text;
  struct sim_reply reply;
  void (*told)(struct sim_call *call); /* once: `reply` is there, or will not come */
  void (*streamed)(struct sim_call *call, const void *text, size_t size); /* a part of it came */
  void *owner;
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
  uint64_t cut_us[SIM_NODES_MAX][SIM_NODES_MAX]; /* until then nothing gets from one to the other */
  bool silent[SIM_NODES_MAX][SIM_NODES_MAX];     /* ... and neither is told: frames are held */
  uint64_t lease_us;
  uint64_t incarnation; /* of a shared store; moves when that starts anew */
  unsigned stuck; /* per thousand requests to a shared store, and answers: they come much later */
  uint64_t outage_us; /* until then the store answers nobody */
  uint64_t harmed_us; /* until then nodes and links were harmed: not all can be reached */
  unsigned partition_bits;
  struct sim_store store;
  struct sim_checker *checker; /* has read what was committed so far */
  bool drifts;   /* monotonic clocks of several nodes. What a single one waits for is all its own */
  bool crashing; /* else the leak checker looks at it */
  bool skewed;   /* wall clocks of the nodes are minutes to an hour apart from the start */
  bool jumps;    /* wall clocks are set while there is work */
  unsigned loops;
  unsigned live_actors_max;
  unsigned overflow_max; /* of rt_config: small, so that asks are refused within the actors too */
  unsigned users_base, users_max; /* those that are there from the start; all that will be */
  unsigned users_count;           /* that requests are made for: created, one after the other */
  unsigned requests_max, inflight_max;
  unsigned crash_requests; /* a single node crashes when so many were made */
  unsigned pace;           /* per thousand ticks of a client: new requests are made */
  bool healing;            /* phase 2 */
  bool ending;             /* the nodes stop: no client asks any more */
  bool verbose;
  unsigned assets_created;
  struct hf_catalog_change *change;
  struct sim_node *change_node; /* whose client asked */
  uint64_t change_us;           /* when */
  uint64_t change_life;         /* of that node */
  unsigned change_key;          /* SIM_KEYS: an asset */
  bool probing, probed;         /* nothing is harmed any more: one more key is revoked */
  struct sim_key keys[SIM_KEYS];
  unsigned doors;              /* per thousand asks: by the front door, as HTTP */
  unsigned credits;            /* of rt_config; 0: as many as it likes */
  struct sim_asking *askings;  /* that are out, by the front door */
  struct sim_asking *gathered; /* that more ops may join in this turn */
  uint64_t calls, served, unheard, pauses, followed, found, turned_away;
  unsigned kinds_found; /* of what is looked for: a bit each */
  struct sim_follower *followers[SIM_FOLLOWERS];
  unsigned followers_count;
  struct sim_journal journals[SIM_PARTITIONS_MAX];
  unsigned closing; /* per thousand ticks of a client: a user's status is asked for or set */
  struct sim_user users[SIM_USERS_MAX];
  struct sim_request *requests;
  unsigned requests_count, requests_final, inflight;
  uint32_t *by_key; /* requests by their key: open addressing, number + 1 */
  uint32_t by_key_size;
  /* Heads of groups by what is next for them. */
  uint32_t *waiting, *finals;
  unsigned waiting_count, finals_count, heads_count;
  hf_id holds[256]; /* ids the clients know of, newest overwrites oldest */
  unsigned hold_users[256];
  unsigned holds_count;
  hf_id ops[256]; /* applied ops, to be reversed */
  unsigned op_users[256];
  unsigned ops_count;
  hf_id blocks[256]; /* likewise */
  unsigned block_users[256];
  unsigned blocks_count;
  unsigned rich;                    /* so many of the first users are: no payers */
  struct sim_ids credited, bounced; /* transfers that the store has as such */
  unsigned views_checked, forwarded, peeks_checked, keys_checked, models_checked, statuses_set;
  uint64_t crashes, crashes_busy; /* the latter: with asks of its clients under way */
  uint64_t sleeps, leaves, outages, slowdowns, wall_jumps, cuts, silences, held, links_broken;
  uint64_t overloaded, loads;
  unsigned conflicts; /* between two bodies under one key, of which neither was final */
  uint64_t trace;     /* of what the store took, and of answers */
  char failure[512];  /* "" while all is well */
};

uint64_t sim_rand(struct sim_world *world);
unsigned sim_user_any(struct sim_world *world); /* a few users take most of the traffic */
static inline bool sim_chance(struct sim_world *world, unsigned per_thousand)
{
  return sim_rand(world) % 1000u < per_thousand;
}
/* Notes the first failure. */
void sim_fail(struct sim_world *world, const char *format, ...)
  __attribute__((format(printf, 2, 3)));

/* sim_client.c: the clients, who live in an actor of the first loop. */
extern const rt_class sim_client_class;
struct sim_node *sim_node_of(const rt_ctx *ctx);
void sim_client_forget(struct sim_node *node); /* the process crashed: answers will not come */
unsigned sim_client_asks(const struct sim_node *node); /* requests of its clients under way */
/* By the front door, or as that does: to wherever the partition is. False: nothing was sent. */
bool sim_ask(rt_ctx *ctx, rt_id to, uint16_t op, void *payload, uint64_t deadline_us);
/* An answer, HF_DONE and the like, has come. */
void sim_client_told(struct sim_node *node, uint16_t op, void *payload);
void sim_requests_init(struct sim_world *world);
void sim_requests_deinit(struct sim_world *world);
struct sim_request *sim_request_by_key(struct sim_world *world, hf_id user,
                                       const struct hf_digest *key);

/* sim_draw.c: the next request. */
void sim_request_draw(struct sim_world *world, struct sim_request *request);
/* A member of an atomic batch: those are of one user and move nothing to another one. */
void sim_member_draw(struct sim_world *world, struct sim_request *request, unsigned user);

/* sim_admin.c: what clients ask beside requests: assets, users, their status, service keys. */
/* False: there are not enough assets and users yet to make requests for. */
bool sim_admin_tick(rt_ctx *ctx, struct sim_world *world);
void sim_user_answered(struct sim_world *world, struct hf_create *create);
void sim_maker_key(const struct sim_maker *maker, char ret_text[SIM_TEXT_MAX]);
void sim_change_answered(struct sim_world *world, struct hf_catalog_change *change);
void sim_peek_answered(struct sim_world *world, struct hf_peek *peek, enum hf_error error);
/* What the runtime itself answered. False: it is nothing that was asked here. */
bool sim_admin_refused(struct sim_world *world, const void *payload, enum hf_error error);
void sim_admin_forget(struct sim_node *node);
/* enum sim_key_state, as the loop knows it. */
unsigned sim_key_known(const struct sim_node *node, unsigned loop, unsigned index);
/* Every loop that runs knows the keys that the store has. */
void sim_keys_end(struct sim_world *world);

/* sim_log.c: what the store took, as it did. */
/* After each commit, and before anybody is told of it. */
void sim_log_commit(struct sim_world *world, const struct store_request *request);
void sim_log_deinit(struct sim_world *world);
bool sim_log_credited(const struct sim_world *world, hf_id transfer);
/* A transfer that the store has as given back to its payer: its answer is a refusal. */
bool sim_log_bounced(const struct sim_world *world, const struct sim_request *request);
/* What an entry says, into one number: answers and the journal have to say the same. */
uint64_t sim_entry_mix(uint64_t mixed, const struct ledger_entry *entry);
/* Somebody knows of the first `count` records of the user. */
void sim_log_known(struct sim_world *world, struct sim_user *user, size_t count);
/* Some client was told that the request is applied, or refused. */
void sim_log_shown(struct sim_world *world, const struct sim_request *request);
/* The status that a user has after the first `count` records. */
unsigned sim_log_status(const struct sim_user *user, size_t count);
/* Some client was shown these balances. */
void sim_log_view(struct sim_world *world, unsigned user, const struct hf_view *view);

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
/* Nodes and links are harmed until then, as far as is known now. */
void sim_harmed(struct sim_world *world, uint64_t until_us);
/* The node's clock, which drifts, goes on to where the world is. */
void sim_node_skip(struct sim_node *node);
uint64_t sim_node_clock(const struct sim_node *node, uint64_t world_us);
uint64_t sim_node_next_us(struct sim_node *node); /* the world's time */
void sim_node_init(struct sim_world *world, unsigned index);
void sim_node_deinit(struct sim_node *node);
void sim_node_up(struct sim_node *node);
void sim_node_crash(struct sim_node *node);
/* Everything is up again and nothing is cut. */
void sim_nodes_heal(struct sim_world *world);
/* All nodes stop in good order. */
void sim_nodes_end(struct sim_world *world);
/* Begins to do harm to clocks and store, and to several nodes and the links between them, until
 * phase 2. */
void sim_chaos_begin(struct sim_world *world);

/* sim_port.c: the shared store as the nodes reach it. */
void sim_port_init(struct sim_node *node);

/* sim_link.c */
void sim_link_init(struct sim_node *node);
/* All links of the node end; the others are told. */
void sim_links_end(struct sim_node *node);
/* One of all links breaks. */
void sim_links_break(struct sim_world *world);
/* Nothing gets from one node to another, or `both` ways, for a while. The links between them end at
 * once; or they stay up and are `silent`: what was sent is held, and comes when the silence is
 * over, or never, because the link ends. */
void sim_links_cut(struct sim_world *world, unsigned from, unsigned to, bool both, bool silent,
                   uint64_t while_us);
/* Nothing is cut any more. */
void sim_links_heal(struct sim_world *world);
void sim_links_deinit(struct sim_world *world);

/* sim_check.c: reads the memory engine's journal and checks it. `end`: nothing is under way. */
void sim_check(struct sim_world *world, bool end);
/* The same of what was committed just now, on top of what `checker` has read before. */
void sim_check_commit(struct sim_checker *checker, const struct store_request *request);
struct sim_checker *sim_checker_new(struct sim_world *world);
void sim_checker_free(struct sim_checker *checker);
/* sim_beside.c: metadata, and times that ops are effective at: what lies beside the balances. */
void sim_beside_draw(struct sim_world *world, struct sim_request *request);
void sim_beside_ask(struct sim_world *world, const struct sim_request *request, unsigned body,
                    struct hf_op *op);
void sim_beside_answered(struct sim_world *world, const struct hf_op *op);
void sim_beside_commit(struct sim_world *world, const struct store_unit *unit);
void sim_beside_check(struct sim_world *world);
/* sim_trace.c: contents, of which equal runs must have equal ones. */
void sim_trace(struct sim_world *world, uint64_t value);
void sim_trace_commit(struct sim_world *world, const struct store_request *request);
void sim_trace_answer(struct sim_world *world, unsigned op, const void *answer);
/* sim_body.c: what a request says, by the number of its body. */
void sim_key_text(const struct sim_request *request, char ret_text[SIM_TEXT_MAX]);
/* {"reason":..,"metadata":..}; its size, 0 when there is neither. */
size_t sim_metadata_text(const struct sim_request *request, unsigned body,
                         char ret_text[SIM_TEXT_MAX]);
struct hf_decimal sim_decimal(sim_amount amount);
struct hf_digest sim_body_digest(const struct sim_world *world, const struct sim_request *request,
                                 unsigned body);
struct hf_digest sim_create_digest(const struct hf_create *create);
/* The op as JSON. key: of an item of a batch; NULL: it is in the header. */
void sim_body_put(struct hf_bytes *out, const struct hf_op *op, const char *key);

/* sim_http.c: http.h without sockets, and what brings it requests. */
/* NULL: nobody listens. Call sim_http_serve next. */
struct http_exchange *sim_http_arrive(struct sim_node *node, unsigned index, struct sim_call *call,
                                      const void *text, size_t size);
void sim_http_serve(struct http_exchange *exchange);
void sim_http_hang_up(struct http_exchange *exchange);

/* sim_door.c: clients that send HTTP. */
/* A call to the node: set told (and streamed) and the owner, and send it. */
struct sim_call *sim_door_call(struct sim_node *node);
/* `line`: method and target; `fields`: more of the head, each with its CRLF. */
void sim_door_send(struct sim_call *call, const char *line, const char *fields, const void *body,
                   size_t size);
void sim_door_hang_up(struct sim_call *call); /* nothing is told any more */
/* From the server: the reply, which is taken over; a part of one; that none will come. */
void sim_door_replied(struct sim_call *call, struct sim_reply *reply);
void sim_door_streamed(struct sim_call *call, const void *text, size_t size);
void sim_door_lost(struct sim_call *call);
void sim_door_judged(struct sim_call *call); /* that a handler looks at it now */
void sim_reply_deinit(struct sim_reply *reply);

/* sim_ask.c: questions to actors that go by the front door. */
/* False: this one does not. left_us: until its deadline; 0: as the server likes. */
bool sim_ask_door(struct sim_node *node, uint16_t op, void *asked, uint64_t left_us);
void sim_ask_flush(struct sim_world *world); /* sends what was gathered */
bool sim_ask_is_out(const struct sim_world *world, const void *asked);

/* sim_read.c: replies, as JSON, into what actors answer with. */
struct json_t;
void sim_read_op(struct sim_world *world, const struct json_t *reply, struct hf_op *op);
void sim_read_entry(struct sim_world *world, const struct json_t *object,
                    struct ledger_entry *entry);
/* {"reason":..,"metadata":..} as it was sent; NULL: neither. free it. */
char *sim_read_metadata(const struct json_t *entry);
void sim_read_view(struct sim_world *world, const struct json_t *reply, struct hf_view *view);
void sim_read_user(struct sim_world *world, const struct json_t *reply, struct hf_create *create);
void sim_read_change(struct sim_world *world, const struct json_t *reply,
                     const struct hf_catalog_change *change);
void sim_read_status(struct sim_world *world, const struct json_t *reply, struct hf_peek *peek);

/* sim_follow.c: who reads along. */
void sim_follow_begin(struct sim_world *world);
/* The store took it. */
void sim_follow_commit(struct sim_world *world, const struct ledger_entry *entry);
bool sim_follow_has_all(const struct sim_world *world);
void sim_follow_end(struct sim_world *world); /* by now all have all */
void sim_follow_deinit(struct sim_world *world);
/* Reads an entry. True: it is one that the store took, in all that a client can see of it. */
bool sim_follow_read(struct sim_world *world, const struct json_t *object,
                     struct ledger_entry *ret_entry);

/* sim_look.c: somebody asks for what is there, with whatever key. */
void sim_look(struct sim_node *node);
bool sim_look_has_found(const struct sim_world *world);

/* sim_random.c: the numbers that nobody can guess are the seed's. */
void sim_random_seed(uint64_t seed);

/* sim_settle.c: what nobody waits for comes to its end all the same. False: something is open. */
bool sim_is_settled(struct sim_world *world);
/* By now the sweep, if there is one, has released a hold that expired then. */
bool sim_is_late(const struct sim_world *world, int64_t expires_us);

#define SIM_ACCOUNTS 26u

struct sim_step { /* an entry of the journal, as the checker has read it */
  hf_id op;
  hf_id ref;
  uint8_t type;
  uint16_t asset;
  sim_amount amount;
  int64_t recorded_us;
  sim_amount sum[SIM_ASSETS][SIM_ACCOUNTS]; /* all accounts, debt negative, after it */
  uint64_t versions[SIM_ASSETS];            /* of the newest entry in each asset; 0: none */
};
/* sim_model.c: judges all that the store took of a user again, one after the other, with a naive
 * ledger; `steps` are its entries by version. */
void sim_model_check(struct sim_world *world, unsigned user, const struct sim_step *steps,
                     size_t count);

/* sim_world.c: one seed, from its drawing to its end; the trace. "" in `failure`: all is well. */
uint64_t sim_world_run(uint64_t seed, unsigned ops, unsigned nodes, bool verbose,
                       char failure[512]);

#endif
