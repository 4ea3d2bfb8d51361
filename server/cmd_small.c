/* The short commands: version, migrate, selfcheck. */
#include <stdio.h>
#include <string.h>

#include "adapters/store_sqlite/store_sqlite.h"
#include "holdfast/hash.h"
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
    printf("{\"version\":\"%s\",\"schema\":%u}\n", HF_VERSION, store_sqlite_schema_known());
  else
    printf("holdfast %s (schema %u)\n", HF_VERSION, store_sqlite_schema_known());
  options_free(&options);
  return EXIT_DONE;
}

int cmd_migrate(int argc, char **argv)
{
  struct options options;
  if (cli_help(argc, argv, "migrate [options]", NULL, ""))
    return EXIT_DONE;
  if (!options_read(&options, "migrate", argc, argv, NULL))
    return EXIT_USAGE;
  struct store_engine *engine = cli_open_store(&options, false);
  if (engine != NULL) {
    if (options.json)
      printf("{\"schema\":%u}\n", store_sqlite_schema_known());
    else
      printf("schema %u is in place\n", store_sqlite_schema_known());
    engine->ops->close(engine);
  }
  options_free(&options);
  return engine != NULL ? EXIT_DONE : EXIT_STORE;
}

/* The hash of this machine gives what the formats say; then the store's own check. */
int cmd_selfcheck(int argc, char **argv)
{
  struct options options;
  char hex[2u * HF_HASH_SIZE + 1u], why[256] = "";
  if (cli_help(argc, argv, "selfcheck [options]", NULL, ""))
    return EXIT_DONE;
  if (!options_read(&options, "selfcheck", argc, argv, NULL))
    return EXIT_USAGE;
  int code = EXIT_STORE;
  struct hf_hash hash = hf_sha256("abc", 3);
  hf_hex(hash.bytes, sizeof hash.bytes, hex);
  static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  bool hash_ok = strcmp(hex, abc) == 0; /* FIPS 180-4, appendix B.1 */
  struct store_engine *engine = cli_open_store(&options, false);
  if (engine != NULL && engine->ops->name[0] != 'm') {
    enum hf_error error = store_sqlite_selfcheck(engine, why);
    code = error == HF_OK && hash_ok ? EXIT_DONE : EXIT_FOUND;
  } else if (engine != NULL) {
    code = hash_ok ? EXIT_DONE : EXIT_FOUND;
  }
  if (options.json)
    printf("{\"ok\":%s,\"sha256\":%s}\n", code == EXIT_DONE ? "true" : "false",
           hash_ok ? "true" : "false");
  else
    printf("sha-256 %s\nstore %s%s%s\n", hash_ok ? "ok" : "WRONG",
           engine == NULL      ? "cannot be opened"
           : code == EXIT_DONE ? "ok"
                               : "WRONG",
           why[0] != '\0' ? ": " : "", why);
  if (engine != NULL)
    engine->ops->close(engine);
  options_free(&options);
  return code;
}
