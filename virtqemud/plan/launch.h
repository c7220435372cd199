/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/args.h"

/* Everything needed to run a definition: the command line and the descriptors it refers to. Pure data. */
typedef struct LaunchPlan {
        char **argv;
        char **environment;
        PlanFd *fds;
        size_t n_fds;
        int monitor_run_fd;     /* the number of PLAN_FD_MONITOR_RUN's *other* end, kept by the supervisor */
} LaunchPlan;

/* `def` is a filled and checked live definition whose disks name their whole backing chains. */
int launch_plan(const DomainDef *def, const QemuCaps *caps, LaunchPlan **ret, Fault *f);
LaunchPlan *launch_plan_free(LaunchPlan *p);
DEFINE_CLEANUP(LaunchPlan *, launch_plan_free)

/* The files that must be opened before a plan can be made: what an image opener is asked for. */
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

int launch_images(const DomainDef *def, ImageRequests *ret, Fault *f);

/* Writes a chain that was found into the live definition as <backingStore> elements. `levels` starts with the image itself. */
typedef struct ImageLevel {
        const char *path;
        const char *format;
} ImageLevel;
int launch_apply_chain(DomainDef *live, const char *image, const ImageLevel *levels, size_t n, Fault *f);
