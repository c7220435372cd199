# SPDX-License-Identifier: LGPL-2.1-or-later
"""Leases on an NFS server: hosts meet there, and hear of it when it goes away."""

import json
import re
import time

import pytest

from domains import disk_xml, tiny_xml
from host import HERE

pytestmark = pytest.mark.machine

SLOW = 300  # QEMU in an emulated machine

# Another host: a virtlockd of its own, that sees the folder through a mount of its own.
OTHER_HOST = """
export XDG_DATA_HOME=/tmp/other XDG_RUNTIME_DIR=/tmp/other-run XDG_CONFIG_HOME=/tmp/other-config
mkdir -p -m 700 $XDG_RUNTIME_DIR
dbus-run-session -- sh -c '
    manager="org.virtbus.lock1 /org/virtbus/lock1 org.virtbus.lock1.Manager"
    busctl --user call $manager GetLockspace s cluster >/dev/null 2>&1 || busctl --user call $manager AddLockspace "ssta{sv}" cluster /mnt/b/leases 0 0
    busctl --user call $manager Acquire "ssaysst""a{sv}" cluster "$0" 16 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 9 intruder exclusive 0 0
    status=$?
    kill $(busctl --user status org.virtbus.lock1 | sed -n s/^PID=//p)
    exit $status' """


@pytest.fixture(scope="module")
def nfs(installed_machine):
    machine = installed_machine
    machine.put("/root/nfs-server", (HERE / "nfs-server").read_text(), mode=0o755)
    machine.run("/root/nfs-server start /srv/nfs && /root/nfs-server mount /mnt/a /mnt/b && mkdir /mnt/a/leases && truncate -s 1M /mnt/a/disk")
    machine.put("/etc/virtbus/lock.conf", "[Lockspaces]\nDeadline=5s\nCheckInterval=2s\n")
    machine.put("/etc/virtbus/qemu.conf", "[Leases]\nSharedLockspace=cluster\n")
    machine.run("systemctl reload-or-restart virtlockd; systemctl reload-or-restart virtqemud; virtctl add-lockspace cluster /mnt/a/leases")
    yield machine
    machine.run("rm /etc/virtbus/lock.conf /etc/virtbus/qemu.conf; virtctl remove-lockspace cluster; systemctl stop virtlockd; "
                "systemctl reload-or-restart virtqemud; umount /mnt/a /mnt/b; /root/nfs-server stop; umount /srv/nfs")


def leases(machine):
    return {lease["lockspace"]: lease for lease in json.loads(machine.run("virtctl leases --json=short").stdout)}


def wait(machine, command, text, seconds=120):
    deadline = time.monotonic() + seconds
    while not re.search(text, (said := machine.run(command, check=False)).stdout, re.M):
        assert time.monotonic() < deadline, said
        time.sleep(1)


def test_hosts_meet_on_a_file_server(nfs):
    machine = nfs
    machine.put("/srv/a.xml", tiny_xml("shared", devices=disk_xml("/mnt/a/disk")))
    machine.run("virtctl define /srv/a.xml && virtctl start shared", timeout=SLOW)
    found = leases(machine)
    assert set(found) == {"default", "cluster"}
    resource = found["cluster"]["resource"]
    # Named after the server's export and the file, not after this mount of it.
    inode = str(machine.run("stat -c %i /mnt/b/disk"))
    assert resource.startswith("file-") and resource.endswith(f"-{inode}") and found["default"]["resource"] != resource
    refused = machine.run(OTHER_HOST + resource, check=False)
    assert refused.returncode != 0
    assert f"{resource} is in use by shared (unit virtqemu@shared.service, process {found['cluster']['pid']} on host machine)" in refused.stderr

    # Looked at once: while the server is away QEMU can't say how large its images are.
    assert "running" in machine.run("virtctl status shared").stdout
    # The server goes away: the VM is stopped before another host could think the disk free.
    machine.run("/root/nfs-server stop")
    wait(machine, "virtctl status shared", r"paused \(lease-lost\)")
    assert "unreachable" in machine.run("virtctl lockspaces").stdout
    assert machine.run("virtctl leases default -q").stdout.count("\n") == 2, "others are served"
    machine.run("/root/nfs-server start /srv/nfs")
    wait(machine, "virtctl lockspaces", "/mnt/a/leases *active")
    # This server has forgotten all locks, so it was right to stop: the other host gets the disk now.
    wait(machine, OTHER_HOST + resource, "^h")
    assert "paused (lease-lost)" in machine.run("virtctl status shared").stdout

    machine.run("virtctl kill shared && virtctl undefine shared")
    wait(machine, "virtctl leases", "^0 leases")
    assert machine.run(OTHER_HOST + resource).returncode == 0
