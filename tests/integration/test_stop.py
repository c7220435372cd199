# SPDX-License-Identifier: LGPL-2.1-or-later
"""A daemon that is stopped answers every call first: with what was asked for, or with why not."""

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager

import pytest
from gi.repository import Gio, GLib

from bus import encode
from domains import LIVE, define, tiny_xml
from test_hotplug import until

pytestmark = pytest.mark.bus

QEMU, STORAGE, LOCK = "org.virtbus.qemu1", "org.virtbus.storage1", "org.virtbus.lock1"

RNG = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"


class Calls:
    """Calls that are under way at once; `said` has the answer to each that has one."""

    def __init__(self, client):
        self.client, self.said, self.n = client, {}, 0

    def begin(self, obj, method, *args):
        interface, member = obj._find(method, ("method",))
        signature = "".join(a.get("type") for a in member.findall("arg") if a.get("direction", "in") == "in")
        body = encode(f"({signature})", args, [])
        self.n += 1
        name = f"{method} {self.n}"

        def done(connection, result, _):
            try:
                connection.call_finish(result)
                self.said[name] = ("", "")
            except GLib.Error as e:
                error = Gio.DBusError.get_remote_error(e)
                Gio.DBusError.strip_remote_error(e)
                self.said[name] = (error, e.message)
        self.client.context.push_thread_default()
        self.client.connection.call(obj._service, obj.path, interface, method, body, None, Gio.DBusCallFlags.NONE, 100000, None, done, None)
        self.client.context.pop_thread_default()

    def wait(self, timeout=60):
        deadline = time.monotonic() + timeout
        while len(self.said) < self.n:
            assert time.monotonic() < deadline, f"no answer but to {self.said}"
            self.client.pump(0.01)
        return self.said

    def refused(self, daemon):
        for name, (error, text) in self.wait().items():
            assert error == "org.virtbus.Error.Stopping", (name, error, text)
            assert f"{daemon} is being stopped, and {name.split()[0]}() is not done" in text and "call again" in text


@contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def child(parent, name):
    return next(int(p) for p in subprocess.run(["pgrep", "-P", str(parent), name[:15]], capture_output=True, text=True, check=True).stdout.split())


def test_virtqemud(bus, qemud):
    """Whatever waits for QEMU, a command or an operation; and what it can answer it answers."""
    d = define(bus, tiny_xml("web"))
    d.Start(0, {}, timeout=60)
    other = define(bus, tiny_xml("other"))
    calls = Calls(bus)
    with stopped(d.MainPID):
        for _ in range(3):
            calls.begin(d, "QMPCommand", "query-status")
        calls.begin(d, "SendKeyNames", ["a"], 0, 0, {})
        calls.begin(d, "Reset", 0, {})
        calls.begin(d, "Suspend", 0, {})
        calls.begin(d, "MeasureDirtyRate", 1, 0, {})
        calls.begin(d, "AttachDevice", "libvirt-xml", RNG, LIVE, {})
        assert d.State == "running"    # one client's calls are handled in order: these are under way
        assert not calls.said
        quick = Calls(bus)
        for _ in range(20):
            quick.begin(other, "ExportDefinition", "libvirt-xml", 0)
        pid = bus.owner_pid(QEMU)
        bus.stop_service(QEMU)
        calls.refused("virtqemud")
        assert set(quick.wait().values()) == {("", "")}
    assert d.State == "running" and bus.owner_pid(QEMU) != pid
    d.Terminate(0, {})


def test_definitions_that_wait_for_a_qemu(bus, qemud, tmp_path):
    """With sanitizers it is told as well what of them is not freed."""
    mute = tmp_path / "qemu-system-x86_64"
    mute.write_text("#!/bin/sh\nexec sleep 1000\n")
    mute.chmod(0o755)
    d = define(bus, tiny_xml("web"))
    xml = tiny_xml("other", f"<emulator>{mute}</emulator>")
    calls = Calls(bus)
    calls.begin(qemud, "DefineDomain", "libvirt-xml", xml, 0, {})
    calls.begin(qemud, "ConvertDefinition", "libvirt-xml", xml, "libvirt-xml", 0, {})
    calls.begin(d, "Reconfigure", "libvirt-xml", tiny_xml("web", f"<emulator>{mute}</emulator>"), 0, {})
    assert d.State == "shutoff" and not calls.said
    bus.stop_service(QEMU)
    calls.refused("virtqemud")
    assert [name for name, *_ in qemud.ListDomains()] == ["web"]


def test_virtstoraged(bus, tmp_path):
    storaged = bus.manager("storage1")
    (tmp_path / "pool").mkdir()
    pool = bus.object(STORAGE, storaged.DefinePool("libvirt-xml", f"<pool type='dir'><name>p</name><target><path>{tmp_path}/pool</path></target></pool>", 0, {}),
                      f"{STORAGE}.Pool")
    pool.Start(0, {})
    volume = bus.object(STORAGE, pool.CreateVolume("v", 1 << 20, 0, {})[0], f"{STORAGE}.Volume")
    calls = Calls(bus)
    with stopped(child(bus.owner_pid(STORAGE), "virtstorage-worker")):
        calls.begin(pool, "CreateVolume", "w", 1 << 20, 0, {})
        calls.begin(volume, "Resize", 2 << 20, 0, {})
        calls.begin(pool, "Refresh", 0, {})
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.settimeout(60)
            hints = {"host": GLib.Variant("s", "127.0.0.1"), "port": GLib.Variant("t", silent.getsockname()[1])}
            calls.begin(storaged, "FindSources", "iscsi-direct", hints)
            asking, _ = silent.accept()
        assert pool.Name == "p" and not calls.said
        bus.stop_service(STORAGE)
        calls.refused("virtstoraged")
    with asking:    # who looked for sources has ended as well
        asking.settimeout(60)
        while asking.recv(4096):
            pass
    assert pool.State == "active"
    storaged.StopPool("p", 0)


def test_virtlockd(bus):
    lockd = bus.manager("lock1")
    owner = bytes(16)
    lockd.Acquire("default", "first", owner, "web", "exclusive", 0, {}).close()
    calls = Calls(bus)
    with stopped(child(bus.owner_pid(LOCK), "virtlock-worker")):
        for name in "abc":
            calls.begin(lockd, "Acquire", "default", name, owner, "web", "exclusive", 0, {})
        assert lockd.Version and not calls.said
        bus.stop_service(LOCK)
        calls.refused("virtlockd")
    until(lambda: lockd.ListLeases(""), [])    # the worker that goes on is on its way out


def test_private_socket(bus, qemud):
    """The answer is there before the connection is closed."""
    d = define(bus, tiny_xml("web"))
    d.Start(0, {}, timeout=60)
    flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
    peer = Gio.DBusConnection.new_for_address_sync(f"unix:path={bus.directory}/run/virtbus/virtqemud.sock", flags, None, None)
    peer.set_exit_on_close(False)
    said = []

    def done(connection, result, _):
        try:
            connection.call_finish(result)
            said.append("")
        except GLib.Error as e:
            said.append(Gio.DBusError.get_remote_error(e))
    with stopped(d.MainPID):
        for _ in range(5):
            peer.call(None, d.path, f"{QEMU}.Domain", "QMPCommand", GLib.Variant("(s)", ("query-status",)), None, Gio.DBusCallFlags.NONE, 100000, None, done, None)
        peer.call_sync(None, d.path, "org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", (f"{QEMU}.Domain", "State")), None,
                       Gio.DBusCallFlags.NONE, 60000, None)
        bus.stop_service(QEMU)
        deadline = time.monotonic() + 60
        while len(said) < 5 and time.monotonic() < deadline:
            GLib.MainContext.default().iteration(False)
            time.sleep(0.005)
        assert said == ["org.virtbus.Error.Stopping"] * 5
    d.Terminate(0, {})


@contextmanager
def heard(bus, path, *members):
    """Tells which of these methods were called, when their calls have come through the bus."""
    rules = [f"type='method_call',member='{m}'" for m in (*members, "GetMachineId")]

    def was_called(member):
        return f"\t{member}\n" in path.read_text()

    def wait(member, prod=lambda: None):
        deadline = time.monotonic() + 60
        while not was_called(member):
            assert time.monotonic() < deadline, path.read_text()
            prod()
            time.sleep(0.01)
    with open(path, "w") as f, bus.spawn("dbus-monitor", "--session", "--profile", *rules, stdout=f) as p:
        try:
            wait("GetMachineId", lambda: bus.call(QEMU, "/", "org.freedesktop.DBus.Peer", "GetMachineId"))
            yield wait
        finally:
            p.terminate()


def test_a_start_goes_on_with_the_next_daemon(bus, qemud, tmp_path):
    """virtstoraged and then virtlockd take another one's place while a VM that needs them starts: their packages are upgraded."""
    storaged, lockd = bus.manager("storage1"), bus.manager("lock1")
    for pool in ("p", "other"):
        (tmp_path / pool).mkdir()
        (tmp_path / pool / "v").write_bytes(bytes(1 << 20))
        storaged.DefinePool("libvirt-xml", f"<pool type='dir'><name>{pool}</name><target><path>{tmp_path}/{pool}</path></target></pool>", 0, {})
    storaged.StartPool("other", 0)
    lockd.Acquire("default", "other", bytes(16), "other", "exclusive", 0, {}).close()
    disk = "<disk type='volume' device='disk'><source pool='p' volume='v'/><target dev='vda' bus='virtio'/></disk>"
    d = define(bus, tiny_xml("web", devices=disk))
    pids = {name: bus.owner_pid(name) for name in (STORAGE, LOCK)}
    calls = Calls(bus)
    with (heard(bus, tmp_path / "heard", "ResolveVolume", "Acquire") as wait, stopped(child(pids[LOCK], "virtlock-worker")),
          stopped(child(pids[STORAGE], "virtstorage-worker"))):
        calls.begin(d, "Start", 0, {})
        for name, member in ((STORAGE, "ResolveVolume"), (LOCK, "Acquire")):
            wait(member)
            assert not calls.said and d.State == "starting"
            bus.stop_service(name)
    assert calls.wait() == {"Start 1": ("", "")} and d.State == "running"
    assert [lease[5] for lease in lockd.ListLeases("")] == ["web"] and all(bus.owner_pid(name) != pid for name, pid in pids.items())
    d.Terminate(0, {})
    storaged.StopPool("p", 0)
    storaged.StopPool("other", 0)
