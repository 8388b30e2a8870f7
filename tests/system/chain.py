# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks the event log from its copy in the journal alone, as a third party would."""

import hashlib
import json

GENESIS = "0" * 64


def verify(entries):
    """Raises AssertionError unless these journal entries are the whole log so far, in order and unchanged.

    The journal may have an event twice (it is sent at least once), but then it is the same one. Returns the events.
    """
    events = []
    hashes = [GENESIS]
    for entry in entries:
        text = entry["LOCKBOX_JSON"]
        event = json.loads(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        seq = int(entry["LOCKBOX_SEQ"])
        assert digest == entry["LOCKBOX_HASH"], f"{seq} was changed"
        assert (event["seq"], event["event"]) == (seq, entry["LOCKBOX_EVENT"]), f"the fields of {seq} were changed"
        assert seq <= len(events) + 1, f"{len(events) + 1} to {seq - 1} are missing"
        if seq <= len(events):
            assert digest == hashes[seq], f"there are two of {seq}"
            continue
        assert event["prev"] == entry["LOCKBOX_PREV"] == hashes[-1], f"{seq} does not follow the one before"
        events.append(event)
        hashes.append(digest)
    return events
