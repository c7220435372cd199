/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mode.h"
#include "xml-read.h"

/* The outside sees the host's address. */

#define PORT_FIRST 1024u
#define PORT_LAST 65535u

static int nat_check(const NetworkDef *def, Fault *f) {
        if (ip_is_set(&def->nat_end) && !ip_is_set(&def->nat_start))
                return xml_fault_below(&def->head, "forward/nat/address", f, FAULT_INVALID_DEFINITION, "the range of addresses has an end but no start");
        if (ip_is_set(&def->nat_start) && def->nat_start.family != AF_INET)
                return xml_fault_below(&def->head, "forward/nat/address", f, FAULT_INVALID_DEFINITION, "addresses for NAT are IPv4; IPv6 takes the host's own");
        if (ip_is_set(&def->nat_end) && ip_range_size(&def->nat_start, &def->nat_end) == 0)
                return xml_fault_below(&def->head, "forward/nat/address", f, FAULT_INVALID_DEFINITION, "the range of addresses for NAT ends before it starts");
        if ((def->nat_port_start == NUMBER_UNSET) != (def->nat_port_end == NUMBER_UNSET))
                return xml_fault_below(&def->head, "forward/nat/port", f, FAULT_INVALID_DEFINITION, "the range of ports for NAT needs start and end");
        if (def->nat_port_start != NUMBER_UNSET && def->nat_port_start > def->nat_port_end)
                return xml_fault_below(&def->head, "forward/nat/port", f, FAULT_INVALID_DEFINITION, "the range of ports for NAT ends before it starts");
        return 0;
}

/* What goes to everybody on the link does not leave it. */
static int let_groups_be(const NetworkIp *ip, Ruleset *s) {
        static const struct {
                int family;
                const char *address;
                unsigned prefix;
        } groups[] = { { AF_INET, "224.0.0.0", 24 }, { AF_INET, "255.255.255.255", 32 }, { AF_INET6, "ff02::", 16 } };

        for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
                IpAddress group;
                Rule *r;

                if (groups[i].family != ip->address.family || ip_from_text(groups[i].address, &group) < 0)
                        continue;
                r = ruleset_add(s, CHAIN_POSTROUTING, VERDICT_RETURN);
                if (!r)
                        return -ENOMEM;
                rule_match_network(r, MATCH_SADDR, &ip->address, network_prefix(ip), false);
                rule_match_network(r, MATCH_DADDR, &group, groups[i].prefix, false);
        }
        return 0;
}

/* Protocols with ports get one that is not reserved, and can't be guessed. `protocol` 0: all others. */
static int translate(const NetworkDef *def, const NetworkIp *ip, unsigned protocol, Ruleset *s) {
        bool chosen = ip->address.family == AF_INET && ip_is_set(&def->nat_start);
        Rule *r = ruleset_add(s, CHAIN_POSTROUTING, chosen ? VERDICT_SNAT : VERDICT_MASQUERADE);

        if (!r)
                return -ENOMEM;
        if (protocol > 0)
                rule_match_number(r, MATCH_PROTOCOL, protocol);
        rule_match_network(r, MATCH_SADDR, &ip->address, network_prefix(ip), false);
        rule_match_network(r, MATCH_DADDR, &ip->address, network_prefix(ip), true);
        if (def->forward_dev)
                rule_match_interface(r, MATCH_OIF, def->forward_dev);
        if (chosen) {
                r->nat_start = def->nat_start;
                r->nat_end = ip_is_set(&def->nat_end) ? def->nat_end : def->nat_start;
        }
        if (protocol > 0) {
                r->port_start = (uint16_t) (def->nat_port_start == NUMBER_UNSET ? PORT_FIRST : def->nat_port_start);
                r->port_end = (uint16_t) (def->nat_port_end == NUMBER_UNSET ? PORT_LAST : def->nat_port_end);
                r->random = true;
        }
        return 0;
}

static int nat_rules(const NetworkDef *def, const NetworkIp *ip, Ruleset *s) {
        static const unsigned protocols[] = { IPPROTO_TCP, IPPROTO_UDP, 0 };
        bool translated = ip->address.family == AF_INET || def->nat_ipv6 == YES;
        int r;

        /* IPv6 is routed, unless NAT is asked for. */
        r = mode_let_through(def, ip, !translated, s);
        if (r >= 0 && translated)
                r = let_groups_be(ip, s);
        for (size_t i = 0; i < ARRAY_SIZE(protocols) && r >= 0 && translated; i++)
                r = translate(def, ip, protocols[i], s);
        return r;
}

const ModeOps mode_nat = {
        .kind = NETWORK_NAT, .own_bridge = true, .needs_ip = true, .forwards = true, .port_forwards = true, .firewall = true, .check = nat_check,
        .rules = nat_rules,
};
