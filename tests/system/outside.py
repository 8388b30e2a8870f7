# SPDX-License-Identifier: LGPL-2.1-or-later
"""ssh, scp and rsync from the machine outside into an appliance, whose network is its own.

A directory holds all that a person needs, so that stock clients reach the appliance from any terminal:

    ssh -F DIRECTORY/ssh support@appliance
"""

import shlex
import shutil
import subprocess

import pexpect

from appliance import PATIENCE

HOST = "appliance"

# The appliance's first process, by the number that it has where this is run, whatever namespaces that is in.
CONNECT = """#!/bin/sh
# Connects to a port of the machine that `make demo` has booted, and hands the connection to ssh.
for pid in $(cat {procs} 2>/dev/null); do
    grep -qs '^NSpid:.*[[:space:]]1$' "/proc/$pid/status" || continue
    exec nsenter --target "$pid" --all nc -F 127.0.0.1 "$1"
done
echo 'The machine cannot be entered: is the demo running, and are you root?' >&2
exit 1
"""

SSH_CONFIG = """Host {host}
    ProxyCommand {connect} %p
    ProxyUseFdpass yes
    HostKeyAlias {host}
    UserKnownHostsFile "{directory}/known_hosts"
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    UpdateHostKeys no
    IdentitiesOnly yes
    IdentityAgent none
    IdentityFile "{directory}/%r"
"""


class Outside:
    """Keys and lines for people who come from outside; each account has one key, named as the account."""

    def __init__(self, box, directory):
        self.box = box
        self.directory = directory

    def __enter__(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        connect = self.directory / "connect"
        procs = self.box.cgroup / "payload" / "init.scope" / "cgroup.procs"
        connect.write_text(CONNECT.format(procs=shlex.quote(str(procs))))
        connect.chmod(0o755)
        config = SSH_CONFIG.format(host=HOST, connect=shlex.quote(str(connect)), directory=self.directory)
        (self.directory / "ssh").write_text(config)
        words = self.box.read("/etc/ssh/ssh_host_ed25519_key.pub").split()
        (self.directory / "known_hosts").write_text(f"{HOST} {words[0]} {words[1]}\n")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)

    def key(self, name):
        """Makes a key pair; returns the public key."""
        self._keygen("-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.directory / name)
        return (self.directory / f"{name}.pub").read_text()

    def person(self, account):
        """A key that opens the account."""
        home = self.box.account(account).pw_dir
        self.box.run("install", "-d", "-m", "0700", "-o", account, f"{home}/.ssh")
        self.box.write(f"{home}/.ssh/authorized_keys", self.key(account), mode=0o600, owner=account)

    def vendor(self, account, identity):
        """An authority that sshd trusts, and its certificate for the account, which names the engineer."""
        self.box.write("/etc/ssh/vendor_ca.pub", self.key("vendor"))
        self.box.write("/etc/ssh/sshd_config.d/20-vendor.conf", "TrustedUserCAKeys /etc/ssh/vendor_ca.pub\n")
        self.key(account)
        self._keygen("-q", "-s", self.directory / "vendor", "-I", identity, "-n", account, "-V", "-5m:+1d",
                     self.directory / f"{account}.pub")

    def argv(self, program, *arguments):
        return [program, "-F", str(self.directory / "ssh"), *arguments]

    def run(self, program, *arguments, timeout=PATIENCE):
        """Without a terminal; returns the CompletedProcess."""
        return subprocess.run(self.argv(program, *arguments), capture_output=True, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, timeout=timeout, check=False)

    def spawn(self, program, *arguments, timeout=PATIENCE):
        """On a terminal, as a person."""
        command, *rest = self.argv(program, *arguments)
        terminal = pexpect.spawn(command, rest, timeout=timeout, encoding="utf-8", codec_errors="replace",
                                 dimensions=(24, 120))
        terminal.delaybeforesend = None
        return terminal

    @staticmethod
    def _keygen(*arguments):
        subprocess.run(["ssh-keygen", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
