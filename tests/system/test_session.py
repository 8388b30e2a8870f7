# SPDX-License-Identifier: LGPL-2.1-or-later
"""An access from within: what hides from its end, what is told before, who ends it, and the receipt."""

import re

import pytest
from appliance import wait_for
from people import BATCH, Engineer, Person, grant, requests, show

RULE = "[Rule]\nAction=require-approval\n"

SLEEPERS = ["pgrep", "-f", "7001"]


def sleepers(box):
    return box.run(*SLEEPERS, check=False).stdout.split()


def test_the_runtime_directory_goes_too(box):
    """PID 1's own helper below the account's slice is spared, and so clears away what lay in /run/user (row 6)."""
    eng, bob = Engineer(box), Person(box)
    request = eng.enter(bob)
    directory = eng.run("touch $XDG_RUNTIME_DIR/left; echo $XDG_RUNTIME_DIR").strip()
    assert box.exists(f"{directory}/left")
    bob.revoke(request)
    wait_for(lambda: not box.exists(directory), what=f"the end of {directory}")
    assert "user-runtime-dir" not in box.systemctl("--failed").stdout


def test_a_child_left_behind_by_a_logout(box):
    """He logs out and leaves a child: logind calls the session "closing"; the end of the access ends it (row 7)."""
    eng, bob = Engineer(box), Person(box)
    request = eng.enter(bob)
    eng.run("nohup setsid sleep 7001 >/dev/null 2>&1 & true")
    eng.terminal.sendline("exit")
    eng.read_to_end()
    box.wait_event("closed", LOCKBOX_REQUEST=request)
    assert sleepers(box)
    bob.revoke(request)
    assert sleepers(box) == []
    assert show(box, request)["end"]["killed"] >= 1


def test_the_time_is_over(box):
    """The engineer is warned on his terminal, then everything in his session ends by the clock."""
    box.policy(RULE + "[Access]\nWarn=2s\n")
    eng, bob = Engineer(box), Person(box)
    request = eng.request("CASE-1", "why", "3s")
    eng.wait()
    bob.approve(request)
    eng.at_shell()
    eng.terminal.expect(f"your access {request} to eng ends in 2s; everything in this session ends then")
    eng.read_to_end()
    box.wait_event("ended", LOCKBOX_REQUEST=request)
    end = show(box, request)["end"]
    assert (end["reason"], end["by"], end["left"]) == ("time-over", "clock", 0)
    assert end["killed"] >= 2
    eng.connect().answer("Ticket: ", "CASE-2")


def test_done_by_the_engineer(box):
    """`lockboxctl done` in the session needs no ID: it is handed back, and the session ends with it."""
    eng = Engineer(box)
    request = eng.enter(Person(box))
    eng.terminal.sendline("lockboxctl done")
    eng.read_to_end()
    box.wait_event("completed", LOCKBOX_REQUEST=request)
    shown = show(box, request)
    assert shown["state"] == "completed"
    assert shown["end"]["reason"] == "handed-back"
    assert shown["end"]["by"] == box.client.fingerprint("alice")


def test_an_approved_access_is_revoked_before_it_begins(box):
    """Starts=login: approved but not used yet, it can be stopped, and then lets nobody in."""
    box.policy(RULE + "[Access]\nStarts=login\n")
    bob = Person(box)
    request = grant(box, bob)
    assert show(box, request)["state"] == "approved"
    bob.revoke(request)
    assert show(box, request)["state"] == "revoked"
    Engineer(box).connect().answer("Ticket: ", "CASE-2")


def test_the_clock_starts_at_first_use(box):
    """Starts=login: the access begins with the first login; unused it lapses by UseBy=."""
    box.policy(RULE + "[Access]\nStarts=login\nUseBy=2s\n")
    bob = Person(box)
    request = grant(box, bob)
    Engineer(box).connect().at_shell()
    assert show(box, request)["state"] == "active"
    unused = grant(box, bob, account="eng2")
    box.wait_event("lapsed", LOCKBOX_REQUEST=unused)
    assert "There is no approved request" in Engineer(box, "eng2", **BATCH).connect("id").read_to_end()


# Stops a login of eng's between account and session, until somebody writes into the other pipe.
HALT = """#!/bin/sh
[ "$PAM_USER" = eng ] || exit 0
echo here >/run/halt.here
read word </run/halt.go
"""


@pytest.fixture
def halted(box):
    box.write("/usr/local/sbin/halt-login", HALT, mode=0o755)
    box.run("mkfifo /run/halt.here /run/halt.go; cp /etc/pam.d/sshd /root/sshd.pam")
    box.run("sed -i '/^session.*pam_lockbox/i session optional pam_exec.so /usr/local/sbin/halt-login' /etc/pam.d/sshd")
    yield box
    box.run("cp /root/sshd.pam /etc/pam.d/sshd; rm -f /run/halt.here /run/halt.go")


def test_revoked_on_the_way_in(halted):
    """Account said yes, and before the session opens the access is revoked: it does not open, and ssh ends (row 18)."""
    request = grant(halted, Person(halted, "carol"))
    eng = Engineer(halted, **BATCH).connect("echo i'n'side")
    assert halted.run("cat /run/halt.here").stdout == "here\n"
    halted.ctl("revoke", request)
    halted.wait_event("revoked", LOCKBOX_REQUEST=request)
    halted.run("echo go >/run/halt.go")
    assert "inside" not in eng.read_to_end()
    halted.wait_event("refused", LOCKBOX_ACCOUNT="eng")
    assert "sessions" not in show(halted, request)


def test_two_sessions_of_one_access_end_together(box):
    """An access covers any number of sessions; all end with it, and each is in the list until then."""
    eng, bob = Engineer(box), Person(box)
    request = eng.enter(bob)
    second = Engineer(box).connect()
    second.at_shell()
    assert len(show(box, request)["sessions"]) == 2
    assert bob.ctl("sessions").stdout.count(request) == 2
    bob.revoke(request)
    eng.read_to_end()
    second.read_to_end()
    assert all("closed_at" in session for session in show(box, request)["sessions"])


def test_another_engineers_session_lives_on(box):
    """Two share an account: the end of one access takes that engineer's processes, not the other's."""
    box.policy(RULE + "[Access]\nExclusive=no\n")
    alice, albert, bob = Engineer(box, key="alice"), Engineer(box, key="albert"), Person(box)
    request = alice.enter(bob)
    albert.enter(bob)
    bob.revoke(request)
    alice.read_to_end()
    assert albert.run("echo still here") == "still here\r\n"


def test_console_login(box):
    """login(1) on a console is gated by the same conversation, after the password; the end hangs it up."""
    bob = Person(box)
    console = box.console_login()
    console.sendline("eng")
    console.expect("Password: ")
    console.sendline("eng-secret")
    eng = Engineer(box)
    eng.terminal = console
    eng.ask("CASE-1001")
    request = eng.read_request()
    eng.wait()
    bob.approve(request)
    eng.at_shell()
    shown = show(box, request)
    assert (shown["service"], shown["engineer"], shown["tty"]) == ("login", "unproven", f"/dev/{console.tty}")
    bob.revoke(request)
    assert show(box, request)["end"]["left"] == 0
    console.expect("login: ")


def test_console_login_is_refused(box):
    """A denial ends the login at the console: the next one is asked for, and no session was opened."""
    console = box.console_login()
    console.sendline("eng")
    console.expect("Password: ")
    console.sendline("eng-secret")
    eng = Engineer(box)
    eng.terminal = console
    eng.ask("CASE-1001")
    request = eng.read_request()
    Person(box).deny(request)
    eng.wait()
    console.expect("login: ")
    assert "sessions" not in show(box, request)


def test_an_approver_is_told(box):
    """An approver who is logged in sees a new request on his terminal, with what to type."""
    terminal = Person(box).log_in()
    request = Engineer(box).request("CASE-1", "the disk is full", "2h")
    who = re.escape(box.client.fingerprint("alice"))
    terminal.expect(f"\a.*{who} asks for access to eng@appliance for 2h, ticket CASE-1: the disk is full")
    terminal.expect_exact(f"lockboxctl show {request}")


def test_others_are_not_told(box):
    """Whoever may not decide is not told: an administrator's terminal stays quiet."""
    terminal = Person(box, "admin").log_in()
    Engineer(box).request()
    terminal.sendline("echo e'n'd")
    terminal.expect("\r\nend")
    assert "asks for access" not in terminal.before


def test_list_follow_rings(box):
    """`list --follow` draws the table again with each change, and rings for a new request."""
    terminal = Person(box).log_in()
    terminal.sendline("lockboxctl list --follow")
    terminal.expect("No such requests are open")
    request = Engineer(box).request()
    terminal.expect("\a.*" + request)
    terminal.expect("Action needed")
    Person(box, "carol").approve(request)
    terminal.expect(request)
    terminal.expect("Active")
    assert requests(box)[0]["approvals"][0]["approver"] == "carol"
