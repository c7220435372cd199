#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody who calls methods: reads {calls} as JSON, and writes the answer to each as JSON.

It is copied to wherever that somebody may read it, and runs as whoever the test says. A call is [service, path, interface, member, signature];
its arguments are of that signature and mean nothing good. The answer is [error name or null, text]. A service that is called "unix:path=..." is spoken to directly, others over the system bus. Many calls are under way at once. With {listen} it says "ready" then, and each signal that it hears on any connection, until another line comes."""

import json
import os
import sys

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

AT_ONCE = 100  # of one connection a message bus takes 128
NAME = "../../etc/shadow\n$(id)%s%n"
OF_TYPE = {"s": NAME, "o": "/no/such/object", "b": True, "y": 255, "n": -1, "q": 65535, "i": -1, "u": 2**32 - 1, "x": -1, "t": 2**64 - 1,
           "d": -1.0, "h": 0}


def split(signature):
    types = []
    while signature:
        n = next(n for n in range(1, len(signature) + 1) if GLib.VariantType.string_is_valid(signature[:n]))
        types.append(signature[:n])
        signature = signature[n:]
    return types


def hostile(kind):
    """Of that type, and of no use to anybody: names that nothing has, flags that nobody knows."""
    if kind in OF_TYPE:
        return GLib.Variant(kind, OF_TYPE[kind])
    if kind == "v":
        return GLib.Variant("v", GLib.Variant("s", NAME))
    if kind == "g":
        return GLib.Variant("g", "")
    if kind.startswith("a{"):
        key, value = split(kind[2:-1])
        return GLib.Variant.new_array(None, [GLib.Variant.new_dict_entry(hostile(key), hostile(value))])
    if kind[0] == "a":
        return GLib.Variant.new_array(None, [hostile(kind[1:])] * 3)
    return GLib.Variant.new_tuple(*map(hostile, split(kind[1:-1])))


def body(signature, given):
    values = [hostile(kind) for kind in split(signature)]
    for i, text in given.items():
        kind = split(signature)[int(i)]
        values[int(i)] = GLib.Variant.parse(GLib.VariantType(kind), text, None, None)
    return GLib.Variant.new_tuple(*values)


def connect(service):
    if not service.startswith("unix:"):
        return Gio.bus_get_sync(Gio.BusType.SYSTEM)
    return Gio.DBusConnection.new_for_address_sync(service, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)


def main():
    task = json.loads(sys.stdin.readline())
    connections = {}
    answers, loop = [None] * len(task["calls"]), GLib.MainLoop()
    nothing = os.open("/dev/null", os.O_RDWR)

    waiting = list(enumerate(task["calls"]))

    def call():
        at, (service, path, interface, member, signature, *given) = waiting.pop(0)
        descriptors = Gio.UnixFDList.new_from_array([os.dup(nothing)]) if "h" in signature else None
        direct = service.startswith("unix:")
        connection = connections.get(direct and service) or connections.setdefault(direct and service, connect(service))
        connection.call_with_unix_fd_list(None if direct else service, path, interface, member, body(signature, *given or [{}]), None,
                                          Gio.DBusCallFlags.NONE, 60000, descriptors, None, answered, (connection, at))

    def answered(_, result, to):
        connection, at = to
        try:
            reply, _ = connection.call_with_unix_fd_list_finish(result)
            answers[at] = [None, str(reply)]
        except GLib.Error as e:
            name = Gio.DBusError.get_remote_error(e) or "local"
            Gio.DBusError.strip_remote_error(e)
            answers[at] = [name, e.message]
        if waiting:
            call()
        elif None not in answers:
            loop.quit()

    for _ in range(min(len(waiting), AT_ONCE)):
        call()
    if answers:
        loop.run()
    if task.get("listen"):
        for connection in connections.values():
            connection.signal_subscribe(None, None, None, None, None, Gio.DBusSignalFlags.NONE, lambda *a: print(f"{a[3]}.{a[4]}", flush=True))
        print("ready", flush=True)
        GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_LOW, GLib.IO_IN | GLib.IO_HUP, lambda *_: loop.quit())
        loop.run()
        return
    json.dump(answers, sys.stdout)


main()
