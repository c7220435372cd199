# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices that change while the machine runs: media, links, boot order."""

import os
import time

import bus as bus_module
import pytest

from domains import CONFIG, FORCE, FORMAT, LIVE, VALIDATE_ONLY, console, define, device, disk_xml, guest_xml, tiny_xml
from processes import files_of
from test_hotplug import PORTS, definitions, inside, qmp, until

pytestmark = pytest.mark.bus

DRIVE = "<disk type='file' device='cdrom'>{source}<target dev='sda' bus='sata'/></disk>"
NIC = "<interface type='user'><mac address='52:54:00:00:00:01'/>{more}</interface>"


@pytest.fixture
def discs(tmp_path):
    for name in ("first", "second"):
        (tmp_path / f"{name}.iso").write_bytes(f"the {name} disc".encode().ljust(1 << 20, b"\0"))
    return tmp_path


def images_open(domain, folder):
    """Names of the images QEMU has open."""
    return sorted({os.path.basename(link) for link in files_of(domain.MainPID) if link.startswith(str(folder))})


def test_medium(bus, qemud, guest_image, discs):
    """In, another one, out: the guest reads it, and QEMU lets go of what is out."""
    d = define(bus, guest_xml(guest_image, devices=DRIVE.format(source="")))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    drive = device(bus, d, "sata_2ddisk0")
    empty, defined = inside(d), definitions(d)
    plan = drive.ChangeMedia({"path": f"{discs}/first.iso"}, LIVE | CONFIG | VALIDATE_ONLY, {})
    assert any("blockdev-insert-medium" in line for line in plan) and inside(d) == empty and definitions(d) == defined

    for name in ("first", "second", "first"):
        drive.ChangeMedia({"path": f"{discs}/{name}.iso"}, LIVE | CONFIG, {})
        bus.wait_property(drive, "Source", {"type": "file", "path": f"{discs}/{name}.iso"})
        until(lambda n=name: f"the.{n}.disc" in " ".join(con.ask("disks")))
        assert images_open(d, discs) == [f"{name}.iso"]
        assert f"{name}.iso" in d.ExportDefinition(FORMAT, CONFIG) and d.PendingChanges == []
    # The guest holds its drive shut.
    con.ask("sh exec 7</dev/sr0")
    with bus.fails("QemuFailed", "locked"):
        drive.ChangeMedia({}, 0, {})
    assert images_open(d, discs) == ["first.iso"] and drive.Source
    drive.ChangeMedia({}, FORCE, {})
    assert images_open(d, discs) == [] and inside(d) == empty and drive.Source == {}
    assert d.PendingChanges != []
    d.Terminate(0, {})


def test_each_failure(discs, tmp_path):
    """Whichever command is refused, the old medium is in the drive."""
    trigger = tmp_path / "fail"
    with bus_module.Bus(environment={"VIRTBUS_FAIL_QMP": str(trigger)}) as bus:
        d = define(bus, tiny_xml("web", devices=DRIVE.format(source=f"<source file='{discs}/first.iso'/>")))
        d.Start(0, {}, timeout=60)
        drive = device(bus, d, "sata_2ddisk0")
        plan = drive.ChangeMedia({"path": f"{discs}/second.iso"}, LIVE | CONFIG | VALIDATE_ONLY, {})
        before, defined = inside(d), definitions(d)
        commands = [line.split()[1] for line in plan if line.startswith("qmp")]
        for n in range(1, commands.index("blockdev-del") + 1):
            trigger.write_text(f"plug fail {n}")
            with bus.fails("QemuFailed", "because a test wants it so"):
                drive.ChangeMedia({"path": f"{discs}/second.iso"}, LIVE | CONFIG, {})
            assert inside(d) == before and definitions(d) == defined, commands[n - 1]
            assert images_open(d, discs) == ["first.iso"] and not drive.TrayOpen, commands[n - 1]
        drive.ChangeMedia({"path": f"{discs}/second.iso"}, LIVE | CONFIG, {})
        assert images_open(d, discs) == ["second.iso"]
        d.Terminate(0, {})


def test_each_death(discs, tmp_path):
    """Whichever command virtqemud dies at: the old medium is in the drive, or the new one, in QEMU and in both definitions."""
    trigger = tmp_path / "die"
    with bus_module.Bus(environment={"VIRTBUS_FAIL_QMP": str(trigger)}) as bus:
        d = define(bus, tiny_xml("web", devices=DRIVE.format(source=f"<source file='{discs}/first.iso'/>")))
        d.Start(0, {}, timeout=60)
        drive = device(bus, d, "sata_2ddisk0")
        before, defined = inside(d), definitions(d)
        plan = drive.ChangeMedia({"path": f"{discs}/second.iso"}, LIVE | CONFIG | VALIDATE_ONLY, {})
        commands = [line.split()[1] for line in plan if line.startswith("qmp")]
        tidy = commands.index("blockdev-del")
        for n in range(1, tidy + 2):
            die_while_changing(drive, discs, trigger, f"plug die {n}")
            until(lambda: images_open(d, discs), ["first.iso"])
            # Its tray is shut by the last command of those that take the change back.
            until(lambda: (inside(d), drive.TrayOpen), (before, False))
            assert definitions(d) == defined, commands[n - 1]
            changed = change_when_free(drive, discs, "second.iso")
            assert images_open(d, discs) == ["second.iso"] and changed
            change_when_free(drive, discs, "first.iso")
            before, defined = inside(d), definitions(d)
        for n in range(1, len(commands) - tidy + 2):
            die_while_changing(drive, discs, trigger, f"tidy die {n}")
            until(lambda: images_open(d, discs), ["second.iso"])
            until(lambda: ([len(v) for v in inside(d).values()], drive.TrayOpen), ([len(v) for v in before.values()], False))
            assert all("second.iso" in text for text in definitions(d)), commands[tidy + n - 1:]
            change_when_free(drive, discs, "first.iso")
        d.Terminate(0, {})


def die_while_changing(drive, discs, trigger, text):
    trigger.write_text(text)
    with pytest.raises(bus_module.BusError):
        drive.ChangeMedia({"path": f"{discs}/second.iso"}, LIVE | CONFIG, {})
    assert not trigger.exists(), "it died where it should"


def change_when_free(drive, discs, name):
    for _ in range(100):
        try:
            return drive.ChangeMedia({"path": f"{discs}/{name}"}, LIVE | CONFIG, {}) is not None
        except bus_module.BusError as e:
            assert "Busy" in str(e)
            time.sleep(0.1)
    return False


def test_medium_of_the_definition(bus, qemud, discs):
    d = define(bus, tiny_xml("web", devices=DRIVE.format(source="")))
    drive = device(bus, d, "sata_2ddisk0")
    drive.ChangeMedia({"path": f"{discs}/first.iso"}, 0, {})
    assert drive.Source["path"] == f"{discs}/first.iso"
    for source, text in (({"path": "first.iso"}, "no absolute path"), ({"pool": "p"}, "a pool and a volume"), ({"disc": "x"}, "unknown option"),
                         ({"path": "/x", "format": "iso9660"}, "no format")):
        with bus.fails("InvalidArgs", text):
            drive.ChangeMedia(source, 0, {})
    with bus.fails("InvalidState", "only its definition"):
        drive.ChangeMedia({}, LIVE, {})


def test_update(bus, qemud, tmp_path):
    """What can change does, and what can't is named."""
    (tmp_path / "a.raw").write_bytes(bytes(1 << 20))
    d = define(bus, tiny_xml("web", devices=PORTS + NIC.format(more="") + disk_xml(tmp_path / "a.raw", extra="<boot order='1'/>")))
    d.Start(0, {}, timeout=60)
    nic, disk = device(bus, d, "net0"), device(bus, d, "virtio_2ddisk0")
    plan = nic.Update(FORMAT, NIC.format(more="<link state='down'/>"), LIVE | CONFIG | VALIDATE_ONLY, {})
    assert nic.LinkUp and [line.split()[1] for line in plan if line.startswith("qmp")] == ["set_link"]
    nic.Update(FORMAT, NIC.format(more="<link state='down'/>"), LIVE | CONFIG, {})
    assert not nic.LinkUp and definitions(d)[1].count("down") == 1 and d.PendingChanges == []
    with bus.fails("NotSupported", "mtu"):
        nic.Update(FORMAT, NIC.format(more="<mtu size='1400'/>"), LIVE | CONFIG, {})
    assert d.PendingChanges == []
    nic.Update(FORMAT, NIC.format(more="<mtu size='1400'/>"), CONFIG, {})
    assert d.PendingChanges != []
    disk.Update(FORMAT, disk_xml(tmp_path / "a.raw", extra="<boot order='2'/>"), LIVE, {})
    assert disk.BootIndex == 2
    with bus.fails("NotSupported", "source"):
        disk.Update(FORMAT, disk_xml(tmp_path / "b.raw", extra="<boot order='2'/>"), LIVE, {})
    with bus.fails("InvalidArgs", "no <interface>"):
        disk.Update(FORMAT, NIC.format(more=""), LIVE, {})
    d.Terminate(0, {})


def test_limits_of_a_disk(bus, qemud, tmp_path):
    """They change at once, in QEMU and in the definition."""
    (tmp_path / "a.raw").write_bytes(bytes(1 << 20))

    def xml(limits):
        return disk_xml(tmp_path / "a.raw", extra=f"<iotune>{limits}</iotune>")
    d = define(bus, tiny_xml("web", devices=xml("<total_iops_sec>100</total_iops_sec>")))
    d.Start(0, {}, timeout=60)
    disk = device(bus, d, "virtio_2ddisk0")
    disk.Update(FORMAT, xml("<read_bytes_sec>1000000</read_bytes_sec><total_iops_sec>200</total_iops_sec>"), LIVE | CONFIG, {})
    limits = qmp(d, "qom-get", path="/objects/throttle-virtio-disk0", property="limits")
    assert (limits["iops-total"], limits["bps-read"], limits["bps-total"]) == (200, 1000000, 0) and d.PendingChanges == []
    with bus.fails("NotSupported", "iotune"):
        disk.Update(FORMAT, disk_xml(tmp_path / "a.raw"), LIVE, {})
    d.Terminate(0, {})


def test_limits_of_a_group(bus, qemud, tmp_path):
    """Those of one disk are those of all that share them."""
    for name in "ab":
        (tmp_path / f"{name}.raw").write_bytes(bytes(1 << 20))

    def xml(name, target, limit):
        tune = f"<iotune><total_iops_sec>{limit}</total_iops_sec><group_name>slow</group_name></iotune>"
        return disk_xml(tmp_path / f"{name}.raw", target, extra=tune)
    d = define(bus, tiny_xml("web", devices=xml("a", "vda", 100) + xml("b", "vdb", 100)))
    d.Start(0, {}, timeout=60)
    device(bus, d, "virtio_2ddisk1").Update(FORMAT, xml("b", "vdb", 300), LIVE | CONFIG, {})
    for which in (LIVE, CONFIG):
        assert d.ExportDefinition(FORMAT, which).count("<total_iops_sec>300<") == 2
    group = [o["name"] for o in qmp(d, "qom-list", path="/objects") if "slow" in o["name"]]
    assert len(group) == 1 and qmp(d, "qom-get", path=f"/objects/{group[0]}", property="limits")["iops-total"] == 300
    assert d.PendingChanges == []
    d.Terminate(0, {})


def test_pending_changes(bus, qemud, discs):
    """Each with both values, and with when it can be had."""
    d = define(bus, tiny_xml("web", devices=PORTS + DRIVE.format(source="") + NIC.format(more="")))
    d.Start(0, {}, timeout=60)
    assert d.ListPendingChanges() == []
    device(bus, d, "sata_2ddisk0").ChangeMedia({"path": f"{discs}/first.iso"}, CONFIG, {})
    device(bus, d, "net0").Update(FORMAT, NIC.format(more="<link state='down'/><mtu size='1400'/>"), CONFIG, {})
    d.AttachDevice(FORMAT, "<rng model='virtio'><backend model='builtin'/></rng>", CONFIG, {})
    d.SetMemory(8 << 20, CONFIG, {})
    d.AttachDevice(FORMAT, "<panic/>", CONFIG, {})
    assert sorted(d.ListPendingChanges()) == [
        ("", "currentMemory", "16777216", "8388608", "now"), ("net0", "link/@state", "", "down", "now"), ("net0", "mtu/@size", "", "1400", "power-off"),
        ("panic0", "", "", "panic", "power-off"), ("rng0", "", "", "rng", "now"),
        ("sata-disk0", "source/@file", "", f"{discs}/first.iso", "now")]
    d.Terminate(0, {})
    assert d.ListPendingChanges() == []


def test_media_that_are_missing(bus, qemud, tmp_path):
    """Those that may be are left out, with a warning; the definition keeps them, and they are there as soon as they are."""
    iso = tmp_path / "a.iso"
    drive = (f"<disk type='file' device='cdrom'><source file='{iso}' startupPolicy='{{policy}}'/><target dev='sda' bus='sata'/></disk>"
             f"<disk type='file' device='disk'><source file='{tmp_path}/b.raw' startupPolicy='optional'/><target dev='vda' bus='virtio'/></disk>")
    d = define(bus, tiny_xml("strict", devices=drive.format(policy="mandatory")))
    with bus.fails("ImageFailed", "a.iso"):
        d.Start(0, {}, timeout=60)
    d = define(bus, tiny_xml("lax", devices=drive.format(policy="optional")))
    d.Start(0, {}, timeout=60)
    live = d.ExportDefinition(FORMAT, LIVE)
    assert "sda" in live and "vda" not in live and "a.iso" not in live and "a.iso" in d.ExportDefinition(FORMAT, CONFIG)
    assert sorted(d.Warnings) == [f"disk sda: started without {iso}, which is missing", f"disk vda: started without {tmp_path}/b.raw, which is missing"]
    d.Terminate(0, {})
    iso.write_bytes(bytes(1 << 20))
    d.Start(0, {}, timeout=60)
    assert "a.iso" in d.ExportDefinition(FORMAT, LIVE) and len(d.Warnings) == 1
    d.Terminate(0, {})
