# SPDX-License-Identifier: LGPL-2.1-or-later
"""Row 14: a thousand attempts. Requests, events, memory and the approver's attention stay bounded; others are served."""

import json
import re

import pytest
from people import SHELL, Engineer, Person, requests

RULE = "[Rule]\nAction=require-approval\n[Request]\nMaxPending=5\n"
ATTEMPTS = 1000
RECORDED = 20  # refusals of one account that are told one by one


def flood(box, account="eng", ticket="T-%d", attempts=ATTEMPTS):
    """Calls Begin as fast as it is answered; returns verdict → how often."""
    login = {"account": account, "service": "sshd", "scope": "login", "rhost": "192.0.2.1"}
    calls = [{"login": login, "ticket": ticket.replace("%d", str(n)), "reason": "why"} for n in range(attempts)]
    lines = "".join(json.dumps({"method": "org.lockbox.Login.Begin", "parameters": call}) + "\0" for call in calls)
    replies = box.run("nc", "-N", "-U", "/run/lockbox/login.socket", input=lines, timeout=120).stdout.split("\0")[:-1]
    assert len(replies) == attempts
    verdicts = [json.loads(reply)["parameters"]["verdict"] for reply in replies]
    return {verdict: verdicts.count(verdict) for verdict in set(verdicts)}


def memory(box):
    """KiB of the daemon's own."""
    pid = box.systemctl("show", "--property=MainPID", "--value", "lockboxd.service").stdout.strip()
    return int(re.search(r"^Private_Dirty: +(\d+)", box.read(f"/proc/{pid}/smaps_rollup"), re.M)[1])


def told(box, desk):
    """How often bob's terminal was told of a request, up to now."""
    box.ctl("request", "--ticket", "LAST", "--reason", "the last one", user="eng2")
    desk.expect_exact("the last one")
    text = desk.before
    desk.sendline("")
    desk.expect(SHELL)
    return text.count("asks for access")


@pytest.fixture
def desk(box):
    box.policy(RULE)
    return Person(box).log_in()


def test_a_thousand_tickets(box, desk):
    """MaxPending requests and no more; the approver hears of each once; the log does not grow with the attempts."""
    flood(box, ticket="W-%d", attempts=10)
    before, events = memory(box), box.status()["events"]
    assert flood(box)["denied"] == ATTEMPTS
    assert len(requests(box, "--pending")) == 5
    assert told(box, desk) == 5 + 1
    assert box.status()["events"] - events <= RECORDED + 1
    assert memory(box) - before < 1024
    (one, *_) = requests(box, "--pending")
    Person(box).approve(one["id"])
    assert Engineer(box, "eng2").request("CASE-7")


def test_one_ticket_a_thousand_times(box, desk):
    """The same request each time: one event, one word to the approver."""
    before, events = memory(box), box.status()["events"]
    flood(box, ticket="T-1")
    assert len(requests(box)) == 1
    assert told(box, desk) == 1 + 1
    assert box.status()["events"] - events == 1 + 1
    assert memory(box) - before < 1024


def test_what_was_not_told_one_by_one_is_counted(box):
    """Refusals beyond the first are one event, with their number, when the daemon stops at the latest; each account has
    a count of its own."""
    box.policy(RULE.replace("require-approval", "deny"))
    flood(box, attempts=100)
    flood(box, "eng2", attempts=5)
    box.systemctl("stop", "lockboxd.service")
    box.systemctl("start", "lockboxd.service")
    box.wait_event("refused", lambda entry: f"{100 - RECORDED} more" in entry["MESSAGE"], LOCKBOX_ACCOUNT="eng")
    refused = box.events(LOCKBOX_EVENT="refused")
    assert len([e for e in refused if e["LOCKBOX_ACCOUNT"] == "eng"]) == RECORDED + 1
    assert len([e for e in refused if e["LOCKBOX_ACCOUNT"] == "eng2"]) == 5


def test_from_the_command_line(box, desk):
    """`lockboxctl request`, again and again: the limit is told with the next step."""
    line = "for n in $(seq 40); do lockboxctl request --ticket C-$n --reason why; done"
    result = box.run(line, user="eng", check=False)
    assert "as many as the policy allows" in result.stderr
    assert len(requests(box, "--pending")) == 5


def test_the_queue_of_one_is_nobody_elses(box, desk):
    """While one account is at its limit, another's engineer and the administrator are served as always."""
    flood(box, attempts=50)
    assert Engineer(box, "eng2").request()
    assert box.client.ssh_run("admin", "echo in", key="admin").stdout == "in\n"
