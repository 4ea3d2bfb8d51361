/* faults.c - see faults.h. */
#include "tests/torture/faults.h"

#include "holdfast/check.h"

static struct faults *of_engine(struct store_engine *engine)
{
  return (struct faults *)(void *)engine; /* its first member */
}

const char *fault_text(enum fault fault)
{
  static const char *const texts[FAULT_COUNT] = {
#define X(name, text) #name ": " text,
    FAULTS(X)
#undef X
  };
  CHECK(fault < FAULT_COUNT);
  return texts[fault];
}

/* Counts a call of the seam; the fault that strikes it. */
static enum fault strike(struct faults *faults, bool port)
{
  if (faults->first == 0 || (faults->fault == FAULT_AGAIN) != port)
    return FAULT_NONE;
  faults->calls++;
  if (faults->calls < faults->first || faults->calls - faults->first >= faults->count)
    return FAULT_NONE;
  faults->struck += faults->fault != FAULT_NONE;
  return faults->fault;
}

/* ---- the engine ------------------------------------------------------------------------------ */

static void engine_execute(struct store_engine *engine, struct store_request *request)
{
  struct faults *faults = of_engine(engine);
  bool scan = request->kind == STORE_SCAN; /* it is the test that looks */
  enum fault fault = scan ? FAULT_NONE : strike(faults, false);
  bool writes = request->kind == STORE_OPEN_PARTITION || request->kind == STORE_PROJECT;
  if (fault == FAULT_NONE || (fault == FAULT_DONE_REFUSED && writes))
    faults->inner->ops->execute(faults->inner, request);
  if (fault == FAULT_NONE)
    return;
  request->status = STORE_UNAVAILABLE;
  if (fault == FAULT_FENCED && request->kind == STORE_OPEN_PARTITION)
    request->status = STORE_FENCED;
  if (fault == FAULT_CORRUPT && !writes)
    request->status = STORE_CORRUPT;
}

static void forget_hits(struct store_request *request)
{
  for (size_t i = 0; i < request->commit.units_count; i++) {
    store_op_free(request->commit.units[i]->hit);
    request->commit.units[i]->hit = NULL;
  }
}

static void conflict(struct store_request *request)
{
  for (size_t i = 0; i < request->commit.units_count; i++)
    request->commit.units[i]->status = i == 0 ? STORE_CONFLICT : STORE_OK;
  request->status = STORE_CONFLICT;
}

static void engine_commit_many(struct store_engine *engine, struct store_request **requests,
                               size_t count)
{
  static const uint8_t statuses[FAULT_COUNT] = {
    [FAULT_UNAVAILABLE] = STORE_UNAVAILABLE,  [FAULT_UNKNOWN_DONE] = STORE_UNKNOWN,
    [FAULT_UNKNOWN_LOST] = STORE_UNKNOWN,     [FAULT_FENCED] = STORE_FENCED,
    [FAULT_DONE_REFUSED] = STORE_UNAVAILABLE, [FAULT_CORRUPT] = STORE_UNAVAILABLE,
  };
  struct faults *faults = of_engine(engine);
  enum fault fault = strike(faults, false);
  if (fault == FAULT_NONE || fault == FAULT_UNKNOWN_DONE)
    faults->inner->ops->commit_many(faults->inner, requests, count);
  for (size_t i = 0; i < count && fault != FAULT_NONE; i++) {
    forget_hits(requests[i]);
    if (fault == FAULT_CONFLICT)
      conflict(requests[i]);
    else
      requests[i]->status = statuses[fault];
  }
}

static void engine_close(struct store_engine *engine)
{
  CHECK(engine == NULL); /* taken out before the fixture closes its disk */
}

/* ---- the port -------------------------------------------------------------------------------- */

static rt_status port_submit(struct store_port *port, rt_ctx *ctx, struct store_request *request)
{
  struct faults *faults = port->impl;
  if (strike(faults, true) != FAULT_NONE)
    return RT_AGAIN;
  return faults->behind->submit(faults->behind, ctx, request);
}

/* ---- up and down ----------------------------------------------------------------------------- */

void faults_init(struct faults *faults, struct fixture *fixture)
{
  static const struct store_engine_ops ops = {.name = "faults",
                                              .execute = engine_execute,
                                              .commit_many = engine_commit_many,
                                              .close = engine_close};
  *faults = (struct faults){
    .engine = {.ops = &ops, .partition_bits = fixture->inner->partition_bits},
    .inner = fixture->inner,
    .port = *fixture->port,
    .behind = fixture->port,
    .fixture = fixture,
  };
  faults->port.submit = port_submit;
  faults->port.impl = faults;
  fixture->inner = &faults->engine;
  fixture->setup.port = &faults->port;
}

void faults_deinit(struct faults *faults)
{
  faults->fixture->inner = faults->inner;
  faults->fixture->setup.port = faults->fixture->port;
}

void faults_arm(struct faults *faults, enum fault fault, unsigned first, unsigned count)
{
  CHECK(first > 0);
  faults->fault = fault;
  faults->first = first;
  faults->count = count;
  faults->calls = faults->struck = 0;
}

void faults_heal(struct faults *faults)
{
  faults->first = 0;
}
