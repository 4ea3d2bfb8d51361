/* user.h - the user actor's own state. Internal to actors/user.
 *
 * One per user that is awake: 128 bytes beside the balances, because a million of them may be.
 * `committed` is what the journal holds and what readers see; `staged` is that plus the ops on
 * their way to it, and exists only while there are some. */
#ifndef HOLDFAST_USER_H
#define HOLDFAST_USER_H

#include "actors/actors.h"
#include "actors/catalog/catalog.h"
#include "actors/cluster/cluster.h"
#include "actors/store/messages.h"
#include "actors/user/op.h"

#define USER_RESUME_RETRY_US 2000u
#define USER_RECENT 1u /* settled keys that are remembered: a quick retry needs no commit */

enum user_state {
  USER_COLD,    /* must be read from the store before it can answer */
  USER_LOADING, /* the read is under way; the gate is closed */
  USER_READY,
  USER_RECOVERING, /* a commit did not take ops: waits until none is pending; gate closed */
};

enum op_state {
  OP_NEW,     /* not judged, or to be judged again */
  OP_WAITING, /* for a read, for an op of the same key, or for another reversal */
  OP_PENDING, /* staged; with the store */
  OP_DONE,    /* its fate is known; a group's head waits for the others */
};

#define KEY_SET_INLINE 4u

struct key_set {        /* pending ops by key: open addressing, backward-shift deletion */
  struct hf_op **slots; /* the inline ones, or rt_alloc'ed */
  uint32_t size, count;
  struct hf_op *few[KEY_SET_INLINE];
};

struct op_list {
  struct hf_op *first, *last;
};

struct user_work {            /* what a user needs only while something is under way */
  struct ledger_user *staged; /* NULL, or staged_room */
  struct ledger_user staged_room;
  struct key_set keys;
  struct op_list retry;    /* to be judged again, in order, when recovered or loaded */
  struct op_list parked;   /* wait for an op of the same key or for another reversal */
  struct hf_view *views;   /* wait for the release of expired holds */
  rt_env *cold;            /* the message that woke a cold actor; handled once loaded */
  struct hf_op *reversing; /* the one reversal that may be under way */
  uint32_t pending;        /* units with the store */
  uint32_t lookups;        /* reads under way for ops */
};

struct user_actor {
  struct ledger_user committed;
  struct user_work *work;   /* while a message is handled, and longer while it is not all empty */
  uint32_t tenure;          /* of the partition (cluster.h) when `committed` was read */
  uint8_t state;            /* enum user_state; moved by user_move only */
  bool missing : 1;         /* no such user, when last read */
  bool reload : 1;          /* recovering ends with a read of the journal */
  bool all_keys_recent : 1; /* every key this user ever used is in `recent` or `keys` */
  uint8_t recent_count, recent_next;
  struct hf_digest recent[USER_RECENT]; /* a ring */
};
_Static_assert(sizeof(struct user_actor) <= 128u, "a million users may be awake");

void user_move(rt_ctx *ctx, struct user_actor *user, enum user_state state);

/* What the next op is judged on. */
static inline const struct ledger_user *user_newest(const struct user_actor *user)
{
  return user->work->staged != NULL ? user->work->staged : &user->committed;
}

/* Somebody else may have written since the user was read: it must be read anew before it judges or
 * answers anything. */
static inline bool user_is_foreign(const rt_ctx *ctx, const struct user_actor *user)
{
  return user->tenure != cluster_tenure(ctx, rt_id_shard(rt_self(ctx)));
}
/* What is committed may be shown: nobody else has written since, and nobody can have. */
static inline bool user_is_true(const rt_ctx *ctx, const struct user_actor *user)
{
  return !user_is_foreign(ctx, user) && cluster_is_here(ctx, rt_id_shard(rt_self(ctx)));
}

/* user_load.c */
void user_load_start(rt_ctx *ctx, struct user_actor *user);
void user_load_done(rt_ctx *ctx, struct user_actor *user, struct store_request *request);

/* user_stage.c: judging. Takes the op (a group's head). Answers, persists, parks or looks up. */
void user_run(rt_ctx *ctx, struct user_actor *user, struct hf_op *op);
/* Stages the release of every hold that has expired. */
void user_expire(rt_ctx *ctx, struct user_actor *user);
/* The staged state, from the committed one; what is staged is pending before the next message. */
void user_staged_begin(struct user_actor *user);
/* Drops the staged state once nothing is pending. */
void user_staged_drop(struct user_actor *user);

/* user_lookup.c: what must be read before an op can be judged. True: nothing is missing. */
bool user_prepare(rt_ctx *ctx, struct user_actor *user, struct hf_op *op);
/* The op names an asset that is not known here: on a shared store another node may have made it. */
bool user_asset_in_doubt(const rt_ctx *ctx, const struct hf_op *op);
void user_read_assets(rt_ctx *ctx, struct user_actor *user, struct hf_op *op);
void user_lookup_done(rt_ctx *ctx, struct user_actor *user, struct store_request *request);
/* Answers the op from what the journal has under its key, without a commit. */
void user_fetch_known(rt_ctx *ctx, struct user_actor *user, struct hf_op *op);

/* user_settle.c */
void user_settled(rt_ctx *ctx, struct user_actor *user, struct store_unit *unit);
/* The op's fate is known: answers it, or its group once all members are done. Takes it, and a whole
 * group with its last open member. */
void user_finish(rt_ctx *ctx, struct user_actor *user, struct hf_op *op, enum hf_error error);
/* The same for the op and every member of its group that is not done: with the error that each has,
 * or with one for all. */
void user_finish_each(rt_ctx *ctx, struct user_actor *user, struct hf_op *head);
void user_finish_all(rt_ctx *ctx, struct user_actor *user, struct hf_op *head, enum hf_error error);
/* Everything under way comes back, then the user is read anew; user_progress goes on with it. */
void user_recover(rt_ctx *ctx, struct user_actor *user, bool reload);
/* To be judged once the user is loaded or recovered; refused when nobody is about to do that. */
void user_retry(rt_ctx *ctx, struct user_actor *user, struct hf_op *head);
/* The journal knows the key: answers from `known` (taken), or with a conflict. */
void user_replay(rt_ctx *ctx, struct user_actor *user, struct hf_op *op, struct store_op *known);
/* After a change: parked ops, waiting views, the end of recovering. */
void user_progress(rt_ctx *ctx, struct user_actor *user);

/* user.c */
int64_t user_wall_us(const rt_ctx *ctx);
void user_view(rt_ctx *ctx, struct user_actor *user, struct hf_view *view);
void user_view_refuse(rt_ctx *ctx, struct hf_view *view);
/* Handles, or refuses as unavailable, the message that woke a cold actor, if there is one. */
void user_message_cold(rt_ctx *ctx, struct user_actor *user, bool refuse);

/* key_set.c */
void key_set_add(struct key_set *set, struct hf_op *op);
void key_set_remove(struct key_set *set, const struct hf_op *op);
struct hf_op *key_set_find(const struct key_set *set, const struct hf_digest *key);
void key_set_deinit(struct key_set *set);

static inline void op_list_append(struct op_list *list, struct hf_op *op)
{
  op->next = NULL;
  if (list->last != NULL)
    list->last->next = op;
  else
    list->first = op;
  list->last = op;
}
static inline struct hf_op *op_list_take(struct op_list *list)
{
  struct hf_op *op = list->first;
  if (op == NULL)
    return NULL;
  list->first = op->next;
  if (list->first == NULL)
    list->last = NULL;
  op->next = NULL;
  return op;
}

#endif
