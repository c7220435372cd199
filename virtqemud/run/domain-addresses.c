/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-addresses.h"

#include <stdio.h>
#include <string.h>

#include "../device/interface.h"
#include "guest-agent.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "sdbus.h"
#include "str.h"

#define NETWORK1_NAME "org.virtbus.network1"
#define NETWORK1_ROOT "/org/virtbus/network1"
#define NETWORK1_MANAGER NETWORK1_NAME ".Manager"
#define ADDRESSES_MAX 32u            /* of one interface: more are not listed */

/* One interface. */
typedef struct Asked {
        DomainAddresses *all;
        char *device, *mac;
        sd_bus_slot *call;
        bool again;                  /* it has changed while we were asking */
        DomainAddress items[ADDRESSES_MAX];
        size_t n;
} Asked;

struct DomainAddresses {
        Domain *domain;
        Asked *items;
        size_t n;
};

DomainAddresses *domain_addresses_free(DomainAddresses *a) {
        if (!a)
                return NULL;
        for (size_t i = 0; i < a->n; i++) {
                sd_bus_slot_unref(a->items[i].call);
                free(a->items[i].device);
                free(a->items[i].mac);
        }
        free(a->items);
        free(a);
        return NULL;
}

/* --- asking --- */

static int read_address(sd_bus_message *m, const char *device, DomainAddress *ret) {
        const char *source;
        const void *bytes;
        uint8_t prefix;
        size_t n;
        int r;

        r = sd_bus_message_enter_container(m, 'r', "ayys");
        if (r <= 0)
                return r;
        r = sd_bus_message_read_array(m, 'y', &bytes, &n);
        if (r >= 0)
                r = sd_bus_message_read(m, "ys", &prefix, &source);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0 && n != 4 && n != 16)
                r = -EBADMSG;
        if (r < 0)
                return r;
        *ret = (DomainAddress) { .device = device, .address.family = n == 4 ? AF_INET : AF_INET6, .prefix = prefix };
        memcpy(ret->address.bytes, bytes, n);
        (void) snprintf(ret->source, sizeof(ret->source), "%s", source);
        return 1;
}

static bool is_same(const DomainAddress *a, const DomainAddress *b) {
        return ip_equal(&a->address, &b->address) && a->prefix == b->prefix && streq(a->source, b->source);
}

static void take(Asked *q, const DomainAddress *items, size_t n) {
        bool same = n == q->n;

        for (size_t i = 0; i < n && same; i++)
                same = is_same(&items[i], &q->items[i]);
        if (same)
                return;
        memcpy(q->items, items, n * sizeof(*items));
        q->n = n;
        domain_changed(q->all->domain, DOMAIN_CHANGED_ADDRESSES);
}

static void ask(Asked *q);

static int on_addresses(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        DomainAddress items[ADDRESSES_MAX];
        Asked *q = userdata;
        size_t n = 0;
        int r;

        q->call = sd_bus_slot_unref(q->call);
        if (TAKE(q->again, false)) {
                ask(q);
                return 0;
        }
        if (sd_bus_message_is_method_error(reply, NULL)) /* no virtnetworkd: what was known is not known to be wrong */
                return 0;
        r = sd_bus_message_enter_container(reply, 'a', "(ayys)");
        while (r >= 0 && n < ADDRESSES_MAX && (r = read_address(reply, q->device, &items[n])) > 0)
                n++;
        if (r >= 0)
                take(q, items, n);
        return 0;
}

static void ask(Asked *q) {
        sd_bus *bus = manager_network_bus(q->all->domain->manager);

        if (q->call)
                q->again = true;
        else if (bus)
                (void) sd_bus_call_method_async(bus, &q->call, NETWORK1_NAME, NETWORK1_ROOT, NETWORK1_MANAGER, "ListAddresses", on_addresses, q, "s",
                                                q->mac);
}

/* --- hearing --- */

static void heard_by(DomainAddresses *a, const char *mac) {
        for (size_t i = 0; i < a->n; i++)
                if (strcasecmp(a->items[i].mac, mac) == 0)
                        ask(&a->items[i]);
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        const char *mac;

        if (sd_bus_message_read(m, "s", &mac) < 0)
                return 0;
        REGISTRY_FOREACH(Domain, d, manager->domains)
                if (d->instance && d->instance->addresses)
                        heard_by(d->instance->addresses, mac);
        return 0;
}

/* Once, on the bus that virtnetworkd is on; a session may have got another one since. */
static int listen_for_changes(Manager *m) {
        sd_bus *bus = manager_network_bus(m);

        if (!bus)
                return -ENOTCONN;
        if (m->addresses_heard && sd_bus_slot_get_bus(m->addresses_heard) == bus)
                return 0;
        m->addresses_heard = sd_bus_slot_unref(m->addresses_heard);
        return sd_bus_match_signal_async(bus, &m->addresses_heard, NETWORK1_NAME, NETWORK1_ROOT, NETWORK1_MANAGER, "AddressesChanged", on_changed, NULL,
                                         m);
}

/* --- all --- */

static int add(DomainAddresses *a, const Interface *i) {
        Asked *q = &a->items[a->n++];

        *q = (Asked) { .all = a, .device = strdup(i->device.id), .mac = field_mac.to_text(NULL, &i->mac) };
        return q->device && q->mac ? 0 : -ENOMEM;
}

int domain_addresses_new(Domain *d, DomainAddresses **ret) {
        _cleanup_(domain_addresses_freep) DomainAddresses *a = new0(DomainAddresses, 1);
        int r = 0;

        assert(d && d->live && ret);

        if (!a || !(a->items = new0(Asked, d->live->devices.n + 1)))
                return -ENOMEM;
        a->domain = d;
        for (size_t i = 0; i < d->live->devices.n && r >= 0; i++) {
                const Interface *n = device_as_interface((const Device *) d->live->devices.items[i]);

                if (n && interface_has_tap(n))
                        r = add(a, n);
        }
        if (r < 0 || a->n == 0)
                return r;
        r = listen_for_changes(d->manager);
        if (r < 0)
                return r;
        for (size_t i = 0; i < a->n; i++)
                ask(&a->items[i]);
        *ret = TAKE_PTR(a);
        return 0;
}

typedef struct Search {
        const DomainAddress *wanted;
        bool found;
} Search;

static int compare(const DomainAddress *address, void *userdata) {
        Search *s = userdata;

        s->found = s->found || (streq(address->device, s->wanted->device) && ip_equal(&address->address, &s->wanted->address));
        return 0;
}

static bool agent_knows(const Domain *d, const DomainAddress *a) {
        Search s = { .wanted = a };

        (void) domain_guest_addresses_each(d, compare, &s);
        return s.found;
}

int domain_each_address(const Domain *d, int (*found)(const DomainAddress *address, void *userdata), void *userdata) {
        const DomainAddresses *a = d->instance ? d->instance->addresses : NULL;
        int r = domain_guest_addresses_each(d, found, userdata);

        for (size_t i = 0; a && i < a->n; i++)
                for (size_t k = 0; k < a->items[i].n && r >= 0; k++)
                        if (!agent_knows(d, &a->items[i].items[k]))
                                r = found(&a->items[i].items[k], userdata);
        return r;
}
