/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* What a libvirt on this host, or in a backup of one, has: its definitions, and what it keeps beside them. Nothing is changed there. */

typedef enum LibvirtKind { LIBVIRT_SECRET, LIBVIRT_POOL, LIBVIRT_NETWORK, LIBVIRT_DOMAIN, _LIBVIRT_KIND_MAX } LibvirtKind;

typedef enum ImportResult { IMPORT_NEW, IMPORT_SAME, IMPORT_DIFFERS, IMPORT_REFUSED, IMPORT_DEFINED, IMPORT_FAILED } ImportResult;

typedef struct LibvirtItem {
        LibvirtKind kind;
        char *name;              /* of a secret what it is for, or its UUID */
        char *uuid;              /* NULL: none is said */
        char *file;              /* or the command that told */
        char *text;              /* NULL: can't be read; the reason says why */
        bool autostart, running;
        ImportResult result;
        bool keeps_uuid;         /* what is called so here keeps the UUID that it has here */
        char *reason, *hint;
        char **warnings;
} LibvirtItem;

typedef struct LibvirtFiles {
        char *config, *state, *run;      /* its folders: /etc/libvirt, /var/lib/libvirt, /run/libvirt, or a user's */
        char *state_qemu;                /* saved states, snapshots, firmware variables */
        bool user;
        const char *uri;                 /* whom to ask for what has no file; NULL: nobody */
        LibvirtItem *items;              /* in the order in which one needs the other */
        size_t n, allocated;
} LibvirtFiles;

/* Below `from` (NULL: this host's), of the host or of a user. 0, or an exit status. */
int libvirt_files_read(const char *from, bool user, LibvirtFiles *ret);
void libvirt_files_clear(LibvirtFiles *l);
#define _cleanup_libvirt_files_ _cleanup_(libvirt_files_clear)

/* By name or UUID. */
bool libvirt_files_has(const LibvirtFiles *l, const char *name);
/* Forgets all that are not called one of these. */
void libvirt_files_keep(LibvirtFiles *l, char *const *names, size_t n);

const char *libvirt_kind_name(LibvirtKind kind);

/* Looks for what libvirt keeps of it that does not come along, and adds warnings. */
int libvirt_files_warn(const LibvirtFiles *l, LibvirtItem *item);
/* The value of a secret: bytes, to be freed. -ENOENT: there is none. */
int libvirt_secret_value(const LibvirtFiles *l, const LibvirtItem *item, void **ret, size_t *ret_length);
