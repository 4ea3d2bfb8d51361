/* selfcheck: may this machine keep what is acknowledged here?
 *
 * Each check prints a line, or an object of --json: ok; warning, which an operator should look at;
 * or WRONG, which makes the exit code 1. What is measured is measured where the data lies. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/hash.h"
#include "server/cli.h"

#define SYNCS 31u /* an odd number has a median */
#define SYNC_SIZE 8192u
#define SYNC_SLOW_US 20000u         /* a commit waits for one: the p99 that users notice */
#define DISK_LOW_MIB 1024u          /* below it: a warning */
#define DESCRIPTORS_SPARE 256u      /* what the server opens beside its clients' connections */
#define CLOCK_EARLIEST_S 1735689600 /* 2025-01-01: this program is younger than that */

enum verdict { CHECK_OK, CHECK_WARNING, CHECK_WRONG };

struct report {
  bool json, wrong;
  unsigned count;
};

static void tell(struct report *report, const char *name, enum verdict verdict, const char *detail)
{
  static const char *const texts[] = {
    [CHECK_OK] = "ok", [CHECK_WARNING] = "warning", [CHECK_WRONG] = "WRONG"};
  report->wrong = report->wrong || verdict == CHECK_WRONG;
  if (report->json) {
    printf("%s{\"check\":\"%s\",\"verdict\":\"%s\",\"detail\":\"", report->count > 0 ? "," : "",
           name, verdict == CHECK_WRONG ? "wrong" : texts[verdict]);
    for (const char *at = detail; *at != '\0'; at++) /* texts of ours and of the database */
      printf(*at == '"' || *at == '\\' ? "\\%c" : "%c", (unsigned char)*at < 0x20 ? ' ' : *at);
    printf("\"}");
  } else {
    printf("%-12s %-8s %s\n", name, texts[verdict], detail);
  }
  report->count++;
}

/* The hash of this machine gives what the formats say. */
static void check_hash(struct report *report)
{
  static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  char hex[2u * HF_HASH_SIZE + 1u];
  struct hf_hash hash = hf_sha256("abc", 3);
  hf_hex(hash.bytes, sizeof hash.bytes, hex);
  bool is_right = strcmp(hex, abc) == 0; /* FIPS 180-4, appendix B.1 */
  tell(report, "sha-256", is_right ? CHECK_OK : CHECK_WRONG,
       is_right ? "as FIPS 180-4 has it" : "another hash than FIPS 180-4 has");
}

static void check_clock(struct report *report)
{
  struct timespec now;
  char text[64] = "";
  struct tm utc;
  bool is_there = clock_gettime(CLOCK_REALTIME, &now) == 0 && gmtime_r(&now.tv_sec, &utc) != NULL;
  if (is_there)
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  bool is_plausible = is_there && now.tv_sec >= CLOCK_EARLIEST_S;
  tell(report, "clock", is_plausible ? CHECK_OK : CHECK_WARNING, text);
}

static void check_descriptors(struct report *report, uint64_t connections)
{
  struct rlimit limit;
  char text[128];
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    tell(report, "descriptors", CHECK_WARNING, strerror(errno));
    return;
  }
  bool is_enough = limit.rlim_max >= connections + DESCRIPTORS_SPARE;
  snprintf(text, sizeof text, "%llu may be open; --connections %llu and %u of its own need them",
           (unsigned long long)limit.rlim_max, (unsigned long long)connections, DESCRIPTORS_SPARE);
  tell(report, "descriptors", is_enough ? CHECK_OK : CHECK_WARNING, text);
}

static void check_disk(struct report *report, const char *folder)
{
  struct statvfs disk;
  char text[128];
  if (statvfs(folder, &disk) != 0) {
    tell(report, "disk", CHECK_WARNING, strerror(errno));
    return;
  }
  uint64_t free_mib = (uint64_t)disk.f_bavail * disk.f_frsize >> 20;
  snprintf(text, sizeof text, "%llu MiB free in the data folder%s", (unsigned long long)free_mib,
           free_mib < DISK_LOW_MIB ? ": when none is left, requests get 503" : "");
  tell(report, "disk", free_mib < DISK_LOW_MIB ? CHECK_WARNING : CHECK_OK, text);
}

static int by_value(const void *a, const void *b)
{
  const uint64_t *left = a, *right = b;
  return *left < *right ? -1 : *left > *right;
}

/* Microseconds of each append made durable, sorted. False: errno says why not. */
static bool measure_syncs(const char *folder, uint64_t ret_us[SYNCS])
{
  static const uint8_t block[SYNC_SIZE] = {1};
  char path[4096];
  bool ok = true;
  snprintf(path, sizeof path, "%s/selfcheck-XXXXXX", folder);
  int file = mkstemp(path);
  if (file < 0)
    return false;
  for (unsigned i = 0; i < SYNCS && ok; i++) {
    struct timespec begin, end;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    ok = write(file, block, sizeof block) == (ssize_t)sizeof block && fdatasync(file) == 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    ret_us[i] =
      (uint64_t)((end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000);
  }
  const int error = errno;
  (void)unlink(path);
  (void)close(file);
  errno = error;
  qsort(ret_us, SYNCS, sizeof ret_us[0], by_value);
  return ok;
}

static void check_sync(struct report *report, const char *folder)
{
  uint64_t us[SYNCS] = {0};
  char text[128];
  if (!measure_syncs(folder, us)) {
    snprintf(text, sizeof text, "the data folder takes no file: %s", strerror(errno));
    tell(report, "fdatasync", CHECK_WARNING, text);
    return;
  }
  const uint64_t median_us = us[SYNCS / 2u];
  snprintf(text, sizeof text, "8 KiB are durable after %llu us, at most %llu (median of %u)",
           (unsigned long long)median_us, (unsigned long long)us[SYNCS - 1u], SYNCS);
  tell(report, "fdatasync", median_us > SYNC_SLOW_US ? CHECK_WARNING : CHECK_OK, text);
}

/* EXIT_STORE: it cannot be opened; why stands on stderr. */
static int check_store(struct report *report, const struct options *options)
{
  char why[256] = "";
  struct store_engine *engine = cli_open_store(options, false);
  if (engine == NULL) {
    tell(report, "store", CHECK_WRONG, "cannot be opened");
    return EXIT_STORE;
  }
  enum hf_error error = HF_OK;
  if (store_admin_of(engine) != NULL)
    error = store_admin_of(engine)->selfcheck(engine, why);
  if (error != HF_OK && why[0] == '\0')
    snprintf(why, sizeof why, "%s", hf_error_info(error)->title);
  tell(report, "store", error == HF_OK ? CHECK_OK : CHECK_WRONG,
       error == HF_OK ? "its schema and pages are what this program makes" : why);
  engine->ops->close(engine);
  return EXIT_DONE;
}

int cmd_selfcheck(int argc, char **argv)
{
  struct options options;
  if (cli_help(argc, argv, "selfcheck [options]", NULL,
               "Exit code 1: something is WRONG. 3: the store cannot be used.\n"))
    return EXIT_DONE;
  if (!options_read(&options, "selfcheck", argc, argv, NULL))
    return EXIT_USAGE;
  struct report report = {.json = options.json};
  if (report.json)
    printf("{\"checks\":[");
  check_hash(&report);
  int code = check_store(&report, &options); /* makes the data folder of an embedded store */
  check_clock(&report);
  check_descriptors(&report, options.connections);
  check_disk(&report, options.data);
  check_sync(&report, options.data);
  if (report.json)
    printf("],\"ok\":%s}\n", report.wrong ? "false" : "true");
  if (code == EXIT_DONE && report.wrong)
    code = EXIT_FOUND;
  options_free(&options);
  return code;
}
