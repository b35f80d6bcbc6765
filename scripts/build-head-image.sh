#!/usr/bin/env bash
# The image of the head and of worker machines, built only when what goes into it has changed.
#
#   build-head-image.sh [TAG]            default tag: opeva-backend:latest
#   build-head-image.sh --wheels FOLDER  only fetch the packages into FOLDER, for a build of one's own
#
# Its base is python:3.11-slim where a registry can be reached; else the minimal Debian of scripts/build-image.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
NAME=build-head-image
. scripts/image-steps.sh

LOCK=requirements-runtime.lock
PARTS=(Dockerfile .dockerignore "$LOCK" serve_config.yaml scripts/__init__.py scripts/stack scripts/container workers
  deployments serve_app)

if [ "${1:-}" = --wheels ]; then
  fetch_wheels "$LOCK" "${2:?the folder for the packages}"
  exit 0
fi
TAG=${1:-opeva-backend:latest}
unless_built "$TAG" "${PARTS[@]}"
fetch_wheels "$LOCK" "$RUN/head-wheels"
# The simulation's image has the same base, and its script can make one.
find_base || scripts/build-image.sh
find_base
build "$TAG" "$RUN/head-wheels" --parents "${PARTS[@]}"
