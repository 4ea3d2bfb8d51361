/* What the clients want: requests, drawn so that they meet in a few users, refer to what is there
 * or has just gone, and are refused for every reason. */
#include <string.h>

#include "tests/sim/sim.h"

#define AMOUNT_MAX 1000u          /* but for what makes a user rich */
#define UNKNOWN_FROM (1ull << 40) /* ids that are never given: a guess may hit what is under way */

static const uint8_t types[] = {
  LEDGER_T_GRANT,    LEDGER_T_GRANT,   LEDGER_T_EARN,  LEDGER_T_SETTLE,        LEDGER_T_MATURE,
  LEDGER_T_DEPOSIT,  LEDGER_T_SPEND,   LEDGER_T_SPEND, LEDGER_T_HOLD,          LEDGER_T_HOLD,
  LEDGER_T_CAPTURE,  LEDGER_T_CAPTURE, LEDGER_T_VOID,  LEDGER_T_TRANSFER,      LEDGER_T_TRANSFER,
  LEDGER_T_TRANSFER, LEDGER_T_ADJUST,  LEDGER_T_BLOCK, LEDGER_T_QUARANTINE_IN, LEDGER_T_RELEASE,
  LEDGER_T_REVERSE,  LEDGER_T_UNBLOCK,
};

static void request_digests(const struct sim_world *world, struct sim_request *request)
{
  char text[SIM_TEXT_MAX];
  sim_key_text(request, text);
  request->key = hf_digest(text, strlen(text));
  for (unsigned i = 0; i < 2u; i++)
    request->bodies[i] = sim_body_digest(world, request, i);
}

/* Mostly any of the last ones; some are so new that others want them too. */
static unsigned recent(struct sim_world *world, unsigned made)
{
  unsigned count = made < 256u ? made : 256u;
  if (sim_chance(world, 700))
    return (unsigned)(sim_rand(world) % count);
  return (made - 1u - (unsigned)(sim_rand(world) % (count < 3u ? count : 3u))) % 256u;
}

static void request_refer(struct sim_world *world, struct sim_request *request)
{
  const hf_id *ids = world->ops;
  const unsigned *users = world->op_users;
  unsigned count = world->ops_count;
  if (request->type == LEDGER_T_CAPTURE || request->type == LEDGER_T_VOID) {
    ids = world->holds;
    users = world->hold_users;
    count = world->holds_count;
  } else if (request->type == LEDGER_T_UNBLOCK) {
    ids = world->blocks;
    users = world->block_users;
    count = world->blocks_count;
  }
  request->asset = 0; /* named by what it refers to */
  request->ref = UNKNOWN_FROM + sim_rand(world) % 5000u;
  if (count == 0)
    return;
  unsigned pick = recent(world, count);
  request->ref = ids[pick];
  if (!sim_chance(world, 50))
    request->user = users[pick];
}

/* What a client knows of the user's version, the newest, or one that is still to come. */
static int64_t version_draw(struct sim_world *world, const struct sim_user *user)
{
  if (!sim_chance(world, 80))
    return -1;
  uint64_t known = sim_chance(world, 300) ? user->shown : user->version;
  return (int64_t)(known + (sim_chance(world, 200) ? 1u : 0u));
}

/* A key that some other user has, once; else its own. */
static uint32_t key_draw(struct sim_world *world, const struct sim_request *request)
{
  if (request->number == 0 || !sim_chance(world, 60))
    return request->number;
  const struct sim_request *other = &world->requests[sim_rand(world) % request->number];
  for (uint32_t i = 0; i < request->number; i++)
    if (world->requests[i].user == request->user &&
        world->requests[i].key_number == other->key_number)
      return request->number;
  return other->key_number;
}

/* Some users get all at once, and what comes later finds no room. They pay nobody: what comes back
 * to them would have to wait until they have spent something. */
static void request_enrich(struct sim_world *world, struct sim_request *request)
{
  bool rich = request->user < world->rich;
  if (rich && request->type == LEDGER_T_TRANSFER)
    request->type = LEDGER_T_GRANT;
  if (rich && request->type == LEDGER_T_GRANT && sim_chance(world, 500))
    request->amount = HF_AMOUNT_MAX - (sim_amount)(sim_rand(world) % 3000u);
  if (request->type == LEDGER_T_TRANSFER && world->rich > 0 && sim_chance(world, 300))
    request->payee = (unsigned)(sim_rand(world) % world->rich);
}

void sim_request_draw(struct sim_world *world, struct sim_request *request)
{
  *request = (struct sim_request){.number = world->requests_count, .bucket = LEDGER_CLAIMABLE};
  request->user = sim_user_any(world);
  request->payee = (unsigned)(sim_rand(world) % world->users_count);
  request->type = types[sim_rand(world) % sizeof types];
  request->asset = (uint16_t)(1u + sim_rand(world) % world->assets_created);
  request->amount = 1 + (sim_amount)(sim_rand(world) % AMOUNT_MAX);
  request->final_capture = sim_chance(world, 700);
  if (request->type == LEDGER_T_ADJUST && sim_chance(world, 500))
    request->amount = -request->amount;
  if (request->type == LEDGER_T_HOLD && sim_chance(world, 500))
    request->timeout_s = 1u + (uint32_t)(sim_rand(world) % 3u);
  request_enrich(world, request);
  bool whole = request->type == LEDGER_T_REVERSE || request->type == LEDGER_T_UNBLOCK;
  if (request->type == LEDGER_T_CAPTURE || request->type == LEDGER_T_VOID || whole)
    request_refer(world, request);
  if (request->type == LEDGER_T_VOID || (whole && sim_chance(world, 600)))
    request->amount = 0;
  request->final_capture = request->final_capture || request->type != LEDGER_T_CAPTURE;
  request->if_version = version_draw(world, &world->users[request->user]);
  sim_beside_draw(world, request);
  request->key_number = key_draw(world, request);
  request_digests(world, request);
}

void sim_member_draw(struct sim_world *world, struct sim_request *request, unsigned user)
{
  do {
    sim_request_draw(world, request);
  } while (request->type == LEDGER_T_TRANSFER || request->amount > AMOUNT_MAX);
  request->user = user;
  request->key_number = request->number;
  request_digests(world, request);
}
