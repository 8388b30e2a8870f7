#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs a command that boots test appliances, so that nothing of it can stay behind.
#
#   tests/system/run.sh pytest [ARGUMENT…]     the system tests
#   tests/system/run.sh demo [ARGUMENT…]       tests/system/demo.py
#   tests/system/run.sh COMMAND [ARGUMENT…]    anything else, such as a bench or a shell
#
# SUITES (default: bookworm trixie for pytest, else bookworm) says which images it needs; they are built first.
#
# The command gets a mount and a pid namespace of its own. Whatever ends it, even SIGKILL to any process here, the
# namespaces go, and with them every appliance and every mount. What a namespace does not hold are cgroup directories:
# those have one parent, which is removed at the end (as is the appliances' disk in build/run), or by the next run where
# this script was killed itself.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
python=/usr/bin/python3 # Debian's has pytest and pexpect; one earlier in PATH may have neither

# The cgroup v2 directory that this process is in, whether v2 is all there is or sits beside v1.
own_cgroup() {
    mount=$(awk '{ for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") { print $5; exit } }' \
        /proc/self/mountinfo)
    [ -n "$mount" ] || { echo "run.sh: no cgroup2 file system is mounted" >&2; exit 1; }
    path=$mount$(sed -n 's/^0:://p' /proc/self/cgroup)
    echo "${path%/}"
}

# Removes what the run of the process $1 has left: the appliances' disks, and its empty cgroups in every hierarchy
# (systemd-nspawn makes the same directories in v1's, where there is one).
clean_up() {
    rm -rf "$top/build/run/$1"
    awk '{ for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) ~ /^cgroup2?$/) print $5 }' /proc/self/mountinfo |
        while read -r mount; do
            find "$mount" -depth -type d \( -name "lockbox-test.$1" -o -path "*/lockbox-test.$1/*" \) \
                -exec rmdir {} + 2>/dev/null || :
        done
}

# Where unshare was killed, the kernel may still be busy ending what was in the namespaces.
await_end() {
    tries=100
    while grep -qsx 'populated 1' "$LOCKBOX_TEST_CGROUP/cgroup.events" && [ $((tries -= 1)) -gt 0 ]; do
        sleep 0.05
    done
}

prepare() {
    [ "$(id -u)" = 0 ] || { echo "run.sh: booting an appliance needs root" >&2; exit 1; }
    "$here/../setup.sh" test
    for suite in $SUITES; do
        "$here/image.sh" "$suite" "$top/build/image-$suite"
    done
}

outside() {
    cgroup=$(own_cgroup)
    for earlier in "$top"/build/run/[0-9]*; do
        [ -d "$earlier" ] || continue
        kill -0 "${earlier##*/}" 2>/dev/null || clean_up "${earlier##*/}"
    done
    LOCKBOX_TEST_CGROUP=$cgroup/lockbox-test.$$
    mkdir "$LOCKBOX_TEST_CGROUP"
    LOCKBOX_TEST_RUN=$top/build/run/$$
    mkdir -p "$LOCKBOX_TEST_RUN"
    export LOCKBOX_TEST_CGROUP LOCKBOX_TEST_RUN

    # As on a machine where nobody has logged in: otherwise everything in an appliance would carry the login of the
    # person who started the tests.
    { echo 4294967295 >/proc/self/loginuid; } 2>/dev/null || :

    # Ctrl-C is for the command; this shell outlives it to clean up. Any other death of this shell takes the rest along.
    trap : INT
    status=0
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc "$0" --inside "$@" || status=$?
    await_end
    clean_up $$
    exit "$status"
}

# Process 1 of the namespaces. It does not become the command: a signal that ends the command must not be ignored, as
# it would be by a process 1.
inside() {
    # systemd-nspawn keeps its locks here; they go with the namespace.
    mount -t tmpfs -o mode=755 tmpfs /run
    cd "$top"
    export PYTHONDONTWRITEBYTECODE=1
    unset NOTIFY_SOCKET INVOCATION_ID XDG_RUNTIME_DIR XDG_SESSION_ID || :
    status=0
    case "$1" in
    pytest) shift; "$python" -m pytest -p no:cacheprovider "$@" || status=$? ;;
    demo) shift; "$python" "$here/demo.py" "$@" || status=$? ;;
    *) "$@" || status=$? ;;
    esac
    exit "$status"
}

case "${1-}" in
'') sed -n '3,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
--inside) shift; inside "$@" ;;
--scope) shift; outside "$@" ;;
pytest) : "${SUITES=bookworm trixie}" ;;
*) : "${SUITES=bookworm}" ;;
esac

export SUITES
prepare
if [ -d /run/systemd/system ]; then
    # Where systemd owns the cgroups, it is asked for a part of the tree that it will leave alone.
    exec systemd-run --quiet --scope --property=Delegate=yes -- "$0" --scope "$@"
fi
outside "$@"
