/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "numa-def.h"

#include "str.h"

DEFINE_ENUM(NumaMode, numa_mode, NULL, "strict", "preferred", "interleave", "restrictive")

static const char *const placement_words[] = { NULL, "static", "auto" };
const EnumTable numa_placement_table = { placement_words, ARRAY_SIZE(placement_words) };

#define AT(member) offsetof(NumaDistance, member)
static const Field distance_fields[] = {
        { "@id", &field_number, AT(id), FIELD_REQUIRED, .max = 127 },
        { "@value", &field_number, AT(value), FIELD_REQUIRED, .min = 10, .max = 255 },
};
#undef AT
static const RecordType distance_record = { "sibling", sizeof(NumaDistance), RECORD_FIELDS(distance_fields) };

static const char *const associativity_words[] = { NULL, "none", "direct", "full" };
static const EnumTable associativity_table = { associativity_words, ARRAY_SIZE(associativity_words) };
static const char *const policy_words[] = { NULL, "none", "writeback", "writethrough" };
static const EnumTable policy_table = { policy_words, ARRAY_SIZE(policy_words) };
static const char *const link_words[] = { NULL, "access", "read", "write" };
static const EnumTable link_table = { link_words, ARRAY_SIZE(link_words) };

#define AT(member) offsetof(NumaCache, member)
static const Field cache_fields[] = {
        { "@level", &field_number, AT(level), FIELD_REQUIRED, .min = 1, .max = 3 },
        { "@associativity", &field_enum, AT(associativity), FIELD_REQUIRED, .words = &associativity_table },
        { "@policy", &field_enum, AT(policy), FIELD_REQUIRED, .words = &policy_table },
        { "size/@value", &field_number, AT(size), FIELD_REQUIRED, .min = 1 },
        { "size/@unit", &field_string, AT(size_unit), .max_length = 8 },
        { "line/@value", &field_number, AT(line), FIELD_REQUIRED, .min = 1 },
        { "line/@unit", &field_string, AT(line_unit), .max_length = 8 },
};
#undef AT
static const RecordType cache_record = { "cache", sizeof(NumaCache), RECORD_FIELDS(cache_fields) };

#define AT(member) offsetof(NumaLink, member)
#define LINK_FIELDS                                                                                     \
        { "@initiator", &field_number, AT(initiator), FIELD_REQUIRED, .max = 127 },                     \
        { "@target", &field_number, AT(target), FIELD_REQUIRED, .max = 127 },                           \
        { "@cache", &field_number, AT(cache), .min = 1, .max = 3 },                                     \
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &link_table },                       \
        { "@value", &field_number, AT(value), FIELD_REQUIRED, .min = 1 }
static const Field latency_fields[] = { LINK_FIELDS };
static const Field bandwidth_fields[] = { LINK_FIELDS, { "@unit", &field_string, AT(unit), .max_length = 8 } };
#undef AT
const RecordType numa_latency_record = { "latency", sizeof(NumaLink), RECORD_FIELDS(latency_fields) };
const RecordType numa_bandwidth_record = { "bandwidth", sizeof(NumaLink), RECORD_FIELDS(bandwidth_fields) };

#define AT(member) offsetof(NumaCell, member)
static const Field cell_fields[] = {
        { "@id", &field_number, AT(id), .max = 127 },
        { "@cpus", &field_string, AT(cpus), .max_length = 1024 },
        { "@memory", &field_number, AT(memory), FIELD_REQUIRED, .min = 1 },
        { "@unit", &field_string, AT(unit), .max_length = 8 },
        { "@memAccess", &field_enum, AT(access), .words = &memory_access_table },
        { "@discard", &field_yes_no, AT(discard) },
        { "distances/sibling", &field_list, AT(distances), .record = &distance_record, .max = 128 },
        { "cache", &field_list, AT(caches), .record = &cache_record, .max = 3 },
};
#undef AT
const RecordType numa_cell_record = { "cell", sizeof(NumaCell), RECORD_FIELDS(cell_fields) };

#define AT(member) offsetof(NumaPlace, member)
static const Field place_fields[] = {
        { "@cellid", &field_number, AT(cell), FIELD_REQUIRED, .max = 127 },
        { "@mode", &field_enum, AT(mode), .words = &numa_mode_table },
        { "@nodeset", &field_string, AT(nodes), FIELD_REQUIRED, .max_length = 1024 },
};
#undef AT
const RecordType numa_place_record = { "memnode", sizeof(NumaPlace), RECORD_FIELDS(place_fields) };

uint64_t size_with_unit(uint64_t number, const char *unit) {
        uint64_t factor = 1024, bytes;

        if (unit && parse_size_unit(unit, &factor) < 0)
                return NUMBER_UNSET;
        return __builtin_mul_overflow(number, factor, &bytes) ? NUMBER_UNSET : bytes;
}

uint64_t numa_cell_size(const NumaCell *c) {
        return size_with_unit(c->memory, c->unit);
}

uint64_t numa_cache_size(const NumaCache *c) {
        return size_with_unit(c->size, c->size_unit);
}
