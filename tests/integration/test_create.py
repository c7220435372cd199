# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtctl create: VMs from a few words, with volumes of real pools and real guests on them."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from domains import FORCE, console, define as define_domain, disk_xml, guest_xml, tiny_xml
from test_storage import MIB, SERVICE, create as create_volume, image_info, names, nothing_unfinished, pool_xml, storaged, wait  # noqa: F401
from test_virtctl import virtctl  # noqa: F401

pytestmark = pytest.mark.bus

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@home"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "images"
    path.mkdir()
    return path


@pytest.fixture
def pool(bus, storaged, folder):  # noqa: F811
    p = bus.object(SERVICE, storaged.DefinePool("libvirt-xml", pool_xml(folder, "default"), 0, {}), f"{SERVICE}.Pool")
    p.Start(0, {})
    return p


@pytest.fixture
def boot(guest_image):
    """What makes the test guest of a VM."""
    return ["--type=qemu", "--memory=192M", "--cpus=1", "--graphics=none", "--network=none", f"--kernel={guest_image.kernel}",
            f"--initrd={guest_image.initrd}", f"--cmdline={guest_image.cmdline}"]


def domain_of(bus, qemud, name):
    return bus.object("org.virtbus.qemu1", qemud.GetDomain(name))


def shown(virtctl, *args):  # noqa: F811
    """The XML that would be defined."""
    return ElementTree.fromstring(virtctl("create", "--dry-run", "--type=qemu", *args).stdout)


def raw_image(path, text, size=MIB):
    path.write_bytes(text.ljust(size, b"\0"))
    return path


def qcow2_image(path, text, size=MIB):
    raw_image(path.with_suffix(".part"), text, size)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", path.with_suffix(".part"), path], check=True, timeout=60)
    path.with_suffix(".part").unlink()
    return path


def seed_of(path, where):
    """The files of a seed image, as text, taken out into the folder `where`."""
    subprocess.run(["xorriso", "-osirrox", "on", "-indev", path, "-extract", "/", where], check=True, capture_output=True, timeout=60)
    return {p.name: p.read_text() for p in where.iterdir()}


# --- what it looks like ---

def test_definition(virtctl, pool, folder):  # noqa: F811
    """All of it, as it is written for the simplest of all commands."""
    plain = virtctl("create", "--dry-run", "--type=kvm", "web", "--disk=default/size=1G", "--network=user", "--cpus=4", "--memory=3G")
    golden = Path(__file__).resolve().parent.parent / "data" / "create.xml"
    if os.environ.get("REGEN"):
        golden.write_text(plain.stdout)
    assert plain.stdout == golden.read_text() and plain.stderr == ""
    assert names(pool) == [] and "0 machines listed" in virtctl("list").stdout


def test_forms(virtctl, pool, bus, folder, tmp_path):  # noqa: F811
    """Each kind of disk, medium, network, display and firmware, as the XML has it; virtqemud finds all of it valid."""
    create_volume(bus, pool, "old.qcow2", MIB, format="qcow2")
    qcow2_image(tmp_path / "file.qcow2", b"x")
    raw_image(tmp_path / "a,b.iso", b"x")
    vm = shown(virtctl, "web", "--disk", f"{tmp_path}/file.qcow2,serial=S1", "--disk=default/old.qcow2,bus=scsi,readonly=yes", "--disk=default/size=2M,format=raw,bus=sata",
               "--disk=size=3M,cache=none", "--disk=default/data,size=1M", f"--cdrom={tmp_path}/a,,b.iso", "--cdrom=default/old.qcow2,bus=scsi",
               "--network=lan,model=e1000e", "--network=bridge=br0,mac=52:54:00:01:02:03", "--network=user", "--network=network=dmz", "--boot=uefi",
               "--graphics=spice")
    disks = [(d.get("type"), d.get("device"), d.find("source").attrib, d.find("target").attrib, d.find("boot").get("order")) for d in vm.iter("disk")]
    pool_of = {"pool": "default"}
    assert disks == [
        ("file", "disk", {"file": f"{tmp_path}/file.qcow2"}, {"dev": "vda", "bus": "virtio"}, "1"),
        ("volume", "disk", {**pool_of, "volume": "old.qcow2"}, {"dev": "sda", "bus": "scsi"}, "2"),
        ("volume", "disk", {**pool_of, "volume": "web.raw"}, {"dev": "sdb", "bus": "sata"}, "3"),
        ("volume", "disk", {**pool_of, "volume": "web-2.qcow2"}, {"dev": "vdb", "bus": "virtio"}, "4"),
        ("volume", "disk", {**pool_of, "volume": "data"}, {"dev": "vdc", "bus": "virtio"}, "5"),
        ("file", "cdrom", {"file": f"{tmp_path}/a,b.iso"}, {"dev": "sdc", "bus": "sata"}, "6"),
        ("volume", "cdrom", {**pool_of, "volume": "old.qcow2"}, {"dev": "sdd", "bus": "scsi"}, "7")]
    assert [d.find("driver").get("type") for d in vm.iter("disk")] == ["qcow2", None, None, None, None, "raw", None]
    assert [d.find("driver").get("cache") for d in vm.iter("disk")][3] == "none" and vm.find("devices/disk/serial").text == "S1"
    assert [(n.get("type"), n.find("model").get("type")) for n in vm.iter("interface")] == [
        ("network", "e1000e"), ("bridge", "virtio"), ("user", "virtio"), ("network", "virtio")]
    assert vm.find("devices/interface/source").attrib == {"network": "lan"} and vm.find("devices/interface/mac").get("address") == "52:54:00:01:02:03"
    assert vm.find("os").get("firmware") == "efi" and vm.find("devices/graphics").get("type") == "spice"
    none = shown(virtctl, "web", "--graphics=none", "--network=none")
    assert not list(none.iter("interface")) and not list(none.iter("video")) and not list(none.iter("graphics")) and not list(none.iter("disk"))
    assert names(pool) == ["old.qcow2"]


def test_bad_words(virtctl, pool, bus, storaged, tmp_path):  # noqa: F811
    """What is wrong is named, and what would be right; nothing is made."""
    raw_image(tmp_path / "d.raw", b"x")
    qcow2_image(tmp_path / "cloud.qcow2", b"x").rename(tmp_path / "cloud.img")
    (tmp_path / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")
    (tmp_path / "empty").write_text("")
    (tmp_path / "data").write_text("packages: [vim]\n")
    create_volume(bus, pool, "web.qcow2", MIB, format="qcow2")
    virtctl("create", "old", "--type=qemu", "--no-start", "--network=user")
    for words, status, text in (
            (["new", "--disk=default/size=1G,sise=2"], 2, 'is none of size=, format=, bus=, cache=, readonly=, serial=; did you mean size=?'),
            (["new", "--disk=default/size=big"], 2, '"big" is no size, like 20G'),
            (["new", "--disk=default/size=1G,bus=ide"], 2, "bus=ide: expected virtio|scsi|sata|usb"),
            (["new", "--disk=default/size=1G,readonly=true"], 2, "expected yes or no"),
            (["new", "--disk=web.qcow2"], 1, "--disk=web.qcow2: No such file"),
            (["new", "--disk=format=raw"], 2, "which disk?"),
            (["new", "--pool=other", "--disk=size=1M"], 3, 'no pool is called "other"'),
            (["new", "--disk=nopool/size=1M"], 3, 'no pool is called "nopool"'),
            (["new", "--disk=default/nothing"], 3, "there is no volume nothing in the pool default"),
            (["new", f"--disk={tmp_path}/none.raw"], 1, "none.raw: No such file or directory"),
            (["new", f"--disk={tmp_path}/d.raw,size=1G"], 2, "size= is for volumes"),
            (["new", f"--disk={tmp_path}/cloud.img"], 2, "that looks like a qcow2 image"),
            (["new", f"--image={tmp_path}/cloud.img"], 2, "Say ,format=qcow2 behind it"),
            (["new", f"--image={tmp_path}/d.raw", "--disk=size=2M,format=qcow2"], 2, "d.raw is raw, and is taken as it is"),
            (["new", f"--image={tmp_path}/d.raw", "--disk=size=2M,format=raw", "--overlay"], 2, "is kept in a qcow2 volume, not in a raw one"),
            (["new", "--overlay"], 2, "--overlay is for --image"),
            (["web", "--disk=size=1M"], 1, "the pool default has a volume web.qcow2 already"),
            (["old"], 1, "old"),
            (["bad/name"], 1, "the name of a domain contains '/'"),
            (["new", "--memory=2048"], 2, "that is 2048 bytes; sizes are like 2G or 512M"),
            (["new", "--cpus=0"], 2, "expected a number of processors"),
            (["new", "--boot=grub"], 2, "--boot=grub: expected bios|uefi"),
            (["new", "--graphics=x11"], 2, "--graphics=x11: expected vnc|spice|none"),
            (["new", "--network=user,mac=1"], 1, "mac"),
            (["new", "--network=default,bridge=br0"], 2, "expected the name of a network"),
            (["new", "--cmdline=quiet"], 2, "belong to a kernel"),
            (["new", "--login=Big"], 2, "--login=Big: may be made of a-z"),
            (["new", "--password-file=/x"], 2, "--login=NAME"),
            (["new", f"--ssh-key={tmp_path}/id"], 2, "that is no public key"),
            (["new", f"--ssh-key={tmp_path}/empty"], 1, "there is no key in it"),
            (["new", f"--user-data={tmp_path}/data"], 2, "cloud-init would ignore it"),
            (["new", f"--user-data={tmp_path}/data", "--login=me"], 2, "is taken as it is, so say it there"),
            (["new", "--no-start", "--console"], 2, "with --no-start there is none")):
        said = virtctl("create", "--type=qemu", *words, check=False)
        assert (said.returncode, text in said.stderr) == (status, True), (words, said)
    assert names(pool) == ["web.qcow2"] and "1 machine listed" in virtctl("list").stdout


# --- VMs that run ---

def test_guest(bus, virtctl, qemud, pool, folder, boot, tmp_path):  # noqa: F811
    """Volumes are made, and the guest that is started at once has them."""
    raw_image(tmp_path / "own.raw", b"own file")
    raw_image(tmp_path / "cd.iso", b"medium", 4096)
    create_volume(bus, pool, "old", MIB)
    raw_image(folder / "old", b"old volume")
    pool.Stop(0, {})
    said = virtctl("create", "web", *boot, "--disk=default/size=4M", "--disk=default/old", f"--disk={tmp_path}/own.raw", "--disk=size=2M,format=raw,bus=sata",
                   f"--cdrom={tmp_path}/cd.iso", "--autostart", timeout=100)
    assert said.stderr == "web: created and started\n"
    domain = domain_of(bus, qemud, "web")
    assert domain.State == "running" and domain.Autostart and names(pool) == ["old", "web-2.raw", "web.qcow2"]
    con = console(bus, domain)
    con.ready()
    disks = "\n".join(con.ask("disks"))
    for disk in ("vda 4194304", "vdb 1048576 old", "vdc 1048576 own", "sda 2097152", "sr0"):
        assert f"DISK {disk}" in disks, disks
    assert any("org.qemu.guest_agent.0" in p for p in con.ask("ports"))
    domain.Terminate(0, {})


@pytest.mark.timeout(240)
def test_uefi(bus, virtctl, qemud, pool, guest_image):  # noqa: F811
    """The same under UEFI."""
    virtctl("create", "web", "--type=qemu", "--memory=256M", "--cpus=1", "--network=none", "--boot=uefi", f"--kernel={guest_image.bzimage}",
            f"--initrd={guest_image.initrd}", f"--cmdline={guest_image.cmdline}", "--disk=size=1M", timeout=100)
    domain = domain_of(bus, qemud, "web")
    con = console(bus, domain)
    con.wait("VIRTBUS-GUEST-READY", 200)
    assert "vda 1048576" in "\n".join(con.ask("disks"))
    domain.Terminate(0, {})


def test_no_default_pool(bus, virtctl, storaged):  # noqa: F811
    """It is made when it is needed first."""
    words = ["create", "web", "--type=qemu", "--network=none", "--no-start", "--disk=size=1M"]
    dry = virtctl(*words, "--dry-run", check=False)
    assert dry.returncode == 3 and 'no pool is called "default"' in dry.stderr and "Without --dry-run that pool is made, too" in dry.stderr
    folder = Path(bus.environment["XDG_DATA_HOME"]) / "virtbus/images"
    assert f"The pool default is made, in {folder}." in virtctl(*words).stderr
    assert "web.qcow2" in virtctl("volumes", "default").stdout and (folder / "web.qcow2").exists()
    virtctl("undefine", "web")
    virtctl("stop-pool", "default")
    virtctl("undefine-pool", "default")
    shutil.rmtree(folder.parent)


def test_no_start_and_spare_ports(bus, virtctl, qemud):  # noqa: F811
    virtctl("create", "web", "--type=qemu", "--no-start", "--network=user")
    domain = domain_of(bus, qemud, "web")
    assert domain.State == "shutoff" and not domain.Autostart
    vm = ElementTree.fromstring(domain.ExportDefinition("libvirt-xml", 2))
    taken = {d.get("bus") for d in vm.iter("address") if d.get("bus")}
    ports = [c.get("index") for c in vm.iter("controller") if c.get("model") == "pcie-root-port"]
    assert len([p for p in ports if f"0x{int(p):02x}" not in taken]) == 4, ports
    assert virtctl("create", "two", "--type=qemu", "-q", "--no-start", "--network=none").stderr == ""


def test_edit(bus, virtctl, qemud, pool, tmp_path):  # noqa: F811
    """What the editor leaves is defined; what is wrong in it is told, and kept."""
    def create(name, command):
        return subprocess.run([virtctl.program, "--user", "create", name, "--type=qemu", "--network=none", "--no-start", "--edit", "--disk=size=1M"],
                              env={**bus.environment, "VISUAL": command}, capture_output=True, text=True, timeout=60)
    assert create("a", "sed -i s/virtio-rng/x/").returncode == 0
    assert create("b", "sed -i 's,<vcpu>2<,<vcpu>3<,'").returncode == 0 and "<vcpu>3</vcpu>" in virtctl("cat", "b").stdout
    said = create("c", "sed -i 's,<vcpu>2<,<vcpu>x<,'")
    kept = Path(re.search(r"is kept in (\S+)", said.stderr).group(1))
    assert said.returncode == 1 and "vcpu" in said.stderr and "<vcpu>x<" in kept.read_text() and names(pool) == ["a.qcow2", "b.qcow2"]
    kept.unlink()
    assert create("d", "false").returncode == 1 and names(pool) == ["a.qcow2", "b.qcow2"]


# --- what goes wrong in the middle ---

def test_failure_leaves_nothing(bus, virtctl, pool, folder, tmp_path):  # noqa: F811
    """The second volume can't be made; the VM can't be started: what was there before is all there is."""
    said = virtctl("create", "web", "--type=qemu", "--network=none", "--disk=size=1M", "--disk=size=8E,format=raw", check=False)
    assert said.returncode == 1 and "1 of 1 new volume was removed again" in said.stderr, said
    assert names(pool) == [] and nothing_unfinished(folder)
    said = virtctl("create", "web", "--type=qemu", "--network=none", "--disk=size=1M", f"--kernel={tmp_path}", check=False)
    assert said.returncode == 1 and "The definition was removed again" in said.stderr and "1 of 1 new volume was" in said.stderr, said
    # QEMU has the disks already when it finds that it does not know the argument.
    commandline = '<qemu:commandline xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0"><qemu:arg value="-bogus"/></qemu:commandline>'
    said = subprocess.run([virtctl.program, "--user", "create", "web", "--type=qemu", "--network=none", "--disk=size=1M", "--edit"], capture_output=True, text=True,
                          env={**bus.environment, "VISUAL": f"sed -i 's,</devices>,</devices>{commandline},'"}, timeout=60)
    assert said.returncode == 1 and "The definition was removed again" in said.stderr and "1 of 1 new volume was" in said.stderr, said
    assert names(pool) == [] and "0 machines listed" in virtctl("list").stdout


def test_console(bus, virtctl, qemud, boot):  # noqa: F811
    """The terminal is connected when the guest is up."""
    said = subprocess.run([virtctl.program, "--user", "-q", "create", "web", *boot, "--console"], env=bus.environment, input="echo typed\npoweroff\n",
                          capture_output=True, text=True, timeout=100)
    assert said.returncode == 0 and "typed" in said.stdout, said
    bus.wait_property(domain_of(bus, qemud, "web"), "State", "shutoff")


def test_interrupted(bus, virtctl, storaged, pool, folder, tmp_path):  # noqa: F811
    """Ctrl-C while an image is written into the volume that has been made for it: both go."""
    with open(tmp_path / "base.raw", "wb") as f:
        os.posix_fallocate(f.fileno(), 0, 3 * 1024 * MIB)
        for at in range(0, 3 * 1024, 16):
            f.seek(at * MIB)
            f.write(b"x")
    with subprocess.Popen([virtctl.program, "--user", "create", "web", "--type=qemu", "--network=none", f"--image={tmp_path}/base.raw"],
                          env=bus.environment, stderr=subprocess.PIPE, text=True) as p:
        wait(lambda: any("upload" in job[2] for job in storaged.ListJobs()))
        p.send_signal(signal.SIGINT)
        said = p.communicate(timeout=60)[1]
    assert p.returncode == 1 and "Cancelling.\n" in said and "1 of 1 new volume was removed again" in said, said
    assert names(pool) == [] and nothing_unfinished(folder) and "0 machines listed" in virtctl("list").stdout


# --- images and cloud-init ---

def test_cloud_image(bus, virtctl, qemud, pool, folder, boot, tmp_path):  # noqa: F811
    """A copy of an image, larger than it; the guest finds the seed by its label and reads what it says."""
    image = qcow2_image(tmp_path / "cloud.qcow2", b"cloud image", 2 * MIB)
    (tmp_path / "id.pub").write_text(f"# mine\n{KEY}\n\n")
    (tmp_path / "password").write_text("s3cret: \"yes\"\n")
    virtctl("create", "web", *boot, f"--image={image}", "--disk=default/size=8M", "--login=admin", f"--ssh-key={tmp_path}/id.pub",
            f"--password-file={tmp_path}/password", "--hostname=web.example.org", timeout=100)
    assert names(pool) == ["web-seed.iso", "web.qcow2"]
    domain = domain_of(bus, qemud, "web")
    con = console(bus, domain)
    con.ready()
    assert "DISK vda 8388608 cloud.image" in "\n".join(con.ask("disks"))
    said = con.ask("sh dd if=/dev/sr0 bs=1 skip=32808 count=6 2>/dev/null; mkdir -p /mnt; modprobe isofs; mount -t iso9660 -o ro /dev/sr0 /mnt; "
                   "cat /mnt/user-data")
    text = "\n".join(said)
    assert text.startswith("cidata"), text
    data = yaml.safe_load(text[text.index("#cloud-config"):])
    user, = data["users"]
    digest = user.pop("passwd")
    assert user == {"name": "admin", "sudo": "ALL=(ALL) NOPASSWD:ALL", "shell": "/bin/bash", "lock_passwd": False, "ssh_authorized_keys": [KEY]}
    assert digest.startswith("$6$") and "s3cret" not in text
    domain.Terminate(0, {})
    bus.wait_property(domain, "State", "shutoff")
    info = image_info(folder / "web.qcow2")
    assert (info["format"], info["virtual-size"], info.get("backing-filename")) == ("qcow2", 8 * MIB, None)
    files = seed_of(folder / "web-seed.iso", tmp_path / "seed")
    meta = yaml.safe_load(files["meta-data"])
    assert meta.pop("instance-id") and meta == {"local-hostname": "web.example.org"} and sorted(files) == ["meta-data", "user-data"]
    assert not list((bus.directory / "tmp").iterdir()), "nothing stays in the temporary folder"


def test_images_of_pools(bus, virtctl, qemud, pool, folder, tmp_path):  # noqa: F811
    """A volume is cloned, and converted; a file of a pool as well; an overlay names what it stands on."""
    qcow2_image(folder / "base.qcow2", b"base", 2 * MIB)
    raw_image(tmp_path / "other.raw", b"other")
    pool.Refresh(0, {})
    plain = ["--type=qemu", "--network=none", "--no-start"]
    virtctl("create", "a", *plain, "--image=default/base.qcow2", "--disk=default/size=4M,format=raw", timeout=100)
    assert (folder / "a.raw").read_bytes().startswith(b"base") and (folder / "a.raw").stat().st_size == 4 * MIB
    virtctl("create", "b", *plain, f"--image={folder}/base.qcow2", timeout=100)
    assert image_info(folder / "b.qcow2")["virtual-size"] == 2 * MIB and "backing-filename" not in image_info(folder / "b.qcow2")
    virtctl("create", "c", *plain, "--image=default/base.qcow2", "--overlay", "--disk=size=8M", timeout=100)
    assert image_info(folder / "c.qcow2")["backing-filename"] == str(folder / "base.qcow2")
    assert image_info(folder / "c.qcow2")["virtual-size"] == 8 * MIB
    virtctl("create", "d", *plain, f"--image={tmp_path}/other.raw", "--overlay", timeout=100)
    assert image_info(folder / "d.qcow2")["backing-filename"] == str(tmp_path / "other.raw")
    virtctl("create", "e", *plain, f"--image={tmp_path}/other.raw", "--disk=size=3M", timeout=100)
    assert (folder / "e.raw").read_bytes() == (tmp_path / "other.raw").read_bytes().ljust(3 * MIB, b"\0")
    for name in "abcde":
        assert f"{name}-seed.iso" in names(pool)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", folder / "base.qcow2", "-F", "qcow2", tmp_path / "over.qcow2"], check=True, timeout=60)
    before = names(pool)
    for words, text in (([f"--image={tmp_path}/over.qcow2"], "is only what differs from"),
                        ([f"--image={tmp_path}/other.raw", "--disk=size=512K"], "too small for it")):
        said = virtctl("create", "f", *plain, *words, check=False)
        assert said.returncode == 1 and text in said.stderr and names(pool) == before, said


def test_seed(bus, virtctl, pool, folder, tmp_path):  # noqa: F811
    """What the user has written is taken as it is; a key alone is for the image's own user; ids differ."""
    def seed(name, *words):
        said = virtctl("create", name, "--type=qemu", "--network=none", "--no-start", *words)
        return said, seed_of(folder / f"{name}-seed.iso", tmp_path / name)
    (tmp_path / "data").write_text("#!/bin/sh\necho 'ä\n")
    (tmp_path / "net").write_text("version: 2\n")
    (tmp_path / "id.pub").write_text(KEY)
    _, own = seed("own", f"--user-data={tmp_path}/data", f"--network-config={tmp_path}/net", "--disk=size=1M")
    assert own["user-data"] == (tmp_path / "data").read_text() and own["network-config"] == "version: 2\n"
    _, keyed = seed("keyed", f"--ssh-key={tmp_path}/id.pub")
    assert yaml.safe_load(keyed["user-data"]) == {"ssh_authorized_keys": [KEY]}
    assert yaml.safe_load(own["meta-data"])["instance-id"] != yaml.safe_load(keyed["meta-data"])["instance-id"]
    said, user = seed("user", "--login=me")
    assert "nobody can log in as me" in said.stderr
    keys = bus.directory / "home/.ssh"
    keys.mkdir()
    (keys / "id_ed25519.pub").write_text(KEY + "\n")
    said, user = seed("user2", "--login=me")
    shutil.rmtree(keys)
    assert "The guest gets the key" in said.stderr and yaml.safe_load(user["user-data"])["users"][0]["ssh_authorized_keys"] == [KEY]
    assert yaml.safe_load(user["user-data"])["users"][0]["lock_passwd"] is True
    without = {**bus.environment, "PATH": "/nowhere"}
    said = subprocess.run([virtctl.program, "--user", "create", "x", "--type=qemu", "--network=none", "--disk=size=1M", "--login=me"], env=without,
                          capture_output=True, text=True, timeout=60)
    assert said.returncode == 1 and "neither xorriso nor genisoimage" in said.stderr and "x.qcow2" not in names(pool)


# --- clones ---

def machine_of(domain):
    """MAC addresses and UUID of the definition."""
    vm = ElementTree.fromstring(domain.ExportDefinition("libvirt-xml", 2))
    return {m.get("address") for m in vm.iter("mac")}, vm.find("uuid").text


def test_clone(bus, virtctl, qemud, pool, folder, boot, tmp_path):  # noqa: F811
    """The clone has what the guest of the first wrote, and is another machine with a disk of its own."""
    raw_image(tmp_path / "cd.iso", b"medium", 4096)
    raw_image(tmp_path / "shared.raw", b"both")
    words = [w for w in boot if w != "--network=none"]
    virtctl("create", "web", *words, "--network=user", "--disk=size=4M", "--disk=default/web-data,size=1M,format=raw", f"--cdrom={tmp_path}/cd.iso",
            f"--disk={tmp_path}/shared.raw,readonly=yes", timeout=100)
    first = domain_of(bus, qemud, "web")
    con = console(bus, first)
    con.ready()
    con.ask("write vda from-web")
    assert list(first.PendingChanges) == [] and "0 changes listed" in virtctl("pending", "web").stdout
    said = virtctl("clone", "web", "copy", check=False)
    assert said.returncode == 1 and "web is running: its disks can be copied while it is off only" in said.stderr and "virtctl stop web" in said.stderr
    first.Terminate(0, {})
    bus.wait_property(first, "State", "shutoff")
    wait(lambda: bus.object(SERVICE, pool.GetVolume("web.qcow2"), f"{SERVICE}.Volume").UsedBy == [])
    dry = ElementTree.fromstring(virtctl("clone", "--dry-run", "web", "copy").stdout)
    assert dry.find("name").text == "copy" and dry.find("uuid") is None and not list(dry.iter("mac"))
    assert names(pool) == ["web-data", "web.qcow2"]
    assert virtctl("clone", "web", "copy", timeout=100).stderr == "copy: cloned from web\n"
    assert names(pool) == ["copy-data", "copy.qcow2", "web-data", "web.qcow2"]
    second = domain_of(bus, qemud, "copy")
    macs, uuid = machine_of(first)
    other_macs, other_uuid = machine_of(second)
    assert len(macs) == len(other_macs) == 1 and not macs & other_macs and uuid != other_uuid and UUID.fullmatch(other_uuid)
    second.Start(0, {})
    con = console(bus, second)
    con.ready()
    assert "TEXT from-web" in con.ask("read vda")
    disks = "\n".join(con.ask("disks"))
    assert "sr0" in disks and "vdc 1048576 both" in disks, disks
    con.ask("write vda from-copy")
    second.Terminate(0, {})
    bus.wait_property(second, "State", "shutoff")
    first.Start(0, {})
    con = console(bus, first)
    con.ready()
    assert "TEXT from-web" in con.ask("read vda")
    first.Terminate(0, {})


def test_clone_as_overlay(bus, virtctl, storaged, qemud, pool, folder, tmp_path):  # noqa: F811
    (tmp_path / "second").mkdir()
    bus.object(SERVICE, storaged.DefinePool("libvirt-xml", pool_xml(tmp_path / "second", "second"), 0, {}), f"{SERVICE}.Pool")
    virtctl("create", "web", "--type=qemu", "--network=none", "--no-start", "--disk=size=4M,format=raw", "--disk=default/system,size=1M,format=qcow2")
    said = virtctl("clone", "web", "copy", "--overlay", "--pool=second", timeout=100)
    assert "don't start web again" in said.stderr
    info = image_info(tmp_path / "second/copy.qcow2")
    assert info["backing-filename"] == str(folder / "web.raw") and info["virtual-size"] == 4 * MIB
    assert image_info(tmp_path / "second/copy-vdb")["backing-filename"] == str(folder / "system")
    vm = ElementTree.fromstring(domain_of(bus, qemud, "copy").ExportDefinition("libvirt-xml", 2))
    assert [d.find("source").attrib for d in vm.iter("disk")] == [{"pool": "second", "volume": "copy.qcow2"}, {"pool": "second", "volume": "copy-vdb"}]


def test_clone_of_a_definition(bus, virtctl, qemud, pool, folder):  # noqa: F811
    """A VM that was written by hand: what must be its own is left out, all else stays, comments too."""
    create_volume(bus, pool, "hand.qcow2", MIB, format="qcow2")
    devices = (f"<!-- the disk --><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{folder}/hand.qcow2'/>"
               "<target dev='vda' bus='virtio'/></disk><interface type='user'><mac address='52:54:00:aa:bb:cc'/></interface>"
               "<graphics type='vnc' port='5999' autoport='no' passwd='secret'/><channel type='unix'><source mode='bind' path='/tmp/hand'/>"
               "<target type='virtio' name='org.x'/></channel><vsock><cid auto='no' address='7'/></vsock>")
    uuid, genid = "6f1c0e9a-4f0e-4e1b-9f6b-2f6c1d1c7f3e", "0c2f1a5e-1122-4344-8566-778899aabbcc"
    define_domain(bus, tiny_xml("hand", devices, f"<uuid>{uuid}</uuid><genid>{genid}</genid>"))
    virtctl("clone", "hand", "copy", timeout=100)
    text = domain_of(bus, qemud, "copy").ExportDefinition("libvirt-xml", 2 | 32)
    vm = ElementTree.fromstring(text)
    assert "<!-- the disk -->" in text and "hand" not in text.replace("/hand", "")
    assert vm.find("uuid").text != uuid and vm.find("genid").text != genid and vm.find("devices/vsock/cid").get("address") != "7"
    assert vm.find("devices/interface/mac").get("address") != "52:54:00:aa:bb:cc" and vm.find("devices/graphics").get("port") != "5999"
    assert vm.find("devices/graphics").get("passwd") == "secret"
    assert vm.find("devices/disk/source").attrib == {"pool": "default", "volume": "copy.qcow2"} and names(pool) == ["copy.qcow2", "hand.qcow2"]


def test_clone_refused(bus, virtctl, qemud, pool, folder, tmp_path):  # noqa: F811
    """What can't be cloned is named, and nothing is made."""
    raw_image(tmp_path / "out.raw", b"x")
    create_volume(bus, pool, "in", MIB)
    good = disk_xml(folder / "in", "vda")
    for name, devices, text in (("outside", good + disk_xml(tmp_path / "out.raw", "vdb"), "the disk vdb can't be cloned: " + f"{tmp_path}/out.raw is in no active pool"),
                                ("net", good + "<disk type='network' device='disk'><source protocol='nbd' name='x'><host name='h'/></source><target dev='vdb' bus='virtio'/></disk>",
                                 "the disk vdb can't be cloned: it is of the type network"),
                                ("log", good + "<serial type='file'><source path='/tmp/out'/></serial>", "serial: /tmp/out would be of both VMs")):
        define_domain(bus, tiny_xml(name, devices))
        said = virtctl("clone", name, "copy", check=False)
        assert said.returncode == 1 and text in said.stderr and "Nothing was made" in said.stderr, said
    define_domain(bus, tiny_xml("good", good))
    define_domain(bus, tiny_xml("copy"))
    assert virtctl("clone", "none", "copy2", check=False).returncode == 3
    said = virtctl("clone", "good", "copy", check=False)
    assert said.returncode == 1 and "copy" in said.stderr
    assert "no pool is called" in virtctl("clone", "good", "copy2", "--pool=none", check=False).stderr
    create_volume(bus, pool, "copy2-vda", MIB)
    said = virtctl("clone", "good", "copy2", check=False)
    assert "would become the volume" in said.stderr and names(pool) == ["copy2-vda", "in"]
