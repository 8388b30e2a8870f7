# SPDX-License-Identifier: LGPL-2.1-or-later
"""What no honest client sends, on both sockets of the real lockboxd: it is refused, and costs the daemon nothing."""

import json
import os
import pwd
import re
import socket
import threading
from pathlib import Path

import pytest

from test_daemon import OTHER, audit, host, shared  # noqa: F401  (fixtures)
from test_killed import LOGIN, call

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the login socket is root's")

GIB = 1 << 30
ROOM = 16 << 20  # more than the allocator's own habits; far less than any of the messages
BEGIN = json.dumps({"method": "org.lockbox.Login.Begin", "parameters": {"login": LOGIN}})


def memory(host):  # noqa: F811
    """The most that the daemon has ever had in memory, in bytes."""
    status = Path(f"/proc/{host.process.pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def send(path, *parts):
    """Sends until it is all sent or the daemon hangs up; what it has answered by then."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(str(path))
        answer = b""
        try:
            for part in parts:
                s.sendall(part)
            s.shutdown(socket.SHUT_WR)
            while more := s.recv(65536):
                answer += more
        except OSError:  # hung up on
            pass
        return answer


def gibibyte(part):
    return [part * (65536 // len(part))] * (GIB // 65536)


@pytest.mark.parametrize("door", ["login", "control"])
@pytest.mark.parametrize("part", [b"[", b'{"a":', b" ", b"x", b"9", b"\xff"])
def test_a_gibibyte(host, door, part):  # noqa: F811
    """Row 30: an endless message, whatever it is made of, while others are answered."""
    before = memory(host)
    assert send(getattr(host, door), b'{"method":"org.lockbox.Login.Begin","parameters":', *gibibyte(part)) == b""
    assert call(host.login, "Login.Begin", login=LOGIN)["parameters"]["verdict"] == "ask"
    assert memory(host) - before < ROOM


def test_many_at_once(host):  # noqa: F811
    """Row 30: as many as one user may have, each with as much as a message may be, but for its end."""
    before = memory(host)
    child = os.fork()
    if child == 0:
        try:
            os.setuid(pwd.getpwnam(OTHER).pw_uid)
            threads = [threading.Thread(target=send, args=(host.control, b" " * (64 * 1024 - 1))) for _ in range(64)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            os._exit(0)
    assert call(host.login, "Login.Begin", login=LOGIN)["parameters"]["verdict"] == "ask"
    os.waitpid(child, 0)
    assert memory(host) - before < ROOM


@pytest.mark.parametrize("message", [
    BEGIN.replace('"account"', '"account": "root", "account"'),
    BEGIN.replace('"parameters"', '"method": "org.lockbox.Login.Close", "parameters"'),
    BEGIN.replace('"service"', '"audit_session": 99999999999999999999999, "service"'),
    BEGIN.replace('"service"', '"audit_session": 1e400, "service"'),
    BEGIN.replace('"service"', '"audit_session": 1.5, "service"'),
    BEGIN.replace('"service"', '"loginuid": "0", "service"'),
    BEGIN.replace('"tty1"', "[" * 2000 + "]" * 2000),
    BEGIN.replace('"tty1"', '{"a":' * 2000 + "1" + "}" * 2000),
    BEGIN.replace("tty1", r"tty\u0000"),
    BEGIN.replace("tty1", r"\ud800"),
    BEGIN + BEGIN, BEGIN[:-1], "", "null", "[]", "0",
], ids=range(16))
def test_strict(host, message):  # noqa: F811
    """Row 30: nothing of it is taken for a call; no answer, or one that says which parameter it is."""
    answer = send(host.login, message.encode() + b"\0")
    assert not answer or json.loads(answer[:-1])["error"].startswith("org.varlink.service."), answer
    assert not host.requests("--all")
    assert call(host.login, "Login.Begin", login=LOGIN)["parameters"]["verdict"] == "ask"
