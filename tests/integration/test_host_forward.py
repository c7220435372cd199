# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ports of the host that lead to guests of virtual networks."""

import pytest
from gi.repository import Gio, GLib

from domains import CONFIG, FORCE, LIVE
from netbed import NAT, bed, client, define, guest, heard, kill, networkd, ping
from schema import valid

pytestmark = pytest.mark.host

SERVER = """import socket, sys
six = ":" in sys.argv[1]
s = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if six else socket.AF_INET, dualstack_ipv6=six)
while True:
    c, peer = s.accept()
    c.sendall(f"{sys.argv[3]} {peer[0]}\\n".encode())
    while c.recv(100):
        c.sendall(b"more\\n")
    c.close()
"""

TALK = """import socket, sys, time
c = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
c.settimeout(30)
f = c.makefile("r")
print(f.readline(), end="", flush=True)
for i in range(int(sys.argv[3])):
    time.sleep(0.1)
    c.sendall(b"x")
    assert f.readline() == "more\\n"
print("done", flush=True)
"""

# Busybox has no DHCPv6: Solicit with rapid commit, and the address out of the Reply.
DHCPV6 = """import socket, struct, sys
mac = bytes.fromhex(sys.argv[1].replace(":", ""))
option = lambda code, data: struct.pack("!HH", code, len(data)) + data
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
s.bind(("::", 546))
s.settimeout(1)
for i in range(25):
    try:
        s.sendto(bytes([1, 0, 0, 7]) + option(1, bytes([0, 3, 0, 1]) + mac) + option(3, struct.pack("!III", 1, 0, 0)) + option(14, b"") + option(8, bytes(2)),
                 ("ff02::1:2", 547, 0, socket.if_nametoindex("eth0")))
        reply = s.recv(2000)
        at = reply.index(struct.pack("!HH", 5, 24)) + 4
        print(socket.inet_ntop(socket.AF_INET6, reply[at:at + 16]))
        break
    except OSError:
        pass
"""


@pytest.fixture
def serve(bed):
    """Servers in guests: what they say is a word of theirs and who they are talking to."""
    running = []
    bed.put("/root/serve.py", SERVER)
    bed.put("/root/talk.py", TALK)

    def start(where, port, word, address="0.0.0.0"):
        running.append(f"serve-{where}-{port}")
        bed.run(f"systemd-run -q --collect --unit={running[-1]} ip netns exec {where} python3 /root/serve.py {address} {port} {word}")
    yield start
    for unit in running:
        bed.run(f"systemctl stop {unit}")


def ask(bed, address, port, where="outside", check=True):
    return bed.run(f"{f'ip netns exec {where} ' if where else ''}python3 /root/talk.py {address} {port} 0", check=check).stdout.split("\ndone")[0]


def hears(bed, said, *args, **kwargs):
    bed.wait(lambda: ask(bed, *args, check=False, **kwargs) == said, what=said)


def forwards(network):
    return [(proto, start, end, guest, to, bytes(address), device, [bytes(t) for t in targets])
            for proto, start, end, guest, to, address, device, targets in network.PortForwards]


WEB = bytes([10, 77, 0, 10])


def test_ports_lead_to_guests(bed, client, networkd, serve):
    """From outside, from the host, and from a neighbour; and everything else stays out."""
    network = define(client, networkd)
    network.Start(0, {})
    guest(bed, "br-lab", "guest-web", mac="52:54:00:00:4d:01")
    told = guest(bed, "br-lab", "guest-two")
    serve("guest-web", 80, "web")
    serve("guest-web", 81, "hidden")
    network.AddPortForward("tcp", 8080, 0, "web", 80, 0, {})
    assert forwards(network) == [("tcp", 8080, 8080, "web", 80, b"", "", [WEB])]
    hears(bed, "web 198.51.100.2", "198.51.100.1", 8080)
    hears(bed, "web 198.51.100.1", "198.51.100.1", 8080, where=None)
    hears(bed, "web 10.77.0.1", "198.51.100.1", 8080, where="guest-two")
    bed.run("ip -n outside route add 10.77.0.0/24 via 198.51.100.1")
    assert ask(bed, "10.77.0.10", 81, check=False) == "" and ask(bed, "10.77.0.10", 80, check=False) == "", "not past the host's address"
    bed.run("ip -n outside route del 10.77.0.0/24")
    # DNS of the network itself is not led away.
    network.AddPortForward("udp", 53, 0, told["address"], 0, 0, {})
    assert "10.77.0.10" in bed.run("ip netns exec guest-two busybox nslookup web.lab.lab 10.77.0.1").stdout
    with client.fails("InvalidDefinition", "its ports are also those of the one in line"):
        network.AddPortForward("tcp", 8000, 9000, told["address"], 0, 0, {})
    text = network.ExportDefinition("libvirt-xml", CONFIG)
    assert "<!-- kept -->" in text and '<virtbus:portForward proto="tcp" start="8080" guest="web" to="80"/>' in text
    assert 'xmlns:virtbus="https://virtbus.org/schemas/1.0"' in text
    # Open connections stay; new ones find nobody.
    with bed.popen("ip netns exec outside python3 /root/talk.py 198.51.100.1 8080 30 > /tmp/talk; sleep 0") as talk:
        bed.wait(lambda: bed.exists("/tmp/talk") and "web" in bed.read("/tmp/talk"))
        network.RemovePortForward("tcp", 8080, 0, {})
        assert ask(bed, "198.51.100.1", 8080, check=False) == ""
        talk.wait(60)
    assert bed.read("/tmp/talk").endswith("done\n")
    assert "8080" not in network.ExportDefinition("libvirt-xml", CONFIG)
    with client.fails("InvalidArgs", "forwards no ports from tcp 8080 on"):
        network.RemovePortForward("tcp", 8080, 0, {})


def test_they_follow_the_lease(bed, client, networkd, serve):
    network = define(client, networkd)
    network.Start(0, {})
    network.AddPortForward("tcp", 8000, 8001, "52:54:00:00:4d:22", 0, LIVE, {})
    assert forwards(network)[0][-1] == [] and "portForward" not in network.ExportDefinition("libvirt-xml", CONFIG)
    told = guest(bed, "br-lab", "guest-web", mac="52:54:00:00:4d:22")
    address = bytes(int(n) for n in told["address"].split("."))
    bed.wait(lambda: forwards(network)[0][-1] == [address])
    serve("guest-web", 8001, "second")
    hears(bed, "second 198.51.100.2", "198.51.100.1", 8001)
    # It gets an address of its own, and asks again.
    pid = bed.run("systemctl show -P MainPID virtdnsmasq@lab").stdout
    network.AddStaticHost("52:54:00:00:4d:22", bytes([10, 77, 0, 40]), 0, {"name": GLib.Variant("s", "mover")})
    assert ("52:54:00:00:4d:22", bytes([10, 77, 0, 40]), "mover") in [(c, bytes(a), n) for c, a, n in network.StaticHosts]
    assert forwards(network)[0][-1] == [bytes([10, 77, 0, 40])] and bed.run("systemctl show -P MainPID virtdnsmasq@lab").stdout == pid
    bed.run("ip -n guest-web addr flush dev eth0 scope global; ip netns exec guest-web busybox udhcpc -i eth0 -f -n -q -t 8 -T 1 -s /root/udhcpc.script")
    hears(bed, "second 198.51.100.2", "198.51.100.1", 8001)
    network.RemoveStaticHost("", b"", 0, {"name": GLib.Variant("s", "mover")})
    assert "mover" not in network.ExportDefinition("libvirt-xml", CONFIG)
    with client.fails("InvalidArgs", "has no such host"):
        network.RemoveStaticHost("52:54:00:00:4d:22", b"", 0, {})
    with client.fails("InvalidArgs", "10.1.2.3 is in no <ip> of the network lab"):
        network.AddStaticHost("52:54:00:00:4d:23", bytes([10, 1, 2, 3]), 0, {})
    with client.fails("InvalidArgs", '"52:54" is not valid for mac'):
        network.AddStaticHost("52:54", bytes([10, 77, 0, 41]), 0, {})


def test_restarts_leave_them(bed, client, networkd, serve):
    """kill -9 of daemon and dnsmasq while a connection through NAT is talking, and one through a forwarded port."""
    network = define(client, networkd)
    network.Start(0, {})
    other = define(client, networkd, "other", net=78)
    other.Start(0, {})
    guest(bed, "br-lab", "guest-web", mac="52:54:00:00:4d:22")
    serve("guest-web", 80, "web")
    serve("outside", 7000, "outside")
    network.AddPortForward("tcp", 8080, 0, "52:54:00:00:4d:22", 80, 0, {})
    bed.wait(lambda: forwards(network)[0][-1])
    rules = bed.run("nft list table inet virtbus").stdout
    bed.run("rm -f /tmp/talk-in /tmp/talk-out")
    with bed.popen("ip netns exec outside python3 /root/talk.py 198.51.100.1 8080 40 > /tmp/talk-in; sleep 0") as inward, \
         bed.popen("ip netns exec guest-web python3 /root/talk.py 198.51.100.2 7000 40 > /tmp/talk-out; sleep 0") as outward:
        bed.wait(lambda: bed.exists("/tmp/talk-in") and bed.exists("/tmp/talk-out") and "web" in bed.read("/tmp/talk-in") and
                 "outside 198.51.100.1" in bed.read("/tmp/talk-out"))
        for daemon in ("virtnetworkd", "virtdnsmasq@lab", "virtnetworkd"):
            kill(bed, daemon)
            assert network.Active and bed.run("nft list table inet virtbus").stdout == rules
        inward.wait(60)
        outward.wait(60)
    assert bed.read("/tmp/talk-in").endswith("done\n") and bed.read("/tmp/talk-out").endswith("done\n")
    with client.fails("NetworkExists", 'its ports lead into the network "lab" already'):
        other.AddPortForward("tcp", 8080, 0, "10.78.0.5", 0, 0, {})


def test_a_network_that_is_neither_active_nor_on_disk(bed, client, networkd):
    """A transient one while it is being started: there is nothing to change yet, which is said."""
    xml = NAT.format(name="passing", mode="nat", bridge="br-pass", net=78).replace(
        "<name>", "<uuid>6a1f0c52-8d0b-4f39-9a43-0b2d9d1f7c11</uuid><name>")
    path = "/org/virtbus/network1/network/6a1f0c528d0b4f399a430b2d9d1f7c11"
    slow = "/run/systemd/system/virtdnsmasq@.service.d/slow.conf"
    bed.run(f"mkdir -p $(dirname {slow})")
    bed.put(slow, "[Service]\nExecStartPre=/bin/sh -c 'until [ -e /run/go-on ]; do sleep 0.05; done'\n")
    bed.run("systemctl daemon-reload")
    client.connection.call("org.virtbus.network1", "/org/virtbus/network1", "org.virtbus.network1.Manager", "StartTransient",
                           GLib.Variant("(ssta{sv})", ("libvirt-xml", xml, 0, {})), None, Gio.DBusCallFlags.NONE, -1, None, None)
    bed.wait(lambda: path in [p for *_, p in networkd.ListNetworks()])
    network = client.object("org.virtbus.network1", path)
    with client.fails("Busy", "passing is being started or stopped"):
        network.AddPortForward("tcp", 8080, 0, "10.78.0.5", 0, 0, {})
    bed.run(f"touch /run/go-on && rm -r $(dirname {slow}) && systemctl daemon-reload")
    bed.wait(lambda: network.Active)
    network.AddPortForward("tcp", 8080, 0, "10.78.0.5", 0, 0, {})


def test_virtctl(bed, client, networkd, serve):
    define(client, networkd).Start(0, {})
    guest(bed, "br-lab", "guest-web", mac="52:54:00:00:4d:01")
    serve("guest-web", 80, "web")
    assert "0 port forwards listed" in bed.run("virtctl port-forwards lab").stdout
    bed.run("virtctl add-port-forward lab 8080 web:80 && virtctl add-port-forward lab udp:5000-5010 52:54:00:00:4d:99:6000")
    hears(bed, "web 198.51.100.2", "198.51.100.1", 8080)
    lines = bed.run("virtctl port-forwards lab").stdout.splitlines()
    assert [" ".join(line.split()) for line in lines[:3]] == [
        "HOST GUEST ADDRESS", "tcp:8080 web port 80 10.77.0.10", "udp:5000-5010 52:54:00:00:4d:99 port 6000-6010 not there"]
    assert valid("port-forwards", bed.run("virtctl port-forwards lab --json=short").stdout)[0]["targets"] == ["10.77.0.10"]
    bed.run("virtctl remove-port-forward lab 8080")
    assert ask(bed, "198.51.100.1", 8080, check=False) == ""
    bed.run("virtctl add-host lab 52:54:00:00:4d:99 10.77.0.77 late")
    assert "10.77.0.77" in bed.run("virtctl port-forwards lab").stdout
    bed.run("virtctl remove-host lab late")
    for wrong in ("0 web", "http web", "tcp:80-x web", "80 [fd00::1", "80 web:0"):
        refused = bed.run(f"virtctl add-port-forward lab {wrong}", check=False)
        assert refused.returncode == 2 and "virtctl: " in refused.stderr, wrong


def test_ipv6(bed, client, networkd, serve):
    """DHCPv6 with NAT, and a port that leads to the same guest over both."""
    xml = """<network><name>six</name><forward mode='nat'><nat ipv6='yes'/></forward><bridge name='br-six' stp='off'/><domain name='six.lab'/>
      <ip address='10.79.0.1' prefix='24'><dhcp><range start='10.79.0.100' end='10.79.0.200'/></dhcp></ip>
      <ip family='ipv6' address='fd00:79::1' prefix='64'><dhcp><range start='fd00:79::100' end='fd00:79::1ff'/></dhcp></ip></network>"""
    bed.run("ip addr add fd00:51::1/64 dev uplink nodad; ip -n outside addr add fd00:51::2/64 dev eth0 nodad")
    network = client.object("org.virtbus.network1", networkd.DefineNetwork("libvirt-xml", xml, 0, {}))
    network.Start(0, {})
    guest(bed, "br-six", "guest-web", mac="52:54:00:00:4f:01")
    bed.wait(lambda: "fe80" in bed.run("ip -n guest-web -6 addr show dev eth0 scope link -tentative").stdout)
    bed.put("/root/dhcpv6.py", DHCPV6)
    address = bed.run("ip netns exec guest-web python3 /root/dhcpv6.py 52:54:00:00:4f:01").stdout.strip()
    bed.run(f"ip -n guest-web addr add {address}/64 dev eth0 nodad")
    leases = bed.wait(lambda: [(mac, bytes(a)) for mac, a, *_ in network.Leases if len(a) == 16])
    assert leases[0][0] == "52:54:00:00:4f:01" and leases[0][1].hex().startswith("fd000079000000000000000000000")
    bed.wait(lambda: "default" in bed.run("ip -n guest-web -6 route").stdout, what="a router that advertises itself")
    serve("guest-web", 80, "web", address="::")
    network.AddPortForward("tcp", 8080, 0, "52:54:00:00:4f:01", 80, 0, {})
    assert [len(t) for t in forwards(network)[0][-1]] == [4, 16]
    hears(bed, "web fd00:51::2", "fd00:51::1", 8080)
    hears(bed, "web ::ffff:198.51.100.2", "198.51.100.1", 8080)
    serve("outside", 7006, "outside", address="::")
    hears(bed, "outside fd00:51::1", "fd00:51::2", 7006, where="guest-web")
    network.Stop(FORCE, {})
    bed.run("ip addr del fd00:51::1/64 dev uplink")
