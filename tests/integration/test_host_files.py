# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that is a file of the host: kept in one, or shared through one."""

import os
import re

import pytest

from domains import console, define, guest_xml, tiny_xml
from test_hotplug import until

pytestmark = pytest.mark.bus

ROOM = "<maxMemory slots='4' unit='GiB'>2</maxMemory>"
KEPT = ("<memory model='{model}'{access}><source><path>{path}</path></source><target><size unit='MiB'>{size}</size>"
        "</target></memory>")


@pytest.mark.parametrize("model, size", [("nvdimm", 128), ("virtio-pmem", 16)])
def test_memory_that_is_kept(bus, qemud, guest_image, tmp_path, model, size):
    """What the guest writes is in the file, also when it ends at that moment; what is in the file, the guest reads."""
    path = tmp_path / "kept"
    path.write_bytes(b"from the host".ljust(size << 20, b"\0"))
    d = define(bus, guest_xml(guest_image, devices=KEPT.format(model=model, access="", path=path, size=size), extra=ROOM, memory=288 + size))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("disks")
    con.ask("sh modprobe -a virtio_pmem nfit nd_pmem")
    until(lambda: any("pmem0" in line for line in con.ask("disks")))
    assert con.ask("read pmem0") == ["TEXT from the host"]
    con.ask("write pmem0 of-the-guest")
    d.Terminate(0, {})
    assert path.read_bytes().startswith(b"of-the-guest")
    until(lambda: bus.watch.named("virtqemu-hostde") == [])


def test_shared_memory(bus, qemud, guest_image):
    """Two VMs and the host have the same bytes."""
    name = f"virtbus-test-{os.getpid()}"
    path = f"/dev/shm/{name}"
    share = f"<shmem name='{name}'><model type='ivshmem-plain'/><size unit='MiB'>1</size></shmem>"
    try:
        other = define(bus, tiny_xml("other", devices=share))
        other.Start(0, {}, timeout=60)
        with open(path, "r+b") as f:
            f.write(b"\x42")
        d = define(bus, guest_xml(guest_image, devices=share))
        d.Start(0, {}, timeout=60)
        con = console(bus, d)
        con.ready()
        [device] = [line.split()[1] for line in con.ask("pci") if "0x1af4 0x1110" in line]
        con.ask(f"sh echo 1 >/sys/bus/pci/devices/{device}/enable")
        bar = con.ask(f"sh sed -n 3p /sys/bus/pci/devices/{device}/resource")
        address = re.search(r"0x[0-9a-f]+", " ".join(bar)).group(0)
        assert "0x42" in " ".join(con.ask(f"sh devmem {address} 8")).lower()
        con.ask(f"sh devmem {hex(int(address, 16) + 1)} 8 0x17")
        with open(path, "rb") as f:
            assert f.read(2) == b"\x42\x17" and os.path.getsize(path) == 1 << 20
        d.Terminate(0, {})
        other.Terminate(0, {})
    finally:
        os.unlink(path)
