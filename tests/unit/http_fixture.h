/* http_fixture.h - a server on a libuv loop of its own, and clients on the same loop.
 *
 * Everything runs on the test's thread: a test sends, then pumps the loop until what it waits for
 * has happened. A watchdog fails a test that waits for what never comes. */
#ifndef HOLDFAST_TESTS_HTTP_FIXTURE_H
#define HOLDFAST_TESTS_HTTP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

#include "adapters/http/http.h"

#define HELD_MAX 64u

struct http_fixture {
  uv_loop_t uv;
  uv_timer_t watchdog;
  struct http_loop *http; /* NULL once it is closed */
  struct http_limits limits;
  http_handler handler;       /* NULL: /hold is held, all else is answered "METHOD path body" */
  http_head_check head_check; /* NULL: none */
  void *test;                 /* the test's own */

  struct http_exchange *held[HELD_MAX];
  unsigned held_count;
  unsigned handled; /* requests that reached the handler */
  unsigned ended;   /* exchange_end calls */
  unsigned ended_status;
  size_t ended_bytes_out;
  unsigned released; /* http_set_data releases */
  unsigned refused;
  unsigned deferred;
  const char *refused_reason;
  unsigned open; /* as told to the observer */
  bool closed;
};

/* Defaults of the limits, to be changed before the start. */
void fixture_init(struct http_fixture *fixture);
void fixture_start(struct http_fixture *fixture);
/* Closes the server and the loop; nothing may be left open. */
void fixture_stop(struct http_fixture *fixture);
/* Runs the loop until *flag is true (or a number is not 0). */
void pump_until(struct http_fixture *fixture, bool (*done)(void *arg), void *arg);
void pump_count(struct http_fixture *fixture, const unsigned *counter, unsigned least);
/* Runs what is ready now. */
void pump_ready(struct http_fixture *fixture);
/* Answers a held exchange with 200 and its place as the body. */
void held_answer(struct http_fixture *fixture, unsigned index);

struct http_client {
  struct http_fixture *fixture;
  uv_poll_t poll;
  int fd;
  char *data; /* received and not yet taken */
  size_t size, capacity;
  bool reading; /* receives; a client that does not is a slow reader */
  bool ended;   /* the server closed */
  bool reset;   /* the server reset */
  bool gone;    /* the poll handle is closed */
};

void client_open(struct http_client *client, struct http_fixture *fixture);
void client_close(struct http_client *client);
void client_send(struct http_client *client, const char *text);
/* Sends all bytes, pumping while the socket is full; false when the server has closed. */
bool client_send_bytes(struct http_client *client, const void *data, size_t size);
/* Starts or stops receiving. */
void client_read(struct http_client *client, bool on);
/* Waits for the end of the connection, after all data that came was taken. */
void client_expect_end(struct http_client *client);

struct http_response {
  unsigned status;
  char head[4096]; /* status line and headers, terminated */
  char *body;      /* decoded, terminated; freed by the next client_receive or response_free */
  size_t body_size;
  bool chunked;
};

/* Waits for one whole response. `bodiless`: it answers HEAD. */
void client_receive(struct http_client *client, bool bodiless, struct http_response *ret_response);
/* Takes one whole response if it is there already. */
bool client_poll(struct http_client *client, struct http_response *ret_response);
void response_free(struct http_response *response);
/* The value of a header, terminated, in a static buffer; NULL when it is absent. */
const char *response_header(const struct http_response *response, const char *name);
/* Receives, and compares status and body. */
void client_expect(struct http_client *client, unsigned status, const char *body);

#endif
