#include "setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "moment.h"
#include "piece.h"
#include "reply.h"
#include "workload.h"

#define USERS_CONNECTIONS 64u
#define USERS_PIPELINE 8u
#define FUND_CONNECTIONS 8u
#define FUND_BATCH 500u
#define LIMIT_NS (3600 * MOMENT_S)
#define SERIAL_SIZE WORKLOAD_KEY_DIGITS

struct creation {
  struct piece request;
  size_t serial_at; /* of the external id's digits */
  char serial[SERIAL_SIZE];
  size_t left;         /* requests still to be sent */
  struct users *users; /* where ids go; NULL: the reply has none */
};

static size_t creation_append(void *state, unsigned connection, char *out, uint32_t *ret_tag)
{
  struct creation *creation = state;
  (void)connection;
  *ret_tag = 0;
  if (creation->left == 0)
    return 0;
  creation->left--;
  memcpy(out, creation->request.bytes, creation->request.size);
  if (creation->serial_at > 0) {
    workload_count_up(creation->serial, SERIAL_SIZE);
    memcpy(out + creation->serial_at, creation->serial, SERIAL_SIZE);
  }
  return creation->request.size;
}

static struct verdict creation_judge(void *state, unsigned connection, uint32_t tag,
                                     unsigned status, const char *body, size_t size)
{
  struct creation *creation = state;
  (void)connection;
  (void)tag;
  struct verdict verdict = {.expected = status == 201 || status == 200};
  if (creation->users == NULL || !verdict.expected)
    return verdict;
  size_t id_size = 0;
  const char *next = NULL;
  const char *id = reply_text_after(body, size, "\"id\":\"", &id_size, &next);
  verdict.expected = id != NULL && users_add(creation->users, id, id_size);
  verdict.ops_applied = verdict.expected ? 1 : 0;
  return verdict;
}

static double script_run(const struct setup_config *config, const struct script *script,
                         unsigned connections, unsigned pipeline, const char *label,
                         uint64_t expected)
{
  struct runner_config runner = {
    .plan = config->address,
    .threads = 1,
    .duration_ns = LIMIT_NS,
    .servers = config->servers,
    .label = label,
    .expected = expected,
  };
  runner.plan.connections = connections;
  runner.plan.pipeline = pipeline;
  struct runner_result *result = fail_calloc(1, sizeof *result);
  runner_run(&runner, script, result);
  const struct generator_result *totals = &result->totals;
  if (totals->unexpected_status != 0)
    fail("%s: status %u: %s", label, totals->unexpected_status, totals->unexpected_body);
  if (totals->broken > 0 || totals->unanswered > 0 || totals->replies < expected)
    fail("%s: %llu of %llu requests were answered", label, (unsigned long long)totals->replies,
         (unsigned long long)expected);
  double rate = result->seconds > 0.0 ? (double)totals->replies / result->seconds : 0.0;
  free(result);
  return rate;
}

void setup_asset(const struct setup_config *config)
{
  struct creation creation = {.left = 1};
  struct piece body;
  piece_init(&body, "{\"code\":\"%s\",\"scale\":%u}", config->asset, config->scale);
  piece_with_head(&creation.request, &body, 0,
                  "POST /v1/assets HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
                  "Content-Type: application/json\r\nIdempotency-Key: bench-asset-%s-%u\r\n",
                  config->host, config->access_key, config->asset, config->scale);
  struct script script = {.state = &creation,
                          .request_size_max = creation.request.size,
                          .append = creation_append,
                          .judge = creation_judge};
  script_run(config, &script, 1, 1, "asset", 1);
  piece_deinit(&creation.request);
}

double setup_users(const struct setup_config *config, size_t count, struct users *users)
{
  struct creation creation = {.left = count, .users = users};
  struct piece body;
  char spaces[SERIAL_SIZE + 1];
  memset(spaces, '-', SERIAL_SIZE);
  spaces[SERIAL_SIZE] = '\0';
  piece_init(&body, "{\"kind\":\"registered\",\"external_id\":\"bench-%08x-%s\"}",
             (unsigned)(config->run & 0xffffffffu), spaces);
  piece_with_head(&creation.request, &body, 0,
                  "POST /v1/users HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
                  "Content-Type: application/json\r\n",
                  config->host, config->access_key);
  /* The digits stand at the end of the body, before the closing quote and brace. */
  creation.serial_at = creation.request.size - SERIAL_SIZE - 2;
  CHECK(creation.request.bytes[creation.serial_at] == '-');
  memset(creation.serial, '0', SERIAL_SIZE);
  struct script script = {.state = &creation,
                          .request_size_max = creation.request.size,
                          .append = creation_append,
                          .judge = creation_judge};
  double rate = script_run(config, &script, USERS_CONNECTIONS, USERS_PIPELINE, "users", count);
  piece_deinit(&creation.request);
  return rate;
}

double setup_fund(const struct setup_config *config, const struct users *users, const char *amount)
{
  struct workload_config load = {
    .host = config->host,
    .access_key = config->access_key,
    .asset = config->asset,
    .amount = amount,
    .batch = FUND_BATCH,
    .choice = CHOICE_EACH,
  };
  if (users->count < load.batch)
    load.batch = users->count > 1 ? (unsigned)users->count : 1;
  CHECK(workload_mix_parse("grant", &load.mix));
  struct workload_plan *plan = fail_calloc(1, sizeof *plan);
  workload_plan_init(plan, &load, users);
  struct workload workload;
  /* The bit sets these keys apart from those of the measured load of the same run. */
  workload_init(&workload, plan, FUND_CONNECTIONS, 0, 1, config->run ^ 0x80000000u);
  struct script script = workload_script(&workload);
  uint64_t batches = (users->count + load.batch - 1) / load.batch;
  double rate = script_run(config, &script, FUND_CONNECTIONS, 1, "funds", batches) * load.batch;
  workload_deinit(&workload);
  workload_plan_deinit(plan);
  free(plan);
  return rate;
}
