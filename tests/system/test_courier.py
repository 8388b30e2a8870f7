# SPDX-License-Identifier: LGPL-2.1-or-later
"""lockbox-courier: what happens is told to those who are not there, once, and whatever becomes of it decides nothing."""

import json

import pytest
from appliance import wait_for
from courier import SECRET, Courier, kind, signature
from people import Engineer, Person


@pytest.fixture
def courier(box):
    made = Courier(box)
    yield made
    made.stop()


def test_an_event_arrives(box, courier):
    """As Standard Webhooks has it, with what lockboxctl shows of the event and the request."""
    secret = courier.secret()
    courier.configure(courier.hook(extra=f"Secret={secret}"))
    request = Engineer(box).request()
    line = courier.wait_received(lambda line: kind(line) == "requested")
    body = json.loads(line["body"])
    assert line["headers"]["webhook-signature"] == signature(SECRET, line)
    assert line["headers"]["webhook-id"].startswith(f"{request}.{body['event']['seq']}.siem@")
    shown = json.loads(box.ctl("show", request, "--json").stdout)
    assert body["request"] == shown
    events = [json.loads(event) for event in box.ctl("events", request, "--json").stdout.splitlines()]
    assert body["event"] == events[0]
    Person(box).deny(request)
    courier.wait_received(lambda line: kind(line) == "denied")
