# SPDX-License-Identifier: LGPL-2.1-or-later
"""VMs whose disks are volumes: virtqemud asks virtstoraged where they are, and tells it who uses them."""


import subprocess
import time
from pathlib import Path

import pytest
from gi.repository import GLib

from domains import console, define, device, disk_xml, guest_xml, tiny_xml
from test_storage import MIB, SERVICE, create, names, pool_xml, storaged  # noqa: F401

pytestmark = pytest.mark.bus


def volume_disk(pool, volume, target="vda", extra="", driver=""):
    return f"<disk type='volume' device='disk'>{driver}<source pool='{pool}' volume='{volume}'/><target dev='{target}' bus='virtio'/>{extra}</disk>"


@pytest.fixture
def pool(bus, storaged, tmp_path):  # noqa: F811
    p = bus.object(SERVICE, storaged.DefinePool("libvirt-xml", pool_xml(tmp_path, "images"), 0, {}), f"{SERVICE}.Pool")
    p.Start(0, {})
    return p


def test_guest_on_a_clone(bus, storaged, pool, qemud, guest_image):  # noqa: F811
    """From a volume that was cloned from another one to what the guest reads; the pool is started with the VM."""
    base = create(bus, pool, "base", 2 * MIB)
    with open(base.Path, "r+b") as f:
        f.write(b"cloned disk")
    create(bus, pool, "clone.qcow2", 0, format="qcow2", clone_from="base")
    create(bus, pool, "linked.qcow2", 0, format="qcow2", backing="clone.qcow2")
    pool.Stop(0, {})
    domain = define(bus, guest_xml(guest_image, devices=volume_disk("images", "linked.qcow2") + volume_disk("images", "base", "vdb", "<readonly/>")))
    assert "pool" not in domain.ExportDefinition("libvirt-xml", 2).split("<source")[0]
    domain.Start(0, {})
    assert pool.State == "active"
    con = console(bus, domain)
    con.ready()
    disks = con.ask("disks")
    assert any("vda 2097152 cloned" in d for d in disks) and any("vdb 2097152 cloned" in d for d in disks), disks
    disk = device(bus, domain, "virtio_2ddisk0")
    assert disk["org.virtbus.qemu1.Disk"].Source == {"type": "volume", "path": str(base.Path).replace("base", "linked.qcow2"), "pool": "images",
                                                     "volume": "linked.qcow2"}
    # Every layer is in use, and says by whom.
    for name in names(pool):
        v = bus.object(SERVICE, pool.GetVolume(name), f"{SERVICE}.Volume")
        bus.wait_property(v, "UsedBy", ["web"])
        for call in (lambda v=v: v.Delete(0, {}), lambda v=v: v.Wipe(0, {}), lambda v=v: v.SetFormat("raw", 0, {})):
            with bus.fails("InUse", "it is in use by web"):
                call()
        if name != "linked.qcow2":
            with bus.fails("InUse", "it is in use by web"):
                v.Resize(64 * MIB, 0, {})
    # The one the guest writes to grows under it, and it sees that.
    top = bus.object(SERVICE, pool.GetVolume("linked.qcow2"), f"{SERVICE}.Volume")
    assert top.Resize(8 * MIB, 0, {}) == "/" and top.Capacity == 8 * MIB
    deadline = time.monotonic() + 60
    while "vda 8388608 cloned" not in (disks := "\n".join(con.ask("disks"))):
        assert time.monotonic() < deadline, disks
    with bus.fails("InUse", "can't be made smaller: it is in use by web"):
        top.Resize(4 * MIB, 0, {"shrink": GLib.Variant("b", True)})
    disk["org.virtbus.qemu1.Disk"].Resize(9 * MIB, 0, {})
    bus.wait_property(top, "Capacity", 9 * MIB)
    with bus.fails("InvalidArgs", "multiple of 512 bytes"):
        qemud.ResizeDisk("web", "vda", 1000, 0, {})
    with bus.fails("NoSuchDevice", "web has no disk vdz"):
        qemud.ResizeDisk("web", "vdz", MIB, 0, {})
    with bus.fails("InvalidState", "the disk vdb of web is read-only"):
        qemud.ResizeDisk("web", "vdb", 4 * MIB, 0, {})
    # A virtstoraged that comes later knows it as well; and so does a virtqemud.
    bus.stop_service("org.virtbus.storage1")
    bus.stop_service("org.virtbus.qemu1")
    with bus.fails("InUse", "it is in use by web"):
        bus.object(SERVICE, v.path, f"{SERVICE}.Volume").Delete(0, {})
    assert "<virtbus:found" in domain.ExportDefinition("libvirt-xml", 1) and "<virtbus:found" not in domain.ExportDefinition("libvirt-xml", 2)
    domain.Terminate(0, {})
    bus.wait_property(domain, "State", "shutoff")
    bus.wait_property(bus.object(SERVICE, v.path, f"{SERVICE}.Volume"), "UsedBy", [])
    v.Delete(0, {})


def test_file_of_a_pool(bus, storaged, pool, qemud, tmp_path):  # noqa: F811
    """A disk that names the file is the same."""
    v = create(bus, pool, "v", MIB)
    domain = define(bus, tiny_xml("tiny", devices=disk_xml(tmp_path / "v")))
    domain.Start(0, {})
    bus.wait_property(v, "UsedBy", ["tiny"])
    with bus.fails("InUse"):
        v.Delete(0, {})
    domain.Terminate(0, {})
    bus.wait_property(v, "UsedBy", [])


def test_what_is_wrong(bus, storaged, pool, qemud):  # noqa: F811
    create(bus, pool, "disk.vmdk", MIB, format="vmdk")
    for number, (disk, error, text) in enumerate((
            (volume_disk("none", "v"), "NoSuchPool", 'disk vda: no pool is called "none"'),
            (volume_disk("images", "v"), "NoSuchVolume", "disk vda: there is no volume v in the pool images"),
            (volume_disk("images", "disk.vmdk").replace("/><target", " mode='direct'/><target"), "InvalidDefinition", "'direct' is for units of iSCSI"))):
        domain = define(bus, tiny_xml(f"vm{number}", devices=disk))
        with bus.fails(error, text):
            domain.Start(0, {})
        assert domain.State == "shutoff"
        with bus.fails(error, text):
            domain.PlanStart(0, {})
    for disk, text in ((volume_disk("images", "v").replace(" volume='v'", ""), "needs <source pool='…' volume='…'/>"),
                       (disk_xml("/x").replace("file='/x'", "file='/x' pool='p'"), "are for type 'volume'"),
                       (volume_disk("images", "v").replace("volume='v'", "volume='v' file='/x'"), "takes <source pool=")):
        with pytest.raises(Exception, match="(?s).*" + text.replace("(", r"\(")):
            define(bus, tiny_xml("bad", devices=disk))


def test_plan_starts_no_pool(bus, storaged, pool, qemud):  # noqa: F811
    create(bus, pool, "v", MIB)
    domain = define(bus, tiny_xml("planned", devices=volume_disk("images", "v")))
    assert any("/dev/fdset/" in a for a in domain.PlanStart(0, {})[0])
    pool.Stop(0, {})
    with bus.fails("InvalidState", "the pool images is not active"):
        domain.PlanStart(0, {})
    assert pool.State == "inactive"


@pytest.fixture
def secret(bus, storaged):  # noqa: F811
    xml = "<secret private='yes'><usage type='volume'><volume>key of web</volume></usage></secret>"
    return bus.object(SERVICE, storaged.DefineSecret("libvirt-xml", xml, 0, {}), f"{SERVICE}.Secret")


ENCRYPTION = "<encryption format='luks'><secret type='passphrase' usage='key of web'/></encryption>"


def encrypted_volume(bus, pool, name, format):
    xml = f"<volume><name>{name}</name><capacity unit='MiB'>2</capacity><target><format type='{format}'/>{ENCRYPTION}</target></volume>"
    path, _ = pool.CreateVolumeFromDefinition("libvirt-xml", xml, 0, {}, timeout=100)
    return bus.object(SERVICE, path, f"{SERVICE}.Volume")


def write_encrypted(volume, word, text):
    driver = "driver=luks,key-secret=s" if volume.Format == "luks" else "driver=qcow2,encrypt.format=luks,encrypt.key-secret=s"
    source = Path(volume.Path).with_name(".text")
    source.write_bytes(text.encode().ljust(512, b"\0"))
    subprocess.run(["qemu-io", "--object", f"secret,id=s,data={word}", "--image-opts", f"{driver},file.driver=file,file.filename={volume.Path}",
                    "-c", f"write -s {source} 0 512"], check=True, capture_output=True, timeout=300)
    source.unlink()


@pytest.mark.once
@pytest.mark.timeout(600)
def test_guest_on_encrypted_disks(bus, storaged, pool, qemud, guest_image, secret):  # noqa: F811
    """The passphrase of a private secret comes to QEMU through a descriptor: it is in no command line, and no definition."""
    word = "open sesame"
    secret.SetValue(word.encode(), 0, {})
    volumes = [encrypted_volume(bus, pool, "a.luks", "raw"), encrypted_volume(bus, pool, "b.qcow2", "qcow2")]
    for v in volumes:
        write_encrypted(v, word, "encrypted disk")
    with bus.fails("AccessDenied", "the secret is private"):
        storaged.OpenSecret("", "volume", "key of web", 0, {})
    bare = define(bus, tiny_xml("bare", devices=volume_disk("images", "a.luks")))
    with bus.fails("InvalidDefinition", "the volume a.luks is encrypted, but the disk has no <encryption>"):
        bare.Start(0, {})
    disks = volume_disk("images", "a.luks", extra=ENCRYPTION) + volume_disk("images", "b.qcow2", "vdb", ENCRYPTION)
    domain = define(bus, guest_xml(guest_image, devices=disks))
    domain.Start(0, {})
    con = console(bus, domain)
    con.ready()
    seen = con.ask("disks")
    assert any("vda 2097152 encrypted" in d for d in seen) and any("vdb 2097152 encrypted" in d for d in seen), seen
    # Under the running guest both become larger.
    for v in volumes:
        v.Resize(4 * MIB, 0, {})
    deadline = time.monotonic() + 60
    while (seen := "\n".join(con.ask("disks"))).count("4194304 encrypted") < 2:
        assert time.monotonic() < deadline, seen
    assert word.encode() not in Path(f"/proc/{domain.MainPID}/cmdline").read_bytes()
    assert word not in domain.ExportDefinition("libvirt-xml", 1 | 32)
    domain.Terminate(0, {})
    bus.wait_property(domain, "State", "shutoff")


@pytest.mark.timeout(300)
def test_a_passphrase_that_does_not_open(bus, storaged, pool, qemud, secret):  # noqa: F811
    secret.SetValue(b"right", 0, {})
    encrypted_volume(bus, pool, "b.qcow2", "qcow2")
    domain = define(bus, tiny_xml("web", devices=volume_disk("images", "b.qcow2", extra=ENCRYPTION)))
    secret.SetValue(b"wrong", 0, {})
    with bus.fails("QemuFailed", "Invalid password"):
        domain.Start(0, {})
    bus.wait_property(domain, "State", "shutoff")
    secret.Undefine(0, {})
    with bus.fails("NoSuchSecret", "disk vda: "):
        domain.Start(0, {})
