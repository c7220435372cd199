#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starts the installed QEMU with each golden command line, guest stopped, and asks it to quit: is what we write what it takes?

usage: launch-real.py FOLDER   (tests/data/domain)
"""
import glob
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

FIRMWARE = {
    "/fw/CODE.fd": "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/fw/CODE.secboot.fd": "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
}
VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd"
KERNELS = sorted(glob.glob("/boot/vmlinuz-*"))
HIGH = 200  # descriptors wait up here until the child puts them at their numbers


def read_case(folder):
    argv, wanted = [], []
    for line in (folder / "argv").read_text().splitlines():
        fd = re.match(r"# fd (\d+): (\S+) (.*)", line)
        if fd:
            wanted.append((int(fd[1]), fd[2], fd[3]))
        else:
            option, _, value = line.partition(" ")
            argv += [option, value] if value else [option]
    return argv, wanted


def open_fd(kind, path, tmp):
    """A socket or file that will do for a descriptor of the plan; for the supervisor's monitor also our end."""
    if kind == "monitor-run":
        return socket.socketpair()
    if kind in ("monitor", "console", "listen"):
        s = socket.socket(socket.AF_UNIX)
        s.bind(tempfile.mktemp(dir=tmp))
        s.listen(1)
        return s, None
    if path == "/boot/vmlinuz":
        return open(KERNELS[0], "rb"), None
    if path in FIRMWARE:
        return open(FIRMWARE[path], "rb"), None
    copy = tempfile.NamedTemporaryFile(dir=tmp, delete=False)
    if "VARS" in path:
        shutil.copyfile(VARIABLES, copy.name)
    else:
        copy.truncate(1 << 20)
    return open(copy.name, "r+b"), None


def run_case(folder, tmp):
    argv, wanted = read_case(folder)
    if any(path in FIRMWARE for _, _, path in wanted) and not os.path.exists(VARIABLES):
        return "skipped: no OVMF"
    if any(path == "/boot/vmlinuz" for _, _, path in wanted) and not KERNELS:
        return "skipped: no kernel in /boot"

    ours, opened = None, {}
    for number, kind, path in wanted:
        theirs, end = open_fd(kind, path, tmp)
        opened[number] = os.dup2(theirs.fileno(), HIGH + number)
        theirs.close()
        ours = end or ours

    def place():
        for number, fd in opened.items():
            os.dup2(fd, number)

    qemu = subprocess.Popen(argv, close_fds=False, preexec_fn=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for fd in opened.values():
        os.close(fd)
    with ours:
        ours.settimeout(10)
        try:
            for command in ("qmp_capabilities", "quit"):
                if not ours.recv(65536):
                    break
                ours.sendall(b'{"execute":"%s"}\n' % command.encode())
        except OSError:
            pass
        try:
            _, stderr = qemu.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            qemu.kill()
            return "failed: did not quit: " + qemu.communicate()[1]
    return "ok" if qemu.returncode == 0 and not stderr.strip() else f"failed: status {qemu.returncode}: {stderr.strip()}"


def main():
    cases = sorted(p.parent for p in pathlib.Path(sys.argv[1]).glob("*/argv"))
    if not cases:
        print("skipped: no golden command lines")
        return 77
    failed = 0
    with tempfile.TemporaryDirectory() as tmp:
        for case in cases:
            result = run_case(case, tmp)
            failed += result.startswith("failed")
            print(f"{case.name}: {result}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
