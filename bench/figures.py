# SPDX-License-Identifier: LGPL-2.1-or-later
"""Figures as text for a terminal, and as tables for docs/figures.md."""

import os
import re
import statistics
import subprocess

import growth

AHEAD = 2.0     # clearly ahead: so many times better


def number(x):
    return "–" if x is None else f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def figure(x, unit):
    return "–" if x is None else f"{number(x)} {unit}" if unit[0] != "/" else f"{number(x)}{unit}"


class Line:
    """A row with what was measured of every side."""

    def __init__(self, row, values):
        self.row, self.values = row, values
        self.medians = {side: statistics.median(v) for side, v in values.items() if v}

    def cell(self, side):
        return figure(self.medians.get(side), self.row.unit)

    def ratio(self):
        """How many times better than libvirt; None where one of them has no figure."""
        ours, theirs = self.medians.get("virtbus"), self.medians.get("libvirt")
        if not ours or not theirs:
            return None
        return ours / theirs if self.row.more else theirs / ours


def spread(values):
    return f"{number(min(values))}…{number(max(values))}" if len(values) > 1 else ""


def text_line(line):
    r = line.ratio()
    cells = "".join(f"{side} {line.cell(side):>11} {spread(line.values.get(side, [])):15} " for side in ("virtbus", "libvirt"))
    bare = f"bare {line.cell('bare')}" if "bare" in line.medians else ""
    verdict = "" if r is None else f"{r:7.1f}x{'' if r >= AHEAD else ' NOT CLEARLY AHEAD'}"
    return f"{line.row.name:24} {cells} {verdict:12} {bare}"


def table(head, lines):
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *lines])


def markdown_rows(lines):
    head = ["", "Virtbus", "libvirt", "times better", "bare", "again by"]
    return table(head, [[line.row.title, line.cell("virtbus"), line.cell("libvirt"), "–" if (r := line.ratio()) is None else f"{r:.1f}",
                         line.cell("bare"), f"`bench/run {line.row.name}`"] for line in lines])


def growth_lines(found):
    for name, step in growth.STEPS.items():
        for side, values in found[name].items():
            yield [step.title, side, *(figure(v, step.unit) for _, v in values), growth.verdict(step, values)]


def growth_head():
    return ["", "", *(f"{n:,}" for n in growth.NUMBERS), "grows"]


def growth_text(found):
    rows = [growth_head(), *growth_lines(found)]
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))) for r in rows)


def version(*argv):
    out = subprocess.run(argv, capture_output=True, text=True).stdout
    return m.group(0) if (m := re.search(r"\d+(\.\d+)?", out.split("\n")[0].replace("x86_64", ""))) else "?"


def machine():
    return (f"{os.cpu_count()} processors, Linux {version('uname', '-r')}, QEMU {version('qemu-system-x86_64', '--version')} under TCG, "
            f"systemd {version('systemctl', '--version')}.")


def put(text, name, contents):
    """What stands between the markers of that name is replaced."""
    begin, end = f"<!-- {name}: written by bench/run --markdown -->\n", f"<!-- end of {name} -->"
    if begin not in text or end not in text:
        raise ValueError(f"docs/figures.md has no markers {begin.strip()} and {end}")
    before, rest = text.split(begin, 1)
    return before + begin + contents + "\n" + end + rest.split(end, 1)[1]


def write(path, found, options):
    text = path.read_text()
    name = "growth" if options.growth else "table"
    contents = table(growth_head(), list(growth_lines(found))) if options.growth else markdown_rows(found)
    text = put(text, name, contents)
    path.write_text(put(text, "machine", machine()))
