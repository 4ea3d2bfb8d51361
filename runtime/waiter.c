/* Asks that an actor took and will answer later: a hash table for rt_reply, and a list for each
 * actor, so that its failure answers them all.
 *
 * Invariant: an ask is in the table iff its actor got it, returned without answering it, and has
 * neither answered nor failed since. */
#include "holdfast/check.h"
#include "internal.h"

#define WAITERS_SIZE_MIN 64u

static uint64_t hash_of(rt_id actor, rt_id from, uint32_t corr)
{
  return dir_hash(from ^ ((uint64_t)corr << 20) ^ dir_hash(actor));
}

static void grow(rt_ctx *ctx)
{
  uint32_t size = ctx->waiters == NULL ? WAITERS_SIZE_MIN : (ctx->waiters_mask + 1) * 2;
  struct waiter **table = rt_alloc(size * sizeof *table);
  for (uint32_t i = 0; ctx->waiters != NULL && i <= ctx->waiters_mask; i++) {
    while (ctx->waiters[i] != NULL) {
      struct waiter *waiter = ctx->waiters[i];
      ctx->waiters[i] = waiter->hash_next;
      uint64_t hash = hash_of(waiter->env.to, waiter->env.from, waiter->env.corr);
      uint64_t at = hash & (size - 1);
      waiter->hash_next = table[at];
      table[at] = waiter;
    }
  }
  rt_free((void *)ctx->waiters);
  ctx->waiters = table;
  ctx->waiters_mask = size - 1;
}

void waiter_add(rt_ctx *ctx, struct actor *actor, const rt_env *env)
{
  CHECK((env->flags & RT_F_ASK) != 0 && env->to == actor->id);
  if (ctx->waiters == NULL || ctx->waiters_count > ctx->waiters_mask) {
    grow(ctx);
  }
  struct waiter *waiter = pool_take(&ctx->waiter_pool);
  struct waiter **head =
    &ctx->waiters[hash_of(actor->id, env->from, env->corr) & ctx->waiters_mask];
  waiter->env = *env;
  waiter->hash_next = *head;
  *head = waiter;
  ctx->waiters_count++;
  struct waiter *first = actor->waiters;
  if (first == NULL) {
    waiter->next = waiter;
    waiter->prev = waiter;
    actor->waiters = waiter;
  } else {
    waiter->next = first;
    waiter->prev = first->prev;
    first->prev->next = waiter;
    first->prev = waiter;
  }
}

static void unlink_from_actor(struct actor *actor, struct waiter *waiter)
{
  waiter->prev->next = waiter->next;
  waiter->next->prev = waiter->prev;
  if (actor->waiters == waiter) {
    actor->waiters = waiter->next == waiter ? NULL : waiter->next;
  }
}

static void take(rt_ctx *ctx, struct actor *actor, struct waiter **link)
{
  struct waiter *waiter = *link;
  *link = waiter->hash_next;
  unlink_from_actor(actor, waiter);
  pool_put(&ctx->waiter_pool, waiter);
  ctx->waiters_count--;
}

bool waiter_take(rt_ctx *ctx, struct actor *actor, rt_id from, uint32_t corr)
{
  if (ctx->waiters == NULL) {
    return false;
  }
  struct waiter **link = &ctx->waiters[hash_of(actor->id, from, corr) & ctx->waiters_mask];
  for (; *link != NULL; link = &(*link)->hash_next) {
    const rt_env *env = &(*link)->env;
    if (env->to == actor->id && env->from == from && env->corr == corr) {
      take(ctx, actor, link);
      return true;
    }
  }
  return false;
}

void waiters_down(rt_ctx *ctx, struct actor *actor)
{
  while (actor->waiters != NULL) {
    struct waiter *waiter = actor->waiters;
    const rt_env *env = &waiter->env;
    uint64_t at = hash_of(actor->id, env->from, env->corr) & ctx->waiters_mask;
    struct waiter **link = &ctx->waiters[at];
    while (*link != waiter) {
      link = &(*link)->hash_next;
      CHECK(*link != NULL);
    }
    refuse(ctx, env, RT_OP_DOWN);
    take(ctx, actor, link);
  }
}
