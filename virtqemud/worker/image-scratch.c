/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image-scratch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "qcow2.h"
#include "str.h"

/* File systems of other hosts often can't do without a name. */
static int open_and_unlink(const char *folder) {
        _cleanup_free_ char *path = strf("%s/.virtbus-XXXXXX", folder);
        int fd = path ? mkostemp(path, O_CLOEXEC) : -1;

        if (!path)
                return -ENOMEM;
        if (fd < 0)
                return -errno;
        (void) unlink(path);
        return fd;
}

static int open_nameless(const char *folder) {
        int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        if (fd >= 0)
                return fd;
        return errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT ? open_and_unlink(folder) : -errno;
}

int image_scratch_open(const char *folder, ImageFile *ret, Fault *f) {
        _cleanup_(image_file_clear) ImageFile file = IMAGE_FILE_INIT;
        struct stat st;
        int r;

        assert(folder && ret);

        file.fd = r = open_nameless(folder);
        /* Nobody else finds it, so that its mode lets in nobody but those who are given it. */
        if (r >= 0 && (fchmod(file.fd, 0666) < 0 || fstat(file.fd, &st) < 0))
                r = -errno;
        if (r == -EACCES || r == -EPERM)
                return fault_set(f, FAULT_ACCESS_DENIED, -r, "%s: no file can be made there: %s", folder, strerror(-r));
        if (r < 0)
                return fault_set(f, FAULT_IMAGE, -r, "%s: no file can be made there: %s", folder, strerror(-r));
        file.dev = st.st_dev;
        file.inode = st.st_ino;
        *ret = TAKE(file, IMAGE_FILE_INIT);
        return 0;
}

int image_layer_open(const char *path, uint64_t size, ImageFile *ret, Fault *f) {
        const Qcow2Header layer = { .size = size, .lazy_refcounts = true };
        _cleanup_(image_file_clear) ImageFile file = IMAGE_FILE_INIT;
        _cleanup_free_ char *folder = NULL;
        const char *slash;
        int r;

        assert(path && ret);

        slash = strrchr(path, '/');
        folder = slash > path ? strndup(path, (size_t) (slash - path)) : strdup("/");
        if (!folder)
                return fault_oom(f);
        r = image_scratch_open(folder, &file, f);
        if (r < 0) {
                fault_prefix(f, "%s: its changes, which are to go, have no place beside it", path);
                return r;
        }
        r = qcow2_write_empty(file.fd, &layer);
        if (r < 0)
                return fault_set(f, FAULT_IMAGE, -r, "%s: a file beside it for its changes can't be written: %s", path, strerror(-r));
        file.size = size;
        *ret = TAKE(file, IMAGE_FILE_INIT);
        return 0;
}
