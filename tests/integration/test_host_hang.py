# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nothing waits for what is stuck: twenty VMs, everything that can be stuck stuck at once, and what all others notice of it."""

import re

import pytest

from domains import tiny_xml
from pace import at_most
from stuck import Host, merge, table

pytestmark = pytest.mark.host

SECONDS = 6         # of each half
# Milliseconds: what is asked, and what is done. Documented in virtbus(1).
ASKED, DONE = 500, 3000
DOING = {"start", "terminate", "suspend_and_resume", "create_and_delete_volume"}
MEMORY = 64 << 10   # kilobytes that virtqemud may have more after clients that read nothing


def memory(bed, pid):
    return int(re.search(r"^VmRSS:\s+(\d+)", bed.read(f"/proc/{pid}/status"), re.M).group(1))


def too_slow(calls):
    return [f"{kind}: {c.worst:.0f} ms" for kind, c in calls.items() if c.worst > at_most(DONE if kind in DOING else ASKED)]


def test_everything_is_stuck(installed, guest_image):
    with Host(installed, guest_image) as host:
        pids = {unit: host.pid_of(unit) for unit in ("virtqemud", "virtstoraged")}
        before = memory(installed, pids["virtqemud"])
        quiet = host.traffic(4)
        with host.stuck() as wanted:
            first = host.traffic(SECONDS, without=["list_networks"])
            wanted.append(host.stop_logs())
            second = host.traffic(SECONDS, without=["list_networks", "list_logs", "read_log"])
            late = [why for w in wanted if (why := w.end(at_most(3)))]
            grown = memory(installed, pids["virtqemud"]) - before
        busy = merge(first, second)
        print("\n".join(table(quiet, busy)))
        assert {k: c.failed[:3] for k, c in busy.items() if c.failed} == {}
        assert too_slow(busy) == []
        assert not late, "\n".join(late)
        assert grown < MEMORY, f"{grown} kB for clients that read nothing"
        assert pids == {unit: host.pid_of(unit) for unit in pids}


DAEMONS = ("virtqemud", "virtlogd", "virtlockd", "virtnetworkd", "virtstoraged")


def test_who_hangs_is_started_again(installed):
    """By systemd's watchdog, which is set to less than in the units; VMs don't notice."""
    for unit in DAEMONS:
        installed.put(f"/run/systemd/system/{unit}.service.d/watchdog.conf", "[Service]\nWatchdogSec=4s\n")
    installed.put("/srv/watched.xml", tiny_xml("watched", devices="<serial type='pty'/>"))
    installed.run(f"systemctl daemon-reload && systemctl restart {' '.join(DAEMONS)} && virtctl define /srv/watched.xml && virtctl start watched")
    supervisor = installed.run("systemctl show -P MainPID virtqemu@watched").stdout.strip()
    qemu = installed.run(f"cat /proc/{supervisor}/task/{supervisor}/children").stdout
    pids = {unit: installed.run(f"systemctl show -P MainPID {unit}").stdout.strip() for unit in DAEMONS}
    installed.stopped.update(DAEMONS)
    installed.run(f"kill -STOP {' '.join(pids.values())}")
    for unit in DAEMONS:
        installed.wait(lambda: installed.run(f"systemctl show -P MainPID {unit}").stdout.strip() not in (pids[unit], "0"), 60, f"{unit} is started again")
        installed.wait(lambda: "Watchdog timeout" in installed.journal(unit))
    assert installed.run(f"cat /proc/{supervisor}/task/{supervisor}/children").stdout == qemu
    assert "running" in installed.run("virtctl list", timeout=60).stdout
    installed.run("virtctl kill watched && virtctl undefine watched")
    installed.run("rm -r /run/systemd/system/virt*.service.d; systemctl daemon-reload")
