/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netinet/in.h>

#include "macro.h"

/* IP addresses of either family. */
typedef struct IpAddress {
        int family;              /* AF_INET, AF_INET6; AF_UNSPEC: none */
        union {
                struct in_addr v4;
                struct in6_addr v6;
                uint8_t bytes[16];
        };
} IpAddress;

#define IP_TEXT_MAX INET6_ADDRSTRLEN

/* -EINVAL. Only the usual forms: four decimal numbers, or RFC 4291 without a zone. */
int ip_from_text(const char *text, IpAddress *ret);
/* The address that "localhost" stands for where names are not looked up; any other text is given back. */
const char *ip_of_localhost(const char *text);
/* Into the buffer, which it returns. */
const char *ip_to_text(const IpAddress *a, char buffer[static IP_TEXT_MAX]);

static inline bool ip_is_set(const IpAddress *a) {
        return a->family != AF_UNSPEC;
}

/* Bits of an address of that family. */
unsigned ip_bits(int family);
/* First by family, then as numbers. */
int ip_compare(const IpAddress *a, const IpAddress *b);
static inline bool ip_equal(const IpAddress *a, const IpAddress *b) {
        return ip_compare(a, b) == 0;
}
/* The first and the last address of the network that `a` is in. */
IpAddress ip_network(const IpAddress *a, unsigned prefix);
IpAddress ip_broadcast(const IpAddress *a, unsigned prefix);
bool ip_is_in(const IpAddress *a, const IpAddress *network, unsigned prefix);
/* Whether the two networks have addresses in common. */
bool ip_overlap(const IpAddress *a, unsigned a_prefix, const IpAddress *b, unsigned b_prefix);
/* The address `n` further on; wraps within the family. */
IpAddress ip_add(const IpAddress *a, uint32_t n);
/* How many addresses from one to the other, both included; at most UINT32_MAX. 0: none, or of different families. */
uint32_t ip_range_size(const IpAddress *first, const IpAddress *last);
/* 255.255.255.0 is 24; -EINVAL for holes. */
int ip_netmask_to_prefix(const IpAddress *mask);
