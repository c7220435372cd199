/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dhcp-checksum.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/tc_act/tc_csum.h>

#include "tc.h"

#define DHCP_CLIENT_PORT 68

/* IPv4, UDP, to the port of clients. */
static int match_answers(struct nl_msg *m) {
        if (nla_put_u16(m, TCA_FLOWER_KEY_ETH_TYPE, htons(ETH_P_IP)) < 0 || nla_put_u8(m, TCA_FLOWER_KEY_IP_PROTO, IPPROTO_UDP) < 0 ||
            nla_put_u16(m, TCA_FLOWER_KEY_UDP_DST, htons(DHCP_CLIENT_PORT)) < 0)
                return -NLE_NOMEM;
        return 0;
}

int dhcp_checksum_fill(Links *l, int index) {
        const TcFilter filter = {
                .index = index, .egress = true, .priority = 1, .protocol = ETH_P_IP, .kind = "flower", .actions = TCA_FLOWER_ACT, .match = match_answers,
        };
        const struct tc_csum fill = { .action = TC_ACT_OK, .update_flags = TCA_CSUM_UPDATE_FLAG_UDP };
        struct nl_sock *s = links_socket(l);
        TcMessage t;
        int r;

        r = tc_add_hooks(s, index);
        if (r < 0)
                return -EOPNOTSUPP;
        r = tc_filter_begin(&t, &filter, "csum");
        if (r >= 0)
                r = nla_put(t.message, TCA_CSUM_PARMS, sizeof(fill), &fill);
        return tc_filter_end(s, &t, r) < 0 ? -EOPNOTSUPP : 0;
}
