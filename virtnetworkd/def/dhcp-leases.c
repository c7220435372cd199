/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dhcp-leases.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"

#define SECOND_USEC UINT64_C(1000000)

/* A line is "EXPIRES HARDWARE ADDRESS NAME CLIENT-ID", with "*" for what is missing; after a line "duid OURS" HARDWARE is the IAID of a
 * DHCPv6 lease, whose CLIENT-ID is the guest's DUID. */
enum { FIELD_EXPIRES, FIELD_HARDWARE, FIELD_ADDRESS, FIELD_NAME, FIELD_CLIENT_ID, FIELDS };

static void grant_clear(DhcpGrant *g) {
        free(g->name);
        free(g->client_id);
}

void dhcp_grants_clear(DhcpGrants *g) {
        for (size_t i = 0; i < g->n; i++)
                grant_clear(&g->items[i]);
        free(g->items);
        *g = (DhcpGrants) {};
}

/* Bytes in hexadecimal, two digits each, with colons between them; how many, -EINVAL. */
static int count_hex(const char *s) {
        int n = 0;

        for (;; s += 3) {
                if (!isxdigit((unsigned char) s[0]) || !isxdigit((unsigned char) s[1]))
                        return -EINVAL;
                n++;
                if (!s[2])
                        return n;
                if (s[2] != ':')
                        return -EINVAL;
        }
}

static bool is_host_name(const char *s) {
        size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

        return n > 0 && n <= DHCP_NAME_MAX && !s[n];
}

/* DUIDs made of an Ethernet address hold it after their type, and one kind a time before that (RFC 8415, 11.2 and 11.4). */
static const char *mac_in_duid(const char *duid) {
        if (str_after(duid, "00:01:00:01:") && count_hex(duid) == 14)
                return duid + 3 * 8;
        if (str_after(duid, "00:03:00:01:") && count_hex(duid) == 10)
                return duid + 3 * 4;
        return NULL;
}

static int parse_fields(char *const fields[static FIELDS], DhcpGrant *ret) {
        const char *id = fields[FIELD_CLIENT_ID], *mac = fields[FIELD_HARDWARE];
        uint64_t expires;
        int r;

        r = ip_from_text(fields[FIELD_ADDRESS], &ret->address);
        if (r < 0)
                return r;
        if (parse_u64(fields[FIELD_EXPIRES], 10, &expires) < 0 || expires > UINT64_MAX / SECOND_USEC)
                return -EINVAL;
        ret->expires_usec = expires * SECOND_USEC;
        if (count_hex(id) < 0)
                id = NULL;
        if (ret->address.family == AF_INET6)
                mac = id ? mac_in_duid(id) : NULL;
        else if (count_hex(mac) != 6)
                return -EINVAL;
        if (mac)
                memcpy(ret->mac, mac, DHCP_MAC_TEXT_MAX - 1);
        if (is_host_name(fields[FIELD_NAME]) && free_and_strdup(&ret->name, fields[FIELD_NAME]) < 0)
                return -ENOMEM;
        return free_and_strdup(&ret->client_id, id);
}

static int parse_line(char *line, DhcpGrants *g) {
        char *fields[FIELDS], *state = NULL;
        DhcpGrant grant = {};
        int r;

        for (size_t i = 0; i < FIELDS; i++) {
                fields[i] = strtok_r(i == 0 ? line : NULL, " ", &state);
                if (!fields[i])
                        return 0;
        }
        r = parse_fields(fields, &grant);
        if (r >= 0 && !GROW(g->items, g->allocated, g->n + 1))
                r = -ENOMEM;
        if (r < 0) {
                grant_clear(&grant);
                return r == -ENOMEM ? r : 0;
        }
        g->items[g->n++] = grant;
        return 0;
}

static int compare(const void *a, const void *b) {
        return ip_compare(&((const DhcpGrant *) a)->address, &((const DhcpGrant *) b)->address);
}

/* dnsmasq has one line for an address; of several one counts. */
static void remove_doubles(DhcpGrants *g) {
        size_t n = 0;

        for (size_t i = 0; i < g->n; i++) {
                if (i + 1 < g->n && ip_equal(&g->items[i].address, &g->items[i + 1].address))
                        grant_clear(&g->items[i]);
                else
                        g->items[n++] = g->items[i];
        }
        g->n = n;
}

int dhcp_grants_parse(const char *text, size_t length, DhcpGrants *ret) {
        _cleanup_free_ char *copy = NULL;
        char *state = NULL;
        int r = 0;

        assert(text && ret);

        *ret = (DhcpGrants) {};
        copy = strndup(text, length);
        if (!copy)
                return -ENOMEM;
        for (char *line = strtok_r(copy, "\n", &state); line && r >= 0 && ret->n < DHCP_LEASES_MAX; line = strtok_r(NULL, "\n", &state))
                r = parse_line(line, ret);
        if (r < 0) {
                dhcp_grants_clear(ret);
                return r;
        }
        if (ret->n > 0)
                qsort(ret->items, ret->n, sizeof(*ret->items), compare);
        remove_doubles(ret);
        return 0;
}

bool dhcp_grant_is_same(const DhcpGrant *a, const DhcpGrant *b) {
        return ip_equal(&a->address, &b->address) && streq(a->mac, b->mac) && streq_null(a->name, b->name) && streq_null(a->client_id, b->client_id);
}
