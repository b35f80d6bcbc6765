#!/usr/bin/env bash
# Install the Debian packages named that are not installed yet: scripts/apt.sh PACKAGE...
# Silent and without the network when nothing is missing.
set -euo pipefail

missing=()
for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "These packages are needed, install them as root: ${missing[*]}" >&2; exit 1; }
    root=(sudo)
fi

# A package must not start its service while it is being installed: what runs here is started by our own scripts.
apt() {
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 timeout 900 \
        apt-get -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -qq -y "$@" </dev/null
}

echo "Installing ${missing[*]}" >&2
apt update >/dev/null
apt install --no-install-recommends "${missing[@]}" >/dev/null
