# SPDX-License-Identifier: LGPL-2.1-or-later
"""D-Bus calls through libsystemd, with nothing between it and Python but ctypes."""

import ctypes
from contextlib import contextmanager
from ctypes import byref, c_byte, c_char_p, c_int, c_ubyte, c_uint, c_uint64, c_void_p

LIB = ctypes.CDLL("libsystemd.so.0")
HANDLER = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)
TIMEOUT = 120_000_000
# What the basic types are in C, as an argument and when they are read.
TYPES = {"s": c_char_p, "o": c_char_p, "t": c_uint64, "u": c_uint, "b": c_int, "y": c_ubyte}


class Error(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("message", c_char_p), ("need_free", c_int)]


class CallFailed(Exception):
    pass


LIB.sd_bus_message_unref.restype = c_void_p
LIB.sd_bus_message_unref.argtypes = [c_void_p]
LIB.sd_bus_message_skip.argtypes = [c_void_p, c_char_p]


class Message:
    """What came in; read from the front."""

    def __init__(self, pointer, own=True):
        self.pointer, self.own = c_void_p(pointer), own

    def skip(self, types):
        """Go through values without keeping them: libsystemd looks at every one."""
        if (r := LIB.sd_bus_message_skip(self.pointer, types.encode())) < 0:
            raise OSError(-r, f"cannot read {types}")
        return self

    def read(self, types):
        """Values of basic types, as a list."""
        values = [TYPES[t]() for t in types]
        if (r := LIB.sd_bus_message_read(self.pointer, types.encode(), *map(byref, values))) <= 0:
            raise OSError(-r, f"cannot read {types}")
        return [v.value.decode() if isinstance(v.value, bytes) else v.value for v in values]

    @contextmanager
    def inside(self, kind, contents):
        """In an array (a), a structure (r) or a variant (v)."""
        LIB.sd_bus_message_enter_container(self.pointer, c_byte(ord(kind)), contents.encode())
        yield self
        LIB.sd_bus_message_exit_container(self.pointer)

    def at_end(self):
        return LIB.sd_bus_message_at_end(self.pointer, c_int(0)) > 0

    def __del__(self):
        if self.own and self.pointer:
            LIB.sd_bus_message_unref(self.pointer)


def arguments(types, values):
    """As sd_bus_message_append() wants them: an array is a count and its elements; of `a{sv}`, a dictionary, all values are strings."""
    out, rest = [], types
    for value in values:
        if rest.startswith("a{sv}"):
            entries = [c_char_p(x.encode()) for key, text in value.items() for x in (key, "s", text)]
            out, rest = [*out, c_uint(len(value)), *entries], rest[5:]
        elif rest[0] == "a":
            kind = TYPES[rest[1]]
            items = [v.encode() if isinstance(v, str) else v for v in value]
            out, rest = [*out, c_uint(len(items)), *(c_int(v) if kind is c_ubyte else kind(v) for v in items)], rest[2:]
        else:
            out, rest = [*out, TYPES[rest[0]](value.encode() if isinstance(value, str) else value)], rest[1:]
    return out


class Bus:
    """The system bus, or a daemon's own socket."""

    def __init__(self, socket=None):
        self.pointer, self.kept = c_void_p(), []
        if socket:
            LIB.sd_bus_new(byref(self.pointer))
            LIB.sd_bus_set_address(self.pointer, f"unix:path={socket}".encode())
            r = LIB.sd_bus_start(self.pointer)
        else:
            r = LIB.sd_bus_open_system(byref(self.pointer))
        if r < 0:
            raise OSError(-r, f"no bus at {socket or 'the usual place'}")
        if not socket:
            LIB.sd_bus_get_unique_name(self.pointer, byref(c_char_p()))     # until then it is not connected
        LIB.sd_bus_set_method_call_timeout(self.pointer, c_uint64(TIMEOUT))

    def call(self, service, path, interface, method, types="", *values):
        reply, error = c_void_p(), Error()
        r = LIB.sd_bus_call_method(self.pointer, service.encode(), path.encode(), interface.encode(), method.encode(), byref(error),
                                   byref(reply), types.encode(), *arguments(types, values))
        if r < 0:
            text = f"{method}: {(error.name or b'').decode()}: {(error.message or b'').decode()}"
            LIB.sd_bus_error_free(byref(error))
            raise CallFailed(text)
        return Message(reply.value)

    def send(self, answered, service, path, interface, method, types="", *values):
        """Call without waiting; `answered` gets the answer in process()."""
        def handle(message, *_):
            answered(Message(message, own=False))
            return 0
        handler = HANDLER(handle)
        self.kept.append(handler)
        r = LIB.sd_bus_call_method_async(self.pointer, None, service.encode(), path.encode(), interface.encode(), method.encode(), handler,
                                         None, types.encode(), *arguments(types, values))
        if r < 0:
            raise OSError(-r, method)

    def listen(self, rule, heard):
        def handle(message, *_):
            heard(Message(message, own=False))
            return 0
        handler = HANDLER(handle)
        self.kept.append(handler)
        if (r := LIB.sd_bus_add_match(self.pointer, None, rule.encode(), handler, None)) < 0:
            raise OSError(-r, rule)

    def process(self, until, timeout=120):
        """Take in messages until a function says so."""
        while not until():
            if (r := LIB.sd_bus_process(self.pointer, None)) < 0:
                raise OSError(-r, "the bus has gone")
            if r == 0 and LIB.sd_bus_wait(self.pointer, c_uint64(timeout * 1_000_000)) == 0:
                raise TimeoutError("nothing came")

    def close(self):
        LIB.sd_bus_flush_close_unref(self.pointer)
        self.pointer = c_void_p()
