/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>

#include "mem.h"
#include "report.h"
#include "str.h"
#include "xml-read.h"

/* The partitions of a disk, through sfdisk. The kernel gives them their names. */

static const char *const formats[] = { "gpt", "dos", "sun", "dvh", "auto", "unknown", NULL };

static const char *disk(const PoolDef *def) {
        return pool_device(def)->path;
}

static int check(const PoolDef *def, Fault *f) {
        if (disk(def)[0] == '/')
                return 0;
        return xml_fault(&pool_device(def)->head, f, FAULT_INVALID_DEFINITION, "\"%.200s\" is not the path of a disk", disk(def));
}

static const char *label(const PoolDef *def) {
        if (streq(def->source_format, "auto") || streq(def->source_format, "unknown"))
                return "gpt";
        return streq(def->source_format, "dvh") ? "sgi" : def->source_format;
}

static int with_input(Commands *c, char *input) {
        if (!input)
                return -ENOMEM;
        commands_last(c)->input = input;
        return 0;
}

static int build(const PoolDef *def, _unused_ bool overwrite, Commands *c) {
        int r = commands_add(c, "sfdisk", "--quiet", "--wipe=always", disk(def), NULL);

        return r < 0 ? r : with_input(c, strf("label: %s\n", label(def)));
}

static int destroy(const PoolDef *def, Commands *c) {
        return commands_add(c, "wipefs", "--all", "--quiet", disk(def), NULL);
}

static int list(const PoolDef *def, Commands *c) {
        int r = commands_add(c, "blockdev", "--getsize64", disk(def), NULL);

        return r < 0 ? r : commands_add(c, "sfdisk", "--json", disk(def), NULL);
}

/* --- what is on it --- */

static const struct {
        const char *type;
        VolumeFormat format;
} types[] = {
        { "0FC63DAF-8483-4772-8E79-3D69D8477DE4", FORMAT_LINUX }, { "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", FORMAT_LINUX_SWAP },
        { "E6D6D379-F507-44C2-A23C-238F2A3DF928", FORMAT_LINUX_LVM }, { "A19D880F-05FC-4D3B-A006-743F0F84911E", FORMAT_LINUX_RAID },
        { "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", FORMAT_FAT32 }, { "83", FORMAT_LINUX }, { "82", FORMAT_LINUX_SWAP }, { "8e", FORMAT_LINUX_LVM },
        { "fd", FORMAT_LINUX_RAID }, { "c", FORMAT_FAT32 }, { "b", FORMAT_FAT32 }, { "6", FORMAT_FAT16 }, { "5", FORMAT_EXTENDED }, { "f", FORMAT_EXTENDED },
};

static VolumeFormat format_of(const char *type) {
        for (size_t i = 0; type && i < ARRAY_SIZE(types); i++)
                if (streq(types[i].type, type))
                        return types[i].format;
        return FORMAT_NONE;
}

static const char *type_of(const PoolDef *def, VolumeFormat format) {
        bool gpt = streq(label(def), "gpt");

        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                if (types[i].format == format && (strlen(types[i].type) > 2) == gpt)
                        return types[i].type;
        return gpt ? types[0].type : "83";
}

static int add_partition(const PoolDef *def, const json_t *p, uint64_t sector, PoolInfo *ret) {
        const char *node = report_text(p, "node"), *name = node ? strrchr(node, '/') : NULL;
        VolumeInfo v = { .kind = VOLUME_BLOCK, .format = format_of(report_text(p, "type")) };
        uint64_t sectors;
        int r;

        if (!name || report_number(p, "size", &sectors) < 0 || __builtin_mul_overflow(sectors, sector, &v.capacity))
                return -EBADMSG;
        v.allocation = v.physical = v.capacity;
        r = free_and_strdup(&v.name, name + 1);
        if (r >= 0)
                r = free_and_strdup(&v.path, node);
        if (r >= 0)
                r = free_and_strdup(&v.key, report_text(p, "uuid") ?: node);
        if (r < 0) {
                volume_info_clear(&v);
                return r;
        }
        if (v.format != FORMAT_EXTENDED) /* which is where others are */
                ret->allocation += v.capacity;
        return pool_info_add(ret, &v);
}

static int parse(const PoolDef *def, char *const *outputs, PoolInfo *ret, Fault *f) {
        _cleanup_free_ char *size = outputs[0] ? strndup(outputs[0], strcspn(outputs[0], "\n")) : NULL;
        json_auto_t *report = NULL;
        uint64_t sector = 512;
        const json_t *table, *p;
        size_t i;
        int r;

        r = report_parse("sfdisk", outputs[1], &report, f);
        if (r < 0)
                return r;
        table = json_object_get(report, "partitiontable");
        r = size && table ? parse_u64(size, 10, &ret->capacity) : -EBADMSG;
        if (r >= 0 && json_object_get(table, "sectorsize"))
                r = report_number(table, "sectorsize", &sector);
        json_array_foreach(json_object_get(table, "partitions"), i, p)
                if (r >= 0)
                        r = add_partition(def, p, sector, ret);
        ret->available = ret->capacity - MIN(ret->allocation, ret->capacity);
        return r == -ENOMEM || r >= 0 ? r : fault_set(f, FAULT_POOL, EBADMSG, "what sfdisk says of %s lacks something", disk(def));
}

/* --- volumes --- */

/* "sda" + 3 is "sda3", "nvme0n1" + 3 is "nvme0n1p3". */
static char *partition_name(const PoolDef *def, unsigned number) {
        const char *name = strrchr(disk(def), '/') + 1;
        bool digit = *name && name[strlen(name) - 1] >= '0' && name[strlen(name) - 1] <= '9';
        Tristate separator = pool_device(def)->part_separator;

        return strf("%s%s%u", name, (digit && separator != NO) || separator == YES ? "p" : "", number);
}

static unsigned number_of(const VolumeInfo *v) {
        const char *end = v->name + strlen(v->name);
        uint32_t number = 0;

        while (end > v->name && end[-1] >= '0' && end[-1] <= '9')
                end--;
        (void) parse_u32(end, &number);
        return number;
}

static unsigned free_number(const PoolInfo *now) {
        for (unsigned number = 1;; number++) {
                bool taken = false;

                for (size_t i = 0; i < now->n; i++)
                        taken = taken || number_of(&now->volumes[i]) == number;
                if (!taken)
                        return number;
        }
}

static int create(const PoolDef *def, const PoolInfo *now, const VolumePlan *v, Commands *c, Fault *f) {
        _cleanup_free_ char *name = partition_name(def, free_number(now)), *number = strf("%u", free_number(now));
        int r;

        if (!name || !number)
                return -ENOMEM;
        if (v->origin)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "a partition has no backing volume");
        if (!streq(name, v->name)) {
                fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "the kernel names partitions: the next one on %s is %s, not %s", disk(def), name, v->name);
                fault_hint(f, "give it that name");
                return -EINVAL;
        }
        r = commands_add(c, "sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--partno", number, disk(def), NULL);
        if (r >= 0)
                r = with_input(c, strf("size=%" PRIu64 "KiB, type=%s\n", (v->capacity + 1023) / 1024, type_of(def, v->format)));
        if (r >= 0)
                r = commands_add(c, "partx", "--add", "--nr", number, disk(def), NULL);
        if (r >= 0)
                commands_last(c)->may_fail = true; /* udev may have told the kernel already */
        return r;
}

static int remove_volume(const PoolDef *def, const VolumeInfo *v, Commands *c) {
        _cleanup_free_ char *number = strf("%u", number_of(v));
        int r;

        if (!number)
                return -ENOMEM;
        r = commands_add(c, "partx", "--delete", "--nr", number, disk(def), NULL);
        return r < 0 ? r : commands_add(c, "sfdisk", "--quiet", "--delete", "--no-reread", "--no-tell-kernel", disk(def), number, NULL);
}

const PoolOps pool_disk = {
        .type = POOL_DISK, .needs = ELEMENT_DEVICE | ELEMENT_PATH, .formats = formats, .scan = SCAN_COMMANDS, .volumes = VOLUME_BLOCK, .device_folder = "/dev",
        .check = check, .build = build, .destroy = destroy, .list = list, .parse = parse, .create = create, .remove = remove_volume,
};
