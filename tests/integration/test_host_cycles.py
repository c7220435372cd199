# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nothing grows on a whole host, in the short form: units, machines, taps, networks and rules. `tools/cycles --bed=host` does hours' worth."""

import os

import pytest

import cycles

pytestmark = [pytest.mark.host, pytest.mark.timeout(500)]

SHORT = {"connect": 6, "start": 4, "attach": 4, "network": 4, "pool": 4, "log": 6, "lock": 4}


def test_nothing_grows(installed, guest_image):
    with cycles.HostBed(os.environ["VIRTBUS_BUILD"], guest=guest_image, testbed=installed) as bed:
        found = cycles.measure(bed, "all", SHORT, looks=2)
    assert not found.complaints(), "\n".join(found.complaints())
