/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fault.h"
#include "table.h"

/* What an image opener is asked for before a plan can be made. */
typedef enum ImageWant {
        IMAGE_WANT_FD,          /* open this file, no more */
        IMAGE_WANT_CHAIN,       /* open it, find and open its backing files */
        IMAGE_WANT_MEMFD,       /* its content as a sealed memfd */
        IMAGE_WANT_NVRAM,       /* open for writing; copy from `template` when missing */
        IMAGE_WANT_OUTPUT,      /* create if missing, open for writing */
        _IMAGE_WANT_MAX,
        _IMAGE_WANT_INVALID = -EINVAL,
} ImageWant;
DECLARE_ENUM(ImageWant, image_want);

typedef struct ImageRequest {
        ImageWant want;
        char *path;
        char *format;           /* "raw", "qcow2"; NULL where it does not matter */
        char *template;         /* IMAGE_WANT_NVRAM */
        bool writable, append;
        unsigned line;          /* of the element that asks, for error texts */
} ImageRequest;

typedef struct ImageRequests {
        ImageRequest *items;
        size_t n, allocated;
} ImageRequests;
void image_requests_clear(ImageRequests *r);

/* Appends a request; the strings of `request` are copied. In device/args.c. */
int image_request_add(ImageRequests *r, const ImageRequest *request);

/* One file of a backing chain. */
typedef struct ImageLevel {
        const char *path;
        const char *format;
} ImageLevel;
