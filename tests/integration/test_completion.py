# SPDX-License-Identifier: LGPL-2.1-or-later
"""Completion of virtctl's words, typed into a real bash and zsh; its help, and which options are for which verbs."""

import os
import pty
import select
import subprocess
from pathlib import Path

import pytest

from domains import disk_xml, tiny_xml
from pace import Deadline, patient

pytestmark = pytest.mark.bus
SCRIPTS = Path(__file__).parents[2] / "virtctl"
PROGRAM = Path(os.environ["VIRTBUS_BUILD"]) / "virtctl" / "virtctl"


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, environment, command, first):
        master, slave = pty.openpty()
        environment = {**environment, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "PS1": "@ ", "TERM": "dumb", "INPUTRC": "/dev/null", "HISTFILE": ""}
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True)
        os.close(slave)
        self.terminal = master
        self.send(f"{first}; echo re''ady\n")
        self.read_until("ready")

    def send(self, keys):
        os.write(self.terminal, keys.encode())

    def read_until(self, text, seconds=30):
        said, deadline = "", Deadline(seconds)
        while text not in said:
            assert select.select([self.terminal], [], [], max(0, deadline.left()))[0], f"no {text!r} in {said!r}"
            said += os.read(self.terminal, 65536).decode(errors="replace")
        return said

    def line(self, keys, completed):
        """What is typed becomes what was expected, and the line is given up."""
        self.send(keys + "\t")
        self.read_until(completed)
        self.send("\x15")

    def end(self):
        os.close(self.terminal)
        self.process.wait(patient(30))


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], f"bind 'set bell-style none'; . {SCRIPTS}/virtctl.bash"),
    "zsh": (["zsh", "-f", "-i"], "fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -D; LISTMAX=0; unsetopt beep"),
}


@pytest.fixture(params=SHELLS)
def shell(bus, qemud, request, tmp_path, monkeypatch):
    """zsh finds its functions by their names."""
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "_virtctl").symlink_to(SCRIPTS / "virtctl.zsh")
    monkeypatch.chdir(tmp_path)
    s = Shell(bus.environment, *SHELLS[request.param])
    yield s
    s.end()


def complete(bus, *words):
    return bus.run(PROGRAM, "__complete", *words).stdout.split()


def test_in_a_shell(bus, qemud, shell, tmp_path):
    (tmp_path / "disk.raw").write_bytes(bytes(1 << 20))
    (tmp_path / "web.xml").write_text(tiny_xml("web", devices=disk_xml(tmp_path / "disk.raw")))
    bus.run(PROGRAM, "--user", "define", tmp_path / "web.xml")
    shell.line("virtctl --user define-p", "define-pool ")
    shell.line("virtctl --user sta", "virtctl --user sta")
    shell.line("virtctl --user status w", "status web ")
    shell.line("virtctl --user detach web vd", "web vda ")
    shell.line("virtctl --user set-link web net0 d", "net0 down ")
    shell.line("virtctl list --js", "--json=")
    shell.line("virtctl list --json=pr", "--json=pretty ")
    shell.line(f"virtctl define {tmp_path}/we", "web.xml ")
    shell.line("virtctl stop --ti", "--timeout=")


def test_words(bus, qemud, tmp_path):
    (tmp_path / "web.xml").write_text(tiny_xml("web"))
    bus.run(PROGRAM, "--user", "define", tmp_path / "web.xml")
    assert complete(bus, "--user", "start", "") == ["web"] and complete(bus, "--user", "start", "x") == []
    assert complete(bus, "--user", "start", "web", "w") == ["web"] and complete(bus, "--user", "plan", "web", "") == []
    assert complete(bus, "define", "") == ["/file"] and complete(bus, "add-lockspace", "a", "") == ["/folder"]
    assert complete(bus, "sus") == ["suspend"] and "--json=" in complete(bus, "--") and "--secrets" not in complete(bus, "--")
    assert "--secrets" in complete(bus, "cat", "--") and complete(bus, "host", "--json=s") == ["--json=short"] and complete(bus, "cat", "--js") == []
    assert complete(bus, "list", "--state=r") == ["--state=running"] and complete(bus, "--user", "list", "w") == ["web"]
    assert complete(bus, "nonsense", "") == [] and bus.run(PROGRAM, "__complete", "--nonsense", "", check=False).stdout == ""


def test_scripts_have_no_verbs_of_their_own():
    """Both scripts only ask: there is nothing in them that could grow old."""
    for name in ("virtctl.bash", "virtctl.zsh"):
        text = (SCRIPTS / name).read_text()
        assert "__complete" in text and "define" not in text


def test_help(bus, qemud):
    whole = bus.run(PROGRAM, "--help").stdout
    assert "Virtual machines:" in whole and "  start NAME..." in whole and "-H --host=" in whole
    one = bus.run(PROGRAM, "stop", "--help").stdout
    assert one.startswith("virtctl [OPTION...] stop NAME...") and "--timeout=SECONDS" in one and "--secrets" not in one
    assert bus.run(PROGRAM, "help", "stop").stdout == one
    said = bus.run(PROGRAM, "list", "--force", check=False)
    assert said.returncode == 2 and "--force is not for list, but for: console" in said.stderr
    foreign = bus.run(PROGRAM, "dumpxml", "web", check=False)
    assert foreign.returncode == 2 and "here it is called: cat" in foreign.stderr
    both = bus.run(PROGRAM, "--user", "-H", "elsewhere", "list", check=False)
    assert both.returncode == 2 and "exclude each other" in both.stderr
