# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtlogd as it is installed: the journal, restarts with systemd holding the pipes, full disks, who may read."""

import json
import os
import uuid

import pytest

from host import USER, patience
from test_log import Writer, options

pytestmark = pytest.mark.host

WEB = uuid.UUID("7a8c4c43-bd2c-4b0c-9c4f-0fbd9a5a0f10")
FILE = "/var/log/virtbus/qemu/web/serial0.log"


@pytest.fixture(scope="module")
def bed(installed):
    installed.run("systemctl enable --now virtlogd.socket")
    return installed


@pytest.fixture
def logd(bed):
    client = bed.bus()
    yield client.object("org.virtbus.log1", "/org/virtbus/log1")
    client.close()


def open_log(logd, name="serial0", **more):
    return logd.OpenLog(WEB.bytes, "web", name, 0, options(**more)).detach()


def entries(bed, match):
    text = bed.run(f"journalctl --sync; journalctl -o json {match}").stdout
    return [json.loads(line) for line in text.splitlines()]


def state(logd, bed, name="serial0"):
    path = next(p for _, _, n, _, p in logd.ListLogs() if n == name)
    return bed.run(f"busctl get-property org.virtbus.log1 {path} org.virtbus.log1.Log State").stdout.split('"')[1]


def test_lines_are_in_the_journal(bed, logd):
    fd = open_log(logd, unit="virtqemu@web.service")
    os.write(fd, b"a plain line\n\x1b[31mred\x07\x1b[0m\r\n\n\xff not UTF-8\nz\xc3\xbcrich\nhalf")
    os.close(fd)
    bed.wait(lambda: len(entries(bed, "VIRTBUS_DOMAIN=web")) == 5)
    found = entries(bed, "VIRTBUS_DOMAIN=web")
    assert [e["MESSAGE"] for e in found] == ["a plain line", "?[31mred??[0m", "? not UTF-8", "zürich", "half"]
    assert {(e["VIRTBUS_DOMAIN_UUID"], e["VIRTBUS_LOG"], e["SYSLOG_IDENTIFIER"]) for e in found} == {(str(WEB), "serial0", "virtlogd")}
    assert [e["MESSAGE"] for e in entries(bed, "-u virtqemu@web.service")] == [e["MESSAGE"] for e in found]


def test_the_journal_is_spared(bed, logd):
    bed.put("/etc/virtbus/log.conf", "[Journal]\nRateLimitInterval=1s\nRateLimitBurst=20\n")
    bed.run("systemctl reload virtlogd")
    fd = open_log(logd, name="loud")
    os.write(fd, b"".join(b"line %d\n" % n for n in range(5000)))
    os.close(fd)
    bed.wait(lambda: any("came too fast" in e["MESSAGE"] for e in entries(bed, "VIRTBUS_LOG=loud")))
    lines = [e["MESSAGE"] for e in entries(bed, "VIRTBUS_LOG=loud")]
    assert lines[:20] == [f"line {n}" for n in range(20)] and len(lines) < 100
    bed.wait(lambda: bed.read("/var/log/virtbus/qemu/web/loud.log").count("\n") == 5000)
    bed.run("rm /etc/virtbus/log.conf; systemctl reload virtlogd")


def test_systemd_holds_the_pipes(bed, logd):
    """Nothing is lost when virtlogd is killed under load, and also not when the writer goes while it is dead."""
    fd = open_log(logd, name="held", max_size=4 << 20, max_backups=40, journal=False)
    writer = Writer(fd, 40 << 20)
    os.close(writer.keep)       # only systemd keeps the other end
    writer.start()
    for _ in range(10):
        bed.run("systemctl kill --signal=KILL virtlogd; sleep 0.2; systemctl is-active --wait virtlogd || systemctl start virtlogd", check=False)
    writer.join(patience(60))
    assert not writer.is_alive()
    bed.run("systemctl restart virtlogd")
    bed.wait(lambda: state(logd, bed, "held") == "closed")
    names = bed.run("ls -v /var/log/virtbus/qemu/web/ | grep '^held'").stdout.split()
    backups = sorted((n for n in names if n != "held.log"), key=lambda n: -int(n.rpartition(".")[2]))
    text = "".join(bed.read(f"/var/log/virtbus/qemu/web/{n}") for n in [*backups, "held.log"])
    assert text == "".join(f"line {n:09d} of the guest's output\n" for n in range(writer.lines))
    bed.wait(lambda: bed.run("systemctl show -P NFileDescriptorStore virtlogd").stdout.strip() == "0")


def test_a_full_disk(bed, logd):
    bed.put("/etc/virtbus/log.conf", "[Files]\nBlockLimit=1s\nMaxSize=64MiB\n")
    bed.run("systemctl reload virtlogd; mkdir -p /var/log/virtbus/qemu/small && mount -t tmpfs -o size=256K tmpfs /var/log/virtbus/qemu/small")
    fd = logd.OpenLog(WEB.bytes, "small", "full", 0, options(journal=False)).detach()
    writer = Writer(fd, 2 << 20)
    os.close(writer.keep)
    writer.start()
    bed.wait(lambda: state(logd, bed, "full") == "dropping")
    writer.join(patience(20))
    assert not writer.is_alive(), "a guest is held up for a while only"
    assert "can't be written: No space left on device" in bed.journal("virtlogd")
    bed.run("mount -o remount,size=16M /var/log/virtbus/qemu/small")
    bed.wait(lambda: state(logd, bed, "full") == "closed")
    text = bed.read("/var/log/virtbus/qemu/small/full.log")
    assert "bytes of output are missing here: the log could not be written]\n" in text and text.startswith("line 000000000 ")
    bed.run("umount /var/log/virtbus/qemu/small; rm /etc/virtbus/log.conf; systemctl reload virtlogd")


def test_who_may_read(bed):
    call = "busctl call org.virtbus.log1 /org/virtbus/log1 org.virtbus.log1.Manager ListLogs"
    assert "serial0" in bed.run(call).stdout
    assert "serial0" in bed.run(call, user=USER).stdout     # as everybody sees it in the objects
    denied = bed.run("dbus-send --system --print-reply --dest=org.virtbus.log1 /org/virtbus/log1 org.virtbus.log1.Manager.Read array:byte:0 string:serial0 "
                     "uint64:0 uint64:1", user=USER, check=False)
    assert denied.returncode != 0 and "org.virtbus.log1.read" in denied.stderr
    assert bed.run(f"cat {FILE}", user=USER, check=False).returncode != 0


def test_ends_when_idle_and_comes_back(bed, logd):
    bed.put("/run/systemd/system/virtlogd.service.d/idle.conf", "[Service]\nEnvironment=VIRTBUS_IDLE_SEC=4\n")
    bed.run("systemctl daemon-reload; systemctl stop virtlogd")
    assert logd.ListLogs()
    assert bed.run("systemctl is-active virtlogd").stdout == "active\n"
    bed.wait(lambda: bed.run("systemctl is-active virtlogd", check=False).stdout.strip() == "inactive", 60, "idle exit")
    assert bed.run("systemctl show -P Result virtlogd").stdout.strip() == "success"
    bed.run("rm -r /run/systemd/system/virtlogd.service.d; systemctl daemon-reload")
    assert logd.ListLogs()
