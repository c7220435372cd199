/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../virtnetworkd/plan/network.h"
#include "page.h"
#include "str.h"

/* virtbus.network(5). When a change comes into effect is asked of network_can_become(). */

static const char text[] = "<network><name>x</name><forward mode='nat'/><bridge name='virbr0'/>"
                           "<ip address='192.0.2.1' prefix='24'><dhcp><range start='192.0.2.2' end='192.0.2.9'/></dhcp></ip></network>";
static NetworkDef *now;

static const Field *field_at(const Record *r, const char *path, const char **ret_rest) {
        for (size_t i = 0; i < r->type->n_fields; i++) {
                const char *rest = str_after(path, r->type->fields[i].path);

                if (rest && (!*rest || (*rest == '/' && r->type->fields[i].type->shape == SHAPE_LIST))) {
                        *ret_rest = *rest ? rest + 1 : rest;
                        return &r->type->fields[i];
                }
        }
        return must(NULL);
}

/* Any other value than the one it has. */
static bool change_scalar(Record *r, const Field *f) {
        _cleanup_free_ char *least = must(strf("%" PRIu64, f->min));
        const char *const values[] = { least, "1", "2", "yes", "no", "on", "off", "198.51.100.1", "52:54:00:12:34:56",
                                       "0c2f1a5e-1122-4344-8566-778899aabbcc", "word" };
        uint64_t was[8] = {};
        const char *wanted;

        assert(f->type->size <= sizeof(was));

        memcpy(was, field_value(r, f), f->type->size);
        for (int i = 1; f->type == &field_enum && i < f->words->n; i++)
                if (f->type->from_text(f, f->words->words[i], field_value(r, f), &wanted) >= 0 && !f->type->equal(was, field_value(r, f)))
                        return true;
        /* The old string is freed by then: it is not looked at. */
        for (size_t i = 0; i < ARRAY_SIZE(values); i++)
                if (f->type->from_text(f, values[i], field_value(r, f), &wanted) >= 0 &&
                    (f->type == &field_string || !f->type->equal(was, field_value(r, f))))
                        return true;
        return false;
}

/* A list gets one more, or its first one changes, which is added where there is none. */
static bool change(Record *r, const char *path) {
        const char *rest = NULL;
        const Field *f = field_at(r, path, &rest);
        void *value = field_value(r, f);

        assert(rest);

        switch (f->type->shape) {
        case SHAPE_SCALAR:
                return change_scalar(r, f);
        case SHAPE_FLAG:
                return (*(bool *) value = !*(bool *) value, true);
        case SHAPE_LIST:
                if (!*rest || ((RecordList *) value)->n == 0)
                        must(record_list_add(value, must(record_new(f->record))) >= 0 ? value : NULL);
                return !*rest || change(((RecordList *) value)->items[0], rest);
        case SHAPE_SIZE:
        case SHAPE_RECORD:
        case SHAPE_VARIANTS:
        case SHAPE_XML:
                break;
        }
        return false;
}

/* With another one it is another network. */
static bool is_identity(const XmlPath *p) {
        return streq(p->path, "name") || streq(p->path, "uuid");
}

static char *network_when(const XmlPath *p) {
        _cleanup_(network_def_freep) NetworkDef *next = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (!now && network_parse(text, strlen(text), &now, &f) < 0) {
                fprintf(stderr, "the example: %s\n", f.message ?: "?");
                exit(EXIT_FAILURE);
        }
        if (is_identity(p) || (p->field->flags & FIELD_LIVE) || network_copy(now, &next) < 0 || !change(&next->head, p->path))
                return NULL;
        return must(strdup(network_can_become(now, next, &f) >= 0 ? "now" : "restart"));
}

/* Without a value that could be tried, nobody knows. */
static size_t network_check_values(void (*told)(const char *fault)) {
        static XmlPaths paths;
        size_t faults = 0;

        xml_paths_add(&paths, "", &network_record);
        for (size_t i = 0; i < paths.n; i++) {
                const XmlPath *p = &paths.items[i];
                bool matters = p->field->type->shape == SHAPE_SCALAR && !(p->field->flags & FIELD_LIVE) && !is_identity(p);
                _cleanup_free_ char *when = matters ? network_when(p) : NULL, *fault = NULL;

                if (!matters || when)
                        continue;
                fault = must(strf("docs/xml/network.c: %s: values[] has none for it", p->path));
                told(fault);
                faults++;
        }
        return faults;
}

int main(int argc, char **argv) {
        static const XmlPage page = {
                .name = "virtbus.network", .title = "XML of virtual networks",
                .roots = { { "", &network_record } },
                .when = network_when, .check = network_check_values,
        };

        return xml_page_main(&page, argc, argv);
}
