/* sealer.c - see the header.
 *
 * Happy path: per partition the journal from where the last seal left off gives the users who
 *   changed; each is read and becomes a leaf; old and new leaves are merged in order into a new
 *   file while the tree grows; then the statement is signed and written.
 * Ways to fail: a read (nothing is sealed, the next run begins anew); the file of leaves is missing
 *   or damaged (all users are looked at, from the first entry on).
 * Invariants: records are in the order of (partition, user id), each user once; a leaf is never
 * older than the entries that the file says it covers. */
#include "server/sealer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "adapters/store/store_admin.h"
#include "server/direct.h"
#include "server/journal.h"

#define WORK_US 20000 /* then it rests */

struct touched { /* a user with entries since the last seal */
  hf_id user;
  UT_hash_handle hh;
};

struct pass {
  struct sealer *sealer;
  struct seal seal;
  struct seal_leaves old, made;
  bool has_old;
  struct seal_record next_old; /* read and not yet merged */
  uint64_t old_left;           /* of the partition, with next_old */
  uint64_t entries, users;     /* for the progress */
  int64_t worked_from_us;
  char *why;
};

static bool refuse(struct pass *pass, const char *text)
{
  snprintf(pass->why, SEAL_WHY_MAX, "%s", text);
  return false;
}

/* Rests in proportion to what it worked. False: it is to stop. */
static bool rest(struct pass *pass)
{
  const struct sealer *sealer = pass->sealer;
  int64_t worked_us = direct_wall_us() - pass->worked_from_us;
  if (sealer->stop != NULL && atomic_load(sealer->stop))
    return refuse(pass, "stopped");
  if (worked_us >= 0 && worked_us < WORK_US)
    return true;
  if (sealer->progress != NULL)
    sealer->progress(sealer->arg, pass->entries, pass->users);
  if (sealer->rest_percent > 0 && worked_us > 0) {
    int64_t rest_us = (worked_us < 1000000 ? worked_us : 1000000) * sealer->rest_percent / 100;
    struct timespec pause = {.tv_sec = rest_us / 1000000, .tv_nsec = rest_us % 1000000 * 1000};
    nanosleep(&pause, NULL);
  }
  pass->worked_from_us = direct_wall_us();
  return true;
}

/* ---- leaves ---------------------------------------------------------------------------------- */

static int by_asset(const void *a, const void *b)
{
  const struct ledger_asset *left = a, *right = b;
  return (left->asset > right->asset) - (left->asset < right->asset);
}

static struct store_request *load(struct store_engine *engine, hf_id user)
{
  struct store_request *request = store_request_new(STORE_LOAD_USER);
  request->load_user.id = user;
  engine->ops->execute(engine, request);
  return request;
}

static void asset_of_entry(const struct ledger_entry *entry, struct ledger_asset *ret_asset)
{
  *ret_asset = (struct ledger_asset){
    .version = entry->version, .asset = entry->asset, .balance = entry->after};
}

/* The user as loaded; false: it has no entries. The assets are sorted in place of the arena. */
static bool newest_leaf(struct store_request *request, struct seal_user *ret_user)
{
  const struct store_loaded_user *loaded = &request->load_user.out;
  if (loaded->entries_count == 0)
    return false;
  struct ledger_asset *assets =
    hf_arena_alloc(&request->arena, loaded->entries_count * sizeof *assets);
  for (size_t i = 0; i < loaded->entries_count; i++)
    asset_of_entry(&loaded->entries[i], &assets[i]);
  qsort(assets, loaded->entries_count, sizeof *assets, by_asset);
  *ret_user = (struct seal_user){.id = request->load_user.id,
                                 .version = loaded->entries[0].version,
                                 .head = loaded->entries[0].hash,
                                 .assets_count = loaded->entries_count,
                                 .assets = assets};
  return true;
}

/* The newest entry of the user, in the asset or any (0), up to `version`. */
static struct store_request *entry_before(struct store_engine *engine, hf_id user, uint16_t asset,
                                          uint64_t version)
{
  struct store_request *request = store_request_new(STORE_LIST_ENTRIES);
  request->list_entries.user = user;
  request->list_entries.asset = asset;
  request->list_entries.before_version = version + 1u;
  request->list_entries.limit = 1;
  request->list_entries.scan_max = 10000;
  engine->ops->execute(engine, request);
  while (request->status == STORE_OK && request->list_entries.entries_count == 0 &&
         request->list_entries.more) { /* a long stretch of other assets */
    uint64_t before = request->list_entries.next_before;
    store_request_free(request);
    request = entry_before(engine, user, asset, before - 1u);
  }
  return request;
}

/* What the asset was at `version`; found false: it had no entry yet. */
static enum hf_error asset_at(struct store_engine *engine, const struct seal_user *newest,
                              size_t index, uint64_t version, struct ledger_asset *ret_asset,
                              bool *ret_found)
{
  *ret_found = newest->assets[index].version <= version;
  if (*ret_found) {
    *ret_asset = newest->assets[index];
    return HF_OK;
  }
  struct store_request *request =
    entry_before(engine, newest->id, newest->assets[index].asset, version);
  enum hf_error error = request->status == STORE_OK ? HF_OK : HF_E_UNAVAILABLE;
  *ret_found = error == HF_OK && request->list_entries.entries_count > 0;
  if (*ret_found)
    asset_of_entry(&request->list_entries.entries[0], ret_asset);
  store_request_free(request);
  return error;
}

static enum hf_error leaf_before(struct store_engine *engine, const struct seal_user *newest,
                                 uint64_t version, struct hf_bytes *bytes)
{
  struct seal_user user = {.id = newest->id, .version = version};
  struct ledger_asset assets[LEDGER_ASSETS_MAX];
  struct store_request *head = entry_before(engine, newest->id, 0, version);
  enum hf_error error = head->status == STORE_OK ? HF_OK : HF_E_UNAVAILABLE;
  if (error == HF_OK &&
      (head->list_entries.entries_count == 0 || head->list_entries.entries[0].version != version))
    error = HF_E_USER_NOT_FOUND;
  if (error == HF_OK)
    user.head = head->list_entries.entries[0].hash;
  store_request_free(head);
  for (size_t i = 0; error == HF_OK && i < newest->assets_count; i++) {
    bool found;
    error = asset_at(engine, newest, i, version, &assets[user.assets_count], &found);
    user.assets_count += found;
  }
  user.assets = assets;
  if (error == HF_OK)
    seal_leaf_encode(&user, bytes);
  return error;
}

enum hf_error sealer_leaf_at(struct store_engine *engine, hf_id user, uint64_t version,
                             struct hf_bytes *bytes)
{
  struct store_request *request = load(engine, user);
  struct seal_user newest;
  enum hf_error error = HF_OK;
  if (request->status == STORE_NOT_FOUND ||
      (request->status == STORE_OK && !newest_leaf(request, &newest)))
    error = HF_E_USER_NOT_FOUND;
  else if (request->status != STORE_OK)
    error = request->status == STORE_CORRUPT ? HF_E_INTERNAL : HF_E_UNAVAILABLE;
  else if (newest.version < version)
    error = HF_E_USER_NOT_FOUND;
  else if (newest.version == version)
    seal_leaf_encode(&newest, bytes);
  else
    error = leaf_before(engine, &newest, version, bytes);
  store_request_free(request);
  return error;
}

/* ---- merging --------------------------------------------------------------------------------- */

static bool put(struct pass *pass, unsigned partition, const struct seal_record *record)
{
  pass->made.parts[partition].count++;
  pass->users++;
  return seal_leaves_put(&pass->made, record) || refuse(pass, "the leaves cannot be written");
}

static bool old_next(struct pass *pass)
{
  return pass->old_left == 0 || seal_leaves_next(&pass->old, &pass->next_old) ||
         refuse(pass, "the old leaves cannot be read");
}

/* Old records of users before `user`; 0: all that are left. The old one of `user` itself goes. */
static bool old_before(struct pass *pass, unsigned partition, hf_id user)
{
  while (pass->old_left > 0 && (user == 0 || pass->next_old.user <= user)) {
    if (pass->next_old.user != user && !put(pass, partition, &pass->next_old))
      return false;
    pass->old_left--;
    if (!old_next(pass))
      return false;
  }
  return true;
}

static bool add_user(struct pass *pass, unsigned partition, hf_id id)
{
  struct store_request *request = load(pass->sealer->engine, id);
  struct seal_user user;
  bool good = request->status == STORE_OK && newest_leaf(request, &user);
  if (good) {
    struct hf_bytes bytes = {0};
    seal_leaf_encode(&user, &bytes);
    struct seal_record record = {
      .user = id, .version = user.version, .leaf = merkle_leaf(bytes.at, bytes.size)};
    hf_bytes_deinit(&bytes);
    good = put(pass, partition, &record);
  } else {
    refuse(pass, "a user cannot be read");
  }
  store_request_free(request);
  return good;
}

/* ---- a partition ----------------------------------------------------------------------------- */

static void touch(struct touched **set, hf_id user)
{
  struct touched *touched;
  HASH_FIND(hh, *set, &user, sizeof user, touched);
  if (touched != NULL)
    return;
  touched = rt_alloc(sizeof *touched);
  touched->user = user;
  HASH_ADD(hh, *set, user, sizeof touched->user, touched);
}

static bool scan(struct pass *pass, unsigned partition, uint64_t from_seq, struct touched **set)
{
  struct journal journal;
  struct journal_entry entry;
  enum journal_status status;
  bool go = true;
  journal_open(&journal, pass->sealer->engine, partition, from_seq);
  while ((status = journal_next(&journal, &entry)) == JOURNAL_ENTRY && go) {
    touch(set, entry.entry->user);
    if (++pass->entries % JOURNAL_PAGE == 0)
      go = rest(pass);
  }
  pass->made.parts[partition].next_seq = journal.next_seq;
  journal_close(&journal);
  if (go && status == JOURNAL_CORRUPT)
    return refuse(pass, "the journal is damaged: run ledger verify");
  if (go && status == JOURNAL_FAILED)
    return refuse(pass, "the journal cannot be read");
  return go;
}

static int by_user(const struct touched *a, const struct touched *b)
{
  return (a->user > b->user) - (a->user < b->user);
}

static bool merge(struct pass *pass, unsigned partition, struct touched *set)
{
  uint64_t done = 0;
  pass->old_left = pass->has_old ? pass->old.parts[partition].count : 0;
  if (!old_next(pass))
    return false;
  for (const struct touched *touched = set; touched != NULL; touched = touched->hh.next)
    if (!old_before(pass, partition, touched->user) || !add_user(pass, partition, touched->user) ||
        (++done % 256u == 0 && !rest(pass)))
      return false;
  return old_before(pass, partition, 0);
}

static bool on_batch(void *arg, const struct store_batch *batch)
{
  *(struct store_batch *)arg = *batch;
  return false;
}

enum hf_error sealer_batch_wrong(struct store_engine *engine, unsigned partition,
                                 const struct seal_batch *sealed, const char **ret_what)
{
  struct store_batch batch = {0};
  *ret_what = NULL;
  if (sealed->number == 0)
    return HF_OK;
  enum hf_error error = store_admin_of(engine)->each_batch(engine, partition, sealed->number,
                                                           sealed->number, on_batch, &batch);
  if (error == HF_OK && batch.number != sealed->number)
    *ret_what = "a sealed batch is missing";
  else if (error == HF_OK && !hf_hash_equal(&sealed->hash, &batch.hash))
    *ret_what = "a sealed batch has another hash now";
  return error;
}

/* What the last seal saw is still there. */
static bool goes_on(const struct pass *pass, unsigned partition)
{
  const struct seal_folder *folder = pass->sealer->folder;
  const char *what = NULL;
  return folder->newest == 0 ||
         (sealer_batch_wrong(pass->sealer->engine, partition, &folder->last.batches[partition],
                             &what) == HF_OK &&
          what == NULL);
}

static bool seal_partition(struct pass *pass, unsigned partition)
{
  const struct store_admin_ops *admin = store_admin_of(pass->sealer->engine);
  struct store_batch batch;
  struct touched *set = NULL, *touched, *next;
  uint64_t from = pass->has_old ? pass->old.parts[partition].next_seq : 1u;
  /* Before the users are read: what the batch covers, the leaves cover too. */
  if (admin->newest_batch(pass->sealer->engine, partition, &batch) != HF_OK)
    return refuse(pass, "the batches cannot be read");
  if (!goes_on(pass, partition))
    return refuse(pass, "the database is not what the last seal saw: run ledger verify");
  pass->seal.batches[partition] = (struct seal_batch){.number = batch.number, .hash = batch.hash};
  bool good = scan(pass, partition, from, &set);
  if (good && set != NULL)
    HASH_SORT(set, by_user);
  good = good && merge(pass, partition, set);
  HASH_ITER (hh, set, touched, next) {
    HASH_DEL(set, touched);
    rt_free(touched);
  }
  return good;
}

/* ---- a seal ---------------------------------------------------------------------------------- */

void sealer_leaves_path(const struct seal_folder *folder, char out[SEAL_PATH_MAX + 32u])
{
  snprintf(out, SEAL_PATH_MAX + 32u, "%s/users.leaves", folder->path);
}

static bool collect(struct pass *pass, const char *path)
{
  struct sealer *sealer = pass->sealer;
  unsigned bits = sealer->engine->partition_bits;
  bool good = true;
  pass->entries = pass->users = 0;
  if (!seal_leaves_begin(&pass->made, path, sealer->folder->newest + 1u, bits))
    return refuse(pass, strerror(errno));
  for (unsigned i = 0; good && i < 1u << bits; i++)
    good = seal_partition(pass, i);
  if (good && pass->has_old && !seal_leaves_sound(&pass->old))
    good = refuse(pass, "the old leaves are damaged");
  if (good && !seal_leaves_end(&pass->made))
    good = refuse(pass, strerror(errno));
  pass->seal.users_count = pass->made.count;
  pass->seal.users_root = merkle_root(&pass->made.tree);
  seal_leaves_close(&pass->made);
  return good;
}

static bool stopped(const struct sealer *sealer)
{
  return sealer->stop != NULL && atomic_load(sealer->stop);
}

bool sealer_run(struct sealer *sealer, char ret_why[SEAL_WHY_MAX])
{
  char path[SEAL_PATH_MAX + 32u];
  CHECK(store_admin_of(sealer->engine) != NULL);
  if (!seal_folder_whole(sealer->folder, ret_why)) /* before the leaves are exchanged */
    return false;
  struct pass *pass = rt_alloc(sizeof *pass);
  pass->sealer = sealer;
  pass->why = ret_why;
  pass->worked_from_us = direct_wall_us();
  pass->seal.partition_bits = sealer->engine->partition_bits;
  sealer_leaves_path(sealer->folder, path);
  pass->has_old =
    sealer->folder->newest > 0 &&
    seal_leaves_open(&pass->old, path, sealer->folder->newest, sealer->engine->partition_bits);
  bool had_old = pass->has_old;
  bool good = collect(pass, path);
  if (pass->has_old)
    seal_leaves_close(&pass->old);
  if (!good && had_old && !stopped(sealer)) { /* once more without what may be damaged */
    pass->has_old = false;
    good = collect(pass, path);
  }
  if (good) {
    pass->seal.time_us = direct_wall_us();
    good = seal_folder_add(sealer->folder, &pass->seal, ret_why);
  }
  rt_free(pass);
  return good;
}
