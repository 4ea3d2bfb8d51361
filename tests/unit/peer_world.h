/* peer_world.h - a simulated node of a test: the real peer actors between actors that the test
 * plays and a link port that keeps what it is given. The test plays the other node. */
#ifndef HOLDFAST_TESTS_PEER_WORLD_H
#define HOLDFAST_TESTS_PEER_WORLD_H

#include "actors/cluster/cluster.h"
#include "actors/peer/link.h"
#include "holdfast/driver.h"
#include "peer_fixture.h"

#define WORLD_LOOPS 2u
#define WORLD_SELF 100u
#define WORLD_OTHER 200u /* has the odd partitions; this node has the even ones */
#define WORLD_TIMEOUT_US 1000000u

struct world_frame { /* given to the port */
  uint64_t link;
  size_t size;
  uint8_t *bytes;
};

enum world_mode { WORLD_ANSWERS, WORLD_HOLDS, WORLD_FAILS };

struct world {
  struct rt_driver *driver;
  rt *runtime;
  struct link_port port;
  struct hf_setup setup;
  struct cluster *clusters[WORLD_LOOPS];
  struct peer_random random;
  /* the port */
  rt_status send_status;
  bool open_fails;
  uint64_t links; /* opened so far; the newest one's number is twice that */
  uint64_t opened_node;
  uint64_t closed; /* the newest closed link */
  unsigned closes, flushes, given_back;
  struct world_frame *frames;
  size_t frames_count, frames_room, frames_read;
  /* the actors */
  enum world_mode mode;
  unsigned asked; /* asks that actors of this node got */
  uint16_t asked_op;
  rt_id asked_actor;
  uint64_t asked_deadline_us;
  rt_env held[16];
  unsigned held_count;
  /* With the real catalog: what the store tells it. */
  unsigned store_assets; /* numbers 1 .. that */
  unsigned store_reads;
  bool store_fails;
  /* replies to the front */
  unsigned replies;
  uint16_t reply_op;
  void *reply_payload;
  uint64_t reply_error; /* beside the payload */
};

struct world *world_new(void);
/* The same with the real catalog actors, which know as many assets. */
struct world *world_new_with_catalog(unsigned assets);
/* Ends in an ordered drain, which must be complete. */
void world_free(struct world *world);
/* Ends at once, as by a power cut. */
void world_crash(struct world *world);
/* Virtual time passes. */
void world_run(struct world *world, uint64_t us);

/* The front of loop 0 asks for the payload to be forwarded; `to` as in struct peer_forward. */
void world_forward(struct world *world, unsigned op, void *payload, rt_id to, uint64_t timeout_us);
/* An ask of a peer_fixture, forwarded to where it belongs. */
void world_forward_ask(struct world *world, const struct frame_ask *ask, uint64_t timeout_us);
void world_tell_stale(struct world *world, struct hf_catalog_change *change);
/* An ask for a partition of the other node (odd), or of this one. */
struct frame_ask world_make_ask(struct world *world, unsigned op, bool here);
/* The next frame that the port was given; fails the test when there is none. */
struct world_frame *world_frame(struct world *world);
/* Bytes come to loop 0's peer actor. */
void world_bytes(struct world *world, uint64_t link, const void *bytes, size_t size);
void world_ask_comes(struct world *world, uint64_t link, const struct frame_ask *ask);
void world_answer_comes(struct world *world, uint64_t link, const struct frame_ask *ask);
void world_down(struct world *world, uint64_t link, uint64_t sent);
/* The actors answer what they hold. */
void world_release(struct world *world);
enum hf_error world_error_of(unsigned op, const void *payload);

#endif
