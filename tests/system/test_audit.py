# SPDX-License-Identifier: LGPL-2.1-or-later
"""The trail cannot be shortened or changed unseen: verified in the database and in the journal, and exported."""

import csv
import hashlib
import io
import json
import sqlite3

import pytest

from lockbox import STATE, UNITS
from people import Engineer, Person

DATABASE = f"{STATE}/lockbox.db"


@pytest.fixture
def story(box):
    """An access from the first question to the receipt, in the database and in the journal; its ID."""
    eng, bob = Engineer(box), Person(box)
    request = eng.enter(bob, "CASE-7", "=cmd|' /C calc'!A0", "1h")
    bob.revoke(request)
    eng.read_to_end()
    box.wait_event("revoked", LOCKBOX_REQUEST=request)
    return request


def verify(box, *arguments, status=0, user=None):
    """What verify says, for programs; its exit status is the one that is expected."""
    result = box.ctl("audit", "verify", "--json", *arguments, check=False, user=user)
    assert result.returncode == status, result.stdout + result.stderr
    return json.loads(result.stdout)


def sql(box, statement):
    """As root would who wants something changed; the machine needs no sqlite3 for it."""
    with sqlite3.connect(box.root / DATABASE[1:]) as database:
        found = database.execute(statement).fetchall()
    database.close()
    return found


def export_journal(box, path="/root/journal.export"):
    """Everything in the journal since the log began, whoever wrote it, as journalctl exports it."""
    box.run("journalctl", "--sync")
    box.run(f"journalctl --quiet --output=export --after-cursor='{box.since}' >{path}")
    return path


def test_a_real_story_is_whole(box, story):
    """Database and journal have the same events; root reads the file, an auditor what the daemon shows him."""
    database = verify(box)
    assert database["whole"] and database["events"] == box.status()["events"]
    copy = verify(box, "--journal", export_journal(box))
    assert copy["whole"] and copy["last"] == database["last"]
    known = "{seq}:{hash}".format(**database["last"])
    assert verify(box, "--known", known)["whole"]
    assert verify(box, user="dora")["last"] == database["last"]
    assert "The trail is whole" in box.ctl("audit", "verify").stdout
    outsider = box.ctl("audit", "verify", user="admin", check=False)
    assert outsider.returncode == 4 and "not permitted" in outsider.stderr


def test_a_changed_database_is_named(box, story):
    """Root edits the database: one event, the last ones, the table of requests (row 34)."""
    before = verify(box)["last"]
    known = "{seq}:{hash}".format(**before)
    box.systemctl("stop", *UNITS)
    last = verify(box)["last"]["seq"]  # it has written that it stopped
    ((seq,),) = sql(box, f"SELECT seq FROM events WHERE request = '{story}' AND json LIKE '%\"event\":\"approved\"%'")
    sql(box, f"UPDATE events SET json = replace(json, 'bob', 'b0b') WHERE seq = {seq}")
    assert verify(box, status=1)["first"]["seq"] == seq
    assert f"event {seq} was changed" in box.ctl("audit", "verify", check=False).stderr
    sql(box, f"UPDATE events SET json = replace(json, 'b0b', 'bob') WHERE seq = {seq}")
    assert verify(box)["whole"]
    sql(box, f"UPDATE requests SET engineer = 'b0b' WHERE id = '{story}'")
    assert verify(box, status=1)["request"] == story
    sql(box, f"DELETE FROM events WHERE seq BETWEEN {seq} AND {last}")
    assert verify(box, "--known", known, status=1)["first"] == {
        "flaw": "missing", "seq": seq, "to": before["seq"], "how": "the end is cut off"}


def test_the_journal_tells_what_the_database_hides(box, story):
    """Events that root takes out of the journal's copy are named; what is known of the end shows a cut (row 34)."""
    path = export_journal(box)
    last = verify(box)["last"]
    entries = (box.root / path[1:]).read_bytes().split(b"\n\n")
    ours = [i for i, entry in enumerate(entries) if b"\nLOCKBOX_SEQ=" in entry]
    middle, end = ours[len(ours) // 2], ours[-1]

    def without(*dropped):
        kept = b"\n\n".join(entry for i, entry in enumerate(entries) if i not in dropped)
        (box.root / "root/damaged").write_bytes(kept)
        return "/root/damaged"

    first = verify(box, "--journal", without(middle), status=1)["first"]
    assert (first["flaw"], first["seq"]) == ("missing", len(ours) // 2 + 1)
    cut = without(end)
    assert verify(box, "--journal", cut)["whole"]
    known = "{seq}:{hash}".format(**last)
    first = verify(box, "--journal", "--known", known, cut, status=1)["first"]
    assert (first["flaw"], first["seq"]) == ("missing", last["seq"])


def test_a_machine_that_began_anew(box, story):
    """A log that is begun anew in the place of another is not taken for its continuation (row 34)."""
    began = box.since
    box.reset()
    box.policy("[Rule]\nAction=deny\n")
    box.since = began
    assert verify(box)["whole"]
    assert verify(box, "--journal", export_journal(box), status=1)["first"]["flaw"] == "twice"


def test_a_forged_entry_is_reported(box, story):
    """What a user writes with LOCKBOX_ fields is not counted, and told with his uid (row 41)."""
    whole = verify(box, "--journal", export_journal(box))
    forged = f"MESSAGE=x\nLOCKBOX_EVENT=approved\nLOCKBOX_SEQ=5\nLOCKBOX_REQUEST={story}\nLOCKBOX_JSON={{}}\n"
    for forger in ("admin", None):
        box.run("logger", "--journald", user=forger, input=forged)
    said = verify(box, "--journal", export_journal(box), status=1)
    assert (said["foreign"], said["last"], "first" in said) == (2, whole["last"], False)
    assert [stranger["uid"] for stranger in said["strangers"]] == [str(box.account("admin").pw_uid), "0"]
    told = box.ctl("audit", "verify", "--journal", "/root/journal.export", check=False)
    assert "not written by lockboxd.service, and not counted: approved as event 5" in told.stderr
    assert "The trail is whole" in told.stdout


def test_journal_files(every_box):
    """The journal itself: as it runs, its directory, one of its files."""
    box = every_box
    box.systemctl("stop", *UNITS)
    box.run("journalctl --sync; journalctl --rotate; journalctl --vacuum-size=1")
    box.reset()
    box.policy("[Rule]\nAction=deny\n")
    whole = verify(box)["last"]
    directory = box.run("ls -d /var/log/journal/*/ /run/log/journal/*/ 2>/dev/null | head -n 1").stdout.strip()
    for where in ([], [directory], [f"{directory}system.journal"]):
        said = verify(box, "--journal", *where)
        assert said["whole"] and said["last"] == whole
    assert "not what journalctl" in box.ctl("audit", "verify", "--journal", "/etc/passwd", check=False).stderr


def test_export(box, story):
    """jsonl carries the bytes that were hashed; no cell of the CSV is a formula, however a reason begins."""
    lines = box.ctl("audit", "export").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["seq"] for event in events] == list(range(1, box.status()["events"] + 1))
    assert all(hashlib.sha256(event["json"].encode()).hexdigest() == event["hash"] for event in events)
    rows = list(csv.DictReader(io.StringIO(box.ctl("audit", "export", "--format", "csv").stdout)))
    assert [int(row["seq"]) for row in rows] == [event["seq"] for event in events]
    asked = next(row for row in rows if row["event"] == "requested")
    assert (asked["ticket"], asked["reason"]) == ("CASE-7", "'=cmd|' /C calc'!A0")
    assert all(not cell.lstrip().startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    assert box.ctl("audit", "export", "--until", "-1h").stdout == ""
