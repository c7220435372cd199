# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real iSCSI target: tgtd."""

import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from rawqemu import die_with_parent

TARGET = "iqn.2026-01.example.virtbus:direct"


def free_port():
    """One that nobody listens at, and that is given to no connection by the kernel until somebody does."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    while True:
        with socket.socket() as s, suppress(OSError):
            s.bind(("127.0.0.1", random.SystemRandom().randrange(first // 2, first)))
            return s.getsockname()[1]


class Target:
    """A server with one target: its controller, unit 0, and a disk of 16 MiB, unit 1. Where it is spoken to is its own: others run theirs."""

    def __init__(self, folder):
        self.folder, self.process = folder, None
        self.place = Path(tempfile.mkdtemp(prefix="vbi", dir="/tmp"))    # what it makes there has a short name
        self.environment = {**os.environ, "TGT_IPC_SOCKET": f"{self.place}/socket"}
        self.port = free_port()
        (folder / "unit1").write_bytes(bytes(16 << 20))

    def ask(self, *words, check=True):
        return subprocess.run(["tgtadm", "--lld", "iscsi", *words], env=self.environment, check=check, capture_output=True, text=True, timeout=60)

    def start(self):
        with open(self.folder / "tgtd.log", "ab") as log:
            self.process = subprocess.Popen(["tgtd", "-f", "--iscsi", f"portal=127.0.0.1:{self.port}"], env=self.environment, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=die_with_parent)
        deadline = time.monotonic() + 60
        while self.ask("--op", "new", "--mode", "target", "--tid", "1", "-T", TARGET, check=False).returncode:
            assert self.process.poll() is None and time.monotonic() < deadline, (self.folder / "tgtd.log").read_text()
            time.sleep(0.05)
        self.ask("--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "-b", str(self.folder / "unit1"))
        self.ask("--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL")

    def need_password(self):
        self.ask("--op", "new", "--mode", "account", "--user", "web", "--password", "open sesame 12")
        self.ask("--op", "bind", "--mode", "account", "--tid", "1", "--user", "web")

    def stop(self):
        if self.process:
            self.process.kill()  # it ends by itself only when nothing is defined
            self.process.wait()
        self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.place)
