/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fault.h"

/* A file that must be opened before a plan can be made. */
typedef enum WantedKind {
        WANTED_FD,          /* open this file, no more */
        WANTED_CHAIN,       /* open it, find and open its backing files */
        WANTED_MEMFD,       /* its content as a sealed memfd */
        WANTED_NVRAM,       /* open for writing; copy from `template` when missing */
        WANTED_OUTPUT,      /* create if missing, open for writing */
        WANTED_LAYER,       /* a new qcow2 image without a name, beside this image and as large: to be a layer on it */
        WANTED_MEMORY,      /* a new file without a name in the folder for guests' memory, whose path is not said */
        _WANTED_MAX,
} WantedKind;

/* What must be sure before it is used. */
typedef enum WantedLease {
        LEASE_NONE,
        LEASE_WITH_OTHERS,  /* nobody else writes into it but those who share it, too */
        LEASE_ALONE,        /* nobody else uses it */
} WantedLease;

typedef struct WantedFile {
        WantedKind want;
        char *path;
        char *format;           /* "raw", "qcow2"; NULL where it does not matter */
        char *template;         /* WANTED_NVRAM */
        char *key;              /* of those without a name: by what PLAN_FD_SCRATCH asks for it */
        bool writable, append;
        bool optional, silent;  /* it may be missing; that is no warning */
        WantedLease lease;      /* of the file itself; of what is below it always LEASE_WITH_OTHERS */
        unsigned line;          /* of the element that asks, for error texts */
        const char *purpose;    /* static: "domain/…: what it is for"; NULL: the path says it */
} WantedFile;

typedef struct WantedFiles {
        WantedFile *items;
        size_t n, allocated;
} WantedFiles;
void wanted_files_clear(WantedFiles *r);
/* The first n of them. */
void wanted_files_keep(WantedFiles *r, size_t n);

/* Appends a request; the strings of `request` are copied. In device/args.c. */
int wanted_files_add(WantedFiles *r, const WantedFile *request);

/* One file of a backing chain. */
typedef struct ChainLevel {
        const char *path;
        const char *format;
} ChainLevel;
