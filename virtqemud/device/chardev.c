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
DEFINE_ENUM(SerialTarget, serial_target, NULL, "isa-serial", "pci-serial", "usb-serial", "serial", "virtio", "isa-debug")
DEFINE_ENUM(SocketMode, socket_mode, NULL, "bind", "connect")

static const char *const mouse_words[] = { NULL, "client", "server" };
static const EnumTable mouse_table = { mouse_words, ARRAY_SIZE(mouse_words) };
static const char *const protocol_words[] = { NULL, "raw", "telnet" };
const EnumTable chardev_protocol_table = { protocol_words, ARRAY_SIZE(protocol_words) };

#define AT(member) offsetof(ChardevSource, member)
static const Field source_fields[] = {
        { "@mode", &field_enum, AT(mode), .words = &socket_mode_table },
        { "@path", &field_string, AT(path) },
        { "@host", &field_string, AT(host), .max_length = 255 },
        { "@service", &field_number, AT(service), .min = 1, .max = 65535 },
        { "reconnect/@enabled", &field_yes_no, AT(reconnect) },
        { "reconnect/@timeout", &field_number, AT(reconnect_timeout), .max = 86400 },
        { "@append", &field_on_off, AT(append) },
        { "@channel", &field_string, AT(spice_port), .max_length = 255 },
        { "clipboard/@copypaste", &field_yes_no, AT(clipboard) },
        { "mouse/@mode", &field_enum, AT(mouse), .words = &mouse_table },
};
#undef AT

const RecordType chardev_source_record = { "source", sizeof(ChardevSource), RECORD_FIELDS(source_fields) };

static const ChardevSource *source_at(const Chardev *c, size_t i) {
        static const ChardevSource nothing_said = { .service = NUMBER_UNSET, .reconnect_timeout = NUMBER_UNSET };

        return i < c->sources.n ? (const ChardevSource *) c->sources.items[i] : &nothing_said;
}

static const ChardevSource *source_of(const Chardev *c) {
        return source_at(c, 0);
}

/* Of type 'udp'. NULL: it is not said. */
static const ChardevSource *udp_end(const Chardev *c, bool ours) {
        RECORD_FOREACH(ChardevSource, s, c->sources)
                if ((s->mode == SOCKET_BIND) == ours)
                        return s;
        return NULL;
}

/* What QEMU can't do with a descriptor: the program beside it does. */
static bool is_relayed(const Chardev *c) {
        return c->type == CHARDEV_UDP || c->type == CHARDEV_PIPE || source_of(c)->reconnect == YES;
}

/* --- rules --- */

static int not_supported(const Chardev *c, const Record *r, Fault *f) {
        static const char *const reasons[] = {
                [CHARDEV_STDIO] = "QEMU has no terminal: use type 'pty'",
                [CHARDEV_VC] = "there is no monitor window: use type 'pty'", [CHARDEV_DBUS] = "consoles are opened over D-Bus whatever their type: use 'pty'",
                [CHARDEV_NMDM] = "that is a device of FreeBSD: use type 'pty'",
        };

        xml_fault(r, f, FAULT_NOT_SUPPORTED, "type '%s' is not supported", chardev_type_to_string((ChardevType) c->type) ?: "");
        fault_hint(f, "%s", reasons[c->type]);
        return -EOPNOTSUPP;
}

/* The agent's channel and those like it: where nothing is said the socket is the daemon's own. */
static bool may_be_without_path(const Record *r) {
        return streq(r->type->element, "channel");
}

static int check_spice(const Chardev *c, const Record *r, const ChardevSource *s, Fault *f) {
        if ((c->type == CHARDEV_SPICEPORT) != (s->spice_port != NULL))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type 'spiceport' and <source channel='…'/> belong together");
        if (c->type != CHARDEV_VDAGENT && (s->clipboard != UNSET || s->mouse))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "clipboard and mouse are settings of type 'qemu-vdagent'");
        return 0;
}

static bool connects(const Chardev *c) {
        SocketMode mode = (SocketMode) source_of(c)->mode;

        return c->type == CHARDEV_TCP ? mode != SOCKET_BIND : c->type == CHARDEV_UNIX && mode == SOCKET_CONNECT;
}

static int check_reconnect(const Chardev *c, const ChardevSource *s, Fault *f) {
        const char *wrong = NULL;

        if (s->reconnect == YES && !connects(c))
                wrong = "it is for the types 'tcp' and 'unix' with mode='connect'";
        else if (s->reconnect == YES && (s->reconnect_timeout == NUMBER_UNSET || s->reconnect_timeout == 0))
                wrong = "it needs the seconds from one try to the next: timeout='…', at least 1";
        return wrong ? xml_fault_below(&s->head, "reconnect", f, FAULT_INVALID_DEFINITION, "%s", wrong) : 0;
}

static int check_path(const Chardev *c, const Record *r, Fault *f) {
        const ChardevSource *s = source_of(c);
        const char *type = chardev_type_to_string((ChardevType) c->type);

        if (c->type == CHARDEV_DEV && (!s->path || s->path[0] != '/'))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type 'dev' needs the absolute path of a device: <source path='/dev/ttyS0'/>");
        if (c->type == CHARDEV_UNIX && !s->path && s->mode != SOCKET_CONNECT && may_be_without_path(r))
                return 0;
        if (c->type != CHARDEV_FILE && c->type != CHARDEV_UNIX && c->type != CHARDEV_PIPE)
                return 0;
        if (!s->path)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type '%s' needs <source path='…'/>", type);
        if (s->path[0] != '/')
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "source path '%.128s' is not absolute", s->path);
        return 0;
}

/* Names are not looked up: that takes as long as it takes. */
static int check_end(const Chardev *c, const Record *r, const ChardevSource *s, Fault *f) {
        bool network = c->type == CHARDEV_TCP || c->type == CHARDEV_UDP;
        IpAddress ip;

        if (!network && (s->host || s->service != NUMBER_UNSET))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "host and service belong to the types 'tcp' and 'udp'");
        if (s->host && ip_from_text(ip_of_localhost(s->host), &ip) < 0)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "source host '%.64s' is no address, and names are not looked up",
                                 s->host);
        if (s->mode != SOCKET_NONE && !network && c->type != CHARDEV_UNIX)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "only the types 'unix', 'tcp' and 'udp' have a source mode");
        if (s->path && network)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type '%s' has no path", chardev_type_to_string((ChardevType) c->type));
        if (s->append != UNSET && c->type != CHARDEV_FILE)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "only type 'file' can append to its source");
        return 0;
}

static int check_sources(const Chardev *c, const Record *r, Fault *f) {
        const ChardevSource *s = source_of(c);

        /* A socket with a path is raw, too. */
        if (c->protocol && c->type != CHARDEV_TCP && (c->type != CHARDEV_UNIX || c->protocol != PROTOCOL_RAW))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "protocol belongs to type 'tcp'");
        if (c->type == CHARDEV_TCP && (!s->host || s->service == NUMBER_UNSET))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type 'tcp' needs <source mode='…' host='…' service='…'/>");
        for (size_t i = 0; i < MAX(c->sources.n, (size_t) 1); i++) {
                s = source_at(c, i);
                if (check_end(c, r, s, f) < 0 || check_reconnect(c, s, f) < 0 || check_spice(c, r, s, f) < 0)
                        return -EINVAL;
        }
        if (c->sources.n > 1 && c->type != CHARDEV_UDP)
                return xml_fault(c->sources.items[1], f, FAULT_INVALID_DEFINITION, "only type 'udp' has a second one");
        return 0;
}

static const char *udp_address(const Chardev *c, bool ours) {
        const ChardevSource *end = udp_end(c, ours), *other = udp_end(c, !ours);
        bool v6 = other && other->host && strchr(other->host, ':');

        if (end && end->host)
                return ip_of_localhost(end->host);
        return ours ? (v6 ? "::" : "0.0.0.0") : v6 ? "::1" : "127.0.0.1";
}

static int check_udp(const Chardev *c, const Record *r, Fault *f) {
        const ChardevSource *ours = udp_end(c, true), *theirs = udp_end(c, false);

        if (c->type != CHARDEV_UDP)
                return 0;
        if (!theirs || theirs->service == NUMBER_UNSET || (c->sources.n > 1 && !ours))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION,
                                 "type 'udp' needs <source mode='connect' host='…' service='…'/>, "
                                 "and may have one of mode='bind'");
        if (!strchr(udp_address(c, true), ':') != !strchr(udp_address(c, false), ':'))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "one of its addresses is of IPv4, the other one of IPv6");
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

        if (c->type > CHARDEV_PIPE)
                return not_supported(c, r, f);
        if (check_sources(c, r, f) < 0 || check_udp(c, r, f) < 0 || check_path(c, r, f) < 0)
                return -EINVAL;
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
                r = want_output(c, requests, source_of(c)->path, source_of(c)->append);
        if (r >= 0 && c->log)
                r = want_output(c, requests, c->log, c->log_append);
        return r;
}

/* --- QEMU --- */

static json_t *tcp_data(const Chardev *c, Args *a) {
        const ChardevSource *s = source_of(c);
        _cleanup_free_ char *place = strf("%s %" PRIu64, ip_of_localhost(s->host), s->service);
        PlanFdKind kind = s->mode == SOCKET_BIND ? PLAN_FD_LISTEN_TCP : PLAN_FD_CONNECT_TCP;
        _cleanup_free_ char *number = place ? args_fd_name(a, args_fd(a, kind, place, false, false, false, NULL)) : NULL;

        if (number && s->mode != SOCKET_BIND)
                return json_pack("{s:{s:s, s:{s:s}}, s:b, s:b}", "addr", "type", "fd", "data", "str", number, "server", false, "telnet",
                                 c->protocol == PROTOCOL_TELNET);
        return number ? json_pack("{s:{s:s, s:{s:s}}, s:b, s:b, s:b}", "addr", "type", "fd", "data", "str", number, "server", true, "wait", false, "telnet",
                                  c->protocol == PROTOCOL_TELNET) : NULL;
}

static json_t *socket_data(Args *a, PlanFdKind kind, const char *path, bool server) {
        _cleanup_free_ char *number = args_fd_name(a, args_fd(a, kind, path, false, false, false, NULL));

        if (!number)
                return NULL;
        if (server)
                return json_pack("{s:{s:s, s:{s:s}}, s:b, s:b}", "addr", "type", "fd", "data", "str", number, "server", true, "wait", false);
        return json_pack("{s:{s:s, s:{s:s}}, s:b}", "addr", "type", "fd", "data", "str", number, "server", false);
}

/* QEMU listens, and whoever is there at the other end of the relay comes and goes. The second descriptor only tells the relay that
 * QEMU lives. */
static json_t *relay_data(const Chardev *c, Args *a) {
        json_t *data = socket_data(a, PLAN_FD_RELAY, c->device.id, true);
        unsigned fdset;

        if (data && args_fd(a, PLAN_FD_COMPANION, c->device.id, true, false, true, &fdset) >= 0 &&
            (c->type != CHARDEV_TCP || json_object_set_new(data, "telnet", json_boolean(c->protocol == PROTOCOL_TELNET)) >= 0))
                return data;
        json_decref(data);
        return NULL;
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
        const ChardevSource *s = source_of(c);
        Tristate mouse = s->mouse ? (s->mouse == MOUSE_CLIENT ? YES : NO) : UNSET;
        json_t *data = json_object();

        if (data && json_set_switch(data, "clipboard", s->clipboard) >= 0 && json_set_switch(data, "mouse", mouse) >= 0)
                return data;
        json_decref(data);
        return NULL;
}

/* QEMU opens it by itself: the program beside it sees to it that it may. */
static json_t *dev_data(const Chardev *c, Args *a) {
        unsigned fdset;

        if (args_fd(a, PLAN_FD_COMPANION, c->device.id, true, false, true, &fdset) < 0)
                return NULL;
        return json_pack("{s:s}", "device", source_of(c)->path);
}

/* As "0", a port is any. */
static int push_place(char ***argv, const char *address, uint64_t port) {
        int r = strv_push(argv, address);

        return r < 0 ? r : strv_pushf(argv, "%" PRIu64, port == NUMBER_UNSET ? 0 : port);
}

static int push_words(const Chardev *c, char ***argv) {
        const ChardevSource *s = source_of(c), *ours = udp_end(c, true);
        int r = strv_push(argv, chardev_type_to_string((ChardevType) c->type));

        if (r >= 0 && c->type == CHARDEV_UDP)
                r = push_place(argv, udp_address(c, true), ours ? ours->service : 0);
        if (r >= 0 && c->type == CHARDEV_UDP)
                r = push_place(argv, udp_address(c, false), udp_end(c, false)->service);
        if (r >= 0 && c->type == CHARDEV_TCP)
                r = push_place(argv, ip_of_localhost(s->host), s->service);
        if (r >= 0 && (c->type == CHARDEV_UNIX || c->type == CHARDEV_PIPE))
                r = strv_push(argv, s->path);
        return r < 0 || s->reconnect != YES ? r : strv_pushf(argv, "%" PRIu64, s->reconnect_timeout);
}

int chardev_companion(const Device *d, const char *state, Companion *ret) {
        const Chardev *c = (const Chardev *) d;
        bool network = c->type == CHARDEV_TCP || c->type == CHARDEV_UDP;
        int r;

        if (c->type == CHARDEV_DEV)
                return companion_hostdev(ret, "file", source_of(c)->path, false);
        *ret = (Companion) {
                .name = "relay", .package = "virtbus", .title = "Connection", .lost = "is connected to nobody any more",
                .greets = true, .explains = FAULT_INVALID_STATE, .connects = true,
                .confined = true, .has_network = network, .any_file = !network,
        };
        r = strv_push(&ret->argv, "virtqemu-relay");
        return r < 0 ? r : push_words(c, &ret->argv);
}

static json_t *backend_data(const Chardev *c, Args *a) {
        const ChardevSource *s = source_of(c);

        if (is_relayed(c))
                return relay_data(c, a);
        switch ((ChardevType) c->type) {
        case CHARDEV_PTY:
                return socket_data(a, PLAN_FD_CONSOLE, c->device.id, true);
        case CHARDEV_UNIX:
                if (!s->path)
                        return socket_data(a, PLAN_FD_CONSOLE, c->device.id, true);
                return s->mode == SOCKET_CONNECT ? socket_data(a, PLAN_FD_CONNECT, s->path, false)
                                                 : socket_data(a, PLAN_FD_LISTEN, s->path, true);
        case CHARDEV_FILE:
                return output_data(a, s->path, s->append);
        case CHARDEV_SPICEVMC:
                return json_pack("{s:s}", "type", chardev_spice_type(&c->device));
        case CHARDEV_SPICEPORT:
                return json_pack("{s:s}", "fqdn", s->spice_port);
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
        static const bool logged[_CHARDEV_TYPE_MAX] = {
                [CHARDEV_PTY] = true, [CHARDEV_UNIX] = true, [CHARDEV_TCP] = true, [CHARDEV_UDP] = true, [CHARDEV_PIPE] = true,
        };
        const Chardev *c = (const Chardev *) d;

        if (device_kind(d) != DEVICE_SERIAL && device_kind(d) != DEVICE_CONSOLE)
                return false;
        return !console_is_mirror(d) && !c->log && logged[c->type];
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
                [CHARDEV_DEV] = "serial", [CHARDEV_UDP] = "socket", [CHARDEV_PIPE] = "socket",
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
        to->log_append = from->log_append;
        to->protocol = from->protocol;
        record_list_clear(&to->sources);
        for (size_t i = 0; i < from->sources.n; i++) {
                void *copy;

                if (record_copy(from->sources.items[i], &copy) < 0 || record_list_add(&to->sources, copy) < 0)
                        return -ENOMEM;
        }
        return free_and_strdup(&to->log, from->log);
}

static int set_path(Chardev *c, const char *path) {
        ChardevSource *s = c->sources.n == 0 ? record_new(&chardev_source_record) : NULL;

        if (c->sources.n == 0 && (!s || record_list_add(&c->sources, s) < 0))
                return -ENOMEM;
        return free_and_strdup(&((ChardevSource *) c->sources.items[0])->path, path);
}

static int set_tty(Chardev *c, const char *tty, bool console) {
        int r = set_path(c, tty);

        return r < 0 || !console ? r : free_and_strdup(&c->tty, tty);
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
                record_list_clear(&c->sources);
}

bool console_is_mirror(const Device *d) {
        return device_kind(d) == DEVICE_CONSOLE && ((const Chardev *) d)->target != TARGET_VIRTIO;
}

const char *chardev_path(const Chardev *c) {
        return source_of(c)->path;
}

bool chardev_waits_for_us(const Chardev *c) {
        return c->type == CHARDEV_UNIX && source_of(c)->mode != SOCKET_CONNECT;
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
        return c->type == CHARDEV_PTY || (chardev_waits_for_us(c) && !source_of(c)->path && !channel_is_agent(d));
}
