/* Cells are set in any order and written in the order of the chosen columns. */
#include "server/export_table.h"

#include <inttypes.h>
#include <string.h>

#include "holdfast/hash.h"
#include "holdfast/time_text.h"

static bool choose(struct export_table *table, const char *columns)
{
  while (*columns != '\0') {
    size_t size = strcspn(columns, ","), i = 0;
    while (i < table->names_count &&
           (strlen(table->names[i]) != size || memcmp(table->names[i], columns, size) != 0))
      i++;
    if (i == table->names_count || table->chosen_count == EXPORT_COLUMNS_MAX) {
      fprintf(stderr, "holdfast export: no column %.*s; there are", (int)size, columns);
      for (i = 0; i < table->names_count; i++)
        fprintf(stderr, "%s %s", i == 0 ? "" : ",", table->names[i]);
      fprintf(stderr, "\n");
      return false;
    }
    table->chosen[table->chosen_count++] = i;
    columns += size + (columns[size] == ',');
  }
  return table->chosen_count > 0;
}

bool export_table_init(struct export_table *table, FILE *file, bool json, const char *const *names,
                       size_t names_count, const char *columns)
{
  CHECK(names_count <= EXPORT_COLUMNS_MAX);
  *table =
    (struct export_table){.file = file, .json = json, .names = names, .names_count = names_count};
  if (columns != NULL)
    return choose(table, columns);
  for (size_t i = 0; i < names_count; i++)
    table->chosen[table->chosen_count++] = i;
  return true;
}

void export_table_deinit(struct export_table *table)
{
  json_out_deinit(&table->out);
}

static void set(struct export_table *table, size_t column, enum export_kind kind, const char *at,
                size_t size)
{
  CHECK(column < table->names_count);
  table->cells[column] = (struct export_cell){kind, at, size};
}

void export_text(struct export_table *table, size_t column, const char *at, size_t size)
{
  set(table, column, at == NULL ? EXPORT_NULL : EXPORT_TEXT, at, size);
}

void export_string(struct export_table *table, size_t column, const char *text)
{
  export_text(table, column, text, text == NULL ? 0 : strlen(text));
}

void export_bare(struct export_table *table, size_t column, const char *json, size_t size)
{
  set(table, column, json == NULL ? EXPORT_NULL : EXPORT_BARE, json, size);
}

void export_number(struct export_table *table, size_t column, uint64_t number)
{
  char *room = table->room[column];
  int size = snprintf(room, sizeof table->room[column], "%" PRIu64, number);
  set(table, column, EXPORT_BARE, room, (size_t)size);
}

void export_id(struct export_table *table, size_t column, hf_id id)
{
  char *room = table->room[column];
  size_t size = id == 0 ? 0 : hf_id_format(id, room);
  set(table, column, id == 0 ? EXPORT_NULL : EXPORT_TEXT, room, size);
}

void export_amount(struct export_table *table, size_t column, hf_amount amount, unsigned scale)
{
  char *room = table->room[column];
  set(table, column, EXPORT_TEXT, room, hf_amount_format(amount, scale, room));
}

void export_time(struct export_table *table, size_t column, int64_t unix_us)
{
  char *room = table->room[column];
  size_t size = unix_us == 0 ? 0 : hf_time_format(unix_us, room);
  set(table, column, unix_us == 0 ? EXPORT_NULL : EXPORT_TEXT, room, size);
}

void export_hex(struct export_table *table, size_t column, const void *data, size_t size)
{
  char *room = table->room[column];
  CHECK(2u * size < sizeof table->room[column]);
  hf_hex(data, size, room);
  set(table, column, EXPORT_TEXT, room, 2u * size);
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool needs_quotes(const char *at, size_t size)
{
  for (size_t i = 0; i < size; i++)
    if (at[i] == '"' || at[i] == ',' || at[i] == '\n' || at[i] == '\r')
      return true;
  return false;
}

static void write_field(FILE *file, const char *at, size_t size)
{
  if (!needs_quotes(at, size)) {
    fwrite(at, 1, size, file);
    return;
  }
  putc('"', file);
  for (size_t i = 0; i < size; i++) {
    if (at[i] == '"')
      putc('"', file);
    putc(at[i], file);
  }
  putc('"', file);
}

void export_table_header(struct export_table *table)
{
  if (table->json)
    return;
  for (size_t i = 0; i < table->chosen_count; i++)
    fprintf(table->file, "%s%s", i == 0 ? "" : ",", table->names[table->chosen[i]]);
  putc('\n', table->file);
}

static void write_json(struct export_table *table)
{
  struct json_out *out = &table->out;
  json_out_clear(out);
  json_out_begin_object(out);
  for (size_t i = 0; i < table->chosen_count; i++) {
    const char *name = table->names[table->chosen[i]];
    const struct export_cell *cell = &table->cells[table->chosen[i]];
    json_out_key_text(out, name, strlen(name));
    if (cell->kind == EXPORT_NULL)
      json_out_null(out);
    else if (cell->kind == EXPORT_TEXT)
      json_out_text(out, cell->at, cell->size);
    else
      json_out_raw(out, cell->at, cell->size);
  }
  json_out_end_object(out);
  fwrite(out->at, 1, out->size, table->file);
}

bool export_row(struct export_table *table)
{
  if (table->json) {
    write_json(table);
  } else {
    for (size_t i = 0; i < table->chosen_count; i++) {
      const struct export_cell *cell = &table->cells[table->chosen[i]];
      if (i > 0)
        putc(',', table->file);
      if (cell->kind != EXPORT_NULL)
        write_field(table->file, cell->at, cell->size);
    }
  }
  memset(table->cells, 0, sizeof table->cells);
  table->rows++;
  return putc('\n', table->file) != EOF;
}
