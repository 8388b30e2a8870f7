#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes sure that what a build or a test needs is installed.
#
#   tests/setup.sh build    compiler and libraries
#   tests/setup.sh test     the same, and what boots the test appliance
#
# One dpkg-query when everything is there; apt is asked only for what is missing.
set -eu

build='build-essential pkg-config libpam0g-dev libjansson-dev libsystemd-dev libsqlite3-dev libssl-dev
    libcurl4-openssl-dev libqrencode-dev libcmocka-dev'
test='mmdebstrap systemd-container python3-pytest python3-pytest-xdist python3-pexpect python3-botocore python3-yaml
    python3-jsonschema openssh-client util-linux mount procps debian-archive-keyring libzbar0'

case "${1-}" in
build) wanted=$build ;;
test) wanted="$build $test" ;;
*) echo "usage: tests/setup.sh build|test" >&2; exit 2 ;;
esac

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "apt is not the package manager here. Needed are these (names as in Debian):" >&2
    printf '  %s\n' $wanted >&2
    exit 1
fi

# dpkg-query fails for a name that it has never heard of; such a one is missing like any other.
present=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^.i  *//p') || :
missing=
for package in $wanted; do
    case "
$present
" in *"
$package
"*) ;; *) missing="$missing $package" ;; esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "Packages are missing. Install them with: sudo apt-get install$missing" >&2
    exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Quiet unless it fails, and patient with another apt that holds the lock.
apt() {
    if ! DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 "$@" >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        echo "apt-get $1 failed. Needed are:$missing" >&2
        exit 1
    fi
}

echo "Reading the package lists"
apt update
echo "Installing:$missing"
apt install -y --no-install-recommends $missing
