/* web_assets.h - the static files of web/, embedded into the binary at build time.
 *
 * Owner: constant data; any thread. Made by embed.c, which the build runs over web/. */
#ifndef HOLDFAST_WEB_ASSETS_H
#define HOLDFAST_WEB_ASSETS_H

#include <stddef.h>

struct web_asset {
  const char *path;          /* below web/, without a leading slash: "index.html" */
  const char *type;          /* Content-Type, charset included where it has one */
  const unsigned char *data; /* not terminated */
  size_t size;               /* bytes */
};

/* Sorted by path (strcmp); after the last one stands an entry whose path is NULL. */
extern const struct web_asset web_assets[];
extern const size_t web_assets_count;

#endif
