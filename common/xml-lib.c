/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml-lib.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "macro.h"
#include "str.h"

#define DEFINE_SYMBOL(name) typeof(name) *sym_##name;
XML_LIBRARY_SYMBOLS(DEFINE_SYMBOL)
#undef DEFINE_SYMBOL

/* The version that we are built against: another soname may have other structures. */
#define LIBRARY "libxml2.so.2"

int xml_library_load(Fault *f) {
        static void *library;
        void *opened;

#define SYMBOL_ROW(name) { #name, (void **) &sym_##name },
        static const struct { const char *name; void **place; } symbols[] = { XML_LIBRARY_SYMBOLS(SYMBOL_ROW) };
#undef SYMBOL_ROW

        if (library)
                return 0;
        opened = dlopen(LIBRARY, RTLD_NOW | RTLD_NODELETE);
        if (!opened)
                return fault_set(f, FAULT_NOT_SUPPORTED, ELIBACC, "XML cannot be read without %s: %s", LIBRARY, dlerror());
        for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
                *symbols[i].place = dlsym(opened, symbols[i].name);
                if (!*symbols[i].place) {
                        int r = fault_set(f, FAULT_NOT_SUPPORTED, ELIBBAD, "%s lacks %s()", LIBRARY, symbols[i].name);

                        (void) dlclose(opened);
                        return r;
                }
        }
        library = opened;
        return 0;
}

const char *xml_table_name(const xmlNode *element, char buffer[XML_NAME_MAX]) {
        if (!element->ns)
                return (const char *) element->name;
        if (!element->ns->href || !streq((const char *) element->ns->href, XML_OWN_SPACE))
                return NULL;
        return (size_t) snprintf(buffer, XML_NAME_MAX, XML_OWN_PREFIX ":%s", (const char *) element->name) < XML_NAME_MAX ? buffer : NULL;
}

/* Declared at the root, once. */
static xmlNs *own_space(xmlNode *at) {
        xmlNs *space = sym_xmlSearchNsByHref(at->doc, at, (const xmlChar *) XML_OWN_SPACE);
        xmlNode *root = sym_xmlDocGetRootElement(at->doc);

        return space ?: root ? sym_xmlNewNs(root, (const xmlChar *) XML_OWN_SPACE, (const xmlChar *) XML_OWN_PREFIX) : NULL;
}

xmlNode *xml_new_element(xmlNode *parent, const char *table_name) {
        const char *local = str_after(table_name, XML_OWN_PREFIX ":");
        xmlNs *space = local ? own_space(parent) : NULL;

        return local && !space ? NULL : sym_xmlNewDocNode(parent->doc, space, (const xmlChar *) (local ?: table_name), NULL);
}

int xml_node_to_text(const xmlNode *node, char **ret) {
        xmlBuffer *buffer = sym_xmlBufferCreate();
        char *text = NULL;

        if (buffer && sym_xmlNodeDump(buffer, node->doc, (xmlNode *) node, 0, 0) >= 0)
                text = strdup((const char *) sym_xmlBufferContent(buffer));
        if (buffer)
                sym_xmlBufferFree(buffer);
        if (!text)
                return -ENOMEM;
        *ret = text;
        return 0;
}
