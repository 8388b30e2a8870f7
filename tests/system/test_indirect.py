# SPDX-License-Identifier: LGPL-2.1-or-later
"""Indirect ways in: more access from inside a session, programs that elevate, and what runs later (cron, at)."""

import faults
import pytest
from appliance import wait_for
from lockbox import PAM_SETUP, password
from people import KEY, Engineer, Person, grant, requests, show

EXEMPT = "[Match]\nScope=login\nService=sshd\n[Rule]\nAction=permit\n"
ALL_ROOT = "eng ALL=(ALL) NOPASSWD: ALL\n"

# What the host's administrator may have allowed everybody, or somebody by another group.
POLKIT_YES = "/etc/polkit-1/rules.d/50-yes.rules"
YES = "polkit.addRule(function (action, subject) { return polkit.Result.YES; });\n"


@pytest.fixture
def bob(box):
    return Person(box)


@pytest.fixture
def engineer(box, bob):
    """One who is in, with an access for logins."""
    engineer = Engineer(box)
    engineer.enter(bob)
    return engineer


def written(box, path, text, mode=0o644):
    """A file that is there for the test."""
    box.write(path, text, mode=mode)
    yield
    box.run("rm", "-f", path)


@pytest.fixture
def sudo_all(box):
    yield from written(box, "/etc/sudoers.d/eng", ALL_ROOT, 0o440)


def polkit_says_yes(box):
    """polkitd is started anew by whoever asks it next, and has read its rules then."""
    for _ in written(box, POLKIT_YES, YES):
        box.systemctl("stop", "polkit.service")
        yield
    box.systemctl("stop", "polkit.service")


@pytest.fixture
def polkit_yes(box):
    yield from polkit_says_yes(box)


def ask_inside(engineer, scope, *options):
    """`lockboxctl request --wait` in the engineer's session; returns the ID, while it waits visibly."""
    ask = f"lockboxctl request --scope {scope} --ticket CASE-2002 --reason 'look at the data' --wait"
    engineer.terminal.sendline(" ".join([ask, *options]))
    engineer.terminal.expect_exact("Waiting for a decision")
    found = [request for request in requests(engineer.box, "--pending") if request["scope"] == scope]
    assert len(found) == 1
    return found[0]["id"]


def grant_inside(engineer, person, scope):
    request = ask_inside(engineer, scope)
    person.approve(request)
    engineer.terminal.expect_exact("lets you in now")
    engineer.at_shell()
    return request


def status_of(engineer, line):
    return int(engineer.run(f"{line} >/dev/null 2>&1; echo s$?").rsplit("s", 1)[1])


# More access, asked for inside a session

DATA = "/usr/local/bin/customer-data"
DATA_STACK = """\
auth sufficient pam_permit.so
account requisite pam_lockbox.so scope=data
@include common-account
session required pam_lockbox.so scope=data
@include common-session-noninteractive
"""


@pytest.fixture
def data(box):
    """A command that runs as root, with a PAM service and a scope of its own."""
    box.write(DATA, "#!/bin/sh\necho the data of $(id --user)\n", mode=0o755)
    box.write("/etc/pam.d/customer-data", DATA_STACK)
    box.write("/etc/sudoers.d/eng", f"Defaults!{DATA} pam_service=customer-data\n{ALL_ROOT}", mode=0o440)
    yield f"sudo --non-interactive {DATA}"
    box.run("rm", "-f", DATA, "/etc/pam.d/customer-data", "/etc/sudoers.d/eng")


@pytest.fixture
def exempt(box, data):
    """In by a rule that lets logins in without asking."""
    box.policy(EXEMPT)
    engineer = Engineer(box).connect()
    engineer.at_shell()
    return engineer


def test_an_exempt_session_gets_a_scope_that_was_approved(box, bob, exempt, data):
    """The refusal says how to ask; whoever asks waits visibly, and is let in to this scope and no other."""
    assert "lockboxctl request --scope data --wait" in exempt.run(data)
    request = ask_inside(exempt, "data")
    shown = show(box, request)
    assert (shown["engineer"], shown["scope"]) == (box.client.fingerprint("alice"), "data")
    bob.ctl("ask", request, "which tables?")
    exempt.terminal.expect_exact("which tables?")
    bob.approve(request, "--for", "1h")
    exempt.terminal.expect_exact("What needs the scope data lets you in now.")
    exempt.at_shell()
    assert "the data of 0" in exempt.run(data)
    assert "no access to eng for the scope root" in exempt.run("sudo --non-interactive id")


def test_a_refused_scope_stays_closed_and_the_session_goes_on(box, bob, exempt, data):
    """Who refused it, and his words, are what the waiting ends with; the exit status says it to scripts."""
    request = ask_inside(exempt, "data", "|| echo status $?")
    bob.deny(request, "--note", "not today")
    exempt.terminal.expect_exact("by bob: not today")
    exempt.terminal.expect_exact("status 1")
    exempt.at_shell()
    assert "no access to eng for the scope data" in exempt.run(data)
    assert len(requests(box, "--active")) == 1


def test_a_scope_asks_for_what_its_rule_asks_for(box, exempt):
    """A ticket by its pattern; and what is denied is denied at once."""
    ask = "[Rule]\nAction=require-approval\n[Request]\nTicketPattern=DATA-[0-9]+\n"
    box.policy(f"[Match]\nScope=data\n{ask}", "10-data.policy")
    box.policy("[Match]\nScope=secret\n[Rule]\nAction=deny\n", "20-secret.policy")
    assert "not a ticket" in exempt.run("lockboxctl request --scope data --ticket CASE-1 --reason why --wait")
    assert "policy denies" in exempt.run("lockboxctl request --scope secret --ticket DATA-1 --reason why --wait")
    assert [request["scope"] for request in requests(box)] == ["login"]


def test_the_end_of_a_scope_ends_the_session_it_was_used_in(box, bob, exempt, data):
    """DESIGN: what is elevated shares its audit session."""
    request = grant_inside(exempt, bob, "data")
    exempt.run(data)
    bob.revoke(request)
    exempt.read_to_end()
    assert show(box, request)["end"]["left"] == 0


# Row 42: programs that elevate


def test_sudo_that_remembers_a_password_asks_for_the_access(box, bob, engineer):
    """Row 42: a timestamp that outlives the login takes the place of the password, and of nothing else."""
    box.write("/etc/sudoers.d/eng", "Defaults:eng timestamp_type=global\neng ALL=(ALL) ALL\n", mode=0o440)
    first = grant_inside(engineer, bob, "root")
    engineer.terminal.sendline("sudo id --user")
    engineer.answer("assword", password("eng"))
    engineer.terminal.expect_exact("\r\n0\r\n")
    bob.revoke(first)
    engineer.read_to_end()
    engineer.connect()
    engineer.at_shell()
    engineer.terminal.sendline("sudo --shell")
    engineer.ask("CASE-3003")  # with no word about a password
    engineer.read_request()
    box.run("rm -rf /etc/sudoers.d/eng /run/sudo/ts/*")


@pytest.fixture
def other_way_to_root(box):
    """A sudo without the gate's lines: the engineer becomes root by what was forgotten."""
    box.run(PAM_SETUP, "remove", "sudo")
    yield
    box.run(PAM_SETUP, "add", "sudo")


RUNUSER = ["runuser --user dora --", "runuser dora --command", "runuser --login dora --command"]


@pytest.mark.parametrize("program", RUNUSER)
def test_root_from_a_gated_session_gets_no_further_by_runuser(box, bob, engineer, sudo_all, other_way_to_root, program):
    """Row 42: runuser asks PAM for a session only; that is where the gate stands."""
    line = f"sudo {program} 'id'"
    assert "no access to eng for the scope root" in engineer.run(line)
    assert status_of(engineer, line) != 0
    grant_inside(engineer, bob, "root")
    assert "(dora)" in engineer.run(line)


def test_an_administrators_runuser_to_a_gated_account_needs_a_rule(box):
    """DESIGN "One login" 7, as with su."""
    line = f"echo {password('admin')} | sudo --stdin --prompt= runuser --user eng -- id --user --name"
    refused = box.client.ssh_run("admin", line, key="admin", check=False)
    assert "needs a rule that names Service=runuser" in refused.stderr and not refused.stdout
    box.policy("[Match]\nService=runuser\n[Rule]\nAction=permit\n")
    assert box.client.ssh_run("admin", line, key="admin").stdout == "eng\n"


@pytest.mark.parametrize("line", ["pkexec id", "pkexec --user dora id"])
def test_pkexec_needs_an_access_even_where_polkit_asks_for_nothing(box, bob, engineer, polkit_yes, line):
    """Row 42."""
    assert "uid=" not in engineer.run(line)
    assert "by polkit-1 refused" in box.wait_event("refused")["MESSAGE"]
    request = grant_inside(engineer, bob, "root")
    assert "uid=" in engineer.run(line)
    assert [session["service"] for session in show(box, request)["sessions"]] == ["polkit-1"]
    bob.revoke(request)
    engineer.read_to_end()


@pytest.fixture
def new_box(trixie_lockbox):
    """A systemd with run0, and a polkit whose agent on a terminal works for who came by ssh."""
    trixie_lockbox.reset()
    yield trixie_lockbox
    trixie_lockbox.close_terminals()


def test_pkexec_with_an_administrators_password_asks_for_an_access(new_box):
    """Row 42: PAM's user is the administrator there, and the gate asks for the engineer, by way of polkit's agent."""
    bob, engineer = Person(new_box), Engineer(new_box)
    engineer.enter(bob)
    engineer.terminal.sendline("pkexec id --user")
    engineer.answer("Password: ", password("admin"))
    engineer.ask("CASE-2002")
    request = engineer.read_request()
    engineer.wait()
    assert show(new_box, request)["account"] == "eng"
    bob.approve(request)
    engineer.terminal.expect(r"AUTHENTICATION COMPLETE.*\r\n\S*0\r\n")


@pytest.fixture
def run0_yes(new_box):
    """Where polkit asks nobody for anything."""
    yield from polkit_says_yes(new_box)


FROM_PID_1 = ["run0 id", "run0 --user=dora id", "systemd-run --quiet --wait --pipe id"]


@pytest.mark.parametrize("line", FROM_PID_1)
def test_pid_1_starts_nothing_for_a_gated_account(new_box, run0_yes, line):
    """Row 42: what PID 1 starts carries no login uid, so that PAM cannot tell who is behind it; polkit can."""
    grant(new_box, Person(new_box), **KEY)
    result = new_box.client.ssh_run("eng", line, key="alice", port=2222, check=False)
    assert result.stdout == ""
    assert "Access denied" in result.stderr


# Row 9: what runs later

OUT = "/tmp/job"
JOB = f"id --user >{OUT}; exec sleep 1002"


def at(box):
    """As `at now`, in the account's name."""
    box.run("at now", user="eng", input=f"{JOB}\n")


def cron(box):
    """A job of cron's that is due at once: what is marked @reboot is, when cron starts on a machine that has booted."""
    box.run("crontab", "-u", "eng", "-", input=f"@reboot {JOB}\n")
    box.run("rm", "-f", "/run/crond.reboot")
    box.restart("cron.service")


JOBS = {"atd": at, "cron": cron}


@pytest.fixture
def jobs(box):
    box.run("rm", "-f", OUT)
    yield JOBS
    box.run(f"crontab -u eng -r; rm -f {OUT} /var/spool/cron/atjobs/*; systemctl restart cron atd", check=False)


def running(box):
    return box.run("pgrep", "--full", "^sleep 1002", check=False).stdout.split()


def refused_by(box, service):
    box.wait_event("refused", lambda entry: f"by {service} refused" in entry["MESSAGE"])
    assert not box.exists(OUT)
    assert not running(box)


@pytest.mark.parametrize("service", JOBS)
def test_a_job_belongs_to_the_access_that_runs(box, bob, engineer, jobs, service):
    """Row 9: it is a session of the access, and ends with it."""
    jobs[service](box)
    wait_for(lambda: running(box), what="the job")
    assert box.read(OUT).strip() == str(box.account("eng").pw_uid)
    (access,) = requests(box, "--active")
    assert service in [session["service"] for session in show(box, access["id"])["sessions"]]
    bob.revoke(access["id"])
    assert show(box, access["id"])["end"]["left"] == 0
    assert not running(box)


@pytest.mark.parametrize("service", JOBS)
def test_a_job_does_not_run_without_an_access(box, bob, jobs, service):
    """Row 9: one that is approved, and that nobody has begun, is none; no job begins it."""
    box.policy("[Rule]\nAction=require-approval\n[Access]\nStarts=login\n")
    request = grant(box, bob, **KEY)
    jobs[service](box)
    refused_by(box, service)
    assert show(box, request)["state"] == "approved"


def test_a_job_is_not_taken_for_an_engineer_who_proved_nothing(box, bob, jobs):
    """Row 9: neither is known by name, which does not make them the same."""
    box.policy("[Rule]\nAction=require-approval\n[Access]\nStarts=login\n")
    engineer = Engineer(box)
    engineer.terminal = box.console_login()
    engineer.terminal.sendline("eng")
    engineer.answer("Password: ", password("eng"))
    engineer.ask()
    request = engineer.read_request()
    engineer.terminal.close()
    bob.approve(request)
    jobs["atd"](box)
    refused_by(box, "atd")
    assert show(box, request)["state"] == "approved"


def test_a_job_that_was_left_behind_is_denied_after_the_end(box, bob, engineer, jobs):
    """Row 9: at's, which the engineer put there himself for later."""
    engineer.run(f"echo '{JOB}' | at 23:59 tomorrow")
    bob.revoke(requests(box, "--active")[0]["id"])
    engineer.read_to_end()
    # its time has come: at keeps it in the file's name
    box.run("cd /var/spool/cron/atjobs && for job in a*; do mv $job ${job%????????}00000000; done")
    box.restart("atd.service")
    refused_by(box, "atd")


def test_a_job_of_one_of_two_engineers_is_nobodys(box, bob, jobs):
    """Row 9: it cannot be told whose it is."""
    box.policy("[Rule]\nAction=require-approval\n[Access]\nExclusive=no\n")
    for key in ("alice", "albert"):
        Engineer(box, key=key).enter(bob)
    jobs["atd"](box)
    refused_by(box, "atd")


def test_a_rule_lets_jobs_run_without_anybody(box, jobs):
    """What they are let in to is an access like any other: it has an end, and what runs under it ends then."""
    box.policy("[Match]\nService=cron atd\n[Rule]\nAction=permit\n[Access]\nDuration=3s\n")
    jobs["atd"](box)
    wait_for(lambda: running(box), what="the job")
    (access,) = requests(box, "--active")
    assert (access["basis"], access["service"]) == ("permit", "atd")
    box.wait_event("ended", LOCKBOX_REQUEST=access["id"])
    assert not running(box)


def test_no_job_of_a_gated_account_runs_without_the_daemon(box, engineer, jobs):
    """Row 39: gated means denied."""
    with faults.stopped(box):
        jobs["atd"](box)
        box.wait_journal(after=box.since, MESSAGE="pam_lockbox(atd:account): eng: refused: lockboxd cannot be reached")
        assert not running(box)


# Who is not gated


def later(box, account, service):
    out = f"{OUT}-{account}-{service}"
    if service == "atd":
        box.run("at now", user=account, input=f"id --user --name >{out}\n")
    else:
        box.run("crontab", "-u", account, "-", input=f"@reboot id --user --name >{out}\n")
        box.run("rm", "-f", "/run/crond.reboot")
        box.restart("cron.service")
    wait_for(lambda: box.exists(out) and box.read(out) == f"{account}\n", what=f"the job of {account} by {service}")
    box.run(f"rm {out}; crontab -u {account} -r", check=False)


def test_an_administrators_ways_are_untouched_without_the_daemon(box, polkit_yes, jobs):
    """DESIGN "One login" 2: who is not gated never meets it, in none of the services."""
    with faults.stopped(box):
        for account in ("admin", "root"):
            for service in JOBS:
                later(box, account, service)
        sudo = f"echo {password('admin')} | sudo --stdin --prompt="
        lines = {
            f"{sudo} id --user --name": "root\n",
            f"echo {password('dora')} | su dora --command 'id --user --name'": "dora\n",
            "pkexec id --user --name": "root\n",
            f"{sudo} runuser --user dora -- id --user --name": "dora\n",
            f"{sudo} runuser --login dora --command 'id --user --name'": "dora\n",
        }
        for line, output in lines.items():
            assert box.client.ssh_run("admin", line, key="admin").stdout == output
    assert requests(box) == []


def test_an_administrators_run0_is_untouched_without_the_daemon(new_box, run0_yes):
    with faults.stopped(new_box):
        for line in FROM_PID_1[::2]:
            assert "uid=0(root)" in new_box.client.ssh_run("admin", line, key="admin").stdout


# pam-setup

VENDOR, MADE = "/usr/lib/pam.d/polkit-1", "/etc/pam.d/polkit-1"


def test_a_vendors_stack_is_gated_and_given_back(box):
    """A service that the host has in /usr/lib/pam.d only: a file in its place, until the lines go."""
    vendor = box.read(VENDOR)
    assert [line for line in box.read(MADE).splitlines() if not line.endswith("# lockbox")] == vendor.splitlines()
    box.append(VENDOR, "# a newer one\n")
    assert "polkit-1: out of place" in box.run(PAM_SETUP, "status", "polkit-1", check=False).stdout
    box.run(PAM_SETUP, "add", "polkit-1")
    assert "# a newer one" in box.read(MADE)
    box.run(PAM_SETUP, "remove", "polkit-1")
    assert not box.exists(MADE)
    box.write(VENDOR, vendor)
    box.run(PAM_SETUP, "add", "polkit-1")
    assert "not gated" not in box.run(PAM_SETUP, "status").stdout
