/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "formats.h"

#include <string.h>

#include "log.h"
#include "pools.h"
#include "str.h"
#include "volumes.h"

/* They are told to the worker in one message, together with the definition. */
#define TEXT_MAX ((size_t) 48 * 1024)

static int save(Pool *p, Fault *f) {
        _cleanup_free_ char *text = NULL;
        int r;

        if (json_object_size(p->formats) == 0)
                r = store_remove(p->all->formats, p->name);
        else {
                text = json_dumps(p->formats, JSON_COMPACT | JSON_SORT_KEYS);
                if (!text)
                        return fault_oom(f);
                if (strlen(text) > TEXT_MAX) {
                        fault_set(f, FAULT_LIMIT, E2BIG, "the pool %s has too many volumes whose names do not tell their format", p->name);
                        fault_hint(f, "let names end in .qcow2 and the like");
                        return -E2BIG;
                }
                r = store_write(p->all->formats, p->name, text, strlen(text));
        }
        return r < 0 ? fault_set(f, FAULT_STORE, -r, "the format of the volume can't be noted: %s", strerror(-r)) : 0;
}

static bool is_sound(const json_t *formats) {
        const char *name;
        json_t *value;

        if (!json_is_object(formats))
                return false;
        json_object_foreach((json_t *) formats, name, value)
                if (volume_format_from_string(json_string_value(value)) <= FORMAT_UNSET)
                        return false;
        return true;
}

void formats_load(Pool *p) {
        _cleanup_free_ char *text = NULL;
        json_t *formats = NULL;
        size_t n = 0;
        int r;

        r = store_exists(p->all->formats, p->name) ? store_read(p->all->formats, p->name, &text, &n) : 0;
        if (text)
                formats = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
        if (r < 0 || (text && !is_sound(formats))) {
                log_warning("pool %s: what was noted of its volumes' formats can't be read", p->name);
                json_decref(formats);
                formats = NULL;
        }
        p->formats = formats ?: json_object();
}

int formats_set(Pool *p, const char *name, VolumeFormat format, Fault *f) {
        json_t *before = json_incref(json_object_get(p->formats, name));
        bool plain = volume_format_of_name(name) == format;
        int r = 0;

        if (plain && before)
                (void) json_object_del(p->formats, name);
        else if (!plain && !streq_null(json_string_value(before), volume_format_to_string(format)))
                (void) json_object_set_new(p->formats, name, json_string(volume_format_to_string(format)));
        else {
                json_decref(before);
                return 0;
        }
        r = save(p, f);
        if (r < 0 && before)
                (void) json_object_set(p->formats, name, before);
        else if (r < 0)
                (void) json_object_del(p->formats, name);
        json_decref(before);
        if (r >= 0 && p->worker)
                worker_reopen(p->worker);
        return r;
}

void formats_forget(Pool *p, const char *name) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (!json_object_get(p->formats, name))
                return;
        (void) json_object_del(p->formats, name);
        if (save(p, &f) < 0)
                log_warning("pool %s: %s", p->name, fault_text(&f));
        if (p->worker)
                worker_reopen(p->worker);
}

void formats_prune(Pool *p) {
        const char *name;
        json_t *value;
        void *next;

        json_object_foreach_safe(p->formats, next, name, value)
                if (!volumes_find(p, name) && !strv_contains(p->creating, name))
                        formats_forget(p, name);
}

void formats_remove(Pool *p) {
        (void) store_remove(p->all->formats, p->name);
}
