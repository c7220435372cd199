/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mode.h"

#include <stdio.h>
#include <string.h>

#include "port-forward.h"
#include "str.h"
#include "xml-read.h"

#define MODE(name) extern const ModeOps name;
#include "list.h"
#undef MODE

static const ModeOps *const modes[] = {
#define MODE(name) &name,
#include "list.h"
#undef MODE
};

const ModeOps *mode_ops(NetworkKind kind) {
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
                if (modes[i]->kind == kind)
                        return modes[i];
        return NULL;
}

/* --- what may be there --- */

static const char *mode_word(const NetworkDef *def) {
        return network_kind_to_string(network_kind(def));
}

static bool has_dns(const NetworkDef *def) {
        return def->dns != UNSET || def->dns_plain != UNSET || def->forwarders.n > 0 || def->dns_hosts.n > 0 || def->dns_txts.n > 0 ||
               def->dns_srvs.n > 0;
}

static bool has_nat(const NetworkDef *def) {
        return def->nat_ipv6 != UNSET || ip_is_set(&def->nat_start) || ip_is_set(&def->nat_end) || def->nat_port_start != NUMBER_UNSET ||
               def->nat_port_end != NUMBER_UNSET;
}

static int check_no_bridge_of_its_own(const NetworkDef *def, Fault *f) {
        const struct {
                bool there;
                const char *element;
        } rows[] = {
                { def->ips.n > 0, "ip" }, { def->routes.n > 0, "route" }, { has_dns(def), "dns" }, { def->domain, "domain" },
                { def->mac.set, "mac" }, { def->stp != UNSET, "bridge/@stp" }, { def->delay != NUMBER_UNSET, "bridge/@delay" },
                { def->zone, "bridge/@zone" }, { def->dnsmasq_options.n > 0, "dnsmasq:options" }, { def->ipv6 != UNSET, "@ipv6" },
                { def->port.inbound.average != NUMBER_UNSET || def->port.outbound.average != NUMBER_UNSET, "bandwidth" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].there)
                        return xml_fault_below(&def->head, rows[i].element, f, FAULT_INVALID_DEFINITION,
                                               "it belongs to networks that have a bridge of their own, not to mode '%s'",
                                               forward_mode_to_string((ForwardMode) def->mode));
        return 0;
}

static int check_forward(const NetworkDef *def, const ModeOps *ops, Fault *f) {
        if (has_nat(def) && ops->kind != NETWORK_NAT)
                return xml_fault_below(&def->head, "forward/nat", f, FAULT_INVALID_DEFINITION,
                                       "it belongs to forward mode 'nat', not to '%s'", mode_word(def));
        if ((def->forward_dev || def->forward_interfaces.n > 0) && !ops->forwards)
                return xml_fault_below(&def->head, "forward", f, FAULT_INVALID_DEFINITION, "mode '%s' has no dev and no <interface>", mode_word(def));
        if (def->forward_managed != UNSET)
                return xml_fault_below(&def->head, "forward/@managed", f, FAULT_INVALID_DEFINITION, "it belongs to forward mode 'hostdev'");
        return 0;
}

int mode_check(const NetworkDef *def, Fault *f) {
        const ModeOps *ops = mode_ops(network_kind(def));
        int r = 0;

        assert(ops);

        if (ops->check)
                r = ops->check(def, f);
        if (r >= 0)
                r = check_forward(def, ops, f);
        if (r >= 0 && !ops->own_bridge)
                r = check_no_bridge_of_its_own(def, f);
        if (r >= 0)
                r = port_forward_check(def, ops->port_forwards, f);
        if (r >= 0 && ops->needs_ip && def->ips.n == 0)
                r = xml_fault(&def->head, f, FAULT_INVALID_DEFINITION, "forward mode '%s' needs an <ip>", mode_word(def));
        return r;
}

/* --- rules --- */

/* nft's own names are letters, digits and "-_./", of which '/' is in no link's name. */
static void chain_name(char ret[CHAIN_NAME_MAX], const char *prefix, const NetworkDef *def) {
        size_t n = (size_t) snprintf(ret, CHAIN_NAME_MAX, "%s-", prefix);

        for (const char *p = def->bridge; *p && n < CHAIN_NAME_MAX; p++) {
                bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-_.", *p);

                n += (size_t) snprintf(ret + n, CHAIN_NAME_MAX - n, plain ? "%c" : "/%02x", (unsigned char) *p);
        }
}

static int add_jump(Ruleset *s, const NetworkDef *def, MatchKind direction, const char *prefix) {
        Rule *r = ruleset_add(s, CHAIN_FORWARD, VERDICT_JUMP);

        if (!r)
                return -ENOMEM;
        rule_match_interface(r, direction, def->bridge);
        chain_name(r->target, prefix, def);
        return ruleset_add_chain(s, r->target);
}

static int add_jumps(const NetworkDef *def, Ruleset *s) {
        int r = add_jump(s, def, MATCH_OIF, "to");

        return r < 0 ? r : add_jump(s, def, MATCH_IIF, "from");
}

static Rule *add_to_side(const NetworkDef *def, Ruleset *s, Side side, VerdictKind verdict) {
        char chain[CHAIN_NAME_MAX];

        chain_name(chain, side == SIDE_FROM ? "from" : "to", def);
        return ruleset_add(s, chain, verdict);
}

Rule *mode_let_pass(const NetworkDef *def, Ruleset *s, Side side) {
        return add_to_side(def, s, side, VERDICT_RETURN);
}

int mode_let_through(const NetworkDef *def, const NetworkIp *ip, bool new_connections, Ruleset *s) {
        Rule *r = mode_let_pass(def, s, SIDE_FROM);

        if (!r)
                return -ENOMEM;
        rule_match_network(r, MATCH_SADDR, &ip->address, network_prefix(ip), false);
        if (def->forward_dev)
                rule_match_interface(r, MATCH_OIF, def->forward_dev);

        r = mode_let_pass(def, s, SIDE_TO);
        if (!r)
                return -ENOMEM;
        rule_match_network(r, MATCH_DADDR, &ip->address, network_prefix(ip), false);
        if (def->forward_dev)
                rule_match_interface(r, MATCH_IIF, def->forward_dev);
        if (!new_connections)
                rule_match_established(r);
        return 0;
}

/* What guests of one network say to each other. */
static int let_pass_inside(const NetworkDef *def, Ruleset *s) {
        Rule *r = mode_let_pass(def, s, SIDE_FROM);

        if (!r)
                return -ENOMEM;
        rule_match_interface(r, MATCH_OIF, def->bridge);
        r = mode_let_pass(def, s, SIDE_TO);
        if (!r)
                return -ENOMEM;
        rule_match_interface(r, MATCH_IIF, def->bridge);
        return 0;
}

static int refuse_rest(const NetworkDef *def, Ruleset *s) {
        return add_to_side(def, s, SIDE_FROM, VERDICT_REJECT) && add_to_side(def, s, SIDE_TO, VERDICT_REJECT) ? 0 : -ENOMEM;
}

int mode_rules(const NetworkDef *def, const DhcpGrants *grants, Ruleset *s) {
        const ModeOps *ops = mode_ops(network_kind(def));
        int r;

        assert(ops && s);

        if (!ops->firewall)
                return 0;
        assert(def->bridge);
        r = add_jumps(def, s);
        if (r >= 0)
                r = let_pass_inside(def, s);
        RECORD_FOREACH(NetworkIp, ip, def->ips)
                if (r >= 0 && ops->rules)
                        r = ops->rules(def, ip, s);
        if (r >= 0)
                r = port_forward_rules(def, grants, s);
        return r < 0 ? r : refuse_rest(def, s);
}
