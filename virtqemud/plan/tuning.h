/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "../def/domain-def.h"
#include "../device/device.h"

/* Settings of a domain that can be changed one by one while it runs, by their names and with a type: how much of the host it may use, where
 * its threads run, which threads there are for disks. Those that are its unit's have systemd's names. */

typedef enum TuningType {
        TUNING_NUMBER,           /* t; UINT64_MAX: not said */
        TUNING_TEXT,             /* s; "": not said */
        TUNING_PINS,             /* a(us): a thread and its processors */
        TUNING_THREADS,          /* au */
} TuningType;

typedef struct TuningPin {
        uint64_t thread;
        const char *cpus;        /* NULL of TUNING_THREADS */
} TuningPin;

typedef struct TuningRow TuningRow;

/* Texts in it are whose it came from: the message's, or the definition's. */
typedef struct TuningValue {
        const TuningRow *row;
        uint64_t number;
        const char *text;
        TuningPin *pins;         /* owned */
        size_t n_pins;
} TuningValue;
void tuning_value_clear(TuningValue *v);
#define _cleanup_tuning_value_ _cleanup_(tuning_value_clear)

struct TuningRow {
        const char *name;
        TuningType type;
        int (*set)(DomainDef *def, const TuningValue *v, Fault *f);
        int (*get)(const DomainDef *def, TuningValue *ret);
        uint64_t min, max;       /* of numbers */
};

/* NULL: there is none of that name. */
const TuningRow *tuning_find(const char *name);
/* All of them, one after the other; NULL: there are no more. */
const char *tuning_name(size_t i);
/* Rules are the definition's (domain_check), beside what a value can be at all: FAULT_INVALID_ARGS. */
int tuning_set(DomainDef *def, const TuningValue *v, Fault *f);
int tuning_get(const DomainDef *def, const TuningRow *row, TuningValue *ret);
const char *tuning_signature(TuningType type);

/* Gives `to` the settings of this kind that `from` has, and the other way round. */
void tuning_swap(DomainDef *to, DomainDef *from);

/* The threads for disks that come and go, as QMP commands with their undos, appended. */
int tuning_commands(const DomainDef *before, const DomainDef *after, json_t *commands);
/* tune_pins() of `after`, and what frees the threads that were pinned `before`; NULL: nothing changes. */
int tuning_pins(const DomainDef *before, const DomainDef *after, char **ret);

/* When a change of the definition at that path, which is no device's, comes into effect. */
ChangeVerdict domain_verdict(const char *path);
