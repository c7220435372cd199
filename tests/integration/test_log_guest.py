# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a guest prints is in its log, all of it, while virtlogd is killed again and again."""

import signal

import pytest

from domains import console, define, guest_xml, tiny_xml
from test_log import folder, kept, log_object, wait

pytestmark = pytest.mark.bus

LOGD = "org.virtbus.log1"


@pytest.fixture
def logd(bus):
    return bus.manager("log1")


def test_serial_port_and_qemu(bus, qemud, logd, guest_image):
    domain = define(bus, guest_xml(guest_image))
    domain.Start(0, {})
    con = console(bus, domain)
    con.ready()
    con.ask("echo a line for the log")
    wait(lambda: b"\na line for the log\n" in kept(bus))
    text = kept(bus)
    assert text.startswith(b"VIRTBUS-GUEST-UP") or b"\nVIRTBUS-GUEST-UP" in text
    assert {name for _, _, name, _, _ in logd.ListLogs()} == {"serial0", "qemu"}
    domain.Terminate(0, {})
    bus.wait_property(log_object(bus, logd), "State", "closed")
    domain.Start(0, {})
    wait(lambda: kept(bus).count(b"VIRTBUS-GUEST-READY") == 2)
    domain.Terminate(0, {})


PRINT = ("(i=100000; while [ ! -e /stop ]; do busybox seq $((i + 1)) $((i + 1000)); i=$((i + 1000)); done >/dev/hvc0; "
         "echo printed $i) &")


@pytest.mark.timeout(400)
def test_a_guest_that_prints_through_ten_kills(bus, qemud, logd, guest_image):
    """An emulated console passes some 60 KB/s, and much less where others are busy: it prints as long as we kill.
    test_log.py does the same with 50 MB of a writer that is no guest."""
    config = bus.directory / "config/virtbus"
    config.mkdir(parents=True, exist_ok=True)
    (config / "log.conf").write_text("[Files]\nMaxSize=64KiB\nMaxBackups=60\n")
    devices = "<console type='pty'><target type='virtio'/></console>"
    domain = define(bus, guest_xml(guest_image, devices=devices))
    domain.Start(0, {})
    con = console(bus, domain)
    con.ready()
    con.ask("sh modprobe virtio_console")
    con.ask(f"sh {PRINT}")
    log = log_object(bus, logd, "console0")
    for _ in range(10):
        end = log.End
        wait(lambda: log.End > end, 60)
        bus.stop_service(LOGD, signal.SIGKILL)
        # Nobody calls it, and there is no systemd: virtqemud brings it back.
        wait(lambda: bus.owner_pid(LOGD), 60)
    wait(lambda: log.End > 220 << 10, 120)
    con.send("sh : >/stop")
    last = int(con.wait("^printed ", timeout=100).split()[1])
    wait(lambda: kept(bus, "console0").rstrip().endswith(b"%d" % last), 60)
    domain.Terminate(0, {})
    bus.wait_property(log, "State", "closed")
    text = kept(bus, "console0").replace(b"\r\n", b"\n")
    assert text == b"".join(b"%d\n" % i for i in range(100001, last + 1)), "nothing missing, nothing double"
    sizes = sorted(f.stat().st_size for f in folder(bus).glob("console0.log*"))
    assert len(sizes) > 3 and all((64 << 10) - 4096 <= s <= 64 << 10 for s in sizes[1:])


def test_last_words_of_qemu_through_virtlogd(bus, qemud, logd, tmp_path):
    """A start that fails says what QEMU said, which by then has gone through the supervisor, a pipe and virtlogd."""
    qemu = tmp_path / "qemu-system-x86_64"
    qemu.write_text("#!/bin/sh\ncase \"$*\" in *guest=words*) echo \"qemu: the moon is in the wrong house\" >&2; exit 1;; esac\n"
                    "exec /usr/bin/qemu-system-x86_64 \"$@\"\n")
    qemu.chmod(0o755)
    domain = define(bus, tiny_xml("words", extra="").replace("<devices>", f"<devices><emulator>{qemu}</emulator>"))
    with bus.fails("QemuFailed", "the moon is in the wrong house"):
        domain.Start(0, {})
    wait(lambda: b"wrong house" in kept(bus, "qemu", "words"))


def test_without_virtlogd(tmp_path):
    """Its absence is no failure: the same files, written by QEMU's supervisor itself."""
    import bus as bus_module
    with bus_module.Bus() as b:
        (b.directory / "services" / f"{LOGD}.service").unlink(missing_ok=True)
        for found in b.directory.rglob(f"{LOGD}.service"):
            found.unlink()
        b.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ReloadConfig")
        domain = define(b, tiny_xml("alone", devices="<serial type='pty'/>"))
        domain.Start(0, {})
        assert domain.State == "running" and domain.Warnings == []
        assert b.owner_pid(LOGD) is None
        assert {p.name for p in folder(b, "alone").iterdir()} == {"qemu.log", "serial0.log"}
        domain.Terminate(0, {})

