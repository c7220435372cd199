/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hostdev-claims.h"

#include "../device/hostdev.h"
#include "manager.h"
#include "registry.h"
#include "str.h"

static bool has_device(const DomainDef *def, HostdevType type, const char *text) {
        for (size_t i = 0; def && i < def->devices.n; i++) {
                const Hostdev *h = device_as_hostdev((const Device *) def->devices.items[i]);
                _cleanup_free_ char *theirs = h && h->type == (int) type ? hostdev_text(h) : NULL;

                if (theirs && streq(theirs, text))
                        return true;
        }
        return false;
}

static int check_one(const Domain *domain, const Hostdev *h, Fault *f) {
        _cleanup_free_ char *text = hostdev_text(h);

        if (!text)
                return fault_oom(f);
        REGISTRY_FOREACH(Domain, d, domain->manager->domains)
                if (d != domain && has_device(d->live, (HostdevType) h->type, text))
                        return fault_set(f, FAULT_IN_USE, EBUSY, "the device %s of the host is %s's", text, d->name);
        return 0;
}

int hostdevs_check_claims(const Domain *d, const DomainDef *live, Fault *f) {
        assert(d && live);

        for (size_t i = 0; i < live->devices.n; i++) {
                const Hostdev *h = device_as_hostdev((const Device *) live->devices.items[i]);
                int r = h && h->type != HOSTDEV_USB ? check_one(d, h, f) : 0;

                if (r < 0)
                        return r;
        }
        return 0;
}
