/* request.c - making and freeing store requests and what a read of an op brings back. */
#include "actors/store/port.h"
#include "holdfast/check.h"
#include "holdfast/rt.h"

struct store_op *store_op_new(void)
{
  return rt_alloc(sizeof(struct store_op));
}

void store_op_free(struct store_op *op)
{
  if (op == NULL)
    return;
  hf_arena_free(&op->arena);
  rt_free(op);
}

struct store_request *store_request_new(enum store_kind kind)
{
  struct store_request *request = rt_alloc(sizeof *request);

  CHECK(kind <= STORE_LEASE);
  request->kind = kind;
  return request;
}

void store_request_free(struct store_request *request)
{
  if (request == NULL)
    return;
  CHECK(request->port == NULL); /* the port still has it */
  if (request->kind == STORE_GET_OP)
    store_op_free(request->get_op.out);
  else if (request->kind == STORE_GET_KEY_OP)
    store_op_free(request->get_key_op.out);
  hf_arena_free(&request->arena);
  rt_free(request);
}
