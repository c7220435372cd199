# SPDX-License-Identifier: LGPL-2.1-or-later
"""The test tiers as pytest fixtures: guest_image, bus, qemud, testbed,
installed, machine. Each test has a time limit of its own."""

import contextlib
import faulthandler
import os
import signal
import tempfile

import pytest
from _pytest.runner import runtestprotocol

import guest
import pace
import rawqemu

if "VIRTBUS_BUILD" in os.environ:
    os.environ["VIRTBUS_BUILD"] = os.path.abspath(os.environ["VIRTBUS_BUILD"])

LIMITS = {"guest": 120, "bus": 120, "host": 240, "machine": 400, "newcomer": 1800}
DEFAULT_LIMIT = 120


def _why_not_guest():
    return rawqemu.why_not() or guest.why_not()


def _why_not_bus():
    try:
        import bus
    except (ImportError, ValueError) as e:
        return f"{e}: install python3-gi"
    return bus.why_not()


def _why_not_host():
    import host
    return host.why_not()


def _why_not_machine():
    import machine
    return machine.why_not()


WHY_NOT = {"guest": _why_not_guest, "bus": _why_not_bus, "host": _why_not_host, "machine": _why_not_machine, "newcomer": _why_not_machine}
_reasons = {}


def _require(tier):
    if tier not in _reasons:
        _reasons[tier] = WHY_NOT[tier]()
    if _reasons[tier]:
        pytest.skip(_reasons[tier])


def _limit(item):
    if marker := item.get_closest_marker("timeout"):
        return marker.args[0]
    return max([LIMITS[tier] for tier in LIMITS if item.get_closest_marker(tier)], default=DEFAULT_LIMIT)


def _guarded(item, phase):
    """Each phase gets the limit, and more where others want the processors, so that cleaning up works after a test that used its
    time up. Should even the exception not get through, the whole run ends; what it started dies with it."""
    limit = _limit(item)
    deadline = pace.Deadline(limit)

    def expired(*_):
        if (left := deadline.left()) > 0:
            signal.setitimer(signal.ITIMER_REAL, left)
            return
        raise TimeoutError(f"{phase} of {item.nodeid} took more than {pace.patient(limit):.0f} s")
    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, limit)
    faulthandler.dump_traceback_later(pace.MOST * limit + 60, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Failed:
    """Names the tests that failed in a file, a line each, for whoever runs them once more."""

    def __init__(self, path):
        self.path = path

    def pytest_runtest_logreport(self, report):
        if report.failed:
            with open(self.path, "a") as f:
                f.write(f"{report.nodeid}\n")


def pytest_configure(config):
    if "VIRTBUS_FAILED" in os.environ and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Failed(os.environ["VIRTBUS_FAILED"]))


def pytest_collection_modifyitems(items):
    for item in items:
        if "guest_image" in item.fixturenames:
            item.add_marker("sanitized")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    """What an emulated machine says whose processors have stopped is about the emulator: the test runs once more on a new one."""
    if not item.get_closest_marker("machine"):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if any("MachineLockedUp" in report.longreprtext for report in reports):
        item.config.get_terminal_writer().line(f"\n{item.nodeid}: the machine has locked up; once more on a new one")
        with contextlib.suppress(Exception):
            item.session._setupstate.teardown_exact(None)
        item._initrequest()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    for tier in WHY_NOT:
        if item.get_closest_marker(tier):
            _require(tier)
    yield from _guarded(item, "setup")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    yield from _guarded(item, "call")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item):
    yield from _guarded(item, "teardown")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What the whole system below a test has said goes with the failure: what happens in one of many runs is to be explained by that."""
    report = (yield).get_result()
    system = next((item.funcargs[name] for name in ("testbed", "machine", "kvm_machine") if name in getattr(item, "funcargs", {})), None)
    if system and report.failed and call.when == "call" and "MachineLockedUp" not in report.longreprtext:
        with contextlib.suppress(Exception):
            report.sections.append(("journal", system.journal()))


@pytest.fixture(scope="session")
def guest_image():
    """The built test guest: .kernel, .initrd, .cmdline."""
    _require("guest")
    return guest.build()


@pytest.fixture
def bus():
    """A fresh private message bus with the session daemons of the build tree."""
    _require("bus")
    from bus import Bus
    with Bus() as b:
        yield b


@pytest.fixture
def qemud(bus):
    """The manager object of a fresh session virtqemud, started by the bus at the first call."""
    from bus import daemon_path
    if not daemon_path("virtqemud"):
        pytest.skip("no virtqemud: set VIRTBUS_BUILD to a build directory that has it")
    return bus.manager("qemu1")


@pytest.fixture(scope="module")
def testbed():
    """A running systemd on a private copy of the host; one for all tests of a file."""
    _require("host")
    from host import Testbed
    with Testbed() as t:
        yield t


@pytest.fixture(scope="module")
def installed(testbed):
    """The testbed with the build installed into it."""
    build = os.environ.get("VIRTBUS_BUILD")
    if not build:
        pytest.skip("VIRTBUS_BUILD is not set: run through `meson test`, or name the build directory there")
    testbed.install(build)
    yield testbed
    import slow
    said = str(testbed.run("journalctl --no-pager -g 'everything waited'", check=False))
    found = slow.complaints("\n".join(line for line in said.splitlines() if not any(f" {d}[" in line for d in testbed.stopped)))
    assert not found, "\n".join(found)


@pytest.fixture(scope="session")
def packages():
    """Debian packages of the source, see packages.py. They take minutes to build, once per state of the source."""
    import packages
    if reason := packages.why_not():
        pytest.skip(reason)
    return packages.build()


@pytest.fixture(scope="session")
def machine():
    """A whole virtual machine with the host's files; one for the whole run."""
    _require("machine")
    from machine import Machine
    usb = ["-device", "qemu-xhci,id=usb", "-device", "usb-tablet,bus=usb.0,port=1", "-device", "usb-mouse,bus=usb.0,port=2"]
    # A device that goes through the IOMMU, to be given to VMs.
    pci = ["-device", "intel-iommu,caching-mode=on", "-device", "pcie-root-port,id=port9,chassis=9",
           "-device", "virtio-rng-pci,bus=port9,iommu_platform=on,disable-legacy=on"]
    with tempfile.NamedTemporaryFile(prefix="vbnvme") as disk:
        disk.write(b"on the controller".ljust(4 << 20, b"\0"))
        disk.flush()
        nvme = ["-device", "pcie-root-port,id=port10,chassis=10", "-blockdev", f"file,node-name=nvme,filename={disk.name}",
                "-device", "nvme,bus=port10,serial=1,drive=nvme"]
        with Machine(arguments=[*usb, *pci, *nvme]) as m:
            yield m


def _install(machine):
    build = os.environ.get("VIRTBUS_BUILD")
    if not build:
        pytest.skip("VIRTBUS_BUILD is not set: run through `meson test`, or name the build directory there")
    machine.install(build)
    machine.run("systemctl enable --now virtqemud.socket")
    return machine


@pytest.fixture(scope="session")
def installed_machine(machine):
    """The machine with the build installed into it, and virtqemud's socket listening."""
    return _install(machine)


@pytest.fixture
def kvm_machine():
    """Likewise, with one processor and /dev/kvm."""
    _require("machine")
    from machine import Machine
    with Machine(kvm=True) as m:
        yield _install(m)
