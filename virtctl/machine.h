/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "macro.h"

/* A VM that is to be made, as far as people care; machine_to_xml() adds what nobody should have to think of. */

typedef struct NewDisk {
        char *pool, *volume;            /* where it is in a pool; or else */
        char *path;                     /* a file or a block device of the host */
        char *format;                   /* NULL: the pool knows, or raw */
        char *bus, *cache, *serial;
        uint64_t size;                  /* of a volume that is to be made, or grown to; 0: as it is */
        bool make;                      /* it is to be made */
        bool read_only;
        bool cdrom;
} NewDisk;

typedef enum NicKind { NIC_NETWORK, NIC_BRIDGE, NIC_USER, NIC_NONE } NicKind;

typedef struct NewNic {
        NicKind kind;
        char *source;                   /* the network or the bridge */
        char *mac, *model;
} NewNic;

typedef struct NewMachine {
        const char *name;
        uint64_t memory;                /* bytes */
        uint32_t cpus;
        bool uefi, kvm;
        char *kernel, *initrd;
        const char *cmdline;
        const char *graphics;           /* none, vnc, spice */
        NewDisk *disks;
        size_t n_disks, disks_allocated;
        NewNic *nics;
        size_t n_nics, nics_allocated;
} NewMachine;

void machine_clear(NewMachine *m);
#define _cleanup_machine_ _cleanup_(machine_clear)

/* A fresh one at the end of the list; NULL: out of memory. */
NewDisk *machine_add_disk(NewMachine *m);
NewNic *machine_add_nic(NewMachine *m);

/* The definition in libvirt's XML. -ENOMEM. */
int machine_to_xml(const NewMachine *m, char **ret);
