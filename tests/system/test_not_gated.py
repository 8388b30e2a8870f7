# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who is not gated never depends on lockbox: whatever state it is in, he logs in as if it were not there."""

import time

import faults
import pexpect
import pytest
from appliance import wait_for
from lockbox import PAM_SETUP, password
from people import Engineer

DELAY_MAX = 1.0  # seconds; what a hung daemon costs who asks it is five


def by_key(box):
    box.client.ssh_run("admin", "true", key="admin")


def by_password(box):
    ssh = box.client.ssh("admin", "true", methods="password")
    ssh.expect("password: ")
    ssh.sendline(password("admin"))
    ssh.expect(pexpect.EOF)
    ssh.close()
    assert ssh.exitstatus == 0


def by_sudo(box):
    line = f"echo {password('admin')} | sudo --stdin --reset-timestamp --prompt= id --user"
    assert box.client.ssh_run("admin", line, key="admin").stdout == "0\n"


def by_su(box):
    line = f"echo {password('dora')} | su dora --command 'id --user --name'"
    assert box.client.ssh_run("admin", line, key="admin").stdout == "dora\n"


def by_console(box):
    console = box.console_login()
    console.sendline("admin")
    console.expect("Password: ")
    console.sendline(password("admin"))
    console.expect(r"admin@\S+\$ ")
    console.close()


def by_runuser(box):
    assert box.run("runuser --user dora -- id --user --name").stdout == "dora\n"


def by_job(box):
    """at's; cron asks in the same way."""
    box.run("rm -f /tmp/job")
    box.run("at now", user="admin", input="touch /tmp/job\n")
    wait_for(lambda: box.exists("/tmp/job"), what="the job")


WAYS = [by_key, by_password, by_sudo, by_su, by_console, by_runuser, by_job]


def durations(box):
    """How long each way takes, in seconds."""
    taken = {}
    for way in WAYS:
        start = time.monotonic()
        way(box)
        taken[way] = time.monotonic() - start
    return taken


@pytest.fixture(scope="module")
def usual(bookworm_lockbox):
    """How long each way takes on a machine without our lines in its PAM stacks."""
    bookworm_lockbox.run(PAM_SETUP, "remove")
    yield durations(bookworm_lockbox)
    bookworm_lockbox.run(PAM_SETUP, "add")


@pytest.fixture
def gated_again(bookworm_lockbox, usual, box):
    """The lines are back for each test, after they were taken out for `usual`."""
    box.run(PAM_SETUP, "add")
    return box


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.__name__)
def test_whatever_is_wrong_with_the_daemon_nobody_else_is_touched(gated_again, usual, fault):
    """Row 39 (others: untouched), and DESIGN "One login" 2."""
    with fault(gated_again):
        taken = durations(gated_again)
    late = {way.__name__: taken[way] - usual[way] for way in WAYS if taken[way] - usual[way] > DELAY_MAX}
    assert not late


@pytest.fixture
def counted(gated_again):
    """In place of the daemon: a socket of which systemd counts the connections."""
    box = gated_again
    with faults.stopped(box):
        box.run("systemd-run", "--quiet", "--unit=counted", f"--socket-property=ListenStream={faults.LOGIN_SOCKET}",
                "--socket-property=Accept=yes", "--socket-property=RemoveOnStop=yes", "/bin/true")
        yield lambda: int(box.systemctl("show", "--property=NAccepted", "--value", "counted.socket").stdout)
        box.systemctl("stop", "counted.socket")


def test_no_connection_is_made_for_who_is_not_gated(gated_again, counted):
    """DESIGN "One login" 2."""
    durations(gated_again)
    assert counted() == 0
    Engineer(gated_again).connect().read_to_end()
    assert counted() > 0


# Row 48: it cannot be said who is gated.


@pytest.fixture
def no_groups(gated_again):
    """A host whose group database does not answer."""
    box = gated_again
    box.run("cp -a /etc/nsswitch.conf /etc/nsswitch.conf.whole; sed -i 's/^group:.*/group: absent/' /etc/nsswitch.conf")
    box.run("mkdir -p /root/.ssh; cp /home/admin/.ssh/authorized_keys /root/.ssh/authorized_keys")
    yield box
    box.run("mv /etc/nsswitch.conf.whole /etc/nsswitch.conf; rm -r /root/.ssh")


@pytest.mark.parametrize("account, key", [("admin", "admin"), ("eng", "alice")])
def test_a_failing_group_lookup_is_not_a_way_in(no_groups, account, key):
    """Row 48."""
    result = no_groups.client.ssh_run(account, "true", key=key, port=22 if account == "admin" else 2222, check=False)
    assert result.returncode == 255
    entries = no_groups.journal(after=no_groups.since, SYSLOG_IDENTIFIER="sshd")
    assert any("cannot tell whether" in entry["MESSAGE"] for entry in entries)


def test_root_himself_gets_in_where_groups_cannot_be_looked_up(no_groups):
    """Row 48 (uid 0 still in)."""
    assert no_groups.client.ssh_run("root", "id --user", key="admin").stdout == "0\n"
