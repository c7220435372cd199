/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image-info.h"

#include <string.h>

#include "bytes.h"
#include "qcow2.h"
#include "str.h"

#define SECTOR 512u
#define FIRST_READ ((size_t) 1024)

void image_info_clear(ImageInfo *i) {
        free(i->backing);
        *i = (ImageInfo) {};
}

static int problem(const char **ret_problem, const char *text) {
        *ret_problem = text;
        return -EBADMSG;
}

static size_t read_at(const ImageReader *r, void *data, size_t length, uint64_t offset) {
        long n = r->read(data, length, offset, r->userdata);

        return n < 0 ? 0 : (size_t) n;
}

/* --- the formats --- */

static int parse_qcow2(const ImageReader *reader, Qcow2Header *h, const char **ret_problem) {
        _cleanup_free_ uint8_t *more = NULL;
        uint8_t data[FIRST_READ];
        size_t n = read_at(reader, data, sizeof(data), 0);
        int r = qcow2_parse(data, n, h, ret_problem);

        /* Nearly always enough. */
        if (r != -EBADMSG || n < sizeof(data))
                return r;
        more = malloc(QCOW2_READ);
        return more ? qcow2_parse(more, read_at(reader, more, QCOW2_READ, 0), h, ret_problem) : -ENOMEM;
}

static int read_qcow2(const ImageReader *reader, ImageInfo *ret, const char **ret_problem) {
        _cleanup_(qcow2_clear) Qcow2Header h = {};
        int r = parse_qcow2(reader, &h, ret_problem);

        if (r < 0)
                return r;
        ret->capacity = h.size;
        ret->encryption = h.encryption == 0 ? ENCRYPTION_NONE : h.encryption == 1 ? ENCRYPTION_QCOW : ENCRYPTION_LUKS;
        ret->backing = TAKE_PTR(h.backing);
        if (h.backing_format) {
                VolumeFormat format = volume_format_from_string(h.backing_format);

                ret->backing_format = format > FORMAT_UNSET ? format : FORMAT_UNSET;
        }
        return h.data_file ? problem(ret_problem, "keeps its data in another file") : 0;
}

/* Numbers are little-endian; the name of the backing file stands where the header says. */
static int read_qed(const ImageReader *reader, ImageInfo *ret, const char **ret_problem) {
        uint8_t h[64], name[1024];
        uint32_t at, n;

        if (read_at(reader, h, sizeof(h), 0) < sizeof(h) || memcmp(h, "QED", 4) != 0)
                return problem(ret_problem, "is no QED image");
        ret->capacity = le64_at(h + 48);
        if (!(le64_at(h + 16) & 1))
                return 0;
        at = le32_at(h + 56);
        n = le32_at(h + 60);
        if (n == 0 || n >= sizeof(name) || read_at(reader, name, n, at) < n || memchr(name, '\0', n))
                return problem(ret_problem, "has a broken QED header: the name of the backing image can't be read");
        ret->backing = strndup((const char *) name, n);
        ret->backing_format = le64_at(h + 16) & 4 ? FORMAT_RAW : FORMAT_UNSET;
        return ret->backing ? 0 : -ENOMEM;
}

static int read_vdi(const ImageReader *reader, ImageInfo *ret, const char **ret_problem) {
        uint8_t h[512];

        if (read_at(reader, h, sizeof(h), 0) < sizeof(h) || le32_at(h + 64) != UINT32_C(0xbeda107f))
                return problem(ret_problem, "is no VDI image");
        ret->capacity = le64_at(h + 368);
        return 0;
}

/* The footer; at the beginning as well unless the image is of a fixed size. */
static int read_vpc(const ImageReader *reader, ImageInfo *ret, const char **ret_problem) {
        uint8_t h[512];

        if (read_at(reader, h, sizeof(h), 0) < sizeof(h) || memcmp(h, "conectix", 8) != 0)
                if (reader->size < sizeof(h) || read_at(reader, h, sizeof(h), reader->size - sizeof(h)) < sizeof(h) || memcmp(h, "conectix", 8) != 0)
                        return problem(ret_problem, "is no VPC (VHD) image");
        ret->capacity = be64_at(h + 48);
        return 0;
}

/* A "sparse extent"; the text that only names other files is none. */
static int read_vmdk(const ImageReader *reader, ImageInfo *ret, const char **ret_problem) {
        uint8_t h[512];
        uint64_t sectors;

        if (read_at(reader, h, sizeof(h), 0) < sizeof(h))
                return problem(ret_problem, "is no VMDK image");
        if (memcmp(h, "# Disk DescriptorFile", 21) == 0)
                return problem(ret_problem, "is a VMDK description of other files, which are not followed");
        if (memcmp(h, "KDMV", 4) != 0)
                return problem(ret_problem, "is no VMDK image");
        sectors = le64_at(h + 12);
        if (sectors > INT64_MAX / SECTOR)
                return problem(ret_problem, "has a broken VMDK header: its size is out of bounds");
        ret->capacity = sectors * SECTOR;
        return 0;
}

/* A table of regions says where the table of metadata is, which says where the size is. */
#define VHDX_REGIONS UINT64_C(0x30000)
static const uint8_t vhdx_metadata_id[16] = { 0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e };
static const uint8_t vhdx_size_id[16] = { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8 };

static int read_vhdx(const ImageReader *reader, ImageInfo *ret, const char **ret_problem) {
        static const char broken[] = "has broken VHDX tables";
        uint8_t h[4096], size[8];
        uint64_t metadata = 0;
        size_t n;

        n = read_at(reader, h, 8, 0);
        if (n < 8 || memcmp(h, "vhdxfile", 8) != 0)
                return problem(ret_problem, "is no VHDX image");
        n = read_at(reader, h, sizeof(h), VHDX_REGIONS);
        if (n < 16 || memcmp(h, "regi", 4) != 0)
                return problem(ret_problem, broken);
        for (size_t i = 0; i < MIN(le32_at(h + 8), 100u) && 16 + (i + 1) * 32 <= n; i++)
                if (memcmp(h + 16 + i * 32, vhdx_metadata_id, 16) == 0)
                        metadata = le64_at(h + 16 + i * 32 + 16);
        n = metadata > 0 && metadata < INT64_MAX ? read_at(reader, h, sizeof(h), metadata) : 0;
        if (n < 32 || memcmp(h, "metadata", 8) != 0)
                return problem(ret_problem, broken);
        for (size_t i = 0; i < 100 && 32 + (i + 1) * 32 <= n; i++) {
                const uint8_t *row = h + 32 + i * 32;

                if (memcmp(row, vhdx_size_id, 16) == 0 && read_at(reader, size, sizeof(size), metadata + le32_at(row + 16)) == sizeof(size)) {
                        ret->capacity = le64_at(size);
                        return 0;
                }
        }
        return problem(ret_problem, broken);
}

/* What is behind the header; version 2 keeps that in JSON, at a place that is 16 MiB unless somebody chose another one. */
static int read_luks(const ImageReader *reader, ImageInfo *ret, const char **ret_problem) {
        uint8_t h[512];
        uint64_t data;

        if (read_at(reader, h, sizeof(h), 0) < sizeof(h) || memcmp(h, "LUKS\xba\xbe", 6) != 0)
                return problem(ret_problem, "is no LUKS image");
        data = h[7] == 1 ? (uint64_t) be32_at(h + 104) * SECTOR : UINT64_C(16) << 20;
        ret->capacity = reader->size > data ? reader->size - data : 0;
        ret->encryption = ENCRYPTION_LUKS;
        return 0;
}

static const struct {
        VolumeFormat format;
        int (*read)(const ImageReader *reader, ImageInfo *ret, const char **ret_problem);
} rows[] = {
        { FORMAT_QCOW2, read_qcow2 }, { FORMAT_QED, read_qed }, { FORMAT_VDI, read_vdi }, { FORMAT_VMDK, read_vmdk },
        { FORMAT_VHDX, read_vhdx }, { FORMAT_LUKS, read_luks }, { FORMAT_VPC, read_vpc },
};

int image_info_read(const ImageReader *reader, VolumeFormat format, ImageInfo *ret, const char **ret_problem) {
        _cleanup_image_info_ ImageInfo info = {};
        int r = 0;

        assert(reader && ret && ret_problem);

        info.capacity = reader->size;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].format == format)
                        r = rows[i].read(reader, &info, ret_problem);
        if (r >= 0 && info.capacity > INT64_MAX)
                r = problem(ret_problem, "says that it is larger than anything can be");
        if (r >= 0 && info.backing && !is_utf8(info.backing))
                r = problem(ret_problem, "has a backing file whose name is not UTF-8");
        if (r >= 0)
                *ret = TAKE(info, (ImageInfo) {});
        return r;
}

VolumeFormat image_info_guess(const ImageReader *reader) {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_image_info_ ImageInfo info = {};
                const char *why;

                if (rows[i].read(reader, &info, &why) >= 0)
                        return rows[i].format;
        }
        return FORMAT_RAW;
}
