/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "foreign-firewall.h"

#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

#include "../mode/mode.h"
#include "../plan/network.h"
#include "mem.h"
#include "nft-probe.h"
#include "str.h"

/* What a network is there for, as single packets. */
typedef struct Flow {
        const char *what;
        bool forward;                /* else to the host itself */
        bool to_guests, established;
        uint8_t protocol;            /* 0: TCP, to whatever port */
        uint16_t port;
} Flow;

#define FLOWS_MAX 8u
typedef struct Flows {
        Flow items[FLOWS_MAX];
        size_t n;
} Flows;

static void add(Flows *f, Flow flow) {
        assert(f->n < FLOWS_MAX);

        f->items[f->n++] = flow;
}

static bool has_dhcp(const NetworkDef *def, int family) {
        RECORD_FOREACH(NetworkIp, ip, def->ips)
                if (ip->address.family == family && (ip->ranges.n > 0 || ip->hosts.n > 0))
                        return true;
        return false;
}

static bool has_family(const NetworkDef *def, int family) {
        RECORD_FOREACH(NetworkIp, ip, def->ips)
                if (ip->address.family == family)
                        return true;
        return false;
}

static Flows flows_of(const NetworkDef *def, int family) {
        NetworkKind kind = network_kind(def);
        Flows f = {};

        if (kind != NETWORK_ISOLATED) {
                add(&f, (Flow) { .what = "what guests send to other networks", .forward = true });
                add(&f, (Flow) { .what = "the answers to guests", .forward = true, .to_guests = true, .established = true });
        }
        if (kind == NETWORK_ROUTE || kind == NETWORK_OPEN)
                add(&f, (Flow) { .what = "connections to guests", .forward = true, .to_guests = true });
        else if (def->port_forwards.n > 0)
                add(&f, (Flow) { .what = "what port forwards lead to guests", .forward = true, .to_guests = true });
        if (has_dhcp(def, family))
                add(&f, (Flow) { .what = "what guests ask of DHCP", .protocol = IPPROTO_UDP, .port = family == AF_INET6 ? 547 : 67 });
        if (network_needs_dnsmasq(def) && def->dns != NO)
                add(&f, (Flow) { .what = "what guests ask of DNS", .protocol = IPPROTO_UDP, .port = 53 });
        return f;
}

/* --- what to do about it --- */

static bool is_plain(const char *name) {
        for (; *name; name++)
                if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9') || strchr("-_.", *name)))
                        return false;
        return true;
}

static const char *family_word(const NftChain *c) {
        return c->family == NFPROTO_INET ? "inet" : c->family == NFPROTO_IPV6 ? "ip6" : "ip";
}

/* As whoever owns the chain wants it to be done; rules of strangers in his chains would be gone with his next reload. */
static char *command(NftDump *d, const NftChain *c, bool forward, const char *bridge) {
        const char *family = family_word(c), *chain = c->name;

        if (!is_plain(bridge) || !is_plain(c->table) || !is_plain(c->name))
                return NULL;
        if (streq(c->table, "firewalld"))
                return strf("firewall-cmd --permanent --zone=trusted --add-interface=%s && firewall-cmd --reload", bridge);
        if (nft_dump_find(d, c->family, c->table, "ufw-user-forward") || nft_dump_find(d, c->family, c->table, "ufw6-user-forward"))
                return forward ? strf("ufw route allow in on %s && ufw route allow out on %s", bridge, bridge) : strf("ufw allow in on %s", bridge);
        if (forward && nft_dump_find(d, c->family, c->table, "DOCKER-USER"))
                chain = "DOCKER-USER";
        if (!forward)
                return strf("nft insert rule %s %s %s iifname %s accept", family, c->table, chain, bridge);
        return strf("nft 'insert rule %s %s %s iifname %s accept; insert rule %s %s %s oifname %s accept'", family, c->table, chain, bridge, family,
                    c->table, chain, bridge);
}

/* --- findings: one for each chain --- */

typedef struct Finding {
        const NftChain *chain;
        Text what;
        bool forward;
} Finding;

#define FINDINGS_MAX 8u
typedef struct Findings {
        Finding items[FINDINGS_MAX];
        size_t n;
} Findings;

static void note(Findings *s, const NftChain *c, const Flow *flow) {
        size_t i = 0;

        while (i < s->n && s->items[i].chain != c)
                i++;
        if (i == FINDINGS_MAX)
                return;
        if (i == s->n)
                s->items[s->n++] = (Finding) { .chain = c, .forward = flow->forward };
        if (s->items[i].what.data && strstr(s->items[i].what.data, flow->what)) /* of the other family already */
                return;
        text_addf(&s->items[i].what, "%s%s", s->items[i].what.length > 0 ? ", and " : "", flow->what);
}

static char *sentence(NftDump *d, Finding *g, const char *bridge) {
        _cleanup_free_ char *how = command(d, g->chain, g->forward, bridge), *what = text_finish(&g->what);

        if (!what)
                return NULL;
        return strf("the chain %s of the table %s %s, which is not ours, drops %s%s%s", g->chain->name, family_word(g->chain), g->chain->table, what,
                    how ? "; let it pass with: " : "", how ?: "");
}

static int probe_family(Links *l, NftDump *d, const NetworkDef *def, int family, Findings *found) {
        const Flows flows = flows_of(def, family);
        char uplink[IFNAMSIZ] = "";
        bool known;
        int r = 0;

        if (def->forward_dev)
                (void) snprintf(uplink, sizeof(uplink), "%s", def->forward_dev);
        known = def->forward_dev || links_default(l, family, uplink) >= 0;
        for (size_t i = 0; i < flows.n && r >= 0; i++) {
                const Flow *w = &flows.items[i];
                NftPacket p = {
                        .family = family, .hook = w->forward ? NF_INET_FORWARD : NF_INET_LOCAL_IN, .port = w->port, .established = w->established,
                        .protocol = w->protocol ?: IPPROTO_TCP, /* a host that lets pings pass is not open */
                };
                const NftChain *c;

                if (w->forward && !known) /* nowhere to go */
                        continue;
                (void) snprintf(p.in, sizeof(p.in), "%s", w->to_guests ? uplink : def->bridge);
                if (w->forward)
                        (void) snprintf(p.out, sizeof(p.out), "%s", w->to_guests ? def->bridge : uplink);
                r = nft_probe(d, &p, &c);
                if (r >= 0 && c)
                        note(found, c, w);
        }
        return r;
}

int foreign_firewall_check(Links *l, NftDump *d, const NetworkDef *def, char ***ret) {
        static const int families[] = { AF_INET, AF_INET6 };
        _cleanup_strv_ char **sentences = new0(char *, 1);
        Findings found = {};
        int r = 0;

        assert(l && d && def && ret);

        if (!sentences)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(families) && r >= 0 && mode_ops(network_kind(def))->own_bridge; i++)
                if (has_family(def, families[i]))
                        r = probe_family(l, d, def, families[i], &found);
        for (size_t i = 0; i < found.n; i++) {
                _cleanup_free_ char *text = sentence(d, &found.items[i], def->bridge);

                if (r >= 0)
                        r = text ? strv_push(&sentences, text) : -ENOMEM;
        }
        if (r >= 0)
                *ret = TAKE_PTR(sentences);
        return r;
}
