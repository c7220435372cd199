# SPDX-License-Identifier: LGPL-2.1-or-later
"""TLS of SPICE: which ports there are, and what each answers to a client that looks at the certificate."""

import contextlib
import os
import signal
import socket
import ssl

import pytest

import certificates
from domains import CONFIG, FORMAT, LIVE, SERVICE, define, device, tiny_xml
from pace import patient
from test_graphics import spice, start

pytestmark = pytest.mark.bus

AUTO = "<graphics type='spice' autoport='yes'{}/>"
OK, NEED_SECURED, NEED_UNSECURED = 0, 5, 6


@pytest.fixture
def pki(bus):
    """Where a session's certificates are looked for."""
    return certificates.make(bus.directory / "config/virtbus/pki/libvirt-spice")


@contextlib.contextmanager
def connected(port, pki=None):
    """A client, with TLS if it is told whom to trust."""
    with socket.create_connection(("127.0.0.1", port), timeout=patient(20)) as s:
        if not pki:
            yield s
            return
        with ssl.create_default_context(cafile=pki / "ca-cert.pem").wrap_socket(s, server_hostname="127.0.0.1") as encrypted:
            yield encrypted


def link(port, pki=None):
    with connected(port, pki) as s:
        magic, _, error = spice(s)
        assert magic == b"REDQ"
        return error


def free_ports(n):
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(n)]
        for s in taken:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in taken]


def test_chosen(bus, qemud, pki):
    """Both ports, which are the same after a restart. A definition names neither."""
    d = start(bus, AUTO.format(" tlsPort='-1'"))
    g = device(bus, d, "graphics0")
    port, tls = g.Port, g.TLSPort
    assert 5900 <= port < 65536 and 5900 <= tls < 65536 and port != tls and d.PendingChanges == [] and d.Warnings == []
    assert f'tlsPort="{tls}"' in d.ExportDefinition(FORMAT, LIVE) and "tlsPort" not in d.ExportDefinition(FORMAT, CONFIG)
    assert link(port) == OK and link(tls, pki) == OK
    with connected(tls) as s, pytest.raises((AssertionError, OSError)):
        spice(s)
    bus.stop_service(SERVICE, signal.SIGKILL)
    assert (g.Port, g.TLSPort) == (port, tls) and link(port) == OK and link(tls, pki) == OK
    assert d.PendingChanges == [] and d.Warnings == []
    with g.Open(0, {}).socket() as s:
        assert spice(s)[2] == OK
    other = start(bus, AUTO.format(""), "other")
    h = device(bus, other, "graphics0")
    assert len({port, tls, h.Port, h.TLSPort, 0}) == 5
    for x in (d, other):
        x.Terminate(0, {})
    assert (g.Port, g.TLSPort) == (0, 0)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", tls), timeout=5)


def test_no_certificates(bus, qemud, tmp_path):
    """What is chosen is chosen without TLS then, and what is asked for is an error that says where it was looked."""
    d = start(bus, AUTO.format(" tlsPort='-1'"))
    g = device(bus, d, "graphics0")
    assert g.Port >= 5900 and g.TLSPort == 0 and link(g.Port) == OK
    assert d.Warnings == [] and d.PendingChanges == [] and "tlsPort" not in d.ExportDefinition(FORMAT, LIVE)
    with bus.fails("InvalidState", "was started without TLS"):
        g.Open(0, {"tls": True})
    assert "x509" not in " ".join(d.PlanStart(0, {})[0])
    d.Terminate(0, {})
    folder = bus.directory / "config/virtbus/pki"
    for name, xml in (("port", "<graphics type='spice' tlsPort='5901'/>"), ("mode", AUTO.format(" defaultMode='secure'"))):
        d = define(bus, tiny_xml(name, devices="\n" + xml))
        with bus.fails("ImageFailed", "line 8, domain/devices/graphics: TLS takes the files that SpiceCertificates= of qemu.conf names: "
                                      f"{folder}/libvirt-spice/ca-cert.pem: folder {folder} does not exist"):
            d.Start(0, {}, timeout=60)
        assert d.State == "shutoff"


def test_settings(bus, qemud, tmp_path):
    """Another folder; of a file that can't be read the start says so, also where TLS is only chosen."""
    folder = certificates.make(tmp_path / "host, pki")
    (bus.directory / "config/virtbus").mkdir(exist_ok=True)
    (bus.directory / "config/virtbus/qemu.conf").write_text(f"[Displays]\nSpiceCertificates={folder}\n")
    d = start(bus, AUTO.format(""))
    assert link(device(bus, d, "graphics0").TLSPort, folder) == OK
    assert "x509" in " ".join(d.PlanStart(0, {})[0])
    d.Terminate(0, {})
    (folder / "server-key.pem").unlink()
    (folder / "server-key.pem").mkdir()
    with bus.fails("ImageFailed", f"{folder}/server-key.pem: is a folder"):
        d.Start(0, {}, timeout=60)
    (folder / "server-key.pem").rmdir()
    (folder / "server-key.pem").write_text("no key")
    with bus.fails("QemuFailed", "Could not use private key file"):
        d.Start(0, {}, timeout=60)
    assert d.State == "shutoff"


def test_secure_channel(bus, qemud, pki):
    """Who comes to it without TLS is told to use it, also over D-Bus."""
    port, tls = free_ports(2)
    d = start(bus, f"<graphics type='spice' port='{port}' tlsPort='{tls}'><channel name='main' mode='secure'/></graphics>")
    g = device(bus, d, "graphics0")
    assert (g.Port, g.TLSPort) == (port, tls) and d.PendingChanges == []
    assert link(port) == NEED_SECURED and link(tls, pki) == OK
    with g.Open(0, {}).socket() as s:
        assert spice(s)[2] == NEED_SECURED
    with g.Open(0, {"tls": True}).socket() as s:
        s.settimeout(patient(20))
        with ssl.create_default_context(cafile=pki / "ca-cert.pem").wrap_socket(s, server_hostname="127.0.0.1") as encrypted:
            assert spice(encrypted)[2] == OK
    d.Terminate(0, {})


def test_modes(bus, qemud, pki):
    """A port where no channel would answer is not opened, unless it is asked for."""
    d = start(bus, AUTO.format(" defaultMode='secure'"))
    g = device(bus, d, "graphics0")
    assert g.Port == 0 and link(g.TLSPort, pki) == OK and d.PendingChanges == []
    tls = g.TLSPort
    bus.stop_service(SERVICE, signal.SIGKILL)
    assert (g.Port, g.TLSPort) == (0, tls) and d.PendingChanges == []
    d.Terminate(0, {})

    insecure = start(bus, AUTO.format(" defaultMode='insecure'"), "insecure")
    g = device(bus, insecure, "graphics0")
    assert g.TLSPort == 0 and link(g.Port) == OK
    insecure.Terminate(0, {})

    port, tls = free_ports(2)
    both = start(bus, f"<graphics type='spice' port='{port}' tlsPort='{tls}' defaultMode='insecure'><channel name='inputs' mode='secure'/></graphics>",
                 "both")
    assert link(port) == OK and link(tls, pki) == NEED_UNSECURED
    both.Terminate(0, {})

    alone = start(bus, f"<graphics type='spice' tlsPort='{tls}'/>", "alone")
    g = device(bus, alone, "graphics0")
    assert (g.Port, g.TLSPort) == (0, tls) and link(tls, pki) == OK and alone.PendingChanges == []
    alone.Terminate(0, {})


def test_port_taken(bus, qemud, pki):
    """Neither port is left open."""
    port, tls = free_ports(2)
    d = define(bus, tiny_xml("web", devices=f"<graphics type='spice' port='{port}' tlsPort='{tls}'/>"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", tls))
        taken.listen()
        with bus.fails("InvalidState", f"port {tls}: Address already in use"):
            d.Start(0, {}, timeout=60)
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    d.Start(0, {}, timeout=60)
    assert link(tls, pki) == OK
    d.Terminate(0, {})


def test_password(bus, qemud, pki):
    """It changes while both ports stay; an update that names none keeps them."""
    d = start(bus, AUTO.format(" passwd='sesame'"))
    g = device(bus, d, "graphics0")
    ports = g.Port, g.TLSPort
    g.Update(FORMAT, AUTO.format(" passwd='other'").replace("/>", "><listen type='address' address='127.0.0.1'/></graphics>"), 3, {})
    assert (g.Port, g.TLSPort) == ports and link(ports[1], pki) == OK and d.PendingChanges == []
    bus.stop_service(SERVICE, signal.SIGKILL)
    assert (g.Port, g.TLSPort) == ports and link(ports[1], pki) == OK
    d.Terminate(0, {})


def test_nobody_else_sees_the_key(bus, qemud, pki):
    """It is in no argument; QEMU has it in memory that can't be written."""
    d = start(bus, AUTO.format(""))
    words = open(f"/proc/{d.MainPID}/cmdline").read()
    number = words.split("x509-key-file=/proc/self/fd/")[1].split(",")[0]
    assert "PRIVATE KEY" not in words and str(pki) not in words
    assert "memfd:" in os.readlink(f"/proc/{d.MainPID}/fd/{number}")
    d.Terminate(0, {})
