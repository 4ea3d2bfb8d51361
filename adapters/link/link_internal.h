/* link_internal.h - inside the TCP links: what a loop and a connection own. */
#ifndef HOLDFAST_LINK_INTERNAL_H
#define HOLDFAST_LINK_INTERNAL_H

#include <uv.h>

#define uthash_malloc(size) rt_alloc(size)
#define uthash_free(block, size) rt_free(block)
#include <uthash.h>

#include "adapters/link/link_port.h"
#include "adapters/link/link_seal.h"
#include "holdfast/bytes.h"

#define LINK_READ_SIZE 65536u
/* Before each frame in the stream of plain bytes: its size. */
#define LINK_HEAD_SIZE 4u
#define LINK_WIRE_SIZE (4u * SEAL_WIRE_MAX) /* sealed ahead of the socket */
#define LINK_REST_SIZE (4u * 1024u * 1024u) /* with more to send than that, an inbound link rests */

enum link_state {
  LINK_CONNECTING, /* client: TCP, then its hello was sent and the reply has not come */
  LINK_STRANGER,   /* server: waits for hello and confirm */
  LINK_UP,
  LINK_CLOSED,
};

enum link_rest { LINK_REST_LOOP = 1, LINK_REST_OUT = 2 }; /* why a link is not read; bits */

struct link_conn {
  uv_tcp_t tcp;
  uv_connect_t connect;
  uv_write_t write;
  struct link_loop *loop;
  struct link_conn *previous, *next; /* of the loop */
  struct link_conn *dirty;           /* next of those that have something to flush */
  UT_hash_handle hh;                 /* by number, from its having one to its end */
  uint64_t number;                   /* 0: an inbound one that has proved nothing */
  uint64_t node;
  uint8_t state; /* enum link_state */
  uint8_t rest;
  bool inbound, is_dirty, writing, reading;
  bool has_header; /* client: the accept has come; server: with UP */
  bool said_hello; /* server: its reply was sent */
  bool told;       /* the actor knows this link */
  uint64_t began_us, heard_us, wrote_us, progress_us;
  size_t unsent; /* by libuv, when the timer last looked */
  struct link_seal seal;
  struct hf_bytes in;  /* of a step of the handshake or a record: what has come */
  struct hf_bytes out; /* frames with their sizes, plain; sealed up to out_at */
  size_t out_at;
  size_t frame_end;         /* in `out`: where the first frame not sealed whole ends */
  uint64_t sent;            /* frames sealed whole */
  struct hf_bytes wire;     /* sealed, being written */
  struct link_frame *frame; /* being read; NULL: its size is */
  size_t frame_size;        /* of it, read so far */
  uint8_t head[LINK_HEAD_SIZE];
  unsigned head_size;
};

struct link_loop {
  struct link_tcp *tcp;
  rt_ctx *ctx;
  rt_id peer; /* the actor */
  uv_loop_t *uv;
  uv_tcp_t listener;
  uv_timer_t timer;
  bool listens, closing;
  bool speaking; /* a port function runs, in the actor's turn */
  unsigned handles;
  struct link_conn *first, *last; /* oldest first */
  struct link_conn *dirty;
  struct link_conn *links; /* hash by number */
  unsigned conns, strangers;
  uint64_t outbound, inbound;  /* numbers given */
  size_t unread, unread_bytes; /* frames that the actor has not given back */
  uint64_t looked_us;          /* when the timer last came */
  uint64_t logged_us;
  uint8_t plain[SEAL_RECORD_MAX];
  char bytes[LINK_READ_SIZE];
};

struct link_tcp {
  struct link_port port; /* first: the port is this */
  struct link_config config;
  unsigned loops_count;
  int *listeners; /* by loop, until the loop takes it; -1 */
  struct link_loop *loops[];
};

/* link_listen.c: a socket for each loop, or a negative errno. */
MUST_CHECK int link_listen(const char *address, unsigned count, int *ret_sockets,
                           char ret_address[STORE_ADDRESS_MAX + 1]);
/* Reads HOST:PORT; false when it is none. */
bool link_address(const char *text, struct sockaddr_storage *ret_address);

/* link_conn.c */
void link_conn_open(struct link_loop *loop, uint64_t number, uint64_t node, const char *address);
void link_conn_accept(struct link_loop *loop);
/* The connection is gone. Tells the actor, if it knows the link and `tell`. */
void link_conn_end(struct link_conn *conn, bool tell);
void link_conn_flush(struct link_conn *conn);
size_t link_conn_queued(const struct link_conn *conn);
void link_conn_look(struct link_conn *conn, uint64_t now_us); /* timer */
/* Stops or starts reading, as `rest` says. */
void link_conn_rest(struct link_conn *conn);

/* link_read.c: bytes that came. */
void link_read(struct link_conn *conn, const uint8_t *bytes, size_t size);
/* Bytes of the handshake go out at once. */
void link_conn_write(struct link_conn *conn, const void *bytes, size_t size);
void link_conn_up(struct link_conn *conn);

/* link_port.c */
void link_loop_mark(struct link_conn *conn);
void link_loop_handle_closed(struct link_loop *loop);
/* Tells this loop's actor. False: no room. */
bool link_loop_tell(struct link_loop *loop, uint16_t op, const void *payload, size_t size);
void link_loop_log(struct link_loop *loop, const char *text);
void link_loop_full(struct link_loop *loop);

#endif
