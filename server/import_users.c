/* Queues of rows by user. A row is in its payer's queue until it is started, and in its payee's
 * list of what it awaits until it is done. */
#include "server/import_users.h"

#include <string.h>

/* ---- who is remembered ----------------------------------------------------------------------- */

static void idle_remove(struct import_users *users, struct import_user *user)
{
  if (user->newer != NULL)
    user->newer->older = user->older;
  else
    users->newest = user->older;
  if (user->older != NULL)
    user->older->newer = user->newer;
  else
    users->oldest = user->newer;
  user->newer = user->older = NULL;
}

static void idle_add(struct import_users *users, struct import_user *user)
{
  user->older = users->newest;
  user->newer = NULL;
  if (users->newest != NULL)
    users->newest->newer = user;
  else
    users->oldest = user;
  users->newest = user;
}

static void forget_one(struct import_users *users)
{
  struct import_user *user = users->oldest;
  if (user == NULL || user->is_ready || user->state == IMPORT_USER_ASKED)
    return; /* a little more than the limit, for a moment */
  idle_remove(users, user);
  HASH_DEL(users->all, user);
  rt_free(user);
}

static struct import_user *user_of(struct import_users *users, const char *external_id)
{
  struct import_user *user;
  size_t size = strlen(external_id);
  HASH_FIND(hh, users->all, external_id, size, user);
  if (user != NULL) {
    if (user->rows++ == 0)
      idle_remove(users, user);
    return user;
  }
  if (HASH_COUNT(users->all) >= IMPORT_USERS_MAX)
    forget_one(users);
  user = rt_alloc(sizeof *user + size + 1u);
  memcpy(user->external_id, external_id, size + 1u);
  HASH_ADD_KEYPTR(hh, users->all, user->external_id, size, user);
  user->rows = 1;
  users->seen++;
  return user;
}

static void let_go(struct import_users *users, struct import_user *user)
{
  CHECK(user->rows > 0);
  if (--user->rows > 0)
    return;
  CHECK(user->first == NULL && user->back == NULL && user->awaited_first == NULL);
  idle_add(users, user);
}

/* ---- what the payee awaits ------------------------------------------------------------------- */

static void await(struct import_user *payee, struct import_row *row)
{
  row->before = payee->awaited_last;
  if (payee->awaited_last != NULL)
    payee->awaited_last->after = row;
  else
    payee->awaited_first = row;
  payee->awaited_last = row;
  if (payee->gate == NULL)
    payee->gate = row;
}

static void await_no_more(struct import_user *payee, struct import_row *row)
{
  if (payee->gate == row)
    payee->gate = row->after;
  if (row->before != NULL)
    row->before->after = row->after;
  else
    payee->awaited_first = row->after;
  if (row->after != NULL)
    row->after->before = row->before;
  else
    payee->awaited_last = row->before;
}

/* Releases what the user's own rows do not hold up any more. */
static void open_gate(struct import_users *users, struct import_user *user)
{
  uint64_t barrier = user->taker == NULL ? UINT64_MAX : user->taker->number;
  if (user->unsure != 0 && user->unsure < barrier)
    barrier = user->unsure;
  for (; user->gate != NULL && user->gate->number < barrier; user->gate = user->gate->after) {
    user->gate->released = true;
    import_users_ready(users, user->gate->payer);
  }
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool is_taker(const struct import_row *row)
{
  return !row->credit && !row->sure;
}

static void find_taker(struct import_user *user, struct import_row *from)
{
  while (from != NULL && !is_taker(from))
    from = from->next;
  user->taker = from;
}

void import_users_add(struct import_users *users, struct import_row *row)
{
  struct import_user *payer = user_of(users, row->user);
  row->payer = payer;
  row->next = NULL;
  row->released = true;
  if (row->to_user != NULL) {
    row->payee = user_of(users, row->to_user);
    if (row->payee == payer)
      row->credit = true; /* refused in any case: it takes nothing */
  }
  if (payer->last != NULL)
    payer->last->next = row;
  else
    payer->first = row;
  payer->last = row;
  if (payer->taker == NULL && is_taker(row))
    payer->taker = row;
  if (row->payee != NULL && row->payee != payer) {
    row->released = row->credit;
    await(row->payee, row);
    open_gate(users, row->payee);
  }
  import_users_ready(users, payer);
}

static bool is_settled(const struct import_user *user)
{
  return user->state == IMPORT_USER_KNOWN || user->state == IMPORT_USER_FAILED;
}

/* What the row takes out of what its user can spend; 0: nothing, or out of something else. */
static hf_amount debit_of(const struct import_row *row)
{
  int effect = import_type_effect(row->type);
  if (row->credit)
    return 0;
  if (effect < 0)
    return row->amount;
  return effect > 0 && row->amount < 0 ? -row->amount : 0; /* an adjust */
}

static bool is_sure(const struct import_user *user, const struct import_row *row)
{
  hf_amount debit = debit_of(row), left;
  if (row->credit || row->sure)
    return true;
  return debit > 0 && hf_amount_sub(user->floor, user->debits, &left) && left >= debit;
}

struct import_row *import_users_startable(const struct import_user *user)
{
  struct import_row *row = user->first;
  if (row == NULL || user->halted || user->in_flight >= IMPORT_PIPELINE_MAX || !is_settled(user) ||
      (row->payee != NULL && !is_settled(row->payee)) || !row->released)
    return NULL;
  if (user->in_flight > 0 && (!user->warm || user->unsure != 0))
    return NULL;
  const struct import_row *brings = user->awaited_first;
  bool alone = user->in_flight == 0 && (brings == NULL || brings->number > row->number);
  return alone || is_sure(user, row) ? row : NULL;
}

void import_users_started(struct import_users *users, struct import_row *row)
{
  struct import_user *user = row->payer;
  CHECK(user->first == row);
  row->sure = is_sure(user, row);
  if (!row->sure)
    user->unsure = row->number;
  user->first = row->next;
  if (user->first == NULL)
    user->last = NULL;
  if (user->taker == row)
    find_taker(user, row->next);
  row->next = NULL;
  row->started = true;
  user->in_flight++;
  user->debits += debit_of(row); /* within the floor, but for a row that goes alone */
  open_gate(users, user);
}

void import_users_back(struct import_row *row)
{
  struct import_user *user = row->payer;
  CHECK(user->in_flight > 0 && row->started);
  user->in_flight--;
  user->debits -= debit_of(row);
  user->halted = true;
  row->started = false;
  row->came_back = true;
  struct import_row **at = &user->back;
  while (*at != NULL && (*at)->number < row->number)
    at = &(*at)->next;
  row->next = *at;
  *at = row;
}

void import_users_resume(struct import_users *users, struct import_user *user)
{
  struct import_row *last = user->back;
  CHECK(user->in_flight == 0);
  user->halted = false;
  if (last != NULL) { /* older than anything that was not started yet */
    while (last->next != NULL)
      last = last->next;
    CHECK(user->first == NULL || last->number < user->first->number);
    last->next = user->first;
    if (user->first == NULL)
      user->last = last;
    user->first = user->back;
    user->back = NULL;
    user->unsure = 0; /* it is the first taker now, if there was one */
    find_taker(user, user->first);
  }
  import_users_ready(users, user);
}

void import_users_applied(struct import_row *row, uint64_t version, hf_amount left)
{
  struct import_user *user = row->payer;
  CHECK(row->started);
  if (version <= user->floor_version)
    return; /* a transfer is told late: later rows know better */
  user->floor_version = version;
  user->floor = left;
}

void import_users_done(struct import_users *users, struct import_row *row)
{
  struct import_user *payer = row->payer, *payee = row->payee;
  bool sent = row->started;
  if (!sent)
    import_users_started(users, row); /* out of the queue */
  CHECK(payer->in_flight > 0);
  payer->in_flight--;
  payer->debits -= debit_of(row);
  payer->warm = payer->warm || sent;
  if (payer->unsure == row->number)
    payer->unsure = 0;
  if (row->number > payer->answered)
    payer->answered = row->number;
  open_gate(users, payer);
  if (payee != NULL && payee != payer) {
    await_no_more(payee, row);
    import_users_ready(users, payee);
  }
  import_users_ready(users, payer);
  import_row_free(row);
  let_go(users, payer);
  if (payee != NULL)
    let_go(users, payee);
}

void import_users_found(struct import_users *users, struct import_user *user)
{
  CHECK(is_settled(user));
  import_users_ready(users, user);
  for (struct import_row *row = user->awaited_first; row != NULL; row = row->after)
    import_users_ready(users, row->payer);
}

/* ---- who is to be looked at ------------------------------------------------------------------ */

void import_users_ready(struct import_users *users, struct import_user *user)
{
  if (user->is_ready)
    return;
  user->is_ready = true;
  user->next_ready = NULL;
  if (users->ready_last != NULL)
    users->ready_last->next_ready = user;
  else
    users->ready_first = user;
  users->ready_last = user;
}

struct import_user *import_users_take_ready(struct import_users *users)
{
  struct import_user *user = users->ready_first;
  if (user == NULL)
    return NULL;
  users->ready_first = user->next_ready;
  if (users->ready_first == NULL)
    users->ready_last = NULL;
  user->next_ready = NULL;
  user->is_ready = false;
  return user;
}

static void free_rows(struct import_row *row)
{
  while (row != NULL) {
    struct import_row *next = row->next;
    import_row_free(row);
    row = next;
  }
}

void import_users_free(struct import_users *users)
{
  struct import_user *user, *next;
  HASH_ITER (hh, users->all, user, next) {
    HASH_DEL(users->all, user);
    free_rows(user->first);
    free_rows(user->back);
    rt_free(user);
  }
  *users = (struct import_users){0};
}
