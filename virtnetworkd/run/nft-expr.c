/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nft-expr.h"

#include <arpa/inet.h>
#include <libnftnl/expr.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* One instruction being filled; a failure is remembered. */
typedef struct Building {
        struct nftnl_rule *rule;
        bool failed;
} Building;

static struct nftnl_expr *begin(Building *b, const char *name) {
        struct nftnl_expr *e = b->failed ? NULL : nftnl_expr_alloc(name);

        b->failed = !e;
        if (e)
                nftnl_rule_add_expr(b->rule, e);
        return e;
}

static void load_meta(Building *b, uint32_t key) {
        struct nftnl_expr *e = begin(b, "meta");

        if (!e)
                return;
        nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
        nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, NFT_REG_1);
}

static void load_payload(Building *b, uint32_t base, uint32_t offset, uint32_t length) {
        struct nftnl_expr *e = begin(b, "payload");

        if (!e)
                return;
        nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
        nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
        nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, length);
        nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
}

static void mask(Building *b, const void *bits, uint32_t length) {
        static const uint8_t none[16];
        struct nftnl_expr *e = begin(b, "bitwise");

        if (!e)
                return;
        nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
        nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
        nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, length);
        (void) nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, bits, length);
        (void) nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, none, length);
}

static void compare_by(Building *b, uint32_t operator, const void *data, uint32_t length) {
        struct nftnl_expr *e = begin(b, "cmp");

        if (!e)
                return;
        nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
        nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, operator);
        (void) nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, length);
}

static void compare(Building *b, bool negate, const void *data, uint32_t length) {
        compare_by(b, negate ? NFT_CMP_NEQ : NFT_CMP_EQ, data, length);
}

/* --- conditions --- */

static void match_address(Building *b, const Match *m) {
        bool six = m->address.family == AF_INET6, source = m->kind == MATCH_SADDR;
        uint8_t family = six ? NFPROTO_IPV6 : NFPROTO_IPV4;
        uint32_t length = six ? 16 : 4, offset = six ? (source ? 8 : 24) : (source ? 12 : 16);
        IpAddress ones = { .family = m->address.family }, bits;

        load_meta(b, NFT_META_NFPROTO);
        compare(b, false, &family, sizeof(family));
        load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, offset, length);
        if (m->prefix < ip_bits(m->address.family)) {
                memset(ones.bytes, 0xff, sizeof(ones.bytes));
                bits = ip_network(&ones, m->prefix);
                mask(b, bits.bytes, length);
        }
        compare(b, m->negate, m->address.bytes, length);
}

static void match_connection(Building *b, uint32_t key, uint32_t any_of) {
        struct nftnl_expr *e = begin(b, "ct");
        uint32_t none = 0;

        if (!e)
                return;
        nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, key);
        nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, NFT_REG_1);
        mask(b, &any_of, sizeof(any_of));
        compare(b, true, &none, sizeof(none));
}

/* The host's own addresses change: the kernel is asked for each packet. */
static void match_local(Building *b, int family) {
        uint8_t protocol = family == AF_INET6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
        uint32_t local = RTN_LOCAL;
        struct nftnl_expr *e;

        load_meta(b, NFT_META_NFPROTO);
        compare(b, false, &protocol, sizeof(protocol));
        e = begin(b, "fib");
        if (!e)
                return;
        nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
        nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
        nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
        compare(b, false, &local, sizeof(local));
}

static void match_ports(Building *b, const Match *m) {
        uint16_t first = htons((uint16_t) m->number), last = htons((uint16_t) m->last);

        load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(first));
        if (m->last <= m->number) {
                compare(b, m->negate, &first, sizeof(first));
                return;
        }
        compare_by(b, NFT_CMP_GTE, &first, sizeof(first));
        compare_by(b, NFT_CMP_LTE, &last, sizeof(last));
}

static void add_match(Building *b, const Match *m) {
        char name[IFNAMSIZ] = {};
        uint8_t protocol = (uint8_t) m->number;

        switch (m->kind) {
        case MATCH_IIF:
        case MATCH_OIF:
                memcpy(name, m->interface, strnlen(m->interface, IFNAMSIZ - 1));
                load_meta(b, m->kind == MATCH_IIF ? NFT_META_IIFNAME : NFT_META_OIFNAME);
                compare(b, m->negate, name, sizeof(name));
                break;
        case MATCH_SADDR:
        case MATCH_DADDR:
                match_address(b, m);
                break;
        case MATCH_ESTABLISHED:
                match_connection(b, NFT_CT_STATE, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
                break;
        case MATCH_FORWARDED:
                match_connection(b, NFT_CT_STATUS, IPS_DST_NAT);
                break;
        case MATCH_LOCAL:
                match_local(b, (int) m->number);
                break;
        case MATCH_PROTOCOL:
                load_meta(b, NFT_META_L4PROTO);
                compare(b, m->negate, &protocol, sizeof(protocol));
                break;
        case MATCH_DPORT:
                match_ports(b, m);
                break;
        case _MATCH_MAX:
                break;
        }
}

/* --- verdicts --- */

static void load_value(Building *b, uint32_t to, const void *data, uint32_t length) {
        struct nftnl_expr *e = begin(b, "immediate");

        if (!e)
                return;
        nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, to);
        (void) nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, data, length);
}

static bool has_port_range(const Rule *r) {
        return r->port_end > r->port_start;
}

static void load_ports(Building *b, const Rule *r) {
        uint16_t first = htons(r->port_start), last = htons(r->port_end);

        load_value(b, NFT_REG_3, &first, sizeof(first));
        if (has_port_range(r))
                load_value(b, NFT_REG_4, &last, sizeof(last));
}

static uint32_t nat_flags(const Rule *r) {
        return (r->port_start > 0 ? NF_NAT_RANGE_PROTO_SPECIFIED : 0u) | (r->random ? NF_NAT_RANGE_PROTO_RANDOM : 0u);
}

static void masquerade(Building *b, const Rule *r) {
        struct nftnl_expr *e;

        if (r->port_start > 0)
                load_ports(b, r);
        e = begin(b, "masq");
        if (!e)
                return;
        if (nat_flags(r) != 0)
                nftnl_expr_set_u32(e, NFTNL_EXPR_MASQ_FLAGS, nat_flags(r));
        if (r->port_start > 0) {
                nftnl_expr_set_u32(e, NFTNL_EXPR_MASQ_REG_PROTO_MIN, NFT_REG_3);
                if (has_port_range(r))
                        nftnl_expr_set_u32(e, NFTNL_EXPR_MASQ_REG_PROTO_MAX, NFT_REG_4);
        }
}

static void translate(Building *b, const Rule *r) {
        bool six = r->nat_start.family == AF_INET6, range = ip_is_set(&r->nat_end) && !ip_equal(&r->nat_start, &r->nat_end);
        struct nftnl_expr *e;

        load_value(b, NFT_REG_1, r->nat_start.bytes, six ? 16 : 4);
        if (range)
                load_value(b, NFT_REG_2, r->nat_end.bytes, six ? 16 : 4);
        if (r->port_start > 0)
                load_ports(b, r);
        e = begin(b, "nat");
        if (!e)
                return;
        nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_TYPE, r->verdict == VERDICT_SNAT ? NFT_NAT_SNAT : NFT_NAT_DNAT);
        nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_FAMILY, six ? NFPROTO_IPV6 : NFPROTO_IPV4);
        nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_REG_ADDR_MIN, NFT_REG_1);
        if (range)
                nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_REG_ADDR_MAX, NFT_REG_2);
        if (r->port_start > 0) {
                nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_REG_PROTO_MIN, NFT_REG_3);
                if (has_port_range(r))
                        nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_REG_PROTO_MAX, NFT_REG_4);
        }
        if (nat_flags(r) != 0)
                nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_FLAGS, nat_flags(r));
}

static void reject(Building *b) {
        struct nftnl_expr *e = begin(b, "reject");

        if (!e)
                return;
        nftnl_expr_set_u32(e, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
        nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
}

static void go_on_at(Building *b, uint32_t verdict, const char *chain) {
        struct nftnl_expr *e = begin(b, "immediate");

        if (!e)
                return;
        nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
        nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, verdict);
        if (chain)
                nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain);
}

int nft_rule_exprs(struct nftnl_rule *to, const Rule *r) {
        Building b = { to, false };

        for (unsigned i = 0; i < r->n_matches; i++)
                add_match(&b, &r->matches[i]);
        switch (r->verdict) {
        case VERDICT_REJECT:
                reject(&b);
                break;
        case VERDICT_RETURN:
                go_on_at(&b, (uint32_t) NFT_RETURN, NULL);
                break;
        case VERDICT_JUMP:
                go_on_at(&b, (uint32_t) NFT_JUMP, r->target);
                break;
        case VERDICT_MASQUERADE:
                masquerade(&b, r);
                break;
        case VERDICT_SNAT:
        case VERDICT_DNAT:
                translate(&b, r);
                break;
        case _VERDICT_MAX:
                break;
        }
        return b.failed ? -ENOMEM : 0;
}
