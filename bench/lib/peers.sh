# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with bench/run and the other parts
#
# The peers that Holdfast on PostgreSQL is compared with, each on the same machine, disk and (all
# but Redis) the same PostgreSQL. Sourced by bench/run.

# ---- ledgers in SQL, driven by pgbench -----------------------------------------------------------

pgbench_prepare() { # NAME: a fresh database
  database_drop "$1"
  sql postgres "CREATE DATABASE $1"
  psql -qX -v ON_ERROR_STOP=1 -d "$1" -f bench/peers/pgbench/schema.sql > /dev/null
}

# pgbench_load SCENARIO VARIANT REPEAT DATABASE SCRIPT CLIENTS
pgbench_load() {
  result=$(python3 bench/lib/pgbench.py --database "$4" --script "bench/peers/pgbench/$5.sql" \
    --clients "$6" --warmup "$warmup" --seconds "$window" --postmaster "$postgres_pid") ||
    fail "pgbench could not measure $1/$2"
  record "$1" "$2" peer "$3" "$result"
  say "$1" "$2" "peer $3: $(field "$result" ops_per_s)/s, p99 $(field "$result" p99) us"
}

# ---- Fastify, Kysely, pg -------------------------------------------------------------------------

# Installs what package-lock.json says, once; false with a sentence when that cannot be.
fastify_prepare() {
  local folder=bench/peers/fastify
  if ! command -v node > /dev/null || [[ $(node -p 'process.versions.node.split(".")[0]') -lt 20 ]]
  then
    say peers fastify "left out: needs Node.js 20 or newer"
    return 1
  fi
  if [[ ! $folder/node_modules/.package-lock.json -nt $folder/package-lock.json ]]; then
    if ! npm ci --prefix "$folder" --no-audit --no-fund > "$work/npm.log" 2>&1; then
      say peers fastify "left out: npm ci failed, see $out/npm.log"
      cp "$work/npm.log" "$out/npm.log"
      return 1
    fi
    touch "$folder/node_modules/.package-lock.json"
  fi
  database_drop fastify
  sql postgres 'CREATE DATABASE fastify'
  psql -qX -v ON_ERROR_STOP=1 -d fastify -f "$folder/schema.sql" > /dev/null
  seq 1 10000 > "$work/fastify.ids"
}

# Two processes, as there are two cores; sets fastify_pid, fastify_workers and fastify_target.
fastify_start() {
  local port
  port=$(free_port)
  PGDATABASE=fastify NODE_ENV=production node bench/peers/fastify/server.js "$port" 2 \
    >> "$work/fastify.log" 2>&1 &
  fastify_pid=$!
  pids+=("$fastify_pid")
  fastify_target=http://127.0.0.1:$port
  wait_ready "$fastify_pid" "$fastify_target/readyz"
  fastify_workers=$(pgrep -P "$fastify_pid" -d ,)
}

fastify_load() { # SCENARIO VARIANT REPEAT [hfbench option...]
  load "$1" "$2" peer "$3" --target "$fastify_target" --server-pid "$fastify_workers" \
    --store-pid "$postgres_pid" --users-file "$work/fastify.ids" --users 10000 "${@:4}"
}

# ---- Redis ---------------------------------------------------------------------------------------

redis_start() { # sets redis_pid and redis_port
  local i folder=$work/redis
  if ! command -v redis-server > /dev/null || ! command -v redis-benchmark > /dev/null; then
    say peers redis "left out: redis-server is missing"
    return 1
  fi
  mkdir -p "$folder"
  redis_port=$(free_port)
  redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$folder" --save '' --appendonly yes \
    --appendfsync always --daemonize no > "$work/redis.log" 2>&1 &
  redis_pid=$!
  pids+=("$redis_pid")
  for ((i = 0; i < 200; i++)); do
    if redis-cli -p "$redis_port" ping > /dev/null 2>&1; then break; fi
    sleep 0.05
  done
  redis_script=$(redis-cli -p "$redis_port" script load "$(< bench/peers/redis/ledger.lua)") ||
    fail "Redis did not start; see $work/redis.log"
}

redis_load() { # SCENARIO VARIANT REPEAT CLIENTS
  result=$(python3 bench/lib/redis_load.py --port "$redis_port" --script "$redis_script" \
    --clients "$4" --warmup "$warmup" --seconds "$window" --server "$redis_pid") ||
    fail "redis-benchmark could not measure $1/$2"
  record "$1" "$2" peer "$3" "$result"
  say "$1" "$2" "peer $3: $(field "$result" ops_per_s)/s, p99 $(field "$result" p99) us"
}
