/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk-size.h"

#include "../run/domain-volumes.h"
#include "../run/image.h"
#include "../run/manager.h"
#include "bus-error.h"
#include "mem.h"
#include "str.h"

#define CALLS_MAX 64u       /* each is a process for a moment */

typedef struct DiskSize DiskSize;
struct DiskSize {
        Service *service;
        sd_bus_message *call;
        DomainDef part;          /* the disk alone, a copy: the VM may go meanwhile */
        DomainVolumes *volumes;
        ImageOpen *open;
        DiskSize *next;
};

static DiskSize *disk_size_free(DiskSize *z) {
        if (!z)
                return NULL;
        for (DiskSize **p = &z->service->disk_sizes; *p; p = &(*p)->next)
                if (*p == z) {
                        *p = z->next;
                        break;
                }
        domain_volumes_free(z->volumes);
        image_open_free(z->open);
        record_list_clear(&z->part.devices);
        sd_bus_message_unref(z->call);
        free(z);
        return NULL;
}
DEFINE_CLEANUP(DiskSize *, disk_size_free)

void disk_sizes_clear(Service *s) {
        assert(s);

        while (s->disk_sizes)
                disk_size_free(s->disk_sizes);
}

static void refuse(DiskSize *z, const Fault *why, int r) {
        (void) bus_reply_fault(z->call, why, r);
        disk_size_free(z);
}

static const Disk *disk_of(const DiskSize *z) {
        return device_as_disk((const Device *) z->part.devices.items[0]);
}

/* Whether the size of what is in a file of that format is known without understanding it. */
static bool says_size(const char *format) {
        static const char *const formats[] = { "raw", "qcow2", "vmdk", "qed", "qcow" };

        for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
                if (streq(format, formats[i]))
                        return true;
        return false;
}

static void on_opened(_unused_ ImageOpen *o, ImageResult *results, size_t n, const Fault *why, void *userdata) {
        const ImageLevel *l = results && n > 0 && results[0].n_levels > 0 ? &results[0].levels[0] : NULL;
        DiskSize *z = userdata;

        if (!l) {
                refuse(z, why, why ? -why->error : -EIO);
                return;
        }
        (void) sd_bus_reply_method_return(z->call, "ttt", says_size(l->format) ? l->size : UINT64_C(0), l->allocation, l->physical);
        disk_size_free(z);
}

static int look(DiskSize *z, Fault *f) {
        const Disk *d = disk_of(z);
        const char *path = disk_path(d);
        const ImageRequest request = {
                .path = path, .want = IMAGE_FD, .format = d->format == DISK_FORMAT_NONE ? NULL : disk_format_to_string((DiskFormat) d->format),
        };
        Manager *m = z->service->manager;

        if (!path)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "the disk %s is no image on this host: who serves it knows its size", d->target);
        return image_open(m->event, m->image_worker, &request, 1, 0, on_opened, z, &z->open, f);
}

static void on_volumes(const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        DiskSize *z = userdata;
        int r = why ? -why->error : look(z, &f);

        if (r < 0)
                refuse(z, why ?: &f, r);
}

static int check(const Service *s, const Disk *disk, Fault *f) {
        unsigned n = 0;

        for (const DiskSize *z = s->disk_sizes; z; z = z->next)
                n++;
        if (n >= CALLS_MAX)
                return fault_set(f, FAULT_LIMIT, EUSERS, "%u disks are being looked at already", n);
        if (disk_is_empty(disk) && disk->type != DISK_VOLUME)
                return fault_set(f, FAULT_INVALID_STATE, ENOMEDIUM, "the drive %s is empty", disk->target);
        return 0;
}

int disk_size_ask(Service *s, Domain *d, const Disk *disk, sd_bus_message *call, Fault *f) {
        _cleanup_(disk_size_freep) DiskSize *z = NULL;
        void *copy = NULL;
        int r = check(s, disk, f);

        if (r < 0)
                return r;
        z = new0(DiskSize, 1);
        if (!z)
                return fault_oom(f);
        z->service = s;
        z->next = s->disk_sizes;
        s->disk_sizes = z;
        z->call = sd_bus_message_ref(call);
        r = record_copy(&disk->device.head, &copy);
        if (r >= 0)
                r = record_list_add(&z->part.devices, copy);
        if (r < 0)
                return fault_oom(f);
        /* Where a volume is its pool says; one whose VM runs was asked already. */
        if (disk->type == DISK_VOLUME && !disk->found)
                r = domain_volumes_new(d, &z->part, false, on_volumes, z, &z->volumes, f);
        else
                r = look(z, f);
        if (r < 0)
                return r;
        TAKE_PTR(z);
        return 0;
}
