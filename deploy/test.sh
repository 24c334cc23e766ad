#!/usr/bin/env bash
# Sets everything up and runs the tests.
#   bash deploy/test.sh          the suite
#   bash deploy/test.sh proofs   what is promised, end to end: the quickstart, a migration under load, kills, two hosts
#   bash deploy/test.sh change   both, as with every change
#   bash deploy/test.sh attacks  attacks SAM and says what held: minutes; the suite has a part of it
#   bash deploy/test.sh chaos    200 small plans of 50 people while things fail at random for ten minutes; --help says more
#   bash deploy/test.sh all      everything: the whole fault matrix too
#   bash deploy/test.sh ARGS…    passed to pytest
set -euo pipefail
WITH_TESTS=yes
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"
# Pages are tested in Debian's Chromium. Where it may not be installed, those tests say so, by count.
find_chromium() {
  [ -n "${SAM_CHROMIUM:-}" ] || command -v chromium chromium-browser google-chrome chrome >/dev/null
}
install_chromium() {
  find_chromium && return
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "No Chromium is here, and it may not be installed (that needs root and apt-get): tests of pages are skipped."
    return
  fi
  say "Installing Chromium for the tests of pages."
  # A fresh machine knows no packages before it has asked for their list.
  { fetch_chromium || { timeout 120 apt-get update --quiet && fetch_chromium; }; } >.venv/chromium.log 2>&1 ||
    say "Chromium could not be installed (see .venv/chromium.log): tests of pages are skipped."
}
fetch_chromium() { DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install --yes --quiet --no-install-recommends chromium; }
if [ "${1:-}" = chaos ]; then
  shift
  exec .venv/bin/python -m tests.chaos "$@"
fi
install_chromium
case "${1:-}" in
  proofs) chosen=proof ;;
  attacks) chosen=attack ;;
  change) chosen="not slow or proof" ;;
  all) chosen="slow or not slow" ;;
  *) chosen= ;;
esac
if [ -n "$chosen" ]; then
  [ "$1" != attacks ] || whole="--attacks=whole"
  shift
  set -- -m "$chosen" ${whole:-} "$@"
fi
# Threads of engines that wait actively would take the cores from each other (docs/decisions).
export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-1000}"
# Three processes side by side, as tests of kills wait more than they compute; each has servers of its own, and a file's
# tests stay together.
exec .venv/bin/python -m pytest --numprocesses "${SAM_TEST_PROCESSES:-3}" --dist loadfile --no-loadscope-reorder "$@"
