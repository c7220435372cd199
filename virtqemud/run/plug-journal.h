/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "domain.h"

/* What is being done to a QEMU that runs, written into its status before the first command is sent: if this daemon dies on the way, the next
 * one takes it back or brings it to its end, so that nothing is left in QEMU of what no definition knows. */

typedef enum PlugWay {
        PLUG_BACK,           /* what has a way back is taken back, in reverse, whether it was done or not; but a device that is there stays */
        PLUG_ON,             /* the rest is done; what is done already fails and is not minded */
        PLUG_ASKED,          /* the guest was to let go of it: the definition follows what has become of that */
        PLUG_COUNTED,        /* CPUs: if one has come all come, and the definition follows where it got what it wanted */
        _PLUG_WAY_MAX,
        _PLUG_WAY_INVALID = -EINVAL,
} PlugWay;
DECLARE_ENUM(PlugWay, plug_way);

typedef struct PlugRecord {
        const char *device;          /* by which the record is found; one that is there already is replaced */
        PlugWay way;
        json_t *commands;            /* of the script; stays the caller's */
        const char *config;          /* the persistent definition as it was, where that changes, too; or NULL */
        const DomainDef *next;       /* the live definition with what is new in it; or NULL */
        json_t *companions;          /* as companions_to_json() has them; or NULL; taken over */
        bool limited;                /* virtnetworkd may have been told another bandwidth */
        bool tuned;                  /* the unit and QEMU's threads may have been told what `next` says */
        uint64_t vcpus;              /* PLUG_COUNTED: so many there shall be */
} PlugRecord;

/* Remembers it and saves the domain's status. Where that fails, nothing may be done. */
int plug_journal_write(Domain *d, const PlugRecord *record, Fault *f);
/* It is over, one way or the other. The caller saves. */
void plug_journal_drop(Domain *d, const char *device);
/* The same for what may not be in it, and saves if it is. */
void plug_journal_end(Domain *d, const char *device);

/* QEMU's monitor is there, and what a daemon before this one has begun, or this one could not take back, is ended. */
void plug_journal_take_up(Instance *i);
/* DEVICE_DELETED. */
void plug_journal_device_deleted(Instance *i);
/* FAULT_BUSY while something is still being taken back: its names are in use. */
int plug_journal_check(const Domain *d, Fault *f);

struct PlugTakeUp *plug_take_up_free(struct PlugTakeUp *t);
