#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Gives each of the fuzz targets its seeds, and mixtures of them, the same ones every time.
#
#   tests/fuzz/run.sh BINARY…      ROUNDS: mixtures for each (default 4000); LIMIT: seconds that each may take (default 120)
#
# What makes one fail stays beside it: BINARY.last.
set -u

cd "$(dirname "$0")/../.." || exit 1
output=$(mktemp)
trap 'rm -f "$output"' EXIT
trap 'exit 1' INT TERM
passed=0
failed=0

# What is installed as an example is a seed as well.
seeds() {
    case "$1" in
    fuzz_policy) ls policy/examples/*.policy ;;
    fuzz_config) ls packaging/examples/courier.conf ;;
    fuzz_template) ls packaging/mail/* ;;
    esac
    ls tests/fuzz/seeds/"${1#fuzz_}"/* 2>/dev/null
}

# A mail of each kind takes a while.
rounds() {
    case "$1" in
    fuzz_mail) echo $((${ROUNDS:-4000} / 40)) ;;
    *) echo "${ROUNDS:-4000}" ;;
    esac
}

for binary in "$@"; do
    name=${binary##*/}
    # shellcheck disable=SC2046
    if timeout -k 5 "${LIMIT:-120}" "$binary" --last="$binary.last" --rounds="$(rounds "$name")" $(seeds "$name") \
        >"$output" 2>&1 </dev/null; then
        rm -f "$binary.last"
        passed=$((passed + 1))
        echo "ok    $name"
        continue
    fi
    cat "$output"
    failed=$((failed + 1))
    echo "FAIL  $name (see $binary.last)"
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
