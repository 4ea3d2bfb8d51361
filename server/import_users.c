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

/* ---- rows ------------------------------------------------------------------------------------ */

static void await(struct import_user *payee, struct import_row *row)
{
  row->before = payee->awaited_last;
  if (payee->awaited_last != NULL)
    payee->awaited_last->after = row;
  else
    payee->awaited_first = row;
  payee->awaited_last = row;
}

static void await_no_more(struct import_user *payee, struct import_row *row)
{
  if (row->before != NULL)
    row->before->after = row->after;
  else
    payee->awaited_first = row->after;
  if (row->after != NULL)
    row->after->before = row->before;
  else
    payee->awaited_last = row->before;
}

void import_users_add(struct import_users *users, struct import_row *row)
{
  struct import_user *payer = user_of(users, row->user);
  row->payer = payer;
  row->next = NULL;
  if (payer->last != NULL)
    payer->last->next = row;
  else
    payer->first = row;
  payer->last = row;
  if (row->to_user != NULL) {
    row->payee = user_of(users, row->to_user);
    if (row->payee != payer)
      await(row->payee, row);
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
  if (effect < 0)
    return row->amount;
  return effect > 0 && row->amount < 0 ? -row->amount : 0; /* an adjust */
}

/* Does it matter whether the user's rows that are under way are applied before this one? */
static bool stands_alone(const struct import_user *user, const struct import_row *row)
{
  hf_amount debit = debit_of(row), left;
  return row->credit ||
         (debit > 0 && hf_amount_sub(user->floor, user->debits, &left) && left >= debit);
}

struct import_row *import_users_startable(const struct import_user *user)
{
  struct import_row *row = user->first;
  if (row == NULL || user->halted || user->in_flight >= IMPORT_PIPELINE_MAX || !is_settled(user) ||
      (row->payee != NULL && !is_settled(row->payee)))
    return NULL;
  if (user->in_flight > 0 && (!user->warm || !stands_alone(user, row)))
    return NULL;
  const struct import_row *brings = user->awaited_first;
  bool waits = !row->credit && brings != NULL && brings->number < row->number;
  return waits ? NULL : row;
}

void import_users_started(struct import_row *row)
{
  struct import_user *user = row->payer;
  CHECK(user->first == row);
  user->first = row->next;
  if (user->first == NULL)
    user->last = NULL;
  row->next = NULL;
  row->started = true;
  user->in_flight++;
  user->debits += debit_of(row); /* cannot overflow: it is at the most the floor, or one row's */
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
  }
  import_users_ready(users, user);
}

void import_users_applied(struct import_row *row, const struct ledger_balance *after)
{
  struct import_user *payer = row->payer, *payee = row->payee;
  CHECK(row->started);
  payer->floor = after->bucket[LEDGER_CLAIMABLE];
  payer->in_debt = after->bucket[LEDGER_DEBT] > 0;
  if (payee == NULL || payee == payer || !payee->warm || payee->in_debt)
    return;
  if (!hf_amount_add(payee->floor, row->amount, &payee->floor))
    payee->floor = 0;
}

void import_users_done(struct import_users *users, struct import_row *row)
{
  struct import_user *payer = row->payer, *payee = row->payee;
  payer->warm = payer->warm || row->started;
  if (!row->started)
    import_users_started(row); /* out of the queue */
  CHECK(payer->in_flight > 0);
  payer->in_flight--;
  payer->debits -= debit_of(row);
  if (row->number > payer->answered)
    payer->answered = row->number;
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
