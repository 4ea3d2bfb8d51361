/* The log: a line is built whole and written with one call, so that lines never mix. */
#include "server/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/time_text.h"

static atomic_int level_max = LOG_INFO;
static atomic_ulong window_second; /* of the rate limit */
static atomic_uint window_lines, window_dropped;

static const struct {
  const char *word;
  int level;
} words[] = {
  {"error", LOG_ERROR}, {"warning", LOG_WARNING}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};

bool log_level_set(const char *word)
{
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    if (strcmp(words[i].word, word) == 0) {
      atomic_store(&level_max, words[i].level);
      return true;
    }
  return false;
}

bool log_wants(int level)
{
  return level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

static const char *word_of(int level)
{
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    if (level <= words[i].level)
      return words[i].word;
  return "debug";
}

/* Appends `text` as the inside of a JSON string; control and non-ASCII bytes become \u00XX. */
static size_t escape(char *out, size_t room, const char *text)
{
  size_t used = 0;
  const unsigned char *at = (const unsigned char *)text;
  for (; *at != '\0' && used + 7u < room; at++) {
    if (*at == '"' || *at == '\\') {
      out[used++] = '\\';
      out[used++] = (char)*at;
    } else if (*at < 0x20 || *at >= 0x7f) {
      used += (size_t)snprintf(out + used, room - used, "\\u%04x", *at);
    } else {
      out[used++] = (char)*at;
    }
  }
  return used;
}

/* False: over the limit in this second. The first line of a new second tells of dropped ones. */
static bool admit(unsigned long second, unsigned *ret_dropped)
{
  unsigned long known = atomic_load(&window_second);
  *ret_dropped = 0;
  if (known != second && atomic_compare_exchange_strong(&window_second, &known, second)) {
    atomic_store(&window_lines, 0);
    *ret_dropped = atomic_exchange(&window_dropped, 0);
  }
  if (atomic_fetch_add(&window_lines, 1) < LOG_LINES_PER_SECOND)
    return true;
  atomic_fetch_add(&window_dropped, 1);
  return false;
}

void log_fields(int level, const char *component, const char *text, const char *fields)
{
  char line[2048], when[HF_TIME_TEXT_MAX];
  struct timespec now;
  unsigned dropped;
  if (!log_wants(level))
    return;
  clock_gettime(CLOCK_REALTIME, &now);
  if (!admit((unsigned long)now.tv_sec, &dropped))
    return;
  hf_time_format((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000, when);
  size_t used =
    (size_t)snprintf(line, sizeof line, "{\"ts\":\"%s\",\"level\":\"%s\",", when, word_of(level));
  used +=
    (size_t)snprintf(line + used, sizeof line - used, "\"component\":\"%s\",\"msg\":\"", component);
  used += escape(line + used, sizeof line / 2u - used, text);
  line[used++] = '"';
  if (dropped > 0)
    used += (size_t)snprintf(line + used, sizeof line - used, ",\"dropped\":%u", dropped);
  if (fields != NULL && strlen(fields) + used + 4u < sizeof line)
    used += (size_t)snprintf(line + used, sizeof line - used, ",%s", fields);
  line[used++] = '}';
  line[used++] = '\n';
  if (write(STDERR_FILENO, line, used) < 0)
    return; /* nobody reads the log: there is no one to tell */
}

void log_line(int level, const char *component, const char *text)
{
  log_fields(level, component, text, NULL);
}

void log_for(void *arg, int level, const char *component, const char *text)
{
  (void)arg;
  log_line(level, component, text);
}
