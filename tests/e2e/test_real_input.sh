#!/usr/bin/env bash
# Four files of real data through the importer, against an independent computation in exact
# integers: counts, sums, every balance to the last base unit, idempotent reruns, kill -9 in the
# middle, replay and verify, and what both say about a database that somebody changed. The files
# are read from $HOLDFAST_REAL_INPUT, or from ../shared/data beside the repository; without them the
# same checks run over generated ones of the same shape, traps included.
# ctest: timeout=500
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${HOLDFAST_BIN:?the path of the binary}"
seed=${HF_SEED:-$(date +%s)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1

input=${HOLDFAST_REAL_INPUT:-$here/../../../shared/data}
kind=REAL
if [[ ! -f $input/oneinch_gas_refunds.csv ]]; then
  input=$work/input
  kind=GENERATED
  python3 "$here/real_input/generate.py" "$input" "$seed"
fi
echo "input: ${kind,,}; seed $seed (HF_SEED repeats it)"
python3 "$here/real_input/run.py" "$HOLDFAST_BIN" "$input" "$work" "$kind" "$seed"
