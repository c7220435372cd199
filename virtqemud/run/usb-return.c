/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "usb-return.h"

#include "../plan/domain.h"
#include "attach.h"
#include "detach.h"
#include "events.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "registry.h"
#include "status.h"
#include "str.h"
#include "usb-host.h"
#include "xml-write.h"

#define AGAIN_USEC (500u * 1000)     /* while something else changes the VM, or udev is not ready with the device */
#define TRIES 10u
#define AWAITED_MAX 64u

/* Each of the list: {"device": id it had, "source": what it is told by, "definition", "defined": it is in the persistent one as well,
 * "inside": QEMU has still got what is left of it}. */
struct UsbReturn {
        Instance *instance;
        json_t *list;
        sd_event_source *timer;
        unsigned tries;
};

UsbReturn *usb_return_free(UsbReturn *u) {
        if (!u)
                return NULL;
        sd_event_source_disable_unref(u->timer);
        json_decref(u->list);
        free(u);
        return NULL;
}

static const char *text_of(const json_t *entry, const char *key) {
        return json_string_value(json_object_get(entry, key)) ?: "";
}

/* --- what is waited for --- */

static bool means(const Hostdev *h, const char *source) {
        _cleanup_free_ char *text = h && h->type == HOSTDEV_USB ? hostdev_text(h) : NULL;

        return text && streq(text, source);
}

static bool has_source(const DomainDef *def, const char *source) {
        for (size_t i = 0; def && i < def->devices.n; i++)
                if (means(device_as_hostdev((const Device *) def->devices.items[i]), source))
                        return true;
        return false;
}

static UsbReturn *get(Instance *i) {
        UsbReturn *u = i->usb_return ?: new0(UsbReturn, 1);

        if (!u)
                return NULL;
        if (!u->list)
                u->list = json_array();
        u->instance = i;
        i->usb_return = u;
        return u->list ? u : NULL;
}

static int await(Instance *i, const Hostdev *h, bool inside) {
        _cleanup_free_ char *text = NULL, *source = hostdev_text(h);
        UsbReturn *u = get(i);
        json_t *entry;

        if (!u || !source || xml_record_to_text(&h->device.head, 0, &text) < 0)
                return -ENOMEM;
        if (json_array_size(u->list) >= AWAITED_MAX)
                return -E2BIG;
        u->tries = 0;
        entry = json_pack("{s:s*, s:s, s:s, s:b, s:b}", "device", h->device.id, "source", source, "definition", text,
                          "defined", (int) has_source(i->domain->config, source), "inside", (int) inside);
        return json_array_append_new(u->list, entry) < 0 ? -ENOMEM : 0;
}

int usb_return_await(Instance *i, const Hostdev *h) {
        assert(i && h);

        return await(i, h, false);
}

static void tell(Domain *d, GuestEvent kind, const char *device, const char *source) {
        json_auto_t *data = json_pack("{s:s}", "source", source);

        if (data)
                events_add(d, kind, device, data);
}

/* --- one thing after the other --- */

static void look(UsbReturn *u);

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        UsbReturn *u = userdata;

        u->timer = sd_event_source_disable_unref(u->timer);
        look(u);
        return 0;
}

static void look_later(UsbReturn *u, uint64_t usec) {
        Domain *d = u->instance->domain;

        if (!u->timer && sd_event_add_time_relative(d->manager->event, &u->timer, CLOCK_MONOTONIC, usec, 0, on_timer, u) < 0)
                log_domain_warning(d, "out of memory: USB devices are not given back to it");
}

/* NULL: it has ended meanwhile, or nothing is waited for any more. */
static UsbReturn *of_domain(const Domain *d) {
        return d->instance ? d->instance->usb_return : NULL;
}

static void forget(UsbReturn *u, const char *source) {
        for (size_t k = 0; k < json_array_size(u->list); k++)
                if (streq(text_of(json_array_get(u->list, k), "source"), source)) {
                        (void) json_array_remove(u->list, k);
                        return;
                }
}

static void on_detached(Domain *d, const Fault *why, void *userdata) {
        UsbReturn *u = of_domain(d);

        if (why)
                log_domain_debug(d, "%s", fault_text(why));
        if (u)
                look_later(u, why ? AGAIN_USEC : 0);
}

static void try_again(UsbReturn *u, const Fault *why) {
        Domain *d = u->instance->domain;

        if (++u->tries < TRIES)
                look_later(u, AGAIN_USEC);
        else
                (void) domain_warn(d, "what has become of a USB device of the host can't be followed: %s", fault_text(why));
}

/* Who it is given to has it: that is found by what it is told by, since its id may be another one. */
static void on_attached(Domain *d, const char *device, char **plan, const Fault *why, void *userdata) {
        const Hostdev *h = why ? NULL : device_as_hostdev(domain_device_by_id(d->live, device));
        _cleanup_free_ char *source = h ? hostdev_text(h) : NULL;
        UsbReturn *u = of_domain(d);

        if (u && why)
                try_again(u, why);
        if (!u || !source)
                return;
        tell(d, GUEST_EVENT_HOST_DEVICE_RETURNED, device, source);
        forget(u, source);
        status_save(d);
        look_later(u, 0);
}

static int take_away(UsbReturn *u, json_t *entry, Fault *f) {
        const DetachSpec spec = { .device = text_of(entry, "device"), .live = true };

        return detach_device(u->instance->domain, &spec, on_detached, NULL, NULL, f);
}

/* 1: it is not there. */
static int give_back(UsbReturn *u, const json_t *entry, Fault *f) {
        const char *text = text_of(entry, "definition");
        const AttachSpec spec = { .live = true };
        const Hostdev *h;
        Device *device;
        int r = device_parse(text, strlen(text), &device, f);

        if (r < 0)
                return r;
        h = device_as_hostdev(device);
        if (h && usb_host_is_there(h))
                return attach_device(u->instance->domain, device, &spec, on_attached, NULL, NULL, f);
        record_free(&device->head);
        return 1;
}

/* Somebody has taken it out of the definition meanwhile, or given the VM one like it. */
static bool is_unwanted(const Domain *d, const json_t *entry) {
        const char *source = text_of(entry, "source");

        return has_source(d->live, source) || (json_is_true(json_object_get(entry, "defined")) && d->config && !has_source(d->config, source));
}

/* 1: nothing is to be done for it now. */
static int look_at(UsbReturn *u, size_t *k, Fault *f) {
        json_t *entry = json_array_get(u->list, *k);
        Domain *d = u->instance->domain;
        bool inside = json_is_true(json_object_get(entry, "inside"));

        if (inside && domain_device_by_id(d->live, text_of(entry, "device")))
                return take_away(u, entry, f);
        if (inside)
                (void) json_object_set_new(entry, "inside", json_false());
        if (!is_unwanted(d, entry))
                return give_back(u, entry, f);
        (void) json_array_remove(u->list, (*k)--);
        return 1;
}

static void look(UsbReturn *u) {
        Domain *d = u->instance->domain;

        if (json_array_size(u->list) == 0)
                return;
        if (d->operation || !u->instance->monitor_ready || !d->live) {
                look_later(u, AGAIN_USEC);
                return;
        }
        for (size_t k = 0; k < json_array_size(u->list); k++) {
                _cleanup_fault_ Fault f = FAULT_INIT;
                int r = look_at(u, &k, &f);

                if (r > 0)
                        continue;
                if (r < 0)
                        try_again(u, &f);
                return;
        }
}

/* --- news --- */

static void lose(Domain *d, Hostdev *h) {
        _cleanup_free_ char *source = hostdev_text(h);
        int r = await(d->instance, h, true);

        if (r < 0) {
                log_domain_warning(d, "%s was pulled out of the host, and does not come back by itself: %s", h->device.id, strerror(-r));
                return;
        }
        h->found_bus = h->found_number = NUMBER_UNSET; /* what gets that number next is something else */
        tell(d, GUEST_EVENT_HOST_DEVICE_LOST, h->device.id, source ?: "");
        d->live_generation++;
        free_and_replace(&d->live_text, NULL);
        status_save(d);
        domain_changed(d, DOMAIN_CHANGED_LIVE);
        look_later(d->instance->usb_return, 0);
}

static void lose_those(Domain *d, bool (*gone)(const Hostdev *h, const void *userdata), const void *userdata) {
        for (size_t i = 0; d->instance && d->live && i < d->live->devices.n; i++) {
                Hostdev *h = (Hostdev *) device_as_hostdev((const Device *) d->live->devices.items[i]);

                if (h && h->type == HOSTDEV_USB && h->found_bus != NUMBER_UNSET && gone(h, userdata))
                        lose(d, h);
        }
}

static bool is_that(const Hostdev *h, const void *userdata) {
        const HostDevice *device = userdata;

        return h->found_bus == device->usb[0] && h->found_number == device->usb[1];
}

static bool is_missing(const Hostdev *h, const void *userdata) {
        return !usb_host_is_there(h);
}

void usb_return_gone(Manager *m, const HostDevice *device) {
        assert(m && device);

        if (device->kind != HOST_USB)
                return;
        REGISTRY_FOREACH(Domain, d, m->domains)
                lose_those(d, is_that, device);
}

static void look_again(Domain *d) {
        UsbReturn *u = of_domain(d);

        if (!u)
                return;
        u->tries = 0;
        look_later(u, 0);
}

void usb_return_came(Manager *m, const HostDevice *device) {
        assert(m && device);

        if (device->kind != HOST_USB)
                return;
        REGISTRY_FOREACH(Domain, d, m->domains)
                look_again(d);
}

void usb_return_look(Manager *m) {
        assert(m);

        REGISTRY_FOREACH(Domain, d, m->domains) {
                lose_those(d, is_missing, NULL);
                look_again(d);
        }
}

/* --- the status file --- */

json_t *usb_return_to_json(const Instance *i) {
        assert(i);

        return i->usb_return && json_array_size(i->usb_return->list) > 0 ? json_incref(i->usb_return->list) : NULL;
}

int usb_return_from_json(Instance *i, json_t *list) {
        assert(i);

        if (!json_is_array(list) || !get(i))
                return list ? -EINVAL : 0;
        return json_array_extend(i->usb_return->list, list) < 0 ? -ENOMEM : 0;
}
