# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Sourced by every script in this folder: the same environment whoever calls, also under `env -i`, and two ways to
# speak to the person who waits. Nothing is installed or built here.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
export PATH="${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"
export HOME="${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}"
export LC_ALL=C.UTF-8
export DEBIAN_FRONTEND=noninteractive
# Byte code of the Python parts stays out of the source tree.
export PYTHONDONTWRITEBYTECODE=1
# Another python3 may come first in PATH; only Debian's has the packages that setup installs.
python=/usr/bin/python3

say() {
  printf '%s\n' "$*"
}

fail() {
  printf '%s: %s\n' "$(basename -- "$0")" "$*" >&2
  exit 1
}

# long_step LABEL LOG COMMAND...: runs COMMAND with its output in LOG, says so, and every 15 seconds that it still runs.
# On failure the end of LOG is shown and COMMAND's status returned.
long_step() {
  local label=$1 log=$2 started=$SECONDS status=0 beat
  shift 2
  say "$label ..."
  # The reader ends when the last writer of its pipe is closed, so no stray sleep outlives the step.
  exec {beat}> >(
    waited=0
    while read -r -t 15 _ || [ $? -gt 128 ]; do
      waited=$((waited + 15))
      say "  still at it after $waited seconds (details: $log)"
    done
  )
  "$@" >"$log" 2>&1 {beat}>&- || status=$?
  exec {beat}>&-
  if [ "$status" -ne 0 ]; then
    say "  failed with status $status; the end of $log:" >&2
    tail -n 40 -- "$log" >&2
  elif [ $((SECONDS - started)) -ge 15 ]; then
    say "  done in $((SECONDS - started)) seconds"
  fi
  return "$status"
}
