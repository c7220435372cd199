/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-secret.h"

#include "fd.h"
#include "mem.h"
#include "pools.h"

/* Unsealing can't be called off: whoever does not want it any more leaves. */
typedef struct PoolSecret {
        Pool *pool;                  /* NULL: nobody waits */
        DefinedDone done;
        void *userdata;
        bool asking;                 /* the call that asks has not returned */
} PoolSecret;

static void on_value(int *fd, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        PoolSecret *s = userdata;
        Pool *p = s->pool;

        if (p) {
                p->secret_wait = NULL;
                p->secret = why ? -1 : fd_copy(*fd);
                if (!why && p->secret < 0)
                        why = fault_oom(&f) < 0 ? &f : NULL;
                if (!s->asking)
                        s->done(p, why, s->userdata);
        }
        free(s);
}

static int find(Pool *p, Secret **ret, Fault *f) {
        SecretUsage usage = p->live->auth_type == AUTH_CEPH ? USAGE_CEPH : USAGE_ISCSI;
        char uuid[SD_ID128_STRING_MAX];
        int r;

        if (!sd_id128_is_null(p->live->auth_secret_uuid))
                r = secrets_find(p->all->secrets, sd_id128_to_string(p->live->auth_secret_uuid, uuid), ret, f);
        else
                r = secrets_find_usage(p->all->secrets, usage, p->live->auth_secret_usage, ret, f);
        if (r < 0)
                fault_prefix(f, "the pool %s", p->name);
        return r;
}

int pool_fetch_secret(Pool *p, DefinedDone done, void *userdata, Fault *f) {
        PoolSecret *s;
        Secret *secret;
        int r;

        if (p->live->auth_type == AUTH_NONE || p->secret >= 0)
                return 1;
        r = find(p, &secret, f);
        if (r < 0)
                return r;
        s = new0(PoolSecret, 1);
        if (!s)
                return fault_oom(f);
        *s = (PoolSecret) { .pool = p, .done = done, .userdata = userdata, .asking = true };
        p->secret_wait = s;
        r = secret_get_value(secret, on_value, s, f);
        if (r < 0) {
                p->secret_wait = NULL;
                free(s);
                return r;
        }
        if (!p->secret_wait)
                return p->secret >= 0 ? 1 : fault_oom(f);
        s->asking = false;
        return 0;
}

void pool_forget_secret(Pool *p) {
        if (p->secret_wait)
                p->secret_wait->pool = NULL;
        p->secret_wait = NULL;
        p->secret = fd_close(p->secret);
}
