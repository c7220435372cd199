# SPDX-License-Identifier: LGPL-2.1-or-later
"""What befalls the host while clients work. Each function is the name of a kind in torture_plan.py; it returns what ends the accident
again, if that takes something, and after how many seconds."""

import errno
import math
import os
import signal
import time

from torture_ops import gone


def processes(bed, unit, slice="system.slice"):
    """{pid: name} of a unit, with the pids as they are outside."""
    found = {}
    for base, _, _ in os.walk(bed.cgroup / slice / unit):
        try:
            for pid in open(f"{base}/cgroup.procs").read().split():
                found[int(pid)] = open(f"/proc/{pid}/comm").read().strip()
        except OSError:
            pass
    return found


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Accidents:
    def __init__(self, bed, model, zero, under_way):
        self.bed, self.model, self.zero, self.under_way = bed, model, zero, under_way

    def now(self):
        return time.monotonic() - self.zero

    def kill(self, daemon, whole):
        """The daemon, or all of its unit's processes."""
        for pid, name in processes(self.bed, f"{daemon}.service").items():
            if whole or name == daemon:
                send(pid, signal.SIGKILL)

    def kill_during(self, kind, daemon, delay):
        """So long after an operation of that kind has begun, should there be one soon."""
        pids = [pid for pid, name in processes(self.bed, f"{daemon}.service").items() if name == daemon]
        deadline = time.monotonic() + 2
        while kind not in list(self.under_way.values()):
            if time.monotonic() > deadline:
                return
            time.sleep(0.0005)
        time.sleep(delay)
        for pid in pids:
            send(pid, signal.SIGKILL)

    def restart(self, daemon):
        self.bed.run(f"systemctl restart {daemon}", check=False, timeout=60)

    def reload_systemd(self):
        self.bed.run("systemctl daemon-reload", check=False)

    def reexec_systemd(self):
        self.bed.run("systemctl daemon-reexec", check=False)

    def flush_firewall(self):
        self.bed.run("nft flush ruleset")

    def fill_disk(self, path, seconds):
        path = self.bed._outside(f"{path}/filler")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    os.write(fd, b"x" * size)
            except OSError as e:
                assert e.errno == errno.ENOSPC
        os.close(fd)
        return lambda: path.unlink(missing_ok=True), seconds

    def of_vm(self, vm, name):
        return [pid for pid, comm in processes(self.bed, f"virtqemu@{vm}.service", "machine.slice").items() if comm.startswith(name)]

    def end_vm(self, vm, name):
        begin = self.now()
        for pid in self.of_vm(vm, name):
            send(pid, signal.SIGKILL)
            for register, value in gone(vm).items():
                self.model.write(register, value, begin, math.inf, False)

    def kill_qemu(self, vm):
        self.end_vm(vm, "qemu-system")

    def kill_supervisor(self, vm):
        self.end_vm(vm, "virtqemu-watch")

    def stop_qemu(self, vm, seconds):
        pids = self.of_vm(vm, "qemu-system")
        for pid in pids:
            send(pid, signal.SIGSTOP)
        return lambda: [send(pid, signal.SIGCONT) for pid in pids], seconds

    def kill_dnsmasq(self, network):
        for pid in processes(self.bed, f"virtdnsmasq@{network}.service", "system.slice/system-virtdnsmasq.slice"):
            send(pid, signal.SIGKILL)

    def run(self, ops, told):
        """Let them happen in time, and end all of them before returning."""
        pending = []

        def end(all_of_them=False):
            for item in [i for i in pending if all_of_them or i[0] <= self.now()]:
                pending.remove(item)
                item[1]()

        def sleep_until(when):
            while (left := when - self.now()) > 0:
                time.sleep(min(left, 0.05))
                end()
        try:
            for op in ops:
                sleep_until(op.at)
                begin = self.now()
                ending = getattr(self, op.kind)(**op.args)
                told.append(f"{begin:7.3f} accident {op}")
                if ending:
                    pending.append((self.now() + ending[1], ending[0]))
            while pending:
                sleep_until(min(i[0] for i in pending))
                end()
        finally:
            end(True)
