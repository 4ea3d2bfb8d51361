/* pg_wire.c - a session's socket on a libuv loop.
 *
 * Happy path: the socket is watched for what the session wants; an event is a step.
 * Ways to fail: libuv cannot watch the socket: the session is dropped and tries again later.
 * Invariant: a socket is not watched any more when libpq closes it. While it connects, libpq may
 *   close its socket and open another of the same number: it is watched anew at each step. */
#include "adapters/store_postgres/pg_clock.h"
#include "adapters/store_postgres/pg_port.h"
#include "holdfast/check.h"
#include "holdfast/driver.h"

static void on_watch_closed(uv_handle_t *handle)
{
  rt_free(handle->data);
}

static void watch_close(struct pg_wire *wire)
{
  struct pg_watch *watch = wire->watch;
  if (watch == NULL)
    return;
  wire->watch = NULL;
  watch->wire = NULL;
  (void)uv_poll_stop(&watch->poll);
  uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
  struct pg_watch *watch = poll->data;
  struct pg_wire *wire = watch->wire;
  (void)events;
  CHECK(wire != NULL); /* a closing handle has no events */
  /* An error of the socket is libpq's to find, behind what had arrived before it. libuv watches the
   * socket no longer: it is to be started again for as long as the session has it. */
  if (status < 0)
    watch->events = 0;
  struct pg_loop *loop = wire->loop;
  if (wire->session.state == PG_SESSION_CONNECTING)
    watch_close(wire);
  pg_session_step(&wire->session, pg_clock_us());
  pg_wire_follow(wire);
  pg_loop_pump(loop);
}

static bool watch_open(struct pg_wire *wire, int socket)
{
  struct pg_watch *watch = rt_alloc(sizeof *watch);
  watch->wire = wire;
  watch->socket = socket;
  watch->poll.data = watch;
  if (uv_poll_init(driver_uv_loop(wire->loop->ctx), &watch->poll, socket) != 0) {
    rt_free(watch);
    return false;
  }
  wire->watch = watch;
  return true;
}

void pg_wire_follow(struct pg_wire *wire)
{
  struct pg_session *session = &wire->session;
  int socket = pg_session_socket(session);
  unsigned wants = pg_session_wants(session);
  int events =
    (wants & PG_WANTS_READ ? UV_READABLE : 0) | (wants & PG_WANTS_WRITE ? UV_WRITABLE : 0);
  if (wire->watch != NULL && socket != wire->watch->socket)
    watch_close(wire);
  if (socket < 0)
    return;
  bool watched = wire->watch != NULL || watch_open(wire, socket);
  if (watched && wire->watch->events != events) {
    wire->watch->events = events;
    watched = uv_poll_start(&wire->watch->poll, events, on_event) == 0;
  }
  if (watched)
    return;
  watch_close(wire);
  pg_session_drop(session, pg_clock_us(), "the socket cannot be watched");
}

void pg_wire_init(struct pg_wire *wire, struct pg_loop *loop, enum pg_role role, uint64_t seed)
{
  wire->loop = loop;
  wire->role = (uint8_t)role;
  pg_session_init(&wire->session, &loop->groups[role].config, seed);
}

void pg_wire_start(struct pg_wire *wire)
{
  pg_session_start(&wire->session, pg_clock_us());
  pg_wire_follow(wire);
}

void pg_wire_tick(struct pg_wire *wire, uint64_t now_us)
{
  pg_session_tick(&wire->session, now_us);
  pg_wire_follow(wire);
}

void pg_wire_closing(struct pg_session *session)
{
  watch_close((struct pg_wire *)session);
}

void pg_wire_resolve(struct pg_session *session)
{
  const struct pg_wire *wire = (const struct pg_wire *)session;
  pg_names_resolve(wire->loop->groups[wire->role].names);
}

void pg_wire_resolved(void *arg, const struct pg_target *target, const char *why)
{
  struct pg_group *group = arg;
  for (unsigned i = 0; i < group->count; i++) {
    pg_session_resolved(&group->wires[i].session, pg_clock_us(), target, why);
    pg_wire_follow(&group->wires[i]);
  }
  pg_loop_pump(group->loop);
}

void pg_wire_deinit(struct pg_wire *wire)
{
  watch_close(wire);
  pg_session_deinit(&wire->session);
}
