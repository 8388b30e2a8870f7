# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ways in which the daemon can be out of order. Each is a context: broken inside, whole again behind it."""

import contextlib

from lockbox import POLICY, STATE, UNITS

LOGIN_SOCKET = "/run/lockbox/login.socket"
DATABASE = f"{STATE}/lockbox.db"


def main_pid(box, unit="lockboxd.service"):
    return int(box.systemctl("show", "--property=MainPID", "--value", unit).stdout)


def crash(box):
    """kill -9; systemd starts it again. Returns when the new one is up and has read the log."""
    old = main_pid(box)
    box.run("kill", "-KILL", old)
    box.wait_event("started", lambda entry: int(entry["_PID"]) != old)
    box.systemctl("start", "lockboxd.service")


@contextlib.contextmanager
def stopped(box):
    """Stopped, its sockets too."""
    box.systemctl("stop", *UNITS)
    try:
        yield
    finally:
        box.systemctl("start", *UNITS)


@contextlib.contextmanager
def dead(box):
    """Killed and not started again, while its sockets listen on."""
    box.systemctl("mask", "--runtime", "lockboxd.service")
    box.run("kill", "-KILL", main_pid(box))
    try:
        yield
    finally:
        box.systemctl("unmask", "--runtime", "lockboxd.service")
        box.systemctl("stop", *UNITS)
        box.systemctl("reset-failed")
        box.systemctl("start", *UNITS)


@contextlib.contextmanager
def hung(box, unit="lockboxd.service"):
    pid = main_pid(box, unit)
    box.run("kill", "-STOP", pid)
    try:
        yield
    finally:
        box.run("kill", "-CONT", pid, check=False)  # the watchdog may have been there first


@contextlib.contextmanager
def damaged_log(box):
    """Garbage over the database's first pages."""
    box.systemctl("stop", "lockboxd.service")
    box.run(f"cp {DATABASE} {DATABASE}.whole; rm -f {DATABASE}-wal {DATABASE}-shm")
    box.run(f"dd if=/dev/zero bs=1024 count=8 conv=notrunc of={DATABASE} status=none")
    box.systemctl("start", "lockboxd.service")
    try:
        yield
    finally:
        box.systemctl("stop", "lockboxd.service")
        box.run(f"rm -f {DATABASE}-wal {DATABASE}-shm; mv {DATABASE}.whole {DATABASE}")
        box.systemctl("start", "lockboxd.service")


@contextlib.contextmanager
def no_policy(box):
    """Started with a policy that makes no sense, so that there is no last good one."""
    path = f"{POLICY}/50-broken.policy"
    box.write(path, "[Rule]\nActoin=permit\n")
    box.systemctl("restart", "lockboxd.service")
    try:
        yield
    finally:
        box.run("rm", path)
        box.systemctl("reload", "lockboxd.service")
        box.wait_event("policy-loaded")


@contextlib.contextmanager
def no_state(box):
    """A state directory that cannot be written: a read-only mount over it."""
    box.systemctl("stop", "lockboxd.service")
    box.run(f"mount -t tmpfs -o ro,mode=0700 tmpfs {STATE}")
    box.systemctl("start", "lockboxd.service")
    try:
        yield
    finally:
        box.systemctl("stop", "lockboxd.service")
        box.run(f"umount {STATE}")
        box.systemctl("start", "lockboxd.service")


FAULTS = [stopped, dead, hung, damaged_log, no_policy, no_state]
