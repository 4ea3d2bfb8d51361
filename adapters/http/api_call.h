/* api_call.h - one API request on its way: who asks, what was matched and asked, the reply.
 *
 * Owner: the loop of its exchange. It lives until it is answered and every ask that it has out came
 *        back.
 * An answer may come after the exchange was answered in another way (its handler was late): then
 * replies go nowhere and whatever came back is freed as usual.
 * Order of judgement: authentication, route, size, syntax and types, scope, then what is asked. The
 * first three are api_serve's; a handler parses everything before it calls api_allowed, and nothing
 * can be asked without that. */
#ifndef HOLDFAST_API_CALL_H
#define HOLDFAST_API_CALL_H

#include "actors/store/port.h"
#include "actors/user/op.h"
#include "adapters/http/api_auth.h"
#include "adapters/http/api_query.h"
#include "adapters/http/http.h"
#include "adapters/http/json_in.h"
#include "adapters/http/json_out.h"
#include "adapters/http/route.h"

#define API_ETAG_MAX 40u

struct front_loop;
struct hf_catalog_change;

/* What is asked; an ask's corr. The payload is the pointer named, whose `owner` is the call. */
enum api_ask {
  API_ASK_OP = 1, /* struct hf_op * */
  API_ASK_VIEW,   /* struct hf_view * */
  API_ASK_PEEK,   /* struct hf_peek * */
  API_ASK_STATUS, /* struct hf_peek *, which changes the status */
  API_ASK_CREATE, /* struct hf_create * */
  API_ASK_CHANGE, /* struct hf_catalog_change * */
  API_ASK_READ,   /* struct store_request * */
  API_ASK_PROOF,  /* struct api_proof *, of a job */
};

struct api_proof { /* what a job of the front door's prover brings back */
  struct api_call *call;
  uint64_t user;
  enum hf_error error;
  struct json_out text; /* the object */
};

struct api_call {
  struct http_exchange *exchange; /* NULL once answered */
  struct front_loop *loop;
  const struct route *route;
  struct api_call *next; /* in the loop's free list */
  unsigned asks;         /* out */
  bool allowed;          /* the scope was checked */
  bool held;             /* a handler runs: it is not freed before api_call_rest */
  bool streaming;        /* its reply goes on: it waits for nothing that it asked */
  struct api_caller caller;
  struct http_slice params[HTTP_PATH_PARAMS_MAX]; /* decoded; valid while the handler runs */
  struct api_query query;                         /* values valid while the handler runs */
  /* An answer came. Takes what came back over; may ask again or reply. */
  void (*resume)(struct api_call *call, enum api_ask kind, void *answer);
  void *work; /* the handler's own; freed with the call */
  void (*work_free)(void *work);
};

/* A call whose handler is about to run, and the end of that run: freed unless something is out. */
struct api_call *api_call_new(struct front_loop *loop, struct http_exchange *exchange);
void api_call_rest(struct api_call *call);
/* A request of an http_loop. `admin`: of the second listener. */
void api_serve(struct front_loop *loop, struct http_exchange *exchange, bool admin);
/* The largest body that it may bring, or why it is refused before that. */
enum hf_error api_head_check(struct front_loop *loop, const struct http_request *head, bool admin,
                             size_t *ret_body_max);
/* A reply to one of our asks, or the runtime's echo of it. */
void api_answered(struct front_loop *loop, const rt_env *env);
/* The answer of a job. */
void api_proved(struct front_loop *loop, struct api_proof *proof);

/* ---- for handlers ---------------------------------------------------------------------------- */

rt_ctx *api_ctx(const struct api_call *call);
unsigned api_partition_bits(const struct api_call *call);
/* Nobody waits for the reply any more. */
bool api_is_over(const struct api_call *call);

/* Each answers the call; no other may follow. */
void api_fail(struct api_call *call, enum hf_error error);
void api_refuse(struct api_call *call, const struct json_problem *problem);
/* Sends what was written to api_out, as JSON. */
void api_send(struct api_call *call, unsigned status);
/* The same with an ETag made of the body; 304 when the client has it already. */
void api_send_tagged(struct api_call *call);
/* For another kind of reply: the exchange, which the caller answers at once. */
struct http_exchange *api_take_exchange(struct api_call *call);
/* An empty buffer for the reply. */
struct json_out *api_out(struct api_call *call);

/* After all of the request was parsed: false when it was answered, with the problem or 403. */
bool api_allowed(struct api_call *call, const struct json_problem *problem);

/* Would it be let in now? For replies that go on: a key may have been revoked meanwhile. */
bool api_still_known(const struct api_call *call);

/* The object in the body; NULL and a problem when it is none. json_decref it. */
json_t *api_body(struct api_call *call, struct json_problem *problem);
/* The path parameter as an id; the second also knows which ids no user can have. */
hf_id api_param_id(struct api_call *call, unsigned index, struct json_problem *problem);
hf_id api_param_user(struct api_call *call, unsigned index, struct json_problem *problem);
/* An id is whatever fits 53 bits, but actors and stores have room for fewer users: the others do
 * not exist, and are not asked for. */
void api_check_user(const struct api_call *call, hf_id user, const char *field,
                    struct json_problem *problem);
/* The header's key, as a digest; false when there is none, which is a problem where the route
 * requires one. */
bool api_key_digest(struct api_call *call, struct json_problem *problem,
                    struct hf_digest *ret_digest);

/* Cursors of this call's route; `bound` are the bytes of its filters. A cursor that is not one is a
 * problem. 0: from the beginning. */
uint64_t api_cursor_of(struct api_call *call, const void *bound, size_t bound_size,
                       struct json_problem *problem);
/* Writes "next_cursor":… ; position 0: null. */
void api_write_next(struct api_call *call, const void *bound, size_t bound_size, uint64_t position);

/* True when new work may be taken; else the call was answered 429 or 503. */
bool api_has_room(struct api_call *call);
/* False: no room; the payload stays the caller's. The ops of a group count as one. */
MUST_CHECK bool api_ask_op(struct api_call *call, struct hf_op *op);
MUST_CHECK bool api_ask_view(struct api_call *call, struct hf_view *view);
MUST_CHECK bool api_ask_peek(struct api_call *call, struct hf_peek *peek, bool set_status);
MUST_CHECK bool api_ask_create(struct api_call *call, struct hf_create *create);
MUST_CHECK bool api_ask_change(struct api_call *call, struct hf_catalog_change *change);
MUST_CHECK bool api_ask_read(struct api_call *call, struct store_request *request);
/* False: too many wait for one. The proof is the resume's, to give back to api_proof_free. */
MUST_CHECK bool api_ask_proof(struct api_call *call, uint64_t user);
void api_proof_free(struct api_proof *proof);
/* HF_OK, or what a read that did not work out is answered with. */
enum hf_error api_read_error(const struct store_request *request, enum hf_error not_found);
/* Deadline of what is asked now: monotonic microseconds. */
uint64_t api_deadline_us(const struct api_call *call);

/* Lookups of the loop's catalog, for api_auth and api_write. */
const struct store_asset_row *api_asset_by_id(const void *loop, uint16_t id);

#endif
