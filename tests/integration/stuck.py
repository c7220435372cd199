# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host with twenty VMs on which everything that can be stuck is stuck at once, and the traffic of clients beside that.

    with Host(bed, guest_image) as host:
        quiet = host.traffic(10)                # {kind of call: Calls}
        with host.stuck() as wanted:            # calls that need what is stuck are on their way
            busy = host.traffic(30)
            for call in wanted: call.end()

Run as a program it is one of these clients: stuck.py PLAN, which is JSON.
"""

import contextlib
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid

from gi.repository import Gio, GLib

from bus import PROPERTIES, BusError, Client
from domains import SERVICE, console, disk_xml, guest_xml, tiny_xml
from rawqemu import die_with_parent

STORAGE, NETWORK, LOG = "org.virtbus.storage1", "org.virtbus.network1", "org.virtbus.log1"
ROOTS = {name: "/" + name.replace(".", "/") for name in (SERVICE, STORAGE, NETWORK, LOG)}
MIB = 1 << 20
VMS, CYCLED, FROZEN, MUTE = 20, 6, "frozen", "mute"
WILD = uuid.UUID("5a0d7f2e-31f3-4a55-9c8c-0c51b1d0a771")
CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
NET = "<network><name>lab</name><bridge name='br-lab'/><ip address='10.78.0.1' prefix='24'/></network>"
SERIAL = "<serial type='pty'/>"


# ---- one client

class Mix:
    """The calls of one client, in any order, each kind with what it calls. `of` names objects."""

    def __init__(self, client, of):
        self.client, self.of, self.turn = client, of, 0
        self.fresh = {"max-age-usec": GLib.Variant("t", 0)}

    def call(self, service, path, interface, method, signature="", *args):
        """The answer as it came: to take it apart is the client's own work."""
        body = GLib.Variant(f"({signature})", args) if args else None
        try:
            return self.client.connection.call_sync(service, path, interface, method, body, None, Gio.DBusCallFlags.NONE, 60000, None)
        except GLib.Error as e:
            raise BusError(Gio.DBusError.get_remote_error(e) or "local", e.message) from None

    def manager(self, service, method, signature="", *args):
        return self.call(service, ROOTS[service], f"{service}.Manager", method, signature, *args)

    def any(self, what):
        return random.choice(self.of[what])

    def domain(self, path, method):
        return self.call(SERVICE, path, f"{SERVICE}.Domain", method, "ta{sv}", 0, {})

    # Of virtqemud.
    def list_domains(self):
        self.manager(SERVICE, "ListDomains")

    def all_objects(self):
        self.call(SERVICE, ROOTS[SERVICE], "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")

    def property(self):
        self.call(SERVICE, self.any("all"), PROPERTIES, "Get", "ss", f"{SERVICE}.Domain", "State")

    def properties(self):
        self.call(SERVICE, self.any("all"), PROPERTIES, "GetAll", "s", f"{SERVICE}.Domain")

    def statistics(self):
        self.manager(SERVICE, "GetStatistics", "aota{sv}", [], 0, {})

    def fresh_statistics(self):
        self.manager(SERVICE, "GetStatistics", "aota{sv}", [], 0, self.fresh)

    def definition(self):
        self.call(SERVICE, self.any("all"), f"{SERVICE}.Domain", "ExportDefinition", "st", "libvirt-xml", 0)

    def suspend_and_resume(self):
        path = self.any("steady")
        self.domain(path, "Suspend")
        self.domain(path, "Resume")

    def start_or_terminate(self):
        """Returns which of both it was: two kinds."""
        path = self.of["cycled"][self.turn // 2 % len(self.of["cycled"])]
        method = ("Start", "Terminate")[self.turn % 2]
        self.turn += 1
        self.domain(path, method)
        return method.lower()

    # Of virtstoraged.
    def list_pools(self):
        self.manager(STORAGE, "ListPools")

    def list_volumes(self):
        self.call(STORAGE, self.of["fine"], f"{STORAGE}.Pool", "ListVolumes")

    def pool_properties(self):
        self.call(STORAGE, self.any("pools"), PROPERTIES, "GetAll", "s", f"{STORAGE}.Pool")

    def create_and_delete_volume(self):
        path, _ = self.call(STORAGE, self.of["fine"], f"{STORAGE}.Pool", "CreateVolume", "stta{sv}", f"v{os.getpid()}", MIB, 0, {}).unpack()
        self.call(STORAGE, path, f"{STORAGE}.Volume", "Delete", "ta{sv}", 0, {})

    # Of virtlogd and virtnetworkd, as long as they run.
    def list_logs(self):
        self.manager(LOG, "ListLogs")

    def read_log(self):
        self.manager(LOG, "Read", "aystt", WILD.bytes, "wild", 0, 65536)

    def list_networks(self):
        self.manager(NETWORK, "ListNetworks")


CLIENTS = [
    ["list_domains", "property", "properties", "statistics", "definition"],
    ["property", "all_objects", "fresh_statistics", "suspend_and_resume"],
    ["start_or_terminate"],
    ["list_pools", "list_volumes", "pool_properties", "create_and_delete_volume"],
    ["list_logs", "read_log"],
    ["list_networks"],
]
PAUSE = 0.005       # between two calls of a client: it is about waiting, not about who calls fastest


def run_client(plan):
    """Makes calls until the time is up; [kind, milliseconds, error or none] of each."""
    client = Client(plan["address"])
    mix, calls, end = Mix(client, plan["of"]), [], time.monotonic() + plan["seconds"]
    while time.monotonic() < end:
        kind, failed = random.choice(plan["kinds"]), None
        began = time.monotonic()
        try:
            kind = getattr(mix, kind)() or kind
        except (BusError, TimeoutError) as e:
            failed = str(e)
        calls.append([kind, (time.monotonic() - began) * 1000, failed])
        time.sleep(PAUSE)
    if mix.turn % 2:    # what was started is ended
        mix.start_or_terminate()
    client.close()
    return calls


# ---- what they measured

class Calls:
    """All calls of one kind."""

    def __init__(self):
        self.took, self.failed = [], []

    def at(self, share):
        return sorted(self.took)[min(len(self.took) - 1, int(len(self.took) * share))]

    @property
    def worst(self):
        return max(self.took)


def collect(clients):
    kinds = {}
    for c in clients:
        out, _ = c.communicate(timeout=120)
        assert c.returncode == 0, f"a client ended with {c.returncode}"
        for kind, took, failed in json.loads(out):
            calls = kinds.setdefault(kind, Calls())
            calls.took.append(took)
            calls.failed += [failed] if failed else []
    return kinds


def table(quiet, busy):
    """Lines: each kind of call with nothing stuck, and with all that is."""
    lines = [f"{'milliseconds':26} {'nothing stuck':^36}   {'all of it stuck':^36}",
             f"{'call':26} {'p50':>8} {'p99':>8} {'max':>8} {'calls':>9}   {'p50':>8} {'p99':>8} {'max':>8} {'calls':>9}"]
    for kind in sorted({*quiet, *busy}):
        cells = [f"{c.at(0.5):8.2f} {c.at(0.99):8.2f} {c.worst:8.2f} {len(c.took):9}" if (c := side.get(kind)) else " " * 36 for side in (quiet, busy)]
        lines.append(f"{kind.replace('_', ' '):26} {cells[0]}   {cells[1]}")
    return lines


# ---- what is stuck

class Wanted:
    """A call that needs something stuck: it has to end in time, with an error that names what is stuck, or (no error) done without it."""

    def __init__(self, bed, what, call, deadline, error, text):
        self.what, self.deadline, self.error, self.text = what, deadline, error, text
        self.said, self.took = None, None
        self.thread = threading.Thread(target=self._run, args=[bed, call])
        self.thread.start()

    def _run(self, bed, call):
        client = bed.bus()
        began = time.monotonic()
        try:
            call(client)
            self.said = ""
        except (BusError, TimeoutError) as e:
            self.said = str(e)
        self.took = time.monotonic() - began
        client.close()

    def end(self, slack):
        """Why it did not end as it should, or None."""
        self.thread.join(self.deadline + slack + 30)
        if self.took is None or self.took > self.deadline + slack:
            return f"{self.what} took {self.took} s, not {self.deadline}: {self.said}"
        if self.error is None:
            return f"{self.what} failed: {self.said}" if self.said else None
        return None if self.error in self.said and self.text in self.said else f"{self.what} does not name what is stuck: {self.said!r}"


class Unread:
    """A client that sends requests and reads nothing, on any socket: of the bus, or a daemon's own."""

    def __init__(self, path, broker):
        # What the bus itself does with more is not ours to say.
        self.most = 2000 if broker else 1 << 30
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(path)
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        assert self.socket.recv(100).startswith(b"OK ")
        self.socket.sendall(b"BEGIN\r\n")
        self.sent, self.over = 0, threading.Event()
        if broker:
            self.socket.sendall(self._message("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello"))
        self.thread = threading.Thread(target=self._send)
        self.thread.start()

    def _message(self, service, path, interface, method):
        m = Gio.DBusMessage.new_method_call(service, path, interface, method)
        m.set_serial(self.sent + 1)
        self.sent += 1
        return m.to_blob(Gio.DBusCapabilityFlags.NONE)

    def _send(self):
        while self.sent < self.most and not self.over.is_set():
            try:
                self.socket.sendall(self._message(SERVICE, ROOTS[SERVICE], "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"))
            except socket.timeout:
                continue
            except OSError:     # who is not listened to any more
                return

    def close(self):
        self.over.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.socket.close()


# ---- the host

class Host:
    """Twenty VMs, a network, two pools: made in a testbed that has the build installed."""

    def __init__(self, bed, guest):
        self.bed, self.guest = bed, guest
        self.of = {"all": [], "steady": [], "cycled": [], "pools": []}
        self.stopped, self.undo = [], contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.undo = stack
            self.client = self.bed.bus()
            stack.callback(self.client.close)
            # Who calls a daemon just then has it started again, which calls its stop off.
            stack.callback(self.bed.run, "for i in 1 2 3; do systemctl stop virtqemud.service virtstoraged.service virtnetworkd.service virtlogd.service"
                           " && exit; done; exit 1")
            self._make_pools()
            self._make_network()
            self._make_vms()
            self.undo = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.release()
        self.undo.close()

    def manager(self, service):
        return self.client.object(service, ROOTS[service])

    def _make_pools(self):
        self.bed.run("systemctl enable --now virtqemud.socket virtstoraged.socket virtnetworkd.socket virtlogd.socket && "
                     "mkdir -p /srv/behind /srv/hung /srv/fine && touch /srv/behind/v && truncate -s 1M /srv/behind/disk /srv/fine/disk && bindfs /srv/behind /srv/hung")
        self.undo.callback(self.bed.run, "umount -l /srv/hung; rm -rf /srv/behind /srv/hung /srv/fine", check=False)
        self.file_server = int(str(self.bed.run("pgrep -f 'bindfs /srv/behind'")).split()[0])
        self.pools = {}
        for name in ("hung", "fine"):
            xml = f"<pool type='dir'><name>{name}</name><target><path>/srv/{name}</path></target></pool>"
            p = self.pools[name] = self.client.object(STORAGE, self.manager(STORAGE).DefinePool("libvirt-xml", xml, 0, {}), f"{STORAGE}.Pool")
            p.Start(0, {})
            self.undo.callback(p.Undefine, 0, {})
            self.undo.callback(p.Stop, 0, {}, timeout=60)
            self.of["pools"].append(p.path)
        self.of["fine"] = self.pools["fine"].path

    def _make_network(self):
        self.network = self.client.object(NETWORK, self.manager(NETWORK).DefineNetwork("libvirt-xml", NET, 0, {}))
        self.network.Start(0, {})
        self.undo.callback(lambda: (self.network.Stop(4, {}), self.network.Undefine(0, {})))

    def _define(self, xml, start=True):
        d = self.client.object(SERVICE, self.manager(SERVICE).DefineDomain("libvirt-xml", xml, 0, {}))
        self.undo.callback(d.Undefine, 0, {})
        if start:
            d.Start(0, {}, timeout=60)
            self.undo.callback(self._terminate, d)
        self.of["all"].append(d.path)
        return d

    def _terminate(self, d):
        with contextlib.suppress(BusError):
            d.Terminate(0, {})

    def _make_vms(self):
        self.mute = self._define(guest_xml(self.guest, name=MUTE, devices=CHANNEL))
        self.frozen = self._define(tiny_xml(FROZEN, devices=SERIAL))
        for n in range(VMS - 2):
            d = self._define(tiny_xml(f"vm{n:02}", devices=SERIAL + disk_xml("/srv/fine/disk", extra="<shareable/>") * (n % 4 == 3)))
            self.of["cycled" if n < CYCLED else "steady"].append(d.path)
        for path in self.of["cycled"]:
            self.client.object(SERVICE, path).Terminate(0, {})
        self.on_hung = self._define(tiny_xml("on-hung", devices=disk_xml("/srv/hung/disk")), start=False)
        self.networked = self._define(tiny_xml("networked", devices="<interface type='network'><source network='lab'/></interface>"), start=False)
        self.logged = self._define(tiny_xml("logged", devices=SERIAL), start=False)
        self._open_agent()
        self.wild = self.manager(LOG).OpenLog(WILD.bytes, "wild", "wild", 0, {})

    def _open_agent(self):
        """Somebody in the guest has the agent's port open, and says nothing."""
        con = console(self.client, self.mute)
        con.ready(120)
        con.ask("ports")
        con.ask("sh p=$(grep -l guest_agent /sys/class/virtio-ports/*/name); p=${p%/name}; sleep 10000 <>/dev/${p##*/} >/dev/null 2>&1 &")
        self.client.wait_property(self.client.object(SERVICE, self.mute.path, f"{SERVICE}.Guest"), "AgentState", lambda s: s != "disconnected")

    # ---- stopped and let go

    def stop_daemon(self, unit):
        self.bed.stopped.add(unit)
        self._stop(self.pid_of(unit))

    def pid_of(self, unit):
        return int(str(self.bed.run(f"systemctl show -P MainPID {unit}")))

    def _stop(self, pid):
        self.bed.run(f"kill -STOP {pid}")
        self.stopped.append(pid)

    def release(self):
        if self.stopped:
            self.bed.run(f"kill -CONT {' '.join(map(str, self.stopped))}", check=False)
            self.stopped = []

    def qemu_of(self, domain):
        supervisor = self.pid_of(domain.Unit)
        return int(str(self.bed.run(f"cat /proc/{supervisor}/task/{supervisor}/children")).split()[0])

    def _want(self, path, what, interface, method, signature, *args, deadline, error=None, text=""):
        def call(client):
            client.call(interface.partition(".Domain")[0].partition(".Guest")[0].partition(".Pool")[0], path, interface, method, signature, *args,
                        timeout=deadline + 30)
        return Wanted(self.bed, what, call, deadline, error, text)

    @contextlib.contextmanager
    def stuck(self):
        """All but virtlogd is stuck, and whoever needs any of it has called. Gives these calls."""
        domain, guest, pool = f"{SERVICE}.Domain", f"{SERVICE}.Guest", f"{STORAGE}.Pool"
        run = f"/proc/{self.bed.pid}/root/run"
        flood = self.bed.popen(["yes", "a line of a log that somebody writes as fast as it can"], stdout=self.wild.fileno())
        unread = [Unread(f"{run}/virtbus/virtqemud.sock", False), Unread(f"{run}/dbus/system_bus_socket", True)]
        self._stop(self.qemu_of(self.frozen))
        self._stop(self.file_server)
        self.stop_daemon("virtnetworkd")
        wanted = [
            self._want(self.frozen.path, "Suspend() of a stopped QEMU", domain, "Suspend", "ta{sv}", 0, {}, deadline=30, error="Timeout", text=FROZEN),
            self._want(self.mute.path, "Ping() of a mute agent", guest, "Ping", "ta{sv}", 0, {}, deadline=10, error="Timeout", text=MUTE),
            self._want(self.pools["hung"].path, "CreateVolume() in a pool that hangs", pool, "CreateVolume", "stta{sv}", "late", MIB, 0, {},
                       deadline=30, error="Timeout", text="hung"),
            self._want(self.on_hung.path, "Start() with a disk in it", domain, "Start", "ta{sv}", 0, {}, deadline=30, error="Timeout", text="/srv/hung/disk"),
            self._want(self.networked.path, "Start() with an interface", domain, "Start", "ta{sv}", 0, {}, deadline=20, error="Timeout", text="virtnetworkd"),
        ]
        try:
            yield wanted
        finally:
            self.release()
            for u in unread:
                u.close()
            flood.kill()
            flood.wait()
            self.wild.close()

    def stop_logs(self):
        """virtlogd, too. Returns the call that has needed it: a VM starts without, and the next ones don't wait for it any more."""
        self.stop_daemon("virtlogd")
        first = self._want(self.logged.path, "Start() without virtlogd", f"{SERVICE}.Domain", "Start", "ta{sv}", 0, {}, deadline=5)
        first.thread.join()
        return first

    # ---- traffic

    def traffic(self, seconds, without=()):
        """Clients at work for so long, each a process of its own; without the kinds whose daemon is stuck."""
        here = os.path.abspath(__file__)
        clients = []
        for kinds in CLIENTS:
            if kinds := [k for k in kinds if k not in without]:
                plan = {"address": f"unix:path=/proc/{self.bed.pid}/root/run/dbus/system_bus_socket", "seconds": seconds, "kinds": kinds, "of": self.of}
                clients.append(subprocess.Popen(["/usr/bin/python3", "-B", here, json.dumps(plan)], stdout=subprocess.PIPE, text=True,
                                                preexec_fn=die_with_parent))
        return collect(clients)


def merge(*parts):
    """The same kinds of calls at several times."""
    kinds = {}
    for part in parts:
        for kind, calls in part.items():
            into = kinds.setdefault(kind, Calls())
            into.took += calls.took
            into.failed += calls.failed
    return kinds


if __name__ == "__main__":
    json.dump(run_client(json.loads(sys.argv[1])), sys.stdout)
