# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtnetworkd as it is installed, with a network of its own around it: a guest's end of each bridge, and a host outside."""

import os
import re
import signal
import threading
import time

import pytest
from gi.repository import Gio, GLib

import domains
from bus import BusError
from domains import CONFIG, FORCE, LIVE, console, guest_xml, tiny_xml
from host import USER
from netbed import MANAGER, NAT, accidents, bed, client, define, guest, heard, kill, networkd, ping, port  # noqa: F401
from schema import valid
from steps import TABLES, accidents_of, die_at_each, fail_each, until_equal

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
    bed.run(f"ip -n guest-qu route add default via 10.82.0.1")
    assert ping(bed, "guest-ro", "198.51.100.2") and ping(bed, "outside", told["routed"]["address"])
    assert not ping(bed, "guest-qu", "198.51.100.2", check=False) and not ping(bed, "outside", told["quiet"]["address"], check=False)
    assert ping(bed, "guest-be", told["routed"]["address"]), "both allow it"
    assert not ping(bed, "guest-be", told["quiet"]["address"], check=False)
    assert not ping(bed, "guest-qu", told["routed"]["address"], check=False)
    assert not ping(bed, "guest-ro", told["behind"]["address"], check=False)
    bed.run("ip -n outside route del 10.81.0.0/24; ip -n outside route del 10.82.0.0/24")


def test_restarts_are_not_noticed(bed, client, networkd):
    """kill -9 under traffic; and what somebody takes away meanwhile is put back."""
    network = define(client, networkd)
    network.Start(0, {})
    networkd.StartTransient("libvirt-xml", NAT.format(name="passing", mode="nat", bridge="br-pass", net=78).replace("web", "db"), 0, {})
    guest(bed, "br-lab")
    index = network.IfIndex
    rules = bed.run("nft list table inet virtbus").stdout
    bed.run("ip netns exec guest1 busybox ping -i 0.05 -c 60 198.51.100.2 >/tmp/ping 2>&1 & echo started")
    kill(bed)
    assert network.Active and network.IfIndex == index
    assert sorted((n, a) for n, _, a, _ in networkd.ListNetworks() if n != "default") == [("lab", True), ("passing", True)]
    assert bed.run("nft list table inet virtbus").stdout == rules
    bed.wait(lambda: bed.exists("/tmp/ping") and "60 packets" in bed.read("/tmp/ping"))
    assert " 0% packet loss" in bed.read("/tmp/ping")
    bed.run("systemctl stop virtnetworkd.service; nft flush ruleset; ip addr del 10.77.0.1/24 dev br-lab; systemctl stop virtdnsmasq@lab")
    assert network.Active
    assert bed.run("nft list table inet virtbus").stdout == rules and "10.77.0.1/24" in bed.run("ip addr show br-lab").stdout
    bed.wait(lambda: bed.run("systemctl is-active virtdnsmasq@lab", check=False).stdout == "active\n")
    # Also while it runs.
    bed.run("nft flush ruleset")
    bed.wait(lambda: bed.run("nft list table inet virtbus", check=False).stdout == rules)
    bed.wait(lambda: "they are put back" in bed.journal("virtnetworkd"))
    networkd.StopNetwork("passing", 0)
    assert "passing" not in [n for n, *_ in networkd.ListNetworks()]


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


@pytest.mark.parametrize("change", ("define", "undefine"))
def test_a_definition_that_others_change_meanwhile(bed, client, networkd, change):
    """What is active and what is on disk change as one; a newer definition that comes in between is the one that stays."""
    network = define(client, networkd)
    network.Start(0, {})
    bed.put("/run/systemd/system/virtdnsmasq@lab.service.d/slow.conf", "[Service]\nExecReload=\nExecReload=/bin/sh -c 'until [ -e /run/go ]; do sleep 0.05; done'\n")
    bed.run("systemctl daemon-reload")
    before = network.ExportDefinition("libvirt-xml", CONFIG)
    done = []

    def add():
        other = bed.bus()
        other.object("org.virtbus.network1", network.path).AddStaticHost("52:54:00:00:4d:22", bytes([10, 77, 0, 40]), LIVE | CONFIG, {})
        done.append(True)
        other.close()
    waiting = threading.Thread(target=add)
    waiting.start()
    bed.wait(lambda: "52:54:00:00:4d:22" in bed.read("/run/virtbus/network/lab/dhcp-hosts"))
    assert not done
    if change == "define":
        networkd.DefineNetwork("libvirt-xml", before.replace("gate", "newest"), 0, {})
    else:
        network.Undefine(0, {})
    bed.run("touch /run/go")
    waiting.join(60)
    assert done
    if change == "define":
        text = network.ExportDefinition("libvirt-xml", CONFIG)
        assert "newest" in text and "gate" not in text and "52:54:00:00:4d:22" not in text
    else:
        assert not network.Persistent and not bed.exists("/etc/virtbus/networks/lab.xml")
    assert "52:54:00:00:4d:22" in network.ExportDefinition("libvirt-xml", LIVE)
    bed.run("rm -r /run/go /run/systemd/system/virtdnsmasq@lab.service.d; systemctl daemon-reload")
    network.Stop(FORCE, {})


def test_ports_while_the_network_comes_and_goes(bed, client, networkd):
    """Guests that start at the same time want the same network; and one that is being stopped is no place for a guest."""
    network = define(client, networkd)
    bed.put("/run/systemd/system/virtdnsmasq@lab.service.d/slow.conf", "[Service]\nExecStartPre=/bin/sleep 1\n"
            "ExecStop=/bin/sh -c 'until [ -e /run/go ]; do sleep 0.05; done'\n")
    bed.run("systemctl daemon-reload")
    got = []

    def attach(number):
        other = bed.bus()
        got.append(other.object("org.virtbus.network1", network.path).AttachPort(port(mac=bytes([0x52, 0x54, 0, 0, 0x4d, number])), 0, {}))
        other.close()

    def at_once(*numbers):
        threads = [threading.Thread(target=attach, args=(n,)) for n in numbers]
        for t in threads:
            t.start()
            time.sleep(0.2)
        return threads
    for t in at_once(1, 2, 3):
        t.join(60)
    assert sorted(network.Ports) == sorted(name for name, _ in got) and len(got) == 3
    for _, queues in got:
        queues[0].close()
    got.clear()
    bed.wait(lambda: network.Ports == [])
    client.connection.call("org.virtbus.network1", network.path, "org.virtbus.network1.Network", "Stop",
                           GLib.Variant("(ta{sv})", (0, {})), None, 0, -1, None)
    bed.wait(lambda: bed.run("systemctl is-active virtdnsmasq@lab", check=False).stdout == "deactivating\n")
    [waiting] = at_once(4)
    bed.run("touch /run/go")
    waiting.join(60)
    [(name, queues)] = got
    assert network.Active and network.Ports == [name] and f"master {network.Bridge}" in bed.run(f"ip link show {name}").stdout
    queues[0].close()
    bed.run("rm -r /run/go /run/systemd/system/virtdnsmasq@lab.service.d; systemctl daemon-reload")
    network.Stop(FORCE, {})


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


def test_stopped_while_it_is_taken_up(bed, client, networkd):
    """virtnetworkd has come back, and systemd has not told it yet that dnsmasq runs: who stops the network waits for that."""
    network = define(client, networkd)
    network.Start(0, {})
    bed.put("/run/systemd/system/slow.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'until [ -e /run/go ]; do sleep 0.05; done'\n")
    bed.put("/run/systemd/system/virtdnsmasq@lab.service.d/slow.conf", "[Unit]\nAfter=slow.service\n")
    bed.run("systemctl daemon-reload && systemctl start --no-block slow")
    kill(bed)
    assert network.Active
    bed.wait(lambda: "virtdnsmasq@lab" in bed.run("systemctl list-jobs").stdout)
    client.connection.call("org.virtbus.network1", network.path, "org.virtbus.network1.Network", "Stop",
                           GLib.Variant("(ta{sv})", (0, {})), None, 0, -1, None)
    assert network.Active
    bed.run("touch /run/go")
    bed.wait(lambda: not network.Active)
    bed.run("rm -r /run/go /run/systemd/system/slow.service /run/systemd/system/virtdnsmasq@lab.service.d; systemctl daemon-reload")


def test_systemd_that_is_executed_anew(bed, client, networkd):
    """What systemd was asked for while it was away from the bus it is asked for again."""
    network = define(client, networkd)
    with bed.popen("for n in 1 2 3 4 5 6; do systemctl daemon-reexec; sleep 0.3; done") as reexec:
        while reexec.poll() is None:
            network.Start(0, {}, timeout=60)
            assert bed.run("systemctl is-active virtdnsmasq@lab", check=False).stdout != "inactive\n"
            network.Stop(0, {}, timeout=60)
    bed.wait(lambda: bed.run("systemctl is-active virtdnsmasq@lab", check=False).stdout == "inactive\n")
    assert not network.Active


def test_systemd_that_is_executed_anew_before_it_answers(bed, client, networkd):
    """It says that a unit has changed, and then not how it is: that is not its end."""
    network = define(client, networkd)
    network.Start(0, {})
    daemon, before = client.owner_pid("org.virtbus.network1"), bed.run("systemctl show -P MainPID virtdnsmasq@lab").stdout
    again = Gio.DBusMessage.new_method_call("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "Reexecute")
    bed.run(f"kill -STOP {daemon}; systemctl kill --signal=KILL virtdnsmasq@lab")
    bed.wait(lambda: bed.run("systemctl show -P MainPID virtdnsmasq@lab").stdout not in (before, "0\n"))
    os.kill(bed.pid, signal.SIGSTOP)
    try:
        client.connection.send_message(again, Gio.DBusSendMessageFlags.NONE)
        client.connection.flush_sync()
        bed.run(f"kill -CONT {daemon}")
        assert network.Active    # it has heard of the change, and asked what it is
    finally:
        os.kill(bed.pid, signal.SIGCONT)
    bed.wait(lambda: bed.run("systemctl is-active virtdnsmasq@lab", check=False).stdout == "active\n")
    assert network.Warnings == []
    bed.run("systemctl stop virtdnsmasq@lab")
    assert bed.wait(lambda: network.Warnings)


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


NIC = """<interface type='network'>
  <mac address='52:54:00:00:4d:01'/><source network='lab'/><model type='virtio'/>
</interface>"""
BRIDGED = "<interface type='bridge'><source bridge='{}'/><driver queues='4'/><model type='virtio'/></interface>"


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


def test_who_may(bed, networkd):
    assert bed.run(f"busctl call {MANAGER} ListNetworks", user=USER).returncode == 0
    denied = bed.run(f"busctl call --allow-interactive-authorization=no {MANAGER} StartNetwork st x 0", user=USER, check=False)
    assert denied.returncode != 0 and "org.virtbus.network1.manage" in denied.stderr


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
