/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shape.h"

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/route/class.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/qdisc/htb.h>
#include <netlink/utils.h>
#include <string.h>

#include "link-nl.h"
#include "str.h"
#include "tc.h"

/* As libvirt has them: rates in thousands of bytes each second, bursts in 1024 bytes. */
#define RATE_UNIT 1000u
#define BURST_UNIT 1024u
/* The kernel's biggest packet before it is cut up, which must fit or would never pass. */
#define PACKET_MAX (64u * 1024)

DEFINE_CLEANUP_VOID(struct rtnl_class *, rtnl_class_put)

static uint64_t rate_of(uint64_t thousands) {
        return thousands * RATE_UNIT;
}

/* What may pass at once: as asked for, else a tenth of a second's worth; at least a packet. */
static uint32_t burst_of(const Bandwidth *b) {
        uint64_t bytes = b->burst != NUMBER_UNSET ? b->burst * BURST_UNIT : rate_of(b->average) / 10;

        return bytes < PACKET_MAX ? PACKET_MAX : (uint32_t) MIN(bytes, (uint64_t) INT32_MAX);
}

/* --- to the guest --- */

static int add_queue(struct nl_sock *s, int index) {
        _cleanup_(rtnl_qdisc_putp) struct rtnl_qdisc *q = rtnl_qdisc_alloc();
        int r;

        if (!q)
                return -NLE_NOMEM;
        rtnl_tc_set_ifindex(TC_CAST(q), index);
        rtnl_tc_set_parent(TC_CAST(q), TC_H_ROOT);
        rtnl_tc_set_handle(TC_CAST(q), TC_HANDLE(1, 0));
        r = rtnl_tc_set_kind(TC_CAST(q), "htb");
        if (r >= 0)
                r = rtnl_htb_set_defcls(q, 1);
        return r < 0 ? r : tc_or_there(rtnl_qdisc_add(s, q, NLM_F_CREATE | NLM_F_EXCL));
}

static int add_class(struct nl_sock *s, int index, const Bandwidth *b) {
        _cleanup_(rtnl_class_putp) struct rtnl_class *c = rtnl_class_alloc();
        int r;

        if (!c)
                return -NLE_NOMEM;
        rtnl_tc_set_ifindex(TC_CAST(c), index);
        rtnl_tc_set_parent(TC_CAST(c), TC_HANDLE(1, 0));
        rtnl_tc_set_handle(TC_CAST(c), TC_HANDLE(1, 1));
        r = rtnl_tc_set_kind(TC_CAST(c), "htb");
        if (r >= 0)
                r = rtnl_htb_set_rate64(c, rate_of(b->average));
        if (r >= 0)
                r = rtnl_htb_set_ceil64(c, rate_of(b->peak == NUMBER_UNSET ? b->average : b->peak));
        if (r >= 0)
                r = rtnl_htb_set_rbuffer(c, burst_of(b));
        if (r >= 0)
                r = rtnl_htb_set_cbuffer(c, burst_of(b));
        if (r >= 0) /* there is only one class: what the kernel would choose, it would complain about */
                r = rtnl_htb_set_quantum(c, PACKET_MAX);
        return r < 0 ? r : rtnl_class_add(s, c, NLM_F_CREATE | NLM_F_REPLACE);
}

/* --- from the guest --- */

static uint32_t ticks_for(uint64_t bytes, uint64_t rate) {
        return nl_us2ticks((uint32_t) MIN(bytes * 1000000 / rate, (uint64_t) UINT32_MAX));
}

/* How long a packet of each of 256 sizes takes: kernels no longer count by it, but want it. */
static void fill_rate(struct tc_ratespec *spec, uint32_t table[static 256], uint64_t rate) {
        *spec = (struct tc_ratespec) { .cell_log = 9, .linklayer = TC_LINKLAYER_ETHERNET, .rate = (uint32_t) MIN(rate, (uint64_t) UINT32_MAX) };
        for (unsigned i = 0; i < 256; i++)
                table[i] = ticks_for((uint64_t) (i + 1) << spec->cell_log, rate);
}

static int put_police(struct nl_msg *m, const Bandwidth *b) {
        uint64_t rate = rate_of(b->average);
        struct tc_police police = { .action = TC_POLICE_SHOT, .mtu = PACKET_MAX, .burst = ticks_for(burst_of(b), rate) };
        uint32_t table[256];

        fill_rate(&police.rate, table, rate);
        if (nla_put(m, TCA_POLICE_TBF, sizeof(police), &police) < 0 || nla_put(m, TCA_POLICE_RATE, sizeof(table), table) < 0 ||
            (rate > UINT32_MAX && nla_put_u64(m, TCA_POLICE_RATE64, rate) < 0))
                return -NLE_NOMEM;
        return 0;
}

static int add_police(struct nl_sock *s, int index, const Bandwidth *b) {
        const TcFilter filter = { .index = index, .egress = false, .priority = 1, .protocol = ETH_P_ALL, .kind = "matchall", .actions = TCA_MATCHALL_ACT };
        TcMessage t;
        int r;

        r = tc_filter_begin(&t, &filter, "police");
        if (r >= 0)
                r = put_police(t.message, b);
        return tc_filter_end(s, &t, r);
}

int shape_link(Links *l, const char *name, const Bandwidth *inbound, const Bandwidth *outbound, Fault *f) {
        struct nl_sock *s = links_socket(l);
        LinkInfo info;
        int r;

        assert(l && name && inbound && outbound);

        if (inbound->average == NUMBER_UNSET && outbound->average == NUMBER_UNSET)
                return 0;
        r = links_find(l, name, &info);
        if (r < 0)
                return fault_set(f, FAULT_NETWORK, -r, "%s has gone", name);
        if (inbound->average != NUMBER_UNSET) {
                r = add_queue(s, info.index);
                if (r >= 0)
                        r = add_class(s, info.index, inbound);
        }
        if (r >= 0 && outbound->average != NUMBER_UNSET) {
                r = tc_add_hooks(s, info.index);
                if (r >= 0)
                        r = add_police(s, info.index, outbound);
        }
        if (r >= 0)
                return 0;
        r = links_fault(f, r, "can't limit the bandwidth of", name);
        fault_hint(f, "the kernel needs the modules sch_htb, sch_ingress, cls_matchall and act_police");
        return r;
}

static int remove_qdisc(struct nl_sock *s, int index, uint32_t parent) {
        _cleanup_(rtnl_qdisc_putp) struct rtnl_qdisc *q = rtnl_qdisc_alloc();
        int r;

        if (!q)
                return -NLE_NOMEM;
        rtnl_tc_set_ifindex(TC_CAST(q), index);
        rtnl_tc_set_parent(TC_CAST(q), parent);
        r = rtnl_qdisc_delete(s, q);
        /* What is not there, or is the kernel's own, need not go. */
        return r == -NLE_OBJ_NOTFOUND || r == -NLE_INVAL ? 0 : r;
}

int shape_port_again(Links *l, const char *name, const Bandwidth *inbound, const Bandwidth *outbound, Fault *f) {
        LinkInfo info;
        int r;

        assert(l && name && inbound && outbound);

        r = links_find(l, name, &info);
        if (r < 0 || (!streq(info.kind, "tun") && !streq(info.kind, "macvtap")))
                return fault_set(f, FAULT_INVALID_ARGS, ENODEV, "\"%.32s\" is no guest's connection", name);
        r = remove_qdisc(links_socket(l), info.index, TC_H_ROOT);
        if (r >= 0)
                r = remove_qdisc(links_socket(l), info.index, TC_H_CLSACT);
        if (r < 0)
                return links_fault(f, r, "can't change the bandwidth of", name);
        return shape_link(l, name, inbound, outbound, f);
}
