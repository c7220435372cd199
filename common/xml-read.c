/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml-read.h"

#include <inttypes.h>
#include <stdio.h>

#include "mem.h"
#include "str.h"
#include "xml-lib.h"

#define PATH_MAX_LENGTH 256u
#define SHOWN_MAX 64u        /* bytes of a wrong value shown in a message */
#define NAMES_MAX 24u        /* known names listed in a hint */

/* --- messages --- */

/* "domain/devices/disk" for an element. */
static void add_path(Text *t, const xmlNode *node) {
        const xmlNode *chain[XML_DEPTH_MAX];
        size_t n = 0;

        for (; node && node->type == XML_ELEMENT_NODE && n < XML_DEPTH_MAX; node = node->parent)
                chain[n++] = node;
        while (n > 0) {
                char buffer[XML_NAME_MAX];

                n--;
                text_add(t, xml_table_name(chain[n], buffer) ?: (const char *) chain[n]->name);
                if (n > 0)
                        text_add(t, "/");
        }
}

/* A piece of strangers' text, fit to be shown: short, and without bytes that move a terminal's cursor. */
static char *shown(const char *s) {
        Text t = TEXT_INIT;

        text_add(&t, "");
        for (const char *p = s; *p; p++) {
                if (t.length >= SHOWN_MAX && (*p & 0xc0) != 0x80) {
                        text_add(&t, "…");
                        break;
                }
                if ((unsigned char) *p < 0x20 || *p == 0x7f)
                        text_addf(&t, "\\x%02x", (unsigned char) *p);
                else
                        text_addn(&t, p, 1);
        }
        return text_finish(&t);
}

/* At the line of `node`, named by the path of `owner` and what lies `below` it (may be NULL). */
static int fault_at(const xmlNode *node, const xmlNode *owner, const char *below, Fault *f, const char *fmt, ...) _printf_(5, 6);
static int fault_at(const xmlNode *node, const xmlNode *owner, const char *below, Fault *f, const char *fmt, ...) {
        _cleanup_free_ char *text = NULL, *path = NULL;
        Text t = TEXT_INIT;
        va_list ap;
        int r;

        va_start(ap, fmt);
        r = vasprintf(&text, fmt, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                return fault_oom(f);
        }
        add_path(&t, owner);
        if (below)
                text_addf(&t, "/%s", below);
        path = text_finish(&t);
        return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "line %ld, %s: %s", sym_xmlGetLineNo(node), path ?: "", text);
}

int (xml_fault)(const Record *r, Fault *f, FaultKind kind, const char *fmt, ...) {
        _cleanup_free_ char *text = NULL, *path = NULL;
        Text t = TEXT_INIT;
        va_list ap;
        int q;

        assert(r);

        va_start(ap, fmt);
        q = vasprintf(&text, fmt, ap);
        va_end(ap);
        if (q < 0) {
                text = NULL;
                return fault_oom(f);
        }
        if (r->node)
                add_path(&t, r->node);
        else
                text_add(&t, r->type->element);
        path = text_finish(&t);
        if (r->line > 0)
                return fault_set(f, kind, EINVAL, "line %u, %s: %s", r->line, path ?: "", text);
        return fault_set(f, kind, EINVAL, "%s: %s", path ?: "", text);
}

static bool has_name(const xmlNode *n, const char *name, size_t length) {
        char buffer[XML_NAME_MAX];
        const char *its = n->type == XML_ELEMENT_NODE ? xml_table_name(n, buffer) : NULL;

        return its && strncmp(its, name, length) == 0 && !its[length];
}

/* The element at "os/nvram", "vcpu/@current"; where it is missing, the nearest one above. */
static xmlNode *find_element(xmlNode *at, const char *path) {
        while (at && *path && *path != '@') {
                size_t n = strcspn(path, "/");
                xmlNode *child;

                for (child = at->children; child; child = child->next)
                        if (has_name(child, path, n))
                                break;
                if (!child)
                        return at;
                at = child;
                path += n + (path[n] == '/');
        }
        return at;
}

int (xml_fault_below)(const Record *r, const char *path, Fault *f, FaultKind kind, const char *fmt, ...) {
        xmlNode *node = r->node ? find_element(r->node, path) : NULL;
        const Record place = { .type = r->type, .node = node, .line = node ? (unsigned) sym_xmlGetLineNo(node) : r->line };
        const char *attribute = strrchr(path, '@');
        _cleanup_free_ char *message = NULL;
        va_list ap;
        int q;

        va_start(ap, fmt);
        q = vasprintf(&message, fmt, ap);
        va_end(ap);
        if (q < 0) {
                message = NULL;
                return fault_oom(f);
        }
        if (!node)
                return xml_fault(&place, f, kind, "%s: %s", path, message);
        return xml_fault(&place, f, kind, "%s%s%s", attribute ?: "", attribute ? ": " : "", message);
}

/* --- documents --- */

typedef struct ParseError {
        bool set;
        int line;
        char *text;
} ParseError;

static void on_parse_error(void *userdata, xmlErrorPtr e) {
        ParseError *error = userdata;
        size_t n;

        if (error->set || !e || e->level < XML_ERR_ERROR)
                return;
        error->set = true;
        error->line = e->line;
        error->text = shown(e->message ?: "not well-formed");
        n = error->text ? strlen(error->text) : 0;
        if (error->text && str_ends(error->text, "\\x0a"))
                error->text[n - 4] = '\0';
}

static int check_depth(const xmlNode *root, Fault *f) {
        const xmlNode *n = root;
        unsigned depth = 1;

        while (n) {
                if (depth > XML_DEPTH_MAX)
                        return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "line %ld: elements are nested more than %u deep",
                                         sym_xmlGetLineNo(n), XML_DEPTH_MAX);
                if (n->children && n->type == XML_ELEMENT_NODE) {
                        n = n->children;
                        depth++;
                        continue;
                }
                while (n != root && !n->next) {
                        n = n->parent;
                        depth--;
                }
                n = n == root ? NULL : n->next;
        }
        return 0;
}

/* A DTD can only declare entities and defaults, which nobody needs here and bombs are made of: the reading ends at its first word. */
static void on_doctype(void *context, const xmlChar *name, const xmlChar *public_id, const xmlChar *system_id) {
        xmlParserCtxt *c = context;

        c->_private = (void *) "a document type declaration (<!DOCTYPE …>) is not allowed";
        sym_xmlStopParser(c);
}

static xmlDoc *parse(const char *text, size_t length, ParseError *error, const char **ret_refused) {
        xmlParserCtxt *context = sym_xmlNewParserCtxt();
        xmlDoc *doc;

        if (!context)
                return NULL;
        context->sax->internalSubset = on_doctype;
        sym_xmlSetStructuredErrorFunc(error, on_parse_error);
        doc = sym_xmlCtxtReadMemory(context, text, (int) length, NULL, NULL, XML_PARSE_NONET | XML_PARSE_BIG_LINES);
        sym_xmlSetStructuredErrorFunc(NULL, NULL);
        *ret_refused = context->_private;
        sym_xmlFreeParserCtxt(context);
        return doc;
}

void xml_doc_free(xmlDoc *doc) {
        if (doc)
                sym_xmlFreeDoc(doc);
}

int xml_parse(const char *text, size_t length, const char *root, xmlDoc **ret, Fault *f) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        ParseError error = {};
        const char *refused = NULL;
        const xmlNode *element;
        int r;

        assert(text && ret);

        if (length > XML_SIZE_MAX)
                return fault_set(f, FAULT_INVALID_DEFINITION, EFBIG, "the text has %zu bytes, %u are allowed", length, XML_SIZE_MAX);
        if (memchr(text, 0, length))
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "the text contains a NUL byte");

        r = xml_library_load(f);
        if (r < 0)
                return r;
        doc = parse(text, length, &error, &refused);
        if (refused)
                r = fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s", refused);
        else if (!doc || error.set)
                r = fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "line %d: not well-formed XML: %s", error.line,
                              error.text ?: "the text is empty or can't be read");
        else
                r = 0;
        free(error.text);
        if (r < 0)
                return r;

        element = sym_xmlDocGetRootElement(doc);
        if (!element || (root && !streq((const char *) element->name, root)))
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "line %ld: the root element is <%s>, expected <%s>",
                                 element ? sym_xmlGetLineNo(element) : 1L, element ? (const char *) element->name : "", root ?: "one");
        r = check_depth(element, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(doc);
        return 0;
}

/* --- records --- */

typedef struct Reader {
        Record *record;
        const RecordType *type;
        Fault *fault;
} Reader;

static const Field *find_field(const RecordType *type, const char *path) {
        for (size_t i = 0; i < type->n_fields; i++)
                if (streq(type->fields[i].path, path))
                        return &type->fields[i];
        return NULL;
}

/* Whether fields lie below that element. */
static bool is_prefix(const RecordType *type, const char *path) {
        size_t n = strlen(path);

        for (size_t i = 0; i < type->n_fields; i++)
                if (strncmp(type->fields[i].path, path, n) == 0 && type->fields[i].path[n] == '/')
                        return true;
        return false;
}

static const Field *find_variants(const RecordType *type, const char *prefix) {
        size_t n = strlen(prefix);

        for (size_t i = 0; i < type->n_fields; i++) {
                const Field *f = &type->fields[i];

                if (f->type->shape == SHAPE_VARIANTS && strncmp(f->path, prefix, n) == 0 && streq(f->path + n, "*"))
                        return f;
        }
        return NULL;
}

/* The words a writer may have meant at `prefix`: names of attributes ('@' first) or of elements. */
static size_t known_names(const RecordType *type, const char *prefix, bool attributes, char **names, size_t max) {
        const Field *variants = attributes ? NULL : find_variants(type, prefix);
        size_t n = 0, length = strlen(prefix);

        for (size_t i = 0; i < type->n_fields && n < max; i++) {
                const char *path = type->fields[i].path, *rest = path + length;
                char *name;
                bool known = false;

                if (strncmp(path, prefix, length) != 0 || (rest[0] == '@') != attributes || streq(rest, "*") || streq(rest, "."))
                        continue;
                name = strndup(rest + attributes, strcspn(rest + attributes, "/"));
                for (size_t k = 0; name && k < n; k++)
                        known = known || streq(names[k], name);
                if (!name || known)
                        free(name);
                else
                        names[n++] = name;
        }
        if (variants && variants->names) {
                size_t count;
                const char *const *more = variants->names(&count);

                for (size_t i = 0; i < count && n < max; i++)
                        if ((names[n] = strdup(more[i])))
                                n++;
        }
        return n;
}

static int fault_unknown(const Reader *r, const xmlNode *node, const char *prefix, const char *name, bool attribute) {
        char *names[96] = {};
        size_t n = known_names(r->type, prefix, attribute, names, ARRAY_SIZE(names));
        const char *near = str_nearest(name, (const char *const *) names, n);
        _cleanup_free_ char *bad = shown(name), *list = NULL;
        Text t = TEXT_INIT;

        if (attribute)
                (void) fault_at(node, node, NULL, r->fault, "unknown attribute \"%s\"", bad ?: "");
        else
                (void) fault_at(node, node->parent, NULL, r->fault, "unknown element <%s>", bad ?: "");

        for (size_t i = 0; i < MIN(n, (size_t) NAMES_MAX); i++)
                text_addf(&t, "%s%s", i > 0 ? ", " : "", names[i]);
        if (n > NAMES_MAX)
                text_add(&t, ", …");
        list = text_finish(&t);
        if (near)
                fault_hint(r->fault, attribute ? "did you mean \"%s\"?" : "did you mean <%s>?", near);
        else if (n > 0)
                fault_hint(r->fault, "known here: %s", list ?: "");
        while (n > 0)
                free(names[--n]);
        return -EINVAL;
}

/* "yes or no", "one of: a, b, c", "a whole number from 1 to 16". */
static char *wanted_text(const Field *f, const char *wanted, int error) {
        Text t = TEXT_INIT;

        if (!wanted && f->words) {
                text_add(&t, "one of:");
                for (int i = 1; i < f->words->n; i++)
                        if (f->words->words[i])
                                text_addf(&t, " %s", f->words->words[i]);
        } else {
                text_add(&t, wanted ?: "another value");
                if (error == -ERANGE && f->max > 0)
                        text_addf(&t, " from %" PRIu64 " to %" PRIu64, f->min, f->max);
                else if (error == -ERANGE && f->min > 0)
                        text_addf(&t, " of at least %" PRIu64, f->min);
        }
        return text_finish(&t);
}

static int fault_value(const Reader *r, const xmlNode *node, const char *below, const Field *f, const char *text,
                       const char *wanted, int error) {
        _cleanup_free_ char *bad = shown(text), *right = wanted_text(f, wanted, error);
        const char *near = NULL;

        if (error == -ENOMEM)
                return fault_oom(r->fault);
        (void) fault_at(node, node, below, r->fault, "\"%s\" is not valid, expected %s", bad ?: "", right ?: "");
        if (!wanted && f->type == &field_enum)
                near = str_nearest(text, f->words->words + 1, (size_t) f->words->n - 1);
        if (near)
                fault_hint(r->fault, "did you mean \"%s\"?", near);
        return -EINVAL;
}

static int set_scalar(const Reader *r, const xmlNode *node, const char *below, const Field *f, const char *text) {
        const char *wanted = NULL;
        int q = f->type->from_text(f, text, field_value(r->record, f), &wanted);

        return q < 0 ? fault_value(r, node, below, f, text, wanted, q) : 0;
}

static char *trimmed(const char *s) {
        size_t n;

        s += strspn(s, " \t\r\n");
        n = strlen(s);
        while (n > 0 && strchr(" \t\r\n", s[n - 1]))
                n--;
        return strndup(s, n);
}

/* What stands between the elements in one is no text of its own. */
static bool is_only_around(const xmlNode *element, const char *content) {
        if (content[strspn(content, " \t\r\n")])
                return false;
        for (const xmlNode *n = element->children; n; n = n->next)
                if (n->type == XML_ELEMENT_NODE)
                        return true;
        return false;
}

/* Texts are kept as they stand; everything else may have white space around it, as hand-indented XML has. */
static int read_content(const Reader *r, xmlNode *element, const Field *f) {
        xmlChar *content = sym_xmlNodeGetContent(element);
        _cleanup_free_ char *text = NULL;
        int q;

        if (!content)
                return fault_oom(r->fault);
        if (is_only_around(element, (const char *) content)) {
                (*sym_xmlFree)(content);
                return 0;
        }
        text = f->type == &field_string ? strdup((char *) content) : trimmed((char *) content);
        (*sym_xmlFree)(content);
        if (!text)
                return fault_oom(r->fault);
        q = set_scalar(r, element, NULL, f, text);
        return q;
}

static int read_size(const Reader *r, xmlNode *element, const Field *f) {
        xmlChar *content = sym_xmlNodeGetContent(element), *unit = sym_xmlGetNoNsProp(element, (const xmlChar *) "unit");
        _cleanup_free_ char *text = content ? trimmed((char *) content) : NULL;
        uint64_t number, factor, value;
        int q;

        (*sym_xmlFree)(content);
        if (!text) {
                (*sym_xmlFree)(unit);
                return fault_oom(r->fault);
        }
        q = parse_size_unit(unit ? (const char *) unit : f->unit, &factor);
        if (q < 0)
                q = fault_at(element, element, "@unit", r->fault, "\"%s\" is not a unit, expected B, KiB, MiB, GiB, TiB, …",
                             unit ? (const char *) unit : "");
        (*sym_xmlFree)(unit);
        if (q < 0)
                return q;

        q = parse_u64(text, 10, &number);
        if (q >= 0 && (__builtin_mul_overflow(number, factor, &value) || value == NUMBER_UNSET))
                q = -ERANGE;
        if (q >= 0 && (value < f->min || (f->max > 0 && value > f->max)))
                q = -ERANGE;
        if (q < 0)
                return fault_value(r, element, NULL, f, text, q == -ERANGE ? "a size" : "a whole number", q);
        *(uint64_t *) field_value(r->record, f) = value;
        return 0;
}

static int read_into(const Reader *r, xmlNode *element, const char *prefix);

static int read_item(const Reader *r, const Field *f, xmlNode *element, const RecordType *type, RecordList *list) {
        uint64_t max = f->max > 0 ? f->max : RECORD_LIST_MAX;
        void *item;
        int q;

        if (list->n >= max)
                return fault_at(element, element, NULL, r->fault, "there are more than %u of them", (unsigned) max);
        q = xml_read_record(element, type, &item, r->fault);
        return q < 0 ? q : record_list_add(list, item);
}

/* Everything but lists stands at most once. */
static int check_once(const Reader *r, const xmlNode *element) {
        for (const xmlNode *n = element->prev; n; n = n->prev)
                if (n->type == XML_ELEMENT_NODE && streq((const char *) n->name, (const char *) element->name) && n->ns == element->ns)
                        return fault_at(element, element, NULL, r->fault, "given twice, first on line %ld", sym_xmlGetLineNo(n));
        return 0;
}

static int read_field(const Reader *r, xmlNode *element, const Field *f, const char *path) {
        char below[PATH_MAX_LENGTH];
        void *value = field_value(r->record, f);
        int q;

        if (f->type->shape != SHAPE_LIST) {
                q = check_once(r, element);
                if (q < 0)
                        return q;
        }
        switch (f->type->shape) {
        case SHAPE_SCALAR:
                q = read_content(r, element, f);
                break;
        case SHAPE_SIZE:
                q = read_size(r, element, f);
                break;
        case SHAPE_FLAG:
                *(bool *) value = true;
                q = 0;
                break;
        case SHAPE_RECORD:
                return xml_read_record(element, f->record, value, r->fault);
        case SHAPE_LIST:
                return read_item(r, f, element, f->record, value);
        case SHAPE_XML:
                /* A copy into the same document, so that name spaces declared further up come along. */
                *(xmlNode **) value = sym_xmlDocCopyNode(element, NULL, 1);
                return *(xmlNode **) value ? 0 : fault_oom(r->fault);
        case SHAPE_VARIANTS:
                return -EINVAL;
        }
        if (q < 0)
                return q;
        (void) snprintf(below, sizeof(below), "%s/", path);
        return read_into(r, element, below);
}

static int read_attribute(const Reader *r, xmlNode *element, xmlAttr *attribute, const char *prefix) {
        char path[PATH_MAX_LENGTH], below[PATH_MAX_LENGTH];
        const char *name = (const char *) attribute->name;
        const Field *f = NULL, *owner = NULL;
        xmlChar *text;
        int q;

        if (!attribute->ns && (size_t) snprintf(path, sizeof(path), "%s@%s", prefix, name) < sizeof(path))
                f = find_field(r->type, path);
        if (!f && streq(name, "unit") && *prefix) { /* belongs to the size that the element itself is */
                (void) snprintf(path, sizeof(path), "%.*s", (int) strlen(prefix) - 1, prefix);
                owner = find_field(r->type, path);
                if (owner && owner->type->shape == SHAPE_SIZE)
                        return 0;
        }
        if (!f)
                return fault_unknown(r, element, prefix, name, true);

        text = sym_xmlNodeListGetString(element->doc, attribute->children, 1);
        (void) snprintf(below, sizeof(below), "@%s", name);
        q = set_scalar(r, element, below, f, text ? (const char *) text : "");
        (*sym_xmlFree)(text);
        return q;
}

static int read_child(const Reader *r, xmlNode *child, const char *prefix) {
        char path[PATH_MAX_LENGTH], buffer[XML_NAME_MAX];
        const char *name = xml_table_name(child, buffer);
        const RecordType *type;
        const Field *f;
        int q;

        if (!name || (size_t) snprintf(path, sizeof(path), "%s%s", prefix, name) >= sizeof(path) - 1)
                return fault_unknown(r, child, prefix, (const char *) child->name, false);
        f = find_field(r->type, path);
        if (f)
                return read_field(r, child, f, path);
        if (is_prefix(r->type, path)) {
                q = check_once(r, child);
                if (q < 0)
                        return q;
                path[strlen(path) + 1] = '\0';
                path[strlen(path)] = '/';
                return read_into(r, child, path);
        }
        f = find_variants(r->type, prefix);
        type = f ? f->variant(name) : NULL;
        if (!type)
                return fault_unknown(r, child, prefix, name, false);
        return read_item(r, f, child, type, field_value(r->record, f));
}

static int read_text(const Reader *r, xmlNode *element, xmlNode *text, const char *prefix) {
        char path[PATH_MAX_LENGTH];
        const Field *f;

        if (sym_xmlIsBlankNode(text))
                return 0;
        /* The text of an element that is a scalar itself has been read with it. */
        (void) snprintf(path, sizeof(path), "%.*s", *prefix ? (int) strlen(prefix) - 1 : 0, prefix);
        f = *prefix ? find_field(r->type, path) : find_field(r->type, ".");
        if (f && (f->type->shape == SHAPE_SCALAR || f->type->shape == SHAPE_SIZE))
                return 0;
        return fault_at(text, element, NULL, r->fault, "there is text where only elements belong");
}

/* Everything in an element: the record's own (prefix ""), or one its fields lie below ("source/"). */
static int read_into(const Reader *r, xmlNode *element, const char *prefix) {
        int q = 0;

        for (xmlAttr *a = element->properties; a && q >= 0; a = a->next)
                q = read_attribute(r, element, a, prefix);
        for (xmlNode *n = element->children; n && q >= 0; n = n->next) {
                if (n->type == XML_ELEMENT_NODE)
                        q = read_child(r, n, prefix);
                else if (n->type == XML_TEXT_NODE || n->type == XML_CDATA_SECTION_NODE)
                        q = read_text(r, element, n, prefix);
                else if (n->type == XML_ENTITY_REF_NODE)
                        q = fault_at(n, element, NULL, r->fault, "entities are not allowed");
        }
        return q;
}

static int check_required(const Reader *r, const xmlNode *element) {
        for (size_t i = 0; i < r->type->n_fields; i++) {
                const Field *f = &r->type->fields[i];

                if ((f->flags & FIELD_REQUIRED) && !f->type->is_set(field_value(r->record, f)))
                        return fault_at(element, element, NULL, r->fault, "%s is missing", f->path);
        }
        return 0;
}

int xml_read_record(xmlNode *element, const RecordType *type, void **ret, Fault *f) {
        Reader r = { .type = type, .fault = f };
        const Field *own;
        int q;

        assert(element && type && ret);

        r.record = record_new(type);
        if (!r.record)
                return fault_oom(f);
        r.record->node = element;
        r.record->line = (unsigned) MAX(sym_xmlGetLineNo(element), 0L);

        own = find_field(type, ".");
        q = own ? read_content(&r, element, own) : 0;
        if (q >= 0)
                q = read_into(&r, element, "");
        if (q >= 0)
                q = check_required(&r, element);
        if (q >= 0 && type->check)
                q = type->check(r.record, f);
        if (q < 0) {
                record_free(r.record);
                return q;
        }
        *ret = r.record;
        return 0;
}
