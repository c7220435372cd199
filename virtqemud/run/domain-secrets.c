/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-secrets.h"

#include "../device/disk.h"
#include "bus-error.h"
#include "fd.h"
#include "manager.h"
#include "mem.h"
#include "sdbus.h"
#include "str.h"

typedef struct DomainSecret {
        DomainSecrets *all;
        const Disk *disk;            /* of the live definition */
        sd_bus_slot *call;
        int fd;
} DomainSecret;

struct DomainSecrets {
        DomainSecret *items;
        size_t n, n_pending;
        Fault why;
        sd_event_source *defer;
        DomainSecretsDone done;
        void *userdata;
};

DomainSecrets *domain_secrets_free(DomainSecrets *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n; i++) {
                sd_bus_slot_unref(s->items[i].call);
                fd_close(s->items[i].fd);
        }
        sd_event_source_disable_unref(s->defer);
        fault_clear(&s->why);
        free(s->items);
        free(s);
        return NULL;
}

static void fail(DomainSecret *secret, const sd_bus_error *e, int error) {
        Fault *f = &secret->all->why;

        if (fault_is_set(f))
                return;
        if (e && (str_after(e->name, "org.virtbus.Error.") || streq(e->name, SD_BUS_ERROR_ACCESS_DENIED) || streq(e->name, SD_BUS_ERROR_INVALID_ARGS))) {
                (void) fault_from_bus(e, f);
                fault_prefix(f, "disk %s", secret->disk->target);
                return;
        }
        fault_set(f, FAULT_DISCONNECTED, e ? EHOSTUNREACH : -error, "disk %s: virtstoraged does not give its passphrase: %s", secret->disk->target,
                  e ? e->message ?: e->name : strerror(-error));
        fault_hint(f, "install or start virtstoraged");
}

static int on_opened(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        DomainSecret *secret = userdata;
        DomainSecrets *s = secret->all;
        int fd, r = 0;

        secret->call = sd_bus_slot_unref(secret->call);
        if (!e)
                r = sd_bus_message_read(reply, "h", &fd);
        if (!e && r >= 0)
                r = secret->fd = fd_copy(fd);
        if (e || r < 0)
                fail(secret, e, r);
        if (--s->n_pending == 0)
                s->done(fault_is_set(&s->why) ? &s->why : NULL, s->userdata);
        return 0;
}

static int on_defer(sd_event_source *source, void *userdata) {
        DomainSecrets *s = userdata;

        s->defer = sd_event_source_disable_unref(s->defer);
        s->done(NULL, s->userdata);
        return 0;
}

static void collect(DomainSecrets *s, const DomainDef *live) {
        for (size_t i = 0; i < live->devices.n; i++) {
                const Disk *disk = device_as_disk((Device *) live->devices.items[i]);

                if (disk && disk_path(disk) && disk_encryption(disk))
                        s->items[s->n++] = (DomainSecret) { .all = s, .disk = disk, .fd = -1 };
        }
}

int domain_secrets_new(Domain *d, DomainDef *live, DomainSecretsDone done, void *userdata, DomainSecrets **ret, Fault *f) {
        _cleanup_(domain_secrets_freep) DomainSecrets *s = new0(DomainSecrets, 1);
        int r = 0;

        assert(d && live && done && ret);

        if (!s)
                return fault_oom(f);
        *s = (DomainSecrets) { .done = done, .userdata = userdata, .items = new0(DomainSecret, live->devices.n) };
        if (!s->items)
                return fault_oom(f);
        collect(s, live);
        for (size_t i = 0; i < s->n && r >= 0; i++) {
                DomainSecret *secret = &s->items[i];

                r = secret_ref_open(disk_encryption(secret->disk)->secret, "volume", d->manager->bus, on_opened, secret, &secret->call);
                if (r < 0) {
                        fail(secret, NULL, r);
                        fault_move(f, &s->why);
                } else
                        s->n_pending++;
        }
        if (s->n == 0)
                r = sd_event_add_defer(d->manager->event, &s->defer, on_defer, s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

int domain_secrets_fd(const DomainSecrets *s, const char *device) {
        for (size_t i = 0; s && i < s->n; i++)
                if (streq(s->items[i].disk->device.id, device))
                        return s->items[i].fd;
        return -ENOENT;
}
