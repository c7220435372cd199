/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "top-table.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "mem.h"
#include "show.h"
#include "str.h"
#include "table.h"
#include "terminal.h"

enum { NAME, STATE, CPU, MEMORY, READ, WRITTEN, RECEIVED, SENT, N_COLUMNS };

/* --- what has come --- */

/* Of "block.0.rd.bytes", "block.1.rd.bytes", … */
static uint64_t sum(const json_t *statistics, const char *group, const char *key) {
        char name[48];
        uint64_t n, total = 0;

        (void) snprintf(name, sizeof(name), "%s.count", group);
        n = show_number(statistics, name);
        for (uint64_t i = 0; i < n; i++) {
                (void) snprintf(name, sizeof(name), "%s.%u.%s", group, (unsigned) i, key);
                total += show_number(statistics, name);
        }
        return total;
}

static TopRow *row_of(Top *t, const char *path) {
        TopRow *row;

        for (size_t i = 0; i < t->n; i++)
                if (streq(t->rows[i].path, path))
                        return &t->rows[i];
        if (!GROW(t->rows, t->allocated, t->n + 1))
                return NULL;
        row = &t->rows[t->n];
        *row = (TopRow) { .path = strdup(path) };
        if (!row->path)
                return NULL;
        t->n++;
        return row;
}

/* A VM that was started again counts from 0. */
static double rate(uint64_t now, uint64_t before, double seconds) {
        return now > before ? (double) (now - before) / seconds : 0;
}

static void set_rates(TopRow *row, const TopCounters *now, uint64_t timestamp) {
        double seconds = timestamp > row->timestamp ? (double) (timestamp - row->timestamp) / 1e6 : 0;

        if (row->timestamp == 0 || seconds <= 0)
                return;
        row->has_rates = true;
        row->cpu_percent = rate(now->cpu_nsec, row->counters.cpu_nsec, seconds) / 1e7;
        row->read = rate(now->read, row->counters.read, seconds);
        row->written = rate(now->written, row->counters.written, seconds);
        row->received = rate(now->received, row->counters.received, seconds);
        row->sent = rate(now->sent, row->counters.sent, seconds);
}

void top_update(Top *t, const char *path, uint64_t timestamp, const json_t *statistics) {
        TopRow *row = row_of(t, path);
        const TopCounters now = {
                .cpu_nsec = show_number(statistics, "cpu.unit.time") ?: show_number(statistics, "cpu.time"),
                .read = sum(statistics, "block", "rd.bytes"),
                .written = sum(statistics, "block", "wr.bytes"),
                .received = sum(statistics, "net", "rx.bytes"),
                .sent = sum(statistics, "net", "tx.bytes"),
        };

        if (!row)
                return;
        (void) free_and_strdup(&row->name, show_text(statistics, "name"));
        (void) free_and_strdup(&row->state, show_text(statistics, "state.state"));
        row->memory = show_number(statistics, "memory.unit.current") ?: show_number(statistics, "memory.rss");
        set_rates(row, &now, timestamp);
        row->counters = now;
        row->timestamp = timestamp;
        row->seen_usec = now_usec(CLOCK_MONOTONIC);
}

static void row_clear(TopRow *row) {
        free(row->path);
        free(row->name);
        free(row->state);
}

void top_forget(Top *t, uint64_t before_usec) {
        size_t kept = 0;

        for (size_t i = 0; i < t->n; i++)
                if (t->rows[i].seen_usec < before_usec)
                        row_clear(&t->rows[i]);
                else
                        t->rows[kept++] = t->rows[i];
        t->n = kept;
}

void top_clear(Top *t) {
        for (size_t i = 0; i < t->n; i++)
                row_clear(&t->rows[i]);
        free(t->rows);
        *t = (Top) {};
}

/* --- what is shown --- */

static double weight(const TopRow *row, TopSort sort) {
        switch (sort) {
        case TOP_CPU: return row->cpu_percent;
        case TOP_MEMORY: return (double) row->memory;
        case TOP_DISK: return row->read + row->written;
        case TOP_NET: return row->received + row->sent;
        case _TOP_SORT_MAX: break;
        }
        return 0;
}

static int by_weight(const void *a, const void *b, void *userdata) {
        const TopRow *x = a, *y = b;
        const Top *t = userdata;
        double difference = weight(y, t->sort) - weight(x, t->sort);

        return difference > 0 ? 1 : difference < 0 ? -1 : strcmp(x->name ?: "", y->name ?: "");
}

static char *size_text(double bytes, bool known) {
        char text[32] = "-";

        if (known)
                format_size((uint64_t) bytes, text, sizeof(text));
        return strdup(text);
}

static void fill_row(const TopRow *row, char **cells) {
        cells[NAME] = strdup(row->name ?: "");
        cells[STATE] = strdup(row->state ?: "");
        cells[CPU] = row->has_rates ? strf("%.1f%%", row->cpu_percent) : strdup("-");
        cells[MEMORY] = size_text((double) row->memory, row->memory > 0);
        cells[READ] = size_text(row->read, row->has_rates);
        cells[WRITTEN] = size_text(row->written, row->has_rates);
        cells[RECEIVED] = size_text(row->received, row->has_rates);
        cells[SENT] = size_text(row->sent, row->has_rates);
}

/* Of what does not fit on a line the end is cut. */
static void print_cut(const char *text) {
        size_t width = terminal_width();

        if (width > 0 && text_width(text) > width)
                printf("%.*s…\n", (int) text_fits(text, width - 1), text);
        else
                puts(text);
}

static void print_head(const Top *t) {
        static const char *const words[] = { [TOP_CPU] = "CPU", [TOP_MEMORY] = "memory", [TOP_DISK] = "disk", [TOP_NET] = "network" };
        char memory[32], read[32], written[32], received[32], sent[32], clock[16] = "";
        _cleanup_free_ char *first = NULL, *second = NULL;
        time_t now = (time_t) (now_usec(CLOCK_REALTIME) / 1000000);
        TopRow total = {};
        struct tm tm;

        for (size_t i = 0; i < t->n; i++) {
                const TopRow *row = &t->rows[i];

                total.cpu_percent += row->cpu_percent;
                total.memory += row->memory;
                total.read += row->read;
                total.written += row->written;
                total.received += row->received;
                total.sent += row->sent;
        }
        if (localtime_r(&now, &tm))
                (void) strftime(clock, sizeof(clock), "%T", &tm);
        format_size(total.memory, memory, sizeof(memory));
        format_size((uint64_t) total.read, read, sizeof(read));
        format_size((uint64_t) total.written, written, sizeof(written));
        format_size((uint64_t) total.received, received, sizeof(received));
        format_size((uint64_t) total.sent, sent, sizeof(sent));
        first = strf("%s  %zu VM%s, CPU %.1f%%, memory %s, by %s", clock, t->n, t->n == 1 ? "" : "s", total.cpu_percent, memory, words[t->sort]);
        second = strf("disk %s/s read, %s/s written; network %s/s received, %s/s sent", read, written, received, sent);
        print_cut(first ?: "");
        print_cut(second ?: "");
        putchar('\n');
}

void top_print(Top *t, size_t rows) {
        static const char *const heads[N_COLUMNS] = { "NAME", "STATE", "CPU", "MEMORY", "READ/s", "WRITE/s", "RECV/s", "SEND/s" };
        size_t n = rows > 0 ? MIN(t->n, rows) : t->n;
        char **cells = new0(char *, (n + 1) * N_COLUMNS);
        bool complete = cells != NULL;

        if (t->n > 0)
                qsort_r(t->rows, t->n, sizeof(*t->rows), by_weight, t);
        print_head(t);
        for (size_t i = 0; complete && i < N_COLUMNS; i++)
                cells[i] = strdup(heads[i]);
        for (size_t i = 0; complete && i < n; i++)
                fill_row(&t->rows[i], cells + (i + 1) * N_COLUMNS);
        for (size_t i = 0; complete && i < (n + 1) * N_COLUMNS; i++)
                complete = cells[i] != NULL;
        if (complete)
                print_table((const char *const *) cells, N_COLUMNS, n + 1);
        for (size_t i = 0; cells && i < (n + 1) * N_COLUMNS; i++)
                free(cells[i]);
        free(cells);
}
