# SPDX-License-Identifier: LGPL-2.1-or-later
"""The installed QEMU takes every golden command line, and every command that is sent before the guest runs."""

import fcntl
import json
import os
import re
import resource
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import pytest

import certificates
import guest
from pace import patient
from rawqemu import Qmp, QemuError, die_with_parent

pytestmark = pytest.mark.guest

CASES = sorted(p.parent for p in (Path(__file__).resolve().parents[1] / "data" / "domain").glob("*/argv"))
OVMF = Path("/usr/share/OVMF")
FIRMWARE = {"/fw/CODE.fd": OVMF / "OVMF_CODE_4M.fd", "/fw/CODE.secboot.fd": OVMF / "OVMF_CODE_4M.secboot.fd"}
HIGH = 200  # descriptors wait up here until the child puts them at their numbers


class Case:
    def __init__(self, folder):
        self.argv, self.fds, self.commands = [], [], []
        for line in (folder / "argv").read_text().splitlines():
            if fd := re.match(r"# fd (\d+): (\S+) (.*)", line):
                self.fds.append((int(fd[1]), fd[2], fd[3]))
            elif line.startswith("# qmp "):
                self.commands.append(json.loads(line[len("# qmp "):]))
            elif line.startswith(("# unit", "# program")):
                continue
            else:
                option, _, value = line.partition(" ")
                self.argv += [option, value] if value else [option]
        # Which sizes of huge pages there are, and how many, is the host's affair.
        self.argv = [re.sub(',"hugetlb":true,"hugetlbsize":[0-9]+', "", a) for a in self.argv]
        # A render node is the machine tier's to have (test_graphics_of_the_host).
        self.argv = [re.sub(r"^egl-headless.*|,gl=on(,rendernode=([^,]|,,)*)?|(?<=virtio-vga)-gl|(?<=virtio-gpu)-gl", lambda m: "none" if m[0].startswith("egl") else "", a)
                     for a in self.argv]
        blockdevs = [json.loads(a) for a in self.argv if a.startswith('{"driver":"file"')]
        read_only = {b["filename"].rpartition("/")[2] for b in blockdevs if b.get("read-only")}
        sets = dict(re.match(r"fd=(\d+),set=(\d+)", a).groups() for a in self.argv if a.startswith("fd=") and ",set=" in a)
        self.read_only = {int(fd) for fd, number in sets.items() if number in read_only}
        formats = {b["file"]: b["driver"] for a in self.argv if a.startswith('{"driver":') and ("encrypt" in (b := json.loads(a)) or "key-secret" in b)}
        self.encrypted = {int(fd): formats[b["node-name"]] for b in blockdevs for fd, number in sets.items()
                          if b["node-name"] in formats and b["filename"] == f"/dev/fdset/{number}"}


PASSPHRASE = b"open sesame"


def open_secret():
    fd = os.memfd_create("secret")
    os.write(fd, PASSPHRASE)
    os.lseek(fd, 0, os.SEEK_SET)
    return os.fdopen(fd, "rb")


def start_tpm(folder):
    """It ends with the connection."""
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen(["swtpm", "socket", "--tpm2", "--ctrl", f"type=unixio,clientfd={theirs.fileno()}", "--tpmstate", f"dir={folder}", "--terminate"],
                         pass_fds=[theirs.fileno()], preexec_fn=die_with_parent)
    return ours


def start_fs(folder, number):
    """Likewise; it is connected to before it is there."""
    theirs, ours = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    theirs.bind(str(folder / f"fs{number}"))
    with theirs:
        theirs.listen()
        ours.connect(theirs.getsockname())
        subprocess.Popen(["/usr/lib/qemu/virtiofsd", f"--fd={theirs.fileno()}", "-o", f"source={folder}"], pass_fds=[theirs.fileno()],
                         preexec_fn=die_with_parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return ours


def start_proxy(folder):
    """It ends with the connection."""
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen(["/usr/lib/qemu/virtfs-proxy-helper", "--nodaemon", "--fd", "0", "--path", folder], stdin=theirs, preexec_fn=die_with_parent,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return ours


def start_nbd(folder, number):
    """In the place of a server in the network."""
    theirs, ours = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    theirs.bind(str(folder / f"nbd{number}"))
    image = folder / f"nbd{number}.qcow2"  # which is as good for those that take raw bytes
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"], check=True, timeout=30)
    with theirs:
        theirs.listen()
        ours.connect(theirs.getsockname())
        subprocess.Popen(["/bin/sh", "-c", f"exec env LISTEN_FDS=1 LISTEN_PID=$$ qemu-nbd -x disk -f raw {image} 3<&0"], stdin=theirs,
                         preexec_fn=die_with_parent)
    return ours


def start_pr_helper(folder, number):
    """What leads to its socket. It waits there before it runs, and ends with us."""
    path = folder / f"pr{number}"
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(path))
        theirs.listen()
        subprocess.Popen(["/bin/sh", "-c", "exec env LISTEN_FDS=1 LISTEN_PID=$$ qemu-pr-helper 3<&0"], stdin=theirs, preexec_fn=die_with_parent)
    return os.fdopen(os.open(path, os.O_PATH), "rb", buffering=0)


def udp(_address, _port, address, port):
    """From any port, so that nobody is in the way."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((address, int(port)))
    return s


KEPT = []  # ends of connections whose other ends QEMU has


def ivshmem_server():
    """What one says first: its version, the number of the one who came, and the memory."""
    ours, theirs = socket.socketpair()
    memory = os.memfd_create("shared")
    os.truncate(memory, 1 << 20)
    ours.sendall(struct.pack("<qq", 0, 1))
    socket.send_fds(ours, [struct.pack("<q", -1)], [memory])
    os.close(memory)
    KEPT.append(ours)
    return theirs


def make_encrypted(path, driver):
    """QEMU measures how fast it is, which may fail where others are busy: it is tried again."""
    encrypt = "encrypt." if driver == "qcow2" else ""
    options = ("encrypt.format=luks," if encrypt else "") + f"{encrypt}key-secret=s,{encrypt}iter-time=10"
    for _ in range(5):
        with open_secret() as secret:
            made = subprocess.run(["qemu-img", "create", "-q", "-f", driver, "--object", f"secret,id=s,file=/dev/fd/{secret.fileno()}", "-o", options,
                                   path, "1M"], timeout=60, pass_fds=[secret.fileno()])
        if made.returncode == 0:
            return
    pytest.fail(f"no encrypted image {path}")


def open_scratch(key, tmp_path):
    """What is made anew for each start: memory, or the layer of a disk."""
    file = tmp_path / f"scratch-{key}"
    file.touch()
    if "disk" in key:
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", file, "1M"], check=True, timeout=30)
    return open(file, "r+b", buffering=0)


def open_file(path, tmp_path, read_only, encrypted):
    """What will do for a file of the plan."""
    mode = "rb" if read_only else "r+b"
    if path == "/boot/vmlinuz":
        return open(guest.find_kernel()[0], "rb")
    if path in FIRMWARE:
        return open(FIRMWARE[path], "rb")
    if path.endswith(".pem"):
        file = tmp_path / "pki" / Path(path).name
        return open(file if file.exists() else certificates.make(file.parent) / file.name, "rb")
    copy = tmp_path / path.replace("/", "_")
    if "VARS" in path:
        shutil.copyfile(OVMF / "OVMF_VARS_4M.fd", copy)
    elif "slic" in path or path.endswith(".dat"):
        copy.write_bytes(struct.pack("<4sIBB6s8sI4sI", b"SLIC" if "slic" in path else b"MSDM" if "msdm" in path else b"TEST", 36, 1, 0, b"MAKER ", b"TABLE   ", 1, b"TEST", 1))
    elif encrypted:
        make_encrypted(copy, encrypted)
    elif path.endswith((".qcow2", ".vdi", ".vpc", ".vhdx", ".vmdk", ".qed", ".qcow")):
        subprocess.run(["qemu-img", "create", "-q", "-f", path.rpartition(".")[2], copy, "1M"], check=True, timeout=30)
    else:
        copy.write_bytes(b"\0" * (1 << 20))
    return open(copy, mode)


class Folder:
    """One whose names lead to the descriptors of files that the plan has from it."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def fileno(self):
        return self.fd

    def close(self):
        os.close(self.fd)


def open_folder(path, case, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, kind, file in case.fds:
        if kind == "memfd" and os.path.dirname(file) == path:
            (folder / os.path.basename(file)).symlink_to(f"/proc/self/fd/{number}")
    return Folder(folder)


VHOST = "/dev/vhost-net"
VSOCK = "/dev/vhost-vsock"


def listener(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(path))
    s.listen(1)
    return s


def without_vhost(case):
    """Where the kernel can't carry frames QEMU does, and the rest of the command line can still be tried."""
    case.fds = [fd for fd in case.fds if fd[1] != "vhost"]
    for i, arg in enumerate(case.argv):
        if '"vhost":true' in arg:
            case.argv[i] = json.dumps({k: v for k, v in json.loads(arg).items() if not k.startswith("vhost")})


def without_vsock(case):
    """Likewise the sockets between guest and host: the device is left out."""
    case.fds = [fd for fd in case.fds if fd[1] != "vsock"]
    for i, arg in enumerate(case.argv):
        if '"driver":"vhost-vsock' in arg:
            del case.argv[i - 1:i + 1]
            return


def without_host_devices(case):
    """They are the machine tier's to try."""
    netdevs = [f'"netdev":"{json.loads(a)["id"]}"' for a in case.argv if a.startswith('{"type":"vhost-')]
    names = [json.loads(a)["drive"] for a in case.argv if a.startswith('{"driver":"scsi-block"')]
    whole = [f'"node-name":"{n}"' for n in (*names, *(n.replace("-format", "-storage") for n in names))]
    of_host = ('"driver":"host_device"', '"driver":"scsi-generic"', '"driver":"vhost-scsi', *whole, '"driver":"scsi-block"', '"driver":"vhost-user-blk','{"type":"vhost-user"', '{"type":"vhost-vdpa"', *netdevs, '"driver":"usb-host"', '"driver":"vfio-pci', '"qom-type":"input-linux"', '"driver":"virtio-input-host')
    if any(a.startswith("passthrough,") for a in case.argv):
        of_host = (*of_host, "passthrough,id=", '"driver":"tpm-')
    case.argv = [re.sub(r'"nvme","device":"[^"]*","namespace":\d+', '"null-co","size":1048576', a) for a in case.argv]
    case.argv = [re.sub(r'^({"id":"audio\d+","driver":")(alsa|oss|pa)".*', r'\1none"}', a) for a in case.argv]
    kept = [(a, b) for a, b in zip(case.argv, [*case.argv[1:], ""]) if not any(w in x for w in of_host for x in (a, b))]
    case.argv = [re.sub(r"^(serial|parallel),(id=[^,]*),.*", r"null,\2", a) for a, _ in kept]


def may_lock_memory():
    """Root of a container often may not: that takes a capability, or a limit that is none."""
    rights = int(re.search(r"^CapEff:\s+(\w+)", Path("/proc/self/status").read_text(), re.M).group(1), 16)
    return bool(rights & 1 << CAP_IPC_LOCK) or resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY


CAP_IPC_LOCK = 14
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_MULTI_QUEUE, IFF_VNET_HDR = 0x400454ca, 0x0002, 0x1000, 0x0100, 0x4000


def tap(queue, queues):
    """Queue "DEVICE/NUMBER" of a tap that is gone when its queues are closed; it is never set up."""
    device = queue.partition("/")[0]
    many = sum(q.partition("/")[0] == device for q in queues) > 1
    f = open("/dev/net/tun", "r+b", buffering=0)
    fcntl.ioctl(f, TUNSETIFF, struct.pack("16sH22x", f"vb{os.getpid()}{device}".encode()[:15],
                                          IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (IFF_MULTI_QUEUE if many else 0)))
    return f


@pytest.mark.parametrize("folder", CASES, ids=lambda f: f.name)
def test_command_line(folder, tmp_path):
    case = Case(folder)
    if not os.path.exists(VHOST):
        without_vhost(case)
    if not os.path.exists(VSOCK):
        without_vsock(case)
    without_host_devices(case)
    if not may_lock_memory():
        case.argv = [a.replace("mem-lock=on", "mem-lock=off") for a in case.argv]
    ours, theirs = socket.socketpair()
    held = [theirs]
    numbers = {}
    for number, kind, path in case.fds:
        if "tpm" in path:
            held.append(start_tpm(tmp_path))
        elif re.search("^fs|/fs", path) and "9p" not in folder.name:
            held.append(start_fs(tmp_path, number))
        elif kind == "socket":
            held.append(start_pr_helper(tmp_path, number))
        elif kind == "udp":
            held.append(udp(*path.split()))
        elif kind == "connect-tcp" or path in ("/run/egd.sock", "/run/redir.sock") or (kind == "connect" and "vhost" in path):
            held += socket.socketpair()
        elif "ivshmem" in path:
            held.append(ivshmem_server())
        elif kind == "companion" and any(f"path=/proc/self/fd/{number}," in a for a in case.argv):
            held.append(Folder(tmp_path))
        elif kind == "companion" and "9p" in folder.name:
            held.append(start_proxy(tmp_path))
        elif kind == "companion" and re.search("disk|floppy", path):
            held.append(start_nbd(tmp_path, number))
        elif kind == "companion":
            held += socket.socketpair()
        elif kind == "monitor-run":
            held.append(theirs)
        elif kind == "vsock":
            held.append(open(VSOCK, "r+b", buffering=0))
        elif kind == "vhost":
            held.append(open(VHOST, "r+b", buffering=0))
        elif kind == "tap":
            held.append(tap(path, [p for _, k, p in case.fds if k == "tap"]))
        elif kind in ("monitor", "console", "relay", "listen", "listen-tcp"):
            held.append(listener(tmp_path / f"socket{number}"))
        elif kind in ("log", "output"):
            held.append(open(tmp_path / f"output{number}", "wb"))
        elif kind == "scratch":
            held.append(open_scratch(path, tmp_path))
        elif kind == "usb":
            held.append(open(os.devnull, "r+b", buffering=0))
        elif kind == "secret":
            held.append(open_secret())
        elif kind == "folder":
            held.append(open_folder(path, case, tmp_path))
        else:
            held.append(open_file(path, tmp_path, number in case.read_only, case.encrypted.get(number)))
        numbers[number] = os.dup2(held[-1].fileno(), HIGH + number)

    def place():
        die_with_parent()
        for number, fd in numbers.items():
            os.dup2(fd, number)

    qemu = subprocess.Popen(case.argv, close_fds=False, preexec_fn=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        for fd in numbers.values():
            os.close(fd)
        for h in held:
            h.close()
        failed = None
        try:
            monitor = Qmp(ours)
            for command in case.commands:
                monitor.run(command["execute"], **command.get("arguments", {}))
            monitor.run("quit")
        except (QemuError, OSError) as e:
            failed = e
        try:
            _, stderr = qemu.communicate(timeout=patient(20))
        except subprocess.TimeoutExpired:
            qemu.kill()
            stderr = qemu.communicate()[1]
        assert not failed, (failed, stderr)
        assert qemu.returncode == 0 and not stderr.strip(), stderr
    finally:
        qemu.kill()
        qemu.wait()
        ours.close()
