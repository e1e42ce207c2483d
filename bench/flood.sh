#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One host floods the server with 10,000 reports while N (20) others report
# changes: how much longer these wait for their Acks, and what the server's
# memory grows by.  A RATE of 10000 takes the limit of a host away.  Exit 1
# when an aim is missed.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly N=${1:-20} RATE=${2:-}
[[ $N =~ ^[1-9][0-9]{0,3}$ && $RATE =~ ^[0-9]*$ ]] || { echo "usage: bench/flood.sh [HOSTS] [RATE]" >&2 && exit 64; }
# shellcheck source=bench/fleet.sh
source bench/fleet.sh

init_server
[[ -z $RATE ]] ||
  sed -i "s/messages-per-second: .*/messages-per-second: $RATE/" "$FLEET/server/server.yaml"
serve
identities=()
for ((i = 0; i <= N; ++i)); do
  enroll "host-$i"
  identities+=("$FLEET/host-$i/data/identity")
done
"$BIN/bench_flood" "$SERVER" "$SERVER_PID" "${identities[@]}"
