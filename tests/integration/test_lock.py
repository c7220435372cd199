# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtlockd: no resource is ever had twice, whatever happens to the daemon and its files."""

import os
import random
import shutil
import signal
import threading
import time
import uuid

import pytest
from gi.repository import GLib

from bus import Bus, BusError, Client

pytestmark = pytest.mark.bus

SERVICE = "org.virtbus.lock1"
WEB, DB = (uuid.UUID(int=n).bytes for n in (1, 2))


@pytest.fixture
def lockd(bus):
    from bus import daemon_path
    if not daemon_path("virtlockd"):
        pytest.skip("no virtlockd: set VIRTBUS_BUILD to a build directory that has it")
    return bus.manager("lock1")


def options(**values):
    types = {"unit": "s", "pid": "u", "description": "s"}
    return {k: GLib.Variant(types[k], v) for k, v in values.items()}


def acquire(lockd, resource="disk", owner=WEB, name="web", mode="exclusive", lockspace="default", **more):
    return lockd.Acquire(lockspace, resource, owner, name, mode, 0, options(**more)).detach()


def transfer(lockd, fd, owner, name, mode="exclusive", resource="disk", **more):
    return lockd.Transfer("default", resource, fd, owner, name, mode, 0, options(**more)).detach()


def folder(bus):
    return bus.directory / "data/virtbus/lock/default"


def wait(condition, timeout=60):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "in time"
        time.sleep(0.01)


def lockspace(bus, lockd, name="default"):
    return bus.object(SERVICE, lockd.GetLockspace(name))


def leases(lockd, name=""):
    """Resource and name of the owner of each."""
    return sorted((resource, owner) for _, resource, _, _, _, owner, *_ in lockd.ListLeases(name))


def test_one_at_a_time(bus, lockd):
    before = time.time()
    fd = acquire(lockd, unit="virtqemu@web.service", pid=4711, description="/images/web.qcow2")
    [(space, resource, description, mode, id, name, unit, host, pid, since)] = lockd.ListLeases("")
    assert (space, resource, description, mode, bytes(id), name, unit, host, pid) == \
        ("default", "disk", "/images/web.qcow2", "exclusive", WEB, "web", "virtqemu@web.service", os.uname().nodename, 4711)
    assert before - 1 < since / 1e6 < time.time() + 1
    with bus.fails("org.virtbus.Error.LeaseHeld", f"/d is in use by web (unit virtqemu@web.service, process 4711 on host {host})"):
        acquire(lockd, owner=DB, name="db", description="/d")
    with bus.fails("LeaseHeld", "disk is in use by web"):
        acquire(lockd, mode="shared")
    space = lockspace(bus, lockd)
    assert (space.State, space.Leases, space.Error, space.Path) == ("active", 1, "", str(folder(bus)))
    os.close(fd)
    os.close(acquire(lockd, owner=DB, name="db"))
    bus.wait_property(space, "Leases", 0)
    wait(lambda: not any(folder(bus).iterdir()))


def test_shared(bus, lockd):
    fds = [acquire(lockd, name=f"vm{n}", mode="shared") for n in range(100)]
    assert len(lockd.ListLeases("default")) == 100
    with bus.fails("LeaseHeld", "disk is in use, shared, by vm"):
        acquire(lockd)
    for fd in fds[1:]:
        os.close(fd)
    bus.wait_property(lockspace(bus, lockd), "Leases", 1)
    assert leases(lockd) == [("disk", "vm0")]
    with bus.fails("LeaseHeld", "by vm0 ("):
        acquire(lockd)
    os.close(fds[0])
    os.close(acquire(lockd))


def test_copies_and_ends(bus, lockd):
    """A lease is there as long as anybody has a copy of the descriptor, and ends with the last process that had one."""
    fd = acquire(lockd)
    child = os.fork()
    if child == 0:
        signal.pause()
    os.close(fd)
    with bus.fails("LeaseHeld"):
        acquire(lockd)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(acquire(lockd))


def test_transfer(bus, lockd):
    fd = acquire(lockd, unit="old.service")
    again = transfer(lockd, fd, DB, "db", pid=17)
    assert [(e[5], e[6], e[8]) for e in lockd.ListLeases("")] == [("db", "", 17)]
    os.close(fd)
    with bus.fails("LeaseHeld", "disk is in use by db (process 17 on"):
        acquire(lockd)
    shared = transfer(lockd, again, DB, "db", mode="shared")
    other = acquire(lockd, mode="shared")
    with bus.fails("LeaseHeld", "disk is in use, shared, by web"):
        transfer(lockd, shared, DB, "db")
    os.close(other)
    back = transfer(lockd, shared, DB, "db")
    with bus.fails("LeaseHeld"):
        acquire(lockd, mode="shared")
    for f in (again, shared, back):
        os.close(f)
    os.close(acquire(lockd))


def test_transfer_of_what_is_no_lease(bus, lockd):
    fd, other = acquire(lockd), acquire(lockd, "other")
    for no_lease in (other, os.open(folder(bus) / "disk", os.O_RDWR), os.open(folder(bus) / "disk", os.O_RDONLY), os.open("/dev/null", os.O_RDWR),
                     os.pipe()[0], os.open(folder(bus), os.O_RDONLY)):
        with bus.fails("InvalidArgs", "the descriptor is no lease of disk"):
            transfer(lockd, no_lease, DB, "db")
        os.close(no_lease)
    assert leases(lockd, "default") == [("disk", "web")]
    os.close(fd)


@pytest.mark.parametrize("resource, text", [
    ("", "1 to 200"), ("x" * 201, "1 to 200"), ("/" * 100, "1 to 200"), ("a b", "printable ASCII"), ("ä", "printable ASCII"), ("a\nb", "printable ASCII"),
])
def test_bad_resources(bus, lockd, resource, text):
    with bus.fails("InvalidArgs", text):
        acquire(lockd, resource)


def test_odd_resources(bus, lockd):
    names = ["..", ".", ".hidden", "a/b", "../../etc/passwd", "%41", "x" * 200, "-", "~"]
    fds = [acquire(lockd, n) for n in names]
    assert leases(lockd) == sorted((n, "web") for n in names)
    assert len(list(folder(bus).iterdir())) == len(names)
    for fd in fds:
        os.close(fd)


def test_bad_owners(bus, lockd):
    for arguments, text in ((("default", "d", b"short", "web", "shared", 0, {}), "a UUID has 16 bytes, not 5"),
                            (("default", "d", WEB, "", "shared", 0, {}), "the owner has no name"),
                            (("default", "d", WEB, "x" * 256, "shared", 0, {}), "more than 255 bytes"),
                            (("default", "d", WEB, "a\x01b", "shared", 0, {}), "control characters"),
                            (("default", "d", WEB, "web", "mine", 0, {}), 'the mode "mine" is neither'),
                            (("default", "d", WEB, "web", "shared", 4, {}), "flag"),
                            (("default", "d", WEB, "web", "shared", 0, options(description="a\nb")), "control characters"),
                            (("default", "d", WEB, "web", "shared", 0, {"colour": GLib.Variant("s", "red")}), "colour")):
        with bus.fails("InvalidArgs", text):
            lockd.Acquire(*arguments)
    with bus.fails("NoSuchLockspace", 'there is no lockspace "nowhere"'):
        acquire(lockd, lockspace="nowhere")
    fd = acquire(lockd, description="/" + "ä" * 2000)
    assert lockd.ListLeases("")[0][2] == "/" + "ä" * 299
    os.close(fd)


def test_a_thousand(bus, lockd):
    fds = [acquire(lockd, f"disk{n}") for n in range(1000)]
    space = lockspace(bus, lockd)
    assert space.Leases == 1000 and len(lockd.ListLeases("")) == 1000
    bus.stop_service(SERVICE, signal.SIGKILL)
    assert len(lockd.ListLeases("")) == 1000
    bus.wait_property(space, "Leases", 1000)
    with bus.fails("LeaseHeld", "by web"):
        acquire(lockd, "disk500")
    for fd in fds:
        os.close(fd)
    bus.wait_property(space, "Leases", 0)
    wait(lambda: not any(folder(bus).iterdir()))


def test_a_removed_lock_file(bus, lockd):
    fd = acquire(lockd, description="/images/a")
    (folder(bus) / "disk").unlink()
    lost = bus.wait_signal("LeaseLost")
    assert lost.args == ("default", "disk", WEB, "web", "/images/a")
    for mode in ("exclusive", "shared"):
        with bus.fails("LeaseHeld", "its lock file was removed or replaced"):
            acquire(lockd, mode=mode, owner=DB, name="db")
    assert leases(lockd) == [("disk", "web")]
    os.close(fd)
    fd = acquire(lockd, owner=DB, name="db")
    assert leases(lockd) == [("disk", "db")]
    os.close(fd)


def test_a_replaced_lock_file(bus, lockd):
    fd = acquire(lockd)
    file = folder(bus) / "disk"
    shutil.copy(file, f"{file}.new")
    os.rename(f"{file}.new", file)
    bus.wait_signal("LeaseLost")
    with bus.fails("LeaseHeld", "disk is in use by web"):
        acquire(lockd)
    with bus.fails("InvalidArgs", "no lease"):
        transfer(lockd, fd, DB, "db")
    os.close(fd)
    os.close(acquire(lockd))


def test_files_that_are_no_lock_files(bus, lockd):
    os.close(acquire(lockd))
    os.symlink("/etc/passwd", folder(bus) / "link")
    os.mkfifo(folder(bus) / "pipe")
    (folder(bus) / "folder").mkdir()
    (folder(bus) / "text").write_text("{ this is not JSON" * 1000)
    for name, text in (("link", "can't be opened: Too many levels of symbolic links"), ("pipe", "is no lock file"), ("folder", "can't be opened: Is a directory")):
        with bus.fails("LockspaceFailed", f"/{name}: {text}"):
            acquire(lockd, name)
    fd = acquire(lockd, "text")
    assert leases(lockd) == [("text", "web")]
    bus.stop_service(SERVICE, signal.SIGTERM)
    assert leases(lockd) == [("text", "web")]
    os.close(fd)


def test_a_damaged_record(bus, lockd):
    fd = acquire(lockd)
    with open(folder(bus) / "disk", "r+b") as f:
        f.write(b"\x00\xff" * 1000)
    with bus.fails("LeaseHeld", "disk is in use by somebody whose record is damaged"):
        acquire(lockd)
    os.close(fd)
    os.close(acquire(lockd))


def test_a_lost_folder(bus, lockd):
    fds = [acquire(lockd, n) for n in ("a", "b")]
    space = lockspace(bus, lockd)
    os.rename(folder(bus), f"{folder(bus)}.away")
    assert sorted(bus.wait_signal("LeaseLost").args[1] for _ in range(2)) == ["a", "b"]
    with bus.fails("LeaseHeld", "a is in use by web"):
        acquire(lockd, "a")
    other = acquire(lockd, "c")
    assert leases(lockd) == [("a", "web"), ("b", "web"), ("c", "web")]
    for fd in [*fds, other]:
        os.close(fd)
    bus.wait_property(space, "Leases", 0)
    os.close(acquire(lockd, "a"))


def test_other_lockspaces(bus, lockd, tmp_path):
    shared = tmp_path / "shared"
    with bus.fails("LockspaceFailed", f"the folder {shared} can't be used: No such file or directory"):
        lockd.AddLockspace("cluster", str(shared), 0, {})
    assert [name for name, *_ in lockd.ListLockspaces()] == ["default"]
    shared.mkdir()
    path = lockd.AddLockspace("cluster", str(shared), 0, {})
    assert bus.wait_signal("LockspaceNew").args == ("cluster", path)
    for name, where, kind, text in (("cluster", "/tmp", "LockspaceExists", "there is a lockspace cluster"),
                                    ("twin", str(shared), "LockspaceExists", "there is a lockspace cluster"),
                                    ("a/b", "/tmp", "InvalidArgs", "can't be the name"), (".x", "/tmp", "InvalidArgs", "can't be the name"),
                                    ("x", "tmp", "InvalidArgs", "no absolute path"), ("x", "/tmp/../etc", "InvalidArgs", "no absolute path")):
        with bus.fails(kind, text):
            lockd.AddLockspace(name, where, 0, {})
    first, second = acquire(lockd), acquire(lockd, lockspace="cluster")
    assert sorted(e[0] for e in lockd.ListLeases("")) == ["cluster", "default"] and len(lockd.ListLeases("cluster")) == 1
    bus.stop_service(SERVICE, signal.SIGTERM)
    assert [(name, where) for name, where, *_ in lockd.ListLockspaces()] == [("default", str(folder(bus))), ("cluster", str(shared))]
    space = bus.object(SERVICE, path)
    bus.wait_property(space, "Leases", 1)
    with bus.fails("Busy", "cluster has 1 leases"):
        space.Remove(0, {})
    shutil.rmtree(shared)
    bus.wait_signal("LeaseLost", match=lambda space, *_: space == "cluster")
    bus.wait_property(space, "State", "lost")
    assert "No such file" in space.Error
    with bus.fails("LockspaceFailed", "No such file or directory"):
        acquire(lockd, "x", lockspace="cluster")
    with bus.fails("LockspaceFailed"):
        lockd.ListLeases("cluster")
    assert sorted(e[0] for e in lockd.ListLeases("")) == ["cluster", "default"], "what can't be read is what is known"
    shared.mkdir()
    with bus.fails("LeaseHeld", "its lock file was removed"):
        acquire(lockd, lockspace="cluster")
    os.close(acquire(lockd, "x", lockspace="cluster"))
    bus.wait_property(space, "State", "active")
    os.close(second)
    os.close(acquire(lockd, lockspace="cluster"))
    bus.wait_property(space, "Leases", 0)
    wait(lambda: not any(shared.iterdir()))
    space.Remove(0, {})
    assert bus.wait_signal("LockspaceRemoved").args == ("cluster", path)
    with bus.fails("InvalidState", "always there"):
        lockspace(bus, lockd).Remove(0, {})
    os.close(first)


class Fighter(threading.Thread):
    """Takes and leaves resources, and notices if anybody else has one it was given."""

    def __init__(self, client, seed, owned, over):
        super().__init__(daemon=True)
        self.client, self.random, self.owned, self.over = client, random.Random(seed), owned, over
        self.name, self.got, self.refused, self.doubled = f"fighter{seed}", 0, 0, []

    def run(self):
        lockd = self.client.object(SERVICE, "/org/virtbus/lock1")
        while not self.over.is_set():
            resource = f"r{self.random.randrange(3)}"
            try:
                fd = acquire(lockd, resource, name=self.name)
            except BusError as e:
                assert "LeaseHeld" in e.name or "NoReply" in e.name or "Disconnected" in e.name or "Timeout" in e.name, e
                self.refused += 1
                continue
            if self.owned.setdefault(resource, self.name) != self.name:
                self.doubled.append((resource, self.owned[resource]))
            time.sleep(self.random.random() * 0.01)
            self.got += 1
            self.owned.pop(resource, None)
            os.close(fd)


def test_no_double_lease_while_it_is_killed(bus, lockd):
    """A short run of what the host tier does for longer."""
    fight([Client(bus.address) for _ in range(4)], lambda: (time.sleep(0.15), bus.stop_service(SERVICE, signal.SIGKILL)), seconds=8, enough=5)
    wait(lambda: not lockd.ListLeases(""))


def fight(clients, kill, seconds, enough):
    """At least so long, and until each has been given and refused something so often; a busy machine needs longer for that."""
    owned, over = {}, threading.Event()
    fighters = [Fighter(c, n, owned, over) for n, c in enumerate(clients)]
    for f in fighters:
        f.start()
    begun = time.monotonic()

    def done():
        return all(f.got > enough for f in fighters) and sum(f.refused for f in fighters) > enough
    while time.monotonic() < begun + seconds or not done():
        assert time.monotonic() < begun + seconds + 80, [(f.got, f.refused) for f in fighters]
        kill()
    over.set()
    for f in fighters:
        f.join(60)
    for c in clients:
        c.close()
    assert [f.doubled for f in fighters] == [[]] * 4


def test_two_hosts(bus, lockd, tmp_path):
    """Two daemons that know nothing of each other meet in a folder."""
    lockd.ListLockspaces()      # so that its daemon is not taken for one of the other bus
    with Bus() as other_bus:
        other = other_bus.manager("lock1")
        for one in (lockd, other):
            one.AddLockspace("cluster", str(tmp_path), 0, {})
        fd = acquire(lockd, lockspace="cluster")
        with other_bus.fails("LeaseHeld", "disk is in use by web"):
            acquire(other, lockspace="cluster", owner=DB, name="db")
        assert leases(other, "cluster") == [("disk", "web")]
        os.close(fd)
        fd = acquire(other, lockspace="cluster", owner=DB, name="db", mode="shared")
        more = acquire(lockd, lockspace="cluster", mode="shared")
        assert leases(lockd, "cluster") == [("disk", "db"), ("disk", "web")]
        os.close(more)
        wait(lambda: leases(lockd, "cluster") == [("disk", "db")])
        os.close(fd)
        wait(lambda: not any(tmp_path.iterdir()))
