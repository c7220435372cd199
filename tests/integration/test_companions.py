# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices with a program of their own beside QEMU."""

import os
import signal
import subprocess
import time
from dataclasses import replace

import pytest

from domains import BEEP, FORMAT, LIVE, SERVICE, console, define, device, guest_xml, have, tiny_xml
from rawqemu import die_with_parent
from test_hotplug import until

pytestmark = pytest.mark.bus

TPM = "<tpm model='{model}'><backend type='emulator' version='2.0'{more}/></tpm>"


@pytest.mark.once
@pytest.mark.skipif(not have("swtpm_setup"), reason="no swtpm-tools")
def test_tpm(bus, qemud, guest_image):
    """The guest has a TPM, whose state outlives the run and goes with the definition; its banks are those that are asked for, also of an older one."""
    banks = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'><active_pcr_banks><{}/></active_pcr_banks></backend></tpm>"
    d = define(bus, tiny_xml("web", devices=banks.format("sha256")))
    d.Start(0, {}, timeout=60)
    d.Terminate(0, {})
    bus.wait_property(d, "State", "shutoff")
    # QEMU puts the initrd of an unpacked kernel where the firmware has its tables of the TPM.
    image = replace(guest_image, kernel=guest_image.bzimage)
    d = define(bus, guest_xml(image, devices=banks.format("sha384"), memory=1024))
    folder = f"{bus.directory}/data/virtbus/companions"
    for first in (True, False):
        d.Start(0, {}, timeout=60)
        con = console(bus, d)
        if first:
            con.ready()
            assert "2" in con.ask("sh cat /sys/class/tpm/tpm0/tpm_version_major")
            assert [os.path.basename(p) for p in con.ask("sh ls -d /sys/class/tpm/tpm0/pcr-*")] == ["pcr-sha384"]
        until(lambda: len(bus.watch.named("swtpm")), 1)
        d.Terminate(0, {})
        assert [files for _, _, files in os.walk(folder) if "tpm2-00.permall" in files]
    assert d.Warnings == []
    d.Undefine(0, {})
    assert os.listdir(folder) == []


@pytest.mark.skipif(not have("swtpm"), reason="no swtpm")
def test_tpm_state_that_is_kept(bus, qemud):
    d = define(bus, tiny_xml("web", devices=TPM.format(model="tpm-crb", more=" persistent_state='yes'")))
    d.Start(0, {}, timeout=60)
    d.Terminate(0, {})
    d.Undefine(0, {})
    assert len(os.listdir(f"{bus.directory}/data/virtbus/companions")) == 1


@pytest.mark.skipif(not have("swtpm"), reason="no swtpm")
def test_tpm_that_dies(bus, qemud):
    """The machine lives on, and says what it lacks."""
    d = define(bus, tiny_xml("web", devices=TPM.format(model="tpm-crb", more="")))
    d.Start(0, {}, timeout=60)
    os.kill(bus.watch.named("swtpm")[0], 9)
    bus.wait_property(d, "Warnings", ["tpm tpm0 does not answer any more: swtpm has ended, its log tells why (in the log of virtqemud)"])
    assert d.State == "running"
    d.Terminate(0, {})


@pytest.mark.skipif(not have("swtpm"), reason="no swtpm")
@pytest.mark.parametrize("when", ("while nobody watches", "later"))
def test_tpm_that_dies_after_a_restart(bus, qemud, when):
    """The next daemon notices as this one would have, and says it once."""
    d = define(bus, tiny_xml("web", devices=TPM.format(model="tpm-crb", more="")))
    d.Start(0, {}, timeout=60)
    tpm = bus.watch.named("swtpm")[0]
    bus.stop_service(SERVICE, signal.SIGKILL)
    if when == "later":
        assert d.State == "running"
        time.sleep(1.5)
        assert d.Warnings == []
    os.kill(tpm, 9)
    warnings = ["tpm tpm0 does not answer any more: swtpm has ended, its log tells why (in the log of virtqemud)"]
    assert d.State == "running"
    bus.wait_property(d, "Warnings", warnings)
    bus.stop_service(SERVICE, signal.SIGKILL)
    assert d.State == "running"
    time.sleep(1.5)
    assert d.Warnings == warnings
    d.Terminate(0, {})
    d.Start(0, {}, timeout=60)
    bus.stop_service(SERVICE, signal.SIGKILL)
    assert d.State == "running"
    d.Terminate(0, {})  # which ends it as well: that is no warning
    time.sleep(1.5)
    assert d.Warnings == []


@pytest.mark.once
@pytest.mark.skipif(not os.path.exists("/usr/lib/qemu/virtfs-proxy-helper"), reason="no virtfs-proxy-helper")
def test_shared_folder_over_9p(bus, qemud, guest_image, tmp_path):
    """Without shared memory; one that is read-only is just that."""
    share = "<filesystem type='mount'><source dir='{dir}'/><target dir='{tag}'/>{more}</filesystem>"
    (tmp_path / "file").write_text("hello guest")
    devices = share.format(dir=tmp_path, tag="share", more="") + share.format(dir=tmp_path, tag="kept", more="<readonly/>")
    d = define(bus, guest_xml(guest_image, devices=devices))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("disks")
    con.ask("sh mkdir -p /m /k")
    con.ask("sh modprobe -a 9pnet_virtio 9p")
    con.ask("sh mount -t 9p -o trans=virtio,version=9p2000.L share /m")
    con.ask("sh mount -t 9p -o trans=virtio,version=9p2000.L,ro kept /k")
    assert "hello guest" in con.ask("sh cat /m/file /k/file; echo") or "hello guesthello guest" in " ".join(con.ask("sh cat /m/file /k/file; echo"))
    con.ask("sh echo hello host >/m/answer")
    assert (tmp_path / "answer").read_text() == "hello host\n"
    assert len(bus.watch.named("virtfs-proxy-he")) == 2
    d.Terminate(0, {})
    assert d.Warnings == []


@pytest.mark.once
def test_mapped_folder_over_9p(bus, qemud, guest_image, tmp_path):
    """Owners and modes as the guest sees them are in attributes of the files; on the host these are the VM's user's, and have the modes of the definition."""
    (tmp_path / "file").write_text("hello guest")
    os.setxattr(tmp_path / "file", "user.virtbus.test", b"1")    # skips nothing: without them there is no such share
    devices = (f"<filesystem type='mount' accessmode='mapped' fmode='0640' dmode='0750'><source dir='{tmp_path}'/><target dir='share'/></filesystem>"
               f"<filesystem type='mount' accessmode='squash'><source dir='{tmp_path}'/><target dir='kept'/><readonly/></filesystem>")
    d = define(bus, guest_xml(guest_image, devices=devices))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("disks")
    con.ask("sh mkdir -p /m /k; modprobe -a 9pnet_virtio 9p; mount -t 9p -o trans=virtio,version=9p2000.L share /m; "
            "mount -t 9p -o trans=virtio,version=9p2000.L,ro kept /k")
    assert "hello guest" in " ".join(con.ask("sh cat /k/file; echo"))
    con.ask("sh echo hello host >/m/answer; mkdir /m/folder; chown 1234:567 /m/answer /m/folder; chmod 4711 /m/answer; ln -s answer /m/link")
    assert con.ask("sh stat -c %u:%g:%a /m/answer; readlink /m/link") == ["1234:567:4711", "answer"]
    answer, folder = os.stat(tmp_path / "answer"), os.stat(tmp_path / "folder")
    assert (tmp_path / "answer").read_text() == "hello host\n"
    assert (answer.st_uid, oct(answer.st_mode & 0o7777), oct(folder.st_mode & 0o7777)) == (os.geteuid(), "0o640", "0o750")
    assert not os.path.islink(tmp_path / "link")
    until(lambda: bus.watch.named("virtqemu-share"), [])
    d.Terminate(0, {})
    assert d.Warnings == []


def test_sound_in_a_file(bus, qemud, tmp_path):
    """What the guest plays is there to be heard later; what was there before is not."""
    heard, image = tmp_path / "heard.wav", tmp_path / "beep.img"
    heard.write_bytes(b"old" * 100000)
    image.write_bytes(BEEP.ljust(1 << 20, b"\0"))
    d = define(bus, tiny_xml(devices=f"<disk type='file'><source file='{image}'/><target dev='vda' bus='virtio'/><readonly/></disk><sound model='pcspk'/>"
                                     f"<audio id='1' type='file' path='{heard}'/>"))
    d.Start(0, {}, timeout=60)
    until(lambda: heard.stat().st_size > 100000)
    d.Terminate(0, {})
    content = heard.read_bytes()
    assert content[:4] == b"RIFF" and b"old" not in content
    samples = [int.from_bytes(content[i:i + 2], "little", signed=True) for i in range(44, len(content) - 4, 4)]
    assert any(s > 20000 for s in samples) and any(s < -20000 for s in samples)


@pytest.mark.skipif(not have("pulseaudio"), reason="no pulseaudio")
def test_sound_server(bus, qemud, tmp_path):
    """One of PulseAudio on the host plays what the guest does; QEMU finds it by the descriptor of its socket alone."""
    path, heard, image = tmp_path / "server.sock", tmp_path / "heard", tmp_path / "beep.img"
    image.write_bytes(BEEP.ljust(1 << 20, b"\0"))
    os.mkfifo(heard)
    reader = os.open(heard, os.O_RDONLY | os.O_NONBLOCK)
    server = subprocess.Popen(["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm",
                               "-L", f"module-native-protocol-unix socket={path} auth-anonymous=1", "-L", f"module-pipe-sink file={heard} sink_name=ours"],
                              env={"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
    until(path.exists)
    audio = f"<audio id='1' type='pulseaudio' serverName='unix:{path}'><output name='ours' streamName='beeps'/></audio>"
    d = define(bus, tiny_xml(devices=f"<disk type='file'><source file='{image}'/><target dev='vda' bus='virtio'/><readonly/></disk><sound model='pcspk'/>{audio}"))
    d.Start(0, {}, timeout=60)

    def hears():
        try:
            return any(os.read(reader, 65536))
        except BlockingIOError:
            return False
    until(hears)
    d.Terminate(0, {})
    server.kill()
    server.wait()
    os.close(reader)


SHARED = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"


def share_xml(folder):
    return f"<filesystem type='mount'><driver type='virtiofs'/><source dir='{folder}'/><target dir='share'/></filesystem>"


def use_share(con, folder):
    """The guest reads what is there, and what it writes is there."""
    (folder / "from-host").write_text("hello guest")
    con.ask("disks")
    con.ask("sh mkdir -p /m; until mount -t virtiofs share /m 2>/dev/null; do usleep 50000; done")  # one that was plugged in is found a moment later
    assert "hello guest" in con.ask("sh cat /m/from-host; echo")
    con.ask("sh echo hello host >/m/from-guest")
    assert (folder / "from-guest").read_text() == "hello host\n"
    con.ask("sh umount /m")


@pytest.mark.skipif(not os.path.exists("/usr/lib/qemu/virtiofsd"), reason="no virtiofsd")
def test_shared_folder(bus, qemud, guest_image, tmp_path):
    """From the start, and plugged in: read and written from both sides."""
    port = "<controller type='pci' model='pcie-root-port'/>"
    d = define(bus, guest_xml(guest_image, devices=share_xml(tmp_path) + port * 4, extra=SHARED))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    use_share(con, tmp_path)
    device(bus, d, "fs0").Detach(LIVE, {}, timeout=60)
    until(lambda: bus.watch.named("virtiofsd") == [])
    assert d.Warnings == []
    path, _ = d.AttachDevice(FORMAT, share_xml(tmp_path), LIVE, {})
    use_share(con, tmp_path)
    bus.object("org.virtbus.qemu1", path).Detach(LIVE, {}, timeout=60)
    d.Terminate(0, {})
