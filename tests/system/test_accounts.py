# SPDX-License-Identifier: LGPL-2.1-or-later
"""Row 19: accounts with odd names, several names of one account, names that look like numbers or like other accounts."""

import json

import pytest
from lockbox import GATED
from people import WAIT, Engineer, Person, requests, show

RULE = "[Rule]\nAction=require-approval\n"
NO_REQUEST, NOT_PERMITTED = 3, 4
HOSTILE = "ev\x1b[31mil"

# name → uid. All but the last can log in; useradd would take some of them, an LDAP server all.
NAMES = {
    "eng.dot": 7001, "eng-dash-": 7002, "machine$": 7003, "Upper": 7004, "a" * 32: 7005, "b" * 33: 7006, "7008": 7007,
    "under_score": 7008, "DOMAIN\\eng": 7009, "grüße": 7010, "x" * 200: 7011,
}


@pytest.fixture
def odd(box):
    """The accounts, gated, with alice's key; and two more names of eng's uid, one of them gated."""
    uid, gid = box.account("eng").pw_uid, box.account("eng").pw_gid
    box.run("cp -a /etc/passwd /etc/group /etc/gshadow /etc/shadow /root/; install -d /home/odd/.ssh")
    box.run("cp /home/eng/.ssh/authorized_keys /home/odd/.ssh/; chmod -R a+rX /home/odd")
    lines = [f"{name}:*:{number}:{gid}::/home/odd:/bin/bash\n" for name, number in {**NAMES, HOSTILE: 7012}.items()]
    lines += [f"{name}:*:{uid}:{gid}::/home/eng:/bin/bash\n" for name in ("eng-too", "eng-unlisted")]
    box.append("/etc/passwd", "".join(lines))
    members = ",".join([*NAMES, HOSTILE, "eng-too"])
    box.run("sed", "-i", f"s/^{GATED}:.*/&,{members}/".replace("\\eng", "\\\\eng"), "/etc/group")
    box.write("/etc/ssh/sshd_config.d/01-odd.conf", "StrictModes no\n")
    box.restart("ssh.service")
    box.policy(RULE)
    yield box
    box.run("cp -a /root/passwd /root/group /root/gshadow /root/shadow /etc/; rm /etc/ssh/sshd_config.d/01-odd.conf")
    box.restart("ssh.service")


def begin(box, **parameters):
    """Login.Begin, as the module calls it."""
    message = json.dumps({"method": "org.lockbox.Login.Begin", "parameters": parameters}) + "\0"
    reply = box.run("nc", "-N", "-U", "/run/lockbox/login.socket", input=message).stdout
    return json.loads(reply.rstrip("\0"))["parameters"]


def ask_for(box, account, ticket="T-1"):
    login = {"account": account, "service": "sshd", "scope": "login"}
    return begin(box, login=login, ticket=ticket, reason="why")


def test_odd_names(odd):
    """Each is asked, is one account by its exact name, and is let in to no other."""
    for name in NAMES:
        reply = ask_for(odd, name)
        assert reply["verdict"] == "waiting", (name, reply)
        request = show(odd, reply["request"])
        assert (request["account"], request["uid"]) == (name, NAMES[name])
    assert len(requests(odd)) == len(NAMES)
    for name in ("7007", "upper", "ENG", "eng ", " eng", "eng\n", "eng/../root", "", "-eng", "7008 ", "b" * 32, "x" * 199):
        assert "no such account" in ask_for(odd, name)["message"], name
    assert len(requests(odd)) == len(NAMES)


def test_a_name_that_no_reader_could_tell(odd):
    """An account whose name is a control sequence is no account here (row 11)."""
    assert "no such account" in ask_for(odd, HOSTILE)["message"]
    assert requests(odd) == []


@pytest.mark.parametrize("name", ["eng.dot", "machine$", "Upper", "a" * 32, "7008", "grüße"])
def test_odd_names_log_in(odd, name):
    """Through sshd and PAM as well, with an approval that opens this account and no other."""
    engineer = Engineer(odd, name)
    request = engineer.request()
    assert show(odd, request)["account"] == name
    engineer.wait()
    Person(odd).approve(request)
    engineer.at_shell()
    assert Engineer(odd, "under_score").request() != request


def test_two_names_of_one_account(odd):
    """A second name of the same uid is the same account: same request, same limits, same one engineer at a time."""
    first = ask_for(odd, "eng")
    assert ask_for(odd, "eng-too")["request"] == first["request"]
    assert [r["account"] for r in requests(odd)] == ["eng"]
    Engineer(odd, "eng").enter(Person(odd))
    odd.client.authorize("eng", "alice", "albert")
    other = Engineer(odd, "eng-too", key="albert")
    request = other.request("CASE-9")
    other.wait()
    Person(odd).approve(request)
    other.terminal.expect_exact("in use by")
    other.terminal.expect_exact(WAIT)


def test_an_alias_decides_nothing_about_himself(odd):
    """Another name of the engineer's uid is the engineer (row 15)."""
    odd.policy(RULE + "[Approval]\nCustomer=bob eng-unlisted\n")
    request = ask_for(odd, "eng")["request"]
    result = odd.client.ssh_run("eng-unlisted", f"lockboxctl approve {request}", key="alice", check=False)
    assert result.returncode in (NO_REQUEST, NOT_PERMITTED) and show(odd, request)["state"] == "pending"
