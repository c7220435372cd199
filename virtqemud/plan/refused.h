/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libxml/tree.h>

#include "fault.h"

/* Elements of libvirt's format that are not done, each with the reason, and what does the same: a better answer than that they are not known.
 * FAULT_NOT_SUPPORTED. */
int refused_check(const xmlNode *root, Fault *f);
/* The same of one device's element. */
int refused_check_device(const xmlNode *device, Fault *f);

/* The i-th of them: an element, or where `attribute` is set, a value of it. False: there are no more. */
typedef struct Refused {
        const char *parent, *name;         /* "domain/devices/disk"; name NULL: */
        const char *attribute, *value;
        const char *reason, *hint;         /* hint NULL: none */
} Refused;
bool refused_row(size_t i, Refused *ret);
