/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image-key.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"
#include "str.h"

#define MOUNTINFO_MAX ((size_t) 16 * 1024 * 1024)

/* Short and plain, whatever the identity is. Identities are the administrator's, nobody can look for collisions. */
static char *key_of(const char *kind, const char *identity, uint64_t number) {
        return strf("%s-%016" PRIx64 "-%" PRIu64, kind, str_hash(identity), number);
}

/* --- files --- */

static bool is_shared_type(const char *type, size_t length) {
        static const char *const types[] = { "nfs", "nfs4", "cifs", "smb3", "ceph", "fuse.ceph", "fuse.glusterfs", "gfs2", "ocfs2" };

        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                if (strlen(types[i]) == length && strncmp(types[i], type, length) == 0)
                        return true;
        return false;
}

/* "36 35 98:0 /root /point options fields - TYPE SOURCE options" */
static char *source_of_line(const char *line, size_t length) {
        _cleanup_free_ char *copy = strndup(line, length);
        char *type = copy ? strstr(copy, " - ") : NULL, *source;
        size_t n;

        if (!type)
                return NULL;
        type += 3;
        n = strcspn(type, " ");
        if (!type[n] || !is_shared_type(type, n))
                return NULL;
        source = type + n + 1;
        source[strcspn(source, " ")] = '\0';
        return *source ? strdup(source) : NULL;
}

char *image_mount_source(const char *mountinfo, uint64_t mount_id) {
        char number[24];
        size_t n = (size_t) snprintf(number, sizeof(number), "%" PRIu64 " ", mount_id);

        for (const char *line = mountinfo, *end; *line; line = end + (*end == '\n')) {
                end = strchrnul(line, '\n');
                if (strncmp(line, number, n) == 0)
                        return source_of_line(line, (size_t) (end - line));
        }
        return NULL;
}

static char *key_of_file(const ImageFile *file) {
        _cleanup_free_ char *mountinfo = NULL, *source = NULL;
        _cleanup_fd_ int fd = -1;
        struct statx st;

        if (statx(file->fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0 || !(st.stx_mask & STATX_MNT_ID))
                return NULL;
        fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fd_read_all(fd, MOUNTINFO_MAX, &mountinfo, NULL) < 0)
                return NULL;
        source = image_mount_source(mountinfo, st.stx_mnt_id);
        return source ? key_of("file", source, file->inode) : NULL;
}

/* --- block devices --- */

static char *read_line(const char *folder, const char *name) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name), *text = NULL;
        _cleanup_fd_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

        if (fd < 0 || fd_read_all(fd, 4096, &text, NULL) < 0)
                return NULL;
        text[strcspn(text, "\n")] = '\0';
        return *text ? TAKE_PTR(text) : NULL;
}

static char *key_of_device(const ImageFile *file) {
        static const char *const names[] = { "dm/uuid", "wwid", "device/wwid", "../wwid", "../device/wwid" };
        char folder[64];

        (void) snprintf(folder, sizeof(folder), "/sys/dev/block/%u:%u", major(file->dev), minor(file->dev));
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *identity = read_line(folder, names[i]), *partition = NULL;

                if (!identity)
                        continue;
                partition = read_line(folder, "partition");
                return key_of("block", identity, partition ? strtoull(partition, NULL, 10) : 0);
        }
        return NULL;
}

char *image_shared_key(const ImageFile *file) {
        assert(file);

        return file->block_device ? key_of_device(file) : key_of_file(file);
}
