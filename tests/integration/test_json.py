# SPDX-License-Identifier: LGPL-2.1-or-later
"""JSON that virtctl prints is as its schema says. Networks are in test_host_network.py, test_host_forward.py; what agents say in test_agent.py."""

import subprocess

import jsonschema
import pytest

from domains import disk_xml, tiny_xml
from schema import SCHEMA, VERBS, texts, valid
from test_hotplug import until
from test_virtctl import virtctl  # noqa: F401

pytestmark = pytest.mark.bus


def objects_of(schema, place=""):
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" in schema:
            yield place, schema
        for key, value in schema.items():
            yield from objects_of(value, f"{place}/{key}")
    elif isinstance(schema, list):
        for i, value in enumerate(schema):
            yield from objects_of(value, f"{place}/{i}")


def test_schema_is_one():
    """It has each verb that takes --json, and says of each object whether there may be more in it."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for place, schema in objects_of(SCHEMA):
        assert "additionalProperties" in schema and "required" in schema, place


def test_verbs(virtctl):
    said = virtctl("start", "--json=short", "web", check=False)
    assert said.returncode == 2 and "--json is not for start, but for: list " in said.stderr
    assert set(said.stderr.split("but for: ")[1].split()) == VERBS
    assert virtctl("capabilities", "--json=short", check=False).returncode == 2
    assert virtctl("list", "--json=long", check=False).returncode == 2


def test_vms(virtctl, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.img").write_bytes(bytes(1 << 20))
        devices = disk_xml(tmp_path / f"{name}.img") + "<interface type='user'/><graphics type='vnc' autoport='yes'/><serial type='pty'/>"
        (tmp_path / f"{name}.xml").write_text(tiny_xml(name, devices=devices, extra="<title>Ä title</title>"))
        virtctl("define", tmp_path / f"{name}.xml")
    assert valid("list", virtctl("list", "--json=short").stdout)[0]["state"] == "shutoff"
    virtctl("start", "a")
    assert [v["name"] for v in valid("list", virtctl("list", "--json=pretty", "--state=running").stdout)] == ["a"]
    assert valid("list", virtctl("list", "--json=short", "none*").stdout) == []
    until(lambda: "block.0.capacity" in valid("status", virtctl("status", "a", "--json=short").stdout)["Statistics"])    # nobody waits long for a QEMU
    vm = valid("status", virtctl("status", "a", "--json=short").stdout)
    assert vm["State"] == "running" and vm["Statistics"]["block.0.capacity"] == 1 << 20 and any(".Nic" in i for d in vm["Devices"].values() for i in d)
    assert vm["Title"] == "Ä title" and len(texts(virtctl("status", "*", "--json=short").stdout)) == 2
    valid("status", virtctl("status", "*", "--json=pretty").stdout)
    host = valid("status", virtctl("status", "--json=short").stdout)
    assert host["states"] == {"running": 1, "shutoff": 1} and host["memory-given"] == 16 << 20
    assert valid("stats", virtctl("stats", "--json=short").stdout)[0]["cpu.time"] >= 0
    virtctl("set-memory", "--config", "a", "8M")
    assert valid("disks", virtctl("disks", "a", "--json=short").stdout)[0]["capacity"] > 0
    assert valid("pending", virtctl("pending", "a", "--json=short").stdout)[0]["when"]
    assert valid("guest-info", virtctl("guest-info", "a", "--json=short").stdout)["AgentState"] == "absent"
    assert valid("leases", virtctl("leases", "--json=short").stdout)[0]["name"] == "a"
    assert valid("lockspaces", virtctl("lockspaces", "--json=short").stdout)[0]["name"] == "default"
    assert valid("addresses", virtctl("addresses", "--json=short").stdout) == [] and valid("jobs", virtctl("jobs", "--json=pretty").stdout) == []
    assert {s["source"] for s in valid("log", virtctl("log", "a", "--json=short").stdout)} == {"qemu", "serial0"}
    assert valid("qmp", virtctl("qmp", "a", "query-name", "--json=pretty").stdout) == {"name": "a"}
    assert valid("dirty-rate", virtctl("dirty-rate", "a", "--json=short").stdout)["dirtyrate.megabytes_per_second"] >= 0
    virtctl("kill", "a")


def test_storage(virtctl, tmp_path):
    folder = tmp_path / "pool"
    folder.mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "raw", folder / "v", "4M"], check=True)
    (tmp_path / "p.xml").write_text(f"<pool type='dir'><name>p</name><target><path>{folder}</path></target></pool>")
    (tmp_path / "s.xml").write_text("<secret><usage type='volume'><volume>/srv/a</volume></usage></secret>")
    virtctl("define-pool", tmp_path / "p.xml")
    virtctl("define-secret", tmp_path / "s.xml")
    assert valid("pools", virtctl("pools", "--json=short").stdout)[0]["capacity"] == 0
    virtctl("start-pool", "p")
    assert valid("pools", virtctl("pools", "--json=pretty").stdout)[0]["capacity"] > 0
    assert valid("volumes", virtctl("volumes", "p", "--json=short").stdout)[0]["capacity"] == 4 << 20
    assert valid("secrets", virtctl("secrets", "--json=short").stdout)[0]["set"] is False
    virtctl("stop-pool", "p")


def test_host(virtctl):
    assert valid("host", virtctl("host", "--json=short").stdout)["HostTopology"]
    assert {c["result"] for c in valid("check", virtctl("check", "--json=short", check=False).stdout)} >= {"ok"}
    valid("host-devices", virtctl("host-devices", "--json=short").stdout)
    assert valid("capabilities", virtctl("capabilities", "--domain", "type=qemu", "--json=short").stdout)["arch"] == "x86_64"
