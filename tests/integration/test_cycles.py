# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nothing grows, in the short form: `tools/cycles` does the same for hours' worth."""

import os

import pytest

import cycles
from bus import daemon_path

pytestmark = [pytest.mark.bus, pytest.mark.timeout(300)]

SHORT = {"define": 12, "read": 18, "connect": 6, "start": 4, "attach": 4, "pool": 4, "log": 6, "lock": 4}


def test_nothing_grows(guest_image):
    build = os.environ.get("VIRTBUS_BUILD")
    if not daemon_path("virtqemud", build):
        pytest.skip("no virtqemud: set VIRTBUS_BUILD to a build directory that has it")
    with cycles.BusBed(build, guest=guest_image) as bed:
        found = cycles.measure(bed, "all", SHORT, looks=2)
    assert not found.complaints(), "\n".join(found.complaints())


def test_growth_is_seen():
    """What is told of numbers: those that go up are named, memory that wavers is not."""
    r = cycles.Result("x", 100, False)
    for done in range(9):
        r.looks.append((done * 10, {"fds": 10 + done // 4, "files": 7, "worker": (3, 0, 3)[done % 3], "a KiB": 1000 + 40 * done, "b KiB": 1000 + done % 2 * 100}))
    assert [line.split(" ")[1] for line in r.complaints()] == ["a", "fds", "worker"]
