/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt-xml.h"

#include <string.h>

#include "mem.h"
#include "str.h"
#include "xml-lib.h"
#include "xml-read.h"
#include "xml-write.h"

static xmlDoc *parse(const char *text) {
        xmlDoc *doc = NULL;

        return xml_parse(text, strlen(text), NULL, &doc, NULL) < 0 ? NULL : doc;
}

/* --- looking into one --- */

static bool is_called(const xmlNode *n, const char *name) {
        return n->type == XML_ELEMENT_NODE && streq((const char *) n->name, name);
}

static const xmlNode *child(const xmlNode *parent, const char *name) {
        for (const xmlNode *n = parent ? parent->children : NULL; n; n = n->next)
                if (is_called(n, name))
                        return n;
        return NULL;
}

/* New string without white space around it, NULL if there is nothing. */
static char *strip(xmlChar *text) {
        const char *s = (const char *) text ?: "";
        size_t n;
        char *copy;

        s += strspn(s, " \t\r\n");
        for (n = strlen(s); n > 0 && strchr(" \t\r\n", s[n - 1]); n--)
                ;
        copy = n > 0 ? strndup(s, n) : NULL;
        if (text)
                (*sym_xmlFree)(text);
        return copy;
}

static char *text_of(const xmlNode *n) {
        return n ? strip(sym_xmlNodeGetContent((xmlNode *) n)) : NULL;
}

static char *attribute_of(const xmlNode *n, const char *name) {
        return n ? strip(sym_xmlGetNoNsProp((xmlNode *) n, (const xmlChar *) name)) : NULL;
}

/* <usage type='ceph'><name>client.web</name></usage>: "ceph:client.web". */
static char *usage_of(const xmlNode *secret) {
        const xmlNode *usage = child(secret, "usage"), *n = usage ? usage->children : NULL;
        _cleanup_free_ char *type = attribute_of(usage, "type"), *id = NULL;

        while (n && n->type != XML_ELEMENT_NODE)
                n = n->next;
        id = text_of(n);
        return type && id ? strf("%s:%s", type, id) : NULL;
}

int libvirt_xml_identify(const char *kind, const char *text, char **name, char **uuid, Fault *f) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        int r = xml_parse(text, strlen(text), kind, &doc, f);
        const xmlNode *root;
        char *found;

        if (r < 0)
                return r;
        root = sym_xmlDocGetRootElement(doc);
        *uuid = text_of(child(root, "uuid"));
        found = streq(kind, "secret") ? usage_of(root) : text_of(child(root, "name"));
        if (found)
                free_and_replace(name, found);
        return 0;
}

char *libvirt_xml_nvram(const char *text) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = parse(text);
        const xmlNode *nvram = doc ? child(child(sym_xmlDocGetRootElement(doc), "os"), "nvram") : NULL;
        char *path = attribute_of(child(nvram, "source"), "file");

        return path ?: text_of(nvram);
}

bool libvirt_xml_has_tpm(const char *text) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = parse(text);
        const xmlNode *backend = doc ? child(child(child(sym_xmlDocGetRootElement(doc), "devices"), "tpm"), "backend") : NULL;
        _cleanup_free_ char *type = attribute_of(backend, "type");

        return streq_null(type, "emulator");
}

char *libvirt_xml_without_uuid(const char *text) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = parse(text);
        xmlNode *uuid = doc ? (xmlNode *) child(sym_xmlDocGetRootElement(doc), "uuid") : NULL;
        char *without = NULL;

        if (!uuid)
                return strdup(text);
        sym_xmlUnlinkNode(uuid);
        sym_xmlFreeNode(uuid);
        return xml_doc_to_text(doc, &without) < 0 ? NULL : without;
}

/* --- comparing two --- */

/* Daemons choose these where a definition says nothing. */
static bool is_chosen(const xmlNode *n) {
        static const char *const elements[] = { "uuid", "mac", "bridge", "permissions", "mode", "owner", "group" };

        for (size_t i = 0; i < ARRAY_SIZE(elements); i++)
                if (is_called(n, elements[i]))
                        return true;
        return false;
}

/* libvirt writes down how full a pool was once, and an empty <source>. */
static bool is_passing(const xmlNode *n) {
        static const char *const elements[] = { "capacity", "allocation", "available" };

        for (size_t i = 0; i < ARRAY_SIZE(elements); i++)
                if (is_called(n, elements[i]))
                        return true;
        return !n->properties && (!n->children || (!n->children->next && sym_xmlIsBlankNode(n->children)));
}

static const xmlNode *next_element(const xmlNode *n) {
        while (n && n->type != XML_ELEMENT_NODE)
                n = n->next;
        return n;
}

/* The same for attributes. */
static bool may_have_more(const xmlNode *n) {
        return is_called(n, "bridge") || is_called(n, "forward") || is_called(n, "ip");
}

static size_t count_attributes(const xmlNode *n) {
        size_t count = 0;

        for (const xmlAttr *a = n->properties; a; a = a->next)
                count++;
        return count;
}

static bool same_attributes(const xmlNode *theirs, const xmlNode *ours) {
        for (const xmlAttr *a = theirs->properties; a; a = a->next) {
                _cleanup_free_ char *their = attribute_of(theirs, (const char *) a->name), *our = attribute_of(ours, (const char *) a->name);

                if (!streq_null(their, our))
                        return false;
        }
        return may_have_more(ours) || count_attributes(theirs) == count_attributes(ours);
}

static bool same_element(const xmlNode *theirs, const xmlNode *ours);

static bool same_children(const xmlNode *theirs, const xmlNode *ours) {
        const xmlNode *a = next_element(theirs->children), *b = next_element(ours->children);

        while (a || b) {
                if (a && b && streq((const char *) a->name, (const char *) b->name)) {
                        if (!same_element(a, b))
                                return false;
                        a = next_element(a->next);
                        b = next_element(b->next);
                } else if (a && is_passing(a))
                        a = next_element(a->next);
                else if (b && is_chosen(b))
                        b = next_element(b->next);
                else
                        return false;
        }
        return true;
}

static bool same_element(const xmlNode *theirs, const xmlNode *ours) {
        _cleanup_free_ char *a = NULL, *b = NULL;

        if (!streq((const char *) theirs->name, (const char *) ours->name) || !same_attributes(theirs, ours))
                return false;
        if (next_element(theirs->children) || next_element(ours->children))
                return same_children(theirs, ours);
        a = text_of(theirs);
        b = text_of(ours);
        return streq_null(a, b);
}

bool libvirt_xml_same(const char *theirs, const char *ours) {
        _cleanup_(xml_doc_freep) xmlDoc *a = parse(theirs), *b = parse(ours);

        return a && b && same_element(sym_xmlDocGetRootElement(a), sym_xmlDocGetRootElement(b));
}
