# SPDX-License-Identifier: LGPL-2.1-or-later
"""The people of a story: an engineer at the prompts, and the customer's people, who decide from logins of their own."""

import json
import os
import shlex
import signal
from pathlib import Path

import pexpect
from client import HOME
from lockbox import password

WAIT = "Press Enter to wait: "
SHELL = r"\$ $"
ID = "[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}"

# One connection for all that a person does, which spares a login each time.
SHARED = ("ControlMaster=auto", f"ControlPath={HOME}/.ssh/%r@%p", "ControlPersist=yes")

# The ways to log in, as options of Client.ssh(). The key `alice` is authorized for eng and eng2.
KEY = {"key": "alice"}
BATCH = {"key": "alice", "port": 2222}


def stat_of(pid):
    """The fields of /proc/PID/stat from the state on, and the name before them."""
    text = Path(f"/proc/{pid}/stat").read_text()
    return text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()


def command_of(pid):
    """Its name; "": it is gone, also where that is while it is looked at."""
    try:
        return stat_of(pid)[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descendants(pid):
    """The children of a process, and theirs, as they are seen from outside of the appliance."""
    children = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            children.setdefault(int(stat_of(entry.name)[1][1]), []).append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            pass  # gone meanwhile
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found[1:]


class Person:
    """One of the customer's people: runs lockboxctl in an ssh session, which has an audit session id of its own."""

    def __init__(self, box, name="bob"):
        self.box = box
        self.name = name

    def ctl(self, *arguments, **options):
        line = shlex.join(["lockboxctl", *arguments])
        return self.box.client.ssh_run(self.name, line, key=self.name, extra=SHARED, **options)

    def approve(self, request, *options, **keywords):
        return self.ctl("approve", request, *options, **keywords)

    def deny(self, request, *options, **keywords):
        return self.ctl("deny", request, *options, **keywords)

    def revoke(self, request, *options, **keywords):
        return self.ctl("revoke", request, *options, **keywords)

    def log_in(self):
        """An interactive login; returns its terminal, at the shell's prompt."""
        terminal = self.box.client.ssh(self.name, key=self.name)
        terminal.expect(SHELL)
        return terminal


class Engineer:
    """Someone who logs in to a gated account; `login` are options of Client.ssh(), such as KEY."""

    def __init__(self, box, account="eng", **login):
        self.box = box
        self.account = account
        self.login = login or KEY
        self.terminal = None

    def connect(self, *command, **options):
        """Starts ssh; a password is given where one is asked for."""
        login = {**self.login, **options}
        self.terminal = self.box.client.ssh(self.account, *command, **login)
        if "methods" in login:
            self.answer("assword: ", password(self.account))
        return self

    def answer(self, prompt, text):
        self.terminal.expect_exact(prompt)
        self.terminal.sendline(text)

    def ask(self, ticket="CASE-1001", reason="the disk is full", duration=""):
        """Answers the questions. What comes next is for the caller to see."""
        self.answer("Ticket: ", ticket)
        self.answer("Reason: ", reason)
        self.answer("]: ", duration)

    def read_request(self):
        """The ID of the request that is shown, at the prompt to wait."""
        self.terminal.expect(f"Request ({ID}) for")
        request = self.terminal.match.group(1)
        self.terminal.expect_exact(WAIT)
        return request

    def request(self, *answers, **options):
        """Logs in, answers the questions, and returns the request's ID; the wait has not begun."""
        self.connect(**options)
        self.ask(*answers)
        return self.read_request()

    def wait(self, text=""):
        self.terminal.sendline(text)

    def enter(self, person, *answers):
        """The whole way in, with this person's approval; returns the request's ID."""
        request = self.request(*answers)
        self.wait()
        person.approve(request)
        self.at_shell()
        return request

    def at_shell(self):
        self.terminal.expect(SHELL)

    def run(self, line):
        """A line for the shell, at its prompt; returns what it printed."""
        self.terminal.sendline(f"{line}; echo e'n'd")
        self.terminal.expect("\r\n(.*)end\r\n")
        output = self.terminal.match.group(1)
        self.at_shell()
        return output

    def hang_up(self):
        """As a connection that breaks: nothing is said. ssh goes first: to lose its terminal would be an empty answer."""
        clients = [pid for pid in descendants(self.terminal.pid) if command_of(pid) == "ssh"]
        assert clients or not self.terminal.isalive()
        for pid in clients:
            os.kill(pid, signal.SIGKILL)
        self.terminal.close(force=True)

    def read_to_end(self):
        """All that is shown until ssh ends."""
        self.terminal.expect(pexpect.EOF)
        return self.terminal.before

    def status(self):
        """ssh's exit status, once it has ended."""
        self.terminal.close()
        return self.terminal.exitstatus


def grant(box, person, duration="", account="eng", **login):
    """An access for the engineer, without a session yet: asked for, approved while nobody waits. Returns its ID."""
    engineer = Engineer(box, account, **login)
    request = engineer.request("CASE-1001", "the disk is full", duration)
    engineer.hang_up()
    person.approve(request)
    return request


def requests(box, *filters):
    """What `lockboxctl list` says, as root."""
    return json.loads(box.ctl("list", "--json", *(filters or ["--all"])).stdout)["requests"]


def show(box, request):
    return json.loads(box.ctl("show", "--json", request).stdout)
