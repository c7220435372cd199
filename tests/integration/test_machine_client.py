# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtctl in the hands of an ordinary user of a host: polkit asks for a password on the terminal."""

import pytest

from domains import tiny_xml

pytestmark = pytest.mark.machine
PASSWORD = "opensesame"


@pytest.fixture
def host(installed_machine):
    m = installed_machine
    # Debian's administrators are those in the group sudo; they give their own password.
    m.run("usermod -aG sudo tester; chpasswd", input=f"tester:{PASSWORD}\n")
    m.put("/srv/asked.xml", tiny_xml("asked"))
    m.run("virtctl define /srv/asked.xml")
    yield m
    m.run("virtctl undefine asked 2>/dev/null || virtctl undefine answered; gpasswd -d tester sudo")


def at_a_terminal(machine, command, typed):
    """What was said. The agent throws away what was typed before it asks."""
    script = f"(sleep 15; echo '{typed}'; sleep 10) | script -qec '{command}; echo status $?' /dev/null"
    return machine.run(script, user="tester", timeout=120).stdout


def test_a_password_is_asked_for(host):
    refused = host.run("virtctl rename asked answered </dev/null", user="tester", check=False)
    assert refused.returncode == 4 and "needs the authorization org.virtbus.qemu1.manage-config" in refused.stderr
    wrong = at_a_terminal(host, "virtctl rename asked answered", "a guess")
    assert "Password:" in wrong and "status 4" in wrong, wrong
    silent = at_a_terminal(host, "virtctl --no-ask-password rename asked answered", "")
    assert "Password:" not in silent and "status 4" in silent
    right = at_a_terminal(host, "virtctl rename asked answered", PASSWORD)
    assert "Password:" in right and "status 0" in right, right
    assert "answered" in host.run("virtctl list").stdout
