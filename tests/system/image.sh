#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Builds the test appliance's root file system and keeps it unpacked.
#
#   tests/system/image.sh bookworm|trixie DIRECTORY
#
# Rebuilt only when this script has changed. Needs root and mmdebstrap.
set -eu

[ $# = 2 ] || { echo "usage: image.sh bookworm|trixie DIRECTORY" >&2; exit 2; }
suite=$1
dir=$2

packages='systemd systemd-sysv dbus libpam-systemd openssh-server openssh-client sudo rsync tmux cron at login passwd
    pkexec polkitd util-linux procps iproute2 netcat-openbsd libjansson4 libsqlite3-0 libsystemd0 libeconf0
    libqrencode4 systemd-journal-remote nginx-light opensmtpd openssl ca-certificates curl jq python3 nftables'
case "$suite" in
bookworm) packages="$packages libssl3 libcurl4" ;;
trixie) packages="$packages libssl3t64 libcurl4t64" ;;
*) echo "image.sh: unknown suite $suite" >&2; exit 2 ;;
esac

stamp=$(sha256sum <"$0")
stamp="$suite ${stamp%% *}"
[ "$(cat "$dir.stamp" 2>/dev/null)" != "$stamp" ] || [ ! -d "$dir" ] || exit 0

[ "$(id -u)" = 0 ] || { echo "image.sh: building $dir needs root" >&2; exit 1; }

mkdir -p "$(dirname "$dir")"
log=$dir.log

# Two callers at once: the second one waits, and then finds the work done.
exec 9>"$dir.lock"
flock 9
[ "$(cat "$dir.stamp" 2>/dev/null)" != "$stamp" ] || [ ! -d "$dir" ] || exit 0

echo "Building the $suite appliance in $dir (about half a minute)"

# The mirror is the one this machine uses, and so are its proxy and its trust in old indexes.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '/\/debian\/?$/ { print; exit }') || :
mirror=${mirror:-http://deb.debian.org/debian}
aptopts=$(mktemp)
trap 'rm -f "$aptopts"' EXIT
apt-config dump | grep -E '^Acquire::(http|https|Check|Retries|ForceIP)' >"$aptopts" || :

# In namespaces of its own, so that an interrupted build leaves no mount and no process.
rm -rf "$dir.tmp"
if ! setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc \
    mmdebstrap --quiet --mode=root --format=directory --variant=apt \
    --include="$(echo $packages | tr ' ' ',')" \
    --aptopt="$aptopts" \
    --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='echo appliance >"$1/etc/hostname"' \
    --customize-hook='printf "127.0.0.1 localhost appliance\n::1 localhost\n" >"$1/etc/hosts"' \
    --customize-hook='echo LANG=C.UTF-8 >"$1/etc/default/locale"' \
    --customize-hook='rm -f "$1/etc/machine-id"; chroot "$1" systemd-machine-id-setup' \
    --customize-hook='chroot "$1" systemctl mask console-getty.service getty.target systemd-firstboot.service' \
    --customize-hook='rm -f "$1"/etc/systemd/system/timers.target.wants/*' \
    --customize-hook='chroot "$1" systemctl disable nginx.service opensmtpd.service nftables.service' \
    "$suite" "$dir.tmp" "$mirror" >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    echo "image.sh: building the $suite appliance failed; the whole log is $log" >&2
    exit 1
fi

rm -rf "$dir" "$dir.stamp"
mv "$dir.tmp" "$dir"
echo "$stamp" >"$dir.stamp"
