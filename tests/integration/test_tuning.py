# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a machine gets of its host, changed while it runs. Limits of units are the machine tier's to see."""

import json
import os
import re

import bus as bus_module
import pytest

from domains import CONFIG, FORMAT, LIVE, VALIDATE_ONLY, define, disk_xml, tiny_xml
from gi.repository import GLib
from processes import threads_of
from test_hotplug import until

pytestmark = pytest.mark.bus

TUNING = "org.virtbus.qemu1.Tuning"
NOTHING = 2**64 - 1


def tuning(bus, domain):
    return bus.object("org.virtbus.qemu1", domain.path, TUNING)


def qmp(domain, command, **arguments):
    return json.loads(domain.QMPCommand(json.dumps({"execute": command, "arguments": arguments})))


def pins(*items):
    return GLib.Variant("a(us)", items)


def threads(*numbers):
    return GLib.Variant("au", numbers)


def processors(domain):
    """What each thread of QEMU may run on, by its name."""
    return {status["Name"]: status["Cpus_allowed_list"] for status in threads_of(domain.MainPID).values()}


def test_iothreads(bus, qemud, tmp_path):
    """They come and go, but not under a disk; of the machine, of its definition, and of both."""
    (tmp_path / "a.raw").write_bytes(bytes(1 << 20))
    d = define(bus, tiny_xml(devices="<controller type='pci' model='pcie-root-port'/>" * 2))
    t = tuning(bus, d)
    d.Start(0, {}, timeout=60)
    assert t.SetProperties([("IOThreads", threads(1, 7))], LIVE | CONFIG, {}) == []
    assert sorted(i["id"] for i in qmp(d, "query-iothreads")) == ["iothread1", "iothread7"]
    assert t.IOThreads == [1, 7] and '<iothread id="7"/>' in d.ExportDefinition(FORMAT, CONFIG)
    d.AttachDevice(FORMAT, disk_xml(tmp_path / "a.raw", "vdb").replace("type='raw'", "type='raw' iothread='7'"), LIVE, {})
    with bus.fails("InvalidDefinition", "there is no iothread 7"):
        t.SetProperties([("IOThreads", threads(1))], LIVE, {})
    assert [p for p in t.SetProperties([("IOThreads", threads(7))], LIVE | VALIDATE_ONLY, {}) if "object-del" in p] and t.IOThreads == [1, 7]
    t.SetProperties([("IOThreads", threads(7))], LIVE, {})
    assert [i["id"] for i in qmp(d, "query-iothreads")] == ["iothread7"]
    pending = [p for p in d.ListPendingChanges() if p[1].startswith("iothread")]
    assert pending and {p[4] for p in pending} == {"now"}, pending
    d.Terminate(0, {})
    assert t.IOThreads == [1, 7]


def test_pins(bus, qemud):
    d = define(bus, tiny_xml())
    t = tuning(bus, d)
    d.Start(0, {}, timeout=60)
    free = processors(d)["CPU 0/TCG"]
    t.SetProperties([("VCPUPins", pins((0, "0"))), ("EmulatorPin", GLib.Variant("s", "1")), ("IOThreads", threads(3)), ("IOThreadPins", pins((3, "0")))],
                    LIVE, {})
    now = processors(d)
    assert now["CPU 0/TCG"] == "0" and now["IO iothread3"] == "0" and now["qemu-system-x86"] == "1", now
    assert (t.VCPUPins, t.EmulatorPin, t.IOThreadPins) == ([(0, "0")], "1", [(3, "0")])
    t.SetProperties([("VCPUPins", pins()), ("EmulatorPin", GLib.Variant("s", ""))], LIVE, {})
    now = processors(d)
    assert now["CPU 0/TCG"] == now["qemu-system-x86"] == free and now["IO iothread3"] == "0", now
    d.Terminate(0, {})


def test_each_death(tmp_path):
    """Whichever command virtqemud dies at, or after all of them: threads, what they run on and the definition are as before."""
    commands, tell = tmp_path / "commands", tmp_path / "tell"
    with bus_module.Bus(environment={"VIRTBUS_FAIL_QMP": str(commands), "VIRTBUS_FAIL_STEP": str(tell)}) as bus:
        d = define(bus, tiny_xml(extra="<iothreads>1</iothreads>"))
        t = tuning(bus, d)
        d.Start(0, {}, timeout=60)
        before, defined = processors(d), d.ExportDefinition(FORMAT, CONFIG)
        for trigger, text in ((commands, "retune die 1"), (commands, "retune die 2"), (commands, "retune die 3"), (tell, "set-properties tell dies")):
            trigger.write_text(text)
            with bus.fails("NoReply"):
                t.SetProperties([("IOThreads", threads(2)), ("EmulatorPin", GLib.Variant("s", "0"))], LIVE | CONFIG, {})
            until(lambda: (processors(d), d.ExportDefinition(FORMAT, CONFIG) == defined), (before, True))
            assert (t.IOThreads, t.EmulatorPin) == ([1], "") and not trigger.exists(), text
        d.Terminate(0, {})


def test_schedulers(bus, qemud):
    """From the start, and of threads that come later."""
    tune = ("<iothreads>1</iothreads><cputune><vcpusched vcpus='0' scheduler='batch'/><iothreadsched iothreads='1,12' scheduler='idle'/></cputune>")
    d = define(bus, tiny_xml(extra=tune))
    d.Start(0, {}, timeout=60)
    tuning(bus, d).SetProperties([("IOThreads", threads(1, 12, 2))], LIVE, {})
    numbers = {status["Name"]: number for number, status in threads_of(d.MainPID).items()}
    found = {name: os.sched_getscheduler(numbers[name]) for name in ("CPU 0/TCG", "IO iothread1", "IO iothread2", "IO iothread12")}
    assert found["CPU 0/TCG"] == os.SCHED_BATCH and found["IO iothread2"] == os.SCHED_OTHER
    assert found["IO iothread1"] == found["IO iothread12"] == os.SCHED_IDLE and d.Warnings == []
    d.Terminate(0, {})


def test_all_or_nothing(bus, qemud):
    """Limits are systemd's, which is not here: what goes with them is not done either, and the definition stays."""
    d = define(bus, tiny_xml())
    t = tuning(bus, d)
    d.Start(0, {}, timeout=60)
    before = d.ExportDefinition(FORMAT, CONFIG)
    with bus.fails("NotSupported", "not run as a unit"):
        t.SetProperties([("IOThreads", threads(1)), ("CPUWeight", GLib.Variant("t", 200))], LIVE | CONFIG, {})
    assert qmp(d, "query-iothreads") == [] and d.ExportDefinition(FORMAT, CONFIG) == before and t.CPUWeight == NOTHING
    d.Terminate(0, {})


def test_definition(bus, qemud):
    """Systemd's terms, and libvirt's in the definition."""
    d = define(bus, tiny_xml())
    t = tuning(bus, d)
    values = {"CPUWeight": 250, "CPUQuotaPerSecUSec": 1500000, "VCPUQuotaPerSecUSec": 500000, "EmulatorQuotaPerSecUSec": 250000,
              "IOThreadQuotaPerSecUSec": 20000, "HostMemoryMax": 1 << 30, "HostMemoryHigh": 900 << 20, "HostMemorySwapMax": 64 << 20, "IOWeight": 33}
    t.SetProperties([(k, GLib.Variant("t", v)) for k, v in values.items()], 0, {})
    assert {k: getattr(t, k) for k in values} == values
    text = d.ExportDefinition(FORMAT, CONFIG)
    for part in ("<shares>250<", "<global_quota>150000<", "<quota>50000<", "<emulator_quota>25000<", "<iothread_quota>2000<",
                 f"<hard_limit unit=\"KiB\">{1 << 20}<", f"<swap_hard_limit unit=\"KiB\">{(1024 + 64) << 10}<",
                 "<weight>33<"):
        assert part in text, text
    t.SetProperties([("CPUQuotaPeriodUSec", GLib.Variant("t", 10000)), ("HostMemoryMax", GLib.Variant("t", 2 << 30))], CONFIG, {})
    assert (t.CPUQuotaPerSecUSec, t.HostMemorySwapMax) == (1500000, 64 << 20)
    t.SetProperties([(k, GLib.Variant("t", NOTHING)) for k in values if k != "HostMemorySwapMax"], CONFIG, {})
    text = d.ExportDefinition(FORMAT, CONFIG)
    assert "cputune" not in text and "memtune" not in text and "blkiotune" not in text


@pytest.mark.parametrize("name, value, message", [
    ("Memory", GLib.Variant("t", 1), "no property that can be set"),
    ("CPUWeight", GLib.Variant("s", "1"), "must have type 't'"),
    ("CPUWeight", GLib.Variant("t", 0), "1 to 10000, not 0"),
    ("HostMemorySwapMax", GLib.Variant("t", 1), "needs a HostMemoryMax"),
    ("IOThreads", GLib.Variant("au", [0]), "from 1 on"),
    ("VCPUPins", GLib.Variant("a(us)", [(9, "0")]), "no CPU 9"),
    ("EmulatorPin", GLib.Variant("s", "all"), "is no list of CPUs"),
    ("HostMemoryMax", GLib.Variant("t", 1024), "less than the guest's"),
])
def test_bad_values(bus, qemud, name, value, message):
    d = define(bus, tiny_xml())
    with pytest.raises(Exception, match=re.escape(message)):
        tuning(bus, d).SetProperties([(name, value)], 0, {})
