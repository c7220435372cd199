# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a test left behind: processes, mounts and files. Found, named, ended by pid."""

import ctypes
import os
import select
import signal
import stat
import time
from pathlib import Path

from pace import Deadline

PR_SET_CHILD_SUBREAPER = 36
MARKER = "VIRTBUS_TEST_ID"


def adopt_orphans():
    """Make this process the parent of whatever its descendants leave behind, so that nothing can slip away."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a child subreaper")


def _stat(pid):
    """(parent, state, start time) of a process, or None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), fields[0], int(fields[19])


def processes():
    """{pid: (parent, state, start time)} of all processes that can be seen."""
    table = {int(p): _stat(p) for p in os.listdir("/proc") if p.isdigit()}
    return {pid: info for pid, info in table.items() if info}


def descendants(root, table, without=()):
    """Pids below root, leaving out each pid in `without` and all that is below it."""
    children = {}
    for pid, info in table.items():
        children.setdefault(info[0], []).append(pid)
    found, todo = set(), [root]
    while todo:
        new = [p for p in children.get(todo.pop(), ()) if p not in without]
        found.update(new)
        todo += new
    return found


def describe(pid):
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        words = []
    return f"{pid} ({' '.join(w.decode(errors='replace') for w in words)[:300] or 'no command line'})"


def marked(test_id, pids):
    """Those whose environment carries the test's marker, wherever they hang in the process tree."""
    wanted = f"{MARKER}={test_id}".encode()
    found = set()
    for pid in pids:
        try:
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.add(pid)
        except OSError:
            continue
    return found


def wait_end(pid, timeout):
    """Wait until a process has ended, a zombie or gone. Returns whether it has."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        # Not select(): a test that holds a thousand files comes here, too.
        end = select.poll()
        end.register(fd, select.POLLIN)
        return bool(end.poll(max(0, timeout) * 1000))
    finally:
        os.close(fd)


class Watch:
    """Everything that is started below this process after start(), or carries the marker."""

    def __init__(self, test_id, directory):
        self.test_id = test_id
        self.directory = Path(directory)
        self.before = descendants(os.getpid(), processes())
        # In the kernel's ticks; whoever is older than this cannot carry the marker and is not looked at.
        self.began = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")) - 1

    def alive(self):
        """Pids of the test's processes that still run."""
        table = processes()
        mine = descendants(os.getpid(), table, without=self.before)
        mine |= marked(self.test_id, [pid for pid, info in table.items() if info[2] >= self.began and pid not in mine])
        return {p for p in mine if table[p][1] not in "ZX" and p != os.getpid()}

    def named(self, name):
        """Pids of those that run a program of that name, of which the kernel knows 15 letters."""
        found = []
        for pid in sorted(self.alive()):
            try:
                found += [pid] if Path(f"/proc/{pid}/comm").read_text(errors="replace").strip() == name else []
            except OSError:
                pass
        return found

    def settle(self, seconds, but=frozenset()):
        """Give what is ending time to end, then return what still runs, other than the pids in `but`."""
        deadline = Deadline(seconds)
        while (left := self.alive() - but) and not deadline.passed():
            time.sleep(0.02)
        return left

    def kill(self, pids):
        """End processes by pid and wait until they are gone."""
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + 5
        for pid in pids:
            wait_end(pid, deadline - time.monotonic())

    def reap(self):
        """Let go of the dead that became our children: each look at all processes would come past them."""
        for pid, (parent, state, _) in processes().items():
            if parent == os.getpid() and state == "Z" and pid not in self.before:
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    continue

    def mounts(self):
        """Mount points below the test's directory."""
        prefix = f"{self.directory.resolve()}/"
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line.split()[4] for line in lines if line.split()[4].startswith(prefix)]


def sockets_below(directory):
    return [p for p in files_below(directory) if stat.S_ISSOCK(p.lstat().st_mode)]


def files_below(directory):
    """All that is no directory below a directory, sorted."""
    return sorted(Path(base) / name for base, dirs, names in os.walk(directory)
                  for name in [*names, *(d for d in dirs if os.path.islink(os.path.join(base, d)))])
