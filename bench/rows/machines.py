# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starting and stopping virtual machines."""

import os
import signal
import statistics

from table import Scene, median, now, took

NAMES = [f"m{i}" for i in range(20)]


def setup(side):
    for name in NAMES:
        side.define(name)


def teardown(side):
    for name in NAMES:
        side.undefine(name)


SCENE = Scene("machines", setup, teardown)
row = SCENE.row


@row("start", "start, until the guest runs", over="what of it comes on top of the bare QEMU")
def start(side):
    times = []
    for name in NAMES[:5]:
        times.append(took(side.start, name))
        side.stop(name)
    return statistics.median(times)


@row("stop", "stop at once (destroy)")
def stop(side):
    times = []
    for name in NAMES[:5]:
        side.start(name)
        times.append(took(side.stop, name))
    return statistics.median(times)


@row("parallel", "20 starts at once, until the last guest runs")
def parallel(side):
    ms = side.start_all(NAMES)
    for name in NAMES:
        side.stop(name)
    return ms


@row("stopped", "stop of one whose QEMU is stopped (SIGSTOP)", once=True)
def stopped(side):
    side.start(NAMES[0])
    os.kill(side.pid(NAMES[0]), signal.SIGSTOP)
    return took(side.stop, NAMES[0])


@row("pause", "pause and resume, until both events are there")
def pause(side):
    side.listen()
    side.start(NAMES[0])
    side.wait_event("running")

    def both(_):
        side.suspend(NAMES[0])
        side.wait_event("paused")
        side.resume(NAMES[0])
        side.wait_event("running")
    try:
        return median(both, 9)
    finally:
        side.stop(NAMES[0])


@row("death", "death of a QEMU, until the event is there")
def death(side):
    side.listen()
    times = []
    for name in NAMES[:3]:
        side.start(name)
        side.wait_event("running")
        began = now()
        os.kill(side.pid(name), signal.SIGKILL)
        side.wait_event("shutoff")
        times.append(now() - began)
    return statistics.median(times)
