/* pg_cluster.h - a PostgreSQL server of its own for a test: own folder, own port, own process.
 *
 * `initdb` makes it in a folder below $TMPDIR; it listens on 127.0.0.1 at a free port and on a
 * socket in that folder; fsync and synchronous_commit are on, as in production. PostgreSQL refuses
 * to run as root: a test that is root runs it as the user postgres. When the test dies, however it
 * dies, the kernel ends the server (PR_SET_PDEATHSIG); only the folder is left then.
 * Owner: a test. Thread: the one that made it, and that must live as long as the server.
 * A step that fails fails the test, with the server's log. */
#ifndef HOLDFAST_TESTS_PG_CLUSTER_H
#define HOLDFAST_TESTS_PG_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PG_CLUSTER_DSN_SIZE = 256 };

/* SMART waits for clients to leave; FAST ends their sessions; IMMEDIATE is a crash: no checkpoint,
 * the next start recovers from the log. */
enum pg_cluster_stop { PG_CLUSTER_SMART, PG_CLUSTER_FAST, PG_CLUSTER_IMMEDIATE };

struct pg_cluster;

/* Starts one with the database `holdfast`. `settings`: lines of postgresql.conf that are added, or
 * NULL. Returns when it takes connections. */
struct pg_cluster *pg_cluster_new(const char *settings);
/* A streaming standby of a server that runs, with a folder and a port of its own. Returns when it
 * takes connections; it replays on its own time. */
struct pg_cluster *pg_cluster_standby(const struct pg_cluster *primary);
/* Stops it and removes its folder; NULL is allowed. */
void pg_cluster_free(struct pg_cluster *cluster);

/* A name that holdfast --store and libpq take: postgres://holdfast@127.0.0.1:PORT/DATABASE. The
 * role is a superuser and needs no password. NULL: the database `holdfast`. */
void pg_cluster_dsn(const struct pg_cluster *cluster, const char *database,
                    char ret_dsn[PG_CLUSTER_DSN_SIZE]);
int pg_cluster_port(const struct pg_cluster *cluster);
void pg_cluster_create_database(struct pg_cluster *cluster, const char *database);
/* Runs SQL through psql, each statement in a transaction of its own; what the last one gives is
 * written to ret_text as rows of values with | between them, cut at `size`; NULL, 0: not wanted. */
void pg_cluster_sql(struct pg_cluster *cluster, const char *database, const char *sql,
                    char *ret_text, size_t size);

/* Whether the server's log has a text by now. */
bool pg_cluster_logged(const struct pg_cluster *cluster, const char *text);

/* Ends the server and waits for it; it must run. start brings it up again on the same port. */
void pg_cluster_stop(struct pg_cluster *cluster, enum pg_cluster_stop mode);
void pg_cluster_start(struct pg_cluster *cluster);
void pg_cluster_restart(struct pg_cluster *cluster, enum pg_cluster_stop mode);

/* Stops one of its processes in its tracks (SIGSTOP; a backend's id comes from PQbackendPID or
 * pg_stat_activity), and lets it go on. */
void pg_cluster_pause(struct pg_cluster *cluster, pid_t backend);
void pg_cluster_resume(struct pg_cluster *cluster, pid_t backend);

#endif
