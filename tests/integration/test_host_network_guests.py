# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ports of networks, and VMs that have them."""

import re

import pytest
from gi.repository import GLib

from bus import BusError
from domains import CONFIG, FORCE, LIVE, console, guest_xml, tiny_xml
from host import USER
from netbed import NIC, bed, client, define, kill, networkd, port, vms  # noqa: F401

pytestmark = pytest.mark.host

BRIDGED = "<interface type='bridge'><source bridge='{}'/><driver queues='4'/><model type='virtio'/></interface>"


def test_ports(bed, client, networkd):
    """A tap for each, for as long as somebody holds it; the network is started for the first one."""
    network = define(client, networkd)
    name, [queue] = network.AttachPort(port(mac=bytes.fromhex("525400aabbcc"), domain="web"), 0, {})
    assert network.Active and network.Ports == [name]
    said = bed.run(f"ip -d link show {name}").stdout
    assert "fe:54:00:aa:bb:cc" in said and "master br-lab" in said and "alias virtbus:web" in said and "vnet_hdr on" in said
    with client.fails("InvalidState", f"the network lab is in use: {name} (of web) is on its bridge"):
        network.Stop(0, {})
    kill(bed)
    assert network.Ports == [name], "the port outlives the daemon"
    other, queues = network.AttachPort(port(queues=4), 0, {})
    assert len(queues) == 4 and other != name and len(network.Ports) == 2
    queue.close()
    bed.wait(lambda: network.Ports == [other])
    for q in queues:
        q.close()
    bed.wait(lambda: network.Ports == [])
    network.Stop(0, {})
    alone = network.ExportDefinition("libvirt-xml", CONFIG).replace("</network>", "<port isolated='yes'/></network>")
    network.Reconfigure("libvirt-xml", alone, CONFIG, {})
    name, [queue] = network.AttachPort(port(), 0, {})
    assert bed.read(f"/sys/class/net/{name}/brport/isolated") == "1\n"
    queue.close()
    bed.wait(lambda: network.Ports == [])
    network.Stop(0, {})
    told = alone.replace('<bridge name="br-lab"', '<bridge name="br-lab" macTableManager="libvirt"')
    network.Reconfigure("libvirt-xml", told, CONFIG, {})
    name, [queue] = network.AttachPort(port(mac=bytes.fromhex("525400aabbcc")), 0, {})
    assert "52:54:00:aa:bb:cc" in bed.run(f"bridge fdb show dev {name} | grep static").stdout
    assert [bed.read(f"/sys/class/net/{name}/brport/{s}") for s in ("learning", "unicast_flood")] == ["0\n", "0\n"]
    queue.close()
    bed.wait(lambda: network.Ports == [])


def test_ports_that_cannot_be(bed, client, networkd):
    network = define(client, networkd)
    for wrong, text in ((port(mac=b"12345"), "has 6 bytes, not 5"), (port(mac=bytes.fromhex("010203040506")), "multicast"),
                        (port(queues=0), "1 to 16 queues"), (port(queues=17), "1 to 16 queues"), (port(portgroup="x"), 'no portgroup "x"'),
                        ({"colour": GLib.Variant("s", "red")}, 'a port has no "colour"')):
        with client.fails("InvalidArgs", text):
            network.AttachPort(wrong, 0, {})
    with client.fails("NetworkFailed", "the host has no bridge nobridge"):
        networkd.AttachBridgePort("nobridge", port(), 0, {})
    with client.fails("NetworkFailed", "uplink is no bridge"):
        networkd.AttachBridgePort("uplink", port(), 0, {})
    name, queues = networkd.AttachBridgePort("br-lab", port(domain="db"), 0, {})
    assert network.Ports == [name]
    bed.run("ip link add br-lab2 type bridge")
    clash = define(client, networkd, "clash", bridge="br-lab2", net=99)
    with client.fails("NetworkFailed", "the network clash can't be started: there is a link br-lab2 already"):
        clash.AttachPort(port(), 0, {})
    bed.run("ip link del br-lab2")


def on_network(guest_image):
    image = type(guest_image)("/srv/kernel", "/srv/kernel", "/srv/initrd", guest_image.cmdline)
    return guest_xml(image, devices=NIC)


def test_a_guest_on_a_network(bed, client, networkd, vms, guest_image):
    """The network comes up for it, DHCP answers, its frames get out; its port ends with it."""
    network = define(client, networkd)
    domain = vms(on_network(guest_image))
    domain.Start(0, {})
    assert network.Active
    [port] = network.Ports
    assert f'<target dev="{port}"/>' in domain.ExportDefinition("libvirt-xml", 1)
    assert "virtbus:web" in bed.run(f"ip -d link show {port}").stdout
    number = bed.run(f"cat /sys/class/net/{port}/ifindex").stdout.strip()
    assert bed.run("busctl get-property org.freedesktop.machine1 /org/freedesktop/machine1/machine/web org.freedesktop.machine1.Machine "
                   "NetworkInterfaces").stdout.split() == ["ai", "1", number]
    with client.fails("InvalidState", f"the network lab is in use: {port} (of web) is on its bridge"):
        network.Stop(0, {})
    con = console(client, domain)
    con.wait("VIRTBUS-GUEST-READY")
    con.ask("sh busybox ip link set eth0 up")
    said = " ".join(con.ask("sh busybox udhcpc -i eth0 -n -q -t 40 -T 1 -s /bin/busybox"))
    assert "lease of 10.77.0.10 obtained from 10.77.0.1" in said
    con.ask("sh busybox ip addr add 10.77.0.10/24 dev eth0; busybox ip route add default via 10.77.0.1")
    def addresses():
        return [(device, bytes(a), prefix, source) for device, a, prefix, source in domain.Addresses]
    leased = ("net0", bytes([10, 77, 0, 10]), 24, "lease")
    bed.wait(lambda: addresses() == [leased], what="the domain knows the lease")
    con.ask("sh busybox ip addr add 10.77.0.50/24 dev eth0; busybox ping -c 1 -W 2 -I 10.77.0.50 10.77.0.1")
    both = [leased, ("net0", bytes([10, 77, 0, 50]), 24, "arp")]
    bed.wait(lambda: addresses() == both, what="the domain knows what the host has learned")
    assert "Address: 10.77.0.10/24 on net0 (lease)" in bed.run("virtctl status web").stdout
    bed.run("ip neigh del 10.77.0.50 dev br-lab")
    bed.wait(lambda: addresses() == [leased], what="it is forgotten")
    kill(bed)
    kill(bed, "virtqemud")
    assert domain.State == "running"
    assert f'<target dev="{port}"/>' in domain.ExportDefinition("libvirt-xml", 1)
    bed.wait(lambda: leased in addresses(), what="the next virtqemud knows it as well")
    con = console(client, domain)
    assert " 0% packet loss" in " ".join(con.ask("sh busybox ping -c 2 -W 20 198.51.100.2"))
    domain.Terminate(0, {})
    bed.wait(lambda: network.Ports == [])


def test_two_guests(bed, client, networkd, vms, guest_image):
    """Each gets an address of each family, finds the other and the host by name, and both are told apart."""
    six = "<ip family='ipv6' address='fd00:77::1' prefix='64'/></network>"
    network = define(client, networkd)
    network.Reconfigure("libvirt-xml", network.ExportDefinition("libvirt-xml", CONFIG).replace("</network>", six), CONFIG, {})
    image = type(guest_image)("/srv/kernel", "/srv/kernel", "/srv/initrd", guest_image.cmdline)
    names = ("one", "two")
    made = [vms(guest_xml(image, name=name, devices=NIC.replace("4d:01", f"77:0{i}"))) for i, name in enumerate(names, 1)]
    for domain in made:
        domain.Start(0, {})
    consoles = [console(client, domain) for domain in made]
    for con, name in zip(consoles, names):
        con.wait("VIRTBUS-GUEST-READY")
        con.ask("sh busybox ip link set eth0 up")
        said = " ".join(con.ask(f"sh busybox udhcpc -i eth0 -n -q -t 40 -T 1 -s /bin/busybox -x hostname:{name}"))
        address = re.search(r"lease of (\S+) obtained", said)[1]
        con.ask(f"sh busybox ip addr add {address}/24 dev eth0")
    given = bed.wait(lambda: {host: bytes(a) for _, a, host, *_ in network.Leases} if len(network.Leases) == 2 else None)
    assert sorted(given) == ["one", "two"]
    for con, other in zip(consoles, reversed(names)):
        assert ".".join(map(str, given[other])) in " ".join(con.ask(f"sh busybox nslookup {other}.lab.lab 10.77.0.1"))
        assert "10.77.0.99" in " ".join(con.ask("sh busybox nslookup gate 10.77.0.1"))
        assert " 0% packet loss" in " ".join(con.ask("sh busybox ping -c 1 -W 5 " + ".".join(map(str, given[other]))))
    sixth = [f"fd00:77::5054:ff:fe00:770{i}" for i in (1, 2)]
    for con, own, other in zip(consoles, sixth, reversed(sixth)):
        bed.wait(lambda: own in " ".join(con.ask("sh busybox ip -6 addr show dev eth0")), what="an address by router advertisement")
        assert " 0% packet loss" in " ".join(con.ask(f"sh busybox ping -c 3 -W 5 {other}"))
    for domain, own in zip(made, sixth):
        bed.wait(lambda: {len(a) for _, a, *_ in domain.Addresses} == {4, 16} or bed.run(f"busybox ping -c 1 -W 2 {own}", check=False) and None)


def test_what_a_guest_is_told(bed, client, networkd, vms, guest_image):
    """A start that fails for its network says what the network said; nothing stays."""
    domain = vms(tiny_xml("web", NIC))
    with client.fails("NoSuchNetwork", 'interface net0: no network is called "lab"'):
        domain.Start(0, {})
    network = define(client, networkd)
    bed.run("ip link add br-lab type bridge")
    with client.fails("NetworkFailed", "the network lab can't be started: there is a link br-lab already"):
        domain.Start(0, {})
    bed.run("ip link del br-lab")
    domain.Start(0, {})
    assert len(network.Ports) == 1
    other = vms(tiny_xml("db", BRIDGED.format("br-lab")))
    other.Start(0, {})
    assert len(network.Ports) == 2
    other.Terminate(0, {})
    bed.wait(lambda: len(network.Ports) == 1)
    with client.fails("NetworkFailed", "the host has no bridge nobridge"):
        vms(tiny_xml("third", BRIDGED.format("nobridge"))).Start(0, {})
    domain.Terminate(0, {})
    bed.wait(lambda: network.Ports == [])


def test_what_an_interface_asks_for(bed, client, networkd, vms):
    """Limits and isolation of one interface, on a network and on a bridge; what comes from the interface goes before its portgroup."""
    network = define(client, networkd)
    groups = "<portgroup name='slow'><bandwidth><inbound average='100'/></bandwidth></portgroup></network>"
    network.Reconfigure("libvirt-xml", network.ExportDefinition("libvirt-xml", CONFIG).replace("</network>", groups), CONFIG, {})
    network.Start(0, {})
    limits = "<bandwidth><inbound average='1000' peak='2000'/></bandwidth><port isolated='yes'/><coalesce><rx><frames max='7'/></rx></coalesce>"
    nics = "".join(f"<interface type='network'><source network='lab' portgroup='slow'/>{more}</interface>" for more in ("", limits))
    domain = vms(tiny_xml("web", nics + f"<interface type='bridge'><source bridge='br-lab'/>{limits}</interface>"))
    domain.Start(0, {})
    ports = re.findall(r'<target dev="(vnet\d+)"/>', domain.ExportDefinition("libvirt-xml", LIVE))
    assert sorted(ports) == sorted(network.Ports) and len(ports) == 3
    rates = [bed.run(f"tc class show dev {p}").stdout for p in ports]
    assert "rate 800Kbit ceil 800Kbit" in rates[0] and all("rate 8Mbit ceil 16Mbit" in r for r in rates[1:])
    show = "import fcntl, socket, struct, sys; b = bytearray(struct.pack('=I', 14) + bytes(88)); import ctypes; a = (ctypes.c_char * 92).from_buffer(b); "\
           "fcntl.ioctl(socket.socket(), 0x8946, struct.pack('16sQ16x', sys.argv[1].encode(), ctypes.addressof(a))); print(struct.unpack_from('=III', b)[2])"
    assert [bed.run(["python3", "-c", show, p]).stdout.strip() for p in ports][1:] == ["7", "7"]
    assert [bed.read(f"/sys/class/net/{p}/brport/isolated") for p in ports] == ["0\n", "1\n", "1\n"]
    nic = client.object("org.virtbus.qemu1", f"{domain.path}/device/net1")
    text = re.search(r"<interface.*?</interface>", domain.ExportDefinition("libvirt-xml", CONFIG).split("</interface>", 1)[1], re.S).group(0)
    nic.Update("libvirt-xml", text.replace('average="1000" peak="2000"/>', 'average="500"/>'), LIVE | CONFIG, {})
    assert "rate 4Mbit ceil 4Mbit" in bed.run(f"tc class show dev {ports[1]}").stdout
    assert all('average="500"' in domain.ExportDefinition("libvirt-xml", which) for which in (LIVE, CONFIG))
    nic.Update("libvirt-xml", re.sub("<bandwidth>.*</bandwidth>", "", text, flags=re.S), LIVE, {})
    assert bed.run(f"tc class show dev {ports[1]}").stdout == ""
    try:
        nic.Update("libvirt-xml", text.replace('average="1000" peak="2000"/>', 'average="700"/><outbound average="300"/>'), LIVE | CONFIG, {})
        assert "police" in bed.run(f"tc filter show dev {ports[1]} ingress").stdout
    except BusError as e:  # without the module for what guests send
        assert "act_police" in e.message and bed.run(f"tc class show dev {ports[1]}").stdout == ""
        assert "700" not in domain.ExportDefinition("libvirt-xml", CONFIG)
    # A network that is stopped under them has them again when it is started, whether virtqemud hears of that or comes later.
    for stop, come_back in (("true", "true"), ("systemctl stop virtqemud.service", "virtctl status web")):
        bed.run(stop)
        network.Stop(FORCE, {})
        assert not any(bed.exists(f"/sys/class/net/{p}/master") for p in ports)
        network.Start(0, {})
        bed.run(come_back)
        bed.wait(lambda: sorted(network.Ports) == sorted(ports[:2]), what="the interfaces are on their network again")
        bed.wait(lambda: [bed.read(f"/sys/class/net/{p}/brport/isolated") for p in ports[:2]] == ["0\n", "1\n"])
        bed.wait(lambda: "rate 800Kbit ceil 800Kbit" in bed.run(f"tc class show dev {ports[0]}").stdout)
    # A virtnetworkd that died when it had stopped half of it takes the network up again.
    bed.run("systemctl kill --signal=STOP virtnetworkd; ip link del br-lab; systemctl kill --signal=KILL virtnetworkd")
    bed.wait(lambda: bed.exists(f"/sys/class/net/{ports[0]}/brport/isolated"), what="the interfaces are on their network again")
    bed.wait(lambda: sorted(network.Ports) == sorted(ports[:2]))
    with client.fails("InvalidState", f"{ports[0]} is on a bridge"):
        networkd.ReattachPort("lab", ports[0], {}, 0, {})
    with client.fails("NetworkFailed", "uplink is no tap"):
        networkd.ReattachPort("lab", "uplink", {}, 0, {})
    domain.Terminate(0, {})
    bed.wait(lambda: network.Ports == [])
    for wrong, text in (({"inbound": GLib.Variant("(ttt)", (0, 1, 1))}, "an average of 1 to"),
                        ({"outbound": GLib.Variant("(ttt)", (10, 9, 0))}, "the peak of a bandwidth is less than its average"), ({"vlans": GLib.Variant("a(ts)", [(4095, "")])}, "from 1 to 4094")):
        with client.fails("InvalidArgs", text):
            network.AttachPort(wrong, 0, {})
    with client.fails("NetworkFailed", "the bridge br-lab does not filter by VLANs"):
        networkd.AttachBridgePort("br-lab", {"vlans": GLib.Variant("a(ts)", [(10, "")])}, 0, {})
    assert network.Ports == []


def test_taps_alone(bed, client, networkd, vms):
    """Type 'ethernet': a tap that is made for the VM, by name or not, and one that is there and stays."""
    bed.run("ip tuntap add mode tap name there0 && ip link set there0 up")
    nics = "".join(f"<interface type='ethernet'>{target}</interface>" for target in
                   ("<target dev='mine0'/>", "", "<target dev='there0' managed='no'/>"))
    domain = vms(tiny_xml("web", nics))
    assert "<target dev='mine0'/>" in domain.ExportDefinition("libvirt-xml", CONFIG).replace('"', "'")
    domain.Start(0, {})
    assert domain.PendingChanges == []
    names = re.findall(r'<target dev="(\w+)"', domain.ExportDefinition("libvirt-xml", LIVE))
    assert names[0] == "mine0" and names[1].startswith("vnet") and names[2] == "there0"
    assert "LOWER_UP" in bed.run("ip link show mine0").stdout and "LOWER_UP" in bed.run("ip link show there0").stdout
    for name, target, text in (("db", "<target dev='mine0'/>", "there is a link mine0 already"),
                               ("mail", "<target dev='gone0' managed='no'/>", "the host has no tap gone0"),
                               ("post", "<target dev='uplink' managed='no'/>", "uplink is no tap")):
        with client.fails("NetworkFailed", text):
            vms(tiny_xml(name, f"<interface type='ethernet'>{target}</interface>")).Start(0, {})
    domain.Terminate(0, {})
    bed.wait(lambda: "mine0" not in bed.run("ip -br link").stdout and names[1] not in bed.run("ip -br link").stdout)
    assert "there0" in bed.run("ip -br link").stdout
    bed.run("ip link del there0")


def test_a_session_on_a_network_of_the_host(bed, client, networkd):
    """A user's VM may be on the networks that polkit lets the user on."""
    network = define(client, networkd)
    call = "busctl --user --timeout=60 call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager"
    bed.run("systemctl --user start virtqemud.socket", user=USER)
    bed.put("/srv/definition.xml", tiny_xml("own", NIC))
    bed.run(f"""{call} DefineDomain 'ssta{{sv}}' libvirt-xml "$(cat /srv/definition.xml)" 0 0""", user=USER)
    start = f"{call} StartDomain st own 0"
    refused = bed.run(start, user=USER, check=False)
    assert refused.returncode != 0 and "org.virtbus.network1.attach" in refused.stderr and network.Ports == []
    bed.put("/etc/polkit-1/rules.d/50-network.rules",
            'polkit.addRule(function(action, subject) {\n'
            '  if (action.id == "org.virtbus.network1.attach" && action.lookup("network") == "lab" && subject.user == "%s")\n'
            '    return polkit.Result.YES;\n});\n' % USER)
    bed.wait(lambda: bed.run(start, user=USER, check=False).returncode == 0, what="the rule is in force")
    assert len(network.Ports) == 1
    bed.run(f"{call} TerminateDomain st own 0", user=USER)
    bed.wait(lambda: network.Ports == [])
    # … but not to take what the administrator has not given.
    for wish in ("<bandwidth><inbound average='9000000'/></bandwidth>", "<virtualport type='openvswitch'/>", "<virtualport><parameters profileid='x'/></virtualport>"):
        bed.put("/srv/definition.xml", tiny_xml("own", NIC.replace("<model", f"{wish}<model")))
        bed.run(f"""{call} DefineDomain 'ssta{{sv}}' libvirt-xml "$(cat /srv/definition.xml)" 0 0""", user=USER)
        refused = bed.run(start, user=USER, check=False)
        assert refused.returncode != 0 and "Access denied" in refused.stderr and network.Ports == [], wish
        assert "VLANs, bandwidth, interfaceid and profileid of a port are for root to choose" in bed.run("virtctl --user status own", user=USER).stdout
