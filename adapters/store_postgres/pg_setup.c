/* pg_setup.c - see the header. */
#include "adapters/store_postgres/pg_setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/check.h"

#define SERVER_OLDEST 130000 /* PostgreSQL 13 */

bool pg_setup_dsn_ok(const char *dsn)
{
  char *message = NULL;
  PQconninfoOption *options = PQconninfoParse(dsn, &message);
  bool ok = options != NULL;
  PQconninfoFree(options);
  PQfreemem(message);
  return ok;
}

/* Notices go nowhere: what matters comes as an error. */
static void ignore_notice(void *arg, const PGresult *result)
{
  (void)arg;
  (void)result;
}

/* What stands before the DSN it may change; what stands behind it is ours. */
PGconn *pg_setup_connect(const struct pg_session_config *config, const struct pg_target *target)
{
  const char *params[][2] = {
    {"gssencmode", "disable"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "20000"},
    {"dbname", config->dsn},
    {"application_name", config->application_name},
    {"client_encoding", "UTF8"},
    {"target_session_attrs", config->standby ? "any" : "read-write"},
    {target == NULL ? NULL : "host", target == NULL ? NULL : target->hosts},
    {"hostaddr", target == NULL ? NULL : target->addresses},
    {"port", target == NULL ? NULL : target->ports},
  };
  enum { COUNT = sizeof params / sizeof params[0] };
  const char *keys[COUNT + 1] = {NULL}, *values[COUNT + 1] = {NULL};
  for (unsigned i = 0; i < COUNT; i++) {
    keys[i] = params[i][0];
    values[i] = params[i][1];
  }
  PGconn *conn = PQconnectStartParams(keys, values, 1);
  if (conn != NULL)
    (void)PQsetNoticeReceiver(conn, ignore_notice, NULL);
  return conn;
}

/* Plans: every statement has one index that it goes by, whatever the tables' sizes are, so a plan
 * is made once. The server's own keepalives end the transaction of a client that vanished.
 * synchronous_commit is set to what it is: what is judged below holds for the whole session, also
 * when the server's configuration is changed and read again. */
bool pg_setup_send(PGconn *conn, const struct pg_session_config *config)
{
  char sql[1024];
  int size =
    snprintf(sql, sizeof sql,
             "SET statement_timeout=%llu;SET lock_timeout=%llu;"
             "SET idle_in_transaction_session_timeout=%llu;SET client_min_messages=warning;"
             "SET default_transaction_isolation='read committed';SET TimeZone='UTC';"
             "SET plan_cache_mode=force_generic_plan;SET enable_seqscan=off;SET jit=off;"
             "SET tcp_keepalives_idle=5;SET tcp_keepalives_interval=2;SET tcp_keepalives_count=3;"
             "SELECT set_config('synchronous_commit',current_setting('synchronous_commit'),false),"
             "pg_is_in_recovery()::text,current_setting('server_version_num')",
             (unsigned long long)(config->statement_timeout_us / 1000u),
             (unsigned long long)(config->lock_timeout_us / 1000u),
             (unsigned long long)(config->statement_timeout_us / 1000u));
  CHECK(size > 0 && (size_t)size < sizeof sql);
  return PQsendQuery(conn, sql) == 1;
}

static enum pg_setup refuse(char ret_why[256], const char *text)
{
  (void)snprintf(ret_why, 256, "%s", text);
  return PG_SETUP_REFUSED;
}

static enum pg_setup judge(const PGresult *result, const struct pg_session_config *config,
                           char ret_why[256])
{
  if (PQntuples(result) != 1 || PQnfields(result) != 3)
    return refuse(ret_why, "the server does not speak as PostgreSQL does");
  if (strtol(PQgetvalue(result, 0, 2), NULL, 10) < SERVER_OLDEST)
    return refuse(ret_why, "the server is older than PostgreSQL 13");
  if (config->standby)
    return PG_SETUP_MORE;
  if (strcmp(PQgetvalue(result, 0, 1), "false") != 0)
    return refuse(ret_why, "the server is a standby: it takes no writes");
  if (strcmp(PQgetvalue(result, 0, 0), "off") == 0)
    return refuse(ret_why, "synchronous_commit is off: a commit could be lost after its answer");
  return PG_SETUP_MORE;
}

enum pg_setup pg_setup_take(PGconn *conn, const struct pg_session_config *config, char ret_why[256])
{
  while (PQisBusy(conn) == 0) {
    enum pg_setup verdict = PG_SETUP_MORE;
    PGresult *result = PQgetResult(conn);
    if (result == NULL)
      return PG_SETUP_DONE;
    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
      verdict = judge(result, config, ret_why);
    } else if (PQresultStatus(result) != PGRES_COMMAND_OK) {
      const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
      verdict = refuse(ret_why, message == NULL ? "the server ended the connection" : message);
    }
    PQclear(result);
    if (verdict == PG_SETUP_REFUSED)
      return verdict;
  }
  return PG_SETUP_MORE;
}
