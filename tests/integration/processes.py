# SPDX-License-Identifier: LGPL-2.1-or-later
"""What /proc says of a process whose threads and files come and go meanwhile: those that went are not among it."""

import os
import re
from contextlib import suppress


def threads_of(pid):
    """The words of /proc/PID/task/TID/status, of each thread by its number."""
    found = {}
    folder = f"/proc/{pid}/task"
    for task in os.listdir(folder):
        with suppress(FileNotFoundError, ProcessLookupError), open(f"{folder}/{task}/status", encoding="ascii") as f:
            found[int(task)] = dict(re.findall(r"^(\w+):\t(.*)$", f.read(), re.M))
    return found


def files_of(pid):
    """What its descriptors are of."""
    found = []
    folder = f"/proc/{pid}/fd"
    for fd in os.listdir(folder):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"{folder}/{fd}"))
    return found
