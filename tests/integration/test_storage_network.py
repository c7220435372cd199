# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtstoraged: units of an iSCSI target that it talks to by itself, with a real tgtd."""

import os
import shutil
import signal

import pytest
from gi.repository import GLib

from iscsi import TARGET, Target
from test_storage import MIB, SERVICE, names, storaged  # noqa: F401

pytestmark = pytest.mark.bus

INITIATOR = "iqn.2026-01.example.virtbus:host"


@pytest.fixture
def target(tmp_path):
    if os.getuid() != 0 or not shutil.which("tgtd"):
        pytest.skip("tgtd needs root")
    t = Target(tmp_path)
    try:
        t.start()
        yield t
    finally:
        t.close()


def xml(target, auth=""):
    return (f"<pool type='iscsi-direct'><name>san</name><source><host name='127.0.0.1' port='{target.port}'/><device path='{TARGET}'/>{auth}"
            f"<initiator><iqn name='{INITIATOR}'/></initiator></source></pool>")


def define(bus, storaged, target, auth=""):  # noqa: F811
    return bus.object(SERVICE, storaged.DefinePool("libvirt-xml", xml(target, auth), 0, {}), f"{SERVICE}.Pool")


def test_units(bus, storaged, target):  # noqa: F811
    p = define(bus, storaged, target)
    p.Start(0, {})
    assert names(p) == ["unit:1"] and (p.Capacity, p.Allocation, p.Available) == (16 * MIB, 16 * MIB, 0)
    v = bus.object(SERVICE, p.GetVolume("unit:1"), f"{SERVICE}.Volume")
    assert (v.Path, v.Kind, v.Capacity) == (f"ip-127.0.0.1:{target.port}-iscsi-{TARGET}-lun-1", "network", 16 * MIB)
    with bus.fails("NotSupported", "are made on its server"):
        p.CreateVolume("new", MIB, 0, {})
    with bus.fails("NotSupported", "can't be deleted here"):
        v.Delete(0, {})
    with bus.fails("NotSupported", "is on a server"):
        v.Open(0, {})
    (target.folder / "unit2").write_bytes(bytes(8 * MIB))
    target.ask("--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", "2", "-b", str(target.folder / "unit2"))
    p.Refresh(0, {})
    assert names(p) == ["unit:1", "unit:2"] and p.Capacity == 24 * MIB
    p.Stop(0, {})
    assert p.State == "inactive"


def test_targets_are_found(bus, storaged, target):  # noqa: F811
    hints = {"host": GLib.Variant("s", "127.0.0.1"), "port": GLib.Variant("t", target.port)}
    found = storaged.FindSources("iscsi-direct", hints)
    assert [s["devices"] for s in found] == [[TARGET]], found
    with bus.fails("InvalidArgs", "give the option \"host\""):
        storaged.FindSources("iscsi-direct", {})


def test_password(bus, storaged, target):  # noqa: F811
    """The pool logs in with what its secret has, told what is wrong where it does not."""
    target.need_password()
    p = define(bus, storaged, target)
    with bus.fails("PoolFailed", "does not let us in"):
        p.Start(0, {})
    p = define(bus, storaged, target, "<auth type='chap' username='web'><secret usage='san'/></auth>")
    with bus.fails("NoSuchSecret", "the pool san"):
        p.Start(0, {})
    s = bus.object(SERVICE, storaged.DefineSecret("libvirt-xml", "<secret private='yes'><usage type='iscsi'><target>san</target></usage></secret>", 0, {}),
                   f"{SERVICE}.Secret")
    with bus.fails("NoSuchSecret", "has no value"):
        p.Start(0, {})
    s.SetValue(b"wrong password", 0, {})
    with bus.fails("PoolFailed", "does not let us in"):
        p.Start(0, {})
    s.SetValue(b"open sesame 12", 0, {})
    p.Start(0, {})
    assert names(p) == ["unit:1"]
    # Kept as long as the pool is active: it goes on whatever becomes of the secret, and whichever process does the work.
    s.Undefine(0, {})
    p.Refresh(0, {})
    assert names(p) == ["unit:1"]
    p.Stop(0, {})
    with bus.fails("NoSuchSecret", "the pool san"):
        p.Start(0, {})


def test_after_a_restart(bus, storaged, target):  # noqa: F811
    target.need_password()
    p = define(bus, storaged, target, "<auth type='chap' username='web'><secret usage='san'/></auth>")
    s = bus.object(SERVICE, storaged.DefineSecret("libvirt-xml", "<secret><usage type='iscsi'><target>san</target></usage></secret>", 0, {}), f"{SERVICE}.Secret")
    s.SetValue(b"open sesame 12", 0, {})
    p.Start(0, {})
    bus.stop_service(SERVICE, signal.SIGKILL)
    bus.wait_property(p, "State", "active")
    p.Refresh(0, {})
    assert names(p) == ["unit:1"]


def test_server_gone(bus, storaged, target):  # noqa: F811
    p = define(bus, storaged, target)
    p.Start(0, {})
    target.stop()
    with bus.fails("PoolFailed", "can't be connected to"):
        p.Refresh(0, {})
    target.start()
    p.Refresh(0, {})
    assert names(p) == ["unit:1"] and p.State == "active"


@pytest.mark.parametrize("auth, text", [("<auth type='ceph' username='web'><secret usage='x'/></auth>", "a pool of type 'iscsi-direct' needs 'chap'"),
                                        ("<auth type='chap' username=''><secret usage='x'/></auth>", "it says who logs in"),
                                        ("<auth type='chap' username='web'><secret/></auth>", "named by its uuid or by its usage")])
def test_bad_auth(bus, storaged, tmp_path, auth, text):  # noqa: F811
    class Nobody:
        port = 3260
    with bus.fails("InvalidDefinition", text):
        define(bus, storaged, Nobody, auth)
