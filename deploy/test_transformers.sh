#!/usr/bin/env bash
# Runs the tests of the transformers runtime, in an environment of their own: torch has some 3 GB.
#   bash deploy/test_transformers.sh ARGS…    passed to pytest
set -euo pipefail
WITH_TESTS=yes
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"
EXTRA_LOCK=deploy/transformers.lock
EXTRA=.venv/transformers
[ -x "$EXTRA/bin/python" ] || .venv/bin/python -m venv "$EXTRA"
borrow_pip_settings
install_uv
.venv/bin/uv pip sync --python "$EXTRA/bin/python" --require-hashes --link-mode=copy "$EXTRA_LOCK"
export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-1000}"
# Their files have names of their own, so that the suite of every change, which has no torch, does not collect them.
PLUGIN=tests.runtimes.transformers_extra.fixtures
exec "$EXTRA/bin/python" -m pytest -p "$PLUGIN" -o python_files='check_*.py' tests/runtimes/transformers_extra "$@"
