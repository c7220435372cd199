/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml-write.h"

#include <inttypes.h>
#include <stdio.h>

#include "mem.h"
#include "str.h"
#include "xml-lib.h"
#include "xml-read.h"

#define PATH_MAX_LENGTH 256u

typedef struct Writer {
        const RecordType *type;
        xmlNode *element;      /* the record's own */
        unsigned flags;
} Writer;

/* --- nodes and the white space around them --- */

static xmlNode *find_child(const xmlNode *parent, const char *name, size_t length) {
        for (xmlNode *n = parent->children; n; n = n->next) {
                char buffer[XML_NAME_MAX];
                const char *its = n->type == XML_ELEMENT_NODE ? xml_table_name(n, buffer) : NULL;

                if (its && strlen(its) == length && strncmp(its, name, length) == 0)
                        return n;
        }
        return NULL;
}

static bool is_blank(const xmlNode *n) {
        return n && n->type == XML_TEXT_NODE && sym_xmlIsBlankNode(n);
}

/* The white space from the last line break before a node to it; NULL if the node does not begin its line. */
static const char *indent_before(const xmlNode *n) {
        const char *text = is_blank(n->prev) ? (const char *) n->prev->content : NULL;

        return text ? strrchr(text, '\n') : NULL;
}

/* The line break and indentation that children of `parent` are written with. */
static char *child_indent(const xmlNode *parent) {
        const char *found = NULL;
        Text t = TEXT_INIT;

        for (const xmlNode *n = parent->children; n && !found; n = n->next)
                if (n->type == XML_ELEMENT_NODE)
                        found = indent_before(n);
        if (found)
                return strdup(found);

        found = parent->parent && parent->parent->type == XML_ELEMENT_NODE ? indent_before(parent) : "\n";
        if (found)
                text_add(&t, found);
        else {
                text_add(&t, "\n");
                for (const xmlNode *n = parent->parent; n && n->type == XML_ELEMENT_NODE; n = n->parent)
                        text_add(&t, "  ");
        }
        text_add(&t, "  ");
        return text_finish(&t);
}

static int add_text_before(xmlNode *n, const char *text) {
        xmlNode *t = sym_xmlNewDocText(n->doc, (const xmlChar *) text);

        return t && sym_xmlAddPrevSibling(n, t) ? 0 : -ENOMEM;
}

/* Whether its content is laid out over lines; an empty element is, as far as we decide. */
static bool has_lines(const xmlNode *parent) {
        for (const xmlNode *n = parent->children; n; n = n->next)
                if (n->type == XML_ELEMENT_NODE || n->type == XML_COMMENT_NODE)
                        return indent_before(n) != NULL;
        return true;
}

/* Puts a new element behind `after` (NULL: in front of everything), on a line of its own. */
static int insert_child(xmlNode *parent, xmlNode *after, xmlNode *fresh) {
        _cleanup_free_ char *indent = NULL;
        bool lines = has_lines(parent), first = true;

        for (xmlNode *n = parent->children; n && first; n = n->next)
                first = n->type != XML_ELEMENT_NODE && n->type != XML_COMMENT_NODE;
        indent = child_indent(parent);
        if (!indent)
                return -ENOMEM;
        if (first && !after) { /* nothing but perhaps white space in it */
                while (is_blank(parent->children)) {
                        xmlNode *blank = parent->children;

                        sym_xmlUnlinkNode(blank);
                        sym_xmlFreeNode(blank);
                }
        }

        if (after)
                sym_xmlAddNextSibling(after, fresh);
        else if (parent->children)
                sym_xmlAddPrevSibling(parent->children, fresh);
        else
                sym_xmlAddChild(parent, fresh);
        if (!lines)
                return 0;
        if (add_text_before(fresh, indent) < 0)
                return -ENOMEM;
        if (first && !after) { /* the end tag goes on its own line, one level out */
                xmlNode *end;

                indent[strlen(indent) - MIN(strlen(indent) - 1, (size_t) 2)] = '\0';
                end = sym_xmlNewDocText(parent->doc, (const xmlChar *) indent);
                if (!end || !sym_xmlAddChild(parent, end))
                        return -ENOMEM;
        }
        return 0;
}

/* Removes an element and the white space in front of it; an element that keeps nothing but white space becomes empty. */
static void remove_node(xmlNode *n) {
        xmlNode *parent = n->parent, *blank = n->prev;

        sym_xmlUnlinkNode(n);
        sym_xmlFreeNode(n);
        if (is_blank(blank)) {
                sym_xmlUnlinkNode(blank);
                sym_xmlFreeNode(blank);
        }
        if (is_blank(parent->children) && !parent->children->next) {
                blank = parent->children;
                sym_xmlUnlinkNode(blank);
                sym_xmlFreeNode(blank);
        }
}

/* --- where a field stands --- */

/* The place in the table of an element below `prefix`: that of its first field. */
static size_t rank_of(const Writer *w, const char *prefix, const char *name) {
        size_t n = strlen(prefix), m = strlen(name), variants = w->type->n_fields;

        for (size_t i = 0; i < w->type->n_fields; i++) {
                const char *path = w->type->fields[i].path;

                /* The letters first: this runs for every row and sibling. */
                if (n > 0 && (path[0] != prefix[0] || strncmp(path, prefix, n) != 0))
                        continue;
                if (path[n] == name[0] && strncmp(path + n, name, m) == 0 && (path[n + m] == '\0' || path[n + m] == '/'))
                        return i;
                if (streq(path + n, "*"))
                        variants = i;
        }
        return variants;
}

static int add_element(const Writer *w, xmlNode *parent, const char *prefix, const char *name, xmlNode **ret) {
        size_t rank = rank_of(w, prefix, name);
        xmlNode *after = NULL, *fresh;

        /* From the end: the next one of a long list finds its place at once. */
        for (xmlNode *n = parent->last; n; n = n->prev) {
                char buffer[XML_NAME_MAX];
                const char *its = n->type == XML_ELEMENT_NODE ? xml_table_name(n, buffer) : NULL;
                size_t other = its ? rank_of(w, prefix, its) : w->type->n_fields;

                if (other == rank) {
                        after = n;
                        break;
                }
                if (other < rank && !after)
                        after = n;
        }
        fresh = xml_new_element(parent, name);
        if (!fresh)
                return -ENOMEM;
        *ret = fresh;
        return insert_child(parent, after, fresh);
}

/* Walks to the element that holds the last part of the path (an attribute, a name, '.' or '*'). 0 and NULL: it is not there. */
static int find_holder(const Writer *w, const char *path, bool create, xmlNode **ret, const char **ret_last) {
        xmlNode *at = w->element;
        const char *p = path, *slash;

        for (; (slash = strchr(p, '/')); p = slash + 1) {
                xmlNode *next = find_child(at, p, (size_t) (slash - p));

                if (!next && create) {
                        char prefix[PATH_MAX_LENGTH], name[PATH_MAX_LENGTH];
                        int r;

                        (void) snprintf(prefix, sizeof(prefix), "%.*s", (int) (p - path), path);
                        (void) snprintf(name, sizeof(name), "%.*s", (int) (slash - p), p);
                        r = add_element(w, at, prefix, name, &next);
                        if (r < 0)
                                return r;
                }
                if (!next) {
                        *ret = NULL;
                        return 0;
                }
                at = next;
        }
        *ret = at;
        *ret_last = p;
        return 0;
}

/* Removes elements between the record and a field that hold nothing any more. */
static void prune(const Writer *w, xmlNode *n) {
        while (n != w->element && !n->children && !n->properties) {
                xmlNode *parent = n->parent;

                remove_node(n);
                n = parent;
        }
}

/* --- values --- */

/* A value that stands in the text is left as it is written when it means the same. */
static bool text_means(const Field *f, const char *text, const void *value) {
        _Alignas(16) char other[64] = {};
        const char *wanted;
        bool same;

        assert(f->type->size <= sizeof(other));
        if (f->type->init)
                f->type->init(other);
        if (f->type->from_text(f, text, other, &wanted) < 0)
                return false;
        same = f->type->equal(other, value);
        if (f->type->clear)
                f->type->clear(other);
        return same;
}

static int set_content(xmlNode *element, const char *text) {
        xmlNode *next, *content;

        for (xmlNode *n = element->children; n; n = next) {
                next = n->next;
                if (n->type != XML_TEXT_NODE && n->type != XML_CDATA_SECTION_NODE)
                        continue;
                sym_xmlUnlinkNode(n);
                sym_xmlFreeNode(n);
        }
        content = sym_xmlNewDocText(element->doc, (const xmlChar *) text);
        if (!content)
                return -ENOMEM;
        if (element->children)
                return sym_xmlAddPrevSibling(element->children, content) ? 0 : -ENOMEM;
        return sym_xmlAddChild(element, content) ? 0 : -ENOMEM;
}

static int merge_attribute(xmlNode *holder, const char *name, const Field *f, const void *value) {
        _cleanup_free_ char *text = NULL;
        xmlChar *old = sym_xmlGetNoNsProp(holder, (const xmlChar *) name);
        bool same = old && text_means(f, (char *) old, value);

        (*sym_xmlFree)(old);
        if (same)
                return 0;
        text = f->type->to_text(f, value);
        return text && sym_xmlSetProp(holder, (const xmlChar *) name, (const xmlChar *) text) ? 0 : -ENOMEM;
}

static int merge_content(xmlNode *element, const Field *f, const void *value) {
        _cleanup_free_ char *text = NULL;
        xmlChar *old = sym_xmlNodeGetContent(element);
        bool same = old && text_means(f, (char *) old, value);

        (*sym_xmlFree)(old);
        if (same)
                return 0;
        text = f->type->to_text(f, value);
        return text ? set_content(element, text) : -ENOMEM;
}

static bool size_means(xmlNode *element, const Field *f, uint64_t value) {
        xmlChar *text = sym_xmlNodeGetContent(element), *unit = sym_xmlGetNoNsProp(element, (const xmlChar *) "unit");
        uint64_t number, factor, bytes;
        bool same;

        if (text) { /* white space around the number is the writer's */
                char *p = (char *) text + strspn((char *) text, " \t\r\n");

                p[strcspn(p, " \t\r\n")] = '\0';
                memmove(text, p, strlen(p) + 1);
        }
        same = text && parse_u64((char *) text, 10, &number) >= 0 &&
               parse_size_unit(unit ? (char *) unit : f->unit, &factor) >= 0 &&
               !__builtin_mul_overflow(number, factor, &bytes) && bytes == value;
        (*sym_xmlFree)(text);
        (*sym_xmlFree)(unit);
        return same;
}

static int merge_size(xmlNode *element, const Field *f, uint64_t value) {
        char text[32];
        const char *unit = f->unit;
        uint64_t factor = 1;

        if (size_means(element, f, value))
                return 0;
        if (parse_size_unit(unit, &factor) < 0 || value % factor != 0) {
                unit = "bytes";
                factor = 1;
        }
        (void) snprintf(text, sizeof(text), "%" PRIu64, value / factor);
        if (!sym_xmlSetProp(element, (const xmlChar *) "unit", (const xmlChar *) unit))
                return -ENOMEM;
        return set_content(element, text);
}

static int merge_record(const Writer *w, xmlNode *element, Record *r) {
        r->node = element;
        return xml_merge_record(r, w->flags);
}

static int merge_xml(xmlNode *element, xmlNode *value) {
        xmlNode *copy;

        if (field_xml.equal(&element, &value))
                return 0;
        copy = sym_xmlDocCopyNode(value, element->doc, 1);
        if (!copy)
                return -ENOMEM;
        sym_xmlReplaceNode(element, copy);
        sym_xmlFreeNode(element);
        return 0;
}

/* Elements that a list's items stand in, so that the others are found in one walk. */
static void mark(const RecordList *list, void *owner) {
        for (size_t i = 0; i < list->n; i++)
                if (list->items[i]->node)
                        list->items[i]->node->_private = owner;
}

/* Whether an element below the holder is one of this list's. */
static bool belongs(const Field *f, const char *last, const xmlNode *n) {
        char buffer[XML_NAME_MAX];
        const char *name = n->type == XML_ELEMENT_NODE ? xml_table_name(n, buffer) : NULL;

        return name && (f->type->shape == SHAPE_LIST ? streq(name, last) : f->variant(name) != NULL);
}

/* White space between elements may go with the one before it. */
static xmlNode *next_element(const xmlNode *n) {
        xmlNode *next = n->next;

        while (next && next->type != XML_ELEMENT_NODE)
                next = next->next;
        return next;
}

static int merge_list(const Writer *w, const Field *f, RecordList *list) {
        char prefix[PATH_MAX_LENGTH];
        xmlNode *holder, *next;
        const char *last;
        int r;

        r = find_holder(w, f->path, list->n > 0, &holder, &last);
        if (r < 0 || !holder)
                return r;

        for (size_t i = 0; i < list->n; i++) /* from another document, or made by code: new here */
                if (list->items[i]->node && list->items[i]->node->parent != holder)
                        list->items[i]->node = NULL;
        mark(list, list);
        for (xmlNode *n = holder->children; n; n = next) {
                next = next_element(n);
                if (belongs(f, last, n) && n->_private != list)
                        remove_node(n);
        }
        mark(list, NULL);
        (void) snprintf(prefix, sizeof(prefix), "%.*s", (int) (last - f->path), f->path);
        for (size_t i = 0; i < list->n; i++) {
                Record *item = list->items[i];
                xmlNode *element = item->node;

                if (!element) {
                        r = add_element(w, holder, prefix, item->type->element, &element);
                        if (r < 0)
                                return r;
                }
                r = merge_record(w, element, item);
                if (r < 0)
                        return r;
        }
        if (list->n == 0)
                prune(w, holder);
        return 0;
}

static int merge_element(const Writer *w, const Field *f, xmlNode *element, void *value) {
        switch (f->type->shape) {
        case SHAPE_SCALAR:
                return merge_content(element, f, value);
        case SHAPE_FLAG:
                return 0;
        case SHAPE_SIZE:
                return merge_size(element, f, *(uint64_t *) value);
        case SHAPE_RECORD:
                return merge_record(w, element, *(Record **) value);
        case SHAPE_XML:
                return merge_xml(element, *(xmlNode **) value);
        case SHAPE_LIST:
        case SHAPE_VARIANTS:
                break;
        }
        return -EINVAL;
}

/* Other fields are in there, and see to themselves. */
static bool has_elements(const xmlNode *n) {
        for (const xmlNode *c = n->children; c; c = c->next)
                if (c->type == XML_ELEMENT_NODE)
                        return true;
        return false;
}

static void remove_field(const Writer *w, const Field *f, xmlNode *holder, const char *last) {
        if (last[0] == '@') {
                if (sym_xmlUnsetProp(holder, (const xmlChar *) last + 1) < 0) /* an empty element may be there for its own sake: <apic/> */
                        return;
        } else {
                xmlNode *n = find_child(holder, last, strlen(last));

                if (!n || (f->type->shape == SHAPE_SCALAR && has_elements(n)))
                        return;
                remove_node(n);
        }
        prune(w, holder);
}

static int merge_field(const Writer *w, const Field *f, Record *record) {
        bool hidden = (f->flags & FIELD_SECRET) && !(w->flags & XML_WRITE_SECRETS);
        void *value = field_value(record, f);
        bool set = f->type->is_set(value) && !hidden;
        char prefix[PATH_MAX_LENGTH];
        xmlNode *holder, *element;
        const char *last;
        int r;

        if (f->type->shape == SHAPE_LIST || f->type->shape == SHAPE_VARIANTS)
                return merge_list(w, f, value);
        r = find_holder(w, f->path, set, &holder, &last);
        if (r < 0 || !holder)
                return r;
        if (!set) {
                if (!streq(last, "."))
                        remove_field(w, f, holder, last);
                return 0;
        }
        if (last[0] == '@')
                return merge_attribute(holder, last + 1, f, value);
        if (streq(last, "."))
                return merge_content(holder, f, value);

        element = find_child(holder, last, strlen(last));
        if (!element) {
                (void) snprintf(prefix, sizeof(prefix), "%.*s", (int) (last - f->path), f->path);
                r = add_element(w, holder, prefix, last, &element);
                if (r < 0)
                        return r;
        }
        return merge_element(w, f, element, value);
}

int xml_merge_record(Record *r, unsigned flags) {
        const Writer w = { r->type, r->node, flags };

        assert(r && r->node);

        for (size_t i = 0; i < r->type->n_fields; i++) {
                const Field *f = &r->type->fields[i];
                int q;

                if ((f->flags & FIELD_LIVE) && !(flags & XML_WRITE_LIVE))
                        continue;
                q = merge_field(&w, f, r);
                if (q < 0)
                        return q;
        }
        return 0;
}

/* --- whole texts --- */

/* A new document with only what the record holds. */
static int xml_new_document(const Record *r, unsigned flags, xmlDoc **ret) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        void *copy = NULL;
        xmlNode *root;
        int q;

        assert(r && ret);

        /* Merging notes the elements it makes in the record, so it works on a copy. */
        q = xml_library_load(NULL);
        if (q >= 0)
                q = record_copy(r, &copy);
        if (q < 0)
                return q;
        doc = sym_xmlNewDoc((const xmlChar *) "1.0");
        root = doc ? sym_xmlNewDocNode(doc, NULL, (const xmlChar *) r->type->element, NULL) : NULL;
        if (root) {
                sym_xmlDocSetRootElement(doc, root);
                ((Record *) copy)->node = root;
                q = xml_merge_record(copy, flags);
        } else
                q = -ENOMEM;
        record_free(copy);
        if (q < 0)
                return q;
        *ret = TAKE_PTR(doc);
        return 0;
}

int xml_doc_to_text(xmlDoc *doc, char **ret) {
        xmlBuffer *buffer;
        char *text;
        int q = 0;

        assert(doc && ret);

        buffer = sym_xmlBufferCreate();
        if (!buffer)
                return -ENOMEM;
        for (xmlNode *n = doc->children; n && q >= 0; n = n->next) {
                q = sym_xmlNodeDump(buffer, doc, n, 0, 0);
                if (q >= 0)
                        q = sym_xmlBufferCat(buffer, (const xmlChar *) "\n") == 0 ? 0 : -1;
        }
        text = q >= 0 ? strdup((const char *) sym_xmlBufferContent(buffer)) : NULL;
        sym_xmlBufferFree(buffer);
        if (!text)
                return -ENOMEM;
        *ret = text;
        return 0;
}

int xml_record_to_text(const Record *r, unsigned flags, char **ret) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        int q;

        q = xml_new_document(r, flags, &doc);
        return q < 0 ? q : xml_doc_to_text(doc, ret);
}
