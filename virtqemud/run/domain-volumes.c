/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-volumes.h"

#include "../device/disk.h"
#include "bus-error.h"
#include "call-again.h"
#include "manager.h"
#include "mem.h"
#include "sdbus.h"
#include "str.h"

#define STORAGE1_NAME "org.virtbus.storage1"
#define STORAGE1_ROOT "/org/virtbus/storage1"
#define STORAGE1_MANAGER STORAGE1_NAME ".Manager"
/* The pool may have to be started first. */
#define RESOLVE_TIMEOUT_USEC (25u * 1000 * 1000)

typedef struct DomainVolume {
        DomainVolumes *all;
        Disk *disk;                  /* of the live definition */
        CallAgain *call;
} DomainVolume;

struct DomainVolumes {
        DomainVolume *items;
        size_t n, n_pending;
        Fault why;
        sd_event_source *defer;
        DomainVolumesDone done;
        void *userdata;
};

DomainVolumes *domain_volumes_free(DomainVolumes *v) {
        if (!v)
                return NULL;
        for (size_t i = 0; i < v->n; i++)
                call_again_free(v->items[i].call);
        sd_event_source_disable_unref(v->defer);
        fault_clear(&v->why);
        free(v->items);
        free(v);
        return NULL;
}

static void fail(DomainVolume *volume, const sd_bus_error *e, int error) {
        Fault *f = &volume->all->why;

        if (fault_is_set(f))
                return;
        if (e && (str_after(e->name, "org.virtbus.Error.") || streq(e->name, SD_BUS_ERROR_ACCESS_DENIED) || streq(e->name, SD_BUS_ERROR_INVALID_ARGS))) {
                (void) fault_from_bus(e, f);
                fault_prefix(f, "disk %s", volume->disk->target);
                return;
        }
        fault_set(f, FAULT_DISCONNECTED, e ? EHOSTUNREACH : -error, "disk %s: virtstoraged does not say where the volume %s of the pool %s is: %s",
                  volume->disk->target, volume->disk->volume, volume->disk->pool, e ? e->message ?: e->name : strerror(-error));
        fault_hint(f, "install or start virtstoraged, or name the disk's file");
}

static int on_resolved(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        DomainVolume *volume = userdata;
        DomainVolumes *v = volume->all;
        VolumePlace place;
        int r = 0;

        volume->call = call_again_free(volume->call);
        if (!e)
                r = sd_bus_message_read(reply, "ssss", &place.path, &place.kind, &place.format, &place.source);
        if (!e && r >= 0)
                r = disk_set_volume(volume->disk, &place, &v->why);
        if (e || r < 0)
                fail(volume, e, r);
        if (--v->n_pending == 0)
                v->done(fault_is_set(&v->why) ? &v->why : NULL, v->userdata);
        return 0;
}

static int begin(DomainVolume *volume, sd_bus *bus, bool start) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if (!bus)
                return -ENOTCONN;
        r = sd_bus_message_new_method_call(bus, &m, STORAGE1_NAME, STORAGE1_ROOT, STORAGE1_MANAGER, "ResolveVolume");
        if (r >= 0)
                r = sd_bus_message_append(m, "ssta{sv}", volume->disk->pool, volume->disk->volume, UINT64_C(0), 1, "start", "b", (int) start);
        if (r >= 0)
                r = call_again(bus, m, on_resolved, volume, RESOLVE_TIMEOUT_USEC, &volume->call);
        if (r >= 0)
                volume->all->n_pending++;
        return r;
}

static int on_defer(sd_event_source *source, void *userdata) {
        DomainVolumes *v = userdata;

        v->defer = sd_event_source_disable_unref(v->defer);
        v->done(NULL, v->userdata);
        return 0;
}

static void collect(DomainVolumes *v, DomainDef *live) {
        for (size_t i = 0; i < live->devices.n; i++) {
                Disk *disk = device_as_disk((Device *) live->devices.items[i]);

                if (disk && disk->type == DISK_VOLUME)
                        v->items[v->n++] = (DomainVolume) { .all = v, .disk = disk };
        }
}

int domain_volumes_new(Domain *d, DomainDef *live, bool start, DomainVolumesDone done, void *userdata, DomainVolumes **ret, Fault *f) {
        _cleanup_(domain_volumes_freep) DomainVolumes *v = new0(DomainVolumes, 1);
        int r = 0;

        assert(d && live && done && ret);

        if (!v)
                return fault_oom(f);
        *v = (DomainVolumes) { .done = done, .userdata = userdata, .items = new0(DomainVolume, live->devices.n) };
        if (!v->items)
                return fault_oom(f);
        collect(v, live);
        for (size_t i = 0; i < v->n && r >= 0; i++) {
                r = begin(&v->items[i], d->manager->bus, start);
                if (r < 0) {
                        fail(&v->items[i], NULL, r);
                        fault_move(f, &v->why);
                }
        }
        if (v->n == 0)
                r = sd_event_add_defer(d->manager->event, &v->defer, on_defer, v);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}
