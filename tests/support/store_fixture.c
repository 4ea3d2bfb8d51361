/* store_fixture.c - see store_fixture.h. */
#include "tests/support/store_fixture.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/store_memory/store_memory.h"
#include "adapters/store_sqlite/store_sqlite.h"

struct store_engine *fixture_engine_memory(struct store_fixture *fixture)
{
  fixture->engine = store_memory_new(FIXTURE_PARTITION_BITS);
  return fixture->engine;
}

struct store_engine *fixture_engine_sqlite(struct store_fixture *fixture)
{
  const char *base = getenv("TMPDIR");
  char path[sizeof fixture->folder + 16], why[256] = "";
  struct store_sqlite_config config = {.path = path,
                                       .partition_bits = FIXTURE_PARTITION_BITS,
                                       .readers = 2,
                                       .cache_bytes = 8u << 20,
                                       .migrate = true};
  int size = snprintf(fixture->folder, sizeof fixture->folder, "%s/holdfast-store-XXXXXX",
                      base == NULL ? "/tmp" : base);

  assert_true(size > 0 && (size_t)size < sizeof fixture->folder);
  assert_non_null(mkdtemp(fixture->folder));
  (void)snprintf(path, sizeof path, "%s/store.db", fixture->folder);
  if (store_sqlite_open(&config, &fixture->engine, why) != HF_OK)
    fail_msg("the SQLite store does not open: %s", why);
  return fixture->engine;
}

static void folder_remove(const char *folder)
{
  DIR *listing = opendir(folder);

  assert_non_null(listing);
  for (const struct dirent *file = readdir(listing); file != NULL; file = readdir(listing)) {
    char path[1024];

    if (strcmp(file->d_name, ".") == 0 || strcmp(file->d_name, "..") == 0)
      continue;
    (void)snprintf(path, sizeof path, "%s/%s", folder, file->d_name);
    assert_int_equal(unlink(path), 0);
  }
  (void)closedir(listing);
  assert_int_equal(rmdir(folder), 0);
}

void fixture_engine_close(struct store_fixture *fixture)
{
  fixture->engine->ops->close(fixture->engine);
  fixture->engine = NULL;
  if (fixture->folder[0] != '\0')
    folder_remove(fixture->folder);
  fixture->folder[0] = '\0';
}

static int setup(void **state, struct store_engine *(*open)(struct store_fixture *fixture))
{
  struct store_fixture *fixture = rt_alloc(sizeof *fixture);

  *state = fixture;
  world_init(&fixture->world, open(fixture));
  return 0;
}

int fixture_setup_memory(void **state)
{
  return setup(state, fixture_engine_memory);
}

int fixture_setup_sqlite(void **state)
{
  return setup(state, fixture_engine_sqlite);
}

int fixture_teardown(void **state)
{
  struct store_fixture *fixture = *state;

  world_deinit(&fixture->world);
  fixture_engine_close(fixture);
  rt_free(fixture);
  return 0;
}
