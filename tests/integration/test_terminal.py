# SPDX-License-Identifier: LGPL-2.1-or-later
"""An hour at a terminal, looked at: what virtctl draws fits the screen, stands in columns, has its colours, and leaves the terminal as it was."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

import tmux
from domains import console, define, disk_xml, guest_xml, tiny_xml

pytestmark = [pytest.mark.bus, pytest.mark.skipif(bool(tmux.why_not()), reason=str(tmux.why_not()))]

GREEN, YELLOW, RED = "\033[32m", "\033[33m", "\033[31m"
# Takes what it gets at some 100 MB/s, and less from the middle on until somebody has looked.
SLOW = """import os, sys, time
n = 0
while part := sys.stdin.buffer.read(8 << 20 if n < 32 or os.path.exists(sys.argv[1]) else 1 << 18):
    n += 1
    time.sleep(0.08)
"""
COLUMNS = 90


@pytest.fixture
def screen(bus, qemud):
    folder = Path(os.environ["VIRTBUS_BUILD"]).resolve() / "virtctl"
    with tmux.Tmux(bus.directory, bus.environment, COLUMNS, 30, folder) as s:
        s.run("alias virtctl='virtctl --user'")
        yield s


def end_console(con):
    con.stream.shutdown(2)
    con.stream.close()


def fits(lines, columns=COLUMNS):
    for line in lines:
        assert tmux.width(line) <= columns, line
    return lines


def alternate(screen):
    return screen.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").split()


def tty_of(screen):
    return screen.tmux("display-message", "-p", "#{pane_tty}").strip()


def running_on(screen, program):
    """The only process of that name on the terminal."""
    return int(subprocess.run(["pgrep", "-t", tty_of(screen).removeprefix("/dev/"), program], capture_output=True, text=True, check=True).stdout)


def terminal_flags(screen):
    """Whether the terminal shows what is typed, and takes it by lines."""
    said = subprocess.run(["stty", "-a", "-F", tty_of(screen)], capture_output=True, text=True, check=True).stdout
    return {word: word in said.replace(";", " ").split() for word in ("echo", "icanon", "isig")}


def test_lists(bus, qemud, screen):
    for name in ("db1", "db2", "a-machine-with-quite-a-long-name-of-its-own"):
        define(bus, tiny_xml(name, extra=f"<title>{name} für 日本語 und noch viel mehr, als auf eine Zeile passt, auch wenn sie lang ist</title>"))
    screen.run("virtctl start db1 db2; virtctl suspend db2")
    lines = fits(screen.run("virtctl list"))
    assert [line.split()[0] for line in lines[:4]] == ["NAME", "a-machine-with-quite-a-long-name-of-its-own", "db1", "db2"]
    starts = {line.index(word) for line, word in zip(lines, ("STATE", "shutoff", "running", "paused"))}
    ends = {line.index(word) + len(word) for line, word in zip(lines, ("MEMORY", "16M", "16M", "16M"))}
    assert len(starts) == len(ends) == 1, lines
    assert f"{GREEN}running" in screen.colors() and f"{YELLOW}paused" in screen.colors() and "\033[1mNAME" in screen.colors()
    screen.resize(40, 30)
    narrow = fits(screen.run("virtctl list"), 40)
    assert "…" in narrow[1] and narrow[0].split()[:2] == ["NAME", "STATE"]
    fits(screen.run("virtctl list --state=paused 'd*'"), 40)
    screen.resize(COLUMNS, 30)
    host = fits(screen.run("virtctl status"))
    assert re.search(r"● \S+$", host[0]) and "1 running, 1 paused, 1 shutoff" in host[1]
    screen.run("virtctl start --no-wait a-machine-with-quite-a-long-name-of-its-own")
    screen.wait(lambda: "running" in screen.run("virtctl list 'a-*'")[1])
    fits(screen.run("virtctl status a-machine-with-quite-a-long-name-of-its-own"))
    fits(screen.run("virtctl --help | tail -25"))
    fits(screen.run("virtctl help list"))
    screen.run("virtctl kill db1 db2 a-machine-with-quite-a-long-name-of-its-own")


def test_status_and_console(bus, qemud, screen, guest_image, tmp_path):
    with open(tmp_path / "d.img", "wb") as f:
        f.truncate(64 << 20)
    devices = disk_xml(tmp_path / "d.img") + "<interface type='user'/><graphics type='vnc' autoport='yes'/>"
    d = define(bus, guest_xml(guest_image, devices=devices).replace("<memory", "<title>The web server</title><memory"))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    end_console(con)
    lines = fits(screen.run("virtctl status web"))
    labels = {line.index(":") for line in lines[1:] if re.match(r" +[A-Z][A-Za-z -]*: ", line)}
    assert lines[0] == "● web - The web server" and labels == {12}, lines
    assert re.search(re.escape(GREEN) + "●", screen.colors()) and f"{GREEN}running" in screen.colors()
    screen.clear()
    screen.type("virtctl console web")
    screen.see("READY")
    assert terminal_flags(screen) == {"echo": False, "icanon": False, "isig": False}
    screen.keys("-l", "echo hello from here")
    screen.keys("C-j")
    screen.see(r"hello\s+from\s+here")  # wherever the line before has ended
    screen.keys("C-]")
    screen.see("^Disconnected.")
    assert all(terminal_flags(screen).values())
    d.Terminate(0, {})


def test_a_long_job(bus, qemud, screen, guest_image, tmp_path):
    """Its bar is on one line, grows, and is gone at the end."""
    d = define(bus, guest_xml(guest_image, memory=512))
    d.Start(0, {}, timeout=60)
    (tmp_path / "slow.py").write_text(SLOW)
    screen.type(f"virtctl dump web - | python3 {tmp_path}/slow.py {tmp_path}/looked")
    bar = r"^dump \[(#*) *\] +(\d+)%  \S+  \S+/s(  .* left)?$"
    first = re.search(bar, screen.see(bar), re.M)
    screen.wait(lambda: (m := re.search(bar, screen.text(), re.M)) and int(m[2]) > int(first[2]))
    fits(screen.text().splitlines())
    assert "Job: dump" in bus.run(Path(os.environ["VIRTBUS_BUILD"]) / "virtctl/virtctl", "--user", "status", "web").stdout
    (tmp_path / "looked").touch()
    screen.prompt(90)
    assert "#" not in screen.text()
    d.Terminate(0, {})


def test_what_is_long_goes_through_the_pager(bus, qemud, screen):
    for i in range(6):
        define(bus, tiny_xml(f"vm{i}"))
    screen.clear()
    screen.type("virtctl status 'vm*'")
    first = screen.see(r"^lines 1-\d+")
    assert first.startswith("○ vm0\n")
    fits(first.splitlines())
    screen.keys("G")
    assert "○ vm5\n" in screen.see(r"\(END\)")
    screen.keys("q")
    screen.prompt()
    assert "○ vm5" in "\n".join(screen.run("virtctl status vm5"))


def start_top(screen):
    screen.clear()
    screen.type("virtctl top --delay=1")
    return screen.see(r"^web +running +\d+\.\d%")


def test_top(bus, qemud, screen, guest_image, tmp_path):
    (tmp_path / "d.img").write_bytes(bytes(8 << 20))
    d = define(bus, guest_xml(guest_image, devices=disk_xml(tmp_path / "d.img")))
    idle = [define(bus, tiny_xml(f"idle{i}")) for i in range(3)]
    for vm in (d, *idle):
        vm.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.send("sh while true; do dd if=/dev/vda of=/dev/null bs=64k iflag=direct 2>/dev/null; done")
    start_top(screen)
    # The others use their processors, too, until their firmware has found nothing to boot.
    lines = fits(screen.wait(lambda: (text := screen.text()) and re.match(r"(.*\n){4}web .*[KMG]\b.*[KMG]\b", text) and text).splitlines())
    assert re.match(r"\d\d:\d\d:\d\d  4 VMs, CPU \d+\.\d%, memory \S+, by CPU$", lines[0]) and "/s read" in lines[1] and lines[2] == ""
    assert lines[4].split()[0] == "web" and len({tmux.width(line) for line in lines[3:8]}) == 1, lines
    assert alternate(screen) == ["1", "0"] and f"{GREEN}running" in screen.colors() and terminal_flags(screen)["echo"] is False
    for key, word in (("m", "memory"), ("d", "disk"), ("n", "network"), ("c", "CPU")):
        screen.keys(key)
        screen.see(f", by {word}$")
    screen.resize(45, 8)
    small = screen.wait(lambda: len(screen.text().splitlines()) <= 8 and "SEND/s" not in screen.text() and screen.text())
    fits(small.splitlines(), 45)
    assert re.search(r"^NAME +STATE", small, re.M)
    screen.resize(COLUMNS, 30)
    screen.see("SEND/s")
    screen.keys("q")
    screen.see(r"\$ virtctl top --delay=1\n\$$")
    assert alternate(screen) == ["0", "1"] and all(terminal_flags(screen).values())
    for end in ("C-c", "C-z", signal.SIGTERM, signal.SIGHUP):
        start_top(screen)
        if isinstance(end, str):
            screen.keys(end)
        else:
            os.kill(running_on(screen, "virtctl"), end)
        screen.prompt()
        assert alternate(screen) == ["0", "1"] and all(terminal_flags(screen).values()), end
        if end == "C-z":
            screen.type("fg")
            screen.see(r"^web +running +\d")
            assert alternate(screen) == ["1", "0"]
            screen.keys("q")
            screen.prompt()
    for vm in (d, *idle):
        vm.Terminate(0, {})
    assert "0 VMs, " in "\n".join(screen.run("virtctl top --iterations=1 --delay=1 | cat"))
