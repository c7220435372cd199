/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "firewalld.h"

#include "log.h"
#include "mem.h"
#include "sdbus.h"
#include "str.h"

#define FIREWALLD_NAME "org.fedoraproject.FirewallD1"
#define FIREWALLD_PATH "/org/fedoraproject/FirewallD1"
/* Installed with us: units/firewalld-zone.xml. */
#define ZONE_OURS "virtbus"

struct Firewalld {
        sd_bus *bus;
        sd_bus_slot *owner, *reloaded;
        void (*back)(void *userdata);
        void *userdata;
};

Firewalld *firewalld_free(Firewalld *f) {
        if (!f)
                return NULL;
        sd_bus_slot_unref(f->owner);
        sd_bus_slot_unref(f->reloaded);
        sd_bus_unref(f->bus);
        free(f);
        return NULL;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *before, *now;
        Firewalld *f = userdata;

        if (sd_bus_message_read(m, "sss", &name, &before, &now) >= 0 && *now)
                f->back(f->userdata);
        return 0;
}

static int on_reloaded(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Firewalld *f = userdata;

        f->back(f->userdata);
        return 0;
}

int firewalld_new(sd_bus *bus, void (*back)(void *userdata), void *userdata, Firewalld **ret) {
        _cleanup_(firewalld_freep) Firewalld *f = new0(Firewalld, 1);
        int r;

        assert(bus && back && ret);

        if (!f)
                return -ENOMEM;
        *f = (Firewalld) { .bus = sd_bus_ref(bus), .back = back, .userdata = userdata };
        r = sd_bus_add_match_async(bus, &f->owner,
                                   "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
                                   "member='NameOwnerChanged',arg0='" FIREWALLD_NAME "'", on_owner_changed, NULL, f);
        if (r >= 0)
                r = sd_bus_match_signal_async(bus, &f->reloaded, FIREWALLD_NAME, FIREWALLD_PATH, FIREWALLD_NAME, "Reloaded", on_reloaded, NULL, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(f);
        return 0;
}

static bool is_absent(const sd_bus_error *e) {
        return sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) || sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER);
}

static void tell(const sd_bus_error *e) {
        log_warning("firewalld does not put a bridge into its zone: %s", e->message ?: e->name);
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        if (e && !is_absent(e))
                tell(e);
        return 0;
}

static int on_answer_to_zone(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        if (e)
                tell(e);
        return 0;
}

/* That it does not run matters only to whoever has asked for a zone. */
void firewalld_add(Firewalld *f, const char *zone, const char *bridge) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if (!f)
                return;
        r = sd_bus_message_new_method_call(f->bus, &m, FIREWALLD_NAME, FIREWALLD_PATH, FIREWALLD_NAME ".zone", "changeZoneOfInterface");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", zone ?: ZONE_OURS, bridge);
        if (r >= 0)
                r = sd_bus_call_async(f->bus, NULL, m, zone ? on_answer_to_zone : on_answer, NULL, 0);
        if (r < 0)
                (void) log_warning_errno(r, "firewalld can't be told of the bridge %s: %m", bridge);
}
