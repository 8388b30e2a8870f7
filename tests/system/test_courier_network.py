# SPDX-License-Identifier: LGPL-2.1-or-later
"""lockbox-courier in a network as bad as it can be: servers that hang, drip or mean ill, names that nobody resolves,
packets that get lost. What is not behind them goes on, and nobody's secrets come out where they should not."""

import json
import re
import ssl
import threading
import time

import pytest
from appliance import wait_for
from courier import CA, GOOD, UNIT, WORK, Courier, kind
from mail_server import PASSWORD, SUBMISSION, MailServer
from people import Engineer, Person
from web import listen

RAW, PLAIN, TWO = 8500, 8501, 8502
AT_ONCE = 4  # connections to one mail server


@pytest.fixture
def courier(box):
    made = Courier(box)
    yield made
    made.stop()


@pytest.fixture
def every_courier(every_box):
    made = Courier(every_box)
    yield made
    made.stop()


class Raw:
    """A server of bytes, by TLS or not: `talk` gets each connection. A context."""

    def __init__(self, box, talk, port=RAW):
        self.context = None
        if port == RAW:
            work = box.root / WORK.lstrip("/")
            self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.context.load_cert_chain(work / "good.crt", work / "good.key")
        self.talk, self.connections = talk, 0
        self.socket = listen(box, port)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        try:
            with self.context.wrap_socket(connection, server_side=True) if self.context else connection as s:
                self.talk(s)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(2)
        self.socket.close()


def answering(answer, endless=b""):
    """Takes a request and answers with these bytes, and then with the others for ever."""
    def talk(s):
        s.recv(65536)
        s.sendall(answer)
        while endless:
            s.sendall(endless)
    return talk


def process(box, field):
    """A number of /proc/PID/status."""
    pid = box.run("systemctl", "show", "--property=MainPID", "--value", UNIT).stdout.strip()
    return int(re.search(rf"^{field}:\s+(\d+)", box.read(f"/proc/{pid}/status"), re.MULTILINE)[1])


# --- who waits for it, and who does not ------------------------------------------------------------------------------


def test_it_sleeps_between_tries(courier):
    """Whoever waits for a server that says "later" does nothing meanwhile."""
    courier.configure(courier.hook(extra="Events=requested"))
    courier.mood("503")
    Engineer(courier.box).request()
    courier.wait_received()
    before = process(courier.box, "voluntary_ctxt_switches")
    wait_for(lambda: len(courier.received()) >= 5, timeout=60, interval=0.5, what="tries")
    assert process(courier.box, "voluntary_ctxt_switches") < before + 1000


def test_a_mail_server_that_hangs(courier):
    """However many addresses are behind it, the webhook is told at once."""
    box = courier.box
    addresses = " ".join(f"p{i}@customer.example" for i in range(30))
    over = threading.Event()
    with Raw(box, lambda s: over.wait(120), port=PLAIN) as server:
        courier.configure(courier.hook() + f"[Mail]\nServer=smtp://localhost:{PLAIN}\nFrom=a@b\nTo={addresses}\n")
        request = Engineer(box).request()
        courier.wait_received()
        wait_for(lambda: server.connections >= AT_ONCE, what="all that may be on their way at once")
        began = time.time()
        Person(box).deny(request)
        denied = courier.wait_received(lambda line: kind(line) == "denied", timeout=90)
        assert denied["at"] < began + 10  # one try may take 60 s, and a connection 15
        assert server.connections == AT_ONCE
        over.set()


class Crowded:
    """A mail server that is asked too much ("421") until it is open, and takes mail then: when each connection came, and
    how many there are."""

    def __init__(self, is_open=False, goodbye=0.05):
        self.open, self.times, self.now = is_open, [], 0
        self.goodbye = goodbye  # seconds that it takes
        self.go_on, self.recipients = threading.Event(), []
        self.go_on.set()
        self.lock = threading.Lock()

    def __call__(self, s):
        with self.lock:
            self.times.append(time.monotonic())
            self.now += 1
        try:
            self.talk(s)
        finally:
            with self.lock:
                self.now -= 1

    def talk(self, s):
        if not self.open:
            return s.sendall(b"421 too many of you\r\n")
        lines = s.makefile("rb")
        self.go_on.wait(60)
        s.sendall(b"220 here\r\n")
        for line in lines:
            data = line.startswith(b"DATA")
            s.sendall(b"354 go ahead\r\n" if data else b"250 yes\r\n")
            while data and next(lines) != b".\r\n":
                pass
            if data:
                s.sendall(b"250 taken\r\n")
            if line.startswith(b"RCPT"):
                self.recipients.append(line)
            if line.startswith(b"QUIT"):
                s.settimeout(self.goodbye)
                return s.recv(1)


def test_a_mail_server_with_many_addresses(courier):
    """What it is asked at once is little; what fails with it is tried with one letter, of whichever address; and once it
    works everybody is told."""
    box, server, n = courier.box, Crowded(), 30
    addresses = " ".join(f"p{i}@customer.example" for i in range(n))
    with Raw(box, server):
        courier.configure(f"[Mail]\nServer=smtps://localhost:{RAW}\nFrom=a@b\nTo={addresses}\nCAFile={CA}\n")
        Engineer(box).request()
        wait_for(lambda: len(server.times) >= AT_ONCE + 3, timeout=30, what="tries")
        tries = server.times[:]
        assert all(after - before > 0.4 for before, after in zip(tries[AT_ONCE - 1:], tries[AT_ONCE:]))
        targets = courier.status()["targets"]
        assert len(targets) == n
        assert all(t["state"] == "failing" and "421" in t["problem"] for t in targets), targets
        server.open = True
        wait_for(lambda: all(t["sent"] == 1 and t["state"] == "connected" for t in courier.status()["targets"]),
                 timeout=60, what="all of them to be told")


def test_turns_at_a_mail_server(courier):
    """Whoever has many letters waiting has one and then another, and the next address its own between them."""
    box, server, n = courier.box, Crowded(is_open=True), 10
    box.policy("[Rule]\nAction=require-approval\n[Request]\nMaxPending=20\n")
    server.go_on.clear()
    with Raw(box, server):
        courier.configure(f"[Mail]\nServer=smtps://localhost:{RAW}\nFrom=a@b\nTo=p0@b p1@b\nCAFile={CA}\n")
        for i in range(n):
            box.ctl("request", "--ticket", f"CASE-{i}", "--reason", "the disk is full", user="eng")
        courier.wait_caught_up()
        wait_for(lambda: server.now == AT_ONCE, what="all that may be on their way")
        server.go_on.set()
        wait_for(lambda: sum(t["sent"] for t in courier.status()["targets"]) == 2 * n, timeout=40, what="all of it")
        first = server.recipients[AT_ONCE:n]
        assert len(first) > len(set(first)) == 2, server.recipients


def test_goodbyes_that_take_their_time(every_courier):
    """The next mail does not wait for them."""
    box, server, n = every_courier.box, Crowded(is_open=True, goodbye=60), 10
    addresses = " ".join(f"p{i}@customer.example" for i in range(n))
    with Raw(box, server):
        every_courier.configure(f"[Mail]\nServer=smtps://localhost:{RAW}\nFrom=a@b\nTo={addresses}\nCAFile={CA}\n")
        Engineer(box).request()
        wait_for(lambda: sum(t["sent"] for t in every_courier.status()["targets"]) == n, timeout=40, what="all of it")


# --- what takes no end -----------------------------------------------------------------------------------------------


def test_headers_without_end(every_courier):
    """Row 30: neither memory nor the rest of what is to be told is lost to them."""
    box = every_courier.box
    every_courier.configure(every_courier.hook("bad", port=RAW) + every_courier.hook())
    before = process(box, "VmHWM")
    headers = b"".join(b"X-%d: %s\r\n" % (i, b"x" * 1000) for i in range(100))
    with Raw(box, answering(b"HTTP/1.1 500 no\r\n", headers)):
        Engineer(box).request()
        every_courier.wait_received(name="siem")
        wait_for(lambda: every_courier.target("bad").get("problem"), timeout=70, what="the failure")
        assert process(box, "VmHWM") < before + 8 * 1024


@pytest.mark.parametrize("rest", [b"", b"Content-Length: 10\r\n\r\nx", b"Transfer-Encoding: \xff\r\n\r\nx"],
                         ids=["headers", "a body", "nonsense"])
def test_a_yes_that_breaks_off(courier, rest):
    """A status of 2xx says that it was taken: what is missing, or wrong, behind it has nobody told twice."""
    box = courier.box
    courier.configure(courier.hook("bad", port=RAW, extra="Events=requested"))
    with Raw(box, answering(b"HTTP/1.1 200 OK\r\n" + rest)) as server:
        Engineer(box).request()
        wait_for(lambda: courier.target("bad").get("sent") == 1, what="it to be taken")
        assert server.connections == 1 and courier.target("bad")["state"] == "connected"


def test_an_answer_that_drips(courier):
    """A byte now and then, from more servers than letters were once on their way to at all: nobody else waits."""
    box, over = courier.box, threading.Event()

    def drip(s):
        s.recv(65536)
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
            s.sendall(bytes([byte]))
            if over.wait(0.2):
                return

    with Raw(box, drip):
        courier.configure("".join(courier.hook(f"bad{i}", port=RAW) for i in range(5)) + courier.hook())
        request = Engineer(box).request()
        courier.wait_received(name="siem")
        began = time.time()
        Person(box).deny(request)
        assert courier.wait_received(lambda line: kind(line) == "denied")["at"] < began + 5
        over.set()


@pytest.mark.parametrize("words", [b"220-welcome\r\n" * 1000, b"2" * 65536], ids=["lines", "a line"])
def test_a_mail_server_that_talks_without_end(every_courier, words):
    """Row 30: curl (8.14) reads on for as long as there is something to read, and everything else waits."""
    box = every_courier.box

    def talk_on(s):
        while True:
            s.sendall(words)

    with Raw(box, talk_on, port=PLAIN) as server:
        every_courier.configure(f"[Mail]\nServer=smtp://localhost:{PLAIN}\nFrom=a@b\nTo=c@d\n" + every_courier.hook())
        before = process(box, "VmHWM")
        request = Engineer(box).request()
        wait_for(lambda: server.connections, what="the courier")
        Person(box).deny(request)
        every_courier.wait_received(lambda line: kind(line) == "denied")
        wait_for(lambda: every_courier.target("c@d").get("problem"), timeout=70, what="the failure")
        assert process(box, "VmHWM") < before + 8 * 1024


def test_a_name_server_that_hangs(every_courier):
    """The loop never waits for a name: what has an address arrives, a reload and the stop are done at once."""
    box = every_courier.box
    box.run("[ ! -e /etc/resolv.conf ] || cp --remove-destination -L /etc/resolv.conf /root/; rm -f /etc/resolv.conf")
    box.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    box.run("systemd-run", "--unit=test-dns", "python3", "-c", "import socket, time\n"
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 53)); time.sleep(1000)")
    try:
        wait_for(lambda: box.run("ss", "-Huln", "sport = :53").stdout, what="the name server")
        every_courier.configure(every_courier.hook("far", host="far.customer.example") + every_courier.hook())
        request = Engineer(box).request()
        every_courier.wait_received(name="siem")
        began = time.time()
        Person(box).deny(request)
        assert every_courier.wait_received(lambda line: kind(line) == "denied", name="siem")["at"] < began + 5
        began = time.time()
        box.systemctl("reload", UNIT)
        every_courier.wait_caught_up()
        box.systemctl("stop", UNIT)
        assert time.time() < began + 5
    finally:
        box.run("systemctl stop test-dns; systemctl reset-failed test-dns; rm /etc/resolv.conf;"
                " [ ! -e /root/resolv.conf ] || mv /root/resolv.conf /etc/", check=False)


# --- what gets lost ---------------------------------------------------------------------------------------------------

LOSS = f"""
table inet loss {{
    chain out {{
        type filter hook output priority 0;
        tcp dport {{ {GOOD}, {SUBMISSION} }} numgen random mod 100 < 30 drop
        tcp sport {{ {GOOD}, {SUBMISSION} }} numgen random mod 100 < 30 drop
    }}
}}
"""


def test_packets_get_lost(courier):
    """Three out of ten, both ways, to the web server and the mail server: each notification arrives, none under two names."""
    box, server = courier.box, MailServer(courier.box).start()
    courier.secret("mail-password", PASSWORD)
    box.policy("[Rule]\nAction=require-approval\n[Request]\nMaxPending=20\n")
    courier.configure(courier.hook(extra="Events=requested denied") + server.config(extra="To=duty@customer.example"))
    box.run("nft", "-f", "-", input=LOSS)
    try:
        for i in range(6):
            box.ctl("request", "--ticket", f"CASE-{i}", "--reason", "the disk is full", user="eng")
        asked = [r["id"] for r in json.loads(box.ctl("list", "--pending", "--json").stdout)["requests"]]
        wanted = {f"Action needed: {request}" for request in asked}
        wait_for(lambda: subjects(server) >= wanted and names(courier) == 6, timeout=120, what="all of it")
        Person(box).deny(asked[0])
        wanted.add(f"Denied: {asked[0]}")
        wait_for(lambda: subjects(server) >= wanted and names(courier) == 7, timeout=120, what="the outcome")
        assert subjects(server) == wanted
        assert len({mail["message-id"] for mail in server.mails("duty@customer.example")}) == 7
    finally:
        box.run("nft", "delete", "table", "inet", "loss")
        server.stop()


def subjects(server):
    return {mail["subject"].split(",")[0] for mail in server.mails("duty@customer.example")}


def names(courier):
    return len({line["headers"]["webhook-id"] for line in courier.received()})


# --- what it says ----------------------------------------------------------------------------------------------------


def test_a_test_by_http_2_does_not_show_the_token(every_courier):
    """curl tells every header that it sends by that version, in the midst of what it tells of the connection."""
    box = every_courier.box
    box.write(f"{WORK}/two.conf", f"""
        pid {WORK}/two.pid; error_log {WORK}/two.log; events {{ }}
        http {{ access_log off; server {{ listen 127.0.0.1:{TWO} ssl http2; ssl_certificate {WORK}/good.crt;
            ssl_certificate_key {WORK}/good.key; location / {{ proxy_pass http://127.0.0.1:9000; }} }} }}""")
    box.run("systemd-run", "--unit=test-two", "nginx", "-c", f"{WORK}/two.conf", "-g", "daemon off;")
    try:
        wait_for(lambda: box.run("ss", "-Htln", f"sport = :{TWO}").stdout, what="nginx")
        every_courier.configure(every_courier.hook(port=TWO, extra=f"Token={every_courier.secret('token', 'hush-hush')}"))
        done = box.ctl("courier", "test", "webhook")
        assert "delivered" in done.stdout and "hush-hush" not in done.stdout + done.stderr
        assert every_courier.received()[0]["headers"]["authorization"] == "Bearer hush-hush"
    finally:
        box.run("systemctl stop test-two; systemctl reset-failed test-two", check=False)


def test_mail_takes_no_proxy(courier):
    """It is for HTTPS alone, and would not know what to do with the port of a mail server."""
    box = courier.box
    with Raw(box, answering(b"HTTP/1.1 403 no\r\n\r\n"), port=TWO) as proxy, \
            Raw(box, lambda s: s.sendall(b"554 no\r\n"), port=PLAIN) as mail:
        courier.configure(f"[Courier]\nProxy=http://127.0.0.1:{TWO}\n"
                          f"[Mail]\nServer=smtp://127.0.0.1:{PLAIN}\nFrom=a@b\nTo=c@d\n")
        assert box.ctl("courier", "test", "mail", check=False).returncode == 1
        assert (proxy.connections, mail.connections) == (0, 1)


def test_words_of_a_server(every_courier):
    """What curl repeats of an answer is made safe, and stands in no one's way: not in status, nor in the trail."""
    box = every_courier.box
    every_courier.configure("[Courier]\nGiveUp=2s\n" + every_courier.hook("bad", port=RAW))
    with Raw(box, answering(b"HTTP/1.1 500 no\r\nTransfer-Encoding: \xff\x1b[31mred\r\n\r\nx")):
        Engineer(box).request()
        problem = wait_for(lambda: every_courier.target("bad").get("problem"), what="the failure")
        assert "\x1b" not in problem
        box.wait_event("undelivered", timeout=60)
        (letter,) = json.loads(box.ctl("courier", "dead", "--json").stdout)["letters"]
        assert "\x1b" not in letter["error"]


# --- what is broken off ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["reload", "stop"])
def test_a_mail_that_is_broken_off(every_courier, how):
    """It is not finished as it is: curl would say that it is complete, and the server take what it has of it."""
    box = every_courier.box
    asked, go_on, rest = threading.Event(), threading.Event(), []

    def talk(s):
        lines = s.makefile("rb")
        s.sendall(b"220 here\r\n")
        for line in lines:
            if line.startswith(b"DATA"):
                break
            s.sendall(b"250 yes\r\n")
        asked.set()
        go_on.wait(60)
        s.sendall(b"354 go ahead\r\n")
        rest.append(lines.read())

    with Raw(box, talk) as server:
        every_courier.configure(f"[Mail]\nServer=smtps://localhost:{RAW}\nFrom=a@b\nTo=c@d\nCAFile={CA}\n")
        Engineer(box).request()
        assert asked.wait(30)
        server.talk = lambda s: s.sendall(b"421 later\r\n")
        began = time.monotonic()
        box.systemctl(how, UNIT)
        if how == "reload":
            every_courier.wait_caught_up()
        assert time.monotonic() - began < 10
        go_on.set()
        wait_for(lambda: rest, what="the end of the connection")
        assert rest == [b""]


@pytest.mark.parametrize("how", ["reload", "stop"])
def test_a_mail_server_that_hears_no_goodbye(every_courier, how):
    """Nobody waits for the end of a connection on which there is nothing more to say."""
    box = every_courier.box
    over = threading.Event()

    def talk(s):
        lines = s.makefile("rb")
        s.sendall(b"220 here\r\n")
        for line in lines:
            if line.startswith(b"QUIT"):
                break
            data = line.startswith(b"DATA")
            s.sendall(b"354 go ahead\r\n" if data else b"250 yes\r\n")
            while data and next(lines) != b".\r\n":
                pass
            if data:
                s.sendall(b"250 taken\r\n")
        over.wait(60)

    with Raw(box, talk):
        every_courier.configure(f"[Mail]\nServer=smtps://localhost:{RAW}\nFrom=a@b\nTo=c@d\nCAFile={CA}\n")
        Engineer(box).request()
        wait_for(lambda: every_courier.target("c@d").get("sent"), timeout=30, what="the mail")
        began = time.monotonic()
        box.systemctl(how, UNIT)
        if how == "reload":
            every_courier.wait_caught_up()
        assert time.monotonic() - began < 5
        over.set()


def test_a_mail_server_that_thinks(every_courier):
    """curl waits for the answer to a mail without doing anything else: so it does that where nobody else waits."""
    box = every_courier.box
    taken, answer = threading.Event(), threading.Event()

    def talk(s):
        lines = s.makefile("rb")
        s.sendall(b"220 here\r\n")
        for line in lines:
            data = line.startswith(b"DATA")
            s.sendall(b"354 go ahead\r\n" if data else b"250 yes\r\n")
            while data and next(lines) != b".\r\n":
                pass
            if data:
                taken.set()
                answer.wait(60)
                s.sendall(b"250 taken\r\n")

    with Raw(box, talk):
        every_courier.configure(f"[Mail]\nServer=smtps://localhost:{RAW}\nFrom=a@b\nTo=c@d\nCAFile={CA}\n"
                                + every_courier.hook())
        request = Engineer(box).request()
        assert taken.wait(30)
        Person(box).deny(request)
        every_courier.wait_received(lambda line: kind(line) == "denied", timeout=10)
        answer.set()
        wait_for(lambda: every_courier.target("c@d").get("sent"), timeout=30, what="the mail to be taken")
