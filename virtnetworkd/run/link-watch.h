/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "macro.h"

/* Tells which links of the host go. */
typedef struct LinkWatch LinkWatch;

#define LINK_ANY 0
/* LINK_ANY: some went that were not told. */
typedef void (*LinkGone)(int index, void *userdata);

int link_watch_new(sd_event *event, LinkGone gone, void *userdata, LinkWatch **ret);
LinkWatch *link_watch_free(LinkWatch *w);
DEFINE_CLEANUP(LinkWatch *, link_watch_free)
