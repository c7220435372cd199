/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libxml/parser.h>
#include <libxml/tree.h>

#include "fault.h"

/* libxml2 is loaded when the first definition is read. It brings ICU and the C++ runtime with it: 2 MB that a daemon which merely waits
 * should not take. */
#define XML_LIBRARY_SYMBOLS(X)                                                                                                            \
        X(xmlAddChild) X(xmlAddNextSibling) X(xmlAddPrevSibling) X(xmlBufferCat) X(xmlBufferContent) X(xmlBufferCreate)                   \
        X(xmlBufferFree) X(xmlCtxtReadMemory) X(xmlDocCopyNode) X(xmlDocGetRootElement) X(xmlDocSetRootElement) X(xmlFree) X(xmlFreeDoc)  \
        X(xmlFreeNode) X(xmlFreeParserCtxt) X(xmlGetLineNo) X(xmlGetNoNsProp) X(xmlIsBlankNode) X(xmlNewDoc) X(xmlNewDocNode)             \
        X(xmlNewDocText) X(xmlNewNs) X(xmlNewParserCtxt) X(xmlNodeDump) X(xmlNodeGetContent) X(xmlNodeListGetString) X(xmlReplaceNode)    \
        X(xmlSearchNsByHref) X(xmlSetProp) X(xmlSetStructuredErrorFunc) X(xmlStopParser) X(xmlUnlinkNode) X(xmlUnsetProp)

#define XML_DECLARE_SYMBOL(name) extern typeof(name) *sym_##name;
XML_LIBRARY_SYMBOLS(XML_DECLARE_SYMBOL)
#undef XML_DECLARE_SYMBOL

/* Whoever makes documents calls this first; whoever was given one needs not. Costs nothing after the first time. */
int xml_library_load(Fault *f);

/* What libvirt's formats have no word for stands in a name space of ours ("virtbus:"); what they keep apart in one of theirs ("fs:",
 * "rbd:"). The tables of records write such names with these prefixes, whatever prefix a document has chosen. */
#define XML_NAME_MAX 128u

/* An element's name as the tables have it, in `buffer` if need be; NULL: it is in somebody else's name space, or too long. */
const char *xml_table_name(const xmlNode *element, char buffer[XML_NAME_MAX]);
/* A new element for `doc`, of a name as the tables have it, to be put below `parent`. NULL: out of memory. */
xmlNode *xml_new_element(xmlNode *parent, const char *table_name);

/* The text of an element with its own tags. Returns -ENOMEM, or 0. */
int xml_node_to_text(const xmlNode *node, char **ret);
