/* Nodes of a database: heartbeats, burials, partitions given up and taken; openings by an owner. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store_postgres/pg_engine.h"
#include "tests/support/pg_sql.h"
#include "tests/support/store_fixture.h"

#define PARTITIONS (1u << FIXTURE_PARTITION_BITS)

struct fleet { /* two engines over one database, as two nodes have them */
  char name[32], dsn[PG_CLUSTER_DSN_SIZE];
  struct store_engine *engines[2];
  PGconn *conn;
};

static int fleet_setup(void **state)
{
  struct fleet *fleet = rt_alloc(sizeof *fleet);
  fixture_database(fleet->name);
  pg_cluster_dsn(fixture_server(), fleet->name, fleet->dsn);
  for (unsigned i = 0; i < 2; i++) {
    struct store_postgres_config config = fixture_postgres_config(fleet->dsn);
    char why[256] = "";
    if (store_postgres_open(&config, &fleet->engines[i], why) != HF_OK)
      fail_msg("%s", why);
  }
  fleet->conn = pg_sql_connect(fleet->name, NULL);
  *state = fleet;
  return 0;
}

static int fleet_teardown(void **state)
{
  struct fleet *fleet = *state;
  PQfinish(fleet->conn);
  for (unsigned i = 0; i < 2; i++)
    fleet->engines[i]->ops->close(fleet->engines[i]);
  rt_free(fleet);
  return 0;
}

/* A heartbeat of node `id`; the test fills in what it wants beside it. */
static struct store_request *beat_of(uint64_t id, bool join)
{
  struct store_request *request = store_request_new(STORE_LEASE);
  request->lease.self.id = id;
  request->lease.self.takes = true;
  (void)snprintf(request->lease.self.address, sizeof request->lease.self.address, "host:%llu",
                 (unsigned long long)id);
  request->lease.join = join;
  return request;
}

static void run(struct store_engine *engine, struct store_request *request)
{
  engine->ops->execute(engine, request);
  assert_int_equal(request->status, STORE_OK);
}

static uint64_t joined(struct fleet *fleet, uint64_t id)
{
  struct store_request *request = beat_of(id, true);
  run(fleet->engines[0], request);
  assert_true(request->lease.member);
  uint64_t beat = request->lease.self.beat;
  store_request_free(request);
  return beat;
}

static uint64_t owner_of(struct fleet *fleet, unsigned partition)
{
  char sql[80];
  (void)snprintf(sql, sizeof sql, "SELECT coalesce(owner,0) FROM partitions WHERE partition=%u",
                 partition);
  return (uint64_t)pg_sql_number(fleet->conn, sql);
}

/* Claims; whether it got them is in the table. */
static void claim(struct fleet *fleet, uint64_t id, uint32_t partition)
{
  struct store_request *request = beat_of(id, false);
  request->lease.claimed = &partition;
  request->lease.claimed_count = 1;
  run(fleet->engines[0], request);
  store_request_free(request);
}

static void test_lease_when_nodes_join_then_all_see_them_and_beats_grow(void **state)
{
  struct fleet *fleet = *state;
  uint64_t before = joined(fleet, 7);
  struct store_request *request = beat_of(9, true);
  request->lease.self.takes = false;
  run(fleet->engines[1], request);
  assert_true(request->lease.self.beat > before);
  assert_int_equal(request->lease.nodes_count, 2);
  assert_int_equal(request->lease.nodes[0].id, 7);
  assert_string_equal(request->lease.nodes[0].address, "host:7");
  assert_true(request->lease.nodes[0].takes);
  assert_int_equal(request->lease.nodes[1].id, 9);
  assert_false(request->lease.nodes[1].takes);
  assert_int_equal(request->lease.nodes[1].beat, request->lease.self.beat);
  for (unsigned i = 0; i < PARTITIONS; i++)
    assert_int_equal(request->lease.owners[i], 0);
  store_request_free(request);
  assert_true(joined(fleet, 7) > before); /* a restart takes the old row over */
  assert_int_equal(pg_sql_number(fleet->conn, "SELECT count(*) FROM nodes"), 2);
}

static void test_lease_when_as_many_nodes_are_there_as_may_be_then_no_other_joins(void **state)
{
  struct fleet *fleet = *state;
  for (uint64_t id = 1; id < STORE_NODES_MAX; id++)
    (void)joined(fleet, id);
  struct store_request *request = beat_of(STORE_NODES_MAX, true);
  request->lease.self.lease_us = 1234567;
  run(fleet->engines[1], request);
  assert_int_equal(request->lease.nodes_count, STORE_NODES_MAX);
  assert_int_equal(request->lease.nodes[STORE_NODES_MAX - 1u].lease_us, 1234567);
  assert_int_equal(request->lease.nodes[0].lease_us, 0);
  store_request_free(request);
  request = beat_of(STORE_NODES_MAX + 1u, true);
  run(fleet->engines[0], request);
  assert_false(request->lease.member);
  store_request_free(request);
  assert_int_equal(pg_sql_number(fleet->conn, "SELECT count(*) FROM nodes"), STORE_NODES_MAX);
  (void)joined(fleet, STORE_NODES_MAX); /* one of them comes back */
}

static void test_lease_when_its_row_is_gone_then_no_member_and_nothing_is_done(void **state)
{
  struct fleet *fleet = *state;
  uint32_t partition = 1;
  uint64_t other = joined(fleet, 5);
  struct store_node buried = {.id = 5, .beat = other};
  struct store_request *request = beat_of(3, false);
  request->lease.claimed = &partition;
  request->lease.claimed_count = 1;
  request->lease.buried = &buried;
  request->lease.buried_count = 1;
  run(fleet->engines[0], request);
  assert_false(request->lease.member);
  store_request_free(request);
  assert_int_equal(owner_of(fleet, 1), 0);
  assert_int_equal(pg_sql_number(fleet->conn, "SELECT count(*) FROM nodes WHERE id=5"), 1);
  assert_int_equal(pg_sql_number(fleet->conn, "SELECT count(*) FROM nodes WHERE id=3"), 0);
}

static void test_lease_when_claimed_then_taken_only_if_free_and_freed_only_by_its_owner(
  void **state)
{
  struct fleet *fleet = *state;
  uint32_t both[] = {0, 3};
  (void)joined(fleet, 1);
  (void)joined(fleet, 2);
  claim(fleet, 1, 3);
  struct store_request *request = beat_of(2, false);
  request->lease.claimed = both;
  request->lease.claimed_count = 2;
  request->lease.released = &both[1];
  request->lease.released_count = 1;
  run(fleet->engines[1], request);
  assert_int_equal(request->lease.owners[0], 2);
  assert_int_equal(request->lease.owners[3], 1);
  store_request_free(request);
  request = beat_of(1, false);
  request->lease.released = &both[1];
  request->lease.released_count = 1;
  run(fleet->engines[0], request);
  assert_int_equal(request->lease.owners[3], 0);
  store_request_free(request);
  claim(fleet, 2, 3);
  assert_int_equal(owner_of(fleet, 3), 2);
}

static void test_lease_when_a_node_is_silent_then_buried_and_its_sessions_end(void **state)
{
  struct fleet *fleet = *state;
  uint32_t partition = 2;
  uint64_t beat = joined(fleet, 0x1234);
  (void)joined(fleet, 8);
  claim(fleet, 0x1234, 2);
  beat = (uint64_t)pg_sql_number(fleet->conn, "SELECT beat FROM nodes WHERE id=4660");
  PGconn *dead = pg_sql_connect(fleet->name, "holdfast-0000000000001234");
  PGconn *alive = pg_sql_connect(fleet->name, "holdfast-0000000000012345");
  struct store_node buried = {.id = 0x1234, .beat = beat - 1};
  for (unsigned i = 0; i < 2; i++, buried.beat++) {
    struct store_request *request = beat_of(8, false);
    request->lease.buried = &buried;
    request->lease.buried_count = 1;
    request->lease.claimed = &partition;
    request->lease.claimed_count = 1;
    run(fleet->engines[0], request);
    assert_int_equal(request->lease.nodes_count, i == 0 ? 2 : 1);
    assert_int_equal(request->lease.owners[2],
                     i == 0 ? 0x1234 : 8); /* its beat had moved at first */
    store_request_free(request);
  }
  PGresult *result = PQexec(dead, "SELECT 1"); /* the server says why before it hangs up */
  assert_int_equal(PQresultStatus(result), PGRES_FATAL_ERROR);
  PQclear(result);
  assert_int_equal(pg_sql_number(alive, "SELECT 1"), 1);
  PQfinish(dead);
  PQfinish(alive);
  struct store_request *request = beat_of(0x1234, false);
  run(fleet->engines[1], request);
  assert_false(request->lease.member);
  store_request_free(request);
  assert_true(joined(fleet, 0x1234) > beat); /* and never the same beat again */
}

static void test_lease_when_an_owner_has_no_row_then_its_partition_is_free(void **state)
{
  struct fleet *fleet = *state;
  (void)joined(fleet, 4);
  pg_sql(fleet->conn, "UPDATE partitions SET owner=99 WHERE partition=1");
  struct store_request *request = beat_of(4, false);
  run(fleet->engines[0], request);
  assert_int_equal(request->lease.owners[1], 0);
  store_request_free(request);
  claim(fleet, 4, 1);
  assert_int_equal(owner_of(fleet, 1), 4);
}

struct rival {
  struct store_engine *engine;
  uint64_t id;
  struct store_node other;
  pthread_t thread;
  enum store_status status;
  bool member;
};

static void *bury(void *arg)
{
  struct rival *rival = arg;
  struct store_request *request = beat_of(rival->id, false);
  request->lease.buried = &rival->other;
  request->lease.buried_count = 1;
  rival->engine->ops->execute(rival->engine, request);
  rival->status = (enum store_status)request->status;
  rival->member = request->lease.member;
  store_request_free(request);
  return NULL;
}

/* Whoever is second has not moved its beat yet when it is buried, or finds that the first moved. */
static void test_lease_when_two_bury_each_other_then_one_at_the_most_is_gone(void **state)
{
  struct fleet *fleet = *state;
  for (unsigned round = 0; round < 20; round++) {
    struct rival rivals[2];
    uint64_t beats[2] = {joined(fleet, 1), joined(fleet, 2)};
    for (unsigned i = 0; i < 2; i++) {
      rivals[i] = (struct rival){
        .engine = fleet->engines[i], .id = i + 1u, .other = {.id = 2u - i, .beat = beats[1u - i]}};
      assert_int_equal(pthread_create(&rivals[i].thread, NULL, bury, &rivals[i]), 0);
    }
    for (unsigned i = 0; i < 2; i++)
      assert_int_equal(pthread_join(rivals[i].thread, NULL), 0);
    assert_int_equal(rivals[0].status, STORE_OK);
    assert_int_equal(rivals[1].status, STORE_OK);
    assert_int_equal(rivals[0].member + rivals[1].member, 1);
    assert_int_equal(pg_sql_number(fleet->conn, "SELECT count(*) FROM nodes"), 1);
  }
}

static uint64_t revision(struct fleet *fleet)
{
  struct store_request *request = beat_of(1, true);
  run(fleet->engines[0], request);
  uint64_t number = request->lease.catalog_revision;
  store_request_free(request);
  return number;
}

static void test_revision_when_assets_or_keys_change_then_it_moves_and_else_not(void **state)
{
  struct fleet *fleet = *state;
  uint64_t first = revision(fleet);
  assert_int_equal(revision(fleet), first);
  pg_sql(fleet->conn, "INSERT INTO assets VALUES(1,2,255,'COIN','','','',0)");
  uint64_t second = revision(fleet);
  assert_true(second > first);
  pg_sql(fleet->conn, "INSERT INTO service_keys VALUES('abcd','\\x00',1,0,0,'')");
  uint64_t third = revision(fleet);
  assert_true(third > second);
  pg_sql(fleet->conn, "UPDATE service_keys SET revoked_us=1");
  assert_true(revision(fleet) > third);
}

static uint64_t incarnation(struct fleet *fleet, unsigned engine)
{
  struct store_request *request = beat_of(engine + 1u, true);
  run(fleet->engines[engine], request);
  uint64_t number = request->lease.incarnation;
  store_request_free(request);
  return number;
}

static void test_incarnation_when_the_server_stays_then_one_for_all_nodes(void **state)
{
  struct fleet *fleet = *state;
  uint64_t first = incarnation(fleet, 0);
  assert_true(first > 0);
  assert_int_equal(incarnation(fleet, 1), first);
  pg_sql(fleet->conn, "SELECT pg_switch_wal()");
  assert_int_equal(incarnation(fleet, 0), first);
}

/* With a plan it gives up after its patience; a bare one gets through beside the lock. */
static void test_lease_when_a_lock_hangs_then_its_patience_ends_it_and_a_bare_one_works(
  void **state)
{
  struct fleet *fleet = *state;
  uint32_t partition = 1;
  (void)joined(fleet, 1);
  pg_sql(fleet->conn, "BEGIN;SELECT FROM partitions WHERE partition=1 FOR UPDATE");
  struct store_request *request = beat_of(1, false);
  request->lease.patience_us = 50000;
  request->lease.claimed = &partition;
  request->lease.claimed_count = 1;
  fleet->engines[0]->ops->execute(fleet->engines[0], request);
  assert_int_equal(request->status, STORE_UNAVAILABLE);
  store_request_free(request);
  request = beat_of(1, false);
  request->lease.patience_us = 50000;
  run(fleet->engines[0], request);
  assert_true(request->lease.member);
  store_request_free(request);
  pg_sql(fleet->conn, "COMMIT");
  claim(fleet, 1, 1); /* without patience: the session's own */
  assert_int_equal(owner_of(fleet, 1), 1);
}

static void test_lease_when_a_node_has_no_number_then_the_answer_is_refused(void **state)
{
  struct fleet *fleet = *state;
  (void)joined(fleet, 1);
  pg_sql(fleet->conn, "ALTER TABLE nodes DROP CONSTRAINT IF EXISTS nodes_id_check");
  pg_sql(fleet->conn, "INSERT INTO nodes(id,address,takes,beat,beaten_at) "
                      "VALUES(0,'',true,1,now())");
  struct store_request *request = beat_of(1, false);
  fleet->engines[0]->ops->execute(fleet->engines[0], request);
  assert_int_not_equal(request->status, STORE_OK);
  store_request_free(request);
}

static enum store_status opened(struct fleet *fleet, unsigned engine, uint64_t owner,
                                struct store_partition *ret_opened)
{
  struct store_request *request = store_request_new(STORE_OPEN_PARTITION);
  request->open_partition.partition = 1;
  request->open_partition.owner = owner;
  fleet->engines[engine]->ops->execute(fleet->engines[engine], request);
  enum store_status status = (enum store_status)request->status;
  *ret_opened = request->open_partition;
  store_request_free(request);
  return status;
}

static void test_opening_when_the_partition_is_another_nodes_then_fenced_and_nothing_done(
  void **state)
{
  struct fleet *fleet = *state;
  struct store_partition first, second;
  (void)joined(fleet, 1);
  assert_int_equal(opened(fleet, 0, 1, &first), STORE_FENCED); /* nobody's */
  claim(fleet, 1, 1);
  assert_int_equal(opened(fleet, 1, 2, &first), STORE_FENCED);
  assert_int_equal(pg_sql_number(fleet->conn, "SELECT count(*) FROM batches"), 0);
  assert_int_equal(opened(fleet, 0, 1, &first), STORE_OK);
  assert_int_equal(first.epoch, 1);
  assert_int_equal(first.next_batch, 2);
  assert_int_equal(opened(fleet, 0, 1, &second), STORE_OK);
  assert_int_equal(second.epoch, 2);
  assert_memory_equal(&second.follows, &first.head, sizeof first.head);
  assert_int_equal(pg_sql_number(fleet->conn, "SELECT epoch FROM partitions WHERE partition=1"), 2);
}

static void *open_many(void *arg)
{
  struct rival *rival = arg;
  rival->status = STORE_OK;
  for (unsigned i = 0; i < 25 && rival->status == STORE_OK; i++) {
    struct store_request *request = store_request_new(STORE_OPEN_PARTITION);
    request->open_partition.partition = 1;
    rival->engine->ops->execute(rival->engine, request);
    rival->status = (enum store_status)request->status;
    store_request_free(request);
  }
  return NULL;
}

/* Each opening is one epoch and one batch that follows the one before, whoever did that. */
static void test_opening_when_two_do_it_at_once_then_one_chain(void **state)
{
  struct fleet *fleet = *state;
  struct rival rivals[2];
  for (unsigned i = 0; i < 2; i++) {
    rivals[i] = (struct rival){.engine = fleet->engines[i]};
    assert_int_equal(pthread_create(&rivals[i].thread, NULL, open_many, &rivals[i]), 0);
  }
  for (unsigned i = 0; i < 2; i++) {
    assert_int_equal(pthread_join(rivals[i].thread, NULL), 0);
    assert_int_equal(rivals[i].status, STORE_OK);
  }
  assert_int_equal(pg_sql_number(fleet->conn, "SELECT epoch FROM partitions WHERE partition=1"),
                   50);
  assert_int_equal(pg_sql_number(fleet->conn, "SELECT count(*) FROM batches a JOIN batches b ON "
                                              "a.number=b.number-1 AND a.hash=b.previous AND "
                                              "a.epoch=b.epoch-1"),
                   49);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, fleet_setup, fleet_teardown)
  const struct CMUnitTest tests[] = {
    T(test_lease_when_nodes_join_then_all_see_them_and_beats_grow),
    T(test_lease_when_as_many_nodes_are_there_as_may_be_then_no_other_joins),
    T(test_lease_when_its_row_is_gone_then_no_member_and_nothing_is_done),
    T(test_lease_when_claimed_then_taken_only_if_free_and_freed_only_by_its_owner),
    T(test_lease_when_a_node_is_silent_then_buried_and_its_sessions_end),
    T(test_lease_when_an_owner_has_no_row_then_its_partition_is_free),
    T(test_lease_when_two_bury_each_other_then_one_at_the_most_is_gone),
    T(test_revision_when_assets_or_keys_change_then_it_moves_and_else_not),
    T(test_incarnation_when_the_server_stays_then_one_for_all_nodes),
    T(test_lease_when_a_lock_hangs_then_its_patience_ends_it_and_a_bare_one_works),
    T(test_lease_when_a_node_has_no_number_then_the_answer_is_refused),
    T(test_opening_when_the_partition_is_another_nodes_then_fenced_and_nothing_done),
    T(test_opening_when_two_do_it_at_once_then_one_chain),
  };
  return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
