/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* The passphrases of one run's devices, from virtstoraged: as descriptors, which are handed on unread, to QEMU or to the program beside it. */
typedef struct DomainSecrets DomainSecrets;

/* Exactly once, never from within domain_secrets_new(): all are there, or `why` not. */
typedef void (*DomainSecretsDone)(const Fault *why, void *userdata);

/* `live`: its definition, or what is plugged into it. */
int domain_secrets_new(Domain *d, DomainDef *live, DomainSecretsDone done, void *userdata, DomainSecrets **ret, Fault *f);
DomainSecrets *domain_secrets_free(DomainSecrets *s);
DEFINE_CLEANUP(DomainSecrets *, domain_secrets_free)

/* That of a device, by its id, for QEMU or for its companion; it stays the secrets'. -ENOENT: none. */
int domain_secrets_fd(const DomainSecrets *s, const char *device, bool companion);
