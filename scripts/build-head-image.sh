#!/usr/bin/env bash
# The image of the head and of worker machines, built only when what goes into it has changed.
#
#   build-head-image.sh [TAG]            default tag: opeva-backend:latest
#   build-head-image.sh --wheels FOLDER  only fetch the packages into FOLDER, for a build of one's own
#
# Its base is python:3.11-slim where a registry can be reached; else the minimal Debian of scripts/build-image.sh. The
# packages are fetched here, since builds may have no way out.
set -euo pipefail
cd "$(dirname "$0")/.."

RUN=${OPEVA_RUN_DIR:-.run}
LOCK=requirements-runtime.lock
WHEELS=$RUN/head-wheels
PUBLIC_BASE=python:3.11-slim
OWN_BASE=opeva-base:bookworm
LABEL=opeva.inputs
PARTS=(Dockerfile .dockerignore "$LOCK" serve_config.yaml scripts/__init__.py scripts/stack scripts/container workers
  deployments serve_app)

say() {
  echo "build-head-image: $*"
}

fail() {
  echo "build-head-image: $*" >&2
  exit 1
}

has_image() {
  docker image inspect "$1" >/dev/null 2>&1
}

# Names and contents of all that the image is made of.
inputs_hash() {
  find "${PARTS[@]}" -type f ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum |
    sha256sum | cut -d' ' -f1
}

fetch_wheels() { # folder
  local stamp
  stamp=$(sha256sum "$LOCK" | cut -d' ' -f1)
  [ "$(cat "$1/.complete" 2>/dev/null)" = "$stamp" ] && return
  say "fetching the packages of $LOCK"
  scripts/setup.sh
  rm -rf "$1"
  mkdir -p "$1"
  .venv/bin/python -m pip download -qq --disable-pip-version-check --no-input --no-deps --only-binary=:all: \
    --require-hashes -r "$LOCK" -d "$1" ||
    fail "the packages of $LOCK could not be fetched (pip's message is above)."
  echo "$stamp" >"$1/.complete"
}

# Sets BASE. The simulation's image has the same base, and its script can make one.
choose_base() {
  has_image "$PUBLIC_BASE" || has_image "$OWN_BASE" || scripts/build-image.sh
  BASE=$OWN_BASE
  if has_image "$PUBLIC_BASE"; then
    BASE=$PUBLIC_BASE
  fi
}

build() {
  local context legacy=
  # Without buildx a newer client still asks an engine for it.
  docker buildx version >/dev/null 2>&1 || legacy=0
  context=$(mktemp -d "$RUN/build.XXXXXX")
  mkdir "$context/wheels"
  ln "$WHEELS"/*.whl "$context/wheels/"
  cp -r --parents "${PARTS[@]}" "$context/"
  say "building $TAG on $BASE"
  DOCKER_BUILDKIT=${legacy:-1} docker build -q --build-arg BASE_IMAGE="$BASE" --label "$LABEL=$INPUTS" -t "$TAG" "$context" \
    >"$RUN/head-image-build.log" 2>&1 || {
    rm -rf "$context"
    fail "docker build failed: $(tail -n 3 "$RUN/head-image-build.log" | tr '\n' ' ')"
  }
  rm -rf "$context"
}

if [ "${1:-}" = --wheels ]; then
  fetch_wheels "${2:?the folder for the packages}"
  exit 0
fi
TAG=${1:-opeva-backend:latest}
timeout 20 docker version >/dev/null 2>&1 || fail "no Docker engine answers: run scripts/engine.sh first."
mkdir -p "$RUN"
# Two callers at once build once.
exec 9>"$RUN/head-image.lock"
flock -w 1800 9 || fail "another build-head-image.sh has been at work for 30 minutes."
INPUTS=$(inputs_hash)
if [ "$(docker image inspect -f "{{index .Config.Labels \"$LABEL\"}}" "$TAG" 2>/dev/null)" = "$INPUTS" ]; then
  exit 0
fi
fetch_wheels "$WHEELS"
choose_base
build
say "built $TAG"
