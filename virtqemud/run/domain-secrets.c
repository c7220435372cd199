/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-secrets.h"

#include "../device/device.h"
#include "bus-error.h"
#include "fd.h"
#include "manager.h"
#include "mem.h"
#include "sdbus.h"
#include "str.h"

/* XML is nested no deeper. */
#define LAYERS_MAX 64u

typedef struct DomainSecret {
        DomainSecrets *all;
        const Device *device;        /* of the live definition */
        const SecretRef *ref;
        const char *purpose;
        bool companion;              /* for the program beside QEMU, */
        unsigned layer;              /* which it has several of */
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

static const char *name_of(const DomainSecret *secret) {
        return device_target(secret->device) ?: secret->device->id;
}

static void fail(DomainSecret *secret, const sd_bus_error *e, int error) {
        Fault *f = &secret->all->why;

        if (fault_is_set(f))
                return;
        if (e && (str_after(e->name, "org.virtbus.Error.") || streq(e->name, SD_BUS_ERROR_ACCESS_DENIED) || streq(e->name, SD_BUS_ERROR_INVALID_ARGS))) {
                (void) fault_from_bus(e, f);
                fault_prefix(f, "%s %s", secret->device->ops->element, name_of(secret));
                return;
        }
        fault_set(f, FAULT_DISCONNECTED, e ? EHOSTUNREACH : -error, "%s %s: virtstoraged does not give its passphrase: %s",
                  secret->device->ops->element, name_of(secret), e ? e->message ?: e->name : strerror(-error));
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

static int add(DomainSecrets *s, size_t *allocated, DomainSecret secret) {
        if (!secret.ref)
                return 0;
        if (!GROW(s->items, *allocated, s->n + 1))
                return -ENOMEM;
        s->items[s->n++] = secret;
        return 0;
}

static int add_device(DomainSecrets *s, size_t *allocated, const Device *d) {
        DomainSecret secret = { .all = s, .device = d, .fd = -1 };
        int r;

        secret.ref = d->ops->secret ? d->ops->secret(d, &secret.purpose) : NULL;
        r = add(s, allocated, secret);
        secret.companion = true;
        secret.ref = d->ops->companion_secret ? d->ops->companion_secret(d, &secret.purpose) : NULL;
        if (r >= 0)
                r = add(s, allocated, secret);
        for (secret.layer = 1; secret.layer <= LAYERS_MAX && d->ops->layer_secret && r >= 0; secret.layer++) {
                secret.ref = d->ops->layer_secret(d, secret.layer, &secret.purpose);
                r = add(s, allocated, secret);
        }
        return r;
}

static int collect(DomainSecrets *s, const DomainDef *live) {
        size_t allocated = 0;
        int r = 0;

        for (size_t i = 0; i < live->devices.n && r >= 0; i++)
                r = add_device(s, &allocated, (const Device *) live->devices.items[i]);
        return r;
}

int domain_secrets_new(Domain *d, DomainDef *live, DomainSecretsDone done, void *userdata, DomainSecrets **ret, Fault *f) {
        _cleanup_(domain_secrets_freep) DomainSecrets *s = new0(DomainSecrets, 1);
        int r = 0;

        assert(d && live && done && ret);

        if (!s)
                return fault_oom(f);
        *s = (DomainSecrets) { .done = done, .userdata = userdata };
        if (collect(s, live) < 0)
                return fault_oom(f);
        for (size_t i = 0; i < s->n && r >= 0; i++) {
                DomainSecret *secret = &s->items[i];

                r = secret_ref_open(secret->ref, secret->purpose, d->manager->bus, on_opened, secret, &secret->call);
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

int domain_secrets_fd(const DomainSecrets *s, const char *device, bool companion) {
        for (size_t i = 0; s && i < s->n; i++) {
                const DomainSecret *secret = &s->items[i];
                unsigned layer;

                if (secret->companion == companion && companion_is_of(device, secret->device->id, &layer) && layer == secret->layer)
                        return secret->fd;
        }
        return -ENOENT;
}
