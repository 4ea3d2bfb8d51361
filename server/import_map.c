/* Cells to rows. Every cell is checked here, so that users are made for good lines only. */
#include "server/import_map.h"

#include <string.h>

#include "adapters/http/json_in.h"
#include "holdfast/time_text.h"

void import_row_free(struct import_row *row)
{
  if (row == NULL)
    return;
  json_decref(row->metadata);
  rt_free(row);
}

int import_type_effect(unsigned type)
{
  switch (type) {
  case LEDGER_T_GRANT:
  case LEDGER_T_DEPOSIT:
  case LEDGER_T_MATURE:
  case LEDGER_T_ADJUST:
    return 1;
  case LEDGER_T_SPEND:
  case LEDGER_T_HOLD:
  case LEDGER_T_BLOCK:
  case LEDGER_T_TRANSFER:
    return -1;
  default:
    return 0;
  }
}

static bool takes_from_nothing(unsigned type, hf_amount amount)
{
  return type == LEDGER_T_GRANT || type == LEDGER_T_DEPOSIT || type == LEDGER_T_EARN ||
         type == LEDGER_T_QUARANTINE_IN || (type == LEDGER_T_ADJUST && amount > 0);
}

/* ---- cells ----------------------------------------------------------------------------------- */

static const json_t *member(const struct import_record *record, const struct import_column *column)
{
  return json_object_get(record->object, column->name);
}

/* The cell as text: "" when it is missing, at == NULL when it is none (a fraction, a list ...). */
static struct import_text cell(const struct import_record *record,
                               const struct import_column *column, char scratch[IMPORT_NUMBER_MAX])
{
  if (column->name == NULL)
    return (struct import_text){"", 0};
  if (record->object == NULL)
    return record->fields[column->index];
  const json_t *value = member(record, column);
  if (value == NULL || json_is_null(value))
    return (struct import_text){"", 0};
  if (json_is_string(value))
    return (struct import_text){json_string_value(value), json_string_length(value)};
  if (json_is_integer(value)) {
    int size = snprintf(scratch, IMPORT_NUMBER_MAX, "%lld", (long long)json_integer_value(value));
    return (struct import_text){scratch, (size_t)size};
  }
  if (json_is_boolean(value))
    return json_is_true(value) ? (struct import_text){"true", 4} : (struct import_text){"false", 5};
  return (struct import_text){NULL, 0};
}

struct import_text import_map_group(const struct import_map *map,
                                    const struct import_record *record,
                                    char scratch[IMPORT_NUMBER_MAX])
{
  if (record->error != HF_OK)
    return (struct import_text){NULL, 0};
  return cell(record, &map->group, scratch);
}

static enum hf_error say(char detail[IMPORT_DETAIL_MAX], enum hf_error error, const char *name,
                         const char *text)
{
  snprintf(detail, IMPORT_DETAIL_MAX, "%.64s: %.120s", name, text);
  return error;
}

static enum hf_error check_user(const char *name, struct import_text text, char *detail)
{
  struct json_problem problem = {0};
  if (text.at == NULL)
    return say(detail, HF_E_INVALID_FIELD, name, "must be a string");
  if (text.size == 0)
    return say(detail, HF_E_MISSING_FIELD, name, "is empty");
  json_t *value = json_stringn(text.at, text.size);
  if (value == NULL)
    return say(detail, HF_E_INVALID_FIELD, name, "is not UTF-8");
  (void)json_in_text(value, name, 1, HF_EXTERNAL_ID_MAX, &problem);
  json_decref(value);
  return problem.error == HF_OK ? HF_OK : say(detail, problem.error, name, problem.detail);
}

static enum hf_error read_type(const struct import_map *map, const struct import_record *record,
                               uint8_t *ret_type, char *detail)
{
  char scratch[IMPORT_NUMBER_MAX];
  unsigned type;
  *ret_type = map->type;
  if (map->type != 0)
    return HF_OK;
  struct import_text text = cell(record, &map->type_column, scratch);
  for (size_t i = 0; text.at != NULL && i < map->types_count; i++)
    if (strcmp(map->types[i].value, text.at) == 0) {
      *ret_type = map->types[i].type;
      return HF_OK;
    }
  if (map->types_count == 0 && text.at != NULL && ledger_type_by_text(text.at, text.size, &type) &&
      import_type_allowed(type)) {
    *ret_type = (uint8_t)type;
    return HF_OK;
  }
  snprintf(detail, IMPORT_DETAIL_MAX, "%s: \"%.64s\" is no operation", map->type_column.name,
           text.at == NULL ? "" : text.at);
  return HF_E_INVALID_FIELD;
}

/* ---- amounts --------------------------------------------------------------------------------- */

/* Adds what was cut off; a sum that cannot be kept exactly stops growing. */
static void count_cut(struct import_map *map, struct hf_decimal whole, struct hf_decimal kept)
{
  hf_amount rest = kept.digits;
  for (unsigned i = kept.scale; i < whole.scale; i++)
    rest *= 10; /* at the most whole.digits again */
  rest = whole.digits - rest;
  bool fits = true;
  for (unsigned i = whole.scale; fits && i < 38u; i++)
    fits = !__builtin_mul_overflow(rest, (hf_amount)10, &rest);
  map->cut_count++;
  if (fits)
    (void)hf_amount_add(map->cut_sum, rest, &map->cut_sum);
}

static enum hf_error read_amount(struct import_map *map, const struct import_record *record,
                                 unsigned type, hf_amount *ret_amount, char *detail)
{
  char scratch[IMPORT_NUMBER_MAX];
  const char *name = map->amount.name;
  struct hf_decimal decimal;
  struct import_text text = cell(record, &map->amount, scratch);
  if (text.at == NULL)
    return say(detail, HF_E_INVALID_AMOUNT, name, "must be a string or an integer");
  if (hf_decimal_parse(text.at, text.size, true, &decimal) != HF_OK)
    return say(detail, HF_E_INVALID_AMOUNT, name,
               "not a plain decimal number of at most 38 digits");
  unsigned scale = map->base_units ? 0 : map->scale;
  if (decimal.scale > scale && map->truncate && !map->base_units) {
    struct hf_decimal whole = decimal;
    if (hf_decimal_truncate(&decimal, scale))
      count_cut(map, whole, decimal);
  }
  if (decimal.scale > scale) {
    snprintf(detail, IMPORT_DETAIL_MAX, "%s: %u digits behind the point; %s %u", name,
             (unsigned)decimal.scale, map->base_units ? "base units have" : "the asset has", scale);
    return HF_E_INVALID_AMOUNT;
  }
  if (decimal.digits == 0)
    return say(detail, HF_E_INVALID_AMOUNT, name, "must not be zero");
  if (decimal.digits < 0 && type != LEDGER_T_ADJUST)
    return say(detail, HF_E_INVALID_AMOUNT, name, "must be above zero");
  if (hf_decimal_to_amount(decimal, scale, ret_amount) != HF_OK)
    return say(detail, HF_E_INVALID_AMOUNT, name, "is too large");
  return HF_OK;
}

void import_map_cut_text(const struct import_map *map, char out[IMPORT_CUT_TEXT_MAX])
{
  static const hf_amount low_unit = (hf_amount)10000000000 * 10000000000; /* 10^20 */
  char high[HF_AMOUNT_TEXT_MAX];
  hf_amount low = map->cut_sum % low_unit;
  hf_amount_format(map->cut_sum / low_unit, 18, high);
  if (low < 0)
    low = -low;
  int size =
    snprintf(out, IMPORT_CUT_TEXT_MAX, "%s%010llu%010llu", high,
             (unsigned long long)(low / 10000000000), (unsigned long long)(low % 10000000000));
  while (size > 0 && out[size - 1] == '0')
    out[--size] = '\0';
  if (size > 0 && out[size - 1] == '.')
    out[--size] = '\0';
}

/* ---- times ----------------------------------------------------------------------------------- */

static bool digits(const char *at, size_t size, int64_t *ret_number)
{
  int64_t number = 0;
  if (size == 0 || size > 12u)
    return false;
  for (size_t i = 0; i < size; i++) {
    if (at[i] < '0' || at[i] > '9')
      return false;
    number = number * 10 + (at[i] - '0');
  }
  *ret_number = number;
  return true;
}

/* Seconds since 1970, with up to 9 digits behind a point. */
static bool unix_time(struct import_text text, int64_t *ret_us)
{
  const char *point = memchr(text.at, '.', text.size);
  size_t whole = point == NULL ? text.size : (size_t)(point - text.at);
  int64_t seconds, us = 0;
  if (!digits(text.at, whole, &seconds))
    return false;
  if (point != NULL) {
    size_t size = text.size - whole - 1u;
    int64_t fraction;
    if (size > 9u || !digits(point + 1, size, &fraction))
      return false;
    for (size_t i = size; i < 9u; i++)
      fraction *= 10;
    us = fraction / 1000;
  }
  *ret_us = seconds * 1000000 + us;
  return true;
}

static bool date_time(enum import_effective format, struct import_text text, int64_t *ret_us)
{
  int64_t year, month, day;
  if (format == IMPORT_YYMMDD) {
    if (text.size != 6 || !digits(text.at, 2, &year) || !digits(text.at + 2, 2, &month) ||
        !digits(text.at + 4, 2, &day))
      return false;
    year += year >= 70 ? 1900 : 2000; /* no ledger of this kind is older than unix */
  } else if (text.size != 10 || text.at[4] != '-' || text.at[7] != '-' ||
             !digits(text.at, 4, &year) || !digits(text.at + 5, 2, &month) ||
             !digits(text.at + 8, 2, &day)) {
    return false;
  }
  return hf_time_from_date((int)year, (int)month, (int)day, ret_us);
}

static enum hf_error read_effective(const struct import_map *map,
                                    const struct import_record *record, int64_t *ret_us,
                                    char *detail)
{
  char scratch[IMPORT_NUMBER_MAX];
  bool ok = false;
  *ret_us = 0;
  struct import_text text = cell(record, &map->effective, scratch);
  if (text.size == 0 && text.at != NULL)
    return HF_OK;
  if (text.at != NULL && map->effective_format == IMPORT_RFC3339)
    ok = hf_time_parse(text.at, text.size, ret_us) == HF_OK;
  else if (text.at != NULL && map->effective_format == IMPORT_UNIX)
    ok = unix_time(text, ret_us);
  else if (text.at != NULL)
    ok = date_time(map->effective_format, text, ret_us);
  if (!ok)
    return say(detail, HF_E_INVALID_TIME, map->effective.name, "is not of --effective-format");
  if (*ret_us <= 0 || *ret_us > map->now_us)
    return say(detail, HF_E_INVALID_TIME, map->effective.name,
               "must be after 1970-01-01T00:00:00Z and not in the future");
  return HF_OK;
}

/* ---- keys and metadata ----------------------------------------------------------------------- */

static bool append(char *out, size_t *size, const char *text, size_t text_size)
{
  if (text == NULL || text_size > IMPORT_KEY_MAX - *size)
    return false;
  memcpy(out + *size, text, text_size);
  *size += text_size;
  return true;
}

static enum hf_error make_key(const struct import_map *map, const struct import_record *record,
                              char key[IMPORT_KEY_MAX + 1], char *detail)
{
  char scratch[IMPORT_NUMBER_MAX];
  size_t size = 0;
  bool ok = true;
  for (size_t i = 0; ok && i < map->key_count; i++) {
    const struct import_segment *segment = &map->key[i];
    struct import_text text = {"", 0};
    if (segment->then == IMPORT_KEY_LINE)
      text = (struct import_text){scratch, (size_t)snprintf(scratch, sizeof scratch, "%llu",
                                                            (unsigned long long)record->line)};
    else if (segment->then == IMPORT_KEY_FILE)
      text = (struct import_text){map->file, strlen(map->file)};
    else if (segment->then == IMPORT_KEY_COLUMN)
      text = cell(record, &segment->column, scratch);
    ok = append(key, &size, segment->text, segment->size) && append(key, &size, text.at, text.size);
  }
  key[size] = '\0';
  for (size_t i = 0; ok && i < size; i++)
    ok = key[i] > 0x20 && key[i] < 0x7f;
  if (ok && size > 0)
    return HF_OK;
  return say(detail, HF_E_INVALID_KEY, "key", "must be 1 to 255 visible ASCII characters");
}

/* An object of the columns that are not empty; NULL when all are. */
static enum hf_error make_metadata(struct import_map *map, const struct import_record *record,
                                   json_t **ret_metadata, char *detail)
{
  *ret_metadata = NULL;
  json_t *object = NULL;
  for (size_t i = 0; i < map->metadata_count; i++) {
    const struct import_column *column = &map->metadata[i];
    json_t *value = NULL;
    if (record->object != NULL) {
      value = json_incref(json_object_get(record->object, column->name));
    } else if (record->fields[column->index].size > 0) {
      struct import_text text = record->fields[column->index];
      value = json_stringn(text.at, text.size);
      if (value == NULL) {
        json_decref(object);
        return say(detail, HF_E_INVALID_FIELD, column->name, "is not UTF-8");
      }
    }
    if (value == NULL)
      continue;
    if (object == NULL)
      object = json_object();
    json_object_set_new(object, column->name, value);
  }
  if (object != NULL) {
    json_out_clear(&map->text);
    json_out_value(&map->text, object);
    if (map->text.size > IMPORT_METADATA_MAX) {
      json_decref(object);
      return say(detail, HF_E_INVALID_FIELD, "metadata", "larger than 4096 bytes");
    }
  }
  *ret_metadata = object;
  return HF_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static char *put(char **at, struct import_text text)
{
  char *start = *at;
  memcpy(start, text.at, text.size);
  start[text.size] = '\0';
  *at += text.size + 1u;
  return start;
}

static struct import_row *row_new(struct import_text user, struct import_text to_user,
                                  const char *key, struct import_text raw)
{
  struct import_text key_text = {key, strlen(key)};
  size_t size = user.size + to_user.size + key_text.size + raw.size + 4u;
  struct import_row *row = rt_alloc(sizeof *row + size);
  char *at = (char *)(row + 1);
  row->user = put(&at, user);
  if (to_user.size > 0)
    row->to_user = put(&at, to_user);
  row->key = put(&at, key_text);
  if (raw.at != NULL) {
    row->raw = put(&at, raw);
    row->raw_size = raw.size;
  }
  return row;
}

struct import_row *import_map_prefund(const struct import_map *map, const char *user,
                                      hf_amount amount)
{
  char text[IMPORT_KEY_MAX + 64u], hex[2u * HF_DIGEST_SIZE + 1u];
  struct import_text none = {NULL, 0}, empty = {"", 0};
  size_t size = (size_t)snprintf(text, sizeof text, "prefund:%s:%s", map->file, user);
  bool plain = size <= IMPORT_KEY_MAX;
  for (size_t i = 0; plain && i < size; i++)
    plain = text[i] > 0x20 && text[i] < 0x7f;
  if (!plain) { /* the external id is not what a key may have */
    struct hf_digest digest = hf_digest(user, strlen(user));
    hf_hex(digest.bytes, sizeof digest.bytes, hex);
    snprintf(text, sizeof text, "prefund:%s:sha256:%s", map->file, hex);
  }
  struct import_row *row = row_new((struct import_text){user, strlen(user)}, empty, text, none);
  row->type = map->prefund;
  row->credit = true;
  row->amount = amount;
  return row;
}

/* The users of a row; of a transfer only, unless users are all that is wanted, the payee. */
static enum hf_error read_users(const struct import_map *map, const struct import_record *record,
                                unsigned type, struct import_text users[2],
                                char scratch[2][IMPORT_NUMBER_MAX], char *detail)
{
  users[0] = cell(record, &map->user, scratch[0]);
  users[1] = (struct import_text){"", 0};
  enum hf_error error = check_user(map->user.name, users[0], detail);
  if (error != HF_OK || (type != LEDGER_T_TRANSFER && !map->users_only))
    return error;
  if (map->to_user.name == NULL)
    return map->users_only ? HF_OK
                           : say(detail, HF_E_MISSING_FIELD, "transfer", "needs --to-user-column");
  users[1] = cell(record, &map->to_user, scratch[1]);
  return check_user(map->to_user.name, users[1], detail);
}

enum hf_error import_map_row(struct import_map *map, const struct import_record *record,
                             struct import_row **ret_row, char ret_detail[IMPORT_DETAIL_MAX])
{
  char key[IMPORT_KEY_MAX + 1] = "", scratch[2][IMPORT_NUMBER_MAX];
  struct import_text users[2], raw = {NULL, 0};
  uint8_t type = 0;
  hf_amount amount = 0;
  int64_t effective_us = 0;
  json_t *metadata = NULL;
  enum hf_error error = record->error;
  if (error != HF_OK) {
    snprintf(ret_detail, IMPORT_DETAIL_MAX, "%s", record->detail);
    return error;
  }
  if (!map->users_only)
    error = read_type(map, record, &type, ret_detail);
  if (error == HF_OK)
    error = read_users(map, record, type, users, scratch, ret_detail);
  if (error == HF_OK && !map->users_only) {
    error = make_key(map, record, key, ret_detail);
    if (error == HF_OK)
      error = read_effective(map, record, &effective_us, ret_detail);
    if (error == HF_OK)
      error = make_metadata(map, record, &metadata, ret_detail);
    if (error == HF_OK)
      error = read_amount(map, record, type, &amount, ret_detail);
  }
  if (error != HF_OK) {
    json_decref(metadata);
    return error;
  }
  if (map->keep_raw)
    raw = (struct import_text){record->raw, record->raw_size};
  struct import_row *row = row_new(users[0], users[1], key, raw);
  row->line = record->line;
  row->type = type;
  row->amount = amount;
  row->credit = map->users_only || takes_from_nothing(type, amount);
  row->effective_us = effective_us;
  row->metadata = metadata;
  *ret_row = row;
  return HF_OK;
}
