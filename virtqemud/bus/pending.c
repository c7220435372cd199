/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pending.h"

#include "../device/device.h"
#include "../plan/tuning.h"
#include "bus-auth.h"
#include "mem.h"
#include "service.h"
#include "str.h"

typedef struct Pending {
        const DomainDef *live, *config;
        const Device *before, *after;    /* of the device that is looked at */
        const char *device;              /* its id; "" beside devices */
        sd_bus_message *reply;           /* a(sssss), or … */
        char ***paths;                   /* … the names alone */
} Pending;

static const char *device_key(const Record *r) {
        return device_record_type(r->type->element) == r->type ? ((const Device *) r)->id : NULL;
}

/* What a running domain has more than its definition is no change of it: the format of a volume, too, where its pool has told it, and the switch
 * where its network has. */
static bool is_of_the_run(const char *path, const Field *field, const void *after) {
        static const char *const told[] = { "driver/@type", "virtualport/@type", "virtualport/parameters/@interfaceid" };
        bool is_left_open = !after || !field->type->is_set(after), is_told = false;

        for (size_t i = 0; i < ARRAY_SIZE(told); i++)
                is_told = is_told || str_ends(path, told[i]);
        return (field->flags & FIELD_LIVE) || strstr(path, "backingStore") || (is_left_open && is_told);
}

/* --- names --- */

static int on_path(const char *path, const Field *field, const void *before, const void *after, void *userdata) {
        const Pending *p = userdata;

        return is_of_the_run(path, field, after) || streq(path, "currentMemory") ? 0 : strv_push(p->paths, path);
}

static int make_comparable(const Domain *d, DomainDef **ret) {
        int r;

        if (!d->live || !d->config)
                return 0;
        r = domain_copy(d->live, ret);
        if (r >= 0)
                domain_drop_live(*ret);
        return r;
}

BUS_PUBLIC_GETTER(domain_get_pending) {
        _cleanup_(domain_def_freep) DomainDef *live = NULL;
        _cleanup_strv_ char **paths = NULL;
        const Domain *d = userdata;
        Pending p = { .paths = &paths };
        int r = make_comparable(d, &live);

        if (r >= 0 && live)
                r = record_diff(&live->head, &d->config->head, device_key, on_path, &p);
        return r < 0 ? r : sd_bus_message_append_strv(reply, paths);
}

/* --- with values and verdicts --- */

static ChangeVerdict verdict_of(const Pending *p, const char *path) {
        if (p->before && p->after)
                return p->after->ops->verdict ? p->after->ops->verdict(p->before, p->after, path) : CHANGE_AT_POWER_OFF;
        return domain_verdict(path);
}

static char *value_text(const Field *field, const void *value) {
        bool shown = value && field->type->to_text && field->type->is_set(value) && !(field->flags & FIELD_SECRET);

        return shown ? field->type->to_text(field, value) : strdup("");
}

static int append(const Pending *p, const char *path, const char *before, const char *after, ChangeVerdict verdict) {
        int r = sd_bus_message_append(p->reply, "(sssss)", p->device, path, before, after, change_verdict_to_string(verdict));

        return MIN(r, 0); /* more than that would end the comparison */
}

static int on_change(const char *path, const Field *field, const void *before, const void *after, void *userdata) {
        _cleanup_free_ char *was = NULL, *is = NULL;
        const Pending *p = userdata;

        if (is_of_the_run(path, field, after) || str_after(path, "devices/"))
                return 0;
        was = value_text(field, before);
        is = value_text(field, after);
        return was && is ? append(p, path, was, is, verdict_of(p, path)) : -ENOMEM;
}

/* One that comes or goes as a whole. */
static int append_device(const Pending *p, const Device *d, const DomainDef *def, bool there) {
        ChangeVerdict verdict = device_fixed(d, def) ? CHANGE_AT_POWER_OFF : CHANGE_NOW;

        return append(p, "", there ? d->ops->element : "", there ? "" : d->ops->element, verdict);
}

static int list_devices(Pending *p) {
        int r = 0;

        for (size_t i = 0; i < p->live->devices.n && r >= 0; i++) {
                p->before = (const Device *) p->live->devices.items[i];
                p->device = p->before->id;
                p->after = domain_device_by_id(p->config, p->before->id);
                if (p->after && p->after->ops == p->before->ops)
                        r = record_diff(&p->before->head, &p->after->head, NULL, on_change, p);
                else
                        r = append_device(p, p->before, p->live, true);
        }
        for (size_t i = 0; i < p->config->devices.n && r >= 0; i++) {
                const Device *d = (const Device *) p->config->devices.items[i];

                p->device = d->id;
                if (!domain_device_by_id(p->live, d->id))
                        r = append_device(p, d, p->config, false);
        }
        return r;
}

static int list(sd_bus_message *reply, const Domain *d) {
        _cleanup_(domain_def_freep) DomainDef *live = NULL;
        Pending p = { .config = d->config, .device = "", .reply = reply };
        int r = make_comparable(d, &live);

        if (r < 0 || !live)
                return r;
        p.live = live;
        r = record_diff(&live->head, &d->config->head, device_key, on_change, &p);
        return r < 0 ? r : list_devices(&p);
}

BUS_PUBLIC_HANDLER(domain_method_list_pending, BUS_OPEN) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sssss)");
        if (r >= 0)
                r = list(reply, userdata);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
