# SPDX-License-Identifier: LGPL-2.1-or-later
"""The evidence of an access: whoever has the pack, and nothing of ours, verifies it by what VERIFY.txt says; and whatever
is changed in it is found by that."""

import hashlib
import json
import os
import signal
import time

import pytest
from appliance import wait_for
from conftest import TOP
from lockbox import STATE, Box
from people import Engineer, Person
from test_checkpoint import access
from test_commands import log
from test_signed import REVOKED, SIGNED, SIGNERS, ask, make_key, sign, statement, submit

STEPS = 5
COPIES = {"revoked": "receipt.json", "left-behind": "left-behind.json"}


@pytest.fixture(scope="module")
def elsewhere():
    """A machine on which there never was a lockbox."""
    suite = os.environ["SUITES"].split()[0]
    with Box(TOP / "build" / f"image-{suite}", "elsewhere") as machine:
        assert machine.run("command -v lockboxctl", check=False).returncode != 0
        yield machine


@pytest.fixture
def pack(box, elsewhere):
    """An access that bob has signed for, from begin to end; its pack, unpacked where there is no lockbox. The path of the
    folder as it is seen from outside."""
    yield make_pack(box, elsewhere)
    box.run("rm", "-f", SIGNERS, REVOKED)


def make_pack(box, elsewhere):
    box.policy(SIGNED)
    box.write(SIGNERS, "".join(f"{name} {box.read(make_key(box, name) + '.pub')}" for name in ("carol", "bob")))
    box.run("rm", "-f", "/root/pack.tar")
    request = ask(box)
    text = statement(box, request, "bob", "approve", "--for", "2h")
    assert submit(box, text, sign(box, text)).returncode == 0
    engineer = Engineer(box).connect()
    engineer.at_shell()
    log(engineer, "was here")
    engineer.run("mkdir -p .ssh; cp .ssh/authorized_keys .ssh/more; echo ssh-ed25519 >>.ssh/authorized_keys")
    Person(box).revoke(request)
    engineer.read_to_end()
    box.wait_event("revoked", LOCKBOX_REQUEST=request)
    box.run("journalctl", "--sync")
    box.ctl("audit", "pack", request, "-o", "/root/pack.tar")
    return unpack(box, elsewhere, "/root/pack.tar", request)


def unpack(box, machine, tar, request):
    machine.run("rm -rf /root/evidence; mkdir /root/evidence")
    (machine.root / "root/pack.tar").write_bytes((box.root / tar[1:]).read_bytes())
    machine.run("tar -xf /root/pack.tar -C /root/evidence")
    return machine.root / f"root/evidence/lockbox-{request}"


def verify(machine, folder):
    """Types what VERIFY.txt says, and nothing else; how many steps were good, and what all of them said."""
    commands = [line[4:] for line in (folder / "VERIFY.txt").read_text().splitlines() if line.startswith("    ")]
    name = folder.relative_to(machine.root)
    result = machine.run("sh", "-c", f"cd /{name} && exec sh", input="\n".join(commands) + "\n", check=False)
    return result.stdout.splitlines().count("good"), result.stdout + result.stderr


def sums(folder):
    """As whoever changes something does as well."""
    path = folder / "SHA256SUMS"
    names = [line.split(None, 1)[1] for line in path.read_text().splitlines()]
    path.write_text("".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names))


def read_events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def canonical(event):
    return json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def write_events(folder, events, chain=True):
    """With new links from the first one on, if that is wanted, and in the copies: then only what is signed tells."""
    lines = []
    for event in events:
        if chain and lines:
            event = {**event, "prev": hashlib.sha256(lines[-1].encode()).hexdigest(), "seq": events[0]["seq"] + len(lines)}
        lines.append(canonical(event))
        if chain and event["event"] in COPIES:
            (folder / COPIES[event["event"]]).write_text(lines[-1] + "\n")
    (folder / "events.jsonl").write_text("".join(line + "\n" for line in lines))


def left(box):
    """What of a pack that is not one."""
    return box.run("ls /root/pack.tar.* /tmp/lockbox-pack-*", check=False).stdout


def test_good(every_box, elsewhere):
    """All is good, everywhere; the same pack again is the same bytes; what is there is not written over."""
    box = every_box
    folder = make_pack(box, elsewhere)
    request = folder.name.removeprefix("lockbox-")
    good, said = verify(elsewhere, folder)
    assert good == STEPS, said
    assert "approved\tbob\tsigned\tED25519 SHA256:" in said and "256 SHA256:" in said
    names = {path.name for path in folder.iterdir()}
    seq = next(event["seq"] for event in read_events(folder) if event["event"] == "approved")
    assert names - {"commands.jsonl"} == {  # of which journald tells on one of the two alone
        "SHA256SUMS", "VERIFY.txt", "checkpoint.sig", "checkpoint.txt", "events.jsonl", "left-behind.json", "receipt.json",
        "request.json", "signers", f"statement-{seq}.sig", f"statement-{seq}.txt"}
    signers = (folder / "signers").read_text()
    assert "lockbox-checkpoint" in signers and "\nbob " in signers and "carol" not in signers
    assert json.loads((folder / "receipt.json").read_text())["event"] == "revoked"
    assert json.loads((folder / "left-behind.json").read_text())["event"] == "left-behind"
    assert json.loads((folder / "request.json").read_text())["id"] == request
    kept = (box.root / "root/pack.tar").read_bytes()
    again = box.ctl("audit", "pack", request, "-o", "/root/pack.tar", check=False)
    assert again.returncode == 1 and "is there already" in again.stderr
    assert (box.root / "root/pack.tar").read_bytes() == kept
    assert left(box) == ""
    box.run("rm", "-f", SIGNERS)


def test_the_same_bytes(box, pack):
    """Made again, by root or an auditor who may read the journal, too; also after more has happened."""
    request = pack.name.removeprefix("lockbox-")
    kept = hashlib.sha256((box.root / "root/pack.tar").read_bytes()).hexdigest()
    box.policy(SIGNED)
    access_to = ask(box, "CASE-9")
    Person(box).deny(access_to)
    box.run("gpasswd", "-a", "dora", "systemd-journal")
    try:
        for user in (None, "dora"):
            assert box.run(f"lockboxctl audit pack {request} -o - | sha256sum", user=user).stdout.split()[0] == kept
    finally:
        box.run("gpasswd", "-d", "dora", "systemd-journal")


def test_who_may(box):
    """Auditors and root; others are refused, and told why."""
    request = access(box)
    refused = box.ctl("audit", "pack", request, "-o", "/tmp/x.tar", user="bob", check=False)
    assert refused.returncode == 4 and "only root and auditors" in refused.stderr, refused.stderr
    for name, status in (("admin", 4), ("eng", 3)):  # who has no part in it; whose it is not
        assert box.ctl("audit", "pack", request, "-o", "/tmp/x.tar", user=name, check=False).returncode == status
    assert box.run("ls /tmp/x.tar*", check=False).stdout == ""
    assert box.ctl("audit", "pack", request, check=False).returncode == 2
    assert box.ctl("audit", "pack", request, "-o", "/nowhere/x.tar", check=False).returncode == 1


def test_what_is_not_over(box, elsewhere):
    """A pack of an access that still runs says so, and goes as far as a checkpoint that is made for it."""
    eng, bob = Engineer(box), Person(box)
    request = eng.enter(bob)
    box.run("rm", "-f", "/root/pack.tar")
    result = box.ctl("audit", "pack", request, "-o", "/root/pack.tar")
    assert f"{request} is not over" in result.stderr
    folder = unpack(box, elsewhere, "/root/pack.tar", request)
    assert not (folder / "receipt.json").exists()
    good, said = verify(elsewhere, folder)
    assert good == STEPS, said
    bob.revoke(request)


def test_a_key_that_is_good_no_more(box, elsewhere, pack):
    """The pack of a signature whose key has expired since is as good as ever; one that was signed with a key that was not
    good then is not; and of whom the host knows no key any more, that is said."""
    request = pack.name.removeprefix("lockbox-")
    key = box.read(make_key(box, "bob") + ".pub")
    last = json.loads(box.events(LOCKBOX_EVENT="approved", LOCKBOX_REQUEST=request)[-1]["LOCKBOX_JSON"])["time"] // 1000000

    def again(line):
        box.run("rm", "-f", "/root/pack.tar")
        box.write(SIGNERS, line)
        said = box.ctl("audit", "pack", request, "-o", "/root/pack.tar").stderr
        folder = unpack(box, elsewhere, "/root/pack.tar", request)
        return verify(elsewhere, folder)[0], said

    def valid(option, seconds):
        return f'bob {option}="{time.strftime("%Y%m%d%H%M%S", time.gmtime(last + seconds))}" {key}'

    wait_for(lambda: time.time() > last + 2, what="the key to expire")
    assert again(valid("valid-before", 1)) == (STEPS, "")
    assert again(valid("valid-before", -1))[0] == STEPS - 1
    good, said = again("carol " + key)
    assert good == STEPS - 1 and "the key of bob is not in the pack" in said


def test_what_was_there_before(box, pack):
    """Somebody else's file or link beside the one that is wanted gets nothing of it."""
    request = pack.name.removeprefix("lockbox-")
    box.run("install -d -m 1777 /tmp/open; cd /tmp/open; rm -f *; ln -s /tmp/elsewhere pack.tar.tmp; touch x.tar.tmp; "
            "chmod 666 x.tar.tmp; chown nobody x.tar.tmp; ln -s /tmp/elsewhere link.tar")
    for name in ("pack", "x"):
        box.ctl("audit", "pack", request, "-o", f"/tmp/open/{name}.tar")
        assert box.run("stat", "-c", "%u %a", f"/tmp/open/{name}.tar").stdout == "0 600\n"
    assert box.run("stat", "-c", "%s", "/tmp/open/x.tar.tmp").stdout == "0\n"
    refused = box.ctl("audit", "pack", request, "-o", "/tmp/open/link.tar", check=False)
    assert refused.returncode == 1 and not box.exists("/tmp/elsewhere")
    box.run("rm", "-r", "/tmp/open")


def test_a_file_system_that_does_not_know_every_rename(box, pack):
    """Such as NFS: the pack is there all the same, and what was there is not written over."""
    request = pack.name.removeprefix("lockbox-")

    def make():
        return box.run("systemd-run", "--quiet", "--wait", "--pipe", "--property=SystemCallFilter=~renameat2:EINVAL",
                       "lockboxctl", "audit", "pack", request, "-o", "/root/far.tar", check=False)

    assert make().returncode == 0
    assert (box.root / "root/far.tar").read_bytes() == (box.root / "root/pack.tar").read_bytes()
    assert make().returncode == 1 and box.run("ls /root/far.tar*").stdout == "/root/far.tar\n"
    box.run("rm", "/root/far.tar")


@pytest.mark.parametrize("program, name", [("sha256sum", "INT"), ("tar", "TERM"), ("tar", "HUP")])
def test_interrupted(box, pack, program, name):
    """Who interrupts it finds nothing of it, neither of its files nor half a tar, and it ends as it was told to."""
    request = pack.name.removeprefix("lockbox-")
    box.run("rm -f /root/pack.tar; mkdir -p /tmp/slow; mkfifo /tmp/slow/begun")
    box.write(f"/tmp/slow/{program}", "#!/bin/sh\necho >/tmp/slow/begun\nexec sleep infinity\n", mode=0o755)
    try:
        with box.popen("env", "PATH=/tmp/slow:/usr/bin:/bin", "sh", "-c",
                       f"env --default-signal lockboxctl audit pack {request} -o /root/pack.tar & read word </tmp/slow/begun; "
                       f"kill -{name} $!; wait $!") as process:
            assert process.wait(timeout=60) == 128 + getattr(signal, f"SIG{name}")
        assert left(box) == "" and not box.exists("/root/pack.tar")
    finally:
        box.run("rm", "-r", "/tmp/slow")


def test_a_full_disk(box, pack):
    """Where there is no room for the tar, or for its files, nothing of it stays."""
    request = pack.name.removeprefix("lockbox-")
    box.run("mkdir -p /tmp/small; mount -t tmpfs -o size=8k none /tmp/small")
    try:
        for more, where in (("", "/tmp/small/x.tar"), ("TMPDIR=/tmp/small ", "/root/full.tar")):
            failed = box.run(f"{more}lockboxctl audit pack {request} -o {where}", check=False)
            assert failed.returncode == 1 and failed.stderr, where
            assert box.run("ls -A /tmp/small; ls /root/full.tar*", check=False).stdout == "", where
    finally:
        box.run("umount", "/tmp/small")


def find(events, kind):
    return next(i for i, event in enumerate(events) if event["event"] == kind)


def of_events(edit, chain):
    """A damage that is done to the events."""
    def damage(box, folder):
        events = read_events(folder)
        edit(events)
        write_events(folder, events, chain)
    return damage


def edit_reason(events):
    events[0]["reason"] = "something harmless"


def edit_session(events):
    events[find(events, "opened")]["pid"] += 1


def drop(kind):
    return lambda events: events.pop(find(events, kind))


def swap(events):
    events[1], events[2] = events[2], events[1]


def add_behind(events):
    """Between what the checkpoint covers and the checkpoint itself nothing of the request can be."""
    receipt = events[find(events, "revoked")]
    events.insert(len(events) - 1, {**receipt, "event": "acknowledged"})


def resign(box, folder, name, key, namespace):
    """Signed by somebody else, in the file and in its event, with a chain that is whole."""
    text = (folder / f"{name}.txt").read_text()
    signature = sign(box, text, key, namespace)
    (folder / f"{name}.sig").write_text(signature)
    events = read_events(folder)
    for event in events:
        if event.get("statement") == text:
            event["signature"] = signature
    write_events(folder, events)


def of_checkpoint(box, folder):
    resign(box, folder, "checkpoint", "carol", "lockbox-checkpoint")


def of_statement(box, folder):
    name = next(path.stem for path in folder.glob("statement-*.txt"))
    resign(box, folder, name, "carol", "lockbox-consent")


def text_of_statement(box, folder):
    path = next(folder.glob("statement-*.txt"))
    path.write_text(path.read_text().replace("Duration: 2h (7200 s)", "Duration: 4h (14400 s)"))


def text_of_both(box, folder):
    path = next(folder.glob("statement-*.txt"))
    before = path.read_text()
    text_of_statement(box, folder)
    events = read_events(folder)
    events[find(events, "approved")]["statement"] = before.replace("2h (7200 s)", "4h (14400 s)")
    write_events(folder, events)


def text_of_checkpoint(box, folder):
    """An older log's end is put in the place of this one's."""
    path = folder / "checkpoint.txt"
    events = read_events(folder)
    lines = (folder / "events.jsonl").read_text().splitlines()
    older = f"Events: {events[1]['seq']}\nHash: {hashlib.sha256(lines[1].encode()).hexdigest()}\n"
    old = path.read_text().splitlines(keepends=True)
    text = "".join([*old[:2], older, *old[4:]])
    events[-1]["statement"] = text
    path.write_text(text)
    write_events(folder, events)


def by_root(box, folder):
    """Who is root on the host changes what bob said, and the host's own key signs that: but bob's does not."""
    events = read_events(folder)
    approved = events[find(events, "approved")]
    path = folder / f"statement-{approved['seq']}.txt"
    approved["statement"] = path.read_text().replace("2h (7200 s)", "4h (14400 s)")
    path.write_text(approved["statement"])
    write_events(folder, events)
    covered = (folder / "events.jsonl").read_text().splitlines()[events[-1]["count"] - events[0]["seq"]]
    old = (folder / "checkpoint.txt").read_text().splitlines(keepends=True)
    text = "".join([*old[:3], f"Hash: {hashlib.sha256(covered.encode()).hexdigest()}\n", *old[4:]])
    signature = box.run(f"ssh-keygen -q -Y sign -n lockbox-checkpoint -f {STATE}/checkpoint_key", input=text).stdout
    (folder / "checkpoint.txt").write_text(text)
    (folder / "checkpoint.sig").write_text(signature)
    events = read_events(folder)
    events[-1].update(statement=text, signature=signature)
    write_events(folder, events)


def receipt(box, folder):
    path = folder / "receipt.json"
    path.write_text(path.read_text().replace('"killed":', '"killed":1'))


def other_report(box, folder):
    """The event of another request."""
    events = read_events(folder)
    (folder / "left-behind.json").write_text(canonical(events[-1]) + "\n")


DAMAGES = {
    "an event was changed": of_events(edit_reason, False),
    "an event was changed, with all links": of_events(edit_reason, True),
    "another was changed": of_events(edit_session, False),
    "another was changed, with all links": of_events(edit_session, True),
    "an event was left out": of_events(drop("opened"), False),
    "an event was left out, with all links": of_events(drop("opened"), True),
    "the first was left out": of_events(drop("requested"), False),
    "the end was left out": of_events(lambda events: events.pop(), False),
    "two were exchanged": of_events(swap, False),
    "two were exchanged, with all links": of_events(swap, True),
    "an event was added": of_events(add_behind, True),
    "the checkpoint has another key": of_checkpoint,
    "the checkpoint is another": text_of_checkpoint,
    "the statement has another key": of_statement,
    "the statement was changed": text_of_statement,
    "the statement was changed, with all links": text_of_both,
    "the statement was changed by root": by_root,
    "the receipt was changed": receipt,
    "the report is another": other_report,
}


def test_what_the_sessions_did(box, pack):
    """The journal's entries of the access, a line each, as `events` shows them among the others."""
    lines = [json.loads(line) for line in (pack / "commands.jsonl").read_text().splitlines()]
    assert "was here" in [line["message"] for line in lines]
    assert {line["source"] for line in lines} == {"journal"}


def test_damage(box, elsewhere, pack):
    """Whatever is done to it, with sums and links made anew: some step is not good."""
    elsewhere.run("cp -a /root/evidence /root/kept")
    try:
        for what, damage in DAMAGES.items():
            elsewhere.run("rm -rf /root/evidence; cp -a /root/kept /root/evidence")
            damage(box, pack)
            sums(pack)
            good, said = verify(elsewhere, pack)
            assert good < STEPS, f"{what}: {said}"
            assert said.splitlines()[0] == "good", what  # the sums are those of the damage
        elsewhere.run("rm -rf /root/evidence; cp -a /root/kept /root/evidence")
        (pack / "request.json").write_text("{}\n")
        good, said = verify(elsewhere, pack)
        assert "request.json: FAILED" in said and good < STEPS
    finally:
        elsewhere.run("rm -rf /root/kept")


def test_damage_is_what_is_found(elsewhere, pack):
    """Events that are written as they were are good: it is not the writing that test_damage finds."""
    write_events(pack, read_events(pack))
    sums(pack)
    good, said = verify(elsewhere, pack)
    assert good == STEPS, said
