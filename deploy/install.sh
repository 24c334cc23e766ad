# Sets up .venv from the lock; sourced by quickstart.sh and test.sh. Quick when nothing changed.
#   bash deploy/install.sh         what SAM needs to run
#   bash deploy/install.sh --dev   also what its tests and checks need
# Needs Python 3.11 or newer, a C/C++ compiler and a package index; neither root nor a network service.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ "${BASH_SOURCE[0]}" != "$0" ] || [ "${1:-}" != --dev ] || WITH_TESTS=yes
RUN_LOCK=deploy/requirements.lock
TEST_LOCK=deploy/development.lock
LOCK=$([ "${WITH_TESTS:-}" = yes ] && echo "$TEST_LOCK" || echo "$RUN_LOCK")
STAMP=.venv/sam-installed
UV_VERSION=0.13.8

say() { printf '%s\n' "$*"; }
fail() { printf 'SAM cannot be set up: %s\n' "$*" >&2; exit 1; }

find_python() {
  local name
  for name in "${SAM_PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    [ -n "$name" ] && command -v "$name" >/dev/null || continue
    "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$name"; return; }
  done
  fail "Python 3.11 or newer is needed; install it or name it in SAM_PYTHON."
}

check_compiler() {
  command -v "${CXX:-c++}" >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null ||
    fail "a C++ compiler is needed to build llama.cpp; install g++ or clang."
}

# uv does not read pip's configuration; a machine whose index is set there must not be asked twice.
# Nor does it trust the system's certificates by itself, as pip does.
borrow_pip_settings() {
  local index
  index=$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)
  index=${PIP_INDEX_URL:-$index}
  [ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
  export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
  [ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"
}

make_environment() {
  [ -x .venv/bin/python ] && .venv/bin/python -c 'import pip' 2>/dev/null && return
  say "Creating .venv with $1."
  "$1" -m venv --clear .venv || fail "'$1 -m venv' failed; on Debian install python3-venv."
}

install_uv() {
  .venv/bin/python -c "import importlib.metadata as m, sys; sys.exit(m.version('uv') != '$UV_VERSION')" \
    2>/dev/null && return
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" ||
    fail "uv $UV_VERSION could not be installed; is the package index reachable?"
}

# llama.cpp is compiled once (about 5 minutes on 2 cores) and kept in uv's cache as a wheel.
install_packages() {
  local log=.venv/install.log started=$SECONDS job
  export CMAKE_ARGS="-DLLAVA_BUILD=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF ${CMAKE_ARGS:-}"
  say "Installing the locked packages; the first time this compiles llama.cpp, about 5 minutes on 2 cores."
  .venv/bin/uv pip sync --python .venv/bin/python --require-hashes --link-mode=copy --compile-bytecode "$LOCK" >"$log" 2>&1 &
  job=$!
  while kill -0 "$job" 2>/dev/null; do
    sleep 1
    (( (SECONDS - started) % 15 == 14 )) && say "  … still working, $((SECONDS - started)) s: $(tail -n 1 "$log")"
  done
  wait "$job" || { tail -n 40 "$log" >&2; fail "the packages could not be installed; see $log."; }
  say "Installed in $((SECONDS - started)) s."
}

# Only the entry points: the `sam` command, and what other packages ask about this one.
install_command() {
  .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable . >>.venv/install.log 2>&1 ||
    fail "the sam command could not be installed; see .venv/install.log."
}

# Engines' processes may write nothing, and a machine may be told to write no bytecode: each start would
# compile everything again.
compile_sam() {
  .venv/bin/python -m compileall -qq deploy engines migrations_app samproject tests worker ||
    say "Bytecode cannot be written here, so programs start more slowly."
}

lock_digest() { .venv/bin/python -c "import hashlib; print(hashlib.sha256(open('$1','rb').read()).hexdigest())"; }

# What the tests need holds all that SAM needs, so it is not taken away again.
is_installed() {
  local stamp
  stamp=$(cat "$STAMP" 2>/dev/null) || return 1
  [ "$stamp" = "$(lock_digest "$LOCK")" ] || [ "$stamp" = "$(lock_digest "$TEST_LOCK")" ]
}

install_sam() {
  local python
  python=$(find_python)
  make_environment "$python"
  compile_sam
  is_installed && return
  check_compiler
  borrow_pip_settings
  install_uv
  install_packages
  install_command
  lock_digest "$LOCK" >"$STAMP"
}

install_sam
export SAM_UV="$PWD/.venv/bin/uv"
