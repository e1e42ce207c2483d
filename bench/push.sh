#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From typing `dumpctl policy apply` to the last of N registries on disk, with
# one agent and with N (20), all on this machine.  Median of 5.  Exit 1 when N
# take a second or more.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly N=${1:-20} ROUNDS=5
# shellcheck source=bench/fleet.sh
source bench/fleet.sh

policy() {  # value of dump.auto-reboot
  printf 'apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: bench }\nspec: { settings: { dump.auto-reboot: %s } }\n' "$1"
}

all_have() {  # agents, number
  [[ $(grep -ls "^\"AutoReboot\"=dword:0000000$2" "$FLEET"/agent-*/host.reg | wc -l) == "$1" ]]
}

median_of_applies() {  # agents: milliseconds
  local round begin times=()
  for ((round = 0; round < ROUNDS; ++round)); do
    begin=$(date +%s%3N)
    if ((round % 2 == 0)); then policy off; else policy on; fi | dumpctl policy apply -f - >/dev/null 2>&1
    wait_for "the policy did not arrive" all_have "$1" $((round % 2))
    times+=($(($(date +%s%3N) - begin)))
  done
  printf '%s\n' "${times[@]}" | sort -n | sed -n "$((ROUNDS / 2 + 1))p"
}

start_server
for ((i = 0; i < N; ++i)); do
  enroll "agent-$i"
  start_agent "agent-$i"
  if ((i == 0)); then
    wait_for "the agent is not connected" connected 1
    one=$(median_of_applies 1)
    policy on | dumpctl policy apply -f - >/dev/null 2>&1
  fi
done
wait_for "not all agents are connected" connected "$N"
wait_for "the policy did not arrive" all_have "$N" 1
many=$(median_of_applies "$N")
printf 'policy on disk of 1 agent:    %5d ms\npolicy on disk of %d agents: %5d ms (aim < 1000 ms), %d.%d times\n' \
  "$one" "$N" "$many" $((many / one)) $((many * 10 / one % 10))
((many < 1000))
