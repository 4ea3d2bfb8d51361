/* peer_actor.h - the peer actor's own state. Internal to actors/peer. */
#ifndef HOLDFAST_PEER_ACTOR_H
#define HOLDFAST_PEER_ACTOR_H

#include "actors/cluster/cluster.h"
#include "actors/peer/frame.h"
#include "actors/peer/link.h"

#define PEER_NODES_MAX (2u * STORE_NODES_MAX) /* nodes come and go */
#define PEER_GRACE_US 250000u /* after a deadline, for the other node's own word on it */
#define PEER_BACKOFF_MIN_US 20000u
#define PEER_BACKOFF_MAX_US 1000000u
#define PEER_LOOK_US 1000000u /* how often links to nodes that are gone are looked for */
#define PEER_LEARN_MAX 3u     /* times that the catalog reads again for one answer */
#define PEER_COOKIE_LOOK 0u   /* of a timer; others are the numbers of asks */

struct pending {   /* an ask that another node has */
  uint64_t number; /* in the frame: generation and place in `slots`; 0: free */
  uint64_t nth;    /* among the frames of its link, from 0 */
  uint64_t timer;
  rt_id asker;
  void *payload; /* the asker's */
  uint32_t corr;
  uint32_t slot;
  uint8_t op;       /* its number in frames */
  uint8_t learning; /* answered; so often the catalog was asked for the assets that it names */
  struct peer_node *node;
  struct pending *previous, *next; /* of the node, in order; `next` also of the free ones */
};

struct peer_node { /* another node, as asks go there */
  uint64_t id;
  uint64_t link;     /* 0: none */
  uint64_t frames;   /* given to the link so far */
  uint64_t retry_us; /* no link is opened before */
  unsigned failures; /* links in a row that ended before they brought an answer */
  struct pending *first, *last;
};

struct serving {         /* another node's ask that an actor of this node has */
  uint64_t link, number; /* whom to answer, and under which number */
  unsigned op;
  unsigned asks;       /* replies that have not come yet: LEARN asks every loop, others one actor */
  void *payload;       /* ours; its `owner` is this */
  enum hf_error error; /* LEARN: of any loop */
};

struct peer_actor {
  struct pending **slots; /* grows to PEER_ASKS_MAX */
  uint32_t slots_count;
  uint32_t pending_count, serving_count;
  struct pending *free;
  uint64_t generation; /* of the newest number */
  struct peer_node *nodes[PEER_NODES_MAX];
  unsigned nodes_count;
  struct hf_bytes scratch; /* the frame that is being made */
  bool stopping;
  bool learning; /* the catalog is asked to read again */
  bool sent;     /* in this turn: flush at its end */
  bool looking;  /* the timer is armed */
};

/* peer_out.c: asks for other nodes */
void peer_out_forward(rt_ctx *ctx, struct peer_actor *peer, const rt_env *env);
/* False: the frame breaks the protocol. */
bool peer_out_answer(rt_ctx *ctx, struct peer_actor *peer, uint64_t number,
                     const struct link_frame *frame);
void peer_out_down(rt_ctx *ctx, struct peer_actor *peer, const struct link_down *down);
/* The catalog has read again, or could not: `known` false. */
void peer_out_learnt(rt_ctx *ctx, struct peer_actor *peer, bool known);
void peer_out_late(rt_ctx *ctx, struct peer_actor *peer, uint64_t number);
/* Forgets nodes that are gone; closes their links. */
void peer_out_look(rt_ctx *ctx, struct peer_actor *peer);
void peer_out_deinit(struct peer_actor *peer);
void peer_out_check(const struct peer_actor *peer);

/* peer_in.c: asks of other nodes */
bool peer_in_ask(rt_ctx *ctx, struct peer_actor *peer, const struct link_frame *frame);
/* A reply, or an echo of the runtime, to what was asked for another node. */
void peer_in_reply(rt_ctx *ctx, struct peer_actor *peer, const rt_env *env);
/* Frees what a reply that nobody gets brings back. */
void peer_in_drop(const rt_env *env);

/* peer.c */
void peer_log(rt_ctx *ctx, const char *text);

#endif
