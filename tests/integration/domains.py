# SPDX-License-Identifier: LGPL-2.1-or-later
"""Definitions of domains for tests, and what is done with them all the time."""

import shutil
from xml.sax.saxutils import escape

from guest import Console

SERVICE = "org.virtbus.qemu1"
FORMAT = "libvirt-xml"
LIVE, CONFIG, FORCE, NO_WAIT, VALIDATE_ONLY, SENSITIVE = 1, 2, 4, 8, 16, 32


def guest_xml(image, name="web", devices="", extra="", memory=160, os="", features="<acpi/><apic/>"):
    """A small guest that runs the test image: `image` has .kernel, .initrd and .cmdline."""
    return f"""<domain type='qemu'>
  <name>{escape(name)}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{image.kernel}</kernel>
    <initrd>{image.initrd}</initrd>
    <cmdline>{escape(image.cmdline)}</cmdline>{os}
  </os>
  <features>{features}</features>{extra}
  <devices>
    <serial type='pty'/>{devices}
  </devices>
</domain>
"""


# The first sector of a disk that a guest boots from: it sets the timer of its speaker to 1 kHz, switches that on, and does nothing more.
BEEP = bytes.fromhex("fa b0b6 e643 b8a904 e642 88e0 e642 e461 0c03 e661 f4 ebfd").ljust(510, b"\0") + b"\x55\xaa"


def tiny_xml(name="tiny", devices="", extra="", machine="q35", memory=16):
    """A guest without a system: QEMU runs, nothing boots."""
    return f"""<domain type='qemu'>
  <name>{escape(name)}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='{machine}'>hvm</type></os>
  <features><acpi/></features>{extra}
  <devices>{devices}<memballoon model='none'/></devices>
</domain>
"""


def define(bus, xml, flags=0, **options):
    """Define a domain and return its object."""
    manager = bus.manager("qemu1")
    path = manager.DefineDomain(FORMAT, xml, flags, options)
    return bus.object(SERVICE, path) if path != "/" else None


def device(bus, domain, name):
    return bus.object(SERVICE, f"{domain.path}/device/{name}")


def console(bus, domain, name="serial0", **options):
    """The guest's console, opened through the API."""
    return Console(device(bus, domain, name).Open(0, options).socket())


def job_done(bus, path, timeout=60):
    """Wait for the end of a job; returns (result, error name, message)."""
    if path == "/":
        return ("done", "", "")
    return bus.wait_signal("Completed", path=path, timeout=timeout, since=0).args[:3]


def states(bus, domain):
    """The (new state, reason) pairs that were signalled, in order."""
    bus.pump()
    return [(s.args[1], s.args[2]) for s in bus.signals if s.name == "StateChanged" and s.path == domain.path]


def disk_xml(path, target="vda", bus="virtio", kind="raw", extra=""):
    return (f"<disk type='file' device='disk'><driver name='qemu' type='{kind}'/><source file='{path}'/>"
            f"<target dev='{target}' bus='{bus}'/>{extra}</disk>")


def have(program):
    return shutil.which(program) is not None
