#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs every test there is and ends with one line that counts them all. `make check` calls it.
#
#   tests/check.sh [PART…]     default: build lint unit pam unit-sanitized pam-sanitized fuzz demo system
set -u

cd "$(dirname "$0")/.." || exit 1
log=$(mktemp)
summary=$(mktemp)
trap 'rm -f "$log" "$summary"' EXIT
trap 'exit 130' INT TERM
passed=0
failed=0

# The commands come from `make check`, and MAKEFLAGS with them: WERROR=1 is for each of them.
again() {
    "${MAKE:-make}" --no-print-directory "$@"
}

part() {
    case "$1" in
    build) again -j"$(nproc)" all ;;
    lint) again lint ;;
    unit) again -j"$(nproc)" check-unit ;;
    pam) again -j"$(nproc)" check-pam ;;
    unit-sanitized) again -j"$(nproc)" SANITIZE=address,undefined check-unit ;;
    pam-sanitized) again -j"$(nproc)" SANITIZE=address,undefined check-pam ;;
    fuzz) again -j"$(nproc)" SANITIZE=address,undefined check-fuzz ;;
    demo) DEMO=auto again demo ;;
    system) again check-system ;;
    *) echo "check.sh: no part $1" >&2; return 2 ;;
    esac
}

# How many "passed" or "failed" the part's closing line says, be it our own or pytest's.
counted() {
    sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E '(^|[ =])[0-9]+ (passed|failed|errors?)([ ,]|$)' | tail -n 1 |
        grep -oE "[0-9]+ ($1)" | awk '{ n += $1 } END { print n + 0 }'
}

# A part that counts nothing is one test; one that fails has at least one failure, whatever it says.
run() {
    echo "== $1"
    began=$(date +%s)
    { part "$1" </dev/null; echo $? >"$log.status"; } 2>&1 | tee "$log"
    read -r status <"$log.status"
    rm -f "$log.status"
    good=$(counted passed)
    bad=$(counted 'failed|errors?')
    [ "$status" = 0 ] || [ "$bad" -gt 0 ] || bad=1
    [ "$status" != 0 ] || [ $((good + bad)) -gt 0 ] || good=1
    passed=$((passed + good))
    failed=$((failed + bad))
    printf '%-16s %5d passed %5d failed %5d s\n' "$1" "$good" "$bad" $(($(date +%s) - began)) >>"$summary"
}

tests/setup.sh test || { echo '0 passed, 1 failed'; exit 1; }
[ $# -gt 0 ] || set -- build lint unit pam unit-sanitized pam-sanitized fuzz demo system
for name in "$@"; do
    run "$name"
done
echo
cat "$summary"
echo
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
