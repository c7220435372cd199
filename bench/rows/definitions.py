# SPDX-License-Identifier: LGPL-2.1-or-later
"""1,000 virtual machines are defined."""

from table import Scene, median, now

N, MORE = 1000, 100


def setup(side):
    side.list_states    # who has no lists stays out
    for i in range(N):
        side.define(f"d{i}")


def teardown(side):
    for i in range(N):
        side.undefine(f"d{i}")


SCENE = Scene("definitions", setup, teardown)
row = SCENE.row


def rate(f):
    began = now()
    for i in range(MORE):
        f(f"more{i}")
    return MORE * 1000 / (now() - began)


@row("define", "define, beside 1,000 others", "/s", more=True)
def define(side):
    try:
        return rate(side.define)
    finally:
        rate(side.undefine)


@row("undefine", "undefine, beside 1,000 others", "/s", more=True)
def undefine(side):
    rate(side.define)
    return rate(side.undefine)


@row("list", "names and states of 1,000")
def list_states(side):
    return median(lambda _: side.list_states(), 5)


@row("properties", "states, memory, vCPUs, autostart of 1,000")
def properties(side):
    return median(lambda _: side.properties_of_all(), 5)


@row("one", "all properties of one of 1,000")
def one(side):
    return median(lambda i: side.properties_of(f"d{i}"), 25)


@row("by-name", "one of 1,000 by its name")
def by_name(side):
    return median(lambda i: side.by_name(f"d{i * 7}"), 50)


@row("by-uuid", "one of 1,000 by its UUID")
def by_uuid(side):
    return median(lambda i: side.by_uuid(f"d{i * 7}"), 50)


@row("list-socket", "names and states of 1,000, over the daemon's own socket")
def list_over_socket(side):
    with side.own_socket():
        return list_states(side)


@row("properties-socket", "states, memory, vCPUs, autostart of 1,000, over the daemon's own socket")
def properties_over_socket(side):
    with side.own_socket():
        return properties(side)


@row("by-uuid-socket", "one of 1,000 by its UUID, over the daemon's own socket")
def by_uuid_over_socket(side):
    with side.own_socket():
        return by_uuid(side)


@row("memory", "memory (PSS) of all daemons that run, 1,000 defined", "MB")
def memory(side):
    side.list_states()      # one that had nothing to do may have ended
    return side.memory()


@row("cold", "first answer when nothing runs, 1,000 defined")
def cold(side):
    side.stop_daemons()

    def first(_):
        side.connect()
        side.list_states()
    return median(first, 1)
