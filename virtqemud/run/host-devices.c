/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(e) ((e)->lost = true)
#include "host-devices.h"

#include <unistd.h>
#include <uthash.h>

#include "hostdev-claims.h"
#include "log.h"
#include "mem.h"
#include "registry.h"
#include "str.h"
#include "uevents.h"
#include "usb-return.h"

#define _cleanup_device_ _cleanup_(sd_device_unrefp)

#define SLICE_DEVICES 16u                        /* about a millisecond */
#define SCAN_AFTER_USEC (500u * 1000)            /* who had us started asks for something else, and waits */
#define NEWS_BUFFER ((size_t) 8 * 1024 * 1024)   /* of the kernel: a whole hub may come at once */
#define UDEV_CONTROL "/run/udev/control"
#define GENERIC "scsi_generic"

typedef struct Entry {
        HostDevice *device;
        bool lost;                 /* set by uthash when it has no memory to add it */
        bool was_owned;
        UT_hash_handle by_name, by_path;
} Entry;

struct HostDevices {
        Manager *manager;
        HostDeviceWatch watch;
        void *userdata;
        Entry *names, *paths;
        sd_device_monitor *monitor;    /* udev's news, or */
        Uevents *uevents;              /* the kernel's */
        sd_event_source *begin, *slice;
        sd_device_enumerator *scan;
        int scan_kind;                 /* HostKind, or _HOST_KIND_MAX: all are found */
};

static bool is_complete(const HostDevices *h) {
        return h->scan_kind >= _HOST_KIND_MAX;
}

/* --- the set --- */

static Entry *find_name(const HostDevices *h, const char *name) {
        Entry *e;

        HASH_FIND(by_name, h->names, name, strlen(name), e);
        return e;
}

static Entry *find_path(const HostDevices *h, const char *path, size_t length) {
        Entry *e;

        HASH_FIND(by_path, h->paths, path, length, e);
        return e;
}

static Entry *entry_free(Entry *e) {
        if (!e)
                return NULL;
        host_device_free(e->device);
        free(e);
        return NULL;
}
DEFINE_CLEANUP(Entry *, entry_free)

static HostDevice *find_above(const HostDevices *h, const char *syspath) {
        for (size_t n = strlen(syspath); n > 0; n--)
                if (syspath[n] == '/') {
                        Entry *e = find_path(h, syspath, n);

                        if (e)
                                return e->device;
                }
        return NULL;
}

static int link_device(HostDevices *h, HostDevice *d) {
        _cleanup_(entry_freep) Entry *e = new0(Entry, 1);

        if (!e)
                return -ENOMEM;
        HASH_ADD_KEYPTR(by_name, h->names, d->name, strlen(d->name), e);
        if (e->lost)
                return -ENOMEM;
        HASH_ADD_KEYPTR(by_path, h->paths, d->syspath, strlen(d->syspath), e);
        if (e->lost) {
                HASH_DELETE(by_name, h->names, e);
                return -ENOMEM;
        }
        d->set = h;
        e->device = d;
        e = NULL;
        return 0;
}

/* --- who has them --- */

typedef struct Claiming {
        HostDevices *devices;
        const HostDevice *only;     /* NULL: any */
        const Domain *domain;
} Claiming;

static bool is_claimed(const HostDevice *d, const HostClaim *c) {
        if (d->kind == HOST_USB)
                return !c->name && d->usb[0] == c->bus && d->usb[1] == c->number;
        return c->name && !host_kind_is_part(d->kind) && streq(d->sysname, c->name);
}

static void on_claim(const HostClaim *claim, void *userdata) {
        const Claiming *c = userdata;
        Entry *e, *next;

        HASH_ITER(by_name, c->devices->names, e, next)
                if ((!c->only || c->only == e->device) && is_claimed(e->device, claim))
                        e->device->owner = c->domain;
}

static void claim_all(HostDevices *h, const HostDevice *only) {
        REGISTRY_FOREACH(Domain, d, h->manager->domains) {
                Claiming c = { h, only, d };

                hostdevs_each_claim(d->live, on_claim, &c);
        }
}

void host_devices_claims_changed(HostDevices *h, const Domain *d, bool gone) {
        Claiming c = { h, NULL, d };
        Entry *e, *next;

        assert(d);

        /* Who is asked for before all are found is looked for then. */
        if (!h || !is_complete(h))
                return;
        HASH_ITER(by_name, h->names, e, next) {
                e->was_owned = e->device->owner == d;
                e->device->owner = e->was_owned ? NULL : e->device->owner;
        }
        if (!gone)
                hostdevs_each_claim(d->live, on_claim, &c);
        HASH_ITER(by_name, h->names, e, next)
                if (e->was_owned != (e->device->owner == d))
                        h->watch.changed(e->device, HOST_DEVICE_OWNER, h->userdata);
}

/* --- they come, go and change --- */

static void drop(HostDevices *h, Entry *e) {
        if (is_complete(h)) {
                usb_return_gone(h->manager, e->device);
                h->watch.removed(e->device, h->userdata);
        }
        HASH_DELETE(by_name, h->names, e);
        HASH_DELETE(by_path, h->paths, e);
        entry_free(e);
}

static void add(HostDevices *h, HostDevice *d) {
        _cleanup_(host_device_freep) HostDevice *owned = d;

        if (host_kind_is_part(d->kind) && !find_above(h, d->syspath))
                return;
        if (find_name(h, d->name)) {
                log_debug("%s: a device called %s is there already", d->syspath, d->name);
                return;
        }
        if (HASH_CNT(by_name, h->names) >= HOST_DEVICES_MAX) {
                log_warning("the host has more than %u devices: %s is left out", HOST_DEVICES_MAX, d->name);
                return;
        }
        if (link_device(h, d) < 0) {
                (void) log_oom();
                return;
        }
        owned = NULL;
        if (!is_complete(h))
                return;
        claim_all(h, d);
        h->watch.added(d, h->userdata);
        usb_return_came(h->manager, d);
}

static void take(HostDevices *h, sd_device *device) {
        _cleanup_(host_device_freep) HostDevice *fresh = NULL;
        unsigned what;
        Entry *e;

        if (host_device_read(device, &fresh) < 0)
                return;
        e = find_path(h, fresh->syspath, strlen(fresh->syspath));
        /* What was plugged in anew is another one, even if nobody has told of the old one's end. */
        if (e && (!streq(e->device->name, fresh->name) || e->device->usb[1] != fresh->usb[1])) {
                drop(h, e);
                e = NULL;
        }
        if (!e) {
                add(h, TAKE_PTR(fresh));
                return;
        }
        what = host_device_update(e->device, fresh);
        if (what && is_complete(h))
                h->watch.changed(e->device, what, h->userdata);
}

static void forget(HostDevices *h, const char *syspath) {
        Entry *e = find_path(h, syspath, strlen(syspath));

        if (e)
                drop(h, e);
}

/* A SCSI device is known by the file for its commands, which comes and goes on its own. */
static void read_again_above(HostDevices *h, const char *syspath) {
        const HostDevice *d = find_above(h, syspath);
        _cleanup_device_ sd_device *device = NULL;

        if (d && sd_device_new_from_syspath(&device, d->syspath) >= 0)
                take(h, device);
}

static void on_news(HostDevices *h, bool removed, const char *syspath, const char *subsystem, sd_device *device) {
        if (streq(subsystem, GENERIC))
                read_again_above(h, syspath);
        else if (removed)
                forget(h, syspath);
        else if (device)
                take(h, device);
}

static int on_udev(sd_device_monitor *monitor, sd_device *device, void *userdata) {
        const char *syspath, *subsystem, *old;
        _cleanup_free_ char *old_path = NULL;
        sd_device_action_t action;
        HostDevices *h = userdata;

        if (sd_device_get_action(device, &action) < 0 || sd_device_get_syspath(device, &syspath) < 0 ||
            sd_device_get_subsystem(device, &subsystem) < 0)
                return 0;
        if (action == SD_DEVICE_MOVE && sd_device_get_property_value(device, "DEVPATH_OLD", &old) >= 0) {
                old_path = strf("/sys%s", old);
                if (old_path)
                        forget(h, old_path);
        }
        on_news(h, action == SD_DEVICE_REMOVE, syspath, subsystem, device);
        return 0;
}

static bool is_watched(const char *subsystem) {
        for (HostKind k = 0; k < _HOST_KIND_MAX; k++)
                if (streq(host_kind_subsystem(k), subsystem))
                        return true;
        return streq(subsystem, GENERIC);
}

static void on_uevent(const char *action, const char *syspath, const char *subsystem, void *userdata) {
        _cleanup_device_ sd_device *device = NULL;
        bool removed = streq(action, "remove");

        if (!is_watched(subsystem))
                return;
        if (!removed)
                (void) sd_device_new_from_syspath(&device, syspath);
        on_news(userdata, removed, syspath, subsystem, device);
}

static int listen_to_udev(HostDevices *h) {
        int r = sd_device_monitor_new(&h->monitor);

        for (HostKind k = 0; k < _HOST_KIND_MAX && r >= 0; k++)
                r = sd_device_monitor_filter_add_match_subsystem_devtype(h->monitor, host_kind_subsystem(k), NULL);
        if (r >= 0)
                r = sd_device_monitor_filter_add_match_subsystem_devtype(h->monitor, GENERIC, NULL);
        if (r >= 0)
                r = sd_device_monitor_attach_event(h->monitor, h->manager->event);
        if (r < 0)
                return r;
        (void) sd_device_monitor_set_receive_buffer_size(h->monitor, NEWS_BUFFER);
        return sd_device_monitor_start(h->monitor, on_udev, h);
}

/* --- finding them --- */

static int next_kind(HostDevices *h) {
        int r = sd_device_enumerator_new(&h->scan);

        if (r >= 0)
                r = sd_device_enumerator_allow_uninitialized(h->scan);
        if (r >= 0)
                r = sd_device_enumerator_add_match_subsystem(h->scan, host_kind_subsystem((HostKind) h->scan_kind), true);
        return r;
}

static void finish_kind(HostDevices *h) {
        h->scan = sd_device_enumerator_unref(h->scan);
        h->scan_kind++;
        if (is_complete(h)) {
                h->slice = sd_event_source_disable_unref(h->slice);
                claim_all(h, NULL);
                usb_return_look(h->manager);
        }
}

static void scan_one(HostDevices *h) {
        sd_device *device;

        if (h->scan)
                device = sd_device_enumerator_get_device_next(h->scan);
        else
                device = next_kind(h) >= 0 ? sd_device_enumerator_get_device_first(h->scan) : NULL;
        if (device)
                take(h, device);
        else
                finish_kind(h);
}

static int on_slice(sd_event_source *source, void *userdata) {
        HostDevices *h = userdata;

        for (unsigned i = 0; i < SLICE_DEVICES && !is_complete(h); i++)
                scan_one(h);
        return 0;
}

static int on_begin(sd_event_source *source, uint64_t usec, void *userdata) {
        HostDevices *h = userdata;

        return is_complete(h) ? 0 : sd_event_source_set_enabled(h->slice, SD_EVENT_ON);
}

static void complete(HostDevices *h) {
        while (!is_complete(h))
                scan_one(h);
}

HostDevice *host_devices_find(HostDevices *h, const char *name) {
        Entry *e;

        assert(h && name);

        complete(h);
        e = find_name(h, name);
        return e ? e->device : NULL;
}

HostDevice *host_device_parent(const HostDevice *d) {
        assert(d && d->set);

        return find_above(d->set, d->syspath);
}

HostDevice *host_devices_next(HostDevices *h, const HostDevice *after) {
        Entry *e;

        assert(h);

        complete(h);
        e = after ? find_name(h, after->name) : h->names;
        if (e && after)
                e = e->by_name.next;
        return e ? e->device : NULL;
}

/* --- life --- */

int host_devices_new(Manager *m, const HostDeviceWatch *watch, void *userdata, HostDevices **ret) {
        _cleanup_(host_devices_freep) HostDevices *h = NULL;
        int r;

        assert(m && watch && ret);

        h = new0(HostDevices, 1);
        if (!h)
                return -ENOMEM;
        h->manager = m;
        h->watch = *watch;
        h->userdata = userdata;
        /* First the news, so that nothing is missed between. */
        r = access(UDEV_CONTROL, F_OK) == 0 ? listen_to_udev(h) : uevents_new(m->event, on_uevent, h, &h->uevents);
        if (r < 0)
                (void) log_warning_errno(r, "devices of the host that come and go are not seen: %m");
        r = sd_event_add_defer(m->event, &h->slice, on_slice, h);
        if (r >= 0)
                r = sd_event_source_set_priority(h->slice, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_source_set_enabled(h->slice, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time_relative(m->event, &h->begin, CLOCK_MONOTONIC, SCAN_AFTER_USEC, 0, on_begin, h);
        if (r >= 0)
                *ret = TAKE_PTR(h);
        return r;
}

HostDevices *host_devices_free(HostDevices *h) {
        Entry *e, *next;

        if (!h)
                return NULL;
        sd_device_monitor_unref(h->monitor);
        uevents_free(h->uevents);
        sd_event_source_disable_unref(h->begin);
        sd_event_source_disable_unref(h->slice);
        sd_device_enumerator_unref(h->scan);
        HASH_CLEAR(by_path, h->paths);
        HASH_ITER(by_name, h->names, e, next) {
                HASH_DELETE(by_name, h->names, e);
                entry_free(e);
        }
        free(h);
        return NULL;
}
