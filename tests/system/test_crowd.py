# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many engineers at the door at once, and the customer's administrator, who comes from the same address."""

import time

import pexpect
import pytest
from lockbox import GATED
from people import WAIT, Engineer, requests

LOGINS, ACCOUNTS, WAITERS = 50, 10, 8
POLICY = "[Rule]\nAction=require-approval\n[Request]\nTicket=no\nReason=no\n"


@pytest.fixture
def doors(every_box):
    """Ten gated accounts."""
    box = every_box
    names = [f"crowd{n}" for n in range(ACCOUNTS)]
    box.run(f"""
        for name in {' '.join(names)}; do
            useradd --create-home --groups {GATED} $name
            cp -a /home/eng/.ssh /home/$name/ && chown -R $name /home/$name/.ssh
        done
    """)
    yield box, names
    box.close_terminals()
    box.run(f"for name in {' '.join(names)}; do userdel --force --remove $name; done", check=False)


def answer(terminal):
    """Through the question, if it is asked: True at the prompt to wait, False if the login has ended."""
    shown = terminal.expect(["]: ", WAIT, pexpect.EOF], timeout=30)
    if shown == 0:
        terminal.sendline("")
        shown = terminal.expect([WAIT, pexpect.EOF], timeout=30) + 1
    return shown == 1


def test_a_crowd_keeps_no_administrator_out(doors):
    """Row 50, row 14: eight wait, the others are told at once, an account has one request, and he gets in."""
    box, names = doors
    box.policy(POLICY)
    terminals = [Engineer(box, names[n % ACCOUNTS]).connect().terminal for n in range(LOGINS)]
    waiting = [terminal for terminal in terminals if answer(terminal)]
    start = time.monotonic()
    assert box.client.ssh_run("admin", "echo in", key="admin").stdout == "in\n"
    assert time.monotonic() - start < 3
    assert len(waiting) == WAITERS == box.status()["waiters"]
    told = [terminal.before for terminal in terminals if terminal not in waiting]
    assert all("still pending" in " ".join(text.split()) for text in told)
    assert len(requests(box)) == ACCOUNTS
