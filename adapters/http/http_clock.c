/* http_clock.c - the time and the chance of the server: all other files ask here. */
#include "holdfast/check.h"
#include "http_internal.h"

uint64_t http_now_us(void)
{
  return uv_hrtime() / 1000;
}

uint64_t http_now_ms(const struct http_loop *loop)
{
  return uv_now(loop->uv);
}

void http_seeds(uint64_t ret_seeds[2])
{
  CHECK(uv_random(NULL, NULL, ret_seeds, 2 * sizeof ret_seeds[0], 0, NULL) == 0);
}
