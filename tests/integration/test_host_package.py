# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian packages on a host that has nothing of Virtbus: installed, used, upgraded under a running VM, removed, purged. The tests
are one story, in this order."""

import re
import subprocess
from types import SimpleNamespace

import pytest

from domains import guest_xml
from host import USER, patience
from packages import SOURCE

pytestmark = [pytest.mark.host, pytest.mark.timeout(1500)]

SOCKETS = ("virtqemud", "virtlogd", "virtlockd", "virtnetworkd", "virtstoraged", "virtbus-metrics")
NETWORK = "<interface type='network'><source network='default'/><model type='virtio'/></interface>"
LOG = "/var/log/virtbus/qemu/web/serial0.log"
ASK_FOR_ADDRESS = "sh busybox ip link set eth0 up; busybox udhcpc -f -q -n -i eth0 -s /bin/true"
# What dpkg, apt and the triggers of other packages write for themselves.
OF_OTHERS = re.compile("/(var/lib/(dpkg|apt|PackageKit|private$)|var/cache/(apt|man|debconf|ldconfig|private$)|var/tmp|var/log/(?!virtbus)|etc/[^/]*-$)")


@pytest.fixture(scope="module")
def bed(testbed, packages, guest_image):
    """The testbed with the packages and the guest's files in /srv, as they would be copied to a host."""
    for deb in (*packages.old, *packages.new):
        testbed.put(f"/srv/{'new' if deb in packages.new else 'old'}/{deb.name}", deb.read_bytes())
    testbed.put("/srv/kernel", guest_image.kernel.read_bytes())
    testbed.put("/srv/initrd", guest_image.initrd.read_bytes())
    # Images of containers keep services from being started, and leave manuals out.
    testbed.run("rm -f /usr/sbin/policy-rc.d /etc/dpkg/dpkg.cfg.d/*")
    testbed.guest = SimpleNamespace(kernel="/srv/kernel", initrd="/srv/initrd", cmdline=guest_image.cmdline)
    testbed.before = files(testbed)
    assert not [path for path in testbed.before if re.match("/(etc|usr/lib|var/lib)/virtbus", path)], "the host has Virtbus installed"
    return testbed


def apt(bed, *arguments):
    """What is needed beside the packages is installed already, by tools/deps: nothing is fetched."""
    return bed.run(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--assume-yes", "--no-install-recommends", *arguments],
                   timeout=400).stdout


def install(bed, which):
    return apt(bed, "install", *bed.run(f"ls /srv/{which}/*.deb").stdout.split())


def files(bed):
    return set(bed.run("find /etc /opt /usr /var -xdev -print0").stdout.split("\0"))


def active(bed, unit):
    return str(bed.run(["systemctl", "is-active", unit], check=False))


def enabled(bed, unit):
    return str(bed.run(["systemctl", "is-enabled", unit], check=False))


def processes(bed, name):
    return bed.run(["pgrep", "-x", name], check=False).stdout.split()


def test_the_version(packages):
    """One number for all of it."""
    project = re.search(r"version: '([^']*)'", (SOURCE / "meson.build").read_text()).group(1)
    assert packages.version == project
    assert packages.old and {deb.name.split("_")[0] for deb in packages.old} == {deb.name.split("_")[0] for deb in packages.new}


def test_the_build_leaves_nothing_in_the_source(packages):
    assert packages.left == []


def test_lintian(packages):
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", packages.changes], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_install(bed):
    install(bed, "old")
    for daemon in SOCKETS:
        assert (active(bed, f"{daemon}.socket"), enabled(bed, f"{daemon}.socket")) == ("active", "enabled"), daemon
        assert active(bed, f"{daemon}.service") == "inactive", daemon
    assert {d for d in SOCKETS if enabled(bed, f"{d}.service") == "enabled"} == {"virtnetworkd", "virtstoraged"}
    assert str(bed.run("systemctl is-system-running")) == "running"
    assert bed.run("stat -c %a /etc/virtbus/domains /var/lib/virtbus").stdout.split() == ["700", "700"]
    assert bed.run("man --where virtctl virtqemud virtqemu@.service qemu.conf org.virtbus.qemu1").stdout.count("/usr/share/man") == 5
    assert "VM @VIRTBUS_DOMAIN@" in bed.run("journalctl --dump-catalog abaccc61616e48f7a9ebad1e03ae1dcd").stdout


def test_not_beside_libvirt(bed):
    """Programs, manuals and units have the same names there."""
    for name in ("libvirt-daemon", "libvirt-daemon-system"):
        bed.put(f"/srv/{name}/DEBIAN/control", f"Package: {name}\nVersion: 9.0.0\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: empty\n")
        refused = bed.run(f"dpkg-deb --build /srv/{name} && dpkg -i /srv/{name}.deb", check=False)
        assert refused.returncode != 0 and re.search(f"virtl(og|ock)d conflicts with {name}", refused.stdout + refused.stderr)


def test_it_works_at_once(bed):
    bed.run("virtctl list")
    assert active(bed, "virtqemud.service") == "active"
    assert "default" in bed.run("virtctl networks").stdout
    for verb in ("pools", "leases", "host"):
        bed.run(["virtctl", verb])
    assert "virtbus_domain_state" in bed.run("python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:9718/metrics\").read())'").stdout
    bed.run("virtctl --user list", user=USER)
    assert str(bed.run("systemctl --user is-active virtqemud", user=USER)) == "active"


def said(bed):
    return bed.read(LOG) if bed.exists(LOG) else ""


def wait_up(bed, times=1):
    bed.wait(lambda: said(bed).count("VIRTBUS-GUEST-READY") >= times, 120, "the guest is up")


def leased(bed):
    """The guest's lease, after it has asked for one at its console."""
    bed.run(f"(echo; echo '{ASK_FOR_ADDRESS}'; sleep 15) | timeout 12 virtctl --quiet console web; true")
    return re.search(r"192\.168\.\d+\.\d+ +(\S+)", bed.run("virtctl network-leases default").stdout)


def test_a_vm(bed):
    """The way the README goes."""
    bed.put("/srv/web.xml", guest_xml(bed.guest, devices=NETWORK))
    bed.run("virtctl define /srv/web.xml && virtctl enable web && virtctl start web", timeout=90)
    wait_up(bed)
    assert "web" in bed.run("machinectl list --no-legend").stdout
    assert "VIRTBUS-GUEST-READY" in bed.run("journalctl --sync; journalctl VIRTBUS_DOMAIN=web").stdout
    bed.wait(lambda: leased(bed), 90, "the guest has an address")


def state_of_all(bed):
    """What an upgrade must not touch."""
    definitions = bed.run("cd /etc/virtbus && find . -type f -exec sha256sum {} + | sort").stdout
    qemu = str(bed.run("systemctl show -P MainPID virtqemu@web")), processes(bed, "qemu-system-x86")
    return definitions, qemu, processes(bed, "dnsmasq"), bed.run("ip -br link show type bridge").stdout.split()[0]


def test_upgrade_under_a_running_vm(bed):
    bed.put("/etc/virtbus/qemu.conf", "[Leases]\nDisks=yes\n")
    bed.run("virtctl list && virtctl networks")
    before = state_of_all(bed)
    daemons = {d: processes(bed, d) for d in SOCKETS if processes(bed, d)}
    assert set(daemons) >= {"virtqemud", "virtnetworkd", "virtlogd"} and before[1][1] and before[2]
    install(bed, "new")
    assert bed.run("dpkg-query -W -f '${Version}\\n' 'virt*'").stdout.split()[0].endswith("+newer")
    assert state_of_all(bed) == before
    bed.wait(lambda: all(processes(bed, d) != pids for d, pids in daemons.items()), what="daemons are new ones")
    assert {active(bed, f"{d}.socket") for d in SOCKETS} == {"active"}
    assert re.search(r"web\s.*running", bed.run("virtctl list").stdout)
    bed.run("virtctl suspend web && virtctl resume web")
    assert ["default", "nat", "active"] in [line.split() for line in bed.run("virtctl networks").stdout.splitlines()]
    assert said(bed).count("VIRTBUS-GUEST-READY") == 1
    bed.wait(lambda: leased(bed), 90, "the guest's network is as it was")


def test_reboot_of_the_host(bed):
    """What is to be there with the host comes back by itself."""
    assert bed.reboot(timeout=patience(60)), "the host's shutdown was clean"
    assert "VIRTBUS-GUEST-POWERDOWN" in said(bed)
    wait_up(bed, 2)
    assert re.search(r"web\s.*running", bed.run("virtctl list").stdout)
    bed.wait(lambda: leased(bed), 90, "the guest has an address")


def test_remove(bed):
    """Guests are asked to power off. What an administrator has made stays."""
    told = apt(bed, "remove", *ours(bed))
    assert "virtqemu@web.service" in told and "Stopping virtual network default" in told
    assert said(bed).count("VIRTBUS-GUEST-POWERDOWN") == 2
    gone(bed)
    assert bed.exists("/etc/virtbus/domains/web.xml") and bed.exists("/etc/virtbus/qemu.conf")


def ours(bed):
    listed = bed.run("dpkg-query -W -f '${Package} ${db:Status-Status}\\n' 'virt*'").stdout.split("\n")
    return [line.split()[0] for line in listed if line and line.split()[1] in ("installed", "config-files")]


def gone(bed):
    """Nothing runs, nothing is known to systemd or the kernel."""
    assert bed.run("ps -eo args | grep -E 'virtbus|[v]irtq|[q]emu-system|[d]nsmasq|[p]asst' | grep -v grep", check=False).stdout == ""
    for manager, user in (("systemctl", None), ("systemctl --user", USER)):
        assert bed.run(f"{manager} list-units --all --no-legend --plain 'virt*' | grep -v not-found", user=user, check=False).stdout == ""
    assert bed.run("ip -br link show type bridge").stdout == "" and "virtbus" not in bed.run("nft list tables").stdout
    assert "org.virtbus" not in bed.run("busctl list --no-legend").stdout


def left_over(bed):
    return sorted(path for path in files(bed) - bed.before if not OF_OTHERS.match(path))


def test_purge_keeps_definitions(bed):
    assert "Kept, as it holds definitions" in apt(bed, "purge", *ours(bed))
    assert left_over(bed) == ["/etc/virtbus", "/etc/virtbus/domains", "/etc/virtbus/domains/web.xml"]
    assert bed.run("find /run -path '*virtbus*'").stdout == ""


def test_purge_of_all(bed):
    """Installed again, it has what was kept; with nothing of an administrator's in it, all of it goes."""
    install(bed, "new")
    assert re.search(r"web\s", bed.run("virtctl list").stdout)
    bed.run("virtctl undefine web && virtctl networks && virtctl pools")
    assert "Kept" not in apt(bed, "purge", *ours(bed))
    gone(bed)
    assert left_over(bed) == []
    assert not [path for path in bed.before - files(bed) if not OF_OTHERS.match(path)]
    assert str(bed.run("systemctl is-system-running")) == "running"
