#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs all system tests, in one part more than there are processors side by side, each on machines of its own: a test
# waits more than it works. Ends with one line that counts them all.
#
#   tests/system/all.sh [PYTEST-ARGUMENT…]
#
# `make check-system` calls it, and has installed into build/stage before.
set -u

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit 1
parts=$(($(nproc) + 1))
[ "$parts" -le 4 ] || parts=4
work=$(mktemp -d)
runs=
export LOCKBOX_STAGED=1

# A part that is told to end takes all of its machines along.
finish() {
    # shellcheck disable=SC2086
    kill $runs 2>/dev/null
    wait
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# "FILE PART": the files with the most tests first, each to the part that has the fewest.
/usr/bin/python3 -B -m pytest -p no:cacheprovider --collect-only -q tests/system >"$work/tests" || {
    cat "$work/tests"
    exit 1
}
sed -n 's/::.*//p' "$work/tests" | sort | uniq -c | sort -rn | awk -v parts="$parts" '{
    part = 1
    for (i = 2; i <= parts; i++)
        if (n[i] + 0 < n[part] + 0)
            part = i
    n[part] += $1
    print $2, part
}' >"$work/parts"

part=0
while [ $((part += 1)) -le "$parts" ]; do
    : >"$work/log.$part"
    files=$(awk -v part="$part" '$2 == part { print $1 }' "$work/parts")
    [ -n "$files" ] || continue
    # shellcheck disable=SC2086
    { "$here/run.sh" pytest -q "$@" $files & echo $! >"$work/pid.$part"; wait $!; echo $? >"$work/status.$part"; } \
        >"$work/log.$part" 2>&1 &
    until [ -s "$work/pid.$part" ]; do sleep 0.01; done
    runs="$runs $(cat "$work/pid.$part") $!"
done
tail -q -n +1 -f "$work"/log.* &
tail=$!
for run in $runs; do
    wait "$run" 2>/dev/null
done
kill "$tail"
runs=

# pytest's own closing lines, added up.
grep -hE '^([0-9]+ [a-z]+(, )?)+ in [0-9.]+s' "$work"/log.* | grep -oE '[0-9]+ [a-z]+' | awk '{ n[$2] += $1 } END {
    printf "%d passed, %d failed", n["passed"], n["failed"] + n["error"] + n["errors"]
    if (n["skipped"]) printf ", %d skipped", n["skipped"]
    print ""
}'
! grep -qv '^0$' "$work"/status.*
