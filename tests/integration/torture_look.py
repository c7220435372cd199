# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is really there, seen without asking those who should know: files, processes, units, links, rules, and what QEMU says of itself."""

import json
import os
import re
import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from torture_accidents import processes
from torture_plan import NETWORKS, NICS, POOLS, TARGETS, TRANSIENT, VMS, mac
from torture_ops import IMAGES, bridge, host_mac

ALL_VMS = VMS + TRANSIENT
LISTS = """
echo units; systemctl list-units --all --plain --no-legend --full 'virt*'
echo jobs; systemctl list-jobs --no-legend
echo machines; machinectl list --no-legend --full
echo links; ip -json link
echo rules; nft list ruleset
echo stores; systemctl show -P NFileDescriptorStore virtlockd virtlogd
"""


def source_of(disk):
    source = disk.find("source")
    if source is None:
        return None
    return f"{source.get('pool')}:{source.get('volume')}" if source.get("pool") else os.path.basename(source.get("file", ""))


def weight_of(root):
    shares = root.find("cputune/shares")
    return int(shares.text) if shares is not None else None


def devices_of(root, vm, where):
    """The registers of one definition of a VM."""
    found = {("vm", vm, "weight", where): weight_of(root)}
    for target in TARGETS:
        disks = [d for d in root.findall("devices/disk") if d.find("target").get("dev") == target]
        found["vm", vm, target, where] = source_of(disks[0]) if len(disks) == 1 else [source_of(d) for d in disks] or None
    for number in NICS:
        nics = [i for i in root.findall("devices/interface") if i.find("mac").get("address") == mac(vm, number)]
        sources = [i.find("source").get("network") for i in nics]
        found["vm", vm, f"nic{number}", where] = sources[0] if len(nics) == 1 else sources or None
    return found


def nothing(vm, where):
    return {("vm", vm, what, where): None for what in ("weight", *TARGETS, *(f"nic{n}" for n in NICS))}


class Look:
    """Taken at one moment, or nearly so."""

    def __init__(self, bed):
        self.bed = bed
        self.root = Path(f"/proc/{bed.pid}/root")
        self.parts = self._lists()
        self.processes = {vm: processes(bed, f"virtqemu@{vm}.service", "machine.slice") for vm in ALL_VMS}
        self.definitions = {kind: self._definitions(kind) for kind in ("domains", "networks", "pools")}

    def _lists(self):
        parts, name = {}, None
        for line in self.bed.run(LISTS, timeout=60).stdout.splitlines():
            if line in ("units", "jobs", "machines", "links", "rules", "stores"):
                name = line
                parts[name] = []
            else:
                parts[name].append(line)
        return parts

    # ---- systemd and its like

    def units(self, state="active"):
        """Names of what is in this state (of list-units' third column)."""
        return {line.split()[0] for line in self.parts["units"] if line.split()[2] == state}

    def all_units(self):
        return {line.split()[0]: line.split()[2] for line in self.parts["units"]}

    def machines(self):
        return {line.split()[0] for line in self.parts["machines"]}

    def links(self):
        """{name: the bridge it is on, or None}"""
        return {link["ifname"]: link.get("master") for link in json.loads("\n".join(self.parts["links"]) or "[]")}

    def rules(self, network):
        """Lines about a network, wherever they stand."""
        words = re.compile(rf"\b({bridge(network)}|10\.{NETWORKS[network][1]}\.0\.\d+)\b")
        return sorted(line.strip() for line in self.parts["rules"] if words.search(line))

    def stored(self):
        """Descriptors that systemd holds for virtlockd and virtlogd."""
        return [int(line) for line in self.parts["stores"] if line]

    # ---- files

    def path(self, name):
        return self.root / name.lstrip("/")

    def names(self, folder, pattern="*"):
        return {p.name for p in self.path(folder).glob(pattern)}

    def _definitions(self, kind):
        found = {}
        for p in self.path(f"/etc/virtbus/{kind}").glob("*.xml"):
            if p.is_file() and not p.name.startswith("."):
                try:
                    found[p.stem] = ElementTree.fromstring(p.read_text())
                except (ElementTree.ParseError, FileNotFoundError) as e:
                    found[p.stem] = str(e)
        return found

    def leftovers(self):
        """Halves of files: temporary names, anywhere."""
        found = []
        for top in ("/etc/virtbus", "/var/lib/virtbus", "/run/virtbus", *POOLS.values(), IMAGES):
            for base, folders, names in os.walk(self.path(top)):
                found += [f"{base.removeprefix(str(self.root))}/{n}" for n in [*names, *folders] if n.startswith(".")]
        return found

    def capacity(self, path):
        """Of an image, by what is in it."""
        p = self.path(path)
        if not p.exists():
            return None
        # A clone has the format of what it was made from, whatever it is called.
        with p.open("rb") as f:
            head = f.read(32)
        if head[:4] == b"QFI\xfb" and len(head) == 32:
            return struct.unpack(">Q", head[24:32])[0]
        if path.endswith(".qcow2"):
            return "no qcow2 image"
        return p.stat().st_size

    def enabled(self, folder, name):
        """Whether there is a link or file that has it started with the host."""
        return os.path.lexists(self.path(f"{folder}/{name}")) or None

    # ---- the registers of torture_model.py, as far as they can be seen without asking

    def registers(self):
        found = {}
        for vm in ALL_VMS:
            root = self.definitions["domains"].get(vm)
            usable = isinstance(root, ElementTree.Element)
            found["vm", vm, "title"] = root.findtext("title") if usable else root
            found |= devices_of(root, vm, "config") if usable else nothing(vm, "config")
            found["vm", vm, "autostart"] = self.enabled("/etc/systemd/system/multi-user.target.wants", f"virtqemu@{vm}.service")
        for vm in VMS:
            found["file", f"base-{vm}"] = self.capacity(f"{IMAGES}/base-{vm}")
        for network in NETWORKS:
            found |= self._network(network)
        for pool, folder in POOLS.items():
            found["pool", pool, "defined"] = True if pool in self.definitions["pools"] else None
            found["pool", pool, "autostart"] = self.enabled("/etc/virtbus/pools/autostart", f"{pool}.xml")
            for name in self.names(folder):
                found["volume", pool, name] = self.capacity(f"{folder}/{name}")
        return found

    def _network(self, network):
        root = self.definitions["networks"].get(network)
        usable = isinstance(root, ElementTree.Element)
        found = {("network", network, "domain"): root.find("domain").get("name") if usable else root,
                 ("network", network, "autostart"): self.enabled("/etc/virtbus/networks/autostart", f"{network}.xml"),
                 ("network", network, "active"): bridge(network) in self.links() or None}
        told = self.path(f"/run/virtbus/network/{network}/dhcp-hosts")
        live = told.read_text() if told.exists() else ""
        kept = ElementTree.tostring(root, "unicode") if usable else ""
        for host in (0, 1):
            found["network", network, f"host{host}", "live"] = host_mac(network, host) in live or None
            found["network", network, f"host{host}", "config"] = host_mac(network, host) in kept or None
        return found
