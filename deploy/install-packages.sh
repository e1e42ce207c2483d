#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian 12 packages that are missing: those that build and run
# Dumpwarden, and with --dev those that its tests and checks need too.  Does
# nothing, and asks for no rights, when all of them are there.
set -euo pipefail

readonly BUILD=(
  ca-certificates ccache cmake g++ git ninja-build pkg-config
  libabsl-dev libcli11-dev libgrpc++-dev libhivex-dev libprotobuf-dev libspdlog-dev
  libsqlite3-dev libssl-dev libyaml-cpp-dev nlohmann-json3-dev
  protobuf-compiler protobuf-compiler-grpc
  libbenchmark-dev
)
readonly DEV=(
  chntpw clang-14 clang-format-14 clang-tidy-14 jq libclang-rt-14-dev libgmock-dev
  libgtest-dev libhivex-bin openssl shellcheck xz-utils
)

usage() {
  cat <<'TEXT'
Usage: deploy/install-packages.sh [--dev] [--list]
  --dev   also what the tests and checks need
  --list  print the package names and install nothing
TEXT
}

is_installed() {
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

apt() {
  local sudo=()
  ((EUID == 0)) || sudo=(sudo)
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 \
    -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

install() {
  apt install -y --no-install-recommends "$@"
}

main() {
  local wanted=("${BUILD[@]}") list=false argument package
  for argument in "$@"; do
    case $argument in
      --dev) wanted+=("${DEV[@]}") ;;
      --list) list=true ;;
      -h | --help) usage && return 0 ;;
      *) usage >&2 && return 64 ;;
    esac
  done
  if $list; then
    printf '%s\n' "${wanted[@]}"
    return 0
  fi
  if ! command -v dpkg-query >/dev/null; then
    echo "install-packages: this is no Debian system; install these yourself: ${wanted[*]}" >&2
    return 1
  fi

  local missing=()
  for package in "${wanted[@]}"; do
    is_installed "$package" || missing+=("$package")
  done
  ((${#missing[@]} > 0)) || return 0

  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    echo "install-packages: missing: ${missing[*]}" >&2
    echo "install-packages: neither root nor sudo; run as root: apt-get install ${missing[*]}" >&2
    return 1
  fi
  echo "installing ${#missing[@]} packages: ${missing[*]}"
  local started=$SECONDS
  # Old or absent package lists are the usual reason for a failure: then, and only then, fetch them.
  install "${missing[@]}" || { apt update && install "${missing[@]}"; }
  echo "installed in $((SECONDS - started)) s"
}

main "$@"
