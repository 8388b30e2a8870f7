# SPDX-License-Identifier: LGPL-2.1-or-later
"""The main job, shown: an engineer's ssh waits for the customer, has its time, and is out.

    tests/system/run.sh demo [STAGE]

Boots a clean appliance and installs in it what `make install DESTDIR=STAGE` made (default build/stage). A person at a
terminal then plays both parts himself, from terminals of his own. Without a terminal, or with DEMO=auto, the demo plays
them, with the same lines, and exits 0 only if each step was really seen.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pexpect

from appliance import ENVIRONMENT, WaitTimeout, wait_for
from lockbox import APPROVERS, AUDITORS, GATED, Box
from outside import HOST, Outside

TOP = Path(__file__).resolve().parents[2]
ACCOUNT, ENGINEER, APPROVER, AUDITOR = "support", "anna@vendor.example", "bob", "dora"

POLICY = """# Who logs in as support needs a ticket, a reason, and the customer's yes.
[Match]
Account=support
Service=sshd

[Rule]
Action=require-approval
Description=The vendor's engineers

[Request]
Ticket=required
TicketPattern=CASE-[0-9]{{4,}}
Reason=required

[Access]
Duration={duration}
MaxDuration=8h
Warn={warn}
"""

STORY = ["requested", "approved", "begun", "opened", "warned", "time-over", "ended"]
TRAIL = ["_SYSTEMD_UNIT=lockboxd.service", "_UID=0"]


class Unseen(Exception):
    """A step did not happen; carries what was seen instead."""


def check(seen, otherwise):
    if not seen:
        raise Unseen(otherwise)
    return seen


class Screen:
    """What the audience sees. Colours on a terminal only."""

    def __init__(self):
        self.coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.began = time.monotonic()

    def paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.coloured else text

    def title(self, text):
        print(f"\n{self.paint('1', text)}\n", flush=True)

    def mark(self, sign, code, text):
        elapsed = f"{time.monotonic() - self.began:5.1f} s"
        print(f"  {self.paint(code, sign)} {self.paint('2', elapsed)}  {text}", flush=True)

    def seen(self, text):
        self.mark("✓", "1;32", text)

    def failed(self, text):
        self.mark("✗", "1;31", text)

    def types(self, who, line):
        print(f"\n    {self.paint('36', who)} {self.paint('1', '$ ' + line)}", flush=True)

    def hears(self, who, text):
        print(f"\n    {self.paint('36', who)}, on his terminal", flush=True)
        self.quote(text)

    def quote(self, text):
        """What a terminal showed, without what moves its cursor."""
        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\a]*\a|\a|\r", "", text)
        for line in plain.strip("\n").split("\n"):
            print(f"    {self.paint('2', '│')} {line.rstrip()}", flush=True)


def set_up(box, outside, screen, stage, **terms):
    """lockbox as README says, an account, an engineer with the vendor's certificate, an approver and an auditor."""
    screen.seen("a clean Debian machine is up: systemd, sshd, PAM, journald")
    box.install_lockbox(stage)
    box.add_user(ACCOUNT, groups=[GATED])
    box.add_user(APPROVER, groups=[APPROVERS])
    box.add_user(AUDITOR, groups=[AUDITORS, "systemd-journal"])
    for name in (APPROVER, AUDITOR):
        outside.person(name)
    outside.vendor(ACCOUNT, ENGINEER)
    box.restart("ssh.service")
    box.policy(POLICY.format(**terms), name="50-support.policy")
    screen.seen(f"lockbox is installed and set up; the account {ACCOUNT} is gated, {APPROVER} is its approver")


# --- both parts played -----------------------------------------------------------------------------------------------


class Play:
    """DEMO=auto: each step is one method, and raises where it did not really happen."""

    def __init__(self, box, outside, screen):
        self.box, self.outside, self.screen = box, outside, screen
        self.engineer = self.approver = self.id = self.child = None

    def processes(self):
        """Everything that runs as the gated account."""
        return self.box.run("ps", "-o", "pid=,args=", "-u", ACCOUNT, check=False).stdout.split("\n")[:-1]

    def request(self):
        return json.loads(self.box.ctl("show", "--json", self.id).stdout)

    def batch(self, *command):
        """The door for programs: the key alone, no questions."""
        self.screen.types("engineer", f"ssh -p 2222 -o BatchMode=yes {ACCOUNT}@{HOST} {' '.join(command)}")
        options = ["-p", "2222", "-o", "BatchMode=yes", f"{ACCOUNT}@{HOST}"]
        result = self.outside.run("ssh", *options, *command)
        self.screen.quote(result.stdout + result.stderr)
        return result

    def approver_logs_in(self):
        self.approver = self.outside.spawn("ssh", f"{APPROVER}@{HOST}")
        self.approver.expect(rf"{APPROVER}@{HOST}:~\$ ")

    def blocked(self):
        self.screen.types("engineer", f"ssh {ACCOUNT}@{HOST}")
        terminal = self.engineer = self.outside.spawn("ssh", f"{ACCOUNT}@{HOST}")
        heard = ""
        for question, answer in (("Ticket: ", "CASE-4711"), ("Reason: ", "database does not start"),
                                 (r"For how long \[.*\]: ", "10s"), ("Press Enter to wait: ", "")):
            terminal.expect(question)
            heard += terminal.before + terminal.after
            terminal.sendline(answer)
        self.screen.quote(heard)
        self.id = re.search(r"Request ([0-9A-Z]{4}-[0-9A-Z]{4})", heard)[1]
        request = self.request()
        check(request["state"] == "pending" and request["engineer"] == ENGINEER, f"the request is {request}")
        check(not self.processes(), f"{ACCOUNT} runs something already")
        check(terminal.isalive(), "ssh did not wait")
        self.screen.seen("blocked: the engineer has proven who he is, and waits; nothing of his runs")

    def batch_is_closed(self):
        check(self.batch("true").returncode != 0, "the batch door let in without an approval")
        self.screen.seen("the batch door is closed, too: a valid certificate alone opens nothing")

    def approver_is_told(self):
        self.approver.expect(rf"\*\*\* (lockbox: {re.escape(ENGINEER)} asks for access[^\r]*{self.id}[^\r]*)")
        self.screen.hears("approver", self.approver.match[1])
        self.screen.seen(f"{APPROVER} was told at once")

    def approved(self):
        self.screen.types("approver", "lockboxctl approve")
        self.approver.sendline("lockboxctl approve")
        self.approver.expect(r"approve\r\n(.*\[y/N\] )")
        heard = self.approver.match[1]
        self.approver.sendline("y")
        self.approver.expect(rf"(y\r\nApproved {self.id}[^\r]*)\r\n")
        self.screen.quote(heard + self.approver.match[1])
        self.screen.seen(f"approved by {APPROVER}, who saw who, why, where and for how long")

    def inside(self):
        prompt = rf"{ACCOUNT}@{HOST}:~\$ "
        self.engineer.expect(prompt)
        self.screen.types("engineer", "id; nohup setsid sleep 1000 &")
        self.engineer.sendline("id; nohup setsid sleep 1000 >/dev/null 2>&1 & echo $LOCKBOX_REQUEST")
        self.engineer.expect(rf"(uid=\d+\({ACCOUNT}\)[^\r]*)")
        self.screen.quote(self.engineer.match[1])
        sleeping = wait_for(lambda: [p for p in self.processes() if "sleep 1000" in p], what="the nohup child")
        self.child = int(sleeping[0].split()[0])
        check(self.request()["state"] == "active", "the access is not active")
        self.screen.seen("in: the waiting login went on by itself; a child that ignores hang-ups runs")

    def copies(self):
        source = self.outside.directory / "repair.sql"
        source.write_text("REINDEX;\n")
        self.screen.types("engineer", f"scp repair.sql {ACCOUNT}@{HOST}:")
        result = self.outside.run("scp", str(source), f"{ACCOUNT}@{HOST}:")
        check(result.returncode == 0, result.stderr)
        check(self.box.read(f"/home/{ACCOUNT}/repair.sql") == "REINDEX;\n", "the file is not there")
        self.screen.seen("scp inside the window, without a question")

    def batch_is_open(self):
        result = self.batch("cat", "repair.sql")
        check(result.stdout == "REINDEX;\n", result.stderr)
        self.screen.seen("BatchMode on the batch door, as ansible does it")

    def warned(self):
        self.engineer.expect(r"\*\*\* (lockbox: your access [^\r]* ends in [^\r]*)")
        self.screen.hears("engineer", self.engineer.match[1])
        self.screen.seen("warned before the end")

    def ended(self):
        self.engineer.expect(pexpect.EOF)
        wait_for(lambda: not self.processes(), timeout=5, what=f"the end of everything of {ACCOUNT}")
        check(not self.box.exists(f"/proc/{self.child}"), "the nohup child lives")
        self.screen.hears("engineer", self.engineer.before.strip())
        self.screen.seen("ended on time: the connection is gone, and so is the child that ignored hang-ups")

    def receipt(self):
        wait_for(lambda: self.request()["state"] == "ended", timeout=5, what="the receipt")
        end = self.request()["end"]
        check(end["left"] == 0 and end["killed"] > 0, f"the receipt says {end}")
        self.screen.seen(f"receipt: {end['killed']} processes ended in {end['ms']} ms, {end['left']} left")

    def closed_again(self):
        check(self.batch("true").returncode != 0, "the batch door is still open")
        self.screen.seen("the door is closed again")

    def story(self):
        line = ["journalctl", "-x", *TRAIL, f"LOCKBOX_REQUEST={self.id}"]
        kinds = wait_for(self.whole_story, what=f"{STORY[-1]} in the journal")
        self.screen.types("auditor", " ".join(line))
        told = self.outside.run("ssh", f"{AUDITOR}@{HOST}", *line, "-o", "short-precise", "--no-pager").stdout
        *entries, last = re.split(r"\n(?!░)", told.strip())
        rest = iter(kinds)
        check(all(kind in rest for kind in STORY), f"the journal tells {kinds}")
        check(all("░░ Subject:" in entry for entry in [*entries, last]), "the catalog does not explain every event")
        self.screen.quote("\n".join([*[entry.split("\n")[0] for entry in entries], last]))
        self.screen.seen("the journal tells the whole story, and explains each entry as it does the last one here")

    def whole_story(self):
        kinds = [entry["LOCKBOX_EVENT"] for entry in self.trail(f"LOCKBOX_REQUEST={self.id}")]
        return kinds if STORY[-1] in kinds else None

    def chain(self):
        entries = self.trail()
        prev = None
        for entry in entries:
            digest = hashlib.sha256(entry["LOCKBOX_JSON"].encode()).hexdigest()
            check(digest == entry["LOCKBOX_HASH"] and prev in (None, entry["LOCKBOX_PREV"]),
                  f"event {entry['LOCKBOX_SEQ']} does not follow from the one before")
            prev = digest
        self.screen.seen(f"each of {len(entries)} events names the SHA-256 of the one before: none is missing or changed")

    def trail(self, *matches):
        result = self.outside.run("ssh", f"{AUDITOR}@{HOST}", "journalctl", "-o", "json", "--all", *TRAIL, *matches)
        return [e for e in map(json.loads, result.stdout.splitlines()) if "LOCKBOX_EVENT" in e]

    def explain(self):
        """What was on the terminals, and in the journal, when a step failed."""
        for who, terminal in ("engineer", self.engineer), ("approver", self.approver):
            if terminal is not None and isinstance(terminal.before, str):
                self.screen.hears(who, terminal.before)
        log = self.box.run("journalctl", "--no-pager", "-n", "20", "-u", "lockboxd", "-u", "ssh", check=False)
        self.screen.hears("root", log.stdout)

    def steps(self):
        return [self.approver_logs_in, self.blocked, self.approver_is_told, self.batch_is_closed, self.approved,
                self.inside, self.copies, self.batch_is_open, self.warned, self.ended, self.receipt, self.closed_again,
                self.story, self.chain]

    def run(self):
        for step in self.steps():
            try:
                step()
            except (Unseen, WaitTimeout, subprocess.TimeoutExpired, pexpect.ExceptionPexpect, OSError) as error:
                self.screen.failed(f"{step.__name__.replace('_', ' ')}: {str(error).splitlines()[0]}")
                self.explain()
                return 1
        self.screen.title("All of it was seen. Try it yourself, on a terminal: sudo make demo")
        return 0


# --- a person plays --------------------------------------------------------------------------------------------------


def invite(box, screen):
    sudo = "sudo " if "SUDO_USER" in os.environ else ""
    ssh = f"{sudo}ssh -F build/demo/ssh"
    scp = f"{sudo}scp -F build/demo/ssh"
    lines = [
        ("the engineer, with the vendor's certificate; a ticket looks like CASE-4711", [f"{ssh} {ACCOUNT}@{HOST}"]),
        ("the approver: is told on this terminal, decides, and may stop it",
         [f"{ssh} {APPROVER}@{HOST}", "lockboxctl list", "lockboxctl approve", "lockboxctl revoke"]),
        ("inside the window nobody asks; before and after, the door for programs is closed",
         [f"{scp} -P 2222 README.md {ACCOUNT}@{HOST}:"]),
        ("the trail, as an auditor reads it",
         [f"{ssh} {AUDITOR}@{HOST} journalctl -x {' '.join(TRAIL)}"]),
    ]
    screen.title(f"Now you. In other terminals, in {TOP}:")
    for what, commands in lines:
        print(f"    {screen.paint('2', '# ' + what)}")
        for command in commands:
            print(f"    {screen.paint('1', command)}")
        print()
    print("  What happens shows here, as it is logged. Enter ends the demo and the machine.\n", flush=True)


def follow(box):
    """The log, live, until the person has seen enough."""
    with box.popen("lockboxctl", "events", "--follow", stdin=subprocess.DEVNULL) as events:
        try:
            input()
        except (EOFError, KeyboardInterrupt):
            print()
        events.kill()
    return 0


def main():
    stage = Path(sys.argv[1] if len(sys.argv) > 1 else TOP / "build" / "stage").resolve()
    auto = os.environ.get("DEMO") == "auto" or not (sys.stdin.isatty() and sys.stdout.isatty())
    terms = {"duration": "8h", "warn": "4s"} if auto else {"duration": "5min", "warn": "2min 1min 15s"}
    screen = Screen()
    screen.title("lockbox: a vendor's login that waits for the customer")
    with Box(TOP / "build" / "image-bookworm", "demo") as box, Outside(box, TOP / "build" / "demo") as outside:
        set_up(box, outside, screen, stage, **terms)
        if auto:
            return Play(box, outside, screen).run()
        invite(box, screen)
        return follow(box)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print()
        sys.exit(130)
