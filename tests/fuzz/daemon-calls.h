/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "daemon.h"

/* What the targets of daemons' D-Bus interfaces share. An input is a row of calls: each names a method of the daemon's vtables and an
 * object, and says with which values of the method's own signature it is called. The daemon is a whole one, with its real objects, in
 * folders of its own that are made anew for each input, and the calls come over its private socket; but it can run no program. */
typedef struct CallsTarget {
        const DaemonSpec *spec;
        struct {
                const char *path;        /* "config/domains/web.xml" */
                const char *text;
        } files[8];                      /* what is there when it starts */
        const char *words[40];           /* that its arguments may be, besides those that all daemons know */
        void (*first)(sd_bus *client);   /* is called once, of what needs programs; may be NULL */
} CallsTarget;

void calls_run(const CallsTarget *target, const uint8_t *data, size_t size);
