/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "switch-port.h"

#include <inttypes.h>
#include <jansson.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>

#include "mem.h"
#include "str.h"

#define BITS UINT64_C(8)

/* Words that are gathered; the first failure stays. */
typedef struct Words {
        char **items;
        int error;
} Words;

static void add_words(Words *w, const char *const *words) {
        for (; *words && w->error >= 0; words++)
                w->error = strv_push(&w->items, *words);
}
#define ADD(w, ...) add_words((w), (const char *const []) { __VA_ARGS__, NULL })

static void add_text(Words *w, char *text) {
        if (!text)
                w->error = w->error < 0 ? w->error : -ENOMEM;
        else if (w->error >= 0)
                w->error = strv_push(&w->items, text);
        free(text);
}

/* COLUMN:KEY="value": a string of Open vSwitch's database is written as one of JSON. */
static void add_quoted(Words *w, const char *column, const char *value) {
        json_auto_t *json = json_string(value);
        _cleanup_free_ char *quoted = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;

        if (!quoted)
                w->error = w->error < 0 ? w->error : -EINVAL;
        else
                add_text(w, strf("%s=%s", column, quoted));
}

static void add_id(Words *w, const char *column, sd_id128_t id) {
        char text[SD_ID128_UUID_STRING_MAX];

        add_quoted(w, column, sd_id128_to_uuid_string(id, text));
}

static int finish(Words *w, char ***ret) {
        if (w->error < 0) {
                strv_free(w->items);
                return w->error;
        }
        *ret = w->items;
        return 0;
}

bool switch_port_name_is_good(const char *name) {
        if (!*name || strlen(name) >= IFNAMSIZ || *name == '-' || streq(name, ".") || streq(name, ".."))
                return false;
        for (; *name; name++)
                if ((unsigned char) *name <= ' ' || (unsigned char) *name >= 0x7f || strchr("/:=,@\"'\\", *name))
                        return false;
        return true;
}

/* --- VLANs: columns of a Port --- */

static const VlanTag *native_of(const RecordList *tags) {
        RECORD_FOREACH(VlanTag, t, *tags)
                if (t->native != NATIVE_NONE)
                        return t;
        return NULL;
}

static void add_trunk(Words *w, const RecordList *tags) {
        _cleanup_text_ Text t = TEXT_INIT;

        RECORD_FOREACH(VlanTag, tag, *tags)
                text_addf(&t, "%s%" PRIu64, tag_i > 0 ? "," : "trunks=", tag->id);
        add_text(w, text_finish(&t));
}

static void add_vlans(Words *w, const PortSettings *s) {
        const VlanTag *native = native_of(&s->tags), *only = s->tags.n > 0 ? (const VlanTag *) s->tags.items[0] : NULL;

        if (!only)
                return;
        if (!port_settings_trunk(s)) {
                ADD(w, "vlan_mode=access");
                add_text(w, strf("tag=%" PRIu64, only->id));
                return;
        }
        ADD(w, !native ? "vlan_mode=trunk" : native->native == NATIVE_TAGGED ? "vlan_mode=native-tagged" : "vlan_mode=native-untagged");
        if (native)
                add_text(w, strf("tag=%" PRIu64, native->id));
        add_trunk(w, &s->tags);
}

/* --- limits --- */

/* What comes to the guest waits in a queue of the port's; nothing refers to a row of QoS but its port. */
static void add_inbound(Words *w, const char *name, const Bandwidth *b) {
        if (b->average == NUMBER_UNSET)
                return;
        ADD(w, "--", "--id=@qos", "create", "QoS", "type=linux-htb");
        add_text(w, strf("other_config:max-rate=%" PRIu64, b->average * 1000 * BITS));
        ADD(w, "--", "set", "Port", name, "qos=@qos");
}

/* In thousands of bits, each second and at once: Open vSwitch wants a tenth of the former as the latter at least. */
static void add_outbound(Words *w, const char *name, const Bandwidth *b) {
        bool limited = b->average != NUMBER_UNSET;
        uint64_t rate = limited ? b->average * BITS : 0, burst = limited && b->burst != NUMBER_UNSET ? b->burst * 1024 * BITS / 1000 : 0;

        ADD(w, "--", "set", "Interface", name);
        add_text(w, strf("ingress_policing_rate=%" PRIu64, rate));
        add_text(w, strf("ingress_policing_burst=%" PRIu64, MAX(burst, rate / 10)));
}

/* A row that is referred to can't go, not even together with the port that refers to it. */
static void drop_queue(Words *w, const char *name) {
        ADD(w, "--", "--if-exists", "destroy", "QoS", name);
        ADD(w, "--", "--if-exists", "clear", "Port", name, "qos");
}

int switch_port_limit(const char *name, const Bandwidth *inbound, const Bandwidth *outbound, char ***ret) {
        Words w = {};

        assert(name && inbound && outbound && ret);

        drop_queue(&w, name);
        add_inbound(&w, name, inbound);
        add_outbound(&w, name, outbound);
        return finish(&w, ret);
}

/* --- the port --- */

/* By these a controller knows whose port it is: names are libvirt's. */
static void add_names(Words *w, const SwitchPort *p) {
        _cleanup_free_ char *mac = p->mac.set ? field_mac.to_text(NULL, &p->mac) : NULL;
        const VirtualPort *v = &p->settings->virtual_port;

        if (p->mac.set && !mac)
                w->error = -ENOMEM;
        ADD(w, "--", "set", "Interface", p->name);
        if (mac)
                add_quoted(w, "external_ids:attached-mac", mac);
        add_id(w, "external_ids:iface-id", v->interface_id);
        if (!sd_id128_is_null(p->domain))
                add_id(w, "external_ids:vm-id", p->domain);
        if (v->profile_id)
                add_quoted(w, "external_ids:port-profile", v->profile_id);
        ADD(w, "external_ids:iface-status=active");
}

int switch_port_add(const SwitchPort *p, char ***ret) {
        Words w = {};

        assert(p && switch_port_name_is_good(p->name) && switch_port_name_is_good(p->bridge) && p->settings && ret);

        ADD(&w, "--", "--if-exists", "del-port", p->name);
        ADD(&w, "--", "add-port", p->bridge, p->name);
        add_vlans(&w, p->settings);
        if (p->isolated)
                ADD(&w, "protected=true");
        /* What a host that lost its power has left is nobody's. */
        ADD(&w, "other_config:transient=true");
        add_names(&w, p);
        add_inbound(&w, p->name, &p->settings->inbound);
        if (p->settings->outbound.average != NUMBER_UNSET)
                add_outbound(&w, p->name, &p->settings->outbound);
        return finish(&w, ret);
}

int switch_port_remove(const char *name, char ***ret) {
        Words w = {};

        assert(name && ret);

        ADD(&w, "--", "--if-exists", "del-port", name);
        return finish(&w, ret);
}

int switch_port_unlimit(const char *name, char ***ret) {
        Words w = {};

        assert(name && ret);

        drop_queue(&w, name);
        return finish(&w, ret);
}
