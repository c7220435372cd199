# SPDX-License-Identifier: LGPL-2.1-or-later
"""Virtual networks on a whole machine: what needs modules that few test hosts have."""

import json
import re

import pytest

from domains import tiny_xml

pytestmark = pytest.mark.machine

SLOW = 300

# Guests that are no more than the descriptors of their ports: frames go in and out as bytes, behind a header of ten.
PORTS = """import json, os, select, struct, sys, time
import gi
from gi.repository import Gio, GLib
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
ROOT, NAME = "/org/virtbus/network1", "org.virtbus.network1"

def call(path, interface, method, args):
    return bus.call_with_unix_fd_list_sync(NAME, path, f"{NAME}.{interface}", method, args, None, 0, 120000, None, None)

def network(xml):
    reply, _ = call(ROOT, "Manager", "DefineNetwork", GLib.Variant("(ssta{sv})", ("libvirt-xml", xml, 0, {})))
    return reply.unpack()[0]

class Port:
    def __init__(self, number, path=ROOT, interface="Network", method="AttachPort", first=(), group=None):
        self.mac = bytes.fromhex("5254000000%02x" % number)
        port = {"mac": GLib.Variant("ay", self.mac), "domain": GLib.Variant("s", f"vm{number}")}
        if group:
            port["portgroup"] = GLib.Variant("s", group)
        args = GLib.Variant("(" + "s" * len(first) + "a{sv}ta{sv})", (*first, port, 0, {}))
        reply, fds = call(path, interface, method, args)
        self.name, self.fd = reply.unpack()[0], fds.get(0)

    def send(self, to, payload, kind=0x88b5):
        os.write(self.fd, bytes(10) + to + self.mac + struct.pack("!H", kind) + payload)

    def receive(self, seconds, want=b""):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and select.select([self.fd], [], [], left)[0]:
            frame = os.read(self.fd, 70000)[10:]
            if want in frame:
                return frame
        return None

ALL = b"\\xff" * 6
"""

VLANS = PORTS + """
xml = '''<network><name>office</name><forward mode='bridge'/><bridge name='br-vlan'/>
  <portgroup name='ten'><vlan><tag id='10'/></vlan></portgroup><portgroup name='twenty'><vlan><tag id='20'/></vlan></portgroup>
  <portgroup name='trunk'><vlan trunk='yes'><tag id='10'/><tag id='20' nativeMode='untagged'/></vlan></portgroup></network>'''
office = network(xml)
ports = {n: Port(i, office, group=g) for i, (n, g) in enumerate((("a", "ten"), ("b", "ten"), ("c", "twenty"), ("t", "trunk")))}
os.system("sleep 0.5")
ports["a"].send(ALL, b"from a".ljust(60))
heard = {n: p.receive(2, b"from a") for n, p in ports.items() if n != "a"}
said = {n: f and f[12:16].hex() for n, f in heard.items()}
ports["c"].send(ALL, b"from c".ljust(60))
heard = {n: p.receive(2, b"from c") for n, p in ports.items() if n != "c"}
print(json.dumps([said, {n: f and f[12:14].hex() for n, f in heard.items()}]))
"""

LIMITS = PORTS + """
import socket
xml = '''<network><name>slow</name><forward mode='nat'/><bridge name='br-slow' stp='off'/><ip address='10.77.0.1' prefix='24'/>
  <portgroup name='limited'><bandwidth><inbound average='200' burst='64'/><outbound average='200' burst='64'/></bandwidth></portgroup></network>'''
slow = network(xml)
def measure(group, number, enough):
    # The most of some: others may have had the processors.
    best = [0, 0]
    for attempt in range(6):
        best = [max(pair) for pair in zip(best, measure_once(group, number + attempt))]
        if min(best) > enough:
            break
    return best

def measure_once(group, number):
    port = Port(number, slow, group=group)
    os.system(f"ip neigh replace 10.77.0.{number} lladdr {port.mac.hex(':')} dev br-slow")
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setblocking(False)
    came = bytes_in = 0
    begin = time.monotonic()
    while (now := time.monotonic()) < begin + 6:
        try:
            s.sendto(bytes(1400), (f"10.77.0.{number}", 9))
        except BlockingIOError:
            pass
        while select.select([port.fd], [], [], 0)[0]:
            frame = os.read(port.fd, 70000)
            if now > begin + 2:
                bytes_in += len(frame) - 10
    rate_in = bytes_in / (time.monotonic() - begin - 2) / 1000
    statistics = "/sys/class/net/br-slow/statistics/rx_bytes"
    frame = bytes(1400)
    router = bytes.fromhex(open("/sys/class/net/br-slow/address").read().strip().replace(":", ""))
    before, begin = None, time.monotonic()
    while time.monotonic() < begin + 6:
        port.send(router, frame)
        if before is None and time.monotonic() > begin + 2:
            before, since = int(open(statistics).read()), time.monotonic()
    out = (int(open(statistics).read()) - before) / (time.monotonic() - since) / 1000
    os.close(port.fd)
    return [rate_in, out]
print(json.dumps([measure(None, 50, 600), measure("limited", 60, 140)]))
"""

# A request for an address, and the checksum of the answer: left to hardware (a flag in the header of ten), or there and right.
CHECKSUM = PORTS + """
xml = '''<network><name>slow</name><forward mode='nat'/><bridge name='br-slow' stp='off'/><ip address='10.77.0.1' prefix='24'>
  <dhcp><range start='10.77.0.100' end='10.77.0.200'/></dhcp></ip></network>'''
import fcntl
port = Port(9, network(xml))
fcntl.ioctl(port.fd, 0x400454d0, 1)  # TUNSETOFFLOAD, TUN_F_CSUM: as a guest with virtio does
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data if len(data) % 2 == 0 else data + bytes(1)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff
bootp = struct.pack("!BBBBIHHIIII6s10x192xI", 1, 1, 6, 0, 7, 0, 0x8000, 0, 0, 0, 0, port.mac, 0x63825363) + bytes([53, 1, 1, 255]) + bytes(60)
udp = struct.pack("!HHHH", 68, 67, 8 + len(bootp), 0) + bootp
ip = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, 0, 0xffffffff)
ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
answer = None
for attempt in range(20):
    port.send(ALL, ip + udp, 0x800)
    end = time.monotonic() + 2
    while not answer and select.select([port.fd], [], [], max(0, end - time.monotonic()))[0]:
        frame = os.read(port.fd, 70000)
        if frame[10 + 12:10 + 14] == b"\\x08\\x00" and frame[10 + 34:10 + 38] == struct.pack("!HH", 67, 68):
            answer = frame
    if answer:
        break
packet = answer[10 + 14:]
datagram = packet[20:20 + struct.unpack("!H", packet[24:26])[0]]
rest = checksum(packet[12:20] + struct.pack("!HH", 17, len(datagram)) + datagram + bytes(len(datagram) % 2))
print(json.dumps([answer[0], rest]))
"""

MACVTAP = PORTS + """
import socket
def ask(port, address):
    port.send(ALL, struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, port.mac, socket.inet_aton("192.0.2.7"), bytes(6), socket.inet_aton(address)), 0x806)
    answer = port.receive(30, struct.pack("!H", 2) + mac)
    return answer and answer[22:28].hex(":")
mac = bytes.fromhex(open("/root/far.mac").read().strip().replace(":", ""))
beside = network("<network><name>beside</name><forward mode='bridge'><interface dev='near'/></forward></network>")
one = Port(1, beside)
two = Port(2, ROOT, "Manager", "AttachLinkPort", ("near", "bridge"))
told = [ask(one, "192.0.2.2"), ask(two, "192.0.2.2")]
one.send(two.mac, b"hello two".ljust(60))
met = two.receive(30, b"hello two") is not None
def left():
    return len(os.popen("ip -br link show type macvtap").read().splitlines())
os.system("p=$(systemctl show -P MainPID virtnetworkd); systemctl kill --signal=KILL virtnetworkd; "
          "while [ -e /proc/$p ] || busctl list --no-legend | awk '{print $2}' | grep -qx $p; do sleep 0.1; done")
call(ROOT, "Manager", "ListNetworks", None)
counts = [left()]
os.close(one.fd)
for i in range(600):
    if left() == 1:
        break
    time.sleep(0.1)
print(json.dumps([told, met, counts + [left(), ask(two, "192.0.2.2")]]))
"""


def run(machine, script):
    machine.put("/root/ports.py", script)
    return json.loads(machine.run("python3 /root/ports.py", timeout=SLOW).stdout.splitlines()[-1])


@pytest.fixture
def networked(installed_machine):
    installed_machine.run("systemctl enable --now virtnetworkd.socket && systemctl start virtnetworkd", timeout=SLOW)
    yield installed_machine
    for name in ("office", "slow", "beside"):
        installed_machine.run(f"virtctl stop-network --force {name}; virtctl undefine-network {name}", timeout=SLOW, check=False)


def test_vlans(networked):
    """Ports of a filtering bridge see what their VLANs have, with the tags they should."""
    networked.run("ip link add br-vlan type bridge && ip link set br-vlan up")
    networked.put("/root/ports.py", VLANS)
    refused = networked.run("python3 /root/ports.py", timeout=SLOW, check=False)
    assert "the bridge br-vlan does not filter by VLANs" in refused.stderr and "vlan_filtering 1" in refused.stderr
    networked.run("ip link set br-vlan type bridge vlan_filtering 1; virtctl undefine-network office; virtctl stop-network --force office", check=False)
    from_a, from_c = run(networked, VLANS)
    assert from_a == {"b": "88b566726f6d"[:8], "c": None, "t": "8100000a"}
    assert from_c == {"a": None, "b": None, "t": "88b5"}
    networked.run("ip link del br-vlan")


def test_limits(networked):
    """200 kB/s in each direction, where without limits there is several times as much."""
    (free_in, free_out), (limited_in, limited_out) = run(networked, LIMITS)
    assert free_in > 600 and free_out > 600
    assert 140 < limited_in < 260 and 140 < limited_out < 260


def test_checksums_of_dhcp(networked):
    """What DHCP answers has its checksum, whoever carries it."""
    assert run(networked, CHECKSUM) == [0, 0]


def test_macvtap(networked):
    """Guests beside the host reach what is on its link, and each other; a macvtap goes with its guest."""
    networked.run("ip netns add far && ip link add near type veth peer name far netns far && ip link set near up && "
                "ip -n far addr add 192.0.2.2/24 dev far && ip -n far link set far up && ip netns exec far cat /sys/class/net/far/address > /root/far.mac")
    mac = networked.read("/root/far.mac").strip()
    told, met, left = run(networked, MACVTAP)
    assert told == [mac, mac] and met and left == [2, 1, mac], "also to a virtnetworkd that has not made them"
    networked.run("for i in $(seq 600); do [ -z \"$(ip -br link show type macvtap)\" ] && exit 0; sleep 0.1; done; exit 1")
    networked.run("ip netns del far")


def test_statistics_of_a_macvtap(networked):
    """It is the guest's own end: what it sends is what the guest sends. Here that is what asks for an address, and nobody answers."""
    machine = networked
    machine.run("ip netns add mute && ip link add beside type veth peer name mute netns mute && ip link set beside up && ip -n mute link set mute up")
    nic = "<interface type='direct'><source dev='beside' mode='bridge'/><driver name='qemu'/><boot order='1'/></interface>"
    machine.put("/srv/asking.xml", tiny_xml("asking", nic, memory=64))
    machine.run("virtctl define /srv/asking.xml && virtctl start asking", timeout=SLOW)

    def figures():
        (values,) = json.loads(machine.run("virtctl --groups=net --json=short stats asking", timeout=SLOW).stdout)
        return values
    sent = "for i in $(seq 400); do virtctl --groups=net stats asking | grep -qE 'net.0.tx.bytes=[0-9]{4}' && exit 0; sleep 0.5; done; exit 1"
    machine.run(sent, timeout=SLOW)
    link, = json.loads(machine.run("ip -s -j link show type macvtap").stdout)
    s = figures()
    assert s["net.0.name"] == link["ifname"] and s["net.0.tx.bytes"] >= link["stats64"]["tx"]["bytes"] >= 1000
    assert s["net.0.rx.pkts"] >= link["stats64"]["rx"]["packets"] and s["net.0.rx.bytes"] < s["net.0.tx.bytes"]
    # Here units have a memory controller, too.
    group = "/sys/fs/cgroup$(systemctl show -P ControlGroup virtqemu@asking.service)"
    said = machine.run(f"virtctl --groups=memory --json=short stats asking; cat {group}/memory.current", timeout=SLOW).stdout.splitlines()
    assert abs(json.loads(said[0])[0]["memory.unit.current"] - int(said[1])) < 16 << 20
    machine.run("virtctl kill asking; virtctl undefine asking; ip netns del mute", timeout=SLOW)


def test_vhost(networked):
    """Where the kernel can, it carries frames between tap and guest itself: here those of a network boot, which gets an address."""
    machine = networked
    machine.put("/srv/slow.xml", "<network><name>slow</name><forward mode='nat'/><bridge name='br-slow' stp='off'/><ip address='10.77.0.1' prefix='24'>"
                "<dhcp><host mac='52:54:00:00:00:77' name='web' ip='10.77.0.10'/></dhcp></ip></network>")
    nic = "<interface type='network'><mac address='52:54:00:00:00:77'/><source network='slow'/><boot order='1'/></interface>"
    machine.put("/srv/carried.xml", tiny_xml("carried", nic, memory=64))
    machine.run("virtctl define-network /srv/slow.xml && virtctl define /srv/carried.xml && virtctl start carried", timeout=SLOW)
    path = machine.run("busctl call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager GetDomain s carried").stdout.split('"')[1]
    pid = machine.run(f"busctl get-property org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain MainPID").stdout.split()[1]
    assert "/dev/vhost-net" in machine.run(f"ls -l /proc/{pid}/fd").stdout
    leased = "for i in $(seq 400); do virtctl network-leases slow | grep 10.77.0.10 && exit 0; sleep 0.5; done; exit 1"
    assert "52:54:00:00:00:77" in machine.run(leased, timeout=SLOW).stdout
    machine.run("virtctl kill carried; virtctl undefine carried", timeout=SLOW)


def test_open_vswitch(networked):
    """With the kernel's datapath, and Open vSwitch as its package starts it: VLANs and limits are as on the kernel's bridge."""
    machine = networked
    machine.run("systemctl start openvswitch-switch", timeout=SLOW)
    machine.run("ovs-vsctl add-br ovs-vlan -- add-br br-slow && ip addr add 10.77.0.1/24 dev br-slow && ip link set br-slow up", timeout=SLOW)
    switched = "<bridge name='{}'/><virtualport type='openvswitch'/>"
    vlans = VLANS.replace("<bridge name='br-vlan'/>", switched.format("ovs-vlan")).replace(
        "print(", "masters = {os.path.basename(os.readlink(f'/sys/class/net/{p.name}/master')) for p in ports.values()}\nprint(").replace("[said,", "[list(masters), said,")
    masters, from_a, from_c = run(machine, vlans)
    assert masters == ["ovs-system"] and from_a == {"b": "88b566726f6d"[:8], "c": None, "t": "8100000a"} and from_c == {"a": None, "b": None, "t": "88b5"}
    limits = LIMITS.replace("<forward mode='nat'/><bridge name='br-slow' stp='off'/><ip address='10.77.0.1' prefix='24'/>",
                            "<forward mode='bridge'/>" + switched.format("br-slow"))
    limits = re.sub(r"\[measure\(None.*?\), (measure\(.*?\))\]", r"\1", limits)
    limited_in, limited_out = run(machine, limits)
    assert 140 < limited_in < 260 and 140 < limited_out < 260
    machine.run("for i in $(seq 100); do [ -z \"$(ovs-vsctl list-ports ovs-vlan; ovs-vsctl list-ports br-slow; ovs-vsctl list QoS)\" ] && exit 0; sleep 0.2; done; exit 1",
                timeout=SLOW)
    machine.put("/srv/office.xml", "<network><name>office</name><forward mode='bridge'/><bridge name='ovs-vlan'/></network>")
    refused = machine.run("virtctl stop-network office; virtctl define-network /srv/office.xml && virtctl start-network office", timeout=SLOW, check=False)
    assert "ovs-vlan is no bridge" in refused.stderr and "<virtualport type='openvswitch'/>" in refused.stderr
    machine.run("ovs-vsctl del-br ovs-vlan -- del-br br-slow && systemctl stop openvswitch-switch", timeout=SLOW)
