/* link_fixture.h - a node of a test: a runtime whose peer actors only note what comes of links and
 * do what the test says; and the ends of connections that a test plays itself. */
#ifndef HOLDFAST_TESTS_LINK_FIXTURE_H
#define HOLDFAST_TESTS_LINK_FIXTURE_H

#include "adapters/link/link_port.h"
#include "adapters/link/link_seal.h"
#include "holdfast/driver.h"

struct side;

struct side_config {
  uint64_t node;
  uint8_t secret;      /* each byte of it */
  uint64_t silence_us; /* 0: long */
  unsigned loops;      /* 0: 1 */
  bool echo;           /* answers each frame with the same, over the same link */
  const char *listen;  /* NULL: 127.0.0.1:0 */
};
struct side *side_start(const struct side_config *config);
void side_stop(struct side *side);
const char *side_address(const struct side *side);

/* As the port's functions, on loop 0's actor; they return when they are done. */
uint64_t side_open(struct side *side, uint64_t node, const char *address);
rt_status side_send(struct side *side, unsigned loop, uint64_t link, const void *bytes,
                    size_t size);
/* `count` frames of `size` bytes each, numbered from `first` in their first four bytes; how many
 * were taken. */
unsigned side_send_many(struct side *side, uint64_t link, unsigned first, unsigned count,
                        size_t size);
void side_close(struct side *side, uint64_t link);
/* Keeps frames that come, or gives all back and keeps none from now on. */
void side_keep(struct side *side, bool keep);

struct side_event {
  bool down;
  unsigned loop;
  uint64_t link, node;
  uint64_t sent;  /* down */
  size_t size;    /* frame */
  uint8_t *bytes; /* the event's */
  struct side_event *next;
};
/* The next event, in order for each link; fails the test when none comes. */
struct side_event *side_wait(struct side *side);
void side_event_free(struct side_event *event);
/* Waits for an event, checks and frees it. */
void side_wait_down(struct side *side, uint64_t link, uint64_t sent);
uint64_t side_wait_frame(struct side *side, const void *bytes, size_t size, unsigned *ret_loop);
/* No event waits now. */
bool side_is_quiet(struct side *side);

/* ---- connections that the test plays itself: blocking sockets -------------------------------- */

int raw_connect(const char *address);
/* Listens; the address. */
int raw_listen(char ret_address[STORE_ADDRESS_MAX + 1]);
int raw_accept(int listener);
void raw_write(int fd, const void *bytes, size_t size);
/* False: the other end closed before all had come. */
bool raw_read(int fd, void *bytes, size_t size);
/* Reads until the other end closes. */
void raw_drain(int fd);
/* The client's or the server's part of a handshake. */
void raw_handshake_client(int fd, struct link_seal *seal, uint8_t secret, uint64_t client,
                          uint64_t server);
void raw_handshake_server(int fd, struct link_seal *seal, uint8_t secret, uint64_t server);
/* A record of one frame; 0 bytes: a ping. */
struct hf_bytes raw_record(struct link_seal *seal, const void *bytes, size_t size);
/* Reads one record; the plain bytes. SIZE_MAX: closed. */
size_t raw_read_record(int fd, struct link_seal *seal, uint8_t plain[SEAL_RECORD_MAX]);

#endif
