# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtctl check: what is missing, and the command that mends it."""

import json
import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.bus

RESULTS = {"ok", "warning", "missing", "not-needed"}


@pytest.fixture
def check(bus, qemud):
    program = Path(os.environ["VIRTBUS_BUILD"]) / "virtctl" / "virtctl"

    def run(*args, before=(), of_host=False):
        """Rows by name, where --json is given, else text; the exit status goes with what is missing."""
        where = [f"--address={bus.environment['DBUS_SESSION_BUS_ADDRESS']}"] if of_host else ["--user"]
        done = bus.run(*before, program, *where, "check", *args, check=False)
        if "--json=short" not in args:
            assert done.returncode == (1 if " missing " in done.stdout else 0), done.stderr
            return done.stdout
        rows = {row["name"]: row for row in json.loads(done.stdout)}
        assert {row["result"] for row in rows.values()} <= RESULTS
        assert done.returncode == (1 if "missing" in {row["result"] for row in rows.values()} else 0), done.stderr
        return rows
    return run


def test_all_is_there(bus, check):
    rows = check("--json=short")
    for name in ("bus", "virtqemud", "virtnetworkd", "virtstoraged", "virtlockd", "virtlogd", "qemu", "qemu-img", "bios", "uefi"):
        assert rows[name]["result"] == "ok", rows[name]
    assert rows["virtqemud"]["text"] == f"version {bus.manager('qemu1').Version}"
    assert "version 7" in rows["qemu"]["text"]
    assert "subuid" in rows and "machined" not in rows
    rows = check("--json=short", of_host=True)
    assert "subuid" not in rows and rows["default-network"]["result"] == "ok"
    assert rows["systemd"]["result"] == "warning" and rows["machined"]["result"] == "not-needed"
    lines = check(of_host=True).splitlines()
    assert lines[0].split() == ["bus", "ok", "answers"]
    assert not any(" ok " in line for line in check("-q", of_host=True).splitlines())


def test_daemons_that_are_not_there(bus, check):
    """One that is not installed, and one that can't start; with neither does anything else go wrong."""
    (bus.directory / "services/org.virtbus.lock1.service").unlink()
    bus.stop_service("org.virtbus.log1")
    bus.add_service("org.virtbus.log1", ["/bin/false"])
    rows = check("--json=short")
    assert rows["virtlockd"]["result"] == "missing" and rows["virtlockd"]["fix"] == "apt install virtlockd"
    assert rows["virtlogd"]["result"] == "missing" and "does not answer" in rows["virtlogd"]["text"]
    assert rows["virtlogd"]["fix"] == "journalctl --user -b -e -u virtlogd.service"
    assert rows["virtqemud"]["result"] == "ok"
    assert "→ apt install virtlockd\n" in check()


def test_nobody_there(bus, check):
    for name in list(bus.services):
        bus.stop_service(name)
        (bus.directory / f"services/{name}.service").unlink()
    rows = check("--json=short")
    assert all(rows[name]["result"] == "missing" for name in ("virtqemud", "virtstoraged", "virtlockd", "virtlogd"))
    assert rows["virtnetworkd"]["result"] == "not-needed"
    assert rows["qemu"]["result"] == "ok" and rows["uefi"]["result"] == "ok"
    bus.environment["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={bus.directory}/nowhere"
    rows = check("--json=short")
    assert rows["bus"]["result"] == "missing" and "dbus-user-session" in rows["bus"]["fix"]
    assert rows["qemu-img"]["result"] == "ok"


@pytest.mark.skipif(os.geteuid() != 0, reason="hides a program for a while: takes root")
def test_a_program_that_is_not_there(check):
    hide = ("unshare", "--mount", "--propagation=private", "sh", "-c", "mount --bind /dev/null /usr/bin/qemu-img && exec \"$@\"", "sh")
    rows = check("--json=short", before=hide)
    assert rows["qemu-img"] == {"name": "qemu-img", "result": "missing", "text": "is not installed: needed for making images", "fix": "apt install qemu-utils"}
