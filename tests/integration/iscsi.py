# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real iSCSI target: tgtd."""

import os
import socket
import subprocess
import time

from rawqemu import die_with_parent

TARGET = "iqn.2026-01.example.virtbus:direct"
RUN = "/run/tgtd"


class Target:
    """A server with one target: its controller, unit 0, and a disk of 16 MiB, unit 1."""

    def __init__(self, folder):
        self.folder, self.channel, self.process = folder, str(os.getpid() % 32000 + 1), None
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        (folder / "unit1").write_bytes(bytes(16 << 20))

    def ask(self, *words, check=True):
        return subprocess.run(["tgtadm", "-C", self.channel, "--lld", "iscsi", *words], check=check, capture_output=True, text=True, timeout=30)

    def start(self):
        with open(self.folder / "tgtd.log", "ab") as log:
            self.process = subprocess.Popen(["tgtd", "-f", "-C", self.channel, "--iscsi", f"portal=127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=die_with_parent)
        deadline = time.monotonic() + 20
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
            for name in (f"socket.{self.channel}", f"socket.{self.channel}.lock"):
                if os.path.exists(f"{RUN}/{name}"):
                    os.unlink(f"{RUN}/{name}")
        self.process = None
