# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tables of steps of all daemons, as the sources have them, and one row of each after the other that fails, or at which the daemon dies."""

import difflib
import pprint
import re
import time
from contextlib import contextmanager
from pathlib import Path

from bus import BusError

ROOT = Path(__file__).resolve().parents[2]
TABLE = re.compile(r'\bSTEP_TABLE\("([a-z-]+)",(.*?)\);', re.S)
ROW = re.compile(r'\{ "([a-z-]+)", *\w+, *\w+ \}')


def read_tables():
    """{table: [row, …]}; a table that can't be read is one that nobody would test."""
    found = {}
    for path in sorted(ROOT.glob("virt*/**/*.c")):
        text = path.read_text()
        matches = TABLE.findall(text)
        assert len(matches) == text.count("STEP_TABLE(") and "StepRow" not in text, f"{path}: a table of steps has another form"
        for name, body in matches:
            rows = ROW.findall(body)
            assert name not in found and rows and len(rows) == body.count("{") == len(set(rows)), f"{path}: the table {name} has another form"
            found[name] = rows
    return found


TABLES = read_tables()


class Accidents:
    """The file $VIRTBUS_FAIL_STEP, which goes when what it says has happened. The functions write a text into it, and say whether it exists."""

    def __init__(self, write, exists):
        self.write, self.is_there, self.what = write, exists, ""

    def put(self, what):
        self.what = what
        self.write(what)


@contextmanager
def accidents_of(bed, daemon, folder):
    """Of a daemon that is installed, and may write into this folder of /run/virtbus."""
    unit, path = f"/run/systemd/system/{daemon}.service.d/steps.conf", f"/run/virtbus/{folder}/step"
    bed.put(unit, f"[Service]\nEnvironment=VIRTBUS_FAIL_STEP={path}\n")
    bed.run(f"systemctl daemon-reload && systemctl restart {daemon}")
    yield Accidents(lambda what: bed.put(path, what), lambda: bed.run(f"test -e {path}", check=False).returncode == 0)
    bed.run(f"rm -f {unit} {path} && systemctl daemon-reload && systemctl restart {daemon}")


def difference(before, now):
    lines = [re.sub(r"\\n", "\n", pprint.pformat(state, width=160)).splitlines() for state in (before, now)]
    return "\n".join(line for line in difflib.unified_diff(*lines, "before", "now", n=0, lineterm=""))


def until_equal(look, before, what, seconds=60):
    """Or equal to one of a list, which is returned. A message bus may not have noticed yet that who is asked has died."""
    wanted = before if isinstance(before, list) else [before]
    deadline = time.monotonic() + seconds
    now = None
    while now not in wanted:
        try:
            now = look()
        except BusError as e:
            assert "NoReply" in e.name, e
        assert now in wanted or time.monotonic() < deadline, f"{what}: {difference(wanted[0], now)}"
        time.sleep(0.02)
    return now


def fail_each(accidents, table, operation, look, *, forward=(), back=None, mend=None, whens=("begun", "done")):
    """Each row of a table fails, when it has begun and when it is done: operation() tells so, and what look() sees is as before. After rows in
    `forward` nothing can be taken back: it goes well instead, and back() undoes it. mend() puts right what an operation may leave behind that
    was not done. At last it goes well by itself."""
    before = look()
    for row in TABLES[table]:
        for when in whens:
            what = f"{table} {row} {when}"
            accidents.put(what)
            try:
                operation()
            except BusError as e:
                assert f"the step {row} failed, because a test wants it so" in str(e), (what, e)
                assert row not in forward or when == "begun", f"{what}: it should have gone on"
                if mend:
                    mend()
            else:
                assert not accidents.is_there(), f"{what}: that step was not taken"
                assert row in forward, f"{what}: it failed and nobody was told"
                if back:
                    back()
            assert not accidents.is_there(), what
            until_equal(look, before, what)
    accidents.what = ""
    operation()
    if back:
        back()
        until_equal(look, before, table)


def die_at_each(accidents, table, operation, then, rows=None):
    """The daemon dies as it comes to each row of a table, or to some; then(what) looks at what the next one makes of that."""
    for row in rows or TABLES[table]:
        accidents.put(f"{table} {row} dies")
        try:
            operation()
        except BusError as e:
            assert "NoReply" in e.name, (accidents.what, e)
        assert not accidents.is_there(), f"{accidents.what}: it did not"
        then(accidents.what)
