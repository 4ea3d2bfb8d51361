# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with bench/run and the other parts
#
# The scenarios on PostgreSQL: one function each. Sourced by bench/run.

# ---- databases -----------------------------------------------------------------------------------

# The database hf_base with funded users, their ids in $work/pg_base.ids; no server on it.
pg_base_make() {
  [[ -e $work/pg_base.ids ]] && return
  postgres_start
  sql postgres 'CREATE DATABASE hf_base'
  server_start "$work/pg_base" --store "$(postgres_dsn hf_base)"
  result=$("$hfbench" --json --target "$target" --server-pid "$server_pid" \
    --store-pid "$postgres_pid" --users "$users_base" --users-out "$work/pg_base.ids.part" \
    --mix read --connections 8 --warmup 0 --duration 0.2) ||
    fail "set-up of $users_base users on PostgreSQL failed; see $work/server.log"
  stop "$server_pid"
  mv "$work/pg_base.ids.part" "$work/pg_base.ids"
  record setup postgres server 1 "$result"
  say setup postgres "$(field "$result" setup_users_per_s) users/s, $(field "$result" \
    setup_grants_per_s) grants/s"
}

# Loops, and connections of each that commit: the server is told, and R is measured on as many.
pg_workers=$(nproc)
pg_commits=1
pg_sessions=$((pg_workers * pg_commits))

# A server on a fresh copy of the base, so that scenarios do not touch each other.
pg_on_base() {
  pg_base_make
  users_file=$work/pg_base.ids
  store_options=(--store-pid "$postgres_pid")
  database_drop hf_now
  sql postgres 'CREATE DATABASE hf_now TEMPLATE hf_base'
  rm -rf "$work/pg_now"
  pg_server_start "$work/pg_now"
}

pg_server_start() { # DATA [serve option...]
  server_start "$1" --store "$(postgres_dsn hf_now)" --workers "$pg_workers" \
    --pg-commits "$pg_commits" "${@:2}"
}

# pg_limit SCENARIO VARIANT REPEAT BATCH: R, the adapter's own statements and arguments from a plain
# loop over libpq, in a fresh database; then the same statements from pgbench, where each parameter
# is a look-up, for half as long.
pg_limit() {
  local commits tps
  database_drop hf_limit
  sql postgres 'CREATE DATABASE hf_limit'
  result=$("$build/bench/limit_postgres" --dsn "$(postgres_dsn hf_limit)" --batch "$4" \
    --users "$users_base" --connections "$pg_sessions" --seconds "$limit_window")
  record "$1" "$2" limit "$3" "$result"
  say "$1" "$2" "limit $3: $(field "$result" rows_per_s) rows/s in batches of $4"
  commits=$(awk -v r="$(field "$result" commits_per_s)" -v s="$limit_window" -v c="$pg_sessions" \
    'BEGIN { printf "%d", r * s / c / 2 + 20 }')
  database_drop hf_limit
  sql postgres 'CREATE DATABASE hf_limit'
  "$build/bench/limit_postgres" --dsn "$(postgres_dsn hf_limit)" --batch "$4" \
    --users "$users_base" --connections "$pg_sessions" --pgbench "$work/limit.sql" \
    --commits "$commits"
  tps=$(pgbench -n -M prepared -c "$pg_sessions" -j "$pg_sessions" -t "$commits" -D turn=0 \
    -f "$work/limit.sql" hf_limit 2> "$work/pgbench.log" | awk '$1 == "tps" { print $3 }')
  [[ -n $tps ]] || fail "pgbench could not run the adapter's statements; see $work/pgbench.log"
  database_drop hf_limit
  result=$(awk -v tps="$tps" -v b="$4" -v c="$pg_sessions" 'BEGIN {
    printf "{\"rows_per_s\":%.1f,\"commits_per_s\":%.1f,\"batch\":%d,\"connections\":%d}",
      tps * b, tps, b, c }')
  record "$1" "$2" pgbench "$3" "$result"
  say "$1" "$2" "pgbench $3: $(field "$result" rows_per_s) rows/s in batches of $4"
}

# ---- scenarios -----------------------------------------------------------------------------------

scenario_pg_single() {
  local i connections ledger clients all=(64) fastify=0 redis=0
  pg_on_base
  batch_measured pg_single
  if [[ $quick -eq 0 ]]; then all=(8 64 256); fi
  for ledger in row_lock cte; do pgbench_prepare "$ledger"; done
  if fastify_prepare; then
    fastify=1
    fastify_start
  fi
  if redis_start; then redis=1; fi
  for ((i = 1; i <= repeats; i++)); do
    pg_limit pg_single 256 "$i" "$batch_size"
    for connections in 256 64 8; do
      server_load pg_single "$connections" "$i" --mix spend --connections "$connections"
    done
    for ledger in row_lock cte; do
      for clients in "${all[@]}"; do
        pgbench_load pg_single "$ledger-$clients" "$i" "$ledger" "$ledger" "$clients"
      done
    done
    if [[ $redis -eq 1 ]]; then redis_load pg_single redis-256 "$i" 256; fi
    server_load pg_single 256-hold "$i" --mix hold --connections 256
    if [[ $fastify -eq 1 ]]; then
      fastify_load pg_single fastify-256 "$i" --mix spend --connections 256
      fastify_load pg_single fastify-256-hold "$i" --mix hold --connections 256
    fi
  done
  if [[ $redis -eq 1 ]]; then stop "$redis_pid"; fi
  if [[ $fastify -eq 1 ]]; then stop "$fastify_pid"; fi
  stop "$server_pid"
  for ledger in row_lock cte fastify; do database_drop "$ledger"; done
}

scenario_pg_batch() {
  local i batch sizes=(50)
  declare -A connections=([8]=64 [50]=32 [1000]=4)
  if [[ $quick -eq 0 ]]; then sizes=(8 50 1000); fi
  pg_on_base
  for ((i = 1; i <= repeats; i++)); do
    for batch in "${sizes[@]}"; do
      pg_limit pg_batch "$batch" "$i" "$batch"
      server_load pg_batch "$batch" "$i" --mix spend --batch "$batch" \
        --connections "${connections[$batch]}"
    done
  done
  stop "$server_pid"
}

scenario_pg_choice() {
  local i choice
  pg_on_base
  for ((i = 1; i <= repeats; i++)); do
    for choice in uniform zipf hot; do
      server_load pg_choice "$choice" "$i" --mix spend --choice "$choice" --connections 256
    done
  done
  stop "$server_pid"
}

scenario_pg_latency() {
  local i share peak
  pg_on_base
  server_load pg_latency peak 0 --mix spend --connections 256
  peak=$(field "$result" requests_per_s)
  for ((i = 1; i <= repeats; i++)); do
    for share in 30 50 70 90; do
      server_load pg_latency "$share%" "$i" --mix spend --connections 512 \
        --rate "$(awk -v peak="$peak" -v share="$share" 'BEGIN { print peak * share / 100 }')"
    done
  done
  stop "$server_pid"
}

partitions_wait() { # TARGET COUNT: until the node there owns so many partitions
  local i
  for ((i = 0; i < 600; i++)); do
    if [[ $(metric holdfast_partitions_owned "$1") -eq $2 ]]; then return; fi
    sleep 0.05
  done
  fail "the node at $1 does not own $2 partitions after 30 s; see $work/server.log"
}

# What a second node on the same database costs the first one: alone, beside a node that owns
# nothing and is asked nothing, and beside one that owns half of the partitions, so that half of the
# requests are passed on to it.
scenario_pg_nodes() {
  local i first second first_target all half own
  pg_on_base
  first=$server_pid first_target=$target
  all=$(metric holdfast_partitions_owned) half=$((all / 2))
  for ((i = 1; i <= repeats; i++)); do
    server_load pg_nodes alone "$i" --mix spend --connections 256
    for own in none auto; do
      rm -rf "$work/pg_second"
      pg_server_start "$work/pg_second" --own "$own"
      if [[ $own == auto ]]; then
        partitions_wait "$target" "$half"
        partitions_wait "$first_target" "$half"
      fi
      second=$server_pid server_pid=$first target=$first_target
      if [[ $own == none ]]; then
        server_load pg_nodes beside "$i" --mix spend --connections 256
      else
        server_pid=$first,$second
        server_load pg_nodes half "$i" --mix spend --connections 256
        server_pid=$first
      fi
      stop "$second"
      partitions_wait "$first_target" "$all"
    done
  done
  stop "$first"
}

# Bytes of an entry on disk, in the journal and the batches with their indexes, and in the
# write-ahead log, while the journal grows. What a user takes stands apart.
scenario_pg_size() {
  local wal entries
  pg_on_base
  wal=$(wal_position)
  entries=$(metric holdfast_journal_entries_total)
  load pg_size growing server 1 --target "$target" --server-pid "$server_pid" \
    "${store_options[@]}" --users-file "$users_file" --users "$users_base" --mix spend \
    --connections 256 --duration "$size_seconds"
  entries=$(($(metric holdfast_journal_entries_total) - entries))
  wal=$(($(wal_position) - wal))
  result=$(sql hf_now "WITH n AS (SELECT sum(entries_count)::numeric AS n FROM batches)
    SELECT jsonb_build_object('entries', n.n,
      'bytes_per_entry', round((pg_total_relation_size('journal') +
        pg_total_relation_size('batches')) / n.n, 1),
      'wal_bytes_per_entry', round($wal / $entries.0, 1),
      'bytes_per_user', round((SELECT sum(pg_total_relation_size(name::regclass))
        FROM unnest(ARRAY['users', 'names', 'ledger_balances']) AS name) / $users_base.0, 1),
      'entries_per_batch_row', round(n.n / (SELECT count(*) FROM batches), 1),
      'batches', round(pg_total_relation_size('batches') / n.n, 1),
      'journal', (SELECT jsonb_object_agg(relname, round(pg_relation_size(oid) / n.n, 1))
        FROM pg_class WHERE relname LIKE 'journal%' AND relkind IN ('r', 'i'))) FROM n")
  record pg_size bytes server 1 "$result"
  say pg_size bytes "$(field "$result" bytes_per_entry) bytes per entry, $(field "$result" \
    wal_bytes_per_entry) of log; $(field "$result" bytes_per_user) per user"
  stop "$server_pid"
}
