#!/usr/bin/env bash
# A Docker engine that answers: finds one, or as root on Debian installs docker.io and starts dockerd.
#
#   engine.sh         does nothing if an engine answers
#   engine.sh stop    ends the dockerd that this script started, with its containers; no other
#
# The log, the pid file and the configuration of a dockerd started here lie in OPEVA_RUN_DIR (default .run).
set -euo pipefail
cd "$(dirname "$0")/.."

RUN=${OPEVA_RUN_DIR:-.run}
PID_FILE=$RUN/dockerd.pid
LOG=$RUN/dockerd.log
CONFIG=$RUN/dockerd.json
START_DEADLINE_S=60
STOP_DEADLINE_S=60

say() {
  echo "engine: $*"
}

fail() {
  echo "engine: $*" >&2
  exit 1
}

answers() {
  command -v docker >/dev/null && timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

wait_until_answers() { # seconds, pid of a dockerd without which there is nothing to wait for
  local deadline=$((SECONDS + $1))
  until answers; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    [ -z "${2:-}" ] || kill -0 "$2" 2>/dev/null || return 1
    sleep 0.5
  done
}

# The pid of the dockerd that we started, if it still is that one: pids are reused.
our_dockerd() {
  local pid
  pid=$(cat "$PID_FILE" 2>/dev/null) || return 1
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || return 1
  tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF -- "--pidfile=$(realpath "$PID_FILE")" || return 1
  echo "$pid"
}

missing_packages() {
  PATH=$PATH:/usr/sbin:/sbin
  if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then echo docker.io; fi
  command -v iptables >/dev/null || echo iptables
  command -v ip >/dev/null || echo iproute2
}

install_packages() {
  local packages
  packages=$(missing_packages | tr '\n' ' ')
  [ -n "$packages" ] || return 0
  command -v apt-get >/dev/null || fail "no Docker engine answers and this is no Debian: install Docker, then try again."
  # shellcheck disable=SC2086 # a list of packages
  scripts/apt.sh $packages || fail "no Docker engine answers, and $packages could not be installed."
}

configure() { # live-restore: true or false
  printf '{"live-restore": %s}\n' "$1" >"$CONFIG"
}

start() {
  answers && return
  case "${DOCKER_HOST:-unix:///var/run/docker.sock}" in
    unix:///var/run/docker.sock | unix:///run/docker.sock) ;;
    *) fail "the Docker engine at $DOCKER_HOST (DOCKER_HOST) does not answer." ;;
  esac
  [ "$(id -u)" = 0 ] || fail "no Docker engine answers: start one, or run this as root on Debian, which installs and starts it."
  mkdir -p "$RUN"
  # Two callers at once start one engine.
  exec 9>"$RUN/engine.lock"
  flock -w 600 9 || fail "another engine.sh has been at work for 10 minutes; see $LOG."
  answers && return
  install_packages
  if [ -d /run/systemd/system ] && timeout 60 systemctl start docker 2>/dev/null; then
    wait_until_answers "$START_DEADLINE_S" || fail "systemd started Docker, but it does not answer: see journalctl -u docker."
    say "started by systemd"
    return
  fi
  start_dockerd
}

start_dockerd() {
  # A crash of dockerd must not end the containers, whose jobs go on.
  configure true
  rm -f "$PID_FILE"
  PATH=$PATH:/usr/sbin:/sbin setsid dockerd --pidfile="$(realpath "$PID_FILE")" --config-file="$(realpath "$CONFIG")" \
    </dev/null >>"$LOG" 2>&1 9>&- &
  wait_until_answers "$START_DEADLINE_S" $! || fail "dockerd does not start: $(tail -n 1 "$LOG") (see $LOG)"
  say "dockerd runs with pid $(our_dockerd) (log: $LOG)"
}

stop() {
  local pid deadline
  if ! pid=$(our_dockerd); then
    say "no dockerd of ours runs"
    return
  fi
  # With live-restore a dockerd that ends leaves its containers behind; here they end with it.
  configure false
  kill -HUP "$pid"
  sleep 1
  kill -TERM "$pid"
  deadline=$((SECONDS + STOP_DEADLINE_S))
  while our_dockerd >/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || fail "dockerd (pid $pid) has not ended after $STOP_DEADLINE_S s: see $LOG."
    sleep 0.2
  done
  rm -f "$PID_FILE"
  say "dockerd stopped"
}

case "${1:-start}" in
  start) start ;;
  stop) stop ;;
  *) fail "unknown command '$1': say nothing, or 'stop'." ;;
esac
