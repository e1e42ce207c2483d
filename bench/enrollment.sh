#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# N (300) hosts are enrolled, one after the other, beside as many bare TLS
# handshakes with the same listener: how many in a second, and what each costs
# the server.  Exit 1 when the aim is missed.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly N=${1:-300}
[[ $N =~ ^[1-9][0-9]{0,3}$ ]] || { echo "usage: bench/enrollment.sh [HOSTS]" >&2 && exit 64; }
# shellcheck source=bench/fleet.sh
source bench/fleet.sh

start_server
umask 077
for ((i = 0; i <= N; ++i)); do
  IFS=, read -r token _ _ address <<<"$(dumpctl token create -o csv 2>/dev/null | tail -n 1 | tr -d '\r')"
  echo "$token" >>"$FLEET/tokens"
done
"$BIN/bench_enrollment" "$SERVER_PID" "$address" "$FLEET/tokens"
