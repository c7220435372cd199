/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nft-probe.h"

#include <arpa/inet.h>
#include <libnftnl/expr.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_conntrack.h>
#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "str.h"

#define JUMPS_MAX 16u                /* as the kernel has it */
#define REGISTERS 24u
#define VALUE_MAX 16u

/* Whether a condition holds. */
typedef enum Truth { FALSE, TRUE, MAYBE } Truth;

typedef enum Fate {
        FATE_FALLS,                  /* out of the chain's end, or back */
        FATE_PASSES,
        FATE_DROPS,
        FATE_UNSURE,                 /* it may have passed */
} Fate;

typedef struct Value {
        bool known;
        uint8_t bytes[VALUE_MAX];
        uint32_t length;
} Value;

typedef struct Probe {
        NftDump *dump;
        const NftPacket *packet;
        const NftChain *chain;
        Value registers[REGISTERS];
        /* What the rule under way says if its conditions hold; NFT_CONTINUE: nothing. */
        uint32_t verdict;
        char target[NFT_CHAIN_MAXNAMELEN];
        bool verdict_unknown;
} Probe;

/* --- registers --- */

static Value *reg(Probe *p, uint32_t number) {
        static Value nowhere;

        return number < REGISTERS ? &p->registers[number] : &nowhere;
}

static void set_value(Probe *p, uint32_t number, const void *bytes, uint32_t length) {
        Value *v = reg(p, number);

        *v = (Value) { .known = length <= VALUE_MAX, .length = length };
        if (v->known)
                memcpy(v->bytes, bytes, length);
}

static void forget(Probe *p, uint32_t number) {
        *reg(p, number) = (Value) {};
}

static uint32_t number(const struct nftnl_expr *e, uint16_t attribute) {
        return nftnl_expr_is_set(e, attribute) ? nftnl_expr_get_u32(e, attribute) : 0;
}

/* --- what is known of the packet --- */

static void load_name(Probe *p, uint32_t to, const char *name) {
        char padded[IFNAMSIZ] = {};

        memcpy(padded, name, strnlen(name, IFNAMSIZ - 1));
        set_value(p, to, padded, sizeof(padded));
}

static void load_meta(Probe *p, const struct nftnl_expr *e) {
        uint32_t to = number(e, NFTNL_EXPR_META_DREG), key = number(e, NFTNL_EXPR_META_KEY);
        bool six = p->packet->family == AF_INET6;
        uint8_t family = six ? NFPROTO_IPV6 : NFPROTO_IPV4;
        uint16_t ethertype = htons(six ? 0x86dd : 0x0800);
        uint32_t index;

        forget(p, to);
        switch (key) {
        case NFT_META_IIFNAME:
                load_name(p, to, p->packet->in);
                break;
        case NFT_META_OIFNAME:
                load_name(p, to, p->packet->out);
                break;
        case NFT_META_IIF:
        case NFT_META_OIF:
                index = if_nametoindex(key == NFT_META_IIF ? p->packet->in : p->packet->out);
                set_value(p, to, &index, sizeof(index));
                break;
        case NFT_META_NFPROTO:
                set_value(p, to, &family, sizeof(family));
                break;
        case NFT_META_PROTOCOL:
                set_value(p, to, &ethertype, sizeof(ethertype));
                break;
        case NFT_META_L4PROTO:
                if (p->packet->protocol > 0)
                        set_value(p, to, &p->packet->protocol, 1);
                break;
        }
}

static void load_payload(Probe *p, const struct nftnl_expr *e) {
        uint32_t base = number(e, NFTNL_EXPR_PAYLOAD_BASE), offset = number(e, NFTNL_EXPR_PAYLOAD_OFFSET), length = number(e, NFTNL_EXPR_PAYLOAD_LEN);
        uint32_t to = number(e, NFTNL_EXPR_PAYLOAD_DREG);
        uint16_t port = htons(p->packet->port);

        forget(p, to);
        if (base == NFT_PAYLOAD_TRANSPORT_HEADER && offset == 2 && length == 2 && p->packet->port > 0)
                set_value(p, to, &port, sizeof(port));
        if (base == NFT_PAYLOAD_NETWORK_HEADER && offset == (p->packet->family == AF_INET ? 9 : 6) && length == 1 && p->packet->protocol > 0)
                set_value(p, to, &p->packet->protocol, 1);
}

static void load_connection(Probe *p, const struct nftnl_expr *e) {
        uint32_t to = number(e, NFTNL_EXPR_CT_DREG);
        uint32_t state = p->packet->established ? NF_CT_STATE_BIT(IP_CT_ESTABLISHED) : NF_CT_STATE_BIT(IP_CT_NEW);

        if (nftnl_expr_is_set(e, NFTNL_EXPR_CT_SREG))
                return;
        forget(p, to);
        if (number(e, NFTNL_EXPR_CT_KEY) == NFT_CT_STATE)
                set_value(p, to, &state, sizeof(state));
}

static void change_bits(Probe *p, const struct nftnl_expr *e) {
        const Value *from = reg(p, number(e, NFTNL_EXPR_BITWISE_SREG));
        uint32_t to = number(e, NFTNL_EXPR_BITWISE_DREG), mask_length, xor_length;
        const uint8_t *mask = nftnl_expr_get(e, NFTNL_EXPR_BITWISE_MASK, &mask_length);
        const uint8_t *xor = nftnl_expr_get(e, NFTNL_EXPR_BITWISE_XOR, &xor_length);
        Value v = *from;

        if (!v.known || number(e, NFTNL_EXPR_BITWISE_OP) != NFT_BITWISE_BOOL || !mask || !xor || mask_length < v.length || xor_length < v.length) {
                forget(p, to);
                return;
        }
        for (uint32_t i = 0; i < v.length; i++)
                v.bytes[i] = (v.bytes[i] & mask[i]) ^ xor[i];
        *reg(p, to) = v;
}

/* --- conditions --- */

/* Interface names are compared as far as the rule has them: "virbr*" has no end. */
static Truth compare(Probe *p, const struct nftnl_expr *e) {
        const Value *v = reg(p, number(e, NFTNL_EXPR_CMP_SREG));
        uint32_t length;
        const void *data = nftnl_expr_get(e, NFTNL_EXPR_CMP_DATA, &length);
        int order;

        if (!v->known || !data || length > VALUE_MAX)
                return MAYBE;
        order = memcmp(v->bytes, data, length);
        switch (number(e, NFTNL_EXPR_CMP_OP)) {
        case NFT_CMP_EQ: return order == 0 ? TRUE : FALSE;
        case NFT_CMP_NEQ: return order != 0 ? TRUE : FALSE;
        case NFT_CMP_LT: return order < 0 ? TRUE : FALSE;
        case NFT_CMP_LTE: return order <= 0 ? TRUE : FALSE;
        case NFT_CMP_GT: return order > 0 ? TRUE : FALSE;
        case NFT_CMP_GTE: return order >= 0 ? TRUE : FALSE;
        default: return MAYBE;
        }
}

static Truth compare_range(Probe *p, const struct nftnl_expr *e) {
        const Value *v = reg(p, number(e, NFTNL_EXPR_RANGE_SREG));
        uint32_t from_length, to_length;
        const void *from = nftnl_expr_get(e, NFTNL_EXPR_RANGE_FROM_DATA, &from_length), *to = nftnl_expr_get(e, NFTNL_EXPR_RANGE_TO_DATA, &to_length);
        bool inside;

        if (!v->known || !from || !to || from_length > VALUE_MAX || to_length > VALUE_MAX)
                return MAYBE;
        inside = memcmp(v->bytes, from, from_length) >= 0 && memcmp(v->bytes, to, to_length) <= 0;
        return inside == (number(e, NFTNL_EXPR_RANGE_OP) == NFT_RANGE_EQ) ? TRUE : FALSE;
}

typedef struct Search {
        Probe *probe;
        const Value *key;
        bool found;
} Search;

static int on_element(struct nftnl_set_elem *element, void *userdata) {
        Search *s = userdata;
        uint32_t length;
        const void *key = nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &length);

        if (!key || length < s->key->length || memcmp(key, s->key->bytes, s->key->length) != 0)
                return 0;
        s->found = true;
        if (nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_VERDICT)) {
                s->probe->verdict = nftnl_set_elem_get_u32(element, NFTNL_SET_ELEM_VERDICT);
                if (nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_CHAIN))
                        (void) snprintf(s->probe->target, sizeof(s->probe->target), "%s", nftnl_set_elem_get_str(element, NFTNL_SET_ELEM_CHAIN));
        }
        return 0;
}

/* "iifname { … }" is a condition, "iifname vmap { … : accept }" a verdict. */
static Truth look_up(Probe *p, const struct nftnl_expr *e) {
        bool map = nftnl_expr_is_set(e, NFTNL_EXPR_LOOKUP_DREG), verdict = map && number(e, NFTNL_EXPR_LOOKUP_DREG) == NFT_REG_VERDICT;
        Search s = { p, reg(p, number(e, NFTNL_EXPR_LOOKUP_SREG)), false };
        struct nftnl_set *set = NULL;

        if (s.key->known && (verdict || !map) && nft_dump_set(p->dump, p->chain, nftnl_expr_get_str(e, NFTNL_EXPR_LOOKUP_SET), &set) >= 0) {
                (void) nftnl_set_elem_foreach(set, on_element, &s);
                nftnl_set_free(set);
                return s.found != ((number(e, NFTNL_EXPR_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV) != 0) ? TRUE : FALSE;
        }
        if (map && !verdict)
                forget(p, number(e, NFTNL_EXPR_LOOKUP_DREG));
        p->verdict_unknown = p->verdict_unknown || verdict;
        return MAYBE;
}

/* iptables' own matches, as iptables-nft uses them. */
static Truth match_extension(Probe *p, const struct nftnl_expr *e) {
        const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_MT_NAME);
        uint32_t length;
        const struct xt_conntrack_mtinfo3 *ct = nftnl_expr_get(e, NFTNL_EXPR_MT_INFO, &length);
        uint16_t state = XT_CONNTRACK_STATE_BIT(p->packet->established ? IP_CT_ESTABLISHED : IP_CT_NEW);

        if (name && streq(name, "comment"))
                return TRUE;
        if (!name || !streq(name, "conntrack") || !ct || length < sizeof(*ct) || number(e, NFTNL_EXPR_MT_REV) != 3 ||
            ct->match_flags != XT_CONNTRACK_STATE)
                return MAYBE;
        return ((ct->state_mask & state) != 0) != ((ct->invert_flags & XT_CONNTRACK_STATE) != 0) ? TRUE : FALSE;
}

static void take_target(Probe *p, const struct nftnl_expr *e) {
        const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_TG_NAME);

        if (name && streq(name, "REJECT"))
                p->verdict = NF_DROP;
        else if (!name || !(streq(name, "LOG") || streq(name, "NFLOG") || streq(name, "MARK") || streq(name, "CONNMARK")))
                p->verdict_unknown = true;
}

static void take_immediate(Probe *p, const struct nftnl_expr *e) {
        uint32_t to = number(e, NFTNL_EXPR_IMM_DREG), length;
        const void *data;

        if (to == NFT_REG_VERDICT) {
                p->verdict = number(e, NFTNL_EXPR_IMM_VERDICT);
                if (nftnl_expr_is_set(e, NFTNL_EXPR_IMM_CHAIN))
                        (void) snprintf(p->target, sizeof(p->target), "%s", nftnl_expr_get_str(e, NFTNL_EXPR_IMM_CHAIN));
                return;
        }
        data = nftnl_expr_get(e, NFTNL_EXPR_IMM_DATA, &length);
        if (data)
                set_value(p, to, data, length);
}

static Truth step(Probe *p, const struct nftnl_expr *e) {
        static const char *const harmless[] = { "counter", "log", "notrack", "quota", "objref", "dup" };
        const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
        static const struct {
                const char *name;
                void (*load)(Probe *p, const struct nftnl_expr *e);
                Truth (*check)(Probe *p, const struct nftnl_expr *e);
        } rows[] = {
                { "meta", load_meta, NULL }, { "payload", load_payload, NULL }, { "ct", load_connection, NULL }, { "bitwise", change_bits, NULL },
                { "immediate", take_immediate, NULL }, { "target", take_target, NULL }, { "cmp", NULL, compare }, { "range", NULL, compare_range },
                { "lookup", NULL, look_up }, { "match", NULL, match_extension },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (streq(name, rows[i].name)) {
                        if (rows[i].check)
                                return rows[i].check(p, e);
                        rows[i].load(p, e);
                        return TRUE;
                }
        for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
                if (streq(name, harmless[i]))
                        return TRUE;
        if (streq(name, "reject")) {
                p->verdict = NF_DROP;
                return TRUE;
        }
        if (streq(name, "queue"))
                p->verdict_unknown = true;
        /* Something that gives a value we don't know, or a condition we don't. */
        for (uint32_t i = 0; i < REGISTERS; i++)
                forget(p, i);
        return MAYBE;
}

/* --- rules and chains --- */

static Truth run_rule(Probe *p, struct nftnl_rule *rule) {
        struct nftnl_expr_iter *i = nftnl_expr_iter_create(rule);
        Truth all = TRUE;

        memset(p->registers, 0, sizeof(p->registers));
        p->verdict = (uint32_t) NFT_CONTINUE;
        p->target[0] = '\0';
        p->verdict_unknown = false;
        if (!i)
                return MAYBE;
        for (struct nftnl_expr *e = nftnl_expr_iter_next(i); e && all != FALSE; e = nftnl_expr_iter_next(i)) {
                Truth one = step(p, e);

                all = one == TRUE ? all : one;
        }
        nftnl_expr_iter_destroy(i);
        return all;
}

static int run_chain(Probe *p, NftChain *c, unsigned depth, Fate *ret);

/* What a rule whose conditions hold, or may hold, does with the packet. */
static int take_verdict(Probe *p, NftChain *c, unsigned depth, Fate *ret) {
        NftChain *target;

        *ret = FATE_FALLS;
        if (p->verdict_unknown) {
                *ret = FATE_UNSURE;
                return 0;
        }
        switch ((int) p->verdict) {
        case NF_ACCEPT:
                *ret = FATE_PASSES;
                return 0;
        case NF_DROP:
                *ret = FATE_DROPS;
                return 0;
        case NFT_JUMP:
        case NFT_GOTO:
                target = nft_dump_find(p->dump, c->family, c->table, p->target);
                if (!target || depth >= JUMPS_MAX)
                        *ret = FATE_UNSURE;
                return target && depth < JUMPS_MAX ? run_chain(p, target, depth + 1, ret) : 0;
        default:
                return 0;
        }
}

static int run_chain(Probe *p, NftChain *c, unsigned depth, Fate *ret) {
        bool unsure = false;
        int r;

        r = nft_dump_load(p->dump, c);
        for (size_t i = 0; i < c->n && r >= 0; i++) {
                Fate fate;
                Truth truth;
                bool leaves;

                p->chain = c;
                truth = run_rule(p, c->rules[i]);
                if (truth == FALSE)
                        continue;
                leaves = (int) p->verdict == NFT_RETURN || (int) p->verdict == NFT_GOTO;
                r = take_verdict(p, c, depth, &fate);
                if (r < 0)
                        return r;
                if (truth == TRUE && fate == FATE_DROPS) {
                        *ret = unsure ? FATE_UNSURE : FATE_DROPS;
                        return 0;
                }
                if (truth == TRUE && (fate == FATE_PASSES || leaves)) {
                        *ret = unsure ? FATE_UNSURE : fate;
                        return 0;
                }
                unsure = unsure || fate == FATE_PASSES || fate == FATE_UNSURE || (truth == MAYBE && leaves);
        }
        *ret = unsure ? FATE_UNSURE : FATE_FALLS;
        return r;
}

static bool meets(const NftChain *c, const NftPacket *p) {
        return c->base && c->hook == p->hook && (c->family == NFPROTO_INET || c->family == (p->family == AF_INET6 ? NFPROTO_IPV6 : NFPROTO_IPV4));
}

int nft_probe(NftDump *d, const NftPacket *p, const NftChain **ret) {
        Probe probe = { .dump = d, .packet = p };
        NftChain *chains;
        size_t n;

        assert(d && p && ret);

        *ret = NULL;
        chains = nft_dump_chains(d, &n);
        for (size_t i = 0; i < n && !*ret; i++) {
                Fate fate;
                int r;

                if (!meets(&chains[i], p))
                        continue;
                r = run_chain(&probe, &chains[i], 0, &fate);
                if (r < 0)
                        return r;
                if (fate == FATE_DROPS || (fate == FATE_FALLS && chains[i].policy == NF_DROP))
                        *ret = &chains[i];
        }
        return 0;
}
