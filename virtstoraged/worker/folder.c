/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../pool/pool.h"
#include "fd.h"
#include "image-info.h"
#include "mem.h"
#include "str.h"



static const char *path_of(const Folder *d) {
        return d->def->path;
}

int folder_fault(const Folder *d, const char *name, const char *what, int error, Fault *f) {
        const char *slash = name ? "/" : "";

        if (error == ENOSPC || error == EDQUOT)
                return fault_set(f, FAULT_NO_SPACE, error, "%s%s%s %s: %s", path_of(d), slash, name ?: "", what, strerror(error));
        if (error == EACCES || error == EPERM)
                return fault_set(f, FAULT_ACCESS_DENIED, error, "%s%s%s %s: %s", path_of(d), slash, name ?: "", what, strerror(error));
        return fault_set(f, FAULT_POOL, error, "%s%s%s %s: %s", path_of(d), slash, name ?: "", what, strerror(error));
}

/* --- the folder --- */

static bool is_remote(int fd) {
        struct statfs st;

        if (fstatfs(fd, &st) < 0)
                return false;
        return st.f_type == NFS_SUPER_MAGIC || st.f_type == SMB_SUPER_MAGIC || (uint32_t) st.f_type == UINT32_C(0xff534d42) ||
               (uint32_t) st.f_type == UINT32_C(0xfe534d42) || st.f_type == 0x65735546 /* FUSE */ || st.f_type == CEPH_SUPER_MAGIC || st.f_type == V9FS_MAGIC;
}

/* Without its file system the folder is an empty one on another: whatever were put there would be lost to sight with the next mount. */
static int check_mounted(const Folder *d, Fault *f) {
        struct statx st;

        if (!pool_ops(d->def->type)->mount)
                return 0;
        if (statx(d->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) < 0)
                return folder_fault(d, NULL, "can't be looked at", errno, f);
        if (!(st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) || (st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
                return 0;
        fault_set(f, FAULT_POOL, ENOTCONN, "nothing is mounted on %s any more", path_of(d));
        fault_hint(f, "stop the pool, and start it again");
        return -ENOTCONN;
}

int folder_open(Folder *d, const PoolDef *def, const json_t *formats, Fault *f) {
        struct stat st;

        *d = (Folder) { .def = def, .formats = formats, .fd = -1 };
        d->fd = open(def->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (d->fd < 0 || fstat(d->fd, &st) < 0) {
                int error = errno;

                folder_fault(d, NULL, "can't be used", error, f);
                if (error == ENOENT)
                        fault_hint(f, "build the pool, which makes the folder");
                if (error == ENOTDIR)
                        fault_hint(f, "it is no folder");
                return -error;
        }
        d->owner = st.st_uid;
        d->remote = is_remote(d->fd);
        if (check_mounted(d, f) < 0) {
                folder_close(d);
                return -ENOTCONN;
        }
        return 0;
}

void folder_close(Folder *d) {
        d->fd = fd_close(d->fd);
}

int folder_space(const Folder *d, PoolInfo *ret, Fault *f) {
        struct statvfs st;

        if (fstatvfs(d->fd, &st) < 0)
                return folder_fault(d, NULL, "can't be asked for its free space", errno, f);
        ret->capacity = (uint64_t) st.f_blocks * st.f_frsize;
        ret->available = (uint64_t) st.f_bavail * st.f_frsize;
        ret->allocation = ret->capacity - MIN((uint64_t) st.f_bfree * st.f_frsize, ret->capacity);
        return 0;
}

/* --- one volume --- */

/* Whoever may not write into the folder may not say by a link what is in the pool. */
static bool is_trusted_link(const Folder *d, const struct stat *link) {
        return link->st_uid == 0 || link->st_uid == d->owner || link->st_uid == geteuid();
}

static int find(const Folder *d, const char *name, struct stat *ret) {
        if (fstatat(d->fd, name, ret, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (!S_ISLNK(ret->st_mode))
                return 0;
        if (!is_trusted_link(d, ret))
                return -ENOENT;
        /* One that leads nowhere, or round and round, is none. */
        return fstatat(d->fd, name, ret, 0) < 0 ? (errno == ELOOP ? -ENOENT : -errno) : 0;
}

static VolumeFormat format_of(const Folder *d, const char *name) {
        VolumeFormat said = volume_format_from_string(json_string_value(json_object_get(d->formats, name)));

        return said > FORMAT_UNSET ? said : volume_format_of_name(name);
}

static long read_file(void *data, size_t length, uint64_t offset, void *userdata) {
        return offset > INT64_MAX ? -1 : pread(*(int *) userdata, data, length, (off_t) offset);
}

/* Relative to the folder of the image that says it. */
static char *resolve_backing(const Folder *d, const char *written) {
        const char *file = str_after(written, "file:");

        if (file)
                written = file;
        if (*written == '/' || strchr(written, ':'))
                return strdup(written);
        return strf("%s/%s", path_of(d), written);
}

static int take_info(const Folder *d, ImageInfo *info, VolumeInfo *v) {
        v->capacity = info->capacity;
        v->encryption = info->encryption;
        if (!info->backing)
                return 0;
        v->backing_path = resolve_backing(d, info->backing);
        v->backing_format = info->backing_format;
        return v->backing_path ? 0 : -ENOMEM;
}

/* The header of its image, where its format has one. */
static int read_header(const Folder *d, const char *file, VolumeInfo *v) {
        _cleanup_fd_ int fd = openat(d->fd, file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        const ImageReader reader = { .read = read_file, .size = v->physical, .userdata = &fd };
        _cleanup_image_info_ ImageInfo info = {};
        const char *why = NULL;
        int r;

        if (fd < 0)
                return free_and_strdup(&v->problem, strerror(errno));
        r = image_info_read(&reader, v->format, &info, &why);
        if (r == -EBADMSG)
                return free_and_strdup(&v->problem, why);
        return r < 0 ? r : take_info(d, &info, v);
}

static uint64_t usec_of(const struct timespec *t) {
        return t->tv_sec < 0 ? 0 : (uint64_t) t->tv_sec * 1000000 + (uint64_t) t->tv_nsec / 1000;
}

static int block_size(const Folder *d, const char *file, uint64_t *ret) {
        _cleanup_fd_ int fd = openat(d->fd, file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

        return fd < 0 || ioctl(fd, BLKGETSIZE64, ret) < 0 ? -errno : 0;
}

/* How a file is to be read: raw and the like have no header. */
static int fill_sizes(const Folder *d, const char *file, const struct stat *st, VolumeInfo *v) {
        v->physical = (uint64_t) st->st_size;
        v->allocation = (uint64_t) st->st_blocks * 512;
        if (S_ISBLK(st->st_mode)) {
                int r = block_size(d, file, &v->physical);

                if (r < 0)
                        return free_and_strdup(&v->problem, strerror(-r));
                v->allocation = v->physical;
        }
        v->capacity = v->physical;
        return v->format == FORMAT_RAW || v->format == FORMAT_ISO || v->format == FORMAT_DIR ? 0 : read_header(d, file, v);
}

static int describe(const Folder *d, const char *file, const char *name, VolumeFormat format, const struct stat *st, VolumeInfo *ret) {
        VolumeInfo v = {
                .kind = S_ISDIR(st->st_mode) ? VOLUME_DIR : S_ISBLK(st->st_mode) ? VOLUME_BLOCK : VOLUME_FILE,
                .format = S_ISDIR(st->st_mode) ? FORMAT_DIR : format, .has_permissions = true, .mode = st->st_mode & 07777,
                .owner = st->st_uid, .group = st->st_gid, .atime_usec = usec_of(&st->st_atim), .mtime_usec = usec_of(&st->st_mtim),
                .ctime_usec = usec_of(&st->st_ctim), .dev = st->st_dev, .inode = st->st_ino,
        };
        int r = 0;

        v.name = strdup(name);
        v.path = strf("%s/%s", path_of(d), name);
        if (!v.name || !v.path)
                r = -ENOMEM;
        if (r >= 0)
                r = fill_sizes(d, file, st, &v);
        if (r < 0)
                volume_info_clear(&v);
        else
                *ret = v;
        return r;
}

static bool is_volume(const struct stat *st, const char *name) {
        return S_ISREG(st->st_mode) || S_ISBLK(st->st_mode) || (S_ISDIR(st->st_mode) && !streq(name, "lost+found"));
}

/* -ENOENT: it is no volume, or not any more. */
static int look(const Folder *d, const char *name, VolumeInfo *ret) {
        struct stat st;
        int r;

        if (volume_name_check(name, NULL) < 0)
                return -ENOENT;
        r = find(d, name, &st);
        if (r < 0)
                return r;
        return is_volume(&st, name) ? describe(d, name, name, format_of(d, name), &st, ret) : -ENOENT;
}

int folder_look(const Folder *d, const char *name, VolumeInfo *ret, Fault *f) {
        int r = look(d, name, ret);

        if (r == -ENOENT)
                return fault_set(f, FAULT_NO_SUCH_VOLUME, ENOENT, "there is no volume %.255s in the pool %s", name, d->def->name);
        return r < 0 ? folder_fault(d, name, "can't be looked at", -r, f) : 0;
}

int folder_look_part(const Folder *d, const char *part, const char *name, VolumeFormat format, VolumeInfo *ret, Fault *f) {
        struct stat st;
        int r;

        if (fstatat(d->fd, part, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return folder_fault(d, part, "can't be looked at", errno, f);
        r = describe(d, part, name, format, &st, ret);
        return r < 0 ? folder_fault(d, part, "can't be looked at", -r, f) : 0;
}

/* --- all of them --- */

DEFINE_CLEANUP_VOID(DIR *, closedir)

int folder_scan(const Folder *d, FolderFound found, void *userdata, Fault *f) {
        _cleanup_fd_ int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *e;

        if (!dir)
                return folder_fault(d, NULL, "can't be read", errno, f);
        TAKE_FD(fd);
        for (errno = 0; (e = readdir(dir)); errno = 0) {
                VolumeInfo v;
                int r;

                if (e->d_name[0] == '.')
                        continue;
                r = look(d, e->d_name, &v);
                if (r == -ENOENT || r == -EACCES)
                        continue;
                if (r < 0)
                        return folder_fault(d, e->d_name, "can't be looked at", -r, f);
                r = found(&v, userdata);
                if (r < 0)
                        return r;
        }
        return errno != 0 ? folder_fault(d, NULL, "can't be read", errno, f) : 0;
}

int folder_open_volume(const Folder *d, const char *name, bool writable, Fault *f) {
        _cleanup_fd_ int fd = -1;
        struct stat st;
        int r = volume_name_check(name, f);

        if (r < 0)
                return r;
        r = find(d, name, &st);
        if (r == -ENOENT || (r >= 0 && !is_volume(&st, name)))
                return fault_set(f, FAULT_NO_SUCH_VOLUME, ENOENT, "there is no volume %s in the pool %s", name, d->def->name);
        if (r >= 0 && S_ISDIR(st.st_mode))
                return fault_set(f, FAULT_INVALID_STATE, EISDIR, "the volume %s is a folder", name);
        if (r >= 0)
                fd = openat(d->fd, name, (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (r < 0 || fd < 0)
                return folder_fault(d, name, writable ? "can't be opened for writing" : "can't be opened", r < 0 ? -r : errno, f);
        r = fd_set_nonblock(fd, false);
        return r < 0 ? r : TAKE_FD(fd);
}

int folder_guess(const Folder *d, const char *name, VolumeFormat *ret, Fault *f) {
        _cleanup_fd_ int fd = folder_open_volume(d, name, false, f);
        ImageReader reader = { .read = read_file, .userdata = &fd };
        struct stat st;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return folder_fault(d, name, "can't be looked at", errno, f);
        reader.size = (uint64_t) st.st_size;
        *ret = image_info_guess(&reader);
        return 0;
}

int folder_tidy(const Folder *d, const char *tag, const json_t *busy) {
        _cleanup_fd_ int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *e;

        if (!dir)
                return -errno;
        TAKE_FD(fd);
        while ((e = readdir(dir))) {
                const char *rest = str_after(e->d_name, FOLDER_PART_PREFIX);
                const json_t *item;
                size_t i;

                if (!rest || !str_after(rest, tag))
                        continue;
                json_array_foreach(busy, i, item)
                        if (streq_null(json_string_value(item), e->d_name))
                                rest = NULL;
                if (rest && unlinkat(d->fd, e->d_name, 0) < 0 && errno == EISDIR)
                        (void) unlinkat(d->fd, e->d_name, AT_REMOVEDIR);
        }
        return 0;
}
