# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every method of every daemon, on real objects, with arguments of the right type and the worst content: each is answered, by success or
by an error that a person can read; the daemon is the same afterwards, as large as before, and has made nothing outside its folders."""

import itertools
import os
import random
import re
import shutil
import socket
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from gi.repository import GLib

from bus import BusError, complete_types, daemon_path
from domains import FORCE, FORMAT, tiny_xml
from pace import at_most

pytestmark = [pytest.mark.bus, pytest.mark.timeout(400)]    # many calls; a minute where nobody else wants the processors

PROPERTIES = "org.freedesktop.DBus.Properties"
DEADLINE = 30
GROWN_MAX_KIB = 96 * 1024
# What a caller did wrong has a name of D-Bus; everything else is ours.
STANDARD = {f"org.freedesktop.DBus.Error.{e}" for e in (
    "InvalidArgs", "AccessDenied", "NoMemory", "UnknownMethod", "UnknownObject", "UnknownInterface", "UnknownProperty", "PropertyReadOnly",
    "InteractiveAuthorizationRequired")}
# They wait for who holds the other end of a pipe.
STREAMS = {"Upload", "Download"}
# They wait for a guest that says nothing, as long as they are told to; with a wrong word they must not.
PATIENT = {"Shutdown", "ShutdownDomain", "Reboot", "RebootDomain", "WaitForAddress"}

HUGE = "x" * (1 << 20)
# As many entries as somebody may have time to send; made once, as that takes a while.
MANY = {"as": GLib.Variant("as", [""] * 100000), "au": GLib.Variant("au", [1] * 100000), "a{sv}": GLib.Variant("a{sv}", {f"k{i}": GLib.Variant("y", 1) for i in range(20000)})}
# Long enough for every place where a text is cut, and with no byte between letters there.
WIDE, WIDE_ODD = "ä" * 700, "x" + "ä" * 700


def strings(outside):
    return ["", WIDE, WIDE_ODD, "\x01\x02\x1b[2J\a\x7f", f"../../../../../../../../{outside}/made", f"{outside}/made", f"{outside}/folder/../made", "%s%n%n%x%99999d",
            f"$(touch {outside}/made)", f"`touch {outside}/made`; touch {outside}/made", "a/b", "..", "two\nlines\r\n", "\u202e\U0001f4a9\ufeff\u0085",
            "--help", "-1", "18446744073709551616", "{\"execute\": \"quit\"}", "[" * 3000, "<a>" * 3000]


def nested(depth):
    v = GLib.Variant("s", "deep")
    for _ in range(depth):
        v = GLib.Variant("v", v)
    return v


WHOLE = {"y": (0, 255), "n": (-1 << 15, (1 << 15) - 1), "q": (0, (1 << 16) - 1), "i": (-1 << 31, (1 << 31) - 1), "u": (0, (1 << 32) - 1),
         "x": (-1 << 63, (1 << 63) - 1), "t": (0, (1 << 64) - 1)}


def numbers(kind):
    low, high = WHOLE[kind]
    return [n for n in dict.fromkeys((low, high, high - 1, high // 2 + 1, -1, 0, 1, 1 << 20)) if low <= n <= high]


def variants(kind="s"):
    """Of another type than `kind`, and of that type the ends."""
    odd = [GLib.Variant("s", WIDE_ODD), GLib.Variant("s", ""), GLib.Variant("i", -1), GLib.Variant("t", (1 << 64) - 1), GLib.Variant("d", float("nan")),
           GLib.Variant("b", True), GLib.Variant("as", ["a"] * 1000), GLib.Variant("a{sv}", {"a": nested(3)}), GLib.Variant("ay", bytes(64)), nested(25)]
    return [v for v in odd if v.get_type_string() != kind] + [v for v in odd if v.get_type_string() == kind]


class Hostile:
    """Values of a type, for arguments of methods."""

    def __init__(self, outside):
        self.outside = outside
        self.strings = strings(outside)
        self.keep = [open("/dev/null", "rb"), *map(os.fdopen, os.pipe(), "rw"), *socket.socketpair()]
        self.folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        alone, other = socket.socketpair()
        other.close()
        self.fds = [*(f.fileno() for f in self.keep), self.folder, alone.fileno()]
        self.keep.append(alone)
        self.ended = [self.fds[0], self.folder, alone.fileno()]

    def close(self):
        os.close(self.folder)
        for f in self.keep:
            f.close()

    def of(self, kind, options=()):
        """A list, or what makes one; `options` are names and types that the description of the method has."""
        if kind in ("s", "g", "o"):
            return {"s": self.strings, "o": ["/", "/org/virtbus", "/" + "/".join("a" * 1000)], "g": ["", "a{sv}"]}[kind]
        if kind in WHOLE:
            return numbers(kind)
        if kind == "b":
            return [False, True]
        if kind == "d":
            return [0.0, -1.0, float("inf"), float("nan"), 1e300]
        if kind == "h":
            return self.fds
        if kind == "v":
            return variants()
        if kind == "ay":
            return [b"", bytes(16), b"\xff" * 16, b"x" * 15, b"x" * (1 << 20)]
        if kind == "a{sv}":
            known = [{name: v} for name, of in options for v in variants(of)[::2]]
            return [{"no-such-option": True}, {"": ""}, {WIDE_ODD: 1}, {"%s%n": nested(30)}, MANY[kind], *known]
        if kind[0] == "a":
            item = kind[1:]
            if item == "h":
                return [[], self.fds[:1], self.fds, self.fds[:1] * 16]   # more than a message may have end the connection
            some = list(itertools.islice(self.of(item), 12)) if item[0] != "{" else []
            return [[], *([v] for v in some), MANY.get(kind, some[:1] * 300)] if item[0] != "{" else [{}]
        parts = complete_types(kind[1:-1])
        return [tuple(values) for values in itertools.zip_longest(*(self.of(p)[:8] for p in parts), fillvalue=None) if None not in values] or \
            [tuple(self.of(p)[0] for p in parts)]


def all_methods(bus, service, root):
    """(path, interface, method, [(name, type)], description) of one object of each interface, and its properties as (path, interface, name, type)."""
    paths = [root, *bus.call(service, root, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0]]
    seen, methods, properties = set(), [], []
    docs = {}
    for f in (Path(__file__).parents[2] / "dbus-interfaces").glob("org.virtbus.*.xml"):
        for i in ElementTree.parse(f).findall("interface"):
            for m in i.findall("method"):
                docs[i.get("name"), m.get("name")] = m.find("annotation").get("value")
    for path in paths:
        text, = bus.call(service, path, "org.freedesktop.DBus.Introspectable", "Introspect")
        for node in ElementTree.fromstring(text).findall("interface"):
            name = node.get("name")
            if name in seen or not name.startswith("org.virtbus."):
                continue
            seen.add(name)
            methods += [(path, name, m.get("name"), [(a.get("name") or "", a.get("type")) for a in m.findall("arg") if a.get("direction") == "in"],
                         docs.get((name, m.get("name")), "")) for m in node.findall("method")]
            properties += [(path, name, p.get("name"), p.get("type")) for p in node.findall("property")]
    return methods, properties


class Attack:
    def __init__(self, bus, service, good, outside, restore=lambda: None):
        self.bus, self.service, self.good, self.restore = bus, service, good, restore
        self.hostile = Hostile(outside)
        self.calls = self.succeeded = 0
        self.bad = []
        self.slow = []

    def plausible(self, name, kind):
        for key in (f"{name}:{kind}", kind):
            if key in self.good:
                return self.good[key]
        return (self.hostile.of(kind) or [[]])[0]

    def call(self, path, interface, method, signature, arguments):
        self.calls += 1
        what = f"{interface}.{method}({', '.join(repr(a)[:60] for a in arguments)}) on {path}"
        began = time.monotonic()
        try:
            self.bus.call(self.service, path, interface, method, signature, *arguments, timeout=DEADLINE)
        except BusError as e:
            self.check_error(e, what)
        except TimeoutError:
            self.bad.append(f"no answer within {DEADLINE} s: {what}")
        else:
            self.succeeded += 1
            if interface != PROPERTIES:
                self.restore()
        if time.monotonic() - began > at_most(3):
            self.slow.append(f"{time.monotonic() - began:.1f} s: {what}")

    def check_error(self, e, what):
        assert e.name != "local", f"{e.message}: {what}"
        if e.name not in STANDARD and not e.name.startswith("org.virtbus.Error."):
            self.bad.append(f"{e.name}, {e.message[:200]!r}: {what}")
        elif not e.message.strip() or re.search(r"[\x00-\x08\x0b-\x1f\x7f]", e.message) or "nternal error" in e.message or len(e.message) > 20000:
            self.bad.append(f"{e.name} says {e.message[:300]!r} ({len(e.message)}): {what}")

    def attack_method(self, path, interface, method, arguments, description):
        signature = "".join(kind for _, kind in arguments)
        options = re.findall(r"\b([a-z][a-z0-9-]+) \(([a-z{}()]+)[,)]", description)
        good = [self.plausible(name, kind) for name, kind in arguments]
        if not arguments:
            self.call(path, interface, method, "", [])
        for i, (_, kind) in enumerate(arguments):
            for value in self.hostile.ended if kind == "h" and method in STREAMS else self.hostile.of(kind, options):
                if method in PATIENT and kind != "a{sv}" and value in (0, "", "any"):
                    continue
                self.call(path, interface, method, signature, [*good[:i], value, *good[i + 1:]])
        if "s" in signature.replace("as", "").replace("{sv}", ""):
            self.call(path, interface, method, signature, [HUGE if kind == "s" else g for (_, kind), g in zip(arguments, good)])
        chance = random.Random(method)
        for _ in range(3 if method not in PATIENT | STREAMS else 0):
            self.call(path, interface, method, signature, [chance.choice(self.hostile.of(kind, options) or [[]]) for _, kind in arguments])

    def run(self, root, leave=(), interfaces=""):
        pid = self.bus.owner_pid(self.service)
        methods, properties = all_methods(self.bus, self.service, root)
        methods, properties = [m for m in methods if re.search(interfaces, m[1])], [p for p in properties if re.search(interfaces, p[1])]
        before = resident(pid)
        for path, interface, method, arguments, description in methods:
            if method not in leave:
                self.attack_method(path, interface, method, arguments, description)
            assert self.bus.owner_pid(self.service) == pid, f"the daemon is another one after {interface}.{method}"
        for path, interface, name, kind in properties:
            value = GLib.Variant(kind, self.hostile.of(kind)[0]) if kind in WHOLE or kind == "s" else GLib.Variant("s", "x")
            self.call(path, PROPERTIES, "Set", "ssv", [interface, name, value])
            self.call(path, PROPERTIES, "Get", "ss", [interface, WIDE_ODD])
        self.call(root, "org.virtbus.NoSuch", "Method", "s", [WIDE_ODD])
        after, used = resident(pid), sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        print(f"{self.service}: {len(methods)} methods, {self.calls} calls, {self.succeeded} succeeded, {before} KiB before, {after} after, {used} ticks of the processor")
        print("\n".join(self.slow))
        assert not self.bad, "\n".join([f"{len(self.bad)} bad answers:", *self.bad[:60]])
        assert self.bus.owner_pid(self.service) == pid
        assert after - before < GROWN_MAX_KIB or "asan" in Path(f"/proc/{pid}/maps").read_text(), f"grown from {before} to {after} KiB"


def resident(pid):
    return int(re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


@pytest.fixture
def outside(tmp_path):
    """A folder whose path is told to everybody; nobody may make anything in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "folder").mkdir()
    (folder / "kept").write_text("as it was")
    yield folder
    assert sorted(p.name for p in folder.rglob("*")) == ["folder", "kept"]
    assert (folder / "kept").read_text() == "as it was"


def need(name):
    if not daemon_path(name):
        pytest.skip(f"no {name}: set VIRTBUS_BUILD to a build directory that has it")


def test_virtlogd(bus, outside):
    need("virtlogd")
    logd = bus.manager("log1")
    uuid = bytes(range(16))
    pipe = logd.OpenLog(uuid, "web", "serial0", 0, {})
    os.write(pipe.fileno(), b"a line\n")
    Attack(bus, "org.virtbus.log1", {"uuid:ay": uuid, "domain:s": "web", "name:s": "serial0", "a{sv}": {}, "t": 0}, outside).run("/org/virtbus/log1")
    pipe.close()


def test_virtlockd(bus, outside, tmp_path):
    need("virtlockd")
    lockd = bus.manager("lock1")
    (tmp_path / "leases").mkdir()
    lockd.AddLockspace("ours", str(tmp_path / "leases"), 0, {})
    uuid = bytes(range(16))
    lease = lockd.Acquire("ours", "disk", uuid, "web", "exclusive", 0, {})
    good = {"lockspace:s": "ours", "resource:s": "other", "uuid:ay": uuid, "name:s": "web", "mode:s": "exclusive", "path:s": str(tmp_path / "leases"), "a{sv}": {}, "t": 0}
    Attack(bus, "org.virtbus.lock1", good, outside).run("/org/virtbus/lock1")
    assert ("ours", "disk") in [l[:2] for l in lockd.ListLeases("ours")]
    lease.close()


NETWORK = "<network><name>{}</name><bridge name='vbhost{}'/><ip address='10.99.{}.1' prefix='24'><dhcp><range start='10.99.{}.2' end='10.99.{}.9'/></dhcp></ip></network>"


def test_virtnetworkd(bus, outside):
    need("virtnetworkd")
    # Whatever it does to links and rules, it does in a network of its own.
    apart = [shutil.which("unshare"), "--net"] if os.getuid() == 0 else []
    bus.add_service("org.virtbus.network1", [*apart, daemon_path("virtnetworkd"), "--session"])
    networkd = bus.manager("network1")

    def restore():
        known = [n[0] for n in networkd.ListNetworks()]
        for i, name in enumerate(("net", "other")):
            if name not in known:
                networkd.DefineNetwork(FORMAT, NETWORK.format(name, *[i] * 4), 0, {})
    restore()
    good = {"name:s": "net", "network:s": "net", "format:s": FORMAT, "definition:s": NETWORK.format("net", *[0] * 4), "a{sv}": {}, "t": 0, "uuid:ay": bytes(16)}
    Attack(bus, "org.virtbus.network1", good, outside, restore).run("/org/virtbus/network1")
    assert {"net", "other"} <= {n[0] for n in networkd.ListNetworks()}
    for _, _, active, path in networkd.ListNetworks():
        if active:
            bus.object("org.virtbus.network1", path).Stop(FORCE, {})


def test_virtstoraged(bus, outside, tmp_path):
    need("virtstoraged")
    storaged = bus.manager("storage1")
    folder = tmp_path / "pool"
    folder.mkdir()
    pool = f"<pool type='dir'><name>pool</name><target><path>{folder}</path></target></pool>"
    volume = "<volume><name>{}</name><capacity>1048576</capacity><target><format type='qcow2'/></target></volume>"
    secret = "<secret><usage type='ceph'><name>client.web</name></usage></secret>"
    image = folder / "disk.qcow2"

    def restore():
        if not storaged.ListSecrets():
            storaged.DefineSecret(FORMAT, secret, 0, {})
        if "pool" not in [p[0] for p in storaged.ListPools()]:
            storaged.DefinePool(FORMAT, pool, 0, {})
        if [p[2] for p in storaged.ListPools() if p[0] == "pool"] == ["inactive"]:
            storaged.StartPool("pool", 0)
        if not image.exists():
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"], check=True)
            bus.object("org.virtbus.storage1", storaged.GetPool("pool")).Refresh(0, {})
    restore()
    good = {"name:s": "pool", "pool:s": "pool", "volume:s": "disk.qcow2", "format:s": FORMAT, "path:s": str(image), "definition:s": volume.format("new.qcow2"), "a{sv}": {},
            "t": 0, "uuid:ay": bytes(16)}
    Attack(bus, "org.virtbus.storage1", good, outside, restore).run("/org/virtbus/storage1", leave=("Delete", "Wipe"))
    restore()
    bus.object("org.virtbus.storage1", storaged.GetPool("pool")).Stop(0, {})


DEVICES = """<controller type='scsi' model='virtio-scsi'/><controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{image}'/><target dev='vda' bus='virtio'/></disk>
<disk type='file' device='cdrom'><target dev='sda' bus='scsi'/></disk><interface type='user'><mac address='52:54:00:00:00:01'/></interface>
<serial type='pty'/><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel><input type='tablet' bus='usb'/>
<graphics type='vnc'><listen type='socket'/></graphics><video><model type='virtio'/></video>"""


@pytest.mark.parametrize("interfaces", ["Manager$", "Domain$|Tuning$", "Guest$", "job1$|(Console|Device|Disk|Graphics|Nic|Screen|Events|HostDevice)$"])
def test_virtqemud(bus, qemud, outside, tmp_path, interfaces):
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    machine = tiny_xml("web", DEVICES.format(image=image))

    def restore():
        found = {d[0]: d[1] for d in qemud.ListDomains()}
        for name in [n for n in found if n not in ("web", "idle")]:
            if found[name] != "shutoff":
                qemud.TerminateDomain(name, 0)
        if found.get("idle") is None:
            qemud.DefineDomain(FORMAT, tiny_xml("idle"), 0, {})
        if found.get("web") is None:
            qemud.DefineDomain(FORMAT, machine, 0, {})
        if found.get("web") != "running":
            if found.get("web") not in (None, "shutoff"):
                qemud.TerminateDomain("web", 0)
            qemud.StartDomain("web", 0)
    restore()
    good = {"name:s": "idle", "domain:s": "idle", "format:s": FORMAT, "definition:s": tiny_xml("idle"), "a{sv}": {}, "t": 0, "uuid:ay": bytes(16), "mode:s": "acpi",
            "command:s": "{\"execute\": \"query-status\"}", "path:s": "/nonexistent"}
    Attack(bus, "org.virtbus.qemu1", good, outside, restore).run("/org/virtbus/qemu1", interfaces=interfaces)
    for name, state, *_ in qemud.ListDomains():
        if state != "shutoff":
            qemud.TerminateDomain(name, 0)
