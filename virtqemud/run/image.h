/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "fault.h"
#include "table.h"

/* Opens disk images, kernels and firmware variables of users as descriptors. A short-lived worker does it, because a path may lie on
 * a network file system whose server is gone. */
typedef struct ImageOpen ImageOpen;

#define IMAGE_WORKER_PATH "/usr/lib/virtbus/virtqemu-image"
#define IMAGE_REQUESTS_MAX 256u
#define IMAGE_CHAIN_MAX 64u                       /* levels of one image */
#define IMAGE_MEMFD_MAX (UINT64_C(1) << 30)       /* bytes of a kernel or initrd */
#define IMAGE_DEADLINE_USEC UINT64_C(30000000)

typedef enum ImageWant {
        IMAGE_FD,       /* one level: the file itself, whatever is in it */
        IMAGE_CHAIN,    /* with all backing levels, found through the formats recorded in the images */
        IMAGE_MEMFD,    /* the content as a sealed memfd */
        IMAGE_NVRAM,    /* as IMAGE_FD; created from `template` if it is missing */
        IMAGE_OUTPUT,   /* a file that is written from its beginning, or appended to; created if it is missing */
        IMAGE_LAYER,    /* a new qcow2 image without a name, in the folder of `path` and as large as that image */
        IMAGE_SCRATCH,  /* a new file without a name in the folder `path`, for whoever gets the descriptor */
        _IMAGE_WANT_MAX,
        _IMAGE_WANT_INVALID = -EINVAL,
} ImageWant;
DECLARE_ENUM(ImageWant, image_want);

typedef struct ImageRequest {
        const char *path;       /* absolute */
        const char *format;     /* "raw", "qcow2", …; NULL: raw. Never guessed from the content */
        const char *template_path; /* IMAGE_NVRAM: copied if `path` is missing; NULL: must exist */
        ImageWant want;
        bool writable;          /* the top level; backing levels are always read-only */
        bool append;            /* IMAGE_OUTPUT: what is in the file stays */
        bool optional;          /* where there is nothing of that path, its result has no levels */
} ImageRequest;

typedef struct ImageLevel {
        char *path;             /* absolute; of the level as it was opened */
        char *format;
        int fd;                 /* owned; O_RDWR for a writable top, else O_RDONLY */
        bool block_device;
        uint64_t dev, inode;    /* who the file is; for a block device `dev` is its own number and inode 0 */
        char *shared_key;       /* who it is for all hosts that see it; NULL: that is not known */
        uint64_t allocation, physical; /* bytes it takes on its file system; where it ends */
        uint64_t size;          /* bytes the guest sees: virtual size of a qcow2, else of the file or device */
} ImageLevel;

/* levels[0] is the top. */
typedef struct ImageResult {
        ImageLevel *levels;
        size_t n_levels;
        bool optional;
} ImageResult;

/* `results` (one per request, in order) or `fault`. The results are the caller's to take from: what is left in them (fd >= 0) is
 * closed afterwards. Faults: FAULT_IMAGE, FAULT_ACCESS_DENIED, FAULT_TIMEOUT, FAULT_LIMIT. */
typedef void (*ImageFunc)(ImageOpen *o, ImageResult *results, size_t n, const Fault *fault, void *userdata);

/* Starts the worker; `done` is called exactly once, never from inside. `worker`: NULL is IMAGE_WORKER_PATH. `deadline_usec` is
 * relative; 0: IMAGE_DEADLINE_USEC. The requests are copied. The caller owns *ret, frees it inside `done` or later; freeing it
 * before kills the worker and forgets the call. SIGCHLD must be blocked (sd-event wants it). */
int image_open(sd_event *e, const char *worker, const ImageRequest *requests, size_t n, uint64_t deadline_usec,
               ImageFunc done, void *userdata, ImageOpen **ret, Fault *f);
ImageOpen *image_open_free(ImageOpen *o);
DEFINE_CLEANUP(ImageOpen *, image_open_free)

/* Inside `done`, with a fault: the request it is about; SIZE_MAX: none of them. */
size_t image_open_failed(const ImageOpen *o);

/* Moves a result out, so that it outlives the callback. */
void image_result_clear(ImageResult *r);
