#!/usr/bin/env bash
# Sets everything up and runs the tests.
#   bash deploy/test.sh          the suite of every change
#   bash deploy/test.sh all      also the slow ones: the whole fault matrix
#   bash deploy/test.sh ARGS…    passed to pytest
set -euo pipefail
WITH_TESTS=yes
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"
if [ "${1:-}" = all ]; then
  shift
  set -- -m "slow or not slow" "$@"
fi
# Threads of engines that wait actively would take the cores from each other (docs/decisions).
export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-1000}"
# Two processes side by side, each with servers of its own; a file's tests stay together.
exec .venv/bin/python -m pytest --numprocesses "${SAM_TEST_PROCESSES:-2}" --dist loadfile --no-loadscope-reorder "$@"
