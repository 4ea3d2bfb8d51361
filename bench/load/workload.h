/* workload.h - the measured load: pre-built requests for ops, batches, reads and a fixed path.
 *
 * Owner: struct workload_plan is built before the threads start and read-only afterwards; each
 *        thread has a struct workload of its own.
 * How a request is made: everything but the Idempotency-Key, the user ids and the hold ids is built
 *        beforehand; those have fixed widths and are copied over at send time. Nothing is formatted
 *        while the clock runs.
 * Limits: WORKLOAD_BATCH_MAX ops in a batch; hold needs a pipeline of 1, because the capture that
 *        follows on the same connection carries the hold's id. */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "piece.h"
#include "random.h"
#include "script.h"
#include "users.h"

#define WORKLOAD_BATCH_MAX 8192u
#define WORKLOAD_KEY_DIGITS 12u
#define WORKLOAD_KEY_PREFIX (PIECE_KEY_SIZE - WORKLOAD_KEY_DIGITS)

enum op_kind {
  OP_GRANT,
  OP_SPEND,
  OP_REFUSED, /* a spend of more than anybody has; part of the spends when refusals are asked for */
  OP_TRANSFER,
  OP_HOLD,
  OP_CAPTURE, /* follows each hold */
  OP_READ,
  OP_KINDS_COUNT
};

/* Shares of the kinds that can be drawn; OP_REFUSED and OP_CAPTURE follow from the others. */
struct workload_mix {
  double shares[OP_KINDS_COUNT];
};

/* Parses "spend" or "grant=2,spend=5,hold=1,transfer=1,read=3"; false when it is not that. */
bool workload_mix_parse(const char *text, struct workload_mix *ret_mix);

struct workload_config {
  const char *host;       /* of the Host field */
  const char *access_key; /* service key for Authorization */
  const char *asset;
  const char *amount;
  const char *fixed_path; /* not NULL: GET this and nothing else */
  struct workload_mix mix;
  double refusals; /* share of the spends that must be refused */
  unsigned batch;  /* ops per request; 1: POST /v1/ops */
  enum choice_kind choice;
  uint64_t seed;
};

struct workload_plan {
  struct workload_config config;
  const struct users *users;
  struct choice_table table;        /* CHOICE_ZIPF */
  double limits[OP_KINDS_COUNT];    /* cumulative shares */
  struct piece ops[OP_KINDS_COUNT]; /* whole requests when batch is 1, else one item each */
  struct piece batch_head, batch_tail;
  struct piece read_head, read_tail; /* around the id in GET /v1/users/{id}/balances */
  struct piece fixed;
  size_t request_size_max;
};

void workload_plan_init(struct workload_plan *plan, const struct workload_config *config,
                        const struct users *users);
void workload_plan_deinit(struct workload_plan *plan);

/* The holds of a connection, whose next request is their capture. */
struct workload_holds {
  bool pending;    /* the ids are there, the capture was not sent yet */
  uint32_t *users; /* config.batch of them: whose holds they are */
  char *fields;    /* config.batch times PIECE_HOLD_SIZE bytes */
};

struct workload {
  const struct workload_plan *plan;
  struct choice choice;
  struct random random;
  char key_prefix[WORKLOAD_KEY_PREFIX]; /* this run and this thread */
  char key_digits[WORKLOAD_KEY_DIGITS]; /* counted up as text */
  struct workload_holds *holds;         /* one per connection; NULL without holds in the mix */
  unsigned connections;
};

/* `thread` of `threads`; `run` makes the keys of this run unlike those of any other. */
void workload_init(struct workload *workload, const struct workload_plan *plan,
                   unsigned connections, unsigned thread, unsigned threads, uint64_t run);
void workload_deinit(struct workload *workload);
struct script workload_script(struct workload *workload);

/* Counts a number of decimal digits up by one, in place. */
void workload_count_up(char *digits, size_t size);

#endif
