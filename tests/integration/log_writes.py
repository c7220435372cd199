# SPDX-License-Identifier: LGPL-2.1-or-later
"""What dm-log-writes has written down of a device: every write, flush and mark, in order. Any moment of a power cut can be had from it."""

import random
import struct
from dataclasses import dataclass

MAGIC, SECTOR = 0x6A736677736872, 512
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
SUPER = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")


@dataclass
class Write:
    sector: int
    count: int
    flags: int
    place: int      # of its data in the log
    length: int


class WriteLog:
    def __init__(self, path):
        self.file = open(path, "rb")
        magic, version, number, self.unit = SUPER.unpack(self._read(0, SUPER.size))
        assert magic == MAGIC and version == 1, "this is no log of dm-log-writes"
        self.writes, at = [], self.unit
        for _ in range(number):
            sector, count, flags, length = ENTRY.unpack(self._read(at, ENTRY.size))
            if flags & MARK:
                w = Write(sector, 0, flags, at + ENTRY.size, length)
                at += self.unit
            else:
                w = Write(sector, count, flags, at + self.unit, 0 if flags & DISCARD else count * SECTOR)
                at += self.unit + -(-w.length // self.unit) * self.unit
            self.writes.append(w)

    def _read(self, at, length):
        self.file.seek(at)
        return self.file.read(length)

    def close(self):
        self.file.close()

    def marks(self):
        """[(position, text)]"""
        return [(i, self._read(w.place, w.length).rstrip(b"\0").decode()) for i, w in enumerate(self.writes) if w.flags & MARK]

    def _apply(self, image, w):
        if w.flags & MARK:
            return
        image.seek(w.sector * SECTOR)
        image.write(bytes(w.count * SECTOR) if w.flags & DISCARD else self._read(w.place, w.length))

    def synced(self, end):
        """How many of the first `end` were on the disk for sure: those that a flush came after."""
        for i in range(end - 1, -1, -1):
            if self.writes[i].flags & FLUSH:
                return i
        return 0

    def play(self, image, begin, end):
        for w in self.writes[begin:end]:
            self._apply(image, w)

    def play_rest(self, image, begin, end, dice):
        """Of what no flush came after: what asked to be on the disk at once, and of the rest whatever the disk happened to have written."""
        chance = dice.choice((0, 0.3, 0.7, 1)) if dice else 0
        for w in self.writes[begin:end]:
            if w.flags & FUA or (dice or random).random() < chance:
                self._apply(image, w)
