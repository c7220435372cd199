# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtqemud on a private message bus, without systemd and without root: real QEMU, real guests."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

import leaks
from guest import Console
from domains import (CONFIG, FORMAT, LIVE, NO_WAIT, SERVICE, VALIDATE_ONLY, console, define, device, disk_xml, guest_xml, job_done, states,
                     tiny_xml)
from pace import at_most, patient
from processes import threads_of
from test_hotplug import until

pytestmark = pytest.mark.bus


def qemu_img(*args):
    subprocess.run(["qemu-img", *map(str, args)], check=True, capture_output=True)


def test_life_of_a_guest(bus, qemud, guest_image, tmp_path):
    """From XML to a guest that finds its disks, sleeps, wakes up and powers off, with every signal in its order."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "raw.img").write_bytes(b"first disk".ljust(1 << 20, b"\0"))
    (closed / "base.img").write_bytes(b"lower layer".ljust(2 << 20, b"\0"))
    qemu_img("create", "-q", "-f", "qcow2", "-b", closed / "base.img", "-F", "raw", closed / "top.qcow2")
    domain = define(bus, guest_xml(guest_image, devices=disk_xml(closed / "raw.img") +
                                   disk_xml(closed / "top.qcow2", "vdb", kind="qcow2")))
    assert domain.State == "shutoff" and domain.Persistent

    assert domain.Start(0, {}) == "/"
    assert domain.State == "running" and domain.StateReason == "booted" and domain.MainPID > 0
    assert qemud.GetDomainByPID(domain.MainPID) == domain.path
    con = console(bus, domain)
    con.wait("VIRTBUS-GUEST-UP")
    con.ready()
    disks = con.ask("disks")
    assert any("vda 1048576 first" in d for d in disks) and any("vdb 2097152 lower" in d for d in disks)

    def suspend():
        domain.Suspend(0, {})
        bus.wait_property(domain, "State", "paused")
    assert con.stands_between(suspend, lambda: domain.Resume(0, {}), 1.5), "the guest's clock stood while it was suspended"
    bus.wait_property(domain, "State", "running")

    job = domain.Shutdown("acpi", 0, {})
    assert job.startswith("/org/virtbus/qemu1/job/")
    con.wait("VIRTBUS-GUEST-POWERDOWN")
    bus.wait_property(domain, "State", "shutoff")
    assert job_done(bus, job) == ("done", "", "")
    assert states(bus, domain) == [("starting", "starting-up"), ("running", "booted"), ("paused", "user"), ("running", "user"),
                                   ("shutdown", "guest"), ("shutoff", "shutdown")]
    assert domain.MainPID == 0 and (closed / "base.img").read_bytes()[:11] == b"lower layer"


def test_what_only_the_monitor_can_set(bus, qemud, guest_image):
    """Less memory than there is, and a cable that is not plugged in: from the guest's first instruction on."""
    domain = define(bus, guest_xml(guest_image, memory=200, extra="<currentMemory unit='MiB'>150</currentMemory>",
                                   devices="<interface type='user'><link state='down'/></interface><memballoon model='virtio'>"
                                           "<stats period='1'/></memballoon>"))
    domain.Start(0, {})
    con = console(bus, domain)
    con.ready()
    con.ask("nics")
    assert "carrier=0" in " ".join(con.ask("sh ifconfig eth0 up; echo carrier=$(cat /sys/class/net/eth0/carrier)"))
    con.ask("sh modprobe virtio_balloon")
    bus.wait_property(domain, "MemoryCurrent", 150 << 20)
    assert domain.MemoryMax == 200 << 20 and domain.Warnings == []
    domain.Terminate(0, {})


def test_user_networking_through_passt(bus, qemud):
    """Whether passt finds a way out depends on the host; the VM runs either way, and passt ends with it."""
    domain = define(bus, tiny_xml("outward", devices="<interface type='user'><backend type='passt'/></interface>"))
    domain.Start(0, {})
    assert domain.State == "running" and device(bus, domain, "net0")
    assert [a for a in domain.PlanStart(0, {})[0] if '"type":"socket","id":"hostnet0"' in a]
    domain.Terminate(0, {})


@pytest.mark.once
def test_addresses_of_user_networking(bus, qemud, guest_image):
    """QEMU's own gives the guest the address of the definition."""
    d = define(bus, guest_xml(guest_image, devices="<interface type='user'><model type='virtio'/><ip address='172.20.4.9' family='ipv4' prefix='24'/></interface>"))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("nics")
    con.ask("sh busybox ip link set eth0 up")
    assert "lease of 172.20.4.9 obtained from 172.20.4.2" in " ".join(con.ask("sh busybox udhcpc -i eth0 -n -q -t 40 -T 1 -s /bin/busybox 2>&1"))
    d.Terminate(0, {})


def test_reboot_and_reset(bus, qemud, guest_image):
    domain = define(bus, guest_xml(guest_image))
    domain.Start(0, {})
    con = console(bus, domain)
    con.ready()
    pid = domain.MainPID
    job = domain.Reboot(0, {})
    con.wait("VIRTBUS-GUEST-POWERDOWN")
    con.ready()
    assert job_done(bus, job)[0] == "done"
    assert domain.MainPID == pid and domain.State == "running"
    domain.Reset(0, {})
    con.ready()
    assert domain.MainPID == pid
    domain.Terminate(0, {})
    assert domain.State == "shutoff" and domain.StateReason == "destroyed"


@pytest.mark.parametrize("on_poweroff, on_reboot, command, expected", [
    ("destroy", "restart", "reboot", "running"),
    ("restart", "restart", "poweroff", "running"),
    ("preserve", "restart", "poweroff", "shutdown"),
    ("destroy", "destroy", "reboot", "shutoff"),
    ("destroy", "preserve", "reboot", "shutdown"),
])
def test_lifecycle_actions(bus, qemud, guest_image, on_poweroff, on_reboot, command, expected):
    domain = define(bus, guest_xml(guest_image, extra=f"<on_poweroff>{on_poweroff}</on_poweroff><on_reboot>{on_reboot}</on_reboot>"))
    domain.Start(0, {})
    con = console(bus, domain)
    con.ready()
    pid = domain.MainPID
    con.send(command)
    if expected == "running":
        con.ready()
        bus.wait_property(domain, "State", "running")
        assert domain.MainPID == pid
    else:
        bus.wait_property(domain, "State", expected)
    if expected != "shutoff":
        domain.Terminate(0, {})


def end_unseen(bus, domain, con, command):
    """The guest does what ends it while virtqemud stands: then all has arrived at once, what was said as well as the end of who said it."""
    daemon, pids = bus.owner_pid(SERVICE), [domain.MainPID, *bus.watch.named("virtqemu-watch")]
    con.ask(f"sh (sleep 1; echo the last words; {command}) >/dev/console &")
    leaks.stop_at_rest(daemon)
    try:
        assert all(leaks.wait_end(pid, patient(60)) for pid in pids)
    finally:
        os.kill(daemon, signal.SIGCONT)
    con.wait("^the last words$")


def test_end_that_is_seen_late(bus, qemud, guest_image):
    """It is told as it was."""
    domain = define(bus, guest_xml(guest_image))
    domain.Start(0, {})
    con = console(bus, domain)
    con.ready()
    end_unseen(bus, domain, con, "poweroff -f")
    bus.wait_property(domain, "State", "shutoff")
    assert states(bus, domain)[-2:] == [("shutdown", "guest"), ("shutoff", "shutdown")] and domain.StateReason == "shutdown"


PANIC = "<panic model='isa'/>"


@pytest.mark.parametrize("on_crash, expected", [("preserve", ("crashed", "panicked")), ("destroy", ("shutoff", "crashed"))])
def test_panic(bus, qemud, guest_image, on_crash, expected):
    domain = define(bus, guest_xml(guest_image, extra=f"<on_crash>{on_crash}</on_crash>", devices=PANIC))
    domain.Start(0, {})
    con = console(bus, domain)
    con.ready()
    con.ask("sh modprobe pvpanic-mmio")
    if on_crash == "destroy":
        end_unseen(bus, domain, con, r"printf '\001' | dd of=/dev/port bs=1 seek=1285 2>/dev/null")  # not a word from the kernel
    else:
        con.send("panic")
    bus.wait_signal("GuestPanicked", path=domain.path)
    bus.wait_property(domain, "State", expected[0])
    assert (domain.State, domain.StateReason) == expected
    domain.State == "shutoff" or domain.Terminate(0, {})


@pytest.mark.parametrize("alone", [False, True], ids=["with the daemon", "without it"])
def test_restart_after_a_panic(bus, qemud, guest_image, alone):
    domain = define(bus, guest_xml(guest_image, extra="<on_crash>restart</on_crash>", devices=PANIC))
    domain.Start(0, {})
    con = console(bus, domain)
    con.ready()
    pid = domain.MainPID
    con.ask("sh modprobe pvpanic-mmio")
    if alone:
        con.ask("sh touch /before; (sleep 1; echo c >/proc/sysrq-trigger) &")
        bus.stop_service(SERVICE, signal.SIGKILL)
        time.sleep(3)
        con = console(bus, domain)
        con.insist("sh [ -e /before ] || echo rebooted", "^rebooted$")  # it may have been up before anybody listened
    else:
        con.send("panic")
        bus.wait_signal("GuestPanicked", path=domain.path)
        con.ready()
    assert domain.State == "running" and domain.MainPID == pid
    assert "paused" not in [s for s, _ in states(bus, domain)]
    domain.Terminate(0, {})


def test_definition_keeps_what_people_wrote(bus, qemud):
    text = """<domain type='qemu'>
  <!-- the web server of the shop; ask Eve before touching it -->
  <vcpu>1</vcpu>
  <name>shop</name>
  <title>Shop &amp; more</title>
  <os><type machine='q35'>hvm</type></os>
  <memory unit='GiB'>1</memory>
  <metadata><a:note xmlns:a="urn:example">kept</a:note></metadata>
  <devices>
    <!-- no console -->
    <memballoon model='none'/>
  </devices>
</domain>
"""
    domain = define(bus, text)
    back = domain.ExportDefinition(FORMAT, CONFIG)
    assert "<!-- the web server of the shop; ask Eve before touching it -->" in back and "<!-- no console -->" in back
    assert back.index("<vcpu>") < back.index("<name>") < back.index("<memory")
    assert domain.Title == "Shop & more" and domain.MemoryMax == 1 << 30
    assert domain.Metadata["urn:example"].count("kept") == 1
    # What it adds stays the same from then on.
    again = define(bus, back)
    assert again.path == domain.path and again.ExportDefinition(FORMAT, CONFIG) == back
    assert again.ConfigGeneration == 2
    with bus.fails("Error.InvalidState", "generation"):
        bus.manager("qemu1").DefineDomain(FORMAT, back, 0, {"if-generation": bus_t(1)})


def bus_t(n):
    from gi.repository import GLib
    return GLib.Variant("t", n)


def test_names_and_verbs_of_the_manager(bus, qemud):
    domain = define(bus, tiny_xml("one two"))
    assert qemud.GetDomain("one two") == domain.path
    with bus.fails("Error.NoSuchDomain", 'did you mean "one two"'):
        qemud.GetDomain("one twoo")
    name, state, uuid, unit, path = qemud.ListDomains()[0]
    assert (name, state, unit, path) == ("one two", "shutoff", "", domain.path) and uuid == domain.UUID
    assert qemud.GetDomainByUUID(uuid) == domain.path and qemud.GetDomain(uuid.hex()) == domain.path
    qemud.StartDomain("one two", 0)
    bus.wait_property(domain, "State", "running")
    with bus.fails("Error.InvalidState", "running already"):
        qemud.StartDomain("one two", 0)
    qemud.SuspendDomain("one two", 0)
    bus.wait_property(domain, "State", "paused")
    qemud.ResumeDomain("one two", 0)
    bus.wait_property(domain, "State", "running")
    qemud.TerminateDomain("one two", 0)
    assert domain.State == "shutoff"


def test_rename_undefine_autostart(bus, qemud):
    domain = define(bus, tiny_xml("old"))
    define(bus, tiny_xml("taken"))
    with bus.fails("Error.DomainExists", "taken"):
        domain.Rename("taken", 0, {})
    with bus.fails("Error.InvalidDefinition"):
        domain.Rename("a/b", 0, {})
    domain.SetAutostart(True, 0, {})
    assert domain.Autostart is True
    domain.Rename("new", 0, {})
    assert domain.Name == "new" and sorted(d[0] for d in qemud.ListDomains()) == ["new", "taken"]
    folder = bus.directory / "config/virtbus/domains"
    assert sorted(p.name for p in folder.iterdir()) == ["new.xml", "taken.xml"]
    domain.Start(0, {})
    with bus.fails("Error.InvalidState", "only a domain that is off"):
        domain.Rename("newer", 0, {})
    domain.Undefine(0, {})
    assert domain.Persistent is False and domain.State == "running"
    domain.Terminate(0, {})
    bus.wait_signal("DomainRemoved", match=lambda name, path: name == "new")
    assert [d[0] for d in qemud.ListDomains()] == ["taken"]


def test_transient(bus, qemud):
    path, job = qemud.StartTransient(FORMAT, tiny_xml("passing"), [], 0, {})
    domain = bus.object(SERVICE, path)
    assert job == "/" and domain.State == "running" and not domain.Persistent
    with bus.fails("Error.InvalidState", "transient"):
        domain.ExportDefinition(FORMAT, CONFIG)
    assert "<name>passing</name>" in domain.ExportDefinition(FORMAT, LIVE)
    domain.Terminate(0, {})
    bus.wait_signal("DomainRemoved", match=lambda name, _: name == "passing")
    assert qemud.ListDomains() == []


def test_plan_touches_nothing(bus, qemud, tmp_path):
    (tmp_path / "d.img").write_bytes(bytes(4096))
    before = (tmp_path / "d.img").stat()
    domain = define(bus, tiny_xml("plan", disk_xml(tmp_path / "d.img")))
    argv, resources = domain.PlanStart(0, {})
    assert argv[0].endswith("qemu-system-x86_64") and any("/dev/fdset/" in a for a in argv)
    assert any(str(tmp_path / "d.img") in d for d in resources["descriptors"])
    assert domain.State == "shutoff" and (tmp_path / "d.img").stat().st_mtime_ns == before.st_mtime_ns
    assert states(bus, domain) == []


def test_validate_only(bus, qemud):
    assert define(bus, tiny_xml("never"), VALIDATE_ONLY) is None
    assert qemud.ListDomains() == []


def read_until(stream, end):
    """All numbers from 1 to 500 and what comes after them."""
    with stream:
        stream.settimeout(patient(10))
        said = ""
        while end not in said:
            more = stream.recv(65536)
            assert more, said
            said += more.decode().replace("\r", "")
        assert "\n".join(map(str, range(1, 501))) in said


def test_console_readers_and_writer(bus, qemud, guest_image):
    domain = define(bus, guest_xml(guest_image))
    domain.Start(0, {})
    writer = console(bus, domain)
    writer.ready()
    with bus.fails("Error.Busy"):
        device(bus, domain, "serial0").Open(0, {})
    reader = console(bus, domain, write=False)
    reader.wait("VIRTBUS-GUEST-READY")       # from the scrollback
    writer.ask("echo seen by both")
    reader.wait("seen by both")
    taken = console(bus, domain, force=True)
    taken.ask("echo taken over")
    writer.wait("taken over")
    # Who does not read for a while has all of it later, however many pieces it came in.
    late, last = (device(bus, domain, "serial0").Open(0, {"write": False}).socket() for _ in range(2))
    taken.send("sh i=0; while [ $i -lt 500 ]; do echo $((i += 1)); usleep 1; done; echo the end")
    taken.wait("^the end$")
    read_until(late, "\nthe end\n")
    tty = device(bus, domain, "serial0").TTY
    assert tty.startswith("/dev/pts/") and Path(tty).exists()
    domain.Terminate(0, {})
    read_until(last, "\nthe end\n")
    assert device(bus, domain, "serial0").TTY == ""


def test_start_paused_and_pending_changes(bus, qemud):
    console_xml = "<serial type='pty'/><console type='pty'/>"
    domain = define(bus, tiny_xml("two", devices=console_xml))
    domain.Start(0, {"paused": True})
    assert domain.State == "paused" and domain.PendingChanges == []
    live, tty = domain.ExportDefinition(FORMAT, LIVE), device(bus, domain, "serial0").TTY
    assert live.count(f'<source path="{tty}"/>') == 2 and f'<console type="pty" tty="{tty}">' in live
    assert tty not in domain.ExportDefinition(FORMAT, CONFIG)
    define(bus, live)
    assert domain.PendingChanges == [] and tty not in domain.ExportDefinition(FORMAT, CONFIG), "what is live is no definition"
    define(bus, tiny_xml("two", memory=32, devices=console_xml))
    assert domain.PendingChanges == ["memory"] and domain.MemoryMax == 16 << 20
    domain.Resume(0, {})
    bus.wait_property(domain, "State", "running")
    domain.Terminate(0, {})
    assert domain.PendingChanges == [] and domain.MemoryMax == 32 << 20


def test_no_wait_and_cancel(bus, qemud, guest_image):
    domain = define(bus, guest_xml(guest_image, features="<apic/>"))   # without ACPI it can't hear the button
    job = domain.Start(NO_WAIT, {})
    assert job != "/" and job_done(bus, job)[0] == "done"
    job = domain.Shutdown("acpi", 0, {})
    with bus.fails("Error.Busy", "shutdown"):
        domain.Reboot(0, {})
    assert [j[2] for j in qemud.ListJobs()] == ["shutdown"]
    bus.object(SERVICE, job).Cancel(0, {})
    assert job_done(bus, job)[0] == "canceled" and domain.State == "running"
    job = domain.Shutdown("acpi", 0, {"timeout-usec": bus_t(300000)})
    assert job_done(bus, job)[0] == "timeout" and domain.State == "running"
    domain.Terminate(0, {})


def test_stopped_qemu_is_terminated_at_once(bus, qemud):
    domain = define(bus, tiny_xml("stuck"))
    domain.Start(0, {})
    os.kill(domain.MainPID, signal.SIGSTOP)
    began = time.monotonic()
    domain.Terminate(0, {})
    assert time.monotonic() - began < at_most(1) and domain.State == "shutoff"


def test_qemu_killed_from_outside(bus, qemud):
    domain = define(bus, tiny_xml("victim"))
    domain.Start(0, {})
    os.kill(domain.MainPID, signal.SIGKILL)
    bus.wait_property(domain, "State", "shutoff")
    assert domain.StateReason == "crashed"
    domain.Start(0, {})
    assert domain.State == "running"
    domain.Terminate(0, {})


def test_qmp_command_taints(bus, qemud):
    domain = define(bus, tiny_xml("probe"))
    domain.Start(0, {})
    assert '"running": true' in domain.QMPCommand("query-status")
    with bus.fails("Error.QemuFailed", "no-such"):
        domain.QMPCommand('{"execute":"no-such-command"}')
    assert domain.Tainted == ["custom-monitor"]
    bus.stop_service("org.virtbus.qemu1", signal.SIGKILL)
    assert domain.Tainted == ["custom-monitor"], "as long as that QEMU runs"
    domain.Terminate(0, {})
    domain.Start(0, {})
    assert domain.Tainted == []
    domain.Terminate(0, {})


def test_objects_come_and_go(bus, qemud):
    bus.mark()
    domain = define(bus, tiny_xml("obj", "<input type='tablet' bus='usb'/>"))
    path = bus.wait_signal("InterfacesAdded", match=lambda p, i: p == domain.path).args
    assert path[1]["org.virtbus.qemu1.Domain"]["Name"] == "obj"
    objects = bus.call(SERVICE, "/org/virtbus/qemu1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0]
    classes = {v["org.virtbus.qemu1.Device"]["Class"] for k, v in objects.items() if k.startswith(domain.path + "/device/")}
    assert {"input", "controller"} <= classes
    domain.Undefine(0, {})
    bus.wait_signal("InterfacesRemoved", match=lambda p, i: p == domain.path)


def test_threads_stay_on_their_processors(bus, qemud):
    """Each of QEMU's threads is where the definition wants it."""
    tune = "<iothreads>1</iothreads><cputune><vcpupin vcpu='0' cpuset='0'/><iothreadpin iothread='1' cpuset='0,1,^0'/><emulatorpin cpuset='1'/></cputune>"
    d = define(bus, tiny_xml("web", extra=tune))
    d.Start(0, {}, timeout=60)

    pid, wanted = d.MainPID, {"CPU 0/TCG": "0", "IO iothread1": "1", "qemu-system-x86": "1"}

    def allowed():
        found = {status["Name"]: status["Cpus_allowed_list"] for status in threads_of(pid).values()}
        return {name: found.get(name) for name in wanted}
    until(allowed, wanted)
    d.Terminate(0, {})


def test_console_at_a_port(bus, qemud, guest_image):
    """The guest's serial port is served where the definition says, and talks to who comes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serial = f"<serial type='tcp'><source mode='bind' host='127.0.0.1' service='{port}'/><protocol type='raw'/></serial>"
    d = define(bus, guest_xml(guest_image).replace("<serial type='pty'/>", serial))
    d.Start(0, {"paused": True}, timeout=60)
    with socket.create_connection(("127.0.0.1", port)) as stream:
        d.Resume(0, {})
        con = Console(stream)
        con.ready()
        assert "hello" in con.ask("echo hello")
    other = define(bus, tiny_xml("other", devices=serial))
    with bus.fails("InvalidState", "somebody has that port"):
        other.Start(0, {}, timeout=60)
    d.Terminate(0, {})


def test_what_is_said_to_qemu_itself(bus, qemud):
    """It is handed on as it stands, and marks the machine."""
    xml = tiny_xml("web").replace("<domain type='qemu'>", "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>").replace(
        "</domain>", "<qemu:commandline><qemu:arg value='-global'/><qemu:arg value='e1000.mac=52:54:00:00:00:09'/></qemu:commandline></domain>")
    d = define(bus, xml)
    d.Start(0, {}, timeout=60)
    assert d.Tainted == ["custom-argv"]
    assert "e1000.mac=52:54:00:00:00:09" in Path(f"/proc/{d.MainPID}/cmdline").read_text().split("\0")
    d.Terminate(0, {})


@pytest.mark.once
def test_secure_boot(bus, qemud):
    """The firmware with its keys comes up, finds nothing to boot, and says so on the console."""
    firmware = "<firmware><feature enabled='yes' name='secure-boot'/><feature enabled='yes' name='enrolled-keys'/></firmware>"
    xml = tiny_xml("safe", memory=128, devices="<serial type='pty'/>").replace("<os>", "<os firmware='efi'>" + firmware)
    d = define(bus, xml)
    d.Start(0, {}, timeout=60)
    assert d.Firmware == "efi" and "secure='yes'" in d.ExportDefinition(FORMAT, LIVE).replace('"', "'")
    console(bus, d).wait("BdsDxe|Boot Manager", timeout=180)
    d.Terminate(0, {})


def test_break(bus, qemud, guest_image):
    """A guest's kernel listens to what follows one."""
    d = define(bus, guest_xml(guest_image))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("sh echo 1 >/proc/sys/kernel/sysrq; echo 7 >/proc/sys/kernel/printk")
    device(bus, d, "serial0").SendBreak(0, {})
    con.stream.send(b"h")
    con.wait("HELP")
    d.Terminate(0, {})
    with bus.fails("InvalidState", "shutoff"):
        device(bus, d, "serial0").SendBreak(0, {})


def test_channel(bus, qemud, guest_image):
    """One that is nobody's is whose who opens it: all of them read, one writes."""
    d = define(bus, guest_xml(guest_image, devices="<channel type='unix'><target type='virtio' name='org.example.0'/></channel>"))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("ports")
    port = "/dev/" + con.ask("sh basename $(dirname $(grep -l org.example /sys/class/virtio-ports/*/name))")[0]
    channel = device(bus, d, "channel0")
    con.ask(f"sh echo from before >{port}")
    first, second = channel.Open(0, {}).socket(), channel.Open(0, {"write": False}).socket()
    assert channel.TTY == ""
    for s in (first, second):
        s.settimeout(patient(10))
        assert s.recv(100) == b"from before\n"
    con.ask(f"sh head -n 1 {port} >/got &")
    first.send(b"from the host\n")
    assert con.ask("sh while ! [ -s /got ]; do usleep 50000; done; cat /got") == ["from the host"]
    with bus.fails("Busy"):
        channel.Open(0, {})
    for s in (first, second):
        s.close()
    d.Terminate(0, {})
