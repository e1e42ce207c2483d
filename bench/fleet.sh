# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced by benchmarks: a server and agents on loopback in a temporary folder,
# ended with the script.
readonly BIN=$PWD/build/release/bin
[[ -x $BIN/dumpwarden-server ]] ||
  { echo "bench: build first: cmake --preset release && cmake --build --preset release -j2" >&2 && exit 1; }
FLEET=$(mktemp -d)
PIDS=()
trap 'kill "${PIDS[@]}" 2>/dev/null || true; wait; rm -rf "$FLEET"' EXIT

background() {  # log name, command
  local log=$FLEET/$1
  shift
  "$@" >"$log.out" 2>"$log.err" </dev/null &
  PIDS+=($!)
}

wait_for() {  # what, command: at most 20 seconds
  local what=$1 tries=0
  shift
  until "$@"; do
    ((tries++ < 2000)) || { echo "bench: $what" >&2 && tail -qn 1 "$FLEET"/*.err >&2 && exit 1; }
    sleep 0.01
  done
}

dumpctl() { "$BIN/dumpctl" --config "$FLEET/server/operators/admin/dumpctl.yaml" "$@"; }

free_port() {
  local port
  while true; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
  done
}

init_server() {
  SERVER=127.0.0.1:$(free_port)
  "$BIN/dumpwarden-server" init --dir "$FLEET/server" --trust-domain bench.example \
    --listen "$SERVER" --enroll-listen "127.0.0.1:$(free_port)" >/dev/null 2>"$FLEET/init.err"
}

serve() {
  background server "$BIN/dumpwarden-server" serve --config "$FLEET/server/server.yaml"
  SERVER_PID=$!
  wait_for "the server did not start" grep -qs ready "$FLEET/server.out"
}

stop_server() {
  kill "$SERVER_PID"
  wait "$SERVER_PID" || true
}

start_server() {
  init_server
  serve
}

enroll() {  # name
  local folder=$FLEET/$1 token address
  mkdir "$folder"
  cp deploy/quickstart/sql-01.reg "$folder/host.reg"
  cp deploy/quickstart/sql-01.facts.yaml "$folder/facts.yaml"
  printf 'registry: reg:host.reg\nfacts: facts.yaml\ndata: data\n' >"$folder/agent.yaml"
  IFS=, read -r token _ _ address <<<"$(dumpctl token create -o csv 2>/dev/null | tail -n 1 | tr -d '\r')"
  (umask 077 && echo "$token" >"$folder/token")
  "$BIN/dumpwarden-agent" enroll --config "$folder/agent.yaml" --server "$address" \
    --token-file "$folder/token" >/dev/null 2>"$folder.enroll.err"
}

start_agent() {  # name
  background "$1" "$BIN/dumpwarden-agent" run --config "$FLEET/$1/agent.yaml"
}

connected() { [[ $(dumpctl host list -o csv | grep -c ',yes,') == "$1" ]]; }
