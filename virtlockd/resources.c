/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "resources.h"

#include "fd.h"
#include "fdstore.h"
#include "log.h"
#include "mem.h"
#include "str.h"

int resources_init(Resources *s, const char *lockspace) {
        *s = (Resources) { .prefix = strf("%s/", lockspace) };
        return s->prefix ? 0 : -ENOMEM;
}

static void resource_free(Resource *r) {
        fd_close(r->anchor);
        leases_free(r->leases, r->n);
        free(r->file);
        free(r);
}

void resources_clear(Resources *s) {
        RESOURCES_FOREACH(r, s) {
                HASH_DEL(s->all, r);
                resource_free(r);
        }
        free(s->prefix);
        *s = (Resources) {};
}

Resource *resources_find(const Resources *s, const char *file) {
        Resource *r;

        HASH_FIND_STR(s->all, file, r);
        return r;
}

static Resource *add(Resources *s, const char *file) {
        Resource *r = new0(Resource, 1);

        if (!r)
                return NULL;
        r->anchor = -1;
        r->file = strdup(file);
        if (!r->file) {
                free(r);
                return NULL;
        }
        HASH_ADD_KEYPTR(hh, s->all, r->file, strlen(r->file), r);
        return r;
}

static void keep(const Resources *s, const Resource *r) {
        _cleanup_free_ char *name = strf("%s%s", s->prefix, r->file);
        int e = name ? fdstore_keep(name, r->anchor) : -ENOMEM;

        if (e < 0)
                (void) log_warning_errno(e, "%s%s can't be kept across a restart: %m", s->prefix, r->file);
}

int resources_put(Resources *s, const char *file, int anchor, Resource **ret) {
        _cleanup_fd_ int owned = anchor;
        Resource *r;

        assert(s && file && anchor >= 0 && ret);

        r = resources_find(s, file) ?: add(s, file);
        if (!r)
                return -ENOMEM;
        fd_close(r->anchor);
        r->anchor = TAKE_FD(owned);
        r->generation = ++s->last_generation;
        keep(s, r);
        *ret = r;
        return 0;
}

void resources_remove(Resources *s, Resource *r) {
        _cleanup_free_ char *name = strf("%s%s", s->prefix, r->file);

        if (name)
                fdstore_drop(name);
        HASH_DEL(s->all, r);
        resource_free(r);
}

int resources_restore(Resources *s) {
        for (;;) {
                _cleanup_free_ char *file = NULL;
                int fd = fdstore_take_next(s->prefix, &file);
                Resource *r;

                if (fd == -ENOENT)
                        return 0;
                if (fd < 0)
                        return fd;
                (void) fd_set_cloexec(fd, true);
                r = add(s, file);
                if (!r) {
                        fd_close(fd);
                        return -ENOMEM;
                }
                r->anchor = fd;
        }
}

size_t resources_count_leases(const Resources *s) {
        size_t n = 0;

        for (const Resource *r = s->all; r; r = r->hh.next)
                n += r->n;
        return n;
}

int resource_add_lease(Resource *r, const Lease *lease, const char *host) {
        Lease *grown = reallocarray(r->leases, r->n + 1, sizeof(*grown));
        int e;

        if (!grown)
                return -ENOMEM;
        r->leases = grown;
        e = lease_copy(lease, &grown[r->n]);
        if (e < 0)
                return e;
        return free_and_strdup(&grown[r->n++].host, host);
}

int resource_set_leases(Resource *r, const Lease *leases, size_t n, const char *host) {
        leases_free(TAKE_PTR(r->leases), r->n);
        r->n = 0;
        for (size_t i = 0; i < n; i++)
                if (streq_null(leases[i].host, host)) {
                        int e = resource_add_lease(r, &leases[i], host);

                        if (e < 0)
                                return e;
                }
        return 0;
}
