/* bench_ledger.c - what the ledger core costs per command: judging, entries, bytes, hash, folding.
 *
 * Prints nanoseconds per call; the best of several rounds, because the machine is shared. "apply"
 * holds all of judging, encoding and hashing; "encode" and "hash" say how much of it they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "actors/ledger/ledger.h"

#define ROUNDS 9
#define CALLS 4000u
#define BITS 4u

static uint64_t now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static unsigned scale_of(const void *arg, uint16_t asset)
{
  (void)arg;
  (void)asset;
  return 8;
}

static struct ledger_command command_of(unsigned type, hf_amount amount)
{
  struct ledger_command command = {
    .type = (uint8_t)type,
    .bucket = LEDGER_CLAIMABLE,
    .final = true,
    .asset_known = true,
    .asset_given = true,
    .amount_given = true,
    .scale = 8,
    .asset = 1,
    .amount = {amount, 8},
    .if_version = -1,
    .now_us = 1700000000000000,
    .scale_of = scale_of,
    .label = "app:play",
    .actor = "key:bench01",
  };
  return command;
}

static void must_apply(struct ledger_user *user, const struct ledger_command *command,
                       struct ledger_result *result)
{
  ledger_apply(user, command, result);
  CHECK(result->error == HF_OK);
}

/* A user with that many assets and open holds, and something to spend in asset 1. */
static void make_user(struct ledger_user *user, struct ledger_result *result, unsigned assets,
                      unsigned holds)
{
  ledger_user_init(user, 1000003);
  for (unsigned i = 1; i <= assets; i++) {
    struct ledger_command grant = command_of(LEDGER_T_GRANT, (hf_amount)1 << 60);
    grant.asset = (uint16_t)i;
    must_apply(user, &grant, result);
  }
  for (unsigned i = 0; i < holds; i++) {
    struct ledger_command hold = command_of(LEDGER_T_HOLD, 1000);
    must_apply(user, &hold, result);
    CHECK(ledger_user_name(user, user->version, 1600 + 16 * i));
  }
}

struct scene {
  struct ledger_user user;
  struct ledger_result result;
  struct hf_bytes bytes;
  struct ledger_command command;
  struct ledger_entry *entries; /* CALLS of them, to fold */
  uint64_t sink;
};

typedef void (*scene_call)(struct scene *scene, unsigned i);

static void call_apply(struct scene *scene, unsigned i)
{
  (void)i;
  must_apply(&scene->user, &scene->command, &scene->result);
}

static void call_refuse(struct scene *scene, unsigned i)
{
  (void)i;
  ledger_apply(&scene->user, &scene->command, &scene->result);
  CHECK(scene->result.error == HF_E_INSUFFICIENT_FUNDS);
}

/* One hold and its capture: two calls. */
static void call_hold_capture(struct scene *scene, unsigned i)
{
  scene->command = command_of(LEDGER_T_HOLD, 1000);
  must_apply(&scene->user, &scene->command, &scene->result);
  const hf_id id = hf_id_make(1000000 + i, 0, BITS);
  CHECK(ledger_user_name(&scene->user, scene->user.version, id));
  scene->command = command_of(LEDGER_T_CAPTURE, 1000);
  scene->command.ref = id;
  must_apply(&scene->user, &scene->command, &scene->result);
}

static void call_encode(struct scene *scene, unsigned i)
{
  (void)i;
  hf_bytes_clear(&scene->bytes);
  ledger_entry_encode(&scene->result.entries[0], &scene->bytes);
}

static void call_hash(struct scene *scene, unsigned i)
{
  (void)i;
  scene->sink +=
    ledger_entry_hash(&scene->user.head, scene->result.body.at, scene->result.body_size[0])
      .bytes[0];
}

static void call_decode(struct scene *scene, unsigned i)
{
  (void)i;
  struct ledger_other others[LEDGER_ASSETS_MAX];
  struct ledger_entry entry = {0};
  CHECK(ledger_entry_decode(scene->result.body.at, scene->result.body_size[0], others, &entry));
}

static void call_fold(struct scene *scene, unsigned i)
{
  CHECK(ledger_fold(&scene->user, &scene->entries[i], BITS, false) == NULL);
}

static void call_copy(struct scene *scene, unsigned i)
{
  (void)i;
  struct ledger_user copy;
  ledger_user_copy(&copy, &scene->user);
  ledger_user_deinit(&copy);
}

static void measure(const char *name, struct scene *scene, scene_call call)
{
  double best = 1e18;
  struct ledger_user kept;
  ledger_user_copy(&kept, &scene->user);
  for (unsigned round = 0; round < ROUNDS; round++) {
    ledger_user_deinit(&scene->user);
    ledger_user_copy(&scene->user, &kept);
    const uint64_t start = now_ns();
    for (unsigned i = 0; i < CALLS; i++)
      call(scene, i);
    const double each = (double)(now_ns() - start) / CALLS;
    best = each < best ? each : best;
  }
  ledger_user_deinit(&kept);
  printf("%-44s %8.1f ns\n", name, best);
}

static void open_scene(struct scene *scene, unsigned assets, unsigned holds)
{
  memset(scene, 0, sizeof *scene);
  ledger_result_init(&scene->result);
  make_user(&scene->user, &scene->result, assets, holds);
}

static void close_scene(struct scene *scene)
{
  ledger_user_deinit(&scene->user);
  ledger_result_deinit(&scene->result);
  hf_bytes_deinit(&scene->bytes);
}

/* Folds what another user of the same history has applied. */
static void measure_fold(const char *name, unsigned assets)
{
  struct scene scene;
  open_scene(&scene, assets, 0);
  struct ledger_user ahead;
  ledger_user_copy(&ahead, &scene.user);
  scene.entries = calloc(CALLS, sizeof *scene.entries);
  CHECK(scene.entries != NULL);
  scene.command = command_of(LEDGER_T_GRANT, 5);
  for (unsigned i = 0; i < CALLS; i++) {
    must_apply(&ahead, &scene.command, &scene.result);
    scene.entries[i] = scene.result.entries[0];
    scene.entries[i].id = hf_id_make(i + 1, 3, BITS);
  }
  measure(name, &scene, call_fold);
  free(scene.entries);
  ledger_user_deinit(&ahead);
  close_scene(&scene);
}

static void measure_user(unsigned assets, unsigned holds)
{
  struct scene scene;
  open_scene(&scene, assets, holds);
  printf("user with %u asset(s), %u open hold(s):\n", assets, holds);
  scene.command = command_of(LEDGER_T_GRANT, 5);
  measure("  apply grant", &scene, call_apply);
  scene.command = command_of(LEDGER_T_SPEND, 5);
  measure("  apply spend", &scene, call_apply);
  measure("  apply hold, name it, apply capture", &scene, call_hold_capture);
  scene.command = command_of(LEDGER_T_SETTLE, 5);
  measure("  refuse for funds", &scene, call_refuse);
  scene.command = command_of(LEDGER_T_SPEND, 5);
  must_apply(&scene.user, &scene.command, &scene.result);
  printf("  the entry has %u bytes\n", scene.result.body_size[0]);
  measure("  of which encode", &scene, call_encode);
  measure("  of which hash", &scene, call_hash);
  measure("  decode", &scene, call_decode);
  measure("  copy and free the user", &scene, call_copy);
  close_scene(&scene);
}

int main(void)
{
  measure_user(1, 0);
  measure_user(8, 20);
  measure_user(64, 900);
  measure_fold("fold, 1 asset, hash not verified", 1);
  measure_fold("fold, 8 assets, hash not verified", 8);
  printf("sizes: entry %zu, result %zu, user %zu, asset %zu, hold %zu, block %zu bytes\n",
         sizeof(struct ledger_entry), sizeof(struct ledger_result), sizeof(struct ledger_user),
         sizeof(struct ledger_asset), sizeof(struct ledger_hold), sizeof(struct ledger_block));
  return EXIT_SUCCESS;
}
