/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libxml/tree.h>

#include "device-def.h"
#include "record.h"

typedef struct DomainDef DomainDef;

typedef enum DomainType { DOMAIN_TYPE_NONE, DOMAIN_TYPE_KVM, DOMAIN_TYPE_QEMU, _DOMAIN_TYPE_MAX, _DOMAIN_TYPE_INVALID = -EINVAL } DomainType;
DECLARE_ENUM(DomainType, domain_type);

/* What happens to the domain when its guest powers off, reboots or crashes. */
typedef enum LifecycleAction {
        LIFECYCLE_NONE,
        LIFECYCLE_DESTROY,
        LIFECYCLE_RESTART,
        LIFECYCLE_PRESERVE,
        LIFECYCLE_RENAME_RESTART,
        LIFECYCLE_COREDUMP_DESTROY,
        LIFECYCLE_COREDUMP_RESTART,
        _LIFECYCLE_MAX,
        _LIFECYCLE_INVALID = -EINVAL,
} LifecycleAction;
DECLARE_ENUM(LifecycleAction, lifecycle_action);

typedef enum CpuMode {
        CPU_MODE_NONE,
        CPU_MODE_CUSTOM,
        CPU_MODE_HOST_MODEL,
        CPU_MODE_HOST_PASSTHROUGH,
        CPU_MODE_MAXIMUM,
        _CPU_MODE_MAX,
        _CPU_MODE_INVALID = -EINVAL,
} CpuMode;
DECLARE_ENUM(CpuMode, cpu_mode);

typedef enum CpuPolicy {
        CPU_POLICY_NONE,
        CPU_POLICY_FORCE,
        CPU_POLICY_REQUIRE,
        CPU_POLICY_OPTIONAL,
        CPU_POLICY_DISABLE,
        CPU_POLICY_FORBID,
        _CPU_POLICY_MAX,
        _CPU_POLICY_INVALID = -EINVAL,
} CpuPolicy;
DECLARE_ENUM(CpuPolicy, cpu_policy);

typedef enum ClockOffset {
        CLOCK_NONE,
        CLOCK_UTC,
        CLOCK_LOCALTIME,
        CLOCK_VARIABLE,
        CLOCK_TIMEZONE,
        CLOCK_ABSOLUTE,
        _CLOCK_MAX,
        _CLOCK_INVALID = -EINVAL,
} ClockOffset;
DECLARE_ENUM(ClockOffset, clock_offset);

/* <domain>. Sizes are bytes. Members in the order of the table in domain-def.c, which names their places in the XML; enums, records of
 * cpu features, timers, boot devices and the like stand there too. */
struct DomainDef {
        Record head;
        xmlDoc *doc;             /* the text as written, with comments; owned; NULL for a live definition made by code */

        DomainType type;
        uint64_t id;             /* live only */
        char *name;
        sd_id128_t uuid;
        char *title, *description;
        struct _xmlNode *metadata;

        uint64_t memory, current_memory;
        uint64_t vcpus, vcpus_current;
        int vcpu_placement;      /* enum in domain-def.c: static, auto */
        char *vcpu_cpuset;

        int os_firmware;         /* enum: efi, bios */
        int os_type;             /* enum: hvm */
        char *arch, *machine;
        char *kernel, *initrd, *cmdline;
        char *loader;            int loader_type; Tristate loader_readonly, loader_secure;
        char *nvram, *nvram_template;
        RecordList boot;         /* BootDevice */
        Tristate bootmenu;       uint64_t bootmenu_timeout; /* ms */

        bool acpi, apic, pae;

        int cpu_mode;            /* CpuMode */
        int cpu_match, cpu_check; Tristate cpu_migratable;
        char *cpu_model;         int cpu_fallback;
        uint64_t cpu_sockets, cpu_dies, cpu_cores, cpu_threads;
        RecordList cpu_features; /* CpuFeature */

        int clock_offset;        /* ClockOffset */
        int64_t clock_adjustment;
        int clock_basis;
        char *clock_timezone;
        uint64_t clock_start;
        RecordList timers;       /* Timer */

        int on_poweroff, on_reboot, on_crash;
        Tristate suspend_to_mem, suspend_to_disk;

        char *emulator;
        RecordList devices;      /* Device, in document order */
};
extern const RecordType domain_record;

typedef struct BootDevice {
        Record head;
        int dev;                 /* enum: fd, hd, cdrom, network */
} BootDevice;

typedef struct CpuFeature {
        Record head;
        char *name;
        int policy;              /* CpuPolicy */
} CpuFeature;

typedef struct Timer {
        Record head;
        int name;                /* enum: rtc, pit, hpet, hypervclock, kvmclock, tsc, … */
        Tristate present;
        int tickpolicy, track;
} Timer;

DomainDef *domain_def_free(DomainDef *def);
DEFINE_CLEANUP(DomainDef *, domain_def_free)

/* The device with that QEMU id, user alias or (disks) target name; NULL if there is none. */
Device *domain_find_device(const DomainDef *def, const char *name);
