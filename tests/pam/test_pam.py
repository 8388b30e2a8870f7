# SPDX-License-Identifier: LGPL-2.1-or-later
"""pam_lockbox.so in a PAM stack: each answer and each failure × auth, account, session → the exact PAM code."""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from double import ALLOWED, ASK, DENIED, HANG_UP, SILENCE, WAITING, Double, error, reply

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LOCKBOX_BUILD", TOP / "build"))
MODULE = BUILD / "pam_lockbox.so"
DRIVER = BUILD / "tests/pam/driver"

SUCCESS, IGNORE, DENY, UNAVAIL = "PAM_SUCCESS", "PAM_CRED_EXPIRED", "PAM_PERM_DENIED", "PAM_AUTHINFO_UNAVAIL"

# The module's own code comes out as it is, and PAM_IGNORE as one that nobody else uses here.
EXACT = """
auth    [success=1 ignore=ignore default=die] {module} {args}
auth    [default=die] pam_debug.so auth=cred_expired cred=cred_expired
auth    required pam_permit.so
account [success=1 ignore=ignore default=die] {module} {args}
account [default=die] pam_debug.so acct=cred_expired
account required pam_permit.so
session [success=1 ignore=ignore default=die] {module} {args}
session [default=die] pam_debug.so open_session=cred_expired close_session=cred_expired
session required pam_permit.so
"""

# As it is shipped for sshd, with what Debian has below it; the password is always wrong.
SHIPPED = """
auth    [success=done ignore=ignore default=die] {module} {args}
auth    [success=1 default=ignore] pam_debug.so auth=auth_err cred=success
auth    requisite pam_deny.so
auth    required pam_permit.so
account requisite {module} {args}
account required pam_permit.so
session required {module} {args}
session required pam_permit.so
"""

SUPPORT = ["--account=support:2001:2001", "--account=alice:1001:1001", "--group=lockbox-gated:2100:support"]
PROOF = "--env=SSH_AUTH_INFO_0=publickey ssh-ed25519 AAAA\n"
STAGES = ["account", "open", "close"]


class Result:
    """What the driver printed: codes by stage, and lists of the rest by kind."""

    def __init__(self, text):
        self.text, self.code = text, {}
        self.lines = [line.split(" ", 1) for line in text.splitlines()]
        for kind, rest in self.lines:
            if rest.startswith("PAM_"):
                self.code[kind] = rest

    def of(self, *kinds):
        return [rest for kind, rest in self.lines if kind in kinds]

    @property
    def shown(self):
        """What the person saw; pam_debug, which stands for "ignored", speaks too."""
        return [(kind, rest) for kind, rest in self.lines
                if kind in ("info", "error", "prompt", "SECRET") and not rest.endswith("=cred_expired")]


class Pam:
    def __init__(self, directory):
        self.directory, self.socket = directory, directory / "login.socket"
        (directory / "other").write_text("auth required pam_deny.so\n")

    def run(self, *options, args="", user="support", service="sshd", stack=EXACT, socket=None, environ=None):
        args = f"socket={socket or self.socket} {args}"
        (self.directory / service).write_text(stack.format(module=MODULE, args=args))
        done = subprocess.run([DRIVER, self.directory, service, user, *options], text=True, env=environ,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False,
                              start_new_session=True)  # as sshd does for each connection
        assert done.returncode == 0 and not done.stderr, done.stderr
        return Result(done.stdout)

    def double(self, *script, **options):
        return Double(self.socket, script, **options)


@pytest.fixture
def pam(tmp_path):
    return Pam(tmp_path)


# --- the module as a file ---


def symbols(*options):
    out = subprocess.run(["nm", "-D", *options, MODULE], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines()}


def test_exports_exactly_the_doors():
    assert symbols("--defined-only") == {"pam_sm_authenticate", "pam_sm_setcred", "pam_sm_acct_mgmt",
                                         "pam_sm_open_session", "pam_sm_close_session"}


def test_links_nothing_else():
    out = subprocess.run(["readelf", "-d", MODULE], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", out))
    assert {n for n in needed if "san" not in n} <= {"libpam.so.0", "libjansson.so.4", "libc.so.6"}


def test_uses_no_environment_signals_threads_or_commands():
    forbidden = {"getenv", "secure_getenv", "setenv", "putenv", "environ", "signal", "sigaction", "alarm",
                 "pthread_create", "fork", "vfork", "posix_spawn", "system", "popen", "execve", "getgrouplist"}
    assert not symbols("--undefined-only") & forbidden


# --- who is gated ---

GATED = ["--hurry", "account"]


def is_gated(result):
    """Nobody listens in these tests: a gated login fails, another is not our business."""
    assert result.code["account"] in (UNAVAIL, IGNORE)
    return result.code["account"] == UNAVAIL


@pytest.mark.parametrize("user,args,options,gated", [
    ("support", "", [], True),
    ("alice", "", [], False),
    ("root", "", [], False),
    ("nosuchaccount", "", [], False),
    # membership: the group's list, or the primary group
    ("carol", "", ["--account=carol:1002:2100"], True),
    ("carol", "", ["--account=carol:1002:2101"], False),
    ("alice", "groups=vendors", ["--group=vendors:2200:bob,alice"], True),
    ("alice", "groups=vendors", ["--group=vendors:2200:bob,alicex"], False),
    ("support", "groups=vendors", ["--group=vendors:2200:bob"], False),
    ("alice", "groups=staffers,vendors", ["--group=staffers:2300:", "--group=vendors:2200:alice"], True),
    ("alice", "groups=staffers groups=vendors", ["--group=staffers:2300:", "--group=vendors:2200:alice"], True),
    # a group that does not exist gates nobody, no group gates nobody
    ("support", "groups=nosuchgroup", [], False),
    ("support", "groups=", [], False),
    # by name; the default group stays
    ("alice", "users=alice", [], True),
    ("alice", "users=bob,alice", [], True),
    ("alice", "users=bob users=alice", [], True),
    ("alice", "users=alic,alicex,,", [], False),
    ("support", "users=alice", [], True),
    ("root", "users=root", [], True),
    ("nosuchaccount", "users=nosuchaccount", [], True),
    # however it is spelled
    ("Support", "", ["--account=Support:2001:2001:support"], True),
    ("Alice", "users=alice", ["--account=Alice:1001:1001:alice"], True),
    ("Alice", "users=Alice", ["--account=Alice:1001:1001:alice"], True),
    # large entries
    ("support", "", ["--big=300000"], True),
    ("alice", "", ["--big=300000"], False),
    # the caller behind su and sudo, by name and by audit identity
    ("root", "", ["--item=ruser=support"], True),
    ("root", "", ["--item=ruser=alice"], False),
    ("root", "", ["--loginuid=2001"], True),
    ("alice", "", ["--loginuid=2001", "--item=ruser=root"], True),
    ("alice", "", ["--loginuid=1001"], False),
    ("alice", "", ["--loginuid=4294967295"], False),
    ("alice", "", ["--loginuid=99999"], False),
    ("alice", "", ["--item=ruser=support", "--item=rhost=host.example"], True),
])
def test_gated(pam, user, args, options, gated):
    assert is_gated(pam.run(*SUPPORT, *options, *GATED, user=user, args=args, service="su")) == gated


@pytest.mark.parametrize("options", [["--item=ruser=support"], ["--loginuid=2001"]])
def test_sshd_has_no_caller(pam, options):
    """An sshd that was started from a gated session must not gate everybody."""
    assert not is_gated(pam.run(*SUPPORT, *options, *GATED, user="alice"))


@pytest.mark.parametrize("calls", [["--fail=getpwnam_r", "--fail=getpwuid_r"], ["--fail=getgrnam_r"]],
                         ids=["accounts", "groups"])
@pytest.mark.parametrize("user,options,gated", [
    ("support", [], True),
    ("alice", [], True),
    ("nosuchaccount", [], True),
    ("root", [], False),
    ("root", ["--item=ruser=root"], False),
    ("root", ["--item=ruser=support"], True),
    ("root", ["--item=ruser=alice"], True),  # su can be made to fail by who calls it
    ("root", ["--loginuid=1001"], True),
    ("root", ["--loginuid=0"], False),
])
def test_a_failing_lookup_is_not_no(pam, calls, user, options, gated):
    result = pam.run(*SUPPORT, *options, *calls, *GATED, user=user, service="su")
    assert is_gated(result) == gated


def test_a_failing_lookup_is_named(pam):
    result = pam.run(*SUPPORT, "--fail=getgrnam_r", "account", user="alice")
    assert result.of("log") == ["3 alice: refused: cannot tell whether the account is gated"]
    assert result.of("error") == ["Your account cannot be looked up: ask an administrator of this host."]


@pytest.mark.parametrize("call,options", [("getpwuid_r", ["--loginuid=1001"]), ("open", []), ("read", [])])
def test_a_caller_who_cannot_be_told_is_not_nobody(pam, call, options):
    assert is_gated(pam.run(*SUPPORT, *options, f"--fail={call}", *GATED, user="root", service="su"))


def test_a_lookup_that_fails_still_knows_the_names(pam):
    """users= needs no database; and then it is a login like any other."""
    with pam.double(ALLOWED) as daemon:
        result = pam.run("--fail=getpwnam_r", "--fail=getgrnam_r", "account", args="users=support")
        assert result.code["account"] == SUCCESS
        assert daemon.calls[0]["parameters"]["login"]["account"] == "support"


def test_without_a_user(pam):
    assert is_gated(pam.run("account", user="", service="su"))


def test_not_gated_makes_no_connection(pam):
    with pam.double(DENIED) as daemon:
        result = pam.run(*SUPPORT, PROOF, "auth", "setcred", "account", "open", "close", user="alice")
        assert result.code == dict.fromkeys(["auth", "setcred", "account", "open", "close"], IGNORE)
        assert not result.shown and not result.of("log")
    assert daemon.connections == 0


# --- arguments ---


@pytest.mark.parametrize("bad", ["debug", "user=bob", "wait=", "wait=1d", "wait=-1", "wait=25h", "wait=90 min",
                                 "scope=", "socket=relative", "quietly", "socket=/" + "x" * 108])
def test_unknown_argument(pam, bad):
    """A slip of the pen locks nobody out who is not gated, and lets nobody in who is."""
    with pam.double(ALLOWED) as daemon:
        for stage in STAGES:
            gated = pam.run(*SUPPORT, stage, args=f"[{bad}]")
            assert gated.code[stage] == (SUCCESS if stage == "close" else UNAVAIL)
        other = pam.run(*SUPPORT, *STAGES, args=f"[{bad}]", user="alice")
        assert other.code == dict.fromkeys(STAGES, IGNORE)
        assert f"argument not understood: {bad}" in other.of("log")[0]
    assert daemon.connections == 0


@pytest.mark.parametrize("wait,ms", [("wait=90", 90_000), ("wait=2s", 2_000), ("wait=3min", 180_000),
                                     ("wait=2m", 120_000), ("wait=1h", 3_600_000), ("", 90_000)])
def test_wait_is_understood(pam, wait, ms):
    with pam.double(WAITING, SILENCE):
        result = pam.run(*SUPPORT, "--hurry", "--say=", "account", args=wait, service="login")
        assert ms - 1000 < int(result.of("poll")[-1]) <= ms
        assert result.code["account"] == DENY


# --- auth: a proven key, or nothing ---


@pytest.mark.parametrize("user,service,env,code", [
    ("support", "sshd", PROOF, SUCCESS),
    ("support", "sshd", "--env=SSH_AUTH_INFO_0=password\npublickey ssh-ed25519 AAAA", SUCCESS),
    ("support", "sshd", "--env=SSH_AUTH_INFO_0=password\n", IGNORE),
    ("support", "sshd", "--env=SSH_AUTH_INFO_0=publickeyx ssh-ed25519 AAAA", IGNORE),
    ("support", "sshd", "--env=SSH_AUTH_INFO_0=x publickey ssh-ed25519 AAAA", IGNORE),
    ("support", "sshd", "--env=SSH_AUTH_INFO_0=", IGNORE),
    ("support", "sshd", "--env=OTHER=publickey x", IGNORE),
    ("support", "su", PROOF, IGNORE),
    ("support", "login", PROOF, IGNORE),
    ("alice", "sshd", PROOF, IGNORE),
])
def test_auth(pam, user, service, env, code):
    with pam.double(ALLOWED) as daemon:
        result = pam.run(*SUPPORT, env, "auth", "setcred", user=user, service=service)
        assert result.code == {"auth": code, "setcred": code}
        assert not result.shown
    assert daemon.connections == 0


@pytest.mark.parametrize("options,args", [(["--fail=getgrnam_r"], ""), ([], "nonsense")])
def test_auth_in_trouble(pam, options, args):
    result = pam.run(*SUPPORT, PROOF, *options, "auth", args=args)
    assert result.code["auth"] == UNAVAIL
    assert not result.shown and result.of("log")


@pytest.mark.parametrize("options,args", [(["--fail=getgrnam_r"], ""), ([], "nonsense")])
def test_setcred_never_denies(pam, options, args):
    assert pam.run(*SUPPORT, PROOF, *options, "setcred", args=args).code["setcred"] == IGNORE


def test_auth_reads_no_environment_of_the_process(pam):
    result = pam.run(*SUPPORT, "auth", environ={"SSH_AUTH_INFO_0": "publickey ssh-ed25519 AAAA"})
    assert result.code["auth"] == IGNORE


def test_shipped_stack(pam):
    """A key spares the password; nothing else does. setcred goes the way that auth went, and alone goes through."""
    with pam.double(ALLOWED):
        proven = pam.run(*SUPPORT, PROOF, "auth", "setcred", "account", "open", "close", stack=SHIPPED)
        assert set(proven.code.values()) == {SUCCESS}
        password = pam.run(*SUPPORT, "auth", "account", stack=SHIPPED)
        assert password.code == {"auth": "PAM_AUTH_ERR", "account": SUCCESS}
        other = pam.run(*SUPPORT, PROOF, "auth", stack=SHIPPED, user="alice")
        assert other.code == {"auth": "PAM_AUTH_ERR"}
        for env in [], [PROOF]:  # after a public key alone nobody has called auth
            assert pam.run(*SUPPORT, *env, "setcred", stack=SHIPPED).code == {"setcred": SUCCESS}


# --- account: answers ---


def test_allowed_at_once(pam):
    with pam.double(reply("allowed", request="7F3K-9QXM", message="Access until 18:00.")) as daemon:
        result = pam.run(*SUPPORT, "account")
        assert result.code["account"] == SUCCESS
        assert result.shown == []  # session says it, once
        assert result.of("log") == ["6 support: allowed, request 7F3K-9QXM"]
        assert daemon.methods() == ["Begin"]


def test_denied(pam):
    with pam.double(DENIED):
        result = pam.run(*SUPPORT, "account")
        assert result.code["account"] == DENY
        assert result.shown == [("error", "Request 7F3K-9QXM was denied by bob: not today.")]
        assert result.of("log") == ["5 support: denied, request 7F3K-9QXM"]


def test_denied_without_a_word(pam):
    with pam.double(reply("denied")):
        assert pam.run(*SUPPORT, "account").shown == [("error", "Access is denied.")]


def test_unavailable(pam):
    with pam.double(error("org.lockbox.Login.Unavailable", reason="No policy is in force.")):
        result = pam.run(*SUPPORT, "account", "open")
        assert result.code == {"account": UNAVAIL, "open": UNAVAIL}
        assert result.shown == [("error", "No policy is in force.")] * 2


def test_the_whole_conversation(pam):
    script = [ASK, reply("ask", message="Ticket must look like CASE-1234.", ask=ASK["parameters"]["ask"]), WAITING,
              reply("waiting", message="bob: which disk?", seen=9), ALLOWED]
    with pam.double(*script) as daemon:
        result = pam.run(*SUPPORT, "--say=x", "--say=disk", "--say=", "--say=CASE-1234", "--say=disk 3", "--say=2h",
                         "--say=", "--say=the left one", "account")
        assert result.code["account"] == SUCCESS
        assert result.shown == [
            ("info", "Access needs a reason."), ("prompt", "Ticket: "), ("prompt", "Reason: "),
            ("prompt", "For how long [8h]: "),
            ("info", "Ticket must look like CASE-1234."), ("prompt", "Ticket: "), ("prompt", "Reason: "),
            ("prompt", "For how long [8h]: "),
            ("info", "Request 7F3K-9QXM is pending."), ("prompt", "Press Enter to wait: "),
            ("info", "bob: which disk?"), ("prompt", "Press Enter to wait: ")]
        assert daemon.methods() == ["Begin", "Begin", "Begin", "Wait", "Wait"]
        said = [{k: v for k, v in call["parameters"].items() if k != "login"} for call in daemon.calls]
        assert said == [
            {"silent": False},
            {"ticket": "x", "reason": "disk", "for": "", "silent": False},
            {"ticket": "CASE-1234", "reason": "disk 3", "for": "2h", "silent": False},
            {"request": "7F3K-9QXM", "text": "", "seen": 7},
            {"request": "7F3K-9QXM", "text": "the left one", "seen": 9}]
    assert daemon.connections == 1


def test_only_what_the_rule_wants_is_asked(pam):
    wanted = reply("ask", ask={"ticket": "no", "reason": "required", "duration": ""})
    with pam.double(wanted, ALLOWED) as daemon:
        result = pam.run(*SUPPORT, "--say=disk", "account")
        assert result.shown == [("prompt", "Reason: ")]
        assert "ticket" not in daemon.calls[1]["parameters"]


def test_five_rounds(pam):
    with pam.double(reply("ask", message="Reason is missing.", ask=ASK["parameters"]["ask"])) as daemon:
        result = pam.run(*SUPPORT, *["--say="] * 20, "account")
        assert result.code["account"] == DENY
        assert daemon.methods() == ["Begin"] * 6
        assert len(result.of("prompt")) == 15
        assert result.shown[-1] == ("error", "Reason is missing.")


@pytest.mark.parametrize("first", [ASK, WAITING])
@pytest.mark.parametrize("last,code", [(ALLOWED, SUCCESS), (DENIED, DENY), (ASK, DENY), (WAITING, DENY)])
def test_nobody_to_talk_to(pam, first, last, code):
    with pam.double(first, last) as daemon:
        result = pam.run(*SUPPORT, "--mute", "account")
        assert result.code["account"] == code
        assert [call["parameters"]["silent"] for call in daemon.calls[:2]] == [False, True]
        assert result.of("error") or code == SUCCESS


@pytest.mark.parametrize("said", [0, 1, 2])
def test_talk_breaks_off(pam, said):
    """PAM_CONV_ERR in the middle: decided at once, with what is known."""
    with pam.double(ASK, DENIED) as daemon:
        result = pam.run(*SUPPORT, *["--say=x"] * said, "account")
        assert result.code["account"] == DENY
        assert daemon.calls[1]["parameters"]["silent"] is True


def test_no_echo_off_prompt_ever(pam):
    """In its password method sshd answers those with the password."""
    with pam.double(ASK, WAITING, WAITING, DENIED):
        result = pam.run(*SUPPORT, *["--say=x"] * 9, "account")
        assert result.of("prompt") and not result.of("SECRET")


def test_quiet(pam):
    with pam.double(ASK, WAITING, ALLOWED):
        result = pam.run(*SUPPORT, *["--say=x"] * 9, "account", args="quiet")
        assert {kind for kind, _ in result.shown} == {"prompt"}
    with pam.double(WAITING, reply("waiting", message="The text to sign", seen=7), ALLOWED):  # what was asked for
        result = pam.run(*SUPPORT, "--say=!sign", "--say=", "account", args="quiet")
        assert result.of("info") == ["The text to sign"]
    with pam.double(DENIED):
        assert pam.run(*SUPPORT, "account", args="quiet").of("error")


@pytest.mark.parametrize("typed,sent", [
    ("plain", "plain"),
    ("sch\u00f6n", "sch\u00f6n"),
    ("a\x1b[31mb\x7f\u009bc", "a[31mbc"),
    (b"latin \xe4\xf6", "latin ??"),
    ("x" * 600, "x" * 512),
    ("x" * 511 + "\u00e4" * 50, "x" * 511),
    (b"\x80" * 600, ""),
], ids=["ascii", "utf-8", "controls", "latin", "long", "long utf-8", "halves"])
def test_what_is_typed(pam, typed, sent):
    with pam.double(reply("ask", ask={"ticket": "no", "reason": "required"}), DENIED) as daemon:
        text = typed if isinstance(typed, bytes) else typed.encode()
        pam.run(*SUPPORT, b"--say=" + text, "account")
        assert daemon.calls[1]["parameters"]["reason"] == sent


def test_text_is_cleaned(pam):
    evil = "two\nlines\r\x1b]0;x\x07\u009b1m\x7f\tend"
    with pam.double(reply("denied", request="7F\n3K\x1b", message=evil)):
        result = pam.run(*SUPPORT, "account")
        assert result.shown == [("error", "two\\nlines]0;x1mend")]
        assert result.of("log") == ["5 support: denied, request 7F\\n3K"]
    with pam.double(error("org.lockbox.Login.Unavailable", reason="a\x1bb")):
        assert pam.run(*SUPPORT, "account").of("error") == ["ab"]


# --- what the daemon is told ---


def login_of(pam, stage, *options, **more):
    with pam.double(ALLOWED) as daemon:
        assert pam.run(*SUPPORT, *options, stage, **more).code[stage] == SUCCESS
        return daemon.calls[0]["parameters"]["login"]


@pytest.mark.parametrize("stage", ["account", "open"])
def test_facts(pam, stage):
    login = login_of(pam, stage, PROOF, "--item=rhost=192.0.2.1", "--item=tty=ssh", "--loginuid=2001")
    login.pop("audit_session", None)  # this machine's own
    assert login == {"account": "support", "service": "sshd", "scope": "login", "rhost": "192.0.2.1", "tty": "ssh",
                     "auth_info": "publickey ssh-ed25519 AAAA\n", "loginuid": 2001}


def test_facts_of_su(pam):
    login = login_of(pam, "account", PROOF, "--item=ruser=support", "--item=tty=/dev/pts/1", "--loginuid=2001",
                     user="root", service="su", args="scope=root")
    login.pop("audit_session", None)
    assert login == {"account": "support", "user": "root", "ruser": "support", "service": "su", "scope": "root",
                     "tty": "/dev/pts/1", "loginuid": 2001}


def test_root_is_a_login_uid_and_unset_is_none(pam):
    assert login_of(pam, "account", "--loginuid=0")["loginuid"] == 0
    assert "loginuid" not in login_of(pam, "account", "--loginuid=4294967295")


def test_account_is_spelled_as_the_database_does(pam):
    login = login_of(pam, "account", "--account=Support:2001:2001:support", user="Support")
    assert (login["account"], login["user"]) == ("support", "Support")


# --- account: the wait ---


def test_wait_ends_with_later(pam):
    with pam.double(WAITING, SILENCE):
        result = pam.run(*SUPPORT, "--hurry", "--say=", "account", service="login")
        assert result.code["account"] == DENY
        assert result.shown[-1] == ("error", "Request 7F3K-9QXM is still pending.")
        assert result.of("log") == ["5 support: denied: still pending, request 7F3K-9QXM"]


def test_no_wait_at_all(pam):
    with pam.double(WAITING) as daemon:
        result = pam.run(*SUPPORT, "--say=", "account", args="wait=0")
        assert result.code["account"] == DENY
        assert result.shown == [("error", "Request 7F3K-9QXM is still pending.")]
        assert daemon.methods() == ["Begin"]


def test_time_runs_on_while_the_daemon_chatters(pam):
    """Each answer brings the prompt back, but none of them buys time."""
    with pam.double(WAITING) as daemon:
        result = pam.run(*SUPPORT, *["--say="] * 40, "--tick=1000", "account", args="wait=10", service="login")
        assert result.code["account"] == DENY
        assert result.shown[-1] == ("error", "Request 7F3K-9QXM is still pending.")
        assert daemon.methods() == ["Begin"] + ["Wait"] * 5


def test_a_decision_made_while_the_prompt_was_left_alone(pam):
    with pam.double(WAITING, ALLOWED) as daemon:
        result = pam.run(*SUPPORT, "--say=!withdraw", "--tick=60000", "account", service="login")
        assert result.code["account"] == SUCCESS
        assert daemon.calls[1]["parameters"]["text"] == "!withdraw"


@pytest.mark.parametrize("service,later,left", [
    ("sshd", 0, 90), ("sshd", 30, 60), ("sshd", 80, 10),
    ("sshd", 700, 90),  # too old to be this connection's process
    ("login", 30, 90),
])
def test_time_counts_from_the_connection(pam, service, later, left):
    """sshd's grace time has been running since the leader of this session began."""
    with pam.double(WAITING, SILENCE):
        result = pam.run(*SUPPORT, f"--later={later * 1000}", "--hurry", "--say=", "account", service=service)
        assert result.code["account"] == DENY
        assert (left - 5) * 1000 < int(result.of("poll")[0]) <= left * 1000


def test_too_late_to_wait(pam):
    with pam.double(WAITING) as daemon:
        result = pam.run(*SUPPORT, "--later=95000", "--say=", "account")
        assert result.code["account"] == DENY
        assert daemon.methods() == ["Begin"]


# --- failures ---

NONSENSE = {
    "not JSON": b"hello\0",
    "nothing": b"\0",
    "a list": b"[]\0",
    "duplicate keys": b'{"parameters":{"verdict":"denied","verdict":"allowed"}}\0',
    "unknown verdict": reply("yes"),
    "no verdict": {"parameters": {}},
    "verdict of another type": {"parameters": {"verdict": 3}},
    "unknown member": reply("allowed", root=True),
    "wrong type": reply("allowed", request=7),
    "negative": reply("allowed", remaining=-1),
    "goes on": {**reply("allowed"), "continues": True},
    "a call": {"method": "a.B", "parameters": {"verdict": "allowed"}},
    "allowed beside an error": {**reply("allowed"), "error": "a.E"},
    "an error of another's": error("org.varlink.service.MethodNotFound", method="x"),
    "a NUL in the text": b'{"parameters":{"verdict":"allowed","message":"a\\u0000b"}}\0',
    "not UTF-8": b'{"parameters":{"verdict":"allowed","message":"\xc3"}}\0',
    "deep": b'{"parameters":' * 20 + b"{}" + b"}" * 20 + b"\0",
    "huge number": b'{"parameters":{"verdict":"allowed","remaining":99999999999999999999}}\0',
    "long text": reply("allowed", message="x" * 70000),
    "waiting for nothing": reply("waiting"),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense(pam, what):
    with pam.double(NONSENSE[what]):
        for stage in STAGES:
            result = pam.run(*SUPPORT, "--say=x", stage)
            assert result.code[stage] == (SUCCESS if stage == "close" else UNAVAIL)
            assert stage == "close" or "not understood" in result.of("error")[0]


def test_oversize(pam):
    with pam.double(b"{" + b" " * (5 * 1024 * 1024)):
        result = pam.run(*SUPPORT, "account", "open")
        assert result.code == {"account": UNAVAIL, "open": UNAVAIL}


@pytest.mark.parametrize("cut", [1, 10, 40, -1])
@pytest.mark.parametrize("stage", ["account", "open"])
def test_answer_cut_off(pam, stage, cut):
    whole = json.dumps(ALLOWED).encode() + b"\0"
    with pam.double([whole[:cut], HANG_UP]):
        assert pam.run(*SUPPORT, stage).code[stage] == UNAVAIL


@pytest.mark.parametrize("script,text", [
    ([HANG_UP], "stopped answering: log in"),
    ([ASK, HANG_UP], "stopped answering: log in"),
    ([WAITING, HANG_UP], "your request is kept: log in"),
    ([WAITING, WAITING, HANG_UP], "your request is kept: log in"),
])
def test_hang_up(pam, script, text):
    with pam.double(*script):
        result = pam.run(*SUPPORT, *["--say=x"] * 9, "account")
        assert result.code["account"] == UNAVAIL
        assert text in result.shown[-1][1]


@pytest.mark.parametrize("stage", ["open", "close"])
def test_hang_up_in_session(pam, stage):
    with pam.double(HANG_UP):
        assert pam.run(*SUPPORT, stage).code[stage] == {"open": UNAVAIL, "close": SUCCESS}[stage]


@pytest.mark.parametrize("stage,code,ms", [("account", UNAVAIL, 5000), ("open", UNAVAIL, 5000),
                                           ("close", SUCCESS, 1000)])
def test_silence(pam, stage, code, ms):
    with pam.double(SILENCE):
        result = pam.run(*SUPPORT, "--hurry", stage)
        assert result.code[stage] == code
        assert ms - 1000 < int(result.of("poll")[0]) <= ms


def test_silence_after_the_questions(pam):
    with pam.double(ASK, SILENCE):
        result = pam.run(*SUPPORT, "--hurry", *["--say=x"] * 3, "account")
        assert result.code["account"] == UNAVAIL
        assert 4000 < int(result.of("poll")[-1]) <= 5000


@pytest.mark.parametrize("stage,code", [("account", UNAVAIL), ("open", UNAVAIL), ("close", SUCCESS)])
def test_no_daemon(pam, stage, code):
    result = pam.run(*SUPPORT, stage)
    assert result.code[stage] == code
    if code == UNAVAIL:
        assert result.shown == [("error", "The gatekeeper cannot be reached: ask an administrator of this host.")]
        assert result.of("log") == ["3 support: refused: lockboxd cannot be reached"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to be the impostor")
@pytest.mark.parametrize("stage,code", [("account", UNAVAIL), ("open", UNAVAIL), ("close", SUCCESS)])
def test_impostor(pam, stage, code):
    with tempfile.TemporaryDirectory() as directory:  # pytest's own are closed to others
        os.chmod(directory, 0o777)
        pam.socket = Path(directory) / "login.socket"
        with pam.double(ALLOWED, uid=65534) as daemon:
            assert pam.run(*SUPPORT, stage).code[stage] == code
        assert daemon.connections == 1 and not daemon.calls


def test_hostile_environment(pam):
    with pam.double(DENIED):
        hostile = {"LOCKBOX_SOCKET": "/tmp/x", "LANG": "xx", "TMPDIR": "/nonexistent", "JANSSON_SEED": "1", "HOME": "/"}
        assert pam.run(*SUPPORT, "account", environ=hostile).code["account"] == DENY


# --- session ---


def test_open(pam):
    with pam.double(reply("allowed", request="7F3K-9QXM", remaining=3600)) as daemon:
        result = pam.run(*SUPPORT, "open")
        assert result.code["open"] == SUCCESS
        assert result.of("data") == ["systemd.runtime_max_sec=3610"]
        assert result.of("env") == ["LOCKBOX_REQUEST=7F3K-9QXM"]
        assert daemon.methods() == ["Open"]


@pytest.mark.parametrize("remaining,ceiling", [(0, 10), (9223372036854775807, 9223372036854775817)])
def test_ceiling(pam, remaining, ceiling):
    with pam.double(reply("allowed", remaining=remaining)):
        assert pam.run(*SUPPORT, "open").of("data") == [f"systemd.runtime_max_sec={ceiling}"]


@pytest.mark.parametrize("endless", [reply("allowed"), reply("allowed", remaining=None)])
def test_no_ceiling_without_an_end(pam, endless):
    with pam.double(endless):
        result = pam.run(*SUPPORT, "open")
        assert result.code["open"] == SUCCESS and not result.of("data") and not result.of("env")


def test_no_session_without_its_ceiling(pam):
    with pam.double(reply("allowed", remaining=5)):
        assert pam.run(*SUPPORT, "--fail=pam_set_data", "open").code["open"] == UNAVAIL


@pytest.mark.parametrize("verdict", [DENIED, ASK, WAITING])
def test_open_refused(pam, verdict):
    with pam.double(verdict):
        result = pam.run(*SUPPORT, "open")
        assert result.code["open"] == DENY
        assert result.of("error") and not result.of("data", "env", "prompt")


@pytest.mark.parametrize("answer, code", [(ALLOWED, SUCCESS), (DENIED, DENY)])
def test_pkexec_is_told_nothing(pam, answer, code):
    """It aborts over any word that is said while it opens a session."""
    with pam.double(answer):
        result = pam.run(*SUPPORT, "open", service="polkit-1")
        assert result.code["open"] == code
        assert not result.shown


def test_close(pam):
    with pam.double({"parameters": {}}) as daemon:
        assert pam.run(*SUPPORT, "close").code["close"] == SUCCESS
        assert daemon.methods() == ["Close"]


# --- every call that can fail, failing ---


@pytest.mark.parametrize("onward", [[], ["--onward"]], ids=["once", "from then on"])
@pytest.mark.parametrize("stage", ["account", "open"])
@pytest.mark.parametrize("script", [[DENIED], [ASK, WAITING, WAITING, DENIED]], ids=["short", "long"])
def test_no_failure_lets_in(pam, script, stage, onward):
    """The daemon never says "allowed" here; no failure of anything may take its place."""
    with cycling(pam, script):
        tries = sweep(pam, stage, onward)
    assert tries[-1][1:] == ["nothing", DENY]
    assert all(code not in (SUCCESS, IGNORE) for _, _, code in tries), tries


@pytest.mark.parametrize("user", ["support", "alice"])
@pytest.mark.parametrize("stage", ["account", "open"])
def test_failures_where_it_is_allowed(pam, stage, user):
    """The way in is found when nothing fails, and a failure is an error, never "not gated"."""
    with cycling(pam, [ALLOWED]):
        tries = sweep(pam, stage, [], user)
    good = SUCCESS if user == "support" else IGNORE
    assert tries[-1][1:] == ["nothing", good]
    assert all(code not in (SUCCESS, IGNORE) or code == good for _, _, code in tries), tries
    assert any(code == UNAVAIL for _, _, code in tries)


def cycling(pam, script):
    """Each connection plays the script from its beginning."""
    return pam.double(*script, cycle=True)


def sweep(pam, stage, onward, user="support"):
    result = pam.run(*SUPPORT, "--sweep", *onward, *["--say=x"] * 20, stage, user=user, service="su")
    tries = [line.split() for line in result.text.splitlines()]
    asan = "libasan" in subprocess.run(["readelf", "-d", MODULE], capture_output=True, text=True, check=True).stdout
    assert len(tries) > (5 if asan or user == "alice" else 20)
    return tries
