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
from courier import UNIT, WORK, Courier, kind
from people import Engineer, Person
from web import listen

RAW, PLAIN, TWO = 8500, 8501, 8502


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
        wait_for(lambda: server.connections >= 16, what="all that may be on their way at once")
        began = time.time()
        Person(box).deny(request)
        denied = courier.wait_received(lambda line: kind(line) == "denied", timeout=90)
        assert denied["at"] < began + 10  # one try may take 60 s, and a connection 15
        over.set()
