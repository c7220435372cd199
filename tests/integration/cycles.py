# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hours of use in fast motion: the same thing done again and again, and what must stay as it is counted in between.

    with BusBed(build) as bed:
        print(measure(bed, "definitions", {"define": 10000}).complaints())

Counted are descriptors, threads, children and memory of each daemon, objects and match rules on the bus, files, processes, and on a
whole host also units, machines, links, firewall rules, mounts and cgroups. At the end there may be no more of anything than at any
look before; memory may grow by less than ALLOWED from the first look to the last.
"""

import os
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import cycles_of
from bus import COMPLAINTS, DBUS, SERVICES, Bus, Client, daemon_path
from host import Testbed
from leaks import files_below
from pace import patient

LOOKS = 8            # while it runs, after warming up
WARM = 5             # one part of so many comes before the first look
MEMORY = "KiB"       # the end of a name whose number is memory
ALLOWED = {False: 128, True: 1024}  # KiB, without sanitizers and with
LINGER = 6           # seconds that a worker without work stays, and a bit
MORE_LOOKS = 2      # where something was not flat: does it go on?
SETTLE = 15          # seconds until what goes away by itself has to be gone
# The address sanitizer keeps what was freed for a while, a quarter of a GiB if it may: nothing would ever be flat.
SANITIZER = {"ASAN_OPTIONS": "quarantine_size_mb=1:thread_local_quarantine_size_kb=16:malloc_context_size=12:detect_leaks=1"}
STAY = {"VIRTBUS_IDLE_SEC": "100000"}
OBJECTS = "org.freedesktop.DBus.ObjectManager"


def is_sanitized(build):
    program = daemon_path("virtqemud", build)
    return bool(program) and b"__asan_init" in program.read_bytes()


# ---- what is counted

def kib(text, key):
    found = re.search(rf"^{key}:\s+(\d+) kB", text, re.M)
    return int(found.group(1)) if found else 0


def of_process(proc, pid):
    """Descriptors, threads, children and memory of its own of one process."""
    place = Path(f"{proc}/{pid}")
    status = (place / "status").read_text()
    children = [(t / "children").read_text().split() for t in (place / "task").iterdir()]
    return {"fds": len(os.listdir(place / "fd")), "threads": len(children), "children": sum(map(len, children)),
            f"anonymous {MEMORY}": kib(status, "RssAnon")}


class Bed:
    """What both kinds of beds have in common: `client`, and `proc` with the processes as the daemons' bus counts them."""

    def daemons(self):
        """The pid of each daemon that runs, by the end of its service's name."""
        return {s.split(".")[-1]: pid for s in SERVICES if (pid := self.client.owner_pid(s))}

    def wake(self, services):
        for service in services:
            self.client.call(service, "/", "org.freedesktop.DBus.Peer", "Ping")

    def of_bus(self):
        found = {}
        for service in self.daemons():
            objects, = self.client.call(f"org.virtbus.{service}", f"/org/virtbus/{service}", OBJECTS, "GetManagedObjects")
            found[f"{service} objects"] = len(objects)
        rules, = self.client.call(*DBUS[:2], "org.freedesktop.DBus.Debug.Stats", "GetStats")
        found |= {"bus match rules": rules["MatchRules"], "bus names": rules["BusNames"], "bus connections": rules["ActiveConnections"]}
        return found

    def count(self):
        found = {}
        for name, pid in self.daemons().items():
            found |= {f"{name} {what}": number for what, number in of_process(self.proc, pid).items()}
        return found | self.of_bus() | self.world()


class BusBed(Bed):
    """Session daemons on a bus of their own."""

    tier, proc, networks = "bus", "/proc", False

    def __init__(self, build, guest=None, bus=None):
        self.build, self.sanitized, self.guest, self.own = build, is_sanitized(build), guest, bus is None
        self.bus = bus or Bus(build=build, environment={**STAY, **(SANITIZER if self.sanitized else {})})

    def __enter__(self):
        if self.own:
            self.bus.__enter__()
        self.client = self.bus
        self.images = Path(self.bus.directory) / "images"
        self.images.mkdir()
        self.wake(s for s in SERVICES if not s.endswith("network1"))
        return self

    def __exit__(self, *why):
        if self.own:
            self.bus.__exit__(*why)

    def connect(self):
        return Client(self.bus.address)

    def socket(self, daemon):
        return f"{self.bus.directory}/run/virtbus/{daemon}.sock"

    def put(self, name, data):
        (self.images / name).parent.mkdir(exist_ok=True)
        (self.images / name).write_bytes(data)
        return self.images / name

    def world(self):
        d = self.bus.directory
        found = {f"files in {n}": len(files_below(d / n)) for n in ("run", "config", "data", "state", "cache", "tmp", "home", "images")}
        return found | {"processes": len(self.bus.watch.alive()), "mounts": len(self.bus.watch.mounts())}

    def complaints(self):
        return [line for line in self.bus.output().splitlines() if any(word in line for word in COMPLAINTS)]


COUNTED_ON_HOST = {
    "units": "systemctl list-units --all --no-legend 'virt*' | wc -l",
    "all units": "systemctl list-units --all --no-legend --type=service,socket,scope,slice,mount,timer | wc -l",
    "jobs of systemd": "systemctl list-jobs --no-legend | wc -l",
    "failed units": "systemctl list-units --failed --no-legend | wc -l",
    "machines": "machinectl list --no-legend | wc -l",
    "taps": "ip -o -d link | grep -c ' tun '",
    "links": "ip -o link | wc -l",
    "namespaces": "lsns --noheadings 2>/dev/null | wc -l",
    "addresses": "ip -o addr | wc -l",
    "routes": "ip route show table all | wc -l",
    "rules": "nft list ruleset | wc -l",
    "queues": "tc qdisc | wc -l",
    "mounts": "wc -l </proc/mounts",
    "cgroups": "find /sys/fs/cgroup -type d | wc -l",
    "processes": "pgrep -c 'virt|qemu|dnsmasq|passt|swtpm'",
    "files in run": "find /run/virtbus /run/systemd/machines /run/systemd/transient -type f -o -type l -o -type s -o -type p | wc -l",
    "files in /etc": "find /etc/virtbus /etc/systemd/system | wc -l",
    # Not what is mounted there: the build, which somebody else may be at work on.
    "files in state": "find /var/lib/virtbus /var/lib/virtbus-dnsmasq /var/log/virtbus /var/cache/virtbus /srv /tmp /var/tmp -xdev | wc -l",
    "dynamic users": "ls /run/systemd/dynamic-uid /var/lib/private /run/private 2>/dev/null | wc -l",
    "descriptors kept by systemd": "systemctl show -P NFileDescriptorStore virtqemud virtnetworkd virtstoraged virtlogd virtlockd | paste -sd+ | sed 's/++*/+/g;s/+$//' | bc",
}


class HostBed(Bed):
    """The daemons as they are installed, under systemd."""

    tier, networks = "host", True

    def __init__(self, build, guest=None, testbed=None):
        self.build, self.sanitized, self.guest, self.own = build, is_sanitized(build), guest, testbed is None
        self.testbed = testbed or Testbed(binds=[build])

    def __enter__(self):
        if self.own:
            self.testbed.start()
            self.testbed.install(self.build)
        t = self.testbed
        for daemon in SERVICES.values():
            t.put(f"/run/systemd/system/{daemon}.service.d/cycles.conf", self._drop_in())
        t.run("systemctl daemon-reload && systemctl stop " + " ".join(f"{d}.service" for d in SERVICES.values()), timeout=60)
        t.run("systemctl start " + " ".join(f"{d}.socket" for d in SERVICES.values()), timeout=60)
        self.proc = f"/proc/{t.pid}/root/proc"
        self.images = Path("/srv/cycles")
        if self.guest:
            files = {name: self.put(name, Path(getattr(self.guest, name)).read_bytes()) for name in ("kernel", "initrd")}
            self.guest = SimpleNamespace(**files, cmdline=self.guest.cmdline)
        self.client = t.bus()
        self.wake(SERVICES)
        return self

    def _drop_in(self):
        """Under sanitizers the sandbox lets a daemon look for leaks at its end."""
        lines = [f"Environment={k}={v}" for k, v in {**STAY, **(SANITIZER if self.sanitized else {})}.items()]
        if self.sanitized:
            lines += ["SystemCallFilter=", "MemoryDenyWriteExecute=no", "WatchdogSec=0", "CapabilityBoundingSet=~", "ProtectProc=default"]
        return "[Service]\n" + "\n".join(lines) + "\n"

    def __exit__(self, *why):
        self.client.close()
        t = self.testbed
        t.run("systemctl stop " + " ".join(f"{d}.socket {d}.service" for d in SERVICES.values()), timeout=120)
        self.ended = [line for line in t.journal(lines=100000).splitlines() if any(word in line for word in COMPLAINTS)]
        t.run("rm -rf /srv/cycles /run/systemd/system/virt*d.service.d && systemctl daemon-reload")
        if self.own:
            t.close()
        assert why[0] or not self.ended, self.ended

    def connect(self):
        return self.testbed.bus()

    def socket(self, daemon):
        return f"{self.testbed._outside('/run/virtbus')}/{daemon}.sock"

    def put(self, name, data):
        self.testbed.put(self.images / name, data)
        return self.images / name

    def world(self):
        said = self.testbed.run("\n".join(f"echo $({command})" for command in COUNTED_ON_HOST.values()), timeout=60).stdout.splitlines()
        return {what: int(number or 0) for what, number in zip(COUNTED_ON_HOST, said, strict=True)}

    def complaints(self):
        return [line for line in self.testbed.journal(lines=100000).splitlines() if any(word in line for word in COMPLAINTS)]


# ---- doing it

@dataclass
class Result:
    name: str
    cycles: int
    sanitized: bool
    seconds: float = 0.0
    looks: list = field(default_factory=list)   # (cycles done, {what: number})
    said: list = field(default_factory=list)

    def _series(self, what):
        return [(done, numbers.get(what, 0)) for done, numbers in self.looks]

    def names(self):
        return sorted({what for _, numbers in self.looks for what in numbers})

    def growth(self, what):
        """What a straight line through the second half of the looks says of it: what is kept for good is there by then."""
        series = self._series(what)
        points = series[len(series) // 2:]
        mean_x, mean_y = (sum(p[i] for p in points) / len(points) for i in (0, 1))
        spread = sum((x - mean_x) ** 2 for x, _ in points) or 1
        slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
        return slope * (points[-1][0] - points[0][0])

    def complaints(self):
        found = list(self.said)
        for what in self.names():
            numbers = [n for _, n in self._series(what)]
            if is_memory(what):
                if self.growth(what) > ALLOWED[self.sanitized] and numbers[-1] > numbers[0]:
                    found.append(f"{self.name}: {what} grows, by {self.growth(what):.0f} in the second half of {self.cycles} cycles: {numbers}")
            elif numbers[-1] > min(numbers[len(numbers) // 2:]): # what is opened once, at its first use, does not go on growing
                found.append(f"{self.name}: {what} is not flat: {numbers}")
        return found

    def rows(self):
        """What a table says of it: for each name the first and the last number, and the growth."""
        return [(what, self._series(what)[0][1], self._series(what)[-1][1], self.growth(what)) for what in self.names()]


def is_memory(what):
    return what.endswith(MEMORY)


def settled(bed, lowest):
    """Counted when nothing is on its way out any more: no more of anything than there was before, or after a while."""
    deadline = time.monotonic() + (patient(SETTLE) if lowest else SETTLE)
    while True:
        numbers = bed.count()
        if all(n <= lowest.get(what, 0) for what, n in numbers.items() if not is_memory(what)) or time.monotonic() > deadline:
            return numbers
        time.sleep(0.3)


class Hand(threading.Thread):
    """One of several that do the cycles of a kind at the same time, with a connection and objects of its own."""

    def __init__(self, bed, make, number):
        super().__init__(daemon=True)
        self.client = bed.connect()
        self.steps = make(bed, self.client, number)
        next(self.steps)
        self.wanted, self.error = 0, None

    def run(self):
        for _ in range(self.wanted):
            next(self.steps)
            forget_signals(self.client)


def forget_signals(client):
    """Nobody here looks at them, and they would fill the memory."""
    client.pump()
    client.signals.clear()


def do(bed, hands, total):
    errors = []

    def work(hand, n):
        try:
            hand.wanted = n
            hand.run()
        except Exception as e:  # told below, of all of them
            errors.append(e)
    threads = [threading.Thread(target=work, args=(h, total // len(hands) + (i < total % len(hands)))) for i, h in enumerate(hands)]
    for t in threads:
        t.start()
    while alive := [t for t in threads if t.is_alive()]:
        alive[0].join(0.2)
        forget_signals(bed.client)
    if errors:
        raise errors[0]


def look(bed, result, done):
    lowest = {}
    for _, numbers in result.looks:
        lowest = {what: min(n, lowest.get(what, n)) for what, n in numbers.items()}
    if not lowest:
        time.sleep(LINGER)
    result.looks.append((done, settled(bed, lowest)))


def measure(bed, name, wanted, looks=LOOKS, looked=lambda result: None):
    """Does so many cycles of each kind ({kind: number}), and looks in between."""
    began = time.monotonic()
    result = Result(name, sum(wanted.values()), bed.sanitized)
    hands = {kind: [Hand(bed, KINDS[kind].make, n) for n in range(KINDS[kind].hands)] for kind in wanted}
    pids = bed.daemons()
    try:
        for kind, n in wanted.items():
            do(bed, hands[kind], max(n // WARM, KINDS[kind].hands * KINDS[kind].least))
        look(bed, result, 0)
        turn = 0
        while turn < looks or (turn < looks + MORE_LOOKS and result.complaints()):
            for kind, n in wanted.items():
                do(bed, hands[kind], n * (turn + 1) // looks - n * turn // looks)
            turn += 1
            result.cycles = sum(wanted.values()) * turn // looks
            look(bed, result, result.cycles)
            looked(result)
    finally:
        for h in sum(hands.values(), []):
            h.steps.close()
            h.client.close()
    if bed.daemons() != pids:
        result.said.append(f"{name}: daemons have ended meanwhile: {pids} became {bed.daemons()}")
    result.said += [f"{name}: {line}" for line in bed.complaints()]
    result.seconds = time.monotonic() - began
    return result


KINDS = cycles_of.KINDS
