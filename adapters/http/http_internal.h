/* http_internal.h - the server behind http.h: loops, connections, exchanges, and who calls whom.
 *
 *   http_server.c    the loop's part: start, accept, pause, drain, close
 *   http_listen.c    the listening socket
 *   http_conn.c      bytes in: cuts requests out of a connection and hands them on
 *   http_output.c    bytes out: one write for all that a connection has to say
 *   http_exchange.c  a request and its reply to be: life, order, accessors
 *   http_reply.c     status line, headers, body; http_problem.c, http_gzip.c, http_stream.c
 *   http_timer.c     deadlines: lists in order of time, swept by one timer
 *
 * Owner: all of it belongs to one loop's thread. Time: uv_now (deadlines, ms), uv_hrtime (us).
 * Rule: a handler is called from a socket callback or from the loop's prepare handle, never from
 *       inside http_reply or another handler; so a handler may answer any exchange at any time.
 *
 * A connection's memory lives until its handle is closed and its last exchange has ended; a loop's
 * until all its handles are closed and the last exchange has ended. */
#ifndef HOLDFAST_HTTP_INTERNAL_H
#define HOLDFAST_HTTP_INTERNAL_H

#include <uv.h>
#define ZLIB_CONST /* next_in is const */
#include <zlib.h>

#include "http_address.h"
#include "http_buffer.h"
#include "http_list.h"
#include "http_parser.h"

#define HTTP_READ_SIZE 65536u      /* one read; shared by all connections of a loop */
#define HTTP_FLUSH_SIZE 65536u     /* replies of one turn are written when they reach this */
#define HTTP_TAKE_SIZE 16384u      /* from that size on a request keeps the buffer it came in */
#define HTTP_SKIP_MAX 65536u       /* a refused request's body that is read and dropped */
#define HTTP_LINGER_MS 2000u       /* how long a closing connection's input is dropped ... */
#define HTTP_LINGER_BYTES 1048576u /* ... and how much of it */
#define HTTP_REFUSED_MAX 64u       /* connections over the cap that are told so at a time */
#define HTTP_PROGRESS_MIN 16384u   /* bytes per write_timeout that a slow reader must take */
#define HTTP_SWEEP_MS_MAX 250u
#define HTTP_GZIP_MIN 4096u
#define HTTP_GZIP_MAX 262144u /* more would hold up the loop: sent as it is */
#define HTTP_REQUEST_ID_MAX 64u

/* What a connection waits for; each has its own list, which is in order of deadline because all
 * of a list wait equally long. */
enum http_phase {
  HTTP_PHASE_NONE,   /* for us: nothing to hold against the peer */
  HTTP_PHASE_IDLE,   /* for a request */
  HTTP_PHASE_HEAD,   /* for the rest of a head */
  HTTP_PHASE_BODY,   /* for the rest of a body */
  HTTP_PHASE_LINGER, /* for the peer to close, after everything was said */
  HTTP_PHASE_COUNT
};

struct http_exchange {
  struct http_request request;
  struct http_list order;     /* conn->exchanges, in order of arrival */
  struct http_list timed;     /* loop->handling, while a handler owes the reply; or loop->gone */
  struct http_conn *conn;     /* a reference; valid until the exchange ends */
  struct http_exchange *next; /* in the loop's free list */
  uint64_t deadline_ms;       /* of the handler */
  uint64_t started_us;
  size_t bytes_in, bytes_out;
  size_t promised;            /* bytes of the reply to come, as http_reply_fits was told */
  struct http_buffer copy;    /* the request's bytes; all slices of request point here */
  struct http_buffer headers; /* what http_add_header was given, rendered */
  struct http_buffer out;     /* the reply, while an earlier request is unanswered */
  void *data;
  void (*release)(void *data);
  void (*writable)(struct http_exchange *exchange, void *arg);
  void *writable_arg;
  const char *route;
  unsigned route_index;
  unsigned stream_status;
  uint32_t etag_at; /* 1 + where an ETag's value begins in headers; 0: none */
  bool owed;        /* a handler has it and has not replied yet */
  bool answered;    /* the whole reply is rendered (by the handler or in its place) */
  bool detached;    /* the connection is gone: replies go nowhere */
  bool last;        /* the reply says Connection: close */
  bool streaming;
  bool chunked; /* the stream's framing */
  bool wrote;   /* the stream waits for its output to drain */
  bool live;    /* the stream ends with its peer */
  bool has_cache_control, has_content_encoding;
  char request_id[HTTP_REQUEST_ID_MAX + 1];
};

struct http_conn {
  uv_tcp_t tcp;
  uv_write_t write;
  uv_shutdown_t shutdown;
  struct http_loop *loop;
  struct http_conn *next;         /* in the loop's free list */
  struct http_list all;           /* loop->conns */
  struct http_list phased;        /* loop->phases[phase] */
  struct http_list writes;        /* loop->writes, while a uv_write is under way */
  struct http_list dirty;         /* loop->dirty */
  struct http_list stalled_link;  /* loop->stalled */
  struct http_list exchanges;     /* in order of arrival; the first one's reply goes out next */
  struct http_exchange *incoming; /* the request that is being read; NULL between requests */
  struct http_exchange *deferred; /* the newest request, when its reply does not fit yet; or NULL */
  struct http_parser parser;      /* of incoming */
  struct http_buffer in;          /* bytes that no complete request has used yet */
  struct http_buffer out;         /* rendered, not given to the system */
  struct http_buffer writing;     /* under way in a uv_write */
  uint64_t phase_deadline_ms, write_deadline_ms;
  uint64_t read_us; /* when the newest bytes came */
  uint64_t skip;    /* bytes of a refused body still to drop */
  size_t held;      /* bytes of replies that wait in their exchanges for earlier ones */
  size_t promised;  /* the sum over exchanges */
  size_t deferred_size;
  size_t write_left;  /* bytes that the peer had not taken when the write's deadline was set */
  size_t dropped;     /* bytes read while lingering */
  unsigned refs;      /* the open handle, and each exchange */
  unsigned in_flight; /* length of exchanges */
  unsigned requests;  /* complete ones so far */
  enum http_phase phase;
  bool closing; /* uv_close was called */
  bool ended;   /* the peer sends no more */
  bool no_more; /* takes no further request; closes when all is said */
  bool linger;  /* the peer may still be sending: close gently */
  bool lingering;
  bool stalled;       /* reading is stopped by us; bytes may wait in `in` */
  bool fresh;         /* incoming (or skip) is newer than the phase */
  bool want_continue; /* owes a 100 as soon as the earlier replies are out */
  bool refused;       /* over a cap: not counted */
  struct http_address peer;
};

struct http_loop {
  uv_loop_t *uv;
  rt_ctx *ctx; /* for the handlers; NULL where there is no runtime */
  void *user;
  http_handler handler;
  http_head_check head_check;
  struct http_observer observer;
  struct http_limits limits;
  uint16_t port;

  uv_tcp_t listener;
  uv_timer_t sweep;     /* runs while there are connections */
  uv_prepare_t prepare; /* flushes the dirty connections before the loop sleeps */
  uv_idle_t awake;      /* active while something is dirty, so that the loop does not sleep on it */
  unsigned handles;     /* open ones, connections included */

  struct http_list conns, stalled, dirty, writes, handling, gone;
  struct http_list phases[HTTP_PHASE_COUNT];
  uint64_t phase_ms[HTTP_PHASE_COUNT];
  uint64_t handler_ms, write_ms, sweep_ms;
  struct http_pool pool;
  struct http_exchange *free_exchanges;
  struct http_conn *free_conns;
  unsigned free_exchanges_count, free_conns_count;
  struct http_addresses addresses;
  struct http_conn *active; /* whose turn it is: flushed at its end, so never marked dirty */
  unsigned connections;     /* open, without the refused ones */
  unsigned refused;         /* open, over a cap */
  unsigned exchanges;       /* that have not ended */
  bool paused, draining, closing, closed_all;
  void (*closed)(void *arg);
  void *closed_arg;

  uint64_t id_state;          /* of generated request ids */
  z_stream *gzip;             /* made on first use */
  struct http_buffer scratch; /* a body while it is rendered */
  struct http_buffer packed;  /* a body while it is compressed */
  char read_buffer[HTTP_READ_SIZE];
};

/* http_server.c: as http_loop_new, on a given libuv loop; ctx is only handed through. */
struct http_loop *http_loop_new_on(uv_loop_t *uv, rt_ctx *ctx, const char *host, uint16_t port,
                                   const struct http_limits *limits, http_handler handler,
                                   http_head_check head_check, const struct http_observer *observer,
                                   void *user);
/* The prepare handle runs before the loop sleeps. */
void http_loop_wake(struct http_loop *loop);
void http_loop_handle_closed(struct http_loop *loop);
/* Frees the loop if nothing holds it any more. Its caller must not touch it afterwards. */
void http_loop_settle(struct http_loop *loop);

/* http_clock.c: monotonic time in microseconds; the loop's own time, which stands still within a
 * callback; numbers that nobody can guess. */
uint64_t http_now_us(void);
uint64_t http_now_ms(const struct http_loop *loop);
void http_seeds(uint64_t ret_seeds[2]);

/* http_listen.c: a listening, non-blocking socket, or a negative errno. */
int http_listen(const char *host, uint16_t port, uint16_t *ret_port);

/* http_conn.c */
struct http_conn *http_conn_new(struct http_loop *loop);
void http_conn_unref(struct http_conn *conn);
/* Starts reading, or refuses the connection for `reason` (NULL: it is welcome). */
void http_conn_open(struct http_conn *conn, const char *reason);
/* Writes what there is, takes on what waits, and decides what the connection waits for next. Run
 * after every event of a connection; calls handlers. */
void http_conn_turn(struct http_conn *conn);
/* Has the connection's turn run before the loop sleeps, unless it runs now. */
void http_conn_mark(struct http_conn *conn);
void http_conn_close(struct http_conn *conn, bool reset);
/* Answers what is being read with an error and closes after it. `why` may be NULL. */
void http_conn_refuse(struct http_conn *conn, enum hf_error error, const char *why);
void http_conn_drain(struct http_conn *conn);
/* A live stream: goes on reading, although no request may come any more, to see the peer go. */
void http_conn_watch(struct http_conn *conn);
bool http_conn_may_parse(const struct http_conn *conn);

/* http_output.c */
size_t http_output_queued(const struct http_conn *conn);
/* Bytes of the write under way that the peer's system has not taken: those that libuv holds, and
 * those in the socket, which may be megabytes. */
size_t http_output_unread(const struct http_conn *conn);
void http_output_flush(struct http_conn *conn);

/* http_exchange.c */
struct http_exchange *http_exchange_new(struct http_conn *conn);
/* Takes the id of the client, if it is sane, or makes one. */
void http_exchange_name(struct http_exchange *exchange, struct http_slice id);
/* Appends it to the connection's order; a handler (or the caller) owes the reply from now on. */
void http_exchange_enqueue(struct http_exchange *exchange);
/* The buffer that this exchange's reply goes to now; and what is told after something was put
 * there, with the buffer's size before. */
struct http_buffer *http_exchange_out(struct http_exchange *exchange);
void http_exchange_wrote(struct http_exchange *exchange, const struct http_buffer *out,
                         size_t before);
/* May the connection's deferred request go on? */
bool http_exchange_may_go_on(const struct http_conn *conn);
/* Whether its reply ends the connection; decided once its reply is rendered. */
bool http_exchange_closes(struct http_exchange *exchange);
/* The reply is complete: reports it, lets go of it, moves the connection's order on. */
void http_exchange_done(struct http_exchange *exchange, unsigned status);
/* Renders a problem as its reply, by whomever it is given, and is done. */
void http_exchange_problem(struct http_exchange *exchange, const struct http_problem *problem);
/* Its handler is late: answers in its place; the exchange waits for the handler. */
void http_exchange_expire(struct http_exchange *exchange);
/* Sends the 100 that the incoming request waits for, once all earlier replies are out. */
void http_exchange_continue(struct http_conn *conn);
/* The connection is gone. */
void http_exchange_detach(struct http_exchange *exchange);
/* Gives memory back; nobody holds it. */
void http_exchange_free(struct http_exchange *exchange);
/* True when a reply would go nowhere; then the exchange has ended and is gone. */
bool http_exchange_dropped(struct http_exchange *exchange, unsigned status);

/* http_reply.c */
void http_reply_head(struct http_exchange *exchange, struct http_buffer *out, unsigned status,
                     const char *content_type, const uint64_t *length);

/* http_gzip.c: true when `body` was compressed into loop->packed. */
bool http_gzip(struct http_loop *loop, const void *body, size_t size);
bool http_gzip_type(const char *content_type);

/* http_problem.c: renders the problem's JSON to the end of `out`. */
void http_problem_write(struct http_pool *pool, struct http_buffer *out,
                        const struct http_problem *problem, const char *request_id);

/* http_stream.c: does the stream at the front, if any, wait for room that is there now? */
bool http_stream_waits(const struct http_conn *conn);
/* Tells it so. */
void http_stream_resume(struct http_conn *conn);
/* Is the reply that goes out now a stream without an end of its own? */
bool http_stream_is_live(const struct http_conn *conn);
/* The stream's connection is gone: tells it so, soon. */
void http_stream_lose(struct http_exchange *exchange);
/* Tells all of those. */
void http_stream_gone(struct http_loop *loop);

/* http_timer.c */
void http_timer_start(struct http_loop *loop);
void http_timer_stop(struct http_loop *loop);
void http_timer_phase(struct http_conn *conn, enum http_phase phase, bool again);
void http_timer_write(struct http_conn *conn);
void http_timer_handler(struct http_exchange *exchange);
void http_timer_init(struct http_loop *loop);

#endif
