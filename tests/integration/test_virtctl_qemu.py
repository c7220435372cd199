# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtctl: VMs without a definition, events as they come, and what QEMU is told beside all that has a verb of its own."""

import json
import os
import select
import subprocess
import time
from pathlib import Path

import pytest

from domains import disk_xml, guest_xml, tiny_xml
from test_virtctl import virtctl  # noqa: F401

pytestmark = pytest.mark.bus
PROGRAM = Path(os.environ["VIRTBUS_BUILD"]) / "virtctl" / "virtctl"


def test_run(virtctl, tmp_path):  # noqa: F811
    (tmp_path / "a.xml").write_text(tiny_xml("a"))
    virtctl("run", tmp_path / "a.xml")
    assert "no, it is gone when it ends" in virtctl("status", "a").stdout
    assert json.loads(virtctl("qmp", "a", "query-status").stdout)["status"] in ("running", "paused")
    assert json.loads(virtctl("qmp", "a", '{"execute": "query-name"}', "--json=pretty").stdout)["name"] == "a"
    assert "Tainted" in virtctl("status", "a").stdout
    assert virtctl("qmp", "a", "no-such-command", check=False).returncode == 1
    virtctl("inject-nmi", "a")
    again = virtctl("run", tmp_path / "a.xml", check=False)
    assert again.returncode == 1 and "a.xml was not started" in again.stderr
    virtctl("kill", "a")
    assert "0 machines listed" in virtctl("list").stdout


def test_dirty_rate(virtctl, guest_image, tmp_path):  # noqa: F811
    (tmp_path / "web.xml").write_text(guest_xml(guest_image))
    virtctl("define", tmp_path / "web.xml")
    virtctl("start", "web")
    assert virtctl("dirty-rate", "web").stdout.endswith("M/s\n")
    assert json.loads(virtctl("dirty-rate", "web", "--json=short").stdout)["dirtyrate.calc_status"] == "measured"
    assert virtctl("dirty-rate", "web", "soon", check=False).returncode == 2
    virtctl("kill", "web")


def test_display_password_and_threshold(bus, virtctl, tmp_path):  # noqa: F811
    (tmp_path / "d.raw").write_bytes(bytes(1 << 20))
    (tmp_path / "a.xml").write_text(tiny_xml("a", devices=disk_xml(tmp_path / "d.raw") + "<graphics type='vnc' autoport='yes' passwd='first'/>"))
    (tmp_path / "word").write_text("second\n")
    virtctl("define", tmp_path / "a.xml")
    virtctl("start", "a")
    virtctl("set-display-password", "a", "graphics0", tmp_path / "word", "--timeout=60")
    assert virtctl("set-display-password", "a", "graphics0", tmp_path / "word", "--timeout=soon", check=False).returncode == 2
    virtctl("set-write-threshold", "a", "vda", "512K")
    named = json.loads(virtctl("qmp", "a", "query-named-block-nodes").stdout)
    assert 512 * 1024 in [node["write_threshold"] for node in named]
    assert virtctl("set-write-threshold", "a", "vda", "much", check=False).returncode == 2
    virtctl("kill", "a")


class Listener:
    """virtctl events, read line by line."""

    def __init__(self, bus, *args):
        self.process = subprocess.Popen([PROGRAM, "--user", "events", *args], env=bus.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert b"Listening" in self.process.stderr.readline()

    def until(self, text):
        deadline, said = time.monotonic() + 30, b""
        while text.encode() not in said:
            assert select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0], f"no {text!r} in {said!r}"
            said += os.read(self.process.stdout.fileno(), 65536)
        return said.decode()

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(2)
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.wait(30)


@pytest.fixture
def listen(bus, qemud):
    all_of_them = []

    def begin(*args):
        all_of_them.append(Listener(bus, *args))
        return all_of_them[-1]
    yield begin
    for one in all_of_them:
        one.end()


def test_events(virtctl, listen, tmp_path):  # noqa: F811
    for name in ("a", "b"):
        (tmp_path / f"{name}.xml").write_text(tiny_xml(name))
    virtctl("define", tmp_path / "a.xml")
    everything, one = listen(), listen("a", "--json=short")
    virtctl("define", tmp_path / "b.xml")
    assert " b DomainNew" in everything.until("DomainNew")
    virtctl("start", "b", "a")
    assert "StateChanged" in everything.until(" b StateChanged")
    first = json.loads(one.until("\n").splitlines()[0])
    assert (first["name"], first["event"], first["arguments"][0]) == ("a", "StateChanged", "shutoff")
    virtctl("kill", "a", "b")
    everything.until("destroyed")
    everything.process.send_signal(2)
    assert everything.process.wait(30) == 0
    assert virtctl("events", "c", check=False).returncode == 3


def test_find_sources(bus, virtctl):  # noqa: F811
    wrong = virtctl("find-sources", "netfs", "host", check=False)
    assert wrong.returncode == 2 and "host=NAME or port=NUMBER" in wrong.stderr
    assert virtctl("find-sources", "no-such-type", check=False).returncode == 1
