/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "port-def.h"

#include <inttypes.h>

#include "xml-read.h"

DEFINE_ENUM(VlanNative, vlan_native, NULL, "tagged", "untagged")
DEFINE_ENUM(VirtualPortType, virtual_port_type, NULL, "openvswitch", "802.1Qbg", "802.1Qbh", "midonet")

#define AT(member) offsetof(VlanTag, member)
static const Field tag_fields[] = {
        { "@id", &field_number, AT(id), FIELD_REQUIRED, .min = 1, .max = 4094 },
        { "@nativeMode", &field_enum, AT(native), .words = &vlan_native_table },
};
#undef AT
const RecordType vlan_tag_record = { "tag", sizeof(VlanTag), RECORD_FIELDS(tag_fields) };

static int check_bandwidth(const Record *where, const char *direction, const Bandwidth *b, Fault *f) {
        if (b->average == NUMBER_UNSET && (b->peak != NUMBER_UNSET || b->burst != NUMBER_UNSET))
                return xml_fault_below(where, "bandwidth", f, FAULT_INVALID_DEFINITION, "%s: peak and burst need an average", direction);
        if (b->average != NUMBER_UNSET && b->peak != NUMBER_UNSET && b->peak < b->average)
                return xml_fault_below(where, "bandwidth", f, FAULT_INVALID_DEFINITION, "%s: the peak is less than the average", direction);
        if (b->floor != NUMBER_UNSET)
                return xml_fault_below(where, "bandwidth", f, FAULT_NOT_SUPPORTED, "%s: a floor can't be guaranteed", direction);
        return 0;
}

bool port_settings_trunk(const PortSettings *s) {
        bool native = false;

        for (size_t i = 0; i < s->tags.n; i++)
                native = native || ((const VlanTag *) s->tags.items[i])->native != NATIVE_NONE;
        return s->trunk == YES || (s->trunk == UNSET && (native || s->tags.n > 1));
}

void port_settings_merge(const PortSettings *const *layers, size_t n, PortSettings *ret) {
        const Bandwidth none = { NUMBER_UNSET, NUMBER_UNSET, NUMBER_UNSET, NUMBER_UNSET };
        VirtualPort *v = &ret->virtual_port;

        *ret = (PortSettings) { .inbound = none, .outbound = none };
        for (size_t i = n; i-- > 0;) {
                const PortSettings *s = layers[i];

                if (!s)
                        continue;
                if (s->inbound.average != NUMBER_UNSET)
                        ret->inbound = s->inbound;
                if (s->outbound.average != NUMBER_UNSET)
                        ret->outbound = s->outbound;
                if (s->tags.n > 0) {
                        ret->tags = s->tags;
                        ret->trunk = s->trunk;
                }
                v->type = s->virtual_port.type ?: v->type;
                v->interface_id = sd_id128_is_null(s->virtual_port.interface_id) ? v->interface_id : s->virtual_port.interface_id;
                v->profile_id = s->virtual_port.profile_id ?: v->profile_id;
        }
}

static int check_virtual_port(const Record *where, const VirtualPort *v, Fault *f) {
        if (v->type == VIRTUAL_PORT_NONE || v->type == VIRTUAL_PORT_OPENVSWITCH)
                return 0;
        xml_fault_below(where, "virtualport/@type", f, FAULT_NOT_SUPPORTED,
                        "ports of '%s' are not supported: only those of the kernel's bridge and of Open vSwitch",
                        virtual_port_type_to_string((VirtualPortType) v->type) ?: "");
        fault_hint(f, "type='openvswitch'; or none, for a bridge of the kernel");
        return -EOPNOTSUPP;
}

int port_settings_check(const Record *where, const PortSettings *s, Fault *f) {
        bool native = false;
        int r;

        r = check_virtual_port(where, &s->virtual_port, f);
        if (r >= 0)
                r = check_bandwidth(where, "inbound", &s->inbound, f);
        if (r >= 0)
                r = check_bandwidth(where, "outbound", &s->outbound, f);
        if (r >= 0 && s->tags.n > 1 && s->trunk == NO)
                r = xml_fault_below(where, "vlan", f, FAULT_INVALID_DEFINITION, "more than one <tag> makes a trunk: trunk='no' can't be");
        for (size_t i = 0; i < s->tags.n && r >= 0; i++) {
                const VlanTag *t = (const VlanTag *) s->tags.items[i];

                if (t->native != NATIVE_NONE && native)
                        r = xml_fault(&t->head, f, FAULT_INVALID_DEFINITION, "only one <tag> can have a nativeMode");
                if (r >= 0 && t->native != NATIVE_NONE && s->trunk == NO)
                        r = xml_fault(&t->head, f, FAULT_INVALID_DEFINITION, "a nativeMode is a trunk's: trunk='no' can't be");
                native = native || t->native != NATIVE_NONE;
                for (size_t k = 0; k < i && r >= 0; k++)
                        if (((const VlanTag *) s->tags.items[k])->id == t->id)
                                r = xml_fault(&t->head, f, FAULT_INVALID_DEFINITION, "VLAN %" PRIu64 " is given twice", t->id);
        }
        return r;
}
