#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs the unit tests that are given, one line for each, and shows the output of those that fail.
#
#   tests/unit/run.sh BINARY…      LIMIT: seconds that each may take (default 120)
set -u

cd "$(dirname "$0")/../.." || exit 1
output=$(mktemp)
trap 'rm -f "$output"' EXIT
trap 'exit 1' INT TERM
passed=0
failed=0

# What a binary says about its tests. One that dies of something else counts as one more failure.
for binary in "$@"; do
    timeout -k 5 "${LIMIT:-120}" "$binary" >"$output" 2>&1 </dev/null
    status=$?
    ok=$(grep -c '^\[       OK \]' "$output")
    bad=$(grep '^\[  FAILED  \] [A-Za-z_]' "$output" | sort -u | wc -l)
    ran=$(sed -n 's/^\[==========\].* \([0-9]*\) test(s) run\.$/\1/p' "$output")
    [ "$status" = 0 ] && [ "${ran:-0}" = "$ok" ] && [ "$ok" -gt 0 ] || [ "$bad" -gt 0 ] || bad=1
    passed=$((passed + ok))
    failed=$((failed + bad))
    if [ "$bad" = 0 ]; then
        printf 'ok    %s (%d)\n' "${binary##*/}" "$ok"
        continue
    fi
    cat "$output"
    [ "$status" = 124 ] && why="no end after ${LIMIT:-120} s" || why="status $status"
    printf 'FAIL  %s (%d passed, %d failed, %s)\n' "${binary##*/}" "$ok" "$bad" "$why"
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
