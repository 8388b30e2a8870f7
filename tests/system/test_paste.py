# SPDX-License-Identifier: LGPL-2.1-or-later
"""Consent without a network: the prompt shows the text, the customer signs it elsewhere, the signature is pasted back."""

import json
import re

import pytest
import qr
from lockbox import password
from people import SHELL, WAIT, Engineer, Person, requests, show
from signing import KEYS, PEOPLE_FILE, REVOKED, SIGNERS, make_key, one_line, sign, statement, trust

RULE = "[Rule]\nAction=require-approval\n"
BOTH = "(bob, carol|carol, bob)"  # as the group has them, which a test before may have changed
OFFER = "A signature can approve it here: !sign"


@pytest.fixture
def paper(box):
    """A box on which bob and carol have keys, and need not use them."""
    trust(box, bob='namespaces="lockbox-consent" ', carol="")
    yield box
    box.run("rm", "-f", SIGNERS, REVOKED, PEOPLE_FILE)


@pytest.fixture
def everywhere(every_box):
    trust(every_box, bob='namespaces="lockbox-consent" ')
    yield every_box
    every_box.run("rm", "-f", SIGNERS, REVOKED, PEOPLE_FILE)


def say(engineer, line):
    """Types a line at the prompt to wait; returns what is shown until it comes back."""
    engineer.terminal.sendline(line)
    engineer.terminal.expect_exact(WAIT)
    return engineer.terminal.before.replace("\r\n", "\n")


def text_in(shown):
    """The lines to sign among what is shown."""
    return re.search(r"^Lockbox consent.*^Digest: [0-9a-f]{64}\n", shown, re.MULTILINE | re.DOTALL).group(0)


def words(box, request):
    """What has been said to the approver."""
    return [message["text"] for message in show(box, request).get("messages", [])]


def test_at_an_ssh_prompt(everywhere):
    """!sign shows the very bytes that lockboxctl statement prints; signed elsewhere and pasted, they let in, and are kept
    as those that are handed in."""
    box = everywhere
    engineer = Engineer(box).connect()
    engineer.ask()
    engineer.terminal.expect_exact(OFFER)
    engineer.terminal.expect_exact(WAIT)
    request = requests(box, "--pending")[0]["id"]
    shown = say(engineer, "!sign bob")
    text = text_in(shown)
    assert text == statement(box, request)
    assert "ssh-keygen -Y sign -n lockbox-consent -f KEY FILE" in shown and "bob SIGNATURE" in shown
    signature = sign(box, text)
    engineer.wait("bob " + one_line(signature))
    engineer.at_shell()
    event = json.loads(box.wait_event("approved", LOCKBOX_REQUEST=request)["LOCKBOX_JSON"])
    assert (event["evidence"], event["statement"], event["signature"]) == ("signed", text, signature)
    assert event["signer"].startswith("ED25519 SHA256:") and event["approver"] == "bob"
    assert words(box, request) == []


def test_only_at_a_prompt(paper):
    """Where nothing can be pasted the offer is not made; a word that is mistyped names it at the prompt."""
    assert OFFER not in paper.ctl("request", "--reason", "why", user="eng2").stderr
    engineer = Engineer(paper)
    request = engineer.request()
    assert "back, !sign shows what to sign. Other words go to the approver." in say(engineer, "!sing")
    assert words(paper, request) == []


def test_at_a_console(everywhere):
    """The same in front of the machine; a code as well where the terminal shows UTF-8 and has room."""
    box = everywhere
    console = box.console_login()
    console.sendline("eng")
    engineer = at_login(box, console)
    engineer.ask()
    request = engineer.read_request()
    text = text_in(say(engineer, "!sign bob 2h"))
    assert "Duration: 2h (7200 s)\n" in text
    code = qr.decode(say(engineer, "!qr bob 2h"))
    assert code == text.encode()
    engineer.wait("bob 2h " + one_line(sign(box, text)))
    console.expect(r"\$ ")
    assert show(box, request)["state"] == "active" and show(box, request)["duration"] == 7200


def at_login(box, terminal):
    """An engineer whom login(1) asks on this terminal, at the prompt to wait."""
    engineer = Engineer(box)
    engineer.terminal = terminal
    engineer.answer("assword: ", password("eng"))
    return engineer


def test_the_code_comes_by_itself(paper):
    """On a console that says it shows UTF-8 !sign draws the code too, if there are columns for it; else it says how to."""
    box = paper
    console = box.console_login()
    console.sendline("eng")
    engineer = at_login(box, console)
    engineer.ask()
    engineer.read_request()
    shown = say(engineer, "!sign bob")
    assert qr.decode(shown) == text_in(shown).encode() and "!qr" not in shown
    box.run(f"stty -F /dev/{console.tty} cols 60")
    shown = say(engineer, "!sign bob")
    assert "\u2588" not in shown and "!qr bob" in shown and text_in(shown)
    # a terminal that does not say so, as wide as it may be
    engineer = at_login(box, box.spawn("stty -iutf8 cols 200; exec login eng"))
    engineer.ask()
    engineer.read_request()
    shown = say(engineer, "!sign bob")
    assert "\u2588" not in shown and "!qr bob" in shown and text_in(shown)


def test_a_long_text_as_a_code(paper):
    """The most that ticket and reason can hold still goes into a code, through ssh, byte for byte; letters of all kinds."""
    box = paper
    engineer = Engineer(box)
    request = engineer.request("T" * 64, "Straße " + "die Festplatte ist voll " * 16)
    assert qr.decode(say(engineer, "!qr bob")) == statement(box, request).encode()


def test_on_the_approvers_terminal(paper):
    """lockboxctl statement --qr, in a login: the same bytes as a code."""
    box = paper
    request = Engineer(box).request()
    terminal = Person(box).log_in()
    terminal.sendline(f"lockboxctl statement {request} --decision deny --note no --qr")
    terminal.expect(SHELL)
    text = statement(box, request, "bob", "deny", "--note", "no")
    assert qr.decode(terminal.before) == text.encode()


def test_a_later_login(paper):
    """Nothing is kept in between: the signature is pasted in another login, without a word before it, after a restart."""
    box = paper
    engineer = Engineer(box)
    request = engineer.request()
    text = text_in(say(engineer, "!sign bob"))
    engineer.hang_up()
    box.systemctl("restart", "lockboxd.service")
    assert engineer.connect().read_request() == request
    engineer.wait(one_line(sign(box, text)))
    engineer.at_shell()
    assert show(box, request)["approvals"][0]["approver"] == "bob"


def test_who_can_sign(paper):
    """Without a name it is the only one who can, or the names are listed; who cannot is said to be so."""
    box = paper
    engineer = Engineer(box)
    engineer.request()
    shown = say(engineer, "!sign")
    assert re.search(f"Who signs\\? One of: {BOTH}\\. Such as: !sign (bob|carol)\n", shown)
    shown = say(engineer, "!sign dora")
    assert re.search(f"dora cannot approve it now; {BOTH} can", shown)
    assert "!sign [NAME] [DURATION]" in say(engineer, "!sign bob soon")
    trust(box, carol="")
    assert "Approver: carol" in say(engineer, "!sign")
    box.run("rm", SIGNERS)
    assert OFFER not in say(engineer, "!sign bob") and re.search(BOTH, say(engineer, "!sign"))
    engineer.hang_up()
    engineer.connect().read_request()
    assert OFFER not in engineer.terminal.before
    box.policy(RULE + "[Approval]\nEvidence=signed\n")  # nothing else is a yes
    engineer.wait("!withdraw")
    engineer.read_to_end()
    engineer.connect().ask()
    engineer.terminal.expect_exact(OFFER)
    engineer.terminal.expect_exact(WAIT)
    assert "names no keys yet" in say(engineer, "bob " + one_line(sign(box, "a text")))


def test_whose_it_is_is_found(paper):
    """Of several who could have signed the key says who did; one of nobody who can approve is nobody's."""
    box = paper
    engineer = Engineer(box)
    request = engineer.request()
    assert "nobody has this key" in say(engineer, one_line(sign(box, statement(box, request), "stranger")))
    trust(box, bob="", carol="", dora="")
    assert "the key of nobody who can approve" in say(engineer, one_line(sign(box, statement(box, request), "dora")))
    engineer.wait(one_line(sign(box, statement(box, request, "carol"), "carol")))
    engineer.at_shell()
    assert show(box, request)["approvals"][0]["approver"] == "carol"


def test_the_vendors_stage(box):
    """The vendor's own approval is pasted in the same way, and does nothing at the customer's stage."""
    box.write(PEOPLE_FILE, "[dm]\nGroups=duty\n[bob]\nGroups=board\n[carol]\nGroups=board\n")
    box.policy(RULE + "[Approval]\nInternal=@duty\nCustomer=@board\nQuorum=2\n")
    trust(box, dm="", bob="", carol="")
    try:
        engineer = Engineer(box)
        request = engineer.request()
        text = text_in(say(engineer, "!sign"))
        assert "Stage: internal" in text and "Approver: dm" in text
        assert "bob cannot approve it now; dm can" in say(engineer, "!sign bob")
        internal = one_line(sign(box, text, "dm"))
        shown = say(engineer, internal)
        assert "The approval of dm is taken." in shown and "the customer decides" in shown
        assert show(box, request)["state"] == "pending"
        assert "is not taken" in say(engineer, internal) and "is not taken" in say(engineer, "dm " + internal)
        texts = {name: text_in(say(engineer, f"!sign {name}")) for name in ("bob", "carol")}
        assert "The approval of bob is taken." in say(engineer, one_line(sign(box, texts["bob"])))
        assert "bob cannot approve it now; carol can" in say(engineer, "bob " + one_line(sign(box, texts["bob"])))
        engineer.wait("carol " + one_line(sign(box, texts["carol"], "carol")))
        engineer.at_shell()
        assert [approval["evidence"] for approval in show(box, request)["approvals"]] == ["signed"] * 3
    finally:
        box.run("rm", "-f", SIGNERS, PEOPLE_FILE)


def test_what_is_not_taken(paper):
    """Another's key, another time, request, decision or namespace, a key that is over or revoked, who was removed: each is
    told at the prompt, is in the log, and the request waits on (rows 15, 16, 17, 29)."""
    box = paper
    other = Engineer(box, "eng2", key="albert")
    theirs = statement(box, other.request("CASE-2"))
    engineer = Engineer(box)
    request = engineer.request()
    text = statement(box, request)
    good = one_line(sign(box, text))
    shorter = statement(box, request, "bob", "approve", "--for", "1h")

    def refused(line, why):
        shown = say(engineer, line)
        assert why in shown, shown

    refused("bob " + one_line(sign(box, text, "carol")), "no signature of bob")
    refused("bob " + one_line(sign(box, theirs)), "incorrect signature")
    refused("bob " + one_line(sign(box, shorter)), "incorrect signature")
    refused("bob 1h " + good, "incorrect signature")
    refused("carol " + good, "no signature of carol")
    refused("bob " + one_line(sign(box, statement(box, request, "bob", "deny"))), "incorrect signature")
    refused("bob " + one_line(sign(box, text.rstrip("\n"))), "incorrect signature")
    refused("bob " + one_line(sign(box, text, namespace="file")), "namespace")
    attempts = [json.loads(entry["LOCKBOX_JSON"])["request"] for entry in box.events(LOCKBOX_EVENT="illegal")]
    assert attempts == [request] * 8
    for options, why in (('valid-before="20200101" ', "expired"), ('valid-after="20990101" ', "not yet valid"),
                           ('namespaces="git" ', "not permitted")):
        trust(box, bob=options)
        refused("bob " + good, why)
    trust(box, bob="")
    box.run(f"ssh-keygen -q -k -f {REVOKED} {KEYS}/bob.pub")
    refused("bob " + good, "revoked")
    box.write(REVOKED, box.read(f"{KEYS}/bob.pub"))
    refused("bob " + good, "revoked")
    box.run("rm", REVOKED)
    box.write(SIGNERS, f"bob {box.client.public_key('alice')}\n")
    mine = box.run("ssh-keygen", "-q", "-Y", "sign", "-n", "lockbox-consent", "-f", box.client.key("alice"), input=text)
    refused("bob " + one_line(mine.stdout), "engineer's key")
    trust(box, bob="")
    box.run("gpasswd", "-d", "bob", "lockbox-approvers")
    try:
        refused("bob " + good, "bob cannot approve it now; carol can")
    finally:
        box.run("gpasswd", "-a", "bob", "lockbox-approvers")
    assert show(box, request)["state"] == "pending" and words(box, request) == []
    engineer.wait("bob 100d " + good)  # as long as was asked for
    engineer.at_shell()


def test_a_piece_of_a_signature(paper):
    """What was cut or pasted as several lines is told to be so, and is not said to the approver; words are."""
    box = paper
    engineer = Engineer(box)
    request = engineer.request()
    signature = sign(box, statement(box, request))
    pieces = signature.splitlines()
    cut = [one_line(signature)[:-10], one_line(signature)[-10:], "bob " + one_line(signature)[:200]]
    for line in [pieces[2], *pieces, *cut, one_line(signature)[:-1]]:
        assert "This is part of a signature" in say(engineer, line), line
    assert "Before a signature stand at most" in say(engineer, "here it is: " + one_line(signature))
    make_key(box, "rsa", "rsa")
    long = one_line(sign(box, statement(box, request), "rsa"))
    assert "RSA keys, certificates and passkeys are too long for a prompt" in say(engineer, "bob " + long)
    assert words(box, request) == []
    say(engineer, "is the signature on its way?")
    assert words(box, request) == ["is the signature on its way?"]
    engineer.wait("bob " + " ".join(signature.splitlines()[1:-1]))  # blanks in it say nothing
    engineer.at_shell()


def test_too_many(paper):
    """As many as are handed in, a minute; the request waits on."""
    box = paper
    engineer = Engineer(box)
    request = engineer.request()
    bad = "bob " + one_line(sign(box, "another text"))
    for _ in range(30):
        assert "incorrect signature" in say(engineer, bad)
    assert "try again in a minute" in say(engineer, "bob " + one_line(sign(box, statement(box, request))))
    assert show(box, request)["state"] == "pending"


def test_too_long_for_a_console(everywhere):
    """login(1) takes 511 bytes of a line and drops the rest: what is left is told for what it is."""
    box = everywhere
    make_key(box, "rsa", "rsa")
    console = box.console_login()
    console.sendline("eng")
    engineer = at_login(box, console)
    engineer.ask()
    request = engineer.read_request()
    signature = one_line(sign(box, statement(box, request), "rsa"))
    shown = say(engineer, "bob " + signature)
    assert "too long for a prompt" in shown
    say(engineer, "it will be handed in")
    assert words(box, request) == ["it will be handed in"]


@pytest.mark.parametrize("kind", ["ed25519-sk", "ecdsa-sk", "ecdsa"])
def test_kinds_of_keys(paper, kind):
    """Those of security keys and others fit into the prompt, and are named in the log."""
    box = paper
    path = make_key(box, kind, kind)
    box.write(SIGNERS, f"bob {box.read(path + '.pub')}")
    engineer = Engineer(box)
    request = engineer.request()
    signature = one_line(sign(box, statement(box, request), kind))
    assert len(signature) < 450
    engineer.wait(signature)
    engineer.at_shell()
    event = json.loads(box.wait_event("approved", LOCKBOX_REQUEST=request)["LOCKBOX_JSON"])
    assert event["signer"].startswith(f"{kind.upper()} SHA256:")
