#!/usr/bin/env bash
# Sets everything up and runs the tests.
#   bash deploy/test.sh          the suite
#   bash deploy/test.sh proofs   what is promised, end to end: the quickstart, a migration under load, kills, two hosts
#   bash deploy/test.sh attacks  attacks SAM and says what held: minutes; the suite has a part of it
#   bash deploy/test.sh change   both, as with every change
#   bash deploy/test.sh all      everything: the whole fault matrix too
#   bash deploy/test.sh ARGS…    passed to pytest
set -euo pipefail
WITH_TESTS=yes
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"
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
# Two processes side by side, each with servers of its own; a file's tests stay together.
exec .venv/bin/python -m pytest --numprocesses "${SAM_TEST_PROCESSES:-2}" --dist loadfile --no-loadscope-reorder "$@"
