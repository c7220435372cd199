# SPDX-License-Identifier: LGPL-2.1-or-later
"""What happens to guests: told once as a signal, kept as a property, and what follows from it."""

import os
import re
import signal
import subprocess
import time

import pytest

from domains import FORMAT, SERVICE, console, define, disk_xml, guest_xml, states, tiny_xml
from test_hotplug import until

pytestmark = pytest.mark.bus

EVENTS = "org.virtbus.qemu1.Events"


def told(bus, domain, name, timeout=30, **details):
    """The details of the next signal of that name, which the property has as well."""
    s = bus.wait_signal(name, path=domain.path, interface=EVENTS, timeout=timeout)
    assert {k: s.args[1].get(k) for k in details} == details
    assert abs(s.args[0] / 1e6 - time.time()) < 60
    assert any(kept[0] == name and kept[1] >= s.args[0] and kept[2].get("device") == s.args[1].get("device") for kept in domain.LastEvents)
    return s.args[1]


def started(bus, image, **options):
    d = define(bus, guest_xml(image, **options))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    return d, con


@pytest.mark.parametrize("action, expected", [("pause", ("paused", "watchdog")), ("reset", ("running", "booted")), ("none", ("running", "booted"))])
def test_watchdog(bus, qemud, guest_image, action, expected):
    """It is petted once and never again."""
    d, con = started(bus, guest_image, devices=f"<watchdog model='i6300esb' action='{action}'/>")
    con.ask("sh busybox modprobe -r i6300esb; modprobe i6300esb heartbeat=2")
    con.send("sh printf x >/dev/watchdog")  # which may be the last it does
    assert told(bus, d, "Watchdog", action=action, count=1)
    bus.wait_property(d, "State", expected[0])
    assert d.StateReason == expected[1]
    if action == "reset":
        con.ready()
    d.Terminate(0, {})
    assert [e[0] for e in d.LastEvents] == ["Watchdog"], "also of a machine that is off"
    d.Start(0, {}, timeout=60)
    assert d.LastEvents == []
    d.Terminate(0, {})


def test_panic(bus, qemud, guest_image):
    d, con = started(bus, guest_image, devices="<panic model='isa'/>", extra="<on_crash>preserve</on_crash>")
    con.ask("sh modprobe pvpanic-mmio")
    con.send("panic")
    told(bus, d, "Panicked", action="pause")
    bus.wait_signal("GuestPanicked", path=d.path, since=0)
    bus.wait_property(d, "State", "crashed")
    assert d.StateReason == "panicked"
    d.Terminate(0, {})


def test_crash_kernel(bus, qemud, guest_image):
    """What a guest's kernel says to pvpanic before its crash kernel takes over."""
    d, con = started(bus, guest_image, devices="<panic model='isa'/>", extra="<on_crash>preserve</on_crash>")
    con.ask(r"sh printf '\002' | dd of=/dev/port bs=1 seek=1285 2>/dev/null")
    told(bus, d, "CrashLoaded", action="run")
    assert d.State == "running"
    d.Terminate(0, {})


def drive_xml(path):
    return f"<disk type='file' device='cdrom'><source file='{path}'/><target dev='sda' bus='sata'/><readonly/></disk>"


def test_tray(bus, qemud, tmp_path):
    """It opens and closes again when the medium is changed: the first is told at once, the second after a while."""
    (tmp_path / "disc.iso").write_bytes(bytes(1 << 20))
    d = define(bus, tiny_xml(devices=drive_xml(tmp_path / "disc.iso")))
    d.Start(0, {}, timeout=60)
    drive = bus.object(SERVICE, d.GetDevice("sda"))
    drive.ChangeMedia({}, 1, {})
    assert told(bus, d, "TrayMoved", path=drive.path, device=drive.Alias, count=1)["tray-open"] is True
    assert told(bus, d, "TrayMoved", path=drive.path, count=2)["tray-open"] is False
    assert drive.TrayOpen is False
    d.Terminate(0, {})


def test_clock(bus, qemud, guest_image):
    """The guest's clock stays as far from the host's as the guest has set it: in the machine, over a restart of the daemon, in the
    definition at the end, and at the next start."""
    d, con = started(bus, guest_image, extra="<clock offset='variable' adjustment='1000' basis='utc'/>")
    assert d.RTCOffset == 0
    con.ask("sh [ -e /dev/rtc0 ] || mknod /dev/rtc0 c $(tr : ' ' </sys/class/rtc/rtc0/dev)")
    began = time.monotonic()
    con.ask("sh date -s @$(($(date +%s) + 3600)) >/dev/null; hwclock -w -u -f /dev/rtc0")
    took = time.monotonic() - began
    details = told(bus, d, "RTCChanged")
    assert 3598 - took <= details["offset"] <= 3602 and details["adjustment"] == 1000 + details["offset"]
    assert d.RTCOffset == details["offset"]
    assert f'adjustment="{details["adjustment"]}"' in d.ExportDefinition(FORMAT, 1)
    assert d.PendingChanges == []
    bus.stop_service(SERVICE, signal.SIGKILL)
    assert d.RTCOffset == details["offset"] and d.PendingChanges == []
    bus.mark()
    con = console(bus, d)
    began = time.monotonic()
    con.ask("sh date -s @$(($(date +%s) - 7200)) >/dev/null; hwclock -w -u -f /dev/rtc0")
    took += time.monotonic() - began
    after = told(bus, d, "RTCChanged")
    assert -3604 - took <= after["offset"] <= -3595 and after["adjustment"] == 1000 + after["offset"]
    d.Terminate(0, {})
    bus.wait_property(d, "ConfigGeneration", lambda n: n > 1)
    assert re.search(f"adjustment=[\"']{after['adjustment']}[\"']", d.ExportDefinition(FORMAT, 2))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    earliest = time.time()
    there = int(con.ask("sh cat /sys/class/rtc/rtc0/since_epoch")[0]) - after["adjustment"]
    assert earliest - 10 < there < time.time() + 10
    d.Terminate(0, {})


def test_write_threshold(bus, qemud, guest_image, tmp_path):
    (tmp_path / "d.img").write_bytes(bytes(4 << 20))
    d, con = started(bus, guest_image, devices=disk_xml(tmp_path / "d.img"))
    disk = bus.object(SERVICE, d.GetDevice("vda"))
    disk.SetWriteThreshold(1 << 20, 0, {})
    con.ask("sh dd if=/dev/zero of=/dev/vda bs=64k count=8 conv=fsync 2>/dev/null")
    bus.pump(0.3)
    assert d.LastEvents == []
    con.ask("sh dd if=/dev/zero of=/dev/vda bs=64k count=32 conv=fsync 2>/dev/null")
    details = told(bus, d, "WriteThreshold", device="virtio-disk0", path=disk.path, **{"write-threshold": 1 << 20})
    assert 0 < details["amount-exceeded"] <= 1 << 20
    disk.SetWriteThreshold(0, 0, {})
    d.Terminate(0, {})
    with bus.fails("InvalidState", "nothing is written"):
        disk.SetWriteThreshold(1, 0, {})


def test_sleep(bus, qemud, guest_image):
    """A guest that puts itself to sleep is woken up by Resume(). This one's firmware takes that for a power-on."""
    d, con = started(bus, guest_image)
    con.send("sh echo mem >/sys/power/state")
    bus.wait_property(d, "State", "pmsuspended")
    d.Resume(0, {})
    bus.wait_property(d, "State", "running")
    assert d.StateReason == "wakeup"
    con.ready()
    d.Terminate(0, {})


@pytest.fixture
def small(tmp_path):
    """A file system of two megabytes; grow() makes it larger."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "small", folder], capture_output=True).returncode:
        pytest.skip("needs root to mount a tmpfs")
    yield folder
    subprocess.run(["umount", folder], check=True)


def grow(folder):
    subprocess.run(["mount", "-o", "remount,size=32m", folder], check=True)


def retry(bus, when):
    conf = bus.directory / "config" / "virtbus"
    conf.mkdir(parents=True, exist_ok=True)
    (conf / "qemu.conf").write_text(f"[Domains]\nNoSpaceRetry={when}\n")


@pytest.mark.parametrize("restart", [False, True])
def test_no_space(small, bus, guest_image, restart):
    """The guest stands, is shown as standing while it is tried again, and goes on when there is room; nothing is lost."""
    retry(bus, "300ms")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", small / "d.qcow2", "16M"], check=True)
    d, con = started(bus, guest_image, devices=disk_xml(small / "d.qcow2", kind="qcow2"))
    con.send("sh dd if=/dev/urandom of=/dev/vda bs=64k count=64 conv=fsync 2>/dev/null && md5sum </dev/vda && echo written")
    told(bus, d, "IOError", action="stop", operation="write", reason="no space left", nospace=True, device="virtio-disk0")
    bus.wait_property(d, "State", "paused")
    assert d.StateReason == "io-error" and "no space left" in d.PauseReason
    assert bus.wait_signal("IOError", path=d.path, interface="org.virtbus.qemu1.Domain", since=0).args[1:] == ("stop", "no space left")
    until(lambda: d.LastEvents[0][2]["count"] >= 3)  # it was tried again
    bus.pump(1)
    assert states(bus, d)[-1] == ("paused", "io-error") and len(states(bus, d)) == 3
    if restart:
        bus.stop_service(SERVICE, signal.SIGKILL)
        bus.wait_property(d, "StateReason", "io-error")  # which it was just trying, perhaps
        con = console(bus, d)
    grow(small)
    bus.wait_property(d, "State", "running", timeout=30)
    assert d.StateReason == "space-returned" and d.PauseReason == ""
    con.wait("written")
    d.Terminate(0, {})


def test_no_space_and_no_retry(small, bus, guest_image):
    retry(bus, "0")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", small / "d.qcow2", "16M"], check=True)
    d, con = started(bus, guest_image, devices=disk_xml(small / "d.qcow2", kind="qcow2"))
    con.send("sh dd if=/dev/zero of=/dev/vda bs=64k count=64 conv=fsync 2>/dev/null; echo written")
    bus.wait_property(d, "StateReason", "io-error")
    grow(small)
    bus.pump(1)
    assert d.State == "paused"
    d.Resume(0, {})
    con.wait("written")
    assert d.StateReason == "user"
    d.Terminate(0, {})


def test_storm(bus, qemud, tmp_path):
    """A drive whose tray goes in and out all the time makes one signal a second, and the last one tells where it is."""
    (tmp_path / "disc.iso").write_bytes(bytes(1 << 20))
    d = define(bus, tiny_xml(devices=drive_xml(tmp_path / "disc.iso")))
    d.Start(0, {}, timeout=60)
    drive = bus.object(SERVICE, d.GetDevice("sda"))
    began = time.monotonic()
    for _ in range(15):
        drive.ChangeMedia({}, 1, {})
        drive.ChangeMedia({"path": tmp_path / "disc.iso"}, 1, {})
    seconds = time.monotonic() - began
    bus.wait_signal("TrayMoved", path=d.path, match=lambda _, details: details["count"] == 60, since=0)
    signals = [s for s in bus.signals if s.name == "TrayMoved" and s.path == d.path]
    assert 2 <= len(signals) <= seconds + 3 and len(signals) < 60
    assert signals[-1].args[1]["count"] == 60 and signals[-1].args[1]["tray-open"] is False
    assert d.LastEvents == [("TrayMoved", *signals[-1].args)]
    d.Terminate(0, {})
