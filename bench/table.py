# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is measured: scenes of rows. A scene is set up on every side, then its rows are measured in turns, then it is taken down."""

import importlib
import statistics
import time
from dataclasses import dataclass, field
from typing import Callable

MODULES = ("idle", "definitions", "machines", "fleet", "network", "storage", "log")


class Missing(Exception):
    """A side has nothing of the kind."""


@dataclass
class Row:
    name: str
    title: str
    unit: str
    measure: Callable       # of a side; returns the figure
    more: bool = False      # more is better
    once: bool = False      # too slow to repeat
    over: str = ""          # title of a line that says how much more it is than what the bare side needs


@dataclass
class Scene:
    name: str
    setup: Callable = lambda side: None
    teardown: Callable = lambda side: None
    rows: list = field(default_factory=list)

    def row(self, name, title, unit="ms", **more):
        """Decorates a function of a side that returns the figure."""
        def add(f):
            self.rows.append(Row(f"{self.name}.{name}", title, unit, f, **more))
            return f
        return add


def over_bare(row, values):
    """The row of what comes on top of the bare side, with its figures."""
    bare = statistics.median(values["bare"])
    more = {side: [v - bare for v in of_side] for side, of_side in values.items() if side != "bare"}
    return Row(row.name, row.over, row.unit, row.measure), more


def scenes():
    return [importlib.import_module(f"rows.{m}").SCENE for m in MODULES]


def now():
    """Milliseconds."""
    return time.monotonic_ns() / 1e6


def took(f, *args):
    began = now()
    f(*args)
    return now() - began


def median(f, n):
    """Of the milliseconds of n calls, each told its number."""
    return statistics.median(took(f, i) for i in range(n))


def wait(condition, timeout=60, pause=0.002):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come about")
        time.sleep(pause)
