/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "relay-outside.h"

typedef struct RelaySpec {
        Outside *outside;            /* open already, or one that comes and goes */
        const char *name;            /* of that, for the log */
        unsigned retry_sec;          /* from one try to the next */
        int life;                    /* a socket whose other end is there as long as QEMU */
        int place;                   /* of the socket that QEMU listens at, a descriptor of its file */
} RelaySpec;

/* Carries bytes until QEMU ends. */
void relay_run(const RelaySpec *spec);
