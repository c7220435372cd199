# SPDX-License-Identifier: LGPL-2.1-or-later
"""The test machine does what machine.py promises."""

import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.machine


def test_running_with_controllers(machine):
    assert str(machine.run("systemctl is-system-running")) == "running"
    assert str(machine.run("cat /proc/1/comm")) == "systemd"
    assert {"cpu", "memory", "cpuset", "io", "pids"} <= set(machine.read("/sys/fs/cgroup/cgroup.controllers").split())
    assert str(machine.run("systemd-run --wait --pipe --property=MemoryMax=100M sh -c "
                           "'cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/memory.max'")) == str(100 << 20)


def test_commands(machine):
    assert machine.run("cat", input="text\n").stdout == "text\n"
    assert machine.run(["no-such-program"], check=False).returncode == 127
    with pytest.raises(AssertionError, match="exit status 3"):
        machine.run("exit 3")
    with pytest.raises(TimeoutError):
        machine.run("sleep 99 & sleep 99", timeout=1)
    assert machine.run("pgrep -x sleep", check=False).stdout == ""
    assert len(machine.run("head -c 3000000 /dev/zero | tr '\\0' x").stdout) == 3000000
    # Each waits for the others.
    meet, done = "touch /tmp/meet.$$; until [ $(ls /tmp/meet.* | wc -l) = 3 ]; do sleep 0.1; done", []
    threads = [threading.Thread(target=lambda: done.append(machine.run(meet))) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(done) == 3
    machine.run("rm /tmp/meet.*")


def test_user(machine):
    assert str(machine.run("id -un", user="tester")) == "tester"
    machine.run("for i in $(seq 600); do [ -S $XDG_RUNTIME_DIR/bus ] && exit; sleep 0.1; done; exit 1", user="tester")
    assert str(machine.run("systemctl --user is-system-running --wait", user="tester", check=False)) == "running"


def test_files(machine):
    machine.run("echo from the machine >/mnt/shared/out")
    assert (machine.shared / "out").read_text() == "from the machine\n"
    (machine.shared / "in").write_text("from the host\n")
    assert machine.read("/mnt/shared/in") == "from the host\n"
    machine.put("/etc/virtbus/mark", "x")
    assert machine.read("/etc/virtbus/mark") == "x" and not Path("/etc/virtbus/mark").exists()
    assert machine.read(__file__) == Path(__file__).read_text()


def test_kernel(machine):
    machine.run("modprobe -a dm_mod nbd 8021q vhost_net vhost_vsock && test -e /dev/vhost-net && test -e /dev/mapper/control")
    assert machine.run("ip link add link lo name lo.5 type vlan id 5", check=False).returncode in (0, 2)
    machine.run("truncate -s 64M /tmp/pv && d=$(losetup -f --show /tmp/pv) && test -b $d && losetup -d $d")
    assert machine.run("cat /sys/kernel/security/lsm").stdout.count("apparmor") == 1
