/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "record.h"

#include <inttypes.h>
#include <stdio.h>

#include "mem.h"
#include "str.h"
#include "xml-lib.h"

/* --- scalars --- */

static bool pointer_is_set(const void *value) {
        return *(void *const *) value != NULL;
}

static int string_from_text(const Field *f, const char *text, void *value, const char **ret_wanted) {
        unsigned max = f->max_length ?: RECORD_STRING_MAX;

        for (const char *p = text; *p; p++)
                if ((unsigned char) *p < 0x20 && *p != '\t' && *p != '\n') {
                        *ret_wanted = "text without control characters";
                        return -EINVAL;
                }
        if (strlen(text) > max) {
                *ret_wanted = "a shorter text";
                return -ERANGE;
        }
        return free_and_strdup(value, text);
}

static char *string_to_text(const Field *f, const void *value) {
        return strdup(*(char *const *) value);
}

static bool string_equal(const void *a, const void *b) {
        return streq_null(*(char *const *) a, *(char *const *) b);
}

static void string_clear(void *value) {
        free_and_replace(value, NULL);
}

const FieldType field_string = {
        .size = sizeof(char *), .from_text = string_from_text, .to_text = string_to_text,
        .is_set = pointer_is_set, .equal = string_equal, .clear = string_clear,
};

static bool int_is_set(const void *value) {
        return *(const int *) value != 0;
}

static bool int_equal(const void *a, const void *b) {
        return *(const int *) a == *(const int *) b;
}

static int enum_from_text(const Field *f, const char *text, void *value, const char **ret_wanted) {
        int v = enum_from_word(f->words, text);

        if (v <= 0) {
                *ret_wanted = NULL; /* the reader lists the words */
                return -EINVAL;
        }
        *(int *) value = v;
        return 0;
}

static char *enum_to_text(const Field *f, const void *value) {
        return strdup(enum_to_word(f->words, *(const int *) value) ?: "");
}

const FieldType field_enum = {
        .size = sizeof(int), .from_text = enum_from_text, .to_text = enum_to_text, .is_set = int_is_set, .equal = int_equal,
};

static int tristate_from_text(const char *text, const char *yes, const char *no, Tristate *ret) {
        if (streq(text, yes))
                *ret = YES;
        else if (streq(text, no))
                *ret = NO;
        else
                return -EINVAL;
        return 0;
}

static int yes_no_from_text(const Field *f, const char *text, void *value, const char **ret_wanted) {
        *ret_wanted = "yes or no";
        return tristate_from_text(text, "yes", "no", value);
}

static char *yes_no_to_text(const Field *f, const void *value) {
        return strdup(*(const Tristate *) value == YES ? "yes" : "no");
}

const FieldType field_yes_no = {
        .size = sizeof(Tristate), .from_text = yes_no_from_text, .to_text = yes_no_to_text,
        .is_set = int_is_set, .equal = int_equal,
};

static int on_off_from_text(const Field *f, const char *text, void *value, const char **ret_wanted) {
        *ret_wanted = "on or off";
        return tristate_from_text(text, "on", "off", value);
}

static char *on_off_to_text(const Field *f, const void *value) {
        return strdup(*(const Tristate *) value == YES ? "on" : "off");
}

const FieldType field_on_off = {
        .size = sizeof(Tristate), .from_text = on_off_from_text, .to_text = on_off_to_text,
        .is_set = int_is_set, .equal = int_equal,
};

static bool number_is_set(const void *value) {
        return *(const uint64_t *) value != NUMBER_UNSET;
}

static bool number_equal(const void *a, const void *b) {
        return *(const uint64_t *) a == *(const uint64_t *) b;
}

static void number_init(void *value) {
        *(uint64_t *) value = NUMBER_UNSET;
}

static int number_parse(const Field *f, const char *text, unsigned base, void *value, const char **ret_wanted) {
        uint64_t v;
        int r = parse_u64(text, base, &v);

        *ret_wanted = "a whole number";
        if (r < 0)
                return r;
        if (v == NUMBER_UNSET || v < f->min || (f->max != 0 && v > f->max))
                return -ERANGE;
        *(uint64_t *) value = v;
        return 0;
}

static int number_from_text(const Field *f, const char *text, void *value, const char **ret_wanted) {
        return number_parse(f, text, 10, value, ret_wanted);
}

static char *number_to_text(const Field *f, const void *value) {
        return strf("%" PRIu64, *(const uint64_t *) value);
}

const FieldType field_number = {
        .size = sizeof(uint64_t), .from_text = number_from_text, .to_text = number_to_text,
        .is_set = number_is_set, .equal = number_equal, .init = number_init,
};

static int hex_from_text(const Field *f, const char *text, void *value, const char **ret_wanted) {
        return number_parse(f, text, 0, value, ret_wanted);
}

static char *hex_to_text(const Field *f, const void *value) {
        return strf("0x%0*" PRIx64, f->digits ?: 2, *(const uint64_t *) value);
}

const FieldType field_hex = {
        .size = sizeof(uint64_t), .from_text = hex_from_text, .to_text = hex_to_text,
        .is_set = number_is_set, .equal = number_equal, .init = number_init,
};

static int integer_from_text(const Field *f, const char *text, void *value, const char **ret_wanted) {
        int64_t v;
        int r = parse_i64(text, &v);

        *ret_wanted = "a whole number";
        if (r < 0)
                return r;
        *(int64_t *) value = v;
        return 0;
}

static char *integer_to_text(const Field *f, const void *value) {
        return strf("%" PRIi64, *(const int64_t *) value);
}

static bool integer_is_set(const void *value) {
        return *(const int64_t *) value != INTEGER_UNSET;
}

static void integer_init(void *value) {
        *(int64_t *) value = INTEGER_UNSET;
}

const FieldType field_integer = {
        .size = sizeof(int64_t), .from_text = integer_from_text, .to_text = integer_to_text,
        .is_set = integer_is_set, .equal = number_equal, .init = integer_init,
};

static int uuid_from_text(const Field *f, const char *text, void *value, const char **ret_wanted) {
        sd_id128_t id;

        *ret_wanted = "a UUID such as 6f1c0e9a-4f0e-4e1b-9f6b-2f6c1d1c7f3e";
        if (sd_id128_from_string(text, &id) < 0 || sd_id128_is_null(id))
                return -EINVAL;
        *(sd_id128_t *) value = id;
        return 0;
}

static char *uuid_to_text(const Field *f, const void *value) {
        char text[SD_ID128_UUID_STRING_MAX];

        return strdup(sd_id128_to_uuid_string(*(const sd_id128_t *) value, text));
}

static bool uuid_is_set(const void *value) {
        return !sd_id128_is_null(*(const sd_id128_t *) value);
}

static bool uuid_equal(const void *a, const void *b) {
        return sd_id128_equal(*(const sd_id128_t *) a, *(const sd_id128_t *) b);
}

const FieldType field_uuid = {
        .size = sizeof(sd_id128_t), .from_text = uuid_from_text, .to_text = uuid_to_text,
        .is_set = uuid_is_set, .equal = uuid_equal,
};

static int mac_from_text(const Field *f, const char *text, void *value, const char **ret_wanted) {
        MacAddress mac = { .set = true };
        unsigned o[6];
        int end = -1;

        *ret_wanted = "a MAC address such as 52:54:00:12:34:56";
        if (strlen(text) != 17 ||
            sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &o[0], &o[1], &o[2], &o[3], &o[4], &o[5], &end) != 6 || end != 17)
                return -EINVAL;
        for (size_t i = 0; i < ARRAY_SIZE(o); i++)
                mac.octets[i] = (uint8_t) o[i];
        *(MacAddress *) value = mac;
        return 0;
}

static char *mac_to_text(const Field *f, const void *value) {
        const uint8_t *o = ((const MacAddress *) value)->octets;

        return strf("%02x:%02x:%02x:%02x:%02x:%02x", o[0], o[1], o[2], o[3], o[4], o[5]);
}

static bool mac_is_set(const void *value) {
        return ((const MacAddress *) value)->set;
}

static bool mac_equal(const void *a, const void *b) {
        const MacAddress *x = a, *y = b;

        return x->set == y->set && memcmp(x->octets, y->octets, sizeof(x->octets)) == 0;
}

const FieldType field_mac = {
        .size = sizeof(MacAddress), .from_text = mac_from_text, .to_text = mac_to_text, .is_set = mac_is_set, .equal = mac_equal,
};

/* --- shapes: what is absent, equal and freed; reading and writing them is the business of xml-read and xml-write --- */

static bool flag_is_set(const void *value) {
        return *(const bool *) value;
}

static bool flag_equal(const void *a, const void *b) {
        return *(const bool *) a == *(const bool *) b;
}

const FieldType field_flag = { .shape = SHAPE_FLAG, .size = sizeof(bool), .is_set = flag_is_set, .equal = flag_equal };

const FieldType field_size = {
        .shape = SHAPE_SIZE, .size = sizeof(uint64_t), .to_text = number_to_text,
        .is_set = number_is_set, .equal = number_equal, .init = number_init,
};

static bool record_values_equal(const void *a, const void *b) {
        return record_equal(*(Record *const *) a, *(Record *const *) b);
}

static void record_value_clear(void *value) {
        *(void **) value = record_free(*(void **) value);
}

const FieldType field_record = {
        .shape = SHAPE_RECORD, .size = sizeof(Record *),
        .is_set = pointer_is_set, .equal = record_values_equal, .clear = record_value_clear,
};

static bool list_is_set(const void *value) {
        return ((const RecordList *) value)->n > 0;
}

static bool list_equal(const void *a, const void *b) {
        const RecordList *x = a, *y = b;

        if (x->n != y->n)
                return false;
        for (size_t i = 0; i < x->n; i++)
                if (!record_equal(x->items[i], y->items[i]))
                        return false;
        return true;
}

static void list_clear(void *value) {
        record_list_clear(value);
}

const FieldType field_list = {
        .shape = SHAPE_LIST, .size = sizeof(RecordList), .is_set = list_is_set, .equal = list_equal, .clear = list_clear,
};

const FieldType field_variants = {
        .shape = SHAPE_VARIANTS, .size = sizeof(RecordList), .is_set = list_is_set, .equal = list_equal, .clear = list_clear,
};

static bool xml_equal(const void *a, const void *b) {
        xmlNode *x = *(xmlNode *const *) a, *y = *(xmlNode *const *) b;
        _cleanup_free_ char *s = NULL, *t = NULL;

        if (!x || !y)
                return x == y;
        return xml_node_to_text(x, &s) >= 0 && xml_node_to_text(y, &t) >= 0 && streq(s, t);
}

static void xml_clear(void *value) {
        xmlNode **node = value;

        if (*node)
                sym_xmlFreeNode(*node);
        *node = NULL;
}

const FieldType field_xml = {
        .shape = SHAPE_XML, .size = sizeof(xmlNode *), .is_set = pointer_is_set, .equal = xml_equal, .clear = xml_clear,
};

/* --- records --- */

void *record_new(const RecordType *type) {
        Record *r;

        assert(type && type->size >= sizeof(Record));

        r = calloc(1, type->size);
        if (!r)
                return NULL;
        r->type = type;
        for (size_t i = 0; i < type->n_fields; i++)
                if (type->fields[i].type->init)
                        type->fields[i].type->init(field_value(r, &type->fields[i]));
        return r;
}

void *record_free(void *record) {
        Record *r = record;

        if (!r)
                return NULL;
        if (r->type->clear)
                r->type->clear(r);
        for (size_t i = 0; i < r->type->n_fields; i++)
                if (r->type->fields[i].type->clear)
                        r->type->fields[i].type->clear(field_value(r, &r->type->fields[i]));
        free(r);
        return NULL;
}

int record_list_add(RecordList *list, void *item) {
        assert(list && item);

        if (list->n >= RECORD_LIST_HARD_MAX || !GROW(list->items, list->allocated, list->n + 1)) {
                record_free(item);
                return list->n >= RECORD_LIST_HARD_MAX ? -E2BIG : -ENOMEM;
        }
        list->items[list->n++] = item;
        return 0;
}

void *record_list_take(RecordList *list, size_t i) {
        Record *item;

        assert(list && i < list->n);

        item = list->items[i];
        memmove(list->items + i, list->items + i + 1, (--list->n - i) * sizeof(*list->items));
        return item;
}

void record_list_clear(RecordList *list) {
        assert(list);

        for (size_t i = 0; i < list->n; i++)
                record_free(list->items[i]);
        free(list->items);
        *list = (RecordList) {};
}

bool record_equal(const Record *a, const Record *b) {
        if (!a || !b || a->type != b->type)
                return a == b;
        for (size_t i = 0; i < a->type->n_fields; i++) {
                const Field *f = &a->type->fields[i];

                if (!f->type->equal(field_value(a, f), field_value(b, f)))
                        return false;
        }
        return true;
}

static int copy_list(const RecordList *from, RecordList *to) {
        for (size_t i = 0; i < from->n; i++) {
                void *item;
                int r;

                r = record_copy(from->items[i], &item);
                if (r >= 0)
                        r = record_list_add(to, item);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int copy_value(const Field *f, const void *from, void *to) {
        switch (f->type->shape) {
        case SHAPE_SCALAR:
                if (f->type->clear) /* the only scalar that owns memory is a string */
                        return free_and_strdup(to, *(char *const *) from);
                memcpy(to, from, f->type->size);
                return 0;
        case SHAPE_FLAG:
        case SHAPE_SIZE:
                memcpy(to, from, f->type->size);
                return 0;
        case SHAPE_RECORD:
                return record_copy(*(Record *const *) from, to);
        case SHAPE_LIST:
        case SHAPE_VARIANTS:
                return copy_list(from, to);
        case SHAPE_XML:
                if (!*(xmlNode *const *) from)
                        return 0;
                *(xmlNode **) to = sym_xmlDocCopyNode(*(xmlNode *const *) from, NULL, 1);
                return *(xmlNode **) to ? 0 : -ENOMEM;
        }
        return -EINVAL;
}

int record_inherit_live(Record *to, const Record *from) {
        int r = 0;

        assert(to && from && to->type == from->type);

        for (size_t i = 0; i < to->type->n_fields && r >= 0; i++) {
                const Field *f = &to->type->fields[i];

                if ((f->flags & FIELD_LIVE) && f->type->is_set && !f->type->is_set(field_value(to, f)))
                        r = copy_value(f, field_value(from, f), field_value(to, f));
        }
        return r;
}

int record_copy(const Record *r, void **ret) {
        Record *copy;

        assert(r && ret);

        copy = record_new(r->type);
        if (!copy)
                return -ENOMEM;
        copy->line = r->line;
        for (size_t i = 0; i < r->type->n_fields; i++) {
                const Field *f = &r->type->fields[i];
                int q;

                if (!f->type->is_set(field_value(r, f)))
                        continue;
                q = copy_value(f, field_value(r, f), field_value(copy, f));
                if (q < 0) {
                        record_free(copy);
                        return q;
                }
        }
        if (r->type->copied)
                r->type->copied(copy, r);
        *ret = copy;
        return 0;
}

/* --- what changed --- */

typedef struct Diff {
        const char *(*key)(const Record *r);
        RecordChanged changed;
        void *userdata;
} Diff;

static int diff_records(const Diff *d, const char *prefix, const Record *a, const Record *b);

static const Record *find_partner(const Diff *d, const RecordList *list, const Record *item, size_t position) {
        const char *key = d->key ? d->key(item) : NULL;

        if (!key)
                return position < list->n ? list->items[position] : NULL;
        for (size_t i = 0; i < list->n; i++)
                if (list->items[i]->type == item->type && streq_null(d->key(list->items[i]), key))
                        return list->items[i];
        return NULL;
}

static int diff_item(const Diff *d, const char *prefix, const Field *f, size_t i, const Record *a, const Record *b) {
        const Record *any = ASSERT_PTR(a ?: b);
        const char *star = str_ends(f->path, "*") ? strrchr(f->path, '*') : NULL;
        _cleanup_free_ char *path = NULL;

        if (star)
                path = strf("%s%.*s%s[%zu]", prefix, (int) (star - f->path), f->path, any->type->element, i + 1);
        else
                path = strf("%s%s[%zu]", prefix, f->path, i + 1);
        if (!path)
                return -ENOMEM;
        if (!a || !b)
                return d->changed(path, f, a, b, d->userdata);
        return diff_records(d, path, a, b);
}

static int diff_lists(const Diff *d, const char *prefix, const Field *f, const RecordList *a, const RecordList *b) {
        int r;

        for (size_t i = 0; i < a->n; i++) {
                r = diff_item(d, prefix, f, i, a->items[i], find_partner(d, b, a->items[i], i));
                if (r != 0)
                        return r;
        }
        for (size_t i = 0; i < b->n; i++) {
                if (find_partner(d, a, b->items[i], i))
                        continue;
                r = diff_item(d, prefix, f, i, NULL, b->items[i]);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int diff_records(const Diff *d, const char *prefix, const Record *a, const Record *b) {
        _cleanup_free_ char *folder = *prefix ? strf("%s/", prefix) : strdup("");

        if (!folder)
                return -ENOMEM;
        for (size_t i = 0; i < a->type->n_fields; i++) {
                const Field *f = &a->type->fields[i];
                const void *x = field_value(a, f), *y = field_value(b, f);
                _cleanup_free_ char *path = NULL;
                int r;

                if (f->type->equal(x, y))
                        continue;
                path = strf("%s%s", folder, f->path);
                if (!path)
                        return -ENOMEM;
                if (f->type->shape == SHAPE_LIST || f->type->shape == SHAPE_VARIANTS)
                        r = diff_lists(d, folder, f, x, y);
                else if (f->type->shape == SHAPE_RECORD && *(Record *const *) x && *(Record *const *) y)
                        r = diff_records(d, path, *(Record *const *) x, *(Record *const *) y);
                else
                        r = d->changed(path, f, x, y, d->userdata);
                if (r != 0)
                        return r;
        }
        return 0;
}

int record_diff(const Record *a, const Record *b, const char *(*key)(const Record *r), RecordChanged changed, void *userdata) {
        const Diff d = { key, changed, userdata };
        Record *empty = NULL;
        int r;

        assert((a || b) && changed);

        if (!a || !b) {
                empty = record_new((a ?: b)->type);
                if (!empty)
                        return -ENOMEM;
        }
        r = diff_records(&d, "", a ?: empty, b ?: empty);
        record_free(empty);
        return r;
}
