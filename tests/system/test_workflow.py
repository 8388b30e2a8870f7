# SPDX-License-Identifier: LGPL-2.1-or-later
"""The approval workflow: stages and quorum, what an approver may change, questions, more time, windows, emergencies."""

import contextlib
import datetime
import os
import signal

import pytest
from appliance import wait_for
from lockbox import APPROVERS
from people import Engineer, Person, requests, show

NOT_PERMITTED = 4
RULE = "[Rule]\nAction=require-approval\n"


@pytest.fixture
def bob(box):
    return Person(box, "bob")


@pytest.fixture
def carol(box):
    return Person(box, "carol")


def refused(result, words):
    return result.returncode == NOT_PERMITTED and words in result.stderr


# --- stages ------------------------------------------------------------------------------------------------------------


def test_the_vendor_reviews_first(box, bob, carol):
    """The vendor's approver, then the customer's; neither decides for the other."""
    box.policy(RULE + "[Approval]\nInternal=bob\nCustomer=carol\n")
    eng = Engineer(box)
    request = eng.request()
    eng.wait()
    assert show(box, request)["state"] == "review"
    assert refused(carol.approve(request, check=False), "the vendor's own approver decides first, then you")
    bob.approve(request, "--note", "please look quickly")
    assert show(box, request)["state"] == "pending"
    assert refused(bob.approve(request, check=False), "the customer decides now")
    eng.wait()
    carol.approve(request)
    eng.at_shell()
    stages = [(a["approver"], a["stage"]) for a in show(box, request)["approvals"]]
    assert stages == [("bob", "internal"), ("carol", "customer")]


def test_nobody_decides_in_both_stages(box, bob, carol):
    """Who is named for both stages has one of them (row 15)."""
    box.policy(RULE + "[Approval]\nInternal=bob carol\nCustomer=bob carol\n")
    request = Engineer(box).request()
    bob.approve(request)
    assert refused(bob.approve(request, check=False), "both stages")
    assert refused(bob.deny(request, check=False), "both stages")
    carol.approve(request)
    assert show(box, request)["state"] == "active"


def test_a_quorum_is_of_distinct_people(box, bob, carol):
    """Two yeses of one person are one."""
    box.policy(RULE + "[Approval]\nCustomer=bob carol\nQuorum=2\n")
    request = Engineer(box).request()
    bob.approve(request)
    assert show(box, request)["state"] == "pending"
    assert refused(bob.approve(request, check=False), "already")
    carol.approve(request)
    assert show(box, request)["state"] == "active"


def test_one_deny_ends_it(box, bob, carol):
    """A quorum is for yes; one no is enough."""
    box.policy(RULE + "[Approval]\nCustomer=bob carol\nQuorum=2\n")
    request = Engineer(box).request()
    bob.approve(request)
    carol.deny(request)
    assert show(box, request)["state"] == "denied"


def test_a_yes_goes_with_the_right_to_it(box, bob, carol):
    """Row 15: who is no approver any more when the last yes comes is not counted; too few remain, so it is closed."""
    box.policy(RULE + "[Approval]\nQuorum=2\n")
    request = Engineer(box).request()
    bob.approve(request)
    box.run("gpasswd", "--delete", "bob", APPROVERS)
    try:
        assert "too few people" in carol.approve(request).stderr
        assert show(box, request)["state"] == "undecidable"
    finally:
        box.run("gpasswd", "--add", "bob", APPROVERS)


def test_a_quorum_that_the_host_cannot_give(box):
    """Where too few people may approve, it is said at once, and no request hangs."""
    box.policy(RULE + "[Approval]\nCustomer=bob\nQuorum=2\n")
    eng = Engineer(box).connect()
    eng.ask()
    assert "Too few people" in eng.read_to_end()
    assert requests(box) == []


def test_a_yes_by_each_shortens(box, bob, carol):
    """What the first approver has shortened the second does not make longer."""
    box.policy(RULE + "[Approval]\nCustomer=bob carol\nQuorum=2\n")
    request = Engineer(box).request()
    bob.approve(request, "--for", "1h")
    carol.approve(request, "--for", "3h")
    assert show(box, request)["duration"] == 3600


def test_people_of_approvers_conf(box, bob):
    """A person decides under his own name; and nobody goes by the name that the file gives to another."""
    box.write("/etc/lockbox/approvers.conf", "[robert]\nUser=bob\nGroups=night-shift\n[carol]\n")
    try:
        box.policy(RULE + "[Approval]\nCustomer=@night-shift carol\n")
        request = Engineer(box).request()
        assert Person(box, "carol").approve(request, check=False).returncode != 0
        bob.approve(request)
        assert show(box, request)["approvals"][0]["approver"] == "robert"
    finally:
        box.run("rm", "/etc/lockbox/approvers.conf")


def test_approvers_conf_is_checked_like_policy(box):
    """A mistake keeps the last good set, with file and line."""
    box.write("/etc/lockbox/approvers.conf", "[bob]\nUsr=bob\n")
    try:
        box.policy(RULE, event="policy-refused")
        assert "approvers.conf:2" in box.status()["policy_error"]
    finally:
        box.run("rm", "/etc/lockbox/approvers.conf")


# --- what an approver may change ---------------------------------------------------------------------------------------


def test_a_later_start(box, bob):
    """--from: the engineer waits on, and is let in when the time comes."""
    box.policy(RULE)
    eng = Engineer(box)
    request = eng.request()
    eng.wait()
    start = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=4)
    bob.approve(request, "--from", start.strftime("%Y-%m-%dT%H:%M:%SZ"), "--note", "after lunch")
    assert show(box, request)["state"] == "approved"
    eng.terminal.expect_exact("access begins")
    eng.wait()
    eng.at_shell()
    assert "after lunch" in show(box, request)["approvals"][0]["note"]


def test_a_clamp_stands_in_the_event(box, bob):
    """What was asked for, what came of it, and why."""
    box.policy(RULE + "[Access]\nDuration=1h\nMaxDuration=2h\n")
    request = Engineer(box).request("CASE-1", "why", "5h")
    asked = box.wait_event("requested", LOCKBOX_REQUEST=request)
    assert "5h was asked for" in asked["MESSAGE"] and "for 2h" in asked["MESSAGE"]
    assert "2h" in bob.approve(request, "--for", "9h").stderr


# --- questions ---------------------------------------------------------------------------------------------------------


def test_questions_and_answers(box, bob):
    """Both ends see them while waiting, and both are events."""
    box.policy(RULE)
    eng = Engineer(box)
    request = eng.request()
    eng.wait()
    bob.ctl("ask", request, "which disk?")
    eng.terminal.expect_exact("bob: which disk?")
    eng.wait("the second one")
    wait_for(lambda: len(show(box, request).get("messages", [])) == 2, what="the answer")
    texts = [m["text"] for m in show(box, request)["messages"]]
    assert texts == ["which disk?", "the second one"]


# --- more time ---------------------------------------------------------------------------------------------------------


def test_more_time(every_box):
    """`extend` goes through the same approval and moves the end; the session goes on."""
    box, bob = every_box, Person(every_box)
    box.policy(RULE + "[Access]\nDuration=1h\nMaxDuration=4h\nWarn=\n")
    eng = Engineer(box)
    access = eng.enter(bob)
    before = show(box, access)["not_after"]
    eng.run(f"lockboxctl extend {access} --for 2h --reason 'not done yet'")
    (more,) = requests(box, "--pending")
    assert more["extends"] == access
    bob.approve(more["id"])
    after = show(box, access)
    assert after["not_after"] > before and after["duration"] == 3 * 3600
    assert show(box, more["id"])["state"] == "completed"
    assert f"lockbox-end-{access}-1.timer" in box.systemctl("list-units", "--all").stdout
    assert "alive" in eng.run("echo alive")


@contextlib.contextmanager
def pid1_stopped(box):
    """From outside, as a PID 1 that has something else to do for a while."""
    os.kill(box.leader, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(box.leader, signal.SIGCONT)


def test_more_time_is_told_when_pid1_has_it(box, bob):
    """Approved, PID 1's own deadline comes first and only then the words on the engineer's terminal (row 40)."""
    box.policy(RULE + "[Access]\nDuration=1h\nMaxDuration=4h\nWarn=\n")
    eng = Engineer(box)
    access = eng.enter(bob)
    eng.run(f"lockboxctl extend {access} --for 2h")
    (more,) = requests(box, "--pending")
    with pid1_stopped(box):
        bob.approve(more["id"])
        assert show(box, access)["duration"] == 3 * 3600
        assert "ends in" not in eng.run("echo alive")
    eng.terminal.expect(r"ends in (3h|2h 59min)")
    assert box.run("systemctl", "is-active", f"lockbox-end-{access}-1.timer").stdout == "active\n"


def test_more_time_is_told_without_pid1(box, bob):
    """Row 40: where the bus is away the daemon's own deadline holds, and the journal says that it is the only one."""
    box.policy(RULE + "[Access]\nDuration=1h\nMaxDuration=4h\nWarn=\n")
    eng = Engineer(box)
    access = eng.enter(bob)
    eng.run(f"lockboxctl extend {access} --for 2h")
    (more,) = requests(box, "--pending")
    box.run("mv /run/dbus/system_bus_socket /run/dbus/aside")
    try:
        box.systemctl("restart", "lockboxd.service")
        since = box.journal_mark()
        bob.approve(more["id"])
        eng.terminal.expect(r"ends in (3h|2h 59min)")
        alert = box.wait_journal(lambda entry: access in entry["MESSAGE"], after=since, PRIORITY="1")
        assert "only lockboxd ends it on time" in alert["MESSAGE"]
    finally:
        box.run("mv /run/dbus/aside /run/dbus/system_bus_socket")


def test_more_time_refused(box, bob):
    """A no changes nothing."""
    box.policy(RULE + "[Access]\nDuration=1h\nMaxDuration=4h\n")
    eng = Engineer(box)
    access = eng.enter(bob)
    before = show(box, access)
    eng.run(f"lockboxctl extend {access} --for 2h")
    (more,) = requests(box, "--pending")
    bob.deny(more["id"])
    assert show(box, access)["not_after"] == before["not_after"]


def test_more_time_is_within_the_rule(box, bob):
    """With all that is added an access lasts no longer than MaxDuration= (row 31)."""
    box.policy(RULE + "[Access]\nDuration=1h\nMaxDuration=2h\n")
    eng = Engineer(box)
    access = eng.enter(bob)
    eng.run(f"lockboxctl extend {access} --for 9h")
    (more,) = requests(box, "--pending")
    assert more["duration"] == 3600
    bob.approve(more["id"])
    assert "as long as its rule allows" in eng.run(f"lockboxctl extend {access} --for 1h")


# --- windows -----------------------------------------------------------------------------------------------------------


def open_window(box, bob, *options):
    bob.ctl("grant", "--account", "eng", "--ticket", "CHG-7", "--for", "1h", *options)
    return next(r["id"] for r in requests(box) if r["basis"] == "preapproved")


def test_a_window_needs_no_wait(every_box):
    """Inside a window the engineer's login needs no wait, and is still bound to its ticket."""
    box, bob = every_box, Person(every_box)
    box.policy(RULE)
    window = open_window(box, bob)
    eng = Engineer(box).connect()
    eng.ask("CHG-7")
    eng.at_shell()
    (mine,) = [r for r in requests(box) if r.get("grant")]
    assert mine["grant"] == window and mine["ticket"] == "CHG-7" and mine["state"] == "active"
    assert mine["not_after"] <= show(box, window)["not_after"]


def test_a_window_is_for_its_ticket(box, bob):
    """Another ticket waits like every other request."""
    box.policy(RULE)
    open_window(box, bob)
    assert show(box, Engineer(box).request("CASE-2"))["state"] == "pending"


def test_a_window_that_is_stopped(box, bob):
    """Who came in through it goes with it."""
    box.policy(RULE)
    window = open_window(box, bob)
    eng = Engineer(box).connect()
    eng.ask("CHG-7")
    eng.at_shell()
    bob.revoke(window)
    eng.read_to_end()
    wait_for(lambda: {r["state"] for r in requests(box)} == {"revoked"}, what="both ends")


def test_who_opens_a_window(box, bob):
    """Only an approver whom the rule names, and only where his word is enough."""
    box.policy(RULE + "[Approval]\nCustomer=carol\n")
    assert bob.ctl("grant", "--account", "eng", "--ticket", "CHG-7", check=False).returncode == NOT_PERMITTED
    box.policy(RULE + "[Approval]\nCustomer=bob carol\nQuorum=2\n")
    assert bob.ctl("grant", "--account", "eng", "--ticket", "CHG-7", check=False).returncode == NOT_PERMITTED


# --- units -------------------------------------------------------------------------------------------------------------

SHARE = """[Unit]
Description=The customer's share
[Mount]
What=tmpfs
Where=/srv/share
Type=tmpfs
"""


def test_a_share_is_there_only_inside_the_access(every_box):
    """Units= are started with the access and stopped with it, also when a process of the session holds them open."""
    box, bob = every_box, Person(every_box)
    box.write("/etc/systemd/system/srv-share.mount", SHARE)
    box.systemctl("daemon-reload")
    box.policy(RULE + "[Access]\nUnits=srv-share.mount\n")
    eng = Engineer(box)
    access = eng.enter(bob)
    wait_for(lambda: "srv-share.mount" in box.run("systemctl list-units --state=active").stdout, what="the share")
    eng.run("cd /srv/share; sleep 7001 & true")
    bob.revoke(access)
    eng.read_to_end()
    wait_for(lambda: show(box, access)["state"] == "revoked", what="the receipt")
    assert "/srv/share" not in box.run("cat /proc/mounts").stdout


def test_a_window_alone_unlocks_nothing(box, bob):
    """Its units are there for as long as somebody is in by it, and not before."""

    def active():
        return box.run("systemctl is-active srv-share.mount", check=False).stdout.strip()

    box.write("/etc/systemd/system/srv-share.mount", SHARE)
    box.systemctl("daemon-reload")
    box.policy(RULE + "[Access]\nUnits=srv-share.mount\n")
    window = open_window(box, bob)
    assert show(box, window)["state"] == "active"
    eng = Engineer(box).connect()
    assert active() == "inactive"
    eng.ask("CHG-7")
    eng.at_shell()
    wait_for(lambda: active() == "active", what="the share")
    (mine,) = [r["id"] for r in requests(box) if r.get("grant")]
    eng.terminal.sendline(f"lockboxctl done {mine}")
    wait_for(lambda: show(box, mine)["state"] == "completed", what="the receipt")
    assert active() == "inactive"
    assert show(box, window)["state"] == "active"


def test_a_unit_that_fails_is_told(box, bob):
    """Both sides see it; the access goes on."""
    box.policy(RULE + "[Access]\nUnits=there-is-no-such.service\n")
    eng = Engineer(box)
    access = eng.enter(bob)
    failed = box.wait_event("unit-failed", LOCKBOX_REQUEST=access)
    assert "there-is-no-such.service" in failed["MESSAGE"]
    assert "there-is-no-such.service" in show(box, access)["messages"][0]["text"]
    assert "alive" in eng.run("echo alive")
    again = Engineer(box).connect()
    again.terminal.expect_exact("there-is-no-such.service could not be started")
    again.at_shell()


# --- emergencies -------------------------------------------------------------------------------------------------------

BREAK_GLASS = RULE + "[BreakGlass]\nAllow=yes\nDuration=30min\n"


def test_an_emergency(every_box):
    """Access at once, told at the highest priority; the next request waits for an acknowledgement."""
    box, bob = every_box, Person(every_box)
    box.policy(BREAK_GLASS)
    eng = Engineer(box)
    request = eng.request()
    eng.wait("!emergency the database is gone")
    eng.at_shell()
    event = box.wait_event("emergency", LOCKBOX_REQUEST=request)
    assert event["PRIORITY"] == "1" and "the database is gone" in event["MESSAGE"]
    access = show(box, request)
    assert access["basis"] == "break-glass" and access["duration"] == 1800
    bob.revoke(request)
    eng.read_to_end()
    again = Engineer(box).connect()
    again.ask("CASE-2")
    assert f"lockboxctl acknowledge {request}" in again.read_to_end()
    bob.ctl("acknowledge", request, "--note", "seen")
    assert show(box, Engineer(box).request("CASE-2"))["state"] == "pending"


def test_no_emergency_without_the_rule(box):
    """Where the rule does not allow it, the word changes nothing."""
    box.policy(RULE)
    eng = Engineer(box)
    request = eng.request()
    eng.wait("!emergency please")
    eng.terminal.expect_exact("allows no emergency")
    assert show(box, request)["state"] == "pending"
