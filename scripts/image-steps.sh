# shellcheck shell=bash
# Steps that the scripts which build images share. They source this file from the project's folder, with NAME set to what
# their messages begin with.

RUN=${OPEVA_RUN_DIR:-.run}
PUBLIC_BASE=python:3.11-slim
OWN_BASE=opeva-base:bookworm
# On each image: a hash of what it was made of.
LABEL=opeva.inputs

say() {
  echo "$NAME: $*"
}

fail() {
  echo "$NAME: $*" >&2
  exit 1
}

# Sets BASE to the base image that is here already, or fails.
find_base() {
  for BASE in "$PUBLIC_BASE" "$OWN_BASE"; do
    docker image inspect "$BASE" >/dev/null 2>&1 && return
  done
  return 1
}

# Makes an image of a minimal Debian 12 with some packages; as root.
make_debian() { # image packages
  local folder
  scripts/apt.sh debootstrap
  say "making the image $1 with debootstrap (a minute or two)"
  mkdir -p "$RUN"
  folder=$(mktemp -d "$RUN/debian.XXXXXX")
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf --one-file-system '$folder'" EXIT
  PATH=$PATH:/usr/sbin:/sbin debootstrap --variant=minbase --include="$2" bookworm "$folder" \
    >"$RUN/debootstrap.log" 2>&1 ||
    fail "debootstrap failed: $(tail -n 1 "$RUN/debootstrap.log") (see $RUN/debootstrap.log)"
  rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/*
  tar -C "$folder" -c . | docker import - "$1" >/dev/null
  rm -rf --one-file-system "$folder"
}

# Waits for the engine and for others that build the same, and ends the script if the image is there already.
# Sets INPUTS; the arguments are the image, and what `find` is given to list the files that it is made of.
unless_built() {
  local image=$1
  shift
  timeout 20 docker version >/dev/null 2>&1 || fail "no Docker engine answers: run scripts/engine.sh first."
  mkdir -p "$RUN"
  exec 9>"$RUN/$NAME.lock"
  flock -w 1800 9 || fail "another $NAME.sh has been at work for 30 minutes."
  INPUTS=$(find "$@" -type f ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum |
    cut -d' ' -f1)
  if [ "$(docker image inspect -f "{{index .Config.Labels \"$LABEL\"}}" "$image" 2>/dev/null)" = "$INPUTS" ]; then
    exit 0
  fi
}

# The wheels of a lock file, in a folder: fetched here because containers may have no way out.
fetch_wheels() { # lock folder
  local stamp
  stamp=$(sha256sum "$1" | cut -d' ' -f1)
  [ "$(cat "$2/.complete" 2>/dev/null)" = "$stamp" ] && return
  say "fetching the packages of $1"
  scripts/setup.sh
  rm -rf "$2"
  mkdir -p "$2"
  .venv/bin/python -m pip download -qq --disable-pip-version-check --no-input --no-deps --only-binary=:all: \
    --require-hashes -r "$1" -d "$2" ||
    fail "the packages of $1 could not be fetched (pip's message is above)."
  echo "$stamp" >"$2/.complete"
}

# Builds an image on BASE from wheels, which the Dockerfile finds in `wheels`, and the files that `cp` is given.
build() { # image wheels cp-arguments...
  local image=$1 wheels=$2 context legacy=
  shift 2
  # Without buildx a newer client still asks an engine for it.
  docker buildx version >/dev/null 2>&1 || legacy=0
  context=$(mktemp -d "$RUN/build.XXXXXX")
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$context'" EXIT
  mkdir "$context/wheels"
  ln "$wheels"/*.whl "$context/wheels/"
  cp -r "$@" "$context/"
  find "$context" -name __pycache__ -prune -exec rm -rf {} +
  say "building $image on $BASE"
  DOCKER_BUILDKIT=${legacy:-1} docker build -q --build-arg BASE_IMAGE="$BASE" --label "$LABEL=$INPUTS" -t "$image" \
    "$context" >"$RUN/$NAME.log" 2>&1 ||
    fail "docker build failed: $(tail -n 3 "$RUN/$NAME.log" | tr '\n' ' ')"
  say "built $image"
}
