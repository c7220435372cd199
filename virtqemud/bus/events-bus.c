/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "events-bus.h"

#include "../qmp/qmp-cmd.h"
#include "device-bus.h"
#include "str.h"

/* org.virtbus.qemu1.Events, on the objects of domains: a signal for each kind of event, all with the same arguments, and the last of each
 * kind and device as a property. */

#define INTERFACE QEMU1_NAME ".Events"

/* --- details --- */

static int append_value(sd_bus_message *m, const GuestEventField *field, const json_t *value) {
        uint64_t n = 0;

        switch (field->type) {
        case 's':
                return sd_bus_message_append(m, "{sv}", field->name, "s", json_string_value(value));
        case 'b':
                return sd_bus_message_append(m, "{sv}", field->name, "b", json_is_true(value));
        case 'x':
                return sd_bus_message_append(m, "{sv}", field->name, "x", (int64_t) json_integer_value(value));
        default:
                (void) json_get_u64(value, NULL, &n);
                return sd_bus_message_append(m, "{sv}", field->name, "t", n);
        }
}

static int append_device(sd_bus_message *m, const Domain *d, const char *device) {
        _cleanup_free_ char *path = device_bus_path(d, device);

        return path ? sd_bus_message_append(m, "{sv}{sv}", "device", "s", device, "path", "o", path) : -ENOMEM;
}

static int append_details(sd_bus_message *m, const Domain *d, const DomainEvent *e) {
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "count", "t", e->count);
        if (r >= 0 && e->device)
                r = append_device(m, d, e->device);
        for (const GuestEventField *field = guest_event_row(e->kind)->fields; field->name && r >= 0; field++) {
                const json_t *value = json_object_get(e->details, field->name);

                if (value)
                        r = append_value(m, field, value);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* --- signals --- */

typedef struct Told {
        const Domain *domain;
        const DomainEvent *event;
} Told;

static int fill(sd_bus_message *m, void *userdata) {
        const Told *t = userdata;
        int r = sd_bus_message_append(m, "t", t->event->usec);

        return r < 0 ? r : append_details(m, t->domain, t->event);
}

/* What there was before there was this interface. */
static void emit_old(Service *s, const Domain *d, const DomainEvent *e, const char *path) {
        _cleanup_free_ char *device = e->device ? device_bus_path(d, e->device) : NULL;

        if (e->kind == GUEST_EVENT_PANICKED)
                (void) bus_emit(s->bus, path, QEMU1_DOMAIN, "GuestPanicked", "");
        else if (e->kind == GUEST_EVENT_IO_ERROR)
                (void) bus_emit(s->bus, path, QEMU1_DOMAIN, "IOError", "oss", device ?: "/",
                                json_string_value(json_object_get(e->details, "action")) ?: "",
                                json_string_value(json_object_get(e->details, "reason")) ?: "");
}

void events_bus_emit(Service *s, const Domain *d, const DomainEvent *e) {
        Told told = { d, e };
        char path[DOMAIN_PATH_MAX];

        (void) bus_emit_filled(s->bus, domain_path(d, path), INTERFACE, guest_event_to_string(e->kind), fill, &told);
        emit_old(s, d, e, path);
}

void events_bus_changed(Service *s, const Domain *d) {
        char path[DOMAIN_PATH_MAX];

        (void) domain_path(d, path);
        bus_changed(s->bus, path, INTERFACE, "LastEvents");
        bus_changed(s->bus, path, INTERFACE, "RTCOffset");
}

/* --- properties --- */

static int append_event(sd_bus_message *reply, const Domain *d, const DomainEvent *e) {
        int r = sd_bus_message_open_container(reply, 'r', "sta{sv}");

        if (r >= 0)
                r = sd_bus_message_append(reply, "st", guest_event_to_string(e->kind), e->usec);
        if (r >= 0)
                r = append_details(reply, d, e);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_GETTER(get_last_events) {
        const Domain *d = userdata;
        int r = sd_bus_message_open_container(reply, 'a', "(sta{sv})");

        for (size_t i = 0; i < events_count(d) && r >= 0; i++)
                r = append_event(reply, d, events_get(d, i));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_GETTER(get_rtc_offset) {
        const DomainEvent *last = events_last(userdata, GUEST_EVENT_RTC_CHANGED);

        return sd_bus_message_append(reply, "x", last ? (int64_t) json_integer_value(json_object_get(last->details, "offset")) : INT64_C(0));
}

#define EMITS SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define EVENT(name) SD_BUS_SIGNAL_WITH_NAMES(name, "ta{sv}", SD_BUS_PARAM(time) SD_BUS_PARAM(details), 0)

static const sd_bus_vtable events_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("LastEvents", "a(sta{sv})", get_last_events, 0, EMITS),
        SD_BUS_PROPERTY("RTCOffset", "x", get_rtc_offset, 0, EMITS),
        EVENT("Watchdog"),
        EVENT("Panicked"),
        EVENT("CrashLoaded"),
        EVENT("CrashDumped"),
        EVENT("IOError"),
        EVENT("WriteThreshold"),
        EVENT("TrayMoved"),
        EVENT("HostDeviceLost"),
        EVENT("HostDeviceReturned"),
        EVENT("MemoryFailure"),
        EVENT("RTCChanged"),
        EVENT("SuspendedToDisk"),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable *const events_vtables[] = { events_vtable, NULL };

const BusObject events_object = {
        .path = QEMU1_ROOT "/domain", .many = true, .interface = INTERFACE, .vtables = events_vtables,
        .find = domain_object_find, .details = domain_object_details,
};
