/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "show-device.h"

#include <stdio.h>
#include <string.h>

#include "show.h"
#include "str.h"

#define INTERFACE(name) QEMU1 "." name

typedef struct Device {
        const json_t *o;         /* the interface of its kind */
        const char *alias;
        const json_t *statistics;
} Device;

/* --- numbers of it --- */

/* N of the "block.N.name" or "net.N.alias" that is this one's; -1: none. */
static int statistics_index(const json_t *statistics, const char *group, const char *key, const char *value) {
        char name[48];
        int n;

        (void) snprintf(name, sizeof(name), "%s.count", group);
        n = (int) show_number(statistics, name);
        for (int i = 0; i < n; i++) {
                (void) snprintf(name, sizeof(name), "%s.%d.%s", group, i, key);
                if (streq(show_text(statistics, name), value))
                        return i;
        }
        return -1;
}

/* 0 where it is not known. */
static uint64_t statistic(const json_t *statistics, const char *group, int n, const char *key) {
        char name[48];

        (void) snprintf(name, sizeof(name), "%s.%d.%s", group, n, key);
        return n < 0 ? 0 : show_number(statistics, name);
}

/* --- disks --- */

/* Whatever says best what is in a drive. */
static const char *source_text(const json_t *source) {
        static const char *const keys[] = { "path", "url", "address", "volume" };

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (*show_text(source, keys[i]))
                        return show_text(source, keys[i]);
        return "";
}

static void show_disk(const Device *d) {
        const char *target = show_text(d->o, "Target"), *source = source_text(json_object_get(d->o, "Source")), *format = show_text(d->o, "Format");
        int n = statistics_index(d->statistics, "block", "name", target);
        uint64_t capacity = show_number(d->o, "Capacity") ?: statistic(d->statistics, "block", n, "capacity");
        uint64_t taken = show_number(d->o, "Allocation") ?: statistic(d->statistics, "block", n, "physical");
        char all[32], used[32], size[96] = "";

        format_size(capacity, all, sizeof(all));
        format_size(taken, used, sizeof(used));
        if (capacity > 0)
                (void) snprintf(size, sizeof(size), ", %s%s%s%s", all, taken > 0 ? " (" : "", taken > 0 ? used : "", taken > 0 ? " taken)" : "");
        print_line(streq(show_text(d->o, "Kind"), "cdrom") ? "CD-ROM" : "Disk", "%s (%s) %s%s%s%s%s%s", target, show_text(d->o, "Bus"),
                   *source ? source : "empty", *source && *format ? ", " : "", *source ? format : "", *source ? size : "",
                   *source && json_is_true(json_object_get(d->o, "ReadOnly")) ? ", read-only" : "",
                   json_is_true(json_object_get(d->o, "TrayOpen")) ? ", tray open" : "");
}

/* --- networks --- */

static void show_nic(const Device *d) {
        int n = statistics_index(d->statistics, "net", "alias", d->alias);
        uint64_t received = statistic(d->statistics, "net", n, "rx.bytes"), sent = statistic(d->statistics, "net", n, "tx.bytes");
        char in[32], out[32], traffic[96] = "";

        format_size(received, in, sizeof(in));
        format_size(sent, out, sizeof(out));
        if (received + sent > 0)
                (void) snprintf(traffic, sizeof(traffic), ", %s received, %s sent", in, out);
        print_line("Network", "%s %s %s (%s%s%s)%s%s", d->alias, show_text(d->o, "MAC"), show_text(d->o, "Model"), show_text(d->o, "Type"),
                   *show_text(d->o, "Source") ? " " : "", show_text(d->o, "Source"), traffic,
                   json_is_true(json_object_get(d->o, "LinkUp")) ? "" : ", link down");
}

/* --- displays and consoles --- */

/* What a viewer is told. */
static void show_viewer(const char *type, const char *listen, json_int_t port, json_int_t tls, const char *socket) {
        const char *open = strchr(listen, ':') ? "[" : "", *close = *open ? "]" : "";

        if (streq(type, "spice") && tls > 0)
                print_line("", "remote-viewer 'spice://%s%s%s?tls-port=%" JSON_INTEGER_FORMAT "'", open, listen, close, tls);
        else if (port > 0)
                print_line("", "remote-viewer %s://%s%s%s:%" JSON_INTEGER_FORMAT, type, open, listen, close, port);
        else if (*socket)
                print_line("", "remote-viewer %s+unix://%s", type, socket);
}

static void show_websocket(const json_t *o, const char *listen) {
        json_int_t port = json_integer_value(json_object_get(o, "WebSocketPort"));
        bool is_six = strchr(listen, ':');

        if (port > 0)
                print_line("", "%s://%s%s%s:%" JSON_INTEGER_FORMAT " for browsers", json_is_true(json_object_get(o, "TLS")) ? "wss" : "ws", is_six ? "[" : "",
                           listen, is_six ? "]" : "", port);
}

static void show_display(const Device *d) {
        json_int_t port = json_integer_value(json_object_get(d->o, "Port")), tls = json_integer_value(json_object_get(d->o, "TLSPort"));
        const char *type = show_text(d->o, "Type"), *listen = show_text(d->o, "Listen"), *socket = show_text(d->o, "Socket");

        if (port > 0 && tls > 0)
                print_line("Display", "%s at %s port %" JSON_INTEGER_FORMAT ", with TLS %" JSON_INTEGER_FORMAT, type, listen, port, tls);
        else if (port > 0 || tls > 0)
                print_line("Display", "%s at %s %s %" JSON_INTEGER_FORMAT "%s", type, listen, port > 0 ? "port" : "TLS port", MAX(port, tls),
                           streq(type, "vnc") && json_is_true(json_object_get(d->o, "TLS")) ? ", with TLS" : "");
        else
                print_line("Display", "%s%s%s", type, *socket ? " at " : "", socket);
        show_viewer(type, listen, port, tls, socket);
        show_websocket(d->o, listen);
}

static void show_console(const Device *d) {
        const char *tty = show_text(d->o, "TTY");

        print_line("Console", "%s%s%s", d->alias, *tty ? " on " : "", tty);
}

/* In this order, whatever that of their paths is. */
static const struct {
        const char *interface;
        void (*show)(const Device *d);
} kinds[] = {
        { INTERFACE("Disk"), show_disk }, { INTERFACE("Nic"), show_nic }, { INTERFACE("Graphics"), show_display }, { INTERFACE("Console"), show_console },
};

void show_devices(const json_t *vm) {
        const json_t *devices = json_object_get(vm, "Devices");
        const char *path;
        json_t *interfaces;

        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                json_object_foreach((json_t *) devices, path, interfaces) {
                        Device d = {
                                .o = json_object_get(interfaces, kinds[i].interface),
                                .alias = show_text(json_object_get(interfaces, INTERFACE("Device")), "Alias"),
                                .statistics = json_object_get(vm, "Statistics"),
                        };

                        if (d.o)
                                kinds[i].show(&d);
                }
}
