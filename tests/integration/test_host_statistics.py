# SPDX-License-Identifier: LGPL-2.1-or-later
"""Statistics under a real systemd: of units and of taps; and virtbus-metrics started by its socket."""

import json
import re

import pytest

from domains import console, guest_xml
from host import USER
from netbed import NIC, bed, client, define, networkd, vms  # noqa: F401
from schema import valid
from test_metrics import families, value

pytestmark = pytest.mark.host

CPU, NET = 2, 512


def statistics(client, domain, groups):
    (_, values), = client.object("org.virtbus.qemu1", "/org/virtbus/qemu1").GetStatistics([domain.path], groups, {})
    return values


def unit_usage(bed, domain):
    group = bed.run(f"systemctl show -P ControlGroup {domain.Unit}").stdout.strip()
    return {k: int(v) for k, v in (line.split() for line in bed.read(f"/sys/fs/cgroup{group}/cpu.stat").splitlines())}


def tap(bed, name):
    found, = json.loads(bed.run(f"ip -s -j link show {name}").stdout)
    return found["stats64"]


SCRAPE = """import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2]))) if len(sys.argv) > 2 else socket.socket(socket.AF_UNIX)
if len(sys.argv) == 2: s.connect(sys.argv[1])
s.sendall(b"GET /metrics HTTP/1.1\\r\\nAccept: application/openmetrics-text\\r\\n\\r\\n")
while data := s.recv(65536): sys.stdout.buffer.write(data.replace(b"\\r", b""))
"""


def scrape(bed, *where):
    head, _, body = bed.run(["python3", "-c", SCRAPE, *where]).stdout.partition("\n\n")
    assert head.startswith("HTTP/1.1 200 ")
    return families(body)


def of_the_guest(con, *names):
    """What the guest itself has counted."""
    return [int(n) for n in con.ask("sh cd /sys/class/net/eth0/statistics; cat " + " ".join(names))[-len(names):]]


def test_session(bed, installed):    # noqa: F811
    installed.run("systemctl --user start virtbus-metrics.socket", user=USER)
    said = installed.run(["python3", "-c", SCRAPE, f"/run/user/{installed.run(['id', '-u', USER]).stdout.strip()}/virtbus/metrics.sock"], user=USER).stdout
    assert said.startswith("HTTP/1.1 200 ") and said.endswith("# EOF\n")
    installed.run("systemctl --user stop virtbus-metrics.socket virtbus-metrics.service virtqemud.service virtqemud.socket", user=USER)


def test_units_and_taps(bed, client, networkd, vms, guest_image):    # noqa: F811
    define(client, networkd)
    domain = vms(guest_xml(guest_image, devices=NIC))
    domain.Start(0, {})
    con = console(client, domain)
    con.wait("VIRTBUS-GUEST-READY")
    before = unit_usage(bed, domain)
    s = statistics(client, domain, CPU)
    after = unit_usage(bed, domain)
    for ours, theirs in (("time", "usage_usec"), ("user", "user_usec"), ("system", "system_usec")):
        assert before[theirs] * 1000 <= s[f"cpu.unit.{ours}"] <= after[theirs] * 1000
    con.ask("sh busybox ip link set eth0 up; busybox ip addr add 10.77.0.10/24 dev eth0; busybox ping -c 3 -s 1000 10.77.0.1")
    def differences():
        rx, tx = of_the_guest(con, "rx_packets", "tx_packets")
        s = statistics(client, domain, NET)
        return abs(s["net.0.tx.pkts"] - tx), abs(s["net.0.rx.pkts"] - rx)
    bed.wait(lambda: all(d <= most for d, most in zip(differences(), (3, 5))), what="both count the same, but for what comes meanwhile")
    s = statistics(client, domain, NET)
    name = s["net.0.name"]
    before = tap(bed, name)
    bed.run("sleep 0.2")
    s = statistics(client, domain, NET)
    after = tap(bed, name)
    assert s["net.0.alias"] == "net0" and s["net.count"] == 1
    for ours, theirs in (("tx", "rx"), ("rx", "tx")):
        for a, b in (("bytes", "bytes"), ("pkts", "packets"), ("errs", "errors"), ("drop", "dropped")):
            assert before[theirs][b] <= s[f"net.0.{ours}.{a}"] <= after[theirs][b], (ours, a)
    assert s["net.0.tx.bytes"] > 3000 < s["net.0.rx.bytes"]
    assert bed.run("systemctl is-active virtbus-metrics.service", check=False).stdout.strip() == "inactive"
    bed.run("systemctl start virtbus-metrics.socket")
    for where in (("127.0.0.1", "9718"), ("/run/virtbus/metrics.sock",)):
        f = scrape(bed, *where)
        assert value(f, "virtbus_domain_net_transmit_bytes_total", domain="web", device="net0", interface=name) >= s["net.0.tx.bytes"]
        assert value(f, "virtbus_domain_unit_cpu_seconds_total", domain="web") > 0
    assert bed.run("systemctl is-active virtbus-metrics.service").stdout.strip() == "active"
    user = bed.run("ps -o user= -p $(systemctl show -P MainPID virtbus-metrics.service)").stdout.strip()
    assert user != "root"
    assert "127.0.0.1:9718" in bed.run("ss -ltn").stdout
    bed.run("systemctl stop virtbus-metrics.socket virtbus-metrics.service")
    assert not bed.exists("/run/virtbus/metrics.sock")
    assert "rror" not in bed.journal("virtbus-metrics.service")


def test_status_and_top(bed, client, networkd, vms, guest_image):    # noqa: F811
    """Of a unit, with its log; who may not read that sees all but it. On the way, what comes and goes by the network."""
    define(client, networkd)
    domain = vms(guest_xml(guest_image, devices=NIC))
    domain.Start(0, {})
    con = console(client, domain)
    con.wait("VIRTBUS-GUEST-READY")
    bed.wait(lambda: "VIRTBUS-GUEST-READY" in bed.run("virtctl status web").stdout, what="the guest's words are in the log")
    said = bed.run("virtctl status web").stdout
    for line in (rf"Unit: {re.escape(domain.Unit)}; disabled", r"Machine: \S+", r"QEMU PID: \d+", r"CPU: \d", r"Memory: 160M; \S+ of the host",
                 r"Network: net0 \S+ virtio \(network \S+\)", r"serial0:\n(  .*\n)*  VIRTBUS-GUEST-READY"):
        assert re.search(line, said), (line, said)
    others = bed.run("virtctl status web", user=USER).stdout
    assert "State: running" in others and "VIRTBUS" not in others
    valid("status", bed.run("virtctl status web --json=short").stdout)
    con.ask("sh ifconfig eth0 192.0.2.2; arp -s 192.0.2.1 52:54:00:00:00:99")
    con.send("sh ping -q -i 0.1 192.0.2.1")

    def row():
        return bed.run("virtctl top --delay=1 --iterations=3").stdout.split("\n\n")[-1].splitlines()[1].split()
    bed.wait(lambda: row()[7] != "0B", what="a second in which the guest sends")
    assert row()[:2] == ["web", "running"]
