# SPDX-License-Identifier: LGPL-2.1-or-later
"""The way of somebody new, on a whole machine that has nothing but the Debian packages: install, define, start, an address on the
NAT network, and all of it again after the machine's reboot."""

import re
import subprocess
from types import SimpleNamespace

import pytest

from domains import guest_xml
from machine import Machine

pytestmark = [pytest.mark.machine, pytest.mark.timeout(1500)]

NETWORK = "<interface type='network'><source network='default'/><model type='virtio'/></interface>"
ASK_FOR_ADDRESS = "sh busybox ip link set eth0 up; busybox udhcpc -f -q -n -i eth0 -s /bin/true"
LOG = "/var/log/virtbus/qemu/web/serial0.log"


def wait_for(machine, command, seconds=240):
    machine.run(f"for i in $(seq {seconds}); do {command} && exit 0; sleep 1; done; virtctl status web; cat {LOG}; exit 1", timeout=seconds + 120)


def wait_for_address(machine, times):
    wait_for(machine, f"[ $(grep -c VIRTBUS-GUEST-READY {LOG}) = {times} ]")
    wait_for(machine, f"{{ (echo; echo '{ASK_FOR_ADDRESS}'; sleep 30) | timeout 25 virtctl --quiet console web >/dev/null; "
             "virtctl network-leases default | grep '192[.]168[.]'; }", 8)


def test_from_packages_to_a_vm_with_an_address(packages, guest_image, tmp_path):
    disk = tmp_path / "disk"
    with open(disk, "wb") as f:
        f.truncate(4 << 30)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)

    with Machine(disk=disk) as machine:
        for path in (*packages.old, guest_image.kernel, guest_image.initrd):
            (machine.shared / path.name).write_bytes(path.read_bytes())
        machine.run(f"mv /mnt/shared/{guest_image.kernel.name} /srv/kernel && mv /mnt/shared/{guest_image.initrd.name} /srv/initrd")
        machine.run("rm -f /usr/sbin/policy-rc.d; DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends /mnt/shared/*.deb",
                    timeout=600)
        assert machine.run("systemctl --failed --no-legend").stdout == ""
        guest = SimpleNamespace(kernel="/srv/kernel", initrd="/srv/initrd", cmdline=guest_image.cmdline)
        machine.put("/srv/web.xml", guest_xml(guest, devices=NETWORK))
        machine.run("virtctl define /srv/web.xml && virtctl enable web && virtctl start web", timeout=300)
        wait_for_address(machine, 1)
        assert "web" in machine.run("machinectl list --no-legend").stdout
        # The answer to this does not come any more; the machine ends by itself.
        machine.run("systemd-run --on-active=1 systemctl poweroff")
        machine.qemu.process.wait(300)

    with Machine(disk=disk) as machine:
        wait_for_address(machine, 2)
        assert re.search(r"web\s.*running", machine.run("virtctl list").stdout)
        assert "VIRTBUS-GUEST-POWERDOWN" in machine.read(LOG)
        assert machine.run("systemctl --failed --no-legend").stdout == ""
