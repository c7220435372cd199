/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "user-address.h"

#include <inttypes.h>

#include "str.h"
#include "virtio.h"
#include "xml-read.h"

#define GUEST_NUMBER 15u
#define HOST_NUMBER 2u

static const char *const family_words[] = { NULL, "ipv4", "ipv6" };
static const EnumTable family_table = { family_words, ARRAY_SIZE(family_words) };

#define AT(member) offsetof(UserAddress, member)
static const Field address_fields[] = {
        { "@address", &field_string, AT(address), FIELD_REQUIRED, .max_length = IP_TEXT_MAX },
        { "@family", &field_enum, AT(family), .words = &family_table },
        { "@prefix", &field_number, AT(prefix), .min = 1, .max = 126 },
};
#undef AT

typedef struct Place {
        IpAddress address, network;
        unsigned prefix;
        bool whole;              /* it is the network's */
} Place;

static int find_place(const UserAddress *a, Place *ret) {
        Place p = {};

        if (ip_from_text(a->address, &p.address) < 0)
                return -EINVAL;
        p.prefix = a->prefix != NUMBER_UNSET ? (unsigned) a->prefix : p.address.family == AF_INET ? 24 : 64;
        if (p.prefix > ip_bits(p.address.family) - 2)
                return -ERANGE;
        p.network = ip_network(&p.address, p.prefix);
        p.whole = ip_equal(&p.network, &p.address);
        *ret = p;
        return 0;
}

static int check_address(Record *r, Fault *f) {
        const UserAddress *a = (const UserAddress *) r;
        Place p;
        int q = find_place(a, &p);

        if (q == -EINVAL)
                return xml_fault_below(r, "@address", f, FAULT_INVALID_DEFINITION, "'%s' is no IP address", a->address);
        if (q == -ERANGE)
                return xml_fault_below(r, "@prefix", f, FAULT_INVALID_DEFINITION, "a network of IPv4 has up to 30 bits");
        if (a->family && (a->family == 1) != (p.address.family == AF_INET))
                return xml_fault_below(r, "@family", f, FAULT_INVALID_DEFINITION, "'%s' is none of %s", a->address, family_words[a->family]);
        if (p.whole && ip_bits(p.address.family) - p.prefix < 5)
                return xml_fault_below(r, "@prefix", f, FAULT_INVALID_DEFINITION, "the guest is number %u of its network, in which there are fewer",
                                       GUEST_NUMBER);
        return 0;
}

const RecordType user_address_record = { "ip", sizeof(UserAddress), RECORD_FIELDS(address_fields), .check = check_address };

int user_addresses_check(const RecordList *addresses, Fault *f) {
        bool found[2] = {};

        for (size_t i = 0; i < addresses->n; i++) {
                Place p;
                bool v6 = find_place((const UserAddress *) addresses->items[i], &p) >= 0 && p.address.family == AF_INET6;

                if (found[v6])
                        return xml_fault(addresses->items[i], f, FAULT_INVALID_DEFINITION, "there is one address of each family");
                found[v6] = true;
        }
        return 0;
}

static int add_v4(const Place *p, json_t *netdev) {
        char network[IP_TEXT_MAX], address[IP_TEXT_MAX];
        _cleanup_free_ char *text = strf("%s/%u", ip_to_text(&p->network, network), p->prefix);
        int r = text ? json_set_text(netdev, "net", text) : -ENOMEM;

        return r < 0 || p->whole ? r : json_set_text(netdev, "dhcpstart", ip_to_text(&p->address, address));
}

/* Guests make their addresses of IPv6 themselves, from the network's. */
static int add_v6(const Place *p, json_t *netdev) {
        char network[IP_TEXT_MAX];
        int r = json_set_text(netdev, "ipv6-prefix", ip_to_text(&p->network, network));

        return r < 0 ? r : json_set_number(netdev, "ipv6-prefixlen", p->prefix);
}

int user_addresses_to_json(const RecordList *addresses, json_t *netdev) {
        int r = 0;

        for (size_t i = 0; i < addresses->n && r >= 0; i++) {
                Place p;

                if (find_place((const UserAddress *) addresses->items[i], &p) >= 0)
                        r = (p.address.family == AF_INET ? add_v4 : add_v6)(&p, netdev);
        }
        return r;
}

static int push_address(char ***argv, const char *option, const IpAddress *address) {
        char text[IP_TEXT_MAX];
        int r = strv_push(argv, option);

        return r < 0 ? r : strv_push(argv, ip_to_text(address, text));
}

static int push_place(char ***argv, const Place *p) {
        IpAddress guest = p->whole ? ip_add(&p->network, GUEST_NUMBER) : p->address, host = ip_add(&p->network, HOST_NUMBER);
        int r = push_address(argv, "--address", &guest);

        if (r >= 0 && p->address.family == AF_INET)
                r = strv_push(argv, "--netmask");
        if (r >= 0 && p->address.family == AF_INET)
                r = strv_pushf(argv, "%u", p->prefix);
        return r < 0 || !p->whole ? r : push_address(argv, "--gateway", &host);
}

int user_addresses_to_args(const RecordList *addresses, char ***argv) {
        int r = 0;

        for (size_t i = 0; i < addresses->n && r >= 0; i++) {
                Place p;

                if (find_place((const UserAddress *) addresses->items[i], &p) >= 0)
                        r = push_place(argv, &p);
        }
        return r;
}
