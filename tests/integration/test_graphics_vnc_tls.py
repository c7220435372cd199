# SPDX-License-Identifier: LGPL-2.1-or-later
"""TLS of VNC (VeNCrypt), by a client that looks at the certificate."""

import contextlib
import os
import signal
import socket
import ssl
import struct

import pytest

import certificates
from domains import FORMAT, LIVE, CONFIG, SERVICE, define, device, tiny_xml
from leaks import files_below
from pace import patient
from test_graphics import VNC, answer_challenge, read, rfb, start

pytestmark = pytest.mark.bus

VENCRYPT, X509_NONE, X509_VNC = 19, 260, 261


@pytest.fixture
def pki(bus):
    """Where a session's certificates are looked for, and the setting that asks for them."""
    configure(bus, "VncTLS=yes")
    return certificates.make(bus.directory / "config/virtbus/pki/libvirt-vnc")


def configure(bus, *lines):
    (bus.directory / "config/virtbus").mkdir(exist_ok=True)
    (bus.directory / "config/virtbus/qemu.conf").write_text("\n".join(["[Displays]", *lines, ""]))


@contextlib.contextmanager
def encrypted(port, pki, client=None):
    """A connection up to where the password would be asked for, and the kind that the server wants."""
    with socket.create_connection(("127.0.0.1", port), timeout=patient(20)) as s:
        assert rfb(s)[0] == [VENCRYPT]
        s.sendall(bytes([VENCRYPT]))
        assert read(s, 2) == b"\0\2"
        s.sendall(b"\0\2")
        assert read(s, 1) == b"\0"
        kinds = struct.unpack(f">{(n := read(s, 1)[0])}I", read(s, 4 * n))
        s.sendall(struct.pack(">I", kinds[0]))
        assert read(s, 1) == b"\1"
        context = ssl.create_default_context(cafile=pki / "ca-cert.pem")
        if client:
            context.load_cert_chain(*client)
        with context.wrap_socket(s, server_hostname="127.0.0.1") as t:
            yield t, kinds


def let_in(s, password=None):
    if password:
        answer_challenge(s, password)
    if read(s, 4) != bytes(4):
        return False
    s.sendall(b"\x01")
    return struct.unpack(">HH", read(s, 4))[0] >= 320


def test_encrypted(bus, qemud, pki):
    """Also after a restart of the daemon; who asks for a descriptor needs neither TLS nor a password."""
    d = start(bus, VNC.format(""))
    g = device(bus, d, "graphics0")
    port = g.Port
    assert g.TLS and g.TLSPort == 0 and d.PendingChanges == [] and d.Warnings == []
    assert "pki" in d.ExportDefinition(FORMAT, LIVE) and "pki" not in d.ExportDefinition(FORMAT, CONFIG)
    with encrypted(port, pki) as (s, kinds):
        assert kinds == (X509_NONE,) and let_in(s)
    with g.Open(0, {}).socket() as s:
        assert rfb(s)[0] == [1]
    with bus.fails("NotSupported", "only SPICE speaks TLS over D-Bus"):
        g.Open(0, {"tls": True})
    configure(bus)
    bus.stop_service(SERVICE, signal.SIGKILL)
    assert g.TLS and g.Port == port and d.PendingChanges == []
    with encrypted(port, pki) as (s, _):
        assert let_in(s)
    d.Terminate(0, {})
    assert not g.TLS
    d.Start(0, {}, timeout=60)  # as the settings are now
    assert not g.TLS
    with socket.create_connection(("127.0.0.1", g.Port), timeout=patient(20)) as s:
        assert rfb(s)[0] == [1]
    d.Terminate(0, {})


def test_password(bus, qemud, pki):
    d = start(bus, VNC.format(" passwd='sesame'"))
    port = device(bus, d, "graphics0").Port
    for password, right in (("sesame", True), ("other", False)):
        with encrypted(port, pki) as (s, kinds):
            assert kinds == (X509_VNC,) and let_in(s, password) == right
    d.Terminate(0, {})


def test_clients_are_verified(bus, qemud, pki, tmp_path):
    """With a certificate of the same authority, and of no other."""
    configure(bus, "VncTLS=yes", "VncVerifyClients=yes")
    d = start(bus, VNC.format(""))
    port = device(bus, d, "graphics0").Port
    with encrypted(port, pki, certificates.make_client(pki)) as (s, _):
        assert let_in(s)
    strangers = certificates.make_client(certificates.make(tmp_path / "strangers"))
    for client in (None, strangers):
        with pytest.raises((OSError, AssertionError)), encrypted(port, pki, client) as (s, _):
            let_in(s)
    d.Terminate(0, {})


def test_no_certificates(bus, qemud, tmp_path):
    """A display of the network is not opened without, and others need none."""
    configure(bus, "VncTLS=yes", f"VncCertificates={tmp_path}/pki")
    d = define(bus, tiny_xml("web", devices="\n" + VNC.format("")))
    with bus.fails("ImageFailed", "line 8, domain/devices/graphics: VncTLS= of qemu.conf takes the files that VncCertificates= names: "
                                  f"{tmp_path}/pki/ca-cert.pem: folder {tmp_path}/pki does not exist"):
        d.Start(0, {}, timeout=60)
    assert d.State == "shutoff"
    local = start(bus, f"<graphics type='vnc' socket='{tmp_path}/vnc'/>", "local")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{tmp_path}/vnc")
        assert rfb(s)[0] == [1] and not device(bus, local, "graphics0").TLS
    local.Terminate(0, {})
    certificates.make(tmp_path / "pki")
    d.Start(0, {}, timeout=60)
    with encrypted(device(bus, d, "graphics0").Port, tmp_path / "pki") as (s, _):
        assert let_in(s)
    d.Terminate(0, {})


def test_nobody_else_sees_the_key(bus, qemud, pki):
    """QEMU has it in memory, and our folder only says where."""
    d = start(bus, VNC.format(""))
    folders = [p for p in files_below(bus.directory) if p.name == "server-key.pem" and pki not in p.parents]
    assert len(folders) == 1 and "memfd:" in os.readlink(f"/proc/{d.MainPID}/fd/{os.readlink(folders[0]).rpartition('/')[2]}")
    assert str(pki) not in open(f"/proc/{d.MainPID}/cmdline").read()
    d.Terminate(0, {})
    assert not folders[0].is_symlink()
