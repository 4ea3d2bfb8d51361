/* options.h - every option of the program: one table for flags, environment, file, --help, docs.
 *
 * Precedence: flag > environment (HOLDFAST_<NAME>, or HOLDFAST_<NAME>_FILE for a secret) >
 * configuration file (--config, INI: name = value) > default. An unknown option, or a value out of
 * range, ends the program with exit code 2. */
#ifndef HOLDFAST_OPTIONS_H
#define HOLDFAST_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* X(name, flag, type, default, min, max, commands, help). type: TEXT, SECRET, PLACE, NUMBER, BOOL;
 * min and max are for numbers. A PLACE is a secret when there is a password in it, and else a text.
 * The environment's name is the flag's in capitals. */
#define OPTIONS(X)                                                                                 \
  X(data, "data", TEXT, "./data", 0, 0, "all", "Data folder of the embedded store")                \
  X(store, "store", PLACE, "", 0, 0, "all",                                                        \
    "postgres://..., keywords of libpq, sqlite:PATH, or memory; default: holdfast.db in --data")   \
  X(config, "config", TEXT, "", 0, 0, "all", "Configuration file (name = value)")                  \
  X(json, "json", BOOL, "false", 0, 0, "all", "Machine-readable output")                           \
  X(migrate, "migrate", TEXT, "auto", 0, 0, "all", "auto: apply migrations; off: refuse")          \
  X(listen, "listen", TEXT, "127.0.0.1:8080", 0, 0, "serve", "HOST:PORT; port 0 picks one")        \
  X(admin_listen, "admin-listen", TEXT, "", 0, 0, "serve",                                         \
    "HOST:PORT that alone serves /livez, /readyz and /metrics")                                    \
  X(workers, "workers", NUMBER, "0", 0, 64, "serve import", "Loops; 0: one per core")              \
  X(readers, "readers", NUMBER, "2", 1, 16, "serve import", "Threads that read the store")         \
  X(window, "window", NUMBER, "2", 1, 16, "serve import",                                          \
    "Commits that a loop may have under way")                                                      \
  X(batch_units, "batch-units", NUMBER, "8192", 1, 65536, "serve import", "Ops in one commit")     \
  X(queue_units, "queue-units", NUMBER, "65536", 1, 1048576, "serve import",                       \
    "Ops that wait for a commit before new ones are refused")                                      \
  X(live_users, "live-users", NUMBER, "500000", 100, 100000000, "serve import",                    \
    "Users kept awake in memory, per loop")                                                        \
  X(cache_mib, "cache-mib", NUMBER, "256", 4, 65536, "serve import", "Page cache of the store")    \
  X(partition_bits, "partition-bits", NUMBER, "4", 0, 10, "serve import migrate",                  \
    "log2 of the partitions, when the database is made")                                           \
  X(replica_dsn, "replica-dsn", PLACE, "", 0, 0, "serve",                                          \
    "A PostgreSQL replica that history is read from while it lags little")                         \
  X(replica_lag_ms, "replica-lag-ms", NUMBER, "5000", 0, 86400000, "serve",                        \
    "More lag of the replica than that: the primary is read")                                      \
  X(pg_commits, "pg-commits", NUMBER, "1", 1, 16, "serve import",                                  \
    "PostgreSQL: connections of a loop that commit")                                               \
  X(pg_readers, "pg-readers", NUMBER, "2", 1, 16, "serve import",                                  \
    "PostgreSQL: connections of a loop that read")                                                 \
  X(pg_connect_timeout_ms, "pg-connect-timeout-ms", NUMBER, "5000", 10, 600000, "all",             \
    "PostgreSQL: an attempt to connect ends then")                                                 \
  X(pg_statement_timeout_ms, "pg-statement-timeout-ms", NUMBER, "10000", 10, 3600000, "all",       \
    "PostgreSQL: the server ends a statement then")                                                \
  X(pg_lock_timeout_ms, "pg-lock-timeout-ms", NUMBER, "3000", 10, 3600000, "all",                  \
    "PostgreSQL: the server ends a wait for a lock then")                                          \
  X(lease_ms, "lease-ms", NUMBER, "5000", 500, 600000, "serve import",                             \
    "PostgreSQL: when this node is silent, its partitions are taken over within that time")        \
  X(own, "own", TEXT, "auto", 0, 0, "serve import",                                                \
    "PostgreSQL: auto: a fair share of the partitions; none: only pass requests on")               \
  X(node_listen, "node-listen", TEXT, "127.0.0.1:0", 0, 0, "serve import",                         \
    "PostgreSQL: HOST:PORT where the other nodes reach this one; port 0 picks one")                \
  X(op_timeout_ms, "op-timeout-ms", NUMBER, "10000", 10, 600000, "serve",                          \
    "An operation that is not judged by then is refused")                                          \
  X(handler_timeout_ms, "handler-timeout-ms", NUMBER, "10000", 10, 600000, "serve",                \
    "A request without an answer by then gets 503")                                                \
  X(idle_timeout_ms, "idle-timeout-ms", NUMBER, "75000", 10, 86400000, "serve",                    \
    "Keep-alive connections close after that long")                                                \
  X(write_timeout_ms, "write-timeout-ms", NUMBER, "30000", 10, 86400000, "serve",                  \
    "A client that takes less than 16 KiB of its reply in that long is disconnected")              \
  X(streams, "streams", NUMBER, "1000", 0, 1000000, "serve", "Open change streams, in all")        \
  X(stream_beat_ms, "stream-beat-ms", NUMBER, "15000", 10, 86400000, "serve",                      \
    "An idle change stream says that it is alive that often")                                      \
  X(sweep_ms, "sweep-ms", NUMBER, "1000", 0, 86400000, "serve",                                    \
    "Pause between looks for expired holds; 0: only when their users are touched")                 \
  X(project_ms, "project-ms", NUMBER, "1000", 0, 86400000, "serve",                                \
    "Pause between steps of the balance projection; 0: never")                                     \
  X(connections, "connections", NUMBER, "20000", 1, 1000000, "serve", "Open connections, in all")  \
  X(per_address, "per-address", NUMBER, "100", 1, 1000000, "serve",                                \
    "Open connections per address")                                                                \
  X(loopback_capped, "loopback-capped", BOOL, "false", 0, 0, "serve",                              \
    "Per-address limits hold for loopback too")                                                    \
  X(rate_limit, "rate-limit", NUMBER, "0", 0, 1000000, "serve",                                    \
    "Requests per minute and service key; 0: no limit")                                            \
  X(allowed_origins, "allowed-origins", TEXT, "", 0, 0, "serve", "CORS origins, comma-separated")  \
  X(grace_ms, "grace-ms", NUMBER, "25000", 0, 600000, "serve", "Time to drain after SIGTERM")      \
  X(seal_dir, "seal-dir", TEXT, "", 0, 0, "serve ledger",                                          \
    "Folder of the signed seals, outside the database; default: seals in --data")                  \
  X(seal_every_s, "seal-every-s", NUMBER, "3600", 0, 31536000, "serve",                            \
    "Pause between seals; 0: none are made")                                                       \
  X(log_level, "log-level", TEXT, "info", 0, 0, "all", "debug, info, warning or error")            \
  X(admin_key, "admin-key", SECRET, "", 0, 0, "serve",                                             \
    "hfk_<id>_<secret>, admin for this process; by environment or file only")

struct options {
#define TEXT const char *
#define SECRET const char *
#define PLACE const char *
#define NUMBER uint64_t
#define BOOL bool
#define X(name, flag, type, fallback, min, max, commands, help) type name;
  OPTIONS(X)
#undef X
#undef TEXT
#undef SECRET
#undef PLACE
#undef NUMBER
#undef BOOL
  /* What is left on the command line after the options. */
  char **arguments;
  int arguments_count;
};

/* Reads argv[2..] for the command argv[1]. `extra` are the command's own flags: those are left,
 * with their values, in arguments. Prints what is wrong to stderr and returns false. */
struct option_extra {
  const char *flag;
  bool takes_value;
  const char *help;
  const char *value; /* out: NULL when absent; "" for a flag without value */
};
bool options_read(struct options *options, const char *command, int argc, char **argv,
                  struct option_extra *extra);
void options_help(const char *command, const struct option_extra *extra);
void options_free(struct options *options);

#endif
