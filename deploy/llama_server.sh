#!/usr/bin/env bash
# Builds llama-server for the runtime llama_server, from the source package that the engine in .venv was compiled from.
#   bash deploy/llama_server.sh [FILE]     by default .venv/llama-server; takes minutes
# CMAKE_ARGS goes to cmake: -DGGML_CUDA=ON where there are an NVIDIA card and its compiler.
set -euo pipefail
PLACE=$(realpath -m "${1:-$(dirname "${BASH_SOURCE[0]}")/../.venv/llama-server}")
set --
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"
CMAKE_VERSION=4.4.5
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/sam-llama-server-XXXXXX")
trap 'rm -rf "$SCRATCH"' EXIT

# As it is locked, by its hash, and as source.
fetch_source() {
  sed -n '/^llama-cpp-python==/,/[^\\]$/p' "$RUN_LOCK" >"$SCRATCH/lock"
  .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --require-hashes \
    --dest "$SCRATCH" --requirement "$SCRATCH/lock" >"$LOG" 2>&1 || stop "the source package could not be fetched"
  tar -xzf "$SCRATCH"/llama_cpp_python-*.tar.gz -C "$SCRATCH" --strip-components 1
}

run_cmake() {
  if command -v cmake >/dev/null; then cmake "$@"; else .venv/bin/uv tool run "cmake@$CMAKE_VERSION" "$@"; fi
}

# Nothing is fetched while it is built: neither its pages nor TLS, as SAM alone talks to it, over a socket.
build() {
  # shellcheck disable=SC2086 # several arguments
  run_cmake -S "$SCRATCH/vendor/llama.cpp" -B "$SCRATCH/build" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
    -DLLAMA_OPENSSL=OFF ${CMAKE_ARGS:-} >>"$LOG" 2>&1 &&
    run_cmake --build "$SCRATCH/build" --target llama-server --parallel "$(nproc)" >>"$LOG" 2>&1
}

stop() {
  tail -n 20 "$LOG" >&2
  fail "$1; the whole is in $LOG."
}

LOG=$PWD/.venv/llama-server.log
check_compiler
borrow_pip_settings
install_uv
say "Fetching the source of llama.cpp."
fetch_source
say "Building llama-server, about 10 minutes on 2 cores."
build || stop "llama-server could not be built"
install -D "$SCRATCH/build/bin/llama-server" "$PLACE"
say "Built $PLACE. Name it to SAM's workers: SAM_LLAMA_SERVER=$PLACE"
