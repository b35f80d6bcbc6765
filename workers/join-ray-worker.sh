#!/usr/bin/env bash
# Joins this machine to an installation as a worker: its jobs then run here too. Nothing of the product is needed on the
# machine but this file; Python has `ray[default]` and `docker`, in the head's version of Ray. See --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: join-ray-worker.sh --address HOST[:PORT] [OPTIONS]
       join-ray-worker.sh --leave
       join-ray-worker.sh --status

Joins this machine to an installation as a worker, and stays joined when the head is restarted. The same command again
changes nothing. Each option can be given as the variable in brackets instead.

  --address HOST[:PORT]  Ray's head, port 6379 unless given           [OPEVA_HEAD_ADDRESS]
  --name NAME            what the host is called (this machine's name) [OPEVA_HOST_NAME]
  --tag TAG              a tag such as gpu_node; may be repeated       [OPEVA_HOST_TAGS, comma-separated]
  --shared-root FOLDER   the shared folder (/opt/opeva_shared_data)    [OPEVA_SHARED_ROOT]
  --nfs SERVER:/EXPORT   mount this there first, if nothing is mounted [OPEVA_NFS]
  --nfs-options OPTIONS  how to mount it                               [OPEVA_NFS_OPTIONS]
  --token-file FILE      holds Ray's token, if the head asks for one   [RAY_AUTH_TOKEN_PATH; RAY_AUTH_TOKEN: the token]
  --api URL              the head's API (http://HOST:8000)             [OPEVA_API_URL; OPEVA_API_TOKEN: its token]
  --node-ip ADDRESS      this machine's address (that towards HOST)    [OPEVA_NODE_IP]
  --cpus N, --gpus N     what jobs may use here (all)                  [OPEVA_NUM_CPUS, OPEVA_NUM_GPUS]
  --python FILE          the Python that has ray and docker (python3)  [OPEVA_PYTHON]
  --state-dir FOLDER     pid, log and settings (/var/lib/opeva-worker) [OPEVA_WORKER_DIR]
  --systemd              join as the service opeva-worker, also after a reboot
  --foreground           stay in the foreground until told to end
  --print-unit           only print the service that --systemd would make
  --leave                leave: jobs' containers go on and are found again when the machine is back
  --status               say whether this machine is joined; exit code 0 if it is
  -- OPTIONS             go to `ray start`, such as fixed ports for a firewall
END
}

say() {
  echo "join-ray-worker: $*"
}

fail() {
  echo "join-ray-worker: $*" >&2
  exit 1
}

UNIT=opeva-worker.service
JOIN_DEADLINE_S=300
LEAVE_DEADLINE_S=40
AGAIN_S=5

ADDRESS=${OPEVA_HEAD_ADDRESS:-}
NAME=${OPEVA_HOST_NAME:-$(hostname)}
TAGS=${OPEVA_HOST_TAGS:-}
ROOT=${OPEVA_SHARED_ROOT:-/opt/opeva_shared_data}
NFS=${OPEVA_NFS:-}
# Close-to-open consistency with names that appear soon: the head looks for files that containers here have written.
NFS_OPTIONS=${OPEVA_NFS_OPTIONS:-rw,hard,noatime,lookupcache=positive,acregmax=3,acdirmax=3}
TOKEN_FILE=${RAY_AUTH_TOKEN_PATH:-}
API=${OPEVA_API_URL:-}
NODE_IP=${OPEVA_NODE_IP:-}
CPUS=${OPEVA_NUM_CPUS:-}
GPUS=${OPEVA_NUM_GPUS:-}
PYTHON=${OPEVA_PYTHON:-python3}
STATE=${OPEVA_WORKER_DIR:-/var/lib/opeva-worker}
ACT=background
RAY_OPTIONS=()

parse() {
  local option
  while [ $# -gt 0 ]; do
    option=$1
    shift
    case $option in
      --help | -h) usage && exit 0 ;;
      --systemd | --foreground | --print-unit | --leave | --status | --run) ACT=${option#--} && continue ;;
      --) RAY_OPTIONS=("$@") && return ;;
      --address | --name | --tag | --shared-root | --nfs | --nfs-options | --token-file | --api | --node-ip | --cpus | \
        --gpus | --python | --state-dir) ;;
      *) fail "there is no option $option (--help lists them)." ;;
    esac
    [ $# -gt 0 ] || fail "$option needs a value."
    case $option in
      --address) ADDRESS=$1 ;;
      --name) NAME=$1 ;;
      --tag) TAGS=${TAGS:+$TAGS,}$1 ;;
      --shared-root) ROOT=${1%/} ;;
      --nfs) NFS=$1 ;;
      --nfs-options) NFS_OPTIONS=$1 ;;
      --token-file) TOKEN_FILE=$1 ;;
      --api) API=$1 ;;
      --node-ip) NODE_IP=$1 ;;
      --cpus) CPUS=$1 ;;
      --gpus) GPUS=$1 ;;
      --python) PYTHON=$1 ;;
      --state-dir) STATE=$1 ;;
    esac
    shift
  done
}

# --- what must hold before -------------------------------------------------------------------------------------------

check_words() {
  local tag
  [ -n "$ADDRESS" ] || fail "--address (or OPEVA_HEAD_ADDRESS) must name the head, such as 10.0.0.1:6379."
  [[ $ADDRESS == *:* ]] || ADDRESS=$ADDRESS:6379
  [[ $ADDRESS =~ ^[A-Za-z0-9._-]+:[0-9]+$ ]] || fail "--address must be HOST or HOST:PORT, not '$ADDRESS'."
  [[ $NAME =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*$ ]] ||
    fail "--name may hold letters, digits, '.', '_' and '-', not '$NAME'."
  for tag in ${TAGS//,/ }; do
    [[ $tag =~ ^[A-Za-z_][A-Za-z0-9_-]*$ ]] || fail "--tag may hold letters, digits, '_' and '-', not '$tag'."
    case $tag in CPU | GPU | memory | object_store_memory | opeva_data) fail "--tag $tag is a name of Ray's or ours." ;; esac
  done
  [[ ${CPUS:-0} =~ ^[0-9]+$ ]] || fail "--cpus must be a whole number, not '$CPUS'."
  [[ ${GPUS:-0} =~ ^[0-9]+$ ]] || fail "--gpus must be a whole number, not '$GPUS'."
  [[ $ROOT == /* ]] || fail "--shared-root must be an absolute path, not '$ROOT'."
  [ -n "$API" ] || API=http://${ADDRESS%:*}:8000
}

check_python() {
  local found
  found=$(command -v "$PYTHON") || fail "there is no $PYTHON here: install Python 3.11, or name it with --python."
  PYTHON=$found
  RAY=$(dirname "$PYTHON")/ray
}

# Speak to Ray with a token or, as the head decides, without one: a node that wants one of a head that has none is deaf.
speak() { # token or disabled
  export RAY_AUTH_MODE=$1
  [ "$1" = token ] || return 0
  if [ -n "${RAY_AUTH_TOKEN:-}" ]; then
    # Kept for the time after a reboot.
    TOKEN_FILE=$STATE/token
    (umask 077 && printf '%s' "$RAY_AUTH_TOKEN" >"$TOKEN_FILE")
  fi
  TOKEN_FILE=${TOKEN_FILE:-$HOME/.ray/auth_token}
  [ -r "$TOKEN_FILE" ] ||
    fail "the head at $ADDRESS asks for Ray's token, and $TOKEN_FILE can't be read: bring the head's token, see --token-file."
  export RAY_AUTH_TOKEN_PATH=$TOKEN_FILE
}

# This machine's address: the one that was given, else that of its way to the head, which a reboot may change.
own_address() {
  [ -z "$NODE_IP" ] || { echo "$NODE_IP" && return; }
  "$PYTHON" - "$ADDRESS" <<'END'
import socket
import sys

host, _, port = sys.argv[1].rpartition(":")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    try:
        # Nothing is sent: connecting a datagram socket only chooses the way.
        probe.connect((host, int(port)))
    except OSError as error:
        sys.exit(f"join-ray-worker: there is no way to the head at {sys.argv[1]}: {error.strerror or error}")
    print(probe.getsockname()[0])
END
}

# Asks this Python and the head, in lines: 'own VERSION OF RAY, OF PYTHON', 'head' with its versions, and 'node ADDRESS
# NAME' for each live node. With words to wait for, asks until a node has them, for 10 s.
ask() { # [ADDRESS NAME]
  timeout 60 "$PYTHON" - "$ADDRESS" "$@" 2>/dev/null <<'END'
import platform
import socket
import sys
import time

try:
    import docker
    import ray
    from ray._common.usage.usage_lib import get_cluster_metadata
    from ray._raylet import GcsClient
except ImportError:
    sys.exit("incomplete")

head, wanted = sys.argv[1], sys.argv[2:]
host, _, port = head.rpartition(":")
try:
    # Ray itself would try a port that nobody answers for a long time.
    socket.create_connection((host, int(port)), 10).close()
except OSError:
    print("silent")
    sys.exit()
print("own", ray.__version__, platform.python_version())


def nodes():
    for node in client.get_all_node_info(timeout=15).values():
        if node.state == 0:
            names = [name[len("host:"):] for name in node.resources_total if name.startswith("host:")]
            yield [node.node_manager_address, *names]


deadline = time.monotonic() + 10
try:
    client = GcsClient(address=head)
    versions = get_cluster_metadata(client)
    found = list(nodes())
    while wanted and wanted not in found and time.monotonic() < deadline:
        time.sleep(0.2)
        found = list(nodes())
except Exception as error:
    # Ray has no class of its own for a token that is refused.
    print("unauthenticated" if "auth" in str(error).lower() else "silent")
    sys.exit()
print("head", versions["ray_version"], versions["python_version"])
for node in found:
    print("node", *node)
END
}

check_head() {
  local answer ray python head_ray head_python taken
  speak disabled
  answer=$(ask) || true
  if [[ $answer == *unauthenticated ]]; then
    speak token
    answer=$(ask) || true
  fi
  [ -n "$answer" ] ||
    fail "$PYTHON lacks ray or docker: $PYTHON -m pip install 'ray[default]' docker, in the head's version of Ray."
  read -r ray python <<<"$(sed -n 's/^own //p' <<<"$answer")"
  case $answer in
    *unauthenticated) fail "the head at $ADDRESS refuses the token of $TOKEN_FILE: bring the head's, see --token-file." ;;
    *silent) fail "the head at $ADDRESS does not answer: is Ray up there, and its port open to this machine?" ;;
  esac
  read -r head_ray head_python <<<"$(sed -n 's/^head //p' <<<"$answer")"
  [ "$ray" = "$head_ray" ] ||
    fail "Ray is $ray here and $head_ray on the head: $PYTHON -m pip install 'ray[default]==$head_ray' docker."
  [ "${python%.*}" = "${head_python%.*}" ] ||
    fail "Python is $python here and $head_python on the head: install Python ${head_python%.*} and name it with --python."
  taken=$(sed -n "s/^node \([^ ]*\) $NAME\$/\1/p" <<<"$answer")
  [ -z "$taken" ] || fail "the head has a host $NAME already, at $taken: choose another --name."
}

mount_nfs() {
  [ -n "$NFS" ] || return 0
  mkdir -p "$ROOT"
  mountpoint -q "$ROOT" && return
  [ "$(id -u)" = 0 ] || fail "mounting $NFS needs root."
  command -v mount.nfs >/dev/null || fail "mounting $NFS needs mount.nfs (on Debian: apt-get install nfs-common)."
  timeout 60 mount -t nfs -o "$NFS_OPTIONS" "$NFS" "$ROOT" || fail "$NFS could not be mounted at $ROOT."
  say "mounted $NFS at $ROOT"
  if [ "$ACT" = systemd ] && ! grep -qsF " $ROOT nfs " /etc/fstab; then
    echo "$NFS $ROOT nfs $NFS_OPTIONS,_netdev,nofail 0 0" >>/etc/fstab
    say "added it to /etc/fstab"
  fi
}

# That the folder here is the head's: its installation has an id, which the API tells.
check_folder() {
  local ours theirs
  ours=$(cat "$ROOT/.opeva/cluster_id" 2>/dev/null) ||
    fail "$ROOT is not the shared folder ($ROOT/.opeva/cluster_id can't be read): mount it there, or see --nfs and --shared-root."
  theirs=$(
    "$PYTHON" - "$API" <<'END'
import json
import os
import sys
import urllib.error
import urllib.request

token = os.environ.get("OPEVA_API_TOKEN")
request = urllib.request.Request(
    f"{sys.argv[1]}/health?deep=true", headers={"Authorization": f"Bearer {token}"} if token else {}
)
try:
    answer = urllib.request.urlopen(request, timeout=30)
except urllib.error.HTTPError as error:
    answer = error  # a report of something that is down is a report
except OSError:
    sys.exit()
with answer:
    try:
        print(json.load(answer)["supervisor"]["cluster_id"])
    except (ValueError, KeyError):
        sys.exit()
END
  )
  if [ -z "$theirs" ]; then
    say "$API did not tell its installation (OPEVA_API_TOKEN?): that $ROOT is the same folder is checked by each job"
  elif [ "$theirs" != "$ours" ]; then
    fail "$ROOT is the shared folder of another installation than the one at $API."
  fi
}

docker_answers() {
  timeout 20 "$PYTHON" -c 'import docker; docker.from_env(timeout=10).ping()' 2>/dev/null
}

# --- the node --------------------------------------------------------------------------------------------------------

# Unix sockets lie below, whose paths may have 107 bytes: hence not in the state folder.
temp_dir() {
  echo "/tmp/opeva-worker-$(cksum <<<"$STATE" | cut -d' ' -f1)"
}

SETTINGS=(ADDRESS NAME TAGS ROOT RAY_AUTH_MODE TOKEN_FILE NODE_IP CPUS GPUS PYTHON RAY)

settings() {
  local name
  for name in "${SETTINGS[@]}"; do printf '%s=%q\n' "$name" "${!name:-}"; done
  printf 'DOCKER_HOST=%q\n' "${DOCKER_HOST:-}"
  printf 'RAY_OPTIONS=('
  [ ${#RAY_OPTIONS[@]} = 0 ] || printf '%q ' "${RAY_OPTIONS[@]}"
  printf ')\n'
}

resources() {
  local tag text="\"host:$NAME\": 1"
  for tag in ${TAGS//,/ }; do text+=", \"$tag\": 1"; done
  docker_answers ||
    say "Docker does not answer here: no jobs are sent to this host" >&2
  echo "{$text}"
}

# Processes of our node, found by Ray's folder: in their command lines, or (workers rename themselves) in their output.
node_processes() {
  local folder
  folder=$(temp_dir)
  {
    # The pattern is no argument, so that grep does not find itself.
    grep -lasF -f /dev/stdin /proc/[0-9]*/cmdline <<<"$folder/" || true
    find /proc/[0-9]*/fd/1 -maxdepth 0 -lname "$folder/*" 2>/dev/null || true
  } | cut -d/ -f3 | sort -u
}

end_node() {
  local left deadline=$((SECONDS + LEAVE_DEADLINE_S)) signal=TERM
  while left=$(node_processes) && [ -n "$left" ]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "processes of Ray do not end: $(tr '\n' ' ' <<<"$left")"
    # shellcheck disable=SC2086
    kill -s "$signal" $left 2>/dev/null || true
    sleep 1
    signal=KILL
  done
  rm -rf "$(temp_dir)"
}

# Keep a node of Ray here until TERM: it ends by itself when the head is gone for a minute, and joins again.
run() {
  local node='' ending='' options
  trap 'ending=1; [ -z "$node" ] || kill -TERM "$node" 2>/dev/null || true' TERM INT HUP
  # Ray's memory monitor counts containers but can end only Ray's own workers; code travels between Pythons of one minor
  # version; a busy machine takes its time to start; a node that ends waits for replicas of Serve, which none has here.
  export RAY_memory_monitor_refresh_ms=0 RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL=minor RAY_raylet_start_wait_time_s=120 \
    RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0
  options=(--address "$ADDRESS" --temp-dir "$(temp_dir)/ray" --disable-usage-stats --block)
  [ -z "$CPUS" ] || options+=(--num-cpus "$CPUS")
  [ -z "$GPUS" ] || options+=(--num-gpus "$GPUS")
  [ ${#RAY_OPTIONS[@]} = 0 ] || options+=("${RAY_OPTIONS[@]}")
  while [ -z "$ending" ]; do
    end_node
    "$RAY" start "${options[@]}" --node-ip-address "$(own_address)" --resources "$(resources)" &
    node=$!
    wait "$node" || true
    # A signal interrupts the first wait; Ray then takes a moment to end.
    wait "$node" 2>/dev/null || true
    [ -n "$ending" ] || { say "Ray has ended here; joining again in $AGAIN_S s" && sleep "$AGAIN_S" & wait $! || true; }
  done
  end_node
  say "left"
}

# The pid of the background process, if it still is that one: pids are reused.
our_pid() {
  local pid
  pid=$(cat "$STATE/pid" 2>/dev/null) || return 1
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "--run --state-dir $STATE" || return 1
  echo "$pid"
}

unit() {
  cat <<END
[Unit]
Description=OPEVA worker: a node of Ray that runs simulations
Wants=network-online.target
After=network-online.target docker.service
RequiresMountsFor=$ROOT

[Service]
ExecStart=/bin/bash $STATE/join-ray-worker.sh --run --state-dir $STATE
Restart=always
RestartSec=$AGAIN_S
TimeoutStopSec=$((LEAVE_DEADLINE_S + 20))
# Ray keeps many connections and files open; the usual soft limit is 1024.
LimitNOFILE=65536
# Only the script itself is signalled: it ends Ray in good order. Containers are not its children.
KillMode=mixed

[Install]
WantedBy=multi-user.target
END
}

# --- what is asked for -----------------------------------------------------------------------------------------------

joined() {
  [ -f "$STATE/settings" ] || return 1
  if [ -f "$STATE/systemd" ]; then systemctl is-active -q "$UNIT"; else our_pid >/dev/null; fi
}

last_words() {
  { tail -n 5 "$STATE/log" || journalctl -u "$UNIT" -n 5 -o cat; } 2>/dev/null | tr '\n' ' '
}

wait_until_listed() {
  local deadline=$((SECONDS + JOIN_DEADLINE_S)) address
  address=$(own_address)
  speak "$(sed -n 's/^RAY_AUTH_MODE=//p' "$STATE/settings")"
  until ask "$address" "$NAME" | grep -qxF "node $address $NAME"; do
    joined || fail "Ray did not start: $(last_words)"
    [ "$SECONDS" -lt "$deadline" ] || fail "the head does not list this machine after $JOIN_DEADLINE_S s: $(last_words)"
  done
}

# What is asked for, without what is worked out.
request() {
  echo "$ADDRESS $NAME $TAGS $ROOT $CPUS $GPUS $PYTHON $NODE_IP ${RAY_OPTIONS[*]-}"
}

join() {
  check_words
  check_python
  mkdir -p "$STATE" 2>/dev/null || fail "$STATE can't be made: run this as root, or choose another --state-dir."
  STATE=$(realpath "$STATE")
  REQUEST=$(request)
  if joined; then
    [ "$REQUEST" = "$(cat "$STATE/request")" ] ||
      fail "this machine is joined already, to $(sed -n 's/^ADDRESS=//p' "$STATE/settings") and with other settings: --leave first."
    wait_until_listed
    say "this machine is joined to $ADDRESS as $NAME already"
    return
  fi
  end_node
  check_head
  mount_nfs
  check_folder
  echo "$REQUEST" >"$STATE/request"
  (umask 077 && settings >"$STATE/settings")
  if [ "$ACT" = foreground ]; then
    run
    return
  fi
  cp "$0" "$STATE/join-ray-worker.sh"
  if [ "$ACT" = systemd ]; then
    touch "$STATE/systemd"
    unit >"/etc/systemd/system/$UNIT"
    systemctl daemon-reload
    systemctl enable -q --now "$UNIT"
  else
    setsid bash "$STATE/join-ray-worker.sh" --run --state-dir "$STATE" </dev/null >"$STATE/log" 2>&1 &
    echo $! >"$STATE/pid"
    # Until the new process has become the script, it is not recognised.
    sleep 1
  fi
  wait_until_listed
  say "this machine is joined to $ADDRESS as $NAME ($(own_address))"
}

leave() {
  local pid deadline=$((SECONDS + LEAVE_DEADLINE_S))
  if [ -f "$STATE/systemd" ]; then
    systemctl disable -q --now "$UNIT"
    rm -f "/etc/systemd/system/$UNIT"
    systemctl daemon-reload
  elif pid=$(our_pid); then
    kill -TERM "$pid"
    while our_pid >/dev/null; do
      [ "$SECONDS" -lt "$deadline" ] || { kill -KILL "$pid" 2>/dev/null || true; break; }
      sleep 0.5
    done
  elif [ ! -f "$STATE/settings" ]; then
    say "this machine is not joined"
    return
  fi
  end_node
  rm -f "$STATE/settings" "$STATE/request" "$STATE/pid" "$STATE/systemd" "$STATE/token" "$STATE/join-ray-worker.sh"
  say "this machine has left"
}

parse "$@"
case $ACT in
  background | foreground) join ;;
  systemd)
    if [ ! -d /run/systemd/system ] || [ "$(id -u)" != 0 ]; then fail "--systemd needs root on a machine that runs systemd."; fi
    join
    ;;
  print-unit) unit ;;
  leave) leave ;;
  status)
    joined || { say "this machine is not joined" && exit 1; }
    say "this machine is joined to $(sed -n 's/^ADDRESS=//p' "$STATE/settings") as $(sed -n 's/^NAME=//p' "$STATE/settings")"
    ;;
  run)
    # shellcheck disable=SC1091
    . "$STATE/settings"
    if [ -n "$DOCKER_HOST" ]; then export DOCKER_HOST; else unset DOCKER_HOST; fi
    speak "$RAY_AUTH_MODE"
    run
    ;;
esac
