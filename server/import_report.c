/* The summary as a table for people and as one JSON object for programs. */
#include "server/import_report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "adapters/http/json_out.h"
#include "holdfast/rt.h"

bool import_report_open(struct import_report *report, const char *path)
{
  if (path == NULL)
    return true;
  report->rejects = fopen(path, "we");
  if (report->rejects == NULL) {
    fprintf(stderr, "holdfast import: cannot write %s: %s\n", path, strerror(errno));
    return false;
  }
  fprintf(report->rejects, "line,code,detail,text\n");
  return true;
}

bool import_report_close(struct import_report *report)
{
  bool ok = !report->rejects_failed;
  if (report->rejects != NULL && fclose(report->rejects) != 0)
    ok = false;
  report->rejects = NULL;
  return ok;
}

static void write_quoted(FILE *file, const char *text, size_t size)
{
  putc('"', file);
  for (size_t i = 0; i < size; i++) {
    if (text[i] == '"')
      putc('"', file);
    putc(text[i], file);
  }
  putc('"', file);
}

void import_report_reject(struct import_report *report, uint64_t line, enum hf_error error,
                          const char *detail, const char *raw, size_t raw_size)
{
  const struct hf_error_info *info = hf_error_info(error);
  const char *text = detail[0] != '\0' ? detail : info->title;
  report->errors[error]++;
  if (report->rejected++ < IMPORT_REJECTS_SHOWN)
    fprintf(stderr, "%s%s:%" PRIu64 ": %s: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "",
            report->path, line, info->code, text);
  if (report->rejects == NULL)
    return;
  fprintf(report->rejects, "%" PRIu64 ",%s,", line, info->code);
  write_quoted(report->rejects, text, strlen(text));
  putc(',', report->rejects);
  write_quoted(report->rejects, raw == NULL ? "" : raw, raw == NULL ? 0 : raw_size);
  if (putc('\n', report->rejects) == EOF)
    report->rejects_failed = true;
}

void import_report_done(struct import_report *report, unsigned type, bool prefund, hf_amount amount,
                        bool replayed)
{
  CHECK(type < LEDGER_TYPE_COUNT);
  struct import_count *count = prefund ? &report->prefund : &report->types[type];
  if (replayed)
    count->replayed++;
  else
    count->applied++;
  if (!hf_amount_add(count->sum, amount, &count->sum))
    report->overflow = true;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* "12,345" */
static const char *grouped(uint64_t number, char out[32])
{
  char digits[24];
  size_t size = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, number), to = 0;
  for (size_t i = 0; i < size; i++) {
    if (i > 0 && (size - i) % 3u == 0)
      out[to++] = ',';
    out[to++] = digits[i];
  }
  out[to] = '\0';
  return out;
}

static void print_number(const char *name, uint64_t number)
{
  char text[32];
  printf("  %-22s %14s\n", name, grouped(number, text));
}

static void print_count(const char *name, const struct import_count *count,
                        const struct import_summary *summary)
{
  char sum[HF_AMOUNT_TEXT_MAX], applied[32], replayed[32];
  if (count->applied + count->replayed == 0)
    return;
  hf_amount_format(count->sum, summary->scale, sum);
  printf("  %-22s %14s %14s   %s %s\n", name, grouped(count->applied, applied),
         grouped(count->replayed, replayed), sum, summary->asset);
}

static void total(const struct import_report *report, struct import_count *ret_total)
{
  *ret_total = report->prefund;
  for (unsigned i = 0; i < LEDGER_TYPE_COUNT; i++) {
    ret_total->applied += report->types[i].applied;
    ret_total->replayed += report->types[i].replayed;
  }
}

static void print_table(const struct import_report *report, const struct import_summary *summary,
                        double rate)
{
  char text[HF_AMOUNT_TEXT_MAX];
  printf("%s%s\n", report->path,
         summary->dry_run   ? " (dry run: nothing was written)"
         : summary->stopped ? " (stopped: run it again to go on)"
                            : "");
  print_number("lines", report->lines);
  print_number(summary->dry_run ? "users named" : "users created", report->users_created);
  if (!summary->dry_run)
    print_number("users found", report->users_found);
  if (summary->asset != NULL) {
    printf("  %-22s %14s %14s   %s\n", "operations", summary->dry_run ? "would be sent" : "applied",
           "already there", "amount");
    print_count("prefund", &report->prefund, summary);
    for (unsigned i = 0; i < LEDGER_TYPE_COUNT; i++)
      if (ledger_type_text(i) != NULL)
        print_count(ledger_type_text(i), &report->types[i], summary);
  }
  print_number("rejected", report->rejected);
  for (unsigned i = 0; i < HF_ERROR_COUNT; i++)
    if (report->errors[i] > 0) {
      char name[64];
      snprintf(name, sizeof name, "  %s", hf_error_info((enum hf_error)i)->code);
      print_number(name, report->errors[i]);
    }
  if (summary->cut_count > 0) {
    print_number("amounts truncated", summary->cut_count);
    printf("  %-22s %14s %s\n", "  cut off in all", summary->cut_text, summary->asset);
  }
  if (summary->dry_run && summary->asset != NULL) {
    print_number("users ever short", summary->short_users);
    hf_amount_format(summary->short_sum, summary->scale, text);
    printf("  %-22s %14s %s\n", "  short of in all", text, summary->asset);
  }
  if (report->retries > 0)
    print_number("sent again", report->retries);
  if (report->disordered > 0)
    print_number("out of order", report->disordered);
  printf("  %-22s %14.2f\n", "seconds", summary->seconds);
  if (summary->asset != NULL && !summary->dry_run) {
    char applied[32];
    printf("  %-22s %14s\n", "operations per second", grouped((uint64_t)rate, applied));
  }
  if (report->overflow)
    printf("  a sum of amounts left the 128-bit range: it is not what is shown\n");
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void write_unsigned(struct json_out *out, const char *key, uint64_t value)
{
  json_out_key_text(out, key, strlen(key));
  json_out_unsigned(out, value);
}

static void write_count(struct json_out *out, const char *name, const struct import_count *count,
                        unsigned scale)
{
  if (count->applied + count->replayed == 0)
    return;
  json_out_key_text(out, name, strlen(name));
  json_out_begin_object(out);
  write_unsigned(out, "applied", count->applied);
  write_unsigned(out, "replayed", count->replayed);
  json_out_key(out, "amount");
  json_out_amount(out, count->sum, scale);
  json_out_end_object(out);
}

static void write_milliseconds(struct json_out *out, const char *key, double value)
{
  char text[32];
  int size = snprintf(text, sizeof text, "%.3f", value);
  json_out_key_text(out, key, strlen(key));
  json_out_raw(out, text, (size_t)size);
}

static void print_json(const struct import_report *report, const struct import_summary *summary,
                       const struct import_count *all, double rate)
{
  struct json_out out = {0};
  json_out_begin_object(&out);
  json_out_key(&out, "file");
  json_out_string(&out, report->path);
  json_out_key(&out, "dry_run");
  json_out_bool(&out, summary->dry_run);
  json_out_key(&out, "stopped");
  json_out_bool(&out, summary->stopped);
  write_unsigned(&out, "lines", report->lines);
  write_unsigned(&out, summary->dry_run ? "users_named" : "users_created", report->users_created);
  write_unsigned(&out, "users_found", report->users_found);
  write_unsigned(&out, "applied", all->applied);
  write_unsigned(&out, "replayed", all->replayed);
  write_unsigned(&out, "rejected", report->rejected);
  json_out_key(&out, "rejected_by_code");
  json_out_begin_object(&out);
  for (unsigned i = 0; i < HF_ERROR_COUNT; i++)
    if (report->errors[i] > 0)
      write_unsigned(&out, hf_error_info((enum hf_error)i)->code, report->errors[i]);
  json_out_end_object(&out);
  json_out_key(&out, "types");
  json_out_begin_object(&out);
  write_count(&out, "prefund", &report->prefund, summary->scale);
  for (unsigned i = 0; i < LEDGER_TYPE_COUNT; i++)
    if (ledger_type_text(i) != NULL)
      write_count(&out, ledger_type_text(i), &report->types[i], summary->scale);
  json_out_end_object(&out);
  write_unsigned(&out, "truncated", summary->cut_count);
  json_out_key(&out, "truncated_amount");
  json_out_string(&out, summary->cut_text);
  if (summary->dry_run) {
    write_unsigned(&out, "users_short", summary->short_users);
    json_out_key(&out, "short_amount");
    json_out_amount(&out, summary->short_sum, summary->scale);
  }
  write_unsigned(&out, "retries", report->retries);
  write_unsigned(&out, "out_of_order", report->disordered);
  json_out_key(&out, "sums_overflowed");
  json_out_bool(&out, report->overflow);
  write_milliseconds(&out, "seconds", summary->seconds);
  write_milliseconds(&out, "ops_per_second", rate);
  json_out_end_object(&out);
  printf("%.*s\n", (int)out.size, out.at);
  json_out_deinit(&out);
}

void import_report_print(const struct import_report *report, const struct import_summary *summary)
{
  struct import_count all;
  total(report, &all);
  double ops = (double)(all.applied + all.replayed);
  double rate = summary->seconds > 0 ? ops / summary->seconds : 0;
  if (report->json)
    print_json(report, summary, &all, rate);
  else
    print_table(report, summary, rate);
}
