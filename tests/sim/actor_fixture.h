/* actor_fixture.h - the actors over the memory store on driver_sim, driven from a test: a front
 * actor that sends what the test wants sent and keeps what comes back, a store whose next commits
 * can be made to fail, crashes.
 *
 * One thread, virtual time. What is wrong with the fixture's own use aborts (CHECK); what a test
 * expects it asserts itself. */
#ifndef HOLDFAST_ACTOR_FIXTURE_H
#define HOLDFAST_ACTOR_FIXTURE_H

#include "actors/actors.h"
#include "actors/catalog/catalog.h"
#include "actors/store/messages.h"
#include "actors/user/op.h"
#include "holdfast/driver.h"

#define FIXTURE_ASKS_MAX 16384u
#define FIXTURE_LOOPS_MAX 4u
#define FIXTURE_SCALE 2u
#define FIXTURE_ASSET "GOLD" /* made by fixture_new; number 1 */

enum fixture_fate { /* of a commit */
                    FATE_DONE,
                    FATE_REFUSED,      /* surely not done */
                    FATE_UNKNOWN_DONE, /* its answer is lost */
                    FATE_UNKNOWN_LOST, /* neither done nor answered */
};

struct fixture_config {     /* zeroes: the defaults in brackets */
  unsigned loops;           /* [2] */
  unsigned partition_bits;  /* [2] */
  unsigned live_actors_max; /* per loop [10000] */
  unsigned overflow_max;    /* of rt_config */
  unsigned batch_units_max; /* [8192] */
  unsigned buggify_percent; /* [0] */
  unsigned job_us_max;      /* a job's answer takes 1000 us to this [1000] */
  uint64_t sweep_every_us;  /* [0: never] */
  uint64_t seed;            /* [1] */
};

struct fixture_ask {
  void *payload; /* NULL: free */
  uint16_t op;   /* as sent */
  uint16_t reply;
  bool answered;
};

struct fixture {
  struct store_engine engine; /* what the port gets; first */
  struct store_engine *inner; /* the disk: survives crashes */
  struct rt_driver *driver;
  rt *runtime;
  struct store_port *port;
  struct hf_setup setup;
  struct fixture_config config;
  rt_ctx *loops[FIXTURE_LOOPS_MAX];
  struct fixture_ask *asks;
  unsigned asks_used;          /* slots that were ever in use */
  enum fixture_fate fates[64]; /* of the next commits, first first */
  unsigned fates_count;
  bool down;              /* the store refuses everything */
  unsigned broken;        /* a partition that does not open */
  unsigned broken_status; /* how: enum store_status; STORE_OK: all open */
  unsigned assets_hidden; /* so many of the last assets no read of the catalogue tells */
  bool assets_torn;       /* nor the first one */
  /* Sees each read that the engine has answered, and may change what it says. */
  void (*spoil)(struct fixture *fixture, struct store_request *request);
  hf_id spoiled;    /* whose */
  unsigned logged;  /* lines */
  char logline[96]; /* the last one's text */
  uint64_t commits;
  uint64_t reads[STORE_LEASE + 1u]; /* by kind */
};

struct fixture *fixture_new(struct fixture_config config);
/* Drains and frees; CHECKs that the drain was complete. */
void fixture_free(struct fixture *fixture);
/* The process dies where it is and starts again on the same store; what was asked is forgotten. */
void fixture_crash(struct fixture *fixture);
void fixture_fate(struct fixture *fixture, enum fixture_fate fate);

/* Virtual time. */
uint64_t fixture_now_us(const struct fixture *fixture);
int64_t fixture_wall_us(const struct fixture *fixture);
void fixture_run(struct fixture *fixture, uint64_t us);
/* One event; CHECKs that there is one. */
void fixture_step(struct fixture *fixture);
/* So many, or all that there are. */
void fixture_steps(struct fixture *fixture, unsigned count);

/* Sends from the front actor of `loop`; the payload is the fixture's until it is taken back. */
struct fixture_ask *fixture_send(struct fixture *fixture, unsigned loop, rt_id to, uint16_t op,
                                 void *payload);
/* Runs until it is answered; CHECKs that this takes less than 10 virtual minutes. Frees the slot;
 * the payload is the caller's. */
void *fixture_take(struct fixture *fixture, struct fixture_ask *ask);

/* ---- operations ------------------------------------------------------------------------------ */

struct outcome {
  enum hf_error error;
  bool replayed;
  hf_id op;
  unsigned entries;
  struct ledger_entry first, last; /* their `others` are gone */
};

/* An op with the idempotency key `key` (NULL: a new one each time); amount in base units, 0: not
 * given. The caller may still change it until it is sent. */
struct hf_op *fixture_op(struct fixture *fixture, hf_id user, unsigned type, int64_t amount,
                         const char *key);
struct hf_op *fixture_op_ref(struct fixture *fixture, hf_id user, unsigned type, hf_id ref,
                             int64_t amount, const char *key);
struct hf_op *fixture_op_transfer(struct fixture *fixture, hf_id payer, hf_id payee, int64_t amount,
                                  const char *key);
/* Sends an op, or a group by its head, from `loop`. Makes the request digests. */
struct fixture_ask *fixture_submit(struct fixture *fixture, unsigned loop, struct hf_op *op);
/* What became of an op, which is freed. */
struct outcome fixture_outcome(struct fixture *fixture, struct fixture_ask *ask);
/* Both at once, from the first loop. */
struct outcome fixture_do(struct fixture *fixture, struct hf_op *op);
/* Of a group; `outcomes` has room for `count`. */
void fixture_outcomes(struct fixture *fixture, struct fixture_ask *ask, struct outcome *outcomes,
                      unsigned count);

/* ---- the rest -------------------------------------------------------------------------------- */

/* CHECKs that it is made. */
hf_id fixture_user(struct fixture *fixture, const char *external_id);
struct hf_create *fixture_create(const char *external_id, const char *key);
struct fixture_ask *fixture_send_create(struct fixture *fixture, unsigned loop,
                                        struct hf_create *create);
enum hf_error fixture_asset(struct fixture *fixture, const char *code);
enum hf_error fixture_status(struct fixture *fixture, hf_id user, unsigned status);
/* The committed balance, read through the user's actor; CHECKs that it answers. */
struct ledger_balance fixture_balance(struct fixture *fixture, hf_id user);
/* One read straight from the engine, past faults and actors; the caller frees the request. */
void fixture_read(struct fixture *fixture, struct store_request *request);
/* What the journal says that came to an account less what left it, over all users, GOLD only. */
int64_t fixture_account(struct fixture *fixture, unsigned account);
/* Sum over all buckets, debt subtracted. */
int64_t fixture_inside(struct fixture *fixture);
/* Entries of a type in the journal. */
unsigned fixture_count(struct fixture *fixture, unsigned type);

#endif
