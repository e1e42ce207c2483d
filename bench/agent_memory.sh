#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Memory of an agent that is connected and idle, beside that of a bare gRPC
# client with a session at the same server, in the same run, out of
# /proc/PID/smaps_rollup.  Private is Private_Clean (pages of its own program
# file, which the system may drop) and Private_Dirty (which it may not).  Exit 1
# when what is dirty, or RSS, is over 1.6 times the bare client's.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=bench/fleet.sh
source bench/fleet.sh

field() {  # pid, field: KiB
  awk -v field="$2:" '$1 == field { print $2 }' "/proc/$1/smaps_rollup"
}
private() { echo $(($(field "$1" Private_Clean) + $(field "$1" Private_Dirty))); }
row() {  # what, agent, bare
  printf '%-16s %8d %8d %6d.%02d\n' "$1" "$2" "$3" $(($2 / $3)) $(($2 * 100 / $3 % 100))
}

start_server
enroll agent
enroll bare
start_agent agent
agent=$!
identity=$FLEET/bare/data/identity
background bare "$BIN/bench_bare_client" "$SERVER" "$identity/ca.crt" "$identity/tls.crt" "$identity/tls.key"
bare=$!
wait_for "the bare client has no session" grep -qs ready "$FLEET/bare.out"
wait_for "the agent is not connected" connected 2
dumpctl policy apply -f policies/ >/dev/null 2>&1
sleep 10  # idle: the report is sent and acknowledged, buffers are given back

printf '%-16s %8s %8s %9s\n' KiB agent bare ratio
row 'private' "$(private "$agent")" "$(private "$bare")"
for name in Private_Dirty Anonymous Rss; do
  row "$name" "$(field "$agent" "$name")" "$(field "$bare" "$name")"
done
within() { (($(field "$agent" "$1") * 10 <= $(field "$bare" "$1") * 16)); }
within Private_Dirty && within Rss
