/* Fenced users: a unit of theirs was handed back, so whatever they sent before they learnt of it
 * was staged on an effect that does not exist. It is handed back too, until the user says RESUME:
 * messages keep their order, so nothing older can come after that. */
#define uthash_malloc(size) rt_alloc(size)
#define uthash_free(block, size) rt_free(block)
#include <uthash.h>

#include "actors/store/store.h"

struct store_fence {
  hf_id user;
  UT_hash_handle hh;
};

bool store_fenced(const struct store_actor *store, hf_id user)
{
  struct store_fence *fence;
  if (store->fences == NULL)
    return false;
  HASH_FIND(hh, store->fences, &user, sizeof user, fence);
  return fence != NULL;
}

void store_fence_add(struct store_actor *store, hf_id user)
{
  if (user == 0 || store_fenced(store, user))
    return;
  struct store_fence *fence = rt_alloc(sizeof *fence);
  fence->user = user;
  HASH_ADD(hh, store->fences, user, sizeof fence->user, fence);
}

void store_fence_remove(struct store_actor *store, hf_id user)
{
  struct store_fence *fence;
  HASH_FIND(hh, store->fences, &user, sizeof user, fence);
  if (fence == NULL)
    return;
  HASH_DEL(store->fences, fence);
  rt_free(fence);
}

void store_fence_clear(struct store_actor *store)
{
  struct store_fence *fence, *next;
  HASH_ITER (hh, store->fences, fence, next) {
    HASH_DEL(store->fences, fence);
    rt_free(fence);
  }
}
