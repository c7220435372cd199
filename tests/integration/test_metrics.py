# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtbus-metrics: what strict parsers take, from a daemon that is given its sockets, whatever its clients do."""

import os
import signal
import socket
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from domains import define, disk_xml, tiny_xml
from pace import at_most
from test_recovery import wait_until
from test_statistics import cpu_time, milliseconds, with_balloon

pytestmark = pytest.mark.bus

OPENMETRICS = "Accept: application/openmetrics-text; version=1.0.0\r\n"


class Metrics:
    """The daemon with a TCP and a unix socket, as its socket unit would give it."""

    def __init__(self, bus, **environment):
        self.tcp = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.unix = socket.socket(socket.AF_UNIX)
        self.path = bus.directory / "metrics.sock"
        self.unix.bind(str(self.path))
        self.unix.listen(128)
        program = Path(os.environ["VIRTBUS_BUILD"]) / "virtmetrics" / "virtbus-metrics"
        fds = self.tcp.fileno(), self.unix.fileno()
        said = " ".join(f"{k}={v}" for k, v in environment.items())
        self.process = bus.spawn("bash", "-c", f"exec 3<&{fds[0]} 4<&{fds[1]}; LISTEN_PID=$$ LISTEN_FDS=2 {said} exec {program} --session", pass_fds=fds,
                                 stderr=bus.log)

    def connect(self, unix=False):
        if unix:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(20)
            s.connect(str(self.path))
            return s
        return socket.create_connection(self.tcp.getsockname(), timeout=20)

    def close(self):
        self.process.terminate()
        status = self.process.wait(60)
        self.tcp.close()
        self.unix.close()
        self.path.unlink()
        return status


@contextmanager
def metrics(bus, **environment):
    m = Metrics(bus, **environment)
    try:
        yield m
    finally:
        status = m.close()
    assert status == 0


def read_all(s):
    data = b""
    while piece := s.recv(65536):
        data += piece
    return data


def request(m, text, unix=False):
    """(status, fields, body)"""
    with m.connect(unix) as s:
        s.sendall(text.encode())
        data = read_all(s)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body.decode()


def page(m, unix=False, extra=OPENMETRICS):
    status, fields, body = request(m, f"GET /metrics HTTP/1.1\r\nHost: localhost\r\n{extra}\r\n", unix)
    assert status == 200 and int(fields["Content-Length"]) == len(body.encode()) and fields["Connection"] == "close"
    return fields["Content-Type"], body


def families(body):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
    return {f.name: f for f in text_string_to_metric_families(body)}


def wait_for(m, *names):
    """Until QEMU has said what these metrics say: nobody waits long for it, and what has come late is there the next time."""
    wait_until(lambda: all(f"\n{name}{{" in body for body in [page(m)[1]] for name in names))


def value(all_of_them, name, **labels):
    family = all_of_them[name.removesuffix("_total")]
    found = [s.value for s in family.samples if s.name == name and labels.items() <= s.labels.items()]
    assert len(found) == 1, (name, labels, family.samples)
    return found[0]


def test_page(bus, qemud, tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(1 << 20))
    a = define(bus, with_balloon(tiny_xml("a", devices=disk_xml(tmp_path / "a.raw"))))
    define(bus, tiny_xml("off"))
    a.Start(0, {}, timeout=60)
    with metrics(bus) as m:
        wait_for(m, "virtbus_domain_balloon_bytes", "virtbus_domain_block_read_bytes_total")
        time.sleep(0.2)  # what the kernel says is not so old on the next page
        before = cpu_time(a.MainPID)
        kind, body = page(m)
        after = cpu_time(a.MainPID)
        assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8" and body.endswith("# EOF\n")
        f = families(body)
        assert value(f, "virtbus_domain_state", domain="a", state="running", uuid=str(a.ExportDefinition("", 0)).split("<uuid>")[1][:36]) == 1
        assert value(f, "virtbus_domain_state", domain="off", state="shutoff") == 1
        for mode, x, y in zip(("user", "system"), before, after):
            assert x / 1e9 <= value(f, "virtbus_domain_cpu_seconds_total", domain="a", mode=mode) <= y / 1e9
        assert value(f, "virtbus_domain_balloon_bytes", domain="a") == 16 << 20
        assert value(f, "virtbus_domain_vcpu_seconds_total", domain="a", vcpu="0") > 0
        assert value(f, "virtbus_domain_block_read_bytes_total", domain="a", disk="vda") >= 0
        assert value(f, "virtbus_domain_statistics_age_seconds", domain="a", group="block") < 5
        assert f["virtbus_domain_cpu_seconds"].unit == "seconds" and f["virtbus_domain_cpu_seconds"].type == "counter"
        assert not [s for s in f["virtbus_domain_cpu_seconds"].samples if s.labels["domain"] == "off"]
        again = families(page(m, unix=True)[1])
        assert again.keys() == f.keys() and value(again, "virtbus_domain_cpu_seconds_total", domain="a", mode="user") * 1e9 >= before[0]
        a.Terminate(0, {})
        assert value(families(page(m)[1]), "virtbus_domain_state", domain="a", state="shutoff") == 1


def test_every_metric_is_documented():
    """And what is documented is there."""
    import re
    root = Path(__file__).resolve().parents[2]
    there = set()
    for key, family, counter in re.findall(r'^        \{ "(.*?)", "(virtbus_\w+)", (COUNTER|GAUGE)', (root / "virtmetrics" / "openmetrics.c").read_text(), re.M):
        there.add(family + ("_total" if counter == "COUNTER" else ""))
    text = (root / "docs" / "virtbus-metrics.rst").read_text()
    table = re.findall(r"^(virtbus_domain_\w+).*\n    (.*)$", text, re.M)
    documented = set()
    for name, rest in table:
        documented.add(name)
        stem = re.match(r"(virtbus_domain_(?:block|net_receive|net_transmit)_)", name)
        for other in re.findall(r"\*(\w+)\*", rest.split("; also")[1]) if "; also" in rest else []:
            documented.add(stem.group(1) + other + "_total")
    assert documented == there


def test_older_format(bus, qemud):
    from prometheus_client.parser import text_string_to_metric_families
    define(bus, tiny_xml("a"))
    with metrics(bus) as m:
        kind, body = page(m, extra="")
        assert kind == "text/plain; version=0.0.4; charset=utf-8"
        assert [s for f in text_string_to_metric_families(body) for s in f.samples if s.name == "virtbus_domain_state" and s.labels["domain"] == "a"]
        assert "# TYPE virtbus_domain_cpu_seconds_total counter\n" in body and "# EOF" not in body and "# UNIT" not in body


def test_names_are_escaped(bus, qemud):
    name = 'a\\b "c" é'
    define(bus, tiny_xml(name))
    with metrics(bus) as m:
        assert value(families(page(m)[1]), "virtbus_domain_state", domain=name) == 1


@pytest.mark.parametrize("text, status", [
    ("HEAD /metrics HTTP/1.1\r\n\r\n", 200),
    ("GET /metrics?x=y HTTP/1.0\r\n\r\n", 200),
    ("GET / HTTP/1.1\r\n\r\n", 404),
    ("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
    ("GET /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 400),
    ("GET /metrics HTTP/3.0\r\n\r\n", 505),
    ("nonsense\r\n\r\n", 400),
    ("GET /metrics HTTP/1.1\r\nA b\r\n\r\n", 400),
    ("GET /metrics HTTP/1.1\r\n" + "A: b\r\n" * 65 + "\r\n", 431),
    ("GET /" + "a" * 8187, 431),
])
def test_requests(bus, qemud, text, status):
    with metrics(bus) as m:
        said, fields, body = request(m, text)
        assert said == status and fields["Connection"] == "close"
        assert (body == "") == text.startswith("HEAD") and (said != 405 or fields["Allow"] == "GET, HEAD")
        assert int(fields["Content-Length"]) > 0


def test_slow_clients(bus, qemud):
    """They are let go of, and nobody waits for them unless there are too many."""
    for i in range(40):
        define(bus, tiny_xml(f"machine-{i}"))
    with metrics(bus) as m:
        page(m)
        met = time.monotonic()
        slow = [m.connect() for _ in range(40)]
        for s in slow[:20]:
            s.sendall(b"GET /metrics HTTP/1.1\r\n")
        lazy = socket.socket(socket.AF_INET)
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(m.tcp.getsockname())
        lazy.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert milliseconds(lambda: page(m)) < at_most(500)
        slow += [m.connect() for _ in range(40)]
        page(m)    # its turn comes when the first ones' time is over
        assert 5 <= time.monotonic() - met < at_most(10)
        assert slow[0].recv(1) == b""
        for s in [*slow, lazy]:
            s.close()
        assert milliseconds(lambda: page(m)) < at_most(500)


def test_many_at_once(bus, qemud):
    define(bus, tiny_xml("a"))
    with metrics(bus) as m:
        clients = [m.connect(unix=n % 2) for n in range(60)]
        for s in clients:
            s.sendall(b"GET /metrics HTTP/1.1\r\n" + OPENMETRICS.encode() + b"\r\n")
        for s in clients:
            assert value(families(read_all(s).decode().partition("\r\n\r\n")[2]), "virtbus_domain_state", domain="a") == 1
            s.close()


def test_stopped_qemu(bus, qemud):
    """Its old figures are told, and that they are old."""
    a = define(bus, with_balloon(tiny_xml("a")))
    a.Start(0, {}, timeout=60)
    with metrics(bus) as m:
        wait_for(m, "virtbus_domain_balloon_bytes")
        os.kill(a.MainPID, signal.SIGSTOP)
        time.sleep(11)
        page(m)
        time.sleep(0.2)
        began = time.monotonic()
        f = families(page(m)[1])
        assert time.monotonic() - began < at_most(0.5)
        assert value(f, "virtbus_domain_statistics_stale", domain="a", group="balloon") == 1
        assert value(f, "virtbus_domain_statistics_age_seconds", domain="a", group="balloon") > 9
        os.kill(a.MainPID, signal.SIGCONT)
        a.Terminate(0, {})


def test_daemons_come_and_go(bus, qemud):
    """virtqemud is started for it; it ends by itself when idle."""
    define(bus, tiny_xml("a"))
    with metrics(bus) as m:
        for sig in (signal.SIGTERM, signal.SIGKILL):
            assert "machine" not in page(m)[1]
            bus.stop_service("org.virtbus.qemu1", sig)
        assert value(families(page(m)[1]), "virtbus_domain_state", domain="a") == 1
    with metrics(bus, VIRTBUS_IDLE_SEC=3) as m:
        page(m)
        assert m.process.wait(60) == 0


def test_no_bus(bus, qemud):
    with metrics(bus, DBUS_SESSION_BUS_ADDRESS=f"unix:path={bus.directory}/none") as m:
        status, _, body = request(m, "GET /metrics HTTP/1.1\r\n\r\n")
        assert status == 503 and "bus" in body


def test_without_sockets(bus, qemud):
    program = Path(os.environ["VIRTBUS_BUILD"]) / "virtmetrics" / "virtbus-metrics"
    result = bus.run(program, "--session", check=False)
    assert result.returncode == 1 and "virtbus-metrics.socket" in result.stderr
    assert "virtbus-metrics" in bus.run(program, "--version").stdout
