/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unplug.h"

#include "../device/device.h"
#include "../device/memory.h"
#include "../plan/hotplug.h"
#include "../qmp/qmp-cmd.h"
#include "../qmp/qmp-script.h"
#include "attach.h"
#include "detach.h"
#include "caps-probe.h"
#include "guest-agent.h"
#include "manager.h"
#include "mem.h"
#include "plug-journal.h"
#include "status.h"
#include "str.h"
#include "companions.h"

/* The guest can't be given back what it has let go of: what could not be taken away is tried again. */
#define AGAIN_USEC (200u * 1000)
#define TRIES_MAX 10u

/* One device that has gone, until nothing is left of it. */
struct Unplug {
        Instance *instance;
        char *device;
        QemuCaps *caps;
        CapsWait *caps_wait;
        json_t *commands, *nodes;
        QmpRequest *asked;
        QmpScript *script;
        Steps *steps;
        unsigned tries;
        sd_event_source *again;
        Unplug *next;
};

/* What one try has found. */
static void clear(Unplug *u) {
        u->steps = steps_free(u->steps);
        u->script = qmp_script_free(u->script);
        u->asked = qmp_request_free(u->asked);
        json_decref(TAKE_PTR(u->commands));
        json_decref(TAKE_PTR(u->nodes));
        u->caps_wait = caps_wait_free(u->caps_wait);
        caps_free(TAKE_PTR(u->caps));
}

Unplug *unplug_free(Unplug *u) {
        Unplug **at;

        if (!u)
                return NULL;
        for (at = &u->instance->unplugs; *at && *at != u; at = &(*at)->next)
                ;
        if (*at)
                *at = u->next;
        clear(u);
        sd_event_source_disable_unref(u->again);
        free(u->device);
        free(u);
        return NULL;
}

/* --- which commands --- */

static int make_commands(Unplug *u, Fault *f) {
        const Device *d = domain_device_by_id(u->instance->domain->live, u->device);

        return d ? hotplug_clean(u->instance->domain->live, d, u->caps, &u->commands, f) : -ENODEV;
}

static void on_caps(CapsStore *store, const char *binary, QemuCaps *caps, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Unplug *u = userdata;
        int r;

        u->caps_wait = caps_wait_free(u->caps_wait);
        if (caps) {
                u->caps = caps_ref(caps);
                r = make_commands(u, &f);
        } else {
                (void) fault_copy(&f, why);
                r = -why->error;
        }
        steps_continue(u->steps, r, &f);
}

static int begin_capabilities(void *userdata, Fault *f) {
        Unplug *u = userdata;
        CapsStore *store = u->instance->domain->manager->caps;
        const char *emulator = u->instance->domain->live->emulator;
        QemuCaps *known = caps_store_peek(store, emulator);
        int r;

        if (!known)
                return caps_store_get(store, emulator, on_caps, u, &u->caps_wait);
        u->caps = caps_ref(known);
        r = make_commands(u, f);
        return r < 0 ? r : 1;
}

/* --- which descriptors QEMU holds for it --- */

static void on_nodes(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Unplug *u = userdata;
        const Device *d;

        u->asked = qmp_request_free(u->asked);
        if (why)
                (void) fault_copy(&f, why);
        u->nodes = json_incref(result);
        d = domain_device_by_id(u->instance->domain->live, u->device);
        steps_continue(u->steps, why ? -why->error : d ? hotplug_drop_images(d, result, u->commands) : 0, &f);
}

static int begin_nodes(void *userdata, Fault *f) {
        Unplug *u = userdata;

        return domain_ask(u->instance->domain, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), on_nodes, u, &u->asked);
}

static void on_fdsets(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Unplug *u = userdata;
        const Device *d = domain_device_by_id(u->instance->domain->live, u->device);

        u->asked = qmp_request_free(u->asked);
        if (why)
                (void) fault_copy(&f, why);
        steps_continue(u->steps, why ? -why->error : d ? hotplug_drop_kept(d, u->nodes, result, u->commands) : 0, &f);
}

static int begin_fdsets(void *userdata, Fault *f) {
        Unplug *u = userdata;

        return domain_ask(u->instance->domain, "query-fdsets", NULL, on_fdsets, u, &u->asked);
}

/* --- and off they go --- */

static void on_script(const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Unplug *u = userdata;

        if (why)
                (void) fault_copy(&f, why);
        steps_continue(u->steps, why ? -why->error : 0, &f);
}

static Qmp *get_qmp(void *userdata) {
        return ((Unplug *) userdata)->instance->qmp;
}

static int begin_clean(void *userdata, Fault *f) {
        Unplug *u = userdata;
        Domain *d = u->instance->domain;
        const PlugRecord record = { .device = u->device, .way = PLUG_ON, .commands = u->commands };
        const QmpScriptSpec spec = {
                .event = u->instance->domain->manager->event, .get_qmp = get_qmp, .commands = u->commands, .done = on_script, .userdata = u,
                .go_on = true, .name = "clean",
        };

        (void) plug_journal_write(d, &record, NULL); /* it has gone, whoever knows of it */
        return qmp_script_new(&spec, &u->script);
}

static const StepTable unplug_steps = STEP_TABLE("unplug",
        { "capabilities", begin_capabilities, NULL },
        { "nodes", begin_nodes, NULL },
        { "fdsets", begin_fdsets, NULL },
        { "clean", begin_clean, NULL },
);

static void forget(Instance *i, const char *id) {
        Domain *d = i->domain;

        for (size_t k = 0; d->live && k < d->live->devices.n; k++)
                if (streq_null(((const Device *) d->live->devices.items[k])->id, id)) {
                        domain_count_memory(d->live, (const Device *) d->live->devices.items[k], false);
                        record_free(record_list_take(&d->live->devices, k));
                        break;
                }
        instance_forget_console(i, id);
        plug_journal_drop(d, id);
        companions_forget(i->companions, id);
        instance_watch_addresses(i);
        guest_agent_look(i);
        d->live_generation++;
        free_and_replace(&d->live_text, NULL);
        status_save(d);
        domain_changed(d, DOMAIN_CHANGED_LIVE | DOMAIN_CHANGED_DISKS);
}

/* `left`: why something is still there; NULL: nothing is. */
static void end(Unplug *u, const char *left) {
        _cleanup_free_ char *device = TAKE_PTR(u->device);
        Instance *i = u->instance;

        if (left)
                (void) domain_warn(i->domain, "something is left of %s in QEMU: %s", device, left);
        unplug_free(u);
        log_domain_info(i->domain, "%s was unplugged%s", device, i->domain->state == DOMAIN_RUNNING ? "" : "; QEMU closes its files when the guest runs");
        forget(i, device);
        detach_device_gone(i->domain, device);
}

static int take_steps(Unplug *u);

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        Unplug *u = userdata;
        int r;

        u->again = sd_event_source_disable_unref(u->again);
        r = take_steps(u);
        if (r < 0)
                end(u, strerror(-r));
        return 0;
}

static bool try_again(Unplug *u) {
        return u->tries < TRIES_MAX &&
               sd_event_add_time_relative(u->instance->domain->manager->event, &u->again, CLOCK_MONOTONIC, AGAIN_USEC, 0, on_again, u) >= 0;
}

static void on_finished(Steps *s, int error, const Fault *f, void *userdata) {
        _cleanup_free_ char *why = error < 0 ? strdup(f && fault_is_set(f) ? fault_text(f) : strerror(-error)) : NULL;
        Unplug *u = userdata;

        clear(u);
        if (error >= 0 || !try_again(u))
                end(u, why);
}

static bool is_under_way(const Instance *i, const char *device) {
        for (const Unplug *u = i->unplugs; u; u = u->next)
                if (streq_null(u->device, device))
                        return true;
        return false;
}

static int take_steps(Unplug *u) {
        static const StepsWatch watch = { .finished = on_finished };

        u->tries++;
        return steps_new(u->instance->domain->manager->event, &unplug_steps, 0, &watch, u, &u->steps);
}

static int begin(Instance *i, const char *device) {
        Unplug *u = new0(Unplug, 1);
        int r;

        if (!u)
                return -ENOMEM;
        *u = (Unplug) { .instance = i, .device = strdup(device), .next = i->unplugs };
        i->unplugs = u;
        detach_guest_let_go(i->domain, device);
        r = u->device ? take_steps(u) : -ENOMEM;
        if (r < 0)
                unplug_free(u);
        return r;
}

void unplug_device_deleted(Instance *i, const char *device) {
        int r;

        assert(i && device);

        attach_device_deleted(i->domain, device);
        plug_journal_device_deleted(i);
        if (!domain_device_by_id(i->domain->live, device) || is_under_way(i, device))
                return;
        r = begin(i, device);
        if (r < 0)
                (void) log_domain_warning_errno(i->domain, r, "something is left of %s in QEMU: %m", device);
}

void unplug_device_refused(Instance *i, const char *device) {
        Device *d;

        assert(i && device);

        d = domain_device_by_id(i->domain->live, device);
        if (!d)
                return;
        log_domain_notice(i->domain, "the guest does not let go of %s", device);
        d->leaving = false;
        free_and_replace(&i->domain->live_text, NULL);
        status_save(i->domain);
        domain_changed(i->domain, DOMAIN_CHANGED_LIVE);
        detach_device_refused(i->domain, device);
}

/* --- what went while nobody listened --- */

static bool is_listed(const json_t *list, const char *id) {
        json_t *item;
        size_t i;

        json_array_foreach(list, i, item)
                if (streq_null(json_string_value(json_object_get(item, "name")), id))
                        return true;
        return false;
}

static bool can_have_gone(const Device *d, const DomainDef *live) {
        bool is_plugged = device_slot(d, live) != SLOT_NONE || d->ops->kind == DEVICE_MEMORY; /* DIMMs are on no bus */

        return d->id && is_plugged && !device_fixed(d, live);
}

static void on_listed(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Instance *i = userdata;
        const DomainDef *live = i->domain->live;

        for (size_t k = 0; result && live && k < live->devices.n; k++) {
                const Device *d = (const Device *) live->devices.items[k];

                if (can_have_gone(d, live) && !is_listed(result, d->id))
                        unplug_device_deleted(i, d->id);
        }
}

void unplug_look(Instance *i) {
        assert(i);

        (void) domain_ask(i->domain, "qom-list", qmp_arg_string("path", "/machine/peripheral"), on_listed, i, NULL);
}
