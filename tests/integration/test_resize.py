# SPDX-License-Identifier: LGPL-2.1-or-later
"""CPUs and memory come and go while the machine runs."""

import bus as bus_module
import pytest

from domains import CONFIG, FORMAT, LIVE, VALIDATE_ONLY, console, define, guest_xml, tiny_xml
from test_hotplug import definitions, qmp, until

pytestmark = pytest.mark.bus

MIB = 1 << 20



@pytest.fixture
def bus_that_dies(tmp_path):
    trigger = tmp_path / "die"
    with bus_module.Bus(environment={"VIRTBUS_FAIL_QMP": str(trigger)}) as bus:
        yield bus, trigger


def cpus(con):
    """Of the guest, once it has taken those in that are there."""
    con.ask("sh for c in /sys/devices/system/cpu/cpu*/online; do echo 1 >$c 2>/dev/null; done; true")
    return int(con.ask("cpus")[0].split()[1])


def test_cpus(bus, qemud, guest_image):
    """More, up to as many as there can be."""
    xml = guest_xml(guest_image).replace("<vcpu>1</vcpu>", "<vcpu current='2'>4</vcpu>")
    d = define(bus, xml)
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    plan = d.SetVCPUs(3, LIVE | CONFIG | VALIDATE_ONLY, {})
    assert [line.split()[:2] for line in plan] == [["qmp", "device_add"], ["definition", "of"]] and d.VCPUs == (2, 4)
    for n in (3, 4):
        d.SetVCPUs(n, LIVE | CONFIG, {}, timeout=60)
        until(lambda: cpus(con), n)
        assert d.VCPUs == (n, 4) and d.PendingChanges == []
    with bus.fails("NotSupported", "only from machines of type 'kvm'"):
        d.SetVCPUs(3, 0, {})
    with bus.fails("InvalidArgs", "4 CPUs at most"):
        d.SetVCPUs(5, 0, {})
    with bus.fails("InvalidArgs", "1 at least"):
        d.SetVCPUs(0, 0, {})
    d.Terminate(0, {})
    assert d.VCPUs == (4, 4)


def from_qemu(domain, command):
    """A daemon that has just begun waits a second for QEMU's monitor, which may not be enough for a busy machine: None then."""
    try:
        return qmp(domain, command)
    except bus_module.BusError as e:
        assert "QEMU's monitor is not there" in str(e)
        return None


def number_of_cpus(domain):
    return sum("qom-path" in cpu for cpu in from_qemu(domain, "query-hotpluggable-cpus") or [])


def test_death_at_each_cpu(bus_that_dies):
    """virtqemud dies before each command that plugs one in: they are all there after that, and in the definition, or none of them is."""
    bus, trigger = bus_that_dies
    xml = tiny_xml("web").replace("<vcpu>1</vcpu>", "<vcpu current='1'>4</vcpu>")
    for n in range(1, 5):
        d = define(bus, xml)
        d.Start(0, {}, timeout=60)
        defined = definitions(d)[1]
        trigger.write_text(f"resize die {n}")
        with bus.fails("NoReply"):
            d.SetVCPUs(4, LIVE | CONFIG, {})
        there = 1 if n == 1 else 4
        until(lambda: (d.VCPUs, number_of_cpus(d)), ((there, 4), there))
        until(lambda: (definitions(d)[1] == defined, list(d.PendingChanges)), (n == 1, []))
        assert not trigger.exists(), "it died where it should"
        d.Terminate(0, {})


def test_cpus_of_the_definition(bus, qemud):
    d = define(bus, tiny_xml("web").replace("<vcpu>1</vcpu>", "<vcpu>2</vcpu>"))
    d.SetVCPUs(1, 0, {})
    assert d.VCPUs == (1, 2)
    d.Start(0, {}, timeout=60)
    d.SetVCPUs(2, CONFIG, {})
    assert d.VCPUs == (1, 2) and d.PendingChanges == ["vcpu/@current"]
    d.Terminate(0, {})


def test_memory(bus_that_dies, guest_image):
    """The guest gives memory back and gets it again; if virtqemud dies over that, all is as it was."""
    bus, trigger = bus_that_dies
    d = define(bus, guest_xml(guest_image, memory=256))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    defined = d.ExportDefinition(FORMAT, CONFIG)
    for n in (1, 2):
        trigger.write_text(f"resize die {n}")
        with bus.fails("NoReply"):
            d.SetMemory(192 * MIB, LIVE | CONFIG, {})
        until(lambda: (d.ExportDefinition(FORMAT, CONFIG) == defined, from_qemu(d, "query-balloon"), d.MemoryCurrent),
              (True, {"actual": 256 * MIB}, 256 * MIB))
    con = console(bus, d)
    all_of_it = int(con.ask("memory")[0].split()[1])
    d.SetMemory(192 * MIB, LIVE | CONFIG, {})
    bus.wait_property(d, "MemoryCurrent", 192 * MIB)
    until(lambda: int(con.ask("memory")[0].split()[1]) < all_of_it - 50 * MIB)
    until(lambda: d.PendingChanges, [])
    d.SetMemory(256 * MIB, LIVE, {})
    bus.wait_property(d, "MemoryCurrent", 256 * MIB)
    with bus.fails("InvalidArgs", "256 MiB of memory at most"):
        d.SetMemory(300 * MIB, 0, {})
    d.Terminate(0, {})
    assert d.MemoryCurrent == 192 * MIB


def test_memory_without_balloon(bus, qemud):
    d = define(bus, tiny_xml("web"))
    d.SetMemory(8 * MIB, 0, {})
    d.SetMemory(16 * MIB, CONFIG, {})
    d.Start(0, {}, timeout=60)
    with bus.fails("NotSupported", "no balloon"):
        d.SetMemory(8 * MIB, 0, {})
    d.Terminate(0, {})
    with bus.fails("InvalidState", "only its definition"):
        d.SetMemory(8 * MIB, LIVE, {})


def test_memory_that_is_plugged_in(bus, qemud, guest_image):
    """virtio-mem: the guest gets as much of it as is requested at the time."""
    room = "<maxMemory slots='1' unit='GiB'>1</maxMemory>"
    memory = "<memory model='virtio-mem'><target><size unit='MiB'>256</size><block unit='MiB'>2</block><requested unit='MiB'>{n}</requested></target></memory>"
    d = define(bus, guest_xml(guest_image, memory=320, extra=room, devices="<controller type='pci' model='pcie-root-port'/>" * 3))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("sh echo online_movable >/sys/devices/system/memory/auto_online_blocks")
    path, _ = d.AttachDevice(FORMAT, memory.format(n=0), LIVE | CONFIG, {})
    assert d.MemoryMax == 576 * MIB
    more = bus.object("org.virtbus.qemu1", path)
    con.ask("disks")
    for n in (256, 128, 0):
        more.Update(FORMAT, memory.format(n=n), LIVE | CONFIG, {})
        until(lambda n=n: f'<current unit="KiB">{n * 1024}</current>' in d.ExportDefinition(FORMAT, LIVE))
        assert d.PendingChanges == []
    with bus.fails("NotSupported", "target/size"):
        more.Update(FORMAT, memory.format(n=0).replace("256", "512"), LIVE, {})
    with bus.fails("QemuFailed", "cannot be unplugged"):
        more.Detach(LIVE, {})
    d.Terminate(0, {})
