/* bench_hash.c - what SHA-256 costs at the sizes that an entry, a request and a batch have.
 *
 * Prints nanoseconds per hash; the best of several rounds, because the machine is shared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "holdfast/check.h"
#include "holdfast/hash.h"

#define ROUNDS 15
#define ROUND_NS 10000000u

static uint64_t now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* `head` bytes and `body` bytes as one message; 0 and all: the plain hash. */
static double measure(const uint8_t *data, size_t head, size_t body)
{
  double best = 1e18;
  for (unsigned round = 0; round < ROUNDS; round++) {
    const uint64_t start = now_ns();
    uint64_t count = 0, end;
    uint8_t sink = 0;
    do {
      for (unsigned i = 0; i < 16; i++)
        sink ^= hf_sha256_pair(data, head, data + head, body).bytes[0];
      count += 16;
      end = now_ns();
    } while (end - start < ROUND_NS);
    CHECK(sink == 0); /* an even number of the same */
    const double each = (double)(end - start) / (double)count;
    best = each < best ? each : best;
  }
  return best;
}

int main(void)
{
  static const size_t sizes[] = {32, 64, 128, 160, 256, 512, 1024, 4096, 65536};
  static uint8_t data[65536 + 32];
  memset(data, 0x5a, sizeof data);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    const double plain = measure(data, 0, sizes[i]);
    const double pair = measure(data, 32, sizes[i]);
    printf("%6zu bytes  %9.1f ns  %6.0f MB/s   after a 32-byte head %9.1f ns\n", sizes[i], plain,
           (double)sizes[i] * 1000.0 / plain, pair);
  }
  return EXIT_SUCCESS;
}
