/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* An image that a domain is going to use. */
typedef struct ImageUse {
        const char *path;
        const char *shared_key;   /* or NULL */
        uint64_t dev, inode;
        bool block_device;
        bool alone;               /* nobody else may use it */
        const char *lockspace, *resource; /* a lease that is no image's: where it is kept, and its name; else NULL */
} ImageUse;

/* The leases of the images of one run, from virtlockd: so that no other VM uses them in a way that does not go together with this one's. They
 * last as long as somebody has copies of their descriptors. */
typedef struct DomainLeases DomainLeases;

/* Exactly once, never from within domain_leases_new(): all are there, or `why` not. */
typedef void (*DomainLeasesDone)(const Fault *why, void *userdata);

int domain_leases_new(Domain *d, const ImageUse *uses, size_t n, DomainLeasesDone done, void *userdata, DomainLeases **ret, Fault *f);
DomainLeases *domain_leases_free(DomainLeases *l);
DEFINE_CLEANUP(DomainLeases *, domain_leases_free)

/* For NULL there are none. The descriptors stay the leases'. */
size_t domain_leases_count(const DomainLeases *l);
int domain_leases_fd(const DomainLeases *l, size_t i);
const char *domain_leases_path(const DomainLeases *l, size_t i);
bool domain_leases_is_shared(const DomainLeases *l, size_t i);

/* Lets virtlockd tell people this process. */
void domain_leases_set_pid(const DomainLeases *l, pid_t pid);
