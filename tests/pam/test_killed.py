# SPDX-License-Identifier: LGPL-2.1-or-later
"""lockboxd, killed in front of every write, sync and reply of an access's life: what anybody was told is in the log."""

import contextlib
import json
import os
import pwd
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from test_daemon import APPROVER, BUILD, ENGINEER, Host, audit, eventually, log_in, shared  # noqa: F401  (fixtures)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an approver is another user than the engineer")

EVERY = 1 if os.environ.get("LOCKBOX_LONG") else 7  # of the calls; each takes a quarter of a second

LOGIN = {"account": ENGINEER, "service": "login", "scope": "login", "tty": "tty1"}


class Gone(Exception):
    """The daemon hung up instead of answering, or is not there."""


def call(path, method, **parameters):
    """One varlink call on a connection of its own; its reply."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        try:
            s.connect(str(path))
            s.sendall(json.dumps({"method": f"org.lockbox.{method}", "parameters": parameters}).encode() + b"\0")
            data = b""
            while not data.endswith(b"\0"):
                if not (more := s.recv(65536)):
                    raise Gone
                data += more
        except OSError as e:
            raise Gone from e
    return json.loads(data[:-1])


class Person:
    """A process in a login session of its own, which makes the calls that it is told to."""

    def __init__(self, user, become=True):
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            with contextlib.suppress(BaseException):
                ours.close()
                self._live(theirs, user, become)
            os._exit(0)
        theirs.close()
        self.words = ours.makefile("rw")
        ours.close()

    def _live(self, theirs, user, become):
        if become:
            log_in(user)
        else:  # the leader of a session is root's, as sshd's process is
            Path("/proc/self/loginuid").write_text(str(pwd.getpwnam(user).pw_uid), encoding="ascii")
        words = theirs.makefile("rw")
        for line in words:
            path, method, parameters = json.loads(line)
            try:
                answer = call(path, method, **parameters)
            except Gone:
                answer = None
            words.write(json.dumps(answer) + "\n")
            words.flush()

    def call(self, path, method, **parameters):
        self.words.write(json.dumps([str(path), method, parameters]) + "\n")
        self.words.flush()
        line = self.words.readline()
        if not line or (answer := json.loads(line)) is None:
            raise Gone
        return answer

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.words.close()


class Journal:
    """What journald would have got, by sequence number."""

    def __init__(self, path):
        self.path, self.events = path, {}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.thread = threading.Thread(target=self._take, daemon=True)
        self.thread.start()

    def _take(self):
        while data := self.socket.recv(1 << 20):
            fields = dict(line.split(b"=", 1) for line in data.split(b"\n") if line.startswith(b"LOCKBOX_"))
            self.events.setdefault(int(fields[b"LOCKBOX_SEQ"]), fields[b"LOCKBOX_HASH"].decode())

    def end(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:  # after all that is in the queue
            last.sendto(b"", str(self.path))
        self.thread.join()
        self.socket.close()


class Mortal(Host):
    def launch(self, deadly=None):
        """Returns when it can be talked to, or is dead."""
        environ = dict(os.environ, LD_PRELOAD=str(BUILD / "tests/pam/killer.so"),
                       LOCKBOX_JOURNAL=str(self.directory / "journal"))
        environ["ASAN_OPTIONS"] = environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        environ |= deadly or {}
        self.log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen(
            [BUILD / "lockboxd", "--config", self.directory / "none", "--state-directory", self.directory / "state",
             "--runtime-directory", self.directory / "run", "--policy-directory", self.directory / "policy",
             "--no-systemd"], stderr=self.log, stdin=subprocess.DEVNULL, env=environ)
        eventually(lambda: self.process.poll() is not None or self.talks())

    def talks(self):
        try:
            call(self.control, "Access.Status")
        except Gone:
            return False
        return True

    def run_out(self):
        """Waits for the access to be over and stops the daemon, or for its death; its exit status."""
        eventually(lambda: self.process.poll() is not None or "revoked" in [kind for _, kind, _, _ in self.events()])
        process = self.process
        self.end()
        return process.returncode

    def events(self):
        """The log as it is on the disk: sequence number, kind, request, hash."""
        with contextlib.closing(sqlite3.connect(self.directory / "state/lockbox.db")) as db:
            rows = db.execute("SELECT seq, hash, json FROM events ORDER BY seq").fetchall()
            position = db.execute("SELECT value FROM meta WHERE key = 'journal'").fetchone()
        assert not position or position[0] <= len(rows)
        said = [json.loads(row[2]) for row in rows]
        return [(row[0], e["event"], e.get("request"), row[1]) for row, e in zip(rows, said)]


class Life:
    """An access from its request to its end, step by step; each step can be taken again when nobody has answered it."""

    def __init__(self, host):
        self.host, self.request, self.told, self.people = host, None, [], []

    def person(self, *args, **more):
        self.people.append(Person(*args, **more))
        return self.people[-1]

    def heard(self, event, answer):
        """An answer that says that this has happened; "NotPossible" says that it has before."""
        assert "error" not in answer or answer["error"].endswith(("NotPossible", "NoSuchRequest")), answer
        self.told.append((event, self.request))

    def begin(self):
        answer = call(self.host.login, "Login.Begin", login=LOGIN, ticket="CASE-7", reason="disk 3 is dying",
                      **{"for": "1h"})["parameters"]
        assert answer["verdict"] == "waiting"
        self.request = answer["request"]
        self.heard("requested", answer)

    def approve(self):
        bob = self.person(APPROVER)
        self.heard("approved", bob.call(self.host.control, "Access.Approve", id=self.request))

    def wait(self):
        answer = call(self.host.login, "Login.Wait", request=self.request)
        assert answer["parameters"]["verdict"] == "allowed"
        self.heard("begun", answer)

    def open(self):
        self.leader = self.person(ENGINEER, become=False)
        answer = self.leader.call(self.host.login, "Login.Open", login=LOGIN)
        assert answer["parameters"]["verdict"] == "allowed"
        self.heard("opened", answer)

    def close(self):
        self.heard("closed", self.leader.call(self.host.login, "Login.Close"))

    def revoke(self):
        bob = self.person(APPROVER)
        self.heard("stopped", bob.call(self.host.control, "Access.Revoke", id=self.request))

    STEPS = begin, approve, wait, open, close, revoke

    def live(self, done=0):
        """Goes on behind so many steps until the daemon is gone; how many are done."""
        for step in self.STEPS[done:]:
            try:
                step(self)
            except Gone:
                return done
            done += 1
        return done

    def end(self):
        for person in self.people:
            person.end()


ONCE = "requested", "approved", "begun", "stopped", "revoked"


def live_and_die(directory, deadly):
    """One life with a death in it. False when there was none: the life had fewer calls."""
    host = Mortal(directory)
    journal, life = Journal(directory / "journal"), Life(host)
    try:
        host.launch(deadly)
        done = life.live()
        died = host.run_out() == -signal.SIGKILL
        if died:
            host.launch()
            there = {(kind, request) for _, kind, request, _ in host.events()}
            assert set(life.told) <= there, f"{deadly}: told {life.told}, in the log {there}"
            assert life.live(done) == len(life.STEPS)
            assert host.run_out() == 0
        assert done == len(life.STEPS) or died
        journal.end()
        check_whole(host, journal, life, deadly)
    finally:
        life.end()
        host.end(signal.SIGKILL)
    return died


def check_whole(host, journal, life, deadly):
    events = host.events()
    kinds = [kind for _, kind, request, _ in events if request == life.request]
    assert [kind for kind in ONCE if kinds.count(kind) != 1] == [], f"{deadly}: {kinds}"
    assert kinds.count("opened") == kinds.count("closed"), f"{deadly}: {kinds}"
    assert journal.events == {seq: digest for seq, _, _, digest in events}, f"{deadly}"
    said = json.loads(host.ctl("audit", "verify", "--json", host.directory / "state").stdout)
    assert said["whole"] and said["events"] == len(events)


@pytest.mark.parametrize("deadly,step,least", [({}, EVERY, 150), ({"LOCKBOX_KILL_IN": "send"}, 1, len(Life.STEPS))],
                         ids=["change", "reply"])
def test_killed_at_every(shared, audit, deadly, step, least):  # noqa: F811
    at = 1
    while live_and_die(Path(tempfile.mkdtemp(dir=shared)), deadly | {"LOCKBOX_KILL_AT": str(at)}):
        at += step
    assert at > least
