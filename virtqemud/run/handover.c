/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handover.h"

#include <systemd/sd-login.h>

#include "instance.h"
#include "manager.h"
#include "process.h"
#include "start.h"
#include "str.h"
#include "unit.h"

static int check_unit(const Domain *d, pid_t pid, Fault *f) {
        _cleanup_free_ char *expected = NULL, *unit = NULL;
        int r;

        r = unit_name_from_instance("virtqemu", d->name, ".service", &expected);
        if (r < 0)
                return r;
        r = d->manager->user ? sd_pid_get_user_unit(pid, &unit) : sd_pid_get_unit(pid, &unit);
        if (r < 0 || !streq(unit, expected))
                return fault_set(f, FAULT_ACCESS_DENIED, EACCES, "process %d is not the supervisor of %s: it is in %s, not in %s",
                                 pid, d->name, r < 0 ? "no unit" : unit, expected);
        return 0;
}

/* A connection may outlive the process that made it. What then has its number is of another unit, so of another user. */
static int check_process(const Domain *d, pid_t pid, uid_t uid, Fault *f) {
        Process p = PROCESS_INIT;
        uid_t now = 0;
        int r, q;

        r = process_open(pid, 0, &p);
        if (r >= 0)
                r = check_unit(d, pid, f);
        q = r < 0 ? r : process_user(&p, &now); /* as long as it lives, all that was the same process */
        process_close(&p);
        if (r >= 0 && (q < 0 || now != uid))
                r = -EACCES;
        return r < 0 ? fault_set(f, FAULT_ACCESS_DENIED, EACCES, "process %d is not the one that asks for the plan of %s", pid, d->name) : 0;
}

int handover_check(const Domain *d, pid_t pid, uid_t uid, Fault *f) {
        assert(d);

        if (d->manager->by_unit)
                return check_process(d, pid, uid, f);
        if (!d->instance || d->instance->supervisor.pid != pid)
                return fault_set(f, FAULT_ACCESS_DENIED, EACCES, "process %d is not the supervisor of %s", pid, d->name);
        return 0;
}

void handover_request(Manager *m, const char *name, PlanRequest *request) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Domain *d;

        assert(m && name && request);

        d = manager_find_name(m, name);
        if (!d)
                fault_set(&f, FAULT_NO_SUCH_DOMAIN, ENOENT, "no domain is called \"%s\"", name);
        else if (handover_check(d, request->pid, request->uid, &f) >= 0) {
                start_supervisor_asks(d, request);
                return;
        }
        log_warning("a plan was refused: %s", fault_text(&f));
        request->refuse(request, &f);
}
