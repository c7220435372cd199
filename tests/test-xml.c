/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <string.h>

#include "mem.h"
#include "record.h"
#include "str.h"
#include "xml-lib.h"
#include "xml-read.h"
#include "xml-write.h"

/* A made-up definition with every shape. */
typedef enum Color { COLOR_NONE, COLOR_RED, COLOR_GREEN, _COLOR_MAX, _COLOR_INVALID = -EINVAL } Color;
static const char *const color_words[] = { [COLOR_RED] = "red", [COLOR_GREEN] = "green" };
static const EnumTable color_table = { color_words, ARRAY_SIZE(color_words) };

typedef struct Wheel {
        Record head;
        int color;
        uint64_t size;
} Wheel;
static const Field wheel_fields[] = {
        { "@color", &field_enum, offsetof(Wheel, color), .words = &color_table },
        { "size", &field_number, offsetof(Wheel, size), .min = 1, .max = 30 },
};
static const RecordType wheel_record = { .element = "wheel", .size = sizeof(Wheel), RECORD_FIELDS(wheel_fields) };

typedef struct Engine {
        Record head;
        char *model;
        Tristate turbo;
} Engine;
static const Field engine_fields[] = {
        { "@model", &field_string, offsetof(Engine, model), FIELD_REQUIRED },
        { "turbo/@state", &field_on_off, offsetof(Engine, turbo) },
};
static const RecordType engine_record = { .element = "engine", .size = sizeof(Engine), RECORD_FIELDS(engine_fields) };

typedef struct Part {
        Record head;
        char *text;
} Part;
static const Field part_fields[] = { { ".", &field_string, offsetof(Part, text) } };
static const RecordType horn_record = { .element = "horn", .size = sizeof(Part), RECORD_FIELDS(part_fields) };
static const RecordType lamp_record = { .element = "lamp", .size = sizeof(Part), RECORD_FIELDS(part_fields) };

static const RecordType *part_variant(const char *name) {
        return streq(name, "horn") ? &horn_record : streq(name, "lamp") ? &lamp_record : NULL;
}

static const char *const *part_names(size_t *ret_n) {
        static const char *const names[] = { "horn", "lamp" };

        *ret_n = ARRAY_SIZE(names);
        return names;
}

typedef struct Car {
        Record head;
        char *name, *secret, *live;
        sd_id128_t uuid;
        uint64_t weight, doors;
        Tristate old;
        bool roof;
        xmlNode *metadata;
        Engine *engine;
        RecordList wheels, parts;
} Car;
static const Field car_fields[] = {
        { "@old", &field_yes_no, offsetof(Car, old) },
        { "name", &field_string, offsetof(Car, name), FIELD_REQUIRED, .max_length = 20 },
        { "uuid", &field_uuid, offsetof(Car, uuid) },
        { "metadata", &field_xml, offsetof(Car, metadata) },
        { "weight", &field_size, offsetof(Car, weight), .unit = "KiB", .max = UINT64_C(1) << 40 },
        { "doors", &field_number, offsetof(Car, doors) },
        { "doors/@key", &field_string, offsetof(Car, secret), FIELD_SECRET },
        { "features/roof", &field_flag, offsetof(Car, roof) },
        { "engine", &field_record, offsetof(Car, engine), .record = &engine_record },
        { "wheel", &field_list, offsetof(Car, wheels), .record = &wheel_record },
        { "parts/@where", &field_string, offsetof(Car, live), FIELD_LIVE },
        { "parts/*", &field_variants, offsetof(Car, parts), .variant = part_variant, .names = part_names },
};
static const RecordType car_record = { .element = "car", .size = sizeof(Car), RECORD_FIELDS(car_fields) };

static int read_car(const char *text, xmlDoc **doc, Car **ret, Fault *f) {
        int r = xml_parse(text, strlen(text), "car", doc, f);

        return r < 0 ? r : xml_read_record(sym_xmlDocGetRootElement(*doc), &car_record, (void **) ret, f);
}

static const char whole[] =
        "<!-- mine -->\n"
        "<car old=\"yes\">\n"
        "    <name>T</name>\n"
        "    <parts where=\"here\">\n"
        "        <!-- loud -->\n"
        "        <horn>tuut</horn><lamp/>\n"
        "    </parts>\n"
        "    <wheel color=\"red\"/>   <wheel><size>4</size></wheel>\n"
        "    <weight unit=\"GiB\"> 2 </weight>\n"
        "    <doors key=\"x\">5</doors>\n"
        "    <features><roof/></features>\n"
        "    <metadata xmlns:a=\"urn:a\"><a:b c=\"d\">e</a:b></metadata>\n"
        "    <engine model=\"V8\"/>\n"
        "</car>\n";

TEST(everything_is_read) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Car *c = NULL;

        assert_ok(read_car(whole, &doc, &c, &f));
        assert_string_equal(c->name, "T");
        assert_int_equal(c->old, YES);
        assert_true(c->weight == UINT64_C(2) << 30);
        assert_int_equal(c->doors, 5);
        assert_string_equal(c->secret, "x");
        assert_true(c->roof);
        assert_string_equal(c->engine->model, "V8");
        assert_int_equal(c->wheels.n, 2);
        assert_int_equal(((Wheel *) c->wheels.items[1])->size, 4);
        assert_int_equal(c->parts.n, 2);
        assert_ptr_equal(c->parts.items[1]->type, &lamp_record);
        assert_int_equal(c->parts.items[0]->line, 6);
        assert_non_null(c->metadata);
        record_free(c);
}

static void expect(const char *text, const char *message, const char *hint) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Car *c = NULL;

        assert_error(read_car(text, &doc, &c, &f), f.error == EFBIG ? EFBIG : EINVAL);
        assert_int_equal(f.kind, FAULT_INVALID_DEFINITION);
        assert_string_equal(f.message, message);
        if (hint)
                assert_string_equal(f.hint, hint);
        else
                assert_null(f.hint);
}

TEST(every_error_names_its_place) {
        expect("<car>\n<nmae>x</nmae></car>", "line 2, car: unknown element <nmae>", "did you mean <name>?");
        expect("<car odl='yes'/>", "line 1, car: unknown attribute \"odl\"", "did you mean \"old\"?");
        expect("<car><name>x</name><zzzzzz/></car>", "line 1, car: unknown element <zzzzzz>",
               "known here: name, uuid, metadata, weight, doors, features, engine, wheel, parts");
        expect("<car old='maybe'/>", "line 1, car/@old: \"maybe\" is not valid, expected yes or no", NULL);
        expect("<car><name>x</name><wheel color='redd'/></car>",
               "line 1, car/wheel/@color: \"redd\" is not valid, expected one of: red green", "did you mean \"red\"?");
        expect("<car><name>x</name><wheel><size>31</size></wheel></car>",
               "line 1, car/wheel/size: \"31\" is not valid, expected a whole number from 1 to 30", NULL);
        expect("<car><name>x</name>\n<name>y</name></car>", "line 2, car/name: given twice, first on line 1", NULL);
        expect("<car/>", "line 1, car: name is missing", NULL);
        expect("<car><name>x</name><engine/></car>", "line 1, car/engine: @model is missing", NULL);
        expect("<car><name>x</name><parts><hron/></parts></car>", "line 1, car/parts: unknown element <hron>",
               "did you mean <horn>?");
        expect("<car><name>x</name><weight unit='stone'>1</weight></car>",
               "line 1, car/weight/@unit: \"stone\" is not a unit, expected B, KiB, MiB, GiB, TiB, …", NULL);
        expect("<car><name>x</name><weight>-1</weight></car>",
               "line 1, car/weight: \"-1\" is not valid, expected a whole number", NULL);
        expect("<car><name>x</name>stray</car>", "line 1, car: there is text where only elements belong", NULL);
        expect("<car><name>123456789012345678901</name></car>",
               "line 1, car/name: \"123456789012345678901\" is not valid, expected a shorter text", NULL);
        expect("<bus/>", "line 1: the root element is <bus>, expected <car>", NULL);
        expect("<!DOCTYPE car [<!ENTITY a 'b'>]><car><name>&a;</name></car>",
               "a document type declaration (<!DOCTYPE …>) is not allowed", NULL);
        expect("<car><name>x</name><x:roof xmlns:x='urn:x'/></car>", "line 1, car: unknown element <roof>",
               "known here: name, uuid, metadata, weight, doors, features, engine, wheel, parts");
}

TEST(what_is_not_xml_is_refused) {
        static const char *const texts[] = { "", "<car>", "<car></cat>", "<car a='1' a='2'/>", "\xff\xfe<car/>", "<car>\xc3</car>", "&x;" };
        _cleanup_free_ char *big = new0(char, XML_SIZE_MAX + 2), *deep = new0(char, 70000);

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
                _cleanup_fault_ Fault f = FAULT_INIT;
                Car *c = NULL;

                assert_error(read_car(texts[i], &doc, &c, &f), EINVAL);
                assert_non_null(f.message);
        }
        memset(big, ' ', XML_SIZE_MAX + 1);
        expect(big, "the text has 8388609 bytes, 8388608 are allowed", NULL);
        for (size_t i = 0; i < 10000; i++)
                memcpy(deep + i * 5, "<car>", 5);
        for (size_t i = 0; i < 1; i++) {
                _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
                _cleanup_fault_ Fault f = FAULT_INIT;
                Car *c = NULL;

                assert_error(read_car(deep, &doc, &c, &f), EINVAL);
        }
}

static void expect_merge(const char *before, void (*change)(Car *c), unsigned flags, const char *after) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL, *again = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *text = NULL;
        Car *c = NULL, *d = NULL;

        assert_ok(read_car(before, &doc, &c, &f));
        if (change)
                change(c);
        assert_ok(xml_merge_record(&c->head, flags));
        assert_ok(xml_doc_to_text(doc, &text));
        assert_string_equal(text, after);
        if (flags == (XML_WRITE_LIVE | XML_WRITE_SECRETS)) {
                assert_ok(read_car(text, &again, &d, &f));
                assert_true(record_equal(&c->head, &d->head));
                record_free(d);
        }
        record_free(c);
}

static void change_much(Car *c) {
        Wheel *w = record_new(&wheel_record);
        Part *horn = record_new(&horn_record);

        w->color = COLOR_GREEN;
        horn->text = strdup("a<b");
        record_free(record_list_take(&c->wheels, 0));
        assert_ok(record_list_add(&c->wheels, w));
        assert_ok(record_list_add(&c->parts, horn));
        c->weight = 1536;
        c->doors = NUMBER_UNSET;
        free_and_replace(&c->secret, NULL);
        c->roof = false;
        c->old = NO;
        c->engine->turbo = YES;
}

TEST(what_is_written_stays_as_it_is) {
        expect_merge(whole, NULL, XML_WRITE_LIVE | XML_WRITE_SECRETS, whole);
        expect_merge(whole, NULL, XML_WRITE_SECRETS, whole);
}

TEST(only_what_changed_is_touched) {
        expect_merge(whole, change_much, XML_WRITE_LIVE | XML_WRITE_SECRETS,
                     "<!-- mine -->\n"
                     "<car old=\"no\">\n"
                     "    <name>T</name>\n"
                     "    <parts where=\"here\">\n"
                     "        <!-- loud -->\n"
                     "        <horn>tuut</horn><lamp/>\n"
                     "        <horn>a&lt;b</horn>\n"
                     "    </parts>   <wheel><size>4</size></wheel>\n"
                     "    <wheel color=\"green\"/>\n"
                     "    <weight unit=\"bytes\">1536</weight>\n"
                     "    <metadata xmlns:a=\"urn:a\"><a:b c=\"d\">e</a:b></metadata>\n"
                     "    <engine model=\"V8\">\n"
                     "      <turbo state=\"on\"/>\n"
                     "    </engine>\n"
                     "</car>\n");
}

TEST(secrets_are_left_out) {
        expect_merge("<car><name>x</name><doors key=\"s\">1</doors></car>", NULL, 0,
                     "<car><name>x</name><doors>1</doors></car>\n");
}

static void add_to_little(Car *c) {
        Engine *e = record_new(&engine_record);

        e->model = strdup("\"V\"");
        c->engine = e;
        c->roof = true;
        c->weight = 4096;
        assert_ok(sd_id128_from_string("6f1c0e9a4f0e4e1b9f6b2f6c1d1c7f3e", &c->uuid));
}

TEST(new_elements_stand_in_table_order) {
        expect_merge("<car>\n  <name>x</name>\n  <wheel/>\n</car>", add_to_little, XML_WRITE_SECRETS,
                     "<car>\n"
                     "  <name>x</name>\n"
                     "  <uuid>6f1c0e9a-4f0e-4e1b-9f6b-2f6c1d1c7f3e</uuid>\n"
                     "  <weight unit=\"KiB\">4</weight>\n"
                     "  <features>\n"
                     "    <roof/>\n"
                     "  </features>\n"
                     "  <engine model=\"&quot;V&quot;\"/>\n"
                     "  <wheel/>\n"
                     "</car>\n");
}

TEST(copies_and_texts_without_document) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL, *again = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *text = NULL;
        Car *c = NULL, *d = NULL;
        void *copy = NULL;

        assert_ok(read_car(whole, &doc, &c, &f));
        assert_ok(record_copy(&c->head, &copy));
        assert_true(record_equal(&c->head, copy));
        assert_ok(xml_record_to_text(copy, XML_WRITE_LIVE | XML_WRITE_SECRETS, &text));
        assert_ok(read_car(text, &again, &d, &f));
        assert_true(record_equal(&d->head, copy));
        record_free(c);
        record_free(d);
        record_free(copy);
}

static int collect(const char *path, const Field *field, const void *before, const void *after, void *userdata) {
        text_addf(userdata, "%s\n", path);
        return 0;
}

TEST(differences_are_named) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_text_ Text t = TEXT_INIT;
        Car *c = NULL;
        void *copy = NULL;

        assert_ok(read_car(whole, &doc, &c, &f));
        assert_ok(record_copy(&c->head, &copy));
        assert_ok(record_diff(&c->head, copy, NULL, collect, &t));
        assert_int_equal(t.length, 0);
        change_much(copy);
        assert_ok(record_diff(&c->head, copy, NULL, collect, &t));
        assert_non_null(strstr(t.data, "engine/turbo/@state\n"));
        assert_non_null(strstr(t.data, "parts/horn[3]\n"));
        record_free(c);
        record_free(copy);
}

TEST_MAIN(TEST_ROW(everything_is_read), TEST_ROW(every_error_names_its_place), TEST_ROW(what_is_not_xml_is_refused),
          TEST_ROW(what_is_written_stays_as_it_is), TEST_ROW(only_what_changed_is_touched), TEST_ROW(secrets_are_left_out),
          TEST_ROW(new_elements_stand_in_table_order), TEST_ROW(copies_and_texts_without_document),
          TEST_ROW(differences_are_named))
