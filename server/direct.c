/* A batch of one unit, built as the store actor builds its batches. */
#include "server/direct.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "actors/store/unit.h"
#include "adapters/store/store_admin.h"

#define KEY_SECRET_SIZE 40u
#define KEY_ID_SIZE 12u

int64_t direct_wall_us(void)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Commits one unit to its partition: opens the partition (a new epoch), numbers, hashes, writes. */
static enum hf_error direct_commit(struct store_engine *engine, struct store_unit *unit)
{
  enum hf_error error = HF_E_UNAVAILABLE;
  struct store_batch_hasher hasher;
  struct store_request *commit = NULL;
  struct store_request *open = store_request_new(STORE_OPEN_PARTITION);
  open->open_partition.partition = unit->partition;
  engine->ops->execute(engine, open);
  if (open->status != STORE_OK)
    goto out;
  struct store_batch batch = {
    .partition = unit->partition,
    .number = open->open_partition.next_batch,
    .epoch = open->open_partition.epoch,
    .first_seq = open->open_partition.next_seq,
    .entries_count = unit->entries_count,
    .outcomes_count = unit->has_outcome,
    .rows_count = unit->rows_count,
    .committed_us = direct_wall_us(),
    .previous = open->open_partition.head,
  };
  store_unit_number(unit, batch.first_seq, engine->partition_bits);
  store_batch_begin(&hasher);
  for (unsigned i = 0; i < unit->entries_count; i++)
    store_batch_entry(&hasher, &unit->entries[i].hash);
  if (unit->has_outcome)
    store_batch_outcome(&hasher, &unit->outcome);
  store_batch_end(&hasher, &batch);
  commit = store_request_new(STORE_COMMIT);
  commit->commit.batches = &batch;
  commit->commit.batches_count = 1;
  commit->commit.units = &unit;
  commit->commit.units_count = 1;
  engine->ops->commit_many(engine, &commit, 1);
  if (commit->status == STORE_OK)
    error = HF_OK;
  else if (commit->status == STORE_CONFLICT)
    error = HF_E_KEY_CONFLICT;
out:
  store_request_free(open);
  if (commit != NULL)
    store_request_free(commit);
  return error;
}

enum hf_error direct_key_put(struct store_engine *engine, struct store_key_row *key)
{
  const struct store_admin_ops *admin = store_admin_of(engine);
  struct store_row row = {
    .table = STORE_T_KEY, .action = key->revoked_us == 0 ? STORE_INSERT : STORE_UPDATE, .key = key};
  struct store_unit unit = {.rows = &row, .rows_count = 1};
  if (admin != NULL && admin->key_put != NULL)
    return admin->key_put(engine, key);
  return direct_commit(engine, &unit);
}

struct store_request *direct_catalog(struct store_engine *engine)
{
  struct store_request *request = store_request_new(STORE_CATALOG);
  engine->ops->execute(engine, request);
  if (request->status == STORE_OK)
    return request;
  store_request_free(request);
  return NULL;
}

/* Uniform letters of `alphabet`: bytes that would favour some of them are thrown away. */
static void random_text(const char *alphabet, size_t size, char *out)
{
  size_t letters = strlen(alphabet);
  size_t limit = 256u - 256u % letters;
  for (size_t i = 0; i < size;) {
    uint8_t byte;
    hf_random_bytes(&byte, sizeof byte);
    if (byte < limit)
      out[i++] = alphabet[byte % letters];
  }
  out[size] = '\0';
}

enum hf_error direct_key_create(struct store_engine *engine, const char *id, const char *name,
                                uint32_t scopes, char text[HF_KEY_TEXT_MAX])
{
  char secret[KEY_SECRET_SIZE + 1u];
  struct store_key_row key = {.scopes = scopes, .created_us = direct_wall_us()};
  if (id != NULL)
    snprintf(key.id, sizeof key.id, "%s", id);
  else
    random_text("abcdefghijklmnopqrstuvwxyz0123456789", KEY_ID_SIZE, key.id);
  random_text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", KEY_SECRET_SIZE,
              secret);
  snprintf(key.name, sizeof key.name, "%s", name);
  key.secret = hf_sha256(secret, strlen(secret));
  enum hf_error error = direct_key_put(engine, &key);
  if (error == HF_OK)
    snprintf(text, HF_KEY_TEXT_MAX, "hfk_%s_%s", key.id, secret);
  return error;
}
