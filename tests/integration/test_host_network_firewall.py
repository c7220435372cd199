# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks beside firewalls of others: firewalld, and chains that drop what guests send."""

import time

import pytest

from domains import CONFIG, FORCE
from netbed import bed, client, define, guest, kill, networkd, ping  # noqa: F401

pytestmark = pytest.mark.host

def test_firewalld(bed, client, networkd):
    """Bridges are in a zone of firewalld in which networks work, however often that forgets."""
    if not bed.exists("/usr/sbin/firewalld"):
        pytest.skip("firewalld is not installed")
    network = define(client, networkd)
    network.Start(0, {})
    bed.run("ip route add default via 198.51.100.2 dev uplink; systemctl unmask firewalld; systemctl start firewalld", timeout=60)

    def works(name):
        bed.wait(lambda: bed.run("firewall-cmd --get-zone-of-interface=br-lab", check=False).stdout == "virtbus\n", timeout=30)
        assert guest(bed, "br-lab", name)["router"] == "10.77.0.1"
        assert ping(bed, name, "198.51.100.2") and "10.77.0.99" in bed.run(f"ip netns exec {name} busybox nslookup gate 10.77.0.1").stdout
        assert bed.run(f"ip netns exec {name} busybox nc -w 2 10.77.0.1 22 </dev/null", check=False).returncode != 0
        bed.wait(lambda: network.Warnings == [])

    works("guest1")
    bed.run("firewall-cmd --reload", timeout=60)
    works("guest2")
    bed.run("systemctl restart firewalld", timeout=60)
    works("guest3")
    network.Stop(FORCE, {})
    odd = network.ExportDefinition("libvirt-xml", CONFIG).replace('name="br-lab"', 'name="br-lab" zone="nowhere"')
    network.Reconfigure("libvirt-xml", odd, CONFIG, {})
    network.Start(0, {})
    bed.wait(lambda: "INVALID_ZONE" in bed.journal("virtnetworkd"))
    bed.run("systemctl stop firewalld; ip route del default", timeout=60)


DOCKER = """table ip filter {
    chain DOCKER-USER { }
    chain DOCKER-FORWARD { ct state established,related oifname "docker0" accept
        iifname "docker0" oifname != "docker0" accept; }
    chain FORWARD { type filter hook forward priority filter; policy drop;
        jump DOCKER-USER; jump DOCKER-FORWARD; }
}"""
ADMIN = """table inet fw {
    set inside { type ifname; elements = { "lan0", "uplink" } }
    chain input { type filter hook input priority filter; policy drop;
        ct state vmap { established : accept, related : accept, invalid : drop }
        iif lo accept
        iifname @inside tcp dport { 22, 80 } accept
        icmp type echo-request accept
        log prefix "no " counter reject; }
    chain forward { type filter hook forward priority filter; policy accept;
        ip saddr 10.0.0.0/8 ip daddr 192.0.2.0/24 drop
        iifname "br-lab" counter accept; }
}"""
UFW = """table ip filter {
    chain ufw-user-forward { }
    chain ufw-before-forward { ct state related,established accept
        icmp type echo-request accept; }
    chain FORWARD { type filter hook forward priority filter; policy drop;
        jump ufw-before-forward; jump ufw-user-forward; }
}"""
HARMLESS = """table ip filter {
    chain FORWARD { type filter hook forward priority filter; policy drop;
        meta mark 7 accept; }
    chain other { drop; }
}
table inet zone { chain f { type filter hook forward priority 5; policy accept;
        iifname "vpn*" goto deny; oifname { "wg0", "wg1" } drop; ct state invalid drop; }
    chain deny { drop; }
}"""


def test_chains_of_others_are_told(bed, client, networkd):
    """A packet that somebody else's chain drops is lost whatever our rules say: told with what mends it, until it is mended."""
    bed.run("ip route add default via 198.51.100.2 dev uplink")
    network = define(client, networkd)
    network.Start(0, {})
    guest(bed, "br-lab")
    assert ping(bed, "guest1", "198.51.100.2")

    def load(text):
        bed.put("/root/rules.nft", text)
        bed.run("nft -f /root/rules.nft")

    load(DOCKER)
    assert not ping(bed, "guest1", "198.51.100.2", check=False)
    [told] = bed.wait(lambda: network.Warnings)
    assert told.startswith("the chain FORWARD of the table ip filter, which is not ours, drops what guests send to other networks, and the answers to guests")
    assert told in bed.journal("virtnetworkd").replace("network lab: ", "")
    bed.run(told.split("let it pass with: ")[1])
    assert "DOCKER-USER" in told and ping(bed, "guest1", "198.51.100.2")
    bed.wait(lambda: network.Warnings == [])
    bed.run("nft delete table ip filter")

    load(ADMIN)
    [told] = bed.wait(lambda: network.Warnings)
    assert "the chain input of the table inet fw, which is not ours, drops what guests ask of DHCP, and what guests ask of DNS" in told
    bed.run(told.split("let it pass with: ")[1])
    bed.wait(lambda: network.Warnings == [])
    assert "10.77.0.99" in bed.run("ip netns exec guest1 busybox nslookup gate 10.77.0.1").stdout
    bed.run("nft delete table inet fw")

    load(UFW)
    [told] = bed.wait(lambda: network.Warnings)
    assert "drops what guests send to other networks; let it pass with: ufw route allow in on br-lab" in told and "answers" not in told
    # Told anew by a daemon that finds it.
    kill(bed)
    assert bed.wait(lambda: network.Warnings) == [told]
    bed.run("nft delete table ip filter")
    bed.wait(lambda: network.Warnings == [])

    # What may pass is nobody's business, and neither are chains that are not for us.
    load(HARMLESS)
    time.sleep(3)
    assert network.Warnings == []
    bed.run("nft delete table ip filter; nft delete table inet zone; ip route del default")
