/* pg_cluster.c - see pg_cluster.h.
 *
 * Happy path: initdb, write the settings, start postgres as a child, wait until its pid file says
 * "ready", create the database.
 * Ways to fail: the port was taken between its choice and the start: another one is chosen, until
 * the server has run once. Anything else fails the test.
 * Invariants: `server` is the child's id while it runs and has not been waited for, else 0. */
#include "tests/support/pg_cluster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
  PATH_SIZE = 512,
  PORT_TRIES = 20,
  READY_TRIES = 6000, /* of POLL_MS: a minute, for a machine under load and a long recovery */
  POLL_MS = 10,
  LOG_TAIL = 2000
};

struct pg_cluster {
  char folder[PATH_SIZE / 2]; /* data/, log, and the sockets */
  char programs[PATH_SIZE / 2];
  int port;
  pid_t server;
  bool has_run; /* the port is kept from then on */
  bool drops;   /* to the user below */
  uid_t user;
  gid_t group;
};

static void path_of(const struct pg_cluster *cluster, const char *name, char ret_path[PATH_SIZE])
{
  int size = snprintf(ret_path, PATH_SIZE, "%s/%s", cluster->folder, name);

  assert_true(size > 0 && size < PATH_SIZE);
}

/* Fails the test with the end of the server's log. */
static void fail_with_log(const struct pg_cluster *cluster, const char *what)
{
  char path[PATH_SIZE], tail[LOG_TAIL + 1] = "";
  FILE *log;

  path_of(cluster, "log", path);
  log = fopen(path, "re");
  if (log != NULL) {
    (void)fseek(log, 0, SEEK_END);
    (void)fseek(log, ftell(log) > LOG_TAIL ? -LOG_TAIL : -ftell(log), SEEK_END);
    tail[fread(tail, 1, LOG_TAIL, log)] = '\0';
    (void)fclose(log);
  }
  fail_msg("PostgreSQL: %s\n%s", what, tail);
}

/* ---- programs -------------------------------------------------------------------------------- */

/* In the child: nothing but calls that are allowed after a fork of a program with threads. The
 * death signal is asked for last, because a change of user takes it away. */
static void become(const struct pg_cluster *cluster, pid_t parent, int death_signal)
{
  if (cluster->drops &&
      (setgroups(0, NULL) != 0 || setgid(cluster->group) != 0 || setuid(cluster->user) != 0))
    _exit(126);
  if (prctl(PR_SET_PDEATHSIG, death_signal) != 0 || getppid() != parent)
    _exit(126);
}

/* Starts a program whose standard output and error go to `output`. */
static pid_t launch(const struct pg_cluster *cluster, int output, int death_signal,
                    char *const argv[])
{
  pid_t parent = getpid(), child = fork();

  assert_true(child >= 0);
  if (child == 0) {
    (void)dup2(output, STDOUT_FILENO);
    (void)dup2(output, STDERR_FILENO);
    become(cluster, parent, death_signal);
    if (chdir(cluster->folder) == 0)
      (void)execv(argv[0], argv);
    _exit(127);
  }
  return child;
}

static int wait_for(pid_t child)
{
  int status = 0;

  while (waitpid(child, &status, 0) != child)
    assert_int_equal(errno, EINTR);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Runs a program to its end and returns its status; what it printed is in `text`, cut at `size`. */
static int capture(const struct pg_cluster *cluster, char *const argv[], char *text, size_t size)
{
  char rest[256];
  size_t count = 0;
  int ends[2];
  ssize_t got;
  pid_t child;

  assert_int_equal(pipe(ends), 0);
  child = launch(cluster, ends[1], SIGKILL, argv);
  (void)close(ends[1]);
  do {
    bool full = count + 1 >= size;

    got = full ? read(ends[0], rest, sizeof rest) : read(ends[0], text + count, size - count - 1);
    if (got > 0 && !full)
      count += (size_t)got;
  } while (got > 0 || (got < 0 && errno == EINTR));
  (void)close(ends[0]);
  if (size > 0)
    text[count] = '\0';
  return wait_for(child);
}

/* Runs a program of PostgreSQL, which must succeed. */
static void run(const struct pg_cluster *cluster, char *const arguments[], char *text, size_t size)
{
  char program[PATH_SIZE];
  char *argv[24] = {program};
  int status;

  (void)snprintf(program, sizeof program, "%s/%s", cluster->programs, arguments[0]);
  for (size_t i = 1; arguments[i] != NULL; i++) {
    assert_true(i + 1 < sizeof argv / sizeof *argv);
    argv[i] = arguments[i];
  }
  status = capture(cluster, argv, text, size);
  if (status != 0) {
    (void)fprintf(stderr, "%s ended with %d: %s\n", program, status, size > 0 ? text : "");
    fail_with_log(cluster, arguments[0]);
  }
}

/* The folder of the newest server's programs: what pg_config names, else the usual places. */
static void find_programs(struct pg_cluster *cluster)
{
  static const char *const patterns[] = {"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
                                         "/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"};
  char path[PATH_SIZE], env[] = "/usr/bin/env", config[] = "pg_config", flag[] = "--bindir";
  char *argv[] = {env, config, flag, NULL};
  long best = -1;

  if (capture(cluster, argv, cluster->programs, sizeof cluster->programs) == 0) {
    cluster->programs[strcspn(cluster->programs, "\n")] = '\0';
    (void)snprintf(path, sizeof path, "%s/initdb", cluster->programs);
    if (access(path, X_OK) == 0)
      return;
  }
  for (size_t i = 0; i < sizeof patterns / sizeof *patterns && best < 0; i++) {
    glob_t found;

    if (glob(patterns[i], 0, NULL, &found) != 0)
      continue;
    for (size_t j = 0; j < found.gl_pathc; j++) {
      const char *digits = strpbrk(found.gl_pathv[j], "0123456789");
      long version = digits == NULL ? 0 : strtol(digits, NULL, 10);

      (void)snprintf(path, sizeof path, "%s/initdb", found.gl_pathv[j]);
      if (version <= best || access(path, X_OK) != 0)
        continue;
      best = version;
      (void)snprintf(cluster->programs, sizeof cluster->programs, "%s", found.gl_pathv[j]);
    }
    globfree(&found);
  }
  if (best < 0)
    fail_msg("PostgreSQL's programs are not here: ./dev test installs them");
}

/* ---- the folder ------------------------------------------------------------------------------ */

static void find_user(struct pg_cluster *cluster)
{
  const struct passwd *entry;

  if (geteuid() != 0)
    return;
  entry = getpwnam("postgres");
  if (entry == NULL)
    entry = getpwnam("nobody");
  assert_non_null(entry);
  cluster->drops = true;
  cluster->user = entry->pw_uid;
  cluster->group = entry->pw_gid;
}

static void make_folder(struct pg_cluster *cluster)
{
  const char *base = getenv("TMPDIR");
  int size = snprintf(cluster->folder, sizeof cluster->folder, "%s/holdfast-pg-XXXXXX",
                      base == NULL ? "/tmp" : base);

  /* A socket's path has 107 bytes; its name takes about 20. */
  assert_true(size > 0 && size < 80);
  assert_non_null(mkdtemp(cluster->folder));
  if (cluster->drops)
    assert_int_equal(chown(cluster->folder, cluster->user, cluster->group), 0);
}

static void write_settings(const struct pg_cluster *cluster, const char *settings)
{
  char path[PATH_SIZE];
  FILE *file;

  path_of(cluster, "data/postgresql.conf", path);
  file = fopen(path, "ae");
  assert_non_null(file);
  (void)fprintf(file,
                "listen_addresses = '127.0.0.1'\n"
                "unix_socket_directories = '%s'\n"
                "shared_buffers = 32MB\n"
                "fsync = on\n"
                "synchronous_commit = on\n"
                "recovery_init_sync_method = syncfs\n"
                "dynamic_shared_memory_type = mmap\n%s\n",
                cluster->folder, settings == NULL ? "" : settings);
  assert_int_equal(fclose(file), 0);
}

/* ---- start and stop -------------------------------------------------------------------------- */

static int free_port(void)
{
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  assert_true(descriptor >= 0);
  assert_int_equal(bind(descriptor, (struct sockaddr *)&address, size), 0);
  assert_int_equal(getsockname(descriptor, (struct sockaddr *)&address, &size), 0);
  (void)close(descriptor);
  return ntohs(address.sin_port);
}

/* The last line of the pid file is the state; it is padded with blanks. */
static bool is_ready(const struct pg_cluster *cluster)
{
  char path[PATH_SIZE], line[PATH_SIZE], state[PATH_SIZE] = "";
  long owner = 0;
  int number = 0;
  FILE *file;

  path_of(cluster, "data/postmaster.pid", path);
  file = fopen(path, "re");
  if (file == NULL)
    return false;
  while (fgets(line, sizeof line, file) != NULL) {
    if (++number == 1)
      owner = strtol(line, NULL, 10);
    (void)snprintf(state, sizeof state, "%s", line);
  }
  (void)fclose(file);
  return owner == (long)cluster->server && number >= 8 && strncmp(state, "ready", 5) == 0;
}

/* True when the server takes connections, false when it ended. */
static bool try_start(struct pg_cluster *cluster)
{
  char program[PATH_SIZE], port[16], log_path[PATH_SIZE];
  char *argv[] = {program, "-D", "data", "-p", port, NULL};
  FILE *log;

  (void)snprintf(program, sizeof program, "%s/postgres", cluster->programs);
  (void)snprintf(port, sizeof port, "%d", cluster->port);
  path_of(cluster, "log", log_path);
  log = fopen(log_path, "ae");
  assert_non_null(log);
  /* SIGQUIT is the immediate stop: the server takes its backends with it. */
  cluster->server = launch(cluster, fileno(log), SIGQUIT, argv);
  (void)fclose(log);
  for (int i = 0; i < READY_TRIES; i++) {
    if (waitpid(cluster->server, NULL, WNOHANG) == cluster->server) {
      cluster->server = 0;
      return false;
    }
    if (is_ready(cluster))
      return true;
    (void)poll(NULL, 0, POLL_MS);
  }
  fail_with_log(cluster, "does not get ready");
  return false;
}

void pg_cluster_start(struct pg_cluster *cluster)
{
  assert_int_equal(cluster->server, 0);
  for (int i = 0; i < PORT_TRIES; i++) {
    if (!cluster->has_run)
      cluster->port = free_port();
    if (try_start(cluster)) {
      cluster->has_run = true;
      return;
    }
    if (cluster->has_run)
      break;
  }
  fail_with_log(cluster, "does not start");
}

void pg_cluster_stop(struct pg_cluster *cluster, enum pg_cluster_stop mode)
{
  static const int signals[] = {SIGTERM, SIGINT, SIGQUIT};

  assert_int_not_equal(cluster->server, 0);
  assert_int_equal(kill(cluster->server, signals[mode]), 0);
  (void)wait_for(cluster->server);
  cluster->server = 0;
}

void pg_cluster_restart(struct pg_cluster *cluster, enum pg_cluster_stop mode)
{
  pg_cluster_stop(cluster, mode);
  pg_cluster_start(cluster);
}

struct pg_cluster *pg_cluster_new(const char *settings)
{
  struct pg_cluster *cluster = calloc(1, sizeof *cluster);
  char *initdb[] = {"initdb", "-D",       "data", "-U", "holdfast",      "-A", "trust", "-E",
                    "UTF8",   "--locale", "C",    "-N", "--wal-segsize", "4",  NULL};
  char text[LOG_TAIL];

  assert_non_null(cluster);
  find_user(cluster);
  make_folder(cluster);
  find_programs(cluster);
  run(cluster, initdb, text, sizeof text);
  write_settings(cluster, settings);
  pg_cluster_start(cluster);
  pg_cluster_create_database(cluster, "holdfast");
  return cluster;
}

struct pg_cluster *pg_cluster_standby(const struct pg_cluster *primary)
{
  struct pg_cluster *cluster = calloc(1, sizeof *cluster);
  char port[16], folder[PATH_SIZE], text[LOG_TAIL];
  char *backup[] = {"pg_basebackup", "-D", "data", "-R",   "-X", "stream", "-c",
                    "fast",          "-N", "-h",   folder, "-p", port,     "-U",
                    "holdfast",      NULL};

  assert_non_null(cluster);
  (void)snprintf(port, sizeof port, "%d", primary->port);
  (void)snprintf(folder, sizeof folder, "%s", primary->folder);
  find_user(cluster);
  make_folder(cluster);
  find_programs(cluster);
  run(cluster, backup, text, sizeof text);
  write_settings(cluster, "wal_retrieve_retry_interval = 100ms");
  pg_cluster_start(cluster);
  return cluster;
}

void pg_cluster_free(struct pg_cluster *cluster)
{
  char *argv[4];

  if (cluster == NULL)
    return;
  if (cluster->server != 0)
    pg_cluster_stop(cluster, PG_CLUSTER_IMMEDIATE);
  argv[0] = "/bin/rm";
  argv[1] = "-rf";
  argv[2] = cluster->folder;
  argv[3] = NULL;
  /* As the test's own user: the folder above may not belong to the server's. */
  cluster->drops = false;
  assert_int_equal(wait_for(launch(cluster, STDERR_FILENO, SIGKILL, argv)), 0);
  free(cluster);
}

/* ---- use ------------------------------------------------------------------------------------- */

int pg_cluster_port(const struct pg_cluster *cluster)
{
  return cluster->port;
}

void pg_cluster_dsn(const struct pg_cluster *cluster, const char *database,
                    char ret_dsn[PG_CLUSTER_DSN_SIZE])
{
  int size =
    snprintf(ret_dsn, PG_CLUSTER_DSN_SIZE, "postgres://holdfast@127.0.0.1:%d/%s?sslmode=disable",
             cluster->port, database == NULL ? "holdfast" : database);

  assert_true(size > 0 && size < PG_CLUSTER_DSN_SIZE);
}

void pg_cluster_create_database(struct pg_cluster *cluster, const char *database)
{
  char sql[PATH_SIZE];

  (void)snprintf(sql, sizeof sql, "create database \"%s\"", database);
  pg_cluster_sql(cluster, "postgres", sql, NULL, 0);
}

void pg_cluster_sql(struct pg_cluster *cluster, const char *database, const char *sql,
                    char *ret_text, size_t size)
{
  char port[16], name[PATH_SIZE], statement[8192], text[LOG_TAIL];
  char *argv[] = {"psql", "-XAtq",   "-v", "ON_ERROR_STOP=1", "-h", cluster->folder,
                  "-p",   port,      "-U", "holdfast",        "-d", name,
                  "-c",   statement, NULL};

  (void)snprintf(port, sizeof port, "%d", cluster->port);
  (void)snprintf(name, sizeof name, "%s", database == NULL ? "holdfast" : database);
  assert_true((size_t)snprintf(statement, sizeof statement, "%s", sql) < sizeof statement);
  run(cluster, argv, ret_text == NULL ? text : ret_text, ret_text == NULL ? sizeof text : size);
}

bool pg_cluster_logged(const struct pg_cluster *cluster, const char *text)
{
  char path[PATH_SIZE], line[2048];
  bool found = false;
  FILE *log;

  path_of(cluster, "log", path);
  log = fopen(path, "re");
  assert_non_null(log);
  while (!found && fgets(line, sizeof line, log) != NULL)
    found = strstr(line, text) != NULL;
  (void)fclose(log);
  return found;
}

void pg_cluster_pause(struct pg_cluster *cluster, pid_t backend)
{
  assert_int_not_equal(cluster->server, 0);
  assert_int_equal(kill(backend, SIGSTOP), 0);
}

void pg_cluster_resume(struct pg_cluster *cluster, pid_t backend)
{
  assert_int_not_equal(cluster->server, 0);
  assert_int_equal(kill(backend, SIGCONT), 0);
}
