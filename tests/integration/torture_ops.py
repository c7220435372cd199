# SPDX-License-Identifier: LGPL-2.1-or-later
"""The operations of torture: how each is called, and what it writes (see torture_model.py).

Each function is the name of a kind in torture_plan.py. It returns the call, a dictionary of what is written if it succeeds, and one of
what may be written on the way however it ends.
"""

import itertools
import math
import time
from dataclasses import dataclass

from gi.repository import GLib

from bus import BusError
from domains import tiny_xml
from torture_model import ANY
from torture_plan import CONFIG, LIVE, NETWORKS, NICS, POOLS, TARGETS, identity, mac

QEMU, NETWORK, STORAGE = "org.virtbus.qemu1", "org.virtbus.network1", "org.virtbus.storage1"
IMAGES = "/srv/large/images"
# A daemon that has been killed was done with what it did, but systemd and QEMU may go on with what it has asked for.
LAG = 3
TIMEOUT = 90
# Nobody has said what became of it.
LOST = ("org.freedesktop.DBus.Error.", "org.freedesktop.systemd1.", "local", "org.virtbus.Error.Timeout", "org.virtbus.Error.Stopping")
# Said by a daemon, too: of an object that is not there.
REFUSED = tuple(f"org.freedesktop.DBus.Error.{e}" for e in ("UnknownObject", "UnknownMethod", "UnknownInterface", "InvalidArgs"))


NUMBERS = itertools.count(1)


@dataclass
class Done:
    """How an operation went."""
    client: int
    op: object
    begin: float
    end: float
    outcome: str           # done, refused, lost, or never: nobody has answered at all
    said: str

    def __str__(self):
        return f"{self.begin:7.3f}-{self.end:.3f} client {self.client} {self.op}: {self.outcome}{' ' + self.said if self.said else ''}"


def run(client, number, op, model, zero):
    """Do one operation, and note what it has written."""
    call, writes, touches = globals()[op.kind](client, **op.args)
    begin = time.monotonic() - zero
    outcome, said = "done", ""
    try:
        call()
    except BusError as e:
        said = str(e)
        outcome = "lost" if e.name.startswith(LOST) and e.name not in REFUSED else "refused"
    except TimeoutError as e:
        outcome, said = "never", str(e)
    end = time.monotonic() - zero
    together = next(NUMBERS)
    for register, value in touches.items():
        model.write(register, value, begin, math.inf, False)
    for register, value in writes.items() if outcome != "refused" else ():
        lasting = outcome != "done" and register[-1] in ("state", "active", "autostart", "live")
        model.write(register, value, begin, math.inf if lasting else end + (LAG if outcome != "done" else 0), outcome == "done", together)
    return Done(number, op, begin, end, outcome, said)


# ---- VMs

def vm_path(vm):
    return f"/org/virtbus/qemu1/domain/{identity('vm', vm).hex}"


def manager(client, service, method, signature, *args):
    return client.call(service, f"/{service.replace('.', '/')}", f"{service}.Manager", method, signature, *args, timeout=TIMEOUT)


def domain(client, vm, method, signature="ta{sv}", *args, interface="Domain", path=None):
    return client.call(QEMU, path or vm_path(vm), f"{QEMU}.{interface}", method, signature, *(args or (0, {})), timeout=TIMEOUT)


def disk_xml(target, source):
    if ":" in source:
        pool, volume = source.split(":")
        kind, where = "qcow2" if volume.endswith(".qcow2") else "raw", f"<source pool='{pool}' volume='{volume}'/>"
    else:
        kind, where = "raw", f"<source file='{IMAGES}/{source}'/>"
    return (f"<disk type='{'volume' if ':' in source else 'file'}' device='disk'><driver name='qemu' type='{kind}'/>{where}"
            f"<target dev='{target}' bus='scsi'/></disk>")


def nic_xml(vm, number, network):
    return (f"<interface type='network'><mac address='{mac(vm, number)}'/><source network='{network}'/><model type='usb-net'/>"
            f"<alias name='ua-nic{number}'/></interface>")


def vm_xml(vm, tag, weight, disks, nics):
    """Devices of kinds that come and go without a guest's help; one of the VMs has a program beside its QEMU."""
    relay = f"<serial type='pipe'><source path='{IMAGES}/pipe'/></serial>" if vm == "d" else ""
    devices = ("<controller type='scsi' model='virtio-scsi'/><controller type='usb' model='qemu-xhci'/>" + disk_xml("sda", f"base-{vm}") + relay +
               "".join(disk_xml(t, s) for t, s in disks.items()) + "".join(nic_xml(vm, n, w) for n, w in nics.items()))
    extra = f"<uuid>{identity('vm', vm)}</uuid><title>{tag}</title><description>{tag}</description>"
    return tiny_xml(vm, devices=devices, extra=extra + (f"<cputune><shares>{weight}</shares></cputune>" if weight else ""))


def devices(vm, where, value=None, disks=(), nics=()):
    """The registers of what can be plugged in: of the definition ("config") or of the running machine ("live")."""
    return ({("vm", vm, t, where): dict(disks).get(t, value) for t in TARGETS} |
            {("vm", vm, f"nic{n}", where): dict(nics).get(n, value) for n in NICS} |
            {("vm", vm, "weight", where): value})


def defined(vm, tag, weight, disks, nics):
    return devices(vm, "config", None, disks, nics) | {("vm", vm, "weight", "config"): weight, ("vm", vm, "title"): tag}


def define(client, vm, tag, weight, disks, nics):
    xml = vm_xml(vm, tag, weight, disks, nics)
    return lambda: manager(client, QEMU, "DefineDomain", "ssta{sv}", "libvirt-xml", xml, 0, {}), defined(vm, tag, weight, disks, nics), {}


def reconfigure(client, vm, tag, weight, disks, nics):
    xml = vm_xml(vm, tag, weight, disks, nics)
    return (lambda: domain(client, vm, "Reconfigure", "ssta{sv}", "libvirt-xml", xml, CONFIG, {}),
            defined(vm, tag, weight, disks, nics), {})


def undefine(client, vm):
    return (lambda: domain(client, vm, "Undefine"),
            devices(vm, "config") | {("vm", vm, "title"): None, ("vm", vm, "autostart"): None}, {})


# Networks and pools are started with the VM that needs them.
STARTED = {("network", n, "active"): True for n in NETWORKS} | {("pool", p, "active"): True for p in POOLS}
STARTED |= {("network", n, f"host{k}", "live"): ANY for n in NETWORKS for k in (0, 1)}


def start(client, vm):
    return lambda: domain(client, vm, "Start"), devices(vm, "live", ANY) | {("vm", vm, "state"): "running"}, STARTED


def start_transient(client, vm, tag, weight, disks, nics):
    xml = vm_xml(vm, tag, weight, disks, nics)
    return (lambda: manager(client, QEMU, "StartTransient", "ssahta{sv}", "libvirt-xml", xml, [], 0, {}),
            devices(vm, "live", ANY) | {("vm", vm, "state"): "running"}, STARTED)


def gone(vm):
    return devices(vm, "live") | {("vm", vm, "state"): None}


def terminate(client, vm):
    return lambda: domain(client, vm, "Terminate"), gone(vm), {}


def suspend(client, vm):
    return lambda: domain(client, vm, "Suspend"), {("vm", vm, "state"): "paused"}, {}


def resume(client, vm):
    return lambda: domain(client, vm, "Resume"), {("vm", vm, "state"): "running"}, {}


def scoped(vm, what, flags, value):
    return {("vm", vm, what, where): value for flag, where in ((LIVE, "live"), (CONFIG, "config")) if flags & flag}


def attach(client, vm, what, xml, flags, value):
    touches = {k: v for k, v in STARTED.items() if flags & LIVE}
    return lambda: domain(client, vm, "AttachDevice", "ssta{sv}", "libvirt-xml", xml, flags, {}), scoped(vm, what, flags, value), touches


def attach_disk(client, vm, target, source, flags):
    return attach(client, vm, target, disk_xml(target, source), flags, source)


def attach_nic(client, vm, nic, network, flags):
    return attach(client, vm, f"nic{nic}", nic_xml(vm, nic, network), flags, network)


def detach(client, vm, name, what, flags):
    def call():
        path, = domain(client, vm, "GetDevice", "s", name)
        domain(client, vm, "Detach", "ta{sv}", flags, {}, interface="Device", path=path)
    return call, scoped(vm, what, flags, None), {}


def detach_disk(client, vm, target, flags):
    return detach(client, vm, target, target, flags)


def detach_nic(client, vm, nic, flags):
    return detach(client, vm, f"ua-nic{nic}", f"nic{nic}", flags)


def resize_disk(client, vm, size):
    return lambda: manager(client, QEMU, "ResizeDisk", "sstta{sv}", vm, "sda", size, 4, {}), {("file", f"base-{vm}"): size}, {}


def tune(client, vm, weight, flags):
    value = [("CPUWeight", GLib.Variant("t", weight))]
    return (lambda: domain(client, vm, "SetProperties", "a(sv)ta{sv}", value, flags, {}, interface="Tuning"),
            scoped(vm, "weight", flags, weight), {})


def autostart(client, vm, on):
    return lambda: domain(client, vm, "SetAutostart", "bta{sv}", on, 0, {}), {("vm", vm, "autostart"): on or None}, {}


# ---- networks

def network_path(name):
    return f"/org/virtbus/network1/network/{identity('network', name).hex}"


def bridge(name):
    return f"tb-{name}"


def network_xml(name, tag):
    mode, net = NETWORKS[name]
    forward = f"<forward mode='{mode}'/>" if mode != "isolated" else ""
    return (f"<network><name>{name}</name><uuid>{identity('network', name)}</uuid>{forward}<bridge name='{bridge(name)}'/>"
            f"<domain name='{tag}'/><ip address='10.{net}.0.1' prefix='24'><dhcp>"
            f"<range start='10.{net}.0.100' end='10.{net}.0.200'/></dhcp></ip></network>")


def of_network(client, name, method, signature="ta{sv}", *args):
    return client.call(NETWORK, network_path(name), f"{NETWORK}.Network", method, signature, *(args or (0, {})), timeout=TIMEOUT)


def hosts(name, where, value):
    return {("network", name, f"host{k}", where): value for k in (0, 1)}


def define_network(client, network, tag):
    return (lambda: manager(client, NETWORK, "DefineNetwork", "ssta{sv}", "libvirt-xml", network_xml(network, tag), 0, {}),
            {("network", network, "domain"): tag} | hosts(network, "config", None), {})


def undefine_network(client, network):
    return (lambda: of_network(client, network, "Undefine"),
            {("network", network, "domain"): None, ("network", network, "autostart"): None} | hosts(network, "config", None), {})


def start_network(client, network):
    return lambda: of_network(client, network, "Start"), {("network", network, "active"): True} | hosts(network, "live", ANY), {}


def stop_network(client, network, flags):
    return (lambda: of_network(client, network, "Stop", "ta{sv}", flags, {}),
            {("network", network, "active"): None} | hosts(network, "live", None), {})


def autostart_network(client, network, on):
    return lambda: of_network(client, network, "SetAutostart", "bta{sv}", on, 0, {}), {("network", network, "autostart"): on or None}, {}


def host_mac(network, host):
    return f"52:54:00:88:{NETWORKS[network][1]:02x}:{host:02x}"


def of_host(network, host, flags, value):
    return {("network", network, f"host{host}", where): value for flag, where in ((LIVE, "live"), (CONFIG, "config")) if flags & flag}


def add_host(client, network, host, flags):
    address = bytes([10, NETWORKS[network][1], 0, 50 + host])
    return (lambda: of_network(client, network, "AddStaticHost", "sayta{sv}", host_mac(network, host), address, flags, {}),
            of_host(network, host, flags, True), {})


def remove_host(client, network, host, flags):
    return (lambda: of_network(client, network, "RemoveStaticHost", "sayta{sv}", host_mac(network, host), b"", flags, {}),
            of_host(network, host, flags, None), {})


# ---- pools and volumes

def pool_path(name):
    return f"/org/virtbus/storage1/pool/{identity('pool', name).hex}"


def volume_path(pool, name):
    encoded = "".join(c if c.isalnum() else f"_{ord(c):02x}" for c in name)
    return f"{pool_path(pool)}/volume/{encoded}"


def pool_xml(name):
    return f"<pool type='dir'><name>{name}</name><uuid>{identity('pool', name)}</uuid><target><path>{POOLS[name]}</path></target></pool>"


def of_pool(client, name, method, signature="ta{sv}", *args):
    return client.call(STORAGE, pool_path(name), f"{STORAGE}.Pool", method, signature, *(args or (0, {})), timeout=TIMEOUT)


def of_volume(client, pool, name, method, signature="ta{sv}", *args):
    return client.call(STORAGE, volume_path(pool, name), f"{STORAGE}.Volume", method, signature, *(args or (0, {})), timeout=TIMEOUT)


def define_pool(client, pool):
    return (lambda: manager(client, STORAGE, "DefinePool", "ssta{sv}", "libvirt-xml", pool_xml(pool), 0, {}),
            {("pool", pool, "defined"): True}, {})


def undefine_pool(client, pool):
    return lambda: of_pool(client, pool, "Undefine"), {("pool", pool, "defined"): None, ("pool", pool, "autostart"): None}, {}


def start_pool(client, pool):
    return lambda: of_pool(client, pool, "Start"), {("pool", pool, "active"): True}, {}


def stop_pool(client, pool):
    return lambda: of_pool(client, pool, "Stop"), {("pool", pool, "active"): None}, {}


def refresh_pool(client, pool):
    return lambda: of_pool(client, pool, "Refresh"), {}, {}


def autostart_pool(client, pool, on):
    return lambda: of_pool(client, pool, "SetAutostart", "bta{sv}", on, 0, {}), {("pool", pool, "autostart"): on or None}, {}


def create(client, pool, volume, size, options, value):
    qcow2 = {"format": "qcow2"} if volume.endswith(".qcow2") else {}
    return (lambda: of_pool(client, pool, "CreateVolume", "stta{sv}", volume, size, 0, options | qcow2), {("volume", pool, volume): value}, {})


def create_volume(client, pool, volume, size, full):
    how = {"preallocation": "falloc"} if volume.endswith(".qcow2") else {"allocation": GLib.Variant("t", size)}
    return create(client, pool, volume, size, how if full else {}, size)


def clone_volume(client, pool, volume, of):
    return create(client, pool, volume, 0, {"clone-from": of}, ANY)


def delete_volume(client, pool, volume):
    return lambda: of_volume(client, pool, volume, "Delete"), {("volume", pool, volume): None}, {}


def resize_volume(client, pool, volume, size, shrink):
    return (lambda: of_volume(client, pool, volume, "Resize", "tta{sv}", size, 0, {"shrink": shrink}),
            {("volume", pool, volume): size}, {})
