/* bench_json.c - what the API layer costs per request: reading an op, writing replies, finding a
 * route, knowing a key.
 *
 * Prints nanoseconds per call; the best of several rounds, because the machine is shared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapters/http/api_auth.h"
#include "adapters/http/api_parse.h"
#include "adapters/http/api_write.h"
#include "adapters/http/route.h"
#include "holdfast/check.h"

#define ROUNDS 15
#define ROUND_NS 20000000u

static struct api_parse parse = {
  .now_us = 1800000000000000, .key_id = "bench", .request_id = "0123456789abcdef"};
static struct json_out out;
static struct store_asset_row asset = {.id = 1, .scale = 8, .code = "COIN"};
static struct ledger_entry entry;
static struct api_auth *auth;
static struct store_key_row key;
static volatile size_t sink;

static uint64_t now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static const struct store_asset_row *asset_of(const void *arg, uint16_t id)
{
  (void)arg;
  (void)id;
  return &asset;
}

static const struct store_key_row *key_of(const void *arg, const char *id, size_t size)
{
  (void)arg;
  (void)id;
  (void)size;
  return &key;
}

/* ---- what is measured ------------------------------------------------------------------------ */

static void read_body(const char *body)
{
  struct json_problem problem = {.error = HF_OK};
  struct hf_op *op = hf_op_new();
  unsigned digits = 0;
  json_t *root = json_in_parse(body, strlen(body), &problem);
  CHECK(root != NULL);
  api_parse_op(&parse, root, op, &problem, &digits);
  api_parse_amount(op, asset.scale, digits, &problem);
  CHECK(problem.error == HF_OK);
  sink += op->command.request.bytes[0];
  json_decref(root);
  hf_op_free(op);
}

static void read_spend(void)
{
  read_body("{\"type\":\"spend\",\"user_id\":\"4503599627370497\",\"asset\":\"COIN\","
            "\"amount\":\"12.50\"}");
}

static void read_spend_with_metadata(void)
{
  read_body("{\"type\":\"spend\",\"user_id\":\"4503599627370497\",\"asset\":\"COIN\","
            "\"amount\":\"12.50\",\"to\":\"shop-17\",\"reason\":\"an order\","
            "\"metadata\":{\"order\":\"A-4711\",\"items\":[1,2,3],\"gift\":false}}");
}

static const struct api_write to = {.out = &out, .asset = asset_of, .partition_bits = 4};

static void write_op(void)
{
  json_out_clear(&out);
  json_out_begin_object(&out);
  api_write_op(&to, &entry, 1, (struct store_text){NULL, 0}, 0);
  json_out_end_object(&out);
  sink += out.size;
}

static void write_balances(void)
{
  json_out_clear(&out);
  json_out_begin_object(&out);
  json_out_key(&out, "user_id");
  json_out_id(&out, entry.user);
  json_out_key(&out, "version");
  json_out_unsigned(&out, entry.version);
  json_out_key(&out, "as_of");
  json_out_time(&out, entry.recorded_us);
  json_out_key(&out, "balances");
  json_out_begin_object(&out);
  json_out_key_text(&out, asset.code, 4);
  api_write_balance(&out, &entry.after, asset.scale);
  json_out_end_object(&out);
  json_out_end_object(&out);
  sink += out.size;
}

static void find_route(void)
{
  static const char path[] = "/v1/users/4503599627370497/balances";
  const struct route_match match = route_find(HTTP_GET, (struct http_slice){path, sizeof path - 1});
  CHECK(match.route != NULL);
  sink += match.params_count;
}

static void know_key(void)
{
  static const char header[] = "Bearer hfk_bench_0123456789abcdef0123456789abcdef";
  struct api_caller caller;
  CHECK(
    api_auth_check(auth, (struct http_slice){header, sizeof header - 1}, key_of, NULL, &caller));
  sink += caller.scopes;
}

/* ---- measuring ------------------------------------------------------------------------------- */

static void measure(const char *name, void (*call)(void))
{
  uint64_t best = UINT64_MAX;
  for (unsigned round = 0; round < ROUNDS; round++) {
    uint64_t count = 0;
    const uint64_t start = now_ns();
    uint64_t spent;
    do {
      for (unsigned i = 0; i < 100; i++)
        call();
      count += 100;
      spent = now_ns() - start;
    } while (spent < ROUND_NS);
    best = spent / count < best ? spent / count : best;
  }
  printf("%-28s %6llu ns\n", name, (unsigned long long)best);
}

static void set_up(void)
{
  static const char secret[] = "0123456789abcdef0123456789abcdef";
  const struct api_admin_key none = {.given = false};
  auth = api_auth_new(&none);
  memcpy(key.id, "bench", 6);
  key.scopes = HF_SCOPE_LEDGER_WRITE;
  key.secret = hf_sha256(secret, sizeof secret - 1);
  entry = (struct ledger_entry){.id = 4503599627370497,
                                .user = 4503599627370497,
                                .version = 17,
                                .type = LEDGER_T_SPEND,
                                .op_count = 1,
                                .from = LEDGER_CLAIMABLE,
                                .to = LEDGER_SPEND,
                                .asset = 1,
                                .amount = 1250000000,
                                .effective_us = 1800000000123456,
                                .recorded_us = 1800000000123456,
                                .actor = "key:bench",
                                .correlation = "0123456789abcdef"};
  entry.after.bucket[LEDGER_CLAIMABLE] = 987654321000;
  entry.after.bucket[LEDGER_HELD] = 1000000000;
  entry.after.spent_total = 5000000000;
}

int main(void)
{
  set_up();
  measure("read a spend", read_spend);
  measure("read a spend with metadata", read_spend_with_metadata);
  measure("write an op's reply", write_op);
  measure("write balances", write_balances);
  measure("find a route", find_route);
  measure("know a service key", know_key);
  json_out_deinit(&out);
  api_parse_deinit(&parse);
  api_auth_free(auth);
  return 0;
}
