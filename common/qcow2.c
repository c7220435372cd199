/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qcow2.h"

#include <endian.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "str.h"

/* Offsets of the header, all numbers big-endian. */
enum {
        OFFSET_VERSION = 4,
        OFFSET_BACKING = 8,         /* 8 bytes: where the name stands */
        OFFSET_BACKING_SIZE = 16,
        OFFSET_SIZE = 24,
        OFFSET_CLUSTER_BITS = 20,
        OFFSET_ENCRYPTION = 32,
        OFFSET_L1_ENTRIES = 36,
        OFFSET_L1 = 40,
        OFFSET_REFCOUNTS = 48,
        OFFSET_REFCOUNT_CLUSTERS = 56,
        HEADER_V2 = 72,
        OFFSET_INCOMPATIBLE = 72,
        OFFSET_COMPATIBLE = 80,
        OFFSET_REFCOUNT_ORDER = 96,
        OFFSET_HEADER_LENGTH = 100,
        HEADER_V3 = 104,
};
#define MAGIC UINT32_C(0x514649fb)
#define EXTENSION_BACKING_FORMAT UINT32_C(0xe2792aca)
#define INCOMPATIBLE_DATA_FILE (UINT64_C(1) << 2)
#define COMPATIBLE_LAZY_REFCOUNTS UINT64_C(1)
#define NAME_MAX_BYTES 1023u
#define FORMAT_MAX_BYTES 64u

static void put32(uint8_t *p, uint32_t n) {
        n = htobe32(n);
        memcpy(p, &n, sizeof(n));
}

static void put64(uint8_t *p, uint64_t n) {
        n = htobe64(n);
        memcpy(p, &n, sizeof(n));
}

static int problem(const char **ret_problem, const char *text) {
        *ret_problem = text;
        return -EBADMSG;
}

static int take_text(const uint8_t *p, size_t n, char **ret) {
        if (memchr(p, '\0', n))
                return -EBADMSG;
        *ret = strndup((const char *) p, n);
        return *ret ? 0 : -ENOMEM;
}

/* The list of extensions starts after the header and ends at type 0 or where the backing name begins. */
static int extensions_parse(const uint8_t *data, size_t at, size_t end, Qcow2Header *h) {
        while (end - at >= 8) {
                uint32_t type = be32_at(data + at), n = be32_at(data + at + 4);
                int r;

                at += 8;
                if (type == 0)
                        return 0;
                if (n > end - at)
                        return -EBADMSG;
                if (type == EXTENSION_BACKING_FORMAT && !h->backing_format) {
                        r = n > FORMAT_MAX_BYTES ? -EBADMSG : take_text(data + at, n, &h->backing_format);
                        if (r < 0)
                                return r;
                }
                at += MIN(((size_t) n + 7) & ~(size_t) 7, end - at);
        }
        return 0;
}

int qcow2_parse(const void *bytes, size_t length, Qcow2Header *ret, const char **ret_problem) {
        _cleanup_(qcow2_clear) Qcow2Header h = {};
        const uint8_t *data = bytes;
        uint32_t version, name_size, header;
        uint64_t name_at;
        int r;

        assert((data || length == 0) && ret && ret_problem);

        if (length < HEADER_V2 || be32_at(data) != MAGIC)
                return problem(ret_problem, "is no qcow2 image: it does not start with \"QFI\\xfb\"");
        version = be32_at(data + OFFSET_VERSION);
        if ((version != 2 && version != 3) || (version == 3 && length < HEADER_V3))
                return problem(ret_problem, "is no qcow2 image of version 2 or 3");
        header = version == 2 ? HEADER_V2 : be32_at(data + OFFSET_HEADER_LENGTH);
        name_at = be64_at(data + OFFSET_BACKING);
        name_size = be32_at(data + OFFSET_BACKING_SIZE);
        if (header < (version == 2 ? HEADER_V2 : HEADER_V3) || header > length)
                return problem(ret_problem, "has a broken qcow2 header: its length is wrong");
        if (name_at != 0 && (name_at < header || name_size == 0 || name_size > NAME_MAX_BYTES || name_at > length ||
                             name_size > length - name_at))
                return problem(ret_problem, "has a broken qcow2 header: the name of the backing image lies outside");

        h.size = be64_at(data + OFFSET_SIZE);
        h.encryption = be32_at(data + OFFSET_ENCRYPTION);
        h.data_file = version == 3 && be64_at(data + OFFSET_INCOMPATIBLE) & INCOMPATIBLE_DATA_FILE;
        h.lazy_refcounts = version == 3 && be64_at(data + OFFSET_COMPATIBLE) & COMPATIBLE_LAZY_REFCOUNTS;
        r = extensions_parse(data, header, name_at != 0 ? (size_t) name_at : length, &h);
        if (r >= 0 && name_at != 0)
                r = take_text(data + name_at, name_size, &h.backing);
        if (r == -EBADMSG)
                return problem(ret_problem, "has a broken qcow2 header: an extension or the name of the backing image can't be read");
        if (r < 0)
                return r;
        *ret = TAKE(h, (Qcow2Header) {});
        return 0;
}

void qcow2_clear(Qcow2Header *h) {
        free(h->backing);
        free(h->backing_format);
        *h = (Qcow2Header) {};
}

/* --- writing --- */

#define CLUSTER_BITS 16u
#define CLUSTER (UINT64_C(1) << CLUSTER_BITS)
#define L1_SPAN (CLUSTER * (CLUSTER / 8))       /* bytes of the guest that an entry stands for */
#define L1_ENTRIES_MAX (UINT64_C(4) << 20)      /* QEMU reads no more */
/* In clusters from the start: the header, what tells where counts are, the counts, and then the table of what is written, which is empty. */
enum { AT_REFCOUNTS = 1, AT_COUNTS = 2, AT_L1 = 3 };

static int write_at(int fd, uint64_t cluster, const void *data, size_t n) {
        ssize_t written = pwrite(fd, data, n, (off_t) (cluster * CLUSTER));

        return written < 0 ? -errno : (size_t) written == n ? 0 : -EIO;
}

/* The list of extensions, which a 0 ends, and the name behind it. */
static int put_backing(uint8_t *header, size_t at, const Qcow2Header *what) {
        size_t name = strlen(what->backing), format = what->backing_format ? strlen(what->backing_format) : 0;

        if (name == 0 || name > NAME_MAX_BYTES || format > FORMAT_MAX_BYTES)
                return -ENAMETOOLONG;
        if (format > 0) {
                put32(header + at, EXTENSION_BACKING_FORMAT);
                put32(header + at + 4, (uint32_t) format);
                memcpy(header + at + 8, what->backing_format, format);
                at += 8 + ((format + 7) & ~(size_t) 7);
        }
        at += 8;
        memcpy(header + at, what->backing, name);
        put64(header + OFFSET_BACKING, at);
        put32(header + OFFSET_BACKING_SIZE, (uint32_t) name);
        return 0;
}

static int write_header(int fd, const Qcow2Header *what, uint64_t size, uint64_t l1_entries) {
        uint8_t header[HEADER_V3 + 8 + FORMAT_MAX_BYTES + 8 + NAME_MAX_BYTES] = {};
        int r;

        put32(header, MAGIC);
        put32(header + OFFSET_VERSION, 3);
        put32(header + OFFSET_CLUSTER_BITS, CLUSTER_BITS);
        put64(header + OFFSET_SIZE, size);
        put32(header + OFFSET_L1_ENTRIES, (uint32_t) l1_entries);
        put64(header + OFFSET_L1, AT_L1 * CLUSTER);
        put64(header + OFFSET_REFCOUNTS, AT_REFCOUNTS * CLUSTER);
        put32(header + OFFSET_REFCOUNT_CLUSTERS, 1);
        put64(header + OFFSET_COMPATIBLE, what->lazy_refcounts ? COMPATIBLE_LAZY_REFCOUNTS : 0);
        put32(header + OFFSET_REFCOUNT_ORDER, 4); /* 16 bits each */
        put32(header + OFFSET_HEADER_LENGTH, HEADER_V3);
        r = what->backing ? put_backing(header, HEADER_V3, what) : 0;
        return r < 0 ? r : write_at(fd, 0, header, sizeof(header));
}

/* Each cluster that is in use is used once. */
static int write_counts(int fd, uint64_t clusters) {
        _cleanup_free_ uint8_t *counts = calloc(clusters, 2);
        uint8_t where[8];
        int r;

        if (!counts)
                return -ENOMEM;
        for (uint64_t i = 0; i < clusters; i++)
                counts[2 * i + 1] = 1;
        put64(where, AT_COUNTS * CLUSTER);
        r = write_at(fd, AT_REFCOUNTS, where, sizeof(where));
        return r < 0 ? r : write_at(fd, AT_COUNTS, counts, clusters * 2);
}

int qcow2_write_empty(int fd, const Qcow2Header *what) {
        uint64_t size, l1_entries, clusters;
        int r;

        assert(what);

        size = what->size;
        if (size > L1_SPAN * L1_ENTRIES_MAX - CLUSTER)
                return -EFBIG;
        size = (size + 511) / 512 * 512;
        l1_entries = MAX((size + L1_SPAN - 1) / L1_SPAN, UINT64_C(1));
        clusters = AT_L1 + (l1_entries * 8 + CLUSTER - 1) / CLUSTER;
        if (ftruncate(fd, (off_t) (clusters * CLUSTER)) < 0)
                return -errno;
        r = write_counts(fd, clusters);
        return r < 0 ? r : write_header(fd, what, size, l1_entries);
}
