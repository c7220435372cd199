# SPDX-License-Identifier: LGPL-2.1-or-later
"""The memory of crashed guests, kept in a folder that does not grow without end."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from domains import SERVICE, console, define, guest_xml, states
from rawqemu import die_with_parent
from test_domain import PANIC

pytestmark = pytest.mark.bus


def configure(bus, *lines):
    (bus.directory / "config/virtbus").mkdir(exist_ok=True)
    (bus.directory / "config/virtbus/qemu.conf").write_text("\n".join(["[Domains]", *lines, ""]))


def running(bus, image, on_crash):
    d = define(bus, guest_xml(image, extra=f"<on_crash>{on_crash}</on_crash>", devices=PANIC))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("sh modprobe pvpanic-mmio")
    return d, con


def dumped(d):
    """The file that the event names."""
    files = [e[2]["file"] for e in d.LastEvents if e[0] == "CrashDumped"]
    return Path(files[0]) if files else None


def is_dump(path):
    """Of a Linux guest, as far as file(1)'s magic goes."""
    assert path.stat().st_mode & 0o777 == 0o600
    with open(path, "rb") as f:
        head = f.read(16384)
    return head[:12] == b"makedumpfile" and b"KDUMP   " in head and path.stat().st_size > 1 << 20


def test_destroy(bus, qemud, guest_image):
    d, con = running(bus, guest_image, "coredump-destroy")
    folder = bus.directory / "data/virtbus/dump"
    con.send("panic")
    bus.wait_signal("CrashDumped", path=d.path, timeout=60)
    bus.wait_property(d, "State", "shutoff", timeout=60)
    file = dumped(d)
    assert file.parent == folder and re.fullmatch(rf"{d.Name}-\d{{8}}T\d{{6}}Z\.dump", file.name) and is_dump(file)
    assert os.listdir(folder) == [file.name] and folder.stat().st_mode & 0o777 == 0o700
    assert d.StateReason == "crashed" and d.Warnings == [] and ("crashed", "panicked") in states(bus, d)
    file.unlink()


def test_restart(bus, qemud, guest_image, tmp_path):
    """Also while nobody watches: the guest waits for its dump. It is the same QEMU that goes on."""
    configure(bus, f"DumpFolder={tmp_path}/dumps")
    d, con = running(bus, guest_image, "coredump-restart")
    pid = d.MainPID
    con.send("panic")
    con.ready()
    first = dumped(d)
    assert is_dump(first) and d.MainPID == pid
    bus.wait_property(d, "State", "running")
    con.ask("sh modprobe pvpanic-mmio")
    con.ask("sh (sleep 1; echo c >/proc/sysrq-trigger) &")
    bus.stop_service(SERVICE, signal.SIGKILL)
    time.sleep(4)
    assert d.State in ("crashed", "running")
    console(bus, d).ready()
    assert is_dump(dumped(d)) and dumped(d) != first and sorted(os.listdir(tmp_path / "dumps")) == sorted([first.name, dumped(d).name])
    assert d.MainPID == pid and d.Warnings == []
    d.Terminate(0, {})


def test_no_room(bus, qemud, guest_image, tmp_path):
    """It is said, nothing is removed for nothing, and the guest goes on as it would have."""
    configure(bus, f"DumpFolder={tmp_path}/dumps", "DumpFolderMax=20M")
    (tmp_path / "dumps").mkdir()
    (tmp_path / "dumps/old-20200101T000000Z.dump").write_bytes(bytes(1000))
    d, con = running(bus, guest_image, "coredump-destroy")
    con.send("panic")
    bus.wait_property(d, "State", "shutoff", timeout=60)
    assert d.Warnings == [f"the memory of its crashed guest was not kept: the dump of {d.Name} can't be written: {tmp_path}/dumps: "
                          "the guest's memory is more than DumpFolderMax= of qemu.conf leaves for it"]
    assert not dumped(d) and os.listdir(tmp_path / "dumps") == ["old-20200101T000000Z.dump"]


def write_dump(folder, name, largest, needed, data, whole=True):
    """What virtqemud has done, with us in its and QEMU's place."""
    ours, theirs = socket.socketpair()
    source, pipe = os.pipe()
    program = Path(os.environ["VIRTBUS_BUILD"]) / "virtqemud/virtqemu-dump"

    def place():
        die_with_parent()
        os.dup2(theirs.fileno(), 3)
    with theirs:
        p = subprocess.Popen([program, folder, name, str(largest), str(needed)], stdin=source, close_fds=False, preexec_fn=place,
                             stderr=subprocess.PIPE, text=True)
    os.close(source)
    with contextlib.suppress(BrokenPipeError), open(pipe, "wb") as f:
        f.write(data)
    with contextlib.suppress(BrokenPipeError):
        if whole:
            ours.send(b"\0")
    ours.close()
    _, said = p.communicate(timeout=20)
    return p.returncode, said


MB = 1 << 20
NAME = "vm-20260101T00000{}Z.dump"


def test_oldest_go(tmp_path):
    """Only dumps of ours, no more than have to, and none that is being written."""
    folder = tmp_path / "deep/dumps"
    for n in range(3):
        assert write_dump(folder, NAME.format(n), 10 * MB, 3 * MB, os.urandom(3 * MB)) == (0, "")
        time.sleep(0.02)
    (folder / "vm.dump").write_bytes(os.urandom(9 * MB))
    (folder / (NAME.format(8) + ".part")).write_bytes(os.urandom(MB))  # of one who was killed
    os.utime(folder / (NAME.format(8) + ".part"), (0, 0))
    assert write_dump(folder, NAME.format(3), 10 * MB, 5 * MB, os.urandom(3 * MB)) == (0, "")
    assert sorted(os.listdir(folder)) == [NAME.format(1), NAME.format(2), NAME.format(3), "vm.dump"]
    status, said = write_dump(folder, NAME.format(4), 10 * MB, 11 * MB, os.urandom(MB))
    assert status == 1 and said == f"{folder}: the guest's memory is more than DumpFolderMax= of qemu.conf leaves for it\n"
    assert write_dump(folder, NAME.format(4), 10 * MB, MB, os.urandom(MB), whole=False) == (0, "")
    assert len(os.listdir(folder)) == 4
    status, said = write_dump(folder, NAME.format(4), 4 * MB, MB, os.urandom(6 * MB))  # larger than was said
    assert status == 1 and "the dump is more than DumpFolderMax=" in said
    assert sorted(os.listdir(folder)) == ["vm.dump"]
    assert write_dump(folder, "vm.dump", 10 * MB, MB, b"")[0] == 1 and write_dump(folder, "../" + NAME.format(1), 10 * MB, MB, b"")[0] == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_file_system_is_full(tmp_path):
    """Some of it stays free for others."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20M", "tmpfs", tmp_path], check=True, timeout=20)
    try:
        assert write_dump(tmp_path, NAME.format(0), 100 * MB, 12 * MB, os.urandom(12 * MB)) == (0, "")
        assert write_dump(tmp_path, NAME.format(1), 100 * MB, 12 * MB, os.urandom(12 * MB)) == (0, "")
        assert os.listdir(tmp_path) == [NAME.format(1)]
        status, said = write_dump(tmp_path, NAME.format(2), 100 * MB, 20 * MB, os.urandom(MB))
        assert status == 1 and said == f"{tmp_path}: no space left for the guest's memory, also without older dumps\n"
        assert os.listdir(tmp_path) == [NAME.format(1)]
    finally:
        subprocess.run(["umount", tmp_path], check=True, timeout=20)
