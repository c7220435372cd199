# SPDX-License-Identifier: LGPL-2.1-or-later
"""Changes of a running machine, seen by its guest."""

import os
import re
import threading

import pytest
from gi.repository import GLib

import bus as bus_module
from domains import CONFIG, FORMAT, LIVE, SERVICE, VALIDATE_ONLY, console, define, device, disk_xml, guest_xml, tiny_xml
from pace import at_most
from test_hotplug import until

pytestmark = pytest.mark.bus

NIC = "<interface type='user'><mac address='52:54:00:00:00:01'/></interface>"


def links(domain):
    """Of the running one and of the definition."""
    return tuple(re.findall('<link state="(.*?)"', domain.ExportDefinition(FORMAT, which)) for which in (LIVE, CONFIG))


def test_link(bus, qemud, guest_image):
    """The guest sees its cable pulled and plugged in."""
    d = define(bus, guest_xml(guest_image, devices=NIC))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    nic = device(bus, d, "net0")

    def carrier(value):
        con.ask(f"sh for i in $(seq 100); do [ $(cat /sys/class/net/eth0/carrier) = {value} ] && break; sleep 0.1; done")
        return f"carrier={value}" in " ".join(con.ask("sh echo carrier=$(cat /sys/class/net/eth0/carrier)"))

    con.ask("sh ifconfig eth0 up")
    assert nic.LinkUp and carrier(1)
    nic.SetLink(False, 0, {})
    bus.wait_property(nic, "LinkUp", False)
    assert carrier(0) and links(d) == (["down"], [])
    nic.SetLink(True, LIVE, {})
    assert carrier(1) and links(d) == (["up"], [])
    nic.SetLink(False, LIVE | CONFIG, {})
    assert carrier(0) and links(d) == (["down"], ["down"])
    nic.SetLink(True, CONFIG, {})
    assert carrier(0) and links(d) == (["down"], ["up"])
    nic.SetLink(True, LIVE | CONFIG | VALIDATE_ONLY, {})
    assert carrier(0) and links(d) == (["down"], ["up"])
    d.Terminate(0, {})


def test_link_of_the_definition(bus, qemud):
    d = define(bus, tiny_xml("web", devices=f"<!-- the only one -->{NIC}"))
    nic = device(bus, d, "net0")
    nic.SetLink(False, 0, {})
    assert not nic.LinkUp and "<!-- the only one -->" in d.ExportDefinition(FORMAT, 0)
    with bus.fails("InvalidState", "only its definition can be changed"):
        nic.SetLink(True, LIVE, {})
    with bus.fails("InvalidState", "only its definition can be changed"):
        nic.SetLink(True, LIVE | CONFIG, {})
    assert not nic.LinkUp
    with bus.fails("InvalidArgs", "does not know the flags"):
        nic.SetLink(True, 8, {})


def test_both_or_neither(bus, qemud):
    """The definition can't be written, so the cable stays in."""
    d = define(bus, tiny_xml("web", devices=NIC))
    d.Start(0, {}, timeout=60)
    nic = device(bus, d, "net0")
    folder = f"{bus.directory}/config/virtbus/domains"
    os.rename(folder, f"{folder}.away")
    open(folder, "w").close()
    try:
        with bus.fails("StoreFailed"):
            nic.SetLink(False, LIVE | CONFIG, {})
        assert nic.LinkUp
    finally:
        os.unlink(folder)
        os.rename(f"{folder}.away", folder)
    d.Terminate(0, {})


@pytest.mark.parametrize("change", ("define", "undefine"))
def test_a_definition_that_others_change_meanwhile(bus, qemud, tmp_path, change):
    """A guest lets go of nothing, and by the time that is clear the definition that would be put back is not the newest any more."""
    (tmp_path / "image").write_bytes(bytes(1 << 20))
    xml = tiny_xml("web", devices="<controller type='pci' model='pcie-root-port'/>" + disk_xml(tmp_path / "image"))
    d = define(bus, xml)
    uuid = re.search("<uuid>.*</uuid>", d.ExportDefinition(FORMAT, CONFIG))[0]
    d.Start(0, {}, timeout=60)
    d.Suspend(0, {})
    errors, seconds = [], min(at_most(2), 20)

    def detach():
        client = bus_module.Client(bus.address)
        try:
            device(client, client.object(SERVICE, d.path), "virtio_2ddisk0").Detach(LIVE | CONFIG, {"timeout-usec": GLib.Variant("t", int(seconds * 1e6))}, timeout=60)
        except bus_module.BusError as e:
            errors.append(e.name)
        client.close()
    waiting = threading.Thread(target=detach)
    waiting.start()
    bus.wait_property(d, "Job", lambda job: job != (0, "/"))
    until(lambda: "vda" not in d.ExportDefinition(FORMAT, CONFIG))
    if change == "define":
        define(bus, xml.replace("</name>", f"</name>{uuid}<title>newest</title>").replace("vda", "vdb"))
    else:
        d.Undefine(0, {})
    waiting.join(60)
    assert errors == ["org.virtbus.Error.Timeout"]
    if change == "define":
        text = d.ExportDefinition(FORMAT, CONFIG)
        assert "newest" in text and "vdb" in text and "vda" not in text
        assert not d.Warnings
    else:
        assert not d.Persistent and not os.listdir(bus.directory / "config/virtbus/domains")
    d.Terminate(0, {})


def test_devices_of_the_definition_alone(bus, qemud, tmp_path):
    """One that is in the definition only is never taken for another one of the running machine."""
    for name in "abc":
        (tmp_path / name).write_bytes(bytes(1 << 20))
    disks = {n: disk_xml(tmp_path / n, f"sd{n}", "scsi") for n in "abc"}
    xml = tiny_xml("web", devices="<controller type='scsi' model='virtio-scsi'/>" + disks["a"] + disks["b"])
    d = define(bus, xml)
    uuid = re.search("<uuid>.*</uuid>", d.ExportDefinition(FORMAT, CONFIG))[0]
    d.Start(0, {}, timeout=60)
    define(bus, xml.replace("</name>", f"</name>{uuid}").replace(disks["b"], disks["c"]))

    def named(name):
        return bus.object(SERVICE, d.GetDevice(name))

    def targets(which):
        return re.findall('<target dev="(.*?)"', d.ExportDefinition(FORMAT, which))
    for _ in range(2):
        assert named("sdb").path != named("sdc").path
        assert (named("sdb").Live, named("sdb").Persistent) == (True, False)
        assert (named("sdc").Live, named("sdc").Persistent) == (False, True)
        assert (named("sda").Live, named("sda").Persistent) == (True, True)
        with bus.fails("NoSuchDevice", "while it runs"):
            named("sdc").Detach(LIVE, {})
        with bus.fails("NoSuchDevice", "the definition of web has no device"):
            named("sdb").Detach(CONFIG, {})
        assert targets(LIVE) == ["sda", "sdb"] and targets(CONFIG) == ["sda", "sdc"]
        bus.stop_service(SERVICE)
        d = bus.object(SERVICE, bus.manager("qemu1").GetDomain("web"))
    named("sdc").Detach(0, {})
    assert targets(LIVE) == ["sda", "sdb"] and targets(CONFIG) == ["sda"]
    d.AttachDevice(FORMAT, disks["c"], CONFIG, {})
    named("sdb").Detach(0, {})
    assert targets(LIVE) == ["sda"] and targets(CONFIG) == ["sda", "sdc"]
    # It would have the id that is free in the running machine, but not in the definition.
    d.AttachDevice(FORMAT, disks["b"], LIVE, {})
    assert named("sdb").path != named("sdc").path and not named("sdc").Live and not named("sdb").Persistent
    d.Terminate(0, {})
