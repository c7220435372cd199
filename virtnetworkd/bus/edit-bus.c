/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "edit-bus.h"

#include <string.h>

#include "../mode/port-forward.h"
#include "../run/network-edit.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "mem.h"
#include "service.h"
#include "str.h"

/* `what` stays the caller's. */
static int edit(Network *n, uint64_t flags, NetworkEdit how, const Record *what, sd_bus_message *m, sd_bus_error *error) {
        unsigned scope = (flags & BUS_FLAG_LIVE ? EDIT_LIVE : 0u) | (flags & BUS_FLAG_CONFIG ? EDIT_CONFIG : 0u);
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = network_edit(n, scope, how, what, defined_reply, sd_bus_message_ref(m), &f);

        if (r >= 0)
                return 1;
        sd_bus_message_unref(m);
        return fault_to_bus(&f, r, error);
}

/* A copy of what came over the bus, held to the limits of the same field in XML. */
static int set_field(Record *record, const char *path, const char *text, Fault *f) {
        for (size_t i = 0; i < record->type->n_fields; i++) {
                const Field *field = &record->type->fields[i];
                const char *wanted = NULL;
                int r;

                if (!streq(field->path, path))
                        continue;
                r = field->type->from_text(field, text, field_value(record, field), &wanted);
                if (r == -ENOMEM)
                        return fault_oom(f);
                if (r < 0)
                        return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.64s\" is not valid for %s%s%s", text, path + 1, wanted ? ", expected " : "",
                                         wanted ?: "");
                return 0;
        }
        return -EINVAL;
}

/* --- port forwards --- */

static int read_protocol(const char *text, PortForward *w, Fault *f) {
        w->protocol = port_protocol_from_string(text);
        return w->protocol > 0 ? 0 : fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.16s\" is no protocol: tcp, udp or sctp", text);
}

static int read_port_forward(sd_bus_message *m, PortForward *w, uint64_t *ret_flags, Fault *f) {
        const char *protocol, *guest, *address = "", *device = "";
        const BusOption options[] = { { "address", 's', &address }, { "device", 's', &device } };
        uint16_t start, end, to;
        int r = sd_bus_message_read(m, "sqqsq", &protocol, &start, &end, &guest, &to);

        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_LIVE | BUS_FLAG_CONFIG, ret_flags, options, ARRAY_SIZE(options), f);
        if (r >= 0)
                r = read_protocol(protocol, w, f);
        if (r >= 0 && start == 0)
                r = fault_set(f, FAULT_INVALID_ARGS, EINVAL, "there is no port 0");
        if (r >= 0)
                r = set_field(&w->head, "@guest", guest, f);
        if (r >= 0 && *address)
                r = set_field(&w->head, "@address", address, f);
        if (r >= 0 && *device)
                r = set_field(&w->head, "@dev", device, f);
        if (r < 0)
                return r;
        w->start = start;
        w->end = end == 0 || end == start ? NUMBER_UNSET : end;
        w->to = to == 0 || to == start ? NUMBER_UNSET : to;
        return 0;
}

BUS_PUBLIC_HANDLER(method_add_port_forward, ACTION_MANAGE) {
        PortForward *w = record_new(&port_forward_record);
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r;

        r = w ? read_port_forward(m, w, &flags, &f) : -ENOMEM;
        r = r < 0 ? fault_to_bus(&f, r, error) : edit(userdata, flags, edit_add_port_forward, &w->head, m, error);
        record_free(w);
        return r;
}

BUS_PUBLIC_HANDLER(method_remove_port_forward, ACTION_MANAGE) {
        PortForward *w = record_new(&port_forward_record);
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *protocol;
        uint16_t start;
        uint64_t flags;
        int r;

        r = w ? sd_bus_message_read(m, "sq", &protocol, &start) : -ENOMEM;
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_LIVE | BUS_FLAG_CONFIG, &flags, NULL, 0, &f);
        if (r >= 0)
                r = read_protocol(protocol, w, &f);
        if (r >= 0) {
                w->start = start;
                r = edit(userdata, flags, edit_remove_port_forward, &w->head, m, error);
        } else
                r = fault_to_bus(&f, r, error);
        record_free(w);
        return r;
}

static int append_ip(sd_bus_message *m, const IpAddress *a) {
        return sd_bus_message_append_array(m, 'y', a->bytes, ip_is_set(a) ? ip_bits(a->family) / 8 : 0);
}

static int append_targets(sd_bus_message *reply, const Network *n, const PortForward *w) {
        IpAddress targets[PORT_FORWARD_TARGETS_MAX];
        unsigned count = n->active ? port_forward_targets(n->live, w, network_grants(n), targets) : 0;
        int r = sd_bus_message_open_container(reply, 'a', "ay");

        for (unsigned i = 0; i < count && r >= 0; i++)
                r = append_ip(reply, &targets[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_port_forward(sd_bus_message *reply, const Network *n, const PortForward *w) {
        int r = sd_bus_message_open_container(reply, 'r', "sqqsqaysaay");

        if (r >= 0)
                r = sd_bus_message_append(reply, "sqqsq", port_protocol_to_string((PortProtocol) w->protocol), (uint16_t) w->start,
                                          (uint16_t) port_forward_end(w), w->guest, (uint16_t) (w->to == NUMBER_UNSET ? w->start : w->to));
        if (r >= 0)
                r = append_ip(reply, &w->address);
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", w->dev ?: "");
        if (r >= 0)
                r = append_targets(reply, n, w);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_PUBLIC_GETTER(get_port_forwards) {
        const NetworkDef *def = network_def(userdata);
        int r = sd_bus_message_open_container(reply, 'a', "(sqqsqaysaay)");

        if (def)
                RECORD_FOREACH(PortForward, w, def->port_forwards)
                        if (r >= 0)
                                r = append_port_forward(reply, userdata, w);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* --- hosts --- */

static int read_address(sd_bus_message *m, IpAddress *ret, Fault *f) {
        const void *bytes;
        size_t n;
        int r = sd_bus_message_read_array(m, 'y', &bytes, &n);

        if (r < 0)
                return r;
        if (n != 0 && n != 4 && n != 16)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "an address has 4 or 16 bytes, or none, not %zu", n);
        *ret = (IpAddress) { .family = n == 0 ? AF_UNSPEC : n == 4 ? AF_INET : AF_INET6 };
        memcpy(ret->bytes, bytes, n);
        return 0;
}

/* Six bytes are a MAC address, more are a DHCPv6 client's id. */
static int set_client(DhcpHost *h, const char *client, Fault *f) {
        if (!*client)
                return 0;
        return set_field(&h->head, strlen(client) > strlen("52:54:00:00:00:00") ? "@id" : "@mac", client, f);
}

static int read_host(sd_bus_message *m, DhcpHost *h, uint64_t *ret_flags, Fault *f) {
        const char *client, *name = "";
        const BusOption options[] = { { "name", 's', &name } };
        int r = sd_bus_message_read(m, "s", &client);

        if (r >= 0)
                r = read_address(m, &h->ip, f);
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_LIVE | BUS_FLAG_CONFIG, ret_flags, options, ARRAY_SIZE(options), f);
        if (r >= 0)
                r = set_client(h, client, f);
        if (r >= 0 && *name)
                r = set_field(&h->head, "@name", name, f);
        if (r >= 0 && !h->mac.set && !h->id && !h->name)
                r = fault_set(f, FAULT_INVALID_ARGS, EINVAL, "give a MAC address, a DHCPv6 client id, or the option name");
        return r;
}

static int edit_host(sd_bus_message *m, Network *n, NetworkEdit how, sd_bus_error *error) {
        DhcpHost *h = record_new(&dhcp_host_record);
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r;

        r = h ? read_host(m, h, &flags, &f) : -ENOMEM;
        r = r < 0 ? fault_to_bus(&f, r, error) : edit(n, flags, how, &h->head, m, error);
        record_free(h);
        return r;
}

BUS_PUBLIC_HANDLER(method_add_static_host, ACTION_MANAGE) {
        return edit_host(m, userdata, edit_add_host, error);
}

BUS_PUBLIC_HANDLER(method_remove_static_host, ACTION_MANAGE) {
        return edit_host(m, userdata, edit_remove_host, error);
}

static int append_host(sd_bus_message *reply, const DhcpHost *h) {
        _cleanup_free_ char *mac = h->mac.set ? field_mac.to_text(NULL, &h->mac) : NULL;
        int r = sd_bus_message_open_container(reply, 'r', "says");

        if (r >= 0)
                r = sd_bus_message_append(reply, "s", mac ?: h->id ?: "");
        if (r >= 0)
                r = append_ip(reply, &h->ip);
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", h->name ?: "");
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_PUBLIC_GETTER(get_static_hosts) {
        const NetworkDef *def = network_def(userdata);
        int r = sd_bus_message_open_container(reply, 'a', "(says)");

        if (def)
                RECORD_FOREACH(NetworkIp, ip, def->ips)
                        RECORD_FOREACH(DhcpHost, h, ip->hosts)
                                if (r >= 0)
                                        r = append_host(reply, h);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* --- ranges --- */

static int append_range(sd_bus_message *reply, const DhcpRange *g) {
        int r = sd_bus_message_open_container(reply, 'r', "iayay");

        if (r >= 0)
                r = sd_bus_message_append(reply, "i", g->start.family);
        if (r >= 0)
                r = append_ip(reply, &g->start);
        if (r >= 0)
                r = append_ip(reply, &g->end);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_PUBLIC_GETTER(get_dhcp_ranges) {
        const NetworkDef *def = network_def(userdata);
        int r = sd_bus_message_open_container(reply, 'a', "(iayay)");

        if (def)
                RECORD_FOREACH(NetworkIp, ip, def->ips)
                        RECORD_FOREACH(DhcpRange, g, ip->ranges)
                                if (r >= 0)
                                        r = append_range(reply, g);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
