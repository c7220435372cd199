/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtstorage-worker: does what virtstoraged must not wait for: everything that touches a pool. */

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../plan/storage.h"
#include "command-pool.h"
#include "fd.h"
#include "file.h"
#include "folder.h"
#include "mem.h"
#include "run-program.h"
#include "seal.h"
#include "str.h"
#include "transfer.h"
#include "volume-file.h"
#include "worker-format.h"
#include "worker-serve.h"

#define SECRET_MAX ((size_t) 64 * 1024)

static const char *text_of(const WorkerRequest *q, const char *key) {
        return json_string_value(json_object_get(q->json, key));
}

static bool flag_of(const WorkerRequest *q, const char *key) {
        return json_is_true(json_object_get(q->json, key));
}

static uint64_t number_of(const WorkerRequest *q, const char *key) {
        return (uint64_t) json_integer_value(json_object_get(q->json, key));
}

/* A secret's value comes as a sealed file, so that it is in no message. */
typedef struct Secret {
        void *data;
        size_t length;
} Secret;

static void secret_clear(Secret *s) {
        if (s->data)
                explicit_bzero(s->data, s->length);
        free(s->data);
        *s = (Secret) {};
}

static int read_secret(const WorkerRequest *q, size_t nth, Secret *ret) {
        _cleanup_fd_ int fd = -1;
        char path[64];

        if (q->n_fds <= nth)
                return -EBADMSG;
        /* Opened again: others read it, too, and would go on where we end. */
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", q->fds[nth]);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? -errno : fd_read_all(fd, SECRET_MAX, (char **) &ret->data, &ret->length);
}

/* The pool that everything is about: the first request says which. */
static struct {
        PoolDef *def;
        json_t *formats;
        Folder folder;
        char *tag;
        Secret secret;               /* what it logs in with */
} pool = { .folder = FOLDER_INIT };

static const PoolOps *ops(void) {
        return pool_ops(pool.def->type);
}

static bool is_folder(void) {
        return ops()->scan == SCAN_FOLDER;
}

/* Only now: what is built first has no folder yet. */
static int need_folder(Fault *f) {
        if (pool.folder.fd >= 0)
                return 0;
        return folder_open(&pool.folder, pool.def, pool.formats, f);
}

/* --- answers --- */

typedef struct Batch {
        json_t *volumes;
        size_t bytes;
} Batch;

/* Well below what a message holds. */
#define BATCH_BYTES ((size_t) 48 * 1024)

static int batch_flush(Batch *b) {
        json_t *volumes = TAKE_PTR(b->volumes);

        b->bytes = 0;
        return volumes ? worker_say(json_pack("{s:o}", "volumes", volumes), NULL, 0) : 0;
}

static size_t text_size(const char *s) {
        return s ? strlen(s) * 2 : 0;
}

static int on_found(VolumeInfo *v, void *userdata) {
        Batch *b = userdata;

        b->volumes = b->volumes ?: json_array();
        (void) json_array_append_new(b->volumes, volume_info_to_json(v));
        b->bytes += 250 + text_size(v->name) + text_size(v->path) + text_size(v->key) + text_size(v->backing_path);
        volume_info_clear(v);
        return b->bytes >= BATCH_BYTES ? batch_flush(b) : 0;
}

static json_t *space_to_json(const PoolInfo *p) {
        return json_pack("{s:I, s:I, s:I}", "capacity", (json_int_t) p->capacity, "allocation", (json_int_t) p->allocation,
                         "available", (json_int_t) p->available);
}

static int end_with_space(json_t *more, Fault *f) {
        json_t *json = more ?: json_object(), *space;
        PoolInfo info = {};
        int r = folder_space(&pool.folder, &info, f);

        if (r < 0) {
                json_decref(json);
                return r;
        }
        space = space_to_json(&info);
        (void) json_object_update(json, space);
        json_decref(space);
        return worker_end(json, NULL, 0);
}

/* The whole of a pool that is no folder; volumes are taken out. */
static int say_all(PoolInfo *all) {
        Batch batch = {};
        int r = 0;

        for (size_t i = 0; i < all->n && r >= 0; i++)
                r = on_found(&all->volumes[i], &batch);
        if (r >= 0)
                r = batch_flush(&batch);
        json_decref(batch.volumes);
        return r;
}

static int end_with_all(PoolInfo *all, const char *changed) {
        const VolumeInfo *v = changed ? pool_info_find(all, changed) : NULL;
        json_t *json = space_to_json(all);

        if (json && v)
                (void) json_object_set_new(json, "volume", volume_info_to_json(v));
        return worker_end(json, NULL, 0);
}

/* --- the pool --- */

#define WATCHED (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

static int serve_open(WorkerRequest *q, Fault *f) {
        const char *text = text_of(q, "pool"), *tag = text_of(q, "tag");
        int r;

        folder_close(&pool.folder);
        pool.def = pool_def_free(pool.def);
        json_decref(pool.formats);
        pool.formats = json_incref(json_object_get(q->json, "formats"));
        r = text && tag ? free_and_strdup(&pool.tag, tag) : -EBADMSG;
        secret_clear(&pool.secret);
        if (r >= 0 && flag_of(q, "secret"))
                r = read_secret(q, 0, &pool.secret);
        commands_set_secret(pool.secret.data, pool.secret.length);
        if (r >= 0)
                r = pool_parse(text, strlen(text), &pool.def, f);
        return r < 0 ? r : worker_end(NULL, NULL, 0);
}

/* Watches a folder that may hang when it is asked: the daemon hears of what happens there, and does not ask. */
static int watch_folder(int inotify, Fault *f) {
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", pool.folder.fd);
        if (inotify_add_watch(inotify, path, WATCHED) >= 0)
                return 0;
        folder_fault(&pool.folder, NULL, "can't be watched", errno, f);
        if (errno == ENOSPC)
                fault_hint(f, "raise fs.inotify.max_user_watches");
        return -EIO;
}

static int serve_watch(WorkerRequest *q, Fault *f) {
        int r = need_folder(f);

        if (r >= 0)
                r = q->n_fds == 1 ? watch_folder(q->fds[0], f) : -EBADMSG;
        if (r >= 0)
                (void) folder_tidy(&pool.folder, pool.tag, json_object_get(q->json, "busy"));
        return r < 0 ? r : worker_end(json_pack("{s:b}", "remote", (int) pool.folder.remote), NULL, 0);
}

static int refresh_by_commands(Fault *f) {
        _cleanup_pool_info_ PoolInfo all = {};
        json_t *space;
        int r = command_pool_scan(pool.def, &all, f);

        if (r < 0)
                return r;
        space = space_to_json(&all);
        r = say_all(&all);
        if (r >= 0)
                return worker_end(space, NULL, 0);
        json_decref(space);
        return r;
}

static int serve_refresh(_unused_ WorkerRequest *q, Fault *f) {
        Batch batch = {};
        int r;

        if (!is_folder())
                return refresh_by_commands(f);
        r = need_folder(f);
        if (r >= 0)
                r = folder_scan(&pool.folder, on_found, &batch, f);
        if (r >= 0)
                r = batch_flush(&batch);
        json_decref(batch.volumes);
        return r < 0 ? r : end_with_space(NULL, f);
}

/* What has happened to some names. */
static int serve_look(WorkerRequest *q, Fault *f) {
        json_t *gone = json_array(), *item;
        Batch batch = {};
        size_t i;
        int r = need_folder(f);

        json_array_foreach(json_object_get(q->json, "names"), i, item) {
                VolumeInfo v;

                if (r < 0)
                        break;
                if (folder_look(&pool.folder, json_string_value(item) ?: "", &v, NULL) < 0)
                        (void) json_array_append(gone, item);
                else
                        r = on_found(&v, &batch);
        }
        if (r >= 0)
                r = batch_flush(&batch);
        json_decref(batch.volumes);
        if (r < 0) {
                json_decref(gone);
                return r;
        }
        return end_with_space(json_pack("{s:o}", "gone", gone), f);
}

static int serve_space(_unused_ WorkerRequest *q, Fault *f) {
        _cleanup_pool_info_ PoolInfo all = {};
        int r = is_folder() ? need_folder(f) : command_pool_scan(pool.def, &all, f);

        if (!is_folder())
                return r < 0 ? r : end_with_all(&all, NULL);

        return r < 0 ? r : end_with_space(NULL, f);
}

/* So that it can be unmounted. */
/* What watched the folder is closed at our end: the kernel has whoever closes it last wait for all that look at its lists. */
static int serve_leave(WorkerRequest *q, _unused_ Fault *f) {
        for (size_t i = 0; i < q->n_fds; i++)
                q->fds[i] = -1;
        folder_close(&pool.folder);
        return worker_end(NULL, NULL, 0);
}

/* Commands end with the worker; what they have begun is there, or is not. */
static int serve_tidy(WorkerRequest *q, Fault *f) {
        int r;

        if (!is_folder())
                return worker_end(NULL, NULL, 0);
        r = need_folder(f);

        if (r >= 0)
                r = folder_tidy(&pool.folder, pool.tag, json_object_get(q->json, "busy"));
        return r < 0 ? r : worker_end(NULL, NULL, 0);
}

/* --- making and unmaking the pool --- */

static int run_commands(const Commands *c, Fault *f) {
        return commands_run(pool.def, c, NULL, f);
}

static int serve_is_active(_unused_ WorkerRequest *q, _unused_ Fault *f) {
        return worker_end(json_pack("{s:b}", "active", (int) command_pool_is_active(pool.def)), NULL, 0);
}

static int serve_activate(_unused_ WorkerRequest *q, Fault *f) {
        int r = command_pool_start(pool.def, f);

        return r < 0 ? r : worker_end(NULL, NULL, 0);
}

static int serve_deactivate(_unused_ WorkerRequest *q, Fault *f) {
        int r = command_pool_stop(pool.def, f);

        return r < 0 ? r : worker_end(NULL, NULL, 0);
}

static json_t *source_to_json(const PoolDef *def) {
        const SourceHost *h = def->hosts.n > 0 ? pool_host(def) : NULL;
        json_t *devices = json_array();

        RECORD_FOREACH(SourceDevice, d, def->devices)
                (void) json_array_append_new(devices, json_string(d->path));
        return json_pack("{s:s*, s:s*, s:s*, s:s*, s:o}", "host", h ? h->name : NULL, "dir", def->source_dir, "name", def->source_name, "format",
                         def->source_format, "devices", devices);
}

static int read_hints(const WorkerRequest *q, PoolDef *hints) {
        const char *host = text_of(q, "host");
        int r = 0;

        hints->type = pool_type_from_string(text_of(q, "type"));
        if (!pool_ops(hints->type))
                return -EBADMSG;
        if (host)
                r = pool_add_host(hints, host, json_object_get(q->json, "port") ? number_of(q, "port") : NUMBER_UNSET);
        return r < 0 ? r : pool_fill(hints);
}

static int serve_find(WorkerRequest *q, Fault *f) {
        _cleanup_(pool_def_freep) PoolDef *hints = record_new(&pool_record);
        RecordList found = {};
        json_t *list;
        int r = hints ? read_hints(q, hints) : -ENOMEM;

        if (r >= 0)
                r = command_pool_find(hints, &found, f);
        if (r < 0) {
                record_list_clear(&found);
                return r;
        }
        list = json_array();
        for (size_t i = 0; i < found.n; i++)
                (void) json_array_append_new(list, source_to_json((PoolDef *) found.items[i]));
        record_list_clear(&found);
        return worker_end(json_pack("{s:o}", "sources", list), NULL, 0);
}

static int set_folder_permissions(int fd, Fault *f) {
        const Permissions *p = &pool.def->permissions;
        mode_t mode;

        if (permissions_mode(p, 0711, &mode) < 0)
                return -EINVAL;
        if ((p->owner != INTEGER_UNSET || p->group != INTEGER_UNSET) &&
            fchown(fd, p->owner == INTEGER_UNSET ? (uid_t) -1 : (uid_t) p->owner, p->group == INTEGER_UNSET ? (gid_t) -1 : (gid_t) p->group) < 0)
                return fault_set(f, FAULT_ACCESS_DENIED, errno, "%s can't be given to that owner: %s", pool.def->path, strerror(errno));
        if (p->label && fsetxattr(fd, "security.selinux", p->label, strlen(p->label) + 1, 0) < 0 && errno != EOPNOTSUPP && errno != EINVAL)
                return fault_set(f, FAULT_ACCESS_DENIED, errno, "%s can't be given that label: %s", pool.def->path, strerror(errno));
        return fchmod(fd, mode) < 0 ? fault_set(f, FAULT_ACCESS_DENIED, errno, "%s can't be given that mode: %s", pool.def->path, strerror(errno)) : 0;
}

static int make_folder(Fault *f) {
        _cleanup_fd_ int fd = -1;
        bool fresh = access(pool.def->path, F_OK) < 0;
        int r = mkdir_parents(pool.def->path, 0711);

        if (r < 0)
                return fault_set(f, r == -EACCES || r == -EPERM ? FAULT_ACCESS_DENIED : FAULT_POOL, -r, "%s can't be made: %s", pool.def->path, strerror(-r));
        fd = open(pool.def->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return fault_set(f, FAULT_POOL, errno, "%s can't be used: %s", pool.def->path, strerror(errno));
        return fresh || pool.def->permissions.mode || pool.def->permissions.owner != INTEGER_UNSET ? set_folder_permissions(fd, f) : 0;
}

/* Over what is there only when that is wanted. */
static int check_blank(const char *device, Fault *f) {
        char *argv[] = { (char *) "blkid", (char *) "-p", (char *) "-o", (char *) "value", (char *) "-s", (char *) "TYPE", (char *) device, NULL };
        const ProgramSpec spec = { .argv = argv };
        _cleanup_free_ char *said = NULL;

        if (*device != '/')
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "%s is not the path of a device: what is to be overwritten must be named", device);
        if (access(device, F_OK) < 0)
                return fault_set(f, FAULT_POOL, errno, "%s: %s", device, strerror(errno));
        if (program_run(&spec, &said, NULL) < 0 || !*said)
                return 0; /* blkid fails where it finds nothing */
        said[strcspn(said, "\n")] = '\0';
        fault_set(f, FAULT_POOL, EEXIST, "there is something on %s already: %s", device, said);
        fault_hint(f, "give the option \"overwrite\" if that may be lost");
        return -EEXIST;
}

static int serve_build(WorkerRequest *q, Fault *f) {
        _cleanup_commands_ Commands c = {};
        bool overwrite = flag_of(q, "overwrite"), format = flag_of(q, "format") || overwrite;
        int r = is_folder() ? make_folder(f) : 0;

        if (r >= 0 && ops()->build && (format || !is_folder())) {
                RECORD_FOREACH(SourceDevice, d, pool.def->devices)
                        if (r >= 0 && (!overwrite || *d->path != '/'))
                                r = check_blank(d->path, f);
                if (r >= 0)
                        r = ops()->build(pool.def, overwrite, &c) < 0 ? fault_oom(f) : run_commands(&c, f);
        }
        return r < 0 ? r : worker_end(NULL, NULL, 0);
}

static int serve_destroy(_unused_ WorkerRequest *q, Fault *f) {
        _cleanup_commands_ Commands c = {};
        int r = 0;

        if (ops()->destroy)
                r = ops()->destroy(pool.def, &c) < 0 ? fault_oom(f) : run_commands(&c, f);
        else if (is_folder()) {
                folder_close(&pool.folder);
                if (rmdir(pool.def->path) < 0)
                        r = fault_set(f, FAULT_POOL, errno, "%s can't be removed: %s", pool.def->path, strerror(errno));
        }
        return r < 0 ? r : worker_end(NULL, NULL, 0);
}

/* --- volumes --- */

static int read_origin(const json_t *json, VolumeOrigin *ret, char ***ret_chain) {
        const json_t *item;
        size_t i;
        int r = 0;

        if (!json)
                return 0;
        ret->image.path = json_string_value(json_object_get(json, "path"));
        ret->image.format = volume_format_from_string(json_string_value(json_object_get(json, "format")));
        ret->capacity = (uint64_t) json_integer_value(json_object_get(json, "capacity"));
        ret->image.secret = json_is_true(json_object_get(json, "encrypted")) ? QEMU_IMG_ORIGIN_SECRET : NULL;
        if (!ret->image.path || ret->image.format <= FORMAT_UNSET)
                return -EBADMSG;
        r = strv_push(ret_chain, ret->image.path);
        json_array_foreach(json_object_get(json, "chain"), i, item)
                if (r >= 0)
                        r = strv_push(ret_chain, json_string_value(item) ?: "");
        ret->chain = (const char *const *) *ret_chain;
        return r;
}

static int create_by_commands(const VolumeOrder *order, Fault *f) {
        _cleanup_pool_info_ PoolInfo all = {};
        int r = command_pool_create(pool.def, order, &all, f);

        return r < 0 ? r : end_with_all(&all, order->def->name);
}

static int serve_create(WorkerRequest *q, Fault *f) {
        const char *text = text_of(q, "volume"), *part = text_of(q, "part");
        _cleanup_(volume_def_freep) VolumeDef *def = NULL;
        _cleanup_(secret_clear) Secret secret = {}, origin_secret = {};
        _cleanup_strv_ char **chain = NULL;
        Preallocation preallocation = preallocation_from_string(text_of(q, "preallocation"));
        VolumeOrder order = { .part = part, .preallocation = preallocation };
        VolumeInfo info = {};
        json_t *json;
        int r;

        r = text && part && preallocation >= 0 ? volume_parse(text, strlen(text), &def, f) : -EBADMSG;
        if (r >= 0 && flag_of(q, "secret"))
                r = read_secret(q, 0, &secret);
        if (r >= 0)
                r = read_origin(json_object_get(q->json, "origin"), &order.origin, &chain);
        if (r >= 0 && order.origin.image.secret)
                r = read_secret(q, 1, &origin_secret);
        order.def = def;
        order.secret = (SecretValue) { secret.data, secret.length };
        order.origin.secret = (SecretValue) { origin_secret.data, origin_secret.length };
        if (r >= 0 && !is_folder())
                return create_by_commands(&order, f);
        if (r >= 0)
                r = need_folder(f);
        if (r < 0)
                return r;
        r = volume_file_create(&pool.folder, &order, &info, f);
        if (r < 0)
                return r;
        json = json_pack("{s:o}", "volume", volume_info_to_json(&info));
        volume_info_clear(&info);
        return end_with_space(json, f);
}

static int serve_remove(WorkerRequest *q, Fault *f) {
        const char *name = text_of(q, "name");
        _cleanup_pool_info_ PoolInfo all = {};
        int r = !name ? -EBADMSG : is_folder() ? need_folder(f) : command_pool_remove(pool.def, name, &all, f);

        if (!is_folder())
                return r < 0 ? r : end_with_all(&all, NULL);

        if (r >= 0)
                r = volume_file_remove(&pool.folder, name, f);
        return r < 0 ? r : end_with_space(NULL, f);
}

static int end_with_volume(const char *name, Fault *f) {
        _cleanup_pool_info_ PoolInfo all = {};
        VolumeInfo v = {};
        json_t *json;
        int r = is_folder() ? folder_look(&pool.folder, name, &v, f) : command_pool_scan(pool.def, &all, f);

        if (!is_folder())
                return r < 0 ? r : end_with_all(&all, name);

        if (r < 0)
                return r;
        json = json_pack("{s:o}", "volume", volume_info_to_json(&v));
        volume_info_clear(&v);
        return end_with_space(json, f);
}

static int serve_describe(WorkerRequest *q, Fault *f) {
        const char *name = text_of(q, "name");
        int r = name ? need_folder(f) : -EBADMSG;

        return r < 0 ? r : end_with_volume(name, f);
}

static int serve_guess(WorkerRequest *q, Fault *f) {
        const char *name = text_of(q, "name");
        VolumeFormat format = FORMAT_RAW;
        int r = name ? need_folder(f) : -EBADMSG;

        if (r >= 0)
                r = folder_guess(&pool.folder, name, &format, f);
        return r < 0 ? r : worker_end(json_pack("{s:s}", "format", volume_format_to_string(format)), NULL, 0);
}

static int serve_resize(WorkerRequest *q, Fault *f) {
        _cleanup_(secret_clear) Secret secret = {};
        ResizeOrder o = {
                .name = text_of(q, "name"), .format = volume_format_from_string(text_of(q, "format")), .capacity = number_of(q, "capacity"),
                .shrink = flag_of(q, "shrink"), .allocate = flag_of(q, "allocate"),
        };
        int r = o.name && o.format > FORMAT_UNSET ? 0 : -EBADMSG;

        if (r >= 0 && flag_of(q, "secret"))
                r = read_secret(q, 0, &secret);
        o.secret = (SecretValue) { secret.data, secret.length };
        if (r >= 0 && !is_folder()) {
                _cleanup_pool_info_ PoolInfo all = {};

                r = command_pool_resize(pool.def, o.name, o.capacity, &all, f);
                return r < 0 ? r : end_with_all(&all, o.name);
        }
        if (r >= 0)
                r = need_folder(f);
        if (r >= 0)
                r = volume_file_resize(&pool.folder, &o, f);
        return r < 0 ? r : end_with_volume(o.name, f);
}

static int open_volume(const char *name, bool writable, Fault *f) {
        int r = 0;

        if (!is_folder())
                return command_pool_open(pool.def, name, writable, f);
        r = need_folder(f);
        return r < 0 ? r : folder_open_volume(&pool.folder, name, writable, f);
}

static int serve_wipe(WorkerRequest *q, Fault *f) {
        WipeAlgorithm algorithm = wipe_algorithm_from_string(text_of(q, "algorithm"));
        const char *name = text_of(q, "name");
        _cleanup_fd_ int fd = -1;
        int r;

        if (!name || algorithm < 0)
                return -EBADMSG;
        fd = open_volume(name, true, f);
        r = fd < 0 ? fd : wipe(fd, algorithm, f);
        return r < 0 ? r : end_with_volume(name, f);
}

static int serve_transfer(WorkerRequest *q, bool up, Fault *f) {
        const char *name = text_of(q, "name");
        _cleanup_fd_ int fd = -1;
        uint64_t done = 0;
        int r;

        if (!name || q->n_fds != 1)
                return -EBADMSG;
        fd = open_volume(name, up, f);
        if (fd < 0)
                return fd;

        const Transfer t = {
                .volume = fd,
                .other = q->fds[0],
                .offset = number_of(q, "offset"),
                .length = number_of(q, "length"),
                .sparse = flag_of(q, "sparse"),
                .ret_done = &done,
        };
        r = up ? transfer_upload(&t, f) : transfer_download(&t, f);
        return r < 0 ? r : end_with_volume(name, f);
}

static int serve_upload(WorkerRequest *q, Fault *f) {
        return serve_transfer(q, true, f);
}

static int serve_download(WorkerRequest *q, Fault *f) {
        return serve_transfer(q, false, f);
}

static int serve_fetch(WorkerRequest *q, Fault *f) {
        const char *name = text_of(q, "name");
        _cleanup_fd_ int fd = name ? open_volume(name, flag_of(q, "writable"), f) : -EBADMSG;

        return fd < 0 ? fd : worker_end(NULL, &fd, 1);
}

int main(int argc, char *argv[]) {
        static const WorkerVerb verbs[] = {
                { "open", serve_open }, { "watch", serve_watch }, { "refresh", serve_refresh }, { "look", serve_look }, { "space", serve_space },
                { "leave", serve_leave }, { "is-active", serve_is_active }, { "activate", serve_activate }, { "deactivate", serve_deactivate },
                { "tidy", serve_tidy },
                { "find", serve_find }, { "build", serve_build }, { "destroy", serve_destroy }, { "create", serve_create },
                { "remove", serve_remove }, { "resize", serve_resize }, { "wipe", serve_wipe }, { "upload", serve_upload },
                { "download", serve_download }, { "fetch", serve_fetch }, { "describe", serve_describe }, { "guess", serve_guess },
                { "seal", serve_seal }, { "unseal", serve_unseal },
        };
        int r = worker_serve(verbs, ARRAY_SIZE(verbs), FAULT_POOL, "virtstoraged", argc, argv);

        folder_close(&pool.folder);
        pool_def_free(pool.def);
        json_decref(pool.formats);
        free(pool.tag);
        return r;
}
