# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever comes in, the daemon gives a clear error (or it works), lives on, and nothing is half done."""

import os
import re
import signal
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from bus import BusError, Client, Gio
from domains import FORMAT, NO_WAIT, SERVICE, define, disk_xml, job_done, tiny_xml
from pace import at_most

pytestmark = pytest.mark.bus
QEMU = "/usr/bin/qemu-system-x86_64"


@pytest.fixture
def alive(bus, qemud):
    """The manager; after the test it must be the same process, with no domain but those the test lists in `alive.left`."""
    qemud.ListDomains()
    pid = bus.owner_pid(SERVICE)
    qemud.__dict__["left"] = []
    yield qemud
    assert bus.owner_pid(SERVICE) == pid, "the daemon died"
    assert sorted(d[0] for d in qemud.ListDomains()) == sorted(qemud.__dict__["left"])
    assert all(d[1] == "shutoff" for d in qemud.ListDomains())


BASE = tiny_xml("x")
BAD_TEXTS = {
    "empty": ("", "InvalidDefinition", ""),
    "no xml": ("hello", "InvalidDefinition", "line 1"),
    "cut off": (BASE[:len(BASE) // 2], "InvalidDefinition", "line "),
    "other root": ("<network/>", "InvalidDefinition", "domain"),
    "entity": ('<!DOCTYPE domain [<!ENTITY a "aaaa">]>' + BASE.replace(">x<", ">&a;<"), "InvalidDefinition", "document type"),
    "external entity": ('<!DOCTYPE domain [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + BASE.replace(">x<", ">&a;<"), "InvalidDefinition", "document type"),
    "laughs": ('<!DOCTYPE d [<!ENTITY a "aa"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]><domain>&c;</domain>', "InvalidDefinition", "document type"),
    "deep": ("<domain>" + "<a>" * 5000 + "</a>" * 5000 + "</domain>", "InvalidDefinition", ""),
    "long attribute": (BASE.replace("type='qemu'", f"type='{'q' * 100000}'"), "InvalidDefinition", ""),
    "too large": ("<domain><description>" + "x" * (9 << 20) + "</description></domain>", "InvalidDefinition", ""),
    "latin-1 declared": ('<?xml version="1.0" encoding="ISO-8859-1"?>' + BASE.replace(">x<", "><"), "InvalidDefinition", "name"),
    "control characters": (BASE.replace(">x<", ">a\x01b<"), "InvalidDefinition", "line 2"),
    "no name": (BASE.replace("<name>x</name>", ""), "InvalidDefinition", "name"),
    "two names": (BASE.replace("<name>x</name>", "<name>x</name><name>y</name>"), "InvalidDefinition", "name"),
    "unknown element": (BASE.replace("<vcpu>", "<vcpuu>").replace("</vcpu>", "</vcpuu>"), "InvalidDefinition", "vcpu"),
    "unknown attribute": (BASE.replace("<vcpu>", "<vcpu plaecment='static'>"), "InvalidDefinition", "placement"),
    "zero memory": (BASE.replace(">16<", ">0<"), "InvalidDefinition", "memory"),
    "negative memory": (BASE.replace(">16<", ">-16<"), "InvalidDefinition", "-16"),
    "huge memory": (BASE.replace(">16<", ">99999999999999999999<"), "InvalidDefinition", "memory"),
    "a TiB": (BASE.replace("unit='MiB'>16<", "unit='TiB'>1<"), "NotSupported", "memory"),
    "zero vcpus": (BASE.replace("<vcpu>1", "<vcpu>0"), "InvalidDefinition", "vcpu"),
    "million vcpus": (BASE.replace("<vcpu>1", "<vcpu>1000000"), "", "vcpu"),
    "unknown machine": (BASE.replace("machine='q35'", "machine='q36'"), "NotSupported", "q35"),
    "other architecture": (BASE.replace("arch='x86_64'", "arch='s390x'"), "NotSupported", ""),
    "bad uuid": (BASE.replace("<vcpu>", "<uuid>1234</uuid><vcpu>"), "InvalidDefinition", "uuid"),
    "relative emulator": (BASE.replace("<devices>", "<devices><emulator>qemu</emulator>"), "", "emulator"),
    "unknown bus": (BASE.replace("<devices>", "<devices>" + disk_xml("/tmp/x", "vda", "nvme")), "InvalidDefinition", "nvme"),
    "same target twice": (BASE.replace("<devices>", "<devices>" + disk_xml("/a") + disk_xml("/b")), "InvalidDefinition", "vda"),
}


@pytest.mark.parametrize("what", BAD_TEXTS)
def test_bad_definitions(bus, alive, what):
    text, error, mention = BAD_TEXTS[what]
    if what == "too large":
        try:
            alive.DefineDomain(FORMAT, text, 0, {})
        except BusError as e:
            assert "InvalidDefinition" in e.name and "are allowed" in e.message
        return
    with pytest.raises(BusError) as caught:
        alive.DefineDomain(FORMAT, text, 0, {})
    assert caught.value.name.startswith(("org.virtbus.Error.", "org.freedesktop.DBus.Error."))
    assert error in caught.value.name and mention in caught.value.message, caught.value
    assert "nternal" not in caught.value.message
    assert not (bus.directory / "config/virtbus/domains").exists()


@pytest.mark.parametrize("name, good", [
    ("a/b", False), ("..", False), (".", False), (".hidden", False), ("-x", False), ("two\nlines", False), ("n" * 300, False),
    ("tab\tbed", False), ("", False), ("n" * 200, True), ("grüße", True), ("日本", True), ("a b", True), ("100%", True), ("a'b\"c", True),
])
def test_names(bus, alive, name, good):
    try:
        domain = define(bus, tiny_xml(name))
    except BusError as e:
        assert not good and e.name.endswith("InvalidDefinition") and "name" in e.message
        return
    assert good and domain.Name == name
    assert [p.suffix for p in (bus.directory / "config/virtbus/domains").iterdir()] == [".xml"]
    domain.Start(0, {})
    domain.Terminate(0, {})
    domain.Undefine(0, {})


def test_duplicates(bus, alive):
    first = define(bus, tiny_xml("one"))
    define(bus, tiny_xml("two"))
    alive.__dict__["left"] = ["one", "two"]
    uuid = str(first.UUID.hex())
    with bus.fails("Error.DomainExists", "one"):
        define(bus, tiny_xml("three", extra=f"<uuid>{uuid}</uuid>"))
    with bus.fails("Error.DomainExists", "two"):
        define(bus, tiny_xml("two", extra=f"<uuid>{uuid}</uuid>"))
    with bus.fails("Error.DomainExists", "one"):
        alive.DefineDomain(FORMAT, tiny_xml("one"), 0, {"create-only": True})
    with bus.fails("Error.DomainExists", "one"):
        alive.StartTransient(FORMAT, tiny_xml("one"), [], 0, {})


def images(folder):
    def img(*args):
        subprocess.run(["qemu-img", *map(str, args)], cwd=folder, check=True, capture_output=True)
    (folder / "dir").mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "lie").write_bytes(bytes(4096))
    (folder / "file").write_bytes(bytes(4096))
    img("create", "-f", "qcow2", "a.qcow2", "1M")
    img("create", "-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", "b.qcow2")
    img("rebase", "-u", "-b", "b.qcow2", "-F", "qcow2", "a.qcow2")
    img("create", "-f", "qcow2", "-b", "gone.raw", "-F", "raw", "-u", "orphan.qcow2", "1M")


@pytest.mark.parametrize("file, kind, mention", [
    ("missing", "raw", "does not exist"), ("dir", "raw", "is a folder"), ("fifo", "raw", "is a pipe"), ("lie", "qcow2", "is no qcow2 image"),
    ("file/below", "raw", "file"), ("b.qcow2", "qcow2", "comes back to it"), ("orphan.qcow2", "qcow2", "gone.raw"),
])
def test_images(bus, alive, tmp_path, file, kind, mention):
    images(tmp_path)
    domain = define(bus, tiny_xml("x", disk_xml(tmp_path / file, kind=kind)))
    alive.__dict__["left"] = ["x"]
    with pytest.raises(BusError) as caught:
        domain.Start(0, {})
    assert mention in caught.value.message and str(tmp_path) in caught.value.message, caught.value
    assert domain.State == "shutoff" and domain.StateReason == "failed" and mention in domain.LastError[0]
    assert domain.MainPID == 0


def test_image_in_a_closed_folder():
    """For somebody who is not root."""
    if os.getuid() != 0:
        pytest.skip("root lends its powers to nobody here")
    top = tempfile.TemporaryDirectory(dir="/tmp")
    os.chmod(top.name, 0o755)
    closed = Path(top.name) / "closed"
    closed.mkdir()
    (closed / "d.img").write_bytes(bytes(4096))
    closed.chmod(0o000)
    worker = os.path.join(os.environ["VIRTBUS_BUILD"], "virtqemud", "virtqemu-image")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request = '[{"path":"%s","want":"fd","format":"raw","writable":true}]' % (closed / "d.img")
    with subprocess.Popen(["setpriv", "--reuid=65534", "--clear-groups", worker], stdin=subprocess.PIPE,
                          preexec_fn=lambda: os.dup2(theirs.fileno(), 3), pass_fds=[3, theirs.fileno()], text=True) as p:
        p.communicate(request, timeout=20)
    theirs.close()
    said = b"".join(iter(lambda: ours.recv(4096), b"")).decode()
    top.cleanup()
    assert f"folder {closed} can't be entered by user 65534" in said


def fake_qemu(folder, action):
    """A QEMU that describes itself truly and then misbehaves on its monitor."""
    path = folder / "fake-qemu"
    path.write_text(f"""#!/usr/bin/python3
import os, signal, socket, sys, time
arguments = " ".join(sys.argv)
if "-machine none" in arguments:
    os.execv({QEMU!r}, [{QEMU!r}, *sys.argv[1:]])
action = {action!r}
if action == "ends at once":
    sys.stderr.write("the dog ate my firmware\\n")
    sys.exit(3)
if action == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
fd = arguments.split("id=mon0,fd=")[1].split(",")[0]
connection, _ = socket.socket(fileno=int(fd)).accept()
if action == "closes":
    sys.exit(0)
connection.sendall({{"garbage": b"this is not QMP\\n", "half a line": b'{{"QMP": {{"version'}}.get(action, b"x"))
while action == "endless line":
    connection.sendall(b"x" * 65536)
time.sleep(60)
""")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("action, mention", [
    ("garbage", ""), ("endless line", ""), ("closes", ""), ("ends at once", "the dog ate my firmware"), ("killed", ""),
])
def test_qemu_that_misbehaves(bus, alive, tmp_path, action, mention):
    fake = fake_qemu(tmp_path, action)
    domain = define(bus, tiny_xml("x", f"<emulator>{fake}</emulator>"))
    alive.__dict__["left"] = ["x"]
    began = time.monotonic()
    with pytest.raises(BusError) as caught:
        domain.Start(0, {})
    assert mention in caught.value.message and caught.value.name.startswith("org.virtbus.Error."), caught.value
    assert time.monotonic() - began < 40
    bus.wait_property(domain, "State", "shutoff")
    define(bus, tiny_xml("x"))
    domain.Start(0, {})
    domain.Terminate(0, {})


def test_silent_qemu_can_be_terminated(bus, alive, tmp_path):
    fake = fake_qemu(tmp_path, "half a line")
    domain = define(bus, tiny_xml("x", f"<emulator>{fake}</emulator>"))
    alive.__dict__["left"] = ["x"]
    job = domain.Start(NO_WAIT, {})
    bus.wait_property(domain, "State", "starting")
    time.sleep(0.5)
    assert alive.ListDomains()[0][1] == "starting"
    began = time.monotonic()
    domain.Terminate(0, {})
    assert time.monotonic() - began < at_most(3) and domain.State == "shutoff"
    assert job_done(bus, job)[0] == "canceled"


def test_emulators_that_can_not_be_asked(bus, alive, tmp_path):
    for name, text, mention in (("missing", None, "is not installed"), ("silent", "#!/bin/sh\nexit 1\n", "status 1"),
                                ("noise", "#!/bin/sh\necho noise; echo why >&2\n", "why")):
        path = tmp_path / name
        if text:
            path.write_text(text)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        with pytest.raises(BusError) as caught:
            define(bus, tiny_xml("x", f"<emulator>{path}</emulator>"))
        assert str(path) in caught.value.message and mention in caught.value.message, caught.value


@pytest.mark.parametrize("delay", [0, 0.005, 0.02, 0.04, 0.06, 0.1])
def test_supervisor_that_dies(bus, alive, delay):
    domain = define(bus, tiny_xml("x"))
    alive.__dict__["left"] = ["x"]
    job = domain.Start(NO_WAIT, {})
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [p for p in bus.watch.alive() if comm(p) in ("virtqemu-run", "virtqemu-watch")]
        if found:
            break
    time.sleep(delay)
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    bus.wait_property(domain, "State", "shutoff")
    assert job_done(bus, job)[0] in ("failed", "done", "canceled")
    domain.Start(0, {})
    domain.Terminate(0, {})


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return ""


def test_client_that_leaves(bus, alive):
    """Calls whose caller is gone before the answer are finished all the same."""
    domain = define(bus, tiny_xml("x"))
    alive.__dict__["left"] = ["x"]
    from gi.repository import Gio, GLib
    for _ in range(5):
        other = Client(bus.address)
        other.manager = other.object(SERVICE, "/org/virtbus/qemu1")
        other.manager.Reload()   # it is known from then on
        other.connection.call(SERVICE, domain.path, "org.virtbus.qemu1.Domain", "Start", GLib.Variant("(ta{sv})", (0, {})), None,
                              Gio.DBusCallFlags.NONE, 1000, None, None)
        other.connection.flush_sync(None)
        other.close()
        bus.wait_property(domain, "State", "running")
        domain.Terminate(0, {})


def test_wrong_arguments(bus, alive):
    domain = define(bus, tiny_xml("x"))
    alive.__dict__["left"] = ["x"]
    with bus.fails("Error.InvalidArgs", "0x40000000"):
        domain.Start(1 << 30, {})
    with bus.fails("Error.InvalidArgs", "nonsense"):
        domain.Start(0, {"nonsense": 1})
    with bus.fails("Error.InvalidArgs", "paused"):
        domain.Start(0, {"paused": "yes"})
    with bus.fails("Error.InvalidArgs", "yaml"):
        alive.DefineDomain("yaml", "", 0, {})
    with bus.fails("Error.InvalidArgs", "16 bytes"):
        alive.GetDomainByUUID(b"short")
    with bus.fails("Error.AccessDenied"):
        alive.GetPlan("x")
    with bus.fails("Error.NoSuchDomain"):
        alive.StartDomain("y", 0)
    with bus.fails("UnknownMethod"):
        bus.call(SERVICE, domain.path, "org.virtbus.qemu1.Domain", "Explode")
    with bus.fails("UnknownObject"):
        bus.call(SERVICE, domain.path + "/device/nothing", "org.virtbus.qemu1.Device", "Detach")


def test_private_socket_takes_garbage(bus, alive):
    """Noise on the peer socket ends that connection and nothing else."""
    path = str(bus.directory / "run/virtbus/virtqemud.sock")
    for noise in (b"\0", b"hello\r\n", b"\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n" + b"l\1\0\1" + b"\xff" * 4096, os.urandom(65536)):
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        try:
            s.sendall(noise)
        except OSError:
            pass
        s.close()
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(100)]
    for s in waiting:
        s.connect(path)
    assert alive.ListDomains() == []
    for s in waiting:
        s.close()


def test_private_socket_and_a_client_in_a_hurry(bus, alive):
    """GDBus sends its first call together with the end of the authentication: it is answered without more being said."""
    address = f"unix:path={bus.directory}/run/virtbus/virtqemud.sock"
    for _ in range(50):
        connection = Gio.DBusConnection.new_for_address_sync(address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
        answer = connection.call_sync(None, "/org/virtbus/qemu1", "org.virtbus.qemu1.Manager", "ListDomains", None, None, Gio.DBusCallFlags.NONE, 10000, None)
        assert answer.unpack() == ([],)
        connection.close_sync(None)


def test_memory_that_is_encrypted(alive, bus):
    """It is refused with what this host lacks for it, if that is anything."""
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    setting = Path("/sys/module/kvm_amd/parameters/sev")
    if not flags or "sev" not in flags[1].split():
        answer = "this host's CPU has no AMD SEV"
    elif not setting.exists() or setting.read_text().strip() in ("N", "0"):
        answer = "KVM does not offer AMD SEV"
    else:
        answer = "this host has AMD SEV, but encrypted memory is not done"
    with bus.fails("NotSupported", f"domain/launchSecurity: @type: 'sev': {answer}"):
        define(bus, tiny_xml("secret", extra="<launchSecurity type='sev'><policy>0x3</policy></launchSecurity>"))
