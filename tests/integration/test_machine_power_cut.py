# SPDX-License-Identifier: LGPL-2.1-or-later
"""Power cuts at any moment, on disks that forget what they were not told to keep: what was answered is there, and nothing is half. With ext4, and
with networks on xfs."""

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from host import HERE
from log_writes import WriteLog

pytestmark = [pytest.mark.machine, pytest.mark.timeout(600)]

SLOW = 300
SEED = int(os.environ.get("VIRTBUS_POWER_CUT_SEED", "9"))
CHANGES = int(os.environ.get("VIRTBUS_POWER_CUT_CHANGES", "12"))
CUTS_OF_EACH = 2        # besides the one right after the answer
BACK = (1.0,)      # where daemons are started on what is left, as parts of the whole


def content(path):
    if path.is_symlink():
        return "-> " + os.readlink(path)
    return path.read_bytes().hex()


def read_ext4(image, folder):
    """What a kernel would find on it: the journal replayed, and no other damage."""
    done = subprocess.run(["e2fsck", "-fy", image], capture_output=True, text=True, timeout=60)
    assert done.returncode < 4, done.stdout + done.stderr
    subprocess.run(["debugfs", "-R", f"rdump / {folder}", image], check=True, capture_output=True, timeout=60)


def read_xfs(image, folder):
    """Nothing but the kernel replays its log. No process but this one sees the mount."""
    script = 'set -e; mount -o loop,nouuid "$0" "$2"; cp -a "$2/." "$1"; umount "$2"; xfs_repair -n -o force_geometry "$0" >&2'
    point = folder.with_name("mount")
    point.mkdir(exist_ok=True)
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script, image, folder, point], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def files_of(read, image, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    read(image, folder)
    found = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = folder / base / name
            found[str(path.relative_to(folder))] = content(path)
    return found


def is_left_over(path):
    return os.path.basename(path).startswith(".#")


def compare(found, folders, before, after, where):
    """Each file is as it was after one answer or the next; one that says which of them is as it should be by now. Returns which are wrong."""
    wrong = []
    for path in sorted(set(found) | set(before) | set(after)):
        if is_left_over(path) or not path.startswith(folders) or (path not in before and path not in after and path.startswith(OTHERS)):
            continue
        allowed = {before.get(path), after.get(path)}
        if found.get(path) not in allowed:
            wrong.append(f"{where}: {path} is {tell(found.get(path))}, not {' or '.join(map(tell, allowed))}")
    return wrong


OTHERS = ("lib/log/", "lib/qemu/", "lib/machines", "lib/lock/")


def tell(content):
    if content is None:
        return "not there"
    return f"{len(content) // 2} bytes {bytes.fromhex(content)[:60]!r}" if not content.startswith("-> ") else content


@pytest.fixture(scope="module")
def recorded(installed_machine):
    m = installed_machine
    m.put("/root/power-cut", (HERE / "power-cut").read_text(), mode=0o755)
    m.run(f"/root/power-cut {SEED} {CHANGES}", timeout=SLOW)
    steps = json.loads((m.shared / "power-cut.json").read_text())
    yield m, steps
    m.run("rm -f /root/power-cut /mnt/shared/power-cut.*")


def cut(log, steps, image, look):
    """look() at the disk after each answer, and as it may be at other moments until the next one."""
    dice = random.Random(SEED)
    marks = [at for at, text in log.marks() if text.startswith("answered-")]
    assert len(marks) == len(steps) == CHANGES + 1
    trial, cuts, synced = image.with_name("trial"), 0, 0
    with open(image, "wb") as f:
        f.truncate(48 << 20)
    for n in range(len(steps)):
        last = n + 1 == len(steps)
        end = len(log.writes) if last else marks[n + 1]
        points = [marks[n], *sorted(dice.randint(marks[n], end) for _ in range(0 if last else CUTS_OF_EACH))]
        for i, point in enumerate(points):
            safe = log.synced(point)
            with open(image, "r+b") as f:
                log.play(f, synced, safe)
            synced = max(synced, safe)
            subprocess.run(["cp", "--sparse=always", image, trial], check=True)
            with open(trial, "r+b") as f:
                log.play_rest(f, safe, point, dice if i else None)
            cuts += 1
            look(trial, n, i == 0, f"cut {point} of {len(log.writes)}, after change {n} ({steps[n][0]}), before {steps[min(n + 1, len(steps) - 1)][0]}")
    print(f"{cuts} power cuts in {len(log.writes)} writes of {CHANGES} changes")


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_what_was_answered_is_there(recorded, tmp_path, kind):
    machine, steps = recorded
    if kind == "xfs" and "xfs" not in Path("/proc/filesystems").read_text() and subprocess.run(["modprobe", "xfs"], capture_output=True).returncode:
        pytest.skip("this kernel has no xfs to replay a log of it")
    read, folders = {"ext4": (read_ext4, ("etc/", "lib/", "units/")), "xfs": (read_xfs, ("networks/",))}[kind]
    back = [int(part * CHANGES) for part in BACK]
    wrong = []

    def look(image, n, answered, where):
        before = steps[n][1]
        after = before if answered else steps[n + 1][1]
        wrong.extend(compare(files_of(read, image, tmp_path / "tree"), folders, before, after, where))
        if kind == "ext4" and answered and n in back:
            wrong.extend(started(machine, image, before))
    log = WriteLog(machine.shared / f"power-cut.{kind}")
    cut(log, steps, tmp_path / "disk", look)
    log.close()
    assert not wrong, "\n".join(wrong)


def started(machine, image, expected):
    """The daemons start on it, have what was answered, and call nothing broken."""
    subprocess.run(["cp", "--sparse=always", image, machine.shared / "power-cut.image"], check=True)
    said = json.loads(machine.run("cp --sparse=always /mnt/shared/power-cut.image /tmp/power-cut.image && /root/power-cut back /tmp/power-cut.image && "
                                  "rm /tmp/power-cut.image", timeout=SLOW).stdout)

    def stems(folder):
        return sorted(os.path.basename(p)[:-4] for p in expected if p.startswith(f"etc/{folder}/") and p.endswith(".xml") and p.count("/") == 2)
    wrong = [f"after a power cut: {kind} are {said[kind]}, not {stems(folder)}" for kind, folder, names in (
        ("domains", "domains", [n for n, _ in said["domains"]]), ("networks", "networks", said["networks"]), ("pools", "pools", [n for n, _ in said["pools"]]))
        if sorted(names) != stems(folder)]
    return wrong + [f"after a power cut: {kind} {name} is broken" for kind in ("domains", "pools") for name, state in said[kind] if state == "broken"]
