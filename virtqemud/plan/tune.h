/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/domain-def.h"

/* Limits of a domain as properties of its unit. */

typedef struct UnitProperty {
        const char *name;
        uint64_t value;          /* for those that are numbers */
        uint8_t *set;            /* AllowedCPUs, AllowedMemoryNodes: a bit for each; owned */
        size_t n_set;
        struct UnitPair {        /* IOReadBandwidthMax and the like: a device and its limit; owned, but for the paths */
                const char *path;
                uint64_t value;
        } *pairs;
        size_t n_pairs;
        bool is_pairs;           /* there may be none: what was said before is forgotten */
        bool is_device;          /* DeviceAllow */
        const char *device;      /* which may be read and written; NULL: none, what was said before is forgotten */
} UnitProperty;

#define TUNE_PROPERTIES_MAX 24u
typedef struct UnitProperties {
        UnitProperty items[TUNE_PROPERTIES_MAX];
        size_t n;
} UnitProperties;
void unit_properties_clear(UnitProperties *p);
#define _cleanup_unit_properties_ _cleanup_(unit_properties_clear)

/* With `reset` the same properties as they are where nobody has said anything. Paths in it are the definition's. -ENOMEM. */
int tune_properties(const DomainDef *def, bool reset, UnitProperties *ret);
/* Likewise the devices that QEMU opens by itself, which it must be told of before QEMU starts. Added to what is in `p`. */
void tune_devices(const DomainDef *def, bool reset, UnitProperties *p);
/* What has to be told so that those of `before` become those of `after`: these, and the others reset. */
int tune_change(const DomainDef *before, const DomainDef *after, UnitProperties *ret);

/* What the supervisor is told about QEMU's threads (PLAN_PINS); new string, NULL: nothing. */
int tune_pins(const DomainDef *def, char **ret);

/* Likewise how they are scheduled; threads_schedule() of thread-pin.h reads it. */
int tune_schedulers(const DomainDef *def, char **ret);

int tune_check(const DomainDef *def, Fault *f);
