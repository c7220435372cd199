/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network.h"

#include <inttypes.h>
#include <string.h>

#include "mem.h"
#include "str.h"
#include "xml-read.h"

#define bad(record, f, ...) xml_fault(&(record)->head, (f), FAULT_INVALID_DEFINITION, __VA_ARGS__)

/* --- ranges --- */

static uint64_t seconds_of(const DhcpLease *l) {
        return l->expiry * (l->unit == LEASE_SECONDS ? 1 : l->unit == LEASE_HOURS ? 3600 : 60);
}

static int check_lease(const Record *where, const DhcpLease *l, Fault *f) {
        if (l->expiry == NUMBER_UNSET && l->unit != LEASE_UNIT_NONE)
                return xml_fault_below(where, "lease", f, FAULT_INVALID_DEFINITION, "a unit without an expiry");
        if (l->expiry != NUMBER_UNSET && l->expiry != 0 && seconds_of(l) < 120)
                return xml_fault_below(where, "lease", f, FAULT_INVALID_DEFINITION, "an expiry of less than two minutes would keep guests busy asking");
        return 0;
}

static int check_inside(const NetworkIp *ip, const Record *where, const IpAddress *a, const char *what, Fault *f) {
        char address[IP_TEXT_MAX], own[IP_TEXT_MAX];
        unsigned prefix = network_prefix(ip);
        IpAddress first = ip_network(&ip->address, prefix), last = ip_broadcast(&ip->address, prefix);

        (void) ip_to_text(a, address);
        if (!ip_is_in(a, &ip->address, prefix))
                return xml_fault(where, f, FAULT_INVALID_DEFINITION, "the %s %s is outside the network %s/%u", what, address,
                                 ip_to_text(&first, own), prefix);
        if (a->family == AF_INET && prefix < 31 && (ip_equal(a, &first) || ip_equal(a, &last)))
                return xml_fault(where, f, FAULT_INVALID_DEFINITION, "the %s %s is the %s address of the network", what, address,
                                 ip_equal(a, &first) ? "first" : "broadcast");
        return 0;
}

static int check_range(const NetworkIp *ip, const DhcpRange *g, size_t i, Fault *f) {
        int r;

        r = check_inside(ip, &g->head, &g->start, "start", f);
        if (r >= 0)
                r = check_inside(ip, &g->head, &g->end, "end", f);
        if (r >= 0)
                r = check_lease(&g->head, &g->lease, f);
        if (r < 0)
                return r;
        if (ip_compare(&g->start, &g->end) > 0)
                return bad(g, f, "the range ends before it starts");
        for (size_t k = 0; k < i; k++) {
                const DhcpRange *other = (const DhcpRange *) ip->ranges.items[k];

                if (ip_compare(&g->start, &other->end) <= 0 && ip_compare(&other->start, &g->end) <= 0)
                        return bad(g, f, "the range overlaps with the one in line %u", other->head.line);
        }
        return 0;
}

/* --- hosts --- */

static int check_host(const NetworkIp *ip, const DhcpHost *h, Fault *f) {
        bool six = ip->family == FAMILY_IPV6;
        char text[IP_TEXT_MAX];
        int r;

        if (six && h->mac.set)
                return bad(h, f, "a DHCPv6 client has no MAC address: give its id or name");
        if (!six && h->id)
                return bad(h, f, "an id is a DHCPv6 client's: give a mac or name");
        if (!six && !h->mac.set && !h->name)
                return bad(h, f, "a mac or a name is needed to know the host by");
        if (six && !h->id && !h->name)
                return bad(h, f, "an id or a name is needed to know the host by");
        if (!ip_is_set(&h->ip) && !h->name)
                return bad(h, f, "an ip or a name is needed: what is it to get?");
        if (h->mac.set && (h->mac.octets[0] & 1))
                return bad(h, f, "the MAC address is a multicast one; its first octet must be even");
        if (h->name && !network_is_dns_name(h->name))
                return bad(h, f, "\"%s\" is no DNS name", h->name);
        if (h->id && h->id[strspn(h->id, "0123456789abcdefABCDEF:")])
                return bad(h, f, "the id is a DUID: hexadecimal bytes with colons");
        r = ip_is_set(&h->ip) ? check_inside(ip, &h->head, &h->ip, "address", f) : 0;
        if (r >= 0 && ip_is_set(&h->ip) && ip_equal(&h->ip, &ip->address))
                r = bad(h, f, "the address %s is the network's own", ip_to_text(&h->ip, text));
        return r < 0 ? r : check_lease(&h->head, &h->lease, f);
}

/* What two hosts must not have in common; both have it, if the answer is 0. */
static int by_mac(const DhcpHost *a, const DhcpHost *b) {
        return a->mac.set != b->mac.set ? a->mac.set - b->mac.set : memcmp(a->mac.octets, b->mac.octets, sizeof(a->mac.octets));
}

static int by_ip(const DhcpHost *a, const DhcpHost *b) {
        return ip_compare(&a->ip, &b->ip);
}

static int by_name(const DhcpHost *a, const DhcpHost *b) {
        return strcasecmp(a->name ?: "", b->name ?: "");
}

typedef struct Unique {
        const char *what;
        int (*compare)(const DhcpHost *a, const DhcpHost *b);
        bool (*has)(const DhcpHost *h);
} Unique;

static bool has_mac(const DhcpHost *h) {
        return h->mac.set;
}

static bool has_ip(const DhcpHost *h) {
        return ip_is_set(&h->ip);
}

static bool has_name(const DhcpHost *h) {
        return h->name;
}

/* Of equals the first in the document comes first. */
static int compare_hosts(const void *a, const void *b, void *unique) {
        const DhcpHost *x = *(const DhcpHost *const *) a, *y = *(const DhcpHost *const *) b;
        int r = ((const Unique *) unique)->compare(x, y);

        return r != 0 ? r : x->head.line < y->head.line ? -1 : x->head.line > y->head.line;
}

static int check_unique(const NetworkIp *ip, const Unique *u, Fault *f) {
        _cleanup_free_ const DhcpHost **sorted = new0(const DhcpHost *, ip->hosts.n);
        size_t n = 0;

        if (!sorted)
                return fault_oom(f);
        RECORD_FOREACH(DhcpHost, h, ip->hosts)
                if (u->has(h))
                        sorted[n++] = h;
        qsort_r(sorted, n, sizeof(*sorted), compare_hosts, (void *) u);
        for (size_t i = 1; i < n; i++)
                if (u->compare(sorted[i - 1], sorted[i]) == 0)
                        return bad(sorted[i], f, "its %s is already that of the host in line %u", u->what, sorted[i - 1]->head.line);
        return 0;
}

/* --- all --- */

/* They end up in a line of dnsmasq's configuration. */
static int check_word(const NetworkIp *ip, const char *what, const char *word, Fault *f) {
        if (!word || (*word && !word[strcspn(word, ",\"\\\n\t ")]))
                return 0;
        return xml_fault_below(&ip->head, what, f, FAULT_INVALID_DEFINITION, "\"%s\" has blanks, commas, quotes or backslashes", word);
}

int network_check_dhcp(const NetworkDef *def, const NetworkIp *ip, Fault *f) {
        static const Unique uniques[] = {
                { "MAC address", by_mac, has_mac }, { "IP address", by_ip, has_ip }, { "name", by_name, has_name },
        };
        int r = 0;

        for (size_t i = 0; i < ip->ranges.n && r >= 0; i++)
                r = check_range(ip, (const DhcpRange *) ip->ranges.items[i], i, f);
        for (size_t i = 0; i < ip->hosts.n && r >= 0; i++)
                r = check_host(ip, (const DhcpHost *) ip->hosts.items[i], f);
        for (size_t i = 0; i < ARRAY_SIZE(uniques) && r >= 0; i++)
                r = check_unique(ip, &uniques[i], f);
        if (r >= 0)
                r = check_word(ip, "dhcp/bootp/@file", ip->bootp_file, f);
        if (r >= 0)
                r = check_word(ip, "dhcp/bootp/@server", ip->bootp_server, f);
        if (r >= 0)
                r = check_word(ip, "tftp/@root", ip->tftp_root, f);
        if (r >= 0 && ip->tftp_root && ip->tftp_root[0] != '/')
                r = xml_fault_below(&ip->head, "tftp/@root", f, FAULT_INVALID_DEFINITION, "\"%s\" is no absolute path", ip->tftp_root);
        if (r >= 0 && ip->family == FAMILY_IPV6 && (ip->tftp_root || ip->bootp_file || ip->bootp_server))
                r = xml_fault(&ip->head, f, FAULT_NOT_SUPPORTED, "tftp and bootp are IPv4's");
        if (r >= 0 && ip->family == FAMILY_IPV6 && (ip->ranges.n > 0 || ip->hosts.n > 0) && network_prefix(ip) != 64)
                r = xml_fault(&ip->head, f, FAULT_NOT_SUPPORTED, "DHCPv6 needs a prefix of 64, not %u", network_prefix(ip));
        return r;
}
