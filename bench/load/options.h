/* options.h - the command line of hfbench as one table; --help is made out of it.
 *
 * Thread: main, before anything else. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>

struct options {
  const char *target, *key, *server_pid, *store_pid, *mix, *choice, *arrivals;
  const char *users_file, *users_out, *fund, *amount, *asset, *path;
  double connections, pipeline, threads, rate, warmup, duration, batch, users, refusals, seed,
    scale;
  bool json, help;
};

/* Fills the options from the arguments; ends the process with status 1 and a sentence on stderr
 * when one is unknown, lacks its value or is out of range. Prints the help and ends with 0 when
 * asked to. */
void options_parse(int count, char **arguments, struct options *ret_options);

#endif
