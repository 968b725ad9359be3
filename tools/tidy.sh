#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs clang-tidy over the library's sources and the examples, skipping each file that passed before and whose inputs
# (itself, any header, the checks) have not changed since. Usage: tidy.sh BUILD_FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
passed=build/tidy
mkdir -p "$passed"

newest_input=$(ls -t .clang-tidy $(find cpp tests/cpp tests/kill -name '*.hpp') | head -1)
todo=()
for source in $(find cpp/src cpp/examples tests/kill -name '*.cpp'); do
  grep -qF "$source" "$build/compile_commands.json" || continue  # its part is off
  stamp=$passed/${source//\//_}
  [[ -e $stamp && $stamp -nt $source && $stamp -nt $newest_input ]] || todo+=("$source")
done
((${#todo[@]})) || exit 0

check() {
  # g++ knows warnings that clang does not; the build has them on already.
  clang-tidy --quiet -p "$1" --extra-arg=-Wno-unknown-warning-option "$3" 2>/dev/null && touch "$2/${3//\//_}"
}
export -f check
printf '%s\0' "${todo[@]}" |
  xargs -0 -n 1 -P "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" bash -c 'check "$@"' check "$build" "$passed"
