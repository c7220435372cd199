# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtctl check on a host with systemd: what it says to type mends what was missing."""

import json

import pytest

pytestmark = pytest.mark.host


def rows_of(bed):
    return {row["name"]: row for row in json.loads(bed.run("virtctl check --json=short", check=False).stdout)}


def test_what_is_said_mends(installed):
    bed = installed
    rows = rows_of(bed)
    for name in ("bus", "systemd", "machined", "polkit", "virtqemud", "virtnetworkd", "virtstoraged", "virtlockd", "virtlogd", "libvirt", "default-network"):
        assert rows[name]["result"] == "ok", rows[name]
    bed.run("systemctl disable --now virtlockd.socket && systemctl mask --now virtlogd.socket")
    units = rows_of(bed)["units"]
    assert units["result"] == "warning" and "virtlockd.socket" in units["text"] and "virtlogd.socket" in units["text"]
    while (units := rows_of(bed)["units"])["result"] != "ok":
        before = units
        bed.run(units["fix"].removesuffix(" (and again)"))
        assert rows_of(bed)["units"] != before
    assert bed.run("systemctl is-active virtlockd.socket virtlogd.socket").stdout.split() == ["active"] * 2


def test_a_daemon_that_cannot_start(installed):
    bed = installed
    bed.run("mkdir -p /run/systemd/system/virtlockd.service.d && systemctl stop virtlockd.service virtlockd.socket &&"
            "printf '[Service]\\nExecStartPre=/bin/false\\n' > /run/systemd/system/virtlockd.service.d/test.conf && systemctl daemon-reload")
    rows = rows_of(bed)
    assert rows["virtlockd"]["result"] == "missing" and rows["virtqemud"]["result"] == "ok"
    assert "virtlockd" in bed.run(rows["virtlockd"]["fix"] + " --no-pager").stdout
    bed.run("rm -r /run/systemd/system/virtlockd.service.d && systemctl daemon-reload && systemctl reset-failed virtlockd.service; systemctl start virtlockd.socket")
    assert rows_of(bed)["virtlockd"]["result"] == "ok"
