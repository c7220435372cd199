# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtctl create and clone as they are installed: as root on the host, with the daemons in their sandboxes."""

import json

import pytest

pytestmark = pytest.mark.host

POOL = "<pool type='dir'><name>default</name><target><path>/var/lib/images</path></target></pool>"


@pytest.fixture(scope="module")
def bed(installed, guest_image):
    installed.put("/srv/kernel", open(guest_image.kernel, "rb").read())
    installed.put("/srv/initrd", open(guest_image.initrd, "rb").read())
    installed.put("/srv/pool.xml", POOL)
    installed.put("/root/base.raw", b"base image".ljust(1 << 20, b"\0"))
    installed.put("/root/.ssh/id_test.pub", "ssh-ed25519 AAAA me@home\n")
    installed.run("mkdir /var/lib/images; systemctl enable --now virtqemud.socket virtstoraged.socket virtnetworkd.socket && virtctl define-pool /srv/pool.xml")
    installed.words = f"--type=qemu --memory=192M --cpus=1 --kernel=/srv/kernel --initrd=/srv/initrd --cmdline='{guest_image.cmdline}'"
    yield installed
    installed.run("virtctl kill web copy; virtctl stop-network --force default; virtctl stop-pool default", check=False)


def test_create_and_clone(bed):
    """An image that only its owner can read, a network that comes up with the VM, a pool that comes up with the volume."""
    said = bed.run(f"virtctl create web {bed.words} --image=/root/base.raw --disk=size=4M --login=me", timeout=100)
    assert "The guest gets the key /root/.ssh/id_test.pub" in said.stderr and "web: created and started" in said.stderr, said
    xml = bed.run("virtctl cat web").stdout
    assert "<source network=\"default\"/>" in xml and "<source pool=\"default\" volume=\"web.raw\"/>" in xml
    assert bed.run("systemctl is-active virtqemu@web").stdout == "active\n"
    assert [r["active"] for r in json.loads(bed.run("virtctl --json=short networks").stdout) if r["name"] == "default"] == [True]
    assert sorted(v["name"] for v in json.loads(bed.run("virtctl --json=short volumes default").stdout)) == ["web-seed.iso", "web.raw"]
    bed.run("virtctl kill web")
    bed.run("virtctl clone web copy", timeout=100)
    assert bed.run("cmp -n 1048576 /var/lib/images/copy.raw /root/base.raw").returncode == 0
    bed.run("virtctl start copy")
    assert bed.run("systemctl is-active virtqemu@copy").stdout == "active\n"
    bed.run("virtctl kill copy && virtctl undefine copy web && virtctl delete-volume default web.raw web-seed.iso copy.raw")


def test_without_a_network(bed):
    """Who has removed the default network is told what is taken instead; nothing of the command stays when it fails."""
    said = bed.run("virtctl create --dry-run --type=qemu x")
    assert "<source network=\"default\"/>" in said.stdout and said.stderr == ""
    bed.run("virtctl stop-network --force default; virtctl cat-network default >/srv/default.xml && virtctl undefine-network default")
    said = bed.run("virtctl create --dry-run --type=qemu x")
    assert "type=\"passt\"" in said.stdout and 'there is no network "default"' in said.stderr and "--network=NAME" in said.stderr
    said = bed.run("virtctl create --type=qemu --network=none x --disk=size=1M --kernel=/nowhere", check=False)
    assert said.returncode == 1 and "/nowhere" in said.stderr
    bed.run("virtctl define-network /srv/default.xml")
    assert json.loads(bed.run("virtctl --json=short volumes default").stdout) == []
