#include "fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void fail(const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  fputs("hfbench: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

void hf_check_failed(const char *file, int line, const char *what)
{
  fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, what);
  abort();
}

void *fail_calloc(size_t count, size_t size)
{
  void *memory = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
  if (memory == NULL)
    fail("out of memory: %zu x %zu bytes", count, size);
  return memory;
}

void *fail_realloc(void *old, size_t size)
{
  void *memory = realloc(old, size > 0 ? size : 1);
  if (memory == NULL)
    fail("out of memory: %zu bytes", size);
  return memory;
}
