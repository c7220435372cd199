/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "record.h"

/* <bandwidth>, <vlan> and <virtualport>: what a guest's connection gets, in definitions of networks and of domains alike. */

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

/* Whose switch the port is in: that of Open vSwitch, or one of those that are refused. */
typedef enum VirtualPortType {
        VIRTUAL_PORT_NONE, VIRTUAL_PORT_OPENVSWITCH, VIRTUAL_PORT_QBG, VIRTUAL_PORT_QBH, VIRTUAL_PORT_MIDONET,
        _VIRTUAL_PORT_TYPE_MAX, _VIRTUAL_PORT_TYPE_INVALID = -EINVAL,
} VirtualPortType;
DECLARE_ENUM(VirtualPortType, virtual_port_type);

#define VIRTUAL_PORT_PROFILE_MAX 39u /* bytes, as in libvirt */

typedef struct VirtualPort {
        int type;                /* VirtualPortType */
        sd_id128_t interface_id; /* by which a controller of the switch knows it */
        char *profile_id;
} VirtualPort;

typedef struct PortSettings {
        Bandwidth inbound, outbound;
        RecordList tags;         /* VlanTag */
        Tristate trunk;
        VirtualPort virtual_port;
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
        { "vlan/tag", &field_list, (at) + offsetof(PortSettings, tags), .record = &vlan_tag_record },   \
        { "virtualport/@type", &field_enum, (at) + offsetof(PortSettings, virtual_port.type), .words = &virtual_port_type_table }, \
        { "virtualport/parameters/@interfaceid", &field_uuid, (at) + offsetof(PortSettings, virtual_port.interface_id) }, \
        { "virtualport/parameters/@profileid", &field_string, (at) + offsetof(PortSettings, virtual_port.profile_id),   \
          .max_length = VIRTUAL_PORT_PROFILE_MAX }

/* Whether the guest sees tags: with more than one of them, with a native one, or because it is said. */
bool port_settings_trunk(const PortSettings *s);
/* Of each kind the first of `layers` (may be NULL) that says something; `ret` borrows from them. */
void port_settings_merge(const PortSettings *const *layers, size_t n, PortSettings *ret);
static inline bool virtual_port_is_set(const VirtualPort *v) {
        return v->type != VIRTUAL_PORT_NONE || !sd_id128_is_null(v->interface_id) || v->profile_id;
}
/* Rules between them. FAULT_INVALID_DEFINITION, FAULT_NOT_SUPPORTED. */
int port_settings_check(const Record *where, const PortSettings *s, Fault *f);
