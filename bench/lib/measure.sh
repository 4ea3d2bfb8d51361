# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with bench/run and the other parts
#
# One measurement: run it, write it to raw.jsonl, say it. Sourced by bench/run.

field() { # JSON NAME: the first number of that name, for the eye and for rates
  local value=0
  [[ $1 =~ \"$2\":\ ?([0-9.]+) ]] && value=${BASH_REMATCH[1]}
  echo "$value"
}

# record SCENARIO VARIANT ROLE REPEAT JSON
record() {
  printf '{"scenario":"%s","variant":"%s","role":"%s","repeat":%d,"result":%s}\n' "$@" \
    >> "$out/raw.jsonl"
}

say() { printf '%s %-10s %-14s %s\n' "$(date +%H:%M:%S)" "$1" "$2" "$3"; }

# load SCENARIO VARIANT ROLE REPEAT [hfbench option...]: sets result. Replies that were not as
# expected are in the result and fail the report, not this script.
load() {
  local scenario=$1 variant=$2 role=$3 repeat=$4 status=0
  shift 4
  result=$("$hfbench" --json --warmup "$warmup" --duration "$window" "$@") || status=$?
  [[ $status -eq 0 || $status -eq 2 ]] || fail "hfbench could not measure $scenario/$variant"
  record "$scenario" "$variant" "$role" "$repeat" "$result"
  say "$scenario" "$variant" \
    "$role $repeat: $(field "$result" ops_per_s)/s, p99 $(field "$result" p99) us"
}

# As load, against the server with the base's users. store_options: --store-pid of a database that
# is a process of its own.
server_load() {
  local scenario=$1 variant=$2 repeat=$3
  shift 3
  load "$scenario" "$variant" server "$repeat" --target "$target" --server-pid "$server_pid" \
    "${store_options[@]}" --users-file "$users_file" --users "$users_base" "$@"
}

metric() { # NAME [TARGET]: sum over all labels
  curl -fsS "${2:-$target}/metrics" | awk -v name="$1" \
    '$1 == name || index($1, name "{") == 1 { sum += $2 } END { printf "%.0f\n", sum }'
}

# Mean size of the store's transactions during one load; a limit with the same size is a fair one.
# Sets batch_size. Commits of the loops that wait at the same time share a transaction of SQLite, so
# that there this is a lower bound, and R with it.
batch_measured() { # SCENARIO
  local units commits
  units=$(metric holdfast_journal_entries_total)
  commits=$(metric holdfast_store_transactions_total)
  server_load "$1" batch 0 --mix spend --connections 256
  units=$(($(metric holdfast_journal_entries_total) - units))
  commits=$(($(metric holdfast_store_transactions_total) - commits))
  batch_size=128
  if [[ $commits -gt 0 ]]; then batch_size=$(((units + commits - 1) / commits)); fi
}
