/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ruleset.h"

#include <linux/netfilter_ipv4.h>
#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "str.h"

static int add_chains(Ruleset *s, const Chain *chains, size_t n) {
        if (!GROW(s->chains, s->chains_allocated, s->n_chains + n))
                return -ENOMEM;
        memcpy(s->chains + s->n_chains, chains, n * sizeof(*chains));
        s->n_chains += n;
        return 0;
}

int ruleset_init(Ruleset *s) {
        static const Chain always[] = {
                { CHAIN_FORWARD, "filter", "forward", NF_IP_PRI_FILTER },
                { CHAIN_POSTROUTING, "nat", "postrouting", NF_IP_PRI_NAT_SRC },
        };

        *s = (Ruleset) {};
        return add_chains(s, always, ARRAY_SIZE(always));
}

bool ruleset_has_chain(const Ruleset *s, const char *name) {
        for (size_t i = 0; i < s->n_chains; i++)
                if (streq(s->chains[i].name, name))
                        return true;
        return false;
}

int ruleset_add_port_chains(Ruleset *s) {
        static const Chain chains[] = {
                { CHAIN_PREROUTING, "nat", "prerouting", NF_IP_PRI_NAT_DST },
                { CHAIN_OUTPUT, "nat", "output", NF_IP_PRI_NAT_DST },
        };

        return add_chains(s, chains, ARRAY_SIZE(chains));
}

void ruleset_clear(Ruleset *s) {
        free(s->chains);
        free(s->rules);
        *s = (Ruleset) {};
}

int ruleset_add_chain(Ruleset *s, const char *name) {
        if (!GROW(s->chains, s->chains_allocated, s->n_chains + 1))
                return -ENOMEM;
        (void) snprintf(s->chains[s->n_chains++].name, CHAIN_NAME_MAX, "%s", name);
        return 0;
}

Rule *ruleset_add(Ruleset *s, const char *chain, VerdictKind verdict) {
        Rule *r;

        if (!GROW(s->rules, s->rules_allocated, s->n_rules + 1))
                return NULL;
        r = &s->rules[s->n_rules++];
        (void) snprintf(r->chain, sizeof(r->chain), "%s", chain);
        r->verdict = verdict;
        return r;
}

static Match *add_match(Rule *r, MatchKind kind) {
        assert(r->n_matches < RULE_MATCHES_MAX);

        r->matches[r->n_matches].kind = kind;
        return &r->matches[r->n_matches++];
}

void rule_match_interface(Rule *r, MatchKind kind, const char *interface) {
        (void) snprintf(add_match(r, kind)->interface, IFNAMSIZ, "%s", interface);
}

void rule_match_network(Rule *r, MatchKind kind, const IpAddress *address, unsigned prefix, bool negate) {
        Match *m = add_match(r, kind);

        m->address = ip_network(address, prefix);
        m->prefix = prefix;
        m->negate = negate;
}

void rule_match_established(Rule *r) {
        (void) add_match(r, MATCH_ESTABLISHED);
}

void rule_match_forwarded(Rule *r) {
        (void) add_match(r, MATCH_FORWARDED);
}

void rule_match_local(Rule *r, int family) {
        add_match(r, MATCH_LOCAL)->number = (unsigned) family;
}

void rule_match_ports(Rule *r, unsigned protocol, unsigned first, unsigned last) {
        Match *m;

        rule_match_number(r, MATCH_PROTOCOL, protocol);
        m = add_match(r, MATCH_DPORT);
        m->number = first;
        m->last = last;
}

void rule_match_number(Rule *r, MatchKind kind, unsigned number) {
        add_match(r, kind)->number = number;
}

/* --- as text --- */

static void add_address(Text *t, const IpAddress *a) {
        char text[IP_TEXT_MAX];

        text_addf(t, a->family == AF_INET6 && t->length > 0 && t->data[t->length - 1] == '[' ? "%s]" : "%s", ip_to_text(a, text));
}

static const char *family_word(const IpAddress *a) {
        return a->family == AF_INET6 ? "ip6" : "ip";
}

static const char *protocol_word(unsigned number) {
        return number == IPPROTO_TCP ? "tcp" : number == IPPROTO_UDP ? "udp" : number == IPPROTO_SCTP ? "sctp" : "icmp";
}

static void match_to_text(Text *t, const Match *m) {
        const char *not = m->negate ? "!= " : "";

        switch (m->kind) {
        case MATCH_IIF:
        case MATCH_OIF:
                text_addf(t, "%s %s\"%s\" ", m->kind == MATCH_IIF ? "iifname" : "oifname", not, m->interface);
                break;
        case MATCH_SADDR:
        case MATCH_DADDR:
                text_addf(t, "%s %s %s", family_word(&m->address), m->kind == MATCH_SADDR ? "saddr" : "daddr", not);
                add_address(t, &m->address);
                text_addf(t, m->prefix < ip_bits(m->address.family) ? "/%u " : " ", m->prefix);
                break;
        case MATCH_ESTABLISHED:
                text_add(t, "ct state established,related ");
                break;
        case MATCH_FORWARDED:
                text_add(t, "ct status dnat ");
                break;
        case MATCH_LOCAL:
                text_addf(t, "meta nfproto %s fib daddr type local ", m->number == AF_INET6 ? "ipv6" : "ipv4");
                break;
        case MATCH_PROTOCOL:
                text_addf(t, "meta l4proto %s%s ", not, protocol_word(m->number));
                break;
        case MATCH_DPORT:
                text_addf(t, m->last > m->number ? "th dport %s%u-%u " : "th dport %s%u ", not, m->number, m->last);
                break;
        case _MATCH_MAX:
                break;
        }
}

/* "to 192.0.2.1-192.0.2.9:1024-65535 random" */
static void nat_to_text(Text *t, const Rule *r) {
        bool ports = r->port_start > 0, address = ip_is_set(&r->nat_start), six = r->nat_start.family == AF_INET6;

        if (address) {
                text_addf(t, " %s to %s", family_word(&r->nat_start), six && ports ? "[" : "");
                add_address(t, &r->nat_start);
                if (ip_is_set(&r->nat_end) && !ip_equal(&r->nat_start, &r->nat_end)) {
                        text_add(t, six && ports ? "-[" : "-");
                        add_address(t, &r->nat_end);
                }
        } else if (ports)
                text_add(t, " to ");
        if (ports) {
                text_addf(t, ":%u", r->port_start);
                if (r->port_end > r->port_start)
                        text_addf(t, "-%u", r->port_end);
        }
        if (r->random)
                text_add(t, " random");
}

static void rule_to_text(Text *t, const Rule *r) {
        static const char *const words[_VERDICT_MAX] = {
                [VERDICT_REJECT] = "reject with icmpx admin-prohibited", [VERDICT_RETURN] = "return", [VERDICT_JUMP] = "jump",
                [VERDICT_MASQUERADE] = "masquerade", [VERDICT_SNAT] = "snat", [VERDICT_DNAT] = "dnat",
        };

        text_add(t, "\t\t");
        for (unsigned i = 0; i < r->n_matches; i++)
                match_to_text(t, &r->matches[i]);
        text_add(t, words[r->verdict]);
        if (r->verdict == VERDICT_JUMP)
                text_addf(t, " %s", r->target);
        nat_to_text(t, r);
        text_add(t, "\n");
}

static void chain_to_text(Text *t, const Ruleset *s, const Chain *c) {
        text_addf(t, "\tchain %s {\n", c->name);
        if (c->type)
                text_addf(t, "\t\ttype %s hook %s priority %d; policy accept;\n", c->type, c->hook, c->priority);
        for (size_t i = 0; i < s->n_rules; i++)
                if (streq(s->rules[i].chain, c->name))
                        rule_to_text(t, &s->rules[i]);
        text_add(t, "\t}\n");
}

char *ruleset_to_text(const Ruleset *s) {
        _cleanup_text_ Text t = TEXT_INIT;

        assert(s);

        text_add(&t, "table inet " RULESET_TABLE " {\n");
        /* A chain is known before it is jumped to. */
        for (size_t i = s->n_chains; i-- > 0;)
                chain_to_text(&t, s, &s->chains[i]);
        text_add(&t, "}\n");
        return text_finish(&t);
}
