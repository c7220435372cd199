# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtnetworkd as it is installed, with a network of its own around it: a guest's end of each bridge, and a host outside. What becomes of networks while
others are away is in test_host_network_restarts.py, their steps in …_steps.py, VMs on them in …_guests.py, firewalls of others in …_firewall.py."""

import re
import time

import pytest

from bus import BusError
from domains import CONFIG, FORCE, LIVE
from host import USER
from netbed import MANAGER, NAT, bed, client, define, guest, heard, networkd, ping, port  # noqa: F401
from schema import valid

pytestmark = pytest.mark.host

RELEASE = """import socket, struct, sys
mac, address, server = bytes.fromhex(sys.argv[1].replace(":", "")), *map(socket.inet_aton, sys.argv[2:])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[2], 68))
s.sendto(struct.pack("!BBBBIHH4s12x16s192xI", 1, 1, 6, 0, 7, 0, 0, address, mac, 0x63825363) +
         bytes([53, 1, 7, 54, 4]) + server + bytes([255]), (sys.argv[3], 67))
"""


def test_the_default_network(bed, client, networkd):
    """It is there without anybody's doing, uses what is free, and does not come back to who has removed it."""
    [(name, mode, active, path)] = networkd.ListNetworks()
    assert (name, mode, active) == ("default", "nat", False)
    network = client.object("org.virtbus.network1", path)
    opened, [queue] = network.AttachPort(port(), 0, {})
    assert network.Active and network.Bridge == "virbr0" and bytes(network.Addresses[0][1]) == bytes([192, 168, 100, 1])
    queue.close()
    bed.wait(lambda: network.Ports == [])
    network.Stop(0, {})
    network.Undefine(0, {})
    bed.run("systemctl restart virtnetworkd")
    assert networkd.ListNetworks() == []


def test_a_nat_network(bed, client, networkd):
    network = define(client, networkd)
    assert (network.Active, network.Persistent, network.Autostart, network.ForwardMode) == (False, True, False, "nat")
    network.Start(0, {})
    assert network.Active and network.Bridge == "br-lab" and network.IfIndex > 0
    assert [(f, bytes(a), p) for f, a, p in network.Addresses] == [(2, bytes([10, 77, 0, 1]), 24)]
    assert "10.77.0.1/24" in bed.run("ip addr show br-lab").stdout
    assert bed.run("systemctl is-active virtdnsmasq@lab").stdout == "active\n"
    assert "10.77.0.1:53" in bed.run("ss -Hlun").stdout     # the answer of Start() did not come before that
    told = guest(bed, "br-lab")
    assert told["address"].startswith("10.77.0.") and told["router"] == told["dns"] == "10.77.0.1" and told["domain"] == "lab.lab"
    known = guest(bed, "br-lab", "guest2", mac="52:54:00:00:4d:01")
    assert known["address"] == "10.77.0.10"
    assert ping(bed, "guest1", "10.77.0.10") and ping(bed, "guest1", "10.77.0.1")
    given = bed.wait(lambda: len(network.Leases) == 2 and network.Leases)
    assert {(mac, bytes(a), host) for mac, a, host, *_ in given} >= {("52:54:00:00:4d:01", bytes([10, 77, 0, 10]), "web")}
    assert all(time.time() < end / 1e6 < time.time() + 3700 for *_, end in given)
    new = {(s.args[0], bytes(s.args[1]), s.args[2]) for s in heard(client, "LeaseAdded")}
    assert len(new) == 2 and ("52:54:00:00:4d:01", bytes([10, 77, 0, 10]), "web") in new
    bed.run("systemctl restart virtnetworkd")
    assert network.Leases == given
    for name, address in (("web.lab.lab", "10.77.0.10"), ("gate", "10.77.0.99")):
        assert address in bed.run(f"ip netns exec guest1 busybox nslookup {name} 10.77.0.1").stdout
    bed.put("/root/release.py", RELEASE)
    bed.run("ip netns exec guest2 python3 /root/release.py 52:54:00:00:4d:01 10.77.0.10 10.77.0.1")
    bed.wait(lambda: len(network.Leases) == 1)
    assert [bytes(s.args[1]) for s in heard(client, "LeaseRemoved")] == [bytes([10, 77, 0, 10])]
    # The outside sees the host's address, and can't begin anything.
    bed.put("/root/server.py", "import socket\ns = socket.create_server(('', 7000))\nc, peer = s.accept()\nc.sendall(peer[0].encode())\n")
    with bed.popen("ip netns exec outside python3 /root/server.py") as server:
        said = bed.wait(lambda: bed.run("ip netns exec guest1 busybox nc -w 2 198.51.100.2 7000 </dev/null", check=False).stdout)
        server.wait(10)
    assert said == "198.51.100.1"
    bed.run("ip -n outside route add 10.77.0.0/24 via 198.51.100.1")
    assert not ping(bed, "outside", "10.77.0.10", check=False)
    with client.fails("InvalidState", "the network lab is in use: guest"):
        network.Stop(0, {})
    network.Stop(FORCE, {})
    assert not network.Active and network.IfIndex == 0
    bed.run("ip -n outside route del 10.77.0.0/24")


def test_modes(bed, client, networkd):
    """Routed without NAT, isolated not at all, and no way from one network into another that does not want it."""
    bed.run("ip -n outside route add 10.81.0.0/24 via 198.51.100.1; ip -n outside route add 10.82.0.0/24 via 198.51.100.1")
    for name, mode, net in (("routed", "route", 81), ("quiet", "isolated", 82), ("behind", "nat", 83)):
        define(client, networkd, name, mode, net=net).Start(0, {})
    told = {name: guest(bed, f"br-{name}", f"guest-{name[:2]}") for name in ("routed", "quiet", "behind")}
    assert "router" not in told["quiet"] or not told["quiet"]["router"]
    bed.run("ip -n guest-qu route add default via 10.82.0.1")
    assert ping(bed, "guest-ro", "198.51.100.2") and ping(bed, "outside", told["routed"]["address"])
    assert not ping(bed, "guest-qu", "198.51.100.2", check=False) and not ping(bed, "outside", told["quiet"]["address"], check=False)
    assert ping(bed, "guest-be", told["routed"]["address"]), "both allow it"
    assert not ping(bed, "guest-be", told["quiet"]["address"], check=False)
    assert not ping(bed, "guest-qu", told["routed"]["address"], check=False)
    assert not ping(bed, "guest-ro", told["behind"]["address"], check=False)
    bed.run("ip -n outside route del 10.81.0.0/24; ip -n outside route del 10.82.0.0/24")


def test_live_changes(bed, client, networkd):
    """Hosts, ranges and names of an active network change, and leases stay."""
    network = define(client, networkd)
    network.Start(0, {})
    told = guest(bed, "br-lab")
    was = bed.wait(lambda: network.Leases)
    before = network.ExportDefinition("libvirt-xml", 2)
    plain = before.replace('"', "'")
    more = plain.replace("<dns>", "<dns><host ip='10.77.0.98'><hostname>post</hostname></host>").replace(
        "</dhcp>", "<host mac='52:54:00:00:4d:02' name='db' ip='10.77.0.11'/></dhcp>")
    network.Reconfigure("libvirt-xml", more, LIVE, {})
    assert guest(bed, "br-lab", "guest2", mac="52:54:00:00:4d:02")["address"] == "10.77.0.11"
    assert "10.77.0.98" in bed.run("ip netns exec guest1 busybox nslookup post 10.77.0.1").stdout
    assert bed.wait(lambda: len(network.Leases) == 2 and network.Leases)[-1] == was[0]
    assert guest(bed, "br-lab", "guest1b")["address"] != told["address"]
    assert network.ExportDefinition("libvirt-xml", 2) == before and 'name="db"' in network.ExportDefinition("libvirt-xml", LIVE)
    # What dnsmasq reads again is not worth a restart.
    pid_before = bed.run("systemctl show -P MainPID virtdnsmasq@lab").stdout
    network.Reconfigure("libvirt-xml", more.replace("'post'", "'mail'").replace(">post<", ">mail<"), LIVE | CONFIG, {})
    bed.wait(lambda: "10.77.0.98" in bed.run("ip netns exec guest1 busybox nslookup mail 10.77.0.1", check=False).stdout)
    assert bed.run("systemctl show -P MainPID virtdnsmasq@lab").stdout == pid_before
    assert ">mail<" in network.ExportDefinition("libvirt-xml", 2) and "<!-- kept -->" in network.ExportDefinition("libvirt-xml", 2)
    for old, new in (("10.77.0.1' prefix='24'", "10.77.0.1' prefix='25'"), ("mode='nat'", "mode='route'"), ("stp='off'", "stp='on'")):
        assert old in plain
        with client.fails("NotSupported", "only DHCP, DNS, port forwards and portgroups can be changed"):
            network.Reconfigure("libvirt-xml", plain.replace(old, new).replace("10.77.0.200", "10.77.0.120"), LIVE | CONFIG, {})
    network.Stop(FORCE, {})
    with client.fails("InvalidState", "the network lab is not active"):
        network.Reconfigure("libvirt-xml", before, LIVE, {})


def test_names_on_the_host(bed, client, networkd):
    """systemd-resolved asks the network for names in its domain, and for no others."""
    if not bed.exists("/lib/systemd/systemd-resolved"):
        pytest.skip("systemd-resolved is not installed")
    bed.run("systemd-sysusers; systemctl unmask systemd-resolved; systemctl start systemd-resolved")
    network = define(client, networkd)
    network.Start(0, {})
    guest(bed, "br-lab", "guest2", mac="52:54:00:00:4d:01")
    bed.wait(lambda: "10.77.0.10" in bed.run("resolvectl query web.lab.lab", check=False).stdout)
    said = bed.run("resolvectl status br-lab").stdout
    assert "~lab.lab" in said and "10.77.0.1" in said and "-DefaultRoute" in said
    assert bed.run("resolvectl query elsewhere.test", check=False).returncode != 0
    network.Stop(FORCE, {})
    assert bed.run("resolvectl query web.lab.lab", check=False).returncode != 0
    assert "does not take" not in bed.journal("virtnetworkd")
    bed.run("systemctl stop systemd-resolved")


def test_dnsmasq_comes_back(bed, client, networkd):
    define(client, networkd).Start(0, {})
    guest(bed, "br-lab", "guest2", mac="52:54:00:00:4d:01")
    before = bed.run("systemctl show -P MainPID virtdnsmasq@lab").stdout
    bed.run("systemctl kill --signal=KILL virtdnsmasq@lab")
    bed.wait(lambda: bed.run("systemctl show -P MainPID virtdnsmasq@lab").stdout not in (before, "0\n"))
    bed.wait(lambda: "10.77.0.10" in bed.run("ip netns exec guest2 busybox nslookup web.lab.lab 10.77.0.1", check=False).stdout)


def test_dnsmasq_that_stays_away_is_told(bed, client, networkd):
    network = define(client, networkd)
    network.Start(0, {})
    assert network.Warnings == []
    bed.run("systemctl stop virtdnsmasq@lab")
    [warning] = bed.wait(lambda: network.Warnings)
    assert "guests get no addresses and names" in warning and "systemctl status virtdnsmasq@lab.service" in warning
    network.Reconfigure("libvirt-xml", network.ExportDefinition("libvirt-xml", CONFIG), LIVE, {})
    assert network.Warnings == [] and bed.run("systemctl is-active virtdnsmasq@lab").stdout == "active\n"
    assert guest(bed, "br-lab")["router"] == "10.77.0.1"


def test_clashes(bed, client, networkd):
    first = define(client, networkd)
    with client.fails("NetworkExists", 'line 8, network/ip: it overlaps with the network "lab"'):
        define(client, networkd, "other", net=77)
    with client.fails("NetworkExists", '@name: "br-lab" is the bridge of the network "lab"'):
        define(client, networkd, "other", bridge="br-lab", net=78)
    bed.run("ip link add taken type bridge && ip addr add 10.77.0.250/24 dev taken && ip link set taken up")
    with client.fails("NetworkFailed", "the network 10.77.0.0/24 is in use: taken has the address 10.77.0.250/24"):
        first.Start(0, {})
    bed.run("ip addr del 10.77.0.250/24 dev taken; ip route add 10.77.0.0/25 dev taken")
    with client.fails("NetworkFailed", "in use: taken has a route to 10.77.0.0/25"):
        first.Start(0, {})
    bed.run("ip link del taken; ip link add br-lab type bridge")
    with client.fails("NetworkFailed", "there is a link br-lab already, which is not ours: a bridge"):
        first.Start(0, {})
    assert not first.Active and "virtbus" not in bed.run("nft list tables").stdout
    bed.run("ip link del br-lab")
    first.Start(0, {})
    with client.fails("InvalidState", "active already"):
        first.Start(0, {})
    missing = client.object("org.virtbus.network1", networkd.DefineNetwork(
        "libvirt-xml", "<network><name>host</name><forward mode='bridge'/><bridge name='nobridge'/></network>", 0, {}))
    with client.fails("NetworkFailed", "the host has no link nobridge"):
        missing.Start(0, {})


def test_what_is_left_out_is_chosen(bed, client, networkd):
    bed.run("ip link add taken type bridge && ip addr add 192.168.100.7/24 dev taken && ip link set taken up; ip link add virbr0 type bridge")
    xml = "<network><name>default</name><forward mode='nat'/><ip family='ipv4'><dhcp/></ip><ip family='ipv6'/></network>"
    network = client.object("org.virtbus.network1", networkd.DefineNetwork("libvirt-xml", xml, 0, {}))
    assert network.Bridge == "virbr1"
    text = network.ExportDefinition("libvirt-xml", 0)
    assert 'address="192.168.101.1"' in text and 'start="192.168.101.2" end="192.168.101.254"' in text and 'address="fd' in text
    bed.run("ip link del taken; ip link del virbr0")
    network.Start(0, {})
    network.Reconfigure("libvirt-xml", xml.replace("<ip family='ipv4'>", "<domain name='lab'/><ip family='ipv4'>"), LIVE | CONFIG, {})
    again = network.ExportDefinition("libvirt-xml", CONFIG)
    assert 'address="192.168.101.1"' in again and 'name="virbr1"' in again and network.Domain == "lab", "it keeps what it has"
    assert guest(bed, "virbr1")["address"].startswith("192.168.101.")
    bed.wait(lambda: " fd" in bed.run("ip -n guest1 -6 addr show dev eth0 scope global").stdout, what="an address by router advertisement")


def test_definitions(bed, client, networkd):
    network = define(client, networkd)
    assert "<!-- kept -->" in network.ExportDefinition("libvirt-xml", 0)
    assert bed.exists("/etc/virtbus/networks/lab.xml")
    network.SetAutostart(True, 0, {})
    bed.run("systemctl restart virtnetworkd")
    bed.wait(lambda: network.Active)
    assert network.Autostart
    network.Undefine(0, {})
    assert not network.Persistent and network.Active and not bed.exists("/etc/virtbus/networks/lab.xml")
    network.Stop(0, {})
    assert networkd.ListNetworks() == []
    with client.fails("NoSuchNetwork", 'no network is called "lab"'):
        networkd.GetNetwork("lab")
    bed.put("/etc/virtbus/networks/bad.xml", "<network><name>bad</name><ip address='1.2.3'/></network>")
    bed.run("systemctl restart virtnetworkd")
    [(name, mode, active, path)] = networkd.ListNetworks()
    assert (name, mode, active) == ("bad", "broken", False)
    assert '"1.2.3" is not valid' in client.object("org.virtbus.network1", path).Error
    assert bed.read("/etc/virtbus/networks/bad.xml").startswith("<network><name>bad"), "left as it is"
    define(client, networkd, "bad")
    assert networkd.ListNetworks()[0][1] == "nat"


def test_wishes_that_nobody_takes_are_told(bed, client, networkd):
    """A zone without firewalld, a domain to be registered without systemd-resolved: the network works, and the journal says it."""
    network = define(client, networkd)
    text = network.ExportDefinition("libvirt-xml", CONFIG).replace('name="br-lab"', 'name="br-lab" zone="home"').replace('localOnly="yes"', 'register="yes"')
    network.Reconfigure("libvirt-xml", text, CONFIG, {})
    network.Start(0, {})
    bed.wait(lambda: "firewalld does not put a bridge into its zone" in bed.journal("virtnetworkd"))
    bed.wait(lambda: "systemd-resolved does not take the domain" in bed.journal("virtnetworkd"))
    assert network.Active


def test_virtctl(bed, client, networkd):
    bed.put("/srv/network.xml", NAT.format(name="lab", mode="nat", bridge="br-lab", net=77))
    bed.run("virtctl define-network /srv/network.xml && virtctl enable-network lab && virtctl start-network lab")
    assert ["lab", "nat", "active"] in [line.split() for line in bed.run("virtctl networks").stdout.splitlines()]
    guest(bed, "br-lab", "guest2", mac="52:54:00:00:4d:01")
    lines = bed.wait(lambda: "10.77.0.10" in (said := bed.run("virtctl network-leases lab").stdout) and said).splitlines()
    assert lines[0].split() == ["ADDRESS", "MAC", "NAME", "EXPIRES"]
    assert re.fullmatch(r"10\.77\.0\.10 52:54:00:00:4d:01 web in (60|59)min", " ".join(lines[1].split())), lines
    [lease] = valid("network-leases", bed.run("virtctl network-leases lab --json=short").stdout)
    assert {"lab"} <= {n["name"] for n in valid("networks", bed.run("virtctl networks --json=pretty").stdout)}
    assert lease["address"] == "10.77.0.10" and lease["expires"] / 1e6 > time.time()
    assert "<!-- kept -->" in bed.run("virtctl cat-network lab").stdout
    refused = bed.run("virtctl stop-network lab", check=False)
    assert refused.returncode == 1 and "in use: guest2 is on its bridge" in refused.stderr and "give the flag 4 (force)" in refused.stderr
    assert bed.run("virtctl stop-network gone", check=False).returncode == 3
    elsewhere = bed.run("virtctl --user networks", user=USER, check=False)
    assert elsewhere.returncode == 5 and "leave out --user" in elsewhere.stderr
    bed.run("virtctl stop-network --force lab && virtctl disable-network lab && virtctl undefine-network lab")
    assert "lab" not in bed.run("virtctl networks").stdout


def test_who_may(bed, networkd):
    assert bed.run(f"busctl call {MANAGER} ListNetworks", user=USER).returncode == 0
    denied = bed.run(f"busctl call --allow-interactive-authorization=no {MANAGER} StartNetwork st x 0", user=USER, check=False)
    assert denied.returncode != 0 and "org.virtbus.network1.manage" in denied.stderr


def test_options_of_dnsmasq(bed, client, networkd):
    """They reach it, are warned of, and one that it does not know is told when the network is started."""
    space = "xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'"
    option = "<dnsmasq:options><dnsmasq:option value='{}'/></dnsmasq:options></network>"
    xml = NAT.format(name="lab", mode="nat", bridge="br-lab", net=77).replace("<network>", f"<network {space}>", 1)

    def defined(value):
        path = networkd.DefineNetwork("libvirt-xml", xml.replace("</network>", option.format(value)), 0, {})
        return client.object("org.virtbus.network1", path)
    network = defined("address=/kept.example/10.77.0.99")
    network.Start(0, {})
    assert network.Warnings == ["its dnsmasq has options of its own, which virtnetworkd knows nothing of: address"]
    guest(bed, "br-lab")
    assert "10.77.0.99" in bed.run("ip netns exec guest1 busybox nslookup kept.example 10.77.0.1", check=False).stdout
    bed.run("systemctl restart virtnetworkd")
    bed.wait(lambda: len(network.Warnings) == 1)
    network.Stop(FORCE, {})
    network = defined("no-such-option")
    with pytest.raises(BusError, match="dnsmasq"):
        network.Start(0, {})
    assert not network.Active and not bed.exists("/run/virtbus/network/lab") and not bed.exists("/sys/class/net/br-lab")
    network.Undefine(0, {})


def test_reload(bed, client, networkd):
    """What was written, changed and removed by hand; the network that is active goes on."""
    network = define(client, networkd)
    network.Start(0, {})
    define(client, networkd, "gone", net=78)
    bed.run("sed -i 's/10.77.0.10/10.77.0.11/' /etc/virtbus/networks/lab.xml; rm /etc/virtbus/networks/gone.xml;"
            "echo \"<network><name>new</name><forward mode='nat'/><ip address='10.79.0.1' prefix='24'/></network>\" > /etc/virtbus/networks/new.xml;"
            "echo '<network><name>bad</name>' > /etc/virtbus/networks/bad.xml")
    generation = network.ConfigGeneration
    bed.run("systemctl reload virtnetworkd")
    bed.wait(lambda: {n[0] for n in networkd.ListNetworks()} >= {"lab", "new", "bad"})
    listed = {n[0]: n[3] for n in networkd.ListNetworks()}
    assert "gone" not in listed and network.Active and network.ConfigGeneration == generation + 1
    assert "10.77.0.11" in network.ExportDefinition("libvirt-xml", CONFIG) and "10.77.0.10'" in network.ExportDefinition("libvirt-xml", LIVE).replace('"', "'")
    bad = client.object("org.virtbus.network1", listed["bad"])
    assert bad.Error
    bed.run("echo \"<network><name>bad</name><forward mode='nat'/><ip address='10.80.0.1' prefix='24'/></network>\" > /etc/virtbus/networks/bad.xml")
    bed.run("systemctl reload virtnetworkd")
    bed.wait(lambda: [n for n in networkd.ListNetworks() if n[0] == "bad" and n[3] != bad.path])
    bed.run("systemctl reload virtnetworkd")
    assert network.ConfigGeneration == generation + 1
    for name, _, _, path in networkd.ListNetworks():
        if name in ("new", "bad"):
            client.object("org.virtbus.network1", path).Undefine(0, {})
    network.Stop(0, {})
    network.Undefine(0, {})
