/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "old-image.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"
#include "str.h"

#define SECTOR 512u
#define QED_HAS_BACKING UINT64_C(1)

static int problem(const char **ret_problem, const char *text) {
        *ret_problem = text;
        return -EBADMSG;
}

/* The text inside of it says what it is a layer on. */
static bool vmdk_is_layer(const uint8_t *h, size_t length) {
        uint64_t start = le64_at(h + 28), sectors = le64_at(h + 36);
        const char *text, *parent;

        if (start == 0 || sectors == 0 || start > length / SECTOR)
                return false;
        start *= SECTOR;
        length = sectors < (length - start) / SECTOR ? (size_t) sectors * SECTOR : length - (size_t) start;
        text = (const char *) h + start;
        parent = memmem(text, length, "parentCID=", 10);
        return parent && ((size_t) (text + length - parent) < 18 || strncasecmp(parent + 10, "ffffffff", 8) != 0);
}

static int parse_vmdk(const uint8_t *h, size_t length, uint64_t *ret_size, const char **ret_problem) {
        uint64_t sectors;

        if (memcmp(h, "# Disk DescriptorFile", 21) == 0)
                return problem(ret_problem, "only names the files that the vmdk image consists of");
        if (memcmp(h, "KDMV", 4) != 0)
                return problem(ret_problem, "is no vmdk image of one file");
        sectors = le64_at(h + 12);
        if (sectors == 0)
                return problem(ret_problem, "only names the files that the vmdk image consists of");
        if (sectors > INT64_MAX / SECTOR)
                return problem(ret_problem, "has a broken vmdk header: its size is out of bounds");
        if (vmdk_is_layer(h, length))
                return problem(ret_problem, "is a vmdk image that is a layer on another one");
        *ret_size = sectors * SECTOR;
        return 0;
}

static int parse_qed(const uint8_t *h, size_t length, uint64_t *ret_size, const char **ret_problem) {
        if (memcmp(h, "QED", 4) != 0)
                return problem(ret_problem, "is no qed image");
        if (le64_at(h + 16) & QED_HAS_BACKING)
                return problem(ret_problem, "is a qed image that is a layer on another one");
        *ret_size = le64_at(h + 48);
        return 0;
}

static int parse_qcow(const uint8_t *h, size_t length, uint64_t *ret_size, const char **ret_problem) {
        if (memcmp(h, "QFI\xfb\0\0\0\1", 8) != 0)
                return problem(ret_problem, "is no qcow image of version 1");
        if (be64_at(h + 8) != 0)
                return problem(ret_problem, "is a qcow image that is a layer on another one");
        *ret_size = be64_at(h + 24);
        return 0;
}

static const struct {
        const char *format;
        int (*parse)(const uint8_t *h, size_t length, uint64_t *ret_size, const char **ret_problem);
} formats[] = { { "vmdk", parse_vmdk }, { "qed", parse_qed }, { "qcow", parse_qcow } };

bool old_image_format(const char *format) {
        for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
                if (streq(formats[i].format, format))
                        return true;
        return false;
}

int old_image_parse(const char *format, const void *data, size_t length, uint64_t *ret_size, const char **ret_problem) {
        uint64_t size = 0;
        int r = -EBADMSG;

        assert(format && data && ret_size && ret_problem);

        *ret_problem = "is too short for an image of that format";
        for (size_t i = 0; i < ARRAY_SIZE(formats) && length >= OLD_IMAGE_MIN; i++)
                if (streq(formats[i].format, format))
                        r = formats[i].parse(data, length, &size, ret_problem);
        if (r >= 0 && size > INT64_MAX)
                return problem(ret_problem, "says that it is larger than anything can be");
        if (r >= 0)
                *ret_size = size;
        return r;
}
