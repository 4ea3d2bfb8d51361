/* The end of the process after a broken assertion. */
#include "holdfast/check.h"

#include "holdfast/rt.h"

#include <stdio.h>
#include <stdlib.h>

static void to_stderr(void *arg, const char *text, size_t size)
{
  (void)arg;
  fwrite(text, 1, size, stderr);
}

void hf_check_failed(const char *file, int line, const char *what)
{
  fprintf(stderr, "CHECK failed: %s:%d: %s\n", file, line, what);
  rt_trace_dump(to_stderr, NULL);
  fflush(stderr);
  abort();
}
