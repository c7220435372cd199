# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a guest that has broken out into QEMU gets at: nothing. A program in QEMU's place (spy.py) tries, in the unit as it is installed."""

import json
from pathlib import Path

import pytest

from domains import disk_xml, tiny_xml

pytestmark = pytest.mark.host

SPY = "/usr/local/bin/qemu-spy"
SUID = "/usr/local/bin/suid-id"
REPORT_AT = 65536
ABSTRACT = "virtbus-of-the-host"
DEVICES = ("mem", "kmsg", "loop0", "loop-control", "net/tun", "fuse", "vhost-net", "vhost-vsock", "btrfs-control")


@pytest.fixture(scope="module")
def bed(installed):
    installed.run("systemctl enable --now virtqemud.socket virtlogd.socket virtlockd.socket virtstoraged.socket virtnetworkd.socket")
    installed.put(SPY, (Path(__file__).parent / "spy.py").read_text(), mode=0o755)
    installed.run(f"cp /usr/bin/id {SUID} && chmod 4755 {SUID}")
    installed.run(f"systemd-run --unit=abstract --socket-property=ListenStream=@{ABSTRACT} cat")
    yield installed
    installed.run("systemctl stop abstract.socket abstract.service", check=False)


def define(bed, name, extra="", **options):
    bed.run(f"truncate -s 1M /srv/{name}.img")
    xml = tiny_xml(name, devices=disk_xml(f"/srv/{name}.img") + "<serial type='pty'/>" + extra, **options)
    bed.put(f"/srv/{name}.xml", xml)
    bed.run(f"virtctl define /srv/{name}.xml")


def pids(bed, name):
    supervisor = int(bed.run(f"systemctl show -P MainPID virtqemu@{name}").stdout)
    return supervisor, int(bed.run(f"cat /proc/{supervisor}/task/{supervisor}/children").stdout)


def main_pid(bed, unit):
    return int(bed.run(f"systemctl show -P MainPID {unit}").stdout)


def existing(bed, *paths):
    """What is not there could not be refused."""
    for path in paths:
        assert bed.exists(path), path
    return list(paths)


def targets(bed):
    supervisor, qemu = pids(bed, "victim")
    path = bed.run("busctl call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager GetDomain s victim").stdout.split('"')[1]
    tty = bed.run(f"busctl get-property org.virtbus.qemu1 {path}/device/serial0 org.virtbus.qemu1.Console TTY").stdout.split('"')[1]
    runs = [f"/run/virtbus/qemu/{n}" for n in bed.run("ls /run/virtbus/qemu").stdout.split()]
    sockets = bed.run("find /run -type s").stdout.split()
    return {
        "victim": "victim", "self": "spy", "path": path, "suid": SUID, "abstract": ABSTRACT, "cgroup": "/machine.slice/machine-virtqemu.slice/virtqemu@spy.service",
        "read": existing(bed, "/srv/victim.img", "/etc/virtbus/domains", "/etc/virtbus/domains/victim.xml", "/etc/virtbus/secrets", "/etc/shadow",
                         "/var/log/virtbus", "/var/log/virtbus/qemu/victim/serial0.log", "/var/lib/virtbus", "/var/lib/virtbus/lock/default", "/home/tester",
                         "/root", "/run/virtbus/log", "/run/systemd/units", "/var/log/journal" if bed.exists("/var/log/journal") else "/run/log/journal",
                         "/run/user", "/proc/cmdline", "/proc/interrupts", *runs) +
        [f"/dev/{d}" for d in DEVICES if bed.exists(f"/dev/{d}")] + [tty],
        "write": ["/etc/passwd", "/usr/bin/id", SPY, tty, "/srv/victim.img", "/dev/loop0"],
        "connect": [s for s in sockets if s not in ("/run/virtbus/virtqemud.sock", "/run/systemd/notify")],
        "pids": {"QEMU": qemu, "supervisor": supervisor, "virtqemud": main_pid(bed, "virtqemud"), "virtlogd": main_pid(bed, "virtlogd"),
                 "dbus-daemon": main_pid(bed, "dbus"), "systemd": 1},
    }


@pytest.fixture(scope="module")
def report(bed):
    define(bed, "victim", extra="<graphics type='vnc' autoport='yes' passwd='sesame'/>")
    bed.run("virtctl start victim")
    define(bed, "spy")
    xml = bed.read("/srv/spy.xml").replace("<devices>", f"<devices><emulator>{SPY}</emulator>")
    bed.put("/srv/spy.xml", xml)
    bed.run("virtctl define /srv/spy.xml")
    text = json.dumps(targets(bed)).encode()
    assert len(text) < REPORT_AT
    bed.put("/srv/spy.img", text.ljust(1 << 20, b"\0"))
    bed.run("virtctl start spy")
    image = bed._outside("/srv/spy.img")
    answer = bed.wait(lambda: (text := image.read_bytes()[REPORT_AT:].rstrip(b"\0")).endswith(b"}") and text, 60, "the spy's whole report")
    yield json.loads(answer)
    bed.run("virtctl kill spy; virtctl kill victim; virtctl undefine spy; virtctl undefine victim", check=False)


def test_nothing_goes_well(report):
    assert len(report) > 150
    assert {name: error for name, error in report.items() if error.startswith(("got:", "broken:"))} == {}


def test_refused_for_the_right_reason(report):
    """Where it matters: not because the attempt itself was wrong."""
    denied = "org.freedesktop.DBus.Error.AccessDenied"
    for name in ("GetPlan('victim',)", "ListDomains()", "GetDomain('victim',)", "TerminateDomain('victim', 0)", "ExportDefinition", "QMPCommand", "all objects",
                 "a property", "introspection"):
        assert report[name] == denied, name
    assert report["GetPlan('spy',)"] == "org.virtbus.Error.InvalidState", "its own plan, but once"
    for who in ("QEMU", "supervisor", "virtqemud", "dbus-daemon", "systemd"):
        assert report[f"signal 9 to {who}"] == report[f"priority of {who}"] == "EPERM" and report[f"trace {who}"] in ("EPERM", "SIGSYS"), who
        assert report[f"/proc fd of {who}"] == "ENOENT"
    for name in ("mount", "a new user namespace", "setuid", "bpf", "real time", "add_key"):
        assert report[name] in ("EPERM", "SIGSYS"), name
    assert report["socket AF_INET"] == "EAFNOSUPPORT"
    assert report["make a file in /dev/shm"] == report["make a file in /tmp"] == "EROFS"


def test_the_others_are_as_they_were(bed, report):
    assert pids(bed, "victim")
    states = json.loads(bed.run("virtctl list --json=short").stdout)
    assert {(v["name"], v["state"]) for v in states} == {("victim", "running"), ("spy", "running")}
    assert "spy was here" not in bed.run("systemctl show -P StatusText virtqemu@spy virtqemu@victim virtqemud").stdout
    assert main_pid(bed, "virtqemu@spy") == pids(bed, "spy")[0]
    assert "a plan was refused" in bed.journal("virtqemud"), "and the host's administrator can see it"


def test_each_vm_is_another_user(bed, report):
    """However it is called: systemd would give all instances of a template the same."""
    names = ["web.example.com", "with space", "a_b:c@d", "ünï.cöde", "x" * 40, "UPPER"]
    try:
        for name in names:
            bed.put("/srv/n.xml", tiny_xml(name))
            bed.run("virtctl define /srv/n.xml")
            bed.run(["virtctl", "start", name])
        users = bed.run("ps -C qemu-system-x86,qemu-system-x86_64 -o uid=").stdout.split()
        assert len(users) == len(set(users)) == len(names) + 2
        assert all(61184 <= int(u) <= 65519 for u in users)
        bed.run("systemctl daemon-reload")
        made = bed.run("ls /run/systemd/generator").stdout
        assert "virtqemu@web.example.com.service.d" in made and "UPPER" not in made, "virtbus-generator knows them at boot, too"
    finally:
        for name in names:
            bed.run(["virtctl", "kill", name], check=False)
            bed.run(["virtctl", "undefine", name], check=False)
    assert "virtqemu@" not in bed.run("ls /run/systemd/system").stdout
