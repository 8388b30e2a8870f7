# SPDX-License-Identifier: LGPL-2.1-or-later
"""The story of an access has in it what its sessions did: sudo's lines, programs' own, what the kernel saw started."""

import json

import pytest
from lockbox import OURS
from people import SHELL, Engineer, Person, grant, show
from test_elevation import NOPASSWD, SU_RULE, at_root, elevate, sudoers  # noqa: F401  (sudoers is a fixture)

REMOTE = "/usr/lib/systemd/systemd-journal-remote"
MEMBERS = {"source", "request", "time", "session", "identifier", "message", "pid", "uid", "exe", "command",
           "transport", "audit"}


@pytest.fixture
def bob(box):
    return Person(box)


def story(box, request, *options, user=None):
    """What `events` says, for programs, line by line."""
    box.run("journalctl", "--sync")
    return [json.loads(line) for line in box.ctl("events", "--json", request, *options, user=user).stdout.splitlines()]


def commands(lines):
    return [line for line in lines if line.get("source") == "journal"]


def said(lines):
    return [command.get("message", "") for command in commands(lines)]


def log(engineer, words, tag="work", prompt=SHELL):
    """An entry by a program that lives until it is written: journald reads in /proc whose session it is."""
    terminal, box = engineer.terminal, engineer.box
    terminal.sendline(f"logger --tag {tag}")
    terminal.sendline(words)
    spelled = (words, list(words.encode()))  # the second where it is no plain text
    box.wait_journal(lambda entry: entry["MESSAGE"] in spelled, after=box.since, _COMM="logger")
    terminal.sendeof()
    terminal.expect(prompt)


def test_the_story_has_the_commands_in_it(box, bob, sudoers):  # noqa: F811
    """Between the events, in the order of time: sudo's, and programs' own under whatever account they ran."""
    sudoers(NOPASSWD)
    engineer = Engineer(box)
    request = engineer.enter(bob)
    log(engineer, "before")
    root = elevate(engineer, "sudo --shell")
    bob.approve(root)
    at_root(engineer)
    log(engineer, "as-root", prompt=r"root@\S+# $")
    engineer.terminal.sendline("exit")
    engineer.at_shell()
    bob.ctl("ask", request, "how far are you?")
    log(engineer, "after")
    bob.revoke(request)
    engineer.read_to_end()
    box.wait_event("revoked", LOCKBOX_REQUEST=request)
    lines = story(box, request)
    assert all(set(command) <= MEMBERS and command["request"] == request for command in commands(lines))
    sudo = [c for c in commands(lines) if c["identifier"] == "sudo" and "COMMAND=" in c["message"]]
    assert [(c["transport"], c["exe"]) for c in sudo] == [("syslog", "/usr/bin/sudo")]
    assert {c["uid"] for c in commands(lines) if c["message"] == "as-root"} == {0}
    order = [line.get("event") or line["message"] for line in lines]
    steps = ["approved", "opened", "before", sudo[0]["message"], "as-root", "message", "after", "stopped", "revoked"]
    assert [step for step in order if step in steps] == steps
    assert [message for message in said(story(box, root)) if message in ("before", "as-root", "after")] == [
        "before", "as-root", "after"]  # it is the same audit session

    text = box.ctl("events", request).stdout
    assert f"{request}    sudo: {sudo[0]['message']}\n" in text
    assert f"{request}    work: as-root\n" in text
    assert commands(story(box, request, "--since", "+1h")) == []


def test_all_of_its_sessions_and_nobody_elses(box, bob):
    """Several sessions of the access are in it; the administrator's, and those of before and after it, are not."""
    request = grant(box, bob)
    first, second = Engineer(box).connect(), Engineer(box).connect()
    first.at_shell()
    second.at_shell()
    log(first, "first")
    log(second, "second")
    box.client.ssh_run("admin", "logger --tag work administrator", key="admin")
    bob.revoke(request)
    first.read_to_end()
    second.read_to_end()
    third = Engineer(box)
    later = third.enter(bob)
    log(third, "third")
    lines = story(box, request)
    assert [m for m in said(lines) if m in ("first", "second", "third", "administrator")] == ["first", "second"]
    assert len({command["session"] for command in commands(lines)}) == 2
    assert [m for m in said(story(box, later)) if m in ("first", "second", "third")] == ["third"]


def test_a_forged_session_is_none(box, bob):
    """Who names another's session in an entry of his own is not in its story; nor is what he makes the text do (row 41)."""
    engineer = Engineer(box)
    request = engineer.enter(bob)
    session = show(box, request)["sessions"][0]["session"]
    boot = box.run("journalctl", "-n1", "-ojson").stdout
    forged = f"MESSAGE=forged\n_AUDIT_SESSION={session}\n_BOOT_ID={json.loads(boot)['_BOOT_ID']}\nAUDIT_FIELD_SES={session}\n"
    for forger in ("admin", None):
        box.run("logger", "--journald", user=forger, input=forged)
    log(engineer, "one\033[2J", tag="$'\\e[31mx'")
    lines = story(box, request)
    assert "forged" not in said(lines)
    (shown,) = [c for c in commands(lines) if c["message"].startswith("one")]
    assert (shown["message"], shown["identifier"]) == ("one\ufffd[2J", "\ufffd[31mx")
    assert "\033" not in box.ctl("events", request).stdout


def test_an_administrators_session_is_his(box, bob):
    """He comes by su under the engineer's account: his own audit session is none of the access."""
    box.policy(SU_RULE, "10-su.policy")
    admin = box.client.ssh("admin", key="admin")
    admin.expect(r"\$ $")
    admin.sendline("su eng")
    admin.expect("assword: ")
    admin.sendline("eng-secret")
    admin.expect(r"eng@\S+\$ $")
    admin.sendline("logger --tag work by-su; echo do''ne")
    admin.expect("done")
    opened = box.wait_event("opened")
    assert json.loads(opened["LOCKBOX_JSON"])["foreign"]
    assert commands(story(box, opened["LOCKBOX_REQUEST"])) == []


def test_who_may_not_read_the_journal_sees_the_events(box, bob):
    """And is told what to do; who is in the group sees the same as root."""
    engineer = Engineer(box)
    request = engineer.enter(bob)
    log(engineer, "words")
    box.run("journalctl", "--sync")
    without = bob.ctl("events", "--json", request)
    lines = [json.loads(line) for line in without.stdout.splitlines()]
    assert "opened" in [line["event"] for line in lines] and commands(lines) == []
    assert without.stderr.count("\n") == 1 and "usermod -aG systemd-journal" in without.stderr
    box.add_user("dora", groups=["lockbox-auditors", "systemd-journal"])
    assert story(box, request, user="dora") == story(box, request)
    box.add_user("dora", groups=["lockbox-auditors"])
    stranger = box.ctl("events", request, user="admin", check=False)
    assert stranger.returncode == 4 and stranger.stdout == ""


def test_a_journal_that_does_not_know_sessions(trixie_lockbox):
    """journald 257 does not say them in a container; then that is said."""
    box = trixie_lockbox
    box.reset()
    engineer = Engineer(box)
    request = engineer.enter(Person(box))
    log(engineer, "words")
    (entry,) = box.journal(after=box.since, MESSAGE="words")
    shown = box.ctl("events", request)
    assert " opened by sshd" in shown.stdout
    if "_AUDIT_SESSION" in entry:
        assert "work: words" in shown.stdout and shown.stderr == ""
    else:
        assert "does not say of which audit session" in shown.stderr
    box.close_terminals()


# Another host's journal, and what the kernel's audit writes, which does not reach a container: made as a host would send it


def audit_record(entry, audit_id, kind, message, **fields):
    """An entry as journald makes one of a record of the kernel's."""
    common = {"__REALTIME_TIMESTAMP": entry["__REALTIME_TIMESTAMP"], "__MONOTONIC_TIMESTAMP": entry["__MONOTONIC_TIMESTAMP"],
              "_BOOT_ID": entry["_BOOT_ID"], "_MACHINE_ID": entry["_MACHINE_ID"], "_TRANSPORT": "audit",
              "SYSLOG_IDENTIFIER": "audit", "_AUDIT_TYPE_NAME": kind, "_AUDIT_ID": audit_id,
              "MESSAGE": f"{kind} {message}", **fields}
    return "".join(f"{name}={value}\n" for name, value in common.items()) + "\n"


def imported(box, name, export):
    """A journal directory that systemd-journal-remote made of an export."""
    box.run("mkdir", "-p", f"/root/{name}")
    box.write(f"/root/{name}.export", export)
    remote = next(path for path in (REMOTE, REMOTE.removeprefix("/usr")) if box.exists(path))
    box.run(remote, f"--output=/root/{name}/remote-appliance.journal", f"/root/{name}.export")
    return f"/root/{name}"


def test_the_programs_that_the_kernel_saw(every_box):
    """Each is one entry with its arguments, however the kernel spells them; and all from a copy, without lockboxd."""
    box = every_box
    bob, engineer = Person(box), Engineer(box)
    request = engineer.enter(bob)
    log(engineer, "words")
    live = story(box, request)
    (entry,) = box.journal(after=box.since, MESSAGE="words")
    session, boot = show(box, request)["sessions"][0]["session"], entry["_BOOT_ID"]
    syscall = "arch=c000003e syscall=59 success=yes exit=0"
    records = [
        audit_record(entry, 70, "SYSCALL", syscall, _AUDIT_SESSION=session, _PID=4711, _UID=1001, _EXE="/usr/bin/rm"),
        audit_record(entry, 70, "EXECVE", 'argc=3 a0="rm" a1="-rf" a2=2F686F6D652F6D7920646F6373'),
        audit_record(entry, 71, "SYSCALL", syscall, _AUDIT_SESSION=session + 1000),
        audit_record(entry, 71, "EXECVE", 'argc=1 a0="another-session"'),
        audit_record({**entry, "_BOOT_ID": "0" * 31 + "1"}, 70, "EXECVE", 'argc=1 a0="another-boot"'),
        audit_record({**entry, "_BOOT_ID": "0" * 31 + "1"}, 72, "SYSCALL", "x", _AUDIT_SESSION=session),
        audit_record(entry, 73, "SYSCALL", "arch=c000003e syscall=257", _AUDIT_SESSION=session),
        # nothing is hidden behind what is long, or behind what is not shown as it is
        audit_record(entry, 74, "SYSCALL", syscall, _AUDIT_SESSION=session),
        audit_record(entry, 74, "EXECVE", f'argc=4 a0="sh" a1="-c" a2_len=9000 a2[0]={"3A20" * 2000}'),
        audit_record(entry, 74, "EXECVE", f'a2[1]={"3A20" * 250} a3="behind"'),
        audit_record(entry, 75, "SYSCALL", syscall, _AUDIT_SESSION=session),
        audit_record(entry, 75, "EXECVE", f'argc=2 a0={"01" * 200} a1="behind"'),
    ]
    export = box.run(f"journalctl --output=export --after-cursor='{box.since}' --boot={boot}").stdout
    directory = imported(box, "copy", export + "".join(records))
    box.systemctl("stop", "lockboxd.service", "lockboxd.socket", "lockboxd-login.socket")
    lines = story(box, request, "--journal-directory", directory)
    seen = [c for c in commands(lines) if c.get("transport") == "audit"]
    assert [(c["audit"], c.get("command") or c["message"]) for c in seen] == [
        ("EXECVE", "rm -rf /home/my docs"), ("SYSCALL", "SYSCALL arch=c000003e syscall=257"),
        ("EXECVE", "sh -c " + ": " * 2250 + "behind"), ("EXECVE", "\N{REPLACEMENT CHARACTER}" * 200 + " behind")]
    assert (seen[0]["pid"], seen[0]["uid"], seen[0]["exe"]) == (4711, 1001, "/usr/bin/rm")
    assert [line for line in lines if line not in seen] == live
    text = box.ctl("events", request, "--journal-directory", directory).stdout
    assert f"{request}    exec: rm -rf /home/my docs\n" in text
    nothing = box.ctl("events", "7F3K-9QXM", "--journal-directory", directory, check=False)
    assert nothing.returncode == 3 and "there is no event of 7F3K-9QXM" in nothing.stderr
    box.run("rm", "-r", directory)


def test_the_same_number_in_another_boot(box, bob):
    """Audit sessions are numbered anew at each boot: that of an earlier one is another's."""
    engineer = Engineer(box)
    request = engineer.enter(bob)
    log(engineer, "mine")
    (entry,) = box.journal(after=box.since, MESSAGE="mine")
    box.wait_journal(after=box.since, LOCKBOX_EVENT="opened", **OURS)
    export = box.run(f"journalctl --output=export --after-cursor='{box.since}'").stdout
    other = export.replace(entry["_BOOT_ID"], "1" * 32).replace("MESSAGE=mine", "MESSAGE=not-mine")
    other = "\n\n".join(e for e in other.split("\n\n") if "LOCKBOX_" not in e)
    directory = imported(box, "boots", other + "\n\n" + export)
    messages = said(story(box, request, "--journal-directory", directory))
    assert "mine" in messages and "not-mine" not in messages
    box.run("rm", "-r", directory)


def test_very_many_sessions(box):
    """As many as a batch of copies makes: each one's entries, in order, and not the one of a number between them."""
    request, boot, machine = "7F3K-9QXM", "ab" * 16, "cd" * 16
    number = int.from_bytes(bytes.fromhex(boot)[:8], "little") & (2**63 - 1)

    def entry(time, **fields):
        common = {"__REALTIME_TIMESTAMP": time, "__MONOTONIC_TIMESTAMP": time, "_BOOT_ID": boot, "_MACHINE_ID": machine}
        return "".join(f"{name}={value}\n" for name, value in {**common, **fields}.items()) + "\n"

    export = ""
    for k in range(1, 101):
        event = {"boot_id": number, "event": "opened", "request": request, "seq": k, "session": 2 * k, "time": 1000 * k}
        text = json.dumps(event, sort_keys=True, separators=(",", ":"))
        export += entry(1000 * k, **OURS, LOCKBOX_REQUEST=request, LOCKBOX_JSON=text, MESSAGE=f"{request}: Opened.")
        export += entry(1000 * k + 1, _AUDIT_SESSION=2 * k, MESSAGE=f"of {2 * k}")
        export += entry(1000 * k + 2, _AUDIT_SESSION=2 * k + 1, MESSAGE=f"of {2 * k + 1}")
    directory = imported(box, "many", export)
    lines = story(box, request, "--journal-directory", directory)
    assert [line["message"] for line in lines] == [m for k in range(1, 101) for m in ("Opened.", f"of {2 * k}")]
    box.run("rm", "-r", directory)
