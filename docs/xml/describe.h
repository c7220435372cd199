/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "paths.h"

/* What people are told about each path, from a text file, in the order in which it is told:
 *
 *     # a comment
 *     == A SECTION
 *         What is said before its paths. An empty line begins a new paragraph.
 *     devices/disk/driver/@cache
 *         What it is, in reStructuredText. Of paths that belong to several devices, one description may be for several: a name may be "*", any,
 *         or names with commas in between.
 */

typedef enum XmlTextKind { XML_TEXT_SECTION, XML_TEXT_PATH } XmlTextKind;

typedef struct XmlText {
        XmlTextKind kind;
        char *name;                /* of the section, or the paths it is for */
        char *text;                /* NULL: none */
        unsigned line;
} XmlText;

typedef struct XmlTexts {
        XmlText *items;
        size_t n, allocated;
} XmlTexts;

/* Ends the program where the file can't be read or is not as above. */
void xml_texts_read(XmlTexts *texts, const char *file);

bool xml_text_is_for(const XmlText *t, const char *path);
/* What of a path stands where the pattern has "*" or several names, the last of them if there are more; new string, "" if there is none. */
char *xml_text_name_in(const XmlText *t, const char *path);

/* Calls `told` with each fault: paths with no or two descriptions, descriptions of what does not exist or differs. Returns how many. */
size_t xml_texts_check(const XmlTexts *texts, const XmlPaths *paths, const char *file, void (*told)(const char *fault));
