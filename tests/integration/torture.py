# SPDX-License-Identifier: LGPL-2.1-or-later
"""Torture: several clients change everything at once while daemons are killed, the disk fills up and firewalls are flushed. After each
round all that is said and all that is there must agree, with each other and with the answers that the clients got.

    with Torture(bed, seed) as torture:
        torture.run(seconds=300)

The seed and the number of a round make its plan (torture_plan.py); torture_ops.py and torture_accidents.py carry it out, torture_oracle.py
judges. It needs a bed on which nothing else happens.
"""

import contextlib
import math
import threading
import time

import torture_ops
from bus import BusError
from torture_accidents import Accidents
from torture_model import Model
from torture_oracle import Oracle
from torture_plan import CLIENTS, DAEMONS, FILES, NETWORKS, POOLS, VMS, make_round

SETTLE = 30          # seconds until all that has begun has ended, and all that was broken has been mended
# Sanitizers can't look for leaks from within a sandbox, and would end every daemon with a failure.
PREPARE = f"""
systemctl set-environment ASAN_OPTIONS=detect_leaks=0
mkdir -p /srv/small /srv/large && mount -t tmpfs -o size=16M tmpfs /srv/small && mount -t tmpfs -o size=256M tmpfs /srv/large
mkdir -p /run/virtbus && mount -t tmpfs -o size=4M,mode=755 tmpfs /run/virtbus
mkdir -p /etc/virtbus /var/lib/virtbus {torture_ops.IMAGES} {' '.join(POOLS.values())} /srv/small/etc /srv/small/lib
mount --bind /srv/small/etc /etc/virtbus && mount --bind /srv/small/lib /var/lib/virtbus && chmod 700 /var/lib/virtbus
cd {torture_ops.IMAGES} && truncate -s 1M {' '.join([*FILES, *(f'base-{vm}' for vm in VMS + 't')])} && mkfifo pipe.in pipe.out
"""


class Broken(AssertionError):
    """What was found differs from what there should be."""


def prepare(bed):
    """Make the disk that can be full; before anything of Virtbus is installed."""
    bed.run(PREPARE)


class Torture:
    def __init__(self, bed, seed, say=print):
        self.bed, self.seed, self.say = bed, seed, say
        self.model = Model()
        self.clients = []
        self.under_way = {}

    def __enter__(self):
        self.bed.run("systemctl enable --now " + " ".join(f"{d}.socket" for d in DAEMONS))
        self.clients = [self.bed.bus() for _ in range(CLIENTS + 1)]
        with contextlib.suppress(BusError):    # gi finds functions when they are called first, which must not be from several threads
            torture_ops.undefine(self.clients[0], "nobody")[0]()
        self.oracle = Oracle(self.bed, self.clients[-1])
        self._begin()
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.close()

    def _begin(self):
        """Everything is there once, so that how it looks at peace is known."""
        c = self.clients[-1]
        for kind, names in (("pool", POOLS), ("network", NETWORKS)):
            for name in names:
                for verb in ("define", "start"):
                    more = {"tag": "first"} if (kind, verb) == ("network", "define") else {}
                    getattr(torture_ops, f"{verb}_{kind}")(c, **{kind: name}, **more)[0]()
        for vm in VMS:
            torture_ops.define(c, vm, "first", None, {}, {})[0]()
        self.model.settle(self._settled("at the beginning", []))

    # ---- rounds

    def run(self, seconds=math.inf, rounds=math.inf, first=0, keep_going=False):
        """Returns how many rounds were done; raises Broken, unless it is to go on from what it has found."""
        end, number, broken = time.monotonic() + seconds, first, 0
        while time.monotonic() < end and number - first < rounds:
            try:
                self.round(number)
            except Broken as e:
                broken += 1
                if not keep_going:
                    raise
                self.say(str(e))
            number += 1
        return number - first, broken

    def round(self, number):
        plan = make_round(self.seed, number)
        begin, log = time.monotonic(), []
        threads = [threading.Thread(target=self._client, args=(n, ops, begin, log)) for n, ops in enumerate(plan.clients)]
        for thread in threads:
            thread.start()
        try:
            Accidents(self.bed, self.model, begin, self.under_way).run(plan.accidents, log)
        finally:
            for thread in threads:
                thread.join()
        observed = self._settled(f"in round {number} of seed {self.seed}", log)
        self.model.settle(observed)
        outcomes = [d.outcome for d in log if isinstance(d, torture_ops.Done)]
        counted = ", ".join(f"{outcomes.count(o)} {o}" for o in ("done", "refused", "lost", "never") if o in outcomes)
        self.say(f"seed {self.seed} round {number}: {counted}; {len(plan.accidents)} accidents; {time.monotonic() - begin:.1f} s")

    def _client(self, number, ops, zero, log):
        for op in ops:
            time.sleep(max(0, zero + op.at - time.monotonic()))
            self.under_way[number] = op.kind
            try:
                log.append(torture_ops.run(self.clients[number], number, op, self.model, zero))
            except Exception as e:    # of ours: it must not be lost with the thread
                log.append(f"        client {number} {op}: {e!r}")
            self.under_way[number] = None

    def _settled(self, when, log):
        """The registers, once everything agrees."""
        deadline = time.monotonic() + SETTLE
        for client in self.clients:
            client.pump()
            client.signals.clear()
        while True:
            differs, observed = self.oracle.ask()
            for register, value, possible in self.model.wrong(observed) if log else ():
                differs.append(f"{' '.join(map(str, register))} is {value!r}, but could only be {' or '.join(map(repr, possible))}")
            differs += self.model.halves(observed) if log else []
            differs += [f"no answer: {d}" for d in log if isinstance(d, torture_ops.Done) and d.outcome == "never"]
            differs += [f"this test: {d}" for d in log if isinstance(d, str) and "accident" not in d]
            if not differs:
                return observed
            if time.monotonic() > deadline:
                self.model.settle(observed)
                raise Broken(self._report(when, log, differs))
            time.sleep(0.3)

    def _report(self, when, log, differs):
        def order(entry):
            return entry.begin if isinstance(entry, torture_ops.Done) else float(entry.split()[0]) if entry.split()[0][0].isdigit() else 0
        lines = [f"{SETTLE} s after all clients had stopped {when}:", *(f"  {d}" for d in differs), "what was done:",
                 *(f"  {entry}" for entry in sorted(log, key=order)), "the journal:", self._journal()]
        return "\n".join(lines)

    def _journal(self):
        identifiers = " ".join(f"-t {d}" for d in (*DAEMONS, "virtqemu-run", "virtqemu-watch", "systemd"))
        return self.bed.run(f"journalctl -b --no-pager -o short-monotonic -n 300 {identifiers}", check=False).stdout
