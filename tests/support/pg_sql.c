/* pg_sql.c - see pg_sql.h. */
#include "tests/support/pg_sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/store_fixture.h"

static void ignore_notice(void *arg, const PGresult *result)
{
  (void)arg;
  (void)result;
}

PGconn *pg_sql_connect(const char *database, const char *application)
{
  char dsn[PG_CLUSTER_DSN_SIZE];
  pg_cluster_dsn(fixture_server(), database, dsn);
  const char *const keys[] = {"dbname", "application_name", NULL};
  const char *const values[] = {dsn, application == NULL ? "test" : application, NULL};
  PGconn *conn = PQconnectdbParams(keys, values, 1);
  if (PQstatus(conn) != CONNECTION_OK)
    fail_msg("%s", PQerrorMessage(conn));
  (void)PQsetNoticeReceiver(conn, ignore_notice, NULL);
  return conn;
}

static PGresult *run(PGconn *conn, const char *sql)
{
  PGresult *result = PQexec(conn, sql);
  ExecStatusType status = PQresultStatus(result);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
    fail_msg("%s: %s", sql, PQerrorMessage(conn));
  return result;
}

void pg_sql(PGconn *conn, const char *sql)
{
  PQclear(run(conn, sql));
}

void pg_sql_text(PGconn *conn, const char *sql, char *ret_text, size_t size)
{
  PGresult *result = run(conn, sql);
  if (PQntuples(result) != 1)
    fail_msg("%s: %d rows", sql, PQntuples(result));
  (void)snprintf(ret_text, size, "%s", PQgetvalue(result, 0, 0));
  PQclear(result);
}

int64_t pg_sql_number(PGconn *conn, const char *sql)
{
  char text[64];
  pg_sql_text(conn, sql, text, sizeof text);
  return strtoll(text, NULL, 10);
}
