/* The ring's memory: the header and the slots lie on lines of their own. */
#include "ring.h"

#include "holdfast/check.h"

struct ring *ring_new(unsigned size)
{
  CHECK(size >= 2 && (size & (size - 1)) == 0);
  struct ring *ring = mem_lines(sizeof *ring);
  ring->size = size;
  ring->slots = mem_lines(size * sizeof *ring->slots);
  return ring;
}

void ring_free(struct ring *ring)
{
  if (ring == NULL) {
    return;
  }
  rt_free(ring->slots);
  rt_free(ring);
}
