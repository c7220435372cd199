# SPDX-License-Identifier: LGPL-2.1-or-later
"""What virtqemud says of its host, against what the kernel says."""

import json
import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from domains import SERVICE, define, tiny_xml
from test_stop import Calls

pytestmark = pytest.mark.bus

ROOT = "/org/virtbus/qemu1"
HOSTDEV = "org.virtbus.qemu1.HostDevice"
QEMU = "/usr/bin/qemu-system-x86_64"


def read(path):
    return Path(path).read_text(encoding="utf-8").strip()


def numbers(text):
    """"0-2,8" as numbers."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def objects(bus):
    found = bus.call(SERVICE, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0]
    return {path.rsplit("/", 1)[1]: o[HOSTDEV] for path, o in found.items() if HOSTDEV in o}


def link(path):
    return os.path.basename(os.readlink(path)) if os.path.islink(path) else ""


def name_of(kind, sysname):
    return f"{kind}_" + re.sub("[^A-Za-z0-9]", "_", sysname)


def of_kernel(kind, folder, wanted=lambda p: True):
    path = Path("/sys/bus") / folder / "devices"
    return {name_of(kind, p.name): p for p in path.iterdir() if wanted(p)} if path.is_dir() else {}


def test_devices(bus, qemud):
    """Objects are what is below /sys, at the very first question."""
    found = objects(bus)
    pci = of_kernel("pci", "pci")
    usb = of_kernel("usb", "usb", lambda p: ":" not in p.name)
    assert {n for n, d in found.items() if d["Kind"] == "pci"} == pci.keys()
    assert {n for n, d in found.items() if d["Kind"] == "usb"} == usb.keys()
    for name, p in pci.items():
        d = found[name]
        assert d["Name"] == name and d["SysfsPath"] == os.path.realpath(p)
        assert d["PCI"] == tuple(int(x, 16) for x in re.split("[:.]", p.name))
        assert (d["VendorID"], d["ProductID"], d["Class"]) == tuple(int(read(p / f), 16) for f in ("vendor", "device", "class"))
        assert d["Driver"] == link(p / "driver")
        assert d["IOMMUGroup"] == int(link(p / "iommu_group") or -1)
        assert d["AssignedTo"] == "/"
        above = os.path.basename(os.path.dirname(os.path.realpath(p)))
        assert d["Parent"] == (f"{ROOT}/hostdev/{name_of('pci', above)}" if name_of("pci", above) in pci else "/")
    for name, p in usb.items():
        d = found[name]
        assert d["USB"] == (int(read(p / "busnum")), int(read(p / "devnum")))
        assert (d["VendorID"], d["ProductID"]) == (int(read(p / "idVendor"), 16), int(read(p / "idProduct"), 16))
        assert d["DeviceNode"] == "/dev/bus/usb/%03d/%03d" % d["USB"]
    # Links and disks of devices, and none that are of programs.
    assert not [n for n in found if n.startswith(("net_lo_", "block_loop"))]
    assert {d["Kind"] for d in found.values() if d["Parent"] != "/"} <= {"pci", "usb", "mdev", "scsi", "net", "block"}


def test_first_question_about_one(bus, qemud):
    """An object that is asked for before anything was looked at."""
    name, p = next(iter(of_kernel("pci", "pci").items()), (None, None))
    if not name:
        pytest.skip("this host has no PCI devices")
    d = bus.object(SERVICE, f"{ROOT}/hostdev/{name}", HOSTDEV)
    assert d.SysfsPath == os.path.realpath(p)
    rows = qemud.ListHostDevices("pci", {})
    assert {r[0] for r in rows} == set(of_kernel("pci", "pci")) and {r[1] for r in rows} == {"pci"}
    assert all(r[5] == f"{ROOT}/hostdev/{r[0]}" and r[4] == "/" for r in rows)
    assert len(qemud.ListHostDevices("", {})) == len(objects(bus)) >= len(rows)
    with bus.fails("InvalidArgs", "no kind"):
        qemud.ListHostDevices("toaster", {})
    with bus.fails("InvalidArgs", "unknown option"):
        qemud.ListHostDevices("", {"x": True})


def test_host(bus, qemud):
    cpu = qemud.HostCPU
    info = dict(re.findall(r"^([^\t:]+?)\s*: ?(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n", maxsplit=1)[0], re.M))
    assert cpu["model"] == info.get("model name", "") and cpu["vendor"] == info.get("vendor_id", "")
    assert cpu["flags"] == info.get("flags", "").split() and cpu["family"] == int(info.get("cpu family", 0))
    assert qemud.HostArchitecture == os.uname().machine

    topology = qemud.HostTopology
    assert [t[0] for t in topology] == numbers(read("/sys/devices/system/cpu/online"))
    for number, _, socket, _, core in topology:
        folder = f"/sys/devices/system/cpu/cpu{number}/topology"
        assert (socket, core) == (max(0, int(read(f"{folder}/physical_package_id"))), int(read(f"{folder}/core_id")))

    nodes = {n[0]: n for n in qemud.HostNodes}
    folders = list(Path("/sys/devices/system/node").glob("node[0-9]*"))
    assert len(nodes) == max(1, len(folders))
    for folder in folders:
        number, memory, unused, cpus, distances, pages = nodes[int(folder.name[4:])]
        total = int(re.search(r"MemTotal: *(\d+) kB", read(folder / "meminfo")).group(1)) * 1024
        assert memory == total and 0 < unused <= memory
        assert cpus == [t[0] for t in topology if t[1] == number]
        assert distances == [int(x) for x in read(folder / "distance").split()]
        assert [p[0] for p in pages[1:]] == sorted(int(p.name[10:-2]) * 1024 for p in (folder / "hugepages").glob("*"))
        assert pages[0][0] == os.sysconf("SC_PAGE_SIZE") and 0 < pages[0][2] <= pages[0][1]

    for size, total, _ in qemud.HostHugePages:
        assert total == int(read(f"/sys/kernel/mm/hugepages/hugepages-{size // 1024}kB/nr_hugepages"))
    groups = Path("/sys/kernel/iommu_groups")
    assert qemud.IOMMUGroups == (len(list(groups.iterdir())) if groups.is_dir() else 0)
    # What takes long to find out is not in a list of everything.
    assert "HostNodes" not in bus.call(SERVICE, ROOT, "org.freedesktop.DBus.Properties", "GetAll", "s", "org.virtbus.qemu1.Manager")[0]


def test_capabilities(bus, qemud):
    root = ElementTree.fromstring(qemud.ExportCapabilities("host", {}, timeout=90))
    assert root.tag == "capabilities"
    assert root.find("host/cpu/arch").text == os.uname().machine
    assert int(root.find("host/topology/cells").get("num")) == len(qemud.HostNodes)
    cpus = [int(c.get("id")) for c in root.iterfind("host/topology/cells/cell/cpus/cpu")]
    assert sorted(cpus) == [t[0] for t in qemud.HostTopology]
    memory = sum(int(m.text) * 1024 for m in root.iterfind("host/topology/cells/cell/memory"))
    assert memory == sum(n[1] for n in qemud.HostNodes)
    assert root.find("host/secmodel/model").text == "none" and re.fullmatch("[0-9a-f-]{36}", root.find("host/uuid").text)

    guests = {g.find("arch").get("name"): g for g in root.iterfind("guest")}
    assert guests["x86_64"].find("arch/emulator").text == QEMU and guests["x86_64"].find("os_type").text == "hvm"
    told = subprocess.run([QEMU, "-machine", "help"], capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    assert {m.text for m in guests["x86_64"].iterfind("arch/machine")} == {line.split()[0] for line in told} - {"none"}
    q35 = [m for m in guests["x86_64"].iterfind("arch/machine") if m.text == "q35"][0]
    assert re.fullmatch(r"pc-q35-[0-9.]+", q35.get("canonical")) and int(q35.get("maxCpus")) >= 255
    with bus.fails("InvalidArgs", "unknown option"):
        qemud.ExportCapabilities("host", {"machine": "q35"})
    with bus.fails("InvalidArgs", '"host" and "domain"'):
        qemud.ExportCapabilities("guest", {})


def values(root, path, name):
    return [v.text for e in root.iterfind(f"{path}/enum") if e.get("name") == name for v in e.iterfind("value")]


def test_domain_capabilities(bus, qemud):
    root = ElementTree.fromstring(qemud.ExportCapabilities("domain", {"machine": "q35", "type": "qemu"}, timeout=90))
    caps = qemud.DomainCapabilities("", "q35", "qemu", {})
    assert root.tag == "domainCapabilities" and root.find("path").text == caps["emulator"] == QEMU
    assert root.find("domain").text == caps["type"] == "qemu" and root.find("machine").text == caps["machine"] and caps["machine"].startswith("pc-q35-")
    assert int(root.find("vcpu").get("max")) == caps["max-vcpus"]
    # Both are the same, and libvirt's form has no place for some.
    known = {}
    for element in root.iterfind("devices/*"):
        known[element.tag] = {e.get("name"): [v.text for v in e.iterfind("value")] for e in element.iterfind("enum") if e.get("name") != "capsType"}
    for tag, enums in known.items():
        assert {k: v for k, v in caps["enums"][tag].items() if k in enums} == enums, tag
    assert "sound" in caps["enums"] and "sound" not in known
    assert {"virtio", "sata", "scsi", "usb"} <= set(known["disk"]["bus"])
    assert "virtio" in known["rng"]["model"] and "spice" in known["graphics"]["type"] and "tpm-crb" in known["tpm"]["model"]
    modes = {m.get("name"): m.get("supported") for m in root.iterfind("cpu/mode")}
    assert modes["custom"] == modes["maximum"] == "yes" and modes["host-passthrough"] in ("yes", "no")
    models = {m.text: m.get("usable") for m in root.iterfind("cpu/mode/model")}
    assert models["qemu64"] == "yes" and dict((m[0], m[1]) for m in caps["cpu-models"])["qemu64"]
    assert ("q35" in [m[1] for m in caps["machines"]]) and root.find("features/genid").get("supported") == "yes"
    assert [f[0] for f in caps["firmware"]] == [v.text for v in root.iterfind("os/loader/value")]
    assert ("efi" in values(root, "os", "firmware")) == bool(caps["firmware"])


def test_what_is_offered_is_accepted(bus, qemud):
    """Clients take what they are told of."""
    enums = qemud.DomainCapabilities("", "q35", "qemu", {}, timeout=90)["enums"]
    for model in enums["video"]["modelType"]:
        define(bus, tiny_xml("offered", devices=f"<video><model type='{model}'/></video>"), 16)
    for model in enums["interface"]["model"]:
        define(bus, tiny_xml("offered", devices=f"<interface type='user'><model type='{model}'/></interface>"), 16)
    for model in enums["sound"]["model"]:
        define(bus, tiny_xml("offered", devices=f"<sound model='{model}'/>"), 16)
    with bus.fails("NotSupported"):
        define(bus, tiny_xml("offered", devices="<graphics type='sdl'/>"), 16)
    assert "sdl" not in enums["graphics"]["type"]


def test_capabilities_that_are_not(bus, qemud):
    """No program is run for a caller but the QEMUs that are installed."""
    with bus.fails("NotSupported", "none of the QEMUs that are installed"):
        qemud.DomainCapabilities("/bin/true", "", "", {})
    with bus.fails("NotSupported", "none of the QEMUs that are installed"):
        qemud.DomainCapabilities("", "", "", {"arch": "vax"})
    with bus.fails("NotSupported", "has no machine 'q36'"):
        qemud.DomainCapabilities(QEMU, "q36", "", {}, timeout=90)
    with bus.fails("InvalidArgs", "emulates x86_64, not i386"):
        qemud.DomainCapabilities(QEMU, "", "", {"arch": "i386"})
    with bus.fails("InvalidArgs", "no type of domain"):
        qemud.DomainCapabilities(QEMU, "", "xen", {})


def test_end_while_a_qemu_is_asked(bus, qemud):
    """The daemon ends with calls that wait."""
    calls = Calls(bus)
    calls.begin(qemud, "ExportCapabilities", "host", {})
    assert qemud.Version    # one client's calls are handled in order: that one is under way
    bus.stop_service(SERVICE)
    calls.refused("virtqemud")


def virtctl(bus, *arguments, check=True):
    program = Path(os.environ["VIRTBUS_BUILD"]) / "virtctl" / "virtctl"
    return bus.run(program, "--user", *arguments, check=check)


def test_virtctl(bus, qemud):
    text = virtctl(bus, "host").stdout
    assert os.uname().machine in text and "Node: 0: " in text and f"{len(qemud.HostTopology)} online" in text
    host = json.loads(virtctl(bus, "--json=short", "host").stdout)
    assert host["HostNodes"][0]["id"] == 0 and host["HostTopology"][0]["cpu"] == qemud.HostTopology[0][0]
    assert host["HostCPU"]["model"] == qemud.HostCPU["model"]
    rows = json.loads(virtctl(bus, "--json=short", "host-devices", "--kind=pci").stdout)
    assert [r["name"] for r in rows] == [r[0] for r in qemud.ListHostDevices("pci", {})] and {r["domain"] for r in rows} <= {""}
    assert "NAME" in virtctl(bus, "host-devices").stdout
    assert virtctl(bus, "host-devices", "--kind=toaster", check=False).returncode == 1
    assert ElementTree.fromstring(virtctl(bus, "capabilities").stdout).tag == "capabilities"
    root = ElementTree.fromstring(virtctl(bus, "capabilities", "--domain", "machine=pc").stdout)
    assert root.find("machine").text.startswith("pc-i440fx-") and "ide" in values(root, "devices/disk", "bus")
    caps = json.loads(virtctl(bus, "--json=short", "capabilities", "--domain", "machine=q35", "type=qemu").stdout)
    assert caps["type"] == "qemu" and "sound" in caps["enums"]
    assert virtctl(bus, "capabilities", "machine=pc", check=False).returncode == 2
    assert virtctl(bus, "capabilities", "--domain", "x=y", check=False).returncode == 2
