/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "secret-work.h"

#include <string.h>

#include "bus-error.h"
#include "mem.h"
#include "pools.h"
#include "volumes.h"

typedef struct SecretWork {
        Pools *all;
        sd_id128_t pool;             /* which may go meanwhile */
        WorkSpec spec;               /* what it points at is ours */
        bool exists;                 /* the volume, when it was begun */
} SecretWork;

static SecretWork *secret_work_free(SecretWork *w) {
        if (!w)
                return NULL;
        free((char *) w->spec.object);
        free((char *) w->spec.name);
        free((char *) w->spec.part);
        json_decref(w->spec.request);
        sd_bus_message_unref(w->spec.call);
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

static void on_value(int *fd, const Fault *why, void *userdata) {
        _cleanup_(secret_work_freep) SecretWork *w = userdata;
        Pool *p = pools_find_uuid(w->all, w->pool);
        _cleanup_fault_ Fault f = FAULT_INIT;
        WorkSpec spec = w->spec;
        int r = why ? -why->error : look_again(w, p, &spec, &f);

        if (r >= 0) {
                spec.fds = fd;
                spec.n_fds = 1;
                w->spec.request = NULL;
                if (w->exists)
                        spec.name = NULL;
                r = work_start(p, &spec, &f);
        }
        if (r < 0)
                (void) bus_reply_fault(w->spec.call, why ?: &f, r);
}

int secret_work_start(Pool *p, Secret *secret, const WorkSpec *spec, Fault *f) {
        const char *name = spec->volume ? spec->volume->info.name : spec->name;
        _cleanup_(secret_work_freep) SecretWork *w = new0(SecretWork, 1);
        int r;

        if (!w) {
                json_decref(spec->request);
                return fault_oom(f);
        }
        *w = (SecretWork) { .all = p->all, .pool = p->uuid, .spec = *spec, .exists = spec->volume };
        w->spec.call = sd_bus_message_ref(spec->call);
        w->spec.volume = NULL;
        w->spec.object = strdup(spec->object);
        w->spec.name = strdup(name);
        w->spec.part = spec->part ? strdup(spec->part) : NULL;
        if (!w->spec.object || !w->spec.name || (spec->part && !w->spec.part) || json_object_set_new(w->spec.request, "secret", json_true()) < 0)
                return fault_oom(f);
        r = secret_get_value(secret, on_value, w, f);
        if (r >= 0)
                TAKE_PTR(w);
        return r;
}
