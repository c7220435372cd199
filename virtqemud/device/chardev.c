/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chardev.h"

#include "graphics.h"
#include "mem.h"
#include "netaddr.h"
#include "str.h"
#include "virtio.h"
#include "xml-lib.h"
#include "xml-read.h"

DEFINE_ENUM(ChardevType, chardev_type, NULL, "pty", "file", "unix", "null", "spicevmc", "spiceport", "qemu-vdagent", "tcp", "dev", "udp", "pipe", "stdio", "vc",
            "dbus", "nmdm")
DEFINE_ENUM(SerialTarget, serial_target, NULL, "isa-serial", "pci-serial", "usb-serial", "serial", "virtio")
DEFINE_ENUM(SocketMode, socket_mode, NULL, "bind", "connect")

static const char *const mouse_words[] = { NULL, "client", "server" };
const EnumTable chardev_mouse_table = { mouse_words, ARRAY_SIZE(mouse_words) };
static const char *const protocol_words[] = { NULL, "raw", "telnet" };
const EnumTable chardev_protocol_table = { protocol_words, ARRAY_SIZE(protocol_words) };

static int not_supported(const Chardev *c, const Record *r, Fault *f) {
        static const char *const reasons[] = {
                [CHARDEV_UDP] = "QEMU has no network: let it be of type 'unix', and socat carry it further",
                [CHARDEV_PIPE] = "use type 'unix', which goes both ways", [CHARDEV_STDIO] = "QEMU has no terminal: use type 'pty'",
                [CHARDEV_VC] = "there is no monitor window: use type 'pty'", [CHARDEV_DBUS] = "consoles are opened over D-Bus whatever their type: use 'pty'",
                [CHARDEV_NMDM] = "that is a device of FreeBSD: use type 'pty'",
        };

        xml_fault(r, f, FAULT_NOT_SUPPORTED, "type '%s' is not supported", chardev_type_to_string((ChardevType) c->type));
        fault_hint(f, "%s", reasons[c->type]);
        return -EOPNOTSUPP;
}

/* The agent's channel and those like it: where nothing is said the socket is the daemon's own. */
static bool may_be_without_path(const Record *r) {
        return streq(r->type->element, "channel");
}

static int check_spice(const Chardev *c, const Record *r, Fault *f) {
        if ((c->type == CHARDEV_SPICEPORT) != (c->spice_port != NULL))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type 'spiceport' and <source channel='…'/> belong together");
        if (c->type != CHARDEV_VDAGENT && (c->clipboard != UNSET || c->mouse))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "clipboard and mouse are settings of type 'qemu-vdagent'");
        return 0;
}

/* Names are not looked up: that takes as long as it takes. */
/* The connection is made for QEMU before it starts. */
static int check_reconnect(const Chardev *c, const Record *r, Fault *f) {
        if (c->reconnect != YES)
                return 0;
        xml_fault_below(r, "source/reconnect", f, FAULT_NOT_SUPPORTED, "QEMU has no network, so it can't connect again by itself");
        fault_hint(f, "let the other side connect: <source mode='bind' …/>");
        return -EOPNOTSUPP;
}

static int check_dev(const Chardev *c, const Record *r, Fault *f) {
        if (c->type == CHARDEV_DEV && (!c->path || c->path[0] != '/'))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type 'dev' needs the absolute path of a device: <source path='/dev/ttyS0'/>");
        return 0;
}

static int check_tcp(const Chardev *c, const Record *r, Fault *f) {
        IpAddress ip;

        if (c->type != CHARDEV_TCP) {
                if (c->host || c->service != NUMBER_UNSET || c->protocol)
                        return xml_fault(r, f, FAULT_INVALID_DEFINITION, "host, service and protocol belong to type 'tcp'");
                return 0;
        }
        if (!c->host || c->service == NUMBER_UNSET)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type 'tcp' needs <source mode='…' host='…' service='…'/>");
        if (ip_from_text(ip_of_localhost(c->host), &ip) < 0)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "source host '%.64s' is no address, and names are not looked up", c->host);
        return 0;
}

int chardev_check(const Chardev *c, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Record *r = &c->device.head;
        const char *type = chardev_type_to_string((ChardevType) c->type);

        if ((c->type == CHARDEV_SPICEVMC || c->type == CHARDEV_SPICEPORT) && !domain_find_graphics(def, GRAPHICS_SPICE))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type '%s' needs a <graphics type='spice'>", type);
        if (c->type >= CHARDEV_SPICEVMC && c->type < CHARDEV_TCP && caps && !caps_has_chardev(caps, type))
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "this QEMU has no '%s'", type);
        return 0;
}

int chardev_check_record(Record *r, Fault *f) {
        const Chardev *c = (const Chardev *) r;

        if (c->type > CHARDEV_DEV)
                return not_supported(c, r, f);
        if (check_tcp(c, r, f) < 0 || check_dev(c, r, f) < 0 || check_reconnect(c, r, f) < 0)
                return -EINVAL;
        if (check_spice(c, r, f) < 0)
                return -EINVAL;
        if (c->type == CHARDEV_UNIX && !c->path && c->mode != SOCKET_CONNECT && may_be_without_path(r))
                return 0;
        if ((c->type == CHARDEV_FILE || c->type == CHARDEV_UNIX) && !c->path)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type '%s' needs <source path='…'/>",
                                 chardev_type_to_string((ChardevType) c->type));
        if ((c->type == CHARDEV_FILE || c->type == CHARDEV_UNIX) && c->path[0] != '/')
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "source path '%.128s' is not absolute", c->path);
        if (c->mode != SOCKET_NONE && c->type != CHARDEV_UNIX && c->type != CHARDEV_TCP)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "only the types 'unix' and 'tcp' have a source mode");
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

static json_t *tcp_data(const Chardev *c, Args *a) {
        _cleanup_free_ char *place = strf("%s %" PRIu64, ip_of_localhost(c->host), c->service);
        PlanFdKind kind = c->mode == SOCKET_BIND ? PLAN_FD_LISTEN_TCP : PLAN_FD_CONNECT_TCP;
        _cleanup_free_ char *number = place ? args_fd_name(a, args_fd(a, kind, place, false, false, false, NULL)) : NULL;

        if (number && c->mode != SOCKET_BIND)
                return json_pack("{s:{s:s, s:{s:s}}, s:b, s:b}", "addr", "type", "fd", "data", "str", number, "server", false, "telnet", c->protocol == 2);
        return number ? json_pack("{s:{s:s, s:{s:s}}, s:b, s:b, s:b}", "addr", "type", "fd", "data", "str", number, "server", true, "wait", false, "telnet",
                                  c->protocol == 2) : NULL;
}

static json_t *socket_data(Args *a, PlanFdKind kind, const char *path, bool server) {
        _cleanup_free_ char *number = args_fd_name(a, args_fd(a, kind, path, false, false, false, NULL));

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

/* What a viewer takes the other end for. */
static const char *chardev_spice_type(const Device *d) {
        return device_kind(d) == DEVICE_REDIRDEV ? "usbredir" : device_kind(d) == DEVICE_SMARTCARD ? "smartcard" : "vdagent";
}

static json_t *vdagent_data(const Chardev *c) {
        json_t *data = json_object();

        if (data && json_set_switch(data, "clipboard", c->clipboard) >= 0 && json_set_switch(data, "mouse", c->mouse ? (c->mouse == 1 ? YES : NO) : UNSET) >= 0)
                return data;
        json_decref(data);
        return NULL;
}

/* QEMU opens it by itself: the program beside it sees to it that it may. */
static json_t *dev_data(const Chardev *c, Args *a) {
        unsigned fdset;

        return args_fd(a, PLAN_FD_COMPANION, c->device.id, true, false, true, &fdset) < 0 ? NULL : json_pack("{s:s}", "device", c->path);
}

int chardev_companion(const Device *d, const char *state, Companion *ret) {
        return companion_hostdev(ret, "file", ((const Chardev *) d)->path, false);
}

static json_t *backend_data(const Chardev *c, Args *a) {
        switch ((ChardevType) c->type) {
        case CHARDEV_PTY:
                return socket_data(a, PLAN_FD_CONSOLE, c->device.id, true);
        case CHARDEV_UNIX:
                if (!c->path)
                        return socket_data(a, PLAN_FD_CONSOLE, c->device.id, true);
                return c->mode == SOCKET_CONNECT ? socket_data(a, PLAN_FD_CONNECT, c->path, false)
                                                 : socket_data(a, PLAN_FD_LISTEN, c->path, true);
        case CHARDEV_FILE:
                return output_data(a, c->path, c->append);
        case CHARDEV_SPICEVMC:
                return json_pack("{s:s}", "type", chardev_spice_type(&c->device));
        case CHARDEV_SPICEPORT:
                return json_pack("{s:s}", "fqdn", c->spice_port);
        case CHARDEV_VDAGENT:
                return vdagent_data(c);
        case CHARDEV_TCP:
                return tcp_data(c, a);
        case CHARDEV_DEV:
                return dev_data(c, a);
        case CHARDEV_UDP:
        case CHARDEV_PIPE:
        case CHARDEV_STDIO:
        case CHARDEV_VC:
        case CHARDEV_DBUS:
        case CHARDEV_NMDM:
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
        return !console_is_mirror(d) && !c->log && (c->type == CHARDEV_PTY || c->type == CHARDEV_UNIX || c->type == CHARDEV_TCP);
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
                [CHARDEV_PTY] = "socket", [CHARDEV_UNIX] = "socket", [CHARDEV_TCP] = "socket", [CHARDEV_FILE] = "file", [CHARDEV_NULL] = "null",
                [CHARDEV_SPICEVMC] = "spicevmc", [CHARDEV_SPICEPORT] = "spiceport", [CHARDEV_VDAGENT] = "qemu-vdagent",
                [CHARDEV_DEV] = "serial",
        };
        bool parallel = c->type == CHARDEV_DEV && device_kind(&c->device) == DEVICE_PARALLEL;
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
        return args_json(a, ARG_CHARDEV, json_pack("{s:s, s:{s:s, s:o}}", "id", id, "backend", "type",
                                                 parallel ? "parallel" : backends[c->type], "data", data));
}

int chardev_copy_source(Chardev *to, const Chardev *from) {
        to->type = from->type;
        to->mode = from->mode;
        to->append = from->append;
        to->log_append = from->log_append;
        to->service = from->service;
        to->protocol = from->protocol;
        to->reconnect = from->reconnect;
        to->reconnect_timeout = from->reconnect_timeout;
        if (free_and_strdup(&to->path, from->path) < 0 || free_and_strdup(&to->host, from->host) < 0)
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
        if (device_kind(d) != DEVICE_SERIAL && device_kind(d) != DEVICE_CONSOLE && device_kind(d) != DEVICE_CHANNEL)
                return false;
        return ((const Chardev *) d)->type == CHARDEV_PTY && !console_is_mirror(d);
}

bool device_is_stream(const Device *d) {
        const Chardev *c = (const Chardev *) d;

        if (device_kind(d) != DEVICE_CHANNEL)
                return device_is_console(d);
        return c->type == CHARDEV_PTY || (c->type == CHARDEV_UNIX && !c->path && c->mode != SOCKET_CONNECT && !channel_is_agent(d));
}
