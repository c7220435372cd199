# SPDX-License-Identifier: LGPL-2.1-or-later
"""The clients that docs/api.md shows do what it says."""

import re
import subprocess
from pathlib import Path

import pytest

from domains import define, tiny_xml

pytestmark = pytest.mark.bus
GUIDE = Path(__file__).parents[2] / "docs" / "api.md"


def block(language):
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)
    return text


@pytest.fixture
def environment(bus, qemud):
    """The guide's clients speak to the system bus."""
    return {**bus.environment, "DBUS_SYSTEM_BUS_ADDRESS": bus.environment["DBUS_SESSION_BUS_ADDRESS"]}


def run(command, text, environment, *arguments):
    return subprocess.run([*command, text, *arguments], env=environment, capture_output=True, text=True, timeout=120)


def test_from_the_shell(bus, environment):
    define(bus, tiny_xml("web"))
    done = run(["bash", "-e", "-c"], block("sh"), environment)
    assert done.returncode == 0, done.stderr
    assert '"web"' in done.stdout and 's "running"' in done.stdout and ".StateTimestamp" in done.stdout


def test_from_python(bus, environment):
    define(bus, tiny_xml("web"))
    done = run(["/usr/bin/python3", "-c"], block("python"), environment, "web")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("web: shutoff") and any(line.endswith(": running") for line in lines) and lines[-1].startswith("web: shutoff")
    missing = run(["/usr/bin/python3", "-c"], block("python"), environment, "wep")
    assert missing.returncode == 1 and re.match(r"org.virtbus.Error.NoSuchDomain: .*wep", missing.stderr)
