# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtctl, as people use it: against the daemon on a private bus."""

import json
import re
import os
import pty
import select
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest

import certificates
from domains import disk_xml, guest_xml, tiny_xml

pytestmark = pytest.mark.bus


@pytest.fixture
def virtctl(bus, qemud):
    program = Path(os.environ["VIRTBUS_BUILD"]) / "virtctl" / "virtctl"

    def run(*args, check=True, **options):
        return bus.run(program, "--user", *args, check=check, **options)
    run.program = program
    return run


def test_a_day_with_virtctl(bus, virtctl, guest_image, tmp_path):
    (tmp_path / "d.img").write_bytes(bytes(1 << 20))
    (tmp_path / "web.xml").write_text(guest_xml(guest_image, devices=disk_xml(tmp_path / "d.img")))
    assert "valid" in virtctl("define", "--dry-run", tmp_path / "web.xml").stderr
    assert "defined" in virtctl("define", tmp_path / "web.xml").stderr
    assert virtctl("list").stdout.splitlines()[1].split()[:2] == ["web", "shutoff"]
    virtctl("start", "web")
    status = virtctl("status", "web").stdout
    assert "State: running (booted)" in status and str(tmp_path / "d.img") in status and "Memory: 160M" in status
    assert "Console: serial0 on /dev/pts/" in status
    with subprocess.Popen([virtctl.program, "--user", "-q", "console", "web"], env=bus.environment, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as console:
        assert any("VIRTBUS-GUEST-READY" in line for line in console.stdout)
        said, _ = console.communicate("echo typed\npoweroff\n", timeout=60)
    assert "typed\nOK\nOK\n" in said.replace("\r", "")
    bus.wait_property(bus.object("org.virtbus.qemu1", bus.manager("qemu1").GetDomain("web")), "State", "shutoff")
    virtctl("start", "web")
    with subprocess.Popen([virtctl.program, "--user", "console", "web"], env=bus.environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as console:
        assert any("VIRTBUS-GUEST-READY" in line for line in console.stdout)
        virtctl("stop", "web", timeout=90)
        assert "VIRTBUS-GUEST-POWERDOWN" in console.stdout.read()
    listed = json.loads(virtctl("list", "--json=short").stdout)
    assert listed[0]["name"] == "web" and listed[0]["state"] == "shutoff"
    assert "<name>web</name>" in virtctl("cat", "web").stdout
    virtctl("undefine", "web")
    assert "0 machines listed" in virtctl("list").stdout


def test_devices(virtctl, tmp_path):
    """Plugged in, changed and taken away by hand; with --dry-run only told."""
    (tmp_path / "a.xml").write_text(tiny_xml("a", devices="<controller type='pci' model='pcie-root-port'/>" * 3 + "<controller type='usb' model='qemu-xhci'/>"
                                                          "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>"))
    (tmp_path / "disk.raw").write_bytes(bytes(1 << 20))
    (tmp_path / "disk.xml").write_text(disk_xml(tmp_path / "disk.raw", "sdb", "usb"))
    virtctl("define", tmp_path / "a.xml")
    virtctl("start", "a")
    assert "qmp device_add" in virtctl("attach", "--dry-run", "a", tmp_path / "disk.xml").stdout
    assert virtctl("attach", "a", tmp_path / "disk.xml").stdout == "usb-disk0\n"
    for which in ([], ["--live"]):
        assert "disk.raw" in virtctl("cat", *which, "a").stdout
    virtctl("detach", "a", "sdb")
    for which in ([], ["--live"]):
        assert "disk.raw" not in virtctl("cat", *which, "a").stdout
    virtctl("attach", "--config", "a", tmp_path / "disk.xml")
    assert re.search(r"usb-disk0 .* disk +now\n", virtctl("pending", "a").stdout)
    virtctl("insert", "a", "sda", tmp_path / "disk.raw")
    assert "disk.raw" in virtctl("cat", "--live", "a").stdout
    virtctl("eject", "a", "sda")
    assert "disk.raw" not in virtctl("cat", "--live", "a").stdout
    virtctl("set-memory", "--config", "a", "8M")
    assert "no device vdz" in virtctl("detach", "a", "vdz", check=False).stderr
    virtctl("kill", "a")


def test_link_and_display(bus, virtctl, tmp_path):
    (tmp_path / "a.xml").write_text(tiny_xml("a", devices="<interface type='user'/><graphics type='vnc' autoport='yes'/><graphics type='spice'><listen type='none'/></graphics>"))
    virtctl("define", tmp_path / "a.xml")
    virtctl("set-link", "a", "net0", "down")
    assert "link down" in virtctl("status", "a").stdout and "Display: vnc\n" in virtctl("status", "a").stdout
    virtctl("start", "a")
    virtctl("set-link", "a", "net0", "up")
    shown = virtctl("status", "a").stdout
    assert "link down" not in shown and re.search(r"Display: vnc at 127.0.0.1 port 59\d\d\n", shown) and "Display: spice\n" in shown
    assert "a link is up or down" in virtctl("set-link", "a", "net0", "open", check=False).stderr
    assert "net7" in virtctl("set-link", "a", "net7", "up", check=False).stderr
    virtctl("kill", "a")


def test_display_with_tls(bus, virtctl, tmp_path):
    certificates.make(bus.directory / "config/virtbus/pki/libvirt-spice")
    for name, more in (("a", ""), ("b", " defaultMode='secure'")):
        (tmp_path / f"{name}.xml").write_text(tiny_xml(name, devices=f"<graphics type='spice' autoport='yes'{more}/>"))
        virtctl("define", tmp_path / f"{name}.xml")
        virtctl("start", name)
    assert re.search(r"Display: spice at 127.0.0.1 port 59\d\d, with TLS 59\d\d\n", virtctl("status", "a").stdout)
    assert re.search(r"Display: spice at 127.0.0.1 TLS port 59\d\d\n", virtctl("status", "b").stdout)
    virtctl("kill", "a", "b")


def test_power_verbs(bus, virtctl, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.xml").write_text(tiny_xml(name))
    virtctl("define", tmp_path / "a.xml", tmp_path / "b.xml")
    virtctl("start", "a", "b")
    virtctl("suspend", "a")
    assert "State: paused (user)" in virtctl("status", "a").stdout
    virtctl("resume", "a")
    virtctl("reset", "a")
    slow = virtctl("stop", "a", "--timeout=1", check=False)
    assert slow.returncode == 1 and "did not power off within 1 s" in slow.stderr
    virtctl("kill", "a", "b")
    virtctl("enable", "a")
    assert "enabled" in virtctl("status", "a").stdout
    virtctl("disable", "a")
    virtctl("rename", "a", "c")
    assert json.loads(virtctl("status", "c", "--json=pretty").stdout)["Name"] == "c"
    assert "-uuid" in virtctl("plan", "c").stdout


def test_errors_help(bus, virtctl, tmp_path):
    (tmp_path / "bad.xml").write_text("<domain type='qemu'>\n <name>x</name>\n <memori>1</memori>\n</domain>\n")
    bad = virtctl("define", tmp_path / "bad.xml", check=False)
    assert bad.returncode == 1 and "line 3" in bad.stderr and "memory" in bad.stderr and "bad.xml was not defined" in bad.stderr
    (tmp_path / "web.xml").write_text(tiny_xml("web"))
    virtctl("define", tmp_path / "web.xml")
    missing = virtctl("start", "wep", check=False)
    assert missing.returncode == 3 and 'did you mean "web"?' in missing.stderr
    both = virtctl("start", "wep", "web", check=False)
    assert both.returncode == 3 and "running" in virtctl("list").stdout
    assert virtctl("define", tmp_path / "nothing", check=False).returncode == 1
    assert virtctl("cat", check=False).returncode == 2
    wrong = virtctl("stat", check=False)
    assert wrong.returncode == 2 and "did you mean start" in wrong.stderr or "status" in wrong.stderr
    assert "Virtual machines:" in virtctl("--help").stdout and "virtctl 0" in virtctl("--version").stdout
    gone = bus.run(virtctl.program, f"--address=unix:path={tmp_path}/none", "list", check=False)
    assert gone.returncode == 5
    virtctl("kill", "web")


def test_console_on_a_terminal(bus, virtctl, guest_image, tmp_path):
    """Ctrl-] leaves, and the terminal is as it was."""
    (tmp_path / "web.xml").write_text(guest_xml(guest_image))
    virtctl("define", tmp_path / "web.xml")
    virtctl("start", "web")
    master, slave = pty.openpty()
    before = subprocess.run(["stty", "-g"], stdin=slave, capture_output=True, text=True).stdout
    with subprocess.Popen([virtctl.program, "--user", "console", "web"], env=bus.environment, stdin=slave, stdout=slave,
                          stderr=slave) as p:
        seen, deadline = b"", time.monotonic() + 60
        while b"VIRTBUS-GUEST-READY" not in seen and time.monotonic() < deadline:
            if select.select([master], [], [], 1)[0]:
                seen += os.read(master, 4096)
        assert b"leave with Ctrl-]" in seen and b"VIRTBUS-GUEST-READY" in seen
        os.write(master, b"\x1d")
        assert p.wait(60) == 0
    assert subprocess.run(["stty", "-g"], stdin=slave, capture_output=True, text=True).stdout == before
    os.close(master)
    os.close(slave)
    virtctl("kill", "web")


def test_leases(bus, virtctl, tmp_path):
    (tmp_path / "d.img").write_bytes(bytes(1 << 20))
    (tmp_path / "web.xml").write_text(tiny_xml("web", devices=disk_xml(tmp_path / "d.img")))
    (tmp_path / "db.xml").write_text(tiny_xml("db", devices=disk_xml(tmp_path / "d.img")))
    virtctl("define", tmp_path / "web.xml", tmp_path / "db.xml")
    assert "0 leases listed" in virtctl("leases").stdout
    virtctl("start", "web")
    head, line, *_ = virtctl("leases", "default").stdout.splitlines()
    assert head.split() == ["IMAGE", "MODE", "VM", "HOST", "PID", "SINCE"]
    assert line.split()[:4] == [str(tmp_path / "d.img"), "exclusive", "web", os.uname().nodename]
    refused = virtctl("start", "db", check=False)
    assert refused.returncode == 1 and f"{tmp_path}/d.img is in use by web" in refused.stderr and "\n  stop it first" in refused.stderr
    [lease] = json.loads(virtctl("leases", "--json=short").stdout)
    assert lease["name"] == "web" and lease["pid"] > 0 and lease["lockspace"] == "default"
    (tmp_path / "shared").mkdir()
    virtctl("add-lockspace", "cluster", tmp_path / "shared")
    assert virtctl("lockspaces").stdout.splitlines()[2].split() == ["cluster", str(tmp_path / "shared"), "active"]
    virtctl("remove-lockspace", "cluster")
    assert virtctl("leases", "cluster", check=False).returncode == 3
    virtctl("kill", "web")


def test_secrets(bus, virtctl, tmp_path):
    """Values come from files, from pipes and from people; they are seen only by who asks for them."""
    uuid = "0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f"
    (tmp_path / "s.xml").write_text(f"<secret><uuid>{uuid}</uuid><usage type='volume'><volume>/srv/a:b</volume></usage></secret>")
    (tmp_path / "value").write_bytes(b"open\nsesame\n")
    assert "defined" in virtctl("define-secret", tmp_path / "s.xml").stderr
    assert virtctl("secrets").stdout.splitlines()[1].split() == [uuid, "volume", "/srv/a:b", "none"]
    assert virtctl("get-secret", uuid, check=False).returncode == 3
    virtctl("set-secret", "volume:/srv/a:b", tmp_path / "value")
    assert virtctl("get-secret", uuid).stdout == "open\nsesame\n"
    assert json.loads(virtctl("secrets", "--json=short").stdout)[0]["set"] is True
    assert "<volume>/srv/a:b</volume>" in virtctl("cat-secret", uuid).stdout
    subprocess.run([virtctl.program, "--user", "set-secret", uuid], env=bus.environment, input="a line\n", text=True, check=True, timeout=60)
    assert virtctl("get-secret", uuid).stdout == "a line"
    (tmp_path / "large").write_bytes(bytes(65537))
    assert "larger than 65536 bytes" in virtctl("set-secret", uuid, tmp_path / "large", check=False).stderr
    assert virtctl("cat-secret", "ceph:none", check=False).returncode == 3
    virtctl("undefine-secret", uuid)
    assert "0 secrets listed" in virtctl("secrets").stdout


def asked(bus, virtctl, *args):
    """Starts it on a terminal, and waits until it asks."""
    ours, theirs = pty.openpty()
    # A run in the background may have been told to ignore it, and all it starts would, too.
    process = subprocess.Popen([virtctl.program, "--user", *args], env=bus.environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    said = b""
    while not said.endswith(b": "):
        assert select.select([ours], [], [], 30)[0], said
        said += os.read(ours, 4096)
    return process, ours, theirs


def test_a_secret_is_typed(bus, virtctl, tmp_path):
    (tmp_path / "s.xml").write_text("<secret><usage type='ceph'><name>client.web</name></usage></secret>")
    virtctl("define-secret", tmp_path / "s.xml")
    process, ours, theirs = asked(bus, virtctl, "set-secret", "ceph:client.web")
    os.write(ours, b"sesame\n")
    assert process.wait(30) == 0 and b"sesame" not in os.read(ours, 4096)
    assert virtctl("get-secret", "ceph:client.web").stdout == "sesame"
    for fd in (ours, theirs):
        os.close(fd)
    process, ours, theirs = asked(bus, virtctl, "set-secret", "ceph:client.web")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == -signal.SIGINT and termios.tcgetattr(theirs)[3] & termios.ECHO
    assert virtctl("get-secret", "ceph:client.web").stdout == "sesame"
    for fd in (ours, theirs):
        os.close(fd)


def test_formats(bus, virtctl, tmp_path):
    folder = tmp_path / "pool"
    folder.mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", folder / "v", "4M"], check=True)
    (tmp_path / "p.xml").write_text(f"<pool type='dir'><name>p</name><target><path>{folder}</path></target></pool>")
    virtctl("define-pool", tmp_path / "p.xml")
    virtctl("start-pool", "p")
    assert virtctl("probe-format", "p", "v").stdout == "qcow2\n"
    assert virtctl("volumes", "p").stdout.splitlines()[1].split()[1] == "raw"
    virtctl("set-format", "p", "v", "qcow2")
    assert virtctl("volumes", "p").stdout.splitlines()[1].split()[1:3] == ["qcow2", "4M"]
    magic = virtctl("set-format", "p", "v", "magic", check=False)
    assert magic.returncode == 1 and "qcow2" in magic.stderr
    virtctl("stop-pool", "p")


def test_changes_of_one_device_and_of_cpus(virtctl, tmp_path):
    nic = "<interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/>{}</interface>"
    (tmp_path / "a.xml").write_text(tiny_xml("a", devices=nic.format("")).replace("<vcpu>1<", "<vcpu>2<"))
    (tmp_path / "nic.xml").write_text(nic.format("<link state='down'/>"))
    virtctl("define", tmp_path / "a.xml")
    virtctl("start", "a")
    virtctl("change", "a", "net0", tmp_path / "nic.xml")
    for which in ([], ["--live"]):
        assert re.search("<link state=.down.", virtctl("cat", *which, "a").stdout)
    virtctl("set-vcpus", "--config", "a", "1")
    assert re.search("<vcpu[^>]*current=.1.", virtctl("cat", "a").stdout)
    assert virtctl("set-vcpus", "a", "many", check=False).returncode == 1
    virtctl("kill", "a")


def test_send_break(bus, virtctl, guest_image, tmp_path):
    (tmp_path / "web.xml").write_text(guest_xml(guest_image))
    virtctl("define", tmp_path / "web.xml")
    virtctl("start", "web")
    virtctl("send-break", "web")
    virtctl("send-break", "web", "serial0")
    assert virtctl("send-break", "web", "serial7", check=False).returncode != 0
    virtctl("kill", "web")


def test_pools_that_start_with_the_host(virtctl, tmp_path):
    (tmp_path / "p.xml").write_text(f"<pool type='dir'><name>p</name><target><path>{tmp_path}</path></target></pool>")
    virtctl("define-pool", tmp_path / "p.xml")
    for verb, state in (("enable-pool", True), ("disable-pool", False)):
        virtctl(verb, "p")
        assert json.loads(virtctl("pools", "--json=short").stdout)[0]["autostart"] is state
    virtctl("undefine-pool", "p")
