# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a QEMU writes to its standard error, which goes through virtlogd into a file that is rotated."""

import fcntl
import os
import struct
import termios
import time
from pathlib import Path

from sides.base import main_pid
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


def processor_time(pid):
    """Milliseconds that all its threads have had."""
    return sum(int(p.read_text().split()[0]) for p in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e6


@row("lines-processor", "log, lines written one by one: processor time of its daemon for 20 MB")
def lines_processor(side):
    """How soon they are through is the writer's doing: it is slower than both."""
    pid = main_pid("virtlogd.service")
    before = processor_time(pid)
    lines(side)
    return processor_time(pid) - before
