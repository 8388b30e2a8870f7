# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the system tests: one boot per image for the whole run, and lockbox set up in it once.

    bookworm, trixie   a booted machine, with client users; lockbox may or may not be on it yet
    appliance          each of the two in turn, for what does not need lockbox
    box                bookworm with lockbox set up, clean again for every test
    every_box          the same on each of the two
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lockbox import Box  # noqa: E402  (found through the line above)

TOP = Path(__file__).resolve().parents[2]
SUITES = ["bookworm", "trixie"]

# Several side by side (pytest -n): each has a place of its own for its machines.
if "PYTEST_XDIST_WORKER" in os.environ:
    for place in ("LOCKBOX_TEST_RUN", "LOCKBOX_TEST_CGROUP"):
        os.environ[place] += "/" + os.environ["PYTEST_XDIST_WORKER"]
        Path(os.environ[place]).mkdir()


def pytest_collection_modifyitems(items):
    """The files with the most tests first: side by side, the last ones to end are short ones."""
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (-tests[item.path], item.path))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows what the machine wrote into its journal last."""
    report = (yield).get_result()
    machine = next((value for value in item.funcargs.values() if isinstance(value, Box)), None)
    if report.failed and machine and machine.leader:
        journal = machine.run("journalctl --boot --no-pager --lines=60", check=False).stdout
        report.sections.append((f"journal of {machine.name}", journal))


def booted(suite):
    if suite not in os.environ.get("SUITES", "").split():
        pytest.skip(f"{suite} is not in $SUITES")
    with Box(TOP / "build" / f"image-{suite}", suite) as machine:
        machine.client.set_up()
        yield machine


@pytest.fixture(scope="session")
def bookworm():
    yield from booted("bookworm")


@pytest.fixture(scope="session")
def trixie():
    yield from booted("trixie")


@pytest.fixture(params=SUITES)
def appliance(request):
    machine = request.getfixturevalue(request.param)
    yield machine
    machine.close_terminals()


@pytest.fixture(scope="session")
def stage():
    """What `make install` installs, made once."""
    directory = TOP / "build" / "stage"
    if "LOCKBOX_STAGED" in os.environ:  # several run side by side, and it was made before
        return directory
    command = ["make", "--silent", "-C", str(TOP), "install", f"DESTDIR={directory}", "prefix=/usr"]
    subprocess.run(command, check=True)
    return directory


@pytest.fixture(scope="session")
def bookworm_lockbox(bookworm, stage):
    bookworm.setup_lockbox(stage)
    return bookworm


@pytest.fixture(scope="session")
def trixie_lockbox(trixie, stage):
    trixie.setup_lockbox(stage)
    return trixie


@pytest.fixture
def box(bookworm_lockbox):
    bookworm_lockbox.reset()
    yield bookworm_lockbox
    bookworm_lockbox.close_terminals()


@pytest.fixture(params=SUITES)
def every_box(request):
    machine = request.getfixturevalue(f"{request.param}_lockbox")
    machine.reset()
    yield machine
    machine.close_terminals()
