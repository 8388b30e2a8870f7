# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lists: which requests there are, by account, engineer, ticket, state and time; the same JSON for every reader."""

import datetime
import json

import pytest
from people import Engineer, Person, requests

RULE = "[Rule]\nAction=require-approval\n[Request]\nMaxPending=50\n[Access]\nExclusive=no\n"
USAGE = 2

# Asks for access 2001 times, by one connection.
MANY = """
import json, socket
s = socket.socket(socket.AF_UNIX)
s.connect("/run/lockbox/control.socket")
for i in range(2001):
    call = {"method": "org.lockbox.Access.Request", "parameters": {"ticket": str(i), "reason": "why"}}
    s.sendall(json.dumps(call).encode() + b"\\0")
    reply = b""
    while not reply.endswith(b"\\0"):
        reply += s.recv(65536)
    assert "error" not in json.loads(reply[:-1]), reply
"""

# What a program may rely on: present in every request of that state, nothing else beside what is named after it.
ALWAYS = {"id", "state", "basis", "host", "account", "uid", "engineer", "service", "scope", "requested_at", "duration",
          "decide_by", "use_by", "reason", "rule", "ticket"}
KEYS = {
    "pending": ALWAYS | {"stage"},
    "denied": ALWAYS | {"closed_at", "approvals"},
    "active": ALWAYS | {"key", "rhost", "tty", "not_before", "not_after", "approvals", "sessions"},
    "withdrawn": ALWAYS | {"closed_at", "previous"},
}
APPROVAL = {"approver", "role", "stage", "decision", "evidence", "at"}
SESSION = {"session", "pid", "service", "tty", "rhost", "opened_at"}


def ask(box, account, ticket):
    """A request from the account's command line; returns its ID."""
    box.ctl("request", "--ticket", ticket, "--reason", "why", user=account)
    return next(r["id"] for r in requests(box, "--pending") if r["ticket"] == ticket)


@pytest.fixture
def four(box):
    """ticket → ID: one request denied, one withdrawn, one that waits, and one with an engineer at work."""
    box.policy(RULE)
    bob = Person(box)
    ids = {ticket: ask(box, account, ticket) for ticket, account in (("A", "eng"), ("B", "eng2"))}
    bob.deny(ids["A"])
    ids["C"] = ask(box, "eng", "C")
    box.ctl("withdraw", ids["C"], user="eng")
    ids["D"] = Engineer(box).enter(bob, "D")
    return ids


def tickets(box, *filters):
    return "".join(r["ticket"] for r in json.loads(box.ctl("list", "--json", *filters).stdout)["requests"])


def test_filters(box, four):
    """Each filter, and several together; the newest comes first."""
    alice = box.client.fingerprint("alice")
    expected = {
        (): "DB",
        ("--pending",): "B",
        ("--active",): "D",
        ("--recent",): "DCBA",
        ("--all",): "DCBA",
        ("--account", "eng2"): "B",
        ("--all", "--account", "eng"): "DCA",
        ("--all", "--engineer", alice): "D",
        ("--all", "--engineer", "unproven"): "CBA",
        ("--all", "--engineer", "nobody"): "",
        ("--all", "--ticket", "A"): "A",
        ("--ticket", "A"): "",
        ("--state", "denied"): "A",
        ("--state", "withdrawn"): "C",
        ("--state", "active"): "D",
        ("--pending", "--state", "denied"): "",
        ("--since", "-1h"): "DCBA",
        ("--since", "+1h"): "",
        ("--until", "-1h"): "",
        ("--until", "+1h"): "DCBA",
        ("--all", "--account", "eng", "--engineer", "unproven", "--state", "denied", "--ticket", "A", "--since", "-1h",
         "--until", "+1h"): "A",
        ("--all", "--account", "eng2", "--ticket", "A"): "",
        ("--all", "--ticket", "A' OR 1=1 --"): "",
    }
    assert {filters: tickets(box, *filters) for filters in expected} == expected


def test_times_are_edges(box, four):
    """--since is the first moment that counts, --until the first that does not."""
    times = [datetime.datetime.fromisoformat(r["requested_at"]) for r in requests(box, "--all", "--ticket", "B")]
    second = datetime.timedelta(seconds=1)
    (at,) = times
    text = [(at + k * second).strftime("%Y-%m-%dT%H:%M:%SZ") for k in range(2)]
    assert "B" in tickets(box, "--since", text[0])
    assert "B" not in tickets(box, "--until", text[0])
    assert "B" in tickets(box, "--until", text[1])


@pytest.mark.parametrize("filters, words", [
    (("--state", "open"), "a state is review, pending"),
    (("--since", "soon"), "a time is 2024-05-03 18:00"),
    (("--until", "2024-02-31"), "a time is 2024-05-03 18:00"),
    (("--since", ""), "a time is"),
    (("--ticket", "T" * 65), "say it shorter"),
    (("--what", "x"), "lockboxctl list --help"),
    (("7F3K-9QXM",), "what is 7F3K-9QXM?"),
    (("--account", "\udcff"), "not valid UTF-8"),
])
def test_what_is_no_filter(box, filters, words):
    """A slip is an error with the next step, never an empty list."""
    result = box.ctl("list", *filters, check=False)
    assert result.returncode == USAGE and words in result.stderr and not result.stdout


@pytest.mark.parametrize("parameters", [
    {"state": "open"}, {"which": "some"}, {"since": "yesterday"}, {"since": 5}, {"until": "2024-02-31T00:00:00Z"},
    {"since": "2024-01-01T00:00:00+01:00"}, {"account": 7}, {"ticket": "T" * 5000}, {"limit": 3},
])
def test_what_is_no_filter_on_the_socket(box, parameters):
    """The same for programs."""
    message = json.dumps({"method": "org.lockbox.Access.List", "parameters": parameters}) + "\0"
    reply = box.run("nc", "-N", "-U", "/run/lockbox/control.socket", input=message).stdout.rstrip("\0")
    assert json.loads(reply) == {"error": "org.varlink.service.InvalidParameter",
                                 "parameters": {"parameter": next(iter(parameters))}}


def test_the_json_is_stable(box, four):
    """Keys by state, times in UTC, durations in seconds, whatever the reader's zone and language are."""
    found = {r["state"]: r for r in requests(box, "--all")}
    assert {state: set(found[state]) ^ keys for state, keys in KEYS.items()} == dict.fromkeys(KEYS, set())
    assert set(found["denied"]["approvals"][0]) == APPROVAL and set(found["active"]["sessions"][0]) == SESSION
    for request in found.values():
        assert request["duration"] == 8 * 3600
        for name in ("requested_at", "decide_by", "closed_at", "not_after"):
            if name in request:
                assert datetime.datetime.strptime(request[name], "%Y-%m-%dT%H:%M:%SZ")
    elsewhere = box.run("TZ=Asia/Tokyo LANG=tr_TR.UTF-8 lockboxctl list --all --json").stdout
    assert json.loads(elsewhere) == {"requests": requests(box, "--all")}


def test_who_lists_what(box, four):
    """An engineer's list is his own; an approver's what he may decide about; an auditor's everything."""
    def listed(user):
        return "".join(r["ticket"] for r in json.loads(box.ctl("list", "--all", "--json", user=user).stdout)["requests"])
    assert {user: listed(user) for user in ("eng", "eng2", "bob", "dora")} == \
        {"eng": "CA", "eng2": "B", "bob": "DCBA", "dora": "DCBA"}


def test_cut(box):
    """A reply holds 2000 requests: that there are more is said in the last line, to a program on standard error, with
    what shows the rest."""
    box.policy(RULE.replace("MaxPending=50", "MaxPending=2001"))
    box.run("python3", "-", input=MANY, user="eng", timeout=120)
    shown = box.ctl("list", "--json")
    listed = json.loads(shown.stdout)
    assert len(listed["requests"]) == 2000 and listed["more"] is True
    last = box.ctl("list").stdout.splitlines()[-1]
    assert shown.stderr.strip() == last and last.startswith("These are the newest 2000; for older ones add: --until '")
    rest = json.loads(box.ctl("list", "--json", "--until", last.split("'")[1]).stdout)
    assert rest["requests"][-1]["ticket"] == "0" and "more" not in rest
    box.ctl("withdraw", rest["requests"][-1]["id"], user="eng")
    assert "more" not in json.loads(box.ctl("list", "--json").stdout)  # exactly 2000 are all of them
