# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every step of every table of steps fails once when it has begun and once when it is done: nothing is left, and it works the next time.
Those of networks are in test_host_network_steps.py."""

import functools
import json
import os
import re
from contextlib import contextmanager

import pytest
from gi.repository import GLib

import bus as bus_module
from domains import CONFIG, FORMAT, LIVE, NO_WAIT, define, device, disk_xml, job_done, tiny_xml
from steps import TABLES, Accidents, die_at_each, fail_each, until_equal
from test_hotplug import BUSES, PORTS, definitions, descriptors, inside, qmp, until
from test_storage import pool_xml
from test_tuning import threads, tuning

pytestmark = [pytest.mark.bus, pytest.mark.sanitized]

DISK_AND_MORE = "<interface type='user'/><channel type='unix'><target type='virtio' name='org.example.0'/></channel><rng model='virtio'>" \
                "<backend model='builtin'/></rng>"


class Bed:
    """A bus whose daemons fail where `accidents` says, and a disk."""

    def __init__(self, folder):
        self.folder, self.trigger = folder, folder / "fail"
        self.accidents = Accidents(self.trigger.write_text, self.trigger.exists)
        self.disk = folder / "a.raw"
        self.disk.write_bytes(bytes(1 << 20))

    @contextmanager
    def begin(self):
        with bus_module.Bus(environment={"VIRTBUS_FAIL_STEP": str(self.trigger)}) as self.bus:
            yield self

    def fail_each(self, table, operation, look, **more):
        fail_each(self.accidents, table, operation, look, **more)

    def vm(self, devices="", start=True, **more):
        d = define(self.bus, tiny_xml("web", devices=devices, memory=64, **more))
        if start:
            d.Start(0, {}, timeout=60)
        return d

    def children(self):
        """Programs beside the daemons."""
        known = ("dbus-daemon", "virtqemud", "virtlogd", "virtlockd", "virtstoraged", None)
        return sorted(name for pid in self.bus.watch.alive() if (name := program(pid)) not in known)

    def leases(self):
        """But for since when."""
        return sorted(lease[:-1] for lease in self.bus.manager("lock1").ListLeases(""))

    def run_state(self):
        """Files and sockets of VMs that run."""
        folder = self.bus.directory / "run/virtbus/qemu"
        return sorted(re.sub("[0-9a-f-]{36}", "UUID", str(p.relative_to(folder))) for p in folder.rglob("*") if not p.is_dir())

    def live(self, d):
        """What runs of it; its id is another one each time."""
        return d.State == "running" and (sorted(re.findall("<(?!domain ).*?>", d.ExportDefinition(FORMAT, LIVE))), inside(d), d.Job,
                                         qmp(d, "query-status")["running"])

    def unfinished(self):
        """What the next virtqemud has to bring to an end."""
        return [json.loads(path.read_text()).get("journal", []) for path in self.bus.directory.glob("run/virtbus/qemu/status/*.json")]

    def die_at_each(self, table, d, operation, back, rows=None):
        """It is all done after that, or as it was."""
        before = self.around(d)
        operation()
        after = self.around(d)
        back()

        def look(what):
            if until_equal(lambda: self.around(d), [before, after], what) == after != before:
                back()
            until_equal(lambda: self.around(d), before, what)
        die_at_each(self.accidents, table, operation, look, rows)

    def die_before(self, table, d, ask):
        """The job was begun and nothing was done: nothing has changed, and nobody goes on with it."""
        before = self.around(d), d.MainPID

        def begin():
            ask()
            until(self.accidents.is_there, False)
        die_at_each(self.accidents, table, begin, lambda what: until_equal(lambda: (self.around(d), d.MainPID), before, what))

    def around(self, d):
        """All that a change of a running VM could leave behind. A device that came back is the last one of its definition; a VM has another id each time."""
        defined = [sorted(re.findall("<(?!domain ).*?>", d.ExportDefinition(FORMAT, which))) for which in (LIVE, CONFIG)]
        return d.State, d.Job, inside(d), defined, descriptors(d), self.leases(), self.children(), self.unfinished()


def program(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return None


# --- of virtqemud

def start(bed):
    d = bed.vm(BUSES + disk_xml(bed.disk) + DISK_AND_MORE, start=False)

    def begin():
        d.Start(0, {}, timeout=60)

    def end():
        d.Terminate(0, {})

    def look():
        return d.State, bed.live(d), [(*lease[:-1], lease[-1] > 0) for lease in bed.leases()], bed.children(), bed.run_state()
    bed.fail_each("start", begin, lambda: (d.MainPID, look()), back=end)
    nothing = look()
    begin()
    running = look()
    end()

    def is_finished(what):
        """Once the plan was given away the start is brought to its end, before that nothing is left of it."""
        given = TABLES["start"].index(what.split()[1]) > TABLES["start"].index("handover")
        until_equal(look, running if given else nothing, what)
        if given:
            end()
            until_equal(look, nothing, what)
    die_at_each(bed.accidents, "start", begin, is_finished)


def attach(bed):
    """What changes something also with a process of its own beside QEMU, which must not outlive the interface."""
    d = bed.vm(PORTS + BUSES)

    def attach_nic():
        d.AttachDevice(FORMAT, "<interface type='user'><mac address='52:54:00:00:00:02'/><backend type='passt'/><model type='usb-net'/></interface>",
                       LIVE | CONFIG, {})

    def detach_nic():
        device(bed.bus, d, "net0").Detach(LIVE | CONFIG, {}, timeout=60)

    def attach_disk():
        d.AttachDevice(FORMAT, disk_xml(bed.disk, "sdb", "usb"), LIVE | CONFIG, {})

    def detach_disk():
        device(bed.bus, d, "usb_2ddisk0").Detach(LIVE | CONFIG, {}, timeout=60)
    bed.fail_each("attach", attach_disk, lambda: bed.around(d), forward={"plug", "tidy", "tell"}, back=detach_disk)
    bed.die_at_each("attach", d, attach_disk, detach_disk)
    bed.die_at_each("attach", d, attach_nic, detach_nic, ("journal", "plug", "tidy"))
    d.Terminate(0, {})


def detach(bed):
    """What the guest was asked for it may do, whatever becomes of the call: then the device is in the definition alone."""
    d = bed.vm(PORTS + BUSES + disk_xml(bed.disk, "sdb", "usb"))
    disk = disk_xml(bed.disk, "sdb", "usb")

    def attach_again(where=LIVE | CONFIG):
        d.AttachDevice(FORMAT, disk, where, {}, timeout=60)

    def mend():
        if bed.accidents.what == "detach unplug begun":
            until(lambda: "usb-disk0" not in inside(d)["objects"])
            assert "sdb" in definitions(d)[1]
            until(lambda: "sdb" not in definitions(d)[0])
            attach_again(LIVE)
    attached = device(bed.bus, d, "usb_2ddisk0")
    def detach_disk():
        attached.Detach(LIVE | CONFIG, {}, timeout=60)
    bed.fail_each("detach", detach_disk, lambda: bed.around(d), forward={"unplug"}, mend=mend, back=attach_again)
    bed.die_at_each("detach", d, detach_disk, attach_again)
    d.Terminate(0, {})


def unplug(bed):
    """A guest can't be given back what it has let go of, so this is tried until it is done."""
    d = bed.vm(PORTS + BUSES)

    def attach_disk():
        d.AttachDevice(FORMAT, disk_xml(bed.disk, "sdb", "usb"), LIVE, {}, timeout=60)
    before = bed.around(d)
    attach_disk()
    attached = device(bed.bus, d, "usb_2ddisk0")

    def detach_disk():
        attached.Detach(LIVE, {}, timeout=60)
        until(lambda: bed.around(d), before)
    bed.fail_each("unplug", detach_disk, lambda: bed.around(d), forward=set(TABLES["unplug"]), back=attach_disk)
    bed.die_at_each("unplug", d, lambda: attached.Detach(LIVE, {}, timeout=60), attach_disk)
    # The second try comes too late for this call; but its guest has let go at once, if the host is quick enough for that.
    def let_go_in_time():
        bed.accidents.put("unplug clean begun")
        try:
            attached.Detach(LIVE, {"timeout-usec": GLib.Variant("t", 150000)}, timeout=60)
            return True
        except bus_module.BusError as e:
            assert "Timeout" in e.name
        until_equal(lambda: bed.around(d), before, "it goes all the same")
        attach_disk()
        return False
    assert any(let_go_in_time() for _ in range(10)) and bed.around(d) == before
    d.Terminate(0, {})


def resize(bed):
    xml = tiny_xml("web", memory=64).replace("<memballoon model='none'/>", "<memballoon model='virtio'/>")
    d = define(bed.bus, xml.replace("<vcpu>1</vcpu>", "<vcpu current='1'>2</vcpu>"))
    d.Start(0, {}, timeout=60)

    def look():
        return bed.around(d), d.MemoryCurrent, d.VCPUs, qmp(d, "query-balloon"), qmp(d, "query-hotpluggable-cpus")

    def restart():
        d.SetVCPUs(1, CONFIG, {})
        d.Terminate(0, {})
        d.Start(0, {}, timeout=60)
    less, more = (functools.partial(d.SetMemory, mib << 20, LIVE | CONFIG, {}) for mib in (32, 64))
    bed.fail_each("resize", less, look, forward={"change", "tell"}, back=more)
    bed.die_at_each("resize", d, less, more)
    bed.fail_each("resize", lambda: d.SetVCPUs(2, LIVE | CONFIG, {}), look, forward={"change", "tell"}, back=restart)
    d.Terminate(0, {})


def set_properties(bed):
    d = bed.vm()
    t = tuning(bed.bus, d)
    more, less = (functools.partial(t.SetProperties, [("IOThreads", which)], LIVE | CONFIG, {}) for which in (threads(1, 7), threads()))
    bed.fail_each("set-properties", more, lambda: (t.IOThreads, bed.around(d)), forward={"tell"}, back=less)
    bed.die_at_each("set-properties", d, more, less)
    d.Terminate(0, {})


def wait_for_job(bed, job):
    result, name, message = job_done(bed.bus, job)
    if result != "done":
        raise bus_module.BusError(name, message)


def dump(bed):
    d = bed.vm()

    def operation():
        with open(bed.folder / "dump", "wb") as f:
            job = d.CoreDump("", f, 0, {})
            if bed.accidents.what.endswith("dies"):
                until(bed.accidents.is_there, False)
            else:
                wait_for_job(bed, job)
    bed.fail_each("dump", operation, lambda: bed.around(d), forward={"dump"})
    bed.die_at_each("dump", d, operation, lambda: None)
    d.Terminate(0, {})


def shutdown(bed):
    """A guest that is off stays so. What it was asked for it may do later all the same; there is none here."""
    d = bed.vm()

    def operation():
        job = d.Shutdown("acpi", NO_WAIT, {})
        if not bed.accidents.what.endswith("begun"):
            qmp(d, "quit")
        wait_for_job(bed, job)
    bed.fail_each("shutdown", operation, lambda: (d.State, d.Job, bed.children()), forward={"shutdown"}, back=lambda: d.Start(0, {}, timeout=60))
    bed.die_before("shutdown", d, lambda: d.Shutdown("acpi", NO_WAIT, {}))
    d.Terminate(0, {})


def reboot(bed):
    d = bed.vm()

    def operation():
        job = d.Reboot(NO_WAIT, {})
        if not bed.accidents.what.endswith("begun"):
            qmp(d, "system_reset")
        wait_for_job(bed, job)
    bed.fail_each("reboot", operation, lambda: (d.State, d.Job, d.MainPID, bed.children()), forward={"reboot"})
    bed.die_before("reboot", d, lambda: d.Reboot(NO_WAIT, {}))
    d.Terminate(0, {})


# --- of virtstoraged

def define_pool(bed):
    storaged = bed.bus.manager("storage1")
    folder = bed.folder / "pool"
    folder.mkdir()
    pool = bed.bus.object("org.virtbus.storage1", storaged.DefinePool("libvirt-xml", pool_xml(folder), 0, {}), "org.virtbus.storage1.Pool")
    return pool, lambda: (pool.State, bed.children(), sorted(p.name for p in bed.bus.directory.glob("run/virtbus/storage/status/*")))


def pool_start(bed):
    pool, look = define_pool(bed)
    bed.fail_each("pool-start", lambda: pool.Start(0, {}), look, back=lambda: pool.Stop(0, {}))
    nothing = look()
    pool.Start(0, {})
    active = look()
    pool.Stop(0, {})

    def is_finished(what):
        """What was begun is brought to its end. It begins with a note."""
        if what == "pool-start note dies":
            until_equal(look, nothing, what)
        else:
            until_equal(look, active, what)
            pool.Stop(0, {})
    die_at_each(bed.accidents, "pool-start", lambda: pool.Start(0, {}), is_finished)


def pool_stop(bed):
    pool, look = define_pool(bed)
    pool.Start(0, {})
    pool.CreateVolume("v", 1 << 20, 0, {})
    bed.fail_each("pool-stop", lambda: pool.Stop(0, {}), lambda: (look(), [v[0] for v in pool.ListVolumes()]),
                  forward=set(TABLES["pool-stop"]), back=lambda: pool.Start(0, {}))
    active = look()
    die_at_each(bed.accidents, "pool-stop", lambda: pool.Stop(0, {}), lambda what: until_equal(look, active, what))
    bed.bus.wait_property(pool, "State", "active")
    until(lambda: [v[0] for v in pool.ListVolumes()], ["v"])
    pool.Stop(0, {})


def pool_build(bed):
    """What is made is made."""
    pool, look = define_pool(bed)
    os.rmdir(bed.folder / "pool")
    bed.fail_each("pool-build", lambda: pool.Build(0, {}), look, forward={"build"}, back=lambda: os.rmdir(bed.folder / "pool"))
    nothing = look()
    die_at_each(bed.accidents, "pool-build", lambda: pool.Build(0, {}), lambda what: until_equal(look, nothing, what))
    assert not (bed.folder / "pool").exists()


def pool_delete(bed):
    pool, look = define_pool(bed)

    def operation():
        (bed.folder / "pool").mkdir(exist_ok=True)
        pool.Delete(0, {})
        assert not (bed.folder / "pool").exists()
    bed.fail_each("pool-delete", operation, look, forward={"delete"})
    nothing = look()
    die_at_each(bed.accidents, "pool-delete", operation, lambda what: until_equal(look, nothing, what))
    operation()


@pytest.mark.parametrize("table", [t for t in TABLES if not t.startswith("network-")])
def test_each_step(table, tmp_path):
    """A new table needs a function here of its name."""
    with Bed(tmp_path).begin() as bed:
        globals()[table.replace("-", "_")](bed)
