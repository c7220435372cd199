# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices with a program of their own beside QEMU."""

import os
from dataclasses import replace

import pytest

from domains import console, define, guest_xml, have, tiny_xml

pytestmark = pytest.mark.bus

TPM = "<tpm model='{model}'><backend type='emulator' version='2.0'{more}/></tpm>"


def programs(bus, name):
    """Process ids of those that run now."""
    found = []
    for pid in bus.watch.alive():
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                found += [pid] if f.read().strip() == name else []
        except FileNotFoundError:
            pass
    return found


@pytest.mark.skipif(not have("swtpm"), reason="no swtpm")
def test_tpm(bus, qemud, guest_image):
    """The guest has a TPM, whose state outlives the run and goes with the definition."""
    # QEMU puts the initrd of an unpacked kernel where the firmware has its tables of the TPM.
    image = replace(guest_image, kernel=guest_image.bzimage)
    d = define(bus, guest_xml(image, devices=TPM.format(model="tpm-crb", more=""), memory=1024))
    folder = f"{bus.directory}/data/virtbus/companions"
    for first in (True, False):
        d.Start(0, {}, timeout=60)
        con = console(bus, d)
        if first:
            con.ready()
            assert "2" in con.ask("sh cat /sys/class/tpm/tpm0/tpm_version_major")
        assert len(programs(bus, "swtpm")) == 1
        d.Terminate(0, {})
        assert [files for _, _, files in os.walk(folder) if "tpm2-00.permall" in files]
    assert d.Warnings == []
    d.Undefine(0, {})
    assert os.listdir(folder) == []


@pytest.mark.skipif(not have("swtpm"), reason="no swtpm")
def test_tpm_state_that_is_kept(bus, qemud):
    d = define(bus, tiny_xml("web", devices=TPM.format(model="tpm-crb", more=" persistent_state='yes'")))
    d.Start(0, {}, timeout=60)
    d.Terminate(0, {})
    d.Undefine(0, {})
    assert len(os.listdir(f"{bus.directory}/data/virtbus/companions")) == 1


@pytest.mark.skipif(not have("swtpm"), reason="no swtpm")
def test_tpm_that_dies(bus, qemud):
    """The machine lives on, and says what it lacks."""
    d = define(bus, tiny_xml("web", devices=TPM.format(model="tpm-crb", more="")))
    d.Start(0, {}, timeout=60)
    os.kill(programs(bus, "swtpm")[0], 9)
    bus.wait_property(d, "Warnings", ["tpm0 does not answer any more: swtpm has ended, its log tells why (in the log of virtqemud)"])
    assert d.State == "running"
    d.Terminate(0, {})
