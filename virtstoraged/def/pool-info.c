/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-info.h"

#include <inttypes.h>
#include <string.h>

#include "mem.h"
#include "str.h"
#include "xml-write.h"

void volume_info_clear(VolumeInfo *v) {
        free(v->name);
        free(v->path);
        free(v->key);
        free(v->thin_pool);
        free(v->backing_path);
        free(v->problem);
        *v = (VolumeInfo) {};
}

void pool_info_clear(PoolInfo *p) {
        for (size_t i = 0; i < p->n; i++)
                volume_info_clear(&p->volumes[i]);
        free(p->volumes);
        free(p->thin_pool);
        *p = (PoolInfo) {};
}

int pool_info_add(PoolInfo *p, VolumeInfo *v) {
        int r = 0;

        if (!v->name || volume_name_check(v->name, NULL) < 0) {
                volume_info_clear(v);
                return 0;
        }
        if (p->n >= POOL_VOLUMES_MAX)
                r = -E2BIG;
        else if (!GROW(p->volumes, p->allocated, p->n + 1))
                r = -ENOMEM;
        if (r < 0)
                volume_info_clear(v);
        else
                p->volumes[p->n++] = TAKE(*v, (VolumeInfo) {});
        return r;
}

VolumeInfo *pool_info_find(const PoolInfo *p, const char *name) {
        for (size_t i = 0; i < p->n; i++)
                if (streq(p->volumes[i].name, name))
                        return &p->volumes[i];
        return NULL;
}

bool volume_info_equal(const VolumeInfo *a, const VolumeInfo *b) {
        return streq_null(a->name, b->name) && streq_null(a->path, b->path) && streq_null(a->key, b->key) && a->kind == b->kind &&
               a->format == b->format && a->capacity == b->capacity && a->allocation == b->allocation && a->physical == b->physical &&
               streq_null(a->backing_path, b->backing_path) && a->backing_format == b->backing_format && a->encryption == b->encryption && a->mode == b->mode &&
               a->owner == b->owner && a->group == b->group && a->dev == b->dev && a->inode == b->inode && streq_null(a->problem, b->problem);
}

/* --- JSON: the values in this order. A pool has thousands of volumes: names of values with each of them took most of the time. --- */

typedef enum InfoKind { INFO_TEXT, INFO_NUMBER, INFO_U32, INFO_FORMAT, INFO_VOLUME_KIND, INFO_ENCRYPTION, INFO_BOOL } InfoKind;

static const struct {
        InfoKind kind;
        size_t offset;
} rows[] = {
#define ROW(kind, member) { kind, offsetof(VolumeInfo, member) }
        ROW(INFO_TEXT, name),
        ROW(INFO_TEXT, path),
        ROW(INFO_TEXT, key),
        ROW(INFO_VOLUME_KIND, kind),
        ROW(INFO_FORMAT, format),
        ROW(INFO_NUMBER, capacity),
        ROW(INFO_NUMBER, allocation),
        ROW(INFO_NUMBER, physical),
        ROW(INFO_TEXT, thin_pool),
        ROW(INFO_TEXT, backing_path),
        ROW(INFO_FORMAT, backing_format),
        ROW(INFO_ENCRYPTION, encryption),
        ROW(INFO_BOOL, has_permissions),
        ROW(INFO_U32, mode),
        ROW(INFO_U32, owner),
        ROW(INFO_U32, group),
        ROW(INFO_NUMBER, atime_usec),
        ROW(INFO_NUMBER, mtime_usec),
        ROW(INFO_NUMBER, ctime_usec),
        ROW(INFO_NUMBER, dev),
        ROW(INFO_NUMBER, inode),
        ROW(INFO_TEXT, problem),
#undef ROW
};

static json_t *text_to_json(const char *text) {
        return text ? json_string(text) : json_null();
}

/* Numbers of 64 bits do not fit into those of JSON, which are signed: the same bits are sent. */
static json_t *value_to_json(InfoKind kind, const void *value) {
        switch (kind) {
        case INFO_TEXT:
                return text_to_json(*(char *const *) value);
        case INFO_NUMBER:
                return json_integer((json_int_t) *(const uint64_t *) value);
        case INFO_U32:
                return json_integer(*(const uint32_t *) value);
        case INFO_FORMAT:
                return text_to_json(volume_format_to_string(*(const VolumeFormat *) value));
        case INFO_VOLUME_KIND:
                return text_to_json(volume_kind_to_string(*(const VolumeKind *) value));
        case INFO_ENCRYPTION:
                return text_to_json(encryption_format_to_string(*(const EncryptionFormat *) value));
        case INFO_BOOL:
                return json_boolean(*(const bool *) value);
        }
        return NULL;
}

json_t *volume_info_to_json(const VolumeInfo *v) {
        json_t *values = json_array();

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                (void) json_array_append_new(values, value_to_json(rows[i].kind, (const char *) v + rows[i].offset));
        return values;
}

static int number_from_json(const json_t *json, uint64_t max, uint64_t *ret) {
        if (!json_is_integer(json) || (max < UINT64_MAX && (json_integer_value(json) < 0 || (uint64_t) json_integer_value(json) > max)))
                return -EBADMSG;
        *ret = (uint64_t) json_integer_value(json);
        return 0;
}

static int word_from_json(const json_t *json, const EnumTable *words, int *ret) {
        int value = enum_from_word(words, json_string_value(json));

        if (value < 0)
                return -EBADMSG;
        *ret = value;
        return 0;
}

static int value_from_json(const json_t *json, InfoKind kind, void *value) {
        uint64_t number;
        int r;

        switch (kind) {
        case INFO_TEXT:
                return json_is_string(json) ? free_and_strdup(value, json_string_value(json)) : -EBADMSG;
        case INFO_NUMBER:
                return number_from_json(json, UINT64_MAX, value);
        case INFO_U32:
                r = number_from_json(json, UINT32_MAX, &number);
                if (r >= 0)
                        *(uint32_t *) value = (uint32_t) number;
                return r;
        case INFO_FORMAT:
                return word_from_json(json, &volume_format_table, value);
        case INFO_VOLUME_KIND:
                return word_from_json(json, &volume_kind_table, value);
        case INFO_ENCRYPTION:
                return word_from_json(json, &encryption_format_table, value);
        case INFO_BOOL:
                *(bool *) value = json_is_true(json);
                return 0;
        }
        return -EBADMSG;
}

int volume_info_from_json(const json_t *json, VolumeInfo *ret) {
        VolumeInfo v = {};
        int r = json_array_size(json) == ARRAY_SIZE(rows) ? 0 : -EBADMSG;

        for (size_t i = 0; i < ARRAY_SIZE(rows) && r >= 0; i++) {
                const json_t *value = json_array_get(json, i);

                if (!json_is_null(value))
                        r = value_from_json(value, rows[i].kind, (char *) &v + rows[i].offset);
        }
        if (r >= 0 && (!v.name || !v.path || v.kind == VOLUME_NONE))
                r = -EBADMSG;
        if (r >= 0 && !v.key)
                r = free_and_strdup(&v.key, v.path);
        if (r < 0)
                volume_info_clear(&v);
        else
                *ret = v;
        return r;
}

/* --- XML --- */

static int set_time(char **to, uint64_t usec) {
        if (usec == 0)
                return 0;
        *to = strf("%" PRIu64 ".%06" PRIu64, usec / 1000000, usec % 1000000);
        return *to ? 0 : -ENOMEM;
}

static int fill_target(VolumeDef *def, const VolumeInfo *v) {
        int r = free_and_strdup(&def->path, v->path);

        def->format = v->format;
        def->encryption = v->encryption;
        if (r >= 0 && v->has_permissions) {
                def->permissions.owner = v->owner;
                def->permissions.group = v->group;
                def->permissions.mode = strf("%04o", v->mode);
                r = def->permissions.mode ? 0 : -ENOMEM;
        }
        if (r >= 0)
                r = set_time(&def->atime, v->atime_usec);
        if (r >= 0)
                r = set_time(&def->mtime, v->mtime_usec);
        return r < 0 ? r : set_time(&def->ctime, v->ctime_usec);
}

int volume_info_to_xml(const VolumeInfo *v, char **ret) {
        _cleanup_(volume_def_freep) VolumeDef *def = record_new(&volume_record);
        int r;

        if (!def)
                return -ENOMEM;
        def->kind = v->kind;
        def->capacity = v->capacity;
        def->allocation = v->allocation;
        def->physical = v->physical;
        r = free_and_strdup(&def->name, v->name);
        if (r >= 0)
                r = free_and_strdup(&def->key, v->key);
        if (r >= 0)
                r = fill_target(def, v);
        if (r >= 0 && v->backing_path) {
                r = free_and_strdup(&def->backing_path, v->backing_path);
                def->backing_format = v->backing_format;
        }
        return r < 0 ? r : xml_record_to_text(&def->head, XML_WRITE_LIVE, ret);
}

int volume_name_check(const char *name, Fault *f) {
        const char *why = NULL;

        if (!*name)
                why = "is empty";
        else if (strlen(name) > VOLUME_NAME_MAX)
                why = "is longer than 255 bytes";
        else if (strchr(name, '/'))
                why = "has a '/' in it: volumes are not in folders";
        else if (*name == '.')
                why = "begins with a '.': hidden files are no volumes";
        else if (*name == '-')
                why = "begins with a '-'";
        else if (!is_utf8(name))
                why = "is not UTF-8";
        for (const char *c = name; *c && !why; c++)
                if ((unsigned char) *c < 0x20 || *c == 0x7f)
                        why = "has control characters in it";
        return why ? fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "the volume name \"%.64s\" %s", name, why) : 0;
}
