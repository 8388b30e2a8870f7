# SPDX-License-Identifier: LGPL-2.1-or-later
"""Approvals used again, for another request, or for longer than the rule allows; policy that is broken on purpose."""

import json

import pytest
from lockbox import POLICY
from people import Engineer, Person, grant, requests, show

RULE = "[Rule]\nAction=require-approval\n[Request]\nMaxPending=50\n[Access]\nDuration=1h\nMaxDuration=2h\n"
REFUSED, USAGE, NO_REQUEST, NOT_PERMITTED = 1, 2, 3, 4
INT64_MAX = 2**63 - 1
CONTROL, LOGIN = "/run/lockbox/control.socket", "/run/lockbox/login.socket"


def call(box, method, socket=CONTROL, user=None, **parameters):
    """One Varlink call: the reply."""
    message = json.dumps({"method": method, "parameters": parameters}) + "\0"
    return json.loads(box.run("nc", "-N", "-U", socket, user=user, input=message).stdout.rstrip("\0"))


@pytest.fixture
def bob(box):
    box.policy(RULE)
    return Person(box)


# --- an old approval (rows 16, 17) -------------------------------------------------------------------------------------


def test_an_approval_counts_once(box, bob):
    """Row 16: said twice it is one; it does not lengthen, and what has ended stays ended."""
    request = grant(box, bob, "30min")
    before = show(box, request)
    again = bob.approve(request, "--for", "2h", check=False)
    assert again.returncode == REFUSED and "not possible now" in again.stderr
    bob.revoke(request)
    for verb in ("approve", "deny", "revoke"):
        result = bob.ctl(verb, request, check=False)
        assert (result.returncode, "the request is closed" in result.stderr) == (REFUSED, True), verb
    after = show(box, request)
    assert after["state"] == "revoked" and after["approvals"][0] == before["approvals"][0]
    assert (after["not_after"], after["duration"]) == (before["not_after"], before["duration"])


@pytest.mark.parametrize("end", ["deny", "withdraw", "revoke"])
def test_a_closed_request_opens_nothing(box, bob, end):
    """Row 16: the next login is a new request with an ID of its own, however often the old one is approved."""
    engineer = Engineer(box)
    old = engineer.request("CASE-1")
    engineer.wait("!withdraw" if end == "withdraw" else "")
    if end == "revoke":
        bob.approve(old)
    if end != "withdraw":
        bob.ctl(end, old)
    engineer.read_to_end()
    assert bob.approve(old, check=False).returncode == REFUSED
    new = Engineer(box).request("CASE-1")
    assert new != old and show(box, new)["state"] == "pending"
    assert bob.approve(old, check=False).returncode == REFUSED
    assert show(box, new)["state"] == "pending"


def test_an_approval_is_for_one_request(box, bob):
    """Rows 16, 33: neither the same engineer's other ticket, nor a colleague's, nor another account's."""
    mine = Engineer(box).request("CASE-1")
    box.client.authorize("eng", "alice", "albert")
    others = [Engineer(box, key="albert").request("CASE-1"), Engineer(box, "eng2").request("CASE-1")]
    bob.approve(mine)
    assert {show(box, other)["state"] for other in others} == {"pending"}
    assert show(box, mine)["state"] == "active"


def test_a_wrong_id_decides_nothing(box, bob):
    """Row 33: an ID of nobody's, a slip, an ID with more behind it."""
    request = Engineer(box).request()
    for typed, status in (("0000-0000", NO_REQUEST), (request[:-1], USAGE), (request + "A", USAGE), ("' OR 1=1", USAGE)):
        assert bob.approve(typed, check=False).returncode == status, typed
    assert show(box, request)["state"] == "pending"


def test_what_was_shown_stays(box, bob):
    """Row 17: asked again with other words, the request that was shown is unchanged; what is new is another request."""
    box.ctl("request", "--ticket", "T-1", "--reason", "read a log", "--for", "10min", user="eng")
    (first,) = requests(box, "--pending")
    said = box.ctl("request", "--ticket", "T-1", "--reason", "copy the database", "--for", "2h", user="eng")
    assert said.stdout.count("to be decided by") == 1 and said.stderr == ""
    assert requests(box, "--pending") == [first]
    box.policy(RULE.replace("Duration=1h", "Duration=2h").replace("[Access]", "TicketURL=https://evil.example/%t\n[Access]"))
    bob.approve(first["id"])
    after = show(box, first["id"])
    shown = ("engineer", "account", "ticket", "reason", "duration", "rule", "scope", "service", "requested_at")
    assert [after.get(name) for name in shown] == [first.get(name) for name in shown] and "ticket_url" not in after


# --- more than the rule allows (row 31) --------------------------------------------------------------------------------


def test_the_most_that_can_be_asked_for(box, bob):
    """Row 31: at the prompt, on the command line and on the socket the rule's maximum wins; what is no time is none."""
    endless = ["2h 1us", "999999999999h", str(INT64_MAX), f"{2**64}y", "infinity"]
    for number, text in enumerate(endless):
        login = {"account": "eng", "service": "sshd", "scope": "login"}
        words = {"login": login, "ticket": f"T-{number}", "reason": "why", "for": text}
        reply = call(box, "org.lockbox.Login.Begin", LOGIN, **words)["parameters"]
        assert "The rule allows 2h at most." in reply["message"], text
        assert show(box, reply["request"])["duration"] == 7200, text
    for text in ("-1h", "0", "0s", "1h -2h", "h", "1e9h", "0x7fffffff", "9" * 4000 + "q"):
        words["for"] = text
        assert call(box, "org.lockbox.Login.Begin", LOGIN, **words | {"ticket": "T-9"})["parameters"]["verdict"] == "ask"
    for seconds in (INT64_MAX, INT64_MAX // 10**6, INT64_MAX // 10**6 + 1):
        reply = call(box, "org.lockbox.Access.Request", user="eng", ticket=f"U-{seconds}", reason="why", **{"for": seconds})
        assert reply["parameters"]["request"]["duration"] == 7200
        assert reply["parameters"]["message"] == "The rule allows 2h at most."
    for wrong in (-1, -INT64_MAX - 1, 2**63, 1.5, "1h", True):
        message = json.dumps({"method": "org.lockbox.Access.Request", "parameters": {"reason": "why", "for": wrong}})
        reply = box.run("nc", "-N", "-U", CONTROL, user="eng", input=message + "\0").stdout
        assert "InvalidParameter" in reply or reply == "", wrong
    assert {r["duration"] for r in requests(box)} == {7200}


@pytest.mark.parametrize("text, status", [("999999h", 0), ("9999999999h", USAGE), ("infinity", USAGE), ("-1h", USAGE), ("0", USAGE),
                                          (str(2**63), USAGE), ("1ms", USAGE)])
def test_the_most_that_can_be_approved(box, bob, text, status):
    """Row 31: an approver shortens and never lengthens."""
    request = Engineer(box).request()
    assert bob.approve(request, "--for", text, check=False).returncode == status
    after = show(box, request)
    assert (after["state"], after["duration"]) == ("pending" if status else "active", 3600)


def test_the_most_that_can_be_granted(box, bob):
    """Row 31: nor does a window or more time last longer than the rule allows."""
    bob.ctl("grant", "--account", "eng2", "--ticket", "W-1", "--for", "9999h")
    (window,) = requests(box, "--active")
    assert window["duration"] <= 7200
    engineer = Engineer(box)
    access = engineer.enter(bob)
    engineer.run(f"lockboxctl extend {access} --for 9999999h")
    (more,) = requests(box, "--pending")
    bob.approve(more["id"], "--for", "9999999h")
    assert show(box, access)["duration"] == 7200


# --- policy that is broken (row 32) ------------------------------------------------------------------------------------

GOOD = """[Match]
Account=eng*
Service=sshd login
Scope=login
RemoteHost=127.0.0.0/8 local
Key=plain certificate
Identity=*@vendor
Time=Mon..Sun 00:00-24:00
[Rule]
Action=require-approval
Description=text
[Request]
Ticket=optional
TicketPattern=[A-Z0-9-]+
TicketURL=https://support.example/%t
Reason=required
ExpireAfter=12h
MaxPending=5
[Approval]
Internal=
Customer=bob
Quorum=1
[Access]
Duration=1h
MaxDuration=2h
Starts=approval
UseBy=1h
Units=dbus.service
Warn=1min
OnReboot=end
MaxSessions=3
Exclusive=yes
[BreakGlass]
Allow=no
Duration=30min
"""
LINES = GOOD.splitlines()
FREE = {"Description", "Identity", "Account", "Service", "Scope", "Customer", "Internal", "Units"}  # nearly any word will do


def broken_lines():
    """Each key with a value that it cannot have, misspelled, and twice: (number of the line at fault, text)."""
    for number, line in enumerate(LINES):
        key = line.partition("=")[0]
        if key == line:
            mutants = [f"{line[:-1]}s]"]
        else:
            mutants = [f"{key}x={line.partition('=')[2]}", f"{key}: {line.partition('=')[2]}", f"{key}=a\x01b"]
            mutants += [] if key in FREE else [f"{key}=)(-1"]
            yield number + 2, "\n".join([*LINES[: number + 1], line, *LINES[number + 1 :]]) + "\n"
        for mutant in mutants:
            yield number + 1, "\n".join([*LINES[:number], mutant, *LINES[number + 1 :]]) + "\n"


def test_a_broken_policy_changes_nothing(box):
    """Row 32: every key mutated; the whole set is refused with file and line, and the last good one stays in force."""
    box.policy("[Match]\nAccount=eng2\n[Rule]\nAction=deny\nDescription=kept\n", name="10-kept.policy")
    box.policy(GOOD)
    kept = box.status()["policy_rules"]
    pid = box.systemctl("show", "--property=MainPID", "--value", "lockboxd.service").stdout.strip()
    broken = list(broken_lines())
    for line, text in broken:
        box.write(f"{POLICY}/50-test.policy", text)
        box.run("kill", "-HUP", pid)
        status = box.status()  # answered after the signal: the daemon is one loop
        assert f"50-test.policy:{line}: " in status.get("policy_error", ""), (line, text.splitlines()[line - 1])
        assert status["policy_rules"] == kept
    assert box.status()["events"] >= len(broken)
    assert "kept" in Engineer(box, "eng2").connect().read_to_end()
    box.policy(GOOD)
    assert "policy_error" not in box.status()


def test_no_good_policy_at_start(box):
    """Row 32: started with nothing but a broken set, gated logins are denied, and what is said names the file."""
    box.write(f"{POLICY}/50-test.policy", GOOD.replace("Quorum=1", "Quorum=none"))
    box.restart("lockboxd.service")
    result = box.ctl("status", check=False)
    assert result.returncode == REFUSED and "50-test.policy:22" in result.stdout + result.stderr
    assert Engineer(box).connect().read_to_end()
    assert requests(box) == []
    assert box.client.ssh_run("admin", "echo in", key="admin").stdout == "in\n"
