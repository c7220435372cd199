# SPDX-License-Identifier: LGPL-2.1-or-later
"""The memory of guests as files."""

import os
import signal
import struct
import subprocess

import pytest

from domains import console, define, guest_xml, job_done, states, tiny_xml

pytestmark = pytest.mark.bus


def running(bus, name="tiny", **options):
    d = define(bus, tiny_xml(name, **options))
    d.Start(0, {}, timeout=60)
    return d


def dump(bus, domain, path, kind="", timeout=60):
    with open(path, "wb") as f:
        job = domain.CoreDump(kind, f, 0, {})
    return job_done(bus, job, timeout)


def loads(path):
    """Sizes of what an ELF core file has of memory."""
    data = path.read_bytes()[:65536]
    assert data[:5] == b"\x7fELF\x02" and struct.unpack_from("<H", data, 16) == (4,)
    offset, = struct.unpack_from("<Q", data, 32)
    size, n = struct.unpack_from("<HH", data, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", data, offset + i * size) for i in range(n)]
    return [h[5] for h in headers if h[0] == 1]


def test_elf(bus, qemud, tmp_path):
    """All of its memory; the guest stands meanwhile and goes on."""
    d = running(bus, memory=64)
    assert dump(bus, d, tmp_path / "core") == ("done", "", "")
    assert sum(loads(tmp_path / "core")) >= 64 << 20 and (tmp_path / "core").stat().st_size >= 64 << 20
    bus.wait_property(d, "State", "running")
    assert states(bus, d)[-2:] == [("paused", "dump"), ("running", "dump")]
    d.Suspend(0, {})
    bus.wait_property(d, "State", "paused")
    assert dump(bus, d, tmp_path / "again")[0] == "done"
    assert (d.State, d.StateReason) == ("paused", "user")
    d.Terminate(0, {})
    with bus.fails("InvalidState", "it has no memory"), open(tmp_path / "core", "wb") as f:
        d.CoreDump("elf", f, 0, {})


def test_kdump(bus, qemud, tmp_path):
    d = running(bus, memory=64)
    for kind in "kdump-zlib", "kdump-lzo", "kdump-snappy":
        result = dump(bus, d, tmp_path / kind, kind)
        if result[0] == "done":
            assert (tmp_path / kind).read_bytes()[:12] == b"makedumpfile"
            assert (tmp_path / kind).stat().st_size < 32 << 20
        else:
            assert result[1].endswith("NotSupported") and kind != "kdump-zlib"
    result = dump(bus, d, tmp_path / "x", "tar")
    assert result[1].endswith("NotSupported")
    with bus.fails("InvalidArgs", "can't be written to"), open(tmp_path / "x", "rb") as f:
        d.CoreDump("elf", f, 0, {})
    d.Terminate(0, {})


def test_of_a_panic(bus, qemud, guest_image, tmp_path):
    """What the guest's kernel said last is in it."""
    d = define(bus, guest_xml(guest_image, devices="<panic model='isa'/>", extra="<on_crash>preserve</on_crash>"))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("sh modprobe pvpanic-mmio")
    con.send("panic")
    bus.wait_property(d, "State", "crashed")
    assert dump(bus, d, tmp_path / "core")[0] == "done"
    assert (d.State, d.StateReason) == ("crashed", "panicked")
    with open(tmp_path / "core", "rb") as f:
        assert subprocess.run(["grep", "-qa", "sysrq triggered crash"], stdin=f).returncode == 0
    d.Terminate(0, {})


@pytest.fixture
def stuck(tmp_path):
    """A pipe that nobody reads yet: (where to write, where to read)."""
    reader, writer = os.pipe()
    yield writer, reader
    os.close(reader)
    os.close(writer)


def test_cancel(bus, qemud, stuck, tmp_path):
    """In the middle: QEMU lets go of it, the guest goes on, and another one can be had."""
    d = running(bus, memory=64)
    job = d.CoreDump("elf", stuck[0], 0, {})
    bus.wait_property(d, "State", "paused")
    with bus.fails("Busy", "dump"), open(tmp_path / "x", "wb") as f:
        d.CoreDump("elf", f, 0, {})
    bus.wait_property(bus.object("org.virtbus.qemu1", job), "BytesTotal", lambda n: n >= 64 << 20)
    bus.object("org.virtbus.qemu1", job).Cancel(0, {})
    assert job_done(bus, job)[0] == "canceled"
    bus.wait_property(d, "State", "running")
    bus.mark()
    assert dump(bus, d, tmp_path / "core")[0] == "done"
    d.Terminate(0, {})


def test_reader_gone(bus, qemud, tmp_path):
    d = running(bus, memory=64)
    reader, writer = os.pipe()
    job = d.CoreDump("elf", writer, 0, {})
    os.close(writer)
    bus.wait_property(d, "State", "paused")
    os.close(reader)
    result = job_done(bus, job)
    assert result[0] == "failed" and "Broken pipe" in result[2]
    bus.wait_property(d, "State", "running")
    d.Terminate(0, {})


def test_terminated(bus, qemud, stuck):
    d = running(bus, memory=64)
    job = d.CoreDump("elf", stuck[0], 0, {})
    bus.wait_property(d, "State", "paused")
    d.Terminate(0, {})
    assert job_done(bus, job)[0] in ("canceled", "failed")
    assert d.State == "shutoff"


def test_no_space(bus, qemud):
    d = running(bus)
    with open("/dev/full", "wb") as f:
        job = d.CoreDump("elf", f, 0, {})
    result = job_done(bus, job)
    assert result[0] == "failed" and "No space left on device" in result[2]
    bus.wait_property(d, "State", "running")
    d.Terminate(0, {})


def test_daemon_gone(bus, qemud, stuck, tmp_path):
    """What it was in the middle of ends with it; the guest goes on."""
    d = running(bus, memory=64)
    d.CoreDump("elf", stuck[0], 0, {})
    bus.wait_property(d, "State", "paused")
    bus.stop_service("org.virtbus.qemu1", signal.SIGKILL)
    bus.wait_property(d, "State", "running")
    bus.mark()
    assert dump(bus, d, tmp_path / "core")[0] == "done"
    d.Terminate(0, {})


def test_virtctl(bus, qemud, tmp_path):
    program = os.path.join(os.environ["VIRTBUS_BUILD"], "virtctl", "virtctl")
    d = running(bus)
    bus.run(program, "--user", "dump", "tiny", tmp_path / "core", timeout=60)
    assert sum(loads(tmp_path / "core")) >= 16 << 20
    assert bus.run(program, "--user", "dump", "tiny", tmp_path / "core", "tar", check=False).returncode != 0
    d.Terminate(0, {})
