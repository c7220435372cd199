# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU without Virtbus, for proving the test guests themselves and for the machine tier."""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from pace import Deadline, patient

QEMU = "qemu-system-x86_64"
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class QemuError(Exception):
    """QEMU ended, or did not answer in time."""


def die_with_parent():
    """For preexec_fn: the kernel kills the child when the test run dies, however it dies."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Qmp:
    """A QMP monitor over a connected socket."""

    def __init__(self, sock, timeout=30):
        sock.settimeout(patient(timeout))
        self.sock = sock
        self.file = sock.makefile("rwb")
        self.events = []
        self._receive()
        self.run("qmp_capabilities")

    def _receive(self):
        line = self.file.readline()
        if not line:
            raise QemuError("QEMU closed its monitor")
        return json.loads(line)

    def run(self, command, **arguments):
        """Run a command and return its result. Events that come meanwhile are kept."""
        self.file.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self.file.flush()
        while True:
            reply = self._receive()
            if "event" in reply:
                self.events.append(reply)
            elif "error" in reply:
                raise QemuError(f"{command}: {reply['error']['desc']}")
            else:
                return reply["return"]

    def wait_event(self, name, timeout=30):
        """The next event of that name, as a dictionary."""
        self.sock.settimeout(patient(timeout))
        while True:
            for i, event in enumerate(self.events):
                if event["event"] == name:
                    del self.events[:i + 1]
                    return event
            self.events.append(self._receive())

    def close(self):
        self.file.close()
        self.sock.close()


class RawQemu:
    """A QEMU process with a monitor and named Unix sockets, all in a private directory; a context manager.

        with RawQemu(["-M", "q35", "-serial", "chardev:console"], sockets=["console"]) as qemu:
            qemu.connect("console"); qemu.qmp.run("system_powerdown")
    """

    def __init__(self, args, sockets=(), wrap=(), directory=None, fds=(), environment=None):
        self.args = list(args)
        self.fds, self.environment = fds, environment
        self.names = list(sockets)
        self.wrap = list(wrap)
        self.parent = directory
        self.process = self.qmp = None
        self.streams = []

    def __enter__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="vbq-", dir=self.parent))
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        argv = [*self.wrap, QEMU, "-display", "none", "-nodefaults", *self.args]
        for name in ["qmp", *self.names]:
            argv += ["-chardev", f"socket,id={name},path={self.directory}/{name},server=on,wait=off"]
        argv += ["-mon", "chardev=qmp,mode=control"]
        with open(self.directory / "stderr", "wb") as err:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=err, stderr=err, preexec_fn=die_with_parent,
                                            pass_fds=self.fds, env={**os.environ, **(self.environment or {})})
        # QEMU makes its sockets before the devices that use them: a guest can speak only when all are connected.
        for name in self.names:
            self.connect(name)
        self.qmp = Qmp(self._open("qmp"))

    def _open(self, name, timeout=60):
        deadline = Deadline(timeout)
        while True:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.connect(f"{self.directory}/{name}")
                return sock
            except OSError as e:
                sock.close()
                if self.process.poll() is not None:
                    raise QemuError(f"QEMU ended with {self.process.returncode}: {self.stderr()}") from e
                if deadline.passed():
                    raise QemuError(f"QEMU did not offer its socket {name} within {timeout} s: {e}") from e
                time.sleep(0.02)

    def connect(self, name):
        """The connected socket of that name; it is opened at start, so nothing said on it is lost."""
        for known, sock in self.streams:
            if known == name:
                return sock
        self.streams.append((name, self._open(name)))
        return self.streams[-1][1]

    def stderr(self):
        return (self.directory / "stderr").read_text(errors="replace")

    def wait(self, timeout=30):
        """Wait for QEMU's end and return its exit status."""
        try:
            return self.process.wait(patient(timeout))
        except subprocess.TimeoutExpired as e:
            raise QemuError(f"QEMU still runs after {timeout} s") from e

    def __exit__(self, *_):
        if self.qmp:
            self.qmp.close()
        for _, sock in self.streams:
            sock.close()
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def why_not():
    """Why QEMU cannot run here, or None."""
    return None if shutil.which(QEMU) else f"{QEMU} is missing: install qemu-system-x86"
