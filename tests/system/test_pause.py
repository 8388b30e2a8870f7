# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frozen: paused by an approver, or at the end of its time. Nothing of it runs, and nothing stays so without a clock."""

import json
import subprocess

import faults
import pytest
from appliance import PATIENCE, wait_for
from people import BATCH, KEY, Engineer, Person, grant, requests, show

FAILED, USAGE, NOT_PERMITTED = 1, 2, 4
RULE = "[Rule]\nAction=require-approval\n"

# Works for as long as it may; niced, for the sake of what else runs on the machine.
COUNT = "(i=0; while :; do i=$((i + 1)); echo $i >counter; done) & renice 19 $! >/dev/null"


@pytest.fixture
def bob(box):
    return Person(box, "bob")


def counter(box):
    return box.read("/home/eng/counter").strip()


def cgroup_of(box, request):
    """The directory of the first session's cgroup."""
    leader = show(box, request)["sessions"][0]["pid"]
    return "/sys/fs/cgroup" + box.run("sed", "-n", "s/^0:://p", f"/proc/{leader}/cgroup").stdout.strip()


def start_counting(box, engineer, request):
    """Returns the directory of the session's cgroup."""
    engineer.run("rm -f counter; " + COUNT)
    wait_for(lambda: box.exists("/home/eng/counter") and counter(box), what="the first number")
    return cgroup_of(box, request)


def is_frozen(box, cgroup):
    return "frozen 1" in box.read(f"{cgroup}/cgroup.events")


def assert_still(box, cgroup):
    """Frozen, and while something else happens it uses no time."""
    assert is_frozen(box, cgroup)
    used, counted = box.read(f"{cgroup}/cpu.stat"), counter(box)
    assert box.status()["sessions"] >= 1
    assert box.read(f"{cgroup}/cpu.stat") == used and counter(box) == counted


def assert_runs(box):
    before = counter(box)
    wait_for(lambda: counter(box) not in ("", before), what="a further number")


def frozen_list(box):
    return box.run("ls /run/lockbox/frozen 2>/dev/null; true").stdout.split()


def state(box, request):
    return show(box, request)["state"]


def receipt(box, request, event="ended"):
    return json.loads(box.wait_event(event, LOCKBOX_REQUEST=request)["LOCKBOX_JSON"])


def await_start(box, unit):
    """A deadline of PID 1's has come and has done what there was to do."""
    box.wait_journal(after=box.since, UNIT=unit, JOB_TYPE="start", JOB_RESULT="done")


def end_by(box, request):
    """Who ended it; nothing is left of it, and nothing frozen."""
    assert receipt(box, request)["left"] == 0
    assert frozen_list(box) == []
    return show(box, request)["end"]["by"]


# --- pause and resume --------------------------------------------------------------------------------------------------


def test_paused_and_resumed(box, bob):
    """Nothing runs while it is paused, it goes on where it stood, and the engineer reads about both."""
    engineer = Engineer(box)
    access = engineer.enter(bob)
    cgroup = start_counting(box, engineer, access)
    before = show(box, access)["not_after"]
    bob.ctl("pause", access, "--note", "what is that?")
    assert_still(box, cgroup)
    engineer.terminal.expect(f"bob paused your access {access} to eng: what is that")
    shown = show(box, access)
    assert shown["state"] == "paused" and shown["not_after"] == before
    assert (shown["paused"]["by"], shown["paused"]["note"], shown["paused"]["hold"]) == ("bob", "what is that?", False)
    assert "by bob since today" in bob.ctl("show", access).stdout
    bob.ctl("resume", access)
    assert_runs(box)
    engineer.terminal.expect(f"your access {access} to eng goes on")
    assert "alive" in engineer.run("echo alive")
    assert "paused" not in show(box, access) and frozen_list(box) == []
    assert show(box, access)["not_after"] == before


def test_new_logins_are_refused_with_the_reason(box, bob):
    """By a person, and on the batch door, where nobody can be asked."""
    engineer = Engineer(box)
    access = engineer.enter(bob)
    bob.ctl("pause", access, "--note", "back at two")
    for login in KEY, BATCH:
        said = Engineer(box, **login).connect("id").read_to_end()
        assert f"Access {access} to eng is paused by bob since" in said and "back at two" in said
    bob.ctl("resume", access)
    Engineer(box).connect().at_shell()


def test_who_pauses(box, bob):
    """An approver whom the rule names, from a login of his own: not root, not the engineer; and only what runs."""
    box.policy(RULE + "[Approval]\nCustomer=bob\n")
    engineer = Engineer(box)
    access = engineer.enter(bob)
    assert box.ctl("pause", access, check=False).returncode == NOT_PERMITTED
    assert Person(box, "carol").ctl("pause", access, check=False).returncode != 0
    assert "approvers" in engineer.run(f"lockboxctl pause {access}")
    assert bob.ctl("resume", access, check=False).returncode == FAILED
    assert bob.ctl("pause", access, "--for", "1h", check=False).returncode == USAGE
    assert state(box, access) == "active"
    bob.ctl("pause", access)
    again = bob.ctl("pause", access, check=False)
    assert again.returncode == FAILED and "paused" in again.stderr
    assert box.ctl("resume", access, check=False).returncode == NOT_PERMITTED


def test_revoked_while_paused(box, bob):
    """The customer's last word ends it, frozen or not."""
    engineer = Engineer(box)
    access = engineer.enter(bob)
    start_counting(box, engineer, access)
    bob.ctl("pause", access)
    bob.revoke(access)
    end = receipt(box, access, "revoked")
    assert end["left"] == 0 and end["killed"] >= 3
    assert frozen_list(box) == []
    engineer.read_to_end()
    grant(box, bob)
    Engineer(box).connect().at_shell()


def test_its_time_is_over_while_it_is_paused(box, bob):
    """Without --hold the time runs on."""
    box.policy(RULE + "[Access]\nDuration=4s\nWarn=\n")
    engineer = Engineer(box)
    access = engineer.enter(bob)
    bob.ctl("pause", access)
    assert end_by(box, access) == "clock"
    engineer.read_to_end()


def test_held(box, bob):
    """With --hold its time stands still: PID 1's first deadline ends nothing; resumed, it has what was left."""
    box.policy(RULE + "[Access]\nDuration=6s\nMaxDuration=1h\nWarn=\n")
    engineer = Engineer(box)
    access = engineer.enter(bob)
    bob.ctl("pause", access, "--hold", "--for", "10min")
    left = show(box, access)["paused"]["left"]
    assert 0 < left <= 6
    assert box.systemctl("is-active", f"lockbox-end-{access}-1.timer").stdout == "active\n"
    await_start(box, f"lockbox-end-{access}.service")
    assert is_frozen(box, cgroup_of(box, access))
    assert state(box, access) == "paused"
    bob.ctl("resume", access)
    assert "alive" in engineer.run("echo alive")
    assert box.systemctl("is-active", f"lockbox-end-{access}-2.timer").stdout == "active\n"
    assert end_by(box, access) == "clock"


def test_a_hold_has_an_end(box, bob):
    """A pause that holds the time lasts as long as was said; then the access ends."""
    engineer = Engineer(box)
    access = engineer.enter(bob)
    start_counting(box, engineer, access)
    bob.ctl("pause", access, "--hold", "--for", "2s")
    assert end_by(box, access) == "pause"
    engineer.read_to_end()


def test_a_hold_is_within_the_rule(box, bob):
    """No longer than MaxDuration=, and that is said."""
    box.policy(RULE + "[Access]\nDuration=1h\nMaxDuration=2h\n")
    access = Engineer(box).enter(bob)
    assert "the rule allows 2h at most" in bob.ctl("pause", access, "--hold", "--for", "5h").stderr


# --- OnEnd=freeze ------------------------------------------------------------------------------------------------------


def freezing(box, freeze, duration="3s"):
    box.policy(RULE + f"[Access]\nDuration={duration}\nMaxDuration=1h\nWarn=2s\nOnEnd=freeze={freeze}\n")


def test_frozen_at_its_end_and_killed(box, bob):
    """The engineer is told before; without more time it is killed when that time is over, too."""
    freezing(box, "2s")
    engineer = Engineer(box)
    access = engineer.enter(bob)
    engineer.terminal.expect("is frozen then, and ends if no more time is approved: lockboxctl extend")
    engineer.terminal.expect(f"the time of your access {access} to eng is over. It is frozen now")
    frozen = box.wait_event("frozen", LOCKBOX_REQUEST=access)
    assert "frozen for 2s" in frozen["MESSAGE"]
    assert end_by(box, access) == "clock"
    engineer.read_to_end()


def test_more_time_by_a_new_login(box, bob):
    """Who is frozen logs in again and is asked for how much longer; approved, both sessions go on."""
    freezing(box, "5min")
    engineer = Engineer(box)
    access = engineer.enter(bob)
    box.wait_event("frozen", LOCKBOX_REQUEST=access)
    wait_for(lambda: is_frozen(box, cgroup_of(box, access)), what="the freeze")
    assert "Frozen at its end" in bob.ctl("list").stdout
    refused = bob.ctl("resume", access, check=False)
    assert refused.returncode == FAILED and "its time is over" in refused.stderr
    assert "frozen since" in Engineer(box, **BATCH).connect("id").read_to_end()
    again = Engineer(box).connect()
    again.terminal.expect("frozen since")
    again.answer("Reason: ", "not done yet")
    again.answer("For how long [3s]: ", "10min")
    more = again.read_request()
    again.wait()
    assert show(box, more)["extends"] == access
    bob.approve(more)
    again.at_shell()
    shown = show(box, access)
    assert shown["state"] == "active" and shown["duration"] == 603 and len(shown["sessions"]) == 2
    engineer.terminal.expect("goes on; it ends in (10min|9min 5)")
    assert "alive" in engineer.run("echo alive")
    bob.revoke(access)


def test_more_time_that_was_asked_for_before(box, bob):
    """`extend` in time, approved late: it thaws."""
    freezing(box, "5min", "6s")
    engineer = Engineer(box)
    access = engineer.enter(bob)
    engineer.run(f"lockboxctl extend {access} --for 10min")
    (more,) = requests(box, "--pending")
    box.wait_event("frozen", LOCKBOX_REQUEST=access)
    bob.approve(more["id"])
    engineer.terminal.expect("goes on; it ends in (10min|9min 5)")
    assert "alive" in engineer.run("echo alive")
    assert state(box, access) == "active"


def test_no_more_time(box, bob):
    """No more time: it stays frozen until it is killed."""
    freezing(box, "4s")
    access = Engineer(box).enter(bob)
    box.wait_event("frozen", LOCKBOX_REQUEST=access)
    again = Engineer(box).connect()
    again.answer("Reason: ", "not done yet")
    again.answer("]: ", "10min")
    more = again.read_request()
    again.wait()
    bob.deny(more)
    assert "denied by bob" in again.read_to_end()
    assert end_by(box, access) == "clock"


def test_paused_until_its_end(box, bob):
    """What an approver has paused stays paused by him: more time alone does not let it go on."""
    freezing(box, "5min", "6s")
    engineer = Engineer(box)
    access = engineer.enter(bob)
    engineer.run(f"lockboxctl extend {access} --for 10min")
    (more,) = requests(box, "--pending")
    bob.ctl("pause", access)
    box.wait_event("frozen", LOCKBOX_REQUEST=access)
    assert f"lockboxctl resume {access}" in bob.approve(more["id"]).stderr
    assert is_frozen(box, cgroup_of(box, access))
    bob.ctl("resume", access)
    assert "alive" in engineer.run("echo alive")


# --- what is frozen ----------------------------------------------------------------------------------------------------


def test_no_byte_through_a_tunnel(box, bob):
    """`ssh -N -L`: sshd's processes stand still with the session, and what waits in between arrives later (row 3)."""
    access = grant(box, bob)
    tunnel = Engineer(box, **BATCH).connect(flags=["-N", "-L", "2301:127.0.0.1:2302"])
    box.wait_event("opened", LOCKBOX_REQUEST=access)
    box.run("rm -f /root/received; touch /root/received")
    server = box.popen("exec nc -l 127.0.0.1 2302 >/root/received")
    wait_for(lambda: ":2302" in box.run("ss -ltn").stdout and ":2301" in box.run("ss -ltn").stdout, what="both ends")
    client = box.popen("nc", "127.0.0.1", "2301", stdin=subprocess.PIPE, bufsize=0)
    try:
        client.stdin.write(b"one\n")
        wait_for(lambda: box.read("/root/received") == "one\n", what="the first line")
        cgroup = cgroup_of(box, access)  # by now sshd is where logind has put it
        bob.ctl("pause", access)
        assert is_frozen(box, cgroup)
        used = box.read(f"{cgroup}/cpu.stat")
        client.stdin.write(b"two\n")
        assert state(box, access) == "paused"
        assert box.read("/root/received") == "one\n" and box.read(f"{cgroup}/cpu.stat") == used
        bob.ctl("resume", access)
        wait_for(lambda: box.read("/root/received") == "one\ntwo\n", what="the second line")
        bob.revoke(access)
        tunnel.read_to_end()
    finally:
        client.kill()
        server.kill()


def test_the_machine_stays_responsive(every_box):
    """PID 1, logind and other users' logins, on each systemd; and the end of what is frozen."""
    box, bob = every_box, Person(every_box)
    engineer = Engineer(box)
    access = engineer.enter(bob)
    engineer.run("systemd-run --user --unit=mine sleep 7001; tmux new-session -d 'sleep 7002'")
    cgroup = start_counting(box, engineer, access)
    bob.ctl("pause", access)
    assert_still(box, cgroup)
    assert box.run("systemctl", "daemon-reload").returncode == 0
    assert "eng" in box.run("loginctl", "list-sessions", timeout=PATIENCE).stdout
    box.run("systemd-run", "--wait", "--quiet", "true", timeout=PATIENCE)
    for name in "carol", "admin":
        assert box.client.ssh_run(name, "id", "-un", key=name).stdout == f"{name}\n"
    assert_still(box, cgroup)
    bob.ctl("resume", access)
    assert_runs(box)
    bob.ctl("pause", access)
    bob.revoke(access)
    assert receipt(box, access, "revoked")["left"] == 0
    engineer.read_to_end()
    assert box.run("pgrep -u eng", check=False).stdout == ""
    assert box.client.ssh_run("carol", "true", key="carol").returncode == 0


# --- whatever happens to the daemon ------------------------------------------------------------------------------------


def test_frozen_over_a_crash(box, bob):
    """Row 46: what was acknowledged stands; a gate that opens when it crashes is none."""
    engineer = Engineer(box)
    access = engineer.enter(bob)
    cgroup = start_counting(box, engineer, access)
    bob.ctl("pause", access)
    faults.crash(box)
    assert_still(box, cgroup)
    assert state(box, access) == "paused"
    box.systemctl("restart", "lockboxd.service")
    assert_still(box, cgroup)
    bob.ctl("resume", access)
    assert_runs(box)
    faults.crash(box)
    assert_runs(box)
    assert frozen_list(box) == []


@pytest.mark.parametrize("verb, event", [("pause", "paused"), ("resume", "resumed")])
def test_killed_on_the_way(box, bob, verb, event):
    """Row 46: killed after the commit, before or after the act: the log is what counts, right after the restart."""
    engineer = Engineer(box)
    access = engineer.enter(bob)
    cgroup = start_counting(box, engineer, access)
    if verb == "resume":
        bob.ctl("pause", access)
    pid = faults.main_pid(box)
    follow = ["journalctl", "--follow", "--lines=0", "--output=cat", "LOCKBOX_EVENT=" + event]
    kill = box.popen(f"{' '.join(follow)} | {{ read line; kill -KILL {pid}; }}")
    wait_for(lambda: box.run("pgrep", "-f", " ".join(follow), check=False).stdout, what="the follower")
    bob.ctl(verb, access, check=False)
    box.wait_event("started", lambda entry: int(entry["_PID"]) != pid)
    kill.kill()
    if verb == "pause":
        wait_for(lambda: is_frozen(box, cgroup), what="the freeze")
        assert_still(box, cgroup)
        assert state(box, access) == "paused"
        bob.ctl("resume", access)
    assert_runs(box)
    assert state(box, access) == "active"
    assert frozen_list(box) == []


def test_a_dead_daemon_does_not_prolong_a_pause(box, bob):
    """Row 34, row 46: PID 1 ends what is frozen, when the pause is over and not before."""
    box.policy(RULE + "[Access]\nDuration=3s\nMaxDuration=1h\nWarn=\n")
    engineer = Engineer(box)
    access = engineer.enter(bob)
    bob.ctl("pause", access, "--hold", "--for", "8s")
    cgroup = cgroup_of(box, access)
    with faults.dead(box):
        await_start(box, f"lockbox-end-{access}.service")
        assert is_frozen(box, cgroup)
        box.wait_journal(lambda entry: "PID 1's deadline did" in entry["MESSAGE"], after=box.since,
                         _SYSTEMD_UNIT=f"lockbox-end-{access}-1.service")
        engineer.read_to_end()
        assert box.run("pgrep -u eng", check=False).stdout == ""
    assert end_by(box, access) == "pause"


def test_a_dead_daemon_freezes_nothing_at_the_end(box, bob):
    """Row 34: OnEnd=freeze is a daemon's favour; PID 1 knows one end."""
    freezing(box, "5min", "4s")
    engineer = Engineer(box)
    access = engineer.enter(bob)
    with faults.dead(box):
        engineer.read_to_end()
        box.wait_journal(lambda entry: "PID 1's deadline did" in entry["MESSAGE"], after=box.since,
                         _SYSTEMD_UNIT=f"lockbox-end-{access}.service")
    assert box.run("pgrep -u eng", check=False).stdout == ""
