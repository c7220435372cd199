/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "port-forward.h"

#include <inttypes.h>
#include <string.h>

#include "mode.h"
#include "str.h"
#include "xml-read.h"

#define bad(record, f, ...) xml_fault(&(record)->head, (f), FAULT_INVALID_DEFINITION, __VA_ARGS__)

/* --- who is meant --- */

typedef enum GuestForm { GUEST_ADDRESS, GUEST_MAC, GUEST_NAME } GuestForm;

static GuestForm guest_form(const char *guest, IpAddress *ret_address, MacAddress *ret_mac) {
        const char *wanted;

        *ret_mac = (MacAddress) {};
        if (ip_from_text(guest, ret_address) >= 0)
                return GUEST_ADDRESS;
        *ret_address = (IpAddress) {};
        return field_mac.from_text(NULL, guest, ret_mac, &wanted) >= 0 ? GUEST_MAC : GUEST_NAME;
}

static bool is_host(const DhcpHost *h, const char *guest, const MacAddress *mac) {
        return mac->set ? field_mac.equal(&h->mac, mac) : h->name && strcasecmp(h->name, guest) == 0;
}

static const DhcpHost *find_host(const NetworkDef *def, int family, const char *guest, const MacAddress *mac) {
        RECORD_FOREACH(NetworkIp, ip, def->ips)
                if (ip->address.family == family)
                        RECORD_FOREACH(DhcpHost, h, ip->hosts)
                                if (is_host(h, guest, mac))
                                        return h;
        return NULL;
}

/* A name is its guest's own word. When two guests claim one, neither gets what is meant for the other. */
static const DhcpGrant *find_grant(const DhcpGrants *grants, int family, const char *mac, const char *name) {
        const DhcpGrant *found = NULL;

        for (size_t i = 0; grants && i < grants->n; i++) {
                const DhcpGrant *g = &grants->items[i];

                if (g->address.family != family || (mac ? strcasecmp(g->mac, mac) != 0 : !g->name || strcasecmp(g->name, name) != 0))
                        continue;
                if (!mac && found)
                        return NULL;
                found = found ?: g;
        }
        return found;
}

static IpAddress find_target(const NetworkDef *def, const PortForward *w, const DhcpGrants *grants, int family) {
        _cleanup_free_ char *text = NULL;
        const DhcpGrant *grant;
        const DhcpHost *host;
        IpAddress address;
        MacAddress mac;

        if (guest_form(w->guest, &address, &mac) == GUEST_ADDRESS)
                return address.family == family ? address : (IpAddress) {};
        host = find_host(def, family, w->guest, &mac);
        if (host && ip_is_set(&host->ip))
                return host->ip;
        if (!mac.set && host)
                mac = host->mac;
        text = mac.set ? field_mac.to_text(NULL, &mac) : NULL;
        grant = find_grant(grants, family, text, w->guest);
        return grant ? grant->address : (IpAddress) {};
}

static bool is_inside(const NetworkDef *def, const IpAddress *a) {
        RECORD_FOREACH(NetworkIp, ip, def->ips)
                if (ip_is_in(a, &ip->address, network_prefix(ip)) && !ip_equal(a, &ip->address))
                        return true;
        return false;
}

unsigned port_forward_targets(const NetworkDef *def, const PortForward *w, const DhcpGrants *grants, IpAddress ret[PORT_FORWARD_TARGETS_MAX]) {
        static const int families[PORT_FORWARD_TARGETS_MAX] = { AF_INET, AF_INET6 };
        unsigned n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
                IpAddress target = find_target(def, w, grants, families[i]);

                if (ip_is_set(&w->address) && w->address.family != families[i])
                        continue;
                /* A file of leases may be from before the network had these addresses. */
                if (ip_is_set(&target) && is_inside(def, &target))
                        ret[n++] = target;
        }
        return n;
}

/* --- checks --- */

bool port_forward_clash(const PortForward *a, const PortForward *b) {
        if (a->protocol != b->protocol || a->start > port_forward_end(b) || b->start > port_forward_end(a))
                return false;
        if (ip_is_set(&a->address) && ip_is_set(&b->address) && !ip_equal(&a->address, &b->address))
                return false;
        return !a->dev || !b->dev || streq(a->dev, b->dev);
}

static bool has_dhcp(const NetworkDef *def) {
        RECORD_FOREACH(NetworkIp, ip, def->ips)
                if (ip->ranges.n > 0 || ip->hosts.n > 0)
                        return true;
        return false;
}

static int check_guest(const NetworkDef *def, const PortForward *w, Fault *f) {
        IpAddress address;
        MacAddress mac;

        switch (guest_form(w->guest, &address, &mac)) {
        case GUEST_ADDRESS:
                if (!is_inside(def, &address))
                        return bad(w, f, "no guest can have the address %s: it is in no <ip> of the network, or the host's own", w->guest);
                if (ip_is_set(&w->address) && w->address.family != address.family)
                        return bad(w, f, "address and guest are of different families");
                return 0;
        case GUEST_NAME:
                if (!network_is_dns_name(w->guest))
                        return bad(w, f, "\"%s\" is no address, MAC address or name of a guest", w->guest);
                break;
        case GUEST_MAC:
                break;
        }
        return has_dhcp(def) ? 0 : bad(w, f, "without <dhcp> nobody knows the address of %s: give it", w->guest);
}

static int check_one(const NetworkDef *def, const PortForward *w, Fault *f) {
        uint64_t end = port_forward_end(w), n = end - w->start + 1;

        if (end < w->start)
                return bad(w, f, "the range of ports ends before it starts");
        if (w->to != NUMBER_UNSET && w->to + n - 1 > 65535)
                return bad(w, f, "%" PRIu64 " ports from %" PRIu64 " on: there are 65535", n, w->to);
        if (w->to != NUMBER_UNSET && w->to != w->start && n > PORT_FORWARD_MOVED_MAX)
                return bad(w, f, "%" PRIu64 " ports become others, at most %u can in one go: leave out the attribute to", n, PORT_FORWARD_MOVED_MAX);
        return check_guest(def, w, f);
}

int port_forward_check(const NetworkDef *def, bool possible, Fault *f) {
        RECORD_FOREACH(PortForward, w, def->port_forwards) {
                int r;

                if (!possible)
                        return xml_fault(&w->head, f, FAULT_NOT_SUPPORTED, "ports are forwarded in networks of mode 'nat' and 'route', not '%s'",
                                         network_kind_to_string(network_kind(def)));
                r = check_one(def, w, f);
                if (r < 0)
                        return r;
                for (size_t k = 0; k < w_i; k++) {
                        const PortForward *other = (const PortForward *) def->port_forwards.items[k];

                        if (port_forward_clash(w, other))
                                return bad(w, f, "its ports are also those of the one in line %u", other->head.line);
                }
        }
        return 0;
}

/* --- rules --- */

static unsigned protocol_number(const PortForward *w) {
        static const unsigned numbers[_PORT_PROTOCOL_MAX] = {
                [PROTOCOL_TCP] = IPPROTO_TCP, [PROTOCOL_UDP] = IPPROTO_UDP, [PROTOCOL_SCTP] = IPPROTO_SCTP,
        };

        return numbers[w->protocol];
}

/* The ports from `first` to `last`, which stay as they are for `to` 0. */
static int lead(const PortForward *w, const char *chain, const IpAddress *target, uint64_t first, uint64_t last, uint64_t to, Ruleset *s) {
        Rule *r = ruleset_add(s, chain, VERDICT_DNAT);

        if (!r)
                return -ENOMEM;
        if (w->dev)
                rule_match_interface(r, MATCH_IIF, w->dev);
        if (ip_is_set(&w->address))
                rule_match_network(r, MATCH_DADDR, &w->address, ip_bits(w->address.family), false);
        else
                rule_match_local(r, target->family);
        rule_match_ports(r, protocol_number(w), (unsigned) first, (unsigned) last);
        r->nat_start = *target;
        r->port_start = (uint16_t) to;
        return 0;
}

static int lead_all(const PortForward *w, const char *chain, const IpAddress *target, Ruleset *s) {
        uint64_t end = port_forward_end(w);
        int r = 0;

        if (w->to == NUMBER_UNSET || w->to == w->start)
                return lead(w, chain, target, w->start, end, 0, s);
        for (uint64_t port = w->start; port <= end && r >= 0; port++)
                r = lead(w, chain, target, port, port, w->to + (port - w->start), s);
        return r;
}

/* … and in it comes. */
static int let_in(const NetworkDef *def, const PortForward *w, const IpAddress *target, Ruleset *s) {
        uint64_t first = w->to == NUMBER_UNSET ? w->start : w->to;
        Rule *r = mode_let_pass(def, s, SIDE_TO);

        if (!r)
                return -ENOMEM;
        rule_match_network(r, MATCH_DADDR, target, ip_bits(target->family), false);
        rule_match_ports(r, protocol_number(w), (unsigned) first, (unsigned) (first + port_forward_end(w) - w->start));
        rule_match_forwarded(r);
        return 0;
}

static int forward(const NetworkDef *def, const PortForward *w, const IpAddress *target, Ruleset *s) {
        int r;

        r = lead_all(w, CHAIN_PREROUTING, target, s);
        if (r >= 0 && !w->dev)
                r = lead_all(w, CHAIN_OUTPUT, target, s);
        return r < 0 ? r : let_in(def, w, target, s);
}

static int spare(const IpAddress *network, unsigned prefix, Ruleset *s) {
        static const char *const chains[] = { CHAIN_PREROUTING, CHAIN_OUTPUT };

        for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
                Rule *r = ruleset_add(s, chains[i], VERDICT_RETURN);

                if (!r)
                        return -ENOMEM;
                rule_match_network(r, MATCH_DADDR, network, prefix, false);
        }
        return 0;
}

/* What is said on the host's loopback can't be led anywhere. */
static int begin_chains(Ruleset *s) {
        static const IpAddress loopback4 = { .family = AF_INET, .bytes = { 127 } }, loopback6 = { .family = AF_INET6, .v6 = IN6ADDR_LOOPBACK_INIT };
        int r;

        if (ruleset_has_chain(s, CHAIN_OUTPUT))
                return 0;
        r = ruleset_add_port_chains(s);
        if (r >= 0)
                r = spare(&loopback4, 8, s);
        return r < 0 ? r : spare(&loopback6, 128, s);
}

int port_forward_spare(const NetworkDef *def, Ruleset *s) {
        int r = begin_chains(s);

        RECORD_FOREACH(NetworkIp, ip, def->ips)
                if (r >= 0)
                        r = spare(&ip->address, ip_bits(ip->address.family), s);
        return r;
}

/* A guest that reaches a neighbour through the host must get its answers through the host. */
static int send_back(const NetworkDef *def, Ruleset *s) {
        RECORD_FOREACH(NetworkIp, ip, def->ips) {
                Rule *r = ruleset_add(s, CHAIN_POSTROUTING, VERDICT_MASQUERADE);

                if (!r)
                        return -ENOMEM;
                rule_match_network(r, MATCH_SADDR, &ip->address, network_prefix(ip), false);
                rule_match_network(r, MATCH_DADDR, &ip->address, network_prefix(ip), false);
                rule_match_forwarded(r);
        }
        return 0;
}

int port_forward_rules(const NetworkDef *def, const DhcpGrants *grants, Ruleset *s) {
        int r = 0;

        if (def->port_forwards.n == 0)
                return 0;
        RECORD_FOREACH(PortForward, w, def->port_forwards) {
                IpAddress targets[PORT_FORWARD_TARGETS_MAX];
                unsigned n = port_forward_targets(def, w, grants, targets);

                for (unsigned i = 0; i < n && r >= 0; i++)
                        r = forward(def, w, &targets[i], s);
        }
        return r < 0 ? r : send_back(def, s);
}
