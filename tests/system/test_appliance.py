# SPDX-License-Identifier: LGPL-2.1-or-later
"""Facts about sshd, PAM, logind and cgroups that lockbox leans on. None of these tests needs lockbox.

If one fails on a new release of Debian, a design decision has lost its ground there.
"""

import contextlib

import pexpect
import pytest
from appliance import wait_for

UNSET = "4294967295"
NOTE = "/usr/local/sbin/pam-note"
NOTES = "/run/pam-notes"

# One line per call of the stack: the stage, what sshd says about the proofs so far (each ended by ";"), and the session
# leader of the process that runs the module: its pid, command line and parent. pam_exec gives its child a session of
# its own, so the module's process is the child's parent.
NOTE_SCRIPT = f"""\
#!/bin/sh
exec >>{NOTES}
info=$(printf %s "$SSH_AUTH_INFO_0" | tr '\\n' ';')
leader=$(sed 's/.*) //' /proc/$PPID/stat | cut -d' ' -f4)
echo "$PAM_TYPE|$info|$leader|$(tr '\\0' ' ' </proc/$leader/cmdline)|$(cut -d' ' -f4 /proc/$leader/stat)"
"""

ALICE = "Alice"


@pytest.fixture
def login(appliance):
    """An account with a password and Alice's key."""
    appliance.add_user("plain", "plain-secret")
    appliance.client.authorize("plain", ALICE)
    return appliance


@pytest.fixture
def noted(login):
    """sshd with a note taken at each PAM stage, and the methods that gated accounts have for the account `plain`."""
    stack = login.read("/etc/pam.d/sshd")
    changed = insert_line(stack, f"auth optional pam_exec.so quiet {NOTE}", "@include common-auth")
    changed = insert_line(changed, f"account optional pam_exec.so quiet {NOTE}", "account")
    changed = insert_line(changed, f"session optional pam_exec.so quiet {NOTE}", "session")
    login.write(NOTE, NOTE_SCRIPT, mode=0o755)
    login.write("/etc/pam.d/sshd", changed)
    login.run("rm", "-f", NOTES)
    yield login
    login.write("/etc/pam.d/sshd", stack)


@contextlib.contextmanager
def sshd_settings(machine, text):
    path = "/etc/ssh/sshd_config.d/10-test.conf"
    machine.write(path, text)
    machine.restart("ssh.service")
    yield
    machine.run("rm", path)
    machine.restart("ssh.service")


def insert_line(text, line, before):
    """The text with the line put before the first of its lines that starts with the words of `before`."""
    lines = text.splitlines()
    words = before.split()
    at = next(i for i, old in enumerate(lines) if old.split()[: len(words)] == words)
    return "\n".join([*lines[:at], line, *lines[at:]]) + "\n"


def notes(machine):
    """stage -> (auth info, pid of the session leader, its command line, its parent)"""
    found = {}
    for line in machine.read(NOTES).splitlines():
        stage, info, leader, command, parent = line.split("|")
        found[stage] = (info, int(leader), command, int(parent))
    return found


def listener(machine):
    return int(machine.systemctl("show", "--property=MainPID", "--value", "ssh.service").stdout)


def test_each_login_has_an_audit_session_id_of_its_own(login):
    ids = [login.client.ssh_run("plain", "cat /proc/self/sessionid", key=ALICE).stdout for _ in range(2)]
    assert UNSET not in ids
    assert ids[0] != ids[1]


def test_loginuid_is_the_account(login):
    result = login.client.ssh_run("plain", "cat /proc/self/loginuid", key=ALICE)
    assert int(result.stdout) == login.account("plain").pw_uid


def test_commands_of_the_tests_are_in_no_session(appliance):
    result = appliance.run("cat /proc/self/sessionid; echo; cat /proc/self/cgroup")
    session, *groups = result.stdout.splitlines()
    assert session == UNSET
    assert "0::/appliance.scope" in groups


def test_public_key_skips_auth_and_runs_account_and_session(noted):
    noted.client.ssh_run("plain", "true", key=ALICE)
    wait_for(lambda: "close_session" in notes(noted), what="the session to close")
    assert set(notes(noted)) == {"account", "open_session", "close_session"}


def test_a_refusal_in_account_refuses_a_public_key(login):
    stack = login.read("/etc/pam.d/sshd")
    login.write("/etc/pam.d/sshd", insert_line(stack, "account requisite pam_deny.so", "account"))
    try:
        assert login.client.ssh_run("plain", "true", key=ALICE, check=False).returncode == 255
    finally:
        login.write("/etc/pam.d/sshd", stack)


def test_public_key_alone_shows_the_key_in_session_only(noted):
    noted.client.ssh_run("plain", "true", key=ALICE)
    seen = notes(noted)
    key = " ".join(noted.client.public_key(ALICE).split()[:2])
    assert seen["account"][0] == ""
    assert seen["open_session"][0] == f"publickey {key};"


def test_public_key_then_keyboard_interactive_shows_the_key_in_every_stage(noted):
    settings = """\
KbdInteractiveAuthentication yes
Match User plain
    AuthenticationMethods publickey,keyboard-interactive
"""
    with sshd_settings(noted, settings):
        ssh = noted.client.ssh("plain", "true", key=ALICE)
        ssh.expect("Password: ")
        ssh.sendline("plain-secret")
        ssh.expect(pexpect.EOF)
    seen = notes(noted)
    key = " ".join(noted.client.public_key(ALICE).split()[:2])
    assert seen["auth"][0] == f"publickey {key};"
    assert seen["account"][0] == f"publickey {key};"
    assert seen["open_session"][0] == f"publickey {key};keyboard-interactive/pam;"


def test_a_certificate_is_shown_whole(noted):
    noted.client.certificate(ALICE, "alice@vendor.example", ["plain"])
    noted.client.ssh_run("plain", "true", key=ALICE, certificate=ALICE)
    certificate = noted.read(f"/home/client/certificates/{ALICE}-cert.pub")
    kind, blob = certificate.split()[:2]
    assert kind == "ssh-ed25519-cert-v01@openssh.com"
    assert notes(noted)["open_session"][0] == f"publickey {kind} {blob};"


@pytest.mark.parametrize("method", ["publickey", "password", "keyboard-interactive"])
def test_the_session_leader_in_pam_is_the_connection(noted, method):
    """Its start time serves as the connection's start: it must be the connection's own sshd, never the listener."""
    with sshd_settings(noted, "KbdInteractiveAuthentication yes\n"):
        ssh = noted.client.ssh("plain", "true", key=ALICE if method == "publickey" else None, methods=method)
        if method != "publickey":
            ssh.expect("(?i)password: ")
            ssh.sendline("plain-secret")
        ssh.expect(pexpect.EOF)
        for stage, (_, leader, command, parent) in notes(noted).items():
            assert leader != listener(noted), stage
            assert command.startswith("sshd"), stage
            assert parent == listener(noted), stage


def test_cgroup_kill_ends_a_session(login):
    ssh = login.client.ssh("plain", "cat /proc/self/cgroup; exec sleep 1000", key=ALICE)
    ssh.expect(r"0::(/user\.slice/\S+/session-\S+\.scope)")
    scope = f"/sys/fs/cgroup{ssh.match.group(1)}"
    login.run(f"echo 1 >{scope}/cgroup.kill")
    ssh.expect(pexpect.EOF)
    wait_for(lambda: not login.exists(scope), what="the scope to be gone")


def test_a_user_scope_keeps_the_audit_session_id(login):
    scope = "systemd-run --user --scope --quiet cat /proc/self/sessionid /proc/self/cgroup"
    lines = login.client.ssh_run("plain", f"cat /proc/self/sessionid; echo; {scope}", key=ALICE).stdout.split()
    assert lines[0] != UNSET
    assert lines[1].startswith(lines[0])
    assert "/user@" in lines[-1]
