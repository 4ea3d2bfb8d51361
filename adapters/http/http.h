/* http.h - the HTTP/1.1 server as a route handler sees it: exchanges, replies, limits.
 *
 * Owner: one loop; an exchange is born, answered and freed on its loop's thread.
 * Order: several exchanges of a connection may be in flight (pipelining); replies leave in the
 *        order of the requests, whatever the order in which they are given.
 * Limits: struct http_limits; whatever exceeds them is answered and the connection closed.
 * Standards: RFC 9110, RFC 9112 (strict), RFC 9457 (problems).
 *
 * http_parser.[ch] is pure (bytes in, events out), http_server.[ch] owns sockets and time. */
#ifndef HOLDFAST_HTTP_H
#define HOLDFAST_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "holdfast/error.h"
#include "holdfast/rt.h"

struct http_slice { /* bytes inside the exchange's own copy of the request; not terminated */
  const char *at;
  size_t size;
};

enum http_method {
  HTTP_GET,
  HTTP_HEAD,
  HTTP_POST,
  HTTP_PUT,
  HTTP_PATCH,
  HTTP_DELETE,
  HTTP_OPTIONS,
  HTTP_OTHER
};

#define HTTP_FIELDS_MAX 100
#define HTTP_PATH_PARAMS_MAX 4
#define HTTP_QUERY_MAX 32

struct http_field {
  struct http_slice name, value;
};

struct http_request {
  enum http_method method;
  struct http_slice path;  /* undecoded, without the query */
  struct http_slice query; /* undecoded, without '?' */
  struct http_slice body;
  uint16_t fields_count;
  uint8_t version_minor; /* 0 or 1 */
  bool keep_alive;
  struct http_field fields[HTTP_FIELDS_MAX]; /* names as sent; compare without case */
};

struct http_exchange; /* one request and its reply to be */
struct http_loop;     /* the server's part of a loop */

/* Called once a request is complete (head and body). Must lead to exactly one http_reply* of the
 * exchange, now or later, on this loop. `user` is what http_loop_new was given. */
typedef void (*http_handler)(struct http_exchange *exchange, void *user);
/* Called when the head is complete and before a body is read, for requests that announce one: the
 * largest body that this request may bring (SIZE limits of its route). Returns HF_OK or the error
 * to answer at once; then the handler never sees the request. */
typedef enum hf_error (*http_head_check)(const struct http_request *head, size_t *ret_body_max,
                                         void *user);

const struct http_request *http_request_of(const struct http_exchange *exchange);
/* The first field of that name (without case); an empty slice with at == NULL when absent. */
struct http_slice http_field_get(const struct http_request *request, const char *name);
unsigned http_field_count(const struct http_request *request, const char *name);
/* X-Request-Id: the client's when it is [A-Za-z0-9._-]{8,64}, else generated; terminated. */
const char *http_request_id(const struct http_exchange *exchange);
/* When the request's first byte came, monotonic microseconds. */
uint64_t http_started_us(const struct http_exchange *exchange);
bool http_peer_is_loopback(const struct http_exchange *exchange);
const char *http_peer_address(const struct http_exchange *exchange); /* text, terminated */
/* A pointer of the handler's own, freed by `release` when the exchange ends (may be NULL). */
void http_set_data(struct http_exchange *exchange, void *data, void (*release)(void *data));
void *http_data(const struct http_exchange *exchange);
struct http_loop *http_loop_of(const struct http_exchange *exchange);
void *http_user(const struct http_exchange *exchange);
/* The route template and method for metrics and the access log ("unmatched" unless set). Static. */
void http_set_route(struct http_exchange *exchange, const char *route, unsigned route_index);

/* What a handler asks before anything else when its reply may have so many bytes (SIZE_MAX: nobody
 * knows), so that replies that are not read yet do not pile up. True: it may go on, because its
 * reply is the next of its connection, or fits beside what waits there. False: it returns without a
 * reply, and is called again with the same exchange once that is so; until then no further request
 * of the connection is taken. Small replies need no asking. */
bool http_reply_fits(struct http_exchange *exchange, size_t size);

/* ---- replies --------------------------------------------------------------------------------- */

/* Adds a header to the coming reply; copied. Names and values are the caller's own, never raw
 * input (CHECKed: no CR, LF, NUL). */
void http_add_header(struct http_exchange *exchange, const char *name, const char *value);
/* Sends the reply: `body` is copied. content_type NULL when there is no body. HEAD: same headers,
 * no body. Adds Date? no; Content-Length, Content-Type, X-Request-Id, Connection; compresses when
 * the client accepts gzip and the body is >= 4 KiB. */
void http_reply(struct http_exchange *exchange, unsigned status, const char *content_type,
                const void *body, size_t size);
/* An application/problem+json reply from the error table. `detail`, `field`, `suggestion` may be
 * NULL and are escaped. Adds Retry-After when retry_after_s > 0, WWW-Authenticate to a 401. */
struct http_problem {
  enum hf_error error;
  const char *detail;
  const char *field;
  const char *suggestion;
  unsigned retry_after_s;
};
void http_reply_problem(struct http_exchange *exchange, const struct http_problem *problem);
/* A reply of unknown length (chunked; HTTP/1.0: until close): begin, then write while it returns
 * true, or wait for `writable`; end, exactly once, whatever happened. false from write: nothing was
 * taken. When there was too little room, `writable` (from a callback of its own, maybe without
 * need) tells that there is more; a piece larger than all room is taken when nothing is queued.
 * When the peer is gone, `writable` is called once, room is SIZE_MAX and every write returns
 * false: end it. */
void http_stream_begin(struct http_exchange *exchange, unsigned status, const char *content_type,
                       void (*writable)(struct http_exchange *exchange, void *arg), void *arg);
bool http_stream_write(struct http_exchange *exchange, const void *data, size_t size);
size_t http_stream_room(const struct http_exchange *exchange);
/* The stream has no end of its own: a peer that has ended its side of the connection is gone, where
 * it would otherwise still get the rest. After begin. */
void http_stream_live(struct http_exchange *exchange);
void http_stream_end(struct http_exchange *exchange);

/* ---- server ---------------------------------------------------------------------------------- */

struct http_limits {        /* defaults in brackets; every one is configurable */
  size_t line_max;          /* request line [8 KiB]: 414 */
  size_t head_max;          /* header block [16 KiB], 100 fields: 431 */
  size_t body_max;          /* largest of any route [8 MiB]: 413 */
  unsigned pipeline_max;    /* exchanges in flight per connection [64]: stop reading */
  unsigned connections_max; /* per loop [10000]: 503 + close */
  unsigned per_address_max; /* per loop [100]; loopback exempt unless loopback_capped */
  unsigned requests_max;    /* per connection [0: no limit; the last says Connection: close] */
  bool loopback_capped;
  uint64_t head_timeout_us;    /* first byte to end of head [10 s]: 408 */
  uint64_t body_timeout_us;    /* [30 s]: 408 */
  uint64_t handler_timeout_us; /* [10 s]: 503 `timeout`; a later reply is dropped */
  uint64_t idle_timeout_us;    /* between requests [75 s]: silent close */
  uint64_t write_timeout_us;   /* a reply that the peer does not read [30 s]: reset */
  size_t write_buffer_max;     /* bytes of replies not sent, per connection [1 MiB]: stop reading */
};
void http_limits_default(struct http_limits *ret_limits);

/* What the server counts and logs through (so that it knows no metric ids): may be NULL. */
struct http_observer {
  void (*exchange_end)(void *user, const struct http_exchange *exchange, unsigned status,
                       size_t bytes_in, size_t bytes_out, uint64_t duration_us);
  void (*connections)(void *user, struct http_loop *loop, unsigned open);
  void (*refused)(void *user, const char *reason); /* "connections", "per_address", "parse" ... */
  void (*deferred)(void *user); /* a request waits for the replies before it to be sent */
};

/* Binds and listens; every loop calls it with the same address (SO_REUSEPORT; IPv4, [IPv6], or
 * unix:PATH later). Port 0 picks one: the first loop's http_loop_port is then given to the
 * others. Loop thread. NULL and errno on failure. */
struct http_loop *http_loop_new(rt_ctx *ctx, const char *host, uint16_t port,
                                const struct http_limits *limits, http_handler handler,
                                http_head_check head_check, const struct http_observer *observer,
                                void *user);
uint16_t http_loop_port(const struct http_loop *loop);
rt_ctx *http_loop_ctx(const struct http_loop *loop);
void *http_loop_user(const struct http_loop *loop);
/* Stops or resumes reading sockets (back-pressure of the runtime). */
void http_loop_pause(struct http_loop *loop);
void http_loop_resume(struct http_loop *loop);
/* Drain: stops accepting, closes idle connections; the others when the requests that they have sent
 * so far are answered, the last of which says Connection: close. */
void http_loop_drain(struct http_loop *loop);
unsigned http_loop_connections(const struct http_loop *loop);
/* Bytes of memory that its connections' requests and replies have. */
size_t http_loop_buffered(const struct http_loop *loop);
/* Closes all sockets; `closed` is called when the last handle is gone. Exchanges that are still
 * unanswered stay valid; their replies go nowhere and the observer is not called any more. */
void http_loop_close(struct http_loop *loop, void (*closed)(void *arg), void *arg);

#endif
