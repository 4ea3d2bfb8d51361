/* pg_read_search.c - which version of a user was the newest at a time. */
#include "adapters/store_postgres/pg_read.h"

#define PIVOTS_MAX 32u /* a million versions: four rounds */

void pg_ask_versions(const struct pg_talk *talk, hf_id user, const uint64_t *versions, size_t count,
                     struct pg_round *round)
{
  pg_round_in(round, PG_ENTRIES_OF_VERSIONS, pg_partition(talk, user));
  pg_arg_int8(round, (int64_t)user);
  pg_arg_array(round, PG_INT8, count);
  for (size_t i = 0; i < count; i++)
    pg_item_int8(round, (int64_t)versions[i]);
}

void pg_search_ask(const struct pg_talk *talk, struct pg_search *search, hf_id user,
                   struct pg_round *round)
{
  uint64_t pivots[PIVOTS_MAX], range = search->high - search->low;
  CHECK(search->low < search->high);
  search->asked = range < PIVOTS_MAX ? (unsigned)range : PIVOTS_MAX;
  /* From low + 1 or so up to high; what is left is below the first or between two of them. */
  for (unsigned i = 0; i < search->asked; i++)
    pivots[i] = search->low + (uint64_t)((hf_uamount)range * (i + 1u) / search->asked);
  pg_ask_versions(talk, user, pivots, search->asked, round);
}

void pg_search_take(const struct pg_talk *talk, struct pg_search *search, struct pg_rows *rows)
{
  uint64_t low = search->low, high = search->high;
  struct hf_arena scratch = {NULL};
  if ((unsigned)PQntuples(rows->result) != search->asked)
    rows->corrupt = true; /* versions have no gaps */
  for (rows->row = 0; rows->row < PQntuples(rows->result) && !rows->corrupt; rows->row++) {
    struct ledger_entry entry;
    unsigned partition = hf_id_partition(pg_get_id(rows, 1), talk->database->partition_bits);
    pg_row_entry(rows, 0, partition, talk->database->partition_bits, &scratch, &entry, NULL);
    if (entry.recorded_us < search->before_us)
      low = entry.version > low ? entry.version : low;
    else
      high = entry.version <= high ? entry.version - 1u : high;
  }
  hf_arena_free(&scratch);
  if (low > high)
    rows->corrupt = true; /* times do not grow with versions */
  if (rows->corrupt)
    return;
  search->low = low;
  search->high = high;
}
