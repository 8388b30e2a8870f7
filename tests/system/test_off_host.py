# SPDX-License-Identifier: LGPL-2.1-or-later
"""The trail on a second machine, sent there as lockbox-events(7) says: what root does at its origin shows there."""

import hashlib
import json
import shutil
import sqlite3
import subprocess

import pytest
from appliance import wait_for
from conftest import TOP
from lockbox import STATE, UNITS, Box
from people import Engineer, Person
from test_commands import commands, log
from test_session import RULE

ORIGIN, COLLECTOR = "192.0.2.1", "192.0.2.2"
KEYS = "/etc/lockbox/journal"
SHIPPED = "/usr/share/lockbox/journal"
REMOTE = "/var/log/journal/remote"
DATABASE = f"{STATE}/lockbox.db"
RETRY = "3s"  # in the place of ten, for the test


@pytest.fixture(scope="module")
def collector(stage):
    """A second machine, with nothing of lockbox but lockboxctl."""
    with Box(TOP / "build" / "image-bookworm", "collector") as machine:
        machine.run("install", "-d", "/usr/local/bin")
        shutil.copy(stage / "usr/bin/lockboxctl", machine.root / "usr/local/bin/lockboxctl")
        yield machine


def authority(directory):
    """A certificate authority of the test's own, and a key and certificate by it for each of the two."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=trail", "-days", "2", "-keyout", "ca.key",
            "-out", "ca.crt")
    for name, address in {"origin": ORIGIN, "collector": COLLECTOR}.items():
        (directory / "extensions").write_text(f"subjectAltName=IP:{address}\n")
        openssl("req", "-newkey", "ed25519", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", "csr")
        openssl("x509", "-req", "-in", "csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", "extensions", "-out", f"{name}.crt")


def give(machine, stage, keys, name, service):
    """What the manual tells an administrator to put onto one of the two machines."""
    machine.write(f"{KEYS}/host.key", (keys / f"{name}.key").read_text(), mode=0o600)
    machine.write(f"{KEYS}/host.crt", (keys / f"{name}.crt").read_text())
    machine.write(f"{KEYS}/ca.crt", (keys / "ca.crt").read_text())
    shipped = stage / SHIPPED[1:]
    settings = (shipped / f"{service}.conf").read_text().replace("collector.example.com", COLLECTOR)
    machine.write(f"/etc/systemd/journal-{service}.conf.d/lockbox.conf", settings)
    machine.write(f"/etc/systemd/system/systemd-journal-{service}.service.d/lockbox.conf",
                  (shipped / "key.conf").read_text().replace("RestartSec=10s", f"RestartSec={RETRY}"))
    machine.systemctl("daemon-reload")


@pytest.fixture
def trail(box, collector, stage, tmp_path):
    """The box, on a wire to the collector and sending; both begin with nothing."""
    box.systemctl("stop", *UNITS)
    box.run("journalctl --sync; journalctl --rotate; journalctl --vacuum-size=1")
    box.reset()
    subprocess.run(["ip", "link", "add", "trail0", "netns", str(box.leader), "type", "veth",
                    "peer", "name", "trail0", "netns", str(collector.leader)], check=True)
    for machine, address in {box: ORIGIN, collector: COLLECTOR}.items():
        machine.run(f"ip address add {address}/24 dev trail0; ip link set trail0 up")
    authority(tmp_path)
    give(collector, stage, tmp_path, "collector", "remote")
    give(box, stage, tmp_path, "origin", "upload")
    collector.systemctl("start", "systemd-journal-remote.socket")
    box.systemctl("start", "systemd-journal-upload.service")
    yield box
    box.systemctl("stop", "systemd-journal-upload.service")
    box.run(f"rm -rf {KEYS} /etc/systemd/journal-upload.conf.d /var/lib/private/systemd/journal-upload "
            "/etc/systemd/system/systemd-journal-upload.service.d; systemctl daemon-reload")
    collector.systemctl("stop", "systemd-journal-remote.socket", "systemd-journal-remote.service")
    collector.run(f"rm -rf {REMOTE}/*")
    box.run("ip link delete trail0")


def verify(machine, *arguments, status=0):
    result = machine.ctl("audit", "verify", "--json", *arguments, check=False)
    assert result.returncode == status, result.stdout + result.stderr
    return json.loads(result.stdout)


def arrived(collector, seq, **fields):
    """Waits until the event is there."""
    words = [f"{name}={value}" for name, value in {"LOCKBOX_SEQ": seq, "_UID": 0, **fields}.items()]
    return wait_for(lambda: collector.run("journalctl", "-D", REMOTE, "-o", "json", "--quiet", *words, check=False).stdout,
                    timeout=30, what=f"event {seq} to arrive")


def whole_access(box):
    """An access from question to receipt, with something done in it, and the checkpoint behind it, which is the last event
    then; returns its ID and the number of the receipt."""
    engineer, bob = Engineer(box), Person(box)
    request = engineer.enter(bob)
    log(engineer, "at-work")
    bob.revoke(request)
    engineer.read_to_end()
    receipt = int(box.wait_event("revoked", LOCKBOX_REQUEST=request)["LOCKBOX_SEQ"])
    box.wait_event("checkpoint", lambda entry: int(entry["LOCKBOX_SEQ"]) > receipt)
    return request, receipt


def rewrite(box, first):
    """As root would who knows how: from that event on everything with new words, and hashes that fit."""
    with sqlite3.connect(box.root / DATABASE[1:]) as database:
        rows = database.execute("SELECT seq, json FROM events WHERE seq >= ? ORDER BY seq", (first,)).fetchall()
        ((prev,),) = database.execute("SELECT hash FROM events WHERE seq = ?", (first - 1,)).fetchall()
        for seq, text in rows:
            event = json.loads(text) | {"prev": prev}
            if event.get("approver"):
                event["approver"] = "carol"
            text = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            prev = hashlib.sha256(text.encode()).hexdigest()
            database.execute("UPDATE events SET json = ?, hash = ? WHERE seq = ?", (text, prev, seq))
    database.close()


def carried_over(box, collector):
    """The database, as it stands at its origin, in a directory of the collector."""
    for name in ("lockbox.db", "lockbox.db-wal"):
        source, target = box.root / f"{STATE}/{name}"[1:], collector.root / "root/carried" / name
        target.parent.mkdir(exist_ok=True)
        target.unlink(missing_ok=True)
        if source.exists():
            shutil.copy(source, target)
    return "/root/carried"


def test_the_trail_is_on_the_second_machine(trail, collector):
    """Over HTTPS, whole, with what the session did; what others wrote does not count there either (row 34, row 41)."""
    box = trail
    request, last = whole_access(box)
    forged = f"MESSAGE=x\nLOCKBOX_EVENT=approved\nLOCKBOX_SEQ=2\nLOCKBOX_REQUEST={request}\nLOCKBOX_JSON={{}}\n"
    for forger in ("admin", None):
        box.run("logger", "--journald", user=forger, input=forged)
    box.policy(RULE)
    last = box.status()["events"]
    entry = json.loads(arrived(collector, last, _SYSTEMD_UNIT="lockboxd.service").splitlines()[0])
    assert entry["_MACHINE_ID"] == box.read("/etc/machine-id").strip() != collector.read("/etc/machine-id").strip()
    (file,) = collector.run(f"ls {REMOTE}").stdout.split()
    assert file == f"remote-{ORIGIN}.journal"
    for where in (REMOTE, f"{REMOTE}/{file}"):
        said = verify(collector, "--journal", where, status=1)
        assert (said["foreign"], "first" in said) == (2, False)
        assert said["last"] == verify(box)["last"] and said["last"]["seq"] == last
    story = [json.loads(line) for line in collector.ctl("events", "--json", "--journal-directory", REMOTE, request)
             .stdout.splitlines()]
    assert [line["event"] for line in story if "event" in line] == [e["LOCKBOX_EVENT"] for e in box.story(request)]
    assert "at-work" in [command["message"] for command in commands(story)]


def test_a_collector_that_was_away_gets_all(trail, collector):
    """What happens while nothing can be sent is sent afterwards."""
    box = trail
    box.policy(RULE)
    arrived(collector, box.status()["events"], _SYSTEMD_UNIT="lockboxd.service")
    collector.systemctl("stop", "systemd-journal-remote.socket", "systemd-journal-remote.service")
    box.policy(RULE)
    wait_for(lambda: box.systemctl("show", "--property=NRestarts", "--value", "systemd-journal-upload").stdout != "0\n",
             timeout=30, what="the sender to give up")
    collector.systemctl("start", "systemd-journal-remote.socket")
    last = box.status()["events"]
    arrived(collector, last, _SYSTEMD_UNIT="lockboxd.service")
    assert verify(collector, "--journal", REMOTE)["last"]["seq"] == last


def post(box, entry, *options):
    """Sends an entry to the collector as anybody could: without a certificate of its authority. True if it was taken."""
    words = ["curl", "--silent", "--cacert", f"{KEYS}/ca.crt", "--data-binary", "@-", "--write-out", "%{http_code}",
             "--header", "Content-Type: application/vnd.fdo.journal", *options, f"https://{COLLECTOR}:19532/upload"]
    return "202" in box.run(*words, check=False, input=entry).stdout


def test_who_reaches_the_collector_can_add_and_hide_nothing(trail, collector, stage):
    """systemd-journal-remote asks nobody for a certificate: the shipped rule keeps others off, and an addition shows."""
    box = trail
    _, last = whole_access(box)
    end = box.status()["events"]
    arrived(collector, end, _SYSTEMD_UNIT="lockboxd.service")
    true = json.loads(arrived(collector, last, _SYSTEMD_UNIT="lockboxd.service").splitlines()[0])
    kept = ("LOCKBOX_", "__REALTIME", "__MONOTONIC", "_BOOT_ID", "_MACHINE_ID", "_SYSTEMD_UNIT", "_UID")
    entry = {name: value for name, value in true.items() if name.startswith(kept)}
    entry["LOCKBOX_JSON"] = true["LOCKBOX_JSON"].replace('"left":0', '"left":1')
    entry["LOCKBOX_HASH"] = hashlib.sha256(entry["LOCKBOX_JSON"].encode()).hexdigest()
    text = "".join(f"{name}={value}\n" for name, value in entry.items()) + "\n"
    box.run("ip address add 192.0.2.3/24 dev trail0")
    collector.write("/root/remote.nft", (stage / SHIPPED[1:] / "remote.nft").read_text())
    collector.run("nft -f /root/remote.nft")
    assert not post(box, text, "--interface", "192.0.2.3")
    assert verify(collector, "--journal", REMOTE)["last"]["seq"] == end
    box.policy(RULE)  # the origin's own goes through
    arrived(collector, box.status()["events"], _SYSTEMD_UNIT="lockboxd.service")
    collector.run("nft delete table inet lockbox_trail")
    assert post(box, text, "--interface", "192.0.2.3")  # the day this fails, the manual can do without the rule
    assert verify(collector, "--journal", REMOTE, status=1)["first"] == {"flaw": "twice", "seq": last}


def test_what_root_does_at_the_origin_shows_on_the_second_machine(trail, collector):
    """The log cut off or written anew, the journal there removed: it is named from what has arrived (row 34)."""
    box = trail
    _, last = whole_access(box)
    arrived(collector, box.status()["events"], _SYSTEMD_UNIT="lockboxd.service")
    box.systemctl("stop", "systemd-journal-upload.service", *UNITS)
    receipt = json.loads(arrived(collector, last, _SYSTEMD_UNIT="lockboxd.service").splitlines()[0])
    known = f"{last}:{receipt['LOCKBOX_HASH']}"
    box.run("rm -rf /var/log/journal/*/*")

    rewrite(box, 3)
    carried = carried_over(box, collector)
    assert verify(collector, carried, status=1)["first"]["flaw"] == "rewritten"  # the host's own checkpoint says so
    with sqlite3.connect(box.root / DATABASE[1:]) as database:
        database.execute("DELETE FROM events WHERE seq > ?", (last,))
    database.close()
    carried = carried_over(box, collector)
    assert verify(collector, carried)["whole"]  # without it, it is a good one by itself
    assert verify(collector, "--known", known, carried, status=1)["first"] == {"flaw": "rewritten", "seq": last}

    with sqlite3.connect(box.root / DATABASE[1:]) as database:
        database.executescript("DELETE FROM events WHERE seq >= 3; UPDATE meta SET value = 0 WHERE key = 'projected'")
    database.close()
    first = verify(collector, "--known", known, carried_over(box, collector), status=1)["first"]
    assert (first["flaw"], first["seq"], first["to"]) == ("missing", 3, last)

    # … and if the daemon goes on from there, by what it sends itself
    box.run("systemctl restart systemd-journald.service")
    box.systemctl("start", "systemd-journal-upload.service", *UNITS)
    wait_for(lambda: "twice" in collector.ctl("audit", "verify", "--json", "--journal", REMOTE, check=False).stdout,
             timeout=30, what="the two different events 3")
    assert verify(collector, "--journal", REMOTE, status=1)["first"]["seq"] == 3
