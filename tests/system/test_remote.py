# SPDX-License-Identifier: LGPL-2.1-or-later
"""Decisions by the customer's own approval service: asked over HTTPS, answered with a signature, and whatever stands in
between can withhold one but not make one."""

import contextlib
import json
import re
import threading
import time

import faults
import pytest
from appliance import WaitTimeout, wait_for
from openapi import Contract
from people import Engineer, Person, show
from test_signed import SIGNED, SIGNERS, make_key, sign, statement, submit, trust
from web import CA, DIRECTORY, HOST, PORTS, Double, Front, Message, pass_on, url

CONFIG = "/etc/lockbox/courier.conf"
PEOPLE_FILE = "/etc/lockbox/approvers.conf"
UNIT = "lockbox-courier.service"
SERVICE = "/usr/share/lockbox/remote/approval-service"
BOOK = "/var/lib/approvals"
SECRETS = "/etc/lockbox/secrets"
TOKEN, SECRET = "token-that-nobody-else-has", "whsec_c2VjcmV0LW9mLXRoZS1hcHByb3ZhbC1zZXJ2aWNl"
BOARD = SIGNED.replace("@lockbox-approvers", "@lockbox-approvers board")


def write_secret(box, name, value):
    box.run("install", "-d", "-m", "0755", SECRETS)
    box.write(f"{SECRETS}/{name}", value + "\n", mode=0o440)
    box.run("chgrp", "lockbox-courier", f"{SECRETS}/{name}")
    return f"{SECRETS}/{name}"


def configure(box, door="right", more="", courier=""):
    """[Remote] at one of nginx's doors; returns when the courier has it."""
    token, secret = write_secret(box, "token", TOKEN), write_secret(box, "secret", SECRET)
    box.write(CONFIG, f"{courier}[Remote]\nURL={url(door)}\nApprover=board\nToken={token}\nSecret={secret}\nPoll=5s\n"
                      f"CAFile={CA}\n{more}")
    box.restart(UNIT)


def status(box, part="remote"):
    """What the courier says of it."""
    return json.loads(box.ctl("courier", "status", "--json", check=False).stdout)["parts"][part]


def wait_failing(box, words, part="remote"):
    now = {}

    def failing():
        now.update(status(box, part))
        return now["state"] == "failing" and words in now["problem"]

    try:
        wait_for(failing, interval=0.1)
    except WaitTimeout as e:
        raise AssertionError(f"{part} should fail because of {words!r}, but: {now}") from e
    return now


def ask(box, ticket="CASE-1001", account="eng", key="alice"):
    engineer = Engineer(box, account, key=key)
    request = engineer.request(ticket)
    engineer.hang_up()
    return request


def is_about(request, what=""):
    return lambda m: m.method == "POST" and m.path == f"/lockbox/requests{what}" and request.encode() in m.body


def answer_to(box, message, decision="approve", seconds=None, key="board"):
    """What a service of the customer's would answer to a question."""
    text = json.loads(message.body)["statements"][decision]
    if seconds:
        text = re.sub(r"(?m)^Duration: .*$", f"Duration: {seconds // 60}min ({seconds} s)", text)
    return {"decision": decision, "statement": text, "signature": sign(box, text, key)}


def good(box, **options):
    """An answerer that approves whatever is asked at once."""
    def answer(message):
        asked = json.loads(message.body) if message.body else {}
        if asked.get("type") == "request.waiting":
            return 200, json.dumps(answer_to(box, message, **options))
        return 204

    return answer


def clean(box):
    box.systemctl("stop", UNIT, check=False)
    box.run("rm", "-rf", SIGNERS, PEOPLE_FILE, CONFIG, SECRETS, BOOK, f"/etc/systemd/system/{UNIT}.d",
            "/var/lib/lockbox-courier")
    box.systemctl("daemon-reload")


@contextlib.contextmanager
def prepared(box):
    """Signatures of bob, of carol and of the board, which is the service's, and has no account."""
    clean(box)
    with Front(box):
        box.write(PEOPLE_FILE, "[board]\nGroups=board\n")
        box.policy(BOARD.replace("board\n", "@board\n"))
        trust(box, bob="", board='namespaces="lockbox-consent" ', dm="")
        yield box
        clean(box)


@pytest.fixture
def remote(box):
    with prepared(box):
        yield box


@pytest.fixture
def double(remote):
    with contextlib.closing(Double(remote)) as d:
        yield d
        for message in d.messages:  # whatever the test was about, the courier says what the interface says
            Contract().request(message)


# The whole way, with the service that is shipped


def set_up_service(box):
    """The reference service, which approves nothing by itself."""
    box.write("/root/token", TOKEN)
    box.write("/root/secret", SECRET)
    start_service(box)
    yield box
    box.systemctl("stop", "approvals.service", check=False)


@pytest.fixture
def service(remote):
    yield from set_up_service(remote)


@pytest.fixture
def any_service(every_box):
    with prepared(every_box):
        yield from set_up_service(every_box)


def start_service(box, *more):
    box.run("systemd-run", "--quiet", "--collect", "--unit=approvals", SERVICE, "serve", "--state", BOOK, "--token",
            "/root/token", "--secret", "/root/secret", *more)
    port = PORTS["service"] if "--listen" in more else 8080
    wait_for(lambda: box.run(f"nc -z 127.0.0.1 {port}", check=False).returncode == 0, what="the service")


def run_service(box, verb, request, *more):
    return box.run(SERVICE, verb, request, "--state", BOOK, "--key", make_key(box, "board"), *more)


def await_question(box, request):
    wait_for(lambda: request in box.run(SERVICE, "list", "--state", BOOK).stdout, what="the question", interval=0.1)


def test_a_login_waits_until_the_service_has_signed(any_service):
    """ssh waits, the service is asked and polled, somebody signs there for less time, and the engineer is in; what is
    logged is the signature."""
    box = any_service
    configure(box)
    engineer = Engineer(box)
    request = engineer.request("CASE-1001", "the disk is full", "2h")
    engineer.wait()
    await_question(box, request)
    assert f"Request: {request}" in box.run(SERVICE, "show", request, "--state", BOOK).stdout
    run_service(box, "approve", request, "--for", "5400")
    engineer.at_shell()
    event = json.loads(box.wait_event("approved", LOCKBOX_REQUEST=request)["LOCKBOX_JSON"])
    assert (event["approver"], event["evidence"]) == ("board", "signed")
    assert event["signer"].startswith("ED25519 SHA256:")
    assert show(box, request)["duration"] == 5400
    # what is over is known there
    wait_for(lambda: f"{request}\tapproved" in box.run(SERVICE, "list", "--state", BOOK).stdout,
             what="the end of the question")
    assert status(box)["state"] == "connected"


def test_the_service_says_no(service):
    box = service
    configure(box)
    request = ask(box)
    await_question(box, request)
    run_service(box, "deny", request)
    wait_for(lambda: show(box, request)["state"] == "denied", what="the no")


def test_a_rule_of_the_service_decides_at_once(remote):
    """200 to the question itself; the service has a certificate of its own, and wants to see the courier's."""
    box = remote
    box.write("/root/token", TOKEN)
    box.write("/root/secret", SECRET)
    rules = [{"account": "eng", "ticket": "CASE-[0-9]+", "decision": "approve", "for": 600}]
    box.write("/root/rules", json.dumps(rules))
    start_service(box, "--rules", "/root/rules", "--key", make_key(box, "board"), "--listen",
                  f"127.0.0.1:{PORTS['service']}", "--certificate", f"{DIRECTORY}/right.pem", "--tls-key",
                  f"{DIRECTORY}/right.key", "--client-ca", CA)
    try:
        configure(box, "service")
        request = ask(box)
        wait_failing(box, "certificate")
        configure(box, "service", f"Certificate={DIRECTORY}/client.pem\nKey={DIRECTORY}/client.key\n")
        wait_for(lambda: show(box, request)["state"] == "active", what="the approval")
        assert show(box, request)["duration"] == 600
    finally:
        box.systemctl("stop", "approvals.service")


def test_whatever_is_killed_no_decision_is_lost(service):
    """kill -9 of the service and of the courier while a poll is open, and a decision that is made meanwhile."""
    box = service
    configure(box)
    request = ask(box)
    await_question(box, request)
    box.systemctl("kill", "--signal=KILL", "approvals.service")
    wait_failing(box, "HTTP 502")
    box.systemctl("kill", "--signal=KILL", UNIT)
    run_service(box, "approve", request)
    box.systemctl("stop", "approvals.service", check=False)
    start_service(box)
    wait_for(lambda: show(box, request)["state"] == "active", timeout=30, what="the approval")
    assert len(box.run(SERVICE, "list", "--state", BOOK).stdout.splitlines()) == 1  # one question, however often


def test_the_service_does_not_listen_to_strangers(service):
    """Without the token, without a signature, with an old or another one: 401, and nothing is kept."""
    box = service
    body = '{"type":"request.waiting"}'
    token = f"-H 'Authorization: Bearer {TOKEN}'"
    for headers in ("", token, "-H 'Authorization: Bearer x'",
                    f"{token} -H 'webhook-id: a' -H 'webhook-timestamp: 1' -H 'webhook-signature: v1,x'"):
        line = f"curl -s -o /dev/null -w '%{{http_code}}' {headers} -d '{body}' http://127.0.0.1:8080/lockbox/requests"
        assert box.run(line).stdout == "401", headers
    assert box.run(SERVICE, "list", "--state", BOOK).stdout == ""


def test_all_that_is_said_is_in_the_interface(double):
    """The double stands between the courier and the reference service: what lockbox posts, and what the service answers,
    fits openapi.yaml, and nothing is in there that neither of them says."""
    box, contract, said = double.box, Contract(), []

    def between(message):
        answer = pass_on(box, PORTS["service"], message)
        said.append((message, answer))
        return answer

    def came(method, end, status):
        return next((m for m, answer in list(said) if (m.method, answer[0]) == (method, status) and end in m.path), None)

    def again(message, **headers):
        """The same, but for these headers; one that is None is left out."""
        changed = {**dict(message.headers), **{name.replace("_", "-"): value for name, value in headers.items()}}
        between(Message(message.method, message.path, {n: v for n, v in changed.items() if v is not None}, message.body))

    box.write("/root/token", TOKEN)
    box.write("/root/secret", SECRET)
    start_service(box, "--listen", f"127.0.0.1:{PORTS['service']}")
    try:
        double.answer = between
        configure(box)
        request = ask(box)
        wait_for(lambda: came("GET", "/decision", 204), timeout=20, what="a poll without an answer")
        question = came("POST", "/requests", 202)
        run_service(box, "approve", request)
        wait_for(lambda: show(box, request)["state"] == "active", timeout=20, what="the approval")
        wait_for(lambda: came("POST", "/closed", 204), timeout=20, what="the end of it")
        poll = came("GET", "/decision", 200)
        assert box.ctl("courier", "test", "remote").returncode == 0
        again(question)  # as after a restart: answered at once
        again(poll, Idempotency_Key=f"{request}.{'0' * 16}")  # one that the service has lost
        for message in question, poll:
            again(message, Authorization="Bearer x")
    finally:
        box.systemctl("stop", "approvals.service")
    for message, (status, body, headers) in said:
        contract.request(message)
        contract.response(message, status, body, headers)
    # the service is not one that fails, and an end is told it by whom it knows
    never = {line for line in contract.unseen() if line.endswith("5XX")}
    assert contract.unseen() == never and len(never) == 3


# What is asked, and when no more


def test_what_the_service_is_asked(double):
    """The request as lockboxctl shows it, both texts, a token, and a signature by Standard Webhooks; polls with the
    same key; the end of it."""
    box = double.box
    double.answer = lambda m: 202 if m.path.endswith("/requests") else 204
    configure(box)
    request = ask(box)
    asked = double.wait(is_about(request))
    body = json.loads(asked.body)
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["Idempotency-Key"] == asked.headers["webhook-id"] == body["id"]
    assert asked.headers["webhook-signature"].startswith("v1,")
    assert body["statements"]["approve"] == statement(box, request, "board")
    assert body["statements"]["deny"] == statement(box, request, "board", "deny")
    assert body["request"]["ticket"] == "CASE-1001" and body["request"]["stage"] == "customer"
    polls = [double.wait(lambda m: m.method == "GET")]
    assert polls[0].path == f"/lockbox/requests/{request}/decision?wait=5"
    assert polls[0].headers["Idempotency-Key"] == body["id"]
    polls.append(double.wait(lambda m: m.method == "GET", after=double.messages.index(polls[0]) + 1))
    assert polls[1].at - polls[0].at > 1.5  # a service that does not keep them is not polled as fast as it answers
    Person(box).deny(request)
    closed = double.wait(is_about(request, f"/{request}/closed"))
    assert json.loads(closed.body)["request"]["state"] == "denied"
    before = len(double.messages)
    other = ask(box, "CASE-1002", "eng2")
    double.wait(is_about(other))
    assert not [m for m in double.messages[before:] if request in m.path]


def test_each_stage_and_each_vote_is_asked_for_once(double):
    """Two stages and a quorum: the board is asked when the request comes before it, not earlier; not again when it has
    voted; and the other vote is somebody else's."""
    box = double.box
    box.write(PEOPLE_FILE, "[dm]\nGroups=duty\n[board]\nGroups=board\n")
    box.policy("[Rule]\nAction=require-approval\n[Approval]\nInternal=@duty\nCustomer=@board @lockbox-approvers\n"
               "Quorum=2\n")
    double.answer = good(box)
    configure(box)
    request = ask(box)
    other = ask(box, "CASE-1002", "eng2")  # a full turn of the courier, in which it could have asked
    assert show(box, request)["state"] == "review"
    text = statement(box, request, "dm")
    assert submit(box, text, sign(box, text, "dm")).returncode == 0
    wait_for(lambda: show(box, request).get("approvals", [{}])[-1].get("approver") == "board", what="the vote")
    assert show(box, request)["state"] == "pending"
    Person(box).approve(request)
    wait_for(lambda: show(box, request)["state"] == "active", what="the access")
    assert len([m for m in double.messages if is_about(request)(m)]) == 1
    assert not [m for m in double.messages if is_about(other)(m)]


def test_a_service_that_is_away_holds_nobody_up(double):
    """Row 27: nothing answers at all; a person on the host decides, and it is he who is shown."""
    box = double.box
    double.answer = lambda m: None
    configure(box)
    request = ask(box)
    double.wait(is_about(request))
    wait_failing(box, "")
    Person(box).deny(request)
    assert show(box, request)["state"] == "denied"
    wait_for(lambda: status(box)["waiting"] == 0, what="the question to be over")


def test_many_wait(double):
    """More questions than connections: those that are being waited on do not hold up a new one."""
    box = double.box
    box.policy(BOARD.replace("board\n", "@board\n") + "[Request]\nMaxPending=200\n")
    over = threading.Event()
    double.answer = lambda m: 202 if m.method == "POST" else over.wait(60) and 204
    configure(box)
    try:
        for i in range(70):
            box.ctl("request", "--ticket", f"CASE-{i}", "--reason", "many", user="eng")
        wait_for(lambda: len([m for m in double.messages if m.method == "GET"]) >= 50, timeout=60, what="the polls")
        began = time.monotonic()
        double.wait(is_about(ask(box, "CASE-70", "eng2")), timeout=60)
        assert time.monotonic() - began < 10  # a poll lasts 30 s
    finally:
        over.set()


def test_retry(double):
    """Who has mended the service need not wait until it is asked again."""
    box = double.box
    double.answer = lambda m: (503, "", {"Retry-After": "3600"})
    configure(box)
    request = ask(box)
    wait_failing(box, "HTTP 503")
    double.answer = good(box)
    box.ctl("courier", "retry")
    wait_for(lambda: show(box, request)["state"] == "active", timeout=20, what="the approval")


def test_packets_that_vanish_hold_nobody_up(remote):
    """Row 27: dropped on their way."""
    box = remote
    box.run("nft", "add table inet hole; add chain inet hole out { type filter hook output priority 0; }; "
                   f"add rule inet hole out tcp dport {PORTS['right']} drop")
    try:
        configure(box)
        request = ask(box)
        wait_for(lambda: status(box)["waiting"] == 1, what="the question")
        text = statement(box, request, "bob")
        assert submit(box, text, sign(box, text)).returncode == 0
        assert show(box, request)["state"] == "active"
    finally:
        box.run("nft", "delete table inet hole")


# Who is at the other end


@pytest.mark.parametrize("door, words", [("wrong-host", "approvals.test"), ("self-signed", "certificate"),
                                         ("expired", "certificate"), ("redirect", "redirect"), ("client", "HTTP 400")])
def test_the_wrong_end_is_told_nothing(double, door, words):
    """Row 26: of a certificate for another host, a self-signed or an expired one, or behind a redirect, nobody gets the
    token or the question."""
    box = double.box
    double.answer = good(box)
    configure(box, door)
    request = ask(box)
    wait_failing(box, words)
    assert double.messages == []
    assert show(box, request)["state"] == "pending"


def test_client_certificate(double):
    """nginx wants one; its key is a secret like others."""
    box = double.box
    double.answer = good(box)
    configure(box, "client", f"Certificate={DIRECTORY}/client.pem\nKey={DIRECTORY}/client.key\n")
    box.run("chmod", "0604", f"{DIRECTORY}/client.key")
    request = ask(box)
    wait_failing(box, "others can read this secret")
    box.run("chmod", "0600", f"{DIRECTORY}/client.key")
    wait_for(lambda: show(box, request)["state"] == "active", what="the approval")


def test_pin(double):
    """The right key is not enough where another one is pinned."""
    box = double.box
    double.answer = good(box)
    configure(box, more=f"Pin={Front(box).pin('expired')}\n")
    request = ask(box)
    wait_failing(box, "pinn")
    assert double.messages == []
    configure(box, more=f"Pin={Front(box).pin()}\n")
    wait_for(lambda: show(box, request)["state"] == "active", what="the approval")


def test_proxy(double):
    """The environment's is not asked, the configuration's is."""
    box = double.box
    double.answer = good(box)
    proxy = Double(box, lambda m: (403, "no"), port=PORTS["proxy"])
    try:
        environment = "".join(f'Environment={name}=http://127.0.0.1:{PORTS["proxy"]}\n'
                              for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY"))
        box.write(f"/etc/systemd/system/{UNIT}.d/proxy.conf", f"[Service]\n{environment}")
        box.systemctl("daemon-reload")
        configure(box)
        request = ask(box)
        wait_for(lambda: show(box, request)["state"] == "active", what="the approval")
        configure(box, courier=f"[Courier]\nProxy=http://127.0.0.1:{PORTS['proxy']}\n")
        ask(box, "CASE-1002", "eng2")
        connect = proxy.wait(lambda m: m.method == "CONNECT")
        assert connect.path == f"{HOST}:{PORTS['right']}" and TOKEN not in str(connect.headers)
        wait_failing(box, "CONNECT")
    finally:
        proxy.close()


# Hostile answers


def longer(answer, seconds):
    line = f"Duration: {seconds // 3600}h ({seconds} s)"
    return dict(answer, statement=re.sub(r"(?m)^Duration: .*$", line, answer["statement"]))


def test_hostile_answers_decide_nothing(double):
    """Rows 16, 17, 29, 30, 31: what is no answer, and what is signed for something else, for longer, by somebody else
    or not at all: the request waits on, status says why, and a good answer counts afterwards."""
    box = double.box
    configure(box)
    old = ask(box)
    question = double.wait(is_about(old))
    replay = answer_to(box, question)
    Person(box).deny(old)
    now = {"answer": lambda m: 500}
    double.answer = lambda m: now["answer"](m) if is_about(now["request"])(m) else 204

    def signed_again(change):
        def answer(m):
            value = change(answer_to(box, m))
            return 200, json.dumps(dict(value, signature=sign(box, value["statement"], "board")))
        return answer

    def changed(**members):
        return lambda m: (200, json.dumps(dict(answer_to(box, m), **members)))

    def as_text(change):
        return lambda m: (200, change(json.dumps(answer_to(box, m))))

    # as long as the interface says, and it is lockboxd that looks at it; one byte more, and the courier does not take it
    members = Contract().document["components"]["schemas"]["Decision"]["properties"]
    most = {name: members[name]["maxLength"] for name in ("statement", "signature")}
    text = "x\nDecision: approve\n"

    corpus = [
        (changed(signature="x" * most["signature"]), "lockboxd refuses"),
        (changed(signature="x" * (most["signature"] + 1)), "decision, statement and signature"),
        (changed(statement=text.ljust(most["statement"], "x")), "lockboxd refuses"),
        (changed(statement=text.ljust(most["statement"] + 1, "x")), "decision, statement and signature"),
        (lambda m: (200, json.dumps(replay)), "no open request"),
        (lambda m: (200, json.dumps(dict(replay, signature="x"))), "no open request"),
        (lambda m: (200, json.dumps(answer_to(box, m, key="bob"))), "no signature of board"),
        (lambda m: (200, json.dumps(answer_to(box, m, key="stranger"))), "no signature of board"),
        (changed(signature=""), "decision, statement and signature"),
        (changed(signature="-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"),
         "no signature of board"),
        (lambda m: (200, json.dumps(longer(answer_to(box, m), 36000))), "at most"),
        (signed_again(lambda a: longer(a, 36000)), "at most"),
        (signed_again(lambda a: longer(a, 9223372036854775807)), "statement"),
        (signed_again(lambda a: dict(a, statement=a["statement"].replace("Host: ", "Host: other-"))), "Host"),
        (signed_again(lambda a: dict(a, statement=a["statement"].replace("Account: eng", "Account: eng2"))), "Account"),
        (signed_again(lambda a: dict(a, statement=a["statement"].replace("Approver: board", "Approver: bob"))), "bob"),
        (changed(decision="deny"), "does not say"),
        (changed(note="x"), "decision, statement and signature"),
        (as_text(lambda t: t[:-1] + ',"decision":"approve"}'), "twice"),
        (as_text(lambda t: t[:-1] + ',"for":' + "9" * 400 + "}"), "JSON object"),
        (lambda m: (200, "[" * 60000), "too deep"),
        (lambda m: (200, b"x" * 1000000), "longer than 65536 bytes"),
        (lambda m: (200, "<html>Please sign in</html>"), "JSON object"),
        (lambda m: 204, "HTTP 204"),
        (lambda m: (500, "x"), "HTTP 500"),
    ]
    now["request"] = "nothing yet"
    request = now["request"] = ask(box, "CASE-2000")
    for answer, words in corpus:
        now["answer"] = answer
        box.systemctl("kill", "--signal=HUP", UNIT)  # whatever patience there is begins anew
        wait_failing(box, words)
        assert show(box, request)["state"] == "pending", words
    now["answer"] = good(box)
    box.systemctl("kill", "--signal=HUP", UNIT)
    wait_for(lambda: show(box, request)["state"] == "active", timeout=30, what="the approval")
    # what was tried is in the log, where it was about this request
    assert box.events(LOCKBOX_EVENT="illegal")
    peak = box.run(f"cat /proc/{faults.main_pid(box, UNIT)}/status").stdout
    assert int(re.search(r"VmHWM:\s+(\d+)", peak).group(1)) < 64 * 1024


# Secrets


def test_secrets_stay_where_they_are(double):
    """In no log, whatever goes wrong."""
    box = double.box
    double.answer = lambda m: (401, TOKEN)
    configure(box)
    ask(box)
    wait_failing(box, "HTTP 401")
    assert re.search(r"remote: failing since .*, 1 waiting: the answer was HTTP 401", box.ctl("courier", "status").stdout)
    box.ctl("courier", "test", "remote", check=False)
    text = box.run("journalctl -b --no-pager -o export").stdout + box.ctl("courier", "status", "--json").stdout
    assert TOKEN not in text and SECRET not in text and SECRET[6:] not in text


def test_a_secret_that_others_can_read_is_refused(double):
    """And so is one that is not there."""
    box = double.box
    configure(box)
    box.run("chmod", "0644", f"{SECRETS}/token")
    box.restart(UNIT)
    request = ask(box)
    wait_failing(box, "others can read")
    box.run("rm", f"{SECRETS}/token")
    wait_failing(box, "No such file")
    assert double.messages == []
    double.answer = good(box)
    write_secret(box, "token", TOKEN)
    wait_for(lambda: show(box, request)["state"] == "active", timeout=30, what="the approval")


def test_secret_by_systemd_credential(double):
    box = double.box
    double.answer = good(box)
    configure(box)
    box.write("/root/token", TOKEN, mode=0o600)
    box.write(f"/etc/systemd/system/{UNIT}.d/secret.conf", "[Service]\nLoadCredential=remote-token:/root/token\n")
    box.run("rm", f"{SECRETS}/token")
    box.run("sed", "-i", "s|^Token=.*|Token=remote-token|", CONFIG)
    box.systemctl("daemon-reload")
    box.restart(UNIT)
    request = ask(box)
    assert double.wait(is_about(request)).headers["Authorization"] == f"Bearer {TOKEN}"


def test_the_test(double):
    """`courier test remote` sends a message that says that it is one, and tells what came of it."""
    box = double.box
    configure(box)
    assert box.ctl("courier", "test", "remote").returncode == 0
    message = double.wait(lambda m: m.method == "POST")
    assert message.path == "/lockbox/requests" and json.loads(message.body)["type"] == "test"
    double.answer = lambda m: 403
    result = box.ctl("courier", "test", "remote", check=False)
    assert result.returncode == 1 and "HTTP 403" in result.stdout + result.stderr
