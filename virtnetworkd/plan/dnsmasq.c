/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network.h"

#include <inttypes.h>
#include <string.h>

#include "../mode/mode.h"
#include "str.h"

/* One host more must not be another configuration, for which dnsmasq would have to be restarted. */
#define LEASES_STEP 256u

/* Everything that comes from the definition was checked to be one word. */

void dnsmasq_files_clear(DnsmasqFiles *d) {
        free(d->config);
        free(d->dhcp_hosts);
        free(d->dns_hosts);
        *d = (DnsmasqFiles) {};
}

static const char *text_of(const IpAddress *a, char buffer[static IP_TEXT_MAX]) {
        return ip_to_text(a, buffer);
}

static bool has_dhcp(const NetworkIp *ip) {
        return ip->ranges.n > 0 || ip->hosts.n > 0;
}

bool network_needs_dnsmasq(const NetworkDef *def) {
        if (!mode_ops(network_kind(def))->own_bridge)
                return false;
        if (def->dnsmasq_options.n > 0)
                return true;
        RECORD_FOREACH(NetworkIp, ip, def->ips)
                if (has_dhcp(ip) || ip->tftp_root || ip->family == FAMILY_IPV6 || def->dns != NO)
                        return true;
        return false;
}

/* --- DNS --- */

static void add_forwarders(Text *t, const NetworkDef *def) {
        bool for_all = false;
        char text[IP_TEXT_MAX];

        RECORD_FOREACH(DnsForwarder, w, def->forwarders) {
                text_add(t, "server=");
                if (w->domain)
                        text_addf(t, "/%s/", w->domain);
                text_addf(t, "%s\n", ip_is_set(&w->address) ? text_of(&w->address, text) : "#");
                for_all = for_all || !w->domain;
        }
        if (for_all)
                text_add(t, "no-resolv\n");
}

static void add_records(Text *t, const NetworkDef *def) {
        RECORD_FOREACH(DnsTxt, x, def->dns_txts)
                text_addf(t, "txt-record=%s%s%s%s\n", x->name, x->value ? ",\"" : "", x->value ?: "", x->value ? "\"" : "");
        RECORD_FOREACH(DnsSrv, s, def->dns_srvs) {
                const char *domain = s->domain ?: def->domain;

                text_addf(t, "srv-host=_%s._%s%s%s", s->service, s->protocol, domain ? "." : "", domain ?: "");
                if (s->target && !streq(s->target, "."))
                        text_addf(t, ",%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64, s->target, s->port == NUMBER_UNSET ? 1 : s->port,
                                  s->priority == NUMBER_UNSET ? 0 : s->priority, s->weight == NUMBER_UNSET ? 0 : s->weight);
                text_add(t, "\n");
        }
}

static void add_dns(Text *t, const NetworkDef *def, const DnsmasqPaths *paths) {
        if (def->dns == NO) {
                text_add(t, "port=0\n");
                return;
        }
        if (def->dns_plain != YES)
                text_add(t, "domain-needed\n"); /* names without a dot are ours to know */
        add_forwarders(t, def);
        if (def->domain)
                text_addf(t, "domain=%s\nexpand-hosts\n", def->domain);
        if (def->domain && def->domain_local == YES)
                text_addf(t, "local=/%s/\n", def->domain);
        text_addf(t, "no-hosts\naddn-hosts=%s\n", paths->dns_hosts);
        add_records(t, def);
}

/* --- DHCP --- */

static void add_lease_time(Text *t, const DhcpLease *l) {
        if (l->expiry == NUMBER_UNSET)
                return;
        if (l->expiry == 0)
                text_add(t, ",infinite");
        else
                text_addf(t, ",%" PRIu64 "%s", l->expiry, l->unit == LEASE_SECONDS ? "" : l->unit == LEASE_HOURS ? "h" : "m");
}

static void add_netmask(Text *t, const NetworkIp *ip) {
        IpAddress ones = { .family = AF_INET, .bytes = { 0xff, 0xff, 0xff, 0xff } }, mask = ip_network(&ones, network_prefix(ip));
        char text[IP_TEXT_MAX];

        if (ip->address.family == AF_INET)
                text_addf(t, ",%s", text_of(&mask, text));
        else
                text_addf(t, ",%u", network_prefix(ip));
}

static uint64_t add_ranges(Text *t, const NetworkIp *ip) {
        char start[IP_TEXT_MAX], end[IP_TEXT_MAX];
        uint64_t n = 0;

        RECORD_FOREACH(DhcpRange, g, ip->ranges) {
                text_addf(t, "dhcp-range=%s,%s", text_of(&g->start, start), text_of(&g->end, end));
                add_netmask(t, ip);
                add_lease_time(t, &g->lease);
                text_add(t, "\n");
                n += ip_range_size(&g->start, &g->end);
        }
        /* Only hosts that are known get an address. */
        if (ip->ranges.n == 0 && ip->hosts.n > 0) {
                text_addf(t, "dhcp-range=%s,static", text_of(&ip->address, start));
                add_netmask(t, ip);
                text_add(t, "\n");
        }
        return n + ip->hosts.n;
}

/* Guests find the prefix by router advertisements, with DHCPv6 beside them or without. */
static void add_advertisements(Text *t, const NetworkDef *def, const NetworkIp *ip) {
        char text[IP_TEXT_MAX];

        if (has_dhcp(ip))
                text_add(t, "enable-ra\n");
        else
                text_addf(t, "enable-ra\ndhcp-range=%s,ra-only\n", text_of(&ip->address, text));
        /* Lifetime 0: no way out. */
        if (network_kind(def) == NETWORK_ISOLATED)
                text_addf(t, "ra-param=%s,0,0\n", def->bridge);
}

static void add_ip(Text *t, const NetworkDef *def, const NetworkIp *ip, uint64_t *leases) {
        *leases += add_ranges(t, ip);
        if (ip->family == FAMILY_IPV6) {
                add_advertisements(t, def, ip);
                return;
        }
        if (has_dhcp(ip) && network_kind(def) == NETWORK_ISOLATED)
                text_add(t, "dhcp-option=3\n"); /* no router */
        if (has_dhcp(ip) && def->dns == NO)
                text_add(t, "dhcp-option=6\n"); /* no name server */
        if (ip->tftp_root)
                text_addf(t, "enable-tftp\ntftp-root=%s\n", ip->tftp_root);
        if (ip->bootp_file)
                text_addf(t, "dhcp-boot=%s%s%s\n", ip->bootp_file, ip->bootp_server ? ",," : "", ip->bootp_server ?: "");
        if (ip->local_ptr == YES && def->domain) {
                IpAddress network = ip_network(&ip->address, network_prefix(ip));
                char text[IP_TEXT_MAX];

                text_addf(t, "domain=%s,%s/%u,local\n", def->domain, text_of(&network, text), network_prefix(ip));
        }
}

static char *make_config(const NetworkDef *def, const DnsmasqPaths *paths) {
        _cleanup_text_ Text t = TEXT_INIT;
        uint64_t leases = 0;

        text_addf(&t, "# Made by virtnetworkd for the network %s; changes are lost.\n", def->name);
        text_addf(&t, "strict-order\nexcept-interface=lo\nbind-dynamic\ninterface=%s\n", def->bridge);
        add_dns(&t, def, paths);
        RECORD_FOREACH(NetworkIp, ip, def->ips)
                add_ip(&t, def, ip, &leases);
        if (leases > 0) {
                text_addf(&t, "dhcp-no-override\ndhcp-authoritative\ndhcp-ignore-clid\ndhcp-lease-max=%" PRIu64 "\n",
                          (leases + LEASES_STEP - 1) / LEASES_STEP * LEASES_STEP);
                text_addf(&t, "dhcp-hostsfile=%s\ndhcp-leasefile=%s\n", paths->dhcp_hosts, paths->leases);
        }
        if (def->mtu != NUMBER_UNSET && leases > 0)
                text_addf(&t, "dhcp-option=option:mtu,%" PRIu64 "\n", def->mtu);
        RECORD_FOREACH(DnsmasqOption, o, def->dnsmasq_options)
                text_addf(&t, "%s\n", o->value);
        return text_finish(&t);
}

/* --- the files that change while it runs --- */

static void add_dhcp_host(Text *t, const DhcpHost *h) {
        _cleanup_free_ char *mac = h->mac.set ? field_mac.to_text(NULL, &h->mac) : NULL;
        const char *comma = "";
        char text[IP_TEXT_MAX];

        if (mac) {
                text_add(t, mac);
                comma = ",";
        }
        if (h->id) {
                text_addf(t, "id:%s", h->id);
                comma = ",";
        }
        if (h->name) {
                text_addf(t, "%s%s", comma, h->name);
                comma = ",";
        }
        if (ip_is_set(&h->ip))
                text_addf(t, h->ip.family == AF_INET6 ? "%s[%s]" : "%s%s", comma, text_of(&h->ip, text));
        add_lease_time(t, &h->lease);
        text_add(t, "\n");
}

static char *make_dhcp_hosts(const NetworkDef *def) {
        _cleanup_text_ Text t = TEXT_INIT;

        text_add(&t, "");
        RECORD_FOREACH(NetworkIp, ip, def->ips)
                RECORD_FOREACH(DhcpHost, h, ip->hosts)
                        add_dhcp_host(&t, h);
        return text_finish(&t);
}

static char *make_dns_hosts(const NetworkDef *def) {
        _cleanup_text_ Text t = TEXT_INIT;
        char text[IP_TEXT_MAX];

        text_add(&t, "");
        RECORD_FOREACH(DnsHost, h, def->dns_hosts) {
                text_add(&t, text_of(&h->ip, text));
                RECORD_FOREACH(DnsHostname, n, h->names)
                        text_addf(&t, " %s", n->name);
                text_add(&t, "\n");
        }
        return text_finish(&t);
}

int network_dnsmasq(const NetworkDef *def, const DnsmasqPaths *paths, DnsmasqFiles *ret) {
        DnsmasqFiles d;

        assert(def && def->bridge && paths && ret);

        d = (DnsmasqFiles) { make_config(def, paths), make_dhcp_hosts(def), make_dns_hosts(def) };
        if (!d.config || !d.dhcp_hosts || !d.dns_hosts) {
                dnsmasq_files_clear(&d);
                return -ENOMEM;
        }
        *ret = d;
        return 0;
}
