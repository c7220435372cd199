# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the README promises first: tools/try does the main job, and leaves nothing behind."""

import os
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.guest

TRY = Path(__file__).resolve().parents[2] / "tools" / "try"


def processes_of(build):
    """Command lines of what runs out of the build folder, or has to do with a try."""
    found = []
    for p in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = p.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "virtbus-try." in line or line.startswith(f"{build}/virt"):
            found.append(line)
    return found


def test_try():
    build = str(Path(os.environ["VIRTBUS_BUILD"]).resolve())
    before = set(processes_of(build)), set(Path("/tmp").glob("virtbus-try.*"))
    done = subprocess.run([TRY], env={**os.environ, "BUILD": build}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VIRTBUS-GUEST-READY" in done.stdout and "That was Virtbus" in done.stdout
    deadline = time.monotonic() + 10
    while set(processes_of(build)) - before[0] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert set(processes_of(build)) <= before[0]
    assert set(Path("/tmp").glob("virtbus-try.*")) <= before[1]
