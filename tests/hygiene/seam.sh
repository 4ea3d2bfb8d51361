#!/usr/bin/env bash
# The seam under actors/: every header in tests/poison stops the compiler, and the build really puts
# that folder first for each source of actors/. Needs HOLDFAST_ROOT, HOLDFAST_BUILD, CC.
set -euo pipefail
export LC_ALL=C
root=${HOLDFAST_ROOT:?} build=${HOLDFAST_BUILD:?} cc=${CC:?}
poison=$root/tests/poison
failed=0

compile() {
  printf '#include <%s>\nint seam;\n' "$1" | "$cc" -std=c17 -I"$poison" -fsyntax-only -x c -
}

compile stdint.h || { echo "seam: the compiler refuses a harmless header"; failed=1; }

headers=0
while read -r header; do
  headers=$((headers + 1))
  if output=$(compile "$header" 2>&1); then
    echo "seam: actors could include <$header>"
    failed=1
  elif [[ $output != *"<$header> is out of reach of actors"* ]]; then
    echo "seam: <$header> fails for another reason: $output"
    failed=1
  fi
done < <(cd "$poison" && find . -name '*.h' | sed 's|^\./||' | sort)

# The first -I of each compile command of actors/ has to be the poison folder.
commands=$(grep '"command":' "$build/compile_commands.json" |
  grep -E -- " -c '?$root/actors/" || true)
count=$(grep -c . <<< "$commands" || true)
loose=$(awk -v want="-I$poison" \
  'NF && !(match($0, /-I[^ ]*/) && substr($0, RSTART, RLENGTH) == want)' <<< "$commands")
if [[ -n $loose ]]; then
  echo "seam: compiled without tests/poison in front:"
  echo "$loose"
  failed=1
fi
sources=$(find "$root/actors" -name '*.c' | wc -l)
if [[ $count -ne $sources ]]; then
  echo "seam: actors/ has $sources sources, the build compiles $count of them"
  failed=1
fi
echo "seam: $headers poisoned headers, $count sources of actors/ behind them"
exit "$failed"
