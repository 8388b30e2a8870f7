# SPDX-License-Identifier: LGPL-2.1-or-later
"""su and sudo, into and out of gated accounts: what is elevated is asked for by itself, and ends with its login."""

import pexpect
import pytest
from appliance import wait_for
from lockbox import password
from people import SHELL, Engineer, Person, requests, show

NOPASSWD = "eng ALL=(ALL) NOPASSWD: ALL\n"
TARGETPW = "Defaults:eng targetpw\neng ALL=(ALL) ALL\n"
SU_RULE = "[Match]\nService=su\n[Rule]\nAction=permit\n"


@pytest.fixture
def bob(box):
    return Person(box)


@pytest.fixture
def sudoers(box):
    yield lambda text: box.write("/etc/sudoers.d/eng", text, mode=0o440)
    box.run("rm", "-f", "/etc/sudoers.d/eng")


@pytest.fixture
def engineer(box, bob):
    """One who is in, with an access for logins."""
    engineer = Engineer(box)
    engineer.enter(bob)
    return engineer


def elevate(engineer, line, secret=None):
    """Runs the line and answers the gate's questions; returns the new request's ID, with the wait begun."""
    engineer.terminal.sendline(line)
    if secret:
        engineer.answer("assword", secret)
    engineer.ask("CASE-2002")
    request = engineer.read_request()
    engineer.wait()
    return request


def at_root(engineer):
    engineer.terminal.expect(r"root@\S+# $")


def test_sudo_without_a_password_needs_an_approval_of_its_own(box, bob, engineer, sudoers):
    """Row 42; account is asked where sudo skips auth."""
    sudoers(NOPASSWD)
    request = elevate(engineer, "sudo --shell")
    assert (show(box, request)["scope"], show(box, request)["state"]) == ("root", "pending")
    bob.deny(request)
    engineer.at_shell()
    assert engineer.run("id --user").strip() != "0"


def test_sudo_with_the_targets_password_is_the_callers(box, bob, engineer, sudoers):
    """Row 42: PAM_USER is root here, and the gate asks for the engineer all the same."""
    sudoers(TARGETPW)
    box.run("chpasswd", input="root:root-secret\n")
    request = elevate(engineer, "sudo --shell", "root-secret")
    assert show(box, request)["account"] == "eng"
    bob.approve(request)
    at_root(engineer)


def test_an_approved_sudo_is_not_asked_again(box, bob, engineer, sudoers):
    """What is running already is found: one request, two sudos."""
    sudoers(NOPASSWD)
    bob.approve(elevate(engineer, "sudo --shell"))
    at_root(engineer)
    engineer.terminal.sendline("exit")
    engineer.at_shell()
    assert engineer.run("sudo id --user").split()[-1] == "0"
    assert len(requests(box)) == 2


def test_the_login_ends_with_what_was_elevated_in_it(box, bob, engineer, sudoers):
    """DESIGN: what is elevated shares the audit session, so the login session ends, too."""
    sudoers(NOPASSWD)
    request = elevate(engineer, "sudo --shell")
    bob.approve(request)
    at_root(engineer)
    bob.revoke(request)
    engineer.read_to_end()
    box.wait_event("revoked", LOCKBOX_REQUEST=request)
    assert show(box, request)["end"]["left"] == 0


# Row 42: out of a gated session, to an account that is not gated

WAYS_OUT = {
    "su": f"echo {password('dora')} | su dora --command 'id --user --name'",
    "su - with a low limit of files": f"echo {password('dora')} | (ulimit -n 12; su - dora -c 'id --user --name')",
    "sudo": "sudo --user dora id --user --name",
    "sudo su": "sudo su dora --command 'id --user --name'",
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_nobody_leaves_a_gated_session_by_changing_the_account(box, engineer, sudoers, way):
    """Row 42, row 48."""
    sudoers(NOPASSWD)
    ssh = box.client.ssh_run("eng", WAYS_OUT[way], key="alice", port=2222, check=False)
    assert ssh.returncode != 0
    assert ssh.stdout == ""
    assert "lockbox" in ssh.stderr or "approved request" in ssh.stderr or "Permission denied" in ssh.stderr


# su to a gated account


def su_to_eng(box):
    """The administrator in his own login, with `su eng` begun and the password given."""
    admin = Person(box, "admin").log_in()
    admin.sendline("su eng")
    admin.expect("Password: ")
    admin.sendline(password("eng"))
    return admin


def test_su_to_a_gated_account_needs_a_rule_of_its_own(box):
    """DESIGN "One login" 7."""
    admin = su_to_eng(box)
    admin.expect("needs a rule that names Service=su")
    admin.expect(SHELL)


def test_an_administrators_su_ends_and_he_stays(box):
    """Row 45: with him stay sshd, and daemons that are in no login session."""
    box.policy(SU_RULE)
    box.run("systemd-run --quiet --unit=other --uid=eng sleep 1000")
    sshd = box.systemctl("show", "--property=MainPID", "--value", "ssh.service").stdout
    admin = su_to_eng(box)
    admin.expect(r"eng@\S+\$ $")
    admin.sendline("(setsid sleep 1001 &)")
    admin.expect(SHELL)
    request = requests(box)[0]["id"]
    box.ctl("revoke", request)
    box.wait_event("revoked", LOCKBOX_REQUEST=request)
    admin.expect(r"admin@\S+\$ $")
    admin.sendline("echo still $((40 + 2))")
    admin.expect("still 42")
    assert box.run("pgrep --full '^sleep 1001'", check=False).stdout == ""
    assert box.systemctl("is-active", "other.service").stdout == "active\n"
    assert box.systemctl("show", "--property=MainPID", "--value", "ssh.service").stdout == sshd
    box.systemctl("stop", "other.service")


# Row 18: between account and session

HOLD = "/usr/local/sbin/hold"
HOLD_SCRIPT = """\
#!/bin/sh
[ "$PAM_USER $PAM_TYPE" != "eng open_session" ] || { touch /run/held; cat /run/go-on; }
"""


@pytest.fixture
def held(box):
    """A line in sshd's stack that stops between account and session until `go_on` is called."""
    stack = box.read("/etc/pam.d/sshd")
    lines = stack.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("session") and "pam_lockbox" in line)
    box.write(HOLD, HOLD_SCRIPT, mode=0o755)
    box.run("rm -f /run/held /run/go-on; mkfifo /run/go-on")
    box.write("/etc/pam.d/sshd", "\n".join([*lines[:at], f"session required pam_exec.so {HOLD}", *lines[at:], ""]))
    yield lambda: box.run("echo >/run/go-on")
    box.write("/etc/pam.d/sshd", stack)
    box.run("rm", "-f", "/run/held", "/run/go-on")


def test_an_access_revoked_between_account_and_session_opens_nothing(box, bob, held):
    """Row 18."""
    engineer = Engineer(box)
    request = engineer.request()
    engineer.wait()
    bob.approve(request)
    wait_for(lambda: box.exists("/run/held"), what="the session stage")
    bob.revoke(request)
    held()
    engineer.terminal.expect(pexpect.EOF)
    assert "$ " not in engineer.terminal.before
    box.wait_event("refused")
    assert not show(box, request).get("sessions")
