/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link-removal.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "link.h"
#include "mem.h"

typedef struct LinkRemoval {
        char name[IFNAMSIZ];
        LinkRemoved done;
        void *userdata;
} LinkRemoval;

/* The connection is one of its own: answers to ours are not for it. */
static int remove_now(int index) {
        _cleanup_(links_freep) Links *links = NULL;
        int r = links_new(&links, NULL);

        return r < 0 ? r : links_remove(links, index);
}

static int on_ended(_unused_ sd_event_source *source, const siginfo_t *si, void *userdata) {
        const LinkRemoval *l = userdata;
        int error = si->si_code == CLD_EXITED ? si->si_status : EIO;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (error > 0)
                fault_set(&f, FAULT_NETWORK, error, "can't remove the link %s: %s", l->name, strerror(error));
        l->done(error > 0 ? &f : NULL, l->userdata);
        return 0;
}

int link_remove_beside(sd_event *event, int index, const char *name, LinkRemoved done, void *userdata, sd_event_source **ret) {
        _cleanup_(sd_event_source_unrefp) sd_event_source *source = NULL;
        _cleanup_free_ LinkRemoval *l = new0(LinkRemoval, 1);
        pid_t pid;
        int r;

        assert(event && index > 0 && name && done && ret);

        if (!l)
                return -ENOMEM;
        *l = (LinkRemoval) { .done = done, .userdata = userdata };
        (void) snprintf(l->name, sizeof(l->name), "%s", name);
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                _exit(-remove_now(index));
        r = sd_event_add_child(event, &source, pid, WEXITED, on_ended, l);
        if (r < 0)
                return r;
        (void) sd_event_source_set_destroy_callback(source, free);
        TAKE_PTR(l);
        *ret = TAKE_PTR(source);
        return 0;
}
