/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "record.h"

/* <bandwidth> and <vlan>: what a guest's connection gets, in definitions of networks and of domains alike. */

typedef struct Bandwidth {       /* of one direction, as the guest sees it */
        uint64_t average, peak;  /* 1000 bytes each second */
        uint64_t burst;          /* 1024 bytes */
        uint64_t floor;          /* 1000 bytes each second */
} Bandwidth;

typedef enum VlanNative { NATIVE_NONE, NATIVE_TAGGED, NATIVE_UNTAGGED, _VLAN_NATIVE_MAX, _VLAN_NATIVE_INVALID = -EINVAL } VlanNative;
DECLARE_ENUM(VlanNative, vlan_native);

typedef struct VlanTag {
        Record head;
        uint64_t id;
        int native;              /* VlanNative */
} VlanTag;

typedef struct PortSettings {
        Bandwidth inbound, outbound;
        RecordList tags;         /* VlanTag */
        Tristate trunk;
} PortSettings;

extern const RecordType vlan_tag_record;

#define PORT_DIRECTION_FIELDS(name, at)                                                                 \
        { "bandwidth/" name "/@average", &field_number, (at) + offsetof(Bandwidth, average), .min = 1, .max = UINT32_MAX }, \
        { "bandwidth/" name "/@peak", &field_number, (at) + offsetof(Bandwidth, peak), .min = 1, .max = UINT32_MAX }, \
        { "bandwidth/" name "/@burst", &field_number, (at) + offsetof(Bandwidth, burst), .min = 1, .max = UINT32_MAX }, \
        { "bandwidth/" name "/@floor", &field_number, (at) + offsetof(Bandwidth, floor), .min = 1, .max = UINT32_MAX }

/* Rows for a record that has PortSettings at that offset. */
#define PORT_SETTINGS_FIELDS(at)                                                                        \
        PORT_DIRECTION_FIELDS("inbound", (at) + offsetof(PortSettings, inbound)),                       \
        PORT_DIRECTION_FIELDS("outbound", (at) + offsetof(PortSettings, outbound)),                     \
        { "vlan/@trunk", &field_yes_no, (at) + offsetof(PortSettings, trunk) },                         \
        { "vlan/tag", &field_list, (at) + offsetof(PortSettings, tags), .record = &vlan_tag_record }

/* Whether the guest sees tags: with more than one of them, with a native one, or because it is said. */
bool port_settings_trunk(const PortSettings *s);
/* Rules between them. FAULT_INVALID_DEFINITION, FAULT_NOT_SUPPORTED. */
int port_settings_check(const Record *where, const PortSettings *s, Fault *f);
