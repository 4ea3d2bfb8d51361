# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with bench/run and the other parts
#
# A PostgreSQL of the bench's own: own folder, own port, own process, settings in postgresql.conf
# beside this file. Everybody reaches it over its Unix socket. It refuses to run as root: then it
# runs as the user postgres. Sourced by bench/run.

postgres_bin() {
  local newest
  newest=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)
  [[ -x $newest ]] || newest=$(command -v initdb) || fail "PostgreSQL's server is missing (initdb)"
  dirname "$(readlink -f "$newest")"
}

# Put before a command that the owner of the database runs. No function, so that what is started in
# the background has the id that $! tells: setpriv becomes what it runs.
as_postgres=()
if [[ $(id -u) -eq 0 ]]; then
  as_postgres=(setpriv --reuid postgres --regid postgres --init-groups)
fi

# Sets postgres_pid, postgres_home (socket and data), and libpq's PG* variables. Idempotent.
postgres_start() {
  local bin i
  [[ -n ${postgres_pid:-} ]] && return
  bin=$(postgres_bin)
  # A socket's path is short, and root's own folders are closed to the user postgres.
  if [[ -n $postgres_dir ]]; then
    mkdir -p "$postgres_dir"
    postgres_home=$(mktemp -d "$(realpath "$postgres_dir")/pg-XXXXXX")
  else
    postgres_home=$(realpath "$work")/postgres
    mkdir -p "$postgres_home"
  fi
  if [[ $(id -u) -eq 0 ]]; then chown postgres "$postgres_home"; fi
  "${as_postgres[@]}" test -w "$postgres_home" ||
    fail "the user postgres cannot reach $postgres_home: give another place with --postgres-dir"
  postgres_socket=$(mktemp -d /tmp/hfbench-XXXXXX)
  if [[ $(id -u) -eq 0 ]]; then chown postgres "$postgres_socket"; fi
  "${as_postgres[@]}" "$bin/initdb" -D "$postgres_home/data" -U postgres -A trust -E UTF8 \
    --locale=C.UTF-8 > "$work/postgres.log" 2>&1 || fail "initdb failed; see $work/postgres.log"
  "${as_postgres[@]}" cp bench/lib/postgresql.conf "$postgres_home/data/bench.conf"
  export PGHOST=$postgres_socket PGUSER=postgres PGDATABASE=postgres PGPORT
  PGPORT=$(free_port)
  "${as_postgres[@]}" tee -a "$postgres_home/data/postgresql.conf" > "/dev/null" << TEXT
include 'bench.conf'
port = $PGPORT
listen_addresses = '127.0.0.1'
unix_socket_directories = '$postgres_socket'
TEXT
  "${as_postgres[@]}" "$bin/postgres" -D "$postgres_home/data" >> "$work/postgres.log" 2>&1 &
  postgres_pid=$!
  pids+=("$postgres_pid")
  for ((i = 0; i < 600; i++)); do
    if psql -qAtc 'SELECT 1' > /dev/null 2>&1; then
      postgres_warm
      return
    fi
    kill -0 "$postgres_pid" 2> /dev/null || break
    sleep 0.05
  done
  fail "PostgreSQL did not start; see $work/postgres.log"
}

# A server that has run for a while writes into old segments of its log; a new one has to make each,
# 16 MiB of zeros. This makes some, and the checkpoint hands them out again.
postgres_warm() {
  psql -qX -v ON_ERROR_STOP=1 << SQL > "/dev/null"
DO \$\$ BEGIN
  FOR i IN 1..$wal_segments LOOP
    PERFORM pg_logical_emit_message(false, 'bench', 'x');
    PERFORM pg_switch_wal();
  END LOOP;
END \$\$;
CHECKPOINT;
SQL
}

# INT: sessions end, then a checkpoint; TERM would wait for clients.
postgres_stop() {
  stop "$postgres_pid" INT
  postgres_pid=
  rm -rf "$postgres_socket"
  if [[ $keep -eq 0 ]]; then rm -rf "$postgres_home"; fi
}

sql() { psql -qAtX -v ON_ERROR_STOP=1 -d "$1" -c "$2"; } # DATABASE SQL

postgres_dsn() { echo "postgres://postgres@/$1?host=$PGHOST&port=$PGPORT"; } # DATABASE

database_drop() {
  PGOPTIONS='-c client_min_messages=warning' sql postgres "DROP DATABASE IF EXISTS $1 WITH (FORCE)"
}

wal_position() { sql postgres "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"; }
