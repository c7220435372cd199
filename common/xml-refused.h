/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libxml/tree.h>

#include "fault.h"

/* Elements that are known and not done: they get a reason, where others would be unknown. */
typedef struct XmlRefused {
        const char *parent, *name;   /* "network/forward", "pf" */
        const char *reason, *hint;   /* the latter may be NULL */
} XmlRefused;

/* FAULT_NOT_SUPPORTED about the first of them in the document. */
int xml_refused_check(const xmlNode *root, const XmlRefused *rows, size_t n, Fault *f);
