# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices of a whole machine as objects: they come and go, and with them who has them."""

import contextlib
import json
import re
import shlex

import pytest

from domains import tiny_xml
from test_machine_domain import PCI, SLOW, USB, define, manager, terminate

pytestmark = pytest.mark.machine

SERVICE, ROOT, HOSTDEV = "org.virtbus.qemu1", "/org/virtbus/qemu1", "org.virtbus.qemu1.HostDevice"


def call(machine, *arguments):
    return json.loads(machine.run(["busctl", "--json=short", f"--timeout={SLOW}", "call", SERVICE, *arguments], timeout=SLOW).stdout)["data"][0]


def devices(machine):
    objects = call(machine, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    return {path.rsplit("/", 1)[1]: {k: v["data"] for k, v in o[HOSTDEV].items()} for path, o in objects.items() if HOSTDEV in o}


def prop(machine, name, which):
    return json.loads(machine.run(["busctl", "--json=short", f"--timeout={SLOW}", "get-property", SERVICE, f"{ROOT}/hostdev/{name}", HOSTDEV, which],
                                  timeout=SLOW).stdout)["data"]


def wait(machine, command, text):
    """Until the command prints it."""
    loop = f"for i in $(seq 600); do {command} | grep -q {shlex.quote(text)} && exit 0; sleep 0.2; done; {command}; exit 1"
    machine.run(loop, timeout=SLOW)


@contextlib.contextmanager
def news(machine):
    """Signals of the daemon, each a line of a file; yields the command that prints them."""
    machine.run(f"rm -f /run/news; systemd-run -q --unit=news -p StandardOutput=file:/run/news busctl monitor --json=short --match "
                f"\"type='signal',sender='{SERVICE}'\" --match \"type='signal',interface='org.virtbus.Test'\" && for i in $(seq 300); do "
                "busctl emit / org.virtbus.Test Begin; grep -q org.virtbus.Test /run/news && exit 0; sleep 0.2; done; exit 1", timeout=SLOW)
    try:
        yield "cat /run/news"
    finally:
        machine.run("systemctl stop news", timeout=SLOW)


def test_objects_of_devices(installed_machine):
    """They are those of /sys, with the names that udev has and the groups of the IOMMU."""
    machine = installed_machine
    machine.run("udevadm settle")
    found = devices(machine)
    names = {kind: {n for n, d in found.items() if d["Kind"] == kind} for kind in ("pci", "usb", "net", "block")}
    pci = machine.run("ls /sys/bus/pci/devices").stdout.split()
    usb = [n for n in machine.run("ls /sys/bus/usb/devices").stdout.split() if ":" not in n]
    assert names["pci"] == {"pci_" + re.sub("[:.]", "_", n) for n in pci}
    assert names["usb"] == {"usb_" + re.sub("[-.]", "_", n) for n in usb} and len(usb) >= 3
    groups = dict(line.split("/")[4:7:2] for line in machine.run("ls -d /sys/kernel/iommu_groups/*/devices/*").stdout.split())
    for group, address in groups.items():
        assert found["pci_" + re.sub("[:.]", "_", address)]["IOMMUGroup"] == int(group) or list(groups.values()).count(group) > 1
    rng = machine.run("basename $(dirname $(grep -lx 0x1044 /sys/bus/pci/devices/*/device))").stdout.strip()
    d = found["pci_" + re.sub("[:.]", "_", rng)]
    assert d["Driver"] == "virtio-pci" and d["VendorID"] == 0x1af4 and d["ProductID"] == 0x1044 and "Red Hat" in d["Vendor"]
    assert d["Parent"].startswith(f"{ROOT}/hostdev/pci_") and d["IOMMUGroup"] >= 0
    tablet = found["usb_1_1"]
    assert tablet["USB"][0] == 1 and tablet["Product"] and tablet["Parent"] == f"{ROOT}/hostdev/usb_usb1"
    assert found["usb_usb1"]["Parent"].startswith(f"{ROOT}/hostdev/pci_")
    for kind in ("net", "block"):
        assert all(found[n]["Parent"] != "/" for n in names[kind])
    count = json.loads(machine.run(["busctl", "--json=short", "get-property", SERVICE, ROOT, f"{SERVICE}.Manager", "IOMMUGroups"], timeout=SLOW).stdout)["data"]
    assert count == len(machine.run("ls /sys/kernel/iommu_groups").stdout.split()) > 0


def test_usb_device_comes_and_goes(installed_machine):
    """As soon as udev has seen it."""
    machine = installed_machine
    assert "usb_1_3" not in devices(machine)
    with news(machine) as told:
        machine.qemu.qmp.run("device_add", driver="usb-kbd", id="plugged", bus="usb.0", port="3")
        wait(machine, told, '"member":"InterfacesAdded".*usb_1_3')
        d = devices(machine)["usb_1_3"]
        assert d["VendorID"] == 0x0627 and d["DeviceNode"] == "/dev/bus/usb/%03d/%03d" % tuple(d["USB"])
        machine.qemu.qmp.run("device_del", id="plugged")
        wait(machine, told, '"member":"InterfacesRemoved".*usb_1_3')
        assert "usb_1_3" not in devices(machine)
        lines = [json.loads(line) for line in machine.read("/run/news").rpartition("\n")[0].splitlines() if line.startswith("{")]
    added = [m["payload"]["data"] for m in lines if m.get("member") == "InterfacesAdded" and m["payload"]["data"][0].endswith("/usb_1_3")]
    removed = [m["payload"]["data"] for m in lines if m.get("member") == "InterfacesRemoved" and m["payload"]["data"][0].endswith("/usb_1_3")]
    assert len(added) == len(removed) == 1 and added[0][1][HOSTDEV]["Kind"]["data"] == "usb" and HOSTDEV in removed[0][1], lines


def test_who_has_a_usb_device(installed_machine):
    machine = installed_machine
    define(machine, "pointer", tiny_xml("pointer", devices=USB.format(more="", place="<address bus='1' port='1'/>")))
    path = manager(machine, "GetDomain", "s pointer").split('"')[1]
    assert prop(machine, "usb_1_1", "AssignedTo") == "/"
    with news(machine) as told:
        machine.run("virtctl start pointer", timeout=SLOW)
        assert prop(machine, "usb_1_1", "AssignedTo") == path
        wait(machine, told, f'"AssignedTo":{{"type":"o","data":"{path}"}}')
        shown = json.loads(machine.run("virtctl --json=short host-devices --kind=usb", timeout=SLOW).stdout)
        assert {d["name"]: d["domain"] for d in shown}["usb_1_1"] == "pointer"
        # What it was is known again after a restart of the daemon.
        machine.run("systemctl restart virtqemud", timeout=SLOW)
        assert prop(machine, "usb_1_1", "AssignedTo") == path and prop(machine, "usb_1_2", "AssignedTo") == "/"
        terminate(machine, "pointer")
        wait(machine, told, '"AssignedTo":{"type":"o","data":"/"}')
    assert prop(machine, "usb_1_1", "AssignedTo") == "/"


def test_usb_device_that_was_pulled_out(installed_machine):
    """It is the guest's again when it is back, whether virtqemud ran meanwhile or not; so is one that was missing at the start."""
    machine, qmp = installed_machine, installed_machine.qemu.qmp
    live = "virtctl cat --live loyal"

    def plug(port):
        qmp.run("device_add", driver="usb-kbd", id=f"back{port}", bus="usb.0", port=str(port))

    plug(3)
    wait(machine, "ls /sys/bus/usb/devices", "1-3")
    definition = USB.format(more="", place="<address bus='1' port='3'/>") + USB.format(more=" startupPolicy='optional'", place="<address bus='1' port='4'/>")
    define(machine, "loyal", tiny_xml("loyal", devices=definition))
    machine.run("virtctl start loyal", timeout=SLOW)
    assert machine.run(live, timeout=SLOW).stdout.count("<hostdev") == 1
    try:
        with news(machine) as told:
            qmp.run("device_del", id="back3")
            wait(machine, told, '"member":"HostDeviceLost".*port 3')
            wait(machine, f"{live} | grep -c '<hostdev'", "0")
            plug(3)
            wait(machine, told, '"member":"HostDeviceReturned".*port 3')
            plug(4)
            wait(machine, told, '"member":"HostDeviceReturned".*port 4')
            assert machine.run(live, timeout=SLOW).stdout.count("<hostdev") == 2
        machine.run("systemctl stop virtqemud.socket virtqemud", timeout=SLOW)
        qmp.run("device_del", id="back3")
        qmp.run("device_del", id="back4")
        wait(machine, "ls /sys/bus/usb/devices | grep -cE '^1-[34]$'", "0")
        plug(3)
        wait(machine, "ls /sys/bus/usb/devices", "1-3")
        machine.run("systemctl start virtqemud.socket", timeout=SLOW)
        wait(machine, f"{live} | grep -c '<hostdev'", "1")
        path = manager(machine, "GetDomain", "s loyal").split('"')[1]
        wait(machine, f"busctl get-property {SERVICE} {ROOT}/hostdev/usb_1_3 {HOSTDEV} AssignedTo", path)
        # Taken out of the definition it is not waited for any more.
        machine.put("/srv/loyal.xml", tiny_xml("loyal"))
        machine.run("virtctl define /srv/loyal.xml", timeout=SLOW)
        plug(4)
        wait(machine, "ls /sys/bus/usb/devices", "1-4")
        assert machine.run(live, timeout=SLOW).stdout.count("<hostdev") == 1
    finally:
        terminate(machine, "loyal")
        for port in (3, 4):
            qmp.run("device_del", id=f"back{port}")


def test_who_has_a_pci_device(installed_machine):
    """Its driver follows, too: in a VM from the start, and plugged in."""
    machine = installed_machine
    address = machine.run("basename $(dirname $(grep -lx 0x1044 /sys/bus/pci/devices/*/device))").stdout.strip()
    name = "pci_" + re.sub("[:.]", "_", address)
    given = PCI.format(managed="yes", bus=address.split(":")[1])
    back = f"busctl get-property {SERVICE} {ROOT}/hostdev/{name} {HOSTDEV} Driver AssignedTo | tr '\\n' ' '"
    free = 's "virtio-pci" o "/"'
    wait(machine, back, free)
    define(machine, "owner", tiny_xml("owner", devices=given))
    with news(machine) as told:
        machine.run("virtctl start owner", timeout=SLOW)
        assert prop(machine, name, "AssignedTo") == manager(machine, "GetDomain", "s owner").split('"')[1]
        wait(machine, told, '"Driver":{"type":"s","data":"vfio-pci"}')
        assert prop(machine, name, "Driver") == "vfio-pci"
        terminate(machine, "owner")
        wait(machine, back, free)
        wait(machine, told, '"Driver":{"type":"s","data":"virtio-pci"}')
    define(machine, "taker", tiny_xml("taker", devices="<controller type='pci' model='pcie-root-port'/>"))
    machine.run("virtctl start taker", timeout=SLOW)
    machine.put("/srv/taken.xml", given)
    machine.run("virtctl attach taker /srv/taken.xml --live", timeout=SLOW)
    assert prop(machine, name, "AssignedTo") == manager(machine, "GetDomain", "s taker").split('"')[1]
    terminate(machine, "taker")
    wait(machine, back, free)


def test_scsi_device_with_its_commands(installed_machine):
    """The file for its commands comes and goes by itself."""
    machine = installed_machine
    machine.run("modprobe scsi_debug dev_size_mb=8 && modprobe sg && udevadm settle")
    name = machine.run("basename $(dirname $(grep -l scsi_debug /sys/bus/scsi/devices/*/model | head -n 1))").stdout.strip()
    generic = "/dev/" + machine.run(f"ls /sys/bus/scsi/devices/{name}/scsi_generic").stdout.strip()
    device = "scsi_" + name.replace(":", "_")
    wait(machine, f"busctl get-property {SERVICE} {ROOT}/hostdev/{device} {HOSTDEV} DeviceNode", generic)
    d = devices(machine)[device]
    assert d["Kind"] == "scsi" and d["Product"] == "scsi_debug" and d["Vendor"] == "Linux"


UDEV = "systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udevd.service"


def test_without_udev(installed_machine):
    """Then it is the kernel that tells, and there are fewer names."""
    machine = installed_machine
    machine.run(f"systemctl stop {UDEV} && rm -f /run/udev/control && systemctl restart virtqemud", timeout=SLOW)
    try:
        assert "usb_1_4" not in devices(machine)
        with news(machine) as told:
            machine.qemu.qmp.run("device_add", driver="usb-mouse", id="bare", bus="usb.0", port="4")
            wait(machine, told, '"member":"InterfacesAdded".*usb_1_4')
            d = devices(machine)["usb_1_4"]
            assert d["VendorID"] == 0x0627 and "QEMU" in d["Product"]
            machine.qemu.qmp.run("device_del", id="bare")
            wait(machine, told, '"member":"InterfacesRemoved".*usb_1_4')
        assert "usb_1_4" not in devices(machine)
    finally:
        machine.run(f"systemctl start {UDEV} && systemctl restart virtqemud && udevadm trigger && udevadm settle", timeout=SLOW)
