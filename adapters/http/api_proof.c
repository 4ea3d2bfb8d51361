/* api_proof.c - GET /v1/users/{id}/proof: that the newest seal has the user's balances.
 *
 * Happy path: a job on the prover's pool reads the seal, the leaves and the journal; its answer is
 * the reply.
 * Ways to fail: nothing seals here, or the user is in no seal yet (404); the pool is full, or the
 *   seal cannot be read (503).
 * Invariant: no loop ever waits for a file. */
#include "actors/store/messages.h"
#include "adapters/http/api_query.h"
#include "adapters/http/front_loop.h"
#include "holdfast/check.h"

struct job { /* first: the pointer is the proof's */
  struct api_proof proof;
  const struct front_prover *prover;
};

static void run(void *arg)
{
  struct job *job = arg;
  job->proof.error = job->prover->prove(job->prover->arg, job->proof.user, &job->proof.text);
}

void api_proof_free(struct api_proof *proof)
{
  json_out_deinit(&proof->text);
  rt_free(proof);
}

bool api_ask_proof(struct api_call *call, uint64_t user)
{
  const struct front_prover *prover = &call->loop->front->config.prover;
  CHECK(call->allowed && call->resume != NULL && prover->prove != NULL);
  struct job *job = rt_alloc(sizeof *job);
  job->proof = (struct api_proof){.call = call, .user = user, .error = HF_E_UNAVAILABLE};
  job->prover = prover;
  if (rt_work(call->loop->ctx, prover->pool, 0, run, job, HF_PROVED) != RT_OK) {
    rt_free(job);
    return false;
  }
  call->asks++;
  return true;
}

void api_proved(struct front_loop *loop, struct api_proof *proof)
{
  struct api_call *call = proof->call;
  CHECK(call->loop == loop && call->asks > 0);
  call->asks--;
  call->held = true;
  call->resume(call, API_ASK_PROOF, proof);
  api_call_rest(call);
}

static void resume_proof(struct api_call *call, enum api_ask kind, void *answer)
{
  struct api_proof *proof = answer;
  CHECK(kind == API_ASK_PROOF);
  if (proof->error != HF_OK) {
    api_fail(call, proof->error);
  } else if (!api_is_over(call)) {
    json_out_raw(api_out(call), proof->text.at, proof->text.size);
    api_send(call, call->route->status);
  }
  api_proof_free(proof);
}

void api_proof_get(struct api_call *call)
{
  struct json_problem problem = {0};
  const hf_id user = api_param_user(call, 0, &problem);
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  call->resume = resume_proof;
  if (call->loop->front->config.prover.prove == NULL)
    api_fail(call, HF_E_PROOF_NOT_FOUND);
  else if (!api_ask_proof(call, user))
    api_fail(call, HF_E_OVERLOADED);
}
