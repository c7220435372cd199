/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-pci.h"

#include <inttypes.h>

#include "str.h"

static const char *const type_words[] = { NULL, "pci" };
static const EnumTable type_table = { type_words, ARRAY_SIZE(type_words) };

#define AT(member) offsetof(HostPci, member)
static const Field fields[] = {
        { "@type", &field_enum, AT(type), .words = &type_table },
        { "@domain", &field_hex, AT(domain), .max = UINT16_MAX, .digits = 4 },
        { "@bus", &field_hex, AT(bus), FIELD_REQUIRED, .max = UINT8_MAX, .digits = 2 },
        { "@slot", &field_hex, AT(slot), FIELD_REQUIRED, .max = 31, .digits = 2 },
        { "@function", &field_hex, AT(function), FIELD_REQUIRED, .max = 7, .digits = 1 },
};
#undef AT

const RecordType host_pci_record = { "address", sizeof(HostPci), RECORD_FIELDS(fields) };

char *host_pci_text(const HostPci *p) {
        return strf("%04" PRIx64 ":%02" PRIx64 ":%02" PRIx64 ".%" PRIx64, p->domain == NUMBER_UNSET ? 0 : p->domain, p->bus, p->slot, p->function);
}
