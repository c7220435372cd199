# SPDX-License-Identifier: LGPL-2.1-or-later
"""50 virtual machines run, each with a disk and a balloon."""

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from sides.base import DISK
from table import Scene, took, wait

NAMES = [f"f{i}" for i in range(50)]
DISKS = Path("/srv/bench-disks")


def setup(side):
    side.statistics     # who has none stays out
    DISKS.mkdir(exist_ok=True)
    DISKS.chmod(0o755)
    for name in NAMES:
        disk = DISKS / name
        disk.write_bytes(bytes(1 << 20))
        side.define(name, devices=DISK.format(path=disk) + "<memballoon model='virtio'/>")
    for i in range(0, len(NAMES), 10):
        side.start_all(NAMES[i:i + 10])
    time.sleep(10)  # firmware has found nothing to boot


def teardown(side):
    for name in NAMES:
        side.stop(name)
        side.undefine(name)


SCENE = Scene("fleet", setup, teardown)
row = SCENE.row


@row("statistics", "all statistics of 50 that run")
def statistics_of_all(side):
    def one(_):
        time.sleep(0.7)     # older than what may be answered from memory
        return took(side.statistics)
    times = sorted(one(i) for i in range(5))
    return times[2]


@row("memory", "memory (PSS) of all that is no QEMU, 50 VMs run", "MB")
def memory(side):
    return side.memory()


@row("adopt", "daemon started anew: 50 are known, and one was paused and resumed")
def adopt(side):
    side.stop_manager()

    def whole():
        side.connect()
        wait(lambda: side.count_running() == len(NAMES))
        side.suspend(NAMES[-1])
        side.resume(NAMES[-1])
    return took(whole)


@contextmanager
def one_stopped(side):
    """One QEMU is stopped, for 20 seconds at most: a call to libvirt may well wait for it as long as it is."""
    pid = side.pid(NAMES[0])
    goes_on = threading.Timer(20, os.kill, (pid, signal.SIGCONT))
    os.kill(pid, signal.SIGSTOP)
    goes_on.start()
    try:
        yield
    finally:
        goes_on.cancel()
        os.kill(pid, signal.SIGCONT)


def watch(side, done):
    """Another client asks for all statistics again and again, as programs do that watch."""
    other = type(side)()
    other.connect()
    while not done.wait(1):
        other.statistics()
    other.disconnect()


@row("others", "worst of list, properties, pause of others while one QEMU is stopped", once=True)
def others(side):
    done = threading.Event()
    thread = threading.Thread(target=watch, args=(side, done))

    def worst(name):
        return max(took(side.list_states), took(side.properties_of_all), took(side.properties_of, name), took(side.suspend, name),
                   took(side.resume, name))
    try:
        with one_stopped(side):
            thread.start()
            time.sleep(2)
            return max(worst(NAMES[1 + i]) for i in range(10))
    finally:
        done.set()
        thread.join()


@row("statistics-others", "worst call for all statistics while one QEMU is stopped (for 20 s)", once=True)
def statistics_of_others(side):
    def one():
        time.sleep(0.7)
        return took(side.statistics)
    with one_stopped(side):
        return max(one() for _ in range(3))
