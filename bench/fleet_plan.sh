#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `dumpctl policy plan -f policies/` for N hosts that all differ, with all that
# they reported: the first call to a server just started, from typing it to its
# summary, beside a bare read of the same rows in the same round.  Slowest of 3.
# The plan of all is then held against N local ones.  Exit 1 at two seconds, or
# when a plan differs.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly N=${1:-10000} ROUNDS=3
# shellcheck source=bench/fleet.sh
source bench/fleet.sh

milliseconds() {  # command: what it took
  local begin=${EPOCHREALTIME/./}
  "$@"
  TOOK=$(((${EPOCHREALTIME/./} - begin) / 1000))
}

plan() { dumpctl policy plan -f policies/ "$@" 2>"$FLEET/plan.err"; }

init_server
echo "making $N hosts"
"$BIN/bench_fleet_plan" seed "$FLEET/server/store.db" "$N"
printf '%-8s %10s %14s %8s   aim < 2000 ms\n' round 'first call' 'bare read' ratio
slowest=0
for ((round = 1; round <= ROUNDS; ++round)); do
  serve
  milliseconds plan >"$FLEET/summary"
  bare=$("$BIN/bench_fleet_plan" read "$FLEET/server/store.db")
  printf '%-8d %7d ms %11d ms %6d.%d\n' "$round" "$TOOK" "$bare" $((TOOK / bare)) $((TOOK * 10 / bare % 10))
  ((TOOK <= slowest)) || slowest=$TOOK
  ((round == ROUNDS)) || stop_server
done
sed 's/^/  /' "$FLEET/plan.err"
milliseconds plan -o json >"$FLEET/all.json"
"$BIN/bench_fleet_plan" check "$N" "$FLEET/all.json" policies/*.yaml
echo "equal to $N local plans; every change as JSON ($(du -h "$FLEET/all.json" | cut -f1)) in $TOOK ms"
((slowest < 2000))
