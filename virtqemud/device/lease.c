/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lease.h"

#include "mem.h"
#include "str.h"
#include "xml-read.h"

#define LOCKSPACE_DEFAULT "default"

#define AT(member) offsetof(Lease, member)
static const Field lease_fields[] = {
        { "lockspace", &field_string, AT(lockspace), .max_length = 64 },
        { "key", &field_string, AT(key), FIELD_REQUIRED, .max_length = 200 },
        { "target/@path", &field_string, AT(path) },
        { "target/@offset", &field_number, AT(offset) },
        DEVICE_FIELDS(Lease),
};
#undef AT

static const RecordType lease_record = {
        "lease", sizeof(Lease), RECORD_FIELDS(lease_fields), .clear = device_clear, .copied = device_copied,
};

const Lease *device_as_lease(const Device *d) {
        return d && device_kind(d) == DEVICE_LEASE ? (const Lease *) d : NULL;
}

static int lease_fill(Device *d, DomainDef *def, Fault *f) {
        Lease *l = (Lease *) d;

        return !l->lockspace && free_and_strdup(&l->lockspace, LOCKSPACE_DEFAULT) < 0 ? fault_oom(f) : 0;
}

static int lease_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Lease *l = (const Lease *) d;

        if (!*l->key || strchr(l->key, '/'))
                return xml_fault_below(&d->head, "key", f, FAULT_INVALID_DEFINITION, "'%s' can't be a name in a lockspace", l->key);
        DEVICE_FOREACH(Lease, other, def, DEVICE_LEASE) {
                if (other == l)
                        break;
                if (streq(other->key, l->key) && streq(other->lockspace, l->lockspace))
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "it is already the lease in line %u", other->device.head.line);
        }
        return 0;
}

static const char *lease_fixed(const Device *d, const DomainDef *def) {
        return "leases are taken when a machine starts, and end with it";
}

const DeviceOps device_lease = {
        .kind = DEVICE_LEASE, .element = "lease", .type = &lease_record, .fill = lease_fill, .check = lease_check, .fixed = lease_fixed,
};
