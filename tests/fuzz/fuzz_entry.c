/* fuzz_entry.c - libFuzzer target: a user's journal of arbitrary bytes, decoded, encoded and
 * folded.
 *
 * Input: partition bits, then entries: two bytes of size, then the canonical bytes. Properties:
 * what is decoded encodes to the same bytes and nothing else is taken; an entry that folds
 * leaves a user whose invariants hold, one that does not leaves the user as it was; a hash that
 * does not fit is refused. */
#include "actors/ledger/ledger.h"
#include "tests/fuzz/input.h"

/* What ledger_user_check does not see: that nothing changed. */
static struct hf_hash print_of(const struct ledger_user *user)
{
  struct hf_hasher hasher;
  hf_hasher_init(&hasher);
  hf_hasher_add(&hasher, &user->version, sizeof user->version);
  hf_hasher_add(&hasher, &user->recorded_us, sizeof user->recorded_us);
  hf_hasher_add(&hasher, &user->head, sizeof user->head);
  for (size_t i = 0; i < user->assets_count; i++) {
    hf_hasher_add(&hasher, &user->assets[i].version, sizeof user->assets[i].version);
    hf_hasher_add(&hasher, &user->assets[i].balance, sizeof user->assets[i].balance);
  }
  for (size_t i = 0; i < user->holds_count; i++)
    hf_hasher_add(&hasher, &user->holds[i].remaining, sizeof user->holds[i].remaining);
  for (size_t i = 0; i < user->blocks_count; i++)
    hf_hasher_add(&hasher, &user->blocks[i].remaining, sizeof user->blocks[i].remaining);
  return hf_hasher_end(&hasher);
}

static void check_fold(struct ledger_user *user, struct ledger_entry *entry, const char *body,
                       size_t size, unsigned bits)
{
  struct hf_hash before = print_of(user);
  uint64_t version = user->version;
  entry->id = hf_id_make(entry->version % 1000u + 10u, hf_id_partition(user->id, bits), bits);
  entry->hash = ledger_entry_hash(&user->head, body, size);
  entry->hash.bytes[0] ^= 1u;
  CHECK(ledger_fold(user, entry, bits, true) != NULL);
  entry->hash.bytes[0] ^= 1u;
  const char *wrong = ledger_fold(user, entry, bits, true);
  CHECK(ledger_user_check(user) == NULL);
  if (wrong == NULL) {
    CHECK(user->version == version + 1u && user->version == entry->version);
    CHECK(hf_hash_equal(&user->head, &entry->hash));
    const struct ledger_asset *asset = ledger_user_asset(user, entry->asset);
    CHECK(asset != NULL && asset->version == entry->version);
    CHECK(memcmp(&asset->balance, &entry->after, sizeof entry->after) == 0);
    return;
  }
  struct hf_hash after = print_of(user);
  CHECK(hf_hash_equal(&before, &after));
}

static void check_entry(struct ledger_user *user, const char *body, size_t size, unsigned bits)
{
  struct ledger_other others[LEDGER_ASSETS_MAX];
  struct ledger_entry entry = {0};
  struct hf_bytes again = {0};
  if (!ledger_entry_decode(body, size, others, &entry))
    return;
  ledger_entry_encode(&entry, &again);
  CHECK(again.size == size && memcmp(again.at, body, size) == 0);
  hf_bytes_deinit(&again);
  if (user->id == 0)
    ledger_user_init(user, entry.user);
  check_fold(user, &entry, body, size, bits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input input = {data, size};
  struct ledger_user user = {0};
  unsigned bits = input_u8(&input) % (HF_PARTITION_BITS_MAX + 1u);
  while (input.size > 0) {
    size_t wanted = (size_t)input_u8(&input) << 8;
    wanted |= input_u8(&input);
    char *body = input_bytes(&input, wanted, &size);
    check_entry(&user, body, size, bits);
    free(body);
  }
  ledger_user_deinit(&user);
  return 0;
}
