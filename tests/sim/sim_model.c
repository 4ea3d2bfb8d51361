/* One user's history is judged again: operations, refusals and changes of status, in the order in
 * which the store took them, by a naive ledger that knows nothing of the real one. All that a
 * client was told must be what a single thread would have said, and all that was shown was so. */
#include <string.h>

#include "tests/property/ledger_model.h"
#include "tests/sim/sim.h"

_Static_assert(MODEL_ACCOUNTS == SIM_ACCOUNTS, "one account each");
_Static_assert(SIM_ASSETS < MODEL_ASSETS, "the model's last asset is in no catalog");

struct judge {
  struct sim_world *world;
  struct sim_user *user;
  unsigned index;
  const struct sim_step *steps;
  size_t steps_count;
  struct model *model;
  struct model *trial;      /* of an atomic batch */
  hf_id ids[MODEL_OPS_MAX]; /* of the model's ops */
};

static int op_find(const struct judge *judge, hf_id id)
{
  for (int i = judge->model->ops_count; i-- > 0;)
    if (judge->ids[i] == id)
      return i;
  return -1;
}

/* At some moment from then to then the user had that status, for some reader: who asks may be shown
 * what was before a change until somebody knows of that. */
static bool had_status(const struct sim_user *user, unsigned status, uint64_t from_us,
                       uint64_t to_us)
{
  unsigned now = LEDGER_OPEN;
  uint64_t since_us = 0;
  for (size_t i = 0; i < user->records_count; i++) {
    const struct sim_record *record = &user->records[i];
    if (record->kind != SIM_STATUS)
      continue;
    if (now == status && since_us <= to_us &&
        (record->known_us == 0 || record->known_us >= from_us))
      return true;
    now = record->status;
    since_us = record->at_us;
  }
  return now == status && since_us <= to_us;
}

/* The front door looks at the payee before it asks the payer; who asks actors directly does not. */
static bool payee_is_closed(const struct judge *judge, const struct sim_request *asked,
                            const struct sim_record *record)
{
  const struct sim_user *payee = &judge->world->users[asked->payee];
  if (asked->type != LEDGER_T_TRANSFER)
    return false;
  if (record->kind == SIM_REFUSED)
    return record->error == HF_E_USER_CLOSED && record->by_door &&
           had_status(payee, LEDGER_CLOSED, asked->asked_us, record->at_us);
  return !record->by_actor && !had_status(payee, LEDGER_OPEN, asked->asked_us, record->at_us);
}

/* As the client asked. */
static struct model_request request_of(const struct judge *judge, const struct sim_request *asked,
                                       const struct sim_record *record)
{
  struct model_request request = {.type = asked->type,
                                  .bucket = asked->bucket,
                                  .final = asked->final_capture,
                                  .payee_is_self = asked->payee == asked->user,
                                  .payee_closed = payee_is_closed(judge, asked, record),
                                  .op = op_find(judge, asked->ref),
                                  .version = asked->if_version,
                                  .now_us = record->recorded_us,
                                  .timeout_s = asked->timeout_s,
                                  .amount = asked->amount,
                                  .amount_named = asked->amount != 0};
  request.asset_named = asked->asset != 0;
  request.asset = request.asset_named ? asked->asset - 1 : 0;
  return request;
}

/* The server's own: what it names itself. */
static struct model_request request_of_server(const struct judge *judge,
                                              const struct sim_step *step)
{
  return (struct model_request){.type = step->type,
                                .asset = step->asset - 1,
                                .asset_named = true,
                                .amount = step->amount,
                                .amount_named = step->type != LEDGER_T_EXPIRE,
                                .op = op_find(judge, step->ref),
                                .version = -1,
                                .now_us = step->recorded_us};
}

static void compare_sums(const struct judge *judge, const struct sim_step *step)
{
  for (unsigned i = 0; i < SIM_ASSETS; i++)
    for (unsigned j = 0; j < SIM_ACCOUNTS; j++)
      if (judge->model->sum[i][j] != step->sum[i][j])
        sim_fail(judge->world,
                 "user %llu: the model has %lld in account %u after op %llu, not %lld",
                 (unsigned long long)judge->user->id, (long long)judge->model->sum[i][j], j,
                 (unsigned long long)step->op, (long long)step->sum[i][j]);
}

static void judge_applied(struct judge *judge, const struct sim_record *record)
{
  struct sim_world *world = judge->world;
  size_t last = (size_t)record->version + record->entries - 1u;
  if (last >= judge->steps_count)
    return; /* the checker has said so */
  const struct sim_step *step = &judge->steps[record->version];
  struct model_request request = record->request == SIM_NOBODY
                                   ? request_of_server(judge, step)
                                   : request_of(judge, &world->requests[record->request], record);
  if (judge->model->ops_count == MODEL_OPS_MAX) {
    sim_fail(world, "a user has more ops than the model");
    return;
  }
  judge->ids[judge->model->ops_count] = step->op;
  const char *said = model_apply(judge->model, &request);
  if (strcmp(said, "ok") != 0)
    sim_fail(world, "user %llu: op %llu (type %u) was applied, the model says %s",
             (unsigned long long)judge->user->id, (unsigned long long)step->op, step->type, said);
  else if (judge->model->posts_count != record->entries)
    sim_fail(world, "user %llu: op %llu has %u entries, in the model %d",
             (unsigned long long)judge->user->id, (unsigned long long)step->op, record->entries,
             judge->model->posts_count);
  else
    compare_sums(judge, &judge->steps[last]);
}

/* The members before the refused one count for it, and for nobody else. */
static const char *group_said(struct judge *judge, const struct sim_request *asked,
                              const struct sim_record *record)
{
  const struct sim_request *head = asked;
  struct model *kept = judge->model;
  while (head->group == 0)
    head--;
  memcpy(judge->trial, kept, sizeof *kept);
  judge->model = judge->trial;
  const char *said = "ok";
  for (; head < asked && strcmp(said, "ok") == 0; head++) {
    struct model_request member = request_of(judge, head, record);
    judge->ids[judge->model->ops_count] = 0;
    said = model_apply(judge->model, &member);
  }
  if (strcmp(said, "ok") == 0) {
    struct model_request request = request_of(judge, asked, record);
    said = model_apply(judge->model, &request);
  }
  judge->model = kept;
  return said;
}

static void judge_refused(struct judge *judge, const struct sim_record *record)
{
  struct sim_world *world = judge->world;
  const char *code = hf_error_info((enum hf_error)record->error)->code, *said;
  if (record->judged != record->version)
    sim_fail(world, "user %llu: a refusal of version %llu was taken at version %llu",
             (unsigned long long)judge->user->id, (unsigned long long)record->judged,
             (unsigned long long)record->version);
  if (record->request == SIM_NOBODY || record->error == HF_E_BATCH_ABORTED)
    return;
  const struct sim_request *asked = &world->requests[record->request];
  if (asked->group != 1u) {
    said = group_said(judge, asked, record);
  } else {
    struct model_request request = request_of(judge, asked, record);
    said = model_apply(judge->model, &request);
  }
  if (strcmp(said, code) != 0)
    sim_fail(world,
             "user %llu version %llu: request %u (type %u) was refused with %s, the model "
             "says %s",
             (unsigned long long)judge->user->id, (unsigned long long)record->version,
             asked->number, asked->type, code, said);
}

static void judge_seen(const struct judge *judge)
{
  static const struct sim_step nothing;
  for (size_t version = 0; version < judge->user->seen_room; version++) {
    const struct sim_seen *seen = &judge->user->seen[version];
    if (!seen->seen || version > judge->steps_count)
      continue;
    const struct sim_step *step = version == 0 ? &nothing : &judge->steps[version - 1u];
    for (unsigned i = 0; i < SIM_ASSETS; i++)
      for (unsigned j = 0; j < LEDGER_BUCKET_COUNT; j++)
        if (seen->bucket[i][j] != (j == LEDGER_DEBT ? -step->sum[i][j] : step->sum[i][j]))
          sim_fail(judge->world, "user %llu was shown another balance at version %zu than it had",
                   (unsigned long long)judge->user->id, version);
  }
}

void sim_model_check(struct sim_world *world, unsigned user, const struct sim_step *steps,
                     size_t count)
{
  struct judge *judge = rt_alloc(sizeof *judge);
  judge->world = world;
  judge->user = &world->users[user];
  judge->steps = steps;
  judge->steps_count = count;
  judge->model = rt_alloc(sizeof *judge->model);
  judge->trial = rt_alloc(sizeof *judge->trial);
  for (size_t i = 0; i < judge->user->records_count && world->failure[0] == '\0'; i++) {
    const struct sim_record *record = &judge->user->records[i];
    if (record->kind == SIM_APPLIED)
      judge_applied(judge, record);
    else if (record->kind == SIM_REFUSED)
      judge_refused(judge, record);
    else
      judge->model->closed = record->status == LEDGER_CLOSED;
  }
  judge_seen(judge);
  world->models_checked++;
  rt_free(judge->trial);
  rt_free(judge->model);
  rt_free(judge);
}
