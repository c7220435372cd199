/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fd-sweep.h"

#include <errno.h>
#include <fcntl.h>

#include "../qmp/qmp.h"
#include "monitor.h"

/* Neither read nor write, see open(2): QEMU takes one of a set's descriptors by what it may do, and so never this one. */
#define NO_ACCESS O_ACCMODE

static void on_added(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Instance *i = userdata;

        if (why)
                log_domain_debug(i->domain, "%s", fault_text(why));
        else
                monitor_tell(i, "remove-fd", json_pack("{s:O, s:O}", "fdset-id", json_object_get(result, "fdset-id"), "fd", json_object_get(result, "fd")));
}

/* What comes and goes has QEMU look at the set it is in, and close what else was removed from it. */
static int sweep(Instance *i, const json_t *set) {
        int fd = open("/dev/null", NO_ACCESS | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        /* No handle is kept: the Qmp dies with the Instance. */
        return qmp_send_fds(i->qmp, "add-fd", json_pack("{s:O}", "fdset-id", json_object_get(set, "fdset-id")), &fd, 1, 0, on_added, i, NULL);
}

static void on_sets(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Instance *i = userdata;
        json_t *set;
        size_t k;
        int r = 0;

        if (why) /* most likely it has ended, and closed all */
                log_domain_debug(i->domain, "%s", fault_text(why));
        json_array_foreach(result, k, set)
                if (r >= 0)
                        r = sweep(i, set);
        if (r < 0)
                (void) log_domain_warning_errno(i->domain, r, "QEMU may keep open what it has lost while it was paused: %m");
}

void fd_sweep(Instance *i) {
        assert(i);

        (void) domain_ask(i->domain, "query-fdsets", NULL, on_sets, i, NULL); /* -ENOTCONN: it closes all by itself */
}
