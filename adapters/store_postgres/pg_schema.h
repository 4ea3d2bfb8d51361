/* pg_schema.h - the tables in PostgreSQL, and how a database of an older program becomes one of
 * this.
 *
 * Migrations are an ordered list of texts (pg_migrations.h); each is applied in a transaction of
 * its own together with its SHA-256 in schema_migrations, so that an interrupted one leaves
 * nothing. One node at a time: an advisory lock of the session keeps the others waiting. Tables
 * live in the first schema of the search_path; `meta` says whose they are.
 * Blocking, on a connection without a transaction under way. Owner: the caller's thread.
 * Errors: HF_E_UNAVAILABLE (the server), HF_E_INTERNAL (not a database that this program may use),
 * each with a text for a person, without the connection's words. */
#ifndef HOLDFAST_PG_SCHEMA_H
#define HOLDFAST_PG_SCHEMA_H

#include "adapters/store/store_admin.h"
#include "adapters/store_postgres/pg_talk.h"

#define PG_WHY_SIZE 256u
/* A set-up's first word that lets a person find who waits: pg_locks.classid of the lock. */
#define PG_SCHEMA_LOCK 0x484f4c44 /* "HOLD" */

unsigned pg_schema_known(void);

/* Brings the database to the newest schema, or refuses: another program's tables, a checksum that
 * differs, a newer schema, an older one when `migrate` is false, an encoding that is not UTF8.
 * `partition_bits` is used for a new database. Fills `ret_database` from what is there. */
MUST_CHECK enum hf_error pg_schema_open(PGconn *connection, bool migrate, unsigned partition_bits,
                                        struct pg_database *ret_database,
                                        char ret_why[PG_WHY_SIZE]);

/* The same with `migrate`, or with `dry_run` nothing but a look; tells each migration. */
MUST_CHECK enum hf_error pg_schema_migrate(PGconn *connection, bool dry_run,
                                           unsigned partition_bits, store_migration_each each,
                                           void *arg, char ret_why[PG_WHY_SIZE]);

/* Compares every table, column, index, trigger, view and function with what the migrations make:
 * they are applied to a scratch schema in a transaction that is rolled back. The role must be
 * allowed to make a schema. HF_E_INTERNAL names the first difference. */
MUST_CHECK enum hf_error pg_schema_check(PGconn *connection, char ret_why[PG_WHY_SIZE]);

#endif
