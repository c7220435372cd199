# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a QEMU writes to its standard error, which goes through virtlogd into a file that is rotated."""

import fcntl
import os
import struct
import termios
import time

from table import Scene, now

NAME, LINE = "logger", b"x" * 99 + b"\n"


def setup(side):
    side.SERVICES   # who keeps no log stays out
    side.define(NAME)
    side.start(NAME)


def teardown(side):
    side.stop(NAME)
    side.undefine(NAME)


SCENE = Scene("log", setup, teardown)
row = SCENE.row


def waiting(pipe):
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"1234"))[0]


def throughput(side, piece, megabytes):
    """MB/s until all has been taken out of the pipe."""
    pipe = os.open(f"/proc/{side.pid(NAME)}/fd/2", os.O_WRONLY)
    text = LINE * (piece // len(LINE))
    began = now()
    for _ in range(megabytes * 1_000_000 // len(text)):
        os.write(pipe, text)
    while waiting(pipe):
        time.sleep(0.0005)
    took = now() - began
    os.close(pipe)
    return megabytes * 1000 / took


@row("lines", "log, lines written one by one", "MB/s", more=True)
def lines(side):
    return throughput(side, 100, 20)


@row("blocks", "log, lines in blocks of 64 KiB", "MB/s", more=True)
def blocks(side):
    return throughput(side, 65536, 300)
