/* test_architecture.c - the page and the pictures of the architecture say what the code says: the
 * messages are those of messages.h, and who may ask whom is what the classes allow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "actors/actors.h"
#include "actors/store/messages.h"
#include "adapters/http/front.h"
#include "tests/unit/doc_table.h"

struct arrow {
  const char *name, *from, *to, *kind, *payload, *meaning;
};
static const struct arrow arrows[] = {
#define X(name, from, to, kind, payload, meaning) {#name, from, to, kind, payload, meaning},
  HF_MESSAGES(X)
#undef X
};
#define ARROWS (sizeof arrows / sizeof arrows[0])

static const rt_class *const classes[] = {&hf_front_class,   &hf_user_class,  &hf_names_class,
                                          &hf_catalog_class, &hf_store_class, &hf_transit_class,
                                          &hf_sweep_class,   &hf_peer_class,  &hf_keeper_class};
#define CLASSES (sizeof classes / sizeof classes[0])

/* Is `name` one of the names in "a, b, c"? */
static bool lists(const char *names, const char *name)
{
  size_t size = strlen(name);
  for (const char *at = names; *at != '\0'; at += strspn(at, ", ")) {
    size_t own = strcspn(at, ",");
    if (own == size && memcmp(at, name, size) == 0)
      return true;
    at += own;
  }
  return false;
}

static bool may_ask(const rt_class *from, const rt_class *to)
{
  for (const uint8_t *kind = from->may_ask; kind != NULL && *kind != 0; kind++)
    if (*kind == to->kind)
      return true;
  return false;
}

/* A carried ask brings another one, and is answered by that one's reply. */
static bool is_ask(const struct arrow *arrow)
{
  return strcmp(arrow->kind, "ask") == 0 || strcmp(arrow->kind, "carried ask") == 0;
}

static bool some_ask(const rt_class *from, const rt_class *to)
{
  for (size_t i = 0; i < ARROWS; i++)
    if (is_ask(&arrows[i]) && lists(arrows[i].from, from->name) && lists(arrows[i].to, to->name))
      return true;
  return false;
}

static void test_page_when_read_then_its_arrows_are_those_of_the_code(void **state)
{
  struct doc_text text;
  (void)state;
  doc_begin(&text);
  (void)fprintf(text.out, "| message | from | to | kind | payload | meaning |\n"
                          "|---|---|---|---|---|---|\n");
  for (size_t i = 0; i < ARROWS; i++) {
    (void)fprintf(text.out, "| `%s` | %s | %s | %s | `%s` | ", arrows[i].name, arrows[i].from,
                  arrows[i].to, arrows[i].kind, arrows[i].payload);
    doc_cell(&text, arrows[i].meaning);
    (void)fprintf(text.out, " |\n");
  }
  doc_check(&text, "docs/ARCHITECTURE.md", "messages");
}

static void test_asks_when_compared_with_the_classes_then_both_say_the_same(void **state)
{
  (void)state;
  for (size_t i = 0; i < CLASSES; i++)
    for (size_t j = 0; j < CLASSES; j++)
      if (may_ask(classes[i], classes[j]) != some_ask(classes[i], classes[j]))
        fail_msg("%s asks %s: the class says %s, messages.h says %s", classes[i]->name,
                 classes[j]->name, may_ask(classes[i], classes[j]) ? "yes" : "no",
                 some_ask(classes[i], classes[j]) ? "yes" : "no");
}

/* Who sends and is no actor. */
static const char *const outside[] = {"port", "pool", "link"};

static void test_table_when_an_arrow_names_someone_then_that_one_exists(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARROWS; i++) {
    size_t from = 0, to = 0;
    for (size_t j = 0; j < sizeof outside / sizeof outside[0]; j++)
      from += lists(arrows[i].from, outside[j]);
    for (size_t j = 0; j < CLASSES; j++) {
      from += lists(arrows[i].from, classes[j]->name);
      to += lists(arrows[i].to, classes[j]->name);
    }
    size_t from_names = 1, to_names = 1;
    for (const char *at = arrows[i].from; (at = strchr(at, ',')) != NULL; at++)
      from_names++;
    for (const char *at = arrows[i].to; (at = strchr(at, ',')) != NULL; at++)
      to_names++;
    if (from != from_names || to != to_names)
      fail_msg("%s: from \"%s\" to \"%s\" names nobody", arrows[i].name, arrows[i].from,
               arrows[i].to);
  }
}

/* Is every one of `some` among `all`? */
static bool lists_all(const char *all, const char *some)
{
  char name[32];
  for (const char *at = some; *at != '\0'; at += strspn(at, ", ")) {
    size_t size = strcspn(at, ",");
    assert_true(size < sizeof name);
    memcpy(name, at, size);
    name[size] = '\0';
    if (!lists(all, name))
      return false;
    at += size;
  }
  return true;
}

static void test_replies_when_counted_then_each_ask_has_one_that_goes_back(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARROWS; i++) {
    bool found = strcmp(arrows[i].kind, "ask") != 0;
    for (size_t j = 0; j < ARROWS && !found; j++)
      found = strcmp(arrows[j].kind, "reply") == 0 &&
              strcmp(arrows[j].payload, arrows[i].payload) == 0 &&
              lists_all(arrows[j].from, arrows[i].to) && lists_all(arrows[j].to, arrows[i].from);
    if (!found)
      fail_msg("nothing answers %s", arrows[i].name);
  }
}

static void look(const char *name, bool seen[ARROWS])
{
  static const char mark[] = "<text class=\"message\"";
  char *picture = doc_read(name);
  assert_non_null(picture);
  for (const char *at = picture; (at = strstr(at, mark)) != NULL;) {
    at = strchr(at, '>') + 1;
    size_t size = strcspn(at, "<"), found = ARROWS;
    for (size_t i = 0; i < ARROWS; i++)
      if (strlen(arrows[i].name) == size && memcmp(arrows[i].name, at, size) == 0)
        found = i;
    if (found == ARROWS)
      fail_msg("%s shows a message that is not there: %.*s", name, (int)size, at);
    seen[found] = true;
  }
  free(picture);
}

/* Texts of the class "message" in the pictures: all are messages, and all but replies that share an
 * arrow are in one of them. */
static void test_pictures_when_read_then_their_messages_exist(void **state)
{
  bool seen[ARROWS] = {false};
  (void)state;
  look("docs/architecture.svg", seen);
  look("docs/nodes.svg", seen);
  for (size_t i = 0; i < ARROWS; i++)
    if (!seen[i] && strcmp(arrows[i].kind, "reply") != 0)
      fail_msg("no picture shows %s", arrows[i].name);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_page_when_read_then_its_arrows_are_those_of_the_code),
    cmocka_unit_test(test_asks_when_compared_with_the_classes_then_both_say_the_same),
    cmocka_unit_test(test_table_when_an_arrow_names_someone_then_that_one_exists),
    cmocka_unit_test(test_replies_when_counted_then_each_ask_has_one_that_goes_back),
    cmocka_unit_test(test_pictures_when_read_then_their_messages_exist),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
