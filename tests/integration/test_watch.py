# SPDX-License-Identifier: LGPL-2.1-or-later
"""The supervisor of a VM's unit, with a QEMU of its own: what it tells systemd."""

import os
import signal
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest

from rawqemu import RawQemu

pytestmark = pytest.mark.bus

# It stands still from the moment QEMU is there.
STOPPED = ("/bin/sh", "-c", 'kill -STOP $PPID; exec "$@"', "sh")


@pytest.fixture
def systemd(tmp_path):
    """The socket on which systemd would be told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(tmp_path / "notify"))
        s.settimeout(60)
        yield s


@contextmanager
def supervised(systemd, *options, before=("/usr/bin/env",)):
    """A QEMU that is not told to run yet, with one monitor for the supervisor and one for the test."""
    ours, qemus = socket.socketpair()
    watch = [f"{os.environ['VIRTBUS_BUILD']}/virtqemud/virtqemu-watch", f"--monitor-fd={ours.fileno()}", *options, "--", *before]
    args = ["-S", "-machine", "none", "-chardev", f"socket,id=watch,fd={qemus.fileno()}", "-mon", "chardev=watch,mode=control"]
    with ours, qemus, RawQemu(args, wrap=watch, fds=(ours.fileno(), qemus.fileno()), environment={"NOTIFY_SOCKET": systemd.getsockname()}) as qemu:
        yield qemu


def end(qemu):
    qemu.qmp.run("quit")
    assert qemu.wait() == 0


def test_tells_when_the_guest_runs(systemd):
    with supervised(systemd) as qemu:
        systemd.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemd.recv(256)
        systemd.settimeout(60)
        qemu.qmp.run("cont")
        assert systemd.recv(256).startswith(b"READY=1\n")
        end(qemu)


def test_tells_of_a_guest_that_stays_paused(systemd):
    with supervised(systemd, "--paused") as qemu:
        assert systemd.recv(256).startswith(b"READY=1\n")
        assert qemu.qmp.run("query-status")["running"] is False
        end(qemu)


def test_runs_before_anybody_listens(systemd):
    """QEMU tells nobody of a guest that was resumed before he was a client of the monitor."""
    with supervised(systemd, before=STOPPED) as qemu:
        stat = Path(f"/proc/{qemu.process.pid}/stat").read_text(encoding="ascii")
        assert stat.rpartition(")")[2].split()[0] == "T"
        qemu.qmp.run("cont")
        assert qemu.qmp.run("query-status")["running"] is True
        qemu.process.send_signal(signal.SIGCONT)
        assert systemd.recv(256).startswith(b"READY=1\n")
        end(qemu)
