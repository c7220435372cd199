# SPDX-License-Identifier: LGPL-2.1-or-later
"""Leases of domains' images: no two VMs use one image by accident, under whatever name."""

import os
import signal
import subprocess
import threading
import time

import pytest

from domains import FORMAT, NO_WAIT, define, disk_xml, tiny_xml
from pace import Deadline
from processes import files_of

pytestmark = pytest.mark.bus

LOCK1 = "org.virtbus.lock1"


@pytest.fixture
def lockd(bus, qemud):
    return bus.manager("lock1")


@pytest.fixture
def images(tmp_path):
    """base.raw <- a.qcow2, b.qcow2"""
    (tmp_path / "base.raw").write_bytes(bytes(1 << 20))
    for name in ("a", "b"):
        qemu_img("create", "-f", "qcow2", "-b", tmp_path / "base.raw", "-F", "raw", tmp_path / f"{name}.qcow2")
    return tmp_path


def qemu_img(*args):
    subprocess.run(["qemu-img", *map(str, args)], check=True, capture_output=True)


def vm(bus, name, path, kind="qcow2", extra="", more="", elements=""):
    return define(bus, tiny_xml(name, devices=disk_xml(path, kind=kind, extra=extra) + more, extra=elements))


def held(lockd):
    """Path, mode and owner of each lease."""
    return sorted((e[2], e[3], e[5]) for e in lockd.ListLeases(""))


def until_held(lockd, expected):
    deadline = time.monotonic() + 60
    while (now := held(lockd)) != sorted(expected):
        assert time.monotonic() < deadline, now
        time.sleep(0.02)


def end(bus, *domains):
    for d in domains:
        d.Terminate(0, {})


def leases_of(lockd, images, *names):
    return [(str(images / f"{n}.qcow2"), "exclusive", n) for n in names] + [(str(images / "base.raw"), "shared", n) for n in names]


def test_chains_share_what_is_below(bus, lockd, images):
    domains = [vm(bus, name, images / f"{name}.qcow2") for name in ("a", "b")]
    for d in domains:
        d.Start(0, {})
    assert held(lockd) == sorted(leases_of(lockd, images, "a", "b"))
    [(*_, unit, host, pid, _), *_] = [e for e in lockd.ListLeases("") if e[5] == "a"]
    with open(f"/proc/{pid}/cmdline") as f:
        assert "guest=a," in f.read()
    assert host == os.uname().nodename
    end(bus, domains[0])
    until_held(lockd, leases_of(lockd, images, "b"))
    end(bus, domains[1])
    until_held(lockd, [])


def names_of(images):
    os.symlink(images / "a.qcow2", images / "symlink.qcow2")
    os.link(images / "a.qcow2", images / "hardlink.qcow2")
    (images / "folder").mkdir()
    os.symlink(images, images / "folder" / "up")
    return ["a.qcow2", "symlink.qcow2", "hardlink.qcow2", "folder/up/a.qcow2", "folder/../a.qcow2"]


def test_one_image_under_many_names(bus, lockd, images):
    first = vm(bus, "first", images / "a.qcow2")
    first.Start(0, {})
    for n, name in enumerate(names_of(images)):
        second = vm(bus, f"second{n}", images / name)
        with bus.fails("LeaseHeld", f"{images / name} is in use by first (process ") as caught:
            second.Start(0, {})
        assert "stop it first; or, if both may write into it, mark the disk as <shareable/> in both" in caught["error"].message
        assert (second.State, second.StateReason, second.MainPID) == ("shutoff", "failed", 0)
        assert "is in use by first" in second.LastError[0]
    assert held(lockd) == [(str(images / "a.qcow2"), "exclusive", "first"), (str(images / "base.raw"), "shared", "first")]
    end(bus, first)
    second.Start(0, {})
    end(bus, second)


def test_a_base_image_is_not_written_while_it_is_one(bus, lockd, images):
    layer, base = vm(bus, "layer", images / "a.qcow2"), vm(bus, "base", images / "base.raw", kind="raw")
    layer.Start(0, {})
    with bus.fails("LeaseHeld", f"{images}/base.raw is in use, shared, by layer"):
        base.Start(0, {})
    end(bus, layer)
    base.Start(0, {})
    with bus.fails("LeaseHeld", f"{images}/base.raw is in use by base"):
        layer.Start(0, {})
    assert held(lockd) == [(f"{images}/base.raw", "exclusive", "base")], "what was taken before is given back"
    end(bus, base)


def test_shareable_and_readonly(bus, lockd, images):
    for n, extra in enumerate(("<shareable/>", "<readonly/>")):
        both = [vm(bus, f"{name}{n}", images / "base.raw", kind="raw", extra=extra) for name in ("a", "b")]
        for d in both:
            d.Start(0, {})
        alone = vm(bus, f"alone{n}", images / "base.raw", kind="raw")
        with bus.fails("LeaseHeld", "is in use, shared, by "):
            alone.Start(0, {})
        assert {mode for _, mode, _ in held(lockd)} == {"shared"}
        end(bus, *both)


def test_one_image_twice_in_a_domain(bus, lockd, images):
    twice = vm(bus, "twice", images / "a.qcow2", more=disk_xml(images / "a.qcow2", target="vdb", kind="qcow2"))
    with bus.fails("InvalidDefinition", f"twice uses {images}/a.qcow2 twice, and writes into it"):
        twice.Start(0, {})
    below = vm(bus, "below", images / "a.qcow2", more=disk_xml(images / "base.raw", target="vdb"))
    with bus.fails("InvalidDefinition", f"below uses {images}/base.raw twice"):
        below.Start(0, {})
    fine = vm(bus, "fine", images / "a.qcow2", more=disk_xml(images / "b.qcow2", target="vdb", kind="qcow2"))
    fine.Start(0, {})
    assert len(held(lockd)) == 3
    end(bus, fine)


def test_daemons_die_and_the_lease_stays(bus, lockd, images):
    first, second = vm(bus, "first", images / "a.qcow2"), vm(bus, "second", images / "a.qcow2")
    first.Start(0, {})
    pid = first.MainPID
    for service in (LOCK1, "org.virtbus.qemu1", LOCK1):
        bus.stop_service(service, signal.SIGKILL)
        with bus.fails("LeaseHeld", "in use by first (process "):
            second.Start(0, {})
    # Not the supervisor's end, QEMU's end is the lease's end.
    os.kill(pid, signal.SIGKILL)
    bus.wait_property(first, "State", "shutoff")
    until_held(lockd, [])
    second.Start(0, {})
    end(bus, second)


def test_qemu_has_no_lock_file_that_others_share(bus, lockd, images):
    d = vm(bus, "a", images / "a.qcow2")
    d.Start(0, {})
    qemu = d.MainPID
    supervisor = int(open(f"/proc/{qemu}/stat").read().rpartition(")")[2].split()[1])

    def lock_files(pid):
        return sorted(link for link in files_of(pid) if "/virtbus/lock/" in link)
    assert len(lock_files(supervisor)) == 1 and len(lock_files(qemu)) == 1
    status = (images / "a.qcow2").stat()
    assert lock_files(qemu)[0].endswith(f"/file-{os.major(status.st_dev)}-{os.minor(status.st_dev)}-{status.st_ino}")
    end(bus, d)


def configure(bus, text):
    (bus.directory / "config/virtbus").mkdir(exist_ok=True)
    (bus.directory / "config/virtbus/qemu.conf").write_text(text)
    bus.stop_service("org.virtbus.qemu1")


def test_switched_off(bus, qemud, images):
    configure(bus, "[Leases]\nDisks=no\n")
    d = vm(bus, "a", images / "a.qcow2")
    d.Start(0, {})
    assert bus.owner_pid(LOCK1) is None, "nobody asked virtlockd"
    end(bus, d)


def test_without_virtlockd(bus, lockd, images):
    bus.add_service(LOCK1, ["/bin/false"])
    d, none = vm(bus, "a", images / "a.qcow2"), define(bus, tiny_xml("none"))
    none.Start(0, {})
    with bus.fails("Disconnected", f"{images}/a.qcow2 can't be leased: virtlockd does not answer") as caught:
        d.Start(0, {})
    assert "Disks=no in section [Leases] of qemu.conf" in caught["error"].message
    end(bus, none)


def lose(bus):
    """All at once: what is lost first has consequences."""
    folder = bus.directory / "data/virtbus/lock/default"
    os.rename(folder, folder.with_name("lost"))


def test_a_lost_lease_pauses(bus, lockd, images):
    d = vm(bus, "a", images / "a.qcow2")
    d.Start(0, {})
    lose(bus)
    bus.wait_property(d, "State", "paused")
    assert d.StateReason == "lease-lost" and d.PauseReason in {f"the lease of {images}/{n} is lost" for n in ("a.qcow2", "base.raw")}
    bus.wait_property(d, "Warnings", lambda w: f"the lease of {images}/a.qcow2 is lost: another VM may use it (pause)" in w)
    other = vm(bus, "other", images / "a.qcow2")
    with bus.fails("LeaseHeld", "its lock file was removed or replaced"):
        other.Start(0, {})
    d.Resume(0, {})
    bus.wait_property(d, "State", "running")
    assert d.PauseReason == ""
    end(bus, d)
    until_held(lockd, [])
    other.Start(0, {})
    end(bus, other)


def test_a_lost_lease_and_a_qemu_that_does_not_answer(bus, lockd, images):
    """Who has the image now relies on it that nobody else writes."""
    d = vm(bus, "a", images / "a.qcow2")
    d.Start(0, {})
    os.kill(d.MainPID, signal.SIGSTOP)
    lose(bus)
    bus.wait_property(d, "State", "shutoff", timeout=60)
    assert d.StateReason == "destroyed"


@pytest.mark.parametrize("conf, element, state", [
    ("[Leases]\nOnLost=ignore\n", "", "running"), ("[Leases]\nOnLost=poweroff\n", "", "shutoff"),
    ("", "<on_lockfailure>poweroff</on_lockfailure>", "shutoff"), ("[Leases]\nOnLost=poweroff\n", "<on_lockfailure>ignore</on_lockfailure>", "running"),
])
def test_what_a_lost_lease_does(bus, lockd, images, conf, element, state):
    configure(bus, conf)
    d = vm(bus, "a", images / "a.qcow2", elements=element)
    d.Start(0, {})
    lose(bus)
    if state == "shutoff":
        bus.wait_property(d, "State", "shutoff")
        assert d.StateReason == "destroyed"
    else:
        bus.wait_property(d, "Warnings", lambda w: len(w) == 2)
        assert d.State == "running"
        end(bus, d)


def test_a_lost_lease_restarts(bus, lockd, images):
    d = vm(bus, "a", images / "a.qcow2", elements="<on_lockfailure>restart</on_lockfailure>")
    d.Start(0, {})
    pid = d.MainPID
    lose(bus)
    bus.wait_property(d, "MainPID", lambda p: p not in (0, pid))
    bus.wait_property(d, "State", "running")
    until_held(lockd, leases_of(lockd, images, "a"))
    assert d.Warnings == []
    d.Shutdown("acpi", NO_WAIT, {})    # which there is nobody for, but who wants it off gets it off
    lose_anew(bus, 0)
    bus.wait_property(d, "State", "shutoff")
    bus.wait_property(d, "Job", (0, "/"))
    assert d.State == "shutoff"


def lose_anew(bus, n):
    os.rename(bus.directory / "data/virtbus/lock/default", bus.directory / f"data/virtbus/lock/lost{n}")


HELD_UP = """#!/usr/bin/python3 -S
import os, sys, time
if any("guest=a," in a for a in sys.argv):
    open("{images}/begun", "w").close()
    while os.path.exists("{images}/hold"):
        time.sleep(0.02)
os.execv("/usr/bin/qemu-system-x86_64", sys.argv)
"""


def held_up(images):
    """An emulator that waits as long as a file is there, and leaves one when it begins; answers of probes do not. Like QEMU it is one process: a
    child would have the leases, too."""
    qemu = images / "qemu-system-x86_64"
    qemu.write_text(HELD_UP.format(images=images))
    qemu.chmod(0o755)
    return f"<emulator>{qemu}</emulator>"


def test_a_lease_that_is_lost_while_it_starts(bus, lockd, images):
    """Also where the start is one after a loss: it begins anew, or does not go on, as is wished."""
    d = vm(bus, "a", images / "a.qcow2", more=held_up(images), elements="<on_lockfailure>restart</on_lockfailure>")
    d.Start(0, {})
    pid = d.MainPID
    (images / "hold").touch()
    for n in range(2):
        (images / "begun").unlink()
        lose_anew(bus, n)
        until_there(images / "begun")
    (images / "hold").unlink()
    bus.wait_property(d, "State", "running")
    assert d.MainPID not in (0, pid) and d.Warnings == []
    until_held(lockd, leases_of(lockd, images, "a"))
    end(bus, d)
    until_held(lockd, [])
    d = vm(bus, "a", images / "a.qcow2", more=held_up(images), elements="<on_lockfailure>pause</on_lockfailure>")
    (images / "begun").unlink()
    (images / "hold").touch()
    caller = threading.Thread(target=lambda: (until_there(images / "begun"), lose_anew(bus, 2)))
    caller.start()
    with bus.fails("LockspaceFailed", "was lost while a was started"):
        d.Start(0, {}, timeout=60)
    caller.join()
    assert d.State == "shutoff"
    until_held(lockd, [])


def until_there(path):
    deadline = Deadline(60)
    while not path.exists():
        assert not deadline.passed(), path
        time.sleep(0.02)


def test_a_lost_lease_of_a_transient_vm(bus, lockd, images):
    """It can't be started again: there is no definition to do so from."""
    path, _ = bus.manager("qemu1").StartTransient(FORMAT, tiny_xml("a", devices=disk_xml(images / "a.qcow2", kind="qcow2"),
                                                                   extra="<on_lockfailure>restart</on_lockfailure>"), [], 0, {})
    pid = bus.owner_pid("org.virtbus.qemu1")
    lose(bus)
    deadline = Deadline(60)
    while bus.manager("qemu1").ListDomains():
        assert not deadline.passed()
        time.sleep(0.02)
    assert bus.owner_pid("org.virtbus.qemu1") == pid, "nobody died of it"
    assert "it is not started again: it is transient" in bus.output()
    until_held(lockd, [])


def test_bad_settings(bus, qemud):
    configure(bus, "[Leases]\nOnLost=panic\n")
    with pytest.raises(Exception):
        qemud.ListDomains()
    assert "qemu.conf:2: OnLost=panic: expected poweroff, restart, pause, ignore" in bus.output()


def test_a_start_that_fails_later_gives_back(bus, lockd, images):
    (images / "nonsense").write_bytes(b"x" * 512)
    d = define(bus, tiny_xml("a", devices=disk_xml(images / "a.qcow2", kind="qcow2") + disk_xml(images / "nonsense", "vdb", kind="qcow2")))
    with bus.fails("ImageFailed"):
        d.Start(0, {})
    assert held(lockd) == []
    qemu = images / "qemu-system-x86_64"
    qemu.write_text("#!/bin/sh\ncase \"$*\" in *guest=words*) echo no >&2; exit 1;; esac\nexec /usr/bin/qemu-system-x86_64 \"$@\"\n")
    qemu.chmod(0o755)
    d = define(bus, tiny_xml("words", devices=f"<emulator>{qemu}</emulator>" + disk_xml(images / "b.qcow2", kind="qcow2")))
    with bus.fails("QemuFailed", "no"):
        d.Start(0, {})
    until_held(lockd, [])


def test_leases_of_a_definition(bus, lockd):
    """By a name that people agree on: one VM has it at a time."""
    lease = "<lease><lockspace>default</lockspace><key>license-7</key><target path='/elsewhere'/></lease>"
    first, second = define(bus, tiny_xml("first", devices=lease)), define(bus, tiny_xml("second", devices=lease))
    first.Start(0, {})
    until_held(lockd, [("license-7", "exclusive", "first")])
    with bus.fails("LeaseHeld", "first"):
        second.Start(0, {})
    end(bus, first)
    until_held(lockd, [])
    second.Start(0, {})
    end(bus, second)
    until_held(lockd, [])
    third = define(bus, tiny_xml("third", devices=lease.replace("default", "nowhere")))
    with bus.fails("NoSuchLockspace", "nowhere"):
        third.Start(0, {})
