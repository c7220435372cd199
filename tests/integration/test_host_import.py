# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtctl import-libvirt on a host with systemd: from /etc/libvirt, with what lies in /var/lib/libvirt and is another user's."""

import json

import pytest

from test_import import DEFAULT, DOMAIN, GUEST, OLD

pytestmark = pytest.mark.host

FOLDER = "/var/lib/libvirt/qemu/nvram"


def write(bed, path, text):
    bed.run(f"mkdir -p $(dirname {path}) && cat > {path} <<'EOF'\n{text}\nEOF")


def results(bed, *args):
    said = json.loads(bed.run(f"virtctl import-libvirt --json=short {' '.join(args)}", check=False).stdout)
    return {(row["kind"], row["name"]): row for row in said}


def test_a_host_moves(installed):
    bed = installed
    write(bed, "/etc/libvirt/qemu/web.xml", GUEST)
    write(bed, "/etc/libvirt/qemu/old.xml", OLD.format(uuid="0f0de6d0-9c3f-4b3e-b6b3-5e4c4b6a0001", folder=FOLDER))
    write(bed, "/etc/libvirt/qemu/networks/default.xml", DEFAULT)
    bed.run("mkdir -p /etc/libvirt/qemu/autostart && ln -s ../web.xml /etc/libvirt/qemu/autostart/web.xml")
    bed.run(f"mkdir -p {FOLDER} && cp /usr/share/OVMF/OVMF_VARS_4M.fd {FOLDER}/old_VARS.fd && truncate -s 1M {FOLDER}/old.img &&"
            f"cp /usr/lib/ipxe/qemu/pxe-e1000.rom {FOLDER}/boot.rom && chown -R 64055:64055 {FOLDER} && chmod 600 {FOLDER}/* && chmod 700 {FOLDER}")
    rows = results(bed)
    assert rows["domain", "web"]["result"] == rows["domain", "old"]["result"] == "new" and rows["network", "default"]["result"] == "differs"
    assert f"keep {FOLDER}/old_VARS.fd" in "".join(rows["domain", "old"]["warnings"])
    rows = results(bed, "--write", "--force")
    assert {row["result"] for row in rows.values()} == {"defined"}
    assert bed.run("systemctl is-enabled virtqemu@web.service").stdout.strip() == "enabled"
    assert "192.168.177.10" in bed.run("virtctl cat-network default").stdout
    before = bed.run(f"stat -c %u:%a {FOLDER}/old_VARS.fd").stdout
    bed.run("virtctl start old")
    assert "running" in bed.run("virtctl list").stdout
    bed.run("virtctl kill old")
    assert bed.run(f"stat -c %u:%a {FOLDER}/old_VARS.fd").stdout == before == "64055:600\n"
    assert {row["result"] for row in results(bed).values()} == {"same"}
    assert DOMAIN in bed.run("virtctl list --json=short").stdout
