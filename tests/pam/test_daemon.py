# SPDX-License-Identifier: LGPL-2.1-or-later
"""pam_lockbox.so against the real lockboxd: what really happens to a login, without sshd and systemd around it."""

import base64
import json
import os
import pwd
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from test_pam import BUILD, DENY, DRIVER, EXACT, IGNORE, MODULE, SUCCESS, UNAVAIL, Result

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an approver is another user than the engineer")

ENGINEER, APPROVER, OTHER = "games", "daemon", "bin"  # they are on every Debian
RULE = """
[Rule]
Action=require-approval
[Request]
Ticket=optional
TicketPattern=CASE-[0-9]+
Reason=required
[Approval]
Customer=daemon
[Access]
Duration=4h
"""
KEY = b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(range(32))
PROOF = f"--env=SSH_AUTH_INFO_0=publickey ssh-ed25519 {base64.b64encode(KEY).decode()}"
ANSWERS = ["--say=CASE-7", "--say=disk 3 is dying", "--say=1h"]


def eventually(look):
    """What happens in another process, waited for; it takes milliseconds."""
    deadline = time.monotonic() + 20
    while not (found := look()):
        assert time.monotonic() < deadline, look
        time.sleep(0.005)
    return found


def log_in(user):
    """In a login session of the user's own: decisions are taken from nowhere else."""
    account = pwd.getpwnam(user)
    with open("/proc/self/loginuid", "w", encoding="ascii") as file:
        file.write(str(account.pw_uid))
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


class Host:
    """A lockboxd with folders of its own, logins through the module, and a customer."""

    def __init__(self, directory):
        self.directory, self.process = directory, None
        directory.chmod(0o755)
        for name in "state", "run", "policy", "pam":
            (directory / name).mkdir()
        (directory / "pam/other").write_text("auth required pam_deny.so\n")
        self.control, self.login = directory / "run/control.socket", directory / "run/login.socket"
        self.policy(RULE)

    def policy(self, text):
        (self.directory / "policy/50-test.policy").write_text(text)

    def start(self):
        self.log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen(
            [BUILD / "lockboxd", "--config", self.directory / "none", "--state-directory", self.directory / "state",
             "--runtime-directory", self.directory / "run", "--policy-directory", self.directory / "policy",
             "--no-systemd"], stderr=self.log, stdin=subprocess.DEVNULL)
        eventually(lambda: self.ctl("status", check=False).returncode != 5)

    def end(self, number=signal.SIGTERM):
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None
            self.log.close()

    def ctl(self, *args, user=None, check=True):
        done = subprocess.run([BUILD / "lockboxctl", *args, "--socket", self.control], capture_output=True, text=True,
                              timeout=30, check=False, stdin=subprocess.DEVNULL,
                              preexec_fn=(lambda: log_in(user)) if user else None)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def requests(self, *options):
        return json.loads(self.ctl("list", "--json", *options).stdout)["requests"]

    def approve(self, *args):
        self.ctl("approve", self.requests("--pending")[0]["id"], *args, user=APPROVER)

    def begin(self, *options, args="", service="login", user=ENGINEER):
        """A login that goes on by itself."""
        stack = EXACT.format(module=MODULE, args=f"socket={self.login} users={ENGINEER} {args}")
        (self.directory / "pam" / service).write_text(stack)
        return subprocess.Popen([DRIVER, self.directory / "pam", service, user, *options], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                                stdin=subprocess.DEVNULL)

    def run(self, *options, **more):
        return finish(self.begin(*options, **more))


def finish(process):
    out, err = process.communicate(timeout=60)
    assert not err, err
    result = Result(out)
    result.status = process.returncode
    return result


@pytest.fixture(scope="session")
def audit():
    """Whether the kernel gives login sessions an identity here."""
    try:
        subprocess.run(["true"], preexec_fn=lambda: log_in(APPROVER), check=True)
    except subprocess.SubprocessError:
        pytest.skip("no audit sessions")


@pytest.fixture
def shared():
    """A directory that the approver has a way into; pytest's own are for one user, and closed again by its next run."""
    with tempfile.TemporaryDirectory(prefix="lockbox-") as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@pytest.fixture
def host(shared, audit):
    host = Host(shared)
    host.start()
    yield host
    host.end()


def enter():
    return f"--enter={pwd.getpwnam(ENGINEER).pw_uid}"


def approved(host):
    """An access that runs; its ID."""
    login = host.begin(*ANSWERS, "--say=", "account")
    eventually(lambda: host.requests("--pending"))
    host.approve()
    assert finish(login).code["account"] == SUCCESS
    return host.requests("--active")[0]["id"]


# --- account ---


def test_blocked_until_approved(host):
    login = host.begin(*ANSWERS, "--say=", "account")
    request, = eventually(lambda: host.requests("--pending"))
    assert (request["account"], request["ticket"], request["reason"]) == (ENGINEER, "CASE-7", "disk 3 is dying")
    assert request["duration"] == 3600 and request["engineer"] == "unproven"
    host.approve()
    result = finish(login)
    assert result.code["account"] == SUCCESS
    prompts = ["Ticket: ", "Reason: ", "For how long [4h]: ", "Press Enter to wait: "]
    assert result.of("prompt") == prompts
    assert request["id"] in "".join(result.of("info"))
    assert result.of("log") == [f"6 {ENGINEER}: allowed, request {request['id']}"]


def test_an_access_asks_nothing(host):
    request = approved(host)
    for options in [], ["--mute"]:
        result = host.run(*options, "account")
        assert result.code["account"] == SUCCESS
        assert not result.of("prompt") and request in result.of("log")[0]


def test_denied_with_a_word(host):
    login = host.begin(*ANSWERS, "--say=", "account")
    request, = eventually(lambda: host.requests("--pending"))
    host.ctl("deny", request["id"], "--note", "not today", user=APPROVER)
    result = finish(login)
    assert result.code["account"] == DENY
    assert APPROVER in result.of("error")[0] and "not today" in result.of("error")[0]


@pytest.mark.parametrize("service,proof,asked", [("sshd", [PROOF], False), ("login", [], True)],
                         ids=["proven", "unproven"])
def test_reconnect_picks_the_decision_up(host, service, proof, asked):
    """A proven engineer is shown his request; anyone else finds it by its ticket."""
    again = [] if not asked else ANSWERS

    def log_in_again(*options, **more):
        return host.run(*proof, *again, *options, "account", service=service, **more)

    first = host.run(*proof, *ANSWERS, "--say=", "account", service=service, args="wait=0")
    assert first.code["account"] == DENY
    request, = host.requests("--pending")
    assert request["id"] in first.of("error")[0]

    second = log_in_again("--say=", args="wait=0")
    assert second.code["account"] == DENY and request["id"] in second.of("error")[0]
    assert bool(second.of("prompt")) == asked
    assert [r["id"] for r in host.requests("--all")] == [request["id"]]

    host.approve()
    last = host.run(*proof, "account", service=service)
    assert last.code["account"] == SUCCESS and not last.of("prompt")


def test_invalid_answers_are_asked_again(host):
    login = host.begin("--say=nonsense", "--say=", "--say=1h", *ANSWERS, "--say=", "account")
    eventually(lambda: host.requests("--pending"))
    host.approve()
    result = finish(login)
    assert result.code["account"] == SUCCESS
    assert result.of("prompt").count("Ticket: ") == 2


def test_too_many_invalid_answers(host):
    result = host.run(*["--say="] * 12, "account")
    assert result.code["account"] == DENY
    assert result.of("error") and not host.requests("--all")


def test_nobody_to_ask(host):
    result = host.run("--mute", "account")
    assert result.code["account"] == DENY
    assert result.of("error") and not host.requests("--all")


def test_withdrawn_at_the_prompt(host):
    result = host.run(*ANSWERS, "--say=!withdraw", "account")
    assert result.code["account"] == DENY
    assert [r["state"] for r in host.requests("--all")] == ["withdrawn"]


def test_words_for_the_approver(host):
    login = host.begin(*ANSWERS, "--say=it is urgent", "--say=", "account")
    eventually(lambda: host.requests("--pending") and host.requests()[0].get("messages"))
    assert host.requests()[0]["messages"][0]["text"] == "it is urgent"
    host.approve()
    assert finish(login).code["account"] == SUCCESS


@pytest.mark.parametrize("action,code", [("permit", SUCCESS), ("deny", DENY)])
def test_rules_that_need_nobody(host, action, code):
    host.policy(f"[Rule]\nAction={action}\n")
    host.process.send_signal(signal.SIGHUP)
    eventually(lambda: host.run("--mute", "account").code["account"] == code)
    assert not host.run("account").of("prompt")


def test_proof_comes_from_sshd_only(host):
    """An identity that cannot be understood is refused where sshd says it, and nobody else can say it."""
    garbage = "--env=SSH_AUTH_INFO_0=publickey nonsense AAAA"
    assert "key" in host.run(garbage, *ANSWERS, "account", service="sshd").of("error")[0]
    assert host.run(garbage, *ANSWERS, "account", args="wait=0").code["account"] == DENY
    assert [r["engineer"] for r in host.requests("--pending")] == ["unproven"]


def test_not_gated_with_no_daemon_a_dead_one_and_a_hung_one(host):
    result = [host.run("account", user=OTHER)]
    host.process.send_signal(signal.SIGSTOP)
    result += [host.run("account", user=OTHER)]
    host.end(signal.SIGKILL)
    result += [host.run("account", user=OTHER)]
    assert [r.code["account"] for r in result] == [IGNORE] * 3


# --- session ---


def test_open_and_close(host):
    request = approved(host)
    result = host.run(enter(), "account", "open", "close")
    assert result.code == {"account": SUCCESS, "open": SUCCESS, "close": SUCCESS}
    assert result.of("env") == [f"LOCKBOX_REQUEST={request}"]
    ceiling = int(result.of("data")[0].removeprefix("systemd.runtime_max_sec="))
    assert 24 * 3600 - 100 < ceiling <= 24 * 3600 + 10  # MaxDuration= twice: as long again an approver may hold it
    session, = host.requests("--active")[0]["sessions"]
    assert session["closed_at"]


@pytest.mark.parametrize("before", [[], ["--mute"]])
def test_open_without_an_access(host, before):
    result = host.run(enter(), *before, "open")
    assert result.code.get("open") in (DENY, None)
    assert result.status == -signal.SIGKILL or result.code["open"] == DENY


def test_open_without_an_audit_session(host):
    approved(host)
    result = host.run("open")
    assert result.code.get("open", DENY) == DENY
    assert not host.requests("--active")[0].get("sessions")


def test_revoked_between_account_and_open(host):
    request = approved(host)
    host.ctl("revoke", request, user=APPROVER)
    result = host.run(enter(), "open")
    assert result.code.get("open", DENY) == DENY
    assert host.requests("--all")[0]["state"] == "revoked"


# --- the daemon in trouble ---


def test_killed_in_the_wait(host):
    login = host.begin(*ANSWERS, "--say=", "account")
    eventually(lambda: host.requests("--pending"))
    host.end(signal.SIGKILL)
    result = finish(login)
    assert result.code["account"] == UNAVAIL
    assert result.of("error") == ["The gatekeeper stopped answering; your request is kept: log in again."]

    assert host.run("account").code["account"] == UNAVAIL  # nobody there
    host.start()
    host.approve()
    assert host.run("account").code["account"] == SUCCESS


def test_hung(host):
    approved(host)
    host.process.send_signal(signal.SIGSTOP)
    for stage, code, ms in ("account", UNAVAIL, 5000), ("open", UNAVAIL, 5000), ("close", SUCCESS, 1000):
        result = host.run("--hurry", stage)
        assert result.code[stage] == code
        assert ms - 1000 < int(result.of("poll")[-1]) <= ms


def test_killed_between_the_stages(host):
    approved(host)
    host.end(signal.SIGKILL)
    assert host.run("account").code["account"] == UNAVAIL
    assert host.run("open").code["open"] == UNAVAIL
    assert host.run("close").code["close"] == SUCCESS
    host.start()
    assert host.run("account").code["account"] == SUCCESS


def test_no_good_policy(host):
    host.end()
    host.policy("[Rule]\nAction=perhaps\n")
    host.start()
    result = host.run(*ANSWERS, "account")
    assert result.code["account"] == UNAVAIL
    assert result.of("error") and not result.of("prompt")
    assert host.run("account", user=OTHER).code["account"] == IGNORE
