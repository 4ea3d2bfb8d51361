/* The short commands: version, migrate. */
#include <stdio.h>
#include <string.h>

#include "adapters/store/store_admin.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "server/cli.h"

int cmd_version(int argc, char **argv)
{
  struct options options;
  if (cli_help(argc, argv, "version [--json]", NULL, ""))
    return EXIT_DONE;
  if (argc >= 2 && strcmp(argv[1], "--version") == 0)
    argc = 2;
  if (!options_read(&options, "version", argc, argv, NULL))
    return EXIT_USAGE;
  if (options.json)
    printf("{\"version\":\"%s\",\"schema\":%u,\"schema_postgres\":%u}\n", HF_VERSION,
           store_sqlite_schema_known(), store_postgres_schema_known());
  else
    printf("holdfast %s (schema %u, PostgreSQL %u)\n", HF_VERSION, store_sqlite_schema_known(),
           store_postgres_schema_known());
  options_free(&options);
  return EXIT_DONE;
}

struct migrating {
  bool json, listed;
  unsigned missing, applied, version;
};

static void on_migration(void *arg, unsigned version, const char *title, enum store_migration what)
{
  static const char *const texts[] = {[STORE_MIGRATION_THERE] = "there",
                                      [STORE_MIGRATION_MISSING] = "missing",
                                      [STORE_MIGRATION_APPLIED] = "applied"};
  struct migrating *migrating = arg;
  migrating->missing += what == STORE_MIGRATION_MISSING;
  migrating->applied += what == STORE_MIGRATION_APPLIED;
  migrating->version = version;
  if (migrating->json)
    printf("%s{\"version\":%u,\"title\":\"%s\",\"state\":\"%s\"}", migrating->listed ? "," : "",
           version, title, texts[what]);
  else
    printf("%3u %-8s %s\n", version, texts[what], title);
  fflush(stdout); /* the next one may take long */
  migrating->listed = true;
}

/* Each migration is told as it is there, is missing, or was applied. */
static int migrate(const struct options *options, bool dry_run)
{
  struct migrating migrating = {.json = options->json};
  if (options->json)
    printf("{\"migrations\":[");
  bool ok = cli_migrate(options, dry_run, on_migration, &migrating);
  if (options->json)
    printf("],\"schema\":%u,\"missing\":%u,\"ok\":%s}\n", migrating.version - migrating.missing,
           migrating.missing, ok ? "true" : "false");
  else if (ok && migrating.missing > 0)
    printf("%u migrations would be applied\n", migrating.missing);
  else if (ok)
    printf("schema %u is in place\n", migrating.version);
  if (!ok)
    return EXIT_STORE;
  return migrating.missing > 0 ? EXIT_FOUND : EXIT_DONE;
}

int cmd_migrate(int argc, char **argv)
{
  struct options options;
  struct option_extra extra[] = {
    {"dry-run", false, "Say what would be applied, and change nothing", NULL}, {0}};
  if (cli_help(
        argc, argv, "migrate [--dry-run] [options]", extra,
        "Exit code 1: --dry-run, and migrations are missing. 3: the store cannot be used.\n"))
    return EXIT_DONE;
  if (!options_read(&options, "migrate", argc, argv, extra))
    return EXIT_USAGE;
  int code = migrate(&options, extra[0].value != NULL);
  options_free(&options);
  return code;
}
