/* export: users, balances, entries or holds of a whole store, streamed.
 *
 * Reads the journal and the tables, never the lagging projections. Beside a server that writes,
 * each row is of one moment; the rows together are not. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "adapters/store/store_admin.h"
#include "server/cli.h"
#include "server/direct.h"
#include "server/export_table.h"
#include "server/journal.h"

#define READERS_NEEDED 2u /* balances are read while the users are walked */

struct export
{
  struct store_engine *engine;
  struct store_request *catalog;
  uint16_t only; /* asset; 0: all */
  uint32_t partition;
  struct export_table table;
  struct json_out text;
  bool read_failed, write_failed;
};

static const struct store_asset_row *asset_of(struct export *export, uint16_t id)
{
  for (size_t i = 0; i < export->catalog->catalog.assets_count; i++)
    if (export->catalog->catalog.assets[i].id == id)
      return &export->catalog->catalog.assets[i];
  export->read_failed = true; /* an entry in an asset that is not there */
  return NULL;
}

/* Writes the row; true: go on. */
static bool row(struct export *export)
{
  if (!export_row(&export->table))
    export->write_failed = true;
  if (export->table.rows % 1024u == 0)
    cli_progress("exporting", export->table.rows, 0);
  return !export->write_failed;
}

/* ---- users ----------------------------------------------------------------------------------- */

static const char *const user_names[] = {"id",     "external_id", "kind",
                                         "status", "created_at",  "profile"};
enum { USER_ID, USER_EXTERNAL_ID, USER_KIND, USER_STATUS, USER_CREATED_AT, USER_PROFILE };

static bool on_user(void *arg, const struct store_user_row *user)
{
  struct export *export = arg;
  struct export_table *table = &export->table;
  export_id(table, USER_ID, user->id);
  export_text(table, USER_EXTERNAL_ID, user->external_id.at, user->external_id.size);
  export_string(table, USER_KIND, user->kind == HF_USER_GUEST ? "guest" : "registered");
  export_string(table, USER_STATUS, user->status == LEDGER_OPEN ? "open" : "closed");
  export_time(table, USER_CREATED_AT, user->created_us);
  export_bare(table, USER_PROFILE, user->profile.at, user->profile.size);
  return row(export);
}

static enum hf_error export_users(struct export *export)
{
  return store_admin_of(export->engine)
    ->each_user(export->engine, export->partition, on_user, export);
}

/* ---- balances -------------------------------------------------------------------------------- */

static const char *const balance_names[] = {"user_id",
                                            "external_id",
                                            "asset",
                                            "version",
#define X(NAME, number, text) text,
                                            LEDGER_BUCKETS(X)
#undef X
                                              "available",
                                            "total",
                                            "claimed_total",
                                            "spent_total"};
enum {
  BALANCE_USER_ID,
  BALANCE_EXTERNAL_ID,
  BALANCE_ASSET,
  BALANCE_VERSION,
  BALANCE_BUCKETS,
  BALANCE_AVAILABLE = BALANCE_BUCKETS + LEDGER_BUCKET_COUNT,
  BALANCE_TOTAL,
  BALANCE_CLAIMED_TOTAL,
  BALANCE_SPENT_TOTAL
};

static bool balance_row(struct export *export, const struct store_user_row *user,
                        const struct ledger_asset *held)
{
  struct export_table *table = &export->table;
  const struct store_asset_row *asset = asset_of(export, held->asset);
  if (asset == NULL)
    return false;
  const struct ledger_balance *balance = &held->balance;
  export_id(table, BALANCE_USER_ID, user->id);
  export_text(table, BALANCE_EXTERNAL_ID, user->external_id.at, user->external_id.size);
  export_string(table, BALANCE_ASSET, asset->code);
  export_number(table, BALANCE_VERSION, held->version);
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    export_amount(table, BALANCE_BUCKETS + i, balance->bucket[i], asset->scale);
  export_amount(table, BALANCE_AVAILABLE, balance->bucket[LEDGER_CLAIMABLE], asset->scale);
  export_amount(table, BALANCE_TOTAL, ledger_total(balance), asset->scale);
  export_amount(table, BALANCE_CLAIMED_TOTAL, balance->claimed_total, asset->scale);
  export_amount(table, BALANCE_SPENT_TOTAL, balance->spent_total, asset->scale);
  return row(export);
}

static bool on_balance_user(void *arg, const struct store_user_row *user)
{
  struct export *export = arg;
  struct store_request *request = store_request_new(STORE_BALANCE_AT);
  request->balance_at.user = user->id;
  request->balance_at.at_us = INT64_MAX;
  export->engine->ops->execute(export->engine, request);
  bool go_on = request->status == STORE_OK;
  export->read_failed = export->read_failed || !go_on;
  for (size_t i = 0; go_on && i < request->balance_at.count; i++)
    if (export->only == 0 || request->balance_at.out[i].asset == export->only)
      go_on = balance_row(export, user, &request->balance_at.out[i]);
  store_request_free(request);
  return go_on;
}

static enum hf_error export_balances(struct export *export)
{
  return store_admin_of(export->engine)
    ->each_user(export->engine, export->partition, on_balance_user, export);
}

/* ---- entries --------------------------------------------------------------------------------- */

static const char *const entry_names[] = {
  "id",           "partition",   "seq",      "user_id", "version",        "op_id",
  "type",         "asset",       "from",     "to",      "amount",         "balances_after",
  "effective_at", "recorded_at", "label",    "actor",   "correlation_id", "ref",
  "counterparty", "expires_at",  "metadata", "hash"};
enum {
  ENTRY_ID,
  ENTRY_PARTITION,
  ENTRY_SEQ,
  ENTRY_USER_ID,
  ENTRY_VERSION,
  ENTRY_OP_ID,
  ENTRY_TYPE,
  ENTRY_ASSET,
  ENTRY_FROM,
  ENTRY_TO,
  ENTRY_AMOUNT,
  ENTRY_AFTER,
  ENTRY_EFFECTIVE_AT,
  ENTRY_RECORDED_AT,
  ENTRY_LABEL,
  ENTRY_ACTOR,
  ENTRY_CORRELATION,
  ENTRY_REF,
  ENTRY_COUNTERPARTY,
  ENTRY_EXPIRES_AT,
  ENTRY_METADATA,
  ENTRY_HASH
};

static void after_cell(struct export *export, const struct ledger_balance *after, unsigned scale)
{
  struct json_out *out = &export->text;
  json_out_clear(out);
  json_out_begin_object(out);
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++) {
    const char *name = ledger_account_text(i);
    json_out_key_text(out, name, strlen(name));
    json_out_amount(out, after->bucket[i], scale);
  }
  json_out_key(out, "total");
  json_out_amount(out, ledger_total(after), scale);
  json_out_end_object(out);
  export_bare(&export->table, ENTRY_AFTER, out->at, out->size);
}

static void optional(struct export_table *table, size_t column, const char *text)
{
  export_string(table, column, text[0] == '\0' ? NULL : text);
}

static bool entry_row(struct export *export, const struct journal_entry *at)
{
  struct export_table *table = &export->table;
  const struct ledger_entry *entry = at->entry;
  const struct store_asset_row *asset = asset_of(export, entry->asset);
  if (asset == NULL)
    return false;
  export_id(table, ENTRY_ID, entry->id);
  export_number(table, ENTRY_PARTITION, export->partition);
  export_number(table, ENTRY_SEQ, at->seq);
  export_id(table, ENTRY_USER_ID, entry->user);
  export_number(table, ENTRY_VERSION, entry->version);
  export_id(table, ENTRY_OP_ID, ledger_entry_op(entry, export->engine->partition_bits));
  export_string(table, ENTRY_TYPE, ledger_type_text(entry->type));
  export_string(table, ENTRY_ASSET, asset->code);
  export_string(table, ENTRY_FROM, ledger_account_text(entry->from));
  export_string(table, ENTRY_TO, ledger_account_text(entry->to));
  export_amount(table, ENTRY_AMOUNT, entry->amount, asset->scale);
  after_cell(export, &entry->after, asset->scale);
  export_time(table, ENTRY_EFFECTIVE_AT, entry->effective_us);
  export_time(table, ENTRY_RECORDED_AT, entry->recorded_us);
  optional(table, ENTRY_LABEL, entry->label);
  optional(table, ENTRY_ACTOR, entry->actor);
  optional(table, ENTRY_CORRELATION, entry->correlation);
  export_id(table, ENTRY_REF, entry->ref);
  export_id(table, ENTRY_COUNTERPARTY, entry->counterparty);
  export_time(table, ENTRY_EXPIRES_AT, entry->expires_us);
  export_bare(table, ENTRY_METADATA, at->metadata.at, at->metadata.size);
  export_hex(table, ENTRY_HASH, entry->hash.bytes, sizeof entry->hash.bytes);
  return row(export);
}

static enum hf_error export_entries(struct export *export)
{
  struct journal journal;
  struct journal_entry at;
  enum journal_status status;
  bool go_on = true;
  journal_open(&journal, export->engine, export->partition, 1);
  while (go_on && (status = journal_next(&journal, &at)) == JOURNAL_ENTRY)
    if (export->only == 0 || at.entry->asset == export->only)
      go_on = entry_row(export, &at);
  journal_close(&journal);
  return !go_on || status == JOURNAL_END ? HF_OK : HF_E_INTERNAL;
}

/* ---- holds ----------------------------------------------------------------------------------- */

static const char *const hold_names[] = {"id",         "user_id",    "asset",
                                         "state",      "amount",     "remaining",
                                         "created_at", "expires_at", "resolved_at"};
enum {
  HOLD_ID,
  HOLD_USER_ID,
  HOLD_ASSET,
  HOLD_STATE,
  HOLD_AMOUNT,
  HOLD_REMAINING,
  HOLD_CREATED_AT,
  HOLD_EXPIRES_AT,
  HOLD_RESOLVED_AT
};

static bool on_hold(void *arg, const struct store_hold_row *hold)
{
  static const char *const states[] = {[STORE_HOLD_OPEN] = "open",
                                       [STORE_HOLD_CAPTURED] = "captured",
                                       [STORE_HOLD_VOIDED] = "voided",
                                       [STORE_HOLD_EXPIRED] = "expired"};
  struct export *export = arg;
  struct export_table *table = &export->table;
  if (export->only != 0 && hold->asset != export->only)
    return true;
  const struct store_asset_row *asset = asset_of(export, hold->asset);
  if (asset == NULL || hold->state >= sizeof states / sizeof states[0])
    return false;
  export_id(table, HOLD_ID, hold->id);
  export_id(table, HOLD_USER_ID, hold->user);
  export_string(table, HOLD_ASSET, asset->code);
  export_string(table, HOLD_STATE, states[hold->state]);
  export_amount(table, HOLD_AMOUNT, hold->amount, asset->scale);
  export_amount(table, HOLD_REMAINING, hold->remaining, asset->scale);
  export_time(table, HOLD_CREATED_AT, hold->created_us);
  export_time(table, HOLD_EXPIRES_AT, hold->expires_us);
  export_time(table, HOLD_RESOLVED_AT, hold->resolved_us);
  return row(export);
}

static enum hf_error export_holds(struct export *export)
{
  return store_admin_of(export->engine)
    ->each_hold(export->engine, export->partition, on_hold, export);
}

/* ---- the command ----------------------------------------------------------------------------- */

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct what {
  const char *name;
  const char *const *names;
  size_t names_count;
  bool has_asset;
  enum hf_error (*run)(struct export *export); /* one partition */
} whats[] = {
  {"users", user_names, COUNT(user_names), false, export_users},
  {"balances", balance_names, COUNT(balance_names), true, export_balances},
  {"entries", entry_names, COUNT(entry_names), true, export_entries},
  {"holds", hold_names, COUNT(hold_names), true, export_holds},
};

enum { FLAG_WHAT, FLAG_FORMAT, FLAG_ASSET, FLAG_OUTPUT, FLAG_COLUMNS, FLAG_NO_HEADER };

static bool find_asset(struct export *export, const char *code)
{
  if (code == NULL)
    return true;
  for (size_t i = 0; i < export->catalog->catalog.assets_count; i++)
    if (strcmp(export->catalog->catalog.assets[i].code, code) == 0)
      export->only = export->catalog->catalog.assets[i].id;
  if (export->only == 0)
    fprintf(stderr, "holdfast export: no asset %s\n", code);
  return export->only != 0;
}

static int export_all(struct export *export, const struct what *what)
{
  enum hf_error error = HF_OK;
  cli_progress("exporting", 0, 0);
  for (uint32_t p = 0; error == HF_OK && p < 1u << export->engine->partition_bits; p++) {
    export->partition = p;
    error = what->run(export);
    if (export->read_failed)
      error = HF_E_INTERNAL;
    if (export->write_failed)
      break;
  }
  cli_progress_end();
  if (error != HF_OK)
    fprintf(stderr, "holdfast export: the store cannot be read: run holdfast ledger verify\n");
  return error == HF_OK ? EXIT_DONE : EXIT_STORE;
}

static int export_run(struct export *export, const struct what *what,
                      const struct option_extra *extra, bool json)
{
  const char *path = extra[FLAG_OUTPUT].value;
  int code = EXIT_STORE;
  FILE *file = stdout;
  export->catalog = direct_catalog(export->engine);
  if (export->catalog == NULL) {
    fprintf(stderr, "holdfast export: the store cannot be read\n");
    return code;
  }
  code = EXIT_USAGE;
  if (!find_asset(export, extra[FLAG_ASSET].value))
    goto out;
  if (path != NULL && (file = fopen(path, "we")) == NULL) {
    fprintf(stderr, "holdfast export: %s: %s\n", path, strerror(errno));
    code = EXIT_FOUND;
    goto out;
  }
  if (export_table_init(&export->table, file, json, what->names, what->names_count,
                        extra[FLAG_COLUMNS].value)) {
    if (extra[FLAG_NO_HEADER].value == NULL)
      export_table_header(&export->table);
    code = export_all(export, what);
  }
  bool written = fflush(file) == 0 && !ferror(file);
  if (file != stdout && fclose(file) != 0)
    written = false;
  if (!written) {
    fprintf(stderr, "holdfast export: cannot write: %s\n", strerror(errno));
    code = EXIT_FOUND;
  }
out:
  export_table_deinit(&export->table);
  json_out_deinit(&export->text);
  store_request_free(export->catalog);
  return code;
}

static const struct what *find_what(const char *name)
{
  for (size_t i = 0; name != NULL && i < COUNT(whats); i++)
    if (strcmp(whats[i].name, name) == 0)
      return &whats[i];
  fprintf(stderr, "holdfast export: --what users, balances, entries or holds\n");
  return NULL;
}

static const char more[] =
  "Writes to standard output unless --output names a file. Amounts are decimal strings in the\n"
  "asset's scale, times RFC 3339. User ids for the load generator:\n"
  "  holdfast export --what users --columns id --no-header\n";

int cmd_export(int argc, char **argv)
{
  struct options options;
  struct export export = {0};
  struct option_extra extra[] = {
    [FLAG_WHAT] = {"what", true, "users, balances, entries or holds", NULL},
    [FLAG_FORMAT] = {"format", true, "csv (default) or ndjson", NULL},
    [FLAG_ASSET] = {"asset", true, "Only this asset", NULL},
    [FLAG_OUTPUT] = {"output", true, "File to write", NULL},
    [FLAG_COLUMNS] = {"columns", true, "Columns a,b,... in that order; default: all", NULL},
    [FLAG_NO_HEADER] = {"no-header", false, "CSV without its first line", NULL},
    {0}};
  if (cli_help(argc, argv, "export --what WHAT [options]", extra, more))
    return EXIT_DONE;
  int code = EXIT_USAGE;
  if (!options_read(&options, "export", argc, argv, extra))
    goto out;
  const struct what *what = find_what(extra[FLAG_WHAT].value);
  const char *format = extra[FLAG_FORMAT].value == NULL ? "csv" : extra[FLAG_FORMAT].value;
  bool json = strcmp(format, "ndjson") == 0;
  if (what == NULL || options.arguments_count > 0)
    goto out;
  if ((!json && strcmp(format, "csv") != 0) ||
      (extra[FLAG_ASSET].value != NULL && !what->has_asset)) {
    fprintf(stderr, "holdfast export: --format is csv or ndjson; users have no asset\n");
    goto out;
  }
  if (options.readers < READERS_NEEDED)
    options.readers = READERS_NEEDED;
  export.engine = cli_open_store(&options, true);
  code = EXIT_STORE;
  if (export.engine != NULL && store_admin_of(export.engine) != NULL)
    code = export_run(&export, what, extra, json);
  if (export.engine != NULL)
    export.engine->ops->close(export.engine);
out:
  options_free(&options);
  return code;
}
