# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices whose other end is somewhere else: a server, a terminal of the host, a daemon with entropy."""

import os
import socket
import threading
import time

import pytest

from domains import FORMAT, LIVE, console, define, guest_xml, tiny_xml

pytestmark = pytest.mark.bus


def server(family=socket.AF_INET, address=("127.0.0.1", 0)):
    s = socket.socket(family)
    s.bind(address)
    s.listen()
    s.settimeout(30)
    return s


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
        ports = {line.split()[2]: line.split()[1] for line in con.ask("ports") if line.startswith("PORT")}
        heard = set()
        for n in (1, 2, 3):
            con.ask(f"send {ports[f'org.example.{n}']} hello-{n}")
        for end in ends:
            end.settimeout(20)
            heard.add(end.recv(100))
            end.close()
        assert heard == {b"hello-1\n", b"hello-2\n", b"hello-3\n"}
        d.Terminate(0, {})


def test_nobody_there(bus, qemud):
    with server() as s:
        port = s.getsockname()[1]
    d = define(bus, tiny_xml(devices=tcp("serial", port, "")))
    with bus.fails("InvalidState", f"nobody answers at 127.0.0.1 {port}: Connection refused"):
        d.Start(0, {}, timeout=60)
    assert d.State == "shutoff"


def test_a_terminal_of_the_host(bus, qemud, guest_image):
    ours, theirs = os.openpty()
    d = define(bus, guest_xml(guest_image, devices=f"<serial type='dev'><source path='{os.ttyname(theirs)}'/></serial>"))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("sh echo hello host >/dev/ttyS1")
    assert b"hello host" in os.read(ours, 100)
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
        deadline = time.monotonic() + 20
        while not asked:
            assert time.monotonic() < deadline
            time.sleep(0.05)
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
        assert "1 packets received" in " ".join(guests[1][1].ask(f"sh ping -c 1 -W 10 {target}")), target
    for d, _ in guests:
        d.Terminate(0, {})
