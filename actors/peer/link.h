/* link.h - frames between nodes: what the peer actors need of whatever carries them.
 *
 * A link is one way of asking: whoever opened it sends asks, the other side sends their answers. It
 * carries whole frames in order, or it ends; it is opened anew under another number, and nothing
 * that was lost with it is sent again. Both sides know who the other one is: a link that is up is
 * authenticated, in both directions, and what it carries can be neither read nor changed.
 *
 * Owner: a link belongs to one loop; every call is made by that loop's peer actor, in its turn.
 * Events come to that actor as tells: HF_LINK_FRAME, HF_LINK_DOWN.
 * Two implementations: adapters/link (TCP), and the simulator's. */
#ifndef HOLDFAST_LINK_H
#define HOLDFAST_LINK_H

#include "holdfast/rt.h"

#define LINK_FRAME_MAX (16u * 1024u * 1024u)

/* HF_LINK_FRAME: struct link_frame *. One block of rt_alloc, the receiver's: it gives it back with
 * `done`. */
struct link_frame {
  uint64_t link; /* its number: never used again by this loop, odd when the other node opened it */
  uint64_t node; /* who sent it */
  size_t size;   /* 1 .. LINK_FRAME_MAX */
  uint8_t bytes[];
};

/* HF_LINK_DOWN: the link is gone; nothing comes of it any more and every send fails. Told once for
 * each link that was opened here and not closed here, after its last frame, and for each inbound
 * link that brought a frame. */
struct link_down {
  uint64_t link;
  uint64_t sent; /* frames that the other node may have got: the first `sent` of those given to
                    send. The others were surely not received */
};

static inline bool link_is_inbound(uint64_t link)
{
  return (link & 1u) != 0;
}

struct link_port {
  /* Begins to open a link to the node at HOST:PORT. Its number, at once: frames may be sent, and
   * wait until it is up. When that fails, HF_LINK_DOWN. 0: no room. */
  uint64_t (*open)(struct link_port *port, rt_ctx *ctx, uint64_t node, const char *address);
  /* Takes a copy of a frame of 1 .. LINK_FRAME_MAX bytes. RT_AGAIN: no room now. RT_FAIL: there is
   * no such link. Nothing was taken then. */
  rt_status (*send)(struct link_port *port, rt_ctx *ctx, uint64_t link, const void *bytes,
                    size_t size);
  /* Ends the link. Frames of it that are on their way to the actor still come. */
  void (*close)(struct link_port *port, rt_ctx *ctx, uint64_t link);
  /* End of a turn in which something was sent: what waits may go out now. */
  void (*flush)(struct link_port *port, rt_ctx *ctx);
  /* Gives a frame back that came: frees it, and lets the port read on that reads no further than a
   * bound ahead of the actor. NULL: rt_free will do. */
  void (*done)(struct link_port *port, rt_ctx *ctx, struct link_frame *frame);
  void *impl;
};

#endif
