/* limit_fsync - how many times per second this disk makes 8 KiB durable: the floor under every
 * commit. Appends and calls fdatasync in a loop; prints one JSON object.
 *
 * usage: limit_fsync FOLDER SECONDS (0.1..60). The file is removed again. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WRITE_SIZE 8192u
#define FILE_SIZE_MAX (256u << 20) /* then it starts again at the beginning */
#define SAMPLES_MAX 4000000u

static double now_s(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int compare(const void *left, const void *right)
{
  uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
  return a < b ? -1 : a > b;
}

static int give_up(const char *what)
{
  fprintf(stderr, "limit_fsync: %s: %s\n", what, strerror(errno));
  return 1;
}

/* Fills samples with the times in microseconds; returns how many, 0 when the disk failed. */
static size_t measure(int file, double seconds, uint32_t *samples)
{
  static char block[WRITE_SIZE];
  memset(block, 0x5a, sizeof block);
  size_t count = 0;
  off_t at = 0;
  double end_s = now_s() + seconds;
  for (double before_s = now_s(); before_s < end_s && count < SAMPLES_MAX; count++) {
    if (pwrite(file, block, sizeof block, at) != (ssize_t)sizeof block || fdatasync(file) != 0)
      return 0;
    double after_s = now_s();
    samples[count] = (uint32_t)((after_s - before_s) * 1e6);
    before_s = after_s;
    at = at + (off_t)sizeof block >= (off_t)FILE_SIZE_MAX ? 0 : at + (off_t)sizeof block;
  }
  return count;
}

int main(int count, char **arguments)
{
  double seconds = count == 3 ? strtod(arguments[2], NULL) : 0.0;
  if (!(seconds >= 0.1 && seconds <= 60.0)) {
    fputs("usage: limit_fsync FOLDER SECONDS (0.1..60)\n", stderr);
    return 1;
  }
  char path[4096];
  if (snprintf(path, sizeof path, "%s/limit_fsync.tmp", arguments[1]) >= (int)sizeof path) {
    fputs("limit_fsync: the folder's name is too long\n", stderr);
    return 1;
  }
  int file = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0)
    return give_up(path);
  unlink(path);
  uint32_t *samples = calloc(SAMPLES_MAX, sizeof samples[0]);
  if (samples == NULL)
    return give_up("memory");
  double start_s = now_s();
  size_t done = measure(file, seconds, samples);
  double took_s = now_s() - start_s;
  close(file);
  if (done == 0)
    return give_up(path);
  qsort(samples, done, sizeof samples[0], compare);
  printf("{\"fsyncs_per_s\":%.1f,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u,\"write_bytes\":%u}\n",
         (double)done / took_s, samples[done / 2], samples[done * 99 / 100], samples[done - 1],
         WRITE_SIZE);
  free(samples);
  return 0;
}
