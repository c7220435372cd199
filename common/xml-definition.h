/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libxml/tree.h>

#include "record.h"
#include "xml-refused.h"

/* What every definition (of a domain, a network, a pool, …) begins with; `def` below is one of those. */
typedef struct XmlDefinition {
        Record head;
        xmlDoc *doc;                 /* what it was read from, with comments; owned; NULL for copies and what is made by code */
} XmlDefinition;

/* Likewise, of what has a name and a UUID. */
#define DEFINITION_MEMBERS                                                                              \
        Record head;                                                                                    \
        xmlDoc *doc;                 /* what it was read from; NULL for copies */                       \
        char *name;                                                                                     \
        sd_id128_t uuid

typedef struct Definition {
        DEFINITION_MEMBERS;
} Definition;

/* Reads a document whose root is what `type` describes. */
int xml_definition_read(const char *text, size_t length, const RecordType *type, const XmlRefused *refused, size_t n_refused, void **ret, Fault *f);
/* The document as it was written, brought up to date, or a new one where there is none. `flags` as in xml-write.h. */
int xml_definition_to_text(void *def, unsigned flags, char **ret, Fault *f);
/* With its document; takes NULL, returns NULL. */
void *xml_definition_free(void *def);
