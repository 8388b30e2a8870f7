# SPDX-License-Identifier: LGPL-2.1-or-later
"""The trail, off the host: every event once, in order, under names and with bytes that never change, at an HTTPS server
or in an S3-compatible store, whose signatures are checked here by Amazon's own library."""

import contextlib
import hashlib
import io
import json
import os
import re
import tarfile

import faults
import pytest
from appliance import wait_for
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from people import Engineer, Person, grant
from test_remote import CONFIG, TOKEN, UNIT, ask, clean, status, wait_failing, write_secret
from web import CA, Double, Front, url

ACCESS, SECRET_KEY, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-test-1"
BATCH = re.compile(r"/events/appliance/(\d{12})-(\d{12})\.jsonl$")
PACKER = "/usr/local/bin/packer"


class Store(Double):
    """Keeps what is put into it by those who prove who they are; `refuse` says how to answer a message instead."""

    def __init__(self, box):
        self.objects = {}
        self.refuse = lambda message: None
        super().__init__(box, self.keep)

    def keep(self, message):
        refusal = self.refuse(message)
        if refusal:
            return refusal
        if message.method != "PUT" or not self.is_known(message):
            return 403, "<Error><Code>SignatureDoesNotMatch</Code></Error>"
        known = self.objects.setdefault(message.path, message.body)
        assert known == message.body, f"{message.path} has come with other bytes"
        return 200

    def is_known(self, m):
        authorization = m.headers.get("Authorization", "")
        if not authorization.startswith("AWS4-HMAC-SHA256 "):
            return authorization == f"Bearer {TOKEN}"
        parts = dict(part.strip().split("=", 1) for part in authorization.split(" ", 1)[1].split(","))
        signed = parts["SignedHeaders"].split(";")
        assert {"host", "x-amz-content-sha256", "x-amz-date"} <= set(signed)
        headers = {name: value for name, value in m.headers.items() if name.lower() in set(signed) - {"host"}}
        request = AWSRequest("PUT", f"https://{m.headers['Host']}{m.path}", data=m.body, headers=headers)
        request.context["timestamp"] = m.headers["X-Amz-Date"]
        key, _, region, service, _ = parts["Credential"].split("/")
        auth = S3SigV4Auth(Credentials(key, SECRET_KEY), service, region)
        good = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        return (key, region, service) == (ACCESS, REGION, "s3") and good == parts["Signature"] and \
            m.headers["x-amz-content-sha256"] == hashlib.sha256(m.body).hexdigest()

    def batches(self):
        """(first, last, bytes) of each, in order."""
        found = [(BATCH.search(path), body) for path, body in self.objects.items()]
        return sorted((int(m.group(1)), int(m.group(2)), body) for m, body in found if m)

    def trail(self):
        return b"".join(body for _, _, body in self.batches()).decode()


def https(box, more=""):
    token = write_secret(box, "token", TOKEN)
    box.write(CONFIG, f"[Export]\nURL={url(path='/trail/')}\nToken={token}\nCAFile={CA}\nEvery=1h\n{more}")
    box.restart(UNIT)


def s3(box, secret=SECRET_KEY, more=""):
    secret_key = write_secret(box, "secret-key", secret)
    box.write(CONFIG, f"[Export]\nURL=s3://evidence/prefix/a+b=c/\nEndpoint={url(path='')}\nRegion={REGION}\n"
                      f"AccessKey={ACCESS}\nSecretKey={secret_key}\nCAFile={CA}\nEvery=1h\n{more}")
    box.restart(UNIT)


def last_event(box):
    return int(json.loads(box.ctl("status", "--json").stdout)["events"])


def end_an_access(box):
    """One from begin to end; returns its ID, and the seq of its receipt."""
    person = Person(box)
    request = grant(box, person)
    person.revoke(request)
    return request, int(box.wait_event("revoked", LOCKBOX_REQUEST=request)["LOCKBOX_SEQ"])


def await_all(store, upto):
    wait_for(lambda: store.batches() and store.batches()[-1][1] >= upto, timeout=30, what=f"event {upto} in the store")


def assert_whole(box, store):
    """What is in the store is what `audit export` prints, each event once."""
    batches = store.batches()
    assert batches[0][0] == 1
    assert all(later[0] == earlier[1] + 1 for earlier, later in zip(batches, batches[1:]))
    exported = box.ctl("audit", "export", "--format", "jsonl").stdout
    assert exported.startswith(store.trail())


@contextlib.contextmanager
def open_store(box):
    clean(box)
    with Front(box), contextlib.closing(Store(box)) as store:
        yield store
        clean(box)


@pytest.fixture
def store(box):
    with open_store(box) as s:
        yield s


@pytest.fixture
def any_store(every_box):
    with open_store(every_box) as s:
        yield s


def test_the_trail_over_https(store):
    """At the start, and at the end of each access; each line as `audit export` has it."""
    box = store.box
    https(box)
    await_all(store, 1)
    request, seq = end_an_access(box)
    await_all(store, seq)
    assert_whole(box, store)
    message = next(m for m in store.messages if BATCH.search(m.path))
    assert message.path.startswith("/trail/events/appliance/000000000001-")
    assert message.headers["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in store.trail().splitlines()]
    assert all(hashlib.sha256(line["json"].encode()).hexdigest() == line["hash"] for line in lines)
    now = status(box, "export")
    assert now["state"] == "connected" and now["waiting"] == 0 and now["position"] >= seq
    lines = [line.strip() for line in box.ctl("courier", "status").stdout.splitlines()]
    assert "export: connected" in lines and "remote: disabled" in lines


def test_on_schedule(store):
    """What is no end of an access comes when it is due."""
    box = store.box
    https(box, "")
    await_all(store, 1)
    box.run("sed", "-i", "s/^Every=.*/Every=1s/", CONFIG)
    box.restart(UNIT)
    Engineer(box).request()
    await_all(store, int(box.wait_event("requested")["LOCKBOX_SEQ"]))


def test_s3(any_store):
    """Signed, path and payload included, as Amazon's library signs it; a wrong key is refused, and shown."""
    store, box = any_store, any_store.box
    s3(box, "another-secret")
    now = wait_failing(box, "HTTP 403 (SignatureDoesNotMatch)", "export")
    assert now["waiting"] == 1 and not store.objects
    told = box.wait_event("undelivered", lambda entry: "export to export: " in entry["MESSAGE"], timeout=90)
    assert "403" in told["MESSAGE"]
    write_secret(box, "secret-key", SECRET_KEY)
    await_all(store, 1)
    _, seq = end_an_access(box)
    await_all(store, seq)
    assert_whole(box, store)
    assert all(path.startswith("/evidence/prefix/a+b=c/") for path in store.objects)


def test_retry(store):
    """Who has mended the store need not wait until it is tried again."""
    store.refuse = lambda m: (503, "", {"Retry-After": "3600"})
    https(store.box)
    wait_failing(store.box, "HTTP 503", "export")
    store.refuse = lambda m: None
    assert "0 to be sent again; what waits" in store.box.ctl("courier", "retry").stdout
    await_all(store, 1)


def test_the_same_name_has_the_same_bytes_at_each_try(store):
    """A store that fails, or hangs up when it has it, and a courier that is killed meanwhile: what is tried again is
    what was tried first, although more has happened since; a store with object lock never sees two versions."""
    box = store.box
    store.refuse = lambda m: 500
    https(box)
    first = store.wait(lambda m: BATCH.search(m.path))
    _, seq = end_an_access(box)
    box.systemctl("kill", "--signal=KILL", UNIT)
    again = store.wait(lambda m: BATCH.search(m.path), after=len(store.messages))
    assert (again.path, again.body) == (first.path, first.body)
    kept = {}

    def keep_and_hang_up(m):
        """The store has it; the courier does not hear of it."""
        if m.path not in kept:
            kept[m.path] = store.objects[m.path] = m.body
            return 503, "", {"Retry-After": "1"}
        return None

    store.refuse = keep_and_hang_up
    await_all(store, seq)
    wait_for(lambda: status(box, "export")["waiting"] == 0, timeout=30, what="all to be sent")
    assert_whole(box, store)
    assert len(store.messages) > 2 * len(store.batches())


@pytest.mark.parametrize("turn", range(int(os.environ.get("LOCKBOX_REPEAT", "1"))))
def test_killed_at_any_moment(store, turn):
    """kill -9 again and again while an access ends: each event is there once."""
    box = store.box
    https(box, "")
    person = Person(box)
    request = grant(box, person)
    box.run(f"for i in 1 2 3 4; do systemctl kill --signal=KILL {UNIT}; lockboxctl list >/dev/null; done")
    person.revoke(request)
    seq = int(box.wait_event("revoked", LOCKBOX_REQUEST=request)["LOCKBOX_SEQ"])
    box.run(f"systemctl kill --signal=KILL {UNIT}; systemctl reset-failed {UNIT}; systemctl restart {UNIT}")
    await_all(store, seq)
    assert_whole(box, store)


def test_a_log_that_was_begun_anew_is_said(store):
    """Its names would be those of the old one."""
    box = store.box
    https(box)
    await_all(store, 1)
    names = set(store.objects)
    box.systemctl("stop", "lockboxd.service")
    box.run("rm -rf /var/lib/lockbox/*")
    box.systemctl("start", "lockboxd.service")
    box.restart(UNIT)
    wait_failing(box, "begun anew", "export")
    assert set(store.objects) == names


def test_evidence_packs(store):
    """One of each access that has ended, made by a program of ours, which is tried again where it fails."""
    box = store.box
    box.write(PACKER, '#!/bin/sh\n[ "$1 $2 $4" = "audit pack -o" ] || exit 2\n'
                      '[ -e /run/lockbox-courier/fail ] && { echo "not yet" >&2; exit 1; }\n'
                      'echo "pack of $3, by $(id -un)" >"$5"\n', mode=0o755)
    box.write(f"/etc/systemd/system/{UNIT}.d/packer.conf", "[Service]\nExecStart=\nExecStart=/usr/libexec/lockbox/"
                                                           f"lockbox-courier --packer {PACKER}\n")
    box.systemctl("daemon-reload")
    https(box, "Packs=yes\n")
    await_all(store, 1)
    box.run("touch /run/lockbox-courier/fail")
    request, seq = end_an_access(box)
    await_all(store, seq)
    wait_failing(box, "not yet", "export")
    box.run("rm /run/lockbox-courier/fail")
    path = f"/trail/packs/appliance/{request}.tar"
    store.wait(lambda m: m.path == path)
    assert store.objects[path] == f"pack of {request}, by lockbox-courier\n".encode()
    assert status(box, "export")["state"] == "connected"


def test_the_pack_is_the_real_one(store):
    """Made by lockboxctl in the courier's own sandbox, checkpoint and all."""
    https(store.box, "Packs=yes\n")
    request, _ = end_an_access(store.box)
    path = f"/trail/packs/appliance/{request}.tar"
    store.wait(lambda m: m.path == path)
    with tarfile.open(fileobj=io.BytesIO(store.objects[path])) as tar:
        names = [name.split("/")[1] for name in tar.getnames()]
    assert {"events.jsonl", "checkpoint.sig", "receipt.json", "signers", "VERIFY.txt", "SHA256SUMS"} <= set(names)


def test_who_may_not_read_all_is_told(store):
    """An export with gaps would look like one: as an approver the courier may read some of the events alone."""
    box = store.box
    box.run("gpasswd", "-d", "lockbox-courier", "lockbox-auditors")
    box.run("gpasswd", "-a", "lockbox-courier", "lockbox-approvers")
    try:
        Person(box).deny(ask(box))
        https(box)
        wait_failing(box, "lockbox-auditors", "export")
        assert not store.objects
    finally:
        box.run("gpasswd", "-d", "lockbox-courier", "lockbox-approvers")
        box.run("gpasswd", "-a", "lockbox-courier", "lockbox-auditors")


def test_bounded_memory(store):
    """A long log is read page by page, and sent from a file."""
    box = store.box
    https(box)
    await_all(store, 1)
    _, seq = end_an_access(box)
    await_all(store, seq)
    peak = box.run(f"cat /proc/{faults.main_pid(box, UNIT)}/status").stdout
    assert int(re.search(r"VmHWM:\s+(\d+)", peak).group(1)) < 64 * 1024


def test_the_test(store):
    """`courier test export` puts an object that says what it is."""
    box = store.box
    for configure_ in (https, s3):
        configure_(box)
        assert box.ctl("courier", "test", "export").returncode == 0
        message = store.wait(lambda m: m.path.endswith("/test/appliance/test.txt"), after=0)
        assert message.body.startswith(b"This is a test of lockbox-courier on appliance.")
    store.objects.clear()
    s3(box, "another-secret")
    result = box.ctl("courier", "test", "export", check=False)
    assert result.returncode == 1 and "403" in result.stdout + result.stderr


def test_the_secret_key_is_in_no_log(store):
    box = store.box
    s3(box)
    await_all(store, 1)
    box.ctl("courier", "test", "export")
    assert SECRET_KEY not in box.run("journalctl -b --no-pager -o export").stdout
