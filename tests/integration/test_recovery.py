# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nothing is lost: virtqemud dies at any moment, and the next one finds everything."""

import os
import signal
import time
from pathlib import Path

import pytest
from gi.repository import GLib

from domains import CONFIG, FORMAT, LIVE, NO_WAIT, SERVICE, console, define, device, guest_xml, states, tiny_xml
from guest import Console
from rawqemu import die_with_parent  # noqa: F401

pytestmark = pytest.mark.bus


def statuses(b):
    return sorted(p.name for p in (b.directory / "run/virtbus/qemu").rglob("*") if p.is_file() or p.is_socket())


def wait_until(condition, timeout=60):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "in time"
        time.sleep(0.02)


def test_running_guests_are_adopted(bus, qemud, guest_image):
    domain = define(bus, guest_xml(guest_image))
    idle = define(bus, tiny_xml("idle"))
    domain.Start(0, {})
    idle.Start(0, {})
    idle.Suspend(0, {})
    con = console(bus, domain)
    con.ready()
    pid, since, live = domain.MainPID, domain.StartTimestamp, domain.ExportDefinition(FORMAT, LIVE)
    bus.stop_service(SERVICE, signal.SIGKILL)
    bus.mark()
    assert domain.State == "running" and domain.MainPID == pid and domain.StartTimestamp == since
    bus.wait_property(idle, "State", "paused")
    assert domain.ExportDefinition(FORMAT, LIVE).replace("/dev/pts", "") is not None and "<name>web</name>" in live
    again = console(bus, domain)
    again.ask("echo still here")
    domain.Shutdown("acpi", 0, {})
    again.wait("VIRTBUS-GUEST-POWERDOWN")
    bus.wait_property(domain, "State", "shutoff")
    idle.Terminate(0, {})
    assert statuses(bus) == []


def test_run_state_that_cannot_be_kept(bus, qemud):
    """Nothing is changed of which nobody would know after a sudden end. What happens by itself is kept as soon as that is possible."""
    d = define(bus, tiny_xml(devices="<controller type='usb' model='qemu-xhci'/><input type='tablet' bus='usb'/>", extra="<iothreads>1</iothreads>")
               .replace("<memballoon model='none'/>", ""))
    d.Start(0, {})
    folder, away = bus.directory / "run/virtbus/qemu/status", bus.directory / "away"
    [status] = folder.iterdir()
    before = d.ExportDefinition(FORMAT, LIVE), d.QMPCommand('{"execute":"query-iothreads"}'), d.QMPCommand('{"execute":"query-mice"}')
    folder.rename(away)
    folder.write_text("in the way")
    tuning = bus.object(SERVICE, d.path, "org.virtbus.qemu1.Tuning")
    for change in (lambda: tuning.SetProperties([("IOThreads", GLib.Variant("au", [1, 2]))], LIVE, {}), lambda: d.SetMemory(8 << 20, LIVE, {}),
                   lambda: d.AttachDevice(FORMAT, "<input type='mouse' bus='usb'/>", LIVE, {}),
                   lambda: device(bus, d, "input0").Detach(LIVE | CONFIG, {}, timeout=60)):
        with bus.fails("StoreFailed", "the run state of tiny can't be kept: "):
            change()
    assert before == (d.ExportDefinition(FORMAT, LIVE), d.QMPCommand('{"execute":"query-iothreads"}'), d.QMPCommand('{"execute":"query-mice"}'))
    d.Suspend(0, {})
    folder.unlink()
    away.rename(folder)
    wait_until(lambda: '"state":"paused"' in status.read_text())
    tuning.SetProperties([("IOThreads", GLib.Variant("au", [1, 2]))], LIVE, {})
    bus.stop_service(SERVICE, signal.SIGKILL)
    bus.wait_property(d, "State", "paused")
    assert tuning.IOThreads == [1, 2]
    d.Terminate(0, {})


def test_orderly_restart_keeps_guests(bus, qemud):
    domain = define(bus, tiny_xml())
    domain.Start(0, {})
    pid = domain.MainPID
    for _ in range(3):
        bus.stop_service(SERVICE)
        bus.wait_property(domain, "State", "running")
        assert domain.MainPID == pid
    domain.Terminate(0, {})


def test_transient_guests_are_adopted(bus, qemud):
    path, _ = qemud.StartTransient(FORMAT, tiny_xml("passing"), [], 0, {})
    domain = bus.object(SERVICE, path)
    bus.stop_service(SERVICE, signal.SIGKILL)
    assert domain.State == "running" and not domain.Persistent
    domain.Terminate(0, {})
    assert qemud.ListDomains() == [] and statuses(bus) == []


def test_guest_that_ended_meanwhile(bus, qemud, guest_image):
    """QEMU dies, or the guest powers off, while no daemon is there."""
    killed = define(bus, tiny_xml("killed"))
    killed.Start(0, {})
    off = define(bus, guest_xml(guest_image, name="off"))
    off.Start(0, {})
    con = console(bus, off)
    con.ready()
    qemu, other = killed.MainPID, off.MainPID
    con.ask("sh (sleep 1; poweroff -f) &")
    bus.stop_service(SERVICE, signal.SIGKILL)
    os.kill(qemu, signal.SIGKILL)
    wait_until(lambda: not {qemu, other} & set(bus.watch.alive()))
    for d in (killed, off):
        bus.wait_property(d, "State", "shutoff")
    wait_until(lambda: statuses(bus) == [])
    killed.Start(0, {})
    killed.Terminate(0, {})


def test_stop_under_way(bus, qemud, guest_image):
    domain = define(bus, guest_xml(guest_image, features="<apic/>"))
    domain.Start(0, {})
    domain.Shutdown("acpi", 0, {})
    bus.stop_service(SERVICE, signal.SIGKILL)
    assert domain.State == "running" and domain.Job == (0, "/")
    domain.Terminate(0, {})
    assert statuses(bus) == []


def test_definitions_survive_everything(bus, qemud):
    for i in range(20):
        define(bus, tiny_xml(f"d{i}"))
        if i % 5 == 4:
            bus.stop_service(SERVICE, signal.SIGKILL)
    assert len(qemud.ListDomains()) == 20
    folder = bus.directory / "config/virtbus/domains"
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"d{i}.xml" for i in range(20))


def test_broken_file_is_shown_and_kept(bus, qemud):
    define(bus, tiny_xml("good"))
    bus.stop_service(SERVICE)
    folder = bus.directory / "config/virtbus/domains"
    broken = "<domain type='kvm'><name>bad</name><memori>1</memori></domain>"
    (folder / "bad.xml").write_text(broken)
    (folder / "other.xml").write_text(tiny_xml("notother"))
    found = {d[0]: d[1] for d in qemud.ListDomains()}
    assert found == {"good": "shutoff", "bad": "broken", "other": "broken"}
    domain = bus.object(SERVICE, qemud.GetDomain("bad"))
    assert "memori" in domain.LastError[0]
    with bus.fails("Error.InvalidDefinition", "memori"):
        domain.Start(0, {})
    assert (folder / "bad.xml").read_text() == broken
    mended = define(bus, tiny_xml("bad"))
    assert mended.State == "shutoff" and len(qemud.ListDomains()) == 3
    mended.Start(0, {})
    mended.Terminate(0, {})


def test_garbage_in_the_run_folder(bus, qemud):
    """Status files that make no sense are told about and harm nobody."""
    domain = define(bus, tiny_xml())
    domain.Start(0, {})
    bus.stop_service(SERVICE, signal.SIGKILL)
    folder = bus.directory / "run/virtbus/qemu/status"
    (folder / "aaaa.json").write_text("{ not json")
    (folder / "bbbb.json").write_text('{"uuid": "nonsense"}')
    assert domain.State == "running"
    assert "can't be taken up" in bus.output()
    domain.Terminate(0, {})
    for p in ("aaaa.json", "bbbb.json"):
        (folder / p).unlink(missing_ok=True)


def test_reload_follows_files(bus, qemud):
    define(bus, tiny_xml("one"))
    folder = bus.directory / "config/virtbus/domains"
    (folder / "two.xml").write_text(tiny_xml("two"))
    text = (folder / "one.xml").read_text()
    (folder / "one.xml").write_text(text.replace("<vcpu>1</vcpu>", "<vcpu>2</vcpu>"))
    qemud.Reload()
    domain = bus.object(SERVICE, qemud.GetDomain("one"))
    assert domain.VCPUs == (2, 2) and qemud.GetDomain("two")
    (folder / "two.xml").unlink()
    qemud.Reload()
    assert [d[0] for d in qemud.ListDomains()] == ["one"]
