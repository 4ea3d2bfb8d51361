/* peer_fixture.h - asks and answers of every kind, made of a seed, and whether two are the same. */
#ifndef HOLDFAST_TESTS_PEER_FIXTURE_H
#define HOLDFAST_TESTS_PEER_FIXTURE_H

#include "actors/peer/frame.h"
#include "actors/user/op.h"

#define PEER_BITS 4u

struct peer_random {
  uint64_t state;
};
uint64_t peer_random(struct peer_random *random);
static inline uint64_t peer_below(struct peer_random *random, uint64_t bound)
{
  return peer_random(random) % bound;
}

/* An ask as the front door could make it; its payload is of rt_alloc: frame_payload_free. */
struct frame_ask peer_make_ask(struct peer_random *random, unsigned op);
/* A group of `count` ops of one user. */
struct hf_op *peer_make_group(struct peer_random *random, unsigned count);
/* The same ask again, as its owner has it: fields of the answer are not set. */
void *peer_copy_ask(const struct frame_ask *ask);
/* Puts an answer into what was asked, as the asked actor would. */
void peer_make_answer(struct peer_random *random, const struct frame_ask *ask);
/* One entry of an applied op. */
struct ledger_entry peer_make_entry(struct peer_random *random, hf_id user, unsigned index,
                                    unsigned count);
bool peer_same_ask(const struct frame_ask *a, const struct frame_ask *b);
bool peer_same_answer(unsigned op, const void *told, const void *got);

#endif
