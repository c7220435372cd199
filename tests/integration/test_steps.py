# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every step of the operations that are tables of steps fails once when it has begun and once when it is done: nothing is left, and it works the next time."""

import os

import pytest

import bus as bus_module
from domains import CONFIG, FORMAT, LIVE, define, disk_xml, tiny_xml
from test_hotplug import BUSES, PORTS, definitions, descriptors, inside, until
from test_storage import pool_xml
from test_tuning import threads, tuning

pytestmark = [pytest.mark.bus, pytest.mark.sanitized]

DISK_AND_MORE = "<interface type='user'/><channel type='unix'><target type='virtio' name='org.example.0'/></channel><rng model='virtio'>" \
                "<backend model='builtin'/></rng>"


@pytest.fixture
def trigger(tmp_path):
    return tmp_path / "fail"


@pytest.fixture
def failing(trigger):
    with bus_module.Bus(environment={"VIRTBUS_FAIL_STEP": str(trigger)}) as bus:
        yield bus


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(1 << 20))
    return tmp_path / "a.raw"


def fail_each(bus, trigger, table, operation, look):
    """Until the operation goes well. How many steps failed before that?"""
    before = look()
    for n in range(1, 100):
        for when in ("begun", "done"):
            trigger.write_text(f"{table} {when} {n}")
            try:
                operation()
            except bus_module.BusError as e:
                assert "because a test wants it so" in str(e) and not trigger.exists(), (n, when, e)
            else:
                if trigger.exists():  # there are no more steps, or none that can fail
                    trigger.unlink()
                    return n - 1
                raise AssertionError(f"step {n}, {when}: it failed and nobody was told")
            until(lambda: (now := look()) == before or (n, when, before, now))
    raise AssertionError("a table has no end")


def children(bus):
    """Programs beside the daemons."""
    return sorted(name for pid in bus.watch.alive() if (name := program(pid)) not in ("dbus-daemon", "virtqemud", "virtlogd", "virtlockd", "virtstoraged", None))


def program(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return None


def test_start(failing, trigger, disk):
    lockd = failing.manager("lock1")
    d = define(failing, tiny_xml("web", devices=BUSES + disk_xml(disk) + DISK_AND_MORE, memory=64))
    assert fail_each(failing, trigger, "leaving", lambda: d.Start(0, {}, timeout=60),
                     lambda: (d.State, d.MainPID, lockd.ListLeases(""), children(failing))) > 10
    failing.wait_property(d, "State", "running")
    d.Terminate(0, {})


def test_attach(failing, trigger, disk):
    d = define(failing, tiny_xml("web", devices=PORTS + BUSES, memory=64))
    d.Start(0, {}, timeout=60)
    lockd = failing.manager("lock1")
    assert fail_each(failing, trigger, "capabilities", lambda: d.AttachDevice(FORMAT, disk_xml(disk, "vdb"), LIVE | CONFIG, {}),
                     lambda: (inside(d), definitions(d), descriptors(d), lockd.ListLeases(""), children(failing))) > 10
    d.Terminate(0, {})


def test_tuning(failing, trigger):
    d = define(failing, tiny_xml("web", memory=64))
    d.Start(0, {}, timeout=60)
    t = tuning(failing, d)
    assert fail_each(failing, trigger, "journal", lambda: t.SetProperties([("IOThreads", threads(1, 7))], LIVE | CONFIG, {}),
                     lambda: (t.IOThreads, inside(d), definitions(d))) > 3
    assert t.IOThreads == [1, 7]
    d.Terminate(0, {})


def test_pool(failing, trigger, tmp_path):
    folder = tmp_path / "pool"
    folder.mkdir()
    storaged = failing.manager("storage1")
    pool = failing.object("org.virtbus.storage1", storaged.DefinePool("libvirt-xml", pool_xml(folder), 0, {}), "org.virtbus.storage1.Pool")
    assert fail_each(failing, trigger, "secret", lambda: pool.Start(0, {}), lambda: (pool.State, children(failing))) > 3
    assert pool.State == "active"
    storaged.StopPool("p", 0)
