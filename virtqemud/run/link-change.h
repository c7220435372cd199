/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* The cable of an interface: pulled or plugged in, of the running domain, of the definition, or of both as one. */
typedef struct LinkChange {
        const char *device;      /* id */
        bool up;
        bool live, config;       /* neither: of the running one, else of the definition */
        bool validate_only;      /* looks whether it can be done */
} LinkChange;

/* From within the call or later, exactly once; when one of both fails, neither is changed. */
typedef void (*LinkChangeDone)(const Fault *why, void *userdata);
int link_change(Domain *d, const LinkChange *c, LinkChangeDone done, void *userdata, Fault *f);
