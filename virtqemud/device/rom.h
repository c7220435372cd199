/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "args.h"
#include "wanted.h"

/* <rom> of a PCI device: the program that the firmware runs to start it. */
typedef struct Rom {
        Tristate bar, enabled;
        char *file;              /* in place of the device's own */
} Rom;

#define ROM_FIELDS(at)                                                                                  \
        { "rom/@bar", &field_on_off, (at) + offsetof(Rom, bar) },                                       \
        { "rom/@enabled", &field_yes_no, (at) + offsetof(Rom, enabled) },                               \
        { "rom/@file", &field_string, (at) + offsetof(Rom, file) }

bool rom_is_said(const Rom *rom);
int rom_check(const Rom *rom, const Record *r, Fault *f);
/* The file that is to be read, if there is one. */
int rom_files(const Rom *rom, const Record *r, WantedFiles *requests);
/* What QEMU's device is told. */
int rom_args(const Rom *rom, Args *a, json_t *json);
