#!/usr/bin/env bash
# Each rule of hygiene.sh is broken once, alone, in a small tree that is otherwise clean, and has to
# be reported at the right place; the clean tree has to pass.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
cases=0

clean_tree() {
  rm -rf "$work/tree"
  mkdir -p "$work/tree/actors"
  : > "$work/allow"
  printf '# actors\n' > "$work/tree/actors/README.md"
  cat > "$work/tree/actors/a.c" << 'C'
/* Prose may name malloc(), time() and strcpy(); so may a "string". */
#include "holdfast/rt.h"

static const char *text = "malloc(1) // \" sprintf(";

int a(struct driver *driver)
{
  driver->free(text); // free(text)
  return driver->time();
}
C
}

run() { HYGIENE_ALLOW="$work/allow" bash "$here/hygiene.sh" "$work/tree" 2>&1; }

passes() { # title
  local output
  cases=$((cases + 1))
  if ! output=$(run); then
    printf 'selftest: %s should pass:\n%s\n' "$1" "$output"
    failed=1
  fi
}
refuses() { # "file:line: rule:"
  local output
  cases=$((cases + 1))
  if output=$(run); then
    printf 'selftest: nobody refused %s\n%s\n' "$1" "$output"
    failed=1
  elif [[ $output != *"$1"* ]]; then
    printf 'selftest: no line says %s:\n%s\n' "$1" "$output"
    failed=1
  fi
}

# FILE TEXT RULE: the text as a whole new file is refused at its first line.
breaks() {
  clean_tree
  mkdir -p "$(dirname "$work/tree/$1")"
  printf '%b' "$2" > "$work/tree/$1"
  local top=${1%%/*}
  [[ $1 == */README.md || $1 != */* ]] || printf '# %s\n' "$top" > "$work/tree/$top/README.md"
  refuses "$1:1: $3:"
}

clean_tree
passes "a clean tree"

breaks actors/b.c 'void *p = malloc(1);\n' heap
breaks actors/b.c 'long t = time (NULL);\n' clock
breaks actors/b.c 'int r = rand();\n' random
breaks actors/b.c 'int r = usleep(1);\n' sleep
breaks actors/b.c 'char *r = /* why */ strcpy(a, b);\n' banned
breaks actors/b.c 'char *r = sprintf(a, "%%d", 1);\n' banned
breaks actors/b.c '#if 0\n' disabled
breaks tests/test_b.c '  skip();\n' disabled
breaks actors/b.c 'struct token *t;\n' word
breaks actors/b.c 'double d;\n' float
breaks actors/b.c '#include <uv.h>\n' uv
breaks server/b.c '#include <sqlite3.h>\n' driver-header
breaks tests/b.c '#include "actors/a.c"\n' include-c
breaks runtime/b.c '#include "actors/a.h"\n' layer
breaks actors/b.c '#include "adapters/http/http.h"\n' layer
breaks actors/b.c '#include "../adapters/http/http.h"\n' layer
breaks adapters/b.c '#include "server/config.h"\n' layer
breaks server/b.c '#include "tests/support/x.h"\n' layer
breaks include/b.h '#include "runtime/mem.h"\n' layer
breaks actors/b.md 'to do: FIX''ME\n' mark
breaks actors/b.sh 'cd /wo''rk/main\n' machine
breaks actors/b.json '"/ro''ot/x"\n' machine
breaks actors/b.c 'int x; \n' blank
breaks actors/b.c '\tint x;\n' tab
breaks actors/b.c 'int x;\r\n' line-end
breaks actors/b.c "int $(printf 'x%.0s' {1..96});\n" line-length
clean_tree
printf 'int f(void)\n{\n%b}\n' "$(printf '  x;\\n%.0s' {1..69})" > "$work/tree/actors/b.c"
refuses "actors/b.c:2: function: 71 lines"
clean_tree
printf 'int f(void)\n{\n%b}\n' "$(printf '  x;\\n%.0s' {1..68})" > "$work/tree/actors/b.c"
passes "a function of 70 lines"
clean_tree
printf 'int x;\n%.0s' {1..701} > "$work/tree/actors/b.c"
refuses "actors/b.c:701: file-length:"
clean_tree
printf 'int x;' > "$work/tree/actors/b.c"
refuses "actors/b.c:0: newline:"
clean_tree
printf 'line\n%.0s' {1..151} > "$work/tree/actors/README.md"
refuses "actors/README.md:151: readme:"
clean_tree
rm "$work/tree/actors/README.md"
refuses "actors/README.md:1: readme:"

# 100 characters of UTF-8 are 100 columns, whatever their bytes.
clean_tree
printf '// %s\n' "$(printf 'é%.0s' {1..97})" > "$work/tree/actors/b.c"
passes "a line of 100 characters"

# The allow-list: it allows, it wants a reason, and it does not outlive its use.
clean_tree
printf 'void *p = malloc(1);\n' > "$work/tree/actors/b.c"
printf 'heap actors/b.c because of the test\n' > "$work/allow"
passes "an allowed call"
printf 'heap actors/b.c\n' > "$work/allow"
refuses "allow.txt:1: allow: an entry without a reason"
clean_tree
printf 'heap actors/b.c because of the test\n' > "$work/allow"
refuses "allow.txt:1: allow: no finding is"

echo "selftest: $cases cases"
exit "$failed"
