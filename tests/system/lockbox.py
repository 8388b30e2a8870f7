# SPDX-License-Identifier: LGPL-2.1-or-later
"""An appliance with lockbox set up as README tells an administrator to do it, and the people who play on it."""

from appliance import Appliance
from client import Client

PAM_SETUP = "/usr/libexec/lockbox/pam-setup"
SSHD_SHIPPED = "/usr/share/lockbox/sshd/lockbox.conf"
SSHD_DROP_IN = "/etc/ssh/sshd_config.d/10-lockbox.conf"
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

POLICY = "/etc/lockbox/policy.d"
STATE = "/var/lib/lockbox"


def password(name):
    return f"{name}-secret"


class Box(Appliance):
    """An appliance that can be given lockbox; `client` is who connects to it."""

    def __init__(self, image, name):
        super().__init__(image, name)
        self.client = Client(self)

    def setup_lockbox(self, stage):
        """Installs the tree that `make install` made, and does what is left to an administrator."""
        self.install_tree(stage)
        self.run("systemd-sysusers")
        self.run("systemd-tmpfiles", "--create")
        self.run("journalctl", "--update-catalog")
        self.systemctl("daemon-reload")
        self.systemctl("enable", "--now", *UNITS)
        self.run(PAM_SETUP, "add")
        self.run("install", "-m", "0644", SSHD_SHIPPED, SSHD_DROP_IN)
        self.run("sshd", "-t")
        self.restart("ssh.service")
        for name, groups in PEOPLE.items():
            self.add_user(name, password(name), groups)

    def policy(self, text, name="50-test.policy"):
        """Writes a policy file and makes the daemon read it."""
        self.write(f"{POLICY}/{name}", text)
        self.systemctl("reload-or-restart", "lockboxd.service")

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
            systemctl start {' '.join(UNITS)}
        """)
