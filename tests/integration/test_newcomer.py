# SPDX-License-Identifier: LGPL-2.1-or-later
"""The way of somebody new, on a whole machine that has nothing but the Debian packages: what README.md says, a VM on the network whom one
can log into, and all of it again after the machine's reboot."""

import re
import subprocess

import pytest

import cloud
from machine import Machine

pytestmark = [pytest.mark.newcomer, pytest.mark.skipif(bool(cloud.why_not()), reason=str(cloud.why_not()))]

IMAGE = "debian-12-genericcloud-amd64.qcow2"
# The guest makes a new key of its own at each boot.
LOGIN = ("ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=60 "
         "admin@$(virtctl -q wait web ipv4 --timeout=300) uname -n")


def log_in(machine):
    """Its lease is from before, when it boots again."""
    said = machine.run(f"for i in $(seq 20); do {LOGIN} && exit; sleep 10; done; virtctl status web --lines=50; exit 1", timeout=1000).stdout
    assert said.splitlines()[-1] == "web", said


def test_from_packages_to_a_vm_on_the_network(packages, tmp_path):
    disk = tmp_path / "disk"
    with open(disk, "wb") as f:
        f.truncate(4 << 30)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    with Machine(disk=disk) as machine:
        cloud.build(machine.shared / IMAGE)
        for path in packages.old:
            (machine.shared / path.name).write_bytes(path.read_bytes())
        machine.run("rm -f /usr/sbin/policy-rc.d; cd /mnt/shared; DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ./virt*.deb",
                    timeout=600)
        assert machine.run("systemctl --failed --no-legend").stdout == ""
        machine.run("ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519")
        machine.run(f"cd /mnt/shared; virtctl create web --image {IMAGE} --login admin --memory 512M --cpus 1", timeout=400)
        log_in(machine)
        machine.run("virtctl enable web")
        assert "web" in machine.run("machinectl list --no-legend").stdout
        # The answer to this does not come any more; the machine ends by itself.
        machine.run("systemd-run --on-active=1 systemctl poweroff")
        machine.qemu.process.wait(300)
    with Machine(disk=disk) as machine:
        machine.run("virtctl wait web running --timeout=300", timeout=400)
        log_in(machine)
        assert re.search(r"web\s.*running", machine.run("virtctl list").stdout)
        assert machine.run("systemctl --failed --no-legend").stdout == ""
