/* test_keeper_plan.c - what a heartbeat told, and what the next one does: shares, burials, claims,
 * partitions that were lost. Several keepers of one imagined cluster, and no store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "actors/cluster/keeper.h"

#define LEASE_US 1000000u
#define PARTITIONS 16u
#define NODES 7u

struct world {
  struct hf_setup setups[NODES];
  struct keeper *keepers[NODES];
  struct store_node nodes[NODES];
  unsigned count;
  uint64_t owners[PARTITIONS];
};

static uint64_t folder(unsigned index)
{
  return (uint64_t)(index + 1u) << HF_NODE_LIFE_BITS;
}

static void world_make(struct world *world, unsigned count)
{
  *world = (struct world){.count = count};
  for (unsigned i = 0; i < count; i++) {
    world->setups[i] =
      (struct hf_setup){.node = folder(i) | 1u, .node_takes = true, .lease_us = LEASE_US};
    world->nodes[i] = (struct store_node){.id = world->setups[i].node, .beat = 1, .takes = true};
    world->keepers[i] = rt_alloc(sizeof *world->keepers[i]);
    world->keepers[i]->setup = &world->setups[i];
    world->keepers[i]->partitions = PARTITIONS;
  }
}

static void world_free(struct world *world)
{
  for (unsigned i = 0; i < world->count; i++)
    rt_free(world->keepers[i]);
}

/* A heartbeat of node `at` worked, and told how things stand. */
static void told(struct world *world, unsigned at, uint64_t now_us)
{
  struct keeper *keeper = world->keepers[at];
  keeper->member = true;
  keeper_watch(keeper, world->nodes, world->count, now_us);
  (void)keeper_owners(keeper, world->owners);
}

static struct store_request *planned(const struct world *world, unsigned at, uint64_t now_us)
{
  struct store_request *request = store_request_new(STORE_LEASE);
  keeper_plan(world->keepers[at], request, now_us);
  return request;
}

static void test_shares_when_some_nodes_take_then_all_is_dealt_out_evenly(void **state)
{
  (void)state;
  for (unsigned count = 1; count <= NODES; count++) {
    struct world world;
    unsigned sum = 0;
    world_make(&world, count);
    for (unsigned i = 0; i < count; i++) {
      told(&world, i, 1);
      unsigned share = keeper_share(world.keepers[i], 1);
      assert_in_range(share, PARTITIONS / count, (PARTITIONS + count - 1u) / count);
      sum += share;
    }
    assert_int_equal(sum, PARTITIONS);
    world_free(&world);
  }
}

static void test_claims_when_all_begin_at_once_then_no_two_want_the_same(void **state)
{
  struct world world;
  unsigned wanted[PARTITIONS] = {0};
  (void)state;
  world_make(&world, 4);
  for (unsigned i = 0; i < world.count; i++) {
    told(&world, i, 1);
    struct store_request *request = planned(&world, i, 1);
    assert_int_equal(request->lease.claimed_count, 4);
    for (size_t j = 0; j < request->lease.claimed_count; j++)
      wanted[request->lease.claimed[j]]++;
    store_request_free(request);
  }
  for (unsigned i = 0; i < PARTITIONS; i++)
    assert_int_equal(wanted[i], 1);
  world_free(&world);
}

/* A node's heartbeats from one moment to another, as often as they come. */
static void watched(struct world *world, unsigned at, uint64_t from_us, uint64_t until_us)
{
  for (uint64_t now_us = from_us; now_us <= until_us; now_us += LEASE_US * KEEPER_BEAT / 1000u)
    told(world, at, now_us);
}

static void told_until(struct world *world, uint64_t from_us, uint64_t until_us)
{
  watched(world, 0, from_us, until_us);
}

static void check_plan(const struct world *world, uint64_t now_us, size_t buried, size_t claimed)
{
  struct store_request *request = planned(world, 0, now_us);
  assert_int_equal(request->lease.buried_count, buried);
  assert_int_equal(request->lease.claimed_count, claimed);
  if (buried > 0) {
    assert_int_equal(request->lease.buried[0].id, world->nodes[1].id);
    assert_int_equal(request->lease.buried[0].beat, world->nodes[1].beat);
  }
  assert_int_equal(keeper_has_plan(world->keepers[0], now_us), buried + claimed > 0);
  store_request_free(request);
}

/* The worst that docs/ARCHITECTURE.md allows: the owner's clock loses 6 %, the other's gains 6 %,
 * and the other saw the last beat in the moment in which it was sent. */
static void test_lease_when_clocks_drift_apart_then_memory_is_silent_before_the_burial(void **state)
{
  const double slow = 0.94, fast = 1.06;
  struct world world;
  (void)state;
  world_make(&world, 2);
  for (unsigned i = 0; i < PARTITIONS; i++)
    world.owners[i] = world.nodes[0].id;
  told(&world, 0, 1);
  told(&world, 1, 1);
  world.keepers[0]->good_us = 1;
  struct keeper_places *places = keeper_places_new(world.keepers[0]);
  uint64_t after_us = (uint64_t)((double)(places->until_us - 1u) / slow);
  assert_in_range(places->until_us, LEASE_US / 2u, LEASE_US);
  uint64_t until_us = 1u + (uint64_t)((double)after_us * fast);
  watched(&world, 1, 1, until_us);
  struct store_request *request = planned(&world, 1, until_us);
  assert_int_equal(request->lease.buried_count, 0);
  store_request_free(request);
  rt_free(places);
  world_free(&world);
}

static void test_burial_when_a_beat_stands_still_then_only_after_its_time(void **state)
{
  struct world world;
  const uint64_t dead_us = LEASE_US * KEEPER_DEAD / 1000u;
  (void)state;
  world_make(&world, 2);
  for (unsigned i = 0; i < PARTITIONS; i++)
    world.owners[i] = world.nodes[i % 2u].id;
  told_until(&world, 1, dead_us); /* the last one a tenth of the lease before its time */
  check_plan(&world, dead_us, 0, 0);
  check_plan(&world, 1u + dead_us, 1, PARTITIONS / 2u); /* in the same heartbeat */
  world.nodes[1].beat++;
  told(&world, 0, 1u + dead_us);
  told_until(&world, 1u + dead_us, 2u * dead_us);
  check_plan(&world, 2u * dead_us, 0, 0);
  check_plan(&world, 1u + 2u * dead_us, 1, PARTITIONS / 2u);
  world_free(&world);
}

/* An outage of the database silences every node; whoever is back first has heard of nobody. */
static void test_burial_when_nobody_could_look_then_silence_does_not_count(void **state)
{
  struct world world;
  const uint64_t outage_us = 20u * LEASE_US;
  (void)state;
  world_make(&world, 2);
  for (unsigned i = 0; i < PARTITIONS; i++)
    world.owners[i] = world.nodes[i % 2u].id;
  told_until(&world, 1, LEASE_US / 5u);
  check_plan(&world, LEASE_US / 5u + outage_us, 0, 0); /* the first heartbeat behind it */
  told(&world, 0, LEASE_US / 5u + outage_us);
  check_plan(&world, LEASE_US / 5u + outage_us + LEASE_US / 5u, 0, 0);
  told_until(&world, LEASE_US / 5u + outage_us, 2u * LEASE_US + outage_us);
  check_plan(&world, 2u * LEASE_US + outage_us, 1, PARTITIONS / 2u); /* it stayed away */
  world_free(&world);
}

/* While the option is changed node by node: each one's memory is good by its own lease. */
static void test_burial_when_the_other_node_has_a_longer_lease_then_by_that_one(void **state)
{
  struct world world;
  const uint64_t dead_us = 5u * LEASE_US * KEEPER_DEAD / 1000u;
  (void)state;
  world_make(&world, 2);
  world.nodes[1].lease_us = 5u * LEASE_US;
  for (unsigned i = 0; i < PARTITIONS; i++)
    world.owners[i] = world.nodes[i % 2u].id;
  told_until(&world, 1, dead_us);
  check_plan(&world, dead_us, 0, 0);
  check_plan(&world, 1u + dead_us, 1, PARTITIONS / 2u);
  world_free(&world);
}

/* Memory is good for less than a burial takes, or two nodes could answer. */
static void test_times_when_compared_then_memory_ends_before_the_burial(void **state)
{
  (void)state;
  assert_true(KEEPER_SURE < KEEPER_DEAD);
  assert_true(KEEPER_SLOW < KEEPER_DEAD);
  assert_true(2u * KEEPER_BEAT < KEEPER_SLOW);
}

static void test_start_when_a_former_life_has_partitions_then_it_is_buried_at_once(void **state)
{
  struct world world;
  (void)state;
  world_make(&world, 2);
  world.setups[0].node = folder(1) | 2u; /* the next life of the other one */
  world.nodes[0].id = world.setups[0].node;
  for (unsigned i = 0; i < PARTITIONS; i++)
    world.owners[i] = world.nodes[1].id;
  told(&world, 0, 1);
  assert_int_equal(keeper_share(world.keepers[0], 1), PARTITIONS);
  struct store_request *request = planned(&world, 0, 1);
  assert_int_equal(request->lease.buried_count, 1);
  assert_int_equal(request->lease.claimed_count, PARTITIONS);
  store_request_free(request);
  struct keeper_places *places = keeper_places_new(world.keepers[0]);
  assert_int_equal(places->nodes_count, 0); /* nobody is asked there */
  assert_int_equal(places->places[3].where, CLUSTER_NOWHERE);
  rt_free(places);
  world_free(&world);
}

static void test_lost_when_told_by_an_older_heartbeat_then_it_stays_lost(void **state)
{
  struct world world;
  (void)state;
  world_make(&world, 1);
  for (unsigned i = 0; i < PARTITIONS; i++)
    world.owners[i] = world.nodes[0].id;
  told(&world, 0, 1);
  struct keep *keep = &world.keepers[0]->keeps[5];
  assert_int_equal(keep->state, KEEP_HELD);
  keep->state = KEEP_LOST;
  told(&world, 0, 2);
  assert_int_equal(keep->state, KEEP_LOST);
  keep->state = KEEP_ASKED; /* a heartbeat was sent since */
  told(&world, 0, 3);
  assert_int_equal(keep->state, KEEP_HELD);
  keep->state = KEEP_ASKED;
  world.owners[5] = 0;
  told(&world, 0, 4);
  assert_int_equal(keep->state, KEEP_NOT);
  world_free(&world);
}

/* A heartbeat's answer; true: the database may have gone back. */
static bool answered(struct keeper *keeper, uint64_t incarnation, uint64_t beat)
{
  return keeper_went_back(keeper,
                          &(struct store_lease){.incarnation = incarnation, .self.beat = beat});
}

static void test_database_when_it_went_back_then_all_that_was_told_is_lost(void **state)
{
  struct world world;
  (void)state;
  world_make(&world, 1);
  for (unsigned i = 0; i < PARTITIONS; i++)
    world.owners[i] = world.nodes[0].id;
  struct keeper *keeper = world.keepers[0];
  assert_false(answered(keeper, 5, 70)); /* nothing to compare it with */
  told(&world, 0, 1);
  for (unsigned i = 1; i < PARTITIONS; i++) /* the first one's store actor was not reached */
    keeper->keeps[i].told = true;
  assert_false(answered(keeper, 5, 71));
  assert_int_equal(keeper->keeps[1].state, KEEP_HELD);
  assert_true(answered(keeper, 6, 72)); /* started anew */
  told(&world, 0, 2);
  assert_int_equal(keeper->keeps[0].state, KEEP_HELD); /* it is not open */
  for (unsigned i = 1; i < PARTITIONS; i++)
    assert_int_equal(keeper->keeps[i].state, KEEP_LOST);
  assert_int_equal(keeper_count(keeper), PARTITIONS);
  keeper->keeps[1].state = KEEP_HELD;
  assert_false(answered(keeper, 6, 73));
  assert_true(answered(keeper, 6, 73)); /* the same beat again */
  assert_int_equal(keeper->keeps[1].state, KEEP_LOST);
  world_free(&world);
}

static void test_stateless_when_it_has_partitions_then_it_gives_them_up(void **state)
{
  struct world world;
  (void)state;
  world_make(&world, 2);
  world.setups[0].node_takes = world.nodes[0].takes = false;
  world.owners[2] = world.nodes[0].id; /* from before it was told to take none */
  told(&world, 0, 1);
  struct store_request *request = planned(&world, 0, 1);
  assert_int_equal(request->lease.claimed_count, 0);
  assert_int_equal(request->lease.released_count, 1);
  assert_int_equal(request->lease.released[0], 2);
  store_request_free(request);
  told(&world, 1, 1);
  assert_int_equal(keeper_share(world.keepers[1], 1), PARTITIONS);
  world_free(&world);
}

static void test_take_over_when_counted_then_only_what_another_node_had(void **state)
{
  struct world world;
  (void)state;
  world_make(&world, 2);
  world.owners[0] = world.nodes[1].id;
  told(&world, 0, 1);
  world.owners[0] = world.owners[1] = world.nodes[0].id;
  assert_int_equal(keeper_owners(world.keepers[0], world.owners), 1);
  assert_int_equal(keeper_owners(world.keepers[0], world.owners), 0);
  world_free(&world);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_shares_when_some_nodes_take_then_all_is_dealt_out_evenly),
    cmocka_unit_test(test_claims_when_all_begin_at_once_then_no_two_want_the_same),
    cmocka_unit_test(test_burial_when_a_beat_stands_still_then_only_after_its_time),
    cmocka_unit_test(test_burial_when_nobody_could_look_then_silence_does_not_count),
    cmocka_unit_test(test_burial_when_the_other_node_has_a_longer_lease_then_by_that_one),
    cmocka_unit_test(test_times_when_compared_then_memory_ends_before_the_burial),
    cmocka_unit_test(test_start_when_a_former_life_has_partitions_then_it_is_buried_at_once),
    cmocka_unit_test(test_lost_when_told_by_an_older_heartbeat_then_it_stays_lost),
    cmocka_unit_test(test_database_when_it_went_back_then_all_that_was_told_is_lost),
    cmocka_unit_test(test_stateless_when_it_has_partitions_then_it_gives_them_up),
    cmocka_unit_test(test_lease_when_clocks_drift_apart_then_memory_is_silent_before_the_burial),
    cmocka_unit_test(test_take_over_when_counted_then_only_what_another_node_had),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
