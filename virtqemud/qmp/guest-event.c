/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-event.h"

#include <inttypes.h>
#include <string.h>
#include <syslog.h>

#include "mem.h"
#include "qmp-cmd.h"
#include "str.h"

#define WORD_MAX 1024u               /* of one detail: a path. QEMU's words are shorter */

DEFINE_ENUM(GuestEvent, guest_event,
        [GUEST_EVENT_WATCHDOG] = "Watchdog",
        [GUEST_EVENT_PANICKED] = "Panicked",
        [GUEST_EVENT_CRASH_LOADED] = "CrashLoaded",
        [GUEST_EVENT_CRASH_DUMPED] = "CrashDumped",
        [GUEST_EVENT_IO_ERROR] = "IOError",
        [GUEST_EVENT_WRITE_THRESHOLD] = "WriteThreshold",
        [GUEST_EVENT_TRAY_MOVED] = "TrayMoved",
        [GUEST_EVENT_MEMORY_FAILURE] = "MemoryFailure",
        [GUEST_EVENT_RTC_CHANGED] = "RTCChanged",
        [GUEST_EVENT_SUSPENDED_TO_DISK] = "SuspendedToDisk",
        [GUEST_EVENT_HOST_DEVICE_LOST] = "HostDeviceLost",
        [GUEST_EVENT_HOST_DEVICE_RETURNED] = "HostDeviceReturned")

static const GuestEventField action_fields[] = { { "action", 's' }, {} };
/* Hyper-V's parameters, or where a processor of s390 stood. */
static const GuestEventField panic_fields[] = {
        { "action", 's' }, { "type", 's' }, { "reason", 's' }, { "arg1", 't' }, { "arg2", 't' }, { "arg3", 't' }, { "arg4", 't' }, { "arg5", 't' },
        { "core", 't' }, { "psw-mask", 't' }, { "psw-addr", 't' }, {}
};
static const GuestEventField dump_fields[] = { { "file", 's' }, {} };
static const GuestEventField io_fields[] = { { "action", 's' }, { "operation", 's' }, { "reason", 's' }, { "nospace", 'b' }, {} };
static const GuestEventField threshold_fields[] = { { "write-threshold", 't' }, { "amount-exceeded", 't' }, {} };
static const GuestEventField tray_fields[] = { { "tray-open", 'b' }, {} };
static const GuestEventField memory_fields[] = { { "recipient", 's' }, { "action", 's' }, { "action-required", 'b' }, { "recursive", 'b' }, {} };
static const GuestEventField rtc_fields[] = { { "offset", 'x' }, { "adjustment", 'x' }, {} };
static const GuestEventField source_fields[] = { { "source", 's' }, {} };
static const GuestEventField no_fields[] = { {} };

#define ID(...) SD_ID128_MAKE(__VA_ARGS__)
static const GuestEventRow rows[_GUEST_EVENT_MAX] = {
        [GUEST_EVENT_WATCHDOG] = {
                ID(ab,ac,cc,61,61,6e,48,f7,a9,eb,ad,1e,03,ae,1d,cd), LOG_WARNING, "the guest's watchdog fired: {action}", action_fields },
        [GUEST_EVENT_PANICKED] = {
                ID(cc,83,01,58,b3,97,41,73,b0,b4,da,48,83,50,e5,7b), LOG_ERR, "the guest has panicked: {action}", panic_fields },
        [GUEST_EVENT_CRASH_LOADED] = {
                ID(b5,b9,79,76,38,54,46,e4,82,72,98,44,9a,cf,0f,01), LOG_ERR, "the guest has crashed, and dumps itself", action_fields },
        [GUEST_EVENT_CRASH_DUMPED] = {
                ID(3d,b2,0f,4e,91,a7,4c,5c,b6,3e,52,07,8d,19,e4,7a), LOG_NOTICE, "the memory of the crashed guest is kept in {file}", dump_fields },
        [GUEST_EVENT_IO_ERROR] = {
                ID(0f,b0,ee,f2,25,bd,44,1d,a3,3b,19,29,e6,a4,3e,87), LOG_WARNING, "I/O error on {device}: {reason} ({action})", io_fields },
        [GUEST_EVENT_WRITE_THRESHOLD] = {
                ID(ec,7b,ce,a7,af,49,43,a6,97,82,12,9e,44,ac,4b,d1), LOG_NOTICE,
                "the guest has written {amount-exceeded} bytes beyond the mark at {write-threshold} of {device}", threshold_fields },
        [GUEST_EVENT_TRAY_MOVED] = {
                ID(ae,69,2f,4f,ad,32,4b,42,b6,c9,68,70,00,9a,b1,ed), LOG_INFO, "the tray of {device} has moved; it is open: {tray-open}", tray_fields },
        [GUEST_EVENT_MEMORY_FAILURE] = {
                ID(5b,6e,a9,fd,5e,0a,46,59,a3,3b,9d,26,72,49,81,14), LOG_ERR, "a page of memory of the {recipient} is broken: {action}", memory_fields },
        [GUEST_EVENT_RTC_CHANGED] = {
                ID(a3,97,05,97,0d,cc,47,82,a7,f0,ff,b5,b1,46,1d,e7), LOG_INFO, "the guest has set its clock {offset} seconds from where it began",
                rtc_fields },
        [GUEST_EVENT_SUSPENDED_TO_DISK] = {
                ID(c6,af,74,87,8a,74,43,41,a0,b2,07,52,d2,a8,c5,b2), LOG_INFO, "the guest has put itself to sleep on its disk", no_fields },
        [GUEST_EVENT_HOST_DEVICE_LOST] = {
                ID(7d,1e,5c,0a,2b,9f,4c,6e,8a,53,d0,f1,b2,84,6e,97), LOG_WARNING,
                "{device} was pulled out of the host: the USB device with {source}", source_fields },
        [GUEST_EVENT_HOST_DEVICE_RETURNED] = {
                ID(f2,4b,7a,91,5c,e8,4d,0f,b6,a3,90,2e,57,c1,d8,6b), LOG_NOTICE,
                "{device} was given to the guest: the host has the USB device with {source}",
                source_fields },
};

const GuestEventRow *guest_event_row(GuestEvent e) {
        assert(e >= 0 && e < _GUEST_EVENT_MAX);

        return &rows[e];
}

static const json_t *find(const json_t *data, const char *name) {
        static const char *const inside[] = { "info", "flags" };
        const json_t *value = json_object_get(data, name);

        for (size_t i = 0; i < ARRAY_SIZE(inside) && !value; i++)
                value = json_object_get(json_object_get(data, inside[i]), name);
        return value;
}

/* As the table has it, whatever QEMU says; NULL: it is not that. */
static json_t *take(const json_t *value, char type) {
        const char *text = json_string_value(value);
        uint64_t n;

        switch (type) {
        case 's':
                return text ? json_stringn(text, strnlen(text, WORD_MAX)) : NULL;
        case 'b':
                return json_is_boolean(value) ? json_boolean(json_is_true(value)) : NULL;
        case 'x':
                return json_is_integer(value) ? json_integer(json_integer_value(value)) : NULL;
        default:
                if (text && parse_u64(text, 10, &n) >= 0)
                        return json_string(text);
                return json_is_integer(value) && json_integer_value(value) >= 0 ? json_integer(json_integer_value(value)) : NULL;
        }
}

json_t *guest_event_details(GuestEvent e, const json_t *data) {
        json_t *details = json_object();

        for (const GuestEventField *field = guest_event_row(e)->fields; details && field->name; field++) {
                json_t *value = take(find(data, field->name), field->type);

                if (value && json_object_set_new(details, field->name, value) < 0) {
                        json_decref(details);
                        return NULL;
                }
        }
        return details;
}

const char *guest_event_device(const json_t *data) {
        static const char *const names[] = { "node-name", "id", "device" };
        const char *found = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(names) && is_empty(found); i++)
                found = json_string_value(json_object_get(data, names[i]));
        return found;
}

static void add_value(Text *t, const json_t *value) {
        if (json_is_string(value))
                text_add(t, json_string_value(value));
        else if (json_is_integer(value))
                text_addf(t, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        else
                text_add(t, json_is_boolean(value) ? yes_no(json_is_true(value)) : "?");
}

char *guest_event_text(GuestEvent e, const char *device, const json_t *details) {
        const char *p = guest_event_row(e)->text, *brace, *end;
        _cleanup_text_ Text t = TEXT_INIT;

        while ((brace = strchr(p, '{')) && (end = strchr(brace, '}'))) {
                char name[32] = {};

                text_addn(&t, p, (size_t) (brace - p));
                memcpy(name, brace + 1, MIN((size_t) (end - brace - 1), sizeof(name) - 1));
                if (streq(name, "device"))
                        text_add(&t, device ?: "?");
                else
                        add_value(&t, json_object_get(details, name));
                p = end + 1;
        }
        text_add(&t, p);
        return text_finish(&t);
}
