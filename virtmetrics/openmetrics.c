/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "openmetrics.h"

#include <inttypes.h>

#define CAPTURE_MAX 32u

/* How a number becomes the value of a metric. */
typedef enum Scale { PLAIN, FROM_NSEC, FROM_USEC } Scale;

/* A label and where its value is from: what the '*' of the key stands for, the text under that '*' (block.*.name), the value itself, or
 * said here. */
typedef enum LabelSource { NO_LABEL, OF_STAR, OF_TEXT, OF_VALUE, SAID } LabelSource;
typedef struct Label {
        LabelSource source;
        const char *name, *from;
} Label;

/* Rows of one family stand together. Its unit is the end of its name; a counter's samples end in "_total". */
typedef struct Row {
        const char *key, *family;
        bool counter;
        Scale scale;
        Label labels[2];
        const char *help;
} Row;

#define VCPU { { OF_STAR, "vcpu" } }
#define DISK { { OF_TEXT, "disk", "name" } }
#define NIC { { OF_TEXT, "device", "alias" }, { OF_TEXT, "interface", "name" } }
#define COUNTER true
#define GAUGE false

static const Row rows[] = {
        { "state.state", "virtbus_domain_state", GAUGE, PLAIN, { { OF_VALUE, "state" }, { SAID, "uuid" } }, "The state it is in; always 1." },
        { "state.started", "virtbus_domain_start_time_seconds", GAUGE, FROM_USEC, {}, "When it was started last." },
        { "cpu.user", "virtbus_domain_cpu_seconds", COUNTER, FROM_NSEC, { { SAID, "mode", "user" } }, "Processor time of its QEMU, guest included." },
        { "cpu.system", "virtbus_domain_cpu_seconds", COUNTER, FROM_NSEC, { { SAID, "mode", "system" } }, "" },
        { "cpu.unit.time", "virtbus_domain_unit_cpu_seconds", COUNTER, FROM_NSEC, {}, "Processor time of all that is in its unit." },
        { "cpu.unit.throttled", "virtbus_domain_unit_throttled_seconds", COUNTER, FROM_NSEC, {}, "Time its unit had to wait because of a quota." },
        { "vcpu.current", "virtbus_domain_vcpus", GAUGE, PLAIN, {}, "Virtual processors it has." },
        { "vcpu.maximum", "virtbus_domain_vcpus_maximum", GAUGE, PLAIN, {}, "Virtual processors it can have." },
        { "vcpu.*.time", "virtbus_domain_vcpu_seconds", COUNTER, FROM_NSEC, VCPU, "Time a virtual processor ran." },
        { "vcpu.*.delay", "virtbus_domain_vcpu_delay_seconds", COUNTER, FROM_NSEC, VCPU, "Time it could have run, but the host's were taken." },
        { "vcpu.*.halted", "virtbus_domain_vcpu_halted", GAUGE, PLAIN, VCPU, "Whether it sleeps." },
        { "memory.rss", "virtbus_domain_memory_resident_bytes", GAUGE, PLAIN, {}, "Memory of the host that its QEMU has." },
        { "memory.unit.current", "virtbus_domain_unit_memory_bytes", GAUGE, PLAIN, {}, "Memory of the host that its unit has." },
        { "memory.unit.swap", "virtbus_domain_unit_swap_bytes", GAUGE, PLAIN, {}, "Memory of its unit that is swapped out." },
        { "balloon.current", "virtbus_domain_balloon_bytes", GAUGE, PLAIN, {}, "Memory its guest was left." },
        { "balloon.maximum", "virtbus_domain_balloon_maximum_bytes", GAUGE, PLAIN, {}, "Memory its guest can have." },
        { "balloon.available", "virtbus_domain_guest_memory_available_bytes", GAUGE, PLAIN, {}, "All memory its guest knows of." },
        { "balloon.unused", "virtbus_domain_guest_memory_unused_bytes", GAUGE, PLAIN, {}, "Memory its guest has no use for." },
        { "balloon.usable", "virtbus_domain_guest_memory_usable_bytes", GAUGE, PLAIN, {}, "Memory its guest could use without swapping." },
        { "balloon.disk_caches", "virtbus_domain_guest_memory_disk_caches_bytes", GAUGE, PLAIN, {}, "Memory of its guest that caches files." },
        { "balloon.swap_in", "virtbus_domain_guest_swapped_in_bytes", COUNTER, PLAIN, {}, "What its guest has read from swap." },
        { "balloon.swap_out", "virtbus_domain_guest_swapped_out_bytes", COUNTER, PLAIN, {}, "What its guest has written to swap." },
        { "balloon.major_fault", "virtbus_domain_guest_major_faults", COUNTER, PLAIN, {}, "Page faults in its guest that took a disk." },
        { "balloon.minor_fault", "virtbus_domain_guest_minor_faults", COUNTER, PLAIN, {}, "Page faults in its guest that took none." },
        { "block.*.rd.reqs", "virtbus_domain_block_reads", COUNTER, PLAIN, DISK, "Reads." },
        { "block.*.rd.bytes", "virtbus_domain_block_read_bytes", COUNTER, PLAIN, DISK, "What was read." },
        { "block.*.rd.times", "virtbus_domain_block_read_seconds", COUNTER, FROM_NSEC, DISK, "Time reads took, added up." },
        { "block.*.rd.errors", "virtbus_domain_block_read_errors", COUNTER, PLAIN, DISK, "Reads that failed." },
        { "block.*.wr.reqs", "virtbus_domain_block_writes", COUNTER, PLAIN, DISK, "Writes." },
        { "block.*.wr.bytes", "virtbus_domain_block_written_bytes", COUNTER, PLAIN, DISK, "What was written." },
        { "block.*.wr.times", "virtbus_domain_block_write_seconds", COUNTER, FROM_NSEC, DISK, "Time writes took, added up." },
        { "block.*.wr.errors", "virtbus_domain_block_write_errors", COUNTER, PLAIN, DISK, "Writes that failed." },
        { "block.*.fl.reqs", "virtbus_domain_block_flushes", COUNTER, PLAIN, DISK, "Flushes." },
        { "block.*.fl.times", "virtbus_domain_block_flush_seconds", COUNTER, FROM_NSEC, DISK, "Time flushes took, added up." },
        { "block.*.discard.reqs", "virtbus_domain_block_discards", COUNTER, PLAIN, DISK, "Discards." },
        { "block.*.discard.bytes", "virtbus_domain_block_discarded_bytes", COUNTER, PLAIN, DISK, "What was discarded." },
        { "block.*.allocation", "virtbus_domain_block_highest_write_bytes", GAUGE, PLAIN, DISK, "End of the highest write to its image." },
        { "net.*.rx.bytes", "virtbus_domain_net_receive_bytes", COUNTER, PLAIN, NIC, "What its guest received." },
        { "net.*.rx.pkts", "virtbus_domain_net_receive_packets", COUNTER, PLAIN, NIC, "Frames its guest received." },
        { "net.*.rx.errs", "virtbus_domain_net_receive_errors", COUNTER, PLAIN, NIC, "Frames to its guest with errors." },
        { "net.*.rx.drop", "virtbus_domain_net_receive_drops", COUNTER, PLAIN, NIC, "Frames to its guest that were dropped." },
        { "net.*.tx.bytes", "virtbus_domain_net_transmit_bytes", COUNTER, PLAIN, NIC, "What its guest sent." },
        { "net.*.tx.pkts", "virtbus_domain_net_transmit_packets", COUNTER, PLAIN, NIC, "Frames its guest sent." },
        { "net.*.tx.errs", "virtbus_domain_net_transmit_errors", COUNTER, PLAIN, NIC, "Frames of its guest with errors." },
        { "net.*.tx.drop", "virtbus_domain_net_transmit_drops", COUNTER, PLAIN, NIC, "Frames of its guest that were dropped." },
        { "*.age", "virtbus_domain_statistics_age_seconds", GAUGE, FROM_USEC, { { OF_STAR, "group" } }, "How old the figures of a group are." },
        { "*.stale", "virtbus_domain_statistics_stale", GAUGE, PLAIN, { { OF_STAR, "group" } }, "Its QEMU owes newer figures of that group." },
};

/* '*' stands for one part of the key, between two dots. */
static bool match(const char *pattern, const char *key, char star[static CAPTURE_MAX]) {
        const char *at = strchr(pattern, '*');
        size_t before = at ? (size_t) (at - pattern) : 0, n;

        if (!at)
                return streq(pattern, key);
        if (strncmp(pattern, key, before) != 0)
                return false;
        n = strcspn(key + before, ".");
        if (n == 0 || n >= CAPTURE_MAX || !streq(key + before + n, at + 1))
                return false;
        memcpy(star, key + before, n);
        star[n] = '\0';
        return true;
}

static const char *find_text(const MetricDomain *d, const char *key) {
        for (size_t i = 0; i < d->n; i++)
                if (streq(d->values[i].key, key))
                        return d->values[i].text;
        return NULL;
}

/* "block.*.rd.bytes", 0 and "name" are "block.0.name". */
static const char *text_beside(const MetricDomain *d, const Row *row, const char *star, const char *name) {
        _cleanup_free_ char *key = strf("%.*s%s.%s", (int) strcspn(row->key, "*"), row->key, star, name);

        return key ? find_text(d, key) : NULL;
}

static void add_label(Text *t, const char *name, const char *value) {
        text_addf(t, "%s=\"", name);
        for (const char *p = value; *p; p++)
                if (*p == '\n')
                        text_add(t, "\\n");
                else if (*p == '"' || *p == '\\')
                        text_addf(t, "\\%c", *p);
                else
                        text_addn(t, p, 1);
        text_add(t, "\"");
}

static const char *label_value(const MetricDomain *d, const Row *row, const Label *l, const MetricValue *v, const char *star) {
        switch (l->source) {
        case NO_LABEL: return NULL;
        case OF_STAR: return star;
        case OF_TEXT: return text_beside(d, row, star, l->from);
        case OF_VALUE: return v->text;
        case SAID: break;
        }
        return l->from ?: d->uuid;
}

static void add_value(Text *t, Scale scale, uint64_t number) {
        switch (scale) {
        case PLAIN:
                text_addf(t, "%" PRIu64 "\n", number);
                break;
        case FROM_NSEC:
                text_addf(t, "%" PRIu64 ".%09" PRIu64 "\n", number / 1000000000, number % 1000000000);
                break;
        case FROM_USEC:
                text_addf(t, "%" PRIu64 ".%06" PRIu64 "\n", number / 1000000, number % 1000000);
                break;
        }
}

static void add_sample(Text *t, const MetricDomain *d, const Row *row, const MetricValue *v, const char *star) {
        text_addf(t, "%s%s{", row->family, row->counter ? "_total" : "");
        add_label(t, "domain", d->name);
        for (size_t i = 0; i < ARRAY_SIZE(row->labels); i++) {
                const char *value = label_value(d, row, &row->labels[i], v, star);

                if (!value)
                        continue;
                text_add(t, ",");
                add_label(t, row->labels[i].name, value);
        }
        text_add(t, "} ");
        add_value(t, row->scale, v->text ? 1 : v->number);
}

static void add_head(Text *t, MetricFormat format, const Row *row) {
        const char *end = format == FORMAT_PROMETHEUS && row->counter ? "_total" : "";

        text_addf(t, "# TYPE %s%s %s\n", row->family, end, row->counter ? "counter" : "gauge");
        if (format == FORMAT_OPENMETRICS && str_ends(row->family, "_bytes"))
                text_addf(t, "# UNIT %s bytes\n", row->family);
        else if (format == FORMAT_OPENMETRICS && str_ends(row->family, "_seconds"))
                text_addf(t, "# UNIT %s seconds\n", row->family);
        text_addf(t, "# HELP %s%s %s\n", row->family, end, row->help);
}

void openmetrics_write(const MetricDomain *domains, size_t n, MetricFormat format, Text *t) {
        char star[CAPTURE_MAX] = "";

        assert((domains || n == 0) && t);

        for (size_t r = 0; r < ARRAY_SIZE(rows); r++) {
                const Row *row = &rows[r];

                if (r == 0 || !streq(row->family, rows[r - 1].family))
                        add_head(t, format, row);
                for (size_t i = 0; i < n; i++)
                        for (size_t k = 0; k < domains[i].n; k++)
                                if (match(row->key, domains[i].values[k].key, star))
                                        add_sample(t, &domains[i], row, &domains[i].values[k], star);
        }
        if (format == FORMAT_OPENMETRICS)
                text_add(t, "# EOF\n");
}
