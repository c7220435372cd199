/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handover.h"

#include <systemd/sd-login.h>

#include "instance.h"
#include "manager.h"
#include "process.h"
#include "start.h"
#include "str.h"
#include "unit.h"

static int check_unit(const Manager *m, const char *name, pid_t pid, Fault *f) {
        _cleanup_free_ char *expected = NULL, *unit = NULL;
        int r;

        r = unit_name_from_instance("virtqemu", name, ".service", &expected);
        if (r >= 0)
                r = m->user ? sd_pid_get_user_unit(pid, &unit) : sd_pid_get_unit(pid, &unit);
        if (r < 0 || !streq(unit, expected))
                return fault_set(f, FAULT_ACCESS_DENIED, EACCES, "process %d is not the supervisor of %s: it is in %s, not in %s",
                                 pid, name, unit ?: "no unit", expected ?: "one of that name");
        return 0;
}

/* A connection may outlive the process that made it. What then has its number is of another unit, so of another user. */
static int check_process(const Manager *m, const char *name, pid_t pid, uid_t uid, Fault *f) {
        Process p = PROCESS_INIT;
        uid_t now = 0;
        gid_t group;
        int r, q;

        r = process_open(pid, 0, &p);
        if (r >= 0)
                r = check_unit(m, name, pid, f);
        q = r < 0 ? r : process_user(&p, &now, &group); /* as long as it lives, all that was the same process */
        process_close(&p);
        if (r >= 0 && (q < 0 || now != uid))
                r = -EACCES;
        return r < 0 ? fault_set(f, FAULT_ACCESS_DENIED, EACCES, "process %d is not the one that asks for the plan of %s", pid, name) : 0;
}

static int check_supervisor(const Domain *d, const char *name, pid_t pid, Fault *f) {
        if (d && (!d->instance || d->instance->supervisor.pid != pid))
                return fault_set(f, FAULT_ACCESS_DENIED, EACCES, "process %d is not the supervisor of %s", pid, name);
        return 0;
}

/* Who may ask is found out before what is there: nobody else is told which names there are. */
void handover_request(Manager *m, const char *name, PlanRequest *request) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Domain *d;
        int r;

        assert(m && name && request);

        d = manager_find_name(m, name);
        r = m->by_unit ? check_process(m, name, request->pid, request->uid, &f) : check_supervisor(d, name, request->pid, &f);
        if (r >= 0 && !d)
                r = fault_set(&f, FAULT_NO_SUCH_DOMAIN, ENOENT, "no domain is called \"%s\"", name);
        if (r >= 0) {
                start_supervisor_asks(d, request);
                return;
        }
        log_warning("a plan was refused: %s", fault_text(&f));
        request->refuse(request, &f);
}
