# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests of virtnetworkd have in common: the host with a network around it, networks, guests' ends of them, and VMs."""

import pytest
from gi.repository import GLib

import domains
from domains import FORCE
from steps import accidents_of

MANAGER = "org.virtbus.network1 /org/virtbus/network1 org.virtbus.network1.Manager"

NAT = """<network>
  <name>{name}</name>
  <!-- kept -->
  <forward mode='{mode}'/>
  <bridge name='{bridge}' stp='off'/>
  <domain name='{name}.lab' localOnly='yes'/>
  <dns><host ip='10.{net}.0.99'><hostname>gate</hostname></host></dns>
  <ip address='10.{net}.0.1' prefix='24'>
    <dhcp>
      <range start='10.{net}.0.100' end='10.{net}.0.200'/>
      <host mac='52:54:00:00:{net:02x}:01' name='web' ip='10.{net}.0.10'/>
    </dhcp>
  </ip>
</network>
"""


NIC = """<interface type='network'>
  <mac address='52:54:00:00:4d:01'/><source network='lab'/><model type='virtio'/>
</interface>"""


@pytest.fixture(scope="module")
def bed(installed):
    """A host outside: 198.51.100.2 in a namespace, on the other end of "uplink"."""
    installed.run("systemctl enable --now virtnetworkd.socket; ip netns add outside && ip link add uplink type veth peer name eth0 netns outside && "
                  "ip addr add 198.51.100.1/24 dev uplink && ip link set uplink up && "
                  "ip -n outside addr add 198.51.100.2/24 dev eth0 && ip -n outside link set eth0 up && ip -n outside link set lo up")
    yield installed
    installed.run("ip link del uplink; ip netns del outside")


@pytest.fixture
def client(bed):
    client = bed.bus()
    yield client
    client.close()


@pytest.fixture
def networkd(bed, client):
    manager = client.object("org.virtbus.network1", "/org/virtbus/network1")
    yield manager
    for name, _, active, path in manager.ListNetworks():
        network = client.object("org.virtbus.network1", path)
        if active:
            network.Stop(FORCE, {})
        if name in [n for n, *_ in manager.ListNetworks()]:
            network.Undefine(0, {})
    assert "virtbus" not in bed.run("nft list tables").stdout
    assert bed.run("ip -br link show type bridge").stdout == ""
    assert bed.run("systemctl list-units --no-legend --state=active 'virtdnsmasq@*'").stdout == ""
    bed.run("rm -f /var/lib/virtbus-dnsmasq/*/leases")
    bed.run("for n in $(ip netns list | awk '{print $1}' | grep guest); do ip netns del $n; done")


def define(client, networkd, name="lab", mode="nat", bridge=None, net=77):
    xml = NAT.format(name=name, mode=mode, bridge=bridge or f"br-{name}", net=net)
    if mode == "isolated":
        xml = xml.replace("  <forward mode='isolated'/>\n", "")
    return client.object("org.virtbus.network1", networkd.DefineNetwork("libvirt-xml", xml, 0, {}))


DHCP_SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface
[ -z "$router" ] || ip route add default via $router
echo "address=$ip router=$router dns=$dns domain=$domain"
"""


def guest(bed, bridge, name="guest1", mac=None):
    """A namespace on the bridge, as a VM would be; returns what DHCP told it."""
    bed.put("/root/udhcpc.script", DHCP_SCRIPT, mode=0o755)
    bed.run(f"ip netns add {name} && ip link add {name} type veth peer name eth0 netns {name} && ip link set {name} master {bridge} up && "
            f"ip -n {name} link set eth0 {f'address {mac} ' if mac else ''}up && ip -n {name} link set lo up")
    said = bed.run(f"ip netns exec {name} busybox udhcpc -i eth0 -f -n -q -t 40 -T 1 -s /root/udhcpc.script", timeout=60).stdout
    return dict(word.split("=") for word in said.split() if "=" in word)


@pytest.fixture
def accidents(bed):
    with accidents_of(bed, "virtnetworkd", "network") as a:
        yield a


@pytest.fixture
def vms(bed, client, guest_image):
    """Defines domains; ends and undefines them."""
    made = []
    bed.put("/srv/kernel", open(guest_image.kernel, "rb").read())
    bed.put("/srv/initrd", open(guest_image.initrd, "rb").read())
    bed.run("systemctl enable --now virtqemud.socket")

    manager = client.object("org.virtbus.qemu1", "/org/virtbus/qemu1")

    def define(xml):
        made.append(client.object("org.virtbus.qemu1", manager.DefineDomain(domains.FORMAT, xml, 0, {})))
        return made[-1]

    yield define
    for domain in made:
        if domain.State != "shutoff":
            domain.Terminate(0, {})
        domain.Undefine(0, {})


def heard(client, signal):
    client.pump()
    return [s for s in client.signals if s.name == signal]


def ping(bed, name, address, check=True):
    """With check=False nobody is to answer."""
    return bed.run(f"ip netns exec {name} busybox ping -c 1 -W {20 if check else 2} {address}", check=check).returncode == 0


def kill(bed, daemon="virtnetworkd"):
    """Returns when the next one is there."""
    bed.kill(daemon)
    bed.wait(lambda: bed.run(f"systemctl show -P MainPID {daemon}").stdout != "0\n")


def port(**values):
    types = {"mac": "ay", "domain": "s", "portgroup": "s", "queues": "u"}
    return {k: GLib.Variant(types[k], v) for k, v in values.items()}
