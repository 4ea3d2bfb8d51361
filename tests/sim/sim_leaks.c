/* sim_leaks.c - see sim_leaks.h. */
#include "tests/sim/sim_leaks.h"

#include <stdbool.h>

static bool expected;

void sim_leaks_expected(void)
{
  expected = true;
}

/* The leak sanitizer asks for this by name at the end of the process. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
  return expected;
}
