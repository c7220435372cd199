/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libxml/tree.h>

#include "fault.h"
#include "record.h"

/* Safe reading of XML that strangers wrote. Nothing is fetched, no entity is expanded, no DTD is looked at. Every error is
 * FAULT_INVALID_DEFINITION with "line N, domain/devices/disk: …", and names the nearest known word for an unknown one. */
#define XML_SIZE_MAX (8u * 1024 * 1024)
#define XML_DEPTH_MAX 64u

/* Parses a whole document with that root element (NULL: any). Comments and white space are kept. DTDs and entity declarations are refused. */
int xml_parse(const char *text, size_t length, const char *root, xmlDoc **ret, Fault *f);
void xml_doc_free(xmlDoc *doc);
DEFINE_CLEANUP_VOID(xmlDoc *, xml_doc_free)

/* Fills a fresh record of `type` from an element. Every attribute and child element must be in the table. The record's nodes point
 * into the element's document. */
int xml_read_record(xmlNode *element, const RecordType *type, void **ret, Fault *f);

/* Sets an error about an element: "line 12, domain/devices/disk: MESSAGE". For checks that run after reading, r->line and the
 * element's path are known from the record; a record made by code is named by its type. Returns -EINVAL. */
int xml_fault(const Record *r, Fault *f, FaultKind kind, const char *fmt, ...) _printf_(4, 5);
#define xml_fault(...) as_negative(xml_fault(__VA_ARGS__))

/* The same about a part of the record that is no record itself, named by its path below ("os/nvram", "vcpu/@current"). */
int xml_fault_below(const Record *r, const char *path, Fault *f, FaultKind kind, const char *fmt, ...) _printf_(5, 6);
#define xml_fault_below(...) as_negative(xml_fault_below(__VA_ARGS__))
