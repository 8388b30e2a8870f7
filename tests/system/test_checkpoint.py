# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checkpoints: the host signs what its log is, others keep it, and what root does to the log afterwards shows."""

import contextlib
import json
import re

import pytest
from appliance import wait_for
from faults import crash
from lockbox import STATE, UNITS
from people import Engineer, Person
from test_audit import sql, verify
from test_faults import small_disk
from test_signed import KEYS, SIGNERS, make_key

NAMESPACE = "lockbox-checkpoint"


@pytest.fixture
def trusted(box):
    """A box whose allowed_signers has bob."""
    box.write(SIGNERS, f'bob namespaces="{NAMESPACE}" {box.read(make_key(box, "bob") + ".pub")}')
    yield box
    box.run("rm", "-rf", SIGNERS, "/root/kept")


def checkpoints(box, event="checkpoint"):
    return [json.loads(entry["LOCKBOX_JSON"]) for entry in box.events(LOCKBOX_EVENT=event)]


def access(box, ticket="CASE-7"):
    """An access from begin to receipt; its ID."""
    eng, bob = Engineer(box), Person(box)
    request = eng.enter(bob, ticket)
    bob.revoke(request)
    eng.read_to_end()
    return request


def stock(box, file, signature, signers, principal):
    """What anybody does who has OpenSSH and nothing of ours."""
    line = f"ssh-keygen -Y verify -n {NAMESPACE} -f {signers} -I {principal} -s {signature} <{file}"
    return box.run(line, check=False)


def test_after_an_end(every_box):
    """An end makes a checkpoint that covers its receipt, signed by a key that root alone can read; stock ssh-keygen
    verifies it, and status says when it was."""
    box = every_box
    request = access(box)
    entry = box.wait_event("checkpoint", lambda entry: f"Access: {request}" in entry["LOCKBOX_JSON"])
    made = json.loads(entry["LOCKBOX_JSON"])
    receipt = box.wait_event("revoked", LOCKBOX_REQUEST=request)
    assert made["count"] >= int(receipt["LOCKBOX_SEQ"])
    covered = next(e for e in box.events() if int(e["LOCKBOX_SEQ"]) == made["count"])
    assert f"Events: {made['count']}\nHash: {covered['LOCKBOX_HASH']}\n" in made["statement"]
    assert box.run("stat", "-c", "%a %U", f"{STATE}/checkpoint_key").stdout == "600 root\n"
    host = box.status()["host"]
    box.write("/root/kept/text", made["statement"])
    box.write("/root/kept/text.sig", made["signature"])
    box.write("/root/kept/signers", box.ctl("audit", "key", user="dora").stdout)
    result = stock(box, "/root/kept/text", "/root/kept/text.sig", "/root/kept/signers", host)
    assert result.returncode == 0 and made["signer"].split()[1] in result.stdout, result.stderr
    box.append("/root/kept/text", "x")
    assert stock(box, "/root/kept/text", "/root/kept/text.sig", "/root/kept/signers", host).returncode != 0
    assert box.status()["checkpoint"] >= int(entry["LOCKBOX_SEQ"])
    assert "Signed:   checkpoint" in box.ctl("status").stdout
    said = verify(box)
    assert said["whole"] and said["checkpoint"]["signature"] == "good"


def test_who_may_ask(trusted):
    """Auditors and root get one now, ten a minute; others a clear refusal. The key is for whoever has a part in this."""
    box = trusted
    assert box.ctl("audit", "checkpoint", user="dora").stdout.startswith("Lockbox checkpoint, version 1\n")
    for name in ("bob", "eng"):
        refused = box.ctl("audit", "checkpoint", user=name, check=False)
        assert refused.returncode == 4 and "only root and auditors" in refused.stderr
    assert NAMESPACE in box.ctl("audit", "key", user="bob").stdout
    assert box.ctl("audit", "key", user="admin", check=False).returncode == 4
    before = len(checkpoints(box))
    output = box.run("for i in $(seq 12); do lockboxctl audit checkpoint 2>&1; done; true").stdout
    assert output.count("Lockbox checkpoint") == 10 and output.count("try again in a minute") == 2
    wait_for(lambda: len(checkpoints(box)) == before + 10, what="ten more")


def test_kept_and_countersigned(trusted):
    """bob signs the checkpoint and keeps it; what he handed in is in the log. Root cuts the database off, or writes it
    anew with all of its hashes: what bob kept shows it, and so does handing it in again (row 34)."""
    box = trusted
    access(box)
    box.run("mkdir", "-p", "/root/kept")
    box.ctl("audit", "checkpoint", "-o", "/root/kept/c", "--sign", f"{KEYS}/bob", "--approver", "bob")
    again = box.ctl("audit", "checkpoint", "-o", "/root/kept/c", check=False)
    assert again.returncode == 1 and "exists" in again.stderr
    text = box.read("/root/kept/c")
    event = json.loads(box.wait_event("countersigned")["LOCKBOX_JSON"])
    assert (event["approver"], event["statement"], event["signature"]) == ("bob", text, box.read("/root/kept/c.countersig"))
    assert stock(box, "/root/kept/c", "/root/kept/c.countersig", SIGNERS, "bob").returncode == 0
    handed = box.ctl("audit", "countersign", "/root/kept/c", "/root/kept/c.countersig", "--approver", "bob", user="root")
    assert "countersigned with ED25519" in handed.stderr and len(checkpoints(box, "countersigned")) == 1
    assert verify(box, "--known", "/root/kept/c")["whole"]
    assert ", and as it was known.\n" in box.ctl("audit", "verify", "--known", "/root/kept/c").stdout
    last = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Events"))

    box.systemctl("stop", *UNITS)
    sql(box, f"DELETE FROM events WHERE seq > {last - 3}")
    sql(box, "DELETE FROM requests")
    box.systemctl("start", *UNITS)  # the daemon goes on with what is there, and cannot know
    first = verify(box, "--known", "/root/kept/c", status=1)["first"]
    assert first["flaw"] in ("missing", "rewritten") and first["seq"] in (last - 2, last), first
    refused = box.ctl("audit", "countersign", "/root/kept/c", "/root/kept/c.countersig", "--approver", "bob", check=False)
    assert refused.returncode == 1 and ("cut off" in refused.stderr or "written anew" in refused.stderr)
    assert verify(box)["whole"]  # by itself it is a good log


def test_no_room_to_keep_it(trusted):
    """Where it cannot be kept as a whole, nothing of it is there that looks like it; when there is room again, it can."""
    box = trusted
    box.run("mkdir -p /tmp/small; mount -t tmpfs -o size=4k none /tmp/small")
    try:
        failed = box.ctl("audit", "checkpoint", "-o", "/tmp/small/c", check=False)
        assert failed.returncode == 1 and "No space left" in failed.stderr
        assert box.run("ls", "-A", "/tmp/small").stdout == ""
        box.run("mount -o remount,size=64k /tmp/small")
        box.ctl("audit", "checkpoint", "-o", "/tmp/small/c")
        assert box.run("ls", "-A", "/tmp/small").stdout.split() == ["c", "c.sig"]
    finally:
        box.run("umount", "/tmp/small")


def test_nobody_else_countersigns(trusted):
    """Another's key, another namespace, a text of another host: refused, and nothing of it is in the log."""
    box = trusted
    text = box.ctl("audit", "checkpoint").stdout.split("-----BEGIN")[0]

    def hand_in(statement, key="bob", namespace=NAMESPACE, name="bob"):
        line = f"ssh-keygen -q -Y sign -n {namespace} -f {make_key(box, key)}"
        signature = box.run(line, input=statement).stdout
        return box.ctl("audit", "countersign", "--approver", name, input=statement + signature, user="nobody", check=False)

    for result in (hand_in(text, key="carol"), hand_in(text, namespace="file"), hand_in(text, name="carol")):
        assert result.returncode == 4 and "no signature of" in result.stderr, result.stderr
    other = text.replace(f"Host: {box.status()['host']}", "Host: elsewhere")
    assert "it is of elsewhere" in hand_in(other).stderr
    assert "no checkpoint" in hand_in(text + "x\n").stderr
    assert checkpoints(box, "countersigned") == []
    assert hand_in(text).returncode == 0


def test_forged_in_the_journal(box):
    """A journal's copy whose last checkpoint another key made: found with the host's key at hand, and said to be not
    checked without (row 34)."""
    access(box)
    box.ctl("audit", "checkpoint")
    box.write("/root/kept/key.pub", box.read(f"{STATE}/checkpoint_key.pub"))
    last = box.status()["events"]
    wait_for(lambda: box.status()["journal_behind"] == 0, what="the journal")
    box.run(f"journalctl --sync; journalctl -q -o export --after-cursor='{box.since}' >/root/kept/journal")
    said = verify(box, "--journal", "/root/kept/journal")
    assert said["checkpoint"] == {**said["checkpoint"], "seq": last, "signature": "not checked"}
    said = verify(box, "--journal", "--key", "/root/kept/key.pub", "/root/kept/journal")
    assert said["checkpoint"]["signature"] == "good"
    box.write("/root/kept/other.pub", box.read(make_key(box, "carol") + ".pub"))
    said = verify(box, "--journal", "--key", "/root/kept/other.pub", "/root/kept/journal", status=1)
    assert said["checkpoint"]["signature"] == "bad"
    told = box.ctl("audit", "verify", "--journal", "--key", "/root/kept/other.pub", "/root/kept/journal", check=False)
    assert f"the checkpoint that is event {last} was not signed by the host's key" in told.stderr


@contextlib.contextmanager
def no_keygen(box):
    """ssh-keygen is not there."""
    box.run("mv", "/usr/bin/ssh-keygen", "/usr/bin/ssh-keygen.away")
    try:
        yield
    finally:
        box.run("mv", "/usr/bin/ssh-keygen.away", "/usr/bin/ssh-keygen")


def test_what_cannot_be_signed_stops_nothing(box):
    """Without ssh-keygen accesses begin and end as always; status tells, and says so no more when it is back."""
    with no_keygen(box):
        access(box)
        wait_for(lambda: "ssh-keygen" in box.status().get("checkpoint_problem", ""), what="the problem")
        assert "problem" not in box.status()
        asked = box.ctl("audit", "checkpoint", check=False)
        assert asked.returncode == 1 and "ssh-keygen" in asked.stderr
    assert "Lockbox checkpoint" in box.ctl("audit", "checkpoint").stdout
    assert "checkpoint_problem" not in box.status()


def test_killed_before_it_has_signed(box):
    """An end whose checkpoint the daemon did not live to sign gets it at the next start."""
    with no_keygen(box):
        request = access(box)
        receipt = box.wait_event("revoked", LOCKBOX_REQUEST=request)
    crash(box)
    seq = int(receipt["LOCKBOX_SEQ"])
    box.wait_event("checkpoint", lambda entry: json.loads(entry["LOCKBOX_JSON"])["count"] >= seq)


def test_another_log_in_its_place(trusted):
    """Root takes the log away, with its key, and a new one begins: by itself it is whole, but not the one that was kept,
    and its checkpoints are not signed by the key that is known (row 34)."""
    box = trusted
    access(box)
    box.run("mkdir", "-p", "/root/kept")
    box.ctl("audit", "checkpoint", "-o", "/root/kept/c")
    box.write("/root/kept/signers", box.ctl("audit", "key").stdout)
    assert verify(box, "--known", "/root/kept/c", "--key", "/root/kept/signers")["checkpoint"]["signature"] == "good"
    box.systemctl("stop", *UNITS)
    box.run(f"rm -rf {STATE}/*")
    box.systemctl("start", *UNITS)
    access(box)
    box.ctl("audit", "checkpoint")
    said = verify(box)
    assert said["whole"] and said["checkpoint"]["signature"] == "good"
    assert verify(box, "--key", "/root/kept/signers", status=1)["checkpoint"]["signature"] == "bad"
    assert verify(box, "--known", "/root/kept/c", status=1)["first"]["flaw"] in ("rewritten", "missing")


def test_a_full_disk_and_checkpoints(box):
    """Where nothing can be recorded no checkpoint is, and that is said; the access ends all the same. When there is room
    again, it is signed with everything that was late (row 39)."""
    with small_disk(box) as fill:
        eng, bob = Engineer(box), Person(box)
        request = eng.enter(bob)
        box.run("rm", f"{STATE}/reserve")
        fill()
        bob.ctl("revoke", request, check=False)
        eng.read_to_end()
        asked = box.ctl("audit", "checkpoint", check=False)
        assert asked.returncode == 1 and "cannot do it now" in asked.stderr, asked.stderr
        box.run("rm", f"{STATE}/fill")
        receipt = box.wait_event("revoked", LOCKBOX_REQUEST=request)
        text = box.ctl("audit", "checkpoint").stdout
        covered = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Events"))
        assert covered >= int(receipt["LOCKBOX_SEQ"])
        assert verify(box)["whole"]


def test_a_bit_of_the_disk(box):
    """One bit of an old event flips: verify names it, what runs goes on and can be ended, and logins that are not gated
    notice nothing (row 39)."""
    access(box)
    box.systemctl("stop", *UNITS)
    path = box.root / f"{STATE[1:]}/lockbox.db"
    ((seq, approved),) = sql(box, "SELECT seq, json FROM events WHERE json GLOB '*\"event\":\"approved\"*'")
    data = bytearray(path.read_bytes())
    # A record may go on in another page, in the middle of a word: its time or its prev is whole.
    word = next(word for word in re.findall(r'(?<=:)\d{16}|"\w{64}"', approved) if data.count(word.encode()) == 1)
    data[data.index(word.encode()) + 3] ^= 1
    path.write_bytes(data)
    box.systemctl("start", *UNITS)
    said = verify(box, status=1)
    assert (said["first"]["flaw"], said["first"]["seq"]) == ("changed", seq)
    access(box, "CASE-8")
    assert box.client.ssh_run("admin", "echo in", key="admin").stdout == "in\n"
