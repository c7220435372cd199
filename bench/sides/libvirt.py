# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt, by its C library over libvirtd's socket, with nothing between it and Python but ctypes."""

import ctypes
import queue
import threading
from contextlib import nullcontext
from ctypes import POINTER, byref, c_char_p, c_int, c_uint, c_uint64, c_ulong, c_void_p

from sides.base import POOL, Side, domain_xml, network_xml, run, uuid_of
from table import now

# What Debian ships as its libvirt: libvirtd, one daemon for all, and virtlogd and virtlockd beside it.
PACKAGES = ("libvirt-daemon-system", "libvirt-clients")
URI = b"qemu:///system"
STATE, BALLOON, VCPU = 1, 4, 8              # groups of virConnectGetAllDomainStats()
PERSISTENT, RUNNING, AUTOSTART = 4, 16, 1024     # filters of virConnectListAllDomains()
EVENTS = {2: "running", 3: "paused", 4: "running", 5: "shutoff"}
LIFECYCLE = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int, c_void_p)
ON_ERROR = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)

VOLUME = """<volume><name>{name}</name><capacity unit='GiB'>1</capacity><allocation>0</allocation>
<target><format type='{kind}'/></target></volume>"""


class DomainInfo(ctypes.Structure):
    _fields_ = [("state", ctypes.c_ubyte), ("max_memory", c_ulong), ("memory", c_ulong), ("vcpus", ctypes.c_ushort), ("time", c_uint64)]


class VolumeInfo(ctypes.Structure):
    _fields_ = [("kind", c_int), ("capacity", c_uint64), ("allocation", c_uint64)]


class CallFailed(Exception):
    pass


@ON_ERROR
def quiet(*_):
    """Errors are raised, not printed."""


def library():
    lib = ctypes.CDLL("libvirt.so.0")
    lib.virGetLastErrorMessage.restype = c_char_p
    lib.virSetErrorFunc(None, quiet)
    lib.virEventRegisterDefaultImpl()

    def events():
        """libvirtd gives up clients that don't answer its pings, which takes a thread that does nothing else."""
        while True:
            lib.virEventRunDefaultImpl()
    threading.Thread(target=events, daemon=True).start()
    return lib


class Libvirt(Side):
    SERVICES = ("libvirtd.service", "virtlogd.service", "virtlockd.service")
    NETWORKS = "libvirtd.service"

    def __init__(self):
        self.lib, self.connection, self.domains, self.networks, self.heard = library(), None, {}, {}, queue.Queue()
        self.subscription, self.listeners = None, []

    # ---- calls

    def pointer(self, function, *args):
        f = getattr(self.lib, function)
        f.restype = c_void_p
        if not (p := f(*args)):
            raise CallFailed(f"{function}: {self.lib.virGetLastErrorMessage().decode()}")
        return c_void_p(p)

    def number(self, function, *args):
        if (n := getattr(self.lib, function)(*args)) < 0:
            raise CallFailed(f"{function}: {self.lib.virGetLastErrorMessage().decode()}")
        return n

    def connect(self):
        self.connection = self.pointer("virConnectOpen", URI)

    def own_socket(self):
        """There is nothing else."""
        return nullcontext()

    def disconnect(self):
        for domain in self.domains.values():
            self.lib.virDomainFree(domain)
        for network in self.networks.values():
            self.lib.virNetworkFree(network)
        self.domains.clear()
        self.networks.clear()
        if self.subscription is not None:
            self.lib.virConnectDomainEventDeregisterAny(self.connection, self.subscription)
        self.subscription = None
        if self.connection:
            self.lib.virConnectClose(self.connection)
        self.connection = None

    def wake_all(self):
        """libvirtd answers; the other two run when they are needed."""
        self.list_states()
        run("systemctl", "start", *self.SERVICES)

    def domain(self, name):
        """Looked up once: who has found one keeps it."""
        if name not in self.domains:
            self.domains[name] = self.pointer("virDomainLookupByName", self.connection, name.encode())
        return self.domains[name]

    # ---- definitions

    def define(self, name, **how):
        self.domains[name] = self.pointer("virDomainDefineXML", self.connection, domain_xml(name, **how).encode())

    def undefine(self, name):
        self.number("virDomainUndefine", self.domain(name))
        self.lib.virDomainFree(self.domains.pop(name))

    def by_name(self, name):
        self.lib.virDomainFree(self.pointer("virDomainLookupByName", self.connection, name.encode()))

    def by_uuid(self, name):
        self.lib.virDomainFree(self.pointer("virDomainLookupByUUID", self.connection, uuid_of(name).bytes))

    def _statistics(self, groups):
        records = POINTER(c_void_p)()
        n = self.number("virConnectGetAllDomainStats", self.connection, c_uint(groups), byref(records), c_uint(0))
        self.lib.virDomainStatsRecordListFree(records)
        return n

    def _list(self, filters):
        out = POINTER(c_void_p)()
        n = self.number("virConnectListAllDomains", self.connection, byref(out), c_uint(filters))
        for i in range(n):
            self.lib.virDomainFree(c_void_p(out[i]))
        ctypes.CDLL(None).free(out)
        return n

    def list_states(self):
        """In one call; who asks for a list and for each state makes one call more per domain."""
        self._statistics(STATE)

    def count_running(self):
        return self._list(RUNNING)

    def properties_of_all(self):
        """The fewest calls that tell it."""
        self._statistics(STATE | BALLOON | VCPU)
        self._list(PERSISTENT)
        self._list(AUTOSTART)

    def properties_of(self, name):
        """Every one is in its XML, what is live in the other."""
        domain = self.domain(name)
        self.number("virDomainGetInfo", domain, byref(DomainInfo()))
        text = self.pointer("virDomainGetXMLDesc", domain, c_uint(0))
        ctypes.CDLL(None).free(text)

    # ---- virtual machines

    def start(self, name):
        self.number("virDomainCreate", self.domain(name))

    def stop(self, name):
        self.number("virDomainDestroy", self.domain(name))

    def suspend(self, name):
        self.number("virDomainSuspend", self.domain(name))

    def resume(self, name):
        self.number("virDomainResume", self.domain(name))

    def pid(self, name):
        with open(f"/run/libvirt/qemu/{name}.pid") as f:
            return int(f.read())

    def start_all(self, names):
        """At once, each over a connection of its own: one takes five calls at a time."""
        connections = [self.pointer("virConnectOpen", URI) for _ in names]
        domains = [self.pointer("virDomainLookupByName", c, n.encode()) for c, n in zip(connections, names)]
        threads = [threading.Thread(target=self.number, args=["virDomainCreate", d]) for d in domains]
        began = now()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        took = now() - began
        for d, c in zip(domains, connections):
            self.lib.virDomainFree(d)
            self.lib.virConnectClose(c)
        return took

    def statistics(self):
        self._statistics(0)

    def subscribe(self):
        def heard(_connection, _domain, event, _detail, _data):
            self.heard.put(EVENTS.get(event))
            return 0
        self.listeners.append(LIFECYCLE(heard))     # libvirt may call one that it was told to forget
        self.subscription = self.number("virConnectDomainEventRegisterAny", self.connection, None, 0, self.listeners[-1], None, None)

    def wait_event(self, state):
        while self.heard.get(timeout=60) != state:
            pass

    # ---- networks

    def network(self, i, method):
        if method == "define":
            self.networks[i] = self.pointer("virNetworkDefineXML", self.connection, network_xml(i).encode())
            return
        if i not in self.networks:
            self.networks[i] = self.pointer("virNetworkLookupByName", self.connection, f"vbn{i}".encode())
        self.number({"start": "virNetworkCreate", "stop": "virNetworkDestroy", "undefine": "virNetworkUndefine"}[method], self.networks[i])
        if method == "undefine":
            self.lib.virNetworkFree(self.networks.pop(i))

    def list_networks(self):
        out = POINTER(c_void_p)()
        for i in range(self.number("virConnectListAllNetworks", self.connection, byref(out), c_uint(0))):
            self.lib.virNetworkFree(c_void_p(out[i]))
        ctypes.CDLL(None).free(out)

    # ---- storage

    def pool_start(self, name, path):
        self.pool = self.pointer("virStoragePoolDefineXML", self.connection, POOL.format(name=name, path=path).encode(), c_uint(0))
        self.number("virStoragePoolCreate", self.pool, c_uint(0))

    def pool_remove(self):
        self.number("virStoragePoolDestroy", self.pool)
        self.number("virStoragePoolUndefine", self.pool)
        self.lib.virStoragePoolFree(self.pool)

    def refresh(self):
        self.number("virStoragePoolRefresh", self.pool, c_uint(0))

    def list_volumes(self):
        """Sizes are asked for one by one."""
        out, info = POINTER(c_void_p)(), VolumeInfo()
        for i in range(self.number("virStoragePoolListAllVolumes", self.pool, byref(out), c_uint(0))):
            self.number("virStorageVolGetInfo", c_void_p(out[i]), byref(info))
            self.lib.virStorageVolFree(c_void_p(out[i]))
        ctypes.CDLL(None).free(out)

    def create_volume(self, name, kind, clone_from=None):
        xml = VOLUME.format(name=name, kind=kind).encode()
        if clone_from:
            source = self.pointer("virStorageVolLookupByName", self.pool, clone_from.encode())
            self.volume = self.pointer("virStorageVolCreateXMLFrom", self.pool, xml, source, c_uint(0))
            self.lib.virStorageVolFree(source)
        else:
            self.volume = self.pointer("virStorageVolCreateXML", self.pool, xml, c_uint(0))

    def delete_volume(self):
        """The last that was created."""
        self.number("virStorageVolDelete", self.volume, c_uint(0))
        self.lib.virStorageVolFree(self.volume)
