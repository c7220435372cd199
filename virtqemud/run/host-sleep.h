/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* Guests don't see their host sleep: they are paused before, and go on afterwards with the right time. logind waits for us with a delay lock. */
typedef struct HostSleep HostSleep;

int host_sleep_new(Manager *m, HostSleep **ret);
HostSleep *host_sleep_free(HostSleep *s);
DEFINE_CLEANUP(HostSleep *, host_sleep_free)

/* A guest runs again that was paused so. */
void host_sleep_resumed(Domain *d);
/* One was found paused so by a daemon that was started anew: unless the host is about to sleep, it goes on. */
void host_sleep_adopted(Domain *d);
