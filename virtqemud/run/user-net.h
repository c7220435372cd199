/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"
#include "prepare.h"

/* User networking for a QEMU that has no network of its own: one passt per interface, which gets the other end of the interface's
 * socket and lives as long as QEMU holds its end. It is a unit where VMs are units, so that it outlives us as they do. */
typedef struct UserNets UserNets;

/* Exactly once, never from within user_nets_new(): all of them run, or why one does not. */
typedef void (*UserNetsDone)(const Fault *f, void *userdata);

/* Takes the sockets out of the Prepare. 1: no interface wants it and nothing was made; 0; or negative. */
int user_nets_new(Domain *d, const DomainDef *live, Prepare *p, UserNetsDone done, void *userdata, UserNets **ret, Fault *f);
/* The interface has gone, and its passt is not missed. */
void user_nets_forget(UserNets *u, const char *device);
/* Makes those of `more` part of `all`, which may be NULL; returns it. */
UserNets *user_nets_join(UserNets *all, UserNets *more);
/* Stops watching them; they run on until QEMU ends. */
UserNets *user_nets_free(UserNets *u);
DEFINE_CLEANUP(UserNets *, user_nets_free)
