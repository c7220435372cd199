# SPDX-License-Identifier: LGPL-2.1-or-later
"""Results of a check in the Test Anything Protocol: one line per rule, with what breaks it below."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def sources(*suffixes):
    """Files of the project, as git knows them (or all, where there is no git), by suffix; () for every file."""
    try:
        listed = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-co", "--exclude-standard"], cwd=ROOT,
                                capture_output=True, text=True, check=True).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        listed = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file() and not p.parts[len(ROOT.parts)].startswith(("build", "."))]
    return [Path(p) for p in sorted(listed) if p and (ROOT / p).is_file() and (not suffixes or Path(p).suffix in suffixes)]


class Tap:
    def __init__(self):
        self.n = self.failed = 0

    def check(self, name, problems):
        """One rule: good if nothing breaks it."""
        self.n += 1
        problems = list(problems)
        print(f"{'not ok' if problems else 'ok'} {self.n} - {name}")
        for p in problems[:50]:
            print(f"# {p}")
        self.failed += bool(problems)

    def skip(self, name, why):
        self.n += 1
        print(f"ok {self.n} - {name} # SKIP {why}")

    def end(self):
        print(f"1..{self.n}")
        sys.exit(1 if self.failed else 0)
