/* The runtime beside its goals and its limits, in one run: bench_rt --help. */
#include "goals.h"
#include "holdfast/check.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct group {
  const char *name;
  void (*repeat)(void);
};

static const struct group groups[] = {
  {"message", goal_message_repeat},   {"hop", goal_hop_repeat},   {"kicks", goal_kicks_repeat},
  {"wake", goal_wake_repeat},         {"job", goal_job_repeat},   {"random", goal_random_repeat},
  {"memory", goal_memory_repeat},     {"life", goal_life_repeat}, {"timer", goal_timer_repeat},
  {"overload", goal_overload_repeat}, {"hot", goal_hot_repeat},   {"sim", goal_sim_repeat},
};
#define GROUPS (sizeof groups / sizeof groups[0])

static int usage(FILE *out, int status)
{
  fputs("usage: bench_rt [--repeats N] [--only GROUP]... [--json FILE]\n"
        "Prints a Markdown table; --json writes every figure, one row in a line. Groups:",
        out);
  for (unsigned i = 0; i < GROUPS; i++) {
    fprintf(out, " %s", groups[i].name);
  }
  fputc('\n', out);
  return status;
}

int main(int argc, char **argv)
{
  bool wanted[GROUPS] = {false};
  bool is_some = false;
  unsigned long repeats = 5;
  const char *json = NULL;
  for (int i = 1; i < argc; i++) {
    if (i + 1 == argc) {
      return strcmp(argv[i], "--help") == 0 ? usage(stdout, 0) : usage(stderr, 1);
    }
    const char *value = argv[++i];
    bool is_known = true;
    if (strcmp(argv[i - 1], "--repeats") == 0) {
      repeats = strtoul(value, NULL, 10);
    } else if (strcmp(argv[i - 1], "--json") == 0) {
      json = value;
    } else {
      is_known = false;
      for (unsigned g = 0; g < GROUPS && strcmp(argv[i - 1], "--only") == 0; g++) {
        is_known |= strcmp(value, groups[g].name) == 0;
        wanted[g] |= strcmp(value, groups[g].name) == 0;
      }
      is_some = true;
    }
    if (!is_known || repeats < 1 || repeats > GOAL_REPEATS_MAX) {
      return usage(stderr, 1);
    }
  }
  for (unsigned g = 0; g < GROUPS; g++) {
    for (unsigned i = 0; i < repeats && (wanted[g] || !is_some); i++) {
      fprintf(stderr, "%s %u\n", groups[g].name, i + 1);
      groups[g].repeat();
    }
  }
  goals_table();
  if (json != NULL) {
    goals_json(json);
  }
  return 0;
}
