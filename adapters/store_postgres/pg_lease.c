/* pg_lease.c - a node's heartbeat, and what it does to the other nodes.
 *
 * Happy path: one round, one transaction: the node's own row; then burials, releases and claims,
 *   each of which asks first whether that row is there; then what the table of nodes says.
 * Ways to fail: the row is gone (member is false, nothing was done); a deadlock or a timeout,
 *   of a lock after the keeper's patience (STORE_UNAVAILABLE, nothing was done).
 * Invariants: who changes other rows than its own holds the order lock, taken before its own row,
 *   so that two nodes that bury each other wait in line. No clock of the database takes part. */
#include <stdio.h>
#include <string.h>

#include "adapters/store_postgres/pg_clock.h"
#include "adapters/store_postgres/pg_read.h"

enum { STEP_NONE, STEP_BEAT, STEP_NODES, STEP_OWNERS, STEP_REVISION };
#define STEPS_MAX 9u

struct lease {
  struct pg_reading reading; /* first */
  bool asked, member;
  unsigned steps_count;
  uint8_t steps[STEPS_MAX]; /* what each statement of the round is to `take` */
};

/* ---- what is sent ---------------------------------------------------------------------------- */

static void add(struct lease *lease, struct pg_round *round, enum pg_statement statement,
                uint8_t step)
{
  CHECK(lease->steps_count < STEPS_MAX);
  lease->steps[lease->steps_count++] = step;
  pg_round_add(round, statement);
}

/* Until the round's transaction ends. */
static void add_patience(struct lease *lease, struct pg_round *round,
                         const struct store_lease *wish)
{
  char text[24];
  if (wish->patience_us == 0)
    return;
  int size =
    snprintf(text, sizeof text, "%llums", (unsigned long long)(wish->patience_us / 1000u + 1u));
  add(lease, round, PG_LEASE_PATIENCE, STEP_NONE);
  pg_arg_text(round, text, (size_t)size);
}

static void add_own(struct lease *lease, struct pg_round *round, const struct store_lease *wish)
{
  add(lease, round, wish->join ? PG_LEASE_JOIN : PG_LEASE_BEAT, STEP_BEAT);
  pg_arg_int8(round, (int64_t)wish->self.id);
  pg_arg_text(round, wish->self.address, strlen(wish->self.address));
  pg_arg_bool(round, wish->self.takes);
  pg_arg_int8(round, (int64_t)pg_clock_us());
  pg_arg_int8(round, (int64_t)wish->self.lease_us);
  if (wish->join)
    pg_arg_int4(round, (int32_t)STORE_NODES_MAX);
}

static void add_burials(struct lease *lease, struct pg_round *round, const struct store_lease *wish)
{
  if (wish->buried_count == 0)
    return;
  add(lease, round, PG_LEASE_BURY, STEP_NONE);
  pg_arg_int8(round, (int64_t)wish->self.id);
  pg_arg_array(round, PG_INT8, wish->buried_count);
  for (size_t i = 0; i < wish->buried_count; i++)
    pg_item_int8(round, (int64_t)wish->buried[i].id);
  pg_arg_array(round, PG_INT8, wish->buried_count);
  for (size_t i = 0; i < wish->buried_count; i++)
    pg_item_int8(round, (int64_t)wish->buried[i].beat);
}

static void add_partitions(struct lease *lease, struct pg_round *round, enum pg_statement statement,
                           uint64_t self, const uint32_t *partitions, size_t count)
{
  if (count == 0)
    return;
  add(lease, round, statement, STEP_NONE);
  pg_arg_int8(round, (int64_t)self);
  pg_arg_array(round, PG_INT2, count);
  for (size_t i = 0; i < count; i++)
    pg_item_int2(round, (int)partitions[i]);
}

static void ask(struct lease *lease, struct pg_round *round, const struct store_lease *wish)
{
  CHECK(wish->self.id > 0 && wish->self.id <= INT64_MAX);
  add_patience(lease, round, wish);
  if (wish->buried_count + wish->released_count + wish->claimed_count > 0)
    add(lease, round, PG_LEASE_ORDER, STEP_NONE);
  add_own(lease, round, wish);
  add_burials(lease, round, wish);
  add_partitions(lease, round, PG_LEASE_RELEASE, wish->self.id, wish->released,
                 wish->released_count);
  add_partitions(lease, round, PG_LEASE_CLAIM, wish->self.id, wish->claimed, wish->claimed_count);
  add(lease, round, PG_LEASE_NODES, STEP_NODES);
  add(lease, round, PG_LEASE_OWNERS, STEP_OWNERS);
  add(lease, round, PG_CATALOG_REVISION, STEP_REVISION);
}

/* ---- what comes back ------------------------------------------------------------------------- */

static void take_nodes(struct pg_rows *rows, struct store_request *request)
{
  size_t count = (size_t)PQntuples(rows->result);
  struct store_node *nodes = hf_arena_alloc(&request->arena, count * sizeof *nodes);
  for (rows->row = 0; rows->row < (int)count; rows->row++) {
    struct store_node *node = &nodes[rows->row];
    node->id = pg_get_unsigned(rows, 0, INT64_MAX);
    pg_get_chars(rows, 1, node->address, sizeof node->address);
    node->takes = pg_get_bool(rows, 2);
    node->beat = pg_get_unsigned(rows, 3, INT64_MAX);
    if (!pg_is_null(rows, 4))
      node->lease_us = pg_get_unsigned(rows, 4, INT64_MAX);
    rows->corrupt = rows->corrupt || node->id == 0; /* nobody's: an owner of 0 is none */
  }
  request->lease.nodes = nodes;
  request->lease.nodes_count = count;
}

static void take_owners(const struct pg_talk *talk, struct pg_rows *rows)
{
  struct store_request *request = talk->request;
  unsigned count = 1u << talk->database->partition_bits;
  uint64_t *owners = hf_arena_alloc(&request->arena, count * sizeof *owners);
  if ((unsigned)PQntuples(rows->result) != count)
    rows->corrupt = true;
  for (rows->row = 0; !rows->corrupt && rows->row < (int)count; rows->row++) {
    uint64_t partition = pg_get_unsigned(rows, 0, count - 1u);
    if (!pg_is_null(rows, 1))
      owners[partition] = pg_get_unsigned(rows, 1, INT64_MAX);
  }
  request->lease.owners = owners;
}

static void lease_take(struct pg_talk *talk, unsigned index, const PGresult *result)
{
  struct lease *lease = talk->work;
  struct store_lease *out = &talk->request->lease;
  struct pg_rows rows = {.result = result};
  CHECK(index < lease->steps_count);
  switch (lease->steps[index]) {
  case STEP_BEAT:
    lease->member = PQntuples(result) > 0;
    if (lease->member)
      out->self.beat = pg_get_unsigned(&rows, 0, INT64_MAX);
    break;
  case STEP_NODES:
    take_nodes(&rows, talk->request);
    break;
  case STEP_OWNERS:
    take_owners(talk, &rows);
    break;
  case STEP_REVISION:
    out->catalog_revision = pg_get_unsigned(&rows, 0, INT64_MAX);
    out->incarnation = pg_get_unsigned(&rows, 1, INT64_MAX);
    break;
  default:
    break;
  }
  lease->reading.corrupt = lease->reading.corrupt || rows.corrupt;
}

static bool lease_next(struct pg_talk *talk, struct pg_round *round)
{
  struct lease *lease = pg_reading_work(talk, sizeof *lease);
  if (!lease->asked) {
    lease->asked = true;
    ask(lease, round, &talk->request->lease);
    return true;
  }
  talk->request->lease.member = lease->member;
  return pg_reading_end(talk, STORE_OK);
}

const struct pg_talk_ops pg_lease_talk = {
  .next = lease_next, .take = lease_take, .failed = pg_reading_failed};
