# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disks of servers, with real ones: a program beside QEMU speaks with them, for QEMU has no network."""

import http.server
import os
import re
import socket
import ssl
import subprocess
import threading

import pytest

import certificates
from domains import FORMAT, LIVE, console, define, device, guest_xml, have, tiny_xml
from iscsi import TARGET
from rawqemu import die_with_parent
from test_hotplug import until
from test_storage import SERVICE, storaged  # noqa: F401
from test_storage_network import target  # noqa: F401

pytestmark = [pytest.mark.bus, pytest.mark.skipif(not have("qemu-nbd"), reason="no qemu-nbd")]
MODULES = "/usr/lib/x86_64-linux-gnu/qemu"


@pytest.fixture
def nbd(tmp_path):
    """The port of a server of one image, and the image. The server is given its socket, so that nobody else takes the port first."""
    image = tmp_path / "served.raw"
    image.write_bytes(b"from the server".ljust(1 << 20, b"\0"))
    with socket.create_server(("127.0.0.1", 0), backlog=8) as listener:
        port = listener.getsockname()[1]
        p = subprocess.Popen(["bash", "-c", 'exec 3<&$0; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', str(listener.fileno()),
                              "qemu-nbd", "--persistent", "--shared=4", "-f", "raw", "-x", "web/root", image],
                             stdin=subprocess.DEVNULL, pass_fds=[listener.fileno()], preexec_fn=die_with_parent)
    yield port, image
    p.kill()
    p.wait()


def disk(source, name="vdb", bus="virtio", extra="", what="disk", **driver):
    words = "".join(f" {k}='{v}'" for k, v in driver.items())
    return f"<disk type='network' device='{what}'><driver name='qemu' type='raw'{words}/>{source}<target dev='{name}' bus='{bus}'/>{extra}</disk>"


def nbd_disk(port, name="vdb", more="", **driver):
    return disk(f"<source protocol='nbd' name='web/root'><host name='127.0.0.1' port='{port}'/>{more}</source>", name, **driver)


def helpers(bus):
    """The programs that stand beside QEMU now."""
    found = []
    for pid in bus.watch.alive():
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as f:
                line = f.read().split("\0")
        except OSError:
            continue
        found += [line] if line[0].endswith("qemu-nbd") and "--export-name=disk" in line else []
    return found


def test_guest(bus, qemud, guest_image, nbd):
    """From the start, and plugged in: read, written, and on the server."""
    port, image = nbd
    d = define(bus, guest_xml(guest_image, devices=nbd_disk(port, cache="none", discard="unmap") + "<controller type='pci' model='pcie-root-port'/>" * 4))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("disks")
    assert con.ask("read vda") == ["TEXT from the server"]
    con.ask("write vda written")
    assert image.read_bytes().startswith(b"written")
    source = device(bus, d, "virtio_2ddisk0").Source
    assert (source["type"], source["url"]) == ("network", f"nbd://127.0.0.1:{port}/web/root")
    assert len(helpers(bus)) == 1
    device(bus, d, "virtio_2ddisk0").Detach(LIVE, {}, timeout=60)
    until(lambda: helpers(bus) == [])
    assert d.Warnings == []
    path, _ = d.AttachDevice(FORMAT, nbd_disk(port, "vdc"), LIVE, {})
    con.ask("disks")
    assert con.ask("read vda") == ["TEXT writtene server"]
    bus.object("org.virtbus.qemu1", path).Detach(LIVE, {}, timeout=60)
    d.Terminate(0, {})
    until(lambda: helpers(bus) == [])


def test_nothing_there(bus, qemud):
    """The error says where to look, and nothing is left of the start."""
    with socket.socket() as mute:  # nobody else listens there meanwhile
        mute.bind(("127.0.0.1", 0))
        d = define(bus, tiny_xml(devices=nbd_disk(mute.getsockname()[1])))
        with bus.fails("UnitFailed", "disk virtio-disk0: qemu-nbd has ended instead of starting"):
            d.Start(0, {}, timeout=60)
    assert d.State == "shutoff"
    until(lambda: helpers(bus) == [])
    d.Undefine(0, {})


def test_server_that_comes_back(bus, qemud, nbd):
    """Requests wait as long as the definition says; the program lives on."""
    port, _ = nbd
    d = define(bus, tiny_xml(devices=nbd_disk(port, more="<reconnect delay='30'/>")))
    d.Start(0, {}, timeout=60)
    assert '"reconnect-delay":30' in " ".join(helpers(bus)[0])
    d.Terminate(0, {})


class Pages(http.server.BaseHTTPRequestHandler):
    """One file, also in parts."""

    content = b""

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()

    def do_GET(self):
        first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups()
        part = self.content[int(first):int(last) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(self.content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *words):
        pass


def serve_pages(context=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.once
@pytest.mark.skipif(not os.path.exists(f"{MODULES}/block-curl.so"), reason="QEMU's driver of http is not installed")
def test_http(bus, qemud, guest_image, tmp_path):
    """A disk, one by https, and the layer that an image of the host's lies on: what the guest writes stays in that."""
    Pages.content = b"from the web".ljust(1 << 20, b"\0")
    certificates.make(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server-cert.pem", tmp_path / "server-key.pem")
    servers = [serve_pages(), serve_pages(context)]
    source = "<source protocol='{}' name='media/boot.iso'{}><host name='127.0.0.1' port='{}'/><timeout seconds='20'/>{}</source>"
    plain, safe = source.format("http", " query='v=1'", servers[0].server_port, ""), source.format("https", "", servers[1].server_port, "<ssl verify='no'/>")
    top = tmp_path / "top.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b", f"http://127.0.0.1:{servers[0].server_port}/media/boot.iso", top, "1M"],
                   check=True, timeout=60)
    layered = (f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{top}'/><backingStore type='network'><format type='raw'/>{plain}<backingStore/>"
               "</backingStore><target dev='vda' bus='virtio'/></disk>")
    d = define(bus, guest_xml(guest_image, devices=disk(plain, "sda", "scsi", "<readonly/>") + "<controller type='scsi' model='virtio-scsi'/>" + layered +
                              disk(safe, "vdb", "virtio", "<readonly/>")))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("disks")
    for name in ("sda", "vda", "vdb"):
        assert con.ask(f"read {name}") == ["TEXT from the web"]
    con.ask("write vda written")
    assert con.ask("read vda") == ["TEXT writtene web"]
    assert len(helpers(bus)) == 3
    d.Terminate(0, {})
    until(lambda: helpers(bus) == [])
    assert b"written" in top.read_bytes() and Pages.content.startswith(b"from the web")
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.once
@pytest.mark.skipif(not os.path.exists(f"{MODULES}/block-iscsi.so"), reason="QEMU's driver of iSCSI is not installed")
def test_iscsi(bus, storaged, qemud, guest_image, target):  # noqa: F811
    """With a password, which is in no command line."""
    target.need_password()
    (target.folder / "unit1").write_bytes(b"from the target".ljust(16 << 20, b"\0"))
    secret = bus.object("org.virtbus.storage1", storaged.DefineSecret(
        FORMAT, "<secret private='yes'><usage type='iscsi'><target>san</target></usage></secret>", 0, {}), "org.virtbus.storage1.Secret")
    secret.SetValue(b"open sesame 12", 0, {})
    source = (f"<source protocol='iscsi' name='{TARGET}/1'><host name='127.0.0.1' port='{target.port}'/>"
              "<auth username='web'><secret type='iscsi' usage='san'/></auth><initiator><iqn name='iqn.2026-01.example.virtbus:vm'/></initiator></source>")
    d = define(bus, guest_xml(guest_image, devices=disk(source)))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("disks")
    assert con.ask("read vda") == ["TEXT from the target"]
    con.ask("write vda changed")
    assert "open sesame" not in " ".join(helpers(bus)[0])
    d.Terminate(0, {})
    until(lambda: helpers(bus) == [])
    assert (target.folder / "unit1").read_bytes().startswith(b"changed")


@pytest.mark.once
@pytest.mark.skipif(not have("qemu-storage-daemon"), reason="no qemu-storage-daemon")
def test_a_program_that_has_the_guests_memory(bus, qemud, guest_image, tmp_path):
    """Type 'vhostuser': it reads and writes without QEMU."""
    image, path = tmp_path / "served.raw", tmp_path / "vhost.sock"
    image.write_bytes(b"from the program".ljust(1 << 20, b"\0"))
    p = subprocess.Popen(["qemu-storage-daemon", "--blockdev", f"driver=file,node-name=f,filename={image}", "--export",
                          f"type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path={path},writable=on"], stdin=subprocess.DEVNULL,
                         preexec_fn=die_with_parent)
    until(path.exists)
    shared = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
    source = f"<disk type='vhostuser' device='disk'><source type='unix' path='{path}'/><target dev='vda' bus='virtio'/></disk>"
    d = define(bus, guest_xml(guest_image, devices=source, extra=shared))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("disks")
    assert con.ask("read vda") == ["TEXT from the program"]
    con.ask("write vda changed")
    d.Terminate(0, {})
    assert image.read_bytes().startswith(b"changed")
    p.kill()
    p.wait()


def test_folder(bus, qemud, guest_image, tmp_path):
    """The guest finds the files of a folder of the host, and can't write them."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "hello.txt").write_text("hello from the folder")
    d = define(bus, guest_xml(guest_image, devices=f"<disk type='dir'><source dir='{folder}'/><target dev='vdb' bus='virtio'/><readonly/></disk>"))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("disks")
    assert con.ask("sh dd if=/dev/vda bs=1M count=4 2>/dev/null | grep -c -a 'hello from the folder'; true") == ["1"]
    assert con.ask("sh cat /sys/block/vda/ro") == ["1"]
    assert device(bus, d, "virtio_2ddisk0").Source == {"type": "dir", "path": str(folder)}
    assert len(helpers(bus)) == 1
    d.Terminate(0, {})
    until(lambda: helpers(bus) == [])


def test_part_of_an_image(bus, qemud, guest_image, tmp_path):
    image = tmp_path / "whole.img"
    image.write_bytes(b"before".ljust(4096, b"\0") + b"the part".ljust(4096, b"\0") + b"after".ljust(4096, b"\0"))
    source = f"<source file='{image}'><slices><slice type='storage' offset='4096' size='4096'/></slices></source>"
    d = define(bus, guest_xml(guest_image, devices=f"<disk type='file'>{source}<target dev='vdb' bus='virtio'/></disk>"))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("disks")
    assert con.ask("read vda") == ["TEXT the part"] and con.ask("sh cat /sys/block/vda/size") == ["8"]
    con.ask("write vda written.")
    d.Terminate(0, {})
    whole = image.read_bytes()
    assert whole.startswith(b"before") and whole[4096:].startswith(b"written.") and whole[8192:].startswith(b"after")


@pytest.mark.once
def test_layer_on_a_server(bus, qemud, guest_image, nbd, tmp_path):
    """What the definition names as a layer is read from there; what is written stays in the image above. An image's own word does not count."""
    port, image = nbd
    top = tmp_path / "top.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", f"nbd://127.0.0.1:{port}/web/root", top], check=True, timeout=60)
    target = "<target dev='vda' bus='virtio'/>"
    plain = f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{top}'/>{{}}{target}</disk>"
    d = define(bus, guest_xml(guest_image, devices=plain.format("")))
    with bus.fails("NotSupported", "its backing image \"nbd://"):
        d.Start(0, {}, timeout=60)
    d.Undefine(0, {})
    layer = (f"<backingStore type='network'><format type='raw'/><source protocol='nbd' name='web/root'><host name='127.0.0.1' port='{port}'/></source>"
             "</backingStore>")
    d = define(bus, guest_xml(guest_image, devices=plain.format(layer)))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("disks")
    assert con.ask("read vda") == ["TEXT from the server"]
    con.ask("write vda written")
    assert con.ask("read vda") == ["TEXT writtene server"]
    # A virtqemud that comes later watches the program as well, which ends with the disk.
    bus.stop_service("org.virtbus.qemu1")
    device(bus, d, "virtio_2ddisk0").Detach(LIVE, {}, timeout=60)
    until(lambda: helpers(bus) == [])
    assert d.Warnings == []
    d.AttachDevice(FORMAT, plain.format(layer), LIVE, {})
    con = console(bus, d)
    con.ask("disks")
    assert con.ask("read vda") == ["TEXT writtene server"]
    d.Terminate(0, {})
    until(lambda: helpers(bus) == [])
    assert image.read_bytes().startswith(b"from the server")


@pytest.mark.once
@pytest.mark.skipif(not os.path.exists(f"{MODULES}/block-iscsi.so"), reason="QEMU's driver of iSCSI is not installed")
def test_volume_of_a_pool_in_the_network(bus, storaged, qemud, guest_image, target):  # noqa: F811
    """The pool knows server, unit and login; the guest has its disk, and the pool tells who uses it."""
    target.need_password()
    (target.folder / "unit1").write_bytes(b"from the volume".ljust(16 << 20, b"\0"))
    secret = bus.object(SERVICE, storaged.DefineSecret(
        FORMAT, "<secret private='yes'><usage type='iscsi'><target>san</target></usage></secret>", 0, {}), f"{SERVICE}.Secret")
    secret.SetValue(b"open sesame 12", 0, {})
    pool = bus.object(SERVICE, storaged.DefinePool(FORMAT, (
        f"<pool type='iscsi-direct'><name>san</name><source><host name='127.0.0.1' port='{target.port}'/><device path='{TARGET}'/>"
        "<auth type='chap' username='web'><secret usage='san'/></auth><initiator><iqn name='iqn.2026-01.example.virtbus:host'/></initiator></source></pool>"),
        0, {}), f"{SERVICE}.Pool")
    xml = "<disk type='volume' device='disk'><driver name='qemu'/><source pool='san' volume='unit:1'/>{}<target dev='vda' bus='virtio'/></disk>"
    d = define(bus, guest_xml(guest_image, devices=xml.format("")))
    d.Start(0, {}, timeout=60)
    con = console(bus, d)
    con.ready()
    con.ask("disks")
    assert con.ask("read vda") == ["TEXT from the volume"]
    con.ask("write vda changed")
    source = device(bus, d, "virtio_2ddisk0").Source
    assert (source["type"], source["pool"], source["volume"], source["url"]) == ("volume", "san", "unit:1", f"iscsi://127.0.0.1:{target.port}/{TARGET}/1")
    bus.wait_property(bus.object(SERVICE, pool.GetVolume("unit:1"), f"{SERVICE}.Volume"), "UsedBy", ["web"])
    assert d.PendingChanges == []
    bus.stop_service("org.virtbus.qemu1")
    assert device(bus, d, "virtio_2ddisk0").Source == source
    assert "virtbus:served" in d.ExportDefinition(FORMAT, 1) and "virtbus:served" not in d.ExportDefinition(FORMAT, 2)
    d.Terminate(0, {})
    until(lambda: helpers(bus) == [])
    assert (target.folder / "unit1").read_bytes().startswith(b"changed")
    d.Undefine(0, {})
    d = define(bus, guest_xml(guest_image, devices=xml.format("<transient/>")))
    with bus.fails("NotSupported", "the volume unit:1 is in the network, and has no place beside it"):
        d.Start(0, {}, timeout=60)
