/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "domain.h"

/* The journal of what runs: one file per active domain in RUNDIR, replaced at every step and change of state, so that the next
 * daemon finds everything this one knew. Contents: JSON with the live definition as XML inside. */

/* Writes the file of an active domain, removes that of an inactive one. Failures are logged, and it is tried again every two seconds: a VM is
 * not stopped for them. */
int status_save(Domain *d);
/* For what may not be done where nobody would know of it afterwards: FAULT_STORE. */
int status_must_save(Domain *d, Fault *f);

/* What a file says. */
typedef struct Status {
        char *name;
        sd_id128_t uuid;
        DomainState state;
        StateReason reason;
        uint64_t state_usec, start_usec;
        char *step;                  /* of the start that was under way; NULL: none */
        unsigned start_flags;
        bool handed_over, running_guest, terminated;
        pid_t supervisor_pid;        /* 0: none yet */
        uint64_t supervisor_start;
        char *unit, *machine_name, *pause_reason;
        char **warnings, **tainted;
        json_t *events;              /* as events_to_json() has them; NULL: none */
        json_t *companions;          /* likewise */
        json_t *journal;             /* Instance.journal; NULL: none */
        json_t *awaited;             /* usb_return_to_json(); NULL: none */
        char *definition;            /* live XML */
} Status;

int status_parse(const char *text, size_t length, Status *ret, Fault *f);
void status_clear(Status *s);
#define _cleanup_status_ _cleanup_(status_clear)
