/* log.h - one JSON line per event on stderr: ts, level, component, msg, and fields. Any thread.
 *
 * Rate-limited: over LOG_LINES_PER_SECOND lines are counted and the count is said later. */
#ifndef HOLDFAST_LOG_H
#define HOLDFAST_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR = 3, LOG_WARNING = 4, LOG_INFO = 6, LOG_DEBUG = 7 };
#define LOG_LINES_PER_SECOND 200u

/* "debug", "info", "warning", "error"; false for another word. */
bool log_level_set(const char *word);
bool log_wants(int level);
/* `text` is any text: it is escaped. */
void log_line(int level, const char *component, const char *text);
/* The same, for those who have a log of their caller's; `arg` is not used. */
void log_for(void *arg, int level, const char *component, const char *text);
/* `fields` is JSON of our own, `"a":1,"b":"x"`, put into the line as it is. */
void log_fields(int level, const char *component, const char *text, const char *fields);

#endif
