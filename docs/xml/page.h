/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "paths.h"

/* One thing that is known and refused. */
typedef struct XmlRefusal {
        char *what;                /* as a reader finds it: "devices/disk/mirror", "devices/disk/@type = vhostvdpa" */
        const char *why, *instead; /* instead: NULL: nothing */
} XmlRefusal;

#define XML_SECTION_REFUSED "WHAT IS REFUSED, AND WHY"

/* What a manual page of one kind of XML is made of. */
typedef struct XmlPage {
        const char *name, *title;  /* "virtbus.domain" */
        struct { const char *prefix; const RecordType *type; } roots[4];
        /* New strings, NULL: nothing to say. When a change comes into effect, and what it is when nobody says. */
        char *(*when)(const XmlPath *p);
        char *(*preset)(const XmlPath *p);
        bool (*refused)(size_t i, XmlRefusal *ret); /* told in the section of that name */
        /* Rules of its own; as xml_texts_check(). NULL: none. */
        size_t (*check)(void (*told)(const char *fault));
} XmlPage;

/* PROGRAM TEXTS: writes the page. PROGRAM --check TEXTS: whether it is complete, in the Test Anything Protocol. PROGRAM --paths: the paths. */
int xml_page_main(const XmlPage *page, int argc, char **argv);
