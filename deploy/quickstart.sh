#!/usr/bin/env bash
# Sets everything up and moves a person from one engine to another and back, live, on this machine.
#   bash deploy/quickstart.sh          then the servers keep running until Ctrl-C
#   bash deploy/quickstart.sh --once   ends instead; exit code 0 only if every proof held
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"
# The proofs' own llama.cpp shares the cores with SAM's; threads that wait actively would take them from each other.
export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-1000}"
exec .venv/bin/python -m deploy.demo "$@"
