/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <unistd.h>

#include "../run/port.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "fd.h"
#include "mem.h"
#include "service.h"
#include "str.h"

/* What callers of AttachPort() and its like ask for, and what they get. */

static int read_bytes(sd_bus_message *m, void *ret, size_t size, const char *what, Fault *f) {
        const void *bytes;
        size_t n;
        int r = sd_bus_message_enter_container(m, 'v', "ay");

        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &bytes, &n);
        if (r < 0)
                return r;
        if (n != size)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "a %s has %zu bytes, not %zu", what, size, n);
        memcpy(ret, bytes, n);
        return sd_bus_message_exit_container(m);
}

static int read_mac(sd_bus_message *m, MacAddress *ret, Fault *f) {
        int r = read_bytes(m, ret->octets, sizeof(ret->octets), "MAC address", f);

        if (r < 0)
                return r;
        ret->set = true;
        if (ret->octets[0] & 1)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the MAC address is a multicast one; its first byte must be even");
        return r;
}

static int read_id(sd_bus_message *m, sd_id128_t *ret, Fault *f) {
        return read_bytes(m, ret->bytes, sizeof(ret->bytes), "UUID", f);
}

/* In whose switch the port is to be. */
static int read_virtual_port(sd_bus_message *m, VirtualPort *v, Fault *f) {
        const char *word;
        int r = sd_bus_message_read(m, "v", "s", &word);

        if (r < 0)
                return r;
        if (!streq(word, "openvswitch"))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.32s\" is no switch that is supported: openvswitch is", word);
        v->type = VIRTUAL_PORT_OPENVSWITCH;
        return 0;
}

static int read_profile(sd_bus_message *m, VirtualPort *v, Fault *f) {
        const char *text;
        int r = sd_bus_message_read(m, "v", "s", &text);

        if (r < 0)
                return r;
        if (strlen(text) > VIRTUAL_PORT_PROFILE_MAX)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "a profileid has at most %u bytes", VIRTUAL_PORT_PROFILE_MAX);
        return free_and_strdup(&v->profile_id, *text ? text : NULL);
}

static int read_text(sd_bus_message *m, char **ret) {
        const char *text;
        int r = sd_bus_message_read(m, "v", "s", &text);

        return r < 0 ? r : free_and_strdup(ret, *text ? text : NULL);
}

/* Average, peak and burst; 0: none. */
static int read_bandwidth(sd_bus_message *m, Bandwidth *ret, Fault *f) {
        uint64_t average, peak, burst;
        int r = sd_bus_message_read(m, "v", "(ttt)", &average, &peak, &burst);

        if (r < 0)
                return r;
        if (average == 0 || average > UINT32_MAX || peak > UINT32_MAX || burst > UINT32_MAX)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "a bandwidth has an average of 1 to %u kB/s", UINT32_MAX);
        if (peak > 0 && peak < average)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the peak of a bandwidth is less than its average");
        *ret = (Bandwidth) { average, peak ?: NUMBER_UNSET, burst ?: NUMBER_UNSET, NUMBER_UNSET };
        return 0;
}

static int add_vlan(PortSettings *s, uint64_t id, const char *native, Fault *f) {
        int how = *native ? vlan_native_from_string(native) : NATIVE_NONE, r;
        VlanTag *t;

        if (id < 1 || id > 4094 || how < 0)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "a VLAN has a number from 1 to 4094, and is tagged or untagged if it is the native one");
        t = record_new(&vlan_tag_record);
        if (!t)
                return -ENOMEM;
        t->id = id;
        t->native = how;
        r = record_list_add(&s->tags, t);
        return r < 0 ? r : 0;
}

static int read_vlans(sd_bus_message *m, PortSettings *s, Fault *f) {
        const char *native;
        uint64_t id;
        int r = sd_bus_message_enter_container(m, 'v', "a(ts)");

        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(ts)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(ts)", &id, &native)) > 0)
                r = add_vlan(s, id, native, f);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_flag(sd_bus_message *m, bool *ret) {
        int value, r = sd_bus_message_read(m, "v", "b", &value);

        *ret = r >= 0 && value;
        return r;
}

static int read_trunk(sd_bus_message *m, PortSettings *s) {
        bool trunk;
        int r = read_flag(m, &trunk);

        s->trunk = trunk ? YES : NO;
        return r;
}

static int read_setting(sd_bus_message *m, PortRequest *q, Fault *f) {
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        if (r < 0)
                return r;
        if (streq(name, "mac"))
                return read_mac(m, &q->mac, f);
        if (streq(name, "domain"))
                return read_text(m, &q->domain);
        if (streq(name, "portgroup"))
                return read_text(m, &q->group);
        if (streq(name, "queues"))
                return sd_bus_message_read(m, "v", "u", &q->queues);
        if (streq(name, "isolated"))
                return read_flag(m, &q->isolated);
        if (streq(name, "coalesce"))
                return sd_bus_message_read(m, "v", "u", &q->coalesce);
        if (streq(name, "inbound"))
                return read_bandwidth(m, &q->settings.inbound, f);
        if (streq(name, "outbound"))
                return read_bandwidth(m, &q->settings.outbound, f);
        if (streq(name, "vlans"))
                return read_vlans(m, &q->settings, f);
        if (streq(name, "trunk"))
                return read_trunk(m, &q->settings);
        if (streq(name, "uuid"))
                return read_id(m, &q->uuid, f);
        if (streq(name, "virtualport"))
                return read_virtual_port(m, &q->settings.virtual_port, f);
        if (streq(name, "interfaceid"))
                return read_id(m, &q->settings.virtual_port.interface_id, f);
        if (streq(name, "profileid"))
                return read_profile(m, &q->settings.virtual_port, f);
        fault_set(f, FAULT_INVALID_ARGS, EINVAL, "a port has no \"%.32s\"", name);
        fault_hint(f, "it has mac, domain, uuid, portgroup, queues, isolated, coalesce, inbound, outbound, vlans, trunk, virtualport, interfaceid and "
                      "profileid");
        return -EINVAL;
}

/* Whoever may be on a network may not choose another VLAN of it, more bandwidth than it gives, or who a controller of its switch takes him for. */
static int check_sender(sd_bus_message *m, const PortRequest *q, Fault *f) {
        const PortSettings *s = &q->settings;
        bool plain = s->tags.n == 0 && s->trunk == UNSET && s->inbound.average == NUMBER_UNSET && s->outbound.average == NUMBER_UNSET &&
                     sd_id128_is_null(s->virtual_port.interface_id) && !s->virtual_port.profile_id;
        uid_t uid = plain ? 0 : bus_sender_uid(m);

        if (plain || uid == 0 || uid == geteuid())
                return 0;
        fault_set(f, FAULT_ACCESS_DENIED, EACCES, "VLANs, bandwidth, interfaceid and profileid of a port are for root to choose");
        fault_hint(f, "leave them out, or have the administrator make a portgroup with them");
        return -EACCES;
}

int read_port(sd_bus_message *m, PortRequest *ret, Fault *f) {
        uint64_t flags;
        int r;

        port_request_init(ret);
        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_setting(m, ret, f);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, f);
        if (r >= 0)
                r = check_sender(m, ret, f);
        if (r >= 0 && (ret->queues == 0 || ret->queues > PORT_QUEUES_MAX))
                r = fault_set(f, FAULT_INVALID_ARGS, EINVAL, "a port has 1 to %u queues, not %u", PORT_QUEUES_MAX, ret->queues);
        return r;
}

static int append_port(sd_bus_message *reply, const char *name, const int *fds, uint32_t n) {
        int r = sd_bus_message_append(reply, "s", name);

        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "h");
        for (uint32_t i = 0; i < n && r >= 0; i++)
                r = sd_bus_message_append(reply, "h", fds[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

void reply_port(const char *name, const int *fds, uint32_t n, const Fault *why, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata, *reply = NULL;
        int r;

        if (why) {
                (void) bus_reply_fault(m, why, -why->error);
                return;
        }
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = append_port(reply, name, fds, n);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        if (r < 0)
                (void) sd_bus_reply_method_errno(m, r, NULL);
        for (uint32_t i = 0; i < n; i++)
                fd_close(fds[i]);
}
