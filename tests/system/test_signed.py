# SPDX-License-Identifier: LGPL-2.1-or-later
"""Consent that is a signature: what it is bound to, and that nothing else will do where a rule asks for it."""

import json
import subprocess
import time

import pytest
from appliance import wait_for
from people import Engineer, Person, show
from signing import (KEYS, PEOPLE_FILE, REVOKED, SIGNERS, make_key, one_line, security_key, sign, statement, submit,
                     trust)

KEYGEN = "/usr/bin/ssh-keygen"
GO = "/run/lockbox-test-go"

SIGNED = "[Rule]\nAction=require-approval\n[Approval]\nCustomer=@lockbox-approvers\nEvidence=signed\n"


def ask(box, ticket="CASE-1001"):
    """A request that waits while nobody is connected."""
    engineer = Engineer(box)
    request = engineer.request(ticket)
    engineer.hang_up()
    return request


@pytest.fixture
def signed(box):
    """A box whose rule takes signatures alone, of bob and carol."""
    box.policy(SIGNED)
    trust(box, bob='namespaces="lockbox-consent" ', carol="")
    yield box
    box.run("rm", "-f", SIGNERS, REVOKED, PEOPLE_FILE)


@pytest.fixture
def everywhere(every_box):
    every_box.policy(SIGNED)
    trust(every_box, bob='namespaces="lockbox-consent" ')
    yield every_box
    every_box.run("rm", "-f", SIGNERS, REVOKED, PEOPLE_FILE)


def test_a_signed_yes_lets_in_and_is_kept(everywhere):
    """A statement, stock ssh-keygen, and whoever hands it in: the access begins, and text, signature and key are in the
    event, so that they can be verified again without us (rows 16, 29)."""
    box = everywhere
    engineer = Engineer(box)
    request = engineer.request()
    engineer.wait()
    text = statement(box, request, "bob", "approve", "--for", "2h", "--note", "as agreed")
    for line in (f"Request: {request}", "Account: eng", "Duration: 2h (7200 s)", "Approver: bob", "Stage: customer",
                 "Ticket: CASE-1001", "Note: as agreed", "Decision: approve"):
        assert line in text.splitlines()
    signature = sign(box, text)
    result = submit(box, text, signature)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"The decision about {request} was taken.\n"
    engineer.at_shell()
    event = json.loads(box.wait_event("approved", LOCKBOX_REQUEST=request)["LOCKBOX_JSON"])
    assert (event["evidence"], event["statement"], event["signature"]) == ("signed", text, signature)
    print_ = box.run("ssh-keygen", "-l", "-f", make_key(box, "bob") + ".pub").stdout.split()[1]
    assert event["signer"] == f"ED25519 {print_}"
    approval = show(box, request)["approvals"][0]
    assert (approval["approver"], approval["evidence"], approval["note"]) == ("bob", "signed", "as agreed")
    assert show(box, request)["duration"] == 7200
    # the log alone proves which request it was
    first = box.wait_event("requested", LOCKBOX_REQUEST=request)
    assert f"Digest: {first['LOCKBOX_HASH']}" in text
    # a signature is taken once
    again = submit(box, text, signature)
    assert again.returncode == 1 and "active" in again.stderr


def test_nothing_but_a_signature_counts(signed):
    """Evidence=signed: a yes from bob's login, and from root's, is none; no window can be opened. A no needs no
    signature: it opens nothing (row 29)."""
    box = signed
    box.write(PEOPLE_FILE, "[root]\nUser=root\nGroups=lockbox-approvers\n")
    box.client.authorize("root", "bob")
    box.systemctl("reload-or-restart", "lockboxd.service")
    request = ask(box)
    for name in ("bob", "root"):
        result = box.client.ssh_run(name, f"lockboxctl approve {request}", key="bob", check=False)
        assert result.returncode == 4 and "only a signed approval counts" in result.stderr, name
    window = Person(box).ctl("grant", "--account", "eng", "--ticket", "CASE-7", check=False)
    assert window.returncode == 4 and "Evidence=signed" in window.stderr
    assert show(box, request)["state"] == "pending"
    assert f"lockboxctl approve {request} --sign KEY" in box.ctl("show", request).stdout
    Person(box).deny(request)
    assert show(box, request)["state"] == "denied"


def test_one_step(signed):
    """approve --sign KEY shows the text, signs and hands in, from the approver's own login; deny as well."""
    box = signed
    make_key(box, "bob")
    box.run(f"install -o bob -m 0600 {KEYS}/bob /home/bob/consent")
    bob = Person(box)
    request = ask(box)
    result = bob.approve(request, "--sign", "/home/bob/consent", "--for", "1h")
    assert f"Approved {request}" in result.stdout and f"Request: {request}" in result.stderr
    assert show(box, request)["state"] == "active"
    bob.revoke(request)
    box.wait_event("revoked", LOCKBOX_REQUEST=request)
    request = ask(box, "CASE-1003")
    assert "Denied" in bob.deny(request, "--sign", "/home/bob/consent", "--note", "not today").stdout
    approval = show(box, request)["approvals"][0]
    assert (approval["decision"], approval["evidence"], approval["note"]) == ("deny", "signed", "not today")


@pytest.mark.parametrize("kind", ["ed25519-sk", "ecdsa-sk"])
def test_one_step_with_a_security_key(everywhere, kind):
    """approve --sign with a key on a token, and a deny that was signed elsewhere; both are named by key."""
    box = everywhere
    key = make_key(box, kind, kind)
    box.write(SIGNERS, f"bob {box.read(key + '.pub')}")
    box.run(f"install -o bob -m 0600 {key} /home/bob/consent")
    request = ask(box)
    command = f"{security_key(box)} lockboxctl approve {request} --sign /home/bob/consent"
    box.client.ssh_run("bob", command, key="bob")
    event = json.loads(box.wait_event("approved", LOCKBOX_REQUEST=request)["LOCKBOX_JSON"])
    assert event["evidence"] == "signed" and event["signer"].startswith(f"{kind.upper()} SHA256:")
    Person(box).revoke(request)
    box.wait_event("revoked", LOCKBOX_REQUEST=request)
    request = ask(box, "CASE-1002")
    text = statement(box, request, "bob", "deny")
    assert submit(box, text, sign(box, text, kind)).returncode == 0
    assert json.loads(box.wait_event("denied", LOCKBOX_REQUEST=request)["LOCKBOX_JSON"])["signer"] == event["signer"]


def test_rsa_and_one_line(signed):
    """What is too long for a prompt is handed in; and what was made for a prompt is taken here as well."""
    box = signed
    box.write(SIGNERS, f"bob {box.read(make_key(box, 'rsa', 'rsa') + '.pub')}")
    request = ask(box)
    text = statement(box, request)
    signature = sign(box, text, "rsa")
    assert submit(box, text, one_line(signature) + "\n").returncode == 0
    event = json.loads(box.wait_event("approved", LOCKBOX_REQUEST=request)["LOCKBOX_JSON"])
    assert event["signature"] == signature and event["signer"].startswith("RSA SHA256:")


def test_it_is_bound_to_one_request(signed):
    """A text signed for one request does nothing for another, whichever of its lines is exchanged (row 16)."""
    box = signed
    first = ask(box)
    text = statement(box, first)
    Person(box).deny(first)
    second = ask(box)
    assert submit(box, text, sign(box, text)).returncode == 1
    theirs = statement(box, second)
    for label in ("Request", "Nonce", "Digest"):
        line = next(line for line in theirs.splitlines() if line.startswith(label))
        text = "".join((line if old.startswith(label) else old) + "\n" for old in text.splitlines())
        if label != "Digest":
            assert submit(box, text, sign(box, text)).returncode == 1, label
    assert show(box, second)["state"] == "pending"
    text = theirs
    assert submit(box, text, sign(box, text)).returncode == 0


def test_who_keeps_it_back_does_not_move_it(signed):
    """A text that names the time of its begin is for that time: handed in later it is good for what is left, and then for
    nothing (row 16: replay at another time)."""
    box = signed
    request = ask(box)
    begins = time.time() + 3
    over, late = (statement(box, request, "bob", "approve", "--from", "+3s", "--for", span) for span in ("2s", "1h"))
    assert "Begins: 2" in over and "Duration: 1h (3600 s)" in late
    signatures = {text: sign(box, text) for text in (over, late)}
    wait_for(lambda: time.time() > begins + 3, what="the time to be over")
    refused = submit(box, over, signatures[over])
    assert refused.returncode == 1 and "signed for is over" in refused.stderr
    assert submit(box, late, signatures[late]).returncode == 0
    event = json.loads(box.wait_event("approved", LOCKBOX_REQUEST=request)["LOCKBOX_JSON"])
    assert event["duration"] <= 3597 * 1000000 and event["statement"] == late
    assert show(box, request)["duration"] == event["duration"] // 1000000


def test_each_line_is_what_was_signed(signed):
    """A changed text is refused even with a signature over the change; a changed duration, too, and none makes it
    longer than was asked for (rows 17, 31)."""
    box = signed
    request = ask(box)
    text = statement(box, request)
    signature = sign(box, text)
    lines = text.splitlines()
    for i, line in enumerate(lines):
        changed = "\n".join([*lines[:i], line + "x", *lines[i + 1 :]]) + "\n"
        assert submit(box, changed, sign(box, changed), user="root").returncode != 0, line
    for other in (text.replace("\n", "\r\n"), "\N{BYTE ORDER MARK}" + text, "\n" + text):
        result = submit(box, other, sign(box, other))
        assert result.returncode == 1 and "not with CR LF, and nothing stands before" in result.stderr
    duration = next(line for line in lines if line.startswith("Duration"))
    for longer in ("Duration: 9h (32400 s)", "Duration: 9h (9223372036854775807 s)", "Duration: forever",
                   "Duration: 292277y (9223372036854 s)"):
        changed = text.replace(duration, longer)
        result = submit(box, changed, sign(box, changed))
        assert result.returncode == 1, longer
    shorter = statement(box, request, "bob", "approve", "--for", "1h")
    assert submit(box, shorter, signature).returncode == 4  # the signature is over another text
    over = statement(box, request, "bob", "approve", "--for", "100d")
    assert duration in over  # clamped to what was asked for
    assert show(box, request)["state"] == "pending"


def test_whose_signature_it_is(signed):
    """Another's key, another namespace, an unknown key, one that is not valid now or revoked, a file that others can
    write, an approver who was removed: each is no, and the attempt is in the log (rows 15, 29)."""
    box = signed
    request = ask(box)
    text = statement(box, request)

    def refused(signature, words, status=4):
        result = submit(box, text, signature)
        assert result.returncode == status and words in result.stderr, result.stderr

    refused(sign(box, text, "carol"), "no signature of bob")
    refused(sign(box, text, "stranger"), "no signature of bob")
    refused(sign(box, text, namespace="file"), "namespace")
    refused("-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n", "no signature of bob")
    attempts = [json.loads(entry["LOCKBOX_JSON"]) for entry in box.events(LOCKBOX_EVENT="illegal")]
    assert [event["request"] for event in attempts] == [request] * 4
    good = sign(box, text)
    trust(box, bob='valid-before="20200101" ')
    refused(good, "expired")
    trust(box, bob='valid-after="20990101" ')
    refused(good, "not yet valid")
    trust(box, bob="")
    box.run(f"ssh-keygen -q -k -f {REVOKED} {KEYS}/bob.pub")
    refused(good, "revoked")
    box.run("rm", REVOKED)
    box.run("chmod", "0666", SIGNERS)
    refused(good, "root alone can write", 1)
    trust(box, carol="")
    box.run("chmod", "0644", SIGNERS)
    refused(good, "no signature of bob")
    trust(box, bob="")
    box.run("gpasswd", "-d", "bob", "lockbox-approvers")
    try:
        refused(good, "not one of the approvers")
    finally:
        box.run("gpasswd", "-a", "bob", "lockbox-approvers")
    assert show(box, request)["state"] == "pending"
    assert submit(box, text, good).returncode == 0


@pytest.fixture
def slow(signed):
    """ssh-keygen waits for a word before it begins."""
    box = signed
    box.run(f"mkfifo {GO}; mv {KEYGEN} {KEYGEN}.real")
    box.write(KEYGEN, f"#!/bin/sh\nread word <{GO}\nexec {KEYGEN}.real \"$@\"\n", mode=0o755)
    yield box
    box.run(f"mv {KEYGEN}.real {KEYGEN}; rm {GO}")


def hand_in(box, text, signature):
    box.write("/tmp/signed", text + signature)
    process = box.popen("lockboxctl", "submit", "/tmp/signed", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: keygens(box), what="ssh-keygen")
    return process


def keygens(box):
    return box.run("pgrep", "-f", f"{KEYGEN}|ssh-keygen -Y", check=False).stdout.split()


def test_while_it_is_verified(slow):
    """The daemon goes on while ssh-keygen takes its time; what has changed meanwhile counts; who hangs up is forgotten."""
    box = slow
    request = ask(box)
    text = statement(box, request)
    make_key(box, "bob")
    signature = box.run(f"{KEYGEN}.real -q -Y sign -n lockbox-consent -f {KEYS}/bob", input=text).stdout
    with hand_in(box, text, signature) as process:
        assert box.status()["pending"] == 1
        other = Engineer(box, "eng2", key="albert").request("CASE-2")
        Person(box).deny(other)
        box.run("gpasswd", "-d", "bob", "lockbox-approvers")
        try:
            box.run(f"echo >{GO}")
            assert "not one of the approvers" in process.communicate(timeout=30)[1]
        finally:
            box.run("gpasswd", "-a", "bob", "lockbox-approvers")
    with hand_in(box, text, signature) as process:
        process.kill()
    wait_for(lambda: not keygens(box), what="ssh-keygen to be ended")
    assert show(box, request)["state"] == "pending"
    with hand_in(box, text, signature) as process:
        box.run(f"echo >{GO}")
        process.communicate(timeout=30)
    assert show(box, request)["state"] == "active"


def test_nobody_signs_for_himself(signed):
    """The key that the engineer came with consents in nobody's name (row 15)."""
    box = signed
    box.write(SIGNERS, f"bob {box.client.public_key('alice')}\n")
    request = ask(box)
    text = statement(box, request)
    key = box.client.key("alice")
    signature = box.run("ssh-keygen", "-q", "-Y", "sign", "-n", "lockbox-consent", "-f", key, input=text).stdout
    result = submit(box, text, signature)
    assert result.returncode == 4 and "engineer's key" in result.stderr
    assert show(box, request)["state"] == "pending"


def test_one_key_is_one_hand(box):
    """Whoever has a key that the file gives several names says yes in one of them: neither in the other stage nor as
    another vote is it somebody else's (rows 15, 29). A no it may be in any."""
    box.write(PEOPLE_FILE, "[dm]\nGroups=duty\n[bob]\nGroups=board\n[carol]\nGroups=board\n[dora]\nGroups=board\n")
    box.policy("[Rule]\nAction=require-approval\n[Approval]\nInternal=@duty\nCustomer=@board\nQuorum=2\n")
    public = box.read(make_key(box, "shared") + ".pub")
    box.write(SIGNERS, f"dm,b* {public}c*,!bob {public}dora {box.read(make_key(box, 'dora') + '.pub')}")

    def say(name, key, decision="approve"):
        text = statement(box, request, name, decision)
        return submit(box, text, sign(box, text, key))

    try:
        request = ask(box)
        assert say("dm", "shared").returncode == 0
        for name in ("bob", "carol"):
            refused = say(name, "shared")
            assert refused.returncode == 4 and "this key has decided" in refused.stderr, name
        assert say("dora", "dora").returncode == 0
        assert say("carol", "shared").returncode == 4
        assert show(box, request)["state"] == "pending" and len(show(box, request)["approvals"]) == 2
        assert say("carol", "shared", "deny").returncode == 0
    finally:
        box.run("rm", "-f", SIGNERS, PEOPLE_FILE)


def test_without_an_account_and_at_the_vendors_stage(box):
    """Who has no account on the host decides by signature alone, at either stage; a text of the one stage is none at
    the other; two different people are needed where the rule says two; and a restart changes nothing."""
    box.write(PEOPLE_FILE, "[dm]\nGroups=duty\n[bob]\nGroups=board\n[carol]\nGroups=board\n")
    box.policy("[Rule]\nAction=require-approval\n[Approval]\nInternal=@duty\nCustomer=@board\nQuorum=2\n")
    trust(box, dm="", bob="", carol="")
    try:
        request = ask(box)
        early = box.ctl("statement", request, "--decision", "approve", "--approver", "bob", check=False)
        assert early.returncode == 4
        text = statement(box, request, "dm")
        assert "Stage: internal" in text
        assert submit(box, text, sign(box, text, "dm")).returncode == 0
        assert show(box, request)["state"] == "pending"
        assert submit(box, text, sign(box, text, "dm")).returncode == 1
        texts = {name: statement(box, request, name) for name in ("bob", "carol")}
        box.systemctl("restart", "lockboxd.service")  # the nonce is in the log
        assert submit(box, texts["bob"], sign(box, texts["bob"])).returncode == 0
        assert submit(box, texts["bob"], sign(box, texts["bob"])).returncode == 4
        assert show(box, request)["state"] == "pending"
        assert submit(box, texts["carol"], sign(box, texts["carol"], "carol")).returncode == 0
        assert show(box, request)["state"] == "active"
    finally:
        box.run("rm", "-f", SIGNERS, PEOPLE_FILE)


def test_many_signatures_a_minute(signed):
    """Each uid hands in 30 a minute at the most, and another is not in his way."""
    box = signed
    request = ask(box)
    text = statement(box, request)
    box.write("/tmp/bad", text + "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n")
    output = box.run("for i in $(seq 40); do lockboxctl submit </tmp/bad 2>&1; done; true", user="nobody").stdout
    assert output.count("no signature of bob") == 30
    assert output.count("try again in a minute") == 10
    assert submit(box, text, sign(box, text), user="dora").returncode == 0


def test_yes_that_was_said_before_the_rule_asked_for_signatures(box):
    """A rule that becomes stricter holds at once: what was said without a signature does not count any more, and a
    window that nobody signed lets nobody in."""
    loose = SIGNED.replace("Evidence=signed", "Quorum=2")
    box.policy(loose)
    request = ask(box)
    Person(box).approve(request)
    box.policy(loose + "Evidence=signed\n")
    trust(box, carol="")
    try:
        text = statement(box, request, "carol")
        assert submit(box, text, sign(box, text, "carol")).returncode == 0
        assert show(box, request)["state"] == "pending"
        Person(box).deny(request)
        box.policy(SIGNED.replace("Evidence=signed\n", ""))
        Person(box).ctl("grant", "--account", "eng", "--ticket", "CASE-9")
        box.policy(SIGNED)
        assert show(box, ask(box, "CASE-9"))["state"] == "pending"
    finally:
        box.run("rm", "-f", SIGNERS)


def test_an_extension_is_signed_as_well(signed):
    """More time is a request like any other."""
    box = signed
    engineer = Engineer(box)
    request = engineer.request("CASE-1001", "the disk is full", "2h")
    engineer.wait()
    text = statement(box, request)
    assert submit(box, text, sign(box, text)).returncode == 0
    engineer.at_shell()
    engineer.run(f"lockboxctl extend {request} --for 1h --reason more")
    more = box.wait_event("requested", lambda entry: entry["LOCKBOX_REQUEST"] != request)["LOCKBOX_REQUEST"]
    assert Person(box).approve(more, check=False).returncode == 4
    text = statement(box, more)
    assert f"More time for: {request}" in text and "Begins" not in text
    assert submit(box, text, sign(box, text)).returncode == 0
    assert show(box, request)["approvals"][1]["evidence"] == "signed"
