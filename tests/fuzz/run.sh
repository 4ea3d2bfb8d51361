#!/usr/bin/env bash
# Runs a fuzzer that the preset fuzz has built, from its committed seeds on.
# usage: run.sh TARGET FOLDER [flag of libFuzzer...]
# FOLDER takes the inputs that reach something new; "": they are forgotten.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=$1 found=$2
shift 2
program=build/fuzz/fuzz/$target
if [[ ! -x $program ]]; then
  echo "run.sh: no $program: ./dev fuzz $target, or ./dev test, builds it" >&2
  exit 2
fi
if [[ -z $found ]]; then
  found=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-fuzz-XXXXXX")
  trap 'rm -rf "$found"' EXIT
fi
mkdir -p "$found" build/fuzz/findings

# corpus/http seeds fuzz_http_parser and whatever else begins with fuzz_http; likewise dictionaries.
name=${target#fuzz_}
more=()
for file in tests/fuzz/dictionaries/*; do
  [[ $name != "$(basename "$file")" ]] || more+=("-dict=$file")
done
more+=("$found")
for folder in tests/fuzz/corpus/*/; do
  [[ $name != "$(basename "$folder")" && $name != "$(basename "$folder")"_* ]] || more+=("$folder")
done
"$program" -timeout=10 -artifact_prefix=build/fuzz/findings/ "$@" "${more[@]}"
