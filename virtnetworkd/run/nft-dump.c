/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nft-dump.h"

#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "../mode/ruleset.h"
#include "mem.h"
#include "str.h"


struct NftDump {
        struct mnl_socket *socket;
        uint32_t sequence;
        NftChain *chains;
        size_t n, allocated;
        size_t n_rules;
};

/* --- asking --- */

typedef int (*OnMessage)(const struct nlmsghdr *h, void *userdata);

/* The kernel writes the next part of its answer whenever one was read: it is always there. */
static int read_answer(NftDump *d, OnMessage on, void *userdata) {
        char buffer[64 * 1024];

        for (;;) {
                ssize_t got = recv(mnl_socket_get_fd(d->socket), buffer, sizeof(buffer), MSG_DONTWAIT);
                int left = (int) got, r = 0;

                if (got < 0)
                        return -errno;
                for (const struct nlmsghdr *h = (const void *) buffer; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
                        if (h->nlmsg_seq != d->sequence)
                                continue;
                        if (h->nlmsg_flags & NLM_F_DUMP_INTR)
                                return -EAGAIN;
                        if (h->nlmsg_type == NLMSG_DONE)
                                return 0;
                        if (h->nlmsg_type == NLMSG_ERROR)
                                return ((const struct nlmsgerr *) mnl_nlmsg_get_payload(h))->error;
                        r = on(h, userdata);
                        if (r < 0)
                                return r;
                }
        }
}

static int send_request(NftDump *d, const struct nlmsghdr *h) {
        return mnl_socket_sendto(d->socket, h, h->nlmsg_len) < 0 ? -errno : 0;
}

/* --- chains --- */

static void chain_clear(NftChain *c) {
        for (size_t i = 0; i < c->n; i++)
                nftnl_rule_free(c->rules[i]);
        free(c->rules);
        free(c->table);
        free(c->name);
}

NftDump *nft_dump_free(NftDump *d) {
        if (!d)
                return NULL;
        for (size_t i = 0; i < d->n; i++)
                chain_clear(&d->chains[i]);
        free(d->chains);
        if (d->socket)
                (void) mnl_socket_close(d->socket);
        free(d);
        return NULL;
}

static bool is_ip(uint32_t family) {
        return family == NFPROTO_IPV4 || family == NFPROTO_IPV6 || family == NFPROTO_INET;
}

static int add_chain(NftDump *d, const struct nftnl_chain *c) {
        uint32_t family = nftnl_chain_get_u32(c, NFTNL_CHAIN_FAMILY);
        const char *table = nftnl_chain_get_str(c, NFTNL_CHAIN_TABLE), *name = nftnl_chain_get_str(c, NFTNL_CHAIN_NAME);
        NftChain *n;

        if (!table || !name || !is_ip(family) || (family == NFPROTO_INET && streq(table, RULESET_TABLE)))
                return 0;
        if (!GROW(d->chains, d->allocated, d->n + 1))
                return -ENOMEM;
        n = &d->chains[d->n++];
        *n = (NftChain) { .family = family, .table = strdup(table), .name = strdup(name) };
        if (nftnl_chain_is_set(c, NFTNL_CHAIN_HOOKNUM)) {
                n->base = true;
                n->hook = nftnl_chain_get_u32(c, NFTNL_CHAIN_HOOKNUM);
                n->policy = nftnl_chain_is_set(c, NFTNL_CHAIN_POLICY) ? nftnl_chain_get_u32(c, NFTNL_CHAIN_POLICY) : NF_ACCEPT;
        }
        return n->table && n->name ? 0 : -ENOMEM;
}

static int on_chain(const struct nlmsghdr *h, void *userdata) {
        struct nftnl_chain *c = nftnl_chain_alloc();
        int r;

        if (!c)
                return -ENOMEM;
        r = nftnl_chain_nlmsg_parse(h, c) < 0 ? 0 : add_chain(userdata, c);
        nftnl_chain_free(c);
        return r;
}

int nft_dump_new(NftDump **ret) {
        _cleanup_(nft_dump_freep) NftDump *d = new0(NftDump, 1);
        char buffer[MNL_NLMSG_HDRLEN + 64];
        int r;

        assert(ret);

        if (!d)
                return -ENOMEM;
        d->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (!d->socket || mnl_socket_bind(d->socket, 0, MNL_SOCKET_AUTOPID) < 0)
                return -errno;
        r = send_request(d, nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC, NLM_F_DUMP, ++d->sequence));
        if (r >= 0)
                r = read_answer(d, on_chain, d);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(d);
        return 0;
}

NftChain *nft_dump_chains(NftDump *d, size_t *ret_n) {
        *ret_n = d->n;
        return d->chains;
}

NftChain *nft_dump_find(NftDump *d, uint32_t family, const char *table, const char *name) {
        for (size_t i = 0; i < d->n; i++)
                if (d->chains[i].family == family && streq(d->chains[i].name, name) && streq(d->chains[i].table, table))
                        return &d->chains[i];
        return NULL;
}

/* --- rules --- */

typedef struct Loading {
        NftDump *dump;
        NftChain *chain;
} Loading;

static int on_rule(const struct nlmsghdr *h, void *userdata) {
        Loading *l = userdata;
        struct nftnl_rule *rule;

        if (l->dump->n_rules >= NFT_DUMP_RULES_MAX)
                return -E2BIG;
        rule = nftnl_rule_alloc();
        if (!rule || !GROW(l->chain->rules, l->chain->allocated, l->chain->n + 1)) {
                if (rule)
                        nftnl_rule_free(rule);
                return -ENOMEM;
        }
        l->chain->rules[l->chain->n++] = rule;
        l->dump->n_rules++;
        return nftnl_rule_nlmsg_parse(h, rule) < 0 ? -EBADMSG : 0;
}

int nft_dump_load(NftDump *d, NftChain *c) {
        char buffer[MNL_NLMSG_HDRLEN + 1024];
        Loading l = { d, c };
        struct nftnl_rule *which;
        struct nlmsghdr *h;
        int r;

        if (c->loaded)
                return 0;
        which = nftnl_rule_alloc();
        if (!which)
                return -ENOMEM;
        h = nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETRULE, (uint16_t) c->family, NLM_F_DUMP, ++d->sequence);
        nftnl_rule_set_str(which, NFTNL_RULE_TABLE, c->table);
        nftnl_rule_set_str(which, NFTNL_RULE_CHAIN, c->name);
        nftnl_rule_nlmsg_build_payload(h, which);
        nftnl_rule_free(which);
        r = send_request(d, h);
        if (r >= 0)
                r = read_answer(d, on_rule, &l);
        c->loaded = r >= 0;
        return r;
}

/* --- sets --- */

static int on_set(const struct nlmsghdr *h, void *userdata) {
        return nftnl_set_nlmsg_parse(h, userdata) < 0 ? -EBADMSG : 0;
}

static int on_elements(const struct nlmsghdr *h, void *userdata) {
        return nftnl_set_elems_nlmsg_parse(h, userdata) < 0 ? -EBADMSG : 0;
}

static int ask_set(NftDump *d, const NftChain *c, struct nftnl_set *s, uint16_t type, OnMessage on) {
        char buffer[MNL_NLMSG_HDRLEN + 1024];
        struct nlmsghdr *h = nftnl_nlmsg_build_hdr(buffer, type, (uint16_t) c->family, type == NFT_MSG_GETSET ? NLM_F_ACK : NLM_F_DUMP, ++d->sequence);
        int r;

        if (type == NFT_MSG_GETSET)
                nftnl_set_nlmsg_build_payload(h, s);
        else
                nftnl_set_elems_nlmsg_build_payload(h, s);
        r = send_request(d, h);
        return r < 0 ? r : read_answer(d, on, s);
}

int nft_dump_set(NftDump *d, const NftChain *c, const char *name, struct nftnl_set **ret) {
        struct nftnl_set *s = nftnl_set_alloc();
        int r;

        if (!s)
                return -ENOMEM;
        nftnl_set_set_str(s, NFTNL_SET_TABLE, c->table);
        nftnl_set_set_str(s, NFTNL_SET_NAME, name);
        r = ask_set(d, c, s, NFT_MSG_GETSET, on_set);
        if (r >= 0 && (nftnl_set_get_u32(s, NFTNL_SET_FLAGS) & (NFT_SET_INTERVAL | NFT_SET_CONCAT)))
                r = -EOPNOTSUPP;
        if (r >= 0)
                r = ask_set(d, c, s, NFT_MSG_GETSETELEM, on_elements);
        if (r < 0) {
                nftnl_set_free(s);
                return r;
        }
        *ret = s;
        return 0;
}
