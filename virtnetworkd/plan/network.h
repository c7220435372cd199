/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/network-def.h"
#include "fault.h"

/* Pure functions: text -> NetworkDef -> completed and checked NetworkDef -> text, firewall rules, files of dnsmasq. */

/* What the daemon chooses where the writer is silent. */
typedef struct NetworkDefaults {
        const char *bridge;          /* a name no link has */
        IpAddress ipv4, ipv6;        /* addresses of the host in prefixes nobody uses */
        unsigned ipv4_prefix, ipv6_prefix;
} NetworkDefaults;

/* Syntax, known names, and rules within one element only. */
int network_parse(const char *text, size_t length, NetworkDef **ret, Fault *f);
/* The document as it was written, brought up to date, or a new one where there is none. `xml_write_flags` as in xml-write.h. */
static inline int network_format(NetworkDef *def, unsigned xml_write_flags, char **ret, Fault *f) {
        return xml_definition_to_text(def, xml_write_flags, ret, f);
}
/* Without the document. */
static inline int network_copy(const NetworkDef *def, NetworkDef **ret) {
        return record_copy(&def->head, (void **) ret);
}

/* Completes: uuid, bridge, MAC address, prefixes, addresses that are left to us. Filling twice changes nothing. */
int network_fill(NetworkDef *def, const NetworkDefaults *defaults, Fault *f);
/* Rules across elements. */
int network_check(const NetworkDef *def, Fault *f);

/* Whether an active network can be changed from one to the other: nothing on its bridge may notice. FAULT_NOT_SUPPORTED. */
int network_can_become(const NetworkDef *now, const NetworkDef *next, Fault *f);

/* Parts of network_check(). */
int network_check_dhcp(const NetworkDef *def, const NetworkIp *ip, Fault *f);
int network_check_dns(const NetworkDef *def, Fault *f);

/* Whether dnsmasq has anything to do for it. */
bool network_needs_dnsmasq(const NetworkDef *def);

/* The files of a network's dnsmasq. */
typedef struct DnsmasqFiles {
        char *config;                /* read at its start */
        char *dhcp_hosts;            /* read again at SIGHUP, as is the next one */
        char *dns_hosts;
} DnsmasqFiles;
void dnsmasq_files_clear(DnsmasqFiles *d);

/* Where the files will be; all must stay the caller's. */
typedef struct DnsmasqPaths {
        const char *dhcp_hosts, *dns_hosts, *leases;
} DnsmasqPaths;
/* Of a completed definition. -ENOMEM. */
int network_dnsmasq(const NetworkDef *def, const DnsmasqPaths *paths, DnsmasqFiles *ret);
