#!/usr/bin/env bash
# The simulation's image, built only when what goes into it has changed.
#
#   build-image.sh [TAG]     default tag: opeva-simulator:latest
#
# Its base is python:3.11-slim where a registry can be reached; else a minimal Debian 12 made by debootstrap (as root) and
# kept as the image opeva-base:bookworm.
set -euo pipefail
cd "$(dirname "$0")/.."
NAME=build-image
. scripts/image-steps.sh

TAG=${1:-opeva-simulator:latest}
PULL_DEADLINE_S=120

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
  rm -rf --one-file-system "$folder"
}

# Sets BASE.
choose_base() {
  find_base && return
  if timeout "$PULL_DEADLINE_S" docker pull -q "$PUBLIC_BASE" >/dev/null 2>&1; then
    BASE=$PUBLIC_BASE
  else
    make_own_base
    BASE=$OWN_BASE
  fi
}

unless_built "$TAG" simulator scripts/build-image.sh scripts/image-steps.sh ! -name '*.in' ! -name '*.md'
fetch_wheels simulator/requirements.lock "$RUN/simulator-wheels"
choose_base
build "$TAG" "$RUN/simulator-wheels" simulator/Dockerfile simulator/requirements.lock simulator/opeva_simulator
# What an earlier build left without a tag, unless a container still runs it.
docker image prune -f --filter "label=$LABEL" >/dev/null || say "the earlier image could not be removed"
