/* pg_schema.c - see the header.
 *
 * Happy path: schema_migrations says which migrations are there; their checksums are compared; the
 *   missing ones are applied under the advisory lock.
 * Ways to fail: another program's tables, a changed or unknown migration, a role that may not, a
 *   connection that is lost. A migration that fails is rolled back whole.
 * Invariants: versions are 1..n without gaps; partition_bits never changes. */
#include "adapters/store_postgres/pg_schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/store_postgres/pg_migrations.h"
#include "holdfast/hash.h"

#define NAMEDATALEN_MAX 64u /* of PostgreSQL's names, with the NUL */
#define SQLSTATE_UNDEFINED_COLUMN "42703"
#define LOCK_ARGUMENTS "(1213156420,hashtext(current_schema()))"
_Static_assert(PG_SCHEMA_LOCK == 1213156420, "LOCK_ARGUMENTS has it");

unsigned pg_schema_known(void)
{
  return pg_migrations_count;
}

static enum hf_error refuse(char why[PG_WHY_SIZE], enum hf_error error, const char *text)
{
  (void)snprintf(why, PG_WHY_SIZE, "%s", text);
  return error;
}

/* What the server said about a statement; the connection's own words may name its parameters. */
static enum hf_error refuse_result(char why[PG_WHY_SIZE], const char *doing, const PGresult *result)
{
  const char *said = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  (void)snprintf(why, PG_WHY_SIZE, "%s: %.160s", doing,
                 said != NULL ? said : "the connection was lost");
  return HF_E_UNAVAILABLE;
}

static bool succeeded(const PGresult *result)
{
  ExecStatusType status = PQresultStatus(result);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static bool run(PGconn *connection, const char *sql, char why[PG_WHY_SIZE])
{
  PGresult *result = PQexec(connection, sql);
  bool ok = succeeded(result);
  if (!ok)
    (void)refuse_result(why, "the database refuses", result);
  PQclear(result);
  return ok;
}

/* Rows of text; NULL and a text when it failed. */
static PGresult *rows_of(PGconn *connection, const char *sql, int count, const char *const *values,
                         char why[PG_WHY_SIZE])
{
  PGresult *result = PQexecParams(connection, sql, count, NULL, values, NULL, NULL, 0);
  if (succeeded(result))
    return result;
  (void)refuse_result(why, "cannot read the schema", result);
  PQclear(result);
  return NULL;
}

/* ---- what is there --------------------------------------------------------------------------- */

static struct hf_hash checksum(const struct pg_migration *migration)
{
  struct hf_hasher hasher;
  hf_hasher_init(&hasher);
  for (unsigned i = 0; migration->texts[i] != NULL; i++)
    hf_hasher_add(&hasher, migration->texts[i], strlen(migration->texts[i]));
  return hf_hasher_end(&hasher);
}

/* A place for tables, of an encoding that keeps every text as it is. */
static enum hf_error look_at_place(PGconn *connection, char why[PG_WHY_SIZE])
{
  enum hf_error error = HF_OK;
  PGresult *rows =
    rows_of(connection, "SELECT current_schema(),current_setting('server_encoding')", 0, NULL, why);
  if (rows == NULL)
    return HF_E_UNAVAILABLE;
  if (PQgetisnull(rows, 0, 0))
    error = refuse(why, HF_E_INTERNAL, "no schema of the role's search_path exists: create it");
  else if (strcmp(PQgetvalue(rows, 0, 1), "UTF8") != 0)
    error = refuse(why, HF_E_INTERNAL, "the database's encoding is not UTF8: create one that is");
  PQclear(rows);
  return error;
}

/* Whose the tables are, if there are any of our names. */
static enum hf_error look_at_owner(PGconn *connection, bool *ret_ours, char why[PG_WHY_SIZE])
{
  char first[NAMEDATALEN_MAX] = "";
  bool meta = false;
  *ret_ours = false;
  PGresult *rows = rows_of(connection,
                           "SELECT c.relname FROM pg_class c JOIN pg_namespace n "
                           "ON n.oid=c.relnamespace WHERE n.nspname=current_schema() "
                           "AND c.relkind IN ('r','p','v','m','f','S') ORDER BY c.relname",
                           0, NULL, why);
  if (rows == NULL)
    return HF_E_UNAVAILABLE;
  for (int i = 0; i < PQntuples(rows); i++) {
    const char *name = PQgetvalue(rows, i, 0);
    meta = meta || strcmp(name, "meta") == 0;
    for (unsigned k = 0; first[0] == '\0' && k < pg_table_names_count; k++)
      if (strcmp(name, pg_table_names[k]) == 0)
        (void)snprintf(first, sizeof first, "%s", name);
  }
  PQclear(rows);
  if (first[0] == '\0')
    return HF_OK;
  if (meta) {
    PGresult *program = PQexec(connection, "SELECT value FROM meta WHERE key='program'");
    const char *state = PQresultErrorField(program, PG_DIAG_SQLSTATE);
    bool read = succeeded(program);
    *ret_ours =
      read && PQntuples(program) == 1 && strcmp(PQgetvalue(program, 0, 0), "holdfast") == 0;
    if (!read && (state == NULL || strcmp(state, SQLSTATE_UNDEFINED_COLUMN) != 0)) {
      enum hf_error error = refuse_result(why, "cannot read the schema", program);
      PQclear(program);
      return error;
    }
    PQclear(program);
  }
  if (*ret_ours)
    return HF_OK;
  (void)snprintf(why, PG_WHY_SIZE,
                 "the schema has another program's tables (%s): use a database of its own", first);
  return HF_E_INTERNAL;
}

static enum hf_error compare(PGconn *connection, unsigned *ret_applied, char why[PG_WHY_SIZE])
{
  enum hf_error error = HF_OK;
  PGresult *rows =
    rows_of(connection, "SELECT version,encode(checksum,'hex') FROM schema_migrations ORDER BY 1",
            0, NULL, why);
  if (rows == NULL)
    return HF_E_UNAVAILABLE;
  unsigned count = (unsigned)PQntuples(rows);
  for (unsigned i = 0; error == HF_OK && i < count && i < pg_migrations_count; i++) {
    char hex[2u * HF_HASH_SIZE + 1u], version[16];
    struct hf_hash sum = checksum(&pg_migrations[i]);
    hf_hex(sum.bytes, sizeof sum.bytes, hex);
    (void)snprintf(version, sizeof version, "%u", i + 1u);
    if (strcmp(PQgetvalue(rows, (int)i, 0), version) == 0 &&
        strcmp(PQgetvalue(rows, (int)i, 1), hex) == 0)
      continue;
    (void)snprintf(why, PG_WHY_SIZE,
                   "the schema was changed outside this program: the checksum of migration %u "
                   "differs",
                   i + 1u);
    error = HF_E_INTERNAL;
  }
  if (error == HF_OK && count > pg_migrations_count) {
    (void)snprintf(why, PG_WHY_SIZE,
                   "the database has schema %u, this program knows %u: use a newer program", count,
                   pg_migrations_count);
    error = HF_E_INTERNAL;
  }
  PQclear(rows);
  *ret_applied = count;
  return error;
}

/* What the database has of this program's migrations; of a new one: 0. */
static enum hf_error look(PGconn *connection, unsigned *ret_applied, char why[PG_WHY_SIZE])
{
  bool ours = false;
  *ret_applied = 0;
  enum hf_error error = look_at_place(connection, why);
  if (error == HF_OK)
    error = look_at_owner(connection, &ours, why);
  if (error == HF_OK && ours)
    error = compare(connection, ret_applied, why);
  return error;
}

/* ---- applying -------------------------------------------------------------------------------- */

/* Appends the text with the database's numbers in it. */
static void expand(struct hf_bytes *sql, const char *text, unsigned bits)
{
  char number[16];
  for (;;) {
    const char *at = strchr(text, '{');
    bool is_bits = at != NULL && strncmp(at, "{bits}", 6) == 0;
    bool is_mask = at != NULL && strncmp(at, "{mask}", 6) == 0;
    size_t size = at == NULL ? strlen(text) : (size_t)(at - text);
    if (at != NULL && !is_bits && !is_mask)
      size++; /* a brace of the text's own */
    hf_bytes_put(sql, text, size);
    text += size;
    if (at == NULL)
      return;
    if (!is_bits && !is_mask)
      continue;
    int written = snprintf(number, sizeof number, "%u", is_bits ? bits : (1u << bits) - 1u);
    hf_bytes_put(sql, number, (size_t)written);
    text += 6;
  }
}

static bool apply_texts(PGconn *connection, const struct pg_migration *migration, unsigned bits,
                        char why[PG_WHY_SIZE])
{
  struct hf_bytes sql = {0};
  for (unsigned i = 0; migration->texts[i] != NULL; i++)
    expand(&sql, migration->texts[i], bits);
  hf_bytes_put_u8(&sql, 0);
  bool ok = run(connection, (const char *)sql.at, why);
  hf_bytes_deinit(&sql);
  return ok;
}

static bool record(PGconn *connection, unsigned index, char why[PG_WHY_SIZE])
{
  char sql[200], hex[2u * HF_HASH_SIZE + 1u];
  struct hf_hash sum = checksum(&pg_migrations[index]);
  hf_hex(sum.bytes, sizeof sum.bytes, hex);
  (void)snprintf(sql, sizeof sql,
                 "INSERT INTO schema_migrations(version,checksum) VALUES(%u,decode('%s','hex'))",
                 index + 1u, hex);
  return run(connection, sql, why);
}

static enum hf_error apply(PGconn *connection, unsigned index, unsigned bits, char why[PG_WHY_SIZE])
{
  char said[PG_WHY_SIZE] = "", ignored[PG_WHY_SIZE];
  bool ok = run(connection, "BEGIN;SET LOCAL client_min_messages=warning", said) &&
            apply_texts(connection, &pg_migrations[index], bits, said) &&
            record(connection, index, said) && run(connection, "COMMIT", said);
  if (ok)
    return HF_OK;
  (void)run(connection, "ROLLBACK", ignored);
  (void)snprintf(why, PG_WHY_SIZE, "migration %u failed and was undone: %.180s", index + 1u, said);
  return HF_E_UNAVAILABLE;
}

/* The number of bits that the database was made with. */
static enum hf_error read_database(PGconn *connection, struct pg_database *ret_database,
                                   char why[PG_WHY_SIZE])
{
  PGresult *rows = rows_of(connection,
                           "SELECT (SELECT value FROM meta WHERE key='partition_bits'),"
                           "(SELECT value FROM meta WHERE key='secret')",
                           0, NULL, why);
  if (rows == NULL)
    return HF_E_UNAVAILABLE;
  const char *text = PQgetvalue(rows, 0, 0), *secret = PQgetvalue(rows, 0, 1);
  char *end = NULL;
  unsigned long bits = strtoul(text, &end, 10);
  bool ok = text[0] >= '0' && text[0] <= '9' && *end == '\0' && bits <= HF_PARTITION_BITS_MAX &&
            hf_unhex(secret, strlen(secret), ret_database->secret, sizeof ret_database->secret);
  ret_database->partition_bits = ok ? (unsigned)bits : 0;
  PQclear(rows);
  return ok ? HF_OK
            : refuse(why, HF_E_INTERNAL, "the database does not say how many partitions it has");
}

struct telling {             /* of migrations, to a person */
  store_migration_each each; /* NULL: to nobody */
  void *arg;
};

static void tell(const struct telling *telling, unsigned first, unsigned end,
                 enum store_migration what)
{
  for (unsigned i = first; telling->each != NULL && i < end; i++)
    telling->each(telling->arg, i + 1u, pg_migrations[i].title, what);
}

static enum hf_error apply_missing(PGconn *connection, unsigned partition_bits,
                                   const struct telling *telling, char why[PG_WHY_SIZE])
{
  unsigned applied = 0;
  struct pg_database database = {.partition_bits = partition_bits};
  enum hf_error error = look(connection, &applied, why);
  if (error == HF_OK && applied > 0)
    error = read_database(connection, &database, why);
  if (error == HF_OK)
    tell(telling, 0, applied, STORE_MIGRATION_THERE);
  for (unsigned i = applied; error == HF_OK && i < pg_migrations_count; i++) {
    error = apply(connection, i, database.partition_bits, why);
    if (error == HF_OK)
      tell(telling, i, i + 1u, STORE_MIGRATION_APPLIED);
  }
  return error;
}

/* Waits as long as another node migrates; the session's timeouts are for the server's work. */
static enum hf_error migrate_locked(PGconn *connection, unsigned partition_bits,
                                    const struct telling *telling, char why[PG_WHY_SIZE])
{
  char ignored[PG_WHY_SIZE], restore[200];
  PGresult *rows = rows_of(connection,
                           "SELECT current_setting('statement_timeout'),"
                           "current_setting('lock_timeout')",
                           0, NULL, why);
  if (rows == NULL)
    return HF_E_UNAVAILABLE;
  (void)snprintf(restore, sizeof restore, "SET statement_timeout='%s';SET lock_timeout='%s'",
                 PQgetvalue(rows, 0, 0), PQgetvalue(rows, 0, 1));
  PQclear(rows);
  enum hf_error error = HF_E_UNAVAILABLE;
  bool undone = true;
  if (run(connection, "SET statement_timeout=0;SET lock_timeout=0", why) &&
      run(connection, "SELECT pg_advisory_lock" LOCK_ARGUMENTS, why)) {
    error = apply_missing(connection, partition_bits, telling, why);
    undone = run(connection, "SELECT pg_advisory_unlock" LOCK_ARGUMENTS, ignored);
  }
  /* libpq may have failed without the server: the connection then has answers that nobody took. */
  undone = run(connection, restore, ignored) && undone;
  return undone || error != HF_OK ? error
                                  : refuse(why, HF_E_UNAVAILABLE, "the connection was lost");
}

enum hf_error pg_schema_open(PGconn *connection, bool migrate, unsigned partition_bits,
                             struct pg_database *ret_database, char ret_why[PG_WHY_SIZE])
{
  unsigned applied;
  CHECK(partition_bits <= HF_PARTITION_BITS_MAX);
  CHECK(PQtransactionStatus(connection) == PQTRANS_IDLE);
  enum hf_error error = look(connection, &applied, ret_why);
  if (error == HF_OK && applied < pg_migrations_count) {
    if (migrate) {
      const struct telling nobody = {.each = NULL};
      error = migrate_locked(connection, partition_bits, &nobody, ret_why);
    } else {
      (void)snprintf(ret_why, PG_WHY_SIZE,
                     "the database has schema %u, this program needs %u: run holdfast migrate",
                     applied, pg_migrations_count);
      error = HF_E_INTERNAL;
    }
  }
  if (error == HF_OK)
    error = read_database(connection, ret_database, ret_why);
  return error;
}

enum hf_error pg_schema_migrate(PGconn *connection, bool dry_run, unsigned partition_bits,
                                store_migration_each each, void *arg, char ret_why[PG_WHY_SIZE])
{
  const struct telling telling = {.each = each, .arg = arg};
  unsigned applied;
  CHECK(partition_bits <= HF_PARTITION_BITS_MAX);
  enum hf_error error = look(connection, &applied, ret_why);
  if (error == HF_OK && applied < pg_migrations_count && !dry_run)
    return migrate_locked(connection, partition_bits, &telling, ret_why);
  if (error == HF_OK) {
    tell(&telling, 0, applied, STORE_MIGRATION_THERE);
    tell(&telling, applied, pg_migrations_count, STORE_MIGRATION_MISSING);
  }
  return error;
}

/* ---- checking -------------------------------------------------------------------------------- */

/* Everything of schema $1 and, when $3, whether it makes a difference if only one side has it: what
 * an operator may add is not listed. Both schemas' names are taken out of the definitions. */
#define LISTING                                                                                    \
  "WITH place AS (SELECT oid,nspname FROM pg_namespace WHERE nspname IN ($1,$2)),"                 \
  "relation AS (SELECT c.oid,c.relname,c.relkind,p.nspname FROM pg_class c "                       \
  "JOIN place p ON p.oid=c.relnamespace WHERE c.relkind IN ('r','p','v') AND c.relname IN "        \
  "(SELECT x.relname FROM pg_class x JOIN place q ON q.oid=x.relnamespace "                        \
  "WHERE q.nspname=$2)),"                                                                          \
  "listed AS ("                                                                                    \
  "SELECT nspname,'table '||relname AS name,CASE relkind WHEN 'v' THEN pg_get_viewdef(oid) "       \
  "ELSE '' END AS what,true AS strict FROM relation "                                              \
  "UNION ALL SELECT r.nspname,'column '||r.relname||'.'||a.attname,"                               \
  "CASE WHEN r.relname='user_earnings' THEN '' ELSE format_type(a.atttypid,a.atttypmod)"           \
  "||a.attnotnull||a.attgenerated::text||coalesce(pg_get_expr(d.adbin,d.adrelid),'') END,"         \
  "r.relname<>'user_earnings' FROM relation r JOIN pg_attribute a ON a.attrelid=r.oid "            \
  "AND a.attnum>0 AND NOT a.attisdropped LEFT JOIN pg_attrdef d ON d.adrelid=r.oid "               \
  "AND d.adnum=a.attnum "                                                                          \
  "UNION ALL SELECT r.nspname,'index '||i.relname,replace(pg_get_indexdef(x.indexrelid),"          \
  "' ON ONLY ',' ON ')||x.indisvalid,x.indisunique AND r.relname<>'user_earnings' "                \
  "FROM relation r JOIN pg_index x ON x.indrelid=r.oid JOIN pg_class i ON i.oid=x.indexrelid "     \
  "WHERE i.relname<>'user_earnings_pkey' "                                                         \
  "UNION ALL SELECT r.nspname,'trigger '||t.tgname||' of '||r.relname,"                            \
  "pg_get_triggerdef(t.oid)||t.tgenabled::text,r.relname<>'user_earnings' FROM relation r "        \
  "JOIN pg_trigger t ON t.tgrelid=r.oid AND NOT t.tgisinternal "                                   \
  "UNION ALL SELECT p.nspname,'function '||f.oid::regprocedure,"                                   \
  "f.prosrc||f.provolatile::text||f.proisstrict,false FROM pg_proc f "                             \
  "JOIN place p ON p.oid=f.pronamespace WHERE f.proname LIKE 'hf\\_%'),"                           \
  "clean AS (SELECT nspname,strict,"                                                               \
  "replace(replace(name,quote_ident($1)||'.',''),quote_ident($2)||'.','') AS name,"                \
  "replace(replace(what,quote_ident($1)||'.',''),quote_ident($2)||'.','') AS what FROM listed) "

static const char DIFFERENCE[] = LISTING
  "SELECT coalesce(w.name,t.name),CASE WHEN t.name IS NULL THEN 'is missing' "
  "WHEN w.name IS NULL THEN 'is not of this program' ELSE 'was changed' END "
  "FROM (SELECT * FROM clean WHERE nspname=$2) w "
  "FULL JOIN (SELECT * FROM clean WHERE nspname=$1) t ON t.name=w.name "
  "WHERE (t.name IS NULL) OR (w.name IS NULL AND t.strict) OR w.what<>t.what ORDER BY 1 LIMIT 1";

static enum hf_error compare_schemas(PGconn *connection, const char *theirs, const char *scratch,
                                     char why[PG_WHY_SIZE])
{
  const char *const values[] = {theirs, scratch};
  PGresult *rows = rows_of(connection, DIFFERENCE, 2, values, why);
  if (rows == NULL)
    return HF_E_UNAVAILABLE;
  enum hf_error error = HF_OK;
  if (PQntuples(rows) > 0) {
    (void)snprintf(why, PG_WHY_SIZE, "the schema is not what the migrations make: %.150s %s",
                   PQgetvalue(rows, 0, 0), PQgetvalue(rows, 0, 1));
    error = HF_E_INTERNAL;
  }
  PQclear(rows);
  return error;
}

static enum hf_error check_in(PGconn *connection, unsigned bits, char why[PG_WHY_SIZE])
{
  char theirs[NAMEDATALEN_MAX], scratch[NAMEDATALEN_MAX], sql[2u * NAMEDATALEN_MAX + 64u];
  PGresult *rows = rows_of(connection, "SELECT current_schema()", 0, NULL, why);
  if (rows == NULL)
    return HF_E_UNAVAILABLE;
  (void)snprintf(theirs, sizeof theirs, "%s", PQgetvalue(rows, 0, 0));
  PQclear(rows);
  (void)snprintf(scratch, sizeof scratch, "holdfast_check_%d", PQbackendPID(connection));
  (void)snprintf(sql, sizeof sql, "CREATE SCHEMA %s;SET LOCAL search_path=%s", scratch, scratch);
  if (!run(connection, sql, why))
    return HF_E_UNAVAILABLE;
  for (unsigned i = 0; i < pg_migrations_count; i++)
    if (!apply_texts(connection, &pg_migrations[i], bits, why))
      return HF_E_UNAVAILABLE;
  return compare_schemas(connection, theirs, scratch, why);
}

enum hf_error pg_schema_check(PGconn *connection, char ret_why[PG_WHY_SIZE])
{
  struct pg_database database;
  char ignored[PG_WHY_SIZE];
  unsigned applied;
  enum hf_error error = look(connection, &applied, ret_why);
  if (error == HF_OK && applied < pg_migrations_count)
    error = refuse(ret_why, HF_E_INTERNAL, "migrations are missing: run holdfast migrate");
  if (error == HF_OK)
    error = read_database(connection, &database, ret_why);
  if (error != HF_OK)
    return error;
  if (!run(connection, "BEGIN;SET LOCAL client_min_messages=warning", ret_why))
    return HF_E_UNAVAILABLE;
  error = check_in(connection, database.partition_bits, ret_why);
  if (!run(connection, "ROLLBACK", ignored) && error == HF_OK)
    error = refuse(ret_why, HF_E_UNAVAILABLE, "the connection was lost");
  return error;
}
