#include "bench/limit/common/limit_pgbench.h"

#include <ctype.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/bytes.h"
#include "holdfast/check.h"

static void text_put(struct hf_bytes *text, const char *more)
{
  hf_bytes_put(text, more, strlen(more));
}

static void number_put(struct hf_bytes *text, const char *before, unsigned number)
{
  char digits[64];
  snprintf(digits, sizeof digits, "%s%u", before, number);
  text_put(text, digits);
}

static void sql_run(PGconn *connection, struct hf_bytes *sql)
{
  hf_bytes_put_u8(sql, 0);
  PGresult *result = PQexec(connection, (const char *)sql->at);
  if (PQresultStatus(result) != PGRES_COMMAND_OK)
    limit_fail("staging", PQerrorMessage(connection));
  PQclear(result);
  hf_bytes_clear(sql);
}

/* The text with each $n replaced by a look-up in the statement's table. */
static void script_put(FILE *script, const char *sql, unsigned step)
{
  while (*sql != '\0') {
    if (*sql != '$' || !isdigit((unsigned char)sql[1])) {
      /* A colon before a name would be a variable to pgbench; casts have two. */
      fputc(*sql++, script);
      continue;
    }
    char *end = NULL;
    unsigned long parameter = strtoul(sql + 1, &end, 10);
    fprintf(script, "(SELECT p%lu FROM limit_step_%u WHERE client=:client_id AND turn=:turn)",
            parameter, step);
    sql = end;
  }
  fputs(";\n", script);
}

static void table_make(PGconn *connection, unsigned step, const struct limit_step *form)
{
  PGresult *described = PQdescribePrepared(connection, pg_statement_name(form->statement));
  if (PQresultStatus(described) != PGRES_COMMAND_OK || PQnparams(described) != form->count)
    limit_fail(pg_statement_name(form->statement), "its parameters are not known");
  struct hf_bytes sql = {0};
  number_put(&sql, "CREATE UNLOGGED TABLE limit_step_", step);
  text_put(&sql, "(client integer,turn integer");
  for (int i = 0; i < form->count; i++) {
    char oid[16], *type = NULL;
    const char *values[] = {oid};
    snprintf(oid, sizeof oid, "%u", PQparamtype(described, i));
    PGresult *named =
      PQexecParams(connection, "SELECT $1::oid::regtype::text", 1, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(named) != PGRES_TUPLES_OK)
      limit_fail("the type of a parameter", PQerrorMessage(connection));
    type = PQgetvalue(named, 0, 0);
    number_put(&sql, ",p", (unsigned)i + 1);
    text_put(&sql, " ");
    text_put(&sql, type);
    PQclear(named);
  }
  text_put(&sql, ",PRIMARY KEY(client,turn))");
  sql_run(connection, &sql);
  for (int i = 0; i < form->count; i++) { /* stored as it is: nothing to unpack */
    number_put(&sql, "ALTER TABLE limit_step_", step);
    number_put(&sql, " ALTER p", (unsigned)i + 1);
    text_put(&sql, " SET STORAGE EXTERNAL");
    sql_run(connection, &sql);
  }
  hf_bytes_deinit(&sql);
  PQclear(described);
}

static void insert_prepare(PGconn *connection, unsigned step, const struct limit_step *form)
{
  struct hf_bytes sql = {0};
  char name[32];
  snprintf(name, sizeof name, "limit_step_%u", step);
  number_put(&sql, "INSERT INTO limit_step_", step);
  text_put(&sql, " VALUES($1");
  for (int i = 1; i < form->count + 2; i++)
    number_put(&sql, ",$", (unsigned)i + 1);
  text_put(&sql, ")");
  hf_bytes_put_u8(&sql, 0);
  PGresult *result = PQprepare(connection, name, (const char *)sql.at, 0, NULL);
  if (PQresultStatus(result) != PGRES_COMMAND_OK)
    limit_fail("staging", PQerrorMessage(connection));
  PQclear(result);
  hf_bytes_deinit(&sql);
}

void limit_pgbench_begin(PGconn *connection, const char *script, const struct limit_round *round)
{
  FILE *file = fopen(script, "w");
  if (file == NULL)
    limit_fail(script, "cannot be written");
  fputs("\\set turn :turn + 1\n\\startpipeline\n", file);
  for (unsigned i = 0; i < round->steps; i++) {
    table_make(connection, i, &round->step[i]);
    insert_prepare(connection, i, &round->step[i]);
    script_put(file, pg_statement_sql(round->step[i].statement), i);
  }
  fputs("\\endpipeline\n", file);
  if (fclose(file) != 0)
    limit_fail(script, "cannot be written");
  PQclear(PQexec(connection, "BEGIN"));
}

void limit_pgbench_add(PGconn *connection, unsigned client, size_t turn,
                       const struct limit_round *round)
{
  for (unsigned i = 0; i < round->steps; i++) {
    const struct limit_step *step = &round->step[i];
    const char *values[PG_ARGS_MAX + 2];
    int sizes[PG_ARGS_MAX + 2], binary[PG_ARGS_MAX + 2];
    uint32_t place[2] = {htobe32(client), htobe32((uint32_t)turn)};
    for (int k = 0; k < step->count + 2; k++) {
      values[k] = k < 2 ? (const char *)&place[k] : step->values[k - 2];
      sizes[k] = k < 2 ? (int)sizeof place[k] : step->sizes[k - 2];
      binary[k] = 1;
    }
    char name[32];
    snprintf(name, sizeof name, "limit_step_%u", i);
    PGresult *result = PQexecPrepared(connection, name, step->count + 2, values, sizes, binary, 0);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
      limit_fail("staging", PQerrorMessage(connection));
    PQclear(result);
  }
}

void limit_pgbench_end(PGconn *connection, const struct limit_round *round)
{
  struct hf_bytes sql = {0};
  text_put(&sql, "COMMIT");
  sql_run(connection, &sql);
  for (unsigned i = 0; i < round->steps; i++) {
    number_put(&sql, "VACUUM ANALYZE limit_step_", i);
    sql_run(connection, &sql);
  }
  hf_bytes_deinit(&sql);
}
