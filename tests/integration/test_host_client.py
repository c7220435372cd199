# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtctl in the hands of an ordinary user of a host: polkit asks for a password on the terminal."""

import os
import pty
import re
import select
import time

import pytest

from domains import tiny_xml
from host import USER

pytestmark = pytest.mark.host
PASSWORD = "opensesame"
# Of each terminal, whether it takes lines and shows what is typed.
ECHO = "for t in /dev/pts/[0-9]*; do echo $(stty -a -F $t | tr -s ' ;' '\\n\\n' | grep -E '^-?(icanon|echo)$' | sort -r); done"


class Terminal:
    """A command on a terminal, which is one of the testbed: the agent opens it by its name."""

    def __init__(self, bed, command, user=USER):
        self.bed = bed
        self.master, slave = pty.openpty()
        self.process = bed.popen(["script", "-qec", command, "/dev/null"], user=user, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.said = ""

    def _read(self):
        try:
            more = os.read(self.master, 65536).decode(errors="replace")
        except OSError:
            more = ""
        self.said += more
        return more

    def until(self, text, seconds=60):
        deadline = time.monotonic() + seconds
        while text not in self.said:
            assert select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0], f"no {text!r} in {self.said!r}"
            assert self._read(), f"it ended without {text!r}: {self.said!r}"

    def type(self, text):
        """The agent throws away what was typed before it has turned the echo off, which is that of a terminal inside of this one."""
        self.bed.wait(lambda: re.search("^icanon -echo$", self.bed.run(ECHO, check=False).stdout, re.M), what="the echo is off")
        os.write(self.master, f"{text}\n".encode())

    def end(self):
        while select.select([self.master], [], [], 60)[0] and self._read():
            pass
        os.close(self.master)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def bed(installed):
    installed.run("systemctl enable --now virtqemud.socket")
    # Debian's administrators are those in the group sudo; they give their own password.
    installed.run(f"usermod -aG sudo {USER}")
    installed.run("chpasswd", input=f"{USER}:{PASSWORD}\n")
    installed.put("/srv/asked.xml", tiny_xml("asked"))
    installed.run("virtctl define /srv/asked.xml")
    yield installed
    installed.run(f"virtctl kill asked; virtctl undefine asked; gpasswd -d {USER} sudo", check=False)


@pytest.mark.parametrize("session", [False, True])
def test_a_password_is_asked_for(bed, session):
    """With a session of logind and without: polkit looks for agents in different ways."""
    refused = bed.run("virtctl start asked </dev/null", user=USER, check=False)
    assert refused.returncode == 4 and "needs the authorization org.virtbus.qemu1.manage-power" in refused.stderr
    asked = Terminal(bed, f"su - {USER} --pty -c 'virtctl start asked'", user=None) if session else Terminal(bed, "virtctl start asked")
    asked.until("Password:")
    asked.type(PASSWORD)
    assert asked.end() == 0, asked.said
    assert "running" in bed.run("virtctl list").stdout
    bed.run("virtctl kill asked")


def test_a_wrong_password(bed):
    asked = Terminal(bed, "virtctl start asked; echo status $?")
    asked.until("Password:")
    asked.type("a guess")
    asked.end()
    assert "status 4" in asked.said and "running" not in bed.run("virtctl list").stdout


def test_nothing_is_asked_for(bed):
    silent = Terminal(bed, "virtctl --no-ask-password start asked")
    assert silent.end() == 4 and "Password" not in silent.said
