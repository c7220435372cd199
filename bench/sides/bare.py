# SPDX-License-Identifier: LGPL-2.1-or-later
"""Without a manager: the programs themselves, run by hand."""

import socket
import subprocess
import threading

from sides.base import Side, run
from table import Missing, now

QEMU = ["qemu-system-x86_64", "-S", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35,usb=off", "-accel", "tcg", "-m", "16",
        "-mon", "chardev=m,mode=control"]


class Bare(Side):
    def __init__(self):
        self.running = {}

    def connect(self):
        pass

    def disconnect(self):
        pass

    def listen(self):
        raise Missing("events")

    def define(self, name, **_):
        pass

    def undefine(self, name):
        pass

    def start(self, name):
        """Until it has answered that its guest runs."""
        ours, theirs = socket.socketpair()
        fd = theirs.fileno()
        process = subprocess.Popen([*QEMU, "-chardev", f"socket,id=m,fd={fd}"], pass_fds=[fd], stdin=subprocess.DEVNULL)
        theirs.close()
        monitor = ours.makefile("rwb", buffering=0)
        monitor.readline()
        for command in (b'{"execute":"qmp_capabilities"}\n', b'{"execute":"cont"}\n'):
            monitor.write(command)
            while b'"return"' not in monitor.readline():
                pass
        self.running[name] = process, ours, monitor

    def stop(self, name):
        process, *sockets = self.running.pop(name)
        process.kill()
        process.wait()
        for s in sockets:
            s.close()

    def pid(self, name):
        return self.running[name][0].pid

    def start_all(self, names):
        threads = [threading.Thread(target=self.start, args=[n]) for n in names]
        began = now()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return now() - began

    def pool_start(self, _name, path):
        self.path = path

    def pool_remove(self):
        pass

    def create_volume(self, name, kind, clone_from=None):
        self.volume = f"{self.path}/{name}"
        if clone_from:
            run("qemu-img", "convert", "-O", kind, f"{self.path}/{clone_from}", self.volume)
        else:
            run("qemu-img", "create", "-q", "-f", kind, self.volume, "1G")

    def delete_volume(self):
        run("rm", self.volume)
