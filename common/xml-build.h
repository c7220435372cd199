/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "xml-lib.h"

/* A document made piece by piece, for what is only ever written. A failed allocation is remembered; the end then says so, and nodes
 * in between may be NULL. */
typedef struct XmlBuild {
        xmlDoc *doc;
        bool failed;
} XmlBuild;

/* NULL: the library can't be loaded, or there is no memory. */
xmlNode *xml_build_start(XmlBuild *b, const char *root);
xmlNode *xml_build_add(XmlBuild *b, xmlNode *parent, const char *name);
/* With a text in it. */
xmlNode *xml_build_text(XmlBuild *b, xmlNode *parent, const char *name, const char *fmt, ...) _printf_(4, 5);
void xml_build_set(XmlBuild *b, xmlNode *node, const char *attribute, const char *fmt, ...) _printf_(4, 5);
/* Indented, and freed. -ENOMEM. */
int xml_build_finish(XmlBuild *b, char **ret);
