/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device-def.h"
#include "domain-parts.h"
#include "domain-words.h"
#include "memory-def.h"
#include "numa-def.h"
#include "tune-def.h"
#include "xml-definition.h"

typedef struct DomainDef DomainDef;

typedef enum ClockBasis { BASIS_NONE, BASIS_UTC, BASIS_LOCALTIME, _CLOCK_BASIS_MAX, _CLOCK_BASIS_INVALID = -EINVAL } ClockBasis;
DECLARE_ENUM(ClockBasis, clock_basis);

typedef enum CpuMatch { CPU_MATCH_NONE, CPU_MATCH_MINIMUM, CPU_MATCH_EXACT, CPU_MATCH_STRICT, _CPU_MATCH_MAX, _CPU_MATCH_INVALID = -EINVAL } CpuMatch;
DECLARE_ENUM(CpuMatch, cpu_match);

typedef enum CpuCheck { CPU_CHECK_UNSET, CPU_CHECK_NONE, CPU_CHECK_PARTIAL, CPU_CHECK_FULL, _CPU_CHECK_MAX, _CPU_CHECK_INVALID = -EINVAL } CpuCheck;
DECLARE_ENUM(CpuCheck, cpu_check);

/* <cache mode>: which the guest finds. */
typedef enum CpuCache { CPU_CACHE_NONE, CPU_CACHE_EMULATE, CPU_CACHE_PASSTHROUGH, CPU_CACHE_DISABLE, _CPU_CACHE_MAX, _CPU_CACHE_INVALID = -EINVAL } CpuCache;
DECLARE_ENUM(CpuCache, cpu_cache);

/* <maxphysaddr mode>: how wide its addresses are. */
typedef enum CpuAddress { CPU_ADDRESS_NONE, CPU_ADDRESS_EMULATE, CPU_ADDRESS_PASSTHROUGH, _CPU_ADDRESS_MAX, _CPU_ADDRESS_INVALID = -EINVAL } CpuAddress;
DECLARE_ENUM(CpuAddress, cpu_address);

typedef enum SmbiosMode { SMBIOS_NONE, SMBIOS_EMULATE, SMBIOS_HOST, SMBIOS_SYSINFO, _SMBIOS_MODE_MAX, _SMBIOS_MODE_INVALID = -EINVAL } SmbiosMode;
DECLARE_ENUM(SmbiosMode, smbios_mode);

typedef enum SysinfoType { SYSINFO_NONE, SYSINFO_SMBIOS, SYSINFO_FWCFG, _SYSINFO_TYPE_MAX, _SYSINFO_TYPE_INVALID = -EINVAL } SysinfoType;
DECLARE_ENUM(SysinfoType, sysinfo_type);

/* <sysinfo>: lists of SysinfoEntry. There is one of each type. */
typedef struct Sysinfo {
        Record head;
        int type;                /* SysinfoType */
        RecordList bios, product, base_board, chassis, oem_strings, configuration;
} Sysinfo;

/* A feature element whose bare presence means on: <vmport/>, <vmport state='off'/>. */
typedef struct Switch {
        bool present;
        Tristate state;
} Switch;
static inline Tristate switch_state(const Switch *s) {
        return s->state != UNSET ? s->state : s->present ? YES : UNSET;
}

typedef enum HypervMode { HYPERV_NONE, HYPERV_CUSTOM, HYPERV_PASSTHROUGH, _HYPERV_MODE_MAX, _HYPERV_MODE_INVALID = -EINVAL } HypervMode;
DECLARE_ENUM(HypervMode, hyperv_mode);

/* <features><hyperv>: what a Windows guest finds; each is a property of QEMU's CPU (plan/cpu.c). */
typedef struct Hyperv {
        int mode;                /* HypervMode */
        Tristate relaxed, vapic, spinlocks, vpindex, runtime, synic, stimer, stimer_direct, reset, vendor_id, frequencies,
                reenlightenment, tlbflush, tlbflush_direct, tlbflush_extended, ipi, evmcs, avic, emsr_bitmap, xmm_input;
        uint64_t spinlock_retries;
        char *vendor_id_value;
} Hyperv;

/* <domain>. Sizes are bytes. Members in the order of the table in domain-def.c, which names their places in the XML; enums, records of
 * cpu features, timers, boot devices and the like stand there too. */
struct DomainDef {
        Record head;
        xmlDoc *doc;             /* the text as written, with comments; owned; NULL for a live definition made by code */

        DomainType type;
        uint64_t id;             /* live only */
        char *name;
        sd_id128_t uuid;
        sd_id128_t genid;
        char *title, *description;
        struct _xmlNode *metadata;
        struct _xmlNode *launch_security; /* nothing of it is done */

        uint64_t memory, current_memory;
        Tristate memory_dump;    /* whether QEMU's core dumps have it */
        uint64_t memory_max, memory_slots; /* <maxMemory>: with all that can be plugged in */
        MemoryBacking memory_backing;
        Numa numa;
        RecordList vcpu_list;    /* VcpuState */
        RecordList labels;       /* SecurityLabel */
        RecordList extra_args, extra_env; /* ExtraArg: <qemu:commandline> */
        uint64_t vcpus, vcpus_current;
        uint64_t iothreads;      /* how many */
        uint64_t main_pool_min, main_pool_max; /* <defaultiothread>: threads for blocking work of QEMU's main loop */
        uint64_t code_cache;     /* bytes of translated code that type 'qemu' keeps */
        RecordList iothread_ids; /* IothreadId */
        int vcpu_placement;      /* VcpuPlacement */
        char *vcpu_cpuset;
        Tune tune;
        char *partition;         /* <resource>: the slice, as libvirt writes it */

        int os_firmware;         /* OsFirmware */
        int os_type;             /* enum: hvm */
        char *arch, *machine;
        RecordList firmware_features; /* FirmwareFeature */
        char *kernel, *initrd, *cmdline;
        char *loader;
        int loader_type;         /* LoaderType */
        int loader_format;       /* enum: raw */
        Tristate loader_readonly, loader_secure, loader_stateless;
        char *nvram, *nvram_source; /* one of them, see domain_nvram() */
        char *nvram_template;
        int nvram_type, nvram_format, template_format; /* enums: file, raw */
        RecordList boot;         /* BootDevice */
        Tristate bootmenu;       uint64_t bootmenu_timeout; /* ms */
        int64_t reboot_timeout;  /* ms; -1: stay, the firmware's message standing */
        int smbios_mode;         /* SmbiosMode */
        RecordList acpi_tables;  /* AcpiTable */
        RecordList sysinfo;      /* Sysinfo */

        bool acpi, apic, pae;    Tristate apic_eoi;
        uint64_t smm_segment;    /* bytes */
        Tristate bios_serial;
        char *cpu_vendor;        /* what the writer's host had */
        uint64_t cpu_clusters;
        Switch vmport, smm, pmu, pvspinlock, vmcoreinfo;
        Tristate ps2;
        int ioapic;              /* IoapicDriver */
        Tristate kvm_hidden, kvm_hint_dedicated, kvm_poll_control, kvm_pv_ipi, dirty_ring;
        uint64_t dirty_ring_size;    /* entries for each CPU */
        Hyperv hyperv;

        int cpu_mode;            /* CpuMode */
        int cpu_match, cpu_check; Tristate cpu_migratable;
        char *cpu_model;         int cpu_fallback; char *cpu_vendor_id;
        uint64_t cpu_sockets, cpu_dies, cpu_cores, cpu_threads;
        RecordList cpu_features; /* CpuFeature */
        int cpu_cache;           /* CpuCache */
        uint64_t cpu_cache_level;
        int cpu_address;         /* CpuAddress */
        uint64_t cpu_address_bits, cpu_address_limit;

        int clock_offset;        /* ClockOffset */
        int64_t clock_adjustment;
        int clock_basis;
        char *clock_timezone;
        uint64_t clock_start;
        RecordList timers;       /* Timer */

        int on_poweroff, on_reboot, on_crash;
        int on_lockfailure;      /* LockFailure; NONE: as the settings say */
        Tristate suspend_to_mem, suspend_to_disk;

        char *emulator;
        RecordList devices;      /* Device, in document order */
};
extern const RecordType domain_record;

typedef struct BootDevice {
        Record head;
        int dev;                 /* BootDev */
} BootDevice;
extern const RecordType boot_device_record;

/* <os><firmware><feature enabled= name=>: what an automatically chosen firmware must have or lack. */
typedef struct FirmwareFeature {
        Record head;
        Tristate enabled;
        char *name;              /* "secure-boot", "enrolled-keys" */
} FirmwareFeature;

/* <iothreadids><iothread id=…>: a number of its own. */
typedef struct IothreadId {
        Record head;
        uint64_t id;
        uint64_t pool_min, pool_max;
        uint64_t poll_max, poll_grow, poll_shrink; /* how long it looks for work before it sleeps: ns; factors, 0: QEMU's */
} IothreadId;
extern const RecordType iothread_record;

/* Whether there is a thread of that number, from 1. */
bool domain_has_iothread(const DomainDef *def, uint64_t id);

/* <entry name=…>text</entry>. */
typedef struct SysinfoEntry {
        Record head;
        char *name, *file, *text;
} SysinfoEntry;

typedef struct CpuFeature {
        Record head;
        char *name;
        int policy;              /* CpuPolicy */
} CpuFeature;

typedef struct Timer {
        Record head;
        int name;                /* TimerName */
        Tristate present;
        int tickpolicy, track;   /* TickPolicy, TimerTrack */
        uint64_t frequency;      /* Hz; tsc */
} Timer;

static inline DomainDef *domain_def_free(DomainDef *def) {
        return xml_definition_free(def);
}
DEFINE_CLEANUP(DomainDef *, domain_def_free)

/* The device with that QEMU id, user alias or (disks) target name; NULL if there is none. In device/device.c. */
Device *domain_find_device(const DomainDef *def, const char *name);
/* That with the QEMU id alone; `def` may be NULL. */
Device *domain_device_by_id(const DomainDef *def, const char *id);

/* Whether the guest tells of its end as Windows does: by the CPU. In device/panic.c. */
bool domain_has_hyperv_panic(const DomainDef *def);

/* The board: i440FX ("pc", "pc-i440fx-7.2") or one with PCI Express ("q35", "pc-q35-7.2", "virt"). */
bool domain_is_i440fx(const DomainDef *def);
bool domain_is_q35(const DomainDef *def);

bool domain_has_pcie(const DomainDef *def);
