/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "fault.h"
#include "macro.h"

/* What one QEMU binary can on this host. Plain data: filled by run/caps-probe.c or from the cache, read by everybody. */
typedef struct CapsMachine {
        char *name;             /* "pc-q35-7.2" */
        char *alias;            /* "q35", or NULL */
        char *cpu;              /* type of the default CPU ("qemu64-x86_64-cpu"), or NULL */
        char *ram_id;           /* id of the main memory backend ("pc.ram"), or NULL: -m has to do */
        uint32_t cpu_max;
        bool is_default, deprecated, hotplug_cpus, numa_mem;
} CapsMachine;

typedef struct CapsCpu {
        char *name;             /* "Skylake-Client" */
        bool tcg, kvm;          /* runs without missing features under that accelerator */
        bool deprecated, migratable;
} CapsCpu;

/* Sorted set of words. */
typedef struct CapsWords {
        char **words;
        size_t n, allocated;
} CapsWords;

typedef struct QemuCaps {
        unsigned n_ref;
        char *target;           /* "x86_64" */
        char *package;          /* what the distribution says, may be "" */
        uint32_t version;       /* 7002022 = 7.2.22 */
        bool kvm_present;       /* compiled in */
        bool kvm;               /* works here */
        bool tcg;
        bool sandbox;           /* -sandbox is compiled in */
        CapsMachine *machines;  /* sorted by name */
        size_t n_machines;
        CapsCpu *cpus;          /* sorted by name */
        size_t n_cpus;
        CapsWords devices;      /* for -device */
        CapsWords objects;      /* for -object */
        CapsWords chardevs;     /* backends without "chardev-": "socket", "spicevmc" */
} QemuCaps;

/* Counted: the store and each domain that was checked against it hold one. caps_free() drops a reference and returns NULL. */
QemuCaps *caps_new(void);
QemuCaps *caps_ref(QemuCaps *c);
QemuCaps *caps_free(QemuCaps *c);
DEFINE_CLEANUP(QemuCaps *, caps_free)

#define CAPS_VERSION(major, minor, micro) ((uint32_t) (major) * 1000000u + (uint32_t) (minor) * 1000u + (uint32_t) (micro))
static inline bool caps_version_min(const QemuCaps *c, unsigned major, unsigned minor) {
        return c->version >= CAPS_VERSION(major, minor, 0);
}

bool caps_has_device(const QemuCaps *c, const char *type);
bool caps_has_object(const QemuCaps *c, const char *type);
bool caps_has_chardev(const QemuCaps *c, const char *backend);
/* By name or alias; NULL or "" gives the default one. NULL: unknown. */
const CapsMachine *caps_machine(const QemuCaps *c, const char *name);
const CapsCpu *caps_cpu(const QemuCaps *c, const char *name);
static inline bool caps_cpu_known(const QemuCaps *c, const char *name) {
        return caps_cpu(c, name) != NULL;
}
/* The known name that is nearest to a wrong one, or NULL; for error texts. */
const char *caps_machine_near(const QemuCaps *c, const char *name);
const char *caps_cpu_near(const QemuCaps *c, const char *name);

/* Filling: results of QMP commands. All return -EBADMSG with FAULT_QEMU for a wrong shape. */
int caps_take_machines(QemuCaps *c, const json_t *query_machines, Fault *f);
int caps_take_cpus(QemuCaps *c, const json_t *query_cpu_definitions, bool kvm, Fault *f);
/* The "name" of each entry of a list into the empty set; with `prefix` only those that have it, without it. */
int caps_take_names(CapsWords *set, const json_t *list, const char *prefix, Fault *f);

/* The cache's form. caps_from_json() borrows and trusts nothing: FAULT_STORE, -EBADMSG. NULL: out of memory. */
json_t *caps_to_json(const QemuCaps *c);
int caps_from_json(const json_t *json, QemuCaps **ret, Fault *f);
