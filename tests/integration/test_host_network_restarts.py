# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks while virtnetworkd, dnsmasq or systemd is away, or several want something of one at once."""

import os
import signal
import threading
import time

import pytest
from gi.repository import Gio, GLib

from domains import CONFIG, FORCE, LIVE
from netbed import NAT, bed, client, define, guest, kill, networkd, port  # noqa: F401

pytestmark = pytest.mark.host

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
