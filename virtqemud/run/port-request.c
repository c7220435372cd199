/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "port-request.h"

int port_append_bandwidth(sd_bus_message *m, const char *name, const Bandwidth *b) {
        if (b->average == NUMBER_UNSET)
                return 0;
        return sd_bus_message_append(m, "{sv}", name, "(ttt)", b->average, b->peak == NUMBER_UNSET ? 0 : b->peak, b->burst == NUMBER_UNSET ? 0 : b->burst);
}

static int append_vlans(sd_bus_message *m, const PortSettings *s) {
        int r;

        if (s->tags.n == 0)
                return 0;
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "vlans");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "a(ts)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(ts)");
        for (size_t i = 0; i < s->tags.n && r >= 0; i++) {
                const VlanTag *t = (const VlanTag *) s->tags.items[i];

                r = sd_bus_message_append(m, "(ts)", t->id, t->native == NATIVE_NONE ? "" : vlan_native_to_string((VlanNative) t->native));
        }
        for (unsigned depth = 0; depth < 3 && r >= 0; depth++)
                r = sd_bus_message_close_container(m);
        return r < 0 || s->trunk == UNSET ? r : sd_bus_message_append(m, "{sv}", "trunk", "b", s->trunk == YES);
}

static int append_id(sd_bus_message *m, const char *name, sd_id128_t id) {
        int r;

        if (sd_id128_is_null(id))
                return 0;
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', id.bytes, sizeof(id.bytes));
        for (unsigned depth = 0; depth < 2 && r >= 0; depth++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_virtual_port(sd_bus_message *m, const Domain *d, const VirtualPort *v) {
        int r = 0;

        if (v->type != VIRTUAL_PORT_NONE) {
                r = sd_bus_message_append(m, "{sv}", "virtualport", "s", virtual_port_type_to_string((VirtualPortType) v->type));
                if (r >= 0)
                        r = append_id(m, "uuid", d->uuid);
        }
        if (r >= 0 && v->profile_id)
                r = sd_bus_message_append(m, "{sv}", "profileid", "s", v->profile_id);
        return r < 0 ? r : append_id(m, "interfaceid", v->interface_id);
}

/* What the definition asks for, beside what every port has. */
static int append_settings(sd_bus_message *m, const Domain *d, const Interface *i) {
        int r = 0;

        if (i->port_group)
                r = sd_bus_message_append(m, "{sv}", "portgroup", "s", i->port_group);
        if (r >= 0 && i->isolated == YES)
                r = sd_bus_message_append(m, "{sv}", "isolated", "b", 1);
        if (r >= 0 && i->coalesce != NUMBER_UNSET && i->coalesce > 0)
                r = sd_bus_message_append(m, "{sv}", "coalesce", "u", (uint32_t) i->coalesce);
        if (r >= 0)
                r = port_append_bandwidth(m, "inbound", &i->port.inbound);
        if (r >= 0)
                r = port_append_bandwidth(m, "outbound", &i->port.outbound);
        if (r >= 0)
                r = append_virtual_port(m, d, &i->port.virtual_port);
        return r < 0 ? r : append_vlans(m, &i->port);
}

int port_append(sd_bus_message *m, const Domain *d, const Interface *i) {
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}", "domain", "s", d->name, "queues", "u", (uint32_t) interface_queues(i));
        if (r >= 0)
                r = append_settings(m, d, i);
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "mac", "ay", 6, i->mac.octets[0], i->mac.octets[1], i->mac.octets[2], i->mac.octets[3],
                                          i->mac.octets[4], i->mac.octets[5]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_append(m, "ta{sv}", UINT64_C(0), 0);
}
