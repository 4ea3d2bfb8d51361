/* store_memory.c - the engine: a lock around the work of memory_*.c, and its end. */
#include "adapters/store_memory/store_memory.h"

#include "adapters/store_memory/memory.h"

static struct memory_store *store_of(struct store_engine *engine)
{
  return (struct memory_store *)(void *)engine; /* its first member */
}

static void lock(struct memory_store *store)
{
  int failed = pthread_mutex_lock(&store->lock);

  CHECK(failed == 0);
}

static void unlock(struct memory_store *store)
{
  int failed = pthread_mutex_unlock(&store->lock);

  CHECK(failed == 0);
}

static void engine_execute(struct store_engine *engine, struct store_request *request)
{
  struct memory_store *store = store_of(engine);

  lock(store);
  if (request->kind == STORE_COMMIT)
    memory_commit(store, request);
  else
    memory_read(store, request);
  unlock(store);
}

static void engine_commit_many(struct store_engine *engine, struct store_request **requests,
                               size_t count)
{
  struct memory_store *store = store_of(engine);

  lock(store);
  for (size_t i = 0; i < count; i++) {
    CHECK(requests[i]->kind == STORE_COMMIT);
    memory_commit(store, requests[i]);
    requests[i]->commit.leads = i == 0;
  }
  unlock(store);
}

static void partition_deinit(struct memory_partition *partition)
{
  struct memory_user *user, *next_user;
  struct memory_reversals *reversals, *next_reversals;

  HASH_ITER (hh, partition->users, user, next_user) {
    rt_free(user->seqs);
    rt_free(user->backdated);
    rt_free(user->holds.at);
    rt_free(user->open_holds.at);
    rt_free(user->open_blocks.at);
  }
  HASH_ITER (hh, partition->reversals, reversals, next_reversals) {
    rt_free(reversals->rows);
  }
  HASH_CLEAR(hh, partition->users);
  HASH_CLEAR(hh, partition->names);
  HASH_CLEAR(hh, partition->holds);
  HASH_CLEAR(hh, partition->blocks);
  HASH_CLEAR(hh, partition->transfers);
  HASH_CLEAR(hh, partition->reversals);
  HASH_CLEAR(hh, partition->metas);
  HASH_CLEAR(hh, partition->keys);
  memory_order_deinit(&partition->due);
  memory_order_deinit(&partition->transit);
  memory_order_deinit(&partition->reserved);
  rt_free(partition->batches);
  rt_free(partition->entries);
}

static void engine_close(struct store_engine *engine)
{
  struct memory_store *store = store_of(engine);
  int failed;

  for (uint32_t i = 0; i < 1u << engine->partition_bits; i++)
    partition_deinit(&store->partitions[i]);
  rt_free(store->partitions);
  rt_free(store->assets);
  rt_free(store->keys);
  hf_arena_free(&store->arena);
  failed = pthread_mutex_destroy(&store->lock);
  CHECK(failed == 0);
  rt_free(store);
}

struct store_engine *store_memory_new(unsigned partition_bits)
{
  static const struct store_engine_ops ops = {
    .name = "memory",
    .execute = engine_execute,
    .commit_many = engine_commit_many,
    .close = engine_close,
  };
  struct memory_store *store = rt_alloc(sizeof *store);
  int failed = pthread_mutex_init(&store->lock, NULL);

  CHECK(failed == 0);
  CHECK(partition_bits <= HF_PARTITION_BITS_MAX);
  store->engine = (struct store_engine){.ops = &ops, .partition_bits = partition_bits};
  store->partitions = rt_alloc((sizeof *store->partitions) << partition_bits);
  return &store->engine;
}
