/* pg_talk.c - statements by name, kinds of trouble, and the talk of a request. */
#include "adapters/store_postgres/pg_talk.h"

#include <string.h>

#include "adapters/store_postgres/pg_read.h"
#include "holdfast/check.h"

/* ---- statements ------------------------------------------------------------------------------ */

struct statement {
  const char *name, *sql;
};

static const struct statement statements[] = {
#define X(name, sql) {"hf_" #name, sql},
  PG_STATEMENTS_COMMIT(X) PG_STATEMENTS_READ(X)
#undef X
};
_Static_assert(sizeof statements / sizeof statements[0] == PG_STATEMENT_COUNT, "one row each");

const char *pg_statement_name(enum pg_statement statement)
{
  CHECK((unsigned)statement < PG_STATEMENT_COUNT);
  return statements[statement].name;
}

const char *pg_statement_sql(enum pg_statement statement)
{
  CHECK((unsigned)statement < PG_STATEMENT_COUNT);
  return statements[statement].sql;
}

/* ---- trouble --------------------------------------------------------------------------------- */

enum pg_trouble pg_trouble_of(const char sqlstate[6])
{
  static const char *const transient[] = {
    "08", "25006", "40", "53", "55", "57", "58", "F0", /* by class, or the whole state */
  };
  if (strcmp(sqlstate, "23505") == 0)
    return PG_TROUBLE_UNIQUE;
  if (sqlstate[0] == '\0')
    return PG_TROUBLE_TRANSIENT; /* the connection is gone */
  for (size_t i = 0; i < sizeof transient / sizeof transient[0]; i++)
    if (strncmp(sqlstate, transient[i], strlen(transient[i])) == 0)
      return PG_TROUBLE_TRANSIENT;
  return PG_TROUBLE_OTHER;
}

/* ---- talks ----------------------------------------------------------------------------------- */

void pg_talk_begin(struct pg_talk *talk, struct store_request *request,
                   const struct pg_database *database)
{
  *talk = (struct pg_talk){.request = request, .database = database};
  talk->ops = request->kind == STORE_COMMIT ? &pg_commit_talk : pg_read_talk_of(request->kind);
  CHECK(talk->ops != NULL);
  request->status = STORE_UNAVAILABLE; /* until something better is known */
}
