/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tc.h"

#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

int tc_add_hooks(struct nl_sock *s, int index) {
        _cleanup_(rtnl_qdisc_putp) struct rtnl_qdisc *q = rtnl_qdisc_alloc();
        int r;

        if (!q)
                return -NLE_NOMEM;
        rtnl_tc_set_ifindex(TC_CAST(q), index);
        rtnl_tc_set_parent(TC_CAST(q), TC_H_CLSACT);
        rtnl_tc_set_handle(TC_CAST(q), TC_HANDLE(0xffffu, 0));
        r = rtnl_tc_set_kind(TC_CAST(q), "clsact");
        return r < 0 ? r : tc_or_there(rtnl_qdisc_add(s, q, NLM_F_CREATE | NLM_F_EXCL));
}

int tc_filter_begin(TcMessage *t, const TcFilter *f, const char *action) {
        struct tcmsg head = {
                .tcm_family = AF_UNSPEC, .tcm_ifindex = f->index, .tcm_info = TC_H_MAKE((uint32_t) f->priority << 16, htons(f->protocol)),
                .tcm_parent = TC_H_MAKE(TC_H_CLSACT, f->egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS),
        };

        *t = (TcMessage) { .message = nlmsg_alloc_simple(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL) };
        if (!t->message || nlmsg_append(t->message, &head, sizeof(head), NLMSG_ALIGNTO) < 0 || nla_put_string(t->message, TCA_KIND, f->kind) < 0)
                return -NLE_NOMEM;
        t->options = nla_nest_start(t->message, TCA_OPTIONS);
        if (!t->options || (f->match && f->match(t->message) < 0))
                return -NLE_NOMEM;
        t->actions = nla_nest_start(t->message, f->actions);
        t->action = t->actions ? nla_nest_start(t->message, 1) : NULL;
        if (!t->action || nla_put_string(t->message, TCA_ACT_KIND, action) < 0)
                return -NLE_NOMEM;
        t->action_options = nla_nest_start(t->message, TCA_ACT_OPTIONS);
        return t->action_options ? 0 : -NLE_NOMEM;
}

int tc_filter_end(struct nl_sock *s, TcMessage *t, int error) {
        if (error < 0) {
                nlmsg_free(t->message);
                return error;
        }
        nla_nest_end(t->message, t->action_options);
        nla_nest_end(t->message, t->action);
        nla_nest_end(t->message, t->actions);
        nla_nest_end(t->message, t->options);
        return tc_or_there(nl_send_sync(s, t->message));
}
