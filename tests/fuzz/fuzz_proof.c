/* fuzz_proof.c - libFuzzer target: proof files, as whoever checks one gets them from anybody.
 *
 * Input: a JSON text as it is; or the plan of a proof that is made and signed here, of a user or
 * of a log, and one byte of its text to damage. Properties: a text of the fuzzer's own never holds,
 * for nobody can sign it; a proof that was made holds, for its key and no other; one with any
 * change of meaning does not. */
#include <jansson.h>
#include <stdio.h>
#include <strings.h>

#include "actors/seal/merkle.h"
#include "server/seal_proof.h"
#include "tests/fuzz/input.h"

#define USERS_MAX 40u
#define SEALS_MAX 20u
#define BITS 1u
#define MARKED ((hf_id)77u << BITS | 1u)

static const uint8_t seed[HF_SIGN_SEED_SIZE] = {9, 8, 7};
static struct seal seal; /* too large for a stack */

/* ---- proofs ---------------------------------------------------------------------------------- */

static json_t *hex_of(const void *bytes, size_t size)
{
  char *text = rt_alloc(2u * size + 1u);
  hf_hex(bytes, size, text);
  json_t *json = json_string(text);
  rt_free(text);
  return json;
}

/* Takes the plan. */
static json_t *hashes_of(struct merkle_proof *plan, const struct hf_hash *leaves, size_t count)
{
  struct hf_hash hashes[MERKLE_PROOF_MAX];
  json_t *array = json_array();
  for (size_t i = 0; i < count; i++)
    merkle_proof_feed(plan, &leaves[i]);
  const size_t size = merkle_proof_end(plan, hashes);
  for (size_t i = 0; i < size; i++)
    CHECK(json_array_append_new(array, hex_of(hashes[i].bytes, HF_HASH_SIZE)) == 0);
  merkle_proof_free(plan);
  return array;
}

static struct hf_hash root_of(const struct hf_hash *leaves, size_t count)
{
  struct merkle_tree tree = {0};
  for (size_t i = 0; i < count; i++)
    merkle_add(&tree, &leaves[i]);
  return merkle_root(&tree);
}

static void leaf_of(struct input *input, struct hf_bytes *bytes)
{
  struct ledger_asset assets[3] = {{.asset = 1}, {.asset = 2}, {.asset = 700}};
  struct seal_user user = {.id = MARKED, .version = 1u + input_u8(input), .assets = assets};
  user.assets_count = input_u8(input) % 4u;
  for (size_t i = 0; i < user.assets_count; i++) {
    assets[i].version = 1u + i % user.version;
    assets[i].balance.bucket[LEDGER_CLAIMABLE] = input_u8(input);
  }
  seal_leaf_encode(&user, bytes);
}

/* The user's version stands in its leaf; it is read back, not remembered. */
static uint64_t version_of(const struct hf_bytes *bytes)
{
  struct hf_arena arena = {0};
  struct seal_user user = {0};
  CHECK(seal_leaf_decode(bytes->at, bytes->size, &arena, &user));
  hf_arena_free(&arena);
  return user.version;
}

static json_t *user_proof(struct input *input)
{
  struct hf_hash leaves[USERS_MAX];
  struct hf_bytes leaf = {0}, text = {0};
  char id[24] = "";
  const size_t count = 1u + input_u8(input) % USERS_MAX, index = input_u8(input) % count;
  leaf_of(input, &leaf);
  for (size_t i = 0; i < count; i++)
    leaves[i] = i == index ? merkle_leaf(leaf.at, leaf.size) : merkle_leaf(&i, sizeof i);
  seal = (struct seal){.number = 1, .partition_bits = BITS, .users_count = count};
  seal.users_root = root_of(leaves, count);
  seal.log_root = root_of(NULL, 0);
  seal_write(&seal, seed, &text);
  id[hf_id_format(MARKED, id)] = '\0';
  json_t *proof =
    json_pack("{s:s, s:s, s:I, s:o, s:I, s:I, s:o, s:s%}", "proof", "inclusion", "user_id", id,
              "version", (json_int_t)version_of(&leaf), "leaf", hex_of(leaf.at, leaf.size), "index",
              (json_int_t)index, "size", (json_int_t)count, "hashes",
              hashes_of(merkle_inclusion_new(index, count), leaves, count), "seal",
              (const char *)text.at, text.size);
  CHECK(proof != NULL);
  hf_bytes_deinit(&leaf);
  hf_bytes_deinit(&text);
  return proof;
}

/* Seals 1 .. to, each over the log of those before it. */
static json_t *log_proof(struct input *input)
{
  struct hf_hash leaves[SEALS_MAX];
  struct hf_bytes texts[SEALS_MAX] = {{0}};
  const size_t to = 2u + input_u8(input) % (SEALS_MAX - 1u),
               from = 1u + input_u8(input) % (to - 1u);
  for (size_t i = 0; i < to; i++) {
    seal = (struct seal){.number = i + 1u, .partition_bits = BITS, .log_size = i};
    seal.users_root = root_of(NULL, 0);
    seal.log_root = root_of(leaves, i);
    seal_write(&seal, seed, &texts[i]);
    leaves[i] = merkle_leaf(texts[i].at, texts[i].size);
  }
  json_t *consistency = from == 1
                          ? json_array()
                          : hashes_of(merkle_consistency_new(from - 1u, to - 1u), leaves, to - 1u);
  json_t *proof =
    json_pack("{s:s, s:o, s:o, s:s%, s:s%}", "proof", "consistency", "inclusion",
              hashes_of(merkle_inclusion_new(from - 1u, to - 1u), leaves, to - 1u), "consistency",
              consistency, "from", (const char *)texts[from - 1u].at, texts[from - 1u].size, "to",
              (const char *)texts[to - 1u].at, texts[to - 1u].size);
  CHECK(proof != NULL);
  for (size_t i = 0; i < to; i++)
    hf_bytes_deinit(&texts[i]);
  return proof;
}

/* ---- checks ---------------------------------------------------------------------------------- */

static void check_holds(const json_t *proof)
{
  uint8_t key[HF_SIGN_KEY_SIZE];
  hf_sign_key(seed, key);
  CHECK(seal_check(proof, NULL) == NULL && seal_check(proof, key) == NULL);
  key[0] ^= 1;
  CHECK(seal_check(proof, key) != NULL);
}

/* Hex may be written in either case; everything else that a byte can change is another proof. */
static void check_damaged(const json_t *proof, size_t at, uint8_t damage)
{
  char *whole = json_dumps(proof, JSON_COMPACT), *text = json_dumps(proof, JSON_COMPACT);
  CHECK(whole != NULL && text != NULL);
  const size_t size = strlen(text);
  text[at % size] = (char)((uint8_t)text[at % size] ^ damage);
  json_t *again = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
  if (again != NULL && !json_equal(again, proof) && strncasecmp(text, whole, size) != 0)
    CHECK(seal_check(again, NULL) != NULL);
  json_decref(again);
  free(whole);
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input input = {data, size};
  const uint8_t how = input_u8(&input) % 4u;
  if (how >= 2) {
    char *text = input_bytes(&input, input.size, &size);
    json_t *proof = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    CHECK(proof == NULL || seal_check(proof, NULL) != NULL);
    json_decref(proof);
    free(text);
    return 0;
  }
  size_t at = (size_t)input_u8(&input) << 8;
  at |= input_u8(&input);
  const uint8_t damage = input_u8(&input);
  json_t *proof = how == 0 ? user_proof(&input) : log_proof(&input);
  check_holds(proof);
  if (damage != 0)
    check_damaged(proof, at, damage);
  json_decref(proof);
  return 0;
}
