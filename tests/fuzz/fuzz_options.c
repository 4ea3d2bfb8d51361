/* fuzz_options.c - libFuzzer target: a configuration file and a command line.
 *
 * Input: the file's text up to the first NUL, then arguments, each up to a NUL. Properties: what
 * is taken is within the table's ranges; no secret came from the command line; the last flag of
 * a name wins over the file; everything spelled out as flags is taken again and says the same.
 * */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/options.h"
#include "tests/fuzz/input.h"

#define ARGUMENTS_MAX 40u
#define FLAG_MAX 4096u

static FILE *silence; /* complaints go there */

static bool read_options(struct options *options, int argc, char **argv)
{
  FILE *loud = stderr;
  stderr = silence;
  bool ok = options_read(options, "serve", argc, argv, NULL);
  stderr = loud;
  return ok;
}

static void check_number(uint64_t number, uint64_t min, uint64_t max)
{
  CHECK(number >= min && number <= max);
}

static void check_ranges(const struct options *options)
{
#define TEXT(name, min, max) CHECK(options->name != NULL)
#define SECRET TEXT
#define PLACE TEXT
#define NUMBER(name, min, max) check_number(options->name, min, max)
#define BOOL(name, min, max) (void)options->name
#define X(name, flag, type, fallback, min, max, commands, help) type(name, min, max);
  OPTIONS(X)
#undef X
#undef TEXT
#undef SECRET
#undef PLACE
#undef NUMBER
#undef BOOL
}

struct command_line {
  char *argv[ARGUMENTS_MAX + 80u];
  int argc;
};

static void add(struct command_line *line, const char *flag, const char *value)
{
  size_t size = strlen(flag) + strlen(value) + 4u;
  char *text = malloc(size);
  CHECK(text != NULL && (size_t)line->argc < sizeof line->argv / sizeof line->argv[0]);
  snprintf(text, size, "--%s=%s", flag, value);
  line->argv[line->argc++] = text;
}

static void add_number(struct command_line *line, const char *flag, uint64_t number)
{
  char text[24];
  snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  add(line, flag, text);
}

/* A place with a password is not to be said on a command line. */
static bool may_be_said(const char *place)
{
  return strstr(place, "password") == NULL && strchr(place, '@') == NULL;
}

static void check_again(const struct options *options)
{
  struct command_line line = {.argc = 2};
  struct options again;
#define TEXT(name, flag) add(&line, flag, strcmp(flag, "config") == 0 ? "" : options->name)
#define SECRET(name, flag) (void)options->name
#define PLACE(name, flag) add(&line, flag, may_be_said(options->name) ? options->name : "")
#define NUMBER(name, flag) add_number(&line, flag, options->name)
#define BOOL(name, flag) add(&line, flag, options->name ? "true" : "false")
#define X(name, flag, type, fallback, min, max, commands, help) type(name, flag);
  OPTIONS(X)
#undef X
#undef TEXT
#undef SECRET
#undef PLACE
#undef NUMBER
#undef BOOL
  CHECK(read_options(&again, line.argc, line.argv));
#define TEXT(name, flag)                                                                           \
  CHECK(strcmp(flag, "config") == 0 || strcmp(options->name, again.name) == 0)
#define SECRET(name, flag) CHECK(again.name[0] == '\0')
#define PLACE(name, flag)                                                                          \
  CHECK(!may_be_said(options->name) || strcmp(options->name, again.name) == 0)
#define NUMBER(name, flag) CHECK(options->name == again.name)
#define BOOL(name, flag) CHECK(options->name == again.name)
#define X(name, flag, type, fallback, min, max, commands, help) type(name, flag);
  OPTIONS(X)
#undef X
#undef TEXT
#undef SECRET
#undef PLACE
#undef NUMBER
#undef BOOL
  options_free(&again);
  for (int i = 2; i < line.argc; i++)
    free(line.argv[i]);
}

/* Two flags by hand: the last one wins, whatever the file says. */
static void check_last(const struct options *options, const struct command_line *line)
{
  const char *readers = NULL, *listen = NULL;
  for (int i = 2; i < line->argc; i++) {
    if (line->argv[i][0] != '-' || strchr(line->argv[i], '=') == NULL)
      return; /* it may be another one's value */
    if (strncmp(line->argv[i], "--readers=", 10) == 0)
      readers = line->argv[i] + 10;
    if (strncmp(line->argv[i], "--listen=", 9) == 0)
      listen = line->argv[i] + 9;
  }
  CHECK(listen == NULL || strcmp(options->listen, listen) == 0);
  CHECK(readers == NULL || options->readers == strtoull(readers, NULL, 10));
}

static char *write_file(struct input *input, int *ret_file)
{
  char *path = malloc(FLAG_MAX);
  const uint8_t *end = input->size == 0 ? NULL : memchr(input->at, 0, input->size);
  size_t size = end == NULL ? input->size : (size_t)(end - input->at);
  *ret_file = memfd_create("options", MFD_CLOEXEC);
  CHECK(path != NULL && *ret_file >= 0);
  CHECK(size == 0 || write(*ret_file, input->at, size) == (ssize_t)size);
  snprintf(path, FLAG_MAX, "--config=/proc/self/fd/%d", *ret_file);
  input->at += size;
  input->size -= size;
  (void)input_u8(input);
  return path;
}

static char *argument_of(struct input *input)
{
  const uint8_t *end = memchr(input->at, 0, input->size);
  size_t size = end == NULL ? input->size : (size_t)(end - input->at), taken;
  char *bytes = input_bytes(input, size, &taken), *text = malloc(size + 1u);
  CHECK(text != NULL);
  memcpy(text, bytes, size);
  text[size] = '\0';
  free(bytes);
  (void)input_u8(input);
  return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input input = {data, size};
  struct command_line line = {.argc = 3};
  struct options options;
  int file;
  if (silence == NULL)
    silence = fopen("/dev/null", "we");
  CHECK(silence != NULL);
  line.argv[2] = write_file(&input, &file);
  while (input.size > 0 && (unsigned)line.argc < ARGUMENTS_MAX) {
    char *text = argument_of(&input);
    if (strncmp(text, "--config", 8) == 0) /* any file of this machine */
      text[2] = 'k';
    line.argv[line.argc++] = text;
  }
  if (read_options(&options, line.argc, line.argv)) {
    check_ranges(&options);
    check_again(&options);
    check_last(&options, &line);
  }
  options_free(&options);
  for (int i = 2; i < line.argc; i++)
    free(line.argv[i]);
  close(file);
  return 0;
}
