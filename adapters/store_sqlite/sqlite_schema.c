/* sqlite_schema.c - see the header.
 *
 * Happy path: user_version says how many migrations the file has; their checksums are compared and
 *   the missing ones are applied.
 * Ways to fail: another application's file, a tampered or unknown migration, a full disk.
 * Invariants: user_version = number of rows in schema_migrations; partition_bits never changes. */
#include "adapters/store_sqlite/sqlite_schema.h"

#include <stdio.h>
#include <string.h>

#include "adapters/store/effective.h"
#include "adapters/store_sqlite/sqlite_write.h"
#include "holdfast/hash.h"
#include "holdfast/id.h"

/* One journal for each partition: its rows are appended at the right end of its own tree, which
 * fills pages whole and touches the fewest; a common tree has an insertion point for each
 * partition in its middle, where pages split in halves. %u is the partition. */
static const char JOURNAL_1[] =
  "CREATE TABLE journal_%u("
  "seq INTEGER PRIMARY KEY,user INTEGER NOT NULL,version INTEGER NOT NULL,hash BLOB NOT NULL,"
  "body BLOB NOT NULL) STRICT;"
  "CREATE TRIGGER journal_%u_update BEFORE UPDATE ON journal_%u BEGIN "
  "SELECT RAISE(ABORT,'the journal is append-only'); END;"
  "CREATE TRIGGER journal_%u_delete BEFORE DELETE ON journal_%u BEGIN "
  "SELECT RAISE(ABORT,'the journal is append-only'); END;";

/* user_index answers "entry of this version" (slot = the version, ref = seq) and "what had this
 * key" (slot = the digest, ref = seq of the op's first entry, or -id of an outcome). Integers sort
 * before blobs, so a user's newest version is the largest integer slot. One table for both, as
 * both slots of an op then lie in the same page. */
static const char LEDGER_1[] =
  "CREATE TABLE user_index("
  "user INTEGER NOT NULL,slot ANY NOT NULL,ref INTEGER NOT NULL,"
  "PRIMARY KEY(user,slot)) STRICT,WITHOUT ROWID;"

  "CREATE TABLE batches("
  "partition INTEGER NOT NULL,number INTEGER NOT NULL,epoch INTEGER NOT NULL,"
  "first_seq INTEGER NOT NULL,entries_count INTEGER NOT NULL,outcomes_count INTEGER NOT NULL,"
  "rows_count INTEGER NOT NULL,committed_us INTEGER NOT NULL,previous BLOB NOT NULL,"
  "hash BLOB NOT NULL,PRIMARY KEY(partition,number)) STRICT,WITHOUT ROWID;"
  "CREATE TRIGGER batches_update BEFORE UPDATE ON batches BEGIN "
  "SELECT RAISE(ABORT,'batches are append-only'); END;"
  "CREATE TRIGGER batches_delete BEFORE DELETE ON batches BEGIN "
  "SELECT RAISE(ABORT,'batches are append-only'); END;"

  "CREATE TABLE outcomes("
  "id INTEGER PRIMARY KEY,user INTEGER NOT NULL,key BLOB NOT NULL,request BLOB NOT NULL,"
  "code TEXT NOT NULL,type INTEGER NOT NULL,version INTEGER NOT NULL,recorded_us INTEGER NOT NULL,"
  "batch INTEGER NOT NULL,partition INTEGER NOT NULL) STRICT;"
  "CREATE TRIGGER outcomes_update BEFORE UPDATE ON outcomes BEGIN "
  "SELECT RAISE(ABORT,'outcomes are append-only'); END;"
  "CREATE TRIGGER outcomes_delete BEFORE DELETE ON outcomes BEGIN "
  "SELECT RAISE(ABORT,'outcomes are append-only'); END;"

  "CREATE TABLE entry_metadata(op INTEGER PRIMARY KEY,salt BLOB,json TEXT) STRICT;"
  "CREATE TRIGGER entry_metadata_update BEFORE UPDATE ON entry_metadata "
  "WHEN NEW.op IS NOT OLD.op OR NEW.salt IS NOT NULL OR NEW.json IS NOT NULL BEGIN "
  "SELECT RAISE(ABORT,'metadata can only be erased'); END;"
  "CREATE TRIGGER entry_metadata_delete BEFORE DELETE ON entry_metadata BEGIN "
  "SELECT RAISE(ABORT,'metadata can only be erased'); END;"

  "CREATE TABLE partitions(partition INTEGER PRIMARY KEY,epoch INTEGER NOT NULL) STRICT;";

/* Users and names are found by partition and serial; what a user has open, by the user; what is
 * due or in transit, by the partition. */
static const char ROWS_1[] =
  "CREATE TABLE users("
  "id INTEGER PRIMARY KEY,kind INTEGER NOT NULL,status INTEGER NOT NULL,"
  "created_us INTEGER NOT NULL,external_id TEXT,profile TEXT) STRICT;"

  "CREATE TABLE names("
  "partition INTEGER NOT NULL,kind INTEGER NOT NULL,digest BLOB NOT NULL,state INTEGER NOT NULL,"
  "request BLOB NOT NULL,user INTEGER NOT NULL,created_us INTEGER NOT NULL,"
  "user_order INTEGER NOT NULL,PRIMARY KEY(partition,kind,digest)) STRICT,WITHOUT ROWID;"
  "CREATE INDEX names_user ON names(user_order);"
  "CREATE INDEX names_reserved ON names(partition) WHERE state=0;"

  "CREATE TABLE assets("
  "id INTEGER PRIMARY KEY,scale INTEGER NOT NULL,chain_decimals INTEGER NOT NULL,"
  "code TEXT NOT NULL UNIQUE,name TEXT NOT NULL,chain TEXT NOT NULL,contract TEXT NOT NULL,"
  "created_us INTEGER NOT NULL) STRICT;"

  "CREATE TABLE service_keys("
  "id TEXT PRIMARY KEY,secret BLOB NOT NULL,scopes INTEGER NOT NULL,created_us INTEGER NOT NULL,"
  "revoked_us INTEGER NOT NULL,name TEXT NOT NULL) STRICT,WITHOUT ROWID;"

  "CREATE TABLE holds("
  "id INTEGER PRIMARY KEY,partition INTEGER NOT NULL,user INTEGER NOT NULL,"
  "asset INTEGER NOT NULL,state INTEGER NOT NULL,open INTEGER NOT NULL,amount BLOB NOT NULL,"
  "remaining BLOB NOT NULL,created_us INTEGER NOT NULL,expires_us INTEGER NOT NULL,"
  "resolved_us INTEGER NOT NULL) STRICT;"
  "CREATE INDEX holds_user ON holds(user,open);"
  "CREATE INDEX holds_due ON holds(partition,expires_us) WHERE open=1 AND expires_us>0;"

  "CREATE TABLE blocks("
  "id INTEGER PRIMARY KEY,partition INTEGER NOT NULL,user INTEGER NOT NULL,"
  "asset INTEGER NOT NULL,bucket INTEGER NOT NULL,open INTEGER NOT NULL,amount BLOB NOT NULL,"
  "remaining BLOB NOT NULL,created_us INTEGER NOT NULL,resolved_us INTEGER NOT NULL) STRICT;"
  "CREATE INDEX blocks_user ON blocks(user) WHERE open=1;"

  "CREATE TABLE transfers("
  "id INTEGER PRIMARY KEY,partition INTEGER NOT NULL,payer INTEGER NOT NULL,"
  "payee INTEGER NOT NULL,asset INTEGER NOT NULL,state INTEGER NOT NULL,amount BLOB NOT NULL,"
  "credit INTEGER NOT NULL,created_us INTEGER NOT NULL) STRICT;"
  "CREATE INDEX transfers_transit ON transfers(partition) WHERE state=0;"

  "CREATE TABLE reversals("
  "original INTEGER NOT NULL,op INTEGER NOT NULL,amount BLOB NOT NULL,"
  "PRIMARY KEY(original,op)) STRICT,WITHOUT ROWID;";

/* Projections: what a fold of the journal gives, and where that fold stands. */
static const char PROJECTIONS_1[] =
  "CREATE TABLE ledger_balances("
  "user INTEGER NOT NULL,asset INTEGER NOT NULL,version INTEGER NOT NULL,earned BLOB NOT NULL,"
  "pending BLOB NOT NULL,claimable BLOB NOT NULL,held BLOB NOT NULL,claiming BLOB NOT NULL,"
  "blocked BLOB NOT NULL,quarantine BLOB NOT NULL,debt BLOB NOT NULL,"
  "claimed_total BLOB NOT NULL,spent_total BLOB NOT NULL,"
  "PRIMARY KEY(user,asset)) STRICT,WITHOUT ROWID;"
  "CREATE TABLE system_totals("
  "partition INTEGER NOT NULL,account INTEGER NOT NULL,asset INTEGER NOT NULL,"
  "label TEXT NOT NULL,sum BLOB NOT NULL,"
  "PRIMARY KEY(partition,account,asset,label)) STRICT,WITHOUT ROWID;"
  "CREATE TABLE projection_marks(partition INTEGER PRIMARY KEY,seq INTEGER NOT NULL) STRICT;"

  "CREATE TABLE replay_runs("
  "id INTEGER PRIMARY KEY,started_us INTEGER NOT NULL,ended_us INTEGER NOT NULL,"
  "entries INTEGER NOT NULL,users INTEGER NOT NULL,differences INTEGER NOT NULL,"
  "repaired INTEGER NOT NULL) STRICT;";

/* The entries that are effective before they were recorded, by user and in the order in which they
 * were recorded: balances at a time on the effective axis are corrected by those that came later.
 * The move is repeated here, so that no journal row has to be read for it. */
static const char BACKDATED_2[] =
  "CREATE TABLE backdated("
  "user INTEGER NOT NULL,seq INTEGER NOT NULL,effective_us INTEGER NOT NULL,"
  "asset INTEGER NOT NULL,source INTEGER NOT NULL,target INTEGER NOT NULL,amount BLOB NOT NULL,"
  "PRIMARY KEY(user,seq)) STRICT,WITHOUT ROWID;"
  "CREATE TRIGGER backdated_update BEFORE UPDATE ON backdated BEGIN "
  "SELECT RAISE(ABORT,'backdated is append-only'); END;"
  "CREATE TRIGGER backdated_delete BEFORE DELETE ON backdated BEGIN "
  "SELECT RAISE(ABORT,'backdated is append-only'); END;";

/* What is told to clients and has to be ours is keyed with it, on every start. */
static const char SECRET_3[] = "INSERT INTO meta(key,value) VALUES('secret',randomblob(32));";

/* Notes the backdated entries of one partition's journal. */
static int fill_backdated(struct sqlite_db *db, unsigned partition)
{
  sqlite3_stmt *bodies = sqlite_db_use_journal(db, JOURNAL_BODIES, partition);
  struct ledger_other others[LEDGER_ASSETS_MAX];
  int code;
  sqlite_bind_id(bodies, 1, 0);
  while ((code = sqlite3_step(bodies)) == SQLITE_ROW) {
    struct ledger_entry entry = {0};
    const void *body = sqlite3_column_blob(bodies, 1);
    size_t size = (size_t)sqlite3_column_bytes(bodies, 1);
    if (body == NULL || !ledger_entry_decode(body, size, others, &entry)) {
      code = SQLITE_CORRUPT;
      break;
    }
    if (!effective_is_backdated(&entry))
      continue;
    code = sqlite_write_backdated(db, &entry, (uint64_t)sqlite3_column_int64(bodies, 0));
    if (code != SQLITE_OK)
      break;
  }
  (void)sqlite3_reset(bodies);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Text for the whole database, text for each partition, and what is then made of the rows of each
 * partition; NULL: nothing. */
static const struct sqlite_migration {
  const char *tables[4];
  const char *partition;
  int (*fill)(struct sqlite_db *db, unsigned partition);
} MIGRATIONS[] = {
  {{LEDGER_1, ROWS_1, PROJECTIONS_1}, JOURNAL_1, NULL},
  {{BACKDATED_2}, "", fill_backdated},
  {{SECRET_3}, "", NULL},
};
#define MIGRATIONS_COUNT ((unsigned)(sizeof(MIGRATIONS) / sizeof(MIGRATIONS[0])))
#define PARTITION_TEXT_MAX 2048u

/* Made before the first migration, by it: where migrations are recorded. */
static const char BASE[] =
  "CREATE TABLE IF NOT EXISTS schema_migrations("
  "version INTEGER PRIMARY KEY,checksum BLOB NOT NULL,applied_us INTEGER NOT NULL) STRICT;"
  "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY,value ANY) STRICT,WITHOUT ROWID;";

unsigned sqlite_schema_known(void)
{
  return MIGRATIONS_COUNT;
}

static struct hf_hash checksum(const struct sqlite_migration *migration)
{
  struct hf_hasher hasher;
  hf_hasher_init(&hasher);
  for (unsigned i = 0; migration->tables[i] != NULL; i++)
    hf_hasher_add(&hasher, migration->tables[i], strlen(migration->tables[i]));
  hf_hasher_add(&hasher, migration->partition, strlen(migration->partition));
  return hf_hasher_end(&hasher);
}

static enum hf_error refuse(char why[SQLITE_WHY_SIZE], enum hf_error error, const char *text)
{
  (void)snprintf(why, SQLITE_WHY_SIZE, "%s", text);
  return error;
}

static enum hf_error refuse_sqlite(struct sqlite_db *db, char why[SQLITE_WHY_SIZE],
                                   const char *doing)
{
  (void)snprintf(why, SQLITE_WHY_SIZE, "%s: %s", doing, sqlite3_errmsg(db->handle));
  return HF_E_UNAVAILABLE;
}

/* Fills the template's %u, all of them, with the partition. */
static void fill(const char *text, unsigned partition, char out[PARTITION_TEXT_MAX])
{
  size_t at = 0;
  for (; *text != '\0'; text++) {
    CHECK(at + 16 < PARTITION_TEXT_MAX);
    if (text[0] == '%' && text[1] == 'u') {
      at += (size_t)snprintf(out + at, PARTITION_TEXT_MAX - at, "%u", partition);
      text++;
    } else {
      out[at++] = *text;
    }
  }
  out[at] = '\0';
}

static int record(struct sqlite_db *db, unsigned version, const struct hf_hash *sum)
{
  sqlite3_stmt *insert = NULL;
  int code = sqlite3_prepare_v2(db->handle,
                                "INSERT INTO schema_migrations(version,checksum,applied_us) "
                                "VALUES(?1,?2,CAST(unixepoch('now')*1000000 AS INTEGER))",
                                -1, &insert, NULL);
  if (code == SQLITE_OK) {
    sqlite_bind_id(insert, 1, version);
    sqlite_bind_bytes(insert, 2, sum->bytes, sizeof(sum->bytes));
    code = sqlite_db_run(insert);
  }
  (void)sqlite3_finalize(insert);
  return code;
}

/* Applies migration `index` within a transaction. */
static int apply_texts(struct sqlite_db *db, unsigned index)
{
  const struct sqlite_migration *migration = &MIGRATIONS[index];
  struct hf_hash sum = checksum(migration);
  char text[PARTITION_TEXT_MAX];
  int code = SQLITE_OK;
  for (unsigned i = 0; code == SQLITE_OK && migration->tables[i] != NULL; i++)
    code = sqlite_db_text(db, migration->tables[i]);
  for (unsigned p = 0; code == SQLITE_OK && p < 1u << db->partition_bits; p++) {
    fill(migration->partition, p, text);
    code = sqlite_db_text(db, text);
    if (code == SQLITE_OK && migration->fill != NULL)
      code = migration->fill(db, p);
  }
  if (code == SQLITE_OK)
    code = record(db, index + 1, &sum);
  if (code == SQLITE_OK) {
    (void)snprintf(text, sizeof(text), "PRAGMA user_version=%u", index + 1);
    code = sqlite_db_text(db, text);
  }
  return code;
}

static int apply(struct sqlite_db *db, unsigned index)
{
  char text[160];
  int code = sqlite_db_text(db, "BEGIN IMMEDIATE");
  if (code != SQLITE_OK)
    return code;
  if (index == 0) {
    (void)snprintf(text, sizeof(text),
                   "PRAGMA application_id=%d;"
                   "INSERT INTO meta(key,value) VALUES('partition_bits',%u),"
                   "('created_us',CAST(unixepoch('now')*1000000 AS INTEGER))",
                   SQLITE_APPLICATION_ID, db->partition_bits);
    code = sqlite_db_text(db, BASE);
    if (code == SQLITE_OK)
      code = sqlite_db_text(db, text);
  }
  if (code == SQLITE_OK)
    code = apply_texts(db, index);
  if (code == SQLITE_OK)
    code = sqlite_db_text(db, "COMMIT");
  if (code != SQLITE_OK && !sqlite3_get_autocommit(db->handle))
    (void)sqlite_db_text(db, "ROLLBACK");
  return code;
}

/* The recorded checksums of the first `count` migrations are this program's. */
static enum hf_error compare(struct sqlite_db *db, unsigned count, char why[SQLITE_WHY_SIZE])
{
  sqlite3_stmt *select = NULL;
  unsigned seen = 0;
  bool same = true;
  int code = sqlite3_prepare_v2(db->handle,
                                "SELECT version,checksum FROM schema_migrations ORDER BY version",
                                -1, &select, NULL);
  while (code == SQLITE_OK && (code = sqlite3_step(select)) == SQLITE_ROW) {
    struct sqlite_row row = {.statement = select};
    struct hf_hash sum = {{0}};
    uint64_t version = sqlite_column_unsigned(&row, 0, UINT32_MAX);
    sqlite_column_bytes(&row, 1, sum.bytes, sizeof(sum.bytes));
    same = same && !row.corrupt && version == seen + 1u && seen < count;
    if (same) {
      struct hf_hash known = checksum(&MIGRATIONS[seen]);
      same = hf_hash_equal(&known, &sum);
    }
    seen++;
    code = SQLITE_OK;
  }
  (void)sqlite3_finalize(select);
  if (code != SQLITE_DONE)
    return refuse_sqlite(db, why, "cannot read the schema's history");
  if (!same || seen != count)
    return refuse(why, HF_E_INTERNAL,
                  "the schema was changed outside this program: a migration's checksum differs");
  return HF_OK;
}

static enum hf_error read_partition_bits(struct sqlite_db *db, char why[SQLITE_WHY_SIZE])
{
  int64_t bits = sqlite_db_integer(db, "SELECT value FROM meta WHERE key='partition_bits'", -1);
  if (bits < 0 || bits > (int64_t)HF_PARTITION_BITS_MAX)
    return refuse(why, HF_E_INTERNAL, "the database does not say how many partitions it has");
  db->partition_bits = (unsigned)bits;
  return HF_OK;
}

static enum hf_error read_secret(struct sqlite_db *db, char why[SQLITE_WHY_SIZE])
{
  sqlite3_stmt *select = NULL;
  bool there = false;
  int code =
    sqlite3_prepare_v2(db->handle, "SELECT value FROM meta WHERE key='secret'", -1, &select, NULL);
  if (code == SQLITE_OK && (code = sqlite3_step(select)) == SQLITE_ROW) {
    struct sqlite_row row = {.statement = select};
    sqlite_column_bytes(&row, 0, db->secret, sizeof(db->secret));
    there = !row.corrupt;
  }
  (void)sqlite3_finalize(select);
  if (code != SQLITE_ROW && code != SQLITE_DONE)
    return refuse_sqlite(db, why, "cannot read the database's secret");
  return there ? HF_OK : refuse(why, HF_E_INTERNAL, "the database has lost its secret");
}

enum hf_error sqlite_schema_open(struct sqlite_db *db, bool migrate, unsigned partition_bits,
                                 char ret_why[SQLITE_WHY_SIZE])
{
  int64_t version = sqlite_db_integer(db, "PRAGMA user_version", -1);
  int64_t application = sqlite_db_integer(db, "PRAGMA application_id", -1);
  int64_t tables = sqlite_db_integer(db, "SELECT count(*) FROM sqlite_schema", -1);
  enum hf_error error;
  CHECK(partition_bits <= HF_PARTITION_BITS_MAX);
  if (version < 0 || application < 0 || tables < 0)
    return refuse_sqlite(db, ret_why, "cannot read the database");
  bool fresh = version == 0 && tables == 0;
  if (!fresh && application != SQLITE_APPLICATION_ID)
    return refuse(ret_why, HF_E_INTERNAL, "the file is a database of another program");
  if (version > (int64_t)MIGRATIONS_COUNT) {
    (void)snprintf(ret_why, SQLITE_WHY_SIZE,
                   "the database has schema %lld, this program knows %u: use a newer program",
                   (long long)version, MIGRATIONS_COUNT);
    return HF_E_INTERNAL;
  }
  if (version < (int64_t)MIGRATIONS_COUNT && !migrate) {
    (void)snprintf(ret_why, SQLITE_WHY_SIZE,
                   "the database has schema %lld, this program needs %u: run migrate",
                   (long long)version, MIGRATIONS_COUNT);
    return HF_E_INTERNAL;
  }
  if (!fresh) {
    error = compare(db, (unsigned)version, ret_why);
    if (error == HF_OK)
      error = read_partition_bits(db, ret_why);
    if (error != HF_OK)
      return error;
  } else {
    db->partition_bits = partition_bits;
  }
  for (unsigned i = (unsigned)version; i < MIGRATIONS_COUNT; i++)
    if (apply(db, i) != SQLITE_OK)
      return refuse_sqlite(db, ret_why, "a migration failed and was undone");
  return read_secret(db, ret_why);
}

enum hf_error sqlite_schema_check(struct sqlite_db *db, char ret_why[SQLITE_WHY_SIZE])
{
  enum hf_error error = compare(db, MIGRATIONS_COUNT, ret_why);
  if (error != HF_OK)
    return error;
  /* Two for each journal, batches, outcomes, metadata and backdated. */
  int64_t wanted = 2 * ((1 << db->partition_bits) + 4);
  int64_t there = sqlite_db_integer(db,
                                    "SELECT count(*) FROM sqlite_schema WHERE type='trigger' AND "
                                    "name=tbl_name||iif(name LIKE '%!_update' ESCAPE '!',"
                                    "'_update','_delete') AND sql LIKE '%RAISE(ABORT%'",
                                    -1);
  if (there != wanted)
    return refuse(ret_why, HF_E_INTERNAL,
                  "triggers that keep the journal append-only are missing or were changed");
  sqlite3_stmt *check = NULL;
  int code = sqlite3_prepare_v2(db->handle, "PRAGMA integrity_check(1)", -1, &check, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_step(check);
  bool sound = false;
  if (code == SQLITE_ROW) {
    const char *text = (const char *)sqlite3_column_text(check, 0);
    sound = text != NULL && strcmp(text, "ok") == 0;
    if (!sound)
      (void)snprintf(ret_why, SQLITE_WHY_SIZE, "the file is damaged: %.200s",
                     text != NULL ? text : "");
  } else {
    (void)refuse_sqlite(db, ret_why, "the check could not run");
  }
  (void)sqlite3_finalize(check);
  return sound ? HF_OK : HF_E_INTERNAL;
}
