# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host tier: a real systemd as PID 1 of private namespaces, on a throw-away copy of the host's files.

    with Testbed() as bed:
        bed.install(os.environ["VIRTBUS_BUILD"])
        bed.run("systemctl start virtqemud")
        bed.run(["busctl", "--user", "list"], user="tester")
        bed.put("/etc/virtbus/domains/web.xml", text)
        bed.reboot()                    # /etc and /var survive, /run and /tmp do not

The host itself is never written to: its root is the lower layer of an overlay, /run, /tmp and /dev are fresh, the network is
an empty namespace, and the parts of /proc/sys that are not per namespace are read-only.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

from pace import at_most
from rawqemu import die_with_parent

HERE = Path(__file__).resolve().parent
SYSTEMD = Path("/lib/systemd/systemd")
USER, UID = "tester", 1777
SIGRTMIN_POWEROFF = signal.SIGRTMIN + 4
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What a container has no use for, or what would reach through to the host's kernel.
MASKED = """
    getty.target getty@.service console-getty.service container-getty@.service serial-getty@.service
    systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service
    systemd-udev-settle.service systemd-hwdb-update.service systemd-modules-load.service kmod-static-nodes.service
    modprobe@.service systemd-sysctl.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
    proc-sys-fs-binfmt_misc.mount systemd-random-seed.service systemd-timesyncd.service systemd-pstore.service
    systemd-remount-fs.service systemd-firstboot.service systemd-machine-id-commit.service systemd-networkd.service
    networking.service ifupdown-pre.service e2scrub_reap.service dev-hugepages.mount sys-kernel-debug.mount
    sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount apt-daily.timer
    apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer man-db.timer dpkg-db-backup.timer
""".split()

SHELL_UNIT = """[Unit]
Description=Home of the commands that tests run
[Service]
ExecStart=sleep infinity
"""


def patience(seconds):
    """How long to wait for what will come: longer where others want the processors, too, but not past a test's own limit."""
    return max(seconds, min(at_most(seconds), 120))


class TestbedError(Exception):
    """The testbed could not be started or stopped."""

    __test__ = False


class Result(subprocess.CompletedProcess):
    """returncode, stdout and stderr as text; `str(result)` is standard output without the last line break."""

    def __str__(self):
        return self.stdout.rstrip("\n")


def why_not():
    """Why the host tier cannot run here, or None."""
    if os.getuid() != 0:
        return "needs root"
    for program in (SYSTEMD, "/usr/bin/unshare", "/usr/bin/nsenter", "/usr/bin/dbus-daemon", "/usr/bin/machinectl"):
        if not os.path.exists(program):
            return f"{program} is missing: install systemd, util-linux, dbus and systemd-container"
    try:
        _cgroup_parent()
    except TestbedError as e:
        return str(e)
    probe = subprocess.run(["unshare", "--pid", "--fork", "--mount", "--uts", "--ipc", "--net", "--cgroup", "true"],
                           capture_output=True, text=True, timeout=20)
    return f"namespaces are not allowed here: {probe.stderr.strip()}" if probe.returncode else None


def _cgroup_parent():
    """The directory of our own cgroup in the unified hierarchy, wherever that is mounted."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    points = [m[4] for m in mounts if m[m.index("-") + 1] == "cgroup2"]
    if not points:
        raise TestbedError("no cgroup2 is mounted here")
    own = re.search("^0::/(.*)$", Path("/proc/self/cgroup").read_text(), re.M).group(1)
    return Path(points[0]) / own


def _hidden(path):
    """Whether the overlay does not show a path of the host: other file systems and what is mounted anew."""
    return os.stat(path).st_dev != os.stat("/").st_dev or str(path).startswith(("/tmp/", "/run/", "/dev/"))


class Testbed:
    """One systemd with everything around it; a context manager, or start() and stop()."""

    __test__ = False

    def __init__(self, binds=()):
        wanted = [*binds, HERE.parents[1], *filter(None, [os.environ.get("VIRTBUS_BUILD")])]
        self.binds = list(dict.fromkeys(str(Path(p).resolve()) for p in wanted if _hidden(p)))
        self.keeper = self.boot = self.pid = None
        self.stopped = set()    # daemons that were stopped by SIGSTOP: what they say about sleep is our doing

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.close()

    # ---- life

    def start(self):
        """Make the overlay, and boot. Returns when systemd is running."""
        self.directory = Path(tempfile.mkdtemp(prefix="vbh", dir="/tmp"))
        self.cgroup = _cgroup_parent() / f"virtbus-test-{self.directory.name}"
        try:
            for name in ("fs", "root"):
                (self.directory / name).mkdir()
            self.keeper = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", HERE / "host-keep", self.directory],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=die_with_parent)
            if self.keeper.stdout.readline() != b"ready\n":
                raise TestbedError("cannot make the overlay over the host's root")
            self._prepare()
            self._boot()
        except BaseException:
            self.close()
            raise

    def _outside(self, path):
        """A path of the testbed as it can be opened from here, booted or not (then without /run and /tmp)."""
        top = f"/proc/{self.pid}/root" if self.pid else f"/proc/{self.keeper.pid}/root{self.directory}/root"
        return Path(f"{top}/{str(path).lstrip('/')}")

    def _prepare(self):
        self.put("/etc/fstab", "")
        self.put("/etc/hostname", "testbed\n")
        self.put("/etc/machine-id", f"{uuid.uuid4().hex}\n")
        # Services the host has enabled have no business here.
        for directory in ("/etc/systemd/system", "/etc/systemd/user", *(f"/etc/rc{n}.d" for n in "0123456S")):
            shutil.rmtree(self._outside(directory), ignore_errors=True)
            self._outside(directory).mkdir(parents=True)
        for unit in MASKED:
            os.symlink("/dev/null", self._outside(f"/etc/systemd/system/{unit}"))
        self.add_unit("testbed-shell.service", SHELL_UNIT)
        self.put("/etc/systemd/journald.conf.d/testbed.conf", "[Journal]\nStorage=volatile\nRateLimitBurst=0\n")
        self.put(f"/var/lib/systemd/linger/{USER}", "")
        self._add_user()

    def add_unit(self, name, text):
        """Put a unit in place that starts with the next boot."""
        self.put(f"/etc/systemd/system/{name}", text)
        wants = self._outside("/etc/systemd/system/multi-user.target.wants")
        wants.mkdir(exist_ok=True)
        os.symlink(f"../{name}", wants / name)

    def _add_user(self):
        root = self._outside("/")
        if re.search(f"^{USER}:", (root / "etc/passwd").read_text(), re.M):
            raise TestbedError(f"the host has a user {USER} already: the testbed needs that name")
        subprocess.run(["chroot", root, "useradd", "--create-home", "--uid", str(UID), "--shell", "/bin/sh", USER],
                       check=True, capture_output=True, timeout=30)

    def _boot(self):
        self.cgroup.mkdir(exist_ok=True)

        def enter():
            die_with_parent()
            (self.cgroup / "cgroup.procs").write_text("0")
        self.log = open(self.directory / "console", "ab")
        self.boot = subprocess.Popen(
            ["nsenter", "-t", str(self.keeper.pid), "-m", "unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts",
             "--ipc", "--net", "--cgroup", "sh", HERE / "host-boot", self.directory / "root", *self.binds],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=enter)
        deadline = time.monotonic() + patience(60)
        self.pid = self._wait_for_pid1(deadline)
        self._wait_until_running(deadline)

    def _wait_for_pid1(self, deadline):
        children = Path(f"/proc/{self.boot.pid}/task/{self.boot.pid}/children")
        while time.monotonic() < deadline and self.boot.poll() is None:
            for child in map(int, children.read_text().split()):
                if os.path.realpath(f"/proc/{child}/exe").endswith("/systemd"):
                    return child
            time.sleep(0.02)
        raise TestbedError(f"systemd did not start: {self.console()}")

    def _wait_until_running(self, deadline):
        while self.boot.poll() is None:
            if (self.shell_cgroup / "cgroup.procs").exists() and self._outside("/run/systemd/private").exists():
                state = self.run("systemctl is-system-running --wait", check=False, timeout=patience(60))
                if str(state) == "running":
                    return self._wait_for_user(deadline)
                if str(state) == "degraded":
                    raise TestbedError(f"the testbed is degraded:\n{self.run('systemctl --failed --no-legend')}\n{self.journal()}")
            if time.monotonic() > deadline:
                raise TestbedError(f"the testbed did not come up in time: {self.console()}")
            time.sleep(0.05)
        raise TestbedError(f"systemd ended: {self.console()}")

    def _wait_for_user(self, deadline):
        while not self._outside(f"/run/user/{UID}/bus").exists():
            if time.monotonic() > deadline:
                raise TestbedError(f"the user manager of {USER} did not come up:\n{self.journal()}")
            time.sleep(0.05)

    def stop(self, timeout=None):
        """Shut down cleanly, as a host does; kill what takes longer. The files stay for the next boot. Returns whether the
        shutdown was clean."""
        if not self.boot:
            return True
        clean = self._end(timeout or patience(30))
        self.log.close()
        self.boot = self.pid = None
        self._remove_cgroup()
        return clean

    def _end(self, timeout):
        if self.boot.poll() is None and self.pid:
            os.kill(self.pid, SIGRTMIN_POWEROFF)
            try:
                self.boot.wait(timeout)
                return True
            except subprocess.TimeoutExpired:
                os.kill(self.pid, signal.SIGKILL)
        self.boot.kill()
        self.boot.wait()
        return False

    def _remove_cgroup(self):
        """The kernel lets go of the dead a moment later."""
        deadline = time.monotonic() + patience(5)
        while self.cgroup.exists():
            for base, _, _ in os.walk(self.cgroup, topdown=False):
                try:
                    os.rmdir(base)
                except OSError:
                    time.sleep(0.01)
            if time.monotonic() > deadline:
                raise TestbedError(f"cannot remove {self.cgroup}: processes {(self.cgroup / 'cgroup.procs').read_text().split()}")

    def reboot(self, timeout=None):
        """Stop and start again: /etc, /var and /home stay. Returns whether the shutdown was clean."""
        clean = self.stop(timeout)
        self._boot()
        return clean

    def crash(self):
        """Stop as a power cut does. Follow with boot_again()."""
        os.kill(self.pid, signal.SIGKILL)
        self.boot.wait()
        self.stop()

    def boot_again(self):
        """Start after stop() or crash()."""
        self._boot()

    def close(self):
        """Stop, and remove everything."""
        try:
            self.stop(patience(15))
        finally:
            if self.keeper:
                self.keeper.stdin.close()
                try:
                    self.keeper.wait(patience(5))
                except subprocess.TimeoutExpired:
                    self.keeper.kill()
                    self.keeper.wait()
                self.keeper.stdout.close()
                self.keeper = None
            shutil.rmtree(self.directory, ignore_errors=True)

    # ---- use

    @property
    def shell_cgroup(self):
        return self.cgroup / "system.slice" / "testbed-shell.service"

    def _argv(self, cmd, user, timeout=None):
        inner = ["sh", "-c", cmd] if isinstance(cmd, str) else [str(c) for c in cmd]
        environment = [f"PATH={SEARCH_PATH}", "LANG=C.UTF-8", "HOME=/root", "USER=root", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0"]
        become = []
        if user:
            entry = next(e for e in (line.split(":") for line in self.read("/etc/passwd").splitlines()) if e[0] == user)
            become = ["setpriv", f"--reuid={entry[2]}", f"--regid={entry[3]}", "--init-groups"]
            run = f"/run/user/{entry[2]}"
            environment += [f"HOME={entry[5]}", f"USER={user}", f"XDG_RUNTIME_DIR={run}",
                            f"DBUS_SESSION_BUS_ADDRESS=unix:path={run}/bus"]
        # The process in the testbed is not our child: only something in there can end it when its time is over.
        limit = ["timeout", "--kill-after=2", str(timeout)] if timeout else []
        return ["nsenter", "-t", str(self.pid), "-p", "-m", "-u", "-i", "-n", "-C", f"--wd=/proc/{self.pid}/root", "--",
                *become, "env", "-i", *environment, *limit, *inner]

    def _join(self):
        """Commands belong to a unit of the testbed, as everything on a host does: daemons ask systemd who is calling."""
        die_with_parent()
        (self.shell_cgroup / "cgroup.procs").write_text("0")

    def popen(self, cmd, user=None, **options):
        """Start a command (a string for sh, or a list) in the testbed; a subprocess.Popen. It ends with the testbed."""
        return subprocess.Popen(self._argv(cmd, user), preexec_fn=self._join, **options)

    def run(self, cmd, user=None, input=None, timeout=30, check=True):
        """Run a command (a string for sh, or a list) as root or as a user. Returns a Result; raises when it fails (unless
        check is False) or takes too long, that is longer where others want the processors, too."""
        timeout = patience(timeout)
        with subprocess.Popen(self._argv(cmd, user, timeout), preexec_fn=self._join, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE) as p:
            out, err = p.communicate(input, timeout=timeout + 10)
        shown = cmd if isinstance(cmd, str) else shlex.join(map(str, cmd))
        if p.returncode in (124, 137):
            raise TimeoutError(f"{shown}: not done after {timeout} s\n{out}{err}")
        if check and p.returncode:
            raise AssertionError(f"{shown}: exit status {p.returncode}\n{out}{err}")
        return Result(cmd, p.returncode, out, err)

    def put(self, path, data, mode=0o644):
        """Write a file (text or bytes), with the directories it needs."""
        target = self._outside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data if isinstance(data, bytes) else data.encode())
        target.chmod(mode)

    def read(self, path):
        return self._outside(path).read_text()

    def exists(self, path):
        return os.path.lexists(self._outside(path))

    def wait(self, condition, timeout=60, what="the condition"):
        """Wait until a function returns something true, and return that. For things that are told by no signal."""
        timeout = patience(timeout)
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} was not met within {timeout} s\n{self.journal()}")
            time.sleep(0.05)
        return value

    def bus(self):
        """A Client (see bus.py) on the system bus, as root. It comes from outside, so daemons see no pid of it; a caller
        whose unit or session matters is a command that run() starts."""
        from bus import Client
        return Client(f"unix:path=/proc/{self.pid}/root/run/dbus/system_bus_socket")

    def kill(self, daemon):
        """End it by SIGKILL. Returns when systemd has noticed, and the message bus: a call that comes before gets no answer."""
        def pid():
            return str(self.run(f"systemctl show -P MainPID {daemon}"))
        before = pid()
        self.run(f"systemctl kill --signal=KILL {daemon}", check=False)
        self.wait(lambda: pid() != before, what=f"systemd knows that {daemon} has ended")
        self.wait(lambda: before not in [line.split()[1] for line in self.run("busctl list --no-legend").stdout.splitlines()],
                  what=f"the bus knows that {daemon} has ended")

    def journal(self, unit=None, lines=200):
        """The last lines of the journal, of one unit or of all: whatever was written before."""
        self.run("journalctl --sync", check=False)
        return str(self.run(["journalctl", "-b", "--no-pager", "-o", "short-monotonic", "-n", str(lines),
                             *(["-u", unit] if unit else [])], check=False))

    def console(self):
        """What systemd and the boot script wrote."""
        return (self.directory / "console").read_text(errors="replace")

    def install(self, build):
        """Install a meson build directory, and let everything that reads installed files read them."""
        self.run(["meson", "install", "-C", str(Path(build).resolve()), "--no-rebuild"], timeout=120)
        self.run("systemd-sysusers && { systemd-tmpfiles --create || [ $? -eq 73 ]; } && systemctl daemon-reload")
        reload = "busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig"
        self.run(reload)
        self.run(f"systemctl --user daemon-reload && {reload.replace('busctl', 'busctl --user')}", user=USER)
