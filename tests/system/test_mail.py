# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mail, to a mail server as customers have them: what arrives, what it says, and what becomes of what cannot arrive."""

import base64
import html.parser
import json
import re

import pytest
from appliance import wait_for
from courier import CONFIG, OUTBOX, UNIT, Courier
from hostile import ATTACKS, unsafe
from mail_server import CA, HOST, NO_TLS, PASSWORD, SMTPS, SUBMISSION, USER, MailServer, parse, text_of
from people import WAIT, Engineer, Person, grant

BOB, BOB_TOO, CAROL, GROUP = "bob@customer.example", "bob+phone@home.example", "carol@customer.example", "duty@customer.example"
APPROVERS = f"[bob]\nUser=bob\nMail={BOB} {BOB_TOO}\n[carol]\nUser=carol\nMail={CAROL}\n"
RULE = "[Rule]\nAction=require-approval\n[Request]\nMaxPending=200\n"
LOGIN = "/run/lockbox/login.socket"

# Every header of ours, and what a server puts before them.
OURS = ["From", "To", "Subject", "Message-ID", "Date", "In-Reply-To", "References", "Auto-Submitted",
        "X-Auto-Response-Suppress", "X-Lockbox-Notice", "X-Lockbox-Request", "MIME-Version", "Content-Type"]
THEIRS = ["Return-Path", "Delivered-To", "Received"]


class Office(Courier):
    """The courier with a mail server instead of web servers, and approvers with addresses."""

    def __init__(self, box):
        self.box = box
        self.server = MailServer(box)
        box.run(f"systemctl stop {UNIT}; rm -rf {OUTBOX}/* {CONFIG} {CONFIG}.d/*")
        box.write("/etc/lockbox/approvers.conf", APPROVERS)
        box.policy(RULE)
        self.secret("mail-password", PASSWORD)

    def stop(self):
        self.box.run(f"systemctl stop {UNIT}; rm -f /etc/lockbox/approvers.conf {CONFIG}; systemctl reload lockboxd")
        self.server.stop()

    def open(self, extra="", port=SUBMISSION, before="", **server):
        self.server.start(**server)
        self.configure(before + self.server.config(port=port, extra=extra))
        return self

    def ask(self, ticket="CASE-1001", reason="the disk is full"):
        """A request that waits while nobody is connected."""
        self.box.ctl("request", "--ticket", ticket, "--reason", reason, user="eng")
        (request,) = [r["id"] for r in json.loads(self.box.ctl("list", "--pending", "--json").stdout)["requests"]
                      if r.get("ticket", "") == ticket]
        return request

    def dead(self):
        return json.loads(self.box.ctl("courier", "dead", "--json").stdout)["letters"]

    def wait_dead(self, target):
        """The question to somebody, given up."""
        return wait_for(lambda: next((x for x in self.dead() if x["target"] == target and x["notice"] == "action"), None),
                        timeout=30, what="a dead letter")

    def wait_failing(self, target, words):
        def problem():
            return self.target(target).get("problem", "")
        wait_for(problem, timeout=30, what=f"{target} to fail")
        assert re.search(words, problem(), re.IGNORECASE), problem()

    def outbox(self, statement):
        """Looks into the courier's own database, or moves its letters in time."""
        program = ("import sqlite3, json, sys; db = sqlite3.connect(sys.argv[1] + '/outbox.db', timeout=10);"
                   "print(json.dumps(db.execute(sys.argv[2]).fetchall())); db.commit()")
        return json.loads(self.box.run("python3", "-c", program, OUTBOX, statement).stdout)


@pytest.fixture
def office(box):
    made = Office(box)
    yield made
    made.stop()


@pytest.fixture
def every_office(every_box):
    made = Office(every_box)
    yield made
    made.stop()


class Balance(html.parser.HTMLParser):
    """Each tag that is opened is closed, in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def headers_of(mail):
    return sorted(name for name in mail.keys() if name not in THEIRS)


# What arrives


def test_a_request_and_its_end(every_office):
    """One mail for each address, with all that it takes to decide; the end in the same conversation."""
    office, box = every_office, every_office.box
    office.open(f"To={GROUP}\nLink=https://portal.example/r/%i")
    engineer = Engineer(box)
    request = engineer.request("CASE-1001", "the disk is full", "2h")
    engineer.hang_up()
    first = {address: office.server.wait(address)[0] for address in (BOB, BOB_TOO, CAROL, GROUP)}
    for address, mail in first.items():
        assert headers_of(mail) == sorted(OURS)
        assert mail["from"].addresses[0].addr_spec == "lockbox@appliance.example"
        assert mail["from"].addresses[0].display_name == "lockbox on appliance"
        assert [a.addr_spec for a in mail["to"].addresses] == [address]
        assert mail["subject"].startswith(f"Action needed: {request}, eng@appliance for SHA256:")
        assert mail["auto-submitted"] == "auto-generated"
        assert mail.get_content_type() == "multipart/alternative"
    assert first[BOB]["to"].addresses[0].display_name == "bob"
    assert first[BOB]["message-id"] == first[BOB_TOO]["message-id"] != first[CAROL]["message-id"]
    text, page = text_of(first[BOB]), text_of(first[BOB], "html")
    Balance(page)
    for words in ("CASE-1001", "the disk is full", "2h", f"https://portal.example/r/{request}", f"lockboxctl approve {request}",
                  box.client.fingerprint("alice")):
        assert words in text and words in page
    assert re.search(r"Decide by:  20\d\d-\d\d-\d\d \d\d:\d\d UTC", text)
    assert re.findall(r'(?:src|href)="(?!https://portal\.example)', page) == []

    again = Engineer(box).connect()  # who comes back to his request asks nobody again
    again.terminal.expect_exact(WAIT)
    again.hang_up()
    Person(box).deny(request, "--note", "not today")
    for address, mail in first.items():
        _, end = office.server.wait(address, 2)
        assert end["subject"].startswith(f"Denied: {request}, eng@appliance")
        assert end["references"] == end["in-reply-to"] == mail["references"] == f"<{request}@appliance>"
        assert end["message-id"] != mail["message-id"]
        assert "bob denied" in text_of(end) and "not today" in text_of(end)


def test_a_new_address(office):
    """What lockboxd has read again the courier has, too."""
    office.open()
    office.box.write("/etc/lockbox/approvers.conf", APPROVERS.replace(CAROL, "carol@elsewhere.example"))
    office.box.systemctl("reload", "lockboxd.service")
    office.ask()
    office.server.wait("carol@elsewhere.example")
    office.server.wait(BOB)
    assert office.server.mails(CAROL) == []


def test_the_receipt(office):
    """What the end of an access found, and who let it in."""
    office.open(f"To={GROUP}", port=SMTPS)
    box, bob = office.box, Person(office.box)
    engineer = Engineer(box)
    request = engineer.enter(bob)
    bob.revoke(request)
    mails = office.server.wait(GROUP, 3)
    assert [mail["subject"].split(":")[0] for mail in mails] == ["Action needed", "Approved", "Revoked"]
    text = text_of(mails[-1])
    assert re.search(r"Receipt:    \d+ process(es)? ended in \d+ ms, nothing left\n", text)
    assert "bob approved, " in text and "Ended by:   bob" in text


def test_a_message(office):
    """The engineer's words to who decides; not the approver's own."""
    office.open()
    engineer = Engineer(office.box)
    request = engineer.request()
    engineer.wait("please, it is urgent")
    mail = office.server.wait(CAROL, 2)[-1]
    assert mail["subject"].startswith(f"Message: {request}") and "please, it is urgent" in text_of(mail)
    Person(office.box).ctl("ask", request, "why?")
    office.wait_caught_up()
    office.server.wait(CAROL, 2)


def test_a_reminder(office):
    """Once, before it expires; a decision takes it back."""
    office.open()
    decided, waiting = office.ask("CASE-1"), office.ask("CASE-2")
    due = office.outbox("SELECT request, due FROM letters WHERE notice = 2 AND target = 'carol@customer.example'")
    expires = {r["id"]: r["decide_by"] for r in json.loads(office.box.ctl("list", "--json").stdout)["requests"]}
    for request, at in due:
        stamp = office.box.run("date", "-d", expires[request], "+%s").stdout
        assert abs(at / 1e6 - (int(stamp) - 3600)) <= 1
    assert sorted(request for request, _ in due) == sorted([decided, waiting])
    Person(office.box).deny(decided)
    office.server.wait(CAROL, 3)
    office.box.systemctl("stop", UNIT)
    office.outbox("UPDATE letters SET due = 1 WHERE notice = 2")  # an hour before it expires has come
    office.box.systemctl("start", UNIT)
    last = office.server.wait(CAROL, 4)[-1]
    assert last["subject"].startswith(f"Still waiting: {waiting}") and "It is not decided yet" in text_of(last)


def test_an_alarm_and_an_emergency(office):
    """At once, and marked so that they are seen."""
    office.open(f"To={GROUP}")
    box = office.box
    box.policy("[Rule]\nAction=require-aproval\n", name="60-wrong.policy", event="policy-refused")
    alarm = office.server.wait(GROUP)[0]
    assert alarm["subject"] == "ALARM: Policy refused on appliance"
    assert alarm["importance"] == "high" and alarm["x-priority"] == "1 (Highest)"
    assert "60-wrong.policy" in text_of(alarm)
    box.run("rm /etc/lockbox/policy.d/60-wrong.policy")
    box.policy(RULE + "[BreakGlass]\nAllow=yes\nDuration=1h\n")
    engineer = Engineer(box)
    request = engineer.request()
    engineer.wait("!emergency the house is on fire")
    mail = office.server.wait(BOB, 2)[-1]
    assert mail["subject"].startswith(f"EMERGENCY ACCESS: {request}") and mail["importance"] == "high"
    assert f"lockboxctl revoke {request}" in text_of(mail) and "the house is on fire" in text_of(mail)


def test_names_in_other_letters(office):
    """A subject in any script, whole; and the warning where one looks like another."""
    office.open()
    name = "Jörg Müller, 漢字の名前 🔑 " + "ж" * 60
    office.box.client.certificate("alice", name, ["eng"])
    request = Engineer(office.box, key="alice", certificate="alice").request("CASE-1", "аdmin")
    mail = office.server.wait(CAROL)[0]
    assert mail["subject"] == f"Action needed: {request}, eng@appliance for {name}"
    assert "Careful: the reason mixes alphabets." in text_of(mail)
    assert "Careful" in text_of(mail, "html")


def test_hostile_text(office):
    """Rows 11, 13: none of it ends a line, becomes a header or a tag, or reaches a reader's terminal."""
    office.open()
    box, asked = office.box, 0
    box.policy(RULE)
    for attack in [*ATTACKS.values(), "<script>alert(1)</script>", '"><img src=https://evil.example>', "=?UTF-8?Q?Bcc?=",
                   "\r\n.\r\nRCPT TO:<eve@evil.example>\r\n", "\r\n--=_lockbox--\r\n", "{engineer}[[%n"]:
        login = {"account": "eng", "service": "sshd", "scope": "login", "rhost": f"192.0.2.1{attack}", "tty": attack}
        message = json.dumps({"method": "org.lockbox.Login.Begin", "parameters": {
            "login": login, "ticket": f"T{asked}{attack}", "reason": f"why{attack}\r\nBcc: eve@evil.example{attack}"}})
        reply = box.run("nc", "-N", "-U", LOGIN, input=message + "\0", check=False).stdout
        asked += '"request"' in reply
    assert asked > 20
    for mail in office.server.wait(CAROL, asked, timeout=60):
        assert headers_of(mail) == sorted(OURS)
        assert [a.addr_spec for a in mail["to"].addresses] == [CAROL]
        assert unsafe(mail["subject"]) == []
        assert unsafe(text_of(mail), "\n") == [] and unsafe(text_of(mail, "html"), "\n") == []
        assert re.findall(r"<(script|img)", text_of(mail, "html")) == []
        Balance(text_of(mail, "html"))
        assert len(list(mail.iter_parts())) == 2
    assert office.box.run("ls /var/mailboxes").stdout.split() == sorted([BOB, BOB_TOO, CAROL])


def test_texts_of_the_customer(office):
    """A file replaces its own text; a mistake in one is told with its line, and changes nothing."""
    box = office.box
    box.write("/etc/lockbox/mail/action.txt", ".\nHallo {person}: {engineer}[, {ticket}]\n.Grüße\n")
    box.write("/etc/lockbox/mail/action.subject", "Bitte entscheiden: {id}")
    box.write("/etc/lockbox/mail/action.html", "")
    office.open("Templates=/etc/lockbox/mail")
    request = office.ask()
    mail = office.server.wait(CAROL)[0]
    assert mail["subject"] == f"Bitte entscheiden: {request}"
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content() == ".\nHallo carol: unproven, CASE-1001\n.Grüße\n"
    box.write("/etc/lockbox/mail/action.txt", "Hallo\n{enginer}\n")
    box.systemctl("reload", UNIT)
    error = wait_for(lambda: office.status().get("config_error"), what="the mistake")
    assert error == "/etc/lockbox/mail/action.txt:2: {enginer} stands for nothing (did you mean {engineer}?)\n"
    office.ask("CASE-2")
    assert "Hallo carol" in office.server.wait(CAROL, 2)[-1].get_content()
    box.run("rm -r /etc/lockbox/mail")


# What cannot arrive


@pytest.mark.parametrize("wrong", ["other-host", "expired", "self-signed", "no TLS"])
def test_a_server_that_is_not_the_one(every_office, wrong):
    """Row 26: nothing is said to it, the password least of all; it is tried again, and given up in the end."""
    office = every_office
    words = {"other-host": "host|subject", "expired": "certificate|expired", "self-signed": "certificate|self",
             "no TLS": "STARTTLS"}[wrong]
    if wrong == "no TLS":
        office.open(port=NO_TLS)
    else:
        office.open(certificate=wrong)
    office.ask()
    office.wait_failing(CAROL, words)
    assert office.dead() == [] and office.server.mails(CAROL) == []
    office.box.systemctl("stop", UNIT)
    office.outbox("UPDATE letters SET until = 1 WHERE target = 'carol@customer.example'")  # its time is over
    office.box.systemctl("start", UNIT)
    assert re.search(words, office.wait_dead(CAROL)["error"], re.IGNORECASE)
    office.box.wait_event("undelivered", lambda entry: CAROL in entry["MESSAGE"], timeout=30)
    log = office.box.run("journalctl --no-pager SYSLOG_IDENTIFIER=smtpd").stdout
    assert "from=<lockbox@appliance.example>" not in log.split("starting")[-1]
    office.server.start()
    office.configure(office.server.config())
    assert len(office.server.wait(BOB)) == 1  # which was not given up


def test_greylisting(office):
    """Another day: the same mail, tried again."""
    office.open(refused=[CAROL], answer="451 4.7.1 greylisted, come back")
    office.ask()
    office.server.wait(BOB)  # others do not wait for her
    office.wait_failing(CAROL, "451")
    assert office.dead() == []
    office.server.start()
    office.server.wait(CAROL)


def test_nobody_of_that_name(office):
    """The server says never: given up at once, told in the log, and in nobody else's way."""
    office.open(refused=[CAROL])
    request = office.ask()
    assert "550" in office.wait_dead(CAROL)["error"]
    told = office.box.wait_event("undelivered", timeout=30)
    assert CAROL in told["MESSAGE"] and told["LOCKBOX_REQUEST"] == request
    office.server.wait(BOB)
    office.server.start()
    office.box.ctl("courier", "retry")
    office.server.wait(CAROL)


def test_a_wrong_password(office):
    """Ours to mend: no letter is given up for it; and it is told nowhere, right or wrong."""
    box = office.box
    office.secret("mail-password", "Falsches-Passwort-4712")
    office.open(f"To={GROUP}")
    office.ask()
    office.wait_failing(CAROL, "denied|auth|535")
    assert office.dead() == []
    office.secret("mail-password", PASSWORD)
    office.server.wait(CAROL)
    output = box.ctl("courier", "test", "mail", check=False)
    assert output.returncode == 0
    places = {"test": output.stdout + output.stderr, "status": json.dumps(office.status()),
              "journal": box.run("journalctl --boot --no-pager --all").stdout,
              "outbox": box.run(f"strings {OUTBOX}/* 2>/dev/null || cat {OUTBOX}/*").stdout}
    for secret in (PASSWORD, "Falsches-Passwort-4712", base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()):
        for place, text in places.items():
            assert secret not in text, place


def test_a_secret_that_others_can_read(office):
    """Not used; and said."""
    office.secret("mail-password", PASSWORD)
    office.box.run("chmod 0444 /etc/lockbox/mail-password")
    office.open()
    office.ask()
    office.wait_failing(CAROL, "others can read")
    office.box.run("chmod 0400 /etc/lockbox/mail-password")
    office.server.wait(CAROL)


def test_a_server_that_dies(office):
    """It had all of the mail and had not said so: the mail comes once more, under the same name."""
    box = office.box
    box.write("/etc/lockbox/approvers.conf", f"[carol]\nUser=carol\nMail={CAROL}\n")
    box.systemctl("reload", "lockboxd.service")
    office.open(killer=True)
    request = office.ask()
    wait_for(office.server.has_been_killed, timeout=30, what="the server to die")
    office.wait_failing(CAROL, ".")
    ((body,),) = office.outbox(f"SELECT body FROM letters WHERE target = '{CAROL}' AND notice = 1")
    office.server.start()
    mail = office.server.wait(CAROL)[0]
    assert mail["message-id"] == parse(body)["message-id"]
    assert mail["message-id"].startswith(f"<{request}.") and mail["message-id"].endswith(".action.carol@appliance>")


# Trying it out


def test_a_test(office):
    """`lockboxctl courier test mail`: what happens, step by step, and whether it arrives."""
    office.open(f"To={GROUP}")
    done = office.box.ctl("courier", "test", "mail")
    assert HOST in done.stdout and re.search(r"^250 .*delivered$", done.stdout, re.DOTALL | re.MULTILINE)
    mail = office.server.wait(GROUP)[0]
    assert mail["subject"] == "Test: mail from lockbox on appliance arrives"
    office.box.ctl("courier", "test", "mail", CAROL)
    office.server.wait(CAROL)
    office.server.start(certificate="expired")
    failed = office.box.ctl("courier", "test", "mail", check=False)
    assert failed.returncode == 1 and "certificate" in failed.stdout + failed.stderr
