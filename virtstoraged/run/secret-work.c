/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "secret-work.h"

#include <string.h>

#include "bus-error.h"
#include "fd.h"
#include "mem.h"
#include "pools.h"
#include "volumes.h"

typedef struct SecretWork SecretWork;

typedef struct SecretSlot {
        SecretWork *work;
        int fd;
} SecretSlot;

struct SecretWork {
        Pools *all;
        sd_id128_t pool;             /* which may go meanwhile */
        WorkSpec spec;               /* what it points at is ours */
        bool exists;                 /* the volume, when it was begun */
        SecretSlot slots[SECRETS_OF_WORK_MAX];
        size_t n_slots, n_waiting;
        Fault why;                   /* of the first one that there is no value of */
};

static SecretWork *secret_work_free(SecretWork *w) {
        if (!w)
                return NULL;
        free((char *) w->spec.object);
        free((char *) w->spec.name);
        free((char *) w->spec.part);
        json_decref(w->spec.request);
        sd_bus_message_unref(w->spec.call);
        for (size_t i = 0; i < w->n_slots; i++)
                fd_close(w->slots[i].fd);
        fault_clear(&w->why);
        free(w);
        return NULL;
}
DEFINE_CLEANUP(SecretWork *, secret_work_free)

static int look_again(SecretWork *w, Pool *p, WorkSpec *spec, Fault *f) {
        int r = p ? pool_check_active(p, f) : fault_set(f, FAULT_NO_SUCH_POOL, ENOENT, "the pool has gone");

        if (r < 0)
                return r;
        if (!w->exists)
                return volumes_check_free(p, spec->name, f);
        spec->volume = volumes_find(p, spec->name);
        if (!spec->volume)
                return fault_set(f, FAULT_NO_SUCH_VOLUME, ENOENT, "the volume %s has gone", spec->name);
        r = volume_check_idle(spec->volume, f);
        return r < 0 ? r : volume_check_unused(spec->volume, "changed", f);
}

/* All that was asked for has come. */
static void go_on(SecretWork *w) {
        Pool *p = registry_find_id(w->all->set.registry, w->pool);
        int r = fault_is_set(&w->why) ? -w->why.error : 0, fds[SECRETS_OF_WORK_MAX];
        WorkSpec spec = w->spec;

        if (r >= 0)
                r = look_again(w, p, &spec, &w->why);
        if (r >= 0) {
                for (size_t i = 0; i < w->n_slots; i++)
                        fds[i] = w->slots[i].fd;
                spec.fds = fds;
                spec.n_fds = w->n_slots;
                w->spec.request = NULL;
                if (w->exists)
                        spec.name = NULL;
                r = work_start(p, &spec, &w->why);
        }
        if (r < 0)
                (void) bus_reply_fault(w->spec.call, &w->why, r);
        secret_work_free(w);
}

static void take(SecretWork *w, int *fd, const Fault *why, SecretSlot *slot) {
        if (!why) {
                slot->fd = *fd;
                *fd = -1;
        } else if (!fault_is_set(&w->why))
                (void) fault_copy(&w->why, why);
        if (--w->n_waiting == 0)
                go_on(w);
}

static void on_value(int *fd, const Fault *why, void *userdata) {
        SecretSlot *slot = userdata;

        take(slot->work, fd, why, slot);
}

/* From here on the call is answered when all values have come, or the first of them is known not to. */
static void ask(SecretWork *w, Secret *const *secrets) {
        w->n_waiting = w->n_slots + 1; /* one is ours: some may come at once */
        for (size_t i = 0; i < w->n_slots; i++) {
                _cleanup_fault_ Fault f = FAULT_INIT;
                int none = -1;

                if (secret_get_value(secrets[i], on_value, &w->slots[i], &f) < 0)
                        take(w, &none, &f, &w->slots[i]);
        }
        if (--w->n_waiting == 0)
                go_on(w);
}

int secret_work_start(Pool *p, Secret *const *secrets, size_t n, const WorkSpec *spec, Fault *f) {
        const char *name = spec->volume ? spec->volume->info.name : spec->name;
        _cleanup_(secret_work_freep) SecretWork *w = new0(SecretWork, 1);

        assert(n > 0 && n <= SECRETS_OF_WORK_MAX);

        if (!w) {
                json_decref(spec->request);
                return fault_oom(f);
        }
        *w = (SecretWork) { .all = p->all, .pool = p->uuid, .spec = *spec, .exists = spec->volume, .n_slots = n, .why = FAULT_INIT };
        for (size_t i = 0; i < n; i++)
                w->slots[i] = (SecretSlot) { w, -1 };
        w->spec.call = sd_bus_message_ref(spec->call);
        w->spec.volume = NULL;
        w->spec.object = strdup(spec->object);
        w->spec.name = strdup(name);
        w->spec.part = spec->part ? strdup(spec->part) : NULL;
        if (!w->spec.object || !w->spec.name || (spec->part && !w->spec.part) || json_object_set_new(w->spec.request, "secret", json_true()) < 0)
                return fault_oom(f);
        ask(TAKE_PTR(w), secrets);
        return 0;
}
