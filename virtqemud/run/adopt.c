/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "adopt.h"

#include <dirent.h>
#include <signal.h>

#include "../device/tpm.h"
#include "clock-keep.h"
#include "companions.h"
#include "displays.h"
#include "domain-ports.h"
#include "events.h"
#include "file.h"
#include "instance.h"
#include "mem.h"
#include "start.h"
#include "status.h"
#include "str.h"
#include "usb-return.h"

static int restore_domain(Manager *m, Status *s, DomainDef *live, Domain **ret) {
        _cleanup_(domain_def_freep) DomainDef *owned = live;
        Domain *d = manager_find_uuid(m, s->uuid);
        int r;

        if (!d) {
                r = domain_new(m, s->name, s->uuid, NULL, &d); /* transient */
                if (r < 0)
                        return r;
        }
        d->live = TAKE_PTR(owned);
        d->keeps_state = domain_keeps_tpm(d->live);
        d->live_generation = 1;
        d->start_usec = s->start_usec;
        d->warnings = TAKE_PTR(s->warnings);
        d->tainted = TAKE_PTR(s->tainted);
        d->pause_reason = TAKE_PTR(s->pause_reason);
        *ret = d;
        r = events_from_json(d, s->events);
        clock_take_up(d);
        domain_changed(d, DOMAIN_CHANGED_LIVE | DOMAIN_CHANGED_CONFIG); /* devices are what they are beside those that are running */
        return r;
}

static int restore_instance(Domain *d, Status *s, Fault *f) {
        Instance *i;
        int r;

        r = instance_new(d, &i, f);
        if (r < 0)
                return r;
        i->unit = TAKE_PTR(s->unit);
        i->machine_name = TAKE_PTR(s->machine_name);
        i->handed_over = s->handed_over;
        i->running_guest = s->running_guest;
        i->terminated = s->terminated;
        i->journal = json_is_array(s->journal) ? json_incref(s->journal) : NULL;
        (void) usb_return_from_json(i, s->awaited);

        /* Set directly: this is where the domain was, not a change. */
        d->state = s->state;
        d->reason = s->reason;
        d->state_usec = s->state_usec;
        return instance_set_supervisor(i, s->supervisor_pid, s->supervisor_start, f);
}

static int reconnect(Domain *d, const Status *s, Fault *f) {
        Instance *i = d->instance;

        instance_connect_consoles(i);
        (void) displays_open(d, true, &i->displays, NULL);
        i->companions = companions_adopt(d, s->companions);
        instance_watch_addresses(i);
        domain_ports_put_back(d, NULL);
        if (s->step)
                return start_resume(d, s->start_flags, f);
        (void) instance_find_qemu(i, NULL);
        return instance_connect_monitor(i, f);
}

/* The plan was not given away: there is no QEMU, and the supervisor that waited for it has lost us and ends. */
static void roll_back(Domain *d) {
        log_domain_notice(d, "its start was interrupted before QEMU ran; rolled back");
        (void) process_signal(&d->instance->supervisor, SIGQUIT);
        instance_ended(d->instance);
}

static int adopt(Manager *m, Status *s, Fault *f) {
        DomainDefaults as_is = m->defaults;
        DomainDef *live;
        Domain *d;
        int r;

        as_is.spare_root_ports = 0; /* it has what it was started with */
        r = domain_parse(s->definition, strlen(s->definition), &live, f);
        if (r < 0)
                return r;
        r = domain_fill(live, &as_is, f);
        if (r < 0) {
                domain_def_free(live);
                return r;
        }
        r = restore_domain(m, s, live, &d);
        if (r < 0)
                return r;
        r = restore_instance(d, s, f);
        if (!d->instance)
                return r;

        if (s->step && !s->handed_over) {
                roll_back(d);
                return 0;
        }
        if (r >= 0)
                r = reconnect(d, s, f);
        if (r < 0 && !process_is_alive(&d->instance->qemu)) {
                log_domain_notice(d, "has ended while nobody watched: %s", fault_text(f));
                fault_clear(f);
                instance_ended(d->instance);
                return 0;
        }
        return r;
}

static int on_status_file(const char *name, const char *text, size_t length, int error, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_status_ Status s = {};
        Manager *m = userdata;
        int r = error;

        if (r >= 0)
                r = status_parse(text, length, &s, &f);
        if (r >= 0)
                r = adopt(m, &s, &f);
        if (r < 0)
                log_error("the run state of %s can't be taken up: %s", s.name ?: name,
                          fault_is_set(&f) ? fault_text(&f) : strerror(-r));
        return 0;
}

/* Of starts that came to their end with our predecessor, before it could keep that they were. */
static void remove_abandoned(Manager *m) {
        _cleanup_free_ char *folder = strf("%s/qemu", m->dirs.run);
        const struct dirent *e;
        DIR *d = folder ? opendir(folder) : NULL;
        sd_id128_t id;

        while (d && (e = readdir(d))) {
                _cleanup_free_ char *path = strf("%s/%s", folder, e->d_name);

                if (!path || sd_id128_from_string(e->d_name, &id) < 0 || store_exists(m->statuses, e->d_name))
                        continue;
                log_notice("%s is of a start that was interrupted; it is removed", path);
                (void) tree_remove(path);
        }
        if (d)
                (void) closedir(d);
}

int adopt_all(Manager *m) {
        int r;

        assert(m);

        r = store_scan(m->statuses, on_status_file, m);
        if (r >= 0)
                remove_abandoned(m);
        return r;
}
