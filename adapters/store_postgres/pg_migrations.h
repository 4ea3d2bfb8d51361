/* pg_migrations.h - the texts of the schema, in order. A text is never changed after a release: the
 * next one is added instead. Only additive: a table, a column with a default, an index, a view.
 *
 * {bits} and {mask} stand for the database's partition bits and 2^bits - 1; checksums are of the
 * texts as they stand here. Every primary and unique key of a table that holds users' data begins
 * with `partition`, which is the low bits of every id: the one column to distribute by. Amounts of
 * rows that commits write are bytea of 16 bytes, big-endian with the sign bit turned over, so that
 * they sort as numbers; hf_amount() makes a numeric of one. Projections, which nobody waits for,
 * are numeric. */
#ifndef HOLDFAST_PG_MIGRATIONS_H
#define HOLDFAST_PG_MIGRATIONS_H

struct pg_migration {
  const char *title;
  const char *texts[8]; /* until NULL; together they are the migration */
};
extern const struct pg_migration pg_migrations[];
extern const unsigned pg_migrations_count;

/* Names that a database without our `meta` must not have. user_earnings may be there: an older
 * product's table of that name is completed. */
extern const char *const pg_table_names[];
extern const unsigned pg_table_names_count;

#endif
