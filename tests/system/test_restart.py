# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon dies, hangs or stops at any step of a login: nothing is lost, nothing opens, sessions end on time."""

import json

import chain
import faults
import pexpect
import pytest
from appliance import wait_for
from lockbox import OURS, UNITS
from people import Engineer, Person, grant, requests, show

SHORT = "[Rule]\nAction=require-approval\n[Access]\nDuration=4s\nWarn=1s\n"
LATE_MAX = 5  # seconds: PID 1 begins two seconds after the daemon should have


@pytest.fixture
def bob(box):
    return Person(box, "bob")


def state(box, request):
    return show(box, request)["state"]


def leave_processes(engineer):
    """Two that a hang-up would not end; returns their pids."""
    engineer.run("(nohup setsid sleep 1000 >/dev/null 2>&1 &); (setsid sleep 1001 &)")
    return [int(pid) for pid in engineer.run("pgrep --euid eng sleep").split()]


def alive(box, pids):
    return [pid for pid in pids if box.exists(f"/proc/{pid}")]


def verify_chain(box):
    """The whole log of the test is in the journal; returns the kinds of its events."""
    last = box.status()["events"]
    box.wait_journal(after=box.since, LOCKBOX_SEQ=last, **OURS)
    events = chain.verify(box.events())
    assert len(events) >= last
    return [event["event"] for event in events]


def test_the_verifier_sees_what_is_missing_or_changed(box):
    """Row 34 (gap found)."""
    Engineer(box).request()
    entries = box.events()
    chain.verify(entries)
    with pytest.raises(AssertionError, match="missing"):
        chain.verify(entries[:1] + entries[2:])
    changed = [dict(entry) for entry in entries]
    changed[-1]["LOCKBOX_JSON"] = changed[-1]["LOCKBOX_JSON"].replace("disk", "tape")
    with pytest.raises(AssertionError, match="changed"):
        chain.verify(changed)


# kill -9


def test_killed_at_the_ticket_prompt(box):
    """Row 22: a lost daemon means no."""
    engineer = Engineer(box).connect()
    engineer.terminal.expect_exact("Ticket: ")
    faults.crash(box)
    engineer.terminal.sendline("CASE-1001")
    engineer.answer("Reason: ", "the disk is full")
    engineer.answer("]: ", "")
    assert "log in again" in engineer.read_to_end()
    assert requests(box) == []
    engineer.request()


def test_killed_while_the_engineer_waits(box, bob):
    """Row 22: the login is refused, the request is kept and found again."""
    engineer = Engineer(box)
    request = engineer.request()
    engineer.wait()
    wait_for(lambda: box.status()["waiters"] == 1)
    faults.crash(box)
    assert "your request is kept" in engineer.read_to_end()
    assert state(box, request) == "pending"
    assert engineer.connect().read_request() == request
    engineer.wait()
    bob.approve(request)
    engineer.at_shell()
    verify_chain(box)


def test_killed_right_after_the_approval(box, bob):
    """Row 38: what was acknowledged is on disk."""
    request = grant(box, bob)
    faults.crash(box)
    assert state(box, request) == "active"
    Engineer(box).connect().at_shell()
    assert "approved" in verify_chain(box)


def test_killed_under_an_open_session(box, bob):
    """Row 34, row 40: the session goes on, and ends on time, with what it left running."""
    box.policy(SHORT)
    engineer = Engineer(box)
    request = engineer.enter(bob)
    pids = leave_processes(engineer)
    faults.crash(box)
    assert "5" in engineer.run("echo $((2 + 3))")
    engineer.read_to_end()
    end = json.loads(box.wait_event("ended", LOCKBOX_REQUEST=request)["LOCKBOX_JSON"])
    assert end["killed"] >= 3 and end["left"] == 0
    assert not alive(box, pids)
    kinds = verify_chain(box)
    assert kinds.count("opened") == 1 and kinds.count("ended") == 1


def test_the_deadline_of_pid_1_survives_a_restart_of_the_daemon(box, bob):
    """Row 34: the timer is set anew, not lost."""
    request = Engineer(box).enter(bob)
    faults.crash(box)
    timer = f"lockbox-end-{request}.timer"
    wait_for(lambda: box.run("systemctl", "is-active", timer, check=False).stdout == "active\n", what=timer)


@pytest.mark.parametrize("ending_is_known", [False, True])
def test_killed_while_ending(box, bob, ending_is_known):
    """Row 40: at whatever step of the end it died, the next one finishes it, once."""
    engineer = Engineer(box)
    request = engineer.enter(bob)
    pids = leave_processes(engineer)
    pid = faults.main_pid(box)
    if ending_is_known:
        box.run(f"lockboxctl revoke {request}; kill -KILL {pid}")
    else:
        box.run(f"lockboxctl revoke {request} & kill -KILL {pid}; wait $!; true")
    box.wait_event("started", lambda entry: int(entry["_PID"]) != pid)
    if state(box, request) == "active":  # it died before it heard of it
        bob.revoke(request)
    box.wait_event("revoked", LOCKBOX_REQUEST=request)
    engineer.read_to_end()
    assert not alive(box, pids)
    assert verify_chain(box).count("revoked") == 1


# PID 1's own deadline


def await_end_by_pid_1(box, engineer, request, pids):
    """Returns when the session is over; fails if that takes too long."""
    engineer.terminal.expect(pexpect.EOF, timeout=4 + LATE_MAX)
    wait_for(lambda: not alive(box, pids), timeout=LATE_MAX, what="nothing to be left")
    box.wait_journal(lambda entry: "PID 1's deadline did" in entry["MESSAGE"], after=box.since,
                     _SYSTEMD_UNIT=f"lockbox-end-{request}.service")


def receipt(box, request):
    return json.loads(box.wait_event("ended", LOCKBOX_REQUEST=request)["LOCKBOX_JSON"])


def test_a_hung_daemon_does_not_prolong_an_access(box, bob):
    """Row 34, row 40: PID 1 ends it; the daemon counts that when it is awake again."""
    box.policy(SHORT)
    engineer = Engineer(box)
    request = engineer.enter(bob)
    pids = leave_processes(engineer)
    with faults.hung(box):
        await_end_by_pid_1(box, engineer, request, pids)
    assert receipt(box, request)["killed"] >= 3
    verify_chain(box)


def test_a_dead_daemon_does_not_prolong_an_access(box, bob):
    """Row 34."""
    box.policy(SHORT)
    engineer = Engineer(box)
    request = engineer.enter(bob)
    pids = leave_processes(engineer)
    with faults.dead(box):
        await_end_by_pid_1(box, engineer, request, pids)
    assert receipt(box, request)["killed"] >= 3
    verify_chain(box)


def test_the_scope_of_a_session_has_a_ceiling(box, bob):
    """Row 34: behind the timer there is RuntimeMaxSec, as far as an access may be extended and held: twice MaxDuration=."""
    box.policy(SHORT.replace("4s", "1h"))
    engineer = Engineer(box)
    engineer.enter(bob)
    scope = engineer.run("sed 's|.*/||' /proc/self/cgroup").strip()
    ceiling = box.systemctl("show", "--property=RuntimeMaxUSec", "--value", scope).stdout.strip()
    assert ceiling.startswith(("23h 59min", "1d"))


# Stopped in order


def test_sessions_outlive_a_clean_stop_and_end_on_time(box, bob):
    """Row 40."""
    box.policy(SHORT)
    engineer = Engineer(box)
    request = engineer.enter(bob)
    box.systemctl("stop", *UNITS)
    assert "5" in engineer.run("echo $((2 + 3))")
    box.systemctl("start", *UNITS)
    engineer.read_to_end()
    assert receipt(box, request)["left"] == 0
    assert "stopping" in verify_chain(box)


# Reboot


@pytest.fixture
def rebooting(box):
    """A container has a boot ID of its own, but not inside a service whose /proc/sys is made anew."""
    drop_in = "/etc/systemd/system/lockboxd.service.d/boot-id.conf"
    box.write(drop_in, "[Service]\nProtectKernelTunables=no\n")
    box.systemctl("daemon-reload")
    box.systemctl("restart", "lockboxd.service")
    yield box
    box.run("rm", drop_in)
    box.systemctl("daemon-reload")


@pytest.mark.parametrize("stop", ["reboot", "crash"])
def test_a_reboot_ends_an_access(rebooting, stop):
    """Row 37: OnReboot=end, the default."""
    box = rebooting
    request = grant(box, Person(box))
    reboot(box, stop)
    end = wait_for(lambda: show(box, request).get("end"), what="the end")
    assert end["by"] == "reboot"
    assert "Ticket: " in login_text(box)


def test_a_reboot_takes_nothing_from_and_adds_nothing_to_an_access_that_is_kept(rebooting):
    """Row 37: OnReboot=keep."""
    box = rebooting
    box.policy("[Rule]\nAction=require-approval\n[Access]\nOnReboot=keep\nDuration=1h\n")
    request = grant(box, Person(box))
    before = show(box, request)["not_after"]
    reboot(box, "crash")
    after = show(box, request)
    assert after["state"] == "active"
    assert after["not_after"][:15] == before[:15]
    assert box.run("systemctl", "is-active", f"lockbox-end-{request}.timer").stdout == "active\n"
    Engineer(box).connect().at_shell()


def test_a_pending_request_survives_a_reboot(rebooting):
    """Row 37."""
    box = rebooting
    engineer = Engineer(box)
    request = engineer.request()
    reboot(box, "crash")
    assert state(box, request) == "pending"
    Person(box).approve(request)
    engineer.connect().at_shell()


def reboot(box, how):
    getattr(box, "poweroff" if how == "reboot" else "crash")()
    box.boot()
    box.since = None


def login_text(box):
    terminal = Engineer(box).connect().terminal
    terminal.expect_exact("Ticket: ")
    return terminal.before + terminal.after
