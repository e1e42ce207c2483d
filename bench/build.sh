#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Build time from nothing: the three programs, Release, without any cache, with
# as many jobs as there are cores.  The folder is temporary.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export CCACHE_DISABLE=1
cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DDUMPWARDEN_TESTS=OFF >/dev/null
begin=$SECONDS
cmake --build "$folder" -j "$(nproc)" --target dumpwarden-server dumpwarden-agent dumpctl >/dev/null
echo "built from nothing in $((SECONDS - begin)) s on $(nproc) cores"
