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


def names_of(path, addresses):
    """{address: functions}: the one that a call is in, and those that the compiler has put it into, the innermost first."""
    # A return address is behind the call, which may be another function's place already.
    before = [hex(int(address, 16) - 1) for address in addresses]
    said = subprocess.run(["addr2line", "-a", "-i", "-f", "-e", path, *before], capture_output=True, text=True, check=False).stdout
    found = [part.splitlines()[1::2] for part in re.split(r"^(?=0x[0-9a-f]+$)", said, flags=re.M)[1:]]
    return dict(zip(addresses, found))


def functions(words, build):
    """{word: names of our functions} for "virtqemud+0x1f30", "libc.so.6+0x…": one look at each program, which is large."""
    named, addresses = {}, {}
    for word in dict.fromkeys(words):
        program, _, address = word.partition("+")
        path = address and next((p for p in Path(build).glob(f"*/{program}") if p.is_file()), None)
        if path:
            addresses.setdefault(path, {})[word] = address
        else:
            named[word] = [program.partition(".so")[0] if address else program]
    for path, wanted in addresses.items():
        found = names_of(path, list(wanted.values()))
        named |= {word: found.get(address, []) for word, address in wanted.items()}
    return named


def complaints(log, build=None):
    """Lines of a log about events that took too long. Work is ours. A sleep may be others' doing: who waits for a disk, a lock of the
    kernel's or for a program to start waits longer where others want those, too. So a short one has to come again at the same place."""
    found, slept = [], {}
    lines = [(line, said) for line in log.splitlines() if (said := SAID.search(line))]
    named = functions([word for _, said in lines for word in said[4].split()], build or os.environ.get("VIRTBUS_BUILD", ""))
    for line, said in lines:
        work, sleep = int(said[2]), int(said[3])
        names = [name for word in said[4].split() for name in named[word]]
        if ALLOWED.keys() & set(names):
            continue
        complaint = f"{line[:said.start(4)]} {' < '.join(names)}"
        if work > LIMIT or sleep > at_most(LONG_SLEEP):
            found.append(complaint)
        elif work + sleep > at_most(LIMIT):
            slept.setdefault(tuple(names), []).append(complaint)
    return found + [line for lines in slept.values() if len(lines) >= OFTEN for line in lines]
