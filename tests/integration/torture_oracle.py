# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares what the daemons say with what is really there (torture_look.py), and both with what may be so (torture_model.py)."""

import json
import os
import re
import xml.etree.ElementTree as ElementTree

from bus import COMPLAINTS, BusError
from domains import CONFIG, LIVE
from torture_look import ALL_VMS, Look, devices_of, nothing
from torture_ops import IMAGES, NETWORK, NOTE, QEMU, STORAGE, bridge, domain, manager, of_network, pool_path
from torture_plan import DAEMONS, NETWORKS, POOLS, identity

ACTIVE = {"running": "running", "paused": "paused", "shutoff": None}
# Units beside daemons and VMs that may be there at any time.
LASTING = {f"{d}.{kind}" for d in (*DAEMONS, "virtbus-metrics") for kind in ("service", "socket")}


def canonical(text):
    return ElementTree.canonicalize(text, strip_text=True)


class Oracle:
    def __init__(self, bed, client):
        self.bed, self.client = bed, client
        self.rules = {}          # of networks, as they were at peace

    def ask(self):
        """(what differs, the registers as they are)."""
        self.wrong = []
        self.look = Look(self.bed)
        self.registers = self.look.registers()
        self.listed = {d[0]: d for d in manager(self.client, QEMU, "ListDomains", "")[0]}
        self.live, self.machine_names = {}, {}
        self.lost = {}           # what is left open of disks that a paused VM has lost
        for check in (self.daemons, self.domains, self.machines, self.inside, self.leases, self.networks, self.taps, self.pools, self.files):
            try:
                check()
            except (BusError, TimeoutError, FileNotFoundError) as e:
                self.say(f"{check.__name__}: {e}")
        return self.wrong, self.registers

    def say(self, text):
        self.wrong.append(text)

    def same(self, what, **sides):
        """All sides say the same of a thing."""
        (first, one), *others = sides.items()
        for name, other in others:
            if one != other:
                if isinstance(one, set) and isinstance(other, set):
                    self.say(f"{what}: {first} has {sorted(one - other)} more, {name} has {sorted(other - one)} more")
                else:
                    self.say(f"{what}: {first} says {one!r}, {name} {other!r}")

    # ---- daemons and systemd

    def daemons(self):
        states = self.look.all_units()
        for name in DAEMONS:
            if states.get(f"{name}.socket") != "active":
                self.say(f"{name}.socket is {states.get(f'{name}.socket')}")
            if states.get(f"{name}.service") not in ("active", "inactive"):
                self.say(f"{name}.service is {states.get(f'{name}.service')}")
        for line in self.look.parts["jobs"]:
            self.say(f"systemd has a job: {line}")
        for line in self.bed.run(f"journalctl -b -q -o cat --cursor-file=/run/torture.cursor -g '{'|'.join(COMPLAINTS)}'", check=False).stdout.splitlines():
            self.say(f"a daemon has said: {line}")
        for service in (QEMU, STORAGE):
            for job in manager(self.client, service, "ListJobs", "")[0]:
                self.say(f"there is a job: {job}")

    # ---- definitions and states

    def domains(self):
        on_disk = set(self.look.definitions["domains"])
        persistent = set()
        for name, d in self.listed.items():
            self.same(f"uuid of {name}", bus=bytes(d[2]), plan=identity("vm", name).bytes)
            p = self.client.call(QEMU, d[4], "org.freedesktop.DBus.Properties", "GetAll", "s", f"{QEMU}.Domain")[0]
            if p["Persistent"]:
                persistent.add(name)
                self.definition(name, p)
            if p["State"] not in ACTIVE:
                self.say(f"{name} is {p['State']} ({p['StateReason']}) {p['LastError']}")
            if p["Job"] != (0, "/"):
                self.say(f"{name} has a job: {p['Job']}")
            if p["State"] == "shutoff" and not p["Persistent"]:
                self.say(f"{name} is off and not persistent, but there")
            self.same(f"autostart of {name}", bus=bool(p["Autostart"]), link=bool(self.registers["vm", name, "autostart"]))
            self.registers["vm", name, "state"] = ACTIVE.get(p["State"], p["State"])
            self.machine_names[name] = p["MachineName"]
            for warning in p["Warnings"]:
                self.say(f"{name} has a warning: {warning}")
        self.same("definitions of VMs", disk=on_disk, bus=persistent)
        for name in ALL_VMS:
            if name not in self.listed:
                self.registers["vm", name, "state"] = None
            if self.registers["vm", name, "state"]:
                self.live[name] = ElementTree.fromstring(domain(self.client, name, "ExportDefinition", "st", "libvirt-xml", LIVE)[0])
                self.registers |= devices_of(self.live[name], name, "live")
            else:
                self.registers |= nothing(name, "live")

    def definition(self, name, properties):
        text, = domain(self.client, name, "ExportDefinition", "st", "libvirt-xml", CONFIG)
        kept = self.look.path(f"/etc/virtbus/domains/{name}.xml").read_text()
        self.same(f"definition of {name}", bus=canonical(text), disk=canonical(kept))
        root = ElementTree.fromstring(kept)
        self.same(f"what is written about {name}", title=root.findtext("title"), description=root.findtext("description"),
                  metadata=root.findtext(f"metadata/{{{NOTE}}}note"))
        if properties["State"] == "shutoff":
            self.same(f"metadata of {name}", disk=root.findtext("title"), bus=ElementTree.fromstring(properties["Metadata"][NOTE]).text)

    def active(self):
        return {name for name in ALL_VMS if self.registers["vm", name, "state"]}

    # ---- units, processes and machined

    def machines(self):
        units = self.look.all_units()
        self.same("units of VMs", bus={f"virtqemu@{name}.service" for name in self.active()},
                  systemd={u for u, state in units.items() if u.startswith("virtqemu@") and state not in ("inactive", "failed")})
        self.same("machines", vms=self.active(), machined=self.look.machines())
        self.same("names of machines", vms=sorted(self.active()), bus=sorted(self.machine_names[name] for name in self.active()))
        for name, found in self.look.processes.items():
            expected = ["qemu-system-x86", "virtqemu-watch"] if name in self.active() else []
            self.same(f"processes of {name}", expected=expected, unit=sorted(found.values()))
        beside = {u for u, state in units.items() if u not in LASTING and not u.startswith(("virtqemu@", "virtdnsmasq@")) and state == "active"}
        relays = {f"virtqemu-relay-{identity('vm', 'd')}-serial0"} if "d" in self.active() else set()
        self.same("companions", expected=relays, systemd={re.sub(r"-[^-]*\.service$", "", u) for u in beside})

    # ---- QEMU

    def inside(self):
        for name, live in self.live.items():
            self.one_inside(name, live)

    def qmp(self, name, command, **arguments):
        text, = domain(self.client, name, "QMPCommand", "s", json.dumps({"execute": command, "arguments": arguments}))
        return json.loads(text)

    def one_inside(self, name, live):
        def alias(device):
            return device.find("alias").get("name")
        disks = {alias(d) for d in live.findall("devices/disk")}
        nics = {alias(i) for i in live.findall("devices/interface")}
        controllers = {"scsi0", "usb0"}
        peripheral = {p["name"] for p in self.qmp(name, "qom-list", path="/machine/peripheral")} - {"type"}
        expected = {p for p in peripheral if p in disks | nics or not re.match("(ua-|net|scsi-disk|scsi0-)", p)} | disks | nics | controllers
        self.same(f"devices of {name}", definition=expected, qemu=peripheral)
        nodes = {n["node-name"] for n in self.qmp(name, "query-named-block-nodes", flat=True)}
        self.same(f"disks of {name} with nodes", definition=disks,
                  qemu={re.sub("-(format|file|storage|protocol)$", "", n) for n in nodes if not n.startswith("#")})
        network = self.qmp(name, "human-monitor-command", **{"command-line": "info network"})
        self.same(f"network of {name}", definition={f"host{n}" for n in nics}, qemu=set(re.findall(r"\b(host[\w-]+):", network)))
        self.same(f"state of {name}", bus=self.registers["vm", name, "state"], qemu=self.qmp(name, "query-status")["status"])
        weight = self.registers["vm", name, "weight", "live"]
        shown = self.bed.run(f"systemctl show -P CPUWeight virtqemu@{name}").stdout.strip()
        self.same(f"CPUWeight of {name}", definition=str(weight) if weight else "[not set]", unit=shown)
        self.descriptors(name, live)

    def descriptors(self, name, live):
        """QEMU has its disks open, and no others; but while it is paused, it keeps in its sets what it was told to close."""
        pid = next((p for p, comm in self.look.processes[name].items() if comm.startswith("qemu-system")), None)
        if pid is None:
            return
        names = {}
        for folder in (IMAGES, *POOLS.values()):
            names |= {self.inode(p): f"{folder}/{p.name}" for p in self.look.path(folder).iterdir() if p.is_file()}
        opened = {int(fd): names.get(self.inode(f"/proc/{pid}/fd/{fd}")) for fd in os.listdir(f"/proc/{pid}/fd")}
        paths, kept = self.paths(live), set()
        if self.registers["vm", name, "state"] == "paused":
            kept = {fd["fd"] for s in self.qmp(name, "query-fdsets") for fd in s["fds"] if opened.get(fd["fd"]) not in paths}
        self.lost[name] = {opened.get(fd) for fd in kept} - {None}
        self.same(f"files of {name}", definition=paths, open={path for fd, path in opened.items() if fd not in kept} - {None})

    @staticmethod
    def inode(path):
        """Names say nothing: who opened the file may have had mounts of its own, which are gone."""
        found = os.stat(path)
        return found.st_dev, found.st_ino

    def paths(self, live):
        found = set()
        for d in live.findall("devices/disk"):
            inside = d.find("{https://virtbus.org/schemas/1.0}found")
            found.add(inside.text if inside is not None else d.find("source").get("file"))
        return found

    # ---- leases

    def leases(self):
        leases, = self.client.call("org.virtbus.lock1", "/org/virtbus/lock1", "org.virtbus.lock1.Manager", "ListLeases", "s", "")
        held = {(lease[5], lease[2]) for lease in leases}
        used = {(name, path) for name, live in self.live.items() for path in self.paths(live) | self.lost.get(name, set())}
        # What a paused one has lost may have been deleted since.
        deleted = {(name, path) for name, path in held - used if self.registers["vm", name, "state"] == "paused" and not self.look.path(path).exists()}
        self.same("leases", definition=used, virtlockd=held - deleted)
        self.same("lock files", virtlockd={lease[1] for lease in leases}, disk=self.look.names("/var/lib/virtbus/lock/default"))
        # One lock file each of a lease, one pipe each of a log that is written.
        logs, = self.client.call("org.virtbus.log1", "/org/virtbus/log1", "org.virtbus.log1.Manager", "ListLogs", "")
        open_logs = [log for log in logs if self._is_open(log)]
        self.same("descriptors that systemd holds", daemons=[len(leases), len(open_logs)], systemd=self.look.stored())

    def _is_open(self, log):
        state = self.client.call("org.virtbus.log1", log[-1], "org.freedesktop.DBus.Properties", "Get", "ss", "org.virtbus.log1.Log", "State")[0]
        return state != "closed"

    # ---- networks

    def networks(self):
        on_disk, persistent, active = set(self.look.definitions["networks"]), set(), set()
        for name, _, is_active, path in manager(self.client, NETWORK, "ListNetworks", "")[0]:
            if name == "default":
                on_disk.discard(name)
                continue
            p = self.client.call(NETWORK, path, "org.freedesktop.DBus.Properties", "GetAll", "s", f"{NETWORK}.Network")[0]
            if is_active:
                active.add(name)
            if p["Persistent"]:
                persistent.add(name)
                text, = of_network(self.client, name, "ExportDefinition", "st", "libvirt-xml", CONFIG)
                self.same(f"definition of {name}", bus=canonical(text),
                          disk=canonical(self.look.path(f"/etc/virtbus/networks/{name}.xml").read_text()))
            elif not is_active:
                self.say(f"{name} is neither active nor persistent, but there")
            self.same(f"autostart of {name}", bus=bool(p["Autostart"]), file=bool(self.registers["network", name, "autostart"]))
            for trouble in [*p["Warnings"], *filter(None, [p["Error"]])]:
                self.say(f"{name}: {trouble}")
        self.same("definitions of networks", disk=on_disk, bus=persistent)
        self.same("active networks", bus=active, bridges={n for n in NETWORKS if bridge(n) in self.look.links()},
                  statuses={p.removesuffix(".xml") for p in self.look.names("/run/virtbus/network/status")},
                  folders=self.look.names("/run/virtbus/network") - {"status"},
                  dnsmasq={u.removeprefix("virtdnsmasq@").removesuffix(".service") for u, state in self.look.all_units().items()
                           if u.startswith("virtdnsmasq@") and state not in ("inactive", "failed")})
        self.firewall(active)

    def firewall(self, active):
        self.same("table of the firewall", networks=bool(active), rules="table inet virtbus {" in self.look.parts["rules"])
        for name in NETWORKS:
            rules = self.look.rules(name)
            if name in active:
                self.same(f"rules of {name}", before=self.rules.setdefault(name, rules), now=rules)
            else:
                self.same(f"rules of {name}, which is not active", expected=[], now=rules)

    def taps(self):
        links = self.look.links()
        taps = {}
        for name, live in self.live.items():
            for i in live.findall("devices/interface"):
                taps[i.find("target").get("dev")] = (name, i.find("source").get("network"))
        self.same("ports", definitions=set(taps), links={n for n in links if n.startswith("vnet")})
        for tap, (name, network) in taps.items():
            if tap in links and bridge(network) in links:
                self.same(f"bridge of {tap} of {name}", definition=bridge(network), link=links[tap])

    # ---- pools and volumes

    def pools(self):
        on_disk, persistent, active = set(self.look.definitions["pools"]), set(), set()
        for name in POOLS:
            self.registers["pool", name, "active"] = None
        for name, _, state, _, path, *_ in manager(self.client, STORAGE, "ListPools", "")[0]:
            p = self.client.call(STORAGE, path, "org.freedesktop.DBus.Properties", "GetAll", "s", f"{STORAGE}.Pool")[0]
            self.same(f"autostart of the pool {name}", bus=bool(p["Autostart"]), file=bool(self.registers["pool", name, "autostart"]))
            if p["Persistent"]:
                persistent.add(name)
            if state == "active":
                active.add(name)
                self.registers["pool", name, "active"] = True
                self.volumes(name)
            elif state != "inactive":
                self.say(f"the pool {name} is {state}")
        self.same("definitions of pools", disk=on_disk, bus=persistent)
        self.same("active pools", bus=active, statuses={p.removesuffix(".xml") for p in self.look.names("/run/virtbus/storage/status")})

    def volumes(self, pool):
        listed, = self.client.call(STORAGE, pool_path(pool), f"{STORAGE}.Pool", "ListVolumes")
        sizes = {k[2]: size for k, size in self.registers.items() if k[:2] == ("volume", pool)}
        self.same(f"volumes of {pool}", bus={(v[0], v[3]) for v in listed}, disk=set(sizes.items()))
        for name, path, *_, volume in listed:
            users = self.client.call(STORAGE, volume, "org.freedesktop.DBus.Properties", "Get", "ss", f"{STORAGE}.Volume", "UsedBy")[0]
            self.same(f"who uses {pool}:{name}", definitions={n for n, live in self.live.items() if path in self.paths(live)}, bus=set(users))

    # ---- files

    def files(self):
        uuids = {str(identity("vm", name)) for name in self.active()}
        self.same("run states", active=uuids, files={n.removesuffix(".json") for n in self.look.names("/run/virtbus/qemu/status")})
        self.same("run folders", active=uuids, folders=self.look.names("/run/virtbus/qemu") - {"status"})
        logs = {f"{u}.qemu.fifo" for u in uuids} | {f"{u}.serial0.fifo" for u in uuids & {str(identity('vm', 'd'))}}
        self.same("pipes of logs", active=logs, files=self.look.names("/run/virtbus/log", "*.fifo"))
        for path in self.look.leftovers():
            self.say(f"left behind: {path}")
