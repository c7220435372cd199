/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netaddr.h"

#include <arpa/inet.h>
#include <string.h>

#include "str.h"

int ip_from_text(const char *text, IpAddress *ret) {
        IpAddress a = { .family = AF_INET };

        assert(text && ret);

        if (inet_pton(AF_INET, text, &a.v4) != 1) {
                a.family = AF_INET6;
                if (inet_pton(AF_INET6, text, &a.v6) != 1)
                        return -EINVAL;
        }
        *ret = a;
        return 0;
}

const char *ip_of_localhost(const char *text) {
        return streq(text, "localhost") ? "127.0.0.1" : text;
}

const char *ip_to_text(const IpAddress *a, char buffer[static IP_TEXT_MAX]) {
        if (!inet_ntop(a->family, a->bytes, buffer, IP_TEXT_MAX))
                buffer[0] = '\0';
        return buffer;
}

unsigned ip_bits(int family) {
        return family == AF_INET ? 32 : 128;
}

static size_t size_of(const IpAddress *a) {
        return ip_bits(a->family) / 8;
}

int ip_compare(const IpAddress *a, const IpAddress *b) {
        if (a->family != b->family)
                return a->family < b->family ? -1 : 1;
        return a->family == AF_UNSPEC ? 0 : memcmp(a->bytes, b->bytes, size_of(a));
}

/* Which bits of byte i belong to the network. */
static uint8_t mask_byte(unsigned prefix, size_t i) {
        unsigned bits = prefix > i * 8 ? prefix - (unsigned) i * 8 : 0;

        return bits >= 8 ? 0xff : (uint8_t) (0xff00 >> bits);
}

IpAddress ip_network(const IpAddress *a, unsigned prefix) {
        IpAddress n = *a;

        for (size_t i = 0; i < size_of(a); i++)
                n.bytes[i] &= mask_byte(prefix, i);
        return n;
}

IpAddress ip_broadcast(const IpAddress *a, unsigned prefix) {
        IpAddress n = *a;

        for (size_t i = 0; i < size_of(a); i++)
                n.bytes[i] |= (uint8_t) ~mask_byte(prefix, i);
        return n;
}

bool ip_is_in(const IpAddress *a, const IpAddress *network, unsigned prefix) {
        IpAddress x, y;

        if (a->family != network->family || a->family == AF_UNSPEC)
                return false;
        x = ip_network(a, prefix);
        y = ip_network(network, prefix);
        return ip_equal(&x, &y);
}

bool ip_overlap(const IpAddress *a, unsigned a_prefix, const IpAddress *b, unsigned b_prefix) {
        return ip_is_in(a, b, MIN(a_prefix, b_prefix));
}

IpAddress ip_add(const IpAddress *a, uint32_t n) {
        uint64_t carry = n;
        IpAddress sum = *a;

        for (size_t i = size_of(a); i-- > 0 && carry > 0; carry >>= 8) {
                carry += sum.bytes[i];
                sum.bytes[i] = (uint8_t) carry;
        }
        return sum;
}

uint32_t ip_range_size(const IpAddress *first, const IpAddress *last) {
        uint64_t n = 0;

        if (first->family != last->family || ip_compare(first, last) > 0)
                return 0;
        for (size_t i = 0; i < size_of(first); i++) {
                n = n * 256 + last->bytes[i] - first->bytes[i];
                if (n > UINT32_MAX && n < UINT64_MAX / 512)
                        return UINT32_MAX;
        }
        return n >= UINT32_MAX ? UINT32_MAX : (uint32_t) n + 1;
}

int ip_netmask_to_prefix(const IpAddress *mask) {
        unsigned prefix = 0;

        while (prefix < ip_bits(mask->family) && (mask->bytes[prefix / 8] & (0x80 >> (prefix % 8))))
                prefix++;
        for (size_t i = 0; i < size_of(mask); i++)
                if (mask->bytes[i] != mask_byte(prefix, i))
                        return -EINVAL;
        return (int) prefix;
}
