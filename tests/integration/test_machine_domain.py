# SPDX-License-Identifier: LGPL-2.1-or-later
"""VMs on a whole machine: what needs cgroup controllers or KVM."""

import base64
import json
import re

import pytest

from domains import BEEP, tiny_xml

pytestmark = pytest.mark.machine

SLOW = 300  # QEMU in an emulated machine


def define(machine, name, xml):
    machine.put(f"/srv/{name}.xml", xml)
    machine.run(f"virtctl define /srv/{name}.xml", timeout=SLOW)


def manager(machine, method, arguments):
    return machine.run(f"busctl --timeout={SLOW} call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager {method} {arguments}",
                       timeout=SLOW).stdout


def terminate(machine, name):
    manager(machine, "TerminateDomain", f"st {name} 0")


def limits(machine, name):
    group = "/sys/fs/cgroup" + str(machine.run(f"systemctl show -P ControlGroup virtqemu@{name}"))
    return {f: machine.read(f"{group}/{f}").strip() for f in ("cpu.max", "memory.max", "cpu.weight")}


def test_sound_of_the_host(installed_machine):
    """Whose definition says so may open the host's cards, as long as it runs: what the guest plays comes out at the other end of a loopback."""
    machine = installed_machine
    devices = "<disk type='file'><source file='/srv/beep.img'/><target dev='vda' bus='virtio'/><readonly/></disk><sound model='pcspk'/><audio id='1' type='{}'/>"
    machine.run("base64 -d >/srv/beep.img && truncate -s 1M /srv/beep.img", input=base64.b64encode(BEEP).decode())
    define(machine, "loud", tiny_xml("loud", devices=devices.format("alsa")))
    start = machine.run("virtctl start loud", check=False, timeout=SLOW)
    assert start.returncode and "loud is to use sound cards: No such device" in start.stderr
    machine.run("modprobe -a snd-aloop snd-pcm-oss && udevadm settle && test -c /dev/snd/controlC0 -a -c /dev/dsp -a -c /dev/adsp")
    allowed = "systemctl show -P DeviceAllow virtqemu@{} | sort"
    others = machine.run(allowed.format("other")).stdout
    for audio, device in ("alsa", "char-alsa"), ("oss", "/dev/dsp"):
        define(machine, "loud", tiny_xml("loud", devices=devices.format(audio)))
        machine.run("virtctl start loud", timeout=SLOW)
        assert {*machine.run(allowed.format("loud")).stdout.splitlines(), "char-rtc r"} == {*others.splitlines(), "char-rtc r", f"{device} rw"}
        machine.run("for i in $(seq 600); do grep -q RUNNING /proc/asound/card0/pcm0p/sub0/status && exit 0; sleep 0.2; done; exit 1", timeout=SLOW)
        # At 8 kHz, a byte for each: half a cycle takes four of them.
        machine.run("dd if=/dev/adsp of=/srv/heard bs=4000 count=6", timeout=SLOW)
        heard = base64.b64decode(machine.run("tail -c 8000 /srv/heard | base64 -w0").stdout)
        turns = sum((a < 128) != (b < 128) for a, b in zip(heard, heard[1:]))
        assert abs(turns - len(heard) / 4) < len(heard) / 40, (turns, heard[:64])
        terminate(machine, "loud")
        machine.run(f"for i in $(seq 300); do {allowed.format('loud')} | grep -qE 'alsa|dsp' || exit 0; sleep 0.2; done; exit 1", timeout=SLOW)


def test_limits_of_units_reach_the_cgroup(installed_machine):
    """A drop-in of the admin and `systemctl set-property` on a VM work as on any service."""
    machine = installed_machine
    define(machine, "capped", tiny_xml("capped"))
    machine.put("/etc/systemd/system/virtqemu@capped.service.d/limits.conf", "[Service]\nCPUQuota=40%\nMemoryMax=1G\n")
    machine.run("systemctl daemon-reload && systemctl start virtqemu@capped", timeout=SLOW)
    assert limits(machine, "capped") == {"cpu.max": "40000 100000", "memory.max": str(1 << 30), "cpu.weight": "100"}
    path = manager(machine, "GetDomain", "s capped").split('"')[1]
    pid = str(machine.run(f"busctl get-property org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain MainPID")).split()[1]
    assert "virtqemu@capped.service" in machine.read(f"/proc/{pid}/cgroup")
    machine.run("systemctl set-property --runtime virtqemu@capped CPUWeight=300 CPUQuota=70%")
    assert limits(machine, "capped") == {"cpu.max": "70000 100000", "memory.max": str(1 << 30), "cpu.weight": "300"}
    terminate(machine, "capped")
    machine.run("for i in $(seq 300); do [ $(systemctl is-active virtqemu@capped) = inactive ] && exit 0; sleep 0.2; done; exit 1", timeout=SLOW)


def test_limits_of_the_definition(installed_machine):
    """They are systemd's to keep, for this run only."""
    machine = installed_machine
    disk = machine.run("truncate -s 1M /srv/loop && losetup --find --show /srv/loop").stdout.strip()
    tune = ("<numatune><memory mode='restrictive' nodeset='0'/></numatune><cputune><shares>250</shares><global_quota>30000</global_quota><vcpusched vcpus='0' scheduler='fifo' priority='7'/></cputune><memtune><hard_limit unit='MiB'>512</hard_limit>"
            "<soft_limit unit='MiB'>400</soft_limit></memtune>"
            f"<blkiotune><weight>42</weight><device><path>{disk}</path><read_bytes_sec>1048576</read_bytes_sec></device></blkiotune>")
    define(machine, "tuned", tiny_xml("tuned", extra=tune).replace("<vcpu>", "<vcpu cpuset='0'>"))
    machine.run("virtctl start tuned", timeout=SLOW)
    assert limits(machine, "tuned") == {"cpu.max": "30000 100000", "memory.max": str(512 << 20), "cpu.weight": "250"}
    show = "systemctl show -p CPUWeight,CPUQuotaPerSecUSec,MemoryMax,MemoryHigh,AllowedCPUs,AllowedMemoryNodes virtqemu@tuned"
    number = machine.run(f"lsblk -dno MAJ:MIN {disk}").stdout.strip()
    assert f"{number} rbps=1048576 wbps=max" in machine.run("cat /sys/fs/cgroup/machine.slice/virtqemu@tuned.service/io.max").stdout
    assert set(machine.run(show).stdout.split()) == {"CPUWeight=250", "CPUQuotaPerSecUSec=300ms", f"MemoryMax={512 << 20}", f"MemoryHigh={400 << 20}", "AllowedCPUs=0",
                                                         "AllowedMemoryNodes=0"}
    machine.run("virtctl set --live tuned CPUWeight=300 HostMemoryHigh=450M CPUQuotaPerSecUSec= VCPUPins=0:1 AllowedCPUs=0-1", timeout=SLOW)
    assert limits(machine, "tuned") == {"cpu.max": "max 100000", "memory.max": str(512 << 20), "cpu.weight": "300"}
    assert {"CPUWeight=300", "CPUQuotaPerSecUSec=infinity", f"MemoryHigh={450 << 20}", "AllowedCPUs=0-1"} < set(machine.run(show).stdout.split())
    pid = machine.run("systemctl show -P MainPID virtqemu@tuned").stdout.strip()
    qemu = machine.run(f"cat /proc/{pid}/task/{pid}/children").stdout.strip()
    assert machine.run(f"chrt -p $(basename $(dirname $(grep -l CPU.0 /proc/{qemu}/task/*/comm)))").stdout.split()[-1] == "7"
    assert machine.run(f"grep -l CPU.0 /proc/{qemu}/task/*/comm | sed s/comm/status/ | xargs grep Cpus_allowed_list").stdout.split()[-1] == "1"
    terminate(machine, "tuned")
    machine.run(f"losetup -d {disk}")
    wait = "for i in $(seq 300); do systemctl show -P CPUWeight virtqemu@tuned | grep -q 250 || break; sleep 0.2; done; "
    assert set(machine.run(wait + show).stdout.split()) == {"CPUWeight=[not", "set]", "CPUQuotaPerSecUSec=infinity", "MemoryMax=infinity", "MemoryHigh=infinity", "AllowedCPUs=",
                                                                "AllowedMemoryNodes="}


def test_locked_memory(installed_machine):
    """QEMU has no right of root for it: the limit of its unit is what lets it."""
    machine = installed_machine
    define(machine, "locked", tiny_xml("locked", extra="<memoryBacking><locked/></memoryBacking>"))
    machine.run("virtctl start locked", timeout=SLOW)
    path = manager(machine, "GetDomain", "s locked").split('"')[1]
    pid = str(machine.run(f"busctl get-property org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain MainPID")).split()[1]
    status = machine.read(f"/proc/{pid}/status")
    assert int(re.search(r"^VmLck:\s+(\d+) kB", status, re.M).group(1)) >= 16 << 10, status
    terminate(machine, "locked")


def test_graphics_of_the_host(installed_machine):
    """Whose definition says so may open the render node, as long as it runs; what is drawn there is seen."""
    machine = installed_machine
    machine.run("modprobe vgem && udevadm settle && test -c /dev/dri/renderD128")
    gl = "<gl rendernode='/dev/dri/renderD128'/>"
    virgl = "<video><model type='virtio'><acceleration accel3d='yes'/></model></video>"
    define(machine, "drawn", tiny_xml("drawn", devices=f"<graphics type='vnc'/><graphics type='egl-headless'>{gl}</graphics>{virgl}"))
    machine.run("virtctl start drawn", timeout=SLOW)
    pid = machine.run("systemctl show -P MainPID virtqemu@drawn").stdout.strip()
    qemu = machine.run(f"cat /proc/{pid}/task/{pid}/children").stdout.strip()
    assert "/dev/dri/renderD128" in machine.run(f"ls -l /proc/{qemu}/fd").stdout
    machine.run("virtctl screenshot drawn /srv/drawn.png", timeout=SLOW)
    assert machine.run("head -c 4 /srv/drawn.png | tail -c 3").stdout == "PNG"
    allowed = "systemctl show -P DeviceAllow virtqemu@{} | sort"
    others = machine.run(allowed.format("other")).stdout
    assert set(machine.run(allowed.format("drawn")).stdout.splitlines()) == {*others.splitlines(), "/dev/dri/renderD128 rw"}
    terminate(machine, "drawn")
    machine.run(f"for i in $(seq 300); do {allowed.format('drawn')} | grep -q dri || break; sleep 0.2; done")
    assert machine.run(allowed.format("drawn")).stdout == others
    define(machine, "drawn", tiny_xml("drawn", devices=f"<graphics type='egl-headless'>{gl.replace('128', '200')}</graphics>"))
    start = machine.run("virtctl start drawn", check=False, timeout=SLOW)
    assert start.returncode and "/dev/dri/renderD200: No such file or directory" in start.stderr and "rendernode" in start.stderr
    define(machine, "drawn", tiny_xml("drawn", devices=f"<graphics type='spice'><listen type='none'/><gl enable='yes'/></graphics>{virgl}"))
    machine.run("virtctl start drawn", timeout=SLOW)
    # What ProtectClock= adds by itself, and nobody here needs, is gone with what was taken back.
    assert {*machine.run(allowed.format("drawn")).stdout.splitlines(), "char-rtc r"} == {*others.splitlines(), "char-drm rw"}
    terminate(machine, "drawn")


USB = "<hostdev mode='subsystem' type='usb'><source{more}><vendor id='0x0627'/><product id='0x0001'/>{place}</source></hostdev>"


def test_usb_device_of_the_host(installed_machine):
    """A tablet of the machine is a VM's; what is missing, taken or meant twice is said."""
    machine = installed_machine
    machine.run("udevadm settle && test -n \"$(cat /sys/bus/usb/devices/*/product | grep Tablet)\"")
    define(machine, "many", tiny_xml("many", devices=USB.format(more="", place="")))
    start = machine.run("virtctl start many", check=False, timeout=SLOW)
    assert start.returncode and "2 such USB devices: bus 1 port 1, bus 1 port 2" in start.stderr, start
    define(machine, "pointed", tiny_xml("pointed", devices=USB.format(more="", place="<address bus='1' port='1'/>")))
    machine.run("virtctl start pointed", timeout=SLOW)
    assert "usbhid" not in machine.run("readlink /sys/bus/usb/devices/1-1:1.0/driver", check=False).stdout
    define(machine, "second", tiny_xml("second", devices=USB.format(more="", place="<address bus='1' port='1'/>")))
    start = machine.run("virtctl start second", check=False, timeout=SLOW)
    assert start.returncode and "port 1 is pointed's" in start.stderr, start
    missing = USB.format(more=" startupPolicy='optional'", place="<address bus='1' port='7'/>")
    define(machine, "without", tiny_xml("without", devices=missing))
    machine.run("virtctl start without", timeout=SLOW)
    terminate(machine, "without")
    terminate(machine, "pointed")
    machine.run("virtctl start second", timeout=SLOW)
    terminate(machine, "second")


def test_vsock(installed_machine):
    """Each guest has a number of its own; one that is another's is refused."""
    machine = installed_machine
    machine.run("modprobe vhost_vsock && udevadm settle && systemctl restart virtqemud")
    for name in ("first", "second"):
        define(machine, name, tiny_xml(name, devices="<vsock><cid auto='yes'/></vsock>"))
        machine.run(f"virtctl start {name}", timeout=SLOW)
    cids = [re.search(r'<cid auto="yes" address="(\d+)"', machine.run(f"virtctl cat {name} --live").stdout)[1] for name in ("first", "second")]
    assert cids[0] != cids[1] and "address" not in re.search("<cid[^>]*>", machine.run("virtctl cat first").stdout)[0]
    define(machine, "third", tiny_xml("third", devices=f"<vsock><cid address='{cids[0]}'/></vsock>"))
    refused = machine.run("virtctl start third", check=False, timeout=SLOW)
    assert refused.returncode == 1 and "is another guest's" in refused.stderr
    for name in ("first", "second"):
        terminate(machine, name)
    machine.run("virtctl start third", timeout=SLOW)
    terminate(machine, "third")


def test_kvm(kvm_machine):
    """A domain of type kvm gets /dev/kvm through its unit's sandbox, and KVM takes its settings. KVM counts how long its processor sleeps."""
    machine = kvm_machine
    machine.run("modprobe kvm_amd && udevadm settle && test -c /dev/kvm")
    ring = "<acpi/><kvm><dirty-ring state='on' size='4096'/></kvm>"
    define(machine, "fast", tiny_xml("fast").replace("type='qemu'", "type='kvm'", 1).replace("<acpi/>", ring, 1))
    machine.run("virtctl start fast", timeout=SLOW)
    assert "running" in machine.run("virtctl status fast").stdout
    assert "fast" in machine.run("machinectl list --no-legend").stdout
    ask = "busctl call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager GetStatistics 'aota{sv}' 0 4096 0"
    machine.run(f"for i in $(seq 200); do {ask} | grep -E '\"vcpu.0.halt_wait_ns.sum\" t [0-9]+' && exit; sleep 1; done; exit 1", timeout=SLOW)
    terminate(machine, "fast")


def groups(machine, unit):
    """The control groups below that unit: their limits, and what their threads are called."""
    folder = f"/sys/fs/cgroup{machine.run(f'systemctl show -P ControlGroup {unit}').stdout.strip()}"
    ask = (f"cd {folder}; for g in */; do [ -f $g/cgroup.threads ] || continue; echo $g $(cat $g/cpu.max) "
           "$(for t in $(cat $g/cgroup.threads); do cat /proc/$t/comm | tr ' ' _; done | sort -u); done")
    return {line.split("/")[0]: line.split()[1:] for line in machine.run(ask).stdout.splitlines()}


def test_quotas_of_threads(installed_machine):
    """Each in a control group of its own, below the unit's; they change while the machine runs, and go with it."""
    machine = installed_machine
    tune = "<cputune><period>20000</period><quota>10000</quota><iothread_quota>30000</iothread_quota></cputune>"
    xml = tiny_xml("slow").replace("<vcpu>1</vcpu>", "<vcpu>2</vcpu><iothreads>1</iothreads>" + tune)
    define(machine, "slow", xml)
    machine.run("virtctl start slow", timeout=SLOW)
    found = groups(machine, "virtqemu@slow")
    assert {g: v[:2] for g, v in found.items()} == {"vcpu0": ["10000", "20000"], "vcpu1": ["10000", "20000"], "iothread1": ["30000", "100000"]}
    assert [v[2:] for g, v in sorted(found.items())] == [["IO_iothread1"], ["CPU_0/TCG"], ["CPU_1/TCG"]]
    plan = machine.run("virtctl set --live --dry-run slow EmulatorQuotaPerSecUSec=500000", timeout=SLOW).stdout
    assert "control groups of the threads of virtqemu@slow.service" in plan, plan
    machine.run("virtctl set --live slow VCPUQuotaPerSecUSec= EmulatorQuotaPerSecUSec=500000 IOThreadQuotaPerSecUSec=100000", timeout=SLOW)
    found = groups(machine, "virtqemu@slow")
    assert {g: v[:2] for g, v in found.items()} == {"iothread1": ["10000", "100000"], "emulator": ["50000", "100000"]}
    assert "qemu-system-x86" in found["emulator"] and "CPU_0/TCG" not in found["emulator"]
    assert machine.run("virtctl status slow").stdout.count("can't be kept") == 0
    machine.run("virtctl set --live slow EmulatorQuotaPerSecUSec= IOThreadQuotaPerSecUSec=", timeout=SLOW)
    assert groups(machine, "virtqemu@slow") == {}
    machine.run("virtctl set --live slow VCPUQuotaPerSecUSec=100000", timeout=SLOW)
    assert set(groups(machine, "virtqemu@slow")) == {"vcpu0", "vcpu1"}
    terminate(machine, "slow")
    machine.run("for i in $(seq 300); do [ -e /sys/fs/cgroup/machine.slice/virtqemu@slow.service ] || exit 0; sleep 0.2; done; exit 1")


def test_host_that_sleeps(installed_machine):
    """Guests are paused before, and go on afterwards; those that somebody else has paused stay so. logind does all but the sleep itself."""
    machine = installed_machine
    machine.run("mkdir -p /run/systemd/system/systemd-suspend.service.d && "
                "printf '[Service]\\nExecStart=\\nExecStart=/bin/sh -c \"until [ -e /run/awake ]; do sleep 0.2; done\"\\n' >/run/systemd/system/systemd-suspend.service.d/short.conf && "
                "systemctl daemon-reload && systemctl start systemd-logind")
    for name in ("awake", "dozing"):
        define(machine, name, tiny_xml(name))
        machine.run(f"virtctl start {name}", timeout=SLOW)
    machine.run("virtctl suspend dozing", timeout=SLOW)
    locked = "for i in $(seq 200); do systemd-inhibit --list | grep -q 'Guests are paused before' && exit 0; sleep 1; done; exit 1"
    machine.run(locked, timeout=SLOW)
    machine.run("systemctl suspend", timeout=SLOW)
    state = "busctl --json=short get-property org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain State StateReason"
    paths = {name: manager(machine, "GetDomain", f"s {name}").split('"')[1] for name in ("awake", "dozing")}

    def look(name):
        return re.findall(r'"data":"([^"]*)"', machine.run(state.format(path=paths[name]), timeout=SLOW).stdout)
    machine.run(f"for i in $(seq 120); do {state.format(path=paths['awake'])} | grep -q host-sleep && exit 0; sleep 1; done; exit 1", timeout=SLOW)
    assert look("awake") == ["paused", "host-sleep"] and look("dozing") == ["paused", "user"]
    machine.run("touch /run/awake")
    machine.run(f"for i in $(seq 120); do {state.format(path=paths['awake'])} | grep -q wakeup && exit 0; sleep 1; done; exit 1", timeout=SLOW)
    assert look("awake") == ["running", "wakeup"] and look("dozing") == ["paused", "user"]
    machine.run(locked, timeout=SLOW)
    for name in ("awake", "dozing"):
        terminate(machine, name)


PCI = "<hostdev mode='subsystem' type='pci' managed='{managed}'><source><address domain='0x0000' bus='0x{bus}' slot='0x00' function='0x0'/></source></hostdev>"


def test_pci_device_of_the_host(installed_machine):
    """It is a VM's from the start, or plugged in; its driver of the host has it again afterwards. What is in the way is said."""
    machine = installed_machine
    address = machine.run("basename $(dirname $(grep -lx 0x1044 /sys/bus/pci/devices/*/device))").stdout.strip()
    driver = f"basename $(readlink /sys/bus/pci/devices/{address}/driver)"
    given = PCI.format(managed="yes", bus=address.split(":")[1])
    assert machine.run(driver).stdout.strip() == "virtio-pci"
    define(machine, "given", tiny_xml("given", devices=given))
    machine.run("virtctl start given", timeout=SLOW)
    assert machine.run(driver).stdout.strip() == "vfio-pci"
    path = manager(machine, "GetDomain", "s given").split('"')[1]
    pci = machine.run(["busctl", f"--timeout={SLOW}", "call", "org.virtbus.qemu1", path, "org.virtbus.qemu1.Domain", "QMPCommand", "s", '{"execute":"query-pci"}'],
                      timeout=SLOW).stdout
    assert str(0x1044) in pci
    units = machine.run("systemctl list-units --plain --no-legend 'virtqemu-hostdev-*'").stdout
    assert "running Host Device hostdev0 of Virtual Machine given" in " ".join(units.split()), units
    define(machine, "other", tiny_xml("other", devices=given))
    start = machine.run("virtctl start other", check=False, timeout=SLOW)
    assert start.returncode and f"{address} of the host is given's" in start.stderr, start
    terminate(machine, "given")
    back = f"for i in $(seq 300); do [ $({driver}) = virtio-pci ] && break; sleep 0.2; done; {driver}"
    assert machine.run(back).stdout.strip() == "virtio-pci"
    assert "user:" not in machine.run("getfacl -cn /dev/vfio/* 2>/dev/null | grep user:6 || :").stdout
    define(machine, "plain", tiny_xml("plain", devices=PCI.format(managed="no", bus=address.split(":")[1])))
    start = machine.run("virtctl start plain", check=False, timeout=SLOW)
    assert start.returncode and "its driver is virtio-pci, not vfio-pci" in start.stderr, start
    define(machine, "nothing", tiny_xml("nothing", devices=PCI.format(managed="yes", bus="ee")))
    start = machine.run("virtctl start nothing", check=False, timeout=SLOW)
    assert start.returncode and "the host has no such device" in start.stderr, start
    define(machine, "later", tiny_xml("later", devices="<controller type='pci' model='pcie-root-port'/>"))
    machine.run("virtctl start later", timeout=SLOW)
    machine.put("/srv/hostdev.xml", given)
    machine.run("virtctl attach later /srv/hostdev.xml --live", timeout=SLOW)
    assert machine.run(driver).stdout.strip() == "vfio-pci"
    terminate(machine, "later")
    assert machine.run(back).stdout.strip() == "virtio-pci"


NVME = ("<disk type='nvme'><driver type='raw' cache='none'/><source type='pci' managed='yes' namespace='1'>"
        "<address domain='0x0000' bus='0x{bus}' slot='0x00' function='0x0'/></source><target dev='vda' bus='virtio'/></disk>")


def test_nvme_controller_of_the_host(installed_machine):
    """QEMU reads and writes it by itself; the host has it again afterwards."""
    machine = installed_machine
    machine.run("modprobe nvme && udevadm settle && test -b /dev/nvme0n1")
    address = machine.run("basename $(readlink /sys/class/nvme/nvme0/device)").stdout.strip()
    driver = f"basename $(readlink /sys/bus/pci/devices/{address}/driver)"
    disk = NVME.format(bus=address.split(":")[1])
    define(machine, "fast", tiny_xml("fast", devices=disk))
    machine.run("virtctl start fast", timeout=SLOW)
    assert machine.run(driver).stdout.strip() == "vfio-pci"
    path = manager(machine, "GetDomain", "s fast").split('"')[1]
    for command in ("read -P 0x6f 0 1", "write -P 7 4096 512", "read -P 7 4096 512"):
        line = f'qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend "{command}"'
        hmp = json.dumps({"execute": "human-monitor-command", "arguments": {"command-line": line}})
        machine.run(["busctl", f"--timeout={SLOW}", "call", "org.virtbus.qemu1", path, "org.virtbus.qemu1.Domain", "QMPCommand", "s", hmp], timeout=SLOW)
    look = "grep -rhE '^(read|wrote) |Pattern' /var/log/virtbus"
    said = machine.run(f"for i in $(seq 300); do [ $({look} | wc -l) -ge 3 ] && break; sleep 0.2; done; {look}", timeout=SLOW).stdout
    assert [line.split()[:2] for line in said.splitlines()[-3:]] == [["read", "1/1"], ["wrote", "512/512"], ["read", "512/512"]], said
    define(machine, "other", tiny_xml("other", devices=PCI.format(managed="yes", bus=address.split(":")[1])))
    start = machine.run("virtctl start other", check=False, timeout=SLOW)
    assert start.returncode and f"{address} of the host is fast's" in start.stderr, start
    terminate(machine, "fast")
    machine.run(f"for i in $(seq 300); do [ $({driver}) = nvme ] && break; sleep 0.2; done; udevadm settle; test -b /dev/nvme0n1", timeout=SLOW)
    assert machine.run("head -c 17 /dev/nvme0n1; head -c 4097 /dev/nvme0n1 | tail -c 1 | od -An -tx1").stdout.split() == ["on", "the", "controller", "07"]


def test_files_that_qemu_opens(installed_machine):
    """They are opened to the VM's user alone, for as long as it runs."""
    machine = installed_machine
    machine.run("truncate -s 16M /srv/nv.raw && chmod 600 /srv/nv.raw && modprobe evdev && udevadm settle")
    event = machine.run("ls /sys/class/input | grep event | head -n 1").stdout.strip()
    devices = ("<memory model='nvdimm'><source><path>/srv/nv.raw</path></source><target><size unit='MiB'>16</size></target></memory>"
               f"<shmem name='between'><size unit='MiB'>1</size></shmem><input type='evdev'><source dev='/dev/input/{event}'/></input>")
    define(machine, "opener", tiny_xml("opener", devices=devices, extra="<maxMemory slots='2' unit='MiB'>512</maxMemory>", memory=48))
    files = ["/srv/nv.raw", "/dev/shm/between", f"/dev/input/{event}"]
    before = machine.run(["stat", "-c", "%a", *files[:1], *files[2:]]).stdout
    machine.run("virtctl start opener", timeout=SLOW)
    assert machine.run("virtctl list --json=short", timeout=SLOW).stdout.count("running") >= 1
    acl = "python3 -c 'import os, sys; [print(f, \"system.posix_acl_access\" in os.listxattr(f)) for f in sys.argv[1:]]' " + " ".join(files)
    assert machine.run(acl).stdout.count("True") == 3
    terminate(machine, "opener")
    gone = f"for i in $(seq 300); do {acl} | grep -q True || break; sleep 0.2; done; {acl}"
    assert machine.run(gone).stdout.count("False") == 3
    assert machine.run(["stat", "-c", "%a", *files[:1], *files[2:]]).stdout == before
    machine.run("rm /dev/shm/between")


def test_scsi_device_of_the_host(installed_machine):
    """Its commands are the guest's: as a device of the host, and as a disk."""
    machine = installed_machine
    machine.run("modprobe sg && modprobe scsi_debug dev_size_mb=8 && udevadm settle")
    name = machine.run("basename $(dirname $(grep -l scsi_debug /sys/bus/scsi/devices/*/model | head -n 1))").stdout.strip()
    host, bus, target, unit = name.split(":")
    disk = machine.run(f"ls /sys/bus/scsi/devices/{name}/block").stdout.strip()
    scsi = "<controller type='scsi' model='virtio-scsi'/>"
    given = (f"<hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host{host}'/><address bus='{bus}' target='{target}' unit='{unit}'/>"
             "</source></hostdev>")
    lun = f"<disk type='block' device='lun'><source dev='/dev/{disk}'/><target dev='sda' bus='scsi'/></disk>"
    for vm, device, what in (("commands", given, "scsi-generic"), ("whole", lun, "scsi-block")):
        define(machine, vm, tiny_xml(vm, devices=scsi + device))
        machine.run(f"virtctl start {vm}", timeout=SLOW)
        path = manager(machine, "GetDomain", f"s {vm}").split('"')[1]
        tree = machine.run(["busctl", f"--timeout={SLOW}", "call", "org.virtbus.qemu1", path, "org.virtbus.qemu1.Domain", "QMPCommand", "s",
                            '{"execute":"human-monitor-command","arguments":{"command-line":"info qtree"}}'], timeout=SLOW).stdout
        assert f"dev: {what}" in tree
        terminate(machine, vm)
    # Reservations go to a program with the right to them, which QEMU reaches though it sees nothing of the host.
    held = lun.replace(f"<source dev='/dev/{disk}'/>", f"<source dev='/dev/{disk}'><reservations managed='yes'/></source>")
    define(machine, "held", tiny_xml("held", devices=scsi + held))
    machine.run("virtctl start held", timeout=SLOW)
    helper = machine.run("systemctl list-units --plain --no-legend 'virtqemu-qemu-pr-helper-*'").stdout.split()
    assert helper[2:4] == ["active", "running"], helper
    pid = machine.run(f"systemctl show -P MainPID {helper[0]}").stdout.strip()
    assert machine.run(f"ps -o user= -p {pid}").stdout.strip() == "nobody"
    assert '"connected":true' in machine.run("virtctl qmp held query-pr-managers --json=short", timeout=SLOW).stdout.replace(" ", "")
    terminate(machine, "held")
    gone = "! systemctl list-units --plain --no-legend 'virtqemu-qemu-pr-helper-*' | grep ."
    machine.run(f"for i in $(seq 300); do {gone} && exit 0; sleep 0.2; done; exit 1", timeout=SLOW)
    define(machine, "missing", tiny_xml("missing", devices=scsi + given.replace(f"unit='{unit}'", "unit='77'")))
    start = machine.run("virtctl start missing", check=False, timeout=SLOW)
    assert start.returncode and f"no SCSI device {host}:{bus}:{target}:77" in start.stderr, start


CELLS = "<cpu><numa><cell id='0' cpus='0' memory='16' unit='MiB'/><cell id='1' memory='16' unit='MiB'/></numa></cpu>"


def test_huge_pages(installed_machine):
    """The guest's memory is of them, or that of one of its nodes, and they are free again afterwards."""
    machine = installed_machine
    # There may be too few pages in a row at once.
    machine.run("for i in $(seq 20); do echo 1 >/proc/sys/vm/compact_memory; echo 24 >/proc/sys/vm/nr_hugepages; "
                "[ $(cat /proc/sys/vm/nr_hugepages) = 24 ] && break; sleep 1; done", timeout=SLOW)
    free = "grep HugePages_Free /proc/meminfo"
    assert machine.run(free).stdout.split()[-1] == "24"
    for which, cells, left in (("<hugepages/>", "", 8), ("<hugepages><page size='2' unit='MiB' nodeset='1'/></hugepages>", CELLS, 16)):
        pages = f"<memoryBacking>{which}<allocation mode='immediate'/></memoryBacking>"
        define(machine, "huge", tiny_xml("huge", extra=pages + cells, memory=32))
        machine.run("virtctl start huge", timeout=SLOW)
        assert int(machine.run(free).stdout.split()[-1]) == left
        terminate(machine, "huge")
        assert machine.run(f"for i in $(seq 300); do {free} | grep -q ' 24$' && break; sleep 0.2; done; {free}").stdout.split()[-1] == "24"
    machine.run("echo 0 >/proc/sys/vm/nr_hugepages")
