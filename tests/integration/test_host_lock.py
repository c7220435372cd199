# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtlockd as it is installed: restarts with systemd holding on to lock files, a file system that hangs, who may take leases."""

import json
import os
import threading
import time

import pytest

from bus import BusError
from domains import disk_xml, tiny_xml
from host import USER
from pace import at_most
from test_lock import DB, acquire, fight, leases

pytestmark = pytest.mark.host

FOLDER = "/var/lib/virtbus/lock/default"


@pytest.fixture(scope="module")
def bed(installed):
    installed.run("systemctl enable --now virtlockd.socket")
    return installed


@pytest.fixture
def client(bed):
    client = bed.bus()
    yield client
    client.close()


@pytest.fixture
def lockd(client):
    return client.object("org.virtbus.lock1", "/org/virtbus/lock1")


def stored(bed):
    return int(bed.run("systemctl show -P NFileDescriptorStore virtlockd").stdout)


def test_restarts(bed, client, lockd):
    """systemd holds on to lock files: also one that was removed while virtlockd was dead is not given twice."""
    kept, removed = acquire(lockd, "kept"), acquire(lockd, "removed")
    bed.wait(lambda: stored(bed) == 2)
    bed.run("systemctl kill --kill-who=all --signal=STOP virtlockd")
    bed.run(f"rm {FOLDER}/removed")
    bed.kill("virtlockd")
    assert leases(lockd) == [("kept", "web"), ("removed", "web")]
    for resource in ("kept", "removed"):
        with client.fails("LeaseHeld", "in use by web"):
            acquire(lockd, resource, owner=DB, name="db")
    bed.run("systemctl restart virtlockd")
    with client.fails("LeaseHeld", "in use by web"):
        acquire(lockd, "removed", owner=DB, name="db")
    os.close(removed)
    os.close(kept)
    for resource in ("kept", "removed"):
        os.close(acquire(lockd, resource, owner=DB, name="db"))
    bed.wait(lambda: stored(bed) == 0)


def test_a_thousand_leases_across_a_restart(bed, client, lockd):
    fds = [acquire(lockd, f"disk{n}") for n in range(1000)]
    bed.kill("virtlockd")
    assert len(lockd.ListLeases("")) == 1000
    bed.wait(lambda: stored(bed) == 1000)
    with client.fails("LeaseHeld", "in use by web"):
        acquire(lockd, "disk999")
    for fd in fds:
        os.close(fd)
    bed.wait(lambda: stored(bed) == 0)
    bed.wait(lambda: bed.run(f"ls {FOLDER}").stdout == "")


class Stopped:
    """A folder on a file system whose server does not answer while it is stopped."""

    def __init__(self, bed, folder):
        self.bed, self.folder = bed, folder
        bed.run(f"mkdir -p /srv/real {folder} && bindfs /srv/real {folder}")
        self.pid = bed.run(f"pgrep -f 'bindfs /srv/real {folder}'").stdout.split()[0]

    def stop(self):
        self.bed.run(f"kill -STOP {self.pid}")

    def go_on(self):
        self.bed.run(f"kill -CONT {self.pid}")


def test_a_file_system_that_hangs(bed, client, lockd):
    bed.put("/etc/virtbus/lock.conf", "[Lockspaces]\nDeadline=2s\nCheckInterval=1s\n")
    bed.run("systemctl reload-or-restart virtlockd")
    server = Stopped(bed, "/srv/cluster")
    path = lockd.AddLockspace("cluster", "/srv/cluster", 0, {})
    space = client.object("org.virtbus.lock1", path)
    fd = acquire(lockd, lockspace="cluster", description="/srv/images/web")
    server.stop()
    began = time.monotonic()
    errors = []

    def try_it():
        other = bed.bus()
        try:
            acquire(other.object("org.virtbus.lock1", "/org/virtbus/lock1"), "more", lockspace="cluster")
        except BusError as e:
            errors.append(e)
        other.close()
    waiting = [threading.Thread(target=try_it) for _ in range(5)]
    for w in waiting:
        w.start()
    for n in range(50):
        before = time.monotonic()
        os.close(acquire(lockd, f"local{n}"))
        assert space.Leases == 1 and time.monotonic() - before < at_most(0.5), "nobody else waits"
    for w in waiting:
        w.join(60)
    assert len(errors) == 5 and time.monotonic() - began < at_most(8)
    assert all(e.name == "org.virtbus.Error.Timeout" and "/srv/cluster did not answer within 2 s" in e.message for e in errors), errors
    assert client.wait_signal("LeaseLost", match=lambda space, *_: space == "cluster").args[1] == "disk"
    assert space.State == "unreachable" and "did not answer" in space.Error
    with client.fails("Timeout"):
        lockd.ListLeases("cluster")
    assert ("disk", "web") in leases(lockd), "what is known of it"
    server.go_on()
    client.wait_property(space, "State", "active")
    with client.fails("LeaseHeld", "in use by web"):
        acquire(lockd, lockspace="cluster")
    os.close(fd)
    client.wait_property(space, "Leases", 0)
    space.Remove(0, {})
    bed.run("umount /srv/cluster; rm /etc/virtbus/lock.conf; systemctl reload-or-restart virtlockd")


def test_no_double_lease_while_it_is_killed(bed, lockd):
    fight([bed.bus() for _ in range(4)], lambda: (time.sleep(0.3), bed.kill("virtlockd")), seconds=25, enough=20)
    bed.wait(lambda: not lockd.ListLeases(""))
    bed.wait(lambda: stored(bed) == 0)


def test_an_unreadable_lock_file(bed):
    """In a user's session, where files can be that."""
    script = """
        call() { busctl --user call org.virtbus.lock1 /org/virtbus/lock1 org.virtbus.lock1.Manager Acquire ssaysst"a{sv}" default disk 16 \
                 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 web exclusive 0 0; }
        folder=$HOME/.local/share/virtbus/lock/default
        call && while [ -e $folder/disk ]; do sleep 0.1; done && touch $folder/disk && chmod 0 $folder/disk && call"""
    result = bed.run(script, user=USER, check=False)
    assert result.returncode != 0 and f"/home/{USER}/.local/share/virtbus/lock/default/disk: can't be opened: Permission denied" in result.stderr


def test_who_may(bed):
    call = "org.virtbus.lock1 /org/virtbus/lock1 org.virtbus.lock1.Manager"
    for method, action in (("ListLeases s ''", "read"), ("AddLockspace sst'a{sv}' x /tmp 0 0", "manage"),
                           ("Acquire ssaysst'a{sv}' default x 0 web shared 0 0", "acquire")):
        denied = bed.run(f"busctl call --allow-interactive-authorization=no {call} {method}", user=USER, check=False)
        assert denied.returncode != 0 and f"org.virtbus.lock1.{action}" in denied.stderr
    assert bed.run(f"ls {FOLDER}", user=USER, check=False).returncode != 0


def test_ends_when_idle_and_comes_back(bed, lockd):
    bed.put("/run/systemd/system/virtlockd.service.d/idle.conf", "[Service]\nEnvironment=VIRTBUS_IDLE_SEC=4\n")
    bed.run("systemctl daemon-reload; systemctl stop virtlockd")
    fd = acquire(lockd)
    assert bed.run("systemctl is-active virtlockd").stdout == "active\n"
    assert bed.run("busctl --address=unix:path=/run/virtbus/virtlockd.sock call org.virtbus.lock1 /org/virtbus/lock1 "
                   "org.virtbus.lock1.Manager ListLeases s ''").stdout.startswith('a(ssssaysssut) 1 "default" "disk"')
    time.sleep(6)
    assert bed.run("systemctl is-active virtlockd").stdout == "active\n", "not while there are leases"
    os.close(fd)
    bed.wait(lambda: bed.run("systemctl is-active virtlockd", check=False).stdout.strip() == "inactive", 60, "idle exit")
    assert bed.run("systemctl show -P Result virtlockd").stdout.strip() == "success"
    bed.run("rm -r /run/systemd/system/virtlockd.service.d; systemctl daemon-reload")
    os.close(acquire(lockd))


def test_two_vms_on_one_disk(bed):
    """As units, however they are started, and whatever the disk is called."""
    bed.run("systemctl enable --now virtqemud.socket; mkdir -p /srv/images; truncate -s 1M /srv/images/disk; cd /srv/images; "
            "ln -s disk symlink; ln disk hardlink")
    for name, disk in (("first", "disk"), ("second", "disk"), ("third", "symlink"), ("fourth", "hardlink")):
        bed.put(f"/root/{name}.xml", tiny_xml(name, devices=disk_xml(f"/srv/images/{disk}")))
        bed.run(f"virtctl define /root/{name}.xml")
    bed.run("virtctl start first")
    assert bed.run("virtctl leases").stdout.splitlines()[1].split()[:3] == ["/srv/images/disk", "exclusive", "first"]
    [lease] = json.loads(bed.run("virtctl leases --json=short").stdout)
    assert lease["unit"] == "virtqemu@first.service"
    assert "qemu-system" in bed.run(f"cat /proc/{lease['pid']}/cmdline").stdout
    for name, disk in (("second", "disk"), ("third", "symlink"), ("fourth", "hardlink")):
        refused = bed.run(f"virtctl start {name}", check=False)
        assert refused.returncode == 1
        assert f"/srv/images/{disk} is in use by first (unit virtqemu@first.service, process {lease['pid']} on host testbed)" in refused.stderr
        assert bed.run(f"systemctl start virtqemu@{name}", check=False).returncode != 0
        assert "is in use by first" in bed.journal(f"virtqemu@{name}")
    bed.run("virtctl kill first")
    bed.run("systemctl start virtqemu@fourth")
    bed.run("systemctl restart virtqemud virtlockd")
    assert "is in use by fourth" in bed.run("virtctl start first", check=False).stderr
    bed.run("systemctl kill --signal=KILL virtqemu@fourth")
    bed.wait(lambda: bed.run("virtctl leases -q").stdout.count("\n") == 1)
    bed.run("virtctl start first; virtctl kill first")
    for name in ("first", "second", "third", "fourth"):
        bed.run(f"virtctl undefine {name}")
