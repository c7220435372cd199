/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "domain.h"
#include "prepare.h"

/* The programs that stand beside QEMU (DeviceOps.companion). Each gets the other end of its device's socket, and lives as long as QEMU holds
 * its own. It is a unit where VMs are units, so that it outlives us as they do. */
typedef struct Companions Companions;

/* Exactly once, never from within companions_new(): all of them run, or why one does not. */
typedef void (*CompanionsDone)(const Fault *f, void *userdata);

/* Takes the sockets out of the Prepare; `secrets` must stay until it is done. 1: nobody wants one and nothing was made; 0; or negative. */
int companions_new(Domain *d, const DomainDef *live, Prepare *p, const DomainSecrets *secrets, CompanionsDone done, void *userdata,
                   Companions **ret, Fault *f);
/* The device has gone, and its program is not missed. */
void companions_forget(Companions *all, const char *device);
/* Makes those of `more` part of `all`, which may be NULL; returns it. */
Companions *companions_join(Companions *all, Companions *more);
/* QEMU has ended, or will never begin with them: those that would wait for it for ever are ended, and all are freed. */
Companions *companions_abandon(Companions *all);
DEFINE_CLEANUP(Companions *, companions_abandon)
/* Stops watching them; they run on until QEMU ends. */
Companions *companions_free(Companions *all);
DEFINE_CLEANUP(Companions *, companions_free)

/* Those that run, for the next daemon, which watches them as well. An array; NULL: out of memory. */
json_t *companions_to_json(const Companions *all);
/* One that has ended meanwhile is noticed like one that ends. NULL: there is none. */
Companions *companions_adopt(Domain *d, json_t *list);

/* Ends those of that array, which nobody has taken up: what they were started for did not come to its end. */
void companions_end(const Domain *d, const json_t *list);

/* Removes what the programs of a domain that goes for good have kept. */
void companions_remove_state(const Domain *d);
