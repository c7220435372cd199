/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stats-qemu.h"

#include <inttypes.h>
#include <string.h>

#include "../device/disk.h"
#include "../qmp/qmp-cmd.h"
#include "mem.h"
#include "str.h"

#define ENTRIES_MAX 4096u      /* of an answer that are looked at */
#define LAYERS_MAX 64u         /* of a chain of images */
#define BINS_MAX 64u
#define CPUS_MAX 1024u         /* of one machine, and so of an answer */

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

/* --- processors that have nothing to do --- */

typedef struct Processor {
        uint64_t number;
        const json_t *stats;
} Processor;

/* "/machine/peripheral/vcpu3" is one that was plugged in. Those from the start have numbers of QEMU's, which only say their order:
 * "/machine/unattached/device[2]". */
static bool read_path(const char *path, uint64_t *ret, bool *ret_plugged) {
        const char *plugged = str_after(path, "/machine/peripheral/vcpu"), *device = str_after(path, "/machine/unattached/device[");
        _cleanup_free_ char *number = strdup(plugged ?: device ?: "");
        char *end = number ? strchr(number, ']') : NULL;

        if (!number || (device && (!end || end[1] != '\0')))
                return false;
        if (device)
                *end = '\0';
        *ret_plugged = plugged;
        return parse_u64(number, 10, ret) >= 0 && *ret < CPUS_MAX * 16u;
}

static int compare_processors(const void *a, const void *b) {
        const Processor *x = a, *y = b;

        return x->number < y->number ? -1 : x->number > y->number;
}

static size_t find_processors(const json_t *result, Processor *cold, Processor *plugged, size_t *ret_plugged) {
        size_t n = MIN(json_array_size(result), (size_t) CPUS_MAX), n_cold = 0;

        *ret_plugged = 0;
        for (size_t i = 0; i < n; i++) {
                const json_t *entry = json_array_get(result, i);
                const char *path = json_string_value(json_object_get(entry, "qom-path"));
                Processor p = { .stats = json_object_get(entry, "stats") };
                bool was_plugged;

                if (!path || !streq_null(json_string_value(json_object_get(entry, "provider")), "kvm") || !read_path(path, &p.number, &was_plugged))
                        continue;
                if (was_plugged)
                        plugged[(*ret_plugged)++] = p;
                else
                        cold[n_cold++] = p;
        }
        qsort(cold, n_cold, sizeof(*cold), compare_processors);
        qsort(plugged, *ret_plugged, sizeof(*plugged), compare_processors);
        return n_cold;
}

static void add_halts(StatsSet *s, uint64_t number, const json_t *stats) {
        static const char *const names[] = STATS_HALT_NAMES;
        const json_t *one;
        uint64_t value;
        size_t i;

        for (size_t k = 0; k < ARRAY_SIZE(names); k++)
                json_array_foreach(stats, i, one)
                        if (streq_null(json_string_value(json_object_get(one, "name")), names[k]) && json_get_u64(one, "value", &value) >= 0 &&
                            value <= INT64_MAX) {
                                stats_number(s, value, "vcpu.%" PRIu64 ".%s.sum", number, names[k]);
                                break;
                        }
}

void stats_read_halt(const json_t *result, StatsSet *s) {
        _cleanup_free_ Processor *cold = new0(Processor, CPUS_MAX), *plugged = new0(Processor, CPUS_MAX);
        size_t n_cold, n_plugged;
        uint64_t next = 0;

        assert(s);

        stats_set_begin(s);
        if (!cold || !plugged)
                return;
        n_cold = find_processors(result, cold, plugged, &n_plugged);
        for (size_t i = 0; i < n_cold; i++, next++)
                if (i == 0 || cold[i].number != cold[i - 1].number)
                        add_halts(s, next, cold[i].stats);
        for (size_t i = 0; i < n_plugged; i++)
                if (plugged[i].number >= next) {
                        add_halts(s, plugged[i].number, plugged[i].stats);
                        next = plugged[i].number + 1;
                }
}
