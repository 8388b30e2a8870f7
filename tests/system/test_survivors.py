# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that an engineer may try so that something of his outlives the access, and that nothing does.

LOCKBOX_REPEAT says how often each way is tried (1; `make check-long`: 20).
"""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from appliance import PATIENCE, wait_for
from client import HOME, USER
from people import BATCH, command_of, descendants, requests, show, stat_of

REPEAT = int(os.environ.get("LOCKBOX_REPEAT", "1"))
RULES = """[Match]
Account=eng
Scope=login root

[Rule]
Action=permit
"""

QUIET = "</dev/null >/dev/null 2>&1"
UNIT = "~/.config/systemd/user/late"
NO_SIGNAL = "perl -e '$SIG{$_} = \"IGNORE\" for keys %SIG; sleep 1000 while 1'"
FORKS = "perl -e '$SIG{CHLD} = \"IGNORE\"; while (1) { fork; select undef, undef, undef, 0.2 }'"
# The child is traced by its parent (ptrace is system call 101 of x86_64, 117 of others) and then stops.
TRACED = (
    "perl -e 'if (!fork) { syscall(`uname -m` =~ /x86/ ? 101 : 117, 0, 0, 0, 0); kill 19, $$ } sleep 1000 while 1'"
)
OTHER_CGROUP = "sh -c 'mkdir -p /sys/fs/cgroup/other; echo $$ >/sys/fs/cgroup/other/cgroup.procs; exec sleep 1000'"

# What is typed in a session that ends then; it leaves something behind.
LEFT = {
    "nohup": f"nohup sleep 1000 {QUIET} &",
    "setsid": f"setsid -f sleep 1000 {QUIET}",
    "double fork": f"( ( trap '' HUP TERM INT; exec -a '[kworker/0:1]' sleep 1000 ) & ) {QUIET}",
    "disown": f"sleep 1000 {QUIET} & disown",
    "tmux": "tmux new-session -d 'sleep 1000'",
    "terminal": f"setsid -f script -qc 'sleep 1000' /dev/null {QUIET}",
    "user service": "systemd-run --user --quiet sleep 1000",
    "user scope": f"setsid -f systemd-run --user --scope --quiet sleep 1000 {QUIET}",
    "linger": "sudo -n loginctl enable-linger eng; systemd-run --user --quiet sleep 1000",
    "socket": f"mkdir -p ~/.config/systemd/user; echo '[Socket]\nListenStream=%t/late' >{UNIT}.socket;"
    f" echo '[Service]\nExecStart=sleep 1000' >{UNIT}.service;"
    f" systemctl --user daemon-reload; systemctl --user start late.socket; nc -NU $XDG_RUNTIME_DIR/late {QUIET} & sleep 0.2",
    "at": "echo 'sleep 1000' | at now 2>/dev/null",
    "cron": "echo '@reboot sleep 1000' | crontab -",
    "deaf": f"{NO_SIGNAL} {QUIET} &",
    "stopped": f"setsid -f sh -c 'kill -STOP $$' {QUIET}",
    "traced": f"{TRACED} {QUIET} &",
    "other cgroup": f"sudo -n setsid -f {OTHER_CGROUP} {QUIET}",
    "root": f"sudo -n setsid -f sleep 1000 {QUIET}",
}


# What has to happen on the machine for it to run.
MEANWHILE = {"cron": "rm -f /run/crond.reboot; systemctl restart cron.service; crontab -u eng -r"}


def owned(pid, uid):
    """Whether a living process is the account's, or was started in a login of his; None if it is gone."""
    try:
        if stat_of(pid)[1][0] in "ZX":
            return None
        status = Path(f"/proc/{pid}/status").read_text()
        real = int(status.split("\nUid:")[1].split()[0])
        return uid in (real, int(Path(f"/proc/{pid}/loginuid").read_text()))
    except (FileNotFoundError, ProcessLookupError):
        return None


def processes(box, account="eng"):
    """Every living process of the account or of a login of his, wherever it is, seen from outside of the machine."""
    uid = box.account(account).pw_uid
    return [pid for pid in descendants(box.leader) if owned(pid, uid)]


@pytest.fixture
def free(box):
    """eng is let in without a request, and may become root."""
    box.policy(RULES)
    box.write("/etc/sudoers.d/eng", "eng ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    yield box
    box.run("rm", "-f", "/etc/sudoers.d/eng")


def active(box):
    """The access, and there is one alone: what sudo opened shares the session."""
    return next(r["id"] for r in requests(box, "--active") if r["scope"] == "login")


def revoke_all(box):
    """Ends whatever the account has; returns the receipts once they are written."""
    ended = [r["id"] for r in requests(box, "--active")]
    for request in ended:
        box.ctl("revoke", request, check=False)  # the end of one may have been the end of another
    return [wait_for(lambda: receipt(box, request), what=f"the receipt of {request}", timeout=30) for request in ended]


def receipt(box, request):
    shown = show(box, request)
    return shown["end"] if shown["state"] in ("revoked", "ended", "completed") else None


def assert_nothing_left(box, receipts):
    assert processes(box) == []
    assert all(end["left"] == 0 for end in receipts)
    assert not box.exists("/var/lib/systemd/linger/eng")


@pytest.mark.parametrize("way", LEFT)
def test_left_behind(free, way):
    """What is left by a session that has ended goes with the access (rows 6, 7, 8 and 9)."""
    for _ in range(REPEAT):
        free.client.ssh_run("eng", LEFT[way], **BATCH)
        if way in MEANWHILE:
            free.run(MEANWHILE[way])
        wait_for(lambda: processes(free), what="what was left behind")
        assert_nothing_left(free, revoke_all(free))


def test_forks_without_end(free):
    """5,000 processes that go on forking are gone, and another login is answered meanwhile (row 10)."""
    for _ in range(REPEAT):
        free.client.ssh_run("eng", f"ulimit -u 5000; {FORKS} {QUIET} &", **BATCH)
        wait_for(lambda: int(free.run("pgrep", "-cu", "eng").stdout) > 4900, what="the processes", timeout=60, interval=0.2)
        with free.popen("lockboxctl", "revoke", active(free)) as ending:
            free.client.ssh_run("admin", "true", key="admin")
            assert ending.wait(30) == 0
        assert_nothing_left(free, revoke_all(free))


def open_connection(box, *command, flags=(), **options):
    argv = box.client.ssh_argv("eng", *command, flags=flags, batch=True, **BATCH, **options)
    return box.popen(*argv, user=USER, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def is_listening(box, port):
    return str(port) in box.run("ss", "-Hltn", f"sport = :{port}").stdout


def test_tunnels(free):
    """A connection that runs nothing but a forward is ended with the access (row 3)."""
    for _ in range(REPEAT):
        with open_connection(free, flags=("-N", "-L", "7001:127.0.0.1:22")) as tunnel:
            wait_for(lambda: is_listening(free, 7001), what="the tunnel")
            assert free.run("nc -N 127.0.0.1 7001 </dev/null").stdout.startswith("SSH-2.0")
            assert_nothing_left(free, revoke_all(free))
            assert tunnel.wait(10) == 255
        assert not is_listening(free, 7001)


def test_shared_connections(free):
    """A master connection that was there before the end opens no channel after it (row 4)."""
    path = f"{HOME}/.ssh/master"
    shared = {**BATCH, "extra": (f"ControlPath={path}",)}
    for _ in range(REPEAT):
        with open_connection(free, flags=("-N", "-M"), extra=(f"ControlPath={path}",)) as master:
            wait_for(lambda: free.exists(path), what="the master")
            free.client.ssh_run("eng", "true", **shared)
            assert_nothing_left(free, revoke_all(free))
            assert master.wait(10) == 255
        assert not free.exists(path)


def test_file_transfers(free):
    """An sftp that is open ends in the middle (row 5)."""
    for _ in range(REPEAT):
        argv = ["sftp", *free.client.options(**BATCH, batch=True), "eng@127.0.0.1"]
        with free.popen(*argv, user=USER, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sftp:
            wait_for(lambda: any("sftp" in command_of(pid) for pid in processes(free)), what="the sftp server")
            assert_nothing_left(free, revoke_all(free))
            sftp.communicate(b"ls\n", timeout=PATIENCE)
            assert sftp.returncode != 0


# A file system that never answers: who asks it waits where no signal reaches him, until its server is gone.
NO_ANSWER = r"""
use strict; use warnings;
sysopen(my $fuse, "/dev/fuse", 2) or die "/dev/fuse: $!";
my ($from, $to, $type, $options) = ("none\0", "/mnt\0", "fuse\0", "fd=" . fileno($fuse) . ",rootmode=40000,user_id=0,group_id=0,allow_other\0");
syscall(`uname -m` =~ /x86/ ? 165 : 40, $from, $to, $type, 0, $options) == 0 or die "mount: $!";
sub reply { my ($unique, $data) = @_; syswrite($fuse, pack("LlQ", 16 + length $data, 0, $unique) . $data) or die "reply: $!" }
$| = 1;
while (sysread($fuse, my $in, 1 << 18)) {
    my (undef, $opcode, $unique) = unpack("LLQ", $in);
    if ($opcode == 26) { reply($unique, pack("LLLLSSLLSS", 7, 31, 0, 0, 0, 0, 4096, 0, 0, 0) . "\0" x 28); print "ready\n" }
    if ($opcode == 3) { reply($unique, pack("QLL", 0, 0, 0) . pack("QQQQQQLLLLLLLLLL", 1, 0, 0, 0, 0, 0, 0, 0, 0, 040755, 2, 0, 0, 0, 0, 0)) }
    print "asked\n" if $opcode == 1;
}
"""


def test_beyond_the_reach_of_signals(free):
    """What hangs in the kernel is told of at alert priority; the access stays "ending" until it wakes, and is gone then."""
    if not free.exists("/dev/fuse"):
        free.run("mknod", "/dev/fuse", "c", "10", "229")
    free.write("/root/no-answer", NO_ANSWER)
    for _ in range(REPEAT):
        with free.popen("perl", "/root/no-answer", stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout.readline() == "ready\n"
            free.client.ssh_run("eng", f"stat /mnt/any {QUIET} &", **BATCH)
            assert server.stdout.readline() == "asked\n"
            request = active(free)
            free.ctl("revoke", request)
            stuck = free.wait_event("stuck", LOCKBOX_REQUEST=request)
            assert stuck["PRIORITY"] == "1"
            assert show(free, request)["state"] == "ending"
            assert len(processes(free)) == 1
            server.kill()
        end = wait_for(lambda: receipt(free, request), what="the receipt")
        assert end["left"] == 0 and processes(free) == []
        free.run("umount", "-l", "/mnt", check=False)
