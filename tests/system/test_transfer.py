# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes through sshd without a shell: inside the access it works, outside it is refused, at the end it dies."""

import shlex

import pytest
from appliance import wait_for
from client import HOME, USER
from people import BATCH, KEY, Engineer, Person, grant, show

ADDRESS = "127.0.0.1"
NOT_YET = "There is no approved request for eng yet."

# Each copies a file to the gated account, with the options of an ssh command line.
COPY = {
    "scp": "scp {options} file eng@127.0.0.1:copy",
    "scp -O": "scp -O {options} file eng@127.0.0.1:copy",
    "sftp": "echo 'put file copy' | sftp -b - {options} eng@127.0.0.1",
    "rsync": "rsync -e {remote_shell} file eng@127.0.0.1:copy",
    "exec": "ssh {options} eng@127.0.0.1 'cat >copy' <file",
    "subsystem": "ssh {options} -s eng@127.0.0.1 sftp </dev/null",
}


@pytest.fixture
def bob(box):
    box.write(f"{HOME}/file", "contents\n", owner=USER)
    box.run("rm", "-f", "/home/eng/copy")
    return Person(box)


def copy(box, command, port):
    options = {"key": "alice", "port": port, "batch": True}
    words = {"options": shlex.join(box.client.options(**options)),
             "remote_shell": shlex.quote(box.client.remote_shell(**options))}
    return box.run(f"cd {HOME} && " + COPY[command].format(**words), user=USER, check=False)


@pytest.mark.parametrize("command", COPY)
def test_copying(box, bob, command):
    """Through the batch door, without a terminal: refused before and after, silent and complete inside (row 5)."""
    refused = copy(box, command, 2222)
    assert refused.returncode != 0 and NOT_YET in refused.stderr
    assert not box.exists("/home/eng/copy")
    request = grant(box, bob)
    allowed = copy(box, command, 2222)
    assert allowed.returncode == 0, allowed.stderr
    assert command == "subsystem" or box.read("/home/eng/copy") == "contents\n"
    bob.revoke(request)
    assert copy(box, command, 2222).returncode != 0


def test_a_person_copies_at_the_first_door(box, bob):
    """At the door for people scp asks nothing either while the access runs; BatchMode refuses there by itself."""
    grant(box, bob)
    options = shlex.join(box.client.options(key="alice"))
    terminal = box.spawn(f"cd {HOME} && scp {options} file eng@{ADDRESS}:copy && echo co'pied'", user=USER)
    terminal.expect("copied")
    assert box.read("/home/eng/copy") == "contents\n"
    assert copy(box, "scp", 22).returncode != 0


@pytest.mark.parametrize("command", [["sleep", "7002"], ["-s", "sftp"]], ids=["exec", "subsystem"])
def test_what_runs_dies_with_the_access(box, bob, command):
    """A command and a file transfer that run when the access ends are killed like a shell (row 5)."""
    request = grant(box, bob)
    flags = ["-s"] if command[0] == "-s" else []
    eng = Engineer(box, **BATCH).connect(*command[len(flags):], flags=flags)
    pattern = "sftp-server" if flags else "sleep 7002"
    wait_for(lambda: running(box, pattern), what=pattern)
    bob.revoke(request)
    assert not running(box, pattern)
    eng.read_to_end()
    assert eng.status() == 255


def running(box, pattern):
    return box.run("pgrep", "-u", "eng", "-f", pattern, check=False).stdout.split()


def test_a_tunnel_dies_with_the_access(box, bob):
    """`ssh -N -L` has no shell and no channel of PAM's; still it needs the access and ends with it (row 3)."""
    refused = Engineer(box, **BATCH).connect(flags=["-N", "-L", "2301:127.0.0.1:22"])
    assert NOT_YET in refused.read_to_end()
    request = grant(box, bob)
    tunnel = Engineer(box, **BATCH).connect(flags=["-N", "-L", "2301:127.0.0.1:22"])
    wait_for(lambda: banner(box, 2301), what="the tunnel")
    held = box.spawn("bash -c 'exec 3<>/dev/tcp/127.0.0.1/2301; cat <&3; echo ga\"ne\"'")
    held.expect("SSH-2.0")
    bob.revoke(request)
    assert running(box, "sshd") == []
    tunnel.read_to_end()
    held.expect("gane")
    assert not banner(box, 2301)


def banner(box, port):
    line = f"exec 3<>/dev/tcp/127.0.0.1/{port} && head -c 4 <&3"
    return box.run("timeout", "2", "bash", "-c", line, check=False).stdout == "SSH-"


def test_a_multiplexed_channel_after_the_end(box, bob):
    """A second channel of a connection never meets PAM: at the end the connection goes with all of them (row 4)."""
    request = grant(box, bob)
    path = f"ControlPath={HOME}/.ssh/mux"
    master = Engineer(box, **KEY).connect(extra=["ControlMaster=yes", path])
    master.at_shell()
    extra = {"extra": ["ControlMaster=no", path], "key": "alice", "port": 2222}
    assert "uid=" in box.client.ssh_run("eng", "id", **extra).stdout
    channel = Engineer(box, **BATCH).connect("sleep", "7003", extra=extra["extra"])
    wait_for(lambda: running(box, "sleep 7003"), what="the channel's command")
    bob.revoke(request)
    assert running(box, ".") == []
    master.read_to_end()
    channel.read_to_end()
    again = box.client.ssh_run("eng", "id", check=False, **extra)
    assert again.returncode == 255 and "uid=" not in again.stdout


def test_a_batch_of_commands(box, bob):
    """As ansible does it: many connections one after the other, none asks, each is a session of the one access."""
    request = grant(box, bob)
    for i in range(5):
        assert box.client.ssh_run("eng", f"echo {i}", key="alice", port=2222).stdout == f"{i}\n"
    box.wait_event("closed", LOCKBOX_REQUEST=request)
    assert len(show(box, request)["sessions"]) == 5


def test_jump_through_the_box(box, bob):
    """ProxyJump through a gated account: the jump needs the access, and ends with it."""
    jump = ["ssh", *box.client.options(key="alice", port=2222, batch=True), "-W", "127.0.0.1:22", f"eng@{ADDRESS}"]
    far = {"key": "admin", "extra": [f"ProxyCommand={shlex.join(jump)}"]}
    assert box.client.ssh_run("admin", "id", check=False, **far).returncode == 255
    request = grant(box, bob)
    eng = Engineer(box, "admin", **far).connect()
    eng.at_shell()
    assert "admin" in eng.run("id -un")
    bob.revoke(request)
    eng.read_to_end()
    assert box.client.ssh_run("admin", "id", check=False, **far).returncode == 255
