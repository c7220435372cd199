# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices whose other end is somewhere else: a server, a terminal of the host, FIFOs, a daemon with entropy."""

import contextlib
import os
import re
import select
import socket
import threading
import time
from pathlib import Path

import pytest

from domains import FORMAT, LIVE, console, define, device, guest_xml, tiny_xml
from guest import Console
from pace import patient
from test_hotplug import until

pytestmark = pytest.mark.bus
SO_RCVBUFFORCE = 33


def bound(family=socket.AF_INET, address=("127.0.0.1", 0)):
    """Nobody else can have that port; who comes is refused until listen()."""
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(address)
    s.settimeout(patient(30))
    return s


def server(*where, **more):
    s = bound(*where, **more)
    s.listen()
    return s


def ports(con, *names):
    """Where the guest has the ports of these names: it may just have been given one of them."""
    while True:
        found = {line.split()[2]: line.split()[1] for line in con.ask("ports") if line.startswith("PORT")}
        if found.keys() >= set(names):
            return found
        time.sleep(0.05)


def tcp(kind, port, target):
    return f"<{kind} type='tcp'><source mode='connect' host='127.0.0.1' service='{port}'/>{target}</{kind}>"


def test_connections(bus, qemud, guest_image):
    """Made before QEMU starts, and for what is plugged in; two to the same place are two."""
    with server() as s:
        port = s.getsockname()[1]
        channel = tcp("channel", port, "<target type='virtio' name='org.example.{n}'/>")
        d = define(bus, guest_xml(guest_image, devices=channel.format(n=1) + channel.format(n=2)))
        d.Start(0, {}, timeout=60)
        ends = [s.accept()[0] for _ in range(2)]
        con = console(bus, d)
        con.ready()
        d.AttachDevice(FORMAT, channel.format(n=3), LIVE, {})
        ends.append(s.accept()[0])
        names = [f"org.example.{n}" for n in (1, 2, 3)]
        there, heard = ports(con, *names), set()
        for n, name in enumerate(names, 1):
            con.ask(f"send {there[name]} hello-{n}")
        for end in ends:
            end.settimeout(patient(20))
            heard.add(end.recv(100))
            end.close()
        assert heard == {b"hello-1\n", b"hello-2\n", b"hello-3\n"}
        d.Terminate(0, {})


def test_nobody_there(bus, qemud):
    with bound() as s:
        port = s.getsockname()[1]
        d = define(bus, tiny_xml(devices=tcp("serial", port, "")))
        with bus.fails("InvalidState", f"nobody answers at 127.0.0.1 {port}: Connection refused"):
            d.Start(0, {}, timeout=60)
        assert d.State == "shutoff"


RECONNECT = "<reconnect enabled='yes' timeout='1'/>"


def console_xml(image, serial, devices=""):
    """A guest that speaks over that serial port."""
    return guest_xml(image, devices=devices).replace("<serial type='pty'/>", serial)


def relays(bus):
    return bus.watch.named("virtqemu-relay")


def accept(s):
    end = s.accept()[0]
    end.settimeout(patient(20))
    return end


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_server_that_comes_back(bus, qemud, guest_image, tmp_path, kind):
    """The guest talks to it again, also while virtqemud does not run. What it says in between is for nobody, but in the log."""
    address = ("127.0.0.1", 0) if kind == "tcp" else str(tmp_path / "console.sock")
    s = server(socket.AF_INET if kind == "tcp" else socket.AF_UNIX, address)
    address = s.getsockname()
    place = f"host='127.0.0.1' service='{address[1]}'" if kind == "tcp" else f"path='{address}'"
    log = tmp_path / "log"
    d = define(bus, console_xml(guest_image, f"<serial type='{kind}'><source mode='connect' {place}>{RECONNECT}</source><log file='{log}'/></serial>"))
    d.Start(0, {}, timeout=60)
    with accept(s) as end:
        con = Console(end)
        con.ready()
        assert con.ask("echo hello") == ["hello"]
        bus.stop_service("org.virtbus.qemu1")
        assert con.ask("echo still here") == ["still here"]
        con.send("sh sleep 1; echo for nobody")
        end.shutdown(socket.SHUT_RDWR)
    s.close()
    if kind == "tcp":
        s = bound(address=address)
    until(lambda: re.search(r"^for nobody\r?\nOK\r?\n", log.read_text(), re.M) is not None)
    assert len(relays(bus)) == 1
    if kind == "unix":
        os.unlink(address)
        s = bound(socket.AF_UNIX, address)
    s.listen()
    with s, accept(s) as end:
        con = Console(end)
        assert con.ask("echo hello again") == ["hello again"]
        assert "for nobody" not in con.transcript() and "hello again" in log.read_text()
        d = bus.object("org.virtbus.qemu1", bus.manager("qemu1").GetDomain("web"))
        assert d.Warnings == []
        d.Terminate(0, {})
        until(lambda: con.closed)
    until(lambda: relays(bus), [])


def test_nobody_there_yet(bus, qemud):
    """The machine starts all the same; it is tried again. Who ends unasked is missed."""
    with bound() as s:
        port = s.getsockname()[1]
        d = define(bus, tiny_xml(devices=f"<serial type='tcp'><source mode='connect' host='127.0.0.1' service='{port}'>{RECONNECT}</source></serial>"))
        d.Start(0, {}, timeout=60)
        s.listen()
        accept(s).close()
        os.kill(relays(bus)[0], 9)
        lost = "serial serial0 is connected to nobody any more: relay has ended, its log tells why (in the log of virtqemud)"
        bus.wait_property(d, "Warnings", [lost])
        assert d.State == "running"
    d.Terminate(0, {})


def test_each_connection_begins_anew(bus, qemud):
    """Telnet is negotiated, and USB redirection says hello, each time somebody is there."""
    first = {"serial": b"\xff\xfb\x01\xff\xfb\x03", "redirdev": b"qemu usb-redir guest"}
    with server() as a, server() as b:
        servers = {"serial": a, "redirdev": b}
        source = "<source mode='connect' host='127.0.0.1' service='{}'>" + RECONNECT + "</source>"
        devices = (f"<serial type='tcp'>{source.format(a.getsockname()[1])}<protocol type='telnet'/></serial>"
                   f"<redirdev bus='usb' type='tcp'>{source.format(b.getsockname()[1])}</redirdev>")
        d = define(bus, tiny_xml(devices=devices))
        d.Start(0, {}, timeout=60)
        for kind, s in servers.items():
            for _ in range(2):
                with accept(s) as end:
                    data = b""
                    while first[kind] not in data:
                        data += end.recv(1000)
        d.Terminate(0, {})


def test_a_channel_sees_who_is_there(bus, qemud, guest_image, tmp_path):
    """Plugged in while nobody is there: the guest can't write into it before somebody is; unplugged it is left."""
    path = str(tmp_path / "channel.sock")
    d = define(bus, guest_xml(guest_image, devices="<controller type='virtio-serial'/>"))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    xml = f"<channel type='unix'><source mode='connect' path='{path}'>{RECONNECT}</source><target type='virtio' name='org.example.0'/></channel>"
    d.AttachDevice(FORMAT, xml, LIVE, {})
    port = ports(con, "org.example.0")["org.example.0"]
    con.ask(f"sh (echo waited >/dev/{port}; echo VIRTBUS-GUEST-WRITTEN >/dev/console) &")
    time.sleep(1.5)
    assert "VIRTBUS-GUEST-WRITTEN" not in con.transcript()
    with server(socket.AF_UNIX, path) as s, accept(s) as end:
        con.wait("VIRTBUS-GUEST-WRITTEN")
        assert end.recv(100) == b"waited\n"
        device(bus, d, "channel0").Detach(LIVE, {}, timeout=60)
        assert end.recv(100) == b""
    until(lambda: relays(bus), [])
    assert d.Warnings == []
    d.Terminate(0, {})


def test_a_console_of_datagrams(bus, qemud, guest_image):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        for s in (theirs, ours):
            s.bind(("127.0.0.1", 0))
        # The guest says each letter in a packet of its own, and nobody says it again.
        with contextlib.suppress(PermissionError):
            theirs.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        theirs.connect(ours.getsockname())
        ends = [("bind", ours), ("connect", theirs)]
        sources = "".join("<source mode='{}' host='127.0.0.1' service='{}'/>".format(mode, s.getsockname()[1]) for mode, s in ends)
        d = define(bus, console_xml(guest_image, f"<serial type='udp'>{sources}</serial>"))
        with bus.fails("InvalidState", f"serial serial0: no UDP socket for 127.0.0.1 port {ours.getsockname()[1]} to"):
            d.Start(0, {}, timeout=60)
        assert d.State == "shutoff"
        ours.close()
        d.Start(0, {}, timeout=60)
        con = Console(theirs)
        con.ready()
        assert con.ask("echo hello") == ["hello"]
        assert d.ExportDefinition(FORMAT, LIVE).count("<source mode=") == 2
        d.Terminate(0, {})


def ask_fifos(path, command, expected):
    """One who comes, says something, hears the answer, and goes."""
    with open(f"{path}.out", "rb", buffering=0) as out:
        if command:
            Path(f"{path}.in").write_text(f"{command}\n", encoding="ascii")
        said = b""
        while not re.search(expected, said, re.M):
            assert select.select([out], [], [], 60)[0], said
            said += out.read(4096)
        return said


def test_a_console_of_fifos(bus, qemud, guest_image, tmp_path):
    path = tmp_path / "console"
    d = define(bus, console_xml(guest_image, f"<serial type='pipe'><source path='{path}'/></serial>"))
    with bus.fails("InvalidState", f"serial serial0: there is no FIFO {path}.in and {path}.out: make them by mkfifo"):
        d.Start(0, {}, timeout=60)
    for end in ("in", "out"):
        os.mkfifo(f"{path}.{end}")
    d.Start(0, {}, timeout=60)
    ask_fifos(path, None, b"^VIRTBUS-GUEST-READY")
    for word in ("first", "second"):
        assert word.encode() in ask_fifos(path, f"echo {word}", b"^OK")
    d.Terminate(0, {})
    until(lambda: relays(bus), [])


def test_a_terminal_of_the_host(bus, qemud, guest_image):
    ours, theirs = os.openpty()
    d = define(bus, guest_xml(guest_image, devices=f"<serial type='dev'><source path='{os.ttyname(theirs)}'/></serial>"))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("sh echo hello host >/dev/ttyS1")
    said = b""
    while b"hello host" not in said:
        said += os.read(ours, 100)
    d.Terminate(0, {})
    for fd in (ours, theirs):
        os.close(fd)


def test_entropy_of_a_daemon(bus, qemud, guest_image, tmp_path):
    """The guest's random number generator has what the daemon says."""
    path = str(tmp_path / "egd.sock")
    asked = []

    def serve(s):
        end = s.accept()[0]
        while request := end.recv(2):
            asked.append(request)
            end.sendall(bytes(range(256))[:request[1]] if len(request) == 2 else b"")

    with server(socket.AF_UNIX, path) as s:
        threading.Thread(target=serve, args=(s,), daemon=True).start()
        backend = f"<backend model='egd' type='unix'><source mode='connect' path='{path}'/></backend>"
        d = define(bus, guest_xml(guest_image, devices=f"<rng model='virtio'>{backend}</rng>"))
        d.Start(0, {}, timeout=60)
        con = console(bus, d)
        con.ready()
        con.ask("disks")
        con.ask("sh dd if=/dev/hwrng bs=16 count=1 of=/dev/null")
        until(lambda: len(asked) > 0)
        assert asked[0][0] == 2
        d.Terminate(0, {})


def test_vms_that_are_connected(bus, qemud, guest_image):
    """Frames of one are heard by the other: over a connection, and in single packets."""
    nic = "<interface type='{type}'><mac address='52:54:00:00:00:{n:02}'/><source address='127.0.0.1' port='{port}'>{more}</source></interface>"
    ports = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as s:
            s.bind(("127.0.0.1", 0))
            ports.append(s.getsockname()[1])
    local = "<local address='127.0.0.1' port='{}'/>"
    first = nic.format(type="server", n=1, port=ports[0], more="") + nic.format(type="udp", n=2, port=ports[1], more=local.format(ports[2]))
    second = nic.format(type="client", n=3, port=ports[0], more="") + nic.format(type="udp", n=4, port=ports[2], more=local.format(ports[1]))
    guests = []
    for name, nics, last in (("one", first, 1), ("two", second, 2)):
        d = define(bus, guest_xml(guest_image, name=name, devices=nics))
        d.Start(0, {}, timeout=60)
        con = console(bus, d)
        con.ready()
        con.ask("nics")
        con.ask(f"sh ifconfig eth0 192.0.2.{last} netmask 255.255.255.0; ifconfig eth1 198.51.100.{last} netmask 255.255.255.0")
        guests.append((d, con))
    for target in ("192.0.2.1", "198.51.100.1"):
        # The first may wait for an address that nobody has time to tell.
        guests[1][1].ask(f"sh until ping -c 1 -W 2 {target} >/dev/null; do :; done")
    for d, _ in guests:
        d.Terminate(0, {})
