#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Start-up of each program with --help, beside /bin/true in the same run.
# Median of 41 runs each, taken in turns.  Exit 1 when one is over the aim.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly BIN=${1:-build/release/bin} RUNS=41 AIM_US=30000
programs=(/bin/true "$BIN/dumpctl" "$BIN/dumpwarden-agent" "$BIN/dumpwarden-server")

declare -A times
for ((i = 0; i < RUNS; ++i)); do
  for program in "${programs[@]}"; do
    begin=${EPOCHREALTIME/./}
    "$program" --help >/dev/null </dev/null
    times[$program]+="$((${EPOCHREALTIME/./} - begin)) "
  done
done

median() { tr ' ' '\n' <<<"$1" | grep . | sort -n | sed -n "$((RUNS / 2 + 1))p"; }
base=$(median "${times[/bin/true]}")
code=0
printf '%-20s %9s %14s   aim < %d ms\n' program median 'times /bin/true' $((AIM_US / 1000))
for program in "${programs[@]}"; do
  us=$(median "${times[$program]}")
  printf '%-20s %6d.%01d ms %13d.%01d\n' "$(basename "$program")" $((us / 1000)) $((us % 1000 / 100)) \
    $((us / base)) $((us * 10 / base % 10))
  ((us < AIM_US)) || code=1
done
exit $code
