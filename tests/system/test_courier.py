# SPDX-License-Identifier: LGPL-2.1-or-later
"""lockbox-courier: what happens is told to those who are not there, once, and whatever becomes of it decides nothing."""

import json
import os
import re
import subprocess
import time

import pytest
from appliance import wait_for
from courier import (CONFIG, EXPIRED, GOOD, OUTBOX, RECEIVER, SECRET, SELF_SIGNED, UNIT, WRONG_HOST, Courier, kind,
                     signature)
from lockbox import STATE, UNITS
from people import Engineer, Person, show

CONTROL = "/run/lockbox/control.socket"
REPEAT = int(os.environ.get("LOCKBOX_REPEAT", "1"))


@pytest.fixture
def courier(box):
    made = Courier(box)
    yield made
    made.stop()


def test_an_event_arrives(box, courier):
    """As Standard Webhooks has it, with what lockboxctl shows of the event and the request."""
    secret = courier.secret()
    courier.configure(courier.hook(extra=f"Secret={secret}"))
    request = Engineer(box).request()
    line = courier.wait_received(lambda line: kind(line) == "requested")
    body = json.loads(line["body"])
    assert line["headers"]["webhook-signature"] == signature(SECRET, line)
    assert line["headers"]["webhook-id"].startswith(f"{request}.{body['event']['seq']}.siem@")
    shown = json.loads(box.ctl("show", request, "--json").stdout)
    assert body["request"] == shown
    events = [json.loads(event) for event in box.ctl("events", request, "--json").stdout.splitlines()]
    assert body["event"] == events[0]
    Person(box).deny(request)
    courier.wait_received(lambda line: kind(line) == "denied")


def ids(lines):
    return [line["headers"]["webhook-id"] for line in lines]


def test_a_secret_that_systemd_keeps(box, courier):
    """A credential, which nobody but the service sees; and a file that others can read is no secret."""
    path = courier.secret()
    box.run("chmod", "0444", path)
    courier.configure(courier.hook(extra=f"Secret={path}"))
    assert "others can read this secret" in box.ctl("courier", "test", "webhook", check=False).stderr
    box.run(f"chown root: {path}; chmod 0400 {path}")
    box.write(f"/run/systemd/system/{UNIT}.d/secret.conf", f"[Service]\nLoadCredential=siem-secret:{path}\n")
    box.systemctl("daemon-reload")
    try:
        box.systemctl("restart", UNIT)
        courier.configure(courier.hook(extra="Secret=siem-secret"))
        box.ctl("courier", "test", "webhook")
        line = courier.wait_received()
        assert line["headers"]["webhook-signature"] == signature(SECRET, line)
    finally:
        box.run(f"rm -r /run/systemd/system/{UNIT}.d; systemctl daemon-reload")


# --- once, and in order ----------------------------------------------------------------------------------------------


def test_nothing_is_told_of_what_was_before(box, courier):
    """A courier that is new on a host begins at the end of the log."""
    Engineer(box).request()
    courier.configure(courier.hook())
    request = Engineer(box, "eng2").request()
    first = courier.wait_received()
    assert first["headers"]["webhook-id"].startswith(request)


def test_it_goes_on_where_it_was(box, courier):
    """Stopped, and started again after things have happened; the request that they happened to is fetched whole."""
    courier.configure(courier.hook())
    request = Engineer(box).request()
    courier.wait_received(lambda line: kind(line) == "requested")
    box.systemctl("stop", UNIT)
    Person(box).deny(request, "--note", "not today")
    box.systemctl("start", UNIT)
    denied = courier.wait_received(lambda line: kind(line) == "denied")
    assert json.loads(denied["body"])["request"] == show(box, request)
    assert len(set(ids(courier.received()))) == len(courier.received())


def test_order_and_retries(box, courier):
    """A server that says "later", then works: everything arrives, in order, at each try under the same name."""
    courier.configure(courier.hook(extra="Events=requested denied message"))
    courier.mood("503")
    request = Engineer(box).request()
    bob = Person(box)
    bob.ctl("ask", request, "why?")
    bob.deny(request)
    courier.wait_received(lambda line: line["mood"] == ["503"])
    wait_for(lambda: courier.target("siem")["waiting"] == 3, what="the other two")
    assert courier.target("siem")["state"] == "failing"
    courier.mood("204")
    courier.wait_received(lambda line: kind(line) == "denied", timeout=30)
    arrived = [line for line in courier.received() if line["mood"] == ["204"]]
    assert [kind(line) for line in arrived] == ["requested", "message", "denied"]
    tries = [line for line in courier.received() if kind(line) == "requested"]
    assert len(set(ids(tries))) == 1 and len({line["body"] for line in tries}) == 1
    wait_for(lambda: courier.target("siem")["state"] == "connected", what="the courier to know")


def test_a_question_that_is_none_any_more(box, courier):
    """After an outage nobody is called to decide, in a chat, what has been decided: a program has all of it."""
    chats = "slack", "teams", "ntfy"
    box.write("/etc/lockbox/siem.json", '{"seq": {seq}}')
    courier.configure("".join(courier.hook(name, extra=f"Format={name}\n") for name in chats)
                      + courier.hook("program", extra="Format=template\nTemplate=/etc/lockbox/siem.json\n")
                      + courier.hook())
    courier.mood("503")
    denied, waiting = Engineer(box).request(), Engineer(box, "eng2").request()
    Person(box).deny(denied)
    courier.wait_caught_up()
    courier.mood("204")
    box.ctl("courier", "retry")
    wait_for(lambda: not any(t["waiting"] for t in courier.status()["targets"]), timeout=60, what="all of it")

    def told(name, request):
        return sum(line["headers"]["webhook-id"].startswith(request) for line in courier.received(name)
                   if line["mood"] == ["204"])

    for name in chats:
        assert told(name, denied) == 1 and told(name, waiting) == 1, name  # the outcome, and the question
        bodies = [line["body"] for line in courier.received(name) if line["mood"] == ["204"]]
        assert sum("lockboxctl approve" in body for body in bodies) == 1, name
    for name in "program", "siem":
        assert told(name, denied) == 2 and told(name, waiting) == 1, name


def test_retry_after(box, courier):
    """The other end says how long it wants to be left alone."""
    courier.configure(courier.hook(extra="Events=requested"))
    courier.mood("429 3")
    Engineer(box).request()
    courier.wait_received()
    courier.mood("204")
    courier.wait_received(lambda line: line["mood"] == ["204"])
    first, second = courier.received()
    assert second["at"] - first["at"] >= 2.9


def test_killed_again_and_again(box, courier):
    """kill -9 of the courier, the daemon and the receiver at any moment: each event arrives, none under two names."""
    courier.configure(courier.hook())
    start = box.status()["events"]
    bob = Person(box)
    bob.ctl("list")  # the connection is there
    victims = [UNIT, "lockboxd.service", RECEIVER]
    request = Engineer(box).request()
    for i in range(REPEAT * 9):
        victim = victims[i % 3]
        bob.ctl("ask", request, f"question {i}")
        time.sleep(0.003 * i)  # a moment, another one each time
        box.run("systemctl", "kill", "--signal=KILL", victim)
        wait_for(lambda: box.ctl("status", check=False).returncode in (0, 1), what="the daemon")
    bob.deny(request)
    courier.wait_received(lambda line: kind(line) == "denied", timeout=60)
    wait_for(lambda: courier.target("siem").get("waiting") == 0, timeout=60, what="all of them")
    told = {}
    for line in courier.received():
        seq = json.loads(line["body"])["event"]["seq"]
        told.setdefault(seq, set()).add((line["headers"]["webhook-id"], line["body"]))
    assert sorted(told) == list(range(start + 1, box.status()["events"] + 1))
    assert all(len(names) == 1 for names in told.values())


# --- the network (row 26) --------------------------------------------------------------------------------------------

WRONG = {
    "wrong host": (WRONG_HOST, "localhost", "subject name"),
    "expired": (EXPIRED, "localhost", "expired"),
    "self-signed": (SELF_SIGNED, "localhost", "self-signed certificate"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_server_that_is_not_the_one(every_box, what):
    """Nothing is sent to who cannot prove to be the one that was named."""
    courier = Courier(every_box)
    port, host, words = WRONG[what]
    courier.configure(courier.hook(port=port, host=host))
    done = every_box.ctl("courier", "test", "webhook", "siem", check=False)
    assert done.returncode == 1 and words in (done.stderr + done.stdout).replace("self signed", "self-signed")
    assert courier.received() == []
    courier.stop()


def test_a_redirect_is_not_followed(box, courier):
    """Whoever can answer cannot send the letter, and the token with it, elsewhere."""
    courier.configure(courier.hook(extra=f"Token={courier.secret('token', 'hush')}"))
    courier.mood("302")
    done = box.ctl("courier", "test", "webhook", check=False)
    assert done.returncode == 1 and "a redirect, which is not followed" in done.stderr
    assert [line["path"] for line in courier.received()] == ["/siem"]
    assert courier.received()[0]["headers"]["authorization"] == "Bearer hush"


def test_the_environment_names_no_proxy(box, courier):
    """A proxy is one that courier.conf names."""
    box.write(f"/run/systemd/system/{UNIT}.d/proxy.conf", "[Service]\nEnvironment=https_proxy=http://127.0.0.1:1 "
              "HTTPS_PROXY=http://127.0.0.1:1 ALL_PROXY=http://127.0.0.1:1\n")
    box.systemctl("daemon-reload")
    try:
        courier.configure(courier.hook())
        assert "delivered" in box.ctl("courier", "test", "webhook", "siem").stdout
        courier.configure(courier.hook() + "[Courier]\nProxy=http://127.0.0.1:1\n")
        assert box.ctl("courier", "test", "webhook", "siem", check=False).returncode == 1
    finally:
        box.run(f"rm -r /run/systemd/system/{UNIT}.d; systemctl daemon-reload")


# --- nobody is there (rows 27, 29) -----------------------------------------------------------------------------------


def test_packets_are_dropped(box, courier):
    """What leaves the host gets nowhere: it is decided here as ever, and the trail says that nobody was told."""
    courier.configure(courier.hook())
    box.run(f"nft add table inet egress && nft 'add chain inet egress out {{ type filter hook output priority 0; }}' && "
            f"nft add rule inet egress out tcp dport {GOOD} drop")
    try:
        engineer = Engineer(box)
        request = engineer.enter(Person(box))
        undelivered = box.wait_event("undelivered", timeout=90)
        assert undelivered["LOCKBOX_REQUEST"] == request
        assert "webhook to siem: " in undelivered["MESSAGE"] and undelivered["PRIORITY"] == "4"
        assert courier.received() == []
        assert engineer.run("echo alive").strip() == "alive"
    finally:
        box.run("nft delete table inet egress")
    box.run("systemctl", "reload", UNIT)  # not to wait for the next try
    courier.wait_received(lambda line: kind(line) == "opened", timeout=60)
    assert not any(kind(line) == "undelivered" for line in courier.received())


def test_the_request_expires_on_time(box, courier):
    """With nobody to be reached it is refused when its time is over, and what was to be asked is given up with it."""
    box.policy("[Rule]\nAction=require-approval\n[Request]\nExpireAfter=5s\n")
    courier.configure("[Courier]\nGiveUp=2s\n" + courier.hook(port=1))
    request = Engineer(box).request()
    box.wait_event("expired", LOCKBOX_REQUEST=request)
    box.wait_event("undelivered", lambda entry: entry.get("LOCKBOX_REQUEST") == request, timeout=60)
    assert show(box, request)["state"] == "expired"


@pytest.mark.parametrize("mood", ["endless", "hang"])
def test_hostile_answers(box, courier, mood):
    """A gigabyte and more, or nothing at all: neither memory nor the rest of what is to be told is lost to it (row 30).
    What begins with a 200 is a yes, however long it goes on: it is not sent again."""
    courier.configure(courier.hook("bad") + courier.hook("siem", port=GOOD))
    before = memory(box)
    courier.mood(mood)
    Engineer(box).request()
    courier.wait_received(name="bad")
    box.ctl("courier", "status")
    assert memory(box) < before + 8 * 1024
    if mood == "hang":
        courier.mood("204")
    else:
        bad = wait_for(lambda: (t := courier.target("bad")) and not t["waiting"] and t, what="it to be taken")
        assert bad["state"] == "connected" and "problem" not in bad
        assert len(set(ids(courier.received("bad")))) == len(courier.received("bad"))


def memory(box):
    """KiB that the courier has, at most so far."""
    pid = box.run("systemctl", "show", "--property=MainPID", "--value", UNIT).stdout.strip()
    return int(next(line.split()[1] for line in box.read(f"/proc/{pid}/status").splitlines() if line.startswith("VmHWM")))


def test_nothing_listens(box, courier):
    """A link never decides: there is nothing on this host that a mail scanner, or anybody else, could call (row 28)."""
    courier.configure(courier.hook())
    pid = box.run("systemctl", "show", "--property=MainPID", "--value", UNIT).stdout.strip()
    for family in "tcp", "udp":
        assert f"pid={pid}," not in box.run("ss", "-Hlnp", f"--{family}").stdout


def test_a_courier_that_is_somebody_elses(box, courier):
    """Its account reads, and cannot decide, whatever it is made to ask (row 29)."""
    courier.configure(courier.hook())
    request = Engineer(box).request()
    for verb in "approve", "deny", "revoke":
        done = box.run("setpriv", "--reuid=lockbox-courier", "--regid=lockbox-courier", "--init-groups", "lockboxctl", verb,
                       request, check=False)
        assert done.returncode == 4, done.stderr
    assert show(box, request)["state"] == "pending"


# --- the trail -------------------------------------------------------------------------------------------------------

UNDELIVERED = '{"channel": "webhook", "target": "siem", "reason": "a\\u001b[31mb\\nc", "count": 3, "request": "%s"}'


def undelivered(box, request, *become):
    return box.run(*become, "varlinkctl", "call", CONTROL, "org.lockbox.Audit.Undelivered", UNDELIVERED % request,
                   check=False)


def test_who_says_undelivered(trixie_lockbox):
    """Root and the courier's account, of requests that there are, made safe, and not more often than ten times a minute."""
    box = trixie_lockbox
    box.reset()
    request = Engineer(box).request()
    for name in "bob", "dora", "eng", "admin":
        denied = box.run("varlinkctl", "call", CONTROL, "org.lockbox.Audit.Undelivered", UNDELIVERED % request, user=name,
                         check=False)
        assert denied.returncode != 0 and "NotPermitted" in denied.stderr
    assert "NoSuchRequest" in undelivered(box, "0000-0000").stderr
    become = ["setpriv", "--reuid=lockbox-courier", "--regid=lockbox-courier", "--init-groups"]
    assert undelivered(box, request, *become).returncode == 0
    event = box.wait_event("undelivered")
    assert event["LOCKBOX_REQUEST"] == request and event["LOCKBOX_STATE"] == "pending"
    assert json.loads(event["LOCKBOX_JSON"])["note"].endswith("webhook to siem (and 2 more): a\ufffd[31mb c")
    done = [undelivered(box, request, *become) for _ in range(12)]
    assert sum(d.returncode == 0 for d in done) == 9
    assert "too often" in done[-1].stdout + done[-1].stderr
    assert box.ctl("audit", "verify").returncode == 0
    assert show(box, request)["state"] == "pending"


# --- what people see and do ------------------------------------------------------------------------------------------


def test_given_up_and_sent_after_all(box, courier):
    """What the other end will not have is kept and told once; an administrator mends it, and lets it go."""
    courier.configure(courier.hook(extra="Events=requested"))
    courier.mood("400")
    request = Engineer(box).request()
    entry = box.wait_event("undelivered")
    assert entry["LOCKBOX_REQUEST"] == request and "HTTP 400" in entry["MESSAGE"]
    dead = json.loads(box.ctl("courier", "dead", "--json").stdout)["letters"]
    assert [letter["request"] for letter in dead] == [request]
    assert courier.target("siem")["dead"] == 1
    courier.mood("204")
    assert box.ctl("courier", "retry", "nonsense", check=False).returncode == 1
    assert "1 to be sent again" in box.ctl("courier", "retry").stdout
    line = courier.wait_received(lambda line: line["mood"] == ["204"])
    assert line["headers"]["webhook-id"] == dead[0]["id"]


# As many letters to the webhook as may wait for it.
FULL = f"""
import sqlite3
db = sqlite3.connect("{OUTBOX}/outbox.db", timeout=10)
db.execute("INSERT INTO letters (id, channel, target, seq, notice, due, until, body)"
           " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)"
           " SELECT 'x' || i, 'webhook', 'siem', 1, 0, 1 << 62, 1 << 62, '' FROM n")
db.commit()
"""


def test_too_many_wait(box, courier):
    """What is not kept is counted, and status says so, also after a restart."""
    courier.configure(courier.hook(extra="Events=requested"))
    assert courier.status()["dropped"] == 0 and "Dropped" not in box.ctl("courier", "status").stdout
    box.run("python3", "-c", FULL)
    Engineer(box).request()
    Engineer(box, "eng2").request()
    courier.wait_caught_up()
    box.systemctl("restart", UNIT)
    assert courier.status()["dropped"] == 2
    assert "\nDropped:  2 letters so far, as too many waited\n" in box.ctl("courier", "status").stdout


def test_retry(box, courier):
    """Who has mended what was wrong need not wait until it is tried again."""
    courier.configure(courier.hook(extra="Events=requested"))
    courier.mood("429 3600")
    Engineer(box).request()
    wait_for(lambda: courier.target("siem").get("state") == "failing", what="the failure")
    courier.mood("204")
    box.ctl("courier", "retry")
    courier.wait_received(lambda line: line["mood"] == ["204"])


def test_who_may_look(box, courier):
    """Approvers and auditors see how it is, nobody else; a test is root's."""
    courier.configure(courier.hook())
    for name, status in {"bob": 0, "dora": 0, "eng": 4, "admin": 4}.items():
        assert box.ctl("courier", "status", user=name, check=False).returncode == status, name
        assert box.ctl("courier", "test", "webhook", user=name, check=False).returncode == 4, name
        assert box.ctl("courier", "retry", user=name, check=False).returncode == 4, name


# Connects until it is not taken any more, says how many were, and stays.
CROWD = r'''
import socket, sys, time
taken = []
for _ in range(100):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect("/run/lockbox-courier/control.socket")
    try:
        s.sendall(b'{"method": "org.varlink.service.GetInfo"}\0')
        if not s.recv(65536):
            break
    except OSError:
        break
    taken.append(s)
print(len(taken), flush=True)
time.sleep(300)
'''


def test_a_crowd_of_one(box, courier):
    """Whoever opens one connection after the other has his own places, and nobody else's; together they leave root's."""
    courier.configure(courier.hook())
    crowds = []

    def crowd(name):
        crowds.append(box.popen("python3", "-c", CROWD, user=name, stdout=subprocess.PIPE))
        return int(crowds[-1].stdout.readline())

    try:
        assert [crowd(name) for name in ("eng", "eng2", "admin")] == [8, 8, 8]
        for name in "root", "dora", "bob":
            assert box.ctl("courier", "status", user=name, check=False).returncode == 0, name
        assert crowd("bob") == 8  # there is no place any more for others than root
        assert box.ctl("courier", "status", user="dora", check=False).returncode == 5
        assert box.ctl("courier", "status", check=False).returncode == 0
    finally:
        for crowded in crowds:
            crowded.kill()


def test_status(box, courier):
    """lockboxctl status has its lines where there is a courier, or should be one."""
    assert "Courier" not in box.ctl("status").stdout
    assert "there is no /etc/lockbox/courier.conf" in box.ctl("courier", "status", check=False).stderr
    courier.configure(courier.hook(), start=False)
    assert "Courier:  not running" in box.ctl("status").stdout
    assert box.ctl("courier", "status", check=False).returncode == 5
    courier.configure(courier.hook())
    assert "Courier:  running\n          webhook siem: idle, 0 sent\n" in box.ctl("status").stdout
    assert "Connected to localhost" in box.ctl("courier", "test", "webhook").stdout
    assert box.ctl("courier", "dead").stdout == "Nothing was given up.\n"
    for words, answer in {"mail": "it is not configured", "smoke": "mail, webhook, remote, export"}.items():
        assert answer in box.ctl("courier", "test", words, check=False).stderr
    courier.configure("[Mail]\nServer=smtp://localhost:587\nFrom=lockbox@localhost\n")
    assert "\n          mail: idle, 0 sent\n" in box.ctl("courier", "status").stdout
    assert "to whom?" in box.ctl("courier", "test", "mail", check=False).stderr


def test_an_impostor_on_its_socket(box, courier):
    """Whoever else listens there is not asked, and not believed."""
    box.run("install -d -m 0777 /run/impostor")
    listener = box.popen("nc", "-lU", "/run/impostor/socket", user="admin")
    try:
        wait_for(lambda: box.exists("/run/impostor/socket"), what="the impostor")
        box.run("chmod", "0666", "/run/impostor/socket")
        done = box.ctl("courier", "status", "--courier-socket=/run/impostor/socket", user="bob", check=False)
        assert done.returncode == 5 and "not lockbox-courier" in done.stderr
    finally:
        listener.kill()


def test_settings(box, courier):
    """What has mistakes is refused with file and line; the last good ones stay in force."""
    courier.configure(courier.hook())
    box.write(CONFIG, courier.hook() + "[Webhook]\n")
    box.systemctl("reload", UNIT)
    assert "[Webhook] needs a name" in courier.status()["config_error"]
    check = box.run("/usr/libexec/lockbox/lockbox-courier", "--check", check=False)
    assert check.returncode == 1 and f"{CONFIG}:5: " in check.stderr
    request = Engineer(box).request()
    courier.wait_received(lambda line: line["headers"]["webhook-id"].startswith(request))
    courier.configure(courier.hook("other"))
    check = box.run("/usr/libexec/lockbox/lockbox-courier", "--check")
    assert check.stdout == "The settings are good: webhook\n"
    Person(box).deny(request)
    courier.wait_received(lambda line: kind(line) == "denied", name="other")


# Two calls in one piece; the second is read when the first has been answered.
TWO_CALLS = r'''
import json, socket
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect("/run/lockbox-courier/control.socket")
calls = ({"method": "org.lockbox.Courier.Test", "parameters": {"channel": "webhook"}},
         {"method": "org.lockbox.Courier.Status"})
s.sendall(b"".join(json.dumps(call).encode() + b"\0" for call in calls))
got = b""
while got.count(b"\0") < len(calls) and (more := s.recv(65536)):
    got += more
print(json.dumps([json.loads(reply) for reply in got.split(b"\0")[:-1]]))
'''


def test_settings_are_read_during_a_test(box, courier):
    """It ends, and is told so; who asked something else behind it is answered."""
    courier.configure(courier.hook())
    courier.mood("hang")
    asking = box.popen("python3", "-c", TWO_CALLS, stdout=subprocess.PIPE)
    courier.wait_received()
    box.systemctl("reload", UNIT)
    tested, status = json.loads(asking.communicate(timeout=30)[0])
    assert "read anew meanwhile" in tested["parameters"]["problem"]
    assert status["parameters"]["channels"]["webhook"]
    courier.mood("204")


def test_mistakes_at_the_start(box, courier):
    """Nothing is read before there are good settings: what happens meanwhile is told then."""
    courier.configure(courier.hook())
    box.systemctl("stop", UNIT)
    box.write(CONFIG, "[Webhok x]\n")
    box.systemctl("start", UNIT)
    request = Engineer(box).request()
    assert courier.status()["config_error"]
    courier.configure(courier.hook())
    courier.wait_received(lambda line: line["headers"]["webhook-id"].startswith(request))


@pytest.mark.parametrize("meanwhile", ["running", "stopped"])
def test_another_log(box, courier, meanwhile):
    """A log that begins anew is another one, and read from its begin, also where it is longer by then."""
    courier.configure(courier.hook())
    if meanwhile == "stopped":
        box.systemctl("stop", UNIT)
    box.systemctl("stop", *UNITS)
    box.run(f"rm -rf {STATE}/*")
    box.systemctl("start", *UNITS)
    request = Engineer(box).request()
    box.systemctl("start", UNIT)
    line = courier.wait_received(lambda line: kind(line) == "requested")
    assert line["headers"]["webhook-id"].startswith(request)
    assert {json.loads(line["body"])["event"]["seq"] for line in courier.received()} >= {1, 2}


def test_exposure(every_box):
    """The unit is closed as far as it goes, and what it says is in force."""
    courier = Courier(every_box)
    courier.configure(courier.hook())
    shown = every_box.run("systemd-analyze", "security", "--no-pager", UNIT).stdout.splitlines()[-1]
    assert float(shown.split(": ")[1].split()[0]) < 2.0, shown
    pid = every_box.run("systemctl", "show", "--property=MainPID", "--value", UNIT).stdout.strip()
    status = dict(line.split(":\t", 1) for line in every_box.read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert re.search(r"^Max core file size +0 +0 ", every_box.read(f"/proc/{pid}/limits"), re.MULTILINE)
    inside = ["nsenter", "-t", pid, "-m", "setpriv", "--reuid=lockbox-courier", "--regid=lockbox-courier", "--init-groups"]
    assert every_box.run(*inside, "cat", f"{STATE}/lockbox.db", check=False).returncode != 0
    assert every_box.run(*inside, "touch", "/etc/lockbox/x", check=False).returncode != 0
    courier.stop()


CHECKPOINT = "import sqlite3; sqlite3.connect('%s/outbox.db').execute('PRAGMA wal_checkpoint(TRUNCATE)')" % OUTBOX
CHANGE = "import sqlite3; sqlite3.connect('%s/outbox.db').execute('CREATE TABLE x (y)')" % OUTBOX
SPOIL = (f"n=$(stat -c %s {OUTBOX}/outbox.db);"
         f" head -c $((n - 4096)) /dev/urandom | dd of={OUTBOX}/outbox.db bs=4096 seek=1 conv=notrunc")


@pytest.mark.parametrize("meanwhile", ["running", "stopped"])
def test_a_damaged_outbox(box, courier, meanwhile):
    """Whatever of it is damaged: it is put aside, and what happens from then on is told."""
    courier.configure(courier.hook())
    courier.mood("503")
    request = Engineer(box).request()
    courier.wait_received()
    if meanwhile == "stopped":
        box.systemctl("stop", UNIT)
    box.run("python3", "-c", CHECKPOINT)
    box.run(SPOIL)
    if meanwhile == "stopped":
        box.systemctl("start", UNIT)
    else:
        box.run("python3", "-c", CHANGE)  # what it remembers of the file is no good any more
        Person(box).ctl("ask", request, "why?")
    wait_for(lambda: box.exists(f"{OUTBOX}/outbox.db.damaged"), what="the file to be put aside")
    courier.mood("204")
    courier.wait_caught_up()
    Person(box).deny(request)
    courier.wait_received(lambda line: kind(line) == "denied")


def test_an_outbox_of_a_later_version(box, courier):
    """It says what to do, once, and waits for somebody to do it."""
    courier.configure(courier.hook())
    box.systemctl("stop", UNIT)
    began = box.run("date", "+%s").stdout.strip()
    version = "import sqlite3; sqlite3.connect('%s/outbox.db').execute('PRAGMA user_version = %d')"
    box.run("python3", "-c", version % (OUTBOX, 1000))
    assert box.run("systemctl", "start", UNIT, check=False).returncode != 0
    shown = box.run("systemctl", "show", "--property=ActiveState,NRestarts,ExecMainStatus", UNIT).stdout.split()
    assert sorted(shown) == ["ActiveState=failed", "ExecMainStatus=78", "NRestarts=0"]
    said = box.run(f"journalctl -o cat --no-pager -u {UNIT} --since=@{began}").stdout
    assert said.count("of a later version of lockbox: install that one again, or move outbox.db* away") == 1
    box.run("python3", "-c", version % (OUTBOX, 1))
    box.systemctl("restart", UNIT)
    request = Engineer(box).request()
    courier.wait_received(lambda line: line["headers"]["webhook-id"].startswith(request))


def test_a_full_disk(box, courier):
    """What happens is told once there is room; what has been sent is not sent again because that could not be written
    down, and the journal is not filled instead."""
    box.run(f"mkdir -p {OUTBOX}; mount -t tmpfs -o size=1m tmpfs {OUTBOX}")
    try:
        began = box.run("date", "+%s").stdout.strip()
        courier.configure(courier.hook(extra="Events=requested denied"))
        courier.mood("hang")
        request = Engineer(box).request()
        courier.wait_received()
        fill = f"head -c 2m /dev/zero >{OUTBOX}/fill 2>&1; true"
        box.run(fill)
        courier.mood("204")
        Person(box).deny(request)
        wait_for(lambda: "No space" in courier.status().get("problem", ""), what="the courier to say so")
        log = f"journalctl -o cat --no-pager -u {UNIT} --since=@{began}"
        wait_for(lambda: "written down" in box.run(log).stdout, what="what was sent")
        time.sleep(3)  # it is tried every second
        assert box.run(log).stdout.count("written down") == 1
        box.run(f"rm {OUTBOX}/fill")
        courier.wait_received(lambda line: kind(line) == "denied")
        assert [kind(line) for line in courier.received()] == ["requested", "denied"]
    finally:
        courier.stop()
        box.run("umount", OUTBOX)
