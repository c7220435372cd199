# SPDX-License-Identifier: LGPL-2.1-or-later
"""The installed system under a real systemd: VMs as units, machined, polkit, sessions."""

import json
import re
import time
from types import SimpleNamespace

import pytest

import certificates
from domains import NO_WAIT, disk_xml, guest_xml, tiny_xml
from host import USER, patience

pytestmark = pytest.mark.host

CALL = "busctl {bus} --timeout=60 call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager {method} {args}"


def call(bed, method, *args, user=None, check=True, options=""):
    words = " ".join(f"'{a}'" for a in args)
    return bed.run(CALL.format(bus=f"{options} --user" if user else options, method=method, args=words), user=user, check=check, timeout=70)


def define(bed, xml, user=None):
    """Define a domain the way people do it by hand."""
    bed.put("/srv/definition.xml", xml)
    return bed.run(CALL.format(bus="--user" if user else "", method="DefineDomain",
                               args="'ssta{sv}' libvirt-xml \"$(cat /srv/definition.xml)\" 0 0"), user=user).stdout.split('"')[1]


def state(bed, name, user=None):
    listed = json.loads(call(bed, "ListDomains", user=user, options="--json=short").stdout)["data"][0]
    return next((d[1] for d in listed if d[0] == name), None)


def wait_state(bed, name, wanted, timeout=40, user=None):
    bed.wait(lambda: state(bed, name, user) == wanted, timeout, f"{name} is {wanted}")


@pytest.fixture(scope="module")
def bed(installed, guest_image):
    """The installed testbed, with the guest's files where an admin would put them."""
    installed.put("/srv/kernel", open(guest_image.kernel, "rb").read())
    installed.put("/srv/initrd", open(guest_image.initrd, "rb").read())
    installed.run("systemctl enable --now virtqemud.socket")
    installed.guest = SimpleNamespace(kernel="/srv/kernel", initrd="/srv/initrd", cmdline=guest_image.cmdline)
    return installed


def guest(bed, name, **options):
    """A guest whose serial port is a file, so that what it said can be read after everything has ended."""
    bed.run("mkdir -p /var/lib/guests")
    xml = guest_xml(bed.guest, name=name, **options).replace(
        "<serial type='pty'/>", f"<serial type='file'><source path='/var/lib/guests/{name}.txt' append='on'/></serial>")
    define(bed, xml)


def said(bed, name):
    path = f"/var/lib/guests/{name}.txt"
    return bed.read(path) if bed.exists(path) else ""


def wait_said(bed, name, text, times=1, timeout=60):
    bed.wait(lambda: said(bed, name).count(text) >= times, timeout, f"{name} says {text} {times} times")


def read_to(bed, tty, word):
    """What the guest says at its console up to a line with that word, which has to come."""
    return bed.run(f"sed '/{word}/q' <{tty}", timeout=60).stdout


def asked(bed, tty, word, *commands):
    """What the guest says to these commands, up to a line with that word."""
    lines = "; ".join(f"echo '{c}' >&3" for c in commands)
    return bed.run(f"exec 3<>{tty}; {lines}; sed '/{word}/q' <&3", timeout=60).stdout


def machines(bed):
    return bed.run("machinectl list --no-legend").stdout


def test_start_by_systemctl_and_poweroff_by_machinectl(bed):
    guest(bed, "web")
    bed.run("systemctl start virtqemu@web")
    assert state(bed, "web") == "running"
    assert re.search(r"^web\s+vm\s+virtqemud", machines(bed), re.M)
    status = bed.run("machinectl status web").stdout
    assert "Unit: virtqemu@web.service" in status and "virtqemu-watch" in status
    shown = bed.run("machinectl show web").stdout
    uuid = bed.run("busctl call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager GetDomain s web").stdout
    assert re.search("^Id=(.*)$", shown, re.M).group(1) == uuid.split("/")[-1].strip('"\n')
    assert "Running QEMU" in bed.run("systemctl status virtqemu@web").stdout
    wait_said(bed, "web", "VIRTBUS-GUEST-READY")
    bed.run("machinectl poweroff web")
    bed.wait(lambda: bed.run("systemctl is-active virtqemu@web", check=False).stdout.strip() == "inactive")
    assert "VIRTBUS-GUEST-POWERDOWN" in said(bed, "web")
    wait_state(bed, "web", "shutoff")
    bed.wait(lambda: "web" not in machines(bed))


def test_qemu_is_confined(bed):
    guest(bed, "cell")
    bed.run("systemctl start virtqemu@cell")
    pid = bed.run("systemctl show -P MainPID virtqemu@cell").stdout.strip()
    qemu = bed.run(f"cat /proc/{pid}/task/{pid}/children").stdout.strip()
    status = bed.read(f"/proc/{qemu}/status")
    assert int(re.search(r"^Uid:\s+(\d+)", status, re.M).group(1)) >= 61184, "a dynamic user"
    assert re.search(r"^CapBnd:\s+0+$", status, re.M) and re.search(r"^Seccomp:\s+2$", status, re.M)
    links = bed.run(f"nsenter -t {qemu} -n ip -o link").stdout
    assert links.count("\n") == 1 and "lo" in links
    assert bed.run(f"nsenter -t {qemu} -m ls /run /var /srv /home", check=False).stdout.count("kernel") == 0
    call(bed, "TerminateDomain", "st", "cell", 0)
    assert state(bed, "cell") == "shutoff"
    assert bed.run("systemctl is-failed virtqemu@cell", check=False).stdout.strip() != "failed"


def test_reboot_and_terminate_by_machinectl(bed):
    guest(bed, "again")
    call(bed, "StartDomain", "st", "again", 0)
    wait_said(bed, "again", "VIRTBUS-GUEST-READY")
    pid = bed.run("systemctl show -P MainPID virtqemu@again").stdout
    bed.run("machinectl reboot again")
    wait_said(bed, "again", "VIRTBUS-GUEST-READY", times=2)
    assert bed.run("systemctl show -P MainPID virtqemu@again").stdout == pid
    wait_state(bed, "again", "running")
    bed.run("machinectl terminate again")
    wait_state(bed, "again", "shutoff")
    assert said(bed, "again").count("VIRTBUS-GUEST-POWERDOWN") == 2, "terminate stops the unit: the guest powers off"


def test_machine_of_the_run_before(bed):
    """machined looks whether a machine's unit is there, and not since when: one that was started again meanwhile has the old machine still."""
    define(bed, tiny_xml("quick"))
    call(bed, "StartDomain", "st", "quick", 0)
    pid = bed.run("systemctl show -P MainPID virtqemu@quick").stdout
    bed.run("systemctl kill --signal=STOP systemd-machined")
    try:
        call(bed, "TerminateDomain", "st", "quick", 0)
        call(bed, "StartDomain", "st", "quick", NO_WAIT)
        bed.wait(lambda: bed.run("systemctl show -P MainPID virtqemu@quick").stdout not in (pid, "0\n"))
    finally:
        bed.run("systemctl kill --signal=CONT systemd-machined")
    wait_state(bed, "quick", "running")
    assert re.findall(r"^quick\S*", machines(bed), re.M) == ["quick"]
    assert bed.run("machinectl show --property=Leader --value quick").stdout == bed.run("systemctl show -P MainPID virtqemu@quick").stdout
    call(bed, "TerminateDomain", "st", "quick", 0)


def test_limits_end_with_the_run(bed):
    """systemd is told so again if it was away from the bus just then, and what is said for the next run stays."""
    def weight():
        return bed.run("systemctl show -P CPUWeight virtqemu@heavy", check=False).stdout.strip() # systemd may be away just then
    heavy, light = (tiny_xml("heavy", extra=f"<cputune><shares>{n}</shares></cputune>" if n else "") for n in (500, 0))
    define(bed, heavy)
    with bed.popen("for n in 1 2 3 4 5 6 7 8; do systemctl daemon-reexec; sleep 0.2; done") as reexec:
        while reexec.poll() is None:
            call(bed, "StartDomain", "st", "heavy", 0)
            bed.wait(lambda: weight() == "500")
            call(bed, "TerminateDomain", "st", "heavy", 0)
    bed.wait(lambda: weight() == "[not set]")
    define(bed, light)
    call(bed, "StartDomain", "st", "heavy", 0)
    assert weight() == "[not set]"
    call(bed, "TerminateDomain", "st", "heavy", 0)


def test_kill_and_stop_by_systemctl(bed):
    guest(bed, "killed")
    bed.run("systemctl start virtqemu@killed")
    bed.run("systemctl kill --signal=SIGKILL virtqemu@killed")
    wait_state(bed, "killed", "shutoff")
    bed.run("systemctl reset-failed virtqemu@killed")
    bed.run("systemctl start virtqemu@killed")
    wait_said(bed, "killed", "VIRTBUS-GUEST-READY")
    bed.run("systemctl stop virtqemu@killed", timeout=60)
    wait_state(bed, "killed", "shutoff")
    assert said(bed, "killed").count("VIRTBUS-GUEST-POWERDOWN") == 1


def loaded(bed):
    return bed.run("systemctl list-units --all --plain --no-legend 'virtqemu@*' | cut -d' ' -f1").stdout.split()


def test_units_that_have_failed(bed):
    """systemd lists and keeps one that has failed as long as there is such a VM, and not for ever."""
    path = define(bed, tiny_xml("fails"))
    bed.run("systemctl start virtqemu@fails && systemctl kill --signal=SIGKILL virtqemu@fails")
    wait_state(bed, "fails", "shutoff")
    bed.wait(lambda: bed.run("systemctl is-failed virtqemu@fails", check=False).stdout == "failed\n")
    bed.run(f"busctl call org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain Undefine 'ta{{sv}}' 0 0")
    bed.wait(lambda: "virtqemu@fails.service" not in loaded(bed))
    bed.put("/srv/definition.xml", tiny_xml("once"))
    bed.run(CALL.format(bus="", method="StartTransient", args="'ssahta{sv}' libvirt-xml \"$(cat /srv/definition.xml)\" 0 0 0"))
    bed.run("systemctl kill --signal=SIGKILL virtqemu@once")
    bed.wait(lambda: "virtqemu@once.service" not in loaded(bed))


def terminal(bed, path):
    return bed.run(f"busctl get-property org.virtbus.qemu1 {path}/device/serial0 org.virtbus.qemu1.Console TTY").stdout.split('"')[1]


def test_kill_by_machinectl_asks_the_guest(bed):
    """Signals for the whole unit are the supervisor's to understand: QEMU does not fall over by them."""
    guest(bed, "asked")
    call(bed, "StartDomain", "st", "asked", 0)
    wait_said(bed, "asked", "VIRTBUS-GUEST-READY")
    bed.run("machinectl kill --signal=INT asked")
    wait_said(bed, "asked", "VIRTBUS-GUEST-READY", times=2)
    wait_state(bed, "asked", "running")
    assert said(bed, "asked").count("VIRTBUS-GUEST-POWERDOWN") == 1
    bed.run("machinectl kill asked")
    wait_state(bed, "asked", "shutoff")
    assert said(bed, "asked").count("VIRTBUS-GUEST-POWERDOWN") == 2
    call(bed, "StartDomain", "st", "asked", 0)
    bed.run("machinectl kill --signal=KILL asked")
    wait_state(bed, "asked", "shutoff")
    bed.run("systemctl reset-failed virtqemu@asked")


def test_terminals_keep_their_names(bed):
    """Whoever has /dev/pts/N of a guest open keeps talking to it through an upgrade and a crash of virtqemud."""
    path = define(bed, guest_xml(bed.guest, name="tty"))
    call(bed, "StartDomain", "st", "tty", 0)
    tty = terminal(bed, path)
    read_to(bed, tty, "READY")
    assert "first" in asked(bed, tty, "^first", "echo first")
    bed.run("systemctl restart virtqemud")
    assert terminal(bed, path) == tty
    assert "second" in asked(bed, tty, "^second", "echo second")
    bed.kill("virtqemud")
    bed.wait(lambda: state(bed, "tty") == "running")
    assert terminal(bed, path) == tty
    assert "third" in asked(bed, tty, "^third", "echo third")
    assert bed.run("systemctl show -P NFileDescriptorStore virtqemud").stdout.strip() == "1"
    call(bed, "TerminateDomain", "st", "tty", 0)
    bed.wait(lambda: bed.run("systemctl show -P NFileDescriptorStore virtqemud").stdout.strip() == "0")


def test_tpm(bed):
    """swtpm is a unit with a user of its own, which finds its state again; undefining removes that."""
    path = define(bed, guest_xml(bed.guest, name="trust", devices="<tpm model='tpm-crb'><backend type='emulator' version='2.0'>"
                                "<active_pcr_banks><sha384/></active_pcr_banks></backend></tpm>"))
    folder = "/var/lib/private/virtbus-companions"
    warnings = f"busctl get-property org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain Warnings"
    for dies in (False, True):
        call(bed, "StartDomain", "st", "trust", 0)
        unit = bed.run("systemctl list-units --plain --no-legend 'virtqemu-swtpm-*'").stdout.split()
        assert unit[2:4] == ["active", "running"] and "Trusted Platform Module tpm0 of Virtual Machine trust" in " ".join(unit)
        assert bed.run(f"systemctl show -P DynamicUser {unit[0]}").stdout.strip() == "yes"
        bed.wait(lambda: "Successfully activated PCR banks sha384" in bed.run(f"journalctl -u {unit[0]}").stdout, what="swtpm_setup has chosen the bank")
        assert "tpm2-00.permall" in bed.run(f"ls {folder}/*/tpm0").stdout
        if dies:  # also where the daemon that started it is not there any more
            bed.run(f"systemctl restart virtqemud; {warnings}; sleep 1.5")
            assert bed.run(warnings).stdout == "as 0\n"
            bed.run(f"systemctl kill --signal=KILL {unit[0]}")
            bed.wait(lambda: "tpm tpm0 does not answer any more" in bed.run(warnings).stdout)
        call(bed, "TerminateDomain", "st", "trust", 0)
        bed.wait(lambda: "swtpm" not in bed.run("systemctl list-units --no-legend --all 'virtqemu-swtpm-*'").stdout)
    bed.run(f"busctl call org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain Undefine 'ta{{sv}}' 0 0")
    assert bed.run(f"ls {folder}").stdout == "", bed.run(f"journalctl -u virtqemud -n 20; ls -laR {folder}").stdout


def test_shared_folder(bed):
    """virtiofsd is a unit that ends with the VM; the guest reads what is in the folder, whose name is its name. systemd that loads all units again
    knows it as before."""
    folder = "/srv/$HOME-${HOME}-$$-50%n"
    bed.run(f"mkdir -p '{folder}' && echo hello guest >'{folder}/file'")
    share = f"<filesystem type='mount'><driver type='virtiofs'/><source dir='{folder}'/><target dir='share'/></filesystem>"
    path = define(bed, guest_xml(bed.guest, name="sharing", devices=share, extra="<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"))
    call(bed, "StartDomain", "st", "sharing", 0)
    unit = bed.run("systemctl list-units --plain --no-legend 'virtqemu-virtiofsd-*'").stdout.split()
    assert unit[2:4] == ["active", "running"] and "Shared Folder fs0 of Virtual Machine sharing" in " ".join(unit)
    known = f"systemctl show -P ExecStart -P LoadState {unit[0]} | sed 's, start_time=.*,,' | tr -d '\\\\'"
    before = bed.run(known).stdout
    bed.run("systemctl daemon-reload")
    assert bed.run(known).stdout == before and "loaded" in before
    tty = terminal(bed, path)
    read_to(bed, tty, "READY")
    mount = "mkdir /m; mount -t virtiofs share /m; cat /m/file; echo hello host >/m/answer"
    assert "hello guest" in asked(bed, tty, "hello guest", "disks", f"sh {mount}")
    bed.wait(lambda: bed.exists(f"{folder}/answer"))
    call(bed, "TerminateDomain", "st", "sharing", 0)
    bed.wait(lambda: "virtiofsd" not in bed.run("systemctl list-units --no-legend --all 'virtqemu-virtiofsd-*'").stdout)


def test_mapped_folder(bed):
    """QEMU has the folder and nothing above it, and what it makes there belongs to who the folder belongs to; the program that lends it has ended."""
    bed.run("mkdir -p -m 0700 /run/mapped && echo hello guest >/run/mapped/file && chown -R 4321:8765 /run/mapped && mkdir -p /run/roots")
    share = "<filesystem type='mount' accessmode='mapped' fmode='0644'><source dir='{}'/><target dir='share'/></filesystem>"
    path = define(bed, guest_xml(bed.guest, name="mapped", devices=share.format("/run/mapped")))
    call(bed, "StartDomain", "st", "mapped", 0)
    bed.wait(lambda: "share" not in bed.run("systemctl list-units --no-legend --all 'virtqemu-share-*'").stdout)
    tty = terminal(bed, path)
    read_to(bed, tty, "READY")
    mount = "mkdir /m; modprobe -a 9pnet_virtio 9p; mount -t 9p -o trans=virtio,version=9p2000.L share /m; cat /m/file"
    assert "hello guest" in asked(bed, tty, "hello guest", "disks", f"sh {mount}")
    asked(bed, tty, "finished", "sh echo hello host >/m/answer; chown 5:6 /m/answer; chmod 4755 /m/answer; echo finis''hed")
    assert bed.run("cat /run/mapped/answer; stat -c %u:%g:%a /run/mapped/answer").stdout == "hello host\n4321:8765:644\n"
    qemu = bed.run("pgrep -P $(systemctl show -P MainPID virtqemu@mapped)").stdout.strip()
    number = re.search(r"path=/proc/self/fd/(\d+)", bed.run(f"cat /proc/{qemu}/cmdline | tr '\\0' ' '").stdout).group(1)
    assert bed.run(f"ls /proc/{qemu}/fd/{number}/../..").stdout.split() == ["answer", "file"]
    assert bed.run(f"busctl get-property org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain Warnings").stdout == "as 0\n"
    call(bed, "TerminateDomain", "st", "mapped", 0)
    for folder, why in (("/run/roots", "belongs to root"), ("/run/nothing", "No such file or directory")):
        define(bed, tiny_xml("unmapped", devices=share.format(folder)))
        said = bed.run("busctl call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager StartDomain st unmapped 0", check=False).stderr
        assert f"filesystem fs0: {folder}" in said and why in said


def test_network_disk(bed):
    """A program with the network, and little else, speaks with the server; it ends with the VM. A server that is not there is told at once."""
    bed.run("echo from the server >/srv/served && truncate -s 1M /srv/served")
    bed.run("systemd-run --unit=nbd-server qemu-nbd --persistent -f raw -x root -b 127.0.0.1 -p 10809 /srv/served")
    bed.wait(lambda: "root" in bed.run("qemu-nbd --list -b 127.0.0.1 -p 10809", check=False).stdout)
    source = "<source protocol='nbd' name='root'><host name='127.0.0.1' port='{}'/></source>"
    disk = f"<disk type='network' device='disk'>{source}<target dev='vda' bus='virtio'/></disk>"
    path = define(bed, guest_xml(bed.guest, name="remote", devices=disk.format(10809)))
    call(bed, "StartDomain", "st", "remote", 0)
    unit = bed.run("systemctl list-units --plain --no-legend 'virtqemu-qemu-nbd-*'").stdout.split()
    assert unit[2:4] == ["active", "running"] and "Network Disk virtio-disk0 of Virtual Machine remote" in " ".join(unit)
    assert bed.run(f"ps -o user= -p $(systemctl show -P MainPID {unit[0]})").stdout.strip() != "root"
    tty = terminal(bed, path)
    read_to(bed, tty, "READY")
    assert "from the server" in asked(bed, tty, "TEXT", "disks", "read vda")
    call(bed, "TerminateDomain", "st", "remote", 0)
    bed.wait(lambda: "nbd" not in bed.run("systemctl list-units --no-legend --all 'virtqemu-qemu-nbd-*'").stdout)
    define(bed, tiny_xml("lost", devices=disk.format(1)))
    said = bed.run("busctl call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager StartDomain st lost 0", check=False).stderr
    assert "qemu-nbd has ended instead of starting" in said, said
    hint = re.search(r"journalctl -u \S+", said).group(0)
    bed.wait(lambda: "Connection refused" in bed.run(hint).stdout)
    bed.run("systemctl stop nbd-server")


def test_disk_over_ssh(bed):
    """The program logs in with the key of the definition, to a server that has to be known; of the host's files it sees these two."""
    bed.run("mkdir -p -m 0700 /root/.ssh /srv/keys && cd /srv/keys && dropbearkey -t ed25519 -f server && dropbearkey -t ed25519 -f dropbear && "
            "dropbearconvert dropbear openssh dropbear client && chmod 0600 client && dropbearkey -y -f dropbear | grep ^ssh- >/root/.ssh/authorized_keys && "
            "chmod 0600 /root/.ssh/authorized_keys && echo [127.0.0.1]:2222 $(dropbearkey -y -f server | grep ^ssh- | cut -d' ' -f 1,2) >known")
    bed.run("echo from afar >/srv/remote.img && truncate -s 1M /srv/remote.img")
    bed.run("systemd-run --unit=ssh-server dropbear -F -E -r /srv/keys/server -p 127.0.0.1:2222")
    bed.wait(lambda: "127.0.0.1:2222" in bed.run("ss -Htln").stdout)
    source = ("<source protocol='ssh' name='/srv/remote.img'><host name='127.0.0.1' port='2222'/><identity username='root' keyfile='/srv/keys/client'/>"
              "<knownHosts path='/srv/keys/{}'/></source>")
    disk = f"<disk type='network' device='disk'>{source}<target dev='vda' bus='virtio'/></disk>"
    path = define(bed, guest_xml(bed.guest, name="afar", devices=disk.format("known")))
    call(bed, "StartDomain", "st", "afar", 0)
    unit = bed.run("systemctl list-units --plain --no-legend 'virtqemu-qemu-nbd-*'").stdout.split()
    pid = bed.run(f"systemctl show -P MainPID {unit[0]}").stdout.strip()
    assert bed.run(f"ps -o user= -p {pid}").stdout.strip() != "root"
    assert bed.run(f"ls /proc/{pid}/root/srv", check=False).returncode
    assert bed.run(f"ls -A /proc/{pid}/root/.ssh").stdout.split() == ["id_rsa", "known_hosts"]
    tty = terminal(bed, path)
    read_to(bed, tty, "READY")
    assert "TEXT from afar" in asked(bed, tty, "TEXT", "disks", "read vda", "write vda written")
    bed.wait(lambda: bed.run("head -c 7 /srv/remote.img").stdout == "written")
    call(bed, "TerminateDomain", "st", "afar", 0)
    bed.wait(lambda: "nbd" not in bed.run("systemctl list-units --no-legend --all 'virtqemu-qemu-nbd-*'").stdout)
    # The same as the layer of an image of this host, with a unit of its own.
    bed.run("qemu-img create -q -f qcow2 /srv/upper.qcow2 1M && chmod 0600 /srv/upper.qcow2")
    layer = f"<backingStore type='network'><format type='raw'/>{source.format('known')}</backingStore>"
    path = define(bed, guest_xml(bed.guest, name="layered", devices="<disk type='file'><driver name='qemu' type='qcow2'/><source file='/srv/upper.qcow2'/>"
                                 f"{layer}<target dev='vda' bus='virtio'/></disk>"))
    call(bed, "StartDomain", "st", "layered", 0)
    unit = bed.run("systemctl list-units --plain --no-legend 'virtqemu-qemu-nbd-*'").stdout.split()
    assert "Network Disk virtio-disk0:1 of Virtual Machine layered" in " ".join(unit)
    tty = terminal(bed, path)
    read_to(bed, tty, "READY")
    said = asked(bed, tty, "TEXT", "disks", "write vda above", "read vda")
    assert "TEXT aboveen" in said, said
    assert bed.run("head -c 7 /srv/remote.img").stdout == "written"
    call(bed, "TerminateDomain", "st", "layered", 0)
    bed.wait(lambda: "nbd" not in bed.run("systemctl list-units --no-legend --all 'virtqemu-qemu-nbd-*'").stdout)
    define(bed, tiny_xml("stranger", devices=disk.format("nobody")))
    said = bed.run("busctl call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager StartDomain st stranger 0", check=False).stderr
    hint = re.search(r"journalctl -u \S+", said).group(0)
    bed.wait(lambda: "known_hosts" in bed.run(hint).stdout)
    bed.run("systemctl stop ssh-server")


def test_reservations(bed):
    """QEMU, which sees nothing of the host, reaches the program that carries them out. There is no SCSI unit here: with one it is the machine tier's."""
    loop = bed.run("truncate -s 1M /srv/unit.img && losetup --find --show /srv/unit.img").stdout.strip()
    disk = f"<disk type='block' device='lun'><source dev='{loop}'>{{}}</source><target dev='sda' bus='scsi'/></disk><controller type='scsi' model='virtio-scsi'/>"
    start = "busctl call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager StartDomain st {} 0"
    define(bed, tiny_xml("held", devices=disk.format("<reservations managed='yes'/>")))
    said = bed.run(start.format("held"), check=False).stderr
    assert "Failed to connect" not in said and "SG" in said.upper(), said
    assert "qemu-pr-helper" in bed.run("journalctl --sync; journalctl --no-pager -u 'virtqemu-qemu-pr-helper-*'").stdout
    bed.wait(lambda: "pr-helper" not in bed.run("systemctl list-units --no-legend --all 'virtqemu-qemu-pr-helper-*'").stdout)
    define(bed, tiny_xml("other", devices=disk.format("<reservations managed='no'><source type='unix' path='/run/none.sock' mode='client'/></reservations>")))
    said = bed.run(start.format("other"), check=False).stderr
    assert "the socket /run/none.sock can't be used: No such file or directory" in said, said
    bed.run(f"losetup -d {loop}")


def test_folder_as_a_disk(bed):
    """Its program sees that folder, also where it is closed to others, and no other."""
    bed.run("mkdir -p /root/files && echo hello from the folder >/root/files/hello.txt && chmod 0700 /root/files && chmod 0600 /root/files/hello.txt")
    disk = "<disk type='dir'><source dir='/root/files'/><target dev='vda' bus='virtio'/><readonly/></disk>"
    path = define(bed, guest_xml(bed.guest, name="folder", devices=disk))
    call(bed, "StartDomain", "st", "folder", 0)
    unit = bed.run("systemctl list-units --plain --no-legend 'virtqemu-qemu-nbd-*'").stdout.split()
    assert unit[2:4] == ["active", "running"] and "Folder as a Disk virtio-disk0 of Virtual Machine folder" in " ".join(unit)
    pid = bed.run(f"systemctl show -P MainPID {unit[0]}").stdout.strip()
    assert bed.run(f"ps -o user= -p {pid}").stdout.strip() != "root"
    seen = bed.run(f"ls -A /proc/{pid}/root").stdout.split()
    assert set(seen) == {"bin", "dev", "etc", "lib", "lib64", "proc", "root", "run", "sys", "tmp", "usr", "var"} & set(seen) and "root" in seen, seen
    seen = bed.run(f"cd /proc/{pid}/root && ls root etc && find run tmp var -mindepth 1 -type f").stdout.split()
    assert seen == ["etc:", "ld.so.cache", "root:", "files"], seen
    assert bed.run(f"cat /proc/{pid}/net/dev").stdout.count(":") == 1
    tty = terminal(bed, path)
    read_to(bed, tty, "READY")
    look = "dd if=/dev/vda bs=1M count=4 2>/dev/null | grep -a -o \"hello from the folder\""
    assert "hello from the folder" in asked(bed, tty, "^hello", "disks", f"sh {look}")
    call(bed, "TerminateDomain", "st", "folder", 0)
    bed.wait(lambda: "nbd" not in bed.run("systemctl list-units --no-legend --all 'virtqemu-qemu-nbd-*'").stdout)
    assert not [f for f in bed.run("ls -A /run /run/virtbus/qemu").stdout.split() if f in ("usr", "lib64") or f.endswith(".root")]


SERVER = """
import socket, sys
kind, place, heard = sys.argv[1:]
s = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
s.bind(place if kind == "unix" else ("127.0.0.1", int(place)))
if kind != "udp":
    s.listen()
    s = s.accept()[0]
while data := s.recv(1000):
    open(heard, "ab").write(data)
"""


def test_relays(bed):
    """Who only needs the network has a user of its own; who has to get at any file is root for nothing else. Their other ends come later."""
    bed.put("/srv/server.py", SERVER)
    bed.run(f"mkdir -m 700 /home/{USER}/private && mkfifo -m 600 /tmp/fifo.in /tmp/fifo.out && chown {USER} /home/{USER}/private /tmp/fifo.*")
    again = "<reconnect enabled='yes' timeout='1'/>"
    places = {"tcp": "2445", "unix": f"/home/{USER}/private/console.sock", "udp": "2446"}
    devices = (f"<serial type='tcp'><source mode='connect' host='127.0.0.1' service='2445'>{again}</source></serial>"
               f"<serial type='unix'><source mode='connect' path='{places['unix']}'>{again}</source></serial>"
               "<serial type='pipe'><source path='/tmp/fifo'/></serial>"
               "<console type='udp'><source mode='bind' host='127.0.0.1' service='2447'/><source mode='connect' host='127.0.0.1' service='2446'/>"
               "<target type='virtio'/></console>")
    path = define(bed, guest_xml(bed.guest, name="relayed", devices=devices))
    call(bed, "StartDomain", "st", "relayed", 0)
    tty = terminal(bed, path)
    list_units = "systemctl list-units --plain --no-legend 'virtqemu-relay-*'"
    listed = bed.run(list_units).stdout
    units = re.findall(r"virtqemu-relay-\S+?-(\w+)-\w+\.service", listed)
    assert sorted(units) == ["console0", "serial1", "serial2", "serial3"] and "Connection serial1 of Virtual Machine relayed" in listed
    for unit in re.findall(r"^\S+", listed, re.M):
        pid = bed.run(f"systemctl show -P MainPID {unit}").stdout.strip()
        status = bed.read(f"/proc/{pid}/status")
        capabilities = int(re.search(r"^CapBnd:\s+(\w+)", status, re.M).group(1), 16)
        network = "serial1" in unit or "console0" in unit
        assert int(re.search(r"^Uid:\s+(\d+)", status, re.M).group(1)) >= 61184 if network else capabilities == 0b110, status
        assert capabilities & ~0b110 == 0
        exposed = bed.run(f"systemd-analyze security --no-pager {unit}").stdout
        assert float(re.search(r"exposure level for .*: (\d+\.\d+)", exposed).group(1)) < (3 if network else 2.5), exposed
    bed.run("systemctl restart virtqemud")
    for kind, place in places.items():
        bed.run(f"systemd-run --unit=server-{kind} {'-p User=' + USER if kind == 'unix' else ''} /usr/bin/python3 /srv/server.py {kind} {place} "
                f"/tmp/heard-{kind}")
    bed.run("systemd-run --unit=server-pipe sh -c 'exec cat /tmp/fifo.out >/tmp/heard-pipe'")
    read_to(bed, tty, "READY")
    bed.wait(lambda: "connected" in bed.run("journalctl -u 'virtqemu-relay-*-serial1-*'").stdout and
             "connected" in bed.run("journalctl -u 'virtqemu-relay-*-serial2-*'").stdout)
    bed.run(f"echo ports >{tty}")
    for kind, where in (("tcp", "ttyS1"), ("unix", "ttyS2"), ("pipe", "ttyS3"), ("udp", "hvc0")):
        say = f"echo 'sh echo hello {kind} >/dev/{where}' >{tty}; sleep 0.5; cat /tmp/heard-{kind}"
        bed.wait(lambda: bed.run(say, check=False).stdout.startswith(f"hello {kind}"))
    asked(bed, tty, "^opened", "sh exec 5</dev/ttyS3; echo opened")
    bed.run("echo from a fifo >/tmp/fifo.in")
    assert "from a fifo" in asked(bed, tty, "from a fifo", 'sh read line <&5; echo "$line"')
    assert bed.run(list_units).stdout == listed
    call(bed, "TerminateDomain", "st", "relayed", 0)
    bed.wait(lambda: "relay" not in bed.run("systemctl list-units --no-legend --all 'virtqemu-relay-*'").stdout)
    bed.run("systemctl stop 'server-*'", check=False)


def test_user_networking(bed):
    """The guest talks to the world through passt, although its QEMU has no network."""
    bed.run("ip link add outer type veth peer name inner && ip link set inner up && ip link set outer up && "
            "ip address add 192.0.2.2/24 dev outer && ip route add default via 192.0.2.1")
    bed.run("mkdir -p /srv/web && echo hello from outside >/srv/web/index.html")
    bed.run("systemd-run --unit=web-server busybox httpd -f -p 127.0.0.1:8000 -h /srv/web")
    forward = "<portForward proto='tcp' address='127.0.0.1'><range start='2080' end='2082' to='80'/><range start='2081' exclude='yes'/></portForward>"
    path = define(bed, guest_xml(bed.guest, name="netty", devices=f"<interface type='user'>{forward}<ip address='172.20.4.0' prefix='24'/></interface>"))
    call(bed, "StartDomain", "st", "netty", 0)
    unit = bed.run("systemctl list-units --plain --no-legend 'virtqemu-passt-*'").stdout.split()
    assert unit[2:4] == ["active", "running"] and "User Network net0 of Virtual Machine netty" in " ".join(unit)
    tty = terminal(bed, path)
    read_to(bed, tty, "READY")
    assert "172.20.4.15" in asked(bed, tty, "lease of", "nics", "sh busybox ip link set eth0 up", "sh busybox udhcpc -i eth0 -n -q -t 40 -T 1 -s /bin/busybox")
    # The router's address leads to the host's own services.
    fetch = "ifconfig eth0 172.20.4.15; route add default gw 172.20.4.2; wget -q -O - http://172.20.4.2:8000/"
    assert "hello from outside" in asked(bed, tty, "hello", f"sh {fetch}")
    bed.run(f"echo 'sh mkdir /w; echo hello from inside >/w/index.html; busybox httpd -p 80 -h /w' >{tty}")
    fetch = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=3).read().decode())"
    bed.wait(lambda: "hello from inside" in bed.run(["python3", "-c", fetch, "http://127.0.0.1:2080/"], check=False).stdout)
    assert "refused" in bed.run(["python3", "-c", fetch, "http://127.0.0.1:2081/"], check=False).stderr
    # So does an interface that comes later.
    bed.run("echo \"<interface type='user'/>\" >/srv/nic.xml && virtctl attach netty /srv/nic.xml --live")
    asked(bed, tty, "eth1-is-up", "sh ifconfig eth0 down; until ifconfig eth1 192.0.2.2; do sleep 0.2; done; route add default gw 192.0.2.1; echo eth1-is-up")
    assert "hello from outside" in asked(bed, tty, "hello", "sh wget -q -O - http://192.0.2.1:8000/")
    call(bed, "TerminateDomain", "st", "netty", 0)
    bed.wait(lambda: "passt" not in bed.run("systemctl list-units --no-legend --all 'virtqemu-passt-*'").stdout)
    bed.run("systemctl stop web-server; ip link del outer")


def test_a_crash_is_dumped(bed):
    """The sandbox lets it be written; the journal of the VM says where, and its unit has ended well."""
    bed.run("journalctl --update-catalog")
    path = define(bed, guest_xml(bed.guest, name="doomed", devices="<panic model='isa'/>", extra="<on_crash>coredump-destroy</on_crash>"))
    call(bed, "StartDomain", "st", "doomed", 0)
    tty = terminal(bed, path)
    read_to(bed, tty, "READY")
    bed.run(f"echo 'sh modprobe pvpanic-mmio' >{tty}; sleep 2; echo panic >{tty}")
    wait_state(bed, "doomed", "shutoff")
    name, = bed.run("ls /var/lib/virtbus/dump").stdout.split()
    said = bed.run("journalctl --sync; journalctl -u virtqemu@doomed -x -o short").stdout
    assert f"the memory of the crashed guest is kept in /var/lib/virtbus/dump/{name}" in said and "It is read" in said
    assert bed.run("stat -c %a /var/lib/virtbus/dump/*").stdout == "600\n"
    bed.wait(lambda: bed.run("systemctl is-active virtqemu@doomed", check=False).stdout.strip() == "inactive")
    bed.run("rm -r /var/lib/virtbus/dump")


def test_a_network_that_ends_is_told(bed):
    """No route anywhere: passt gives up, the VM runs on and says so."""
    path = define(bed, tiny_xml("lonely", devices="<interface type='user'/>"))
    call(bed, "StartDomain", "st", "lonely", 0)
    warnings = f"busctl get-property org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain Warnings"
    bed.wait(lambda: "interface net0 has no network any more" in bed.run(warnings).stdout)
    assert state(bed, "lonely") == "running"
    call(bed, "TerminateDomain", "st", "lonely", 0)


def test_a_full_disk_pauses_the_guest(bed):
    """Nothing is lost when the host's disk is full: the guest waits, and goes on by itself when there is room. Its unit's journal says what to do."""
    bed.run("journalctl --update-catalog")
    bed.run("mkdir -p /srv/small && mount -t tmpfs -o size=1M tmpfs /srv/small && qemu-img create -q -f qcow2 /srv/small/disk 16M")
    path = define(bed, guest_xml(bed.guest, name="full", devices=disk_xml("/srv/small/disk", kind="qcow2")))
    call(bed, "StartDomain", "st", "full", 0)
    tty = terminal(bed, path)
    property = "busctl get-property org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain {name}"
    read_to(bed, tty, "READY")
    bed.run(f"echo 'sh dd if=/dev/zero of=/dev/vda bs=64k count=64 conv=fsync 2>&1' >{tty}")
    wait_state(bed, "full", "paused")
    assert bed.run(property.format(path=path, name="StateReason")).stdout == 's "io-error"\n'
    assert "virtio-disk0: no space left" in bed.journal("virtqemud")
    said = bed.run("journalctl --sync; journalctl -u virtqemu@full -x -o short").stdout
    assert "full: I/O error on virtio-disk0: no space left (stop)" in said
    assert "Subject: The VM full can't read or write a disk" in said and "virtctl resume full" in said
    bed.run("mount -o remount,size=16M /srv/small")
    assert "64+0 records out" in read_to(bed, tty, "records out")
    wait_state(bed, "full", "running")
    assert bed.run(property.format(path=path, name="StateReason")).stdout == 's "space-returned"\n'
    call(bed, "TerminateDomain", "st", "full", 0)
    bed.run("umount /srv/small")


def test_screen_and_memory_of_a_confined_guest(bed):
    """A picture and a dump from a QEMU that may open nothing."""
    define(bed, tiny_xml("shown", devices="<video><model type='vga'/></video>"))
    call(bed, "StartDomain", "st", "shown", 0)
    bed.run("virtctl screenshot shown /root/shown.png && virtctl dump shown /root/shown.core kdump-zlib")
    assert bed.run("head -c 4 /root/shown.png | tail -c 3; head -c 12 /root/shown.core").stdout == "PNGmakedumpfile"
    assert state(bed, "shown") == "running"
    call(bed, "TerminateDomain", "st", "shown", 0)


def test_guest_output_is_in_the_journal(bed):
    path = define(bed, guest_xml(bed.guest, name="talker"))
    call(bed, "StartDomain", "st", "talker", 0)
    tty = terminal(bed, path)
    read_to(bed, tty, "READY")
    lines = "journalctl --sync; journalctl -o cat"
    bed.wait(lambda: "VIRTBUS-GUEST-READY" in bed.run(f"{lines} VIRTBUS_DOMAIN=talker VIRTBUS_LOG=serial0").stdout)
    assert "VIRTBUS-GUEST-READY" in bed.run(f"{lines} -u virtqemu@talker").stdout
    assert "VIRTBUS-GUEST-READY" in bed.read("/var/log/virtbus/qemu/talker/serial0.log")
    assert bed.run("systemctl show -P NFileDescriptorStore virtlogd").stdout.strip() == "2"
    call(bed, "TerminateDomain", "st", "talker", 0)
    bed.wait(lambda: bed.run("systemctl show -P NFileDescriptorStore virtlogd").stdout.strip() == "0")


def test_a_start_that_is_taken_back_before_systemd_got_to_it(bed):
    """Who has terminated a VM while it was starting finds it off, and it stays so."""
    path = define(bed, tiny_xml("late"))
    bed.put("/run/systemd/system/slow.service", "[Unit]\nBefore=virtqemu@late.service\n[Service]\nType=oneshot\nExecStart=sh -c 'until [ -e /run/go ]; do sleep 0.05; done'\n")
    bed.put("/run/systemd/system/virtqemu@late.service.d/slow.conf", "[Unit]\nWants=slow.service\nAfter=slow.service\n")
    bed.run("systemctl daemon-reload")
    bed.run(f"busctl call org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain Start 'ta{{sv}}' 8 0")
    bed.wait(lambda: "virtqemu@late.service" in bed.run("systemctl list-jobs").stdout)
    call(bed, "TerminateDomain", "st", "late", 0)
    bed.run("touch /run/go")
    bed.wait(lambda: bed.run("systemctl is-active slow", check=False).stdout.strip() == "inactive")
    assert state(bed, "late") == "shutoff" and "late" not in bed.run("systemctl list-jobs").stdout
    time.sleep(1)
    assert state(bed, "late") == "shutoff" and bed.run("systemctl is-active virtqemu@late", check=False).stdout.strip() == "inactive"
    bed.run("rm -r /run/go /run/systemd/system/slow.service /run/systemd/system/virtqemu@late.service.d; systemctl daemon-reload")
    call(bed, "StartDomain", "st", "late", 0)
    call(bed, "TerminateDomain", "st", "late", 0)


def test_undefined_is_disabled(bed):
    """When the answer is there so is all of it; and a VM whose unit is enabled already says so."""
    enabled = "busctl get-property org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain Autostart"
    path = define(bed, tiny_xml("gone"))
    bed.run(f"busctl call org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain SetAutostart 'bta{{sv}}' true 0 0")
    bed.run(f"busctl call org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain Undefine 'ta{{sv}}' 0 0")
    assert not bed.exists("/etc/systemd/system/multi-user.target.wants/virtqemu@gone.service") and state(bed, "gone") is None
    bed.run("systemctl enable virtqemu@gone")
    assert bed.run(enabled.format(path=define(bed, tiny_xml("gone")))).stdout == "b true\n"
    bed.run("virtctl undefine gone")
    assert not bed.exists("/etc/systemd/system/multi-user.target.wants/virtqemu@gone.service")


def test_unknown_and_busy_units(bed):
    assert bed.run("systemctl start virtqemu@nobody", check=False).returncode != 0
    assert 'no domain is called "nobody"' in bed.journal("virtqemu@nobody")
    assert "status=78" in bed.journal("virtqemu@nobody")


def test_names_survive_the_way_through_units(bed):
    for name in ("with space", "with-dash", "ünï.cöde", "a_b:c@d"):
        define(bed, tiny_xml(name))
        call(bed, "StartDomain", "st", name, 0)
        assert state(bed, name) == "running"
        call(bed, "TerminateDomain", "st", name, 0)
    assert bed.exists("/etc/virtbus/domains/with-dash.xml")


def test_requires_between_vms(bed):
    define(bed, tiny_xml("db"))
    define(bed, tiny_xml("app"))
    bed.put("/etc/systemd/system/virtqemu@app.service.d/needs.conf",
            "[Unit]\nRequires=virtqemu@db.service\nAfter=virtqemu@db.service\n")
    bed.run("systemctl daemon-reload")
    bed.run("systemctl start virtqemu@app")
    assert state(bed, "db") == "running" and state(bed, "app") == "running"
    call(bed, "TerminateDomain", "st", "app", 0)
    call(bed, "TerminateDomain", "st", "db", 0)


def test_polkit_refuses_ordinary_users(bed):
    define(bed, tiny_xml("mine"))
    listed = bed.run("busctl call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager ListDomains", user=USER)
    assert '"mine"' in listed.stdout
    refused = bed.run("dbus-send --system --print-reply --dest=org.virtbus.qemu1 /org/virtbus/qemu1 "
                      "org.virtbus.qemu1.Manager.StartDomain string:mine uint64:0", user=USER, check=False)
    assert refused.returncode != 0 and "org.virtbus.qemu1.manage-power" in refused.stderr
    assert state(bed, "mine") == "shutoff"
    bed.put("/etc/polkit-1/rules.d/50-test.rules",
            'polkit.addRule(function(action, subject) {\n'
            '  if (action.id == "org.virtbus.qemu1.manage-power" && action.lookup("domain") == "mine" && subject.user == "%s")\n'
            '    return polkit.Result.YES;\n});\n' % USER)
    path = bed.run("busctl call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager GetDomain s mine",
                   user=USER).stdout.split('"')[1]
    bed.wait(lambda: bed.run(f"busctl call org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain Start 'ta{{sv}}' 0 0", user=USER,
                             check=False).returncode == 0, what="the rule is in force")
    assert state(bed, "mine") == "running"
    call(bed, "TerminateDomain", "st", "mine", 0)


def test_session_mode(bed):
    bed.run("systemctl --user start virtqemud.socket", user=USER)
    bed.run("mkdir -p /home/tester/vm && cp /srv/kernel /srv/initrd /home/tester/vm/ && mkfifo /home/tester/vm/fifo.in /home/tester/vm/fifo.out && "
            "chown -R tester /home/tester/vm")
    image = SimpleNamespace(kernel=f"/home/{USER}/vm/kernel", initrd=f"/home/{USER}/vm/initrd", cmdline=bed.guest.cmdline)
    fifo = f"<serial type='pipe'><source path='/home/{USER}/vm/fifo'/></serial>"
    bed.put("/srv/definition.xml", guest_xml(image, name="own", devices=fifo).replace(
        "<serial type='pty'/>", f"<serial type='file'><source path='/home/{USER}/vm/own.txt'/></serial>"))
    define(bed, bed.read("/srv/definition.xml"), user=USER)
    bed.run("systemctl --user start virtqemu@own", user=USER)
    assert state(bed, "own", user=USER) == "running"
    assert state(bed, "own") is None, "the system's virtqemud has nothing to do with it"
    assert "own" not in machines(bed)
    bed.wait(lambda: "VIRTBUS-GUEST-READY" in bed.read(f"/home/{USER}/vm/own.txt"), 60)
    relay = "systemctl --user list-units --all --no-legend 'virtqemu-relay-*'"
    assert "running Connection serial1 of Virtual Machine own" in " ".join(bed.run(relay, user=USER).stdout.split())
    bed.run("systemctl --user stop virtqemu@own", user=USER, timeout=60)
    bed.wait(lambda: "relay" not in bed.run(relay, user=USER).stdout)
    assert "VIRTBUS-GUEST-POWERDOWN" in bed.read(f"/home/{USER}/vm/own.txt")
    assert bed.exists(f"/home/{USER}/.config/virtbus/domains/own.xml")


def test_installed_files_only(bed):
    """What runs comes from where it was installed to."""
    bed.run("busctl call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager ListDomains")
    pid = bed.run("systemctl show -P MainPID virtqemud").stdout.strip()
    assert bed.run(f"readlink /proc/{pid}/exe").stdout.strip() == "/usr/lib/virtbus/virtqemud"


def test_death_of_the_daemon(bed):
    guest(bed, "steady")
    call(bed, "StartDomain", "st", "steady", 0)
    pid = bed.run("systemctl show -P MainPID virtqemud").stdout.strip()
    vm = bed.run("systemctl show -P MainPID virtqemu@steady").stdout
    bed.kill("virtqemud")
    bed.wait(lambda: state(bed, "steady") == "running", what="it is adopted")
    assert bed.run("systemctl show -P MainPID virtqemud").stdout.strip() != pid
    assert bed.run("systemctl show -P MainPID virtqemu@steady").stdout == vm
    bed.run("systemctl restart virtqemud")
    assert state(bed, "steady") == "running"
    # Powered off while no virtqemud is there to see it.
    wait_said(bed, "steady", "VIRTBUS-GUEST-READY")
    bed.run("systemctl stop virtqemud.socket virtqemud.service")
    bed.run("systemctl kill --signal=SIGTERM --kill-who=main virtqemu@steady")
    bed.wait(lambda: bed.run("systemctl is-active virtqemu@steady", check=False).stdout.strip() == "inactive", 40)
    bed.run("systemctl start virtqemud.socket")
    assert state(bed, "steady") == "shutoff"


def test_many_deaths_of_the_daemon(bed):
    """However often it is killed in a row."""
    for _ in range(8):
        state(bed, "none")
        bed.kill("virtqemud")
    bed.wait(lambda: bed.run("systemctl is-active virtqemud", check=False).stdout == "active\n")
    assert state(bed, "none") is None


def test_death_after_the_unit_was_told(bed):
    """Limits that nobody was told of are taken back by the virtqemud that comes next, and so is the definition."""
    define(bed, tiny_xml("limited", extra="<cputune><shares>250</shares></cputune>"))
    bed.put("/etc/systemd/system/virtqemud.service.d/die.conf", b"[Service]\nEnvironment=VIRTBUS_FAIL_STEP=/run/virtbus/qemu/die\n")
    bed.run("systemctl daemon-reload && systemctl restart virtqemud")
    call(bed, "StartDomain", "st", "limited", 0)
    weight = "systemctl show -P CPUWeight virtqemu@limited"
    assert bed.run(weight).stdout == "250\n"
    bed.put("/run/virtbus/qemu/die", b"set-properties tell dies")
    assert bed.run("virtctl set --live --config limited CPUWeight=300", check=False).returncode != 0
    bed.wait(lambda: not bed.exists("/run/virtbus/qemu/die"), what="virtqemud has died")
    bed.wait(lambda: state(bed, "limited") == "running" and bed.run(weight).stdout == "250\n",
             what="the unit's weight is what it was")
    bed.wait(lambda: "<shares>250<" in bed.read("/etc/virtbus/domains/limited.xml"), what="so is the definition")
    bed.run("rm /etc/systemd/system/virtqemud.service.d/die.conf && systemctl daemon-reload")
    call(bed, "TerminateDomain", "st", "limited", 0)


LINK = """
import socket, ssl, struct, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as s:
    s = ssl.create_default_context(cafile="/etc/pki/libvirt-spice/ca-cert.pem").wrap_socket(s, server_hostname="127.0.0.1")
    s.sendall(struct.pack("<4sIIIIBBIIII", b"REDQ", 2, 2, 22, 0, 1, 0, 1, 0, 18, 1))
    print(s.recv(4))
"""


def test_display_with_tls(bed, tmp_path):
    """The sandbox lets QEMU have the certificates, and nothing of it be reached from outside."""
    certificates.make(tmp_path)
    for name in ("ca-cert.pem", "server-cert.pem", "server-key.pem"):
        bed.put(f"/etc/pki/libvirt-spice/{name}", (tmp_path / name).read_bytes(), mode=0o600)
    path = define(bed, tiny_xml("shown", devices="<graphics type='spice' autoport='yes'/>"))
    call(bed, "StartDomain", "st", "shown", 0)
    port = bed.run(f"busctl get-property org.virtbus.qemu1 {path}/device/graphics0 org.virtbus.qemu1.Graphics TLSPort").stdout.split()[1]
    assert bed.run(["/usr/bin/python3", "-c", LINK, port]).stdout == "b'REDQ'\n"
    # Its monitor is a socket with a path, made for it.
    listening = bed.run("ss -Htlnp; ss -Hxlp").stdout.splitlines()
    assert any(f"127.0.0.1:{port}" in line and "virtqemud" in line for line in listening)
    assert not [line for line in listening if "qemu-system" in line and "/run/virtbus/" not in line]
    call(bed, "TerminateDomain", "st", "shown", 0)
    bed.run("rm -r /etc/pki/libvirt-spice")


VENCRYPT = """
import socket, ssl, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as s:
    for wanted, answer in ((12, b"RFB 003.008\\n"), (2, b"\\x13"), (2, b"\\0\\2"), (6, b"\\0\\0\\1\\4"), (1, b"")):
        assert len(s.recv(wanted, socket.MSG_WAITALL)) == wanted
        s.sendall(answer)
    s = ssl.create_default_context(cafile="/etc/pki/libvirt-vnc/ca-cert.pem").wrap_socket(s, server_hostname="127.0.0.1")
    print(s.recv(4))
"""


UPGRADE = """
import socket, ssl, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as s:
    s = ssl.create_default_context(cafile="/etc/pki/libvirt-vnc/ca-cert.pem").wrap_socket(s, server_hostname="127.0.0.1")
    s.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Version: 13\\r\\n"
              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n")
    text = b""
    while b"RFB 003.008" not in text:
        text += s.recv(100) or sys.exit("closed after %r" % text)
    print("RFB")
"""


def test_vnc_with_tls(bed, tmp_path):
    """The folder that leads QEMU to the certificates is one that its user can look into."""
    certificates.make(tmp_path)
    for name in ("ca-cert.pem", "server-cert.pem", "server-key.pem"):
        bed.put(f"/etc/pki/libvirt-vnc/{name}", (tmp_path / name).read_bytes(), mode=0o600)
    bed.put("/etc/virtbus/qemu.conf.d/tls.conf", b"[Displays]\nVncTLS=yes\n")
    bed.run("systemctl reload-or-restart virtqemud")
    path = define(bed, tiny_xml("private", devices="<graphics type='vnc' autoport='yes' websocket='-1'/>"))
    call(bed, "StartDomain", "st", "private", 0)
    port = bed.run(f"busctl get-property org.virtbus.qemu1 {path}/device/graphics0 org.virtbus.qemu1.Graphics Port").stdout.split()[1]
    assert bed.run(["/usr/bin/python3", "-c", VENCRYPT, port]).stdout == repr(bytes(4)) + "\n"
    port = bed.run(f"busctl get-property org.virtbus.qemu1 {path}/device/graphics0 org.virtbus.qemu1.Graphics WebSocketPort").stdout.split()[1]
    assert bed.run(["/usr/bin/python3", "-c", UPGRADE, port]).stdout == "RFB\n"
    bed.wait(lambda: "websocket" not in bed.run("systemctl list-units --no-legend --all 'virtqemu-websocket-*'").stdout)
    bed.run("virtctl kill private; rm -r /etc/pki/libvirt-vnc /etc/virtbus/qemu.conf.d/tls.conf; systemctl reload-or-restart virtqemud", timeout=100)


def test_autostart_and_host_shutdown(bed):
    """Enabled VMs start with the host, and power off with it. The name is none of a user's: virtbus-generator gives it one before there is a virtqemud."""
    guest(bed, "always.on")
    path = bed.run("busctl call org.virtbus.qemu1 /org/virtbus/qemu1 org.virtbus.qemu1.Manager GetDomain s always.on").stdout.split('"')[1]
    bed.run(f"busctl call org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain SetAutostart 'bta{{sv}}' true 0 0")
    assert bed.run("systemctl is-enabled virtqemu@always.on").stdout.strip() == "enabled"
    assert "b true" in bed.run(f"busctl get-property org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain Autostart").stdout
    assert bed.reboot(timeout=patience(60))
    bed.wait(lambda: state(bed, "always.on") == "running", 30)
    wait_said(bed, "always.on", "VIRTBUS-GUEST-READY")
    assert bed.stop(timeout=patience(90)), "the host's shutdown was clean"
    bed.boot_again()
    assert said(bed, "always.on").count("VIRTBUS-GUEST-POWERDOWN") >= 1
    bed.run("systemctl disable virtqemu@always.on")
    bed.wait(lambda: "b false" in bed.run(f"busctl get-property org.virtbus.qemu1 {path} org.virtbus.qemu1.Domain Autostart").stdout)
    bed.run("systemctl stop virtqemu@always.on", timeout=100)
