/* pg_sql.h - SQL of a test's own on a connection of its own. A statement that fails fails the test.
 * Owner: a test, one thread. */
#ifndef HOLDFAST_TESTS_PG_SQL_H
#define HOLDFAST_TESTS_PG_SQL_H

#include <postgresql/libpq-fe.h>
#include <stddef.h>
#include <stdint.h>

/* A connection to a database of the fixtures' server (store_fixture.h); `application`: the name of
 * the session, or NULL. */
PGconn *pg_sql_connect(const char *database, const char *application);
/* Runs one statement or several. */
void pg_sql(PGconn *conn, const char *sql);
/* The first column of the only row, as text or as a number. */
void pg_sql_text(PGconn *conn, const char *sql, char *ret_text, size_t size);
int64_t pg_sql_number(PGconn *conn, const char *sql);

#endif
