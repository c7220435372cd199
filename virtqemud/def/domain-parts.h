/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "record.h"

/* Small parts of <domain>. */

/* <vcpus><vcpu>: whether a CPU is there from the start. */
typedef struct VcpuState {
        Record head;
        uint64_t id, order;
        Tristate enabled, hotpluggable;
} VcpuState;

/* <os><acpi><table>: one of those that the firmware gives to the guest, from a file. */
typedef enum AcpiTableType {
        ACPI_TABLE_NONE, ACPI_TABLE_SLIC, ACPI_TABLE_RAW, ACPI_TABLE_MSDM, _ACPI_TABLE_TYPE_MAX, _ACPI_TABLE_TYPE_INVALID = -EINVAL
} AcpiTableType;
DECLARE_ENUM(AcpiTableType, acpi_table_type);

typedef struct AcpiTable {
        Record head;
        int type;                /* AcpiTableType */
        char *path;
} AcpiTable;
extern const RecordType acpi_table_record;

/* <seclabel>. */
typedef struct SecurityLabel {
        Record head;
        int type;                /* 1 dynamic, 2 static, 3 none */
        char *model, *label, *image_label, *base_label;
        Tristate relabel;
} SecurityLabel;

/* <source><seclabel>. */
typedef struct SourceLabel {
        Record head;
        char *model, *label;
        Tristate relabel, skipped;
} SourceLabel;

/* <qemu:arg value=…>, <qemu:env name=… value=…>: what QEMU is told as it stands. */
typedef struct ExtraArg {
        Record head;
        char *name, *value;
} ExtraArg;

extern const RecordType vcpu_state_record, security_label_record, source_label_record, extra_arg_record, extra_env_record;
