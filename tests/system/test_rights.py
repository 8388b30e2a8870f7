# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may do what, on both sockets, by the real peer: the table in DESIGN, and every way round it that we know."""

import json
import subprocess

import faults
import pytest
from people import Engineer, Person, grant, requests, show

CONTROL, LOGIN = "/run/lockbox/control.socket", "/run/lockbox/login.socket"
OK, REFUSED, NO_REQUEST, NOT_PERMITTED, NO_DAEMON = 0, 1, 3, 4, 5
ROOT_NAMED = "[Rule]\nAction=require-approval\n[Approval]\nCustomer=root @lockbox-approvers\n"


@pytest.fixture
def pending(box):
    """The ID of a request of eng's that waits for a decision."""
    return Engineer(box).request()


def call(box, socket, user, method, **parameters):
    """One Varlink call by a process of this user that is in no login session: the error's last word, or the reply."""
    message = json.dumps({"method": method, "parameters": parameters}) + "\0"
    result = box.run("nc", "-N", "-U", socket, user=user, input=message, check=False)
    if result.returncode != 0 or not result.stdout:
        return "closed"
    reply = json.loads(result.stdout.rstrip("\0"))
    return reply["error"].rsplit(".", 1)[1] if "error" in reply else reply["parameters"]


# Row 20: every method, for each kind of peer. "ok" is any reply that is not an error; a list's length is what he sees.

PEOPLE = ["root", "eng", "bob", "dora", "admin"]
NO, NONE = "NotPermitted", "NoSuchRequest"
CONTROL_TABLE = {
    "org.varlink.service.GetInfo": ["ok"] * 5,
    "org.varlink.service.GetInterfaceDescription": ["ok"] * 5,
    "org.lockbox.Access.List": [1, 0, 1, 1, NO],
    "org.lockbox.Access.Get": ["ok", NONE, "ok", "ok", NO],
    "org.lockbox.Access.Sessions": [0, 0, 0, 0, NO],
    "org.lockbox.Audit.Events": ["all", "none", "some", "all", NO],
    "org.lockbox.Access.Status": ["ok", "ok", "ok", "ok", NO],
    "org.lockbox.Access.Approve": [NO, NONE, NO, NO, NO],
    "org.lockbox.Access.Deny": [NO, NONE, NO, NO, NO],
    "org.lockbox.Access.Withdraw": [NO, NONE, NO, NO, NO],
    "org.lockbox.Access.Done": ["NotPossible", NONE, NO, NO, NO],
    "org.lockbox.Access.Revoke": ["NotPossible", NONE, NO, NO, NO],
    "org.lockbox.Login.Begin": ["PermissionDenied"] * 5,
    "org.lockbox.Login.Wait": ["PermissionDenied"] * 5,
    "org.lockbox.Login.Open": ["PermissionDenied"] * 5,
    "org.lockbox.Login.Close": ["PermissionDenied"] * 5,
    "org.lockbox.Access.Request": [NO, "ok", NO, NO, NO],
}
PARAMETERS = {"GetInterfaceDescription": {"interface": "org.lockbox.Access"}, "Wait": {"request": "0000-0000"},
              "Request": {"reason": "the disk is full"}}
ABOUT_ONE = ["Get", "Approve", "Deny", "Withdraw", "Done", "Revoke"]


def summary(box, reply):
    """A reply in the words of the table."""
    if isinstance(reply, str):
        return reply
    for name in ("requests", "sessions"):
        if isinstance(reply.get(name), list):
            return len(reply[name])
    if isinstance(reply.get("events"), list):
        seen, there = len(reply["events"]), box.status()["events"]
        return {0: "none", there: "all"}.get(seen, "some")
    return "ok"


def test_control_socket(box, pending):
    """Row 20, row 49 (these peers are in no login session)."""
    seen = {}
    for method in CONTROL_TABLE:
        name = method.rsplit(".", 1)[1]
        parameters = {"id": pending} if name in ABOUT_ONE else PARAMETERS.get(name, {})
        seen[method] = [summary(box, call(box, CONTROL, user, method, **parameters)) for user in PEOPLE]
    assert seen == CONTROL_TABLE
    assert show(box, pending)["state"] == "pending"


def test_login_socket_is_for_root_alone(box):
    """Row 20."""
    assert call(box, LOGIN, "root", "org.varlink.service.GetInfo")["product"] == "lockboxd"
    assert {call(box, LOGIN, user, "org.varlink.service.GetInfo") for user in PEOPLE[1:]} == {"closed"}


def test_the_peers_uid_counts_where_the_sockets_mode_does_not(box):
    """Row 20: a login socket that was opened to all by mistake."""
    box.run("chmod", "0666", LOGIN)
    assert call(box, LOGIN, "admin", "org.varlink.service.GetInfo") == "closed"
    box.run("chmod", "0600", LOGIN)


# Approvers


def test_an_approver_decides_from_a_login_session(box, pending):
    """DESIGN "Who may do what"; exit status 0, and 1 for what is over."""
    assert Person(box, "carol").approve(pending).returncode == OK
    assert Person(box, "bob").deny(pending, check=False).returncode == REFUSED


def test_an_auditor_reads_and_decides_nothing(box, pending):
    dora = Person(box, "dora")
    assert dora.ctl("show", pending).returncode == OK
    for verb in (dora.approve, dora.deny, dora.revoke):
        assert verb(pending, check=False).returncode == NOT_PERMITTED
    assert show(box, pending)["state"] == "pending"


def test_somebody_else_does_not_even_see_it(box, pending):
    """Row 20."""
    admin = Person(box, "admin")
    assert admin.ctl("list", "--all", check=False).returncode == NOT_PERMITTED
    for verb in ("show", "approve", "deny", "revoke", "withdraw", "done"):
        assert admin.ctl(verb, pending, check=False).returncode == NOT_PERMITTED


def test_who_becomes_an_approver_after_the_request_gains_nothing(box, pending):
    """PRODUCT: role assignments made too late are not recognised."""
    box.run("gpasswd", "--add", "admin", "lockbox-approvers")
    try:
        assert Person(box, "admin").approve(pending, check=False).returncode == NO_REQUEST
    finally:
        box.run("gpasswd", "--delete", "admin", "lockbox-approvers")


def test_who_is_no_approver_any_more_decides_nothing_from_then_on(box, pending):
    box.run("gpasswd", "--delete", "carol", "lockbox-approvers")
    try:
        assert Person(box, "carol").approve(pending, check=False).returncode == NOT_PERMITTED
    finally:
        box.run("gpasswd", "--add", "carol", "lockbox-approvers")
    assert show(box, pending)["state"] == "pending"


@pytest.mark.parametrize("fault", [faults.stopped, faults.dead], ids=lambda fault: fault.__name__)
def test_exit_status_without_a_daemon(box, fault):
    with fault(box):
        assert Person(box).ctl("list", check=False).returncode == NO_DAEMON


# root


@pytest.fixture
def root(box):
    """root with a login of his own."""
    box.run("install -D --mode=0600 /home/admin/.ssh/authorized_keys /root/.ssh/authorized_keys")
    yield lambda *arguments: box.client.ssh_run("root", "lockboxctl", *arguments, key="admin", check=False).returncode
    box.run("rm", "-r", "/root/.ssh")


def test_root_decides_nothing_where_he_is_not_named(box, pending, root):
    assert root("approve", pending) == NOT_PERMITTED
    assert root("show", pending) == OK
    assert show(box, pending)["state"] == "pending"


def test_root_decides_where_he_is_named(box, root):
    box.policy(ROOT_NAMED)
    assert root("approve", Engineer(box).request()) == OK


def test_root_may_end_what_others_approved(box, root):
    request = grant(box, Person(box))
    assert root("revoke", request) == OK
    assert show(box, request)["end"]["by"] == "root"


def by_systemd_run(box, line):
    box.run("systemd-run", "--quiet", "--wait", "sh", "-c", line)


def by_at(box, line):
    box.systemctl("start", "atd.service")
    box.run("at", "now", input=line + "\n")


def by_cron(box, line):
    box.write("/etc/cron.d/decide", f"@reboot root {line}\n")
    box.systemctl("stop", "cron.service")
    box.run("rm -f /run/crond.reboot /var/run/crond.reboot")
    box.systemctl("start", "cron.service")


def by_su(box, line):
    box.run("su", "root", "--command", line)


@pytest.mark.parametrize("way", [by_systemd_run, by_at, by_cron, by_su], ids=lambda way: way.__name__)
def test_root_decides_from_a_login_session_only(box, way):
    """Row 49."""
    box.policy(ROOT_NAMED)
    request = Engineer(box).request()
    box.run("rm -f /run/status; mkfifo /run/status")
    reader = box.popen("timeout", "20", "cat", "/run/status", stdout=-1, text=True)
    way(box, f"lockboxctl approve {request} >/run/words 2>&1; echo $? >/run/status")
    status = reader.communicate()[0].strip()
    box.run("rm", "-f", "/run/status", "/etc/cron.d/decide")
    assert (status, show(box, request)["state"]) == (str(NOT_PERMITTED), "pending"), box.read("/run/words")


# The engineer himself


@pytest.fixture
def both(box):
    """An engineer's account that is among the approvers, too."""
    box.run("gpasswd", "--add", "eng", "lockbox-approvers")
    yield Engineer(box)
    box.run("gpasswd", "--delete", "eng", "lockbox-approvers")


def own_request(engineer):
    """A further request of an engineer who is in, which he can see; returns its ID."""
    engineer.run("lockboxctl request --reason 'more of it' --scope more")
    return [request["id"] for request in requests(engineer.box) if request["scope"] == "more"][0]


def test_an_engineer_who_is_an_approver_does_not_decide_about_himself(box, both):
    """Row 15."""
    both.enter(Person(box))
    request = own_request(both)
    assert f"status {NOT_PERMITTED}" in both.run(f"lockboxctl approve {request}; echo status $?")
    assert show(box, request)["state"] == "pending"


def test_an_engineer_who_became_root_decides_nothing(box):
    """Row 15, row 49: a root shell inside a gated session stays inside it."""
    box.policy("[Match]\nScope=root\n[Rule]\nAction=permit\n", name="10-root.policy")
    box.policy(ROOT_NAMED)
    box.write("/etc/sudoers.d/eng", "eng ALL=(ALL) NOPASSWD: ALL\n")
    engineer = Engineer(box)
    engineer.enter(Person(box))
    request = own_request(engineer)
    for become in ("sudo", "sudo sudo --user bob", "sudo runuser -u bob --", "sudo env SUDO_USER=bob"):
        output = engineer.run(f"{become} lockboxctl approve {request}; echo status $?")
        assert f"status {NOT_PERMITTED}" in output, become
    box.run("rm", "/etc/sudoers.d/eng")
    assert show(box, request)["state"] == "pending"


# Row 21: a pid that comes again


def test_a_process_with_the_pid_of_a_leader_is_not_taken_for_him(box):
    """Row 21: after a restart the daemon knows leaders by pid and start time."""
    bob = Person(box)
    engineer = Engineer(box)
    request = engineer.enter(bob)
    pid = show(box, request)["sessions"][0]["pid"]
    with faults.dead(box):
        engineer.terminal.close(force=True)
        box.run(f"until ! test -e /proc/{pid}; do :; done")
        namesake = start_as(box, pid)
    assert box.read(f"/proc/{pid}/comm") == "sleep\n"
    assert show(box, request)["sessions"][0]["closed_at"]
    bob.revoke(request)
    box.wait_event("revoked", LOCKBOX_REQUEST=request)
    assert box.read(f"/proc/{pid}/comm") == "sleep\n"
    box.run("kill", "-KILL", pid)
    namesake.wait()


def start_as(box, pid):
    """A `sleep` with this pid: the kernel is told which one came last. Tried again if somebody else was quicker."""
    script = (f"until echo {pid - 1} >/proc/sys/kernel/ns_last_pid; sleep 1000 & test $! = {pid}; do kill $!; done; "
              "echo there; wait")
    process = subprocess.Popen(["nsenter", "--target", str(box.leader), "--pid", "sh", "-c", script],
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "there\n"
    return process


# Rows 22 and 23: connections that break off, and many of them


def test_a_decision_that_breaks_off_is_none(box, pending):
    """Row 22: at any byte."""
    message = json.dumps({"method": "org.lockbox.Access.Approve", "parameters": {"id": pending}})
    send = f"printf %.${{n}}s \"$text\" | nc -N -U {CONTROL}"
    script = f"text='{message}'; for n in $(seq 0 5 {len(message)}); do {send}; done"
    box.client.ssh_run("bob", script, key="bob")
    assert show(box, pending)["state"] == "pending"
    assert Person(box).approve(pending).returncode == OK


def test_a_thousand_idle_connections_keep_nobody_out(box):
    """Row 23: a login is answered in time, root and others still connect."""
    idle = f"for i in $(seq 1000); do nc -d -U {CONTROL} & done; echo there; wait"
    with box.popen("sh", "-c", idle, user="admin", stdout=-1, text=True) as crowd:
        assert crowd.stdout.readline() == "there\n"
        request = Engineer(box).request()
        assert Person(box).approve(request).returncode == OK
        assert box.status()["connections"] < 100
        box.run("pkill -KILL -u admin nc")
