# SPDX-License-Identifier: LGPL-2.1-or-later
"""The far end of HTTPS: nginx in the appliance, with certificates of a test authority, before a double in the tests.

The double is an HTTP server of this process whose socket is in the appliance's network, so that a test reads what came
and says what is answered.
"""

import ctypes
import http.client
import http.server
import os
import socket
import threading
import time

HOST, OTHER = "approvals.test", "elsewhere.test"
DIRECTORY = "/etc/test-web"
CA = f"{DIRECTORY}/ca.pem"
DOUBLE_PORT = 8080

# Doors of nginx, all of them to the same double. `right` is the one that nothing is wrong with.
PORTS = {"right": 8443, "client": 8444, "wrong-host": 8445, "self-signed": 8446, "expired": 8447, "redirect": 8448,
         "elsewhere": 8449, "service": 8450, "proxy": 3128}
CLONE_NEWNET = 0x40000000

SERVER = """
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {directory}/{name}.pem;
    ssl_certificate_key {directory}/{name}.key;
    {more}
    location / {{ {location} }}
}}"""
PASS = "proxy_pass http://127.0.0.1:%d; proxy_set_header Host $http_host; proxy_read_timeout 120s;" % DOUBLE_PORT

NGINX = """
worker_processes 1;
pid /run/test-web.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_max_body_size 64m;
    {servers}
}}
"""


def url(door="right", path="/lockbox"):
    return f"https://{HOST}:{PORTS[door]}{path}"


class Front:
    """nginx with its doors, and the keys that belong to it; a context."""

    def __init__(self, box):
        self.box = box

    def __enter__(self):
        box = self.box
        box.run("mkdir", "-p", DIRECTORY)
        if not box.exists(CA):
            box.append("/etc/hosts", f"127.0.0.1 {HOST} {OTHER}\n")
            self._certificates()
        client = f"ssl_client_certificate {CA}; ssl_verify_client on;"
        redirect = f"return 302 https://{OTHER}:{PORTS['elsewhere']}$request_uri;"
        servers = [("right", "right", "", PASS), ("client", "right", client, PASS),
                   ("wrong-host", "elsewhere", "", PASS), ("self-signed", "self-signed", "", PASS),
                   ("expired", "expired", "", PASS),
                   ("redirect", "right", "", redirect), ("elsewhere", "elsewhere", "", PASS)]
        text = "".join(SERVER.format(port=PORTS[door], directory=DIRECTORY, name=name, more=more, location=location)
                       for door, name, more, location in servers)
        box.write(f"{DIRECTORY}/nginx.conf", NGINX.format(servers=text))
        box.run("systemd-run", "--quiet", "--collect", "--unit=test-web", "--service-type=forking",
                "--property=PIDFile=/run/test-web.pid", "nginx", "-c", f"{DIRECTORY}/nginx.conf")
        return self

    def __exit__(self, *_):
        self.box.systemctl("stop", "test-web.service", check=False)

    def pin(self, name="right"):
        """What Pin= is for this certificate's key."""
        line = (f"openssl x509 -in {DIRECTORY}/{name}.pem -noout -pubkey | openssl pkey -pubin -outform der | "
                "openssl dgst -sha256 -binary | base64")
        return "sha256//" + self.box.run(line).stdout.strip()

    def _certificates(self):
        def openssl(*words):
            self.box.run("openssl", *words)

        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl("req", "-x509", *new, "-days", "2", "-subj", "/CN=test authority", "-keyout", f"{DIRECTORY}/ca.key",
                "-out", CA)
        for name, host, days in ("right", HOST, 2), ("elsewhere", OTHER, 2), ("expired", HOST, 0), ("client", "me", 2):
            path = f"{DIRECTORY}/{name}"
            openssl("req", *new, "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-keyout",
                    f"{path}.key", "-out", f"{path}.csr")
            openssl("x509", "-req", "-in", f"{path}.csr", "-CA", CA, "-CAkey", f"{DIRECTORY}/ca.key", "-days",
                    str(days), "-copy_extensions", "copy", "-out", f"{path}.pem")
        path = f"{DIRECTORY}/self-signed"
        openssl("req", "-x509", *new, "-days", "2", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}",
                "-keyout", f"{path}.key", "-out", f"{path}.pem")
        self.box.run(f"chown lockbox-courier {DIRECTORY}/client.key")  # 0600 already


def in_network(box, make):
    """What `make` returns, called in the appliance's network. A thread goes there for it; its sockets stay there."""
    made = []

    def work():
        namespace = os.open(f"/proc/{box.leader}/ns/net", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(namespace)
        made.append(make())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return made[0]


def listen(box, port):
    """A listening socket in the appliance's network."""
    def make():
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", port))
        s.listen(64)
        return s

    return in_network(box, make)


def pass_on(box, port, message):
    """The message to the server at that port of the appliance; what it answers, as a Double's `answer` gives it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.sock = in_network(box, lambda: socket.create_connection(("127.0.0.1", port), timeout=60))
    try:
        connection.request(message.method, message.path, message.body, dict(message.headers))
        answer = connection.getresponse()
        kind = answer.getheader("Content-Type")
        return answer.status, answer.read(), {"Content-Type": kind} if kind else {}
    finally:
        connection.close()


class Message:
    """What has come: method, path as it was sent, headers, body."""

    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.at = time.monotonic()

    def __repr__(self):
        return f"{self.method} {self.path} {dict(self.headers)} {self.body[:200]!r}"


class Double:
    """Answers what a test says: `answer` takes a Message and returns a status, or (status, body), or (status, body,
    headers); None hangs up. Everything that came is in `messages`."""

    def __init__(self, box, answer=lambda message: 204, port=DOUBLE_PORT):
        self.box = box
        self.messages = []
        self.answer = answer
        self.arrived = threading.Condition()
        double = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                message = Message(self.command, self.path, self.headers, body)
                with double.arrived:
                    double.messages.append(message)
                    double.arrived.notify_all()
                answer = double.answer(message)
                if answer is None:
                    self.close_connection = True
                    return
                words = answer if isinstance(answer, tuple) else (answer,)
                status, body, headers = (*words, *(b"", {})[len(words) - 1 :])
                body = body.encode() if isinstance(body, str) else body
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    if status != 204:
                        self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_CONNECT = handle_one

            def log_message(self, *words):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # the other side hung up

        self.server = Server(("127.0.0.1", port), Handler, bind_and_activate=False)
        self.server.socket.close()
        self.server.socket = listen(box, port)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def wait(self, fits=lambda message: True, timeout=20.0, after=0):
        """The first message that fits, of those behind the first `after`, waiting for it if need be."""
        def find():
            return next((m for m in self.messages[after:] if fits(m)), None)

        with self.arrived:
            assert self.arrived.wait_for(find, timeout), f"nothing of the kind came: {self.messages}"
            return find()
