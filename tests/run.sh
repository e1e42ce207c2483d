#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds the preset `dev` and runs every test; needs
# nothing beforehand.  Arguments go to ctest: tests/run.sh -R Plan
# PRESET=asan or PRESET=tsan runs the same under a sanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PRESET=${PRESET:-dev}
export CTEST_OUTPUT_ON_FAILURE=1
# Real hives and dumps lie beside the checkout where the project is developed.
if [[ -z ${DUMPWARDEN_SHARED_DATA:-} && -d ../shared/data ]]; then
  DUMPWARDEN_SHARED_DATA=$(realpath ../shared/data)
fi
export DUMPWARDEN_SHARED_DATA=${DUMPWARDEN_SHARED_DATA:-}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$PWD/tests/support/lsan.supp:print_suppressions=0}

deploy/install-packages.sh --dev
started=$SECONDS
cmake --preset "$PRESET"
cmake --build --preset "$PRESET" -j2
echo "configured and built in $((SECONDS - started)) s"
# One more than there are processors: many tests wait for a deadline.
ctest --preset "$PRESET" -j "$(($(nproc) + 1))" "$@" </dev/null
