# SPDX-License-Identifier: LGPL-2.1-or-later
"""What cycles.py does again and again. Each kind is a generator: up to its first `yield` it prepares, then each turn is one cycle,
and closing it cleans up. Much of what goes wrong in a daemon goes wrong on the way back from an error, so each kind has some of these."""

import os
import socket
import uuid
from dataclasses import dataclass
from typing import Callable

from gi.repository import Gio, GLib

from bus import BusError
from domains import CONFIG, FORMAT, LIVE, disk_xml, guest_xml, tiny_xml
from guest import Console
from netbed import NAT

QEMU, NETWORK, STORAGE, LOCK, LOG = (f"org.virtbus.{n}1" for n in ("qemu", "network", "storage", "lock", "log"))
ROOT = {service: "/" + service.replace(".", "/") for service in (QEMU, NETWORK, STORAGE, LOCK, LOG)}
MIB = 1 << 20
NONE = (0, {})
FLAGS = "ta{sv}"


def manager(client, service, method, signature="", *args, timeout=60):
    return client.call(service, ROOT[service], f"{service}.Manager", method, signature, *args, timeout=timeout)


def on(client, path, interface, method, signature=FLAGS, *args, timeout=60):
    service = interface.rpartition(".")[0]
    return client.call(service, path, interface, method, signature, *(NONE if signature == FLAGS and not args else args), timeout=timeout)


def refused(call, *args, **options):
    """A call that has to fail."""
    try:
        call(*args, **options)
    except BusError:
        return
    raise AssertionError(f"{args} was not refused")


def define(client, xml):
    return manager(client, QEMU, "DefineDomain", "ssta{sv}", FORMAT, xml, *NONE)[0]


def undefine(client, path):
    on(client, path, f"{QEMU}.Domain", "Undefine")


# ---- virtqemud

def defines(bed, client, number):
    """Definitions that come, change, get other names and go; and such as are refused at each stage."""
    n = 0
    yield
    while True:
        n += 1
        name = f"c{number}-{n % 5}"
        xml = tiny_xml(name, devices=many_devices(bed, name, "none.raw"))
        path = define(client, xml)
        if n % 4 == 0:
            on(client, path, f"{QEMU}.Domain", "Reconfigure", "ssta{sv}", FORMAT, xml.replace("<vcpu>1", "<vcpu>2"), *NONE)
        if n % 10 == 0:
            refused(define, client, xml.replace("<vcpu>1", "<vcpu>many"))
            refused(define, client, xml.replace("virtio'/>", "virtual'/>", 1))
            refused(define, client, xml[:-20])
            refused(define, client, tiny_xml(name, machine="abacus"))
        if n % 50 == 0:
            on(client, path, f"{QEMU}.Domain", "Rename", "sta{sv}", f"{name}-renamed", *NONE)
            on(client, path, f"{QEMU}.Domain", "SetAutostart", "bta{sv}", True, *NONE)
        undefine(client, path)
        yield


def reads(bed, client, number):
    """Of a domain with devices: single properties, all, whole objects, definitions, statistics, lists, errors."""
    def all_of(interface, where):
        return client.call(QEMU, where, "org.freedesktop.DBus.Properties", "GetAll", "s", f"{QEMU}.{interface}")
    path = define(client, tiny_xml(f"r{number}", devices=many_devices(bed, f"r{number}", "read.raw")))
    disk, = on(client, path, f"{QEMU}.Domain", "GetDevice", "s", "virtio-disk0")
    ways = [
        lambda: client.call(QEMU, path, "org.freedesktop.DBus.Properties", "Get", "ss", f"{QEMU}.Domain", "State"),
        lambda: all_of("Domain", path),
        lambda: all_of("Tuning", path),
        lambda: all_of("Disk", disk),
        lambda: manager(client, QEMU, "ListDomains"),
        lambda: manager(client, QEMU, "ListDomainProperties", "aoas", [], []),
        lambda: manager(client, QEMU, "GetDomain", "s", f"r{number}"),
        lambda: manager(client, QEMU, "GetStatistics", "aota{sv}", [], *NONE),
        lambda: on(client, path, f"{QEMU}.Domain", "ExportDefinition", "st", FORMAT, CONFIG),
        lambda: on(client, path, f"{QEMU}.Domain", "GetDevices", ""),
        lambda: on(client, path, f"{QEMU}.Domain", "PlanStart", FLAGS),
        lambda: client.call(QEMU, path, "org.freedesktop.DBus.Introspectable", "Introspect"),
        lambda: client.call(QEMU, ROOT[QEMU], "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
        lambda: manager(client, QEMU, "DomainCapabilities", "sssa{sv}", "", "", "", {}),
        lambda: manager(client, QEMU, "ConvertDefinition", "sssta{sv}", FORMAT, tiny_xml("x"), FORMAT, *NONE),
        lambda: refused(manager, client, QEMU, "GetDomain", "s", "nobody"),
        lambda: refused(all_of, "Domain", path + "x"),
        lambda: refused(client.call, QEMU, path, "org.freedesktop.DBus.Properties", "Get", "ss", f"{QEMU}.Domain", "Nothing"),
    ]
    yield
    try:
        n = 0
        while True:
            ways[n % len(ways)]()
            n += 1
            yield
    finally:
        undefine(client, path)


def many_devices(bed, name, image):
    nic = f"<interface type='network'><source network='cycles'/><model type='virtio'/></interface>" if bed.networks else \
        "<interface type='user'><backend type='passt'/></interface>"
    return (disk_xml(bed.images / f"{name}-{image}", "vda") + disk_xml(bed.images / f"{name}-2-{image}", "sda", "sata") + nic +
            "<controller type='usb' model='qemu-xhci'/><input type='tablet' bus='usb'/><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
            "<serial type='pty'/><serial type='file'><source path='{}'/></serial>".replace("{}", str(bed.images / f"{name}.txt")) +
            "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel><channel type='unix'><target type='virtio' name='org.example.0'/></channel>"
            "<graphics type='vnc' passwd='sesame'><listen type='none'/></graphics><video><model type='virtio'/></video><watchdog model='i6300esb'/>")


def starts(bed, client, number):
    """A VM with many devices is started and ended; some have no image, some are transient, some are ended by others."""
    name = f"s{number}"
    for image in (f"{name}-disk.raw", f"{name}-2-disk.raw"):
        bed.put(image, bytes(MIB))
    network = a_network(bed, client) if bed.networks else None
    xml = tiny_xml(name, devices=many_devices(bed, name, "disk.raw"))
    path = define(client, xml)
    bad = define(client, tiny_xml(f"{name}-bad", devices=many_devices(bed, f"{name}-bad", "missing.raw")))
    n = 0
    yield
    try:
        while True:
            n += 1
            if n % 5 == 0:
                refused(on, client, bad, f"{QEMU}.Domain", "Start")
            if n % 4 == 0:
                other = tiny_xml(f"{name}-once", devices="<serial type='pty'/>")
                once, _ = manager(client, QEMU, "StartTransient", "ssahta{sv}", FORMAT, other, [], *NONE)
                on(client, once, f"{QEMU}.Domain", "Terminate")
            on(client, path, f"{QEMU}.Domain", "Start")
            if n % 3 == 0:
                on(client, path, f"{QEMU}.Domain", "Suspend")
                on(client, path, f"{QEMU}.Domain", "Reset")
                on(client, path, f"{QEMU}.Domain", "Resume")
                manager(client, QEMU, "GetStatistics", "aota{sv}", [path], 0, {"max-age-usec": GLib.Variant("t", 0)})
            on(client, path, f"{QEMU}.Domain", "Terminate")
            yield
    finally:
        undefine(client, path)
        undefine(client, bad)
        if network:
            leave_network(client, network)


PORTS = "<controller type='pci' model='pcie-root-port'/>" * 4 + "<controller type='usb' model='qemu-xhci'/><controller type='virtio-serial'/>"


def attaches(bed, client, number):
    """Devices come to a running guest and go again, those that need its help among them; some are refused."""
    name = f"a{number}"
    network = a_network(bed, client) if bed.networks else None
    image = bed.put(f"{name}.raw", bytes(MIB))
    path = define(client, guest_xml(bed.guest, name=name, devices=PORTS, memory=192))
    on(client, path, f"{QEMU}.Domain", "Start")
    serial, = on(client, path, f"{QEMU}.Domain", "GetDevice", "s", "serial0")
    stream, = on(client, serial, f"{QEMU}.Console", "Open")
    console = Console(stream.socket())
    console.ready()
    kinds = [disk_xml(image, "vdb"), disk_xml(image, "sdb", "usb"), "<rng model='virtio'><backend model='builtin'/></rng>",
             "<interface type='network'><source network='cycles'/><model type='virtio'/></interface>" if bed.networks else
             "<interface type='user'><model type='virtio'/></interface>",
             "<input type='tablet' bus='usb'/>", "<channel type='unix'><target type='virtio' name='org.example.0'/></channel>"]
    n = 0
    yield
    try:
        while True:
            found, _ = on(client, path, f"{QEMU}.Domain", "AttachDevice", "ssta{sv}", FORMAT, kinds[n % len(kinds)], LIVE | (n & CONFIG), {})
            on(client, found, f"{QEMU}.Device", "Detach")
            n += 1
            if n % 10 == 0:
                refused(on, client, path, f"{QEMU}.Domain", "AttachDevice", "ssta{sv}", FORMAT, disk_xml("/nowhere.raw", "vdb"), LIVE, {})
                refused(on, client, path, f"{QEMU}.Domain", "AttachDevice", "ssta{sv}", FORMAT, "<disk", LIVE, {})
            yield
    finally:
        console.stream.close()
        on(client, path, f"{QEMU}.Domain", "Terminate")
        undefine(client, path)
        if network:
            leave_network(client, network)


def connects(bed, client, number):
    """Clients come over the bus and over each daemon's socket, ask for what lasts as long as they do, and go without a word."""
    daemons = ["virtqemud", "virtstoraged", "virtlogd", "virtlockd", *(["virtnetworkd"] if bed.networks else [])]
    services = [QEMU, STORAGE, LOG, LOCK, NETWORK]
    yield
    n = 0
    while True:
        n += 1
        other = bed.connect()
        manager(other, QEMU, "SubscribeStatistics", "aotta{sv}", [], 0, 1000000, {})
        other.close()
        at = n % len(daemons)
        peer = Gio.DBusConnection.new_for_address_sync(f"unix:path={bed.socket(daemons[at])}", Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
        peer.call_sync(None, ROOT[services[at]], "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", None, None, Gio.DBusCallFlags.NONE, 30000, None)
        peer.close_sync(None)
        with socket.socket(socket.AF_UNIX) as half:
            half.connect(bed.socket(daemons[at]))
            half.sendall(b"\0AUTH EXT")
        yield


# ---- virtnetworkd

def a_network(bed, client, name="cycles", net=90):
    """The network is there and up, whoever came first."""
    try:
        return manager(client, NETWORK, "GetNetwork", "s", name)[0]
    except BusError:
        path, = manager(client, NETWORK, "DefineNetwork", "ssta{sv}", FORMAT, NAT.format(name=name, mode="nat", bridge=f"br-{name}", net=net), *NONE)
        on(client, path, f"{NETWORK}.Network", "Start")
        return path


def leave_network(client, path):
    try:
        on(client, path, f"{NETWORK}.Network", "Stop")
        on(client, path, f"{NETWORK}.Network", "Undefine")
    except BusError:
        pass  # another one uses it still, or was faster


def networks(bed, client, number):
    """Networks of each mode come up and go down, with ports and forwards; some are refused, some pass."""
    modes = ("nat", "route", "isolated", "open")
    n = 0
    yield
    while True:
        mode, name = modes[n % len(modes)], f"n{number}-{n % 3}"
        xml = NAT.format(name=name, mode=mode, bridge=f"br-{name}", net=100 + number)
        if mode == "isolated":
            xml = xml.replace("<forward mode='isolated'/>", "")
        n += 1
        if n % 5 == 0:
            passing, = manager(client, NETWORK, "StartTransient", "ssta{sv}", FORMAT, xml, *NONE)
            on(client, passing, f"{NETWORK}.Network", "Stop")
        path, = manager(client, NETWORK, "DefineNetwork", "ssta{sv}", FORMAT, xml, *NONE)
        on(client, path, f"{NETWORK}.Network", "SetAutostart", "bta{sv}", True, *NONE)
        on(client, path, f"{NETWORK}.Network", "Start")
        _, queues = on(client, path, f"{NETWORK}.Network", "AttachPort", "a{sv}ta{sv}", {"domain": GLib.Variant("s", "web"), "queues": GLib.Variant("u", 2)}, *NONE)
        refused(on, client, path, f"{NETWORK}.Network", "Stop")
        for q in queues:
            q.close()
        on(client, path, f"{NETWORK}.Network", "Reconfigure", "ssta{sv}", FORMAT, xml.replace("name='web'", "name='shop'"), 3, {})
        on(client, path, f"{NETWORK}.Network", "Stop", FLAGS, 4, {})
        if n % 4 == 0:
            refused(manager, client, NETWORK, "DefineNetwork", "ssta{sv}", FORMAT, xml.replace("prefix='24'", "prefix='240'"), *NONE)
            refused(manager, client, NETWORK, "DefineNetwork", "ssta{sv}", FORMAT, xml[:-8], *NONE)
        on(client, path, f"{NETWORK}.Network", "Undefine")
        yield


# ---- virtstoraged

def pools(bed, client, number):
    """A pool comes with volumes that are made, read, grown and deleted, and goes."""
    folder = bed.images / f"pool{number}"
    bed.put(f"pool{number}/kept.raw", bytes(MIB))
    name = f"p{number}"
    xml = f"<pool type='dir'><name>{name}</name><target><path>{folder}</path></target></pool>"
    n = 0
    yield
    while True:
        n += 1
        path, = manager(client, STORAGE, "DefinePool", "ssta{sv}", FORMAT, xml, *NONE)
        pool = f"{STORAGE}.Pool"
        on(client, path, pool, "SetAutostart", "bta{sv}", True, *NONE)
        on(client, path, pool, "Start")
        volume, _ = on(client, path, pool, "CreateVolume", "stta{sv}", "v", MIB, 0, {"format": GLib.Variant("s", "qcow2" if n % 2 else "raw")})
        on(client, volume, f"{STORAGE}.Volume", "Resize", "tta{sv}", 2 * MIB, *NONE)
        on(client, volume, f"{STORAGE}.Volume", "Open")[0].close()
        on(client, path, pool, "ListVolumes", "")
        refused(on, client, path, pool, "CreateVolume", "stta{sv}", "v", MIB, *NONE)
        on(client, path, pool, "Refresh")
        on(client, volume, f"{STORAGE}.Volume", "Delete")
        on(client, path, pool, "Stop")
        if n % 4 == 0:
            refused(manager, client, STORAGE, "DefinePool", "ssta{sv}", FORMAT, xml.replace("'dir'", "'dirt'"), *NONE)
            refused(manager, client, STORAGE, "DefinePool", "ssta{sv}", FORMAT, xml[:-3], *NONE)
            secret, = manager(client, STORAGE, "DefineSecret", "ssta{sv}", FORMAT, f"<secret private='no'><usage type='volume'><volume>/{name}</volume></usage></secret>", *NONE)
            on(client, secret, f"{STORAGE}.Secret", "SetValue", "ayta{sv}", b"sesame", *NONE)
            on(client, secret, f"{STORAGE}.Secret", "GetValue")
            on(client, secret, f"{STORAGE}.Secret", "Undefine")
        on(client, path, pool, "Undefine")
        yield


# ---- virtlogd and virtlockd

LIMITS = {"max-size": GLib.Variant("t", 16384), "max-backups": GLib.Variant("u", 2), "journal": GLib.Variant("b", False)}


def logs(bed, client, number):
    """A log is opened, written to until it is rotated, followed, and closed."""
    owner = uuid.uuid5(uuid.NAMESPACE_OID, f"log{number}").bytes
    n = 0
    yield
    while True:
        n += 1
        name = f"serial{n % 3}"
        pipe = manager(client, LOG, "OpenLog", "aysst" + "a{sv}", owner, f"log{number}", name, 0, LIMITS)[0]
        follower = manager(client, LOG, "Follow", "aysta{sv}", owner, name, *NONE)[0]
        os.write(pipe.fd, b"a line of a guest\n" * 1000)
        manager(client, LOG, "Read", "aystt", owner, name, 0, 65536)
        manager(client, LOG, "Rotate", "aysta{sv}", owner, name, *NONE)
        os.write(pipe.fd, b"a line of a guest\n" * 10)
        manager(client, LOG, "ListLogs")
        refused(manager, client, LOG, "Follow", "aysta{sv}", owner, "nothing", *NONE)
        (pipe if n % 2 else follower).close()
        (follower if n % 2 else pipe).close()
        yield


def locks(bed, client, number):
    """Leases are taken, refused to others, handed over and given back."""
    mine, others = (uuid.uuid5(uuid.NAMESPACE_OID, f"lock{number}{who}").bytes for who in "ab")
    n = 0
    yield
    while True:
        n += 1
        resource = f"disk{number}-{n % 4}"
        lease = manager(client, LOCK, "Acquire", "ssayssta{sv}", "default", resource, mine, "a", "exclusive", *NONE)[0]
        refused(manager, client, LOCK, "Acquire", "ssayssta{sv}", "default", resource, others, "b", "shared", *NONE)
        manager(client, LOCK, "ListLeases", "s", "")
        taken = manager(client, LOCK, "Transfer", "sshayssta{sv}", "default", resource, lease, others, "b", "exclusive", *NONE)[0]
        lease.close()
        taken.close()
        yield


@dataclass
class Kind:
    name: str
    make: Callable      # (bed, client, number of the hand), a generator
    hands: int = 1      # so many at the same time
    least: int = 3      # cycles of each hand before the first look
    needs_network: bool = False


KINDS = {k.name: k for k in (
    Kind("define", defines, least=60), Kind("read", reads, least=40), Kind("connect", connects, least=10), Kind("start", starts, hands=3, least=6),
    Kind("attach", attaches, least=12), Kind("network", networks, least=10, needs_network=True), Kind("pool", pools, least=6),
    Kind("log", logs, least=12), Kind("lock", locks, least=8))}
