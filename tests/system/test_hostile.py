# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rows 11 and 12: hostile text through every way in, seen at every way out; one table, on one machine."""

import json
import os
import subprocess

import pexpect
import pytest
from appliance import PATIENCE
from hostile import ATTACKS, LOOKALIKES, PLAIN, strings, unsafe
from people import SHELL, WAIT, Engineer, Person, requests, show

LOGIN = "/run/lockbox/login.socket"
RULE = "[Rule]\nAction=require-approval\n[Request]\nMaxPending=200\n[Access]\nDuration=1h\n"


def typed(text):
    """The bytes of a line for a terminal, each behind ^V, so that none means anything to the line itself."""
    return b"".join(b"\x16" + bytes([byte]) for byte in text.encode(errors="surrogateescape") if byte not in b"\r\n")


def is_utf8(text):
    return not any("\udc80" <= c <= "\udcff" for c in text)


def ssh_prompts(box, account, attack):
    """Ticket, reason and a message, typed at the prompts."""
    engineer = Engineer(box, account).connect()
    for prompt, text in (("Ticket: ", "A-1"), ("Reason: ", "why"), ("]: ", "")):
        engineer.terminal.expect_exact(prompt)
        os.write(engineer.terminal.child_fd, typed(f"{text}{attack}" if text else "") + b"\n")
    request = engineer.read_request()
    os.write(engineer.terminal.child_fd, typed(f"{attack}z") + b"\n")
    engineer.terminal.expect_exact(WAIT)
    return request


def command_line(box, ticket, reason):
    """`lockboxctl request`, from an account of the engineer's."""
    return box.ctl("request", "--ticket", ticket, "--reason", reason, user="eng", check=False)


def begin(box, **parameters):
    """Login.Begin as the module would call it, if it believed everything: the raw reply."""
    message = json.dumps({"method": "org.lockbox.Login.Begin", "parameters": parameters})
    return box.run("nc", "-N", "-U", LOGIN, input=message + "\0", check=False).stdout.rstrip("\0")


def everything_shown(box, request):
    """What each way out has to say about a request: name → text."""
    shown = {}
    for verb in (["list", "--all"], ["show", request], ["events", request]):
        terminal = box.spawn("lockboxctl", *verb)
        terminal.expect(pexpect.EOF)
        shown[f"{verb[0]} on a terminal"] = terminal.before
        shown[f"{verb[0]} in a pipe"] = box.ctl(*verb).stdout
    return shown


def assert_clean(entry):
    """A journal entry; journalctl spells what is no plain text as a list of bytes."""
    for field, value in entry.items():
        if field == "MESSAGE" or field.startswith("LOCKBOX_"):
            assert isinstance(value, str) and unsafe(value) == [], (field, value)


def assert_nothing_came_through(box, request):
    for where, text in everything_shown(box, request).items():
        assert unsafe(text, PLAIN) == [], where
    for verb in (["list", "--all"], ["show", request], ["events", request]):
        lines = box.ctl(*verb, "--json").stdout.splitlines()
        assert lines
        for line in lines:
            assert [unsafe(text) for text in strings(json.loads(line)) if unsafe(text)] == [], verb
    story = box.story(request)
    assert story
    for entry in story:
        assert_clean(entry)


@pytest.fixture
def desk(box):
    """bob in front of a terminal, on which messages arrive."""
    box.policy(RULE)
    return Person(box).log_in()


def read_desk(desk, box, last):
    """All that has come to bob's terminal up to this word."""
    desk.expect_exact(last)
    text = desk.before + last
    desk.sendline("")
    desk.expect(SHELL)
    return text


def test_what_the_engineer_writes(box, desk):
    """Row 11: ticket, reason and messages, at the prompts and on the command line; bob's terminal, lists, journal."""
    attacks = list(ATTACKS.values())
    asked = [ssh_prompts(box, "eng", "".join(attacks[::2])), ssh_prompts(box, "eng2", "".join(attacks[1::2]))]
    for name, attack in ATTACKS.items():
        result = command_line(box, f"A-{len(asked)}{attack}", f"why {name} {attack} end")
        assert unsafe(result.stdout + result.stderr, PLAIN) == [], name
        if result.returncode == 2:
            assert "not valid UTF-8" in result.stderr and not is_utf8(attack)
            continue
        asked.append(requests(box, "--pending")[0]["id"])
    assert len(asked) == len(set(asked)) >= 2 + len(ATTACKS) - 5
    command_line(box, "LAST-1", "the last one")
    assert unsafe(read_desk(desk, box, "the last one"), PLAIN) == []
    for request in asked:
        assert_nothing_came_through(box, request)


def test_what_the_customer_writes(box, desk):
    """Row 11: questions, answers and notes; the engineer's terminal."""
    engineer, bob = Engineer(box), Person(box)
    request = engineer.request()
    engineer.wait()
    text = "".join(filter(is_utf8, ATTACKS.values()))  # the rest is not taken from a command line
    bob.ctl("ask", request, f"which{text}disk?")
    engineer.terminal.expect_exact("disk?")
    assert unsafe(engineer.terminal.before, PLAIN) == []
    engineer.answer(WAIT, "the second")
    engineer.answer(WAIT, "")
    bob.approve(request, "--note", f"note{text}end")
    engineer.at_shell()
    assert unsafe(engineer.terminal.before, PLAIN) == []
    assert_nothing_came_through(box, request)
    bob.revoke(request, "--note", f"over{text}end")
    assert unsafe(engineer.read_to_end(), PLAIN) == []
    assert_nothing_came_through(box, request)


def test_who_the_engineer_says_he_is(box, desk):
    """Rows 11, 12: the certificate's Key ID, which the vendor chooses, hostile and look-alike."""
    identity = "alice\x1b]52;c;AAAA\x07\u202e\u200b\x9b@vendor\nbob"
    box.client.certificate("alice", identity, ["eng"])
    request = Engineer(box, key="alice", certificate="alice").request("CASE-1", "one")
    assert unsafe(read_desk(desk, box, "one"), PLAIN) == []
    assert show(box, request)["engineer"].startswith("alice\ufffd]52;c;AAAA")
    assert_nothing_came_through(box, request)
    box.client.certificate("alice", f"{LOOKALIKES['cyrillic']}@vendor", ["eng"])
    request = Engineer(box, key="alice", certificate="alice").request("CASE-2", "two")
    assert "Careful" in read_desk(desk, box, f"show {request}")
    assert "the engineer mixes alphabets" in box.ctl("show", request).stdout


@pytest.mark.parametrize("field", ["ticket", "reason"])
def test_letters_that_look_alike(box, desk, field):
    """Row 12: nothing is taken away, and the approver is warned where he reads and where he is told."""
    for number, word in enumerate(LOOKALIKES.values()):
        words = {"ticket": f"CASE-{number}", "reason": "why"}
        words[field] += f" {word}"
        command_line(box, **words)
        (request,) = [r for r in requests(box, "--pending") if r[field] == words[field]]
        assert f"the {field} mixes alphabets" in box.ctl("show", request["id"]).stdout
        assert "Careful" in read_desk(desk, box, f"show {request['id']}")
    command_line(box, "CASE-9", "Grüße, привет: a plain text in two languages")
    assert "Careful" not in read_desk(desk, box, "two languages")


def test_where_the_login_comes_from(box, desk):
    """Row 11: what PAM says about the place, from a program that lies; NUL and invalid bytes are not taken at all."""
    login = {"account": "eng", "service": "sshd" + ATTACKS["colour"], "scope": "login", "tty": ATTACKS["title"] + "tty",
             "rhost": ATTACKS["newline"] + ATTACKS["zero width"] + "192.0.2.1", "user": ATTACKS["tags"]}
    reply = json.loads(begin(box, login=login, ticket="T", reason="place"))
    request = reply["parameters"]["request"]
    assert unsafe(read_desk(desk, box, "place"), PLAIN) == []
    assert show(box, request)["rhost"].endswith("192.0.2.1")
    assert_nothing_came_through(box, request)
    nul = json.dumps({"method": "org.lockbox.Login.Begin", "parameters": {"login": login, "ticket": "T\0", "reason": "r"}})
    for raw in nul.encode(), nul.encode().replace(b"\\u0000", b"\xff"):
        nc = box.popen("nc", "-N", "-U", LOGIN, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert nc.communicate(raw + b"\0", timeout=PATIENCE)[0] == b""  # the connection is closed
    assert len(requests(box)) == 1


def test_an_account_that_there_is_not(box):
    """Row 11: a refusal names the account as it was given; it is text like any other."""
    login = {"account": "eng" + ATTACKS["colour"] + ATTACKS["right to left override"], "service": "sshd", "scope": "login"}
    begin(box, login=login)
    refused = box.wait_event("refused")
    assert_clean(refused)


def test_overlong(box):
    """Row 11: what is too long is refused on the command line and cut at a character on the sockets."""
    assert command_line(box, "T" * 65, "r").returncode == 2
    assert command_line(box, "T", "r" * 401).returncode == 2
    login = {"account": "eng", "service": "sshd", "scope": "login"}
    reply = begin(box, login=login, ticket="ü" * 100, reason="漢" * 1000)
    request = show(box, json.loads(reply)["parameters"]["request"])
    assert (request["ticket"], request["reason"]) == ("ü" * 32, "漢" * 133)
    too_much = begin(box, login=login, ticket="T", reason="r" * 5000)
    assert "InvalidParameter" in too_much
