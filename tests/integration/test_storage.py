# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtstoraged: pools and volumes in folders, with the real qemu-img."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest
from gi.repository import GLib

from bus import Bus, BusError

pytestmark = pytest.mark.bus

SERVICE = "org.virtbus.storage1"
MIB, GIB = 1 << 20, 1 << 30
NO_WAIT = 8
TYPES = {"format": "s", "allocation": "t", "backing": "s", "backing-format": "s", "clone-from": "s", "clone-secret": "s", "preallocation": "s", "foreign-backing": "b",
         "shrink": "b", "allocate": "b", "algorithm": "s", "sparse": "b", "writable": "b", "overwrite": "b"}


def options(**values):
    return {k.replace("_", "-"): GLib.Variant(TYPES[k.replace("_", "-")], v) for k, v in values.items()}


def pool_xml(path, name="p", more=""):
    return f"<pool type='dir'><name>{name}</name>{more}<target><path>{path}</path></target></pool>"


@pytest.fixture
def storaged(bus):
    from bus import daemon_path
    if not daemon_path("virtstoraged"):
        pytest.skip("no virtstoraged: set VIRTBUS_BUILD to a build directory that has it")
    manager = bus.manager("storage1")
    yield manager
    for name, _, state, *_ in manager.ListPools():
        if state in ("active", "unreachable"):
            manager.StopPool(name, 0)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "pool"
    path.mkdir()
    return path


def define(bus, storaged, path, name="p", **more):
    return bus.object(SERVICE, storaged.DefinePool("libvirt-xml", pool_xml(path, name, **more), 0, {}), f"{SERVICE}.Pool")


@pytest.fixture
def pool(bus, storaged, folder):
    p = define(bus, storaged, folder)
    p.Start(0, {})
    return p


def create(bus, pool, name, size, flags=0, **more):
    volume, job = pool.CreateVolume(name, size, flags, options(**more), timeout=100)
    assert (job == "/") == (flags == 0)
    return bus.object(SERVICE, volume, f"{SERVICE}.Volume")


def image_info(path):
    return json.loads(subprocess.run(["qemu-img", "info", "--output=json", path], capture_output=True, check=True, timeout=60).stdout)


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def names(pool):
    return [v[0] for v in pool.ListVolumes()]


def wait(condition, timeout=60):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "in time"
        time.sleep(0.01)


def wait_files(folder, *expected):
    """Until that is all there is, hidden or not."""
    deadline = time.monotonic() + 60
    while sorted(found := os.listdir(folder)) != list(expected):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)


def nothing_unfinished(folder):
    return not [n for n in os.listdir(folder) if n.startswith(".virtbus")]


# --- pools ---

def test_life_of_a_pool(bus, storaged, folder):
    (folder / "disk.qcow2").write_bytes(b"")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", folder / "disk.qcow2", "3G"], check=True, timeout=60)
    (folder / "data").write_bytes(b"x" * 5000)
    (folder / ".hidden").write_bytes(b"")
    p = define(bus, storaged, folder)
    assert (p.Name, p.Type, p.State, p.Active, p.Persistent, p.Autostart) == ("p", "dir", "inactive", False, True, False)
    assert storaged.ListPools() == [("p", "dir", "inactive", False, p.path, 0, 0)]
    assert storaged.GetPool("p") == p.path
    with bus.fails("InvalidState", "the pool p is not active"):
        p.CreateVolume("v", MIB, 0, {})
    p.Start(0, {})
    assert (p.State, p.Active, p.TargetPath) == ("active", True, str(folder))
    st = os.statvfs(folder)
    assert p.Capacity == st.f_blocks * st.f_frsize and abs(p.Available - st.f_bavail * st.f_frsize) < GIB
    volumes = {v[0]: v for v in p.ListVolumes()}
    assert set(volumes) == {"data", "disk.qcow2"}
    assert volumes["data"][1:4] == (str(folder / "data"), "raw", 5000)
    assert volumes["disk.qcow2"][2:4] == ("qcow2", 3 * GIB)
    with bus.fails("InvalidState", "the pool p is active"):
        p.Start(0, {})
    p.SetAutostart(True, 0, {})
    live = p.ExportDefinition("libvirt-xml", 1)
    assert '<capacity unit="bytes">' in live and "<capacity" not in p.ExportDefinition("libvirt-xml", 0)
    p.Stop(0, {})
    assert (p.State, p.Capacity) == ("inactive", 0) and names(p) == []
    with bus.fails("InvalidState", "the pool p is not active"):
        p.Stop(0, {})
    p.Undefine(0, {})
    with bus.fails("NoSuchPool"):
        storaged.GetPool("p")
    assert (folder / "data").exists()


def test_transient_pool(bus, storaged, folder):
    p = bus.object(SERVICE, storaged.StartTransient("libvirt-xml", pool_xml(folder), 0, {}), f"{SERVICE}.Pool")
    assert (p.State, p.Persistent) == ("active", False)
    with bus.fails("InvalidState", "transient"):
        p.Undefine(0, {})
    p.Stop(0, {})
    assert storaged.ListPools() == []


def test_build_and_delete(bus, storaged, tmp_path):
    path = tmp_path / "a" / "b"
    p = define(bus, storaged, path)
    with bus.fails("PoolFailed", f"{path} can't be used: No such file or directory"):
        p.Start(0, {})
    assert p.State == "inactive"
    p.Build(0, {})
    assert path.stat().st_mode & 0o7777 == 0o711
    p.Start(0, {})
    with bus.fails("InvalidState", "is active"):
        p.Delete(0, {})
    create(bus, p, "v", MIB)
    p.Stop(0, {})
    with bus.fails("PoolFailed", "not empty"):
        p.Delete(0, {})
    (path / "v").unlink()
    p.Delete(0, {})
    assert not path.exists()


def test_it_sees_what_others_do(bus, pool, folder):
    seen = bus.mark()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", folder / "new.qcow2", "1G"], check=True, timeout=60)
    bus.wait_signal("VolumeNew", match=lambda name, _: name == "new.qcow2", since=seen)
    v = bus.object(SERVICE, pool.GetVolume("new.qcow2"), f"{SERVICE}.Volume")
    bus.wait_property(v, "Capacity", GIB)
    subprocess.run(["qemu-img", "resize", "-q", "-f", "qcow2", folder / "new.qcow2", "2G"], check=True, timeout=60)
    bus.wait_property(v, "Capacity", 2 * GIB)
    with open(folder / "raw", "wb") as f:
        f.truncate(MIB)
        f.flush()
        wait(lambda: "raw" in names(pool))
        v = bus.object(SERVICE, pool.GetVolume("raw"), f"{SERVICE}.Volume")
        f.write(b"x" * 65536)
        f.flush()
        bus.wait_property(v, "Allocation", 65536)
    seen = bus.mark()
    os.rename(folder / "raw", folder / "moved")
    bus.wait_signal("VolumeRemoved", match=lambda name, _: name == "raw", since=seen)
    wait(lambda: names(pool) == ["moved", "new.qcow2"])
    for n in range(600):
        (folder / f"many{n}").write_bytes(b"")
    wait(lambda: len(names(pool)) == 602)
    for n in range(600):
        (folder / f"many{n}").unlink()
    wait(lambda: len(names(pool)) == 2)


def test_folder_goes_and_comes_back(bus, storaged, pool, folder):
    create(bus, pool, "v", MIB)
    os.rename(folder, folder.with_name("away"))
    bus.wait_property(pool, "State", "unreachable")
    assert "No such file" in pool.Error
    with bus.fails("PoolFailed", "the pool p is unreachable"):
        pool.CreateVolume("w", MIB, 0, {})
    folder.mkdir()
    (folder / "other").write_bytes(b"")
    pool.Refresh(0, {})
    assert pool.State == "active" and names(pool) == ["other"]
    (folder / "more").write_bytes(b"")
    wait(lambda: names(pool) == ["more", "other"])


def test_restart(bus, storaged, folder):
    """What was active is active; what was half done is gone; broken files are told of."""
    p = define(bus, storaged, folder, more="<!-- a comment --><uuid>11111111-2222-3333-4444-555555555555</uuid>")
    p.Start(0, {})
    create(bus, p, "v", MIB)
    bus.stop_service(SERVICE, signal.SIGKILL)
    # What a worker that was killed in the middle has left, and what is another host's.
    tag = subprocess.run(["sh", "-c", "ls -A"], cwd=folder, capture_output=True, text=True).stdout
    assert tag == "v\n"
    (folder / ".virtbus-part.ffffffff.0.00").write_bytes(b"")
    (Path(bus.directory) / "config/virtbus/pools/broken.xml").write_text("<pool type='dir'><name>broken</name></pool>")
    again = bus.object(SERVICE, storaged.GetPool("p"), f"{SERVICE}.Pool")
    bus.wait_property(again, "State", "active")
    wait(lambda: names(again) == ["v"])
    assert again.path.endswith("11111111222233334444555555555555")
    assert "<!-- a comment -->" in again.ExportDefinition("libvirt-xml", 2)
    assert (folder / ".virtbus-part.ffffffff.0.00").exists()
    broken = bus.object(SERVICE, storaged.GetPool("broken"), f"{SERVICE}.Pool")
    assert broken.State == "broken" and "needs <target/path>" in broken.Error
    with bus.fails("InvalidDefinition", "broken can't be used"):
        broken.Start(0, {})
    # A right definition mends it; from then on it has that one's UUID, for the next definition too.
    right = f"<pool type='dir'><name>broken</name><uuid>{UUID(int=7)}</uuid><target><path>{folder.parent}/mended</path></target></pool>"
    for _ in range(2):
        mended = bus.object(SERVICE, storaged.DefinePool("libvirt-xml", right, 0, {}), f"{SERVICE}.Pool")
        assert (mended.State, mended.Error, UUID(bytes=bytes(mended.UUID))) == ("inactive", "", UUID(int=7))
    assert storaged.GetPool("broken") == mended.path
    # One that is active stays so, whatever has become of its file.
    bus.stop_service(SERVICE, signal.SIGKILL)
    (Path(bus.directory) / "config/virtbus/pools/p.xml").write_text("<pool type='dir'>")
    assert storaged.GetPool("p") == again.path
    bus.wait_property(again, "Active", True)
    wait(lambda: names(again) == ["v"])
    assert again.State == "broken" and "line 1" in again.Error
    again.Stop(0, {})
    define(bus, storaged, folder, more="<uuid>11111111-2222-3333-4444-555555555555</uuid>").Start(0, {})
    assert (again.State, again.Error, names(again)) == ("active", "", ["v"])


# --- volumes ---

def test_raw(bus, pool, folder):
    v = create(bus, pool, "sparse", 10 * GIB)
    assert (v.Name, v.Path, v.Kind, v.Format, v.Capacity) == ("sparse", str(folder / "sparse"), "file", "raw", 10 * GIB)
    st = (folder / "sparse").stat()
    assert st.st_size == 10 * GIB and st.st_blocks == 0 and st.st_mode & 0o777 == 0o600
    v = create(bus, pool, "full", 8 * MIB, allocation=8 * MIB)
    assert v.Allocation >= 8 * MIB and (folder / "full").stat().st_blocks * 512 >= 8 * MIB
    path, _ = pool.CreateVolumeFromDefinition("libvirt-xml", "<volume><name>xml</name><capacity unit='MiB'>4</capacity>"
                                              "<target><permissions><mode>0640</mode></permissions></target></volume>", 0, {})
    st = (folder / "xml").stat()
    assert st.st_size == 4 * MIB and st.st_blocks * 512 >= 4 * MIB and st.st_mode & 0o777 == 0o640
    assert '<capacity unit="bytes">4194304</capacity>' in bus.object(SERVICE, path, f"{SERVICE}.Volume").ExportDefinition("libvirt-xml", 0)
    with bus.fails("VolumeExists", "there is a volume full in the pool p already"):
        pool.CreateVolume("full", MIB, 0, {})
    assert nothing_unfinished(folder)


@pytest.mark.parametrize("format", ["qcow2", "vmdk", "vdi", "vhdx", "vpc", "qed", "qcow"])
def test_formats(bus, pool, folder, format):
    suffix = "vhd" if format == "vpc" else format
    v = create(bus, pool, f"disk.{suffix}", 64 * MIB, format=format)
    assert v.Format == format and v.Problem == ""
    assert image_info(folder / f"disk.{suffix}")["format"] == format
    if format != "qcow":
        assert v.Capacity == image_info(folder / f"disk.{suffix}")["virtual-size"]


def test_format_that_no_name_tells(bus, storaged, pool, folder):
    """What was said of a volume is remembered, and nothing else is believed."""
    v = create(bus, pool, "web", 32 * MIB, format="qcow2")
    (folder / "other").write_bytes((folder / "web").read_bytes())
    pool.Refresh(0, {})
    other = bus.object(SERVICE, pool.GetVolume("other"), f"{SERVICE}.Volume")
    assert (v.Format, v.Capacity, other.Format) == ("qcow2", 32 * MIB, "raw")
    assert other.ProbeFormat(0, {}) == "qcow2" and other.Format == "raw"
    other.SetFormat("qcow2", 0, {})
    assert (other.Format, other.Capacity) == ("qcow2", 32 * MIB)
    with bus.fails("InvalidArgs", '"magic" is no format of a file'):
        other.SetFormat("magic", 0, {})
    bus.stop_service(SERVICE, signal.SIGKILL)
    assert (v.Format, other.Format, v.Capacity) == ("qcow2", "qcow2", 32 * MIB)
    # It is about the files: they are what they were for whoever has a pool there next, and a pool of that name elsewhere has others.
    pool.Stop(0, {})
    pool.Undefine(0, {})
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "web").write_bytes((folder / "web").read_bytes())
    q = define(bus, storaged, elsewhere)
    q.Start(0, {})
    assert [x[2] for x in q.ListVolumes()] == ["raw"]
    q.Stop(0, {})
    q.Undefine(0, {})
    pool = define(bus, storaged, folder, name="again")
    pool.Start(0, {})
    v, other = (bus.object(SERVICE, pool.GetVolume(n), f"{SERVICE}.Volume") for n in ("web", "other"))
    assert (v.Format, other.Format, v.Capacity) == ("qcow2", "qcow2", 32 * MIB)
    # A file of the same name that comes later is another one.
    v.Delete(0, {})
    other.Delete(0, {})
    create(bus, pool, "web", MIB)
    (folder / "other").write_bytes(b"")
    wait(lambda: names(pool) == ["other", "web"])
    assert {x[2] for x in pool.ListVolumes()} == {"raw"}
    assert not list((Path(bus.directory) / "data/virtbus/storage/formats").glob("*.json"))


def test_no_volume_whose_format_is_not_noted(bus, pool, folder):
    """It would be a raw file for the next virtstoraged, headers and all."""
    notes = Path(bus.directory) / "data/virtbus/storage/formats"
    notes.parent.mkdir(parents=True, exist_ok=True)
    if notes.is_dir():
        notes.rmdir()
    notes.write_text("in the way")
    with bus.fails("StoreFailed", "the format of the volume can't be noted"):
        create(bus, pool, "web", MIB, format="qcow2")
    assert not list(folder.iterdir()) and pool.ListVolumes() == []
    notes.unlink()
    notes.mkdir(0o700)
    assert create(bus, pool, "web", MIB, format="qcow2").Format == "qcow2"


def test_formats_of_too_many_places(bus, storaged, pool, folder):
    """What is noted of places where no pool is any more would grow for ever; and to forget one of them would change what its volumes are."""
    v = create(bus, pool, "web", MIB, format="qcow2")
    notes = Path(bus.directory) / "data/virtbus/storage/formats"
    for n in range(3999):
        (notes / f"{n:016x}.json").symlink_to("nothing")
    there = folder.parent / "there"
    there.mkdir()
    other = define(bus, storaged, there, name="other")
    other.Start(0, {})
    with bus.fails("LimitExceeded", "those of 4000 places are") as caught:
        create(bus, other, "web", MIB, format="qcow2")
    assert f"remove from {notes}" in caught["error"].message and list(there.iterdir()) == []
    assert create(bus, other, "plain", MIB).Format == "raw" and create(bus, other, "web.qcow2", MIB, format="qcow2").Format == "qcow2"
    assert create(bus, pool, "db", MIB, format="qcow2").Format == v.Format == "qcow2"    # the place is known
    (notes / f"{0:016x}.json").unlink()
    assert create(bus, other, "web", MIB, format="qcow2").Format == "qcow2"


def test_qcow2_options(bus, pool, folder):
    pool.CreateVolumeFromDefinition("libvirt-xml", """<volume><name>o.qcow2</name><capacity unit='GiB'>1</capacity><target><format type='qcow2'/>
        <compat>1.1</compat><clusterSize unit='KiB'>128</clusterSize><features><lazy_refcounts/><extended_l2/></features></target></volume>""", 0, {})
    info = image_info(folder / "o.qcow2")
    assert info["cluster-size"] == 131072
    data = info["format-specific"]["data"]
    assert data["lazy-refcounts"] and data["extended-l2"] and data["compat"] == "1.1"
    create(bus, pool, "pre.qcow2", 16 * MIB, format="qcow2", preallocation="full")
    assert (folder / "pre.qcow2").stat().st_blocks * 512 >= 16 * MIB


@pytest.mark.parametrize("size, how", [(1, []), (1025, []), (5 * GIB, []), (600 << 40, []), (3 * GIB, ["lazy_refcounts"]), (2 * GIB, ["backing"])])
def test_empty_qcow2_is_what_qemu_img_makes(bus, pool, folder, tmp_path, size, how):
    """No qemu-img runs for one, and QEMU can't tell."""
    ours, theirs, extra, options = folder / "ours.qcow2", tmp_path / "theirs.qcow2", "", []
    if "lazy_refcounts" in how:
        extra, options = "<compat>1.1</compat><features><lazy_refcounts/></features>", ["-o", "lazy_refcounts=on"]
    backing = ""
    if "backing" in how:
        base = create(bus, pool, "base, one", MIB)
        backing = f"<backingStore><path>{base.Path}</path><format type='raw'/></backingStore>"
        options = ["-b", base.Path, "-F", "raw"]
    pool.CreateVolumeFromDefinition("libvirt-xml", f"""<volume><name>ours.qcow2</name><capacity>{size}</capacity><allocation>0</allocation>
        <target><format type='qcow2'/>{extra}</target>{backing}</volume>""", 0, {})
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, theirs, str(size)], check=True, timeout=60)
    a, b = [{k: v for k, v in image_info(f).items() if k not in ("filename", "actual-size")} for f in (ours, theirs)]
    assert a == b
    for command in ["qemu-img", "check"], ["qemu-io", "-c", "write -P 7 0 512"], ["qemu-img", "check"]:
        subprocess.run([*command, ours], check=True, capture_output=True, timeout=60)


def test_qcow2_that_can_not_be(bus, pool, folder):
    with bus.fails("PoolFailed", "too large for file format"):
        create(bus, pool, "huge.qcow2", 3 << 50, format="qcow2")
    assert list(folder.iterdir()) == []


def test_backing_and_clones(bus, storaged, pool, folder, tmp_path):
    base = create(bus, pool, "base.qcow2", 64 * MIB, format="qcow2")
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 1M 3M", base.Path], check=True, capture_output=True, timeout=60)
    linked = create(bus, pool, "linked.qcow2", 0, format="qcow2", backing="base.qcow2")
    assert (linked.BackingPath, linked.BackingFormat, linked.Capacity) == (base.Path, "qcow2", 64 * MIB)
    flat = create(bus, pool, "flat", 0, format="raw", clone_from="linked.qcow2")
    data = (folder / "flat").read_bytes()
    assert len(data) == 64 * MIB and data[MIB:4 * MIB] == b"\x5a" * 3 * MIB and data.count(b"\x5a") == 3 * MIB
    assert flat.BackingPath == ""
    larger = create(bus, pool, "larger.qcow2", 128 * MIB, format="qcow2", clone_from="flat")
    assert larger.Capacity == 128 * MIB
    assert subprocess.run(["qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", larger.Path, base.Path], capture_output=True, timeout=60).returncode == 0
    with bus.fails("InvalidDefinition", "would be smaller"):
        pool.CreateVolume("smaller", MIB, 0, options(clone_from="flat"))
    # From another pool, by its path.
    (tmp_path / "q").mkdir()
    q = define(bus, storaged, tmp_path / "q", "q")
    q.Start(0, {})
    copy = create(bus, q, "copy", 0, clone_from=str(folder / "flat"))
    assert digest(copy.Path) == digest(flat.Path) and copy.Format == "raw"
    other = create(bus, q, "other.qcow2", 0, format="qcow2", backing=base.Path)
    assert other.BackingPath == base.Path
    assert storaged.GetVolumeByPath(copy.Path) == copy.path
    assert nothing_unfinished(folder) and nothing_unfinished(tmp_path / "q")


def test_resize(bus, pool, folder):
    raw, qcow2 = create(bus, pool, "raw", 8 * MIB), create(bus, pool, "d.qcow2", 8 * MIB, format="qcow2")
    for v in raw, qcow2:
        assert v.Resize(16 * MIB, 0, {}) == "/" and v.Capacity == 16 * MIB
        with bus.fails("InvalidArgs", 'would lose what is behind them'):
            v.Resize(4 * MIB, 0, {})
        v.Resize(4 * MIB, 0, options(shrink=True))
        assert v.Capacity == 4 * MIB
        with bus.fails("InvalidArgs", "0 bytes"):
            v.Resize(0, 0, {})
    assert (folder / "raw").stat().st_size == 4 * MIB and image_info(folder / "d.qcow2")["virtual-size"] == 4 * MIB
    raw.Resize(8 * MIB, 0, options(allocate=True))
    assert (folder / "raw").stat().st_blocks * 512 >= 4 * MIB


def test_wipe_and_delete(bus, pool, folder):
    v = create(bus, pool, "v", 3 * MIB)
    for algorithm in "zero", "random", "nnsa", "dod", "bsi", "schneier", "pfitzner7", "pfitzner33", "gutmann", "trim":
        (folder / "v").write_bytes(b"secret" * 500000)
        v.Wipe(0, options(algorithm=algorithm), timeout=100)
        data = (folder / "v").read_bytes()
        assert len(data) == 3000000 and b"secret" not in data, algorithm
    with bus.fails("InvalidArgs", '"magic" is no algorithm'):
        v.Wipe(0, options(algorithm="magic"))
    assert v.Delete(0, {}) == "/"
    assert not (folder / "v").exists() and names(pool) == []


def test_transfer(bus, pool, folder, tmp_path):
    data = os.urandom(5 * MIB) + bytes(5 * MIB) + os.urandom(12345)
    (tmp_path / "in").write_bytes(data)
    v = create(bus, pool, "v", len(data))
    with open(tmp_path / "in", "rb") as f:
        v.Upload(GLib_fd(f), 0, 0, 0, options(sparse=True))
    assert (folder / "v").read_bytes() == data and (folder / "v").stat().st_blocks * 512 < 6 * MIB
    with open(tmp_path / "out", "wb") as f:
        v.Download(GLib_fd(f), 0, 0, 0, options(sparse=True))
    assert digest(tmp_path / "out") == digest(tmp_path / "in") and (tmp_path / "out").stat().st_blocks * 512 < 6 * MIB
    # Through pipes, a part of it.
    r, w = os.pipe()
    got = []
    reader = threading.Thread(target=lambda: got.append(os.fdopen(r, "rb").read()))
    reader.start()
    done = v.Download(w, MIB, 3 * MIB, 0, {})
    os.close(w)
    reader.join(20)
    assert done == "/" and got[0] == data[MIB:4 * MIB]
    r, w = os.pipe()
    writer = threading.Thread(target=lambda: os.fdopen(w, "wb").write(b"y" * 100000))
    writer.start()
    v.Upload(r, 10, 100000, 0, {})
    os.close(r)
    writer.join(20)
    assert (folder / "v").read_bytes() == data[:10] + b"y" * 100000 + data[100010:]
    with bus.fails("InvalidArgs", "the volume has"), open(tmp_path / "out", "wb") as f:
        v.Download(GLib_fd(f), 1 << 40, 0, 0, {})
    fd = v.Open(0, {})
    assert os.pread(fd.fileno(), 10, 0) == data[:10]
    with pytest.raises(OSError):
        os.pwrite(fd.fileno(), b"x", 0)
    fd.close()
    fd = v.Open(0, options(writable=True))
    os.pwrite(fd.fileno(), b"via fd", 0)
    fd.close()
    assert (folder / "v").read_bytes()[:6] == b"via fd"


def GLib_fd(file):
    return file.fileno()


def test_job_with_progress_and_cancel(bus, pool, folder):
    """Progress only grows; what is cancelled leaves nothing; the volume is busy meanwhile."""
    source = create(bus, pool, "source", 256 * MIB)
    with open(source.Path, "r+b") as f:
        for n in range(256):
            f.seek(n * MIB)
            f.write(os.urandom(MIB))
    r, w = os.pipe()
    os.set_blocking(w, False)
    job = bus.object(SERVICE, source.Download(w, 0, 0, NO_WAIT, {}), "org.virtbus.job1")
    with bus.fails("Busy", "the volume source is busy: download-volume, job /org/virtbus/storage1/job/"):
        source.Delete(0, {})
    seen = []
    while len(seen) < 5:
        os.read(r, 8 * MIB)
        seen.append(job.BytesDone)
    job.Cancel(0, {})
    bus.wait_signal("JobRemoved", match=lambda *a: a[3] == "canceled")
    assert seen == sorted(seen)
    os.close(r)
    os.close(w)
    # A conversion, stopped in the middle.
    volume, job = pool.CreateVolume("copy.qcow2", 0, NO_WAIT, options(format="qcow2", clone_from="source"))
    stop_conversion(bus)
    assert not nothing_unfinished(folder)
    with bus.fails("Busy", "is being made"):
        pool.CreateVolume("copy.qcow2", MIB, 0, {})
    seen = bus.mark()
    bus.object(SERVICE, job, "org.virtbus.job1").Cancel(0, {})
    bus.wait_signal("JobRemoved", match=lambda *a: a[3] == "canceled", since=seen)
    wait_files(folder, "source")
    assert names(pool) == ["source"]
    # And one that is let be.
    create(bus, pool, "copy.qcow2", 0, format="qcow2", clone_from="source")
    assert subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", source.Path, folder / "copy.qcow2"], capture_output=True, timeout=60).returncode == 0


def children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers(bus):
    return children(bus.owner_pid(SERVICE))


def stop_conversion(bus):
    """The qemu-img at work is stopped, so that it is in the middle for as long as a test wants."""
    def stopped():
        for pid in [p for worker in workers(bus) for p in children(worker)]:
            if Path(f"/proc/{pid}/comm").read_text() == "qemu-img\n":
                os.kill(pid, signal.SIGSTOP)
                return True
        return False

    def found():
        with suppress(FileNotFoundError, ProcessLookupError):
            return stopped()
    wait(found)


def test_killed_in_the_middle(bus, storaged, pool, folder):
    source = create(bus, pool, "source", 300 * MIB, allocation=300 * MIB)
    with open(source.Path, "r+b") as f:
        f.write(os.urandom(MIB) * 300)
    # The worker: the call fails, and nothing is left.
    volume, job = pool.CreateVolume("copy.qcow2", 0, NO_WAIT, options(format="qcow2", clone_from="source"))
    stop_conversion(bus)
    assert not nothing_unfinished(folder)
    seen = bus.mark()
    for pid in workers(bus):
        os.kill(pid, signal.SIGKILL)
    bus.wait_signal("JobRemoved", match=lambda *a: a[3] == "failed", since=seen)
    wait_files(folder, "source")
    assert create(bus, pool, "after", MIB).Capacity == MIB
    # The daemon: so does the next one.
    pool.CreateVolume("copy.qcow2", 0, NO_WAIT, options(format="qcow2", clone_from="source"))
    stop_conversion(bus)
    assert not nothing_unfinished(folder)
    bus.stop_service(SERVICE, signal.SIGKILL)
    again = bus.object(SERVICE, storaged.GetPool("p"), f"{SERVICE}.Pool")
    bus.wait_property(again, "State", "active")
    wait_files(folder, "after", "source")
    wait(lambda: subprocess.run(["pgrep", "-f", f"qemu-img.*{folder}"], stdout=subprocess.DEVNULL).returncode == 1)


@pytest.mark.timeout(300)
def test_thousand_volumes(bus, pool, folder):
    for n in range(1000):
        create(bus, pool, f"v{n:04}", MIB)
    listed = pool.ListVolumes()
    assert [v[0] for v in listed] == [f"v{n:04}" for n in range(1000)] and {v[3] for v in listed} == {MIB}
    assert len(os.listdir(folder)) == 1000
    pool.Refresh(0, {})
    assert len(names(pool)) == 1000
    for v in listed:
        bus.object(SERVICE, v[5], f"{SERVICE}.Volume").Delete(0, {})
    assert os.listdir(folder) == [] and names(pool) == []


# --- secrets ---

def test_secrets(bus, storaged):
    """Defined for something, given a value that is in no export, no argument and no readable file; gone with everything."""
    xml = ("<secret ephemeral='no' private='no'><!-- kept --><uuid>0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f</uuid><description>for a disk</description>"
           "<usage type='volume'><volume>/srv/disk</volume></usage></secret>")
    assert storaged.DefineSecret("libvirt-xml", xml, 16, {}) == "/"
    s = bus.object(SERVICE, storaged.DefineSecret("libvirt-xml", xml, 0, {}), f"{SERVICE}.Secret")
    assert (s.UsageType, s.UsageID, s.Description, s.HasValue, s.Private) == ("volume", "/srv/disk", "for a disk", False, False)
    assert storaged.GetSecretByUsage("volume", "/srv/disk") == s.path == storaged.GetSecret("0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f")
    with bus.fails("NoSuchSecret", "has no value"):
        s.GetValue(0, {})
    s.SetValue(b"open\0sesame", 0, {})
    bus.wait_property(s, "HasValue", True)
    assert bytes(s.GetValue(0, {})) == b"open\0sesame"
    assert "sesame" not in s.ExportDefinition("libvirt-xml", 0)
    folder = Path(bus.directory) / "config/virtbus/secrets"
    assert all(f.stat().st_mode & 0o777 == 0o600 for f in folder.iterdir())
    bus.stop_service(SERVICE, signal.SIGKILL)
    assert bytes(s.GetValue(0, {})) == b"open\0sesame"
    with bus.fails("SecretExists", "is for the volume /srv/disk already"):
        storaged.DefineSecret("libvirt-xml", "<secret><uuid>1a81f5b2-8403-7b23-c8d6-21ccc2f80d6f</uuid><usage type='volume'><volume>/srv/disk</volume></usage></secret>", 0, {})
    for value, text in ((b"", "from 1 to 65536 bytes"), (bytes(65537), "from 1 to 65536 bytes")):
        with bus.fails("InvalidArgs", text):
            s.SetValue(value, 0, {})
    storaged.DefineSecret("libvirt-xml", xml.replace("private='no'", "private='yes'"), 0, {})
    with bus.fails("AccessDenied", "the secret is private"):
        s.GetValue(0, {})
    with bus.fails("InvalidState", "a private secret stays private"):
        storaged.DefineSecret("libvirt-xml", xml, 0, {})
    assert [(e[1], e[2], e[3]) for e in storaged.ListSecrets()] == [("volume", "/srv/disk", True)]
    s.Undefine(0, {})
    assert list(folder.iterdir()) == [] and storaged.ListSecrets() == []
    for bad, text in (("<secret><usage type='volume'><name>x</name></usage></secret>", "it has no <volume>"), ("<secret><usage type='magic'/></secret>", "magic"),
                      ("<secret><usage type='ceph'><name>x</name><volume>/x</volume></usage></secret>", "volume is for type 'volume'")):
        with bus.fails("InvalidDefinition", text):
            storaged.DefineSecret("libvirt-xml", bad, 0, {})


def test_ephemeral_secret(bus, storaged):
    s = bus.object(SERVICE, storaged.DefineSecret("libvirt-xml", "<secret ephemeral='yes'><usage type='ceph'><name>client.x</name></usage></secret>", 0, {}),
                   f"{SERVICE}.Secret")
    s.SetValue(b"key", 0, {})
    assert bytes(s.GetValue(0, {})) == b"key" and s.Ephemeral
    assert not list((Path(bus.directory) / "config/virtbus").rglob("*.value")) and not list((Path(bus.directory) / "config/virtbus").rglob("*.cred"))


@pytest.mark.parametrize("format, suffix", [("qcow2", "qcow2"), pytest.param("raw", "luks", marks=pytest.mark.once)])
@pytest.mark.timeout(600)
def test_encrypted_volume(bus, storaged, pool, folder, format, suffix):
    secret = bus.object(SERVICE, storaged.DefineSecret("libvirt-xml", "<secret private='yes'><usage type='volume'><volume>disk key</volume></usage></secret>", 0, {}),
                        f"{SERVICE}.Secret")
    xml = (f"<volume><name>v.{suffix}</name><capacity unit='MiB'>8</capacity><target><format type='{format}'/><encryption format='luks'>"
           "<secret type='passphrase' usage='disk key'/></encryption></target></volume>")
    with bus.fails("NoSuchSecret", "has no value"):
        pool.CreateVolumeFromDefinition("libvirt-xml", xml, 0, {})
    secret.SetValue(b"open sesame", 0, {})
    path, _ = pool.CreateVolumeFromDefinition("libvirt-xml", xml, 0, {}, timeout=100)
    v = bus.object(SERVICE, path, f"{SERVICE}.Volume")
    assert (v.Format, v.Capacity) == ("luks" if format == "raw" else "qcow2", 8 * MIB)
    for word, good in (("open sesame", True), ("wrong", False)):
        assert opens(v, word) == good
    assert nothing_unfinished(folder)
    assert v.Encryption == "luks" and "<encryption format=\"luks\"" in v.ExportDefinition("libvirt-xml", 0)
    with bus.fails("NoSuchSecret", "name the secret with its passphrase"):
        v.Resize(16 * MIB, 0, {})
    assert v.Capacity == 8 * MIB
    uuid = str(UUID(bytes=bytes(secret.UUID)))
    v.Resize(16 * MIB, 0, {"secret": GLib.Variant("s", uuid)}, timeout=60)
    bus.wait_property(v, "Capacity", 16 * MIB)
    v.Resize(12 * MIB, 0, {"secret": GLib.Variant("s", uuid), "shrink": GLib.Variant("b", True)}, timeout=60)
    bus.wait_property(v, "Capacity", 12 * MIB)
    with bus.fails("NotSupported", "clone it instead"):
        create(bus, pool, "linked.qcow2", 0, format="qcow2", backing=v.Name)
    secret.Undefine(0, {})


def opens(volume, word, command="read 0 4k"):
    what = "driver=luks,key-secret=s" if volume.Format == "luks" else "driver=qcow2,encrypt.format=luks,encrypt.key-secret=s"
    result = subprocess.run(["qemu-io", "--object", f"secret,id=s,data={word}", "--image-opts", f"{what},file.driver=file,file.filename={volume.Path}",
                             "-c", command], capture_output=True, text=True, timeout=300)
    return result.returncode == 0 and " ops; " in result.stdout and "verification failed" not in result.stdout


@pytest.mark.once
@pytest.mark.timeout(600)
def test_clone_of_encrypted_volume(bus, storaged, pool, folder):
    """Encrypted again, with the same passphrase or another one, whatever the format; the content is there."""
    secrets = {}
    for name, word in (("first", "open sesame"), ("second", "another one")):
        xml = f"<secret private='yes'><usage type='volume'><volume>{name}</volume></usage></secret>"
        secrets[name] = bus.object(SERVICE, storaged.DefineSecret("libvirt-xml", xml, 0, {}), f"{SERVICE}.Secret")
        secrets[name].SetValue(word.encode(), 0, {})
    uuid = {n: str(UUID(bytes=bytes(s.UUID))) for n, s in secrets.items()}

    def encrypted(name, format, secret, **more):
        xml = (f"<volume><name>{name}</name><target><format type='{format}'/><encryption format='luks'>"
               f"<secret type='passphrase' usage='{secret}'/></encryption></target></volume>")
        path, _ = pool.CreateVolumeFromDefinition("libvirt-xml", xml, 0, options(**more), timeout=100)
        return bus.object(SERVICE, path, f"{SERVICE}.Volume")

    plain = create(bus, pool, "plain", 8 * MIB)
    with open(plain.Path, "r+b") as f:
        f.write(bytes([9]) * 65536)
    v = encrypted("v.qcow2", "qcow2", "first", clone_from="plain")
    with bus.fails("NoSuchSecret", "by the option \"clone-secret\""):
        create(bus, pool, "w.qcow2", 0, clone_from="v.qcow2")
    raw = create(bus, pool, "raw.luks", 16 * MIB, format="raw", clone_from="v.qcow2", clone_secret=uuid["first"])
    assert (raw.Format, raw.Encryption, raw.Capacity) == ("luks", "luks", 16 * MIB) and opens(raw, "open sesame", "read -P 9 0 64k")
    other = encrypted("other.qcow2", "qcow2", "second", clone_from="raw.luks", clone_secret=uuid["first"])
    assert other.Capacity == 16 * MIB and opens(other, "another one", "read -P 9 0 64k")
    before = sorted(os.listdir(folder))
    with bus.fails("PoolFailed", "Invalid password"):
        create(bus, pool, "no.qcow2", 0, clone_from="v.qcow2", clone_secret=uuid["second"])
    with bus.fails("InvalidDefinition", "only raw and qcow2 images can be encrypted"):
        create(bus, pool, "no.vmdk", 0, format="vmdk", clone_from="v.qcow2", clone_secret=uuid["first"])
    for more, text in (({"clone_from": "plain"}, "plain is not encrypted"), ({}, "which is missing")):
        with bus.fails("InvalidArgs", text):
            create(bus, pool, "no", MIB, clone_secret=uuid["first"], **more)
    secrets["first"].Undefine(0, {})
    with bus.fails("NoSuchSecret"):
        create(bus, pool, "no.qcow2", 0, clone_from="v.qcow2", clone_secret=uuid["first"])
    assert sorted(os.listdir(folder)) == before


# --- bad input ---

@pytest.mark.parametrize("name, text", [("", "is empty"), ("a/b", "has a '/'"), ("..", "begins with a '.'"), (".hidden", "begins with a '.'"),
                                        ("-rf", "begins with a '-'"), ("a\nb", "control characters"), ("x" * 256, "longer than 255 bytes")])
def test_bad_names(bus, pool, folder, name, text):
    with bus.fails("InvalidDefinition", text):
        pool.CreateVolume(name, MIB, 0, {})
    assert os.listdir(folder) == []


@pytest.mark.parametrize("capacity, text", [("<capacity>0</capacity>", "0 bytes is of no use"), ("", "it has no <capacity>"),
                                            ("<capacity>18446744073709551616</capacity>", "capacity"), ("<capacity unit='EiB'>8</capacity>", "8 EiB"),
                                            ("<capacity unit='GBB'>10</capacity>", "is not a unit"), ("<capacity>10 GB</capacity>", "a whole number")])
def test_bad_sizes(bus, pool, folder, capacity, text):
    with bus.fails("InvalidDefinition", text):
        pool.CreateVolumeFromDefinition("libvirt-xml", f"<volume><name>v</name>{capacity}</volume>", 0, {})
    assert os.listdir(folder) == []


def test_bad_places(bus, storaged, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    os.symlink("loop", tmp_path / "loop")
    for name, text in ("file", "Not a directory"), ("loop", "Too many levels of symbolic links"), ("none", "No such file"):
        p = define(bus, storaged, tmp_path / name, name)
        with bus.fails("PoolFailed", f"{tmp_path / name} can't be used: {text}"):
            p.Start(0, {})
        assert p.State == "inactive"
    with bus.fails("PoolExists", 'is where the pool "file" is'):
        define(bus, storaged, tmp_path / "file", "again")
    for path, text in ("relative", "is not absolute"), ("/", "the whole system"), ("/srv/../etc", '".." in it'):
        with bus.fails("InvalidDefinition", f'"{path}" ' if path == "relative" else text):
            define(bus, storaged, path, "bad")
    for xml, text in ((pool_xml("/x").replace("'dir'", "'dri'"), "dri"), (pool_xml("/x", more="<colour/>"), "colour"),
                      ("<pool type='sheepdog'><name>x</name></pool>", "Sheepdog is not developed any more"),
                      ("<pool type='fs'><name>x</name><source><device path='/dev/x'/></source><target><path>/x</path></target></pool>", "has no pools of type 'fs'"),
                      (pool_xml("/x", more="<source><host name='a'/></source>"), "has no such thing")):
        with pytest.raises(BusError, match=text):
            storaged.DefinePool("libvirt-xml", xml, 0, {})


def header(size, backing=b""):
    """A qcow2 header that says what it likes."""
    at = 112 if backing else 0
    return (b"QFI\xfb" + (3).to_bytes(4, "big") + at.to_bytes(8, "big") + len(backing).to_bytes(4, "big") + (16).to_bytes(4, "big") + size.to_bytes(8, "big") +
            bytes(104 - 32 - 4) + (104).to_bytes(4, "big") + bytes(8) + backing)


def test_hostile_images(bus, pool, folder):
    (folder / "huge.qcow2").write_bytes(header(1 << 63))
    (folder / "short.qcow2").write_bytes(b"QFI\xfb")
    (folder / "shadow.qcow2").write_bytes(header(GIB, b"/etc/shadow"))
    (folder / "self.qcow2").write_bytes(header(GIB, b"self.qcow2"))
    (folder / "raw").write_bytes(header(GIB, b"/etc/shadow"))
    os.symlink("/etc/passwd", folder / "link")
    os.symlink("around", folder / "around")
    os.mkfifo(folder / "pipe")
    pool.Refresh(0, {})
    volumes = {n: bus.object(SERVICE, pool.GetVolume(n), f"{SERVICE}.Volume") for n in names(pool)}
    assert set(volumes) == {"huge.qcow2", "short.qcow2", "shadow.qcow2", "self.qcow2", "raw", "link"}
    assert volumes["huge.qcow2"].Problem == "says that it is larger than anything can be"
    assert "is no qcow2 image" in volumes["short.qcow2"].Problem
    assert volumes["shadow.qcow2"].BackingPath == "/etc/shadow" and volumes["shadow.qcow2"].Capacity == GIB
    assert volumes["raw"].Format == "raw" and volumes["raw"].BackingPath == "", "a guest may write what it likes into a raw image"
    with bus.fails("ImageFailed", "is made from /etc/shadow, which is in no active pool"):
        pool.CreateVolume("stolen", 0, 0, options(format="raw", clone_from="shadow.qcow2"))
    with bus.fails("ImageFailed", "has more than 64 files"):
        pool.CreateVolume("endless", 0, 0, options(format="raw", clone_from="self.qcow2"))
    with bus.fails("ImageFailed", "larger than anything"):
        pool.CreateVolume("huge", 0, 0, options(format="raw", clone_from="huge.qcow2"))
    with bus.fails("NoSuchVolume"):
        pool.CreateVolume("x.qcow2", GIB, 0, options(format="qcow2", backing="/etc/shadow"))
    with bus.fails("InvalidDefinition", "formats are not guessed"):
        pool.CreateVolumeFromDefinition("libvirt-xml", "<volume><name>n.qcow2</name><capacity>1</capacity><target><format type='qcow2'/></target>"
                                        "<backingStore><path>/b</path></backingStore></volume>", 0, {})
    assert nothing_unfinished(folder) and "stolen" not in os.listdir(folder)


def test_full_disk(bus, storaged, tmp_path):
    """On a file system of its own: an error that says so, nothing half done, the pool as it was."""
    if os.getuid() != 0:
        pytest.skip("needs root to mount a tmpfs")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "small", small], capture_output=True).returncode:
        pytest.skip("mounts are not allowed here")
    try:
        seen = bus.mark()
        p = define(bus, storaged, small)
        p.Start(0, {})
        with bus.fails("NoSpace", "bytes are wanted for big"):
            p.CreateVolume("big", 64 * MIB, 0, options(allocation=64 * MIB))
        source = create(bus, p, "source", 64 * MIB)
        with open(source.Path, "r+b") as f:
            f.write(os.urandom(10 * MIB))
        with bus.fails("NoSpace"):
            p.CreateVolume("copy.qcow2", 0, 0, options(format="qcow2", clone_from="source"), timeout=60)
        with bus.fails("NoSpace"):
            source.Resize(128 * MIB, 0, options(allocate=True))
        assert os.listdir(small) == ["source"] and source.Capacity == 64 * MIB
        # What a failed attempt had taken is free again a moment later.
        wait(lambda: os.statvfs(small).f_bavail * os.statvfs(small).f_bsize > 5 * MIB)
        with bus.fails("NoSpace"), open("/dev/urandom", "rb") as f:
            source.Upload(f.fileno(), 0, 32 * MIB, 0, {})
        bus.wait_signal("Watermark", since=seen)
        source.Delete(0, {})
        bus.wait_property(p, "Available", lambda v: v > 15 * MIB)
        assert p.State == "active"
        p.Stop(0, {})
    finally:
        subprocess.run(["umount", small], check=False)


def test_removed_while_it_is_used(bus, pool, folder):
    v = create(bus, pool, "v", MIB)
    os.unlink(folder / "v")
    with pytest.raises(BusError, match="NoSuchVolume|UnknownObject"):
        v.Open(0, {})
    wait(lambda: names(pool) == [])
    shutil.rmtree(folder)
    bus.wait_property(pool, "State", "unreachable")
    pool.Stop(0, {})
    assert pool.State == "inactive"


def test_definitions_are_read_again(bus, storaged, tmp_path):
    """What was written, changed and removed by hand; a pool that is active stays as it is."""
    folder = Path(bus.environment["XDG_CONFIG_HOME"]) / "virtbus" / "pools"
    p = define(bus, storaged, tmp_path, "stays")
    p.Start(0, {})
    define(bus, storaged, tmp_path / "x", "goes")
    (folder / "goes.xml").unlink()
    (folder / "comes.xml").write_text(pool_xml(tmp_path / "y", "comes"))
    (folder / "bad.xml").write_text("<pool type='dir'><name>bad</name>")
    text = (folder / "stays.xml").read_text()
    (folder / "stays.xml").write_text(text.replace("</name>", "</name><!-- by hand -->").replace(str(tmp_path), str(tmp_path / "z")))
    os.kill(bus.owner_pid(SERVICE), signal.SIGHUP)
    deadline = time.monotonic() + 60
    while {row[0] for row in storaged.ListPools()} != {"stays", "comes", "bad"}:
        assert time.monotonic() < deadline, storaged.ListPools()
        time.sleep(0.05)
    assert p.State == "active" and str(tmp_path / "z") in p.ExportDefinition("libvirt-xml", 2) and p.TargetPath == str(tmp_path)
    p.Stop(0, {})
