/* Preparing a map: what the options mean, and where the columns are. Prints to stderr. */
#include <stdarg.h>
#include <string.h>

#include "adapters/http/json_in.h"
#include "server/import_map.h"

static bool wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

static bool wrong(const char *format, ...)
{
  va_list list;
  fprintf(stderr, "holdfast import: ");
  va_start(list, format);
  vfprintf(stderr, format, list);
  va_end(list);
  fprintf(stderr, "\n");
  return false;
}

bool import_type_allowed(unsigned type)
{
  switch (type) {
  case LEDGER_T_EARN:
  case LEDGER_T_SETTLE:
  case LEDGER_T_MATURE:
  case LEDGER_T_GRANT:
  case LEDGER_T_DEPOSIT:
  case LEDGER_T_SPEND:
  case LEDGER_T_HOLD:
  case LEDGER_T_BLOCK:
  case LEDGER_T_TRANSFER:
  case LEDGER_T_ADJUST:
  case LEDGER_T_QUARANTINE_IN:
  case LEDGER_T_RELEASE:
    return true;
  default:
    return false;
  }
}

/* A copy that names are cut out of, one of the map's three. */
static char *copy_words(struct import_map *map, unsigned slot, const char *text)
{
  size_t size = strlen(text) + 1u;
  CHECK(slot < sizeof map->words / sizeof map->words[0] && map->words[slot] == NULL);
  map->words[slot] = memcpy(rt_alloc(size), text, size);
  return map->words[slot];
}

static bool read_op(const char *text, uint8_t *ret_type)
{
  unsigned type;
  if (!ledger_type_by_text(text, strlen(text), &type) || !import_type_allowed(type))
    return wrong("%s is no operation that a file can bring; see --help", text);
  *ret_type = (uint8_t)type;
  return true;
}

/* ---- types ----------------------------------------------------------------------------------- */

static bool read_type_map(struct import_map *map, const char *text)
{
  char *rest = copy_words(map, 0, text), *pair;
  while ((pair = strsep(&rest, ",")) != NULL) {
    char *equals = strrchr(pair, '=');
    if (equals == NULL)
      return wrong("--type-map is VALUE=OPERATION,...");
    if (map->types_count == IMPORT_TYPES_MAX)
      return wrong("--type-map has more than %u values", IMPORT_TYPES_MAX);
    *equals = '\0';
    struct import_type *type = &map->types[map->types_count++];
    type->value = pair;
    if (!read_op(equals + 1, &type->type))
      return false;
  }
  return true;
}

static bool has_type(const struct import_map *map, unsigned type)
{
  bool any = map->type == type;
  for (size_t i = 0; i < map->types_count; i++)
    any = any || map->types[i].type == type;
  return any;
}

static bool read_types(struct import_map *map)
{
  const struct import_options *options = map->options;
  if ((options->type == NULL) == (options->type_column == NULL))
    return wrong("one of --type and --type-column is needed");
  if (options->type != NULL && !read_op(options->type, &map->type))
    return false;
  map->type_column.name = options->type_column;
  if (options->type_map != NULL && options->type_column == NULL)
    return wrong("--type-map is for --type-column");
  if (options->type_map != NULL && !read_type_map(map, options->type_map))
    return false;
  if (has_type(map, LEDGER_T_ADJUST) && options->reason == NULL)
    return wrong("adjust needs --reason");
  if (has_type(map, LEDGER_T_TRANSFER) && options->to_user_column == NULL)
    return wrong("transfer needs --to-user-column");
  if (options->prefund == NULL)
    return true;
  if (!read_op(options->prefund, &map->prefund))
    return false;
  if (map->prefund != LEDGER_T_DEPOSIT && map->prefund != LEDGER_T_GRANT)
    return wrong("--prefund is deposit or grant");
  return true;
}

/* ---- texts ----------------------------------------------------------------------------------- */

static bool check_texts(const struct import_options *options)
{
  struct json_problem problem = {0};
  if (options->label != NULL) {
    struct json_in_text label = {options->label, strlen(options->label)};
    if (label.size > LEDGER_LABEL_MAX || !json_in_is_word(label, "._:-"))
      return wrong("--label is up to %u letters, digits and . _ : -", LEDGER_LABEL_MAX);
  }
  if (options->reason != NULL) {
    json_t *value = json_string(options->reason);
    if (value == NULL)
      return wrong("--reason is not UTF-8");
    (void)json_in_text(value, "reason", 1, HF_REASON_MAX, &problem);
    json_decref(value);
    if (problem.error != HF_OK)
      return wrong("--reason %s", problem.detail);
  }
  return true;
}

static bool read_formats(struct import_map *map)
{
  static const char *const times[] = {[IMPORT_RFC3339] = "rfc3339",
                                      [IMPORT_UNIX] = "unix",
                                      [IMPORT_YYMMDD] = "yymmdd",
                                      [IMPORT_YYYY_MM_DD] = "yyyy-mm-dd"};
  const struct import_options *options = map->options;
  const char *unit = options->amount_unit == NULL ? "decimal" : options->amount_unit;
  map->base_units = strcmp(unit, "base") == 0;
  if (!map->base_units && strcmp(unit, "decimal") != 0)
    return wrong("--amount-unit is decimal or base");
  if (options->effective_format == NULL)
    return true;
  for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
    if (strcmp(times[i], options->effective_format) == 0) {
      map->effective_format = (enum import_effective)i;
      return true;
    }
  return wrong("--effective-format is rfc3339, unix, yymmdd or yyyy-mm-dd");
}

/* "a{b}c{line}": each segment is a text and what stands in braces behind it. "{{" is a brace. */
static bool read_key(struct import_map *map, const char *template)
{
  char *at = copy_words(map, 1, template);
  while (*at != '\0') {
    if (map->key_count == IMPORT_KEY_SEGMENTS_MAX)
      return wrong("--key has more than %u parts", IMPORT_KEY_SEGMENTS_MAX);
    struct import_segment *segment = &map->key[map->key_count++];
    segment->text = at;
    segment->size = strcspn(at, "{");
    at += segment->size;
    if (*at == '\0')
      break;
    if (at[1] == '{') { /* the first of the two is the text's last character */
      segment->size++;
      at += 2;
      continue;
    }
    char *name = at + 1, *end = strchr(name, '}');
    if (end == NULL || end == name)
      return wrong("--key: {column} is not closed, or empty");
    *end = '\0';
    at = end + 1;
    segment->then = strcmp(name, "line") == 0   ? IMPORT_KEY_LINE
                    : strcmp(name, "file") == 0 ? IMPORT_KEY_FILE
                                                : IMPORT_KEY_COLUMN;
    segment->column.name = name;
  }
  return map->key_count > 0 || wrong("--key is empty");
}

static bool read_metadata(struct import_map *map, const char *list)
{
  char *rest = copy_words(map, 2, list), *name;
  while ((name = strsep(&rest, ",")) != NULL) {
    if (map->metadata_count == IMPORT_METADATA_COLUMNS_MAX)
      return wrong("--metadata-columns has more than %u", IMPORT_METADATA_COLUMNS_MAX);
    map->metadata[map->metadata_count++].name = name;
  }
  return true;
}

/* The file's name as part of keys: without folders, and of what a key may have. */
static void keep_file_name(struct import_map *map, const char *path)
{
  const char *slash = strrchr(path, '/');
  const char *name = slash == NULL ? path : slash + 1;
  if (strcmp(path, "-") == 0)
    name = "stdin";
  size_t size = 0;
  for (; name[size] != '\0' && size + 1u < sizeof map->file; size++)
    map->file[size] = name[size] > 0x20 && name[size] < 0x7f ? name[size] : '_';
  map->file[size] = '\0';
}

bool import_map_init(struct import_map *map, const struct import_options *options, const char *path,
                     unsigned scale, int64_t now_us)
{
  *map = (struct import_map){.options = options, .scale = scale, .now_us = now_us};
  CHECK(scale <= HF_SCALE_MAX);
  keep_file_name(map, path);
  map->users_only = options->users_only != NULL;
  map->truncate = options->truncate != NULL;
  if (options->user_column == NULL)
    return wrong("--user-column is needed");
  map->user.name = options->user_column;
  map->to_user.name = options->to_user_column;
  if (map->users_only)
    return true;
  if (options->amount_column == NULL)
    return wrong("--amount-column is needed");
  map->amount.name = options->amount_column;
  map->effective.name = options->effective_column;
  map->group.name = options->credits_first;
  return read_types(map) && check_texts(options) && read_formats(map) &&
         read_key(map, options->key == NULL ? "{file}:{line}" : options->key) &&
         (options->metadata_columns == NULL || read_metadata(map, options->metadata_columns));
}

void import_map_deinit(struct import_map *map)
{
  for (size_t i = 0; i < sizeof map->words / sizeof map->words[0]; i++)
    rt_free(map->words[i]);
  json_out_deinit(&map->text);
  *map = (struct import_map){0};
}

/* ---- columns --------------------------------------------------------------------------------- */

static bool bind(struct import_column *column, const struct import_source *source)
{
  if (column->name == NULL || source->format != IMPORT_CSV)
    return true;
  column->index = import_source_column(source, column->name);
  if (column->index < IMPORT_FIELDS_MAX)
    return true;
  fprintf(stderr, "holdfast import: the file has no column %s; it has", column->name);
  for (size_t i = 0; i < source->header_count; i++)
    fprintf(stderr, "%s %s", i == 0 ? "" : ",", source->header[i].at);
  fprintf(stderr, "\n");
  return false;
}

bool import_map_bind(struct import_map *map, const struct import_source *source)
{
  struct import_column *columns[] = {&map->user,        &map->to_user,   &map->amount,
                                     &map->type_column, &map->effective, &map->group};
  bool ok = true;
  for (size_t i = 0; ok && i < sizeof columns / sizeof columns[0]; i++)
    ok = bind(columns[i], source);
  for (size_t i = 0; ok && i < map->metadata_count; i++)
    ok = bind(&map->metadata[i], source);
  for (size_t i = 0; ok && i < map->key_count; i++)
    if (map->key[i].then == IMPORT_KEY_COLUMN)
      ok = bind(&map->key[i].column, source);
  return ok;
}
