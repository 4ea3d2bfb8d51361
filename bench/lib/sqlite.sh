# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with bench/run and the other parts
#
# The scenarios on SQLite, the embedded store: one function each. Sourced by bench/run.

# limit SCENARIO VARIANT REPEAT BATCH ROLE [option]: the adapter's own commits in a plain loop.
# Role limit: R. Role lookups: R when the loop also looks every idempotency key up (--probe).
limit() {
  local folder=$work/limit
  rm -rf "$folder"
  mkdir -p "$folder"
  result=$("$build/bench/limit_sqlite" --dir "$folder" --batch "$4" --users "$users_base" \
    --seconds "$limit_window" "${@:6}")
  rm -rf "$folder"
  record "$1" "$2" "$5" "$3" "$result"
  say "$1" "$2" "$5 $3: $(field "$result" rows_per_s) rows/s in batches of $4"
}

# ---- databases -----------------------------------------------------------------------------------

# base_make NAME USERS: a stopped database with funded users in $work/NAME, ids in $work/NAME.ids.
base_make() {
  local folder=$work/$1
  [[ -e $work/$1.ids ]] && return
  server_start "$folder" --live-users "$users_many"
  result=$("$hfbench" --json --target "$target" --server-pid "$server_pid" --users "$2" \
    --users-out "$work/$1.ids.part" --mix read --connections 8 --warmup 0 --duration 0.2) ||
    fail "set-up of $2 users failed"
  stop "$server_pid"
  mv "$work/$1.ids.part" "$work/$1.ids"
  record setup "$1" server 1 "$result"
  say setup "$1" "$(field "$result" setup_users_per_s) users/s, $(field "$result" \
    setup_grants_per_s) grants/s"
}

# A server on a fresh copy of the base, so that scenarios do not touch each other.
on_base() {
  base_make base "$users_base"
  users_file=$work/base.ids
  store_options=()
  rm -rf "$work/now"
  cp -r "$work/base" "$work/now"
  server_start "$work/now"
}

# ---- scenarios -----------------------------------------------------------------------------------

scenario_fsync() {
  local i
  for ((i = 1; i <= repeats; i++)); do
    result=$("$build/bench/limit_fsync" "$work" 1)
    record fsync "8KiB" limit "$i" "$result"
    say fsync 8KiB "$(field "$result" fsyncs_per_s)/s"
  done
}

scenario_single() {
  local i connections
  on_base
  batch_measured single
  for ((i = 1; i <= repeats; i++)); do
    limit single 256 "$i" "$batch_size" limit
    limit single 256 "$i" "$batch_size" lookups --probe
    for connections in 256 64 8; do
      server_load single "$connections" "$i" --mix spend --connections "$connections"
    done
  done
  stop "$server_pid"
}

scenario_batch() {
  local i batch
  declare -A connections=([8]=64 [50]=32 [1000]=4)
  on_base
  for ((i = 1; i <= repeats; i++)); do
    for batch in 8 50 1000; do
      limit batch "$batch" "$i" "$batch" limit
      limit batch "$batch" "$i" "$batch" lookups --probe
      server_load batch "$batch" "$i" --mix spend --batch "$batch" \
        --connections "${connections[$batch]}"
    done
  done
  stop "$server_pid"
}

scenario_choice() {
  local i choice
  on_base
  for ((i = 1; i <= repeats; i++)); do
    for choice in uniform zipf hot; do
      server_load choice "$choice" "$i" --mix spend --choice "$choice" --connections 256
    done
  done
  stop "$server_pid"
}

scenario_kinds() {
  local i
  on_base
  for ((i = 1; i <= repeats; i++)); do
    server_load kinds grant "$i" --mix grant --connections 256
    server_load kinds refused-10% "$i" --mix spend --refusals 0.1 --connections 256
    server_load kinds hold+capture "$i" --mix hold --connections 256
    server_load kinds transfer "$i" --mix transfer --connections 256
    server_load kinds mixed "$i" --mix grant=2,spend=4,hold=1,transfer=1,read=12 --connections 256
  done
  stop "$server_pid"
}

scenario_reads() {
  local i body
  on_base
  body=$(curl -fsS -H "Authorization: Bearer $HOLDFAST_ADMIN_KEY" \
    "$target/v1/users/$(head -n 1 "$users_file")/balances")
  nginx_start "$body"
  for ((i = 1; i <= repeats; i++)); do
    load reads balances peer "$i" --target "$nginx_target" --server-pid "$nginx_workers" \
      --path /v1/users/1/balances --connections 64
    server_load reads balances "$i" --mix read --connections 64
  done
  stop "$nginx_pid"
  stop "$server_pid"
}

scenario_latency() {
  local i share peak
  on_base
  server_load latency peak 0 --mix spend --connections 256
  peak=$(field "$result" requests_per_s)
  for ((i = 1; i <= repeats; i++)); do
    for share in 30 50 70 90; do
      server_load latency "$share%" "$i" --mix spend --connections 512 \
        --rate "$(awk -v peak="$peak" -v share="$share" 'BEGIN { print peak * share / 100 }')"
    done
  done
  stop "$server_pid"
}

scenario_generator() {
  local i
  nginx_start '{"fixed":true}'
  for ((i = 1; i <= repeats; i++)); do
    load generator nginx peer "$i" --target "$nginx_target" --server-pid "$nginx_workers" \
      --path / --connections 64
    if command -v wrk > /dev/null; then
      result=$(python3 bench/report/wrk.py "$nginx_target/" 64 "$window")
      record generator wrk peer "$i" "$result"
      say generator wrk "$(field "$result" requests_per_s)/s"
    fi
  done
  stop "$nginx_pid"
}

anonymous_kb() { awk '$1 == "Anonymous:" { print $2 }' "/proc/$1/smaps_rollup"; }

# touch_users FROM COUNT MIX: one request for each of that many users of $work/many.ids.
touch_users() {
  sed -n "$1,$(($1 + $2 - 1))p;$(($1 + $2 - 1))q" "$work/many.ids" > "$work/touch.ids"
  result=$("$hfbench" --json --target "$target" --server-pid "$server_pid" --mix "$3" \
    --choice each --users-file "$work/touch.ids" --users "$2" --connections 64 --warmup 0 \
    --duration 600) || fail "the server did not take $2 users; see $work/server.log"
}

# Anonymous memory that users_live users add. The store's page cache is small and some users are
# touched before, so that caches and pools are filled already. live: each was read once; written:
# each had one spend; idle: each was read once, by a server that may keep only few of them awake.
scenario_memory() {
  local i variant cap mix before after bytes
  base_make many "$users_many"
  for ((i = 1; i <= repeats; i++)); do
    for variant in live written idle; do
      cap=$users_many mix=read
      if [[ $variant == idle ]]; then cap=500; fi
      if [[ $variant == written ]]; then mix=spend; fi
      server_start "$work/many" --live-users "$cap" --cache-mib 16
      touch_users 1 "$((users_live / 10))" "$mix"
      before=$(anonymous_kb "$server_pid")
      touch_users "$((users_live / 10 + 1))" "$users_live" "$mix"
      after=$(anonymous_kb "$server_pid")
      bytes=$(awk -v kb="$((after - before))" -v n="$users_live" \
        'BEGIN { printf "%.1f", kb * 1024 / n }')
      record memory "$variant" server "$i" "$(printf \
        '{"users":%d,"before_kb":%d,"after_kb":%d,"bytes_per_user":%s,"activations_per_s":%s}' \
        "$users_live" "$before" "$after" "$bytes" "$(field "$result" requests_per_s)")"
      say memory "$variant" "$bytes bytes per user"
      stop "$server_pid"
    done
  done
}

# Two servers at once, one with few users and one with many, take turns; the other one sleeps. All
# of the many are activated first: that is the cold rate.
scenario_many() {
  local i few_pid few_target many_pid many_target
  base_make few "$users_few"
  base_make many "$users_many"
  rm -rf "$work/few.now"
  cp -r "$work/few" "$work/few.now"
  server_start "$work/few.now"
  few_pid=$server_pid few_target=$target
  server_start "$work/many" --live-users "$users_many"
  many_pid=$server_pid many_target=$target
  touch_users 1 "$users_many" read
  record many cold server 1 "$result"
  say many cold "$(field "$result" requests_per_s) activations/s"
  for ((i = 1; i <= repeats; i++)); do
    load many few server "$i" --target "$few_target" --server-pid "$few_pid" \
      --users-file "$work/few.ids" --users "$users_few" --mix spend --connections 256
    load many many server "$i" --target "$many_target" --server-pid "$many_pid" \
      --users-file "$work/many.ids" --users "$users_many" --mix spend --connections 256
  done
  stop "$few_pid"
  stop "$many_pid"
}

scenario_start() {
  local i port
  base_make many "$users_many"
  for ((i = 1; i <= repeats; i++)); do
    port=$(free_port)
    result=$(python3 bench/report/start.py "$port" "$holdfast" serve --data "$work/many" \
      --listen "127.0.0.1:$port" 2>> "$work/server.log")
    record start ready server "$i" "$result"
    say start ready "$(field "$result" ready_ms) ms"
  done
}
