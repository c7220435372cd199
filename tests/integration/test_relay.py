# SPDX-License-Identifier: LGPL-2.1-or-later
"""The program between a character device of QEMU and somebody outside, with a test in QEMU's place."""

import array
import fcntl
import os
import select
import socket
import subprocess
import termios
import threading
import time
from pathlib import Path

import pytest

from pace import at_most
from rawqemu import die_with_parent

pytestmark = pytest.mark.bus

MUCH = bytes(range(256)) * 4096
PATIENCE = 30   # seconds, for what comes by itself


class Relay:
    """It runs, and we are QEMU: the listener, and the connection that tells it that we live."""

    def __init__(self, folder, *words, wrap=()):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "qemu.sock"))
        self.listener.listen()
        self.listener.settimeout(PATIENCE)
        place = os.open(folder / "qemu.sock", os.O_PATH)
        os.unlink(folder / "qemu.sock")
        self.life, theirs = socket.socketpair()
        self.life.settimeout(PATIENCE)
        with theirs:
            socket.send_fds(self.life, [b"\0"], [place])
            self.log = open(folder / "log", "a+", encoding="utf-8")  # it writes at the end, wherever we read
            program = Path(os.environ["VIRTBUS_BUILD"]) / "virtqemud/virtqemu-relay"
            self.process = subprocess.Popen([*wrap, program, *map(str, words)], stdin=theirs, stderr=self.log, preexec_fn=die_with_parent)
        os.close(place)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """It ends, and has waited for what it did."""
        used = self.processor_time()
        self.life.close()
        self.listener.close()
        try:
            assert self.process.wait(PATIENCE) in (0, 1), self.said()
            assert used < 1, used
        finally:
            self.process.kill()
            self.process.wait()
            self.log.close()

    def processor_time(self):
        """Seconds; 0 if it has ended."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").split() if self.process.poll() is None else [0] * 15
        return (int(words[13]) + int(words[14])) / os.sysconf("SC_CLK_TCK")

    def greeting(self):
        return self.life.recv(1000)

    def accept(self):
        qemu = self.listener.accept()[0]
        qemu.settimeout(PATIENCE)
        return qemu

    def nobody_comes(self, seconds):
        return not select.select([self.listener], [], [], seconds)[0]

    def has_taken(self, end):
        """Until it has read all that was written there, and waits for more."""
        unread, deadline = array.array("i", [1]), time.monotonic() + PATIENCE
        while unread[0] or Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "S":
            assert time.monotonic() < deadline, unread
            time.sleep(0.01)
            fcntl.ioctl(end, termios.TIOCOUTQ, unread)

    def said(self):
        self.log.seek(0)
        return self.log.read()


def deaf(kind, folder):
    """What will be a server, and the words that lead to it: it does not listen yet, and nobody else gets its place."""
    s = socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX)
    s.bind(("127.0.0.1", 0) if kind == "tcp" else str(folder / "server.sock"))
    s.settimeout(PATIENCE)
    return s, s.getsockname() if kind == "tcp" else (folder / "server.sock",)


def listening(kind, folder):
    """A server, and the words that lead to it."""
    s, place = deaf(kind, folder)
    s.listen()
    return s, place


def accept(server):
    end = server.accept()[0]
    end.settimeout(PATIENCE)
    return end


def read_all(end):
    data = b""
    while more := end.recv(1 << 16):
        data += more
    return data


def read_fully(end, n):
    data = b""
    while len(data) < n:
        more = end.recv(n - len(data))
        assert more, data
        data += more
    return data


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_somebody_who_comes_and_goes(kind, tmp_path):
    """QEMU sees nobody but when somebody is there; the time between two tries is the one that was said."""
    server, place = deaf(kind, tmp_path)
    with server, Relay(tmp_path, kind, *place, 2) as relay:
        assert relay.greeting() == b"\n"
        assert relay.nobody_comes(1)
        server.listen()
        for n in range(2):
            with relay.accept() as qemu, accept(server) as end:
                end.sendall(b"hello guest")
                assert read_fully(qemu, 11) == b"hello guest"
                qemu.sendall(b"hello %d" % n)
                assert read_fully(end, 7) == b"hello %d" % n
                end.close()
                gone = time.monotonic()
                assert qemu.recv(1) == b""
            assert not relay.nobody_comes(PATIENCE) and 1.9 < time.monotonic() - gone < at_most(5)
        said = relay.said()
        assert said.count("Connection refused") == 1 and said.count("has hung up") >= 2, said


def say_much(end):
    """And then hang up."""
    end.setblocking(True)
    with end:
        return subprocess.Popen(["/usr/bin/head", "-c", "1000000", "/dev/zero"], stdout=end.fileno())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_last_words(kind, tmp_path):
    """Whoever hangs up, the other side gets everything that was said."""
    server, place = listening(kind, tmp_path)
    with server, Relay(tmp_path, kind, *place, 1) as relay:
        with relay.accept() as qemu, accept(server) as end:
            sent = say_much(end)
            time.sleep(0.5)  # it is the guest that is slow
            assert len(read_all(qemu)) == 1000000
            sent.wait()
        with relay.accept() as qemu, accept(server) as end:
            sent = say_much(qemu)
            time.sleep(0.5)
            assert len(read_all(end)) == 1000000
            sent.wait()
        with relay.accept() as qemu, accept(server) as end:
            qemu.sendall(b"powering off")
            for side in (qemu, relay.life, relay.listener):
                side.close()
            assert read_all(end) == b"powering off"
            assert relay.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_end_of_qemu(kind, tmp_path):
    """Between two tries, and to the one who asks it to end it does not listen: QEMU alone says when."""
    with Relay(tmp_path, *(("tcp", "127.0.0.1", 1) if kind == "tcp" else ("unix", tmp_path / "nobody")), 3600) as relay:
        assert relay.greeting() == b"\n"
        relay.process.terminate()
        time.sleep(0.3)
        assert relay.process.poll() is None
        relay.life.close()
        assert relay.process.wait(PATIENCE) == 0


def test_a_guest_that_hangs_up(tmp_path):
    """As when a driver is unloaded, or what is said makes no sense: it is tried again."""
    server, place = listening("tcp", tmp_path)
    with server, Relay(tmp_path, "tcp", *place, 1) as relay:
        for _ in range(2):
            with relay.accept() as qemu, accept(server) as end:
                qemu.close()
                assert end.recv(1) == b""


def test_nobody_but_ourselves(tmp_path):
    """Where all connections come from the port that they are made to."""
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("no user namespaces")
    prepare = "ip link set lo up && echo 40000 40000 >/proc/sys/net/ipv4/ip_local_port_range && exec \"$@\""
    with Relay(tmp_path, "tcp", "127.0.0.1", 40000, 1, wrap=[*alone, "sh", "-c", prepare, "sh"]) as relay:
        assert relay.greeting() == b"\n"
        assert relay.nobody_comes(3)
        assert "Connection refused" in relay.said()


def test_who_reads_slowly_gets_all(tmp_path):
    server, place = listening("tcp", tmp_path)
    with server, Relay(tmp_path, "tcp", *place, 1) as relay, relay.accept() as qemu, accept(server) as end:
        qemu.setblocking(False)
        sent = 0
        while select.select([], [qemu], [], 2)[1]:
            sent += qemu.send(MUCH)
        assert sent > 100000
        assert len(read_fully(end, sent)) == sent
        qemu.setblocking(True)
        more = threading.Thread(target=qemu.sendall, args=[MUCH], daemon=True)
        more.start()
        assert read_fully(end, len(MUCH)) == MUCH
        more.join()


def test_a_guest_that_reads_nothing(tmp_path):
    """Whoever sends to it has to wait; when they have hung up it is given some time."""
    server, place = listening("unix", tmp_path)
    with server, Relay(tmp_path, "unix", *place, 1) as relay, relay.accept() as qemu:
        with accept(server) as end:
            end.setblocking(False)
            while select.select([], [end], [], 1)[1]:
                end.send(MUCH)
        time.sleep(1)
        qemu.sendall(b"for nobody")
        assert not relay.nobody_comes(PATIENCE)


@pytest.mark.once
def test_who_reads_nothing_is_hung_up_on(tmp_path):
    """The guest waits for a minute."""
    server, place = listening("unix", tmp_path)
    with server, Relay(tmp_path, "unix", *place, 1) as relay, relay.accept() as qemu, accept(server):
        qemu.setblocking(False)
        while select.select([], [qemu], [], 2)[1]:
            qemu.send(MUCH)
        assert not select.select([qemu], [], [], 50)[0]
        assert select.select([qemu], [], [], 10 + PATIENCE)[0]
        qemu.close()
        assert "is hung up on" in relay.said()
        relay.accept().close()


def udp_socket(port=0):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", port))
    s.settimeout(PATIENCE)
    return s


def test_datagrams(tmp_path):
    """Each is so many bytes; from nobody else; and it does not matter whether somebody hears them."""
    with udp_socket() as free, udp_socket() as theirs:
        ours, place = free.getsockname(), theirs.getsockname()
        free.close()
        with Relay(tmp_path, "udp", *ours, *place) as relay, relay.accept() as qemu:
            assert relay.greeting() == b"\n"
            qemu.sendall(b"hello")
            assert theirs.recvfrom(100) == (b"hello", ours)
            with udp_socket() as stranger:
                stranger.sendto(b"no", ours)
            theirs.sendto(b"", ours)
            theirs.sendto(b"hello guest", ours)
            assert qemu.recv(100) == b"hello guest"
            theirs.sendto(MUCH[:60000], ours)
            assert read_fully(qemu, 60000) == MUCH[:60000]
            qemu.sendall(MUCH[:5000])
            parts = [theirs.recv(65536) for _ in range(4)]
            assert b"".join(parts) == MUCH[:5000] and len(parts[0]) == 1400
            theirs.close()
            qemu.sendall(b"for nobody")
            relay.has_taken(qemu)
            with udp_socket(place[1]) as again:
                qemu.sendall(b"hello again")
                assert again.recv(100) == b"hello again"
                assert relay.process.poll() is None
                again.sendto(b"and again", ours)
                assert qemu.recv(100) == b"and again"


def test_datagrams_of_ipv6(tmp_path):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as theirs:
        theirs.bind(("::1", 0))
        theirs.settimeout(PATIENCE)
        with Relay(tmp_path, "udp", "::", 0, "::1", theirs.getsockname()[1]) as relay, relay.accept() as qemu:
            qemu.sendall(b"hello")
            data, ours = theirs.recvfrom(100)
            assert data == b"hello"
            theirs.sendto(b"hello guest", ours)
            assert qemu.recv(100) == b"hello guest"


def test_a_port_that_is_taken(tmp_path):
    with udp_socket() as taken, Relay(tmp_path, "udp", *taken.getsockname(), "127.0.0.1", 9) as relay:
        assert relay.greeting() == f"no UDP socket for 127.0.0.1 port {taken.getsockname()[1]} to 127.0.0.1 port 9: Address already in use".encode()
        assert relay.process.wait(PATIENCE) == 1


def test_a_port_that_is_about_to_be_free(tmp_path):
    with udp_socket() as taken, Relay(tmp_path, "udp", *taken.getsockname(), "127.0.0.1", 9) as relay:
        relay.has_taken(relay.life)
        taken.close()
        assert relay.greeting() == b"\n"


@pytest.fixture
def fifos(tmp_path):
    os.mkfifo(tmp_path / "pipe.in")
    os.mkfifo(tmp_path / "pipe.out")
    return tmp_path / "pipe"


def test_fifos(fifos, tmp_path):
    """Writers and readers come and go."""
    with Relay(tmp_path, "pipe", fifos) as relay, relay.accept() as qemu:
        assert relay.greeting() == b"\n"
        for word in (b"first", b"second"):
            Path(f"{fifos}.in").write_bytes(word)
            assert qemu.recv(100) == word
            with open(f"{fifos}.out", "rb", buffering=0) as out:
                qemu.sendall(word)
                assert out.read(100) == word


def test_a_fifo_that_nobody_reads(fifos, tmp_path):
    """What does not fit into it is lost, and the guest goes on; who reads later gets what is there, and then what comes."""
    with Relay(tmp_path, "pipe", fifos) as relay, relay.accept() as qemu:
        qemu.sendall(MUCH)
        qemu.sendall(b"lost")
        relay.has_taken(qemu)
        with open(f"{fifos}.out", "rb", buffering=0) as out:
            kept = b""
            while select.select([out], [], [], 0.5)[0]:
                kept += out.read(1 << 20)
            assert 0 < len(kept) < len(MUCH) and kept == MUCH[:len(kept)]
            qemu.sendall(b"heard")
            assert out.read(100) == b"heard"


def test_a_fifo_that_is_alone(tmp_path):
    """It does not hear itself."""
    os.mkfifo(tmp_path / "pipe")
    with Relay(tmp_path, "pipe", tmp_path / "pipe") as relay, relay.accept() as qemu:
        qemu.sendall(MUCH[:40000])
        relay.has_taken(qemu)
        assert not select.select([qemu], [], [], 0)[0]
        with open(tmp_path / "pipe", "rb", buffering=0) as out:
            assert out.read(1 << 20) == MUCH[:40000]
        time.sleep(0.5)  # it looks now and then whether it may read
        (tmp_path / "pipe").write_bytes(b"hello guest")
        assert qemu.recv(100) == b"hello guest"


def test_fifos_that_are_none(tmp_path):
    with Relay(tmp_path, "pipe", tmp_path / "none") as relay:
        assert relay.greeting() == f"there is no FIFO {tmp_path}/none.in and {tmp_path}/none.out: make them by mkfifo".encode()
    for name in ("file.in", "file.out"):
        (tmp_path / name).write_text("precious")
    with Relay(tmp_path, "pipe", tmp_path / "file") as relay:
        assert b"is no FIFO" in relay.greeting()
    assert (tmp_path / "file.out").read_text() == "precious"


@pytest.mark.parametrize("words", [
    (), ("tcp",), ("tcp", "localhost", 1, 1), ("tcp", "127.0.0.1", 65536, 1), ("tcp", "127.0.0.1", 1, 0), ("tcp", "127.0.0.1", 1, 86401), ("unix", "a", 1),
    ("udp", "127.0.0.1", 1, "127.0.0.1"), ("pipe", "a"), ("pipe", "/a", 1), ("stdio", "/a"),
], ids=lambda words: " ".join(map(str, words)) or "nothing")
def test_words_that_make_no_sense(words, tmp_path):
    with Relay(tmp_path, *words) as relay:
        assert relay.process.wait(PATIENCE) == 1
        assert relay.said().startswith("Usage: ")
