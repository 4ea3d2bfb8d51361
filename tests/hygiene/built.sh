#!/usr/bin/env bash
# Every C source of the tree is compiled by this preset: a file in a folder that no glob looks into
# would otherwise be dead without anyone noticing. Needs HOLDFAST_ROOT, HOLDFAST_BUILD.
set -euo pipefail
export LC_ALL=C
root=${HOLDFAST_ROOT:?} build=${HOLDFAST_BUILD:?}

# tests/fuzz is built by its own preset.
present=$(cd "$root" && find runtime actors adapters clients server tests bench cmake \
  -path tests/fuzz -prune -o -path '*/node_modules' -prune -o -name '*.c' -print | sort)
compiled=$(sed -n 's/^ *"file": "\(.*\)",\{0,1\}$/\1/p' "$build/compile_commands.json" |
  sed "s|^$root/||" | sort -u)

forgotten=$(comm -23 <(echo "$present") <(echo "$compiled"))
if [[ -n $forgotten ]]; then
  echo "built: in the tree, but not in the build:"
  echo "$forgotten"
  exit 1
fi
echo "built: all $(grep -c . <<< "$present") sources are compiled"
