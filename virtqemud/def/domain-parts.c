/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-parts.h"

#include "str.h"
#include "xml-read.h"

#define AT(member) offsetof(VcpuState, member)
static const Field vcpu_state_fields[] = {
        { "@id", &field_number, AT(id), FIELD_REQUIRED, .max = 4095 },
        { "@enabled", &field_yes_no, AT(enabled), FIELD_REQUIRED },
        { "@hotpluggable", &field_yes_no, AT(hotpluggable) },
        { "@order", &field_number, AT(order), .min = 1, .max = 4096 },
};
#undef AT
const RecordType vcpu_state_record = { "vcpu", sizeof(VcpuState), RECORD_FIELDS(vcpu_state_fields) };

DEFINE_ENUM(AcpiTableType, acpi_table_type, NULL, "slic", "raw", "msdm")

static int table_check(Record *r, Fault *f) {
        const AcpiTable *t = (const AcpiTable *) r;

        return t->path[0] == '/' ? 0 : xml_fault(r, f, FAULT_INVALID_DEFINITION, "'%.128s' is not an absolute path", t->path);
}

#define AT(member) offsetof(AcpiTable, member)
static const Field acpi_table_fields[] = {
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &acpi_table_type_table },
        { ".", &field_string, AT(path), FIELD_REQUIRED },
};
#undef AT
const RecordType acpi_table_record = { "table", sizeof(AcpiTable), RECORD_FIELDS(acpi_table_fields), .check = table_check };

typedef enum LabelType { LABEL_UNSET, LABEL_DYNAMIC, LABEL_STATIC, LABEL_NONE } LabelType;
static const char *const label_words[] = { NULL, "dynamic", "static", "none" };
static const EnumTable label_table = { label_words, ARRAY_SIZE(label_words) };

/* Every VM has a user of its own and opens nothing by itself: that is what labels are for that the manager is to choose ("dynamic"), and it is so
 * in any case. The one it chose last stands in a definition that was exported while the VM ran. */
static int label_check(Record *r, Fault *f) {
        const SecurityLabel *l = (const SecurityLabel *) r;

        if (l->type == LABEL_NONE || (l->type == LABEL_DYNAMIC && !l->base_label))
                return 0;
        xml_fault(r, f, FAULT_NOT_SUPPORTED, "labels are not the definition's: VMs have a user of their own each, and open nothing by themselves");
        fault_hint(f, "leave it out");
        return -EOPNOTSUPP;
}

#define AT(member) offsetof(SecurityLabel, member)
static const Field label_fields[] = {
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &label_table },
        { "@model", &field_string, AT(model), .max_length = 64 },
        { "@relabel", &field_yes_no, AT(relabel) },
        { "label", &field_string, AT(label), .max_length = 256 },
        { "baselabel", &field_string, AT(base_label), .max_length = 256 },
        { "imagelabel", &field_string, AT(image_label), .max_length = 256 },
};
#undef AT
/* Nothing is labelled in any case; who asks for that to be so is right. */
static int source_label_check(Record *r, Fault *f) {
        const SourceLabel *l = (const SourceLabel *) r;

        if ((l->relabel == NO || l->skipped == YES) && !l->label)
                return 0;
        xml_fault(r, f, FAULT_NOT_SUPPORTED, "labels are not the definition's: VMs have a user of their own each, and open nothing by themselves");
        fault_hint(f, "leave it out, or say relabel='no'");
        return -EOPNOTSUPP;
}

#define AT(member) offsetof(SourceLabel, member)
static const Field source_label_fields[] = {
        { "@model", &field_string, AT(model), .max_length = 64 },
        { "@relabel", &field_yes_no, AT(relabel) },
        { "@labelskip", &field_yes_no, AT(skipped), FIELD_LIVE },
        { "label", &field_string, AT(label), .max_length = 256 },
};
#undef AT
const RecordType source_label_record = { "seclabel", sizeof(SourceLabel), RECORD_FIELDS(source_label_fields), .check = source_label_check };

const RecordType security_label_record = { "seclabel", sizeof(SecurityLabel), RECORD_FIELDS(label_fields), .check = label_check };

#define AT(member) offsetof(ExtraArg, member)
static const Field extra_arg_fields[] = {
        { "@value", &field_string, AT(value), FIELD_REQUIRED, .max_length = 65536 },
};
static const Field extra_env_fields[] = {
        { "@name", &field_string, AT(name), FIELD_REQUIRED, .max_length = 255 },
        { "@value", &field_string, AT(value), .max_length = 65536 },
};
#undef AT
const RecordType extra_arg_record = { "qemu:arg", sizeof(ExtraArg), RECORD_FIELDS(extra_arg_fields) };
const RecordType extra_env_record = { "qemu:env", sizeof(ExtraArg), RECORD_FIELDS(extra_env_fields) };
