/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "macro.h"

/* Devices that come, go and change as the kernel itself tells: for hosts without udevd, whose news libsystemd's monitor waits for. */
typedef struct Uevents Uevents;

/* `action`: "add", "remove", "bind", …; `syspath` with /sys; `subsystem`: "usb". */
typedef void (*UeventFunc)(const char *action, const char *syspath, const char *subsystem, void *userdata);

int uevents_new(sd_event *event, UeventFunc f, void *userdata, Uevents **ret);
Uevents *uevents_free(Uevents *u);
DEFINE_CLEANUP(Uevents *, uevents_free)

/* One message of the kernel, zero bytes between its lines and behind the last. -EBADMSG: it is none. */
int uevent_parse(const char *text, size_t length, const char **ret_action, const char **ret_devpath, const char **ret_subsystem);
