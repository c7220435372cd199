# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private message bus for the bus tier, with the session daemons of the build tree activatable on it.

    with Bus() as bus:
        manager = bus.manager("qemu1")
        domain = bus.object("org.virtbus.qemu1", manager.DefineDomain("libvirt-xml", xml, 0, {}))
        domain.Start(0, {})
        assert bus.wait_signal("StateChanged", path=domain.path).args[1] == "running"
        bus.wait_property(domain, "State", "running")

On leaving, daemons are asked to end; whatever then still runs, listens or lies about is removed and fails the test.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
import xml.etree.ElementTree as ElementTree
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gi

import leaks
import slow
from pace import Deadline, patient
from rawqemu import die_with_parent

gi.require_version("Gio", "2.0")
gi.require_version("GLib", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

SERVICES = {
    "org.virtbus.qemu1": "virtqemud",
    "org.virtbus.network1": "virtnetworkd",
    "org.virtbus.storage1": "virtstoraged",
    "org.virtbus.lock1": "virtlockd",
    "org.virtbus.log1": "virtlogd",
}

DBUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
PROPERTIES = "org.freedesktop.DBus.Properties"
# What a daemon must never write: it is broken then, even if every answer was right.
COMPLAINTS = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "Assertion ", "Code should not be reached", "dumped core", "its source of events was freed")

STANDARD = ("org.freedesktop.DBus.",)
LINGER = 3  # seconds that what is on its way out may take

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={directory}/bus</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{directory}/services</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  <limit name="service_start_timeout">20000</limit>
  <limit name="max_message_unix_fds">64</limit>
</busconfig>
"""


class BusError(Exception):
    """An error that a method call was answered with: `name` is the D-Bus error, `message` its text."""

    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


class Leak(AssertionError):
    """A test left something behind."""


@dataclass(frozen=True)
class Signal:
    sender: str
    path: str
    interface: str
    name: str
    args: tuple


class Descriptor:
    """A file descriptor that came over the bus; closed when the object goes."""

    def __init__(self, fd):
        self.fd = fd

    def fileno(self):
        return self.fd

    def detach(self):
        """Give the descriptor away: the caller closes it."""
        fd, self.fd = self.fd, -1
        return fd

    def socket(self):
        """The descriptor as a Python socket, which owns it from now on."""
        return socket.socket(fileno=self.detach())

    def close(self):
        if self.fd >= 0:
            os.close(self.detach())

    __del__ = close


def why_not():
    """Why the bus tier cannot run here, or None."""
    return None if shutil.which("dbus-daemon") else "dbus-daemon is missing: install dbus-daemon"


def daemon_path(name, build=None):
    """The daemon's program in the build tree, or None."""
    build = build or os.environ.get("VIRTBUS_BUILD")
    if not build:
        return None
    for candidate in (Path(build) / name, Path(build) / name / name, Path(build) / "src" / name / name):
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate.resolve()
    return None


# ---- Python values to D-Bus values and back

def variant_of(value):
    """A variant for a Python value whose type says enough. Give a GLib.Variant where it does not: an int becomes x."""
    if isinstance(value, GLib.Variant):
        return value
    if isinstance(value, bool):
        return GLib.Variant("b", value)
    if isinstance(value, int):
        return GLib.Variant("x", value)
    if isinstance(value, float):
        return GLib.Variant("d", value)
    if isinstance(value, (str, os.PathLike)):
        return GLib.Variant("s", str(value))
    if isinstance(value, (bytes, bytearray)):
        return GLib.Variant("ay", bytes(value))
    if isinstance(value, dict):
        return GLib.Variant("a{sv}", {k: variant_of(v) for k, v in value.items()})
    if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
        return GLib.Variant("as", list(value))
    raise TypeError(f"no D-Bus type can be guessed for {value!r}: give a GLib.Variant")


def complete_types(signature):
    """Split a signature into its single complete types."""
    types, rest = [], signature
    while rest:
        n = 1
        while not GLib.VariantType.string_is_valid(rest[:n]):
            n += 1
        types.append(rest[:n])
        rest = rest[n:]
    return types


def encode(signature, value, fds):
    """A Python value as a GLib.Variant of one complete type, or one that is so already; descriptors go to the list `fds`."""
    if isinstance(value, GLib.Variant) and value.get_type_string() == signature:
        return value
    if signature == "v":
        return GLib.Variant("v", variant_of(value))
    if signature == "h":
        fds.append(value if isinstance(value, int) else value.fileno())
        return GLib.Variant("h", len(fds) - 1)
    if signature == "ay" and isinstance(value, uuid.UUID):
        return GLib.Variant("ay", value.bytes)
    if signature == "ay" and isinstance(value, bytes):
        return GLib.Variant.new_from_bytes(GLib.VariantType("ay"), GLib.Bytes.new(value), True)    # not one after the other
    if signature[0] == "a" and signature[1] == "{":
        key, item = signature[2], signature[3:-1]
        entries = [GLib.Variant.new_dict_entry(encode(key, k, fds), encode(item, v, fds)) for k, v in value.items()]
        return GLib.Variant.new_array(GLib.VariantType(signature[1:]), entries)
    if signature[0] == "a" and not isinstance(value, (bytes, bytearray)):
        return GLib.Variant.new_array(GLib.VariantType(signature[1:]), [encode(signature[1:], v, fds) for v in value])
    if signature[0] == "(":
        parts = complete_types(signature[1:-1])
        if len(parts) != len(value):
            raise TypeError(f"{signature} wants {len(parts)} values, not {len(value)}: {value!r}")
        return GLib.Variant.new_tuple(*[encode(t, v, fds) for t, v in zip(parts, value)])
    return GLib.Variant(signature, value)


def decode(variant, fds=()):
    """A GLib.Variant as plain Python: variants are opened, `ay` is bytes, `h` a Descriptor."""
    kind = variant.get_type_string()
    if kind == "v":
        return decode(variant.get_variant(), fds)
    if kind == "h":
        return fds[variant.get_handle()]
    if kind == "ay":
        return bytes(variant.get_data_as_bytes().get_data() or b"") if variant.n_children() else b""
    if kind.startswith("a{"):
        pairs = [variant.get_child_value(i) for i in range(variant.n_children())]
        return {decode(p.get_child_value(0), fds): decode(p.get_child_value(1), fds) for p in pairs}
    if kind[0] in "a(":
        items = [decode(variant.get_child_value(i), fds) for i in range(variant.n_children())]
        return items if kind[0] == "a" else tuple(items)
    return variant.unpack()


# ---- objects

class Object:
    """An object on the bus. Its methods are methods, its properties attributes, of whatever interface has them; where two
    interfaces share a name, say which: obj["org.virtbus.qemu1.Domain"].Start(0, {})."""

    def __init__(self, bus, service, path, interface=None):
        self._bus, self._service, self._interface = bus, service, interface
        self._members = None
        self.path = path

    def __getitem__(self, interface):
        return Object(self._bus, self._service, self.path, interface)

    def __repr__(self):
        return f"<{self._service} {self.path}>"

    def __eq__(self, other):
        return isinstance(other, Object) and (self._service, self.path) == (other._service, other.path)

    def __hash__(self):
        return hash((self._service, self.path))

    def _load(self):
        text, = self._bus.call(self._service, self.path, "org.freedesktop.DBus.Introspectable", "Introspect")
        self._members = []
        interfaces = ElementTree.fromstring(text).findall("interface")
        # Own interfaces win over the standard ones.
        for node in sorted(interfaces, key=lambda n: n.get("name").startswith(STANDARD)):
            if self._interface not in (None, node.get("name")):
                continue
            for member in node:
                self._members.append((node.get("name"), member))

    def _find(self, name, tags):
        if self._members is None:
            self._load()
        found = [(i, m) for i, m in self._members if m.get("name") == name and m.tag in tags]
        ours = [i for i, m in found if not i.startswith(STANDARD)]
        assert len(ours) < 2, f"{name} is of {' and of '.join(ours)}: clients that look for it in all interfaces can't tell which is meant"
        if not found:
            raise AttributeError(f"{self!r} has no {' or '.join(tags)} {name}")
        return found[0]

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        interface, member = self._find(name, ("method", "property"))
        if member.tag == "property":
            return self._bus.call(self._service, self.path, PROPERTIES, "Get", "ss", interface, name)[0]
        signature = "".join(a.get("type") for a in member.findall("arg") if a.get("direction", "in") == "in")

        def method(*args, timeout=30):
            """Returns nothing, the one value, or a tuple."""
            result = self._bus.call(self._service, self.path, interface, name, signature, *args, timeout=timeout)
            return result[0] if len(result) == 1 else result or None
        return method

    def set(self, name, value):
        """Set a property."""
        interface, member = self._find(name, ("property",))
        wrapped = encode(member.get("type"), value, [])
        self._bus.call(self._service, self.path, PROPERTIES, "Set", "ssv", interface, name, wrapped)

    def properties(self):
        """All properties of all its interfaces (or of the one chosen), as a dictionary."""
        if self._members is None:
            self._load()
        found = {}
        for interface in dict.fromkeys(i for i, m in self._members if m.tag == "property"):
            found.update(self._bus.call(self._service, self.path, PROPERTIES, "GetAll", "s", interface)[0])
        return found


class Client:
    """A connection to any message bus: calls, signals, properties. Bus and the other tiers build on it."""

    def __init__(self, address):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self.context = GLib.MainContext.new()
        self.context.push_thread_default()
        try:
            self.connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
            self.connection.set_exit_on_close(False)
            self.subscription = self.connection.signal_subscribe(None, None, None, None, None, Gio.DBusSignalFlags.NONE, self._keep)
        finally:
            self.context.pop_thread_default()
        self.signals = []
        self.cursor = 0
        # The subscription travels as a message: after an answer from the bus it is in force.
        self.call(*DBUS, "GetId")

    def _keep(self, _connection, sender, path, interface, name, parameters, *_):
        if interface == "org.freedesktop.DBus":
            return
        self.signals.append(Signal(sender, path, interface, name, decode(parameters)))

    def call(self, service, path, interface, method, signature="", *args, timeout=30):
        """Call a method and return its answer as a tuple. Raises BusError; TimeoutError after `timeout` seconds, or more on a busy host."""
        fds = []
        body = encode(f"({signature})", args, fds)
        try:
            reply, out = self.connection.call_with_unix_fd_list_sync(
                service, path, interface, method, body, None, Gio.DBusCallFlags.NONE, int(patient(timeout) * 1000),
                Gio.UnixFDList.new_from_array([os.dup(fd) for fd in fds]) if fds else None, None)
        except GLib.Error as e:
            if e.matches(Gio.io_error_quark(), Gio.IOErrorEnum.TIMED_OUT):
                raise TimeoutError(f"{interface}.{method} on {path}: no answer after {patient(timeout):.1f} s") from None
            name = Gio.DBusError.get_remote_error(e)
            Gio.DBusError.strip_remote_error(e)
            raise BusError(name or "local", e.message) from None
        return decode(reply, [Descriptor(fd) for fd in out.steal_fds()] if out else ())

    def object(self, service, path, interface=None):
        return Object(self, service, path, interface)

    @contextmanager
    def fails(self, name, text=""):
        """The block must end in this D-Bus error, with this text in its message. A short name may leave out the prefix."""
        caught = {}
        try:
            yield caught
        except BusError as e:
            assert e.name == name or e.name.endswith(f".{name}"), f"expected {name}, got {e}"
            assert text in e.message, f"expected {text!r} in {e}"
            caught["error"] = e
        else:
            raise AssertionError(f"expected the error {name}, but the call succeeded")

    def pump(self, seconds=0.0):
        """Take in signals for so long; zero takes what is there."""
        deadline = time.monotonic() + seconds
        while self.context.iteration(False) or time.monotonic() < deadline:
            if not self.context.pending():
                time.sleep(min(0.005, max(0, deadline - time.monotonic())))

    def wait_signal(self, name, path=None, interface=None, match=None, timeout=60, since=None):
        """The next signal of that name after the last one this method returned (or after position `since`), in the order
        the bus delivered them. `match` gets the arguments. Raises TimeoutError with what came instead."""
        deadline = Deadline(timeout)
        position = self.cursor if since is None else since
        begin = position
        while True:
            self.pump()
            while position < len(self.signals):
                s = self.signals[position]
                position += 1
                if s.name == name and path in (None, s.path) and interface in (None, s.interface) and \
                   (match is None or match(*s.args)):
                    self.cursor = position
                    return s
            if deadline.passed():
                came = "\n".join(f"  {s.path} {s.name} {s.args}" for s in self.signals[begin:]) or "  nothing"
                raise TimeoutError(f"no signal {name} on {path or 'any path'} within {timeout} s; there came:\n{came}")
            self.pump(0.005)

    def mark(self):
        """The position after all signals so far; makes wait_signal() look only at later ones."""
        self.pump()
        self.cursor = len(self.signals)
        return self.cursor

    def wait_property(self, obj, name, value, timeout=60):
        """Wait until a property has the value, or until it pleases the function given as value. It is read once, then only
        PropertiesChanged is listened to, as a client should: a daemon that forgets to announce a change fails here."""
        interface, _ = obj._find(name, ("property",))
        good = value if callable(value) else lambda v: v == value
        self.pump()
        position, deadline = len(self.signals), Deadline(timeout)
        current = getattr(obj, name)
        while not good(current):
            if deadline.passed():
                raise TimeoutError(f"{name} of {obj} is {current!r} after {timeout} s, {value!r} was never announced")
            self.pump(0.005)
            # Each of them: what comes at once, where we were late, may pass the value.
            while position < len(self.signals) and not good(current):
                s = self.signals[position]
                position += 1
                if s.name == "PropertiesChanged" and s.path == obj.path and s.args[0] == interface:
                    if name in s.args[1]:
                        current = s.args[1][name]
                    elif name in s.args[2]:
                        current = getattr(obj, name)
        return current

    def owner_pid(self, service):
        """Pid of the process that owns a name, or None."""
        try:
            return self.call(*DBUS, "GetConnectionUnixProcessID", "s", service)[0]
        except BusError:
            return None

    def close(self):
        """Lets go of all descriptors: the subscription would keep the connection and its context for ever."""
        self.connection.signal_unsubscribe(self.subscription)
        self.connection.close_sync(None)


class Bus(Client):
    """A private dbus-daemon in a directory of its own, and a client on it. A context manager."""

    def __init__(self, build=None, environment=None, arguments=("--session",), services=None):
        self.build = build
        self.extra = dict(environment or {})
        self.arguments = list(arguments)
        self.services = dict(SERVICES if services is None else services)
        self.daemon = None

    def __enter__(self):
        leaks.adopt_orphans()
        # Unix socket paths end at 108 bytes, so the directory is short and not below a long TMPDIR.
        self.directory = Path(tempfile.mkdtemp(prefix="vb", dir="/tmp"))
        self.id = uuid.uuid4().hex
        self.watch = leaks.Watch(self.id, self.directory)
        try:
            self._prepare()
            self._start()
        except BaseException:
            self._clean()
            raise
        return self

    def _prepare(self):
        for name in ("run", "config", "data", "state", "cache", "home", "tmp", "services"):
            (self.directory / name).mkdir(mode=0o700)
        (self.directory / "bus.conf").write_text(CONFIG.format(directory=self.directory))
        for service, daemon in self.services.items():
            if path := daemon_path(daemon, self.build):
                self.add_service(service, [path, *self.arguments])
        d = str(self.directory)
        self.environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
            "HOME": f"{d}/home", "TMPDIR": f"{d}/tmp", "XDG_RUNTIME_DIR": f"{d}/run", "XDG_CONFIG_HOME": f"{d}/config",
            "XDG_DATA_HOME": f"{d}/data", "XDG_STATE_HOME": f"{d}/state", "XDG_CACHE_HOME": f"{d}/cache",
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={d}/bus",
            # Nothing in this tier may reach the host's own system bus.
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={d}/no-system-bus",
            leaks.MARKER: self.id,
            **{k: v for k, v in os.environ.items() if k.startswith(("VIRTBUS_", "ASAN_", "UBSAN_", "LSAN_"))},
            **self.extra,
        }

    def add_service(self, name, argv):
        """Make a program start when somebody calls the name."""
        line = " ".join("'" + str(a).replace("'", "'\\''") + "'" for a in argv)
        (self.directory / "services" / f"{name}.service").write_text(f"[D-BUS Service]\nName={name}\nExec={line}\n")
        if self.daemon:
            self.call(*DBUS, "ReloadConfig")

    def _start(self):
        self.log = open(self.directory / "log", "wb")
        self.daemon = subprocess.Popen(
            ["dbus-daemon", f"--config-file={self.directory}/bus.conf", "--nofork", "--print-address=1"],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
            preexec_fn=die_with_parent, cwd=self.directory)
        # One line, or end of file when it could not start.
        self.address = self.daemon.stdout.readline().decode().strip()
        if not self.address:
            raise RuntimeError(f"dbus-daemon did not start: {self.output()}")
        super().__init__(self.address)

    def manager(self, service):
        """The root object of one of our daemons, by the end of its name: manager("qemu1")."""
        return self.object(f"org.virtbus.{service}", f"/org/virtbus/{service}")

    def output(self):
        """What the bus and the daemons wrote to their standard error so far."""
        return (self.directory / "log").read_text(errors="replace")

    def run(self, *argv, timeout=60, check=True, **options):
        """Run a program in the environment of this bus, for instance virtctl; returns CompletedProcess with text."""
        result = subprocess.run([str(a) for a in argv], env=self.environment, capture_output=True, text=True,
                                timeout=patient(timeout), stdin=subprocess.DEVNULL, **options)
        assert not check or result.returncode == 0, f"{argv} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
        return result

    def spawn(self, *argv, **options):
        """Start a program in the environment of this bus; it must have ended before the fixture does."""
        return subprocess.Popen([str(a) for a in argv], env=self.environment, preexec_fn=die_with_parent, **options)

    def stop_service(self, name, sig=signal.SIGTERM, timeout=30):
        """Send a signal to the daemon that owns a name and wait for its end. Returns its pid, or None if none ran."""
        pid = self.owner_pid(name)
        if pid is None:
            return None
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            pass  # it had nothing to do any more
        if not leaks.wait_end(pid, patient(timeout)):
            raise TimeoutError(f"{name} still runs {timeout} s after signal {sig}: {leaks.describe(pid)}")
        # A call that comes before the bus has heard of that gets no answer.
        deadline = Deadline(timeout)
        while self.owner_pid(name) == pid and not deadline.passed():
            time.sleep(0.005)
        return pid

    def _left_files(self):
        left = leaks.files_below(self.directory / "run") + leaks.files_below(self.directory / "tmp")
        left += leaks.files_below(self.directory / "home")
        left += [p for p in leaks.sockets_below(self.directory) if p.name != "bus" and p not in left]
        return [str(p) for p in left]

    def _let_logs_end(self):
        """virtlogd removes a pipe when its last writer, a supervisor on its way out perhaps, has gone."""
        logd = self.owner_pid("org.virtbus.log1")
        if not logd:
            return
        self.watch.settle(LINGER, but={self.daemon.pid, logd})
        deadline = Deadline(LINGER)
        while list(self.directory.glob("run/virtbus/log/*.fifo")) and not deadline.passed():
            time.sleep(0.01)

    def check(self):
        """End the daemons and list everything that is left, as text; also remove it."""
        found = []
        for name in self.services:
            if name == "org.virtbus.log1":
                self._let_logs_end()
            try:
                self.stop_service(name)
            except TimeoutError as e:
                found.append(str(e))
        # A supervisor whose daemon is gone may be on its way out; what still runs then is left behind.
        left = self.watch.settle(LINGER, but={self.daemon.pid})
        found += [f"process {leaks.describe(pid)}" for pid in sorted(left)]
        self.watch.kill(left)
        found += [f"file {path}" for path in self._left_files()]
        found += [f"mount {path}" for path in self.watch.mounts()]
        found += [line for line in self.output().splitlines() if any(word in line for word in COMPLAINTS)]
        found += slow.complaints(self.output(), self.build)
        return found

    def _clean(self):
        if self.daemon:
            self.daemon.kill()
            self.daemon.wait()
            self.daemon.stdout.close()
            self.log.close()
        self.watch.kill(self.watch.alive())
        self.watch.reap()
        for mount in reversed(self.watch.mounts()):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __exit__(self, kind, *_):
        try:
            found = self.check()
            if kind or found:
                print(f"---- output of the bus and its daemons\n{self.output()}")
            self.close()
        finally:
            self._clean()
        if found and not kind:
            raise Leak("the test left behind:\n  " + "\n  ".join(found))
        if found:
            print("the test also left behind:\n  " + "\n  ".join(found))
