/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link.h"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/macvtap.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "link-nl.h"
#include "mem.h"
#include "str.h"

struct Links {
        struct nl_sock *socket;
};

DEFINE_CLEANUP_VOID(struct rtnl_link *, rtnl_link_put)
DEFINE_CLEANUP_VOID(struct rtnl_addr *, rtnl_addr_put)
DEFINE_CLEANUP_VOID(struct rtnl_neigh *, rtnl_neigh_put)
DEFINE_CLEANUP_VOID(struct rtnl_route *, rtnl_route_put)
DEFINE_CLEANUP_VOID(struct nl_addr *, nl_addr_put)
DEFINE_CLEANUP_VOID(struct nl_cache *, nl_cache_free)

/* libnl's errors as errno. */
static int errno_of(int r) {
        static const struct {
                int nl, error;
        } rows[] = {
                { NLE_NODEV, ENODEV }, { NLE_OBJ_NOTFOUND, ENODEV }, { NLE_EXIST, EEXIST }, { NLE_PERM, EPERM }, { NLE_NOMEM, ENOMEM },
                { NLE_BUSY, EBUSY }, { NLE_INVAL, EINVAL }, { NLE_OPNOTSUPP, EOPNOTSUPP }, { NLE_RANGE, ERANGE }, { NLE_NOACCESS, EACCES },
        };

        if (r >= 0)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].nl == -r)
                        return -rows[i].error;
        return -EIO;
}

int links_fault(Fault *f, int nl_error, const char *what, const char *name) {
        _cleanup_free_ char *text = strf("%s %s", what, name);

        return fault_set(f, FAULT_NETWORK, -errno_of(nl_error), "%s: %s", text ?: what, nl_geterror(nl_error));
}

struct nl_sock *links_socket(Links *l) {
        return l->socket;
}

Links *links_free(Links *l) {
        if (!l)
                return NULL;
        nl_socket_free(l->socket);
        free(l);
        return NULL;
}

int links_new(Links **ret, Fault *f) {
        _cleanup_(links_freep) Links *l = new0(Links, 1);
        int r;

        assert(ret);

        if (!l)
                return fault_oom(f);
        l->socket = nl_socket_alloc();
        if (!l->socket)
                return fault_oom(f);
        r = nl_connect(l->socket, NETLINK_ROUTE);
        if (r < 0)
                return links_fault(f, r, "the kernel's", "links can't be reached");
        (void) fd_set_cloexec(nl_socket_get_fd(l->socket), true);
        *ret = TAKE_PTR(l);
        return 0;
}

/* --- links --- */

int links_find(Links *l, const char *name, LinkInfo *ret) {
        _cleanup_(rtnl_link_putp) struct rtnl_link *link = NULL;
        int r;

        assert(l && name && ret);

        r = rtnl_link_get_kernel(l->socket, 0, name, &link);
        if (r < 0)
                return errno_of(r);
        *ret = (LinkInfo) { .index = rtnl_link_get_ifindex(link), .mtu = rtnl_link_get_mtu(link) };
        (void) snprintf(ret->kind, sizeof(ret->kind), "%s", rtnl_link_get_type(link) ?: "");
        (void) snprintf(ret->alias, sizeof(ret->alias), "%s", rtnl_link_get_ifalias(link) ?: "");
        return 0;
}

int links_free_name(Links *l, const char *prefix, bool (*taken)(const char *name, void *userdata), void *userdata, char *ret) {
        for (unsigned i = 0; i < 10000; i++) {
                LinkInfo info;

                (void) snprintf(ret, IFNAMSIZ, "%s%u", prefix, i);
                if (!taken(ret, userdata) && links_find(l, ret, &info) == -ENODEV)
                        return 0;
        }
        return -ENOSPC;
}

/* libnl has no words for a bridge's own settings: the message is made by hand, so that the bridge is right from the beginning. */
static int put_bridge(struct nl_msg *m, const BridgeSpec *s) {
        struct nlattr *info, *data;
        int r;

        r = nla_put_string(m, IFLA_IFNAME, s->name);
        if (r >= 0)
                r = nla_put(m, IFLA_ADDRESS, sizeof(s->mac.octets), s->mac.octets);
        if (r >= 0 && s->mtu != NUMBER_UNSET)
                r = nla_put_u32(m, IFLA_MTU, (uint32_t) s->mtu);
        info = r < 0 ? NULL : nla_nest_start(m, IFLA_LINKINFO);
        if (!info || nla_put_string(m, IFLA_INFO_KIND, "bridge") < 0)
                return -NLE_NOMEM;
        data = nla_nest_start(m, IFLA_INFO_DATA);
        if (!data || nla_put_u32(m, IFLA_BR_STP_STATE, s->stp) < 0)
                return -NLE_NOMEM;
        /* In hundredths of a second. With STP the kernel makes it the least it knows, which is 2 s. */
        if (nla_put_u32(m, IFLA_BR_FORWARD_DELAY, (uint32_t) s->delay * 100) < 0)
                return -NLE_NOMEM;
        nla_nest_end(m, data);
        nla_nest_end(m, info);
        return 0;
}

static int set_alias(Links *l, int index, const char *alias) {
        _cleanup_(rtnl_link_putp) struct rtnl_link *which = rtnl_link_alloc(), *change = rtnl_link_alloc();

        if (!which || !change)
                return -NLE_NOMEM;
        rtnl_link_set_ifindex(which, index);
        rtnl_link_set_ifalias(change, alias);
        return rtnl_link_change(l->socket, which, change, 0);
}

int links_add_bridge(Links *l, const BridgeSpec *spec, int *ret_index, Fault *f) {
        struct ifinfomsg head = { .ifi_family = AF_UNSPEC };
        _cleanup_(nlmsg_freep) struct nl_msg *m = nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
        LinkInfo info = {};
        int r;

        assert(l && spec && ret_index);

        r = m ? nlmsg_append(m, &head, sizeof(head), NLMSG_ALIGNTO) : -NLE_NOMEM;
        if (r >= 0)
                r = put_bridge(m, spec);
        if (r >= 0)
                r = nl_send_sync(l->socket, TAKE_PTR(m));
        if (r >= 0 && links_find(l, spec->name, &info) < 0)
                r = -NLE_NODEV;
        if (r >= 0)
                r = set_alias(l, info.index, spec->alias);
        if (r < 0)
                return links_fault(f, r, "can't make the bridge", spec->name);
        *ret_index = info.index;
        return 0;
}

int links_remove(Links *l, int index) {
        _cleanup_(rtnl_link_putp) struct rtnl_link *link = rtnl_link_alloc();
        int r;

        assert(l && index > 0);

        if (!link)
                return -ENOMEM;
        rtnl_link_set_ifindex(link, index);
        r = errno_of(rtnl_link_delete(l->socket, link));
        return r == -ENODEV ? 0 : MIN(r, 0);
}

int links_set_up(Links *l, int index, Fault *f) {
        _cleanup_(rtnl_link_putp) struct rtnl_link *which = rtnl_link_alloc(), *change = rtnl_link_alloc();
        int r;

        if (!which || !change)
                return fault_oom(f);
        rtnl_link_set_ifindex(which, index);
        rtnl_link_set_flags(change, IFF_UP);
        r = rtnl_link_change(l->socket, which, change, 0);
        return r < 0 ? links_fault(f, r, "the bridge can't be", "set up") : 0;
}

#define NO_MASTER 0

/* In this order: an mtu that is smaller than the bridge's makes that smaller, too. */
static int change_link(Links *l, int index, int master, const MacAddress *mac, uint64_t mtu, const char *alias) {
        _cleanup_(rtnl_link_putp) struct rtnl_link *which = rtnl_link_alloc(), *change = rtnl_link_alloc();
        _cleanup_(nl_addr_putp) struct nl_addr *address = mac ? nl_addr_build(AF_LLC, mac->octets, sizeof(mac->octets)) : NULL;

        if (!which || !change || (mac && !address))
                return -NLE_NOMEM;
        rtnl_link_set_ifindex(which, index);
        if (mac)
                rtnl_link_set_addr(change, address);
        if (mtu != NUMBER_UNSET)
                rtnl_link_set_mtu(change, (unsigned) mtu);
        if (alias)
                rtnl_link_set_ifalias(change, alias);
        if (master != NO_MASTER)
                rtnl_link_set_master(change, master);
        rtnl_link_set_flags(change, IFF_UP);
        return rtnl_link_change(l->socket, which, change, 0);
}

int links_connect(Links *l, const char *name, const char *bridge, const MacAddress *mac, uint64_t mtu, const char *alias, Fault *f) {
        LinkInfo link, to;
        int r;

        assert(l && name && bridge);

        if (links_find(l, bridge, &to) < 0)
                return fault_set(f, FAULT_NETWORK, ENODEV, "the host has no bridge %s", bridge);
        if (!streq(to.kind, "bridge")) {
                fault_set(f, FAULT_NETWORK, EINVAL, "%s is no bridge", bridge);
                if (streq(to.kind, "openvswitch"))
                        fault_hint(f, "it is one of Open vSwitch: say so with <virtualport type='openvswitch'/>");
                return -EINVAL;
        }
        r = links_find(l, name, &link);
        if (r < 0)
                return fault_set(f, FAULT_NETWORK, -r, "the tap %s has gone", name);
        r = change_link(l, link.index, to.index, mac, mtu, alias);
        return r < 0 ? links_fault(f, r, "the tap can't be put on the bridge", bridge) : 0;
}

int links_set_up_tap(Links *l, const char *name, const MacAddress *mac, uint64_t mtu, const char *alias, Fault *f) {
        LinkInfo info;
        int r;

        r = links_find(l, name, &info);
        if (r < 0)
                return fault_set(f, FAULT_NETWORK, -r, "the tap %s has gone", name);
        r = change_link(l, info.index, NO_MASTER, mac, mtu, alias);
        return r < 0 ? links_fault(f, r, "can't set up", name) : 0;
}

int links_add_to_bridge_table(Links *l, const char *port, const MacAddress *mac, Fault *f) {
        _cleanup_(nl_addr_putp) struct nl_addr *address = nl_addr_build(AF_LLC, mac->octets, sizeof(mac->octets));
        _cleanup_(rtnl_neigh_putp) struct rtnl_neigh *entry = rtnl_neigh_alloc();
        LinkInfo info;
        int r;

        if (!address || !entry)
                return fault_oom(f);
        r = links_find(l, port, &info);
        if (r < 0)
                return fault_set(f, FAULT_NETWORK, -r, "%s has gone", port);
        rtnl_neigh_set_family(entry, AF_BRIDGE);
        rtnl_neigh_set_ifindex(entry, info.index);
        rtnl_neigh_set_lladdr(entry, address);
        rtnl_neigh_set_flags(entry, NTF_MASTER);
        rtnl_neigh_set_state(entry, NUD_NOARP);
        r = rtnl_neigh_add(l->socket, entry, NLM_F_CREATE | NLM_F_REPLACE);
        return r < 0 ? links_fault(f, r, "the bridge can't be told who is behind", port) : 0;
}

/* --- macvtaps --- */

static int add_macvtap(Links *l, const char *name, int lower, const char *mode, const MacAddress *mac) {
        _cleanup_(rtnl_link_putp) struct rtnl_link *link = rtnl_link_macvtap_alloc();
        _cleanup_(nl_addr_putp) struct nl_addr *address = mac ? nl_addr_build(AF_LLC, mac->octets, sizeof(mac->octets)) : NULL;
        int r;

        if (!link || (mac && !address))
                return -NLE_NOMEM;
        rtnl_link_set_name(link, name);
        rtnl_link_set_link(link, lower);
        if (mac)
                rtnl_link_set_addr(link, address);
        r = rtnl_link_macvtap_set_mode(link, (uint32_t) rtnl_link_macvtap_str2mode(streq(mode, "passthrough") ? "passthru" : mode));
        return r < 0 ? r : rtnl_link_add(l->socket, link, NLM_F_CREATE | NLM_F_EXCL);
}

int links_add_macvtap(Links *l, const char *name, const char *lower, const char *mode, const MacAddress *mac, const char *alias, int *ret_index,
                      Fault *f) {
        LinkInfo below, link;
        int r;

        assert(l && name && lower && mode && ret_index);

        if (links_find(l, lower, &below) < 0)
                return fault_set(f, FAULT_NETWORK, ENODEV, "the host has no link %s", lower);
        r = add_macvtap(l, name, below.index, mode, mac);
        if (r < 0) {
                links_fault(f, r, "can't make a macvtap on", lower);
                if (errno_of(r) == -EBUSY || errno_of(r) == -EINVAL)
                        fault_hint(f, "a link that is on a bridge, or that has a macvtap of mode passthrough, can have no other");
                return errno_of(r);
        }
        if (links_find(l, name, &link) < 0)
                return fault_set(f, FAULT_NETWORK, ENODEV, "the macvtap %s has gone", name);
        r = change_link(l, link.index, NO_MASTER, NULL, NUMBER_UNSET, alias);
        if (r < 0) {
                (void) links_remove(l, link.index);
                return links_fault(f, r, "can't set up", name);
        }
        *ret_index = link.index;
        return 0;
}

int links_macvtaps(Links *l, int (*found)(const MacvtapInfo *info, void *userdata), void *userdata) {
        _cleanup_(nl_cache_freep) struct nl_cache *cache = NULL;
        int r;

        r = rtnl_link_alloc_cache(l->socket, AF_UNSPEC, &cache);
        for (struct nl_object *o = r < 0 ? NULL : nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
                struct rtnl_link *link = (struct rtnl_link *) o;
                const char *kind = rtnl_link_get_type(link);
                MacvtapInfo info = { .index = rtnl_link_get_ifindex(link), .alias = rtnl_link_get_ifalias(link) ?: "" };

                if (!kind || !streq(kind, "macvtap"))
                        continue;
                (void) snprintf(info.name, sizeof(info.name), "%s", rtnl_link_get_name(link));
                (void) if_indextoname((unsigned) rtnl_link_get_link(link), info.link);
                r = found(&info, userdata);
                if (r < 0)
                        return r;
        }
        return errno_of(r);
}

/* --- addresses and routes --- */

static struct nl_addr *build_address(const IpAddress *a, unsigned prefix) {
        struct nl_addr *n = nl_addr_build(a->family, a->bytes, ip_bits(a->family) / 8);

        if (n)
                nl_addr_set_prefixlen(n, (int) prefix);
        return n;
}

static IpAddress read_address(struct nl_addr *n) {
        IpAddress a = { .family = n ? nl_addr_get_family(n) : AF_UNSPEC };

        if ((a.family == AF_INET || a.family == AF_INET6) && nl_addr_get_len(n) == ip_bits(a.family) / 8)
                memcpy(a.bytes, nl_addr_get_binary_addr(n), nl_addr_get_len(n));
        else
                a.family = AF_UNSPEC;
        return a;
}

int links_add_address(Links *l, int index, const IpAddress *a, unsigned prefix, Fault *f) {
        _cleanup_(rtnl_addr_putp) struct rtnl_addr *addr = rtnl_addr_alloc();
        _cleanup_(nl_addr_putp) struct nl_addr *local = build_address(a, prefix), *broadcast = NULL;
        IpAddress last = ip_broadcast(a, prefix);
        char text[IP_TEXT_MAX];
        int r;

        if (!addr || !local)
                return fault_oom(f);
        rtnl_addr_set_ifindex(addr, index);
        r = rtnl_addr_set_local(addr, local);
        if (r >= 0 && a->family == AF_INET && prefix < 31) {
                broadcast = build_address(&last, 32);
                r = broadcast ? rtnl_addr_set_broadcast(addr, broadcast) : -NLE_NOMEM;
        }
        if (r >= 0)
                r = rtnl_addr_add(l->socket, addr, NLM_F_CREATE);
        return r < 0 && errno_of(r) != -EEXIST ? links_fault(f, r, "the bridge can't have the address", ip_to_text(a, text)) : 0;
}

int links_add_route(Links *l, int index, const IpAddress *network, unsigned prefix, const IpAddress *gateway, uint32_t metric, Fault *f) {
        _cleanup_(nl_addr_putp) struct nl_addr *to = build_address(network, prefix), *via = build_address(gateway, ip_bits(gateway->family));
        _cleanup_(rtnl_route_putp) struct rtnl_route *route = rtnl_route_alloc();
        struct rtnl_nexthop *hop = to && via && route ? rtnl_route_nh_alloc() : NULL;
        char text[IP_TEXT_MAX];
        int r;

        if (!hop)
                return fault_oom(f);
        rtnl_route_set_family(route, (uint8_t) network->family);
        rtnl_route_set_priority(route, metric);
        rtnl_route_nh_set_ifindex(hop, index);
        rtnl_route_nh_set_gateway(hop, via);
        rtnl_route_add_nexthop(route, hop);
        r = rtnl_route_set_dst(route, to);
        if (r >= 0)
                r = rtnl_route_add(l->socket, route, NLM_F_CREATE);
        return r < 0 && errno_of(r) != -EEXIST ? links_fault(f, r, "can't make the route to", ip_to_text(network, text)) : 0;
}

unsigned links_prefix_of(Links *l, int index, const IpAddress *a) {
        _cleanup_(nl_cache_freep) struct nl_cache *cache = NULL;

        if (rtnl_addr_alloc_cache(l->socket, &cache) < 0)
                return ip_bits(a->family);
        for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
                struct rtnl_addr *addr = (struct rtnl_addr *) o;
                IpAddress ours = read_address(rtnl_addr_get_local(addr));
                unsigned prefix = (unsigned) rtnl_addr_get_prefixlen(addr);

                if (rtnl_addr_get_ifindex(addr) == index && ip_is_set(&ours) && ip_is_in(a, &ours, prefix))
                        return prefix;
        }
        return ip_bits(a->family);
}

static int first_link(struct rtnl_route *route) {
        struct rtnl_nexthop *hop = rtnl_route_get_nnexthops(route) > 0 ? rtnl_route_nexthop_n(route, 0) : NULL;

        return hop ? rtnl_route_nh_get_ifindex(hop) : 0;
}

int links_default(Links *l, int family, char *ret) {
        _cleanup_(nl_cache_freep) struct nl_cache *cache = NULL;
        uint32_t best = UINT32_MAX;
        int index = 0, r;

        r = rtnl_route_alloc_cache(l->socket, family, 0, &cache);
        if (r < 0)
                return errno_of(r);
        for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
                struct rtnl_route *route = (struct rtnl_route *) o;
                struct nl_addr *to = rtnl_route_get_dst(route);

                if ((to && nl_addr_get_prefixlen(to) > 0) || rtnl_route_get_type(route) != RTN_UNICAST || rtnl_route_get_table(route) != RT_TABLE_MAIN ||
                    first_link(route) == 0 || (index > 0 && rtnl_route_get_priority(route) >= best))
                        continue;
                index = first_link(route);
                best = rtnl_route_get_priority(route);
        }
        return index > 0 && if_indextoname((unsigned) index, ret) ? 0 : -ENODEV;
}

/* --- clashes --- */

static int clash(Links *l, int index, const char *how, const IpAddress *theirs, unsigned their_prefix, const IpAddress *a, unsigned prefix,
                 Fault *f) {
        IpAddress network = ip_network(a, prefix);
        char ours_text[IP_TEXT_MAX], text[IP_TEXT_MAX], name[IF_NAMESIZE] = "?";

        (void) if_indextoname((unsigned) index, name);
        fault_set(f, FAULT_NETWORK, EADDRINUSE, "the network %s/%u is in use: %s has %s %s/%u", ip_to_text(&network, ours_text), prefix, name, how,
                  ip_to_text(theirs, text), their_prefix);
        fault_hint(f, "take another address, or leave it out to get a free one");
        return -EADDRINUSE;
}

static int check_addresses(Links *l, const IpAddress *a, unsigned prefix, int except, Fault *f) {
        _cleanup_(nl_cache_freep) struct nl_cache *cache = NULL;
        int r;

        r = rtnl_addr_alloc_cache(l->socket, &cache);
        if (r < 0)
                return links_fault(f, r, "addresses can't be", "listed");
        for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
                struct rtnl_addr *addr = (struct rtnl_addr *) o;
                IpAddress theirs = read_address(rtnl_addr_get_local(addr));
                unsigned their_prefix = (unsigned) rtnl_addr_get_prefixlen(addr);

                if (ip_is_set(&theirs) && rtnl_addr_get_ifindex(addr) != except && ip_overlap(a, prefix, &theirs, their_prefix))
                        return clash(l, rtnl_addr_get_ifindex(addr), "the address", &theirs, their_prefix, a, prefix, f);
        }
        return 0;
}

/* The default route, and what is as wide, meets everything. */
static int check_routes(Links *l, const IpAddress *a, unsigned prefix, int except, Fault *f) {
        _cleanup_(nl_cache_freep) struct nl_cache *cache = NULL;
        int r;

        r = rtnl_route_alloc_cache(l->socket, a->family, 0, &cache);
        if (r < 0)
                return links_fault(f, r, "routes can't be", "listed");
        for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
                struct rtnl_route *route = (struct rtnl_route *) o;
                struct nl_addr *to = rtnl_route_get_dst(route);
                IpAddress theirs = read_address(to);
                unsigned their_prefix = to ? nl_addr_get_prefixlen(to) : 0;
                int index = first_link(route);

                if (!ip_is_set(&theirs) || their_prefix < 8 || rtnl_route_get_type(route) != RTN_UNICAST || index == except || index == 0)
                        continue;
                if (ip_overlap(a, prefix, &theirs, their_prefix))
                        return clash(l, index, "a route to", &theirs, their_prefix, a, prefix, f);
        }
        return 0;
}

int links_check_free(Links *l, const IpAddress *a, unsigned prefix, int except, Fault *f) {
        int r;

        assert(l && a);

        r = check_addresses(l, a, prefix, except, f);
        return r < 0 ? r : check_routes(l, a, prefix, except, f);
}

/* --- the kernel's settings --- */

int sysctl_set(const char *name, const char *value) {
        _cleanup_free_ char *path = strf("/proc/sys/net/%s", name);
        _cleanup_fd_ int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;

        if (fd < 0)
                return path ? -errno : -ENOMEM;
        return fd_write_all(fd, value, strlen(value));
}
