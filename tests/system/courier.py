# SPDX-License-Identifier: LGPL-2.1-or-later
"""The other side of lockbox-courier: web servers that take what it sends, and how to set it up against them.

A receiver that writes down what it gets stands behind nginx, which speaks TLS for it: on one port as it should be, on
others with what is wrong with a server. It answers as the file MOOD says, so that a test makes it fail and work again.
"""

import base64
import hashlib
import hmac
import json

from appliance import wait_for

UNIT = "lockbox-courier.service"
CONFIG = "/etc/lockbox/courier.conf"
OUTBOX = "/var/lib/lockbox-courier"
WORK = "/var/lib/receiver"
CA = f"{WORK}/ca.crt"
LOG, MOOD = f"{WORK}/log", f"{WORK}/mood"
NGINX, RECEIVER = "test-nginx.service", "test-receiver.service"

GOOD, WRONG_HOST, EXPIRED, SELF_SIGNED = 8443, 8444, 8445, 8446
PROXY = 8480  # takes anything, and would pass it on

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()

# Each request is a line: path, headers, body, when. What is answered: "204", "500", "429 2" (Retry-After), "302", "hang"
# until the mood is another one, "endless" (a body that does not end).
PROGRAM = r'''
import http.server, json, sys, threading, time
lock, log = threading.Lock(), open(sys.argv[1], "ab", buffering=0)
def mood():
    return open(sys.argv[2]).read().split() or mood()  # it is being written
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *words):
        pass
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        line = {"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body,
                "at": time.time(), "mood": mood()}
        with lock:
            log.write((json.dumps(line) + "\n").encode())
        code, *rest = mood()
        while code == "hang":
            time.sleep(0.05)
            code, *rest = mood()
        if code == "endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                return
        self.send_response(int(code))
        if code == "302":
            self.send_header("Location", "https://localhost:8443/elsewhere")
        if rest:
            self.send_header("Retry-After", rest[0])
        self.send_header("Content-Length", "0")
        self.end_headers()
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
Server(("127.0.0.1", 9000), Handler).serve_forever()
'''

SITE = """
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {work}/{name}.crt;
    ssl_certificate_key {work}/{name}.key;
    location / {{ proxy_pass http://receiver; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
                  proxy_read_timeout 300s; }}
}}
"""


class Courier:
    """lockbox-courier on a box, with somebody to tell."""

    def __init__(self, box):
        self.box = box
        self._set_up()
        self.mood("204")

    def _set_up(self):
        """Once for a machine: certificates, nginx, the receiver. Then everything as it was in the begin."""
        box = self.box
        if not box.exists(CA):
            self._certificates()
            sites = "".join(SITE.format(port=port, name=name, work=WORK) for port, name in {
                GOOD: "good", WRONG_HOST: "wrong", EXPIRED: "expired", SELF_SIGNED: "self"}.items())
            box.write(f"{WORK}/nginx.conf", f"""
                pid {WORK}/nginx.pid;
                error_log {WORK}/nginx.log;
                events {{ worker_connections 1024; }}
                http {{ access_log off; client_max_body_size 100m;
                        upstream receiver {{ server 127.0.0.1:9000; keepalive 16; }} {sites} }}""")
            box.write(f"{WORK}/receiver.py", PROGRAM)
        self.stop()
        box.run(f"rm -rf {OUTBOX}/* {CONFIG} {CONFIG}.d/* {LOG} /etc/lockbox/approvers.conf; : >{LOG}")
        box.write(MOOD, "204")
        box.run("systemd-run", f"--unit={NGINX}", "nginx", "-c", f"{WORK}/nginx.conf", "-g", "daemon off;")
        self.start_receiver()

    def _certificates(self):
        """An authority of the test's own; what is wrong with a server is wrong with its certificate alone."""
        extension = "subjectAltName=DNS:{name},IP:127.0.0.1"
        lines = [f"install -d -m 0755 {WORK}; cd {WORK}",
                 "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=test-ca"
                 " -keyout ca.key -out ca.crt"]
        for name, host, days in ("good", "localhost", 30), ("wrong", "elsewhere.example", 30), ("expired", "localhost", 0):
            alternative = extension.format(name=host) if name != "wrong" else f"subjectAltName=DNS:{host}"
            lines += [f"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={host}"
                      f" -keyout {name}.key -out {name}.csr",
                      f"printf '{alternative}\n' >{name}.ext",
                      f"openssl x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days {days}"
                      f" -extfile {name}.ext -out {name}.crt"]
        lines.append("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost"
                     " -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout self.key -out self.crt")
        self.box.run(" && ".join(lines))

    # The courier

    def stop(self):
        self.box.run(f"systemctl stop {UNIT} {NGINX} {RECEIVER} 2>&1; systemctl reset-failed {UNIT} {NGINX} {RECEIVER}"
                     f" 2>&1; true")

    def start_receiver(self):
        self.box.run("systemd-run", f"--unit={RECEIVER}", "--property=Restart=always", "--property=RestartSec=100ms",
                     "--property=StartLimitIntervalSec=0", "python3", f"{WORK}/receiver.py", LOG, MOOD)
        wait_for(lambda: self.box.run("ss -Htln sport = :9000", check=False).stdout, what="the receiver")

    def configure(self, text, start=True):
        """Writes courier.conf and has it read, or starts the courier."""
        self.box.write(CONFIG, text)
        if not start:
            return
        self.box.systemctl("reload-or-restart", UNIT)
        self.wait_caught_up()

    def hook(self, name="siem", port=GOOD, host="localhost", path="", extra=""):
        return f"[Webhook {name}]\nURL=https://{host}:{port}/{path or name}\nCAFile={CA}\n{extra}\n"

    def secret(self, name="secret", text=SECRET):
        path = f"/etc/lockbox/{name}"
        self.box.write(path, text + "\n")
        self.box.run(f"chown lockbox-courier {path}; chmod 0400 {path}")
        return path

    def status(self):
        return json.loads(self.box.ctl("courier", "status", "--json").stdout)

    def target(self, name):
        return next((t for t in self.status()["targets"] if t["target"] == name), {})

    def wait_caught_up(self, timeout=20.0):
        """Everything that the log has is a letter, at least."""
        def caught_up():
            done = self.box.ctl("courier", "status", "--json", check=False)
            status = json.loads(done.stdout) if done.returncode == 0 else {}
            return status.get("position", -1) == self.box.status()["events"] and "problem" not in status
        wait_for(caught_up, timeout=timeout, what="the courier to have read the log")

    # What arrived

    def mood(self, text):
        self.box.write(MOOD, text)

    def received(self, name=None):
        """What came, oldest first; of one webhook or all."""
        lines = [json.loads(line) for line in self.box.read(LOG).splitlines()]
        return [line for line in lines if name is None or line["path"] == f"/{name}"]

    def wait_received(self, predicate=lambda line: True, timeout=20.0, name=None):
        return wait_for(lambda: next((line for line in self.received(name) if predicate(line)), None), timeout=timeout,
                        what="a webhook")


def kind(line):
    """What event a body of Format=event is about."""
    return json.loads(line["body"])["type"]


def signature(secret, line):
    """As the receiver computes it."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{line['headers']['webhook-id']}.{line['headers']['webhook-timestamp']}.{line['body']}"
    return "v1," + base64.b64encode(hmac.new(key, content.encode(), hashlib.sha256).digest()).decode()
