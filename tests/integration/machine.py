# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine tier: a whole virtual machine with the host's files and a Debian kernel that has all its modules.

    with Machine() as m:
        m.run("modprobe dm_mod && vgcreate …")
        m.run("cp result /mnt/shared/"); (m.shared / "result").read_text()

Its root is the host's, read-only over 9p, under a tmpfs: it may be written to and is thrown away. It has cgroup controllers,
udev, loadable modules and no network. Booting takes some 15 seconds under emulation.
"""

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import guest
import rawqemu
from host import HERE, SEARCH_PATH, UID, USER, Result, _hidden, patience
from pace import at_most

PORT_NAME = "virtbus.machine.agent"
MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console", "virtio_blk", "ext4", "crc32c_generic"]
CMDLINE = "console=ttyS0 quiet mitigations=off cryptomgr.notests random.trust_cpu=on no_timer_check intel_iommu=on systemd.show_status=no"


class MachineError(Exception):
    """The machine could not be started, or its agent is gone."""


class MachineLockedUp(MachineError):
    """The machine's kernel says that a processor of it does not run any more: the emulation has failed, not what runs in it."""


LOCKED_UP = re.compile(r"soft lockup - CPU#\d+ stuck for (\d+)s")
LOCKED_UP_SECONDS = 60  # a busy host alone brings it to 25 or so
LOOK_SECONDS = 10


def why_not():
    """Why the machine tier cannot run here, or None."""
    if os.getuid() != 0:
        return "needs root"
    probe = subprocess.run(["unshare", "--mount", "--propagation", "private", "true"], capture_output=True, text=True, timeout=20)
    if probe.returncode:
        return f"mounts of its own are not allowed here: {probe.stderr.strip()}"
    return rawqemu.why_not() or guest.why_not()


class Agent:
    """Runs commands through the agent in the machine. May be used by several threads at once."""

    def __init__(self, sock):
        sock.setblocking(True)
        self.sock = sock
        self.news = threading.Condition()
        self.answers = {}
        self.next = 0
        self.ready = self.closed = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        rest = b""
        while data := self._receive():
            *lines, rest = (rest + data).split(b"\n")
            with self.news:
                for answer in map(json.loads, lines):
                    self.ready = True
                    if "id" in answer:
                        self.answers[answer["id"]] = answer
                self.news.notify_all()
        with self.news:
            self.closed = True
            self.news.notify_all()

    def _receive(self):
        try:
            return self.sock.recv(65536)
        except OSError:
            return b""

    def wait_ready(self, timeout):
        with self.news:
            return self.news.wait_for(lambda: self.ready or self.closed, timeout) and self.ready

    def ask(self, job, timeout, look):
        """Returns the answer, or None when the machine said nothing in time. Calls look() now and then meanwhile."""
        deadline = time.monotonic() + timeout
        with self.news:
            self.next += 1
            number = self.next
            self.sock.sendall(json.dumps({"id": number, **job}).encode() + b"\n")
        while (left := deadline - time.monotonic()) > 0 and not self.closed:
            with self.news:
                if self.news.wait_for(lambda: number in self.answers or self.closed, min(left, LOOK_SECONDS)):
                    return self.answers.pop(number, None)
            look()
        return None


class Machine:
    """One virtual machine; a context manager, or start() and close(). `shared` is the host's end of /mnt/shared. With `disk`, a file system
    in a file, what is written is there again when another machine gets that disk."""

    def __init__(self, memory=3072, cpus=2, arguments=(), shares=(), kvm=False, disk=None):
        self.disk = disk
        self.memory, self.cpus, self.more = memory, cpus, list(arguments)
        self.cpu = "max,-svm"
        if kvm:
            # With several processors the emulation locks up sooner or later: timers stop when one of them has switched SVM on.
            self.cpu, self.cpus = "max,+svm,+npt", 1
        wanted = [*shares, HERE.parents[1], *filter(None, [os.environ.get("VIRTBUS_BUILD")])]
        self.shares = list(dict.fromkeys(str(Path(p).resolve()) for p in wanted if _hidden(p)))
        self.qemu = self.agent = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.close()

    def _arguments(self, root):
        kernel, _, initrd = guest.build_parts(HERE / "machine-init", MODULES, [("machine-agent", HERE / "machine-agent")])
        words = [CMDLINE, "virtbus.keep"] if self.disk else [CMDLINE]
        args = ["-accel", "tcg,thread=multi", "-cpu", self.cpu, "-M", "q35", "-smp", str(self.cpus), "-m", str(self.memory),
                "-kernel", str(kernel), "-initrd", str(initrd), "-serial", "chardev:console",
                "-device", "virtio-serial-pci", "-device", f"virtserialport,chardev=agent,name={PORT_NAME}",
                "-fsdev", f"local,id=root,path={root},security_model=none,readonly=on,multidevs=remap",
                "-device", "virtio-9p-pci,fsdev=root,mount_tag=hostroot",
                "-fsdev", f"local,id=shared,path={self.shared},security_model=none,multidevs=remap",
                "-device", "virtio-9p-pci,fsdev=shared,mount_tag=shared"]
        if self.disk:
            args += ["-blockdev", f"file,node-name=disk,cache.no-flush=on,filename={self.disk}", "-device", "virtio-blk-pci,drive=disk"]
        for n, path in enumerate(self.shares):
            args += ["-fsdev", f"local,id=share{n},path={path},security_model=none,readonly=on,multidevs=remap",
                     "-device", f"virtio-9p-pci,fsdev=share{n},mount_tag=share{n}"]
            words.append(f"share{n}={path}")
        return [*args, "-append", " ".join(words), *self.more]

    def start(self, timeout=180):
        """Boot. Returns when systemd in the machine is done."""
        self.directory = Path(tempfile.mkdtemp(prefix="vbm", dir="/tmp"))
        self.shared = self.directory / "shared"
        root = self.directory / "root"
        try:
            self.shared.mkdir()
            root.mkdir()
            # Only the root file system, not what is mounted in it; the mount lives in a namespace that goes with QEMU.
            wrap = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount -n --bind / "$0" && exec "$@"', str(root)]
            self.qemu = rawqemu.RawQemu(self._arguments(root), sockets=["console", "agent"], wrap=wrap, directory=self.directory)
            self.qemu.__enter__()
            self.console = guest.Console(self.qemu.connect("console"))
            self.agent = Agent(self.qemu.connect("agent"))
            timeout = max(timeout, min(at_most(timeout), 300))
            deadline = time.monotonic() + timeout
            if not self.agent.wait_ready(timeout):
                self._look()
                raise MachineError(f"the machine did not come up within {timeout} s: {self.console.transcript()}\n{self.qemu.stderr()}")
            state = str(self.run("systemctl is-system-running --wait", check=False, timeout=deadline - time.monotonic()))
            if state != "running":
                raise MachineError(f"the machine is {state}:\n{self.run('systemctl --failed --no-legend')}\n{self.journal()}")
        except BaseException:
            self.close()
            raise

    def _look(self):
        if any(int(seconds) >= LOCKED_UP_SECONDS for seconds in LOCKED_UP.findall(self.console.transcript())):
            raise MachineLockedUp("the machine's kernel has locked up; its console said:\n" + self.console.transcript()[-2000:])

    def run(self, cmd, user=None, input=None, timeout=120, check=True):
        """Run a command (a string for sh, or a list) as root or as `tester`. Returns a Result; raises when it fails (unless
        check is False) or takes too long. The default limit is long: this is emulation, and longer where others want the processors, too."""
        timeout = patience(timeout)
        environment = {"PATH": SEARCH_PATH, "LANG": "C.UTF-8", "HOME": "/root", "USER": "root", "SYSTEMD_PAGER": "",
                       "SYSTEMD_COLORS": "0"}
        job = {"argv": ["sh", "-c", cmd] if isinstance(cmd, str) else [str(c) for c in cmd], "env": environment,
               "timeout": timeout, "input": base64.b64encode((input or "").encode()).decode()}
        if user:
            if user != USER:
                raise ValueError(f"the machine has the user {USER} only, not {user}")
            job.update(uid=UID, gid=UID, groups=[])
            environment.update(HOME=f"/home/{USER}", USER=USER, XDG_RUNTIME_DIR=f"/run/user/{UID}",
                               DBUS_SESSION_BUS_ADDRESS=f"unix:path=/run/user/{UID}/bus")
        self._look()
        answer = self.agent.ask(job, timeout + 30, self._look)
        shown = cmd if isinstance(cmd, str) else shlex.join(job["argv"])
        if answer is None:
            raise MachineError(f"{shown}: the machine's agent does not answer; its console said:\n{self.console.transcript()}")
        out, err = (base64.b64decode(answer[k]).decode(errors="replace") for k in ("stdout", "stderr"))
        if answer["status"] is None:
            raise TimeoutError(f"{shown}: not done after {timeout} s\n{out}{err}")
        if check and answer["status"]:
            raise AssertionError(f"{shown}: exit status {answer['status']}\n{out}{err}")
        return Result(cmd, answer["status"], out, err)

    def put(self, path, text, mode=0o644):
        """Write a file in the machine, with the directories it needs."""
        quoted = shlex.quote(str(path))
        self.run(f"mkdir -p $(dirname {quoted}) && cat >{quoted} && chmod {mode:o} {quoted}", input=text)

    def read(self, path):
        return self.run(["cat", path]).stdout

    def install(self, build):
        """Install a meson build directory. It is packed outside: meson takes its time under emulation."""
        packed = self.shared / "virtbus"
        subprocess.run(["meson", "install", "-C", str(Path(build).resolve()), "--no-rebuild", "--quiet", "--destdir", str(packed)],
                       check=True, timeout=60, stdout=subprocess.DEVNULL)
        self.run("tar -C /mnt/shared/virtbus -c . | tar -C / -x --no-same-owner --keep-directory-symlink --no-overwrite-dir && systemd-sysusers && { systemd-tmpfiles --create || [ $? -eq 73 ]; } &&"
                 " systemctl daemon-reload && busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig")

    def journal(self, unit=None, lines=200):
        """The last lines of the journal, of one unit or of all."""
        return str(self.run(["journalctl", "-b", "--no-pager", "-o", "short-monotonic", "-n", str(lines),
                             *(["-u", unit] if unit else [])], check=False))

    def close(self):
        """Switch it off, and remove everything. Nothing in it is worth a shutdown."""
        if self.qemu:
            self.qemu.__exit__()
            self.qemu = self.agent = None
        shutil.rmtree(self.directory, ignore_errors=True)
