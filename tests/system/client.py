# SPDX-License-Identifier: LGPL-2.1-or-later
"""The people at the other end of an ssh connection: their keys, the vendor's certificate authority, their ssh.

They sit inside the appliance as the unprivileged user `client` and connect over the loopback. `source` picks another
address of 127.0.0.0/8 to come from, so that one machine is many remote hosts.
"""

import shlex

from appliance import PATIENCE

USER = "client"
HOME = f"/home/{USER}"
KEYS = f"{HOME}/keys"
# Not beside the keys: ssh would offer NAME-cert.pub with NAME unasked, and no test could show the bare key.
CERTIFICATES = f"{HOME}/certificates"
AUTHORITIES = "/root/authorities"
SSHD_DROP_IN = "/etc/ssh/sshd_config.d/90-test-authorities.conf"
TRUSTED = "/etc/ssh/test_authorities.pub"


class Client:
    """Keys, certificates and ssh command lines inside one appliance."""

    def __init__(self, appliance):
        self.appliance = appliance

    def set_up(self, ports=(22, 2222, 2201)):
        """Creates the user, lets him know the host's keys, and makes sshd trust the authorities' file."""
        box = self.appliance
        box.add_user(USER)
        box.run("install", "-d", "-o", USER, "-g", USER, "-m", "0700", KEYS, CERTIFICATES, f"{HOME}/.ssh")
        key = box.read("/etc/ssh/ssh_host_ed25519_key.pub").split(" ")
        names = ",".join(["[127.0.0.1]:%d" % port if port != 22 else "127.0.0.1" for port in ports])
        box.write(f"{HOME}/.ssh/known_hosts", f"{names} {key[0]} {key[1]}\n", owner=USER)
        box.write(SSHD_DROP_IN, f"TrustedUserCAKeys {TRUSTED}\n")
        box.write(TRUSTED, "")
        box.restart("ssh.service")

    def key(self, name, kind="ed25519"):
        """Makes sure that a key pair of this name exists; returns the private key's path."""
        path = f"{KEYS}/{name}"
        if not self.appliance.exists(path):
            self._keygen("-q", "-t", kind, "-N", "", "-C", name, "-f", path, user=USER)
        return path

    def public_key(self, name):
        return self.appliance.read(self.key(name) + ".pub").strip()

    def fingerprint(self, name):
        """SHA256:… of a key, as sshd logs it."""
        return self._keygen("-l", "-f", self.key(name) + ".pub").stdout.split()[1]

    def authorize(self, account, *names):
        """Puts the public keys into the account's authorized_keys, in place of what was there."""
        lines = "".join(self.public_key(name) + "\n" for name in names)
        home = self.appliance.account(account).pw_dir
        self.appliance.run("install", "-d", "-m", "0700", "-o", account, f"{home}/.ssh")
        self.appliance.write(f"{home}/.ssh/authorized_keys", lines, mode=0o600, owner=account)

    def authority(self, name="vendor"):
        """Makes sure that a certificate authority exists and that sshd trusts it; returns its private key's path."""
        path = f"{AUTHORITIES}/{name}"
        if not self.appliance.exists(path):
            self.appliance.run("install", "-d", "-m", "0700", AUTHORITIES)
            self._keygen("-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path)
            self.appliance.append(TRUSTED, self.appliance.read(path + ".pub"))
        return path

    def certificate(self, name, identity, principals, authority="vendor", validity="-5m:+1h"):
        """Signs the key `name`; its certificate has `identity` as Key ID and is good for the accounts `principals`."""
        public = f"{CERTIFICATES}/{name}.pub"
        self.appliance.run("cp", self.key(name) + ".pub", public)
        accounts = ",".join(principals)
        self._keygen("-q", "-s", self.authority(authority), "-I", identity, "-n", accounts, "-V", validity, public)
        path = f"{CERTIFICATES}/{name}-cert.pub"
        self.appliance.run("chown", USER, path)
        return path

    def options(self, key=None, certificate=None, port=22, source=None, batch=False, methods=None, extra=()):
        """The -o options that ssh, scp, sftp and rsync's -e have in common. Only what is named is offered."""
        settings = {
            "Port": port,
            "UserKnownHostsFile": f"{HOME}/.ssh/known_hosts",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "BatchMode": "yes" if batch else "no",
            "IdentityFile": f"{KEYS}/{key}" if key else "none",
        }
        if certificate:
            settings["CertificateFile"] = f"{CERTIFICATES}/{certificate}-cert.pub"
        if source:
            settings["BindAddress"] = source
        if methods:
            settings["PreferredAuthentications"] = methods
        words = ["-F", "none"]
        for name, value in settings.items():
            words += ["-o", f"{name}={value}"]
        for option in extra:
            words += ["-o", option]
        return words

    def ssh_argv(self, account, *command, flags=(), **options):
        """The argv of ssh to the account; see options() for the rest. `flags` are ssh's own, such as "-N"."""
        return ["ssh", *self.options(**options), *flags, f"{account}@127.0.0.1", *command]

    def ssh(self, account, *command, timeout=PATIENCE, flags=(), **options):
        """ssh on a terminal, as a person uses it: a pexpect.spawn."""
        argv = self.ssh_argv(account, *command, flags=flags, **options)
        return self.appliance.spawn(*argv, user=USER, timeout=timeout)

    def ssh_run(self, account, *command, check=True, timeout=60, flags=(), **options):
        """ssh without a terminal, which asks nothing; returns the CompletedProcess."""
        argv = self.ssh_argv(account, *command, flags=flags, batch=True, **options)
        return self.appliance.run(*argv, user=USER, check=check, timeout=timeout)

    def remote_shell(self, **options):
        """What rsync takes as its -e."""
        return shlex.join(["ssh", *self.options(**options)])

    def _keygen(self, *arguments, user=None):
        return self.appliance.run("ssh-keygen", *arguments, user=user)
