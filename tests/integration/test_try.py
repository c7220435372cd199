# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the README promises first: tools/try does the main job, and leaves nothing behind."""

import os
import re
import subprocess
import uuid
from pathlib import Path

import pytest

import leaks

pytestmark = pytest.mark.guest

TRY = Path(__file__).resolve().parents[2] / "tools" / "try"


def test_try():
    build = str(Path(os.environ["VIRTBUS_BUILD"]).resolve())
    leaks.adopt_orphans()
    watch = leaks.Watch(uuid.uuid4().hex, "/tmp")
    done = subprocess.run([TRY], env={**os.environ, leaks.MARKER: watch.test_id, "BUILD": build}, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VIRTBUS-GUEST-READY" in done.stdout and "That was Virtbus" in done.stdout
    left = watch.settle(10)
    assert not left, [leaks.describe(pid) for pid in left]
    watch.reap()
    assert not Path(re.search(r"/tmp/virtbus-try\.\w+", done.stdout).group()).exists()
