/* link_port.h - links between nodes over TCP: struct link_port (actors/peer/link.h) on libuv loops.
 *
 * Each loop opens one connection to each node that it asks something, on demand, and keeps it. All
 * loops listen on one address. A turn's frames leave in one write. Both ends prove that they know
 * the cluster's secret before anything else is said; then every byte is encrypted and authenticated
 * (link_seal.h). Silence is answered with pings; a link that stays silent is down.
 * Threads: _new, _listen and _free from main, before the loops start and after they ended; the rest
 *          on the loop it names.
 * Limits: below. Errors: negative errno. */
#ifndef HOLDFAST_LINK_PORT_H
#define HOLDFAST_LINK_PORT_H

#include "actors/peer/link.h"
#include "actors/store/port.h"

#define LINK_SECRET_SIZE 32u
#define LINK_QUEUE_MAX (64u * 1024u * 1024u) /* bytes that wait to be sent, per link */
#define LINK_STRANGERS_MAX 64u /* connections of a loop that have proved nothing yet */
#define LINK_UNREAD_MAX 4096u  /* frames read ahead of a loop's actor */
#define LINK_UNREAD_BYTES_MAX (32u * 1024u * 1024u)
#define LINK_PER_LOOP_MAX 4096u /* open links of a loop */

struct link_config {
  uint64_t node;                    /* this one */
  uint8_t secret[LINK_SECRET_SIZE]; /* the cluster's: every node reads it from the database */
  uint64_t silence_us;   /* a link is down after that long without a byte: half a lease */
  uint64_t handshake_us; /* to connect and prove the secret; 0: silence_us */
};

struct link_port *link_port_new(const struct link_config *config, unsigned loops);
/* Binds HOST:PORT for all loops, HOST a numeric address, [IPv6] in brackets, or localhost; port 0
 * takes a free one. The address as it is, for the other nodes. */
MUST_CHECK int link_port_listen(struct link_port *port, const char *address,
                                char ret_address[STORE_ADDRESS_MAX + 1]);
/* From rt_config's loop_start and loop_stop. */
void link_port_loop_begin(struct link_port *port, rt_ctx *ctx);
void link_port_loop_end(struct link_port *port, rt_ctx *ctx);
void link_port_free(struct link_port *port);

#endif
