/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-addresses.h"

#include <string.h>

#include "neighbours.h"

typedef struct Collecting {
        Networks *networks;
        GuestAddress *items;
        size_t n;
} Collecting;

static bool is_known(const Collecting *c, const IpAddress *a) {
        for (size_t i = 0; i < c->n; i++)
                if (ip_equal(&c->items[i].address, a))
                        return true;
        return false;
}

static void add(Collecting *c, const IpAddress *a, unsigned prefix, bool leased) {
        if (c->n < GUEST_ADDRESSES_MAX && !is_known(c, a))
                c->items[c->n++] = (GuestAddress) { *a, prefix, leased };
}

static unsigned prefix_in(const Network *n, const IpAddress *a) {
        RECORD_FOREACH(NetworkIp, ip, n->live->ips)
                if (ip_is_in(a, &ip->address, network_prefix(ip)))
                        return network_prefix(ip);
        return ip_bits(a->family);
}

static void add_leases(Collecting *c, const Network *n, const char *mac) {
        const DhcpGrants *grants = network_grants(n);

        for (size_t i = 0; grants && i < grants->n; i++)
                if (strcasecmp(grants->items[i].mac, mac) == 0)
                        add(c, &grants->items[i].address, prefix_in(n, &grants->items[i].address), true);
}

static int on_neighbour(const IpAddress *a, int ifindex, void *userdata) {
        Collecting *c = userdata;

        if (!is_known(c, a))
                add(c, a, links_prefix_of(c->networks->links, ifindex, a), false);
        return 0;
}

size_t guest_addresses(Networks *s, const MacAddress *mac, GuestAddress *ret) {
        _cleanup_free_ char *text = field_mac.to_text(NULL, mac);
        Collecting c = { .networks = s, .items = ret };

        assert(s && mac && ret);

        REGISTRY_FOREACH(Network, n, s->set.registry)
                if (n->live && text)
                        add_leases(&c, n, text);
        if (s->neighbours)
                (void) neighbours_of(s->neighbours, mac, on_neighbour, &c);
        return c.n;
}
