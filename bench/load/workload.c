#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "holdfast/check.h"
#include "reply.h"

/* Far above what anybody is funded with, far below what an amount can be. */
#define AMOUNT_REFUSED "100000000000000"

static const char *const kind_names[OP_KINDS_COUNT] = {
  [OP_GRANT] = "grant", [OP_SPEND] = "spend", [OP_REFUSED] = "",  [OP_TRANSFER] = "transfer",
  [OP_HOLD] = "hold",   [OP_CAPTURE] = "",    [OP_READ] = "read",
};

bool workload_mix_parse(const char *text, struct workload_mix *ret_mix)
{
  struct workload_mix mix = {0};
  double sum = 0.0;
  while (*text != '\0') {
    size_t size = strcspn(text, "=,");
    unsigned kind = 0;
    while (kind < OP_KINDS_COUNT &&
           (strlen(kind_names[kind]) != size || strncmp(kind_names[kind], text, size) != 0))
      kind++;
    if (kind == OP_KINDS_COUNT || size == 0)
      return false;
    text += size;
    double share = 1.0;
    if (*text == '=') {
      char *end = NULL;
      share = strtod(text + 1, &end);
      if (end == text + 1 || !(share >= 0.0) || share > 1e6)
        return false;
      text = end;
    }
    mix.shares[kind] += share;
    sum += share;
    if (*text != ',' && *text != '\0')
      return false;
    text += *text == ',' ? 1 : 0;
  }
  if (sum <= 0.0)
    return false;
  for (unsigned kind = 0; kind < OP_KINDS_COUNT; kind++)
    mix.shares[kind] /= sum;
  *ret_mix = mix;
  return true;
}

/* ---- building, before the clock runs --------------------------------------------------------- */

static void item_init(struct piece *piece, const struct workload_config *config, enum op_kind kind)
{
  const char *key = config->batch > 1 ? "\"idempotency_key\":\"" PIECE_KEY "\"," : "";
  const char *type = kind == OP_REFUSED   ? "spend"
                     : kind == OP_CAPTURE ? "capture"
                                          : kind_names[kind];
  const char *amount = kind == OP_REFUSED ? AMOUNT_REFUSED : config->amount;
  const char *more = kind == OP_TRANSFER  ? ",\"to_user_id\":" PIECE_TO
                     : kind == OP_HOLD    ? ",\"timeout_s\":3600"
                     : kind == OP_CAPTURE ? ",\"hold_id\":" PIECE_HOLD
                                          : "";
  piece_init(piece,
             "{%s\"type\":\"%s\",\"user_id\":" PIECE_USER ",\"asset\":\"%s\",\"amount\":\"%s\"%s}",
             key, type, config->asset, amount, more);
}

static void ops_init(struct workload_plan *plan, const char *common)
{
  const struct workload_config *config = &plan->config;
  size_t size_max = 0;
  for (enum op_kind kind = 0; kind < OP_READ; kind++) {
    item_init(&plan->ops[kind], config, kind);
    /* Only what can occur counts, or each item would be padded to the size of a capture. */
    bool occurs = plan->config.mix.shares[kind] > 0.0 ||
                  (kind == OP_REFUSED && config->refusals > 0.0) ||
                  (kind == OP_CAPTURE && config->mix.shares[OP_HOLD] > 0.0);
    if (occurs && plan->ops[kind].size > size_max)
      size_max = plan->ops[kind].size;
  }
  if (config->batch > 1) {
    /* Items of one size, so that a batch has one Content-Length whatever was drawn. */
    for (enum op_kind kind = 0; kind < OP_READ; kind++)
      if (plan->ops[kind].size <= size_max)
        piece_pad(&plan->ops[kind], size_max);
    struct piece body;
    piece_init(&body, "{\"ops\":[");
    piece_init(&plan->batch_tail, "]}");
    size_t more = config->batch * (size_max + 1) - 1 + plan->batch_tail.size;
    piece_with_head(&plan->batch_head, &body, more, "POST /v1/ops/batch HTTP/1.1\r\n%s", common);
    return;
  }
  for (enum op_kind kind = 0; kind < OP_READ; kind++) {
    struct piece body = plan->ops[kind];
    piece_with_head(&plan->ops[kind], &body, 0,
                    "POST /v1/ops HTTP/1.1\r\n%sIdempotency-Key: " PIECE_KEY "\r\n", common);
  }
}

static void size_max_set(struct workload_plan *plan)
{
  size_t size = plan->fixed.size;
  size_t read_size = plan->read_head.size + USERS_FIELD + plan->read_tail.size;
  size = read_size > size ? read_size : size;
  size_t item_max = 0;
  for (enum op_kind kind = 0; kind < OP_READ; kind++)
    item_max = plan->ops[kind].size > item_max ? plan->ops[kind].size : item_max;
  size_t ops_size = item_max;
  if (plan->config.batch > 1)
    ops_size = plan->batch_head.size + plan->config.batch * (item_max + 1) + plan->batch_tail.size;
  plan->request_size_max = ops_size > size ? ops_size : size;
}

void workload_plan_init(struct workload_plan *plan, const struct workload_config *config,
                        const struct users *users)
{
  CHECK(config->batch > 0 && config->batch <= WORKLOAD_BATCH_MAX);
  *plan = (struct workload_plan){.config = *config, .users = users};
  char *common = NULL;
  if (asprintf(&common,
               "Host: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n",
               config->host, config->access_key) < 0)
    fail("out of memory");
  piece_init(&plan->fixed, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n",
             config->fixed_path != NULL ? config->fixed_path : "/", config->host,
             config->access_key);
  piece_init(&plan->read_head, "GET /v1/users/");
  piece_init(&plan->read_tail, "/balances HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n",
             config->host, config->access_key);
  ops_init(plan, common);
  free(common);
  size_max_set(plan);

  double sum = 0.0;
  for (enum op_kind kind = 0; kind < OP_KINDS_COUNT; kind++) {
    double share = config->mix.shares[kind];
    if (kind == OP_SPEND)
      share *= 1.0 - config->refusals;
    if (kind == OP_REFUSED)
      share = config->mix.shares[OP_SPEND] * config->refusals;
    sum += share;
    plan->limits[kind] = sum;
  }
  if (config->choice == CHOICE_ZIPF && users->count > 0)
    choice_table_init(&plan->table, users->count, config->seed);
}

void workload_plan_deinit(struct workload_plan *plan)
{
  for (enum op_kind kind = 0; kind < OP_KINDS_COUNT; kind++)
    piece_deinit(&plan->ops[kind]);
  piece_deinit(&plan->batch_head);
  piece_deinit(&plan->batch_tail);
  piece_deinit(&plan->read_head);
  piece_deinit(&plan->read_tail);
  piece_deinit(&plan->fixed);
  choice_table_deinit(&plan->table);
}

void workload_init(struct workload *workload, const struct workload_plan *plan,
                   unsigned connections, unsigned thread, unsigned threads, uint64_t run)
{
  CHECK(thread < threads && threads < 100);
  const struct workload_config *config = &plan->config;
  *workload = (struct workload){.plan = plan, .connections = connections};
  workload->random = random_seeded(config->seed + thread);
  workload->choice = (struct choice){.kind = config->choice,
                                     .users_count = (uint32_t)plan->users->count,
                                     .table = &plan->table,
                                     .step = threads,
                                     .random = random_seeded(config->seed + 1000 + thread)};
  workload->choice.at =
    config->choice == CHOICE_ZIPF ? random_next(&workload->random) % 1000003 : thread;
  char prefix[32];
  int size = snprintf(prefix, sizeof prefix, "b%08x%02u-", (unsigned)(run & 0xffffffffu), thread);
  CHECK(size == (int)WORKLOAD_KEY_PREFIX);
  memcpy(workload->key_prefix, prefix, sizeof workload->key_prefix);
  memset(workload->key_digits, '0', sizeof workload->key_digits);
  if (config->mix.shares[OP_HOLD] <= 0.0)
    return;
  workload->holds = fail_calloc(connections, sizeof workload->holds[0]);
  for (unsigned i = 0; i < connections; i++) {
    workload->holds[i].users = fail_calloc(config->batch, sizeof workload->holds[i].users[0]);
    workload->holds[i].fields = fail_calloc(config->batch, PIECE_HOLD_SIZE);
  }
}

void workload_deinit(struct workload *workload)
{
  for (unsigned i = 0; workload->holds != NULL && i < workload->connections; i++) {
    free(workload->holds[i].users);
    free(workload->holds[i].fields);
  }
  free(workload->holds);
  workload->holds = NULL;
}

/* ---- sending, while the clock runs ----------------------------------------------------------- */

void workload_count_up(char *digits, size_t size)
{
  while (size > 0 && digits[size - 1] == '9')
    digits[--size] = '0';
  if (size > 0)
    digits[size - 1]++;
}

static enum op_kind kind_draw(struct workload *workload)
{
  const double *limits = workload->plan->limits;
  if (limits[OP_SPEND] >= 1.0 && limits[OP_GRANT] <= 0.0)
    return OP_SPEND;
  double drawn = random_unit(&workload->random);
  for (enum op_kind kind = 0; kind < OP_KINDS_COUNT; kind++)
    if (drawn <= limits[kind])
      return kind;
  return OP_READ; /* the last sum may lie a rounding below 1 */
}

static char *piece_copy(char *out, const struct piece *piece)
{
  memcpy(out, piece->bytes, piece->size);
  return out + piece->size;
}

/* Copies the op and puts its key and users in; returns the end. */
static char *op_copy(struct workload *workload, char *out, enum op_kind kind, uint32_t user)
{
  const struct workload_plan *plan = workload->plan;
  const struct piece *piece = &plan->ops[kind];
  const struct user_text *texts = plan->users->texts;
  memcpy(out, piece->bytes, piece->size);
  workload_count_up(workload->key_digits, WORKLOAD_KEY_DIGITS);
  memcpy(out + piece->key_at, workload->key_prefix, WORKLOAD_KEY_PREFIX);
  memcpy(out + piece->key_at + WORKLOAD_KEY_PREFIX, workload->key_digits, WORKLOAD_KEY_DIGITS);
  memcpy(out + piece->user_at, texts[user].field, USERS_FIELD);
  if (kind == OP_TRANSFER) {
    /* Nobody can pay himself: the next one instead. */
    uint32_t to = random_below(&workload->random, workload->choice.users_count);
    if (to == user)
      to = to + 1 < workload->choice.users_count ? to + 1 : 0;
    memcpy(out + piece->to_at, texts[to].field, USERS_FIELD);
  }
  return out + piece->size;
}

static size_t read_append(const struct workload_plan *plan, char *out, uint32_t user)
{
  const struct user_text *text = &plan->users->texts[user];
  char *end = piece_copy(out, &plan->read_head);
  memcpy(end, text->field + 1, text->digits);
  end = piece_copy(end + text->digits, &plan->read_tail);
  return (size_t)(end - out);
}

static size_t captures_append(struct workload *workload, struct workload_holds *holds, char *out)
{
  const struct workload_plan *plan = workload->plan;
  const struct piece *piece = &plan->ops[OP_CAPTURE];
  char *end = plan->config.batch > 1 ? piece_copy(out, &plan->batch_head) : out;
  for (unsigned i = 0; i < plan->config.batch; i++) {
    if (i > 0)
      *end++ = ',';
    char *next = op_copy(workload, end, OP_CAPTURE, holds->users[i]);
    memcpy(end + piece->hold_at, holds->fields + (size_t)i * PIECE_HOLD_SIZE, PIECE_HOLD_SIZE);
    end = next;
  }
  if (plan->config.batch > 1)
    end = piece_copy(end, &plan->batch_tail);
  holds->pending = false;
  return (size_t)(end - out);
}

/* The tag of a request: the kind of its first op, and how many of its ops must be refused. */
static uint32_t tag_make(enum op_kind kind, uint32_t refusals)
{
  return (uint32_t)kind | refusals << 8;
}

static size_t batch_append(struct workload *workload, struct workload_holds *holds, char *out,
                           enum op_kind first, uint32_t user, uint32_t *ret_tag)
{
  const struct workload_plan *plan = workload->plan;
  char *end = piece_copy(out, &plan->batch_head);
  uint32_t refusals = 0;
  for (unsigned i = 0; i < plan->config.batch; i++) {
    enum op_kind kind = first;
    if (i > 0) {
      *end++ = ',';
      /* A sweep over all users ends with a batch that goes on with its last user. */
      (void)choice_next(&workload->choice, &user);
      /* A batch of holds is nothing but holds, so that its captures match by position; in any
       * other, holds and reads are drawn again. */
      while (first != OP_HOLD) {
        kind = kind_draw(workload);
        if (kind != OP_HOLD && kind != OP_READ)
          break;
      }
    }
    refusals += kind == OP_REFUSED ? 1 : 0;
    if (first == OP_HOLD)
      holds->users[i] = user;
    end = op_copy(workload, end, kind, user);
  }
  end = piece_copy(end, &plan->batch_tail);
  *ret_tag = tag_make(first, refusals);
  return (size_t)(end - out);
}

static size_t workload_append(void *state, unsigned connection, char *out, uint32_t *ret_tag)
{
  struct workload *workload = state;
  const struct workload_plan *plan = workload->plan;
  if (plan->config.fixed_path != NULL) {
    *ret_tag = tag_make(OP_READ, 0);
    return (size_t)(piece_copy(out, &plan->fixed) - out);
  }
  struct workload_holds *holds = workload->holds != NULL ? &workload->holds[connection] : NULL;
  if (holds != NULL && holds->pending) {
    *ret_tag = tag_make(OP_CAPTURE, 0);
    return captures_append(workload, holds, out);
  }
  uint32_t user = 0;
  if (!choice_next(&workload->choice, &user))
    return 0;
  enum op_kind kind = kind_draw(workload);
  if (kind == OP_READ) {
    *ret_tag = tag_make(OP_READ, 0);
    return read_append(plan, out, user);
  }
  if (plan->config.batch > 1)
    return batch_append(workload, holds, out, kind, user, ret_tag);
  if (kind == OP_HOLD) {
    CHECK(holds != NULL); /* whoever draws holds remembers them */
    holds->users[0] = user;
  }
  *ret_tag = tag_make(kind, kind == OP_REFUSED ? 1 : 0);
  return (size_t)(op_copy(workload, out, kind, user) - out);
}

/* ---- judging --------------------------------------------------------------------------------- */

/* Takes the ids of a connection's holds out of the reply; false when one is missing. */
static bool holds_take(struct workload_holds *holds, unsigned count, const char *body, size_t size)
{
  const char *end = body + size;
  for (unsigned i = 0; i < count; i++) {
    size_t id_size = 0;
    const char *id =
      reply_text_after(body, (size_t)(end - body), "\"hold_id\":\"", &id_size, &body);
    if (id == NULL || id_size == 0 || id_size > PIECE_HOLD_SIZE - 2)
      return false;
    char *field = holds->fields + (size_t)i * PIECE_HOLD_SIZE;
    memset(field, ' ', PIECE_HOLD_SIZE);
    field[0] = '"';
    memcpy(field + 1, id, id_size);
    field[id_size + 1] = '"';
  }
  holds->pending = true;
  return true;
}

static struct verdict workload_judge(void *state, unsigned connection, uint32_t tag,
                                     unsigned status, const char *body, size_t size)
{
  struct workload *workload = state;
  enum op_kind kind = tag & 0xffu;
  uint32_t refusals = tag >> 8, batch = workload->plan->config.batch;
  struct verdict verdict = {0};
  if (kind == OP_READ) {
    verdict.expected = status == 200;
    verdict.ops_applied = verdict.expected ? 1 : 0;
    return verdict;
  }
  if (batch == 1) {
    verdict.expected = status == (refusals > 0 ? 409u : 201u);
    verdict.ops_applied = status == 201 ? 1 : 0;
    verdict.ops_refused = status == 409 && verdict.expected ? 1 : 0;
  } else if (status == 200) {
    /* Each result has its index; a refused one has a code beside it. */
    uint32_t results = (uint32_t)reply_count(body, size, "\"index\":");
    uint32_t codes = (uint32_t)reply_count(body, size, "\"code\":");
    verdict.expected = results == batch && codes == refusals;
    verdict.ops_refused = codes;
    verdict.ops_applied = results > codes ? results - codes : 0;
  }
  if (kind == OP_HOLD && verdict.expected)
    verdict.expected = holds_take(&workload->holds[connection], batch, body, size);
  return verdict;
}

struct script workload_script(struct workload *workload)
{
  return (struct script){.state = workload,
                         .request_size_max = workload->plan->request_size_max,
                         .append = workload_append,
                         .judge = workload_judge};
}
