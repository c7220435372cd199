# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk image such as clouds have them: it boots by itself, reads a NoCloud seed, and lets people in by ssh. Inside is the small test guest."""

import subprocess
import tempfile
from pathlib import Path

import guest
from host import HERE

NEEDED = ["/usr/sbin/dropbear", "/usr/bin/syslinux", "/usr/sbin/mkfs.vfat", "/usr/bin/mcopy", "/usr/bin/ssh"]
CONFIGURATION = "DEFAULT linux\nPROMPT 0\nLABEL linux\n KERNEL vmlinuz\n APPEND initrd=initrd {}\n"


def why_not():
    missing = [p for p in NEEDED if not Path(p).exists()]
    return f"no {', '.join(missing)}" if missing else guest.why_not()


def build(target):
    """Writes the image, as qcow2."""
    files = sorted({*guest.program_files("/usr/sbin/dropbear"), ("etc/cloud", str(HERE / "guest-cloud"))})
    _, kernel, initrd = guest.build_parts(HERE / "guest-init", guest.GUEST_MODULES, files)
    with tempfile.TemporaryDirectory() as folder:
        raw, configuration = Path(folder) / "raw", Path(folder) / "syslinux.cfg"
        configuration.write_text(CONFIGURATION.format(guest.command_line()))
        with open(raw, "wb") as f:
            f.truncate(64 << 20)
        run = dict(check=True, capture_output=True, timeout=60)
        subprocess.run(["mkfs.vfat", "-F", "16", "-n", "BOOT", raw], **run)
        for source, name in ((kernel, "vmlinuz"), (initrd, "initrd"), (configuration, "syslinux.cfg")):
            subprocess.run(["mcopy", "-i", raw, source, f"::{name}"], **run)
        subprocess.run(["syslinux", "--install", raw], **run)
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, target], **run)
