#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets a Debian machine up for work on shmlane: `setup.sh apt` installs the packages, `setup.sh venv` makes .venv;
# `setup.sh bench` adds what the benchmarks compare shmlane with.
# All do nothing, and quickly, where nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  build-essential cmake ninja-build pkg-config ccache git       # to build
  clang-format clang-tidy                                       # to lint
  python3 python3-venv python3-dev                              # the package and the tests
  libboost-dev nlohmann-json3-dev doctest-dev                   # the library and its tests
  clang libclang-rt-dev spin valgrind                            # to fuzz, to check the model, to count instructions
  libopencv-core-dev libopencv-imgproc-dev libopencv-imgcodecs-dev  # cv::Mat
)

peers=(libzmq3-dev libnng-dev)  # of the benchmarks

setup_apt() {
  local missing=()
  for package; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  local as_root=()
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "Missing packages, and neither root nor sudo to install them. As root: apt-get install ${missing[*]}" >&2
      exit 1
    fi
    as_root=(sudo)
  fi
  echo "Installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  local wait_for_lock=(-o DPkg::Lock::Timeout=600)  # of unattended upgrades, on a machine that has just started
  "${as_root[@]}" apt-get "${wait_for_lock[@]}" update -qq
  "${as_root[@]}" apt-get "${wait_for_lock[@]}" install -qq -y --no-install-recommends "${missing[@]}" </dev/null
}

setup_venv() {
  local python=${PYTHON:-python3}
  [[ -x .venv/bin/python ]] || "$python" -m venv .venv
  .venv/bin/python tools/requirements.py >.venv/requirements.txt
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r .venv/requirements.txt </dev/null
}

# A peer that cannot be had is left out; the benchmarks name it.
setup_bench() {
  local name
  if command -v dpkg-query >/dev/null; then
    for name in "${peers[@]}"; do (setup_apt "$name") || echo "The benchmarks will leave out $name." >&2; done
  fi
  .venv/bin/python tools/requirements.py bench | while read -r name; do
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$name" </dev/null ||
      echo "The benchmarks will leave out $name." >&2
  done
}

case ${1:-} in
  apt) command -v dpkg-query >/dev/null || { echo "Not a Debian system: install the equivalents of: ${packages[*]}" >&2; exit 0; }
       setup_apt "${packages[@]}" ;;
  venv) setup_venv ;;
  bench) setup_bench ;;
  *) echo "usage: $0 apt|venv|bench" >&2; exit 2 ;;
esac
