/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plug-journal.h"

#include <inttypes.h>
#include <string.h>

#include "../device/interface.h"
#include "../device/memory.h"
#include "../qmp/qmp-cmd.h"
#include "../qmp/qmp-script.h"
#include "companions.h"
#include "define.h"
#include "domain-ports.h"
#include "instance.h"
#include "guest-agent.h"
#include "manager.h"
#include "mem.h"
#include "retune.h"
#include "status.h"
#include "str.h"
#include "unplug.h"
#include "vcpus.h"
#include "xml-write.h"

/* A guest that has just been given a device may refuse to let go of it for some seconds. */
#define AGAIN_MIN_USEC (500u * 1000)
#define AGAIN_MAX_USEC (30u * 1000 * 1000)

DEFINE_ENUM(PlugWay, plug_way,
        [PLUG_BACK] = "back",
        [PLUG_ON] = "on",
        [PLUG_ASKED] = "asked",
        [PLUG_COUNTED] = "counted"
);

/* One record after the other is brought to its end. */
typedef struct PlugTakeUp {
        Instance *instance;
        json_t *record;
        bool looked;                 /* for devices that went while nobody listened */
        bool went_on;                /* the commands of this record were sent once more */
        uint64_t again_usec;
        QmpRequest *asked;
        QmpScript *script;
        sd_event_source *timer, *end;
} PlugTakeUp;

PlugTakeUp *plug_take_up_free(PlugTakeUp *t) {
        if (!t)
                return NULL;
        t->instance->take_up = NULL;
        define_cancel(t->instance->domain->manager, t);
        qmp_request_free(t->asked);
        qmp_script_free(t->script);
        sd_event_source_disable_unref(t->timer);
        sd_event_source_disable_unref(t->end);
        json_decref(t->record);
        free(t);
        return NULL;
}

/* --- records --- */

static const char *text_of(const json_t *record, const char *key) {
        return json_string_value(json_object_get(record, key));
}

static PlugWay way_of(const json_t *record) {
        return plug_way_from_string(text_of(record, "way"));
}

static int append_next(json_t *one, const DomainDef *next) {
        _cleanup_free_ char *text = NULL;
        int r = next ? xml_record_to_text(&next->head, XML_WRITE_LIVE | XML_WRITE_SECRETS, &text) : 0;

        return r < 0 || (text && json_object_set_new(one, "next", json_string(text)) < 0) ? -ENOMEM : 0;
}

static int append_record(Instance *i, const PlugRecord *r) {
        json_t *one = json_pack("{s:s, s:s, s:b, s:b, s:I}", "device", r->device, "way", plug_way_to_string(r->way), "limited", (int) r->limited,
                                "tuned", (int) r->tuned, "vcpus", (json_int_t) r->vcpus);

        if (!one || (r->commands && json_object_set_new(one, "commands", json_deep_copy(r->commands)) < 0) ||
            (r->config && json_object_set_new(one, "config", json_string(r->config)) < 0) ||
            append_next(one, r->next) < 0 || (r->companions && json_object_set(one, "companions", r->companions) < 0)) {
                json_decref(one);
                return -ENOMEM;
        }
        return json_array_append_new(i->journal, one) < 0 ? -ENOMEM : 0;
}

static bool drop(Instance *i, const char *device) {
        json_t *one;
        size_t k;

        json_array_foreach(i->journal, k, one)
                if (streq_null(text_of(one, "device"), device)) {
                        (void) json_array_remove(i->journal, k);
                        return true;
                }
        return false;
}

int plug_journal_write(Domain *d, const PlugRecord *record, Fault *f) {
        _unused_ json_auto_t *companions = record->companions;
        Instance *i = d->instance;

        assert(i && record->device);

        if (!i->journal)
                i->journal = json_array();
        (void) drop(i, record->device);
        if (!i->journal || append_record(i, record) < 0)
                return fault_oom(f);
        return status_must_save(d, f);
}

void plug_journal_drop(Domain *d, const char *device) {
        assert(d && device);

        if (d->instance)
                (void) drop(d->instance, device);
}

void plug_journal_end(Domain *d, const char *device) {
        assert(d && device);

        if (d->instance && drop(d->instance, device))
                status_save(d);
}

int plug_journal_check(const Domain *d, Fault *f) {
        const json_t *record;

        assert(d);

        if (!d->instance || !d->instance->take_up)
                return 0;
        record = d->instance->take_up->record;
        fault_set(f, FAULT_BUSY, EBUSY, "%s: what an interruption has left of %s in QEMU is being taken away", d->name,
                  (record ? text_of(record, "device") : NULL) ?: "a change");
        fault_hint(f, "try again in a moment; a guest that does not let go of it does so at its next boot");
        return -EBUSY;
}

/* --- each one's end --- */

static void next(PlugTakeUp *t);

static void end_record(PlugTakeUp *t) {
        Instance *i = t->instance;
        const char *device = text_of(t->record, "device");

        if (device)
                (void) drop(i, device);
        status_save(i->domain);
        json_decref(TAKE_PTR(t->record));
        next(t);
}

static int on_end(sd_event_source *source, void *userdata) {
        PlugTakeUp *t = userdata;

        t->end = sd_event_source_disable_unref(t->end);
        end_record(t);
        return 0;
}

/* Whoever calls this goes on using what ends here. */
static void on_restored(Domain *d, int error, const Fault *why, void *userdata) {
        PlugTakeUp *t = userdata;

        if (error < 0)
                (void) domain_warn(d, "its definition says what could not be done: %s", why ? fault_text(why) : strerror(-error));
        if (sd_event_add_defer(d->manager->event, &t->end, on_end, t) < 0)
                log_domain_warning(d, "out of memory: a change of it is not brought to its end");
}

/* What was defined before is defined again, and that only once: somebody may change it after that. */
static void restore_config(PlugTakeUp *t) {
        Domain *d = t->instance->domain;
        const char *text = text_of(t->record, "config");
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (!text || !d->config) {
                end_record(t);
                return;
        }
        r = define_domain(d->manager, text, strlen(text), 0, d, 0, on_restored, t, &f);
        if (r < 0)
                on_restored(d, r, fault_is_set(&f) ? &f : NULL, t);
}

static Qmp *get_qmp(void *userdata) {
        return ((PlugTakeUp *) userdata)->instance->qmp;
}

static void restore_limit(const PlugTakeUp *t) {
        Domain *d = t->instance->domain;
        const Device *device = domain_device_by_id(d->live, text_of(t->record, "device"));
        const Interface *n = device ? device_as_interface(device) : NULL;

        if (n && json_is_true(json_object_get(t->record, "limited")) && domain_port_limit(d, n, n, NULL, NULL, NULL) < 0)
                (void) domain_warn(d, "the bandwidth of %s is not what it was", device->id);
}

static int parse_next(const Domain *d, const char *text, DomainDef **ret, Fault *f) {
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        DomainDefaults as_is = d->manager->defaults;
        int r = domain_parse(text, strlen(text), &def, f);

        as_is.spare_root_ports = 0;
        if (r >= 0)
                r = domain_fill(def, &as_is, f);
        if (r >= 0)
                *ret = TAKE_PTR(def);
        return r;
}

static void restore_tuning(const PlugTakeUp *t) {
        _cleanup_(domain_def_freep) DomainDef *after = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Domain *d = t->instance->domain;
        const char *text = text_of(t->record, "next");
        int r;

        if (!text || !json_is_true(json_object_get(t->record, "tuned")))
                return;
        r = parse_next(d, text, &after, &f);
        if (r >= 0)
                r = retune_take_back(d, after, &f);
        if (r < 0)
                (void) domain_warn(d, "its tuning is not all what it was: %s", fault_is_set(&f) ? fault_text(&f) : strerror(-r));
}

static void count(PlugTakeUp *t);

static void on_script(const Fault *why, void *userdata) {
        PlugTakeUp *t = userdata;

        t->script = qmp_script_free(t->script);
        if (why)
                log_domain_debug(t->instance->domain, "%s", fault_text(why));
        if (!t->instance->qmp) { /* the record stays until there is one */
                (void) plug_take_up_free(t);
                return;
        }
        if (way_of(t->record) == PLUG_BACK) {
                companions_end(t->instance->domain, json_object_get(t->record, "companions"));
                restore_limit(t);
                restore_tuning(t);
        }
        if (way_of(t->record) == PLUG_COUNTED)
                count(t);
        else
                restore_config(t);
}

static void run_script(PlugTakeUp *t, bool back) {
        json_t *commands = json_object_get(t->record, "commands");
        const QmpScriptSpec spec = {
                .name = "take-up", .event = t->instance->domain->manager->event, .get_qmp = get_qmp, .commands = commands, .done = on_script,
                .userdata = t, .go_on = true, .from_end = back,
        };

        if (!json_is_array(commands) || qmp_script_new(&spec, &t->script) < 0)
                on_script(NULL, t);
}

static bool is_listed(const json_t *list, const char *id) {
        json_t *item;
        size_t k;

        json_array_foreach(list, k, item)
                if (streq_null(json_string_value(json_object_get(item, "name")), id))
                        return true;
        return false;
}

/* --- CPUs: those that are there stay, and the rest of them is plugged in as well --- */

static void on_cpus(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        PlugTakeUp *t = userdata;
        Domain *d = t->instance->domain;
        uint64_t n = vcpus_count(result), wanted = (uint64_t) json_integer_value(json_object_get(t->record, "vcpus"));

        t->asked = qmp_request_free(t->asked);
        if (why) {
                log_domain_debug(d, "%s", fault_text(why));
                (void) plug_take_up_free(t); /* the record stays until QEMU answers again */
                return;
        }
        if (!TAKE(t->went_on, true) && n > vcpus_live(d) && n < wanted) {
                run_script(t, false);
                return;
        }
        if (n != vcpus_live(d))
                vcpus_set_live(d, n);
        if (n == wanted)
                end_record(t);
        else
                restore_config(t);
}

static void count(PlugTakeUp *t) {
        if (vcpus_ask(t->instance->domain, on_cpus, t, &t->asked) < 0)
                (void) plug_take_up_free(t); /* QEMU is about to be asked again, or gone */
}

/* --- a device that is there stays: only its guest could give it back --- */

/* Those that come after it are done once more, and mind that not. */
static int keep_rest(json_t *record, size_t from) {
        json_t *commands = json_object_get(record, "commands"), *rest = json_array();

        for (size_t k = from; rest && k < json_array_size(commands); k++)
                if (json_array_append(rest, json_array_get(commands, k)) < 0) {
                        json_decref(rest);
                        return -ENOMEM;
                }
        if (json_object_set_new(record, "commands", rest) < 0 || json_object_set_new(record, "way", json_string(plug_way_to_string(PLUG_ON))) < 0)
                return -ENOMEM;
        (void) json_object_del(record, "config");
        (void) json_object_del(record, "next");
        return 0;
}

static int take_devices(Domain *d, const char *text, Fault *f) {
        _cleanup_(domain_def_freep) DomainDef *next = NULL;
        int r = parse_next(d, text, &next, f);

        for (size_t k = 0; r >= 0 && k < next->devices.n; k++) {
                Device *device = (Device *) next->devices.items[k];

                if (!device->id || domain_find_device(d->live, device->id))
                        continue;
                domain_count_memory(d->live, device, true);
                r = record_list_add(&d->live->devices, record_list_take(&next->devices, k--));
        }
        return r;
}

static void keep_device(PlugTakeUp *t, size_t added) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Instance *i = t->instance;
        Domain *d = i->domain;
        int r = take_devices(d, text_of(t->record, "next"), &f);

        if (r >= 0)
                r = keep_rest(t->record, added + 1);
        if (r < 0)
                (void) domain_warn(d, "%s is there, but not all of it is known: %s", text_of(t->record, "device"),
                                   fault_is_set(&f) ? fault_text(&f) : strerror(-r));
        i->companions = companions_join(i->companions, companions_adopt(d, json_object_get(t->record, "companions")));
        d->live_generation++;
        free_and_replace(&d->live_text, NULL);
        instance_connect_consoles(i);
        instance_watch_addresses(i);
        guest_agent_look(i);
        status_save(d);
        domain_changed(d, DOMAIN_CHANGED_LIVE | DOMAIN_CHANGED_DISKS);
        log_domain_notice(d, "%s was plugged in, and stays", text_of(t->record, "device"));
        run_script(t, false);
}

/* --- what it needed goes first, with the guest's consent --- */

static void on_device_asked(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        if (why)
                log_domain_debug((Domain *) userdata, "%s", fault_text(why));
}

/* Whether one is still there, which its guest is asked to let go of. */
static bool ask_devices(PlugTakeUp *t, const json_t *list) {
        Domain *d = t->instance->domain;
        bool any = false;
        json_t *step;
        size_t k;

        json_array_foreach(json_object_get(t->record, "commands"), k, step) {
                const json_t *undo = json_object_get(step, "undo");
                const char *id = text_of(json_object_get(undo, "arguments"), "id");

                if (!streq_null(text_of(undo, "execute"), "device_del") || !is_listed(list, id))
                        continue;
                any = true;
                (void) domain_ask(d, "device_del", qmp_arg_string("id", id), on_device_asked, d, NULL);
        }
        return any;
}

/* Which command plugs in the device itself; negative: none does, or it was not done. */
static int find_added(const PlugTakeUp *t, const json_t *list) {
        const json_t *commands = json_object_get(t->record, "commands");

        for (size_t k = json_array_size(commands); text_of(t->record, "next") && k-- > 0;) {
                const json_t *step = json_array_get(commands, k);

                if (streq_null(text_of(step, "execute"), "device_add"))
                        return is_listed(list, text_of(json_object_get(step, "arguments"), "id")) ? (int) k : -1;
        }
        return -1;
}

static void look(PlugTakeUp *t);

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        PlugTakeUp *t = userdata;

        t->timer = sd_event_source_disable_unref(t->timer);
        look(t);
        return 0;
}

static void look_again(PlugTakeUp *t) {
        Domain *d = t->instance->domain;

        if (t->again_usec == AGAIN_MIN_USEC)
                log_domain_notice(d, "its guest is to let go of %s, which was not plugged in to the end", text_of(t->record, "device"));
        if (sd_event_add_time_relative(d->manager->event, &t->timer, CLOCK_MONOTONIC, t->again_usec, 0, on_again, t) < 0)
                (void) domain_warn(d, "something may be left of %s in QEMU", text_of(t->record, "device"));
        t->again_usec = MIN(t->again_usec * 2, (uint64_t) AGAIN_MAX_USEC);
}

static void on_listed(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        PlugTakeUp *t = userdata;
        bool asked = way_of(t->record) == PLUG_ASKED;
        int added;

        t->asked = qmp_request_free(t->asked);
        if (why) {
                log_domain_debug(t->instance->domain, "%s", fault_text(why));
                look_again(t);
                return;
        }
        added = find_added(t, result);
        if (asked && is_listed(result, text_of(t->record, "device")))
                restore_config(t); /* who asked for it was told nothing: it stays until the guest lets go of it */
        else if (asked)
                end_record(t);
        else if (added >= 0)
                keep_device(t, (size_t) added);
        else if (ask_devices(t, result))
                look_again(t);
        else
                run_script(t, true);
}

static void look(PlugTakeUp *t) {
        if (domain_ask(t->instance->domain, "qom-list", qmp_arg_string("path", "/machine/peripheral"), on_listed, t, &t->asked) < 0)
                (void) plug_take_up_free(t); /* QEMU is about to be asked again, or gone */
}

void plug_journal_device_deleted(Instance *i) {
        assert(i);

        if (!i->take_up || !i->take_up->timer || i->take_up->asked)
                return;
        i->take_up->timer = sd_event_source_disable_unref(i->take_up->timer);
        look(i->take_up);
}

/* --- one after the other --- */

static void go_on(PlugTakeUp *t) {
        run_script(t, false);
}

/* One that nobody knows is taken back. */
static const struct {
        const char *words;
        void (*begin)(PlugTakeUp *t);
} ways[_PLUG_WAY_MAX] = {
        [PLUG_BACK] = { "it is taken back", look },
        [PLUG_ON] = { "it is brought to its end", go_on },
        [PLUG_ASKED] = { "its guest was asked to let go of it", look },
        [PLUG_COUNTED] = { "its CPUs are counted", count },
};

/* What a device has left behind goes before it is looked what else has gone, and both before anything waits for a guest. */
static json_t *choose(const PlugTakeUp *t) {
        json_t *one;
        size_t k;

        json_array_foreach(t->instance->journal, k, one)
                if (t->looked || way_of(one) != PLUG_BACK)
                        return one;
        return NULL;
}

static void next(PlugTakeUp *t) {
        Instance *i = t->instance;
        PlugWay way;

        t->record = json_incref(choose(t));
        if (!t->record && !t->looked) {
                t->looked = true;
                unplug_look(i);
                t->record = json_incref(choose(t));
        }
        if (!t->record) {
                (void) plug_take_up_free(t);
                return;
        }
        way = MAX(way_of(t->record), PLUG_BACK);
        log_domain_notice(i->domain, "a change of %s was interrupted; %s", text_of(t->record, "device"), ways[way].words);
        t->again_usec = AGAIN_MIN_USEC;
        t->went_on = false;
        ways[way].begin(t);
}

void plug_journal_take_up(Instance *i) {
        PlugTakeUp *t;

        assert(i);

        if (i->take_up || json_array_size(i->journal) == 0) {
                unplug_look(i);
                return;
        }
        t = new0(PlugTakeUp, 1);
        if (!t)
                return;
        t->instance = i;
        i->take_up = t;
        next(t);
}
