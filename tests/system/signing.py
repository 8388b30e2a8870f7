# SPDX-License-Identifier: LGPL-2.1-or-later
"""The customer's keys, and what he signs with them. `kind` is any of ssh-keygen's, those of security keys too."""

import shutil
import subprocess
from pathlib import Path

SIGNERS = "/etc/lockbox/allowed_signers"
REVOKED = "/etc/lockbox/revoked_signers"
PEOPLE_FILE = "/etc/lockbox/approvers.conf"
KEYS = "/root/consent"

TOP = Path(__file__).resolve().parents[2]
BUILT = TOP / "build/tests/sk_provider.so"
PROVIDER = "/usr/local/lib/lockbox-test-sk.so"  # a security key in software


def security_key(box):
    """Plugs it in; returns what ssh-keygen has to be told, as words for env."""
    if not BUILT.exists():
        subprocess.run(["make", "--silent", "-C", str(TOP), str(BUILT.relative_to(TOP))], check=True)
    if not box.exists(PROVIDER):
        shutil.copy(BUILT, box.root / PROVIDER[1:])
    return f"SSH_SK_PROVIDER={PROVIDER}"


def keygen(box, *arguments, **options):
    return box.run("env", security_key(box), "ssh-keygen", *arguments, **options)


def make_key(box, name, kind="ed25519"):
    """A key of the customer's, which is not on the appliance in life; returns the private key's path."""
    path = f"{KEYS}/{name}"
    box.run("mkdir", "-p", KEYS)
    if not box.exists(path):
        keygen(box, "-q", "-t", kind, "-N", "", "-C", name, "-f", path)
    return path


def trust(box, **options):
    """allowed_signers: for each name the options of its line."""
    lines = [f"{name} {more}{box.read(make_key(box, name) + '.pub')}" for name, more in options.items()]
    box.write(SIGNERS, "".join(lines))


def sign(box, text, key="bob", namespace="lockbox-consent"):
    return keygen(box, "-q", "-Y", "sign", "-n", namespace, "-f", make_key(box, key), input=text).stdout


def one_line(signature):
    """grep -v ^- FILE.sig | tr -d '\\n'"""
    return "".join(line for line in signature.splitlines() if not line.startswith("-"))


def statement(box, request, approver="bob", decision="approve", *options, **keywords):
    words = ["statement", request, "--decision", decision, "--approver", approver, *options]
    return box.ctl(*words, **keywords).stdout


def submit(box, text, signature, user="nobody", **keywords):
    """Handed in by somebody who has no part in it."""
    return box.ctl("submit", input=text + signature, user=user, check=False, **keywords)
