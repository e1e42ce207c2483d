#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# bench_reconcile on a copy of a real SYSTEM hive: a path, plain or .xz; without
# one that of Windows 7 beside the checkout, and without that in memory only.
set -euo pipefail
cd "$(dirname "$0")/.."
hive=${1:-../shared/data/SYSTEM.win7sp1.xz}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
arguments=()
if [[ -e $hive ]]; then
  case $hive in
    *.xz) xz -dc "$hive" >"$folder/SYSTEM" ;;
    *) cp "$hive" "$folder/SYSTEM" ;;
  esac
  arguments=("hive:$folder/SYSTEM")
else
  echo "no hive at $hive: in memory only"
fi
build/release/bin/bench_reconcile "${arguments[@]}"
