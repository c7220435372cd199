/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link-change.h"

#include <string.h>

#include "../device/device.h"
#include "../device/interface.h"
#include "../plan/domain.h"
#include "../qmp/qmp-cmd.h"
#include "define.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "status.h"
#include "str.h"
#include "xml-write.h"

typedef struct Change {
        Manager *manager;
        sd_id128_t domain;           /* which may go meanwhile */
        char *device;
        bool up, live, config;
        int before;                  /* LinkState of the running one */
        char *text;                  /* the definition that is to be */
        LinkChangeDone done;
        void *userdata;
} Change;

static Change *change_free(Change *c) {
        if (!c)
                return NULL;
        free(c->device);
        free(c->text);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(Change *, change_free)

static void finish(Change *c, const Fault *why) {
        c->done(why, c->userdata);
        change_free(c);
}

static Interface *find(const DomainDef *def, const char *id) {
        for (size_t i = 0; def && i < def->devices.n; i++) {
                const Device *d = (const Device *) def->devices.items[i];

                if (streq_null(d->id, id))
                        return device_as_interface(d);
        }
        return NULL;
}

/* --- of the running one --- */

static json_t *arguments_of(const Change *c, bool up) {
        return json_pack("{s:s, s:b}", "name", c->device, "up", (int) up);
}

static void set_live(Domain *d, const Change *c, int state) {
        Interface *i = find(d->live, c->device);

        if (!i)
                return;
        i->link = state;
        free_and_replace(&d->live_text, NULL);
        status_save(d);
        domain_changed(d, DOMAIN_CHANGED_LIVE);
}

/* The definition could not be changed: the cable is as it was. */
static void take_back(Domain *d, const Change *c) {
        if (!d->instance || !d->instance->qmp || !find(d->live, c->device))
                return;
        (void) qmp_send(d->instance->qmp, "set_link", arguments_of(c, c->before != LINK_DOWN), 0, NULL, NULL, NULL);
        set_live(d, c, c->before);
}

/* --- of the definition --- */

static void on_defined(Domain *d, int error, const Fault *why, void *userdata) {
        Change *c = userdata;
        Domain *changed = manager_find_uuid(c->manager, c->domain);

        if (error < 0 && c->live && changed)
                take_back(changed, c);
        finish(c, error < 0 ? why : NULL);
}

static void define(Domain *d, Change *c) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (!c->config)
                finish(c, NULL);
        else if (define_domain(c->manager, c->text, strlen(c->text), 0, d, 0, on_defined, c, &f) < 0)
                on_defined(NULL, -f.error, &f, c);
}

static int make_text(const Domain *d, Change *c, Fault *f) {
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        _cleanup_free_ char *text = NULL;
        Interface *i;
        int r = define_export(d, XML_WRITE_SECRETS, &text, f);

        if (r >= 0)
                r = domain_parse(text, strlen(text), &def, f);
        if (r >= 0)
                r = domain_fill(def, &d->manager->defaults, f);
        if (r < 0)
                return r;
        i = find(def, c->device);
        if (!i)
                return fault_set(f, FAULT_NO_SUCH_DEVICE, ENODEV, "the definition of %s has no interface %s", d->name, c->device);
        i->link = c->up ? LINK_UP : LINK_DOWN;
        return domain_format(def, XML_WRITE_SECRETS, &c->text, f);
}

/* --- both --- */

static void on_set(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault gone = FAULT_INIT;
        Change *c = userdata;
        Domain *d = manager_find_uuid(c->manager, c->domain);

        if (!d)
                fault_set(&gone, FAULT_DISCONNECTED, ENOENT, "the domain has gone");
        if (why || !d) {
                finish(c, why ?: &gone);
                return;
        }
        set_live(d, c, c->up ? LINK_UP : LINK_DOWN);
        define(d, c);
}

static int check_live(const Domain *d, const Change *c, Fault *f) {
        if (!c->live)
                return 0;
        if (!d->instance || !d->instance->qmp)
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: only its definition can be changed", d->name,
                                 domain_state_to_string(d->state));
        return find(d->live, c->device) ? 0 : fault_set(f, FAULT_NO_SUCH_DEVICE, ENODEV, "%s has no interface %s", d->name, c->device);
}

static int check_config(const Domain *d, Change *c, Fault *f) {
        if (!c->config)
                return 0;
        if (!d->config)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "%s is transient: it has only its live definition", d->name);
        return make_text(d, c, f);
}

static int change_new(Domain *d, const LinkChange *how, LinkChangeDone done, void *userdata, Change **ret) {
        _cleanup_(change_freep) Change *c = new0(Change, 1);
        bool said = how->live || how->config;

        if (!c)
                return -ENOMEM;
        *c = (Change) {
                .manager = d->manager, .domain = d->uuid, .device = strdup(how->device), .up = how->up, .live = said ? how->live : d->live != NULL,
                .config = said ? how->config : !d->live, .done = done, .userdata = userdata,
        };
        if (!c->device)
                return -ENOMEM;
        *ret = TAKE_PTR(c);
        return 0;
}

int link_change(Domain *d, const LinkChange *how, LinkChangeDone done, void *userdata, Fault *f) {
        _cleanup_(change_freep) Change *c = NULL;
        int r;

        assert(d && how && done);

        if (change_new(d, how, done, userdata, &c) < 0)
                return fault_oom(f);
        r = check_live(d, c, f);
        if (r >= 0)
                r = check_config(d, c, f);
        if (r < 0)
                return r;
        if (how->validate_only) {
                finish(TAKE_PTR(c), NULL);
                return 0;
        }
        if (!c->live) {
                define(d, TAKE_PTR(c));
                return 0;
        }
        c->before = find(d->live, c->device)->link;
        r = qmp_send(d->instance->qmp, "set_link", arguments_of(c, c->up), 0, on_set, c, NULL);
        if (r < 0)
                return fault_set(f, FAULT_QEMU, -r, "QEMU of %s can't be asked: %s", d->name, strerror(-r));
        TAKE_PTR(c);
        return 0;
}
