#include "users.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

#define DRAWS_COUNT (1u << 20)

bool users_add(struct users *users, const char *id, size_t size)
{
  if (size == 0 || size > USERS_FIELD - 2 || users->count >= USERS_MAX)
    return false;
  for (size_t i = 0; i < size; i++)
    if (id[i] <= ' ' || id[i] >= 0x7f || id[i] == '"' || id[i] == '\\' || id[i] == '/')
      return false;
  if (users->count == users->room) {
    users->room = users->room > 0 ? users->room * 2 : 1024;
    users->texts = fail_realloc(users->texts, users->room * sizeof users->texts[0]);
  }
  struct user_text *text = &users->texts[users->count++];
  memset(text->field, ' ', sizeof text->field);
  text->field[0] = '"';
  memcpy(text->field + 1, id, size);
  text->field[size + 1] = '"';
  text->digits = (uint8_t)size;
  return true;
}

void users_read(struct users *users, const char *path, size_t count_max)
{
  FILE *file = fopen(path, "r");
  if (file == NULL)
    fail("%s: %s", path, strerror(errno));
  char line[128];
  size_t number = 0;
  while ((count_max == 0 || users->count < count_max) && fgets(line, sizeof line, file) != NULL) {
    number++;
    size_t size = strcspn(line, "\r\n");
    if (size > 0 && !users_add(users, line, size))
      fail("%s:%zu: not a user id", path, number);
  }
  if (ferror(file))
    fail("%s: %s", path, strerror(errno));
  fclose(file);
  if (users->count == 0)
    fail("%s: no user ids", path);
}

void users_write(const struct users *users, const char *path)
{
  FILE *file = fopen(path, "w");
  if (file == NULL)
    fail("%s: %s", path, strerror(errno));
  for (size_t i = 0; i < users->count; i++) {
    const struct user_text *text = &users->texts[i];
    fprintf(file, "%.*s\n", (int)text->digits, text->field + 1);
  }
  if (fclose(file) != 0)
    fail("%s: %s", path, strerror(errno));
}

void users_deinit(struct users *users)
{
  free(users->texts);
  *users = (struct users){0};
}

void choice_table_init(struct choice_table *table, size_t users_count, uint64_t seed)
{
  CHECK(users_count > 0);
  /* sums[i] is the weight of the users 0..i; the weight of the i-th user is 1 / (i + 1). */
  double *sums = fail_calloc(users_count, sizeof sums[0]);
  double sum = 0.0;
  for (size_t i = 0; i < users_count; i++) {
    sum += 1.0 / (double)(i + 1);
    sums[i] = sum;
  }
  table->count = DRAWS_COUNT;
  table->draws = fail_calloc(table->count, sizeof table->draws[0]);
  struct random random = random_seeded(seed);
  for (size_t i = 0; i < table->count; i++) {
    double wanted = random_unit(&random) * sum;
    size_t low = 0, high = users_count - 1;
    while (low < high) {
      size_t middle = (low + high) / 2;
      if (sums[middle] < wanted)
        low = middle + 1;
      else
        high = middle;
    }
    table->draws[i] = (uint32_t)low;
  }
  free(sums);
}

void choice_table_deinit(struct choice_table *table)
{
  free(table->draws);
  *table = (struct choice_table){0};
}

bool choice_next(struct choice *choice, uint32_t *ret_user)
{
  switch (choice->kind) {
  case CHOICE_UNIFORM:
    *ret_user = random_below(&choice->random, choice->users_count);
    return true;
  case CHOICE_ZIPF:
    *ret_user = choice->table->draws[choice->at++ % choice->table->count];
    return true;
  case CHOICE_HOT:
    *ret_user = 0;
    return true;
  case CHOICE_EACH:
    if (choice->at >= choice->users_count)
      return false;
    *ret_user = (uint32_t)choice->at;
    choice->at += choice->step;
    return true;
  }
  CHECK(choice->kind <= CHOICE_EACH);
  return false;
}
