# SPDX-License-Identifier: LGPL-2.1-or-later
"""Displays: ports, sockets and descriptors, with real clients' first words."""

import contextlib
import itertools
import signal
import socket
import struct
import subprocess
import time

import pytest

from bus import BusError
from domains import SERVICE, SENSITIVE, FORMAT, define, device, tiny_xml
from pace import patient

pytestmark = pytest.mark.bus

VNC = "<graphics type='vnc' autoport='yes'{}/>"


@contextlib.contextmanager
def lowest_ports_taken():
    """A display gets the lowest port that is free. One above others that are free again stays its own, also while nobody listens there:
    VMs of other tests get those."""
    with contextlib.ExitStack() as stack:
        taken = 0
        for port in itertools.count(5900):
            s = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", port))
                s.listen()
                taken += 1
            if taken == 16:
                break
        yield


def start(bus, devices, name="web"):
    d = define(bus, tiny_xml(name, devices=devices))
    with lowest_ports_taken():
        d.Start(0, {}, timeout=60)
    return d


def read(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        assert more, f"closed after {data!r}"
        data += more
    return data


def rfb(s):
    """The security types that a server of VNC offers, and the screen's size if it asks for no password."""
    s.settimeout(patient(20))
    assert read(s, 12) == b"RFB 003.008\n"
    s.sendall(b"RFB 003.008\n")
    types = list(read(s, read(s, 1)[0]))
    if types != [1]:
        return types, None
    s.sendall(b"\x01")
    assert read(s, 4) == bytes(4)
    s.sendall(b"\x01")
    return types, struct.unpack(">HH", read(s, 4))


def spice(s):
    """What a server of SPICE answers to a link for the main channel."""
    s.settimeout(patient(20))
    s.sendall(struct.pack("<4sIII", b"REDQ", 2, 2, 18 + 4) + struct.pack("<IBBIII", 0, 1, 0, 1, 0, 18) + struct.pack("<I", 1))
    magic, major, minor, size = struct.unpack("<4sIII", read(s, 16))
    error, = struct.unpack("<I", read(s, size)[:4])
    return magic, major, error


def test_vnc(bus, qemud):
    d = start(bus, VNC.format(""))
    g = device(bus, d, "graphics0")
    assert (g.Type, g.Listen, g.Socket) == ("vnc", "127.0.0.1", "") and 5900 <= g.Port < 65536
    assert f'port="{g.Port}"' in d.ExportDefinition(FORMAT, 1) and 'port="-1"' in d.ExportDefinition(FORMAT, 2)
    assert d.PendingChanges == []
    for _ in range(2):  # one after the other
        with socket.create_connection(("127.0.0.1", g.Port), timeout=patient(20)) as s:
            assert rfb(s)[0] == [1]
    with g.Open(0, {}).socket() as s:
        types, size = rfb(s)
        assert types == [1] and size[0] >= 320
    port = g.Port
    other = start(bus, VNC.format(""), "other")
    assert device(bus, other, "graphics0").Port not in (0, port)
    other.Terminate(0, {})
    d.Terminate(0, {})
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    with bus.fails("InvalidState", "its display graphics0 is not there"):
        g.Open(0, {})
    assert g.Port == 0


def test_daemon_gone(bus, qemud):
    """The same port after the daemon was killed; who is in stays in."""
    d = start(bus, VNC.format(""))
    port = device(bus, d, "graphics0").Port
    with socket.create_connection(("127.0.0.1", port), timeout=patient(20)) as s:
        assert rfb(s)[0] == [1]
        bus.stop_service(SERVICE, signal.SIGKILL)
        assert d.State == "running" and device(bus, d, "graphics0").Port == port
        s.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, 1, 1))
        with socket.create_connection(("127.0.0.1", port), timeout=patient(20)) as t:
            assert rfb(t)[0] == [1]
    d.Terminate(0, {})


def test_password_after_a_restart(bus, qemud):
    d = start(bus, VNC.format(" passwd='sesame'"))
    bus.stop_service(SERVICE, signal.SIGKILL)
    g = device(bus, d, "graphics0")
    g.SetPassword("other", 0, 0, {})
    assert vnc_login(g.Port, "other") and not vnc_login(g.Port, "sesame")
    d.Terminate(0, {})


def test_password(bus, qemud):
    """Who comes by the port needs it, who may ask for a descriptor does not. It is in no export and no argument."""
    d = start(bus, VNC.format(" passwd='sesame'") + "<graphics type='spice' passwd='open sesame' autoport='yes'/>")
    vnc, spiced = device(bus, d, "graphics0"), device(bus, d, "graphics1")
    with socket.create_connection(("127.0.0.1", vnc.Port), timeout=patient(20)) as s:
        assert rfb(s)[0] == [2]
    with vnc.Open(0, {}).socket() as s:
        assert rfb(s)[0] == [1]
    with socket.create_connection(("127.0.0.1", spiced.Port), timeout=patient(20)) as s:
        assert spice(s) == (b"REDQ", 2, 0)
    with spiced.Open(0, {}).socket() as s:
        assert spice(s) == (b"REDQ", 2, 0)
    assert "sesame" not in d.ExportDefinition(FORMAT, 0) and "open sesame" in d.ExportDefinition(FORMAT, SENSITIVE)
    assert "sesame" not in open(f"/proc/{d.MainPID}/cmdline").read()
    d.Terminate(0, {})


def answer_challenge(s, password):
    """VNC's, by DES of openssl."""
    challenge = read(s, 16)
    key = bytes(int(f"{b:08b}"[::-1], 2) for b in password.encode().ljust(8, b"\0")[:8])
    s.sendall(subprocess.run(["openssl", "enc", "-des-ecb", "-provider", "legacy", "-provider", "default", "-nopad", "-K", key.hex()],
                             input=challenge, capture_output=True, check=True, timeout=patient(20)).stdout)


def vnc_login(port, password):
    """Whether a client with that password is let in."""
    with socket.create_connection(("127.0.0.1", port), timeout=patient(20)) as s:
        assert rfb(s)[0] == [2]
        s.sendall(b"\x02")
        answer_challenge(s, password)
        return read(s, 4) == bytes(4)


def test_change_of_password(bus, qemud):
    d = start(bus, VNC.format(" passwd='sesame'") + "<graphics type='spice'><listen type='none'/></graphics>")
    vnc, spiced = device(bus, d, "graphics0"), device(bus, d, "graphics1")
    assert vnc_login(vnc.Port, "sesame") and not vnc_login(vnc.Port, "other")
    vnc.SetPassword("other", 0, 0, {})
    assert vnc_login(vnc.Port, "other") and not vnc_login(vnc.Port, "sesame")
    vnc.SetPassword("past", (int(time.time()) - 10) * 1000000, 0, {})
    assert not vnc_login(vnc.Port, "past")
    vnc.SetPassword("future", (int(time.time()) + 600) * 1000000, 0, {})
    assert vnc_login(vnc.Port, "future")
    vnc.SetPassword("forever", 0, 0, {})
    assert vnc_login(vnc.Port, "forever")
    for bad in ("", "123456789"):
        with bus.fails("InvalidArgs", "from 1 to 8 characters"):
            vnc.SetPassword(bad, 0, 0, {})
    with bus.fails("InvalidState", "was started without a password"):
        spiced.SetPassword("x", 0, 0, {})
    d.Terminate(0, {})
    with bus.fails("InvalidState", "is not there"):
        vnc.SetPassword("x", 0, 0, {})


def test_password_as_an_update(bus, qemud):
    """Of the running display and of its definition, as one; without one from the start there is none to change."""
    xml = "<graphics type='vnc' autoport='yes' passwd='{}'{}><listen type='address' address='127.0.0.1'/></graphics>"
    d = start(bus, xml.format("sesame", ""))
    g = device(bus, d, "graphics0")
    g.Update(FORMAT, xml.format("other", ""), 3, {})
    assert vnc_login(g.Port, "other") and not vnc_login(g.Port, "sesame")
    assert d.ExportDefinition(FORMAT, SENSITIVE).count('passwd="other"') == 1
    g.Update(FORMAT, xml.format("past", " passwdValidTo='2020-01-01T00:00:00'"), 1, {})
    assert not vnc_login(g.Port, "past")
    g.Update(FORMAT, xml.format("again", ""), 1, {})
    assert vnc_login(g.Port, "again")
    plan = g.Update(FORMAT, xml.format("secret", ""), 1 | 16, {})
    assert any("set_password" in line for line in plan) and vnc_login(g.Port, "again")
    with bus.fails("NotSupported", "passwd"):
        g.Update(FORMAT, "<graphics type='vnc' autoport='yes'><listen type='address' address='127.0.0.1'/></graphics>", 1, {})
    d.Terminate(0, {})


def test_unix_socket(bus, qemud, tmp_path):
    path = tmp_path / "web.vnc"
    d = start(bus, f"<graphics type='vnc' socket='{path}'/><graphics type='spice'><listen type='socket'/></graphics>")
    first, second = device(bus, d, "graphics0"), device(bus, d, "graphics1")
    assert d.PendingChanges == []
    assert (first.Socket, first.Port, first.Listen) == (str(path), 0, "") and second.Socket.startswith(str(bus.directory))
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        assert rfb(s)[0] == [1]
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(second.Socket)
        assert spice(s)[2] == 0
    d.Terminate(0, {})
    assert not path.exists()


def test_over_dbus_only(bus, qemud):
    d = start(bus, "<graphics type='vnc'><listen type='none'/></graphics>")
    g = device(bus, d, "graphics0")
    assert (g.Listen, g.Port, g.Socket) == ("", 0, "")
    with g.Open(0, {}).socket() as s:
        assert rfb(s)[0] == [1]
    d.Terminate(0, {})


def test_display_of_dbus(bus, qemud):
    d = start(bus, "<graphics type='dbus'/>")
    with device(bus, d, "graphics0").Open(0, {}).socket() as s:
        s.settimeout(patient(20))
        s.sendall(b"\0AUTH\r\n")
        assert s.recv(100).startswith(b"REJECTED")
    d.Terminate(0, {})


def test_port_taken(bus, qemud):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        d = define(bus, tiny_xml("web", devices=f"<graphics type='vnc' port='{port}'/>"))
        with bus.fails("InvalidState", f"port {port}: Address already in use"):
            d.Start(0, {}, timeout=60)
        assert d.State == "shutoff"
    d.Start(0, {}, timeout=60)
    assert device(bus, d, "graphics0").Port == port
    d.Terminate(0, {})
    with bus.fails("NotSupported", "it is not an address"):
        start(bus, "<graphics type='vnc' listen='example.org'/>", "other")


def test_many_clients(bus, qemud):
    """More than are handed over at once; none of them says a word."""
    d = start(bus, VNC.format(""))
    g = device(bus, d, "graphics0")
    clients = [socket.create_connection(("127.0.0.1", g.Port), timeout=patient(20)) for _ in range(60)]
    for s in clients:
        s.settimeout(patient(20))
    assert [read(s, 12) for s in clients] == [b"RFB 003.008\n"] * 60
    assert d.State == "running"
    for s in clients:
        s.close()
    d.Terminate(0, {})
