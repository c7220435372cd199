/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"

#include <linux/capability.h>

#include "../def/controller-def.h"
#include "mem.h"
#include "str.h"
#include "xml-read.h"

#define DEVICE(KIND, element, symbol) extern const DeviceOps device_##symbol;
#include "list.h"
#undef DEVICE

const DeviceOps *const device_ops[_DEVICE_KIND_MAX] = {
#define DEVICE(KIND, element, symbol) [DEVICE_##KIND] = &device_##symbol,
#include "list.h"
#undef DEVICE
};

static const char *const startup_words[] = { NULL, "mandatory", "requisite", "optional" };
const EnumTable startup_policy_table = { startup_words, ARRAY_SIZE(startup_words) };
static const char *const sgio_words[] = { NULL, "filtered", "unfiltered" };
const EnumTable sgio_table = { sgio_words, ARRAY_SIZE(sgio_words) };

const DeviceOps *device_ops_by_element(const char *element) {
        assert(element);

        for (size_t i = 0; i < ARRAY_SIZE(device_ops); i++)
                if (streq(device_ops[i]->element, element))
                        return device_ops[i];
        return NULL;
}

const RecordType *device_record_type(const char *element) {
        const DeviceOps *ops = device_ops_by_element(element);

        return ops ? ops->type : NULL;
}

const char *const *device_elements(size_t *ret_n) {
        static const char *const names[] = {
#define DEVICE(KIND, element, symbol) element,
#include "list.h"
#undef DEVICE
        };

        *ret_n = ARRAY_SIZE(names);
        return names;
}

static const DeviceOps *device_ops_by_type(const RecordType *type) {
        for (size_t i = 0; i < ARRAY_SIZE(device_ops); i++)
                if (device_ops[i]->type == type)
                        return device_ops[i];
        return NULL;
}

void device_bind_ops(DomainDef *def) {
        assert(def);

        for (size_t i = 0; i < def->devices.n; i++) {
                Device *d = (Device *) def->devices.items[i];

                d->ops = device_ops_by_type(d->head.type);
                assert(d->ops);
        }
}

void *device_new(DeviceKind kind) {
        Device *d;

        assert(kind >= 0 && kind < _DEVICE_KIND_MAX);

        d = record_new(device_ops[kind]->type);
        if (d)
                d->ops = device_ops[kind];
        return d;
}

void device_clear(Record *r) {
        Device *d = (Device *) r;

        d->id = (free(d->id), NULL);
}

void device_copied(Record *copy, const Record *from) {
        Device *d = (Device *) copy;
        const Device *original = (const Device *) from;

        d->ops = original->ops;
        /* Without memory the copy has no id; whoever uses it then says so, as for any device that was never filled. */
        d->id = original->id ? strdup(original->id) : NULL;
}

int companion_hostdev(Companion *c, const char *kind, const char *name, bool managed) {
        const char *words[] = { "virtqemu-hostdev", kind, name, managed ? "managed" : "ready" };
        bool device = streq(kind, "file") && str_after(name, "/dev/") && !str_after(name, "/dev/shm/");
        int r = 0;

        *c = (Companion) {
                .name = "hostdev", .package = "virtbus", .title = "Host Device", .lost = "does not come back to the host by itself",
                .greets = true, .explains = FAULT_NOT_SUPPORTED, .needs_user = true,
                /* Files of anybody, their access lists, drivers of devices and, where there is none, its module. */
                .privileges = UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_DAC_READ_SEARCH | UINT64_C(1) << CAP_FOWNER |
                              UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_SYS_MODULE | UINT64_C(1) << CAP_SYS_ADMIN,
        };
        for (size_t i = 0; i < ARRAY_SIZE(words) && r >= 0; i++)
                r = strv_push(&c->argv, words[i]);
        if (r >= 0 && device)
                r = strv_push(&c->files, name);
        return r;
}

int companion_vfio(Companion *c, const char *kind, const char *name, bool managed) {
        int r = companion_hostdev(c, kind, name, managed);

        if (r >= 0)
                r = strv_push(&c->files, "/dev/vfio/vfio");
        return r < 0 ? r : strv_push(&c->files, "char-vfio");
}

int companion_show(Companion *c, const char *path, const char *as) {
        int r = strv_push(&c->sees, path);

        c->moved = c->moved || !streq(path, as);
        return r < 0 ? r : strv_push(&c->sees, as);
}

void companion_clear(Companion *c) {
        strv_free(c->argv);
        strv_free(c->files);
        strv_free(c->sees);
        *c = (Companion) {};
}

const char *device_target(const Device *d) {
        return d->ops->target ? d->ops->target(d) : NULL;
}

SlotKind device_slot(const Device *d, const DomainDef *def) {
        return d->ops->slot ? d->ops->slot(d, def) : SLOT_NONE;
}

const char *device_fixed(const Device *d, const DomainDef *def) {
        return d->ops->fixed ? d->ops->fixed(d, def) : "QEMU has such devices only from its start";
}

DEFINE_ENUM(ChangeVerdict, change_verdict, "power-off", "reboot", "now")

typedef struct Update {
        const Device *before, *after;
        Fault *f;
} Update;

static int on_change(const char *path, const Field *field, const void *before, const void *after, void *userdata) {
        const Update *u = userdata;

        if (field->flags & FIELD_LIVE)
                return 0;
        if (u->after->ops->verdict && u->after->ops->verdict(u->before, u->after, path) != CHANGE_AT_POWER_OFF)
                return 0;
        xml_fault_below(&u->after->head, path, u->f, FAULT_NOT_SUPPORTED, "it can't be changed while the guest runs");
        fault_hint(u->f, "change the definition: it is so when the VM is started the next time");
        return -EOPNOTSUPP;
}

int device_check_update(const Device *before, const Device *after, Fault *f) {
        Update u = { before, after, f };

        assert(before && after);

        return record_diff(&before->head, &after->head, NULL, on_change, &u);
}

const char *device_never_fixed(const Device *d, const DomainDef *def) {
        return NULL;
}

Device *device_next(const DomainDef *def, DeviceKind kind, size_t *i) {
        while (*i < def->devices.n) {
                Device *d = (Device *) def->devices.items[(*i)++];

                if (device_kind(d) == kind)
                        return d;
        }
        return NULL;
}

Controller *domain_find_controller(const DomainDef *def, ControllerType type, uint64_t index) {
        assert(def);

        DEVICE_FOREACH(Controller, c, def, DEVICE_CONTROLLER)
                if (c->type == (int) type && c->index == index)
                        return c;
        return NULL;
}

Controller *domain_add_controller(DomainDef *def, ControllerType type, ControllerModel model, uint64_t index) {
        Controller *c;

        assert(def);

        c = device_new(DEVICE_CONTROLLER);
        if (!c)
                return NULL;

        if (index == NUMBER_UNSET)
                for (index = 0; domain_find_controller(def, type, index);)
                        index++;
        c->type = type;
        c->model = model;
        c->index = index;
        return record_list_add(&def->devices, c) < 0 ? NULL : c;
}

Device *domain_device_by_id(const DomainDef *def, const char *id) {
        for (size_t i = 0; def && id && i < def->devices.n; i++)
                if (streq_null(((const Device *) def->devices.items[i])->id, id))
                        return (Device *) def->devices.items[i];
        return NULL;
}

Device *domain_find_device(const DomainDef *def, const char *name) {
        assert(def);
        assert(name);

        for (size_t i = 0; i < def->devices.n; i++) {
                Device *d = (Device *) def->devices.items[i];

                if (streq_null(d->id, name) || streq_null(d->alias, name) || streq_null(device_target(d), name))
                        return d;
        }
        return NULL;
}
