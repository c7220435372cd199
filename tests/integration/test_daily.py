# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is done with virtctl every day: definitions in an editor, waiting, addresses, logs, jobs, displays."""

import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from bus import DBUS
from domains import CONFIG, FORMAT, SENSITIVE, console, define, disk_xml, guest_xml, job_done, tiny_xml
from pace import Deadline, patient
from test_graphics import read, rfb, spice
from test_hotplug import until

pytestmark = pytest.mark.bus
PROGRAM = Path(os.environ["VIRTBUS_BUILD"]) / "virtctl" / "virtctl"


@pytest.fixture
def virtctl(bus, qemud):
    def run(*args, check=True, **options):
        return bus.run(PROGRAM, "--user", *args, check=check, **options)
    return run


class Terminal:
    """virtctl on a terminal of its own."""

    def __init__(self, bus, *arguments, **environment):
        self.ours, theirs = pty.openpty()
        self.said = ""
        self.process = subprocess.Popen([str(PROGRAM), "--user", *map(str, arguments)], env={**bus.environment, **environment}, stdin=theirs, stdout=theirs,
                                        stderr=theirs, start_new_session=True)
        os.close(theirs)

    def until(self, text, seconds=60):
        deadline = Deadline(seconds)
        while text not in self.said:
            assert select.select([self.ours], [], [], max(0, deadline.left()))[0], f"no {text!r} in {self.said!r}"
            try:
                self.said += os.read(self.ours, 65536).decode(errors="replace").replace("\r\n", "\n")
            except OSError:
                raise AssertionError(f"no {text!r} in {self.said!r}") from None
        before, _, self.said = self.said.partition(text)
        return before + text

    def type(self, keys):
        os.write(self.ours, keys.encode())

    def end(self, seconds=30):
        """The rest of what it says, and its exit status."""
        while select.select([self.ours], [], [], patient(seconds))[0]:
            try:
                self.said += os.read(self.ours, 65536).decode(errors="replace").replace("\r\n", "\n")
            except OSError:
                break
        os.close(self.ours)
        return self.said, self.process.wait(patient(seconds))


# --- edit ---

def editor(bus, name, *commands):
    """An editor whose n-th call runs the n-th command on the file in $1."""
    folder = bus.directory / name
    folder.mkdir()
    for i, command in enumerate(commands):
        (folder / f"{i}").write_text(command)
    program = folder / "editor"
    program.write_text(f"#!/bin/sh\nn=$(cat {folder}/n 2>/dev/null || echo 0)\necho $((n + 1)) >{folder}/n\n"
                       f"stat -c %a \"$1\" >{folder}/mode\n. {folder}/$n\n")
    program.chmod(0o755)
    return str(program)


def run(bus, *args, editor):
    return subprocess.run([PROGRAM, "--user", *args], env={**bus.environment, "EDITOR": editor}, capture_output=True, text=True, timeout=patient(60), stdin=subprocess.DEVNULL)


def left(bus):
    return sorted((bus.directory / "run").glob("virtctl-*"))


def test_edit(bus, virtctl):
    d = define(bus, tiny_xml("web"))
    done = run(bus, "edit", "web", editor=editor(bus, "e1", "sed -i 's,>16<,>24<,; s,<vcpu>,<!-- mine --><vcpu>,' \"$1\""))
    assert done.returncode == 0 and done.stderr == "VM web is changed.\n", done.stderr
    assert d.MemoryMax == 24 << 20 and "<!-- mine -->" in virtctl("cat", "web").stdout and (bus.directory / "e1/mode").read_text() == "600\n"
    same = run(bus, "edit", "web", editor="true")
    assert same.returncode == 0 and same.stderr == "web is as it was: there is nothing to do.\n" and d.ConfigGeneration == 2
    failed = run(bus, "edit", "web", editor="false")
    assert failed.returncode == 1 and 'the editor "false" has failed: nothing is changed' in failed.stderr
    nobody = run(bus, "edit", "web", editor="no-such-editor --wait")
    assert nobody.returncode == 1 and "EDITOR says which one is taken" in nobody.stderr
    renamed = run(bus, "edit", "web", editor="sed -i 's,>web<,>wab<,'")
    assert renamed.returncode == 1 and "virtctl rename web NEW-NAME" in renamed.stderr
    assert [p.read_text().count("<name>wab<") for p in left(bus)] == [1] and str(left(bus)[0]) in renamed.stderr
    left(bus)[0].unlink()
    assert run(bus, "edit", "wep", editor="true").returncode == 3 and left(bus) == []


def test_edit_of_what_runs(bus, virtctl):
    d = define(bus, tiny_xml("web", devices="<graphics type='vnc' autoport='yes' passwd='sesame'/>"))
    d.Start(0, {}, timeout=60)
    done = run(bus, "edit", "web", editor=editor(bus, "e1", "grep -q sesame \"$1\" && sed -i 's,>16<,>24<,' \"$1\""))
    assert done.returncode == 0 and "It runs, and these changes wait:\n  memory: until it is powered off and started\n" in done.stderr, done.stderr
    assert "sesame" in d.ExportDefinition(FORMAT, CONFIG | SENSITIVE)
    d.Terminate(0, {})


def test_secrets_that_are_not_in_the_text_stay(bus, qemud):
    d = define(bus, tiny_xml("web", devices="<graphics type='vnc' autoport='yes' passwd='sesame'/>"))
    text = d.ExportDefinition(FORMAT, CONFIG)
    assert "sesame" not in text
    d.Reconfigure(FORMAT, text.replace(">16<", ">24<"), 0, {"keep-secrets": True})
    assert "sesame" in d.ExportDefinition(FORMAT, CONFIG | SENSITIVE) and d.MemoryMax == 24 << 20
    d.Reconfigure(FORMAT, text, 0, {})
    assert "sesame" not in d.ExportDefinition(FORMAT, CONFIG | SENSITIVE)


def test_edit_that_is_refused(bus, virtctl):
    """The line is shown; the editor comes again, with what was written."""
    d = define(bus, tiny_xml("web"))
    e = editor(bus, "e1", "sed -i 's,memory,memori,g' \"$1\"", "grep -q memori \"$1\" && sed -i 's,memori,memory,g; s,>16<,>24<,' \"$1\"")
    t = Terminal(bus, "edit", "web", EDITOR=e)
    said = t.until("[e]dit again, [q]uit? ")
    lines = [line for line in said.splitlines() if " > " in line]
    assert len(lines) == 1 and "<memori unit" in lines[0] and "memory" in said and "is kept in " in said
    t.type("x\n")
    t.until("[e]dit again, [q]uit? ")
    t.type("e\n")
    said, status = t.end()
    assert status == 0 and "VM web is changed." in said and d.MemoryMax == 24 << 20 and left(bus) == []
    t = Terminal(bus, "edit", "web", EDITOR=editor(bus, "e2", "sed -i 's,memory,memori,g' \"$1\""))
    t.until("[q]uit? ")
    t.type("q\n")
    assert t.end()[1] == 1 and "memori" in left(bus)[0].read_text() and left(bus)[0].stat().st_mode & 0o777 == 0o600
    left(bus)[0].unlink()


def test_edit_while_somebody_else_does(bus, virtctl):
    d = define(bus, tiny_xml("web"))
    other = f"{PROGRAM} --user set-memory web 12M; "
    e = editor(bus, "e1", other + "sed -i 's,>16<,>24<,' \"$1\"")
    refused = run(bus, "edit", "web", editor=e)
    assert refused.returncode == 1 and "web was changed meanwhile" in refused.stderr and d.MemoryMax == 16 << 20
    left(bus)[0].unlink()
    t = Terminal(bus, "edit", "web", EDITOR=editor(bus, "e2", other + "sed -i 's,>16<,>24<,' \"$1\""))
    t.until("[o]verwrite what was changed meanwhile")
    t.type("o\n")
    said, status = t.end()
    assert status == 0 and d.MemoryMax == 24 << 20 and left(bus) == []


def test_edit_of_networks_and_pools(bus, virtctl, tmp_path):
    (tmp_path / "p.xml").write_text(f"<pool type='dir'><name>p</name><target><path>{tmp_path}</path></target></pool>")
    virtctl("define-pool", tmp_path / "p.xml")
    virtctl("start-pool", "p")
    (tmp_path / "other").mkdir()
    done = run(bus, "edit-pool", "p", editor=f"sed -i s,{tmp_path},{tmp_path}/other,")
    assert done.returncode == 0 and "virtctl stop-pool p && virtctl start-pool p" in done.stderr
    assert f"{tmp_path}/other" in virtctl("cat-pool", "p").stdout
    path = virtctl("cat-pool", "p").stdout
    late = run(bus, "edit-pool", "p", editor=editor(bus, "e1", f"{PROGRAM} --user define-pool {tmp_path}/p.xml; sed -i s,other,another, \"$1\""))
    assert late.returncode == 1 and "p was changed meanwhile" in late.stderr, path
    left(bus)[0].unlink()
    virtctl("stop-pool", "p")
    (tmp_path / "n.xml").write_text("<network><name>n</name><ip address='10.77.0.1' netmask='255.255.255.0'/></network>")
    by_address = (PROGRAM, "--address", bus.environment["DBUS_SESSION_BUS_ADDRESS"])
    bus.run(*by_address, "define-network", tmp_path / "n.xml")
    done = subprocess.run([*by_address, "edit-network", "n"], env={**bus.environment, "EDITOR": "sed -i s,10.77.0.1,10.78.0.1,"}, capture_output=True, text=True, timeout=patient(60))
    assert done.returncode == 0 and done.stderr == "Network n is changed.\n", done.stderr
    assert "10.78.0.1" in bus.run(*by_address, "cat-network", "n").stdout


# --- size, addresses, waiting ---

def test_resize(bus, virtctl, tmp_path):
    image = tmp_path / "d.img"
    image.write_bytes(bytes(1 << 20))
    d = define(bus, tiny_xml("web", devices=disk_xml(image)))
    off = virtctl("resize", "web", "vda", "4M", check=False)
    assert off.returncode == 1 and "web does not run" in off.stderr and "virtctl resize-volume" in off.stderr
    d.Start(0, {}, timeout=60)
    virtctl("resize", "web", "vda", "4M")
    assert image.stat().st_size == 4 << 20
    smaller = virtctl("resize", "web", "virtio-disk0", "2M", check=False)
    assert smaller.returncode == 1 and "has 4194304 bytes: what is beyond" in smaller.stderr
    assert image.stat().st_size == 4 << 20
    virtctl("resize", "--force", "web", "vda", "2M")
    assert image.stat().st_size == 2 << 20
    assert virtctl("resize", "web", "vda", "1001", "--force", check=False).returncode == 1
    assert virtctl("resize", "web", "vda", "large", check=False).returncode == 2
    assert virtctl("resize", "web", "vdb", "4M", check=False).returncode == 3
    d.Terminate(0, {})


def test_addresses_of_none(bus, virtctl):
    define(bus, tiny_xml("web"))
    assert "0 addresses listed." in virtctl("addresses").stdout and json.loads(virtctl("addresses", "web", "--json=short").stdout) == []
    assert virtctl("addresses", "wep", check=False).returncode == 3


def listens(bus, pid):
    """Whether a process has told the bus the last of what it waits for."""
    rules, = bus.call(*DBUS[:2], "org.freedesktop.DBus.Debug.Stats", "GetAllMatchRules")
    return pid in [bus.owner_pid(name) for name, of in rules.items() if any("NameOwnerChanged" in rule for rule in of)]


def waiting(bus, *arguments, job=False):
    """Begins to wait, and does so in truth, by a job of the daemon's or by itself."""
    p = bus.spawn(PROGRAM, "--user", "wait", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: "wait-for-address" in [j[2] for j in bus.manager("qemu1").ListJobs()] if job else listens(bus, p.pid))
    assert p.poll() is None
    return p


def test_wait(bus, virtctl):
    d = define(bus, tiny_xml("web", devices="<interface type='user'/>"))
    virtctl("wait", "web", "shutoff")
    p = waiting(bus, "web", "running")
    d.Start(0, {}, timeout=60)
    assert (p.wait(patient(30)), p.stdout.read(), p.stderr.read()) == (0, "", "")
    p = waiting(bus, "web", "paused")
    d.Suspend(0, {})
    assert p.wait(patient(30)) == 0
    for what, seconds in (("running", 1), ("agent", 0), ("ipv4", 1)):
        late = virtctl("wait", "web", what, f"--timeout={seconds}", check=False)
        assert late.returncode == 6 and "in time" in late.stderr, late
    p, q = waiting(bus, "web", "shutoff"), waiting(bus, "web", "address", job=True)
    d.Terminate(0, {})
    assert p.wait(patient(30)) == 0 and q.wait(patient(30)) == 1 and "had no address" in q.stderr.read()
    p, q = waiting(bus, "web", "running"), waiting(bus, "web", "address")
    virtctl("undefine", "web")
    assert p.wait(patient(30)) == 1 and q.wait(patient(30)) == 1 and "web is not there any more" in p.stderr.read()
    for wrong in (("web", "happy"), ("web", "agent", "--timeout=soon")):
        assert virtctl("wait", *wrong, check=False).returncode == 2
    assert virtctl("wait", "wep", "running", check=False).returncode == 3


# --- logs ---

def test_log(bus, virtctl, guest_image):
    d = define(bus, guest_xml(guest_image, devices="<serial type='pty'/>"))
    none = virtctl("log", "web", check=False)
    assert none.returncode == 3 and "it has not run since virtlogd keeps them" in none.stderr
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()

    def read(*more, **options):
        return virtctl("log", "web", *more, errors="replace", **options)

    con.ask(r"sh printf '\033[31mred\033]0;title\007 \302\233mand\377\n'")
    until(lambda: "red" in read().stdout)
    con.ask("echo the last line")
    until(lambda: read("serial0", "-n", "20").stdout.endswith("the last line\nOK\n"))
    whole = read().stdout
    assert "==> serial0 <==\n" in whole and "VIRTBUS-GUEST-READY" in whole and "\033[31mred" in whole, "files get it as it is"
    last = read("serial0", "--lines=3").stdout
    assert last.count("\n") <= 3 and "the last line" in last and whole.endswith(last)
    assert read("serial0", "-n0").stdout == "" and read("serial0", "-n", "all").stdout == read("serial0").stdout
    sources = json.loads(read("--json=short").stdout)
    assert {s["source"] for s in sources} >= {"serial0", "qemu"} and any("and\ufffd" in s["text"] for s in sources)
    t = Terminal(bus, "log", "web", "serial0", TERM="dumb", PAGER="")
    said, status = t.end()
    assert status == 0 and "\nred and" in said and "\033" not in said and "title" not in said
    wrong = read("serial7", check=False)
    assert wrong.returncode == 3 and 'web has no log "serial7"\n  There are: ' in wrong.stderr and "qemu" in wrong.stderr
    assert read("-n", "few", check=False).returncode == 2 and read("-f", "--json=short", check=False).returncode == 2
    assert set(bus.run(PROGRAM, "__complete", "--user", "log", "web", "").stdout.split()) >= {"qemu", "serial0", "serial1"}
    d.Terminate(0, {})
    d.Undefine(0, {})
    assert "the last line" in read("serial0").stdout, "logs outlive their VM"


def test_log_that_is_followed(bus, virtctl, guest_image):
    d = define(bus, guest_xml(guest_image))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    with bus.spawn(PROGRAM, "--user", "log", "-f", "web", stdout=subprocess.PIPE, text=True) as p:
        for i in range(20):
            con.ask(f"echo line {i}")
        assert any("line 19" in line for line in p.stdout)
        d.Terminate(0, {})
        assert p.wait(patient(30)) == 0, "it ends with the VM"


def test_log_without_virtlogd(tmp_path):
    import bus as bus_module
    with bus_module.Bus() as b:
        (b.directory / "services" / "org.virtbus.log1.service").unlink()
        b.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ReloadConfig")
        define(b, tiny_xml("web"))
        said = b.run(PROGRAM, "--user", "log", "web", check=False)
        assert said.returncode == 5 and "journalctl --user -u virtqemu@web.service" in said.stderr


# --- jobs ---

def test_jobs(bus, virtctl):
    assert "0 jobs listed." in virtctl("jobs").stdout
    d = define(bus, tiny_xml("web"))
    d.Start(0, {}, timeout=60)
    job = d.Shutdown("acpi", 0, {})
    number = job.rpartition("/")[2]
    head, row, *_ = virtctl("jobs").stdout.splitlines()
    assert head.split() == ["JOB", "DAEMON", "OPERATION", "OF", "PHASE", "DONE", "FOR", "LEFT"]
    assert row.split()[:4] == [f"qemu/{number}", "virtqemud", "shutdown", "web"]
    listed, = json.loads(virtctl("jobs", "--json=short").stdout)
    assert listed["path"] == job and listed["name"] == "web" and listed["cancelable"] is True and listed["since"] > 0 and listed["progress"] == -1
    assert bus.run(PROGRAM, "__complete", "--user", "cancel", "").stdout.split() == [f"qemu/{number}"]
    assert bus.owner_pid("org.virtbus.storage1") is None, "nobody was started to be asked"
    virtctl("cancel", f"qemu/{number}")
    assert job_done(bus, job)[0] == "canceled" and d.State == "running"
    job = d.Shutdown("acpi", 0, {})
    virtctl("cancel", job.rpartition("/")[2])
    assert job_done(bus, job)[0] == "canceled"
    gone = virtctl("cancel", f"qemu/{number}", check=False)
    assert gone.returncode == 3 and f"there is no job qemu/{number}" in gone.stderr
    d.Terminate(0, {})


def test_jobs_of_storage(bus, virtctl, tmp_path):
    """By its number alone a job is found where it is the only one."""
    (tmp_path / "images").mkdir()
    (tmp_path / "p.xml").write_text(f"<pool type='dir'><name>p</name><target><path>{tmp_path}/images</path></target></pool>")
    virtctl("define-pool", tmp_path / "p.xml")
    virtctl("start-pool", "p")

    def upload(name, jobs):
        virtctl("create-volume", "p", name, "4M")
        p = bus.spawn(PROGRAM, "--user", "upload-volume", "p", name, "-", stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        until(lambda: len(json.loads(virtctl("jobs", "--json=short").stdout)), jobs)
        return p
    with upload("a", 1) as first, upload("v", 2) as second:
        job, = [j for j in json.loads(virtctl("jobs", "--json=short").stdout) if j["name"] == "v"]
        assert job["daemon"] == "virtstoraged" and job["job"] == f"storage/{job['id']}"
        d = define(bus, tiny_xml("web"))
        d.Start(0, {}, timeout=60)
        while (other := d.Shutdown("acpi", 0, {})).rpartition("/")[2] != str(job["id"]):
            assert int(other.rpartition("/")[2]) < job["id"]
            virtctl("cancel", f"qemu/{other.rpartition('/')[2]}")
            assert job_done(bus, other)[0] == "canceled"
        both = virtctl("cancel", job["id"], check=False)
        assert both.returncode == 1 and f"{job['id']} can be qemu/{job['id']} or storage/{job['id']}" in both.stderr
        d.Terminate(0, {})
        virtctl("cancel", job["id"], "storage/1")
        assert first.wait(patient(30)) == second.wait(patient(30)) == 1
    virtctl("stop-pool", "p")


# --- displays ---

VNC, SPICE = "<graphics type='vnc' autoport='yes' passwd='sesame'/>", "<graphics type='spice'><listen type='none'/></graphics>"


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(str(path))
    return s


@pytest.fixture
def shown(bus):
    d = define(bus, tiny_xml("web", devices=SPICE + VNC))
    d.Start(0, {}, timeout=60)
    yield d
    d.Terminate(0, {})


def served(bus, path, *arguments):
    p = bus.spawn(PROGRAM, "--user", "display", "web", *arguments, f"--socket={path}", stderr=subprocess.PIPE, text=True)
    return p, p.stderr.readline()


def test_display_by_socket(bus, virtctl, shown, tmp_path):
    path = tmp_path / "s"
    p, said = served(bus, path, "vnc")
    assert f"remote-viewer vnc+unix://{path}\n" in said and path.stat().st_mode & 0o777 == 0o600
    with connect(path) as first, connect(path) as second:
        assert rfb(first)[0] == [1] and rfb(second)[0] == [1], "no password is asked for"
        # A whole picture, which is more than fits into a buffer.
        second.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, 320, 200))
        assert len(read(second, 16 + 320 * 200 * 4)) > 1 << 16
    again = virtctl("display", "web", f"--socket={path}", check=False)
    assert again.returncode == 1 and f"{path} is there already" in again.stderr
    p.send_signal(signal.SIGINT)
    assert p.wait(patient(30)) == 0 and not path.exists()
    p, said = served(bus, path)
    assert "spice+unix://" in said, "the first one"
    with connect(path) as one, connect(path) as two:
        assert spice(one) == (b"REDQ", 2, 0) and spice(two)[2] == 0, "SPICE has a connection for each channel"
    p.terminate()
    assert p.wait(patient(30)) == 0 and not path.exists()


FAKE_VIEWER = """#!/usr/bin/python3
import socket, sys
uri = sys.argv[1]
assert uri.startswith("vnc+unix:///"), uri
s = socket.socket(socket.AF_UNIX)
s.connect(uri[len("vnc+unix://"):])
hello = s.recv(12)
s.sendall(hello)
types = s.recv(64)
open(sys.argv[0] + ".said", "wb").write(hello + types)
sys.exit(int(types != b"\\x01\\x01"))
"""


def view(bus, *arguments, viewer):
    return subprocess.run([PROGRAM, "--user", "display", *arguments], env={**bus.environment, "VIRTCTL_VIEWER": str(viewer)}, capture_output=True, text=True, timeout=patient(60))


def test_display_in_a_viewer(bus, virtctl, shown, tmp_path):
    program = tmp_path / "viewer"
    program.write_text(FAKE_VIEWER)
    program.chmod(0o755)
    seen = view(bus, "web", "graphics1", viewer=program)
    assert seen.returncode == 0, seen.stderr
    assert Path(f"{program}.said").read_bytes() == b"RFB 003.008\n\x01\x01"
    assert list((bus.directory / "run").glob("virtctl-*")) == [], "the socket is gone with it"
    failed = view(bus, "web", viewer="exit 7; ")
    assert failed.returncode == 1
    missing = view(bus, "web", viewer="")
    assert missing.returncode == 1 and "in the package virt-viewer" in missing.stderr and "--socket=PATH" in missing.stderr
    with subprocess.Popen([PROGRAM, "--user", "display", "web"], env={**bus.environment, "VIRTCTL_VIEWER": "sleep 100 ;:"}) as p:
        until(lambda: len(list((bus.directory / "run").glob("virtctl-*/display"))), 1)
        p.send_signal(signal.SIGTERM)
        assert p.wait(patient(30)) == 0
    for _ in range(10):  # as soon as there is something to clean up
        with subprocess.Popen([PROGRAM, "--user", "display", "web"], env={**bus.environment, "VIRTCTL_VIEWER": "sleep 100 ;:"}) as p:
            while not left(bus):
                assert p.poll() is None
            p.send_signal(signal.SIGTERM)
            assert p.wait(patient(30)) == 0 and left(bus) == []
    none = virtctl("display", "web", "graphics7", check=False)
    assert none.returncode == 3 and "no display graphics7" in none.stderr
    assert bus.run(PROGRAM, "__complete", "--user", "display", "web", "").stdout.split() == ["graphics0", "graphics1"]
    define(bus, tiny_xml("off", devices=VNC))
    assert "off does not run" in virtctl("display", "off", check=False).stderr


# --- other hosts ---

@pytest.mark.parametrize("words, works", [
    (["console", "web"], "ssh far -t virtctl console web\n"),
    (["console", "web", "serial1", "--force"], "ssh far -t virtctl console --force web serial1\n"),
    (["screenshot", "web", "a.png"], "ssh far virtctl screenshot web - >a.png\n"),
    (["copy-to", "web", "here", "/there"], "ssh far virtctl copy-to web - /there <here\n"),
    (["copy-from", "web", "/there", "-"], "ssh far virtctl copy-from web /there -\n"),
    (["upload-volume", "images", "v", "here"], "ssh far virtctl upload-volume images v - <here\n"),
    (["log", "-f", "web"], "ssh far virtctl log --follow web\n"),
    (["display", "web"], "ssh far -t -L /tmp/web.sock:/tmp/web.sock virtctl display web --socket=/tmp/web.sock\n"),
])
def test_descriptors_do_not_travel(words, works):
    said = subprocess.run([PROGRAM, "-H", "far", *words], env={"PATH": "/nowhere"}, capture_output=True, text=True, timeout=patient(60))
    assert said.returncode == 1 and "can't travel by ssh" in said.stderr and said.stderr.partition("    ")[2].startswith(works), said.stderr
