# SPDX-License-Identifier: LGPL-2.1-or-later
"""The test guest does what guest.py promises, under QEMU alone."""

import re
import time

import pytest

import guest
import rawqemu
from pace import Deadline

pytestmark = pytest.mark.guest


@pytest.fixture
def image(guest_image):
    return guest_image


def arguments(image, machine="q35", extra="", more=()):
    return ["-accel", "tcg", "-M", machine, "-m", "256", "-kernel", str(image.kernel), "-initrd", str(image.initrd),
            "-append", f"{image.cmdline} {extra}", "-serial", "chardev:console", *more]


def boot(image, machine="q35", extra="", more=()):
    return rawqemu.RawQemu(arguments(image, machine, extra, more), sockets=["console"])


def disk(path, text, interface):
    path.write_bytes(text.encode() + b"\0" * (1 << 20))
    path.open("r+b").truncate(1 << 20)
    return ["-drive", f"file={path},if={interface},format=raw"]


@pytest.mark.parametrize("machine", ["q35", "pc"])
def test_power_button(image, machine):
    began = time.monotonic()
    with boot(image, machine) as qemu:
        console = guest.Console(qemu.connect("console"))
        found = console.ready()
        print(f"{machine}: up after {time.monotonic() - began:.1f} s")
        assert any(line.startswith("CMDLINE console=ttyS0") for line in found)
        qemu.qmp.run("system_powerdown")
        console.wait("^VIRTBUS-GUEST-POWERDOWN$", timeout=20)
        assert qemu.wait(timeout=20) == 0


def test_power_button_ignored(image):
    with boot(image, extra="virtbus.ignore_power") as qemu:
        console = guest.Console(qemu.connect("console"))
        console.ready()
        qemu.qmp.run("system_powerdown")
        console.wait("^VIRTBUS-GUEST-POWERDOWN-IGNORED$", timeout=20)
        assert console.ask("echo still here") == ["still here"]
        assert qemu.process.poll() is None


@pytest.mark.parametrize("machine,more,name", [
    ("q35", [], "virtio"),
    ("pc", [], "ide"),
    ("q35", ["-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=d"], "none,id=d"),
    ("q35", ["-device", "qemu-xhci", "-device", "usb-storage,drive=d"], "none,id=d"),
])
def test_disk(image, tmp_path, machine, more, name):
    args = disk(tmp_path / "disk", "hello-disk", name) + more
    with boot(image, machine, more=args) as qemu:
        console = guest.Console(qemu.connect("console"))
        lines = [line for line in console.ready() if line.startswith("DISK ")]
        deadline = Deadline(20)
        while not lines and "usb" in " ".join(more) and not deadline.passed():  # the guest has waited as long as USB takes if nobody else wants the processor
            lines = [line for line in console.ask("disks") if line.startswith("DISK ")]
        assert len(lines) == 1, console.transcript()
        dev = re.fullmatch(r"DISK (\w+) 1048576 hello-disk\.\.\.\.\.\.", lines[0]).group(1)
        assert console.ask(f"write {dev} from-guest") == []
        assert console.ask(f"read {dev}") == ["TEXT from-guest"]
        assert (tmp_path / "disk").read_bytes().startswith(b"from-guest\0")
        with pytest.raises(guest.GuestError, match="no disk nothere"):
            console.ask("write nothere x")
        console.ask("poweroff")
        assert qemu.wait() == 0


def test_devices(image, tmp_path):
    args = ["-netdev", "hubport,id=a,hubid=0", "-device", "virtio-net-pci,netdev=a,mac=52:54:00:00:00:01",
            "-netdev", "hubport,id=b,hubid=1", "-device", "e1000,netdev=b,mac=52:54:00:00:00:02",
            "-device", "virtio-serial-pci", "-chardev", f"file,id=p,path={tmp_path}/port",
            "-device", "virtserialport,chardev=p,name=org.virtbus.test", "-device", "virtio-balloon-pci",
            "-device", "virtio-rng-pci", "-device", "pvpanic"]
    with boot(image, more=args) as qemu:
        console = guest.Console(qemu.connect("console"))
        found = console.ready()
        assert {line.split()[2] for line in found if line.startswith("NIC ")} == {"52:54:00:00:00:01", "52:54:00:00:00:02"}
        port = console.ask("ports")[0].split()
        assert port[0] == "PORT" and port[2] == "org.virtbus.test"
        console.ask(f"send {port[1]} text to the host")
        assert (tmp_path / "port").read_text() == "text to the host\n"
        assert console.ask("cpus") == ["CPUS 1"]
        assert console.stands_between(lambda: qemu.qmp.run("stop"), lambda: qemu.qmp.run("cont"), 0.5)
        modules = console.ask("modules")[0].split()
        assert {"virtio_net", "e1000", "virtio_balloon"} <= set(modules)
        with pytest.raises(guest.GuestError, match="unknown command nonsense"):
            console.ask("nonsense")


def test_hotplug(image, tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"late".ljust(1 << 20, b"\0"))
    with boot(image, more=["-device", "pcie-root-port,id=rp"]) as qemu:
        console = guest.Console(qemu.connect("console"))
        console.ready()
        qemu.qmp.run("blockdev-add", driver="file", filename=str(path), **{"node-name": "d"})
        qemu.qmp.run("device_add", driver="virtio-blk-pci", drive="d", id="late", bus="rp")
        deadline = Deadline(20)
        while not (lines := console.ask("disks")) and not deadline.passed():
            time.sleep(0.1)
        assert lines == ["DISK vda 1048576 late............"]
        qemu.qmp.run("device_del", id="late")
        while qemu.qmp.wait_event("DEVICE_DELETED")["data"].get("device") != "late":
            pass
        assert console.ask("disks") == []


def test_keys(image):
    with boot(image, more=["-device", "qemu-xhci", "-device", "usb-kbd"]) as qemu:
        console = guest.Console(qemu.connect("console"))
        console.ready()
        deadline = Deadline(20)
        while "USB Keyboard" not in " ".join(console.ask("sh cat /sys/class/input/*/name")) and not deadline.passed():
            console.ask("disks")  # which loads drivers of what was found late
        console.ask("keys")
        qemu.qmp.run("send-key", keys=[{"type": "qcode", "data": "a"}])
        console.wait("^VIRTBUS-GUEST-KEY 30 1$", timeout=20)


def test_panic(image):
    with boot(image, more=["-device", "pvpanic", "-action", "panic=pause"]) as qemu:
        console = guest.Console(qemu.connect("console"))
        console.ready()
        console.send("panic")
        assert qemu.qmp.wait_event("GUEST_PANICKED")["data"]["action"] == "pause"


def test_parallel_build(tmp_path):
    """Two builds at once into an empty cache give the same whole files."""
    import multiprocessing
    with multiprocessing.Pool(2) as pool:
        first, second = pool.map(guest.build, [tmp_path, tmp_path])
    assert first == second
    assert sorted(p.name.split("-")[0] for p in tmp_path.iterdir()) == ["initrd", "vmlinux"]
    assert first.kernel.read_bytes().startswith(b"\x7fELF")
