# SPDX-License-Identifier: LGPL-2.1-or-later
"""How much of the host each of our units is exposed to, as systemd sees it while they run: not more than docs/security.md says. REGEN=1 writes it there."""

import re

import pytest

import exposure
from domains import tiny_xml

pytestmark = pytest.mark.host

DAEMONS = ("virtqemud", "virtnetworkd", "virtstoraged", "virtlogd", "virtlockd")
NETWORK = ("<network><name>inner</name><bridge name='vbinner'/><ip address='192.168.77.1' netmask='255.255.255.0'>"
           "<dhcp><range start='192.168.77.2' end='192.168.77.9'/></dhcp></ip></network>")
# A program beside QEMU of each kind.
DEVICES = """<interface type='user'><backend type='passt'/><model type='virtio'/></interface>
<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
<filesystem type='mount'><driver type='virtiofs'/><source dir='/srv/shared'/><target dir='share'/></filesystem>
<filesystem type='mount'><source dir='/srv/shared'/><target dir='share9'/></filesystem>
<serial type='pipe'><source path='/srv/fifo'/></serial>
<disk type='network' device='disk'><source protocol='nbd' name='root'><host name='127.0.0.1' port='10809'/></source><target dev='vda' bus='virtio'/></disk>
<shmem name='virtbus-exposure'><model type='ivshmem-plain'/><size unit='MiB'>1</size></shmem>"""
MEMORY = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"


@pytest.fixture(scope="module")
def bed(installed):
    installed.run("systemctl enable --now virtbus-metrics.socket " + " ".join(f"{d}.socket" for d in DAEMONS))
    # A way out, which passt looks for.
    installed.run("ip link add out type bridge && ip address add 10.9.9.2/24 dev out && ip link set out up && ip route add default via 10.9.9.1 dev out")
    installed.run("mkdir -p /srv/shared && mkfifo /srv/fifo.in /srv/fifo.out && truncate -s 1M /srv/served && "
                  "systemd-run --unit=nbd-server qemu-nbd --persistent -f raw -x root -b 127.0.0.1 -p 10809 /srv/served")
    installed.wait(lambda: "root" in installed.run("qemu-nbd --list -b 127.0.0.1 -p 10809", check=False).stdout)
    installed.put("/srv/inner.xml", NETWORK)
    installed.put("/srv/all.xml", tiny_xml("all", devices=DEVICES, extra=MEMORY))
    installed.run("virtctl define-network /srv/inner.xml && virtctl start-network inner && virtctl define /srv/all.xml && virtctl start all")
    yield installed
    installed.run("virtctl kill all; virtctl undefine all; virtctl stop-network inner; systemctl stop nbd-server", check=False)


def kind(unit):
    """virtqemu@all.service is the template's, virtqemu-swtpm-UUID-tpm0-X.service is of swtpm's kind."""
    beside = re.match(r"(virtqemu-.+)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-", unit)
    return beside.group(1) if beside else re.sub("@.*[.]", "@.", unit)


def test_nothing_is_more_exposed_than_the_page_says(bed):
    bed.run("systemctl start virtbus-metrics " + " ".join(DAEMONS))    # they end when they have nothing to do
    units = bed.run("systemctl list-units --plain --no-legend --state=running 'virt*.service'").stdout.split("\n")
    figures = {}
    for unit in (line.split()[0] for line in units if line):
        text = bed.run(["systemd-analyze", "security", "--no-pager", unit]).stdout.splitlines()[-1]
        figures[kind(unit)] = float(re.search(r"(\d+\.\d+)", text).group(1))
    exposure.write(figures)
    said = exposure.promised()
    assert set(figures) == set(said), "each kind of unit is on the page, and runs here"
    assert {u: f for u, f in figures.items() if f > said[u]} == {}
