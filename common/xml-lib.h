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
        X(xmlNewDocText) X(xmlNewParserCtxt) X(xmlNodeDump) X(xmlNodeGetContent) X(xmlNodeListGetString) X(xmlReplaceNode) X(xmlSetProp)  \
        X(xmlSetStructuredErrorFunc) X(xmlStopParser) X(xmlUnlinkNode) X(xmlUnsetProp)

#define XML_DECLARE_SYMBOL(name) extern typeof(name) *sym_##name;
XML_LIBRARY_SYMBOLS(XML_DECLARE_SYMBOL)
#undef XML_DECLARE_SYMBOL

/* Whoever makes documents calls this first; whoever was given one needs not. Costs nothing after the first time. */
int xml_library_load(Fault *f);

/* The text of an element with its own tags. Returns -ENOMEM, or 0. */
int xml_node_to_text(const xmlNode *node, char **ret);
