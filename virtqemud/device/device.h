/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/caps.h"
#include "../def/domain-def.h"
#include "args.h"
#include "companion.h"
#include "secret-ref.h"
#include "wanted.h"

typedef enum DeviceKind {
#define DEVICE(KIND, element, symbol) DEVICE_##KIND,
#include "list.h"
#undef DEVICE
        _DEVICE_KIND_MAX,
        _DEVICE_KIND_INVALID = -EINVAL,
} DeviceKind;

/* Where a device has to be plugged in, so that domain-addr can find it a free place. */
typedef enum SlotKind {
        SLOT_NONE,             /* needs no address (or brings a bus of its own) */
        SLOT_PCI,              /* conventional device: any PCI slot; on q35 an integrated or bridge slot, or a root port */
        SLOT_PCIE,             /* PCI Express device: a root port on q35, any slot on pc */
        SLOT_PCI_INTEGRATED,   /* sits on the root bus itself (root ports, ich9 functions) */
        SLOT_DRIVE_IDE,
        SLOT_DRIVE_SATA,
        SLOT_DRIVE_SCSI,
        SLOT_DRIVE_FDC,
        SLOT_USB,
        SLOT_VIRTIO_SERIAL,
        SLOT_CCID,
} SlotKind;

/* What happens to a start when something of the host is not there, for everything that asks for such. */
typedef enum StartupPolicy { STARTUP_UNSET, STARTUP_MANDATORY, STARTUP_REQUISITE, STARTUP_OPTIONAL } StartupPolicy;
extern const EnumTable startup_policy_table;

/* Of those whose SCSI commands go to the host's device. */
typedef enum Sgio { SGIO_UNSET, SGIO_FILTERED, SGIO_UNFILTERED } Sgio;
extern const EnumTable sgio_table;

/* When a change of a setting comes into effect. */
typedef enum ChangeVerdict {
        CHANGE_AT_POWER_OFF,   /* when the VM is started the next time */
        CHANGE_AT_REBOOT,      /* it can be made at once, and the guest sees it when it boots again */
        CHANGE_NOW,            /* it can be made at once */
        _CHANGE_VERDICT_MAX,
        _CHANGE_VERDICT_INVALID = -EINVAL,
} ChangeVerdict;
DECLARE_ENUM(ChangeVerdict, change_verdict);

/* One device type. All functions are pure: no I/O, no globals; each may be NULL where there is nothing to do. */
struct DeviceOps {
        DeviceKind kind;
        const char *element;       /* the XML element */
        const RecordType *type;

        /* "virtio-disk", "net", "serial": ids are PREFIX + number of the device among those with the same prefix. */
        const char *(*id_prefix)(const Device *d);
        /* The name users know it by besides the id (a disk's target: "vda"); unique in the definition. NULL: none. */
        const char *(*target)(const Device *d);
        /* The class <os><boot dev> means this device by; BOOT_NONE or NULL: it is never booted from. */
        BootDev (*boot_class)(const Device *d);
        /* Forgets what only a running domain has, besides its alias: a definition pasted from a live one brings it along. */
        void (*drop_live)(Device *d);
        /* Fills in what the writer left open (models, target names, controllers it needs), so that the definition says it. */
        int (*fill)(Device *d, DomainDef *def, Fault *f);
        SlotKind (*slot)(const Device *d, const DomainDef *def);
        /* Rules within the definition and against this QEMU. Faults name line and element (xml_fault). */
        int (*check)(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f);
        /* Why it can't come or go while the guest runs; NULL: it can. Where this is missing none of that kind can. */
        const char *(*fixed)(const Device *d, const DomainDef *def);
        /* Whether one setting, named by its path below the element, can be changed while the guest runs. Missing: none can. */
        ChangeVerdict (*verdict)(const Device *before, const Device *after, const char *path);
        /* Takes over into a changed device what the start of `before` has made of what was left open. */
        void (*inherit)(Device *after, const Device *before);
        /* What changes a running `before` into `after`, as QMP commands with their undos; settings that can't be have been refused. */
        int (*update)(const Device *before, const Device *after, const DomainDef *def, json_t *commands);
        /* Appends the files that must be opened for it. */
        int (*files)(const Device *d, WantedFiles *requests);
        /* If `image` is one of the device's files with an open end of its backing chain: writes the levels below it into the device
         * and returns 1, else 0. */
        int (*apply_chain)(Device *d, const char *image, const ChainLevel *levels, size_t n);
        /* The file of that path, which may be missing, is: 1 if the device goes on without it, 2 if it has to go itself, 0 if it is not its file. */
        int (*lose_file)(Device *d, const char *path);
        /* Appends what QEMU needs, in the order in which it can be created; the same list serves cold start and hotplug. */
        int (*args)(const Device *d, Args *a, Fault *f);
        /* The passphrase QEMU needs for it, and what for: "volume"; NULL: none. */
        const SecretRef *(*secret)(const Device *d, const char **ret_purpose);
        /* Likewise the program beside QEMU, which has it as its standard output. */
        const SecretRef *(*companion_secret)(const Device *d, const char **ret_purpose);
        /* The program that PLAN_FD_COMPANION connects to. `state` is a folder it may have, made when it is asked for by its name in argv. */
        int (*companion)(const Device *d, const char *state, Companion *ret);
        /* The same of the layers below a disk, from 1 on; they keep no state. */
        const SecretRef *(*layer_secret)(const Device *d, unsigned layer, const char **ret_purpose);
        int (*layer_companion)(const Device *d, unsigned layer, Companion *ret);
        /* The device of the host that is its alone, in words of which no other device has the same; new string. NULL: there is none. */
        char *(*claim)(const Device *d);
        /* Appends the QMP commands, {"execute": …, "arguments": …}, for what no argument can say. They are sent before the guest runs. */
        int (*settle)(const Device *d, const DomainDef *def, json_t *commands);
};

extern const DeviceOps *const device_ops[_DEVICE_KIND_MAX];

/* By XML element name; NULL if unknown. */
const DeviceOps *device_ops_by_element(const char *element);

/* Sets `ops` in devices that were read. */
void device_bind_ops(DomainDef *def);
/* RecordType.clear and .copied of every device type: what no table row owns (id and ops). */
void device_clear(Record *r);
void device_copied(Record *copy, const Record *from);
const char *device_target(const Device *d);
SlotKind device_slot(const Device *d, const DomainDef *def);
const char *device_fixed(const Device *d, const DomainDef *def);
/* FAULT_NOT_SUPPORTED about the first setting that differs and can't be changed while the guest runs. */
int device_check_update(const Device *before, const Device *after, Fault *f);
/* DeviceOps.fixed of what always can. */
const char *device_never_fixed(const Device *d, const DomainDef *def);

/* A new device of that kind with all fields absent. NULL: out of memory. */
void *device_new(DeviceKind kind);

/* What a device's program is called by: the device's id, for a layer below a disk with its number: "virtio-disk0:1". New string. */
char *companion_name(const Device *d, unsigned layer);
/* Whether `name` is that of a program of the device with that id; then *ret_layer, which may be NULL, is which one. */
bool companion_is_of(const char *name, const char *id, unsigned *ret_layer);
/* NULL: there is no such device. */
const Device *companion_device(const DomainDef *def, const char *name, unsigned *ret_layer);
/* What it is, by its device: DeviceOps.companion or .layer_companion. -ENOENT: it has none. */
int companion_make(const DomainDef *def, const char *name, const char *state, Companion *ret);

static inline DeviceKind device_kind(const Device *d) {
        return d->ops->kind;
}

/* Walks the devices of one kind: DEVICE_FOREACH(Disk, disk, def, DEVICE_DISK) { … } */
Device *device_next(const DomainDef *def, DeviceKind kind, size_t *i);
#define DEVICE_FOREACH(Struct, var, def, kind)                                                          \
        for (size_t var##_i = 0, var##_once = 1; var##_once; var##_once = 0)                            \
                for (Struct *var; (var = (Struct *) device_next((def), (kind), &var##_i));)
