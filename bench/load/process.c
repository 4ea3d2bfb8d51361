#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fail.h"

bool process_set_parse(const char *text, struct process_set *ret_set)
{
  struct process_set set = {0};
  while (*text != '\0') {
    char *end = NULL;
    long pid = strtol(text, &end, 10);
    if (end == text || pid <= 0 || set.count == PROCESS_PIDS_MAX || (*end != ',' && *end != '\0'))
      return false;
    set.pids[set.count++] = pid;
    text = *end == ',' ? end + 1 : end;
  }
  *ret_set = set;
  return set.count > 0;
}

/* The beginning of /proc/<pid>/<name> as text; false when the process is gone. */
static bool proc_read(long pid, const char *name, char *text, size_t room)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/%s", pid, name);
  FILE *file = fopen(path, "r");
  if (file == NULL)
    return false;
  size_t size = fread(text, 1, room - 1, file);
  fclose(file);
  text[size] = '\0';
  return true;
}

/* The number in the index-th field of text, which is separated by blanks; 0 when there is none. */
static unsigned long long field_number(const char *text, unsigned index)
{
  for (text += strspn(text, " "); index > 0; index--) {
    text += strcspn(text, " ");
    text += strspn(text, " ");
  }
  return strtoull(text, NULL, 10);
}

/* proc(5): fields 14 and 15 of stat are utime and stime in ticks, 16 and 17 those of children that
 * were waited for. The name in field 2 may hold anything, so what follows its closing bracket is
 * counted: field 3 is index 0 there. */
static double stat_cpu_s(long pid, bool with_ended_children)
{
  char text[1024];
  if (!proc_read(pid, "stat", text, sizeof text))
    return 0.0;
  const char *at = strrchr(text, ')');
  if (at == NULL)
    return 0.0;
  unsigned long long ticks = field_number(at + 1, 11) + field_number(at + 1, 12);
  if (with_ended_children)
    ticks += field_number(at + 1, 13) + field_number(at + 1, 14);
  return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

/* proc(5): field 2 of statm is the resident set in pages. */
static uint64_t statm_resident_kb(long pid)
{
  char text[256];
  if (!proc_read(pid, "statm", text, sizeof text))
    return 0;
  return field_number(text, 1) * (uint64_t)sysconf(_SC_PAGESIZE) / 1024u;
}

struct process_cost process_set_cost(const struct process_set *set)
{
  struct process_cost cost = {0};
  CHECK(set->count <= PROCESS_PIDS_MAX);
  for (unsigned i = 0; i < set->count; i++) {
    cost.cpu_s += stat_cpu_s(set->pids[i], false);
    cost.resident_kb += statm_resident_kb(set->pids[i]);
  }
  return cost;
}

/* The ids of a process's children stand in /proc/<pid>/task/<thread>/children; those that a server
 * like PostgreSQL has were all forked by its main thread, whose id is the process's. */
static double children_cpu_s(long pid)
{
  char name[64];
  static char text[64 * 1024];
  double cpu_s = 0.0;
  snprintf(name, sizeof name, "task/%ld/children", pid);
  if (!proc_read(pid, name, text, sizeof text))
    return 0.0;
  char *end = text;
  for (const char *at = text;; at = end) {
    long child = strtol(at, &end, 10);
    if (end == at)
      return cpu_s;
    cpu_s += stat_cpu_s(child, true);
  }
}

double process_set_tree_cpu_s(const struct process_set *set)
{
  double cpu_s = 0.0;
  CHECK(set->count <= PROCESS_PIDS_MAX);
  for (unsigned i = 0; i < set->count; i++)
    cpu_s += stat_cpu_s(set->pids[i], true) + children_cpu_s(set->pids[i]);
  return cpu_s;
}

double process_self_cpu_s(void)
{
  struct rusage usage;
  CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}
