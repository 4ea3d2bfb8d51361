/* pg_commit_hits.c - the ops whose keys a commit brought again.
 *
 * Each is read as STORE_GET_KEY_OP reads one, several in a round. What is known by its key stays as
 * it is, so that reading it later than the refusal changes nothing. */
#include "adapters/store_postgres/pg_commit.h"
#include "adapters/store_postgres/pg_read.h"
#include "holdfast/check.h"

#define TOGETHER 16u /* ops in a round */

struct reading {
  struct pg_talk talk;
  struct store_request *request; /* NULL: none */
  struct store_unit *unit;
  unsigned first, count; /* its steps in the round */
};

struct pg_hits {
  struct pg_talk *talk;
  size_t next_unit; /* units from here on are not looked at yet */
  struct reading readings[TOGETHER];
  unsigned active;
  enum store_status status;
};

struct pg_hits *pg_hits_new(struct pg_talk *talk)
{
  struct pg_hits *hits = hf_arena_alloc(&talk->request->arena, sizeof *hits);
  hits->talk = talk;
  hits->status = STORE_HIT;
  return hits;
}

/* The reading has its answer. */
static void reading_end(struct pg_hits *hits, struct reading *reading)
{
  struct store_request *request = reading->request;
  if (request->status == STORE_OK) {
    store_op_free(reading->unit->hit);
    reading->unit->hit = request->get_key_op.out;
    request->get_key_op.out = NULL;
  } else {
    hits->status =
      request->status == STORE_NOT_FOUND ? STORE_CORRUPT : (enum store_status)request->status;
  }
  store_request_free(request);
  reading->request = NULL;
  hits->active--;
}

static void reading_on(struct pg_hits *hits, struct reading *reading, struct pg_round *round)
{
  reading->first = round->count;
  if (reading->talk.ops->next(&reading->talk, round)) {
    reading->count = round->count - reading->first;
    reading->talk.round++;
  } else {
    reading_end(hits, reading);
  }
}

static void reading_begin(struct pg_hits *hits, struct reading *reading, struct store_unit *unit,
                          struct pg_round *round)
{
  reading->unit = unit;
  reading->request = store_request_new(STORE_GET_KEY_OP);
  reading->request->get_key_op.user = pg_unit_user(unit);
  reading->request->get_key_op.key = *pg_unit_key(unit);
  hits->active++;
  pg_talk_begin(&reading->talk, reading->request, hits->talk->database);
  reading_on(hits, reading, round);
}

static struct store_unit *next_hit(struct pg_hits *hits)
{
  const struct store_request *request = hits->talk->request;
  while (hits->next_unit < request->commit.units_count) {
    struct store_unit *unit = request->commit.units[hits->next_unit++];
    if (unit->status == STORE_HIT)
      return unit;
  }
  return NULL;
}

/* The commit is no hit after all: what was loaded for it goes. */
static void forget(const struct pg_hits *hits)
{
  const struct store_request *request = hits->talk->request;
  for (size_t i = 0; i < request->commit.units_count; i++) {
    struct store_unit *unit = request->commit.units[i];
    if (unit->status != STORE_HIT)
      continue;
    store_op_free(unit->hit);
    unit->hit = NULL;
    unit->status = STORE_OK;
  }
}

bool pg_hits_next(struct pg_hits *hits, struct pg_round *round, enum store_status *ret_status)
{
  for (unsigned i = 0; i < TOGETHER; i++) {
    struct reading *reading = &hits->readings[i];
    reading->count = 0;
    if (reading->request != NULL)
      reading_on(hits, reading, round);
    while (reading->request == NULL && hits->status == STORE_HIT) {
      struct store_unit *unit = next_hit(hits);
      if (unit == NULL)
        break;
      reading_begin(hits, reading, unit, round);
    }
  }
  if (round->count > 0)
    return true;
  CHECK(hits->active == 0);
  if (hits->status != STORE_HIT)
    forget(hits);
  *ret_status = hits->status;
  return false;
}

void pg_hits_take(struct pg_hits *hits, unsigned step, const PGresult *result)
{
  for (unsigned i = 0; i < TOGETHER; i++) {
    struct reading *reading = &hits->readings[i];
    if (reading->request != NULL && step >= reading->first &&
        step < reading->first + reading->count)
      reading->talk.ops->take(&reading->talk, step - reading->first, result);
  }
}

/* The round is one transaction: all readings of it failed. */
void pg_hits_failed(struct pg_hits *hits, const struct pg_failure *failure)
{
  for (unsigned i = 0; i < TOGETHER; i++) {
    struct reading *reading = &hits->readings[i];
    if (reading->request != NULL)
      reading->talk.ops->failed(&reading->talk, failure);
  }
}

void pg_hits_abandon(struct pg_hits *hits)
{
  for (unsigned i = 0; i < TOGETHER; i++) {
    struct reading *reading = &hits->readings[i];
    if (reading->request == NULL)
      continue;
    if (reading->talk.ops->abandon != NULL)
      reading->talk.ops->abandon(&reading->talk);
    store_request_free(reading->request);
    reading->request = NULL;
  }
  hits->active = 0;
  forget(hits);
}
