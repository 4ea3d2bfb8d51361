/* keys: service keys of an embedded store that no server has open, or of a PostgreSQL database. */
#include <stdio.h>
#include <string.h>

#include "holdfast/time_text.h"
#include "server/cli.h"
#include "server/direct.h"

static const struct {
  const char *text;
  uint32_t bit;
} scopes[] = {
#define X(name, bit, text) {text, bit},
  HF_SCOPES(X)
#undef X
};
#define SCOPES_COUNT (sizeof scopes / sizeof scopes[0])

/* "a,b,c" to a bit set; 0 when a word is no scope. */
static uint32_t scopes_parse(const char *text)
{
  uint32_t set = 0;
  while (*text != '\0') {
    size_t size = strcspn(text, ",");
    uint32_t bit = 0;
    for (size_t i = 0; i < SCOPES_COUNT; i++)
      if (strlen(scopes[i].text) == size && memcmp(scopes[i].text, text, size) == 0)
        bit = scopes[i].bit;
    if (bit == 0)
      return 0;
    set |= bit;
    text += size + (text[size] == ',');
  }
  return set;
}

static void scopes_print(uint32_t set)
{
  const char *comma = "";
  for (size_t i = 0; i < SCOPES_COUNT; i++)
    if ((set & scopes[i].bit) != 0) {
      printf("%s%s", comma, scopes[i].text);
      comma = ",";
    }
}

static int keys_create(struct store_engine *engine, const struct options *options, const char *name,
                       const char *scope_text)
{
  char text[HF_KEY_TEXT_MAX];
  uint32_t set = scopes_parse(scope_text);
  if (set == 0 || name[0] == '\0' || strlen(name) > 64u || strpbrk(name, "\"\\\n") != NULL) {
    fprintf(stderr, "holdfast keys create: --scopes takes a comma-separated list of ledger:write, "
                    "ledger:read, users:write, users:read, admin; --name 1 to 64 characters\n");
    return EXIT_USAGE;
  }
  if (direct_key_create(engine, NULL, name, set, text) != HF_OK) {
    fprintf(stderr, "holdfast: the key could not be written\n");
    return EXIT_STORE;
  }
  if (options->json)
    printf("{\"key\":\"%s\",\"name\":\"%s\"}\n", text, name);
  else
    printf("%s\n", text);
  return EXIT_DONE;
}

/* The inside of a JSON string, or text that does nothing to a terminal: names come from clients. */
static void name_print(const char *name, bool json)
{
  for (const unsigned char *at = (const unsigned char *)name; *at != '\0'; at++) {
    if (*at < 0x20u || *at == 0x7fu)
      printf("\\u%04x", *at);
    else if (json && (*at == '"' || *at == '\\'))
      printf("\\%c", *at);
    else
      putchar(*at);
  }
}

static int keys_list(struct store_engine *engine, const struct options *options)
{
  char created[HF_TIME_TEXT_MAX];
  struct store_request *catalog = direct_catalog(engine);
  if (catalog == NULL)
    return EXIT_STORE;
  for (size_t i = 0; i < catalog->catalog.keys_count; i++) {
    const struct store_key_row *key = &catalog->catalog.keys[i];
    hf_time_format(key->created_us, created);
    printf(options->json ? "{\"id\":\"%s\",\"created_at\":\"%s\",\"revoked\":%s,\"scopes\":\""
                         : "%-24s %s %s ",
           key->id, created,
           options->json ? (key->revoked_us != 0 ? "true" : "false")
                         : (key->revoked_us != 0 ? "revoked" : "valid  "));
    scopes_print(key->scopes);
    printf(options->json ? "\",\"name\":\"" : " ");
    name_print(key->name, options->json);
    printf(options->json ? "\"}\n" : "\n");
  }
  store_request_free(catalog);
  return EXIT_DONE;
}

static int keys_revoke(struct store_engine *engine, const char *id)
{
  struct store_request *catalog = direct_catalog(engine);
  int code = EXIT_STORE;
  if (catalog == NULL)
    return code;
  struct store_key_row *key = NULL;
  for (size_t i = 0; i < catalog->catalog.keys_count; i++)
    if (strcmp(catalog->catalog.keys[i].id, id) == 0)
      key = &catalog->catalog.keys[i];
  if (key == NULL) {
    fprintf(stderr, "holdfast: no key %s\n", id);
    code = EXIT_FOUND;
  } else if (key->revoked_us != 0) {
    code = EXIT_DONE;
  } else {
    key->revoked_us = direct_wall_us();
    code = direct_key_put(engine, key) == HF_OK ? EXIT_DONE : EXIT_STORE;
  }
  store_request_free(catalog);
  return code;
}

int cmd_keys(int argc, char **argv)
{
  struct options options;
  struct option_extra extra[] = {
    {"name", true, "What the key is for", NULL},
    {"scopes", true, "Comma-separated: ledger:write, ledger:read, users:write, users:read, admin",
     NULL},
    {0}};
  if (cli_help(argc, argv, "keys create --name NAME --scopes LIST | list | revoke ID", extra, ""))
    return EXIT_DONE;
  if (!options_read(&options, "keys", argc, argv, extra))
    return EXIT_USAGE;
  const char *verb = options.arguments_count > 0 ? options.arguments[0] : "";
  int code = EXIT_USAGE;
  bool create = strcmp(verb, "create") == 0 && extra[1].value != NULL;
  bool revoke = strcmp(verb, "revoke") == 0 && options.arguments_count == 2;
  if (!create && !revoke && strcmp(verb, "list") != 0) {
    fprintf(stderr, "usage: holdfast keys create --name NAME --scopes LIST | list | revoke ID\n");
  } else {
    struct store_engine *engine = cli_open_store(&options, false);
    code = EXIT_STORE;
    if (engine != NULL) {
      code = create   ? keys_create(engine, &options, extra[0].value != NULL ? extra[0].value : "",
                                    extra[1].value)
             : revoke ? keys_revoke(engine, options.arguments[1])
                      : keys_list(engine, &options);
      engine->ops->close(engine);
    }
  }
  options_free(&options);
  return code;
}
