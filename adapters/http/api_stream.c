/* api_stream.c - change streams; see the header.
 *
 * Happy path: the first page is read before the reply begins, so that what is wrong by then is told
 *   as a problem. From then on a stream reads a page when there is something to read and room to
 *   write it, writes it, and waits: for the tick that sees new entries, or for the socket.
 * Ways to fail: the peer is gone (the transport says so by `writable`); the store does not answer
 *   (the stream stays and asks again, ever more slowly); the journal has a gap, the key was
 *   revoked, the server stops (an event `end` with the reason, and the end).
 * Invariants: next_seq is one behind the newest entry that was rendered; a page is asked for only
 *   when the last one was taken by the transport, so that at most one waits in `page`; a stream is
 *   in its loop's list from the time it is counted to its end. */
#include "adapters/http/api_stream.h"

#include <stdio.h>
#include <string.h>

#include "actors/cluster/cluster.h"
#include "adapters/http/front_loop.h"
#include "holdfast/check.h"

#define PAGE_ENTRIES 64u
#define TICK_US 20000u
#define POLL_MIN_US 50000u
#define POLL_MAX_US 500000u
#define KNOWN_US 1000000u /* how often the key is looked at again */
#define RETRY_TEXT "retry: 1000\n\n"

struct api_stream {
  struct http_list link; /* in loop->streams */
  struct api_call *call;
  uint32_t partition;
  uint64_t next_seq;
  uint64_t poll_at_us, poll_us; /* of `retry`: when; and the pause after that */
  uint64_t beat_at_us, known_at_us;
  bool begun;           /* the reply's head was written */
  bool reading;         /* a read is out */
  bool more;            /* the last page was a full one */
  bool retry;           /* the last read failed, or fell short: the next is at poll_at_us */
  struct hf_bytes page; /* what the transport had no room for */
};

static void count_stream(struct front_loop *loop, bool more)
{
  struct front *front = loop->front;
  CHECK(more || loop->streams_count > 0);
  if (more)
    atomic_fetch_add_explicit(&front->streams, 1, memory_order_relaxed);
  else
    atomic_fetch_sub_explicit(&front->streams, 1, memory_order_relaxed);
  loop->streams_count += more ? 1u : -1u;
  rt_gauge(loop->ctx, front->config.metric_base + FRONT_M_STREAMS, loop->streams_count);
}

static void stream_free(void *work)
{
  struct api_stream *stream = work;
  CHECK(http_list_empty(&stream->link));
  hf_bytes_deinit(&stream->page);
  rt_free(stream);
}

static struct stream_look *look_of(const struct api_stream *stream)
{
  return &stream->call->loop->looks[stream->partition];
}

/* It looks no more for the others. */
static bool look_end(struct api_stream *stream)
{
  struct stream_look *look = look_of(stream);
  const bool looked = look->reader == stream;
  if (looked)
    look->reader = NULL;
  return looked;
}

/* It is no stream any more; what is left of its call goes when nothing is asked. */
static void stream_leave(struct api_stream *stream)
{
  (void)look_end(stream);
  http_list_remove(&stream->link);
  stream->call->streaming = false;
  count_stream(stream->call->loop, false);
}

/* Ends the reply, with an event that says why unless `code` is NULL. */
static void stream_end(struct api_stream *stream, const char *code)
{
  struct api_call *call = stream->call;
  char text[80];
  stream_leave(stream);
  if (code != NULL) {
    const int size = snprintf(text, sizeof text, "event: end\ndata: {\"code\":\"%s\"}\n\n", code);
    CHECK(size > 0 && (size_t)size < sizeof text);
    /* No half of a page may come before it; who has no room for it will ask again anyway. */
    if (stream->page.size == 0)
      (void)http_stream_write(call->exchange, text, (size_t)size);
  }
  http_stream_end(api_take_exchange(call));
}

/* ---- writing --------------------------------------------------------------------------------- */

static void stream_beat_later(struct api_stream *stream)
{
  const struct front_loop *loop = stream->call->loop;
  stream->beat_at_us = rt_now_us(loop->ctx) + loop->front->config.stream_beat_us;
}

/* False: the transport has no room; the text waits in `page`. */
static bool stream_write(struct api_stream *stream, const char *text, size_t size)
{
  if (size == 0)
    return true;
  CHECK(stream->page.size == 0);
  stream_beat_later(stream);
  if (http_stream_write(stream->call->exchange, text, size))
    return true;
  hf_bytes_put(&stream->page, text, size);
  return false;
}

/* True when nothing waits. */
static bool stream_flush(struct api_stream *stream)
{
  if (stream->page.size > 0 &&
      !http_stream_write(stream->call->exchange, stream->page.at, stream->page.size))
    return false;
  if (stream->page.size > 0)
    hf_bytes_deinit(&stream->page);
  return true;
}

static void stream_write_page(struct api_stream *stream, const struct store_scan *scan,
                              size_t count)
{
  struct api_call *call = stream->call;
  struct json_out *out = api_out(call);
  char head[64];
  for (size_t i = 0; i < count; i++) {
    (void)snprintf(head, sizeof head, "id: %u:%llu\ndata: ", stream->partition,
                   (unsigned long long)(scan->from_seq + i));
    api_changes_text(out, head);
    api_changes_line(call, scan, i);
    api_changes_text(out, "\n\n");
  }
  stream->next_seq = scan->from_seq + count;
  (void)stream_write(stream, out->at, out->size);
  front_count(call->loop, FRONT_M_STREAM_ENTRIES, count);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void poll_later(const struct front_loop *loop, bool found, uint64_t *poll_us,
                       uint64_t *ret_at_us)
{
  *poll_us = found ? POLL_MIN_US : 2u * *poll_us;
  if (*poll_us < POLL_MIN_US || *poll_us > POLL_MAX_US)
    *poll_us = *poll_us < POLL_MIN_US ? POLL_MIN_US : POLL_MAX_US;
  *ret_at_us = rt_now_us(loop->ctx) + *poll_us;
}

static void stream_poll_later(struct api_stream *stream, bool found)
{
  poll_later(stream->call->loop, found, &stream->poll_us, &stream->poll_at_us);
}

static void look_later(struct api_stream *stream, bool found)
{
  struct stream_look *look = look_of(stream);
  poll_later(stream->call->loop, found, &look->poll_us, &look->poll_at_us);
}

/* What was told is committed; a copy of the database, where one is read, may not have it yet. */
static bool stream_is_told(const struct api_stream *stream)
{
  const struct hf_setup *setup = hf_setup_of(stream->call->loop->ctx);
  if (look_of(stream)->seen >= stream->next_seq)
    return true;
  return setup->tails != NULL && atomic_load_explicit(&setup->tails[stream->partition],
                                                      memory_order_relaxed) >= stream->next_seq;
}

static bool stream_has_room(const struct api_stream *stream)
{
  const struct api_call *call = stream->call;
  return http_stream_room(call->exchange) >= call->loop->front->config.limits.write_buffer_max / 2;
}

/* May entries come that nobody tells of, and is it time to look for them? Who misses the most
 * looks, so that what it does not find is not there for the others either. */
static bool stream_may_look(const struct api_stream *stream)
{
  const struct front_loop *loop = stream->call->loop;
  const struct stream_look *look = look_of(stream);
  return look->reader == NULL && stream->next_seq <= look->low &&
         rt_now_us(loop->ctx) >= look->poll_at_us &&
         (hf_setup_of(loop->ctx)->tails == NULL || !cluster_is_ours(loop->ctx, stream->partition));
}

static bool stream_has_news(const struct api_stream *stream)
{
  if (stream->retry)
    return rt_now_us(stream->call->loop->ctx) >= stream->poll_at_us;
  return stream->more || stream_is_told(stream);
}

static bool stream_ask(struct api_stream *stream)
{
  struct api_call *call = stream->call;
  stream->reading = api_changes_ask(call, stream->partition, stream->next_seq, PAGE_ENTRIES);
  front_count(call->loop, FRONT_M_STREAM_READS, stream->reading);
  return stream->reading;
}

/* Asks for the next page if there may be one and there is room for it. */
static void stream_go_on(struct api_stream *stream)
{
  if (stream->reading || !stream_flush(stream) || !stream_has_room(stream))
    return;
  const bool news = stream_has_news(stream);
  if (!news && (stream->retry || !stream_may_look(stream)))
    return;
  if (stream_ask(stream)) {
    if (!news)
      look_of(stream)->reader = stream;
    return;
  }
  stream->retry = true;
  stream_poll_later(stream, false);
}

/* ---- the transport's word -------------------------------------------------------------------- */

/* There is room again, or the peer is gone: then room is without end and nothing is taken. */
static void on_writable(struct http_exchange *exchange, void *arg)
{
  struct api_stream *stream = arg;
  struct api_call *call = stream->call;
  struct front_loop *loop = call->loop;
  const bool gone = http_stream_room(exchange) == SIZE_MAX;
  const bool enter = !gone && !loop->entered;
  CHECK(call->exchange == exchange && call->streaming && !call->held);
  call->held = true;
  if (enter) {
    rt_enter(loop->ctx, loop->self);
    loop->entered = true;
  }
  if (gone)
    stream_end(stream, NULL);
  else
    stream_go_on(stream);
  if (enter) {
    loop->entered = false;
    rt_leave(loop->ctx);
  }
  api_call_rest(call);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void stream_begin(struct api_stream *stream)
{
  struct api_call *call = stream->call;
  stream->begun = true;
  call->streaming = true;
  http_stream_begin(call->exchange, call->route->status, "text/event-stream", on_writable, stream);
  http_stream_live(call->exchange);
  (void)stream_write(stream, RETRY_TEXT, sizeof RETRY_TEXT - 1);
}

/* The first read was in vain: the reply is a problem. */
static void stream_refuse(struct api_stream *stream, enum hf_error error)
{
  stream_leave(stream);
  api_fail(stream->call, error);
}

static void stream_fail(struct api_stream *stream, enum hf_error error, bool looked)
{
  if (!stream->begun) {
    stream_refuse(stream, error);
  } else if (looked && hf_error_info(error)->retryable) {
    look_later(stream, false);
  } else if (error == HF_E_UNAVAILABLE || error == HF_E_OVERLOADED) {
    stream->retry = true;
    stream_poll_later(stream, false);
  } else {
    stream_end(stream, hf_error_info(error)->code);
  }
}

static void stream_take(struct api_stream *stream, const struct store_scan *scan)
{
  size_t count = 0;
  if (!api_changes_count(stream->call, scan, &count)) {
    stream_fail(stream, HF_E_INTERNAL, false);
    return;
  }
  struct stream_look *look = look_of(stream);
  if (count > 0 && scan->from_seq + count - 1u > look->seen)
    look->seen = scan->from_seq + count - 1u;
  look_later(stream, count > 0);
  if (!stream->begun && stream->call->loop->draining) {
    stream_refuse(stream, HF_E_DRAINING);
    return;
  }
  if (!stream->begun)
    stream_begin(stream);
  if (http_stream_room(stream->call->exchange) == SIZE_MAX)
    return; /* nobody is there; on_writable comes */
  if (http_request_of(stream->call->exchange)->method == HTTP_HEAD) {
    stream_end(stream, NULL);
    return;
  }
  stream->more = count == PAGE_ENTRIES;
  stream->retry = count < scan->entries_count || (count == 0 && stream_is_told(stream));
  stream_poll_later(stream, count > 0);
  if (!stream_flush(stream)) { /* its page comes again: what waits was not taken */
    stream->more = true;
    return;
  }
  stream_write_page(stream, scan, count);
  stream_go_on(stream);
}

static void resume_stream(struct api_call *call, enum api_ask kind, void *answer)
{
  CHECK(kind == API_ASK_READ);
  struct store_request *request = answer;
  struct api_stream *stream = call->work;
  const enum hf_error error = api_read_error(request, HF_E_INTERNAL);
  const bool looked = look_end(stream);
  stream->reading = false;
  if (!api_is_over(call) && error != HF_OK)
    stream_fail(stream, error, looked);
  else if (!api_is_over(call))
    stream_take(stream, &request->scan);
  store_request_free(request);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void tick_later(struct front_loop *loop)
{
  loop->streams_tick = !http_list_empty(&loop->streams);
  if (loop->streams_tick)
    (void)rt_timer(loop->ctx, TICK_US, FRONT_COOKIE_STREAMS);
}

void api_stream_start(struct api_call *call, uint32_t partition, uint64_t next_seq)
{
  struct front_loop *loop = call->loop;
  const uint64_t now_us = rt_now_us(loop->ctx);
  struct json_problem problem = {0};
  if (atomic_load_explicit(&loop->front->streams, memory_order_relaxed) >=
      loop->front->config.streams_max) {
    json_problem_set(&problem, HF_E_OVERLOADED, NULL, "too many change streams are open");
    api_refuse(call, &problem);
    return;
  }
  struct api_stream *stream = rt_alloc(sizeof *stream);
  stream->call = call;
  stream->partition = partition;
  stream->next_seq = next_seq;
  stream->poll_us = POLL_MIN_US;
  stream->known_at_us = now_us + KNOWN_US;
  http_list_init(&stream->link);
  call->work = stream;
  call->work_free = stream_free;
  call->resume = resume_stream;
  http_list_append(&loop->streams, &stream->link);
  count_stream(loop, true);
  if (!loop->streams_tick)
    tick_later(loop);
  if (!stream_ask(stream))
    stream_refuse(stream, HF_E_OVERLOADED);
}

static void stream_tick(struct api_stream *stream, uint64_t now_us)
{
  struct api_call *call = stream->call;
  if (!stream->begun || http_stream_room(call->exchange) == SIZE_MAX)
    return; /* the transport tells of a peer that is gone */
  if (now_us >= stream->known_at_us) {
    stream->known_at_us = now_us + KNOWN_US;
    if (!api_still_known(call)) {
      stream_end(stream, hf_error_info(HF_E_UNAUTHENTICATED)->code);
      return;
    }
  }
  if (now_us >= stream->beat_at_us && stream_flush(stream))
    (void)stream_write(stream, ":\n\n", 3);
  stream_go_on(stream);
}

static void looks_prepare(struct front_loop *loop)
{
  struct http_list *at;
  for (at = loop->streams.next; at != &loop->streams; at = at->next)
    look_of(HTTP_LIST_OF(at, struct api_stream, link))->low = UINT64_MAX;
  for (at = loop->streams.next; at != &loop->streams; at = at->next) {
    const struct api_stream *stream = HTTP_LIST_OF(at, struct api_stream, link);
    struct stream_look *look = look_of(stream);
    if (stream->begun && !stream->reading && !stream->retry && stream->page.size == 0 &&
        !stream_has_news(stream) && stream_has_room(stream) && stream->next_seq < look->low)
      look->low = stream->next_seq;
  }
}

void api_streams_tick(struct front_loop *loop)
{
  const uint64_t now_us = rt_now_us(loop->ctx);
  if (hf_setup_of(loop->ctx)->port->shared || hf_setup_of(loop->ctx)->tails == NULL)
    looks_prepare(loop);
  struct http_list *at = loop->streams.next;
  while (at != &loop->streams) {
    struct api_stream *stream = HTTP_LIST_OF(at, struct api_stream, link);
    struct api_call *call = stream->call;
    at = at->next;
    call->held = true;
    stream_tick(stream, now_us);
    api_call_rest(call);
  }
  tick_later(loop);
}

void api_streams_end(struct front_loop *loop)
{
  struct http_list *at = loop->streams.next;
  while (at != &loop->streams) {
    struct api_stream *stream = HTTP_LIST_OF(at, struct api_stream, link);
    struct api_call *call = stream->call;
    at = at->next;
    if (!stream->begun)
      continue; /* its reply is on its way: see resume_stream */
    call->held = true;
    stream_end(stream, hf_error_info(HF_E_DRAINING)->code);
    api_call_rest(call);
  }
}
