# SPDX-License-Identifier: LGPL-2.1-or-later
"""The agent in the guest: the real one, and one that is up to no good."""

import json
import os
import socket
import subprocess
import threading
import time

import pytest
from gi.repository import GLib

import guest
from domains import FORMAT, LIVE, SERVICE, console, define, disk_xml, guest_xml, have, job_done, tiny_xml
from schema import valid
from test_hotplug import until
from pace import at_most
from test_virtctl import virtctl  # noqa: F401

AGENT = "/usr/sbin/qemu-ga"
pytestmark = [pytest.mark.bus, pytest.mark.skipif(not have(AGENT), reason="no qemu-guest-agent")]

CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
NIC = "<interface type='user'><mac address='52:54:00:00:00:07'/></interface>"
GUEST = "org.virtbus.qemu1.Guest"
START = ("sh mkdir -p /run /etc /root /sbin /var; ln -sf /run /var/run; ln -sf /bin/busybox /sbin/hwclock; "
         "printf '#!/bin/sh\\ncat >/etc/given\\n' >/bin/chpasswd; chmod +x /bin/chpasswd; "
         "echo root:x:0:0::/root:/bin/sh >/etc/passwd; echo root:*:0:0:99999:7::: >/etc/shadow; "
         "printf 'ID=tiny\\nNAME=Tiny\\nPRETTY_NAME=Tiny\\n' >/etc/os-release; hostname tiny; ifconfig lo 127.0.0.1; "
         "p=$(grep -l guest_agent /sys/class/virtio-ports/*/name); p=${p%/name}; qemu-ga -d -p /dev/${p##*/} -t /run -f /run/ga.pid")


@pytest.fixture(scope="session")
def agent_image():
    return guest.build_with(AGENT)


def inside(bus, domain):
    return bus.object(SERVICE, domain.path, GUEST)


@pytest.fixture
def running(bus, qemud, agent_image, tmp_path):
    """A guest with its agent, and an ext4 file system that it has mounted."""
    with open(tmp_path / "disk.img", "wb") as f:
        f.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", tmp_path / "disk.img"], check=True, timeout=30)
    disk = disk_xml(tmp_path / "disk.img").replace("type='raw'", "type='raw' discard='unmap'")
    d = define(bus, guest_xml(agent_image, devices=CHANNEL + disk + NIC, memory=192))
    g = inside(bus, d)
    assert g.AgentState == "absent"
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    assert g.AgentState == "disconnected"
    with bus.fails("Disconnected", "no agent runs in the guest"):
        g.Ping(0, {})
    con.ask("ports")
    con.ask("disks")
    con.ask("sh modprobe -a crc32c_generic ext4; mkdir -p /m; mount -t ext4 /dev/vda /m")
    con.ask(START)
    bus.wait_property(g, "AgentState", "connected")
    yield d, g, con
    d.Terminate(0, {})
    assert g.AgentState == "absent"


def text(data):
    return bytes(data).decode()


def test_what_it_says(bus, running):
    d, g, con = running
    g.Ping(0, {})
    bus.wait_property(g, "Hostname", "tiny")
    until(lambda: g.OS.get("id") == "tiny")
    assert g.AgentVersion == "7.2.22" and "guest-exec" in g.AgentCommands and g.OS["kernel-release"] == con.ask("sh uname -r")[0]
    assert g.GetHostname(0, {}) == "tiny" and g.GetUsers(0, {}) == []
    assert g.GetTimezone(0, {})[1] == 0
    filesystems = {f[1]: f for f in g.GetFilesystems(0, {})}
    assert filesystems["/m"][2] == "ext4" and filesystems["/m"][3] > 8 << 20
    assert {"/dev/vda"} <= {x[0] for x in g.GetDisks(0, {})}
    assert [i[0] for i in g.GetInterfaces(0, {})] == ["lo", "eth0"]
    assert g.GetVCPUs(0, {})[0][:2] == (0, True)
    assert json.loads(g.Command("guest-get-time", 0, {})) > 0
    answer = g.Command(json.dumps({"execute": "guest-file-open", "arguments": {"path": "/etc/os-release"}}), 0, {})
    assert json.loads(answer) == 1000
    with bus.fails("GuestAgentFailed", "No such file"):
        g.Command(json.dumps({"execute": "guest-file-open", "arguments": {"path": "/nothing"}}), 0, {})
    with bus.fails("NotSupported", "does not do guest-nonsense"):
        g.Command("guest-nonsense", 0, {})


def test_time(running):
    _, g, con = running
    g.SetTime(1_000_000_000_000_000, 0, {})
    assert abs(g.GetTime(0, {}) - 1_000_000_000_000_000) < 60_000_000 and con.ask("sh date +%Y") == ["2001"]
    g.SetTime(0, 0, {})
    assert abs(g.GetTime(0, {}) - time.time() * 1e6) < 60_000_000


def test_frozen(bus, running):
    """What writes waits, and goes on."""
    _, g, con = running
    con.ask("sh while :; do date +%s.%N >>/m/written; usleep 20000; done 2>/dev/null &")
    con.ask("sh while ! [ -s /m/written ]; do usleep 20000; done")
    assert g.GetFreezeStatus(0, {}) == "thawed"
    assert g.FreezeFilesystems([], 0, {}) >= 1 and g.GetFreezeStatus(0, {}) == "frozen"
    con.ask("sh sleep 1")
    size = con.ask("sh wc -c </m/written")
    con.ask("sh sleep 1")
    assert con.ask("sh wc -c </m/written") == size
    with bus.fails("NotSupported", "guest-get-fsinfo"):
        g.GetFilesystems(0, {})
    assert g.ThawFilesystems(0, {}) >= 1
    until(lambda: con.ask("sh wc -c </m/written") != size)
    trimmed = g.TrimFilesystems(0, 0, {})
    assert [t[0] for t in trimmed] == ["/m"] and trimmed[0][1] > 0 and not trimmed[0][2]


def test_passwords_and_keys(bus, running):
    _, g, con = running
    g.SetPassword("root", "secret word", False, 0, {})
    assert con.ask("sh cat /etc/given") == ["root:secret word"]
    keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOEcjLRkl33fnWnM1u3HU6aUr44gwvVBJcPHbzzL8slA one", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 two"]
    g.AddSSHKeys("root", keys, False, 0, {})
    assert sorted(g.GetSSHKeys("root", 0, {})) == sorted(keys)
    g.RemoveSSHKeys("root", keys[:1], 0, {})
    assert g.GetSSHKeys("root", 0, {}) == keys[1:]


def test_programs(bus, running):
    _, g, con = running
    code, sig, out, err, more = g.Exec("/bin/sh", ["-c", "read x; echo $x $A; echo no >&2; exit 3"], ["A=b", "PATH=/bin"], b"given\n", 0, {})
    assert (code, sig, text(out), text(err), more) == (3, 0, "given b\n", "no\n", False)
    pid = g.Spawn("/bin/sleep", ["1000"], [], b"", 0, {})
    assert not g.GetExecStatus(pid, 0, {})[0]
    con.ask(f"sh kill -9 {pid}")
    until(lambda: g.GetExecStatus(pid, 0, {})[:3] == (True, 0, 9))
    with bus.fails("Timeout", "has not ended in time"):
        g.Exec("/bin/sleep", ["1000"], [], b"", 0, {"timeout": GLib.Variant("t", round(at_most(1_000_000)))})
    with bus.fails("GuestAgentFailed", "guest-exec"):
        g.Exec("/bin/nothing", [], [], b"", 0, {})


def test_output_that_is_read_while_it_comes(bus, running):
    _, g, con = running
    script = "echo first; while ! [ -e /go ]; do usleep 20000; done; echo then >&2; exit 5"
    pipe, job = g.ExecStream("/bin/sh", ["-c", script], ["PATH=/bin"], b"", 0, {}, timeout=30)
    with os.fdopen(pipe.detach(), "rb") as f:
        assert f.readline() == b"first\n"
        con.ask("sh touch /go")
        assert f.read() == b"then\n"
    result = job_done(bus, job)
    assert result[0] == "failed" and "has ended with 5" in result[2], result
    until(lambda: con.ask("sh ls -A /tmp") == [])
    pipe, job = g.ExecStream("/bin/echo", ["hello"], [], b"", 0, {}, timeout=30)
    with os.fdopen(pipe.detach(), "rb") as f:
        assert f.read() == b"hello\n"
    assert job_done(bus, job)[0] == "done"


def test_files(bus, running):
    _, g, con = running
    data = os.urandom(1_500_000)
    pipe, job = g.WriteFile("/m/random", False, 0, {})
    with os.fdopen(pipe.detach(), "wb") as f:
        f.write(data)
    assert job_done(bus, job)[0] == "done"
    pipe, job = g.ReadFile("/m/random", 0, {})
    with os.fdopen(pipe.detach(), "rb") as f:
        assert f.read() == data
    assert job_done(bus, job)[0] == "done"
    with bus.fails("GuestAgentFailed", "/nothing"):
        g.ReadFile("/nothing", 0, {})


def test_virtctl_and_the_guest(running, virtctl, tmp_path):  # noqa: F811
    _, _, con = running
    until(lambda: "System: Tiny" in virtctl("guest-info", "web").stdout)
    info = virtctl("guest-info", "web").stdout
    assert "Agent: connected 7.2.22" in info and "Hostname: tiny" in info and "/m (ext4" in info and "127.0.0.1/8 on lo" in info
    assert valid("guest-info", virtctl("guest-info", "web", "--json=short").stdout)["Interfaces"][0]["name"] == "lo"
    done = virtctl("exec", "web", "--", "/bin/sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)
    (tmp_path / "in").write_bytes(os.urandom(300_000))
    virtctl("copy-to", "web", tmp_path / "in", "/m/there")
    virtctl("copy-from", "web", "/m/there", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
    failed = virtctl("copy-from", "web", "/nowhere", "-", check=False)
    assert failed.returncode == 1 and "/nowhere" in failed.stderr
    assert "1 file system" in virtctl("freeze", "web", "/m").stdout and "1 file system" in virtctl("thaw", "web").stdout
    assert "/m: " in virtctl("trim", "web").stdout
    assert "/m" in {row["folder"] for row in valid("trim", virtctl("trim", "web", "--json=short").stdout)}
    assert "Agent: connected 7.2.22, tiny, Tiny\n" in virtctl("status", "web").stdout
    (tmp_path / "password").write_text("a b c")
    virtctl("set-password", "web", "root", tmp_path / "password")
    assert con.ask("sh cat /etc/given") == ["root:a b c"]
    (tmp_path / "keys").write_text("# a comment\n\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5 one\nssh-ed25519 AAAAC3NzaC1lZDI1NTE6 two\r\n")
    virtctl("add-ssh-keys", "web", "root", tmp_path / "keys")
    assert sorted(virtctl("ssh-keys", "web", "root").stdout.splitlines()) == ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 one", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE6 two"]
    (tmp_path / "one").write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 one\n")
    virtctl("remove-ssh-keys", "web", "root", tmp_path / "one")
    assert len(json.loads(virtctl("ssh-keys", "web", "root", "--json=short").stdout)) == 1
    virtctl("sync-time", "web")
    assert json.loads(virtctl("agent", "web", "guest-fsfreeze-status").stdout) == "thawed"
    virtctl("wait", "web", "agent")
    con.ask("nics")
    con.ask("sh ifconfig eth0 198.51.100.7 netmask 255.255.255.0 up")
    assert virtctl("wait", "web", "ipv4").stdout == "198.51.100.7\n"
    assert virtctl("addresses").stdout.splitlines()[1].split() == ["web", "net0", "198.51.100.7/24", "agent"]
    found = json.loads(virtctl("addresses", "web", "--json=short").stdout)
    assert [a for a in found if ":" not in a["address"]] == [{"name": "web", "interface": "net0", "address": "198.51.100.7", "prefix": 24, "source": "agent"}]


def test_addresses(bus, qemud, agent_image, virtctl):  # noqa: F811
    """What the guest says of its interfaces is known soon, and told; WaitForAddress waits for it."""
    d = define(bus, guest_xml(agent_image, devices=CHANNEL + NIC, memory=192))
    g = inside(bus, d)
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("ports")
    con.ask("nics")
    con.ask(START)
    bus.wait_property(g, "AgentState", "connected")
    con.ask("sh ifconfig eth0 198.51.100.7 netmask 255.255.255.0 up")
    with bus.fails("InvalidArgs", "the family is ipv4 or ipv6"):
        d.WaitForAddress(0, {"family": "ipv9"})
    job = d.WaitForAddress(0, {"interface": "net0", "family": "ipv4"})
    assert job_done(bus, job)[0] == "done"
    assert ("net0", bytes([198, 51, 100, 7]), 24, "agent") in [(a, bytes(b), c, s) for a, b, c, s in d.Addresses]
    assert "198.51.100.7" in {a["address"] for a in valid("wait", virtctl("wait", "web", "ipv4", "--json=short").stdout)}
    assert "198.51.100.7" in valid("list", virtctl("list", "--json=short").stdout)[0]["addresses"] and " 198.51.100.7" in virtctl("list").stdout
    assert "Address: 198.51.100.7/24 on net0 (agent)\n" in virtctl("status", "web").stdout
    assert job_done(bus, d.WaitForAddress(0, {"interface": "net0", "family": "ipv6", "timeout": GLib.Variant("t", 10)}))[0] in ("done", "timeout", "failed")
    con.ask("sh ifconfig eth0 0.0.0.0")
    g.GetInterfaces(0, {})
    until(lambda: not [a for a in d.Addresses if len(a[1]) == 4])
    con.ask("sh kill $(cat /run/ga.pid)")
    bus.wait_property(g, "AgentState", "disconnected")
    assert d.Addresses == [] and g.Hostname == ""
    d.Terminate(0, {})


def test_processors_and_sleep(bus, qemud, virtctl, agent_image):  # noqa: F811
    """One is taken out of use and comes back; then the guest sleeps, and Resume() wakes it: this one's firmware takes that for a power-on."""
    xml = guest_xml(agent_image, devices=CHANNEL, memory=192).replace("<vcpu>1<", "<vcpu>2<")
    d = define(bus, xml)
    d.Start(0, {}, timeout=60)
    g, con = inside(bus, d), console(bus, d)
    con.ready()
    con.ask("ports")
    con.ask(START)
    bus.wait_property(g, "AgentState", "connected")
    assert [v[:2] for v in g.GetVCPUs(0, {})] == [(0, True), (1, True)]
    assert g.SetOnlineVCPUs([(1, False)], 0, {}) == 1 and con.ask("sh cat /sys/devices/system/cpu/online") == ["0"]
    assert [v[:2] for v in g.GetVCPUs(0, {})] == [(0, True), (1, False)]
    assert g.SetOnlineVCPUs([(1, True)], 0, {}) == 1 and con.ask("sh cat /sys/devices/system/cpu/online") == ["0-1"]
    virtctl("set-guest-vcpus", d.Name, "1")
    assert con.ask("sh cat /sys/devices/system/cpu/online") == ["0"]
    assert "has 2 processors" in virtctl("set-guest-vcpus", d.Name, "3", check=False).stderr
    with bus.fails("InvalidArgs", "doze"):
        g.Sleep("doze", 0, {})
    virtctl("sleep", d.Name)
    bus.wait_property(d, "State", "pmsuspended")
    d.Resume(0, {})
    bus.wait_property(d, "State", "running")
    con.ready()
    bus.wait_property(g, "AgentState", "disconnected")
    d.Terminate(0, {})


def test_one_that_is_up_to_no_good(bus, qemud, guest_image):
    """Its channel is full of anything but answers: calls fail in their time, and everything else goes on."""
    d = define(bus, guest_xml(guest_image, devices=CHANNEL))
    g = inside(bus, d)
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("ports")
    port = "p=$(grep -l guest_agent /sys/class/virtio-ports/*/name); p=${p%/name}; p=/dev/${p##*/}"
    con.ask(f"sh {port}; cat /dev/zero >$p &")
    bus.wait_property(g, "AgentState", lambda s: s != "disconnected")
    failed = threading.Event()

    def ping():
        with bus.fails("Timeout", "did not answer guest-ping"):
            g.Ping(0, {"timeout": GLib.Variant("t", 1_000_000)}, timeout=20)
        failed.set()

    took, end = [], time.monotonic() + 3
    client = threading.Thread(target=ping)
    client.start()
    while time.monotonic() < end:
        began = time.monotonic()
        assert d.State == "running"
        took.append(time.monotonic() - began)
    client.join(20)
    assert failed.is_set() and sorted(took)[len(took) // 2] < at_most(0.1), took
    bus.wait_property(g, "AgentState", "silent")
    d.Terminate(0, {})


def start_guest(bus, agent_image, more=""):
    d = define(bus, guest_xml(agent_image, devices=CHANNEL, memory=192))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("ports")
    con.ask(START)
    con.ask(f"sh printf '#!/bin/sh\\necho $* >/dev/console; {more}\\n' >/sbin/shutdown; chmod +x /sbin/shutdown")
    bus.wait_property(inside(bus, d), "AgentState", "connected")
    return d, con


def test_shutdown(bus, qemud, agent_image):
    """By the agent alone, and by it and the power button."""
    d, con = start_guest(bus, agent_image, "poweroff -f")
    assert job_done(bus, d.Shutdown("agent", 0, {}))[0] == "done" and d.State == "shutoff"
    con.wait(r"-P \+0")
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    result = job_done(bus, d.Shutdown("agent", 0, {}))
    assert result[0] == "failed" and "no agent runs in the guest" in result[2], result
    assert job_done(bus, d.Shutdown("any", 0, {}))[0] == "done" and d.State == "shutoff"
    d.Undefine(0, {})


def test_reboot(bus, qemud, agent_image):
    """By the agent."""
    d, con = start_guest(bus, agent_image, "reboot -f")
    assert job_done(bus, d.Reboot(0, {"mode": "agent"}))[0] == "done"
    con.wait(r"-r \+0")
    bus.wait_property(inside(bus, d), "AgentState", "disconnected")
    d.Terminate(0, {})
