/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network.h"

#include "mem.h"

/* Takes out what dnsmasq alone is told, what ports get when they are made, and what is for people. */
static void strip(NetworkDef *def) {
        RecordList *const lists[] = { &def->forwarders, &def->dns_hosts, &def->dns_txts, &def->dns_srvs, &def->port_groups, &def->port_forwards,
                                      &def->dnsmasq_options };

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                record_list_clear(lists[i]);
        free_and_replace(&def->title, NULL);
        free_and_replace(&def->description, NULL);
        free_and_replace(&def->domain, NULL);
        field_xml.clear(&def->metadata);
        def->domain_local = def->dns_plain = def->dns = 0;
        for (size_t i = 0; i < def->ips.n; i++) {
                NetworkIp *ip = (NetworkIp *) def->ips.items[i];

                record_list_clear(&ip->ranges);
                record_list_clear(&ip->hosts);
                free_and_replace(&ip->tftp_root, NULL);
                free_and_replace(&ip->bootp_file, NULL);
                free_and_replace(&ip->bootp_server, NULL);
                ip->local_ptr = 0;
                ip->dhcp = false;
        }
}

static int copy_rest(const NetworkDef *def, NetworkDef **ret) {
        int r = network_copy(def, ret);

        if (r >= 0)
                strip(*ret);
        return r;
}

int network_can_become(const NetworkDef *now, const NetworkDef *next, Fault *f) {
        _cleanup_(network_def_freep) NetworkDef *a = NULL, *b = NULL;

        assert(now && next);

        if (copy_rest(now, &a) < 0 || copy_rest(next, &b) < 0)
                return fault_oom(f);
        if (record_equal(&a->head, &b->head) && network_kind(now) == network_kind(next) && network_needs_dnsmasq(now) == network_needs_dnsmasq(next))
                return 0;
        fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "of a network that is active only DHCP, DNS, port forwards and portgroups can be changed");
        fault_hint(f, "change the definition only (flag 2), and stop and start the network");
        return -EOPNOTSUPP;
}
