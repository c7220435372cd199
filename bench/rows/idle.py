# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nothing is defined."""

from table import Scene, median

SCENE = Scene("idle")
row = SCENE.row


@row("memory", "memory (PSS) of all daemons, all of them running", "MB")
def memory(side):
    side.wake_all()
    return side.memory()


@row("cold", "first answer when nothing runs")
def cold(side):
    def first(_):
        side.connect()
        side.list_states()
    times = []
    for i in range(3):
        side.stop_daemons()
        times.append(median(first, 1))
    return min(times)
