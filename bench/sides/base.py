# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all sides have in common: definitions, and what /proc says."""

import re
import subprocess
import uuid
from pathlib import Path

from table import Missing

# Firmware and nothing to boot: QEMU itself is what is started. No USB, so that all sides build the same machine.
DOMAIN = """<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>16</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
<devices><controller type='usb' model='none'/>{devices}</devices></domain>"""
NO_BALLOON = "<memballoon model='none'/>"
DISK = "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{path}'/><target dev='vda' bus='virtio'/></disk>"
NETWORK = """<network><name>{name}</name><forward mode='nat'/><bridge name='{name}' stp='off'/>
<ip address='10.{hi}.{lo}.1' netmask='255.255.255.0'><dhcp><range start='10.{hi}.{lo}.2' end='10.{hi}.{lo}.254'/></dhcp></ip></network>"""
POOL = "<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"


def uuid_of(name):
    return uuid.uuid5(uuid.NAMESPACE_DNS, name)


def domain_xml(name, devices=NO_BALLOON):
    return DOMAIN.format(name=name, uuid=uuid_of(name), devices=devices)


def network_xml(i):
    return NETWORK.format(name=f"vbn{i}", hi=200 + i // 250, lo=i % 250)


def run(*argv):
    return subprocess.run([str(a) for a in argv], check=True, capture_output=True, text=True).stdout


def main_pid(unit):
    """Of a unit that runs, or 0."""
    return int(run("systemctl", "show", "-P", "MainPID", "--value", unit))


def pss(pid):
    """MB, with what it shares counted in part."""
    return int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1)) / 1024


def named(name):
    """Pids of all processes that run that program."""
    out = subprocess.run(["pgrep", "-x", name], capture_output=True, text=True).stdout if name else ""
    return [int(line) for line in out.split()]


class Side:
    """What a side can do. Where one can't, the row stays empty. SERVICES are the units of its daemons, that of virtual machines first; NETWORKS
    is the one of networks."""

    BESIDE_QEMU = None      # the program that runs once per virtual machine

    def __getattr__(self, name):
        raise Missing(name)

    def _stop(self, *units):
        self.disconnect()
        run("systemctl", "stop", *units)
        run("systemctl", "reset-failed", *units)    # systemd counts starts and refuses the sixth in ten seconds

    def stop_daemons(self):
        """All but their sockets; virtual machines stay."""
        self._stop(*self.SERVICES)

    def stop_networks(self):
        """The daemon of networks; they stay."""
        self._stop(self.NETWORKS)

    def stop_manager(self):
        """The daemon of virtual machines alone."""
        self._stop(self.SERVICES[0])

    def listen(self):
        """Keep what is told of states from now on: over a new connection, as the old one may have more to tell."""
        self.disconnect()
        self.connect()
        self.subscribe()

    def memory(self):
        """MB of all that is no QEMU: its daemons, and what else runs for each virtual machine."""
        pids = [pid for pid in map(main_pid, self.SERVICES) if pid]
        return sum(map(pss, pids + named(self.BESIDE_QEMU)))
