/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume-file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"
#include "progress.h"
#include "qcow2.h"
#include "str.h"

#define ALLOCATION_STEP (UINT64_C(256) << 20)
#define ZERO_STEP ((size_t) 1 << 20)

static int part_fault(const Folder *d, const VolumeOrder *o, const char *what, int error, Fault *f) {
        return folder_fault(d, o->def->name, what, error, f);
}

/* --- raw ones --- */

/* For file systems that have no fallocate(). */
static int write_zeros(int fd, uint64_t from, uint64_t to, Progress *p) {
        _cleanup_free_ void *zeros = calloc(1, ZERO_STEP);

        if (!zeros)
                return -ENOMEM;
        while (from < to) {
                ssize_t n = pwrite(fd, zeros, (size_t) MIN(to - from, (uint64_t) ZERO_STEP), (off_t) from);

                if (n < 0 && errno != EINTR)
                        return -errno;
                from += n > 0 ? (uint64_t) n : 0;
                if (progress_set(p, from) < 0)
                        return -EPIPE;
        }
        return 0;
}

static int allocate(int fd, uint64_t from, uint64_t to) {
        Progress p = { .total = to };

        while (from < to) {
                uint64_t n = MIN(to - from, ALLOCATION_STEP);

                if (fallocate(fd, 0, (off_t) from, (off_t) n) < 0) {
                        if (errno == EINTR)
                                continue;
                        return errno == EOPNOTSUPP ? write_zeros(fd, from, to, &p) : -errno;
                }
                from += n;
                if (progress_set(&p, from) < 0)
                        return -EPIPE;
        }
        return 0;
}

static int create_raw(const Folder *d, const VolumeOrder *o, int fd, Fault *f) {
        uint64_t wanted = o->def->allocation == NUMBER_UNSET ? o->def->capacity : MIN(o->def->allocation, o->def->capacity);
        int r;

        if (o->preallocation >= PREALLOCATION_FALLOC)
                wanted = o->def->capacity;
        r = wanted > 0 ? allocate(fd, 0, wanted) : 0;
        if (r >= 0 && ftruncate(fd, (off_t) o->def->capacity) < 0)
                r = -errno;
        return r < 0 ? part_fault(d, o, "can't be made", -r, f) : 0;
}

/* --- images that hold nothing yet, which is what most begin with: their header is written here, sooner than qemu-img were loaded --- */

static bool is_plain_qcow2(const VolumeOrder *o) {
        const VolumeDef *def = o->def;

        return def->format == FORMAT_QCOW2 && !o->secret.data && def->capacity != NUMBER_UNSET && (!def->compat || streq(def->compat, "1.1")) &&
               def->cluster_size == NUMBER_UNSET && !def->extended_l2 && o->preallocation == PREALLOCATION_OFF;
}

/* -EOPNOTSUPP: QEMU has no such image, and qemu-img has words for why. */
static int create_qcow2(const Folder *d, const VolumeOrder *o, int fd, Fault *f) {
        const VolumeDef *def = o->def;
        const Qcow2Header header = {
                .size = def->capacity, .backing = def->backing_path, .lazy_refcounts = def->lazy_refcounts,
                .backing_format = (char *) qemu_img_driver(def->backing_format),
        };
        int r = qcow2_write_empty(fd, &header);

        if (r == -EFBIG || r == -ENAMETOOLONG)
                return -EOPNOTSUPP;
        if (r >= 0 && fdatasync(fd) < 0)
                r = -errno;
        return r < 0 ? part_fault(d, o, "can't be made", -r, f) : 0;
}

/* --- through qemu-img --- */

typedef struct Told {
        Progress progress;
        bool gone;
} Told;

static void on_said(const char *text, void *userdata) {
        Told *t = userdata;
        unsigned hundredths;

        if (qemu_img_progress(text, &hundredths) >= 0)
                t->gone = progress_set(&t->progress, (uint64_t) ((double) t->progress.total * hundredths / 10000)) < 0;
}

static const char *const nothing[] = { NULL };

/* How strong the key of a passphrase is made follows from how fast the machine is. Where CPU time is counted coarsely that measurement
 * fails by chance, and the next one may not. */
#define MEASUREMENT_FAILED "Unable to get accurate CPU usage"
#define MEASUREMENTS 10

static int run_qemu_img(char *const *argv, const VolumeOrder *o, const char *path, uint64_t total, Fault *f) {
        const char *const writable[] = { path, NULL };
        Told told = { .progress = { .total = total } };
        const ProgramSpec spec = {
                .argv = argv, .secrets = { o->secret, o->origin.secret }, .readable = o->origin.chain ?: nothing, .writable = writable,
                .said = on_said, .userdata = &told,
        };

        int r = program_run(&spec, NULL, f);

        for (unsigned i = 1; i < MEASUREMENTS && r < 0 && f && f->message && strstr(f->message, MEASUREMENT_FAILED); i++) {
                fault_clear(f);
                r = program_run(&spec, NULL, f);
        }
        return r;
}

static int create_image(const VolumeOrder *o, const char *path, Fault *f) {
        const char *secret = o->secret.data ? QEMU_IMG_SECRET : NULL, *backing[] = { o->def->backing_path, NULL };
        _cleanup_strv_ char **argv = NULL;
        VolumeOrder order = *o;
        int r;

        r = qemu_img_create(o->def, path, o->preallocation, secret, &argv);
        if (r < 0)
                return fault_oom(f);
        if (!order.origin.chain && o->def->backing_path)
                order.origin.chain = backing; /* for its size */
        return run_qemu_img(argv, &order, path, o->def->capacity, f);
}

static int convert_image(const VolumeOrder *o, const char *path, Fault *f) {
        const char *secret = o->secret.data ? QEMU_IMG_SECRET : NULL;
        _cleanup_strv_ char **argv = NULL;
        int r;

        r = qemu_img_convert(&o->origin.image, o->def, path, o->preallocation, secret, &argv);
        return r < 0 ? fault_oom(f) : run_qemu_img(argv, o, path, o->origin.capacity, f);
}

/* Larger than what it was made from. */
static int grow_image(const VolumeOrder *o, const char *path, Fault *f) {
        _cleanup_strv_ char **argv = NULL;
        int r;

        if (o->def->capacity == NUMBER_UNSET || o->def->capacity <= o->origin.capacity)
                return 0;
        r = qemu_img_resize(path, o->def->format, o->def->capacity, false, o->secret.data ? QEMU_IMG_SECRET : NULL, &argv);
        return r < 0 ? fault_oom(f) : run_qemu_img(argv, o, path, o->def->capacity, f);
}

/* The same blocks of the file system in both, where it can do that and nothing else is asked for. */
static bool share_blocks(const VolumeOrder *o, int fd) {
        const VolumeDef *def = o->def;
        _cleanup_fd_ int from = -1;

        if (def->format != o->origin.image.format || o->secret.data || o->origin.image.secret || def->compat || def->cluster_size != NUMBER_UNSET ||
            def->lazy_refcounts || def->extended_l2 || o->preallocation != PREALLOCATION_OFF || (o->origin.chain && o->origin.chain[0] && o->origin.chain[1]))
                return false;
        from = open(o->origin.image.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        return from >= 0 && ioctl(fd, FICLONE, from) == 0;
}

static int fill_empty(const Folder *d, const VolumeOrder *o, const char *path, int fd, Fault *f) {
        int r = -EOPNOTSUPP;

        if ((o->def->format == FORMAT_RAW || o->def->format == FORMAT_ISO) && !o->secret.data)
                return create_raw(d, o, fd, f);
        if (is_plain_qcow2(o))
                r = create_qcow2(d, o, fd, f);
        return r == -EOPNOTSUPP ? create_image(o, path, f) : r;
}

static int fill(const Folder *d, const VolumeOrder *o, const char *path, int fd, Fault *f) {
        int r;

        if (!o->origin.image.path)
                return fill_empty(d, o, path, fd, f);
        r = share_blocks(o, fd) ? 0 : convert_image(o, path, f);
        if (r >= 0)
                r = grow_image(o, path, f);
        if (r >= 0 && fsync(fd) < 0)
                r = part_fault(d, o, "can't be written", errno, f);
        return r;
}

/* --- creating --- */

static int set_permissions(const Folder *d, const VolumeOrder *o, int fd, Fault *f) {
        const Permissions *p = &o->def->permissions;
        uid_t owner = p->owner == INTEGER_UNSET ? (uid_t) -1 : (uid_t) p->owner;
        gid_t group = p->group == INTEGER_UNSET ? (gid_t) -1 : (gid_t) p->group;
        bool folder = o->def->format == FORMAT_DIR;
        mode_t mode;

        if (permissions_mode(p, folder ? 0700 : 0600, &mode) < 0)
                return -EINVAL;
        if ((owner != (uid_t) -1 || group != (gid_t) -1) && fchown(fd, owner, group) < 0)
                return part_fault(d, o, "can't be given to that owner", errno, f);
        /* Means nothing where there is no SELinux. */
        if (p->label && fsetxattr(fd, "security.selinux", p->label, strlen(p->label) + 1, 0) < 0 && errno != EOPNOTSUPP && errno != EINVAL)
                return part_fault(d, o, "can't be given that label", errno, f);
        return fchmod(fd, mode) < 0 ? part_fault(d, o, "can't be given that mode", errno, f) : 0;
}

/* btrfs: no copy-on-write for this file; only while it is empty. */
static void set_nocow(const Folder *d, const VolumeOrder *o, int fd) {
        int flags = 0;

        if (!o->def->nocow && d->def->cow != NO)
                return;
        if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
                flags |= FS_NOCOW_FL;
                (void) ioctl(fd, FS_IOC_SETFLAGS, &flags);
        }
}

static int make_part(const Folder *d, const VolumeOrder *o, Fault *f) {
        int fd;

        if (o->def->format == FORMAT_DIR) {
                if (mkdirat(d->fd, o->part, 0700) < 0)
                        return part_fault(d, o, "can't be made", errno, f);
                fd = openat(d->fd, o->part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        } else
                fd = openat(d->fd, o->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        return fd < 0 ? part_fault(d, o, "can't be made", errno, f) : fd;
}

static void drop_part(const Folder *d, const VolumeOrder *o) {
        (void) unlinkat(d->fd, o->part, o->def->format == FORMAT_DIR ? AT_REMOVEDIR : 0);
}

static int exists_fault(const Folder *d, const char *name, Fault *f) {
        return fault_set(f, FAULT_VOLUME_EXISTS, EEXIST, "there is a volume %s in the pool %s already", name, d->def->name);
}

/* Never over what somebody else has put there meanwhile. */
static int name_it(const Folder *d, const VolumeOrder *o, Fault *f) {
        if (renameat2(d->fd, o->part, d->fd, o->def->name, RENAME_NOREPLACE) == 0)
                return 0;
        if (errno == EEXIST)
                return exists_fault(d, o->def->name, f);
        if (errno != EINVAL && errno != ENOSYS)
                return part_fault(d, o, "can't be given its name", errno, f);
        /* A file server that can't do it in one. */
        if (faccessat(d->fd, o->def->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return exists_fault(d, o->def->name, f);
        return renameat(d->fd, o->part, d->fd, o->def->name) < 0 ? part_fault(d, o, "can't be given its name", errno, f) : 0;
}

static int check_space(const Folder *d, const VolumeOrder *o, Fault *f) {
        uint64_t wanted = o->def->allocation == NUMBER_UNSET && o->def->format == FORMAT_RAW ? o->def->capacity : o->def->allocation;
        PoolInfo space = {};
        int r;

        if (o->origin.image.path || wanted == NUMBER_UNSET || o->def->format == FORMAT_DIR)
                return 0;
        r = folder_space(d, &space, f);
        if (r < 0 || MIN(wanted, o->def->capacity) <= space.available)
                return r;
        fault_set(f, FAULT_NO_SPACE, ENOSPC, "%s: %" PRIu64 " bytes are wanted for %s and %" PRIu64 " are free", d->def->path, MIN(wanted, o->def->capacity),
                  o->def->name, space.available);
        fault_hint(f, "make it sparse (<allocation>0</allocation>), or make room");
        return -ENOSPC;
}

static int check_origin(const VolumeOrder *o, Fault *f) {
        if (!o->origin.image.path || o->def->capacity == NUMBER_UNSET || o->def->capacity >= o->origin.capacity)
                return 0;
        return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s would be smaller (%" PRIu64 " bytes) than what is copied into it (%" PRIu64 ")", o->def->name,
                         o->def->capacity, o->origin.capacity);
}

int volume_file_create(const Folder *d, const VolumeOrder *o, VolumeInfo *ret, Fault *f) {
        _cleanup_free_ char *path = strf("%s/%s", d->def->path, o->part);
        _cleanup_fd_ int fd = -1;
        int r;

        if (!path)
                return fault_oom(f);
        if (faccessat(d->fd, o->def->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return exists_fault(d, o->def->name, f);
        r = check_origin(o, f);
        if (r >= 0)
                r = check_space(d, o, f);
        if (r < 0)
                return r;
        fd = make_part(d, o, f);
        if (fd < 0)
                return fd;
        set_nocow(d, o, fd);
        r = o->def->format == FORMAT_DIR ? 0 : fill(d, o, path, fd, f);
        if (r >= 0)
                r = set_permissions(d, o, fd, f);
        if (r >= 0)
                r = folder_look_part(d, o->part, o->def->name, o->def->format, ret, f);
        if (r >= 0)
                r = name_it(d, o, f);
        if (r < 0)
                drop_part(d, o);
        return r;
}

int volume_copy_to_device(const VolumeOrder *o, const char *device, Fault *f) {
        _cleanup_strv_ char **argv = NULL;
        int r;

        /* It is there, and has its size. */
        r = qemu_img_convert(&o->origin.image, o->def, device, PREALLOCATION_OFF, NULL, &argv);
        if (r >= 0)
                r = strv_insert(&argv, 2, "-n");
        return r < 0 ? fault_oom(f) : run_qemu_img(argv, o, device, o->origin.capacity, f);
}

/* --- removing --- */

int volume_file_remove(const Folder *d, const char *name, Fault *f) {
        struct stat st;
        int r = volume_name_check(name, f);

        if (r < 0)
                return r;
        if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? fault_set(f, FAULT_NO_SUCH_VOLUME, ENOENT, "there is no volume %s in the pool %s", name, d->def->name)
                                       : folder_fault(d, name, "can't be looked at", errno, f);
        if (unlinkat(d->fd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0)
                return folder_fault(d, name, "can't be removed", errno, f);
        return 0;
}

/* --- resizing --- */

static int resize_raw(const Folder *d, const ResizeOrder *o, Fault *f) {
        _cleanup_fd_ int fd = folder_open_volume(d, o->name, true, f);
        struct stat st;
        int r = 0;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return folder_fault(d, o->name, "can't be looked at", errno, f);
        if (o->allocate && o->capacity > (uint64_t) st.st_size)
                r = allocate(fd, (uint64_t) st.st_size, o->capacity);
        if (r < 0)
                (void) ftruncate(fd, st.st_size); /* what did not fit is given back */
        else if (ftruncate(fd, (off_t) o->capacity) < 0)
                r = -errno;
        return r < 0 ? folder_fault(d, o->name, "can't be resized", -r, f) : 0;
}

int volume_file_resize(const Folder *d, const ResizeOrder *o, Fault *f) {
        _cleanup_free_ char *path = strf("%s/%s", d->def->path, o->name);
        const char *const writable[] = { path, NULL };
        _cleanup_strv_ char **argv = NULL;
        int r;

        if (!path)
                return fault_oom(f);
        if ((o->format == FORMAT_RAW || o->format == FORMAT_ISO) && !o->secret.data)
                return resize_raw(d, o, f);
        if (o->allocate)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "only raw volumes can get their space when they are resized");
        r = qemu_img_resize(path, o->format, o->capacity, o->shrink, o->secret.data ? QEMU_IMG_SECRET : NULL, &argv);
        if (r < 0)
                return fault_oom(f);

        const ProgramSpec spec = { .argv = argv, .secrets = { o->secret }, .readable = nothing, .writable = writable };
        return program_run(&spec, NULL, f);
}
