/* limit_pgbench.h - commits for pgbench: one table per statement of a round, whose rows are the
 * arguments of one commit, and a script that runs the statements with them.
 *
 * The adapter's text is taken as it is; only each parameter becomes a look-up of its column by the
 * primary key (client, turn). Owner: the program that measures. Failures end the program. */
#ifndef BENCH_LIMIT_PGBENCH_H
#define BENCH_LIMIT_PGBENCH_H

#include "bench/limit/common/limit_round.h"

/* Makes the tables for rounds of this form and writes the script. The connection has the statements
 * prepared (limit_round_prepare) and is not in pipeline mode. */
void limit_pgbench_begin(PGconn *connection, const char *script, const struct limit_round *round);
void limit_pgbench_add(PGconn *connection, unsigned client, size_t turn,
                       const struct limit_round *round);
/* Statistics for the planner. */
void limit_pgbench_end(PGconn *connection, const struct limit_round *round);

#endif
