# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices that come and go while the machine runs."""

import difflib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import bus as bus_module
import pytest
from gi.repository import GLib

from pace import Deadline, patient
from rawqemu import die_with_parent
from domains import CONFIG, FORMAT, LIVE, NO_WAIT, VALIDATE_ONLY, console, define, device, disk_xml, guest_xml, job_done, tiny_xml
from processes import files_of

pytestmark = pytest.mark.bus

ROOM = "<maxMemory slots='4' unit='GiB'>2</maxMemory>"
PORTS = "<controller type='pci' model='pcie-root-port'/>" * 6 + "<controller type='pci' model='pcie-to-pci-bridge'/>"
BUSES = "<controller type='usb' model='qemu-xhci'/><controller type='scsi' model='virtio-scsi'/><controller type='virtio-serial'/>"

# Of the whole machine, so each run has its own.
SHARED = f"virtbus-hotplug-{os.getpid()}"

# Every kind of device that can be plugged in, as users write it. {dir} is a folder with images.
DEVICES = {
    "disk-virtio": disk_xml("{dir}/a.qcow2", "vdb", kind="qcow2"),
    "disk-scsi": disk_xml("{dir}/b.raw", "sdb", "scsi"),
    "disk-usb": disk_xml("{dir}/b.raw", "sdc", "usb"),
    "disk-transient": "<disk type='file'><source file='{dir}/b.raw'/><target dev='vdx' bus='virtio'/><transient/></disk>",
    "disk-network": "<disk type='network' device='disk'><driver type='raw'/><source protocol='nbd' name='x'><host transport='unix' socket='{dir}/nbd.sock'/>"
                    "</source><target dev='vdc' bus='virtio'/></disk>",
    "interface-udp": "<interface type='udp'><mac address='52:54:00:00:00:02'/><source address='127.0.0.1' port='9'><local address='127.0.0.1' port='{port}'/>"
                     "</source></interface>",
    "channel-dev": "<channel type='dev'><source path='{tty}'/><target type='virtio' name='org.example.0'/></channel>",
    "channel-reconnect": "<channel type='tcp'><source mode='connect' host='127.0.0.1' service='9'><reconnect enabled='yes' timeout='1'/></source>"
                         "<target type='virtio' name='org.example.1'/></channel>",
    "console-udp": "<console type='udp'><source mode='bind' host='127.0.0.1' service='{port}'/><source mode='connect' host='127.0.0.1' service='9'/>"
                   "<target type='virtio'/></console>",
    "redirdev": "<redirdev bus='usb' type='unix'><source mode='connect' path='{dir}/redir.sock'><reconnect enabled='yes' timeout='1'/></source></redirdev>",
    "shmem": f"<shmem name='{SHARED}'><model type='ivshmem-plain'/><size unit='MiB'>1</size></shmem>",
    "interface": "<interface type='user'><mac address='52:54:00:00:00:02'/></interface>",
    "interface-down": "<interface type='user'><mac address='52:54:00:00:00:02'/><link state='down'/></interface>",
    "interface-e1000": "<interface type='user'><mac address='52:54:00:00:00:02'/><model type='e1000'/></interface>",
    "interface-rom": "<interface type='user'><mac address='52:54:00:00:00:02'/><model type='e1000e'/><rom file='/usr/lib/ipxe/qemu/pxe-e1000e.rom'/></interface>",
    "channel": "<channel type='unix'><target type='virtio' name='org.example.0'/></channel>",
    "console": "<console type='pty'><target type='virtio'/></console>",
    "serial": "<serial type='pty'><target type='pci-serial'/></serial>",
    "rng": "<rng model='virtio'><backend model='builtin'/></rng>",
    "tablet": "<input type='tablet' bus='usb'/>",
    "keyboard": "<input type='keyboard' bus='virtio'/>",
    "controller-scsi": "<controller type='scsi' model='virtio-scsi'/>",
    "hub": "<hub type='usb'/>",
    "crypto": "<crypto model='virtio' type='qemu'><backend model='builtin'/></crypto>",
    "memory-dimm": "<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>",
    "memory-virtio": "<memory model='virtio-mem'><target><size unit='MiB'>128</size><block unit='MiB'>2</block><requested>0</requested></target></memory>",
}


@pytest.fixture
def images(tmp_path):
    (tmp_path / "base.raw").write_bytes(b"from the base".ljust(1 << 20, b"\0"))
    (tmp_path / "b.raw").write_bytes(b"plugged in".ljust(1 << 20, b"\0"))
    (tmp_path / "c.raw").write_bytes(b"from a server".ljust(1 << 20, b"\0"))
    os.system(f"qemu-img create -q -f qcow2 -b {tmp_path}/base.raw -F raw {tmp_path}/a.qcow2")
    server = subprocess.Popen(["qemu-nbd", "--persistent", "--shared=0", "-k", tmp_path / "nbd.sock", "-f", "raw", "-x", "x", tmp_path / "c.raw"],
                              preexec_fn=die_with_parent)
    until((tmp_path / "nbd.sock").exists)
    yield tmp_path
    server.kill()
    server.wait()
    if os.path.exists(f"/dev/shm/{SHARED}"):
        os.unlink(f"/dev/shm/{SHARED}")


def complete(xml, images):
    """With what is different each time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    return xml.replace("{dir}", str(images)).replace("{port}", port).replace("{tty}", TTY)


TERMINAL = os.openpty()
TTY = os.ttyname(TERMINAL[1])


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
        # QEMU takes the lowest number that is free at that moment.
        "network": re.sub(r"\bfd=\d+", "fd", qmp(domain, "human-monitor-command", **{"command-line": "info network"})),
    }


def descriptors(domain):
    """Of QEMU, but for those by which its own parts talk to each other."""
    return sorted(re.sub("/#[0-9]+ ", "/# ", t.split(":[")[0]) for t in files_of(domain.MainPID) if not t.startswith("anon_inode"))


def definitions(domain):
    """Both; how much memory there is may be said in other words."""
    return tuple(re.sub(" *<(currentMemory|memory unit).*\n", "", domain.ExportDefinition(FORMAT, which)) for which in (LIVE, CONFIG))


def until(what, expected=True, seconds=60):
    deadline = Deadline(seconds)
    while (now := what()) != expected:
        assert not deadline.passed(), now
        time.sleep(0.05)


# As long as a guest may take that hardly gets the processor.
PATIENTLY = {"timeout-usec": GLib.Variant("t", 80_000_000)}

# What the guest says to a command once the device is there.
SEEN = {
    "disk-network": ("disks", "from.a.server"), "disk-virtio": ("disks", "from.the.base"), "disk-scsi": ("disks", "plugged.in"), "disk-usb": ("disks", "plugged.in"),
    "interface": ("nics", "52:54:00:00:00:02"), "interface-down": ("nics", "52:54:00:00:00:02"), "interface-e1000": ("nics", "52:54:00:00:00:02"),
    "channel": ("ports", "org.example.0"), "channel-reconnect": ("ports", "org.example.1"), "memory-dimm": ("sh ls /sys/bus/memory/devices", "memory32"),
    "tablet": ("sh cat /sys/class/input/*/name", "Tablet"), "keyboard": ("sh cat /sys/class/input/*/name", "Virtio Keyboard"),
}


def test_guest_sees_it_come_and_go(bus, qemud, guest_image, images):
    """Each is attached to the running machine and to its definition, used, and taken away from both."""
    d = define(bus, guest_xml(guest_image, devices=PORTS + BUSES, extra=ROOM, memory=320))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    for name, xml in DEVICES.items():
        if name != "memory-virtio":  # it stays: see test_resize.py
            come_and_go(bus, d, con, name, complete(xml, images))
    d.Terminate(0, {})


def come_and_go(bus, d, con, name, xml):
    before, defined = inside(d), definitions(d)
    path, plan = d.AttachDevice(FORMAT, xml, LIVE | CONFIG | VALIDATE_ONLY, {})
    assert any(line.startswith("qmp device_add") for line in plan) and plan[-1] == "definition of web", name
    assert inside(d) == before and definitions(d) == defined, name

    found, _ = d.AttachDevice(FORMAT, xml, LIVE | CONFIG, {})
    assert found == path, name
    new = bus.object("org.virtbus.qemu1", found)
    assert new.Live and new.Persistent and not new.RemovalPending
    assert d.PendingChanges == [], (name, d.PendingChanges)
    assert len(inside(d)["objects"]) > len(before["objects"])
    if name in SEEN:
        command, text = SEEN[name]
        until(lambda: text in (seen := " ".join([*con.ask("disks"), *con.ask(command)])) or f"{name}: {seen}")

    new.Detach(0, PATIENTLY, timeout=90)
    assert inside(d) == before, name
    assert definitions(d) == defined, name
    with bus.fails("UnknownObject"):
        new.Detach(0, {})


def test_what_can_not(bus, qemud, images):
    """Each with the reason, and nothing has changed."""
    port = "<controller type='pci' model='pcie-root-port'/>" + DEVICES["rng"]  # which takes it
    d = define(bus, tiny_xml("web", devices=port + disk_xml(images / "base.raw", "sda", "sata")))
    d.Start(0, {}, timeout=60)
    before, defined = inside(d), definitions(d)
    for xml, error, text in (
            (disk_xml(images / "b.raw", "sdb", "sata"), "NotSupported", "only the buses virtio, scsi and usb"),
            (disk_xml(images / "b.raw", "vda"), "InvalidState", "no free pcie-root-port"),
            (disk_xml(images / "none.raw", "vda", extra="<address type='pci' bus='0' slot='9'/>"), "InvalidDefinition", "PCI bus 0"),
            ("<panic/>", "NotSupported", "only from its start"),
            ("<memballoon model='virtio'/>", "NotSupported", "only from its start"),
            ("<pstore/>", "NotSupported", "s390x"),
            ("<cpu/>", "InvalidDefinition", "<cpu> is no device"),
            ("<disk", "InvalidDefinition", "not well-formed")):
        with bus.fails(error, text):
            d.AttachDevice(FORMAT, xml, LIVE | CONFIG, {})
        assert inside(d) == before and definitions(d) == defined
    with bus.fails("NotSupported", "only the buses virtio, scsi and usb"):
        device(bus, d, "sata_2ddisk0").Detach(LIVE, {})
    with bus.fails("InvalidArgs", "no format"):
        d.AttachDevice("yaml", "<panic/>", 0, {})
    d.Terminate(0, {})
    with bus.fails("InvalidState", "only its definition can be changed"):
        d.AttachDevice(FORMAT, DEVICES["rng"], LIVE, {})


def test_free_ports(bus, qemud, images):
    """A definition that names no port gets two, once: what is plugged in for good and taken out again leaves it as it was."""
    d = define(bus, tiny_xml("web"))
    d.Start(0, {}, timeout=60)
    defined = definitions(d)[1]
    paths = [d.AttachDevice(FORMAT, xml.replace("{dir}", str(images)), LIVE | CONFIG, {})[0] for xml in (DEVICES["rng"], DEVICES["interface"])]
    with bus.fails("InvalidState", "no free pcie-root-port"):
        d.AttachDevice(FORMAT, DEVICES["crypto"], LIVE | CONFIG, {})
    for path in paths:
        bus.object("org.virtbus.qemu1", path).Detach(CONFIG, {})
    assert definitions(d)[1] == defined and d.ExportDefinition(FORMAT, LIVE).count("<rng") == 1
    d.Terminate(0, {})


def test_definition_alone(bus, qemud, images):
    d = define(bus, tiny_xml("web", devices="<!-- kept -->"))
    path, _ = d.AttachDevice(FORMAT, disk_xml(images / "b.raw", "sda", "sata"), 0, {})
    disk = bus.object("org.virtbus.qemu1", path)
    assert disk.Persistent and not disk.Live and "<!-- kept -->" in d.ExportDefinition(FORMAT, CONFIG)
    with bus.fails("InvalidDefinition", "without <source>"):
        d.AttachDevice(FORMAT, "<disk><target dev='vdb'/></disk>", CONFIG, {})
    nic, _ = d.AttachDevice(FORMAT, "<interface type='user'/>", CONFIG, {})
    assert bus.object("org.virtbus.qemu1", nic).MAC.startswith("52:54:00")
    _, plan = disk.Detach(VALIDATE_ONLY, {})
    assert plan == ["definition of web"]
    disk.Detach(0, {})
    assert "b.raw" not in d.ExportDefinition(FORMAT, CONFIG)


def test_guest_that_does_not_answer(bus, qemud, images):
    """Nothing runs in it that would let go of the disk: the definition keeps it, and it goes when it can, however the wait for it has ended."""
    d = define(bus, tiny_xml("web", devices=PORTS))
    d.Start(0, {}, timeout=60)
    path, _ = d.AttachDevice(FORMAT, DEVICES["disk-virtio"].replace("{dir}", str(images)), LIVE | CONFIG, {})
    disk, defined = bus.object("org.virtbus.qemu1", path), definitions(d)[1]

    def waits():
        assert disk.RemovalPending and disk.Live and disk.Persistent and definitions(d)[1] == defined

    def detach_soon():
        with bus.fails("Timeout", "has not let go of virtio-disk0"):
            disk.Detach(0, {"timeout-usec": GLib.Variant("t", 300000)})
        waits()
    # QEMU has not even said that it has heard of it.
    os.kill(d.MainPID, signal.SIGSTOP)
    detach_soon()
    os.kill(d.MainPID, signal.SIGCONT)
    detach_soon()
    job, _ = disk.Detach(NO_WAIT, {})
    until(lambda: definitions(d)[1] == defined, False)
    bus.object("org.virtbus.qemu1", job, "org.virtbus.job1").Cancel(0, {})
    assert job_done(bus, job)[1].endswith("Canceled")
    waits()
    job, _ = disk.Detach(NO_WAIT, {})
    until(lambda: definitions(d)[1] == defined, False)
    bus.stop_service("org.virtbus.qemu1", signal.SIGKILL)
    until(lambda: definitions(d)[1] == defined)
    waits()
    d.Suspend(0, {})
    detach_soon()
    # Its next boot is a moment at which nobody holds it; and nobody listens then.
    bus.stop_service("org.virtbus.qemu1")
    d = bus.object("org.virtbus.qemu1", bus.manager("qemu1").GetDomain("web"))
    disk = bus.object("org.virtbus.qemu1", path)
    assert disk.RemovalPending
    d.Resume(0, {})
    d.Reset(0, {})
    bus.wait_property(disk, "Live", False)
    assert disk.Persistent and d.PendingChanges != []
    d.Terminate(0, {})


@pytest.mark.parametrize("what", ["attach", "detach", "resize"])
def test_qemu_that_ends_meanwhile(bus, qemud, images, what):
    """Whoever waits is told, and the definition is as it was."""
    d = define(bus, tiny_xml("web", devices=PORTS + BUSES + DEVICES["disk-usb"].replace("{dir}", str(images))).replace("<vcpu>1</vcpu>", "<vcpu current='1'>2</vcpu>"))
    d.Start(0, {}, timeout=60)
    defined, qemu = d.ExportDefinition(FORMAT, CONFIG), d.MainPID
    d.Suspend(0, {})
    os.kill(qemu, signal.SIGSTOP)
    caller = threading.Timer(patient(1), os.kill, (qemu, signal.SIGKILL))
    caller.start()
    with bus.fails("Disconnected"):
        if what == "attach":
            d.AttachDevice(FORMAT, DEVICES["rng"], LIVE | CONFIG, {}, timeout=20)
        elif what == "detach":
            device(bus, d, "usb_2ddisk0").Detach(LIVE | CONFIG, {}, timeout=20)
        else:
            d.SetVCPUs(2, LIVE | CONFIG, {}, timeout=20)
    caller.join()
    bus.wait_property(d, "State", "shutoff")
    assert d.ExportDefinition(FORMAT, CONFIG) == defined
    d.Start(0, {}, timeout=60)
    d.Terminate(0, {})


def test_leases_follow(bus, qemud, images):
    """Nobody else can have the image while it is plugged in, and anybody afterwards."""
    lockd = bus.manager("lock1")
    d, other = (define(bus, tiny_xml(n, devices=PORTS + BUSES)) for n in ("web", "other"))
    d.Start(0, {}, timeout=60)
    other.Start(0, {}, timeout=60)
    xml = DEVICES["disk-usb"].replace("{dir}", str(images))

    def held():
        return [(e[2], e[5]) for e in lockd.ListLeases("")]

    path, _ = d.AttachDevice(FORMAT, xml, 0, {})
    until(held, [(f"{images}/b.raw", "web")])
    with bus.fails("LeaseHeld", "web"):
        other.AttachDevice(FORMAT, xml, 0, {})
    bus.object("org.virtbus.qemu1", path).Detach(0, {}, timeout=60)
    until(held, [])
    other.AttachDevice(FORMAT, xml, 0, {})
    until(held, [(f"{images}/b.raw", "other")])
    d.Terminate(0, {})
    other.Terminate(0, {})


def test_what_a_paused_vm_has_lost(bus, qemud, images):
    """QEMU closes nothing while it stands; once it runs, nothing is open, whichever daemon saw the disk go."""
    lockd = bus.manager("lock1")
    d = define(bus, tiny_xml("web", devices=PORTS + BUSES + DEVICES["disk-scsi"].replace("{dir}", str(images))))
    d.Start(0, {}, timeout=60)
    with_cold = {t for t in files_of(d.MainPID) if str(images) in t}
    for dies in (False, True):
        path, _ = d.AttachDevice(FORMAT, DEVICES["disk-usb"].replace("{dir}", str(images)).replace("b.raw", "base.raw"), LIVE, {})
        d.Suspend(0, {})
        bus.object("org.virtbus.qemu1", path).Detach(LIVE, {}, timeout=60)
        if not dies:
            device(bus, d, "scsi_2ddisk0").Detach(LIVE, {}, timeout=60)
        else:
            bus.stop_service("org.virtbus.qemu1", signal.SIGKILL)
        assert f"{images}/base.raw" in [e[2] for e in lockd.ListLeases("")]
        d.Resume(0, {})
        until(lambda: [e[2] for e in lockd.ListLeases("")], [])
        until(lambda: [t for t in files_of(d.MainPID) if str(images) in t], [])
    assert with_cold and d.Warnings == []
    d.Terminate(0, {})


def test_lease_of_a_disk_that_was_there(bus, qemud, images):
    """The lease goes with the disk, not with the machine."""
    lockd = bus.manager("lock1")
    d = define(bus, tiny_xml("web", devices=PORTS + BUSES + DEVICES["disk-usb"].replace("{dir}", str(images))))
    d.Start(0, {}, timeout=60)
    until(lambda: len(lockd.ListLeases("")), 1)
    device(bus, d, "usb_2ddisk0").Detach(LIVE, {}, timeout=60)
    until(lambda: lockd.ListLeases(""), [])
    d.Terminate(0, {})


@pytest.mark.sanitized
@pytest.mark.parametrize("name", DEVICES)
def test_nothing_is_left_of_a_failure(images, tmp_path, name):
    """Each command of each kind of device is refused once."""
    trigger = tmp_path / "fail"
    with bus_module.Bus(environment={"VIRTBUS_FAIL_QMP": str(trigger)}) as bus:
        refuse_each(bus, images, name, trigger)


def refuse_each(bus, images, name, trigger):
    d = define(bus, tiny_xml("web", devices=PORTS + BUSES, extra=ROOM, memory=128))
    d.Start(0, {}, timeout=60)
    xml = complete(DEVICES[name], images)
    _, plan = d.AttachDevice(FORMAT, xml, LIVE | CONFIG | VALIDATE_ONLY, {})
    commands = [line.split()[1] for line in plan if line.startswith("qmp")]
    before, defined, files = inside(d), definitions(d), descriptors(d)
    added = commands.index("device_add")
    for n in range(1, added + 2):
        trigger.write_text(f"plug fail {n}")
        with bus.fails("QemuFailed", "because a test wants it so"):
            d.AttachDevice(FORMAT, xml, LIVE | CONFIG, {})
        assert inside(d) == before, commands[n - 1]
        assert definitions(d) == defined, commands[n - 1]
        until(lambda: descriptors(d) == files or (commands[n - 1], set(descriptors(d)) ^ set(files)))  # memory's files are closed a moment later
    d.AttachDevice(FORMAT, xml, LIVE | CONFIG, {})
    d.Terminate(0, {})


@pytest.mark.sanitized
@pytest.mark.parametrize("name", DEVICES)
def test_nothing_is_left_of_a_death(images, tmp_path, name):
    """virtqemud dies at each command by which each kind of device comes and goes: after that it is there, whole, or not at all."""
    trigger = tmp_path / "die"
    with bus_module.Bus(environment={"VIRTBUS_FAIL_QMP": str(trigger)}) as bus:
        die_at_each(bus, images, name, trigger)


def die_at_each(bus, images, name, trigger):
    base = tiny_xml("web", devices=PORTS + BUSES, extra=ROOM, memory=128)
    d = define(bus, base)
    d.Start(0, {}, timeout=60)
    xml = complete(DEVICES[name], images)
    nothing, files = whole(d), descriptors(d)
    path, _ = d.AttachDevice(FORMAT, xml, LIVE | CONFIG, {})
    complete_one, complete_files = whole(d), descriptors(d)
    start_again(bus, d, base)
    there = []
    while True:
        trigger.write_text(f"plug die {len(there) + 1}")
        try:
            d.AttachDevice(FORMAT, xml, LIVE | CONFIG, {})
            break  # there are no more commands
        except bus_module.BusError as e:
            assert "NoReply" in str(e) and not trigger.exists(), "it died where it should"
        until(lambda: (now := whole(d)) in (nothing, complete_one) or (there, differences(nothing, now), differences(complete_one, now)))
        there.append(whole(d) == complete_one)
        until(lambda: descriptors(d) == (complete_files if there[-1] else files) or (there, set(descriptors(d)) ^ set(files)))
        if there[-1]:
            new = bus.object("org.virtbus.qemu1", path)
            assert new.Live and new.Persistent and d.PendingChanges == []
            start_again(bus, d, base)
    assert there == sorted(there) and not there[0] and there[-1], "from the command on that plugs it in it stays"
    d.Terminate(0, {})


def start_again(bus, d, xml):
    d.Terminate(0, {})
    bus.wait_property(d, "State", "shutoff")
    define(bus, xml)
    d.Start(0, {}, timeout=60)


def whole(d):
    """QEMU's parts and both definitions, without what is another one at each start."""
    texts = [re.sub('id="[0-9]+"|/dev/pts/[0-9]+', "", text) for text in definitions(d)]
    parts = inside(d)
    parts["fdsets"] = len(parts["fdsets"])
    return [f"{key} {value}" for key, value in parts.items()] + [f"{i} {line}" for i, text in enumerate(texts) for line in text.splitlines()]


def differences(expected, found):
    return [line for line in difflib.ndiff(expected, found) if line[0] in "+-"]


def attach_when_free(d, xml):
    """What an interruption has left is taken away at once, but not in no time."""
    while True:
        try:
            return d.AttachDevice(FORMAT, xml, LIVE | CONFIG, {})[0]
        except bus_module.BusError as e:
            assert "Busy" in str(e)
            time.sleep(0.05)


# Real memory, once it is the guest's, is not given back on demand: see test_resize.py.
LET_GO = [name for name in DEVICES if name != "memory-virtio"]
PARTS = 3


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_left_of_a_death_after_the_guest_let_go(images, tmp_path, guest_image, part):
    """The same for each command that takes away what stood behind a device; a third of them share a guest."""
    trigger = tmp_path / "die"
    with bus_module.Bus(environment={"VIRTBUS_FAIL_QMP": str(trigger)}) as bus:
        d = define(bus, guest_xml(guest_image, devices=PORTS + BUSES, extra=ROOM, memory=320))
        d.Start(0, {}, timeout=60)
        console(bus, d).ready()
        for name in LET_GO[part::PARTS]:
            die_at_each_clean(bus, d, complete(DEVICES[name], images), trigger)
        d.Terminate(0, {})


def die_at_each_clean(bus, d, xml, trigger):
    before = whole(d)
    for n in range(1, 20):
        path = attach_when_free(d, xml)
        trigger.write_text(f"clean die {n}")
        died = dies_letting_go(bus.object("org.virtbus.qemu1", path), trigger)
        until(lambda: differences(before, whole(d)), [])
        if not died:
            break  # there are no more commands
    trigger.unlink(missing_ok=True)  # nothing stood behind it


def dies_letting_go(device, trigger):
    """Whether virtqemud died; a guest that is just taking what it was given refuses to give it back."""
    while True:
        try:
            device.Detach(0, PATIENTLY, timeout=90)
            return False
        except bus_module.BusError as e:
            if "NoReply" in str(e):
                assert not trigger.exists(), e
                return True
            assert "does not let go" in str(e), e
            time.sleep(0.1)


def test_death_before_the_guest_is_asked(images, tmp_path):
    """The device stays in both; a guest that has not let go of it in time leaves it in both, too."""
    trigger = tmp_path / "die"
    with bus_module.Bus(environment={"VIRTBUS_FAIL_STEP": str(trigger)}) as bus:
        d = define(bus, tiny_xml("web", devices=PORTS + BUSES + DEVICES["disk-usb"].replace("{dir}", str(images))))
        d.Start(0, {}, timeout=60)
        before, defined = inside(d), definitions(d)
        trigger.write_text("detach unplug dies")
        with pytest.raises(bus_module.BusError):
            device(bus, d, "usb_2ddisk0").Detach(LIVE | CONFIG, {}, timeout=20)
        until(lambda: (inside(d), definitions(d)), (before, defined))
        disk = device(bus, d, "usb_2ddisk0")
        assert disk.Live and disk.Persistent
        disk.Detach(LIVE | CONFIG, {}, timeout=20)
        d.Terminate(0, {})
