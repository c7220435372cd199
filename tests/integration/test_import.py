# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtctl import-libvirt: what a libvirt has in its folders, shown, and defined here."""

import base64
import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest

pytestmark = pytest.mark.bus

DOMAIN, NETWORK, POOL, SECRET = (str(uuid.uuid4()) for _ in range(4))
BANNER = "<!--\nThis file is written by a program.\n-->\n\n"

# As libvirt 9 keeps a guest that virt-install has made: with all addresses, and much that was never asked for.
GUEST = f"""{BANNER}<domain type='qemu'>
  <name>web</name>
  <uuid>{DOMAIN}</uuid>
  <metadata>
    <libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">
      <libosinfo:os id="http://debian.org/debian/12"/>
    </libosinfo:libosinfo>
  </metadata>
  <memory unit='KiB'>65536</memory>
  <currentMemory unit='KiB'>65536</currentMemory>
  <vcpu placement='static'>2</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <boot dev='hd'/>
  </os>
  <features>
    <acpi/>
    <apic/>
    <vmport state='off'/>
  </features>
  <cpu mode='custom' match='exact' check='none'>
    <model fallback='forbid'>qemu64</model>
  </cpu>
  <clock offset='utc'>
    <timer name='rtc' tickpolicy='catchup'/>
    <timer name='pit' tickpolicy='delay'/>
    <timer name='hpet' present='no'/>
  </clock>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <pm>
    <suspend-to-mem enabled='no'/>
    <suspend-to-disk enabled='no'/>
  </pm>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' discard='unmap'/>
      <source file='/var/lib/libvirt/images/web.qcow2'/>
      <target dev='vda' bus='virtio'/>
      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>
    </disk>
    <controller type='usb' index='0' model='qemu-xhci' ports='15'>
      <address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/>
    </controller>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'>
      <model name='pcie-root-port'/>
      <target chassis='1' port='0x10'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0' multifunction='on'/>
    </controller>
    <controller type='pci' index='2' model='pcie-root-port'>
      <model name='pcie-root-port'/>
      <target chassis='2' port='0x11'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x1'/>
    </controller>
    <controller type='pci' index='3' model='pcie-root-port'>
      <model name='pcie-root-port'/>
      <target chassis='3' port='0x12'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x2'/>
    </controller>
    <controller type='pci' index='4' model='pcie-root-port'>
      <model name='pcie-root-port'/>
      <target chassis='4' port='0x13'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x3'/>
    </controller>
    <controller type='sata' index='0'>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x1f' function='0x2'/>
    </controller>
    <controller type='virtio-serial' index='0'>
      <address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>
    </controller>
    <interface type='network'>
      <mac address='52:54:00:6b:3c:58'/>
      <source network='default'/>
      <model type='virtio'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </interface>
    <serial type='pty'>
      <target type='isa-serial' port='0'>
        <model name='isa-serial'/>
      </target>
    </serial>
    <console type='pty'>
      <target type='serial' port='0'/>
    </console>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
      <address type='virtio-serial' controller='0' bus='0' port='1'/>
    </channel>
    <input type='tablet' bus='usb'>
      <address type='usb' bus='0' port='1'/>
    </input>
    <input type='mouse' bus='ps2'/>
    <input type='keyboard' bus='ps2'/>
    <graphics type='vnc' port='-1' autoport='yes'>
      <listen type='address'/>
    </graphics>
    <audio id='1' type='none'/>
    <video>
      <model type='vga' vram='16384' heads='1' primary='yes'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x0'/>
    </video>
    <watchdog model='itco' action='reset'/>
    <memballoon model='virtio'>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/>
    </memballoon>
    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x04' function='0x0'/>
    </rng>
  </devices>
</domain>
"""

DEFAULT = f"""{BANNER}<network>
  <name>default</name>
  <uuid>{NETWORK}</uuid>
  <forward mode='nat'/>
  <bridge name='virbr7' stp='on' delay='0'/>
  <mac address='52:54:00:4e:a8:11'/>
  <ip address='192.168.177.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='192.168.177.2' end='192.168.177.254'/>
      <host mac='52:54:00:6b:3c:58' name='web' ip='192.168.177.10'/>
    </dhcp>
  </ip>
</network>
"""

IMAGES = """{banner}<pool type='dir'>
  <name>images</name>
  <uuid>{uuid}</uuid>
  <capacity unit='bytes'>0</capacity>
  <allocation unit='bytes'>0</allocation>
  <available unit='bytes'>0</available>
  <source>
  </source>
  <target>
    <path>{path}</path>
  </target>
</pool>
"""

KEY = f"""{BANNER}<secret ephemeral='no' private='no'>
  <uuid>{SECRET}</uuid>
  <description>key of the web server's disk</description>
  <usage type='volume'>
    <volume>/var/lib/libvirt/images/web.luks</volume>
  </usage>
</secret>
"""


class Libvirt:
    """The folders of a libvirt: the host's, or a user's."""

    def __init__(self, root, user):
        self.root, self.user = root, user
        self.config = root / (".config/libvirt" if user else "etc/libvirt")
        self.state = self.config / "qemu" if user else root / "var/lib/libvirt/qemu"
        self.write("qemu/web.xml", GUEST, enabled=True)
        self.write("qemu/networks/default.xml", DEFAULT)
        self.write("storage/images.xml", IMAGES.format(banner=BANNER, uuid=POOL, path=root / "images"), enabled=True)
        self.write(f"secrets/{SECRET}.xml", KEY)
        (self.config / f"secrets/{SECRET}.base64").write_bytes(base64.b64encode(b"open\0sesame"))

    def write(self, name, text, enabled=False):
        path = self.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if enabled:
            (path.parent / "autostart").mkdir(exist_ok=True)
            (path.parent / "autostart" / path.name).symlink_to(f"/nowhere/{name}")

    def content(self):
        return {p: p.read_bytes() for p in self.root.rglob("*") if p.is_file() and not p.is_symlink()}


@pytest.fixture(params=["host", "user"])
def libvirt(request, tmp_path):
    return Libvirt(tmp_path / "other", request.param == "user")


@pytest.fixture
def virtctl(bus, qemud, libvirt):
    program = Path(os.environ["VIRTBUS_BUILD"]) / "virtctl" / "virtctl"
    where = ["--user"] if libvirt.user else [f"--address={bus.environment['DBUS_SESSION_BUS_ADDRESS']}"]

    def run(*args, status=0):
        done = bus.run(program, *where, *args, check=False)
        assert done.returncode == status, f"{args} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def importing(*args, status=0):
        return run("import-libvirt", f"--from={libvirt.root}", *args, status=status)
    run.importing = importing
    run.results = lambda *args, status=0: {(o["kind"], o["name"]): o for o in json.loads(importing("--json=short", *args, status=status).stdout)}
    return run


def names_of(rows):
    return {key: o["result"] for key, o in rows.items()}


ALL = [("secret", "volume:/var/lib/libvirt/images/web.luks"), ("pool", "images"), ("network", "default"), ("domain", "web")]


def test_shown_then_taken(bus, virtctl, libvirt):
    virtctl("undefine-network", "default")
    before = libvirt.content()
    rows = virtctl.results()
    assert list(rows) == ALL and set(names_of(rows).values()) == {"new"}
    assert rows["domain", "web"]["autostart"] and not rows["network", "default"]["autostart"]
    text = virtctl.importing().stdout
    assert "4 new. Nothing was changed: --write defines what is new." in text
    assert json.loads(virtctl("list", "--json=short").stdout) == []
    assert "default" not in virtctl("networks").stdout and "images" not in virtctl("pools").stdout

    assert set(names_of(virtctl.results("--write")).values()) == {"defined"}
    assert libvirt.content() == before
    domain = bus.object("org.virtbus.qemu1", bus.manager("qemu1").GetDomain("web"))
    assert uuid.UUID(bytes=domain.UUID) == uuid.UUID(DOMAIN) and domain.Autostart and domain.State == "shutoff"
    pool = bus.object("org.virtbus.storage1", bus.manager("storage1").GetPool("images"))
    assert pool.Autostart and not pool.Active
    assert not bus.object("org.virtbus.network1", bus.manager("network1").GetNetwork("default")).Autostart
    assert virtctl("get-secret", SECRET).stdout == "open\0sesame"
    shown = virtctl("cat", "web").stdout.replace('"', "'")
    for word in ("bus='0x04' slot='0x00'", "libosinfo:os", "52:54:00:6b:3c:58", "port='0x13'"):
        assert word in shown

    assert set(names_of(virtctl.results()).values()) == {"same"}
    assert "4 same.\n" in virtctl.importing("--write").stdout


def test_what_differs_stays_unless_forced(virtctl, libvirt):
    """The network of that name that is here from the beginning, and a machine that was changed here."""
    assert virtctl.results()["network", "default"]["result"] == "differs"
    rows = virtctl.results("--write", status=1)
    assert names_of(rows) == {key: "differs" if key[0] == "network" else "defined" for key in ALL}
    assert "virbr7" not in virtctl("cat-network", "default").stdout
    virtctl("set-memory", "--config", "web", "32M")
    said = virtctl.importing("--write", status=1).stdout
    assert said.count("one that says something else is here already: it stays as it is, --force replaces it") == 2
    assert ">32768<" in virtctl("cat", "web").stdout
    assert virtctl.results("--write", "--force", "web")["domain", "web"]["result"] == "defined"
    assert ">32768<" not in virtctl("cat", "web").stdout and "virbr7" not in virtctl("cat-network", "default").stdout
    assert set(names_of(virtctl.results("--write", "--force", "default")).values()) == {"defined"}
    assert "virbr7" in virtctl("cat-network", "default").stdout
    assert set(names_of(virtctl.results()).values()) == {"same"}


def test_bad_ones_do_not_stop_others(virtctl, libvirt):
    libvirt.write("qemu/odd.xml", GUEST.replace("web", "odd").replace(DOMAIN, str(uuid.uuid4())).replace("<acpi/>", "<acpi/>\n    <teleport/>"))
    libvirt.write("qemu/torn.xml", GUEST[:200])
    libvirt.write("qemu/empty.xml", "")
    libvirt.write("qemu/twin.xml", GUEST.replace(DOMAIN, str(uuid.uuid4())).replace("<name>web<", "<name>twin<"))
    libvirt.write("qemu/notes.txt", "no definition")
    rows = virtctl.results(status=1)
    bad = {name: o["reason"] for (_, name), o in rows.items() if o["result"] == "refused"}
    assert set(bad) == {"odd", "torn", "empty"}
    assert "line 22, domain/features: unknown element <teleport>" in bad["odd"] and "not well-formed" in bad["torn"]
    text = virtctl.importing("--write", "odd", "web", status=1).stdout
    assert f"domain odd, {libvirt.config}/qemu/odd.xml:\n  line 22, " in text and "1 refused, 1 defined.\n" in text
    assert [d["name"] for d in json.loads(virtctl("list", "--json=short").stdout)] == ["web"]
    # Another machine of that name is not libvirt's.
    libvirt.write("qemu/web.xml", GUEST.replace(DOMAIN, str(uuid.uuid4())))
    assert "exists already" in virtctl.results("--force", "--write", "web", status=1)["domain", "web"]["reason"]
    assert "nothing called \"nobody\"" in virtctl.importing("nobody", status=3).stderr


def test_what_does_not_come_along(bus, virtctl, libvirt):
    """What libvirt keeps beside definitions is told of, also that a machine runs there."""
    tpm = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
    libvirt.write("qemu/web.xml", GUEST.replace("<rng model", f"{tpm}\n    <rng model"))
    (libvirt.state / "snapshot/web").mkdir(parents=True)
    (libvirt.state / "snapshot/web/before.xml").write_text("<domainsnapshot/>")
    (libvirt.state / "save").mkdir()
    (libvirt.state / "save/web.save").write_bytes(b"")
    (libvirt.config / f"secrets/{SECRET}.base64").unlink()
    run = libvirt.root / "run/libvirt/qemu" / ("run" if libvirt.user else "")
    run.mkdir(parents=True)
    with subprocess.Popen(["sleep", "100"]) as other:
        (run / "web.pid").write_text(f"{other.pid}")
        (run / "driver.pid").write_text(f"{other.pid}")
        (run / "passing.pid").write_text(f"{other.pid}\n")
        rows = virtctl.results(status=1)
        other.kill()
    said = "\n".join(rows["domain", "web"]["warnings"])
    for words in ("runs under libvirt", "saved state is not taken over", "its 1 snapshot ", "TPM"):
        assert words in said
    assert ("domain", "driver") not in rows
    assert "without a definition" in rows["domain", "passing"]["reason"]
    rows = virtctl.results()
    assert "runs under libvirt" not in "".join(rows["domain", "web"]["warnings"]) and ("domain", "passing") not in rows
    assert virtctl.importing("--write", SECRET).stdout.count("it has no value there") == 1


def test_nothing_there(bus, virtctl, libvirt, tmp_path):
    assert "No such file" in virtctl("import-libvirt", f"--from={tmp_path}/none", status=1).stderr
    where = tmp_path / "none" / (".config/libvirt" if libvirt.user else "etc/libvirt")
    where.mkdir(parents=True)
    assert "has no definitions" in virtctl("import-libvirt", f"--from={tmp_path}/none").stdout
    assert "read on this host" in virtctl("-H", "example.org", "import-libvirt", status=2).stderr if not libvirt.user else True


OLD = """<domain type='qemu'>
  <name>old</name>
  <uuid>{uuid}</uuid>
  <memory unit='KiB' dumpCore='on'>32768</memory>
  <vcpu placement='static'>1</vcpu>
  <os>
    <type arch='i686' machine='pc-q35-7.2'>hvm</type>
    <loader readonly='yes' type='pflash' format='raw'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
    <nvram type='file' template='/usr/share/OVMF/OVMF_VARS_4M.fd'>
      <source file='{folder}/old_VARS.fd'/>
    </nvram>
  </os>
  <features><acpi/></features>
  <clock offset='utc'><timer name='rtc' track='realtime'/></clock>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{folder}/old.img' index='1'/>
      <backingStore/>
      <target dev='sda' bus='scsi'/>
      <address type='drive' controller='0' bus='0' target='0' unit='0'/>
    </disk>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='dmi-to-pci-bridge'>
      <model name='i82801b11-bridge'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x1e' function='0x0'/>
    </controller>
    <controller type='pci' index='2' model='pci-bridge'>
      <model name='pci-bridge'/>
      <target chassisNr='2'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </controller>
    <controller type='scsi' index='0' model='lsilogic'>
      <address type='pci' domain='0x0000' bus='0x02' slot='0x02' function='0x0'/>
    </controller>
    <interface type='user'>
      <mac address='52:54:00:00:00:01'/>
      <model type='e1000'/>
      <rom file='{folder}/boot.rom'/>
      <address type='pci' domain='0x0000' bus='0x02' slot='0x03' function='0x0'/>
    </interface>
    <input type='keyboard' bus='virtio'>
      <driver iommu='on'/>
    </input>
    <memballoon model='virtio'>
      <driver iommu='on' ats='on'/>
    </memballoon>
    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
      <driver iommu='on' ats='on'/>
    </rng>
  </devices>
  <seclabel type='dynamic' model='apparmor' relabel='yes'>
    <label>libvirt-{uuid}</label>
    <imagelabel>libvirt-{uuid}</imagelabel>
  </seclabel>
</domain>
"""


def test_started(bus, virtctl, libvirt, tmp_path):
    """What old definitions have runs here, with the variables of the firmware where they were."""
    libvirt.write("qemu/old.xml", OLD.format(uuid=uuid.uuid4(), folder=tmp_path))
    (tmp_path / "old.img").write_bytes(bytes(1 << 20))
    (tmp_path / "boot.rom").write_bytes(Path("/usr/lib/ipxe/qemu/pxe-e1000.rom").read_bytes())
    assert virtctl.results("old")["domain", "old"]["result"] == "new"
    assert virtctl.results("--write", "old")["domain", "old"]["result"] == "defined"
    virtctl("start", "old")
    assert (tmp_path / "old_VARS.fd").stat().st_size == Path("/usr/share/OVMF/OVMF_VARS_4M.fd").stat().st_size
    virtctl("kill", "old")
    assert virtctl.results("old")["domain", "old"]["result"] == "same"
