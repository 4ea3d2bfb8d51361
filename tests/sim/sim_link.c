/* Links between the nodes: frames in order with delays, links that break, nodes that cannot reach
 * each other. A frame that is on its way when its link breaks is lost.
 *
 * A cut ends the links between two nodes, or is silent, in one direction or in both: what is sent
 * is held. The port looks for silence, as the real one does: half a lease of it ends the link. */
#include <string.h>

#include "tests/sim/sim.h"

#define LATENCY_US_MAX 3000u
#define BREAK_SEEN_US_MAX 20000u

struct sim_frame {
  struct sim_frame *next;
  struct link_frame *frame;
};

struct sim_end {
  struct sim_node *node;
  uint64_t life;
  rt_id peer;
  uint64_t number;
  bool closed;                     /* by its own actor */
  bool told;                       /* that it is down */
  bool brought;                    /* a frame came to it */
  uint64_t sent, delivered;        /* frames sent by it; of those the other end got */
  uint64_t last_us;                /* when the last frame sent by it arrives */
  unsigned held;                   /* frames sent by it that came to a silence */
  struct sim_frame *first, **tail; /* sent by it, on their way */
};

struct sim_link {
  struct sim_link *next;
  uint64_t to; /* id of the node that is to accept */
  uint64_t opened_us;
  struct sim_end ends[2]; /* who opened it, who accepted */
  bool up, dead;
};

struct trip { /* of a frame, or of the news that the link is down */
  struct sim_link *link;
  unsigned from; /* end */
};

static bool end_lives(const struct sim_end *end)
{
  return end->node != NULL && end->node->runtime != NULL && end->node->life == end->life;
}

static uint64_t latency_us(struct sim_world *world)
{
  return 20u + sim_chaos(world) % LATENCY_US_MAX;
}

static struct trip *trip_new(struct sim_link *link, unsigned from)
{
  struct trip *trip = rt_alloc(sizeof *trip);
  *trip = (struct trip){link, from};
  return trip;
}

static bool is_cut(const struct sim_world *world, unsigned from, unsigned to)
{
  return world->cut_us[from][to] > world->now_us;
}

static uint64_t silence_us(const struct sim_world *world)
{
  return world->lease_us / 2u;
}

/* ---- the end of a link ----------------------------------------------------------------------- */

static void frames_free(struct sim_end *end)
{
  while (end->first != NULL) {
    struct sim_frame *frame = end->first;
    end->first = frame->next;
    rt_free(frame->frame);
    rt_free(frame);
  }
  end->tail = &end->first;
}

static void tell_down(struct sim_world *world, void *arg)
{
  struct trip *trip = arg;
  struct sim_end *end = &trip->link->ends[trip->from];
  bool known = trip->from == 0 || end->brought;
  struct link_down down = {.link = end->number, .sent = trip->link->up ? end->sent : 0};
  if (!end_lives(end) || end->closed || !known ||
      sim_post(end->node, end->peer, HF_LINK_DOWN, &down, sizeof down)) {
    end->told = true;
    rt_free(trip);
    return;
  }
  sim_at(world, world->now_us + 1000u, tell_down, trip);
}

static void link_end(struct sim_world *world, struct sim_link *link)
{
  if (link->dead)
    return;
  link->dead = true;
  sim_harmed(world, world->now_us + BREAK_SEEN_US_MAX);
  for (unsigned i = 0; i < 2; i++)
    frames_free(&link->ends[i]);
  for (unsigned i = 0; i < 2; i++)
    sim_at(world, world->now_us + 1u + sim_chaos(world) % BREAK_SEEN_US_MAX, tell_down,
           trip_new(link, i));
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void deliver(struct sim_world *world, void *arg)
{
  struct trip *trip = arg;
  struct sim_end *from = &trip->link->ends[trip->from], *to = &trip->link->ends[1u - trip->from];
  struct sim_frame *frame = from->first;
  bool waits = frame != NULL && !trip->link->dead && !trip->link->up;
  if (!waits && (frame == NULL || !end_lives(to) || to->closed)) {
    rt_free(trip);
    return;
  }
  if (waits || is_cut(world, from->node->index, to->node->index)) {
    from->held++;
    world->held++;
    rt_free(trip);
    return;
  }
  struct link_frame *given = frame->frame;
  given->link = to->number;
  given->node = from->node->setup.node;
  if (!sim_post(to->node, to->peer, HF_LINK_FRAME, &given, sizeof given)) {
    sim_at(world, world->now_us + 500u, deliver, trip);
    return;
  }
  to->brought = true;
  from->delivered++;
  from->first = frame->next;
  if (from->first == NULL)
    from->tail = &from->first;
  rt_free(frame);
  rt_free(trip);
}

/* What one end sent and was held goes on, in order. */
static void link_release(struct sim_world *world, struct sim_link *link, unsigned from)
{
  struct sim_end *end = &link->ends[from];
  for (; end->held > 0; end->held--) {
    uint64_t at_us = world->now_us + latency_us(world);
    end->last_us = at_us > end->last_us ? at_us : end->last_us + 1u;
    sim_at(world, end->last_us, deliver, trip_new(link, from));
  }
}

static struct sim_link *link_find(struct sim_node *node, rt_ctx *ctx, uint64_t number,
                                  unsigned *ret_end)
{
  for (struct sim_link *link = node->world->links; link != NULL; link = link->next)
    for (unsigned i = 0; i < 2; i++) {
      const struct sim_end *end = &link->ends[i];
      if (end->number != number || end->node != node)
        continue;
      CHECK(end->peer == hf_loop_actor(HF_KIND_PEER, rt_loop_index(ctx)));
      *ret_end = i;
      return link;
    }
  return NULL;
}

static rt_status port_send(struct link_port *port, rt_ctx *ctx, uint64_t number, const void *bytes,
                           size_t size)
{
  struct sim_node *node = port->impl;
  struct sim_world *world = node->world;
  unsigned at;
  struct sim_link *link = link_find(node, ctx, number, &at);
  CHECK(size > 0 && size <= LINK_FRAME_MAX);
  if (link == NULL || link->dead || link->ends[at].closed)
    return RT_FAIL;
  if (!world->healing && sim_strikes(world, 2)) {
    sim_harmed(world, world->now_us);
    return RT_AGAIN;
  }
  struct sim_end *end = &link->ends[at];
  struct sim_frame *frame = rt_alloc(sizeof *frame);
  frame->frame = rt_alloc(sizeof *frame->frame + size);
  frame->frame->size = size;
  memcpy(frame->frame->bytes, bytes, size);
  *end->tail = frame;
  end->tail = &frame->next;
  end->sent++;
  uint64_t at_us = world->now_us + latency_us(world);
  end->last_us = at_us > end->last_us ? at_us : end->last_us + 1u;
  sim_at(world, end->last_us, deliver, trip_new(link, at));
  return RT_OK;
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void come_up(struct sim_world *world, void *arg)
{
  struct trip *trip = arg;
  struct sim_link *link = trip->link;
  struct sim_end *opener = &link->ends[0], *acceptor = &link->ends[1];
  rt_free(trip);
  if (link->dead)
    return;
  /* Its former life cannot be reached: nobody else has its name. */
  bool there = acceptor->node->runtime != NULL && acceptor->node->setup.node == link->to;
  unsigned from = opener->node->index, to = acceptor->node->index;
  bool cut = is_cut(world, from, to) || is_cut(world, to, from);
  bool silent = world->silent[from][to] || world->silent[to][from];
  if (there && cut && silent && world->now_us < link->opened_us + silence_us(world)) {
    sim_at(world, world->now_us + silence_us(world) / 8u + 1u, come_up, trip_new(link, 0));
    return;
  }
  if (!there || cut) {
    link_end(world, link);
    return;
  }
  acceptor->life = acceptor->node->life;
  link->up = true;
  link_release(world, link, 0);
}

static uint64_t port_open(struct link_port *port, rt_ctx *ctx, uint64_t id, const char *address)
{
  struct sim_node *node = port->impl, *other = NULL;
  struct sim_world *world = node->world;
  CHECK(address[0] != '\0');
  for (unsigned i = 0; i < world->nodes_count; i++)
    if (world->nodes[i].folder == id >> HF_NODE_LIFE_BITS << HF_NODE_LIFE_BITS)
      other = &world->nodes[i];
  CHECK(other != NULL && other != node);
  struct sim_link *link = rt_alloc(sizeof *link);
  link->to = id;
  link->opened_us = world->now_us;
  uint64_t serial = ++world->links_opened, up_us = world->now_us + latency_us(world);
  unsigned loop = (unsigned)(sim_chaos(world) % world->loops);
  link->ends[0] = (struct sim_end){.node = node,
                                   .life = node->life,
                                   .peer = hf_loop_actor(HF_KIND_PEER, rt_loop_index(ctx)),
                                   .number = serial << 1,
                                   .last_us = up_us};
  link->ends[1] = (struct sim_end){.node = other,
                                   .peer = hf_loop_actor(HF_KIND_PEER, loop),
                                   .number = serial << 1 | 1u,
                                   .last_us = up_us};
  for (unsigned i = 0; i < 2; i++)
    link->ends[i].tail = &link->ends[i].first;
  link->next = world->links;
  world->links = link;
  sim_at(world, up_us, come_up, trip_new(link, 0));
  return link->ends[0].number;
}

static void port_close(struct link_port *port, rt_ctx *ctx, uint64_t number)
{
  struct sim_node *node = port->impl;
  unsigned at;
  struct sim_link *link = link_find(node, ctx, number, &at);
  if (link == NULL)
    return;
  link->ends[at].closed = true;
  link_end(node->world, link);
}

static void port_flush(struct link_port *port, rt_ctx *ctx)
{
  (void)port;
  (void)ctx; /* a frame is on its way as soon as it is sent */
}

void sim_link_init(struct sim_node *node)
{
  node->link_port = (struct link_port){
    .open = port_open, .send = port_send, .close = port_close, .flush = port_flush, .impl = node};
  node->setup.link = &node->link_port;
}

/* ---- harm ------------------------------------------------------------------------------------ */

/* Links whose ends both know go; trips that are still under way hold on to the others. */
static void links_forget(struct sim_world *world)
{
  for (struct sim_link *link = world->links; link != NULL; link = link->next)
    if (link->dead && link->ends[0].told && link->ends[1].told)
      link->ends[0].number = link->ends[1].number = 0; /* found by nobody */
}

void sim_links_end(struct sim_node *node)
{
  for (struct sim_link *link = node->world->links; link != NULL; link = link->next)
    if (link->ends[0].node == node || link->ends[1].node == node)
      link_end(node->world, link);
  links_forget(node->world);
}

void sim_links_break(struct sim_world *world)
{
  uint64_t alive = 0;
  for (struct sim_link *link = world->links; link != NULL; link = link->next)
    alive += !link->dead;
  uint64_t pick = alive == 0 ? 0 : sim_chaos(world) % alive;
  for (struct sim_link *link = world->links; link != NULL; link = link->next) {
    if (link->dead || pick-- > 0)
      continue;
    world->links_broken++;
    link_end(world, link);
    break;
  }
  links_forget(world);
}

/* ---- cuts ------------------------------------------------------------------------------------ */

static bool link_is_between(const struct sim_link *link, unsigned one, unsigned two)
{
  unsigned opener = link->ends[0].node->index, acceptor = link->ends[1].node->index;
  return (opener == one && acceptor == two) || (opener == two && acceptor == one);
}

static void links_end_between(struct sim_world *world, unsigned one, unsigned two)
{
  for (struct sim_link *link = world->links; link != NULL; link = link->next) {
    if (link->dead || !link_is_between(link, one, two))
      continue;
    world->links_broken++;
    link_end(world, link);
  }
  links_forget(world);
}

static void links_release(struct sim_world *world, unsigned from, unsigned to)
{
  for (struct sim_link *link = world->links; link != NULL; link = link->next)
    for (unsigned i = 0; link->up && i < 2; i++)
      if (link->ends[i].node->index == from && link->ends[1u - i].node->index == to)
        link_release(world, link, i);
}

/* The place in `cut_us` of a cut that ends, unless it was drawn anew. */
static void cut_over(struct sim_world *world, void *arg)
{
  const uint64_t *place = arg;
  size_t index = (size_t)(place - &world->cut_us[0][0]);
  unsigned from = (unsigned)(index / SIM_NODES_MAX), to = (unsigned)(index % SIM_NODES_MAX);
  if (is_cut(world, from, to) || world->healing)
    return;
  if (world->silent[from][to] && sim_strikes(world, 500))
    links_end_between(world, from, to);
  world->silent[from][to] = false;
  links_release(world, from, to);
}

/* So long nothing was heard. */
static void silence_seen(struct sim_world *world, void *arg)
{
  const uint64_t *place = arg;
  size_t index = (size_t)(place - &world->cut_us[0][0]);
  unsigned from = (unsigned)(index / SIM_NODES_MAX), to = (unsigned)(index % SIM_NODES_MAX);
  if (is_cut(world, from, to) && world->silent[from][to])
    links_end_between(world, from, to);
}

static void cut_way(struct sim_world *world, unsigned from, unsigned to, bool silent,
                    uint64_t until_us)
{
  uint64_t *place = &world->cut_us[from][to];
  *place = until_us;
  world->silent[from][to] = silent;
  sim_at(world, until_us, cut_over, place);
  if (silent && world->now_us + silence_us(world) < until_us)
    sim_at(world, world->now_us + silence_us(world), silence_seen, place);
}

void sim_links_cut(struct sim_world *world, unsigned from, unsigned to, bool both, bool silent,
                   uint64_t while_us)
{
  CHECK(from != to);
  uint64_t until_us = world->now_us + while_us;
  world->cuts++;
  world->silences += silent;
  sim_harmed(world, until_us + BREAK_SEEN_US_MAX);
  cut_way(world, from, to, silent, until_us);
  if (both)
    cut_way(world, to, from, silent, until_us);
  if (!silent)
    links_end_between(world, from, to);
}

void sim_links_heal(struct sim_world *world)
{
  memset(world->cut_us, 0, sizeof world->cut_us);
  memset(world->silent, 0, sizeof world->silent);
  for (unsigned i = 0; i < world->nodes_count; i++)
    for (unsigned j = 0; j < world->nodes_count; j++)
      links_release(world, i, j);
}

void sim_links_deinit(struct sim_world *world)
{
  while (world->links != NULL) {
    struct sim_link *link = world->links;
    world->links = link->next;
    for (unsigned i = 0; i < 2; i++)
      frames_free(&link->ends[i]);
    rt_free(link);
  }
}
