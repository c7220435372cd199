# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ports of Open vSwitch: its own database and switch run here, with the datapath that needs no module of the kernel."""

import json
import os
import re
import threading

import pytest
from gi.repository import GLib

import domains
from bus import BusError
from domains import CONFIG, LIVE, tiny_xml
from netbed import bed, client, kill, networkd, vms_of

pytestmark = pytest.mark.host

ID = "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f"
NETWORK = f"""<network>
  <name>switched</name>
  <forward mode='bridge'/>
  <bridge name='ovsbr0'/>
  <virtualport type='openvswitch'><parameters profileid='everybody'/></virtualport>
  <portgroup name='plain' default='yes'/>
  <portgroup name='red'><vlan><tag id='42'/></vlan></portgroup>
  <portgroup name='blue'><vlan><tag id='43'/></vlan></portgroup>
  <portgroup name='all'>
    <vlan trunk='yes'><tag id='42' nativeMode='untagged'/><tag id='47'/></vlan>
    <virtualport><parameters profileid='trunk'/></virtualport>
  </portgroup>
  <portgroup name='slow'><bandwidth><inbound average='1000'/><outbound average='128' burst='64'/></bandwidth></portgroup>
</network>
"""
HEADER = bytes(10)             # a tap's, of which nothing is asked
KIND = bytes.fromhex("88b5")   # frames of nobody's


class Switch:
    """ovsdb-server and ovs-vswitchd, as units of the testbed."""

    def __init__(self, bed):
        self.bed = bed
        bed.run("mkdir -p /run/openvswitch && cd /run/openvswitch && ovsdb-tool create conf.db /usr/share/openvswitch/vswitch.ovsschema")
        self.start("ovsdb", "ovsdb-server /run/openvswitch/conf.db --remote=punix:/run/openvswitch/db.sock --unixctl=/run/openvswitch/db.ctl -vconsole:off")
        bed.wait(lambda: bed.exists("/run/openvswitch/db.sock"))
        bed.run("ovs-vsctl --no-wait init")
        self.start_switch()
        self.run("add-br ovsbr0 -- set Bridge ovsbr0 datapath_type=netdev")

    def start(self, name, command):
        self.bed.run(f"systemd-run --unit=test-{name} {command}")

    def start_switch(self):
        self.start("switch", "ovs-vswitchd --unixctl=/run/openvswitch/switch.ctl -vconsole:off")

    def run(self, command):
        return str(self.bed.run(f"ovs-vsctl --timeout=30 {command}"))

    def rows(self, table, columns):
        """Of each row its columns as text, numbers, lists and dictionaries."""
        said = json.loads(self.run(f"--format=json --columns={','.join(columns)} list {table}"))

        def plain(value):
            kind, items = value if isinstance(value, list) else (None, value)
            return {"set": list, "map": dict, "uuid": str, None: lambda v: v}[kind](items)
        return [dict(zip(said["headings"], map(plain, row))) for row in said["data"]]

    def ports(self):
        """Those of guests, by name."""
        return {p["name"]: p for p in self.rows("Port", ["name", "tag", "trunks", "vlan_mode", "protected", "qos", "other_config"]) if p["name"].startswith("vnet-ovs")}

    def interface(self, name):
        [row] = [i for i in self.rows("Interface", ["name", "external_ids", "ofport", "ingress_policing_rate", "ingress_policing_burst"]) if i["name"] == name]
        return row

    def signal(self, name, signal):
        self.bed.run(f"systemctl kill --signal={signal} test-{name}")


@pytest.fixture(scope="module")
def switch(bed):
    if not domains.have("ovs-vswitchd"):
        pytest.skip("Open vSwitch is not installed")
    switch = Switch(bed)
    yield switch
    bed.run("systemctl stop test-switch test-ovsdb; rm -r /run/openvswitch; ip link del ovsbr0 2>/dev/null; ip link del ovs-netdev 2>/dev/null; true")


@pytest.fixture
def network(bed, client, networkd, switch):
    network = client.object("org.virtbus.network1", networkd.DefineNetwork("libvirt-xml", NETWORK, 0, {}))
    yield network
    bed.wait(lambda: switch.ports() == {}, what="all ports are gone")
    bed.wait(lambda: bed.run("ls /var/lib/virtbus/network/switch-ports", check=False).stdout == "", what="none is noted")
    assert switch.rows("QoS", ["type"]) == []


def port(**values):
    types = {"mac": "ay", "domain": "s", "uuid": "ay", "portgroup": "s", "queues": "u", "isolated": "b", "virtualport": "s", "interfaceid": "ay",
             "profileid": "s", "inbound": "(ttt)", "vlans": "a(ts)"}
    return {k: GLib.Variant(types[k], v) for k, v in values.items()}


class Guest:
    """A guest's end of a port."""

    def __init__(self, network, number, **values):
        self.mac = bytes.fromhex("5254000000") + bytes([number])
        self.name, [self.queue] = network.AttachPort(port(mac=self.mac, domain=f"vm{number}", **values), 0, {})
        os.set_blocking(self.queue.fileno(), False)

    def send(self, to, text, tag=None):
        shim = b"" if tag is None else bytes.fromhex("8100") + tag.to_bytes(2, "big")
        os.write(self.queue.fileno(), HEADER + to.mac + self.mac + shim + KIND + text.encode().ljust(50, b"."))

    def heard(self):
        """What has come of our kind since the last time: (tag, text)."""
        found = []
        while True:
            try:
                frame = os.read(self.queue.fileno(), 4096)[len(HEADER):]
            except BlockingIOError:
                return found
            tagged = frame[12:14] == b"\x81\x00"
            tag, rest = (int.from_bytes(frame[14:16], "big") & 0xfff, frame[16:]) if tagged else (None, frame[12:])
            if rest[:2] == KIND:
                found.append((tag, rest[2:].rstrip(b".\0").decode()))

    def close(self):
        self.queue.close()


@pytest.fixture
def guest(network):
    """Makes them; what is left of them goes with the test."""
    made = []

    def make(*args, **values):
        made.append(Guest(network, len(made) + 1, *args, **values))
        return made[-1]
    yield make
    for g in made:
        g.close()


def test_ports(bed, client, networkd, switch, network, guest):
    """Each is told what its guest, its portgroup and the network say; it goes with its guest, whoever is there to see that."""
    uuid = bytes(range(16))
    red = guest(portgroup="red", uuid=uuid, interfaceid=bytes.fromhex(ID.replace("-", "")), profileid='say "hi" -- \\')
    assert network.Active and network.ForwardMode == "openvswitch" and network.Ports == [red.name]
    said = bed.run(f"ip -d link show {red.name}").stdout
    assert "fe:54:00:00:00:01" in said and "alias virtbus:vm1" in said and "vnet_hdr on" in said and ",UP," in said
    assert bed.run(f"cat /proc/sys/net/ipv6/conf/{red.name}/disable_ipv6").stdout == "1\n"
    assert switch.interface(red.name)["external_ids"] == {
        "attached-mac": "52:54:00:00:00:01", "iface-id": ID, "vm-id": "00010203-0405-0607-0809-0a0b0c0d0e0f", "port-profile": 'say "hi" -- \\',
        "iface-status": "active"}
    assert switch.interface(red.name)["ofport"] > 0
    assert switch.ports()[red.name] == {"name": red.name, "tag": 42, "trunks": [], "vlan_mode": "access", "protected": False, "qos": [],
                                        "other_config": {"transient": "true"}}
    everything = guest(portgroup="all", isolated=True)
    row = switch.ports()[everything.name]
    assert (row["tag"], sorted(row["trunks"]), row["vlan_mode"], row["protected"]) == (42, [42, 47], "native-untagged", True)
    ids = switch.interface(everything.name)["external_ids"]
    assert ids["port-profile"] == "trunk" and re.fullmatch("[0-9a-f-]{36}", ids["iface-id"]) and "vm-id" not in ids
    plain = guest()
    row = switch.ports()[plain.name]
    assert (row["tag"], row["trunks"], row["vlan_mode"]) == ([], [], [])
    assert switch.interface(plain.name)["external_ids"]["port-profile"] == "everybody"
    assert sorted(network.Ports) == sorted([red.name, everything.name, plain.name])
    plain.close()
    bed.wait(lambda: set(switch.ports()) == {red.name, everything.name})
    # The next virtnetworkd has them, too, and sees which went when nobody looked.
    kill(bed)
    assert sorted(network.Ports) == sorted([red.name, everything.name])
    red.close()
    bed.wait(lambda: set(switch.ports()) == {everything.name})
    bed.run("systemctl stop virtnetworkd.service virtnetworkd.socket")
    everything.close()
    assert set(switch.ports()) == {everything.name}
    bed.run("systemctl start virtnetworkd.socket")
    assert network.Ports == []


def test_traffic(bed, switch, guest):
    """Frames go where their VLAN is, with the tags that are asked for, and not between those that are isolated."""
    red, redder, trunk, blue = (guest(portgroup=g) for g in ("red", "red", "all", "blue"))
    lonely = [guest(portgroup="blue", isolated=True) for _ in range(2)]
    for one in (red, redder, trunk, blue, *lonely):
        one.send(one, "here I am")                      # so that the switch knows who is where
        bed.wait(lambda: one.mac.hex(":") in bed.run("ovs-appctl -t /run/openvswitch/switch.ctl fdb/show ovsbr0").stdout)

    def meet(a, b, tag=None):
        a.send(b, f"to {b.name}", tag)
        return bed.wait(b.heard)
    assert meet(red, redder) == [(None, f"to {redder.name}")]
    assert meet(red, trunk) == [(None, f"to {trunk.name}")] and meet(trunk, red) == [(None, f"to {red.name}")]
    assert meet(blue, lonely[0]) == [(None, f"to {lonely[0].name}")]
    # Whom a switch does not know in a VLAN it looks for in all of that: others may hear of it.
    for a, b, tag in ((red, blue, None), (blue, red, None), (trunk, red, 47), (trunk, redder, 48), (lonely[0], lonely[1], None)):
        a.send(b, f"not for {b.name}", tag)
    for a, b in ((redder, red), (trunk, redder), (lonely[0], blue), (blue, lonely[1])):
        a.send(b, "the last one")
        said = []
        bed.wait(lambda: said.extend(b.heard()) or (None, "the last one") in said)
        assert (None, f"not for {b.name}") not in said and len({tag for tag, _ in said}) == 1, said


def test_many_at_once(bed, switch, network):
    """More than are told to Open vSwitch at a time."""
    network.Start(0, {})
    opened = []

    def attach(number):
        mine = bed.bus()
        opened.append(mine.object("org.virtbus.network1", network.path).AttachPort(port(mac=bytes([0x52, 0x54, 0, 0, 2, number])), 0, {}))
        mine.close()
    threads = [threading.Thread(target=attach, args=(n,)) for n in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    names = {name for name, _ in opened}
    assert len(names) == 20 and names == set(switch.ports()) == set(network.Ports)
    for _, [queue] in opened:
        queue.close()


def test_limits(networkd, switch, guest):
    """Open vSwitch keeps them, and they go with the port."""
    slow = guest(portgroup="slow")
    [row] = switch.rows("QoS", ["type", "other_config"])
    assert row == {"type": "linux-htb", "other_config": {"max-rate": "8000000"}} and switch.ports()[slow.name]["qos"]
    assert (switch.interface(slow.name)["ingress_policing_rate"], switch.interface(slow.name)["ingress_policing_burst"]) == (1024, 524)
    networkd.SetPortBandwidth(slow.name, port(inbound=(2000, 0, 0)), 0, {})
    assert [r["other_config"] for r in switch.rows("QoS", ["other_config"])] == [{"max-rate": "16000000"}]
    assert switch.interface(slow.name)["ingress_policing_rate"] == 0
    networkd.SetPortBandwidth(slow.name, {}, 0, {})
    assert switch.rows("QoS", ["type"]) == [] and switch.ports()[slow.name]["qos"] == []


def test_what_cannot_be(bed, client, networkd, switch, network, guest):
    """An error says what to do, nothing is left behind, and others do not wait."""
    bed.run("ip link add br-kernel type bridge && ip link add no-switch type veth peer name no-switch2")
    switched = port(virtualport="openvswitch")
    for bridge, kind, text in (
            ("nobridge", "NetworkFailed", "the host has no bridge nobridge\nmake it: ovs-vsctl add-br nobridge"),
            ("br-kernel", "NetworkFailed", "br-kernel is a bridge of the kernel, not one of Open vSwitch\nleave <virtualport> out"),
            ("no-switch", "NetworkFailed", "Open vSwitch can't do it: ovs-vsctl: no bridge named no-switch"),
            ("--", "InvalidArgs", '"--" can\'t be the name of a bridge of Open vSwitch')):
        with client.fails(kind, text):
            networkd.AttachBridgePort(bridge, switched, 0, {})
    for wrong, text in ((port(virtualport="802.1Qbh"), "is no switch that is supported"), (port(interfaceid=b"short"), "16 bytes, not 5"),
                        (port(virtualport="openvswitch", profileid="x" * 40), "at most 39 bytes"),
                        (port(profileid="x"), 'are for virtualport "openvswitch"')):
        with client.fails("InvalidArgs", text):
            networkd.AttachBridgePort("ovsbr0", wrong, 0, {})
    other = client.object("org.virtbus.network1", networkd.DefineNetwork("libvirt-xml", NETWORK.replace("ovsbr0", "br-kernel").replace("switched", "other"),
                                                                         0, {}))
    with client.fails("NetworkFailed", "br-kernel is a bridge of the kernel, not one of Open vSwitch: leave <virtualport> out"):
        other.Start(0, {})
    # Of the kernel's datapath, which is not there.
    switch.run("--no-wait add-br no-switch")
    with client.fails("NetworkFailed", "Error detected while setting up 'vnet-ovs"):
        networkd.AttachBridgePort("no-switch", switched, 0, {})
    bed.wait(lambda: switch.ports() == {})
    switch.run("del-br no-switch")
    bed.run("ip link del br-kernel; ip link del no-switch")
    assert not re.search(r"vnet-ovs\d", bed.run("ip -br link").stdout)
    bed.run("systemctl stop test-switch")
    with client.fails("Timeout", 'Open vSwitch did not answer within 5 s\n"systemctl status ovsdb-server ovs-vswitchd" may say why'):
        networkd.AttachBridgePort("ovsbr0", switched, 0, {})
    bed.wait(lambda: switch.ports() == {}, what="what nobody did is not in the database")
    switch.start_switch()
    guest()


BRIDGED = """<interface type='bridge'><mac address='52:54:00:00:01:01'/><source bridge='ovsbr0'/>
  <virtualport type='openvswitch'><parameters profileid='bob'/></virtualport><vlan><tag id='7'/></vlan></interface>"""
ON_NETWORK = "<interface type='network'><mac address='52:54:00:00:01:02'/><source network='switched' portgroup='slow'/></interface>"
PLUGGED = "<interface type='network'><mac address='52:54:00:00:01:03'/><source network='switched' portgroup='all'/></interface>"
ROOT_PORTS = "".join(f"<controller type='pci' model='pcie-root-port' index='{n}'/>" for n in range(1, 7))


@pytest.fixture
def vm(bed, client, network):
    """They end before the network looks for what they have left."""
    with vms_of(bed, client) as define:
        yield define


def in_definition(domain, which):
    """(tap, interfaceid) of each interface."""
    nics = re.findall("<interface.*?</interface>", domain.ExportDefinition(domains.FORMAT, which).replace('"', "'"), re.S)
    return [tuple(m and m.group(1) for m in (re.search("target dev='([^']*)'", n), re.search("interfaceid='([^']*)'", n))) for n in nics]


def test_a_vm(bed, client, networkd, switch, network, vm):
    """Its ports come with its start and what is plugged in, have its names in the live definition, and go however it ends."""
    domain = vm(tiny_xml("web", ROOT_PORTS + BRIDGED + ON_NETWORK))
    [(_, kept), (_, none)] = in_definition(domain, CONFIG)
    assert re.fullmatch("[0-9a-f-]{36}", kept) and none is None
    domain.Start(0, {}, timeout=60)
    [(first, same), (second, made)] = in_definition(domain, LIVE)
    assert domain.PendingChanges == [] and same == kept and set(switch.ports()) == {first, second} == set(network.Ports)
    ids = [switch.interface(name)["external_ids"] for name in (first, second)]
    uuid = re.search("<uuid>(.*)</uuid>", domain.ExportDefinition(domains.FORMAT, CONFIG)).group(1)
    assert [(i["iface-id"], i["vm-id"], i["port-profile"], i["attached-mac"]) for i in ids] == [
        (kept, uuid, "bob", "52:54:00:00:01:01"), (made, uuid, "everybody", "52:54:00:00:01:02")]
    assert switch.ports()[first]["tag"] == 7 and switch.ports()[second]["tag"] == []
    # Plugged in and out.
    path, _ = domain.AttachDevice(domains.FORMAT, PLUGGED, LIVE, {}, timeout=60)
    [third] = set(switch.ports()) - {first, second}
    assert switch.ports()[third]["vlan_mode"] == "native-untagged"
    assert in_definition(domain, LIVE)[2] == (third, switch.interface(third)["external_ids"]["iface-id"])
    with client.fails("NetworkFailed", "interface net3: the host has no bridge nobridge"):
        domain.AttachDevice(domains.FORMAT, BRIDGED.replace("ovsbr0", "nobridge").replace("01:01", "01:04"), LIVE, {}, timeout=60)
    # Nobody notices that daemons are others now.
    kill(bed)
    kill(bed, "virtqemud")
    assert domain.State == "running" and set(switch.ports()) == {first, second, third} == set(network.Ports)
    nic = client.object("org.virtbus.qemu1", f"{domain.path}/device/net1")
    nic.Update(domains.FORMAT, ON_NETWORK.replace("</interface>", "<bandwidth><inbound average='3000'/></bandwidth></interface>"), LIVE, {}, timeout=60)
    assert [r["other_config"] for r in switch.rows("QoS", ["other_config"])] == [{"max-rate": "24000000"}]
    with client.fails("Timeout", "has not let go of net2"):  # for want of a system
        client.object("org.virtbus.qemu1", path).Detach(LIVE, {"timeout-usec": GLib.Variant("t", 1)}, timeout=60)
    domain.Reset(0, {})
    bed.wait(lambda: set(switch.ports()) == {first, second}, what="what it can't refuse at a reset is gone")
    bed.run("systemctl kill --signal=SIGKILL virtqemu@web")
    bed.wait(lambda: switch.ports() == {}, what="the ports are gone after QEMU's death")
    bed.wait(lambda: domain.State == "shutoff")
    domain.Start(0, {}, timeout=60)
    assert [i for _, i in in_definition(domain, LIVE)][0] == kept and len(switch.ports()) == 2
    domain.Terminate(0, {})
    bed.wait(lambda: switch.ports() == {})


def test_a_start_that_fails(bed, client, networkd, switch, network, vm, guest):
    """What the first interface has got goes again, and a switch that hangs ends the start alone."""
    broken = vm(tiny_xml("broken", BRIDGED + "<interface type='bridge'><source bridge='nobridge'/></interface>"))
    with client.fails("NetworkFailed", "interface net1: the host has no bridge nobridge"):
        broken.Start(0, {}, timeout=60)
    bed.wait(lambda: switch.ports() == {})
    hangs, other, lonely = vm(tiny_xml("hangs", BRIDGED)), vm(tiny_xml("other", "")), guest()
    switch.signal("ovsdb", "STOP")
    failed = []

    def start():
        mine = bed.bus()
        try:
            mine.object("org.virtbus.qemu1", hangs.path).Start(0, {}, timeout=60)
        except BusError as e:
            failed.append(e)
        mine.close()
    thread = threading.Thread(target=start)
    thread.start()
    bed.wait(lambda: hangs.State == "starting")
    other.Start(0, {}, timeout=60)
    assert not failed and other.State == "running" and networkd.ListNetworks()
    lonely.close()                                       # nobody can be told
    thread.join()
    switch.signal("ovsdb", "CONT")
    assert failed[0].name.endswith(".Timeout") and "interface net0: Open vSwitch did not answer within 5 s" in failed[0].message
    assert hangs.State == "shutoff"
    bed.wait(lambda: switch.ports() == {}, what="what could not be taken out is, a little later")
