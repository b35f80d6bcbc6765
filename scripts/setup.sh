#!/usr/bin/env bash
# The Python environments, made with venv and pip alone; running it again when nothing changed costs nothing.
#
#   setup.sh          .venv: everything in requirements.lock, each file checked by its hash
#   setup.sh worker   .venv-worker: what a worker machine has, ray[default] and docker, in the same versions
#   setup.sh wheel    .venv-wheel: what `pip install .` gives elsewhere, this project's wheel and what it needs
set -euo pipefail
cd "$(dirname "$0")/.."

LOCK=requirements.lock
RUN=${OPEVA_RUN_DIR:-.run}

fail() {
  echo "setup: $*" >&2
  exit 1
}

python311() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "Python 3.11 is needed and was not found: install it (on Debian 12: apt-get install python3 python3-venv), or name it in PYTHON."
}

# Debian splits venv from Python; without python3-venv the module exists and ensurepip does not.
require_venv() { # python
  "$1" -c 'import ensurepip, venv' 2>/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    scripts/apt.sh python3-venv || true
  fi
  "$1" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$1 can't make virtual environments: install its venv module (on Debian 12, as root: apt-get install python3-venv)."
}

make_environment() { # folder
  "$1/bin/python" -m pip --version >/dev/null 2>&1 && return
  local python
  python=$(python311)
  require_venv "$python"
  rm -rf "$1"
  "$python" -m venv "$1"
}

install() { # folder, pip's arguments...
  local folder=$1
  shift
  "$folder/bin/python" -m pip install -qq --no-input --disable-pip-version-check --root-user-action=ignore "$@" ||
    fail "$folder is incomplete: pip could not install its packages (its message is above)."
}

sha256() {
  sha256sum "$@" | sha256sum | cut -d' ' -f1
}

main_environment() {
  local wanted
  wanted=$(sha256 "$LOCK")
  [ "$(cat .venv/.installed 2>/dev/null)" = "$wanted" ] && [ -x .venv/bin/python ] && return
  echo "setup: installing $LOCK into .venv (a few minutes the first time)"
  make_environment .venv
  install .venv --require-hashes -r "$LOCK"
  echo "$wanted" >.venv/.installed
}

# A constraints file may hold neither hashes nor extras.
constraints() { # lock
  sed -nE 's/^([A-Za-z0-9._-]+)(\[[^]]*\])?(==[^ ;\]+).*/\1\3/p' "$1"
}

worker_environment() {
  local wanted
  wanted=$(sha256 "$LOCK" scripts/setup.sh)
  [ "$(cat .venv-worker/.installed 2>/dev/null)" = "$wanted" ] && [ -x .venv-worker/bin/python ] && return
  echo "setup: installing ray[default] and docker into .venv-worker"
  make_environment .venv-worker
  constraints "$LOCK" >.venv-worker/constraints.txt
  install .venv-worker -c .venv-worker/constraints.txt 'ray[default]' docker
  echo "$wanted" >.venv-worker/.installed
}

wheel_environment() {
  local wanted wheels=$RUN/wheel
  wanted=$(git ls-files --cached --others --exclude-standard -z serve_app deployments workers configs serve_config.yaml \
    pyproject.toml requirements-runtime.lock scripts/setup.sh | xargs -0 sha256sum | sha256sum)
  [ "$(cat .venv-wheel/.installed 2>/dev/null)" = "$wanted" ] && [ -x .venv-wheel/bin/python ] && return
  echo "setup: installing this project's wheel and what it needs into .venv-wheel"
  make_environment .venv-wheel
  constraints requirements-runtime.lock >.venv-wheel/constraints.txt
  rm -rf "$wheels"
  # From a copy: setuptools leaves folders where it builds.
  git ls-files --cached --others --exclude-standard -z serve_app deployments workers configs serve_config.yaml \
    pyproject.toml README.md | xargs -0 cp --parents --no-dereference -t "$(mkdir -p "$wheels/source" && echo "$wheels/source")"
  .venv-wheel/bin/python -m pip wheel -qq --no-input --disable-pip-version-check --no-deps -w "$wheels" "$wheels/source" ||
    fail "the wheel could not be built (pip's message is above)."
  install .venv-wheel -c .venv-wheel/constraints.txt --force-reinstall --no-deps "$wheels"/*.whl
  install .venv-wheel -c .venv-wheel/constraints.txt "$wheels"/*.whl
  echo "$wanted" >.venv-wheel/.installed
}

[ -f "$LOCK" ] || fail "$LOCK is missing in $PWD."
# Two callers at once install once.
mkdir -p "$RUN"
exec 9>"$RUN/setup.lock"
flock -w 1200 9 || fail "another setup.sh has been at work for 20 minutes."
case "${1:-main}" in
  main) main_environment ;;
  worker) worker_environment ;;
  wheel) wheel_environment ;;
  *) fail "unknown environment '$1': say nothing, 'worker' or 'wheel'." ;;
esac
