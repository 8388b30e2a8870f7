# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every way to log in by ssh, in every state that a request can be in: what is shown, and what happens."""

import pytest
from people import BATCH, KEY, Engineer, Person, grant, requests, show

CERTIFICATE = {"key": "carl", "certificate": "carl"}
KEYBOARD = {"methods": "keyboard-interactive", "port": 2201}
PASSWORD = {"methods": "password", "port": 2201}
KEY_ALONE = {"key": "alice", "port": 2201}

# A door beside the shipped ones as sshd has it by itself: any one method is enough.
DOORS = """\
Port 2201
Match LocalPort 2201
    AuthenticationMethods publickey password keyboard-interactive
Match all
"""
DROP_IN = "/etc/ssh/sshd_config.d/05-test.conf"

RULE = "[Rule]\nAction=require-approval\n"
POLICY = RULE + "[Request]\nTicket=required\n"
NOT_YET = "There is no approved request for eng yet."

# Where the engineer can be asked, he is asked; where not, another login of his makes the request.
ASKING = {"key": KEY, "certificate": CERTIFICATE, "keyboard": KEYBOARD}
SILENT = {"batch": (KEY, BATCH), "key-alone": (KEY, KEY_ALONE), "password": (KEYBOARD, PASSWORD)}


@pytest.fixture
def doors(every_box):
    every_box.client.certificate("carl", "carl@vendor.example", ["eng"])
    every_box.write(DROP_IN, DOORS)
    every_box.restart("ssh.service")
    every_box.policy(POLICY)
    yield every_box
    every_box.run("rm", DROP_IN)
    every_box.restart("ssh.service")


@pytest.mark.parametrize("method", ASKING)
def test_a_login_that_can_be_asked(doors, method):
    """No request, pending, denied, withdrawn, approved, revoked, expired: each is said, one alone opens (row 1)."""
    eng, bob = Engineer(doors, **ASKING[method]), Person(doors)

    first = eng.request("CASE-1")
    assert show(doors, first)["state"] == "pending"
    eng.hang_up()

    eng.connect()
    if method == "keyboard":  # nobody knows who it is: the ticket finds the request
        eng.ask("CASE-1")
    assert eng.read_request() == first
    bob.deny(first, "--note", "not today")
    eng.wait()
    assert f"Request {first} was denied by bob: not today." in eng.read_to_end()
    assert eng.status() == 255

    second = eng.request("CASE-2")
    assert show(doors, second)["previous"] == f"{first}, denied by bob"
    eng.wait("!withdraw")
    assert f"Request {second} is withdrawn." in eng.read_to_end()

    third = eng.enter(bob)
    assert "eng" in eng.run("id -un")
    bob.revoke(third)
    eng.read_to_end()

    doors.policy(RULE + "[Request]\nExpireAfter=2s\n")
    fourth = eng.request("CASE-4")
    eng.wait()
    assert f"Request {fourth} is over (expired)." in eng.read_to_end()
    states = {r["id"]: r["state"] for r in requests(doors)}
    assert states == {first: "denied", second: "withdrawn", third: "revoked", fourth: "expired"}


@pytest.mark.parametrize("method", SILENT)
def test_a_login_that_cannot_be_asked(doors, method):
    """Where nobody can be asked, an access that runs lets in, every other state refuses and says so (row 1)."""
    asker, login = SILENT[method]
    eng, bob = Engineer(doors, **login), Person(doors)

    def refused():
        text = eng.connect("id").read_to_end()
        return "uid=" not in text and NOT_YET in text

    assert refused(), "no request"
    asked = Engineer(doors, **asker)
    request = asked.request()
    assert refused(), "pending"
    bob.deny(request)
    assert refused(), "denied"
    asked.hang_up()
    asked.request()
    asked.wait("!withdraw")
    asked.read_to_end()
    assert refused(), "withdrawn"

    request = grant(doors, bob, **asker)
    assert "uid=" in eng.connect("id").read_to_end()
    bob.revoke(request)
    assert refused(), "revoked"
    request = grant(doors, bob, "1s", **asker)
    doors.wait_event("ended", LOCKBOX_REQUEST=request)
    assert refused(), "time over"


def test_the_shipped_doors(every_box):
    """Gated accounts need the key first at both doors, and words after it at one; nobody else has the batch door."""

    def offered(account, **options):
        return every_box.client.ssh_run(account, "id", check=False, **options).stderr

    assert "Permission denied (publickey)." in offered("eng", methods="password,keyboard-interactive")
    assert "Permission denied (publickey)." in offered("eng", methods="password,keyboard-interactive", port=2222)
    assert "Permission denied (keyboard-interactive)." in offered("eng", **KEY)
    assert NOT_YET in offered("eng", **BATCH)
    assert every_box.client.ssh_run("admin", "id", key="admin").returncode == 0
    assert "Permission denied" in offered("admin", key="admin", port=2222)
