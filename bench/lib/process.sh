# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with bench/run and the other parts
#
# Processes of the bench: started here, always ended by their ids. Sourced by bench/run.

pids=()

forget() {
  local pid kept=()
  for pid in "${pids[@]}"; do [[ $pid == "$1" ]] || kept+=("$pid"); done
  pids=("${kept[@]}")
}

# stop PID [SIGNAL]: asks, waits up to 20 s, then insists.
stop() {
  local i
  kill "-${2:-TERM}" "$1" 2> /dev/null || true
  for ((i = 0; i < 400; i++)); do
    kill -0 "$1" 2> /dev/null || break
    sleep 0.05
  done
  kill -KILL "$1" 2> /dev/null || true
  wait "$1" 2> /dev/null || true
  forget "$1"
}

# The last one started is stopped first: servers before their databases.
clean_up() {
  local i
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    if [[ ${pids[i]} == "${postgres_pid:-}" ]]; then
      postgres_stop
    else
      stop "${pids[i]}"
    fi
  done
  if [[ $keep -eq 0 ]]; then rm -rf "$work" ${postgres_home:+"$postgres_home"}; fi
}

free_port() {
  python3 -c 'import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])'
}

wait_ready() { # PID URL
  local i
  for ((i = 0; i < 1200; i++)); do
    if curl -fsS -o /dev/null --max-time 2 "$2" 2> /dev/null; then return; fi
    kill -0 "$1" 2> /dev/null || fail "process $1 ended before it was ready; see $work/*.log"
    sleep 0.05
  done
  fail "not ready after 60 s: $2"
}

# server_start DATA [option...]: sets server_pid and target.
server_start() {
  local data=$1 port
  shift
  port=$(free_port)
  mkdir -p "$data"
  "$holdfast" serve --data "$data" --listen "127.0.0.1:$port" "$@" >> "$work/server.log" 2>&1 &
  server_pid=$!
  pids+=("$server_pid")
  target=http://127.0.0.1:$port
  wait_ready "$server_pid" "$target/readyz"
}

# nginx_start BODY: answers every GET with the body; sets nginx_pid, nginx_workers and nginx_target.
nginx_start() {
  local folder=$work/nginx port
  port=$(free_port)
  mkdir -p "$folder"
  folder=$(realpath "$folder")
  cat > "$folder/nginx.conf" << TEXT
worker_processes 2;
daemon off;
pid $folder/nginx.pid;
error_log $folder/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path $folder/body;
  proxy_temp_path $folder/proxy;
  fastcgi_temp_path $folder/fastcgi;
  uwsgi_temp_path $folder/uwsgi;
  scgi_temp_path $folder/scgi;
  server {
    listen 127.0.0.1:$port;
    location / { default_type application/json; return 200 '$1'; }
  }
}
TEXT
  nginx -p "$folder" -c "$folder/nginx.conf" > "$folder/log" 2>&1 &
  nginx_pid=$!
  pids+=("$nginx_pid")
  nginx_target=http://127.0.0.1:$port
  wait_ready "$nginx_pid" "$nginx_target/"
  nginx_workers=$(pgrep -P "$nginx_pid" -d ,)
}
