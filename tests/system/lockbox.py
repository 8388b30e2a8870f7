# SPDX-License-Identifier: LGPL-2.1-or-later
"""An appliance with lockbox set up as README tells an administrator to do it, and the people who play on it."""

import json

from appliance import PATIENCE, Appliance
from client import Client

PAM_SETUP = "/usr/libexec/lockbox/pam-setup"
SSHD_SHIPPED = "/usr/share/lockbox/sshd/lockbox.conf"
SSHD_DROP_IN = "/etc/ssh/sshd_config.d/10-lockbox.conf"
PENALTIES_SHIPPED = "/usr/share/lockbox/sshd/lockbox-penalties.conf"
PENALTIES_DROP_IN = "/etc/ssh/sshd_config.d/10-lockbox-penalties.conf"
UNITS = ["lockboxd.socket", "lockboxd-login.socket", "lockboxd.service"]

GATED, APPROVERS, AUDITORS = "lockbox-gated", "lockbox-approvers", "lockbox-auditors"

# Everybody's password is the name with "-secret" behind it.
PEOPLE = {
    "eng": [GATED],
    "eng2": [GATED],
    "bob": [APPROVERS],
    "carol": [APPROVERS],
    "dora": [AUDITORS],
    "admin": ["sudo"],
}

# Whose keys the gated accounts have. A certificate is trusted where the vendor's authority made it.
ENGINEERS = ["alice", "albert"]

# What distinguishes the daemon's journal entries from those that anybody can write.
OURS = {"_SYSTEMD_UNIT": "lockboxd.service", "_UID": "0"}

POLICY = "/etc/lockbox/policy.d"
STATE = "/var/lib/lockbox"


def password(name):
    return f"{name}-secret"


class Box(Appliance):
    """An appliance that can be given lockbox; `client` is who connects to it."""

    def __init__(self, image, name):
        super().__init__(image, name)
        self.client = Client(self)
        self.since = None  # the journal's cursor at the last reset()

    def install_lockbox(self, stage):
        """Installs the tree that `make install` made, and does what is left to an administrator."""
        self.install_tree(stage)
        self.run("systemd-sysusers")
        self.run("systemd-tmpfiles", "--create")
        self.run("journalctl", "--update-catalog")
        self.systemctl("daemon-reload")
        self.systemctl("enable", "--now", *UNITS)
        self.run(PAM_SETUP, "add")
        self.run("install", "-m", "0644", SSHD_SHIPPED, SSHD_DROP_IN)
        if self.run("sshd", "-t", "-f", PENALTIES_SHIPPED, check=False).returncode == 0:  # 9.8 and later
            self.run("install", "-m", "0644", PENALTIES_SHIPPED, PENALTIES_DROP_IN)
        self.run("sshd", "-t")
        self.restart("ssh.service")

    def setup_lockbox(self, stage):
        """The same, with the people who play on it."""
        self.install_lockbox(stage)
        for name, groups in PEOPLE.items():
            self.add_user(name, password(name), groups)
            self.client.authorize(name, *ENGINEERS if GATED in PEOPLE[name] else [name])

    def policy(self, text, name="50-test.policy", event="policy-loaded"):
        """Writes a policy file and makes the daemon read it; returns the event that says so."""
        before = self.status()["events"]
        self.write(f"{POLICY}/{name}", text)
        self.systemctl("reload-or-restart", "lockboxd.service")
        return self.wait_event(event, lambda entry: int(entry["LOCKBOX_SEQ"]) > before)

    def status(self):
        return json.loads(self.ctl("status", "--json", check=False).stdout)  # 1 where something is wrong

    def events(self, **fields):
        """The journal's entries of events since the last reset(), oldest first."""
        return [entry for entry in self.journal(after=self.since, **OURS, **fields) if "LOCKBOX_EVENT" in entry]

    def wait_event(self, event, predicate=lambda entry: True, after=None, timeout=PATIENCE, **fields):
        """The first entry since the last reset() for this kind of event, waiting for it if need be."""
        after = after or self.since
        return self.wait_journal(predicate, after=after, timeout=timeout, LOCKBOX_EVENT=event, **OURS, **fields)

    def story(self, request):
        """The daemon's journal entries about a request, oldest first."""
        return self.journal(LOCKBOX_REQUEST=request, **OURS)

    def ctl(self, *arguments, user=None, **options):
        """lockboxctl inside, not from a login session."""
        return self.run("lockboxctl", *arguments, user=user, **options)

    def reset(self):
        """Back to a set-up machine on which nothing has happened: no session, no request, no policy of a test."""
        self.close_terminals()
        self.run(f"""
            systemctl kill --signal=KILL lockboxd.service
            systemctl stop {' '.join(UNITS)} 'lockbox-*'
            for name in $(awk -F: '$3 >= 1000 && $3 < 60000 {{ print $1 }}' /etc/passwd); do
                loginctl disable-linger $name
                pkill -KILL -u $name
                systemctl stop user@$(id -u $name).service
            done
            rm -rf {STATE}/* {POLICY}/*
            systemctl reset-failed
        """)
        self.since = self.journal_mark()
        self.systemctl("start", *UNITS)
