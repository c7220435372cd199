/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "network.h"
#include "steps.h"

/* What a start and a stop are made of. A stop fails in its first step or goes on to the end. */
extern const StepTable network_steps_start, network_steps_stop;

/* A start, stop or change under way. */
typedef struct NetworkOperation {
        DefinedDone done;
        void *userdata;
        const StepTable *what;       /* NULL: a change */
        Steps *steps;
        NetworkDef *next;            /* of a change */
} NetworkOperation;

/* The steps of a start that are before dnsmasq and after the note, all at once: for one that is taken up. */
int network_bring_up(Network *n, Fault *f);
/* Takes back a start but for dnsmasq: nothing but its definition is left. */
void network_take_down(Network *n);

/* 1: it needs none. */
int network_start_dnsmasq(Network *n, DnsmasqDone done, Fault *f);
/* Without starting it. */
int network_make_dnsmasq(Network *n);

/* Until it is started or stopped the next time. */
void network_warn(Network *n, const char *text);
