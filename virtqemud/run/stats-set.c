/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stats-set.h"

#include <stdarg.h>
#include <stdio.h>

#include "clock.h"
#include "mem.h"
#include "str.h"

#define TEXT_MAX 4095u

DEFINE_ENUM(StatsGroup, stats_group, "state", "cpu", "vcpu", "memory", "balloon", "guest-memory", "block", "block-backing",
            "block-latency", "net", "dirty-rate", "job", "vcpu-halt")

static void value_clear(StatsValue *v) {
        if (v->type == 's')
                free(v->text);
        else if (v->type == 'a')
                free(v->list.items);
}

void stats_set_begin(StatsSet *s) {
        assert(s);

        for (size_t i = 0; i < s->n; i++)
                value_clear(&s->items[i]);
        s->n = 0;
        s->usec = now_usec(CLOCK_MONOTONIC);
}

void stats_set_clear(StatsSet *s) {
        stats_set_begin(s);
        free(s->items);
        *s = (StatsSet) {};
}

static StatsValue *add(StatsSet *s, char type, const char *fmt, va_list ap) _printf_(3, 0);
static StatsValue *add(StatsSet *s, char type, const char *fmt, va_list ap) {
        StatsValue *v;

        if (!GROW(s->items, s->allocated, s->n + 1))
                return NULL;
        v = &s->items[s->n++];
        *v = (StatsValue) { .type = type };
        (void) vsnprintf(v->key, sizeof(v->key), fmt, ap);
        return v;
}

void stats_number(StatsSet *s, uint64_t value, const char *fmt, ...) {
        StatsValue *v;
        va_list ap;

        va_start(ap, fmt);
        v = add(s, 't', fmt, ap);
        va_end(ap);
        if (v)
                v->number = value;
}

void stats_flag(StatsSet *s, bool value, const char *fmt, ...) {
        StatsValue *v;
        va_list ap;

        va_start(ap, fmt);
        v = add(s, 'b', fmt, ap);
        va_end(ap);
        if (v)
                v->number = value;
}

void stats_text(StatsSet *s, const char *value, const char *fmt, ...) {
        _cleanup_free_ char *copy = value && is_utf8(value) ? strndup(value, TEXT_MAX) : NULL;
        StatsValue *v;
        va_list ap;

        if (!copy || !is_utf8(copy)) /* it was cut inside a character */
                return;
        va_start(ap, fmt);
        v = add(s, 's', fmt, ap);
        va_end(ap);
        if (v)
                v->text = TAKE_PTR(copy);
}

void stats_list(StatsSet *s, uint64_t *items, size_t n, const char *fmt, ...) {
        StatsValue *v;
        va_list ap;

        va_start(ap, fmt);
        v = add(s, 'a', fmt, ap);
        va_end(ap);
        if (v) {
                v->list.items = items;
                v->list.n = n;
        } else
                free(items);
}
