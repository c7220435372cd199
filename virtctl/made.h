/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* What a command has made so far, so that nothing stays of it if it does not come to its end. While this is kept, Ctrl-C does not end virtctl
 * but the job that is waited for; between jobs made_stopped() tells. */

typedef struct Made {
        Client *client;
        char **volumes;          /* objects */
        char *domain;            /* object */
        bool held;               /* signals are */
} Made;

void made_begin(Made *m, Client *c);
/* Ends the keeping; what was made stays. */
void made_end(Made *m);
/* Removes everything again, the last first, and says so. */
void made_undo(Made *m);
/* Whether the user, or somebody, wants it to end; tells that. 0, or FAILED. */
int made_stopped(const Made *m);

int made_add_volume(Made *m, const char *object);
int made_set_domain(Made *m, const char *object);
