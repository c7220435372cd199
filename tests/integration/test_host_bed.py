# SPDX-License-Identifier: LGPL-2.1-or-later
"""The testbed does what host.py promises."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from host import Testbed, TestbedError, _cgroup_parent, UID
from pace import at_most

pytestmark = pytest.mark.host


def test_running(testbed):
    assert str(testbed.run("systemctl is-system-running")) == "running"
    assert str(testbed.run("cat /proc/1/comm")) == "systemd"
    assert str(testbed.run("systemd-detect-virt --container")) == "container-other"
    assert testbed.run("systemctl --failed --no-legend").stdout == ""
    assert str(testbed.run("cat /proc/self/cgroup")).splitlines()[-1] == "0::/system.slice/testbed-shell.service"


def test_machined_and_polkit(testbed):
    machines = testbed.run("busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager "
                           "ListMachines")
    assert str(machines).startswith("a(ssso)")
    assert "org.freedesktop.machine1.manage-machines" in testbed.run("pkaction").stdout
    refused = testbed.run("busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager "
                          "TerminateMachine s nothere", user="tester", check=False)
    assert refused.returncode != 0
    check = "pkcheck --action-id org.freedesktop.machine1.manage-machines --process $$"
    assert testbed.run(check, check=False).returncode == 0
    assert testbed.run(check, user="tester", check=False).returncode != 0


def test_machine_registers(testbed):
    testbed.run("systemd-run --unit=fake --property=Type=exec sleep 600")
    pid = str(testbed.run("systemctl show -P MainPID fake"))
    testbed.run("busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager "
                f"RegisterMachine sayssus fake 0 virtqemud vm {pid} ''")
    assert "fake" in testbed.run("machinectl list --no-legend").stdout
    testbed.run("machinectl terminate fake")
    testbed.wait(lambda: "fake" not in testbed.run("machinectl list --no-legend").stdout)


def test_user(testbed):
    assert str(testbed.run("id -un; id -u; echo $HOME", user="tester")).split() == ["tester", str(UID), "/home/tester"]
    assert str(testbed.run("systemctl --user is-system-running --wait", user="tester")) == "running"
    assert "org.freedesktop.systemd1" in testbed.run("busctl --user list --no-legend", user="tester").stdout
    testbed.run("systemd-run --user --wait true", user="tester")


def test_commands(testbed):
    assert testbed.run("cat", input="text\n").stdout == "text\n"
    assert testbed.run(["printf", "%s", "a b"]).stdout == "a b"
    with pytest.raises(AssertionError, match="exit status 3"):
        testbed.run("echo why; exit 3")
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        testbed.run("sleep 77", timeout=1)
    assert time.monotonic() - began < at_most(5)
    assert testbed.run(["pgrep", "-fx", "sleep 77"], check=False).stdout == ""
    with testbed.popen("read x; echo got $x", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        assert p.communicate("line\n", timeout=10)[0] == "got line\n"


def test_bus(testbed):
    client = testbed.bus()
    manager = client.object("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
    assert manager.SystemState == "running"
    manager.Subscribe()
    testbed.run("systemctl restart testbed-other 2>/dev/null; systemd-run --wait true")
    assert client.wait_signal("JobRemoved").args[3] == "done"
    client.close()


def test_host_is_out_of_reach(testbed):
    testbed.put("/etc/virtbus/mark", "x")
    testbed.put("/tmp/mark", "x")
    assert not os.path.exists("/etc/virtbus/mark") and not os.path.exists("/tmp/mark")
    assert not str(testbed.run("ls -A /run/user")).startswith("0")
    assert str(testbed.run("ls /sys/class/net")) == "lo"
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/swappiness"):
        assert testbed.run(f"test -w {path} && echo x >>{path}", check=False).returncode != 0
    assert testbed.run("sysctl -qw net.ipv4.ip_forward=1").returncode == 0
    assert testbed.run("ls /boot/vmlinuz-*").stdout.strip() == "\n".join(sorted(map(str, Path("/boot").glob("vmlinuz-*"))))
    testbed.run("ip link add br0 type bridge && ip link set br0 up && nft add table inet t")
    assert not os.path.exists("/sys/class/net/br0")


def test_install(testbed, tmp_path):
    """A meson project with a unit, a bus service, a polkit action and a system user, installed and used."""
    (tmp_path / "meson.build").write_text("""project('proof', meson_version: '>=1.0')
install_data('proof.service', install_dir: '/usr/lib/systemd/system')
install_data('proof.conf', install_dir: '/usr/lib/sysusers.d')
install_data('proof.tmpfiles', install_dir: '/usr/lib/tmpfiles.d', rename: 'proof.conf')
install_data('org.virtbus.proof.policy', install_dir: '/usr/share/polkit-1/actions')
""")
    (tmp_path / "proof.service").write_text("[Service]\nType=oneshot\nUser=virtbus-proof\nExecStart=test -d /var/lib/virtbus-proof\n")
    (tmp_path / "proof.conf").write_text("u virtbus-proof - - -\n")
    (tmp_path / "proof.tmpfiles").write_text("d /var/lib/virtbus-proof 0755 root root\n")
    (tmp_path / "org.virtbus.proof.policy").write_text("""<?xml version="1.0"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/PolicyKit/1/policyconfig.dtd">
<policyconfig><action id="org.virtbus.proof"><description>d</description><message>m</message>
<defaults><allow_any>no</allow_any><allow_inactive>no</allow_inactive><allow_active>yes</allow_active></defaults></action></policyconfig>
""")
    subprocess.run(["meson", "setup", tmp_path / "b", tmp_path], check=True, capture_output=True, timeout=60)
    with Testbed(binds=[tmp_path]) as bed:
        bed.install(tmp_path / "b")
        bed.run("systemctl start proof")
        bed.wait(lambda: "org.virtbus.proof" in bed.run("pkaction").stdout, what="pkaction lists the new action")
    assert not os.path.exists("/usr/lib/systemd/system/proof.service")


def test_reboot():
    with Testbed() as bed:
        where, first = bed.directory, str(bed.run("systemctl show -P UserspaceTimestampMonotonic"))
        bed.put("/etc/virtbus/kept", "1")
        bed.put("/var/lib/virtbus/kept", "2")
        bed.put("/run/gone", "3")
        bed.run("systemd-run --unit=slow --property='ExecStop=sh -c \"echo stopped >/var/lib/virtbus/stopped\"' sleep 999")
        assert bed.reboot()
        assert str(bed.run("systemctl show -P UserspaceTimestampMonotonic")) != first
        assert bed.read("/etc/virtbus/kept") == "1" and bed.read("/var/lib/virtbus/kept") == "2"
        assert bed.read("/var/lib/virtbus/stopped") == "stopped\n" and not bed.exists("/run/gone")
        bed.crash()
        bed.boot_again()
        assert str(bed.run("systemctl is-system-running")) == "running"
        pid, cgroup = bed.pid, bed.cgroup
    assert not where.exists() and not cgroup.exists() and not Path(f"/proc/{pid}").exists()
    assert str(where) not in Path("/proc/mounts").read_text()


def test_slow_shutdown_is_killed():
    with Testbed() as bed:
        bed.run("systemd-run --unit=stubborn --property=TimeoutStopSec=600 sh -c 'trap \"\" TERM; touch /run/stubborn; while :; do sleep 1; done'")
        bed.wait(lambda: bed.exists("/run/stubborn"))
        began = time.monotonic()
        assert not bed.stop(timeout=2)
        assert time.monotonic() - began < at_most(10)
    assert not [p for p in _cgroup_parent().iterdir() if p.name.endswith(bed.directory.name)]


def test_two_at_once(testbed):
    with Testbed() as other:
        other.put("/run/mine", "x")
        assert not testbed.exists("/run/mine")
        assert str(other.run("systemctl is-system-running")) == "running"
    assert str(testbed.run("systemctl is-system-running")) == "running"


def test_degraded_names_the_unit(monkeypatch):
    bed = Testbed()
    prepare = bed._prepare

    def with_failure():
        prepare()
        bed.add_unit("broken.service", "[Service]\nType=oneshot\nExecStart=false\n")
    monkeypatch.setattr(bed, "_prepare", with_failure)
    with pytest.raises(TestbedError, match="broken.service"):
        bed.start()
    assert not bed.directory.exists()
