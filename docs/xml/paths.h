/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "record.h"

/* Every place in a kind of XML where a value may stand, as the tables of its records say. The programs that use this write manual pages and
 * end: what they hold is static and never freed, and without memory they end at once. */

typedef struct XmlPath {
        const char *path;          /* "devices/disk/driver/@cache"; "…/." is the text of an element */
        const Field *field;
        const RecordType *variant; /* of an element that is one of many: its own table; else NULL */
} XmlPath;

typedef struct XmlPaths {
        XmlPath *items;
        size_t n, allocated;
} XmlPaths;

/* Appends all that lie below `prefix`, which is empty or ends in "/". A record that may lie in itself is gone into once. */
void xml_paths_add(XmlPaths *paths, const char *prefix, const RecordType *type);

/* What may be written there, in words: "number 1-16", "yes | no"; new string. */
char *xml_type_text(const XmlPath *p);

/* `p`, which is not NULL: else the program ends. */
void *must(void *p);

/* Who has which word, told the short way: the words of most come last. */
typedef struct XmlGroup {
        const char *text, *names;  /* owned */
        size_t n;
} XmlGroup;
typedef struct XmlGroups {
        XmlGroup items[16];
        size_t n;
} XmlGroups;
/* `text` NULL: nothing. */
void xml_groups_add(XmlGroups *g, const char *text, const char *name);
/* "x" where all say the same, else "x (A, B), otherwise y", or, where not everybody was asked, "x (A, B), y (C, D)"; NULL: nothing was
 * added. New string; the groups are empty afterwards. */
char *xml_groups_text(XmlGroups *g, bool everybody);
