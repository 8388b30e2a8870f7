# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every event reaches the journal, under its own number, whatever happens to journald, the daemon or the machine."""

import contextlib
import shutil

import faults
import pytest
from appliance import wait_for
from people import Engineer, Person, grant, show
from test_audit import export_journal, verify
from test_faults import journal_stuck
from test_restart import alive, leave_processes, rebooting, verify_chain  # noqa: F401  (rebooting is a fixture)

ENDED_MAX = 2000  # ms from the word to the last process's end, on a busy machine
JOURNALD = ["systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket"]
KEPT = "var/log/journal"


@pytest.fixture
def bob(box):
    return Person(box)


def seqs(box):
    return [int(entry["LOCKBOX_SEQ"]) for entry in box.events()]


def test_the_daemon_dies_before_it_could_send(box, bob):
    """Row 47: committed and not sent when it is killed; sent by the next one, and the access is over on time."""
    engineer = Engineer(box)
    request = engineer.enter(bob)
    pids = leave_processes(engineer)
    with contextlib.ExitStack() as behind:
        with journal_stuck(box):
            bob.revoke(request)
            wait_for(lambda: not alive(box, pids), what="nothing to be left")
            wait_for(lambda: show(box, request)["state"] == "revoked")
            assert show(box, request)["end"]["ms"] < ENDED_MAX
            last = box.status()["events"]
            behind.enter_context(faults.dead(box))
        assert max(seqs(box)) < last
    assert verify_chain(box).count("revoked") == 1


def test_the_journal_is_killed_and_away(box, bob):
    """Row 47: killed with a signal; and away with its socket, which sd_journal_sendv takes for success."""
    request = grant(box, bob)
    box.systemctl("kill", "--signal=KILL", JOURNALD[0])
    bob.ctl("ask", request, "who are you?")
    box.systemctl("stop", *JOURNALD)
    box.run("rm", "/run/systemd/journal/socket")
    box.ctl("revoke", request)
    assert show(box, request)["state"] == "revoked"
    box.systemctl("start", *reversed(JOURNALD))
    assert verify_chain(box).count("revoked") == 1


# What a customer may have set, and what the unit would be without its own word on it.
LIMIT = "[Journal]\nRateLimitIntervalSec=1h\nRateLimitBurst=1\n"
LIMITED = "[Service]\nLogRateLimitIntervalSec=1h\nLogRateLimitBurst=1\n"
MANY = 40  # journald allows a few times the burst, by the room on its disk


@contextlib.contextmanager
def drop_in(box, path, text, unit):
    box.write(path, text)
    box.systemctl("daemon-reload")
    box.systemctl("restart", unit)
    try:
        yield
    finally:
        box.run("rm", path)
        box.systemctl("daemon-reload")
        box.systemctl("restart", unit)


def say_much(box, request):
    """Many events at once."""
    box.client.ssh_run("bob", f"for i in $(seq {MANY}); do lockboxctl ask {request} \"$i\"; done", key="bob")


def test_no_event_is_dropped_for_being_one_of_many(box, bob):
    """journald tells nobody what its rate limit drops: the unit is exempt from it, and without that events are lost."""
    request = grant(box, bob)
    with drop_in(box, "/etc/systemd/journald.conf.d/limit.conf", LIMIT, JOURNALD[0]):
        say_much(box, request)
        verify_chain(box)
        with drop_in(box, "/etc/systemd/system/lockboxd.service.d/limit.conf", LIMITED, "lockboxd.service"):
            say_much(box, request)
            wait_for(lambda: box.status()["journal_behind"] == 0)  # as if it had them
            assert max(seqs(box)) < box.status()["events"]


def test_what_went_down_with_the_machine_is_sent_again(rebooting, bob):  # noqa: F811
    """The plug is pulled before journald has written its last minutes to the disk."""
    box = rebooting
    box.run(f"mkdir -p /{KEPT}; journalctl --flush")
    request = grant(box, bob)
    box.run(f"journalctl --sync; cp -a /{KEPT} /root/written")
    bob.revoke(request)
    box.wait_event("revoked", LOCKBOX_REQUEST=request)
    bob.ctl("list")
    wait_for(lambda: box.status()["journal_behind"] == 0)
    last = box.status()["events"]
    box.crash()
    shutil.rmtree(box.root / KEPT)
    (box.root / "root/written").rename(box.root / KEPT)
    box.boot()
    wait_for(lambda: box.status()["journal_behind"] == 0)
    said = verify(box, "--journal", export_journal(box))
    assert said["whole"] and said["last"]["seq"] > last
