/* test_peer_link.c - two nodes with real peer actors over real links: asks of one are answered by
 * the other, and all of them get a reply when that one stops. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "actors/cluster/cluster.h"
#include "actors/metrics.h"
#include "adapters/link/link_port.h"
#include "holdfast/check.h"
#include "holdfast/driver.h"
#include "peer_fixture.h"

#define LOOPS 2u
#define ASKS 2000u
#define ONE 1u
#define TWO 2u
#define LOCAL_NODE HF_LOCAL_FRONT
#define OP_GO (HF_MESSAGE_END + 1)
#define WAIT_S 60

struct node {
  struct rt_driver *driver;
  rt *runtime;
  struct link_port *port;
  struct hf_setup setup;
  struct cluster *clusters[LOOPS];
  char address[STORE_ADDRESS_MAX + 1];
  const struct node *other; /* has all partitions, for node ONE */
  bool silent;              /* its users never answer */
  struct peer_random random;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  unsigned asked, replied, applied, unknown, refused;
};

static struct node *node_of(const rt_ctx *ctx)
{
  return rt_local(ctx, LOCAL_NODE);
}

static rt_status user_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct node *node = node_of(ctx);
  struct hf_op *op = env->payload.p.ptr;
  (void)state;
  pthread_mutex_lock(&node->lock);
  node->asked++;
  struct ledger_entry entry = peer_make_entry(&node->random, op->user, 0, 1);
  pthread_cond_broadcast(&node->changed);
  pthread_mutex_unlock(&node->lock);
  if (node->silent)
    return RT_OK;
  op->effects = rt_alloc(sizeof entry);
  memcpy(op->effects, &entry, sizeof entry);
  op->unit.entries = op->effects;
  op->unit.entries_count = 1;
  rt_reply(ctx, env->from, env->corr, HF_DONE, &op, sizeof op);
  return RT_OK;
}

static const rt_class user_class = {
  .name = "user", .kind = HF_KIND_USER, .state_bytes = 8, .handle = user_handle};

/* Whom the peer actor may ask, too. */
static const rt_class names_class = {
  .name = "names", .kind = HF_KIND_NAMES, .state_bytes = 8, .handle = user_handle};
static const rt_class catalog_class = {
  .name = "catalog", .kind = HF_KIND_CATALOG, .state_bytes = 8, .handle = user_handle};

/* Asks for its share of ASKS users at once, and counts what comes back. */
static rt_status front_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct node *node = node_of(ctx);
  (void)state;
  if (env->op == OP_GO) {
    for (unsigned i = 0; i < ASKS / LOOPS; i++) {
      struct hf_op *op = hf_op_new();
      op->user = hf_id_make(1000u + i, i % (1u << PEER_BITS), PEER_BITS);
      op->command.type = LEDGER_T_SPEND;
      op->command.amount_given = true;
      memcpy(op->asset_code, "COIN", 5);
      const rt_id to = hf_user_actor(op->user, PEER_BITS);
      CHECK(cluster_ask(ctx, to, HF_SUBMIT, op, rt_now_us(ctx) + 30000000u, hf_corr(op)) == RT_OK);
    }
  } else if (env->op == HF_DONE) {
    struct hf_op *op = env->payload.p.ptr;
    pthread_mutex_lock(&node->lock);
    node->replied++;
    node->applied += op->error == HF_OK && !op->replayed && hf_op_id(op) != 0;
    node->unknown += op->error == HF_E_UNKNOWN_OUTCOME;
    node->refused += op->error == HF_E_UNAVAILABLE;
    pthread_cond_broadcast(&node->changed);
    pthread_mutex_unlock(&node->lock);
    hf_op_free(op);
  }
  return RT_OK;
}

static const uint8_t front_may_ask[] = {HF_KIND_PEER, HF_KIND_USER, 0};
static const rt_class front_class = {.name = "front",
                                     .kind = HF_KIND_FRONT,
                                     .flags = RT_CLASS_PER_LOOP,
                                     .state_bytes = 8,
                                     .may_ask = front_may_ask,
                                     .handle = front_handle};

static void loop_start(void *arg, rt_ctx *ctx)
{
  struct node *node = arg;
  rt_set_local(ctx, HF_LOCAL_SETUP, &node->setup);
  rt_set_local(ctx, LOCAL_NODE, node);
  struct cluster *cluster = cluster_new(PEER_BITS, false);
  const bool owns = node->other == NULL;
  for (unsigned i = 0; i < cluster->partitions; i++) {
    cluster->places[i].where = owns ? CLUSTER_HERE : CLUSTER_ELSEWHERE;
    cluster->places[i].owner = TWO;
  }
  if (!owns) {
    cluster->nodes_count = 1;
    cluster->nodes[0].id = TWO;
    memcpy(cluster->nodes[0].address, node->other->address, sizeof node->other->address);
  }
  node->clusters[rt_loop_index(ctx)] = cluster;
  rt_set_local(ctx, HF_LOCAL_CLUSTER, cluster);
  link_port_loop_begin(node->port, ctx);
}

static void loop_stop(void *arg, rt_ctx *ctx)
{
  struct node *node = arg;
  link_port_loop_end(node->port, ctx);
}

static struct node *start(uint64_t id, const struct node *other, bool silent)
{
  static const rt_class *const classes[] = {&hf_peer_class, &user_class,    &front_class,
                                            &names_class,   &catalog_class, NULL};
  struct node *node = calloc(1, sizeof *node);
  assert_non_null(node);
  node->other = other;
  node->silent = silent;
  node->random.state = id;
  pthread_mutex_init(&node->lock, NULL);
  pthread_cond_init(&node->changed, NULL);
  const struct link_config link = {.node = id, .secret = {5}, .silence_us = 60000000};
  node->port = link_port_new(&link, LOOPS);
  assert_int_equal(link_port_listen(node->port, "127.0.0.1:0", node->address), 0);
  node->setup = (struct hf_setup){
    .partition_bits = PEER_BITS, .op_timeout_us = 30000000, .node = id, .link = node->port};
  struct rt_config config = {.loops = LOOPS,
                             .shards = 1u << PEER_BITS,
                             .classes = classes,
                             .metrics = hf_actor_metrics,
                             .metrics_count = HF_METRIC_COUNT,
                             .live_actors_max = 2u * ASKS,
                             .loop_start = loop_start,
                             .loop_stop = loop_stop,
                             .arg = node};
  node->driver = driver_uv_new();
  node->runtime = rt_start(node->driver, &config);
  assert_non_null(node->runtime);
  return node;
}

static bool stop(struct node *node, uint64_t drain_us)
{
  rt_stop(node->runtime, drain_us);
  const bool complete = rt_join(node->runtime);
  driver_uv_free(node->driver);
  link_port_free(node->port);
  for (unsigned i = 0; i < LOOPS; i++)
    cluster_free(node->clusters[i]);
  pthread_mutex_destroy(&node->lock);
  pthread_cond_destroy(&node->changed);
  free(node);
  return complete;
}

static void go(struct node *node)
{
  for (unsigned i = 0; i < LOOPS; i++)
    assert_int_equal(rt_post(node->runtime, hf_loop_actor(HF_KIND_FRONT, i), OP_GO, NULL, 0),
                     RT_OK);
}

static void wait_for(struct node *node, const unsigned *counter, unsigned count)
{
  struct timespec until;
  int error = 0;
  timespec_get(&until, TIME_UTC);
  until.tv_sec += WAIT_S;
  pthread_mutex_lock(&node->lock);
  while (*counter < count && error == 0)
    error = pthread_cond_timedwait(&node->changed, &node->lock, &until);
  pthread_mutex_unlock(&node->lock);
  assert_int_equal(error, 0);
}

static void test_asks_when_another_node_has_the_users_then_it_answers_them_all(void **state)
{
  struct node *two = start(TWO, NULL, false), *one = start(ONE, two, false);
  (void)state;
  for (unsigned round = 1; round <= 3; round++) {
    go(one);
    wait_for(one, &one->replied, round * ASKS);
    assert_int_equal(one->applied, round * ASKS);
  }
  assert_int_equal(two->asked, 3 * ASKS);
  assert_true(stop(one, 5000000));
  assert_true(stop(two, 5000000));
}

static void test_asks_when_the_other_node_stops_then_all_are_told_so_once(void **state)
{
  struct node *two = start(TWO, NULL, true), *one = start(ONE, two, false);
  (void)state;
  go(one);
  wait_for(two, &two->asked, ASKS);
  assert_false(stop(two, 0)); /* its users never answer */
  wait_for(one, &one->replied, ASKS);
  assert_int_equal(one->unknown, ASKS);
  go(one); /* nobody listens there now: surely not done */
  wait_for(one, &one->replied, 2 * ASKS);
  assert_int_equal(one->refused, ASKS);
  assert_true(stop(one, 5000000));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_asks_when_another_node_has_the_users_then_it_answers_them_all),
    cmocka_unit_test(test_asks_when_the_other_node_stops_then_all_are_told_so_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
