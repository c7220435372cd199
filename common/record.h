/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-id128.h>

#include "fault.h"
#include "table.h"

/* Plain structs described by tables. A definition (domain, network, pool, …) is a tree of records; each record type has one table
 * of fields: where the value stands in the XML, what it is, and where it lies in the struct. Parsing (xml-read.h), writing
 * (xml-write.h), freeing, comparing and "what changed" work from the tables alone. */

typedef struct RecordType RecordType;
typedef struct Field Field;
typedef struct FieldType FieldType;

/* First member of every record. */
typedef struct Record {
        const RecordType *type;
        struct _xmlNode *node; /* the element it was read from, while its document lives; NULL for one made by code */
        unsigned line;         /* line of that element; 0 for one made by code */
} Record;

typedef struct RecordList {
        Record **items;        /* owned */
        size_t n, allocated;
} RecordList;

typedef enum FieldShape {
        SHAPE_SCALAR,   /* text in an attribute or element; FieldType converts it */
        SHAPE_FLAG,     /* bool: the element is there */
        SHAPE_SIZE,     /* uint64_t bytes: number in the text, factor in @unit; Field.unit is the default unit */
        SHAPE_RECORD,   /* Record *: one element, described by Field.record */
        SHAPE_LIST,     /* RecordList: the element repeated, each described by Field.record */
        SHAPE_VARIANTS, /* RecordList: path ends in "*": children of any name that Field.variant knows */
        SHAPE_XML,      /* struct _xmlNode *: the element kept verbatim (a copy, owned) */
} FieldShape;

struct FieldType {
        FieldShape shape;
        size_t size;                                     /* of the member, checked against nothing but used by copy and compare */
        /* For scalars. from_text: 0 or -EINVAL/-ERANGE/-ENOMEM with *ret_wanted (static or owned by the field's table: never freed)
         * saying what would be right ("a whole number", "yes or no"); the value is untouched on failure. */
        int (*from_text)(const Field *f, const char *text, void *value, const char **ret_wanted);
        char *(*to_text)(const Field *f, const void *value); /* new string; NULL: out of memory */
        bool (*is_set)(const void *value);
        bool (*equal)(const void *a, const void *b);
        void (*init)(void *value);                       /* to "absent"; NULL: zero bytes are absent */
        void (*clear)(void *value);                      /* frees; NULL: nothing to free */
};

typedef enum FieldFlags {
        FIELD_REQUIRED = 1 << 0,
        FIELD_SECRET   = 1 << 1,    /* exported only on request with the right to see secrets */
        FIELD_LIVE     = 1 << 2,    /* belongs to the running domain: written only in live XML, ignored with no loss on define
                                     * (libvirt: alias, assigned paths); still parsed, so that live XML can be read back */
} FieldFlags;

struct Field {
        const char *path;           /* "@type", "source/@file", "readonly", "os/boot", "." (own text), "devices/" "*" */
        const FieldType *type;
        size_t offset;
        unsigned flags;
        union {
                const EnumTable *words;                          /* field_enum */
                const RecordType *record;                        /* SHAPE_RECORD, SHAPE_LIST */
                const RecordType *(*variant)(const char *name);  /* SHAPE_VARIANTS; NULL: unknown name */
                const char *const *variant_names;
        };
        const char *unit;           /* SHAPE_SIZE: unit meant when @unit is missing, e.g. "KiB" */
        const char *const *(*names)(size_t *ret_n); /* SHAPE_VARIANTS: the known names, for suggestions */
        uint64_t min, max;          /* numbers; max 0: no limit of its own. Lists: max elements; 0: RECORD_LIST_MAX */
        unsigned max_length;        /* strings; 0: RECORD_STRING_MAX */
        int digits;                 /* field_hex: at least so many are written; 0: two */
};
#define RECORD_STRING_MAX 4096u
#define RECORD_LIST_MAX 1024u       /* elements of one list: a cap on what one definition may make us hold */
#define RECORD_LIST_HARD_MAX 65536u /* the same for lists whose field has a `max` of its own */

struct RecordType {
        const char *element;        /* "disk" */
        size_t size;
        const Field *fields;
        size_t n_fields;
        /* Looks at the record as a whole right after it was read (rules between its fields); may be NULL. */
        int (*check)(Record *r, Fault *f);
        void (*clear)(Record *r);   /* members that are in no field; may be NULL */
        void (*copied)(Record *copy, const Record *from); /* likewise, for record_copy(); may be NULL */
};
#define RECORD_FIELDS(table) .fields = (table), .n_fields = ARRAY_SIZE(table)

/* Scalars. "Absent" is NULL, 0 for enums (word 0 is never written), NUMBER_UNSET, a null id. */
extern const FieldType field_string;   /* char * ; UTF-8, no control characters but tab and newline */
extern const FieldType field_enum;     /* int-sized enum, Field.words; value 0 = absent */
extern const FieldType field_yes_no;   /* Tristate as yes/no */
extern const FieldType field_on_off;   /* Tristate as on/off */
extern const FieldType field_number;   /* uint64_t, decimal */
extern const FieldType field_hex;      /* uint64_t, 0x… decimal accepted */
extern const FieldType field_integer;  /* int64_t, INTEGER_UNSET = absent */
extern const FieldType field_uuid;     /* sd_id128_t with dashes */
extern const FieldType field_mac;      /* MacAddress; six octets, unicast is the caller's check */
/* Shapes. */
extern const FieldType field_flag;     /* bool */
extern const FieldType field_size;     /* uint64_t bytes, NUMBER_UNSET = absent */
extern const FieldType field_record;
extern const FieldType field_list;
extern const FieldType field_variants;
extern const FieldType field_xml;

#define NUMBER_UNSET UINT64_MAX
#define INTEGER_UNSET INT64_MIN

/* Or absent. */
static inline bool number_is_power_of_two(uint64_t n) {
        return n == NUMBER_UNSET || (n & (n - 1)) == 0;
}

typedef enum Tristate { UNSET = 0, YES, NO } Tristate;

typedef struct MacAddress {
        uint8_t octets[6];
        bool set;
} MacAddress;

/* All fields absent. NULL: out of memory. `record_new(disk_type)` gives a Disk whose first member is the Record. */
void *record_new(const RecordType *type);
/* Takes NULL, returns NULL. Documents that `node`s point into are not touched. */
void *record_free(void *record);

/* A deep copy; nodes are NULL, lines stay. */
int record_copy(const Record *r, void **ret);

/* What `from` has of a running domain (FIELD_LIVE) and `to`, of the same type, does not say. Lists and records are left alone. */
int record_inherit_live(Record *to, const Record *from);

/* Takes over `item`, also on failure. */
int record_list_add(RecordList *list, void *item);
/* Unlinks without freeing; returns the item. */
void *record_list_take(RecordList *list, size_t i);
void record_list_clear(RecordList *list);

/* Same type and all fields equal; nodes and lines do not count. NULLs are allowed. */
bool record_equal(const Record *a, const Record *b);

/* Calls `changed` with the XML path ("memory", "devices/disk[2]/driver/@cache") of every field that differs. Lists are compared by
 * position unless `key` gives items an identity (same string: same item); either NULL record counts as empty. Stops at the first
 * non-zero answer and returns it. */
typedef int (*RecordChanged)(const char *path, const Field *field, const void *before, const void *after, void *userdata);
int record_diff(const Record *a, const Record *b, const char *(*key)(const Record *r), RecordChanged changed, void *userdata);

static inline void *field_value(const Record *r, const Field *f) {
        return (char *) r + f->offset;
}

/* RECORD_FOREACH(NetworkIp, ip, def->ips) { … } */
#define RECORD_FOREACH(Type, var, list)                                                                 \
        for (size_t var##_i = 0; var##_i < (list).n; var##_i++)                                         \
                for (const Type *var = (const Type *) (list).items[var##_i]; var; var = NULL)
