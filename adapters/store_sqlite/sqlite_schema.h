/* sqlite_schema.h - the tables, and how a database of an older program becomes one of this.
 *
 * Migrations are an ordered list of texts; each is applied in a transaction of its own, together
 * with what it makes of the rows that are there, and its SHA-256 is recorded in schema_migrations.
 * A text is never changed after a release: the next one is added instead. Writer connection only,
 * but for the check. */
#ifndef HOLDFAST_SQLITE_SCHEMA_H
#define HOLDFAST_SQLITE_SCHEMA_H

#include "adapters/store_sqlite/sqlite_db.h"

#define SQLITE_APPLICATION_ID 0x48464c44 /* "HFLD", in the file's header */
#define SQLITE_WHY_SIZE 256u

unsigned sqlite_schema_known(void);
/* Brings the database to the newest schema, or refuses: a foreign file, a checksum that differs, a
 * newer schema, an old one when `migrate` is false. `partition_bits` is used for a new database.
 * Sets db->partition_bits from the file. HF_OK, or an error and a text in ret_why. */
MUST_CHECK enum hf_error sqlite_schema_open(struct sqlite_db *db, bool migrate,
                                            unsigned partition_bits, char ret_why[SQLITE_WHY_SIZE]);
/* The recorded migrations are those of this program, the triggers are there, the pages are sound:
 * reads the whole file. */
MUST_CHECK enum hf_error sqlite_schema_check(struct sqlite_db *db, char ret_why[SQLITE_WHY_SIZE]);

#endif
