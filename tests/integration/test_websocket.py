# SPDX-License-Identifier: LGPL-2.1-or-later
"""VNC by websockets: what a browser's viewer does, by hand."""

import base64
import contextlib
import hashlib
import os
import signal
import socket
import ssl
import struct
import time

import pytest

import certificates
from domains import CONFIG, FORMAT, LIVE, SERVICE, device
from test_graphics import answer_challenge, read, rfb, start
from test_graphics_vnc_tls import configure, let_in

pytestmark = pytest.mark.bus

AUTO = "<graphics type='vnc' autoport='yes' websocket='-1'{}/>"
BINARY, CLOSE = 2, 8
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WebSocket:
    """A socket, as far as the other tests' viewers know."""

    def __init__(self, s):
        self.raw, self.rest = s, b""
        key = base64.b64encode(os.urandom(16))
        s.sendall(b"GET /websockify HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  b"Sec-WebSocket-Protocol: binary\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += read(s, 1)
        assert head.startswith(b"HTTP/1.1 101") and base64.b64encode(hashlib.sha1(key + GUID).digest()) in head

    def settimeout(self, seconds):
        self.raw.settimeout(seconds)

    def sendall(self, data):
        mask = os.urandom(4)
        size = struct.pack(">B", 0x80 | len(data)) if len(data) < 126 else struct.pack(">BH", 0x80 | 126, len(data))
        self.raw.sendall(bytes([0x80 | BINARY]) + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def recv(self, n):
        while not self.rest:
            first, size = read(self.raw, 2)
            if size == 126:
                size, = struct.unpack(">H", read(self.raw, 2))
            elif size == 127:
                size, = struct.unpack(">Q", read(self.raw, 8))
            data = read(self.raw, size)
            if first & 15 == CLOSE:
                return b""
            self.rest = data
        data, self.rest = self.rest[:n], self.rest[n:]
        return data


@contextlib.contextmanager
def browser(port, pki=None, client=None):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        if not pki:
            yield WebSocket(s)
            return
        context = ssl.create_default_context(cafile=pki / "ca-cert.pem")
        if client:
            context.load_cert_chain(*client)
        with context.wrap_socket(s, server_hostname="127.0.0.1") as t:
            yield WebSocket(t)


def picture(s, width, height):
    """The screen's bytes: much, in one direction."""
    s.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
    while read(s, 1) != b"\0":
        pass
    assert read(s, 1) is not None
    count, = struct.unpack(">H", read(s, 2))
    n = 0
    for _ in range(count):
        _, _, w, h, encoding = struct.unpack(">HHHHi", read(s, 12))
        assert encoding == 0
        n += len(read(s, w * h * 4))
    return n


def test_websocket(bus, qemud):
    """Beside the port; the same after a restart of the daemon, and who is in stays in."""
    d = start(bus, AUTO.format(""))
    g = device(bus, d, "graphics0")
    port, plain = g.WebSocketPort, g.Port
    assert 5700 <= port < 65536 and plain >= 5900 and port != plain and d.PendingChanges == [] and d.Warnings == []
    assert f'websocket="{port}"' in d.ExportDefinition(FORMAT, LIVE) and 'websocket="-1"' in d.ExportDefinition(FORMAT, CONFIG)
    with browser(port) as s:
        types, size = rfb(s)
        assert types == [1] and size[0] >= 320
        read(s, 16)
        read(s, struct.unpack(">I", read(s, 4))[0])
        assert picture(s, *size) > 500000  # of a screen that may have another size meanwhile
        for n in range(200):  # and some in the other one
            s.sendall(struct.pack(">BBHH", 5, 0, n, n) * 1000)
        bus.stop_service(SERVICE, signal.SIGKILL)
        assert (g.WebSocketPort, g.Port) == (port, plain) and d.PendingChanges == []
        assert picture(s, *size) > 0
        with browser(port) as t:
            assert rfb(t)[0] == [1]
    with socket.create_connection(("127.0.0.1", plain), timeout=20) as s:
        assert rfb(s)[0] == [1]
    other = start(bus, AUTO.format(""), "other")
    assert device(bus, other, "graphics0").WebSocketPort not in (0, port)
    other.Terminate(0, {})
    with browser(port) as s:
        rfb(s)
        d.Terminate(0, {})
        s.settimeout(20)
        with pytest.raises((AssertionError, OSError)):
            while read(s, 1):
                pass
    assert g.WebSocketPort == 0


def test_password(bus, qemud):
    d = start(bus, AUTO.format(" passwd='sesame'"))
    port = device(bus, d, "graphics0").WebSocketPort
    for password, right in (("sesame", True), ("other", False)):
        with browser(port) as s:
            assert rfb(s)[0] == [2]
            s.sendall(b"\x02")
            assert let_in(s, password) == right
    d.Terminate(0, {})


def test_no_browser(bus, qemud):
    """Who asks for a page is told what this is; who says nonsense, or nothing for long, is in nobody's way."""
    d = start(bus, AUTO.format(""))
    port = device(bus, d, "graphics0").WebSocketPort
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert s.recv(100).startswith(b"HTTP/1.1 404")
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            s.sendall(os.urandom(5000) + b"\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                while s.recv(1000):
                    pass
        with browser(port) as s:
            assert rfb(s)[0] == [1]
    with contextlib.ExitStack() as stack:  # more than may be in at once: the last one waits for the first to go
        crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(17)]
        last = crowd.pop()
        time.sleep(0.5)
        crowd[0].close()
        assert rfb(WebSocket(last))[0] == [1]
    d.Terminate(0, {})


def test_encrypted(bus, qemud):
    """As the port is. QEMU asks nobody for a password then, so there is none."""
    configure(bus, "VncTLS=yes")
    pki = certificates.make(bus.directory / "config/virtbus/pki/libvirt-vnc")
    d = start(bus, AUTO.format(""))
    port = device(bus, d, "graphics0").WebSocketPort
    with browser(port, pki) as s:
        assert rfb(s)[0] == [1]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s, pytest.raises((AssertionError, OSError)):
        WebSocket(s)
    bus.stop_service(SERVICE, signal.SIGKILL)
    assert device(bus, d, "graphics0").WebSocketPort == port
    with browser(port, pki) as s:
        assert rfb(s)[0] == [1]
    d.Terminate(0, {})
    with bus.fails("NotSupported", "asks nobody for a password who has spoken TLS before"):
        start(bus, AUTO.format(" passwd='sesame'"), "other")


def test_clients_are_verified(bus, qemud, tmp_path):
    configure(bus, "VncTLS=yes", "VncVerifyClients=yes")
    pki = certificates.make(bus.directory / "config/virtbus/pki/libvirt-vnc")
    d = start(bus, AUTO.format(""))
    port = device(bus, d, "graphics0").WebSocketPort
    with browser(port, pki, certificates.make_client(pki)) as s:
        assert rfb(s)[0] == [1]
    for client in (None, certificates.make_client(certificates.make(tmp_path / "strangers"))):
        with pytest.raises((OSError, AssertionError)), browser(port, pki, client) as s:
            rfb(s)
    d.Terminate(0, {})
