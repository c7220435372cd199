/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crash-dump.h"

#include <inttypes.h>
#include <time.h>

#include "dump.h"
#include "events.h"
#include "manager.h"
#include "mem.h"
#include "monitor.h"
#include "program.h"
#include "str.h"

static void go_on(Domain *d, int action) {
        Instance *i = d->instance;

        if (!i || !i->panicked) /* it has ended meanwhile, or was reset by somebody */
                return;
        if (!i->qmp)
                instance_kill(i);
        else if (action == LIFECYCLE_COREDUMP_DESTROY)
                monitor_tell(i, "quit", NULL);
        else {
                monitor_tell(i, "system_reset", NULL);
                monitor_tell(i, "cont", NULL);
        }
}

static void on_dumped(Domain *d, const char *file, const Fault *why) {
        json_t *data = why ? NULL : json_pack("{s:s}", "file", file);

        if (why)
                (void) domain_warn(d, "the memory of its crashed guest was not kept: %s", fault_text(why));
        else if (data)
                events_add(d, GUEST_EVENT_CRASH_DUMPED, NULL, data);
        json_decref(data);
        if (d->live)
                go_on(d, d->live->on_crash);
}

static char *file_name(const Domain *d) {
        time_t now = time(NULL);
        char text[32];
        struct tm tm;

        if (!gmtime_r(&now, &tm) || strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm) == 0)
                return NULL;
        return strf("%s-%s.dump", d->name, text);
}

static int begin(Domain *d, Fault *f) {
        const Manager *m = d->manager;
        _cleanup_free_ char *program = program_beside("virtqemu-dump"), *name = file_name(d);
        _cleanup_free_ char *largest = strf("%" PRIu64, m->settings.dump_folder_max), *needed = strf("%" PRIu64, d->live->memory);
        _cleanup_free_ char *usual = strf("%s/dump", m->dirs.state);
        char *folder = m->settings.dump_folder ?: usual;
        char *const argv[] = { program, folder, name, largest, needed, NULL };

        if (!program || !name || !largest || !needed || !folder)
                return fault_oom(f);
        return dump_guest_to(d, argv, on_dumped, f);
}

void crash_dump(Instance *i) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Domain *d = i->domain;

        if (!d->live || (d->live->on_crash != LIFECYCLE_COREDUMP_DESTROY && d->live->on_crash != LIFECYCLE_COREDUMP_RESTART) ||
            dump_is_under_way(d))
                return;
        if (begin(d, &f) < 0)
                on_dumped(d, NULL, &f);
}
