/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"
#include "steps.h"

/* Something that changes a domain and takes time: a table of steps with its own state behind `data`. A domain has at most one; a
 * second one is refused with FAULT_BUSY. bus/ shows it as a job. */
typedef struct OperationType OperationType;

struct Operation {
        Domain *domain;
        const OperationType *type;
        const char *name;          /* "start", "shutdown", … */
        unsigned id;               /* never used twice in one life of the daemon */
        Steps *steps;
        void *data;                /* what its steps work on */
        uint64_t done, total;      /* bytes; total 0: not known */
        void *watcher;             /* bus/'s job, set and cleared by it */
        bool ended;                /* and not dropped */
};

struct OperationType {
        const char *name;
        const StepTable *steps;    /* their userdata is the Operation */
        void (*free_data)(void *data);
        /* QEMU has ended under it, and its instance is about to go; may be NULL for those that wait for that or don't mind. */
        void (*qemu_ended)(Operation *o);
        /* Runs before anybody hears of the end; may be NULL. */
        void (*finished)(Operation *o, int error, const Fault *f);
        /* It is forgotten before it has ended: who waits for it is told. May be NULL. */
        void (*dropped)(Operation *o, const Fault *f);
};

/* Begins; takes over `data`, also on failure. FAULT_BUSY while another operation has the domain. */
int operation_begin(Domain *d, const OperationType *type, size_t first_step, void *data, Operation **ret, Fault *f);

/* The answer its step waited for: NULL, or why it failed. */
void operation_continue(Operation *o, const Fault *why);

/* How far it has come, in bytes. */
void operation_progress(Operation *o, uint64_t done, uint64_t total);

/* OperationType.qemu_ended of those that can't do without it. */
void operation_qemu_ended(Operation *o);

/* Ends it as failed with that cause; its undos run. */
void operation_cancel(Operation *o, Fault *why);

/* Forgets it without undoing: this daemon ends, the next one takes it up. */
Operation *operation_free(Operation *o);
DEFINE_CLEANUP(Operation *, operation_free)
