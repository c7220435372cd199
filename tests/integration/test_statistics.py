# SPDX-License-Identifier: LGPL-2.1-or-later
"""Statistics of running machines: equal to what the host says, and nobody waits for a QEMU that does not answer."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from gi.repository import GLib

from domains import FORMAT, LIVE, console, define, disk_xml, guest_xml, tiny_xml
from pace import at_most
from processes import threads_of
from test_recovery import wait_until

pytestmark = pytest.mark.bus

STATE, CPU, VCPU, MEMORY, BALLOON, GUEST_MEMORY, BLOCK, BACKING, LATENCY, NET, DIRTY_RATE, JOB, HALT = (1 << n for n in range(13))
FRESH = {"max-age-usec": GLib.Variant("t", 0)}
TICK = 10**9 // os.sysconf("SC_CLK_TCK")


def statistics(manager, domain, groups=0, options=FRESH):
    (path, values), = manager.GetStatistics([domain.path], groups, options)
    assert path == domain.path
    return values


def said(manager, domain, groups, *keys):
    """Statistics with these in them: nobody waits long for QEMU, and what has come late is there the next time."""
    def complete():
        s.update(statistics(manager, domain, groups))
        return all(k in s for k in keys) and not any(k.endswith(".stale") for k in s)
    s = {}
    wait_until(lambda: s.clear() or complete())
    return s


def milliseconds(f):
    began = time.monotonic()
    f()
    return (time.monotonic() - began) * 1000


def cpu_time(pid):
    """User and system time of a process in ns."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return [int(n) * TICK for n in fields[11:13]]


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def vcpu_thread(pid, number=0):
    return next(Path(f"/proc/{pid}/task/{t}") for t, status in threads_of(pid).items() if status["Name"].startswith(f"CPU {number}/"))


def with_balloon(xml):
    return xml.replace("<memballoon model='none'/>", "<memballoon model='virtio'/>")


def test_of_the_host(bus, qemud):
    """Each figure lies between two readings of what the kernel says."""
    d = define(bus, tiny_xml().replace("<vcpu>1</vcpu>", "<vcpu>2</vcpu>"))
    off = statistics(qemud, d)
    assert off["state.state"] == "shutoff" and not any(k.startswith(("cpu", "vcpu", "block")) for k in off)
    d.Start(0, {}, timeout=60)
    pid = d.MainPID
    said(qemud, d, VCPU, "vcpu.0.halted", "vcpu.1.halted")
    time.sleep(0.6)  # samples are not as old as this
    before, ran = cpu_time(pid), [int((vcpu_thread(pid, n) / "schedstat").read_text().split()[0]) for n in (0, 1)]
    pages = [resident(pid)]
    s = statistics(qemud, d)
    pages.append(resident(pid))
    after = cpu_time(pid)
    assert before[0] <= s["cpu.user"] <= after[0] and before[1] <= s["cpu.system"] <= after[1] and s["cpu.time"] == s["cpu.user"] + s["cpu.system"]
    for n in (0, 1):
        end, delay, _ = map(int, (vcpu_thread(pid, n) / "schedstat").read_text().split())
        assert ran[n] <= s[f"vcpu.{n}.time"] <= end and 0 <= s[f"vcpu.{n}.delay"] <= delay and isinstance(s[f"vcpu.{n}.halted"], bool)
    assert (s["vcpu.current"], s["vcpu.maximum"], s["name"], s["state.state"]) == (2, 2, "tiny", "running")
    assert list(statistics(qemud, d, HALT)) == ["name"], "only KVM counts that"
    assert min(pages) - (4 << 20) < s["memory.rss"] < max(pages) + (4 << 20)
    assert s["cpu.age"] < at_most(100000) and s["vcpu.age"] < at_most(100000) and not any(k.endswith(".stale") for k in s)
    d.Suspend(0, {})
    assert statistics(qemud, d, STATE)["state.state"] == "paused"
    wait_until(lambda: statistics(qemud, d, VCPU)["vcpu.0.halted"])
    d.Terminate(0, {})


def test_disks(bus, qemud, tmp_path):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "base.qcow2", "10M"], check=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", tmp_path / "base.qcow2", tmp_path / "top.qcow2"], check=True)
    (tmp_path / "b.raw").write_bytes(bytes(1 << 20))
    drive = "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>"
    d = define(bus, tiny_xml(devices=disk_xml(tmp_path / "top.qcow2", kind="qcow2") + drive + disk_xml(tmp_path / "b.raw", "vdb")))
    d.Start(0, {}, timeout=60)
    s = said(qemud, d, BLOCK, "block.count")
    assert s["block.count"] == 3
    named = {s[f"block.{n}.name"]: n for n in range(3)}
    assert s[f"block.{named['vda']}.path"] == str(tmp_path / "top.qcow2") and f"block.{named['sda']}.path" not in s
    wait_until(lambda: statistics(qemud, d, BLOCK)[f"block.{named['vda']}.rd.bytes"] >= 512)    # the firmware looks for something to boot
    n = named["vda"]
    d.Suspend(0, {})    # it reads no more

    def figures():
        s, qemu = statistics(qemud, d, BLOCK), {e["qdev"]: e["stats"] for e in json.loads(d.QMPCommand("query-blockstats"))}
        real = next(v for k, v in qemu.items() if k.startswith(f"/machine/peripheral/{s[f'block.{n}.alias']}/"))
        return [(ours, s[f"block.{n}.{ours}"], real[theirs]) for ours, theirs in (
            ("rd.reqs", "rd_operations"), ("rd.bytes", "rd_bytes"), ("rd.times", "rd_total_time_ns"), ("wr.bytes", "wr_bytes"), ("fl.reqs", "flush_operations"))]
    wait_until(lambda: not [f for f in figures() if f[1] != f[2]])
    d.Resume(0, {})
    layers = said(qemud, d, BACKING, f"block.{n}.backing.count")
    assert layers[f"block.{n}.capacity"] == 10 << 20 and layers[f"block.{n}.backing.count"] == 1
    assert layers[f"block.{n}.backing.0.path"] == str(tmp_path / "base.qcow2") and layers[f"block.{n}.backing.0.capacity"] == 10 << 20
    assert not any(k.startswith("block.0.rd") for k in layers)
    d.Terminate(0, {})


def test_latency(bus, qemud, guest_image, tmp_path):
    """Counted from when it was asked for."""
    (tmp_path / "a.raw").write_bytes(bytes(4 << 20))
    d = define(bus, guest_xml(guest_image, devices=disk_xml(tmp_path / "a.raw")))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    assert "block.0.rd.latency.bins" not in statistics(qemud, d, LATENCY)
    wait_until(lambda: (time.sleep(0.5), "block.0.rd.latency.bins" in statistics(qemud, d, LATENCY))[1])
    before = said(qemud, d, BLOCK, "block.0.rd.reqs")
    con.ask("sh dd if=/dev/vda of=/dev/null bs=4096 count=100 iflag=direct 2>/dev/null; true")
    time.sleep(0.6)  # samples are not as old as this
    s = said(qemud, d, BLOCK | LATENCY, "block.0.rd.reqs", "block.0.rd.latency.bins")
    reads = s["block.0.rd.reqs"] - before["block.0.rd.reqs"]
    assert len(s["block.0.rd.latency.bins"]) == len(s["block.0.rd.latency.boundaries"]) + 1 == 8
    assert sum(s["block.0.rd.latency.bins"]) >= reads > 0
    d.Terminate(0, {})


def test_memory(bus, qemud, guest_image):
    """The guest's own view, where its balloon is to tell."""
    d = define(bus, guest_xml(guest_image, devices="<memballoon model='virtio'><stats period='1'/></memballoon>", memory=256))
    quiet = define(bus, with_balloon(tiny_xml("quiet")))
    d.Start(0, {}, timeout=60)
    quiet.Start(0, {}, timeout=60)
    console(bus, d).ready()
    s = said(qemud, d, 0, "balloon.unused")
    assert s["balloon.current"] == s["balloon.maximum"] == 256 << 20
    assert 0 < s["balloon.unused"] <= s["balloon.available"] <= 256 << 20 and abs(s["balloon.last-update"] - time.time()) < 60
    s = said(qemud, quiet, 0, "balloon.current")
    assert s["balloon.current"] == 16 << 20 and "balloon.unused" not in s and "guest-memory.age" not in s
    d.Terminate(0, {})
    quiet.Terminate(0, {})


def test_dirty_rate(bus, qemud):
    d = define(bus, tiny_xml())
    with bus.fails("InvalidState"):
        d.MeasureDirtyRate(1, 0, {})
    d.Start(0, {}, timeout=60)
    assert said(qemud, d, DIRTY_RATE, "dirtyrate.calc_status")["dirtyrate.calc_status"] == "unstarted"
    with bus.fails("InvalidArgs", "1 to 60 seconds, not 61"):
        d.MeasureDirtyRate(61, 0, {})
    d.MeasureDirtyRate(1, 0, {})
    wait_until(lambda: (time.sleep(0.5), statistics(qemud, d, DIRTY_RATE)["dirtyrate.calc_status"] == "measured")[1])
    s = said(qemud, d, DIRTY_RATE, "dirtyrate.megabytes_per_second")
    assert s["dirtyrate.calc_period"] == 1 and s["dirtyrate.megabytes_per_second"] >= 0
    d.Terminate(0, {})


def test_stopped_qemu(bus, qemud, tmp_path):
    """Nobody waits long for it, once; its figures grow old and say so; the others' are new."""
    (tmp_path / "a.raw").write_bytes(bytes(1 << 20))
    stuck, good = define(bus, with_balloon(tiny_xml("stuck", devices=disk_xml(tmp_path / "a.raw")))), define(bus, with_balloon(tiny_xml("good")))
    for d in (stuck, good):
        d.Start(0, {}, timeout=60)
    for d in (stuck, good):
        said(qemud, d, 0, "block.count", "balloon.current")
    os.kill(stuck.MainPID, signal.SIGSTOP)
    time.sleep(0.6)
    first = milliseconds(lambda: qemud.GetStatistics([], 0, FRESH))
    assert 90 <= first < at_most(300), first
    times = sorted(milliseconds(lambda: qemud.GetStatistics([], 0, FRESH)) for _ in range(9))
    assert times[4] < at_most(20), times
    assert milliseconds(lambda: qemud.ListDomains()) < at_most(50)
    time.sleep(0.6)
    wait_until(lambda: not any(k.endswith(".stale") for k in statistics(qemud, good)))
    s = dict(qemud.GetStatistics([], 0, FRESH))
    assert s[stuck.path]["block.stale"] and s[stuck.path]["balloon.stale"] and s[stuck.path]["block.age"] > 1000000 and s[stuck.path]["cpu.age"] < at_most(1000000)
    assert s[stuck.path]["balloon.current"] == 16 << 20 and s[stuck.path]["block.count"] == 1
    assert s[good.path]["balloon.age"] < at_most(500000) and not any(k.endswith(".stale") for k in s[good.path])
    os.kill(stuck.MainPID, signal.SIGCONT)
    wait_until(lambda: not any(k.endswith(".stale") for k in statistics(qemud, stuck)))
    os.kill(stuck.MainPID, signal.SIGSTOP)
    time.sleep(0.6)
    qemud.GetStatistics([], 0, FRESH)
    stuck.Terminate(0, {})
    assert "block.age" not in statistics(qemud, stuck)
    good.Terminate(0, {})


def test_interest(bus, qemud):
    """Samples are ready for who comes again, and are taken for nobody else."""
    d = define(bus, with_balloon(tiny_xml()))
    d.Start(0, {}, timeout=60)
    said(qemud, d, BALLOON, "balloon.age")
    ages = [statistics(qemud, d, BALLOON, {})["balloon.age"] for _ in range(3)]
    assert ages == sorted(ages), "one sample"
    time.sleep(6)
    s = statistics(qemud, d, BALLOON, {})
    assert s["balloon.age"] < 5500000, "a new one was there"
    e = define(bus, with_balloon(tiny_xml("other")))
    e.Start(0, {}, timeout=60)
    said(qemud, e, BALLOON, "balloon.age")
    time.sleep(6)
    os.kill(e.MainPID, signal.SIGSTOP)
    s = statistics(qemud, e, BALLOON, {"max-age-usec": GLib.Variant("t", 60000000)})
    assert s["balloon.age"] > 5500000, "nobody wanted one"
    os.kill(e.MainPID, signal.SIGCONT)
    d.Terminate(0, {})
    e.Terminate(0, {})


def updates(bus, path):
    bus.pump()
    return [s for s in bus.signals if s.name == "StatisticsUpdated" and s.path == path]


def test_subscription(bus, qemud):
    d, other = define(bus, with_balloon(tiny_xml())), define(bus, tiny_xml("other"))
    for x in (d, other):
        x.Start(0, {}, timeout=60)
    with bus.fails("InvalidArgs", "an interval is"):
        qemud.SubscribeStatistics([], 0, 10, {})
    qemud.SubscribeStatistics([d.path], CPU | BALLOON, 1000000, {})
    first = bus.wait_signal("StatisticsUpdated", path=d.path, match=lambda _, s: "balloon.current" in s).args
    assert abs(first[0] / 1e6 - time.time()) < 5 and first[1]["balloon.current"] == 16 << 20 and "memory.rss" not in first[1]
    second = bus.wait_signal("StatisticsUpdated", path=d.path, timeout=30).args
    # Each is of the moment when QEMU had answered, or was not waited for any more, which is after 100 ms.
    assert 850000 < second[0] - first[0] < at_most(3000000) and second[1]["cpu.time"] >= first[1]["cpu.time"] and second[1]["balloon.age"] < at_most(500000)
    assert updates(bus, other.path) == []
    os.kill(d.MainPID, signal.SIGSTOP)
    bus.wait_signal("StatisticsUpdated", path=d.path, timeout=30, match=lambda _, s: s.get("balloon.stale"))
    os.kill(d.MainPID, signal.SIGCONT)
    qemud.SubscribeStatistics([], STATE, 1000000, {})
    bus.wait_signal("StatisticsUpdated", path=other.path, timeout=30)
    qemud.UnsubscribeStatistics()
    n = len(updates(bus, d.path))
    time.sleep(2.5)
    assert len(updates(bus, d.path)) == n
    qemud.UnsubscribeStatistics()
    for x in (d, other):
        x.Terminate(0, {})


def test_subscriber_that_leaves(bus, qemud):
    """Its signals go to it alone, and its subscription with it."""
    from bus import Client
    d = define(bus, tiny_xml())
    d.Start(0, {}, timeout=60)
    for _ in range(70):    # more than there can be at a time
        c = Client(bus.address)
        c.object("org.virtbus.qemu1", "/org/virtbus/qemu1").SubscribeStatistics([], 0, 1000000, {})
        c.wait_signal("StatisticsUpdated", path=d.path, timeout=30)
        c.close()
    assert updates(bus, d.path) == []
    d.Terminate(0, {})


def test_subscriber_of_nothing(bus):
    """virtqemud does not end for having nothing to do: there may be something later."""
    program = Path(os.environ["VIRTBUS_BUILD"]) / "virtqemud" / "virtqemud"
    bus.add_service("org.virtbus.qemu1", ["/usr/bin/env", "VIRTBUS_IDLE_SEC=1", program, "--session"])
    qemud = bus.manager("qemu1")
    qemud.SubscribeStatistics([], STATE, 1000000, {})
    pid = bus.owner_pid("org.virtbus.qemu1")
    time.sleep(3)
    assert bus.owner_pid("org.virtbus.qemu1") == pid
    qemud.UnsubscribeStatistics()
    wait_until(lambda: bus.owner_pid("org.virtbus.qemu1") is None)


def test_refused(bus, qemud):
    with bus.fails("InvalidArgs", "there are no groups 0x2000"):
        qemud.GetStatistics([], 8192, {})
    with bus.fails("NoSuchDomain"):
        qemud.GetStatistics(["/org/virtbus/qemu1/domain/none"], 0, {})
    with bus.fails("InvalidArgs", "unknown option"):
        qemud.GetStatistics([], 0, {"age": GLib.Variant("t", 0)})
    with bus.fails("InvalidArgs", "there are no groups"):
        qemud.SubscribeStatistics([], 1 << 40, 1000000, {})


def test_virtctl(bus, qemud):
    program = Path(os.environ["VIRTBUS_BUILD"]) / "virtctl" / "virtctl"
    d = define(bus, with_balloon(tiny_xml("a")))
    define(bus, tiny_xml("b"))
    d.Start(0, {}, timeout=60)
    text = bus.run(program, "--user", "stats").stdout
    assert "Domain: 'a'\n" in text and "Domain: 'b'\n" in text and "  balloon.current=16777216\n" in text and "  state.state=shutoff\n" in text
    only = bus.run(program, "--user", "--groups=cpu,state", "--json=short", "stats", "a").stdout
    (values,) = json.loads(only)
    assert values["path"] == d.path and values["name"] == "a" and values["cpu.time"] > 0 and "balloon.current" not in values
    # What QEMU has not said in time is called stale, and is there the next time.
    wait_until(lambda: "dirtyrate.calc_status" in bus.run(program, "--user", "--groups=all", "stats", "a").stdout)
    assert bus.run(program, "--user", "--groups=cpus", "stats", check=False).returncode == 2
    assert bus.run(program, "--user", "stats", "c", check=False).returncode == 3
    d.Terminate(0, {})
