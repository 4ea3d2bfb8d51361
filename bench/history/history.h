/* history.h - a store full of history, and how long it takes to read from it.
 *
 * The loader writes through the store engine's own commits: real ledger commands, chained and
 * numbered as the server does it, without the server. The probe asks the questions of the history
 * routes and checks that the answers hang together. Neither measures HTTP.
 * Owner: one thread. Time: the entries' own clock runs evenly over one year; durations are those of
 * the monotonic clock. */
#ifndef BENCH_HISTORY_H
#define BENCH_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "actors/store/port.h"
#include "bench/load/histogram.h"

#define HISTORY_START_US INT64_C(1735689600000000) /* 2025-01-01 */
#define HISTORY_SPAN_US INT64_C(31536000000000)    /* 365 days */
#define HISTORY_HOT_USERS 8u                       /* get one entry of a hundred between them */
#define HISTORY_ASSETS 2u
#define HISTORY_BACKDATED 10u /* one entry of so many, by up to 90 days */

struct history_plan {
  const char *store; /* sqlite:PATH, postgres://..., memory */
  uint64_t entries, users, seed;
  uint64_t queries; /* of each kind */
};

/* store.c: opens it, migrated; ends the program with a text when that fails. */
struct store_engine *history_open(const char *store);

/* load.c: writes all of it into an empty store; the seconds that took. Ends the program when the
 * store is not empty, or fails. */
double history_load(struct store_engine *engine, const struct history_plan *plan);
hf_id history_user(const struct history_plan *plan, uint64_t index, unsigned partition_bits);

/* probe.c */
#define HISTORY_PROBES 8u
struct history_probe {
  const char *name;
  struct histogram us;
};
void history_probe(struct store_engine *engine, const struct history_plan *plan,
                   struct history_probe ret_probes[HISTORY_PROBES]);

double history_now_s(void);
_Noreturn void history_fail(const char *what, const char *why);

#endif
