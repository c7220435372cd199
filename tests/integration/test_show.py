# SPDX-License-Identifier: LGPL-2.1-or-later
"""list, status and top: what they say, and how it looks on terminals and in pipes."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest

from domains import FORMAT, console, define, disk_xml, guest_xml, tiny_xml
from pace import at_most
from test_hotplug import until
from test_virtctl import virtctl  # noqa: F401
from tmux import width

pytestmark = pytest.mark.bus

DEVICES = "<interface type='user'/><serial type='pty'/>"


def plain(text):
    return re.sub(r"\033\[[0-9;?]*[a-zA-Z]", "", text)


def on_terminal(bus, virtctl, *args, columns=80, rows=24, **environment):
    """What a verb prints on a terminal of that size, colours and all."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    env = {**bus.environment, "TERM": "xterm-256color", "PAGER": "", **environment}
    p = subprocess.Popen([virtctl.program, "--user", *args], env=env, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave)
    os.close(slave)
    said, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([master], [], [], 1)[0]:
            continue
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        said += part
    os.close(master)
    assert p.wait(30) == 0, said
    return said.decode().replace("\r\n", "\n")


def straight(lines):
    """Each column begins or ends in the same place in each line: where the head has a word, there are no words that cross its edge."""
    head = plain(lines[0])
    for at in [m.start() for m in re.finditer(r" (?=\S)", head)]:
        if any(len(plain(line)) > at and width(plain(line)[:at]) == at and plain(line)[at] != " " for line in lines[1:]):
            # a column of numbers begins before its head does
            assert re.match(r"\S+", head[at + 1:])[0] in ("CPUS", "MEMORY", "CPU", "READ/s", "WRITE/s", "RECV/s", "SEND/s"), (at, lines)


def test_list(bus, qemud, virtctl, tmp_path):
    odd = define(bus, tiny_xml("[odd]"))
    assert "1 machine listed" in virtctl("list", "[odd]").stdout and "○ [odd]\n" in virtctl("status", "[odd]").stdout
    odd.Undefine(0, {})
    for name, uuid in (("web1", "d0000000-0000-4000-8000-00000000000a"), ("web2", "d0000000-0000-4000-8000-00000000000b"), ("db", None)):
        define(bus, tiny_xml(name, extra=f"<uuid>{uuid}</uuid>" if uuid else ""))
    virtctl("start", "web1")
    virtctl("enable", "db")
    head, *rows, _, end = virtctl("list").stdout.splitlines()
    assert head.split() == ["NAME", "STATE", "CPUS", "MEMORY", "ADDRESSES", "AUTOSTART", "SINCE"] and end == "3 machines listed."
    assert [r.split()[:6] for r in rows] == [["db", "shutoff", "1", "16M", "-", "enabled"], ["web1", "running", "1", "16M", "-", "disabled"],
                                             ["web2", "shutoff", "1", "16M", "-", "disabled"]]
    assert "2 machines" in virtctl("list", "web?").stdout and "2 machines" in virtctl("list", "web1", "d*").stdout
    assert "1 machine " in virtctl("list", "D0000000-0000-4000-8000-00000000000A").stdout
    assert "0 machines" in virtctl("list", "nothing").stdout
    assert virtctl("list", "--state=running").stdout.splitlines()[1].startswith("web1 ")
    assert "3 machines" in virtctl("list", "--state=running,shutoff").stdout
    wrong = virtctl("list", "--state=runing", check=False)
    assert wrong.returncode == 2 and "did you mean running?" in wrong.stderr
    assert virtctl("--quiet", "list", "none").stdout.count("\n") == 1
    virtctl("kill", "web1")


def test_properties_in_one_call(bus, qemud):
    """The same as GetAll() and GetManagedObjects() say."""
    d, other = define(bus, tiny_xml("a", devices=DEVICES)), define(bus, tiny_xml("b"))
    assert dict(qemud.ListDomainProperties([], ["Name"])) == {d.path: {"Name": "a"}, other.path: {"Name": "b"}}
    (path, values), = qemud.ListDomainProperties([d.path], [])
    assert path == d.path and values == bus.call("org.virtbus.qemu1", d.path, "org.freedesktop.DBus.Properties", "GetAll", "s", "org.virtbus.qemu1.Domain")[0]
    managed, = bus.call("org.virtbus.qemu1", "/org/virtbus/qemu1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    standard = ("org.freedesktop.DBus.Peer", "org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.ObjectManager")
    assert d.GetDevices() == {p: {i: v for i, v in o.items() if i not in standard} for p, o in managed.items() if p.startswith(d.path + "/device/")}
    with bus.fails("InvalidArgs", 'no property "Nam"'):
        qemud.ListDomainProperties([], ["Nam"])
    with bus.fails("NoSuchDomain"):
        qemud.ListDomainProperties(["/org/virtbus/qemu1/domain/none"], ["Name"])


def test_many(bus, qemud, virtctl):
    """Neither a list nor a status takes longer than one can wait for, and neither asks for all objects."""
    for i in range(300):
        qemud.DefineDomain(FORMAT, tiny_xml(f"vm{i:03}", devices=DEVICES), 0, {})
    for words in (["list"], ["list", "--json=short"], ["status", "vm100"], ["status"]):
        begun = time.monotonic()
        virtctl(*words)
        assert time.monotonic() - begun < at_most(3), words


def test_status(bus, qemud, virtctl, guest_image, tmp_path):
    (tmp_path / "d.img").write_bytes(bytes(1 << 20))
    devices = disk_xml(tmp_path / "d.img") + "<interface type='user'/><graphics type='vnc' autoport='yes'/>"
    d = define(bus, guest_xml(guest_image, devices=devices).replace("<memory", "<title>The web server</title><memory"))
    off = virtctl("status", "web").stdout
    assert "○ web - The web server\n" in off and "State: shutoff since" in off and "CPU:" not in off and "QEMU PID" not in off
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask(r"sh printf '\033[31mred\033[0m \033]0;title\007\302\233bell\007\n'; echo")
    virtctl("set-memory", "--config", "web", "128M")
    # Nobody waits long for a QEMU, and the guest's words go their own way to the log.
    until(lambda: {"raw, 1M", "red bell"} <= set(re.findall("raw, 1M|red bell", virtctl("status", "web").stdout)))
    said = virtctl("status", "web").stdout
    for line in (r"^● web - The web server$", r"^ +State: running \(booted\) since .* ago$", r"^ +VCPUs: 1$", r"^ +CPU: \d+\.\d+s$", r"^ +Memory: 160M; .* of the host$",
                 rf"^ +Disk: vda \(virtio\) {tmp_path}/d.img, raw, 1M", r"^ +Network: net0 52:54:00:[0-9a-f:]+ virtio \(user\)$",
                 r"^ +remote-viewer vnc://127.0.0.1:59\d\d$", r"^ +Console: serial0 on /dev/pts/\d+$", r"^serial0:$", r"^  red bell$"):
        assert re.search(line, said, re.M), (line, said)
    assert "Pending: currentMemory: 167772160, will be 134217728; can be had now\n" in said
    assert "\033" not in said and "serial0:" not in virtctl("status", "web", "--lines=0").stdout
    assert len(virtctl("status", "web", "--lines=1").stdout.split("serial0:\n")[1].splitlines()) == 1
    assert virtctl("status", "web", "--lines=many", check=False).returncode == 2
    both = virtctl("status", "w*", "web", "nothing", check=False)
    assert both.returncode == 3 and both.stdout.count("● web") == 2
    none = virtctl("status", "x*", check=False)
    assert none.returncode == 3 and 'no VM is called like "x*"' in none.stderr
    host = virtctl("status").stdout
    assert "VMs: 1 running\n" in host and "Memory: 160M given to VMs" in host
    d.QMPCommand("query-status")
    assert "Tainted: custom-monitor" in virtctl("status", "web").stdout
    d.Terminate(0, {})
    virtctl("status", "web")


def test_status_of_networks(bus, qemud, virtctl):
    """By the names of what they are connected to; only root can start some of them."""
    define(bus, tiny_xml("a", devices="<interface type='network'><source network='lab'/></interface><interface type='bridge'><source bridge='br7'/></interface>"))
    said = virtctl("status", "a").stdout
    assert "(network lab)\n" in said and "(bridge br7)\n" in said


def test_status_of_troubles(bus, qemud, virtctl, tmp_path):
    """What is wrong is told with what to do."""
    limited = define(bus, tiny_xml("limited", extra="<cputune><shares>200</shares></cputune>"))
    define(bus, tiny_xml("broken", devices=disk_xml(tmp_path / "nothing.img")))
    limited.Start(0, {}, timeout=60)
    assert virtctl("start", "broken", check=False).returncode == 1
    said = virtctl("status", "limited").stdout
    assert re.search(r"^ +Warning: its limits are not kept.*\n {14}run virtqemud where there is systemd", said, re.M), said
    said = virtctl("status", "broken").stdout
    assert re.search(rf"^ +Last error: .*{tmp_path}/nothing.img", said, re.M), said
    host = virtctl("status").stdout
    assert "Warnings: broken: " in host and "limited: its limits are not kept" in host
    limited.Terminate(0, {})


def test_status_of_a_job(bus, qemud, virtctl):
    d = define(bus, tiny_xml("a"))
    d.Start(0, {}, timeout=60)
    virtctl("stop", "--no-wait", "a")
    assert re.search(r"Job: shutdown", virtctl("status", "a").stdout) and "Jobs: shutdown" in virtctl("status").stdout
    d.Terminate(0, {})


@pytest.mark.parametrize("columns", [80, 40, 20])
def test_width(bus, qemud, virtctl, columns):
    define(bus, tiny_xml("a-rather-long-name-of-a-machine", devices=DEVICES + "<graphics type='vnc' autoport='yes'/>",
                         extra="<title>Ein Rechner für Größeres, 日本語も少し, and more than fits on a line</title>"))
    d = define(bus, tiny_xml("b"))
    d.Start(0, {}, timeout=60)
    for words in (["list"], ["status", "*"], ["status"], ["host"], ["leases"], ["host-devices"], ["top", "--iterations=1", "--delay=1"]):
        said = on_terminal(bus, virtctl, *words, columns=columns)
        assert "\033[" in said or words[0] == "host", words
        for line in plain(said).splitlines():
            assert width(line) <= columns or words[0] in ("status", "host") and columns == 20, (words, line)
    lines = on_terminal(bus, virtctl, "list", columns=columns).splitlines()
    straight(lines[:-2])
    by_environment = on_terminal(bus, virtctl, "list", columns=200, COLUMNS=str(columns)).splitlines()
    assert by_environment[0] == lines[0]
    d.Terminate(0, {})


def test_colors(bus, qemud, virtctl):
    d = define(bus, tiny_xml("b"))
    d.Start(0, {}, timeout=60)
    assert "\033[32mrunning" in on_terminal(bus, virtctl, "list") and "\033[32m●" in on_terminal(bus, virtctl, "status", "b")
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        for words in (["list"], ["status", "b"], ["top", "--iterations=1", "--delay=1"]):
            assert "\033[3" not in on_terminal(bus, virtctl, *words, **environment), (environment, words)
    assert "\033" not in on_terminal(bus, virtctl, "top", "--iterations=1", "--delay=1", TERM="dumb")
    for words in (["list"], ["status", "b"], ["top", "--iterations=1", "--delay=1"]):
        assert "\033" not in virtctl(*words).stdout
    d.Terminate(0, {})


def test_top(bus, qemud, virtctl, guest_image, tmp_path):
    (tmp_path / "d.img").write_bytes(bytes(8 << 20))
    d = define(bus, guest_xml(guest_image, devices=disk_xml(tmp_path / "d.img")))
    idle = define(bus, tiny_xml("idle"))
    d.Start(0, {}, timeout=60)
    idle.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.send("sh while :; do dd if=/dev/vda of=/dev/null bs=64k iflag=direct; done 2>/dev/null")
    looked = []    # it reads without end, but where others want the processors not in each second

    def look():
        tables = virtctl("top", "--delay=1", "--iterations=3").stdout.split("\n\n")
        heads, rows = tables[0::2], [t.splitlines() for t in tables[1::2]]
        assert len(heads) == len(rows) == 3 and all("2 VMs, CPU " in h and "by CPU" in h for h in heads)
        for table in rows:
            assert table[0].split() == ["NAME", "STATE", "CPU", "MEMORY", "READ/s", "WRITE/s", "RECV/s", "SEND/s"]
            straight(table)
        return {line.split()[0]: line.split() for line in rows[-1][1:]}
    until(lambda: (busy := look())["web"][4] not in ("0B", "-") and looked.append(busy) is None)
    busy = looked[0]
    assert re.fullmatch(r"\d+\.\d%", busy["web"][2]) and busy["web"][4] != "0B" and busy["idle"][4] == "0B" and busy["web"][1] == "running"
    assert virtctl("top", "--delay=0", check=False).returncode == 2 and virtctl("top", "--iterations=x", check=False).returncode == 2
    idle.Terminate(0, {})
    assert "1 VM, " in virtctl("top", "--delay=1", "--iterations=1").stdout
    d.Terminate(0, {})
    assert "0 VMs, " in virtctl("top", "--delay=1", "--iterations=1").stdout


def test_top_after_a_restart_of_virtqemud(bus, qemud, virtctl):
    d = define(bus, tiny_xml("a"))
    d.Start(0, {}, timeout=60)
    top = bus.spawn(virtctl.program, "--user", "top", "--delay=1", "--iterations=8", stdout=subprocess.PIPE, text=True)
    time.sleep(1.5)
    bus.stop_service("org.virtbus.qemu1")
    qemud.ListDomains()
    said, _ = top.communicate(timeout=60)
    assert top.returncode == 0 and "1 VM, " in said.split("\n\n")[-2], said
    d.Terminate(0, {})
