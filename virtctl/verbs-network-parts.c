/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "network.h"
#include "rows.h"
#include "str.h"
#include "verbs.h"

/* Parts of a network's definition that people change by themselves: port forwards and the addresses of hosts. */

/* --- what is written on the command line --- */

typedef struct Ports {
        const char *protocol;
        uint16_t first, last;
} Ports;

static int parse_port(const char *text, size_t length, uint16_t *ret) {
        _cleanup_free_ char *copy = strndup(text, length);
        uint64_t number;

        if (!copy || parse_u64(copy, 10, &number) < 0 || number < 1 || number > 65535)
                return -EINVAL;
        *ret = (uint16_t) number;
        return 0;
}

/* "8080", "udp:5000-5010" */
static int parse_ports(const char *text, Ports *ret) {
        static const char *const protocols[] = { "tcp", "udp", "sctp" };
        const char *colon = strchr(text, ':'), *ports = colon ? colon + 1 : text, *dash = strchr(ports, '-');

        *ret = (Ports) { .protocol = colon ? NULL : "tcp" };
        for (size_t i = 0; colon && i < ARRAY_SIZE(protocols); i++)
                if (strlen(protocols[i]) == (size_t) (colon - text) && strncmp(text, protocols[i], strlen(protocols[i])) == 0)
                        ret->protocol = protocols[i];
        if (!ret->protocol || parse_port(ports, dash ? (size_t) (dash - ports) : strlen(ports), &ret->first) < 0)
                return -EINVAL;
        ret->last = ret->first;
        return dash ? parse_port(dash + 1, strlen(dash + 1), &ret->last) : 0;
}

/* "web:80", "web", "52:54:00:11:22:33", "[fd00::5]:80": a port is what follows the only colon, or the last one behind a bracket or a whole
 * MAC address. */
static int parse_guest(const char *text, char **ret_guest, uint16_t *ret_port) {
        bool bracket = text[0] == '[';
        const char *end = bracket ? strchr(text, ']') : strchr(text, ':');
        unsigned colons = 0;

        for (const char *p = text; *p; p++)
                colons += *p == ':';
        *ret_port = 0;
        if (bracket && (!end || (end[1] && end[1] != ':')))
                return -EINVAL;
        if (!bracket && colons == 6)
                end = strrchr(text, ':');
        else if (!bracket && colons != 1)
                end = NULL;
        *ret_guest = end ? strndup(text + bracket, (size_t) (end - text) - bracket) : strdup(text);
        if (!*ret_guest)
                return -ENOMEM;
        if (end && bracket)
                end++;
        return end && *end ? parse_port(end + 1, strlen(end + 1), ret_port) : 0;
}

static int bad_ports(const char *text) {
        fprintf(stderr, "virtctl: \"%s\" names no ports; they are as 8080, udp:5000 or tcp:8000-8010\n", text);
        return USAGE;
}

/* --- port forwards --- */

int verb_add_port_forward(Client *c, int argc, char **argv) {
        _cleanup_free_ char *path = NULL, *guest = NULL;
        uint16_t to;
        Ports ports;
        int r;

        if (parse_ports(argv[1], &ports) < 0)
                return bad_ports(argv[1]);
        if (parse_guest(argv[2], &guest, &to) < 0) {
                fprintf(stderr, "virtctl: \"%s\" names no guest; it is as web:80, 192.168.100.7:80, [fd00::7]:80 or 52:54:00:11:22:33:80\n", argv[2]);
                return USAGE;
        }
        r = network_find(c, argv[0], &path);
        return r != 0 ? r : client_call(c, path, NETWORK1_NETWORK, "AddPortForward", NULL, "sqqsqta{sv}", ports.protocol, ports.first, ports.last, guest, to,
                                        UINT64_C(0), 0);
}

int verb_remove_port_forward(Client *c, int argc, char **argv) {
        _cleanup_free_ char *path = NULL;
        Ports ports;
        int r;

        if (parse_ports(argv[1], &ports) < 0)
                return bad_ports(argv[1]);
        r = network_find(c, argv[0], &path);
        return r != 0 ? r : client_call(c, path, NETWORK1_NETWORK, "RemovePortForward", NULL, "sqta{sv}", ports.protocol, ports.first, UINT64_C(0), 0);
}

static int read_address(sd_bus_message *m, char text[INET6_ADDRSTRLEN]) {
        const void *bytes;
        size_t n;
        int r = sd_bus_message_read_array(m, 'y', &bytes, &n);

        text[0] = '\0';
        if (r <= 0 || n == 0)
                return r;
        return (n != 4 && n != 16) || !inet_ntop(n == 4 ? AF_INET : AF_INET6, bytes, text, INET6_ADDRSTRLEN) ? -EBADMSG : 1;
}

static int read_targets(sd_bus_message *m, json_t *list) {
        char address[INET6_ADDRSTRLEN];
        int r = sd_bus_message_enter_container(m, 'a', "ay");

        while (r >= 0 && (r = read_address(m, address)) > 0)
                (void) json_array_append_new(list, json_string(address));
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* Reads one `sqqsqaysaay`; *ret NULL at the end of the list. */
static int read_port_forward(sd_bus_message *m, json_t **ret) {
        const char *protocol, *guest, *device;
        json_t *targets = json_array();
        char address[INET6_ADDRSTRLEN];
        uint16_t start, end, to;
        int r;

        *ret = NULL;
        r = sd_bus_message_enter_container(m, 'r', "sqqsqaysaay");
        if (r > 0)
                r = sd_bus_message_read(m, "sqqsq", &protocol, &start, &end, &guest, &to);
        if (r <= 0) {
                json_decref(targets);
                return r;
        }
        r = read_address(m, address);
        if (r >= 0)
                r = sd_bus_message_read(m, "s", &device);
        if (r >= 0)
                r = read_targets(m, targets);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0) {
                json_decref(targets);
                return r;
        }
        *ret = json_pack("{s:s, s:i, s:i, s:s, s:i, s:s, s:s, s:o}", "protocol", protocol, "start", start, "end", end, "guest", guest, "to", to,
                         "address", address, "device", device, "targets", targets);
        return *ret ? 0 : -ENOMEM;
}

static char *range_text(json_int_t first, json_int_t last) {
        return last > first ? strf("%lld-%lld", (long long) first, (long long) last) : strf("%lld", (long long) first);
}

static void set_text(json_t *row, const char *key, char *text) {
        (void) json_object_set_new(row, key, json_string(text ?: ""));
        free(text);
}

static void add_words(json_t *row) {
        json_int_t start = json_integer_value(json_object_get(row, "start")), end = json_integer_value(json_object_get(row, "end"));
        json_int_t to = json_integer_value(json_object_get(row, "to"));
        _cleanup_free_ char *ports = range_text(start, end), *theirs = range_text(to, to + end - start), *targets = NULL;
        const char *address = json_string_value(json_object_get(row, "address"));
        _cleanup_text_ Text t = TEXT_INIT;
        json_t *target;
        size_t i;

        set_text(row, "host-text", strf("%s%s%s:%s", *address ? address : "", *address ? " " : "", json_string_value(json_object_get(row, "protocol")),
                                        ports ?: ""));
        set_text(row, "guest-text", strf("%s port %s", json_string_value(json_object_get(row, "guest")), theirs ?: ""));
        json_array_foreach(json_object_get(row, "targets"), i, target)
                text_addf(&t, "%s%s", i > 0 ? " " : "", json_string_value(target));
        text_add(&t, json_array_size(json_object_get(row, "targets")) > 0 ? "" : "not there");
        targets = text_finish(&t);
        (void) json_object_set_new(row, "targets-text", json_string(targets ?: ""));
}

int verb_port_forwards(Client *c, int argc, char **argv) {
        const RowsView view = {
                .what = "port forward", .columns = WORDS("HOST", "GUEST", "ADDRESS"), .shown = WORDS("host-text", "guest-text", "targets-text"),
                .add_words = add_words,
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *list = json_array();
        _cleanup_free_ char *path = NULL;
        json_t *row;
        int r;

        r = network_find(c, argv[0], &path);
        if (r == 0)
                r = client_call(c, path, "org.freedesktop.DBus.Properties", "Get", &reply, "ss", NETWORK1_NETWORK, "PortForwards");
        if (r != 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'v', "a(sqqsqaysaay)");
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(sqqsqaysaay)");
        while (r >= 0 && (r = read_port_forward(reply, &row)) >= 0 && row)
                (void) json_array_append_new(list, row);
        return r < 0 ? client_garbled(r) : rows_show(c, list, &view);
}

/* --- hosts --- */

static int call_about_host(Client *c, const char *path, const char *method, const char *client, const char *address, const char *name) {
        sd_bus_message *m = NULL;
        uint8_t bytes[16];
        size_t n = 0;
        int r;

        if (address) {
                n = inet_pton(AF_INET, address, bytes) == 1 ? 4 : inet_pton(AF_INET6, address, bytes) == 1 ? 16 : 0;
                if (n == 0) {
                        fprintf(stderr, "virtctl: \"%s\" is no IP address\n", address);
                        return USAGE;
                }
        }
        r = client_new_call(c, &m, path, NETWORK1_NETWORK, method);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", client);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', bytes, n);
        if (r >= 0)
                r = name ? sd_bus_message_append(m, "ta{sv}", UINT64_C(0), 1, "name", "s", name) : sd_bus_message_append(m, "ta{sv}", UINT64_C(0), 0);
        if (r < 0) {
                sd_bus_message_unref(m);
                return client_garbled(r);
        }
        return client_send(c, m, NULL);
}

int verb_add_host(Client *c, int argc, char **argv) {
        _cleanup_free_ char *path = NULL;
        int r = network_find(c, argv[0], &path);

        return r != 0 ? r : call_about_host(c, path, "AddStaticHost", argv[1], argv[2], argc > 3 ? argv[3] : NULL);
}

/* Known by MAC address, address or name, whatever is given. */
int verb_remove_host(Client *c, int argc, char **argv) {
        _cleanup_free_ char *path = NULL;
        struct in6_addr unused;
        bool address = inet_pton(AF_INET, argv[1], &unused) == 1 || inet_pton(AF_INET6, argv[1], &unused) == 1, mac = !address && strchr(argv[1], ':');
        int r = network_find(c, argv[0], &path);

        return r != 0 ? r : call_about_host(c, path, "RemoveStaticHost", mac ? argv[1] : "", address ? argv[1] : NULL, mac || address ? NULL : argv[1]);
}
