/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml-build.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

xmlNode *xml_build_start(XmlBuild *b, const char *root) {
        xmlNode *node;

        assert(b && root);

        *b = (XmlBuild) {};
        if (xml_library_load(NULL) >= 0)
                b->doc = sym_xmlNewDoc((const xmlChar *) "1.0");
        node = b->doc ? sym_xmlNewDocNode(b->doc, NULL, (const xmlChar *) root, NULL) : NULL;
        if (node)
                sym_xmlDocSetRootElement(b->doc, node);
        b->failed = !node;
        return node;
}

static xmlNode *put(XmlBuild *b, xmlNode *parent, xmlNode *node) {
        if (!parent || !node || !sym_xmlAddChild(parent, node)) {
                b->failed = true;
                if (node)
                        sym_xmlFreeNode(node);
                return NULL;
        }
        return node;
}

xmlNode *xml_build_add(XmlBuild *b, xmlNode *parent, const char *name) {
        assert(b && name);

        return b->failed ? NULL : put(b, parent, sym_xmlNewDocNode(b->doc, NULL, (const xmlChar *) name, NULL));
}

static char *text_of(const char *fmt, va_list ap) _printf_(1, 0);
static char *text_of(const char *fmt, va_list ap) {
        char *text;

        return vasprintf(&text, fmt, ap) < 0 ? NULL : text;
}

xmlNode *xml_build_text(XmlBuild *b, xmlNode *parent, const char *name, const char *fmt, ...) {
        xmlNode *node = xml_build_add(b, parent, name);
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, fmt);
        text = text_of(fmt, ap);
        va_end(ap);
        if (node)
                (void) put(b, node, text ? sym_xmlNewDocText(b->doc, (const xmlChar *) text) : NULL);
        return node;
}

void xml_build_set(XmlBuild *b, xmlNode *node, const char *attribute, const char *fmt, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        assert(b && attribute);

        va_start(ap, fmt);
        text = text_of(fmt, ap);
        va_end(ap);
        if (!node || !text || !sym_xmlSetProp(node, (const xmlChar *) attribute, (const xmlChar *) text))
                b->failed = true;
}

int xml_build_finish(XmlBuild *b, char **ret) {
        xmlBuffer *buffer = b->failed ? NULL : sym_xmlBufferCreate();
        char *text = NULL;

        assert(b && ret);

        if (buffer && sym_xmlNodeDump(buffer, b->doc, sym_xmlDocGetRootElement(b->doc), 0, 1) >= 0 &&
            sym_xmlBufferCat(buffer, (const xmlChar *) "\n") == 0)
                text = strdup((const char *) sym_xmlBufferContent(buffer));
        if (buffer)
                sym_xmlBufferFree(buffer);
        if (b->doc)
                sym_xmlFreeDoc(b->doc);
        b->doc = NULL;
        if (!text)
                return -ENOMEM;
        *ret = text;
        return 0;
}
