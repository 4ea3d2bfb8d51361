/* A small hash set of pending ops by key digest. Digests are SHA-256: their bytes are the hash. */
#include <string.h>

#include "actors/user/user.h"

static uint32_t home_of(const struct key_set *set, const struct hf_digest *key)
{
  uint32_t word;
  memcpy(&word, key->bytes, sizeof word);
  return word & (set->size - 1u);
}

static void insert(struct key_set *set, struct hf_op *op)
{
  uint32_t at = home_of(set, &op->command.key);
  while (set->slots[at] != NULL)
    at = (at + 1u) & (set->size - 1u);
  set->slots[at] = op;
  set->count++;
}

static void grow(struct key_set *set)
{
  struct key_set larger = {.size = 2u * set->size};
  larger.slots = rt_alloc(larger.size * sizeof *larger.slots);
  for (uint32_t i = 0; i < set->size; i++)
    if (set->slots[i] != NULL)
      insert(&larger, set->slots[i]);
  key_set_deinit(set);
  *set = larger;
}

void key_set_add(struct key_set *set, struct hf_op *op)
{
  CHECK(key_set_find(set, &op->command.key) == NULL);
  if (set->size == 0) {
    set->slots = set->few;
    set->size = KEY_SET_INLINE;
  }
  if (2u * (set->count + 1u) > set->size)
    grow(set);
  insert(set, op);
}

struct hf_op *key_set_find(const struct key_set *set, const struct hf_digest *key)
{
  if (set->count == 0)
    return NULL;
  for (uint32_t at = home_of(set, key); set->slots[at] != NULL; at = (at + 1u) & (set->size - 1u))
    if (hf_digest_equal(&set->slots[at]->command.key, key))
      return set->slots[at];
  return NULL;
}

void key_set_remove(struct key_set *set, const struct hf_op *op)
{
  uint32_t mask = set->size - 1u;
  uint32_t hole = home_of(set, &op->command.key);
  while (set->slots[hole] != op) {
    CHECK(set->slots[hole] != NULL);
    hole = (hole + 1u) & mask;
  }
  for (uint32_t at = (hole + 1u) & mask; set->slots[at] != NULL; at = (at + 1u) & mask) {
    uint32_t home = home_of(set, &set->slots[at]->command.key);
    /* Only what does not lie between its home and its place may fill the hole. */
    if (((at - home) & mask) >= ((at - hole) & mask)) {
      set->slots[hole] = set->slots[at];
      hole = at;
    }
  }
  set->slots[hole] = NULL;
  if (--set->count == 0)
    key_set_deinit(set);
}

void key_set_deinit(struct key_set *set)
{
  if (set->slots != set->few)
    rt_free(set->slots);
  *set = (struct key_set){0};
}
