/* import_run.h - the importer inside a runtime: rows become operations, users are made before them.
 *
 * Owner: the front actor of loop 0 runs it; the other loops only lend their users. The command
 * prepares it before the runtime starts and reads the results after it has stopped; in between it
 * may touch the atomics only.
 * Limits: `window` rows are under way or wait for an earlier one; then reading stops for a while.
 * What is retryable is sent again with the same key; when nothing was answered for good for
 * IMPORT_GIVE_UP_US, the run ends. */
#ifndef HOLDFAST_IMPORT_RUN_H
#define HOLDFAST_IMPORT_RUN_H

#include <stdatomic.h>

#include "actors/actors.h"
#include "actors/catalog/catalog.h"
#include "adapters/http/api_parse.h"
#include "server/import_feed.h"
#include "server/import_funds.h"
#include "server/import_report.h"
#include "server/import_users.h"

#define IMPORT_WINDOW_MAX 65536u
#define IMPORT_TICK_US 100000u
#define IMPORT_GIVE_UP_US 60000000u

enum import_phase { IMPORT_STARTING, IMPORT_ASSET, IMPORT_PREFUND, IMPORT_ROWS, IMPORT_ENDED };

struct import_run {
  /* the command's, before the start */
  const struct hf_setup *setup;
  struct import_map *map;
  struct import_feed *feed;
  const struct import_funds *funds; /* NULL: no --prefund */
  struct import_report *report;
  const char *asset; /* code; NULL: users only */
  bool make_asset;   /* it is not there yet */
  unsigned window;
  /* any thread */
  atomic_bool stop;     /* asks to end early: nothing new is started */
  atomic_bool finished; /* nothing is under way any more */
  atomic_uint_least64_t lines_done, bytes_done;
  atomic_uint loops_ready; /* that know the assets: each counts itself once */
  /* loop 0's */
  uint8_t phase;                  /* enum import_phase */
  const struct import_fund *fund; /* the last that was prefunded */
  struct import_users users;
  struct import_user *asleep;  /* to be looked at by the next tick */
  struct import_user *waiting; /* for a lookup to come back */
  struct import_user *cold;    /* for another user's first row to come back */
  unsigned lookups;            /* under way */
  unsigned warming;            /* users whose first row is under way */
  unsigned in_vain;            /* lookups in a row that found nobody */
  struct api_parse parse;
  char correlation[LEDGER_CORRELATION_MAX + 1];
  uint64_t open;     /* rows taken and not done */
  uint64_t asks;     /* under way */
  uint64_t done;     /* rows */
  uint64_t moved_us; /* when something was last answered for good */
  bool starved;      /* the runtime had no room */
  bool gave_up;      /* the store does not answer */
  enum hf_error asset_error;
};

extern const rt_class hf_import_class;
/* Of struct node_use; arg: struct import_run *. */
void import_run_loop_start(void *arg, rt_ctx *ctx);
void import_run_free(struct import_run *run);

#endif
