/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* Persistent definitions: made, changed, renamed, removed. Each either happens whole, on disk and in memory, or not at all.
 * Capabilities of the QEMU are needed to check one; they may have to be probed first, so the answer comes through `done`, from the
 * event loop or from within the call. */

typedef enum DefineFlags {
        DEFINE_VALIDATE_ONLY = 1 << 0,   /* check everything, change nothing; `d` is then NULL */
        DEFINE_NEW_ONLY      = 1 << 1,   /* a domain of that name or uuid must not exist yet */
        DEFINE_KEEP_SECRETS  = 1 << 2,   /* passwords that it doesn't give stay as they are: its author may not know them */
} DefineFlags;

typedef void (*DefineDone)(Domain *d, int error, const Fault *f, void *userdata);

/* `expect` names the domain the text must be of (Reconfigure); NULL for any. A generation other than `if_generation` (unless 0) is
 * FAULT_INVALID_STATE: somebody else changed it meanwhile. */
int define_domain(Manager *m, const char *text, size_t length, unsigned flags, Domain *expect, uint64_t if_generation,
                  DefineDone done, void *userdata, Fault *f);

/* The text completed and normalised, without defining anything; same callback form with the text as `d`'s place. What it names as emulator is
 * run as root, to be asked: without `any_program` only one that is installed as such, else FAULT_ACCESS_DENIED, from inside the call. */
typedef void (*ConvertDone)(const char *text, int error, const Fault *f, void *userdata);
int define_convert(Manager *m, const char *text, size_t length, bool any_program, ConvertDone done, void *userdata, Fault *f);

/* The persistent definition as it was written. */
int define_export(const Domain *d, unsigned xml_write_flags, char **ret, Fault *f);

/* Active domains become transient. */
int define_undefine(Domain *d, Fault *f);
int define_rename(Domain *d, const char *name, Fault *f);

/* Of those whose `userdata` this is nobody wants to hear any more. */
void define_cancel(Manager *m, const void *userdata);

/* Gives up what waits for capabilities: FAULT_CANCELED. */
void define_clear(Manager *m);

/* A domain without a persistent definition, about to be started. */
int define_transient(Manager *m, const char *text, size_t length, Domain **ret, Fault *f);

/* Reads one stored definition back. A text that can't be used makes a broken domain. */
int define_load(Manager *m, const char *name, const char *text, size_t length);
int define_unreadable(Manager *m, const char *name, int error);
/* The file of a known domain, perhaps changed by hand. */
int define_reload(Domain *d, const char *text, size_t length);
/* The file has gone: as undefine, without touching the disk. */
void define_forget(Domain *d);
