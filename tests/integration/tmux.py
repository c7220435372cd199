# SPDX-License-Identifier: LGPL-2.1-or-later
"""A terminal of a fixed size that can be looked at: tmux with a shell in it.

    with Tmux(folder, environment, 100, 30) as screen:
        screen.run("virtctl list")
        print(screen.text())
"""

import os
import re
import shutil
import subprocess
import time
import unicodedata


def why_not():
    return None if shutil.which("tmux") else "tmux is missing: install tmux"


class Tmux:
    def __init__(self, folder, environment, columns=100, rows=30, path=None):
        self.socket = str(folder / "tmux")
        self.environment = {**environment, "TERM": "xterm-256color", "PS1": "$ ", "HISTFILE": "", "SHELL": "/bin/sh",
                            "PATH": f"{path}:{environment['PATH']}" if path else environment["PATH"]}
        self.environment.pop("TMUX", None)
        self.size = (columns, rows)

    def tmux(self, *words):
        return subprocess.run(["tmux", "-u", "-S", self.socket, "-f", "/dev/null", *map(str, words)], env=self.environment, check=True, timeout=20,
                              capture_output=True, text=True).stdout

    def __enter__(self):
        columns, rows = self.size
        self.tmux("new-session", "-d", "-x", columns, "-y", rows, "bash --norc --noprofile --noediting -i")
        self.pid = int(self.tmux("display-message", "-p", "#{pid}"))
        self.wait(lambda: self.text().startswith("$"))
        return self

    def __exit__(self, *_):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], env=self.environment, check=False, capture_output=True, timeout=20)
        deadline = time.monotonic() + 10
        while os.path.exists(f"/proc/{self.pid}") and open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z" and time.monotonic() < deadline:
            time.sleep(0.05)
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def text(self):
        """The screen as it is seen."""
        return self.tmux("capture-pane", "-p").rstrip("\n")

    def colors(self):
        """The screen with its colours, as escape sequences."""
        return self.tmux("capture-pane", "-p", "-e").rstrip("\n")

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def wait(self, condition, timeout=60):
        deadline = time.monotonic() + timeout
        while not (found := condition()):
            assert time.monotonic() < deadline, f"the screen is:\n{self.text()}"
            time.sleep(0.1)
        return found

    def see(self, pattern, timeout=60):
        """Waits until something is on the screen; returns the whole."""
        self.wait(lambda: re.search(pattern, self.text(), re.M), timeout)
        return self.text()

    def prompt(self, timeout=60):
        """Waits until the shell wants a command."""
        self.wait(lambda: f"\n{self.text()}".endswith("\n$"), timeout)

    def clear(self):
        """Unless it is: then nothing would tell whether it has been done."""
        if self.text() != "$":
            self.type("clear")
            self.wait(lambda: self.text() == "$")

    def type(self, line):
        """What is typed is not edited by the shell, so that the terminal is as programs leave it."""
        self.keys("-l", line)
        self.keys("Enter")

    def run(self, line, timeout=60):
        """Types a command on an empty screen, and waits for its end; returns the lines below it."""
        self.clear()
        self.type(line)
        self.wait(lambda: self.text().endswith("\n$"), timeout)
        return self.text().splitlines()[1:-1]

    def resize(self, columns, rows):
        """The terminal has that size when this returns."""
        self.tmux("resize-window", "-x", columns, "-y", rows)
        tty = self.tmux("display-message", "-p", "#{pane_tty}").strip()
        self.wait(lambda: subprocess.run(["stty", "-F", tty, "size"], capture_output=True, text=True).stdout.split() == [str(rows), str(columns)])


def width(line):
    """Columns that a line takes."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in line)
