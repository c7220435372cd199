# SPDX-License-Identifier: LGPL-2.1-or-later
"""What docs/security.md says about units: how much each is exposed, by the name of its file, or "virtqemu-KIND" for programs beside VMs."""

import os
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/security.md"
ROW = re.compile(r"^\| `([\w@.-]+)` \| (\d+\.\d) \|", re.M)


def promised():
    """{unit: figure}"""
    return {name: float(figure) for name, figure in ROW.findall(PAGE.read_text())}


def write(figures):
    """With REGEN=1 the page is told what is true."""
    if os.environ.get("REGEN"):
        PAGE.write_text(ROW.sub(lambda m: f"| `{m[1]}` | {figures.get(m[1], float(m[2])):.1f} |", PAGE.read_text()))
