# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reviewed scripts: `lockboxctl run` runs the bytes that a permit rule names, and nothing else."""

import hashlib
import json

import pytest
from appliance import PATIENCE, wait_for
from lockbox import STATE
from people import Engineer, Person, requests, show

DONE, FAILED, NOT_PERMITTED, NO_DAEMON = 0, 1, 4, 5
PATH = "/home/eng/check.sh"

# Says what it is given, what it runs as, with which environment, and with which bytes.
CHECK = """#!/bin/sh
echo "as $(id -un), $# arguments:" "$@"
env | sort
echo trouble >&2
sha256sum < "$0"
"""

# Runs until it is ended, with a child that has left for a session of its own, and one that ignores what it can.
LONG = """#!/bin/bash
setsid --fork sleep 7007
(trap '' TERM HUP INT; sleep 7008; sleep 7009) &
echo running
wait
"""


def digest(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def rule(script, run="", access="", match=""):
    """A policy that permits engineers at eng this script."""
    return (f"[Match]\nAccount=eng\nCommand={digest(script)}\n{match}[Rule]\nAction=permit\n"
            f"[Access]\n{access}[Run]\nUser=diagnose\n{run}")


def put(box, script):
    if not box.has_account("diagnose"):
        box.add_user("diagnose")
    box.write(PATH, script, mode=0o755, owner="eng")


def call(box, *arguments, script=CHECK, user="eng"):
    """The engineer's call, from no session."""
    put(box, script)
    return box.ctl("run", PATH, *arguments, user=user, check=False)


def start(box, script):
    """The same, without waiting: the process, once the script has said that it runs, and its access."""
    put(box, script)
    process = box.popen("lockboxctl", "run", PATH, user="eng", stdout=-1, stderr=-1, text=True)
    assert process.stdout.readline() == "running\n"
    return process, requests(box, "--all")[0]["id"]  # it may be over already


def ready(box, text):
    put(box, CHECK)
    box.policy(text)


def story(box, request):
    """The kinds of its events; what a killed daemon had sent already may be in the journal twice."""
    events = {int(entry["LOCKBOX_SEQ"]): entry["LOCKBOX_EVENT"] for entry in box.story(request)}
    return [events[seq] for seq in sorted(events)]


def body(box, event):
    return json.loads(box.wait_event(event)["LOCKBOX_JSON"])


def await_state(box, request, state):
    wait_for(lambda: show(box, request)["state"] == state, what=state)


def sleepers(box):
    return box.run("pgrep", "-f", "sleep 700[789]", check=False).stdout


# --- what runs, and as what --------------------------------------------------------------------------------------------


def test_the_named_script_runs(every_box):
    """As the rule's user, with the rule's environment, its output shown and recorded, with one event at either end."""
    box = every_box
    ready(box, rule(CHECK, "Arguments=--unit [a-z.$HOME]+\nEnvironment=MODE=quick LIMIT=3\n"))
    result = call(box, "--unit", "$HOME")
    assert result.returncode == DONE, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "as diagnose, 2 arguments: --unit $HOME"
    names = {line.split("=")[0] for line in lines[1:-1]}
    given = {"MODE", "LIMIT"}
    systemd = {"HOME", "INVOCATION_ID", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "SYSTEMD_EXEC_PID", "USER",
               "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE"}
    assert given <= names <= given | systemd  # of the caller's own, such as TERM, nothing
    assert lines[-1].split()[0] in digest(CHECK) and result.stderr == "trouble\n"

    (access,) = requests(box)
    await_state(box, access["id"], "completed")
    recorded = box.run("cat", f"{STATE}/recordings/{access['id']}.out").stdout
    assert sorted(recorded.splitlines()) == sorted(lines + ["trouble"])
    started, ended = body(box, "script-started"), body(box, "script-ended")
    assert started["command"] == digest(CHECK) and started["script"] == "check.sh" and started["user"] == "diagnose"
    assert started["arguments"] == ["--unit", "$HOME"] and started["rule"] == "50-test.policy"
    assert ended["exit_status"] == 0 and ended["bytes"] == len(recorded) and ended["output"] == digest(recorded)
    assert story(box, access["id"]) == ["script-started", "script-ended", "completed"]
    assert not box.exists(f"{STATE}/scripts/{access['id']}")
    assert "check.sh" in box.ctl("show", access["id"]).stdout


def test_the_exit_status_is_told(box):
    """In words and in the event; the program's own says only that all is not well."""
    script = "#!/bin/sh\necho half done\nexit 7\n"
    ready(box, rule(script))
    result = call(box, script=script)
    assert result.returncode == FAILED and result.stdout == "half done\n"
    assert "exit status 7" in result.stderr and body(box, "script-ended")["exit_status"] == 7


def test_what_cannot_be_executed(box):
    """A first line that names what is not there: told as that, and an end like every other."""
    script = "#!/usr/bin/no-such-shell\n"
    ready(box, rule(script))
    result = call(box, script=script)
    assert result.returncode == FAILED and "first line" in result.stderr
    await_state(box, requests(box)[0]["id"], "completed")


def test_the_bytes_that_were_hashed_run(box):
    """The file is exchanged while the script runs: what runs is still what was hashed (row 17)."""
    script = "#!/bin/sh\necho running\nread line < /home/diagnose/go\nsha256sum < \"$0\"\n"
    ready(box, rule(script))
    box.run("rm -f /home/diagnose/go; mkfifo -m 0666 /home/diagnose/go")
    process, _ = start(box, script)
    box.write(PATH, "#!/bin/sh\necho another one\n", mode=0o755, owner="eng")
    box.run("echo go > /home/diagnose/go")
    output, _ = process.communicate(timeout=PATIENCE)
    assert output.split()[0] in digest(script)


def test_units_of_the_rule(box):
    """What the rule unlocks is there before the script begins, and locked again after it."""
    box.write("/etc/systemd/system/probe.service",
              "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 0.3\n")
    box.systemctl("daemon-reload")
    script = "#!/bin/sh\nsystemctl is-active probe.service\n"
    ready(box, rule(script, access="Units=probe.service\n"))
    assert call(box, script=script).stdout == "active\n"
    box.wait_event("completed")
    assert box.systemctl("is-active", "probe.service", check=False).stdout == "inactive\n"


def test_inside_a_session(box):
    """Run from an approved session it is that engineer's, and an access of its own."""
    ready(box, rule(CHECK, match="Scope=run\n"))
    eng = Engineer(box)
    session = eng.enter(Person(box))
    assert "as diagnose" in eng.run(f"lockboxctl run {PATH}")
    access = next(r for r in requests(box) if r["scope"] == "run")
    assert access["engineer"] == show(box, session)["engineer"] == box.client.fingerprint("alice")
    assert show(box, session)["state"] == "active"


# --- what does not -----------------------------------------------------------------------------------------------------


def refused(box, result):
    """Nothing ran, nothing is open, and an event says so."""
    assert result.returncode == NOT_PERMITTED and result.stdout == "" and requests(box) == []
    return box.wait_event("refused")["MESSAGE"]


def test_one_byte_more_is_another_script(box):
    """The refusal names the digest, to be copied into a rule."""
    ready(box, rule(CHECK, "Arguments=any\n"))
    changed = CHECK + "\n"
    result = call(box, script=changed)
    assert digest(changed) in refused(box, result) and digest(changed) in result.stderr


@pytest.mark.parametrize("arguments", [[], ["--unit"], ["--unit", "a", "b"], ["--unit a"], ["--unit", "a;b"]])
def test_arguments_that_the_rule_does_not_have(box, arguments):
    """They are pinned as the bytes are, each by itself."""
    ready(box, rule(CHECK, "Arguments=--unit [a-z]+\n"))
    assert "arguments" in refused(box, call(box, *arguments))


@pytest.mark.parametrize("text", [
    "[Rule]\nAction=permit\n",
    "[Rule]\nAction=require-approval\n",
    "[Rule]\nAction=deny\n",
    rule(CHECK, match="RemoteHost=192.0.2.1\n"),
    rule("#!/bin/sh\n"),
])
def test_no_rule_names_it(box, text):
    """A rule that permits logins permits no script, nor does one whose other keys do not fit."""
    ready(box, text)
    refused(box, call(box))


def test_who_has_no_part(box):
    """Whom no rule and no group of ours knows may not even fill the log."""
    ready(box, rule(CHECK).replace("Account=eng\n", ""))
    assert call(box, user="admin").returncode == NOT_PERMITTED
    assert box.events(LOCKBOX_EVENT="refused") == [] and requests(box) == []


def test_a_rule_for_a_script_lets_nobody_in(box):
    """With nothing but that rule, a login is asked about."""
    ready(box, rule(CHECK))
    assert show(box, Engineer(box).request())["state"] == "pending"


def test_as_many_as_the_rule_allows(box):
    """MaxSessions= counts scripts that run at a time."""
    ready(box, rule(LONG, access="MaxSessions=1\n"))
    process, access = start(box, LONG)
    assert "as many" in call(box, script=LONG).stderr
    box.ctl("revoke", access)
    process.communicate(timeout=PATIENCE)


# --- how it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb, person, state", [("revoke", "bob", "revoked"), ("done", "eng", "completed")])
def test_it_can_be_stopped(box, verb, person, state):
    """By an approver or by its engineer: it goes with all of its children, and there is a receipt (row 6)."""
    ready(box, rule(LONG))
    process, access = start(box, LONG)
    assert sleepers(box)
    if person == "bob":
        Person(box).revoke(access)
    else:
        box.ctl(verb, access, user=person)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == FAILED and "stopped by SIGKILL" in errors
    await_state(box, access, state)
    receipt = show(box, access)["end"]
    assert receipt["left"] == 0 and receipt["killed"] >= 4
    assert sleepers(box) == ""
    assert story(box, access)[-2:] == ["script-ended", state]


def test_its_time_is_over(box):
    """Duration= bounds it (row 36 without the jumps)."""
    ready(box, rule(LONG, access="Duration=2s\n"))
    process, access = start(box, LONG)
    process.communicate(timeout=PATIENCE)
    await_state(box, access, "ended")
    assert sleepers(box) == ""
    assert story(box, access) == ["script-started", "time-over", "script-ended", "ended"]


def test_the_daemon_is_killed(box):
    """Nobody records it any more, so it is ended, and the log says why."""
    ready(box, rule(LONG))
    process, access = start(box, LONG)
    box.systemctl("kill", "--signal=KILL", "lockboxd.service")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == NO_DAEMON and f"lockboxctl show {access}" in errors
    box.wait_event("ended", LOCKBOX_REQUEST=access)
    assert sleepers(box) == ""
    ended = body(box, "script-ended")
    assert "not there" in ended["note"] and ended["output"] == digest("running\n")
    assert story(box, access) == ["script-started", "time-over", "script-ended", "ended"]
    assert not box.exists(f"{STATE}/scripts/{access}")


def test_the_daemon_hangs(box):
    """PID 1 ends it on time all the same (row 34)."""
    ready(box, rule(LONG, access="Duration=2s\n"))
    process, access = start(box, LONG)
    box.systemctl("kill", "--kill-whom=main", "--signal=STOP", "lockboxd.service")
    wait_for(lambda: not sleepers(box), what="PID 1's own deadline")
    box.systemctl("kill", "--kill-whom=main", "--signal=CONT", "lockboxd.service")
    process.communicate(timeout=PATIENCE)
    await_state(box, access, "ended")
    assert story(box, access).count("script-ended") == 1


def test_who_hangs_up_stops_nothing(box):
    """The script goes on, and its output is recorded all the same."""
    script = "#!/bin/sh\necho running\nread line < /home/diagnose/go\necho finished\n"
    ready(box, rule(script))
    box.run("rm -f /home/diagnose/go; mkfifo -m 0666 /home/diagnose/go")
    process, access = start(box, script)
    process.kill()
    process.communicate(timeout=PATIENCE)
    box.run("echo go > /home/diagnose/go")
    await_state(box, access, "completed")
    assert box.run("cat", f"{STATE}/recordings/{access}.out").stdout == "running\nfinished\n"


def test_a_slow_reader(box):
    """Who does not read holds up neither the script nor the daemon, and gets everything in the end."""
    script = "#!/bin/sh\nseq 1 1000000\nseq 1 1000 >&2\n"
    ready(box, rule(script))
    put(box, script)
    process = box.popen("lockboxctl", "run", PATH, user="eng", stdout=-1, stderr=-1, text=True)
    box.wait_event("completed")
    output, errors = process.communicate(timeout=PATIENCE)
    assert output == "".join(f"{n}\n" for n in range(1, 1000001))
    assert errors == "".join(f"{n}\n" for n in range(1, 1001))


# --- beside logins -----------------------------------------------------------------------------------------------------


def test_a_run_is_no_way_in(box):
    """No login and no request finds its access; nor is anybody kept out by it (rows 18 and 43)."""
    ready(box, rule(LONG))
    process, access = start(box, LONG)
    mine = json.loads(box.ctl("request", "--ticket", "CASE-1", "--reason", "why", "--scope", "run", "--json",
                              user="eng").stdout)
    assert mine["state"] == "pending" and mine["id"] != access
    assert Engineer(box, port=2222, key="alice").connect("true").read_to_end().count("no approved request") == 1
    eng = Engineer(box)
    session = eng.enter(Person(box))
    assert show(box, session)["state"] == show(box, access)["state"] == "active"
    box.ctl("revoke", session)
    assert show(box, access)["state"] == "active" and sleepers(box)
    box.ctl("revoke", access)
    process.communicate(timeout=PATIENCE)


def test_a_run_keeps_nobody_out(box):
    """Another engineer whom a rule lets in comes in while it runs, though the rule lets in one at a time."""
    ready(box, rule(LONG))
    process, access = start(box, LONG)
    box.policy("[Match]\nKey=plain\n[Rule]\nAction=permit\n", name="60-logins.policy")
    assert box.client.ssh_run("eng", "echo in", key="alice", port=2222).stdout == "in\n"
    box.ctl("revoke", access)
    process.communicate(timeout=PATIENCE)
