# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report of what was changed on the host between the begin and the end of an access."""

import json
import platform

import pytest
from appliance import wait_for
from people import KEY, Engineer, Person, grant, requests, show

RULE = "[Rule]\nAction=require-approval\n"
ROOT_RULE = "[Match]\nScope=root\n[Rule]\nAction=permit\n"
NOPASSWD = "eng ALL=(ALL) NOPASSWD: ALL\n"
MARK = "/etc/cron.d/left-by-a-test"

# Every unit of lockbox-inspect's takes these settings as well.
DROP_IN = "/etc/systemd/system/lockbox-inspect-.service.d/test.conf"

SETXATTR = {"x86_64": 188, "aarch64": 5}[platform.machine()]

# cap_net_raw+ep, as setcap(8) writes it.
CAPABILITY = r"\x01\x00\x00\x02\x00\x20" + r"\x00" * 14

LEAVE = rf"""
set -e
groupadd wheelers
useradd mallory
echo admin:changed | chpasswd
echo 'mallory ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/90-mallory
cat /home/client/keys/left.pub >>/home/carol/.ssh/authorized_keys
echo 'auth sufficient pam_permit.so' >>/etc/pam.d/chsh
echo 'PermitRootLogin yes' >/etc/ssh/sshd_config.d/99-left.conf
printf '[Service]\nExecStart=/bin/true\n' >/etc/systemd/system/left.service
printf '[Timer]\nOnCalendar=daily\n' >/etc/systemd/system/left.timer
install -d -o admin /home/admin/.config /home/admin/.config/systemd /home/admin/.config/systemd/user
printf '[Service]\nExecStart=/bin/true\n' >/home/admin/.config/systemd/user/left.service
echo '@daily true' | crontab -u admin -
echo true | at now + 1 day
touch "/etc/cron.d/$(printf 'left\033[31m\nhere')"
loginctl enable-linger admin
cp /bin/true /usr/local/bin/left-setuid; chmod 4755 /usr/local/bin/left-setuid
cp /bin/true /usr/local/bin/left-capable
perl -e 'my ($path, $name, $value) = ("/usr/local/bin/left-capable", "security.capability", "{CAPABILITY}");
    syscall({SETXATTR}, $path, $name, $value, 20, 0) == 0 or die $!'
systemd-run --quiet --unit=left-listener nc -lk 4444
echo all is left
"""

UNDO = """
userdel --remove mallory; groupdel mallory; groupdel wheelers
echo admin:admin-secret | chpasswd
rm -rf /etc/sudoers.d/90-mallory /etc/sudoers.d/eng /etc/ssh/sshd_config.d/99-left.conf /etc/systemd/system/left.*
rm -rf /home/admin/.config /etc/cron.d/left* /usr/local/bin/left-* /etc/systemd/system/lockbox-inspect-.service.d
sed -i '$d' /home/carol/.ssh/authorized_keys
sed -i '/sufficient pam_permit/d' /etc/pam.d/chsh
crontab -u admin -r; atrm $(atq | cut -f1); loginctl disable-linger admin; systemctl stop left-listener
systemctl daemon-reload
"""

# What the report says of each line of LEAVE: kind, change, and how the name ends.
LEFT = [
    ("group", "added", "wheelers"),
    ("account", "added", "mallory"),
    ("shadow", "changed", "admin"),
    ("sudoers", "added", "/etc/sudoers.d/90-mallory"),
    ("authorized-keys", "added", "/home/carol/.ssh/authorized_keys {key}"),
    ("pam", "changed", "/etc/pam.d/chsh"),
    ("sshd", "added", "/etc/ssh/sshd_config.d/99-left.conf"),
    ("unit", "added", "/etc/systemd/system/left.service"),
    ("unit", "added", "/run/systemd/transient/left-listener.service"),
    ("timer", "added", "/etc/systemd/system/left.timer"),
    ("user-unit", "added", "/home/admin/.config/systemd/user/left.service"),
    ("cron", "added", "/var/spool/cron/crontabs/admin"),
    ("at", "added", "/var/spool/cron/atjobs/{job}"),
    ("linger", "added", "/var/lib/systemd/linger/admin"),
    ("setuid", "added", "/usr/local/bin/left-setuid"),
    ("capability", "added", "/usr/local/bin/left-capable"),
    ("listener", "added", "tcp 0.0.0.0:4444"),
]


@pytest.fixture
def bob(box):
    return Person(box, "bob")


@pytest.fixture
def settings(box):
    """Gives every unit that looks at the host further settings."""
    def write(text):
        box.write(DROP_IN, f"[Service]\n{text}\n")
        box.systemctl("daemon-reload")

    yield write
    box.run(f"rm -rf /etc/systemd/system/lockbox-inspect-.service.d {MARK}; systemctl daemon-reload")


def left_behind(box, request):
    """The report, once there is a receipt."""
    wait_for(lambda: show(box, request)["state"] in ("revoked", "completed", "ended"), what="the receipt")
    return show(box, request)["left_behind"]


def marks(report):
    """What is reported, in short."""
    return [(change["kind"], change["change"], change["name"]) for change in report["changes"]]


def test_each_kind_is_found(every_box):
    """An engineer who is root changes one of each kind: all are named, in both of his accesses (row 35)."""
    box, bob = every_box, Person(every_box)
    box.policy(ROOT_RULE, "40-root.policy")
    box.policy(RULE)
    box.client.key("left")
    box.write("/etc/sudoers.d/eng", NOPASSWD, mode=0o440)
    box.write("/root/leave", LEAVE)
    try:
        eng = Engineer(box)
        access = eng.enter(bob)
        assert "all is left" in eng.run("sudo sh /root/leave")
        (elevated,) = [r["id"] for r in requests(box) if r["scope"] == "root"]
        job = box.run("ls /var/spool/cron/atjobs").stdout.strip()
        bob.revoke(access)
        box.ctl("revoke", elevated)
        for request in elevated, access:
            report = left_behind(box, request)
            for kind, change, name in LEFT:
                name = name.format(key=box.client.fingerprint("left"), job=job)
                assert (kind, change, name) in marks(report), (kind, report)
            assert report["count"] == len(report["changes"])
        text = json.dumps(report, ensure_ascii=False)
        assert "left\ufffd[31m here #" in text and "\x1b" not in text
        assert "changed" not in [c["detail"] for c in report["changes"]] and "$y$" not in text
        card = box.ctl("show", access).stdout
        assert f"{report['count']} changes since it began" in card and "/etc/sudoers.d/90-mallory" in card
        event = box.wait_event("left-behind", LOCKBOX_REQUEST=access)
        assert "account, group, shadow, sudoers" in event["MESSAGE"]
        assert json.loads(event["LOCKBOX_JSON"])["count"] == report["count"]
    finally:
        box.run(UNDO, check=False)


def test_a_plain_session_leaves_nothing(box, bob):
    """An access in which nothing is changed has a report that says so, and no picture stays (row 35)."""
    box.policy(RULE)
    eng = Engineer(box)
    access = eng.enter(bob)
    eng.run("touch /tmp/nothing-that-counts")
    eng.terminal.sendline("lockboxctl done")
    eng.read_to_end()
    report = left_behind(box, access)
    assert report["count"] == 0, report
    event = box.wait_event("left-behind", LOCKBOX_REQUEST=access)
    assert json.loads(event["LOCKBOX_JSON"])["count"] == 0
    assert "Left behind:  nothing" in box.ctl("show", access).stdout
    assert box.run("ls /var/lib/lockbox/snapshots").stdout == ""


def test_the_first_command_waits_for_the_picture(box, bob, settings):
    """What a login does at once is not in the picture of the time before it (row 35)."""
    settings("ExecStartPre=/bin/sleep 0.5")
    box.policy(RULE)
    box.write("/etc/sudoers.d/eng", NOPASSWD, mode=0o440)
    box.policy(ROOT_RULE, "40-root.policy")
    try:
        access = grant(box, bob)
        box.client.ssh_run("eng", f"sudo touch {MARK}", key="alice", port=2222)
        (elevated,) = [r["id"] for r in requests(box) if r["scope"] == "root"]
        box.ctl("revoke", elevated)
        assert ("cron", "added", MARK) in marks(left_behind(box, elevated))
        bob.revoke(access)
    finally:
        box.run("rm -f /etc/sudoers.d/eng")


def test_a_login_does_not_wait_for_long(box, bob, settings):
    """Where the picture takes its time, the engineer is let in all the same."""
    settings("ExecStartPre=/bin/sleep 5")
    box.policy(RULE)
    eng = Engineer(box)
    eng.enter(bob)
    assert "activating" in eng.run("systemctl show --property=ActiveState 'lockbox-inspect-*'")


def test_the_end_does_not_wait_and_a_restart_loses_nothing(box, bob, settings):
    """The sessions are gone before anything is looked at; the daemon's death in the middle costs no report."""
    settings("ExecStartPre=-/bin/sh -c 'read go </run/go'")
    box.policy(RULE)
    eng = Engineer(box)
    access = eng.enter(bob)
    box.write(MARK, "")
    box.run("mkfifo /run/go")
    revoke = box.popen("lockboxctl", "revoke", access)  # it would wait for the receipt
    eng.read_to_end()
    wait_for(lambda: box.run("pgrep -u eng", check=False).returncode == 1, what="the end of all of it")
    assert show(box, access)["state"] == "ending"
    box.systemctl("kill", "--signal=KILL", "lockboxd.service")
    revoke.kill()
    revoke.wait()
    box.run("exec 3<>/run/go; rm /run/go; echo go >&3; echo go >&3")
    assert marks(left_behind(box, access)) == [("cron", "added", MARK)]
    assert [e["LOCKBOX_EVENT"] for e in box.story(access)].count("left-behind") == 1


@pytest.mark.parametrize("trouble", ["ExecStartPre=/bin/false", "ExecStartPre=/bin/sleep 1000\nTimeoutStartSec=1s"])
def test_no_report_is_told(box, bob, settings, trouble):
    """Where nobody could look, or it takes too long, an event says so, and the receipt comes all the same."""
    box.policy(RULE)
    access = grant(box, bob)
    settings(trouble)
    bob.revoke(access)
    report = left_behind(box, access)
    assert "could not be looked at" in report["problem"] and report["count"] == 0
    event = box.wait_event("no-report", LOCKBOX_REQUEST=access)
    assert event["PRIORITY"] == "4" and "not known" in event["MESSAGE"]
    assert "Left behind:  not known" in box.ctl("show", access).stdout


def test_without_a_first_picture(box, bob):
    """A report needs both."""
    box.policy(RULE)
    access = grant(box, bob)
    before = f"/var/lib/lockbox/snapshots/{access}.before"
    wait_for(lambda: box.exists(before), what="the first picture")
    box.run("rm", before)
    bob.revoke(access)
    assert "at the beginning" in left_behind(box, access)["problem"]


def test_two_accesses_at_a_time(box, bob):
    """What is changed while both run stands in both reports, and what lockbox itself does for them in neither."""
    box.policy(RULE)
    try:
        first = grant(box, bob)
        second = grant(box, bob, account="eng2", **KEY)
        wait_for(lambda: box.exists(f"/var/lib/lockbox/snapshots/{second}.before"), what="the second's picture")
        box.write(MARK, "")
        for access in second, first:
            bob.revoke(access)
            assert marks(left_behind(box, access)) == [("cron", "added", MARK)]
    finally:
        box.run("rm", "-f", MARK)
