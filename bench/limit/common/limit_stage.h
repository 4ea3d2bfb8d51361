/* limit_stage.h - ready commits for the programs that measure R: users, judged ops, batches and
 * hashes, as the user actors and the store actor make them.
 *
 * A share is what one connection commits: every shares-th partition and the users in them.
 * Owner and thread: one, the program's main; it makes all shares, one after the other.
 * Every failure ends the program with status 1 and a sentence on stderr. */
#ifndef BENCH_LIMIT_STAGE_H
#define BENCH_LIMIT_STAGE_H

#include "actors/store/port.h"
#include "actors/store/unit.h"

#define LIMIT_BATCH_MAX 8192u
#define LIMIT_USERS_MAX 10000000u

struct limit_partition {
  uint64_t epoch, next_batch, next_seq, next_serial;
  struct hf_hash head;
};

struct limit {
  struct store_engine *engine; /* borrowed */
  unsigned bits, share, shares;
  bool probe; /* look every idempotency key up */
  struct limit_partition *partitions;
  struct ledger_user *users;
  size_t users_count;
  uint64_t keys;   /* made so far; each key is new */
  uint64_t random; /* never 0 */
  struct ledger_result result;
  struct hf_arena arena; /* of the units that are prepared */
};

/* Opens the share's partitions in a database without entries, and makes its part of the users, with
 * funds; share 0 makes the asset. The number of shares divides the number of partitions. */
void limit_init(struct limit *limit, struct store_engine *engine, unsigned share, unsigned shares,
                size_t users, bool probe);
void limit_deinit(struct limit *limit);
/* A commit of `batch` spends by users drawn uniformly, which must be executed in the order in which
 * it was made. Its units live until limit_units_free; free the request itself before. */
struct store_request *limit_commit_make(struct limit *limit, size_t batch);
void limit_units_free(struct limit *limit);
/* Runs the request on the engine; anything but STORE_OK ends the program. */
void limit_execute(struct limit *limit, struct store_request *request);

_Noreturn void limit_fail(const char *what, const char *why);
double limit_now_s(void); /* monotonic */
/* The value of an option, within its range. */
double limit_number(const char *name, const char *text, double min, double max);

#endif
