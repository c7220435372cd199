/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chardev.h"

#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-lib.h"
#include "xml-read.h"

DEFINE_ENUM(ChardevType, chardev_type, NULL, "pty", "file", "unix", "null")
DEFINE_ENUM(SerialTarget, serial_target, NULL, "isa-serial", "pci-serial", "usb-serial", "serial", "virtio")
DEFINE_ENUM(SocketMode, socket_mode, NULL, "bind", "connect")

int chardev_check_record(Record *r, Fault *f) {
        const Chardev *c = (const Chardev *) r;

        if ((c->type == CHARDEV_FILE || c->type == CHARDEV_UNIX) && !c->path)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type '%s' needs <source path='…'/>",
                                 chardev_type_to_string((ChardevType) c->type));
        if ((c->type == CHARDEV_FILE || c->type == CHARDEV_UNIX) && c->path[0] != '/')
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "source path '%.128s' is not absolute", c->path);
        if (c->mode != SOCKET_NONE && c->type != CHARDEV_UNIX)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "only type 'unix' has a source mode");
        if (c->append != UNSET && c->type != CHARDEV_FILE)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "only type 'file' can append to its source");
        if (c->log && c->log[0] != '/')
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "log file '%.128s' is not absolute", c->log);
        return 0;
}

static int want_output(const Chardev *c, WantedFiles *requests, const char *path, Tristate append) {
        const WantedFile file = {
                .want = WANTED_OUTPUT, .path = (char *) path, .writable = true, .append = append == YES, .line = c->device.head.line,
        };

        return wanted_files_add(requests, &file);
}

int chardev_files(const Device *d, WantedFiles *requests) {
        const Chardev *c = (const Chardev *) d;
        int r = 0;

        if (c->type == CHARDEV_FILE)
                r = want_output(c, requests, c->path, c->append);
        if (r >= 0 && c->log)
                r = want_output(c, requests, c->log, c->log_append);
        return r;
}

static json_t *socket_data(Args *a, PlanFdKind kind, const char *path, bool server) {
        _cleanup_free_ char *number = NULL;
        int fd = args_fd(a, kind, path, false, false, false, NULL);

        number = fd < 0 ? NULL : strf("%d", fd);
        if (!number)
                return NULL;
        if (server)
                return json_pack("{s:{s:s, s:{s:s}}, s:b, s:b}", "addr", "type", "fd", "data", "str", number, "server", true, "wait", false);
        return json_pack("{s:{s:s, s:{s:s}}, s:b}", "addr", "type", "fd", "data", "str", number, "server", false);
}

static json_t *output_data(Args *a, const char *path, Tristate append) {
        _cleanup_free_ char *name = NULL;
        unsigned set;

        if (args_fd(a, PLAN_FD_OUTPUT, path, true, append == YES, true, &set) < 0)
                return NULL;
        name = strf("/dev/fdset/%u", set);
        return name ? json_pack("{s:s, s:b}", "out", name, "append", append == YES) : NULL;
}

static json_t *backend_data(const Chardev *c, Args *a) {
        switch ((ChardevType) c->type) {
        case CHARDEV_PTY:
                return socket_data(a, PLAN_FD_CONSOLE, c->device.id, true);
        case CHARDEV_UNIX:
                return c->mode == SOCKET_CONNECT ? socket_data(a, PLAN_FD_CONNECT, c->path, false)
                                                 : socket_data(a, PLAN_FD_LISTEN, c->path, true);
        case CHARDEV_FILE:
                return output_data(a, c->path, c->append);
        case CHARDEV_NULL:
        case CHARDEV_NONE:
        case _CHARDEV_TYPE_MAX:
        case _CHARDEV_TYPE_INVALID:
                break;
        }
        return json_object();
}

bool chardev_is_logged(const Device *d) {
        const Chardev *c = (const Chardev *) d;

        if (device_kind(d) != DEVICE_SERIAL && device_kind(d) != DEVICE_CONSOLE)
                return false;
        return !console_is_mirror(d) && !c->log && (c->type == CHARDEV_PTY || c->type == CHARDEV_UNIX);
}

static int add_log(const Chardev *c, Args *a, json_t *data) {
        bool kept = (a->flags & LAUNCH_LOG_CONSOLES) && chardev_is_logged(&c->device);
        _cleanup_free_ char *name = NULL;
        unsigned set;
        int r;

        if (!c->log && !kept)
                return 0;
        r = kept ? args_fd(a, PLAN_FD_LOG, c->device.id, true, true, true, &set)
                 : args_fd(a, PLAN_FD_OUTPUT, c->log, true, c->log_append == YES, true, &set);
        if (r < 0)
                return r;
        name = strf("/dev/fdset/%u", set);
        if (!name || json_set_text(data, "logfile", name) < 0)
                return -ENOMEM;
        return json_set_switch(data, "logappend", kept || c->log_append == YES ? YES : NO);
}

int chardev_args(const Chardev *c, Args *a) {
        static const char *const backends[] = {
                [CHARDEV_PTY] = "socket", [CHARDEV_UNIX] = "socket", [CHARDEV_FILE] = "file", [CHARDEV_NULL] = "null",
        };
        _cleanup_free_ char *id = strf("char%s", c->device.id);
        json_t *data = backend_data(c, a);
        int r;

        if (!data || !id) {
                json_decref(data);
                return -ENOMEM;
        }
        r = add_log(c, a, data);
        if (r < 0) {
                json_decref(data);
                return r;
        }
        return args_json(a, ARG_CHARDEV, json_pack("{s:s, s:{s:s, s:o}}", "id", id, "backend", "type", backends[c->type], "data", data));
}

int chardev_copy_source(Chardev *to, const Chardev *from) {
        to->type = from->type;
        to->mode = from->mode;
        to->append = from->append;
        to->log_append = from->log_append;
        if (free_and_strdup(&to->path, from->path) < 0)
                return -ENOMEM;
        return free_and_strdup(&to->log, from->log);
}

static int set_tty(Chardev *c, const char *tty, bool console) {
        if (free_and_strdup(&c->path, tty) < 0)
                return -ENOMEM;
        return console ? free_and_strdup(&c->tty, tty) : 0;
}

int chardev_set_tty(DomainDef *live, Device *d, const char *tty) {
        Chardev *c = (Chardev *) d;
        int r;

        r = set_tty(c, tty, device_kind(d) == DEVICE_CONSOLE);
        if (device_kind(d) != DEVICE_SERIAL)
                return r;
        DEVICE_FOREACH(Chardev, mirror, live, DEVICE_CONSOLE)
                if (r >= 0 && console_is_mirror(&mirror->device) && mirror->type == CHARDEV_PTY && mirror->port == c->port)
                        r = set_tty(mirror, tty, true);
        return r;
}

void chardev_drop_live(Device *d) {
        Chardev *c = (Chardev *) d;

        if (c->tty && d->head.node)
                sym_xmlUnsetProp(d->head.node, (const xmlChar *) "tty");
        free_and_replace(&c->tty, NULL);
        if (c->type == CHARDEV_PTY)
                free_and_replace(&c->path, NULL);
}

bool console_is_mirror(const Device *d) {
        return device_kind(d) == DEVICE_CONSOLE && ((const Chardev *) d)->target != TARGET_VIRTIO;
}

bool device_is_console(const Device *d) {
        if (device_kind(d) != DEVICE_SERIAL && device_kind(d) != DEVICE_CONSOLE)
                return false;
        return ((const Chardev *) d)->type == CHARDEV_PTY && !console_is_mirror(d);
}
