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

#define AT(member) offsetof(NumaCell, member)
static const Field cell_fields[] = {
        { "@id", &field_number, AT(id), .max = 127 },
        { "@cpus", &field_string, AT(cpus), .max_length = 1024 },
        { "@memory", &field_number, AT(memory), FIELD_REQUIRED, .min = 1 },
        { "@unit", &field_string, AT(unit), .max_length = 8 },
        { "@memAccess", &field_enum, AT(access), .words = &memory_access_table },
        { "@discard", &field_yes_no, AT(discard) },
        { "distances/sibling", &field_list, AT(distances), .record = &distance_record, .max = 128 },
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
