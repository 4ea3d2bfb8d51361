/* Options: the table, and the four places that a value can come from. */
#include "server/options.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/check.h"

enum option_type { TEXT, SECRET, PLACE, NUMBER, BOOL };

struct option_row {
  const char *flag;
  enum option_type type;
  const char *fallback;
  uint64_t min, max;
  const char *commands;
  const char *help;
  size_t offset;
};

static const struct option_row rows[] = {
#define X(name, flag, type, fallback, min, max, commands, help)                                    \
  {flag, type, fallback, min, max, commands, help, offsetof(struct options, name)},
  OPTIONS(X)
#undef X
};
#define ROWS (sizeof rows / sizeof rows[0])

static bool is_for(const struct option_row *row, const char *command)
{
  if (strcmp(row->commands, "all") == 0)
    return true;
  const char *at = strstr(row->commands, command);
  size_t size = strlen(command);
  return at != NULL && (at == row->commands || at[-1] == ' ') &&
         (at[size] == '\0' || at[size] == ' ');
}

static const struct option_row *row_by_flag(const char *flag, size_t size)
{
  for (size_t i = 0; i < ROWS; i++)
    if (strlen(rows[i].flag) == size && memcmp(rows[i].flag, flag, size) == 0)
      return &rows[i];
  return NULL;
}

static void *field_of(struct options *options, const struct option_row *row)
{
  return (char *)options + row->offset;
}

static char *copy_text(const char *text)
{
  char *copy = strdup(text);
  CHECK(copy != NULL);
  return copy;
}

static bool parse_number(const char *text, uint64_t *ret_number)
{
  char *end;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0)
    return false;
  *ret_number = number;
  return true;
}

/* Stores a value; prints why not. `from` names its place for the message. */
static bool assign(struct options *options, const struct option_row *row, const char *value,
                   const char *from)
{
  void *field = field_of(options, row);
  switch (row->type) {
  case TEXT:
  case SECRET:
  case PLACE:
    free(*(char **)field);
    *(char **)field = copy_text(value);
    return true;
  case NUMBER: {
    uint64_t number;
    if (!parse_number(value, &number) || number < row->min || number > row->max) {
      fprintf(stderr, "holdfast: %s: %s is not a number from %llu to %llu\n", from, row->flag,
              (unsigned long long)row->min, (unsigned long long)row->max);
      return false;
    }
    *(uint64_t *)field = number;
    return true;
  }
  case BOOL:
    if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) {
      fprintf(stderr, "holdfast: %s: %s is true or false\n", from, row->flag);
      return false;
    }
    *(bool *)field = value[0] == 't';
    return true;
  }
  return false;
}

static void environment_name(const struct option_row *row, char *out, size_t size)
{
  size_t used = (size_t)snprintf(out, size, "HOLDFAST_");
  for (const char *at = row->flag; *at != '\0' && used + 1u < size; at++)
    out[used++] = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
  out[used] = '\0';
}

/* A secret's file: its first line. */
static bool assign_from_file(struct options *options, const struct option_row *row,
                             const char *path)
{
  char line[4096];
  FILE *file = fopen(path, "re");
  bool ok = file != NULL && fgets(line, sizeof line, file) != NULL;
  if (ok) {
    line[strcspn(line, "\r\n")] = '\0';
    ok = assign(options, row, line, path);
  } else {
    fprintf(stderr, "holdfast: cannot read %s\n", path);
  }
  if (file != NULL)
    fclose(file);
  return ok;
}

static bool read_environment(struct options *options)
{
  char name[64], file_name[80];
  for (size_t i = 0; i < ROWS; i++) {
    environment_name(&rows[i], name, sizeof name);
    const char *value = getenv(name);
    if (value != NULL && !assign(options, &rows[i], value, name))
      return false;
    if ((rows[i].type != SECRET && rows[i].type != PLACE) || value != NULL)
      continue;
    snprintf(file_name, sizeof file_name, "%s_FILE", name);
    const char *path = getenv(file_name);
    if (path != NULL && !assign_from_file(options, &rows[i], path))
      return false;
  }
  return true;
}

struct file_read {
  struct options *options;
  const char *path;
  bool failed;
};

static int on_ini_line(void *user, const char *section, const char *name, const char *value)
{
  struct file_read *read = user;
  const struct option_row *row = row_by_flag(name, strlen(name));
  if (section[0] != '\0' || row == NULL) {
    fprintf(stderr, "holdfast: %s: unknown option %s\n", read->path, name);
    read->failed = true;
  } else if (!assign(read->options, row, value, read->path)) {
    read->failed = true;
  }
  return !read->failed;
}

static bool read_file(struct options *options, const char *path)
{
  struct file_read read = {.options = options, .path = path};
  int line = ini_parse(path, on_ini_line, &read);
  if (line == -1)
    fprintf(stderr, "holdfast: cannot read %s\n", path);
  else if (line > 0 && !read.failed)
    fprintf(stderr, "holdfast: %s: line %d is not `name = value`\n", path, line);
  return line == 0 && !read.failed;
}

/* The path of --config, before the others are read, so that flags and environment win over it. */
static const char *config_path(int argc, char **argv)
{
  for (int i = 2; i < argc; i++) {
    if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
      return argv[i + 1];
    if (strncmp(argv[i], "--config=", 9) == 0)
      return argv[i] + 9;
  }
  return getenv("HOLDFAST_CONFIG");
}

static struct option_extra *extra_by_flag(struct option_extra *extra, const char *flag, size_t size)
{
  for (; extra != NULL && extra->flag != NULL; extra++)
    if (strlen(extra->flag) == size && memcmp(extra->flag, flag, size) == 0)
      return extra;
  return NULL;
}

/* A password of a database: a keyword or URI parameter, or behind the user's name in a URI. */
static bool has_password(const char *place)
{
  const char *authority = strstr(place, "://");
  if (strstr(place, "password") != NULL)
    return true;
  if (authority == NULL)
    return false;
  authority += 3;
  const char *at = memchr(authority, '@', strcspn(authority, "/?"));
  return at != NULL && memchr(authority, ':', (size_t)(at - authority)) != NULL;
}

static bool is_secret(const struct option_row *row, const char *value)
{
  return row->type == SECRET || (row->type == PLACE && value != NULL && has_password(value));
}

/* One flag at argv[*index]; moves the index over its value. */
static bool read_flag(struct options *options, const char *command, int argc, char **argv,
                      int *index, struct option_extra *extra)
{
  const char *flag = argv[*index] + 2;
  size_t size = strcspn(flag, "=");
  const char *value = flag[size] == '=' ? flag + size + 1 : NULL;
  const struct option_row *row = row_by_flag(flag, size);
  struct option_extra *own = extra_by_flag(extra, flag, size);
  if ((row == NULL || !is_for(row, command)) && own == NULL) {
    fprintf(stderr, "holdfast %s: unknown option --%.*s; see holdfast %s --help\n", command,
            (int)size, flag, command);
    return false;
  }
  bool wants = own != NULL ? own->takes_value : row->type != BOOL;
  if (value == NULL && wants) {
    if (*index + 1 >= argc) {
      fprintf(stderr, "holdfast %s: --%.*s needs a value\n", command, (int)size, flag);
      return false;
    }
    value = argv[++*index];
  }
  if (own == NULL && is_secret(row, value)) {
    fprintf(stderr,
            "holdfast: --%s would be seen by every process here: use the environment or a file\n",
            row->flag);
    return false;
  }
  if (own != NULL) {
    own->value = value == NULL ? "" : value;
    return true;
  }
  return assign(options, row, value == NULL ? "true" : value, "command line");
}

bool options_read(struct options *options, const char *command, int argc, char **argv,
                  struct option_extra *extra)
{
  *options = (struct options){0};
  for (size_t i = 0; i < ROWS; i++)
    CHECK(assign(options, &rows[i], rows[i].fallback, "default"));
  const char *path = config_path(argc, argv);
  if (path != NULL && path[0] != '\0' && !read_file(options, path))
    return false;
  if (!read_environment(options))
    return false;
  options->arguments = calloc((size_t)argc + 1u, sizeof *options->arguments);
  CHECK(options->arguments != NULL);
  for (int i = 2; i < argc; i++) {
    if (strncmp(argv[i], "--", 2) != 0 || argv[i][2] == '\0')
      options->arguments[options->arguments_count++] = argv[i];
    else if (!read_flag(options, command, argc, argv, &i, extra))
      return false;
  }
  return true;
}

void options_help(const char *command, const struct option_extra *extra)
{
  char name[64];
  for (; extra != NULL && extra->flag != NULL; extra++)
    printf("  --%-20s %s\n", extra->flag, extra->help);
  for (size_t i = 0; i < ROWS; i++) {
    const struct option_row *row = &rows[i];
    if (!is_for(row, command))
      continue;
    environment_name(row, name, sizeof name);
    printf("  --%-20s %s\n", row->flag, row->help);
    printf("      %s; ", name);
    if (row->type == NUMBER)
      printf("%llu to %llu; ", (unsigned long long)row->min, (unsigned long long)row->max);
    else if (row->type == BOOL)
      printf("true or false; ");
    printf("default %s\n", row->fallback[0] == '\0' ? "none" : row->fallback);
  }
}

void options_free(struct options *options)
{
  for (size_t i = 0; i < ROWS; i++)
    if (rows[i].type == TEXT || rows[i].type == SECRET || rows[i].type == PLACE)
      free(*(char **)field_of(options, &rows[i]));
  free(options->arguments);
}
