/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* The passphrases of one run's disks, from virtstoraged: as descriptors, which are handed to QEMU unread. */
typedef struct DomainSecrets DomainSecrets;

/* Exactly once, never from within domain_secrets_new(): all are there, or `why` not. */
typedef void (*DomainSecretsDone)(const Fault *why, void *userdata);

/* `live`: its definition, or what is plugged into it. */
int domain_secrets_new(Domain *d, DomainDef *live, DomainSecretsDone done, void *userdata, DomainSecrets **ret, Fault *f);
DomainSecrets *domain_secrets_free(DomainSecrets *s);
DEFINE_CLEANUP(DomainSecrets *, domain_secrets_free)

/* That of a disk, by its device's id; it stays the secrets'. -ENOENT: none. */
int domain_secrets_fd(const DomainSecrets *s, const char *device);
