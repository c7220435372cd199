# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bus fixture does what bus.py promises, with a service of its own."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

import leaks
from pace import at_most, patient

pytestmark = pytest.mark.bus

SERVICE = Path(__file__).with_name("echo-service.py")
NAME, PATH = "org.virtbus.Echo1", "/org/virtbus/Echo1"


def add_echo(bus, *args):
    bus.services[NAME] = "echo-service"
    bus.add_service(NAME, ["/usr/bin/python3", SERVICE, *args])
    return bus.object(NAME, PATH)


def test_calls(bus):
    echo = add_echo(bus)
    assert echo.Echo("text") == "<'text'>"
    assert echo.Echo(True) == "<true>"
    assert echo.Options(1 << 40, {"a": 1, "b": ["x"], "c": b"\1\0"}) == {"a": 1, "b": ["x"], "c": b"\1\0"}
    assert echo.Tick(0, 0) is None
    with bus.fails("Error.Busy", "job 7") as caught:
        echo.Fail("busy with job 7")
    assert caught["error"].name == "org.virtbus.Error.Busy"
    with pytest.raises(AttributeError, match="Nonsense"):
        echo.Nonsense()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        echo.Silent(timeout=0.3)
    assert time.monotonic() - began < at_most(2)


def test_descriptors(bus, tmp_path):
    echo = add_echo(bus)
    (tmp_path / "file").write_text("seven..")
    fd = echo.Open(str(tmp_path / "file"))
    assert os.pread(fd.fileno(), 100, 0) == b"seven.."
    assert echo.Length(fd) == 7
    fd.close()


def test_signals_and_properties(bus):
    echo = add_echo(bus)
    echo.Tick(0, 3)
    assert [bus.wait_signal("Ticked", path=PATH).args[0] for _ in range(3)] == [0, 1, 2]
    echo.Tick(3, 9)
    assert bus.wait_signal("Ticked", match=lambda n: n == 7).args == (7,)
    bus.mark()
    with pytest.raises(TimeoutError, match="nothing"):
        bus.wait_signal("Ticked", timeout=0.2)
    echo.set("Count", 4)
    assert bus.wait_property(echo, "Count", 4) == 4
    assert echo.Count == 4 and echo.properties() == {"Count": 4}
    bus.spawn("busctl", "--user", "set-property", NAME, PATH, NAME, "Count", "u", "5").wait(60)
    assert bus.wait_property(echo, "Count", lambda n: n > 4) == 5


def test_environment(bus):
    assert "org.freedesktop.DBus" in bus.run("busctl", "--user", "list", "--no-legend").stdout
    pid = (echo := add_echo(bus)).Echo(1) and bus.owner_pid(NAME)
    environ = Path(f"/proc/{pid}/environ").read_text()
    assert f"XDG_RUNTIME_DIR={bus.directory}/run\0" in environ
    assert len(f"{bus.directory}/run/virtbus/virtqemud.sock") < 60
    assert bus.stop_service(NAME) == pid
    assert echo.Echo(2) == "<int64 2>" and bus.owner_pid(NAME) not in (None, pid)


def leaky(action):
    """The Leak that a fixture ends with after the action was done to it."""
    from bus import Bus, Leak
    with pytest.raises(Leak) as caught:
        with Bus() as b:
            result = action(b)
    assert not b.directory.exists()
    return str(caught.value), result


def test_leaked_process_is_named_and_killed():
    text, pid = leaky(lambda b: add_echo(b).Leave(["sleep", "1234"]))
    assert f"process {pid} (sleep 1234)" in text
    assert leaks.wait_end(pid, 0)


def test_leaked_file_is_named():
    text, _ = leaky(lambda b: (b.directory / "run" / "left").write_text("x"))
    assert "/run/left" in text


def test_daemon_that_ignores_sigterm_is_named():
    def stopped(b):
        add_echo(b).Echo(1)
        os.kill(b.owner_pid(NAME), signal.SIGSTOP)
        b.stop_service = lambda name: type(b).stop_service(b, name, timeout=0.5)
    text, _ = leaky(stopped)
    assert f"{NAME} still runs" in text


def test_no_bus_survives():
    from bus import Bus
    with Bus() as b:
        pid, where = b.daemon.pid, b.directory
    assert not Path(f"/proc/{pid}").exists() and not where.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="runs as an ordinary user already")
def test_as_ordinary_user():
    """The same tests pass for somebody who is not root."""
    environment = {k: v for k, v in os.environ.items() if k != "VIRTBUS_BUILD"}
    result = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-B", "-m", "pytest", "-q",
         "--override-ini=addopts=", "-p", "no:cacheprovider", "-c", SERVICE.with_name("pytest.ini"), __file__,
         "-k", "calls or descriptors or leaked_process"],
        env={**environment, "HOME": "/nonexistent"}, capture_output=True, text=True, timeout=patient(90), cwd="/")
    assert result.returncode == 0 and "3 passed" in result.stdout, result.stdout + result.stderr
