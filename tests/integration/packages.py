# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian packages of the source tree, and newer ones of the same.

    built = build()                 # kept in the build folder until the source changes
    built.old, built.new            # lists of .deb files
    built.changes                   # what describes the old ones
    built.left                      # what the build has left in the source that git would not ignore
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
# What is tested is the packages, so their build does nothing twice that other tests do.
OPTIONS = "nocheck noautodbgsym parallel=2"
NEWER = "{name} ({version}+newer) UNRELEASED; urgency=medium\n\n  * As before.\n\n -- {who}  Sun, 22 Nov 2026 12:00:00 +0000\n\n"


@dataclass(frozen=True)
class Packages:
    directory: Path

    def _debs(self, version):
        return sorted(self.directory.glob(f"*_{version}_*.deb"))

    @property
    def version(self):
        return (self.directory / "version").read_text()

    @property
    def old(self):
        return self._debs(self.version)

    @property
    def new(self):
        return self._debs(f"{self.version}+newer")

    @property
    def changes(self):
        return next(self.directory.glob(f"virtbus_{self.version}_*.changes"))

    @property
    def left(self):
        return (self.directory / "left").read_text().splitlines()


def why_not():
    """Why packages can't be built here, or None."""
    for program, package in (("dpkg-buildpackage", "dpkg-dev"), ("dh_installsysusers", "debhelper"), ("git", "git")):
        if not shutil.which(program):
            return f"{program} is missing: install {package}"
    return None


def _sources():
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=SOURCE, check=True,
                            capture_output=True, text=True).stdout
    return [name for name in listed.split("\0") if name and (SOURCE / name).is_file()]


def _digest(names):
    """Of what gets into packages."""
    total = hashlib.sha256()
    for name in (n for n in names if not n.startswith(("tests/", "bench/", ".")) and not n.endswith(".md")):
        path = SOURCE / name
        total.update(f"{name}\0{path.stat().st_mode:o}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _run(*argv, cwd, log):
    with open(log, "a") as f:
        done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=f, stderr=f,
                              env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "DEB_BUILD_OPTIONS": OPTIONS,
                                   "CCACHE_DISABLE": "1"})
    if done.returncode:
        raise AssertionError(f"{' '.join(argv)}: exit status {done.returncode}\n{log.read_text()[-8000:]}")


def _git(tree, *argv):
    return subprocess.run(["git", *argv], cwd=tree, check=True, capture_output=True, text=True).stdout


def _build(directory, names):
    tree, log = directory / "source", directory / "log"
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCE / name, tree / name)
    _git(tree, "init", "--quiet")
    _git(tree, "add", "--all")
    _run("dpkg-buildpackage", "-b", "-us", "-uc", cwd=tree, log=log)
    (directory / "left").write_text(_git(tree, "ls-files", "--others", "--exclude-standard"))

    changelog = tree / "debian/changelog"
    text = changelog.read_text()
    name, version = text.split()[0], text.split()[1].strip("()")
    who = next(line for line in text.splitlines() if line.startswith(" -- ")).removeprefix(" -- ").split("  ")[0]
    changelog.write_text(NEWER.format(name=name, version=version, who=who) + text)
    _run("dpkg-buildpackage", "-b", "-nc", "-us", "-uc", cwd=tree, log=log)
    (directory / "version").write_text(version)


def build():
    """Build both, unless that has been done."""
    directory = Path(os.environ["VIRTBUS_BUILD"]) / "packages"
    directory.mkdir(exist_ok=True)
    with open(directory.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        names = _sources()
        digest, stamp = _digest(names), directory / "digest"
        if not stamp.exists() or stamp.read_text() != digest:
            shutil.rmtree(directory)
            directory.mkdir()
            _build(directory, names)
            shutil.rmtree(directory / "source")
            stamp.write_text(digest)
    return Packages(directory)
