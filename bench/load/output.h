/* output.h - the result of a run as a table for people or as one JSON object for programs. */
#ifndef BENCH_OUTPUT_H
#define BENCH_OUTPUT_H

#include "options.h"
#include "runner.h"

struct output_setup { /* rates of the set-up, 0: there was none */
  double users_per_s;
  double grants_per_s;
};

void output_table(const struct options *options, const struct runner_result *result,
                  const struct output_setup *setup);
void output_json(const struct options *options, const struct runner_result *result,
                 const struct output_setup *setup);

#endif
