# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the engineer is asked, what he answers, and how a wait goes on, is interrupted and ends."""

import pytest
from people import BATCH, KEY, WAIT, Engineer, Person, grant, requests, show

RULE = "[Rule]\nAction=require-approval\n"
TICKETS = RULE + "[Request]\nTicket=required\nTicketPattern=CASE-[0-9]{4,}\nTicketURL=https://support.example/%t\n"
PAM_SSHD = "/etc/pam.d/sshd"
GRACE = "/etc/ssh/sshd_config.d/01-grace.conf"


def test_answers_are_checked(box):
    """Wrong answers are asked for again, and only those, with what is the matter."""
    box.policy(TICKETS)
    eng = Engineer(box).connect()
    eng.ask("CASE-12 ", "", "soon")
    eng.terminal.expect("This is not a ticket as this host expects it.\r+\nIt has to fit CASE-\\[0-9\\]\\{4,\\}\r+\n")
    eng.answer("Ticket: ", "CASE-1234")
    eng.terminal.expect("A reason is needed.\r+\nReason: ")
    eng.terminal.sendline("the disk is full")
    eng.terminal.expect("This is not a time: say for example 2h or 30min.\r+\nFor how long \\[8h\\]: ")
    eng.terminal.sendline("2h")
    request = show(box, eng.read_request())
    assert (request["ticket"], request["reason"], request["duration"]) == ("CASE-1234", "the disk is full", 7200)


def test_answers_that_stay_wrong(box):
    """After a few of them the login is over, and nothing was asked for."""
    eng = Engineer(box).connect()
    eng.ask(duration="soon")
    for _ in range(4):
        eng.answer("]: ", "later")
    assert "This is not a time" in eng.read_to_end()
    assert requests(box) == []


def test_three_good_answers_make_a_request(box):
    """The request says who asks, where, why, for how long, and where the ticket is to be read."""
    box.policy(TICKETS)
    request = show(box, Engineer(box).request("CASE-1234", "the disk is full", "90min"))
    expected = {
        "state": "pending",
        "basis": "approval",
        "host": "appliance",
        "account": "eng",
        "uid": box.account("eng").pw_uid,
        "engineer": box.client.fingerprint("alice"),
        "service": "sshd",
        "scope": "login",
        "rhost": "127.0.0.1",
        "ticket": "CASE-1234",
        "ticket_url": "https://support.example/CASE-1234",
        "reason": "the disk is full",
        "duration": 5400,
    }
    assert {name: request.get(name) for name in expected} == expected


def test_time_is_clamped(box):
    """Who asks for more than the rule allows is told, and gets what it allows."""
    eng = Engineer(box).connect()
    eng.ask(duration="3d")
    eng.terminal.expect_exact("The rule allows 12h at most.")
    assert show(box, eng.read_request())["duration"] == 12 * 3600


def test_approver_shortens(box):
    """The approver's shorter time counts; a longer one is not given."""
    bob = Person(box)
    first = Engineer(box).request("CASE-1", "why", "2h")
    bob.approve(first, "--for", "30min")
    assert show(box, first)["duration"] == 1800
    second = Engineer(box, "eng2").request("CASE-1", "why", "2h")
    result = bob.approve(second, "--for", "3h")
    assert show(box, second)["duration"] == 7200
    assert "shortened" in result.stderr


def test_words_for_the_approver(box):
    """What is typed at the prompt is a message; !emergency is refused where no rule allows it; the wait goes on."""
    eng = Engineer(box)
    request = eng.request()
    eng.wait("the array is rebuilding")
    eng.terminal.expect_exact("the array is rebuilding")
    eng.answer(WAIT, "!emergency")
    eng.terminal.expect_exact("The policy allows no emergency login here.")
    eng.terminal.expect_exact(WAIT)
    messages = show(box, request)["messages"]
    assert [(m["from"], m["text"]) for m in messages] == [(box.client.fingerprint("alice"), "the array is rebuilding")]
    assert "the array is rebuilding" in Person(box).ctl("show", request).stdout


def test_slips_are_not_sent(box):
    """A word with ! that there is none of is answered with those that there are, and not said to the approver."""
    eng = Engineer(box)
    request = eng.request()
    eng.wait("!help")
    eng.terminal.expect_exact("There is no such word here: !withdraw takes the request back. Other")
    eng.terminal.expect_exact(WAIT)
    eng.wait("! is no word")
    eng.terminal.expect_exact("! is no word")
    assert [m["text"] for m in show(box, request)["messages"]] == ["! is no word"]


def test_words_that_cross(box):
    """Who types before he has seen what was asked is shown that, too."""
    eng, bob = Engineer(box), Person(box)
    request = eng.request()
    bob.ctl("ask", request, "which disk?")
    bob.ctl("ask", request, "the one that is full?")
    eng.wait("I am here")
    eng.terminal.expect("bob: which disk\\?\r+\nbob: the one that is full\\?\r+\n.*: I am here\r+\n")
    eng.answer(WAIT, "all of them")
    eng.terminal.expect("asked for 8h.(.*)all of them")
    assert "which disk" not in eng.terminal.match[1]


@pytest.mark.parametrize("verb, expected", [("approve", "in"), ("deny", "out")])
def test_a_decision_made_meanwhile(box, verb, expected):
    """The engineer hangs up; what is decided meanwhile is picked up at the next login, without a question."""
    eng, bob = Engineer(box), Person(box)
    request = eng.request()
    eng.wait()
    eng.hang_up()
    bob.ctl(verb, request)
    eng.connect()
    if expected == "in":
        eng.at_shell()
    else:
        eng.ask("CASE-1001")  # denied is closed: the next login asks anew, and names it
        assert show(box, eng.read_request())["previous"] == f"{request}, denied by bob"


def test_one_open_request_is_not_asked_again(box):
    """A key proves who it is: its one open request is shown."""
    eng = Engineer(box)
    request = eng.request()
    eng.hang_up()
    assert eng.connect().read_request() == request


def test_the_ticket_tells_two_requests_apart(box):
    """Of two open requests of one engineer the ticket says which; no third is made."""
    eng, other = Engineer(box), Engineer(box).connect()
    other.answer("Ticket: ", "CASE-2")
    first = eng.request("CASE-1")
    other.answer("Reason: ", "another one")
    other.answer("]: ", "")
    second = other.read_request()
    assert first != second
    third = Engineer(box).connect()
    third.ask("CASE-2")
    assert third.read_request() == second
    assert len(requests(box, "--pending")) == 2


def test_the_wait_ends_before_the_grace_time(box, short_grace):
    """A wait ends with an answer while sshd still listens, and the request stays open."""
    eng = Engineer(box)
    request = eng.request()
    eng.wait()
    assert f"Request {request} is still pending" in eng.read_to_end()
    assert show(box, request)["state"] == "pending"
    assert eng.connect().read_request() == request


def test_a_wait_longer_than_the_grace_time(box, shorter_grace):
    """sshd ends the login at its grace time; the request outlives it, nothing of the connection does."""
    eng = Engineer(box)
    request = eng.request()
    eng.wait()
    eng.read_to_end()
    assert box.run("pgrep -fc '^sshd: eng'", check=False).stdout.strip() == "0"
    Person(box).approve(request)
    eng.connect().at_shell()


@pytest.fixture
def short_grace(box):
    yield from with_grace(box, grace=8, wait=4)


@pytest.fixture
def shorter_grace(box):
    yield from with_grace(box, grace=3, wait=90)


def with_grace(box, grace, wait):
    stack = box.read(PAM_SSHD)
    line = "account requisite pam_lockbox.so"
    assert line in stack
    box.write(PAM_SSHD, stack.replace(line, f"{line} wait={wait}s"))
    box.write(GRACE, f"LoginGraceTime {grace}\n")
    box.restart("ssh.service")
    yield
    box.run("rm", GRACE)
    box.write(PAM_SSHD, stack)
    box.restart("ssh.service")


def test_max_sessions(box):
    """One session more than the rule allows is refused and told why; when one closes there is room again."""
    box.policy(RULE + "[Access]\nMaxSessions=1\n")
    eng, bob = Engineer(box), Person(box)
    request = eng.enter(bob)
    second = Engineer(box).connect()
    assert f"Access {request} has as many sessions open as its rule allows (1)" in second.read_to_end()
    eng.terminal.sendline("exit")
    eng.read_to_end()
    box.wait_event("closed", LOCKBOX_REQUEST=request)
    second.connect().at_shell()


def test_exclusive(box):
    """While one engineer's access runs, another's waits although approved; he is let in when the first is done."""
    alice, albert, bob = Engineer(box, **KEY), Engineer(box, key="albert"), Person(box)
    alice.enter(bob)
    request = albert.request("CASE-2")
    albert.wait()
    bob.approve(request)
    albert.terminal.expect_exact(f"eng is in use by {box.client.fingerprint('alice')}")
    albert.answer(WAIT, "")
    alice.terminal.sendline("lockboxctl done")
    alice.read_to_end()
    albert.at_shell()


def test_not_exclusive(box):
    """Exclusive=no: two engineers share an account, each by his own access."""
    box.policy(RULE + "[Access]\nExclusive=no\n")
    alice, albert, bob = Engineer(box, **KEY), Engineer(box, key="albert"), Person(box)
    alice.enter(bob)
    albert.enter(bob)
    assert len(requests(box, "--active")) == 2


@pytest.mark.parametrize("login", [{"key": "albert"}, {"key": "albert", "certificate": "albert"}])
def test_a_colleague_asks_for_himself(box, login):
    """An access is its engineer's: another key or certificate on the same account is asked (row 43)."""
    if "certificate" in login:
        box.client.certificate("albert", "albert@vendor.example", ["eng"])
    grant(box, Person(box), **KEY)
    albert = Engineer(box, **login).connect()
    albert.answer("Ticket: ", "CASE-2")


@pytest.mark.parametrize("login", [{"key": "albert"}, {"key": "albert", "certificate": "albert"}])
def test_a_colleague_at_the_batch_door(box, login):
    """Account cannot know the key there and lets in provisionally; session knows and kills it (rows 43, 44)."""
    if "certificate" in login:
        box.client.certificate("albert", "albert@vendor.example", ["eng"])
    grant(box, Person(box), **KEY)
    mark = box.journal_mark()
    assert "uid=" in Engineer(box, **BATCH).connect("id").read_to_end()
    albert = Engineer(box, **{**BATCH, **login}).connect("id")
    assert "uid=" not in albert.read_to_end()
    assert "has no access to eng" in box.wait_event("refused", after=mark)["MESSAGE"]


def test_certificate_is_named_everywhere(box):
    """The certificate's Key ID is who asks: in list, show and the journal."""
    box.client.certificate("alice", "alice@vendor.example", ["eng"])
    request = Engineer(box, key="alice", certificate="alice").request()
    bob = Person(box)
    assert "alice@vendor.example" in bob.ctl("list").stdout
    shown = show(box, request)
    assert shown["engineer"] == "alice@vendor.example"
    assert "certificate" in shown["key"] and "SHA256:" in shown["key"]
    assert box.wait_event("requested", LOCKBOX_REQUEST=request)["LOCKBOX_ENGINEER"] == "alice@vendor.example"


def test_the_same_key_id_of_another_authority(box):
    """A Key ID counts with the authority that signed it: the same words by another are another engineer (row 43)."""
    box.client.certificate("alice", "alice@vendor.example", ["eng"])
    box.client.certificate("albert", "alice@vendor.example", ["eng"], authority="other")
    grant(box, Person(box), key="alice", certificate="alice")
    Engineer(box, key="albert", certificate="albert").connect().answer("Ticket: ", "CASE-2")


def test_the_same_engineer_with_a_new_certificate(box):
    """A new certificate with the same Key ID of the same authority is the same engineer, whatever its key."""
    box.client.certificate("alice", "alice@vendor.example", ["eng"])
    box.client.certificate("albert", "alice@vendor.example", ["eng"])
    grant(box, Person(box), key="alice", certificate="alice")
    Engineer(box, key="albert", certificate="albert").connect().at_shell()


def test_two_pending_are_told_apart(box):
    """Two requests at once: each summary names its engineer and account; a decision needs an ID (row 33)."""
    first = Engineer(box).request("CASE-1")
    second = Engineer(box, "eng2", key="albert").request("CASE-2")
    bob = Person(box)
    listed = bob.ctl("list", "--pending").stdout.splitlines()
    for request, account, key in ((first, "eng", "alice"), (second, "eng2", "albert")):
        row = next(line for line in listed if request in line)
        assert account in row.split() and box.client.fingerprint(key)[:10] in row
    assert bob.ctl("approve", check=False).returncode == 2
    assert bob.ctl("deny", check=False).returncode == 2
    approved = bob.approve(second).stdout
    assert second in approved and "eng2@appliance" in approved and box.client.fingerprint("albert") in approved
    assert show(box, first)["state"] == "pending"
