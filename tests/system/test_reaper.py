# SPDX-License-Identifier: LGPL-2.1-or-later
"""The end of an access: what belongs to it and what does not, whatever else is broken meanwhile, and the receipt."""

import contextlib
import json
import re
import time

import faults
import pytest
from appliance import wait_for
from people import Engineer, Person, show

RULE = "[Rule]\nAction=require-approval\n"
FROZEN = "/run/lockbox/frozen"
SERVICE = "systemd-run --quiet --user sleep 7001"
SCOPE = "systemd-run --quiet --user --scope sleep 7002 >/dev/null 2>&1 &"
NOHUP = "nohup setsid sleep 7003 >/dev/null 2>&1 &"


@pytest.fixture
def bob(box):
    return Person(box)


def left(box, account="eng"):
    """Every process whose login was the account's, whatever it runs as by now."""
    uid = box.account(account).pw_uid
    return box.run(f"grep -lsx {uid} /proc/[0-9]*/loginuid | cut -d/ -f3", check=False).stdout.split()


def frozen(box):
    """Whatever stands still, and what is noted to."""
    cgroups = box.run("find /sys/fs/cgroup -name cgroup.freeze -exec grep -l 1 {} +", check=False).stdout.split()
    return cgroups + box.run(f"ls {FROZEN}", check=False).stdout.split()


def hide(engineer):
    """One of each kind."""
    for line in (SERVICE, SCOPE, NOHUP):
        engineer.run(f"{line} true" if line.endswith("&") else line)
    wait_for(lambda: engineer.box.run("pgrep -cx sleep", check=False).stdout.strip() == "3", what="all that hides")


def end_of(box, request):
    wait_for(lambda: "closed_at" in show(box, request), what="the receipt")
    end = show(box, request)["end"]
    assert sum(end["kinds"].values()) == end["killed"]
    assert end["ms"] < 5000
    return end


def test_the_receipt_counts_by_kind(every_box):
    """What was ended, by where it was, in the log and as a person reads it (row 8)."""
    box = every_box
    eng, bob = Engineer(box), Person(box)
    request = eng.enter(bob)
    hide(eng)
    told = bob.revoke(request).stdout
    assert left(box) == [] and frozen(box) == []
    end = end_of(box, request)
    kinds = end["kinds"]
    assert (kinds["connection"], kinds["scope"], end["left"]) == (2, 1, 0)
    assert kinds["session"] >= 2 and kinds["service"] >= 3 and "other" not in kinds
    event = json.loads(box.wait_event("revoked", LOCKBOX_REQUEST=request)["LOCKBOX_JSON"])
    assert event["kinds"] == kinds
    sentence = f"{end['killed']} processes ended in {end['ms']} ms ({kinds['session']} session, 1 escaped, " \
               f"{kinds['service']} user service, 2 connection), nothing left"
    assert sentence in told
    assert sentence in box.ctl("show", request).stdout


@contextlib.contextmanager
def without_logind(box):
    box.systemctl("mask", "--runtime", "--now", "systemd-logind.service")
    try:
        yield
    finally:
        box.systemctl("unmask", "--runtime", "systemd-logind.service")
        box.systemctl("start", "systemd-logind.service")


@contextlib.contextmanager
def without_dbus(box):
    """Hung: who asked it for anything would wait."""
    with faults.hung(box, "dbus.service"):
        yield


@contextlib.contextmanager
def without_polkit(box):
    box.systemctl("mask", "--runtime", "--now", "polkit.service")
    try:
        yield
    finally:
        box.systemctl("unmask", "--runtime", "polkit.service")


@pytest.mark.parametrize("without", [without_logind, without_dbus, without_polkit])
def test_none_of_them_is_needed(box, bob, without):
    """Row 40."""
    eng = Engineer(box)
    request = eng.enter(bob)
    hide(eng)
    with without(box):
        bob.revoke(request)
        assert left(box) == []
    assert end_of(box, request)["left"] == 0


def freeze_by_hand(box, request, cgroup):
    """As the daemon would, had it got no further."""
    box.write(f"{FROZEN}/{request}", f"{cgroup}\n", mode=0o600)
    box.run(f"echo 1 >{cgroup}/cgroup.freeze")
    wait_for(lambda: "frozen 1" in box.read(f"{cgroup}/cgroup.events"), what="all to stand still")


def scope_of(engineer):
    return "/sys/fs/cgroup" + engineer.run("sed -n 's/^0:://p' /proc/self/cgroup").strip()


@contextlib.contextmanager
def never_restarted(box):
    drop_in = "/run/systemd/system/lockboxd.service.d/never.conf"
    box.write(drop_in, "[Service]\nRestart=no\n")
    box.systemctl("daemon-reload")
    try:
        yield
    finally:
        box.run("rm", drop_in)
        box.systemctl("daemon-reload")
        box.systemctl("start", "lockboxd.service")


@pytest.mark.parametrize("restarted", [True, False])
def test_nothing_stays_frozen_without_the_daemon(box, bob, restarted):
    """It dies while something is frozen: PID 1 thaws, even if the daemon never comes back (row 46)."""
    eng = Engineer(box)
    request = eng.enter(bob)
    freeze_by_hand(box, request, scope_of(eng))
    if restarted:
        faults.crash(box)
        assert eng.run("echo still here") == "still here\r\n"
    else:
        with never_restarted(box):
            box.run("kill", "-KILL", faults.main_pid(box))
            assert eng.run("echo still here") == "still here\r\n"
            assert faults.main_pid(box) == 0
    assert frozen(box) == []


def test_the_daemon_thaws_when_it_starts(box, bob):
    """The power of PID 1 to run what comes after the daemon is not all there is (row 46)."""
    eng = Engineer(box)
    request = eng.enter(bob)
    scope = scope_of(eng)
    with faults.stopped(box):
        freeze_by_hand(box, request, scope)
    assert eng.run("echo still here") == "still here\r\n"
    assert frozen(box) == []


@pytest.mark.parametrize("ms", [0, 1, 2, 4, 8, 16])
def test_killed_at_any_step_of_the_end(box, bob, ms):
    """Dead before, between or after freeze and kill: the next one ends it, nothing is left, nothing is frozen (row 46)."""
    eng = Engineer(box)
    request = eng.enter(bob)
    hide(eng)
    pid = faults.main_pid(box)
    box.run(f"lockboxctl revoke {request} >/dev/null 2>&1 & sleep {ms / 1000}; kill -KILL {pid}; wait $!; true")
    box.wait_event("started", lambda entry: int(entry["_PID"]) != pid)
    if show(box, request)["state"] == "active":  # it died before it heard of it
        bob.revoke(request)
    box.wait_event("revoked", LOCKBOX_REQUEST=request)
    assert left(box) == [] and frozen(box) == []


def test_what_cannot_be_told_apart(box, bob):
    """Two share an account: what neither's session holds lives until the last one ends, and is said to (rows 8, 45)."""
    box.policy(RULE + "[Access]\nExclusive=no\n")
    alice, albert = Engineer(box, key="alice"), Engineer(box, key="albert")
    first, second = alice.enter(bob), albert.enter(bob)
    hide(alice)
    told = bob.revoke(first).stdout
    end = end_of(box, first)
    assert box.run("pgrep -ax sleep | cut -d' ' -f3").stdout == "7001\n"  # the user service alone
    assert end["left"] == 0 and end["shared"] >= 3 and end["kinds"]["scope"] == 1
    assert f"{end['shared']} cannot be told from another engineer's" in told
    assert albert.run("echo still here") == "still here\r\n"
    bob.revoke(second)
    assert "shared" not in end_of(box, second)
    assert left(box) == []


def test_linger_goes_with_the_last_session(box, bob):
    """It would bring the user manager back, at once or with the next boot (row 8)."""
    eng = Engineer(box)
    request = eng.enter(bob)
    manager = f"user@{box.account('eng').pw_uid}.service"
    box.run("loginctl enable-linger eng")
    assert box.exists("/var/lib/systemd/linger/eng")
    bob.revoke(request)
    assert not box.exists("/var/lib/systemd/linger/eng")
    assert left(box) == []
    box.reboot()
    box.since = None
    assert box.systemctl("is-active", manager, check=False).stdout == "inactive\n"
    assert left(box) == []


BOMB = "perl -e 'while (1) { defined fork or select undef, undef, undef, 0.5 }' >/dev/null 2>&1 &"


def test_a_fork_bomb(every_box):
    """2,000 that fork whenever one is gone: all end, and another user's login is answered meanwhile (row 10)."""
    box = every_box
    eng, bob = Engineer(box), Person(box)
    request = eng.enter(bob)
    eng.run(f"ulimit -u 2000; {BOMB} true")
    wait_for(lambda: len(left(box)) >= 1990, timeout=60, what="the bomb", interval=0.2)
    revoke = box.popen("lockboxctl", "revoke", request)
    began = time.monotonic()
    assert box.client.ssh_run("admin", "echo in", key="admin").stdout == "in\n"
    assert revoke.wait(60) == 0
    assert time.monotonic() - began < 30
    end = end_of(box, request)
    assert left(box) == [] and frozen(box) == []
    assert end["left"] == 0 and end["killed"] >= 1990


def test_a_fork_bomb_beside_another_engineer(box, bob):
    """One outside of his session, on an account that two share: its cgroup may not be killed, still it ends (row 10)."""
    box.policy(RULE + "[Access]\nExclusive=no\n")
    alice, albert = Engineer(box, key="alice"), Engineer(box, key="albert")
    request = alice.enter(bob)
    albert.enter(bob)
    alice.run(f"ulimit -u 1000; systemd-run --quiet --user --scope {BOMB} true")
    wait_for(lambda: len(left(box)) >= 990, timeout=60, what="the bomb", interval=0.2)
    box.ctl("revoke", request)
    assert end_of(box, request)["kinds"]["scope"] >= 950
    assert box.run("pgrep", "-c", "perl", check=False).stdout == "0\n"
    assert frozen(box) == []
    assert albert.run("echo still here") == "still here\r\n"


def test_what_pid_1_ended_is_counted_too(box, bob):
    """The daemon is dead when the time is over: its receipt has PID 1's count, by kind, and the true time (row 40)."""
    box.policy(RULE + "[Access]\nDuration=3s\nWarn=1s\n")
    eng = Engineer(box)
    request = eng.enter(bob)
    hide(eng)
    with faults.dead(box):
        eng.read_to_end()
        unit = f"lockbox-end-{request}.service"
        box.wait_journal(lambda entry: re.search("PID 1's deadline did", entry["MESSAGE"]), after=box.since,
                         _SYSTEMD_UNIT=unit)
        assert left(box) == []
    box.wait_event("ended", LOCKBOX_REQUEST=request)
    end = end_of(box, request)
    assert end["kinds"]["connection"] == 2 and end["kinds"]["scope"] == 1
    assert 1900 <= end["ms"]  # PID 1 comes two seconds after the daemon should have
