/* ledger: replay (balances against the journal), verify (the journal against its hashes and seals),
 * and what there is to do with seals (cmd_seal.h). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "adapters/http/json_out.h"
#include "adapters/store/store_admin.h"
#include "server/cli.h"
#include "server/cmd_seal.h"
#include "server/direct.h"
#include "server/replay.h"
#include "server/verify.h"

#define LISTED_MAX 1000u /* differences that are told one by one; all are counted */
#define READERS_NEEDED 2u

struct listing {
  bool json;
  struct store_request *catalog;
  struct json_out out; /* JSON: the array of findings */
  uint64_t listed;
  int64_t started_us;
};

static const struct store_asset_row *asset_of(const struct listing *listing, uint16_t id)
{
  for (size_t i = 0; i < listing->catalog->catalog.assets_count; i++)
    if (listing->catalog->catalog.assets[i].id == id)
      return &listing->catalog->catalog.assets[i];
  return NULL;
}

static double seconds_of(const struct listing *listing)
{
  return (double)(direct_wall_us() - listing->started_us) * 1e-6;
}

static void put_number(struct json_out *out, const char *key, uint64_t number)
{
  json_out_key_text(out, key, strlen(key));
  json_out_unsigned(out, number);
}

static void put_text(struct json_out *out, const char *key, const char *text)
{
  json_out_key_text(out, key, strlen(key));
  json_out_string(out, text);
}

static void put_id(struct json_out *out, const char *key, hf_id id)
{
  if (id == 0)
    return;
  json_out_key_text(out, key, strlen(key));
  json_out_id(out, id);
}

static void put_seconds(struct json_out *out, const struct listing *listing)
{
  char text[32];
  int size = snprintf(text, sizeof text, "%.3f", seconds_of(listing));
  json_out_key(out, "seconds");
  json_out_raw(out, text, (size_t)size);
}

/* ---- replay ---------------------------------------------------------------------------------- */

/* Amounts in the asset's scale; what is no amount, or of no known asset, as it is. */
static void format_value(const struct replay_difference *difference,
                         const struct store_asset_row *asset, hf_amount value,
                         char out[HF_AMOUNT_TEXT_MAX])
{
  hf_amount_format(value, difference->amounts && asset != NULL ? asset->scale : 0, out);
}

static void difference_json(struct json_out *out, const struct replay_difference *difference,
                            const struct store_asset_row *asset, char texts[3][HF_AMOUNT_TEXT_MAX])
{
  json_out_begin_object(out);
  put_text(out, "table", replay_table_text(difference->table));
  put_number(out, "partition", difference->partition);
  put_id(out, "user_id", difference->user);
  put_id(out, "id", difference->id);
  if (difference->asset != 0)
    put_text(out, "asset", asset == NULL ? "unknown" : asset->code);
  if (difference->account != NULL) {
    put_text(out, "account", difference->account);
    put_text(out, "label", difference->label);
  }
  put_text(out, "field", difference->field);
  put_text(out, "journal", texts[0]);
  put_text(out, "found", texts[1]);
  put_text(out, "delta", texts[2]);
  json_out_end_object(out);
}

static void difference_text(const struct replay_difference *difference,
                            const struct store_asset_row *asset, char texts[3][HF_AMOUNT_TEXT_MAX])
{
  printf("%s:", replay_table_text(difference->table));
  if (difference->user != 0)
    printf(" user %" PRIu64, difference->user);
  else
    printf(" partition %u", (unsigned)difference->partition);
  if (difference->id != 0)
    printf(" id %" PRIu64, difference->id);
  if (difference->account != NULL)
    printf(" %s%s%s", difference->account, difference->label[0] != '\0' ? "/" : "",
           difference->label);
  if (difference->asset != 0)
    printf(" %s", asset == NULL ? "(unknown asset)" : asset->code);
  if (difference->table == REPLAY_JOURNAL)
    printf(": %s\n", difference->field);
  else
    printf(" %s: journal %s, found %s, delta %s\n", difference->field, texts[0], texts[1],
           texts[2]);
}

static void on_difference(void *arg, const struct replay_difference *difference)
{
  struct listing *listing = arg;
  char texts[3][HF_AMOUNT_TEXT_MAX];
  hf_amount delta;
  if (listing->listed++ >= LISTED_MAX)
    return;
  const struct store_asset_row *asset = asset_of(listing, difference->asset);
  format_value(difference, asset, difference->journal, texts[0]);
  format_value(difference, asset, difference->found, texts[1]);
  if (hf_amount_sub(difference->found, difference->journal, &delta))
    format_value(difference, asset, delta, texts[2]);
  else
    snprintf(texts[2], sizeof texts[2], "out of range");
  cli_progress_end();
  if (listing->json)
    difference_json(&listing->out, difference, asset, texts);
  else
    difference_text(difference, asset, texts);
}

static void on_replay_progress(void *arg, uint64_t entries, uint64_t total)
{
  (void)arg;
  cli_progress("replaying", entries, total);
}

static void print_replay(struct listing *listing, const struct replay_report *report)
{
  struct json_out *out = &listing->out;
  if (!listing->json) {
    printf("%" PRIu64 " entries of %" PRIu64 " users replayed in %.2f s; the projections lag by "
           "%" PRIu64 "\n%" PRIu64 " differences%s\n",
           report->entries, report->users, seconds_of(listing), report->lagging,
           report->differences,
           report->repaired          ? ", repaired"
           : report->damage > 0      ? ": not all of them can be repaired"
           : report->differences > 0 ? ": --repair rewrites the projections"
                                     : "");
    return;
  }
  json_out_end_array(out);
  put_number(out, "differences_count", report->differences);
  put_number(out, "entries", report->entries);
  put_number(out, "users", report->users);
  put_number(out, "lagging", report->lagging);
  json_out_key(out, "repaired");
  json_out_bool(out, report->repaired);
  json_out_key(out, "ok");
  json_out_bool(out, report->differences == 0 || report->repaired);
  put_seconds(out, listing);
  json_out_end_object(out);
  printf("%.*s\n", (int)out->size, out->at);
}

static int ledger_replay(struct store_engine *engine, bool repair, struct listing *listing)
{
  struct replay_report report = {
    .found = on_difference, .progress = on_replay_progress, .arg = listing};
  listing->catalog = direct_catalog(engine);
  if (listing->catalog == NULL) {
    fprintf(stderr, "holdfast ledger: the store cannot be read\n");
    return EXIT_STORE;
  }
  if (listing->json) {
    json_out_begin_object(&listing->out);
    json_out_key(&listing->out, "differences");
    json_out_begin_array(&listing->out);
  }
  on_replay_progress(listing, 0, 0);
  enum hf_error error = replay_run(engine, repair, &report);
  cli_progress_end();
  store_request_free(listing->catalog);
  if (error != HF_OK) {
    fprintf(stderr, "holdfast ledger replay: the store cannot be read or written to its end\n");
    return EXIT_STORE;
  }
  print_replay(listing, &report);
  return report.differences == 0 || report.repaired ? EXIT_DONE : EXIT_FOUND;
}

/* ---- verify ---------------------------------------------------------------------------------- */

static void on_finding(void *arg, const struct verify_finding *finding)
{
  struct listing *listing = arg;
  struct json_out *out = &listing->out;
  cli_progress_end();
  if (!listing->json) {
    printf("partition %u", (unsigned)finding->partition);
    if (finding->batch != 0)
      printf(" batch %" PRIu64, finding->batch);
    if (finding->seq != 0)
      printf(" entry %" PRIu64, finding->seq);
    if (finding->user != 0)
      printf(" user %" PRIu64, finding->user);
    printf(": %s\n", finding->what);
    return;
  }
  json_out_begin_object(out);
  put_number(out, "partition", finding->partition);
  if (finding->batch != 0)
    put_number(out, "batch", finding->batch);
  if (finding->seq != 0)
    put_number(out, "seq", finding->seq);
  put_id(out, "user_id", finding->user);
  put_text(out, "what", finding->what);
  json_out_end_object(out);
}

static void on_verify_progress(void *arg, uint64_t entries, uint64_t total)
{
  (void)arg;
  cli_progress("verifying", entries, total);
}

/* What the seals say, among the other findings. */
static void on_seal_finding(void *arg, const struct seal_finding *finding)
{
  struct listing *listing = arg;
  struct json_out *out = &listing->out;
  cli_progress_end();
  if (!listing->json) {
    if (finding->seal != 0)
      printf("seal %" PRIu64 ": %s", finding->seal, finding->what);
    else
      printf("seals: %s", finding->what);
    if (finding->user != 0)
      printf(": user %" PRIu64, finding->user);
    if (finding->batch != 0)
      printf(": partition %u batch %" PRIu64, (unsigned)finding->partition, finding->batch);
    printf("\n");
    return;
  }
  json_out_begin_object(out);
  if (finding->batch != 0) {
    put_number(out, "partition", finding->partition);
    put_number(out, "batch", finding->batch);
  }
  put_number(out, "seal", finding->seal);
  put_id(out, "user_id", finding->user);
  put_text(out, "what", finding->what);
  json_out_end_object(out);
}

static void on_seal_progress(void *arg, uint64_t users, uint64_t total)
{
  (void)arg;
  cli_progress("verifying seals", users, total);
}

static void print_verify(const struct listing *listing, const struct verify_report *report)
{
  if (!listing->json)
    printf("%" PRIu64 " entries of %" PRIu64 " users in %" PRIu64 " batches, %" PRIu64
           " refusals, metadata of %" PRIu64 " entries (%" PRIu64 " erased): %s in %.2f s\n",
           report->entries, report->users, report->batches, report->outcomes, report->metadata,
           report->erased, report->findings == 0 ? "whole" : "BROKEN", seconds_of(listing));
}

static void print_seals(struct listing *listing, const struct verify_report *report,
                        const struct seal_report *seals)
{
  struct json_out *out = &listing->out;
  if (!listing->json && seals->seals == 0 && seals->findings == 0) {
    printf("no seals to compare with\n");
    return;
  }
  if (!listing->json) {
    printf("%" PRIu64 " seals, %" PRIu64 " sealed users%s: %s\n", seals->seals, seals->users,
           seals->without_leaves ? " (without users.leaves)" : "",
           seals->findings == 0 ? "as they were" : "CHANGED");
    return;
  }
  json_out_end_array(out);
  put_number(out, "entries", report->entries);
  put_number(out, "users", report->users);
  put_number(out, "batches", report->batches);
  put_number(out, "outcomes", report->outcomes);
  put_number(out, "metadata", report->metadata);
  put_number(out, "erased", report->erased);
  put_number(out, "seals", seals->seals);
  put_number(out, "sealed_users", seals->users);
  json_out_key(out, "ok");
  json_out_bool(out, report->findings == 0 && seals->findings == 0);
  put_seconds(out, listing);
  json_out_end_object(out);
  printf("%.*s\n", (int)out->size, out->at);
}

static int ledger_verify(struct store_engine *engine, const struct options *options,
                         const struct seal_arguments *arguments, struct listing *listing)
{
  struct verify_report report = {
    .found = on_finding, .progress = on_verify_progress, .arg = listing};
  struct seal_report seals = {
    .found = on_seal_finding, .progress = on_seal_progress, .arg = listing};
  if (listing->json) {
    json_out_begin_object(&listing->out);
    json_out_key(&listing->out, "findings");
    json_out_begin_array(&listing->out);
  }
  on_verify_progress(listing, 0, 0);
  enum hf_error error = verify_run(engine, &report);
  cli_progress_end();
  if (error != HF_OK) {
    fprintf(stderr, "holdfast ledger verify: the store cannot be read to its end\n");
    return EXIT_STORE;
  }
  print_verify(listing, &report);
  int code = seal_run_verify(options, arguments, engine, &seals);
  if (code == EXIT_STORE)
    return code;
  print_seals(listing, &report, &seals);
  return report.findings == 0 ? code : EXIT_FOUND;
}

/* ---- the command ----------------------------------------------------------------------------- */

static const char more[] =
  "replay  folds the journal and compares balances, totals, holds, blocks and what a server would\n"
  "        load; --repair rewrites the projections when the journal itself is sound. No server "
  "may\n"
  "        run meanwhile. Each run is kept in replay_runs.\n"
  "verify  re-derives the hash chains of users and batches from the stored bytes; names the first\n"
  "        entry or batch of a partition that does not follow. May run beside a server.\n"
  "        It compares the journal with the seals as well; with --key or --seal-dir there have to "
  "be\n"
  "        some.\n"
  "seal    makes a signed seal now: what every user had, under one root, outside the database.\n"
  "proof   --user ID: that the newest seal has that user's balances; --from SEAL --to SEAL: that "
  "the\n"
  "        newer seal goes on where the older one ended. JSON; check --file PROOF judges it "
  "anywhere.\n"
  "Exit code 1: something was found (and not repaired).\n";

/* A replay writes: what it found, and the repair. But it makes no database where there is none. */
static struct store_engine *open_store(const struct options *options, bool replay)
{
  struct store_engine *engine = cli_open_store(options, true);
  if (engine == NULL || !replay || store_admin_of(engine) == NULL)
    return engine;
  engine->ops->close(engine);
  return cli_open_store(options, false);
}

/* Which of the command's own options go with which verb. */
enum { REPAIR, USER, FROM, TO, PROOF_FILE, KEY, OWN_COUNT };
static const struct verb {
  const char *name;
  bool takes[OWN_COUNT];
} verbs[] = {
  {"replay", {[REPAIR] = true}},
  {"verify", {[KEY] = true}},
  {"seal", {false}},
  {"proof", {[USER] = true, [FROM] = true, [TO] = true}},
  {"check", {[PROOF_FILE] = true, [KEY] = true}},
};

/* NULL: there is no such verb, or an option is not for it; told on stderr. */
static const char *read_verb(const struct options *options, const struct option_extra *extra)
{
  const char *name = options->arguments_count == 1 ? options->arguments[0] : "";
  for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
    if (strcmp(verbs[i].name, name) != 0)
      continue;
    for (size_t own = 0; own < OWN_COUNT; own++) {
      if (extra[own].value == NULL || verbs[i].takes[own])
        continue;
      fprintf(stderr, "holdfast ledger %s: --%s does not go with it\n", name, extra[own].flag);
      return NULL;
    }
    return verbs[i].name;
  }
  fprintf(stderr, "usage: holdfast ledger replay [--repair] | verify | seal | proof | check\n");
  return NULL;
}

static int run(const char *verb, struct options *options, const struct seal_arguments *arguments,
               bool repair)
{
  struct listing listing = {.started_us = direct_wall_us(), .json = options->json};
  bool replay = strcmp(verb, "replay") == 0;
  int code = EXIT_STORE;
  if (seal_is_verb(verb))
    return seal_run(verb, options, arguments);
  if (options->readers < READERS_NEEDED)
    options->readers = READERS_NEEDED;
  struct store_engine *engine = open_store(options, replay);
  if (engine == NULL)
    return EXIT_STORE;
  if (store_admin_of(engine) == NULL)
    fprintf(stderr, "holdfast ledger: this store keeps nothing that could be checked\n");
  else
    code = replay ? ledger_replay(engine, repair, &listing)
                  : ledger_verify(engine, options, arguments, &listing);
  engine->ops->close(engine);
  json_out_deinit(&listing.out);
  return code;
}

int cmd_ledger(int argc, char **argv)
{
  struct options options;
  struct option_extra extra[] = {
    [REPAIR] = {"repair", false, "replay: rewrite the projections", NULL},
    [USER] = {"user", true, "proof: of this user", NULL},
    [FROM] = {"from", true, "proof: the older seal", NULL},
    [TO] = {"to", true, "proof: the newer seal", NULL},
    [PROOF_FILE] = {"file", true, "check: the proof", NULL},
    [KEY] = {"key", true, "verify, check: the public key that must have signed, hex or a file",
             NULL},
    {0}};
  if (cli_help(argc, argv, "ledger replay [--repair] | verify | seal | proof | check", extra, more))
    return EXIT_DONE;
  int code = EXIT_USAGE;
  const char *verb =
    options_read(&options, "ledger", argc, argv, extra) ? read_verb(&options, extra) : NULL;
  struct seal_arguments arguments = {.user = extra[USER].value,
                                     .from = extra[FROM].value,
                                     .to = extra[TO].value,
                                     .file = extra[PROOF_FILE].value,
                                     .key = extra[KEY].value};
  if (verb != NULL && seal_read_arguments(verb, &arguments))
    code = run(verb, &options, &arguments, extra[REPAIR].value != NULL);
  options_free(&options);
  return code;
}
