/* The journal as SQL reads it is the journal as the program reads it: hf_entry() over random
 * entries, ledger_transactions over real ones. HF_SEED=n repeats a run. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store_postgres/pg_engine.h"
#include "tests/support/pg_sql.h"
#include "tests/support/store_fixture.h"

#define ENTRIES 400u

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state * 0x2545f4914f6cdd1du % below;
}

/* Of any width, the ends of the range included. */
static hf_amount draw_amount(void)
{
  hf_uamount wide = (hf_uamount)draw(UINT64_MAX) << 64 | draw(UINT64_MAX);
  hf_amount amount = draw(20) == 0 ? HF_AMOUNT_MAX : (hf_amount)(wide >> (1 + draw(127)));
  return draw(2) == 0 ? amount : -amount - 1;
}

static void draw_text(char *text, size_t room)
{
  size_t size = (size_t)draw(room);
  memset(text, 0, room);
  for (size_t i = 0; i < size; i++)
    text[i] = (char)('!' + draw('~' - '!'));
}

static void draw_bytes(uint8_t *bytes, size_t size)
{
  for (size_t i = 0; i < size; i++)
    bytes[i] = (uint8_t)draw(256);
}

static struct ledger_entry draw_entry(struct ledger_other *others)
{
  static const struct {
    uint8_t type, from, to;
  } moves[] = {
    {LEDGER_T_EARN, LEDGER_ISSUANCE, LEDGER_EARNED},
    {LEDGER_T_BOUNCE, LEDGER_TRANSIT, LEDGER_CLAIMABLE},
    {LEDGER_T_GRANT, LEDGER_CLAIMABLE, LEDGER_DEBT},
    {LEDGER_T_UNBLOCK, LEDGER_BLOCKED, LEDGER_QUARANTINE},
  };
  struct ledger_entry entry = {.user = 1 + draw(HF_ID_MAX >> draw(50)),
                               .version = 70000 + draw(1u << 30),
                               .op_count = (uint8_t)(1 + draw(8)),
                               .asset = (uint16_t)draw(60000),
                               .ref = draw(HF_ID_MAX >> draw(50)),
                               .ref_left = draw_amount(),
                               .counterparty = draw(2) * draw(HF_ID_MAX),
                               .expires_us = (int64_t)(draw(2) * draw(INT64_MAX)),
                               .recorded_us = (int64_t)draw(1ull << 53),
                               .has_metadata = draw(2) == 0};
  size_t move = (size_t)draw(sizeof moves / sizeof moves[0]);
  entry.type = moves[move].type;
  entry.from = moves[move].from;
  entry.to = moves[move].to;
  entry.op_index = (uint8_t)draw(entry.op_count);
  entry.amount = draw_amount();
  entry.amount = entry.amount < 0 ? -(entry.amount + 1) : entry.amount;
  entry.amount += entry.amount == 0;
  entry.effective_us =
    draw(2) == 0 ? entry.recorded_us : entry.recorded_us - (int64_t)draw(1u << 31);
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    entry.after.bucket[i] = draw_amount();
  entry.after.claimed_total = draw_amount();
  entry.after.spent_total = draw_amount();
  draw_bytes(entry.key.bytes, sizeof entry.key.bytes);
  draw_bytes(entry.request.bytes, sizeof entry.request.bytes);
  if (entry.has_metadata)
    draw_bytes(entry.metadata_hash.bytes, sizeof entry.metadata_hash.bytes);
  draw_text(entry.label, sizeof entry.label);
  draw_text(entry.actor, sizeof entry.actor);
  draw_text(entry.correlation, sizeof entry.correlation);
  entry.others_count = (uint16_t)draw(LEDGER_ASSETS_MAX);
  for (unsigned i = 0; i < entry.others_count; i++)
    others[i] = (struct ledger_other){.asset = (uint16_t)(60001 + i), .version = 1 + draw(60000)};
  entry.others = others;
  return entry;
}

/* The entry as one line of text. */
static void print_entry(const struct ledger_entry *entry, char *out, size_t size)
{
  char hex[2u * HF_HASH_SIZE + 1u], amount[HF_AMOUNT_TEXT_MAX];
  FILE *file = fmemopen(out, size, "w");
  assert_non_null(file);
  hf_amount_format(entry->amount, 0, amount);
  (void)fprintf(file, "%" PRIu64 "|%" PRIu64 "|%u|%u|%u|%u|%u|%u|%s|", entry->user, entry->version,
                entry->type, entry->op_index, entry->op_count, entry->from, entry->to, entry->asset,
                amount);
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT + 2u; i++) {
    hf_amount_format(i < LEDGER_BUCKET_COUNT    ? entry->after.bucket[i]
                     : i == LEDGER_BUCKET_COUNT ? entry->after.claimed_total
                                                : entry->after.spent_total,
                     0, amount);
    (void)fprintf(file, "%s%s", i == 0 ? "" : ",", amount);
  }
  (void)fprintf(file, "|%" PRId64 "|%" PRId64 "|", entry->recorded_us, entry->effective_us);
  hf_hex(entry->key.bytes, sizeof entry->key.bytes, hex);
  (void)fprintf(file, "%s|", hex);
  hf_hex(entry->request.bytes, sizeof entry->request.bytes, hex);
  hf_amount_format(entry->ref_left, 0, amount);
  (void)fprintf(file, "%s|%" PRIu64 "|%s|%" PRIu64 "|%" PRId64 "|%s|%s|%s|", hex, entry->ref,
                amount, entry->counterparty, entry->expires_us, entry->label, entry->actor,
                entry->correlation);
  if (entry->has_metadata) {
    hf_hex(entry->metadata_hash.bytes, sizeof entry->metadata_hash.bytes, hex);
    (void)fprintf(file, "%s", hex);
  }
  (void)fprintf(file, "|");
  for (unsigned i = 0; i < entry->others_count; i++)
    (void)fprintf(file, "%s%u,%" PRIu64, i == 0 ? "" : ",", entry->others[i].asset,
                  entry->others[i].version);
  assert_int_equal(fclose(file), 0);
}

static void test_decoder_when_entries_are_random_then_sql_reads_what_c_wrote(void **state)
{
  static const char decode[] =
    "SELECT concat_ws('|',user_id,version,type,op_index,op_count,from_account,to_account,asset,"
    "amount,array_to_string(after,','),recorded_us,effective_us,replace(key::text,'-',''),"
    "replace(request::text,'-',''),ref,ref_left,counterparty,expires_us,label,actor,correlation,"
    "coalesce(encode(metadata_hash,'hex'),''),array_to_string(others,',')) "
    "FROM hf_entry(decode($1,'hex'))";
  static char wanted[16384], hex[2u * LEDGER_ENTRY_BYTES_MAX + 1u];
  struct store_fixture *fixture = *state;
  const char *given = getenv("HF_SEED");
  uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 20260101;
  PGconn *conn = pg_engine_borrow(fixture->engine);
  random_state = seed * 2 + 1;
  for (unsigned i = 0; i < ENTRIES; i++) {
    struct ledger_other others[LEDGER_ASSETS_MAX];
    struct ledger_entry entry = draw_entry(others);
    struct hf_bytes body = {0};
    const char *const values[] = {hex};
    ledger_entry_encode(&entry, &body);
    hf_hex(body.at, body.size, hex);
    print_entry(&entry, wanted, sizeof wanted);
    PGresult *result = PQexecParams(conn, decode, 1, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
      fail_msg("seed %" PRIu64 ": %s", seed, PQerrorMessage(conn));
    if (strcmp(PQgetvalue(result, 0, 0), wanted) != 0)
      fail_msg("seed %" PRIu64 ":\n%s\n%s", seed, PQgetvalue(result, 0, 0), wanted);
    PQclear(result);
    hf_bytes_deinit(&body);
  }
  pg_engine_return(fixture->engine);
}

/* Every number of the program has its name in SQL. */
static void test_names_when_asked_in_sql_then_those_of_the_program(void **state)
{
  struct store_fixture *fixture = *state;
  PGconn *conn = pg_engine_borrow(fixture->engine);
  char sql[64], text[64];
  for (unsigned i = 0; i < 32; i++) {
    const char *names[] = {ledger_type_text(i), ledger_account_text(i)};
    for (unsigned k = 0; k < 2; k++) {
      (void)snprintf(sql, sizeof sql, "SELECT coalesce(hf_%s_name(%u),'none')",
                     k == 0 ? "type" : "account", i);
      pg_sql_text(conn, sql, text, sizeof text);
      assert_string_equal(text, names[k] == NULL ? "none" : names[k]);
    }
  }
  pg_engine_return(fixture->engine);
}

static void test_transactions_when_ops_were_committed_then_the_view_has_them(void **state)
{
  struct store_fixture *fixture = *state;
  struct store_world *world = &fixture->world;
  struct store_asset_row asset = {.id = 1, .scale = 8, .chain_decimals = 255, .code = "COIN"};
  const struct store_row row = {.table = STORE_T_ASSET, .action = STORE_INSERT, .asset = &asset};
  char sql[256], text[256], wanted[256];
  (void)world_stage_rows(world, 0, &row, 1);
  struct world_user *user = world_user_add(world, 2, "ann", NULL);
  world_must_commit(world);
  (void)world_simple(world, user, LEDGER_T_GRANT, 1, 1250000000);
  struct world_unit *hold = world_simple(world, user, LEDGER_T_HOLD, 1, 600000001);
  world_must_commit(world);
  struct ledger_command capture =
    world_command_ref(world, LEDGER_T_CAPTURE, world_op(hold), 200000000);
  struct world_unit *captured = world_stage_meta(world, user, &capture, "{\"reason\":\"sold\"}");
  world_must_commit(world);
  PGconn *conn = pg_engine_borrow(fixture->engine);
  assert_int_equal(pg_sql_number(conn, "SELECT count(*) FROM ledger_transactions"), 4);
  for (unsigned i = 0; i < 2; i++) {
    const struct ledger_entry *entry = &captured->unit.entries[i];
    char amount[HF_AMOUNT_TEXT_MAX], claimable[HF_AMOUNT_TEXT_MAX];
    hf_amount_format(entry->amount, 8, amount);
    hf_amount_format(entry->after.bucket[LEDGER_CLAIMABLE], 0, claimable);
    (void)snprintf(sql, sizeof sql,
                   "SELECT concat_ws(' ',op_id,user_id,version,type,asset,from_account,to_account,"
                   "amount,claimable,ref,metadata,extract(epoch FROM recorded_at)*1000000) "
                   "FROM ledger_transactions WHERE id=%" PRIu64,
                   entry->id);
    pg_sql_text(conn, sql, text, sizeof text);
    (void)snprintf(wanted, sizeof wanted,
                   "%" PRIu64 " %" PRIu64 " %" PRIu64 " capture COIN %s %s %s %s %" PRIu64
                   " {\"reason\":\"sold\"} %" PRId64 ".000000",
                   world_op(captured), entry->user, entry->version,
                   ledger_account_text(entry->from), ledger_account_text(entry->to), amount,
                   claimable, entry->ref, entry->recorded_us);
    assert_string_equal(text, wanted);
  }
  pg_engine_return(fixture->engine);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup_postgres, fixture_teardown)
  const struct CMUnitTest tests[] = {
    T(test_decoder_when_entries_are_random_then_sql_reads_what_c_wrote),
    T(test_names_when_asked_in_sql_then_those_of_the_program),
    T(test_transactions_when_ops_were_committed_then_the_view_has_them),
  };
  return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
