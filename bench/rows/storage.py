# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pool that is a folder, with 1,000 images in it."""

import os
import shutil
import statistics
from pathlib import Path

from sides.base import run
from table import Scene, median, took

FOLDER = Path("/srv/bench-pool")
N, MEGABYTES = 1000, 128


def setup(side):
    FOLDER.mkdir()
    run("qemu-img", "create", "-q", "-f", "qcow2", FOLDER / "v0.qcow2", "1G")
    image = (FOLDER / "v0.qcow2").read_bytes()
    for i in range(1, N):
        (FOLDER / f"v{i}.qcow2").write_bytes(image)
    with open(FOLDER / "source.raw", "wb") as f:
        for _ in range(MEGABYTES):
            f.write(os.urandom(1 << 20))
    side.pool_start("bench", FOLDER)


def teardown(side):
    side.pool_remove()
    shutil.rmtree(FOLDER)


SCENE = Scene("storage", setup, teardown)
row = SCENE.row


def create_and_delete(side, n, *what):
    """Medians of both."""
    times = []
    for i in range(n):
        made = took(side.create_volume, f"new{i}", *what)
        times.append((made, took(side.delete_volume)))
    return [statistics.median(t) for t in zip(*times)]


@row("refresh", "refresh of a pool with 1,000 qcow2 images")
def refresh(side):
    return median(lambda _: side.refresh(), 5)


@row("list", "list of 1,000 volumes with their sizes")
def list_volumes(side):
    return median(lambda _: side.list_volumes(), 5)


@row("raw", "make a sparse raw volume")
def raw(side):
    return create_and_delete(side, 15, "raw")[0]


@row("delete", "delete a raw volume")
def delete(side):
    return create_and_delete(side, 15, "raw")[1]


@row("qcow2", "make a qcow2 volume")
def qcow2(side):
    return create_and_delete(side, 5, "qcow2")[0]


@row("clone", f"clone a raw volume of {MEGABYTES} MiB into qcow2")
def clone(side):
    return create_and_delete(side, 1, "qcow2", "source.raw")[0]
