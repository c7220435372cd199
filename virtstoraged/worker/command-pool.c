/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "command-pool.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "iscsi-direct.h"
#include "iscsi-record.h"
#include "run-program.h"
#include "scsi-scan.h"
#include "str.h"

/* udev makes the names of new devices. */
#define DEVICE_WAIT_MSEC 10000
#define DEVICE_LOOK_MSEC 20

static SecretValue secret;

void commands_set_secret(const void *data, size_t length) {
        secret = (SecretValue) { data, length };
}

static int run(const PoolDef *def, const Command *c, char **ret_output, Fault *f) {
        const ProgramSpec spec = {
                .argv = c->argv, .input = c->input, .network = pool_ops(def->type)->network,
                .secrets = { c->secret ? secret : (SecretValue) {} },
        };

        return c->iscsi_login ? iscsi_record_set_login(def, secret.data, secret.length, f) : program_run(&spec, ret_output, f);
}

int commands_run(const PoolDef *def, const Commands *c, char ***outputs, Fault *f) {
        for (size_t i = 0; i < c->n; i++) {
                _cleanup_free_ char *output = NULL;
                int r = run(def, &c->items[i], &output, c->items[i].may_fail ? NULL : f);

                if (r < 0 && !c->items[i].may_fail)
                        return r;
                if (outputs && strv_take(outputs, output ? TAKE_PTR(output) : strdup("")) < 0)
                        return fault_oom(f);
        }
        return 0;
}

/* --- the pool --- */

bool command_pool_is_active(const PoolDef *def) {
        const PoolOps *ops = pool_ops(def->type);
        _cleanup_commands_ Commands c = {};
        _cleanup_strv_ char **outputs = NULL;

        if (!ops->is_active || ops->is_active(def, &c) < 0)
                return false;
        for (size_t i = 0; i < c.n; i++)
                c.items[i].may_fail = true;
        return commands_run(def, &c, &outputs, NULL) >= 0 && outputs && ops->active(def, outputs);
}

int command_pool_start(const PoolDef *def, Fault *f) {
        const PoolOps *ops = pool_ops(def->type);
        _cleanup_commands_ Commands c = {};
        int r;

        if (!ops->start || command_pool_is_active(def))
                return 0;
        if (ops->start(def, &c) < 0)
                return fault_oom(f);
        r = commands_run(def, &c, NULL, f);
        if (r < 0 && ops->start_failed) {
                _cleanup_commands_ Commands rest = {};

                (void) (ops->start_failed(def, &rest) >= 0 && commands_run(def, &rest, NULL, NULL));
        }
        return r;
}

int command_pool_stop(const PoolDef *def, Fault *f) {
        const PoolOps *ops = pool_ops(def->type);
        _cleanup_commands_ Commands c = {};

        if (!ops->stop)
                return 0;
        return ops->stop(def, &c) < 0 ? fault_oom(f) : commands_run(def, &c, NULL, f);
}

/* --- what is in it --- */

static int scan_by_commands(const PoolDef *def, PoolInfo *ret, Fault *f) {
        const PoolOps *ops = pool_ops(def->type);
        _cleanup_commands_ Commands c = {};
        _cleanup_strv_ char **outputs = NULL;
        int r;

        if (ops->list(def, &c) < 0)
                return fault_oom(f);
        r = commands_run(def, &c, &outputs, f);
        if (r >= 0)
                r = ops->parse(def, outputs, ret, f);
        return r == -ENOMEM ? fault_oom(f) : r;
}

int command_pool_scan(const PoolDef *def, PoolInfo *ret, Fault *f) {
        pool_info_clear(ret);
        switch (pool_ops(def->type)->scan) {
        case SCAN_SCSI:
                return scsi_scan(def, ret, f);
        case SCAN_MPATH:
                return mpath_scan(def, ret, f);
        case SCAN_ISCSI_DIRECT:
                return iscsi_direct_scan(def, secret.data, secret.length, ret, f);
        case SCAN_COMMANDS:
        case SCAN_FOLDER:
                break;
        }
        return scan_by_commands(def, ret, f);
}

/* One volume. FAULT_NO_SUCH_VOLUME. */
static int command_pool_look(const PoolDef *def, const char *name, PoolInfo *all, VolumeInfo **ret, Fault *f) {
        int r = command_pool_scan(def, all, f);

        if (r < 0)
                return r;
        *ret = pool_info_find(all, name);
        return *ret ? 0 : fault_set(f, FAULT_NO_SUCH_VOLUME, ENOENT, "there is no volume %.255s in the pool %s", name, def->name);
}

/* --- volumes --- */

static int wait_for_device(const char *path, Fault *f) {
        for (int waited = 0; access(path, F_OK) < 0; waited += DEVICE_LOOK_MSEC) {
                if (waited >= DEVICE_WAIT_MSEC)
                        return fault_set(f, FAULT_TIMEOUT, ETIMEDOUT, "%s was made, but has not come within %d s: does udev run?",
                                         path, DEVICE_WAIT_MSEC / 1000);
                (void) poll(NULL, 0, DEVICE_LOOK_MSEC);
        }
        return 0;
}

int command_pool_open(const PoolDef *def, const char *name, bool writable, Fault *f) {
        _cleanup_pool_info_ PoolInfo all = {};
        VolumeInfo *v;
        int fd, r;

        r = command_pool_look(def, name, &all, &v, f);
        if (r >= 0 && v->kind != VOLUME_BLOCK)
                r = fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "%s is on a server, and no device of this host", v->path);
        if (r < 0)
                return r;
        fd = open(v->path, (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC);
        return fd < 0 ? fault_set(f, FAULT_POOL, errno, "%s can't be opened: %s", v->path, strerror(errno)) : fd;
}

/* A volume of this pool that the new one is a snapshot of. */
static int find_origin(const VolumeOrder *o, const PoolInfo *now, const VolumeInfo **ret, Fault *f) {
        if (!o->def->backing_path)
                return 0;
        for (size_t i = 0; i < now->n; i++)
                if (streq(now->volumes[i].path, o->def->backing_path)) {
                        *ret = &now->volumes[i];
                        return 0;
                }
        return fault_set(f, FAULT_NO_SUCH_VOLUME, ENOENT, "%s is no volume of the same pool", o->def->backing_path);
}

static int plan_volume(const PoolDef *def, const VolumeOrder *o, const PoolInfo *now, Commands *c, Fault *f) {
        VolumePlan plan = { .name = o->def->name, .capacity = o->def->capacity, .allocation = o->def->allocation, .format = o->def->format };
        int r;

        if (pool_info_find(now, plan.name))
                return fault_set(f, FAULT_VOLUME_EXISTS, EEXIST, "there is a volume %s in the pool %s already", plan.name, def->name);
        r = find_origin(o, now, &plan.origin, f);
        if (r < 0)
                return r;
        if (plan.capacity == NUMBER_UNSET)
                plan.capacity = plan.origin ? plan.origin->capacity : o->origin.capacity;
        if (plan.allocation == NUMBER_UNSET)
                plan.allocation = plan.capacity;
        if (o->origin.image.path && plan.capacity < o->origin.capacity)
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s would be smaller than what is copied into it", plan.name);
        r = pool_ops(def->type)->create(def, now, &plan, c, f);
        return r == -ENOMEM ? fault_oom(f) : r;
}

static int make(const PoolDef *def, const VolumeOrder *o, PoolInfo *all, Fault *f) {
        _cleanup_commands_ Commands c = {};
        VolumeInfo *v;
        int r;

        r = command_pool_scan(def, all, f);
        if (r >= 0)
                r = plan_volume(def, o, all, &c, f);
        if (r >= 0)
                r = commands_run(def, &c, NULL, f);
        if (r >= 0)
                r = command_pool_look(def, o->def->name, all, &v, f);
        return r < 0 || v->kind != VOLUME_BLOCK ? r : wait_for_device(v->path, f);
}

/* A server copies what it has by itself. */
static int copy(const PoolDef *def, const VolumeOrder *o, PoolInfo *all, Fault *f) {
        const PoolOps *ops = pool_ops(def->type);
        const VolumeInfo *from = NULL;
        _cleanup_commands_ Commands c = {};
        int r = command_pool_scan(def, all, f);

        for (size_t i = 0; i < all->n && r >= 0; i++)
                if (streq(all->volumes[i].path, o->origin.image.path))
                        from = &all->volumes[i];
        if (r >= 0 && !from)
                r = fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "%s is no volume of the same pool", o->origin.image.path);
        if (r >= 0 && o->def->capacity != NUMBER_UNSET && o->def->capacity < from->capacity)
                r = fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s would be smaller than what is copied into it", o->def->name);
        if (r < 0)
                return r;
        r = ops->copy(def, from, o->def->name, &c) < 0 ? fault_oom(f) : commands_run(def, &c, NULL, f);
        if (r >= 0 && o->def->capacity != NUMBER_UNSET && o->def->capacity > from->capacity)
                return command_pool_resize(def, o->def->name, o->def->capacity, all, f);
        return r < 0 ? r : command_pool_scan(def, all, f);
}

int command_pool_create(const PoolDef *def, const VolumeOrder *o, PoolInfo *all, Fault *f) {
        const VolumeInfo *v;
        int r;

        if (!pool_ops(def->type)->create)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "volumes of a pool of type '%s' are made on its server or disk, not here",
                                 pool_type_to_string(def->type));
        if (o->origin.image.path && pool_ops(def->type)->copy)
                return copy(def, o, all, f);
        r = make(def, o, all, f);
        if (r < 0 || !o->origin.image.path)
                return r;
        v = pool_info_find(all, o->def->name);
        r = volume_copy_to_device(o, v->path, f);
        if (r < 0) { /* half of it is of no use */
                _cleanup_pool_info_ PoolInfo rest = {};

                (void) command_pool_remove(def, o->def->name, &rest, NULL);
        }
        return r;
}

int command_pool_remove(const PoolDef *def, const char *name, PoolInfo *all, Fault *f) {
        const PoolOps *ops = pool_ops(def->type);
        _cleanup_commands_ Commands c = {};
        VolumeInfo *v;
        int r;

        if (!ops->remove)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "volumes of a pool of type '%s' can't be deleted here", pool_type_to_string(def->type));
        r = command_pool_look(def, name, all, &v, f);
        if (r >= 0)
                r = ops->remove(def, v, &c) < 0 ? fault_oom(f) : commands_run(def, &c, NULL, f);
        return r < 0 ? r : command_pool_scan(def, all, f);
}

int command_pool_resize(const PoolDef *def, const char *name, uint64_t capacity, PoolInfo *all, Fault *f) {
        const PoolOps *ops = pool_ops(def->type);
        _cleanup_commands_ Commands c = {};
        VolumeInfo *v;
        int r;

        if (!ops->resize)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "volumes of a pool of type '%s' can't be resized here", pool_type_to_string(def->type));
        r = command_pool_look(def, name, all, &v, f);
        if (r >= 0)
                r = ops->resize(def, v, capacity, &c, f);
        if (r >= 0)
                r = commands_run(def, &c, NULL, f);
        return r < 0 ? r : command_pool_scan(def, all, f);
}

int command_pool_find(const PoolDef *hints, RecordList *ret, Fault *f) {
        const PoolOps *ops = pool_ops(hints->type);
        _cleanup_commands_ Commands c = {};
        _cleanup_strv_ char **outputs = NULL;
        int r;

        if (ops->scan == SCAN_ISCSI_DIRECT)
                return iscsi_direct_find(hints, ret, f);
        if (!ops->find)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "sources of pools of type '%s' can't be looked for", pool_type_to_string(hints->type));
        if (ops->find(hints, &c) < 0)
                return fault_oom(f);
        r = commands_run(hints, &c, &outputs, f);
        if (r >= 0)
                r = ops->found(hints, outputs, ret);
        return r < 0 && !fault_is_set(f) ? fault_set(f, FAULT_POOL, -r, "what is found can't be read: %s", strerror(-r)) : r;
}
