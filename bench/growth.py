# SPDX-License-Identifier: LGPL-2.1-or-later
"""How things grow with the number of definitions: what takes one of them has to stay as it is, what takes all may grow as their number."""

import math
from dataclasses import dataclass
from typing import Callable

from table import median, now, took

NUMBERS = (10, 100, 1000, 5000)


@dataclass
class Step:
    title: str
    unit: str
    constant: bool      # else linear
    measure: Callable   # of a side and how many are defined

    def __call__(self, side, n):
        return self.measure(side, n)


def spread(n, i):
    """The i-th of some that lie far from each other."""
    return f"g{i * 37 % n}"


def more(side, _n):
    times = [took(side.define, f"more{i}") for i in range(25)]
    return sorted(times)[12]


def less(side, _n):
    times = [took(side.undefine, f"more{i}") for i in range(25)]
    return sorted(times)[12]


def restart(side, _n):
    def once(_):
        side.stop_manager()
        began = now()
        side.connect()
        side.list_states()
        return now() - began
    return sorted(once(i) for i in range(3))[1]


def memory(side, _n):
    side.list_states()      # one that had nothing to do may have ended
    return side.memory()


STEPS = {
    "define": Step("define one more", "ms", True, more),
    "undefine": Step("undefine it", "ms", True, less),
    "by-name": Step("find one by its name", "ms", True, lambda side, n: median(lambda i: side.by_name(spread(n, i)), 100)),
    "by-uuid": Step("find one by its UUID", "ms", True, lambda side, n: median(lambda i: side.by_uuid(spread(n, i)), 100)),
    "one": Step("all properties of one", "ms", True, lambda side, n: median(lambda i: side.properties_of(spread(n, i)), 50)),
    "list": Step("names and states of all", "ms", False, lambda side, n: median(lambda _: side.list_states(), 9)),
    "properties": Step("properties of all", "ms", False, lambda side, n: median(lambda _: side.properties_of_all(), 9)),
    "restart": Step("first answer after a restart", "ms", False, restart),
    "memory": Step("memory (PSS) of the daemons", "MB", False, memory),
}


def fill(side, n, there):
    for i in range(there, n):
        side.define(f"g{i}")


def clear(side, n):
    for i in range(n):
        side.undefine(f"g{i}")


# What a client is asked for.
VERBS = {**STEPS, "fill": fill, "clear": clear}


def exponent(figures):
    """k in n^k that fits best to the last three: of few, all costs are constant ones."""
    points = [(math.log(n), math.log(max(figure, 1e-9))) for n, figure in figures[-3:]]
    middle_x, middle_y = (sum(v) / len(points) for v in zip(*points))
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / sum((x - middle_x) ** 2 for x, _ in points)


def verdict(step, figures):
    k = exponent(figures)
    if step.constant:
        return "constant" if k < 0.25 else f"GROWS, n^{k:.1f}"
    return "constant" if k < 0.25 else "linear or less" if k < 1.2 else f"WORSE than linear, n^{k:.1f}"
