# SPDX-License-Identifier: LGPL-2.1-or-later
"""A daemon that misbehaves on purpose: what a real one cannot be made to show. It plays a script, a step a call."""

import json
import os
import socket
import threading

HANG_UP = object()  # closes instead of answering
SILENCE = object()  # takes the call and says nothing
GOODBYE = b"goodbye"


def reply(verdict, **members):
    return {"parameters": {"verdict": verdict, **members}}


def error(name, **members):
    return {"error": name, "parameters": members}


ALLOWED = reply("allowed", request="7F3K-9QXM")
DENIED = reply("denied", request="7F3K-9QXM", message="Request 7F3K-9QXM was denied by bob: not today.")
WAITING = reply("waiting", request="7F3K-9QXM", message="Request 7F3K-9QXM is pending.", seen=7,
                later="Request 7F3K-9QXM is still pending.")
ASK = reply("ask", message="Access needs a reason.",
            ask={"ticket": "optional", "reason": "required", "duration": "8h"})


class Double:
    """Plays `script`: each step answers one call, the last one also every call after it; with `cycle` from its
    beginning on each connection. A step is a message, bytes to send as they are, HANG_UP, SILENCE, or a list of these
    for one call."""

    def __init__(self, path, script, uid=None, cycle=False):
        self.path, self.script, self.calls = str(path), list(script), []
        self.connections, self.cycle = 0, cycle
        self.socket = socket.socket(socket.AF_UNIX)
        own = os.geteuid()
        if uid is not None:
            os.seteuid(uid)  # who listens is who the peer is
        try:
            self.socket.bind(self.path)
            self.socket.listen(64)
        finally:
            os.seteuid(own)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_UNIX) as last:  # after all that may still be in the queue
            last.connect(self.path)
            last.sendall(GOODBYE + b"\0")
            self.thread.join()
        self.socket.close()
        os.unlink(self.path)

    def _serve(self):
        while True:
            connection, _ = self.socket.accept()
            try:
                if self._play(connection) is GOODBYE:
                    return
            except (OSError, ValueError):  # the module left first, or could not even ask properly
                pass
            connection.close()
            self.connections += 1

    def _play(self, connection):
        buffer, n = b"", 0 if self.cycle else len(self.calls)
        while True:
            while b"\0" not in buffer:
                some = connection.recv(65536)
                if not some:
                    return None
                buffer += some
            message, buffer = buffer.split(b"\0", 1)
            if message == GOODBYE:
                return GOODBYE
            self.calls.append(json.loads(message))
            step = self.script[min(n, len(self.script) - 1)]
            n += 1
            for part in step if isinstance(step, list) else [step]:
                if part is HANG_UP:
                    return None
                if part is not SILENCE:
                    connection.sendall(part if isinstance(part, bytes) else json.dumps(part).encode() + b"\0")

    def methods(self):
        return [call["method"].removeprefix("org.lockbox.Login.") for call in self.calls]
