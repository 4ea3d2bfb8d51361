/* The program: finds the command and runs it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "holdfast/rt.h"
#include "server/cli.h"

static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *arguments;
  const char *line;
} commands[] = {
#define X(name, function, arguments, line) {name, function, arguments, line},
  COMMANDS(X)
#undef X
};
#define COMMANDS_COUNT (sizeof commands / sizeof commands[0])

static void usage(FILE *out)
{
  fprintf(out, "usage: holdfast COMMAND [options]; holdfast COMMAND --help for its options\n\n");
  for (size_t i = 0; i < COMMANDS_COUNT; i++)
    fprintf(out, "  %-10s %-20s %s\n", commands[i].name, commands[i].arguments, commands[i].line);
}

int main(int argc, char **argv)
{
  signal(SIGPIPE, SIG_IGN);
  umask(077); /* what the program writes is its owner's alone */
  /* A body is not malformed because there was no memory to read it. */
  json_set_alloc_funcs(rt_alloc, rt_free);
  if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
    usage(stdout);
    return EXIT_DONE;
  }
  const char *name = argc >= 2 && strcmp(argv[1], "--version") == 0 ? "version"
                     : argc >= 2                                    ? argv[1]
                                                                    : "";
  for (size_t i = 0; i < COMMANDS_COUNT; i++)
    if (strcmp(commands[i].name, name) == 0)
      return commands[i].run(argc, argv);
  usage(stderr);
  return EXIT_USAGE;
}
