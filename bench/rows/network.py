# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks with addresses translated and dnsmasq."""

import statistics
import time

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
    ms = median(first, 1)
    time.sleep(1)       # virtnetworkd takes its networks over a moment later, and refuses to stop one until then
    return ms
