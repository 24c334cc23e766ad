#!/usr/bin/env bash
# Writes what SAM is made of: sam.cdx.json (CycloneDX) and licences.md, of the packages that a server gets.
#   bash deploy/sbom.sh [FOLDER]     by default the present one
set -euo pipefail
FOLDER=$(realpath -m "${1:-.}")
set --
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"
exec .venv/bin/python -m deploy.sbom "$FOLDER"
