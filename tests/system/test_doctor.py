# SPDX-License-Identifier: LGPL-2.1-or-later
"""lockboxctl doctor: what is set up as README says passes, and whatever then takes a way out of the gate is found."""

import json

import pytest
from appliance import wait_for
from conftest import SUITES
from lockbox import PAM_SETUP, PENALTIES_DROP_IN, SSHD_DROP_IN, UNITS
from signing import SIGNERS, trust

SERVICES = ["sshd", "login", "sudo", "sudo-i", "su", "cron", "atd", "other"]
KEPT = "etc/pam.d etc/ssh etc/sudoers etc/sudoers.d etc/systemd/system etc/passwd etc/group etc/cron.allow"


def doctor(box, *options, user=None):
    """The exit status, and what was found."""
    result = box.ctl("doctor", "--json", *options, user=user, check=False)
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert (result.returncode == 1) == (report["verdict"] == "hole")
    return report["verdict"], report["findings"]


def holes(findings):
    return [finding for finding in findings if finding["verdict"] == "hole"]


def keep(box, file):
    box.run(f"cd / && tar -cf {file} --ignore-failed-read {KEPT} 2>/dev/null")


def put_back(box, file):
    box.run(f"cd / && rm -rf {KEPT} /var/lib/systemd/linger/* && tar -xf {file}")


@pytest.fixture(scope="module", params=SUITES)
def every_gated(request):
    """Each machine once, with the gate in every service that takes gated people."""
    box = request.getfixturevalue(f"{request.param}_lockbox")
    box.reset()
    keep(box, "/run/before.tar")
    box.run(PAM_SETUP, "add", *SERVICES)
    keep(box, "/run/gated.tar")
    yield box
    put_back(box, "/run/before.tar")
    box.systemctl("daemon-reload")


@pytest.fixture
def host(every_gated):
    """What a test does to these files is undone; what runs reads none of them anew."""
    yield every_gated
    put_back(every_gated, "/run/gated.tar")


# What is broken, and found, is the same on each.
on_one = pytest.mark.parametrize("every_gated", SUITES[:1], indirect=True)


def test_all_is_well(host):
    """Rows 2 and 50: on both releases every way is named, and none is at fault."""
    verdict, findings = doctor(host)
    assert [finding for finding in findings if finding["verdict"] != "ok"] == []
    assert verdict == "ok"
    ways = {finding["way"] for finding in findings}
    assert {f"pam: {name}" for name in ("sshd", "login", "su", "su-l", "sudo", "sudo-i", "cron", "atd")} <= ways
    assert {"sshd", "sshd, port 22", "sshd, port 2222", "sudoers", "console: getty@.service", "account: eng"} <= ways
    texts = {finding["way"]: finding["text"] for finding in findings}
    assert texts["sshd, port 22"] == "asks, and waits: eng, eng2"
    assert texts["sshd, port 2222"] == "lets in by an open access only: eng, eng2"


@on_one
def test_a_person_reads_it(host):
    """In a table, and what is at fault in full below; exit status 1."""
    text = host.ctl("doctor").stdout
    assert text.endswith("\nEvery way that was found passes the gate.\n")
    host.run(PAM_SETUP, "remove", "cron")
    result = host.ctl("doctor", check=False)
    assert result.returncode == 1
    assert "\npam: cron: the account stage does not ask pam_lockbox\n" in result.stdout
    assert f"\n  where:  /etc/pam.d/cron\n  mend:   {PAM_SETUP} add cron\n" in result.stdout
    assert result.stdout.endswith("\nNot every way into this host passes the gate.\n")


@on_one
def test_it_needs_root(host):
    result = host.ctl("doctor", user="bob", check=False)
    assert (result.returncode, result.stdout) == (4, "")
    assert "sudo lockboxctl doctor" in result.stderr


# What breaks it, the way that is then at fault, and what stands in the line that is named

GETTY_D = "/etc/systemd/system/getty@.service.d"
BREAKS = {
    "a sufficient line before ours": (
        "sed -i '0,/^account/s//account sufficient pam_localuser.so\\n&/' /etc/pam.d/sshd", "pam: sshd",
        "pam_localuser"),
    "a jump over ours": (
        "sed -i '0,/^account/s//account [success=1 default=ignore] pam_succeed_if.so user = eng\\n&/' /etc/pam.d/login",
        "pam: login", "pam_succeed_if"),
    "ours behind common-account": (
        "l=$(grep '^account.*lockbox' /etc/pam.d/sudo); sed -i '/^account.*lockbox/d' /etc/pam.d/sudo; "
        "echo \"$l\" >>/etc/pam.d/sudo", "pam: sudo", "pam_unix"),
    "ours does not count": (
        "sed -i 's/^account *requisite *pam_lockbox/account optional pam_lockbox/' /etc/pam.d/su", "pam: su",
        "pam_lockbox"),
    "no session line": ("sed -i '/^session.*pam_lockbox/d' /etc/pam.d/sshd", "pam: sshd", None),
    "the session line last": (
        "l=$(grep '^session.*lockbox' /etc/pam.d/login); sed -i '/^session.*lockbox/d' /etc/pam.d/login; "
        "echo \"$l\" >>/etc/pam.d/login", "pam: login", "pam_lockbox"),
    "a service of one's own": ("cp /etc/pam.d/other /etc/pam.d/xrdp-sesman; "
                               "sed -i '/lockbox/d' /etc/pam.d/xrdp-sesman", "pam: xrdp-sesman", None),
    "somebody left out": ("sed -i '/^account/s/pam_lockbox.so/& groups=other/' /etc/pam.d/login", "pam: login",
                          "groups=other"),
    "UsePAM no": (f"sed -i 's/^UsePAM yes/UsePAM no/' {SSHD_DROP_IN}", "sshd", "UsePAM no"),
    "sudo without account": ("echo 'Defaults:eng !pam_acct_mgmt' >/etc/sudoers.d/eng", "sudoers", "!pam_acct_mgmt"),
    "sudo with another service": (
        "echo 'Defaults env_reset, pam_service = mine' >/etc/sudoers.d/eng", "sudoers", "mine"),
    "a getty that runs a shell": (
        f"mkdir -p {GETTY_D}; printf '[Service]\\nExecStart=\\nExecStart=-/sbin/agetty -n -l /bin/bash %%I\\n' "
        f">{GETTY_D}/shell.conf", "console: getty@.service", "/bin/bash"),
    "a getty that logs in by itself": (
        f"mkdir -p {GETTY_D}; printf '[Service]\\nExecStart=\\nExecStart=-/sbin/agetty --autologin admin %%I\\n' "
        f">{GETTY_D}/auto.conf", "console: getty@.service", "--autologin"),
    "a root shell": ("systemctl enable debug-shell.service", "console: debug-shell.service", "/bin/bash"),
    "a shell for emergencies": (
        "mkdir -p /etc/systemd/system/rescue.service.d; printf '[Service]\\nEnvironment=SYSTEMD_SULOGIN_FORCE=1\\n' "
        ">/etc/systemd/system/rescue.service.d/force.conf", "console: emergency shell", "FORCE"),
    "lingering": ("loginctl enable-linger eng", "account: eng", None),
    "another name for a gated uid": ("echo 'twin:x:'$(id -u eng)':100::/home/eng:/bin/bash' >>/etc/passwd",
                                     "account: eng", None),
    "containers": ("groupadd docker; usermod --append --groups docker eng2", "account: eng2", None),
}


@on_one
@pytest.mark.parametrize("name", BREAKS)
def test_a_way_out_of_the_gate_is_found(host, name):
    """Row 2, and what is out of PAM's reach: the way, the line at fault, and what to do."""
    line, way, fault = BREAKS[name]
    host.run(line)
    verdict, findings = doctor(host)
    assert verdict == "hole"
    found = [finding for finding in holes(findings) if finding["way"] == way]
    assert found, findings
    assert found[0]["mend"]
    if fault is not None:
        text = host.read(found[0]["file"]).splitlines()[found[0]["line"] - 1]
        assert fault in text
    assert {finding["way"] for finding in holes(findings)} <= {way, "pam: su-l" if way == "pam: su" else way}


@on_one
def test_what_pam_setup_mends_is_mended(host):
    """The advice works as it is printed."""
    host.run("sed -i '/lockbox/d' /etc/pam.d/cron /etc/pam.d/sshd; "
               "sed -i '0,/^account/s//account sufficient pam_localuser.so\\n&/' /etc/pam.d/login")
    _, findings = doctor(host)
    mends = [finding["mend"] for finding in holes(findings)]
    assert len(mends) == 3
    for mend in mends:
        host.run(mend)
    assert doctor(host)[0] == "ok"


@on_one
def test_a_second_sshd(host):
    """Out of PAM's reach: one that runs beside the first, by the options that it was started with."""
    host.write("/etc/ssh/other_config", "Port 2200\nUsePAM no\nPidFile none\n")
    # -o: what stands in a file is only the half of it
    host.run("systemd-run --quiet --unit=other-sshd --property=Type=exec /usr/sbin/sshd -D -f /etc/ssh/other_config")
    host.run("systemd-run --quiet --unit=third-sshd --property=Type=exec /usr/sbin/sshd -D -p 2201 -o 'UsePAM no'")
    try:
        for port in (2200, 2201):
            wait_for(lambda port=port: f":{port} " in host.run("ss -Hltn").stdout, what=f"port {port}")
        _, findings = doctor(host)
        ways = {finding["way"]: finding for finding in holes(findings)}
        assert set(ways) == {"sshd -f /etc/ssh/other_config", "sshd -p 2201 -o UsePAM no"}
        assert (ways["sshd -f /etc/ssh/other_config"]["file"], ways["sshd -f /etc/ssh/other_config"]["line"]) == (
            "/etc/ssh/other_config", 2)
        host.run("sed -i 's/UsePAM no/UsePAM yes/' /etc/ssh/other_config")
        _, findings = doctor(host)
        assert [finding["way"] for finding in holes(findings)] == ["sshd -p 2201 -o UsePAM no"]
    finally:
        host.systemctl("stop", "other-sshd.service", "third-sshd.service")


def test_what_keeps_others_out(host):
    """Row 50: penalties, few places for those who wait, a grace time that is over too early: warnings, status 0."""
    host.run(f"rm -f {PENALTIES_DROP_IN}; "
             f"sed -i '/^MaxStartups/d; s/^LoginGraceTime.*/LoginGraceTime 60/' {SSHD_DROP_IN}")
    verdict, findings = doctor(host)
    assert verdict == "warning"
    texts = [finding["text"] for finding in findings if finding["verdict"] == "warning"]
    assert any("MaxStartups 10:30:100" in text for text in texts)
    assert any("ends a login after 60 s" in text for text in texts)
    sshd = host.run("sshd -T -C user=eng,host=h,addr=192.0.2.1,laddr=192.0.2.2,lport=22")
    newer = "persourcepenalties" in sshd.stdout
    assert any("lock their address out" in text for text in texts) == newer
    grace = next(finding for finding in findings if "ends a login" in finding["text"])
    assert "LoginGraceTime" in host.read(grace["file"]).splitlines()[grace["line"] - 1]


@on_one
def test_nothing_of_somebody_elses_is_run(host):
    """To ask an sshd is to run its program as root: one that an engineer has put there is told of, and not run."""
    host.write("/home/eng/sshd", "#!/bin/sh\ntouch /run/was-run\n", mode=0o755, owner="eng")
    line = "exec -a 'sshd: /home/eng/sshd -D [listener] 0 of 10-100 startups' sleep 1000"
    running = []

    def start(user):
        running.append(host.popen("bash", "-c", line, user=user))
        wait_for(lambda: host.run("pgrep --count --full '^sshd: /home/eng'", check=False).stdout == f"{len(running)}\n",
                 what=f"the process of {user}")

    try:
        start("eng")
        assert doctor(host)[0] == "ok"
        start("root")
        assert [finding["way"] for finding in holes(doctor(host)[1])] == ["/home/eng/sshd"]
        assert not host.exists("/run/was-run")
    finally:
        for process in running:
            process.kill()
            process.wait()


@on_one
def test_who_cannot_be_asked(host):
    """Without keyboard-interactive nobody can hold a conversation; that keeps out, it lets nobody in."""
    host.run(f"sed -i 's/KbdInteractiveAuthentication yes/KbdInteractiveAuthentication no/' {SSHD_DROP_IN}")
    verdict, findings = doctor(host)
    assert verdict == "warning"
    texts = [finding["text"] for finding in findings if finding["way"] == "sshd, port 22"]
    assert any("eng, eng2 cannot log in" in text for text in texts)


@on_one
def test_cron_may_be_closed_instead(host):
    """Row 9: what need not ask is a cron that takes no jobs of theirs."""
    host.run(PAM_SETUP, "remove", "cron")
    assert [finding["way"] for finding in holes(doctor(host)[1])] == ["pam: cron"]
    host.write("/etc/cron.allow", "root\nadmin\n")
    assert holes(doctor(host)[1]) == []
    host.write("/var/spool/cron/crontabs/eng", "0 0 1 1 * true\n", mode=0o600)
    try:
        assert [finding["way"] for finding in holes(doctor(host)[1])] == ["pam: cron"]
    finally:
        host.run("rm", "/var/spool/cron/crontabs/eng")


@on_one
def test_lockbox_itself(host):
    """What is wrong with the daemon or the policy closes doors, and is told as a warning."""
    host.systemctl("disable", "lockboxd.service")
    host.write("/etc/lockbox/policy.d/10-bad.policy", "[Rule]\nAction=perhaps\n")
    host.systemctl("stop", "lockboxd.socket", "lockboxd.service")
    try:
        verdict, findings = doctor(host)
        assert verdict == "warning"
        texts = " ".join(finding["text"] for finding in findings if finding["verdict"] == "warning")
        for part in ("lockboxd.service is not enabled", "does not answer", "has mistakes"):
            assert part in texts
    finally:
        host.run("rm", "/etc/lockbox/policy.d/10-bad.policy")
        host.systemctl("enable", "--now", *UNITS)


@on_one
def test_signatures_need_keys(host):
    """Where only a signature counts, and nobody's key is known, nobody gets in: a warning says so."""
    def texts():
        return [f["text"] for f in doctor(host)[1] if f["way"] == "lockbox: approvers"]

    host.write("/etc/lockbox/policy.d/10-signed.policy",
               "[Rule]\nAction=require-approval\n[Approval]\nEvidence=signed\n")
    host.write(SIGNERS, "# bob's is to come\n\n")
    try:
        assert len(texts()) == 1 and f"there are no keys in {SIGNERS}" in texts()[0]
        trust(host, bob="")
        assert texts() == []
    finally:
        host.run("rm", "-f", "/etc/lockbox/policy.d/10-signed.policy", SIGNERS)
