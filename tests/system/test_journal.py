# SPDX-License-Identifier: LGPL-2.1-or-later
"""The trail: the story of an access in the journal, what counts as its entries, and the programs' view of it."""

import hashlib
import json

from people import Engineer, Person, grant, requests, show

RULE = "[Rule]\nAction=require-approval\n"
OURS = "_SYSTEMD_UNIT=lockboxd.service _UID=0"

# The members of a request that a script may count on, wherever they have a value.
REQUEST_KEYS = {
    "id", "state", "basis", "stage", "host", "account", "uid", "engineer", "key", "service", "scope", "rhost", "tty",
    "ticket", "ticket_url", "reason", "rule", "requested_at", "decide_by", "use_by", "duration", "not_before",
    "not_after", "closed_at", "previous", "extends", "approvals", "messages", "sessions", "units", "end",
    "left_behind",
}
APPROVAL_KEYS = {"approver", "role", "stage", "decision", "evidence", "at", "note"}
END_KEYS = {"reason", "by", "at", "killed", "left", "ms", "kinds"}


def whole_story(box):
    """An access from the first question to the receipt; returns its ID."""
    box.policy(RULE + "[Access]\nWarn=2s\n")
    eng, bob = Engineer(box), Person(box)
    request = eng.request("CASE-7", "the disk is full", "3s")
    eng.wait("please")
    eng.answer("Press Enter to wait: ", "")
    bob.approve(request, "--note", "go ahead")
    eng.at_shell()
    eng.read_to_end()
    box.wait_event("ended", LOCKBOX_REQUEST=request)
    return request


def test_every_step_is_in_the_journal(box):
    """Each event is one entry with its fields, whose hash is that of its bytes and of the one before."""
    request = whole_story(box)
    story = box.story(request)
    kinds = [entry["LOCKBOX_EVENT"] for entry in story]
    assert kinds[:5] == ["requested", "message", "approved", "begun", "opened"]
    assert [kind for kind in kinds[5:] if kind != "closed"] == ["warned", "time-over", "left-behind", "ended"]
    for entry in story:
        assert entry["LOCKBOX_ACCOUNT"] == "eng"
        assert entry["LOCKBOX_ENGINEER"] == box.client.fingerprint("alice")
        assert (entry["LOCKBOX_TICKET"], entry["LOCKBOX_REASON"]) == ("CASE-7", "the disk is full")
        assert entry["LOCKBOX_HASH"] == hashlib.sha256(entry["LOCKBOX_JSON"].encode()).hexdigest()
        event = json.loads(entry["LOCKBOX_JSON"])
        assert (event["event"], event["prev"]) == (entry["LOCKBOX_EVENT"], entry["LOCKBOX_PREV"])
        assert entry["MESSAGE"].startswith(f"{request}: ") and len(entry["MESSAGE_ID"]) == 32
    approved = story[2]
    assert (approved["LOCKBOX_APPROVER"], approved["LOCKBOX_STATE"]) == ("bob", "approved")
    receipt = json.loads(story[-1]["LOCKBOX_JSON"])
    assert receipt["killed"] >= 2 and receipt["left"] == 0


def test_the_story_reads_in_sentences(box):
    """journalctl -x explains each kind of entry from the catalog, with the names filled in."""
    request = whole_story(box)
    text = box.run(f"journalctl -x --no-pager {OURS} LOCKBOX_REQUEST={request}").stdout
    who = box.client.fingerprint("alice")
    assert f"Subject: {who} asks for access to eng" in text
    assert f"lockboxctl approve {request}" in text
    assert "Defined-By: Lockbox" in text and "man:lockbox-events(7)" in text
    assert text.count(" Subject: ") == len(box.story(request))
    assert "@LOCKBOX_" not in text


def test_a_forged_entry_does_not_count(box):
    """LOCKBOX_ fields that anybody wrote are in the journal, and not in the story (row 41)."""
    request = Engineer(box).request()
    before = box.story(request)
    for forger in ("eng", None):
        forged = f"MESSAGE=forged by {forger}\nLOCKBOX_EVENT=approved\nLOCKBOX_REQUEST={request}\n"
        box.run("logger", "--journald", user=forger, input=forged)
    assert len(box.journal(LOCKBOX_REQUEST=request)) == len(before) + 2
    assert box.story(request) == before


def test_list_and_show_for_programs(box):
    """`--json`: the documented members and no others, times in UTC, durations in seconds."""
    request = whole_story(box)
    listed = requests(box)
    assert [r["id"] for r in listed] == [request]
    shown = show(box, request)
    assert shown["left_behind"].pop("changes") == []  # a list may be long, and is not in a list of requests
    assert shown == listed[0]
    assert set(shown) - REQUEST_KEYS == set() and set(shown["end"]) == END_KEYS
    assert all(set(approval) <= APPROVAL_KEYS for approval in shown["approvals"])
    assert (shown["duration"], shown["state"]) == (3, "ended")
    for time in ("requested_at", "not_before", "not_after"):
        assert shown[time].endswith("Z")
    assert [(m["text"]) for m in shown["messages"]] == ["please"]
    assert shown["approvals"][0]["note"] == "go ahead"


def test_show_for_a_person(box):
    """The card of a closed request has the receipt: how many processes ended, how fast, and that nothing is left."""
    request = whole_story(box)
    card = Person(box).ctl("show", request).stdout
    for words in (request, "eng@appliance", "CASE-7", "the disk is full", "by bob", "go ahead", "please", "Receipt:",
                  "nothing left"):
        assert words in card


def test_events_as_they_come(box):
    """`events --follow` prints each event when it happens, of all requests or of one."""
    follow = box.spawn("lockboxctl events --follow")
    request = Engineer(box).request()
    follow.expect(f"{request}.*asks for access")
    Person(box).approve(request)
    follow.expect(f"{request}.*approved")
    of_one = box.ctl("events", "--json", request).stdout
    assert request in of_one and "policy-loaded" not in of_one


def test_list_filters(box):
    """Pending, active and closed requests are found by state, account, engineer and ticket."""
    bob = Person(box)
    active = grant(box, bob)
    pending = Engineer(box, "eng2").request("CASE-2")

    def ids(*filters):
        return {r["id"] for r in requests(box, *filters)}

    assert ids("--pending") == {pending}
    assert ids("--active") == {active}
    assert ids("--account", "eng2") == {pending}
    assert ids("--ticket", "CASE-2") == {pending}
    assert ids("--engineer", box.client.fingerprint("alice")) == {pending, active}
    bob.revoke(active)
    assert ids("--state", "revoked") == {active}
    assert ids("--recent") == {pending, active}


def test_policy_check_and_explain(box):
    """`policy check` reads what the daemon would; `policy explain` says which rule decides, and how."""
    box.policy("[Match]\nAccount=eng2\n[Rule]\nAction=deny\nDescription=Nobody there\n", "10-deny.policy")
    box.policy(RULE + "[Access]\nMaxDuration=4h\nDuration=1h\n")
    assert box.ctl("policy", "check").returncode == 0
    denied = box.ctl("policy", "explain", "--account", "eng2", "--service", "sshd").stdout
    assert "10-deny.policy" in denied and "deny" in denied
    asked = box.ctl("policy", "explain", "--account", "eng", "--service", "sshd").stdout
    assert "50-test.policy" in asked and "4h" in asked
    assert not box.ctl("policy", "explain", "--account", "eng").stderr
    assert "bob is not in the group lockbox-gated" in box.ctl("policy", "explain", "--account", "bob").stderr
    text = Engineer(box, "eng2").connect().read_to_end()
    assert "The policy denies this login (10-deny.policy: Nobody there)." in text


def test_a_permit_rule(box):
    """`permit` lets in without a question; it is an access all the same, with its story, its bound and its end."""
    box.policy("[Match]\nKey=certificate\nIdentity=*@vendor.example\n[Rule]\nAction=permit\n", "10-permit.policy")
    box.client.certificate("alice", "alice@vendor.example", ["eng"])
    eng = Engineer(box, key="alice", certificate="alice").connect()
    eng.at_shell()
    (request,) = requests(box)
    assert (request["basis"], request["state"], request["engineer"]) == ("permit", "active", "alice@vendor.example")
    Person(box).ctl("list", check=False)
    box.ctl("revoke", request["id"], "--note", "wrong host")
    eng.read_to_end()
    assert show(box, request["id"])["end"]["note"] == "wrong host"
    assert [e["LOCKBOX_EVENT"] for e in box.story(request["id"])][:2] == ["permitted", "opened"]
