# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools that need a kernel with device-mapper, SCSI, iSCSI and NFS: LVM, partitions, units of a target, multipath, a file server."""

import json
import re
import time

import pytest

from domains import tiny_xml
from host import HERE
from steps import accidents_of

pytestmark = pytest.mark.machine

SLOW = 300
MIB = 1 << 20


@pytest.fixture(scope="module")
def bed(installed_machine):
    m = installed_machine
    m.run("modprobe -a loop dm_mod dm_snapshot dm_thin_pool && systemctl start virtstoraged")
    yield m
    m.run("systemctl stop virtstoraged", check=False)


def disk(machine, name, size="64M"):
    return str(machine.run(f"truncate -s {size} /tmp/{name} && losetup -f --show -P /tmp/{name}"))


def define(machine, name, xml):
    machine.put(f"/srv/{name}.xml", xml)
    machine.run(f"virtctl define-pool /srv/{name}.xml", timeout=SLOW)


def volumes(machine, pool):
    return {v["name"]: v for v in json.loads(machine.run(f"virtctl volumes {pool} --json=short").stdout)}


def state(machine, pool):
    return {p["name"]: p["state"] for p in json.loads(machine.run("virtctl pools --json=short").stdout)}[pool]


def wait(machine, command, text, seconds=120):
    deadline = time.monotonic() + seconds
    while not re.search(text, (said := machine.run(command, check=False)).stdout, re.M):
        assert time.monotonic() < deadline, said
        time.sleep(1)


def fail_to_activate(machine, accidents):
    """Steps of lvm's start and stop fail, or virtstoraged dies at them: what it has activated it deactivates, and the other way round."""
    def begin(verb, what):
        accidents.put(what)
        # A virtstoraged that takes it up may not be done with that.
        failed = machine.run(f"while s=$(virtctl {verb} lvm 2>&1); r=$?; echo \"$s\" | grep -q 'is busy'; do sleep 0.2; done; echo \"$s\" >&2; exit $r",
                             check=False, timeout=SLOW)
        assert failed.returncode and not accidents.is_there(), (what, failed)
        return failed.stderr

    def is_active():
        wait(machine, "virtctl pools --json=short", '"state": *"active"')
        wait(machine, "ls /dev/vg0", "^plain$")
    assert "a test wants it so" in begin("start-pool", "pool-start activate done") and state(machine, "lvm") == "inactive"
    machine.run("test ! -e /dev/vg0/plain")
    begin("start-pool", "pool-start watch dies")
    is_active()
    begin("stop-pool", "pool-stop leave dies")
    is_active()
    assert "a test wants it so" in begin("stop-pool", "pool-stop deactivate begun")
    machine.run("test -e /dev/vg0/plain && virtctl stop-pool lvm && test ! -e /dev/vg0/plain", timeout=SLOW)


@pytest.mark.timeout(600)
def test_logical(bed):
    """A group made, with plain, thin and snapshot volumes; a VM on one; deactivated only if the pool has activated it."""
    machine = bed
    a = disk(machine, "pv-a", "128M")
    define(machine, "lvm", f"<pool type='logical'><name>lvm</name><source><device path='{a}'/><name>vg0</name></source></pool>")
    machine.run("virtctl build-pool lvm && virtctl start-pool lvm && virtctl create-volume lvm plain 8M", timeout=SLOW)
    again = machine.run("virtctl stop-pool lvm && virtctl build-pool lvm", check=False, timeout=SLOW)
    assert again.returncode == 1 and "there is something on" in again.stderr and "LVM2_member" in again.stderr
    assert machine.run("test -e /dev/vg0/plain", check=False).returncode == 1
    with accidents_of(machine, "virtstoraged", "storage") as accidents:
        fail_to_activate(machine, accidents)
    machine.run("vgchange --quiet --activate=y vg0 && virtctl start-pool lvm && virtctl stop-pool lvm && test -e /dev/vg0/plain && virtctl start-pool lvm",
                timeout=SLOW)
    machine.run("lvcreate --quiet --type=thin-pool --size=40m --name=tp vg0 && virtctl create-volume lvm snap 8M backing=plain allocation=4M && "
                "virtctl create-volume lvm thin 1G allocation=0", timeout=SLOW)
    found = volumes(machine, "lvm")
    assert set(found) == {"plain", "snap", "thin"}, found
    assert found["plain"]["capacity"] == 8 * MIB and found["thin"]["capacity"] == 1024 * MIB and found["thin"]["allocation"] < 40 * MIB
    assert "<path>/dev/vg0/plain</path>" in machine.run("virtctl cat-volume lvm snap").stdout
    machine.run("head -c 5000000 /dev/urandom >/tmp/data && virtctl upload-volume lvm plain /tmp/data && virtctl create-volume lvm copy clone-from=plain && "
                "cmp -n 5000000 /tmp/data /dev/vg0/copy && virtctl resize-volume lvm copy 12M", timeout=SLOW)
    # A VM on a logical volume.
    machine.put("/srv/on-lvm.xml", tiny_xml("on-lvm", devices="<disk type='volume' device='disk'><source pool='lvm' volume='copy'/>"
                                                              "<target dev='vda' bus='virtio'/></disk>"))
    machine.run("virtctl define /srv/on-lvm.xml && virtctl start on-lvm", timeout=SLOW)
    refused = machine.run("virtctl delete-volume lvm copy", check=False)
    assert refused.returncode == 1 and "in use by on-lvm" in refused.stderr
    # Changed by others: seen by itself.
    machine.run("virtctl kill on-lvm && virtctl undefine on-lvm && lvcreate --quiet --yes --size=4m --name=foreign vg0", timeout=SLOW)
    wait(machine, "virtctl volumes lvm", "foreign ")
    sources = machine.run("busctl call org.virtbus.storage1 /org/virtbus/storage1 org.virtbus.storage1.Manager FindSources 'sa{sv}' logical 0", timeout=SLOW).stdout
    assert '"name" s "vg0"' in sources and a in sources
    machine.run("virtctl delete-volume lvm copy && virtctl stop-pool lvm && virtctl delete-pool lvm && virtctl undefine-pool lvm", timeout=SLOW)
    assert machine.run("vgs vg0", check=False).returncode
    machine.run(f"losetup -d {a}")


def test_disk(bed):
    machine = bed
    d = disk(machine, "parts")
    define(machine, "parts", f"<pool type='disk'><name>parts</name><source><device path='{d}'/><format type='gpt'/></source><target><path>/dev</path></target></pool>")
    machine.run("virtctl build-pool parts && virtctl start-pool parts", timeout=SLOW)
    name = d.split("/")[-1]
    wrong = machine.run("virtctl create-volume parts mine 8M", check=False, timeout=SLOW)
    assert f"the next one on {d} is {name}p1, not mine" in wrong.stderr
    machine.run(f"virtctl create-volume parts {name}p1 8M && virtctl create-volume parts {name}p2 4M && test -b {d}p2", timeout=SLOW)
    assert {n: v["capacity"] for n, v in volumes(machine, "parts").items()} == {f"{name}p1": 8 * MIB, f"{name}p2": 4 * MIB}
    machine.run(f"virtctl delete-volume parts {name}p1 && test ! -e {d}p1 && virtctl create-volume parts {name}p1 8M", timeout=SLOW)
    machine.run(f"virtctl stop-pool parts && virtctl delete-pool parts && virtctl undefine-pool parts && losetup -d {d}", timeout=SLOW)


def test_file_system(bed):
    """On a device, mounted by systemd, which waits for udev to tell of it."""
    machine = bed
    d = disk(machine, "fs")
    define(machine, "fs", f"<pool type='fs'><name>fs</name><source><device path='{d}'/><format type='ext4'/></source><target><path>/srv/fs</path></target></pool>")
    machine.run("virtctl build-pool fs && virtctl start-pool fs", timeout=SLOW)
    assert machine.run("findmnt -n -o SOURCE,FSTYPE /srv/fs").stdout.split() == [d, "ext4"]
    machine.run("systemctl is-active srv-fs.mount && virtctl create-volume fs v 4M && virtctl stop-pool fs && virtctl undefine-pool fs")
    assert machine.run("findmnt /srv/fs", check=False).returncode
    machine.run(f"losetup -d {d}")


def test_file_server(bed):
    """NFS: mounted, used, its server stopped. Everything else goes on; the pool says that it is unreachable, and comes back."""
    machine = bed
    machine.put("/root/nfs-server", (HERE / "nfs-server").read_text(), mode=0o755)
    machine.put("/etc/virtbus/storage.conf", "[Pools]\nDeadline=20s\nCheckInterval=2s\n")
    machine.run("/root/nfs-server start /srv/export && mkdir -p /srv/local && systemctl reload-or-restart virtstoraged", timeout=SLOW)
    # The addresses are what mount.nfs of the NFS packages would add.
    define(machine, "nfs", "<pool type='netfs' xmlns:fs='http://libvirt.org/schemas/storagepool/fs/1.0'><name>nfs</name><source><host name='127.0.0.1'/>"
                           "<dir path='/'/><format type='nfs'/><protocol ver='4.2'/></source><target><path>/srv/share</path></target><fs:mount_opts>"
                           "<fs:option name='addr=127.0.0.1'/><fs:option name='clientaddr=127.0.0.1'/></fs:mount_opts></pool>")
    define(machine, "local", "<pool type='dir'><name>local</name><target><path>/srv/local</path></target></pool>")
    machine.run("virtctl start-pool nfs local && virtctl create-volume nfs v 4M && virtctl create-volume nfs w.qcow2 1G format=qcow2", timeout=SLOW)
    assert "nfs" in machine.run("findmnt -n -o FSTYPE /srv/share").stdout
    assert set(volumes(machine, "nfs")) == {"v", "w.qcow2"}
    machine.run("/root/nfs-server stop", timeout=SLOW)
    try:
        wait(machine, "virtctl pools", "^nfs .*unreachable")
        machine.run("virtctl create-volume local v 4M && virtctl create-volume local w 4M", timeout=20)
        refused = machine.run("virtctl create-volume nfs x 4M", check=False, timeout=30)
        assert refused.returncode == 1 and "unreachable" in refused.stderr
    finally:
        machine.run("/root/nfs-server start /srv/export", timeout=SLOW)
    wait(machine, "virtctl pools", "^nfs .* active ")
    machine.run("virtctl create-volume nfs x 4M && virtctl stop-pool nfs local && virtctl undefine-pool nfs local", timeout=SLOW)
    assert machine.run("findmnt /srv/share", check=False).returncode
    machine.run("/root/nfs-server stop; umount /srv/export; rm /etc/virtbus/storage.conf; systemctl reload-or-restart virtstoraged", timeout=SLOW)


TARGET = "iqn.2026-01.example.virtbus:disks"
# The kernel's own target, through its own files: two units of 16 MiB each on 127.0.0.1.
LIO = f"""
set -e
modprobe -a target_core_mod target_core_file iscsi_target_mod iscsi_tcp dm_multipath
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
cd /sys/kernel/config/target
for n in 0 1; do
        truncate -s 16M /tmp/unit$n
        mkdir -p core/fileio_$n/unit
        echo "fd_dev_name=/tmp/unit$n,fd_dev_size=16777216" >core/fileio_$n/unit/control
        echo virtbus-unit-$n >core/fileio_$n/unit/wwn/vpd_unit_serial
        echo 1 >core/fileio_$n/unit/enable
done
tpg=iscsi/{TARGET}/tpgt_1
mkdir -p $tpg/np/127.0.0.1:3260
for n in 0 1; do
        mkdir -p $tpg/lun/lun_$n
        ln -s /sys/kernel/config/target/core/fileio_$n/unit $tpg/lun/lun_$n/unit
done
for name in authentication demo_mode_write_protect; do echo 0 >$tpg/attrib/$name; done
for name in generate_node_acls cache_dynamic_acls; do echo 1 >$tpg/attrib/$name; done
echo 1 >$tpg/enable
"""


def test_target(bed):
    """Units of an iSCSI target; the session is the pool's, unless somebody else has begun it. The same units as those of a SCSI host."""
    machine = bed
    machine.put("/root/lio", LIO)
    machine.run("ip link set lo up && sh /root/lio && systemctl start iscsid", timeout=SLOW)
    found = machine.run("busctl call org.virtbus.storage1 /org/virtbus/storage1 org.virtbus.storage1.Manager FindSources 'sa{sv}' iscsi 1 host s 127.0.0.1",
                        timeout=SLOW).stdout
    assert TARGET in found, found
    define(machine, "san", f"<pool type='iscsi'><name>san</name><source><host name='127.0.0.1'/><device path='{TARGET}'/></source>"
                           "<target><path>/dev/disk/by-path</path></target></pool>")
    machine.run("virtctl start-pool san", timeout=SLOW)
    wait(machine, "virtctl refresh-pool san; virtctl volumes san", "^unit:0:0:1")
    units = volumes(machine, "san")
    assert {n: v["capacity"] for n, v in units.items()} == {"unit:0:0:0": 16 * MIB, "unit:0:0:1": 16 * MIB}
    machine.run("udevadm settle && virtctl refresh-pool san", timeout=SLOW)
    assert f"iscsi-{TARGET}-lun-0" in machine.run("virtctl cat-volume san unit:0:0:0").stdout
    machine.run("head -c 1000000 /dev/urandom >/tmp/data && virtctl upload-volume san unit:0:0:0 /tmp/data && cmp -n 1000000 /tmp/data /tmp/unit0", timeout=SLOW)
    refused = machine.run("virtctl create-volume san more 1M", check=False)
    assert refused.returncode == 1 and "are made on its server or disk" in refused.stderr
    host = str(machine.run("ls -d /sys/class/iscsi_host/host* | grep -o 'host[0-9]*$'"))
    define(machine, "hba", f"<pool type='scsi'><name>hba</name><source><adapter type='scsi_host' name='scsi_{host}'/></source>"
                           "<target><path>/dev/disk/by-path</path></target></pool>")
    machine.run("virtctl start-pool hba", timeout=SLOW)
    assert set(volumes(machine, "hba")) == set(units)
    machine.run("virtctl stop-pool hba && virtctl undefine-pool hba && iscsiadm --mode=session")
    machine.run("virtctl stop-pool san", timeout=SLOW)
    assert machine.run("iscsiadm --mode=session", check=False).returncode == 21, "no session is left"
    machine.run(f"iscsiadm --mode=node --targetname={TARGET} --login && virtctl start-pool san && virtctl stop-pool san && iscsiadm --mode=session && "
                f"iscsiadm --mode=node --targetname={TARGET} --logout && virtctl undefine-pool san", timeout=SLOW)
    check_password(machine)


def check_password(machine):
    """The target lets in who knows a password, which no program's arguments have, and which is gone when the pool has stopped."""
    tpg = f"/sys/kernel/config/target/iscsi/{TARGET}/tpgt_1"
    machine.run(f"echo 1 >{tpg}/attrib/authentication && echo -n web >{tpg}/auth/userid && echo -n 'open sesame 12' >{tpg}/auth/password")
    machine.put("/srv/secret.xml", "<secret private='yes'><usage type='iscsi'><target>san</target></usage></secret>")
    machine.run("virtctl define-secret /srv/secret.xml && echo wrong sesame 12 | virtctl set-secret iscsi:san")
    define(machine, "san", f"<pool type='iscsi'><name>san</name><source><host name='127.0.0.1'/><device path='{TARGET}'/>"
                           "<auth type='chap' username='web'><secret usage='san'/></auth></source><target><path>/dev/disk/by-path</path></target></pool>")
    refused = machine.run("virtctl start-pool san", check=False, timeout=SLOW)
    assert refused.returncode == 1 and "authorization failure" in refused.stderr, refused.stderr
    assert machine.run("grep -r 'wrong sesame' /etc/iscsi", check=False).returncode == 1
    machine.run("echo open sesame 12 | virtctl set-secret iscsi:san && virtctl start-pool san", timeout=SLOW)
    wait(machine, "virtctl refresh-pool san; virtctl volumes san", "^unit:0:0:1")
    assert machine.run("stat -c %a $(grep -rl 'open sesame' /etc/iscsi)").stdout.split() == ["600"]
    machine.run("virtctl stop-pool san && virtctl undefine-pool san && virtctl undefine-secret iscsi:san", timeout=SLOW)
    assert machine.run("grep -r 'open sesame' /etc/iscsi", check=False).returncode == 1
    assert machine.run("iscsiadm --mode=session", check=False).returncode == 21, "no session is left"
    machine.run(f"echo 0 >{tpg}/attrib/authentication")


def test_multipath(bed):
    """Maps as multipathd makes them, here of two loop devices with one name."""
    machine = bed
    machine.run("truncate -s 16M /tmp/path && modprobe dm_multipath")
    a = str(machine.run("losetup -f --show /tmp/path"))
    b = str(machine.run("losetup -f --show /tmp/path"))
    numbers = [str(machine.run(f"lsblk -dno MAJ:MIN {d}")).strip() for d in (a, b)]
    table = f"0 32768 multipath 0 0 1 1 round-robin 0 2 1 {numbers[0]} 1 {numbers[1]} 1"
    machine.run(f"dmsetup create vault --uuid mpath-360000000000000000e00000000010001 --table '{table}' && udevadm settle")
    define(machine, "maps", "<pool type='mpath'><name>maps</name><target><path>/dev/mapper</path></target></pool>")
    machine.run("virtctl start-pool maps", timeout=SLOW)
    assert {n: v["capacity"] for n, v in volumes(machine, "maps").items()} == {"vault": 16 * MIB}
    assert "<path>/dev/mapper/vault</path>" in machine.run("virtctl cat-volume maps vault").stdout
    machine.run(f"virtctl stop-pool maps && virtctl undefine-pool maps && dmsetup remove vault && losetup -d {a} {b}")
