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
# Pages are tested in Debian's Chromium. Where it may not be installed, those tests say so, by count.
find_chromium() {
  [ -n "${SAM_CHROMIUM:-}" ] || command -v chromium chromium-browser google-chrome chrome >/dev/null
}
install_chromium() {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "No Chromium is here, and it may not be installed (that needs root and apt-get): tests of pages are skipped."
    return
  fi
  echo "Installing Chromium for the tests of pages."
  # A fresh machine knows no packages before it has asked for their list.
  { fetch_chromium || { timeout 120 apt-get update --quiet && fetch_chromium; }; } >"$SCRATCH/chromium.log" 2>&1 || {
    echo "Chromium could not be installed: tests of pages are skipped."
    tail -n 5 "$SCRATCH/chromium.log"
  }
}
fetch_chromium() { DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install --yes --quiet --no-install-recommends chromium; }
# What each of the processes would otherwise make for itself; where that fails, each does.
prepare() {
  .venv/bin/python -m tests.beforehand.cluster "$SCRATCH" >"$SCRATCH/cluster.log" 2>&1 &
  local cluster=$!
  .venv/bin/python -m tests.beforehand.asserts || say "The tests' asserts could not be written beforehand."
  if ! wait "$cluster"; then
    say "A database could not be made beforehand: $(tail -n 1 "$SCRATCH/cluster.log")"
  elif [ -d "$SCRATCH/postgres" ]; then
    export SAM_TESTS_CLUSTER=$SCRATCH/postgres
  fi
}
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/sam-run-XXXXXX")
trap 'rm -rf "$SCRATCH"' EXIT
chromium=
if [ "${1:-}" != chaos ] && ! find_chromium; then
  # Beside the packages: both wait for the network and the disk more than they compute.
  install_chromium &
  chromium=$!
fi
WITH_TESTS=yes
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"
if [ "${1:-}" = chaos ]; then
  shift
  .venv/bin/python -m tests.chaos "$@"
  exit
fi
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
# Only the plugins that are used: the packages of some clients bring their own, which each process would read.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 PYTEST_PLUGINS=django,timeout,xdist,xdist.looponfail,hypothesispytest
[ -z "$chosen" ] && [ $# != 0 ] || prepare
[ -z "$chromium" ] || wait "$chromium" || true
# Three processes side by side, as tests of kills wait more than they compute; each has servers of its own, and a file's
# tests stay together.
.venv/bin/python -m pytest --numprocesses "${SAM_TEST_PROCESSES:-3}" --dist loadfile --no-loadscope-reorder "$@"
