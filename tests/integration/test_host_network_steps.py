# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each step of what is done with a network, and of a VM with all that only a host has, fails once, or is virtnetworkd's last."""

import pytest

from domains import tiny_xml
from netbed import accidents, bed, client, define, networkd, vms  # noqa: F401
from steps import TABLES, accidents_of, die_at_each, fail_each, until_equal

pytestmark = pytest.mark.host

EVERYTHING = ("ip -br addr; ip -br link show type bridge | cut -d' ' -f1; ip route; nft -s list ruleset; ls -AR /run/virtbus/network;"
              "systemctl list-units --all --plain --no-legend 'virtdnsmasq@*'; pgrep -c dnsmasq")


def test_each_step_of_a_start(bed, client, networkd, accidents):
    """Each fails, and nothing is left. virtnetworkd dies at each, and the next one goes on with it."""
    network = define(client, networkd)

    def look():
        return network.Active, network.IfIndex > 0, bed.run(EVERYTHING, check=False).stdout.splitlines()
    network.Start(0, {})
    active = look()
    network.Stop(0, {})
    nothing = look()
    fail_each(accidents, "network-start", lambda: network.Start(0, {}), look, back=lambda: network.Stop(0, {}))

    def is_finished(what):
        if what != "network-start note dies":    # that is where it begins
            until_equal(look, active, what)
            network.Stop(0, {})
        until_equal(look, nothing, what)
    die_at_each(accidents, "network-start", lambda: network.Start(0, {}), is_finished)
    assert {t for t in TABLES if t.startswith("network-")} == {"network-start", "network-stop"}, "a new one needs a test here"


def test_each_step_of_a_stop(bed, client, networkd, accidents):
    """It comes to its end whatever fails: guests can't be given back what they have lost. If virtnetworkd dies the network is up again."""
    network = define(client, networkd)
    network.Start(0, {})

    def look():
        return network.Active, network.IfIndex > 0, bed.run(EVERYTHING, check=False).stdout.splitlines()
    active = look()

    def stop():
        network.Stop(0, {})
        assert not network.Active and not bed.exists("/sys/class/net/br-lab") and "virtbus" not in bed.run("nft list tables").stdout
    fail_each(accidents, "network-stop", stop, look, forward=set(TABLES["network-stop"]), back=lambda: network.Start(0, {}))
    die_at_each(accidents, "network-stop", lambda: network.Stop(0, {}), lambda what: until_equal(look, active, what))


def test_each_step_of_a_vm(bed, client, networkd, vms):
    """With all that only a host has: a unit with limits, a port of a network, a volume of a pool, a name at machined. Who has asked for the start is told:
    the unit is none that has failed."""
    network = define(client, networkd)
    network.Start(0, {})
    storaged = client.object("org.virtbus.storage1", "/org/virtbus/storage1")
    bed.run("mkdir /srv/steps")
    bed.put("/run/systemd/system/virtqemu@.service.d/steps.conf", "[Unit]\nStartLimitIntervalSec=0\n")
    pool = client.object("org.virtbus.storage1", storaged.DefinePool(
        "libvirt-xml", "<pool type='dir'><name>steps</name><target><path>/srv/steps</path></target></pool>", 0, {}), "org.virtbus.storage1.Pool")
    pool.Start(0, {})
    volume = client.object("org.virtbus.storage1", pool.CreateVolume("v", 1 << 20, 0, {})[0])
    disk = "<disk type='volume' device='disk'><source pool='steps' volume='v'/><target dev='vda' bus='virtio'/></disk>"
    domain = vms(tiny_xml("web", "<interface type='network'><source network='lab'/></interface>" + disk, extra="<cputune><shares>250</shares></cputune>"))
    leases = client.object("org.virtbus.lock1", "/org/virtbus/lock1")
    shown = "grep . /sys/class/net/*/address; tc qdisc; ls -AR /run/virtbus/qemu; pgrep -c qemu-system;" \
            "systemctl list-units --plain --no-legend --state=active,activating,deactivating,failed 'virtqemu*@*'; machinectl list --no-legend"

    def look():
        return domain.State, network.Ports, volume.UsedBy, leases.ListLeases(""), bed.run(shown, check=False).stdout.splitlines()
    domain.Start(0, {}, timeout=60)
    domain.Terminate(0, {})
    with accidents_of(bed, "virtqemud", "qemu") as accidents:
        fail_each(accidents, "start", lambda: domain.Start(0, {}, timeout=60), look, back=lambda: domain.Terminate(0, {}), whens=["done"])
    pool.Stop(0, {})
    pool.Undefine(0, {})
    bed.run("rm -r /srv/steps /run/systemd/system/virtqemu@.service.d")
