# SPDX-License-Identifier: LGPL-2.1-or-later
"""A clean Debian machine in a second: systemd, logind, journald, D-Bus, sshd and PAM in a systemd-nspawn container.

The container's disk is an overlay over an image that image.sh built, so each appliance starts clean and the image is
never written. Everything here needs the namespaces that run.sh makes: processes and mounts are not tracked one by one,
they go with the namespace, however this process ends.
"""

import ctypes
import json
import os
import pwd
import select
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import termios
import time
from pathlib import Path

import pexpect
import pexpect.fdpexpect

BOOT_TIMEOUT = 60
COMMAND_TIMEOUT = 60
PATIENCE = 30  # with what takes milliseconds, on a machine that does other things as well
TERMINAL_SIZE = (24, 200)  # wide, so that no shell or prompt wraps what a test looks for

# What a process inside is started with: nothing of the environment of who runs the tests. A dumb terminal keeps
# escape sequences out of what a test compares.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}


class BootFailed(Exception):
    """The container did not come up; carries what its console said."""


class CommandFailed(AssertionError):
    """A command in the appliance failed; carries what it printed, which is what one wants to read first."""

    def __init__(self, argv, result):
        self.result = result
        super().__init__(
            f"{shlex.join(argv)}\n  exit status {result.returncode}\n"
            f"  stdout: {result.stdout}\n  stderr: {result.stderr}"
        )


class WaitTimeout(AssertionError):
    """Something that should have happened did not, in the time it was given."""


def wait_for(predicate, timeout=PATIENCE, what="the condition", interval=0.02):
    """Returns the predicate's first true value. For what sends no notification; prefer wait_journal where one does."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise WaitTimeout(f"waited {timeout} s for {what}")
        time.sleep(interval)


class Appliance:
    """One booted machine. Use as a context manager, or call boot() and close()."""

    def __init__(self, image, name):
        if "LOCKBOX_TEST_RUN" not in os.environ:
            raise RuntimeError("an appliance is booted through tests/system/run.sh")
        self.name = name
        self.image = Path(image).resolve()
        self.directory = Path(os.environ["LOCKBOX_TEST_RUN"]) / name
        self.root = self.directory / "root"
        self.cgroup = Path(os.environ["LOCKBOX_TEST_CGROUP"]) / name
        self.leader = None
        self._up = False
        self._nspawn = None
        self._terminals = []

    def __enter__(self):
        return self.boot()

    def __exit__(self, *_):
        self.close()

    # Life of the machine

    def boot(self):
        """Boots and returns when start-up is complete. The disk is a new one, unless there was a boot() before."""
        if not self.root.is_mount():
            self._mount()
        self.cgroup.mkdir(exist_ok=True)
        with _NotifySocket() as notify:
            self._start(notify)
            try:
                self._await_ready(notify)
            except BaseException:
                self.crash()
                raise
        return self

    def poweroff(self, timeout=60):
        """Shuts down in order; the disk stays, so that boot() is the second half of a reboot."""
        self._nspawn.send_signal(signal.SIGTERM)
        try:
            self._nspawn.wait(timeout)
        except subprocess.TimeoutExpired:
            raise WaitTimeout(f"{self.name} did not shut down\n{self.console()}") from None
        self._stopped()

    def crash(self):
        """Pulls the plug: every process is killed at once, nothing is asked."""
        if self._nspawn is None:
            return
        (self.cgroup / "cgroup.kill").write_text("1")
        self._nspawn.wait()
        self._stopped()

    def reboot(self):
        self.poweroff()
        self.boot()

    def close(self):
        """Ends the machine and removes its disk."""
        self.crash()
        if self.root.is_mount():
            subprocess.run(["umount", self.root], check=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def console(self):
        """What systemd-nspawn and the machine's console printed, for a failure's message."""
        return (self.directory / "console.log").read_text(errors="replace")

    def _mount(self):
        for part in ("upper", "work", "root"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        options = f"lowerdir={self.image},upperdir={self.directory}/upper,workdir={self.directory}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, self.root], check=True)

    def _start(self, notify):
        argv = ["systemd-nspawn", "--directory", self.root, "--boot", "--register=no", "--keep-unit", "--quiet"]
        argv += ["--private-network", "--console=pipe", "--notify-ready=yes"]
        # Nothing of the machine outside: not its journal directory, not its name servers, not its time zone.
        argv += ["--link-journal=no", "--resolv-conf=off", "--timezone=off"]
        # Pure cgroup v2 inside, even where the machine outside still has v1 beside it.
        environment = dict(os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1", NOTIFY_SOCKET=notify.address)
        procs = self.cgroup / "cgroup.procs"
        with open(self.directory / "console.log", "ab") as console:
            self._nspawn = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the tests, which close the appliance themselves
                preexec_fn=lambda: procs.write_text("0"),
            )

    def _await_ready(self, notify):
        deadline = time.monotonic() + BOOT_TIMEOUT
        pidfd = os.pidfd_open(self._nspawn.pid)
        try:
            while True:
                remaining = deadline - time.monotonic()
                ready, _, _ = select.select([notify, pidfd], [], [], max(0, remaining))
                if notify in ready:
                    message = notify.receive()
                    self.leader = int(message.get("X_NSPAWN_LEADER_PID", self.leader or 0))
                    if message.get("READY") == "1":
                        break
                elif pidfd in ready:
                    raise BootFailed(f"{self.name} ended while booting\n{self.console()}")
                elif remaining <= 0:
                    raise BootFailed(f"{self.name} is not up after {BOOT_TIMEOUT} s\n{self.console()}")
        finally:
            os.close(pidfd)
        # READY comes a moment before PID 1 calls itself running.
        state = self.run("systemctl is-system-running --wait", check=False).stdout.strip()
        if state not in ("running", "degraded"):
            raise BootFailed(f"{self.name} is {state}\n{self.console()}")
        # Commands from outside get a cgroup of their own inside. Left where they are they would see themselves in
        # "/../..", which no process on a real machine does.
        self._up = True

    @property
    def _commands(self):
        return self.cgroup / "payload" / "appliance.scope"

    def _stopped(self):
        self._up = False
        self._nspawn = None
        self.leader = None
        self.close_terminals()
        _remove_cgroup(self.cgroup)

    # Commands

    def argv(self, *command, user=None):
        """The argument list that runs a command inside. One argument is a line for the shell, several are an argv."""
        inside = ["sh", "-c", command[0]] if len(command) == 1 else [str(word) for word in command]
        environment = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        # The command dies with the nsenter that started it, as it would on a terminal that is closed.
        become = ["setpriv", "--pdeathsig", "KILL"]
        if user is not None:
            account = self.account(user)
            become += [f"--reuid={user}", f"--regid={account.pw_gid}", "--init-groups"]
            environment += [f"HOME={account.pw_dir}", f"USER={user}", f"LOGNAME={user}"]
        return ["nsenter", "--target", str(self.leader), "--all", "env", "--ignore-environment", *environment,
                *become, *inside]

    def run(self, *command, user=None, check=True, input=None, timeout=COMMAND_TIMEOUT):
        """Runs a command inside, without a login, and returns its CompletedProcess with text output.

        Without `user` it is root. No PAM session is opened either way: this is the tester's hand, not a login.
        """
        argv = self.argv(*command, user=user)
        stdin = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        result = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=timeout, preexec_fn=self._enter_cgroup,
            **stdin,
        )
        if check and result.returncode != 0:
            raise CommandFailed([str(word) for word in command], result)
        return result

    def popen(self, *command, user=None, **options):
        """subprocess.Popen for a command inside, for what runs beside the test."""
        return subprocess.Popen(self.argv(*command, user=user), preexec_fn=self._enter_cgroup, **options)

    def spawn(self, *command, user=None, timeout=PATIENCE):
        """Runs a command on a terminal inside; returns a pexpect.spawn that talks to it.

        The terminal is allocated inside by script(1), so that it has a name there: login(1) asks for it.
        """
        line = command[0] if len(command) == 1 else shlex.join(str(word) for word in command)
        argv = self.argv("script", "--quiet", "--flush", "--return", "--command", line, "/dev/null", user=user)
        terminal = pexpect.spawn(
            argv[0], argv[1:], timeout=timeout, encoding="utf-8", codec_errors="replace",
            dimensions=TERMINAL_SIZE, preexec_fn=self._enter_cgroup,
        )
        terminal.delaybeforesend = None
        self._terminals.append(terminal)
        return terminal

    def console_login(self, timeout=PATIENCE):
        """A console with a getty on it, at its "login: " prompt: as sitting in front of the machine."""
        console = _Console(self, timeout)
        self._terminals.append(console)
        self.systemctl("start", console.unit)
        console.expect("login: ")
        return console

    def close_terminals(self):
        """Closes every terminal that was opened here: what a test left open ends with it."""
        for terminal in self._terminals:
            terminal.close(force=True)
        self._terminals.clear()

    def _enter_cgroup(self):
        if self._up:
            self._commands.mkdir(exist_ok=True)  # systemd clears it away now and then, when it is empty
            (self._commands / "cgroup.procs").write_text("0")

    def systemctl(self, *arguments, **options):
        return self.run("systemctl", *arguments, **options)

    def restart(self, unit):
        """Restarts a unit and returns when it is ready, however often a test does that.

        For sshd this is the way to read its configuration anew: a reload closes the port for a moment, and nothing
        tells when it is open again. Connections outlive both.
        """
        self.systemctl("reset-failed", unit, check=False)  # and with it the count of starts, which is limited
        self.systemctl("restart", unit)

    # Files

    def write(self, path, text, mode=0o644, owner="root"):
        """Writes a file inside, with its directories."""
        self.run("install", "-D", "-m", f"{mode:o}", "-o", owner, "/dev/stdin", path, input=text)

    def append(self, path, text):
        self.run("tee", "-a", path, input=text)

    def read(self, path):
        return self.run("cat", path).stdout

    def exists(self, path):
        return self.run("test", "-e", path, check=False).returncode == 0

    def install_tree(self, destdir):
        """Copies what `make install DESTDIR=` made into the appliance, as root's files."""
        pack = ["tar", "-C", str(destdir), "--owner=root:0", "--group=root:0", "-c", "."]
        unpack = self.argv("tar", "-C", "/", "--keep-directory-symlink", "--no-overwrite-dir", "-x")
        with subprocess.Popen(pack, stdout=subprocess.PIPE) as source:
            subprocess.run(unpack, stdin=source.stdout, check=True)
        if source.returncode != 0:
            raise RuntimeError(f"tar could not read {destdir}")

    # Accounts

    def accounts(self):
        """The passwd file inside: name -> pwd.struct_passwd. Read from outside, without the cost of a process."""
        lines = (self.root / "etc/passwd").read_text().splitlines()
        fields = [line.split(":") for line in lines]
        return {f[0]: pwd.struct_passwd([f[0], f[1], int(f[2]), int(f[3]), *f[4:7]]) for f in fields}

    def account(self, name):
        return self.accounts()[name]

    def has_account(self, name):
        return name in self.accounts()

    def add_user(self, name, password=None, groups=(), shell="/bin/bash"):
        """Makes sure that an account is there, with a home directory, a group of its own, and these further groups.

        Without a password no password logs in.
        """
        further = ["--groups", ",".join(groups)]
        if self.has_account(name):
            self.run("usermod", "--shell", shell, *further, name)
        else:
            self.run("useradd", "--create-home", "--user-group", "--shell", shell, *further, name)
        if password is not None:
            self.run("chpasswd", input=f"{name}:{password}\n")

    def add_group(self, name):
        self.run("groupadd", "--force", name)

    def delete_user(self, name):
        self.run("userdel", "--force", "--remove", name, check=False)

    # Journal

    def journal(self, after=None, **fields):
        """The journal's entries of this boot whose fields match, oldest first, each a dict of its fields."""
        self.run("journalctl", "--sync")
        result = self.run(*self._journalctl(after, fields), check=False)
        entries = [json.loads(line) for line in result.stdout.splitlines()]
        return [entry for entry in entries if _fits(entry, fields)]

    def journal_mark(self):
        """The cursor of the journal's newest entry: `after` for what a test does next."""
        self.run("journalctl", "--sync")
        return json.loads(self.run("journalctl --lines=1 --output=json").stdout)["__CURSOR"]

    def wait_journal(self, predicate=lambda entry: True, after=None, timeout=PATIENCE, **fields):
        """Returns the first entry whose fields match and which the predicate accepts, waiting for it if need be."""
        command = [*self._journalctl(after, fields), "--follow", "--no-tail"]
        deadline = time.monotonic() + timeout
        with self.popen(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as follow:
            try:
                for line in _lines_until(follow.stdout, deadline):
                    entry = json.loads(line)
                    if _fits(entry, fields) and predicate(entry):
                        return entry
            finally:
                follow.kill()
        raise WaitTimeout(f"waited {timeout} s for a journal entry {fields}")

    @staticmethod
    def _journalctl(after, fields):
        since = [f"--after-cursor={after}"] if after else []
        # Behind a cursor that does not match itself, journalctl (252) leaves out the first entry that does.
        matches = [f"{name}={value}" for name, value in fields.items() if not after]
        return ["journalctl", "--boot", "--quiet", "--no-pager", "--output=json", "--all", *since, *matches]


class _Console(pexpect.fdpexpect.fdspawn):
    """The far end of a terminal of the appliance that container-getty@.service serves, as for `machinectl login`.

    A getty hangs the line up before each use, and comes back after each logout. So what is the end of any other
    terminal, a line that nobody has open, is here a moment to wait through.
    """

    def __init__(self, appliance, timeout):
        path = f"/proc/{appliance.leader}/root/dev/pts/ptmx"
        master = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        libc = ctypes.CDLL(None)
        libc.ptsname.restype = ctypes.c_char_p
        libc.unlockpt(master)
        termios.tcsetwinsize(master, TERMINAL_SIZE)
        self.appliance = appliance
        self.tty = libc.ptsname(master).decode().removeprefix("/dev/")
        self.unit = f"container-getty@{os.path.basename(self.tty)}.service"
        super().__init__(master, timeout=timeout, encoding="utf-8", codec_errors="replace")
        self.delaybeforesend = None

    def read_nonblocking(self, size=1, timeout=-1):
        limit = self.timeout if timeout == -1 else timeout
        deadline = None if limit is None else time.monotonic() + limit
        while True:
            try:
                remaining = None if deadline is None else max(0, deadline - time.monotonic())
                return super().read_nonblocking(size, remaining)
            except pexpect.EOF:
                self.flag_eof = False
                if deadline is not None and time.monotonic() >= deadline:
                    raise pexpect.TIMEOUT("nobody has the console open") from None
                time.sleep(0.01)

    def close(self, force=True):
        """Drops the line and ends what is on it, as one who switches the terminal off."""
        if self.closed:
            return
        if self.appliance.leader is not None:
            self.appliance.systemctl("stop", self.unit)
        super().close()


class _NotifySocket:
    """Where systemd-nspawn says which process leads the container, and that the machine is up (sd_notify(3))."""

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory(dir="/run")
        self.address = os.path.join(self._directory.name, "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        return self

    def __exit__(self, *_):
        self._socket.close()
        self._directory.cleanup()

    def fileno(self):
        return self._socket.fileno()

    def receive(self):
        lines = self._socket.recv(4096).decode(errors="replace").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


def _fits(entry, fields):
    return all(entry.get(name) == str(value) for name, value in fields.items())


def _lines_until(stream, deadline):
    """The lines of a pipe as they come, up to the deadline."""
    fd = stream.fileno()
    pending = b""
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not select.select([fd], [], [], remaining)[0]:
            return
        data = os.read(fd, 65536)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        yield from lines


def _remove_cgroup(directory):
    """Removes a cgroup and all below it, as soon as the kernel has taken the last process out."""
    events = directory / "cgroup.events"
    if not events.exists():
        return
    wait_for(lambda: "populated 0" in events.read_text(), what=f"{directory} to be empty")
    for path, _, _ in os.walk(directory, topdown=False):
        os.rmdir(path)
