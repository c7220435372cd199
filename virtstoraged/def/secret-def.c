/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "secret-def.h"

#include "str.h"
#include "xml-read.h"

DEFINE_ENUM(SecretUsage, secret_usage, NULL, "volume", "ceph", "iscsi", "tls", "vtpm")

#define AT(member) offsetof(SecretDef, member)
static const Field secret_fields[] = {
        { "@ephemeral", &field_yes_no, AT(ephemeral) },
        { "@private", &field_yes_no, AT(is_private) },
        { "uuid", &field_uuid, AT(uuid) },
        { "description", &field_string, AT(description) },
        { "usage/@type", &field_enum, AT(usage), .words = &secret_usage_table },
        { "usage/volume", &field_string, AT(volume) },
        { "usage/name", &field_string, AT(name), .max_length = 255 },
        { "usage/target", &field_string, AT(target), .max_length = 255 },
};
#undef AT

/* Each kind of usage has its own word for what it is for. */
static int check(Record *r, Fault *f) {
        const SecretDef *def = (const SecretDef *) r;
        bool wants_volume = def->usage == USAGE_VOLUME, wants_target = def->usage == USAGE_ISCSI;
        bool wants_name = def->usage != USAGE_NONE && !wants_volume && !wants_target;

        if (wants_volume && !def->volume)
                return xml_fault_below(r, "usage", f, FAULT_INVALID_DEFINITION, "it has no <volume>");
        if (wants_target && !def->target)
                return xml_fault_below(r, "usage", f, FAULT_INVALID_DEFINITION, "it has no <target>");
        if (wants_name && !def->name)
                return xml_fault_below(r, "usage", f, FAULT_INVALID_DEFINITION, "it has no <name>");
        if ((def->volume && !wants_volume) || (def->target && !wants_target) || (def->name && !wants_name))
                return xml_fault_below(r, "usage", f, FAULT_INVALID_DEFINITION, "volume is for type 'volume', target for 'iscsi', name for the others");
        return 0;
}

const RecordType secret_record = { "secret", sizeof(SecretDef), RECORD_FIELDS(secret_fields), .check = check };

const char *secret_usage_id(const SecretDef *def) {
        return def->volume ?: def->name ?: def->target;
}
