# SPDX-License-Identifier: LGPL-2.1-or-later
"""How large disks are, of VMs that run and of those that are off: a process looks, and who can't be waited for costs nobody else anything."""

import os
import subprocess

import pytest

from domains import console, define, device, guest_xml, tiny_xml
from test_storage import MIB, SERVICE, create, pool_xml, storaged  # noqa: F401
from test_virtctl import virtctl  # noqa: F401

pytestmark = pytest.mark.bus


def disk(path, target, kind="raw", what="disk"):
    source = f"<source file='{path}'/>" if path else ""
    bus = "sata" if what == "cdrom" else "virtio"
    return f"<disk type='file' device='{what}'><driver name='qemu' type='{kind}'/>{source}<target dev='{target}' bus='{bus}'/></disk>"


def size(bus, d, alias):
    return device(bus, d, alias)["org.virtbus.qemu1.Disk"].GetSize(0, {})


def test_off_and_running(bus, qemud, tmp_path, virtctl):  # noqa: F811
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "a.qcow2", "3G"], check=True, timeout=60)
    (tmp_path / "b.raw").write_bytes(b"x" * MIB)
    with (tmp_path / "b.raw").open("r+b") as f:
        f.truncate(5 * MIB)
    subprocess.run(["qemu-img", "create", "-q", "-f", "vdi", tmp_path / "c.vdi", "1G"], check=True, timeout=60)
    for name in ("a.qcow2", "b.raw"):
        with (tmp_path / name).open("r+b") as f:
            os.fsync(f)  # there are file systems where blocks are given only then
    server = "<disk type='network' device='disk'><source protocol='nbd' name='x'><host name='127.0.0.1' port='1'/></source><target dev='vde' bus='virtio'/></disk>"
    d = define(bus, tiny_xml(devices=disk(tmp_path / "a.qcow2", "vda", "qcow2") + disk(tmp_path / "b.raw", "vdb") + disk(tmp_path / "c.vdi", "vdc", "vdi") +
                             disk(tmp_path / "none", "vdd") + server + disk(None, "sda", what="cdrom")))
    capacity, allocation, physical = size(bus, d, "virtio_2ddisk0")
    assert capacity == 3 << 30 and allocation == (tmp_path / "a.qcow2").stat().st_blocks * 512 and physical == (tmp_path / "a.qcow2").stat().st_size
    capacity, allocation, physical = size(bus, d, "virtio_2ddisk1")
    assert (capacity, physical) == (5 * MIB, 5 * MIB) and MIB <= allocation < 2 * MIB
    assert size(bus, d, "virtio_2ddisk2")[0] == 0 and size(bus, d, "virtio_2ddisk2")[2] > 0
    with bus.fails("ImageFailed", "the file does not exist"):
        size(bus, d, "virtio_2ddisk3")
    with bus.fails("NotSupported", "the disk vde is no image on this host"):
        size(bus, d, "virtio_2ddisk4")
    with bus.fails("InvalidState", "the drive sda is empty"):
        size(bus, d, "sata_2ddisk0")
    shown = virtctl("disks", d.Name).stdout
    assert [line.split()[:4] for line in shown.splitlines()[1:4]] == [["vda", "virtio", "qcow2", "3G"], ["vdb", "virtio", "raw", "5M"],
                                                                      ["vdc", "virtio", "vdi", "-"]], shown
    assert "a.qcow2, qcow2, 3G (" in virtctl("status", d.Name).stdout
    d.Undefine(0, {})
    d = define(bus, tiny_xml(devices=disk(tmp_path / "b.raw", "vda")))
    d.Start(0, {}, timeout=60)
    assert size(bus, d, "virtio_2ddisk0")[0] == 5 * MIB
    d.Terminate(0, {})


def test_formats_of_others(bus, qemud, tmp_path, guest_image):
    """By themselves, and below an image; what they name is not followed."""
    for name in ("vmdk", "qed", "qcow"):
        (tmp_path / "a.raw").write_bytes(f"out of {name}".encode().ljust(MIB, b"\0"))
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", name, tmp_path / "a.raw", tmp_path / f"a.{name}"], check=True, timeout=60)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", "a.vmdk", "-F", "vmdk", tmp_path / "b.qcow2", "2M"], check=True, timeout=60)
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", tmp_path / "flat.vmdk", "1M"], check=True, timeout=60)
    d = define(bus, guest_xml(guest_image, devices=disk(tmp_path / "b.qcow2", "vda", "qcow2") + disk(tmp_path / "a.qed", "vdb", "qed") +
                              disk(tmp_path / "a.qcow", "vdc", "qcow")))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    seen = " ".join(con.ask("disks"))
    assert all(f"out.of.{name}" in seen for name in ("vmdk", "qed", "qcow")), seen
    for n in range(3):
        assert size(bus, d, f"virtio_2ddisk{n}")[0] == (MIB if n else 2 * MIB)
    d.Terminate(0, {})
    d = define(bus, tiny_xml("flat", devices=disk(tmp_path / "flat.vmdk", "vda", "vmdk")))
    with bus.fails("ImageFailed", "only names the files"):
        d.Start(0, {}, timeout=60)


def test_volume(bus, storaged, qemud, tmp_path):  # noqa: F811
    """Its pool says where it is, as long as it is active; none is started for that."""
    pool = bus.object(SERVICE, storaged.DefinePool("libvirt-xml", pool_xml(tmp_path, "images"), 0, {}), f"{SERVICE}.Pool")
    pool.Start(0, {})
    create(bus, pool, "v.qcow2", 7 * MIB, format="qcow2")
    d = define(bus, tiny_xml(devices="<disk type='volume'><source pool='images' volume='v.qcow2'/><target dev='vda' bus='virtio'/></disk>"))
    assert size(bus, d, "virtio_2ddisk0")[0] == 7 * MIB
    pool.Stop(0, {})
    with bus.fails("InvalidState", "images"):
        size(bus, d, "virtio_2ddisk0")
    assert pool.State == "inactive"
