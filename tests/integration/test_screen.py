# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pictures of screens, keys and pointers, with guests that tell what they have got."""

import fcntl
import os
import signal
import struct
import subprocess
import time
import zlib

import pytest
from gi.repository import Gio, GLib

from bus import BusError
from domains import console, define, device, guest_xml, tiny_xml
from test_recovery import wait_until
from test_stop import Calls

pytestmark = pytest.mark.bus

VGA = "<video><model type='vga'/></video>"
F_GET_SEALS = 1034


def png(file):
    """Width, height and the rows of bytes of a PNG with eight bits per channel and filters of any kind."""
    data = os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        packed += body if kind == b"IDAT" else b""
        at += 12 + size
    assert kind == b"IEND" and depth == 8 and colour in (2, 6) and interlaced == 0
    raw = zlib.decompress(packed)
    line = width * (3 if colour == 2 else 4) + 1
    assert len(raw) == line * height
    return width, height, {raw[i * line + 1:(i + 1) * line] for i in range(height)}


def picture(domain, screen=0):
    fd, kind = domain.Screenshot(screen, 0, {})
    assert kind == "image/png"
    return fd


def fdsets(domain):
    return domain.QMPCommand("query-fdsets")


def test_screenshot(bus, qemud):
    """The firmware's messages are more than one colour; the file can't be changed, and QEMU keeps nothing of it."""
    d = define(bus, tiny_xml(devices=VGA))
    with bus.fails("InvalidState", "its screen is dark"):
        d.Screenshot(0, 0, {})
    d.Start(0, {}, timeout=60)
    before = fdsets(d)
    wait_until(lambda: len(png(picture(d))[2]) > 3)
    with_text = picture(d)
    width, height, _ = png(with_text)
    assert width >= 640 and height >= 400
    with pytest.raises(OSError):
        os.pwrite(with_text.fd, b"x", 0)
    assert fcntl.fcntl(with_text.fd, F_GET_SEALS) == 0xf and fdsets(d) == before
    with bus.fails("NoSuchDevice", "it has 1, counted from 0"):
        d.Screenshot(1, 0, {})
    with bus.fails("InvalidArgs", "nonsense"):
        d.Screenshot(0, 0, {"nonsense": True})
    d.Terminate(0, {})


def test_screenshots_of_all_heads(bus, qemud):
    d = define(bus, tiny_xml(devices=VGA + "<video><model type='virtio' heads='2'/></video>"))
    d.Start(0, {}, timeout=60)
    sizes = [png(picture(d, screen))[:2] for screen in range(3)]
    assert all(w >= 64 and h >= 64 for w, h in sizes)
    with bus.fails("NoSuchDevice", "it has 3"):
        d.Screenshot(3, 0, {})
    d.Terminate(0, {})


def test_no_screen(bus, qemud):
    d = define(bus, tiny_xml())
    d.Start(0, {}, timeout=60)
    with bus.fails("NoSuchDevice", "tiny has no screen"):
        d.Screenshot(0, 0, {})
    d.Terminate(0, {})


def test_screenshot_of_a_stopped_qemu(bus, qemud):
    """It is answered when QEMU ends, not when it is too late; others are served meanwhile."""
    d = define(bus, tiny_xml(devices=VGA))
    d.Start(0, {}, timeout=60)
    os.kill(d.MainPID, signal.SIGSTOP)
    calls = Calls(bus)
    calls.begin(d, "Screenshot", 0, 0, {})
    assert d.State == "running"    # one client's calls are handled in order: that one is under way
    bus.pump(0.5)
    assert not calls.said
    d.Terminate(0, {})
    assert [error for error, _ in calls.wait().values()] == ["org.virtbus.Error.Disconnected"]


def test_keys(bus, qemud, guest_image):
    d = define(bus, guest_xml(guest_image))
    with bus.fails("InvalidState", "web is shutoff"):
        d.SendKeyNames(["a"], 0, 0, {})
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("keys")
    d.SendKeyNames(["ctrl", "KEY_LEFTALT", "Insert"], 0, 0, {})
    for code in (29, 56, 110):
        con.wait(f"^VIRTBUS-GUEST-KEY {code} 1$")
    for code in (110, 56, 29):
        con.wait(f"^VIRTBUS-GUEST-KEY {code} 0$")
    for codes, number in ("linux", 30), ("usb", 4), ("qnum", 0x1e):
        d.SendKeys(codes, [number], 1, 0, {})
        con.wait("^VIRTBUS-GUEST-KEY 30 1$")
        con.wait("^VIRTBUS-GUEST-KEY 30 0$")
    for arguments, text in ((("linux", [9999], 0), "9999 is no key"), (("linux", [], 0), "no keys"), (("rfb", [1], 0), "expected linux"),
                            (("linux", [30] * 17, 0), "at most 16"), (("linux", [30], 60001), "60000 ms at most"), (("usb", [0], 0), "0 is no key")):
        with bus.fails("InvalidArgs", text):
            d.SendKeys(*arguments, 0, {})
    with bus.fails("InvalidArgs", 'did you mean "delete"?'):
        d.SendKeyNames(["delet"], 0, 0, {})
    d.Terminate(0, {})


def test_all_keys_are_known_to_qemu(bus, qemud):
    d = define(bus, tiny_xml())
    d.Start(0, {}, timeout=60)
    sent = 0
    for codes, last in ("linux", 255), ("usb", 255):
        for n in range(1, last):
            try:
                d.SendKeys(codes, [n], 1, 0, {})
                sent += 1
            except BusError as e:
                assert e.name.endswith("InvalidArgs"), e
    assert sent > 200
    d.Terminate(0, {})


def test_pointers(bus, qemud, guest_image):
    """A tablet's places and a button, as the guest's kernel sees them."""
    d = define(bus, guest_xml(guest_image, devices=VGA + "<input type='tablet' bus='virtio'/>"))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("keys")
    con.ask("sh exec 4</dev/input/$(grep -A4 -i tablet /proc/bus/input/devices | tr ' ' '\\n' | grep event)")
    d.SendInput([("abs", "x", 1000), ("abs", "y", 2000), ("button", "left", 1)], 0, {})
    con.wait("^VIRTBUS-GUEST-KEY 272 1$")
    words = " ".join(con.ask("sh dd bs=24 count=4 <&4 2>/dev/null | od -An -v -tu2")).split()
    events = [tuple(map(int, words[i + 8:i + 11])) for i in range(0, 48, 12)]
    assert events == [(3, 0, 1000), (3, 1, 2000), (1, 272, 1), (0, 0, 0)]
    d.SendInput([("button", "left", 0)], 0, {"screen": _u(0)})
    con.wait("^VIRTBUS-GUEST-KEY 272 0$")
    d.SendInput([("key", "a", 1), ("key", "a", 0)], 0, {})
    con.wait("^VIRTBUS-GUEST-KEY 30 1$")
    con.wait("^VIRTBUS-GUEST-KEY 30 0$")
    for event, text in ((("abs", "x", 32768), "out of range"), (("rel", "z", 1), "none of x, y"), (("button", "top", 1), "none of left"),
                        (("button", "left", 2), "pressed (1) or let go (0)"), (("smell", "x", 1), "none of key"), (("key", "nokey", 1), "is no key")):
        with bus.fails("InvalidArgs", text):
            d.SendInput([event], 0, {})
    with bus.fails("NoSuchDevice", "has no screen 7"):
        d.SendInput([("abs", "x", 0)], 0, {"screen": _u(7)})
    d.Terminate(0, {})


def _u(n):
    return GLib.Variant("u", n)


def test_no_tablet(bus, qemud):
    d = define(bus, tiny_xml())
    d.Start(0, {}, timeout=60)
    with bus.fails("QemuFailed", "<input type='tablet'/>"):
        d.SendInput([("abs", "x", 0)], 0, {})
    d.SendInput([("rel", "x", -5), ("button", "wheel-up", 1), ("button", "wheel-up", 0)], 0, {})
    d.Terminate(0, {})


def test_virtctl(bus, qemud, guest_image, tmp_path):
    program = os.path.join(os.environ["VIRTBUS_BUILD"], "virtctl", "virtctl")
    d = define(bus, guest_xml(guest_image, devices=VGA))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("keys")
    bus.run(program, "--user", "send-key", "web", "leftctrl", "c")
    con.wait("^VIRTBUS-GUEST-KEY 29 1$")
    con.wait("^VIRTBUS-GUEST-KEY 46 1$")
    bus.run(program, "--user", "screenshot", "web", tmp_path / "a.png")
    with open(tmp_path / "b.png", "wb") as f:
        subprocess.run([program, "--user", "screenshot", "web", "-", "0"], env=bus.environment, stdout=f, check=True, timeout=60)
    for name in "a.png", "b.png":
        with open(tmp_path / name, "rb") as f:
            assert png(f)[0] >= 640
    assert bus.run(program, "--user", "screenshot", "web", tmp_path / "c.png", "1", check=False).returncode != 0
    assert not (tmp_path / "c.png").exists()
    d.Terminate(0, {})


def test_password_of_spice(bus, qemud):
    d = define(bus, tiny_xml(devices=VGA + "<graphics type='spice' passwd='sesame'><listen type='none'/></graphics>"))
    d.Start(0, {}, timeout=60)
    g = device(bus, d, "graphics0")
    g.SetPassword("for an hour", int(time.time() + 3600) * 1000000, 0, {})
    g.SetPassword("forever", 0, 0, {})
    d.Terminate(0, {})


def test_displays_without_a_port(bus, qemud):
    """A viewer gets a connection to each kind of display by the bus alone, and can use it."""
    kinds = ("<graphics type='vnc'><listen type='none'/></graphics>", "<graphics type='spice'><listen type='none'/></graphics>", "<graphics type='dbus'/>")
    for kind in kinds:
        d = define(bus, tiny_xml(devices=VGA + kind))
        d.Start(0, {}, timeout=60)
        g = device(bus, d, "graphics0")
        assert (g.Listen, g.Port, g.Socket) == ("", 0, "")
        with g.Open(0, {}).socket() as s:
            s.settimeout(20)
            if g.Type == "vnc":
                assert s.recv(12) == b"RFB 003.008\n"
            elif g.Type == "spice":
                s.sendall(struct.pack("<4sIII", b"REDQ", 2, 2, 22) + struct.pack("<IBBIII", 0, 1, 0, 1, 0, 18) + struct.pack("<I", 1))
                assert s.recv(16)[:4] == b"REDQ"
            else:
                stream = Gio.Socket.new_from_fd(os.dup(s.fileno())).connection_factory_create_connection()
                viewer = Gio.DBusConnection.new_sync(stream, None, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
                name = viewer.call_sync(None, "/org/qemu/Display1/VM", "org.freedesktop.DBus.Properties", "Get",
                                        GLib.Variant("(ss)", ("org.qemu.Display1.VM", "Name")), None, Gio.DBusCallFlags.NONE, 20000, None)
                assert name.unpack() == ("tiny",)
                viewer.close_sync(None)
        d.Terminate(0, {})
        d.Undefine(0, {})
