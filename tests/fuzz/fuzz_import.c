/* fuzz_import.c - libFuzzer target: files to import, CSV and NDJSON, under a mapping.
 *
 * Input: flags that choose the mapping, a scale, then the file. Properties: every record becomes
 * one row or one reject with a detail; a row's texts, amount and time are what the API would
 * take; lines grow; a file that is read again gives the same rows. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapters/http/api_idempotency.h"
#include "server/import_feed.h"
#include "tests/fuzz/input.h"

#define NOW_US 1763700000000000

struct reading {
  struct import_source source;
  struct import_map map;
  struct import_feed feed;
  uint64_t rows, rejects;
  uint64_t line; /* of the newest row or reject, when lines come in order */
  bool ordered;
  struct hf_hasher hasher; /* over all rows */
};

static void on_reject(void *arg, const struct import_record *record, enum hf_error error,
                      const char *detail)
{
  struct reading *reading = arg;
  CHECK(error != HF_OK && detail[0] != '\0');
  CHECK(record->line > 0 && record->raw_size > 0);
  reading->rejects++;
}

static struct import_options options_of(uint8_t flags)
{
  struct import_options options = {
    .asset = "COIN", .user_column = "user", .amount_column = "amount", .reason = "import"};
  static const char *const formats[] = {"rfc3339", "unix", "yymmdd", "yyyy-mm-dd"};
  options.to_user_column = "to";
  if ((flags & 1u) != 0)
    options.type_column = "type";
  else
    options.type = (flags & 2u) != 0 ? "adjust" : "transfer";
  if ((flags & 4u) != 0)
    options.truncate = "";
  options.effective_column = "at";
  options.effective_format = formats[flags >> 3 & 3u];
  if ((flags & 32u) != 0)
    options.credits_first = "type";
  options.metadata_columns = "note";
  options.key = (flags & 2u) != 0 ? "{file}:{line}" : "k-{key}-{{x";
  return options;
}

static void check_row(const struct reading *reading, const struct import_row *row)
{
  CHECK(import_type_allowed(row->type));
  CHECK(row->amount != 0 && (row->amount > 0 || row->type == LEDGER_T_ADJUST));
  CHECK(row->effective_us >= 0 && row->effective_us <= NOW_US);
  CHECK(row->user[0] != '\0' && strlen(row->user) <= HF_EXTERNAL_ID_MAX);
  CHECK((row->type == LEDGER_T_TRANSFER) == (row->to_user != NULL));
  CHECK(api_idempotency_valid(row->key, strlen(row->key)));
  CHECK(row->line > 0 && row->raw != NULL && row->raw_size > 0);
  CHECK(row->metadata == NULL || json_object_size(row->metadata) == 1);
  CHECK(!reading->ordered || row->line > reading->line);
}

static void keep(struct reading *reading, const struct import_row *row)
{
  struct hf_hasher *hasher = &reading->hasher;
  hf_hasher_add(hasher, &row->line, sizeof row->line);
  hf_hasher_add(hasher, &row->amount, sizeof row->amount);
  hf_hasher_add(hasher, &row->effective_us, sizeof row->effective_us);
  hf_hasher_add(hasher, row->user, strlen(row->user) + 1u);
  hf_hasher_add(hasher, row->key, strlen(row->key) + 1u);
  hf_hasher_add(hasher, row->raw, row->raw_size);
  reading->line = row->line;
  reading->rows++;
}

static struct hf_hash read_all(struct reading *reading)
{
  hf_hasher_init(&reading->hasher);
  reading->rows = reading->rejects = reading->line = 0;
  import_feed_init(&reading->feed, &reading->source, &reading->map);
  reading->feed.reject = on_reject;
  reading->feed.arg = reading;
  for (;;) {
    struct import_row *row = import_feed_next(&reading->feed);
    if (row == NULL && reading->feed.ended)
      break;
    if (row == NULL)
      continue;
    check_row(reading, row);
    keep(reading, row);
    CHECK(row->number == reading->rows);
    import_row_free(row);
  }
  CHECK(reading->feed.lines == reading->rows + reading->rejects);
  import_feed_deinit(&reading->feed);
  return hf_hasher_end(&reading->hasher);
}

static void check_cut(const struct reading *reading)
{
  char text[IMPORT_CUT_TEXT_MAX];
  import_map_cut_text(&reading->map, text);
  CHECK(strspn(text, "-0123456789.") == strlen(text) && text[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static FILE *silence;
  struct input input = {data, size};
  uint8_t flags = input_u8(&input);
  unsigned scale = input_u8(&input) % (HF_SCALE_MAX + 1u);
  struct import_options options = options_of(flags);
  struct reading reading = {.ordered = (flags & 32u) == 0};
  char path[64], why[256] = "";
  int file = memfd_create("import", MFD_CLOEXEC);
  if (silence == NULL)
    silence = fopen("/dev/null", "we");
  FILE *loud = stderr;
  CHECK(file >= 0 && silence != NULL);
  CHECK(input.size == 0 || write(file, input.at, input.size) == (ssize_t)input.size);
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  CHECK(import_map_init(&reading.map, &options, "a folder/a file", scale, NOW_US));
  reading.map.keep_raw = true;
  enum import_format format = (flags & 64u) != 0 ? IMPORT_NDJSON : IMPORT_CSV;
  bool open = import_source_open(&reading.source, path, format, ',', why);
  CHECK(open || why[0] != '\0');
  stderr = silence;
  bool bound = open && import_map_bind(&reading.map, &reading.source);
  stderr = loud;
  if (bound) {
    struct hf_hash first = read_all(&reading);
    check_cut(&reading);
    CHECK(import_source_rewind(&reading.source));
    struct hf_hash second = read_all(&reading);
    CHECK(hf_hash_equal(&first, &second));
  }
  import_source_close(&reading.source);
  import_map_deinit(&reading.map);
  close(file);
  return 0;
}
