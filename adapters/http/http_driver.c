/* http_driver.c - the one place where the server meets the runtime's driver. */
#include "holdfast/check.h"
#include "holdfast/driver.h"
#include "http_internal.h"

struct http_loop *http_loop_new(rt_ctx *ctx, const char *host, uint16_t port,
                                const struct http_limits *limits, http_handler handler,
                                http_head_check head_check, const struct http_observer *observer,
                                void *user)
{
  CHECK(ctx != NULL);
  return http_loop_new_on(driver_uv_loop(ctx), ctx, host, port, limits, handler, head_check,
                          observer, user);
}
