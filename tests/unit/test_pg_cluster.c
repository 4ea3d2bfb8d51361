/* test_pg_cluster.c - the PostgreSQL server that tests start. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/pg_cluster.h"

static void test_cluster_when_stopped_like_a_crash_then_committed_rows_are_there(void **state)
{
  struct pg_cluster *cluster = pg_cluster_new("max_connections = 20");
  char text[64], dsn[PG_CLUSTER_DSN_SIZE];
  int port = pg_cluster_port(cluster);

  (void)state;
  pg_cluster_create_database(cluster, "other");
  pg_cluster_sql(cluster, "other", "create table t as select 7 as n", NULL, 0);
  pg_cluster_restart(cluster, PG_CLUSTER_IMMEDIATE);
  pg_cluster_sql(cluster, "other", "select n, current_setting('fsync') from t", text, sizeof text);
  assert_string_equal(text, "7|on\n");
  pg_cluster_restart(cluster, PG_CLUSTER_FAST);
  pg_cluster_sql(cluster, NULL, "show max_connections", text, sizeof text);
  assert_string_equal(text, "20\n");
  assert_int_equal(pg_cluster_port(cluster), port);
  pg_cluster_dsn(cluster, NULL, dsn);
  assert_non_null(strstr(dsn, "/holdfast?sslmode=disable"));
  pg_cluster_free(cluster);
}

/* The server inherits the pipe of the test that dies: the end of the pipe is the end of both. */
static void test_cluster_when_the_test_dies_then_the_server_ends(void **state)
{
  int ends[2], status = 0;
  char folder[PG_CLUSTER_DSN_SIZE] = "", rest[64];
  pid_t child;

  (void)state;
  assert_int_equal(pipe(ends), 0);
  child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    struct pg_cluster *cluster = pg_cluster_new(NULL);

    pg_cluster_sql(cluster, NULL, "show data_directory", folder, sizeof folder);
    (void)!write(ends[1], folder, strlen(folder));
    (void)kill(getpid(), SIGKILL);
  }
  (void)close(ends[1]);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  assert_true(read(ends[0], folder, sizeof folder - 1) > 0);
  assert_int_equal(read(ends[0], rest, sizeof rest), 0);
  (void)close(ends[0]);
  *strrchr(folder, '/') = '\0';
  child = fork();
  if (child == 0) {
    (void)execl("/bin/rm", "rm", "-rf", folder, (char *)NULL);
    _exit(127);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_cluster_when_stopped_like_a_crash_then_committed_rows_are_there),
    cmocka_unit_test(test_cluster_when_the_test_dies_then_the_server_ends),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
