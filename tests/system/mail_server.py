# SPDX-License-Identifier: LGPL-2.1-or-later
"""A mail server of the customer's on the appliance: OpenSMTPD with TLS and logins, and everybody's mailbox in it.

bookworm's OpenSMTPD (6.8) cannot sign a TLS handshake with OpenSSL 3. There a program of ours stands before it, which
does TLS and the login and passes on all that follows.
"""

import email
import email.policy
import shlex

from appliance import wait_for

HOST = "mail.customer.example"
USER, PASSWORD = "courier", "Passwort-4711-geheim"
CA = "/etc/lockbox/mail-ca.pem"
SUBMISSION, SMTPS, NO_TLS = 587, 465, 2525

SMTPD, FRONT = "opensmtpd.service", "test-smtp-front.service"
TLS, BOXES, KILLED = "/etc/smtpd-tls", "/var/mailboxes", "/run/smtpd-killed"
FRONT_PROGRAM, KILLER_PROGRAM = "/usr/local/libexec/smtp-front", "/usr/local/libexec/kill-smtpd"

CONF = """
pki here cert "{tls}/{certificate}.pem"
pki here key "{tls}/key.pem"
table secrets file:/etc/smtpd-secrets
table everybody {{ "@" = "postman" }}
table refused {{ {refused} }}
{filters}
{listen}
listen on lo port 2525{filter}
action "deliver" maildir "{boxes}/%{{rcpt}}" virtual <everybody>
match from any for any action "deliver"
"""
LISTEN = """
listen on lo port 587 tls-require pki here auth <secrets>{filter}
listen on lo port 465 smtps pki here auth <secrets>{filter}
"""

# A filter of smtpd's: when a mail's data has been taken, and before anybody is told so, it kills it.
KILLER = f"""#!/bin/sh
while read -r line; do
    case "$line" in
    'config|ready') printf 'register|filter|smtp-in|commit\\nregister|ready\\n' ;;
    'filter|'*'|commit|'*) echo killed >{KILLED}; pkill -KILL smtpd ;;
    esac
done
"""

# Arguments: certificate, key, user, and the file with the password.
FRONT_TEXT = r'''#!/usr/bin/python3
import base64, socket, socketserver, ssl, sys, threading
certificate, key, user, password = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
login = base64.b64encode(f"\0{user}\0{open(password).read()}".encode()).decode()
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            self.talk()
        except OSError:
            pass
    def secure(self):
        self.request = context.wrap_socket(self.request, server_side=True)
        self.lines = self.request.makefile("rb")
        self.tls = True
    def say(self, line):
        self.request.sendall(line.encode() + b"\r\n")
    def talk(self):
        self.lines, self.tls, known = self.request.makefile("rb"), False, False
        if self.server.server_address[1] == 465:
            self.secure()
        self.say("220 front")
        while line := self.lines.readline():
            words = line.decode().split()
            verb = words[0].upper() if words else ""
            if verb == "EHLO":
                self.say("250-front")
                self.say("250 AUTH PLAIN" if self.tls else "250 STARTTLS")
            elif verb == "STARTTLS":
                self.say("220 go ahead")
                self.secure()
            elif verb == "QUIT":
                return self.say("221 bye")
            elif verb == "AUTH" and self.tls:
                if len(words) < 3:
                    self.say("334 ")
                    words = [*words[:2], self.lines.readline().decode().strip()]
                known = words[2] == login
                self.say("235 welcome" if known else "535 5.7.8 not you")
            elif not known:
                self.say("530 5.7.0 TLS and a login first")
            else:
                return self.pass_on(line)
    def pass_on(self, line):
        behind = socket.create_connection(("127.0.0.1", 2525))
        answers = behind.makefile("rb")
        answers.readline()
        behind.sendall(b"EHLO front\r\n")
        while answers.readline()[3:4] == b"-":
            pass
        behind.sendall(line)
        threading.Thread(target=self.pass_back, args=(behind,), daemon=True).start()
        while more := self.lines.read1():
            behind.sendall(more)
        behind.close()
    def pass_back(self, behind):
        try:
            while more := behind.recv(4096):
                self.request.sendall(more)
            self.request.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
servers = [Server(("127.0.0.1", port), Handler) for port in (587, 465)]
threading.Thread(target=servers[0].serve_forever).start()
servers[1].serve_forever()
'''

# An authority, and a certificate for each thing that can be wrong with one.
CERTIFICATES = """
set -e
mkdir -p {tls}/ca /etc/lockbox && cd {tls}
cat >ca.conf <<'.'
[ca]
default_ca = here
[here]
database = ca/index
serial = ca/serial
new_certs_dir = ca
default_md = sha256
unique_subject = no
policy = any
copy_extensions = copy
[any]
commonName = supplied
.
: >ca/index
echo 01 >ca/serial
new() {{ openssl req -new -newkey rsa:2048 -nodes "$@"; }}
new -x509 -days 3650 -subj /CN=authority -keyout ca.key -out ca.pem
new -x509 -days 3650 -subj /CN={host} -addext subjectAltName=DNS:{host} -keyout key.pem -out self-signed.pem
sign() {{
    openssl req -new -key key.pem -subj "/CN=$2" -addext "subjectAltName=DNS:$2" -out "$1.csr"
    openssl ca -batch -notext -config ca.conf -cert ca.pem -keyfile ca.key -startdate "$3" -enddate "$4" -in "$1.csr" \
        -out "$1.pem"
}}
sign good {host} 20200101000000Z 20490101000000Z
sign other-host mail.elsewhere.example 20200101000000Z 20490101000000Z
sign expired {host} 20200101000000Z 20210101000000Z
chmod 600 key.pem
install -m 644 ca.pem {ca}
"""


class MailServer:
    """Set up once for a machine; start() says how it behaves from then on."""

    def __init__(self, box):
        self.box = box
        self.front = "6.8" in box.run("smtpd", "-h", check=False).stderr
        if not box.exists(KILLER_PROGRAM):
            self._set_up()
        self.stop()
        box.run(f"rm -rf {BOXES} {KILLED} /var/spool/smtpd/queue/* /var/spool/smtpd/incoming/*;"
                f" install -d -o postman {BOXES}")
        self.mark = box.journal_mark()

    def _set_up(self):
        box = self.box
        box.run(CERTIFICATES.format(tls=TLS, host=HOST, ca=CA))
        box.append("/etc/hosts", f"127.0.0.1 {HOST}\n")
        box.add_user("postman", shell="/usr/sbin/nologin")
        box.write("/etc/smtpd-secrets", f"{USER} {box.run('smtpctl', 'encrypt', PASSWORD).stdout}", mode=0o640,
                  owner="opensmtpd")
        box.write(f"{TLS}/password", PASSWORD, mode=0o600)
        box.write(FRONT_PROGRAM, FRONT_TEXT, mode=0o755)
        box.write(KILLER_PROGRAM, KILLER, mode=0o755)

    def start(self, certificate="good", refused=(), answer="550 5.1.1 nobody of that name", killer=False):
        """(Re)starts it. Who is refused gets that answer; with `killer` it dies when it has taken a mail's data."""
        filters, name = "", ""
        if refused:
            filters, name = f'filter "refuse" phase rcpt-to match rcpt-to <refused> reject "{answer}"', ' filter "refuse"'
        if killer:
            filters, name = f'filter "kill" proc-exec "{KILLER_PROGRAM}" user root group root', ' filter "kill"'
        addresses = ", ".join(f'"{address}"' for address in refused or ["nobody@localhost"])
        listen = "" if self.front else LISTEN.format(filter=name)
        self.box.write("/etc/smtpd.conf", CONF.format(tls=TLS, certificate=certificate, boxes=BOXES, filters=filters,
                                                      filter=name, refused=addresses, listen=listen))
        self.stop()
        self.box.restart(SMTPD)
        if self.front:
            self.box.run("systemd-run", f"--unit={FRONT}", FRONT_PROGRAM, f"{TLS}/{certificate}.pem", f"{TLS}/key.pem",
                         USER, f"{TLS}/password")
        for port in SUBMISSION, SMTPS, NO_TLS:  # a moment after it is "started"
            wait_for(lambda port=port: self.box.run(f"ss -Htln sport = :{port}").stdout, what=f"port {port}")
        return self

    def stop(self):
        self.box.run(f"systemctl stop {SMTPD} {FRONT} 2>&1; systemctl reset-failed {SMTPD} {FRONT} 2>&1; true")

    def has_been_killed(self):
        return self.box.exists(KILLED)

    def config(self, port=SUBMISSION, password="/etc/lockbox/mail-password", extra=""):
        """[Mail] of courier.conf for it."""
        scheme = "smtps" if port == SMTPS else "smtp"
        return (f"[Mail]\nServer={scheme}://{HOST}:{port}\nFrom=lockbox@appliance.example\nUser={USER}\n"
                f"Password={password}\nCAFile={CA}\n{extra}\n")

    def raw(self, address):
        """What stands in the mailbox, oldest first."""
        listing = self.box.run(f"cd {BOXES}/{shlex.quote(address)}/new 2>/dev/null && ls -tr", check=False).stdout
        return [self.box.read(f"{BOXES}/{address}/new/{name}") for name in listing.split()]

    def mails(self, address):
        return [parse(text) for text in self.raw(address)]

    def wait(self, address, n=1, timeout=30):
        """The mails for this address, once there are n; none may come too many until now."""
        wait_for(lambda: len(self.raw(address)) >= n, timeout=timeout, what=f"mail {n} for {address}", interval=0.1)
        mails = self.mails(address)
        assert len(mails) == n, [mail["subject"] for mail in mails]
        return mails


def parse(text):
    """As a mail program understands it, if there is nothing about it that one could misunderstand."""
    mail = email.message_from_string(text, policy=email.policy.default)
    for part in mail.walk():
        assert part.defects == [], part.defects
        for name, value in part.items():
            assert value.defects == (), (name, value.defects)
    assert max(len(line) for line in text.splitlines()) <= 998
    return mail


def text_of(mail, kind="plain"):
    return mail.get_body((kind,)).get_content()
