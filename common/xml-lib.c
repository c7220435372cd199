/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml-lib.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "macro.h"

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
