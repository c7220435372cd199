#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small service on the session bus, to prove the bus fixture: org.virtbus.Echo1 on /org/virtbus/Echo1."""

import os
import subprocess
import sys

from gi.repository import Gio, GLib

XML = """<node><interface name="org.virtbus.Echo1">
  <method name="Echo"><arg type="v" direction="in"/><arg type="s" direction="out"/></method>
  <method name="Fail"><arg type="s" direction="in"/></method>
  <method name="Silent"/>
  <method name="Open"><arg type="s" direction="in"/><arg type="h" direction="out"/></method>
  <method name="Length"><arg type="h" direction="in"/><arg type="t" direction="out"/></method>
  <method name="Tick"><arg type="u" direction="in"/><arg type="u" direction="in"/></method>
  <method name="Leave"><arg type="as" direction="in"/><arg type="u" direction="out"/></method>
  <method name="Options"><arg type="t" direction="in"/><arg type="a{sv}" direction="in"/><arg type="a{sv}" direction="out"/></method>
  <signal name="Ticked"><arg type="u"/></signal>
  <property name="Count" type="u" access="readwrite"/>
</interface></node>"""


class Service:
    def __init__(self, connection):
        self.connection, self.count = connection, 0
        interface = Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0]
        connection.register_object("/org/virtbus/Echo1", interface, self.call, lambda *_: GLib.Variant("u", self.count), self.set)

    def set(self, _connection, _sender, _path, interface, name, value):
        self.count = value.unpack()
        changed = GLib.Variant("(sa{sv}as)", (interface, {name: value}, []))
        self.connection.emit_signal(None, "/org/virtbus/Echo1", "org.freedesktop.DBus.Properties", "PropertiesChanged", changed)
        return True

    def call(self, _connection, _sender, path, interface, method, args, invocation):
        if method == "Silent":
            return
        if method == "Fail":
            invocation.return_dbus_error("org.virtbus.Error.Busy", args.unpack()[0])
            return
        answer, fds = getattr(self, method)(path, interface, args, invocation)
        invocation.return_value_with_unix_fd_list(answer, fds)

    def Echo(self, _path, _interface, args, _invocation):
        return GLib.Variant("(s)", (args.get_child_value(0).print_(True),)), None

    def Options(self, _path, _interface, args, _invocation):
        return GLib.Variant.new_tuple(args.get_child_value(1)), None

    def Open(self, _path, _interface, args, _invocation):
        fd = os.open(args.unpack()[0], os.O_RDONLY | os.O_CLOEXEC)
        return GLib.Variant("(h)", (0,)), Gio.UnixFDList.new_from_array([fd])

    def Length(self, _path, _interface, args, invocation):
        fd = invocation.get_message().get_unix_fd_list().get(args.get_child_value(0).get_handle())
        with os.fdopen(fd, "rb") as f:
            return GLib.Variant("(t)", (os.fstat(f.fileno()).st_size,)), None

    def Tick(self, path, interface, args, _invocation):
        for n in range(*args.unpack()):
            self.connection.emit_signal(None, path, interface, "Ticked", GLib.Variant("(u)", (n,)))
        return None, None

    def Leave(self, _path, _interface, args, _invocation):
        # Its own session, no environment and an adopted parent: as hard to find as a process can be.
        command = [*args.unpack()[0]]
        out = subprocess.run(["setsid", "-f", "sh", "-c", 'echo $$; exec "$@" >&-', "sh", *command], env={}, check=True,
                             stdout=subprocess.PIPE)
        return GLib.Variant("(u)", (int(out.stdout.split()[0]),)), None


if __name__ == "__main__":
    bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
    service = Service(bus)
    if len(sys.argv) > 1:
        open(sys.argv[1], "w").close()
    Gio.bus_own_name_on_connection(bus, "org.virtbus.Echo1", Gio.BusNameOwnerFlags.NONE, None, None)
    GLib.MainLoop().run()
