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

# Sets BASE.
choose_base() {
  find_base && return
  if timeout "$PULL_DEADLINE_S" docker pull -q "$PUBLIC_BASE" >/dev/null 2>&1; then
    BASE=$PUBLIC_BASE
  else
    [ "$(id -u)" = 0 ] ||
      fail "$PUBLIC_BASE can't be pulled, and making a base image needs root: run this as root, or bring the image $PUBLIC_BASE."
    make_debian "$OWN_BASE" python3,python3-pip,python3-venv,ca-certificates
    BASE=$OWN_BASE
  fi
}

unless_built "$TAG" simulator scripts/build-image.sh scripts/image-steps.sh ! -name '*.in' ! -name '*.md'
fetch_wheels simulator/requirements.lock "$RUN/simulator-wheels"
choose_base
build "$TAG" "$RUN/simulator-wheels" simulator/Dockerfile simulator/requirements.lock simulator/opeva_simulator
# What an earlier build left without a tag, unless a container still runs it.
docker image prune -f --filter "label=$LABEL" >/dev/null || say "the earlier image could not be removed"
