# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nothing is lost, whatever happens: see torture.py. $VIRTBUS_TORTURE_SECONDS and $VIRTBUS_TORTURE_SEED say how long and which."""

import os
import random

import pytest

import torture

pytestmark = pytest.mark.host
SECONDS = int(os.environ.get("VIRTBUS_TORTURE_SECONDS", 300))


@pytest.fixture(scope="module")
def bed(testbed):
    torture.prepare(testbed)
    testbed.install(os.environ["VIRTBUS_BUILD"])
    return testbed


@pytest.mark.timeout(SECONDS + 240)
def test_torture(bed):
    seed = int(os.environ.get("VIRTBUS_TORTURE_SEED") or random.randrange(10**6))
    print(f"VIRTBUS_TORTURE_SEED={seed}")
    with torture.Torture(bed, seed) as t:
        t.run(seconds=SECONDS)
