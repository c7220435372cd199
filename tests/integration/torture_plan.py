# SPDX-License-Identifier: LGPL-2.1-or-later
"""What happens in a round of torture, made from its seed and number alone: which client calls what, and which accidents come when."""

import random
import uuid
from dataclasses import dataclass, field

VMS, TRANSIENT = "abcd", "t"
NETWORKS = {"n0": ("nat", 70), "n1": ("isolated", 71), "n2": ("route", 72)}
# One is on the disk that fills up.
POOLS = {"p0": "/srv/small/pool", "p1": "/srv/large/pool"}
VOLUMES = ("v0", "v1", "v2.qcow2")
FILES = ("f0", "f1")
TARGETS, NICS = ("sdb", "sdc"), (0, 1)
DAEMONS = ("virtqemud", "virtnetworkd", "virtstoraged", "virtlogd", "virtlockd")
CLIENTS = 4
SECONDS = 6               # in which a round's operations and accidents begin
MIB = 1 << 20
LIVE, CONFIG, FORCE = 1, 2, 4
NAMESPACE = uuid.UUID("6f1d6a8e-4a52-4d0c-9df1-6f4c9a3f2b11")


@dataclass
class Op:
    at: float              # seconds since the round began
    kind: str
    args: dict = field(default_factory=dict)

    def __str__(self):
        return f"{self.kind}({', '.join(f'{k}={v!r}' for k, v in self.args.items())})"


@dataclass
class Round:
    number: int
    clients: list           # of lists of Op
    accidents: list         # of Op


def identity(kind, name):
    return uuid.uuid5(NAMESPACE, f"{kind}/{name}")


def mac(vm, nic):
    return f"52:54:00:77:{ord(vm):02x}:{nic:02x}"


# ---- choices: each makes the arguments of one kind of operation

def source(r):
    """Of a disk: a file, or a volume."""
    return r.choice([*FILES, *(f"{p}:{v}" for p in POOLS for v in VOLUMES)])


def vm(r):
    return {"vm": r.choice(VMS)}


def definition(r):
    return {**vm(r), "tag": f"t{r.randrange(10**6)}", "weight": r.choice((None, 50, 500)),
            "disks": {t: source(r) for t in TARGETS if r.random() < 0.3},
            "nics": {n: r.choice(list(NETWORKS)) for n in NICS if r.random() < 0.4}}


def scope(r):
    return {"flags": r.choice((LIVE, CONFIG, LIVE | CONFIG, LIVE | CONFIG))}


def network(r):
    return {"network": r.choice(list(NETWORKS))}


def pool(r):
    return {"pool": r.choice(list(POOLS))}


def volume(r):
    return {**pool(r), "volume": r.choice(VOLUMES)}


def size(r):
    return {"size": r.choice((1, 2, 3)) * MIB}


def on(r):
    return {"on": r.random() < 0.5}


# Kind, how often, and what its arguments are. The clients know nothing of each other: much of it is refused, as it should.
OPERATIONS = (
    ("define", 10, definition),
    ("reconfigure", 4, definition),
    ("undefine", 3, vm),
    ("start", 14, vm),
    ("terminate", 7, vm),
    ("start_transient", 2, lambda r: definition(r) | {"vm": TRANSIENT}),
    ("terminate", 2, lambda r: {"vm": TRANSIENT}),
    ("shutdown", 3, vm),
    ("suspend", 2, vm),
    ("resume", 2, vm),
    ("attach_disk", 10, lambda r: vm(r) | {"target": r.choice(TARGETS), "source": source(r)} | scope(r)),
    ("detach_disk", 8, lambda r: vm(r) | {"target": r.choice(TARGETS)} | scope(r)),
    ("attach_nic", 8, lambda r: vm(r) | {"nic": r.choice(NICS), "network": r.choice(list(NETWORKS))} | scope(r)),
    ("detach_nic", 6, lambda r: vm(r) | {"nic": r.choice(NICS)} | scope(r)),
    ("resize_disk", 3, lambda r: vm(r) | size(r)),
    ("tune", 5, lambda r: vm(r) | {"weight": r.choice((20, 200, 2000))} | scope(r)),
    ("autostart", 3, lambda r: vm(r) | on(r)),
    ("define_network", 5, lambda r: network(r) | {"tag": f"t{r.randrange(10**6)}"}),
    ("undefine_network", 2, network),
    ("start_network", 5, network),
    ("stop_network", 4, lambda r: network(r) | {"flags": r.choice((0, 0, FORCE))}),
    ("autostart_network", 2, lambda r: network(r) | on(r)),
    ("add_host", 3, lambda r: network(r) | {"host": r.choice((0, 1))} | scope(r)),
    ("remove_host", 2, lambda r: network(r) | {"host": r.choice((0, 1))} | scope(r)),
    ("define_pool", 4, pool),
    ("undefine_pool", 1, pool),
    ("start_pool", 6, pool),
    ("stop_pool", 2, pool),
    ("refresh_pool", 2, pool),
    ("autostart_pool", 2, lambda r: pool(r) | on(r)),
    ("create_volume", 8, lambda r: volume(r) | size(r) | {"full": r.random() < 0.4}),
    ("clone_volume", 2, lambda r: volume(r) | {"of": r.choice(VOLUMES)}),
    ("delete_volume", 5, volume),
    ("resize_volume", 4, lambda r: volume(r) | size(r) | {"shrink": r.random() < 0.3}),
)

# What takes more than a moment, so that something can come in between.
LONG = ("start", "start", "terminate", "attach_disk", "attach_disk", "attach_nic", "attach_nic", "detach_disk", "detach_nic", "autostart", "tune",
        "start_network", "stop_network", "add_host", "create_volume", "clone_volume", "resize_volume", "start_pool")


def during(r):
    """Who does it is killed, mostly; or who helps."""
    kind = r.choice(LONG)
    own = "virtnetworkd" if kind.endswith(("network", "host")) else "virtstoraged" if kind.endswith(("volume", "pool")) else "virtqemud"
    return {"kind": kind, "daemon": own if r.random() < 0.6 else r.choice(DAEMONS), "delay": round(r.choice((0, 0.01, 0.05, 0.3)) * r.random(), 4)}


ACCIDENTS = (
    ("kill", 4, lambda r: {"daemon": r.choice(DAEMONS), "whole": r.random() < 0.3}),
    ("kill_during", 12, during),
    ("restart", 2, lambda r: {"daemon": r.choice(DAEMONS)}),
    ("reload_systemd", 2, lambda r: {}),
    ("reexec_systemd", 1, lambda r: {}),
    ("flush_firewall", 2, lambda r: {}),
    ("fill_disk", 3, lambda r: {"path": "/srv/small", "seconds": r.uniform(0.5, 4)}),
    ("fill_disk", 2, lambda r: {"path": "/run/virtbus", "seconds": r.uniform(0.5, 3)}),
    ("kill_qemu", 2, lambda r: {"vm": r.choice(VMS + TRANSIENT)}),
    ("kill_supervisor", 1, lambda r: {"vm": r.choice(VMS + TRANSIENT)}),
    ("stop_qemu", 2, lambda r: {"vm": r.choice(VMS + TRANSIENT), "seconds": r.uniform(0.5, 3)}),
    ("kill_dnsmasq", 1, network),
)


def pick(r, table, at):
    kind, _, arguments = r.choices(table, [weight for _, weight, _ in table])[0]
    return Op(round(at, 3), kind, arguments(r))


def make_round(seed, number):
    """The same one for the same seed and number, always."""
    r = random.Random(f"{seed}/{number}")
    clients = [sorted((pick(r, OPERATIONS, r.uniform(0, SECONDS)) for _ in range(r.randrange(10, 26))), key=lambda op: op.at)
               for _ in range(CLIENTS)]
    accidents = sorted((pick(r, ACCIDENTS, r.uniform(0, SECONDS)) for _ in range(r.randrange(0, 8))), key=lambda op: op.at)
    return Round(number, clients, accidents)
