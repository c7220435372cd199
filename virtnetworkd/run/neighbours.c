/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "neighbours.h"

#include <linux/neighbour.h>
#include <netlink/cache.h>
#include <netlink/route/neighbour.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/epoll.h>

#include "log.h"
#include "mem.h"

struct Neighbours {
        struct nl_cache_mngr *manager;
        struct nl_cache *cache;      /* the manager's */
        sd_event_source *source;
        NeighboursChanged changed;
        void *userdata;
};

#define STATES_GOOD (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT)

/* Of an entry that says who is behind an address; the bridges' tables of ports are in the same cache. */
static bool read_entry(struct rtnl_neigh *e, MacAddress *ret_mac, IpAddress *ret_address) {
        struct nl_addr *mac = rtnl_neigh_get_lladdr(e), *address = rtnl_neigh_get_dst(e);
        int family = rtnl_neigh_get_family(e), state = rtnl_neigh_get_state(e);

        if ((family != AF_INET && family != AF_INET6) || !mac || !address || nl_addr_get_len(mac) != sizeof(ret_mac->octets) ||
            nl_addr_get_len(address) != ip_bits(family) / 8 || state < 0 || !(state & STATES_GOOD))
                return false;
        *ret_mac = (MacAddress) { .set = true };
        memcpy(ret_mac->octets, nl_addr_get_binary_addr(mac), sizeof(ret_mac->octets));
        *ret_address = (IpAddress) { .family = family };
        memcpy(ret_address->bytes, nl_addr_get_binary_addr(address), nl_addr_get_len(address));
        return family == AF_INET || !IN6_IS_ADDR_LINKLOCAL(&ret_address->v6);
}

static bool has_same_mac(struct rtnl_neigh *a, struct rtnl_neigh *b) {
        struct nl_addr *x = rtnl_neigh_get_lladdr(a), *y = rtnl_neigh_get_lladdr(b);

        return x && y && nl_addr_cmp(x, y) == 0;
}

static void tell(const Neighbours *n, struct rtnl_neigh *e) {
        IpAddress address;
        MacAddress mac;

        if (e && read_entry(e, &mac, &address))
                n->changed(&mac, n->userdata);
}

static bool is_good(struct rtnl_neigh *e) {
        IpAddress address;
        MacAddress mac;

        return e && read_entry(e, &mac, &address);
}

/* Entries go from reachable to stale and back all the time: nothing has changed then. */
static void on_change(struct nl_cache *cache, struct nl_object *before, struct nl_object *now, uint64_t difference, int action, void *userdata) {
        struct rtnl_neigh *a = (struct rtnl_neigh *) before, *b = (struct rtnl_neigh *) now;

        if (action == NL_ACT_CHANGE && is_good(a) == is_good(b) && (!is_good(a) || has_same_mac(a, b)))
                return;
        tell(userdata, a);
        if (!a || !b || !is_good(a) || !has_same_mac(a, b))
                tell(userdata, b);
}

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Neighbours *n = userdata;
        int r = nl_cache_mngr_data_ready(n->manager);

        if (r < 0)
                log_warning("addresses of guests may be missed: %s", nl_geterror(r));
        return 0;
}

Neighbours *neighbours_free(Neighbours *n) {
        if (!n)
                return NULL;
        sd_event_source_disable_unref(n->source);
        if (n->manager)
                nl_cache_mngr_free(n->manager);
        free(n);
        return NULL;
}

int neighbours_new(sd_event *event, NeighboursChanged changed, void *userdata, Neighbours **ret, Fault *f) {
        _cleanup_(neighbours_freep) Neighbours *n = new0(Neighbours, 1);
        int r;

        assert(event && changed && ret);

        if (!n)
                return fault_oom(f);
        n->changed = changed;
        n->userdata = userdata;
        r = nl_cache_mngr_alloc(NULL, NETLINK_ROUTE, NL_AUTO_PROVIDE, &n->manager);
        if (r >= 0) {
                r = rtnl_neigh_alloc_cache(NULL, &n->cache);
                if (r >= 0)
                        r = nl_cache_mngr_add_cache_v2(n->manager, n->cache, on_change, n);
        }
        if (r < 0)
                return fault_set(f, FAULT_NETWORK, EIO, "the kernel's table of neighbours can't be watched: %s", nl_geterror(r));
        r = sd_event_add_io(event, &n->source, nl_cache_mngr_get_fd(n->manager), EPOLLIN, on_ready, n);
        if (r < 0)
                return fault_set(f, FAULT_NETWORK, -r, "the kernel's table of neighbours can't be watched: %s", strerror(-r));
        *ret = TAKE_PTR(n);
        return 0;
}

int neighbours_of(const Neighbours *n, const MacAddress *mac, int (*found)(const IpAddress *a, int ifindex, void *userdata), void *userdata) {
        for (struct nl_object *o = nl_cache_get_first(n->cache); o; o = nl_cache_get_next(o)) {
                struct rtnl_neigh *e = (struct rtnl_neigh *) o;
                IpAddress address;
                MacAddress its;
                int r;

                if (!read_entry(e, &its, &address) || memcmp(its.octets, mac->octets, sizeof(its.octets)) != 0)
                        continue;
                r = found(&address, rtnl_neigh_get_ifindex(e), userdata);
                if (r < 0)
                        return r;
        }
        return 0;
}
