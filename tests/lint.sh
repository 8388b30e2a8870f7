#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Checks what the compiler does not: which room includes which, what the module exports and needs, man pages, scripts.
#
#   tests/lint.sh
#
# Says nothing of what is in order. cppcheck, mandoc and jsonschema are used where they are installed.
set -u

cd "$(dirname "$0")/.." || exit 1
: "${BUILD=build}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Remembers each line of standard input as a mistake: "what: line".
complain() {
    WHAT="$1" awk '{ print ENVIRON["WHAT"] ": " $0 }' | tee -a "$work/wrong"
}

# --- includes: arrows point inwards -----------------------------------------------------------------------------------

# "file:line:header" of what the given files include; ours as written, the system's in <>.
includes() {
    grep -HnE '^ *# *include' "$@" | sed -nE 's/^([^:]*:[0-9]+): *# *include *"([^"]*)".*/\1:\2/p
                                              s/^([^:]*:[0-9]+): *# *include *(<[^>]*>).*/\1:\2/p'
}

# only WHO ERE FILE…: of our own headers WHO includes only what the pattern matches.
only() {
    who=$1 allowed=$2
    shift 2
    includes "$@" | grep -v ':<' | grep -vE ":($allowed)\$" | complain "$who must not include this"
}

# never WHO ERE FILE…: of the system's headers WHO includes none that the pattern matches.
never() {
    who=$1 forbidden=$2
    shift 2
    includes "$@" | grep -E ":<($forbidden)" | complain "$who must not include this"
}

pure='systemd/|sqlite3|curl/|syslog|jansson|security/|sys/socket|sys/un|sys/ioctl|fcntl|poll|pthread|signal|pwd|grp'
only policy 'policy/.*' policy/*.[ch]
never policy "$pure" policy/*.[ch]

only proto '(policy|lockboxd/proto)/.*' lockboxd/proto/*.[ch]
never proto 'systemd/|sqlite3|curl/|syslog|security/|openssl/' lockboxd/proto/*.[ch]

only pam_lockbox '(pam_lockbox|policy|lockboxd/proto)/.*' pam_lockbox/*.[ch]
never pam_lockbox 'systemd/|sqlite3|curl/|openssl/|pthread|signal' pam_lockbox/*.[ch]

only ctl '(policy|lockboxd/proto|lockboxd/ctl)/.*|lockboxd/(policy_files|people|peek|verify|entries|fold|store|pasted|qr)\.h' lockboxd/ctl/*.[ch]
# shellcheck disable=SC2046
never ctl 'systemd/|sqlite3|curl/|security/' $(ls lockboxd/ctl/*.[ch] | grep -v '/reader\.c$')

inspect='(policy|lockboxd/proto|lockboxd/inspect)/.*'
only inspect "$inspect|lockboxd/chain\.h" lockboxd/inspect/*.[ch]
only doctor "$inspect|lockboxd/ctl/table\.h|lockboxd/(policy_files|people|read_text)\.h" lockboxd/inspect/doctor/*.[ch]
never inspect 'systemd/|sqlite3|curl/|security/' lockboxd/inspect/*.[ch] lockboxd/inspect/doctor/*.[ch]

courier='(policy|lockboxd/proto|lockboxd/courier)/.*|lockboxd/(caller|chain|child|clock|log|pace|read_text|sql)\.h'
only courier "$courier" lockboxd/courier/*.[ch]
only 'what the courier plans' '(policy|lockboxd/courier)/.*' lockboxd/courier/plan.[ch] lockboxd/courier/retry.[ch]
never 'what the courier plans' 'systemd/|sqlite3|time\.h|sys/random' lockboxd/courier/plan.[ch] lockboxd/courier/retry.[ch]
only 'how it stands with a target' '(policy|lockboxd/courier)/.*|lockboxd/(clock|log)\.h' lockboxd/courier/target.[ch]
never 'how it stands with a target' 'systemd/|sqlite3|curl/|sys/random' lockboxd/courier/target.[ch]
only 'what sets a handle up' 'policy/.*|lockboxd/courier/(handle|config)\.h' lockboxd/courier/handle.[ch]
never 'what sets a handle up' 'systemd/|sqlite3' lockboxd/courier/handle.[ch]

# What asks the system or acts on it knows nothing of its peers; the journal reads the log with a handle of its own.
for room in store journal systemd footprint freezer reaper sessions terminals people keygen signer signers scripts output report qr \
    pasted; do
    [ -e "lockboxd/$room.c" ] || continue
    more=
    case $room in
    store) more='|sql|fold|peek' ;; # the shapes in which a verifier takes what is there
    journal) more='|store' ;;
    freezer) more='|footprint' ;;
    signers) more='|signer' ;;
    signer) more='|keygen' ;;
    keygen) more='|child' ;;
    reaper) more='|footprint|freezer' ;;
    esac
    only "$room" "(policy|lockboxd/proto)/.*|lockboxd/($room|chain|proc|clock|log$more)\\.h" "lockboxd/$room".[ch]
done
only 'the ground floor' '(policy|lockboxd/proto)/.*|lockboxd/(caller|chain|child|proc|clock|log|peer|answer|policy_files|read_text|sql)\.h' \
    lockboxd/read_text.[ch] lockboxd/chain.[ch] lockboxd/proc.[ch] lockboxd/clock.[ch] lockboxd/log.[ch] lockboxd/peer.[ch] \
    lockboxd/answer.[ch] lockboxd/policy_files.[ch] lockboxd/caller.[ch] lockboxd/child.[ch] lockboxd/sql.[ch]

# What verifies a copy of the log does no I/O but to read the stream that it is given.
only 'the verifier' '(policy|lockboxd/proto)/.*|lockboxd/(chain|peek|verify|entries|fold)\.h' \
    lockboxd/peek.[ch] lockboxd/verify.[ch] lockboxd/entries.[ch] lockboxd/fold.[ch]

# The gate and its logic are called by the server, never the other way round.
for room in gate recover resend effects reaped thaw login launch decide rights behind consent paste notary countersign; do
    includes lockboxd/$room.[ch] 2>/dev/null | grep -E ':lockboxd/(server|verbs(_access)?|daemon|config|ctl/.*)\.h$' |
        complain "$room must not include this"
done

# A library has one home.
home() {
    includes policy/*.[ch] pam_lockbox/*.[ch] lockboxd/*.[ch] lockboxd/*/*.[ch] lockboxd/*/*/*.[ch] | grep -E ":<?$1" | grep -vE "^($2):" |
        complain "$1 belongs to $2"
}
home sqlite3 'lockboxd/sql\.h'
home 'lockboxd/sql\.h' 'lockboxd/(sql|store|courier/outbox)\.c'
home openssl/ 'lockboxd/chain\.c|lockboxd/output\.c|policy/identity\.c|lockboxd/inspect/keys\.c|lockboxd/courier/standard\.c'
home systemd/sd-journal 'lockboxd/journal\.c|lockboxd/ctl/reader\.c'
home systemd/sd-bus 'lockboxd/systemd\.c'
home qrencode 'lockboxd/qr\.c'
home curl/ 'lockboxd/courier/.*'

# --- text -------------------------------------------------------------------------------------------------------------

sources="$(ls policy/*.[ch] pam_lockbox/*.[ch] lockboxd/*.[ch] lockboxd/*/*.[ch] lockboxd/*/*/*.[ch] tests/*/*.[ch])"
scripts="$(grep -lE '^#! */bin/(ba)?sh' tests/*.sh tests/*/*.sh .ci/* packaging/*/* 2>/dev/null)"
pythons="$(ls tests/*/*.py packaging/remote/approval-service)"
# shellcheck disable=SC2086
{
    for f in $sources $scripts $pythons; do
        head -n 3 "$f" | grep -q 'SPDX-License-Identifier: LGPL-2.1-or-later' || echo "$f"
    done | complain 'no licence line'
    grep -HnP '\t|[ \t]+$' $sources | cut -c1-100 | complain 'tab or trailing blank'
    grep -HnP '(*UTF8)^.{121,}' $sources | cut -d: -f1,2 | complain 'longer than 120 columns'
    grep -HnE '\<(system|popen|strcat|sprintf|gets|alloca|strtok|mktemp|tmpnam)\(' $(echo "$sources" | grep -v ^tests/) |
        complain 'nobody uses this safely'
}

for f in $scripts; do
    sh -n "$f" 2>&1 | complain 'shell'
done
# shellcheck disable=SC2086
${PYTHON:-/usr/bin/python3} -c 'import ast, sys
for name in sys.argv[1:]:
    try:
        ast.parse(open(name).read(), name)
    except SyntaxError as e:
        print(f"{name}:{e.lineno}: {e.msg}")' $pythons | complain python

if command -v mandoc >/dev/null; then
    mandoc -T lint -W warning packaging/man/*.[1-8] 2>&1 | sed 's/^mandoc: //' | complain man
fi

if ${PYTHON:-/usr/bin/python3} -c 'import jsonschema, yaml' 2>/dev/null; then
    ${PYTHON:-/usr/bin/python3} -B tests/system/openapi.py packaging/remote/openapi.yaml 2>&1 | complain interface
fi

# --- static checks ----------------------------------------------------------------------------------------------------

# Off: what cppcheck does not see through (references that are handed over, cleanup attributes), or warns of where it
# cannot happen.
if command -v cppcheck >/dev/null; then
    printf '#define %s for (%s = 0, %s = 0;;)\n' 'json_array_foreach(a, i, v)' i v 'json_object_foreach(o, k, v)' k v \
        >"$work/macros.h"
    cppcheck -q -j2 --std=c11 --enable=warning,performance,portability --inline-suppr -I. --include="$work/macros.h" \
        -D_GNU_SOURCE -DLB_VERSION='"0"' -DLB_LIBEXECDIR='"/"' -DLB_SBINDIR='"/"' -DLB_BINDIR='"/"' \
        --suppress=missingIncludeSystem --suppress=memleak --suppress=nullPointer:lockboxd/people.c \
        --suppress=nullPointerRedundantCheck:lockboxd/sessions.c --suppress=legacyUninitvar:pam_lockbox/gated.c \
        --template='{file}:{line}: {severity}: {message} [{id}]' --template-location=' ' \
        policy lockboxd pam_lockbox 2>&1 | grep -v '^ *$' | complain cppcheck
fi

# --- the module -------------------------------------------------------------------------------------------------------

# Who loads it gets six names (or fewer) and three libraries, nothing that could clash with a host program's own.
module=$BUILD/pam_lockbox.so
if ${MAKE:-make} -s BUILD="$BUILD" "$module" >&2; then
    wanted='pam_sm_acct_mgmt pam_sm_authenticate pam_sm_close_session pam_sm_open_session pam_sm_setcred'
    exported=$(nm -D --defined-only "$module" | awk '{ print $NF }' | sort | xargs)
    [ "$exported" = "$wanted" ] || echo "$module: $exported" | complain 'exports'
    needed=$(readelf -d "$module" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort | xargs)
    [ "$needed" = 'libc.so.6 libjansson.so.4 libpam.so.0' ] || echo "$module: $needed" | complain 'needs'
    readelf -lW "$module" | grep -q 'GNU_STACK.*RWE' && echo "$module" | complain 'executable stack'
    readelf -d "$module" | grep -q TEXTREL && echo "$module" | complain 'text relocations'
else
    echo "$module" | complain 'cannot be built'
fi

[ ! -s "$work/wrong" ]
