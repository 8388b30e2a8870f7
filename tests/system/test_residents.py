# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who is in without an access is found: alarmed about, and killed where the settings say so. Rows 34 and 40."""

import pytest
from appliance import wait_for
from lockbox import PAM_SETUP
from people import BATCH, Engineer, Person

SETTINGS = "/etc/lockbox/lockboxd.conf.d/50-test.conf"


@pytest.fixture
def past_the_gate(box):
    """eng2, logged in while sshd had no gate."""
    box.run(PAM_SETUP, "remove", "sshd")
    engineer = Engineer(box, "eng2", **BATCH).connect()
    engineer.at_shell()
    box.run(PAM_SETUP, "add", "sshd")
    return engineer


@pytest.fixture
def killing(box):
    box.write(SETTINGS, "[Sessions]\nUnaccounted=kill\n")
    box.systemctl("reload", "lockboxd.service")
    yield
    box.run("rm", SETTINGS)


def alarms(box):
    return [(entry["LOCKBOX_ACCOUNT"], entry["MESSAGE"]) for entry in box.events(LOCKBOX_EVENT="unaccounted")]


def processes_of(box, account):
    return box.run("pgrep", "-u", account, check=False).stdout.split()


def test_alarm(box, past_the_gate):
    """A session without an access is told of once, at alert priority; one with an access never, nor what it runs."""
    engineer = Engineer(box)
    engineer.enter(Person(box))
    engineer.run("systemd-run --user --quiet sleep 1000; (nohup setsid sleep 1000 >/dev/null 2>&1 &)")
    alarm = box.wait_event("unaccounted")
    assert (alarm["LOCKBOX_ACCOUNT"], alarm["PRIORITY"]) == ("eng2", "1")
    past_the_gate.run("true")  # it is only told of
    box.run("systemd-run", "--quiet", "--uid=eng2", "sleep", "1000")
    box.wait_event("unaccounted", lambda entry: "system service" in entry["MESSAGE"])
    assert {account for account, _ in alarms(box)} == {"eng2"}
    sessions = [message for _, message in alarms(box) if "in session" in message]
    assert len(sessions) == len(set(sessions))


def test_kill(box, killing, past_the_gate):
    """With Unaccounted=kill nothing of it is left, whatever its manager runs; and the event says how many that were."""
    past_the_gate.run("systemd-run --user --quiet sleep 1000")
    alarm = box.wait_event("unaccounted")
    assert "killed, 0 left" in alarm["MESSAGE"]
    past_the_gate.read_to_end()
    wait_for(lambda: not processes_of(box, "eng2"), what="nothing of eng2's being left")


def test_kill_spares(box, killing):
    """Neither a service that runs as the account nor an administrator's session goes for one process in it."""
    box.run("systemd-run", "--quiet", "--unit=vendor", "--uid=eng2", "sleep", "1000")
    admin = Person(box, "admin").log_in()
    admin.sendline("sudo -S setpriv --reuid=eng2 --clear-groups sleep 1000; echo its status: $?")
    admin.sendline("admin-secret")
    box.wait_event("unaccounted", lambda entry: "killed, 0 left" in entry["MESSAGE"])
    admin.expect("its status: 137")
    box.wait_event("unaccounted", lambda entry: "system service" in entry["MESSAGE"])
    assert box.systemctl("is-active", "vendor.service").stdout.strip() == "active"
