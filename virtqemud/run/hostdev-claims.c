/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hostdev-claims.h"

#include "../device/hostdev.h"
#include "manager.h"
#include "registry.h"
#include "str.h"

static char *claim_of(const DomainDef *def, size_t i) {
        const Device *d = (const Device *) def->devices.items[i];

        return d->ops->claim ? d->ops->claim(d) : NULL;
}

static bool has_device(const DomainDef *def, const char *text) {
        for (size_t i = 0; def && i < def->devices.n; i++) {
                _cleanup_free_ char *theirs = claim_of(def, i);

                if (theirs && streq(theirs, text))
                        return true;
        }
        return false;
}

static int check_one(const Domain *domain, const char *text, Fault *f) {
        REGISTRY_FOREACH(Domain, d, domain->manager->domains)
                if (d != domain && has_device(d->live, text))
                        return fault_set(f, FAULT_IN_USE, EBUSY, "the device %s of the host is %s's", text, d->name);
        return 0;
}

int hostdevs_check_claims(const Domain *d, const DomainDef *live, Fault *f) {
        assert(d && live);

        for (size_t i = 0; i < live->devices.n; i++) {
                _cleanup_free_ char *text = claim_of(live, i);
                int r = text ? check_one(d, text, f) : 0;

                if (r < 0)
                        return r;
        }
        return 0;
}

void hostdevs_each_claim(const DomainDef *live, void (*f)(const HostClaim *claim, void *userdata), void *userdata) {
        assert(f);

        for (size_t i = 0; live && i < live->devices.n; i++) {
                const Hostdev *h = device_as_hostdev((const Device *) live->devices.items[i]);
                _cleanup_free_ char *text = claim_of(live, i);
                HostClaim claim = { .name = text };

                if (h && h->type == HOSTDEV_USB && h->found_bus != NUMBER_UNSET)
                        claim = (HostClaim) { .bus = h->found_bus, .number = h->found_number };
                else if (!text)
                        continue;
                f(&claim, userdata);
        }
}
