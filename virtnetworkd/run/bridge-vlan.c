/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bridge-vlan.h"

#include <linux/if_bridge.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <string.h>

#include "file.h"
#include "link-nl.h"
#include "str.h"

/* What a port of a filtering bridge is in from the beginning. */
#define VLAN_OF_ALL 1u

static int check_filtering(const char *bridge, Fault *f) {
        _cleanup_free_ char *path = strf("/sys/class/net/%s/bridge/vlan_filtering", bridge), *text = NULL;
        size_t length;
        int r = path ? file_read(path, 64, &text, &length) : -ENOMEM;

        if (r < 0 && r != -ENOENT) /* kernels that can't do it have no such file */
                return fault_set(f, FAULT_NETWORK, -r, "%s can't be asked for VLANs: %s", bridge, strerror(-r));
        if (r >= 0 && text[0] == '1')
                return 0;
        fault_set(f, FAULT_NETWORK, EOPNOTSUPP, "the bridge %s does not filter by VLANs", bridge);
        fault_hint(f, "have it do so: ip link set %s type bridge vlan_filtering 1", bridge);
        return -EOPNOTSUPP;
}

static int put_vlan(struct nl_msg *m, uint64_t id, unsigned flags) {
        const struct bridge_vlan_info info = { .vid = (uint16_t) id, .flags = (uint16_t) flags };

        return nla_put(m, IFLA_BRIDGE_VLAN_INFO, sizeof(info), &info);
}

/* One tag alone is the guest's only VLAN, which it need not know of. Of a trunk the guest sees the tags, but for the native one. */
static unsigned flags_of(const VlanTag *t, bool trunk) {
        static const unsigned native[_VLAN_NATIVE_MAX] = {
                [NATIVE_TAGGED] = BRIDGE_VLAN_INFO_PVID, [NATIVE_UNTAGGED] = BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED,
        };

        return trunk ? native[t->native] : BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED;
}

static int put_tags(struct nl_msg *m, const RecordList *tags, bool trunk) {
        struct nlattr *spec = nla_nest_start(m, IFLA_AF_SPEC);
        int r = spec ? 0 : -NLE_NOMEM;

        RECORD_FOREACH(VlanTag, t, *tags)
                if (r >= 0)
                        r = put_vlan(m, t->id, flags_of(t, trunk));
        if (r >= 0)
                nla_nest_end(m, spec);
        return r;
}

static int send_vlans(Links *l, int index, uint16_t type, const RecordList *tags, bool trunk) {
        _cleanup_(nlmsg_freep) struct nl_msg *m = nlmsg_alloc_simple(type, 0);
        const struct ifinfomsg head = { .ifi_family = AF_BRIDGE, .ifi_index = index };
        struct nlattr *spec;
        int r;

        r = m ? nlmsg_append(m, (void *) &head, sizeof(head), NLMSG_ALIGNTO) : -NLE_NOMEM;
        if (r >= 0 && tags)
                r = put_tags(m, tags, trunk);
        else if (r >= 0) {
                spec = nla_nest_start(m, IFLA_AF_SPEC);
                r = spec ? put_vlan(m, VLAN_OF_ALL, 0) : -NLE_NOMEM;
                if (r >= 0)
                        nla_nest_end(m, spec);
        }
        return r < 0 ? r : nl_send_sync(links_socket(l), TAKE_PTR(m));
}

int bridge_port_set_vlans(Links *l, const char *bridge, const char *port, const PortSettings *s, Fault *f) {
        LinkInfo info;
        int r;

        assert(l && bridge && port && s && s->tags.n > 0);

        r = check_filtering(bridge, f);
        if (r < 0)
                return r;
        r = links_find(l, port, &info);
        if (r < 0)
                return fault_set(f, FAULT_NETWORK, -r, "%s has gone", port);
        r = send_vlans(l, info.index, RTM_DELLINK, NULL, false);
        if (r >= 0)
                r = send_vlans(l, info.index, RTM_SETLINK, &s->tags, port_settings_trunk(s));
        return r < 0 ? links_fault(f, r, "can't put into VLANs:", port) : 0;
}
