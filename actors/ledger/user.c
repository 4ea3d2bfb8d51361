/* user.c - a user's state: arrays in order, copies, look-ups, invariants.
 *
 * The arrays are small and read far more than written; they grow by doubling and never beyond the
 * limits of ledger.h. */
#include "actors/ledger/user.h"

#include <string.h>

#include "holdfast/rt.h"

#define ROOM_FIRST 1u
#define ROOM_KEPT 8u /* an array of at most this room is not shrunk */

_Static_assert(sizeof(struct ledger_asset) == 176, "an active user is small");
_Static_assert(LEDGER_HOLDS_MAX <= UINT16_MAX / 2 && LEDGER_BLOCKS_MAX <= UINT16_MAX / 2,
               "rooms fit their fields");

/* Returns the array with room for one more than `count`. */
static void *grow(void *array, uint16_t count, uint16_t *room, size_t element_size)
{
  if (count < *room)
    return array;
  *room = (uint16_t)(count == 0 ? ROOM_FIRST : 2u * count);
  return rt_realloc(array, *room * element_size);
}

/* Takes the element at `index` out; gives memory back when most of it has become idle. */
static void *take_out(void *array, uint16_t index, uint16_t *count, uint16_t *room,
                      size_t element_size)
{
  CHECK(index < *count);
  unsigned char *at = (unsigned char *)array + index * element_size;
  memmove(at, at + element_size, (size_t)(*count - index - 1) * element_size);
  (*count)--;
  if (*room <= ROOM_KEPT || *count > *room / 4u)
    return array;
  *room = (uint16_t)(*room / 2u);
  return rt_realloc(array, *room * element_size);
}

static void *copy_of(const void *array, uint16_t count, size_t element_size)
{
  if (count == 0)
    return NULL;
  void *copy = rt_alloc(count * element_size);
  memcpy(copy, array, count * element_size);
  return copy;
}

void ledger_user_init(struct ledger_user *user, hf_id id)
{
  CHECK(user != NULL);
  CHECK(id > 0 && id <= HF_ID_MAX);
  *user = (struct ledger_user){.id = id};
}

void ledger_user_deinit(struct ledger_user *user)
{
  CHECK(user != NULL);
  rt_free(user->assets);
  rt_free(user->holds);
  rt_free(user->blocks);
  *user = (struct ledger_user){0};
}

void ledger_user_copy(struct ledger_user *copy, const struct ledger_user *user)
{
  CHECK(copy != user);
  *copy = *user;
  copy->assets = copy_of(user->assets, user->assets_count, sizeof *user->assets);
  copy->holds = copy_of(user->holds, user->holds_count, sizeof *user->holds);
  copy->blocks = copy_of(user->blocks, user->blocks_count, sizeof *user->blocks);
  copy->assets_room = user->assets_count;
  copy->holds_room = user->holds_count;
  copy->blocks_room = user->blocks_count;
}

/* The place of an asset, or where it would be. */
static uint16_t asset_index(const struct ledger_user *user, uint16_t asset)
{
  uint16_t i = 0;
  while (i < user->assets_count && user->assets[i].asset < asset)
    i++;
  return i;
}

const struct ledger_asset *ledger_user_asset(const struct ledger_user *user, uint16_t asset)
{
  uint16_t i = asset_index(user, asset);
  return i < user->assets_count && user->assets[i].asset == asset ? &user->assets[i] : NULL;
}

struct ledger_asset *ledger_user_place_asset(struct ledger_user *user, uint16_t asset)
{
  uint16_t i = asset_index(user, asset);
  if (i < user->assets_count && user->assets[i].asset == asset)
    return &user->assets[i];
  CHECK(user->assets_count < LEDGER_ASSETS_MAX);
  user->assets = grow(user->assets, user->assets_count, &user->assets_room, sizeof *user->assets);
  struct ledger_asset *place = &user->assets[i];
  memmove(place + 1, place, (size_t)(user->assets_count - i) * sizeof *place);
  user->assets_count++;
  *place = (struct ledger_asset){.asset = asset};
  return place;
}

void ledger_user_add_asset(struct ledger_user *user, const struct ledger_asset *asset)
{
  CHECK(ledger_user_asset(user, asset->asset) == NULL);
  *ledger_user_place_asset(user, asset->asset) = *asset;
}

void ledger_user_add_hold(struct ledger_user *user, const struct ledger_hold *hold)
{
  CHECK(user->holds_count < LEDGER_HOLDS_MAX);
  CHECK(user->holds_count == 0 || user->holds[user->holds_count - 1].version < hold->version);
  user->holds = grow(user->holds, user->holds_count, &user->holds_room, sizeof *user->holds);
  user->holds[user->holds_count++] = *hold;
}

void ledger_user_add_block(struct ledger_user *user, const struct ledger_block *block)
{
  CHECK(user->blocks_count < LEDGER_BLOCKS_MAX);
  CHECK(user->blocks_count == 0 || user->blocks[user->blocks_count - 1].version < block->version);
  user->blocks = grow(user->blocks, user->blocks_count, &user->blocks_room, sizeof *user->blocks);
  user->blocks[user->blocks_count++] = *block;
}

void ledger_user_remove_hold(struct ledger_user *user, const struct ledger_hold *hold)
{
  user->holds = take_out(user->holds, (uint16_t)(hold - user->holds), &user->holds_count,
                         &user->holds_room, sizeof *user->holds);
}

void ledger_user_remove_block(struct ledger_user *user, const struct ledger_block *block)
{
  user->blocks = take_out(user->blocks, (uint16_t)(block - user->blocks), &user->blocks_count,
                          &user->blocks_room, sizeof *user->blocks);
}

bool ledger_user_name(struct ledger_user *user, uint64_t version, hf_id id)
{
  CHECK(id > 0 && id <= HF_ID_MAX);
  /* What was opened last is looked for most often. */
  for (unsigned i = user->holds_count; i-- > 0 && user->holds[i].version >= version;) {
    if (user->holds[i].version == version) {
      CHECK(user->holds[i].id == 0 || user->holds[i].id == id);
      user->holds[i].id = id;
      return true;
    }
  }
  for (unsigned i = user->blocks_count; i-- > 0 && user->blocks[i].version >= version;) {
    if (user->blocks[i].version == version) {
      CHECK(user->blocks[i].id == 0 || user->blocks[i].id == id);
      user->blocks[i].id = id;
      return true;
    }
  }
  return false;
}

const struct ledger_hold *ledger_user_hold(const struct ledger_user *user, hf_id id)
{
  for (unsigned i = 0; id != 0 && i < user->holds_count; i++) {
    if (user->holds[i].id == id)
      return &user->holds[i];
  }
  return NULL;
}

const struct ledger_block *ledger_user_block(const struct ledger_user *user, hf_id id)
{
  for (unsigned i = 0; id != 0 && i < user->blocks_count; i++) {
    if (user->blocks[i].id == id)
      return &user->blocks[i];
  }
  return NULL;
}

int64_t ledger_user_time(const struct ledger_user *user, int64_t now_us)
{
  return now_us > user->recorded_us ? now_us : user->recorded_us + 1;
}

const struct ledger_hold *ledger_user_expired(const struct ledger_user *user, int64_t now_us)
{
  for (unsigned i = 0; i < user->holds_count; i++) {
    const struct ledger_hold *hold = &user->holds[i];
    if (hold->id != 0 && hold->expires_us != 0 && hold->expires_us <= now_us)
      return hold;
  }
  return NULL;
}

/* ---- invariants ------------------------------------------------------------------------------ */

static const char *check_balance(const struct ledger_balance *balance)
{
  hf_amount sum = 0;
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++) {
    if (balance->bucket[i] < 0)
      return "a bucket is negative";
    if (i != LEDGER_DEBT && !hf_amount_add(sum, balance->bucket[i], &sum))
      return "the sum of the buckets leaves the range";
  }
  if (balance->claimed_total < 0 || balance->spent_total < 0)
    return "a lifetime total is negative";
  return NULL;
}

static const char *check_assets(const struct ledger_user *user)
{
  uint64_t newest = 0;
  if (user->assets_count > LEDGER_ASSETS_MAX)
    return "too many assets";
  for (unsigned i = 0; i < user->assets_count; i++) {
    const struct ledger_asset *asset = &user->assets[i];
    if (i > 0 && user->assets[i - 1].asset >= asset->asset)
      return "the assets are out of order";
    if (asset->version == 0 || asset->version > user->version)
      return "an asset's version is out of range";
    const char *wrong = check_balance(&asset->balance);
    if (wrong != NULL)
      return wrong;
    newest = asset->version > newest ? asset->version : newest;
  }
  return newest == user->version ? NULL : "the newest entry's asset is missing";
}

/* What open holds and blocks add up to, beside what the buckets say. */
struct open_sums {
  hf_amount held[LEDGER_ASSETS_MAX];
  hf_amount blocked[LEDGER_ASSETS_MAX];
};

static const char *check_open(const struct ledger_user *user, uint64_t version, uint16_t asset,
                              hf_amount amount, hf_amount remaining, hf_amount *sums)
{
  const struct ledger_asset *in = ledger_user_asset(user, asset);
  if (in == NULL)
    return "a hold or block is in an asset that the user does not have";
  if (version == 0 || version > user->version)
    return "a hold's or block's version is out of range";
  if (remaining <= 0 || remaining > amount)
    return "a hold or block has nothing or too much left";
  hf_amount *sum = &sums[in - user->assets];
  if (!hf_amount_add(*sum, remaining, sum))
    return "the sum of the holds or blocks leaves the range";
  return NULL;
}

static const char *check_holds(const struct ledger_user *user, struct open_sums *sums)
{
  if (user->holds_count > LEDGER_HOLDS_MAX)
    return "too many holds";
  for (unsigned i = 0; i < user->holds_count; i++) {
    const struct ledger_hold *hold = &user->holds[i];
    if (i > 0 && user->holds[i - 1].version >= hold->version)
      return "the holds are out of order";
    const char *wrong =
      check_open(user, hold->version, hold->asset, hold->amount, hold->remaining, sums->held);
    if (wrong != NULL)
      return wrong;
  }
  return NULL;
}

static const char *check_blocks(const struct ledger_user *user, struct open_sums *sums)
{
  if (user->blocks_count > LEDGER_BLOCKS_MAX)
    return "too many blocks";
  for (unsigned i = 0; i < user->blocks_count; i++) {
    const struct ledger_block *block = &user->blocks[i];
    if (i > 0 && user->blocks[i - 1].version >= block->version)
      return "the blocks are out of order";
    const char *wrong = check_open(user, block->version, block->asset, block->amount,
                                   block->remaining, sums->blocked);
    if (wrong != NULL)
      return wrong;
  }
  return NULL;
}

const char *ledger_user_check(const struct ledger_user *user)
{
  struct open_sums sums = {0};
  static const struct hf_hash no_hash;
  if (user->id == 0 || user->id > HF_ID_MAX)
    return "the user has no id";
  if (user->version == 0 && memcmp(&user->head, &no_hash, sizeof no_hash) != 0)
    return "a user without entries has a hash";
  const char *wrong = check_assets(user);
  if (wrong == NULL)
    wrong = check_holds(user, &sums);
  if (wrong == NULL)
    wrong = check_blocks(user, &sums);
  for (unsigned i = 0; wrong == NULL && i < user->assets_count; i++) {
    if (sums.held[i] != user->assets[i].balance.bucket[LEDGER_HELD])
      wrong = "the open holds are not what the held bucket has";
    else if (sums.blocked[i] != user->assets[i].balance.bucket[LEDGER_BLOCKED])
      wrong = "the open blocks are not what the blocked bucket has";
  }
  return wrong;
}
