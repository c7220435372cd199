/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "link.h"

/* A guest's connection beside the host on one of its links. The kernel keeps a macvtap when nobody has it open any more; here it goes with its
 * last descriptor as a tap does: a lock on the open file says that somebody has it, also to a daemon that was not there when it was made. */
typedef struct Macvtaps Macvtaps;

/* `any`: whether there are some, told when that changes. */
typedef void (*MacvtapsBusy)(bool any, void *userdata);

/* Takes up those that are in use, and removes the rest. */
int macvtaps_new(sd_event *event, Links *links, MacvtapsBusy busy, void *userdata, Macvtaps **ret);
/* All stay. */
Macvtaps *macvtaps_free(Macvtaps *m);
DEFINE_CLEANUP(Macvtaps *, macvtaps_free)

typedef struct MacvtapSpec {
        const char *link;            /* of the host */
        const char *mode;            /* bridge, private, vepa, passthrough */
        MacAddress mac;              /* the guest's; unset: by chance */
        uint32_t queues;
        const char *domain;          /* whose it is, for people; or NULL */
} MacvtapSpec;

/* As port_open(). */
int macvtaps_open(Macvtaps *m, const MacvtapSpec *spec, char *ret_name, int *fds, Fault *f);
/* How many of ours are on that link. */
unsigned macvtaps_count(const Macvtaps *m, const char *link);
/* Their names. */
int macvtaps_list(const Macvtaps *m, const char *link, char ***names, size_t *n);
