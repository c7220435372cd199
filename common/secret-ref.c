/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "secret-ref.h"

#include "str.h"
#include "xml-read.h"

#define STORAGE1_NAME "org.virtbus.storage1"
#define STORAGE1_ROOT "/org/virtbus/storage1"

#define AT(member) offsetof(SecretRef, member)
static const Field fields[] = {
        { "@type", &field_string, AT(type), FIELD_REQUIRED, .max_length = 16 },
        { "@uuid", &field_uuid, AT(uuid) },
        { "@usage", &field_string, AT(usage), .max_length = 255 },
};
#undef AT
const RecordType secret_ref_record = { "secret", sizeof(SecretRef), RECORD_FIELDS(fields) };

int secret_ref_check(const SecretRef *s, Fault *f) {
        assert(s);

        if (!streq(s->type, "passphrase"))
                return xml_fault(&s->head, f, FAULT_INVALID_DEFINITION, "its type is '%.16s', expected 'passphrase'", s->type);
        if (sd_id128_is_null(s->uuid) == is_empty(s->usage))
                return xml_fault(&s->head, f, FAULT_INVALID_DEFINITION, "it is named by its uuid or by its usage");
        return 0;
}

int secret_ref_open(const SecretRef *s, const char *purpose, sd_bus *bus, sd_bus_message_handler_t done, void *userdata, sd_bus_slot **ret) {
        char uuid[SD_ID128_STRING_MAX] = "";

        assert(s && purpose && done && ret);

        if (!bus)
                return -ENOTCONN;
        if (!sd_id128_is_null(s->uuid))
                (void) sd_id128_to_string(s->uuid, uuid);
        return sd_bus_call_method_async(bus, ret, STORAGE1_NAME, STORAGE1_ROOT, STORAGE1_NAME ".Manager", "OpenSecret", done, userdata, "sssta{sv}", uuid,
                                        purpose, s->usage ?: "", UINT64_C(0), 0);
}
