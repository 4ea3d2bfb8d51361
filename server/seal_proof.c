/* See seal_proof.h. */
#include "server/seal_proof.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/seal_leaves.h"
#include "server/sealer.h"

static bool refuse(char why[SEAL_WHY_MAX], const char *text)
{
  snprintf(why, SEAL_WHY_MAX, "%s", text);
  return false;
}

/* ---- making ---------------------------------------------------------------------------------- */

static void put_hashes(struct json_out *out, const struct hf_hash *hashes, size_t count)
{
  json_out_begin_array(out);
  for (size_t i = 0; i < count; i++)
    json_out_hex(out, hashes[i].bytes, sizeof hashes[i].bytes);
  json_out_end_array(out);
}

static bool put_seal(const struct seal_folder *folder, uint64_t number, struct json_out *out,
                     char why[SEAL_WHY_MAX])
{
  struct hf_bytes text = {0};
  bool good = seal_folder_text(folder, number, &text, why);
  if (good)
    json_out_text(out, (const char *)text.at, text.size);
  hf_bytes_deinit(&text);
  return good;
}

struct inclusion {
  struct seal_record record;
  uint64_t index, size;
  size_t count;
  struct hf_hash hashes[MERKLE_PROOF_MAX];
};

static enum hf_error look_up(const struct seal_folder *folder, hf_id user,
                             struct inclusion *inclusion, char why[SEAL_WHY_MAX])
{
  char path[SEAL_PATH_MAX + 32u];
  struct seal_leaves leaves;
  enum hf_error error = HF_OK;
  sealer_leaves_path(folder, path);
  if (folder->newest == 0 ||
      !seal_leaves_open(&leaves, path, folder->newest, folder->last.partition_bits)) {
    refuse(why, "there is no seal with its leaves");
    return HF_E_UNAVAILABLE;
  }
  inclusion->size = leaves.count;
  if (!seal_leaves_find(&leaves, user, &inclusion->index, &inclusion->record))
    error = HF_E_USER_NOT_FOUND;
  else if (!seal_leaves_prove(&leaves, inclusion->index, inclusion->hashes, &inclusion->count) ||
           !merkle_inclusion_holds(inclusion->index, inclusion->size, &inclusion->record.leaf,
                                   inclusion->hashes, inclusion->count, &folder->last.users_root)) {
    refuse(why, "the file of leaves is damaged: the next seal makes it anew");
    error = HF_E_UNAVAILABLE;
  }
  seal_leaves_close(&leaves);
  return error;
}

enum hf_error seal_prove_user(const struct seal_folder *folder, struct store_engine *engine,
                              hf_id user, struct json_out *out, char ret_why[SEAL_WHY_MAX])
{
  struct inclusion inclusion;
  struct hf_bytes leaf = {0};
  enum hf_error error = look_up(folder, user, &inclusion, ret_why);
  if (error != HF_OK)
    return error;
  error = sealer_leaf_at(engine, user, inclusion.record.version, &leaf);
  if (error == HF_OK) {
    struct hf_hash hash = merkle_leaf(leaf.at, leaf.size);
    if (!hf_hash_equal(&hash, &inclusion.record.leaf))
      error = HF_E_INTERNAL;
  }
  if (error != HF_OK) {
    refuse(ret_why, "the journal does not say what was sealed: run ledger verify");
    hf_bytes_deinit(&leaf);
    return error == HF_E_USER_NOT_FOUND ? HF_E_INTERNAL : error;
  }
  json_out_begin_object(out);
  json_out_key(out, "proof");
  json_out_string(out, "inclusion");
  json_out_key(out, "user_id");
  json_out_id(out, user);
  json_out_key(out, "version");
  json_out_unsigned(out, inclusion.record.version);
  json_out_key(out, "leaf");
  json_out_hex(out, leaf.at, leaf.size);
  json_out_key(out, "index");
  json_out_unsigned(out, inclusion.index);
  json_out_key(out, "size");
  json_out_unsigned(out, inclusion.size);
  json_out_key(out, "hashes");
  put_hashes(out, inclusion.hashes, inclusion.count);
  json_out_key(out, "seal");
  bool good = put_seal(folder, folder->newest, out, ret_why);
  json_out_end_object(out);
  hf_bytes_deinit(&leaf);
  return good ? HF_OK : HF_E_UNAVAILABLE;
}

/* The statements 1..to-1 through a proof. */
static bool feed_log(const struct seal_folder *folder, uint64_t size, struct merkle_proof *proof,
                     char why[SEAL_WHY_MAX])
{
  struct hf_bytes text = {0};
  bool good = true;
  for (uint64_t i = 1; good && i <= size; i++) {
    hf_bytes_clear(&text);
    good = seal_folder_text(folder, i, &text, why);
    struct hf_hash leaf = good ? merkle_leaf(text.at, text.size) : (struct hf_hash){{0}};
    if (good)
      merkle_proof_feed(proof, &leaf);
  }
  hf_bytes_deinit(&text);
  return good;
}

static bool put_log_proof(const struct seal_folder *folder, uint64_t size,
                          struct merkle_proof *proof, struct json_out *out, char why[SEAL_WHY_MAX])
{
  struct hf_hash hashes[MERKLE_PROOF_MAX];
  bool good = feed_log(folder, size, proof, why);
  if (good)
    put_hashes(out, hashes, merkle_proof_end(proof, hashes));
  merkle_proof_free(proof);
  return good;
}

bool seal_prove_log(const struct seal_folder *folder, uint64_t from, uint64_t to,
                    struct json_out *out, char ret_why[SEAL_WHY_MAX])
{
  if (from == 0 || from >= to || to > folder->newest) {
    snprintf(ret_why, SEAL_WHY_MAX,
             "no seal %" PRIu64 " with a newer seal %" PRIu64
             " in the folder, which has 1 to %" PRIu64,
             from, to, folder->newest);
    return false;
  }
  json_out_begin_object(out);
  json_out_key(out, "proof");
  json_out_string(out, "consistency");
  json_out_key(out, "inclusion");
  struct merkle_proof *inclusion = merkle_inclusion_new(from - 1u, to - 1u);
  bool good = put_log_proof(folder, to - 1u, inclusion, out, ret_why);
  json_out_key(out, "consistency");
  if (from == 1u)
    put_hashes(out, NULL, 0); /* its log is empty: every log begins with that */
  else
    good = good &&
           put_log_proof(folder, to - 1u, merkle_consistency_new(from - 1u, to - 1u), out, ret_why);
  json_out_key(out, "from");
  good = good && put_seal(folder, from, out, ret_why);
  json_out_key(out, "to");
  good = good && put_seal(folder, to, out, ret_why);
  json_out_end_object(out);
  return good;
}

/* ---- checking, of bytes from anywhere -------------------------------------------------------- */

static bool take_hashes(const json_t *array, struct hf_hash hashes[MERKLE_PROOF_MAX],
                        size_t *ret_count)
{
  size_t count = json_array_size(array);
  if (!json_is_array(array) || count > MERKLE_PROOF_MAX)
    return false;
  for (size_t i = 0; i < count; i++) {
    const json_t *item = json_array_get(array, i);
    if (!json_is_string(item) || !hf_unhex(json_string_value(item), json_string_length(item),
                                           hashes[i].bytes, sizeof hashes[i].bytes))
      return false;
  }
  *ret_count = count;
  return true;
}

static const char *take_seal(const json_t *text, const uint8_t *key, struct seal *seal)
{
  if (!json_is_string(text))
    return "it has no seal";
  const char *wrong = seal_read(json_string_value(text), json_string_length(text), seal);
  if (wrong == NULL && key != NULL && memcmp(seal->key, key, HF_SIGN_KEY_SIZE) != 0)
    wrong = "the seal is signed with another key";
  return wrong;
}

static bool take_unsigned(const json_t *proof, const char *name, uint64_t *ret)
{
  const json_t *value = json_object_get(proof, name);
  if (!json_is_integer(value) || json_integer_value(value) < 0)
    return false; /* what is missing is no 0 */
  *ret = (uint64_t)json_integer_value(value);
  return true;
}

static const char *check_inclusion(const json_t *proof, const uint8_t *key, struct seal *seal)
{
  struct hf_hash hashes[MERKLE_PROOF_MAX];
  struct hf_bytes bytes = {0};
  struct hf_arena arena = {0};
  struct seal_user user;
  size_t count;
  const json_t *leaf = json_object_get(proof, "leaf"), *id = json_object_get(proof, "user_id");
  hf_id wanted = 0;
  uint64_t version = 0, index = 0, users_count = 0;
  const char *wrong = take_seal(json_object_get(proof, "seal"), key, seal);
  if (wrong != NULL)
    return wrong;
  size_t size = json_string_length(leaf) / 2u;
  uint8_t *room = hf_bytes_reserve(&bytes, size + 1u);
  if (!take_hashes(json_object_get(proof, "hashes"), hashes, &count) || !json_is_string(leaf) ||
      !hf_unhex(json_string_value(leaf), json_string_length(leaf), room, size))
    wrong = "its hashes or its leaf are not hex";
  else if (!seal_leaf_decode(room, size, &arena, &user))
    wrong = "its leaf is none";
  else if (!take_unsigned(proof, "version", &version) || !take_unsigned(proof, "index", &index) ||
           !take_unsigned(proof, "size", &users_count))
    wrong = "its version, its index or its size is no number";
  else if (!json_is_string(id) ||
           !hf_id_parse(json_string_value(id), json_string_length(id), &wanted) ||
           wanted != user.id || version != user.version)
    wrong = "the leaf is of another user or version";
  if (wrong == NULL) {
    struct hf_hash hash = merkle_leaf(room, size);
    if (users_count != seal->users_count ||
        !merkle_inclusion_holds(index, users_count, &hash, hashes, count, &seal->users_root))
      wrong = "the leaf is not under the seal's root";
  }
  hf_arena_free(&arena);
  hf_bytes_deinit(&bytes);
  return wrong;
}

static const char *check_log(const json_t *proof, const uint8_t *key, struct seal *from,
                             struct seal *to)
{
  struct hf_hash hashes[MERKLE_PROOF_MAX];
  size_t count;
  const json_t *text = json_object_get(proof, "from");
  const char *wrong = take_seal(text, key, from);
  if (wrong == NULL)
    wrong = take_seal(json_object_get(proof, "to"), key, to);
  if (wrong != NULL)
    return wrong;
  struct hf_hash leaf = merkle_leaf(json_string_value(text), json_string_length(text));
  if (from->number >= to->number)
    return "the seals are in the wrong order";
  if (!take_hashes(json_object_get(proof, "inclusion"), hashes, &count) ||
      !merkle_inclusion_holds(from->number - 1u, to->log_size, &leaf, hashes, count, &to->log_root))
    return "the older seal is not in the newer one's log";
  if (!take_hashes(json_object_get(proof, "consistency"), hashes, &count))
    return "its hashes are not hex";
  if (from->log_size > 0 && !merkle_consistency_holds(from->log_size, to->log_size, &from->log_root,
                                                      &to->log_root, hashes, count))
    return "the newer seal's log does not begin with the older one's";
  return NULL;
}

const char *seal_check(const json_t *proof, const uint8_t *key)
{
  const char *kind = json_string_value(json_object_get(proof, "proof"));
  struct seal *seals = rt_alloc(2u * sizeof *seals);
  const char *wrong = "it is no proof";
  if (kind != NULL && strcmp(kind, "inclusion") == 0)
    wrong = check_inclusion(proof, key, &seals[0]);
  else if (kind != NULL && strcmp(kind, "consistency") == 0)
    wrong = check_log(proof, key, &seals[0], &seals[1]);
  rt_free(seals);
  return wrong;
}

/* ---- the database against its seals ---------------------------------------------------------- */

static void find(struct seal_report *report, const struct seal_finding *finding)
{
  report->findings++;
  if (report->found != NULL)
    report->found(report->arg, finding);
}

static enum hf_error verify_batches(const struct seal *seal, struct store_engine *engine,
                                    struct seal_report *report)
{
  enum hf_error error = HF_OK;
  for (unsigned p = 0; error == HF_OK && p < 1u << seal->partition_bits; p++) {
    struct seal_finding finding = {
      .seal = seal->number, .partition = p, .batch = seal->batches[p].number};
    error = sealer_batch_wrong(engine, p, &seal->batches[p], &finding.what);
    if (error == HF_OK && finding.what != NULL)
      find(report, &finding);
  }
  return error;
}

/* False: they are of another seal, which may have been added, or damaged, or there are none. */
static bool open_leaves(const struct seal_folder *folder, struct seal_leaves *leaves,
                        bool *ret_missing)
{
  char path[SEAL_PATH_MAX + 32u];
  sealer_leaves_path(folder, path);
  *ret_missing = access(path, F_OK) != 0;
  return seal_leaves_open(leaves, path, folder->newest, folder->last.partition_bits);
}

/* `leaves` are open, and are closed. */
static enum hf_error verify_users(const struct seal_folder *folder, struct seal_leaves *leaves,
                                  struct store_engine *engine, struct seal_report *report)
{
  struct seal_record record;
  struct merkle_tree tree = {0};
  struct hf_bytes bytes = {0};
  enum hf_error error = HF_OK;
  struct seal_finding finding = {.seal = folder->newest};
  for (uint64_t i = 0; error == HF_OK && i < leaves->count; i++) {
    if (!seal_leaves_next(leaves, &record))
      break;
    merkle_add(&tree, &record.leaf);
    hf_bytes_clear(&bytes);
    enum hf_error read = sealer_leaf_at(engine, record.user, record.version, &bytes);
    struct hf_hash hash = merkle_leaf(bytes.at, bytes.size);
    finding.user = record.user;
    finding.partition = hf_id_partition(record.user, leaves->partition_bits);
    finding.what = read == HF_OK ? "a user's past is not what was sealed"
                                 : "a sealed user's entries are missing or unreadable";
    if (read == HF_E_UNAVAILABLE)
      error = read;
    else if (read != HF_OK || !hf_hash_equal(&hash, &record.leaf))
      find(report, &finding);
    report->users++;
    if (report->progress != NULL)
      report->progress(report->arg, report->users, leaves->count);
  }
  struct hf_hash root = merkle_root(&tree);
  finding = (struct seal_finding){.what = "the leaves are not those that were sealed",
                                  .seal = folder->newest};
  if (error == HF_OK && !hf_hash_equal(&root, &folder->last.users_root))
    find(report, &finding);
  hf_bytes_deinit(&bytes);
  seal_leaves_close(leaves);
  return error;
}

/* NULL: it is a seal of this database. */
static const char *read_own(const struct seal_folder *folder, uint64_t number,
                            const struct store_engine *engine, const uint8_t *key,
                            struct seal *seal)
{
  char why[SEAL_WHY_MAX];
  struct hf_bytes text = {0};
  const char *wrong = "the seal cannot be read any more";
  if (seal_folder_text(folder, number, &text, why))
    wrong = seal_read((const char *)text.at, text.size, seal);
  if (wrong == NULL && seal->partition_bits != engine->partition_bits)
    wrong = "the seal is of another database";
  if (wrong == NULL && key != NULL && memcmp(seal->key, key, HF_SIGN_KEY_SIZE) != 0)
    wrong = "the seal is signed with another key";
  hf_bytes_deinit(&text);
  return wrong;
}

/* Those behind number `from`. */
static enum hf_error verify_seals(const struct seal_folder *folder, uint64_t from,
                                  struct store_engine *engine, const uint8_t *key,
                                  struct seal_report *report)
{
  enum hf_error error = HF_OK;
  struct seal *seal = rt_alloc(sizeof *seal);
  for (uint64_t i = from + 1u; error == HF_OK && i <= folder->newest; i++) {
    struct seal_finding finding = {.seal = i, .what = read_own(folder, i, engine, key, seal)};
    if (finding.what != NULL)
      find(report, &finding);
    else
      error = verify_batches(seal, engine, report);
    report->seals++;
  }
  rt_free(seal);
  return error;
}

enum hf_error seal_verify(struct seal_folder *folder, struct store_engine *engine,
                          const uint8_t *key, struct seal_report *report)
{
  char why[SEAL_WHY_MAX] = "";
  struct seal_finding finding = {.what = why};
  struct seal_leaves *leaves = rt_alloc(sizeof *leaves);
  bool opened = false;
  uint64_t looked_at = 0;
  enum hf_error error = HF_OK;
  while (error == HF_OK && !opened && looked_at < folder->newest) {
    error = verify_seals(folder, looked_at, engine, key, report);
    looked_at = folder->newest;
    opened = error == HF_OK && open_leaves(folder, leaves, &report->without_leaves);
    if (!opened && error == HF_OK && !seal_folder_refresh(folder, why))
      find(report, &finding);
  }
  if (opened) {
    error = verify_users(folder, leaves, engine, report);
  } else if (error == HF_OK && looked_at > 0 && !report->without_leaves) {
    finding = (struct seal_finding){
      .seal = looked_at,
      .what = "the leaves are of another seal: the users of this one were not looked at"};
    find(report, &finding);
  }
  rt_free(leaves);
  return error;
}
