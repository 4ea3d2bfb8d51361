/* store.h - the store actor's own state: partitions, lanes, the commits in flight. Internal.
 *
 * One per loop. It numbers units, hashes batches, keeps at most one commit per lane in flight, and
 * turns the port's answers into one reply per unit. It does no I/O: the port does. */
#ifndef HOLDFAST_STORE_H
#define HOLDFAST_STORE_H

#include "actors/actors.h"
#include "actors/cluster/cluster.h"
#include "actors/store/messages.h"
#include "actors/store/port.h"
#include "actors/store/unit.h"

#define STORE_BACKOFF_MIN_US 100000u
#define STORE_BACKOFF_MAX_US 1000000u /* an outage is over for the callers soon after it is over */
#define STORE_BREAKER_FAILURES 3u     /* in a row: the breaker opens, units are refused at once */
#define STORE_VAIN_MAX 2u     /* openings in vain: a partition's requests are refused at once */
#define STORE_READS_MAX 4096u /* in the port at a time; more wait in a list as long again */

/* Why somebody reads, in the order in which those that wait go. What is only asked out of interest
 * has few places in the port, so that what a write waits for never stands behind much of it. */
enum read_class {
  READ_INNER, /* of an actor: a user wakes up, a key is looked up, a heartbeat */
  READ_POINT, /* of a client: a row */
  READ_MANY,  /* of a client: a page of many rows, or a sum over them */
  READ_CLASSES
};

struct unit_list {
  struct store_unit *first, *last;
  uint32_t count;
};

struct read_list {                    /* of a class */
  struct store_request *first, *last; /* waiting for the port */
  uint32_t waiting;
  uint32_t in_port;
};

enum partition_state {
  PARTITION_CLOSED,  /* never opened, or lost: its next commit needs a new epoch */
  PARTITION_OPENING, /* the port is asked */
  PARTITION_OPEN,
};

struct partition { /* one whose actors live on this loop, whichever node has it */
  uint32_t number;
  uint8_t state; /* enum partition_state; moved by partition_move only */
  uint8_t lane;
  bool owned;     /* this node's: opened, and opened again when lost */
  bool releasing; /* takes nothing more; given up once nothing of it is under way */
  bool flying;    /* a batch of it is in its lane's flight */
  bool stale;     /* it was not ours in between: what is under way counts for nothing later, and it
                     is opened anew when that is back */
  bool known;     /* was open before: head and before are what this writer left off at */
  bool told_open; /* what names, transit and sweep were told last, or are about to be */
  uint8_t vain;   /* openings that failed in a row, up to STORE_VAIN_MAX; a corrupt one is all */
  uint8_t untold; /* bits: which of them are still to be told */
  bool lost;      /* the keeper is still to be told that another writer was here */
  uint64_t epoch, next_batch, next_seq;
  uint64_t next_user_serial; /* as read when it was opened */
  struct hf_hash head;
  struct hf_hash before; /* a batch of unknown outcome ends in head or in this */
  struct unit_list pending;
  /* Reads of its actors that wait until it is open: shared stores only. */
  struct store_request *held_first, *held_last;
  /* The keeper's RELEASE; RT_ID_NONE: none. */
  rt_id release_asker;
  uint32_t release_corr;
};

struct lane { /* partitions that commit together; at most one commit in flight */
  struct store_request *flight;
  uint32_t flight_units;
  uint32_t pending;
  uint32_t start;     /* batches begin at another partition each time */
  uint64_t oldest_us; /* when the first of the pending units came */
};

struct store_actor {
  const struct hf_setup *setup;
  struct partition *partitions;
  unsigned partitions_count;
  struct lane *lanes;
  unsigned lanes_count;
  unsigned opened;   /* partitions in PARTITION_OPEN */
  unsigned opening;  /* partitions in PARTITION_OPENING */
  unsigned owned;    /* partitions that are this node's */
  unsigned vain;     /* partitions that open in vain */
  bool shared;       /* the port's */
  bool telling;      /* the timer runs that tells what found no room */
  unsigned failures; /* in a row */
  bool backing_off;  /* the reopen timer runs */
  bool ready;        /* all partitions were open once and the catalog was told */
  bool projecting;
  bool committed_since_tick;
  unsigned project_next;
  struct store_fence *fences; /* users who must not write until they RESUME */
  unsigned reads;             /* in the port */
  struct read_list read_lists[READ_CLASSES];
  unsigned reads_held; /* over all partitions */
};

enum store_timer {
  STORE_TIMER_REOPEN = 1,
  STORE_TIMER_PROJECT,
  STORE_TIMER_READS,
  STORE_TIMER_TELL
};

/* What the loop's actors see of a partition. */
static inline struct cluster_place *store_place(rt_ctx *ctx, uint32_t partition)
{
  struct cluster *cluster = rt_local(ctx, HF_LOCAL_CLUSTER);
  return &cluster->places[partition];
}

/* store_own.c: whose a partition is, and who has to know. */
void store_own(rt_ctx *ctx, struct store_actor *store, uint32_t number);
void store_drop(rt_ctx *ctx, struct store_actor *store, uint32_t number);
void store_release(rt_ctx *ctx, struct store_actor *store, const rt_env *env);
/* Another writer was here: the partition is given up until the keeper knows whose it is. */
void store_lost(rt_ctx *ctx, struct store_actor *store, struct partition *partition);
/* A commit or an opening of the partition is back: closes it if it was dropped meanwhile, and ends
 * a release that waited for it. */
void store_landed(rt_ctx *ctx, struct store_actor *store, struct partition *partition);
/* Tells the partition's actors that it is open, or closed; goes on later when there is no room. */
void store_announce(rt_ctx *ctx, struct store_actor *store, struct partition *partition, bool open);
void store_tell(rt_ctx *ctx, struct store_actor *store);

/* store_open.c: partitions and their opening. */
void store_open_all(rt_ctx *ctx, struct store_actor *store);
void store_opened(rt_ctx *ctx, struct store_actor *store, struct store_request *request);
void partition_move(rt_ctx *ctx, struct store_actor *store, struct partition *partition,
                    unsigned state);
struct partition *store_partition_of(struct store_actor *store, uint32_t number, unsigned loops);
/* The partition does not open although the store may serve others: nobody waits for it. */
static inline bool partition_in_vain(const struct partition *partition)
{
  return partition->vain >= STORE_VAIN_MAX;
}
void partition_vain_set(rt_ctx *ctx, struct store_actor *store, struct partition *partition,
                        unsigned vain);

/* A commit or an opening failed, or a commit succeeded: the breaker counts failures in a row. */
void store_failed(rt_ctx *ctx, struct store_actor *store);
static inline bool store_breaker(const struct store_actor *store)
{
  return store->failures >= STORE_BREAKER_FAILURES;
}
void store_succeeded(rt_ctx *ctx, struct store_actor *store);
/* Whoever follows the partition's journal can read up to `seq`. */
void store_tell_tail(const struct store_actor *store, const struct partition *partition,
                     uint64_t seq);
/* Opens the closed partitions after a backoff that grows with the failures. */
void store_reopen_later(rt_ctx *ctx, struct store_actor *store);

/* store_commit.c: batches. */
/* Takes a unit, or a whole chain of tied ones by ->next. */
void store_persist(rt_ctx *ctx, struct store_actor *store, struct store_unit *first);
void store_flush(rt_ctx *ctx, struct store_actor *store);
void store_committed(rt_ctx *ctx, struct store_actor *store, struct store_request *request);
/* Answers all that waits in the partition with `status`. */
void store_refuse_pending(rt_ctx *ctx, struct store_actor *store, struct partition *partition,
                          unsigned status);

/* store_fence.c */
bool store_fenced(const struct store_actor *store, hf_id user);
void store_fence_add(struct store_actor *store, hf_id user); /* 0: nobody */
void store_fence_remove(struct store_actor *store, hf_id user);
void store_fence_clear(struct store_actor *store);

/* store_read.c: reads and the lazy projection. */
void store_read(rt_ctx *ctx, struct store_actor *store, struct store_request *request);
void store_read_done(rt_ctx *ctx, struct store_actor *store, struct store_request *request);
void store_read_resume(rt_ctx *ctx, struct store_actor *store);
bool store_reads_wait(const struct store_actor *store);
/* The partition is open: its held reads go. */
void store_held_go(rt_ctx *ctx, struct store_actor *store, struct partition *partition);
/* It is not ours, opens in vain, or the store keeps failing: they are refused. */
void store_held_refuse(rt_ctx *ctx, struct store_actor *store, struct partition *partition);
void store_project(rt_ctx *ctx, struct store_actor *store);
void store_projected(rt_ctx *ctx, struct store_actor *store, struct store_request *request);

#endif
