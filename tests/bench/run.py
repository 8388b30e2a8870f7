# SPDX-License-Identifier: LGPL-2.1-or-later
"""What lockbox costs, measured on a booted appliance with its real PAM, sshd, systemd and disk. `make bench` runs it.

    tests/system/run.sh python3 tests/bench/run.py [BUILD [STAGE]]

Prints one table: medians and p99 of one run on one machine, beside the aims. Exits 0 whether they were met or not; what
was measured is the result.
"""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "system"))

from appliance import wait_for  # noqa: E402  (found through the line above)
from courier import UNIT as COURIER, Courier, kind  # noqa: E402
from lockbox import STATE, UNITS, Box  # noqa: E402
from people import Person  # noqa: E402

TOOLS = "/usr/local/bench"
STACKS = "/etc/bench"
LOGIN_SOCKET = "/run/lockbox/login.socket"

TRANSACTIONS, LOGINS, WAITERS, WOKEN = 2000, 300, 10000, 100
ENDS = {1: 15, 200: 15, 5000: 5}  # how many processes end how often
SNAPSHOTS = 20

AUDITED = 300000
ENTRIES = 100000  # of others, in the journal in which a story is looked for
JOURNALED = 10000  # of them: what systemd-journal-remote keeps in one file

DRAINED, TOLD = 10000, 100

OLD = 1000000
LISTS = {"start": "start of the store", "pending": "list --pending", "recent": "list --recent",
         "one": "an engineer's last ten, as each request asks", "newest": "the newest ten"}

POLICY = """[Rule]
Action=require-approval
[Request]
MaxPending=20000
[Access]
Exclusive=no
"""

LIMITS = """[Limits]
Connections=12000
Waiters=12000
"""


def us(ns):
    return ns / 1000


def median(values):
    return statistics.median(values)


def p99(values):
    return sorted(values)[min(len(values) - 1, len(values) * 99 // 100)]


class Table:
    """Rows as they are measured: what, median, p99, and where there is one the aim and whether it was met."""

    def __init__(self):
        self.missed = 0
        print(f"\n{'':52}{'median':>12}{'p99':>12}   aim", flush=True)

    def section(self, title):
        print(f"\n{title}", flush=True)

    def row(self, what, values, unit, aim=None, against=None):
        """`against` is what the aim is about, where that is not the median."""
        line = f"  {what:50}{median(values):>9.1f} {unit:2}{p99(values):>9.1f} {unit:2}"
        if aim is not None:
            value = median(values) if against is None else against
            met = value < aim
            self.missed += not met
            line += f"   < {aim:.0f} {unit}: {value:.1f} {unit} {'ok' if met else 'MISSED'}"
        print(line.rstrip(), flush=True)


class Decider:
    """bob, in a login session of his own: the only place where decisions are made."""

    def __init__(self, box):
        argv = box.client.ssh_argv("bob", f"{TOOLS}/decide", key="bob", batch=True)
        self.process = box.popen(*argv, user="client", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def decide(self, verb, request):
        """Returns when the call was sent and when it was answered."""
        self.process.stdin.write(f"{verb} {request}\n")
        self.process.stdin.flush()
        return [int(clock) for clock in self.process.stdout.readline().split()]


class Tool:
    """A program of this folder that runs beside; its lines are words."""

    def __init__(self, box, *argv):
        self.process = box.popen(f"{TOOLS}/{argv[0]}", *argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 text=True)

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} has ended")
        return line.split()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def set_up(box, build, stage):
    box.client.set_up()
    box.setup_lockbox(stage)
    shutil.copytree(build / "tests" / "bench", box.root / TOOLS[1:])
    for stack, lines in {
        "permit": ["account required pam_permit.so"],
        "lockbox": ["account requisite pam_lockbox.so", "account required pam_permit.so"],
    }.items():
        box.write(f"{STACKS}/{stack}/sshd", "\n".join(lines) + "\n")
    box.write("/etc/lockbox/lockboxd.conf.d/bench.conf", LIMITS)
    box.restart("lockboxd.service")
    box.policy(POLICY)


def session(box, decider, command):
    """A real login of alice's that is approved and runs the command; returns its terminal and its request."""
    terminal = box.client.ssh("eng", command, key="alice", timeout=120)
    terminal.expect("Ticket")
    terminal.sendline("CASE-1")
    terminal.expect("Reason")
    terminal.sendline("bench")
    terminal.expect("For how long")
    terminal.sendline("")
    terminal.expect(r"Request (\S+)")
    request = terminal.match[1]
    terminal.expect("Press Enter")
    terminal.sendline("")
    decider.decide("Approve", request)
    terminal.expect("ready")
    return terminal, request


def samples(text):
    """"NAME NUMBER" lines → lists by name, in µs."""
    found = {}
    for line in text.splitlines():
        name, number = line.split()
        found.setdefault(name, []).append(us(int(number)))
    return found


def bench_pam(box, table, decider):
    terminal, request = session(box, decider, "echo ready; sleep 1000")
    key = "publickey " + " ".join(box.client.public_key("alice").split()[:2])
    stacks = [f"{STACKS}/permit", "admin", f"{STACKS}/lockbox", "admin", f"{STACKS}/lockbox", "eng"]
    resident = [f"/{next(box.root.glob(f'usr/lib/*/security/{name}.so')).relative_to(box.root)}"
                for name in ("pam_lockbox", "pam_permit")]
    table.section("PAM account transaction: pam_start, pam_acct_mgmt, pam_end")
    for modules, how in (resident, ""), ([], ", module loaded anew"):
        result = box.run(f"{TOOLS}/pam_cost", TRANSACTIONS, key, *modules, "--", *stacks)
        permit, outside, active = (samples(result.stdout)[str(k)] for k in range(3))
        aims = (20, 300) if modules else (None, None)
        table.row(f"pam_permit alone{how}", permit, "µs")
        for what, values, aim in ("not gated", outside, aims[0]), ("active grant", active, aims[1]):
            table.row(what + how, values, "µs", aim, median(values) - median(permit))
    calls = samples(box.run(f"{TOOLS}/connect", TRANSACTIONS, LOGIN_SOCKET).stdout)
    table.row("of the last: a call on an open connection", calls["open"], "µs")
    table.row("of the last: a call on a fresh connection", calls["fresh"], "µs")
    decider.decide("Revoke", request)
    terminal.close()


def bench_release(box, table, decider):
    login = Tool(box, "login", str(LOGINS), f"{STACKS}/lockbox", "eng", "/var/lib/lockbox/bench")
    commits, released = [], []
    for _ in range(LOGINS):
        login.go_on()
        commits.append(us(int(login.read()[1])))
        request = login.read()[1]
        # The module parks right after it has printed; the daemon shows when it has.
        wait_for(lambda: box.status()["waiters"] == 1, what="the login to be parked")
        began, _ = decider.decide("Approve", request)
        released.append(us(int(login.read()[1]) - began))
        decider.decide("Revoke", request)
        # What ends this one, and what looks at what it has left behind, is not to be on the disk when the next is measured.
        wait_for(lambda: receipt(box, request), what="the receipt")
    login.close()
    table.section("Approval, with the disk's own measure beside it")
    table.row("bare append of 512 bytes and fdatasync", commits, "µs")
    table.row("approve → waiting login released", released, "µs", 2 * median(commits) + 300)


def receipt(box, request):
    """The end of the access once it is whole, else nothing."""
    shown = json.loads(box.ctl("show", "--json", request).stdout)
    return shown["end"] if "closed_at" in shown else None


def bench_end(box, table, decider, processes):
    outside, inside, killed, count = [], [], [], ENDS[processes]
    uid = box.account("eng").pw_uid
    for _ in range(count):
        sleepers = f"for i in $(seq {processes - 1}); do sleep 1000 & done; echo ready; exec sleep 1000"
        terminal, request = session(box, decider, sleepers)
        left = Tool(box, "left", str(uid))
        left.read()
        began, _ = decider.decide("Revoke", request)
        outside.append((int(left.read()[1]) - began) / 1e6)
        left.close()
        end = wait_for(lambda: receipt(box, request), what="the receipt", timeout=30)
        inside.append(end["ms"])
        killed.append(end["killed"])
        terminal.close()
    bare = [int(line) / 1e6 for line in box.run(f"{TOOLS}/bare", processes, count, timeout=300).stdout.split()]
    table.row(f"{processes}: bare cgroup.kill of as many", bare, "ms")
    table.row(f"{processes} started by the engineer, seen from outside", outside, "ms", 100 if processes <= 200 else None)
    table.row(f"… as its receipt says ({round(median(killed))} killed)", inside, "ms")


def bench_snapshot(box, table):
    """One picture of the host; an access costs two of them."""
    program = "/usr/libexec/lockbox/lockbox-inspect"
    one = f"t=$(date +%s%N); {program} snapshot -o /run/bench; echo one $(($(date +%s%N) - t))"
    taken = samples(box.run(f"for i in $(seq {SNAPSHOTS}); do {one}; done").stdout)["one"]
    table.section("A picture of the host, for the report of what was left behind")
    table.row("snapshot", [us(t) for t in taken], "ms", 300)


def memory(box):
    """RSS and PSS of the daemon in MiB."""
    pid = box.systemctl("show", "--property=MainPID", "--value", "lockboxd.service").stdout.strip()
    rollup = box.read(f"/proc/{pid}/smaps_rollup")
    return [int(re.search(rf"^{name}: +(\d+)", rollup, re.M)[1]) / 1024 for name in ("Rss", "Pss")]


def bench_waiters(box, table, decider):
    before = memory(box)
    waiters = Tool(box, "waiters", str(WAITERS), "eng", str(WOKEN))
    shown = []
    while (words := waiters.read())[0] == "waiting":
        shown.append(words[1])
    wait_for(lambda: box.status()["waiters"] == WAITERS, timeout=60, what="all to wait")
    after = memory(box)
    woken = []
    for request in shown:
        began, _ = decider.decide("Approve", request)
        name, answered, clock = waiters.read()
        if (name, answered) != ("woken", request):
            raise RuntimeError(f"{answered} was woken for {request}")
        woken.append((int(clock) - began) / 1e6)
    waiters.close()
    table.section(f"{WAITERS} waiting connections, each with a request of its own")
    table.row(f"memory of lockboxd, RSS ({before[0]:.1f} MiB before)", [after[0]], "MiB", 64)
    table.row(f"memory of lockboxd, PSS ({before[1]:.1f} MiB before)", [after[1]], "MiB")
    table.row("approve → that one woken", woken, "ms", 2)


def bench_lists(box, table):
    """The store alone, and a daemon that has it."""
    table.section(f"{OLD:,} old requests, beside none")
    found = {n: samples(box.run(f"{TOOLS}/list", "/var/lib", n, timeout=600).stdout) for n in (0, OLD)}
    for name, what in LISTS.items():
        table.row(f"{what}, none", found[0][name], "µs")
        table.row(f"{what}, {OLD:,}", found[OLD][name], "µs", 2 * median(found[0][name]) + 500)
    box.systemctl("stop", *UNITS)
    box.run(f"rm -rf {STATE}/lockbox.db*; mv /var/lib/{OLD}/lockbox.db* {STATE}/")
    box.systemctl("start", *UNITS)
    for what, user, *options in (("pending, root's", None, "--pending"), ("all, an engineer's", "eng2", "--all")):
        box.ctl("list", *options, user=user)
        took = [clocked(lambda: box.ctl("list", *options, user=user)) for _ in range(20)]
        table.row(f"lockboxctl list {what}, with its process", took, "ms")


# What journald adds to an entry of ours, about.
ADDED = """__CURSOR=s=0639a0b3d0a44fc1b0e2d7a2ee06d3ea;i={seq:x};m={seq:x};t={time:x};x=1
__REALTIME_TIMESTAMP={time}
__MONOTONIC_TIMESTAMP={seq}
_BOOT_ID=3c7a1d1f0d0d4b6f8f5bbd4a4d0c0a3e
_TRANSPORT=journal
_UID=0
_GID=0
_PID=77
_COMM=lockboxd
_EXE=/usr/sbin/lockboxd
_CMDLINE=/usr/sbin/lockboxd
_CAP_EFFECTIVE=20
_SYSTEMD_CGROUP=/system.slice/lockboxd.service
_SYSTEMD_UNIT=lockboxd.service
_SYSTEMD_SLICE=system.slice
_MACHINE_ID=3c7a1d1f0d0d4b6f8f5bbd4a4d0c0a3e
_HOSTNAME=appliance
MESSAGE={request}: something was done by somebody
MESSAGE_ID=3c7a1d1f0d0d4b6f8f5bbd4a4d0c0a3e
PRIORITY=5
SYSLOG_IDENTIFIER=lockboxd
LOCKBOX_SEQ={seq}
LOCKBOX_HASH={hash}
LOCKBOX_JSON={json}
"""
FIELDS = "event", "prev", "request", "state", "account", "engineer", "ticket", "reason", "approver"


def write_export(database, path, events):
    """The log as journalctl -o export would show it."""
    with contextlib.closing(sqlite3.connect(database)) as db, open(path, "w", encoding="utf-8") as out:
        for seq, digest, text in db.execute("SELECT seq, hash, json FROM events WHERE seq <= ? ORDER BY seq", [events]):
            event = json.loads(text)
            out.write(ADDED.format(seq=seq, hash=digest, json=text, request=event["request"], time=event["time"]))
            out.writelines(f"LOCKBOX_{name.upper()}={event[name]}\n" for name in FIELDS if name in event)
            out.write("\n")


def bench_audit(box, table):
    """The whole chain and the table beside it, from a cold process on; beside each what others take for its bytes."""
    directory = "/var/lib/audited"
    export, short, journal = (f"{directory}/{name}" for name in ("export", "short", "audited.journal"))
    database = box.root / directory[1:] / "lockbox.db"
    box.run(f"{TOOLS}/log", directory, AUDITED, timeout=600)
    write_export(database, box.root / export[1:], 2 * AUDITED)
    write_export(database, box.root / short[1:], JOURNALED)
    box.run("/lib/systemd/systemd-journal-remote", f"--output={journal}", short, timeout=600)

    def row(what, times, command, aim=None):
        table.row(what, [clocked(lambda: box.run(command, timeout=600)) for _ in range(times)], "ms", aim)

    table.section(f"{AUDITED:,} events")
    row("sha256sum of the database", 10, f"sha256sum {directory}/lockbox.db")
    row("lockboxctl audit verify", 10, f"lockboxctl audit verify {directory}", 1000)
    row("sha256sum of an export", 10, f"sha256sum {export}")
    row("lockboxctl audit verify --journal, of an export", 10, f"lockboxctl audit verify --journal {export}", 1000)
    table.section(f"{JOURNALED:,} events in a journal file")
    row("journalctl --output=export alone", 10, f"journalctl --file={journal} --output=export >/dev/null")
    row("lockboxctl audit verify --journal", 10, f"lockboxctl audit verify --journal {journal}")


def bench_journal(box, table, decider):
    """From an event's own time, before its commit, to its entry; and a story with its commands among many entries."""
    table.section(f"The journal, with {ENTRIES:,} entries of others")
    lines = box.run("journalctl --sync; journalctl --boot --output=json _SYSTEMD_UNIT=lockboxd.service _UID=0 "
                    "LOCKBOX_EVENT=approved LOCKBOX_EVENT=stopped LOCKBOX_EVENT=requested").stdout.splitlines()
    entries = [json.loads(line) for line in lines]
    late = [int(e["__REALTIME_TIMESTAMP"]) - json.loads(e["LOCKBOX_JSON"])["time"] for e in entries]
    table.row("event committed → in the journal", late, "µs")
    terminal, request = session(box, decider, "echo ready; sleep 1000")
    box.write("/etc/systemd/journald.conf.d/bench.conf", "[Journal]\nRateLimitBurst=0\n")
    box.systemctl("restart", "systemd-journald.service")
    box.run(f"seq {ENTRIES} | systemd-cat --identifier=noise; journalctl --sync", timeout=300)
    table.row("lockboxctl events ID", [clocked(lambda: box.ctl("events", request)) for _ in range(10)], "ms", 100)
    decider.decide("Revoke", request)
    terminal.close()


def peak(box):
    """MiB that the courier had resident at most."""
    pid = box.systemctl("show", "--property=MainPID", "--value", COURIER).stdout.strip()
    return int(re.search(r"^VmHWM:\s+(\d+)", box.read(f"/proc/{pid}/status"), re.M)[1]) / 1024


def bench_courier(box, table, decider):
    """By HTTPS to a receiver of this machine: one event after the other, and all of a log that it has not seen."""
    courier = Courier(box)
    courier.configure(courier.hook())
    terminal, request = session(box, decider, "echo ready; sleep 1000")
    bob = Person(box)
    for i in range(TOLD):
        bob.ctl("ask", request, f"question {i}")
    terminal.close()
    decider.decide("Revoke", request)
    courier.wait_received(lambda line: kind(line) == "revoked")
    late = [(line["at"] - json.loads(json.loads(line["body"])["event"]["json"])["time"] / 1e6) * 1000
            for line in courier.received()]
    box.systemctl("stop", COURIER, *UNITS)
    box.run(f"rm -rf {STATE}/*; {TOOLS}/log /var/lib/drained {DRAINED} && mv /var/lib/drained/lockbox.db* {STATE}/",
            timeout=300)
    box.systemctl("start", *UNITS)
    events = box.status()["events"]
    before, began = len(courier.received()), time.monotonic()
    box.systemctl("start", COURIER)
    wait_for(lambda: int(box.run("wc", "-l", "/var/lib/receiver/log").stdout.split()[0]) >= before + events, timeout=300,
             what="all of them", interval=0.2)
    took, most = time.monotonic() - began, peak(box)
    courier.stop()
    table.section("The courier, to a webhook by HTTPS on this machine")
    table.row("event → webhook received", late, "ms", 50)
    table.row(f"a log of {events:,} events, all told", [took], "s", 60)
    table.row("memory of lockbox-courier meanwhile, RSS at most", [most], "MiB", 32)


def clocked(call):
    """ms"""
    began = time.monotonic()
    call()
    return (time.monotonic() - began) * 1000


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} × {model[1] if model else os.uname().machine}, Linux {os.uname().release}"


def main():
    build = Path(sys.argv[1] if len(sys.argv) > 1 else TOP / "build").resolve()
    stage = Path(sys.argv[2] if len(sys.argv) > 2 else TOP / "build" / "stage").resolve()
    print(machine())
    with Box(TOP / "build" / "image-bookworm", "bench") as box:
        set_up(box, build, stage)
        table, decider = Table(), Decider(box)
        bench_pam(box, table, decider)
        bench_release(box, table, decider)
        table.section("End of access: revoke → nothing of the account is left")
        for processes in ENDS:
            bench_end(box, table, decider, processes)
        bench_journal(box, table, decider)
        bench_snapshot(box, table)
        bench_courier(box, table, decider)
        bench_waiters(box, table, decider)
        bench_lists(box, table)
        bench_audit(box, table)
    print(f"\n{'All aims are met.' if not table.missed else f'{table.missed} missed.'}")


if __name__ == "__main__":
    main()
