#!/usr/bin/env bash
# The simulation's image, built only when what goes into it has changed.
#
#   build-image.sh [TAG]     default tag: opeva-simulator:latest
#
# Its base is python:3.11-slim where a registry can be reached; else a minimal Debian 12 made by debootstrap (as root) and
# kept as the image opeva-base:bookworm.
set -euo pipefail
cd "$(dirname "$0")/.."

TAG=${1:-opeva-simulator:latest}
RUN=${OPEVA_RUN_DIR:-.run}
WHEELS=$RUN/simulator-wheels
PUBLIC_BASE=python:3.11-slim
OWN_BASE=opeva-base:bookworm
LABEL=opeva.inputs
PULL_DEADLINE_S=120

say() {
  echo "build-image: $*"
}

fail() {
  echo "build-image: $*" >&2
  exit 1
}

has_image() {
  docker image inspect "$1" >/dev/null 2>&1
}

# Names and contents of all that the image is made of.
inputs_hash() {
  find simulator scripts/build-image.sh -type f ! -path '*/__pycache__/*' ! -name '*.in' ! -name '*.md' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

make_own_base() {
  local folder
  [ "$(id -u)" = 0 ] ||
    fail "$PUBLIC_BASE can't be pulled, and making a base image needs root: run this as root, or bring the image $PUBLIC_BASE."
  scripts/apt.sh debootstrap
  say "making the base image $OWN_BASE with debootstrap (a minute or two)"
  folder=$(mktemp -d "$RUN/base.XXXXXX")
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf --one-file-system '$folder'" EXIT
  PATH=$PATH:/usr/sbin:/sbin debootstrap --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates \
    bookworm "$folder" >"$RUN/debootstrap.log" 2>&1 ||
    fail "debootstrap failed: $(tail -n 1 "$RUN/debootstrap.log") (see $RUN/debootstrap.log)"
  rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/*
  tar -C "$folder" -c . | docker import - "$OWN_BASE" >/dev/null
}

# Sets BASE.
choose_base() {
  if has_image "$PUBLIC_BASE"; then
    BASE=$PUBLIC_BASE
  elif has_image "$OWN_BASE"; then
    BASE=$OWN_BASE
  elif timeout "$PULL_DEADLINE_S" docker pull -q "$PUBLIC_BASE" >/dev/null 2>&1; then
    BASE=$PUBLIC_BASE
  else
    make_own_base
    BASE=$OWN_BASE
  fi
}

# The wheels of the lock, fetched here because containers may have no way out.
fetch_wheels() {
  local stamp
  stamp=$(sha256sum simulator/requirements.lock | cut -d' ' -f1)
  [ "$(cat "$WHEELS/.complete" 2>/dev/null)" = "$stamp" ] && return
  say "fetching the simulation's packages"
  scripts/setup.sh
  rm -rf "$WHEELS"
  mkdir -p "$WHEELS"
  .venv/bin/python -m pip download -qq --disable-pip-version-check --no-input --no-deps --only-binary=:all: \
    --require-hashes -r simulator/requirements.lock -d "$WHEELS" ||
    fail "the packages of simulator/requirements.lock could not be fetched (pip's message is above)."
  echo "$stamp" >"$WHEELS/.complete"
}

build() {
  local context legacy=
  # Without buildx a newer client still asks an engine for it.
  docker buildx version >/dev/null 2>&1 || legacy=0
  context=$(mktemp -d "$RUN/build.XXXXXX")
  mkdir "$context/wheels"
  ln "$WHEELS"/*.whl "$context/wheels/"
  cp -r simulator/Dockerfile simulator/requirements.lock simulator/opeva_simulator "$context/"
  find "$context" -name __pycache__ -prune -exec rm -rf {} +
  say "building $TAG on $BASE"
  DOCKER_BUILDKIT=${legacy:-1} docker build -q --build-arg BASE_IMAGE="$BASE" --label "$LABEL=$INPUTS" -t "$TAG" "$context" \
    >"$RUN/image-build.log" 2>&1 || {
    rm -rf "$context"
    fail "docker build failed: $(tail -n 3 "$RUN/image-build.log" | tr '\n' ' ')"
  }
  rm -rf "$context"
}

timeout 20 docker version >/dev/null 2>&1 || fail "no Docker engine answers: run scripts/engine.sh first."
mkdir -p "$RUN"
# Two callers at once build once.
exec 9>"$RUN/image.lock"
flock -w 1200 9 || fail "another build-image.sh has been at work for 20 minutes."
INPUTS=$(inputs_hash)
if [ "$(docker image inspect -f "{{index .Config.Labels \"$LABEL\"}}" "$TAG" 2>/dev/null)" = "$INPUTS" ]; then
  exit 0
fi
fetch_wheels
choose_base
build
# What an earlier build left without a tag, unless a container still runs it.
docker image prune -f --filter "label=$LABEL" >/dev/null || say "the earlier image could not be removed"
say "built $TAG"
