# SPDX-License-Identifier: LGPL-2.1-or-later
"""What debug builds of the daemons say about events that held up everything else, see common/loop.c: named, and judged."""

import os
import re
import subprocess
from pathlib import Path

from pace import at_most

LIMIT = 20      # milliseconds, as in common/loop.h
LONG_SLEEP = 5 * LIMIT
OFTEN = 3       # times that a sleep is seen at one place before it counts as the place's own
SAID = re.compile(r"everything waited (\d+) ms for one event to be handled: (\d+) ms of work, (\d+) ms of sleep, in(.*)")

# Functions and methods that may take longer, and why.
ALLOWED = {
    "org.freedesktop.DBus.ObjectManager.GetManagedObjects": "the library makes the answer in one go: 0.3 ms for each VM that has five devices",
    "file_write_atomic": "what is answered is on the disk; tests have on a disk what is otherwise in /run, too",
    "file_sync_name": "the same for a name in a folder",
    "xml_library_load": "libxml2 is loaded with the first definition, from a disk",
    "fdstore_keep": "systemd's socket takes some hundred descriptors, and is full for a moment when a thousand come at once",
}


def functions(words, build):
    """The names of our functions among "virtqemud+0x1f30 libc.so.6+0x…", the innermost first."""
    names = []
    for program, _, address in (word.partition("+") for word in words):
        if not address:
            names.append(program)
        elif path := next((p for p in Path(build).glob(f"*/{program}") if p.is_file()), None):
            said = subprocess.run(["addr2line", "-f", "-e", path, address], capture_output=True, text=True, check=False)
            names.append(said.stdout.partition("\n")[0])
        else:
            names.append(program.partition(".so")[0])
    return names


def complaints(log, build=None):
    """Lines of a log about events that took too long. Work is ours. A sleep may be others' doing: who waits for a disk, a lock of the
    kernel's or for a program to start waits longer where others want those, too. So a short one has to come again at the same place."""
    found, slept = [], {}
    for line in log.splitlines():
        if not (said := SAID.search(line)):
            continue
        work, sleep = int(said[2]), int(said[3])
        names = functions(said[4].split(), build or os.environ["VIRTBUS_BUILD"])
        if ALLOWED.keys() & set(names):
            continue
        complaint = f"{line[:said.start(4)]} {' < '.join(names)}"
        if work > LIMIT or sleep > at_most(LONG_SLEEP):
            found.append(complaint)
        elif work + sleep > at_most(LIMIT):
            slept.setdefault(tuple(names), []).append(complaint)
    return found + [line for lines in slept.values() if len(lines) >= OFTEN for line in lines]
