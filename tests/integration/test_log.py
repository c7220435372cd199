# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtlogd: what is written comes out, all of it and once, whatever happens meanwhile."""

import fcntl
import os
import signal
import socket
import threading
import time
import uuid
from contextlib import suppress

import pytest
from gi.repository import Gio, GLib

from bus import Client

from bus import DBUS, PROPERTIES

pytestmark = pytest.mark.bus

SERVICE = "org.virtbus.log1"
WEB = uuid.UUID("7a8c4c43-bd2c-4b0c-9c4f-0fbd9a5a0f10").bytes
KIB = 1024


@pytest.fixture
def logd(bus):
    from bus import daemon_path
    if not daemon_path("virtlogd"):
        pytest.skip("no virtlogd: set VIRTBUS_BUILD to a build directory that has it")
    return bus.manager("log1")


def options(**values):
    types = {"max_size": "t", "max_backups": "u", "journal": "b", "unit": "s", "tail": "t"}
    return {k.replace("_", "-"): GLib.Variant(types[k], v) for k, v in values.items()}


def open_log(logd, name="serial0", domain="web", id=WEB, **more):
    return logd.OpenLog(id, domain, name, 0, options(**more)).detach()


def folder(bus, domain="web"):
    return bus.directory / "state/virtbus/qemu" / domain


def wait(condition, timeout=60):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "in time"
        time.sleep(0.01)


def kept(bus, name="serial0", domain="web"):
    """Everything that is in the files, the oldest first, of one moment: they may be rotated just then."""
    def files():
        found = {p: p.stat().st_ino for p in folder(bus, domain).glob(f"{name}.log*")}
        return sorted(found.items(), key=lambda item: -int(item[0].suffix[1:]) if item[0].suffix != ".log" else 1)
    while True:
        with suppress(FileNotFoundError):
            before = files()
            data = b"".join(p.read_bytes() for p, _ in before)
            if files() == before:
                return data


def log_object(bus, logd, name="serial0"):
    return bus.object(SERVICE, next(path for _, _, n, _, path in logd.ListLogs() if n == name))


def test_write_read_follow(bus, logd):
    fd = open_log(logd)
    os.write(fd, b"first line\nsecond")
    wait(lambda: kept(bus) == b"first line\nsecond")
    assert (folder(bus) / "serial0.log").stat().st_mode & 0o777 == 0o600
    [(id, domain, name, size, path)] = logd.ListLogs()
    assert (bytes(id), domain, name, size) == (WEB, "web", "serial0", 17)
    data, after = logd.Read(WEB, "serial0", 6, 4)
    assert (bytes(data), after) == (b"line", 10)
    assert (bytes(logd.Read(WEB, "serial0", after, 100)[0]), logd.Read(WEB, "serial0", 17, 10)[1]) == (b"\nsecond", 17)

    stream = logd.Follow(WEB, "serial0", 0, options(tail=6)).socket()
    stream.settimeout(60)
    assert stream.recv(100) == b"second"
    os.write(fd, b" line\n")
    assert stream.recv(100) == b" line\n"
    log = bus.object(SERVICE, path)
    assert (log.State, log.Domain, log.BytesDropped) == ("open", "web", 0)
    os.close(fd)
    assert stream.recv(100) == b"", "the stream ends when nobody writes any more"
    bus.wait_property(log, "State", "closed")
    assert bytes(logd.Read(WEB, "serial0", 0, 1 << 20)[0]) == b"first line\nsecond line\n"
    again = open_log(logd)
    os.write(again, b"third\n")
    wait(lambda: kept(bus).endswith(b"third\n"))
    os.close(again)


def test_opened_again_while_the_last_writer_goes(bus, logd):
    """In whatever order virtlogd hears of both: what is written then is kept."""
    arguments = GLib.Variant("(ayssta{sv})", (WEB, "web", "serial0", 0, {}))
    for turn in range(150):
        writer, answers, other = open_log(logd), [], Client(bus.address)
        other.context.push_thread_default()
        other.connection.call_with_unix_fd_list(SERVICE, logd.path, f"{SERVICE}.Manager", "OpenLog", arguments, None, Gio.DBusCallFlags.NONE, 60000, None, None,
                                                lambda connection, result: answers.append(connection.call_with_unix_fd_list_finish(result)[1].steal_fds()))
        other.context.pop_thread_default()
        other.connection.flush_sync(None)
        time.sleep(turn % 50 * 0.00002)
        os.close(writer)
        wait(lambda: other.pump() or answers)
        other.close()
        os.write(answers[0][0], b"turn %d\n" % turn)
        assert list(bus.directory.glob("run/virtbus/log/*.fifo")) and log_object(bus, logd).State == "open"
        wait(lambda: b"turn %d\n" % turn in kept(bus))
        os.close(answers[0][0])
        wait(lambda: log_object(bus, logd).State == "closed")


def test_rotation(bus, logd):
    fd = open_log(logd, max_size=64 * KIB, max_backups=2)
    lines = [b"%06d %s\n" % (n, b"x" * (n % 90)) for n in range(6000)]
    os.write(fd, b"".join(lines))
    whole = b"".join(lines)
    log = log_object(bus, logd)
    wait(lambda: log.End == len(whole))
    text = kept(bus)
    assert whole.endswith(text) and log.First == len(whole) - len(text)
    files = sorted(folder(bus).iterdir())
    assert [f.name for f in files] == ["serial0.log", "serial0.log.0", "serial0.log.1"]
    for f in files:
        data = f.read_bytes()
        assert len(data) <= 64 * KIB and data.endswith(b"\n") and data[6:7] == b" "
    logd.Rotate(WEB, "serial0", 0, {})
    assert (folder(bus) / "serial0.log").stat().st_size == 0 and log.End == len(whole)
    assert bytes(logd.Read(WEB, "serial0", 0, 5)[0]) == whole[log.First:log.First + 5]
    os.close(fd)


class Writer(threading.Thread):
    """Writes numbered lines as fast as they are taken, and keeps a reading end open as QEMU's supervisor does."""

    def __init__(self, fd, size):
        super().__init__(daemon=True)
        self.fd, self.size, self.lines = fd, size, 0
        self.keep = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK)

    def run(self):
        written = 0
        while written < self.size:
            part = b"".join(b"line %09d of the guest's output\n" % n for n in range(self.lines, self.lines + 500))
            self.lines += 500
            written += len(part)
            view = memoryview(part)
            while view:
                view = view[os.write(self.fd, view):]
        os.close(self.fd)


def test_nothing_is_lost_by_killing_the_daemon(bus, logd):
    fd = open_log(logd, max_size=8 << 20, max_backups=20)
    writer = Writer(fd, 50 << 20)
    writer.start()
    for _ in range(10):
        time.sleep(0.05)
        bus.stop_service(SERVICE, signal.SIGKILL)
        assert logd.ListLogs()
    wait(lambda: not writer.is_alive(), 60)
    log = log_object(bus, logd)
    bus.wait_property(log, "State", "closed", timeout=30)
    os.close(writer.keep)
    text = kept(bus)
    assert text == b"".join(b"line %09d of the guest's output\n" % n for n in range(writer.lines)), "nothing missing, nothing double"
    sizes = [f.stat().st_size for f in folder(bus).iterdir()]
    assert max(sizes) <= 8 << 20 and sum(s > (8 << 20) - 4 * KIB for s in sizes) == len(sizes) - 1
    assert log.End == len(text)


def test_killed_before_all_was_put_away(bus, logd):
    """Where an open log begins is kept apart; of one that has ended, and of one nobody knows, nothing stays."""
    fd = open_log(logd)
    os.write(fd, b"one\n")
    os.close(fd)
    log = log_object(bus, logd)
    bus.wait_property(log, "State", "closed")
    bus.stop_service(SERVICE, signal.SIGKILL)
    run = bus.directory / "run/virtbus/log"
    for key in (f"{uuid.UUID(bytes=WEB)}.serial0", f"{uuid.uuid4()}.serial0"):
        (run / f"{key}.first").write_text("0")
    assert [entry[2] for entry in logd.ListLogs()] == ["serial0"] and not list(run.iterdir()) and kept(bus) == b"one\n"


def test_states_that_find_no_room(bus, logd):
    """A log that could not be written down is known to the next virtlogd all the same."""
    states = bus.directory / "data/virtbus/log"
    logd.ListLogs()
    states.parent.mkdir(parents=True, exist_ok=True)
    if states.exists():
        states.rmdir()
    states.write_text("")
    fd = open_log(logd)
    os.write(fd, b"one\n")
    wait(lambda: kept(bus) == b"one\n")
    states.unlink()
    for sig in (signal.SIGKILL, signal.SIGTERM):
        bus.stop_service(SERVICE, sig)
        assert [log[2] for log in logd.ListLogs()] == ["serial0"]
        os.write(fd, b"more\n")
        wait(lambda: kept(bus).endswith(b"more\n"))
    os.close(fd)
    bus.wait_property(log_object(bus, logd), "State", "closed")
    bus.stop_service(SERVICE)
    assert [log[2] for log in logd.ListLogs()] == ["serial0"] and kept(bus) == b"one\nmore\nmore\n"
    assert [p.name for p in states.iterdir()] and not list((bus.directory / "run/virtbus/log").iterdir())


def test_restart_is_orderly(bus, logd):
    fd = open_log(logd)
    keep = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK)
    for n in range(3):
        os.write(fd, b"before %d\n" % n)
        bus.stop_service(SERVICE)
        os.write(fd, b"meanwhile %d\n" % n)
        assert log_object(bus, logd).State == "open"
    wait(lambda: kept(bus).count(b"\n") == 6)
    assert kept(bus) == b"".join(b"before %d\nmeanwhile %d\n" % (n, n) for n in range(3))
    os.close(fd)
    os.close(keep)


def test_writers_that_left_meanwhile(bus, logd):
    """Without systemd their last bytes go with them, but the log is not thought to be open for ever."""
    fd = open_log(logd)
    os.write(fd, b"seen\n")
    wait(lambda: kept(bus) == b"seen\n")
    bus.stop_service(SERVICE, signal.SIGKILL)
    os.close(fd)
    bus.wait_property(log_object(bus, logd), "State", "closed")
    assert kept(bus) == b"seen\n"


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "x" * 5000, "new\nline", "ü"])
def test_bad_names(bus, logd, name):
    with bus.fails("InvalidArgs", "can't be the name of a log"):
        logd.OpenLog(WEB, "web", name, 0, {})
    assert logd.ListLogs() == [] and not folder(bus).exists()


def test_bad_arguments(bus, logd):
    with bus.fails("InvalidArgs", "a UUID has 16 bytes"):
        logd.OpenLog(b"123", "web", "serial0", 0, {})
    with bus.fails("InvalidArgs", "1 to 200 bytes"):
        logd.OpenLog(WEB, "", "serial0", 0, {})
    with bus.fails("InvalidArgs", "max-size"):
        logd.OpenLog(WEB, "web", "serial0", 0, options(max_size=5))
    with bus.fails("InvalidArgs", "at most 100"):
        logd.OpenLog(WEB, "web", "serial0", 0, options(max_backups=101))
    with bus.fails("InvalidArgs"):
        logd.OpenLog(WEB, "web", "serial0", 1 << 30, {})
    with bus.fails("NoSuchLog", "has no log"):
        logd.Read(WEB, "serial0", 0, 10)


def test_names_of_domains_stay_in_the_folder(bus, logd):
    for name in ("../../../etc", "a/b", "..", "zwölf"):
        fd = open_log(logd, domain=name, id=uuid.uuid4().bytes)
        os.write(fd, b"here\n")
        os.close(fd)
    root = bus.directory / "state/virtbus/qemu"
    wait(lambda: len([p for p in root.rglob("serial0.log") if p.stat().st_size == 5]) == 4)
    assert len(list(root.iterdir())) == 4


def test_bytes_of_every_kind(bus, logd):
    fd = open_log(logd, max_size=1 << 20, max_backups=30)
    data = bytes(range(256)) * 40 + b"\0" * 100000 + b"\xff\xfe" * 1000 + b"z" * (10 << 20)
    threading.Thread(target=lambda: [os.write(fd, data[i:i + 65536]) for i in range(0, len(data), 65536)] and os.close(fd)).start()
    log = log_object(bus, logd)
    bus.wait_property(log, "State", "closed", timeout=60)
    assert kept(bus) == data


def test_a_follower_that_never_reads(bus, logd):
    fd = open_log(logd, max_size=64 * KIB, max_backups=1)
    lazy = logd.Follow(WEB, "serial0", 0, {}).socket()
    busy = logd.Follow(WEB, "serial0", 0, {}).socket()
    busy.settimeout(60)
    seen = b""
    for n in range(100):
        part = b"%04d %s\n" % (n, b"y" * 4000)
        os.write(fd, part)
        while not seen.endswith(part):
            seen += busy.recv(65536)
    assert len(kept(bus)) <= 128 * KIB and len(seen) == 100 * 4006
    os.close(fd)
    lazy.settimeout(60)
    last = b""
    while data := lazy.recv(65536):
        last = (last + data)[-len(part):]
    assert last == part, "what was skipped is gone, the rest comes"


def test_limits_of_followers(bus, logd):
    fd = open_log(logd)
    streams = [logd.Follow(WEB, "serial0", 0, {}).socket() for _ in range(32)]
    with bus.fails("LimitExceeded", "followed 32 times already"):
        logd.Follow(WEB, "serial0", 0, {})
    streams.pop().close()
    wait(lambda: not _fails(lambda: streams.append(logd.Follow(WEB, "serial0", 0, {}).socket())))
    os.close(fd)
    for s in streams:
        s.settimeout(60)
        assert s.recv(10) == b""


def _fails(call):
    try:
        call()
    except Exception:
        return True
    return False


def test_many_logs(bus, logd):
    fds = [open_log(logd, name=f"port{n}", id=uuid.uuid4().bytes, domain=f"d{n}") for n in range(300)]
    for n, fd in enumerate(fds):
        os.write(fd, b"number %d\n" % n)
    assert len(logd.ListLogs()) == 300
    for fd in fds:
        os.close(fd)
    root = bus.directory / "state/virtbus/qemu"
    wait(lambda: all((root / f"d{n}" / f"port{n}.log").read_bytes() == b"number %d\n" % n for n in range(300)))
    wait(lambda: not list((bus.directory / "run/virtbus/log").glob("*.fifo")))


def test_writers_get_the_same_pipe(bus, logd):
    a, b = open_log(logd), open_log(logd)
    os.write(a, b"one\n")
    os.write(b, b"two\n")
    os.close(a)
    wait(lambda: kept(bus) == b"one\ntwo\n")
    assert log_object(bus, logd).State == "open"
    assert not fcntl.fcntl(b, fcntl.F_GETFL) & os.O_NONBLOCK
    os.close(b)


def test_settings(bus, logd):
    assert (logd.MaxSize, logd.MaxBackups) == (2 << 20, 3)
    config = bus.directory / "config/virtbus"
    config.mkdir(parents=True, exist_ok=True)
    (config / "log.conf").write_text("[Files]\nMaxSize=64KiB\nMaxBackups=7\n")
    os.kill(bus.owner_pid(SERVICE), signal.SIGHUP)
    bus.wait_property(logd, "MaxBackups", 7)
    assert logd.MaxSize == 64 * KIB
    (config / "log.conf").write_text("[Files]\nMaxSize=banana\n")
    os.kill(bus.owner_pid(SERVICE), signal.SIGHUP)
    assert logd.MaxBackups == 7 and "expected a size" in wait_output(bus, "banana")


def test_settings_are_read_before_what_was_asked_later(bus, logd):
    """Both are there when virtlogd gets to look."""
    config = bus.directory / "config/virtbus"
    config.mkdir(parents=True, exist_ok=True)
    assert logd.MaxBackups == 3
    pid, said = bus.owner_pid(SERVICE), []
    os.kill(pid, signal.SIGSTOP)
    try:
        (config / "log.conf").write_text("[Files]\nMaxBackups=7\n")
        os.kill(pid, signal.SIGHUP)
        bus.context.push_thread_default()
        bus.connection.call(SERVICE, logd.path, PROPERTIES, "Get", GLib.Variant("(ss)", (f"{SERVICE}.Manager", "MaxBackups")), None, 0, 100000, None,
                            lambda connection, result, _: said.append(connection.call_finish(result).unpack()), None)
        bus.context.pop_thread_default()
        bus.call(*DBUS, "GetId")    # and so the bus has the call
    finally:
        os.kill(pid, signal.SIGCONT)
    wait(lambda: bus.pump() or said)
    assert said == [(7,)]


def wait_output(bus, text):
    wait(lambda: text in bus.output())
    return bus.output()


def test_a_client_that_disconnects(bus, logd):
    fd = open_log(logd)
    stream = logd.Follow(WEB, "serial0", 0, {}).socket()
    assert isinstance(stream, socket.socket)
    stream.close()
    os.write(fd, b"x\n")
    wait(lambda: kept(bus) == b"x\n")
    os.close(fd)


def test_who_comes_after(bus, logd):
    """A domain with the name of one that has gone has its file; of the other nothing is left, not even a descriptor."""
    assert logd.ListLogs() == []
    pid = bus.owner_pid(SERVICE)
    for n in range(20):
        fd = open_log(logd, id=uuid.UUID(int=n).bytes)
        os.write(fd, b"line %d\n" % n)
        os.close(fd)
        wait(lambda: log_object(bus, logd).State == "closed")
        [(id, *_)] = logd.ListLogs()
        assert bytes(id) == uuid.UUID(int=n).bytes
        if n == 0:
            before = len(os.listdir(f"/proc/{pid}/fd"))
    assert kept(bus) == b"".join(b"line %d\n" % n for n in range(20))
    wait(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= before)
    assert len(list((bus.directory / "data/virtbus/log").iterdir())) == 1
    # Who is still at it is left alone.
    held, other = open_log(logd, id=uuid.UUID(int=30).bytes), open_log(logd, id=uuid.UUID(int=31).bytes)
    assert len(logd.ListLogs()) == 2
    os.close(held)
    os.close(other)
