# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that don't take what they asked for, and guests that go in the middle of a call: nobody else notices."""

import contextlib
import os
import re
import signal
import socket
import struct
import threading
import time
from pathlib import Path

import pytest
from gi.repository import Gio, GLib

from bus import BusError
from domains import console, define, device, guest_xml, tiny_xml
from pace import at_most
from test_agent import CHANNEL, agent_image, inside, start_guest  # noqa: F401
from stuck import Unread
from test_graphics import VNC, rfb
from test_hotplug import until
from test_stop import Calls

pytestmark = pytest.mark.bus

VIRTIO = "<console type='pty'><target type='virtio'/></console>"
SOON = 0.02


def median_of_reads(domain, seconds=2):
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert domain.State == "running"
        took.append(time.monotonic() - began)
    return sorted(took)[len(took) // 2]


def test_consoles_that_nobody_reads(bus, qemud, guest_image):
    """Two hundred of them, while the guest writes into all it has."""
    d = define(bus, guest_xml(guest_image, devices=VIRTIO * 6))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("ports")
    unread = []
    for name in [f"console{i}" for i in range(6)]:
        unread += [device(bus, d, name).Open(0, {"write": False}).socket() for _ in range(32)]
        with bus.fails("LimitExceeded", "already open 32 times"):
            device(bus, d, name).Open(0, {"write": False})
    unread += [device(bus, d, "serial0").Open(0, {"write": False}).socket() for _ in range(8)]
    assert len(unread) == 200
    con.ask("sh for i in 0 1 2 3 4 5; do cat /dev/zero >/dev/hvc$i & done")
    assert median_of_reads(d) < at_most(SOON)
    con.ask("sh kill $(pidof cat); echo >/dev/hvc0")
    for s in unread:
        s.close()
    with device(bus, d, "console0").Open(0, {}).socket() as s:
        assert s.recv(1) == b"\0"
    d.Terminate(0, {})


def test_viewer_that_stalls(bus, qemud):
    """It asks for the whole screen again and again, and reads none of it."""
    d = define(bus, tiny_xml("web", devices=VNC.format("")))
    d.Start(0, {}, timeout=60)
    port = device(bus, d, "graphics0").Port
    with socket.create_connection(("127.0.0.1", port), timeout=20) as stalled:
        _, (width, height) = rfb(stalled)
        stalled.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(100000):
                stalled.send(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
        assert median_of_reads(d) < at_most(SOON)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as other:
            assert rfb(other)[0] == [1]
        d.Suspend(0, {})
        d.Resume(0, {})
    d.Terminate(0, {})


def test_qemu_that_goes_in_calls(bus, qemud):
    """It does not answer any more, and is killed: everybody who waits for it is told at once."""
    d = define(bus, tiny_xml("web", devices=VNC.format(" passwd='secret'")))
    d.Start(0, {}, timeout=60)
    os.kill(d.MainPID, signal.SIGSTOP)
    calls = Calls(bus)
    calls.begin(d, "QMPCommand", "query-status")
    calls.begin(d, "SendKeyNames", ["a"], 0, 0, {})
    calls.begin(d, "Reset", 0, {})
    calls.begin(device(bus, d, "graphics0"), "SetPassword", "other", 0, 0, {})
    calls.begin(d, "MeasureDirtyRate", 1, 0, {})
    assert d.State == "running"    # one client's calls are handled in order: these are under way
    bus.pump(1)
    assert not calls.said
    began = time.monotonic()
    d.Terminate(0, {})
    said = calls.wait()
    assert time.monotonic() - began < at_most(10)
    assert {error for error, _ in said.values()} == {"org.virtbus.Error.Disconnected"}, said


def test_guest_that_goes_in_a_call(bus, qemud, agent_image):  # noqa: F811
    """Its agent is about to answer when it is reset: the call fails, and the next agent is spoken to."""
    d, con = start_guest(bus, agent_image)
    g = inside(bus, d)
    failed = []

    def wait_for_a_program():
        try:
            g.Exec("/bin/sleep", ["100"], [], b"", 0, {"timeout": GLib.Variant("t", 60_000_000)}, timeout=80)
        except BusError as e:
            failed.append(str(e))

    client = threading.Thread(target=wait_for_a_program)
    client.start()
    until(lambda: con.ask("sh grep -l '^/bin/sleep.100' /proc/[0-9]*/cmdline 2>/dev/null; true") != [])
    d.Reset(0, {})
    assert median_of_reads(d, 1) < at_most(SOON)
    client.join(60)
    assert not client.is_alive() and failed and "Disconnected" in failed[0], failed
    con.ready()
    bus.wait_property(g, "AgentState", "disconnected")
    d.Terminate(0, {})


def resident(pid):
    return int(re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M).group(1)) >> 10


def answers(s, wanted):
    """Reads that many whole messages that are answers, or until nothing comes any more."""
    data, found = b"", 0
    s.settimeout(20)
    while found < wanted:
        data += s.recv(1 << 20)
        while len(data) >= 16 and len(data) >= (n := Gio.DBusMessage.bytes_needed(data[:16])):
            found += data[1] == 2
            data = data[n:]
    return found


def test_client_that_reads_nothing(bus, qemud):
    """It asks for all objects as fast as it can, on either socket: others are served, memory stays what it was, and when it reads at last it
    gets every answer."""
    many = [define(bus, tiny_xml(f"vm{n}")) for n in range(20)]
    many[0].Start(0, {}, timeout=60)
    pid = bus.owner_pid("org.virtbus.qemu1")
    assert median_of_reads(many[0], 0.5) < at_most(SOON)
    before = resident(pid)
    for path, broker in ((bus.directory / "run/virtbus/virtqemud.sock", False), (bus.directory / "bus", True)):
        client = Unread(str(path), broker)
        assert median_of_reads(many[0], 3) < at_most(3 * SOON)
        # The address sanitizer keeps what was freed.
        assert resident(pid) - before < 24 or "asan" in Path(f"/proc/{pid}/maps").read_text(), "MiB"
        if not broker:
            client.over.set()
            assert client.sent > 150 and answers(client.socket, 150) >= 150
        client.close()
    assert median_of_reads(many[0], 0.5) < at_most(SOON)
    many[0].Terminate(0, {})


def test_deadlines_while_a_client_never_pauses(bus, qemud):
    """It sends calls without end, and takes all the answers: what is due is done in its time."""
    many = [define(bus, tiny_xml(f"vm{n}")) for n in range(10)]
    many[0].Start(0, {}, timeout=60)
    os.kill(many[0].MainPID, signal.SIGSTOP)
    client = Unread(str(bus.directory / "run/virtbus/virtqemud.sock"), False)

    def read():
        with contextlib.suppress(OSError, ValueError):
            while client.socket.recv(1 << 20):
                pass

    reader = threading.Thread(target=read)
    reader.start()
    began = time.monotonic()
    with bus.fails("Timeout", "vm0: QEMU did not answer stop in time"):
        many[0].Suspend(0, {}, timeout=90)
    assert time.monotonic() - began < 30 + at_most(2)
    client.close()
    reader.join(10)
    many[0].Terminate(0, {})
def test_hasty_client(bus, qemud):
    """The end of the handshake and a call in one piece, over the daemon's own socket: it is answered."""
    qemud.ListDomains()
    call = Gio.DBusMessage.new_method_call(None, "/org/virtbus/qemu1", "org.freedesktop.DBus.Peer", "Ping")
    call.set_serial(1)
    name = str(os.getuid()).encode().hex().encode()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(f"{bus.directory}/run/virtbus/virtqemud.sock")
        s.sendall(b"\0AUTH EXTERNAL " + name + b"\r\n")
        said = s.recv(4096)
        assert said.startswith(b"OK ")
        s.sendall(b"BEGIN\r\n" + call.to_blob(Gio.DBusCapabilityFlags.NONE))
        while b"l\x02" not in said:
            said += s.recv(4096)
