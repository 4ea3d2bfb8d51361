/* Values are copies of our own, so that it does not matter where each came from. */
#include "server/import_options.h"

#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "holdfast/check.h"
#include "holdfast/rt.h"

static const struct row {
  const char *flag;
  bool takes_value, mappable;
  const char *help;
  size_t offset;
} rows[IMPORT_OPTION_COUNT] = {
#define X(name, flag, value, mappable, help)                                                       \
  {flag, value, mappable, help, offsetof(struct import_options, name)},
  IMPORT_OPTIONS(X)
#undef X
};

void import_options_extra(struct option_extra extra[IMPORT_OPTION_COUNT + 1])
{
  for (size_t i = 0; i < IMPORT_OPTION_COUNT; i++)
    extra[i] = (struct option_extra){rows[i].flag, rows[i].takes_value, rows[i].help, NULL};
  extra[IMPORT_OPTION_COUNT] = (struct option_extra){0};
}

static const char **field_of(struct import_options *options, size_t index)
{
  return (const char **)(void *)((char *)options + rows[index].offset);
}

static void set(struct import_options *options, size_t index, const char *value)
{
  size_t size = strlen(value) + 1u;
  *field_of(options, index) = memcpy(rt_alloc(size), value, size);
}

struct profile {
  struct import_options *options;
  const char *path;
  bool failed;
};

static int on_line(void *user, const char *section, const char *name, const char *value)
{
  struct profile *profile = user;
  size_t i = 0;
  while (i < IMPORT_OPTION_COUNT && strcmp(rows[i].flag, name) != 0)
    i++;
  profile->failed = true;
  if (section[0] != '\0' || i == IMPORT_OPTION_COUNT || !rows[i].mappable) {
    fprintf(stderr, "holdfast import: %s: %s%s%s is no option of a mapping\n", profile->path,
            section, section[0] != '\0' ? "." : "", name);
    return 0;
  }
  bool yes = strcmp(value, "true") == 0;
  if (!rows[i].takes_value && !yes && strcmp(value, "false") != 0) {
    fprintf(stderr, "holdfast import: %s: %s is true or false\n", profile->path, name);
    return 0;
  }
  profile->failed = false;
  if (*field_of(profile->options, i) != NULL)
    return 1; /* the command line's word */
  if (rows[i].takes_value)
    set(profile->options, i, value);
  else if (yes)
    set(profile->options, i, "");
  return 1;
}

/* A path as it is, or the name of a mapping that lies beside the data. */
static void profile_path(const char *name, const char *data_path, char *out, size_t room)
{
  const char *slash = strrchr(data_path, '/');
  int folder = slash == NULL ? 0 : (int)(slash - data_path) + 1;
  if (strchr(name, '/') != NULL || access(name, R_OK) == 0)
    snprintf(out, room, "%s", name);
  else
    snprintf(out, room, "%.*s%s.ini", folder, data_path, name);
}

bool import_options_read(struct import_options *options, const struct option_extra *extra,
                         const char *path)
{
  char file[4096];
  *options = (struct import_options){0};
  for (size_t i = 0; i < IMPORT_OPTION_COUNT; i++)
    if (extra[i].value != NULL)
      set(options, i, extra[i].value);
  if (options->profile == NULL)
    return true;
  profile_path(options->profile, path, file, sizeof file);
  struct profile profile = {.options = options, .path = file};
  int line = ini_parse(file, on_line, &profile);
  if (line == -1)
    fprintf(stderr, "holdfast import: cannot read the mapping %s\n", file);
  else if (line > 0 && !profile.failed)
    fprintf(stderr, "holdfast import: %s: line %d is not `name = value`\n", file, line);
  return line == 0 && !profile.failed;
}

void import_options_free(struct import_options *options)
{
  for (size_t i = 0; i < IMPORT_OPTION_COUNT; i++) {
    rt_free((void *)(uintptr_t)*field_of(options, i));
    *field_of(options, i) = NULL;
  }
}
