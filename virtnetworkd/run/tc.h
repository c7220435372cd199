/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netlink/msg.h>
#include <netlink/route/qdisc.h>

#include "link-nl.h"

/* What libnl has no words for: filters with one action, where packets come into a link or leave it. */

DEFINE_CLEANUP_VOID(struct rtnl_qdisc *, rtnl_qdisc_put)

/* On a link that was found again it is there already. */
static inline int tc_or_there(int r) {
        return r == -NLE_EXIST ? 0 : r;
}

/* The places where filters can be (a qdisc of kind clsact). All return libnl's errors. */
int tc_add_hooks(struct nl_sock *s, int index);

typedef struct TcFilter {
        int index;
        bool egress;                 /* else ingress */
        uint16_t priority, protocol; /* ETH_P_… */
        const char *kind;
        int actions;                 /* the kind's attribute for them: TCA_MATCHALL_ACT, … */
        int (*match)(struct nl_msg *m); /* puts what it matches; NULL: everything */
} TcFilter;

typedef struct TcMessage {
        struct nl_msg *message;      /* where the action's options go */
        struct nlattr *options, *actions, *action, *action_options;
} TcMessage;

int tc_filter_begin(TcMessage *t, const TcFilter *f, const char *action);
/* Sends it, if `error` is none, and frees it. */
int tc_filter_end(struct nl_sock *s, TcMessage *t, int error);
