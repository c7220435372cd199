/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <systemd/sd-id128.h>

#include "table.h"

/* What happens to a guest and is to be told, each with its details: a row of a table says what QMP calls it, which of QEMU's words
 * are kept, and what people read in the journal. Pure. */
typedef enum GuestEvent {
        GUEST_EVENT_WATCHDOG,
        GUEST_EVENT_PANICKED,
        GUEST_EVENT_CRASH_LOADED,
        GUEST_EVENT_CRASH_DUMPED,
        GUEST_EVENT_IO_ERROR,
        GUEST_EVENT_WRITE_THRESHOLD,
        GUEST_EVENT_TRAY_MOVED,
        GUEST_EVENT_MEMORY_FAILURE,
        GUEST_EVENT_RTC_CHANGED,
        GUEST_EVENT_SUSPENDED_TO_DISK,
        GUEST_EVENT_HOST_DEVICE_LOST,
        GUEST_EVENT_HOST_DEVICE_RETURNED,
        _GUEST_EVENT_MAX,
        _GUEST_EVENT_INVALID = -EINVAL,
} GuestEvent;
DECLARE_ENUM(GuestEvent, guest_event); /* what they are called on D-Bus */

typedef struct GuestEventField {
        const char *name;            /* also on D-Bus */
        char type;                   /* 's', 'b', 't', 'x' */
} GuestEventField;

typedef struct GuestEventRow {
        sd_id128_t message_id;       /* units/virtbus.catalog explains it */
        int level;                   /* of the journal */
        const char *text;            /* {name} stands for that detail, {device} for the device */
        const GuestEventField *fields; /* ends in one without a name */
} GuestEventRow;
const GuestEventRow *guest_event_row(GuestEvent e);

/* The details out of an event's data, from wherever in it they are; others than those in the table are left out. New object; NULL: out of
 * memory. A number beyond INT64_MAX is a string in it, as json_get_u64() reads it. */
json_t *guest_event_details(GuestEvent e, const json_t *data);
/* What the device is called there: an id, a node's name. NULL: there is none. */
const char *guest_event_device(const json_t *data);

/* What is written to the journal; new string. NULL: out of memory. */
char *guest_event_text(GuestEvent e, const char *device, const json_t *details);
