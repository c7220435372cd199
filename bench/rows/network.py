# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks with addresses translated and dnsmasq."""

import statistics

from table import Scene, median, took

OTHERS = 9


def setup(side):
    for i in range(OTHERS):
        side.network(i, "define")
        side.network(i, "start")
    side.network(OTHERS, "define")


def teardown(side):
    for i in range(OTHERS):
        side.network(i, "stop")
    for i in range(OTHERS + 1):
        side.network(i, "undefine")


SCENE = Scene("network", setup, teardown)
row = SCENE.row


def up_and_down(side):
    return took(side.network, OTHERS, "start"), took(side.network, OTHERS, "stop")


@row("start", "start of a NAT network, beside 9 others")
def start(side):
    return statistics.median(up_and_down(side)[0] for _ in range(5))


@row("stop", "stop of a NAT network, beside 9 others")
def stop(side):
    return statistics.median(up_and_down(side)[1] for _ in range(5))


@row("list", "list of 10 networks")
def list_networks(side):
    return median(lambda _: side.list_networks(), 20)


@row("restart", "first answer after a restart, 9 networks run")
def restart(side):
    side.stop_networks()

    def first(_):
        side.connect()
        side.list_networks()
    return median(first, 1)
