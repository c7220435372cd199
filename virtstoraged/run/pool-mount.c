/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-mount.h"

#include <mntent.h>
#include <string.h>

#include "../pool/pool.h"
#include "file.h"
#include "mem.h"
#include "pools.h"
#include "str.h"

#define LINE_MAX_BYTES 8192u


/* What is mounted on a folder now; NULL in *ret: nothing. */
static int pool_mounted(const char *path, char **ret) {
        _cleanup_free_ char *found = NULL, *buffer = malloc(LINE_MAX_BYTES);
        FILE *file = setmntent("/proc/self/mounts", "re");
        struct mntent e;
        int r = 0;

        if (!file || !buffer)
                r = file ? -ENOMEM : -errno;
        /* The last one is on top. */
        while (r >= 0 && getmntent_r(file, &e, buffer, LINE_MAX_BYTES))
                if (streq(e.mnt_dir, path))
                        r = free_and_strdup(&found, e.mnt_fsname);
        if (file)
                (void) endmntent(file);
        if (r >= 0)
                *ret = TAKE_PTR(found);
        return r;
}

/* A file is mounted through a loop device. */
static bool is_loop_of(const char *wanted, const char *there) {
        const char *name = str_after(there, "/dev/");
        _cleanup_free_ char *path = name ? strf("/sys/block/%s/loop/backing_file", name) : NULL, *file = NULL;
        size_t n;

        if (!path || file_read(path, 4096, &file, &n) < 0)
                return false;
        file[strcspn(file, "\n")] = '\0';
        return streq(file, wanted);
}

/* "UUID=…" can't be told without asking; a path of /dev may be a link, which is no file system that hangs. */
static bool is_same_source(const char *wanted, const char *there) {
        _cleanup_free_ char *a = NULL, *b = NULL;
        size_t n = strlen(wanted);

        if (strchr(wanted, '=') && wanted[0] != '/')
                return true;
        if (str_after(wanted, "/dev/") && str_after(there, "/dev/")) {
                a = realpath(wanted, NULL);
                b = realpath(there, NULL);
        }
        if (a && b)
                return streq(a, b);
        if (wanted[0] == '/' && is_loop_of(wanted, there))
                return true;
        /* "server:/dir/" is "server:/dir". */
        while (n > 1 && wanted[n - 1] == '/')
                n--;
        return strncmp(wanted, there, n) == 0 && (!there[n] || streq(there + n, "/"));
}

static int unit_of(const Pool *p, char **ret, Fault *f) {
        int r = unit_name_from_path(p->live->path, ".mount", ret);

        return r < 0 ? fault_set(f, FAULT_UNIT, -r, "%s can't be the name of a unit: %s", p->live->path, strerror(-r)) : 0;
}

static int call_failed(int r, Fault *f) {
        return r < 0 ? fault_set(f, FAULT_DISCONNECTED, -r, "systemd can't be asked to mount: %s", strerror(-r)) : 0;
}

static int start_unit(Pool *p, const MountPlan *plan, UnitDone done, void *userdata, UnitCall **ret, Fault *f) {
        _cleanup_free_ char *unit = NULL, *description = strf("Storage pool %s", p->name);
        int r = unit_of(p, &unit, f);

        if (r < 0 || !description)
                return r < 0 ? r : fault_oom(f);

        const UnitMount spec = {
                .unit = unit, .description = description, .what = plan->what, .type = plan->type, .options = plan->options,
                .timeout_usec = p->all->settings->deadline_usec,
        };
        return call_failed(unit_start_mount(p->all->bus, &spec, done, userdata, ret), f);
}

int pool_mount(Pool *p, UnitDone done, void *userdata, UnitCall **ret, Fault *f) {
        _cleanup_(mount_plan_clear) MountPlan plan = {};
        _cleanup_free_ char *there = NULL;
        int r;

        if (pool_ops(p->live->type)->mount(p->live, &plan) < 0)
                return fault_oom(f);
        r = pool_mounted(p->live->path, &there);
        if (r < 0)
                return fault_set(f, FAULT_POOL, -r, "what is mounted can't be read: %s", strerror(-r));
        if (there && (p->mounted_by_us || is_same_source(plan.what, there)))
                return 1;
        if (there)
                return fault_set(f, FAULT_POOL, EBUSY, "%s is mounted on %s, where %s should be", there, p->live->path, plan.what);
        if (!p->all->by_unit) {
                fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "%s is not mounted on %s, and without systemd nobody mounts it", plan.what, p->live->path);
                fault_hint(f, "mount it first");
                return -EOPNOTSUPP;
        }
        r = pool_note_ours(p, &p->mounted_by_us, f);
        if (r >= 0 && (r = start_unit(p, &plan, done, userdata, ret, f)) < 0)
                p->mounted_by_us = false;
        return r;
}

int pool_mount_existing(Pool *p, UnitDone done, void *userdata, UnitCall **ret, Fault *f) {
        _cleanup_free_ char *unit = NULL;
        int r = unit_of(p, &unit, f);

        return r < 0 ? r : call_failed(unit_start(p->all->bus, unit, "fail", done, userdata, ret), f);
}

int pool_unmount(Pool *p, UnitDone done, void *userdata, UnitCall **ret, Fault *f) {
        _cleanup_free_ char *unit = NULL;
        int r = unit_of(p, &unit, f);

        return r < 0 ? r : call_failed(unit_stop(p->all->bus, unit, "replace", done, userdata, ret), f);
}
