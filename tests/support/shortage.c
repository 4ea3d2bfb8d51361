/* shortage.c - see shortage.h. */
#include "tests/support/shortage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "holdfast/check.h"

static int highest_descriptor(void)
{
  int highest = -1;
  DIR *folder = opendir("/proc/self/fd");

  CHECK(folder != NULL);
  for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    const int fd = (int)strtol(entry->d_name, NULL, 10);

    highest = fd > highest && fd != dirfd(folder) ? fd : highest;
  }
  CHECK(closedir(folder) == 0);
  return highest;
}

void shortage_begin(struct shortage *shortage, unsigned count)
{
  const int highest = highest_descriptor();
  int last = -1;

  shortage->fillers_count = 0;
  while (last <= highest) {
    CHECK(shortage->fillers_count < SHORTAGE_FILLERS_MAX);
    /* ThreadSanitizer follows open(), and would take F_DUPFD's for a descriptor of before. */
    last = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(last >= 0);
    shortage->fillers[shortage->fillers_count++] = last;
  }
  CHECK(getrlimit(RLIMIT_NOFILE, &shortage->before) == 0);
  struct rlimit few = shortage->before;
  few.rlim_cur = (rlim_t)last + 1u + count;
  CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
}

void shortage_end(struct shortage *shortage)
{
  CHECK(setrlimit(RLIMIT_NOFILE, &shortage->before) == 0);
  for (unsigned i = 0; i < shortage->fillers_count; i++)
    CHECK(close(shortage->fillers[i]) == 0);
  shortage->fillers_count = 0;
}
