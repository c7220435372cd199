# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small Linux guest for the tests: the installed Debian kernel and an initramfs built around busybox.

    guest = build()                          # cached by content, safe when several test runs do it at once
    guest.kernel, guest.initrd, guest.cmdline
    console = Console(connected_socket)
    console.wait("VIRTBUS-GUEST-READY")
    console.ask("disks")                     # ["DISK vda 1048576 hello..........."]
"""

import contextlib
import glob
import hashlib
import lzma
import os
import re
import select
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from pace import Deadline

HERE = Path(__file__).resolve().parent
BUSYBOX = Path("/usr/bin/busybox")
BUSYBOX_PACKAGE = "busybox-static"

# What a virtual machine can be given, and what the guest should have a driver for. Dependencies are added.
GUEST_MODULES = """
    virtio_pci virtio_mmio virtio_blk virtio_scsi virtio_net virtio_console virtio_rng virtio_balloon virtio_input virtio_mem
    virtio_pmem nfit nd_pmem nd_btt nd_pfn
    sd_mod sr_mod ahci ata_piix e1000 e1000e rtl8139 8139cp 8139too nvme
    xhci_pci ehci_pci uhci_hcd usbhid hid_generic usb_storage uas psmouse
    evdev button pvpanic_pci pvpanic_mmio i6300esb qemu_fw_cfg
    isofs vfat ext4 9p 9pnet_virtio virtiofs vmw_vsock_virtio_transport
    crc32c_generic af_packet
""".split()

# Quick under emulation: no mitigations, no self tests, no waiting for entropy or for a floppy drive's interrupt, no patching of
# the kernel's own code, no string instructions to copy memory with.
FAST_CMDLINE = ("console=ttyS0 quiet mitigations=off cryptomgr.notests random.trust_cpu=on no_timer_check "
                "tsc=reliable rcupdate.rcu_expedited=1 rodata=off noreplace-smp clearcpuid=rep_good audit=0 selinux=0 apparmor=0 "
                "usb_storage.delay_use=0")

SIGNATURE_END = b"~Module signature appended~\n"


class GuestError(Exception):
    """The guest could not be built, or it did not do what it should in time."""


@dataclass(frozen=True)
class Guest:
    """Paths of a kernel and an initramfs, and the command line they want."""

    kernel: Path      # unpacked ELF kernel: an emulated guest is up in half the time; wants SeaBIOS
    bzimage: Path     # the same kernel as installed, for UEFI firmware
    initrd: Path
    cmdline: str


def command_line():
    """For the guest's kernel. An emulated processor counts the host's ticks: how many a second, it cannot measure where the host
    is busy, and its clock would be wrong by as much."""
    found = re.search(r"^bogomips\s*: ([0-9.]+)", Path("/proc/cpuinfo").read_text(), re.M) if os.uname().machine == "x86_64" else None
    return FAST_CMDLINE + (f" tsc_early_khz={round(float(found.group(1)) * 500)}" if found else "")


def find_kernel():
    """Newest installed Debian kernel that has its modules: (bzImage, module directory)."""
    for image in sorted(glob.glob("/boot/vmlinuz-*-amd64"), key=os.path.getmtime, reverse=True):
        modules = Path("/lib/modules") / image.partition("vmlinuz-")[2]
        if (modules / "modules.dep").exists():
            return Path(image), modules
    raise GuestError("no kernel /boot/vmlinuz-*-amd64 with modules: install linux-image-amd64")


def why_not():
    """Why the guest cannot be built here, or None."""
    if not BUSYBOX.exists():
        return f"{BUSYBOX} is missing: install {BUSYBOX_PACKAGE}"
    try:
        find_kernel()
    except GuestError as e:
        return str(e)
    return None


class Modules:
    """What modules.dep, modules.alias and modules.builtin of one kernel say."""

    def __init__(self, root):
        self.root = root
        self.paths = {}
        self.needs = {}
        for line in (root / "modules.dep").read_text().splitlines():
            path, _, needs = line.partition(":")
            self.paths[self.name(path)] = path
            self.needs[self.name(path)] = [self.name(n) for n in needs.split()]
        self.builtin = {self.name(p) for p in (root / "modules.builtin").read_text().split()}

    @staticmethod
    def name(path):
        return Path(path).name.partition(".ko")[0].replace("-", "_")

    def closure(self, names):
        """The modules and all they need, sorted. A name that the kernel has built in or does not know is left out."""
        wanted, todo = set(), [self.name(n) for n in names]
        while todo:
            name = todo.pop()
            if name in wanted or name not in self.paths:
                continue
            wanted.add(name)
            todo += self.needs[name]
        return sorted(wanted)

    def content(self, name):
        """The module without its signature: checking it costs the guest time and nobody asks for it."""
        data = (self.root / self.paths[name]).read_bytes()
        if not data.endswith(SIGNATURE_END):
            return data
        end = len(data) - len(SIGNATURE_END)
        # struct module_signature: 12 bytes, the last four are the length of the signature before it, big endian.
        return data[:end - 12 - int.from_bytes(data[end - 4:end], "big")]

    def aliases(self, names):
        """The lines of modules.alias that lead to one of the modules."""
        names = set(names)
        lines = (self.root / "modules.alias").read_text().splitlines()
        return "".join(f"{line}\n" for line in lines if line.startswith("alias ") and line.rsplit(" ", 1)[1] in names)


class Cpio:
    """A newc archive, uncompressed: unpacking is slower under emulation than reading."""

    def __init__(self):
        self.out = bytearray()
        self.serial = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.serial += 1
        raw = name.encode() + b"\0"
        fields = (self.serial, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(raw), 0)
        self.out += b"070701" + b"".join(b"%08X" % f for f in fields) + raw
        self._pad()
        self.out += data
        self._pad()

    def _pad(self):
        self.out += b"\0" * (-len(self.out) % 4)

    def directory(self, name):
        self.add(name, 0o040755)

    def file(self, name, data, mode=0o644):
        self.add(name, 0o100000 | mode, data)

    def link(self, name, target):
        self.add(name, 0o120777, target.encode())

    def device(self, name, major, minor):
        self.add(name, 0o020600, device=(major, minor))

    def finish(self):
        self.add("TRAILER!!!", 0)
        return bytes(self.out)


def busybox_tools(text):
    """The words of a script that may be busybox applets; a link for one that is none does no harm."""
    return sorted({w for w in re.findall(r"[a-z_0-9]{2,}", text)} | {"sh", "[", "test"})


def base_archive(init):
    """An archive with busybox, its tools and /init, to which a caller may add files."""
    cpio = Cpio()
    for name in ("bin", "dev", "proc", "sys", "tmp", "etc", "lib", "lib/modules"):
        cpio.directory(name)
    cpio.device("dev/console", 5, 1)
    cpio.device("dev/null", 1, 3)
    cpio.file("bin/busybox", BUSYBOX.read_bytes(), 0o755)
    listing = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True, timeout=10).stdout
    applets = set(listing.split()) - {"busybox"}
    for tool in busybox_tools(init):
        if tool in applets:
            cpio.link(f"bin/{tool}", "busybox")
    cpio.file("init", init.encode(), 0o755)
    return cpio


def add_modules(cpio, tree, names):
    """Modules, their dependencies and what modprobe needs to find them by name or by device."""
    wanted = tree.closure(names)
    where = f"lib/modules/{tree.root.name}"
    cpio.directory(where)
    dep = []
    for name in wanted:
        cpio.file(f"{where}/{name}.ko", tree.content(name))
        # modprobe loads them from the last to the first, so the kernel's own order must stay.
        dep.append(f"{name}.ko:" + "".join(f" {n}.ko" for n in tree.needs[name]) + "\n")
    cpio.file(f"{where}/modules.dep", "".join(dep).encode())
    cpio.file(f"{where}/modules.alias", tree.aliases(wanted).encode())


def unpack_kernel(image):
    """The ELF kernel inside a bzImage made with xz, as Debian's is; the image itself if it is packed differently."""
    for found in re.finditer(b"\xfd7zXZ\0", image):
        try:
            elf = lzma.LZMADecompressor().decompress(image[found.start():])
        except lzma.LZMAError:
            continue
        if elf.startswith(b"\x7fELF"):
            return elf
    return image


def cache_directory():
    """Where built guests are kept: the build directory if there is one, else a directory of the user's own."""
    build = os.environ.get("VIRTBUS_BUILD")
    if build and os.access(build, os.W_OK):
        return Path(build) / "test-guest"
    return Path(tempfile.gettempdir()) / f"virtbus-test-guest-{os.getuid()}"


def publish(path, data):
    """Put a file in place in one step, so that a parallel run sees none or all of it."""
    if path.exists():
        return
    fd, tmp = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(fd, "wb") as f:
            f.write(data)
        os.chmod(tmp, 0o644)
        os.rename(tmp, path)
    except BaseException:
        os.unlink(tmp)
        raise


def prune(directory, keep, days=1):
    """Remove what was built of older inputs, unless a run of late may still want it."""
    for path in directory.iterdir():
        # What somebody else builds or removes at the same time is not there any more.
        with contextlib.suppress(FileNotFoundError):
            if path not in keep and path.stat().st_mtime < time.time() - days * 86400:
                path.unlink()


def own_directory(path):
    """A directory nobody else can plant files in."""
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise GuestError(f"{path} belongs to another user: remove it or set VIRTBUS_BUILD")
    return path


def build_parts(init_file, module_names, files=(), cache=None):
    """Build, or find built already, an unpacked kernel and an initramfs with the script init_file as /init, busybox, the
    modules and further files ((name, path) pairs). Returns (kernel, bzimage, initrd); a caller must not change them."""
    reason = why_not()
    if reason:
        raise GuestError(reason)
    image, modules = find_kernel()
    init = Path(init_file).read_text()
    extra = [(name, Path(path).read_bytes()) for name, path in files]
    key = hashlib.sha256()
    for part in (image.read_bytes(), Path(__file__).read_bytes(), init.encode(), BUSYBOX.read_bytes(),
                 repr((module_names, extra)).encode()):
        key.update(hashlib.sha256(part).digest())
    root = own_directory(Path(cache) if cache else cache_directory())
    stem = key.hexdigest()[:16]
    vmlinux = root / f"vmlinux-{hashlib.sha256(image.read_bytes()).hexdigest()[:16]}"
    initrd = root / f"initrd-{stem}"
    if not vmlinux.exists():
        publish(vmlinux, unpack_kernel(image.read_bytes()))
    if not initrd.exists():
        cpio = base_archive(init)
        for folder in sorted({str(f) for name, _ in extra for f in Path(name).parents} - {".", "bin", "lib"}):
            cpio.directory(folder)
        for name, data in extra:
            cpio.file(name, data, 0o755)
        add_modules(cpio, Modules(modules), module_names)
        publish(initrd, cpio.finish())
        prune(root, {vmlinux, initrd})
    return vmlinux, image, initrd


def program_files(program):
    """A program with the libraries it wants, as files of an archive."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True, timeout=10).stdout
    libraries = [m.group(1) for m in re.finditer(r"(/\S+) \(0x", said)]
    return [(f"bin/{Path(program).name}", program), *((f"lib64/{Path(p).name}" if "ld-linux" in p else f"lib/{Path(p).name}", p) for p in libraries)]


def build_with(*programs):
    """Likewise with further programs of the host in it."""
    files = sorted({f for p in programs for f in program_files(p)})
    return Guest(*build_parts(HERE / "guest-init", GUEST_MODULES, files), command_line())


def build(cache=None):
    """Build the guest, or find it built already. Returns a Guest whose files the caller must not change."""
    return Guest(*build_parts(HERE / "guest-init", GUEST_MODULES, cache=cache), command_line())


class Console:
    """The host's end of the guest's first serial port: a connected socket, a pipe, or anything with fileno().

    A thread reads it all the time: a guest that writes byte by byte fills a socket after some 300 characters, and then
    the whole machine waits for its serial port. The thread ends when the other end is closed.
    """

    def __init__(self, stream):
        self.stream = stream
        self.lines = []
        self.rest = b""
        self.seen = 0
        self.closed = False
        self.news = threading.Condition()
        threading.Thread(target=self._read, args=[os.dup(stream.fileno())], daemon=True).start()

    def _read(self, fd):
        while data := self._read_some(fd):
            with self.news:
                *whole, self.rest = (self.rest + data).replace(b"\r", b"").split(b"\n")
                self.lines += [line.decode(errors="replace") for line in whole]
                self.news.notify_all()
        os.close(fd)
        with self.news:
            self.closed = True
            self.news.notify_all()

    @staticmethod
    def _read_some(fd):
        try:
            # Not select(): a test that holds a thousand files comes here, too.
            ready = select.poll()
            ready.register(fd, select.POLLIN)
            ready.poll()
            return os.read(fd, 65536)
        except OSError:
            return b""

    def transcript(self):
        """All that was said so far."""
        return "\n".join([*self.lines, self.rest.decode(errors="replace")])

    def wait(self, pattern, timeout=60):
        """The next line the regular expression is found in; earlier lines are passed over for good."""
        return self._wait(pattern, Deadline(timeout))

    def _wait(self, pattern, deadline):
        with self.news:
            while True:
                while self.seen < len(self.lines):
                    line = self.lines[self.seen]
                    self.seen += 1
                    if re.search(pattern, line):
                        return line
                why = "was closed" if self.closed else "said nothing more in time"
                if self.closed or (not self.news.wait(deadline.left()) and deadline.passed()):
                    raise GuestError(f"the guest's console {why} before {pattern!r}; it said:\n{self.transcript()}")

    def ready(self, timeout=60):
        """Wait until the guest takes commands; returns what it found: its DISK, NIC and CMDLINE lines."""
        start = self.seen
        self.wait("^VIRTBUS-GUEST-READY$", timeout)
        return [line for line in self.lines[start:self.seen] if re.match("(DISK|NIC|CMDLINE) ", line)]

    def ask(self, command, timeout=60):
        """Send a command and return the lines of its answer. Raises GuestError on ERR. Lines that the guest says of
        its own accord meanwhile stay in `lines` but are no part of the answer."""
        self.send(command)
        deadline, answer = Deadline(timeout), []
        while True:
            line = self._wait("", deadline)
            if line == "OK":
                return answer
            if line.startswith("ERR "):
                raise GuestError(f"{command}: {line[4:]}")
            if not line.startswith("VIRTBUS-GUEST-"):
                answer.append(line)

    def insist(self, command, pattern, timeout=60):
        """Send a command again and again, as to a guest that may just boot, until it says what is expected. All answers are passed over."""
        deadline = Deadline(timeout)
        while True:
            self.send(command)
            try:
                self._wait(pattern, Deadline(0.5))
                break
            except GuestError:
                if deadline.passed() or self.closed:
                    raise
        self.send("echo VIRTBUS-GUEST-QUIET")
        self.wait("^VIRTBUS-GUEST-QUIET$", timeout)
        self.wait("^OK$", timeout)

    def send(self, command):
        """Send a command whose answer will not come or is not wanted."""
        data = command.encode() + b"\n"
        while data:
            data = data[os.write(self.stream.fileno(), data):]

    def clock(self):
        """Seconds since the guest's kernel started, as the guest sees them: stands still while it is paused."""
        return float(self.ask("clock")[0].split()[1])

    def stands_between(self, stop, go, seconds):
        """Whether the guest's clock stands from stop() to go(). All else takes its time, which is the more the busier the host is."""
        began, before = time.monotonic(), self.clock()
        stop()
        stopped = time.monotonic()
        time.sleep(seconds)
        standing = time.monotonic() - stopped
        go()
        passed = self.clock() - before
        return 0 <= passed <= time.monotonic() - began - standing + 0.1
