#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The whole product on one machine: a server and four agents on loopback, each a
# real process with a real certificate, enforcing policies/ on registries in
# files.  Every claim that it prints is checked; one that does not hold ends it
# with exit 1 and the place of the logs.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly BIN=$PWD/build/release/bin
readonly HOSTS=(desk-07 sql-01 hv-01 web-01)
declare -A LABELS=([desk-07]=role=desktop [sql-01]=role=sql [hv-01]=role=hyper-v [web-01]=role=web)
STATE=${XDG_STATE_HOME:-$HOME/.local/state}/dumpwarden/quickstart

usage() {
  cat <<'TEXT'
Usage: deploy/quickstart.sh [--once | --stop] [--dir DIR]
  (nothing)   install packages, build, start a server and four agents, show drift
              found and corrected, and leave everything running
  --once      the same in a folder of its own; then stop everything and remove it
  --stop      stop what an earlier run has left running, and remove its folder
  --dir DIR   where server and agents keep their files (not with --once)
TEXT
}

say() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }

fail() {
  printf '[%3d s] FAILED: %s\n' "$SECONDS" "$*" >&2
  if [[ -d $STATE/log ]]; then
    echo "Logs: $STATE/log; their last lines:" >&2
    tail -n 5 "$STATE"/log/* >&2 || true
  fi
  exit 1
}

dumpctl() { "$BIN/dumpctl" --config "$STATE/server/operators/admin/dumpctl.yaml" "$@"; }

# Shows a command as a user would type it, and what it says.
show() {
  printf '\n  $ %s\n' "$*"
  "$@" 2>&1 | sed 's/^/  /'
  echo
}

# until_true SECONDS WHAT COMMAND...: asks ten times a second.
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    ((SECONDS < deadline)) || fail "$what"
    sleep 0.1
  done
}

milliseconds() { date +%s%3N; }

# --- processes ---------------------------------------------------------------

start() {  # name, command and its arguments
  local name=$1
  shift
  : >"$STATE/log/$name.out"  # whoever looks for a line must not come before the file
  nohup "$@" >"$STATE/log/$name.out" 2>"$STATE/log/$name.err" </dev/null &
  echo "$! $1" >"$STATE/run/$name.pid"
}

# A process id may have been given to another program since: look before killing.
is_ours() {  # pid, program
  [[ $(readlink "/proc/$1/exe" 2>/dev/null) == "$2"* ]]
}

stop_all() {
  local file pid program
  for file in "$STATE"/run/*.pid; do
    [[ -e $file ]] || continue
    read -r pid program <"$file"
    is_ours "$pid" "$program" || continue
    kill "$pid" 2>/dev/null || true
    for _ in {1..50}; do
      is_ours "$pid" "$program" || break
      sleep 0.1
    done
    if is_ours "$pid" "$program"; then kill -9 "$pid" 2>/dev/null || true; fi
  done
}

# The marker says that a folder is ours to empty; --dir may have named any.
readonly MARKER=.dumpwarden-quickstart

stop_and_remove() {
  stop_all
  if [[ -e $STATE/$MARKER ]]; then rm -rf "$STATE"; fi
}

make_state() {
  if [[ -e $STATE/$MARKER ]]; then
    say "stopping what an earlier run has left running"
    stop_and_remove
  fi
  if [[ -e $STATE && -n $(ls -A "$STATE" 2>&1) ]]; then
    echo "quickstart: $STATE is not empty and not a folder of the quick start; name another with --dir" >&2
    exit 1
  fi
  mkdir -p "$STATE"/{log,run,hosts}
  chmod 700 "$STATE"
  touch "$STATE/$MARKER"
}

# At the end of --once: the logs of a failure stay.
clean_up() {
  local code=$?
  if ((code == 0)); then stop_and_remove; else stop_all; fi
}

free_port() {
  local port
  while true; do
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
}

# --- the steps ---------------------------------------------------------------

build() {
  deploy/install-packages.sh
  say "building the three programs (preset release)"
  cmake --preset release >"$STATE/log/configure.out" 2>&1 || fail "cmake --preset release"
  NINJA_STATUS='  [%f/%t, %e s] ' cmake --build --preset release -j2 \
    --target dumpwarden-server dumpwarden-agent dumpctl || fail "the build"
}

server_is_ready() { grep -q '"ready"' "$STATE/log/server.out"; }

start_server() {
  "$BIN/dumpwarden-server" init --dir "$STATE/server" --trust-domain quickstart.example \
    --listen "127.0.0.1:$(free_port)" --enroll-listen "127.0.0.1:$(free_port)" \
    >"$STATE/log/init.out" 2>&1 || fail "dumpwarden-server init"
  start server "$BIN/dumpwarden-server" serve --config "$STATE/server/server.yaml"
  until_true 10 "the server did not become ready" server_is_ready
  say "server runs: its own CA, trust domain quickstart.example"
}

# CrashDumpEnabled 0, as a clean-up script leaves it: a DWORD lies in its vk record, 12 bytes before
# the name.
switch_dumps_off_in_hive() {
  local name
  name=$(grep -abo CrashDumpEnabled "$1" | cut -d : -f 1)
  printf '\0' | dd of="$1" bs=1 seek=$((name - 12)) conv=notrunc status=none
}

# A host is a folder with facts, a registry and the agent's configuration.
make_host() {
  local host=$1 folder=$STATE/hosts/$1 registry
  mkdir -p "$folder"
  cp "deploy/quickstart/$host.facts.yaml" "$folder/facts.yaml"
  if [[ -e deploy/quickstart/$host.reg ]]; then
    cp "deploy/quickstart/$host.reg" "$folder/host.reg"
    registry=reg:host.reg
  else
    cp tests/golden/hives/minimal.hive "$folder/SYSTEM"
    switch_dumps_off_in_hive "$folder/SYSTEM"
    registry=hive:SYSTEM
  fi
  printf 'registry: %s\nfacts: facts.yaml\ndata: data\n' "$registry" >"$folder/agent.yaml"
}

enroll_host() {
  local host=$1 folder=$STATE/hosts/$1 reply token address
  make_host "$host"
  # The answer as CSV: a header, then token,id,expires,address.
  reply=$(dumpctl token create --label "${LABELS[$host]}" --name "$host" -o csv \
    2>"$STATE/log/$host-token.err") || fail "a token for $host"
  IFS=, read -r token _ _ address <<<"$(tail -n 1 <<<"${reply//$'\r'/}")"
  (umask 077 && echo "$token" >"$folder/token")
  "$BIN/dumpwarden-agent" enroll --config "$folder/agent.yaml" --token-file "$folder/token" \
    --server "$address" --name "$host" >"$STATE/log/$host-enroll.out" 2>&1 ||
    fail "the enrolment of $host"
  rm "$folder/token"
  start "$host" "$BIN/dumpwarden-agent" run --config "$folder/agent.yaml"
}

all_connected() { [[ $(dumpctl host list -o csv | grep -c ',yes,') == "${#HOSTS[@]}" ]]; }

start_agents() {
  local host
  for host in "${HOSTS[@]}"; do enroll_host "$host"; done
  until_true 10 "not all agents connected" all_connected
  say "${#HOSTS[@]} agents enrolled with single-use tokens and connected over mTLS"
}

# None drifted, and somebody reported: every drift that was found is corrected.
all_settled() {
  local report
  report=$(dumpctl compliance report -o csv) || return 1
  [[ $(cut -d , -f 1 <<<"$report" | sort -u | wc -l) == $((${#HOSTS[@]} + 1)) ]] &&
    ! grep -qE ',(drifted|blocked|error|contested),' <<<"$report"
}

apply_policies() {
  say "what would policies/ change?  Nothing is written yet"
  printf '\n  $ dumpctl policy plan -f policies/\n'
  dumpctl policy plan -f policies/ 2>&1 | sed '/^Findings/,$d; s/^/  /'
  local begin
  begin=$(milliseconds)
  show dumpctl policy apply -f policies/
  until_true 15 "the hosts did not come to what policies/ asks for" all_settled
  say "every host does what policies/ asks for, $(($(milliseconds) - begin)) ms after the apply was typed"
  show dumpctl drift list
  show dumpctl compliance summary
  # By other eyes than ours: CrashDumpEnabled as the registry file of the desktop has it.
  grep -q '^"CrashDumpEnabled"=dword:00000002' "$STATE/hosts/desk-07/host.reg" ||
    fail "desk-07 has no kernel dump in host.reg"
}

drift_is_listed() {
  dumpctl drift list --host hv-01 -o csv | grep -q ',dump.type,[a-z]*,active,none,'
}
drift_is_corrected() {
  grep -q '^"CrashDumpEnabled"=dword:00000001' "$STATE/hosts/hv-01/host.reg" &&
    dumpctl drift list --host hv-01 -o csv | grep -q ',dump.type,corrected,active,none,'
}

change_behind_the_back() {
  local file=$STATE/hosts/hv-01/host.reg begin listed
  say "behind the agent's back, sed switches the dumps of hv-01 off in its registry file"
  begin=$(milliseconds)
  sed -i 's/^"CrashDumpEnabled"=dword:00000001/"CrashDumpEnabled"=dword:00000000/' "$file"
  until_true 10 "the change of hv-01 is not in the drift list" drift_is_listed
  listed=$(($(milliseconds) - begin))
  until_true 10 "the change of hv-01 was not corrected" drift_is_corrected
  say "in dumpctl drift list after $listed ms; known to be corrected after $(($(milliseconds) - begin)) ms"
  ((listed < 2000)) || fail "drift took longer than two seconds to be seen"
  show dumpctl drift list --host hv-01 --limit 1
}

farewell() {
  cat <<TEXT
It is still running.  Next:
  export PATH=$BIN:\$PATH DUMPCTL_CONFIG=$STATE/server/operators/admin/dumpctl.yaml
  dumpctl host explain sql-01 dump.type       # which policy, which layer, and who lost
  dumpctl compliance report -o csv
  dumpctl drift follow                        # then edit $STATE/hosts/desk-07/host.reg
  dumpctl audit list
  dumpwarden-agent settings                   # all that a policy can say
One host without a server:
  dumpwarden-agent plan -f policies/servers.yaml --registry reg:deploy/quickstart/sql-01.reg \\
    --facts deploy/quickstart/sql-01.facts.yaml
Registries, certificates, database and logs: $STATE
To stop:  deploy/quickstart.sh --stop$1
TEXT
}

run() {
  make_state
  build
  local begin=$SECONDS
  start_server
  start_agents
  apply_policies
  change_behind_the_back
  say "done, in $((SECONDS - begin)) s after the build"
}

misused() {
  echo "quickstart: $1" >&2
  usage >&2
  exit 64
}

choose() {  # the mode so far, the one that is asked for
  [[ $1 == keep || $1 == "$2" ]] || misused "--once and --stop exclude each other"
  echo "$2"
}

main() {
  local mode=keep stop_hint=
  while (($# > 0)); do
    case $1 in
      --once) mode=$(choose "$mode" once) || exit ;;
      --stop) mode=$(choose "$mode" stop) || exit ;;
      --dir)
        (($# > 1)) || misused "--dir needs a folder"
        STATE=$(realpath -m "$2")
        stop_hint=" --dir $STATE"
        shift
        ;;
      -h | --help) usage && exit 0 ;;
      *) misused "there is no $1" ;;
    esac
    shift
  done
  [[ $mode != once || -z $stop_hint ]] ||
    misused "--once makes a folder of its own, so --dir has no meaning with it"
  case $mode in
    stop)
      [[ -e $STATE/$MARKER ]] || { echo "nothing to stop in $STATE" && exit 0; }
      stop_and_remove
      echo "stopped"
      ;;
    once)
      STATE=$(mktemp -d)
      trap clean_up EXIT
      run
      ;;
    keep)
      trap '(($? == 0)) || stop_all' EXIT
      run
      farewell "$stop_hint"
      ;;
  esac
}

main "$@"
