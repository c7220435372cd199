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

static const struct {
        const char *prefix, *space;
} spaces[] = {
        { "qemu", "http://libvirt.org/schemas/domain/qemu/1.0" },
        { "virtbus", "https://virtbus.org/schemas/1.0" },
        { "dnsmasq", "http://libvirt.org/schemas/network/dnsmasq/1.0" },
        { "fs", "http://libvirt.org/schemas/storagepool/fs/1.0" },
        { "rbd", "http://libvirt.org/schemas/storagepool/rbd/1.0" },
};

const char *xml_table_name(const xmlNode *element, char buffer[XML_NAME_MAX]) {
        if (!element->ns)
                return (const char *) element->name;
        for (size_t i = 0; element->ns->href && i < ARRAY_SIZE(spaces); i++)
                if (streq((const char *) element->ns->href, spaces[i].space))
                        return (size_t) snprintf(buffer, XML_NAME_MAX, "%s:%s", spaces[i].prefix, (const char *) element->name) < XML_NAME_MAX ? buffer : NULL;
        return NULL;
}

/* Declared at the root, once. */
static xmlNs *find_space(xmlNode *at, const char *prefix, size_t length) {
        xmlNode *root = sym_xmlDocGetRootElement(at->doc);

        for (size_t i = 0; i < ARRAY_SIZE(spaces); i++)
                if (strlen(spaces[i].prefix) == length && strncmp(spaces[i].prefix, prefix, length) == 0) {
                        xmlNs *space = sym_xmlSearchNsByHref(at->doc, at, (const xmlChar *) spaces[i].space);

                        return space ?: root ? sym_xmlNewNs(root, (const xmlChar *) spaces[i].space, (const xmlChar *) spaces[i].prefix) : NULL;
                }
        return NULL;
}

xmlNode *xml_new_element(xmlNode *parent, const char *table_name) {
        const char *colon = strchr(table_name, ':');
        xmlNs *space = colon ? find_space(parent, table_name, (size_t) (colon - table_name)) : NULL;

        return colon && !space ? NULL : sym_xmlNewDocNode(parent->doc, space, (const xmlChar *) (colon ? colon + 1 : table_name), NULL);
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
