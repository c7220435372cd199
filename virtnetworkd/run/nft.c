/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nft.h"

#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"
#include "nft-expr.h"
#include "str.h"

#define MESSAGE_MAX ((size_t) 16 * 1024)   /* no single message comes near */

struct Nft {
        struct mnl_socket *socket, *events;
        unsigned port;                /* of `socket`: changes by it are our own */
        sd_event_source *source;
        NftChanged changed;
        void *userdata;
        uint32_t sequence;
};

/* Messages that go to the kernel as one transaction. */
typedef struct Batch {
        Nft *nft;
        char *data;
        size_t length, allocated;
        bool failed;
} Batch;

/* --- building --- */

static char *room(Batch *b) {
        if (b->failed || !GROW(b->data, b->allocated, b->length + MESSAGE_MAX)) {
                b->failed = true;
                return NULL;
        }
        return b->data + b->length;
}

static void put_edge(Batch *b, bool begin) {
        char *at = room(b);

        if (at)
                b->length += MNL_ALIGN((begin ? nftnl_batch_begin : nftnl_batch_end)(at, ++b->nft->sequence)->nlmsg_len);
}

static struct nlmsghdr *put(Batch *b, uint16_t type, uint16_t flags) {
        char *at = room(b);

        return at ? nftnl_nlmsg_build_hdr(at, type, NFPROTO_INET, flags, ++b->nft->sequence) : NULL;
}

static void put_table(Batch *b, uint16_t type) {
        struct nftnl_table *t = nftnl_table_alloc();
        struct nlmsghdr *h = put(b, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);

        if (t && h) {
                nftnl_table_set_u32(t, NFTNL_TABLE_FAMILY, NFPROTO_INET);
                nftnl_table_set_str(t, NFTNL_TABLE_NAME, RULESET_TABLE);
                nftnl_table_nlmsg_build_payload(h, t);
                b->length += MNL_ALIGN(h->nlmsg_len);
        } else
                b->failed = true;
        if (t)
                nftnl_table_free(t);
}

static uint32_t hook_number(const char *hook) {
        static const char *const names[] = {
                [NF_INET_PRE_ROUTING] = "prerouting", [NF_INET_FORWARD] = "forward", [NF_INET_LOCAL_OUT] = "output",
                [NF_INET_POST_ROUTING] = "postrouting",
        };
        uint32_t i = 0;

        while (!names[i] || !streq(names[i], hook))
                i++;
        return i;
}

static void put_chain(Batch *b, const Chain *c) {
        struct nftnl_chain *n = nftnl_chain_alloc();
        struct nlmsghdr *h = put(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);

        if (n && h) {
                nftnl_chain_set_str(n, NFTNL_CHAIN_TABLE, RULESET_TABLE);
                nftnl_chain_set_str(n, NFTNL_CHAIN_NAME, c->name);
                if (c->type) {
                        nftnl_chain_set_str(n, NFTNL_CHAIN_TYPE, c->type);
                        nftnl_chain_set_u32(n, NFTNL_CHAIN_HOOKNUM, hook_number(c->hook));
                        nftnl_chain_set_s32(n, NFTNL_CHAIN_PRIO, c->priority);
                        nftnl_chain_set_u32(n, NFTNL_CHAIN_POLICY, NF_ACCEPT);
                }
                nftnl_chain_nlmsg_build_payload(h, n);
                b->length += MNL_ALIGN(h->nlmsg_len);
        } else
                b->failed = true;
        if (n)
                nftnl_chain_free(n);
}

static void put_rule(Batch *b, const Rule *r) {
        struct nftnl_rule *n = nftnl_rule_alloc();
        struct nlmsghdr *h = put(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);

        if (n && h && nft_rule_exprs(n, r) >= 0) {
                nftnl_rule_set_str(n, NFTNL_RULE_TABLE, RULESET_TABLE);
                nftnl_rule_set_str(n, NFTNL_RULE_CHAIN, r->chain);
                nftnl_rule_nlmsg_build_payload(h, n);
                b->length += MNL_ALIGN(h->nlmsg_len);
        } else
                b->failed = true;
        if (n)
                nftnl_rule_free(n);
}

/* --- sending --- */

/* What the kernel has to say is there as soon as it was asked; no word means that all is well. */
static int read_errors(Nft *n) {
        char buffer[16 * 1024];
        int error = 0;

        for (;;) {
                ssize_t got = recv(mnl_socket_get_fd(n->socket), buffer, sizeof(buffer), MSG_DONTWAIT);
                int left = (int) got;

                if (got < 0)
                        return errno == EAGAIN ? error : -errno;
                for (const struct nlmsghdr *h = (const void *) buffer; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
                        const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

                        if (h->nlmsg_type == NLMSG_ERROR && error == 0)
                                error = e->error;
                }
        }
}

static int send_batch(Batch *b, Fault *f) {
        int fd = mnl_socket_get_fd(b->nft->socket), size = (int) b->length * 2, r;

        if (b->failed)
                return fault_oom(f);
        (void) setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
        if (mnl_socket_sendto(b->nft->socket, b->data, b->length) < 0)
                r = -errno;
        else
                r = read_errors(b->nft);
        if (r >= 0)
                return 0;
        fault_set(f, FAULT_FIREWALL, -r, "the kernel does not take the firewall's rules: %s", strerror(-r));
        if (r == -EOPNOTSUPP || r == -ENOENT)
                fault_hint(f, "the kernel needs nf_tables with NAT, conntrack and reject for the family inet");
        return r;
}

int nft_apply(Nft *n, const Ruleset *s, Fault *f) {
        Batch b = { .nft = n };
        int r;

        assert(n && s);

        put_edge(&b, true);
        /* So that there is one to be deleted. */
        put_table(&b, NFT_MSG_NEWTABLE);
        put_table(&b, NFT_MSG_DELTABLE);
        put_table(&b, NFT_MSG_NEWTABLE);
        for (size_t i = 0; i < s->n_chains; i++)
                put_chain(&b, &s->chains[i]);
        for (size_t i = 0; i < s->n_rules; i++)
                put_rule(&b, &s->rules[i]);
        put_edge(&b, false);
        r = send_batch(&b, f);
        free(b.data);
        return r;
}

int nft_remove(Nft *n, Fault *f) {
        Batch b = { .nft = n };
        int r;

        assert(n);

        put_edge(&b, true);
        put_table(&b, NFT_MSG_NEWTABLE);
        put_table(&b, NFT_MSG_DELTABLE);
        put_edge(&b, false);
        r = send_batch(&b, f);
        free(b.data);
        return r;
}

/* --- what others do --- */

static int on_attribute(const struct nlattr *a, void *data) {
        bool *ours = data;

        /* The table's name is the first attribute of tables, chains and rules alike. */
        if (mnl_attr_get_type(a) == NFTA_TABLE_NAME && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
                *ours = streq(mnl_attr_get_str(a), RULESET_TABLE);
        return MNL_CB_OK;
}

/* Sets of addresses change all the time on some hosts, and are not what chains are made of. */
static bool is_change_by_others(const Nft *n, const struct nlmsghdr *h, bool *ret_ours) {
        unsigned type = NFNL_MSG_TYPE(h->nlmsg_type);

        if (NFNL_SUBSYS_ID(h->nlmsg_type) != NFNL_SUBSYS_NFTABLES || h->nlmsg_pid == n->port || type > NFT_MSG_DELRULE)
                return false;
        (void) mnl_attr_parse(h, sizeof(struct nfgenmsg), on_attribute, ret_ours);
        return true;
}

static int on_events(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        char buffer[64 * 1024];
        ssize_t got = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        int left = (int) got;
        bool changed = got < 0 && errno == ENOBUFS, ours = changed; /* more than we could hear: it may have been ours */
        Nft *n = userdata;

        for (const struct nlmsghdr *h = (const void *) buffer; got > 0 && mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
                bool this_ours = false;

                changed = is_change_by_others(n, h, &this_ours) || changed;
                ours = ours || this_ours;
        }
        if (changed)
                n->changed(ours, n->userdata);
        return 0;
}

static struct mnl_socket *open_socket(unsigned groups) {
        struct mnl_socket *s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (s && mnl_socket_bind(s, groups, MNL_SOCKET_AUTOPID) < 0) {
                mnl_socket_close(s);
                return NULL;
        }
        return s;
}

Nft *nft_free(Nft *n) {
        if (!n)
                return NULL;
        sd_event_source_disable_unref(n->source);
        if (n->socket)
                (void) mnl_socket_close(n->socket);
        if (n->events)
                (void) mnl_socket_close(n->events);
        free(n);
        return NULL;
}

int nft_new(sd_event *event, NftChanged changed, void *userdata, Nft **ret, Fault *f) {
        _cleanup_(nft_freep) Nft *n = new0(Nft, 1);
        int r;

        assert(event && changed && ret);

        if (!n)
                return fault_oom(f);
        n->changed = changed;
        n->userdata = userdata;
        n->socket = open_socket(0);
        n->events = n->socket ? open_socket(1u << (NFNLGRP_NFTABLES - 1)) : NULL;
        if (!n->events)
                return fault_set(f, FAULT_FIREWALL, errno, "the kernel's firewall can't be reached: %m");
        n->port = mnl_socket_get_portid(n->socket);
        r = sd_event_add_io(event, &n->source, mnl_socket_get_fd(n->events), EPOLLIN, on_events, n);
        if (r < 0)
                return fault_set(f, FAULT_FIREWALL, -r, "the kernel's firewall can't be watched: %s", strerror(-r));
        *ret = TAKE_PTR(n);
        return 0;
}
