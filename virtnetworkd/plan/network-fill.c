/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network.h"

#include <string.h>

#include "../mode/mode.h"
#include "mem.h"
#include "xml-read.h"

/* What classes were, before there were prefixes: libvirt takes them where nothing is said. */
static unsigned classful_prefix(const IpAddress *a) {
        if (a->family == AF_INET6)
                return 64;
        return a->bytes[0] < 128 ? 8 : a->bytes[0] < 192 ? 16 : 24;
}

/* A <dhcp/> in a network whose address is left to us is left to us as well. */
static int fill_range(NetworkIp *ip) {
        IpAddress last = ip_broadcast(&ip->address, network_prefix(ip));
        bool six = ip->family == FAMILY_IPV6;
        DhcpRange *g;

        if (!ip->dhcp || ip->ranges.n > 0)
                return 0;
        g = record_new(&dhcp_range_record);
        if (!g)
                return -ENOMEM;
        g->start = ip_add(&ip->address, six ? 0xff : 1);
        g->end = six ? ip_add(&ip->address, 0xfffe) : last;
        if (!six)
                g->end.bytes[3]--;
        return record_list_add(&ip->ranges, g);
}

static int fill_ip(NetworkIp *ip, const NetworkDefaults *defaults, Fault *f) {
        bool six = ip->family == FAMILY_IPV6;

        if (!ip_is_set(&ip->address)) {
                ip->address = six ? defaults->ipv6 : defaults->ipv4;
                if (ip->prefix == NUMBER_UNSET && !ip_is_set(&ip->netmask))
                        ip->prefix = six ? defaults->ipv6_prefix : defaults->ipv4_prefix;
                if (!ip_is_set(&ip->address))
                        return xml_fault(&ip->head, f, FAULT_LIMIT, "no private %s prefix is free: give an address", six ? "IPv6" : "IPv4");
                if (fill_range(ip) < 0)
                        return fault_oom(f);
        }
        if (ip->prefix != NUMBER_UNSET || ip_is_set(&ip->netmask))
                return 0;
        ip->prefix = classful_prefix(&ip->address);
        return 0;
}

/* QEMU's own prefix, the rest by chance: a bridge without an address of its own would take over that of its first port. */
static int fill_mac(NetworkDef *def) {
        sd_id128_t chance;
        int r;

        if (def->mac.set)
                return 0;
        r = sd_id128_randomize(&chance);
        if (r >= 0)
                def->mac = (MacAddress) { { 0x52, 0x54, 0x00, chance.bytes[0], chance.bytes[1], chance.bytes[2] }, true };
        return r;
}

static int fill_bridge(NetworkDef *def, const NetworkDefaults *defaults, Fault *f) {
        if (!def->bridge && free_and_strdup(&def->bridge, defaults->bridge) < 0)
                return fault_oom(f);
        if (def->stp == UNSET)
                def->stp = YES;
        if (def->delay == NUMBER_UNSET)
                def->delay = 0;
        return fill_mac(def);
}

int network_fill(NetworkDef *def, const NetworkDefaults *defaults, Fault *f) {
        int r = 0;

        assert(def && defaults);

        if (sd_id128_is_null(def->uuid))
                r = sd_id128_randomize(&def->uuid);
        if (def->forward && def->mode == FORWARD_NONE)
                def->mode = FORWARD_NAT;
        if (r >= 0 && mode_ops(network_kind(def))->own_bridge)
                r = fill_bridge(def, defaults, f);
        for (size_t i = 0; i < def->ips.n && r >= 0; i++)
                r = fill_ip((NetworkIp *) def->ips.items[i], defaults, f);
        return r;
}
