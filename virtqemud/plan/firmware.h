/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/domain-def.h"

/* <os firmware='efi'>: which firmware images to take, from QEMU's firmware descriptors (docs/interop/firmware.json of QEMU).
 * Pure: run/ reads the files. */

/* Highest priority first, as QEMU documents: "~/.config/qemu/firmware" (session), "/etc/qemu/firmware", "/usr/share/qemu/firmware".
 * Within all folders together the order is that of the file names. */
typedef struct FirmwareText {
        const char *name;       /* file name without folder: "60-edk2-x86_64.json" */
        const char *folder;     /* for messages */
        unsigned rank;          /* of the folder, 0 is the highest: it hides files of the same name further down */
        const char *text;       /* an empty text hides, too, and offers nothing */
        size_t length;
} FirmwareText;

/* Chooses for the definition (machine already expanded) and writes loader, nvram template, and nvram path (in `nvram_folder`) into
 * it. Does nothing without <os firmware='efi'> or where a loader is there already. Secure boot only if asked for. Descriptors that
 * can't be understood are left out; FAULT_NOT_SUPPORTED, -ENOENT if nothing fits. `texts` is sorted in place. */
int firmware_select(FirmwareText *texts, size_t n, DomainDef *def, const char *nvram_folder, Fault *f);

/* One that firmware_select() may choose. */
typedef struct FirmwareOffer {
        char *loader, *nvram_template;
        bool secure_boot, enrolled_keys;
} FirmwareOffer;

/* All for one machine type, by its name, in the order in which they are tried. -ENOMEM. */
int firmware_offers(FirmwareText *texts, size_t n, const char *arch, const char *machine, FirmwareOffer **ret, size_t *ret_n);
void firmware_offers_free(FirmwareOffer *offers, size_t n);
