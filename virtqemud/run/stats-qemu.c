/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stats-qemu.h"

#include <string.h>

#include "../device/disk.h"
#include "../qmp/qmp-cmd.h"
#include "mem.h"
#include "str.h"

#define ENTRIES_MAX 4096u      /* of an answer that are looked at */
#define LAYERS_MAX 64u         /* of a chain of images */
#define BINS_MAX 64u

/* A member of an answer and what it is called here. */
typedef struct Row {
        const char *member, *key;
} Row;

/* Numbers that are not there, or mean "not known", have no row in the sample. */
static void add_numbers(StatsSet *s, const json_t *from, const Row *rows, size_t n, const char *prefix) {
        uint64_t value;

        for (size_t i = 0; i < n; i++)
                if (json_get_u64(from, rows[i].member, &value) >= 0 && value <= INT64_MAX)
                        stats_number(s, value, "%s%s", prefix, rows[i].key);
}

/* --- memory --- */

void stats_read_balloon(const DomainDef *def, const json_t *result, StatsSet *s) {
        uint64_t actual;

        assert(def && s);

        stats_set_begin(s);
        if (qmp_read_balloon(result, &actual, NULL) >= 0)
                stats_number(s, actual, "balloon.current");
        stats_number(s, def->memory, "balloon.maximum");
}

void stats_read_guest_memory(const json_t *result, StatsSet *s) {
        static const Row rows[] = {
                { "stat-total-memory", "balloon.available" }, { "stat-free-memory", "balloon.unused" },
                { "stat-available-memory", "balloon.usable" }, { "stat-disk-caches", "balloon.disk_caches" },
                { "stat-swap-in", "balloon.swap_in" }, { "stat-swap-out", "balloon.swap_out" },
                { "stat-major-faults", "balloon.major_fault" }, { "stat-minor-faults", "balloon.minor_fault" },
                { "stat-htlb-pgalloc", "balloon.hugetlb_pgalloc" }, { "stat-htlb-pgfail", "balloon.hugetlb_pgfail" },
        };
        uint64_t update;

        assert(s);

        stats_set_begin(s);
        if (json_get_u64(result, "last-update", &update) < 0 || update == 0)
                return; /* its guest has said nothing yet */
        stats_number(s, update, "balloon.last-update");
        add_numbers(s, json_object_get(result, "stats"), rows, ARRAY_SIZE(rows), "");
}

/* --- disks --- */

/* "/machine/peripheral/virtio-disk0/virtio-backend" or "scsi0-0-0-0". */
static bool names_device(const char *qdev, const char *id) {
        const char *rest = str_after(str_after(qdev, "/machine/peripheral/") ?: qdev, id);

        return rest && (*rest == '\0' || *rest == '/');
}

/* What an answer says of one disk; NULL: nothing. */
static const json_t *find_entry(const json_t *result, const Disk *disk) {
        size_t n = MIN(json_array_size(result), (size_t) ENTRIES_MAX);

        for (size_t i = 0; disk->device.id && i < n; i++) {
                const json_t *entry = json_array_get(result, i);
                const char *qdev = json_string_value(json_object_get(entry, "qdev"));

                if (qdev && names_device(qdev, disk->device.id))
                        return entry;
        }
        return NULL;
}

static void add_io(StatsSet *s, unsigned number, const json_t *entry) {
        static const Row rows[] = {
                { "rd_operations", "rd.reqs" },
                { "rd_bytes", "rd.bytes" },
                { "rd_total_time_ns", "rd.times" },
                { "failed_rd_operations", "rd.errors" },
                { "wr_operations", "wr.reqs" },
                { "wr_bytes", "wr.bytes" },
                { "wr_total_time_ns", "wr.times" },
                { "failed_wr_operations", "wr.errors" },
                { "flush_operations", "fl.reqs" },
                { "flush_total_time_ns", "fl.times" },
                { "failed_flush_operations", "fl.errors" },
                { "unmap_operations", "discard.reqs" },
                { "unmap_bytes", "discard.bytes" },
                { "unmap_total_time_ns", "discard.times" },
        };
        const json_t *below = json_object_get(json_object_get(entry, "parent"), "stats");
        char prefix[32];
        uint64_t offset;

        (void) snprintf(prefix, sizeof(prefix), "block.%u.", number);
        add_numbers(s, json_object_get(entry, "stats"), rows, ARRAY_SIZE(rows), prefix);
        if (json_get_u64(below, "wr_highest_offset", &offset) >= 0 && offset <= INT64_MAX)
                stats_number(s, offset, "block.%u.allocation", number);
}

static void add_list(StatsSet *s, const json_t *list, unsigned number, const char *name) {
        size_t n = json_array_size(list);
        uint64_t *items = n > 0 && n <= BINS_MAX ? new0(uint64_t, n) : NULL;

        if (!items)
                return;
        for (size_t i = 0; i < n; i++) {
                double value = json_number_value(json_array_get(list, i));

                items[i] = value > 0 && value < 1e18 ? (uint64_t) value : 0;
        }
        stats_list(s, items, n, "block.%u.%s", number, name);
}

static void add_latency(StatsSet *s, unsigned number, const json_t *stats) {
        static const Row rows[] = {
                { "rd_latency_histogram", "rd" }, { "wr_latency_histogram", "wr" }, { "flush_latency_histogram", "fl" },
        };
        char name[32];

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const json_t *histogram = json_object_get(stats, rows[i].member);

                (void) snprintf(name, sizeof(name), "%s.latency.boundaries", rows[i].key);
                add_list(s, json_object_get(histogram, "boundaries"), number, name);
                (void) snprintf(name, sizeof(name), "%s.latency.bins", rows[i].key);
                add_list(s, json_object_get(histogram, "bins"), number, name);
        }
}

void stats_read_block(const DomainDef *def, const json_t *result, StatsSet *block, StatsSet *latency) {
        unsigned number = 0;

        assert(def && block && latency);

        stats_set_begin(block);
        stats_set_begin(latency);
        DEVICE_FOREACH(Disk, disk, def, DEVICE_DISK) {
                const json_t *entry = find_entry(result, disk);

                stats_text(block, disk->target, "block.%u.name", number);
                stats_text(block, disk->device.id, "block.%u.alias", number);
                stats_text(block, disk_path(disk), "block.%u.path", number);
                if (entry) {
                        add_io(block, number, entry);
                        add_latency(latency, number, json_object_get(entry, "stats"));
                }
                number++;
        }
        stats_number(block, number, "block.count");
}

size_t stats_find_uncounted(const DomainDef *def, const json_t *result, const char **ret, size_t max) {
        size_t n = 0;

        assert(def && ret);

        DEVICE_FOREACH(Disk, disk, def, DEVICE_DISK) {
                const json_t *entry = find_entry(result, disk);

                if (entry && n < max && !json_object_get(json_object_get(entry, "stats"), "rd_latency_histogram"))
                        ret[n++] = json_string_value(json_object_get(entry, "qdev"));
        }
        return n;
}

static void add_image(StatsSet *s, const json_t *image, const char *path, const char *prefix) {
        static const Row rows[] = { { "virtual-size", "capacity" }, { "actual-size", "physical" } };

        stats_text(s, path, "%spath", prefix);
        stats_text(s, json_string_value(json_object_get(image, "format")), "%sformat", prefix);
        add_numbers(s, image, rows, ARRAY_SIZE(rows), prefix);
}

static void add_chain(StatsSet *s, const Disk *disk, unsigned number, const json_t *image) {
        const BackingStore *known = disk->below;
        unsigned layer = 0;
        char prefix[40];

        (void) snprintf(prefix, sizeof(prefix), "block.%u.", number);
        add_image(s, image, NULL, prefix);
        while ((image = json_object_get(image, "backing-image")) && layer < LAYERS_MAX) {
                (void) snprintf(prefix, sizeof(prefix), "block.%u.backing.%u.", number, layer++);
                add_image(s, image, known && known->type != DISK_TYPE_NONE ? backing_path(known) : NULL, prefix);
                known = known ? known->below : NULL;
        }
        stats_number(s, layer, "block.%u.backing.count", number);
}

void stats_read_backing(const DomainDef *def, const json_t *result, StatsSet *s) {
        unsigned number = 0;

        assert(def && s);

        stats_set_begin(s);
        DEVICE_FOREACH(Disk, disk, def, DEVICE_DISK) {
                const json_t *image = json_object_get(json_object_get(find_entry(result, disk), "inserted"), "image");

                if (image)
                        add_chain(s, disk, number, image);
                number++;
        }
}

/* --- dirty rate --- */

void stats_read_dirty_rate(const json_t *result, StatsSet *s) {
        static const Row rows[] = { { "calc-time", "dirtyrate.calc_period" }, { "dirty-rate", "dirtyrate.megabytes_per_second" } };

        assert(s);

        stats_set_begin(s);
        stats_text(s, json_string_value(json_object_get(result, "status")), "dirtyrate.calc_status");
        add_numbers(s, result, rows, ARRAY_SIZE(rows), "");
}
