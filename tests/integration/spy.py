#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that has taken QEMU over, played by a program in QEMU's place: it lets the real QEMU run, and beside it, in the same unit, tries what it can.

What it is after is written on its disk, as JSON, and there it writes what it got: {attempt: error}, or what should not have gone well. The
disk is all it has. Being asked for capabilities it is just QEMU."""

import contextlib
import ctypes
import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time

QEMU = "/usr/bin/qemu-system-x86_64"
REPORT_AT = 65536
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = {"add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321, "userfaultfd": 323, "perf_event_open": 298, "open_by_handle_at": 304,
           "io_uring_setup": 425, "pidfd_getfd": 438, "kexec_load": 246, "init_module": 175, "iopl": 172, "swapon": 167, "reboot": 169}


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def syscall(name, *args):
    return check(libc.syscall(NUMBERS[name], *args))


def connect(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)


def make(path):
    with open(path, "x", encoding="ascii"):
        pass
    os.unlink(path)


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def anywhere():
    """A folder that can be written in, whatever it is: one level below each mount."""
    for line in open("/proc/self/mounts", encoding="utf-8"):
        top, kind = line.split()[1:3]
        if kind in ("proc", "mqueue", "devpts", "sysfs") or not os.path.isdir(top):
            continue
        below = []
        with contextlib.suppress(OSError):
            below = [e.path for e in os.scandir(top) if e.is_dir(follow_symlinks=False)]
        for folder in [top, *below]:
            with contextlib.suppress(OSError):
                if folder != "/dev/mqueue":  # its own, as the IPC namespace is
                    make(f"{folder}/.spy")
                    return folder
    raise PermissionError(errno.EACCES, "nowhere")


def other_links():
    if [name for _, name in socket.if_nameindex()] == ["lo"]:
        raise PermissionError(errno.EACCES, "none but its own")


def root_by_program(path):
    out = subprocess.run([path, "-u"], capture_output=True, text=True, check=True).stdout
    if int(out) == os.getuid():
        raise PermissionError(errno.EPERM, "its own user")


def tell_systemd(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), "/run/systemd/notify")
    raise PermissionError(errno.EPERM, "the test looks whether it was heard")


def call(path, interface, method, signature, *args):
    """Over virtqemud's private socket; a name of an error in place of a number."""
    import gi
    gi.require_version("Gio", "2.0")
    from gi.repository import Gio, GLib
    bus = Gio.DBusConnection.new_for_address_sync("unix:path=/run/virtbus/virtqemud.sock", Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
    try:
        bus.call_with_unix_fd_list_sync(None, path, interface, method, GLib.Variant(f"({signature})", args), None, 0, 10000, None, None)
    except GLib.Error as e:
        raise PermissionError(Gio.DBusError.get_remote_error(e) or e.message) from None


def attempts(v):
    """(name, function): each is to raise an error."""
    root, manager = "/org/virtbus/qemu1", "org.virtbus.qemu1.Manager"
    for path in v["read"]:
        yield f"read {path}", lambda path=path: os.close(os.open(path, os.O_RDONLY)) if not os.path.isdir(path) else os.listdir(path)[0]
    for path in v["write"]:
        yield f"write {path}", lambda path=path: os.close(os.open(path, os.O_WRONLY))
    for path in v["connect"]:
        yield f"connect {path}", lambda path=path: connect(path)
    yield "connect abstract", lambda: connect("\0" + v["abstract"])
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/etc", "/usr", "/dev", "/var", "/home"):
        yield f"make a file in {folder}", lambda folder=folder: make(f"{folder}/.spy")
    yield "make a file anywhere", anywhere
    for name in ("AF_INET", "AF_INET6", "AF_PACKET", "AF_VSOCK", "AF_BLUETOOTH", "AF_ALG"):
        yield f"socket {name}", lambda name=name: socket.socket(getattr(socket, name), socket.SOCK_RAW if name == "AF_PACKET" else socket.SOCK_STREAM).close()
    yield "see other links", other_links
    for who, pid in v["pids"].items():
        for sig in (0, signal.SIGKILL, signal.SIGSTOP):
            yield f"signal {int(sig)} to {who}", lambda pid=pid, sig=sig: os.kill(pid, sig)
        yield f"pidfd signal to {who}", lambda pid=pid: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL)
        yield f"trace {who}", lambda pid=pid: check(libc.ptrace(0x4206, pid, None, None))
        yield f"memory of {who}", lambda pid=pid: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))
        for what in ("fd", "root/", "cwd/", "environ", "cmdline", "status", "ns/net", "task"):
            yield f"/proc {what} of {who}", lambda pid=pid, what=what: os.listdir(p) if os.path.isdir(p := f"/proc/{pid}/{what}") else os.close(os.open(p, os.O_RDONLY))
        yield f"limits of {who}", lambda pid=pid: resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, 1))
        yield f"processors of {who}", lambda pid=pid: os.sched_setaffinity(pid, {0})
        yield f"priority of {who}", lambda pid=pid: os.setpriority(os.PRIO_PROCESS, pid, 19)
        yield f"descriptor of {who}", lambda pid=pid: syscall("pidfd_getfd", os.pidfd_open(pid), 0, 0)
    yield "a signal to all", lambda: os.kill(-1, 0) or others()
    for method, sig, *args in (("GetPlan", "s", v["victim"]), ("GetPlan", "s", v["self"]), ("GetPlan", "s", "../" + v["victim"]), ("ListDomains", ""),
                               ("GetDomain", "s", v["victim"]), ("TerminateDomain", "st", v["victim"], 0), ("ListDisks", ""), ("Reload", "")):
        yield f"{method}{tuple(args)}", lambda method=method, sig=sig, args=args: call(root, manager, method, sig, *args)
    yield "ExportDefinition", lambda: call(v["path"], "org.virtbus.qemu1.Domain", "ExportDefinition", "st", "", 0)
    yield "QMPCommand", lambda: call(v["path"], "org.virtbus.qemu1.Domain", "QMPCommand", "s", "query-status")
    yield "all objects", lambda: call(root, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "")
    yield "a property", lambda: call(root, "org.freedesktop.DBus.Properties", "Get", "ss", manager, "Version")
    yield "introspection", lambda: call(root, "org.freedesktop.DBus.Introspectable", "Introspect", "")
    yield "mount", lambda: check(libc.mount(b"none", b"/mnt", b"tmpfs", 0, None))
    yield "bind mount", lambda: check(libc.mount(b"/etc", b"/mnt", None, 4096, None))
    yield "unmount", lambda: check(libc.umount2(b"/var", 2))
    for name, flag in (("user", 0x10000000), ("mount", 0x20000), ("network", 0x40000000), ("pid", 0x20000000), ("cgroup", 0x2000000)):
        yield f"a new {name} namespace", lambda flag=flag: check(libc.unshare(flag))
    yield "another's namespace", lambda: check(libc.setns(os.open("/proc/1/ns/net", os.O_RDONLY), 0))
    yield "chroot", lambda: os.chroot("/usr")
    yield "mknod", lambda: os.mknod("/dev/spy", 0o20666, os.makedev(1, 1))
    yield "mknod in /tmp", lambda: os.mknod("/tmp/spy", 0o60666, os.makedev(7, 0))
    yield "setuid", lambda: os.setuid(0)
    yield "setgid", lambda: os.setgid(0)
    yield "setgroups", lambda: os.setgroups([0])
    yield "a set-user-ID program", lambda: root_by_program(v["suid"])
    yield "hostname", lambda: socket.sethostname("spy")
    yield "clock", lambda: time.clock_settime(0, 0)
    yield "real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    yield "a higher priority", lambda: os.setpriority(os.PRIO_PROCESS, 0, -20)
    yield "safe from out-of-memory", lambda: write("/proc/self/oom_score_adj", "-1000")
    yield "own cgroup", lambda: write(f"/sys/fs/cgroup{v['cgroup']}/memory.max", "max")
    yield "out of the cgroup", lambda: write("/sys/fs/cgroup/cgroup.procs", str(os.getpid()))
    yield "a new cgroup", lambda: os.mkdir(f"/sys/fs/cgroup{v['cgroup']}/spy")
    yield "kernel settings", lambda: write("/proc/sys/kernel/core_pattern", "|/tmp/x")
    for name, args in (("add_key", (b"user", b"spy", b"x", 1, -4)), ("keyctl", (0, -4, 1)), ("request_key", (b"user", b"x", None, 0)), ("bpf", (0, None, 0)),
                       ("perf_event_open", (None, 0, -1, -1, 0)), ("open_by_handle_at", (-100, None, 0)), ("kexec_load", (0, 0, None, 0)),
                       ("init_module", (None, 0, b"")), ("iopl", (3,)), ("swapon", (b"/tmp", 0)), ("reboot", (1, 2, 3))):
        yield name, lambda name=name, args=args: syscall(name, *args)
    yield "tell systemd", lambda: tell_systemd(f"STATUS=the spy was here\nMAINPID={v['pids']['QEMU']}\nSTOPPING=1")


def others():
    raise PermissionError(errno.EPERM, "nobody but itself")


def outcome(attempt):
    try:
        got = attempt()
        return f"got: {got!r}"
    except OSError as e:
        return errno.errorcode.get(e.errno, "") if e.errno else str(e)
    except Exception as e:  # the attempt is wrong, not refused
        return f"broken: {e!r}"


def tried(attempt):
    """Each by a process of its own: what system calls are not there for QEMU ends who makes them."""
    out, to = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(to, json.dumps(outcome(attempt)).encode())
        os._exit(0)
    os.close(to)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with open(out, encoding="utf-8") as f:
        text = f.read()
    return signal.Signals(-status).name if status < 0 else json.loads(text)


def spy(disk):
    v = json.loads(os.pread(disk, REPORT_AT, 0).rstrip(b"\0"))
    report = {name: tried(attempt) for name, attempt in attempts(v)}
    os.pwrite(disk, json.dumps(report).encode(), REPORT_AT)


def is_ours(fd):
    try:
        return os.pread(fd, 9, 0) == b'{"victim"'
    except OSError:
        return False  # the pipe of a log


def main():
    given = [int(a.split(",")[0].removeprefix("fd=")) for a, b in zip(sys.argv[1:], sys.argv) if b == "-add-fd"]
    for disk in filter(is_ours, given):
        if os.fork() == 0:
            spy(disk)
            os._exit(0)
    os.execv(QEMU, [QEMU, *sys.argv[1:]])


main()
