# SPDX-License-Identifier: LGPL-2.1-or-later
"""Virtbus, by its D-Bus API over the system bus."""

from contextlib import contextmanager

from sides.base import POOL, Side, domain_xml, network_xml, uuid_of
from sides.sdbus import Bus
from table import now

FORMAT = "libvirt-xml"
DOMAIN, POOLS = "org.virtbus.qemu1.Domain", "org.virtbus.storage1.Pool"
ALL = ["Name", "UUID", "State", "MemoryMax", "MemoryCurrent", "VCPUs", "Autostart", "Persistent"]


def where(kind):
    return f"org.virtbus.{kind}", f"/org/virtbus/{kind}", f"org.virtbus.{kind}.Manager"


QEMU, NETWORKS, STORAGE = where("qemu1"), where("network1"), where("storage1")


def path_of(name):
    return f"/org/virtbus/qemu1/domain/{uuid_of(name).hex}"


class Virtbus(Side):
    SERVICES = ("virtqemud.service", "virtnetworkd.service", "virtstoraged.service", "virtlogd.service", "virtlockd.service")
    NETWORKS = "virtnetworkd.service"
    BESIDE_QEMU = "virtqemu-run"

    def __init__(self):
        self.bus, self.heard, self.networks = None, [], {}

    def connect(self):
        self.bus = Bus()

    @contextmanager
    def own_socket(self):
        """Calls go to virtqemud itself, without the message bus."""
        bus, self.bus = self.bus, Bus("/run/virtbus/virtqemud.sock")
        try:
            yield
        finally:
            self.bus.close()
            self.bus = bus

    def disconnect(self):
        if self.bus:
            self.bus.close()
        self.bus = None

    def wake_all(self):
        """Every daemon answers."""
        for kind, method in ((QEMU, "ListDomains"), (NETWORKS, "ListNetworks"), (STORAGE, "ListPools"), (where("log1"), "ListLogs")):
            self.bus.call(*kind, method)
        self.bus.call(*where("lock1"), "ListLeases", "s", "")

    def domain(self, name, method, types="", *values):
        return self.bus.call(QEMU[0], path_of(name), DOMAIN, method, types, *values)

    # ---- definitions

    def define(self, name, **how):
        self.bus.call(*QEMU, "DefineDomain", "ssta{sv}", FORMAT, domain_xml(name, **how), 0, {})

    def undefine(self, name):
        self.domain(name, "Undefine", "ta{sv}", 0, {})

    def by_name(self, name):
        self.bus.call(*QEMU, "GetDomain", "s", name).read("o")

    def by_uuid(self, name):
        self.bus.call(*QEMU, "GetDomainByUUID", "ay", uuid_of(name).bytes).read("o")

    def list_states(self):
        self.bus.call(*QEMU, "ListDomains").skip("a(ssayso)")

    def count_running(self):
        n, m = 0, self.bus.call(*QEMU, "ListDomains")
        with m.inside("a", "(ssayso)"):
            while not m.at_end():
                with m.inside("r", "ssayso"):
                    n += m.read("ss")[1] == "running"
                    m.skip("ayso")
        return n

    def properties_of_all(self):
        self.bus.call(*QEMU, "ListDomainProperties", "aoas", [], ALL).skip("a(oa{sv})")

    def properties_of(self, name):
        self.bus.call(QEMU[0], path_of(name), "org.freedesktop.DBus.Properties", "GetAll", "s", DOMAIN).skip("a{sv}")

    # ---- virtual machines

    def start(self, name):
        self.domain(name, "Start", "ta{sv}", 0, {})

    def stop(self, name):
        self.domain(name, "Terminate", "ta{sv}", 0, {})

    def suspend(self, name):
        self.domain(name, "Suspend", "ta{sv}", 0, {})

    def resume(self, name):
        self.domain(name, "Resume", "ta{sv}", 0, {})

    def pid(self, name):
        m = self.bus.call(QEMU[0], path_of(name), "org.freedesktop.DBus.Properties", "Get", "ss", DOMAIN, "MainPID")
        with m.inside("v", "u"):
            return m.read("u")[0]

    def start_all(self, names):
        """At once; milliseconds until the last answer."""
        answers = []
        began = now()
        for name in names:
            self.bus.send(answers.append, QEMU[0], path_of(name), DOMAIN, "Start", "ta{sv}", 0, {})
        self.bus.process(lambda: len(answers) == len(names))
        return now() - began

    def statistics(self):
        self.bus.call(*QEMU, "GetStatistics", "aota{sv}", [], 0, {}).skip("a(oa{sv})")

    def subscribe(self):
        self.heard.clear()

        def heard(m):
            self.heard.append(m.read("ss")[1])
        self.bus.listen(f"type='signal',sender='{QEMU[0]}',interface='{DOMAIN}',member='StateChanged'", heard)

    def wait_event(self, state):
        self.bus.process(lambda: state in self.heard)
        self.heard.clear()

    # ---- networks

    def network(self, i, method):
        if method == "define":
            m = self.bus.call(*NETWORKS, "DefineNetwork", "ssta{sv}", FORMAT, network_xml(i), 0, {})
            self.networks[i] = m.read("o")[0]
        else:
            self.bus.call(NETWORKS[0], self.networks[i], "org.virtbus.network1.Network", method.capitalize(), "ta{sv}", 0, {})

    def list_networks(self):
        self.bus.call(*NETWORKS, "ListNetworks").skip("a(ssbo)")

    # ---- storage

    def pool_start(self, name, path):
        self.pool = self.bus.call(*STORAGE, "DefinePool", "ssta{sv}", FORMAT, POOL.format(name=name, path=path), 0, {}).read("o")[0]
        self._pool("Start")

    def _pool(self, method):
        self.bus.call(STORAGE[0], self.pool, POOLS, method, "ta{sv}", 0, {})

    def pool_remove(self):
        self._pool("Stop")
        self._pool("Undefine")

    def refresh(self):
        self._pool("Refresh")

    def list_volumes(self):
        self.bus.call(STORAGE[0], self.pool, POOLS, "ListVolumes").skip("a(ssstto)")

    def create_volume(self, name, kind, clone_from=None):
        options = {"format": kind, **({"clone-from": clone_from} if clone_from else {})}
        size = 0 if clone_from else 1 << 30
        self.volume = self.bus.call(STORAGE[0], self.pool, POOLS, "CreateVolume", "stta{sv}", name, size, 0, options).read("o")[0]

    def delete_volume(self):
        """The last that was created."""
        self.bus.call(STORAGE[0], self.volume, "org.virtbus.storage1.Volume", "Delete", "ta{sv}", 0, {})
