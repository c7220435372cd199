/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libxml/tree.h>

#include "record.h"

typedef enum XmlWriteFlags {
        XML_WRITE_LIVE    = 1 << 0,   /* with FIELD_LIVE fields */
        XML_WRITE_SECRETS = 1 << 1,   /* with FIELD_SECRET fields; without, they are left out of a new document and removed from a
                                       * merged copy */
} XmlWriteFlags;

/* Brings the document of `r->node` up to date with the record: only what differs is touched, so comments, order, quoting and the
 * writer's own way to say a value (units, white space) stay. Elements made by code are added in table order, well indented;
 * elements of records that are gone are removed. A field whose text already means the record's value is left alone. */
int xml_merge_record(Record *r, unsigned flags);

/* The text of a document as UTF-8 without the <?xml …?> line, ending in a newline. */
int xml_doc_to_text(xmlDoc *doc, char **ret);

/* Indented text of the record alone (no comments): what a live definition is exported as. */
int xml_record_to_text(const Record *r, unsigned flags, char **ret);
