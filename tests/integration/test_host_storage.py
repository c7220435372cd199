# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtstoraged as it is installed: file systems that systemd mounts, one that hangs, restarts, who may do what."""

import json
import os
import threading
import time

import pytest

from bus import BusError
from domains import tiny_xml
from host import USER
from pace import at_most
from steps import TABLES, accidents_of, die_at_each, fail_each, until_equal
from test_storage import GIB, MIB, options

pytestmark = pytest.mark.host

SERVICE = "org.virtbus.storage1"
@pytest.fixture(scope="module")
def bed(installed):
    installed.run("systemctl enable --now virtstoraged.socket")
    yield installed
    installed.run("systemctl stop virtstoraged", check=False)


@pytest.fixture
def client(bed):
    client = bed.bus()
    yield client
    client.close()


@pytest.fixture
def storaged(client):
    return client.object(SERVICE, "/org/virtbus/storage1")


def define(client, storaged, xml):
    return client.object(SERVICE, storaged.DefinePool("libvirt-xml", xml, 0, {}), f"{SERVICE}.Pool")


def mounted(bed, path):
    return bed.run(["findmnt", "-n", "-o", "SOURCE,FSTYPE", path], check=False).stdout.split()


def wait_active(client, storaged, name, volumes):
    try:
        storaged.ListPools()
    except BusError as e:  # the message bus has not noticed yet that its receiver was killed
        assert "disconnected" in str(e)
    pool = client.object(SERVICE, storaged.GetPool(name), f"{SERVICE}.Pool")
    deadline = time.monotonic() + 60
    while pool.State != "active" or [v[0] for v in pool.ListVolumes()] != volumes:
        assert time.monotonic() < deadline, (pool.State, pool.Error, pool.ListVolumes())
        time.sleep(0.05)
    return pool


def test_device_that_never_comes(bed, client, storaged):
    """systemd waits for devices much longer than anybody waits for a pool."""
    bed.put("/etc/virtbus/storage.conf", "[Pools]\nDeadline=2s\n")
    bed.run("systemctl reload-or-restart virtstoraged")
    pool = define(client, storaged, "<pool type='fs'><name>late</name><source><device path='/dev/none'/></source><target><path>/srv/late</path></target></pool>")
    with client.fails("Timeout", "/srv/late was not mounted within 2 s"):
        pool.Start(0, {})
    assert pool.State == "inactive"
    bed.wait(lambda: "srv-late.mount" not in bed.run("systemctl list-jobs").stdout)
    pool.Undefine(0, {})
    bed.run("rm /etc/virtbus/storage.conf && systemctl reload-or-restart virtstoraged")


def test_mount(bed, client, storaged):
    """A file system without a device: systemd mounts it, and what was mounted by others stays."""
    pool = define(client, storaged, "<pool xmlns:fs='http://libvirt.org/schemas/storagepool/fs/1.0' type='fs'><name>small</name><source>"
                                    "<device path='/srv/squash.img'/></source><target><path>/srv/small</path></target>"
                                    "<fs:mount_opts><fs:option name='loop'/></fs:mount_opts></pool>")
    with client.fails("UnitFailed", "srv-small.mount"):
        pool.Start(0, {}, timeout=60)
    assert pool.State == "inactive" and mounted(bed, "/srv/small") == []
    bed.run("truncate -s 64M /srv/squash.img && mkfs.ext4 -q -F /srv/squash.img")
    pool.Start(0, {}, timeout=60)
    source, kind = mounted(bed, "/srv/small")
    assert source.startswith("/dev/loop") and kind == "ext4"
    assert str(bed.run("systemctl is-active srv-small.mount")) == "active"
    assert str(bed.run("systemctl show -P Description srv-small.mount")) == "Storage pool small"
    assert 40 * MIB < pool.Capacity < 64 * MIB
    pool.CreateVolume("v", 10 * MIB, 0, options(allocation=10 * MIB))
    # Neither a restart nor a crash is noticed by what is active.
    bed.run("systemctl restart virtstoraged")
    wait_active(client, storaged, "small", ["v"])
    bed.run("kill -9 $(systemctl show -P MainPID virtstoraged)")
    pool = wait_active(client, storaged, "small", ["v"])
    # Taken away by somebody: told, and nothing is put where it was.
    bed.wait(lambda: bed.run("umount /srv/small", check=False).returncode == 0)
    client.wait_property(pool, "State", "unreachable")
    assert "nothing is mounted on /srv/small any more" in pool.Error
    with client.fails("PoolFailed", "nothing is mounted on /srv/small"):
        pool.CreateVolume("lost", MIB, 0, {})
    assert bed.run("ls -A /srv/small").stdout == ""
    pool.Stop(0, {}, timeout=60)
    pool.Start(0, {}, timeout=60)
    assert [v[0] for v in pool.ListVolumes()] == ["v"]
    pool.Stop(0, {}, timeout=60)
    assert mounted(bed, "/srv/small") == []
    pool.Undefine(0, {})


@pytest.mark.timeout(400)
def test_each_step_with_a_mount(bed, client, storaged):
    """Each of a start fails, and nothing stays mounted; a stop goes on. virtstoraged dies at each: what it was about to mount is known to the next one."""
    bed.run("truncate -s 16M /srv/steps.img && mkfs.ext4 -q -F /srv/steps.img")
    pool = define(client, storaged, "<pool xmlns:fs='http://libvirt.org/schemas/storagepool/fs/1.0' type='fs'><name>steps</name><source>"
                                    "<device path='/srv/steps.img'/></source><target><path>/srv/steps</path></target>"
                                    "<fs:mount_opts><fs:option name='loop'/></fs:mount_opts></pool>")
    units = "systemctl list-units --plain --no-legend srv-steps.mount; ls /run/virtbus/storage/status; losetup -n -O BACK-FILE"

    def look():
        return pool.State, [v[0] for v in pool.ListVolumes()] if pool.State == "active" else [], mounted(bed, "/srv/steps")[1:], bed.run(units).stdout

    def start():
        pool.Start(0, {}, timeout=60)

    def stop():
        pool.Stop(0, {}, timeout=60)
    start()
    pool.CreateVolume("v", MIB, 0, {})
    active = look()
    stop()
    nothing = look()
    with accidents_of(bed, "virtstoraged", "storage") as accidents:
        fail_each(accidents, "pool-start", start, look, back=stop)

        def is_finished(what):
            if what != "pool-start note dies":    # that is where it begins
                until_equal(look, active, what)
                stop()
            until_equal(look, nothing, what)
        die_at_each(accidents, "pool-start", start, is_finished)
        start()
        fail_each(accidents, "pool-stop", stop, look, forward=set(TABLES["pool-stop"]), back=start)
        die_at_each(accidents, "pool-stop", stop, lambda what: until_equal(look, active, what))
        stop()
    pool.Undefine(0, {})


def test_autostart(bed, client, storaged):
    bed.run("mkdir -p /srv/auto && touch /srv/auto/disk")
    define(client, storaged, "<pool type='dir'><name>auto</name><target><path>/srv/auto</path></target></pool>").SetAutostart(True, 0, {})
    bed.run("systemctl enable virtstoraged && systemctl restart virtstoraged")
    pool = wait_active(client, storaged, "auto", ["disk"])
    pool.Stop(0, {})
    pool.Undefine(0, {})


def test_hanging_file_system(bed, client, storaged):
    """A file system that does not answer: its pool says so, everything else answers at once."""
    bed.put("/etc/virtbus/storage.conf", "[Pools]\nDeadline=3s\nCheckInterval=1s\n")
    bed.run("mkdir -p /srv/behind /srv/hung /srv/fine && touch /srv/behind/v && bindfs /srv/behind /srv/hung && systemctl reload-or-restart virtstoraged")
    fuse = str(bed.run("pgrep -f 'bindfs /srv/behind'")).split()[0]
    pools = {n: define(client, storaged, f"<pool type='dir'><name>{n}</name><target><path>/srv/{n}</path></target></pool>") for n in ("hung", "fine")}
    for p in pools.values():
        p.Start(0, {})
    try:
        bed.run(f"kill -STOP {fuse}")
        failed = []

        def create():
            other = bed.bus()
            try:
                other.object(SERVICE, pools["hung"].path, f"{SERVICE}.Pool").CreateVolume("late", MIB, 0, {}, timeout=60)
            except BusError as e:
                failed.append(str(e))
            other.close()
        thread = threading.Thread(target=create)
        thread.start()
        worst = 0
        for n in range(40):
            began = time.monotonic()
            pools["fine"].CreateVolume(f"v{n}", MIB, 0, {})
            assert len(pools["hung"].ListVolumes()) == 1 and storaged.ListPools()
            worst = max(worst, time.monotonic() - began)
            time.sleep(0.05)
        thread.join(60)
        assert worst < at_most(1), worst
        assert failed and "did not answer within 3 s" in failed[0]
        client.wait_property(pools["hung"], "State", "unreachable")
        with client.fails("Timeout", "the pool hung is unreachable"):
            pools["hung"].CreateVolume("late", MIB, 0, {})
    finally:
        bed.run(f"kill -CONT {fuse}")
    client.wait_property(pools["hung"], "State", "active")
    pools["hung"].CreateVolume("after", MIB, 0, {})
    for p in pools.values():
        p.Stop(0, {})
        p.Undefine(0, {})
    bed.run("umount /srv/hung && rm -r /srv/fine /etc/virtbus/storage.conf && systemctl reload-or-restart virtstoraged")


def test_who_may_do_what(bed, client, storaged):
    """Everybody may look; what is in a volume, and what becomes of it, are root's or polkit's to decide."""
    bed.run("mkdir -p /srv/mine")
    pool = define(client, storaged, "<pool type='dir'><name>mine</name><target><path>/srv/mine</path></target></pool>")
    pool.Start(0, {})
    path, _ = pool.CreateVolume("secret", MIB, 0, {})
    call = f"busctl call {SERVICE} {path} {SERVICE}.Volume"
    assert "secret" in bed.run("virtctl volumes mine", user=USER).stdout
    for words in (f"{call} Open 'ta{{sv}}' 0 0", f"{call} Delete 'ta{{sv}}' 0 0", f"{call} Wipe 'ta{{sv}}' 0 0", f"{call} Resize 'tta{{sv}}' 1 0 0",
                  f"busctl call {SERVICE} {pool.path} {SERVICE}.Pool CreateVolume 'stta{{sv}}' x 1 0 0",
                  "virtctl stop-pool mine", "virtctl download-volume mine secret /tmp/stolen", "virtctl undefine-pool mine"):
        result = bed.run(words, user=USER, check=False)
        assert result.returncode and ("authorization" in result.stderr or "Access denied" in result.stderr), result
    assert bed.run("stat -c %a /srv/mine/secret").stdout.strip() == "600"
    pool.Stop(0, {})
    pool.Undefine(0, {})


def test_sealed_secret(bed, client, storaged):
    """With the host's key: what is on disk is of no use elsewhere, and a restart does no harm."""
    xml = "<secret><usage type='volume'><volume>disk key</volume></usage></secret>"
    s = client.object(SERVICE, storaged.DefineSecret("libvirt-xml", xml, 0, {}), f"{SERVICE}.Secret")
    s.SetValue(b"open\0sesame", 0, {})
    files = bed.run("ls /etc/virtbus/secrets").stdout
    assert ".cred" in files and ".value" not in files and bed.run("stat -c %a /etc/virtbus/secrets/*.cred").stdout.strip() == "600"
    assert bed.run("grep -r sesame /etc/virtbus/secrets", check=False).returncode == 1
    bed.run("systemctl restart virtstoraged")
    assert bytes(s.GetValue(0, {})) == b"open\0sesame"
    result = bed.run(f"busctl call {SERVICE} {s.path} {SERVICE}.Secret GetValue 'ta{{sv}}' 0 0", user=USER, check=False)
    assert result.returncode and "sesame" not in result.stdout
    assert "sesame" not in bed.journal()
    s.Undefine(0, {})
    assert bed.run("ls /etc/virtbus/secrets").stdout == ""


def test_virtctl(bed):
    bed.put("/srv/images.xml", "<pool type='dir'><name>images</name><target><path>/srv/images</path></target></pool>")
    bed.run("virtctl define-pool /srv/images.xml && virtctl build-pool images && virtctl enable-pool images && virtctl start-pool images")
    bed.run("virtctl create-volume images base.qcow2 1G format=qcow2 && virtctl create-volume images web.qcow2 format=qcow2 backing=base.qcow2")
    assert bed.run("virtctl volumes images").stdout.split()[:4] == ["NAME", "FORMAT", "CAPACITY", "ALLOCATION"]
    found = {v["name"]: v for v in json.loads(bed.run("virtctl volumes images --json=short").stdout)}
    assert found["web.qcow2"]["capacity"] == GIB and found["web.qcow2"]["format"] == "qcow2"
    pools = json.loads(bed.run("virtctl pools --json=short").stdout)
    assert [p["state"] for p in pools if p["name"] == "images"] == ["active"] and "images" in bed.run("virtctl pools").stdout
    bed.run("virtctl create-volume images copy clone-from=web.qcow2 format=raw && virtctl resize-volume images copy 2G && virtctl wipe-volume images base.qcow2")
    bed.run("head -c 100000 /dev/urandom >/srv/in && virtctl upload-volume images copy /srv/in && virtctl download-volume images copy /srv/out && cmp -n 100000 /srv/in /srv/out")
    assert "<name>copy</name>" in bed.run("virtctl cat-volume images copy").stdout
    for words, status, text in (("create-volume images x 10Q", 2, 'is no size'), ("create-volume images x 1G colour=red", 2, '"colour=red" is none of'),
                                ("volumes none", 3, "no pool is called"), ("resize-volume images copy 1M", 1, "would lose"), ("stop-pol images", 2, "did you mean stop-pool")):
        result = bed.run(f"virtctl {words}", check=False)
        assert result.returncode == status and text in result.stderr, result
    bed.run("virtctl delete-volume images web.qcow2 base.qcow2 copy && virtctl stop-pool images && virtctl delete-pool images && virtctl undefine-pool images")
    assert not bed.exists("/srv/images")


def test_encrypted_disk_of_a_unit(bed, client, storaged):
    """A private passphrase, sealed by the host, opens the disk of a VM that runs as its own unit, and is nowhere to be read."""
    bed.put("/srv/key.xml", "<secret private='yes'><usage type='volume'><volume>key</volume></usage></secret>")
    bed.put("/srv/vault.xml", "<pool type='dir'><name>vault</name><target><path>/srv/vault</path></target></pool>")
    encryption = "<encryption format='luks'><secret type='passphrase' usage='key'/></encryption>"
    disk = f"<disk type='volume'><source pool='vault' volume='v'/><target dev='vda' bus='virtio'/>{encryption}</disk>"
    bed.put("/srv/sealed.xml", tiny_xml("sealed", devices=disk))
    bed.run("virtctl define-secret /srv/key.xml && echo sesame | virtctl set-secret volume:key")
    bed.run("virtctl define-pool /srv/vault.xml && virtctl build-pool vault && virtctl start-pool vault")
    pool = client.object(SERVICE, storaged.GetPool("vault"), f"{SERVICE}.Pool")
    volume = f"<volume><name>v</name><capacity unit='MiB'>2</capacity><target>{encryption}</target></volume>"
    pool.CreateVolumeFromDefinition("libvirt-xml", volume, 0, {}, timeout=100)
    bed.run("virtctl define /srv/sealed.xml && virtctl start sealed")
    assert "running" in bed.run("virtctl status sealed").stdout
    assert "sesame" not in bed.run("systemctl status virtqemud@sealed; cat /proc/*/cmdline | tr '\\0' ' '", check=False).stdout + bed.journal()
    result = bed.run(f"busctl call {SERVICE} /org/virtbus/storage1 {SERVICE}.Manager OpenSecret 'sssta{{sv}}' '' volume key 0 0", check=False)
    assert result.returncode and "Access denied" in result.stderr
    bed.run("virtctl kill sealed && virtctl undefine sealed")
    bed.run("virtctl delete-volume vault v && virtctl stop-pool vault && virtctl delete-pool vault && virtctl undefine-pool vault && virtctl undefine-secret volume:key")
