/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "formats.h"

#include <stdio.h>
#include <string.h>

#include "log.h"
#include "pools.h"
#include "str.h"
#include "volumes.h"

/* They are told to the worker in one message, together with the definition. */
#define TEXT_MAX ((size_t) 48 * 1024)

/* Where the volumes are: they are the same ones, whoever defines a pool over them again and whatever it is called. */
static char *place_of(const PoolDef *def) {
        Text t = TEXT_INIT;

        text_addf(&t, "%s %s", pool_type_to_string(def->type), def->path ?: "");
        RECORD_FOREACH(SourceHost, h, def->hosts)
                text_addf(&t, " %s:%llu", h->name ?: "", (unsigned long long) h->port);
        RECORD_FOREACH(SourceDevice, d, def->devices)
                text_addf(&t, " %s", d->path ?: "");
        if (def->type != POOL_DIR)
                text_addf(&t, " %s %s", def->source_dir ?: "", def->source_name ?: "");
        return text_finish(&t);
}

/* A name for the file; the file says itself what it is for. */
typedef struct FileName {
        char text[17];
} FileName;

static FileName file_name(const char *place) {
        FileName name;

        (void) snprintf(name.text, sizeof(name.text), "%016llx", (unsigned long long) str_hash(place));
        return name;
}

static int check_room(Pool *p, const char *file, const char *text, Fault *f) {
        Store *s = p->all->formats;

        if (strlen(text) > TEXT_MAX) {
                fault_set(f, FAULT_LIMIT, E2BIG, "the pool %s has too many volumes whose names do not tell their format", p->name);
                fault_hint(f, "let names end in .qcow2 and the like");
                return -E2BIG;
        }
        if (store_exists(s, file) || store_count(s) < FORMATS_PLACES_MAX)
                return 0;
        fault_set(f, FAULT_LIMIT, ENOSPC, "the format of the volume can't be noted: those of %u places are", FORMATS_PLACES_MAX);
        fault_hint(f, "remove from %s the files of places that are no more (each begins with its formats, and ends with its place); or let the "
                   "volume's name end in .qcow2 and the like", store_folder(s));
        return -ENOSPC;
}

static int write_file(Pool *p, const char *place, Fault *f) {
        json_auto_t *file = json_pack("{s:s, s:O}", "place", place, "formats", p->formats);
        _cleanup_free_ char *text = file ? json_dumps(file, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        FileName name = file_name(place);
        int r;

        if (!text)
                return fault_oom(f);
        r = check_room(p, name.text, text, f);
        if (r < 0)
                return r;
        r = store_write(p->all->formats, name.text, text, strlen(text));
        return r < 0 ? fault_set(f, FAULT_STORE, -r, "the format of the volume can't be noted: %s", strerror(-r)) : 0;
}

static int save(Pool *p, Fault *f) {
        _cleanup_free_ char *place = place_of(pool_def(p));
        int r;

        if (!place)
                return fault_oom(f);
        if (json_object_size(p->formats) > 0)
                return write_file(p, place, f);
        r = store_remove(p->all->formats, file_name(place).text);
        return r < 0 ? fault_set(f, FAULT_STORE, -r, "the format of the volume can't be noted: %s", strerror(-r)) : 0;
}

static bool are_sound(const json_t *formats) {
        const char *name;
        json_t *value;

        if (!json_is_object(formats))
                return false;
        json_object_foreach((json_t *) formats, name, value)
                if (volume_format_from_string(json_string_value(value)) <= FORMAT_UNSET)
                        return false;
        return true;
}

static json_t *load_file(Store *s, const char *name) {
        _cleanup_free_ char *text = NULL;
        size_t n = 0;

        return store_read(s, name, &text, &n) >= 0 ? json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

static json_t *load_of_place(const Pool *p, const char *place) {
        json_auto_t *file = load_file(p->all->formats, file_name(place).text);
        json_t *formats = json_object_get(file, "formats");

        if (streq_null(json_string_value(json_object_get(file, "place")), place) && are_sound(formats))
                return json_incref(formats);
        log_warning("pool %s: what was noted of its volumes' formats can't be read", p->name);
        return NULL;
}

/* As they were noted before: by the name of the pool. */
static void take_older(Pool *p) {
        json_auto_t *formats = load_file(p->all->formats, p->name);
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (!are_sound(formats))
                return;
        (void) json_object_update(p->formats, formats);
        if (save(p, &f) < 0)
                log_warning("pool %s: %s", p->name, fault_text(&f));
        else
                (void) store_remove(p->all->formats, p->name);
}

void formats_load(Pool *p) {
        _cleanup_free_ char *place = pool_def(p) ? place_of(pool_def(p)) : NULL;
        json_t *formats = NULL;

        if (place && store_exists(p->all->formats, file_name(place).text))
                formats = load_of_place(p, place);
        json_decref(p->formats);
        p->formats = formats ?: json_object();
        if (place && store_exists(p->all->formats, p->name))
                take_older(p);
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
        _cleanup_free_ char *place = place_of(pool_def(p));

        (void) json_object_clear(p->formats);
        if (place)
                (void) store_remove(p->all->formats, file_name(place).text);
}
