# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is gone with the run: changes of transient disks, and memory that is a file."""

import os
import subprocess

import pytest

from domains import FORMAT, LIVE, console, define, device, guest_xml, tiny_xml
from test_hotplug import PORTS, inside, until

pytestmark = pytest.mark.bus

DISK = "<disk type='file'><driver type='{kind}'/><source file='{path}'/><target dev='{target}' bus='virtio'/><transient/></disk>"
WRITE = "sh printf changed | dd of=/dev/{disk} conv=notrunc 2>/dev/null; sync"
READ = "sh dd if=/dev/{disk} bs=7 count=1 2>/dev/null; echo"


@pytest.fixture
def images(tmp_path):
    (tmp_path / "base.raw").write_bytes(b"at once".ljust(1 << 20, b"\0"))
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", tmp_path / "top.qcow2"], check=True, timeout=30)
    return tmp_path


def content(folder):
    return {name: (folder / name).read_bytes() for name in os.listdir(folder)}


def test_transient_disks(bus, qemud, guest_image, images):
    """The guest writes and reads what it wrote, also when it boots again; the next run finds the image as it was."""
    before = content(images)
    disks = DISK.format(kind="raw", path=images / "base.raw", target="vda") + DISK.format(kind="qcow2", path=images / "top.qcow2", target="vdb")
    d = define(bus, guest_xml(guest_image, devices=disks))
    for _ in range(2):
        d.Start(0, {}, timeout=60)
        con = console(bus, d)
        con.ready()
        con.ask("disks")
        for disk in ("vda", "vdb"):
            assert "at once" in con.ask(READ.format(disk=disk))
            con.ask(WRITE.format(disk=disk))
            assert "changed" in con.ask(READ.format(disk=disk))
        assert content(images) == before
        d.Terminate(0, {})
    assert content(images) == before and "<transient/>" in d.ExportDefinition(FORMAT, 0)


def test_many_on_one_image(bus, qemud, images):
    """Nobody writes into it."""
    readers = [define(bus, tiny_xml(name, devices=DISK.format(kind="raw", path=images / "base.raw", target="vda"))) for name in ("one", "two")]
    for d in readers:
        d.Start(0, {}, timeout=60)
    writer = DISK.replace("<transient/>", "").format(kind="raw", path=images / "base.raw", target="vda")
    third = define(bus, tiny_xml("three", devices=writer))
    with bus.fails("LeaseHeld", "base.raw is in use, shared, by one"):
        third.Start(0, {}, timeout=60)
    for d in readers:
        d.Terminate(0, {})


def test_plugged_in(bus, qemud, guest_image, images):
    before = content(images)
    d = define(bus, guest_xml(guest_image, devices=PORTS))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    empty = inside(d)
    for _ in range(2):
        path, _ = d.AttachDevice(FORMAT, DISK.format(kind="raw", path=images / "base.raw", target="vdc"), LIVE, {}, timeout=60)
        until(lambda: "at once" in [*con.ask("disks"), *con.ask(READ.format(disk="vda"))])
        con.ask(WRITE.format(disk="vda"))
        bus.object("org.virtbus.qemu1", path).Detach(LIVE, {}, timeout=60)
        assert inside(d) == empty
    assert content(images) == before
    d.Terminate(0, {})


def test_no_place(bus, qemud):
    """Its layer would be beside it."""
    d = define(bus, tiny_xml("web", devices=DISK.format(kind="raw", path="/proc/self/status", target="vda")))
    with bus.fails("AccessDenied", "its changes, which are to go, have no place beside it"):
        d.Start(0, {}, timeout=60)


FILE = "<memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>"


def files_of(domain):
    """The files of its memory, and how large they are to be."""
    with open(f"/proc/{domain.MainPID}/maps", encoding="ascii") as maps:
        rows = [line.split() for line in maps if "/ram/" in line]
    return [(int(r[0].split("-")[1], 16) - int(r[0].split("-")[0], 16), r[1], r[-1]) for r in rows]


def test_memory_that_is_a_file(bus, qemud, guest_image):
    """It has no name. What is plugged in is another one."""
    extra = FILE + "<maxMemory slots='2' unit='MiB'>1024</maxMemory><cpu><numa><cell id='0' cpus='0' memory='192' unit='MiB'/></numa></cpu>"
    d = define(bus, guest_xml(guest_image, memory=192, devices=PORTS, extra=extra))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    files = files_of(d)
    assert sum(f[0] for f in files) == 192 << 20 and {f[1:] for f in files} == {("rw-s", "(deleted)")}
    dimm = "<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>"
    d.AttachDevice(FORMAT, dimm, LIVE, {}, timeout=60)
    assert sum(f[0] for f in files_of(d)) == 320 << 20
    assert device(bus, d, "dimm0")
    d.Terminate(0, {})
