# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices that come and go while the machine runs."""

import json
import os
import re
import time

import bus as bus_module
import pytest

from domains import CONFIG, FORMAT, LIVE, NO_WAIT, VALIDATE_ONLY, console, define, device, disk_xml, guest_xml, job_done, tiny_xml

pytestmark = pytest.mark.bus

PORTS = "<controller type='pci' model='pcie-root-port'/>" * 6
BUSES = "<controller type='usb' model='qemu-xhci'/><controller type='scsi' model='virtio-scsi'/><controller type='virtio-serial'/>"

# Every kind of device that can be plugged in, as users write it. {dir} is a folder with images.
DEVICES = {
    "disk-virtio": disk_xml("{dir}/a.qcow2", "vdb", kind="qcow2"),
    "disk-scsi": disk_xml("{dir}/b.raw", "sdb", "scsi"),
    "disk-usb": disk_xml("{dir}/b.raw", "sdc", "usb"),
    "interface": "<interface type='user'><mac address='52:54:00:00:00:02'/></interface>",
    "interface-down": "<interface type='user'><mac address='52:54:00:00:00:02'/><link state='down'/></interface>",
    "interface-e1000": "<interface type='user'><mac address='52:54:00:00:00:02'/><model type='e1000'/></interface>",
    "channel": "<channel type='unix'><target type='virtio' name='org.example.0'/></channel>",
    "console": "<console type='pty'><target type='virtio'/></console>",
    "serial": "<serial type='pty'><target type='pci-serial'/></serial>",
    "rng": "<rng model='virtio'><backend model='builtin'/></rng>",
    "tablet": "<input type='tablet' bus='usb'/>",
    "keyboard": "<input type='keyboard' bus='virtio'/>",
    "controller-scsi": "<controller type='scsi' model='virtio-scsi'/>",
    "hub": "<hub type='usb'/>",
}


@pytest.fixture
def images(tmp_path):
    (tmp_path / "base.raw").write_bytes(b"from the base".ljust(1 << 20, b"\0"))
    (tmp_path / "b.raw").write_bytes(b"plugged in".ljust(1 << 20, b"\0"))
    os.system(f"qemu-img create -q -f qcow2 -b {tmp_path}/base.raw -F raw {tmp_path}/a.qcow2")
    return tmp_path


def qmp(domain, command, **arguments):
    return json.loads(domain.QMPCommand(json.dumps({"execute": command, "arguments": arguments})))


def inside(domain):
    """All that QEMU has got and that a device could leave behind."""
    objects = [p for where in ("/objects", "/machine/peripheral", "/chardevs") for p in qmp(domain, "qom-list", path=where)]
    return {
        "objects": sorted(o["name"] for o in objects),
        "nodes": sorted(n["node-name"] for n in qmp(domain, "query-named-block-nodes", flat=True)),
        "chardevs": sorted(c["label"] for c in qmp(domain, "query-chardev")),
        # QEMU keeps the number of a set that a log was written through, with nothing in it.
        "fdsets": sorted(s["fdset-id"] for s in qmp(domain, "query-fdsets") if s["fds"]),
        "network": qmp(domain, "human-monitor-command", **{"command-line": "info network"}),
    }


def descriptors(domain):
    """Of QEMU, but for those by which its own parts talk to each other."""
    folder = f"/proc/{domain.MainPID}/fd"
    targets = [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]
    return sorted(t.split(":[")[0] for t in targets if not t.startswith("anon_inode"))


def definitions(domain):
    return domain.ExportDefinition(FORMAT, LIVE), domain.ExportDefinition(FORMAT, CONFIG)


def until(what, expected=True, seconds=20):
    deadline = time.monotonic() + seconds
    while (now := what()) != expected:
        assert time.monotonic() < deadline, now
        time.sleep(0.05)


@pytest.mark.parametrize("name", DEVICES)
def test_guest_sees_it_come_and_go(bus, qemud, guest_image, images, name):
    """Attached to the running machine and to its definition, used, and taken away from both."""
    xml = DEVICES[name].replace("{dir}", str(images))
    d = define(bus, guest_xml(guest_image, devices=PORTS + BUSES))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    before, defined = inside(d), definitions(d)
    path, plan = d.AttachDevice(FORMAT, xml, LIVE | CONFIG | VALIDATE_ONLY, {})
    assert any(line.startswith("qmp device_add") for line in plan) and plan[-1] == "definition of web"
    assert inside(d) == before and definitions(d) == defined

    found, _ = d.AttachDevice(FORMAT, xml, LIVE | CONFIG, {})
    assert found == path
    new = bus.object("org.virtbus.qemu1", found)
    assert new.Live and new.Persistent and not new.RemovalPending
    assert d.PendingChanges == [], d.PendingChanges
    assert len(inside(d)["objects"]) > len(before["objects"])
    if name.startswith("disk"):
        until(lambda: any(t in " ".join(con.ask("disks")) for t in ("from.the.base", "plugged.in")))
    if name.startswith("interface"):
        until(lambda: "52:54:00:00:00:02" in " ".join(con.ask("nics")))
    if name == "channel":
        until(lambda: "org.example.0" in " ".join(con.ask("ports")))

    new.Detach(0, {}, timeout=60)
    assert inside(d) == before
    assert definitions(d) == defined
    with bus.fails("UnknownObject"):
        new.Detach(0, {})
    d.Terminate(0, {})


@pytest.mark.parametrize("name", DEVICES)
def test_nothing_is_left_of_a_failure(images, tmp_path, name):
    """Each command of each kind of device is refused once."""
    trigger = tmp_path / "fail"
    with bus_module.Bus(environment={"VIRTBUS_FAIL_QMP": str(trigger)}) as bus:
        refuse_each(bus, images, name, trigger)


def refuse_each(bus, images, name, trigger):
    d = define(bus, tiny_xml("web", devices=PORTS + BUSES))
    d.Start(0, {}, timeout=60)
    xml = DEVICES[name].replace("{dir}", str(images))
    _, plan = d.AttachDevice(FORMAT, xml, LIVE | CONFIG | VALIDATE_ONLY, {})
    commands = [line.split()[1] for line in plan if line.startswith("qmp")]
    before, defined, files = inside(d), definitions(d), descriptors(d)
    added = commands.index("device_add")
    for n in range(1, added + 2):
        trigger.write_text(str(n))
        with bus.fails("QemuFailed", "because a test wants it so"):
            d.AttachDevice(FORMAT, xml, LIVE | CONFIG, {})
        assert inside(d) == before, commands[n - 1]
        assert definitions(d) == defined, commands[n - 1]
        assert descriptors(d) == files, commands[n - 1]
    d.AttachDevice(FORMAT, xml, LIVE | CONFIG, {})
    d.Terminate(0, {})
