# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a gated login meets while something is wrong: a refusal with a reason, in time; what was agreed still holds."""

import contextlib
import errno
import socket
import time

import faults
import pytest
from lockbox import POLICY, STATE, UNITS, password
from people import Engineer, Person, grant, requests, show
from test_restart import verify_chain

ANSWER_MAX = 15  # seconds: the five that the module waits for an answer, on a busy machine


@pytest.fixture
def bob(box):
    return Person(box)


# The daemon is out of order

SAID = {
    faults.stopped: "cannot be reached",
    faults.dead: "The gatekeeper",
    faults.hung: "does not answer",
    faults.damaged_log: "cannot record",
    faults.no_policy: "policy",
    faults.no_state: "cannot record",
}


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.__name__)
def test_a_gated_login_is_refused_with_a_reason_and_in_time(box, fault):
    """Row 39, row 34: and nothing that was acknowledged before is lost."""
    request = Engineer(box).request()
    with fault(box):
        start = time.monotonic()
        text = Engineer(box).connect().read_to_end()
        assert time.monotonic() - start < ANSWER_MAX
        assert SAID[fault] in " ".join(text.split())
        refusals = box.journal(after=box.since, SYSLOG_IDENTIFIER="sshd")
        assert any("pam_lockbox(sshd:account): eng: refused" in entry["MESSAGE"] for entry in refusals)
    assert [r["id"] for r in requests(box)] == [request]
    assert Engineer(box).connect().read_request() == request


def test_a_socket_of_another_user_is_not_asked(box):
    """Row 24."""
    with faults.stopped(box):
        box.run("install", "-d", "-o", "dora", "/run/impostor")
        box.run("systemd-run", "--quiet", "--unit=impostor", "--uid=dora", "nc", "-lkU", "/run/impostor/socket")
        box.run(f"until test -S /run/impostor/socket; do :; done; mv /run/impostor/socket {faults.LOGIN_SOCKET}")
        text = Engineer(box).connect().read_to_end()
        box.systemctl("stop", "impostor.service")
        box.run("rm", faults.LOGIN_SOCKET)
    assert "cannot be reached" in text
    assert any("another user listens" in e["MESSAGE"] for e in box.journal(after=box.since, SYSLOG_IDENTIFIER="sshd"))


HOSTILE = {
    "SSH_AUTH_INFO_0": "publickey ssh-ed25519 AAAA",
    "LOCKBOX_REQUEST": "0000-0000",
    "LOCKBOX_SOCKET": "/run/impostor",
    "LD_PRELOAD": "/run/impostor.so",
    "NSS_WRAPPER_GROUP": "/dev/null",
    "HOSTALIASES": "/dev/null",
    "SQLITE_TMPDIR": "/proc",
    "TZ": "Pacific/Kiritimati",
    "TMPDIR": "/proc",
}


def test_a_hostile_environment_changes_no_verdict(box, bob):
    """Row 25: su of an engineer to somebody who is not gated is the gate's business, whatever he sets."""
    engineer = Engineer(box)
    engineer.enter(bob)
    words = " ".join(f"{name}='{value}'" for name, value in HOSTILE.items())
    for prefix in ["", f"env {words}"]:
        output = engineer.run(f"echo {password('dora')} | {prefix} su dora --command 'id --user --name'")
        assert "dora" not in output.split()
    assert all(request["scope"] == "login" for request in requests(box))


# What an administrator gets wrong

DENY = "[Rule]\nAction=deny\nDescription=Nobody this week\n"
BROKEN = "[Rule]\nAction=permit\n[Acess]\nDuration=1h\n"


def test_a_broken_policy_is_refused_as_a_whole_and_the_last_good_one_stays(box):
    """Row 32."""
    box.policy(DENY)
    refusal = box.policy(BROKEN, event="policy-refused")
    assert "50-test.policy:3" in refusal["MESSAGE"]
    check = box.ctl("policy", "check", check=False)
    assert check.returncode == 1
    assert f"{POLICY}/50-test.policy:3" in check.stdout + check.stderr
    assert "Nobody this week" in Engineer(box).connect().read_to_end()


# The disk


@contextlib.contextmanager
def small_disk(box):
    """The state directory on a file system of its own, which can be filled; yields a function that does so."""
    box.systemctl("stop", *UNITS)
    box.since = box.journal_mark()  # the log begins anew
    box.run(f"mount -t tmpfs -o size=16m,mode=0700 tmpfs {STATE}")
    box.systemctl("start", *UNITS)
    try:
        yield lambda: box.run(f"dd if=/dev/zero of={STATE}/fill bs=4096 status=none", check=False)
    finally:
        box.systemctl("stop", *UNITS)
        box.run(f"umount {STATE}")
        box.systemctl("start", *UNITS)


def test_a_full_disk_refuses_logins_and_still_ends_an_access(box, bob):
    """Row 39: refused with a reason; a revoke works and is recorded; all is well again when there is room."""
    with small_disk(box) as fill:
        engineer = Engineer(box)
        request = engineer.enter(bob)
        fill()
        refused = Engineer(box, "eng2").connect()
        refused.ask()
        assert "cannot record" in refused.read_to_end()
        assert "No space left" in box.status()["problem"]
        bob.revoke(request)
        engineer.read_to_end()
        box.wait_event("revoked", LOCKBOX_REQUEST=request)
        assert show(box, request)["state"] == "revoked"
        box.run("rm", f"{STATE}/fill")
        Engineer(box, "eng2").request()
        verify_chain(box)


def test_an_access_ends_on_a_disk_without_room_for_a_word(box, bob):
    """Row 39: even with the reserve gone it ends at once, and is recorded as soon as there is room, in order."""
    with small_disk(box) as fill:
        engineer = Engineer(box)
        request = engineer.enter(bob)
        box.run("rm", f"{STATE}/reserve")
        fill()
        bob.ctl("revoke", request, check=False)
        engineer.read_to_end()
        busy = cpu_ticks(box)
        bob.ctl("list")  # a login, which takes a while
        assert box.status()["sessions"] == 0
        assert cpu_ticks(box) - busy < 10
        box.run("rm", f"{STATE}/fill")
        box.wait_event("revoked", LOCKBOX_REQUEST=request)
        kinds = verify_chain(box)
        assert kinds.index("stopped") < kinds.index("revoked")


def cpu_ticks(box):
    fields = box.read(f"/proc/{faults.main_pid(box)}/stat").rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


# journald


@contextlib.contextmanager
def journal_stuck(box):
    """journald is stopped, and there is no room left in its socket: whoever sends to it now waits."""
    with faults.hung(box, "systemd-journald.service"), contextlib.ExitStack() as senders:
        while fill(senders.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)), box):
            pass
        yield


def fill(sender, box):
    """Sends until no more is taken, of this sender or of anyone; returns how much was."""
    for sent in range(100000):
        try:
            sender.sendto(b"MESSAGE=noise\n", f"/proc/{box.leader}/root/run/systemd/journal/socket")
        except OSError as error:
            assert error.errno == errno.EAGAIN
            return sent
    raise AssertionError("the journal's socket has no end")


def test_a_revoke_does_not_wait_for_the_journal(box, bob):
    """Row 47: and afterwards the journal has everything, once, in order."""
    engineer = Engineer(box)
    request = engineer.enter(bob)
    with journal_stuck(box):
        bob.revoke(request)
        engineer.read_to_end()
        assert show(box, request)["state"] == "revoked"
    box.wait_event("revoked", LOCKBOX_REQUEST=request)
    verify_chain(box)


def test_an_access_expires_on_time_without_the_journal(box, bob):
    """Row 47."""
    box.policy("[Rule]\nAction=require-approval\n[Access]\nDuration=3s\nWarn=1s\n")
    engineer = Engineer(box)
    request = engineer.enter(bob)
    with journal_stuck(box):
        engineer.read_to_end()
        assert show(box, request)["end"]["reason"] == "time-over"
    box.wait_event("ended", LOCKBOX_REQUEST=request)
    verify_chain(box)


def test_a_restart_of_the_journal_loses_nothing(box, bob):
    """Row 47."""
    request = grant(box, bob)
    box.systemctl("restart", "systemd-journald.service")
    bob.revoke(request)
    box.systemctl("restart", "systemd-journald.service")
    box.wait_event("revoked", LOCKBOX_REQUEST=request)
    verify_chain(box)
