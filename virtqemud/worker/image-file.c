/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image-file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"

#define COPY_STEP ((size_t) 1024 * 1024)

void image_file_clear(ImageFile *f) {
        f->fd = fd_close(f->fd);
}

/* ---- why a path can't be opened ---- */

static const char *who(char *buffer, size_t size) {
        if (geteuid() == 0)
                return "root";
        snprintf(buffer, size, "user %u", (unsigned) geteuid());
        return buffer;
}

static int folder_fault(const char *path, const char *folder, int error, Fault *f) {
        char name[32];

        if (error == EACCES)
                return fault_set(f, FAULT_ACCESS_DENIED, error, "%s: folder %s can't be entered by %s: %s", path, folder,
                                 who(name, sizeof(name)), strerror(error));
        if (error == ENOENT) {
                fault_set(f, FAULT_IMAGE, error, "%s: folder %s does not exist", path, folder);
                fault_hint(f, "check the path, or mount the file system it belongs to");
                return -error;
        }
        return fault_set(f, FAULT_IMAGE, error, "%s: folder %s can't be used: %s", path, folder, strerror(error));
}

static int leaf_fault(const char *path, bool writable, int error, Fault *f) {
        const char *purpose = writable ? "for reading and writing" : "for reading";
        char name[32];

        if (error == EACCES || error == EPERM)
                return fault_set(f, FAULT_ACCESS_DENIED, error, "%s: can't be opened %s by %s: %s", path, purpose,
                                 who(name, sizeof(name)), strerror(error));
        if (error == ENOENT) {
                fault_set(f, FAULT_IMAGE, error, "%s: the file does not exist", path);
                fault_hint(f, "check the path, or create the file first");
                return -error;
        }
        if (error == EROFS)
                return fault_set(f, FAULT_IMAGE, error, "%s: can't be opened for writing: its file system is read-only", path);
        if (error == ENOMEDIUM)
                return fault_set(f, FAULT_IMAGE, error, "%s: there is no medium in the drive", path);
        return fault_set(f, FAULT_IMAGE, error, "%s: can't be opened %s: %s", path, purpose, strerror(error));
}

/* Walks down from the root to the first folder that refuses; when none does it is the last component. */
static int path_fault(const char *path, bool writable, int error, Fault *f) {
        _cleanup_free_ char *folder = strdup(path);

        if (!folder)
                return fault_oom(f);
        for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                struct stat st;

                *slash = '\0';
                if (stat(folder, &st) < 0) {
                        char *parent = strrchr(folder, '/');
                        int e = errno;

                        /* No right to look at X/Y means that X refuses. */
                        if (e == EACCES && parent != folder)
                                *parent = '\0';
                        return folder_fault(path, e == EACCES && parent == folder ? "/" : folder, e, f);
                }
                if (!S_ISDIR(st.st_mode))
                        return folder_fault(path, folder, ENOTDIR, f);
                if (faccessat(AT_FDCWD, folder, X_OK, AT_EACCESS) < 0)
                        return folder_fault(path, folder, errno, f);
                *slash = '/';
        }
        return leaf_fault(path, writable, error, f);
}

/* ---- opening ---- */

static int check_type(const char *path, const struct stat *st, Fault *f) {
        const char *what = S_ISDIR(st->st_mode) ? "a folder" : S_ISFIFO(st->st_mode) ? "a pipe" :
                           S_ISSOCK(st->st_mode) ? "a socket" : S_ISCHR(st->st_mode) ? "a character device" : "something else";

        if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
                return 0;
        return fault_set(f, FAULT_IMAGE, S_ISDIR(st->st_mode) ? EISDIR : EINVAL,
                         "%s: is %s; a file or block device is needed", path, what);
}

static int file_describe(const char *path, const struct stat *st, ImageFile *file, Fault *f) {
        file->block_device = S_ISBLK(st->st_mode);
        file->dev = file->block_device ? st->st_rdev : st->st_dev;
        file->inode = file->block_device ? 0 : st->st_ino;
        file->size = (uint64_t) st->st_size;
        file->allocation = (uint64_t) st->st_blocks * 512;
        if (file->block_device && ioctl(file->fd, BLKGETSIZE64, &file->size) < 0)
                return fault_set(f, FAULT_IMAGE, errno, "%s: the size of the device can't be read: %s", path, strerror(errno));
        if (file->block_device)
                file->allocation = file->size;
        return 0;
}

int image_file_open(const char *path, bool writable, ImageFile *ret, Fault *f) {
        _cleanup_(image_file_clear) ImageFile file = IMAGE_FILE_INIT;
        _cleanup_fd_ int handle = -1;
        char name[64];
        struct stat st;
        int r;

        assert(path && ret);

        if (path[0] != '/')
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s: is no absolute path", path);
        /* The first handle opens nothing yet: opening a device can have effects, opening a pipe can wait. */
        handle = open(path, O_PATH | O_CLOEXEC);
        if (handle < 0)
                return path_fault(path, writable, errno, f);
        if (fstat(handle, &st) < 0)
                return leaf_fault(path, writable, errno, f);
        r = check_type(path, &st, f);
        if (r < 0)
                return r;
        snprintf(name, sizeof(name), "/proc/self/fd/%d", handle);
        file.fd = open(name, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (file.fd < 0)
                return leaf_fault(path, writable, errno, f);
        r = fd_set_nonblock(file.fd, false);
        if (r < 0)
                return leaf_fault(path, writable, -r, f);
        r = file_describe(path, &st, &file, f);
        if (r < 0)
                return r;
        *ret = TAKE(file, IMAGE_FILE_INIT);
        return 0;
}

int image_file_open_output(const char *path, bool append, ImageFile *ret, Fault *f) {
        _cleanup_(image_file_clear) ImageFile file = IMAGE_FILE_INIT;
        struct stat st;
        int r;

        assert(path && ret);

        if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
                return fault_set(f, FAULT_IMAGE, S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "%s: is no regular file to write output to", path);
        file.fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (append ? O_APPEND : O_TRUNC), 0600);
        if (file.fd < 0 || fstat(file.fd, &st) < 0)
                return path_fault(path, true, errno, f);
        r = file_describe(path, &st, &file, f);
        if (r < 0)
                return r;
        *ret = TAKE(file, IMAGE_FILE_INIT);
        return 0;
}

/* ---- copies ---- */

static int copy_bytes(int from, int to, uint64_t max) {
        _cleanup_free_ char *buffer = malloc(COPY_STEP);
        uint64_t done = 0;
        int r;

        if (!buffer)
                return -ENOMEM;
        for (;;) {
                ssize_t n = read(from, buffer, COPY_STEP);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : 0;
                done += (uint64_t) n;
                if (done > max)
                        return -EFBIG;
                r = fd_write_all(to, buffer, (size_t) n);
                if (r < 0)
                        return r;
        }
}

int image_file_to_memfd(const char *path, ImageFile *file, uint64_t max, Fault *f) {
        _cleanup_fd_ int memory = -1;
        struct stat st;
        int r;

        memory = memfd_create("virtbus-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (memory < 0)
                return fault_set(f, FAULT_IMAGE, errno, "%s: no memory file can be made: %s", path, strerror(errno));
        r = file->size > max ? -EFBIG : copy_bytes(file->fd, memory, max);
        if (r == -EFBIG)
                return fault_set(f, FAULT_LIMIT, EFBIG, "%s: is larger than %ju MiB", path, (uintmax_t) (max >> 20));
        if (r < 0)
                return fault_set(f, FAULT_IMAGE, -r, "%s: can't be read: %s", path, strerror(-r));
        if (lseek(memory, 0, SEEK_SET) < 0 || fstat(memory, &st) < 0 ||
            fcntl(memory, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
                return fault_set(f, FAULT_IMAGE, errno, "%s: its copy can't be sealed: %s", path, strerror(errno));
        fd_close(file->fd);
        file->fd = TAKE_FD(memory);
        file->size = (uint64_t) st.st_size;
        return 0;
}

/* An unnamed file gets its name only when it is whole. */
static int create_copy(const char *path, const char *folder, int from, uint64_t max) {
        _cleanup_fd_ int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        char name[64];
        int r;

        if (fd < 0)
                return -errno;
        r = copy_bytes(from, fd, max);
        if (r < 0)
                return r;
        snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        if (fsync(fd) < 0 || linkat(AT_FDCWD, name, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
                return -errno;
        return 0;
}

int image_file_create(const char *path, const char *from, Fault *f) {
        _cleanup_(image_file_clear) ImageFile source = IMAGE_FILE_INIT;
        _cleanup_free_ char *folder = NULL;
        struct stat st;
        int r;

        if (stat(path, &st) == 0)
                return 0;
        if (errno != ENOENT)
                return path_fault(path, true, errno, f);
        folder = strdup(path);
        if (!folder)
                return fault_oom(f);
        *strrchr(folder, '/') = '\0';
        r = image_file_open(from, false, &source, f);
        if (r < 0) {
                fault_prefix(f, "%s: the template of the firmware variables can't be used", path);
                return r;
        }
        r = create_copy(path, *folder ? folder : "/", source.fd, UINT64_C(64) << 20);
        if (r == -EEXIST)
                return 0;
        if (r == -ENOENT || r == -EACCES || r == -ENOTDIR)
                return path_fault(path, true, -r, f);
        if (r < 0)
                return fault_set(f, FAULT_IMAGE, -r, "%s: can't be created from %s: %s", path, from, strerror(-r));
        return 0;
}
